//! The review at hand: its marks, its focus, and sending the decisions.

use std::collections::HashMap;

use leptos::{prelude::*, task::spawn_local, wasm_bindgen::JsCast, web_sys};
use wire::{
    ErrorCode, HunkId, RunId,
    changes::{AddComment, ChangeOrigin, ChangeSet, ChangedFile, Decided, Hunk, ReviewKey},
    chat::Queued,
    permissions::guarded_place,
};

use super::{
    ide::{Ide, fetch_changes},
    review_state::{self, Mark, Marks, Places, Standing, Tally},
};
use crate::{
    api,
    ui::{format, storage},
};

/// What a text field of a hunk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The text in place of what is proposed.
    Edit,
    /// Which lines are taken.
    Lines,
    /// Why it is rejected.
    Reason,
    Comment,
}

/// State of one review, shared by its parts.
#[derive(Clone, Copy)]
pub struct Desk {
    pub ide: Ide,
    pub what: ReviewKey,
    pub set: Memo<Option<ChangeSet>>,
    pub places: Memo<Places>,
    pub marks: RwSignal<Marks>,
    pub focus: RwSignal<Option<HunkId>>,
    /// The hunk that is worked on, and how.
    pub field: RwSignal<Option<(HunkId, Field)>>,
    /// The file that is shown whole, in the editor's comparison.
    pub whole: RwSignal<Option<String>>,
    /// Told to the agent with the rejected hunks.
    pub reason: RwSignal<String>,
    pub busy: RwSignal<bool>,
    pub failure: RwSignal<Option<String>>,
    /// What others decided while this was open.
    pub news: RwSignal<Option<String>>,
    pub help: RwSignal<bool>,
    /// The change set was asked for; `None` in `set` then means that there is none.
    pub asked: RwSignal<bool>,
    /// So many hunks have an element, from the first on: the others get theirs in the frames after the first.
    pub laid: RwSignal<usize>,
    /// Hunks that are drawn; the others keep their place.
    sights: StoredValue<HashMap<HunkId, RwSignal<bool>>>,
    looking: StoredValue<bool>,
    /// Counts what asked for the focus, so that only the last one gets it.
    wanted: StoredValue<u32>,
}

fn marks_key(set: &ChangeSet) -> String {
    format!("review:{}", set.change_set_id)
}

/// Frames in which a hunk is waited for: those of a review that was just opened are drawn a little later.
const FOCUS_FRAMES: u32 = 30;
/// Hunks drawn before anything could be measured.
const DRAWN_AT_FIRST: usize = 12;
/// Hunks that have an element in the first frame, and how many more get theirs in each one after it.
const LAID_AT_FIRST: usize = 24;
const LAID_IN_A_FRAME: usize = 50;
/// Pixels above and below the view in which hunks are drawn.
const MARGIN: f64 = 1200.0;

/// Whether a text field of the review has the focus: keys typed quickly after a mark belong to the field they opened.
fn is_writing() -> bool {
    let field = |element: web_sys::Element| element.matches(".review textarea, .review input").unwrap_or(false);
    document().active_element().is_some_and(field)
}

/// The element of a hunk.
pub fn element_id(hunk: HunkId) -> String {
    format!("hunk-{hunk}")
}

/// The element that stands for the hunks of a file that is shown whole.
pub const WHOLE_ELEMENT: &str = "review-whole";

impl Desk {
    pub fn provide(ide: Ide, what: ReviewKey) -> Self {
        let set = Memo::new(move |_| ide.proposals.with(|all| all.get(&what).cloned()));
        let places = Memo::new(move |_| set.with(|set| set.as_ref().map(Places::of).unwrap_or_default()));
        let desk = Self {
            ide,
            what,
            set,
            places,
            marks: RwSignal::new(Marks::new()),
            focus: RwSignal::new(None),
            field: RwSignal::new(None),
            whole: RwSignal::new(None),
            reason: RwSignal::new(String::new()),
            busy: RwSignal::new(false),
            failure: RwSignal::new(None),
            news: RwSignal::new(None),
            help: RwSignal::new(false),
            asked: RwSignal::new(false),
            laid: RwSignal::new(LAID_AT_FIRST),
            sights: StoredValue::new(HashMap::new()),
            looking: StoredValue::new(false),
            wanted: StoredValue::new(0),
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
        self.tell_news();
        self.lay();
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

    /// Gives all hunks their elements, some in each frame.
    fn lay(self) {
        Effect::new(move |_| {
            let laid = self.laid.get();
            if laid < self.places.with(Places::count) {
                request_animation_frame(move || {
                    // Meanwhile it may have gone further, to a hunk that was asked for.
                    if self.laid.try_update(|now| *now = (*now).max(laid + LAID_IN_A_FRAME)).is_some() {
                        self.look();
                    }
                });
            }
        });
    }

    /// Says what other people decide while this is open.
    fn tell_news(self) {
        let me = self.ide.viewer.with_value(|viewer| viewer.id);
        Effect::new(move |before: Option<Option<ChangeSet>>| {
            let after = self.set.get();
            if let (Some(Some(before)), Some(after)) = (before, &after)
                && let Some(news) = self.marks.with_untracked(|marks| review_state::news(&before, after, me, marks))
            {
                self.ide.announcement.set(news.clone());
                self.news.set(Some(news));
            }
            after
        });
    }

    /// Whether the agent proposes it, and is told what becomes of it. Tracks the set.
    pub fn is_of_agent(&self) -> bool {
        self.set.with(|set| set.as_ref().map_or(matches!(self.what, ReviewKey::Turn(_)), |set| set.origin == ChangeOrigin::Agent))
    }

    /// Whether there is somebody who is told what becomes of it, and where. Tracks the set.
    pub fn has_conversation(&self) -> bool {
        self.is_of_agent() && self.run().is_none()
    }

    /// The codegen run that proposes it. Tracks the set.
    pub fn run(&self) -> Option<RunId> {
        self.set.with(|set| set.as_ref().and_then(|set| set.run_id))
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
            && untrack(|| self.with_hunk(id, |_, hunk, _, _| hunk.state.is_open())).unwrap_or(false)
    }

    /// Reads a hunk with its file, its place among all, from 1, and their number. Tracks the set.
    pub fn with_hunk<T>(&self, id: HunkId, read: impl FnOnce(&ChangedFile, &Hunk, usize, usize) -> T) -> Option<T> {
        self.set.with(|set| {
            let set = set.as_ref()?;
            self.places.with(|places| places.find(set, id).map(|(file, hunk, at, of)| read(file, hunk, at, of)))
        })
    }

    /// Reads a file of the set. Tracks the set.
    pub fn with_file<T>(&self, path: &str, read: impl FnOnce(&ChangedFile) -> T) -> Option<T> {
        self.set.with(|set| {
            let set = set.as_ref()?;
            self.places.with(|places| places.file(set, path).map(read))
        })
    }

    /// How a hunk is worked on now. Tracks it.
    pub fn field_of(&self, id: HunkId) -> Option<Field> {
        self.field.get().filter(|(hunk, _)| *hunk == id).map(|(_, field)| field)
    }

    /// Opens a field of a hunk; it takes the focus, whatever asked for it before.
    pub fn open_field(self, id: HunkId, field: Field) {
        self.wanted.update_value(|wanted| *wanted += 1);
        self.whole.set(None);
        self.focus.set(Some(id));
        self.see(id);
        self.field.set(Some((id, field)));
    }

    /// Closes the field and gives the focus back to its hunk.
    pub fn close_field(self) {
        if let Some((id, _)) = self.field.get_untracked() {
            self.field.set(None);
            self.go_to(id);
        }
    }

    /// Marks a hunk, says so, and goes to the next open one.
    pub fn mark(self, id: HunkId, mark: Mark) {
        if !untrack(|| self.can_mark(id)) {
            return;
        }
        let word = mark.word();
        self.field.set(None);
        self.marks.update(|marks| {
            marks.insert(id, mark);
        });
        let left = untrack(|| self.tally()).open();
        let rest = if left == 0 { "none is open".to_owned() } else { format!("{left} open") };
        if let Some((at, of)) = untrack(|| self.with_hunk(id, |_, _, at, of| (at, of))) {
            self.ide.announcement.set(format!("Hunk {at} of {of} {word}, {rest}."));
        }
        self.go_to(self.next_open(Some(id)).unwrap_or(id));
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

    /// Marks every open hunk of a file, or of all files with `None`. What always asks is accepted only as a file or a hunk of its own.
    pub fn mark_all(self, path: Option<&str>, mark: &Mark) {
        if !untrack(|| self.ide.can_review()) || self.busy.get_untracked() {
            return;
        }
        let ids: Vec<HunkId> = self.set.with_untracked(|set| {
            let waits = |file: &ChangedFile| *mark == Mark::Accept && guarded_place(&file.path).is_some();
            let files = set.iter().flat_map(|set| &set.files).filter(|file| path.map_or(!waits(file), |path| file.path == path));
            let hunks = files.flat_map(|file| &file.hunks);
            self.marks.with_untracked(|marks| hunks.filter(|h| review_state::standing(h, marks).is_open()).map(|h| h.id).collect())
        });
        let count = ids.len() as i64;
        if count == 0 {
            if let Some(left) = self.next_open(self.focus.get_untracked()) {
                self.ide.toast("What is left runs by itself or instructs the agent. Accept it file by file");
                self.go_to(left);
            }
            return;
        }
        self.field.set(None);
        self.marks.update(|marks| marks.extend(ids.into_iter().map(|id| (id, mark.clone()))));
        let left = untrack(|| self.tally()).open();
        let rest = if left == 0 { "none is open".to_owned() } else { format!("{left} open") };
        self.ide.announcement.set(format!("{} {}, {rest}.", format::counted(count, "hunk", "hunks"), mark.word()));
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

    /// Shows the file of a hunk whole, or hunk by hunk again.
    pub fn toggle_whole(self, id: HunkId) {
        let path = untrack(|| self.with_hunk(id, |file, _, _, _| file.path.clone()));
        let is_shown = self.whole.with_untracked(|whole| whole.is_some() && *whole == path);
        self.field.set(None);
        self.whole.set(path.filter(|_| !is_shown));
        self.go_to(id);
    }

    /// Marks the open hunks of the file that the focus is in.
    pub fn mark_file_here(self, mark: &Mark) {
        let here = self.focus.get_untracked();
        if let Some(path) = here.and_then(|id| untrack(|| self.with_hunk(id, |file, _, _, _| file.path.clone()))) {
            self.mark_all(Some(&path), mark);
        }
    }

    /// Focuses a hunk once the screen has settled, unless a field has been opened by then.
    pub fn go_to(self, id: HunkId) {
        self.focus.set(Some(id));
        self.see(id);
        let turn = self.wanted.try_update_value(|wanted| {
            *wanted += 1;
            *wanted
        });
        if let Some(turn) = turn {
            self.focus_soon(id, turn, FOCUS_FRAMES);
        }
    }

    fn focus_soon(self, id: HunkId, turn: u32, frames: u32) {
        request_animation_frame(move || {
            if self.wanted.try_get_value() != Some(turn) || is_writing() {
                return;
            }
            let element = document().get_element_by_id(&element_id(id)).or_else(|| document().get_element_by_id(WHOLE_ELEMENT));
            let element = element.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok());
            if let Some(element) = &element {
                let _ = element.focus();
                self.look();
            }
            // What is not shown yet does not take the focus.
            let has_it = element.is_some_and(|element| document().active_element().is_some_and(|active| active == element.into()));
            if !has_it && frames > 0 {
                self.focus_soon(id, turn, frames - 1);
            }
        });
    }

    /// Whether a hunk is drawn. To be asked once by its element.
    pub fn sight(&self, id: HunkId, place: usize) -> RwSignal<bool> {
        let known = self.sights.with_value(|sights| sights.get(&id).copied());
        let is_seen = place <= DRAWN_AT_FIRST || known.and_then(|sight| sight.try_get_untracked()).unwrap_or(false);
        let sight = RwSignal::new(is_seen);
        self.sights.update_value(|sights| {
            sights.insert(id, sight);
        });
        sight
    }

    fn see(&self, id: HunkId) {
        let place = untrack(|| self.with_hunk(id, |_, _, at, _| at)).unwrap_or_default();
        if place > self.laid.get_untracked() {
            self.laid.set(place);
        }
        let sight = self.sights.with_value(|sights| sights.get(&id).copied());
        if let Some(sight) = sight.filter(|sight| sight.try_get_untracked() == Some(false)) {
            sight.set(true);
        }
    }

    /// Draws the hunks that have come near the view, once in a frame.
    pub fn look(self) {
        if self.looking.try_get_value() != Some(false) {
            return;
        }
        self.looking.set_value(true);
        request_animation_frame(move || {
            if self.looking.try_update_value(|looking| *looking = false).is_none() {
                return;
            }
            let Ok(found) = document().query_selector_all(".review .hunk") else { return };
            let hunk = |at: u32| found.item(at).and_then(|node| node.dyn_into::<web_sys::Element>().ok());
            let height = window().inner_height().ok().and_then(|height| height.as_f64()).unwrap_or(900.0);
            // They stand one below the other, so the first that is near is found by halving.
            let (mut first, mut last) = (0, found.length());
            while first < last {
                let middle = (first + last) / 2;
                if hunk(middle).is_some_and(|element| element.get_bounding_client_rect().bottom() < -MARGIN) {
                    first = middle + 1;
                } else {
                    last = middle;
                }
            }
            for element in (first..found.length()).map_while(hunk) {
                if element.get_bounding_client_rect().top() > height + MARGIN {
                    break;
                }
                if let Some(id) = element.id().strip_prefix("hunk-").and_then(|id| id.parse().ok()) {
                    self.see(id);
                }
            }
        });
    }

    /// Keeps a comment on a hunk.
    pub fn comment(self, id: HunkId, text: String) {
        let Some(set) = self.set.with_untracked(|set| set.as_ref().map(|set| set.change_set_id)) else { return };
        if text.trim().is_empty() || self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.failure.set(None);
        spawn_local(async move {
            let answer = api::changes::comment(set, AddComment { hunk_id: id, text }).await;
            if self.busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(comment) => {
                    self.ide.announcement.set("Comment kept. It is not sent to the agent yet.".to_owned());
                    self.close_field();
                    self.ide.update_changes(self.what, |set| {
                        // The news of it may have been faster.
                        if set.comments.iter().all(|known| known.id != comment.id) {
                            set.comments.push(comment);
                        }
                    });
                }
                Err(error) => self.failure.set(Some(error.to_string())),
            }
        });
    }

    /// Takes back a comment that is not sent yet.
    pub fn remove_comment(self, id: wire::ReviewCommentId) {
        spawn_local(async move {
            match api::changes::remove_comment(id).await {
                Ok(()) => {
                    self.ide.announcement.set("Comment removed.".to_owned());
                    self.ide.update_changes(self.what, |set| set.comments.retain(|comment| comment.id != id));
                }
                Err(error) => {
                    self.failure.try_set(Some(error.to_string()));
                    self.ide.load_changes(self.what);
                }
            }
        });
    }

    /// Makes the comments that wait the agent's next prompt, or one of its queue, and shows the conversation.
    pub fn send_comments(self) {
        let Some(id) = self.set.with_untracked(|set| set.as_ref().map(|set| set.change_set_id)) else { return };
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.failure.set(None);
        spawn_local(async move {
            let answer = api::changes::send_comments(id).await;
            if self.busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(queued) => {
                    self.ide.load_changes(self.what);
                    self.ide.toast(match queued {
                        Queued::Started { .. } => "Comments sent to the agent",
                        Queued::Waiting { .. } => "Comments queued: the agent gets them when it is done",
                    });
                    self.ide.show_chat();
                }
                Err(error) => self.failure.set(Some(format!("{error} Your comments are kept."))),
            }
        });
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
