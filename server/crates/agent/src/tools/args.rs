//! Arguments as models write them: mostly right, sometimes a number in quotes.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::ToolError;
use crate::text::cut_end;

const AGAIN: &str = "Make the call again with the arguments the tool describes.";
/// Bytes of a wrong value that are shown.
const VALUE_SHOWN: usize = 80;

/// Reads the arguments of a call; what is wrong goes back to the model.
pub fn parse<T: DeserializeOwned>(arguments: &str) -> Result<T, ToolError> {
    serde_json::from_str(or_object(arguments))
        .map_err(|error| ToolError::refused(format!("Not run: the arguments do not fit ({error}). {AGAIN}"), "Arguments do not fit"))
}

fn or_object(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}

/// Compares arguments with a tool's JSON Schema as far as its first level goes: a JSON object, nothing missing, each field of the right type.
/// `Err` is a sentence for the model that names the field. A field that the schema does not know is let through.
pub fn check(schema: &Value, arguments: &str) -> Result<(), String> {
    let fields = match serde_json::from_str(or_object(arguments)) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err("Not run: the arguments must be a JSON object. Make the call again with an object.".to_owned()),
        Err(error) => return Err(format!("Not run: the arguments are not valid JSON ({error}). Make the call again with valid JSON.")),
    };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(name) = required.iter().find(|name| fields.get(**name).is_none_or(Value::is_null)) {
        return Err(format!("Not run: {name} is missing. {AGAIN}"));
    }
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let Some(kind) = schema["properties"][name]["type"].as_str() else { continue };
        if !is_of(kind, value) {
            let shown = cut_end(&value.to_string(), VALUE_SHOWN);
            return Err(format!("Not run: {name} must be {}, not {shown}. {AGAIN}", words_for(kind)));
        }
        if kind == "array"
            && let (Some(kind), Some(items)) = (schema["properties"][name]["items"]["type"].as_str(), value.as_array())
            && let Some((n, item)) = items.iter().enumerate().find(|(_, item)| !is_of(kind, item))
        {
            let shown = cut_end(&item.to_string(), VALUE_SHOWN);
            return Err(format!("Not run: entry {} of {name} must be {}, not {shown}. {AGAIN}", n + 1, words_for(kind)));
        }
    }
    Ok(())
}

/// As lenient as [`count`] and [`switch`] are.
fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).is_some_and(|n| n.fract() == 0.0),
        "number" => value.is_number() || value.as_str().is_some_and(|text| text.trim().parse::<f64>().is_ok()),
        "boolean" => {
            value.is_boolean() || value.as_str().is_some_and(|t| t.eq_ignore_ascii_case("true") || t.eq_ignore_ascii_case("false"))
        }
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn words_for(kind: &str) -> &'static str {
    match kind {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "an object",
    }
}

/// A count that may come as `12`, `"12"`, `12.0` or null.
pub fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = match &value {
        Value::Null => return Ok(None),
        Value::Number(n) => n.as_u64().or_else(|| n.as_f64().filter(|f| *f >= 0.0 && f.fract() == 0.0).map(|f| f as u64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.map(Some).ok_or_else(|| serde::de::Error::custom(format!("{value} is not a whole number")))
}

/// A switch that may come as `true`, `"true"` or null.
pub fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(false),
        Value::Bool(on) => Ok(on),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        other => Err(serde::de::Error::custom(format!("{other} is not true or false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Sample {
        path: String,
        #[serde(default, deserialize_with = "count")]
        line: Option<u64>,
        #[serde(default, deserialize_with = "switch")]
        all: bool,
    }

    #[test]
    fn accepts_what_models_write() {
        for text in [
            r#"{"path":"a","line":3,"all":true}"#,
            r#"{"path":"a","line":"3","all":"True","extra":1}"#,
            r#"{"path":"a","line":3.0,"all":true}"#,
        ] {
            assert_eq!(parse::<Sample>(text).unwrap(), Sample { path: "a".into(), line: Some(3), all: true });
        }
        assert_eq!(parse::<Sample>(r#"{"path":"a","line":null,"all":null}"#).unwrap().line, None);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let schema = serde_json::json!({
            "properties": {
                "path": {"type": "string"},
                "line": {"type": "integer"},
                "all": {"type": "boolean"},
                "steps": {"type": "array", "items": {"type": "string"}},
                "free": {}
            },
            "required": ["path"]
        });
        for good in
            [r#"{"path":"a"}"#, r#"{"path":"a","line":"3","all":"TRUE","x":[],"free":1,"steps":["b"]}"#, r#"{"path":"a","line":null}"#]
        {
            assert_eq!(check(&schema, good), Ok(()), "{good}");
        }
        for (wrong, said) in [
            ("", "path is missing"),
            (r#"{"path":null}"#, "path is missing"),
            (r#"{"path":3}"#, "path must be text, not 3"),
            (r#"{"path":"a","line":1.5}"#, "line must be a whole number, not 1.5"),
            (r#"{"path":"a","line":"x"}"#, "line must be a whole number"),
            (r#"{"path":"a","all":1}"#, "all must be true or false"),
            (r#"{"path":"a","steps":"b"}"#, "steps must be a list"),
            (r#"{"path":"a","steps":["b",2]}"#, "entry 2 of steps must be text, not 2"),
            ("[1]", "must be a JSON object"),
            ("{", "not valid JSON"),
        ] {
            assert!(check(&schema, wrong).is_err_and(|text| text.contains(said)), "{wrong}: {:?}", check(&schema, wrong));
        }
    }

    #[test]
    fn says_what_is_missing() {
        assert!(parse::<Sample>("").unwrap_err().to_string().contains("missing field `path`"));
        assert!(parse::<Sample>(r#"{"path":"a","line":"x"}"#).unwrap_err().to_string().contains("not a whole number"));
    }
}
