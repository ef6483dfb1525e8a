use blobs::BlobError;
use serde_json::Value;
use wire::{ErrorCode, FieldError, Problem};

use crate::Ctx;

/// Why a use-case refused. Each variant is a situation that a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not signed in")]
    NotSignedIn,
    #[error("{0}")]
    Forbidden(String),
    /// Also where the caller may not know that it exists. Holds the noun.
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("invalid values")]
    Invalid(Vec<FieldError>),
    /// What was typed goes back with the refusal, for forms that work without a script.
    #[error("invalid values")]
    InvalidForm { fields: Vec<FieldError>, typed: Value },
    /// A name and a password that do not belong together; says the same for names that do not exist.
    #[error("wrong name or password")]
    WrongPassword { fields: Vec<FieldError>, typed: Value },
    /// The password is right, and the account asks for a second factor. `current` says what the next step needs.
    #[error("a second factor is needed")]
    SecondFactor {
        fields: Vec<FieldError>,
        current: Value,
        /// A `Set-Cookie` header for a browser, which goes on with it. Not for the answer's body.
        cookie: Option<String>,
    },
    /// A second factor is required, and the account has none yet.
    #[error("a second factor has to be set up")]
    SecondFactorSetup,
    #[error("{0}")]
    BadRequest(String),
    #[error("{detail}")]
    Conflict { detail: String, current: Option<Value> },
    #[error("{detail}")]
    PreconditionFailed { detail: String, current: Option<Value> },
    #[error("{0}")]
    PreconditionRequired(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("{detail}")]
    RateLimited { retry_after: u32, detail: String },
    #[error("{0}")]
    Unavailable(String),
    #[error(transparent)]
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::Conflict { detail: detail.into(), current: None }
    }

    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }

    /// What the caller is told. An internal error is logged here, once, and its text stays in the log.
    pub fn into_problem(self, ctx: &Ctx) -> Problem {
        let mut problem = match self {
            Self::NotSignedIn => Problem::new(ErrorCode::NotSignedIn, "Sign in to go on."),
            Self::Forbidden(detail) => Problem::new(ErrorCode::Forbidden, detail),
            Self::NotFound(noun) => Problem::new(ErrorCode::NotFound, format!("There is no such {noun}, or you have no access to it.")),
            Self::Invalid(fields) => Problem::invalid(fields),
            Self::InvalidForm { fields, typed } => Problem { current: Some(typed), ..Problem::invalid(fields) },
            Self::WrongPassword { fields, typed } => {
                let code = ErrorCode::NotSignedIn;
                let problem = Problem::invalid(fields);
                Problem { code, status: code.status(), title: code.title().to_owned(), current: Some(typed), ..problem }
            }
            Self::SecondFactorSetup => Problem::new(
                ErrorCode::SecondFactorSetupRequired,
                "An administrator requires a second factor here. Set one up under Settings, Security; everything else opens then.",
            ),
            Self::SecondFactor { fields, current, .. } => {
                let code = ErrorCode::SecondFactorRequired;
                let problem = Problem::invalid(fields);
                Problem { code, status: code.status(), title: code.title().to_owned(), current: Some(current), ..problem }
            }
            Self::BadRequest(detail) => Problem::new(ErrorCode::BadRequest, detail),
            Self::Conflict { detail, current } => Problem { current, ..Problem::new(ErrorCode::Conflict, detail) },
            Self::PreconditionFailed { detail, current } => Problem { current, ..Problem::new(ErrorCode::PreconditionFailed, detail) },
            Self::PreconditionRequired(detail) => Problem::new(ErrorCode::PreconditionRequired, detail),
            Self::TooLarge(detail) => Problem::new(ErrorCode::TooLarge, detail),
            Self::RateLimited { retry_after, detail } => {
                Problem { retry_after: Some(retry_after), ..Problem::new(ErrorCode::RateLimited, detail) }
            }
            Self::Unavailable(detail) => Problem::new(ErrorCode::Unavailable, detail),
            Self::Internal(error) => {
                tracing::error!(request_id = ctx.trace(), error = %error, source = ?error.source(), "a request failed");
                Problem::new(
                    ErrorCode::Internal,
                    "The server could not finish this. Nothing was changed by the part that failed; try again, and give the request id to an administrator if it stays.",
                )
            }
        };
        problem.request_id = Some(ctx.trace().to_owned());
        problem
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Database(source) if is_outage(&source) => {
                tracing::error!(error = %source, "the database does not answer");
                Self::Unavailable("The database does not answer. Nothing was changed; try again in a moment.".to_owned())
            }
            store::Error::Database(source) if is_unstorable(&source) => {
                Self::invalid("value", "Leave out the NUL character: no text here can hold one.")
            }
            other => Self::internal(other),
        }
    }
}

/// PostgreSQL takes no NUL in a text, nor in JSON. The doors refuse it by the field's name; this is for what comes another way.
fn is_unstorable(error: &store::SqlxError) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "22021" | "22P05"))
}

fn is_outage(error: &store::SqlxError) -> bool {
    matches!(error, store::SqlxError::PoolTimedOut | store::SqlxError::PoolClosed | store::SqlxError::Io(_))
}

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::TooLarge { limit } => Self::TooLarge(format!("The content is larger than the limit of {} MB.", limit / 1_000_000)),
            BlobError::Source(_) => {
                Self::BadRequest("The upload ended before it was complete. Nothing was changed; send it again.".to_owned())
            }
            BlobError::Unavailable(reason) => {
                tracing::error!(reason, "file storage can't be used");
                Self::Unavailable(format!("File storage can't be used: {reason}. Nothing was changed; try again in a moment."))
            }
            BlobError::Io(source) => {
                tracing::error!(error = %source, "file storage does not answer");
                let reason = blobs::explain_io(&source);
                Self::Unavailable(format!("File storage can't be used: {reason}. Nothing was changed; try again in a moment."))
            }
            other @ (BlobError::NotFound(_) | BlobError::Corrupt(_)) => Self::internal(other),
        }
    }
}
