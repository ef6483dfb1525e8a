//! Archives of a project to take along: asking for one, following it, stopping it, downloading it.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ExportId, ProjectId,
    event::{EventKind, Stream},
    exports::{Export, StartExport},
    jobs::{JobState, Progress as JobProgress},
};

use crate::{
    api,
    live::{Follow, Live, use_live},
    ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize, Dialog, Icon, IconButton, Progress, RelativeTime, Toasts, format, use_toasts},
};

/// What the parts of the panel share.
#[derive(Clone, Copy)]
pub struct ExportDesk {
    project: ProjectId,
    exports: RwSignal<Vec<Export>>,
    loaded: RwSignal<bool>,
    busy: RwSignal<bool>,
    problem: RwSignal<Option<String>>,
    /// Ends with the panel.
    followed: StoredValue<Vec<(ExportId, Follow)>>,
    live: Live,
    toasts: Toasts,
}

impl ExportDesk {
    pub fn new(project: ProjectId) -> Self {
        Self {
            project,
            exports: RwSignal::new(Vec::new()),
            loaded: RwSignal::new(false),
            busy: RwSignal::new(false),
            problem: RwSignal::new(None),
            followed: StoredValue::new(Vec::new()),
            live: use_live(),
            toasts: use_toasts(),
        }
    }

    /// Reads the list and follows what is still being made.
    pub fn load(self) {
        spawn_local(async move {
            match api::exports::list(self.project).await {
                Ok(list) => {
                    let _ = self.exports.try_set(list.clone());
                    let _ = self.loaded.try_set(true);
                    list.into_iter().filter(|export| !export.state.is_finished()).for_each(|export| self.follow(&export));
                }
                Err(error) => drop(self.problem.try_set(Some(error.0.to_string()))),
            }
        });
    }

    fn start(self, history: bool) {
        self.busy.set(true);
        self.problem.set(None);
        spawn_local(async move {
            let started = api::exports::start(self.project, StartExport { history }).await;
            self.busy.set(false);
            match started {
                Ok(export) => {
                    self.exports.update(|list| list.insert(0, export.clone()));
                    self.follow(&export);
                }
                Err(error) => self.problem.set(Some(error.0.to_string())),
            }
        });
    }

    fn follow(self, export: &Export) {
        let id = export.id;
        if self.followed.try_with_value(|all| all.iter().any(|(known, _)| *known == id)) != Some(false) {
            return;
        }
        let follow = self.live.follow(Stream::Job(export.job_id), 0, move |event| {
            let EventKind::JobChanged { state, progress, error, .. } = &event.kind else { return };
            if *state == JobState::Succeeded {
                self.reread();
                return;
            }
            let _ = self.exports.try_update(|list| {
                if let Some(own) = list.iter_mut().find(|own| own.id == id) {
                    own.state = *state;
                    own.progress = *progress;
                    own.error = error.clone();
                }
            });
        });
        self.followed.update_value(|all| all.push((id, follow)));
    }

    fn reread(self) {
        spawn_local(async move {
            if let Ok(list) = api::exports::list(self.project).await {
                let _ = self.exports.try_set(list);
            }
        });
    }

    fn delete(self, id: ExportId) {
        spawn_local(async move {
            match api::exports::delete(id).await {
                Ok(()) => drop(self.exports.try_update(|list| list.retain(|export| export.id != id))),
                Err(error) => self.toasts.show(error.0.to_string()),
            }
        });
    }

    fn is_making(self) -> bool {
        self.exports.with(|list| list.iter().any(|export| !export.state.is_finished()))
    }
}

/// The panel in a dialog of its own; `target` is the project, and its name for the title.
#[component]
pub fn ExportDialog(target: RwSignal<Option<(ProjectId, String)>>) -> impl IntoView {
    let open = RwSignal::new(false);
    // Each follows the other only when it differs: else they would answer each other for ever.
    Effect::new(move |_| {
        let wanted = target.with(Option::is_some);
        if open.get_untracked() != wanted {
            open.set(wanted);
        }
    });
    Effect::new(move |_| {
        if !open.get() && target.with_untracked(Option::is_some) {
            target.set(None);
        }
    });
    let title = Signal::derive(move || target.with(|target| target.as_ref().map(|(_, name)| format!("Export {name}")).unwrap_or_default()));
    view! {
        <Dialog open=open title=title>
            {move || target.get().map(|(project, _)| view! { <ExportPanel project=project /> })}
            <div class="acts end">
                <Button on_click=move |_| open.set(false)>"Close"</Button>
            </div>
        </Dialog>
    }
    .into_any()
}

/// The panel as a card of the project's settings.
#[component]
pub fn ExportCard(project: ProjectId) -> impl IntoView {
    view! {
        <section class="card" aria-labelledby="export-title">
            <div class="card-head">
                <h2 id="export-title">"Export"</h2>
            </div>
            <div class="inset">
                <ExportPanel project=project />
            </div>
        </section>
    }
    .into_any()
}

/// What can be taken along of a project, and what has been made for the viewer.
#[component]
pub fn ExportPanel(project: ProjectId) -> impl IntoView {
    let desk = ExportDesk::new(project);
    let history = RwSignal::new(true);
    Effect::new(move |_| desk.load());
    let radio = move |value: bool, label: &'static str, text: &'static str| {
        view! {
            <label class="choice">
                <input
                    type="radio"
                    name="export-kind"
                    prop:checked=move || history.get() == value
                    on:change=move |_| history.set(value)
                />
                <span>
                    {label}
                    <span class="hint">{text}</span>
                </span>
            </label>
        }
    };
    view! {
        <div class="stack export">
            <fieldset class="field">
                <legend>"What goes along"</legend>
                {radio(true, "With history", "Versions, checkpoints, conversations and runs. Importing it makes an equal project.")}
                {radio(false, "Files only", "The files as they are now, in a plain zip.")}
            </fieldset>
            {move || {
                desk.problem
                    .get()
                    .map(|problem| {
                        view! {
                            <p class="err" role="alert">
                                <Icon name="circle-alert" small=true />
                                <span>{problem}</span>
                            </p>
                        }
                    })
            }}
            <div class="acts">
                <Button
                    kind=ButtonKind::Primary
                    icon="file-archive"
                    busy=desk.busy
                    disabled=Signal::derive(move || desk.is_making())
                    on_click=move |_| desk.start(history.get_untracked())
                >
                    "Make archive"
                </Button>
            </div>
            <ul class="items export-list" aria-label="Archives">
                <For each=move || desk.exports.with(|list| list.iter().map(|export| export.id).collect::<Vec<_>>()) key=|id| *id let:id>
                    <ExportRow desk=desk id=id />
                </For>
            </ul>
            <Show when=move || desk.loaded.get() && desk.exports.with(Vec::is_empty)>
                <p class="hint">"No archive yet. One that is made stays here for a day, for you alone."</p>
            </Show>
        </div>
    }
    .into_any()
}

#[component]
fn ExportRow(desk: ExportDesk, id: ExportId) -> impl IntoView {
    let own = Memo::new(move |_| desk.exports.with(|list| list.iter().find(|export| export.id == id).cloned()));
    let is_finished = Memo::new(move |_| own.with(|own| own.as_ref().is_some_and(|export| export.state.is_finished())));
    let progress = move || own.with(|own| own.as_ref().map(|export| export.progress).unwrap_or_default());
    let text = move || match progress() {
        JobProgress { total: 0, .. } => "Waiting for a worker".to_owned(),
        JobProgress { done, total } => format!("Packing, {} of {}", format::bytes(done), format::bytes(total)),
    };
    let percent = move || Some(progress()).filter(|p| p.total > 0).map(|p| p.done as f64 / p.total as f64 * 100.0);
    view! {
        <li class="export-row">
            {move || {
                if is_finished.get() {
                    own.get().map(|export| view! { <Made desk=desk export=export /> }).into_any()
                } else {
                    view! {
                        <Progress label="Export" text=Signal::derive(text) percent=Signal::derive(percent)>
                            <Button size=ButtonSize::Small on_click=move |_| desk.delete(id)>
                                "Stop"
                            </Button>
                        </Progress>
                    }
                        .into_any()
                }
            }}
        </li>
    }
    .into_any()
}

/// An archive whose job has ended, well or not.
#[component]
fn Made(desk: ExportDesk, export: Export) -> impl IntoView {
    let id = export.id;
    let made = export.can_be_downloaded();
    let sub = describe(&export);
    let name = export.filename.clone();
    let label = format!("Delete {name}");
    view! {
        <Icon name="file-archive" />
        <span class="grow clip">
            {if made {
                let href = format!("/api/exports/{id}/archive");
                let shown = name.clone();
                view! {
                    <a class="clip" href=href download=name rel="external">
                        {shown}
                    </a>
                }
                    .into_any()
            } else {
                view! { <span class="clip">{name}</span> }.into_any()
            }}
            <span class="sub fs12 t2">{sub}</span>
        </span>
        {(!made).then(|| view! { <Badge kind=BadgeKind::Bad icon="circle-x">"Not made"</Badge> })}
        <RelativeTime at=export.created_at />
        <IconButton icon="trash-2" label=label small=true on_click=move |_| desk.delete(id) />
    }
    .into_any()
}

fn describe(export: &Export) -> String {
    let kind = if export.history { "With history" } else { "Files only" };
    match (export.can_be_downloaded(), &export.error) {
        (true, _) => {
            format!("{kind}, {}", format::bytes(export.size.unwrap_or_default()))
        }
        (false, Some(error)) => error.clone(),
        (false, None) => "Stopped. Nothing was made.".to_owned(),
    }
}
