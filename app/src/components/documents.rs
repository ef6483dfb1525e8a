//! The life of an open file: load, edit, save by compare-and-swap, follow what others do.

use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ErrorCode, Problem,
    files::{Base, EditorStyle, Entry, FileAction, OpenedFile, SaveOutcome, SaveText},
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

/// Says how the texts below it look.
const EDITOR_CONFIG: &str = ".editorconfig";

/// Reads a file into its tab, with what this browser has kept of it.
pub fn load(ide: Ide, path: String) {
    spawn_local(async move {
        let answer = api::files::open(ide.project_id, path.clone(), None).await;
        if ide.is_gone() {
            return;
        }
        let stored = answer.as_ref().ok().and_then(|file| Some((file.text.as_deref()?, &file.format)));
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
    monaco::set_style(path, &style_of(&file.style));
    ide.update_tab(path, |tab| {
        tab.version = file.entry.version;
        tab.checksum.clone_from(&file.entry.checksum);
        tab.deleted_by = None;
        tab.conflict = None;
        tab.unanswered.clear();
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

fn style_of(style: &EditorStyle) -> ModelStyle {
    ModelStyle {
        insert_spaces: style.insert_spaces,
        indent_size: style.indent_size,
        tab_width: style.tab_width,
        max_line_length: style.max_line_length,
    }
}

/// Puts the text of a tab into the editor, where it stays until the tab is closed.
pub fn open_model(ide: Ide, path: &str) {
    let Some(tab) = ide.tab(path) else { return };
    let Some(stored) = tab.stored().cloned() else { return };
    let style = style_of(&tab.style);
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
    tidy(ide, path, false);
    save_as_is(ide, path);
}

/// Gives a text the looks that the project's `.editorconfig` asks for, also one that was stored without them. With `spare_cursors` the
/// lines that hold a cursor stay as they are: somebody is typing there.
pub fn tidy(ide: Ide, path: &str, spare_cursors: bool) {
    let Some(tab) = ide.tab(path) else { return };
    let trim = tab.style.trim_trailing_whitespace == Some(true);
    let final_newline = tab.style.insert_final_newline == Some(true);
    // A kept text that waits was typed over the stored one as it is.
    let waits = tab.saving || tab.conflict.is_some() || (tab.draft.is_some() && !tab.dirty);
    if waits || tab.is_light() || !(trim || final_newline) {
        return;
    }
    monaco::tidy(path, trim, final_newline, spare_cursors);
    // The editor's own news of it comes too late for the save.
    if monaco::is_dirty(path) != tab.typed {
        ide.update_tab(path, |tab| {
            tab.typed = !tab.typed;
            tab.settle();
        });
    }
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
    ide.update_tab(&path, |tab| tab.saving = true);
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
            // An earlier save without an answer was done: this one goes on from it.
            Ok(SaveOutcome::Conflict { theirs: Some(theirs) })
                if tab.unanswered_as(&theirs).is_some_and(|earlier| saving.goes_on_from(earlier)) =>
            {
                send_over_own(ide, &path, theirs, saving)
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

/// What stands there is one's own text of before: the newer one goes over it.
fn send_over_own(ide: Ide, path: &str, own: OpenedFile, saving: Saving) {
    match saving.sent {
        Sent::Model(_) => {
            unanswered::take_done(ide, path, own);
            save_as_is(ide, path);
        }
        Sent::Merged { .. } => {
            ide.update_tab(path, |tab| {
                if let Some(conflict) = &mut tab.conflict {
                    conflict.theirs = Some(own.clone());
                }
            });
            let base = Base::Version(own.entry.version);
            send(ide, path.to_owned(), base, saving.text.to_string(), Sent::Merged { theirs: Box::new(own) });
        }
    }
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
        tab.unanswered.clear();
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
    if let Some(above) = path.strip_suffix(EDITOR_CONFIG).filter(|above| above.is_empty() || above.ends_with('/')) {
        style_anew(ide, above);
    }
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

/// The texts below a directory, written with its slash, get the looks that the project asks for by now. Large ones wait until they are
/// opened again: their looks come with all of their text.
fn style_anew(ide: Ide, above: &str) {
    let is_below = |tab: &&Tab| tab.stored().is_some() && !tab.is_light() && tab.path.starts_with(above);
    let below: Vec<String> = ide.tabs.with_untracked(|tabs| tabs.iter().filter(is_below).map(|tab| tab.path.clone()).collect());
    spawn_local(async move {
        for path in below {
            let answer = api::files::open(ide.project_id, path.clone(), None).await;
            if ide.is_gone() {
                return;
            }
            let Ok(OpenedFile { style, .. }) = answer else { continue };
            if ide.tab(&path).is_some_and(|tab| tab.style != style) {
                monaco::set_style(&path, &style_of(&style));
                ide.update_tab(&path, |tab| tab.style = style);
            }
        }
    });
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
            Ok(file) if unanswered::is_done(&tab, &file) => unanswered::take_done(ide, &path, file),
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
    let mut after = ide.groups.get_untracked();
    after.close(at, path);
    if !after.is_open(path) && is_only_here(ide, path) {
        return;
    }
    ide.arrange(|groups| {
        groups.close(at, path);
    });
    forget_closed(ide, path);
}

/// Closes a file in every group.
pub fn close_everywhere(ide: Ide, path: &str) {
    drafts::keep_all(ide);
    if is_only_here(ide, path) {
        return;
    }
    ide.arrange(|groups| groups.close_all(path));
    forget_closed(ide, path);
}

/// Whether closing would lose what is unsaved, because the browser could not keep it. Says so.
fn is_only_here(ide: Ide, path: &str) -> bool {
    let only_here = ide.tab(path).is_some_and(|tab| tab.dirty && tab.unkept);
    if only_here {
        drafts::say_unkept(ide, path);
    }
    only_here
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
        drafts::follow_move(ide, &new, &tab);
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
