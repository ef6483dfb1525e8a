//! Hosts that a run was not let through to, and the way to allow them.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    RunId,
    network::{HostRule, UpdateNetwork},
    projects::ProjectRole,
};

use super::{
    ide::{Ide, use_ide},
    run_feed::{Asked, RunFeed},
};
use crate::{
    api,
    ui::{Button, ButtonSize, Icon, format},
};

/// Shown before "Show all".
const LINES_MAX: usize = 4;

/// How far allowing a host has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowing {
    No,
    Sent,
    Done,
    Refused(String),
}

/// The refused hosts of a run, each with a button for those who may allow it.
#[component]
pub fn RunEgress(id: RunId, feed: RunFeed) -> impl IntoView {
    let all = RwSignal::new(false);
    let denied = Memo::new(move |_| feed.asked.with(|asked| asked.iter().filter(|asked| !asked.allowed).cloned().collect::<Vec<_>>()));
    let shown = move || denied.with(|denied| if all.get() { denied.clone() } else { denied.iter().take(LINES_MAX).cloned().collect() });
    view! {
        <For each=shown key=|asked| (asked.host.clone(), asked.port) let:asked>
            <Denied id=id asked=asked />
        </For>
        <Show when=move || !all.get() && denied.with(|denied| denied.len() > LINES_MAX)>
            <p class="run-note">
                <button type="button" class="btn btn--s btn--ghost" on:click=move |_| all.set(true)>
                    {move || format!("Show all {}", format::counted(denied.with(Vec::len) as i64, "denied host", "denied hosts"))}
                </button>
            </p>
        </Show>
    }
}

#[component]
fn Denied(id: RunId, asked: Asked) -> impl IntoView {
    let ide = use_ide();
    let state = RwSignal::new(Allowing::No);
    let host = StoredValue::new(asked.rule());
    let is_admin = ide.viewer.with_value(wire::users::User::is_admin);
    let may = move || is_admin || ide.project.with(|project| project.role >= ProjectRole::Owner);
    let allow = move |_| {
        state.set(Allowing::Sent);
        let host = host.get_value();
        spawn_local(async move {
            let answer = add(ide, host.clone()).await;
            if ide.is_gone() {
                return;
            }
            match answer {
                Ok(()) => {
                    state.try_set(Allowing::Done);
                    ide.announcement.set(format!("{host} is allowed from the next run on."));
                }
                Err(reason) => {
                    state.try_set(Allowing::Refused(reason));
                }
            }
        });
    };
    let again = move |_| {
        if let Some(run) = ide.runs.with_untracked(|runs| runs.iter().find(|run| run.id == id).cloned()) {
            ide.run_again(&run);
        }
    };
    view! {
        <div class="run-note run-denied">
            <span class="c-warn mark-icon">
                <Icon name="shield-x" small=true />
            </span>
            <span class="grow">
                <b>{format!("Denied: {}:{}", asked.host, asked.port)}</b>
                " "
                {move || match state.get() {
                    Allowing::No | Allowing::Sent => view! { <span>{asked.reason.clone()}</span> }.into_any(),
                    Allowing::Done => view! { <span>"Allowed from the next run on."</span> }.into_any(),
                    Allowing::Refused(reason) => {
                        view! {
                            <span class="c-bad" role="alert">
                                {format!("Not allowed: {reason}")}
                            </span>
                        }
                            .into_any()
                    }
                }}
            </span>
            {move || match state.get() {
                Allowing::Done => view! { <Button size=ButtonSize::Small icon="rotate-cw" on_click=again>"Run again"</Button> }.into_any(),
                now if may() => {
                    view! {
                        <Button size=ButtonSize::Small busy=now == Allowing::Sent disabled=now == Allowing::Sent on_click=allow>
                            {format!("Allow {}", host.get_value())}
                        </Button>
                    }
                        .into_any()
                }
                _ => view! { <span class="t3 fs12">"The project's owner can allow it."</span> }.into_any(),
            }}
        </div>
    }
}

/// Adds a rule to what the project may reach. The error is a sentence for the person.
async fn add(ide: Ide, rule: String) -> Result<(), String> {
    let policy = api::network::policy(ide.project_id).await.map_err(|error| error.to_string())?;
    let rule = HostRule(rule);
    if policy.allow.contains(&rule) {
        return Ok(());
    }
    let mut allow = policy.allow;
    allow.push(rule);
    api::network::update(ide.project_id, UpdateNetwork { allow }).await.map(drop).map_err(|error| error.0.detail)
}
