//! Signing in with an account that somebody has elsewhere.

use serde::{Deserialize, Serialize};

use crate::{IdentityId, Micros};

/// How a provider is spoken to. There is at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IdentityProvider {
    /// Any issuer of OpenID Connect, found by discovery.
    Oidc,
    /// GitHub, or a GitHub Enterprise Server.
    Github,
}

impl IdentityProvider {
    pub const ALL: [Self; 2] = [Self::Oidc, Self::Github];

    /// As in JSON and in addresses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Github => "github",
        }
    }

    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.word() == word)
    }

    /// Where signing in begins.
    pub fn path(self) -> String {
        format!("/auth/{}", self.word())
    }
}

/// A provider that the operator has set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SignInProvider {
    pub provider: IdentityProvider,
    /// What people call it.
    pub name: String,
}

/// Who an account is at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Identity {
    pub id: IdentityId,
    pub provider: IdentityProvider,
    /// What people call the provider; its address where it is not set up any more.
    pub provider_name: String,
    /// What the person is called there.
    pub name: String,
    pub email: Option<String>,
    /// The provider is set up, so this can be signed in with.
    pub usable: bool,
    pub created_at: Micros,
    pub last_used_at: Option<Micros>,
}

/// Asks to link another identity.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LinkIdentity {
    pub provider: IdentityProvider,
    /// The account's own; empty where it has none.
    #[serde(default)]
    pub password: String,
}

impl std::fmt::Debug for LinkIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkIdentity").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// Where linking goes on, for ten minutes and the caller's session alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LinkStart {
    pub href: String,
}

/// What the page of an account shows of identities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct IdentitiesView {
    pub identities: Vec<Identity>,
    /// What can be linked.
    pub offers: Vec<SignInProvider>,
    /// Linking asks for it.
    pub has_password: bool,
}

macro_rules! troubles {
    ($($(#[$doc:meta])* $name:ident $word:literal),+ $(,)?) => {
        /// Why signing in at a provider, or linking an identity, came to nothing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum SignInTrouble {
            $($(#[$doc])* $name,)+
        }

        impl SignInTrouble {
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As in the address of the page that tells it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

troubles! {
    /// The person said no there.
    Denied "denied",
    /// The provider answered with an error of its own.
    ProviderRefused "provider_refused",
    /// It does not answer, or with something that can't be read.
    Unreachable "unreachable",
    /// The provider calls itself something else than what was set up.
    WrongIssuer "wrong_issuer",
    /// What it says is not signed with a key of its.
    BadSignature "bad_signature",
    /// It was made for another application, or another sign-in.
    NotForUs "not_for_us",
    /// Its times do not fit ours.
    ClockOff "clock_off",
    /// It took too long, or this was the second time.
    Expired "expired",
    /// Begun in another browser, or cookies are off.
    OtherBrowser "other_browser",
    /// There is no such provider here.
    NotSetUp "not_set_up",
    /// It does not vouch for an e-mail address.
    UnverifiedEmail "unverified_email",
    /// There is an account with this address, which is not linked.
    LinkFirst "link_first",
    /// No account, and none can be made.
    SignupClosed "signup_closed",
    /// The invitation is over, or for another address.
    InvitationRefused "invitation_refused",
    /// None can be made with an address of this domain.
    DomainRefused "domain_refused",
    /// The account is disabled.
    Disabled "disabled",
    /// Another account has this identity.
    Taken "taken",
    /// The session that asked for linking has ended.
    SignedOut "signed_out",
    /// Too many tries.
    TooMany "too_many",
    /// Something failed here.
    Internal "internal",
}

impl SignInTrouble {
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|trouble| trouble.word() == word)
    }

    /// What happened and what to do. `provider` is what people call it.
    pub fn sentence(self, provider: &str) -> String {
        let text = match self {
            Self::Denied => "Access was not granted at {provider}, so nobody was signed in. Start again to change that.",
            Self::ProviderRefused => {
                "{provider} refused this sign-in. Try again; if it stays, an administrator needs to check how this site is set up there."
            }
            Self::Unreachable => "{provider} does not answer as it should. Try again in a moment, or sign in with your password.",
            Self::WrongIssuer => {
                "{provider} answered under another name than the one that is set up here, so nobody was signed in. Tell an administrator."
            }
            Self::BadSignature => {
                "The answer of {provider} is not signed with one of its keys, so nobody was signed in. Try again; if it stays, tell an administrator."
            }
            Self::NotForUs => "The answer of {provider} was not meant for this sign-in, so nobody was signed in. Start again.",
            Self::ClockOff => {
                "The clocks of this server and of {provider} differ too much, so nobody was signed in. Tell an administrator to set this server's clock."
            }
            Self::Expired => "This sign-in took longer than ten minutes, or was used already. Start again.",
            Self::OtherBrowser => "This sign-in was begun in another browser, or cookies are turned off. Start again here.",
            Self::NotSetUp => "Signing in with {provider} is not set up here. Choose another way.",
            Self::UnverifiedEmail => {
                "{provider} does not confirm an e-mail address of yours, so no account was made. Confirm it there, or sign in and link {provider} under Settings, Security."
            }
            Self::LinkFirst => {
                "There is an account with your e-mail address already. Sign in to it first, then link {provider} under Settings, Security."
            }
            Self::SignupClosed => {
                "No account here belongs to who you are at {provider}, and new ones are made by invitation only. Sign in and link {provider} under Settings, Security, or ask an administrator for an invitation."
            }
            Self::InvitationRefused => {
                "This invitation was used, has ended, or is for another e-mail address than yours at {provider}. Ask for a new one."
            }
            Self::DomainRefused => {
                "New accounts are not made for e-mail addresses of your domain here. Ask an administrator for an invitation."
            }
            Self::Disabled => "This account is disabled, so nobody was signed in. Ask an administrator.",
            Self::Taken => "Another account here has this identity of {provider}. Unlink it there first; nothing was changed.",
            Self::SignedOut => "You were signed out meanwhile, so nothing was linked. Sign in and start again.",
            Self::TooMany => "There were too many tries. Wait a minute, then start again.",
            Self::Internal => "The server could not finish this sign-in. Nothing was changed; try again in a moment.",
        };
        text.replace("{provider}", provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_json_and_come_back() {
        for trouble in SignInTrouble::ALL {
            assert_eq!(serde_json::to_value(trouble).unwrap(), trouble.word());
            assert_eq!(SignInTrouble::of_word(trouble.word()), Some(*trouble));
            let sentence = trouble.sentence("Acme");
            assert!(sentence.ends_with('.') && !sentence.contains('{'), "{sentence}");
        }
        for provider in IdentityProvider::ALL {
            assert_eq!(IdentityProvider::of_word(provider.word()), Some(provider));
        }
        assert_eq!(SignInTrouble::of_word("javascript"), None);
    }
}
