//! The dialog that makes a project: empty, or from an archive.

use std::{cell::RefCell, rc::Rc};

use leptos::{html, prelude::*, wasm_bindgen::JsCast, web_sys};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wire::{
    ErrorCode, Problem, ProjectId,
    event::{EventKind, Stream},
    jobs::{JobState, Progress as JobProgress},
    limits,
    projects::{CreateProject, ImportStarted, validate_description, validate_name},
};

use crate::{
    api,
    live::{Follow, Live, use_live},
    ui::{Button, ButtonKind, ButtonSize, Dialog, ErrorSummary, Progress, TextArea, TextField, format},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Empty,
    Archive,
}

thread_local! {
    /// The upload that runs, to stop it. One at a time: the dialog is locked meanwhile.
    static UPLOAD: RefCell<Option<web_sys::XmlHttpRequest>> = const { RefCell::new(None) };
}

fn stop_upload() {
    if let Some(request) = UPLOAD.take() {
        // Refused when it has just ended; then its own end is shown.
        let _ = request.abort();
    }
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Idle,
    /// Bytes sent, of all.
    Uploading(f64, f64),
    Unpacking(JobProgress),
}

/// Opens while `open` is true, at the way to start that `start` says. What is typed stays until a project was made.
#[component]
pub fn NewProjectDialog(open: RwSignal<bool>, start: RwSignal<Start>) -> impl IntoView {
    let name = RwSignal::new(String::new());
    let description = RwSignal::new(String::new());
    let problem = RwSignal::new(None::<Problem>);
    let busy = RwSignal::new(false);
    let stage = RwSignal::new(Stage::Idle);
    let file = NodeRef::<html::Input>::new();
    let file_name = RwSignal::new(None::<String>);
    let navigate = use_navigate();
    let opened = Callback::new(move |id: ProjectId| {
        open.set(false);
        name.set(String::new());
        description.set(String::new());
        file_name.set(None);
        navigate(&format!("/projects/{id}"), NavigateOptions::default());
    });
    let import = Import { stage, problem, busy, opened, live: use_live() };

    let on_submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let (name, description) = (name.get_untracked(), description.get_untracked());
        let empty = start.get_untracked() == Start::Empty;
        let mut fields: Vec<_> = validate_name(&name).into_iter().collect();
        if empty {
            fields.extend(validate_description(&description));
        }
        let chosen = file.get_untracked().and_then(|input| input.files()?.get(0));
        if !empty {
            fields.extend(refuse_file(chosen.as_ref()));
        }
        if !fields.is_empty() {
            problem.set(Some(Problem::invalid(fields)));
            return;
        }
        problem.set(None);
        if empty {
            busy.set(true);
            leptos::task::spawn_local(async move {
                let made = api::projects::create(CreateProject { name, description }).await;
                busy.set(false);
                match made {
                    Ok(project) => opened.run(project.id),
                    Err(error) => problem.set(Some(error.0)),
                }
            });
        } else if let Some(chosen) = chosen {
            import.upload(&name, &chosen);
        }
    };

    let on_file = move |_| {
        let chosen = file.get_untracked().and_then(|input| input.files()?.get(0));
        // A name that was made from the file before is not the person's own.
        let made = file_name.with_untracked(|before| before.as_deref().map(name_from_archive)).unwrap_or_default();
        if let Some(chosen) = &chosen
            && name.with_untracked(|name| name.trim().is_empty() || *name == made)
        {
            name.set(name_from_archive(&chosen.name()));
        }
        file_name.set(chosen.map(|chosen| chosen.name()));
    };
    let field = move |wanted: &'static str| Signal::derive(move || problem.with(|p| p.as_ref()?.field(wanted).map(str::to_owned)));
    let on_top = Signal::derive(move || problem.with(|p| p.as_ref().filter(|p| p.fields.is_empty()).map(ToString::to_string)));
    let choice = move |value: Start, label: &'static str| {
        view! {
            <button
                type="button"
                aria-pressed=move || if start.get() == value { "true" } else { "false" }
                disabled=move || busy.get()
                on:click=move |_| {
                    start.set(value);
                    problem.set(None);
                }
            >
                {label}
            </button>
        }
    };
    view! {
        <Dialog open=open title="New project" locked=busy>
            <span class="seg seg--l" role="group" aria-label="Start with">
                {choice(Start::Empty, "Empty")}
                {choice(Start::Archive, "Archive")}
            </span>
            <form novalidate=true on:submit=on_submit>
                <ErrorSummary message=on_top />
                <Show when=move || start.get() == Start::Archive>
                    <div class="field">
                        <label for="f-archive">"Archive"</label>
                        <input
                            id="f-archive"
                            type="file"
                            accept=".zip,.tar.gz,.tgz,application/zip,application/gzip"
                            node_ref=file
                            disabled=move || busy.get()
                            aria-invalid=move || field("archive").get().map(|_| "true")
                            aria-describedby="f-archive-note"
                            on:change=on_file
                        />
                        <p class=move || if field("archive").get().is_some() { "err" } else { "hint" } id="f-archive-note">
                            {move || {
                                field("archive")
                                    .get()
                                    .unwrap_or_else(|| format!("zip or tar.gz, up to {}.", format::bytes(limits::ARCHIVE_MAX as i64)))
                            }}
                        </p>
                    </div>
                </Show>
                <TextField label="Name" name="name" bind=name error=field("name") autocomplete="off" autofocus=true />
                <Show when=move || start.get() == Start::Empty>
                    <TextArea label="Description" name="description" bind=description error=field("description") optional=true />
                </Show>
                <Show when=move || stage.get() != Stage::Idle>
                    <Progress
                        label="Import"
                        text=Signal::derive(move || stage_text(stage.get()))
                        percent=Signal::derive(move || stage_percent(stage.get()))
                    >
                        <Show when=move || matches!(stage.get(), Stage::Uploading(..))>
                            <Button size=ButtonSize::Small on:click=move |_| stop_upload()>"Stop"</Button>
                        </Show>
                    </Progress>
                </Show>
                <div class="acts end">
                    <Button disabled=busy on:click=move |_| open.set(false)>
                        "Cancel"
                    </Button>
                    <Button kind=ButtonKind::Primary submit=true busy=busy>
                        {move || if start.get() == Start::Empty { "Create project" } else { "Import archive" }}
                    </Button>
                </div>
            </form>
        </Dialog>
    }
    .into_any()
}

/// The signals an import writes to, from the first byte sent to the last file unpacked.
#[derive(Clone, Copy)]
struct Import {
    stage: RwSignal<Stage>,
    problem: RwSignal<Option<Problem>>,
    busy: RwSignal<bool>,
    opened: Callback<ProjectId>,
    live: Live,
}

impl Import {
    /// Sends the archive. `fetch` reports no upload progress, so this is the older interface.
    fn upload(self, name: &str, file: &web_sys::File) {
        let request = web_sys::XmlHttpRequest::new().ok();
        let form = web_sys::FormData::new().ok();
        let (Some(request), Some(form)) = (request, form) else {
            self.fail(Problem::new(ErrorCode::Unavailable, "This browser refused to start the upload."));
            return;
        };
        let _ = form.append_with_str("name", name.trim());
        let _ = form.append_with_blob_and_filename("archive", file, &file.name());
        self.busy.set(true);
        self.stage.set(Stage::Uploading(0.0, file.size()));

        if let Ok(upload) = request.upload() {
            let on_progress =
                wasm_bindgen::closure::Closure::<dyn FnMut(web_sys::ProgressEvent)>::new(move |event: web_sys::ProgressEvent| {
                    self.stage.set(Stage::Uploading(event.loaded(), event.total()))
                });
            upload.set_onprogress(Some(on_progress.into_js_value().unchecked_ref()));
        }
        let answered = request.clone();
        let on_load = wasm_bindgen::closure::Closure::once_into_js(move || {
            let status = answered.status().unwrap_or(0);
            let body = answered.response_text().ok().flatten().unwrap_or_default();
            match read_answer(status, &body) {
                Ok(started) => self.follow(started),
                Err(problem) => self.fail(*problem),
            }
        });
        let on_error = wasm_bindgen::closure::Closure::once_into_js(move || {
            self.fail(Problem::new(
                ErrorCode::Unavailable,
                "The connection was lost during the upload. Nothing was imported; the archive on your computer is untouched. Try again.",
            ));
        });
        let on_abort = wasm_bindgen::closure::Closure::once_into_js(move || {
            self.fail(Problem::new(ErrorCode::Unavailable, "The upload was stopped. Nothing was imported."));
        });
        request.set_onabort(Some(on_abort.unchecked_ref()));
        request.set_onload(Some(on_load.unchecked_ref()));
        request.set_onerror(Some(on_error.unchecked_ref()));
        let sent = request.open_with_async("POST", "/api/projects/import", true).and_then(|()| {
            let _ = request.set_request_header("accept", "application/json");
            request.send_with_opt_form_data(Some(&form))
        });
        if sent.is_ok() {
            UPLOAD.set(Some(request));
        } else {
            self.fail(Problem::new(ErrorCode::Unavailable, "This browser refused to start the upload."));
        }
    }

    /// The archive arrived; follows the job that unpacks it.
    fn follow(self, started: ImportStarted) {
        self.stage.set(Stage::Unpacking(JobProgress::default()));
        let following = Rc::new(RefCell::new(None::<Follow>));
        let ended = following.clone();
        let follow = self.live.follow(Stream::Job(started.job_id), 0, move |event| {
            let EventKind::JobChanged { state, progress, error, .. } = &event.kind else { return };
            match state {
                JobState::Queued | JobState::Running => {
                    self.stage.set(Stage::Unpacking(*progress));
                    return;
                }
                JobState::Succeeded => {
                    self.stage.set(Stage::Idle);
                    self.busy.set(false);
                    self.opened.run(started.project_id);
                }
                JobState::Failed | JobState::Cancelled | JobState::Dead => {
                    let why = error.clone().unwrap_or_else(|| "The import was stopped.".to_owned());
                    self.fail(Problem::new(ErrorCode::Invalid, why));
                }
            }
            drop(ended.take());
        });
        following.replace(Some(follow));
    }

    fn fail(self, problem: Problem) {
        self.stage.set(Stage::Idle);
        self.busy.set(false);
        self.problem.set(Some(problem));
    }
}

fn read_answer(status: u16, body: &str) -> Result<ImportStarted, Box<Problem>> {
    if (200..300).contains(&status) {
        return serde_json::from_str(body)
            .map_err(|_| Problem::new(ErrorCode::Internal, "The server's answer could not be read. Look in the list of projects.").into());
    }
    Err(Box::new(serde_json::from_str(body).unwrap_or_else(|_| {
        Problem::new(ErrorCode::Unavailable, format!("The server answered {status}. Nothing was imported. Try again."))
    })))
}

fn refuse_file(file: Option<&web_sys::File>) -> Option<wire::FieldError> {
    let Some(file) = file else {
        return Some(wire::FieldError::new("archive", "Choose an archive."));
    };
    (file.size() > limits::ARCHIVE_MAX as f64).then(|| {
        let max = format::bytes(limits::ARCHIVE_MAX as i64);
        wire::FieldError::new("archive", format!("This archive is larger than {max}. Leave out what can be installed again."))
    })
}

/// `parcel-rates-main.tar.gz` becomes `parcel-rates-main`.
fn name_from_archive(file: &str) -> String {
    let lower = file.to_ascii_lowercase();
    let end = [".tar.gz", ".tgz", ".zip"].iter().find(|end| lower.ends_with(**end)).map_or(0, |end| end.len());
    file[..file.len() - end].to_owned()
}

fn stage_text(stage: Stage) -> String {
    match stage {
        Stage::Idle => String::new(),
        Stage::Uploading(sent, total) if sent < total => {
            format!("Sending, {} of {}", format::bytes(sent as i64), format::bytes(total as i64))
        }
        Stage::Uploading(..) => "Sent, the archive is being checked".to_owned(),
        Stage::Unpacking(JobProgress { total: 0, .. }) => "Waiting for a worker".to_owned(),
        Stage::Unpacking(JobProgress { done, total }) => {
            format!("Unpacking, {} of {}", format::bytes(done), format::bytes(total))
        }
    }
}

fn stage_percent(stage: Stage) -> Option<f64> {
    match stage {
        Stage::Uploading(sent, total) if total > 0.0 => Some(sent / total * 100.0),
        Stage::Unpacking(JobProgress { done, total }) if total > 0 => Some(done as f64 / total as f64 * 100.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_names_its_project() {
        assert_eq!(name_from_archive("parcel-rates-main.tar.gz"), "parcel-rates-main");
        assert_eq!(name_from_archive("Größe.ZIP"), "Größe");
        assert_eq!(name_from_archive("plain"), "plain");
    }

    #[test]
    fn a_refusal_without_a_problem_still_says_what_is_safe() {
        let problem = read_answer(502, "<html>bad gateway</html>").unwrap_err();
        assert!(problem.detail.contains("Nothing was imported"));
    }
}
