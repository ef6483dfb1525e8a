//! Where and how to reach one model.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;
use wire::models::ProviderKind;

use crate::client::Client;
use crate::model::HttpModel;
use crate::{DemoModel, Model, ModelError};

/// A provider's key. Never shown: neither `Debug` nor any error holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the one header it belongs in.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(•••)")
    }
}

/// Which hosts a provider may live on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPolicy {
    /// `host`, `*.host` for all below it, or either with `:port`. Empty: any host.
    pub allowed: Vec<String>,
    /// Whether the host may be, or resolve to, an address that is not of the public internet.
    pub private: bool,
}

/// One model of one provider. Two equal specs reach the same thing in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub kind: ProviderKind,
    /// With or without the version in its path: a bare host gets the dialect's usual one. Not used by the demonstration.
    pub base_url: Url,
    /// Sent to the host of `base_url` alone.
    pub key: Option<ApiKey>,
    /// The provider's name of the model.
    pub model: String,
    /// The name people pick it by.
    pub shown: String,
    /// Longest wait for the first byte of an answer, for each attempt.
    pub first_byte: Duration,
    /// Longest silence within an answer.
    pub stall: Duration,
    pub context_tokens: Option<u32>,
    /// Whether the model takes images; they are left out otherwise.
    pub images: bool,
    pub hosts: HostPolicy,
}

impl Spec {
    /// With the default limits: 30 s to the first byte, 60 s of silence, any public host.
    pub fn new(kind: ProviderKind, base_url: Url, key: Option<ApiKey>, model: impl Into<String>) -> Self {
        let model = model.into();
        Self {
            kind,
            base_url,
            key,
            shown: model.clone(),
            model,
            first_byte: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            context_tokens: None,
            images: false,
            hosts: HostPolicy::default(),
        }
    }
}

/// A client for that model. Nothing is sent yet.
///
/// Errors: `BadRequest` for an address that is not usable, `AddressRefused` for a host that the policy closes,
/// `Unreachable` when TLS cannot be set up.
pub fn connect(spec: &Spec) -> Result<Arc<dyn Model>, ModelError> {
    match spec.kind {
        ProviderKind::Demo => Ok(Arc::new(DemoModel::new())),
        _ => Ok(Arc::new(HttpModel::new(spec.clone())?)),
    }
}

/// The names of the models that the provider offers, sorted. Asks once, without trying again.
///
/// Errors: as `connect` and as an answer's.
pub async fn list_models(spec: &Spec) -> Result<Vec<String>, ModelError> {
    match spec.kind {
        ProviderKind::Demo => Ok(vec![DemoModel::new().name().to_owned()]),
        _ => Client::new(spec)?.list_models().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_shows_the_key() {
        let base = "http://127.0.0.1:1/v1".parse().unwrap();
        let spec = Spec::new(ProviderKind::Anthropic, base, Some(ApiKey::new("sk-hidden")), "m");
        assert!(!format!("{spec:?}").contains("hidden"));
    }
}
