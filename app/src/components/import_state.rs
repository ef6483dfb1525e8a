//! How a new project is filled: what the browser sends, the job that goes on with it, and how either is stopped.

use std::{cell::RefCell, rc::Rc};

use leptos::{prelude::*, task::spawn_local, web_sys};
use wire::{
    ErrorCode, JobId, Problem, ProjectId,
    event::{EventKind, Stream},
    imports::{ImportGit, StartImport},
    jobs::{JobState, Progress as JobProgress},
    projects::ImportStarted,
};

use super::{
    import_files::{self, LeftOut, Sent},
    upload_pick::Picked,
    upload_send::{self, Answer, Payload},
};
use crate::{
    api,
    live::{Follow, Live},
    ui::{Toasts, format},
};

/// The request that is under way. One at a time: the dialog is locked meanwhile.
pub(super) const KEY: u64 = u64::MAX;
/// Percent of a folder's import that are its files' way here; the rest is the job's.
const SENT: f64 = 90.0;
/// The job goes on whether anybody hears of it or not.
const UNHEARD: &str =
    "The connection was lost. The import may go on: it is shown again once the connection is back, or look in the list of projects.";

/// What the job of an import does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Unpacking,
    Cloning,
    /// Makes the project of files that were sent.
    Filing,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    Idle,
    /// Bytes sent, of all.
    Sending(f64, f64),
    /// Files of a folder sent, of all; bytes sent, of all.
    SendingFiles(usize, usize, f64, f64),
    /// The connection was lost, or the server is busy: goes on from bytes sent, of all.
    Again(f64, f64),
    Working(Work, JobProgress),
}

impl Stage {
    /// While the page is not connected, what the job does is not known.
    pub fn text(self, is_connected: bool) -> String {
        let of = |done: i64, total: i64| format!("{} of {}", format::bytes(done), format::bytes(total));
        match self {
            Self::Idle => String::new(),
            Self::Sending(sent, total) if sent < total => format!("Sending, {}", of(sent as i64, total as i64)),
            Self::Sending(..) => "Sent, the archive is being checked".to_owned(),
            Self::SendingFiles(done, files, ..) => {
                format!("Sending, {} of {}", format::count(done as i64), format::counted(files as i64, "file", "files"))
            }
            Self::Again(..) => "The server did not answer, trying again".to_owned(),
            Self::Working(..) if !is_connected => UNHEARD.to_owned(),
            Self::Working(_, JobProgress { total: 0, .. }) => "Waiting for a worker".to_owned(),
            Self::Working(Work::Filing, _) => "All files are sent, the project is being made".to_owned(),
            Self::Working(Work::Cloning, JobProgress { total: 100, .. }) => "Cloning the repository".to_owned(),
            Self::Working(_, JobProgress { done, total }) => format!("Unpacking, {}", of(done, total)),
        }
    }

    /// Whether nothing of an archive is left to be sent.
    fn is_sent_whole(self) -> bool {
        matches!(self, Self::Sending(sent, total) if sent >= total)
    }

    pub fn percent(self) -> Option<f64> {
        match self {
            Self::Sending(sent, total) if total > 0.0 => Some(sent / total * 100.0),
            Self::SendingFiles(_, _, sent, total) | Self::Again(sent, total) if total > 0.0 => Some(sent / total * SENT),
            Self::Working(Work::Filing, JobProgress { done, total }) => Some(SENT + done as f64 / total.max(1) as f64 * (100.0 - SENT)),
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
    /// Files that could not be taken.
    pub left_out: RwSignal<Vec<LeftOut>>,
    /// A project that lacks some, until it is opened.
    pub made: RwSignal<Option<ProjectId>>,
    /// The import that files are sent to.
    pub(super) staged: RwSignal<Option<ProjectId>>,
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
            left_out: RwSignal::new(Vec::new()),
            made: RwSignal::new(None),
            staged: RwSignal::new(None),
            opened,
            toasts,
            live,
            job: RwSignal::new(None),
            stopping: RwSignal::new(false),
        }
    }

    /// Whether news of the job arrive.
    pub fn is_connected(self) -> Signal<bool> {
        self.live.connected()
    }

    pub fn is_stopping(self) -> Signal<bool> {
        self.stopping.into()
    }

    /// Also when the page has gone that it was begun on.
    pub(super) fn is_stopped(self) -> bool {
        self.stopping.try_get_untracked().unwrap_or(true)
    }

    /// Whether bytes are on their way that leaving the page would lose.
    pub fn is_sending(self) -> bool {
        let stage = self.stage.try_get_untracked().unwrap_or(Stage::Idle);
        matches!(stage, Stage::Sending(..) | Stage::SendingFiles(..) | Stage::Again(..))
    }

    fn is_sent_whole(self) -> bool {
        self.stage.try_get_untracked().is_some_and(Stage::is_sent_whole)
    }

    fn begin(self, stage: Stage) {
        self.problem.set(None);
        self.left_out.set(Vec::new());
        self.made.set(None);
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
                // All of it may have arrived, and only the answer be lost.
                None if self.is_stopped() && answer.problem().is_none() && self.is_sent_whole() => self.fail(stopped_too_late()),
                None => self.fail(self.why_not_sent(&answer, true)),
            }
        });
    }

    /// `may_go_on`: the server may have all that it needs.
    pub(super) fn why_not_sent(self, answer: &Answer, may_go_on: bool) -> Problem {
        if self.is_stopped() {
            return stopped();
        }
        answer.problem().unwrap_or_else(|| Problem::new(ErrorCode::Unavailable, unanswered(answer.status, may_go_on)))
    }

    /// Begins a clone and follows its job.
    pub fn git(self, request: ImportGit) {
        self.begin(Stage::Working(Work::Cloning, JobProgress::default()));
        spawn_local(async move {
            match api::imports::git(request).await {
                Ok(started) => self.follow(Work::Cloning, started),
                Err(error) if error.is_unreachable() => self.fail(Problem::new(ErrorCode::Unavailable, unanswered(0, true))),
                Err(error) => self.fail(error.0),
            }
        });
    }

    /// Sends the files batch by batch and follows the job that makes a project of them.
    pub fn folder(self, request: StartImport, files: Vec<Picked>) {
        self.begin(Stage::SendingFiles(0, files.len(), 0.0, request.bytes as f64));
        spawn_local(async move {
            match import_files::send_all(self, request, files).await {
                Ok(Sent::Started(started)) => self.follow(Work::Filing, started),
                Ok(Sent::Made(project)) => self.arrived(project),
                Err(problem) => self.fail(problem),
            }
        });
    }

    pub(super) fn leave_out(self, files: Vec<LeftOut>) {
        if !files.is_empty() {
            self.left_out.update(|all| all.extend(files));
        }
    }

    /// A project that lacks files is opened once somebody has seen which.
    fn arrived(self, project: ProjectId) {
        self.stage.set(Stage::Idle);
        self.busy.set(false);
        if self.left_out.with_untracked(Vec::is_empty) {
            self.opened.run(project);
        } else {
            self.made.set(Some(project));
        }
    }

    /// Opens what [`Self::made`] holds.
    pub fn open_made(self) {
        if let Some(project) = self.made.get_untracked() {
            self.made.set(None);
            self.left_out.set(Vec::new());
            self.opened.run(project);
        }
    }

    /// The page goes: what was sent of a folder goes with it.
    pub fn leave(self) {
        if let Some(id) = self.staged.try_get_untracked().flatten() {
            import_files::give_up_on_leave(id);
        }
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
                JobState::Succeeded => self.arrived(started.project_id),
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

/// What is known where the server gave no answer of its own; status 0 is none at all.
fn unanswered(status: u16, may_go_on: bool) -> String {
    let what = match status {
        0 => "The connection was lost.".to_owned(),
        status => format!("The server answered {status}."),
    };
    let then = if may_go_on {
        "The import may go on: look in the list of projects before you try again."
    } else {
        "Nothing was imported, and what is on your computer is untouched. Try again."
    };
    format!("{what} {then}")
}

pub(super) fn stopped() -> Problem {
    Problem::new(ErrorCode::Unavailable, "Stopped. Nothing was imported.")
}

/// Nobody said whether the server had begun with what was sent.
fn stopped_too_late() -> Problem {
    let detail = "Stopped, but the whole archive had been sent already. The import may go on: it is then under “Running now” beside the \
                  list of projects, where it can be stopped.";
    Problem::new(ErrorCode::Unavailable, detail)
}

fn archive_form(name: &str, storage: &str, file: &web_sys::File) -> Option<web_sys::FormData> {
    let form = web_sys::FormData::new().ok()?;
    form.append_with_str("name", name.trim()).ok()?;
    form.append_with_str("storage_backend", storage).ok()?;
    form.append_with_blob_and_filename("archive", file, &file.name()).ok()?;
    Some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_follows_the_stage() {
        assert_eq!(Stage::SendingFiles(1, 4, 10.0, 40.0).text(true), "Sending, 1 of 4 files");
        assert_eq!(Stage::SendingFiles(1, 4, 10.0, 40.0).percent(), Some(22.5));
        assert_eq!(Stage::Again(10.0, 40.0).percent(), Some(22.5));
        assert_eq!(Stage::Working(Work::Filing, JobProgress::default()).percent(), Some(90.0));
        assert_eq!(Stage::Working(Work::Filing, JobProgress { done: 1, total: 2 }).percent(), Some(95.0));
        assert_eq!(Stage::Working(Work::Cloning, JobProgress { done: 45, total: 100 }).text(true), "Cloning the repository");
        assert_eq!(Stage::Working(Work::Cloning, JobProgress::default()).text(true), "Waiting for a worker");
        assert_eq!(Stage::Sending(5.0, 5.0).text(true), "Sent, the archive is being checked");
    }

    #[test]
    fn nothing_is_claimed_of_a_job_that_is_not_heard_of() {
        let unpacking = Stage::Working(Work::Unpacking, JobProgress { done: 1, total: 2 });
        assert!(unpacking.text(false).contains("may go on") && !unpacking.text(true).contains("may go on"));
        assert_eq!(Stage::Sending(1.0, 2.0).text(false), Stage::Sending(1.0, 2.0).text(true), "a request under way ends by itself");
        assert!(unanswered(0, true).starts_with("The connection was lost. The import may go on"));
        assert!(unanswered(502, true).starts_with("The server answered 502. The import may go on"));
        assert!(Stage::Sending(2.0, 2.0).is_sent_whole() && !Stage::Sending(1.0, 2.0).is_sent_whole());
        assert!(!stopped_too_late().detail.contains("Nothing was imported") && stopped().detail.contains("Nothing was imported"));
        assert!(unanswered(0, false).contains("Nothing was imported") && !unanswered(0, true).contains("Nothing was imported"));
    }
}
