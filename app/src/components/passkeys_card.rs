//! Passkeys of the person's devices: added, named, taken away.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    Problem,
    passkeys::{AddPasskey, Passkey, Passkeys, RenamePasskey},
    second_factor::ConfirmWithPassword,
};

use super::second_factor_card::{NewCodes, OwnPassword, Unread, changes, clear_when_closed, field, note_change, on_top};
use crate::{
    api::{self, ApiError},
    passkeys_browser,
    ui::{
        Button, ButtonKind, Dialog, DialogActions, ErrorSummary, Icon, RelativeTime, Skeleton, TextField, focus, focus::RowFocus,
        open_about, use_toasts,
    },
};

#[component]
pub fn PasskeysCard() -> impl IntoView {
    let list = RwSignal::new(None::<Passkeys>);
    let unread = RwSignal::new(None::<String>);
    let has_password = RwSignal::new(true);
    let codes = RwSignal::new(None::<Vec<String>>);
    let adding = RwSignal::new(false);
    let renaming = RwSignal::new(None::<Passkey>);
    let removing = RwSignal::new(None::<Passkey>);
    let changed = changes();
    let read = move || {
        spawn_local(async move {
            let found = async { Ok::<_, ApiError>((api::second_factor::status().await?, api::passkeys::list().await?)) }.await;
            match found {
                Ok((status, found)) => {
                    unread.try_set(None);
                    has_password.try_set(status.has_password);
                    list.try_set(Some(found));
                }
                Err(error) => {
                    unread.try_set(Some(error.to_string()));
                }
            }
        });
    };
    Effect::new(move |_| {
        changed.track();
        read();
    });
    let rows = RowFocus::new("#passkeys", move || list.track());
    Effect::new(move |before: Option<bool>| {
        let shown = codes.with(Option::is_some);
        if before.is_some_and(|before| before != shown) {
            focus::recover(&["#passkeys #recovery-title", "#passkeys-title"]);
        }
        shown
    });
    let is_known = Memo::new(move |_| (list.with(Option::is_some), unread.with(Option::is_some)));
    let items = move || list.with(|list| list.as_ref().map(|list| list.items.clone()).unwrap_or_default());
    let unavailable = Memo::new(move |_| list.with(|list| list.as_ref().and_then(|list| list.unavailable.clone())));
    view! {
        <section class="card" id="passkeys" aria-labelledby="passkeys-title">
            <div class="card-head">
                <h2 id="passkeys-title">"Passkeys"</h2>
            </div>
            <div class="stack">
                <p class="t2">
                    "A key in your device, opened by your finger, your face or a PIN. It signs in without a password, or takes the place of a code after it."
                </p>
                {move || codes.get().map(|found| view! { <NewCodes codes=found shown=codes /> })}
                <Show
                    when=move || is_known.get().0
                    fallback=move || match is_known.get().1 {
                        true => view! { <Unread text=unread again=read /> }.into_any(),
                        false => view! { <Skeleton lines=2 /> }.into_any(),
                    }
                >
                    <Show when=move || !items().is_empty()>
                        <ul class="passkeys" on:focusin=move |event| rows.note(&event)>
                            <For each=items key=|key| (key.id, key.name.clone(), key.last_used_at) let:key>
                                <PasskeyRow key=key renaming=renaming removing=removing />
                            </For>
                        </ul>
                    </Show>
                    <Show when=move || unavailable.with(Option::is_some)>
                        <p class="row c-warn">
                            <Icon name="triangle-alert" small=true />
                            <span>{move || unavailable.get()}</span>
                        </p>
                    </Show>
                    <div class="acts">
                        <Button
                            icon="plus"
                            disabled=Signal::derive(move || unavailable.with(Option::is_some))
                            title=MaybeProp::derive(move || unavailable.get())
                            on_click=move |_| adding.set(true)
                        >
                            "Add a passkey"
                        </Button>
                    </div>
                </Show>
            </div>
        </section>
        <AddDialog open=adding codes=codes has_password=has_password />
        <RenameDialog target=renaming />
        <RemoveDialog target=removing has_password=has_password />
    }
    .into_any()
}

#[component]
fn PasskeyRow(key: Passkey, renaming: RwSignal<Option<Passkey>>, removing: RwSignal<Option<Passkey>>) -> impl IntoView {
    let row = StoredValue::new(key.clone());
    let name = key.name.clone();
    view! {
        <li>
            <Icon name="fingerprint" />
            <span class="grow stack-tight">
                <b class="medium">{key.name.clone()}</b>
                <span class="t3 fs12">
                    "added " <RelativeTime at=key.created_at />
                    {match key.last_used_at {
                        Some(at) => view! { ", used " <RelativeTime at=at /> }.into_any(),
                        None => ", never used".into_any(),
                    }}
                </span>
            </span>
            <span class="row">
                <Button attr:aria-label=format!("Rename {name}") on_click=move |_| renaming.set(Some(row.get_value()))>
                    "Rename"
                </Button>
                <Button
                    kind=ButtonKind::Danger
                    attr:aria-label=format!("Remove {name}")
                    on_click=move |_| removing.set(Some(row.get_value()))
                >
                    "Remove"
                </Button>
            </span>
        </li>
    }
    .into_any()
}

#[component]
fn AddDialog(open: RwSignal<bool>, codes: RwSignal<Option<Vec<String>>>, has_password: RwSignal<bool>) -> impl IntoView {
    let toasts = use_toasts();
    let name = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    clear_when_closed(open, problem, vec![name, password]);
    let add = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let (name, password) = (name.get_untracked(), password.get_untracked());
        if let Err(field) = wire::passkeys::read_name(&name) {
            problem.set(Some(Problem::invalid(vec![field])));
            return;
        }
        busy.set(true);
        spawn_local(async move {
            let added = ask_device(name, password).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match added {
                Ok(added) => {
                    open.set(false);
                    toasts.show(format!("{} signs you in from now on", added.passkey.name));
                    if !added.recovery_codes.is_empty() {
                        codes.set(Some(added.recovery_codes));
                    }
                    note_change();
                }
                Err(error) => problem.set(Some(error)),
            }
        });
    };
    view! {
        <Dialog open=open title="Add a passkey" locked=busy>
            <form novalidate=true on:submit=add>
                <ErrorSummary message=on_top(problem) />
                <TextField
                    label="Name"
                    name="passkey_name"
                    bind=name
                    error=field(problem, "name")
                    hint="Such as the device it is in."
                    autocomplete="off"
                    autofocus=true
                />
                <OwnPassword name="passkey_password" bind=password problem=problem has_password=has_password />
                <DialogActions open=open busy=busy>
                    "Continue on the device"
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

async fn ask_device(name: String, password: String) -> Result<wire::passkeys::AddedPasskey, Problem> {
    let begun = api::passkeys::begin_add(ConfirmWithPassword { password }).await.map_err(|error| error.0)?;
    let failed = |why: String| Problem::new(wire::ErrorCode::BadRequest, why);
    let credential = passkeys_browser::create(&begun.options).await.map_err(failed)?;
    let request = AddPasskey { ceremony: begun.ceremony, name, credential };
    let about_no_field = |mut problem: Problem| {
        problem.fields.retain(|field| field.field == "name");
        problem
    };
    api::passkeys::add(request).await.map_err(|error| about_no_field(error.0))
}

#[component]
fn RenameDialog(target: RwSignal<Option<Passkey>>) -> impl IntoView {
    let open = open_about(target);
    let name = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    Effect::new(move |_| {
        if let Some(key) = target.get() {
            problem.set(None);
            name.set(key.name);
        }
    });
    let rename = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(key) = target.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        let request = RenamePasskey { name: name.get_untracked() };
        spawn_local(async move {
            let renamed = api::passkeys::rename(key.id, request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match renamed {
                Ok(_) => {
                    open.set(false);
                    note_change();
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    };
    view! {
        <Dialog open=open title="Rename the passkey" locked=busy>
            <form novalidate=true on:submit=rename>
                <ErrorSummary message=on_top(problem) />
                <TextField label="Name" name="passkey_new_name" bind=name error=field(problem, "name") autocomplete="off" autofocus=true />
                <DialogActions open=open busy=busy>
                    "Rename"
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

#[component]
fn RemoveDialog(target: RwSignal<Option<Passkey>>, has_password: RwSignal<bool>) -> impl IntoView {
    let toasts = use_toasts();
    let open = open_about(target);
    let password = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    clear_when_closed(open, problem, vec![password]);
    let remove = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(key) = target.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        let request = ConfirmWithPassword { password: password.get_untracked() };
        spawn_local(async move {
            let removed = api::passkeys::remove(key.id, request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match removed {
                Ok(()) => {
                    open.set(false);
                    toasts.show(format!("{} was removed", key.name));
                    note_change();
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    };
    let title = Signal::derive(move || target.with(|key| key.as_ref().map(|key| format!("Remove {}", key.name)).unwrap_or_default()));
    view! {
        <Dialog open=open title=title locked=busy>
            <form novalidate=true on:submit=remove>
                <ErrorSummary message=on_top(problem) />
                <p class="t2">"It does not sign in any more. Remove it in the device too, where it can't be seen from here."</p>
                <OwnPassword name="passkey_remove_password" bind=password problem=problem has_password=has_password autofocus=true />
                <DialogActions open=open kind=ButtonKind::Danger busy=busy>
                    "Remove"
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}
