//! The files of a change set beside its hunks, and what is said about a file.

use leptos::prelude::*;
use wire::changes::{ChangeAction, ChangedFile};

use super::{
    review_desk::Desk,
    review_state::{self, Standing, Tally},
};
use crate::ui::Icon;

pub fn action_badge(file: &ChangedFile) -> Option<&'static str> {
    match file.action {
        ChangeAction::Add if file.directory => Some("New directory"),
        ChangeAction::Add if file.link => Some("New link"),
        ChangeAction::Modify if file.link => Some("Link"),
        ChangeAction::Add => Some("New file"),
        ChangeAction::Delete => Some("Deleted"),
        ChangeAction::Rename => Some("Moved"),
        ChangeAction::Mode => Some("Permissions"),
        ChangeAction::Modify => None,
    }
}

pub fn split_path(path: &str) -> (String, String) {
    let cut = path.rfind('/').map_or(0, |at| at + 1);
    (path[..cut].to_owned(), path[cut..].to_owned())
}

pub fn file_element(path: &str) -> String {
    format!("review-file:{path}")
}

#[component]
pub fn Counts(file: Memo<Option<ChangedFile>>) -> impl IntoView {
    let added = move || file.with(|file| file.as_ref().map_or(0, |file| file.added_lines));
    let removed = move || file.with(|file| file.as_ref().map_or(0, |file| file.removed_lines));
    view! {
        <Show when=move || { added() > 0 }>
            <span class="adds">{move || format!("+{}", added())}</span>
        </Show>
        <Show when=move || { removed() > 0 }>
            <span class="dels">{move || format!("−{}", removed())}</span>
        </Show>
    }
}

/// The files of the change set, and the keys.
#[component]
pub fn Files(desk: Desk) -> impl IntoView {
    let paths =
        Memo::new(move |_| desk.set.with(|set| set.iter().flat_map(|set| &set.files).map(|file| file.path.clone()).collect::<Vec<_>>()));
    view! {
        <nav class="rv-side" aria-label="Files of the change set">
            <div class="phead">
                <h2>"Changed files"</h2>
            </div>
            <ul class="rlist scroll">
                <For each=move || paths.get() key=String::clone let:path>
                    <FileRow desk=desk path=path />
                </For>
            </ul>
            <div class="stack rv-keys">
                <div class="hints">
                    <Keys keys=&["J", "K"] word="next, previous" />
                    <Keys keys=&["A"] word="accept" />
                    <Keys keys=&["R"] word="reject" />
                    <Keys keys=&["E"] word="edit first" />
                    <Keys keys=&["L"] word="line by line" />
                    <Keys keys=&["Shift", "A"] word="accept file" />
                    <Keys keys=&["U"] word="undo" />
                    <Keys keys=&["?"] word="all keys" />
                </div>
            </div>
        </nav>
    }
}

#[component]
fn Keys(keys: &'static [&'static str], word: &'static str) -> impl IntoView {
    view! {
        <span>
            <span class="keys">{keys.iter().map(|key| view! { <kbd>{*key}</kbd> }).collect_view()}</span>
            {word}
        </span>
    }
}

fn row_icon(tally: &Tally) -> (&'static str, &'static str) {
    if tally.has(Standing::Conflict) {
        ("triangle-alert", "c-warn mark-icon")
    } else if tally.open() == tally.total() {
        ("circle", "t3 mark-icon")
    } else if tally.open() > 0 {
        ("circle-dot", "c-run mark-icon")
    } else if tally.all(Standing::Rejected) {
        ("x", "c-bad mark-icon")
    } else {
        ("check", "c-ok mark-icon")
    }
}

fn row_words(file: &ChangedFile, tally: &Tally) -> String {
    let kind = action_badge(file).map(|word| format!("{word}, ")).unwrap_or_default();
    let words = if tally.has(Standing::Conflict) {
        format!("conflict, {} open", tally.open())
    } else if tally.open() == 0 && tally.all(Standing::Rejected) {
        "rejected".to_owned()
    } else if tally.open() == 0 && (tally.all(Standing::Accepted) || tally.all(Standing::Edited)) {
        "accepted".to_owned()
    } else if tally.total() == 1 {
        "1 open".to_owned()
    } else {
        format!("{} of {} decided", tally.decided(), tally.total())
    };
    let text = kind + &words;
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[component]
fn FileRow(desk: Desk, path: String) -> impl IntoView {
    let (_, name) = split_path(&path);
    let title = path.clone();
    let path = StoredValue::new(path);
    let file = Memo::new(move |_| path.with_value(|path| desk.with_file(path, ChangedFile::without_hunks)));
    let tally = Memo::new(move |_| {
        desk.marks
            .with(|marks| path.with_value(|path| desk.with_file(path, |file| Tally::of(file.hunks.iter(), marks))).unwrap_or_default())
    });
    let current = move || {
        let here = desk.focus.get()?;
        desk.with_hunk(here, |file, _, _, _| path.with_value(|path| file.path == *path)).filter(|is_here| *is_here)
    };
    let go = move |_| {
        let target = untrack(|| {
            path.with_value(|path| {
                desk.with_file(path, |file| {
                    let open = desk.marks.with(|marks| file.hunks.iter().find(|hunk| review_state::standing(hunk, marks).is_open()));
                    open.or(file.hunks.first()).map(|hunk| hunk.id)
                })
            })
        })
        .flatten();
        if let Some(element) = document().get_element_by_id(&file_element(&path.get_value())) {
            element.scroll_into_view();
        }
        if let Some(target) = target {
            desk.go_to(target);
        }
    };
    view! {
        <li>
            <button type="button" title=title aria-current=move || current().map(|_| "true") on:click=go>
                {move || {
                    let (icon, class) = tally.with(row_icon);
                    view! {
                        <span class=class>
                            <Icon name=icon small=true />
                        </span>
                    }
                }}
                <span class="clip mono fs12">{name}</span>
                <span class="row g-2">
                    <Counts file=file />
                </span>
                <span class="sub">{move || file.with(|file| file.as_ref().map(|file| tally.with(|tally| row_words(file, tally))))}</span>
            </button>
        </li>
    }
}
