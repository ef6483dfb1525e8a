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

/// What is told where no answer came.
const UNREACHABLE: &str = "The server could not be reached. What you typed is kept; try again when the connection is back.";

impl ApiError {
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// No answer came: the server may have done what it was asked for, or not.
    pub fn is_unreachable(&self) -> bool {
        self.0.code == ErrorCode::Unavailable && self.0.detail == UNREACHABLE
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
            ServerFnErrorErr::Request(_) => Problem::new(ErrorCode::Unavailable, UNREACHABLE),
            ServerFnErrorErr::Args(detail) | ServerFnErrorErr::MissingArg(detail) => Problem::new(ErrorCode::BadRequest, detail),
            other => Problem::new(ErrorCode::Internal, other.to_string()),
        };
        Self(problem)
    }
}
