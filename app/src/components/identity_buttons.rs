//! Signing in with an account elsewhere: plain links, which work before and without the browser half.

use leptos::prelude::*;
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use wire::identities::{IdentityProvider, SignInProvider, SignInTrouble};

use crate::{api, ui::Icon};

/// What the page's address says went wrong, as a sentence.
pub(super) fn read_trouble(query: &ParamsMap, providers: &[SignInProvider]) -> Option<String> {
    let trouble = SignInTrouble::of_word(&query.get("trouble")?)?;
    let provider = query.get("provider").and_then(|word| IdentityProvider::of_word(&word));
    let name = providers.iter().find(|offered| Some(offered.provider) == provider).map(|offered| offered.name.clone());
    Some(trouble.sentence(&name.unwrap_or_else(|| "the sign-in provider".to_owned())))
}

/// Why the last sign-in at a provider came to nothing, on top of the form. Nothing otherwise.
#[component]
pub fn IdentityTrouble() -> impl IntoView {
    let query = use_query_map();
    let is_told = query.with_untracked(|query| query.get("trouble").is_some());
    let providers =
        Resource::new(|| (), move |()| async move { if is_told { api::identities::providers().await } else { Ok(Vec::new()) } });
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                let providers = providers.await.unwrap_or_default();
                query
                    .with_untracked(|query| read_trouble(query, &providers))
                    .map(|sentence| {
                        view! {
                            <div class="errsum" role="alert">
                                <Icon name="circle-alert" />
                                <span>{sentence}</span>
                            </div>
                        }
                    })
            })}
        </Suspense>
    }
    .into_any()
}

/// A link for each provider that is set up, with the invitation and the page to go to afterwards.
#[component]
pub fn IdentityButtons() -> impl IntoView {
    let providers = Resource::new(|| (), |()| api::identities::providers());
    let kept = use_query_map().with_untracked(|query| {
        let pairs = ["next", "invite"].into_iter().filter_map(|name| Some((name, query.get(name)?)));
        pairs.collect::<Vec<_>>()
    });
    let kept = StoredValue::new(kept);
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                let providers = providers.await.unwrap_or_default();
                (!providers.is_empty())
                    .then(|| {
                        let links = providers
                            .into_iter()
                            .map(|offered| {
                                view! {
                                    <a class="btn btn--l btn--block" rel="external" href=kept.with_value(|kept| address(offered.provider, kept))>
                                        <Icon name="log-in" small=true />
                                        {format!("Continue with {}", offered.name)}
                                    </a>
                                }
                            })
                            .collect_view();
                        view! {
                            <div class="identities">
                                <p class="or">"or"</p>
                                {links}
                            </div>
                        }
                    })
            })}
        </Suspense>
    }
    .into_any()
}

fn address(provider: IdentityProvider, kept: &[(&str, String)]) -> String {
    let query = kept.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&");
    if query.is_empty() { provider.path() } else { format!("{}?{query}", provider.path()) }
}

/// As in a query; everything but letters, digits and a few signs.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_go_afterwards_survives_in_the_address() {
        assert_eq!(address(IdentityProvider::Github, &[]), "/auth/github");
        let kept = [("next", "/projects/1?a=b&c=ä".to_owned()), ("invite", "cxl_x-1".to_owned())];
        assert_eq!(address(IdentityProvider::Oidc, &kept), "/auth/oidc?next=%2Fprojects%2F1%3Fa%3Db%26c%3D%C3%A4&invite=cxl_x-1");
    }

    #[test]
    fn only_known_words_become_sentences() {
        let acme = [SignInProvider { provider: IdentityProvider::Oidc, name: "Acme".to_owned() }];
        let told = |pairs: &[(&str, &str)]| {
            let mut query = ParamsMap::new();
            pairs.iter().for_each(|(name, value)| query.insert((*name).to_owned(), (*value).to_owned()));
            read_trouble(&query, &acme)
        };
        assert!(told(&[("trouble", "denied"), ("provider", "oidc")]).is_some_and(|text| text.contains("at Acme")));
        assert!(told(&[("trouble", "denied"), ("provider", "<b>")]).is_some_and(|text| text.contains("the sign-in provider")));
        assert_eq!(told(&[("trouble", "You won a prize")]), None);
        assert_eq!(told(&[]), None);
    }
}
