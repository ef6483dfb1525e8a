//! What is done to files from the tree and the panels beside it: one request each, which can be taken back.

use leptos::{prelude::*, task::spawn_local};
use wire::files::{Base, ChangeFiles, EntryKind, FileStep, FilesChanged, SaveOutcome, SaveText, check_path};

use super::{
    documents,
    explorer_state::{Edit, Explorer},
    file_plan::{self, Clash, Placement, Transfer, base_of, describe},
    ide::Ide,
    project_feed,
    tree_model::{is_taken, join, name_of, parent},
};
use crate::{api, ui::format};

/// Trees up to this size are read again after a change, for sizes and types.
const REREAD_MAX: usize = 3000;
const UNDO_KEPT: usize = 50;

/// Why nothing was changed; shown above the tree until dismissed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub title: String,
    pub lines: Vec<String>,
}

/// A change that can be taken back, or done once more.
#[derive(Debug, Clone, PartialEq)]
pub struct Reversal {
    id: u64,
    text: String,
    steps: Vec<FileStep>,
}

/// What was changed from this page, newest last.
#[derive(Debug, Default)]
pub struct Changes {
    undo: Vec<Reversal>,
    redo: Vec<Reversal>,
    next: u64,
}

/// A move or a copy that meets names that are taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    pub placement: Placement,
    pub directory: String,
    pub transfer: Transfer,
}

/// What should go to a directory that is still to be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Relocation {
    pub paths: Vec<String>,
    pub transfer: Transfer,
}

pub fn refuse(ide: Ide, lines: Vec<String>) {
    let title = "Nothing was changed".to_owned();
    ide.announcement.set(format!("{title}. {}", lines.join(" ")));
    ide.files.refusal.set(Some(Refusal { title, lines }));
}

/// Sends steps; the page follows at once. The error says in sentences what stands in the way.
pub async fn attempt(ide: Ide, steps: Vec<FileStep>) -> Result<Vec<FileStep>, Vec<String>> {
    let answer = api::files::change(ide.project_id, ChangeFiles { steps: steps.clone() }).await;
    match answer {
        _ if ide.is_gone() => Ok(Vec::new()),
        Ok(FilesChanged::Changed { revision, undo, left_out }) => {
            ide.files.refusal.set(None);
            follow(ide, &steps, revision);
            if left_out > 0 {
                let files = format::counted(left_out, "deleted file is", "deleted files are");
                ide.toast(format!("{files} not kept any more and did not come back"));
            }
            Ok(undo)
        }
        Ok(FilesChanged::Conflict { paths }) => {
            project_feed::reload_tree_soon(ide);
            Err(paths.into_iter().map(|conflict| conflict.reason).collect())
        }
        Err(error) => Err(vec![error.to_string()]),
    }
}

/// As [`attempt`]; a refusal is said where the files are.
async fn send(ide: Ide, steps: Vec<FileStep>) -> Option<Vec<FileStep>> {
    let answer = attempt(ide, steps).await;
    if ide.is_gone() {
        return None;
    }
    answer.map_err(|lines| refuse(ide, lines)).ok()
}

/// Brings tree and tabs to where the steps have led.
fn follow(ide: Ide, steps: &[FileStep], revision: i64) {
    for step in steps {
        match step {
            FileStep::Move { from, to, .. } => {
                // Tabs below the name of a file belong to a directory that had this name before.
                let is_file = ide.entry(from).is_some_and(|entry| entry.kind != EntryKind::Directory);
                if !is_file || ide.tab(from).is_some() {
                    documents::follow_move(ide, from, to);
                }
            }
            FileStep::Delete { path, .. } => documents::follow_own_deletion(ide, path),
            FileStep::Restore { path, .. } => ide.files.seen.update(|seen| seen.forget(path)),
            FileStep::Copy { .. } | FileStep::CreateDirectory { .. } => {}
        }
    }
    ide.tree.update(|tree| file_plan::apply(tree, steps, revision));
    if ide.tree.with_untracked(|tree| tree.items.len()) <= REREAD_MAX {
        project_feed::reload_tree_soon(ide);
    }
}

/// Changes files and says `text`, with the offer to take it back. False when it was refused.
pub async fn change(ide: Ide, steps: Vec<FileStep>, text: String) -> bool {
    let Some(undo) = send(ide, steps).await else { return false };
    offer_undo(ide, text, undo);
    true
}

/// Says what was done, with the offer to take it back.
pub fn offer_undo(ide: Ide, text: String, undo: Vec<FileStep>) {
    ide.announcement.set(format!("{text}."));
    if undo.is_empty() {
        return ide.toast(text);
    }
    let id = keep_undo(ide, text.clone(), undo);
    ide.toast_undo(text, move || take_back(ide, Some(id)));
}

/// Remembers how something is taken back.
pub fn keep_undo(ide: Ide, text: String, steps: Vec<FileStep>) -> u64 {
    let kept = ide.files.changes.try_update_value(|changes| {
        changes.next += 1;
        changes.redo.clear();
        changes.undo.push(Reversal { id: changes.next, text, steps });
        if changes.undo.len() > UNDO_KEPT {
            changes.undo.remove(0);
        }
        changes.next
    });
    kept.unwrap_or(0)
}

/// Takes one change back, or without an id the last one.
pub fn take_back(ide: Ide, id: Option<u64>) {
    let taken = ide.files.changes.try_update_value(|changes| match id {
        None => changes.undo.pop(),
        Some(id) => changes.undo.iter().position(|known| known.id == id).map(|at| changes.undo.remove(at)),
    });
    let Some(reversal) = taken.flatten() else { return };
    spawn_local(async move {
        if let Some(redo) = send(ide, reversal.steps.clone()).await {
            ide.files.changes.update_value(|changes| changes.redo.push(Reversal { steps: redo, ..reversal.clone() }));
            ide.toast(format!("Taken back: {}", reversal.text));
        } else if !ide.is_gone() {
            // What stood in the way may go away.
            ide.files.changes.update_value(|changes| changes.undo.push(reversal));
        }
    });
}

/// Does again what was taken back last.
pub fn redo(ide: Ide) {
    let Some(reversal) = ide.files.changes.try_update_value(|changes| changes.redo.pop()).flatten() else { return };
    spawn_local(async move {
        if let Some(undo) = send(ide, reversal.steps.clone()).await {
            ide.files.changes.update_value(|changes| changes.undo.push(Reversal { steps: undo, ..reversal.clone() }));
            ide.toast(format!("Done again: {}", reversal.text));
        }
    });
}

/// Sends steps and says `text`.
pub fn run_steps(ide: Ide, steps: Vec<FileStep>, text: impl Into<String>) {
    let text = text.into();
    spawn_local(async move {
        change(ide, steps, text).await;
    });
}

impl Explorer {
    /// Takes the typed name: makes what is new, or renames.
    pub fn commit_edit(self, name: &str) {
        if self.committing.get_value() {
            return;
        }
        let Some(edit) = self.edit.get_untracked() else { return };
        let name = name.trim().trim_end_matches('/');
        let path = match &edit {
            Edit::NewFile { parent } | Edit::NewDirectory { parent } => join(parent, name),
            Edit::Rename { path } => join(parent(path), name),
        };
        if name.is_empty() || matches!(&edit, Edit::Rename { path: old } if *old == path) {
            return self.cancel_edit();
        }
        if let Err(reason) = check_path(&path) {
            return self.edit_error.set(Some(reason.to_owned()));
        }
        // Changing only the case of a name is no clash with itself.
        if self.ide.tree.with_untracked(|tree| is_taken(&tree.items, &path)) {
            return self.edit_error.set(Some("This name is taken. Choose another one.".to_owned()));
        }
        self.committing.set_value(true);
        spawn_local(async move {
            let done = match &edit {
                Edit::NewFile { .. } => create_file(self.ide, &path).await,
                Edit::NewDirectory { .. } => create_directory(self.ide, &path).await,
                Edit::Rename { path: from } => rename(self.ide, from, &path).await,
            };
            if self.ide.is_gone() || self.is_gone() {
                return;
            }
            self.committing.set_value(false);
            match done {
                Ok(()) => self.finish_edit(&edit, path),
                Err(reason) => self.edit_error.set(Some(reason)),
            }
        });
    }

    fn finish_edit(self, edit: &Edit, path: String) {
        self.cancel_edit();
        self.expand_to(&path);
        if let Edit::Rename { path: from } = edit {
            self.follow_rename(from, &path);
        }
        self.selection.update(|selection| selection.only(&path));
        self.current.set(Some(path.clone()));
        if matches!(edit, Edit::NewFile { .. }) {
            self.ide.open_file(&path, None);
        } else if let Some((at, _)) = self.row(&path) {
            self.go_to(at);
        }
    }

    /// What was open stays open under its new name.
    fn follow_rename(self, from: &str, to: &str) {
        let below = format!("{from}/");
        let moved: Vec<String> = self.expanded.with_untracked(|all| {
            all.iter().filter(|path| *path == from || path.starts_with(&below)).map(|path| format!("{to}{}", &path[from.len()..])).collect()
        });
        for path in moved {
            self.set_expanded(&path, true);
        }
    }

    /// Deletes without a question: the toast takes it back.
    pub fn delete(self, row: Option<&str>) {
        let (ide, paths) = (self.ide, self.acted_on(row));
        if !ide.can_edit() || paths.is_empty() {
            return;
        }
        let at = paths.first().and_then(|path| self.row(path)).map_or(0, |(at, _)| at);
        let steps = ide
            .tree
            .with_untracked(|tree| paths.iter().map(|path| FileStep::Delete { path: path.clone(), base: base_of(tree, path) }).collect());
        let text = describe("Moved", &paths, " to the trash");
        spawn_local(async move {
            if change(ide, steps, text).await && !self.is_gone() {
                let last = self.rows.with_untracked(Vec::len).saturating_sub(1);
                self.arrive(at.min(last));
                if let Some(current) = self.current.get_untracked() {
                    self.selection.update(|selection| selection.only(&current));
                }
            }
        });
    }

    /// Puts what an action on `row` is about aside, to be pasted elsewhere.
    pub fn take_up(self, transfer: Transfer, row: Option<&str>) {
        let paths = self.acted_on(row);
        if paths.is_empty() || transfer == Transfer::Move && !self.ide.can_edit() {
            return;
        }
        let verb = if transfer == Transfer::Move { "Cut" } else { "Copied" };
        self.ide.announcement.set(format!("{}. Paste into a folder.", describe(verb, &paths, "")));
        self.clipboard.set(Some((transfer, paths)));
    }

    pub fn paste(self, directory: &str) {
        let Some((transfer, paths)) = self.clipboard.get_untracked() else { return };
        if transfer == Transfer::Move {
            self.clipboard.set(None);
        }
        self.transfer(paths, directory, transfer);
    }

    /// Moves or copies into a directory; asks first where names are taken.
    pub fn transfer(self, paths: Vec<String>, directory: &str, transfer: Transfer) {
        if !self.ide.can_edit() {
            return;
        }
        let placement = self.ide.tree.with_untracked(|tree| file_plan::place(tree, &paths, directory, transfer));
        if !placement.refused.is_empty() {
            return refuse(self.ide, placement.refused);
        }
        let asking = Asking { placement, directory: directory.to_owned(), transfer };
        if asking.placement.clashing.is_empty() {
            self.carry_out(asking, Clash::Skip);
        } else {
            self.asking.set(Some(asking));
        }
    }

    /// Does what was asked about, with one answer for every name that is taken.
    pub fn carry_out(self, asking: Asking, clash: Clash) {
        self.asking.set(None);
        let Asking { placement, directory, transfer } = asking;
        let ide = self.ide;
        let steps = ide.tree.with_untracked(|tree| file_plan::steps_of(tree, &placement, transfer, clash));
        let arrived: Vec<String> = steps
            .iter()
            .filter_map(|step| match step {
                FileStep::Move { to, .. } | FileStep::Copy { to, .. } => Some(to.clone()),
                _ => None,
            })
            .collect();
        let Some(first) = arrived.first().cloned() else { return };
        let verb = if transfer == Transfer::Move { "Moved" } else { "Copied" };
        let text = describe(verb, &arrived, &format!(" to {}", place_name(ide, &directory)));
        spawn_local(async move {
            if change(ide, steps, text).await && !self.is_gone() {
                if !directory.is_empty() {
                    self.expand_to(&first);
                }
                self.selection.update(|selection| selection.all(arrived.iter().map(String::as_str)));
                if let Some((at, _)) = self.row(&first) {
                    self.arrive(at);
                }
            }
        });
    }
}

/// How a directory is called in a sentence.
pub fn place_name(ide: Ide, directory: &str) -> String {
    if directory.is_empty() { ide.project.with_untracked(|project| project.name.clone()) } else { directory.to_owned() }
}

async fn create_file(ide: Ide, path: &str) -> Result<(), String> {
    let request = SaveText { path: path.to_owned(), base: Base::New, text: String::new(), format: Default::default() };
    match api::files::save(ide.project_id, request).await {
        Ok(SaveOutcome::Saved { entry }) => {
            if !ide.is_gone() {
                let step = FileStep::Delete { path: entry.path.clone(), base: Base::Version(entry.version) };
                keep_undo(ide, format!("Made {}", name_of(path)), vec![step]);
                documents::put_entry(ide, entry);
            }
            Ok(())
        }
        Ok(SaveOutcome::Conflict { .. }) => Err("This name is taken. Choose another one.".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A refusal is told where the name is typed, so that the name stays.
async fn create_directory(ide: Ide, path: &str) -> Result<(), String> {
    let undo = attempt(ide, vec![FileStep::CreateDirectory { path: path.to_owned() }]).await.map_err(|lines| lines.join(" "))?;
    keep_undo(ide, format!("Made {}", name_of(path)), undo);
    Ok(())
}

async fn rename(ide: Ide, from: &str, to: &str) -> Result<(), String> {
    let base = ide.tree.with_untracked(|tree| base_of(tree, from));
    let steps = vec![FileStep::Move { from: from.to_owned(), to: to.to_owned(), base }];
    let undo = attempt(ide, steps).await.map_err(|lines| lines.join(" "))?;
    keep_undo(ide, format!("Renamed {} to {}", name_of(from), name_of(to)), undo);
    Ok(())
}
