//! What handlers take from a request. Each refuses with a problem that names the request.

use axum::{
    Form, Json, RequestPartsExt,
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Path, Query, RawForm, Request,
        rejection::{JsonRejection, RawFormRejection},
    },
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
};
use domain::Ctx;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
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
        let request_id = parts.extensions.get::<RequestId>().cloned();
        if let Some(name) = parts.uri.query().and_then(find_nul_in_pairs) {
            return Err(tell(refuse_nul(&name), request_id));
        }
        match parts.extract::<Query<T>>().await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(tell(refuse_value(&error.body_text()), request_id)),
        }
    }
}

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + Serialize> FromRequest<AppState> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Refusal> {
        let request_id = request.extensions().get::<RequestId>().cloned();
        let read = async {
            if !is_json(request.headers()) {
                let detail = "Send the body as JSON, with Content-Type: application/json.";
                return Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
            }
            let bytes = Bytes::from_request(request, state).await.map_err(|error| refuse_bytes(error.status(), error.body_text()))?;
            if let Some(field) = find_nul(&bytes) {
                return Err(refuse_nul(&field));
            }
            let Json(value) = Json::<T>::from_bytes(&bytes).map_err(refuse_json)?;
            match find_list_for_object(&bytes, &value) {
                Some(field) => Err(refuse_list(&field)),
                None => Ok(Json(value)),
            }
        };
        read.await.map(|Json(value)| Self(value)).map_err(|problem| tell(problem, request_id))
    }
}

/// A form as browsers send it, without files.
pub struct Filled<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Filled<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Refusal> {
        let request_id = request.extensions().get::<RequestId>().cloned();
        let read = async {
            let bytes = match RawForm::from_request(request, state).await {
                Ok(RawForm(bytes)) => bytes,
                Err(RawFormRejection::InvalidFormContentType(_)) => {
                    let detail = "Send the body as a form, with Content-Type: application/x-www-form-urlencoded.";
                    return Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
                }
                Err(other) => return Err(refuse_bytes(other.status(), other.body_text())),
            };
            if let Some(field) = std::str::from_utf8(&bytes).ok().and_then(find_nul_in_pairs) {
                return Err(refuse_nul(&field));
            }
            let mut form = Request::new(bytes.into());
            *form.method_mut() = Method::POST;
            form.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            Form::<T>::from_request(form, state).await.map_err(|error| refuse_value(&error.body_text()))
        };
        read.await.map(|Form(value)| Self(value)).map_err(|problem| tell(problem, request_id))
    }
}

/// A form with files that is none.
pub fn refuse_form(ctx: &Ctx) -> Refusal {
    let detail = "Send the body as a form with files, with Content-Type: multipart/form-data and its boundary.";
    Problem { request_id: Some(ctx.trace().to_owned()), ..Problem::new(ErrorCode::UnsupportedMediaType, detail) }.into()
}

fn tell(mut problem: Problem, request_id: Option<RequestId>) -> Refusal {
    problem.request_id = request_id.map(|id| id.0);
    problem.into()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

fn refuse_bytes(status: StatusCode, text: String) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ErrorCode::TooLarge, "The body is too large for this call."),
        _ => Problem::new(ErrorCode::BadRequest, text),
    }
}

fn refuse_json(rejection: JsonRejection) -> Problem {
    match rejection {
        JsonRejection::JsonDataError(error) => refuse_value(&error.body_text()),
        other => refuse_bytes(other.status(), other.body_text()),
    }
}

fn refuse_value(text: &str) -> Problem {
    let sentence = plain(text);
    Problem { detail: sentence.clone(), ..Problem::invalid(vec![FieldError::new(named_field(text), sentence)]) }
}

/// PostgreSQL keeps no such character in a text, and no text needs one.
fn refuse_nul(field: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(field, "Leave out the NUL character: no text here can hold one.")])
}

fn find_nul_in_pairs(pairs: &str) -> Option<String> {
    let holds = pairs.contains("%00") || pairs.contains('\0');
    let found =
        holds.then(|| url::form_urlencoded::parse(pairs.as_bytes()).find(|(name, value)| name.contains('\0') || value.contains('\0')));
    found.flatten().map(|(name, _)| name.replace('\0', ""))
}

/// The path of the first text that holds a NUL. JSON can only write it as an escape, so nearly every body is done with at a glance.
fn find_nul(body: &[u8]) -> Option<String> {
    body.windows(6).any(|part| part == br"\u0000").then(|| serde_json::from_slice(body).ok().and_then(|value| nul_within(&value))).flatten()
}

fn nul_within(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| nul_within(item).map(|rest| join(&format!("[{at}]"), &rest))),
        Value::Object(map) => map.iter().find_map(|(name, value)| match name.contains('\0') {
            true => Some(name.replace('\0', "")),
            false => nul_within(value).map(|rest| join(name, &rest)),
        }),
        _ => None,
    }
}

fn join(name: &str, rest: &str) -> String {
    match rest {
        "" => name.to_owned(),
        rest if rest.starts_with('[') => format!("{name}{rest}"),
        rest => format!("{name}.{rest}"),
    }
}

/// serde takes a list for an object, its values in the order of the fields; nobody means that. The path of the first such list.
fn find_list_for_object<T: Serialize>(body: &[u8], read: &T) -> Option<String> {
    if !body.contains(&b'[') {
        return None;
    }
    list_within(&serde_json::from_slice(body).ok()?, &serde_json::to_value(read).ok()?)
}

fn list_within(sent: &Value, read: &Value) -> Option<String> {
    match (sent, read) {
        (Value::Array(_), Value::Object(_)) => Some(String::new()),
        (Value::Array(sent), Value::Array(read)) => {
            let mut pairs = sent.iter().zip(read).enumerate();
            pairs.find_map(|(at, (sent, read))| list_within(sent, read).map(|rest| join(&format!("[{at}]"), &rest)))
        }
        (Value::Object(sent), Value::Object(read)) => {
            sent.iter().find_map(|(name, sent)| list_within(sent, read.get(name)?).map(|rest| join(name, &rest)))
        }
        _ => None,
    }
}

fn refuse_list(field: &str) -> Problem {
    let name = if field.is_empty() { "body" } else { field };
    Problem::invalid(vec![FieldError::new(name, "This is a list. Send an object with named fields.")])
}

/// serde quotes a field that it misses; the path before the colon names one that it can't read.
fn named_field(text: &str) -> String {
    let quoted = text.split('`').nth(1);
    let path = text.split(": ").nth(1).filter(|p| p.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']')));
    let named = if text.contains("missing field") { quoted.or(path) } else { path.or(quoted) };
    named.unwrap_or("body").to_owned()
}

/// What serde says, for people: without where in the text it stopped, and with what there is to choose from.
fn plain(text: &str) -> String {
    let choice = |of: &str| {
        let (word, list) = text.split_once(of)?.1.split_once("`, expected ")?;
        let words: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        Some((word, words.join(", ")))
    };
    if let Some((word, words)) = choice("unknown variant `") {
        return format!("There is no {word:?} here. Choose {words}.");
    }
    if let Some((name, names)) = choice("unknown field `") {
        return format!("There is no field {name:?} here. The fields are {names}.");
    }
    let said = text.strip_prefix("Failed to deserialize ").and_then(|rest| rest.split_once(": ")).map_or(text, |(_, rest)| rest);
    let said = said.split_once(" at line ").map_or(said, |(said, _)| said);
    match said.split_once("missing field `").and_then(|(_, rest)| rest.split_once('`')) {
        Some((name, _)) => format!("{name} is missing."),
        None => format!("This can't be read: {said}."),
    }
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
        let unknown = "Failed to deserialize the JSON body into the target type: budget.dollars: unknown field `dollars`, expected one of \
                       `usd`, `steps` at line 1 column 37";
        assert_eq!(named_field(unknown), "budget.dollars");
        assert_eq!(plain(unknown), r#"There is no field "dollars" here. The fields are usd, steps."#);
        let missing = "Failed to deserialize the JSON body into the target type: missing field `name` at line 1 column 2";
        assert_eq!((named_field(missing).as_str(), plain(missing).as_str()), ("name", "name is missing."));
        let wrong =
            "Failed to deserialize the JSON body into the target type: timeout_s: invalid type: string \"x\", expected u32 at line 1";
        assert_eq!(named_field(wrong), "timeout_s");
        assert_eq!(plain(wrong), "This can't be read: timeout_s: invalid type: string \"x\", expected u32.");
    }

    #[test]
    fn a_nul_is_found_wherever_it_is() {
        let at = |body: &str| find_nul(body.as_bytes());
        assert_eq!(at(r#"{"name":"a\u0000b"}"#).as_deref(), Some("name"));
        assert_eq!(at(r#"{"steps":[{"to":"a"},{"to":"\u0000"}]}"#).as_deref(), Some("steps[1].to"));
        assert_eq!(at(r#"{"env":{"A\u0000":"x"}}"#).as_deref(), Some("env.A"));
        assert_eq!((at(r#"{"name":"\\u0000"}"#), at(r#"{"name":"a"}"#)), (None, None));
        assert_eq!(find_nul_in_pairs("limit=1&path=a%00b").as_deref(), Some("path"));
        assert_eq!(find_nul_in_pairs("path=a%2500b"), None);
    }

    #[test]
    fn a_list_is_no_object() {
        let read = serde_json::json!({ "base": { "version": 1 }, "steps": [{ "to": "a" }], "names": ["b"] });
        let at = |body: &str| find_list_for_object(body.as_bytes(), &read);
        assert_eq!(at("[1,2]").as_deref(), Some(""));
        assert_eq!(at(r#"{"names":["b"],"base":[1]}"#).as_deref(), Some("base"));
        assert_eq!(at(r#"{"steps":[["a"]]}"#).as_deref(), Some("steps[0]"));
        assert_eq!(at(r#"{"names":["b"],"steps":[{"to":"a"}]}"#), None);
    }
}
