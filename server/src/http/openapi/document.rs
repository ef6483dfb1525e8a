//! Puts the document together: what the types of a handler say, what the table of operations adds, and what holds by rule.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use wire::{Problem, tokens::Scope};

use super::{
    examples,
    operations::{Operation, TAGS},
    schemas::Schemas,
    signature::{Input, Output, Shape, Signature},
};
use crate::http::routes::{Access, Needs, Route};

const PROBLEM: &str = "application/problem+json";
const INTRO: &str = include_str!("intro.md");

/// What every operation may be refused with: the status, the name of the answer, when.
const REFUSALS: [(u16, &str, &str); 13] = [
    (400, "BadRequest", "The request can't be read, or what it asks for can't be combined."),
    (401, "NotSignedIn", "Nobody is signed in, or what was given to sign in with is not valid."),
    (403, "Forbidden", "The caller may not do this, an API token has not the scope, or the request came from another site."),
    (404, "NotFound", "There is no such thing, or the caller may not know of it."),
    (409, "Conflict", "What is there now stands against it. `current` tells what that is, where it helps."),
    (412, "PreconditionFailed", "It has changed in the meantime. `current` is what is there now."),
    (413, "TooLarge", "The request has more bytes than this takes."),
    (415, "UnsupportedMediaType", "The body is of another content type than this takes."),
    (422, "Invalid", "Some values are not accepted; `fields` names each."),
    (428, "PreconditionRequired", "Say with `If-Match` or `If-None-Match` what the change is based on."),
    (429, "RateLimited", "Too many requests. Wait for `Retry-After` seconds."),
    (500, "Internal", "Something failed on the server. Nothing is said but the request id."),
    (503, "Unavailable", "Something that this needs does not answer now. Wait for `Retry-After` seconds, where it is there."),
];

/// One operation while it is being written; the table of operations adds to it what types do not say.
pub struct Draft<'a> {
    pub operation: Map<String, Value>,
    pub schemas: &'a mut Schemas,
}

impl Draft<'_> {
    fn parameter(&mut self, place: &str, name: &str, description: &str, required: bool, schema: Value) {
        let mut parameter = json!({ "name": name, "in": place, "required": required, "schema": schema });
        if !description.is_empty() {
            parameter["description"] = description.into();
        }
        let list = self.operation.entry("parameters").or_insert_with(|| json!([]));
        list.as_array_mut().expect("a list").push(parameter);
    }

    pub fn header(&mut self, name: &str, description: &str) {
        self.parameter("header", name, description, false, json!({ "type": "string" }));
    }

    pub fn required_header(&mut self, name: &str, description: &str, schema: Value) {
        self.parameter("header", name, description, true, schema);
    }

    pub fn query(&mut self, name: &str, description: &str, required: bool, schema: Value) {
        self.parameter("query", name, description, required, schema);
    }

    /// Another kind of body that it takes. `Null` is bytes.
    pub fn takes(&mut self, media_type: &str, schema: Value) {
        let body = self.operation.entry("requestBody").or_insert_with(|| json!({ "required": true, "content": {} }));
        body["content"][media_type] = content(schema);
    }

    /// Another answer. An empty media type is an answer without a body; the schema `Null` is bytes.
    pub fn gives(&mut self, status: u16, description: &str, media_type: &str, schema: Value) {
        let mut answer = json!({ "description": description, "headers": { "x-request-id": { "$ref": "#/components/headers/RequestId" } } });
        if !media_type.is_empty() {
            answer["content"] = json!({ media_type: content(schema) });
        }
        self.answers().insert(status.to_string(), answer);
    }

    pub fn with_header(&mut self, status: u16, name: &str, description: &str) {
        let answer = self.answers().get_mut(&status.to_string()).expect("an answer that was given");
        answer["headers"][name] = json!({ "description": description, "schema": { "type": "string" } });
    }

    fn answers(&mut self) -> &mut Map<String, Value> {
        self.operation.entry("responses").or_insert_with(|| json!({})).as_object_mut().expect("a map")
    }
}

fn content(schema: Value) -> Value {
    if schema.is_null() { json!({}) } else { json!({ "schema": schema }) }
}

/// The whole document. Every route of the table that has a signature is in it.
pub fn write(routes: &[(Route, Option<Signature>)], operations: &[Operation]) -> Value {
    let by_route: BTreeMap<(&str, &str), &Operation> = operations.iter().map(|o| ((o.method, o.path), o)).collect();
    let mut schemas = Schemas::new();
    let problem = schemas.given_as::<Problem>();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (route, signature) in routes {
        let Some(signature) = signature else { continue };
        let operation = by_route.get(&(route.method.as_str(), route.path)).copied();
        let written = write_operation(route, signature, operation, &mut schemas);
        let path = route.path.replace("{*", "{");
        paths.entry(path).or_default().insert(route.method.as_str().to_lowercase(), written);
    }
    let (types, differing) = schemas.finish();
    for operation in paths.values_mut().flat_map(Map::values_mut) {
        for part in ["parameters", "requestBody"] {
            if let Some(part) = operation.get_mut(part) {
                differing.rename_in(part);
            }
        }
        if let Some(frames) = operation.get_mut("x-frames") {
            differing.rename_in(&mut frames["in"]);
        }
    }
    examples::complete(paths.values_mut().flat_map(Map::values_mut), &types);
    let used: BTreeSet<String> = paths.values().flat_map(Map::values).filter_map(|o| o["tags"][0].as_str().map(str::to_owned)).collect();
    let known = TAGS.iter().map(|(_, name, _)| *name);
    let tags: Vec<Value> = used
        .iter()
        .map(|name| {
            let about = TAGS.iter().find(|(_, known, _)| known == name).map_or("", |(_, _, about)| about);
            json!({ "name": name, "description": about })
        })
        .collect();
    let mut tags = tags;
    tags.sort_by_key(|tag| known.clone().position(|name| tag["name"] == name).unwrap_or(usize::MAX));
    json!({
        "openapi": "3.1.0",
        "info": { "title": "cloudxdevai", "version": env!("CARGO_PKG_VERSION"), "summary": "The contract for programs", "description": INTRO },
        "servers": [{ "url": "/", "description": "This server" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": types,
            "responses": REFUSALS.iter().map(|refusal| (refusal.1.to_owned(), refusal_of(refusal, &problem))).collect::<Map<_, _>>(),
            "headers": {
                "RequestId": {
                    "description": "Names this request in the server's log. A caller's own `x-request-id` is kept.",
                    "schema": { "type": "string" },
                },
                "RetryAfter": { "description": "Seconds to wait.", "schema": { "type": "string", "pattern": "^[0-9]+$" } },
            },
            "securitySchemes": {
                "access_token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "What signing in answers; it ends after some minutes and is renewed with the refresh token." },
                "api_token": { "type": "http", "scheme": "bearer", "bearerFormat": "cxd_…", "description": format!("Made under Settings, Tokens. It has scopes ({}), an end, and all projects of its owner or some.", Scope::ALL.map(Scope::word).join(", ")) },
                "session": { "type": "apiKey", "in": "cookie", "name": "cxd_session", "description": "The browser's own; `__Host-cxd_session` under TLS. Calls that change something must come from the same origin." },
            },
        },
    })
}

fn refusal_of((status, _, when): &(u16, &str, &str), problem: &Value) -> Value {
    let mut headers = json!({ "x-request-id": { "$ref": "#/components/headers/RequestId" } });
    if matches!(status, 429 | 503) {
        headers["retry-after"] = json!({ "$ref": "#/components/headers/RetryAfter" });
    }
    json!({ "description": when, "headers": headers, "content": { PROBLEM: { "schema": problem } } })
}

fn write_operation(route: &Route, signature: &Signature, operation: Option<&Operation>, schemas: &mut Schemas) -> Value {
    let (module, function) = name_of(signature);
    let chapter = if route.path.starts_with("/api/admin/") { "admin" } else { module };
    let tag =
        TAGS.iter().find(|(modules, ..)| modules.contains(&chapter)).map_or_else(|| capitalise(chapter), |(_, name, _)| (*name).to_owned());
    let mut draft = Draft { operation: Map::new(), schemas };
    draft.operation.insert("operationId".to_owned(), format!("{module}_{function}").into());
    draft.operation.insert("tags".to_owned(), json!([tag]));
    if let Some(operation) = operation {
        draft.operation.insert("summary".to_owned(), operation.summary.into());
    }
    draft.operation.insert("description".to_owned(), describe(route, operation).into());
    draft.operation.insert("security".to_owned(), security(route.needs));
    for input in &signature.inputs {
        write_input(&mut draft, *input, route, operation);
    }
    let statuses = statuses_of(signature, operation);
    for status in &statuses {
        write_output(&mut draft, *status, signature.output, operation);
    }
    if route.method == "POST" && route.access != Access::Public {
        let about = "1 to 255 printable characters. The same key with the same request answers what the first one did, for a day, and does nothing again.";
        draft.header("Idempotency-Key", about);
    }
    if let Some(edit) = operation.and_then(|operation| operation.edit) {
        edit(&mut draft);
    }
    for status in refusals_of(route, signature, operation) {
        if let Some((_, name, _)) = REFUSALS.iter().find(|(known, ..)| *known == status) {
            let answers = draft.answers();
            answers.entry(status.to_string()).or_insert_with(|| json!({ "$ref": format!("#/components/responses/{name}") }));
        }
    }
    Value::Object(draft.operation)
}

/// Module and function of `server::http::rest::projects::list`.
fn name_of(signature: &Signature) -> (&str, &str) {
    let mut parts = signature.function.rsplit("::");
    let function = parts.next().unwrap_or_default();
    (parts.next().unwrap_or_default(), function)
}

fn capitalise(module: &str) -> String {
    let mut text = module.replace('_', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn describe(route: &Route, operation: Option<&Operation>) -> String {
    let who = match route.access {
        Access::Public => "For anybody.",
        Access::SignedIn => "For anybody who is signed in.",
        Access::Member => "For those who may enter the project.",
        Access::Admin => "For administrators.",
    };
    let needs = match route.needs {
        Needs::Nothing => String::new(),
        Needs::Scope(scope) => format!(" API tokens need the scope `{}`.", scope.word()),
        Needs::Session => " API tokens are refused.".to_owned(),
    };
    let note = operation.map_or("", |operation| operation.note);
    let gap = if note.is_empty() { "" } else { "\n\n" };
    format!("{note}{gap}{who}{needs}")
}

fn security(needs: Needs) -> Value {
    match needs {
        Needs::Nothing => json!([]),
        Needs::Scope(scope) => json!([{ "access_token": [] }, { "api_token": [scope.word()] }, { "session": [] }]),
        Needs::Session => json!([{ "access_token": [] }, { "session": [] }]),
    }
}

fn write_input(draft: &mut Draft<'_>, input: Input, route: &Route, operation: Option<&Operation>) {
    match input {
        Input::Nothing => {}
        Input::Path(shape) => write_path(draft, shape, route.path),
        Input::Query(shape) => write_query(draft, shape),
        Input::Json(shape) => {
            let schema = draft.schemas.taken(shape);
            draft.takes("application/json", schema);
            if let Some(example) = operation.and_then(|operation| example(operation.asks)) {
                draft.operation["requestBody"]["content"]["application/json"]["example"] = example;
            }
        }
        Input::Form(shape) => {
            let schema = draft.schemas.taken(shape);
            draft.takes("application/x-www-form-urlencoded", schema);
            if let Some(example) = operation.and_then(|operation| example(operation.asks)) {
                draft.operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["example"] = example;
            }
        }
        Input::Bytes => draft.takes("*/*", Value::Null),
        Input::Multipart => draft.takes("multipart/form-data", json!({ "type": "object" })),
        Input::Socket => {
            draft.gives(101, "A WebSocket from here on.", "", Value::Null);
        }
    }
}

fn example(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| serde_json::from_str(text).expect("an example is JSON"))
}

/// The names between braces, in their order.
pub fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(|name| name.trim_start_matches('*'))
}

fn write_path(draft: &mut Draft<'_>, shape: Shape, path: &str) {
    let names: Vec<&str> = names_in(path).collect();
    let whole = draft.schemas.asked(shape);
    let parts: Vec<Value> = match whole.get("prefixItems").and_then(Value::as_array) {
        Some(parts) => parts.clone(),
        None if names.len() > 1 => names.iter().map(|name| whole["properties"][name].clone()).collect(),
        None => vec![draft.schemas.taken(shape)],
    };
    for (name, schema) in names.into_iter().zip(parts) {
        let about = match schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next()) {
            Some(id) if id.ends_with("Id") => format!("Which {}.", words(id.trim_end_matches("Id"))),
            _ if path.ends_with(&format!("{{*{name}}}")) => "A path within the project; its slashes may be written as they are.".to_owned(),
            _ => String::new(),
        };
        draft.parameter("path", name, &about, true, schema);
    }
}

/// `ReviewComment` as `review comment`.
fn words(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
    }
    text
}

fn write_query(draft: &mut Draft<'_>, shape: Shape) {
    let schema = draft.schemas.asked(shape);
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let mut property = property.clone();
        let about = property.as_object_mut().and_then(|p| p.remove("description")).and_then(|d| d.as_str().map(str::to_owned));
        let about = about.unwrap_or_else(|| usual(name).to_owned());
        draft.parameter("query", name, &about, required.contains(&name.as_str()), property);
    }
}

/// What parameters of these names mean everywhere.
fn usual(name: &str) -> &'static str {
    match name {
        "limit" => "How many at most; 200 is the most of all.",
        "cursor" => "Where the page before ended: its `next_cursor`.",
        _ => "",
    }
}

fn statuses_of(signature: &Signature, operation: Option<&Operation>) -> Vec<u16> {
    let told = operation.map_or(&[][..], |operation| operation.ok);
    match signature.output {
        _ if !told.is_empty() => told.to_vec(),
        Output::Json(_) => vec![200],
        Output::Empty => vec![204],
        Output::Other => Vec::new(),
    }
}

fn write_output(draft: &mut Draft<'_>, status: u16, output: Output, operation: Option<&Operation>) {
    let about = match status {
        201 => "Made.",
        202 => "Taken on; it goes on in the background.",
        204 => "Done. There is nothing more to say.",
        _ => "The answer.",
    };
    match output {
        Output::Json(shape) => {
            let schema = draft.schemas.given(shape);
            draft.gives(status, about, "application/json", schema);
            if let Some(example) = operation.and_then(|operation| example(operation.says)) {
                draft.answers()[&status.to_string()]["content"]["application/json"]["example"] = example;
            }
        }
        Output::Empty => draft.gives(status, about, "", Value::Null),
        Output::Other => {}
    }
}

/// By rule, so that no route forgets one.
fn refusals_of(route: &Route, signature: &Signature, operation: Option<&Operation>) -> BTreeSet<u16> {
    let mut found: BTreeSet<u16> = [400, 403, 429, 500, 503].into();
    if route.access != Access::Public {
        found.insert(401);
    }
    if route.access == Access::Member || route.path.contains('{') {
        found.insert(404);
    }
    let writes = route.method != "GET";
    if writes {
        found.insert(409);
    }
    // For its `Idempotency-Key`.
    if route.method == "POST" {
        found.insert(422);
    }
    for input in &signature.inputs {
        match input {
            Input::Nothing | Input::Socket => {}
            Input::Path(_) | Input::Query(_) => drop(found.insert(422)),
            Input::Bytes => found.extend([413, 422]),
            Input::Json(_) | Input::Form(_) | Input::Multipart => found.extend([413, 415, 422]),
        }
    }
    found.extend(operation.map_or(&[][..], |operation| operation.also));
    found
}
