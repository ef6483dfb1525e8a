//! What can be done with code that the agent wrote into the conversation.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{FieldError, Problem, changes::ChangeSet, files::check_path, proposals::ProposeText};

use super::ide::{Ide, PhonePane};
use crate::{
    api::{self, ApiError},
    editor::monaco,
    ui::{Dialog, DialogActions, ErrorSummary, TextField, open_about},
};

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

/// Makes a change set of the code for the file that the block names, and opens its review. Where it names none, that is asked for.
pub fn open_as_change(ide: Ide, named: Option<String>, code: String) {
    let Some(path) = named else { return ide.files.unplaced_code.set(Some(code)) };
    spawn_local(async move {
        match propose(ide, path, code).await {
            _ if ide.is_gone() => {}
            Ok(set) => review(ide, set),
            Err(error) => ide.toast(error.to_string()),
        }
    });
}

async fn propose(ide: Ide, path: String, text: String) -> Result<ChangeSet, ApiError> {
    let format = ide.tab(&path).map(|tab| tab.stored_format).unwrap_or_default();
    api::proposals::propose(ide.project_id, ProposeText { path, text, format }).await
}

fn review(ide: Ide, set: ChangeSet) {
    let key = set.review_key();
    ide.put_changes(set);
    ide.open_review(key);
}

/// The text that a file gets by code that does not say where it belongs: put in at the cursor of the file on top, else the code alone.
fn text_of(ide: Ide, path: &str, code: String) -> Result<String, String> {
    check_path(path).map_err(str::to_owned)?;
    if ide.active.get_untracked().as_deref() != Some(path) {
        return Ok(code);
    }
    if monaco::is_dirty(path) {
        return Err(format!("Save {path} first: the change is compared with what is saved."));
    }
    monaco::text_with(path, &code).ok_or_else(|| format!("{path} is not open as text. Name another file."))
}

/// Asks which file code is for that does not say so.
#[component]
pub fn CodeDialog(ide: Ide) -> impl IntoView {
    let code = ide.files.unplaced_code;
    let path = RwSignal::new(String::new());
    let problem = RwSignal::new(None::<Problem>);
    let busy = RwSignal::new(false);
    // Before the dialog opens, which begins with what the path is then.
    Effect::new(move |_| {
        if code.with(Option::is_some) {
            path.set(ide.active.get_untracked().unwrap_or_default());
            problem.set(None);
        }
    });
    let open = open_about(code);
    let on_submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(code) = code.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        let path = path.with_untracked(|path| path.trim().to_owned());
        let text = match text_of(ide, &path, code) {
            Ok(text) => text,
            Err(reason) => return problem.set(Some(Problem::invalid(vec![FieldError::new("path", reason)]))),
        };
        busy.set(true);
        spawn_local(async move {
            let answer = propose(ide, path, text).await;
            if ide.is_gone() {
                return;
            }
            busy.set(false);
            match answer {
                Ok(set) => {
                    open.set(false);
                    review(ide, set);
                }
                Err(error) => problem.set(Some(error.0)),
            }
        });
    };
    let of_path = Signal::derive(move || problem.with(|p| p.as_ref()?.field("path").map(str::to_owned)));
    let on_top = Signal::derive(move || problem.with(|p| p.as_ref().filter(|p| p.field("path").is_none()).map(ToString::to_string)));
    view! {
        <Dialog open=open title="Open as a change" locked=busy>
            <form novalidate=true on:submit=on_submit>
                <ErrorSummary message=on_top />
                <TextField
                    label="File"
                    name="code-path"
                    bind=path
                    error=of_path
                    hint="The file on top gets the code at its cursor. Any other file becomes the code alone, and one that does not exist is added."
                    autocomplete="off"
                    autofocus=true
                />
                <DialogActions open=open busy=busy>"Show the change"</DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}
