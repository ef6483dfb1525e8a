//! The document of the API: whole, kept in the repository, served, and true about what is refused.

use std::path::Path;

use reqwest::Method;
use serde_json::{Map, Value, json};
use server::http::openapi;

use crate::support::{Caller, Options, Reply, TestApp};

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/openapi.json");
/// Set it to write the snapshot instead of comparing with it.
const RENEW: &str = "UPDATE_OPENAPI";
const NOBODYS: &str = "0190a5c8-0000-7000-8000-000000000000";

#[test]
fn every_route_is_in_the_document_and_every_entry_has_a_route() {
    let gaps = openapi::gaps();
    assert!(gaps.is_empty(), "the document has gaps:\n{}", gaps.join("\n"));
}

#[test]
fn the_snapshot_is_current() {
    if std::env::var_os(RENEW).is_some() {
        std::fs::create_dir_all(Path::new(SNAPSHOT).parent().unwrap()).unwrap();
        std::fs::write(SNAPSHOT, openapi::document_text()).unwrap();
    }
    let kept: Value = std::fs::read_to_string(SNAPSHOT).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let mut changed = Vec::new();
    compare("", &kept, openapi::document(), &mut changed);
    assert!(
        changed.is_empty(),
        "The contract has changed. Look at what that means for programs, then write it down with\n  \
         {RENEW}=1 cargo nextest run -p server openapi::\nChanged: {}",
        changed.join("\n  ")
    );
}

/// The first places that differ.
fn compare(at: &str, kept: &Value, now: &Value, changed: &mut Vec<String>) {
    match (kept, now) {
        _ if kept == now || changed.len() >= 20 => {}
        (Value::Object(kept), Value::Object(now)) => {
            for name in kept.keys().chain(now.keys().filter(|name| !kept.contains_key(*name))) {
                let (kept, now) = (kept.get(name).unwrap_or(&Value::Null), now.get(name).unwrap_or(&Value::Null));
                compare(&format!("{at}/{name}"), kept, now, changed);
            }
        }
        _ => changed.push(at.to_owned()),
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("within the document");
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                map.values().for_each(|value| walk(value, document));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
            _ => {}
        }
    }
    walk(openapi::document(), openapi::document());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served_to_anybody_as_json_and_as_a_page() {
    let app = TestApp::start().await;
    let reply = app.nobody().get("/api/openapi.json").await.expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(&reply.json::<Value>(), openapi::document());

    let page = app.nobody().get("/api/docs").await.expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let policy = page.header("content-security-policy").unwrap();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    for script in html.split("<script").skip(1) {
        assert!(script.starts_with(&format!(" nonce=\"{nonce}\"")), "a script without the nonce");
    }
    // Nothing comes from elsewhere, so that it works offline.
    for part in ["src=\"http", "href=\"http", "url(http", "@import", "src=\"//", "href=\"//"] {
        assert!(!html.contains(part), "{part}");
    }
    for operation in operations() {
        assert!(html.contains(&format!("id=\"{}\"", operation.id)), "{} is not on the page", operation.id);
    }
}

struct Operation {
    id: String,
    method: Method,
    path: String,
    about: Value,
}

fn operations() -> Vec<Operation> {
    let paths = openapi::document()["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, about)| Operation {
            id: about["operationId"].as_str().unwrap().to_owned(),
            method: method.to_uppercase().parse().unwrap(),
            path: path.clone(),
            about: about.clone(),
        })
    });
    each.collect()
}

impl Operation {
    fn parameters(&self, place: &str) -> Vec<(String, Value)> {
        let all = self.about["parameters"].as_array().cloned().unwrap_or_default();
        let here = all.into_iter().filter(|parameter| parameter["in"] == place);
        here.map(|parameter| (parameter["name"].as_str().unwrap().to_owned(), resolve(&parameter["schema"]))).collect()
    }

    /// The path with a value for each name; of things that nobody has.
    fn address(&self, chosen: Option<(&str, &str)>) -> String {
        let mut path = self.path.clone();
        for (name, schema) in self.parameters("path") {
            let usual = match schema["enum"][0].as_str().or(schema["oneOf"][0]["const"].as_str()) {
                Some(word) => word,
                None if schema["format"] == "uuid" => NOBODYS,
                None => "1",
            };
            let value = chosen.filter(|(other, _)| *other == name).map_or(usual, |(_, value)| value);
            path = path.replace(&format!("{{{name}}}"), value);
        }
        path
    }

    fn body(&self) -> Option<Value> {
        self.about["requestBody"]["content"].get("application/json").map(|content| resolve(&content["schema"]))
    }
}

fn resolve(schema: &Value) -> Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolve(openapi::document().pointer(&reference[1..]).unwrap()),
        None => schema.clone(),
    }
}

/// What is not as it has to be, all of it: one finding must not hide the next.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn check(&mut self, holds: bool, what: &str, reply: &Reply) {
        if !holds {
            self.0.push(format!("{what}: {:.400}", format!("{reply:?}")));
        }
    }

    /// What every refusal has to be.
    fn refused(&mut self, what: &str, reply: &Reply) -> Value {
        self.check((400..500).contains(&reply.status), &format!("{what} is not refused"), reply);
        let problem: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let id = reply.header("x-request-id").filter(|id| !id.is_empty());
        self.check(id.is_some() && problem["request_id"].as_str() == id, &format!("{what}: the request is not named"), reply);
        let is_problem = reply.header("content-type") == Some("application/problem+json") && problem["status"] == reply.status;
        self.check(is_problem, &format!("{what}: no problem"), reply);
        problem
    }

    fn refused_with(&mut self, status: u16, what: &str, reply: &Reply) -> Value {
        self.check(reply.status == status, &format!("{what}: not {status}"), reply);
        self.refused(what, reply)
    }

    fn field_named(&mut self, name: &str, what: &str, reply: &Reply) {
        let problem = self.refused_with(422, what, reply);
        let is_named = |field: &Value| field["field"].as_str().is_some_and(|field| field == name || field.starts_with(&format!("{name}.")));
        self.check(
            problem["fields"].as_array().is_some_and(|fields| fields.iter().any(is_named)),
            &format!("{what}: {name} is not named"),
            reply,
        );
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{} findings:\n{}", self.0.len(), self.0.join("\n"));
    }
}

async fn administrator(app: &TestApp) -> Caller {
    app.user("ada").await
}

async fn start() -> TestApp {
    TestApp::with(Options { settings: vec![("RATE_LIMIT_ENABLED", "false")], ..Options::default() }).await
}

const GARBAGE: [&str; 7] = ["garbage", "-1", "99999999999999999999", "%F0%9F%92%A5", "%00", "%ff", "..%2f..%2fetc%2fpasswd"];

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_a_path_names_nothing() {
    let app = start().await;
    let (ada, mut findings) = (administrator(&app).await, Findings::default());
    let long = "x".repeat(5000);
    for operation in operations() {
        for (name, _) in operation.parameters("path") {
            for value in GARBAGE.iter().copied().chain([long.as_str()]) {
                let path = operation.address(Some((&name, value)));
                let what = format!("{} {path:.200}", operation.method);
                findings.refused(&what, &ada.send(ada.request(operation.method.clone(), &path)).await);
            }
        }
    }
    findings.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_a_query_is_named() {
    let app = start().await;
    let (ada, mut findings) = (administrator(&app).await, Findings::default());
    for operation in operations() {
        // A socket is refused for what it is not, before anything else.
        if operation.path.ends_with("/ws") || operation.path.starts_with("/ws/") {
            continue;
        }
        let parameters = operation.about["parameters"].as_array().cloned().unwrap_or_default();
        let required: Vec<String> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query" && parameter["required"] == true)
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        for (name, schema) in operation.parameters("query") {
            let wrong: &[&str] = match schema["type"].as_str() {
                Some("integer" | "number") => &["garbage", "99999999999999999999", "", "%00"],
                Some("boolean") => &["garbage", "%00"],
                Some("string") if schema["enum"].is_array() || schema["format"].is_string() => &["garbage", "%00"],
                _ => &["a%00b"],
            };
            for value in wrong {
                let others = required.iter().filter(|other| **other != name).map(|other| format!("&{other}=1")).collect::<String>();
                let path = format!("{}?{name}={value}{others}", operation.address(None));
                let what = format!("{} {path}", operation.method);
                findings.field_named(&name, &what, &ada.send(ada.request(operation.method.clone(), &path)).await);
            }
        }
    }
    findings.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_a_body_is_named() {
    let app = start().await;
    let (ada, mut findings) = (administrator(&app).await, Findings::default());
    for operation in operations() {
        let Some(schema) = operation.body() else { continue };
        let (path, what) = (operation.address(None), format!("{} {}", operation.method, operation.path));
        let send = |body: String, kind: &'static str| {
            ada.send(ada.request(operation.method.clone(), &path).header("content-type", kind).body(body))
        };
        for broken in ["{", "", "nonsense", "{\"a"] {
            findings.refused_with(400, &format!("{what} with {broken:?}"), &send(broken.to_owned(), "application/json").await);
        }
        let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
        findings.refused(&format!("{what} with a deep body"), &send(deep, "application/json").await);
        if operation.about["requestBody"]["content"].as_object().is_some_and(|kinds| kinds.len() == 1) {
            let reply = send("{}".to_owned(), "text/plain").await;
            let problem = findings.refused_with(415, &format!("{what} as text"), &reply);
            findings.check(problem["code"] == "unsupported_media_type", &format!("{what}: another code"), &reply);
        }
        for of_another_kind in ["7", "\"text\"", "true"] {
            findings.refused_with(
                422,
                &format!("{what} with {of_another_kind}"),
                &send(of_another_kind.to_owned(), "application/json").await,
            );
        }
        for list in ["[]", "[null, null]"] {
            findings.refused(&format!("{what} with {list}"), &send(list.to_owned(), "application/json").await);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(wrong) = of_another_type(&resolve(property)) {
                let body = Map::from_iter([(name.clone(), wrong)]);
                let reply = send(Value::Object(body).to_string(), "application/json").await;
                let what = format!("{what} with a wrong {name}");
                let problem = findings.refused_with(422, &what, &reply);
                findings.check(problem["fields"].as_array().is_some_and(|fields| !fields.is_empty()), &format!("{what}: no field"), &reply);
            }
            let body = json!({ name: "a\0b" });
            findings.field_named(name, &format!("{what} with a NUL in {name}"), &send(body.to_string(), "application/json").await);
        }
    }
    findings.none();
}

/// A value that the type surely does not take.
fn of_another_type(schema: &Value) -> Option<Value> {
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    if types.contains(&"string") { Some(json!({ "no": "text" })) } else { Some(json!("nothing of the kind")) }
}
