//! What handlers take from a request. Each refuses with a problem that names the request.

use axum::{
    Json, RequestPartsExt,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{StatusCode, request::Parts},
};
use domain::Ctx;
use serde::de::DeserializeOwned;
use wire::{ErrorCode, FieldError, Problem};

use super::{AppState, error::Refusal, middleware::RequestId};

/// The caller, signed in or not.
pub struct Caller(pub Ctx);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Refusal> {
        let refusal = || Refusal::new(ErrorCode::Internal, "This request has no context.", parts.extensions.get());
        parts.extensions.get::<Ctx>().cloned().map(Self).ok_or_else(refusal)
    }
}

/// Values of the path. One that can't be read names nothing that exists.
pub struct At<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> FromRequestParts<AppState> for At<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Refusal> {
        match parts.extract::<Path<T>>().await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(Refusal::new(ErrorCode::NotFound, "There is nothing at this address.", parts.extensions.get::<RequestId>())),
        }
    }
}

/// Values of the query.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> FromRequestParts<AppState> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Refusal> {
        match parts.extract::<Query<T>>().await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(Refusal::new(ErrorCode::BadRequest, error.body_text(), parts.extensions.get::<RequestId>())),
        }
    }
}

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Refusal> {
        let request_id = request.extensions().get::<RequestId>().cloned();
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(refuse_json(rejection, request_id)),
        }
    }
}

fn refuse_json(rejection: JsonRejection, request_id: Option<RequestId>) -> Refusal {
    let text = rejection.body_text();
    let mut problem = match rejection {
        JsonRejection::JsonDataError(_) => {
            let sentence = plain(&text);
            Problem { detail: sentence.clone(), ..Problem::invalid(vec![FieldError::new(named_field(&text), sentence)]) }
        }
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(ErrorCode::TooLarge, "The body is too large for this call.")
        }
        _ => Problem::new(ErrorCode::BadRequest, text),
    };
    problem.request_id = request_id.map(|id| id.0);
    problem.into()
}

/// serde quotes a field that it misses; the path before the colon names one that it can't read.
fn named_field(text: &str) -> String {
    let quoted = text.split('`').nth(1);
    let path = text.split(": ").nth(1).filter(|p| p.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']')));
    let named = if text.contains("missing field") { quoted.or(path) } else { path.or(quoted) };
    named.unwrap_or("body").to_owned()
}

/// What serde says of a word out of a list, for people; anything else as it says it.
fn plain(text: &str) -> String {
    let known = text.split_once("unknown variant `").and_then(|(_, rest)| rest.split_once("`, expected "));
    let Some((word, list)) = known else { return text.to_owned() };
    let words: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    format!("There is no {word:?} here. Choose {}.", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_bodies_name_the_field() {
        let unknown = "Failed to deserialize the JSON body into the target type: kind: unknown variant `shell`, expected one of \
                       `sandbox_exec`, `test_runner` at line 1 column 15";
        assert_eq!(named_field(unknown), "kind");
        assert_eq!(plain(unknown), r#"There is no "shell" here. Choose sandbox_exec, test_runner."#);
        let missing = "Failed to deserialize the JSON body into the target type: missing field `name` at line 1 column 2";
        assert_eq!((named_field(missing).as_str(), plain(missing).as_str()), ("name", missing));
        let wrong =
            "Failed to deserialize the JSON body into the target type: timeout_s: invalid type: string \"x\", expected u32 at line 1";
        assert_eq!(named_field(wrong), "timeout_s");
    }
}
