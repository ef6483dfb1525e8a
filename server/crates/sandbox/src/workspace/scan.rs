//! Finds what changed in a checkout since the revision it was synced to.

use super::crew::{self, Crew};
use super::ignores::{Ignores, MAX_IGNORE_FILE, depth};
use super::owner::AsOwner;
use super::state::{Files, Print, Record, Sha, State};
use super::walk::{self, DEEPEST, join};
use super::watch::Watching;
use super::{EntryKind, Result, Workspaces, beneath, mode_of};
use rustix::fs::{Dir, FileType, Stat};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeAction {
    Added,
    Modified,
    Deleted,
    /// Same content, other mode.
    ModeChanged,
    /// There is something that no path of a project names: a name that is not UTF-8, written with `\u{fffd}`, or a directory that is nested
    /// too deep. The other fields mean nothing.
    Unnameable,
}

/// A difference between the checkout and its revision. For deletions the other fields are those of the lost file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub path: String,
    pub action: ChangeAction,
    pub kind: EntryKind,
    /// SHA-256 in hex of the bytes, or of a link's target; empty for directories.
    pub sha256: String,
    pub size: u64,
    /// 0o644 or 0o755.
    pub mode: u32,
    /// The revision that this is a change of: the checkout's, or that of [`Workspaces::note_saved`] for the path.
    pub base: i64,
}

impl Workspaces {
    /// What differs from the revision of the last sync, in path order. Ignored paths are left out unless versioned. A directory counts
    /// while nothing lies in it, and as lost where the project holds it for itself. Reports the same changes again until a sync or
    /// [`Workspaces::note_saved`] says that they are part of a revision. Directories found on the way are watched if the project is.
    pub async fn scan(&self, project: Uuid) -> Result<Vec<Change>> {
        Ok(self.scan_counting(project).await?.0)
    }

    /// The second value counts the files that had to be read.
    pub(super) async fn scan_counting(&self, project: Uuid) -> Result<(Vec<Change>, usize)> {
        let mut cached = self.lock_state(project).await;
        let owner = self.owner(project)?;
        let dir = self.project_dir(project);
        let watching = self.inner.watcher.begin(project);
        let result = self
            .blocking(move || {
                let state = cached.get_or_insert_with(|| State::load(&dir));
                let top = beneath::open_top(&dir.join("tree"))?;
                let result = compare(state, &top, owner, watching.as_ref())?;
                // What was read is only saved reading it again.
                if result.1 >= READS_WORTH_SAVING {
                    state.save(&dir)?;
                }
                if let Some(watching) = watching {
                    watching.end();
                }
                Ok(result)
            })
            .await;
        self.trim_memory(project);
        result
    }
}

const READS_WORTH_SAVING: usize = 256;
/// Smaller trees are walked faster alone.
const WORTH_A_CREW: usize = 3000;

struct Scanner<'a> {
    top: &'a OwnedFd,
    state: &'a State,
    owner: Option<u32>,
    watching: Option<&'a Watching>,
}

struct Task {
    parent: Option<Arc<OwnedFd>>,
    path: String,
    ignores: Ignores,
}

/// What one thread found.
#[derive(Default)]
struct Found {
    changes: Vec<Change>,
    reads: Vec<(String, Sha, Print)>,
    /// Directories of the state that were seen.
    visited: Vec<String>,
    /// Files of the project that were not met where they should be.
    unmet: Vec<String>,
    /// Known of the disk alone, and gone from it.
    vanished: Vec<String>,
    /// Of the directories that the project holds for themselves, those that are there.
    standing: Vec<String>,
}

/// Also used for branches that are copies, against the state taken when they were made.
pub(super) fn compare(state: &mut State, top: &OwnedFd, owner: Option<u32>, watching: Option<&Watching>) -> Result<(Vec<Change>, usize)> {
    let scanner = Scanner { top, state, owner, watching };
    let threads = if state.len() < WORTH_A_CREW { 1 } else { crew::processors() };
    let first = Task { parent: None, path: String::new(), ignores: Ignores::default() };
    let parts = crew::work_off(threads, first, |crew, found: &mut Found, task| scanner.visit(crew, found, task))?;
    let mut all = Found::default();
    for part in parts {
        all.changes.extend(part.changes);
        all.reads.extend(part.reads);
        all.visited.extend(part.visited);
        all.unmet.extend(part.unmet);
        all.vanished.extend(part.vanished);
        all.standing.extend(part.standing);
    }
    let visited: HashSet<&str> = all.visited.iter().map(String::as_str).collect();
    for (dir, files) in state.dirs.iter().filter(|(dir, _)| !visited.contains(dir.as_str())) {
        for (name, record) in &files.records {
            let list = if record.tracked.is_some() { &mut all.unmet } else { &mut all.vanished };
            list.push(join(dir, name));
        }
    }
    // Versioned although ignored, or really gone.
    let missed = scanner.look_for(&std::mem::take(&mut all.unmet))?;
    all.changes.extend(missed.changes);
    all.reads.extend(missed.reads);
    let lost = scanner.lost_directories(&all.standing)?;
    all.changes.extend(lost);
    let reads = all.reads.len();
    for (path, sha, print) in all.reads {
        state.remember(&path, sha, print);
    }
    let revision = state.revision.unwrap_or(0);
    for path in all.vanished {
        // The base of a saved deletion is needed until the checkout has reached it.
        if state.get(&path).is_some_and(|record| record.base <= revision) {
            state.forget(&path);
        }
    }
    // What was lost comes before what stands in its place.
    let order = |change: &Change| change.action != ChangeAction::Deleted;
    all.changes.sort_by(|a, b| a.path.cmp(&b.path).then(order(a).cmp(&order(b))));
    Ok((all.changes, reads))
}

impl Scanner<'_> {
    fn visit(&self, crew: &Crew<Task>, found: &mut Found, task: Task) -> io::Result<()> {
        let _as_owner = AsOwner::enter(self.owner)?;
        let opened = match &task.parent {
            None => beneath::open_dir(self.top, ""),
            Some(parent) => beneath::open_even_if_closed(parent.as_fd(), beneath::split(&task.path).1),
        };
        let dir = match opened {
            // Gone since its name was read, or something else by now.
            Err(error) if task.parent.is_some() && beneath::is_absent(&error) => return Ok(()),
            other => Arc::new(other?),
        };
        if let Some(watching) = self.watching {
            // Before the names are read, so that nothing that comes later goes unnoticed.
            watching.add(&dir);
        }
        let (names, unreadable) = read_names(&dir)?;
        if self.state.laid_out.contains(&task.path) {
            found.standing.push(task.path.clone());
        } else if names.is_empty() && unreadable.is_empty() && !task.path.is_empty() {
            found.changes.push(self.directory(&task.path, ChangeAction::Added));
        }
        let mut ignores = task.ignores;
        if names.iter().any(|(name, _)| name == ".gitignore") {
            push_ignores(&mut ignores, &dir, &task.path);
        }
        for name in unreadable {
            let path = join(&task.path, &name);
            if !ignores.matches(&path, false) {
                found.changes.push(unnameable(path));
            }
        }
        let known = self.state.dirs.get(&task.path);
        let mut met: HashSet<&str> = HashSet::with_capacity(known.map_or(0, |k| k.records.len()));
        for (name, kind) in &names {
            let kind = match kind {
                FileType::Unknown => match beneath::stat_name(&dir, name)? {
                    Some(stat) => beneath::kind(&stat),
                    None => continue,
                },
                kind => *kind,
            };
            if kind == FileType::Directory {
                let path = join(&task.path, name);
                if ignores.matches(&path, true) {
                    continue;
                }
                if depth(&path) > DEEPEST {
                    found.changes.push(unnameable(path));
                } else {
                    crew.add(Task { parent: Some(dir.clone()), path, ignores: ignores.clone() });
                }
            } else if matches!(kind, FileType::RegularFile | FileType::Symlink)
                && self.visit_file(found, &dir, &task.path, name, known, &ignores)?
            {
                met.insert(name);
            }
        }
        if let Some(known) = known {
            note_unmet(found, &task.path, known, &met);
            found.visited.push(task.path);
        }
        Ok(())
    }

    /// Whether it is one of the known ones.
    fn visit_file(
        &self,
        found: &mut Found,
        dir: &Arc<OwnedFd>,
        parent: &str,
        name: &str,
        known: Option<&Files>,
        ignores: &Ignores,
    ) -> io::Result<bool> {
        let record = known.and_then(|known| known.records.get(name));
        let is_tracked = record.is_some_and(|record| record.tracked.is_some());
        if !is_tracked && ignores.matches(&join(parent, name), false) {
            return Ok(false);
        }
        let Some(stat) = beneath::stat_name(dir, name)?.filter(walk::is_content) else {
            return Ok(false);
        };
        self.look(found, dir, || join(parent, name), name, &stat, record);
        Ok(record.is_some())
    }

    fn look(&self, found: &mut Found, dir: &OwnedFd, path: impl Fn() -> String, name: &str, stat: &Stat, record: Option<&Record>) {
        let sha = match record.and_then(|record| record.vouched(stat)) {
            Some(sha) => sha,
            None => match super::state::read_content(dir.as_fd(), name, stat) {
                Ok((sha, print)) => {
                    found.reads.push((path(), sha, print));
                    sha
                }
                Err(error) => {
                    // Changed under our hands or made unreadable by its owner; the next scan sees it again.
                    tracing::debug!(path = path(), %error, "not readable in a checkout");
                    return;
                }
            },
        };
        let kind = if beneath::kind(stat) == FileType::Symlink { EntryKind::Symlink } else { EntryKind::File };
        let mode = mode_of(kind, stat);
        let action = match record.and_then(|record| record.tracked) {
            None => ChangeAction::Added,
            Some(t) if t.sha != sha || t.kind != kind => ChangeAction::Modified,
            Some(t) if t.mode != mode => ChangeAction::ModeChanged,
            Some(_) => return,
        };
        let (sha256, size, base) = (hex::encode(sha), stat.st_size as u64, self.base(record));
        found.changes.push(Change { path: path(), action, kind, sha256, size, mode, base });
    }

    fn directory(&self, path: &str, action: ChangeAction) -> Change {
        let base = self.base(self.state.get(path));
        Change { path: path.to_owned(), action, kind: EntryKind::Directory, sha256: String::new(), size: 0, mode: 0o755, base }
    }

    /// Directories of the project that were not walked and are not there: an ignored one may be.
    fn lost_directories(&self, standing: &[String]) -> io::Result<Vec<Change>> {
        let _as_owner = AsOwner::enter(self.owner)?;
        let standing: HashSet<&str> = standing.iter().map(String::as_str).collect();
        let mut lost = Vec::new();
        for path in self.state.laid_out.iter().filter(|path| !standing.contains(path.as_str())) {
            // Out of reach is not gone.
            let Ok(stat) = beneath::stat(self.top, path) else { continue };
            if stat.is_none_or(|stat| beneath::kind(&stat) != FileType::Directory) {
                lost.push(self.directory(path, ChangeAction::Deleted));
            }
        }
        Ok(lost)
    }

    fn base(&self, record: Option<&Record>) -> i64 {
        record.map_or(0, |record| record.base).max(self.state.revision.unwrap_or(0))
    }

    fn look_for(&self, paths: &[String]) -> io::Result<Found> {
        let _as_owner = AsOwner::enter(self.owner)?;
        let mut found = Found::default();
        let mut at: Option<(&str, Option<OwnedFd>)> = None;
        for path in paths {
            let Some(record) = self.state.get(path) else { continue };
            let (parent, name) = beneath::split(path);
            if at.as_ref().is_none_or(|(dir, _)| *dir != parent) {
                let dir = match beneath::open_dir(self.top, parent) {
                    Err(error) if beneath::is_absent(&error) => None,
                    other => Some(other?),
                };
                at = Some((parent, dir));
            }
            let dir = at.as_ref().and_then(|(_, dir)| dir.as_ref());
            let stat = dir.map(|dir| beneath::stat_name(dir, name)).transpose()?.flatten().filter(walk::is_content);
            match (dir, stat, record.tracked) {
                (Some(dir), Some(stat), _) => self.look(&mut found, dir, || path.clone(), name, &stat, Some(record)),
                (_, _, Some(lost)) => found.changes.push(Change {
                    path: path.clone(),
                    action: ChangeAction::Deleted,
                    kind: lost.kind,
                    sha256: hex::encode(lost.sha),
                    size: lost.size,
                    mode: lost.mode,
                    base: self.base(Some(record)),
                }),
                _ => {}
            }
        }
        Ok(found)
    }
}

fn note_unmet(found: &mut Found, dir: &str, known: &Files, met: &HashSet<&str>) {
    if met.len() == known.records.len() {
        return;
    }
    for (name, record) in known.records.iter().filter(|(name, _)| !met.contains(&***name)) {
        let list = if record.tracked.is_some() { &mut found.unmet } else { &mut found.vanished };
        list.push(join(dir, name));
    }
}

fn unnameable(path: String) -> Change {
    Change { path, action: ChangeAction::Unnameable, kind: EntryKind::File, sha256: String::new(), size: 0, mode: 0, base: 0 }
}

/// What a directory holds by name, and the names that are not UTF-8 as well as they can be written.
type Names = (Vec<(String, FileType)>, Vec<String>);

fn read_names(dir: &OwnedFd) -> io::Result<Names> {
    let (mut names, mut unreadable) = (Vec::new(), Vec::new());
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok("." | "..") => {}
            Ok(name) => names.push((name.to_owned(), entry.file_type())),
            Err(_) => unreadable.push(entry.file_name().to_string_lossy().into_owned()),
        }
    }
    Ok((names, unreadable))
}

fn push_ignores(ignores: &mut Ignores, dir: &OwnedFd, path: &str) {
    let mut text = Vec::new();
    let read = beneath::open_file(dir, ".gitignore").and_then(|file| file.take(MAX_IGNORE_FILE).read_to_end(&mut text));
    if read.is_ok() {
        ignores.push(path, &String::from_utf8_lossy(&text));
    }
}
