//! The document as a page of our own look: no library, nothing from elsewhere, all of it readable without a script.

use std::fmt::Write;

use pulldown_cmark::{Parser, html::push_html};
use serde_json::Value;

use super::each_operation;

const TOKENS: &str = include_str!("../../../../style/tokens.css");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const TYPES: &str = "#/components/schemas/";

/// Written once; what differs from one answer to the next is put between the pieces.
pub struct Page {
    body: String,
}

impl Page {
    pub fn of(document: &Value) -> Self {
        let mut body = String::with_capacity(1 << 20);
        write_body(&mut body, document);
        Self { body }
    }

    /// `theme` is the value of `data-theme`, if somebody has chosen one.
    pub fn show(&self, nonce: &str, theme: Option<&str>) -> String {
        let theme = theme.map(|theme| format!(" data-theme=\"{theme}\"")).unwrap_or_default();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"{theme}><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>API of cloudxdevai</title><link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\
             <style>{TOKENS}{STYLE}</style></head><body>{}<script nonce=\"{}\">{SCRIPT}</script></body></html>\n",
            self.body,
            escape(nonce)
        )
    }
}

fn write_body(out: &mut String, document: &Value) {
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    out.push_str("<a class=\"skip\" href=\"#operations\">Skip to the operations</a><header><a href=\"/\">cloudxdevai</a><span>API ");
    out.push_str(&escape(text(&document["info"]["version"])));
    out.push_str(
        "</span><a class=\"end\" href=\"/api/openapi.json\">openapi.json</a></header><div class=\"cols\"><nav aria-label=\"Chapters\"><ul>",
    );
    for tag in &tags {
        let name = text(&tag["name"]);
        let _ = write!(out, "<li><a href=\"#{}\">{}</a></li>", slug(name), escape(name));
    }
    out.push_str("<li><a href=\"#types\">Types</a></li></ul></nav><main><h1>The contract for programs</h1>");
    markdown(out, text(&document["info"]["description"]));
    out.push_str(
        "<p class=\"filter\" hidden><label for=\"filter\">Filter</label><input id=\"filter\" type=\"search\" autocomplete=\"off\" \
         placeholder=\"Path, word or method\"><span role=\"status\"></span></p><div id=\"operations\">",
    );
    for tag in &tags {
        let name = text(&tag["name"]);
        let _ = write!(out, "<section aria-labelledby=\"{0}\"><h2 id=\"{0}\">{1}</h2>", slug(name), escape(name));
        markdown(out, text(&tag["description"]));
        for (path, method, operation) in each_operation(document).filter(|(.., operation)| operation["tags"][0] == tag["name"]) {
            write_operation(out, document, path, &method, operation);
        }
        out.push_str("</section>");
    }
    out.push_str("</div><section aria-labelledby=\"types\"><h2 id=\"types\">Types</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = write!(out, "<details class=\"type\" id=\"type-{0}\"><summary><code>{0}</code></summary><div>", escape(name));
        markdown(out, text(&schema["description"]));
        write_type(out, schema);
        out.push_str("</div></details>");
    }
    out.push_str("</section></main></div>");
}

fn write_operation(out: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let _ = write!(
        out,
        "<details class=\"op\" id=\"{}\"><summary><b class=\"{}\">{method}</b><code>{}</code><span>{}</span></summary><div>",
        escape(text(&operation["operationId"])),
        method.to_lowercase(),
        escape(path).replace('/', "<wbr>/"),
        escape(text(&operation["summary"])),
    );
    markdown(out, text(&operation["description"]));
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        out.push_str("<h3>Parameters</h3><dl>");
        for parameter in parameters {
            let required = if parameter["required"] == true { "" } else { ", optional" };
            let about = first_of(&parameter["description"], &parameter["schema"]["description"]);
            write_field(out, text(&parameter["name"]), &format!("{}{required}", text(&parameter["in"])), &parameter["schema"], about);
        }
        out.push_str("</dl>");
    }
    if let Some(content) = operation["requestBody"]["content"].as_object() {
        out.push_str("<h3>Body</h3>");
        write_content(out, content);
    }
    out.push_str("<h3>Answers</h3><dl>");
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let answer = follow(document, answer);
        let _ = write!(out, "<dt><code>{status}</code></dt><dd>{}", escape(text(&answer["description"])));
        if let Some(content) = answer["content"].as_object().filter(|_| !status.starts_with(['4', '5'])) {
            write_content(out, content);
        }
        out.push_str("</dd>");
    }
    out.push_str("</dl></div></details>");
}

fn write_content(out: &mut String, content: &serde_json::Map<String, Value>) {
    for (media_type, body) in content {
        let _ = write!(out, "<p><code>{}</code> ", escape(media_type));
        let schema = ["schema", "x-line-schema", "x-event-schema"].iter().map(|key| &body[key]).find(|schema| !schema.is_null());
        if let Some(schema) = schema {
            out.push_str(&words(schema));
        }
        out.push_str("</p>");
        if body["schema"]["properties"].is_object() {
            write_type(out, &body["schema"]);
        }
        if !body["example"].is_null() {
            let _ = write!(out, "<pre tabindex=\"0\">{}</pre>", escape(&format!("{:#}", body["example"])));
        }
    }
}

/// The fields of an object, the words of an enumeration, or the kinds of a choice.
fn write_type(out: &mut String, schema: &Value) {
    for part in schema["allOf"].as_array().into_iter().flatten() {
        write_type(out, part);
    }
    if let Some(kinds) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        out.push_str("<p>One of:</p><ul>");
        for kind in kinds {
            out.push_str("<li>");
            if !kind["properties"].is_object() {
                out.push_str(&words(kind));
                out.push(' ');
            }
            out.push_str(&escape(text(&kind["description"])));
            if kind["properties"].is_object() {
                write_type(out, kind);
            }
            out.push_str("</li>");
        }
        out.push_str("</ul>");
    }
    let Some(properties) = schema["properties"].as_object() else {
        if schema["oneOf"].is_null() && schema["anyOf"].is_null() && schema["allOf"].is_null() {
            let _ = write!(out, "<p>{}</p>", words(schema));
        }
        return;
    };
    out.push_str("<dl>");
    for (name, property) in properties {
        let required = schema["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name));
        write_field(out, name, if required { "" } else { "optional" }, property, text(&property["description"]));
    }
    out.push_str("</dl>");
}

fn write_field(out: &mut String, name: &str, place: &str, schema: &Value, about: &str) {
    let _ = write!(out, "<dt><code>{}</code> <small>{}</small></dt><dd>{}", escape(name), escape(place), words(schema));
    if !about.is_empty() {
        out.push_str(". ");
        let mut html = String::new();
        markdown(&mut html, about);
        out.push_str(html.trim().strip_prefix("<p>").and_then(|html| html.strip_suffix("</p>")).unwrap_or(&html));
    }
    out.push_str("</dd>");
}

/// A type in a few words, as HTML; named types are links.
fn words(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix(TYPES)) {
        return format!("<a href=\"#type-{0}\">{0}</a>", escape(name));
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", escape(&value.to_string()));
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|value| format!("<code>{}</code>", escape(&value.to_string()))).collect::<Vec<_>>().join(" or ");
    }
    if let Some(options) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        return options.iter().map(words).collect::<Vec<_>>().join(" or ");
    }
    if let Some([only]) = schema["allOf"].as_array().map(Vec::as_slice) {
        return words(only);
    }
    let named = |name: &str| match (name, schema["format"].as_str()) {
        ("array", _) if schema["items"].is_object() => format!("list of {}", words(&schema["items"])),
        ("object", _) if schema["additionalProperties"].is_object() => format!("map to {}", words(&schema["additionalProperties"])),
        (name, Some(format)) if name != "null" => format!("{} ({})", escape(name), escape(format)),
        (name, _) => escape(name),
    };
    match &schema["type"] {
        Value::String(name) => named(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(named).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    }
}

fn follow<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let reference = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    reference.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn first_of<'a>(one: &'a Value, other: &'a Value) -> &'a str {
    one.as_str().filter(|text| !text.is_empty()).unwrap_or_else(|| text(other))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn markdown(out: &mut String, source: &str) {
    push_html(out, Parser::new(source));
}

fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
