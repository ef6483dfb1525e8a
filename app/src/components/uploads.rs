//! Uploads: small files together, large ones in pieces that are taken up again after a pause, a lost connection or a reload. What is
//! in the way is never replaced without being asked about.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use leptos::{ev, prelude::*, task::spawn_local, web_sys};
use wire::files::{ChangeFiles, Entry, EntryKind, FileStep, FilesChanged, Upload, check_path};

use super::{
    file_plan::{Clash, free_name},
    ide::Ide,
    project_feed,
    tree_model::{find, is_taken, join},
    unanswered,
    upload_lanes::pump,
    upload_pick::PickedFiles,
    upload_plan::{FileFacts, Item, Remembered, State, folders_left, take_answer, take_out},
    upload_send::{Payload, send, stop},
    window_name,
};
use crate::{api, ui::storage};

/// With more uploads than this, what a reload needs is not written down for each of them.
const REMEMBERED_AT_ONCE: usize = 500;
const REMEMBER_EVERY: Duration = Duration::from_millis(500);

thread_local! {
    /// What the items stand for; a browser's handles do not leave its thread.
    static FILES: RefCell<BTreeMap<u64, web_sys::File>> = const { RefCell::new(BTreeMap::new()) };
    static NEXT: Cell<u64> = const { Cell::new(1) };
}

pub(super) fn file_of(id: u64) -> Option<web_sys::File> {
    FILES.with_borrow(|files| files.get(&id).cloned())
}

pub(super) fn next_id() -> u64 {
    NEXT.replace(NEXT.get() + 1)
}

/// The uploads of a project page, in the order in which they were asked for.
#[derive(Clone, Copy)]
pub struct Uploads {
    pub items: RwSignal<Vec<Item>>,
    /// What was not taken in, in sentences.
    pub notes: RwSignal<Vec<String>>,
    pub paused: RwSignal<bool>,
    /// Whether a batch and whether a large file is under way.
    pub(super) lanes: StoredValue<(bool, bool)>,
    /// Whether what a reload needs will be written down in a moment.
    remembers: StoredValue<bool>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            items: RwSignal::new(Vec::new()),
            notes: RwSignal::new(Vec::new()),
            paused: RwSignal::new(false),
            lanes: StoredValue::new((false, false)),
            remembers: StoredValue::new(false),
        }
    }
}

/// Brings back what a reload interrupted, and watches the connection. Only in the browser.
pub fn begin(ide: Ide) {
    Effect::new(move |_| spawn_local(bring_back(ide)));
    let online = window_event_listener(ev::Custom::<web_sys::Event>::new("online"), move |_| wake(ide));
    let leaving = window_event_listener(ev::beforeunload, move |event| {
        if ide.files.uploads.remembers.try_get_value() == Some(true) {
            write_down(ide);
        }
        if ide.files.uploads.items.try_with_untracked(|items| items.iter().any(|item| !item.is_settled())) == Some(true) {
            event.prevent_default();
        }
    });
    on_cleanup(move || {
        online.remove();
        leaving.remove();
    });
}

/// What this window had begun before a reload, and what windows that are gone have left. What another open window uploads is its own.
async fn bring_back(ide: Ide) {
    window_name::claim().await;
    if ide.is_gone() {
        return;
    }
    let (prefix, own) = (prefix(ide), window_name::name());
    let kept: Vec<(String, Vec<Remembered>)> = storage::keys(&prefix)
        .into_iter()
        .filter_map(|key| Some((key[prefix.len()..].to_owned(), serde_json::from_str(&storage::read(&key)?).ok()?)))
        .collect();
    let open = if kept.iter().any(|(window, _)| *window != own) { window_name::open().await } else { Default::default() };
    if ide.is_gone() {
        return;
    }
    let mut items = Vec::new();
    for (window, remembered) in kept.into_iter().filter(|(window, _)| *window == own || !open.contains(window)) {
        items.extend(remembered.into_iter().map(|known| known.into_item(next_id())));
        if window != own {
            storage::remove(&format!("{prefix}{window}"));
        }
    }
    if !items.is_empty() {
        ide.files.uploads.items.update(|all| all.extend(items));
        remember(ide);
        read_progress(ide);
    }
}

/// How far the uploads from before a reload had come; those that have run out are forgotten, which is said.
fn read_progress(ide: Ide) {
    let is_missing = |item: &&Item| matches!(item.state, State::Missing(_));
    let missing = ide.files.uploads.items.with_untracked(|items| {
        items.iter().filter(is_missing).filter_map(|item| Some((item.id, item.session?, item.path.clone(), item.size))).collect::<Vec<_>>()
    });
    for (id, session, path, size) in missing {
        spawn_local(async move {
            let answer = send(id, "GET", &format!("/api/uploads/{session}"), &[], Payload::None, |_| {}).await;
            if ide.is_gone() {
                return;
            }
            match answer.read::<Upload>().filter(|_| answer.is_ok()) {
                Some(upload) => update(ide, id, |item| item.sent = upload.received as f64),
                None if matches!(answer.status, 404 | 410) => {
                    forget(ide, id);
                    let is_there = ide.tree.with_untracked(|tree| find(&tree.items, &path).is_some_and(|entry| entry.size as f64 == size));
                    if !is_there {
                        let words = format!("What was sent of {path} is not kept any more. Upload it again if it is not there.");
                        ide.files.uploads.notes.update(|notes| notes.push(words));
                    }
                }
                None => {}
            }
        });
    }
}

/// What begins the keys of one person's uploads to a project; the window follows.
fn prefix(ide: Ide) -> String {
    format!("{}:{}:", ide.storage_key("uploads"), ide.viewer.with_value(|user| user.id))
}

/// Keeps in the browser what could go on after a reload: at once, or with very many uploads now and then.
pub(super) fn remember(ide: Ide) {
    let uploads = ide.files.uploads;
    let Some(count) = uploads.items.try_with_untracked(Vec::len) else { return };
    if count <= REMEMBERED_AT_ONCE {
        return write_down(ide);
    }
    if uploads.remembers.try_update_value(|waits| mem::replace(waits, true)) != Some(false) {
        return;
    }
    set_timeout(
        move || {
            if uploads.remembers.try_update_value(|waits| mem::replace(waits, false)) == Some(true) {
                write_down(ide);
            }
        },
        REMEMBER_EVERY,
    );
}

fn write_down(ide: Ide) {
    let key = format!("{}{}", prefix(ide), window_name::name());
    let open: Vec<Remembered> = ide.files.uploads.items.with_untracked(|items| items.iter().filter_map(Remembered::of).collect());
    match serde_json::to_string(&open) {
        Ok(text) if !open.is_empty() => storage::write(&key, &text),
        _ => storage::remove(&key),
    }
}

/// Takes files into a directory (empty for the root). Those whose name is taken wait for a decision; an upload of the same file that a
/// reload interrupted goes on.
pub fn add(ide: Ide, picked: PickedFiles, directory: &str) {
    let uploads = ide.files.uploads;
    let mut notes = picked.unreadable;
    if picked.left_out {
        notes.push("Left out .git, which is kept for version control.".to_owned());
    }
    uploads.notes.set(notes);
    create_directories(ide, picked.empty.iter().map(|path| join(directory, path)).collect());
    // Settled before, and begun anew now.
    let mut settled = BTreeSet::new();
    let known: BTreeMap<String, Item> =
        uploads.items.with_untracked(|items| items.iter().map(|item| (item.path.clone(), item.clone())).collect());
    let mut more: BTreeMap<String, Item> = BTreeMap::new();
    for chosen in picked.files {
        let (path, facts) = (join(directory, &chosen.path), facts_of(&chosen.file));
        let known = known.get(&path);
        let goes_on = known.filter(|item| matches!(item.state, State::Missing(_)) && item.differs_from(&facts).is_none());
        if let Some(item) = goes_on {
            give_file(ide, item.id, chosen.file);
            continue;
        }
        match known {
            // What goes on already goes on.
            Some(Item { state: State::Waiting | State::Sending | State::Paused | State::Lost(_), .. }) => continue,
            Some(known) => {
                settled.insert(known.id);
            }
            None => {}
        }
        let id = next_id();
        FILES.with_borrow_mut(|files| files.insert(id, chosen.file));
        let state = first_state(ide, &path);
        more.insert(path.clone(), Item::new(id, path, facts.size, state).of_file(&facts));
    }
    let mut more: Vec<Item> = more.into_values().collect();
    more.sort_by_key(|item| item.id);
    remove(ide, &settled);
    uploads.items.update(|items| items.extend(more));
    pump(ide);
}

fn first_state(ide: Ide, path: &str) -> State {
    if let Err(reason) = check_path(path) {
        return State::Failed(reason.to_owned());
    }
    ide.tree.with_untracked(|tree| match find(&tree.items, path) {
        Some(entry) => State::Exists(Some(Box::new(entry.clone()))),
        None if is_taken(&tree.items, path) => State::Exists(None),
        None => State::Waiting,
    })
}

fn create_directories(ide: Ide, paths: Vec<String>) {
    let missing = ide.tree.with_untracked(|tree| paths.into_iter().filter(|path| !is_taken(&tree.items, path)).collect::<Vec<_>>());
    if !missing.is_empty() {
        spawn_local(make_directories(ide, missing));
    }
}

/// Makes those that can be made: what stands in the way of one folder does not keep the others away.
async fn make_directories(ide: Ide, mut paths: Vec<String>) {
    let note = |lines: Vec<String>| ide.files.uploads.notes.update(|notes| notes.extend(lines));
    while !paths.is_empty() {
        let steps: Vec<FileStep> = paths.iter().map(|path| FileStep::CreateDirectory { path: path.clone() }).collect();
        let answer = api::files::change(ide.project_id, ChangeFiles { steps }).await;
        if ide.is_gone() {
            return;
        }
        match answer {
            Ok(FilesChanged::Changed { .. }) => return project_feed::reload_tree_soon(ide),
            Ok(FilesChanged::Conflict { paths: conflicts }) => {
                project_feed::reload_tree_soon(ide);
                let asked = paths.len();
                let (left, told) = folders_left(paths, &conflicts);
                note(told);
                if left.len() == asked {
                    return note(vec!["Empty folders were not made.".to_owned()]);
                }
                paths = left;
            }
            Err(error) if unanswered::is_unsure(&error.0) => {
                project_feed::reload_tree_soon(ide);
                return note(vec![format!("Empty folders may be made or not; the tree shows it once the server answers. {error}")]);
            }
            Err(error) => return note(vec![format!("Empty folders were not made. {error}")]),
        }
    }
}

pub(super) fn update(ide: Ide, id: u64, change: impl FnOnce(&mut Item)) {
    ide.files.uploads.items.try_update(|items| {
        if let Ok(at) = items.binary_search_by_key(&id, |item| item.id) {
            change(&mut items[at]);
        }
    });
}

pub(super) fn item(ide: Ide, id: u64) -> Option<Item> {
    let found =
        ide.files.uploads.items.try_with_untracked(|items| items.binary_search_by_key(&id, |i| i.id).ok().map(|at| items[at].clone()));
    found.flatten()
}

/// Takes an upload off the list, without asking the server to.
fn forget(ide: Ide, id: u64) {
    FILES.with_borrow_mut(|files| files.remove(&id));
    ide.files.uploads.items.try_update(|items| items.retain(|item| item.id != id));
    remember(ide);
}

/// Stops an upload and throws away what the server has of it. What was there before stays.
pub fn cancel(ide: Ide, id: u64) {
    remove(ide, &BTreeSet::from([id]));
    pump(ide);
}

/// However many they are, the list changes once.
fn remove(ide: Ide, ids: &BTreeSet<u64>) {
    let has_any = |items: &Vec<Item>| items.iter().any(|item| ids.contains(&item.id));
    if ids.is_empty() || ide.files.uploads.items.try_with_untracked(has_any) != Some(true) {
        return;
    }
    let gone = ide.files.uploads.items.try_update(|items| take_out(items, ids)).unwrap_or_default();
    FILES.with_borrow_mut(|files| files.retain(|id, _| !ids.contains(id)));
    remember(ide);
    for item in gone {
        stop(item.id);
        if let Some(session) = item.session.filter(|_| !matches!(item.state, State::Saved(_))) {
            discard(session);
        }
    }
}

fn discard(session: wire::UploadId) {
    // Should it fail, it runs out by itself.
    spawn_local(async move {
        send(next_id(), "DELETE", &format!("/api/uploads/{session}"), &[], Payload::None, |_| {}).await;
    });
}

/// Stops everything that is not saved yet.
pub fn cancel_all(ide: Ide) {
    remove(ide, &ids(ide, |item| !matches!(item.state, State::Saved(_))));
    ide.files.uploads.paused.set(false);
    pump(ide);
}

fn ids(ide: Ide, wanted: impl Fn(&Item) -> bool) -> BTreeSet<u64> {
    ide.files.uploads.items.with_untracked(|items| items.iter().filter(|item| wanted(item)).map(|item| item.id).collect())
}

/// Pauses everything: nothing new is sent, and a large file stops where it is.
pub fn pause_all(ide: Ide) {
    ide.files.uploads.paused.set(true);
    let large = ids(ide, |item| item.state == State::Sending && !item.is_small());
    large.into_iter().for_each(stop);
}

pub fn resume_all(ide: Ide) {
    ide.files.uploads.paused.set(false);
    ide.files.uploads.items.update(|items| {
        for item in items.iter_mut().filter(|item| item.state == State::Paused) {
            item.state = State::Waiting;
        }
    });
    pump(ide);
}

/// Pauses one file, or goes on with it where it is paused.
pub fn pause_or_go_on(ide: Ide, id: u64) {
    if item(ide, id).is_some_and(|item| item.state == State::Paused) {
        return resume(ide, id);
    }
    update(ide, id, |item| item.state = State::Paused);
    stop(id);
}

/// Sends a file that was paused or refused once more.
pub fn resume(ide: Ide, id: u64) {
    ide.files.uploads.paused.set(false);
    update(ide, id, |item| item.state = State::Waiting);
    pump(ide);
}

/// Sends everything once more that was refused.
pub fn retry_failed(ide: Ide) {
    ide.files.uploads.items.update(|items| {
        for item in items.iter_mut().filter(|item| matches!(item.state, State::Failed(_))) {
            item.state = State::Waiting;
        }
    });
    pump(ide);
}

fn facts_of(file: &web_sys::File) -> FileFacts {
    FileFacts { name: file.name(), size: file.size(), modified: file.last_modified() }
}

/// The file of an upload from before a reload. Another file than the one begun with is refused.
pub fn choose_again(ide: Ide, id: u64, file: web_sys::File) {
    let Some(known) = item(ide, id) else { return };
    if let Some(words) = known.differs_from(&facts_of(&file)) {
        return update(ide, id, |item| item.state = State::Missing(Some(words)));
    }
    give_file(ide, id, file);
    pump(ide);
}

fn give_file(ide: Ide, id: u64, file: web_sys::File) {
    FILES.with_borrow_mut(|files| files.insert(id, file));
    update(ide, id, |item| item.state = State::Waiting);
}

/// Decides what becomes of a file whose name is taken.
pub fn decide(ide: Ide, id: u64, clash: Clash) {
    answer(ide, &ids(ide, |item| item.id == id && matches!(item.state, State::Exists(_))), clash);
}

/// One answer for files whose names are taken. However many they are, the list changes once.
fn answer(ide: Ide, ids: &BTreeSet<u64>, clash: Clash) {
    if ids.is_empty() {
        return;
    }
    if clash == Clash::Skip {
        remove(ide, ids);
        return pump(ide);
    }
    let items = ide.files.uploads.items;
    let mut names: BTreeSet<String> = match clash {
        Clash::KeepBoth => items.with_untracked(|items| items.iter().map(|item| item.path.clone()).collect()),
        _ => BTreeSet::new(),
    };
    let mut free = |path: &str| {
        let is_reserved = |path: &str| names.contains(path) || ide.tree.with_untracked(|tree| is_taken(&tree.items, path));
        let found = free_name(path, "", is_reserved);
        names.insert(found.clone());
        found
    };
    let mut unused = Vec::new();
    items.update(|items| {
        for item in items.iter_mut().filter(|item| ids.contains(&item.id)) {
            unused.extend(take_answer(item, clash, &mut free));
        }
    });
    if !unused.is_empty() {
        remember(ide);
        unused.into_iter().for_each(discard);
    }
    pump(ide);
}

/// The same answer for every file whose name is taken. Directories in the way can't be replaced by a file and keep waiting.
pub fn decide_all(ide: Ide, clash: Clash) {
    let can = |item: &Item| match &item.state {
        State::Exists(current) => clash != Clash::Replace || can_replace(current.as_deref()),
        _ => false,
    };
    answer(ide, &ids(ide, can), clash);
}

/// A file takes the place of a file only.
pub fn can_replace(current: Option<&Entry>) -> bool {
    current.is_some_and(|entry| entry.kind != EntryKind::Directory)
}

/// Takes what is saved, refused or left out off the list.
pub fn clear(ide: Ide) {
    ide.files.uploads.notes.set(Vec::new());
    remove(ide, &ids(ide, |item| matches!(item.state, State::Saved(_) | State::Failed(_))));
    pump(ide);
}

/// What waits for the connection goes on now.
fn wake(ide: Ide) {
    ide.files.uploads.items.try_update(|items| {
        for item in items.iter_mut().filter(|item| matches!(item.state, State::Lost(_))) {
            item.state = State::Waiting;
        }
    });
    pump(ide);
}
