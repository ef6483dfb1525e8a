//! What listens inside runs and terminals, to be opened in the browser.

use std::collections::{BTreeMap, BTreeSet};

use leptos::{prelude::*, task::spawn_local, wasm_bindgen::JsValue, web_sys};
use wire::{
    RunId,
    event::{EventKind, Stream},
    previews::RunPort,
    terminals::TerminalState,
};

use super::{
    clipboard,
    ide::{Ide, use_ide},
};
use crate::{
    api,
    live::Follow,
    ui::{Button, ButtonSize, Icon, IconButton},
};

/// What listens, as the streams of runs and terminals told; part of the page's shared state.
pub type Ports = RwSignal<BTreeMap<RunId, Vec<RunPort>>>;

/// Everything in which something may listen now: runs under way and open terminals.
fn live_ids(ide: Ide) -> BTreeSet<RunId> {
    let mut ids: BTreeSet<RunId> = ide.runs.with(|runs| runs.iter().filter(|run| !run.state.is_finished()).map(|run| run.id).collect());
    ide.terminals.list.with(|list| ids.extend(list.iter().filter(|t| t.state != TerminalState::Closed).map(|t| t.id)));
    ids
}

/// Follows what listens, for as long as the page lives. Only in the browser.
pub fn follow_ports(ide: Ide) {
    let follows = StoredValue::new(BTreeMap::<RunId, Follow>::new());
    let live = Memo::new(move |_| live_ids(ide));
    Effect::new(move |_| {
        let live = live.get();
        // Dropped outside of the update: ending a follow may run the clean-up of others.
        let gone = follows.try_update_value(|follows| {
            let ids: Vec<RunId> = follows.keys().filter(|id| !live.contains(id)).copied().collect();
            let gone: Vec<Follow> = ids.iter().filter_map(|id| follows.remove(id)).collect();
            for id in &live {
                follows.entry(*id).or_insert_with(|| follow(ide, *id));
            }
            gone
        });
        drop(gone);
        if ide.ports.with_untracked(|ports| ports.keys().any(|id| !live.contains(id))) {
            ide.ports.update(|ports| ports.retain(|id, _| live.contains(id)));
        }
    });
    on_cleanup(move || drop(follows.try_update_value(std::mem::take)));
}

fn follow(ide: Ide, id: RunId) -> Follow {
    ide.live.follow(Stream::Run(id), 0, move |event| {
        if let EventKind::PortsChanged { ports } = &event.kind
            && !ide.is_gone()
        {
            let ports = ports.clone();
            ide.ports.update(|all| {
                all.insert(id, ports);
            });
        }
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    run: RunId,
    /// The command, or the title of a terminal.
    what: String,
    is_terminal: bool,
    port: u16,
    public_port: Option<u16>,
}

/// Tracks runs, terminals and what the streams told.
fn rows(ide: Ide) -> Vec<Row> {
    let told = ide.ports.get();
    let mut rows = Vec::new();
    let mut add = |run: RunId, what: &str, is_terminal: bool, known: &[RunPort]| {
        let ports = told.get(&run).map_or(known, Vec::as_slice);
        rows.extend(ports.iter().map(|p| Row { run, what: what.to_owned(), is_terminal, port: p.port, public_port: p.public_port }));
    };
    ide.terminals.list.with(|list| {
        for terminal in list.iter().filter(|t| t.state != TerminalState::Closed) {
            add(terminal.id, &terminal.title, true, &[]);
        }
        ide.runs.with(|runs| {
            let is_listed = |id: RunId| list.iter().any(|t| t.id == id);
            for run in runs.iter().filter(|run| !run.state.is_finished() && !is_listed(run.id)) {
                add(run.id, run.command.lines().next().unwrap_or_default(), false, &run.ports);
            }
        });
    });
    rows
}

/// How many ports can be opened now, for the badge of the tab.
pub fn open_ports(ide: Ide) -> Signal<usize> {
    Signal::derive(move || rows(ide).len())
}

/// The ports of the project: which command listens where, and the way to see it.
#[component]
pub fn PortsPanel() -> impl IntoView {
    let ide = use_ide();
    let all = Memo::new(move |_| rows(ide));
    view! {
        <div class="scroll ports" tabindex="0" role="group" aria-label="Ports">
            <Show
                when=move || all.with(|rows| !rows.is_empty())
                fallback=|| {
                    view! {
                        <div class="empty inset">
                            <b>"Nothing listens"</b>
                            <p>"Start a server in a run or terminal; what listens shows up here."</p>
                        </div>
                    }
                }
            >
                <table class="tbl tbl--bare tbl--stack">
                    <thead>
                        <tr>
                            <th>"Port"</th>
                            <th>"Listens in"</th>
                            <th>
                                <span class="sr">"Actions"</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        <For each=move || all.get() key=|row| (row.run, row.port, row.public_port, row.what.clone()) let:row>
                            <PortRow ide=ide row=row />
                        </For>
                    </tbody>
                </table>
                <p class="hint inset">
                    "A preview opens on an address of its own, for you and those who may see this project. It ends with what listens."
                </p>
            </Show>
        </div>
    }
    .into_any()
}

#[component]
fn PortRow(ide: Ide, row: Row) -> impl IntoView {
    let Row { run, what, is_terminal, port, .. } = row;
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);
    // Shown when the browser would not open a page.
    let link = RwSignal::new(None::<String>);
    let open = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        problem.set(None);
        link.set(None);
        // Opened within the click, or it counts as a pop-up; the address follows.
        let page = open_blank();
        spawn_local(async move {
            let answer = api::previews::address(run, port).await;
            let gone = busy.try_set(false).is_some();
            match (answer, page) {
                (Ok(address), Some(page)) => {
                    let _ = page.location().replace(&address.url);
                }
                (Ok(_), None) if gone => {}
                (Ok(address), None) => link.set(Some(address.url)),
                (Err(error), page) => {
                    if let Some(page) = page {
                        let _ = page.close();
                    }
                    problem.try_set(Some(error.to_string()));
                }
            }
        });
    };
    let copy = move |_| {
        problem.set(None);
        spawn_local(async move {
            match api::previews::address(run, port).await {
                Ok(address) => clipboard::copy(address.url, "address; it is good for one minute and one use", ide.toasts),
                Err(error) => {
                    problem.try_set(Some(error.to_string()));
                }
            }
        });
    };
    view! {
        <tr>
            <td class="strong">{port}</td>
            <td>
                <span class="row">
                    <Icon name=if is_terminal { "terminal" } else { "play" } small=true />
                    {if is_terminal {
                        view! { <span class="clip">{what}</span> }.into_any()
                    } else {
                        view! { <code class="clip fs12">{what}</code> }.into_any()
                    }}
                </span>
                {move || {
                    problem
                        .get()
                        .map(|text| {
                            view! {
                                <p class="err" role="alert">
                                    <Icon name="circle-alert" small=true />
                                    <span>{text}</span>
                                </p>
                            }
                        })
                }}
                {move || {
                    link.get()
                        .map(|url| {
                            view! {
                                <p class="hint" role="status">
                                    "The browser did not open a page. "
                                    <a href=url target="_blank" rel="noopener noreferrer" on:click=move |_| link.set(None)>
                                        "Open the preview"
                                    </a>
                                </p>
                            }
                        })
                }}
            </td>
            <td class="r">
                <span class="row end">
                    <Button size=ButtonSize::Small icon="eye" busy=busy on_click=open attr:aria-label=format!("Open preview of port {port}")>
                        "Open preview"
                    </Button>
                    <IconButton icon="clipboard" label=format!("Copy the address of port {port}") small=true on_click=copy />
                </span>
            </td>
        </tr>
    }
    .into_any()
}

/// An empty page that does not know ours; `None` when the browser refused.
fn open_blank() -> Option<web_sys::Window> {
    let page = window().open_with_url_and_target("", "_blank").ok().flatten()?;
    let _ = page.set_opener(&JsValue::NULL);
    Some(page)
}
