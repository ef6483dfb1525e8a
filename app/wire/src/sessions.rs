//! Where somebody is signed in.

use serde::{Deserialize, Serialize};

use crate::{Micros, SessionId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// Lives by a cookie.
    Browser,
    /// Lives by an access token and a refresh token.
    Client,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Session {
    pub id: SessionId,
    pub created_at: Micros,
    /// Within a few minutes.
    pub last_seen_at: Micros,
    /// The end, if it is not used until then.
    pub expires_at: Micros,
    /// From where it was begun.
    pub address: Option<String>,
    /// What it was begun with, in words such as `Firefox on Windows`.
    pub device: String,
    /// The one that asks.
    pub current: bool,
    pub kind: SessionKind,
}

/// How many other sessions were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SessionsEnded {
    pub ended: u32,
}
