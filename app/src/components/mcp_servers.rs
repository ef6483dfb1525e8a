//! Servers with tools for the agent, in the administration.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    Problem,
    mcp::{CreateMcpServer, McpServer, McpTest, McpTransport, UpdateMcpServer},
};

use super::{auth_frame::summary_of, models_providers::KeyBadge};
use crate::{
    api::{self, ApiError},
    ui::{
        Badge, BadgeKind, Button, ButtonKind, ButtonSize, Dialog, DialogActions, Empty, ErrorSummary, Icon, MenuButton, MenuItem,
        MenuSeparator, SearchField, Skeleton, TextField, Toasts, open_about, use_toasts,
    },
};

/// What stands in the form.
#[derive(Debug, Clone, PartialEq)]
enum Target {
    New,
    Existing(Box<McpServer>),
}

#[derive(Clone, Copy)]
struct Desk {
    servers: RwSignal<Option<Vec<McpServer>>>,
    search: RwSignal<String>,
    failure: RwSignal<Option<String>>,
    form: RwSignal<Option<Target>>,
    tested: RwSignal<Option<McpServer>>,
    removal: RwSignal<Option<McpServer>>,
    toasts: Toasts,
}

impl Desk {
    fn reload(self) {
        spawn_local(async move {
            match api::mcp::list().await {
                Ok(found) => {
                    self.servers.try_set(Some(found));
                }
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                }
            }
        });
    }

    /// Makes a change without a form, says what came of it and reads everything again.
    fn change<T: 'static>(self, said: String, change: impl Future<Output = Result<T, ApiError>> + 'static) {
        self.failure.set(None);
        spawn_local(async move {
            match change.await {
                Ok(_) => self.toasts.show(said),
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                }
            }
            self.reload();
        });
    }
}

/// The servers, and the dialogs to add, try and remove one.
#[component]
pub fn McpServersCard() -> impl IntoView {
    let desk = Desk {
        servers: RwSignal::new(None),
        search: RwSignal::new(String::new()),
        failure: RwSignal::new(None),
        form: RwSignal::new(None),
        tested: RwSignal::new(None),
        removal: RwSignal::new(None),
        toasts: use_toasts(),
    };
    Effect::new(move |_| desk.reload());
    let loaded = Memo::new(move |_| desk.servers.with(Option::is_some));
    let is_empty = Memo::new(move |_| desk.servers.with(|servers| servers.as_ref().is_none_or(Vec::is_empty)));
    view! {
        <section class="card" aria-labelledby="mcp-title">
            <div class="card-head">
                <h2 id="mcp-title">"Tool servers (MCP)"</h2>
                <span class="grow"></span>
                <span class="head-search">
                    <SearchField label="Search tool servers" bind=desk.search />
                </span>
                <Button icon="plus" on_click=move |_| desk.form.set(Some(Target::New))>
                    "Add server"
                </Button>
            </div>
            <Show when=move || desk.failure.with(Option::is_some)>
                <p class="err inset" role="alert">
                    <Icon name="circle-alert" small=true />
                    <span>{move || desk.failure.get()}</span>
                </p>
            </Show>
            <Show when=move || loaded.get() fallback=|| view! { <div class="inset"><Skeleton lines=3 /></div> }>
                <Show
                    when=move || !is_empty.get()
                    fallback=|| {
                        view! {
                            <div class="inset">
                                <Empty
                                    title="No tool server yet"
                                    text="A tool server gives the agent more tools, such as an issue tracker. Each call asks first, as commands do."
                                />
                            </div>
                        }
                    }
                >
                    <ServersTable desk=desk />
                </Show>
            </Show>
        </section>
        <ServerDialog desk=desk />
        <TestDialog desk=desk />
        <RemovalDialog desk=desk />
    }
    .into_any()
}

#[component]
fn ServersTable(desk: Desk) -> impl IntoView {
    let found = Memo::new(move |_| {
        let wanted = desk.search.with(|text| text.trim().to_lowercase());
        let fits = |server: &McpServer| [&server.name, &server.target].iter().any(|text| text.to_lowercase().contains(&wanted));
        desk.servers.get().unwrap_or_default().into_iter().filter(fits).collect::<Vec<_>>()
    });
    view! {
        <div class="over" tabindex="0" role="group" aria-label="Tool servers table">
            <table class="tbl tbl--bare models-table">
                <thead>
                    <tr>
                        <th>"Server"</th>
                        <th>"Key"</th>
                        <th>"Read-only tools"</th>
                        <th>"State"</th>
                        <th>
                            <span class="sr">"Actions"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || found.get() key=|server| (server.id, server.revision) let:server>
                        <ServerRow desk=desk server=server />
                    </For>
                </tbody>
            </table>
        </div>
        <Show when=move || found.with(Vec::is_empty)>
            <div class="inset">
                <Empty title="No tool server matches" text="Names and addresses are searched." />
            </div>
        </Show>
    }
    .into_any()
}

#[component]
fn ServerRow(desk: Desk, server: McpServer) -> impl IntoView {
    let row = StoredValue::new(server.clone());
    let McpServer { name, transport, target, key, trusted, active, .. } = server;
    let is_http = transport == McpTransport::Http;
    view! {
        <tr>
            <td data-label="Server">
                <span class="stack-tight">
                    <b class="medium">{name.clone()}</b>
                    <span class="t3 fs12 mono model-url">{target}</span>
                </span>
            </td>
            <td data-label="Key">{if is_http { view! { <KeyBadge state=key /> }.into_any() } else { view! { <span class="t3">"Needs none"</span> }.into_any() }}</td>
            <td data-label="Read-only tools" class="t2">
                {if trusted { "Run without asking" } else { "Ask" }}
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
                    {is_http
                        .then(|| {
                            view! {
                                <Button
                                    size=ButtonSize::Small
                                    title=format!("Ask {name} which tools it offers")
                                    on_click=move |_| desk.tested.set(Some(row.get_value()))
                                >
                                    "Test"
                                </Button>
                            }
                        })}
                    <ServerMenu desk=desk row=row name=name active=active />
                </span>
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn ServerMenu(desk: Desk, row: StoredValue<McpServer>, name: String, active: bool) -> impl IntoView {
    let turn = move || {
        let (id, revision, name) = row.with_value(|server| (server.id, server.revision, server.name.clone()));
        let said = if active { format!("{name} is off, and with it its tools") } else { format!("{name} is active again") };
        let request = UpdateMcpServer { revision, active: Some(!active), ..UpdateMcpServer::default() };
        desk.change(said, api::mcp::update(id, request));
    };
    view! {
        <MenuButton label=format!("Actions for {name}") small=true>
            <MenuItem icon="pencil" on_choose=move || desk.form.set(Some(Target::Existing(Box::new(row.get_value()))))>
                "Edit"
            </MenuItem>
            <MenuItem icon=if active { "circle-minus" } else { "circle-check" } on_choose=turn>
                {if active { "Turn off" } else { "Turn on" }}
            </MenuItem>
            <MenuSeparator />
            <MenuItem icon="trash-2" danger=true on_choose=move || desk.removal.set(Some(row.get_value()))>
                "Remove"
            </MenuItem>
        </MenuButton>
    }
    .into_any()
}

#[derive(Clone, Copy)]
struct Form {
    name: RwSignal<String>,
    transport: RwSignal<McpTransport>,
    target: RwSignal<String>,
    key: RwSignal<String>,
    trusted: RwSignal<bool>,
    problem: RwSignal<Option<Problem>>,
    busy: RwSignal<bool>,
}

impl Form {
    fn new() -> Self {
        Self {
            name: RwSignal::new(String::new()),
            transport: RwSignal::new(McpTransport::Http),
            target: RwSignal::new(String::new()),
            key: RwSignal::new(String::new()),
            trusted: RwSignal::new(false),
            problem: RwSignal::new(None),
            busy: RwSignal::new(false),
        }
    }

    fn show(self, server: Option<&McpServer>) {
        self.name.set(server.map(|server| server.name.clone()).unwrap_or_default());
        self.transport.set(server.map(|server| server.transport).unwrap_or_default());
        self.target.set(server.map(|server| server.target.clone()).unwrap_or_default());
        self.key.set(String::new());
        self.trusted.set(server.is_some_and(|server| server.trusted));
        self.problem.set(None);
    }

    fn error(self, field: &'static str) -> Signal<Option<String>> {
        Signal::derive(move || self.problem.with(|problem| problem.as_ref()?.field(field).map(str::to_owned)))
    }
}

/// Open while there is something in `desk.form`.
#[component]
fn ServerDialog(desk: Desk) -> impl IntoView {
    let open = open_about(desk.form);
    let form = Form::new();
    let existing = move || {
        desk.form.with(|target| match target {
            Some(Target::Existing(server)) => Some((**server).clone()),
            _ => None,
        })
    };
    Effect::new(move |_| {
        if desk.form.with(Option::is_none) {
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
    let title = Signal::derive(move || existing().map_or_else(|| "Add tool server".to_owned(), |server| format!("Edit {}", server.name)));
    let on_top = Signal::derive(move || form.problem.with(|problem| problem.as_ref().map(|p| summary_of(p, "Nothing was saved."))));
    view! {
        <Dialog open=open title=title locked=form.busy>
            <form novalidate=true on:submit=save>
                <ErrorSummary message=on_top />
                {move || view! { <Fields form=form is_new=existing().is_none() /> }}
                <label class="check">
                    <input type="checkbox" prop:checked=move || form.trusted.get() on:change:target=move |ev| form.trusted.set(ev.target().checked()) />
                    "Tools that it says only read run without asking"
                </label>
                <p class="hint">"Only for a server that you trust: nothing but its own word says that a tool changes nothing."</p>
                <DialogActions open=open busy=form.busy>
                    {move || if existing().is_some() { "Save server" } else { "Add server" }}
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

#[component]
fn Fields(form: Form, is_new: bool) -> impl IntoView {
    let choose = move |word: String| {
        if let Some(transport) = McpTransport::CHOICES.into_iter().find(|transport| transport.word() == word) {
            form.transport.set(transport);
        }
    };
    let is_http = move || form.transport.get() == McpTransport::Http;
    let target = move || {
        let (label, hint) = match form.transport.get() {
            McpTransport::Http => {
                ("Address", "Such as https://tools.example.org/mcp. The operator allows other hosts with AI_ALLOWED_HOSTS.")
            }
            McpTransport::Stdio => (
                "Command",
                "Such as python3 tools/server.py. It starts for each call, in the sandbox, over a copy of the project that is thrown away, without \
                 network.",
            ),
        };
        view! { <TextField label=label name="target" bind=form.target error=form.error("target") hint=hint autocomplete="off" /> }
    };
    let key_hint = if is_new {
        "Sealed at rest and only sent to this host, as a bearer token."
    } else {
        "Empty keeps the present one. With another host the present one is deleted."
    };
    view! {
        <TextField
            label="Name"
            name="server_name"
            bind=form.name
            error=form.error("name")
            hint="Part of its tools' names: small letters, digits and dashes."
            autocomplete="off"
            autofocus=is_new
        />
        <div class="field">
            <label for="f-transport">"Reached by"</label>
            <select id="f-transport" class="select" disabled=!is_new on:change:target=move |ev| choose(ev.target().value())>
                {McpTransport::CHOICES
                    .into_iter()
                    .map(|transport| {
                        view! {
                            <option value=transport.word() prop:selected=move || form.transport.get() == transport>
                                {transport.title()}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        </div>
        {target}
        <Show when=is_http>
            <TextField label="Key" name="key" kind="password" bind=form.key error=form.error("key") hint=key_hint autocomplete="off" optional=true />
        </Show>
    }
    .into_any()
}

fn send(desk: Desk, form: Form, open: RwSignal<bool>, existing: Option<McpServer>) {
    let transport = form.transport.get_untracked();
    let key = Some(form.key.get_untracked()).filter(|key| !key.trim().is_empty() && transport == McpTransport::Http);
    let (name, target, trusted) = (form.name.get_untracked(), form.target.get_untracked(), form.trusted.get_untracked());
    form.busy.set(true);
    spawn_local(async move {
        let is_new = existing.is_none();
        let saved = match existing {
            None => api::mcp::create(CreateMcpServer { name, transport, target, key, trusted }).await,
            Some(server) => {
                let request = UpdateMcpServer {
                    revision: server.revision,
                    name: Some(name),
                    target: Some(target),
                    key,
                    trusted: Some(trusted),
                    active: None,
                };
                api::mcp::update(server.id, request).await
            }
        };
        if form.busy.try_set(false).is_some() {
            return;
        }
        match saved {
            Ok(saved) => {
                open.set(false);
                desk.toasts.show(format!("{} was saved", saved.name));
                desk.reload();
                if is_new && saved.transport == McpTransport::Http {
                    desk.tested.set(Some(saved));
                }
            }
            Err(error) => form.problem.set(Some(error.0)),
        }
    });
}

/// Asks the server in `desk.tested` for its tools.
#[component]
fn TestDialog(desk: Desk) -> impl IntoView {
    let open = open_about(desk.tested);
    let result = RwSignal::new(None::<McpTest>);
    let failure = RwSignal::new(None::<String>);
    Effect::new(move |_| {
        let Some(server) = desk.tested.get() else { return };
        result.set(None);
        failure.set(None);
        spawn_local(async move {
            match api::mcp::test(server.id).await {
                Ok(found) => {
                    result.try_set(Some(found));
                }
                Err(error) => {
                    failure.try_set(Some(error.to_string()));
                }
            }
        });
    });
    let title =
        Signal::derive(move || desk.tested.with(|server| server.as_ref().map(|s| format!("Tools of {}", s.name)).unwrap_or_default()));
    let detail = move || failure.get().or_else(|| result.with(|result| result.as_ref().map(|result| result.detail.clone())));
    let ok = move || result.with(|result| result.as_ref().is_some_and(|result| result.ok));
    let tools = move || result.with(|result| result.as_ref().map(|result| result.tools.clone()).unwrap_or_default());
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
                <ul class="mcp-tools">
                    {move || {
                        tools()
                            .into_iter()
                            .map(|tool| {
                                view! {
                                    <li>
                                        <span class="row">
                                            <b class="mono fs12">{tool.name}</b>
                                            {tool.read_only.then(|| view! { <Badge>"Says it only reads"</Badge> })}
                                        </span>
                                        <span class="t3 fs12">{tool.description}</span>
                                    </li>
                                }
                            })
                            .collect_view()
                    }}
                </ul>
            </Show>
            <div class="acts end">
                <Button on_click=move |_| open.set(false)>"Close"</Button>
            </div>
        </Dialog>
    }
    .into_any()
}

/// Asks before a server is removed.
#[component]
fn RemovalDialog(desk: Desk) -> impl IntoView {
    let open = open_about(desk.removal);
    let name = move || desk.removal.with(|server| server.as_ref().map(|server| server.name.clone()).unwrap_or_default());
    let remove = move |_| {
        if let Some(server) = desk.removal.get_untracked() {
            desk.change(format!("{} was removed", server.name), api::mcp::remove(server.id));
        }
        open.set(false);
    };
    view! {
        <Dialog open=open title=Signal::derive(move || format!("Remove {}", name()))>
            <p class="t2">"The agent loses its tools, and its key is deleted. What its tools answered stays in the conversations."</p>
            <div class="acts end">
                <Button on_click=move |_| open.set(false) attr:autofocus=true>
                    "Keep"
                </Button>
                <Button kind=ButtonKind::Danger on_click=remove>
                    "Remove"
                </Button>
            </div>
        </Dialog>
    }
    .into_any()
}
