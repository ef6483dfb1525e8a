//! The cases of a report as a tree; only the rows in view are on the page.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

use leptos::{attr::custom::custom_attribute, ev, prelude::*, wasm_bindgen::JsCast, web_sys};
use wire::test_reports::CaseState;

use super::{
    test_detail::open_case,
    test_model::{Row, parent_key, state_word},
    test_panel::TestView,
};
use crate::ui::{
    Icon, Rows, format,
    typeahead::{TypeAhead, find_typed},
};

/// Icon and colour of a state; the word beside it says the same.
pub fn state_icon(state: CaseState) -> (&'static str, &'static str) {
    match state {
        CaseState::Failed => ("circle-x", "c-bad"),
        CaseState::Passed => ("check", "c-ok"),
        CaseState::Skipped => ("circle-minus", "t3"),
    }
}

#[derive(Clone, Copy)]
struct List {
    view: TestView,
    drawn: Rows,
    /// The key of the row that Tab reaches.
    stop: Memo<Option<String>>,
    typed: TypeAhead,
}

impl List {
    fn new(view: TestView) -> Self {
        let stop = Memo::new(move |_| {
            let current = view.current.get();
            view.rows.with(|rows| rows.iter().find(|row| Some(&row.key) == current.as_ref()).or(rows.first()).map(|row| row.key.clone()))
        });
        Self { view, drawn: Rows::new(480.0), stop, typed: TypeAhead::default() }
    }

    fn row(self, key: &str) -> Option<(usize, Row)> {
        self.view.rows.with_untracked(|rows| rows.iter().position(|row| row.key == key).map(|at| (at, rows[at].clone())))
    }

    /// Moves the keyboard to a row: scrolls it into view and focuses it once it is drawn.
    fn go_to(self, at: usize) {
        let Some(key) = self.view.rows.with_untracked(|rows| rows.get(at).map(|row| row.key.clone())) else { return };
        self.view.current.set(Some(key.clone()));
        self.drawn.scroll_to(at);
        request_animation_frame(move || {
            let row = document().get_element_by_id(&row_id(&key)).and_then(|row| row.dyn_into::<web_sys::HtmlElement>().ok());
            if let Some(row) = row {
                let _ = row.focus();
            }
        });
    }

    fn set_open(self, row: &Row, open: bool) {
        self.view.wish.update(|wish| {
            wish.folds.insert(row.key.clone(), open);
        });
    }

    /// A suite folds, a case opens in the editor; on a phone, where the editor would cover it, its detail shows first.
    fn activate(self, row: &Row) {
        self.view.current.set(Some(row.key.clone()));
        if let Some(open) = row.expanded {
            self.set_open(row, !open);
            return;
        }
        let case = row
            .case
            .and_then(|at| self.view.report.with_untracked(|report| report.as_ref().and_then(|report| report.cases.get(at).cloned())));
        if let Some(case) = case.filter(|_| !is_phone()) {
            open_case(self.view.ide, &case);
        }
    }
}

fn is_phone() -> bool {
    window().match_media("(max-width: 640px)").ok().flatten().is_some_and(|query| query.matches())
}

/// An id for a row's element; keys may hold anything.
fn row_id(key: &str) -> String {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    format!("test-{:x}", hasher.finish())
}

#[component]
pub fn TestTree(view: TestView) -> impl IntoView {
    let list = List::new(view);
    let window = list.drawn.window(view.rows);
    list.drawn.measure_when(move || {
        // Also when the tab is seen again.
        view.rows.with(Vec::len);
        view.ide.console_tab.track();
        view.ide.console_open.track();
        view.ide.console_max.track();
        view.ide.phone_pane.track();
    });
    // The detail that opens may take the place where the row was.
    Effect::new(move |_| {
        let Some(current) = view.current.get() else { return };
        request_animation_frame(move || {
            if list.drawn.node.try_get_untracked().flatten().is_some()
                && let Some((at, _)) = list.row(&current)
            {
                list.drawn.scroll_to(at);
            }
        });
    });
    // The rows are asked before what is made of them. The other way round, rows that change while their number stays the same are
    // found to be new on behalf of `window`, and whoever asks both is not told.
    let rows = Memo::new(move |_| view.rows.with(|rows| window.get().of(rows).to_vec()));
    let (above, below) = list.drawn.pads(window);
    // When the row that Tab reaches is scrolled away, the list itself is reached and brings it back.
    let stop_hidden = Memo::new(move |_| {
        let at = view.rows.with(|rows| list.stop.with(|stop| rows.iter().position(|row| Some(&row.key) == stop.as_ref())));
        at.is_some_and(|at| !window.get().has(at))
    });
    let on_focus = move |_| {
        if stop_hidden.get_untracked()
            && let Some((at, _)) = list.stop.get_untracked().and_then(|key| list.row(&key))
        {
            list.go_to(at);
        }
    };
    view! {
        <div class="tests-list">
            <ul
                class="tree scroll"
                role="tree"
                aria-label="Tests"
                tabindex=move || stop_hidden.get().then_some("0")
                node_ref=list.drawn.node
                on:focus=on_focus
                on:scroll=move |_| list.drawn.measure()
                on:keydown=move |event| on_key(list, &event)
            >
                <li role="presentation" class="tree-pad" style:height=above></li>
                <For each=move || rows.get() key=|row| row.key.clone() let:row>
                    <TestRow list=list rows=rows row=row />
                </For>
                <li role="presentation" class="tree-pad" style:height=below></li>
            </ul>
            <Show when=move || view.rows.with(Vec::is_empty)>
                <p class="t3 fs12 inset">
                    {move || if view.wish.with(|wish| wish.filter.trim().is_empty()) { "The run had no cases." } else { "No test holds this text." }}
                </p>
            </Show>
        </div>
    }
}

/// One element for as long as the row is listed, so that it keeps the focus when it folds or its state changes.
#[component]
fn TestRow(list: List, rows: Memo<Vec<Row>>, row: Row) -> impl IntoView {
    let key = StoredValue::new(row.key.clone());
    let row = Memo::new(move |before: Option<&Row>| {
        let now = rows.with(|rows| key.with_value(|key| rows.iter().find(|row| row.key == *key).cloned()));
        now.or_else(|| before.cloned()).unwrap_or_else(|| row.clone())
    });
    let word = move || {
        row.with(|row| match (row.state, row.case) {
            (CaseState::Skipped, None) => "has skipped ones: ".to_owned(),
            (state, _) => format!("{}: ", state_word(state)),
        })
    };
    let expanded = Memo::new(move |_| row.with(|row| row.expanded));
    let state = Memo::new(move |_| row.with(|row| row.state));
    let is_current = move || list.view.current.with(|current| key.with_value(|key| current.as_ref() == Some(key)));
    let is_stop = move || list.stop.with(|stop| key.with_value(|key| stop.as_ref() == Some(key)));
    let twist = move || match expanded.get() {
        Some(true) => view! { <Icon name="chevron-down" class="tw" /> }.into_any(),
        Some(false) => view! { <Icon name="chevron-right" class="tw" /> }.into_any(),
        None => view! { <span class="pad"></span> }.into_any(),
    };
    let mark = move || {
        let (icon, class) = state_icon(state.get());
        view! {
            <span class=format!("mark-icon {class}")>
                <Icon name=icon small=true />
            </span>
        }
    };
    let summary =
        move || row.with(|row| (!row.summary.is_empty()).then(|| view! { <span class="t3 fs12 clip">{row.summary.clone()}</span> }));
    let time =
        move || row.with(|row| row.duration_ms).map(|ms| view! { <span class="m t3 num tests-time">{format::duration_ms(ms)}</span> });
    view! {
        <li
            role="treeitem"
            id=key.with_value(|key| row_id(key))
            {..custom_attribute("aria-level", move || row.with(|row| row.level.to_string()))}
            aria-expanded=move || expanded.get().map(|open| if open { "true" } else { "false" })
            aria-selected=move || if is_current() { "true" } else { "false" }
            aria-posinset=move || row.with(|row| row.place.0.to_string())
            aria-setsize=move || row.with(|row| row.place.1.to_string())
            tabindex=move || if is_stop() { "0" } else { "-1" }
            style:--d=move || row.with(|row| row.level.saturating_sub(1).to_string())
            title=move || row.with(|row| row.name.clone())
            on:click=move |_| list.activate(&row.get_untracked())
        >
            {twist}
            {mark}
            <span class="sr">{word}</span>
            <span class="clip">{move || row.with(|row| row.name.clone())}</span>
            {summary}
            {time}
        </li>
    }
}

/// The keys of the tree: arrows, Home and End, letters; Enter folds a suite or opens a case.
fn on_key(list: List, event: &ev::KeyboardEvent) {
    let count = list.view.rows.with_untracked(Vec::len);
    if count == 0 || event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    let Some((at, row)) = list.stop.get_untracked().and_then(|key| list.row(&key)) else { return };
    let page = list.drawn.page();
    let key = event.key();
    match key.as_str() {
        "ArrowDown" => list.go_to((at + 1).min(count - 1)),
        "ArrowUp" => list.go_to(at.saturating_sub(1)),
        "PageDown" => list.go_to((at + page).min(count - 1)),
        "PageUp" => list.go_to(at.saturating_sub(page)),
        "Home" => list.go_to(0),
        "End" => list.go_to(count - 1),
        "ArrowRight" if row.expanded == Some(false) => list.set_open(&row, true),
        "ArrowRight" if row.expanded == Some(true) => list.go_to((at + 1).min(count - 1)),
        "ArrowLeft" if row.expanded == Some(true) => list.set_open(&row, false),
        "ArrowLeft" => {
            if let Some((above, _)) = list.row(parent_key(&row.key)) {
                list.go_to(above);
            }
        }
        "Enter" | " " => list.activate(&row),
        _ if key.chars().count() == 1 => {
            let typed = list.typed.push(&key);
            let next = list.view.rows.with_untracked(|rows| find_typed(rows, at, &typed, |row| &row.name));
            if let Some(next) = next {
                list.go_to(next);
            }
        }
        _ => return,
    }
    event.prevent_default();
    event.stop_propagation();
}
