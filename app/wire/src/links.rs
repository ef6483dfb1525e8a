//! Links that work once: an invitation to make an account, or a new password for one.

use serde::{Deserialize, Serialize};

use crate::{
    FieldError, LinkId, Micros, auth,
    users::{UserRef, UserRole},
};

/// How long an invitation may last.
pub const INVITATION_DAYS_MAX: u32 = 90;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    Reset,
    Invitation,
}

impl LinkKind {
    /// As in JSON and in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Invitation => "invitation",
        }
    }
}

/// Somebody is to have an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct InviteUser {
    /// The only address that the invitation is good for. It is sent there where mail is configured.
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default = "default_role")]
    pub role: UserRole,
    /// Days that the invitation lasts, up to 90.
    #[serde(default = "default_days")]
    pub days: u32,
}

fn default_role() -> UserRole {
    UserRole::User
}

fn default_days() -> u32 {
    7
}

impl Default for InviteUser {
    fn default() -> Self {
        Self { email: None, role: default_role(), days: default_days() }
    }
}

impl InviteUser {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if self.email.as_deref().map(str::trim).is_some_and(|email| !email.is_empty() && !auth::is_email(email)) {
            fields.push(FieldError::new("email", auth::NO_EMAIL));
        }
        if !(1..=INVITATION_DAYS_MAX).contains(&self.days) {
            fields.push(FieldError::new("days", format!("Choose 1 to {INVITATION_DAYS_MAX}.")));
        }
        fields
    }
}

/// A link that was just made. Its path is told this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OneTimeLink {
    pub id: LinkId,
    /// Path and query on this site, with the secret.
    pub url_path: String,
    pub expires_at: Micros,
    /// It is on its way to its address by mail.
    pub mailed: bool,
}

impl std::fmt::Debug for OneTimeLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneTimeLink").field("id", &self.id).field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A link as administrators see it, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AccountLink {
    pub id: LinkId,
    pub kind: LinkKind,
    /// Whom an invitation is for, where it is for one address.
    pub email: Option<String>,
    /// What an invited account becomes.
    pub role: Option<UserRole>,
    /// Whose password can be set.
    pub user: Option<UserRef>,
    pub created_by: Option<UserRef>,
    pub created_at: Micros,
    pub expires_at: Micros,
}

/// What whoever holds a link may know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LinkView {
    pub kind: LinkKind,
    /// The invited address, or the user name whose password can be set.
    pub name: Option<String>,
    pub expires_at: Micros,
}
