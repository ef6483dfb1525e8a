//! Uploads with progress. A file that exists already is never replaced without being asked about.

use leptos::{prelude::*, web_sys};
use wire::files::check_path;

use crate::{
    components::{ide::Ide, project_feed, tree_model::join},
    ui::{Button, ButtonKind, ButtonSize, Dialog, IconButton, Progress, format},
};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum UploadState {
    Sending,
    /// The path exists; the checksum is that of the file there.
    Exists(String),
    Failed(String),
}

#[derive(Debug, Clone)]
struct Upload {
    id: u64,
    path: String,
    file: StoredValue<web_sys::File, LocalStorage>,
    sent: f64,
    total: f64,
    state: UploadState,
}

/// The uploads of this page.
#[derive(Clone, Copy)]
pub struct Uploads {
    ide: Ide,
    items: RwSignal<Vec<Upload>>,
    next: StoredValue<u64>,
}

impl Uploads {
    pub fn new(ide: Ide) -> Self {
        Self { ide, items: RwSignal::new(Vec::new()), next: StoredValue::new(1) }
    }

    /// Sends files into a directory (empty for the root).
    pub fn add(self, files: &web_sys::FileList, directory: &str) {
        for file in (0..files.length()).filter_map(|i| files.item(i)) {
            let path = join(directory, &file.name());
            let id = self.next.get_value();
            self.next.set_value(id + 1);
            let state = match check_path(&path) {
                Ok(()) => UploadState::Sending,
                Err(reason) => UploadState::Failed(reason.to_owned()),
            };
            let valid = state == UploadState::Sending;
            let total = file.size();
            self.items.update(|items| items.push(Upload { id, path, file: StoredValue::new_local(file), sent: 0.0, total, state }));
            if valid {
                self.send(id, None);
            }
        }
    }

    fn update(self, id: u64, change: impl FnOnce(&mut Upload)) {
        self.items.try_update(|items| {
            if let Some(upload) = items.iter_mut().find(|upload| upload.id == id) {
                change(upload);
            }
        });
    }

    fn remove(self, id: u64) {
        self.items.try_update(|items| items.retain(|upload| upload.id != id));
    }

    /// Sends one file; `replaces` is the checksum of the file it takes the place of.
    fn send(self, id: u64, replaces: Option<String>) {
        let Some(upload) = self.items.with_untracked(|items| items.iter().find(|u| u.id == id).cloned()) else { return };
        self.update(id, |upload| upload.state = UploadState::Sending);
        let url = self.ide.file_url(&upload.path);
        let file = upload.file.get_value();
        let precondition = match &replaces {
            None => ("If-None-Match", "*".to_owned()),
            Some(checksum) => ("If-Match", format!("\"{checksum}\"")),
        };
        let progress = move |sent, total| {
            self.update(id, |upload| {
                upload.sent = sent;
                upload.total = total;
            });
        };
        request::put(&url, &file, precondition, progress, move |answer| self.finish(id, answer));
    }

    fn finish(self, id: u64, answer: Answer) {
        if self.ide.is_gone() {
            return;
        }
        match answer.status {
            200..=299 => {
                self.remove(id);
                project_feed::reload_tree_soon(self.ide);
            }
            412 | 409 | 428 => {
                let path = self.items.with_untracked(|items| items.iter().find(|u| u.id == id).map(|u| u.path.clone()));
                let checksum = answer.checksum.or_else(|| Some(self.ide.entry(&path?)?.checksum)).unwrap_or_default();
                self.update(id, |upload| upload.state = UploadState::Exists(checksum));
            }
            _ => self.update(id, |upload| upload.state = UploadState::Failed(answer.detail)),
        }
    }

    fn first_existing(self) -> Option<(u64, String, String)> {
        self.items.with(|items| {
            items.iter().find_map(|upload| match &upload.state {
                UploadState::Exists(checksum) => Some((upload.id, upload.path.clone(), checksum.clone())),
                _ => None,
            })
        })
    }
}

/// What the server said. `checksum` is that of the file already there.
struct Answer {
    status: u16,
    detail: String,
    checksum: Option<String>,
}

/// Progress of what is being sent, what failed, and the question about files that exist.
#[component]
pub fn UploadList(uploads: Uploads) -> impl IntoView {
    let asked = Memo::new(move |_| uploads.first_existing());
    let open = RwSignal::new(false);
    Effect::new(move |_| open.set(asked.with(Option::is_some)));
    // Esc and every other way out of the dialog keep the file that is there.
    Effect::new(move |was: Option<bool>| {
        let is = open.get();
        if was == Some(true)
            && !is
            && let Some((id, ..)) = asked.get_untracked()
        {
            uploads.remove(id);
        }
        is
    });
    let replace = move |_| {
        if let Some((id, _, checksum)) = asked.get_untracked() {
            uploads.send(id, Some(checksum));
        }
    };
    let title =
        Signal::derive(move || asked.with(|asked| asked.as_ref().map(|(_, path, _)| format!("{path} exists already")).unwrap_or_default()));
    view! {
        <Show when=move || uploads.items.with(|items| !items.is_empty())>
            <ul class="uploads" aria-label="Uploads">
                <For each=move || uploads.items.get() key=|upload| (upload.id, upload.state.clone()) let:upload>
                    <UploadRow uploads=uploads upload=upload />
                </For>
            </ul>
        </Show>
        <Dialog open=open title=title>
            <p class="t2">"Replacing it makes a new version; the one that is there stays in its history."</p>
            <div class="acts">
                <Button on:click=move |_| open.set(false) attr:autofocus=true>"Keep the file that is there"</Button>
                <Button kind=ButtonKind::Danger on:click=replace>"Replace it"</Button>
            </div>
        </Dialog>
    }
}

#[component]
fn UploadRow(uploads: Uploads, upload: Upload) -> impl IntoView {
    let Upload { id, path, state, .. } = upload;
    let now = Memo::new(move |_| uploads.items.with(|items| items.iter().find(|u| u.id == id).map_or((0.0, 0.0), |u| (u.sent, u.total))));
    let label = path.clone();
    let text = Signal::derive(move || {
        let (sent, total) = now.get();
        format!("{label}, {} of {}", format::bytes(sent as i64), format::bytes(total as i64))
    });
    let percent = Signal::derive(move || {
        let (sent, total) = now.get();
        (total > 0.0).then(|| sent / total * 100.0)
    });
    view! {
        <li>
            {match state {
                UploadState::Failed(reason) => {
                    view! {
                        <span class="grow c-bad fs12">{format!("{path} was not uploaded. {reason}")}</span>
                        <Button size=ButtonSize::Small on:click=move |_| uploads.send(id, None)>"Try again"</Button>
                        <IconButton icon="x" label="Dismiss" small=true on:click=move |_| uploads.remove(id) />
                    }
                        .into_any()
                }
                UploadState::Exists(_) => view! { <span class="grow t2 fs12">{format!("{path} exists already")}</span> }.into_any(),
                UploadState::Sending => view! { <Progress label="Upload" text=text percent=percent /> }.into_any(),
            }}
        </li>
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod request {
    use super::{Answer, web_sys};

    pub fn put(_: &str, _: &web_sys::File, _: (&str, String), _: impl Fn(f64, f64) + 'static, done: impl FnOnce(Answer) + 'static) {
        done(Answer { status: 0, detail: String::new(), checksum: None });
    }
}

#[cfg(target_arch = "wasm32")]
mod request {
    use leptos::web_sys::{File, ProgressEvent, XmlHttpRequest};
    use wasm_bindgen::{JsCast, JsValue, closure::Closure};
    use wire::Problem;

    use super::Answer;

    /// Not `fetch`: it cannot tell how much of a body was sent.
    pub fn put(
        url: &str,
        file: &File,
        precondition: (&str, String),
        progress: impl Fn(f64, f64) + 'static,
        done: impl FnOnce(Answer) + 'static,
    ) {
        let Ok(xhr) = XmlHttpRequest::new() else {
            return done(answer(0, ""));
        };
        let prepare = || -> Result<(), JsValue> {
            xhr.open("PUT", url)?;
            xhr.set_request_header(precondition.0, &precondition.1)?;
            xhr.set_request_header("content-type", "application/octet-stream")?;
            xhr.upload()?.set_onprogress(Some(
                Closure::<dyn FnMut(ProgressEvent)>::new(move |event: ProgressEvent| progress(event.loaded(), event.total()))
                    .into_js_value()
                    .unchecked_ref(),
            ));
            Ok(())
        };
        if prepare().is_err() {
            return done(answer(0, ""));
        }
        let finished = xhr.clone();
        let on_end = Closure::once_into_js(move || {
            let body = finished.response_text().ok().flatten().unwrap_or_default();
            done(answer(finished.status().unwrap_or(0), &body));
        });
        xhr.set_onloadend(Some(on_end.unchecked_ref()));
        // A failure to send ends in `loadend` with status 0.
        let _ = xhr.send_with_opt_blob(Some(file));
    }

    fn answer(status: u16, body: &str) -> Answer {
        let problem: Option<Problem> = serde_json::from_str(body).ok();
        let checksum = problem.as_ref().and_then(|p| p.current.as_ref()?.get("checksum")?.as_str().map(str::to_owned));
        let detail = match problem {
            Some(problem) => problem.to_string(),
            None if status == 0 => "The connection was lost; nothing was written.".to_owned(),
            None => format!("The server answered with status {status}; nothing was written."),
        };
        Answer { status, detail, checksum }
    }
}
