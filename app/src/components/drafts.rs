//! Unsaved text, kept in this browser so that neither a reload nor a crash loses it, and offered back with the version it was based on.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leptos::{ev, prelude::*, task::spawn_local};
use serde::{Deserialize, Serialize};
use wire::{
    ErrorCode, Problem,
    files::{Base, SaveOutcome, TextFormat},
    limits,
};

use crate::{
    components::{
        autosave,
        documents::{self, text_of},
        file_plan::free_name,
        ide::{Conflict, Draft, Ide, Tab},
        tab::By,
        text_lines::{LineEnd, LineEnds, ends_of},
        tree_model::is_taken,
        window_name,
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
/// Room in the plain storage that is given up when it is full: what finds a text in the database needs little, and then has a place.
const RESERVE: &str = "draft-reserve";
const RESERVE_CHARS: usize = 4096;
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

/// A text as it was when it was kept.
#[derive(Debug, Clone, PartialEq)]
struct Typed {
    model: f64,
    format: TextFormat,
    line_end: Option<LineEnd>,
}

thread_local! {
    /// Texts that went along with a move, by their keys: between the two names they are in no tab, and storage may be refused.
    static ALONG: RefCell<BTreeMap<String, Draft>> = const { RefCell::new(BTreeMap::new()) };
}

/// What begins the keys of one person's drafts of a project. Whoever signs in after them is not offered their texts.
fn prefix(ide: Ide) -> String {
    format!("{}:{}:", ide.storage_key("draft"), ide.viewer.with_value(|user| user.id))
}

/// Each window keeps its own: two of them may edit one file.
fn key(ide: Ide, window: &str, path: &str) -> String {
    format!("{}{window}:{path}", prefix(ide))
}

fn find(key: &str) -> Option<Kept> {
    serde_json::from_str(&storage::read(key)?).ok()
}

/// What is offered of a file: what this window kept before it was loaded again, else what was kept last by one that is gone. What says
/// no more than what is `stored` is forgotten.
pub async fn read(ide: Ide, path: &str, stored: Option<(&str, &TextFormat)>) -> Option<Draft> {
    window_name::claim().await;
    if ide.is_gone() {
        return None;
    }
    let found = kept_of(ide, path).await;
    if found.is_empty() {
        return None;
    }
    let open = window_name::open().await;
    if ide.is_gone() {
        return None;
    }
    let (offered, spent) = choose(found, &window_name::name(), &open, stored);
    for window in spent {
        forget_of(ide, &window, path);
    }
    offered
}

/// What all windows have kept of a file.
async fn kept_of(ide: Ide, path: &str) -> Vec<Draft> {
    let prefix = prefix(ide);
    let mut found = Vec::new();
    for key in storage::keys(&prefix) {
        if key[prefix.len()..].split_once(':').is_none_or(|(_, of)| of != path) {
            continue;
        }
        let Some(Kept { mut draft, large }) = find(&key) else { continue };
        if large {
            let Some(text) = large::get(&key).await else { continue };
            draft.text = text;
        }
        found.push(draft);
    }
    let along = ALONG.with_borrow(|along| along.get(&key(ide, &window_name::name(), path)).cloned());
    if let Some(draft) = along
        && found.iter().all(|known: &Draft| known.page != draft.page)
    {
        found.push(draft);
    }
    found
}

/// Which draft is offered, and the windows whose own say nothing new. What another window that is open has kept is its own affair.
fn choose(found: Vec<Draft>, own: &str, open: &BTreeSet<String>, stored: Option<(&str, &TextFormat)>) -> (Option<Draft>, Vec<String>) {
    let is_stored = |draft: &Draft| {
        stored.is_some_and(|(text, format)| text == draft.text && draft.format.as_ref().is_none_or(|chosen| chosen == format))
    };
    let ours = found.into_iter().filter(|draft| draft.page == own || !open.contains(&draft.page));
    let (spent, news): (Vec<Draft>, Vec<Draft>) = ours.partition(is_stored);
    let offered = news.into_iter().max_by(|a, b| (a.page == own).cmp(&(b.page == own)).then(a.at.total_cmp(&b.at)));
    (offered, spent.into_iter().map(|draft| draft.page).collect())
}

/// The unsaved text of a tab with what was chosen for it.
fn draft_of(tab: &Tab, version: i64, text: String) -> Draft {
    Draft {
        version,
        text,
        page: window_name::name(),
        at: js_sys::Date::now(),
        format: (tab.format != tab.stored_format).then(|| tab.format.clone()),
        line_end: tab.line_end.map(|end| end.as_str().to_owned()),
    }
}

fn store(key: &str, kept: &Kept) -> bool {
    serde_json::to_string(kept).is_ok_and(|json| storage::try_write(key, &json))
}

/// Keeps a draft of this window. What the plain storage has no room for goes the way of the large ones.
fn write(ide: Ide, path: &str, draft: Draft) {
    if draft.text.len() as u64 > limits::EDITOR_MAX {
        return note_kept(ide, path, false);
    }
    let key = key(ide, &draft.page, path);
    let small = draft.text.len() <= SMALL_MAX && storage::size_of_others("draft:", &key) + draft.text.len() <= SMALL_TOTAL;
    let was_large = find(&key).is_some_and(|kept| kept.large);
    let mut kept = Kept { draft, large: false };
    if small && store(&key, &kept) {
        if was_large {
            spawn_local(async move { large::remove(&key).await });
        }
        return note_kept(ide, path, true);
    }
    kept.large = true;
    let text = std::mem::take(&mut kept.draft.text);
    let mut found = store(&key, &kept);
    if !found {
        storage::remove(RESERVE);
        found = store(&key, &kept);
    }
    let path = path.to_owned();
    spawn_local(async move {
        let done = large::put(&key, &text, LARGE_TOTAL).await;
        note_kept(ide, &path, done && found);
    });
}

/// Remembers whether what is unsaved is kept, and says it once when it is not. What was saved meanwhile needs no keeping.
fn note_kept(ide: Ide, path: &str, kept: bool) {
    let known = ide.tabs.try_with_untracked(|tabs| {
        let tab = tabs.iter().find(|tab| tab.path == path)?;
        Some((tab.unkept, tab.dirty || tab.draft.is_some()))
    });
    let Some((unkept, unsaved)) = known.flatten() else { return };
    if unkept != kept || !(kept || unsaved) {
        return;
    }
    ide.update_tab(path, |tab| tab.unkept = !kept);
    if !kept {
        say_unkept(ide, path);
    } else if ide.problem.get_untracked().is_some_and(|said| said == unkept_words(path)) {
        ide.problem.set(None);
    }
}

fn unkept_words(path: &str) -> Problem {
    let name = path.rsplit('/').next().unwrap_or(path);
    Problem::new(
        ErrorCode::Unavailable,
        format!(
            "The browser has no room for the unsaved text of {name}, so it is kept only in this tab and goes with it. Save it, or copy it \
             to another place."
        ),
    )
}

/// Says that an unsaved text would be lost with its tab.
pub fn say_unkept(ide: Ide, path: &str) {
    ide.error(&unkept_words(path));
}

/// Forgets what this window has kept.
pub fn forget(ide: Ide, path: &str) {
    forget_of(ide, &window_name::name(), path);
    note_kept(ide, path, true);
}

fn forget_of(ide: Ide, window: &str, path: &str) {
    let key = key(ide, window, path);
    let was_large = find(&key).is_some_and(|kept| kept.large);
    storage::remove(&key);
    ALONG.with_borrow_mut(|along| along.remove(&key));
    if was_large {
        spawn_local(async move { large::remove(&key).await });
    }
}

/// Keeps a text that has no place in the editor any more, and offers it.
pub fn put_aside(ide: Ide, path: &str, version: i64, text: String) {
    let draft = Draft { version, text, page: window_name::name(), at: js_sys::Date::now(), format: None, line_end: None };
    ide.update_tab(path, |tab| tab.draft = Some(draft.clone()));
    write(ide, path, draft);
}

/// Keeps the unsaved text of the named tabs.
fn keep(ide: Ide, paths: &[String]) {
    for path in paths {
        let Some(tab) = ide.tabs.try_with_untracked(|tabs| tabs.iter().find(|tab| tab.path == *path).cloned()).flatten() else { continue };
        if let Some(text) = text_of(&tab) {
            write(ide, path, draft_of(&tab, tab.version, text));
        }
    }
}

fn dirty(ide: Ide) -> Vec<String> {
    ide.tabs.try_with_untracked(|tabs| tabs.iter().filter(|tab| tab.dirty).map(|tab| tab.path.clone()).collect()).unwrap_or_default()
}

/// The state of every unsaved text that the editor holds.
fn typed(ide: Ide) -> BTreeMap<String, Typed> {
    let state = |tab: &Tab| {
        let model = monaco::model_version(&tab.path)?;
        Some((tab.path.clone(), Typed { model, format: tab.format.clone(), line_end: tab.line_end }))
    };
    ide.tabs.try_with_untracked(|tabs| tabs.iter().filter(|tab| tab.dirty).filter_map(state).collect()).unwrap_or_default()
}

/// Keeps every unsaved text.
pub fn keep_all(ide: Ide) {
    keep(ide, &dirty(ide));
}

/// Unsaved text is put aside while it changes and before the page goes; what has come to rest may be saved by itself.
pub fn keep_unsaved(ide: Ide) {
    let kept = StoredValue::new(BTreeMap::<String, Typed>::new());
    let seen = StoredValue::new(BTreeMap::<String, Typed>::new());
    let count = StoredValue::new(0_u32);
    Effect::new(move |_| {
        if storage::read(RESERVE).is_none() {
            storage::write(RESERVE, &".".repeat(RESERVE_CHARS));
        }
        let tick = move || {
            let now = typed(ide);
            let Some(before) = seen.try_update_value(|seen| std::mem::replace(seen, now.clone())) else { return };
            let turn = count.try_update_value(|count| *count = count.wrapping_add(1)).map_or(0, |()| count.get_value());
            let is_light = |path: &str| ide.tabs.with_untracked(|tabs| tabs.iter().any(|tab| tab.path == *path && tab.is_light()));
            // What could not be kept is tried again now and then.
            let is_unkept = |path: &str| ide.tabs.with_untracked(|tabs| tabs.iter().any(|tab| tab.path == *path && tab.unkept));
            let again = |path: &str| turn % LARGE_EVERY == 0 && is_unkept(path) && !is_light(path);
            let changed = |path: &&String| again(path) || kept.with_value(|kept| kept.get(*path) != now.get(*path));
            let due: Vec<String> = now.keys().filter(changed).filter(|path| turn % LARGE_EVERY == 0 || !is_light(path)).cloned().collect();
            keep(ide, &due);
            kept.update_value(|kept| {
                kept.retain(|path, _| now.contains_key(path));
                kept.extend(due.into_iter().filter_map(|path| now.get(&path).cloned().map(|typed| (path, typed))));
            });
            let resting: Vec<String> =
                now.iter().filter(|(path, typed)| before.get(*path) == Some(*typed)).map(|(path, _)| path.clone()).collect();
            autosave::save_resting(ide, &resting);
        };
        if let Ok(timer) = set_interval_with_handle(tick, KEEP_EVERY) {
            on_cleanup(move || timer.clear());
        }
    });
    let leaving = window_event_listener(ev::beforeunload, move |event| {
        let unsaved = dirty(ide);
        if !unsaved.is_empty() {
            // First: whatever keeping runs into, the browser still asks before the text is gone.
            event.prevent_default();
            keep(ide, &unsaved);
        }
    });
    // Phones end pages without asking.
    let hiding = window_event_listener(ev::Custom::new("pagehide"), move |_: ev::Event| keep_all(ide));
    on_cleanup(move || {
        leaving.remove();
        hiding.remove();
    });
}

/// What is unsaved in a tab goes along to the new name of its file.
pub fn follow_move(ide: Ide, to: &str, tab: &Tab) {
    if tab.dirty
        && let Some(text) = text_of(tab)
    {
        let draft = draft_of(tab, MOVED, text);
        ALONG.with_borrow_mut(|along| along.insert(key(ide, &draft.page, to), draft.clone()));
        write(ide, to, draft);
    }
    forget(ide, &tab.path);
}

/// Whether the draft only came along with a move in this tab, so that there is nothing to ask.
pub fn goes_on(draft: &Draft) -> bool {
    draft.version == MOVED && draft.page == window_name::name()
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
        if let Some(format) = &draft.format {
            tab.format = format.clone();
        }
        if let Some(end) = draft.line_end.as_deref().and_then(LineEnd::parse) {
            tab.line_end = Some(end);
        } else if let (LineEnds::All(end), LineEnds::All(stored)) = (ends_of(&draft.text), tab.line_ends())
            && end != stored
        {
            tab.line_end = Some(end);
        }
        tab.typed = monaco::is_dirty(&tab.path);
        tab.settle();
    });
    // From now on it belongs to this window.
    if draft.page != window_name::name() {
        forget_of(ide, &draft.page, path);
    }
    let version = draft.version;
    write(ide, path, Draft { page: window_name::name(), at: js_sys::Date::now(), ..draft });
    if version != tab.version && version != MOVED {
        ask_about_newer(ide, path.to_owned(), version);
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
        let by = By(theirs.entry.updated_by.clone());
        ide.update_tab(&path, |tab| tab.conflict = Some(Conflict { theirs: Some(theirs), by, base: base.map(Into::into) }));
    });
}

/// Forgets the draft that is offered. One that another window has left comes next.
pub fn discard(ide: Ide, path: &str) {
    let Some(draft) = ide.tab(path).and_then(|tab| tab.draft) else { return };
    ide.update_tab(path, |tab| tab.draft = None);
    forget_of(ide, &draft.page, path);
    let path = path.to_owned();
    spawn_local(async move {
        let stored = ide.tab(&path).and_then(|tab| Some((tab.stored().cloned()?, tab.stored_format)));
        let stored = stored.as_ref().map(|(text, format)| (&**text, format));
        let next = read(ide, &path, stored).await.filter(|next| next.page != window_name::name());
        if ide.is_gone() {
            return;
        }
        let Some(tab) = ide.tab(&path).filter(|tab| !tab.dirty && tab.draft.is_none()) else { return };
        if next.is_some() {
            ide.update_tab(&path, |tab| tab.draft = next);
        } else if tab.version == 0 {
            documents::close_everywhere(ide, &path);
        }
    });
}

/// Makes a file of its own of the draft, where the file that it was typed in is no text any more.
pub fn save_beside(ide: Ide, path: &str) {
    let Some(draft) = ide.tab(path).and_then(|tab| tab.draft) else { return };
    let wanted = format!("{path}.txt");
    let to = ide.tree.with_untracked(|tree| {
        let taken = |path: &str| is_taken(&tree.items, path);
        if taken(&wanted) { free_name(&wanted, "", taken) } else { wanted.clone() }
    });
    let path = path.to_owned();
    spawn_local(async move {
        let mut tab = Tab::new(&to);
        tab.format = draft.format.unwrap_or_default();
        let answer = documents::put(ide, &tab, Base::New, &draft.text).await;
        if ide.is_gone() {
            return;
        }
        match answer {
            Ok(SaveOutcome::Saved { entry }) => {
                documents::put_entry(ide, entry);
                discard(ide, &path);
                ide.open_file(&to, None);
                ide.toast(format!("The kept text is in {to}"));
            }
            Ok(SaveOutcome::Conflict { .. }) => {
                ide.error(&Problem::new(ErrorCode::Conflict, format!("{to} exists by now. The text is still kept; try again.")));
            }
            Err(problem) => ide.error(&problem),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(page: &str, at: f64, text: &str) -> Draft {
        Draft { version: 1, text: text.to_owned(), page: page.to_owned(), at, format: None, line_end: None }
    }

    fn offered(found: Vec<Draft>, open: &BTreeSet<String>, stored: Option<&str>) -> (Option<Draft>, Vec<String>) {
        let format = TextFormat::default();
        choose(found, "own", open, stored.map(|text| (text, &format)))
    }

    fn open(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn this_window_s_own_comes_first_then_the_last_of_those_that_are_gone() {
        let found = vec![draft("old", 1.0, "a"), draft("own", 2.0, "b"), draft("newer", 3.0, "c"), draft("other", 4.0, "d")];
        let open = open(&["own", "other"]);
        assert_eq!(offered(found.clone(), &open, Some("")).0.unwrap().text, "b");
        let gone: Vec<Draft> = found.into_iter().filter(|draft| draft.page != "own").collect();
        assert_eq!(offered(gone, &open, Some("")), (Some(draft("newer", 3.0, "c")), Vec::new()), "an open window keeps its own");
    }

    #[test]
    fn only_what_is_stored_already_is_forgotten() {
        let found = vec![draft("gone", 1.0, "same"), draft("open", 2.0, "same")];
        let open = open(&["own", "open"]);
        assert_eq!(offered(found.clone(), &open, Some("same")), (None, vec!["gone".to_owned()]));
        // Replaced by what is no text, or grown beyond the editor.
        assert_eq!(offered(found.clone(), &open, None), (Some(draft("gone", 1.0, "same")), Vec::new()));
        assert_eq!(offered(found, &open, Some("other")).0.unwrap().page, "gone");
    }

    #[test]
    fn another_encoding_of_the_stored_text_is_news() {
        let western = TextFormat { encoding: "windows-1252".to_owned(), bom: false };
        let chosen = Draft { format: Some(western.clone()), ..draft("own", 1.0, "same") };
        assert_eq!(offered(vec![chosen.clone()], &open(&["own"]), Some("same")), (Some(chosen.clone()), Vec::new()));
        assert_eq!(choose(vec![chosen], "own", &open(&["own"]), Some(("same", &western))), (None, vec!["own".to_owned()]));
    }

    #[test]
    fn what_was_chosen_for_a_text_belongs_to_its_draft_and_older_drafts_are_read() {
        let chosen = Draft { format: Some(TextFormat::default()), line_end: Some("\r\n".to_owned()), ..draft("own", 1.0, "text") };
        let json = serde_json::to_string(&Kept { draft: chosen.clone(), large: false }).unwrap();
        assert_eq!(serde_json::from_str::<Kept>(&json).unwrap().draft, chosen);
        let older: Kept = serde_json::from_str(r#"{"version":1,"text":"text","page":"own","at":1.0}"#).unwrap();
        assert_eq!(older.draft, draft("own", 1.0, "text"));
    }
}
