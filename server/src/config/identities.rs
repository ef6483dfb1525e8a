use domain::identities::{GithubProvider, OidcProvider};
use url::{Host, Url};

use super::parse::Reader;

/// Providers of identities that people can sign in with.
#[derive(Debug, Clone, Default)]
pub struct IdentityConfig {
    pub oidc: Option<OidcProvider>,
    pub github: Option<GithubProvider>,
}

pub fn read(read: &mut Reader) -> IdentityConfig {
    let config = IdentityConfig { oidc: read_oidc(read), github: read_github(read) };
    let is_used = config.oidc.is_some() || config.github.is_some();
    if is_used && read.text("APP_ENV").eq_ignore_ascii_case("production") && read.optional("APP_PUBLIC_URL").is_none() {
        read.refuse("APP_PUBLIC_URL", "must be set where people sign in at a provider: it sends them back to this address");
    }
    config
}

fn read_oidc(read: &mut Reader) -> Option<OidcProvider> {
    let allow_signup = read.switch("OIDC_ALLOW_SIGNUP");
    let trust_mfa = read.switch("OIDC_TRUST_MFA");
    let (issuer, client_id, secret) = (read.optional("OIDC_ISSUER"), read.optional("OIDC_CLIENT_ID"), read.optional("OIDC_CLIENT_SECRET"));
    if issuer.is_none() && client_id.is_none() && secret.is_none() {
        return None;
    }
    if client_id.is_none() {
        read.refuse("OIDC_CLIENT_ID", "must be set along with OIDC_ISSUER");
    }
    let Some(issuer) = issuer else {
        read.refuse("OIDC_ISSUER", "must be set along with OIDC_CLIENT_ID");
        return None;
    };
    let url = read_address(read, "OIDC_ISSUER", &issuer)?;
    let role_claim = read.optional("OIDC_ROLE_CLAIM");
    let admin_values = read.list("OIDC_ADMIN_VALUES");
    if role_claim.is_some() == admin_values.is_empty() {
        read.refuse("OIDC_ADMIN_VALUES", "must be set along with OIDC_ROLE_CLAIM");
    }
    let mut scopes = read.list("OIDC_SCOPES");
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    Some(OidcProvider {
        name: read.optional("OIDC_NAME").unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned()),
        // To the letter, since that is how it is compared.
        issuer,
        client_id: client_id?,
        client_secret: secret.map(|secret| domain::Secret(secret.into_bytes())),
        scopes,
        role_claim,
        admin_values,
        allow_signup,
        trust_mfa,
    })
}

fn read_github(read: &mut Reader) -> Option<GithubProvider> {
    let allow_signup = read.switch("GITHUB_ALLOW_SIGNUP");
    let address = read.text("GITHUB_URL");
    let url = read_address(read, "GITHUB_URL", &address);
    match (read.optional("GITHUB_CLIENT_ID"), read.optional("GITHUB_CLIENT_SECRET")) {
        (None, None) => None,
        (Some(client_id), Some(secret)) => Some(GithubProvider {
            url: url?.as_str().trim_end_matches('/').to_owned(),
            client_id,
            client_secret: domain::Secret(secret.into_bytes()),
            allow_signup,
        }),
        (missing, _) => {
            let name = if missing.is_none() { "GITHUB_CLIENT_ID" } else { "GITHUB_CLIENT_SECRET" };
            read.refuse(name, "must be set: signing in with GitHub needs both GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET");
            None
        }
    }
}

/// What says who people are is reached over TLS, unless it is on this very machine.
fn read_address(read: &mut Reader, name: &str, text: &str) -> Option<Url> {
    let is_here = |url: &Url| match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(host)) => host == "localhost",
        None => false,
    };
    let is_plain = |url: &Url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let usable = |url: &Url| url.has_host() && is_plain(url) && (url.scheme() == "https" || (url.scheme() == "http" && is_here(url)));
    let found = Url::parse(text).ok().filter(usable);
    if found.is_none() {
        read.refuse(
            name,
            "must be an address that begins with https:// (http:// only on this machine), without a name, a query or a fragment",
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    const KEY: (&str, &str) = ("JWT_SECRET_KEY", "0123456789012345678901234567890123456789");

    fn load(values: &[(&str, &str)]) -> Result<IdentityConfig, Vec<String>> {
        let config = Config::from_sources(Sources::of_values([&[KEY], values].concat()));
        config.map(|config| config.identities).map_err(|error| error.0.into_iter().map(|wrong| wrong.name).collect())
    }

    #[test]
    fn providers_are_there_when_all_they_need_is() {
        let none = load(&[]).unwrap();
        assert!(none.oidc.is_none() && none.github.is_none());
        let both = load(&[
            ("OIDC_ISSUER", "https://id.example.org/realms/a/"),
            ("OIDC_CLIENT_ID", "us"),
            ("OIDC_SCOPES", "profile email groups"),
            ("OIDC_ROLE_CLAIM", "groups"),
            ("OIDC_ADMIN_VALUES", "owners, root"),
            ("GITHUB_CLIENT_ID", "us"),
            ("GITHUB_CLIENT_SECRET", "s"),
        ])
        .unwrap();
        let oidc = both.oidc.unwrap();
        assert_eq!((oidc.issuer.as_str(), oidc.name.as_str()), ("https://id.example.org/realms/a/", "id.example.org"));
        assert_eq!(oidc.scopes, ["openid", "profile", "email", "groups"]);
        assert_eq!(oidc.admin_values, ["owners", "root"]);
        assert!(oidc.client_secret.is_none() && oidc.allow_signup && !oidc.trust_mfa);
        assert_eq!(both.github.unwrap().url, "https://github.com");
        assert!(load(&[("OIDC_ISSUER", "http://127.0.0.1:4000"), ("OIDC_CLIENT_ID", "us")]).is_ok());
    }

    #[test]
    fn half_a_provider_is_refused_by_name() {
        let refused = |values: &[(&str, &str)]| load(values).unwrap_err();
        assert_eq!(refused(&[("OIDC_ISSUER", "https://id.example.org")]), ["OIDC_CLIENT_ID"]);
        assert_eq!(refused(&[("OIDC_CLIENT_ID", "us")]), ["OIDC_ISSUER"]);
        assert_eq!(refused(&[("GITHUB_CLIENT_ID", "us")]), ["GITHUB_CLIENT_SECRET"]);
        let github = [("GITHUB_CLIENT_ID", "us"), ("GITHUB_CLIENT_SECRET", "s"), ("APP_ENV", "production"), ("SECRET_KEY", KEY.1)];
        assert_eq!(refused(&github), ["APP_PUBLIC_URL"]);
        let issuer = [("OIDC_ISSUER", "https://id.example.org"), ("OIDC_CLIENT_ID", "us"), ("OIDC_ROLE_CLAIM", "groups")];
        assert_eq!(refused(&issuer), ["OIDC_ADMIN_VALUES"]);
        for bad in ["http://id.example.org", "id.example.org", "https://a:b@id.example.org", "https://id.example.org?x=1", "ftp://id"] {
            assert_eq!(refused(&[("OIDC_ISSUER", bad), ("OIDC_CLIENT_ID", "us")]), ["OIDC_ISSUER"], "{bad}");
        }
    }
}
