use serde::{Deserialize, Serialize};

use crate::{FieldError, limits, users::User};

#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Register {
    pub email: String,
    pub username: String,
    pub password: String,
    #[serde(default)]
    pub full_name: Option<String>,
    /// The secret of an invitation, where sign-up needs one.
    #[serde(default)]
    pub invite: Option<String>,
}

/// `username` is the name or the e-mail address.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Login {
    pub username: String,
    pub password: String,
    /// The code of the second factor, or a recovery code, where the account asks for one.
    #[serde(default)]
    pub otp: Option<String>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Refresh {
    pub refresh_token: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: String,
    /// Always `bearer`.
    pub token_type: String,
    /// Seconds until the access token ends.
    pub expires_in: u32,
    pub user: User,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ChangePassword {
    /// Left out only by accounts that have no password yet.
    #[serde(default)]
    pub current_password: Option<String>,
    pub new_password: String,
}

/// A new password by a link that works once.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ResetPassword {
    pub token: String,
    pub new_password: String,
}

/// Asks for a link to set a new password with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ForgotPassword {
    /// User name or e-mail address.
    pub who: String,
}

/// The end of one's own account.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeleteMe {
    /// Left out only by accounts that have no password.
    #[serde(default)]
    pub password: Option<String>,
}

/// What is said of something that is no e-mail address.
pub const NO_EMAIL: &str = "This is not an e-mail address. Write it like name@example.org.";

/// Whether a text can be an e-mail address; only a message to it would prove more.
pub fn is_email(text: &str) -> bool {
    let plausible = text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !host.starts_with('.') && !host.ends_with('.')
    });
    plausible && text.len() <= limits::EMAIL_MAX && !text.chars().any(|c| c.is_whitespace() || c.is_control() || is_hidden(c))
}

/// Characters that take no room or turn the text around them, by which one name could be made to look like another.
pub fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Why an address can't be one's e-mail address.
pub fn refuse_email(email: &str) -> Option<FieldError> {
    let email = email.trim();
    if email.is_empty() {
        return Some(FieldError::new("email", "Enter your e-mail address."));
    }
    (!is_email(email)).then(|| FieldError::new("email", NO_EMAIL))
}

/// Why a text can't be a user name.
pub fn refuse_username(name: &str) -> Option<FieldError> {
    let name = name.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() {
        return Some(FieldError::new("username", "Choose a user name."));
    }
    let fits = name.len() <= limits::USERNAME_MAX && name.chars().all(allowed) && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rule = "Use up to 32 letters, digits, dots, dashes or underscores, starting with a letter or digit.";
    (!fits).then(|| FieldError::new("username", rule))
}

/// Why a text can't be a new password, as far as its length goes; `field` is its name in the request.
pub fn refuse_password(field: &str, password: &str) -> Option<FieldError> {
    if password.chars().count() < limits::PASSWORD_MIN_CHARS {
        return Some(FieldError::new(field, "Use 8 characters or more."));
    }
    (password.len() > limits::PASSWORD_MAX).then(|| FieldError::new(field, "Use at most 1024 bytes."))
}

/// Why a text can't be a full name.
pub fn refuse_full_name(name: &str) -> Option<FieldError> {
    let wrong = name.len() > limits::FULL_NAME_MAX || name.chars().any(|c| c.is_control() || is_hidden(c));
    wrong.then(|| FieldError::new("full_name", "Use at most 120 bytes and no control characters."))
}

impl Register {
    /// Every refused field at once, with a sentence to show beside it.
    pub fn validate(&self) -> Vec<FieldError> {
        let refused = [
            refuse_email(&self.email),
            refuse_username(&self.username),
            refuse_password("password", &self.password),
            self.full_name.as_deref().and_then(refuse_full_name),
        ];
        refused.into_iter().flatten().collect()
    }
}

// Passwords and tokens must not reach a log by way of `{:?}`.
impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Register").field("username", &self.username).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Refresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refresh").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("user", &self.user.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ChangePassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangePassword").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ResetPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResetPassword").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for DeleteMe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeleteMe").finish_non_exhaustive()
    }
}
