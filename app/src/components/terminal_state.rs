//! The terminals of the project as this page knows them: the list, which one is on top, and how its connection is.

use std::collections::BTreeMap;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ErrorCode, Problem, RunId,
    runs::ExitKind,
    terminals::{OpenTerminal, Terminal, TerminalState},
};

use super::ide::{ConsoleTab, Ide};
use crate::{api, ui::storage};

/// Before a terminal was ever shown its size is not known.
const SIZE_AT_FIRST: (u16, u16) = (100, 16);
const DISMISSED_MAX: usize = 50;

/// How the page is connected with a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkState {
    #[default]
    Connecting,
    Open,
    /// Lost, and tried again by itself.
    Lost,
    Ended,
}

/// Part of the page's shared state.
#[derive(Debug, Clone, Copy)]
pub struct Terminals {
    /// Oldest first; what was closed is there until it is dismissed.
    pub list: RwSignal<Vec<Terminal>>,
    pub loaded: RwSignal<bool>,
    pub selected: RwSignal<Option<RunId>>,
    pub links: RwSignal<BTreeMap<RunId, LinkState>>,
    pub problem: RwSignal<Option<Problem>>,
    pub opening: RwSignal<bool>,
    /// Counts up when the terminal on top should take the keyboard.
    pub focus_requests: RwSignal<u64>,
    pub screen_reader: RwSignal<bool>,
    dismissed: StoredValue<Vec<RunId>>,
    size: StoredValue<(u16, u16)>,
}

impl Default for Terminals {
    fn default() -> Self {
        Self {
            list: RwSignal::default(),
            loaded: RwSignal::new(false),
            selected: RwSignal::new(None),
            links: RwSignal::default(),
            problem: RwSignal::new(None),
            opening: RwSignal::new(false),
            focus_requests: RwSignal::new(0),
            screen_reader: RwSignal::new(false),
            dismissed: StoredValue::default(),
            size: StoredValue::new(SIZE_AT_FIRST),
        }
    }
}

/// Reads the list and what this browser remembers. Only in the browser; changes come with the project's events.
pub fn begin(ide: Ide) {
    let terminals = ide.terminals;
    Effect::new(move |_| {
        terminals.dismissed.set_value(read_json(&ide.storage_key("terminals-dismissed")).unwrap_or_default());
        terminals.selected.set(read_json(&ide.storage_key("terminal")));
        terminals.screen_reader.set(storage::read("terminal-screen-reader").is_some());
        load(ide);
    });
}

/// Reads the list again.
pub fn load(ide: Ide) {
    spawn_local(async move {
        match api::terminals::list(ide.project_id).await {
            _ if ide.is_gone() => {}
            Ok(list) => take_list(ide, list),
            // A connection that is lost says so in its own place; the list is read again when it is back.
            Err(error) if ide.terminals.loaded.get_untracked() && error.code() == ErrorCode::Unavailable => {}
            Err(error) => ide.terminals.problem.set(Some(error.0)),
        }
    });
}

fn take_list(ide: Ide, list: Vec<Terminal>) {
    let terminals = ide.terminals;
    let dismissed = terminals.dismissed.get_value();
    let before = terminals.list.get_untracked();
    let shown: Vec<Terminal> = list.into_iter().filter(|terminal| is_shown(terminal, &dismissed)).collect();
    for gone in before.iter().filter(|t| t.state != TerminalState::Closed && !shown.iter().any(|known| known.id == t.id)) {
        ide.toast(format!("{} was closed", gone.title));
    }
    terminals.loaded.set(true);
    terminals.problem.set(None);
    if before != shown {
        terminals.list.set(shown);
    }
    select_known(ide);
}

/// What a person has closed is not worth a tab; what ended by itself is, until it was seen.
fn is_shown(terminal: &Terminal, dismissed: &[RunId]) -> bool {
    let closed_by_hand = terminal.exit.as_ref().is_some_and(|exit| exit.kind == ExitKind::Cancelled);
    terminal.state != TerminalState::Closed || !(closed_by_hand || dismissed.contains(&terminal.id))
}

/// Keeps one on top while there are any.
fn select_known(ide: Ide) {
    let selected = ide.terminals.selected.get_untracked();
    let ids: Vec<RunId> = ide.terminals.list.with_untracked(|list| list.iter().map(|t| t.id).collect());
    if !selected.is_some_and(|id| ids.contains(&id)) {
        let next = ids.last().copied();
        if next != selected {
            ide.terminals.selected.set(next);
        }
    }
}

impl Terminals {
    pub fn get(&self, id: RunId) -> Option<Terminal> {
        self.list.with(|list| list.iter().find(|t| t.id == id).cloned())
    }

    pub fn set_link(&self, id: RunId, state: LinkState) {
        self.links.try_update(|links| links.insert(id, state));
    }

    /// The size that the next terminal is opened with.
    pub fn remember_size(&self, cols: u16, rows: u16) {
        self.size.try_set_value((cols, rows));
    }

    pub fn set_screen_reader(&self, on: bool) {
        self.screen_reader.set(on);
        if on {
            storage::write("terminal-screen-reader", "1");
        } else {
            storage::remove("terminal-screen-reader");
        }
    }

    fn put(&self, terminal: Terminal) {
        self.list.update(|list| match list.iter_mut().find(|known| known.id == terminal.id) {
            Some(known) => *known = terminal,
            None => list.push(terminal),
        });
    }
}

/// Brings a terminal on top and remembers it.
pub fn select(ide: Ide, id: RunId) {
    if ide.terminals.selected.get_untracked() != Some(id) {
        ide.terminals.selected.set(Some(id));
    }
    if let Ok(json) = serde_json::to_string(&id) {
        storage::write(&ide.storage_key("terminal"), &json);
    }
}

/// Shows the terminals and gives the one on top the keyboard; opens one if there is none.
pub fn focus(ide: Ide) {
    ide.show_console(ConsoleTab::Terminal);
    let any = ide.terminals.list.with_untracked(|list| list.iter().any(|t| t.state != TerminalState::Closed));
    if any || !untrack(|| ide.can_edit()) {
        request_focus(ide);
    } else {
        open(ide);
    }
}

/// Gives the terminal on top the keyboard, once it can take it.
pub fn request_focus(ide: Ide) {
    ide.terminals.focus_requests.update(|count| *count += 1);
}

/// Takes away the tab of a terminal that has ended and opens another one.
pub fn replace(ide: Ide, ended: RunId) {
    dismiss(ide, ended);
    open(ide);
}

/// Opens a terminal in the size of the panel, and gives it the keyboard.
pub fn open(ide: Ide) {
    ide.show_console(ConsoleTab::Terminal);
    let terminals = ide.terminals;
    if terminals.opening.get_untracked() {
        return;
    }
    if !untrack(|| ide.can_edit()) {
        ide.toast("Editors of the project can open terminals");
        return;
    }
    terminals.opening.set(true);
    terminals.problem.set(None);
    let (cols, rows) = terminals.size.get_value();
    spawn_local(async move {
        let opened = api::terminals::open(ide.project_id, OpenTerminal { cols, rows, title: None }).await;
        if ide.is_gone() {
            return;
        }
        terminals.opening.set(false);
        match opened {
            Ok(terminal) => {
                let id = terminal.id;
                terminals.put(terminal);
                select(ide, id);
                request_focus(ide);
            }
            Err(error) => {
                ide.announcement.set(error.to_string());
                terminals.problem.set(Some(error.0));
            }
        }
    });
}

/// Ends a terminal with what runs in it, or takes away the tab of one that has ended.
pub fn close(ide: Ide, id: RunId) {
    let Some(terminal) = untrack(|| ide.terminals.get(id)) else { return };
    if terminal.state == TerminalState::Closed {
        dismiss(ide, id);
        return;
    }
    forget(ide, id);
    spawn_local(async move {
        match api::terminals::close(id).await {
            _ if ide.is_gone() => {}
            Ok(_) => ide.toast(format!("Closed {}, with what ran in it", terminal.title)),
            Err(error) => {
                ide.terminals.problem.set(Some(error.0));
                load(ide);
            }
        }
    });
}

fn dismiss(ide: Ide, id: RunId) {
    ide.terminals.dismissed.update_value(|dismissed| {
        dismissed.push(id);
        let surplus = dismissed.len().saturating_sub(DISMISSED_MAX);
        dismissed.drain(..surplus);
        if let Ok(json) = serde_json::to_string(dismissed) {
            storage::write(&ide.storage_key("terminals-dismissed"), &json);
        }
    });
    forget(ide, id);
}

/// Takes the tab away; its neighbour comes on top.
fn forget(ide: Ide, id: RunId) {
    let terminals = ide.terminals;
    let at = terminals.list.with_untracked(|list| list.iter().position(|t| t.id == id));
    terminals.list.update(|list| list.retain(|t| t.id != id));
    if terminals.selected.get_untracked() == Some(id) {
        let next = terminals.list.with_untracked(|list| {
            let at = at.unwrap_or(0).min(list.len().saturating_sub(1));
            list.get(at).map(|t| t.id)
        });
        match next {
            Some(next) => select(ide, next),
            None => terminals.selected.set(None),
        }
    }
}

/// The terminal said how it ended.
pub fn ended(ide: Ide, id: RunId) {
    ide.terminals.set_link(id, LinkState::Ended);
    load(ide);
}

/// Gives a terminal another title. The error is for the field.
pub async fn rename(ide: Ide, id: RunId, title: String) -> Result<(), String> {
    match api::terminals::rename(id, title).await {
        Ok(terminal) => {
            if !ide.is_gone() {
                ide.terminals.put(terminal);
            }
            Ok(())
        }
        Err(error) => Err(error.field("title").unwrap_or_else(|| error.to_string())),
    }
}

fn read_json<T: serde::de::DeserializeOwned>(key: &str) -> Option<T> {
    serde_json::from_str(&storage::read(key)?).ok()
}

#[cfg(test)]
mod tests {
    use wire::{Micros, runs::Exit, users::UserRef};

    use super::*;

    #[test]
    fn what_ended_by_itself_stays_until_it_was_seen() {
        let id: RunId = "00000000000000000000000000000001".parse().unwrap();
        let mut terminal = Terminal {
            id,
            project_id: "00000000000000000000000000000002".parse().unwrap(),
            title: "Terminal 1".into(),
            state: TerminalState::Open,
            exit: None,
            tier: None,
            opened_by: UserRef { id: "00000000000000000000000000000003".parse().unwrap(), name: "Mara".into() },
            created_at: Micros(0),
            finished_at: None,
        };
        assert!(is_shown(&terminal, &[]));
        terminal.state = TerminalState::Closed;
        let exit = |kind| Some(Exit { kind, code: None, signal: None, sentence: "It ended.".into(), left_alive: 0 });
        terminal.exit = exit(ExitKind::Lost);
        assert!(is_shown(&terminal, &[]) && !is_shown(&terminal, &[id]));
        terminal.exit = exit(ExitKind::Cancelled);
        assert!(!is_shown(&terminal, &[]));
    }
}
