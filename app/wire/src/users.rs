use serde::{Deserialize, Serialize};

use crate::{Micros, UserId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    Admin,
    User,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    Active,
    Disabled,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub username: String,
    pub full_name: Option<String>,
    pub role: UserRole,
    pub state: UserState,
    pub created_at: Micros,
    pub last_seen_at: Option<Micros>,
}

impl User {
    pub fn is_admin(&self) -> bool {
        self.role == UserRole::Admin
    }

    /// What to call the person on screen.
    pub fn display_name(&self) -> &str {
        self.full_name.as_deref().filter(|n| !n.is_empty()).unwrap_or(&self.username)
    }
}

/// The little that other members may know of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRef {
    pub id: UserId,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UpdateMe {
    #[serde(default)]
    pub full_name: Option<String>,
}
