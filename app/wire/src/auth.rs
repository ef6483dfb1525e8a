use serde::{Deserialize, Serialize};

use crate::{FieldError, limits, users::User};

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Register {
    pub email: String,
    pub username: String,
    pub password: String,
    #[serde(default)]
    pub full_name: Option<String>,
}

/// `username` is the name or the e-mail address.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Login {
    pub username: String,
    pub password: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    pub refresh_token: String,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: String,
    /// Always `bearer`.
    pub token_type: String,
    /// Seconds until the access token ends.
    pub expires_in: u32,
    pub user: User,
}

/// What is said of something that is no e-mail address.
pub const NO_EMAIL: &str = "This is not an e-mail address. Write it like name@example.org.";

/// Whether a text can be an e-mail address; only a message to it would prove more.
pub fn is_email(text: &str) -> bool {
    let plausible = text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !host.starts_with('.') && !host.ends_with('.')
    });
    plausible && text.len() <= limits::EMAIL_MAX && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

impl Register {
    /// Every refused field at once, with a sentence to show beside it.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        let email = self.email.trim();
        if email.is_empty() {
            fields.push(FieldError::new("email", "Enter your e-mail address."));
        } else if !is_email(email) {
            fields.push(FieldError::new("email", NO_EMAIL));
        }
        let name = self.username.trim();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() {
            fields.push(FieldError::new("username", "Choose a user name."));
        } else if name.len() > limits::USERNAME_MAX || !name.chars().all(allowed) || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            fields.push(FieldError::new(
                "username",
                "Use up to 32 letters, digits, dots, dashes or underscores, starting with a letter or digit.",
            ));
        }
        let chars = self.password.chars().count();
        if chars < limits::PASSWORD_MIN_CHARS {
            fields.push(FieldError::new("password", "Use 8 characters or more."));
        } else if self.password.len() > limits::PASSWORD_MAX {
            fields.push(FieldError::new("password", "Use at most 1024 bytes."));
        }
        if let Some(full) = &self.full_name
            && (full.len() > limits::FULL_NAME_MAX || full.chars().any(char::is_control))
        {
            fields.push(FieldError::new("full_name", "Use at most 120 bytes and no control characters."));
        }
        fields
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
