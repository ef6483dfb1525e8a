//! What the operator has set up, and the way there.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use url::Url;
use wire::{
    Micros,
    admin::{Check, CheckState},
    identities::{IdentityProvider, SignInProvider, SignInTrouble},
};

use super::oidc::{self, Discovered};
use crate::Secret;

/// How long the health page believes what it found, in seconds.
const CHECK_EVERY_S: i64 = 60;
/// Less than the health page waits for all of its lines.
const CHECK_WITHIN: Duration = Duration::from_millis(1500);

/// One request to a provider.
pub struct WebRequest {
    pub url: Url,
    /// Sent as a form by POST; `None` is a GET.
    pub form: Option<Vec<(&'static str, String)>>,
    /// The whole value of the header.
    pub authorization: Option<Secret>,
    /// The operator named this host: it may be inside the network.
    pub may_be_private: bool,
}

pub struct WebAnswer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// No answer, with the reason for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WebError(pub String);

/// The way to providers of identities.
#[async_trait]
pub trait IdentityWeb: Send + Sync + 'static {
    /// Follows no redirects, and bounds the time and the bytes of an answer. Errors hold no address with secrets and no body.
    async fn send(&self, request: WebRequest) -> Result<WebAnswer, WebError>;
}

/// An OpenID Connect issuer.
#[derive(Debug, Clone)]
pub struct OidcProvider {
    /// Exactly as the issuer writes it.
    pub issuer: String,
    pub client_id: String,
    /// None for a public client.
    pub client_secret: Option<Secret>,
    pub name: String,
    pub scopes: Vec<String>,
    /// Where in the claims it says what somebody is there: a name, or names joined by dots.
    pub role_claim: Option<String>,
    /// Who has one of these is an administrator here.
    pub admin_values: Vec<String>,
    pub allow_signup: bool,
    /// Who showed two factors there, as it says, is not asked for another one here.
    pub trust_mfa: bool,
}

/// GitHub, or a server of GitHub Enterprise.
#[derive(Debug, Clone)]
pub struct GithubProvider {
    /// Such as `https://github.com`, without a slash at the end.
    pub url: String,
    pub client_id: String,
    pub client_secret: Secret,
    pub allow_signup: bool,
}

/// The providers of this installation, and what was found out about them.
pub struct IdentityDesk {
    pub(super) oidc: Option<OidcProvider>,
    pub(super) github: Option<GithubProvider>,
    pub(super) web: Arc<dyn IdentityWeb>,
    pub(super) discovered: tokio::sync::Mutex<Discovered>,
    checked: Mutex<Option<(Micros, Check)>>,
}

impl IdentityDesk {
    pub fn new(oidc: Option<OidcProvider>, github: Option<GithubProvider>, web: Arc<dyn IdentityWeb>) -> Self {
        Self { oidc, github, web, discovered: tokio::sync::Mutex::default(), checked: Mutex::new(None) }
    }

    pub(super) fn offered(&self) -> Vec<SignInProvider> {
        let set_up = IdentityProvider::ALL.into_iter().filter(|provider| self.issuer_of(*provider).is_some());
        set_up.map(|provider| SignInProvider { provider, name: self.name_of(provider) }).collect()
    }

    /// What identities of a provider that is set up belong to.
    pub(super) fn issuer_of(&self, provider: IdentityProvider) -> Option<&str> {
        match provider {
            IdentityProvider::Oidc => self.oidc.as_ref().map(|oidc| oidc.issuer.as_str()),
            IdentityProvider::Github => self.github.as_ref().map(|github| github.url.as_str()),
        }
    }

    pub(super) fn is_usable(&self, provider: IdentityProvider, issuer: &str) -> bool {
        self.issuer_of(provider) == Some(issuer)
    }

    pub(super) fn name_of(&self, provider: IdentityProvider) -> String {
        match (provider, &self.oidc) {
            (IdentityProvider::Github, _) => "GitHub".to_owned(),
            (IdentityProvider::Oidc, Some(oidc)) => oidc.name.clone(),
            (IdentityProvider::Oidc, None) => "Single sign-on".to_owned(),
        }
    }

    pub(super) fn allows_signup(&self, provider: IdentityProvider) -> bool {
        match provider {
            IdentityProvider::Oidc => self.oidc.as_ref().is_some_and(|oidc| oidc.allow_signup),
            IdentityProvider::Github => self.github.as_ref().is_some_and(|github| github.allow_signup),
        }
    }

    /// The line of the health page; `None` where no provider is set up. Looks at most once a minute.
    pub async fn check(&self, now: Micros) -> Option<Check> {
        if self.oidc.is_none() && self.github.is_none() {
            return None;
        }
        let known = self.checked.lock().ok().and_then(|known| known.clone());
        if let Some((at, check)) = known
            && now.0 - at.0 < CHECK_EVERY_S * 1_000_000
        {
            return Some(check);
        }
        let check = self.look(now).await;
        if let Ok(mut known) = self.checked.lock() {
            *known = Some((now, check.clone()));
        }
        Some(check)
    }

    async fn look(&self, now: Micros) -> Check {
        let name = "sign-in provider".to_owned();
        let github = self.github.as_ref().map(|github| format!("GitHub at {} is asked when somebody signs in.", github.url));
        let Some(provider) = &self.oidc else {
            return Check { name, state: CheckState::Ok, reason: github.unwrap_or_default(), advice: None };
        };
        let late = || oidc::fail(SignInTrouble::Unreachable, "no answer within a second and a half");
        match tokio::time::timeout(CHECK_WITHIN, oidc::discover(self, provider, now)).await.unwrap_or_else(|_| Err(late())) {
            Ok(_) => {
                let reason = [Some(format!("{} answers at {}.", provider.name, provider.issuer)), github];
                Check { name, state: CheckState::Ok, reason: reason.into_iter().flatten().collect::<Vec<_>>().join(" "), advice: None }
            }
            Err(failure) => {
                let advice = "Check OIDC_ISSUER, and that this server can reach it. Signing in with a password goes on working.";
                let reason = format!("{} can't be used for signing in: {}.", provider.name, failure.reason);
                Check { name, state: CheckState::Warning, reason, advice: Some(advice.to_owned()) }
            }
        }
    }
}

/// Where nothing is set up.
pub fn no_identities() -> Arc<IdentityDesk> {
    struct Nowhere;

    #[async_trait]
    impl IdentityWeb for Nowhere {
        async fn send(&self, _: WebRequest) -> Result<WebAnswer, WebError> {
            Err(WebError("this process does not connect to providers of identities".to_owned()))
        }
    }

    Arc::new(IdentityDesk::new(None, None, Arc::new(Nowhere)))
}
