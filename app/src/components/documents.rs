//! The life of an open file: load, edit, save by compare-and-swap, follow what others do, keep what is unsaved.

use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ErrorCode,
    files::{Base, Entry, FileAction, OpenedFile, SaveOutcome, SaveText},
    limits,
};

use crate::{
    api,
    components::ide::{Conflict, Draft, Ide, TabBody},
    editor::monaco,
    ui::storage,
};

/// Larger drafts would push everything else out of the browser's storage.
const DRAFT_MAX: usize = 1024 * 1024;
/// The version of a draft that came along with a move: the new path counts its own versions.
const MOVED: i64 = -1;

/// Reads a file into its tab.
pub fn load(ide: Ide, path: String) {
    spawn_local(async move {
        let answer = api::files::open(ide.project_id, path.clone(), None).await;
        if ide.is_gone() {
            return;
        }
        match answer {
            Ok(file) => put_loaded(ide, &path, file),
            Err(error) => ide.update_tab(&path, |tab| tab.body = TabBody::Failed(error.0)),
        }
    });
}

fn put_loaded(ide: Ide, path: &str, file: OpenedFile) {
    let draft = read_draft(ide, path);
    ide.update_tab(path, |tab| {
        tab.version = file.entry.version;
        tab.deleted_by = None;
        tab.conflict = None;
        let read_only = file.entry.size > i64::try_from(limits::EDITOR_MAX).unwrap_or(i64::MAX);
        tab.body = match file.text {
            Some(text) => {
                tab.draft = draft.filter(|draft| draft.text != text);
                TabBody::Text { stored: text.into(), read_only }
            }
            None => TabBody::Plain(file.entry),
        };
    });
    if ide.tab(path).is_some_and(|tab| tab.draft.is_none()) {
        forget_draft(ide, path);
    }
}

/// Sends what was typed, based on the version it was typed over. Does nothing while a conflict waits for a decision.
pub fn save(ide: Ide, path: &str) {
    let Some(tab) = ide.tab(path) else { return };
    if tab.saving || !(tab.dirty || tab.version == 0) || !ide.can_edit() {
        return;
    }
    if tab.conflict.is_some() {
        ide.announcement.set("Not saved: decide the conflict first.".to_owned());
        return;
    }
    if let Some(text) = monaco::model_text(path) {
        let at = monaco::model_version(path);
        let base = if tab.version == 0 { Base::New } else { Base::Version(tab.version) };
        send(ide, path.to_owned(), base, text, Sent::Model(at));
    }
}

/// Saves every tab with unsaved text.
pub fn save_all(ide: Ide) {
    let dirty: Vec<String> = ide.tabs.with_untracked(|tabs| tabs.iter().filter(|t| t.dirty).map(|t| t.path.clone()).collect());
    for path in dirty {
        save(ide, &path);
    }
}

/// What a saved text was: the model at some state, or a text made elsewhere that the model then takes over.
enum Sent {
    Model(Option<f64>),
    Merged,
}

fn send(ide: Ide, path: String, base: Base, text: String, sent: Sent) {
    ide.update_tab(&path, |tab| tab.saving = true);
    spawn_local(async move {
        let request = SaveText { path: path.clone(), base, text: text.clone(), format: Default::default() };
        let answer = api::files::save(ide.project_id, request).await;
        if ide.is_gone() {
            return;
        }
        ide.update_tab(&path, |tab| tab.saving = false);
        match answer {
            Ok(SaveOutcome::Saved { entry }) => put_saved(ide, &path, entry, text, sent),
            Ok(SaveOutcome::Conflict { theirs }) => show_conflict(ide, &path, theirs),
            Err(error) => ide.error(&error.0),
        }
    });
}

fn put_saved(ide: Ide, path: &str, entry: Entry, text: String, sent: Sent) {
    match sent {
        Sent::Model(at) => monaco::mark_saved(path, at),
        Sent::Merged => monaco::set_model_text(path, &text, true),
    }
    let version = entry.version;
    let stored: Arc<str> = text.into();
    let mut behind = false;
    ide.update_tab(path, |tab| {
        tab.version = version;
        tab.conflict = None;
        tab.deleted_by = None;
        tab.dirty = monaco::is_dirty(path);
        tab.body = TabBody::Text { stored, read_only: false };
        behind = tab.latest > version;
    });
    put_entry(ide, entry);
    forget_draft(ide, path);
    ide.announcement.set("Saved.".to_owned());
    if behind {
        refresh(ide, path.to_owned(), String::new());
    }
}

/// Takes an entry into the tree in its sorted place.
pub fn put_entry(ide: Ide, entry: Entry) {
    ide.tree.update(|tree| match tree.items.binary_search_by(|known| known.path.cmp(&entry.path)) {
        Ok(at) => {
            if tree.items[at].version <= entry.version {
                tree.items[at] = entry;
            }
        }
        Err(at) => tree.items.insert(at, entry),
    });
}

fn show_conflict(ide: Ide, path: &str, theirs: Option<OpenedFile>) {
    let by = theirs.as_ref().and_then(|file| file.entry.updated_by.as_ref()).map(|user| user.name.clone()).unwrap_or_default();
    ide.update_tab(path, |tab| {
        let by = if by.is_empty() { tab.conflict.as_ref().map(|c| c.by.clone()).unwrap_or_default() } else { by };
        tab.conflict = Some(Conflict { theirs, by });
    });
}

/// The file changed elsewhere: a tab with nothing unsaved follows, any other gets a conflict to decide.
pub fn follow_change(ide: Ide, path: &str, action: FileAction, version: i64, by: &str) {
    let Some(tab) = ide.tab(path) else { return };
    if version <= tab.version || matches!(tab.body, TabBody::Loading) {
        return;
    }
    ide.update_tab(path, |tab| tab.latest = version.max(tab.latest));
    if tab.saving {
        return;
    }
    if action == FileAction::Deleted {
        let by = by.to_owned();
        ide.update_tab(path, |tab| {
            if tab.dirty {
                tab.conflict = Some(Conflict { theirs: None, by });
            } else {
                tab.version = 0;
                tab.deleted_by = Some(by);
            }
        });
    } else {
        refresh(ide, path.to_owned(), by.to_owned());
    }
}

/// Says on the open tabs of a path, or below it, that the person at this page deleted it. Unsaved text is left to the conflict bar.
pub fn follow_own_deletion(ide: Ide, path: &str) {
    let me = ide.viewer.with_value(|user| user.display_name().to_owned());
    let below = format!("{path}/");
    ide.tabs.update(|tabs| {
        for tab in tabs.iter_mut().filter(|tab| !tab.dirty && (tab.path == path || tab.path.starts_with(&below))) {
            tab.version = 0;
            tab.deleted_by = Some(me.clone());
        }
    });
}

fn refresh(ide: Ide, path: String, by: String) {
    spawn_local(async move {
        let answer = api::files::open(ide.project_id, path.clone(), None).await;
        if ide.is_gone() {
            return;
        }
        let Some(tab) = ide.tab(&path) else { return };
        match answer {
            // A save of ours was answered meanwhile.
            Ok(file) if file.entry.version <= tab.version => {}
            Ok(file) if (tab.dirty || tab.saving) && file.text != monaco::model_text(&path) => {
                ide.update_tab(&path, |tab| tab.conflict = Some(Conflict { theirs: Some(file), by }));
            }
            Ok(file) => {
                if let Some(text) = &file.text {
                    monaco::set_model_text(&path, text, true);
                }
                put_loaded(ide, &path, file);
            }
            Err(error) if error.code() == ErrorCode::NotFound => ide.update_tab(&path, |tab| {
                if tab.dirty {
                    tab.conflict = Some(Conflict { theirs: None, by });
                } else {
                    tab.version = 0;
                    tab.deleted_by.get_or_insert(by);
                }
            }),
            Err(error) => ide.error(&error.0),
        }
    });
}

/// Compares every open tab with the tree, after the tree was read as a whole.
pub fn follow_tree(ide: Ide) {
    let open: Vec<String> = ide.tabs.with_untracked(|tabs| tabs.iter().map(|tab| tab.path.clone()).collect());
    for path in open {
        match ide.entry(&path) {
            Some(entry) => {
                let by = entry.updated_by.map(|user| user.name).unwrap_or_default();
                follow_change(ide, &path, FileAction::Modified, entry.version, &by);
            }
            None => refresh(ide, path, String::new()),
        }
    }
}

/// Saves what was typed over the version that the conflict shows.
pub fn keep_mine(ide: Ide, path: &str) {
    if let Some(text) = monaco::model_text(path) {
        let at = monaco::model_version(path);
        resolve(ide, path, text, Sent::Model(at));
    }
}

/// Saves a text merged by hand over the version that the conflict shows.
pub fn keep_merged(ide: Ide, path: &str, text: String) {
    resolve(ide, path, text, Sent::Merged);
}

fn resolve(ide: Ide, path: &str, text: String, sent: Sent) {
    let Some(conflict) = ide.tab(path).and_then(|tab| tab.conflict) else { return };
    let base = conflict.theirs.map_or(Base::New, |theirs| Base::Version(theirs.entry.version));
    send(ide, path.to_owned(), base, text, sent);
}

/// Drops what was typed in favour of what is stored; the editor's undo brings it back.
pub fn take_theirs(ide: Ide, path: &str) {
    let Some(conflict) = ide.tab(path).and_then(|tab| tab.conflict) else { return };
    ide.update_tab(path, |tab| tab.dirty = false);
    forget_draft(ide, path);
    match conflict.theirs {
        None => close(ide, path),
        Some(theirs) => {
            if let Some(text) = &theirs.text {
                monaco::set_model_text(path, text, true);
            }
            put_loaded(ide, path, theirs);
        }
    }
}

/// Brings the kept text back into the editor, unsaved. When the file has moved on, that is a conflict to decide.
pub fn restore_draft(ide: Ide, path: &str) {
    let Some(tab) = ide.tab(path) else { return };
    let Some(draft) = tab.draft else { return };
    if monaco::model_text(path).is_none() {
        // The editor is still on its way; the ribbon stays.
        return;
    }
    monaco::set_model_text(path, &draft.text, false);
    ide.update_tab(path, |tab| tab.draft = None);
    if draft.version != tab.version && draft.version != MOVED {
        let path = path.to_owned();
        spawn_local(async move {
            if let Ok(theirs) = api::files::open(ide.project_id, path.clone(), None).await
                && !ide.is_gone()
            {
                show_conflict(ide, &path, Some(theirs));
            }
        });
    }
}

pub fn discard_draft(ide: Ide, path: &str) {
    ide.update_tab(path, |tab| tab.draft = None);
    forget_draft(ide, path);
}

/// Closes a tab and forgets its text; what is on top then is the neighbour.
pub fn close(ide: Ide, path: &str) {
    let at = ide.tabs.with_untracked(|tabs| tabs.iter().position(|tab| tab.path == path));
    let Some(at) = at else { return };
    keep_drafts(ide);
    if ide.active.with_untracked(|active| active.as_deref() == Some(path)) {
        let next = ide.tabs.with_untracked(|tabs| tabs.get(at + 1).or(at.checked_sub(1).and_then(|i| tabs.get(i))).map(|t| t.path.clone()));
        ide.active.set(next);
    }
    let dirty = ide.tab(path).is_some_and(|tab| tab.dirty);
    ide.tabs.update(|tabs| tabs.retain(|tab| tab.path != path));
    if dirty {
        keep_closed(ide, path);
    } else {
        forget_draft(ide, path);
    }
    monaco::close_model(path);
}

/// What was typed stays in this browser and is offered when the file is opened again, now or later.
fn keep_closed(ide: Ide, path: &str) {
    let name = path.rsplit('/').next().unwrap_or(path);
    let reopen = path.to_owned();
    ide.toasts.show_with_action(
        format!("Closed {name}; its unsaved text is kept"),
        "Open again",
        Callback::new(move |()| ide.open_file(&reopen, None)),
    );
}

/// A file or directory got another name: its tabs go along, with what is unsaved in them.
pub fn follow_move(ide: Ide, from: &str, to: &str) {
    let below = format!("{from}/");
    let moved: Vec<String> = ide.tabs.with_untracked(|tabs| {
        tabs.iter().filter(|tab| tab.path == from || tab.path.starts_with(&below)).map(|tab| tab.path.clone()).collect()
    });
    for old in moved {
        let new = format!("{to}{}", &old[from.len()..]);
        let Some(tab) = ide.tab(&old) else { continue };
        let typed = monaco::model_text(&old).filter(|_| tab.dirty);
        if let Some(text) = typed {
            write_draft(ide, &new, &Draft { version: MOVED, text });
        }
        forget_draft(ide, &old);
        ide.tabs.update(|tabs| {
            if let Some(at) = tabs.iter().position(|tab| tab.path == old) {
                tabs[at] = crate::components::ide::Tab::new(&new);
            }
        });
        if ide.active.with_untracked(|active| active.as_deref() == Some(old.as_str())) {
            ide.active.set(Some(new));
        }
        monaco::close_model(&old);
    }
}

fn draft_key(ide: Ide, path: &str) -> String {
    format!("{}:{path}", ide.storage_key("draft"))
}

fn read_draft(ide: Ide, path: &str) -> Option<Draft> {
    serde_json::from_str(&storage::read(&draft_key(ide, path))?).ok()
}

fn write_draft(ide: Ide, path: &str, draft: &Draft) {
    if draft.text.len() <= DRAFT_MAX
        && let Ok(json) = serde_json::to_string(draft)
    {
        storage::write(&draft_key(ide, path), &json);
    }
}

fn forget_draft(ide: Ide, path: &str) {
    storage::remove(&draft_key(ide, path));
}

/// Keeps every unsaved text in this browser, so that a reload or a crash loses nothing.
pub fn keep_drafts(ide: Ide) {
    let dirty = ide
        .tabs
        .try_with_untracked(|tabs| tabs.iter().filter(|tab| tab.dirty).map(|tab| (tab.path.clone(), tab.version)).collect::<Vec<_>>());
    for (path, version) in dirty.unwrap_or_default() {
        if let Some(text) = monaco::model_text(&path) {
            write_draft(ide, &path, &Draft { version, text });
        }
    }
}
