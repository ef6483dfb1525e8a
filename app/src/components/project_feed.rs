//! Keeps the shared state in step with the project: every event of `project:{id}` ends here.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*, task::spawn_local};
use wire::{
    ErrorCode, RunId,
    changes::ReviewKey,
    event::{Event, EventKind, Stream},
    files::{Entry, EntryKind, FileAction, Tree},
};

use crate::{
    api,
    components::{conflict_bar::Makers, documents, ide::Ide, tab::By, terminal_state, tree_model::parent},
};

/// Events that come in a row (a replay, a run that writes many files) end in one request.
const GATHER: Duration = Duration::from_millis(150);
/// From here on the list of runs is read as a whole.
const SINGLE_RUNS_MAX: usize = 3;

/// What is to be read again, gathered over a moment.
#[derive(Debug, Default)]
struct Stale {
    tree: bool,
    project: bool,
    terminals: bool,
    runs: BTreeSet<RunId>,
    all_runs: bool,
    /// Open hunks of change sets, as last told.
    reviews: BTreeMap<ReviewKey, i64>,
}

#[derive(Clone, Copy)]
struct Feed {
    ide: Ide,
    stale: StoredValue<Stale>,
    timer: StoredValue<Option<TimeoutHandle>>,
    /// File events up to this revision are part of the tree already.
    base_revision: StoredValue<i64>,
    makers: Makers,
}

/// Starts following, for as long as the page lives. Only in the browser.
pub fn follow_project(ide: Ide) {
    let feed = Feed {
        ide,
        stale: StoredValue::new(Stale::default()),
        timer: StoredValue::new(None),
        base_revision: StoredValue::new(ide.tree.with_untracked(|tree| tree.revision)),
        makers: Makers::provide(),
    };
    Effect::new(move |_| {
        if !ide.tree_loaded.get_untracked() {
            feed.read_tree();
        }
        feed.read_open_reviews();
        let after = ide.tree.with_untracked(|tree| tree.seq);
        ide.live.follow(Stream::Project(ide.project_id), after, move |event| feed.take(event)).until_cleanup();
    });
    Effect::new(move |_| {
        if ide.tree_requests.get() > 0 {
            feed.mark(|stale| stale.tree = true);
        }
    });
    on_cleanup(move || {
        if let Some(timer) = feed.timer.try_get_value().flatten() {
            timer.clear();
        }
    });
}

/// Reads the tree again in a moment, after something that changed many paths.
pub fn reload_tree_soon(ide: Ide) {
    ide.tree_requests.update(|count| *count += 1);
}

impl Feed {
    fn take(self, event: &Event) {
        if self.ide.is_gone() {
            return;
        }
        match &event.kind {
            EventKind::FileChanged { revision, .. } if *revision <= self.base_revision.get_value() => {}
            EventKind::FileChanged { path, action, version, revision, by, origin, moved_from, checksum, .. } => {
                // Tabs below the name of a file belong to a directory that had this name before.
                if let Some(from) = moved_from.as_ref().filter(|from| checksum.is_empty() || self.ide.tab(from).is_some()) {
                    documents::follow_move(self.ide, from, path);
                }
                apply_to_tree(self.ide, event);
                self.ide.project.update(|project| project.revision = project.revision.max(*revision));
                if self.ide.tab(path).is_some() {
                    self.makers.note(path, *action, *version, *origin);
                }
                documents::follow_change(self.ide, path, *action, *version, By(by.clone()));
            }
            EventKind::TreeChanged { revision, .. } if *revision > self.base_revision.get_value() => {
                self.mark(|stale| stale.tree = true);
            }
            EventKind::RunChanged { run_id, state } => {
                let known = self.ide.runs.with_untracked(|runs| runs.iter().find(|run| run.id == *run_id).map(|run| run.state));
                // News of a run that has ended is that it was deleted.
                if known.is_none_or(|known| known != *state || known.is_finished()) {
                    self.mark(|stale| {
                        stale.runs.insert(*run_id);
                    });
                }
            }
            EventKind::TerminalChanged { .. } => self.mark(|stale| stale.terminals = true),
            EventKind::ChangeSetChanged { change_set_id, turn_id, open_hunks, .. } => self.mark(|stale| {
                let review = turn_id.map_or(ReviewKey::Set(*change_set_id), ReviewKey::Turn);
                stale.reviews.insert(review, *open_hunks);
            }),
            EventKind::ConversationChanged { .. } => self.ide.conversations_changed.update(|count| *count += 1),
            EventKind::CheckpointCreated { .. } | EventKind::CheckpointsChanged {} => {
                self.ide.checkpoints.changed.update(|count| *count += 1)
            }
            EventKind::ProjectChanged {} => self.mark(|stale| stale.project = true),
            EventKind::StartOver {} => self.start_over(),
            _ => {}
        }
    }

    /// The page was away for so long that nobody knows what it missed.
    fn start_over(self) {
        let known: Vec<ReviewKey> = self.ide.proposals.with_untracked(|all| all.keys().copied().collect());
        self.mark(|stale| {
            (stale.tree, stale.project, stale.terminals, stale.all_runs) = (true, true, true, true);
            stale.reviews.extend(known.into_iter().map(|review| (review, 0)));
        });
        self.read_open_reviews();
        self.ide.conversations_changed.update(|count| *count += 1);
        self.ide.checkpoints.changed.update(|count| *count += 1);
    }

    fn mark(self, change: impl FnOnce(&mut Stale)) {
        self.stale.update_value(change);
        if self.timer.with_value(Option::is_none) {
            self.timer.set_value(set_timeout_with_handle(move || self.read_stale(), GATHER).ok());
        }
    }

    fn read_stale(self) {
        if self.ide.is_gone() {
            return;
        }
        self.timer.set_value(None);
        let stale = self.stale.try_update_value(std::mem::take).unwrap_or_default();
        if stale.tree {
            self.read_tree();
        }
        if stale.project {
            self.read_project();
        }
        if stale.terminals {
            terminal_state::load(self.ide);
        }
        self.read_runs(stale.runs, stale.all_runs);
        for (review, open_hunks) in stale.reviews {
            if open_hunks > 0 || self.ide.proposals.with_untracked(|all| all.contains_key(&review)) {
                self.ide.load_changes(review);
            }
        }
    }

    /// Change sets that wait are told by events from before the page.
    fn read_open_reviews(self) {
        let ide = self.ide;
        spawn_local(async move {
            match api::changes::open(ide.project_id).await {
                _ if ide.is_gone() => {}
                Ok(open) => open.iter().for_each(|set| ide.load_changes(set.review_key())),
                Err(error) => ide.error(&error.0),
            }
        });
    }

    fn read_tree(self) {
        let ide = self.ide;
        spawn_local(async move {
            match api::files::tree(ide.project_id).await {
                _ if ide.is_gone() => {}
                Ok(tree) => self.take_tree(tree),
                Err(error) => ide.error(&error.0),
            }
        });
    }

    fn take_tree(self, tree: Tree) {
        let ide = self.ide;
        // Changes were told while this was under way: it is older than what is on screen, and better than nothing alone.
        if tree.revision < ide.tree.with_untracked(|known| known.revision) {
            self.mark(|stale| stale.tree = true);
            if ide.tree_loaded.get_untracked() {
                return;
            }
        }
        self.base_revision.set_value(tree.revision);
        ide.tree.set(tree);
        ide.tree_loaded.set(true);
        documents::follow_tree(ide);
    }

    fn read_project(self) {
        let ide = self.ide;
        spawn_local(async move {
            match api::projects::get(ide.project_id).await {
                _ if ide.is_gone() => {}
                Ok(project) => ide.project.set(project),
                Err(error) => ide.error(&error.0),
            }
        });
    }

    fn read_runs(self, ids: BTreeSet<RunId>, all: bool) {
        let ide = self.ide;
        if all || ids.len() > SINGLE_RUNS_MAX {
            spawn_local(async move {
                match api::runs::list(ide.project_id).await {
                    _ if ide.is_gone() => {}
                    Ok(runs) => ide.runs.set(runs),
                    Err(error) => ide.error(&error.0),
                }
            });
            return;
        }
        for id in ids {
            spawn_local(async move {
                match api::runs::get(id).await {
                    _ if ide.is_gone() => {}
                    Ok(run) => ide.put_run(run),
                    Err(error) if error.code() == ErrorCode::NotFound => ide.runs.update(|runs| runs.retain(|run| run.id != id)),
                    Err(_) => {}
                }
            });
        }
    }
}

fn apply_to_tree(ide: Ide, event: &Event) {
    if matches!(event.kind, EventKind::FileChanged { .. }) {
        ide.tree.update(|tree| change_tree(tree, event));
    }
}

/// The tree after one change. An event from before kind, size, mode and type were told leaves what is known of these; of a new file they
/// come with the next whole tree then.
fn change_tree(tree: &mut Tree, event: &Event) {
    let EventKind::FileChanged { path, action, version, checksum, by, revision, moved_from, entry_kind, size, mode, content_type, .. } =
        &event.kind
    else {
        return;
    };
    tree.revision = tree.revision.max(*revision);
    if let Some(from) = moved_from {
        remove(&mut tree.items, from);
    }
    if *action == FileAction::Deleted {
        let newer = tree.items.iter().any(|entry| entry.path == *path && entry.version > *version);
        if !newer {
            remove(&mut tree.items, path);
        }
        return;
    }
    match tree.items.binary_search_by(|known| known.path.as_str().cmp(path)) {
        Ok(at) => {
            let entry = &mut tree.items[at];
            if entry.version < *version {
                entry.version = *version;
                entry.checksum.clone_from(checksum);
                entry.kind = entry_kind.unwrap_or(entry.kind);
                entry.size = size.unwrap_or(entry.size);
                entry.mode = mode.unwrap_or(entry.mode);
                if let Some(told) = content_type {
                    entry.content_type.clone_from(told);
                }
                entry.updated_at = event.at;
                entry.updated_by.clone_from(by);
            }
        }
        Err(at) => {
            let guessed = if checksum.is_empty() { EntryKind::Directory } else { EntryKind::File };
            let entry = Entry {
                path: path.clone(),
                kind: entry_kind.unwrap_or(guessed),
                size: size.unwrap_or_default(),
                content_type: content_type.clone().unwrap_or_default(),
                checksum: checksum.clone(),
                version: *version,
                mode: mode.unwrap_or(0o644),
                updated_at: event.at,
                updated_by: by.clone(),
            };
            tree.items.insert(at, entry);
        }
    }
}

/// Takes a path out with all below it, and the directories above that existed only through it.
pub fn remove(items: &mut Vec<Entry>, path: &str) {
    let below = format!("{path}/");
    items.retain(|entry| entry.path != path && !entry.path.starts_with(&below));
    let mut above = parent(path);
    while !above.is_empty() {
        let inside = format!("{above}/");
        let implied = items.iter().any(|e| e.path == above && e.kind == EntryKind::Directory && e.version == 0);
        if !implied || items.iter().any(|entry| entry.path.starts_with(&inside)) {
            return;
        }
        items.retain(|entry| entry.path != above);
        above = parent(above);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Micros, files::Origin};

    fn entry(path: &str, kind: EntryKind, version: i64) -> Entry {
        Entry {
            path: path.to_owned(),
            kind,
            size: 1,
            content_type: String::new(),
            checksum: String::new(),
            version,
            mode: 0o644,
            updated_at: Micros(0),
            updated_by: None,
        }
    }

    /// Adds or changes `path`; `told` is what newer events say of it.
    fn changed(path: &str, version: i64, told: Option<(EntryKind, i64, i32, &str)>) -> Event {
        let kind = EventKind::FileChanged {
            path: path.to_owned(),
            action: FileAction::Added,
            version,
            checksum: format!("c{version}"),
            origin: Origin::Run,
            by: None,
            revision: version,
            moved_from: None,
            entry_kind: told.map(|(kind, ..)| kind),
            size: told.map(|(_, size, ..)| size),
            mode: told.map(|(_, _, mode, _)| mode),
            content_type: told.map(|(.., content_type)| content_type.to_owned()),
        };
        Event { stream: Stream::Admin, seq: version, at: Micros(version), kind }
    }

    #[test]
    fn what_an_event_tells_of_a_file_is_in_the_tree() {
        let mut tree = Tree { revision: 1, seq: 0, items: vec![entry("a.sh", EntryKind::File, 1)] };
        change_tree(&mut tree, &changed("a.sh", 2, Some((EntryKind::File, 70, 0o755, "text/x-sh"))));
        change_tree(&mut tree, &changed("up", 3, Some((EntryKind::Symlink, 4, 0o644, "inode/symlink"))));
        // Events from before say nothing of it: what is known stays.
        change_tree(&mut tree, &changed("a.sh", 4, None));
        change_tree(&mut tree, &changed("old.txt", 5, None));
        let shown = |entry: &Entry| (entry.path.clone(), entry.kind, entry.size, entry.mode, entry.content_type.clone(), entry.version);
        assert_eq!(
            tree.items.iter().map(shown).collect::<Vec<_>>(),
            [
                ("a.sh".to_owned(), EntryKind::File, 70, 0o755, "text/x-sh".to_owned(), 4),
                ("old.txt".to_owned(), EntryKind::File, 0, 0o644, String::new(), 5),
                ("up".to_owned(), EntryKind::Symlink, 4, 0o644, "inode/symlink".to_owned(), 3),
            ]
        );
        assert_eq!(tree.revision, 5);
    }

    #[test]
    fn directories_go_with_their_last_file_unless_they_were_made() {
        let mut items = vec![
            entry("a", EntryKind::Directory, 0),
            entry("a/b", EntryKind::Directory, 0),
            entry("a/b/c.txt", EntryKind::File, 3),
            entry("kept", EntryKind::Directory, 1),
            entry("kept/d.txt", EntryKind::File, 1),
        ];
        remove(&mut items, "a/b/c.txt");
        remove(&mut items, "kept/d.txt");
        assert_eq!(items.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["kept"]);
    }

    #[test]
    fn a_directory_takes_its_files_along_but_not_its_namesakes() {
        let mut items = vec![entry("src", EntryKind::Directory, 1), entry("src/a", EntryKind::File, 1), entry("src2", EntryKind::File, 1)];
        remove(&mut items, "src");
        assert_eq!(items.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["src2"]);
    }
}
