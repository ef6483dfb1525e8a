//! Who is this? Browsers hold an opaque cookie, other clients a short access token and a refresh token that is spent by its use.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{Conn, sessions, users::UserRow};
use unicode_normalization::UnicodeNormalization;
use wire::{
    FieldError, Micros, SessionId,
    audit::AuditAction,
    auth::{Login, Refresh, Register, Tokens},
    event::{EventKind, Stream},
    users::{User, UserState},
};

use crate::{
    Ctx, Error, Result, Services, accounts,
    audit::{self, Facts},
    ctx::Arrival,
    password, second_factor, settings, throttle,
};

/// A second tab that refreshes at the same moment gets the same successor.
const REFRESH_GRACE_S: i64 = 10;
/// Under which wrong passwords are counted.
const THROTTLE: &str = "password";
/// Rows of ended sessions stay for so long, so that a stolen refresh token is still known for what it is.
const KEPT_AFTER_END_S: i64 = 30 * 86_400;
/// How stale "last seen" may be, so that reading does not mean writing.
const SEEN_EVERY_S: i64 = 300;

/// What a person proved who they are with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInMethod {
    Password,
    Passkey,
    /// At a provider of identities.
    Identity,
}

impl SignInMethod {
    pub fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Passkey => "passkey",
            Self::Identity => "identity",
        }
    }
}

/// Somebody who has proved who they are.
#[derive(Debug, Clone)]
pub struct Proved {
    pub user: User,
    pub method: SignInMethod,
    /// What the hash of the password that was given is known by: with another password since, the proof is void.
    pub(crate) password: Option<String>,
}

impl Proved {
    /// By something else than a password that could be changed meanwhile.
    pub fn by(user: User, method: SignInMethod) -> Self {
        Self { user, method, password: None }
    }
}

/// A browser's session, with the complete value of its `Set-Cookie` header.
pub struct SignedIn {
    pub user: User,
    pub cookie: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    sid: SessionId,
    iat: i64,
    exp: i64,
}

/// The cookie's name. With TLS the `__Host-` prefix keeps other hosts of the domain from setting it.
pub fn session_cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-cxd_session" } else { "cxd_session" }
}

/// Where to go after signing in: only to a path of this site.
pub fn safe_next(next: Option<&str>) -> String {
    match next {
        Some(path) if path.starts_with('/') && !path.starts_with("//") && !path.contains('\\') && !path.chars().any(char::is_control) => {
            path.to_owned()
        }
        _ => "/".to_owned(),
    }
}

/// The context of the cookie's user. `NotSignedIn` when the session has ended or the account is disabled.
pub async fn authenticate_cookie(ctx: &Ctx, cookie: &str) -> Result<Ctx> {
    let services = ctx.services();
    let mut conn = services.db.read().await?;
    let mut found = sessions::live_by_cookie(&mut conn, &hash(cookie), ctx.now()).await?.ok_or(Error::NotSignedIn)?;
    drop(conn);
    let preferences = found.preferences_revision.zip(found.preferences.take());
    let arrival = Arrival::new(found.accounts.clone(), preferences);
    Ok(enter(ctx, found).await?.arriving(arrival))
}

/// The context of an access token's user. The session is looked up each time: who is disabled is out at the next request.
pub async fn authenticate_bearer(ctx: &Ctx, token: &str) -> Result<Ctx> {
    let services = ctx.services();
    let mut validation = Validation::new(Algorithm::HS256);
    // The end is compared with our own clock below.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(&services.settings.jwt_secret.0);
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|_| Error::NotSignedIn)?.claims;
    if claims.exp * 1_000_000 <= ctx.now().0 {
        return Err(Error::NotSignedIn);
    }
    let mut conn = services.db.read().await?;
    let found = sessions::live_by_id(&mut conn, claims.sid, ctx.now()).await?.ok_or(Error::NotSignedIn)?;
    drop(conn);
    enter(ctx, found).await
}

async fn enter(ctx: &Ctx, session: sessions::LiveSession) -> Result<Ctx> {
    let now = ctx.now();
    if now.0 - session.session_seen_at.0 > SEEN_EVERY_S * 1_000_000 {
        let services = ctx.services();
        let mut tx = services.db.begin().await?;
        let end = session_end(ctx, &mut tx).await?;
        sessions::touch(&mut tx, session.session_id, now, end).await?;
        store::users::touch(&mut tx, session.user.id, now).await?;
        ctx.commit(tx).await?;
    }
    let must_set_up = must_set_up(ctx.services(), &session.user, session.has_factor, session.accounts.as_deref());
    let (user, session) = (session.user.into_user(), session.session_id);
    Ok(if must_set_up { ctx.setting_up(user, session) } else { ctx.signed_in(user, session) })
}

/// Whether all that somebody may do is set up a second factor: one is required of them, and they have none. `accounts` are the saved
/// settings of accounts.
pub(crate) fn must_set_up(services: &Services, user: &UserRow, has_factor: bool, accounts: Option<&str>) -> bool {
    second_factor::must_set_up(user.role.0, has_factor, &settings::read_accounts(services, accounts))
}

/// Whether the caller's session still holds, for streams that outlive a request.
pub async fn still_signed_in(ctx: &Ctx) -> Result<bool> {
    Ok(look_again(ctx).await?.is_some())
}

/// The caller as they are now, such as after they stopped being an administrator; `None` when the session or the token has ended.
pub(crate) async fn look_again(ctx: &Ctx) -> Result<Option<Ctx>> {
    let mut conn = ctx.services().db.read().await?;
    let must_set_up = |user: &UserRow, has_factor, accounts: Option<&str>| must_set_up(ctx.services(), user, has_factor, accounts);
    if let Some(grant) = ctx.grant() {
        let live = store::tokens::live_by_id(&mut conn, grant.id, ctx.now()).await?;
        let live = live.filter(|token| !must_set_up(&token.user, token.has_factor, token.accounts.as_deref()));
        return Ok(live.map(|token| ctx.with_user(token.user.into_user())));
    }
    let Some(session) = ctx.session_id() else { return Ok(ctx.user().is_some().then(|| ctx.clone())) };
    let live = sessions::live_by_id(&mut conn, session, ctx.now()).await?;
    let live = live.filter(|session| !must_set_up(&session.user, session.has_factor, session.accounts.as_deref()));
    Ok(live.map(|session| ctx.with_user(session.user.into_user())))
}

/// Makes an account as [`accounts::register`] does and signs this browser in.
pub async fn register_browser(ctx: &Ctx, request: Register) -> Result<SignedIn> {
    let user = accounts::register(ctx, request).await?;
    finish_browser(ctx, Proved::by(user, SignInMethod::Password)).await
}

pub async fn login_browser(ctx: &Ctx, mut request: Login) -> Result<SignedIn> {
    let otp = request.otp.take();
    let proved = check_password(ctx, request).await?;
    second_factor::demand(ctx, &proved, otp.as_deref()).await?;
    finish_browser(ctx, proved).await
}

/// Signs a client in that is not a browser.
pub async fn login(ctx: &Ctx, mut request: Login) -> Result<Tokens> {
    let otp = request.otp.take();
    let proved = check_password(ctx, request).await?;
    second_factor::demand(ctx, &proved, otp.as_deref()).await?;
    finish_client(ctx, proved).await
}

/// Begins a browser's session for somebody who has proved all that the account asks for.
pub async fn finish_browser(ctx: &Ctx, proved: Proved) -> Result<SignedIn> {
    let secret = random_token(ctx);
    let mut tx = ctx.services().db.begin().await?;
    let days = settings::accounts_in(ctx, &mut tx).await?.session_days;
    insert_session(ctx, &mut tx, &proved, Some(&hash(&secret))).await?;
    ctx.commit(tx).await?;
    Ok(SignedIn { user: proved.user, cookie: cookie(ctx, &secret, i64::from(days) * 86_400) })
}

/// As [`finish_browser`], for a client that keeps tokens.
pub async fn finish_client(ctx: &Ctx, proved: Proved) -> Result<Tokens> {
    let refresh = format!("cxr_{}", random_token(ctx));
    let mut tx = ctx.services().db.begin().await?;
    let session = insert_session(ctx, &mut tx, &proved, None).await?;
    sessions::insert_refresh(&mut tx, &hash(&refresh), session, ctx.now()).await?;
    ctx.commit(tx).await?;
    tokens(ctx, proved.user, session, refresh)
}

/// Spends a refresh token for the next pair. Using a spent one ends the session: somebody else has a copy.
pub async fn refresh(ctx: &Ctx, request: Refresh) -> Result<Tokens> {
    let services = ctx.services();
    let now = ctx.now();
    let given = hash(&request.refresh_token);
    let successor = successor_of(ctx, &request.refresh_token)?;
    let mut tx = services.db.begin().await?;
    let row = sessions::refresh(&mut tx, &given).await?.ok_or(Error::NotSignedIn)?;
    let is_first = sessions::spend_refresh(&mut tx, &given, now).await?;
    if !is_first {
        let spent_at = sessions::refresh(&mut tx, &given).await?.and_then(|row| row.spent_at).unwrap_or_default();
        if now.0 - spent_at.0 > REFRESH_GRACE_S * 1_000_000 {
            // A session that has ended already has nothing left to end, and is no news.
            let live = sessions::live_by_id(&mut tx, row.session_id, now).await?.map(|live| live.user.into_user());
            sessions::revoke(&mut tx, row.session_id, now).await?;
            if let Some(user) = live {
                store::events::append(&mut tx, Stream::User(user.id), now, vec![EventKind::SessionsChanged {}]).await?;
                let facts = Facts::about("session", row.session_id, user.username.clone()).by(&user).refused();
                audit::record(ctx, &mut tx, AuditAction::RefreshReused, facts);
            }
            ctx.commit(tx).await?;
            tracing::warn!(session.id = %row.session_id, "a spent refresh token was used; its session was ended");
            return Err(Error::NotSignedIn);
        }
    }
    let live = sessions::live_by_id(&mut tx, row.session_id, now).await?.ok_or(Error::NotSignedIn)?;
    sessions::insert_refresh(&mut tx, &hash(&successor), row.session_id, now).await?;
    let end = session_end(ctx, &mut tx).await?;
    sessions::touch(&mut tx, row.session_id, now, end).await?;
    ctx.commit(tx).await?;
    tokens(ctx, live.user.into_user(), row.session_id, successor)
}

/// Ends the caller's session; answers the cookie that clears the browser's.
pub async fn logout(ctx: &Ctx) -> Result<String> {
    if let (Some(session), Ok(user)) = (ctx.session_id(), ctx.require_account()) {
        let mut tx = ctx.services().db.begin().await?;
        sessions::revoke(&mut tx, session, ctx.now()).await?;
        store::events::append(&mut tx, Stream::User(user.id), ctx.now(), vec![EventKind::SessionsChanged {}]).await?;
        audit::record(ctx, &mut tx, AuditAction::SignedOut, Facts::about("session", session, user.username.clone()));
        ctx.commit(tx).await?;
    }
    Ok(no_cookie(ctx))
}

/// Ends all of the caller's sessions, this one too; answers the cookie that clears the browser's.
pub async fn logout_everywhere(ctx: &Ctx) -> Result<String> {
    let user = ctx.require_session()?;
    let mut tx = ctx.services().db.begin().await?;
    let ended = sessions::revoke_others(&mut tx, user.id, None, ctx.now()).await?;
    store::events::append(&mut tx, Stream::User(user.id), ctx.now(), vec![EventKind::SessionEnded {}]).await?;
    audit::record(ctx, &mut tx, AuditAction::AllSessionsRevoked, Facts::user(user).with(json!({ "sessions": ended })));
    ctx.commit(tx).await?;
    Ok(no_cookie(ctx))
}

/// The cookie that clears the browser's.
pub(crate) fn no_cookie(ctx: &Ctx) -> String {
    cookie(ctx, "", 0)
}

async fn check_password(ctx: &Ctx, request: Login) -> Result<Proved> {
    let typed = json!({ "username": request.username });
    let mut fields = Vec::new();
    if request.username.trim().is_empty() {
        fields.push(FieldError::new("username", "Enter your user name or e-mail address."));
    }
    if request.password.is_empty() {
        fields.push(FieldError::new("password", "Enter your password."));
    }
    if !fields.is_empty() {
        return Err(Error::InvalidForm { fields, typed });
    }
    let key = key_of(request.username.trim());
    throttle::check(ctx, THROTTLE, &key)?;
    // Nobody has such a password, and hashing a megabyte is not free.
    let is_plausible = request.password.len() <= wire::limits::PASSWORD_MAX;
    let mut conn = ctx.services().db.read().await?;
    let row = find(&mut conn, request.username.trim()).await?;
    drop(conn);
    let turn = password::wait_for_turn().await?;
    // Again, since many may have waited for the same turn.
    throttle::check(ctx, THROTTLE, &key)?;
    let stored = row.as_ref().map(|row| row.password_hash.clone());
    let given = if is_plausible { request.password } else { String::new() };
    let matches = password::verify(turn, given.clone(), stored.clone()).await? && is_plausible;
    let user = row.map(UserRow::into_user);
    match user {
        Some(user) if matches && user.state == UserState::Active => {
            throttle::succeeded(ctx, THROTTLE, &key);
            let stored = rehash(ctx, &user, given, stored.unwrap_or_default()).await?;
            Ok(Proved { user, method: SignInMethod::Password, password: Some(hash(&stored)) })
        }
        found => {
            throttle::failed(ctx, THROTTLE, &key);
            // What was typed is not kept where it is no name: it may well be a password.
            let facts = found.map_or_else(Facts::none, |user| Facts::user(&user)).refused();
            audit::record_alone(ctx, AuditAction::SignInRefused, facts.with(json!({ "method": SignInMethod::Password.word() }))).await;
            let message = "The name or the password is not right, or the account is disabled.";
            Err(Error::WrongPassword { fields: vec![FieldError::new("password", message)], typed })
        }
    }
}

/// Brings a hash up to what is asked of new ones, now that the password is at hand. Answers the one that stands now.
async fn rehash(ctx: &Ctx, user: &User, password: String, stored: String) -> Result<String> {
    if !password::is_outdated(&stored) {
        return Ok(stored);
    }
    let hash = password::hash(ctx.services(), password).await?;
    let mut tx = ctx.services().db.begin().await?;
    store::users::replace_password_hash(&mut tx, user.id, &stored, &hash).await?;
    ctx.commit(tx).await?;
    tracing::info!(user.id = %user.id, "a password was hashed anew, as hard as new ones are");
    Ok(hash)
}

async fn insert_session(ctx: &Ctx, tx: &mut store::Tx, proved: &Proved, cookie_hash: Option<&str>) -> Result<SessionId> {
    let user = &proved.user;
    // Between the proof and this, the account may have been disabled or given another password.
    let stored = store::users::enter(tx, user.id, ctx.now()).await?;
    let holds = |stored: String| proved.password.as_ref().is_none_or(|seen| *seen == hash(&stored));
    if !stored.is_some_and(holds) {
        let message = "The account was changed while you signed in. Sign in again.";
        return Err(Error::WrongPassword { fields: vec![FieldError::new("password", message)], typed: json!({}) });
    }
    let id = ctx.new_id();
    let client = ctx.client();
    let session = sessions::NewSession {
        id,
        user_id: user.id,
        cookie_hash,
        address: client.address.as_deref(),
        user_agent: client.user_agent.as_deref(),
        at: ctx.now(),
        expires_at: session_end(ctx, tx).await?,
    };
    sessions::insert(tx, &session).await?;
    sessions::forget(tx, user.id, ctx.now().plus_seconds(-KEPT_AFTER_END_S)).await?;
    let facts = Facts::about("session", id, user.username.clone()).by(user).with(json!({ "method": proved.method.word() }));
    audit::record(ctx, tx, AuditAction::SignedIn, facts);
    Ok(id)
}

fn tokens(ctx: &Ctx, user: User, session: SessionId, refresh_token: String) -> Result<Tokens> {
    let settings = &ctx.services().settings;
    let now = ctx.now().0 / 1_000_000;
    let expires_in = settings.access_minutes * 60;
    let claims = Claims { sub: user.id.to_string(), sid: session, iat: now, exp: now + expires_in };
    let key = EncodingKey::from_secret(&settings.jwt_secret.0);
    let access_token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(Error::internal)?;
    Ok(Tokens { access_token, refresh_token, token_type: "bearer".to_owned(), expires_in: expires_in as u32, user })
}

async fn session_end(ctx: &Ctx, conn: &mut Conn) -> Result<Micros> {
    let days = settings::accounts_in(ctx, conn).await?.session_days;
    Ok(ctx.now().plus_seconds(i64::from(days) * 86_400))
}

fn cookie(ctx: &Ctx, value: &str, max_age_s: i64) -> String {
    let secure = ctx.services().settings.secure_cookies;
    let flag = if secure { "; Secure" } else { "" };
    format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{flag}", session_cookie_name(secure))
}

pub(crate) fn random_token(ctx: &Ctx) -> String {
    let mut bytes = [0; 32];
    ctx.services().ids.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The same for the same token, so that the successor need not be stored in the clear for the second tab.
fn successor_of(ctx: &Ctx, token: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&ctx.services().settings.jwt_secret.0).map_err(Error::internal)?;
    mac.update(b"refresh successor\0");
    mac.update(token.as_bytes());
    Ok(format!("cxr_{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
}

pub(crate) fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// The form in which names and addresses are unique: whatever their case, and however their characters are composed.
pub(crate) fn key_of(name: &str) -> String {
    let composed: String = name.nfkc().collect();
    composed.to_lowercase().nfkc().collect()
}

/// An account by its user name or e-mail address. Accounts that were made when keys were only lower-cased are found by those.
pub(crate) async fn find(conn: &mut Conn, who: &str) -> Result<Option<UserRow>> {
    let (key, plain) = (key_of(who), who.to_lowercase());
    match store::users::by_key(conn, &key).await? {
        None if plain != key => Ok(store::users::by_key(conn, &plain).await?),
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::{key_of, safe_next};

    #[test]
    fn one_name_has_one_key() {
        assert_eq!(key_of("ADA@Example.ORG"), "ada@example.org");
        assert_eq!(key_of("Jose\u{301}@example.org"), key_of("JOS\u{c9}@example.org"));
        assert_eq!(key_of("\u{ff21}da"), "ada", "full-width letters");
        assert_eq!(key_of("\u{130}x"), key_of(&key_of("\u{130}x")), "a key is its own key");
    }

    #[test]
    fn signing_in_never_leads_to_another_site() {
        for bad in ["//evil.example", "https://evil.example", "/\\evil.example", "", "javascript:x", "/a\nb"] {
            assert_eq!(safe_next(Some(bad)), "/", "{bad}");
        }
        assert_eq!(safe_next(Some("/projects/1?x=y")), "/projects/1?x=y");
        assert_eq!(safe_next(None), "/");
    }
}
