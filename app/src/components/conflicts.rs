//! A file that changed on both sides: keep mine, take theirs, or save a merge over exactly the version it was made with.

use std::sync::Arc;

use leptos::prelude::*;
use wire::files::{Base, OpenedFile};

use crate::{
    components::{
        documents::{self, text_of},
        drafts,
        ide::{Conflict, Ide, TabBody},
        tab::{By, Saving, Sent},
    },
    editor::monaco,
};

/// A save was answered with what is stored now. A merge that came too late becomes the text to merge again, based on what it was made with.
pub fn show(ide: Ide, path: &str, theirs: Option<OpenedFile>, saving: Saving) {
    let by = By(theirs.as_ref().and_then(|file| file.entry.updated_by.clone()));
    if let Sent::Merged { theirs: before } = saving.sent {
        ide.beside.set(None);
        monaco::set_model_text(path, &saving.text, false);
        ide.update_tab(path, |tab| {
            tab.version = before.entry.version;
            tab.checksum.clone_from(&before.entry.checksum);
            tab.body = TabBody::text(before.text.unwrap_or_default());
            tab.stored_format = before.format;
            tab.conflict = None;
        });
    }
    ide.update_tab(path, |tab| {
        let known = tab.conflict.take();
        let by = if by.0.is_none() { known.as_ref().map(|known| known.by.clone()).unwrap_or_default() } else { by };
        let base = known.map_or_else(|| tab.stored().cloned(), |known| known.base);
        tab.conflict = Some(Conflict { theirs, by, base });
    });
}

/// Saves what was typed over the version that the conflict shows.
pub fn keep_mine(ide: Ide, path: &str) {
    let Some(tab) = ide.tab(path) else { return };
    if let (Some(text), Some(conflict)) = (text_of(&tab), tab.conflict) {
        let at = monaco::model_version(path);
        let base = conflict.theirs.map_or(Base::New, |theirs| Base::Version(theirs.entry.version));
        documents::send(ide, path.to_owned(), base, text, Sent::Model(at));
    }
}

/// Saves a merged text over the version of `theirs` that it was made with.
pub fn keep_merged(ide: Ide, path: &str, text: String, theirs: OpenedFile) {
    ide.update_tab(path, |tab| {
        // How a file is written counts as a change like any other: theirs holds unless mine was changed.
        if tab.format == tab.stored_format {
            tab.format = theirs.format.clone();
        }
        tab.line_end = None;
    });
    let base = Base::Version(theirs.entry.version);
    documents::send(ide, path.to_owned(), base, text, Sent::Merged { theirs: Box::new(theirs) });
}

/// Drops what was typed in favour of what is stored; the editor's undo brings it back. Where what is stored has no place in the editor,
/// there is no undo: what was typed is then kept in this browser, and offered.
pub fn take_theirs(ide: Ide, path: &str) {
    let Some(tab) = ide.tab(path) else { return };
    let mine = text_of(&tab);
    let Some(conflict) = tab.conflict else { return };
    ide.update_tab(path, |tab| {
        tab.dirty = false;
        tab.typed = false;
    });
    let Some(theirs) = conflict.theirs else {
        drafts::forget(ide, path);
        return documents::close_everywhere(ide, path);
    };
    documents::take_over(ide, path, theirs);
    let is_text = ide.tab(path).is_some_and(|tab| tab.stored().is_some());
    match mine {
        Some(mine) if !is_text => drafts::put_aside(ide, path, tab.version, mine),
        _ => drafts::forget(ide, path),
    }
}

/// The three sides of a conflict as text: what both began with, mine, theirs.
pub fn sides(ide: Ide, path: &str) -> Option<(Option<Arc<str>>, String, OpenedFile)> {
    let tab = ide.tab(path)?;
    let mine = text_of(&tab)?;
    let conflict = tab.conflict?;
    Some((conflict.base, mine, conflict.theirs.filter(|theirs| theirs.text.is_some())?))
}
