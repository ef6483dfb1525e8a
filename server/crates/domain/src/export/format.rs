//! The archive of a project with its past, version 2: a zip file whose first entry is `cloudxdevai.json`.
//!
//! | entry | what |
//! |---|---|
//! | `cloudxdevai.json` | [`Header`]: which format this is, and the project's own facts |
//! | `files/<path>` | the files as they are at the header's revision, with their modes; symbolic links as such |
//! | `history/blobs/<sha256>` | content that a version, a change or a message needs and that no file above has; also that of paths too long for `files/` |
//! | `history/versions/00001.jsonl` … | every version of every path (`VersionLine`), those of one path in order and together |
//! | `history/checkpoints/…` | kept revisions (`CheckpointLine`) |
//! | `history/conversations/…`, `turns/…`, `messages/…` | the talk with the agent (`ConversationLine`, `TurnLine`, `MessageLine`) |
//! | `history/approvals/…`, `rewinds/…`, `undone/…` | questions about calls, what was taken back, summaries that were (`ApprovalLine`, `RewindLine`, `UndoneLine`) |
//! | `history/queued/…`, `pictures/…` | messages that wait to be sent, pictures of messages (`QueuedLine`, `PictureLine`) |
//! | `history/change_sets/…`, `change_files/…`, `change_hunks/…`, `comments/…` | what was proposed, decided and said about it (`ChangeSetLine`, `ChangeFileLine`, `HunkLine`, `CommentLine`) |
//! | `history/runs/…`, `output/…`, `reports/…`, `codegen/…`, `egress/…` | runs that have ended, what they printed, what their tests found, which turn they stand for, which hosts they asked for (`RunLine`, `OutputLine`, `ReportLine`, `CodegenLine`, `EgressLine`) |
//! | `history/rules/…`, `settings/…`, `budgets/…` | rules for the agent, test command and open hosts, limits of cost (`RuleLine`, `SettingsLine`, `BudgetLine`) |
//! | `history/calls/…` | what model calls used and cost (`CallLine`) |
//!
//! A `.jsonl` part holds one JSON object a line; the lines are the structs of `store::archive`, whose fields are only added to, never
//! renamed. Parts of a kind are read in the order of their numbers. Ids are those of the server that wrote the archive and get new
//! ones where it is read. People are named by their account's name and by how they are shown.
//!
//! What is read becomes an equal project, but for what must not act by itself where somebody else's archive is read:
//!
//! - Rules that *allow* the agent something, and hosts that runs may reach, are kept as waiting: they are listed and hold nothing until
//!   somebody makes them anew. Rules that ask or deny hold at once.
//! - Messages that wait to be sent belong to whoever imports, and begin only when a person sends them, not when a turn ends.
//! - Calls in the ledger count in what the project, its conversations and turns cost, and in no budget and no sum of a person or of the
//!   server. Budgets of the project and its conversations hold; what is used of them is counted from nothing.
//! - A turn at work when the archive was made has ended there. Whoever has no account by the name stays as text; conversations and turns
//!   of theirs are the importer's.
//!
//! Not in it: members, secrets, the values of a run's variables, terminals, runs and model calls that had not ended, pictures of drafts, the
//! events that open pages follow, and what administrators set. Conversations that were removed and can still be brought back are in it,
//! as removed, and so is the trash of files. Whoever may only look is told neither of removed conversations nor of costs, so
//! an archive of theirs has neither these nor budgets and calls.
//!
//! A reader refuses more than its server's limits and the constants below allow, a `version` above its own, and a file below `files/` that
//! has no current version. It ignores entries and fields that it does not know. Version 1 had only versions, checkpoints, conversations,
//! turns, messages, change sets, and runs with output and reports; it is read as an archive without the rest. A zip file without the first
//! entry is an ordinary archive of files.

use serde::{Deserialize, Serialize};
use wire::Micros;

pub const HEADER: &str = "cloudxdevai.json";
pub const FORMAT: &str = "cloudxdevai-project";
pub const VERSION: u32 = 2;
pub const FILES: &str = "files/";
pub const BLOBS: &str = "history/blobs/";
/// The header is small; a larger entry of its name is something else.
pub const HEADER_MAX: u64 = 64 * 1024;
/// A line of any part.
pub const LINE_MAX: u64 = 16 * 1024 * 1024;

// What no limit of projects counts has an end of its own. A reader refuses what is beyond it, so nothing is written that is: whatever was
// exported comes back where there is room for it.

/// Bytes of all lines together.
pub const LINES_MAX: u64 = 8 << 30;
/// Bytes of content that no version has: what was only proposed, and pictures.
pub const UNVERSIONED_MAX: u64 = 8 << 30;
/// Entries below [`BLOBS`].
pub const OLD_CONTENT_MAX: u64 = 2_000_000;
/// Entries that hold lines: more than [`LINES_MAX`] can make.
pub const PARTS_MAX: u64 = 10_000;
/// Lines of one kind, where a reader has to remember all of them.
pub const ROWS_MAX: usize = 2_000_000;

/// Bytes of all names below `files/`, which a reader holds in memory, where a project may have so many files.
pub fn names_max(files: u64) -> u64 {
    files.saturating_mul(128).max(64 * 1024 * 1024)
}

/// Whether an entry is content under its checksum. What the name says is not believed; it only can't be anything else.
pub fn is_old_content(entry: &str) -> bool {
    entry.strip_prefix(BLOBS).is_some_and(is_checksum)
}

/// SHA-256 in lower-case hex.
pub fn is_checksum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    pub version: u32,
    pub exported_at: Micros,
    pub project: ProjectFacts,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectFacts {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// The revision whose files are below `files/`; no version is newer.
    pub revision: i64,
}

/// The kinds of rows in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Versions,
    Checkpoints,
    Conversations,
    Turns,
    Messages,
    ChangeSets,
    ChangeFiles,
    ChangeHunks,
    Runs,
    Output,
    Reports,
    Approvals,
    Rewinds,
    Undone,
    Queued,
    Pictures,
    Comments,
    Codegen,
    Egress,
    Rules,
    Settings,
    Budgets,
    Calls,
}

/// Where the lines of all parts are.
pub const HISTORY: &str = "history/";

impl Part {
    pub fn folder(self) -> &'static str {
        match self {
            Self::Versions => "history/versions/",
            Self::Checkpoints => "history/checkpoints/",
            Self::Conversations => "history/conversations/",
            Self::Turns => "history/turns/",
            Self::Messages => "history/messages/",
            Self::ChangeSets => "history/change_sets/",
            Self::ChangeFiles => "history/change_files/",
            Self::ChangeHunks => "history/change_hunks/",
            Self::Runs => "history/runs/",
            Self::Output => "history/output/",
            Self::Reports => "history/reports/",
            Self::Approvals => "history/approvals/",
            Self::Rewinds => "history/rewinds/",
            Self::Undone => "history/undone/",
            Self::Queued => "history/queued/",
            Self::Pictures => "history/pictures/",
            Self::Comments => "history/comments/",
            Self::Codegen => "history/codegen/",
            Self::Egress => "history/egress/",
            Self::Rules => "history/rules/",
            Self::Settings => "history/settings/",
            Self::Budgets => "history/budgets/",
            Self::Calls => "history/calls/",
        }
    }

    /// Whether a reader has to remember every line of it, and takes at most [`ROWS_MAX`].
    pub fn is_remembered(self) -> bool {
        !matches!(self, Self::Versions | Self::ChangeFiles | Self::Messages | Self::Output)
    }

    /// The entry that holds the part with a number from 1.
    pub fn entry(self, number: u32) -> String {
        format!("{}{number:05}.jsonl", self.folder())
    }
}

/// A project's name as any system takes it for the name of a file.
pub fn plain_name(name: &str) -> String {
    let plain: String = name.trim().chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }).collect();
    let plain = plain.trim_matches(['-', '.']);
    if plain.is_empty() { "project".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_plain() {
        assert_eq!(plain_name("Tally (sample)"), "Tally--sample");
        assert_eq!(plain_name("../../etc"), "etc");
        assert_eq!(plain_name(" ... "), "project");
        assert_eq!(plain_name("Größe 2.0"), "Größe-2.0");
        assert!(wire::files::check_path(&plain_name("a/b\\c:\u{202e}d")).is_ok());
    }

    #[test]
    fn parts_are_paths_that_an_archive_may_have() {
        assert_eq!(Part::ChangeHunks.entry(12), "history/change_hunks/00012.jsonl");
        assert!(wire::files::check_path(&Part::Output.entry(1)).is_ok());
    }
}
