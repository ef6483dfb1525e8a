//! Where a project's files are kept, and moving them elsewhere.

use std::time::Duration;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ProjectId,
    projects::{Project, ProjectRole},
    storage::{MoveStorage, ProjectStorage, StorageChoices, storage_label},
};

use crate::{
    api::{self, ApiError},
    ui::{Button, ButtonSize, Icon, Progress, format, use_toasts},
};

/// While a project moves, how often it is asked how far it is.
const REFRESH: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
struct Desk {
    project: ProjectId,
    may_move: bool,
    /// `None` until it was read.
    shown: RwSignal<Option<ProjectStorage>>,
    problem: RwSignal<Option<String>>,
    busy: RwSignal<bool>,
    toasts: crate::ui::Toasts,
}

impl Desk {
    fn read(self) {
        spawn_local(async move { self.show(api::storage::of_project(self.project).await) });
    }

    /// The end of a move that was looked at is said once.
    fn show(self, read: Result<ProjectStorage, ApiError>) {
        match read {
            Ok(now) => {
                let was_moving = self.shown.try_with_untracked(|shown| shown.as_ref().and_then(|shown| shown.move_to.clone())).flatten();
                if was_moving.as_deref() == Some(&*now.backend) {
                    self.toasts.show(format!("The files are on {} now", in_sentence(&now.backend)));
                }
                // Gone with the page while it was asked.
                let _ = self.shown.try_set(Some(now));
                let _ = self.problem.try_set(None);
            }
            Err(error) => drop(self.problem.try_set(Some(error.to_string()))),
        }
    }

    fn begin(self, to: String) {
        self.act(async move { api::storage::start_move(self.project, MoveStorage { to }).await });
    }

    fn cancel(self) {
        let Some(job) = self.shown.with_untracked(|shown| shown.as_ref().and_then(|shown| shown.move_job.as_ref().map(|job| job.id)))
        else {
            return;
        };
        self.act(async move {
            api::jobs::cancel(job).await?;
            api::storage::of_project(self.project).await
        });
    }

    fn act(self, asked: impl Future<Output = Result<ProjectStorage, ApiError>> + 'static) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        spawn_local(async move {
            let answer = asked.await;
            if self.busy.try_set(false).is_none() {
                self.show(answer);
            }
        });
    }
}

/// As it stands inside a sentence.
fn in_sentence(backend: &str) -> String {
    match storage_label(backend) {
        "This server's disk" => "this server's disk".to_owned(),
        other => other.to_owned(),
    }
}

/// The card of a project's settings.
#[component]
pub fn StorageCard(project: Project) -> impl IntoView {
    let desk = Desk {
        project: project.id,
        may_move: project.role >= ProjectRole::Owner,
        shown: RwSignal::new(None),
        problem: RwSignal::new(None),
        busy: RwSignal::new(false),
        toasts: use_toasts(),
    };
    let first = StoredValue::new(project.storage_backend);
    let backend =
        Memo::new(move |_| desk.shown.with(|shown| shown.as_ref().map_or_else(|| first.get_value(), |shown| shown.backend.clone())));
    let moving = Memo::new(move |_| desk.shown.with(|shown| shown.as_ref().and_then(|shown| shown.move_to.clone())));
    let failed = move || desk.shown.with(|shown| shown.as_ref().and_then(|shown| shown.last_error.clone()));
    Effect::new(move |_| desk.read());
    keep_fresh(desk, moving);
    view! {
        <section class="card" aria-labelledby="storage-title">
            <div class="card-head">
                <h2 id="storage-title">"Where the files are"</h2>
            </div>
            <div class="stack net-body">
                <p class="row">
                    <Icon name="hard-drive" />
                    <span class="strong">{move || storage_label(&backend.get())}</span>
                </p>
                {move || desk.problem.get().map(|text| notice("This could not be done.", text))}
                {move || {
                    failed().map(|text| notice("The last move did not come to its end.", text))
                }}
                <Show when=move || moving.with(Option::is_some) fallback=move || view! { <Moves desk=desk backend=backend /> }>
                    <Moving desk=desk moving=moving />
                </Show>
            </div>
        </section>
    }
    .into_any()
}

fn notice(title: &'static str, text: String) -> impl IntoView {
    view! {
        <p class="row net-note" role="status">
            <span class="c-warn mark-icon">
                <Icon name="triangle-alert" small=true />
            </span>
            <span>
                <b>{title}</b>
                " "
                {text}
            </span>
        </p>
    }
}

/// One button for each other storage there is.
#[component]
fn Moves(desk: Desk, backend: Memo<String>) -> impl IntoView {
    let others = Memo::new(move |_| {
        let all = desk.shown.with(|shown| shown.as_ref().map(|shown| shown.choices.backends.clone()).unwrap_or_default());
        all.into_iter().filter(|other| *other != backend.get()).collect::<Vec<_>>()
    });
    let offered = move || desk.may_move && others.with(|others| !others.is_empty());
    view! {
        <Show when=offered>
            <p class="t2">
                "A move copies every file and every earlier version. Everybody can go on working meanwhile, and nothing is taken away before all of it has arrived."
            </p>
            <div class="row wrap-row">
                <For each=move || others.get() key=Clone::clone let:other>
                    {
                        let to = other.clone();
                        view! {
                            <Button icon="hard-drive" busy=desk.busy on_click=move |_| desk.begin(to.clone())>
                                {format!("Move to {}", in_sentence(&other))}
                            </Button>
                        }
                    }
                </For>
            </div>
        </Show>
        <Show when=move || !desk.may_move && others.with(|others| !others.is_empty())>
            <p class="hint">"Only the project's owner can move it."</p>
        </Show>
    }
    .into_any()
}

#[component]
fn Moving(desk: Desk, moving: Memo<Option<String>>) -> impl IntoView {
    let progress = Memo::new(move |_| {
        desk.shown.with(|shown| shown.as_ref().and_then(|shown| shown.move_job.as_ref()).map(|job| job.progress)).unwrap_or_default()
    });
    let text = move || {
        let to = moving.get().map(|to| in_sentence(&to)).unwrap_or_default();
        match progress.get() {
            known if known.total > 0 => {
                format!("Moving to {to}: {} of {} contents", format::count(known.done), format::count(known.total))
            }
            _ => format!("Moving to {to}: waiting to begin"),
        }
    };
    let setback = move || {
        let failed = desk.shown.with(|shown| shown.as_ref().and_then(|shown| shown.move_job.as_ref()).and_then(|job| job.error.clone()));
        failed.map(|reason| format!("{reason} It is tried again by itself."))
    };
    let percent = move || progress.with(|known| (known.total > 0).then(|| known.done as f64 * 100.0 / known.total as f64));
    view! {
        <Progress label="Move of the project" text=Signal::derive(text) percent=Signal::derive(percent)>
            {desk
                .may_move
                .then(|| {
                    view! {
                        <Button size=ButtonSize::Small busy=desk.busy on_click=move |_| desk.cancel()>
                            "Cancel"
                        </Button>
                    }
                })}
        </Progress>
        {move || setback().map(|text| view! { <p class="hint" role="status">{text}</p> })}
    }
    .into_any()
}

/// Asks again as long as the project moves and the page is looked at.
fn keep_fresh(desk: Desk, moving: Memo<Option<String>>) {
    Effect::new(move |_| {
        if moving.with(Option::is_none) {
            return;
        }
        let timer = set_interval_with_handle(
            move || {
                if !document().hidden() && desk.busy.try_get_untracked() == Some(false) {
                    desk.read();
                }
            },
            REFRESH,
        );
        if let Ok(timer) = timer {
            on_cleanup(move || timer.clear());
        }
    });
}

/// Where a new project's files go: shown only where there is a choice. `bind` stays empty for the default.
#[component]
pub fn StorageChoice(bind: RwSignal<String>, #[prop(into)] disabled: Signal<bool>) -> impl IntoView {
    let choices = RwSignal::new(None::<StorageChoices>);
    Effect::new(move |_| {
        spawn_local(async move {
            // Without an answer the default is taken, which is always right.
            if let Ok(known) = api::storage::choices().await {
                let _ = choices.try_set(Some(known));
            }
        });
    });
    let known = move || choices.get().filter(|known| known.backends.len() > 1);
    move || {
        known().map(|known| {
            let default = StoredValue::new(known.default.clone());
            let chosen = move || Some(bind.get()).filter(|name| !name.is_empty()).unwrap_or_else(|| default.get_value());
            view! {
                <div class="field">
                    <label for="storage-choice">"Keep the files on"</label>
                    <select
                        id="storage-choice"
                        class="select"
                        prop:value=chosen
                        disabled=move || disabled.get()
                        on:change:target=move |event| bind.set(event.target().value())
                    >
                        {known
                            .backends
                            .into_iter()
                            .map(|name| {
                                let is_chosen = name == untrack(chosen);
                                view! { <option value=name.clone() selected=is_chosen>{storage_label(&name)}</option> }
                            })
                            .collect_view()}
                    </select>
                </div>
            }
        })
    }
}
