//! What can be done with code that the agent wrote into the conversation.

use leptos::{prelude::*, task::spawn_local};
use wire::proposals::ProposeText;

use super::ide::{Ide, PhonePane};
use crate::{api, editor::monaco};

/// Puts code where the cursor of the file on top is, in place of what is selected there.
pub fn insert(ide: Ide, code: &str) {
    let Some(path) = ide.active.get_untracked() else {
        return ide.toast("Open a file and put the cursor where the code goes, then insert it");
    };
    let reason = ide.tab(&path).and_then(|tab| super::documents::read_only_reason(ide, &tab));
    if let Some(reason) = reason {
        return ide.toast(reason);
    }
    ide.close_review();
    if monaco::insert_at_cursor(&path, code) {
        ide.phone_pane.set(PhonePane::Files);
        ide.phone_editor.set(true);
        ide.toast(format!("Inserted the code into {path}; undo takes it out again"));
    } else {
        ide.toast("The file on top is not open as text; open one and put the cursor where the code goes");
    }
}

/// Makes a change set of the code and opens its review: for the file that the block names, else put in at the cursor of the file on top.
pub fn open_as_change(ide: Ide, named: Option<String>, code: String) {
    let (path, text) = match (named, ide.active.get_untracked()) {
        (Some(path), _) => (path, code),
        (None, Some(path)) if monaco::is_dirty(&path) => {
            return ide.toast(format!("Save {path} first: the change is compared with what is saved"));
        }
        (None, Some(path)) => match monaco::text_with(&path, &code) {
            Some(text) => (path, text),
            None => return ide.toast("The file on top is not open as text; open the one that the code is for"),
        },
        (None, None) => return ide.toast("Open the file that the code is for, then open it as a change"),
    };
    let format = ide.tab(&path).map(|tab| tab.stored_format).unwrap_or_default();
    spawn_local(async move {
        match api::proposals::propose(ide.project_id, ProposeText { path, text, format }).await {
            _ if ide.is_gone() => {}
            Ok(set) => {
                let key = set.review_key();
                ide.put_changes(set);
                ide.open_review(key);
            }
            Err(error) => ide.toast(error.to_string()),
        }
    });
}
