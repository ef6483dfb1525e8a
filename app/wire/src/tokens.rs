use serde::{Deserialize, Serialize};

use crate::{FieldError, Micros, ProjectId, TokenId, limits};

/// What an API token may be used for. Nothing follows from anything else: one that may write is not thereby one that may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything that only looks: projects, files, runs, conversations, events.
    Read,
    /// Projects, files, members, checkpoints.
    Write,
    /// Commands, tests, terminals, previews.
    Run,
    /// Conversations, turns, reviews, generation.
    Agent,
    /// What administrators do; of no use to anybody else.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Run, Self::Agent, Self::Admin];

    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Run => "run",
            Self::Agent => "agent",
            Self::Admin => "admin",
        }
    }
}

/// A key for programs. The secret itself is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ApiToken {
    pub id: TokenId,
    pub name: String,
    /// The first characters of the secret, to tell one from another.
    pub prefix: String,
    pub scopes: Vec<Scope>,
    /// The only projects it reaches; `None` is every project of its owner.
    pub projects: Option<Vec<ProjectId>>,
    pub created_at: Micros,
    /// `None` never ends by itself.
    pub expires_at: Option<Micros>,
    /// To the minute.
    pub last_used_at: Option<Micros>,
    /// The address of the last use.
    pub last_used_from: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreateToken {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// Absent: every project of the caller, also later ones.
    #[serde(default)]
    pub projects: Option<Vec<ProjectId>>,
    /// 1 to 366; absent: never.
    #[serde(default)]
    pub expires_in_days: Option<u32>,
}

impl CreateToken {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        let name = self.name.trim();
        if name.is_empty() {
            fields.push(FieldError::new("name", "Give it a name that says what uses it."));
        } else if name.chars().count() > limits::TOKEN_NAME_MAX || name.chars().any(char::is_control) {
            fields.push(FieldError::new("name", "Use at most 80 characters and no control characters."));
        }
        if self.scopes.is_empty() {
            fields.push(FieldError::new("scopes", "Choose at least one thing that it may do."));
        }
        if self.projects.as_ref().is_some_and(|list| list.is_empty() || list.len() > limits::TOKEN_PROJECTS_MAX) {
            fields.push(FieldError::new("projects", "Choose 1 to 100 projects, or all."));
        }
        if self.projects.is_some() && self.scopes.contains(&Scope::Admin) {
            fields.push(FieldError::new(
                "projects",
                "Administration is about all projects. Choose all projects, or leave the scope admin out.",
            ));
        }
        if self.expires_in_days.is_some_and(|days| !(1..=366).contains(&days)) {
            fields.push(FieldError::new("expires_in_days", "Choose 1 to 366 days, or no end."));
        }
        fields
    }
}

/// The only time that the secret is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreatedToken {
    pub token: ApiToken,
    /// `cxd_` and 43 characters; sent as `Authorization: Bearer`.
    pub secret: String,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedToken").field("token", &self.token).finish_non_exhaustive()
    }
}
