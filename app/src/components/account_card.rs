//! Taking everything along, and the end of the account.

use leptos::prelude::*;
use serde::Deserialize;
use wire::{ErrorCode, ProjectId, users::User};

use super::auth_frame::summary;
use crate::{
    api::auth::DeleteMeFn,
    ui::{Button, ButtonKind, ErrorSummary, Icon, TextField},
};

/// Everything about the person as one file.
#[component]
pub fn ExportAccountCard() -> impl IntoView {
    view! {
        <section class="card" aria-labelledby="take-title">
            <div class="card-head">
                <h2 id="take-title">"Take everything along"</h2>
            </div>
            <div>
                <p class="t2">
                    "One JSON file: your profile and preferences, sessions, passkeys, accounts elsewhere, tokens and model keys without their secrets, your projects with your role in each, what models were used for, and the conversations that you began. The files of a project are exported on its own page."
                </p>
                <div class="acts">
                    <a class="btn" href="/api/users/me/export" rel="external" download="">
                        <Icon name="download" small=true />
                        "Download"
                    </a>
                </div>
            </div>
        </section>
    }
    .into_any()
}

/// A project that stands in the way.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Held {
    id: ProjectId,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
struct InTheWay {
    #[serde(default)]
    projects: Vec<Held>,
}

/// Asks for the username and the password before it deletes. The form posts without a script, too.
#[component]
pub fn DeleteAccountCard(user: User) -> impl IntoView {
    let action = ServerAction::<DeleteMeFn>::new();
    let error = Memo::new(move |_| action.value().get().and_then(Result::err));
    let on_top = Signal::derive(move || {
        let kept = "Your account is as it was.";
        error.get().map(|error| if error.0.fields.is_empty() { format!("{error} {kept}") } else { summary(&error, kept) })
    });
    let password = Signal::derive(move || error.with(|error| error.as_ref()?.field("password")));
    let held = Memo::new(move |_| {
        let current = error.with(|error| error.as_ref().filter(|e| e.code() == ErrorCode::Conflict)?.0.current.clone());
        current.and_then(|current| serde_json::from_value::<InTheWay>(current).ok()).unwrap_or_default().projects
    });
    let name = user.username.clone();
    // A username is letters, digits, dots, dashes and underscores; only the dot means something in a pattern.
    let pattern = name.replace('.', "\\.");
    view! {
        <section class="card" aria-labelledby="delete-title">
            <div class="card-head">
                <h2 id="delete-title">"Delete the account"</h2>
            </div>
            <div>
                <ul class="plain-list t2">
                    <li>"Your account, sessions, tokens, keys and settings are deleted at once, and nobody can bring them back."</li>
                    <li>"Projects that only you are in are deleted with their files, runs and conversations."</li>
                    <li>"Projects that others are in stay. You have to make somebody else their owner first where you are the last one."</li>
                    <li>"What you wrote and did in projects of others stays there, without your name."</li>
                </ul>
                <ActionForm action=action attr:class="stack">
                    <ErrorSummary message=on_top />
                    {move || {
                        let held = held.get();
                        (!held.is_empty()).then(|| view! { <HeldProjects held=held /> })
                    }}
                    <div class="field">
                        <label for="f-typed-name">
                            <span>{format!("Type {name} to confirm")}</span>
                        </label>
                        <input
                            id="f-typed-name"
                            class="input"
                            required=true
                            pattern=pattern
                            title=format!("Your username: {name}")
                            autocomplete="off"
                            autocapitalize="none"
                            spellcheck="false"
                        />
                    </div>
                    <TextField
                        label="Password"
                        name="request[password]"
                        kind="password"
                        error=password
                        hint="Leave it empty if your account has none."
                        autocomplete="current-password"
                    />
                    <div class="acts">
                        <Button kind=ButtonKind::Danger icon="trash-2" submit=true busy=action.pending()>
                            "Delete my account"
                        </Button>
                    </div>
                </ActionForm>
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn HeldProjects(held: Vec<Held>) -> impl IntoView {
    view! {
        <div class="stack-tight" role="group" aria-label="What stands in the way">
            <b class="medium">"Hand these over first, or delete them"</b>
            <ul class="plain-list">
                {held
                    .into_iter()
                    .map(|project| view! { <li><a href=format!("/projects/{}/settings", project.id)>{project.name}</a></li> })
                    .collect_view()}
            </ul>
        </div>
    }
    .into_any()
}
