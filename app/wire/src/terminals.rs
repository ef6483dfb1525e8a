//! Terminals: runs of kind `terminal`, with a keyboard. Binary frames of the socket are bytes in both directions, text frames are the
//! two control types below.

use serde::{Deserialize, Serialize};

use crate::{Micros, ProjectId, RunId, runs::Exit, users::UserRef};

/// Bytes of output that a terminal remembers for those who come back.
pub const SCROLLBACK: u64 = 1024 * 1024;
pub const TITLE_MAX_CHARS: usize = 60;
pub const SIZE_MAX: u16 = 1000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OpenTerminal {
    pub cols: u16,
    pub rows: u16,
    /// "Terminal 2" and so on when it is missing.
    #[serde(default)]
    pub title: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RenameTerminal {
    pub title: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TerminalState {
    Starting,
    Open,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Terminal {
    pub id: RunId,
    pub project_id: ProjectId,
    pub title: String,
    pub state: TerminalState,
    /// How it ended; its sentence says plainly when a terminal did not outlive its server.
    pub exit: Option<Exit>,
    pub tier: Option<String>,
    pub opened_by: UserRef,
    pub created_at: Micros,
    pub finished_at: Option<Micros>,
}

/// From the browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum TerminalControl {
    Resize {
        cols: u16,
        rows: u16,
    },
    /// How many bytes of output were taken in since the last one.
    Ack {
        bytes: u64,
    },
}

/// To the browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum TerminalNotice {
    /// First frame: the next binary frame begins at byte `offset` of the terminal's output. With `fresh` what the browser still shows is
    /// too old to go on from, and has to be cleared.
    Hello { offset: u64, fresh: bool, cols: u16, rows: u16 },
    /// Output that this reader was too slow for.
    Dropped { bytes: u64 },
    /// Another reader changed the size.
    Resized { cols: u16, rows: u16 },
    /// Nobody has typed for long: it closes after so many seconds.
    Idle { closes_in_s: u32 },
    /// Something about the project's files that its people should know, in a sentence.
    Notice { text: String },
    /// Last frame.
    Closed { sentence: String },
}
