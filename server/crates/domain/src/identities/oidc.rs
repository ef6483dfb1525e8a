//! OpenID Connect: an issuer found by discovery, an authorization code traded for an ID token.

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded::byte_serialize};
use wire::{Micros, identities::SignInTrouble};

use super::{
    accounts::Person,
    desk::{IdentityDesk, OidcProvider, WebRequest},
    token::{self, Expected, TokenError},
};
use crate::Secret;

/// What an issuer says of itself is believed for so long, in seconds.
const KEEP_S: i64 = 3600;
/// That it did not answer, for so long.
const KEEP_FAILURE_S: i64 = 5;
/// Keys are asked for again at most this often, however many tokens name unknown ones.
const KEYS_EVERY_S: i64 = 10;
/// Characters of names as they are kept.
const NAME_MAX: usize = 120;

/// Why something at a provider came to nothing: for the person, and for the log.
#[derive(Debug, Clone)]
pub struct Failure {
    pub trouble: SignInTrouble,
    pub reason: String,
}

pub fn fail(trouble: SignInTrouble, reason: impl Into<String>) -> Failure {
    Failure { trouble, reason: reason.into() }
}

/// What was found out about the issuer, or that it did not answer.
#[derive(Default)]
pub struct Discovered {
    issuer: Option<(Micros, Result<Issuer, Failure>)>,
    keys_asked_at: Option<Micros>,
}

#[derive(Debug, Clone)]
pub struct Issuer {
    pub authorization: Url,
    token: Url,
    keys_at: Url,
    userinfo: Option<Url>,
    /// The secret goes into the form instead of the header.
    secret_in_form: bool,
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// What is sent along with a code.
pub struct Trade<'a> {
    pub code: &'a str,
    pub redirect_uri: &'a str,
    pub verifier: &'a str,
    pub nonce: &'a str,
    pub now: Micros,
}

fn has_passed(now: Micros, since: Micros, seconds: i64) -> bool {
    now.0 - since.0 >= seconds * 1_000_000
}

/// The issuer, asked at most once an hour. Who comes while it is being asked waits for that answer.
pub async fn discover(desk: &IdentityDesk, provider: &OidcProvider, now: Micros) -> Result<Issuer, Failure> {
    let mut known = desk.discovered.lock().await;
    if let Some((at, found)) = &known.issuer {
        let keep = if found.is_ok() { KEEP_S } else { KEEP_FAILURE_S };
        if !has_passed(now, *at, keep) {
            return found.clone();
        }
    }
    let found = ask_issuer(desk, provider).await;
    if let Err(failure) = &found {
        tracing::warn!(reason = failure.reason, "the sign-in provider can't be used");
    }
    known.issuer = Some((now, found.clone()));
    found
}

async fn ask_issuer(desk: &IdentityDesk, provider: &OidcProvider) -> Result<Issuer, Failure> {
    let unreadable = |what: &str| fail(SignInTrouble::Unreachable, format!("{what} can't be read"));
    let base = Url::parse(&provider.issuer).map_err(|_| unreadable("OIDC_ISSUER"))?;
    let at = Url::parse(&format!("{}/.well-known/openid-configuration", provider.issuer.trim_end_matches('/')))
        .map_err(|_| unreadable("OIDC_ISSUER"))?;
    let document = get_json(desk, &base, at, None).await?;
    let metadata: Metadata = serde_json::from_value(document).map_err(|_| unreadable("its configuration"))?;
    if metadata.issuer != provider.issuer {
        return Err(fail(SignInTrouble::WrongIssuer, "the issuer in its configuration is not OIDC_ISSUER to the letter"));
    }
    let endpoint = |text: &str| check_endpoint(&base, text);
    let keys_at = endpoint(&metadata.jwks_uri)?;
    let keys = token::read_keys(&get_json(desk, &base, keys_at.clone(), None).await?);
    let methods = metadata.token_endpoint_auth_methods_supported.unwrap_or_default();
    let offers = |method: &str| methods.iter().any(|offered| offered == method);
    Ok(Issuer {
        authorization: endpoint(&metadata.authorization_endpoint)?,
        token: endpoint(&metadata.token_endpoint)?,
        userinfo: metadata.userinfo_endpoint.as_deref().map(endpoint).transpose()?,
        secret_in_form: !offers("client_secret_basic") && offers("client_secret_post"),
        keys_at,
        keys,
    })
}

/// Endpoints are as well protected as the issuer itself.
fn check_endpoint(issuer: &Url, text: &str) -> Result<Url, Failure> {
    let usable = |url: &Url| url.scheme() == "https" || (issuer.scheme() == "http" && is_same_host(issuer, url) && url.scheme() == "http");
    let found = Url::parse(text).ok().filter(|url| url.has_host() && url.username().is_empty() && usable(url));
    found.ok_or_else(|| fail(SignInTrouble::Unreachable, "its configuration names an address without TLS"))
}

fn is_same_host(one: &Url, other: &Url) -> bool {
    one.host() == other.host() && one.port_or_known_default() == other.port_or_known_default()
}

async fn get_json(desk: &IdentityDesk, base: &Url, url: Url, bearer: Option<&str>) -> Result<Value, Failure> {
    let authorization = bearer.map(|token| Secret(format!("Bearer {token}").into_bytes()));
    let may_be_private = is_same_host(base, &url);
    let path = url.path().to_owned();
    let answer = desk.web.send(WebRequest { url, form: None, authorization, may_be_private }).await;
    let answer = answer.map_err(|error| fail(SignInTrouble::Unreachable, error.0))?;
    if answer.status != 200 {
        return Err(fail(SignInTrouble::Unreachable, format!("{path} answered with {}", answer.status)));
    }
    serde_json::from_slice(&answer.body).map_err(|_| fail(SignInTrouble::Unreachable, format!("{path} did not answer with JSON")))
}

/// Where the browser goes to sign in.
pub fn authorize(issuer: &Issuer, provider: &OidcProvider, redirect_uri: &str, state: &str, nonce: &str, challenge: &str) -> Url {
    let mut url = issuer.authorization.clone();
    url.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", &provider.client_id),
        ("redirect_uri", redirect_uri),
        ("scope", &provider.scopes.join(" ")),
        ("state", state),
        ("nonce", nonce),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ]);
    url
}

/// Trades the code for who came.
pub async fn identify(desk: &IdentityDesk, provider: &OidcProvider, trade: &Trade<'_>) -> Result<Person, Failure> {
    let issuer = discover(desk, provider, trade.now).await?;
    let base = Url::parse(&provider.issuer).map_err(|_| fail(SignInTrouble::NotSetUp, "OIDC_ISSUER can't be read"))?;
    let tokens = redeem(desk, provider, &issuer, &base, trade).await?;
    let text = |name: &str| tokens[name].as_str().map(str::to_owned);
    let id_token = text("id_token").ok_or_else(|| fail(SignInTrouble::ProviderRefused, "it answered without an ID token"))?;
    let expected = Expected { issuer: &provider.issuer, client_id: &provider.client_id, nonce: trade.nonce, now: trade.now.0 / 1_000_000 };
    let mut claims = match token::verify(&id_token, &issuer.keys, &expected) {
        Err(TokenError::Signature) => {
            let keys = renew_keys(desk, &base, &issuer, trade.now).await?;
            token::verify(&id_token, &keys, &expected)
        }
        other => other,
    }
    .map_err(explain_token)?;
    if let (Some(at), Some(access)) = (&issuer.userinfo, text("access_token"))
        && lacks_something(&claims, provider)
    {
        let more = get_json(desk, &base, at.clone(), Some(&access)).await?;
        add_claims(&mut claims, more)?;
    }
    Ok(read_person(&claims, provider))
}

async fn redeem(desk: &IdentityDesk, provider: &OidcProvider, issuer: &Issuer, base: &Url, trade: &Trade<'_>) -> Result<Value, Failure> {
    let mut form = vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", trade.code.to_owned()),
        ("redirect_uri", trade.redirect_uri.to_owned()),
        ("code_verifier", trade.verifier.to_owned()),
    ];
    let mut authorization = None;
    match &provider.client_secret {
        Some(secret) if !issuer.secret_in_form => {
            let mut pair = byte_serialize(provider.client_id.as_bytes()).collect::<String>();
            pair.push(':');
            pair.extend(byte_serialize(&secret.0));
            authorization = Some(Secret(format!("Basic {}", STANDARD.encode(pair)).into_bytes()));
        }
        secret => {
            form.push(("client_id", provider.client_id.clone()));
            form.extend(secret.iter().map(|secret| ("client_secret", String::from_utf8_lossy(&secret.0).into_owned())));
        }
    }
    let may_be_private = is_same_host(base, &issuer.token);
    let answer = desk.web.send(WebRequest { url: issuer.token.clone(), form: Some(form), authorization, may_be_private }).await;
    let answer = answer.map_err(|error| fail(SignInTrouble::Unreachable, error.0))?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match answer.status {
        200 if body.is_object() => Ok(body),
        200 => Err(fail(SignInTrouble::Unreachable, "the token endpoint did not answer with JSON")),
        status if status >= 500 => Err(fail(SignInTrouble::Unreachable, format!("the token endpoint answered with {status}"))),
        status => Err(fail(SignInTrouble::ProviderRefused, format!("the token endpoint answered with {status} ({})", error_word(&body)))),
    }
}

/// The word of an error answer, as far as it is one.
pub fn error_word(body: &Value) -> String {
    let word = body["error"].as_str().unwrap_or("no reason");
    word.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ')).take(60).collect()
}

/// The keys as they are by now; the known ones where they were asked for just before.
async fn renew_keys(desk: &IdentityDesk, base: &Url, issuer: &Issuer, now: Micros) -> Result<Vec<Jwk>, Failure> {
    let mut known = desk.discovered.lock().await;
    if known.keys_asked_at.is_some_and(|at| !has_passed(now, at, KEYS_EVERY_S)) {
        let newest = known.issuer.as_ref().and_then(|(_, found)| found.as_ref().ok()).unwrap_or(issuer);
        return Ok(newest.keys.clone());
    }
    known.keys_asked_at = Some(now);
    let keys = token::read_keys(&get_json(desk, base, issuer.keys_at.clone(), None).await?);
    if let Some((_, Ok(issuer))) = &mut known.issuer {
        issuer.keys = keys.clone();
    }
    Ok(keys)
}

fn explain_token(error: TokenError) -> Failure {
    let trouble = match error {
        TokenError::Malformed | TokenError::Algorithm | TokenError::Signature => SignInTrouble::BadSignature,
        TokenError::Issuer => SignInTrouble::WrongIssuer,
        TokenError::Audience(_) | TokenError::Nonce => SignInTrouble::NotForUs,
        TokenError::Clock(_) => SignInTrouble::ClockOff,
    };
    fail(trouble, format!("the ID token was refused: {error}"))
}

fn lacks_something(claims: &Map<String, Value>, provider: &OidcProvider) -> bool {
    let role = provider.role_claim.as_deref();
    !claims.contains_key("email") || role.is_some_and(|path| find_claim(claims, path).is_none())
}

/// Adds what the token did not say. The address and whether it is verified go together.
fn add_claims(claims: &mut Map<String, Value>, more: Value) -> Result<(), Failure> {
    let Value::Object(more) = more else {
        return Err(fail(SignInTrouble::Unreachable, "the userinfo endpoint did not answer with claims"));
    };
    if more.get("sub") != claims.get("sub") {
        return Err(fail(SignInTrouble::NotForUs, "the userinfo endpoint answered about somebody else"));
    }
    if !claims.contains_key("email") {
        claims.remove("email_verified");
    }
    let has_email = claims.contains_key("email");
    for (name, value) in more {
        let is_of_other_email = has_email && name == "email_verified";
        if !is_of_other_email {
            claims.entry(name).or_insert(value);
        }
    }
    Ok(())
}

/// A claim by its whole name, or else by the names along its path.
fn find_claim<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    find_claim(claims.get(first)?.as_object()?, rest)
}

fn read_person(claims: &Map<String, Value>, provider: &OidcProvider) -> Person {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect::<String>();
    let is_verified = match claims.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        // Some issuers write it as a word.
        Some(Value::String(word)) => word == "true",
        _ => false,
    };
    let email = text("email").map(short);
    let username = text("preferred_username").or(text("nickname")).map(short);
    let subject = text("sub").unwrap_or_default().to_owned();
    let name = username.clone().or(email.clone()).or(text("name").map(short)).unwrap_or_else(|| subject.clone());
    let methods = claims.get("amr").and_then(Value::as_array);
    Person {
        issuer: provider.issuer.clone(),
        subject,
        name,
        username,
        full_name: text("name").map(short),
        verified_email: email.clone().filter(|_| is_verified),
        email,
        is_admin: provider.role_claim.as_deref().map(|path| has_role(find_claim(claims, path), &provider.admin_values)),
        used_two_factors: provider.trust_mfa && methods.is_some_and(|methods| methods.iter().any(|method| method == "mfa")),
    }
}

fn has_role(claim: Option<&Value>, wanted: &[String]) -> bool {
    let is_wanted = |value: &Value| value.as_str().is_some_and(|text| wanted.iter().any(|one| one == text));
    match claim {
        Some(Value::Array(values)) => values.iter().any(is_wanted),
        Some(value) => is_wanted(value),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn provider() -> OidcProvider {
        OidcProvider {
            issuer: "https://id.example.org".to_owned(),
            client_id: "us".to_owned(),
            client_secret: None,
            name: "Acme".to_owned(),
            scopes: vec!["openid".to_owned()],
            role_claim: Some("realm.roles".to_owned()),
            admin_values: vec!["owners".to_owned(), "root".to_owned()],
            allow_signup: true,
            trust_mfa: false,
        }
    }

    #[test]
    fn roles_are_found_by_path_or_by_whole_name_as_text_or_list() {
        let is_admin = |value: Value| read_person(&claims(value), &provider()).is_admin;
        assert_eq!(is_admin(json!({ "realm": { "roles": ["people", "root"] } })), Some(true));
        assert_eq!(is_admin(json!({ "realm.roles": "owners" })), Some(true));
        assert_eq!(is_admin(json!({ "realm": { "roles": "own" } })), Some(false));
        assert_eq!(is_admin(json!({ "realm": ["owners"] })), Some(false));
        assert_eq!(is_admin(json!({})), Some(false));
        let unmapped = OidcProvider { role_claim: None, ..provider() };
        assert_eq!(read_person(&claims(json!({ "realm": { "roles": "root" } })), &unmapped).is_admin, None);
    }

    #[test]
    fn an_address_counts_only_with_its_own_confirmation() {
        let verified = |value: Value| read_person(&claims(value), &provider()).verified_email;
        assert_eq!(verified(json!({ "email": "a@b.org", "email_verified": true })).as_deref(), Some("a@b.org"));
        assert_eq!(verified(json!({ "email": "a@b.org" })), None);
        assert_eq!(verified(json!({ "email": "a@b.org", "email_verified": "false" })), None);

        let mut token = claims(json!({ "sub": "1", "email": "a@b.org" }));
        add_claims(&mut token, json!({ "sub": "1", "email": "c@d.org", "email_verified": true })).unwrap();
        assert_eq!(read_person(&token, &provider()).verified_email, None, "that was about another address");
        let mut token = claims(json!({ "sub": "1", "email_verified": true }));
        add_claims(&mut token, json!({ "sub": "1", "email": "c@d.org" })).unwrap();
        assert_eq!(read_person(&token, &provider()).verified_email, None);
        assert!(add_claims(&mut token, json!({ "sub": "2" })).is_err());
    }

    #[test]
    fn endpoints_are_no_worse_protected_than_their_issuer() {
        let secure = Url::parse("https://id.example.org").unwrap();
        assert!(check_endpoint(&secure, "https://keys.example.org/k").is_ok());
        for bad in ["http://id.example.org/k", "https://user@id.example.org/", "file:///etc/passwd", "/k", ""] {
            assert!(check_endpoint(&secure, bad).is_err(), "{bad}");
        }
        let local = Url::parse("http://127.0.0.1:4000").unwrap();
        assert!(check_endpoint(&local, "http://127.0.0.1:4000/k").is_ok());
        assert!(check_endpoint(&local, "http://127.0.0.1:4001/k").is_err());
    }
}
