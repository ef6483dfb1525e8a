//! Where models are reached, with which key, and whether that works.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    Problem,
    models::{CreateProvider, KeyState, Provider, ProviderKind, ProviderTest, UpdateProvider},
};

use super::{
    auth_frame::summary_of,
    models_state::{ModelTarget, ModelsDesk, ProviderTarget, Removal},
};
use crate::{
    api,
    ui::{
        Badge, BadgeKind, Button, ButtonSize, Dialog, DialogActions, Empty, ErrorSummary, Icon, MenuButton, MenuItem, MenuSeparator,
        SearchField, Skeleton, TextField, open_about,
    },
};

/// Of a long list as many are shown at once; the rest is searched.
const SHOWN: usize = 50;

/// What is known of a key, as a badge.
#[component]
pub fn KeyBadge(state: KeyState) -> impl IntoView {
    match state {
        KeyState::Missing => view! { <span class="t3">"No key"</span> }.into_any(),
        KeyState::Set { hint } => view! { <Badge kind=BadgeKind::Ok icon="key-round">{hint}</Badge> }.into_any(),
        KeyState::Environment => view! { <Badge kind=BadgeKind::Ok icon="key-round">"Environment"</Badge> }.into_any(),
        KeyState::Void { host } => {
            let title = format!("The key was for {host} and was deleted when the host changed");
            view! {
                <span title=title>
                    <Badge kind=BadgeKind::Warning icon="triangle-alert">
                        "Void: was for another host"
                    </Badge>
                </span>
            }
            .into_any()
        }
        KeyState::Unreadable => view! {
            <span title="It was sealed with another SECRET_KEY, or the row was changed">
                <Badge kind=BadgeKind::Bad icon="circle-x">
                    "Can't be read"
                </Badge>
            </span>
        }
        .into_any(),
    }
}

#[component]
pub fn ProvidersCard(desk: ModelsDesk) -> impl IntoView {
    let providers = Memo::new(move |_| desk.providers());
    view! {
        <section class="card" aria-labelledby="providers-title">
            <div class="card-head">
                <h2 id="providers-title">"Providers"</h2>
                <span class="grow"></span>
                <Button icon="plus" on_click=move |_| desk.provider.set(Some(ProviderTarget::New))>
                    "Add provider"
                </Button>
            </div>
            <Show
                when=move || providers.with(|providers| !providers.is_empty())
                fallback=|| {
                    view! {
                        <div class="inset">
                            <Empty title="No provider yet" text="A provider is an address that serves models, and the key for it." />
                        </div>
                    }
                }
            >
                <div class="over" tabindex="0" role="group" aria-label="Providers table">
                    <table class="tbl tbl--bare models-table">
                        <thead>
                            <tr>
                                <th>"Provider"</th>
                                <th>"Speaks"</th>
                                <th>"Key"</th>
                                <th>"Own keys"</th>
                                <th>"State"</th>
                                <th>
                                    <span class="sr">"Actions"</span>
                                </th>
                            </tr>
                        </thead>
                        <tbody>
                            <For each=move || providers.get() key=|provider| (provider.id, provider.revision) let:provider>
                                <ProviderRow desk=desk provider=provider />
                            </For>
                        </tbody>
                    </table>
                </div>
            </Show>
        </section>
    }
    .into_any()
}

#[component]
fn ProviderRow(desk: ModelsDesk, provider: Provider) -> impl IntoView {
    let row = StoredValue::new(provider.clone());
    let Provider { name, kind, base_url, key, own_keys, active, .. } = provider;
    let is_demo = kind == ProviderKind::Demo;
    view! {
        <tr>
            <td data-label="Provider">
                <span class="stack-tight">
                    <b class="medium">{name.clone()}</b>
                    {(!is_demo).then(|| view! { <span class="t3 fs12 mono model-url">{base_url}</span> })}
                </span>
            </td>
            <td data-label="Speaks" class="t2">
                {kind.title()}
            </td>
            <td data-label="Key">{if is_demo { view! { <span class="t3">"Needs none"</span> }.into_any() } else { view! { <KeyBadge state=key /> }.into_any() }}</td>
            <td data-label="Own keys" class="t2">
                {if own_keys { "Allowed" } else { "No" }}
            </td>
            <td data-label="State">
                {if active {
                    view! { <Badge kind=BadgeKind::Ok icon="check">"Active"</Badge> }
                } else {
                    view! { <Badge icon="circle-minus">"Off"</Badge> }
                }}
            </td>
            <td class="r actions-col">
                <span class="row end">
                    {(!is_demo)
                        .then(|| {
                            view! {
                                <Button
                                    size=ButtonSize::Small
                                    title=format!("Ask {name} which models it offers")
                                    on_click=move |_| desk.tested.set(Some(row.get_value()))
                                >
                                    "Test"
                                </Button>
                            }
                        })}
                    <ProviderMenu desk=desk row=row name=name active=active />
                </span>
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn ProviderMenu(desk: ModelsDesk, row: StoredValue<Provider>, name: String, active: bool) -> impl IntoView {
    let fixed = row.with_value(|provider| provider.from_environment);
    let turn = move || {
        let (id, revision, name) = row.with_value(|provider| (provider.id, provider.revision, provider.name.clone()));
        let said = if active { format!("{name} is off, and with it its models") } else { format!("{name} is active again") };
        let request = UpdateProvider { revision, active: Some(!active), ..UpdateProvider::default() };
        desk.change(said, api::models::update_provider(id, request));
    };
    let because = fixed.then(|| "It is configured by the server's environment; turn it off instead".to_owned());
    view! {
        <MenuButton label=format!("Actions for {name}") small=true>
            <MenuItem icon="pencil" on_choose=move || desk.provider.set(Some(ProviderTarget::Existing(Box::new(row.get_value()))))>
                "Edit"
            </MenuItem>
            <MenuItem icon=if active { "circle-minus" } else { "circle-check" } on_choose=turn>
                {if active { "Turn off" } else { "Turn on" }}
            </MenuItem>
            <MenuSeparator />
            <MenuItem
                icon="trash-2"
                danger=true
                disabled=fixed
                title=because.clone()
                on_choose=move || desk.removal.set(Some(Removal::Provider(Box::new(row.get_value()))))
            >
                "Remove"
            </MenuItem>
        </MenuButton>
    }
    .into_any()
}

#[derive(Clone, Copy)]
struct Form {
    name: RwSignal<String>,
    kind: RwSignal<ProviderKind>,
    base_url: RwSignal<String>,
    key: RwSignal<String>,
    own_keys: RwSignal<bool>,
    problem: RwSignal<Option<Problem>>,
    busy: RwSignal<bool>,
}

impl Form {
    fn show(self, provider: Option<&Provider>) {
        self.name.set(provider.map(|provider| provider.name.clone()).unwrap_or_default());
        self.kind.set(provider.map_or(ProviderKind::OpenaiChat, |provider| provider.kind));
        self.base_url.set(provider.map(|provider| provider.base_url.clone()).unwrap_or_default());
        self.key.set(String::new());
        self.own_keys.set(provider.is_some_and(|provider| provider.own_keys));
        self.problem.set(None);
    }

    fn error(self, field: &'static str) -> Signal<Option<String>> {
        Signal::derive(move || self.problem.with(|problem| problem.as_ref()?.field(field).map(str::to_owned)))
    }
}

/// Open while there is something in `desk.provider`.
#[component]
pub fn ProviderDialog(desk: ModelsDesk) -> impl IntoView {
    let open = open_about(desk.provider);
    let form = Form {
        name: RwSignal::new(String::new()),
        kind: RwSignal::new(ProviderKind::OpenaiChat),
        base_url: RwSignal::new(String::new()),
        key: RwSignal::new(String::new()),
        own_keys: RwSignal::new(false),
        problem: RwSignal::new(None),
        busy: RwSignal::new(false),
    };
    let existing = move || {
        desk.provider.with(|target| match target {
            Some(ProviderTarget::Existing(provider)) => Some((**provider).clone()),
            _ => None,
        })
    };
    Effect::new(move |_| {
        if desk.provider.with(Option::is_none) {
            return;
        }
        form.show(existing().as_ref());
    });
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if !form.busy.get_untracked() {
            send(desk, form, open, untrack(existing));
        }
    };
    let title = Signal::derive(move || existing().map_or_else(|| "Add provider".to_owned(), |provider| format!("Edit {}", provider.name)));
    let fixed = Memo::new(move |_| existing().is_some_and(|provider| provider.from_environment));
    let on_top = Signal::derive(move || form.problem.with(|problem| problem.as_ref().map(|p| summary_of(p, "Nothing was saved."))));
    let allowed = move || desk.view.with(|view| view.as_ref().map(|view| view.hosts.clone()).unwrap_or_default());
    let fields = move || {
        if fixed.get() {
            view! { <p class="t2">"Address and key come from the server's environment. Change them there and restart the server."</p> }
                .into_any()
        } else {
            view! { <Address form=form has_key=existing().is_some_and(|provider| provider.key.is_usable()) is_new=existing().is_none() /> }
                .into_any()
        }
    };
    view! {
        <Dialog open=open title=title locked=form.busy>
            <form novalidate=true on:submit=save>
                <ErrorSummary message=on_top />
                {fields}
                <label class="check">
                    <input type="checkbox" prop:checked=move || form.own_keys.get() on:change:target=move |ev| form.own_keys.set(ev.target().checked()) />
                    "People may use keys of their own"
                </label>
                <p class="hint">"Their key then goes before this one. Each person sets it in their settings, and nobody else sees it."</p>
                <details class="fs12 t2">
                    <summary>"Hosts that may be used"</summary>
                    <p>{allowed}</p>
                    <p>"The operator adds others with AI_ALLOWED_HOSTS."</p>
                </details>
                <DialogActions open=open busy=form.busy>
                    {move || if existing().is_some() { "Save provider" } else { "Add provider" }}
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

#[component]
fn Address(form: Form, has_key: bool, is_new: bool) -> impl IntoView {
    let choose = move |word: String| {
        if let Some(kind) = ProviderKind::CHOICES.into_iter().find(|kind| kind.word() == word) {
            form.kind.set(kind);
        }
    };
    let key_hint = if has_key {
        "Empty keeps the present one. With another host the present one is deleted, and so are people's keys for it."
    } else {
        "It is sealed at rest and only sent to this host. Only its end is shown again."
    };
    view! {
        <TextField label="Name" name="provider_name" bind=form.name error=form.error("name") hint="What people see." autocomplete="off" autofocus=is_new />
        <div class="field">
            <label for="f-kind">"Speaks"</label>
            <select id="f-kind" class="select" on:change:target=move |ev| choose(ev.target().value())>
                {ProviderKind::CHOICES
                    .into_iter()
                    .map(|kind| {
                        view! {
                            <option value=kind.word() prop:selected=move || form.kind.get() == kind>
                                {kind.title()}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        </div>
        <TextField
            label="Address"
            name="base_url"
            bind=form.base_url
            error=form.error("base_url")
            hint="Up to the version, such as https://api.openai.com/v1. Empty: where this kind usually is."
            autocomplete="off"
        />
        <TextField label="Key" name="key" kind="password" bind=form.key error=form.error("key") hint=key_hint autocomplete="off" optional=true />
    }
    .into_any()
}

fn send(desk: ModelsDesk, form: Form, open: RwSignal<bool>, existing: Option<Provider>) {
    let typed = Some(form.key.get_untracked()).filter(|key| !key.trim().is_empty());
    let (name, kind, base_url) = (form.name.get_untracked(), form.kind.get_untracked(), form.base_url.get_untracked());
    let own_keys = form.own_keys.get_untracked();
    form.busy.set(true);
    spawn_local(async move {
        let is_new = existing.is_none();
        let saved = match existing {
            None => api::models::create_provider(CreateProvider { name, kind, base_url, key: typed, own_keys }).await,
            Some(provider) => {
                let mut request = UpdateProvider { revision: provider.revision, own_keys: Some(own_keys), ..UpdateProvider::default() };
                if !provider.from_environment {
                    request = UpdateProvider { name: Some(name), kind: Some(kind), base_url: Some(base_url), key: typed, ..request };
                }
                api::models::update_provider(provider.id, request).await
            }
        };
        if form.busy.try_set(false).is_some() {
            return;
        }
        match saved {
            Ok(saved) => {
                open.set(false);
                desk.toasts.show(what_happened(&saved));
                desk.reload();
                if is_new {
                    desk.tested.set(Some(saved));
                }
            }
            Err(error) => form.problem.set(Some(error.0)),
        }
    });
}

fn what_happened(saved: &Provider) -> String {
    let mut text = format!("{} was saved", saved.name);
    if matches!(saved.key, KeyState::Void { .. }) {
        text.push_str(". Its key was for the old host and was deleted; enter the key for the new one");
    }
    match saved.voided_keys {
        0 => {}
        1 => text.push_str(". One person's key for the old host was deleted"),
        count => text.push_str(&format!(". {count} people's keys for the old host were deleted")),
    }
    text
}

/// Asks the provider in `desk.tested` for its models and offers to take one over.
#[component]
pub fn TestDialog(desk: ModelsDesk) -> impl IntoView {
    let open = open_about(desk.tested);
    let result = RwSignal::new(None::<ProviderTest>);
    let failure = RwSignal::new(None::<String>);
    let query = RwSignal::new(String::new());
    Effect::new(move |_| {
        let Some(provider) = desk.tested.get() else { return };
        result.set(None);
        failure.set(None);
        query.set(String::new());
        spawn_local(async move {
            match api::models::test_provider(provider.id).await {
                Ok(found) => {
                    result.try_set(Some(found));
                }
                Err(error) => {
                    failure.try_set(Some(error.to_string()));
                }
            }
        });
    });
    let title = Signal::derive(move || desk.tested.with(|p| p.as_ref().map(|p| format!("Models of {}", p.name)).unwrap_or_default()));
    let detail = move || failure.get().or_else(|| result.with(|result| result.as_ref().map(|result| result.detail.clone())));
    let ok = move || result.with(|result| result.as_ref().is_some_and(|result| result.ok));
    let add = Callback::new(move |remote_name: String| {
        let provider = desk.tested.with_untracked(|provider| provider.as_ref().map(|provider| provider.id));
        open.set(false);
        desk.model.set(Some(ModelTarget::New { provider, remote_name }));
    });
    view! {
        <Dialog open=open title=title>
            <Show when=move || detail().is_some() fallback=|| view! { <Skeleton lines=4 /> }>
                <p class="row provider-test" role="status">
                    {move || {
                        if ok() {
                            view! { <span class="c-ok mark-icon"><Icon name="circle-check" /></span> }
                        } else {
                            view! { <span class="c-bad mark-icon"><Icon name="circle-x" /></span> }
                        }
                    }}
                    <span>{detail}</span>
                </p>
                <Show when=ok>
                    <Offered result=result query=query on_add=add />
                </Show>
            </Show>
            <div class="acts end">
                <Button on_click=move |_| open.set(false) attr:autofocus=true>
                    "Close"
                </Button>
            </div>
        </Dialog>
    }
    .into_any()
}

#[component]
fn Offered(result: RwSignal<Option<ProviderTest>>, query: RwSignal<String>, on_add: Callback<String>) -> impl IntoView {
    let found = Memo::new(move |_| {
        let wanted = query.get().trim().to_lowercase();
        let all = result.with(|result| result.as_ref().map(|result| result.models.clone()).unwrap_or_default());
        all.into_iter().filter(|name| name.to_lowercase().contains(&wanted)).collect::<Vec<_>>()
    });
    let many = move || result.with(|result| result.as_ref().is_some_and(|result| result.models.len() > 8));
    let rest = move || found.with(Vec::len).saturating_sub(SHOWN);
    view! {
        <Show when=many>
            <SearchField label="Search models" bind=query />
        </Show>
        <ul class="offered">
            <For each=move || found.get().into_iter().take(SHOWN) key=String::clone let:name>
                {
                    let label = format!("Add {name}");
                    let taken = name.clone();
                    view! {
                        <li>
                            <span class="mono fs12 grow">{name}</span>
                            <Button size=ButtonSize::Small icon="plus" attr:aria-label=label on_click=move |_| on_add.run(taken.clone())>
                                "Add"
                            </Button>
                        </li>
                    }
                }
            </For>
        </ul>
        <Show when=move || { rest() > 0 }>
            <p class="hint">{move || format!("{} more; search for them.", rest())}</p>
        </Show>
    }
    .into_any()
}
