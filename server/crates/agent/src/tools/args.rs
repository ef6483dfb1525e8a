//! Arguments as models write them: mostly right, sometimes a number in quotes.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::ToolError;

/// Reads the arguments of a call; what is wrong goes back to the model.
pub fn parse<T: DeserializeOwned>(arguments: &str) -> Result<T, ToolError> {
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    serde_json::from_str(text).map_err(|error| {
        ToolError::refused(
            format!("Not run: the arguments do not fit ({error}). Make the call again with the arguments the tool describes."),
            "Arguments do not fit",
        )
    })
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
    fn says_what_is_missing() {
        assert!(parse::<Sample>("").unwrap_err().to_string().contains("missing field `path`"));
        assert!(parse::<Sample>(r#"{"path":"a","line":"x"}"#).unwrap_err().to_string().contains("not a whole number"));
    }
}
