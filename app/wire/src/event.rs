//! The one event log that everything streams from.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    ChangeSetId, CheckpointId, ConversationId, JobId, Micros, PermissionRuleId, ProjectId, QueuedPromptId, RewindId, RunId, TurnId, UserId,
    budgets::{BudgetScope, Period},
    changes::ChangeSetState,
    chat::{Approval, TurnReason, TurnState},
    files::{EntryKind, FileAction, Origin},
    jobs::{JobState, Progress},
    previews::RunPort,
    runs::{Exit, RunState, RunUsage},
    terminals::TerminalState,
    users::UserRef,
};

/// Where an event belongs. Its text form (`run:0192…`) is what URLs and the log use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    Project(ProjectId),
    Run(RunId),
    Turn(TurnId),
    Conversation(ConversationId),
    User(UserId),
    Job(JobId),
    Admin,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(id) => write!(f, "project:{id}"),
            Self::Run(id) => write!(f, "run:{id}"),
            Self::Turn(id) => write!(f, "turn:{id}"),
            Self::Conversation(id) => write!(f, "conversation:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Job(id) => write!(f, "job:{id}"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

/// The text names no stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAStream;

impl fmt::Display for NotAStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of a stream")
    }
}

impl std::error::Error for NotAStream {}

impl FromStr for Stream {
    type Err = NotAStream;

    fn from_str(text: &str) -> Result<Self, NotAStream> {
        if text == "admin" {
            return Ok(Self::Admin);
        }
        let (kind, id) = text.split_once(':').ok_or(NotAStream)?;
        let id: uuid::Uuid = id.parse().map_err(|_| NotAStream)?;
        Ok(match kind {
            "project" => Self::Project(id.into()),
            "run" => Self::Run(id.into()),
            "turn" => Self::Turn(id.into()),
            "conversation" => Self::Conversation(id.into()),
            "user" => Self::User(id.into()),
            "job" => Self::Job(id.into()),
            _ => return Err(NotAStream),
        })
    }
}

impl Serialize for Stream {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
impl schemars::JsonSchema for Stream {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Stream".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "A kind and the id of one, as in `project:01a2…`; or `admin`." })
    }
}

/// `seq` counts 1, 2, 3 … per stream. A reader sees them without a gap, but for output that [`EventKind::OutputDropped`] stands for and for
/// what [`EventKind::StartOver`] does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Event {
    pub stream: Stream,
    pub seq: i64,
    pub at: Micros,
    #[serde(flatten)]
    pub kind: EventKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OutputChannel {
    Stdout,
    Stderr,
    Pty,
}

/// Declares the kinds of events, and how one is read: the fields of each by a function of its own. As one function, which is what
/// deriving makes of it, they are the longest of the browser's half, of which a page needs a few.
macro_rules! kinds {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$kind_meta:meta])* $kind:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? }),* $(,)?
        }
    ) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$kind_meta])* $kind { $($(#[$field_meta])* $field: $type),* }),*
        }

        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Kind {
            $($(#[$kind_meta])* $kind),*
        }

        mod fields {
            use super::*;

            $(#[derive(Deserialize)]
            pub(super) struct $kind { $($(#[$field_meta])* pub(super) $field: $type),* })*
        }

        impl $name {
            fn read(kind: Value, said: Map<String, Value>) -> Result<Self, serde_json::Error> {
                Ok(match serde_json::from_value(kind)? {
                    $(Kind::$kind => {
                        let fields::$kind { $($field),* } = read_fields(said)?;
                        Self::$kind { $($field),* }
                    })*
                })
            }
        }
    };
}

#[inline(never)]
fn read_fields<T: DeserializeOwned>(said: Map<String, Value>) -> Result<T, serde_json::Error> {
    serde_json::from_value(Value::Object(said))
}

fn take(said: &mut Map<String, Value>, name: &'static str) -> Result<Value, serde_json::Error> {
    said.remove(name).ok_or_else(|| de::Error::missing_field(name))
}

kinds! {
    #[derive(Debug, Clone, PartialEq, Serialize)]
    #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
    #[serde(rename_all = "snake_case", tag = "kind")]
    pub enum EventKind {
        // project:{id}
        FileChanged {
            path: String,
            action: FileAction,
            version: i64,
            checksum: String,
            origin: Origin,
            by: Option<UserRef>,
            revision: i64,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            moved_from: Option<String>,
            /// What is there now, as the fields after it; absent of deletions and in events from before these were told.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            entry_kind: Option<EntryKind>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            size: Option<i64>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            mode: Option<i32>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            content_type: Option<String>,
        },
        /// More files changed at once than are worth listing: read the tree again.
        TreeChanged {
            revision: i64,
            by: Option<UserRef>,
        },
        RunChanged {
            run_id: RunId,
            state: RunState,
        },
        TerminalChanged {
            run_id: RunId,
            state: TerminalState,
        },
        ChangeSetChanged {
            change_set_id: ChangeSetId,
            /// `None` where no turn made it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            turn_id: Option<TurnId>,
            state: ChangeSetState,
            open_hunks: i64,
        },
        ConversationChanged {
            conversation_id: ConversationId,
        },
        ProjectChanged {},
        CheckpointCreated {
            checkpoint_id: CheckpointId,
            revision: i64,
        },
        /// Checkpoints were renamed or removed.
        CheckpointsChanged {},
        #[serde(rename = "member_changed", alias = "members_changed")]
        MembersChanged {},
        /// An administrator opened the project to read it, or closed it again.
        AdminAccessChanged {},
        /// A person made a rule of what the agent may do here.
        PermissionAdded {
            rule_id: PermissionRuleId,
            by: UserRef,
        },
        PermissionRevoked {
            rule_id: PermissionRuleId,
            by: UserRef,
        },
        /// Who has the project open now.
        #[serde(rename = "presence", alias = "presence_changed")]
        PresenceChanged {
            people: Vec<UserRef>,
        },

        // run:{id}
        RunQueued {},
        RunStarted {
            tier: String,
        },
        /// `data` is base64; `offset` counts bytes of the whole run, over all channels.
        Output {
            channel: OutputChannel,
            offset: i64,
            data: String,
        },
        /// Output that this reader does not get, since it came faster than one reader is sent or is older than late ones are sent. Its `seq` is
        /// that of the last piece left out; the `offset` of the next piece says where the output goes on. All of it is stored.
        OutputDropped {
            bytes: i64,
        },
        /// Used since the start, and held now.
        RunSampled {
            cpu_ms: i64,
            memory_bytes: i64,
        },
        PortsChanged {
            ports: Vec<RunPort>,
        },
        /// A connection that the run asked for through the proxy.
        EgressAsked {
            host: String,
            port: u16,
            allowed: bool,
            reason: String,
        },
        /// Something its people should know while it goes on, in a sentence.
        RunNoted {
            text: String,
        },
        RunFinished {
            state: RunState,
            exit: Exit,
            usage: RunUsage,
        },

        // turn:{id}
        TurnStarted {
            model: String,
        },
        /// A job took the turn up again after an approval or after the server had gone; text streamed since the last complete
        /// step (`from_message` is the number of complete messages) is void and comes again.
        TurnResumed {
            from_message: i64,
        },
        TextDelta {
            text: String,
        },
        ReasoningDelta {
            text: String,
        },
        ToolCalled {
            call_id: String,
            name: String,
            arguments: String,
        },
        ApprovalAsked {
            call_id: String,
            name: String,
            arguments: String,
        },
        ApprovalAnswered {
            call_id: String,
            decision: Approval,
            by: UserRef,
        },
        /// Output of a running tool; `run_id` names the stream that has all of it.
        ToolOutput {
            call_id: String,
            run_id: Option<RunId>,
            text: String,
        },
        ToolFinished {
            call_id: String,
            ok: bool,
            summary: String,
        },
        /// `model` goes on in place of `from`, which is empty in events of older versions.
        ModelSwitched {
            #[serde(default)]
            from: String,
            model: String,
            reason: String,
        },
        /// What one model call used, to be added up. Tokens and cost may come in events of their own.
        Usage {
            input: i64,
            output: i64,
            cached: i64,
            /// Micro-US-dollars.
            #[serde(default, rename = "cost", alias = "cost_micros")]
            cost_micros: i64,
            /// The provider did not count; we did.
            #[serde(default)]
            estimated: bool,
        },
        ChangeSetReady {
            change_set_id: ChangeSetId,
            files: i64,
            hunks: i64,
        },
        TurnFinished {
            reason: TurnReason,
            detail: String,
        },

        // conversation:{id}
        TurnQueued {
            turn_id: TurnId,
        },
        TurnChanged {
            turn_id: TurnId,
            state: TurnState,
        },
        MessageAdded {
            seq: i64,
        },
        /// The message `message_seq` is a summary that stands for those up to `upto_seq` from now on.
        ContextCompacted {
            message_seq: i64,
            upto_seq: i64,
            tokens_before: i64,
            tokens_after: i64,
        },
        /// A summary was taken back, or put in force again.
        CompactionChanged {
            message_seq: i64,
            undone: bool,
        },
        PromptQueued {
            prompt_id: QueuedPromptId,
        },
        /// A prompt of the queue was written anew or moved to its front.
        PromptChanged {
            prompt_id: QueuedPromptId,
        },
        PromptRemoved {
            prompt_id: QueuedPromptId,
        },
        /// Told right before the turn that it became.
        PromptStarted {
            prompt_id: QueuedPromptId,
        },
        /// The queue does not go on by itself.
        QueueHeld {
            reason: String,
        },
        /// The model no longer sees these messages, or files are as they were before the turn, or both.
        ConversationRewound {
            rewind_id: RewindId,
            turn_id: TurnId,
            from_seq: i64,
            upto_seq: i64,
            chat: bool,
            files: bool,
            by: Option<UserRef>,
        },
        RewindUndone {
            rewind_id: RewindId,
            by: Option<UserRef>,
        },
        /// Another conversation begins with the messages of this one up to `seq`.
        ConversationForked {
            into: ConversationId,
            seq: i64,
        },

        // job:{id}, user:{id}, admin
        JobChanged {
            job_id: JobId,
            state: JobState,
            progress: Progress,
            error: Option<String>,
        },
        SessionEnded {},
        /// An administrator opened a project of this person's to read it.
        ProjectOpened {
            project_id: ProjectId,
            project: String,
            by: UserRef,
            reason: String,
            until: Micros,
        },
        /// A session of the person was ended; others go on.
        SessionsChanged {},
        /// Providers or models were added, changed or removed.
        ModelsChanged {},
        /// Servers with tools for the agent were added, changed or removed.
        McpServersChanged {},
        /// The person's own model keys were changed.
        OwnKeysChanged {},
        /// So much of a budget is used, or a call did not fit into it any more; once for each share and period.
        BudgetNotice {
            scope: BudgetScope,
            /// The person, project or conversation that the budget is of.
            #[serde(default)]
            subject: Option<uuid::Uuid>,
            period: Period,
            percent: i64,
            /// For people: which budget, what is left, who can raise it.
            sentence: String,
        },
        /// Some of what came after the number that the reader named is forgotten: read everything again. Its `seq` is that of the last event
        /// so far, and the next ones follow on it.
        StartOver {},
        /// The reader may not follow this stream any more. It has no number in the log and is the stream's last event.
        AccessEnded {},
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut said = Map::deserialize(deserializer)?;
        take(&mut said, "kind").and_then(|kind| Self::read(kind, said)).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |mut said: Map<String, Value>| {
            let [stream, seq, at, kind] = ["stream", "seq", "at", "kind"].map(|name| take(&mut said, name));
            Ok(Self {
                stream: serde_json::from_value(stream?)?,
                seq: serde_json::from_value(seq?)?,
                at: serde_json::from_value(at?)?,
                kind: EventKind::read(kind?, said)?,
            })
        };
        read(Map::deserialize(deserializer)?).map_err(|error: serde_json::Error| de::Error::custom(error))
    }
}

impl EventKind {
    /// The bytes of the run's output that this event holds.
    pub fn output_range(&self) -> Option<std::ops::Range<i64>> {
        let Self::Output { offset, data, .. } = self else { return None };
        let padding = data.bytes().rev().take_while(|byte| *byte == b'=').count();
        let bytes = (data.len() / 4 * 3).saturating_sub(padding);
        Some(*offset..*offset + bytes as i64)
    }

    /// After this event nothing more comes on its stream.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::RunFinished { .. } | Self::TurnFinished { .. } => true,
            Self::JobChanged { state, .. } => state.is_finished(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(kind: Value) -> Result<Event, serde_json::Error> {
        let mut said = json!({ "stream": format!("turn:{}", uuid::Uuid::nil()), "seq": 3, "at": Micros(5) });
        said.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        serde_json::from_value(said)
    }

    #[test]
    fn events_come_back_as_they_were_written() {
        let person = UserRef { id: UserId(uuid::Uuid::nil()), name: "Ada".to_owned() };
        for kind in [
            EventKind::SessionEnded {},
            EventKind::StartOver {},
            EventKind::TextDelta { text: "é".to_owned() },
            EventKind::OutputDropped { bytes: i64::MAX },
            EventKind::PresenceChanged { people: vec![person] },
            EventKind::FileChanged {
                path: "bin/up".to_owned(),
                action: FileAction::Added,
                version: 1,
                checksum: "c".to_owned(),
                origin: Origin::Person,
                by: None,
                revision: 7,
                moved_from: None,
                entry_kind: Some(EntryKind::Symlink),
                size: Some(4),
                mode: Some(0o644),
                content_type: Some("inode/symlink".to_owned()),
            },
            EventKind::Usage { input: 1, output: 2, cached: 0, cost_micros: 7, estimated: true },
            EventKind::ChangeSetChanged {
                change_set_id: ChangeSetId(uuid::Uuid::nil()),
                turn_id: None,
                state: ChangeSetState::Open,
                open_hunks: 2,
            },
        ] {
            let event = Event { stream: Stream::Admin, seq: 9, at: Micros(11), kind };
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
            let text = serde_json::to_string(&event.kind).unwrap();
            assert_eq!(serde_json::from_str::<EventKind>(&text).unwrap(), event.kind, "{text}");
        }
    }

    #[test]
    fn older_names_are_read_and_what_is_new_is_passed_over() {
        let usage = read(json!({ "kind": "usage", "input": 1, "output": 2, "cached": 3, "cost_micros": 4, "shade": "blue" })).unwrap();
        assert_eq!(usage.kind, EventKind::Usage { input: 1, output: 2, cached: 3, cost_micros: 4, estimated: false });
        assert_eq!(usage.seq, 3);
        let change = json!({
            "kind": "file_changed", "path": "a", "action": "modified", "version": 2, "checksum": "c", "origin": "person", "by": null,
            "revision": 7
        });
        let EventKind::FileChanged { entry_kind, size, mode, content_type, .. } = read(change).unwrap().kind else { panic!() };
        assert_eq!((entry_kind, size, mode, content_type), (None, None, None, None), "from before these were told");
        assert_eq!(read(json!({ "kind": "members_changed" })).unwrap().kind, EventKind::MembersChanged {});
    }

    #[test]
    fn what_is_missing_or_unknown_is_said() {
        let error = |kind| read(kind).unwrap_err().to_string();
        assert!(error(json!({ "kind": "danced" })).contains("danced"));
        assert!(error(json!({ "text": "t" })).contains("`kind`"));
        assert!(error(json!({ "kind": "text_delta" })).contains("`text`"));
    }
}
