//! What happened that somebody may have to answer for. Entries are only ever added, and each holds the hash of the one before it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Micros, ProjectId, UserId};

macro_rules! actions {
    ($($name:ident $word:literal),+ $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum AuditAction {
            $($name,)+
        }

        impl AuditAction {
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As in JSON and in the database.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

actions! {
    SignedIn "signed_in",
    SignInRefused "sign_in_refused",
    SignedOut "signed_out",
    SessionRevoked "session_revoked",
    AllSessionsRevoked "all_sessions_revoked",
    RefreshReused "refresh_reused",
    AccountCreated "account_created",
    AccountChanged "account_changed",
    AccountDisabled "account_disabled",
    AccountEnabled "account_enabled",
    RoleChanged "role_changed",
    AccountDeleted "account_deleted",
    AccountExported "account_exported",
    PasswordChanged "password_changed",
    PasswordResetAsked "password_reset_asked",
    PasswordReset "password_reset",
    ResetLinkMade "reset_link_made",
    InvitationMade "invitation_made",
    InvitationRevoked "invitation_revoked",
    SecondFactorEnabled "second_factor_enabled",
    SecondFactorDisabled "second_factor_disabled",
    SecondFactorRefused "second_factor_refused",
    RecoveryCodesMade "recovery_codes_made",
    RecoveryCodeUsed "recovery_code_used",
    PasskeyAdded "passkey_added",
    PasskeyRemoved "passkey_removed",
    IdentityLinked "identity_linked",
    IdentityUnlinked "identity_unlinked",
    TokenMade "token_made",
    TokenRevoked "token_revoked",
    AccessRefused "access_refused",
    SettingsChanged "settings_changed",
    QuotaChanged "quota_changed",
    BudgetChanged "budget_changed",
    ModelProviderChanged "model_provider_changed",
    ModelChanged "model_changed",
    ModelKeyChanged "model_key_changed",
    ToolServerChanged "tool_server_changed",
    JobCancelled "job_cancelled",
    JobRequeued "job_requeued",
    ProjectCreated "project_created",
    ProjectDeleted "project_deleted",
    ProjectRestored "project_restored",
    ProjectPurged "project_purged",
    VisibilityChanged "visibility_changed",
    MembersChanged "members_changed",
    OwnerChanged "owner_changed",
    ProjectOpenedByAdmin "project_opened_by_admin",
    ProjectClosedByAdmin "project_closed_by_admin",
    NetworkRulesChanged "network_rules_changed",
    PermissionRulesChanged "permission_rules_changed",
    RunStarted "run_started",
    RunLimited "run_limited",
    ToolCalled "tool_called",
    ApprovalDecided "approval_decided",
    ChangesDecided "changes_decided",
    AuditExported "audit_exported",
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    Done,
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditActorKind {
    Person,
    /// A program with a person's API token.
    Token,
    /// The agent on behalf of a person.
    Agent,
    /// Somebody at the server's own command line.
    CommandLine,
    Server,
    Nobody,
}

/// As it was called at that time; names change and accounts go, entries do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditActor {
    pub kind: AuditActorKind,
    pub id: Option<UserId>,
    pub name: String,
    /// `session:…`, `token:…` or `turn:…`: by what the actor was known.
    pub by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditTarget {
    /// A noun, such as `user`, `project`, `token`.
    pub kind: String,
    pub id: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// 1, 2, 3 … without a gap.
    pub seq: i64,
    pub at: Micros,
    pub action: AuditAction,
    pub outcome: AuditOutcome,
    pub actor: AuditActor,
    pub address: Option<String>,
    pub request_id: String,
    pub target: Option<AuditTarget>,
    pub project_id: Option<ProjectId>,
    /// Counts, names and ids; never a secret and never what a file holds.
    pub details: Value,
    /// SHA-256 of the entry before, in hexadecimal; zeros before the first.
    pub previous: String,
    /// SHA-256 over this entry with `previous`.
    pub hash: String,
}

/// Which entries: all that is named must fit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditQuery {
    /// Words of actions, separated by commas.
    #[serde(default)]
    pub action: Option<String>,
    #[serde(default)]
    pub user: Option<UserId>,
    #[serde(default)]
    pub project: Option<ProjectId>,
    #[serde(default)]
    pub from: Option<Micros>,
    /// Not included.
    #[serde(default)]
    pub to: Option<Micros>,
    /// In names, addresses, request ids and details, whatever the case.
    #[serde(default)]
    pub search: Option<String>,
    #[serde(default)]
    pub cursor: Option<String>,
    /// 1 to 200; 50 if absent.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Whether the chain holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditVerdict {
    pub holds: bool,
    /// Entries that were read.
    pub entries: i64,
    /// Of the last entry: whoever notes it elsewhere can prove later that nothing before it was rewritten.
    pub head: String,
    /// What is wrong, and from which entry on.
    pub problem: Option<String>,
}
