//! A provider of identities on this machine: an OpenID Connect issuer and, at the same address, what GitHub has instead. It checks what
//! it is sent as strictly as real ones do, signs in without asking, and does wrong in every way that it is told to.
#![allow(dead_code)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const CLIENT_ID: &str = "cloudxdevai tests";
pub const CLIENT_SECRET: &str = "a secret: of the tests & theirs alone";

/// What the provider does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The person says no.
    Denied,
    /// The provider answers with an error of its own.
    Error,
    /// The token endpoint fails.
    TokenDown,
    /// It refuses the client.
    ClientRefused,
    /// It answers with something that is no JSON.
    NoJson,
    /// It answers with more than anybody needs.
    Endless,
    /// It sends the server elsewhere.
    Redirects,
    /// Its document names another issuer.
    OtherIssuerInDocument,
    /// The token does.
    OtherIssuer,
    /// The browser comes back with another one.
    OtherIssuerInAnswer,
    /// A key signs that is not in the document, under the name of one that is.
    OtherKey,
    /// No signature at all.
    Unsigned,
    /// Signed with the client's secret.
    SharedSecret,
    /// For another application.
    OtherAudience,
    /// Given to another application.
    OtherParty,
    /// Of another sign-in.
    OtherNonce,
    /// Its clock is ahead by an hour.
    ClockAhead,
    /// Its clock is behind by an hour.
    ClockBehind,
    /// The userinfo endpoint speaks of somebody else.
    OtherPerson,
}

struct Grant {
    nonce: Option<String>,
    redirect_uri: String,
    challenge: String,
    claims: Value,
}

struct Inner {
    url: String,
    wrong: Option<Wrong>,
    /// Who is signed in there: the claims of the next token.
    person: Value,
    /// Claims that only the userinfo endpoint tells.
    more: Value,
    /// GitHub's addresses of the person.
    emails: Value,
    grants: HashMap<String, Grant>,
    access: HashMap<String, Value>,
    keys: Vec<(String, Algorithm)>,
    counter: u32,
    asked: Vec<String>,
}

/// Stops answering when it is dropped.
pub struct OidcServer {
    pub url: String,
    inner: Shared,
    task: tokio::task::JoinHandle<()>,
}

type Shared = Arc<Mutex<Inner>>;

impl Drop for OidcServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl OidcServer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner {
            url: url.clone(),
            wrong: None,
            person: Value::Null,
            more: json!({}),
            emails: json!([]),
            grants: HashMap::new(),
            access: HashMap::new(),
            keys: vec![("first".to_owned(), Algorithm::ES256)],
            counter: 0,
            asked: Vec::new(),
        };
        let inner = Arc::new(Mutex::new(inner));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .route("/elsewhere", get(elsewhere).post(elsewhere))
            .route("/login/oauth/authorize", get(authorize))
            .route("/login/oauth/access_token", post(github_token))
            .route("/api/v3/user", get(github_user))
            .route("/api/v3/user/emails", get(github_emails))
            .with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, inner, task }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Who is signed in there from now on, with a verified address.
    pub fn is(&self, subject: &str, name: &str) {
        let email = format!("{name}@example.org");
        self.claims(json!({ "sub": subject, "preferred_username": name, "email": email, "email_verified": true }));
    }

    pub fn claims(&self, claims: Value) {
        self.lock().person = claims;
    }

    pub fn only_userinfo_tells(&self, claims: Value) {
        self.lock().more = claims;
    }

    pub fn emails(&self, emails: Value) {
        self.lock().emails = emails;
    }

    pub fn does(&self, wrong: impl Into<Option<Wrong>>) {
        self.lock().wrong = wrong.into();
    }

    /// Signs with a new key, and takes the old ones out of the document.
    pub fn exchange_keys(&self, algorithm: Algorithm) {
        let mut inner = self.lock();
        inner.counter += 1;
        let name = format!("key {}", inner.counter);
        inner.keys = vec![(name, algorithm)];
    }

    /// Method and path of each request so far.
    pub fn asked(&self) -> Vec<String> {
        self.lock().asked.clone()
    }

    pub fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == path).count()
    }
}

/// A key that belongs to a name, so that a restart knows it again.
pub fn key_of(name: &str, algorithm: Algorithm) -> EncodingKey {
    let secret = Sha256::digest(name.as_bytes());
    match algorithm {
        Algorithm::EdDSA => EncodingKey::from_ed_der(&[&hex::decode("302e020100300506032b657004220420").unwrap()[..], &secret].concat()),
        Algorithm::ES256 => {
            let head = hex::decode("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420").unwrap();
            EncodingKey::from_ec_der(&[&head[..], &secret].concat())
        }
        // Made for this file, and used for nothing else.
        _ => EncodingKey::from_rsa_der(&STANDARD.decode(include_str!("oidc_rsa_key.txt").replace('\n', "")).unwrap()),
    }
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>())
}

async fn configuration(State(shared): State<Shared>) -> Response {
    let mut inner = shared.lock().unwrap();
    inner.asked.push("/.well-known/openid-configuration".to_owned());
    let url = &inner.url;
    match inner.wrong {
        Some(Wrong::Endless) => return "x".repeat(4 << 20).into_response(),
        Some(Wrong::Redirects) => return Redirect::temporary("/elsewhere").into_response(),
        _ => {}
    }
    let issuer = if inner.wrong == Some(Wrong::OtherIssuerInDocument) { format!("{url}/") } else { url.clone() };
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{url}/authorize?tenant=1"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "userinfo_endpoint": format!("{url}/userinfo"),
    }))
    .into_response()
}

async fn keys(State(shared): State<Shared>) -> Json<Value> {
    let mut inner = shared.lock().unwrap();
    inner.asked.push("/keys".to_owned());
    let keys = inner.keys.iter().map(|(name, algorithm)| {
        let mut jwk = Jwk::from_encoding_key(&key_of(name, *algorithm), *algorithm).unwrap();
        jwk.common.key_id = Some(name.clone());
        serde_json::to_value(jwk).unwrap()
    });
    Json(json!({ "keys": keys.collect::<Vec<_>>() }))
}

async fn elsewhere(State(shared): State<Shared>) -> Json<Value> {
    shared.lock().unwrap().asked.push("/elsewhere".to_owned());
    Json(json!({}))
}

async fn authorize(State(shared): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    let mut inner = shared.lock().unwrap();
    inner.asked.push("/authorize".to_owned());
    let given = |name: &str| query.get(name).cloned().unwrap_or_default();
    let is_oidc = given("scope").split(' ').any(|scope| scope == "openid");
    let complete = given("client_id") == CLIENT_ID && given("code_challenge_method") == "S256" && given("code_challenge").len() == 43;
    if !complete || given("state").len() < 32 || (is_oidc && (given("nonce").len() < 32 || given("response_type") != "code")) {
        return (StatusCode::BAD_REQUEST, format!("refused: {query:?}")).into_response();
    }
    let mut back: url::Url = given("redirect_uri").parse().unwrap();
    back.query_pairs_mut().append_pair("state", &given("state"));
    match inner.wrong {
        Some(Wrong::Denied) => {
            back.query_pairs_mut().append_pair("error", "access_denied").append_pair("error_description", "<b>no</b>");
        }
        Some(Wrong::Error) => {
            back.query_pairs_mut().append_pair("error", "temporarily_unavailable");
        }
        _ => {
            let (code, claims) = (random(), inner.person.clone());
            let (redirect_uri, challenge) = (given("redirect_uri"), given("code_challenge"));
            inner.grants.insert(code.clone(), Grant { nonce: query.get("nonce").cloned(), redirect_uri, challenge, claims });
            back.query_pairs_mut().append_pair("code", &code);
        }
    }
    if is_oidc {
        let iss = if inner.wrong == Some(Wrong::OtherIssuerInAnswer) { "https://other.example.org" } else { &inner.url };
        back.query_pairs_mut().append_pair("iss", iss);
    }
    Redirect::to(back.as_str()).into_response()
}

/// What a code was given for, if it is redeemed as it should be. A code is worth something once.
fn redeem(inner: &mut Inner, form: &HashMap<String, String>) -> Option<Grant> {
    let grant = inner.grants.remove(form.get("code")?)?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form.get("code_verifier")?));
    (grant.challenge == challenge && form.get("redirect_uri") == Some(&grant.redirect_uri)).then_some(grant)
}

fn is_client(headers: &HeaderMap) -> bool {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let wanted = format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET))));
    headers.get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == wanted.as_bytes())
}

async fn token(State(shared): State<Shared>, headers: HeaderMap, Form(form): Form<HashMap<String, String>>) -> Response {
    let mut inner = shared.lock().unwrap();
    inner.asked.push("/token".to_owned());
    match inner.wrong {
        Some(Wrong::TokenDown) => return StatusCode::BAD_GATEWAY.into_response(),
        Some(Wrong::NoJson) => return "<html>".into_response(),
        Some(Wrong::Endless) => return "x".repeat(4 << 20).into_response(),
        Some(Wrong::Redirects) => return Redirect::temporary("/elsewhere").into_response(),
        Some(Wrong::ClientRefused) => return refuse("invalid_client"),
        _ if !is_client(&headers) => return refuse("invalid_client"),
        _ => {}
    }
    let Some(grant) = redeem(&mut inner, &form) else { return refuse("invalid_grant") };
    let access = random();
    let mut told = inner.more.clone();
    told["sub"] = if inner.wrong == Some(Wrong::OtherPerson) { json!("another") } else { grant.claims["sub"].clone() };
    inner.access.insert(access.clone(), told);
    let id_token = sign(&inner, &grant);
    Json(json!({ "access_token": access, "token_type": "Bearer", "expires_in": 60, "id_token": id_token })).into_response()
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

fn sign(inner: &Inner, grant: &Grant) -> String {
    let wrong = inner.wrong;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = match wrong {
        Some(Wrong::ClockAhead) => since + Duration::from_secs(3600),
        Some(Wrong::ClockBehind) => since - Duration::from_secs(3600),
        _ => since,
    }
    .as_secs();
    let or = |is: Wrong, other: &str, own: &str| json!(if wrong == Some(is) { other } else { own });
    let mut claims = grant.claims.clone();
    claims["iss"] = or(Wrong::OtherIssuer, "https://other.example.org", &inner.url);
    claims["aud"] = or(Wrong::OtherAudience, "another application", CLIENT_ID);
    claims["azp"] = or(Wrong::OtherParty, "another application", CLIENT_ID);
    claims["nonce"] = or(Wrong::OtherNonce, "another sign-in", grant.nonce.as_deref().unwrap_or_default());
    claims["iat"] = json!(now);
    claims["exp"] = json!(now + 300);
    let (name, algorithm) = inner.keys.last().unwrap().clone();
    let header = Header { kid: Some(name.clone()), ..Header::new(algorithm) };
    match wrong {
        Some(Wrong::Unsigned) => {
            let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", part(json!({ "alg": "none", "kid": name })), part(claims))
        }
        Some(Wrong::SharedSecret) => {
            let header = Header { kid: Some(name), ..Header::new(Algorithm::HS256) };
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(CLIENT_SECRET.as_bytes())).unwrap()
        }
        Some(Wrong::OtherKey) => jsonwebtoken::encode(&header, &claims, &key_of("nobody knows", algorithm)).unwrap(),
        _ => jsonwebtoken::encode(&header, &claims, &key_of(&name, algorithm)).unwrap(),
    }
}

fn bearer<'a>(inner: &'a Inner, headers: &HeaderMap) -> Option<&'a Value> {
    inner.access.get(headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?)
}

async fn userinfo(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let mut inner = shared.lock().unwrap();
    inner.asked.push("/userinfo".to_owned());
    bearer(&inner, &headers).map_or_else(|| StatusCode::UNAUTHORIZED.into_response(), |told| Json(told.clone()).into_response())
}

async fn github_token(State(shared): State<Shared>, headers: HeaderMap, Form(form): Form<HashMap<String, String>>) -> Response {
    let mut inner = shared.lock().unwrap();
    inner.asked.push("/login/oauth/access_token".to_owned());
    let is = |name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
    if inner.wrong == Some(Wrong::TokenDown) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    assert!(headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/json"), "else it answers with a form");
    if !is("client_id", CLIENT_ID) || !is("client_secret", CLIENT_SECRET) || inner.wrong == Some(Wrong::ClientRefused) {
        return Json(json!({ "error": "incorrect_client_credentials" })).into_response();
    }
    let Some(grant) = redeem(&mut inner, &form) else { return Json(json!({ "error": "bad_verification_code" })).into_response() };
    let access = random();
    inner.access.insert(access.clone(), grant.claims);
    Json(json!({ "access_token": access, "token_type": "bearer", "scope": "read:user,user:email" })).into_response()
}

async fn github_user(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let inner = shared.lock().unwrap();
    assert!(headers.contains_key(header::USER_AGENT), "GitHub refuses those without");
    bearer(&inner, &headers).map_or_else(|| StatusCode::UNAUTHORIZED.into_response(), |told| Json(told.clone()).into_response())
}

async fn github_emails(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let inner = shared.lock().unwrap();
    match bearer(&inner, &headers) {
        Some(_) => Json(inner.emails.clone()).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}
