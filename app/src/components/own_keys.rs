//! The person's own keys for providers where that is allowed.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    Problem,
    models::{KeyState, OwnKey, SetOwnKey},
};

use super::{
    models_providers::KeyBadge,
    second_factor_card::{clear_when_closed, field, on_top},
};
use crate::{
    api,
    ui::{
        Button, ButtonKind, Dialog, DialogActions, ErrorSummary, Icon, RelativeTime, Skeleton, TextField, focus::RowFocus, open_about,
        use_toasts,
    },
};

/// Nothing at all where no provider allows it.
#[component]
pub fn OwnKeysCard() -> impl IntoView {
    let keys = RwSignal::new(None::<Vec<OwnKey>>);
    let failure = RwSignal::new(None::<String>);
    let target = RwSignal::new(None::<OwnKey>);
    Effect::new(move |_| {
        spawn_local(async move {
            match api::models::own_keys().await {
                Ok(found) => {
                    keys.try_set(Some(found));
                }
                Err(error) => {
                    failure.try_set(Some(error.to_string()));
                }
            }
        });
    });
    let none = move || keys.with(|keys| keys.as_ref().is_some_and(Vec::is_empty));
    let rows = RowFocus::new("#model-keys", move || keys.track());
    view! {
        <section class="card" id="model-keys" aria-labelledby="model-keys-title">
            <div class="card-head">
                <h2 id="model-keys-title">"Model keys"</h2>
            </div>
            <div>
                <Show when=move || failure.with(Option::is_some)>
                    <p class="err" role="alert">
                        <Icon name="circle-alert" small=true />
                        <span>{move || failure.get()}</span>
                    </p>
                </Show>
                <Show when=move || keys.with(Option::is_some) || failure.with(Option::is_some) fallback=|| view! { <Skeleton lines=2 /> }>
                    <Show when=none>
                        <p class="t2">"Models here are used with the installation's keys. An administrator can let people use keys of their own."</p>
                    </Show>
                    <Show when=move || keys.with(|keys| keys.as_ref().is_some_and(|keys| !keys.is_empty()))>
                        <p class="hint">
                            "Your key goes before that of everybody. It is sealed at rest, only sent to the host it stands beside, and never shown again."
                        </p>
                        <ul class="own-keys" on:focusin=move |event| rows.note(&event)>
                            <For
                                each=move || keys.get().unwrap_or_default()
                                key=|key| (key.provider_id, key.host.clone(), format!("{:?}", key.key), key.set_at)
                                let:key
                            >
                                <KeyRow key=key keys=keys target=target failure=failure />
                            </For>
                        </ul>
                    </Show>
                </Show>
            </div>
        </section>
        <KeyDialog target=target keys=keys />
    }
    .into_any()
}

#[component]
fn KeyRow(
    key: OwnKey,
    keys: RwSignal<Option<Vec<OwnKey>>>,
    target: RwSignal<Option<OwnKey>>,
    failure: RwSignal<Option<String>>,
) -> impl IntoView {
    let toasts = use_toasts();
    let row = StoredValue::new(key.clone());
    let has_key = key.key != KeyState::Missing;
    let busy = RwSignal::new(false);
    let remove = move |_| {
        let (id, name) = row.with_value(|row| (row.provider_id, row.provider.clone()));
        busy.set(true);
        failure.set(None);
        spawn_local(async move {
            let done = api::models::remove_own_key(id).await;
            busy.try_set(false);
            match done {
                Ok(left) => {
                    keys.try_set(Some(left));
                    toasts.show(format!("Your key for {name} was removed"));
                }
                Err(error) => {
                    failure.try_set(Some(error.to_string()));
                }
            }
        });
    };
    let void = match &key.key {
        KeyState::Void { host } => Some(format!(
            "{} is now reached at {}. Your key was for {host} and was deleted; enter one for the new host.",
            key.provider, key.host
        )),
        KeyState::Unreadable => Some("Your key can't be read any more, since the server's secret was changed. Enter it again.".to_owned()),
        _ => None,
    };
    let name = key.provider.clone();
    view! {
        <li>
            <span class="grow stack-tight">
                <span class="row wrap-row">
                    <b class="medium">{key.provider.clone()}</b>
                    <KeyBadge state=key.key.clone() />
                </span>
                <span class="t3 fs12">
                    <span class="mono model-url">{key.host.clone()}</span>
                    {key.set_at.map(|at| view! { <span>", set "<RelativeTime at=at /></span> })}
                </span>
                {void.map(|text| view! { <span class="c-warn fs12">{text}</span> })}
            </span>
            <span class="row">
                <Button attr:aria-label=format!("Set the key for {name}") on_click=move |_| target.set(Some(row.get_value()))>
                    {if has_key { "Replace" } else { "Set key" }}
                </Button>
                {has_key
                    .then(|| {
                        view! {
                            <Button kind=ButtonKind::Danger busy=busy attr:aria-label=format!("Remove the key for {name}") on_click=remove>
                                "Remove"
                            </Button>
                        }
                    })}
            </span>
        </li>
    }
    .into_any()
}

#[component]
fn KeyDialog(target: RwSignal<Option<OwnKey>>, keys: RwSignal<Option<Vec<OwnKey>>>) -> impl IntoView {
    let toasts = use_toasts();
    let open = open_about(target);
    let busy = RwSignal::new(false);
    let text = RwSignal::new(String::new());
    let problem = RwSignal::new(None::<Problem>);
    clear_when_closed(open, problem, vec![text]);
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(row) = target.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        let key = text.get_untracked();
        busy.set(true);
        spawn_local(async move {
            let saved = api::models::set_own_key(row.provider_id, SetOwnKey { key }).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match saved {
                Ok(all) => {
                    open.set(false);
                    keys.set(Some(all));
                    toasts.show(format!("Your key for {} is used from the next turn on", row.provider));
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    };
    let title =
        Signal::derive(move || target.with(|row| row.as_ref().map(|row| format!("Your key for {}", row.provider)).unwrap_or_default()));
    let host = move || target.with(|row| row.as_ref().map(|row| format!("It is only sent to {}.", row.host)).unwrap_or_default());
    view! {
        <Dialog open=open title=title locked=busy>
            <form novalidate=true on:submit=save>
                <ErrorSummary message=on_top(problem) />
                <p class="t2">{host}</p>
                <TextField label="Key" name="own_key" kind="password" bind=text error=field(problem, "key") autocomplete="off" autofocus=true />
                <DialogActions open=open busy=busy>
                    "Save key"
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}
