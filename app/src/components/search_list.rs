//! What a search found, by file. Only the rows in view are on the page.

use leptos::{attr::custom::custom_attribute, ev, prelude::*, wasm_bindgen::JsCast, web_sys};

use super::{
    editor_pane::focus_editor,
    ide::Ide,
    search_state::{Piece, Row, Search, pieces, rows},
    tree_model::file_icon,
};
use crate::ui::{Icon, Rows, format};

#[derive(Clone, Copy)]
struct List {
    ide: Ide,
    search: Search,
    rows: Memo<Vec<Row>>,
    drawn: Rows,
    stop: Memo<Option<Row>>,
}

fn row_id(row: Row) -> String {
    match row {
        Row::File(file) => format!("found-{file}"),
        Row::Hit(file, hit) => format!("found-{file}-{hit}"),
        Row::Before(file, hit, at) => format!("found-{file}-{hit}-b{at}"),
        Row::After(file, hit, at) => format!("found-{file}-{hit}-a{at}"),
    }
}

/// Moves the keyboard from the field into the list.
pub fn enter(ide: Ide) {
    let first = ide.search.results.with_untracked(|results| {
        ide.search.folded.with_untracked(|folded| ide.search.left_out.with_untracked(|left_out| rows(results, folded, left_out)))
    });
    let stop = ide.search.current.get_untracked().filter(|row| first.contains(row)).or(first.first().copied());
    if let Some(row) = stop {
        ide.search.current.set(Some(row));
        focus_row(row);
    }
}

/// Opens the next match, or the one before; it goes round.
pub fn step(ide: Ide, forward: bool) {
    let search = ide.search;
    let all: Vec<Row> =
        search.results.with_untracked(|results| search.left_out.with_untracked(|left_out| rows(results, &Default::default(), left_out)));
    let hits: Vec<Row> = all.into_iter().filter(|row| matches!(row, Row::Hit(..))).collect();
    if hits.is_empty() {
        return;
    }
    let at = search.current.get_untracked().and_then(|row| match row {
        Row::File(file) => hits.iter().position(|hit| hit.file() == file).map(|at| (at + hits.len() - 1) % hits.len()),
        other => hits.iter().position(|hit| *hit == other),
    });
    let next = match (at, forward) {
        (None, true) => 0,
        (None, false) => hits.len() - 1,
        (Some(at), true) => (at + 1) % hits.len(),
        (Some(at), false) => (at + hits.len() - 1) % hits.len(),
    };
    open(ide, hits[next]);
}

/// Focuses a row, at once when it is drawn: keys typed quickly must not meet a row that goes meanwhile.
fn focus_row(row: Row) {
    let focus = move || {
        let element = document().get_element_by_id(&row_id(row)).and_then(|row| row.dyn_into::<web_sys::HtmlElement>().ok());
        element.is_some_and(|element| element.focus().is_ok())
    };
    if !focus() {
        request_animation_frame(move || {
            focus();
        });
    }
}

/// Shows the line of a match in the editor.
fn open(ide: Ide, row: Row) {
    ide.search.current.set(Some(row));
    if let Row::Hit(file, hit) = row {
        let place = ide.search.results.with_untracked(|results| {
            results.files.get(file).and_then(|file| file.hits.get(hit)).map(|hit| (hit.path.clone(), hit.line, hit.column))
        });
        if let Some((path, line, column)) = place {
            ide.open_at(&path, line, column);
        }
    }
}

impl List {
    /// Moves the keyboard to a row, or to the next one in that direction at which it stops.
    fn go_to(self, at: usize, forward: bool) {
        let found = self.rows.with_untracked(|rows| {
            let stops = |at: &usize| rows[*at].is_stop();
            let after = (at..rows.len()).find(stops);
            let before = (0..=at.min(rows.len().saturating_sub(1))).rev().find(stops);
            let at = if forward { after.or(before) } else { before.or(after) };
            at.map(|at| (at, rows[at]))
        });
        let Some((at, row)) = found else { return };
        self.search.current.set(Some(row));
        self.drawn.scroll_to(at);
        focus_row(row);
    }

    fn path(self, row: Row) -> Option<String> {
        self.search.results.with_untracked(|results| results.files.get(row.file()).map(|file| file.path.clone()))
    }

    fn is_folded(self, row: Row) -> bool {
        self.path(row).is_some_and(|path| self.search.folded.with_untracked(|folded| folded.contains(&path)))
    }

    fn set_folded(self, row: Row, folded: bool) {
        let Some(path) = self.path(row) else { return };
        self.search.folded.update(|all| {
            if folded {
                all.insert(path);
            } else {
                all.remove(&path);
            }
        });
    }

    fn leave_out(self, row: Row) {
        let Some(path) = self.path(row) else { return };
        let at = self.rows.with_untracked(|rows| rows.iter().position(|other| other.file() == row.file())).unwrap_or_default();
        self.search.left_out.update(|all| {
            all.insert(path);
        });
        self.go_to(at, true);
    }

    fn activate(self, row: Row) {
        match row {
            Row::File(_) => {
                self.search.current.set(Some(row));
                self.set_folded(row, !self.is_folded(row));
            }
            _ => open(self.ide, row),
        }
    }
}

#[component]
pub fn SearchList(ide: Ide) -> impl IntoView {
    let search = ide.search;
    let all = Memo::new(move |_| {
        search.results.with(|results| search.folded.with(|folded| search.left_out.with(|left_out| rows(results, folded, left_out))))
    });
    let stop = Memo::new(move |_| {
        let current = search.current.get();
        all.with(|rows| current.filter(|row| rows.contains(row)).or(rows.first().copied()))
    });
    let list = List { ide, search, rows: all, drawn: Rows::new(480.0), stop };
    let window = list.drawn.window(all);
    list.drawn.measure_when(move || {
        // Also when the view is seen again.
        all.with(Vec::len);
        ide.side_view.track();
        ide.side_open.track();
        ide.drawer.track();
        ide.phone_pane.track();
    });
    // Another search may have other lines at the same places.
    let shown = move || {
        all.with(|rows| {
            let serial = search.results.with(|results| results.serial);
            window.get().of(rows).iter().map(|row| (serial, *row)).collect::<Vec<_>>()
        })
    };
    let (above, below) = list.drawn.pads(window);
    let stop_hidden = Memo::new(move |_| {
        let at = all.with(|rows| list.stop.with(|stop| rows.iter().position(|row| Some(row) == stop.as_ref())));
        at.is_some_and(|at| !window.get().has(at))
    });
    let on_focus = move |_| {
        if stop_hidden.get_untracked()
            && let Some(at) = list.stop.get_untracked().and_then(|stop| all.with_untracked(|rows| rows.iter().position(|row| *row == stop)))
        {
            list.go_to(at, true);
        }
    };
    view! {
        <ul
            class="tree scroll sr-list"
            role="tree"
            aria-label="Found lines"
            hidden=move || all.with(Vec::is_empty)
            tabindex=move || stop_hidden.get().then_some("0")
            node_ref=list.drawn.node
            on:focus=on_focus
            on:scroll=move |_| list.drawn.measure()
            on:keydown=move |event| on_key(list, &event)
        >
            <li role="presentation" class="tree-pad" style:height=above></li>
            <For each=shown key=|row| *row let:row>
                <FoundRow list=list row=row.1 />
            </For>
            <li role="presentation" class="tree-pad" style:height=below></li>
        </ul>
    }
}

#[component]
fn FoundRow(list: List, row: Row) -> impl IntoView {
    match row {
        Row::File(file) => view! { <FileRow list=list file=file /> }.into_any(),
        Row::Hit(file, hit) => view! { <HitRow list=list file=file hit=hit /> }.into_any(),
        Row::Before(file, hit, at) | Row::After(file, hit, at) => {
            let found = list.search.results.with_untracked(|results| {
                let hit = results.files.get(file)?.hits.get(hit)?;
                let (lines, number) = match row {
                    Row::Before(..) => (&hit.before, hit.line as usize + at - hit.before.len()),
                    _ => (&hit.after, hit.line as usize + at + 1),
                };
                Some((number, lines.get(at)?.trim_start().to_owned()))
            });
            let (number, text) = found.unwrap_or_default();
            view! {
                <li role="presentation" class="sr-line t3">
                    <span class="sr-no num">{number}</span>
                    <code class="clip">{text}</code>
                </li>
            }
            .into_any()
        }
    }
}

#[component]
fn FileRow(list: List, file: usize) -> impl IntoView {
    let row = Row::File(file);
    let search = list.search;
    let path = list.path(row).unwrap_or_default();
    let (directory, name) = path.rsplit_once('/').map_or(("", path.as_str()), |(directory, name)| (directory, name));
    let (directory, name) = (directory.to_owned(), name.to_owned());
    let count = Memo::new(move |_| search.results.with(|results| results.files.get(file).map_or(0, |file| file.hits.len())));
    let folded = Memo::new({
        let path = path.clone();
        move |_| search.folded.with(|folded| folded.contains(&path))
    });
    let leave_out = move |event: ev::MouseEvent| {
        event.stop_propagation();
        list.leave_out(row);
    };
    view! {
        <li
            role="treeitem"
            id=row_id(row)
            class="sr-file"
            {..custom_attribute("aria-level", "1")}
            aria-expanded=move || if folded.get() { "false" } else { "true" }
            aria-selected=move || if search.current.get() == Some(row) { "true" } else { "false" }
            tabindex=move || if list.stop.get() == Some(row) { "0" } else { "-1" }
            title=path
            on:focus=move |_| search.current.set(Some(row))
            on:click=move |_| list.activate(row)
        >
            {move || view! { <Icon name=if folded.get() { "chevron-right" } else { "chevron-down" } class="tw" /> }}
            <Icon name=file_icon(&name) />
            <span class="sr-name">{name}</span>
            <span class="clip t3 fs12">{directory}</span>
            <span class="m t3 num">
                <span class="sr">{move || format::counted(count.get() as i64, "line", "lines")}</span>
                <span aria-hidden="true">{move || count.get()}</span>
                <button type="button" class="ib ib--s" tabindex="-1" aria-label="Leave this file out" title="Leave this file out (Del)" on:click=leave_out>
                    <Icon name="x" small=true />
                </button>
            </span>
        </li>
    }
}

#[component]
fn HitRow(list: List, file: usize, hit: usize) -> impl IntoView {
    let row = Row::Hit(file, hit);
    let search = list.search;
    let found = search.results.with_untracked(|results| results.files.get(file).and_then(|file| file.hits.get(hit).cloned()));
    let Some(found) = found else { return ().into_any() };
    let text: Vec<_> = pieces(&found)
        .into_iter()
        .map(|piece| match piece {
            Piece::Plain(text) => text.into_any(),
            Piece::Hit(text) if found.replaced.is_empty() => view! { <mark>{text}</mark> }.into_any(),
            Piece::Hit(text) => view! { <del>{text}</del> }.into_any(),
            Piece::New(text) => view! { <ins>{text}</ins> }.into_any(),
        })
        .collect();
    view! {
        <li
            role="treeitem"
            id=row_id(row)
            class="sr-line"
            {..custom_attribute("aria-level", "2")}
            aria-selected=move || if search.current.get() == Some(row) { "true" } else { "false" }
            tabindex=move || if list.stop.get() == Some(row) { "0" } else { "-1" }
            title=format!("{}:{}", found.path, found.line)
            on:focus=move |_| search.current.set(Some(row))
            on:click=move |_| list.activate(row)
        >
            <span class="sr-no num t3">{found.line}</span>
            <code class="clip">{text}</code>
        </li>
    }
    .into_any()
}

/// Arrows, Home and End walk; Left and Right fold; Enter opens the line, Space shows it and stays; Del leaves a file out.
fn on_key(list: List, event: &ev::KeyboardEvent) {
    let count = list.rows.with_untracked(Vec::len);
    if count == 0 || event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    let Some(row) = list.stop.get_untracked() else { return };
    let at = list.rows.with_untracked(|rows| rows.iter().position(|other| *other == row)).unwrap_or_default();
    let head =
        at - list.rows.with_untracked(|rows| rows[..=at].iter().rev().position(|other| *other == Row::File(row.file())).unwrap_or(0));
    let page = list.drawn.page();
    let is_file = matches!(row, Row::File(_));
    match event.key().as_str() {
        "ArrowDown" => list.go_to((at + 1).min(count - 1), true),
        "ArrowUp" if at == 0 => list.search.focus.update(|count| *count += 1),
        "ArrowUp" => list.go_to(at - 1, false),
        "PageDown" => list.go_to((at + page).min(count - 1), true),
        "PageUp" => list.go_to(at.saturating_sub(page), false),
        "Home" => list.go_to(0, true),
        "End" => list.go_to(count - 1, false),
        "ArrowRight" if is_file && list.is_folded(row) => list.set_folded(row, false),
        "ArrowRight" => list.go_to((at + 1).min(count - 1), true),
        "ArrowLeft" if is_file => list.set_folded(row, true),
        "ArrowLeft" => list.go_to(head, true),
        "Enter" if is_file => list.activate(row),
        "Enter" => {
            open(list.ide, row);
            request_animation_frame(focus_editor);
        }
        " " => list.activate(row),
        "Delete" | "Backspace" => list.leave_out(row),
        _ => return,
    }
    event.prevent_default();
    event.stop_propagation();
}
