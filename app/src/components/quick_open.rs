//! The palette: files by a part of their path, symbols and lines of the file on top, commands, and the agent.

use leptos::prelude::*;
use wire::files::EntryKind;

use crate::{
    components::{
        commands::Command,
        ide::{Ide, PaletteKind, use_ide},
        outline::{self, symbol_icon},
        path_index::{PathIndex, score_name},
        tree_model::file_icon,
    },
    ui::{Palette, PaletteEntry, PaletteGroup},
};

const FILES_MAX: usize = 40;
const SYMBOLS_MAX: usize = 200;
/// What an open file has ahead of others that fit as well.
const OPEN_BONUS: i32 = 5;

/// The paths of the tree, made ready once for each state of it.
#[derive(Default)]
struct Paths {
    /// Revision and number of entries that it was made of.
    of: Option<(i64, usize)>,
    index: PathIndex,
}

/// Go to file (Ctrl P), symbols (Ctrl Shift O, or a query that begins with `@`), a line (`:`), and commands (Ctrl Shift P, or `>`).
#[component]
pub fn QuickOpen() -> impl IntoView {
    let ide = use_ide();
    let open = RwSignal::new(false);
    let query = RwSignal::new(String::new());
    let paths = StoredValue::new(Paths::default());
    Effect::new(move |_| {
        let Some(kind) = ide.palette.get() else { return };
        let begin = match kind {
            PaletteKind::Commands => ">",
            PaletteKind::Symbols => "@",
            PaletteKind::Files => "",
        };
        query.set(begin.to_owned());
        open.set(true);
    });
    // What is typed into the editor may have moved the symbols since they were read.
    let wants_symbols = Memo::new(move |_| open.get() && query.with(|query| query.starts_with('@')));
    Effect::new(move |_| {
        if wants_symbols.get() {
            outline::load(ide);
        }
    });
    Effect::new(move |was: Option<bool>| {
        let is = open.get();
        if was == Some(true) && !is {
            ide.palette.set(None);
        }
        is
    });
    let groups = Memo::new(move |_| if open.get() { query.with(|query| groups_for(ide, paths, query)) } else { Vec::new() });
    let choose = move |id: String| {
        if let Some(path) = id.strip_prefix("file:") {
            let (path, line) = split_line(path);
            ide.open_file(path, line);
        } else if let Some(line) = id.strip_prefix("line:").and_then(|line| line.split(':').next()?.parse().ok()) {
            if let Some(path) = ide.active.get_untracked() {
                ide.open_file(&path, Some(line));
                request_animation_frame(super::editor_pane::focus_editor);
            }
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

fn groups_for(ide: Ide, paths: StoredValue<Paths>, query: &str) -> Vec<PaletteGroup> {
    if let Some(text) = query.strip_prefix('@') {
        return vec![PaletteGroup { title: "Symbol", entries: symbol_entries(ide, text.trim()) }];
    }
    if let Some(text) = query.strip_prefix(':') {
        return vec![PaletteGroup { title: "Line", entries: line_entries(ide, text.trim()) }];
    }
    let (commands_only, text) = match query.strip_prefix('>') {
        Some(rest) => (true, rest.trim()),
        None => (false, query.trim()),
    };
    let mut groups = Vec::new();
    if !commands_only {
        let (text, line) = split_line(text);
        groups.push(PaletteGroup { title: "File", entries: file_entries(ide, paths, text, line) });
    }
    if commands_only || !text.is_empty() {
        groups.push(PaletteGroup { title: "Command", entries: command_entries(ide, text) });
    }
    if !commands_only && !text.is_empty() {
        let ask = PaletteEntry { id: format!("ask:{text}"), icon: "sparkles", label: format!("“{text}”"), keys: Vec::new() };
        groups.push(PaletteGroup { title: "Ask the agent", entries: vec![ask] });
    }
    groups
}

/// Without a query: the open files, then the tree from the top.
fn file_entries(ide: Ide, paths: StoredValue<Paths>, text: &str, line: Option<u32>) -> Vec<PaletteEntry> {
    let open: Vec<String> = ide.tabs.with(|tabs| tabs.iter().map(|tab| tab.path.clone()).collect());
    let bonus = |path: &str| if open.iter().any(|open| open == path) { OPEN_BONUS } else { 0 };
    let found: Option<Vec<String>> = ide.tree.with(|tree| {
        paths.try_update_value(|paths| {
            let of = Some((tree.revision, tree.items.len()));
            if paths.of != of {
                let files = tree.items.iter().filter(|entry| entry.kind != EntryKind::Directory);
                *paths = Paths { of, index: PathIndex::new(files.map(|entry| entry.path.clone())) };
            }
            let fits = paths.index.find(text, FILES_MAX, bonus);
            fits.into_iter().map(|fit| paths.index.path(fit).to_owned()).collect()
        })
    });
    let entry = |path: String| PaletteEntry {
        id: line.map_or_else(|| format!("file:{path}"), |line| format!("file:{path}:{line}")),
        icon: file_icon(path.rsplit('/').next().unwrap_or(&path)),
        label: path,
        keys: Vec::new(),
    };
    found.unwrap_or_default().into_iter().map(entry).collect()
}

/// In the order of the file; with a query the best first. What stands instead of symbols is an entry that leads nowhere.
fn symbol_entries(ide: Ide, text: &str) -> Vec<PaletteEntry> {
    let active = ide.active.get();
    let say = |label: String| vec![PaletteEntry { id: "none".to_owned(), icon: "circle-alert", label, keys: Vec::new() }];
    ide.outlines.shown.with(|shown| {
        let Some(path) = &active else { return say("Open a file to see its symbols".to_owned()) };
        let Some((_, outline)) = shown.as_ref().filter(|(of, _)| of == path) else { return Vec::new() };
        if outline.symbols.is_empty() {
            return say(outline.note.clone().unwrap_or_else(|| "This file has no symbols".to_owned()));
        }
        let fits = outline.symbols.iter().filter_map(|symbol| Some((score_name(&symbol.name, text)?, symbol)));
        let mut found: Vec<_> = fits.collect();
        if !text.is_empty() {
            found.sort_by_key(|(score, symbol)| (std::cmp::Reverse(*score), symbol.line));
        }
        found.truncate(SYMBOLS_MAX);
        let indent = |level: u32| if text.is_empty() { "\u{2003}".repeat(level as usize) } else { String::new() };
        let entry = |(n, (_, symbol)): (usize, (i32, &wire::search::Symbol))| PaletteEntry {
            id: format!("line:{}:{n}", symbol.line),
            icon: symbol_icon(symbol.kind),
            label: format!("{}{} {}", indent(symbol.level), symbol.name, symbol.kind.word()),
            keys: Vec::new(),
        };
        found.into_iter().enumerate().map(entry).collect()
    })
}

fn line_entries(ide: Ide, text: &str) -> Vec<PaletteEntry> {
    let line = text.parse::<u32>().ok().filter(|line| *line > 0);
    let (Some(line), Some(path)) = (line, ide.active.get()) else { return Vec::new() };
    let name = path.rsplit('/').next().unwrap_or(&path);
    vec![PaletteEntry { id: format!("line:{line}"), icon: "arrow-right", label: format!("Line {line} of {name}"), keys: Vec::new() }]
}

fn command_entries(ide: Ide, text: &str) -> Vec<PaletteEntry> {
    let mut found: Vec<(i32, Command)> =
        Command::ALL.into_iter().filter_map(|command| Some((score_name(command.label(), text)?, command))).collect();
    found.sort_by_key(|(score, _)| -score);
    let entry = |(_, command): (i32, Command)| PaletteEntry {
        id: format!("{command:?}"),
        icon: command.icon(),
        label: command.label().to_owned(),
        keys: ide.keymap.with(|keymap| command.keys(keymap)),
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
