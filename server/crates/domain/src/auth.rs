//! Who is this? Browsers hold an opaque cookie, other clients a short access token and a refresh token that is spent by its use.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{sessions, users::NewUser};
use wire::{
    FieldError, SessionId,
    auth::{Login, Refresh, Register, Tokens},
    users::{User, UserRole},
};

use crate::{Ctx, Error, Registration, Result, password, projects};

/// A second tab that refreshes at the same moment gets the same successor.
const REFRESH_GRACE_S: i64 = 10;
/// How stale "last seen" may be, so that reading does not mean writing.
const SEEN_EVERY_S: i64 = 300;

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
    let found = sessions::live_by_cookie(&mut conn, &hash(cookie), ctx.now()).await?;
    drop(conn);
    enter(ctx, found).await
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
    let found = sessions::live_by_id(&mut conn, claims.sid, ctx.now()).await?;
    drop(conn);
    enter(ctx, found).await
}

async fn enter(ctx: &Ctx, found: Option<sessions::LiveSession>) -> Result<Ctx> {
    let session = found.ok_or(Error::NotSignedIn)?;
    let now = ctx.now();
    if now.0 - session.session_seen_at.0 > SEEN_EVERY_S * 1_000_000 {
        let services = ctx.services();
        let mut tx = services.db.begin().await?;
        sessions::touch(&mut tx, session.session_id, now, session_end(ctx)).await?;
        store::users::touch(&mut tx, session.user.id, now).await?;
        ctx.commit(tx).await?;
    }
    Ok(ctx.signed_in(session.user.into_user(), session.session_id))
}

/// Whether the caller's session still holds, for streams that outlive a request.
pub async fn still_signed_in(ctx: &Ctx) -> Result<bool> {
    let Some(session) = ctx.session_id() else { return Ok(ctx.user().is_some()) };
    let mut conn = ctx.services().db.read().await?;
    Ok(sessions::live_by_id(&mut conn, session, ctx.now()).await?.is_some())
}

/// Makes an account. The very first one becomes administrator, and finds the sample project if there is one.
pub async fn register(ctx: &Ctx, request: Register) -> Result<User> {
    let services = ctx.services();
    let typed = json!({ "email": request.email, "username": request.username, "full_name": request.full_name });
    let fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::InvalidForm { fields, typed });
    }
    if services.settings.registration == Registration::Closed && crate::users::any_exist(ctx).await? {
        return Err(Error::Forbidden("Sign-up is closed here. Ask an administrator for an account.".to_owned()));
    }
    let email = request.email.trim();
    let username = request.username.trim();
    let full_name = request.full_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let hash = password::hash(services, request.password.clone()).await?;

    let mut tx = services.db.begin().await?;
    store::users::lock_installation(&mut tx).await?;
    let is_first = !store::users::any_exist(&mut tx).await?;
    if services.settings.registration == Registration::Closed && !is_first {
        return Err(Error::Forbidden("Sign-up is closed here. Ask an administrator for an account.".to_owned()));
    }
    let (email_key, username_key) = (key_of(email), key_of(username));
    let mut taken = Vec::new();
    if store::users::by_key(&mut tx, &username_key).await?.is_some() {
        taken.push(FieldError::new("username", format!("This name is taken. Try {username}-2.")));
    }
    if store::users::by_key(&mut tx, &email_key).await?.is_some() {
        taken.push(FieldError::new("email", "There is an account with this address. Sign in instead."));
    }
    if !taken.is_empty() {
        return Err(Error::InvalidForm { fields: taken, typed });
    }
    let new = NewUser {
        id: ctx.new_id(),
        email,
        email_key: &email_key,
        username,
        username_key: &username_key,
        full_name,
        password_hash: &hash,
        role: if is_first { UserRole::Admin } else { UserRole::User },
        at: ctx.now(),
    };
    store::users::insert(&mut tx, &new).await?;
    let user = store::users::by_id(&mut tx, new.id).await?.ok_or(Error::NotFound("user"))?.into_user();
    crate::members::take_up(ctx, &mut tx, &user).await?;
    ctx.commit(tx).await?;
    tracing::info!(user.id = %user.id, user.role = ?user.role, "an account was made");
    if is_first && let Err(error) = projects::lay_out_sample(ctx, &user).await {
        // The account exists; a missing sample must not keep its owner out.
        tracing::warn!(%error, "the sample project could not be laid out");
    }
    Ok(user)
}

/// Makes an account and signs this browser in.
pub async fn register_browser(ctx: &Ctx, request: Register) -> Result<SignedIn> {
    let user = register(ctx, request).await?;
    start_browser_session(ctx, user).await
}

pub async fn login_browser(ctx: &Ctx, request: Login) -> Result<SignedIn> {
    let user = check_password(ctx, request).await?;
    start_browser_session(ctx, user).await
}

/// Signs a client in that is not a browser.
pub async fn login(ctx: &Ctx, request: Login) -> Result<Tokens> {
    let user = check_password(ctx, request).await?;
    let session = insert_session(ctx, &user, None).await?;
    let refresh = format!("cxr_{}", random_token(ctx));
    let mut tx = ctx.services().db.begin().await?;
    sessions::insert_refresh(&mut tx, &hash(&refresh), session, ctx.now()).await?;
    ctx.commit(tx).await?;
    tokens(ctx, user, session, refresh)
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
            sessions::revoke(&mut tx, row.session_id, now).await?;
            ctx.commit(tx).await?;
            tracing::warn!(session.id = %row.session_id, "a spent refresh token was used; its session was ended");
            return Err(Error::NotSignedIn);
        }
    }
    let live = sessions::live_by_id(&mut tx, row.session_id, now).await?.ok_or(Error::NotSignedIn)?;
    sessions::insert_refresh(&mut tx, &hash(&successor), row.session_id, now).await?;
    sessions::touch(&mut tx, row.session_id, now, session_end(ctx)).await?;
    ctx.commit(tx).await?;
    tokens(ctx, live.user.into_user(), row.session_id, successor)
}

/// Ends the caller's session; answers the cookie that clears the browser's.
pub async fn logout(ctx: &Ctx) -> Result<String> {
    if let Some(session) = ctx.session_id() {
        let mut tx = ctx.services().db.begin().await?;
        sessions::revoke(&mut tx, session, ctx.now()).await?;
        ctx.commit(tx).await?;
    }
    Ok(cookie(ctx, "", 0))
}

async fn check_password(ctx: &Ctx, request: Login) -> Result<User> {
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
    // Nobody has such a password, and hashing a megabyte is not free.
    let is_plausible = request.password.len() <= wire::limits::PASSWORD_MAX;
    let mut conn = ctx.services().db.read().await?;
    let row = store::users::by_key(&mut conn, &key_of(request.username.trim())).await?;
    drop(conn);
    let stored = row.as_ref().map(|row| row.password_hash.clone());
    let given = if is_plausible { request.password } else { String::new() };
    let matches = password::verify(given, stored).await?;
    match row.map(store::users::UserRow::into_user) {
        Some(user) if matches && is_plausible && user.state == wire::users::UserState::Active => Ok(user),
        _ => {
            let message = "The name or the password is not right, or the account is disabled.";
            Err(Error::WrongPassword { fields: vec![FieldError::new("password", message)], typed })
        }
    }
}

async fn start_browser_session(ctx: &Ctx, user: User) -> Result<SignedIn> {
    let secret = random_token(ctx);
    insert_session(ctx, &user, Some(&hash(&secret))).await?;
    let seconds = ctx.services().settings.refresh_days * 86_400;
    Ok(SignedIn { user, cookie: cookie(ctx, &secret, seconds) })
}

async fn insert_session(ctx: &Ctx, user: &User, cookie_hash: Option<&str>) -> Result<SessionId> {
    let id = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    let client = ctx.client();
    let session = sessions::NewSession {
        id,
        user_id: user.id,
        cookie_hash,
        address: client.address.as_deref(),
        user_agent: client.user_agent.as_deref(),
        at: ctx.now(),
        expires_at: session_end(ctx),
    };
    sessions::insert(&mut tx, &session).await?;
    store::users::touch(&mut tx, user.id, ctx.now()).await?;
    ctx.commit(tx).await?;
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

fn session_end(ctx: &Ctx) -> wire::Micros {
    ctx.now().plus_seconds(ctx.services().settings.refresh_days * 86_400)
}

fn cookie(ctx: &Ctx, value: &str, max_age_s: i64) -> String {
    let secure = ctx.services().settings.secure_cookies;
    let flag = if secure { "; Secure" } else { "" };
    format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{flag}", session_cookie_name(secure))
}

fn random_token(ctx: &Ctx) -> String {
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

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// The form in which names and addresses are unique.
pub(crate) fn key_of(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::safe_next;

    #[test]
    fn signing_in_never_leads_to_another_site() {
        for bad in ["//evil.example", "https://evil.example", "/\\evil.example", "", "javascript:x", "/a\nb"] {
            assert_eq!(safe_next(Some(bad)), "/", "{bad}");
        }
        assert_eq!(safe_next(Some("/projects/1?x=y")), "/projects/1?x=y");
        assert_eq!(safe_next(None), "/");
    }
}
