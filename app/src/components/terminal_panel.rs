//! The terminals of the project, as tabs below the editor.

use std::collections::BTreeSet;

use leptos::{ev, html, prelude::*, task::spawn_local};
use wire::{
    RunId,
    event::{Event, EventKind, Stream},
    projects::ProjectRole,
    terminals::{Terminal, TerminalState},
};

use super::{
    commands::Command,
    ide::{ConsoleTab, Ide, use_ide},
    network_settings,
    terminal_state::{self, LinkState},
    terminal_view::TerminalView,
};
use crate::ui::{
    Badge, BadgeKind, Button, ButtonSize, Dialog, DialogActions, Icon, IconButton, Menu, MenuItem, MenuSeparator, MenuState, TextField,
    focus::{self, Axis},
    format,
    menu::open_from,
};

/// The panel: a tab per terminal, and the one on top.
#[component]
pub fn TerminalPanel() -> impl IntoView {
    let ide = use_ide();
    let terminals = ide.terminals;
    let renaming = RwSignal::new(None::<RunId>);
    let ids = Memo::new(move |_| terminals.list.with(|list| list.iter().map(|t| t.id).collect::<Vec<_>>()));
    // A terminal is connected when it is looked at for the first time, and stays so.
    let visited = RwSignal::new(BTreeSet::<RunId>::new());
    let in_front = Signal::derive(move || ide.console_tab.get() == ConsoleTab::Terminal);
    Effect::new(move |_| {
        if let Some(id) = terminals.selected.get().filter(|id| in_front.get() && ids.with(|ids| ids.contains(id))) {
            visited.update(|visited| {
                visited.insert(id);
            });
        }
    });
    let mounted = Memo::new(move |_| ids.get().into_iter().filter(|id| visited.with(|visited| visited.contains(id))).collect::<Vec<_>>());
    view! {
        <div class="tm">
            <Show when=move || ids.with(|ids| !ids.is_empty())>
                <Bar ide=ide renaming=renaming />
            </Show>
            {move || {
                terminals
                    .problem
                    .get()
                    .map(|problem| {
                        view! {
                            <p class="run-note err" role="alert">
                                <Icon name="circle-alert" small=true />
                                <span class="grow">{problem.to_string()}</span>
                                <IconButton icon="x" label="Dismiss" small=true on_click=move |_| terminals.problem.set(None) />
                            </p>
                        }
                    })
            }}
            <div class="tm-views" hidden=move || ids.with(Vec::is_empty)>
                <For each=move || mounted.get() key=|id| *id let:id>
                    {
                        let shown = Memo::new(move |_| terminals.selected.get() == Some(id) && in_front.get());
                        view! {
                            <div
                                class="tm-pane"
                                role="tabpanel"
                                id=format!("terminal-{id}")
                                aria-label=move || terminals.get(id).map(|t| t.title)
                                hidden=move || terminals.selected.get() != Some(id)
                            >
                                <StateNote ide=ide id=id />
                                <DeniedNote ide=ide id=id />
                                <TerminalView id=id shown=shown />
                            </div>
                        }
                    }
                </For>
            </div>
            <Show when=move || ids.with(Vec::is_empty) && (terminals.loaded.get() || terminals.problem.with(Option::is_some))>
                <NoTerminals ide=ide />
            </Show>
            <RenameDialog ide=ide target=renaming />
        </div>
    }
    .into_any()
}

#[component]
fn NoTerminals(ide: Ide) -> impl IntoView {
    view! {
        <div class="empty inset">
            <b>"No terminal is open"</b>
            <p>"A shell in the project's sandbox. It goes on when this page is closed, and the project's other editors see the same one."</p>
            <Button
                icon="plus"
                busy=ide.terminals.opening
                disabled=Signal::derive(move || !ide.can_edit())
                title=MaybeProp::derive(move || (!ide.can_edit()).then(|| "Only editors of the project can open terminals".to_owned()))
                on_click=move |_| terminal_state::open(ide)
            >
                "New terminal"
            </Button>
        </div>
    }
    .into_any()
}

/// The tabs, and what can be done with the one on top.
#[component]
fn Bar(ide: Ide, renaming: RwSignal<Option<RunId>>) -> impl IntoView {
    let terminals = ide.terminals;
    let node = NodeRef::<html::Div>::new();
    let menu = MenuState::new();
    let on_keydown = move |event: ev::KeyboardEvent| {
        let Some(list) = node.get_untracked() else { return };
        let selected = terminals.selected.get_untracked();
        match (event.key().as_str(), selected) {
            ("Delete", Some(id)) if untrack(|| ide.can_edit()) => terminal_state::close(ide, id),
            ("F2", Some(id)) if untrack(|| ide.can_edit()) => renaming.set(Some(id)),
            _ => {
                focus::rove(&event, &list, "[role=tab]", Axis::Horizontal);
                return;
            }
        }
        event.prevent_default();
    };
    let ids = Memo::new(move |_| terminals.list.with(|list| list.iter().map(|t| t.id).collect::<Vec<_>>()));
    let current = Memo::new(move |_| terminals.selected.get().and_then(|id| terminals.get(id)));
    let facts = move || {
        current.get().map(|terminal| {
            let tier = terminal.tier.as_ref().map(|tier| format!("Sandbox tier {tier}"));
            view! {
                <span>{format!("Opened by {}", terminal.opened_by.name)}</span>
                {terminal
                    .tier
                    .map(|word| {
                        view! {
                            <span title=tier>
                                <Icon name="shield-check" small=true />
                                {word}
                            </span>
                        }
                    })}
            }
        })
    };
    let close_label = Signal::derive(move || current.with(|t| t.as_ref().map(|t| format!("Close {}", t.title)).unwrap_or_default()));
    let rename = move || renaming.set(terminals.selected.get_untracked());
    view! {
        <div class="tm-bar">
            <div role="tablist" class="tm-tabs" aria-label="Terminals" node_ref=node on:keydown=on_keydown>
                <For each=move || ids.get() key=|id| *id let:id>
                    <TerminalTab ide=ide id=id renaming=renaming />
                </For>
            </div>
            <IconButton
                icon="plus"
                label="New terminal"
                key=Command::NewTerminal.shown_keys(ide)
                small=true
                disabled=Signal::derive(move || !ide.can_edit() || terminals.opening.get())
                on_click=move |_| terminal_state::open(ide)
            />
            <span class="facts grow">
                <span class="tm-facts wide">{facts}</span>
            </span>
            <LinkBadge ide=ide />
            <IconButton
                icon="ellipsis"
                label="More for this terminal"
                small=true
                menu_open=Signal::derive(move || menu.is_open())
                on_click=move |event: ev::MouseEvent| open_from(menu, &event)
            />
            <Menu state=menu label="More for this terminal">
                <MenuItem icon="pencil" key="F2" disabled=Signal::derive(move || !ide.can_edit()) on_choose=rename>
                    "Rename"
                </MenuItem>
                <MenuItem icon="scroll-text" on_choose=move || terminals.set_screen_reader(!terminals.screen_reader.get_untracked())>
                    {move || if terminals.screen_reader.get() { "Screen reader mode off" } else { "Screen reader mode on" }}
                </MenuItem>
                <MenuSeparator />
                <div class="menu-note">"Ctrl M lets Tab leave the terminal, and back."</div>
            </Menu>
            <IconButton
                icon="trash-2"
                label=close_label
                small=true
                disabled=Signal::derive(move || !ide.can_edit())
                on_click=move |_| {
                    if let Some(id) = terminals.selected.get_untracked() {
                        terminal_state::close(ide, id);
                    }
                }
            />
        </div>
    }
    .into_any()
}

#[component]
fn TerminalTab(ide: Ide, id: RunId, renaming: RwSignal<Option<RunId>>) -> impl IntoView {
    let terminals = ide.terminals;
    let terminal = Memo::new(move |_| terminals.get(id));
    let is_selected = move || terminals.selected.get() == Some(id);
    let state = move || terminal.with(|t| t.as_ref().map(|t| t.state));
    let icon = move || match state() {
        Some(TerminalState::Starting) => view! { <Icon name="loader-circle" small=true class="spin" /> },
        Some(TerminalState::Closed) => view! { <Icon name="circle-x" small=true /> },
        _ => view! { <Icon name="terminal" small=true /> },
    };
    let word = move || match state() {
        Some(TerminalState::Starting) => ", starting",
        Some(TerminalState::Closed) => ", closed",
        _ => "",
    };
    view! {
        <button
            type="button"
            class="ptab tm-tab"
            role="tab"
            aria-selected=move || if is_selected() { "true" } else { "false" }
            aria-controls=format!("terminal-{id}")
            tabindex=move || if is_selected() { "0" } else { "-1" }
            title=move || terminal.with(|t| t.as_ref().map(|t| format!("{}, opened by {}", t.title, t.opened_by.name)))
            on:click=move |_| terminal_state::select(ide, id)
            on:focus=move |_| terminal_state::select(ide, id)
            on:dblclick=move |_| {
                if untrack(|| ide.can_edit()) {
                    renaming.set(Some(id));
                }
            }
        >
            {icon}
            <span class="clip">{move || terminal.with(|t| t.as_ref().map(|t| t.title.clone()))}</span>
            <span class="sr">{word}</span>
        </button>
    }
    .into_any()
}

/// How the page is connected with the terminal on top; nothing while all is well.
#[component]
fn LinkBadge(ide: Ide) -> impl IntoView {
    let terminals = ide.terminals;
    let shown = Memo::new(move |_| {
        let terminal = terminals.selected.get().and_then(|id| terminals.get(id))?;
        let link = terminals.links.with(|links| links.get(&terminal.id).copied()).unwrap_or_default();
        Some((terminal.state, link))
    });
    move || {
        let (state, link) = shown.get()?;
        Some(match (state, link) {
            (TerminalState::Closed, _) | (_, LinkState::Ended) => view! { <Badge icon="circle-x">"Closed"</Badge> }.into_any(),
            (_, LinkState::Lost) => view! { <Badge kind=BadgeKind::Warning icon="cloud-off">"Reconnecting"</Badge> }.into_any(),
            (TerminalState::Starting, _) => view! { <Badge kind=BadgeKind::Running icon="loader-circle">"Starting"</Badge> }.into_any(),
            (_, LinkState::Connecting) => view! { <Badge kind=BadgeKind::Running icon="loader-circle">"Connecting"</Badge> }.into_any(),
            (TerminalState::Open, LinkState::Open) if !ide.can_edit() => view! { <Badge icon="eye">"Read only"</Badge> }.into_any(),
            (TerminalState::Open, LinkState::Open) => ().into_any(),
        })
    }
}

/// Why nothing can be typed now.
#[component]
fn StateNote(ide: Ide, id: RunId) -> impl IntoView {
    let terminals = ide.terminals;
    let note = Memo::new(move |_| {
        let terminal: Terminal = terminals.get(id)?;
        let link = terminals.links.with(|links| links.get(&id).copied()).unwrap_or_default();
        match (terminal.state, link) {
            (TerminalState::Closed, _) => {
                let sentence = terminal.exit.map(|exit| exit.sentence).filter(|text| !text.is_empty());
                Some((true, sentence.unwrap_or_else(|| "This terminal is closed.".to_owned())))
            }
            (_, LinkState::Lost) => Some((
                false,
                "The connection is lost and is tried again. What runs here goes on; typing waits until the connection is back.".to_owned(),
            )),
            _ => None,
        }
    });
    move || {
        note.get().map(|(closed, text)| {
            view! {
                <div class="run-note tm-note" role="status">
                    <Icon name=if closed { "circle-x" } else { "cloud-off" } small=true />
                    <span class="grow">{text}</span>
                    {closed
                        .then(|| {
                            view! {
                                <Button size=ButtonSize::Small on_click=move |_| terminal_state::close(ide, id)>
                                    "Remove"
                                </Button>
                                <Show when=move || ide.can_edit()>
                                    <Button size=ButtonSize::Small icon="plus" on_click=move |_| terminal_state::replace(ide, id)>
                                        "New terminal"
                                    </Button>
                                </Show>
                            }
                        })}
                </div>
            }
        })
    }
}

/// A host that was refused just now, and the way to allow it.
#[component]
fn DeniedNote(ide: Ide, id: RunId) -> impl IntoView {
    let denied = RwSignal::new(None::<(String, u16, String)>);
    let answer = RwSignal::new(None::<String>);
    let busy = RwSignal::new(false);
    let opened_at = format::now();
    Effect::new(move |_| {
        let told = move |event: &Event| {
            if let EventKind::EgressAsked { host, port, allowed: false, reason } = &event.kind
                && event.at > opened_at
                && !ide.is_gone()
            {
                answer.set(None);
                denied.set(Some((host.clone(), *port, reason.clone())));
            }
        };
        ide.live.follow(Stream::Run(id), 0, told).until_cleanup();
    });
    let may = move || ide.project.with(|project| project.role >= ProjectRole::Owner);
    let allow = move |_| {
        let Some((host, port, _)) = denied.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        spawn_local(async move {
            let allowed = network_settings::allow(ide.project_id, network_settings::rule_for(&host, port)).await;
            if ide.is_gone() {
                return;
            }
            busy.try_set(false);
            let text = match allowed {
                Ok(_) => format!("{host} is allowed for runs and terminals that start from now on."),
                Err(error) => format!("Not allowed: {}", error.field("allow").unwrap_or_else(|| error.to_string())),
            };
            answer.try_set(Some(text));
            terminal_state::request_focus(ide);
        });
    };
    move || {
        denied.get().map(|(host, port, reason)| {
            let label = StoredValue::new(format!("Allow {}", network_settings::rule_for(&host, port).0));
            view! {
                <div class="run-note tm-note" role="status">
                    <span class="c-warn mark-icon">
                        <Icon name="shield-x" small=true />
                    </span>
                    <span class="grow">
                        <b>{format!("Denied: {host}:{port}")}</b>
                        " "
                        {move || answer.get().unwrap_or_else(|| reason.clone())}
                    </span>
                    <Show when=move || may() && answer.with(Option::is_none)>
                        <Button size=ButtonSize::Small busy=busy on_click=allow>
                            {label.get_value()}
                        </Button>
                    </Show>
                    <IconButton
                        icon="x"
                        label="Dismiss"
                        small=true
                        on_click=move |_| {
                            denied.set(None);
                            terminal_state::request_focus(ide);
                        }
                    />
                </div>
            }
        })
    }
}

#[component]
fn RenameDialog(ide: Ide, target: RwSignal<Option<RunId>>) -> impl IntoView {
    let open = RwSignal::new(false);
    let title = RwSignal::new(String::new());
    let error = RwSignal::new(None::<String>);
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        if let Some(terminal) = target.get().and_then(|id| untrack(|| ide.terminals.get(id))) {
            title.set(terminal.title);
            error.set(None);
            open.set(true);
        }
    });
    Effect::new(move |_| {
        if !open.get() {
            target.set(None);
        }
    });
    let on_submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(id) = target.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        let title = title.get_untracked();
        spawn_local(async move {
            let renamed = terminal_state::rename(ide, id, title).await;
            if ide.is_gone() {
                return;
            }
            busy.set(false);
            match renamed {
                Ok(()) => open.set(false),
                Err(reason) => error.set(Some(reason)),
            }
        });
    };
    view! {
        <Dialog open=open title="Rename terminal" locked=busy>
            <form novalidate=true on:submit=on_submit>
                <TextField label="Title" name="terminal-title" bind=title error=error autocomplete="off" autofocus=true />
                <DialogActions open=open busy=busy>"Rename"</DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}
