//! Ids are UUIDv7 behind newtypes, so that a run can't be passed where a project is meant.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

id! {
    UserId,
    SessionId,
    LinkId,
    ProjectId,
    RunId,
    JobId,
    ConversationId,
    MessageId,
    TurnId,
    ChangeSetId,
    HunkId,
    ReviewCommentId,
    UploadId,
    CheckpointId,
    InvitationId,
    ExportId,
    RewindId,
    QueuedPromptId,
    PermissionRuleId,
    BudgetId,
    /// One model call in the ledger, from its reservation on.
    ReservationId,
    ProviderId,
    ModelId,
    ModelVersionId,
    McpServerId,
    PasskeyId,
    TokenId,
    IdentityId,
}
