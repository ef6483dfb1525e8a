//! Models people may pick, the providers that serve them, and what each version was measured to do.

use serde::{Deserialize, Serialize};

use crate::{FieldError, Micros, ModelId, ModelVersionId, ProviderId, users::UserRef};

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Chat completions, as most servers offer them.
    OpenaiChat,
    OpenaiResponses,
    Anthropic,
    Gemini,
    Ollama,
    /// The script that is built in. Not an AI.
    Demo,
}

impl ProviderKind {
    /// Those that an administrator can add.
    pub const CHOICES: [Self; 5] = [Self::OpenaiChat, Self::OpenaiResponses, Self::Anthropic, Self::Gemini, Self::Ollama];

    pub fn word(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiResponses => "openai_responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Demo => "demo",
        }
    }

    /// As people read it.
    pub fn title(self) -> &'static str {
        match self {
            Self::OpenaiChat => "OpenAI chat completions",
            Self::OpenaiResponses => "OpenAI responses",
            Self::Anthropic => "Anthropic",
            Self::Gemini => "Gemini",
            Self::Ollama => "Ollama",
            Self::Demo => "Built in",
        }
    }

    /// Where it is reached when nobody says otherwise.
    pub fn default_base_url(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
            Self::Gemini => "https://generativelanguage.googleapis.com",
            Self::Ollama => "http://127.0.0.1:11434",
            Self::Demo => "demo:",
        }
    }
}

/// Micro-US-dollars per million tokens. `cached` is what input read from the provider's cache costs, `cache_write` input that it keeps there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Prices {
    pub input: i64,
    pub output: i64,
    pub cached: i64,
    /// `None`: a quarter more than other input, which is what providers that charge for it ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<i64>,
}

impl Prices {
    /// Of input that the provider writes into its cache.
    pub fn of_cache_writes(&self) -> i64 {
        self.cache_write.unwrap_or_else(|| self.input.saturating_add(self.input / 4 + i64::from(self.input % 4 > 0)))
    }
}

/// What was measured over the last 30 days; `None` without data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ModelMetrics {
    pub calls: i64,
    /// Median.
    pub first_token_ms: Option<i64>,
    pub tokens_per_second: Option<f64>,
    /// Share of calls that ended well, 0 to 1. Calls that a person stopped do not count.
    pub success_rate: Option<f64>,
    /// Share of decided hunks that were accepted, 0 to 1.
    pub acceptance_rate: Option<f64>,
}

/// A model as the picker shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ModelInfo {
    pub name: String,
    pub provider: String,
    /// A script that shows the product offline. It must be labelled as not an AI.
    pub is_demo: bool,
    pub version_id: ModelVersionId,
    /// Counts up with every change of the model's settings.
    pub version: i64,
    pub context_tokens: Option<i64>,
    pub max_output: Option<i64>,
    pub images: bool,
    pub prices: Prices,
    #[serde(default)]
    pub temperature: f32,
    /// Asked for in the provider's words, such as `low` or `high`.
    #[serde(default)]
    pub reasoning: Option<String>,
    pub metrics: ModelMetrics,
    pub active: bool,
    /// The caller's own key is used.
    pub own_key: bool,
    /// It can't be used before the caller has set a key of their own.
    pub needs_key: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Models {
    /// Empty when none is configured; `hint` then says how to connect one.
    pub items: Vec<ModelInfo>,
    pub default: Option<String>,
    pub hint: String,
}

/// What is known of a key that is kept sealed. The key itself never leaves the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum KeyState {
    Missing,
    /// `hint` is its last characters behind dots.
    Set {
        hint: String,
    },
    /// Given by the operator's environment.
    Environment,
    /// It was for `host`, and the provider is reached elsewhere now. It was deleted.
    Void {
        host: String,
    },
    /// It was sealed with another `SECRET_KEY`.
    Unreadable,
}

impl KeyState {
    pub fn is_usable(&self) -> bool {
        matches!(self, Self::Set { .. } | Self::Environment)
    }
}

/// Where models are reached, as administrators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Provider {
    pub id: ProviderId,
    pub name: String,
    pub kind: ProviderKind,
    pub base_url: String,
    /// Name and port that its key is bound to.
    pub host: String,
    pub key: KeyState,
    /// People may use keys of their own.
    pub own_keys: bool,
    pub active: bool,
    /// Configured by the operator's environment: address and key are changed there.
    pub from_environment: bool,
    pub created_at: Micros,
    /// Named by whoever changes it.
    pub revision: i64,
    /// Keys of people that were deleted by the change that this answers.
    #[serde(default)]
    pub voided_keys: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreateProvider {
    pub name: String,
    pub kind: ProviderKind,
    /// Empty for where the kind is usually reached.
    #[serde(default)]
    pub base_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(default)]
    pub own_keys: bool,
}

/// What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct UpdateProvider {
    /// The revision that was looked at.
    pub revision: i64,
    pub name: Option<String>,
    pub kind: Option<ProviderKind>,
    pub base_url: Option<String>,
    /// Replaces the key; empty removes it.
    pub key: Option<String>,
    pub own_keys: Option<bool>,
    pub active: Option<bool>,
}

/// What a provider answered when it was asked for its models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProviderTest {
    pub ok: bool,
    /// What happened, for people.
    pub detail: String,
    /// The provider's own names.
    pub models: Vec<String>,
    pub elapsed_ms: i64,
}

/// Who may use a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    #[default]
    Everyone,
    Administrators,
}

/// What makes a version: with any change of it, a new one begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ModelSettings {
    /// The provider's name for it.
    pub remote_name: String,
    /// What it reads at most, its answer included.
    pub context_tokens: i64,
    /// The longest answer.
    pub max_output: i64,
    pub images: bool,
    pub prices: Prices,
    pub temperature: f32,
    /// Asked for in the provider's words, such as `low` or `high`.
    pub reasoning: Option<String>,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            remote_name: String::new(),
            context_tokens: 128_000,
            max_output: 8192,
            images: false,
            prices: Prices::default(),
            temperature: 0.2,
            reasoning: None,
        }
    }
}

/// Dollars per million tokens that no provider asks for.
const PRICE_MAX: i64 = 10_000 * 1_000_000;
pub const NAME_MAX: usize = 100;
pub const KEY_MAX: usize = 4096;

impl ModelSettings {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        let mut refuse = |field: &str, message: &str| fields.push(FieldError::new(field, message));
        if self.remote_name.trim().is_empty() || self.remote_name.len() > 200 || self.remote_name.chars().any(char::is_control) {
            refuse("remote_name", "Give the provider's name of the model, up to 200 characters.");
        }
        if !(1024..=20_000_000).contains(&self.context_tokens) {
            refuse("context_tokens", "Choose 1024 to 20 million tokens.");
        }
        if !(16..=2_000_000).contains(&self.max_output) || self.max_output >= self.context_tokens {
            refuse("max_output", "Choose 16 to 2 million tokens, and fewer than the context.");
        }
        let Prices { input, output, cached, cache_write } = self.prices;
        for (field, price) in [("input", input), ("output", output), ("cached", cached), ("cache_write", cache_write.unwrap_or_default())] {
            if !(0..=PRICE_MAX).contains(&price) {
                refuse(&format!("prices.{field}"), "Choose 0 to 10000 dollars per million tokens.");
            }
        }
        if !(0.0..=2.0).contains(&self.temperature) {
            refuse("temperature", "Choose 0 to 2.");
        }
        if self.reasoning.as_ref().is_some_and(|word| !is_word(word)) {
            refuse("reasoning", "Give one word, such as low, medium or high, or leave it empty.");
        }
        fields
    }
}

fn is_word(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ModelVersion {
    pub id: ModelVersionId,
    pub number: i64,
    pub settings: ModelSettings,
    pub kind: ProviderKind,
    pub host: String,
    pub created_at: Micros,
    pub created_by: Option<UserRef>,
    pub metrics: ModelMetrics,
}

/// A model as administrators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ManagedModel {
    pub id: ModelId,
    pub provider_id: ProviderId,
    pub provider: String,
    pub name: String,
    pub active: bool,
    pub audience: Audience,
    /// Named by whoever changes it.
    pub revision: i64,
    /// It answers when nobody picks one.
    pub is_default: bool,
    /// It answers when another one fails before its first token.
    pub is_backup: bool,
    /// Configured by the operator's environment.
    pub from_environment: bool,
    pub current: ModelVersion,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreateModel {
    pub provider_id: ProviderId,
    /// What people see.
    pub name: String,
    pub settings: ModelSettings,
    #[serde(default = "yes")]
    pub active: bool,
    #[serde(default)]
    pub audience: Audience,
}

fn yes() -> bool {
    true
}

/// What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct UpdateModel {
    /// The revision that was looked at.
    pub revision: i64,
    pub name: Option<String>,
    pub active: Option<bool>,
    pub audience: Option<Audience>,
    /// Other settings than the current ones make a new version.
    pub settings: Option<ModelSettings>,
}

/// All that administrators see of models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ModelAdmin {
    pub providers: Vec<Provider>,
    pub models: Vec<ManagedModel>,
    pub choices: ModelChoices,
    /// Hosts that may be used, besides those of the environment, for people.
    pub hosts: String,
    /// Where the models go on, over REST; there `limit` and `cursor` cut them into pages. All the rest is on each.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// Which models answer without being picked, by name. Absent: as the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ModelChoices {
    pub default: Option<String>,
    pub backup: Option<String>,
    /// Counts their changes; what was never chosen has 0. In a request, what it is based on: another one is a conflict. Absent, whatever
    /// is there is replaced.
    pub revision: Option<i64>,
}

/// A provider for which the caller may set a key of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OwnKey {
    pub provider_id: ProviderId,
    pub provider: String,
    pub kind: ProviderKind,
    pub host: String,
    pub key: KeyState,
    pub set_at: Option<Micros>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SetOwnKey {
    pub key: String,
}

/// `$3.00`, `$0.15`, `free`: dollars per million tokens.
pub fn show_price(micros_usd: i64) -> String {
    if micros_usd == 0 {
        return "free".to_owned();
    }
    let text = format!("{:.6}", micros_usd as f64 / 1e6);
    let text = text.trim_end_matches('0');
    let decimals = text.len() - text.find('.').unwrap_or(text.len() - 1) - 1;
    format!("${text}{}", "0".repeat(2_usize.saturating_sub(decimals)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_shown_in_dollars() {
        assert_eq!(
            [0, 3_000_000, 150_000, 75_000, 1, 12_500_000].map(show_price),
            ["free", "$3.00", "$0.15", "$0.075", "$0.000001", "$12.50"]
        );
    }

    #[test]
    fn cache_writes_cost_a_quarter_more_unless_told_otherwise() {
        let unset = Prices { input: 3_000_001, ..Prices::default() };
        assert_eq!((unset.of_cache_writes(), Prices { cache_write: Some(0), ..unset }.of_cache_writes()), (3_750_002, 0));
        assert_eq!(Prices::default().of_cache_writes(), 0);
        assert!(!serde_json::to_string(&unset).unwrap().contains("cache_write"));
        assert_eq!(serde_json::from_str::<Prices>(r#"{"input":3000001,"output":0,"cached":0}"#).unwrap(), unset);
    }

    #[test]
    fn kinds_are_one_word_on_the_wire() {
        for kind in [ProviderKind::CHOICES.as_slice(), &[ProviderKind::Demo]].concat() {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
    }

    #[test]
    fn wrong_settings_are_named_by_their_fields() {
        let good = ModelSettings { remote_name: "m".to_owned(), ..ModelSettings::default() };
        assert_eq!(good.validate(), []);
        let wrong = ModelSettings {
            remote_name: " ".to_owned(),
            max_output: 128_000,
            prices: Prices { input: -1, cache_write: Some(-1), ..Prices::default() },
            temperature: f32::NAN,
            reasoning: Some("very high".to_owned()),
            ..good
        };
        let names: Vec<_> = wrong.validate().into_iter().map(|field| field.field).collect();
        assert_eq!(names, ["remote_name", "max_output", "prices.input", "prices.cache_write", "temperature", "reasoning"]);
    }
}
