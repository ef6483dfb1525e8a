//! Renaming and deleting a project, from the list.

use leptos::prelude::*;
use wire::{
    Problem,
    projects::{Project, UpdateProject, validate_description, validate_name},
};

use crate::{
    api,
    ui::{Button, ButtonKind, Dialog, DialogActions, ErrorSummary, TextArea, TextField, format, use_toasts},
};

/// Changes name and description of the project in `target`; open while there is one.
#[component]
pub fn EditProjectDialog(target: RwSignal<Option<Project>>, #[prop(into)] on_saved: Callback<Project>) -> impl IntoView {
    let open = RwSignal::new(false);
    let name = RwSignal::new(String::new());
    let description = RwSignal::new(String::new());
    let problem = RwSignal::new(None::<Problem>);
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        if let Some(project) = target.get() {
            name.set(project.name);
            description.set(project.description);
            problem.set(None);
            open.set(true);
        }
    });
    Effect::new(move |_| {
        if !open.get() {
            target.set(None);
        }
    });
    let on_submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(project) = target.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        let (name, description) = (name.get_untracked(), description.get_untracked());
        let fields: Vec<_> = validate_name(&name).into_iter().chain(validate_description(&description)).collect();
        if !fields.is_empty() {
            problem.set(Some(Problem::invalid(fields)));
            return;
        }
        busy.set(true);
        leptos::task::spawn_local(async move {
            let request = UpdateProject { name: Some(name), description: Some(description), ..UpdateProject::default() };
            let saved = api::projects::update(project.id, request).await;
            busy.set(false);
            match saved {
                Ok(project) => {
                    open.set(false);
                    on_saved.try_run(project);
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    };
    let field = move |wanted: &'static str| Signal::derive(move || problem.with(|p| p.as_ref()?.field(wanted).map(str::to_owned)));
    let on_top = Signal::derive(move || problem.with(|p| p.as_ref().filter(|p| p.fields.is_empty()).map(ToString::to_string)));
    view! {
        <Dialog open=open title="Project details" locked=busy>
            <form novalidate=true on:submit=on_submit>
                <ErrorSummary message=on_top />
                <TextField label="Name" name="edit-name" bind=name error=field("name") autocomplete="off" autofocus=true />
                <TextArea label="Description" name="edit-description" bind=description error=field("description") optional=true />
                <DialogActions open=open busy=busy>"Save details"</DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

/// Deletes the project in `target` after its name was typed: it cannot be undone.
#[component]
pub fn DeleteProjectDialog(target: RwSignal<Option<Project>>, #[prop(into)] on_deleted: Callback<Project>) -> impl IntoView {
    let open = RwSignal::new(false);
    let typed = RwSignal::new(String::new());
    let error = RwSignal::new(None::<String>);
    let busy = RwSignal::new(false);
    let toasts = use_toasts();
    Effect::new(move |_| {
        if target.with(Option::is_some) {
            typed.set(String::new());
            error.set(None);
            open.set(true);
        }
    });
    Effect::new(move |_| {
        if !open.get() {
            target.set(None);
        }
    });
    let matches = Signal::derive(move || target.with(|t| t.as_ref().is_some_and(|t| t.name == typed.get().trim())));
    let title = Signal::derive(move || target.with(|t| t.as_ref().map(|t| format!("Delete {} for everyone?", t.name)).unwrap_or_default()));
    let what = move || {
        target.with(|t| {
            t.as_ref()
                .map(|t| {
                    let files = format::counted(t.file_count, "file", "files");
                    format!("{files}, {}, with all runs and conversations, go. This cannot be undone.", format::bytes(t.size_bytes))
                })
                .unwrap_or_default()
        })
    };
    let on_submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(project) = target.get_untracked().filter(|_| matches.get_untracked() && !busy.get_untracked()) else { return };
        busy.set(true);
        leptos::task::spawn_local(async move {
            let deleted = api::projects::delete(project.id).await;
            busy.set(false);
            match deleted {
                Ok(()) => {
                    open.set(false);
                    toasts.show(format!("Deleted {}", project.name));
                    on_deleted.try_run(project);
                }
                Err(refused) => error.set(Some(refused.to_string())),
            }
        });
    };
    view! {
        <Dialog open=open title=title locked=busy>
            <p class="t2">{what}</p>
            <form on:submit=on_submit>
                <ErrorSummary message=error />
                <TextField label="Type the name to confirm" name="confirm" bind=typed autocomplete="off" />
                <div class="acts end">
                    <Button disabled=busy attr:autofocus=true on_click=move |_| open.set(false)>"Keep it"</Button>
                    <Button
                        kind=ButtonKind::Danger
                        submit=true
                        busy=busy
                        disabled=Signal::derive(move || !matches.get())
                        title="Type the name of the project first"
                    >
                        "Delete project"
                    </Button>
                </div>
            </form>
        </Dialog>
    }
    .into_any()
}
