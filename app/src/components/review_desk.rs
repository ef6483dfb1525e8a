//! The review at hand: its marks, its focus, and sending the decisions.

use leptos::{prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};
use wire::{
    ErrorCode, HunkId,
    changes::{ChangeOrigin, ChangeSet, Decided, Hunk, ReviewKey},
};

use super::{
    ide::{Ide, fetch_changes},
    review_state::{self, Mark, Marks, Standing, Tally},
};
use crate::{
    api,
    ui::{format, storage},
};

/// State of one review, shared by its parts.
#[derive(Clone, Copy)]
pub struct Desk {
    pub ide: Ide,
    pub what: ReviewKey,
    pub set: Memo<Option<ChangeSet>>,
    pub marks: RwSignal<Marks>,
    pub focus: RwSignal<Option<HunkId>>,
    /// The hunk whose text is edited.
    pub editing: RwSignal<Option<HunkId>>,
    /// The hunk that is taken line by line.
    pub choosing: RwSignal<Option<HunkId>>,
    /// Told to the agent with the rejected hunks.
    pub reason: RwSignal<String>,
    pub busy: RwSignal<bool>,
    pub failure: RwSignal<Option<String>>,
    pub help: RwSignal<bool>,
    /// The change set was asked for; `None` in `set` then means that there is none.
    pub asked: RwSignal<bool>,
}

fn marks_key(set: &ChangeSet) -> String {
    format!("review:{}", set.change_set_id)
}

/// Frames in which a hunk is waited for: those of a review that was just opened are drawn a little later.
const FOCUS_FRAMES: u32 = 10;

fn focus_hunk(id: HunkId, frames: u32) {
    request_animation_frame(move || {
        let element = document().get_element_by_id(&element_id(id)).and_then(|el| el.dyn_into::<web_sys::HtmlElement>().ok());
        match element {
            Some(element) if !is_writing() => {
                let _ = element.focus();
            }
            Some(_) => {}
            None if frames > 0 => focus_hunk(id, frames - 1),
            None => {}
        }
    });
}

/// Whether a text field has the focus: keys typed quickly after a mark belong to the field they opened.
fn is_writing() -> bool {
    document().active_element().is_some_and(|element| matches!(element.tag_name().as_str(), "TEXTAREA" | "INPUT"))
}

/// The element of a hunk.
pub fn element_id(hunk: HunkId) -> String {
    format!("hunk-{hunk}")
}

impl Desk {
    pub fn provide(ide: Ide, what: ReviewKey) -> Self {
        let set = Memo::new(move |_| ide.proposals.with(|all| all.get(&what).cloned()));
        let desk = Self {
            ide,
            what,
            set,
            marks: RwSignal::new(Marks::new()),
            focus: RwSignal::new(None),
            editing: RwSignal::new(None),
            choosing: RwSignal::new(None),
            reason: RwSignal::new(String::new()),
            busy: RwSignal::new(false),
            failure: RwSignal::new(None),
            help: RwSignal::new(false),
            asked: RwSignal::new(false),
        };
        provide_context(desk);
        desk
    }

    pub fn expect() -> Self {
        expect_context()
    }

    /// Reads the change set and the marks made before a reload.
    pub fn start(self) {
        spawn_local(async move {
            match fetch_changes(self.what).await {
                Ok(Some(set)) => self.ide.put_changes(set),
                Ok(None) => {}
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                }
            }
            self.asked.try_set(true);
        });
        Effect::new(move |restored: Option<bool>| {
            let restored = restored.unwrap_or(false);
            self.set.with(|set| {
                let Some(set) = set else { return restored };
                let mut marks = self.marks.get_untracked();
                if !restored && let Some(stored) = storage::read(&marks_key(set)) {
                    marks = serde_json::from_str(&stored).unwrap_or_default();
                }
                review_state::prune(&mut marks, set);
                if marks != self.marks.get_untracked() {
                    self.marks.set(marks);
                }
                if !restored && let Some(first) = self.marks.with_untracked(|marks| review_state::next_open(set, marks, None)) {
                    self.go_to(first);
                }
                true
            })
        });
        Effect::new(move |first: Option<()>| {
            let stored = self.marks.with(|marks| if marks.is_empty() { None } else { serde_json::to_string(marks).ok() });
            if first.is_none() {
                return;
            }
            self.set.with_untracked(|set| match (set, stored) {
                (Some(set), Some(stored)) => storage::write(&marks_key(set), &stored),
                (Some(set), None) => storage::remove(&marks_key(set)),
                (None, _) => {}
            });
        });
    }

    /// Whether the agent proposes it, and is told what becomes of it. Tracks the set.
    pub fn is_of_agent(&self) -> bool {
        self.set.with(|set| set.as_ref().map_or(matches!(self.what, ReviewKey::Turn(_)), |set| set.origin == ChangeOrigin::Agent))
    }

    /// Tracks the marks.
    pub fn standing(&self, hunk: &Hunk) -> Standing {
        self.marks.with(|marks| review_state::standing(hunk, marks))
    }

    /// Counts over all hunks. Tracks the set and the marks.
    pub fn tally(&self) -> Tally {
        self.marks.with(|marks| self.set.with(|set| set.as_ref().map(|set| Tally::of(review_state::hunks(set), marks)).unwrap_or_default()))
    }

    /// Whether marks can be made on this hunk now.
    pub fn can_mark(&self, id: HunkId) -> bool {
        self.ide.can_review()
            && !self.busy.get_untracked()
            && self.set.with_untracked(|set| {
                set.as_ref().and_then(|set| review_state::find(set, id)).is_some_and(|(_, hunk, ..)| hunk.state.is_open())
            })
    }

    /// Marks a hunk, says so, and goes to the next open one.
    pub fn mark(self, id: HunkId, mark: Mark) {
        if !untrack(|| self.can_mark(id)) {
            return;
        }
        let word = match &mark {
            Mark::Accept => "accepted",
            Mark::Reject => "rejected",
            Mark::Edit { .. } => "edited and accepted",
        };
        self.editing.set(None);
        self.choosing.set(None);
        self.marks.update(|marks| {
            marks.insert(id, mark);
        });
        let next = self.set.with_untracked(|set| {
            let set = set.as_ref()?;
            let left = untrack(|| self.tally()).open();
            if let Some((_, _, at, of)) = review_state::find(set, id) {
                let rest = if left == 0 { "none is open".to_owned() } else { format!("{left} open") };
                self.ide.announcement.set(format!("Hunk {at} of {of} {word}, {rest}."));
            }
            self.marks.with_untracked(|marks| review_state::next_open(set, marks, Some(id)))
        });
        self.go_to(next.unwrap_or(id));
    }

    /// Takes a mark back.
    pub fn unmark(self, id: HunkId) {
        if self.busy.get_untracked() {
            return;
        }
        self.marks.update(|marks| {
            marks.remove(&id);
        });
        self.ide.announcement.set("The hunk is open again.".to_owned());
        self.go_to(id);
    }

    /// Marks every open hunk of a file, or of all files with `None`.
    pub fn mark_all(self, path: Option<&str>, mark: &Mark) {
        if !untrack(|| self.ide.can_review()) || self.busy.get_untracked() {
            return;
        }
        let ids: Vec<HunkId> = self.set.with_untracked(|set| {
            let files = set.iter().flat_map(|set| &set.files).filter(|file| path.is_none_or(|path| file.path == path));
            let hunks = files.flat_map(|file| &file.hunks);
            self.marks.with_untracked(|marks| hunks.filter(|h| review_state::standing(h, marks).is_open()).map(|h| h.id).collect())
        });
        let count = ids.len() as i64;
        self.marks.update(|marks| marks.extend(ids.into_iter().map(|id| (id, mark.clone()))));
        let word = if *mark == Mark::Reject { "rejected" } else { "accepted" };
        self.ide.announcement.set(format!("{} {word}.", format::counted(count, "hunk", "hunks")));
        if let Some(next) = self.next_open(self.focus.get_untracked()) {
            self.go_to(next);
        }
    }

    pub fn next_open(&self, from: Option<HunkId>) -> Option<HunkId> {
        self.set.with_untracked(|set| self.marks.with_untracked(|marks| review_state::next_open(set.as_ref()?, marks, from)))
    }

    pub fn step(self, forward: bool) {
        let to = self.set.with_untracked(|set| review_state::neighbour(set.as_ref()?, self.focus.get_untracked(), forward));
        if let Some(to) = to {
            self.go_to(to);
        }
    }

    /// Focuses a hunk once the screen has settled.
    pub fn go_to(self, id: HunkId) {
        self.focus.set(Some(id));
        focus_hunk(id, FOCUS_FRAMES);
    }

    /// Sends all marks in one request.
    pub fn apply(self) {
        let Some(id) = self.set.with_untracked(|set| set.as_ref().map(|set| set.change_set_id)) else { return };
        let sent = self.marks.get_untracked();
        if sent.is_empty() || self.busy.get_untracked() || !untrack(|| self.ide.can_review()) {
            return;
        }
        self.busy.set(true);
        self.failure.set(None);
        let request = review_state::to_request(&sent, &self.reason.get_untracked());
        spawn_local(async move {
            let answer = api::changes::decide(id, request).await;
            if self.busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(decided) => self.applied(decided, sent.len()),
                Err(error) => {
                    if matches!(error.code(), ErrorCode::Conflict | ErrorCode::Invalid) {
                        self.ide.load_changes(self.what);
                    }
                    self.failure.set(Some(format!("{error} Your marks are kept.")));
                }
            }
        });
    }

    fn applied(self, decided: Decided, sent: usize) {
        let Decided { change_set, written, conflicts } = decided;
        self.marks.set(Marks::new());
        self.reason.set(String::new());
        self.ide.put_changes(change_set);
        let done = (sent - conflicts.len().min(sent)) as i64;
        let files = match written.len() {
            0 => "no file changed".to_owned(),
            n => format!("{} written", format::counted(n as i64, "file", "files")),
        };
        let result = format!("Applied {}, {files}", format::counted(done, "decision", "decisions"));
        if let Some(first) = conflicts.first() {
            let open = format::counted(conflicts.len() as i64, "hunk no longer fits", "hunks no longer fit");
            self.failure.set(Some(format!("{open} the project. Nothing of it was written; the rest was applied.")));
            self.go_to(*first);
        }
        self.ide.announcement.set(format!("{result}."));
        self.ide.toast(result);
    }
}
