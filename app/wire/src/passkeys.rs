//! Passkeys: keys in a person's devices that sign in without a password.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{FieldError, Micros, PasskeyId};

pub const NAME_MAX: usize = 60;
/// One person's.
pub const PASSKEYS_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Passkey {
    pub id: PasskeyId,
    pub name: String,
    pub created_at: Micros,
    pub last_used_at: Option<Micros>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Passkeys {
    pub items: Vec<Passkey>,
    /// Why none can be added at this address, as a sentence; `None` where they can.
    pub unavailable: Option<String>,
}

/// The beginning of adding a passkey or of signing in by one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Ceremony {
    /// Goes back with the device's answer: once, within five minutes.
    pub ceremony: String,
    /// For `navigator.credentials`, in the JSON form of the Web Authentication API: `{"publicKey": {…}}`.
    pub options: Value,
}

/// The device's answer to a ceremony that adds a passkey.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AddPasskey {
    pub ceremony: String,
    pub name: String,
    /// What `PublicKeyCredential.toJSON()` gives.
    pub credential: Value,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AddedPasskey {
    pub passkey: Passkey,
    /// Where the account had none: told this once. Empty otherwise.
    pub recovery_codes: Vec<String>,
}

/// The device's answer to a ceremony that signs in.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PasskeyAnswer {
    pub ceremony: String,
    /// What `PublicKeyCredential.toJSON()` gives.
    pub credential: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RenamePasskey {
    pub name: String,
}

/// The name as it is kept, or what is wrong with it.
pub fn read_name(name: &str) -> Result<String, FieldError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(FieldError::new("name", "Give it a name that tells your devices apart."));
    }
    if name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(FieldError::new("name", format!("Use at most {NAME_MAX} bytes and no control characters.")));
    }
    Ok(name.to_owned())
}

impl fmt::Debug for AddPasskey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddPasskey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for AddedPasskey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddedPasskey").field("passkey", &self.passkey).finish_non_exhaustive()
    }
}

impl fmt::Debug for PasskeyAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasskeyAnswer").finish_non_exhaustive()
    }
}
