use std::time::Duration;

use domain::models::{EnvironmentProvider, hosts::HostList};
use url::Url;
use wire::models::{ModelSettings, ProviderKind};

use super::parse::Reader;

/// What the environment says about models.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    pub providers: Vec<EnvironmentProvider>,
    pub default_model: Option<String>,
    pub backup_model: Option<String>,
    pub first_byte: Duration,
    pub hosts: HostList,
}

/// Before the name of a model, to say whose it is.
const PREFIXES: &[(&str, &str)] = &[("openai", "gpt"), ("anthropic", "claude"), ("gemini", "gemini"), ("ollama", "")];

pub fn read(read: &mut Reader) -> ModelConfig {
    let mut providers = read_providers(read);
    let base = ModelSettings {
        max_output: i64::from(read.number("AI_MAX_TOKENS", 16, 1_000_000)),
        temperature: read_temperature(read),
        ..ModelSettings::default()
    };
    let default_model = read_model(read, "AI_DEFAULT_MODEL", &base, &mut providers);
    let backup_model = read_model(read, "AI_BACKUP_MODEL", &base, &mut providers);
    let speaks_openai = providers.iter().any(|provider| provider.env_name == "openai");
    if speaks_openai && default_model.is_none() {
        read.refuse("AI_DEFAULT_MODEL", "must name the model to use when OPENAI_BASE_URL or OPENAI_API_KEY is set");
    }
    let hosts = HostList::parse(&read.list("AI_ALLOWED_HOSTS")).unwrap_or_else(|_| {
        read.refuse("AI_ALLOWED_HOSTS", "must be hosts such as models.example.org, 10.0.0.5:8000, *.example.org or *, separated by commas");
        HostList::default()
    });
    let first_byte = Duration::from_secs(u64::from(read.number("AI_REQUEST_TIMEOUT", 1, 3600)));
    ModelConfig { providers, default_model, backup_model, first_byte, hosts }
}

fn read_temperature(read: &mut Reader) -> f32 {
    match read.text("AI_TEMPERATURE").parse::<f32>() {
        // As it is kept, so that it is the same after a restart.
        Ok(value) if (0.0..=2.0).contains(&value) => (value * 1000.0).round() / 1000.0,
        _ => {
            read.refuse("AI_TEMPERATURE", "must be a number from 0 to 2");
            0.2
        }
    }
}

fn read_providers(read: &mut Reader) -> Vec<EnvironmentProvider> {
    let mut found = Vec::new();
    let mut add = |env_name: &str, kind: ProviderKind, base_url: Option<Url>, key: Option<String>| {
        let base_url = base_url.map_or_else(|| kind.default_base_url().to_owned(), |url| url.as_str().trim_end_matches('/').to_owned());
        let name = Url::parse(&base_url).ok().and_then(|url| {
            let host = url.host_str()?.to_owned();
            Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
        });
        found.push(EnvironmentProvider {
            env_name: env_name.to_owned(),
            name: name.unwrap_or_else(|| env_name.to_owned()),
            kind,
            base_url,
            key: key.map(|key| domain::Secret(key.into_bytes())),
            models: Vec::new(),
        });
    };
    let (openai, key) = (read.http_url("OPENAI_BASE_URL"), read.optional("OPENAI_API_KEY"));
    if openai.is_some() || key.is_some() {
        add("openai", ProviderKind::OpenaiChat, openai, key);
    }
    if let Some(key) = read.optional("ANTHROPIC_API_KEY") {
        add("anthropic", ProviderKind::Anthropic, None, Some(key));
    }
    if let Some(key) = read.optional("GEMINI_API_KEY") {
        add("gemini", ProviderKind::Gemini, None, Some(key));
    }
    if let Some(url) = read.http_url("OLLAMA_BASE_URL") {
        add("ollama", ProviderKind::Ollama, Some(url), None);
    }
    found
}

/// Gives the model that a setting names to its provider; answers the name that people see. Where no provider is configured the name may
/// be that of a model an administrator added.
fn read_model(read: &mut Reader, setting: &str, base: &ModelSettings, providers: &mut [EnvironmentProvider]) -> Option<String> {
    let text = read.optional(setting)?;
    let prefixed = text.split_once(':').filter(|(prefix, _)| PREFIXES.iter().any(|(known, _)| known == prefix));
    let (place, name) = match prefixed {
        Some((prefix, name)) => match providers.iter().position(|provider| provider.env_name == prefix) {
            Some(place) => (place, name.to_owned()),
            None => {
                read.refuse(setting, format!("names a model of {prefix}, which is not configured"));
                return None;
            }
        },
        None if providers.is_empty() => return Some(text),
        None => (find_provider(&text, providers), text),
    };
    let provider = &mut providers[place];
    let takes_images = provider.kind != ProviderKind::OpenaiChat && provider.kind != ProviderKind::Ollama;
    let images = takes_images || provider.base_url == ProviderKind::OpenaiChat.default_base_url();
    if !provider.models.iter().any(|(known, _)| *known == name) {
        provider.models.push((name.clone(), ModelSettings { remote_name: name.clone(), images, ..base.clone() }));
    }
    Some(name)
}

/// By how the name begins, else the first that is configured.
fn find_provider(name: &str, providers: &[EnvironmentProvider]) -> usize {
    let owner = PREFIXES.iter().find(|(_, begins)| !begins.is_empty() && name.starts_with(begins)).map(|(known, _)| *known);
    let found = owner.and_then(|owner| providers.iter().position(|provider| provider.env_name == owner));
    found.unwrap_or(0)
}
