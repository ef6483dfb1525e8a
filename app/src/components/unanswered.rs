//! A save that no answer came to. The server may have done it or not, so that nothing is claimed: what stands is looked up until it is
//! known, and until then the text stays where it was typed.

use std::{sync::Arc, time::Duration};

use leptos::{
    prelude::{GetUntracked, Set, set_timeout},
    task::spawn_local,
};
use wire::{ErrorCode, Problem, files::OpenedFile};

use super::{
    documents,
    ide::{Ide, Tab},
    tab::Saving,
    upload_plan::wait_s,
};
use crate::api;

/// Whether the server may have done what it was asked for: what it refuses bears the name of the request, and says that nothing was
/// changed; without one the answer is not its own. After a failure it does not know itself.
pub fn is_unsure(problem: &Problem) -> bool {
    problem.request_id.is_none() || problem.code == ErrorCode::Internal
}

fn words(path: &str) -> Problem {
    let name = path.rsplit('/').next().unwrap_or(path);
    Problem::new(
        ErrorCode::Unavailable,
        format!(
            "No answer came to the save of {name}, so it may be saved or not. Your text is kept here. This page looks what is stored as \
             soon as the server answers again."
        ),
    )
}

/// Says what is known, and looks for the rest.
pub fn begin(ide: Ide, path: &str, saving: Saving) {
    let text = saving.text.clone();
    ide.update_tab(path, |tab| tab.add_unanswered(saving));
    ide.error(&words(path));
    look_soon(ide, path.to_owned(), text, 0);
}

fn look_soon(ide: Ide, path: String, text: Arc<str>, tries: u32) {
    let wait = Duration::from_secs(u64::from(wait_s(tries, None)));
    set_timeout(move || spawn_local(look(ide, path, text, tries)), wait);
}

/// The tab, if this very save is still the last one that is not answered.
fn waiting(ide: Ide, path: &str, text: &Arc<str>) -> Option<Tab> {
    let is_it = |tab: &Tab| tab.unanswered.last().is_some_and(|saving| Arc::ptr_eq(&saving.text, text));
    ide.tab(path).filter(|tab| !tab.saving && is_it(tab))
}

async fn look(ide: Ide, path: String, text: Arc<str>, tries: u32) {
    if ide.is_gone() || waiting(ide, &path, &text).is_none() {
        return;
    }
    let answer = api::files::open(ide.project_id, path.clone(), None).await;
    if ide.is_gone() {
        return;
    }
    let Some(tab) = waiting(ide, &path, &text) else { return };
    match answer {
        Ok(file) if is_done(&tab, &file) => take_done(ide, &path, file),
        Ok(file) if file.entry.version <= based_on(&tab) => say_undone(ide, &path, file.entry.version),
        // Somebody else's version stands there; the news of it asks what to do.
        Ok(_) => clear_words(ide, &path),
        Err(error) if error.code() == ErrorCode::NotFound && tab.version == 0 => say_undone(ide, &path, 0),
        Err(error) if is_unsure(&error.0) || matches!(error.code(), ErrorCode::Unavailable | ErrorCode::RateLimited) => {
            look_soon(ide, path, text, tries.saturating_add(1));
        }
        // What happened to the file, or to the right to see it, is told by its own news.
        Err(_) => clear_words(ide, &path),
    }
}

/// The newest version that the save can have been meant to replace.
fn based_on(tab: &Tab) -> i64 {
    let theirs = tab.conflict.as_ref().and_then(|conflict| conflict.theirs.as_ref());
    theirs.map_or(tab.version, |theirs| theirs.entry.version)
}

/// It was not done when this was looked up. What was sent stays known: it may still be on its way.
fn say_undone(ide: Ide, path: &str, version: i64) {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stands = if version > 0 { format!("it is still at version {version}") } else { "there is no such file".to_owned() };
    clear_words(ide, path);
    ide.update_tab(path, |tab| tab.refused_at = None);
    ide.error(&Problem::new(ErrorCode::Unavailable, format!("{name} was not saved: {stands}. Your text is kept here; save it again.")));
}

/// Whether the file as it is stored now is what was sent.
pub fn is_done(tab: &Tab, file: &OpenedFile) -> bool {
    file.entry.version > tab.version && tab.unanswered_as(file).is_some()
}

/// The save was done after all.
pub fn take_done(ide: Ide, path: &str, file: OpenedFile) {
    let Some(saving) = ide.tab(path).and_then(|tab| tab.unanswered_as(&file).cloned()) else { return };
    clear_words(ide, path);
    documents::put_saved(ide, path, file.entry, saving);
}

fn clear_words(ide: Ide, path: &str) {
    if ide.problem.get_untracked().is_some_and(|known| known == words(path)) {
        ide.problem.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::{
        tab::{Sent, TabBody},
        tree_model::tests::entry,
    };
    use wire::files::{Entry, EntryKind, TextFormat};

    #[test]
    fn only_what_the_server_itself_refuses_is_sure() {
        let lost = Problem::new(ErrorCode::Unavailable, "The server could not be reached.");
        assert!(is_unsure(&lost));
        let said = |code: ErrorCode| Problem { request_id: Some("r1".to_owned()), ..Problem::new(code, "") };
        assert!(!is_unsure(&said(ErrorCode::Unavailable)), "the storage is away, and nothing was changed");
        assert!(!is_unsure(&said(ErrorCode::TooLarge)));
        assert!(is_unsure(&said(ErrorCode::Internal)));
        assert!(!words("a/b.txt").detail.contains("nothing was"));
    }

    #[test]
    fn a_newer_version_with_the_sent_text_is_ones_own_save() {
        let saving = Saving { text: "new".into(), format: TextFormat::default(), line_end: None, sent: Sent::Model(None) };
        let tab = Tab { version: 3, body: TabBody::text("old"), unanswered: vec![saving], ..Tab::new("a") };
        let stored = |version: i64, text: &str| OpenedFile {
            entry: Entry { version, ..entry("a", EntryKind::File) },
            text: Some(text.to_owned()),
            format: TextFormat::default(),
            style: Default::default(),
        };
        assert!(is_done(&tab, &stored(4, "new")));
        assert!(!is_done(&tab, &stored(3, "new")) && !is_done(&tab, &stored(4, "theirs")));
        assert!(!is_done(&Tab { unanswered: Vec::new(), ..tab }, &stored(4, "new")));
    }
}
