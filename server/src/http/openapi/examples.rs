//! An example for every body that has none written by hand: the shape comes from the schema, the words from the names of its
//! fields. A test reads each back as the type it stands for.

use serde_json::{Map, Value, json};

const ID: &str = "0199f1a2-7c3e-7b1a-9d50-3f0c8e1b2a44";
const TIME: &str = "2026-11-22T13:20:00Z";
/// Types that hold themselves, such as a folder, end here.
const DEEPEST: usize = 8;

/// Fills in what is missing in all operations of `paths`; `types` are the components that their schemas refer to.
pub fn complete<'a>(operations: impl Iterator<Item = &'a mut Value>, types: &Map<String, Value>) {
    for operation in operations {
        if let Some(body) = operation.get_mut("requestBody") {
            fill(body, types, Side::Asked);
        }
        let answers = operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten();
        for (_, answer) in answers.filter(|(status, _)| status.starts_with('2')) {
            fill(answer, types, Side::Answered);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// What must be there, and no more: the shortest request that is understood.
    Asked,
    /// All that an answer can hold.
    Answered,
}

fn fill(body: &mut Value, types: &Map<String, Value>, side: Side) {
    let Some(contents) = body.get_mut("content").and_then(Value::as_object_mut) else { return };
    for (media_type, content) in contents {
        let wanted = ["application/json", "application/x-www-form-urlencoded"].contains(&media_type.as_str());
        if wanted && content.get("example").is_none() && content.get("schema").is_some() {
            let example = Writer { types, side }.write(&content["schema"], "", 0);
            content["example"] = example;
        }
    }
}

struct Writer<'a> {
    types: &'a Map<String, Value>,
    side: Side,
}

impl Writer<'_> {
    fn write(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let Some(map) = schema.as_object() else { return json!({}) };
        if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
            let name_of_type = reference.rsplit('/').next().unwrap_or_default();
            return self.types.get(name_of_type).map_or(Value::Null, |found| self.write(found, name, depth + 1));
        }
        if let Some(told) = map.get("const").or_else(|| map.get("enum")?.get(0)).or_else(|| map.get("examples")?.get(0)) {
            return told.clone();
        }
        if let Some(told) = map.get("default").filter(|told| !told.is_null() && !is_empty(told)) {
            return told.clone();
        }
        let choices = map.get("oneOf").or_else(|| map.get("anyOf")).and_then(Value::as_array);
        let chosen = choices.and_then(|all| all.iter().find(|one| one["type"] != "null")).map(|one| self.write(one, name, depth + 1));
        let parts = map.get("allOf").and_then(Value::as_array).into_iter().flatten().map(|part| self.write(part, name, depth + 1));
        let own = self.write_plain(map, name, depth);
        std::iter::once(own).chain(parts).chain(chosen).fold(Value::Null, join)
    }

    fn write_plain(&self, map: &Map<String, Value>, name: &str, depth: usize) -> Value {
        let kind = match &map.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
            Some(kind) => kind.as_str(),
            None => map.contains_key("properties").then_some("object"),
        };
        match kind {
            Some("object") => self.write_object(map, depth),
            Some("array") => self.write_list(map, name, depth),
            Some("string") => json!(match map.get("format").and_then(Value::as_str) {
                Some("uuid") => ID,
                Some("date-time") => TIME,
                _ => text_of(name),
            }),
            Some("integer") => json!(map.get("minimum").and_then(Value::as_u64).unwrap_or(0).max(number_of(name))),
            Some("number") => json!(map.get("minimum").and_then(Value::as_f64).unwrap_or(0.0).max(0.5)),
            Some("boolean") => json!(true),
            _ => Value::Null,
        }
    }

    fn write_object(&self, map: &Map<String, Value>, depth: usize) -> Value {
        let required: Vec<&str> = map.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let fields = map.get("properties").and_then(Value::as_object).into_iter().flatten();
        let wanted = |name: &str| required.contains(&name) || (self.side == Side::Answered && depth < DEEPEST);
        let mut object: Map<String, Value> = fields
            .filter(|(name, _)| wanted(name))
            .map(|(name, schema)| (name.clone(), self.write(schema, name, depth + 1)))
            .filter(|(name, value)| required.contains(&name.as_str()) || !value.is_null())
            .collect();
        if object.is_empty()
            && let Some(each) = map.get("additionalProperties").filter(|each| each.is_object() && depth < DEEPEST)
        {
            object.insert("name".to_owned(), self.write(each, "name", depth + 1));
        }
        Value::Object(object)
    }

    fn write_list(&self, map: &Map<String, Value>, name: &str, depth: usize) -> Value {
        if let Some(parts) = map.get("prefixItems").and_then(Value::as_array) {
            return parts.iter().map(|part| self.write(part, name, depth + 1)).collect();
        }
        match map.get("items") {
            Some(items) if depth < DEEPEST => json!([self.write(items, name.strip_suffix('s').unwrap_or(name), depth + 1)]),
            _ => json!([]),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty) || value.as_str() == Some("")
}

/// What two halves of one schema say together.
fn join(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            Value::Object(one)
        }
        (one, Value::Null) => one,
        (_, other) => other,
    }
}

fn number_of(name: &str) -> u64 {
    match name {
        _ if name.ends_with("bytes") || name == "size" => 2048,
        _ if name.ends_with("_micros") => 12_500,
        _ if name.ends_with("_ms") => 40,
        "limit" => 50,
        _ => 1,
    }
}

/// Fields of one name mean one thing all over the contract.
fn text_of(name: &str) -> &str {
    match name {
        "" | "text" | "content" | "message" | "prompt" | "q" => "Reads the sensors on the roof",
        "username" | "who" | "subject_name" | "remote_name" => "ada",
        "full_name" => "Ada Lovelace",
        "email" => "ada@example.org",
        "password" | "new_password" => "a lantern by the mill",
        "path" | "from" | "to" | "target" | "path_pattern" | "filename" | "into" => "src/main.py",
        "command" | "command_pattern" => "python3 -m unittest -v",
        "url" | "base_url" | "uri" => "https://example.org/",
        "url_path" => "/reset?token=cxl_example",
        "host" => "example.org",
        "address" => "192.0.2.7",
        "device" => "Firefox on Linux",
        "media_type" | "content_type" => "text/plain",
        "checksum" | "hash" | "head" | "previous" => "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "secret" | "token" => "cxd_example",
        "code" | "otp" => "123456",
        "model" => "gpt-4o-mini",
        "provider" | "provider_name" => "OpenAI",
        "tool" => "edit_file",
        "token_type" => "Bearer",
        "title" | "name" | "label" => "Weather station",
        other => other,
    }
}
