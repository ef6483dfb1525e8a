//! The half of a folder's import that goes on in the browser: the files are sent batch by batch to an import that nobody sees yet, which is
//! then finished. A batch that got lost is sent again; whatever ends early takes the import away.

use leptos::{
    prelude::*,
    wasm_bindgen::JsValue,
    web_sys::{self, RequestInit},
};
use wasm_bindgen_futures::JsFuture;
use wire::{
    ErrorCode, Problem, ProjectId,
    imports::{StageOutcome, StagedImport, StartImport},
    projects::ImportStarted,
};

use super::{
    import_state::{Import, KEY, Stage, stopped},
    upload_pick::Picked,
    upload_plan::{is_passing, wait_s},
    upload_send::{self, Answer, Payload},
};
use crate::api;

/// Of taking an import away, which goes on while what is under way is stopped.
const GIVE_UP: u64 = KEY - 1;
/// Of one request: files, and bytes unless a single file has more.
const BATCH_FILES: usize = 200;
const BATCH_BYTES: f64 = 8.0 * 1024.0 * 1024.0;
/// Attempts at one request.
const TRIES: u32 = 6;

/// A file that the project does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub path: String,
    /// In a sentence.
    pub reason: String,
}

/// What an import came to when all was sent.
pub enum Sent {
    /// A job makes the project.
    Started(ImportStarted),
    /// It was made already when the answer got lost.
    Made(ProjectId),
}

/// Sends all files to a new import and finishes it. What can't be taken is left out and told in `import`.
pub async fn send_all(import: Import, request: StartImport, files: Vec<Picked>) -> Result<Sent, Problem> {
    let id = begin(import, &request).await?;
    import.staged.set(Some(id));
    let mut way = Way { import, id, files: files.len(), total: bytes_of(&files), gone: (0, 0.0), staged: 0 };
    let sent = way.send(files).await;
    if sent.is_err() {
        upload_send::send(GIVE_UP, "DELETE", &address(id), &[], Payload::None, |_| {}).await;
    }
    import.staged.set(None);
    sent
}

fn address(id: ProjectId) -> String {
    format!("/api/imports/{id}")
}

async fn begin(import: Import, request: &StartImport) -> Result<ProjectId, Problem> {
    let body = serde_json::to_string(request).map_err(|_| refused_by_browser())?;
    let answer = upload_send::send(KEY, "POST", "/api/imports", &[], Payload::Json(body), |_| {}).await;
    let begun = answer.read::<StagedImport>().filter(|_| answer.is_ok());
    begun.map(|begun| begun.id).ok_or_else(|| import.why_not_sent(&answer, false))
}

/// Takes the import away when the page goes: the request outlives it.
pub fn give_up_on_leave(id: ProjectId) {
    let request = RequestInit::new();
    request.set_method("DELETE");
    let keeps = js_sys::Reflect::set(request.as_ref(), &JsValue::from_str("keepalive"), &JsValue::TRUE);
    if let Some(window) = web_sys::window().filter(|_| keeps.is_ok()) {
        // Nobody is left to hear the answer; without it the import expires.
        let _ = window.fetch_with_str_and_init(&address(id), &request);
    }
}

/// The files on their way.
struct Way {
    import: Import,
    id: ProjectId,
    files: usize,
    total: f64,
    /// Files and bytes that are done with.
    gone: (usize, f64),
    staged: usize,
}

impl Way {
    async fn send(&mut self, files: Vec<Picked>) -> Result<Sent, Problem> {
        for batch in batches(files) {
            self.send_batch(batch).await?;
        }
        if self.staged == 0 {
            let reason = self.import.left_out.with_untracked(|all| all.first().map(|left| left.reason.clone()));
            let reason = reason.unwrap_or_else(|| "There was nothing to send.".to_owned());
            return Err(Problem::new(ErrorCode::Invalid, format!("None of the files was accepted. {reason}")));
        }
        self.finish().await
    }

    async fn send_batch(&mut self, mut batch: Vec<Picked>) -> Result<(), Problem> {
        let (files, bytes) = (batch.len(), bytes_of(&batch));
        let url = format!("{}/files", address(self.id));
        let mut tries = 0;
        while !batch.is_empty() {
            if self.import.is_stopped() {
                return Err(stopped());
            }
            let form = form_of(&batch).ok_or_else(refused_by_browser)?;
            let (import, (done, sent), all, total) = (self.import, self.gone, self.files, self.total);
            let told = move |loaded: f64| import.stage.set(Stage::SendingFiles(done, all, sent + loaded.min(bytes), total));
            told(0.0);
            let answer = upload_send::send(KEY, "POST", &url, &[], Payload::Form(form), told).await;
            let outcomes = answer.read::<Vec<StageOutcome>>().filter(|_| answer.is_ok());
            if let Some(outcomes) = outcomes {
                self.take(outcomes);
                break;
            }
            tries += 1;
            self.wait(&answer, tries, false).await?;
            batch = self.leave_out_unreadable(batch).await;
        }
        self.gone = (self.gone.0 + files, self.gone.1 + bytes);
        self.import.stage.set(Stage::SendingFiles(self.gone.0, self.files, self.gone.1, self.total));
        Ok(())
    }

    fn take(&mut self, outcomes: Vec<StageOutcome>) {
        let mut left_out = Vec::new();
        for outcome in outcomes {
            match outcome {
                StageOutcome::Staged { .. } => self.staged += 1,
                StageOutcome::Refused { path, reason } => left_out.push(LeftOut { path, reason }),
            }
        }
        self.import.leave_out(left_out);
    }

    /// The browser refuses files that were changed after they were chosen, and looks as if the connection was lost.
    async fn leave_out_unreadable(&self, batch: Vec<Picked>) -> Vec<Picked> {
        let (mut readable, mut left_out) = (Vec::with_capacity(batch.len()), Vec::new());
        for picked in batch {
            if upload_send::is_readable(&picked.file).await {
                readable.push(picked);
            } else {
                let reason = "The file on your computer was changed or moved after it was chosen.".to_owned();
                left_out.push(LeftOut { path: picked.path, reason });
            }
        }
        self.import.leave_out(left_out);
        readable
    }

    /// Until the next try after this many, if there is to be one. `may_go_on`: what was asked for makes a project of what is there.
    async fn wait(&self, answer: &Answer, tries: u32, may_go_on: bool) -> Result<(), Problem> {
        if self.import.is_stopped() || !is_passing(answer.status) || tries >= TRIES {
            return Err(self.import.why_not_sent(answer, may_go_on));
        }
        self.import.stage.set(Stage::Again(self.gone.1, self.total));
        let asked = answer.problem().and_then(|problem| problem.retry_after);
        for _ in 0..wait_s(tries, asked) {
            a_second().await;
            if self.import.is_stopped() {
                return Err(stopped());
            }
        }
        Ok(())
    }

    async fn finish(&self) -> Result<Sent, Problem> {
        let url = format!("{}/finish", address(self.id));
        let mut tries = 0;
        loop {
            let answer = upload_send::send(KEY, "POST", &url, &[], Payload::None, |_| {}).await;
            if let Some(started) = answer.read::<ImportStarted>().filter(|_| answer.is_ok()) {
                return Ok(Sent::Started(started));
            }
            if answer.status == 404 && tries > 0 && api::projects::get(self.id).await.is_ok() {
                return Ok(Sent::Made(self.id));
            }
            tries += 1;
            self.wait(&answer, tries, true).await?;
        }
    }
}

async fn a_second() {
    let ended = js_sys::Promise::new(&mut |resolve, _| {
        if let Some(window) = web_sys::window() {
            let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, 1000);
        }
    });
    let _ = JsFuture::from(ended).await;
}

fn refused_by_browser() -> Problem {
    Problem::new(ErrorCode::Unavailable, "This browser refused to start the upload. Nothing was imported.")
}

fn form_of(batch: &[Picked]) -> Option<web_sys::FormData> {
    let form = web_sys::FormData::new().ok()?;
    let manifest: Vec<_> = batch.iter().map(|picked| serde_json::json!({ "path": picked.path })).collect();
    form.append_with_str("manifest", &serde_json::to_string(&manifest).ok()?).ok()?;
    for picked in batch {
        form.append_with_blob_and_filename("file", &picked.file, "file").ok()?;
    }
    Some(form)
}

fn bytes_of(files: &[Picked]) -> f64 {
    files.iter().map(|picked| picked.file.size()).sum()
}

fn batches(files: Vec<Picked>) -> Vec<Vec<Picked>> {
    let sizes: Vec<f64> = files.iter().map(|picked| picked.file.size()).collect();
    let mut rest = files.into_iter();
    cut(&sizes).into_iter().map(|count| rest.by_ref().take(count).collect()).collect()
}

/// How many of the files, whose sizes these are, go together each time.
fn cut(sizes: &[f64]) -> Vec<usize> {
    let (mut counts, mut count, mut bytes) = (Vec::new(), 0, 0.0);
    for size in sizes {
        if count > 0 && (count == BATCH_FILES || bytes + size > BATCH_BYTES) {
            counts.push(count);
            (count, bytes) = (0, 0.0);
        }
        count += 1;
        bytes += size;
    }
    if count > 0 {
        counts.push(count);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_few_files_and_bytes() {
        assert_eq!(cut(&[]), [] as [usize; 0]);
        assert_eq!(cut(&vec![1.0; 450]), [200, 200, 50]);
        assert_eq!(cut(&[1.0, BATCH_BYTES * 3.0, 1.0, 2.0]), [1, 1, 2]);
    }
}
