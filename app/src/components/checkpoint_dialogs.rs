//! Making, naming, deleting and forking, asked for from anywhere on the project page.

use leptos::{ev, prelude::*, task::spawn_local};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wire::{
    Problem, ProjectId,
    checkpoints::{Checkpoint, CreateCheckpoint, ForkProject, UpdateCheckpoint, validate_name},
    projects,
};

use super::{
    checkpoint_state::Ask,
    ide::{Ide, use_ide},
};
use crate::{
    api,
    ui::{Button, ButtonKind, Dialog, DialogActions, ErrorSummary, TextField},
};

/// The dialog for what `ide.checkpoints.ask` holds.
#[component]
pub fn CheckpointDialogs() -> impl IntoView {
    let ide = use_ide();
    let ask = ide.checkpoints.ask;
    let open = RwSignal::new(false);
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        if ask.with(Option::is_some) {
            open.set(true);
        }
    });
    Effect::new(move |_| {
        if !open.get() {
            ask.set(None);
        }
    });
    // The title stays while the dialog closes.
    let title = Memo::new(move |before: Option<&String>| match (ask.get(), before) {
        (Some(ask), _) => title_of(ide, &ask),
        (None, before) => before.cloned().unwrap_or_default(),
    });
    view! {
        <Dialog open=open title=title locked=busy>
            {move || match ask.get() {
                Some(Ask::Delete(checkpoint)) => {
                    view! { <Delete ide=ide checkpoint=checkpoint open=open busy=busy /> }.into_any()
                }
                Some(ask) => view! { <Name ide=ide ask=ask open=open busy=busy /> }.into_any(),
                None => ().into_any(),
            }}
        </Dialog>
    }
}

fn title_of(ide: Ide, ask: &Ask) -> String {
    match ask {
        Ask::New => "Make a checkpoint".to_owned(),
        Ask::Rename(checkpoint) if checkpoint.name.is_some() => "Rename the checkpoint".to_owned(),
        Ask::Rename(_) => "Name the checkpoint".to_owned(),
        Ask::Fork(_) => format!("Fork {}", ide.project.with_untracked(|project| project.name.clone())),
        Ask::Delete(checkpoint) => format!("Delete “{}”?", checkpoint.title()),
    }
}

/// What is done with a name that was typed.
#[derive(Clone)]
enum Done {
    Made(Checkpoint),
    Renamed(Checkpoint),
    Forked(ProjectId),
}

async fn carry_out(ide: Ide, ask: Ask, name: String) -> Result<Done, api::ApiError> {
    let project = ide.project_id;
    match ask {
        Ask::Rename(checkpoint) => api::checkpoints::rename(project, checkpoint.id, UpdateCheckpoint { name }).await.map(Done::Renamed),
        Ask::Fork(from) => {
            let request = ForkProject { name, checkpoint_id: from.map(|from| from.id) };
            api::checkpoints::fork(project, request).await.map(|made| Done::Forked(made.id))
        }
        Ask::New | Ask::Delete(_) => api::checkpoints::create(project, CreateCheckpoint { name }).await.map(Done::Made),
    }
}

#[component]
fn Name(ide: Ide, ask: Ask, open: RwSignal<bool>, busy: RwSignal<bool>) -> impl IntoView {
    let is_fork = matches!(ask, Ask::Fork(_));
    let (start, button, text) = words_of(ide, &ask);
    let name = RwSignal::new(start);
    let problem = RwSignal::new(None::<Problem>);
    let navigate = use_navigate();
    let on_submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let typed = name.get_untracked();
        let wrong = if is_fork { projects::validate_name(&typed) } else { validate_name(&typed) };
        if let Some(field) = wrong {
            problem.set(Some(Problem::invalid(vec![field])));
            return;
        }
        busy.set(true);
        let (ask, navigate) = (ask.clone(), navigate.clone());
        spawn_local(async move {
            let answer = carry_out(ide, ask, typed).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(done) => {
                    open.set(false);
                    ide.checkpoints.changed.update(|count| *count += 1);
                    match done {
                        Done::Made(made) => ide.toast(format!("Kept as “{}”", made.title())),
                        Done::Renamed(named) => ide.toast(format!("Named “{}”", named.title())),
                        Done::Forked(id) => navigate(&format!("/projects/{id}"), NavigateOptions::default()),
                    }
                }
                Err(error) => {
                    problem.try_set(Some(error.0));
                }
            }
        });
    };
    let field = Signal::derive(move || problem.with(|p| p.as_ref()?.field("name").map(str::to_owned)));
    let on_top = Signal::derive(move || problem.with(|p| p.as_ref().filter(|p| p.fields.is_empty()).map(ToString::to_string)));
    view! {
        <p class="t2">{text}</p>
        <form novalidate=true on:submit=on_submit>
            <ErrorSummary message=on_top />
            <TextField label="Name" name="checkpoint-name" bind=name error=field autocomplete="off" autofocus=true />
            <DialogActions open=open busy=busy>{button}</DialogActions>
        </form>
    }
}

/// The name to begin with, the word on the button, and what it means.
fn words_of(ide: Ide, ask: &Ask) -> (String, &'static str, String) {
    match ask {
        Ask::New | Ask::Delete(_) => {
            (String::new(), "Make checkpoint", "Keeps the files as they are stored now, until somebody deletes it.".to_owned())
        }
        Ask::Rename(checkpoint) => {
            (checkpoint.name.clone().unwrap_or_default(), "Save name", "What has a name is kept until somebody deletes it.".to_owned())
        }
        Ask::Fork(from) => {
            let project = ide.project.with_untracked(|project| project.name.clone());
            let files = match from {
                Some(from) => format!("the files as they were at “{}”", from.title()),
                None => "the files as they are stored now".to_owned(),
            };
            let text = format!("A new project of your own with {files}. Histories, conversations and runs stay here.");
            (format!("{project} fork"), "Fork project", text)
        }
    }
}

#[component]
fn Delete(ide: Ide, checkpoint: Checkpoint, open: RwSignal<bool>, busy: RwSignal<bool>) -> impl IntoView {
    let failure = RwSignal::new(None::<String>);
    let (id, title) = (checkpoint.id, checkpoint.title());
    let delete = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let title = title.clone();
        spawn_local(async move {
            let answer = api::checkpoints::delete(ide.project_id, id).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(()) => {
                    open.set(false);
                    ide.checkpoints.changed.update(|count| *count += 1);
                    ide.toast(format!("Deleted the checkpoint “{title}”"));
                }
                Err(error) => {
                    failure.try_set(Some(error.to_string()));
                }
            }
        });
    };
    view! {
        <p class="t2">
            "Files and their histories stay as they are; versions that only this checkpoint holds may be cleaned up. This cannot be undone."
        </p>
        <ErrorSummary message=failure />
        <div class="acts end">
            <Button disabled=busy attr:autofocus=true on_click=move |_| open.set(false)>"Keep it"</Button>
            <Button kind=ButtonKind::Danger busy=busy on_click=delete>"Delete checkpoint"</Button>
        </div>
    }
}
