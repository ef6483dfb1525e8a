//! One question to a model, without project, tools or conversation.

use serde::{Deserialize, Serialize};

use crate::{FieldError, Problem, limits};

pub const TEMPERATURE_MAX: f32 = 2.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Generate {
    pub prompt: String,
    /// Tokens of the answer, at most what the model writes.
    #[serde(default)]
    pub max_tokens: Option<i64>,
    /// 0 to 2.
    #[serde(default)]
    pub temperature: Option<f32>,
    /// The default model where absent.
    #[serde(default)]
    pub model: Option<String>,
}

impl Generate {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if self.prompt.is_empty() {
            fields.push(FieldError::new("prompt", "Write what the model should answer."));
        } else if self.prompt.chars().count() > limits::PROMPT_MAX_CHARS {
            fields.push(FieldError::new("prompt", "A prompt has at most 100 000 characters."));
        }
        fields.extend(check_answer(self.temperature, self.max_tokens));
        fields
    }
}

/// What can be said of an answer's bounds without knowing the model that writes it.
pub fn check_answer(temperature: Option<f32>, max_tokens: Option<i64>) -> Vec<FieldError> {
    let mut fields = Vec::new();
    if temperature.is_some_and(|value| !(0.0..=TEMPERATURE_MAX).contains(&value)) {
        fields.push(FieldError::new("temperature", "Choose 0 to 2."));
    }
    if max_tokens.is_some_and(|tokens| tokens < 1) {
        fields.push(FieldError::new("max_tokens", "Choose at least 1 token."));
    }
    fields
}

/// What an answer used and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct GenerateUsage {
    pub input: i64,
    pub output: i64,
    pub cached: i64,
    /// Micro-US-dollars.
    pub cost_micros: i64,
    /// The provider did not count; we did.
    pub estimated: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Generated {
    pub text: String,
    pub model: String,
    /// The model that was asked first and failed before its first token; `model` is its backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    pub usage: GenerateUsage,
    /// The answer reached `max_tokens`.
    #[serde(default)]
    pub cut: bool,
}

/// What the socket says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum GenerateNotice {
    Delta {
        text: String,
    },
    Done {
        model: String,
        /// As in [`Generated`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead_of: Option<String>,
        usage: GenerateUsage,
        cut: bool,
    },
    /// No answer, or not all of one. The socket stays open for the next prompt.
    Error {
        problem: Problem,
    },
}

/// What a client says while an answer comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum GenerateControl {
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_told_by_field() {
        let good = Generate { prompt: "x".repeat(100_000), max_tokens: Some(1), temperature: Some(2.0), model: None };
        assert_eq!(good.validate(), []);
        let wrong = Generate { prompt: "é".repeat(100_001), max_tokens: Some(0), temperature: Some(f32::NAN), model: None };
        let names: Vec<_> = wrong.validate().into_iter().map(|field| field.field).collect();
        assert_eq!(names, ["prompt", "temperature", "max_tokens"]);
        assert_eq!(Generate { prompt: String::new(), ..good }.validate()[0].field, "prompt");
    }
}
