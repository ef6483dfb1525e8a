//! Uploads apart from the page: what waits, what goes together, how far it is.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wire::{
    UploadId, UserId,
    files::{Base, BatchOutcome, Entry, EntryKind, PathConflict},
};

use super::file_plan::Clash;
use crate::ui::format;

/// Files up to this many bytes travel together; larger ones in pieces.
pub const SMALL_MAX: f64 = 1024.0 * 1024.0;
/// What one request carries at most.
pub const BATCH_BYTES: f64 = 4.0 * 1024.0 * 1024.0;
pub const BATCH_FILES: usize = 100;
pub const PIECE: f64 = 4.0 * 1024.0 * 1024.0;

#[derive(Debug, Clone, PartialEq)]
pub enum State {
    Waiting,
    Sending,
    Paused,
    /// The connection was lost this many times in a row; it goes on by itself.
    Lost(u32),
    Saved(Box<Entry>),
    /// Something is at the path that this page or the server knows of.
    Exists(Option<Box<Entry>>),
    Failed(String),
    /// From before a reload: the browser may not read the file until it is chosen again. Says what was wrong with the last choice.
    Missing(Option<String>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub id: u64,
    pub path: String,
    /// What the file is called on the person's computer; empty where it is not known.
    pub name: String,
    pub size: f64,
    /// When it was last changed there, in milliseconds since 1970.
    pub modified: Option<f64>,
    pub sent: f64,
    pub state: State,
    pub base: Base,
    /// On the server, for what goes in pieces.
    pub session: Option<UploadId>,
    /// An answer was lost, so the file may be there already.
    pub unsure: bool,
    /// What a file in pieces may replace, by its checksum, decided after all of it had arrived.
    pub replaces: Option<String>,
}

impl Item {
    pub fn new(id: u64, path: String, size: f64, state: State) -> Self {
        Self {
            id,
            path,
            name: String::new(),
            size,
            modified: None,
            sent: 0.0,
            state,
            base: Base::New,
            session: None,
            unsure: false,
            replaces: None,
        }
    }

    /// What of a file can be told from another one without reading it.
    pub fn of_file(self, file: &FileFacts) -> Self {
        Self { name: file.name.clone(), size: file.size, modified: Some(file.modified), ..self }
    }

    /// Why a chosen file is not the one that the upload began with, in a sentence: half of one and half of another would be a file that
    /// nobody ever had. `None` where it is the same as far as can be told.
    pub fn differs_from(&self, chosen: &FileFacts) -> Option<String> {
        let FileFacts { name, size, modified } = chosen;
        if self.size != *size {
            let (now, before) = (format::bytes(*size as i64), format::bytes(self.size as i64));
            return Some(format!("{name} has {now}, the upload began with {before}."));
        }
        if !self.name.is_empty() && self.name != *name {
            return Some(format!("{name} is another file; the upload began with {}.", self.name));
        }
        let changed = self.modified.is_some_and(|before| before != *modified);
        changed.then(|| format!("{name} was changed since the upload began with it. Cancel this upload to send it anew."))
    }
    pub fn is_small(&self) -> bool {
        self.size <= SMALL_MAX && self.session.is_none()
    }

    /// Whether nothing more happens to it without a person.
    pub fn is_settled(&self) -> bool {
        !matches!(self.state, State::Waiting | State::Sending | State::Lost(_))
    }

    /// Where it stands in the list: what asks for a decision first.
    pub fn rank(&self) -> u8 {
        match self.state {
            State::Exists(_) => 0,
            State::Failed(_) => 1,
            State::Missing(_) => 2,
            State::Sending | State::Lost(_) => 3,
            State::Paused => 4,
            State::Waiting => 5,
            State::Saved(_) => 6,
        }
    }
}

/// What the browser tells of a chosen file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileFacts {
    pub name: String,
    pub size: f64,
    /// In milliseconds since 1970.
    pub modified: f64,
}

/// A piecewise upload that the browser remembers over a reload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    pub id: UploadId,
    pub path: String,
    pub size: f64,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub modified: Option<f64>,
}

impl Remembered {
    /// An upload that could go on after a reload.
    pub fn of(item: &Item) -> Option<Self> {
        let id = item.session.filter(|_| !matches!(item.state, State::Saved(_)))?;
        Some(Self { id, path: item.path.clone(), size: item.size, name: item.name.clone(), modified: item.modified })
    }

    /// The upload, which waits for its file.
    pub fn into_item(self, id: u64) -> Item {
        let item = Item::new(id, self.path, self.size, State::Missing(None));
        Item { session: Some(self.id), name: self.name, modified: self.modified, ..item }
    }
}

/// The ids of the small files that go next, in one request.
pub fn next_batch(items: &[Item]) -> Vec<u64> {
    let mut bytes = 0.0;
    let waiting = items.iter().filter(|item| item.state == State::Waiting && item.is_small());
    waiting
        .take(BATCH_FILES)
        .take_while(|item| {
            bytes += item.size;
            bytes <= BATCH_BYTES
        })
        .map(|item| item.id)
        .collect()
}

/// The large file that goes next.
pub fn next_large(items: &[Item]) -> Option<u64> {
    items.iter().find(|item| item.state == State::Waiting && !item.is_small()).map(|item| item.id)
}

/// Where the next piece ends.
pub fn piece_end(received: f64, size: f64) -> f64 {
    (received + PIECE).min(size)
}

/// How much of each file has gone when `sent` bytes of all of them have, one after the other.
pub fn spread(sent: f64, sizes: &[f64]) -> Vec<f64> {
    let mut left = sent;
    let share = |size: &f64| {
        let part = left.clamp(0.0, *size);
        left -= part;
        part
    };
    sizes.iter().map(share).collect()
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    pub files: usize,
    pub saved: usize,
    pub bytes: f64,
    pub sent: f64,
    pub asking: usize,
    pub failed: usize,
    pub under_way: usize,
    pub paused: usize,
}

pub fn totals(items: &[Item]) -> Totals {
    let mut totals = Totals { files: items.len(), ..Totals::default() };
    for item in items {
        totals.bytes += item.size;
        totals.sent += item.sent.min(item.size);
        match item.state {
            State::Waiting | State::Sending | State::Lost(_) => totals.under_way += 1,
            State::Paused => totals.paused += 1,
            State::Saved(_) => totals.saved += 1,
            State::Exists(_) => totals.asking += 1,
            State::Failed(_) | State::Missing(_) => totals.failed += 1,
        }
    }
    totals
}

/// What the server's answer for one file makes of it. `me` is the person at this page: after a lost answer, a file of the same size that
/// they have saved next is this one.
pub fn take_outcome(item: &mut Item, outcome: BatchOutcome, me: UserId) {
    match outcome {
        BatchOutcome::Saved { entry } => {
            item.sent = item.size;
            item.state = State::Saved(Box::new(entry));
        }
        BatchOutcome::Conflict { current, .. } => take_conflict(item, current, me),
        BatchOutcome::Refused { reason, .. } => {
            item.sent = 0.0;
            item.state = State::Failed(reason);
        }
    }
}

/// Whether what is there now is what was sent when the answer was lost.
fn is_own(item: &Item, entry: &Entry, me: UserId) -> bool {
    let is_next = match item.base {
        Base::Version(before) => entry.version == before + 1,
        _ => true,
    };
    item.unsure && is_next && entry.size as f64 == item.size && entry.updated_by.as_ref().is_some_and(|by| by.id == me)
}

pub fn take_conflict(item: &mut Item, current: Option<Entry>, me: UserId) {
    match current {
        Some(entry) if is_own(item, &entry, me) => {
            item.sent = item.size;
            item.state = State::Saved(Box::new(entry));
        }
        current => {
            item.sent = 0.0;
            item.state = State::Exists(current.map(Box::new));
        }
    }
}

/// Takes the answer about a name that is taken, after which the file goes on; `free` finds a name beside a path. Answers what was sent so
/// far where it can't be used any more, since it was meant for something else.
pub fn take_answer(item: &mut Item, answer: Clash, free: impl FnOnce(&str) -> String) -> Option<UploadId> {
    let State::Exists(current) = &mut item.state else { return None };
    let mut unused = None;
    match answer {
        Clash::Skip => return None,
        Clash::Replace => {
            let (base, checksum) =
                current.take().map_or((Base::New, String::new()), |entry| (Base::Version(entry.version), entry.checksum));
            // All of it may be on the server already; it then only has to be told what it may replace.
            let keeps = item.session.is_some() && !checksum.is_empty();
            if !keeps {
                unused = item.session.take();
            }
            (item.base, item.replaces) = (base, Some(checksum).filter(|_| keeps));
        }
        Clash::KeepBoth => {
            unused = item.session.take();
            item.path = free(&item.path);
            (item.base, item.replaces) = (Base::New, None);
        }
    }
    (item.unsure, item.state) = (false, State::Waiting);
    unused
}

/// Takes the uploads of these ids off the list and answers them.
pub fn take_out(items: &mut Vec<Item>, ids: &BTreeSet<u64>) -> Vec<Item> {
    let (gone, kept) = std::mem::take(items).into_iter().partition(|item| ids.contains(&item.id));
    *items = kept;
    gone
}

/// Whether an answer says that trying again later may help. 0 is a connection that was lost.
pub fn is_passing(status: u16) -> bool {
    matches!(status, 0 | 408 | 429 | 502..=504)
}

/// Seconds until the next try after this many in a row.
pub fn wait_s(tries: u32, asked: Option<u32>) -> u32 {
    asked.unwrap_or(0).max(2_u32.saturating_pow(tries.min(5)).min(30))
}

/// Those of the empty folders that can still be made, when `conflicts` stand in the way of some, and what to say of the others. A folder
/// that is there by now needs no words.
pub fn folders_left(paths: Vec<String>, conflicts: &[PathConflict]) -> (Vec<String>, Vec<String>) {
    let left = paths.into_iter().filter(|path| !conflicts.iter().any(|conflict| conflict.path == *path)).collect();
    let is_there = |entry: &Entry| entry.kind == EntryKind::Directory;
    let told = conflicts.iter().filter(|conflict| !conflict.current.as_ref().is_some_and(is_there));
    (left, told.map(|conflict| format!("The empty folder {} was not made. {}", conflict.path, conflict.reason)).collect())
}

/// Whether a dropped path belongs to what version control keeps for itself.
pub fn is_left_out(path: &str) -> bool {
    path.split('/').any(wire::files::is_git)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::tree_model::tests::entry;

    fn item(id: u64, size: f64, state: State) -> Item {
        Item::new(id, format!("f{id}"), size, state)
    }

    #[test]
    fn small_files_go_together_and_large_ones_alone() {
        let mut items: Vec<Item> = (0..250).map(|id| item(id, 1000.0, State::Waiting)).collect();
        items[0].state = State::Paused;
        items[1].size = 9e6;
        let batch = next_batch(&items);
        assert_eq!((batch.len(), batch[0]), (BATCH_FILES, 2));
        assert_eq!(next_large(&items), Some(1));
        for item in &mut items {
            item.size = SMALL_MAX;
        }
        assert_eq!(next_batch(&items).len(), 4, "a request carries so many bytes at most");
        assert_eq!(next_large(&items), None);
    }

    #[test]
    fn pieces_cover_the_file() {
        let size = PIECE * 2.0 + 5.0;
        let mut at = 0.0;
        let mut ends = Vec::new();
        while at < size {
            at = piece_end(at, size);
            ends.push(at);
        }
        assert_eq!(ends, [PIECE, PIECE * 2.0, size]);
    }

    #[test]
    fn progress_is_spread_in_order() {
        assert_eq!(spread(120.0, &[100.0, 0.0, 50.0, 10.0]), [100.0, 0.0, 20.0, 0.0]);
        assert_eq!(spread(900.0, &[100.0]), [100.0], "what frames the parts does not count");
    }

    #[test]
    fn totals_tell_what_needs_a_person() {
        let items = [
            item(1, 10.0, State::Exists(None)),
            item(2, 10.0, State::Failed("no".into())),
            item(3, 10.0, State::Saved(Box::new(entry("a", EntryKind::File)))),
            item(4, 10.0, State::Lost(2)),
        ];
        let totals = totals(&items);
        assert_eq!((totals.asking, totals.failed, totals.saved, totals.under_way), (1, 1, 1, 1));
        assert!(items[0].rank() < items[1].rank() && items[3].rank() < items[2].rank());
    }

    fn person(digit: u8) -> UserId {
        format!("0000000000000000000000000000000{digit}").parse().unwrap()
    }

    #[test]
    fn a_lost_answer_does_not_ask_about_ones_own_file() {
        // Somebody else may be called the same.
        let by = |digit: u8| Some(wire::users::UserRef { id: person(digit), name: "Ada".to_owned() });
        let there = Entry { size: 10, version: 5, updated_by: by(1), ..entry("f1", EntryKind::File) };
        let taken = |item: &Item, there: &Entry| {
            let mut item = item.clone();
            take_conflict(&mut item, Some(there.clone()), person(1));
            matches!(item.state, State::Saved(_))
        };
        let sure = item(1, 10.0, State::Sending);
        assert!(!taken(&sure, &there));
        let unsure = Item { unsure: true, ..sure };
        assert!(taken(&unsure, &there));
        assert!(!taken(&unsure, &Entry { updated_by: by(2), ..there.clone() }));
        assert!(!taken(&unsure, &Entry { size: 11, ..there.clone() }));
        assert!(taken(&Item { base: Base::Version(4), ..unsure.clone() }, &there));
        assert!(!taken(&Item { base: Base::Version(3), ..unsure }, &there), "somebody was between");
    }

    #[test]
    fn only_the_file_that_an_upload_began_with_goes_on() {
        let facts = FileFacts { name: "disk.img".to_owned(), size: 9e6, modified: 1_700_000_000_123.0 };
        let begun = Item { session: Some("00000000000000000000000000000009".parse().unwrap()), ..item(1, 9e6, State::Sending) };
        let kept = serde_json::to_string(&Remembered::of(&begun.of_file(&facts)).unwrap()).unwrap();
        let again = serde_json::from_str::<Remembered>(&kept).unwrap().into_item(7);
        assert_eq!((again.id, &again.state), (7, &State::Missing(None)));
        assert_eq!(again.differs_from(&facts), None);
        let said = |facts: FileFacts| again.differs_from(&facts).unwrap();
        assert!(said(FileFacts { size: 8e6, ..facts.clone() }).contains("the upload began with"));
        assert!(said(FileFacts { name: "other.img".to_owned(), ..facts.clone() }).contains("another file"));
        assert!(said(FileFacts { modified: facts.modified + 1.0, ..facts.clone() }).contains("was changed since"));
        // Kept by a page that did not remember as much.
        let old = r#"{"id":"00000000-0000-0000-0000-000000000009","path":"disk.img","size":9000000.0}"#;
        assert_eq!(serde_json::from_str::<Remembered>(old).unwrap().into_item(8).differs_from(&facts), None);
        let saved = Item { state: State::Saved(Box::new(entry("a", EntryKind::File))), ..again };
        assert_eq!(Remembered::of(&saved), None);
    }

    #[test]
    fn an_answer_about_a_taken_name_sends_the_file_on() {
        let there = || State::Exists(Some(Box::new(Entry { version: 5, checksum: "abc".to_owned(), ..entry("f1", EntryKind::File) })));
        let session: UploadId = "00000000000000000000000000000009".parse().unwrap();
        let large = || Item { session: Some(session), unsure: true, ..item(1, 9e6, there()) };
        let free = |path: &str| format!("{path} (2)");
        let mut sent = large();
        assert_eq!(take_answer(&mut sent, Clash::Replace, free), None, "what has arrived is told what it may replace");
        assert_eq!((sent.base, sent.replaces.as_deref(), sent.session), (Base::Version(5), Some("abc"), Some(session)));
        assert_eq!((&sent.state, sent.unsure), (&State::Waiting, false));
        let mut beside = large();
        assert_eq!(take_answer(&mut beside, Clash::KeepBoth, free), Some(session));
        assert_eq!((beside.path.as_str(), beside.base, beside.session, &beside.state), ("f1 (2)", Base::New, None, &State::Waiting));
        let mut waiting = item(2, 1.0, State::Waiting);
        assert_eq!(take_answer(&mut waiting, Clash::KeepBoth, free), None);
        assert_eq!(waiting, item(2, 1.0, State::Waiting), "nothing was asked about it");
        let mut skipped = large();
        assert_eq!((take_answer(&mut skipped, Clash::Skip, free), skipped), (None, large()));
    }

    #[test]
    fn many_are_taken_out_at_once() {
        let mut items: Vec<Item> = (0..5).map(|id| item(id, 1.0, State::Waiting)).collect();
        let gone = take_out(&mut items, &BTreeSet::from([1, 3, 9]));
        let ids = |items: &[Item]| items.iter().map(|item| item.id).collect::<Vec<_>>();
        assert_eq!((ids(&gone), ids(&items)), (vec![1, 3], vec![0, 2, 4]));
    }

    #[test]
    fn folders_that_can_be_made_are_and_the_others_are_told() {
        let conflict = |path: &str, current: Option<Entry>| PathConflict { path: path.to_owned(), reason: "Taken.".to_owned(), current };
        let paths = ["a", "b", "c"].map(str::to_owned).to_vec();
        let conflicts = [conflict("a", Some(entry("a", EntryKind::File))), conflict("b", Some(entry("b", EntryKind::Directory)))];
        let (left, told) = folders_left(paths, &conflicts);
        assert_eq!((left, told), (vec!["c".to_owned()], vec!["The empty folder a was not made. Taken.".to_owned()]));
    }

    #[test]
    fn waiting_grows_and_ends() {
        assert_eq!((wait_s(1, None), wait_s(3, None), wait_s(40, None), wait_s(1, Some(60))), (2, 8, 30, 60));
        assert!(is_passing(0) && is_passing(503) && !is_passing(413));
        assert!(is_left_out("a/.git/config") && is_left_out(".Git/HEAD") && !is_left_out("a/.gitignore"));
    }
}
