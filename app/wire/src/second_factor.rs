//! The second factor of an account: codes of an authenticator app, and recovery codes for when that is lost.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many recovery codes are made at a time.
pub const RECOVERY_CODES: usize = 10;

/// What an account has beside its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SecondFactor {
    /// Codes of an authenticator app are asked for.
    pub totp: bool,
    pub recovery_codes_left: u32,
    pub passkeys: u32,
    /// An administrator requires one of this account.
    pub required: bool,
    /// Changes are confirmed by the password; without one, by having signed in within the last ten minutes.
    pub has_password: bool,
}

impl SecondFactor {
    pub fn is_on(&self) -> bool {
        self.totp || self.passkeys > 0
    }
}

/// What an authenticator app has to know. It counts once a code of it was confirmed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TotpSetup {
    /// Base32, for typing.
    pub secret: String,
    /// `otpauth://totp/…`, as in the picture.
    pub uri: String,
    /// The picture to scan: a complete `<svg>` element.
    pub qr_svg: String,
}

/// The password, and a code that the app shows now. Where a second factor is already on, `code` may also be a recovery code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConfirmWithCode {
    pub password: String,
    pub code: String,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConfirmWithPassword {
    pub password: String,
}

/// Shown this once. Each signs in one time in the place of a code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RecoveryCodes {
    pub codes: Vec<String>,
}

/// What a sign-in whose password was right still needs; `current` of a problem with the code `second_factor_required`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SecondStep {
    pub totp: bool,
    pub recovery_code: bool,
    pub passkey: bool,
}

// Secrets must not reach a log by way of `{:?}`.
macro_rules! hide {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )+};
}
hide!(TotpSetup, ConfirmWithCode, ConfirmWithPassword, RecoveryCodes);
