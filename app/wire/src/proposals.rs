//! A file's new text that somebody wants reviewed before it is written, such as code from a conversation.

use serde::{Deserialize, Serialize};

use crate::files::TextFormat;

/// The whole text that `path` should have. Becomes a change set; the project stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProposeText {
    pub path: String,
    pub text: String,
    /// How the text stands in the bytes of the file.
    #[serde(default)]
    pub format: TextFormat,
}
