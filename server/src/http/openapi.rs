//! The document of the API, OpenAPI 3.1: what the types of the handlers say, and a sentence for each route.

mod document;
mod examples;
mod operations;
mod page;
mod schemas;
pub mod signature;

use std::{collections::BTreeSet, sync::LazyLock};

use app::ui::Theme;
use axum::{
    Extension,
    http::{HeaderMap, Method, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::Value;

use super::{
    middleware::Nonce,
    routes::{Access, Route, Routes},
};
use signature::{Input, Output, Signature, get};

/// The whole document.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document::write(&declared(), &operations::all()));
    &DOCUMENT
}

/// As it is kept in the repository: one line for each value, so that a change can be read.
pub fn document_text() -> String {
    format!("{:#}\n", document())
}

fn declared() -> Vec<(Route, Option<Signature>)> {
    super::declare().described()
}

/// What keeps the document from being whole, in sentences; a test wants none.
pub fn gaps() -> Vec<String> {
    let (routes, operations) = (declared(), operations::all());
    let mut gaps = Vec::new();
    let mut names = BTreeSet::new();
    for (route, signature) in routes.iter().filter(|(route, _)| !route.path.starts_with("/fn/")) {
        let at = format!("{} {}", route.method, route.path);
        let Some(signature) = signature else {
            gaps.push(format!("{at}: take get, post and so on from http::openapi::signature, not from axum::routing"));
            continue;
        };
        let Some(operation) = operations.iter().find(|o| route.method == o.method && route.path == o.path) else {
            gaps.push(format!("{at}: has no entry in http/openapi/operations"));
            continue;
        };
        gaps.extend(unread_examples(signature, operation).into_iter().map(|why| format!("{at}: {why}")));
        gaps.extend(unread_bodies(route, signature).into_iter().map(|why| format!("{at}: {why}")));
    }
    for operation in &operations {
        let at = (operation.method, operation.path);
        if !routes.iter().any(|(route, _)| route.method == at.0 && route.path == at.1) {
            gaps.push(format!("{} {}: has an entry and no route", at.0, at.1));
        }
        if !names.insert(at) {
            gaps.push(format!("{} {}: has two entries", at.0, at.1));
        }
    }
    let mut ids = BTreeSet::new();
    for (path, method, operation) in each_operation(document()) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        if !ids.insert(id) {
            gaps.push(format!("{method} {path}: another operation is called {id} too; name the function otherwise"));
        }
        let success = |status: &String| status.starts_with(['1', '2', '3']);
        if !operation["responses"].as_object().is_some_and(|answers| answers.keys().any(success)) {
            gaps.push(format!("{method} {path}: says nothing about what it answers when all is well"));
        }
    }
    gaps
}

fn unread_examples(signature: &Signature, operation: &operations::Operation) -> Vec<String> {
    let mut found = Vec::new();
    let mut try_out = |what: &str, text: &str, shape: Option<signature::Shape>| {
        if text.is_empty() {
            return;
        }
        match shape.map(|shape| (shape.read)(text)) {
            Some(Ok(())) => {}
            Some(Err(error)) => found.push(format!("its example of {what} can't be read: {error}")),
            None => found.push(format!("has an example of {what}, which its types have none of")),
        }
    };
    let body = signature.inputs.iter().find_map(|input| match input {
        Input::Json(shape) | Input::Form(shape) => Some(*shape),
        _ => None,
    });
    let answer = match signature.output {
        Output::Json(shape) => Some(shape),
        _ => None,
    };
    try_out("a request", operation.asks, body);
    try_out("an answer", operation.says, answer);
    found
}

/// Every body of the document has an example, which its type understands.
fn unread_bodies(route: &Route, signature: &Signature) -> Vec<String> {
    let mut found = Vec::new();
    let operation = &document()["paths"][route.path.replace("{*", "{")][route.method.as_str().to_lowercase()];
    let mut try_out = |what: &str, shape: &signature::Shape, content: &Value| match content.get("example") {
        Some(example) => {
            if let Err(error) = (shape.read)(&example.to_string()) {
                found.push(format!("its example of {what} can't be read: {error}: {example}"));
            }
        }
        None => found.push(format!("has no example of {what}")),
    };
    for input in &signature.inputs {
        match input {
            Input::Json(shape) => try_out("a request", shape, &operation["requestBody"]["content"]["application/json"]),
            Input::Form(shape) => try_out("a request", shape, &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]),
            _ => {}
        }
    }
    if let Output::Json(shape) = &signature.output {
        for (_, answer) in operation["responses"].as_object().into_iter().flatten().filter(|(status, _)| status.starts_with('2')) {
            let content = &answer["content"]["application/json"];
            if !content.is_null() {
                try_out("an answer", shape, content);
            }
        }
    }
    found
}

/// Path, method in capitals, operation.
fn each_operation(document: &Value) -> impl Iterator<Item = (&str, String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, methods)| {
        methods.as_object().into_iter().flatten().map(move |(method, operation)| (path.as_str(), method.to_uppercase(), operation))
    })
}

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/api/openapi.json", Access::Public, get(json)).add(Method::GET, "/api/docs", Access::Public, get(docs))
}

async fn json() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], TEXT.as_str()).into_response()
}

/// Complete without a script; the one it has filters and unfolds.
async fn docs(Extension(nonce): Extension<Nonce>, headers: HeaderMap) -> Response {
    static PAGE: LazyLock<page::Page> = LazyLock::new(|| page::Page::of(document()));
    let cookies = headers.get(header::COOKIE).and_then(|cookies| cookies.to_str().ok()).unwrap_or_default();
    let theme = Theme::from_cookies(cookies).attribute();
    ([(header::CACHE_CONTROL, "private, no-cache")], Html(PAGE.show(&nonce.0, theme))).into_response()
}
