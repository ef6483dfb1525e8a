//! What administrators are asked before they look into a project, or give it to somebody else.

use leptos::{ev, prelude::*, task::spawn_local};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wire::{
    Problem, UserId,
    admin::{AdminProject, OpenProject},
};

use super::{
    auth_frame::summary_of,
    person_picker::PersonPicker,
    second_factor_card::{clear_when_closed, field},
};
use crate::{
    api,
    ui::{Button, ButtonKind, Dialog, DialogActions, ErrorSummary, TextArea, open_about},
};

/// Asks why the project in `target` has to be read, and goes there. Open while there is one.
#[component]
pub fn OpenDialog(target: RwSignal<Option<AdminProject>>) -> impl IntoView {
    let open = open_about(target);
    let busy = RwSignal::new(false);
    let reason = RwSignal::new(String::new());
    let problem = RwSignal::new(None::<Problem>);
    clear_when_closed(open, problem, vec![reason]);
    let navigate = use_navigate();
    let go = Callback::new(move |to: String| navigate(&to, NavigateOptions::default()));
    let send = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(project) = target.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        let request = OpenProject { reason: reason.get_untracked() };
        busy.set(true);
        spawn_local(async move {
            let answer = api::admin::open_project(project.id, request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(_) => {
                    open.set(false);
                    go.run(format!("/projects/{}", project.id));
                }
                Err(refused) => problem.set(Some(refused.0)),
            }
        });
    };
    let title = Signal::derive(move || target.with(|t| t.as_ref().map(|t| format!("Open {} to read it", t.name)).unwrap_or_default()));
    let on_top = Signal::derive(move || problem.with(|p| p.as_ref().map(|p| summary_of(p, "The project was not opened."))));
    view! {
        <Dialog open=open title=title locked=busy>
            <p class="t2">
                "For one hour you can read this project and change nothing. Its owners are told now, everybody in it sees your name and the reason, and it is written to the audit log."
            </p>
            <form novalidate=true on:submit=send>
                <ErrorSummary message=on_top />
                <TextArea label="Reason" name="open-reason" bind=reason error=field(problem, "reason") hint="10 to 500 characters." />
                <div class="acts end">
                    <Button disabled=busy attr:autofocus=true on_click=move |_| open.set(false)>"Cancel"</Button>
                    <Button kind=ButtonKind::Primary submit=true busy=busy>"Open for one hour"</Button>
                </div>
            </form>
        </Dialog>
    }
    .into_any()
}

/// Asks who shall own the project in `target`. Open while there is one.
#[component]
pub fn GiveDialog(target: RwSignal<Option<AdminProject>>, on_choose: Callback<(AdminProject, UserId, String)>) -> impl IntoView {
    let open = open_about(target);
    let chosen = RwSignal::new(None::<(UserId, String)>);
    Effect::new(move |_| {
        if !open.get() {
            chosen.set(None);
        }
    });
    let send = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if let (Some(project), Some((to, name))) = (target.get_untracked(), chosen.get_untracked()) {
            open.set(false);
            on_choose.run((project, to, name));
        }
    };
    let title =
        Signal::derive(move || target.with(|t| t.as_ref().map(|t| format!("Give {} to somebody else", t.name)).unwrap_or_default()));
    let before = move || target.with(|t| t.as_ref().map(|t| t.owner.name.clone()));
    view! {
        <Dialog open=open title=title>
            <p class="t2">
                "The new owner needs room for it. " {before} " stays as an editor."
            </p>
            <form on:submit=send>
                <PersonPicker label="New owner" chosen=chosen />
                <DialogActions
                    open=open
                    disabled=Signal::derive(move || chosen.with(Option::is_none))
                    title=MaybeProp::derive(move || chosen.with(Option::is_none).then(|| "Choose somebody first".to_owned()))
                >
                    "Give the project"
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}
