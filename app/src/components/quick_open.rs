//! The palette: files by a part of their path, commands, and the agent.

use leptos::prelude::*;
use wire::files::EntryKind;

use crate::{
    components::{
        commands::Command,
        ide::{Ide, PaletteKind, use_ide},
        tree_model::{file_icon, fuzzy_score},
    },
    ui::{Palette, PaletteEntry, PaletteGroup},
};

const FILES_MAX: usize = 40;

/// Go to file (Ctrl P) and commands (Ctrl Shift P, or a query that begins with `>`).
#[component]
pub fn QuickOpen() -> impl IntoView {
    let ide = use_ide();
    let open = RwSignal::new(false);
    let query = RwSignal::new(String::new());
    Effect::new(move |_| {
        let Some(kind) = ide.palette.get() else { return };
        query.set(if kind == PaletteKind::Commands { ">".to_owned() } else { String::new() });
        open.set(true);
    });
    Effect::new(move |was: Option<bool>| {
        let is = open.get();
        if was == Some(true) && !is {
            ide.palette.set(None);
        }
        is
    });
    let groups = Memo::new(move |_| if open.get() { query.with(|query| groups_for(ide, query)) } else { Vec::new() });
    let choose = move |id: String| {
        if let Some(path) = id.strip_prefix("file:") {
            let (path, line) = split_line(path);
            ide.open_file(path, line);
        } else if let Some(text) = id.strip_prefix("ask:") {
            ide.ask_agent(text);
        } else if let Some(command) = Command::ALL.into_iter().find(|command| id == format!("{command:?}")) {
            command.run(ide);
        }
    };
    view! { <Palette open=open query=query groups=groups on_choose=Callback::new(choose) /> }
}

/// `path:12` names a line.
fn split_line(text: &str) -> (&str, Option<u32>) {
    match text.rsplit_once(':').and_then(|(path, line)| Some((path, line.parse().ok()?))) {
        Some((path, line)) => (path, Some(line)),
        None => (text, None),
    }
}

fn groups_for(ide: Ide, query: &str) -> Vec<PaletteGroup> {
    let (commands_only, text) = match query.strip_prefix('>') {
        Some(rest) => (true, rest.trim()),
        None => (false, query.trim()),
    };
    let mut groups = Vec::new();
    if !commands_only {
        let (text, line) = split_line(text);
        groups.push(PaletteGroup { title: "File", entries: file_entries(ide, text, line) });
    }
    if commands_only || !text.is_empty() {
        groups.push(PaletteGroup { title: "Command", entries: command_entries(text) });
    }
    if !commands_only && !text.is_empty() {
        let ask = PaletteEntry { id: format!("ask:{text}"), icon: "sparkles", label: format!("“{text}”"), keys: Vec::new() };
        groups.push(PaletteGroup { title: "Ask the agent", entries: vec![ask] });
    }
    groups
}

/// Without a query: the open files, then the tree from the top.
fn file_entries(ide: Ide, text: &str, line: Option<u32>) -> Vec<PaletteEntry> {
    let open: Vec<String> = ide.tabs.with(|tabs| tabs.iter().map(|tab| tab.path.clone()).collect());
    let mut found: Vec<(i64, String)> = ide.tree.with(|tree| {
        let files = tree.items.iter().filter(|entry| entry.kind != EntryKind::Directory);
        let scored = files.filter_map(|entry| {
            let bonus = if open.contains(&entry.path) { 5 } else { 0 };
            Some((fuzzy_score(&entry.path, text)? + bonus, entry.path.clone()))
        });
        scored.collect()
    });
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.truncate(FILES_MAX);
    let entry = |(_, path): (i64, String)| PaletteEntry {
        id: line.map_or_else(|| format!("file:{path}"), |line| format!("file:{path}:{line}")),
        icon: file_icon(path.rsplit('/').next().unwrap_or(&path)),
        label: path,
        keys: Vec::new(),
    };
    found.into_iter().map(entry).collect()
}

fn command_entries(text: &str) -> Vec<PaletteEntry> {
    let mut found: Vec<(i64, Command)> =
        Command::ALL.into_iter().filter_map(|command| Some((fuzzy_score(command.label(), text)?, command))).collect();
    found.sort_by_key(|(score, _)| -score);
    let entry = |(_, command): (i64, Command)| PaletteEntry {
        id: format!("{command:?}"),
        icon: command.icon(),
        label: command.label().to_owned(),
        keys: command.keys(),
    };
    found.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::split_line;

    #[test]
    fn a_line_may_follow_the_path() {
        assert_eq!(split_line("src/a.py:12"), ("src/a.py", Some(12)));
        assert_eq!(split_line("src/a:b.py"), ("src/a:b.py", None));
    }
}
