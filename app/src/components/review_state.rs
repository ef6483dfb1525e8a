//! The decisions of a review before they are sent: marks on hunks, and what they add up to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::{
    HunkId,
    changes::{ChangeSet, ChangedFile, Decide, Hunk, HunkState},
};

/// What is meant to happen with a hunk; nothing is written until the marks are applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mark")]
pub enum Mark {
    Accept,
    Reject,
    Edit { text: String },
}

pub type Marks = BTreeMap<HunkId, Mark>;

/// Drops the marks of hunks that someone has decided meanwhile.
pub fn prune(marks: &mut Marks, set: &ChangeSet) {
    let open: Vec<HunkId> = hunks(set).filter(|hunk| hunk.state.is_open()).map(|hunk| hunk.id).collect();
    marks.retain(|id, _| open.contains(id));
}

/// The marks as one request.
pub fn to_request(marks: &Marks, reason: &str) -> Decide {
    let mut decide = Decide::default();
    for (id, mark) in marks {
        match mark {
            Mark::Accept => decide.accept.push(*id),
            Mark::Reject => decide.reject.push(*id),
            Mark::Edit { text } => {
                decide.edits.insert(*id, text.clone());
            }
        }
    }
    decide.reason = Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    decide
}

/// All hunks in the order they are shown.
pub fn hunks(set: &ChangeSet) -> impl Iterator<Item = &Hunk> {
    set.files.iter().flat_map(|file| &file.hunks)
}

/// How a hunk stands, mark or decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Open,
    Conflict,
    Accepted,
    Edited,
    Rejected,
}

impl Standing {
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Conflict)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Conflict => "Conflict",
            Self::Accepted => "Accepted",
            Self::Edited => "Edited, accepted",
            Self::Rejected => "Rejected",
        }
    }
}

pub fn standing(hunk: &Hunk, marks: &Marks) -> Standing {
    match (hunk.state, marks.get(&hunk.id)) {
        (HunkState::Accepted, _) => Standing::Accepted,
        (HunkState::Edited, _) => Standing::Edited,
        (HunkState::Rejected, _) => Standing::Rejected,
        (_, Some(Mark::Accept)) => Standing::Accepted,
        (_, Some(Mark::Edit { .. })) => Standing::Edited,
        (_, Some(Mark::Reject)) => Standing::Rejected,
        (HunkState::Conflict, None) => Standing::Conflict,
        (HunkState::Open, None) => Standing::Open,
    }
}

/// Counts for the summary bar and the list of files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    pub standings: Vec<Standing>,
}

impl Tally {
    pub fn of<'a>(hunks: impl Iterator<Item = &'a Hunk>, marks: &Marks) -> Self {
        Self { standings: hunks.map(|hunk| standing(hunk, marks)).collect() }
    }

    pub fn total(&self) -> usize {
        self.standings.len()
    }

    pub fn open(&self) -> usize {
        self.standings.iter().filter(|standing| standing.is_open()).count()
    }

    pub fn decided(&self) -> usize {
        self.total() - self.open()
    }

    pub fn all(&self, wanted: Standing) -> bool {
        !self.standings.is_empty() && self.standings.iter().all(|standing| *standing == wanted)
    }

    pub fn has(&self, wanted: Standing) -> bool {
        self.standings.contains(&wanted)
    }
}

/// The next hunk that waits for a decision after `from`, going round once.
pub fn next_open(set: &ChangeSet, marks: &Marks, from: Option<HunkId>) -> Option<HunkId> {
    let all: Vec<&Hunk> = hunks(set).collect();
    let start = from.and_then(|id| all.iter().position(|hunk| hunk.id == id)).map_or(0, |at| at + 1);
    let round = all[start.min(all.len())..].iter().chain(&all[..start.min(all.len())]);
    round.copied().find(|hunk| standing(hunk, marks).is_open()).map(|hunk| hunk.id)
}

/// The hunk before or after; stays at the ends.
pub fn neighbour(set: &ChangeSet, from: Option<HunkId>, forward: bool) -> Option<HunkId> {
    let all: Vec<HunkId> = hunks(set).map(|hunk| hunk.id).collect();
    let Some(at) = from.and_then(|id| all.iter().position(|known| *known == id)) else {
        return if forward { all.first() } else { all.last() }.copied();
    };
    let next = if forward { (at + 1).min(all.len() - 1) } else { at.saturating_sub(1) };
    Some(all[next])
}

/// Finds a hunk with its file, its place among all and their number.
pub fn find(set: &ChangeSet, id: HunkId) -> Option<(&ChangedFile, &Hunk, usize, usize)> {
    let total = hunks(set).count();
    let pairs = set.files.iter().flat_map(|file| file.hunks.iter().map(move |hunk| (file, hunk)));
    pairs.enumerate().find(|(_, (_, hunk))| hunk.id == id).map(|(at, (file, hunk))| (file, hunk, at + 1, total))
}

#[cfg(test)]
mod tests {
    use wire::{
        Micros,
        changes::{ChangeAction, ChangeSetState},
    };

    use super::*;

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(n: usize) -> T {
        format!("{n:032x}").parse().unwrap()
    }

    fn set(states: &[HunkState]) -> ChangeSet {
        let hunk = |(i, state): (usize, &HunkState)| Hunk {
            id: id(i + 1),
            old_start: 1,
            old_lines: 1,
            new_start: 1,
            new_lines: 1,
            diff: "-a\n+b\n".into(),
            state: *state,
            edited_text: None,
            reason: None,
            decided_by: None,
        };
        ChangeSet {
            change_set_id: id(100),
            turn_id: Some(id(101)),
            origin: Default::default(),
            title: String::new(),
            created_by: None,
            state: ChangeSetState::Open,
            base_revision: 1,
            created_at: Micros(0),
            files: vec![ChangedFile {
                path: "a".into(),
                action: ChangeAction::Modify,
                binary: false,
                added_lines: 1,
                removed_lines: 1,
                old_mode: None,
                new_mode: None,
                hunks: states.iter().enumerate().map(hunk).collect(),
            }],
        }
    }

    #[test]
    fn marks_become_one_request() {
        let marks = Marks::from([(id(1), Mark::Accept), (id(2), Mark::Reject), (id(3), Mark::Edit { text: "x".into() })]);
        let request = to_request(&marks, "  too clever ");
        assert_eq!((request.accept.len(), request.reject.len(), request.edits.len()), (1, 1, 1));
        assert_eq!(request.reason.as_deref(), Some("too clever"));
        assert!(request.validate().is_empty());
    }

    #[test]
    fn decided_hunks_lose_their_marks() {
        let set = set(&[HunkState::Open, HunkState::Accepted, HunkState::Conflict]);
        let mut marks = Marks::from([(id(1), Mark::Accept), (id(2), Mark::Reject), (id(3), Mark::Accept), (id(9), Mark::Accept)]);
        prune(&mut marks, &set);
        assert_eq!(marks.keys().copied().collect::<Vec<HunkId>>(), [id(1), id(3)]);
    }

    #[test]
    fn going_on_finds_what_is_open() {
        let set = set(&[HunkState::Open, HunkState::Rejected, HunkState::Conflict]);
        let mut marks = Marks::new();
        assert_eq!(next_open(&set, &marks, None), Some(id(1)));
        assert_eq!(next_open(&set, &marks, Some(id(1))), Some(id(3)));
        assert_eq!(next_open(&set, &marks, Some(id(3))), Some(id(1)), "goes round");
        marks.insert(id(1), Mark::Accept);
        marks.insert(id(3), Mark::Reject);
        assert_eq!(next_open(&set, &marks, Some(id(3))), None);
        let tally = Tally::of(hunks(&set), &marks);
        assert_eq!((tally.total(), tally.decided(), tally.open()), (3, 3, 0));
    }

    #[test]
    fn stepping_stops_at_the_ends() {
        let set = set(&[HunkState::Open, HunkState::Open]);
        assert_eq!(neighbour(&set, None, true), Some(id(1)));
        assert_eq!(neighbour(&set, Some(id(2)), true), Some(id(2)));
        assert_eq!(neighbour(&set, Some(id(1)), false), Some(id(1)));
        assert_eq!(find(&set, id(2)).map(|(_, _, at, of)| (at, of)), Some((2, 2)));
    }

    #[test]
    fn marks_survive_storage() {
        let marks = Marks::from([(id(1), Mark::Edit { text: "x\n".into() }), (id(2), Mark::Reject)]);
        let json = serde_json::to_string(&marks).unwrap();
        assert_eq!(serde_json::from_str::<Marks>(&json).unwrap(), marks);
    }
}
