//! Unsaved text, kept in this browser so that neither a reload nor a crash loses it, and offered back with the version it was based on.

use std::{collections::BTreeMap, time::Duration};

use leptos::{ev, prelude::*, task::spawn_local};
use serde::{Deserialize, Serialize};
use wire::limits;

use crate::{
    components::{
        autosave,
        documents::{self, text_of},
        ide::{Conflict, Draft, Ide},
        text_lines::{LineEnds, ends_of},
    },
    editor::{drafts as large, monaco},
    ui::storage,
};

/// How often unsaved text is put aside, and every how many times a large one is.
const KEEP_EVERY: Duration = Duration::from_secs(1);
const LARGE_EVERY: u32 = 5;
/// The browser's plain storage takes 5 MB in all; what does not fit goes into its database.
const SMALL_MAX: usize = 256 * 1024;
const SMALL_TOTAL: usize = 2 * 1024 * 1024;
const LARGE_TOTAL: usize = 64 * 1024 * 1024;
/// The version of a draft that came along with a move: the new path counts its own versions.
const MOVED: i64 = -1;

/// A draft as it stands in the plain storage; a large one has its text elsewhere.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    draft: Draft,
    #[serde(default)]
    large: bool,
}

fn key(ide: Ide, path: &str) -> String {
    format!("{}:{path}", ide.storage_key("draft"))
}

/// Names this tab of the browser, also over a reload: two tabs may edit one file, and a save in one says nothing of the other.
fn page() -> String {
    storage::session_id("page")
}

fn find(ide: Ide, path: &str) -> Option<Kept> {
    serde_json::from_str(&storage::read(&key(ide, path))?).ok()
}

/// What is kept of a file.
pub async fn read(ide: Ide, path: &str) -> Option<Draft> {
    let Kept { mut draft, large } = find(ide, path)?;
    if large {
        draft.text = large::get(&key(ide, path)).await?;
    }
    Some(draft)
}

fn write(ide: Ide, path: &str, version: i64, text: String) {
    if text.len() as u64 > limits::EDITOR_MAX {
        return;
    }
    let key = key(ide, path);
    let draft = Draft { version, text, page: page(), at: js_sys::Date::now() };
    let small = draft.text.len() <= SMALL_MAX && storage::size_of_others("draft:", &key) + draft.text.len() <= SMALL_TOTAL;
    let mut kept = Kept { draft, large: !small };
    let text = if small { None } else { Some(std::mem::take(&mut kept.draft.text)) };
    if let Ok(json) = serde_json::to_string(&kept) {
        storage::write(&key, &json);
    }
    if let Some(text) = text {
        spawn_local(async move { large::put(&key, &text, LARGE_TOTAL).await });
    }
}

/// Forgets what this tab of the browser has kept.
pub fn forget(ide: Ide, path: &str) {
    if find(ide, path).is_some_and(|kept| kept.draft.page == page()) {
        forget_any(ide, path);
    }
}

/// Forgets what is kept of a file, whoever kept it.
pub fn forget_any(ide: Ide, path: &str) {
    let key = key(ide, path);
    let was_large = find(ide, path).is_some_and(|kept| kept.large);
    storage::remove(&key);
    if was_large {
        spawn_local(async move { large::remove(&key).await });
    }
}

/// Keeps the unsaved text of the named tabs.
fn keep(ide: Ide, paths: &[String]) {
    for path in paths {
        let Some(tab) = ide.tabs.try_with_untracked(|tabs| tabs.iter().find(|tab| tab.path == *path).cloned()).flatten() else { continue };
        if let Some(text) = text_of(&tab) {
            write(ide, path, tab.version, text);
        }
    }
}

fn dirty(ide: Ide) -> Vec<String> {
    ide.tabs.try_with_untracked(|tabs| tabs.iter().filter(|tab| tab.dirty).map(|tab| tab.path.clone()).collect()).unwrap_or_default()
}

/// Keeps every unsaved text.
pub fn keep_all(ide: Ide) {
    keep(ide, &dirty(ide));
}

/// Unsaved text is put aside while it changes and before the page goes; what has come to rest may be saved by itself.
pub fn keep_unsaved(ide: Ide) {
    let kept = StoredValue::new(BTreeMap::<String, f64>::new());
    let seen = StoredValue::new(BTreeMap::<String, f64>::new());
    let count = StoredValue::new(0_u32);
    Effect::new(move |_| {
        let tick = move || {
            let now: BTreeMap<String, f64> =
                dirty(ide).into_iter().filter_map(|path| monaco::model_version(&path).map(|version| (path, version))).collect();
            let Some(before) = seen.try_update_value(|seen| std::mem::replace(seen, now.clone())) else { return };
            let turn = count.try_update_value(|count| *count = count.wrapping_add(1)).map_or(0, |()| count.get_value());
            let is_light = |path: &str| ide.tabs.with_untracked(|tabs| tabs.iter().any(|tab| tab.path == *path && tab.is_light()));
            let changed = |path: &&String| kept.with_value(|kept| kept.get(*path) != now.get(*path));
            let due: Vec<String> = now.keys().filter(changed).filter(|path| turn % LARGE_EVERY == 0 || !is_light(path)).cloned().collect();
            keep(ide, &due);
            kept.update_value(|kept| {
                kept.retain(|path, _| now.contains_key(path));
                kept.extend(due.into_iter().filter_map(|path| now.get(&path).map(|version| (path.clone(), *version))));
            });
            let resting: Vec<String> =
                now.iter().filter(|(path, version)| before.get(*path) == Some(*version)).map(|(path, _)| path.clone()).collect();
            autosave::save_resting(ide, &resting);
        };
        if let Ok(timer) = set_interval_with_handle(tick, KEEP_EVERY) {
            on_cleanup(move || timer.clear());
        }
    });
    let leaving = window_event_listener(ev::beforeunload, move |event| {
        let unsaved = dirty(ide);
        if !unsaved.is_empty() {
            keep(ide, &unsaved);
            event.prevent_default();
        }
    });
    // Phones end pages without asking.
    let hiding = window_event_listener(ev::Custom::new("pagehide"), move |_: ev::Event| keep_all(ide));
    on_cleanup(move || {
        leaving.remove();
        hiding.remove();
    });
}

/// The text of a file goes along to its new name.
pub fn follow_move(ide: Ide, from: &str, to: &str, typed: Option<String>) {
    if let Some(text) = typed {
        write(ide, to, MOVED, text);
    }
    forget(ide, from);
}

/// Whether the draft only came along with a move in this tab, so that there is nothing to ask.
pub fn goes_on(draft: &Draft) -> bool {
    draft.version == MOVED && draft.page == page()
}

/// Brings the kept text back into the editor, unsaved. When the file has moved on, that is a conflict to decide.
pub fn restore(ide: Ide, path: &str) {
    let Some(tab) = ide.tab(path) else { return };
    let Some(draft) = tab.draft else { return };
    if monaco::model_text(path).is_none() {
        // The editor is still on its way; the ribbon stays.
        return;
    }
    monaco::set_model_text(path, &draft.text, false);
    ide.update_tab(path, |tab| {
        tab.draft = None;
        if let (LineEnds::All(end), LineEnds::All(stored)) = (ends_of(&draft.text), tab.line_ends())
            && end != stored
        {
            tab.line_end = Some(end);
        }
        tab.typed = monaco::is_dirty(&tab.path);
        tab.settle();
    });
    // From now on it belongs to this tab of the browser.
    write(ide, path, draft.version, draft.text.clone());
    if draft.version != tab.version && draft.version != MOVED {
        ask_about_newer(ide, path.to_owned(), draft.version);
    }
}

/// The file was saved by someone since the draft's version: both sides and what they began with are shown.
fn ask_about_newer(ide: Ide, path: String, version: i64) {
    spawn_local(async move {
        let base = crate::api::files::open(ide.project_id, path.clone(), Some(version)).await.ok().and_then(|file| file.text);
        let theirs = crate::api::files::open(ide.project_id, path.clone(), None).await;
        if ide.is_gone() {
            return;
        }
        let Ok(theirs) = theirs else { return };
        let by = theirs.entry.updated_by.as_ref().map(|user| user.name.clone()).unwrap_or_default();
        ide.update_tab(&path, |tab| tab.conflict = Some(Conflict { theirs: Some(theirs), by, base: base.map(Into::into) }));
    });
}

pub fn discard(ide: Ide, path: &str) {
    ide.update_tab(path, |tab| tab.draft = None);
    forget_any(ide, path);
    let gone = ide.tab(path).is_some_and(|tab| tab.version == 0 && !tab.dirty);
    if gone {
        documents::close_everywhere(ide, path);
    }
}
