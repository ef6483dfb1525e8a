//! The life of an open file: load, edit, save by compare-and-swap, follow what others do.

use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ErrorCode, Problem,
    files::{Base, Entry, FileAction, OpenedFile, SaveOutcome, SaveText},
    projects::ProjectRole,
    users::UserRef,
};

use crate::{
    api,
    components::{
        conflicts, drafts, file_preview,
        ide::{Conflict, Ide, Tab, TabBody},
        save_large,
        tab::{By, Saving, Sent},
        unanswered,
    },
    editor::monaco::{self, ModelOptions, ModelStyle},
};

/// Reads a file into its tab, with what this browser has kept of it.
pub fn load(ide: Ide, path: String) {
    spawn_local(async move {
        let answer = api::files::open(ide.project_id, path.clone(), None).await;
        if ide.is_gone() {
            return;
        }
        let stored = answer.as_ref().ok().and_then(|file| file.text.as_deref());
        let draft = drafts::read(ide, &path, stored).await;
        if ide.is_gone() {
            return;
        }
        match answer {
            Ok(file) => {
                put_loaded(ide, &path, file);
                if draft.is_some() {
                    ide.update_tab(&path, |tab| tab.draft = draft);
                }
            }
            // The file is gone, what was typed is not.
            Err(error) if error.code() == ErrorCode::NotFound && draft.is_some() => ide.update_tab(&path, |tab| {
                tab.body = TabBody::text("");
                tab.draft = draft;
            }),
            Err(error) => ide.update_tab(&path, |tab| tab.body = TabBody::Failed(error.0)),
        }
    });
}

/// Takes over a file as it is stored now. What is shown otherwise than as text has no place in the editor: a text that stayed there
/// would count as unsaved, and be saved over the file.
pub fn put_loaded(ide: Ide, path: &str, file: OpenedFile) {
    let text = file.text.filter(|_| !file_preview::is_document(path));
    if text.is_none() {
        monaco::close_model(path);
    }
    ide.update_tab(path, |tab| {
        tab.version = file.entry.version;
        tab.checksum.clone_from(&file.entry.checksum);
        tab.deleted_by = None;
        tab.conflict = None;
        tab.unanswered = None;
        tab.refused_at = None;
        tab.style = file.style;
        tab.body = match text {
            Some(text) => TabBody::text(text),
            None => TabBody::Plain(file.entry),
        };
        tab.typed = monaco::is_dirty(&tab.path);
        tab.take_format(file.format);
    });
}

/// Puts the text of a tab into the editor, where it stays until the tab is closed.
pub fn open_model(ide: Ide, path: &str) {
    let Some(tab) = ide.tab(path) else { return };
    let Some(stored) = tab.stored().cloned() else { return };
    let style = ModelStyle {
        insert_spaces: tab.style.insert_spaces,
        indent_size: tab.style.indent_size,
        tab_width: tab.style.tab_width,
        max_line_length: tab.style.max_line_length,
    };
    let options = ModelOptions { read_only: untrack(|| read_only_reason(ide, &tab)).unwrap_or_default(), style, light: tab.is_light() };
    let info = monaco::open_model(path, &stored, &options);
    if tab.language != info.language {
        ide.update_tab(path, |tab| tab.language = info.language);
    }
    if tab.draft.as_ref().is_some_and(drafts::goes_on) {
        drafts::restore(ide, path);
    }
}

/// Why a text may not be edited. Tracks the person's role.
pub fn read_only_reason(ide: Ide, tab: &Tab) -> Option<String> {
    let role = ide.project.with(|project| project.role);
    if role < ProjectRole::Editor {
        let name = if role == ProjectRole::Reviewer { "a reviewer" } else { "a viewer" };
        return Some(format!("Read-only: you are {name} of this project. Its owner can make you an editor."));
    }
    let other_encoding = tab.is_light() && tab.stored_format.encoding != "utf-8";
    other_encoding.then(|| "Read-only: files of this size can be edited as UTF-8 only.".to_owned())
}

/// The text of a tab as it would be saved, every line with its own end. `None` while the editor does not hold it, and where the file is
/// shown otherwise than as text.
pub fn text_of(tab: &Tab) -> Option<String> {
    tab.stored()?;
    monaco::model_version(&tab.path)?;
    if !monaco::is_dirty(&tab.path) && tab.line_end.is_none() {
        return tab.stored().map(|stored| stored.to_string());
    }
    monaco::model_text(&tab.path).map(|edited| tab.text_from(&edited))
}

/// Saves because a person said so: first the text gets the looks that the project's `.editorconfig` asks for.
pub fn save(ide: Ide, path: &str) {
    let Some(tab) = ide.tab(path) else { return };
    if !untrack(|| ide.can_edit()) {
        ide.announcement.set(untrack(|| read_only_reason(ide, &tab)).unwrap_or_default());
        return;
    }
    let trim = tab.style.trim_trailing_whitespace == Some(true);
    let final_newline = tab.style.insert_final_newline == Some(true);
    if tab.dirty && !tab.saving && tab.conflict.is_none() && (trim || final_newline) && !tab.is_light() {
        monaco::tidy(path, trim, final_newline);
    }
    save_as_is(ide, path);
}

/// Sends what was typed, based on the version it was typed over. Does nothing while a conflict waits for a decision.
pub fn save_as_is(ide: Ide, path: &str) {
    let Some(tab) = ide.tab(path) else { return };
    if tab.saving || !(tab.dirty || tab.version == 0) || !untrack(|| ide.can_edit()) {
        return;
    }
    if tab.conflict.is_some() {
        ide.announcement.set("Not saved: decide the conflict first.".to_owned());
        return;
    }
    if let Some(text) = text_of(&tab) {
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

/// Asks for a text to be stored, in whichever way fits its size. `tab` says how it is written.
pub async fn put(ide: Ide, tab: &Tab, base: Base, text: &str) -> Result<SaveOutcome, Problem> {
    if save_large::is_large(text, &tab.format) {
        return save_large::send(ide, tab, base, text).await;
    }
    let request = SaveText { path: tab.path.clone(), base, text: text.to_owned(), format: tab.format.clone() };
    api::files::save(ide.project_id, request).await.map_err(|error| error.0)
}

/// Saves `text` if the file is still at `base`.
pub fn send(ide: Ide, path: String, base: Base, text: String, sent: Sent) {
    let Some(tab) = ide.tab(&path) else { return };
    let saving = Saving { text: text.into(), format: tab.format.clone(), line_end: tab.line_end, sent };
    ide.update_tab(&path, |tab| {
        tab.saving = true;
        tab.unanswered = None;
    });
    spawn_local(async move {
        let answer = put(ide, &tab, base, &saving.text).await;
        if ide.is_gone() {
            return;
        }
        ide.update_tab(&path, |tab| tab.saving = false);
        match answer {
            Ok(SaveOutcome::Saved { entry }) => put_saved(ide, &path, entry, saving),
            // Somebody had the same in mind, or an earlier try of ours was done after all.
            Ok(SaveOutcome::Conflict { theirs: Some(theirs) }) if saving.is_stored_in(&theirs) => {
                put_saved(ide, &path, theirs.entry, saving)
            }
            Ok(SaveOutcome::Conflict { theirs }) => conflicts::show(ide, &path, theirs, saving),
            Err(problem) => {
                if let Sent::Model(at) = saving.sent {
                    ide.update_tab(&path, |tab| tab.refused_at = at);
                }
                if unanswered::is_unsure(&problem) {
                    unanswered::begin(ide, &path, saving);
                } else {
                    ide.error(&problem);
                }
            }
        }
    });
}

/// A text was stored as it was sent.
pub fn put_saved(ide: Ide, path: &str, entry: Entry, saving: Saving) {
    let Saving { text, format, line_end, sent } = saving;
    match sent {
        Sent::Model(at) => monaco::mark_saved(path, at),
        Sent::Merged { .. } => {
            monaco::set_model_text(path, &text, true);
            ide.beside.set(None);
        }
    }
    let version = entry.version;
    let mut behind = false;
    ide.update_tab(path, |tab| {
        tab.version = version;
        tab.checksum.clone_from(&entry.checksum);
        tab.conflict = None;
        tab.deleted_by = None;
        tab.unanswered = None;
        tab.refused_at = None;
        tab.body = TabBody::text(text);
        tab.stored_format = format;
        if tab.line_end == line_end {
            tab.line_end = None;
        }
        tab.typed = monaco::is_dirty(path);
        tab.settle();
        behind = tab.latest > version;
    });
    put_entry(ide, entry);
    if ide.tab(path).is_some_and(|tab| !tab.dirty) {
        drafts::forget(ide, path);
    }
    ide.announcement.set("Saved.".to_owned());
    if behind {
        refresh(ide, path.to_owned(), By::default());
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

/// The file changed elsewhere: a tab with nothing unsaved follows, any other gets a conflict to decide.
pub fn follow_change(ide: Ide, path: &str, action: FileAction, version: i64, by: By) {
    let Some(tab) = ide.tab(path) else { return };
    if version <= tab.version || matches!(tab.body, TabBody::Loading) {
        return;
    }
    ide.update_tab(path, |tab| tab.latest = version.max(tab.latest));
    if tab.saving {
        return;
    }
    if action == FileAction::Deleted {
        tell_deleted(ide, path, by);
    } else {
        refresh(ide, path.to_owned(), by);
    }
}

fn tell_deleted(ide: Ide, path: &str, by: By) {
    ide.update_tab(path, |tab| {
        if tab.dirty {
            tab.conflict = Some(Conflict { theirs: None, by, base: tab.stored().cloned() });
        } else {
            tab.version = 0;
            tab.deleted_by.get_or_insert(by);
        }
    });
}

/// Says on the open tabs of a path, or below it, that the person at this page deleted it. Unsaved text is left to the conflict bar.
pub fn follow_own_deletion(ide: Ide, path: &str) {
    let me = ide.viewer.with_value(|user| By(Some(UserRef { id: user.id, name: user.display_name().to_owned() })));
    let below = format!("{path}/");
    ide.tabs.update(|tabs| {
        for tab in tabs.iter_mut().filter(|tab| !tab.dirty && (tab.path == path || tab.path.starts_with(&below))) {
            tab.version = 0;
            tab.deleted_by = Some(me.clone());
        }
    });
}

fn refresh(ide: Ide, path: String, by: By) {
    spawn_local(async move {
        let answer = api::files::open(ide.project_id, path.clone(), None).await;
        if ide.is_gone() {
            return;
        }
        let Some(tab) = ide.tab(&path) else { return };
        match answer {
            // A save of ours was answered meanwhile.
            Ok(file) if file.entry.version <= tab.version => {}
            Ok(file) if unanswered::is_done(&tab, &file) => unanswered::take_done(ide, &path, file.entry),
            Ok(file) if (tab.dirty || tab.saving) && file.text != text_of(&tab) => {
                let base = tab.conflict.as_ref().map_or_else(|| tab.stored().cloned(), |known| known.base.clone());
                ide.update_tab(&path, |tab| tab.conflict = Some(Conflict { theirs: Some(file), by, base }));
            }
            Ok(file) => take_over(ide, &path, file),
            Err(error) if error.code() == ErrorCode::NotFound => tell_deleted(ide, &path, by),
            Err(error) => ide.error(&error.0),
        }
    });
}

/// Shows a file as it is stored now; what was in the editor comes back by its undo, unless the file is no text.
pub fn take_over(ide: Ide, path: &str, file: OpenedFile) {
    if let Some(text) = &file.text {
        monaco::set_model_text(path, text, true);
    }
    put_loaded(ide, path, file);
}

/// Compares every open tab with the tree, after the tree was read as a whole.
pub fn follow_tree(ide: Ide) {
    let open: Vec<String> = ide.tabs.with_untracked(|tabs| tabs.iter().map(|tab| tab.path.clone()).collect());
    for path in open {
        match ide.entry(&path) {
            Some(entry) => {
                follow_change(ide, &path, FileAction::Modified, entry.version, By(entry.updated_by));
            }
            None => refresh(ide, path, By::default()),
        }
    }
}

/// Closes a tab of the focused group.
pub fn close(ide: Ide, path: &str) {
    let at = ide.groups.with_untracked(super::editor_groups::Groups::focused);
    close_in(ide, at, path);
}

/// Closes a tab of one group; the text is forgotten with its last tab.
pub fn close_in(ide: Ide, at: usize, path: &str) {
    drafts::keep_all(ide);
    ide.arrange(|groups| {
        groups.close(at, path);
    });
    forget_closed(ide, path);
}

/// Closes a file in every group.
pub fn close_everywhere(ide: Ide, path: &str) {
    drafts::keep_all(ide);
    ide.arrange(|groups| groups.close_all(path));
    forget_closed(ide, path);
}

fn forget_closed(ide: Ide, path: &str) {
    if ide.groups.with_untracked(|groups| groups.is_open(path)) {
        return;
    }
    let Some(tab) = ide.tab(path) else { return };
    ide.tabs.update(|tabs| tabs.retain(|tab| tab.path != path));
    if tab.dirty {
        offer_again(ide, path);
    } else if tab.draft.is_none() {
        drafts::forget(ide, path);
    }
    monaco::close_model(path);
}

/// What was typed stays in this browser and is offered when the file is opened again, now or later.
fn offer_again(ide: Ide, path: &str) {
    let name = path.rsplit('/').next().unwrap_or(path);
    let reopen = path.to_owned();
    ide.toasts.show_with_action(format!("Closed {name}; its unsaved text is kept"), "Open again", move || ide.open_file(&reopen, None));
}

/// A file or directory got another name: its tabs go along, with what is unsaved in them.
pub fn follow_move(ide: Ide, from: &str, to: &str) {
    let below = format!("{from}/");
    let moved: Vec<Tab> =
        ide.tabs.with_untracked(|tabs| tabs.iter().filter(|tab| tab.path == from || tab.path.starts_with(&below)).cloned().collect());
    for tab in moved {
        let (old, new) = (tab.path.clone(), format!("{to}{}", &tab.path[from.len()..]));
        drafts::follow_move(ide, &old, &new, text_of(&tab).filter(|_| tab.dirty));
        ide.tabs.update(|tabs| {
            tabs.retain(|known| known.path != new);
            for known in tabs.iter_mut().filter(|known| known.path == old) {
                *known = Tab::new(&new);
            }
        });
        ide.arrange(|groups| groups.rename(&old, &new));
        monaco::close_model(&old);
    }
}

/// Puts an earlier text into the editor, unsaved; the editor's undo takes it back.
pub fn put_text(ide: Ide, path: &str, text: &Arc<str>) {
    monaco::set_model_text(path, text, false);
    ide.announcement.set("The earlier text is in the editor, not saved yet.".to_owned());
}
