//! Who may enter a project, and who is in it now.

use serde::{Deserialize, Serialize};

use crate::{InvitationId, Micros, UserId, projects::ProjectRole, users::UserRef};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Member {
    pub user: UserRef,
    /// The name that people are invited by.
    pub username: String,
    pub role: ProjectRole,
    /// The project counts towards this owner's quota; exactly one member.
    pub holds_quota: bool,
    pub since: Micros,
}

/// Waits until somebody proves that the address is theirs, or an owner lets in who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Invitation {
    pub id: InvitationId,
    pub email: String,
    pub role: ProjectRole,
    pub invited_by: Option<UserRef>,
    pub created_at: Micros,
    /// Whose account has the address, without a proof of it. Making this account a member takes the invitation up.
    #[serde(default)]
    pub account: Option<InvitedAccount>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct InvitedAccount {
    pub user: UserRef,
    pub username: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Members {
    /// Owners first, then by name.
    pub items: Vec<Member>,
    /// Told to owners only; empty for everybody else.
    #[serde(default)]
    pub invitations: Vec<Invitation>,
}

/// Invites by user name or e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Invite {
    pub who: String,
    pub role: ProjectRole,
}

/// What became of an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Invited {
    /// The person has an account and is a member now.
    Joined { member: Member },
    /// Nobody has an account with that address yet, or nobody who has proved that it is theirs.
    Pending { invitation: Invitation },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ChangeMember {
    pub role: ProjectRole,
}

/// Hands the project, and what it takes of the quota, to another member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TransferProject {
    pub to: UserId,
}
