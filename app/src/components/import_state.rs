//! How a new project is filled: what the browser sends, the job that goes on with it, and how either is stopped.

use std::{cell::RefCell, rc::Rc};

use leptos::{prelude::*, task::spawn_local, web_sys};
use wire::{
    ErrorCode, JobId, Problem, ProjectId,
    event::{EventKind, Stream},
    files::BatchOutcome,
    imports::ImportGit,
    jobs::{JobState, Progress as JobProgress},
    projects::{CreateProject, ImportStarted},
};

use super::{
    upload_pick::Picked,
    upload_send::{self, Answer, Payload},
};
use crate::{
    api,
    live::{Follow, Live},
    ui::{Toasts, format},
};

/// The request that is under way. One at a time: the dialog is locked meanwhile.
const KEY: u64 = u64::MAX;
/// Of one request of a folder: files, and bytes unless a single file has more.
const BATCH_FILES: usize = 200;
const BATCH_BYTES: f64 = 8.0 * 1024.0 * 1024.0;

/// What the job of an import does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Unpacking,
    Cloning,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    Idle,
    /// Bytes sent, of all.
    Sending(f64, f64),
    /// Files of a folder sent, of all; bytes sent, of all.
    SendingFiles(usize, usize, f64, f64),
    Working(Work, JobProgress),
}

impl Stage {
    pub fn text(self) -> String {
        let of = |done: i64, total: i64| format!("{} of {}", format::bytes(done), format::bytes(total));
        match self {
            Self::Idle => String::new(),
            Self::Sending(sent, total) if sent < total => format!("Sending, {}", of(sent as i64, total as i64)),
            Self::Sending(..) => "Sent, the archive is being checked".to_owned(),
            Self::SendingFiles(done, files, ..) => {
                format!("Sending, {} of {}", format::count(done as i64), format::counted(files as i64, "file", "files"))
            }
            Self::Working(_, JobProgress { total: 0, .. }) => "Waiting for a worker".to_owned(),
            Self::Working(Work::Cloning, JobProgress { total: 100, .. }) => "Cloning the repository".to_owned(),
            Self::Working(_, JobProgress { done, total }) => format!("Unpacking, {}", of(done, total)),
        }
    }

    pub fn percent(self) -> Option<f64> {
        match self {
            Self::Sending(sent, total) | Self::SendingFiles(_, _, sent, total) if total > 0.0 => Some(sent / total * 100.0),
            Self::Working(_, JobProgress { done, total }) if total > 0 => Some(done as f64 / total as f64 * 100.0),
            _ => None,
        }
    }
}

/// The signals that an import writes to, from the first byte sent to the last file unpacked.
#[derive(Clone, Copy)]
pub struct Import {
    pub stage: RwSignal<Stage>,
    pub problem: RwSignal<Option<Problem>>,
    pub busy: RwSignal<bool>,
    pub opened: Callback<ProjectId>,
    pub toasts: Toasts,
    live: Live,
    job: RwSignal<Option<JobId>>,
    /// Somebody asked to stop, and it has not ended yet.
    stopping: RwSignal<bool>,
}

impl Import {
    pub fn new(live: Live, toasts: Toasts, opened: Callback<ProjectId>) -> Self {
        Self {
            stage: RwSignal::new(Stage::Idle),
            problem: RwSignal::new(None),
            busy: RwSignal::new(false),
            opened,
            toasts,
            live,
            job: RwSignal::new(None),
            stopping: RwSignal::new(false),
        }
    }

    pub fn is_stopping(self) -> Signal<bool> {
        self.stopping.into()
    }

    fn begin(self, stage: Stage) {
        self.problem.set(None);
        self.job.set(None);
        self.stopping.set(false);
        self.busy.set(true);
        self.stage.set(stage);
    }

    /// Sends an archive and follows the job that unpacks it.
    pub fn archive(self, name: &str, storage: &str, file: &web_sys::File) {
        let size = file.size();
        let Some(form) = archive_form(name, storage, file) else {
            self.fail(Problem::new(ErrorCode::Unavailable, "This browser refused to start the upload."));
            return;
        };
        self.begin(Stage::Sending(0.0, size));
        spawn_local(async move {
            let told = move |sent: f64| self.stage.set(Stage::Sending(sent.min(size), size));
            let answer = upload_send::send(KEY, "POST", "/api/projects/import", &[], Payload::Form(form), told).await;
            match answer.read::<ImportStarted>().filter(|_| answer.is_ok()) {
                Some(started) => self.follow(Work::Unpacking, started),
                None => self.fail(self.why_not_sent(&answer)),
            }
        });
    }

    fn why_not_sent(self, answer: &Answer) -> Problem {
        if self.stopping.get_untracked() {
            return stopped();
        }
        answer.problem().unwrap_or_else(|| {
            let detail = match answer.status {
                0 => "The connection was lost. Nothing was imported, and what is on your computer is untouched. Try again.".to_owned(),
                status => format!("The server answered {status}. Nothing was imported. Try again."),
            };
            Problem::new(ErrorCode::Unavailable, detail)
        })
    }

    /// Begins a clone and follows its job.
    pub fn git(self, request: ImportGit) {
        self.begin(Stage::Working(Work::Cloning, JobProgress::default()));
        spawn_local(async move {
            match api::imports::git(request).await {
                Ok(started) => self.follow(Work::Cloning, started),
                Err(error) => self.fail(error.0),
            }
        });
    }

    /// Makes a project and sends the files batch by batch. What is stopped half way is taken away again.
    pub fn folder(self, request: CreateProject, files: Vec<Picked>) {
        let total = files.iter().map(|picked| picked.file.size()).sum();
        let count = files.len();
        self.begin(Stage::SendingFiles(0, count, 0.0, total));
        spawn_local(async move {
            let project = match api::projects::create(request).await {
                Ok(project) => project.id,
                Err(error) => return self.fail(error.0),
            };
            match self.send_all(project, files, count, total).await {
                Ok(left_out) => self.arrived(project, &left_out),
                Err(problem) => {
                    let gone = api::projects::delete(project).await;
                    self.fail(if gone.is_ok() { problem } else { still_there(problem) });
                }
            }
        });
    }

    /// Answers what was left out, in sentences.
    async fn send_all(self, project: ProjectId, files: Vec<Picked>, count: usize, total: f64) -> Result<Vec<String>, Problem> {
        let url = format!("/api/projects/{project}/files:batch");
        let (mut done, mut sent, mut left_out) = (0, 0.0, Vec::new());
        for batch in batches(files) {
            if self.stopping.get_untracked() {
                return Err(stopped());
            }
            let size: f64 = batch.iter().map(|picked| picked.file.size()).sum();
            let form =
                batch_form(&batch).ok_or_else(|| Problem::new(ErrorCode::Unavailable, "This browser refused to start the upload."))?;
            let told = move |loaded: f64| self.stage.set(Stage::SendingFiles(done, count, sent + loaded.min(size), total));
            let answer = upload_send::send(KEY, "POST", &url, &[], Payload::Form(form), told).await;
            let outcomes = answer.read::<Vec<BatchOutcome>>().filter(|_| answer.is_ok()).ok_or_else(|| self.why_not_sent(&answer))?;
            left_out.extend(outcomes.into_iter().filter_map(refusal));
            done += batch.len();
            sent += size;
            self.stage.set(Stage::SendingFiles(done, count, sent, total));
        }
        if left_out.len() == count {
            let reason = left_out.first().map(String::as_str).unwrap_or("There was nothing to send.");
            return Err(Problem::new(ErrorCode::Invalid, format!("None of the files was accepted. {reason}")));
        }
        Ok(left_out)
    }

    fn arrived(self, project: ProjectId, left_out: &[String]) {
        self.stage.set(Stage::Idle);
        self.busy.set(false);
        if let Some(first) = left_out.first() {
            let more = match left_out.len() - 1 {
                0 => String::new(),
                more => format!(" {} more were left out.", format::count(more as i64)),
            };
            self.toasts.show(format!("{first}{more}"));
        }
        self.opened.run(project);
    }

    /// Follows the job that goes on on the server.
    fn follow(self, work: Work, started: ImportStarted) {
        self.job.set(Some(started.job_id));
        self.stage.set(Stage::Working(work, JobProgress::default()));
        if self.stopping.get_untracked() {
            self.cancel(started.job_id);
        }
        let following = Rc::new(RefCell::new(None::<Follow>));
        let ended = following.clone();
        let follow = self.live.follow(Stream::Job(started.job_id), 0, move |event| {
            let EventKind::JobChanged { state, progress, error, .. } = &event.kind else { return };
            match state {
                JobState::Queued | JobState::Running => {
                    self.stage.set(Stage::Working(work, *progress));
                    return;
                }
                JobState::Succeeded => self.arrived(started.project_id, &[]),
                JobState::Cancelled => self.fail(stopped()),
                JobState::Failed | JobState::Dead => {
                    let why = error.clone().unwrap_or_else(|| "The import ended early. Nothing was imported; try again.".to_owned());
                    self.fail(Problem::new(ErrorCode::Invalid, why));
                }
            }
            drop(ended.take());
        });
        following.replace(Some(follow));
    }

    /// Stops what is under way; its own end then says that nothing is left of it.
    pub fn stop(self) {
        self.stopping.set(true);
        upload_send::stop(KEY);
        if let Some(job) = self.job.get_untracked() {
            self.cancel(job);
        }
    }

    fn cancel(self, job: JobId) {
        spawn_local(async move {
            // Refused when it has just ended: then that end is shown.
            if let Err(error) = api::jobs::cancel(job).await
                && error.code() != ErrorCode::Conflict
            {
                self.stopping.set(false);
                self.toasts.show(error.0.to_string());
            }
        });
    }

    fn fail(self, problem: Problem) {
        self.stage.set(Stage::Idle);
        self.busy.set(false);
        self.problem.set(Some(problem));
    }
}

fn stopped() -> Problem {
    Problem::new(ErrorCode::Unavailable, "Stopped. Nothing was imported.")
}

fn still_there(problem: Problem) -> Problem {
    let detail = format!("{} The project that was begun is in the list; delete it there.", problem.detail);
    Problem { detail, ..problem }
}

fn refusal(outcome: BatchOutcome) -> Option<String> {
    match outcome {
        BatchOutcome::Saved { .. } => None,
        BatchOutcome::Conflict { path, .. } => Some(format!("{path} was left out, since another file has its name.")),
        BatchOutcome::Refused { path, reason } => Some(format!("{path} was left out. {reason}")),
    }
}

fn archive_form(name: &str, storage: &str, file: &web_sys::File) -> Option<web_sys::FormData> {
    let form = web_sys::FormData::new().ok()?;
    form.append_with_str("name", name.trim()).ok()?;
    form.append_with_str("storage_backend", storage).ok()?;
    form.append_with_blob_and_filename("archive", file, &file.name()).ok()?;
    Some(form)
}

fn batch_form(batch: &[Picked]) -> Option<web_sys::FormData> {
    let form = web_sys::FormData::new().ok()?;
    let manifest: Vec<_> = batch.iter().map(|picked| serde_json::json!({ "path": picked.path, "base": "new" })).collect();
    form.append_with_str("manifest", &serde_json::to_string(&manifest).ok()?).ok()?;
    for picked in batch {
        form.append_with_blob_and_filename("file", &picked.file, "file").ok()?;
    }
    Some(form)
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

    #[test]
    fn what_is_shown_follows_the_stage() {
        assert_eq!(Stage::SendingFiles(1, 4, 10.0, 40.0).text(), "Sending, 1 of 4 files");
        assert_eq!(Stage::SendingFiles(1, 4, 10.0, 40.0).percent(), Some(25.0));
        assert_eq!(Stage::Working(Work::Cloning, JobProgress { done: 45, total: 100 }).text(), "Cloning the repository");
        assert_eq!(Stage::Working(Work::Cloning, JobProgress::default()).text(), "Waiting for a worker");
        assert_eq!(Stage::Sending(5.0, 5.0).text(), "Sent, the archive is being checked");
    }
}
