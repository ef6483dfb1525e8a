//! The project's past at hand: its timeline, what a restore would do, and what was chosen of it.

use std::collections::BTreeSet;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    CheckpointId, ErrorCode, Problem, TurnId,
    checkpoints::{Checkpoint, PlannedFile, RestoreCheckpoint, RestoreOutcome, RestorePlan, Timeline},
    files::PathConflict,
};

use super::ide::Ide;
use crate::{api, ui::format};

/// What a dialog asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    New,
    Rename(Checkpoint),
    /// A new project with the files of a checkpoint, or as they are.
    Fork(Option<Checkpoint>),
    Delete(Checkpoint),
}

/// The part of the project page's state that is about checkpoints.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checkpoints {
    /// They take the main area.
    pub open: RwSignal<bool>,
    /// Show the one that was made before this turn as soon as the timeline is there.
    pub wanted: RwSignal<Option<TurnId>>,
    /// Counts up when the timeline should be read again.
    pub changed: RwSignal<u64>,
    pub ask: RwSignal<Option<Ask>>,
}

/// State of the open panel, shared by its parts.
#[derive(Clone, Copy)]
pub struct PastDesk {
    pub ide: Ide,
    pub timeline: RwSignal<Option<Timeline>>,
    pub timeline_failure: RwSignal<Option<String>>,
    /// `None` is now.
    pub chosen: RwSignal<Option<CheckpointId>>,
    pub plan: RwSignal<Option<RestorePlan>>,
    pub plan_failure: RwSignal<Option<String>>,
    /// Paths that will be restored.
    pub ticked: RwSignal<BTreeSet<String>>,
    /// The path whose difference is shown.
    pub file: RwSignal<Option<String>>,
    pub busy: RwSignal<bool>,
    /// Why the last restore did not happen.
    pub failure: RwSignal<Option<String>>,
}

impl PastDesk {
    pub fn provide(ide: Ide) -> Self {
        let desk = Self {
            ide,
            timeline: RwSignal::new(None),
            timeline_failure: RwSignal::new(None),
            chosen: RwSignal::new(None),
            plan: RwSignal::new(None),
            plan_failure: RwSignal::new(None),
            ticked: RwSignal::new(BTreeSet::new()),
            file: RwSignal::new(None),
            busy: RwSignal::new(false),
            failure: RwSignal::new(None),
        };
        provide_context(desk);
        desk
    }

    pub fn expect() -> Self {
        expect_context()
    }

    /// Reads the timeline now and whenever it or the project changes.
    pub fn start(self) {
        Effect::new(move |_| {
            self.ide.checkpoints.changed.track();
            self.load();
        });
        let revision = Memo::new(move |_| self.ide.tree.with(|tree| tree.revision));
        Effect::new(move |before: Option<i64>| {
            let now = revision.get();
            if before.is_some_and(|before| before != now) {
                self.load();
                if let Some(id) = self.chosen.get_untracked() {
                    self.load_plan(id);
                }
            }
            now
        });
        Effect::new(move |_| {
            if self.ide.checkpoints.wanted.with(Option::is_some) && self.timeline.with(Option::is_some) {
                self.show_wanted();
            }
        });
    }

    pub fn load(self) {
        spawn_local(async move {
            match api::checkpoints::list(self.ide.project_id).await {
                Ok(timeline) => {
                    self.timeline_failure.try_set(None);
                    self.timeline.try_set(Some(timeline));
                }
                Err(error) => {
                    self.timeline_failure.try_set(Some(error.to_string()));
                }
            }
        });
    }

    fn show_wanted(self) {
        let Some(turn) = self.ide.checkpoints.wanted.try_update(Option::take).flatten() else { return };
        let found = self.timeline.with_untracked(|timeline| {
            timeline.as_ref().and_then(|timeline| timeline.items.iter().find(|item| item.turn_id == Some(turn)).map(|item| item.id))
        });
        match found {
            Some(id) => self.choose(Some(id)),
            None => self.ide.toast("The checkpoint before this turn is not kept any more"),
        }
    }

    /// Shows what a restore would do; with `None` nothing is chosen.
    pub fn choose(self, id: Option<CheckpointId>) {
        if self.busy.get_untracked() {
            return;
        }
        self.chosen.set(id);
        self.plan.set(None);
        self.plan_failure.set(None);
        self.failure.set(None);
        self.file.set(None);
        self.ticked.set(BTreeSet::new());
        if let Some(id) = id {
            self.load_plan(id);
        }
    }

    /// Works out again what would change. What was ticked stays so, unless somebody else has come to change it.
    pub fn load_plan(self, id: CheckpointId) {
        spawn_local(async move {
            let answer = api::checkpoints::diff(self.ide.project_id, id).await;
            if self.chosen.try_get_untracked().flatten() != Some(id) {
                return;
            }
            match answer {
                Ok(plan) => self.take_plan(plan),
                Err(error) if error.code() == ErrorCode::NotFound => {
                    self.ide.toast("This checkpoint is not kept any more");
                    self.choose(None);
                }
                Err(error) => self.plan_failure.set(Some(error.to_string())),
            }
        });
    }

    fn take_plan(self, plan: RestorePlan) {
        let before = self.plan.get_untracked();
        if before.as_ref().is_some_and(|before| before.revision > plan.revision) {
            return;
        }
        let ticked = self.ticked.with_untracked(|ticked| tick(&plan.items, before.as_ref().map(|plan| (&plan.items[..], ticked))));
        let shown = self.file.get_untracked().filter(|path| plan.items.iter().any(|item| item.path == *path));
        self.file.set(shown.or_else(|| plan.items.first().map(|item| item.path.clone())));
        self.ticked.set(ticked);
        self.plan_failure.set(None);
        self.plan.set(Some(plan));
    }

    pub fn set_tick(self, path: &str, on: bool) {
        self.ticked.update(|ticked| {
            if on {
                ticked.insert(path.to_owned());
            } else {
                ticked.remove(path);
            }
        });
    }

    pub fn set_all_ticks(self, on: bool) {
        let all = self.plan.with_untracked(|plan| plan.iter().flat_map(|plan| &plan.items).map(|item| item.path.clone()).collect());
        self.ticked.set(if on { all } else { BTreeSet::new() });
    }

    /// Shows the difference of the next file of the plan, or of the one before.
    pub fn step(self, forward: bool) {
        let next = self.plan.with_untracked(|plan| {
            let items = &plan.as_ref()?.items;
            let here = self.file.with_untracked(|file| items.iter().position(|item| Some(&item.path) == file.as_ref()));
            let at = match here {
                Some(at) if forward => (at + 1).min(items.len() - 1),
                Some(at) => at.saturating_sub(1),
                None => 0,
            };
            items.get(at).map(|item| item.path.clone())
        });
        if let Some(next) = next {
            self.file.set(Some(next));
        }
    }

    /// Restores what is ticked, all of it or nothing.
    pub fn restore(self) {
        let Some(plan) = self.plan.get_untracked().filter(|_| !self.busy.get_untracked()) else { return };
        let paths: Vec<String> = self.ticked.with_untracked(|ticked| ticked.iter().cloned().collect());
        if paths.is_empty() || !untrack(|| self.ide.can_edit()) {
            return;
        }
        self.busy.set(true);
        self.failure.set(None);
        let request = RestoreCheckpoint { paths: Some(paths), expected_revision: Some(plan.revision) };
        spawn_local(async move {
            let answer = api::checkpoints::restore(self.ide.project_id, plan.checkpoint.id, request).await;
            if self.busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(RestoreOutcome::Restored { revision, before, paths, .. }) => {
                    say_restored(self.ide, &plan.checkpoint, before, paths, revision);
                    self.load();
                    self.load_plan(plan.checkpoint.id);
                }
                Ok(RestoreOutcome::Conflict { paths }) => {
                    self.failure.set(Some(format!("{} Nothing was restored; look at it again.", in_the_way(&paths))));
                    self.load_plan(plan.checkpoint.id);
                }
                Err(error) => self.failure.set(Some(error.to_string())),
            }
        });
    }
}

/// What is ticked of a plan: all but what others have changed. Of one that was looked at before, what was ticked then, unless others have
/// changed it since.
pub fn tick(items: &[PlannedFile], before: Option<(&[PlannedFile], &BTreeSet<String>)>) -> BTreeSet<String> {
    let is_ticked = |item: &&PlannedFile| {
        let known = before.and_then(|(known, ticked)| {
            let known = known.iter().find(|known| known.path == item.path)?;
            let is_news = item.others.first().map(|note| note.at) != known.others.first().map(|note| note.at);
            (!is_news).then(|| ticked.contains(&item.path))
        });
        known.unwrap_or(item.others.is_empty())
    };
    items.iter().filter(is_ticked).map(|item| item.path.clone()).collect()
}

fn in_the_way(paths: &[PathConflict]) -> String {
    let first = paths.first().map(|first| format!("{}: {}", first.path, first.reason)).unwrap_or_default();
    match paths.len() {
        0 | 1 => first,
        more => format!("{first} {} more stand in the way.", format::count(more as i64 - 1)),
    }
}

fn say_restored(ide: Ide, to: &Checkpoint, before: Checkpoint, paths: Vec<String>, revision: i64) {
    let text = format!("Restored {} to “{}”", format::counted(paths.len() as i64, "file", "files"), to.title());
    ide.announcement.set(format!("{text}."));
    ide.toast_undo(text, move || undo_restore(ide, before.id, paths.clone(), revision));
}

/// Restores what was kept before a restore, unless somebody has changed the files since.
fn undo_restore(ide: Ide, before: CheckpointId, paths: Vec<String>, revision: i64) {
    let request = RestoreCheckpoint { paths: Some(paths), expected_revision: Some(revision) };
    spawn_local(async move {
        match api::checkpoints::restore(ide.project_id, before, request).await {
            _ if ide.is_gone() => {}
            Ok(RestoreOutcome::Restored { .. }) => {
                ide.checkpoints.changed.update(|count| *count += 1);
                ide.toast("The restore was undone");
            }
            Ok(RestoreOutcome::Conflict { paths }) => {
                let detail = format!("{} The restore stays; its checkpoint is in the timeline.", in_the_way(&paths));
                ide.error(&Problem::new(ErrorCode::Conflict, detail));
            }
            Err(error) => ide.error(&error.0),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{
        Micros,
        checkpoints::{ChangeNote, RestoreEffect},
        files::{FileAction, Origin},
    };

    fn item(path: &str, other: Option<i64>) -> PlannedFile {
        let note = |at| ChangeNote { at: Micros(at), by: None, origin: Origin::Person, action: FileAction::Modified };
        PlannedFile {
            path: path.to_owned(),
            effect: RestoreEffect::GoesBack,
            then: None,
            now: None,
            last: note(1),
            others: other.map(note).into_iter().collect(),
        }
    }

    fn names(ticked: &BTreeSet<String>) -> Vec<&str> {
        ticked.iter().map(String::as_str).collect()
    }

    #[test]
    fn what_others_changed_is_not_ticked_by_itself() {
        let first = [item("mine", None), item("theirs", Some(5)), item("told", Some(6))];
        assert_eq!(names(&tick(&first, None)), ["mine"]);
        // The person ticks one of theirs; then somebody changes it again, and comes to change another.
        let ticked = BTreeSet::from(["mine".to_owned(), "theirs".to_owned(), "told".to_owned()]);
        let second = [item("mine", Some(7)), item("new", None), item("theirs", Some(8)), item("told", Some(6))];
        assert_eq!(names(&tick(&second, Some((&first, &ticked)))), ["new", "told"]);
    }
}
