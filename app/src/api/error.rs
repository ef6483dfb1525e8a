use std::fmt;

use leptos::server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};
use wire::{ErrorCode, Problem};

/// What a server function answers when it refuses: the same problem that REST answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiError(pub Problem);

impl ApiError {
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The message for one field of a form, if that field was refused.
    pub fn field(&self, name: &str) -> Option<String> {
        self.0.field(name).map(str::to_owned)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ApiError {}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        let problem = match error {
            ServerFnErrorErr::Request(_) => Problem::new(
                ErrorCode::Unavailable,
                "The server could not be reached. What you typed is kept; try again when the connection is back.",
            ),
            ServerFnErrorErr::Args(detail) | ServerFnErrorErr::MissingArg(detail) => Problem::new(ErrorCode::BadRequest, detail),
            other => Problem::new(ErrorCode::Internal, other.to_string()),
        };
        Self(problem)
    }
}
