use serde::{Deserialize, Serialize};

use crate::users::{UserRole, UserState};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UpdateUser {
    #[serde(default)]
    pub role: Option<UserRole>,
    #[serde(default)]
    pub state: Option<UserState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    Ok,
    Warning,
    Failed,
}

/// One line of the health page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub state: CheckState,
    /// What was found.
    pub reason: String,
    /// What to do about it, where something can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub state: CheckState,
    pub checks: Vec<Check>,
}

impl Health {
    pub fn from_checks(checks: Vec<Check>) -> Self {
        let state = if checks.iter().any(|c| c.state == CheckState::Failed) {
            CheckState::Failed
        } else if checks.iter().any(|c| c.state == CheckState::Warning) {
            CheckState::Warning
        } else {
            CheckState::Ok
        };
        Self { state, checks }
    }
}
