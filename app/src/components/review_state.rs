//! The decisions of a review before they are sent: marks on hunks, and what they add up to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wire::{
    HunkId, UserId,
    changes::{ChangeSet, ChangedFile, Decide, Hunk, HunkState},
};

/// What is meant to happen with a hunk; nothing is written until the marks are applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mark")]
pub enum Mark {
    Accept,
    Reject {
        /// Why, for the agent; empty where nothing was said.
        #[serde(default)]
        reason: String,
    },
    /// Only these of the changed lines are taken.
    Lines {
        lines: BTreeSet<u32>,
    },
    Edit {
        text: String,
        /// What it replaces in the project, where the hunk was in conflict.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<String>,
    },
}

impl Mark {
    pub fn reject() -> Self {
        Self::Reject { reason: String::new() }
    }

    pub fn is_reject(&self) -> bool {
        matches!(self, Self::Reject { .. })
    }

    /// As a result, for a sentence.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Accept => "accepted",
            Self::Reject { .. } => "rejected",
            Self::Lines { .. } => "taken in part",
            Self::Edit { .. } => "edited and accepted",
        }
    }
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
            Mark::Reject { reason } => {
                decide.reject.push(*id);
                if !reason.trim().is_empty() {
                    decide.reasons.insert(*id, reason.trim().to_owned());
                }
            }
            Mark::Lines { lines } => {
                decide.lines.insert(*id, lines.iter().copied().collect());
            }
            Mark::Edit { text, seen } => {
                decide.edits.insert(*id, text.clone());
                if let Some(seen) = seen {
                    decide.seen.insert(*id, seen.clone());
                }
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
        (_, Some(Mark::Edit { .. } | Mark::Lines { .. })) => Standing::Edited,
        (_, Some(Mark::Reject { .. })) => Standing::Rejected,
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

/// Where each hunk of a set is, so that one is found without going through all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    /// File, hunk in it, and the count of all before.
    of: BTreeMap<HunkId, (usize, usize, usize)>,
    files: BTreeMap<String, usize>,
}

impl Places {
    pub fn of(set: &ChangeSet) -> Self {
        let pairs = set.files.iter().enumerate().flat_map(|(file, changed)| (0..changed.hunks.len()).map(move |hunk| (file, hunk)));
        let of = pairs.enumerate().map(|(count, (file, hunk))| (set.files[file].hunks[hunk].id, (file, hunk, count))).collect();
        Self { of, files: set.files.iter().enumerate().map(|(at, file)| (file.path.clone(), at)).collect() }
    }

    /// The hunks of all files.
    pub fn count(&self) -> usize {
        self.of.len()
    }

    /// A hunk with its file, its place among all, counted from 1, and their number.
    pub fn find<'a>(&self, set: &'a ChangeSet, id: HunkId) -> Option<(&'a ChangedFile, &'a Hunk, usize, usize)> {
        let (file, hunk, count) = self.of.get(&id)?;
        let file = set.files.get(*file)?;
        let hunk = file.hunks.get(*hunk).filter(|hunk| hunk.id == id)?;
        Some((file, hunk, count + 1, self.of.len()))
    }

    pub fn file<'a>(&self, set: &'a ChangeSet, path: &str) -> Option<&'a ChangedFile> {
        set.files.get(*self.files.get(path)?).filter(|file| file.path == path)
    }
}

/// What other people decided between two states of a set, in sentences; `mine` are the marks that were dropped by that.
pub fn news(before: &ChangeSet, after: &ChangeSet, me: UserId, mine: &Marks) -> Option<String> {
    let known: BTreeMap<HunkId, HunkState> = hunks(before).map(|hunk| (hunk.id, hunk.state)).collect();
    let mut by: BTreeMap<UserId, (String, [usize; 4])> = BTreeMap::new();
    let mut dropped = 0;
    for hunk in hunks(after) {
        let Some(person) = hunk.decided_by.as_ref().filter(|person| person.id != me) else { continue };
        if known.get(&hunk.id).is_none_or(|state| *state == hunk.state) {
            continue;
        }
        let column = match hunk.state {
            HunkState::Accepted => 0,
            HunkState::Edited => 1,
            HunkState::Rejected => 2,
            HunkState::Conflict => 3,
            HunkState::Open => continue,
        };
        by.entry(person.id).or_insert_with(|| (person.name.clone(), [0; 4])).1[column] += 1;
        dropped += usize::from(!hunk.state.is_open() && mine.contains_key(&hunk.id));
    }
    let sentence = |(name, counts): &(String, [usize; 4])| {
        let words = ["accepted", "edited", "rejected", "no longer fits"];
        let parts: Vec<String> = counts.iter().zip(words).filter(|(n, _)| **n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        let total: usize = counts.iter().sum();
        format!("{name} decided {}: {}.", if total == 1 { "1 hunk".to_owned() } else { format!("{total} hunks") }, parts.join(", "))
    };
    let mut text = by.values().map(sentence).collect::<Vec<_>>().join(" ");
    match dropped {
        0 => {}
        1 => text.push_str(" 1 mark of yours is gone."),
        n => text.push_str(&format!(" {n} marks of yours are gone.")),
    }
    (!text.is_empty()).then_some(text)
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
            now: None,
        };
        ChangeSet {
            change_set_id: id(100),
            turn_id: Some(id(101)),
            origin: Default::default(),
            title: String::new(),
            created_by: None,
            run_id: None,
            state: ChangeSetState::Open,
            base_revision: 1,
            created_at: Micros(0),
            files: vec![ChangedFile {
                path: "a".into(),
                old_path: None,
                action: ChangeAction::Modify,
                binary: false,
                link: false,
                directory: false,
                added_lines: 1,
                removed_lines: 1,
                old_mode: None,
                new_mode: None,
                hunks: states.iter().enumerate().map(hunk).collect(),
            }],
            comments: Vec::new(),
        }
    }

    #[test]
    fn marks_become_one_request() {
        let marks = Marks::from([
            (id(1), Mark::Accept),
            (id(2), Mark::reject()),
            (id(3), Mark::Edit { text: "x".into(), seen: Some("theirs\n".into()) }),
            (id(4), Mark::Lines { lines: BTreeSet::from([1, 3]) }),
            (id(5), Mark::Reject { reason: " not this one ".into() }),
        ]);
        let request = to_request(&marks, "  too clever ");
        assert_eq!((request.accept.len(), request.reject.len(), request.edits.len()), (1, 2, 1));
        assert_eq!(request.seen, BTreeMap::from([(id(3), "theirs\n".to_owned())]));
        assert_eq!(request.lines, BTreeMap::from([(id(4), vec![1, 3])]));
        assert_eq!((request.reason_of(id(2)), request.reason_of(id(5))), (Some("too clever"), Some("not this one")));
        assert!(request.validate().is_empty());
    }

    #[test]
    fn decided_hunks_lose_their_marks() {
        let set = set(&[HunkState::Open, HunkState::Accepted, HunkState::Conflict]);
        let mut marks = Marks::from([(id(1), Mark::Accept), (id(2), Mark::reject()), (id(3), Mark::Accept), (id(9), Mark::Accept)]);
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
        marks.insert(id(3), Mark::reject());
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
        let places = Places::of(&set);
        assert_eq!(places.find(&set, id(2)).map(|(_, _, at, of)| (at, of)), Some((2, 2)));
        assert!(places.find(&set, id(3)).is_none() && places.file(&set, "a").is_some());
    }

    #[test]
    fn marks_survive_storage() {
        let marks = Marks::from([(id(1), Mark::Edit { text: "x\n".into(), seen: None }), (id(2), Mark::reject())]);
        let json = serde_json::to_string(&marks).unwrap();
        assert_eq!(serde_json::from_str::<Marks>(&json).unwrap(), marks);
    }

    #[test]
    fn what_others_decided_is_told() {
        let before = set(&[HunkState::Open, HunkState::Open, HunkState::Open, HunkState::Rejected]);
        let mut after = set(&[HunkState::Accepted, HunkState::Rejected, HunkState::Open, HunkState::Rejected]);
        let by = |n, name: &str| Some(wire::users::UserRef { id: id(n), name: name.into() });
        for (hunk, by) in after.files[0].hunks.iter_mut().zip([by(7, "Priya"), by(7, "Priya"), None, by(8, "Jonas")]) {
            hunk.decided_by = by;
        }
        let mine = Marks::from([(id(2), Mark::Accept)]);
        assert_eq!(
            news(&before, &after, id(5), &mine).as_deref(),
            Some("Priya decided 2 hunks: 1 accepted, 1 rejected. 1 mark of yours is gone.")
        );
        assert_eq!(news(&before, &after, id(7), &mine), None, "one's own decisions are no news");
        assert_eq!(news(&after, &after, id(5), &mine), None);
    }
}
