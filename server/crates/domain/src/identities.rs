//! Signing in with an account elsewhere: at any OpenID Connect issuer, or at GitHub. `flow` goes there and comes back, `oidc` and `github`
//! find out who came, and `accounts` decides what that means here. Domain itself connects to nobody: see [`IdentityWeb`].

mod accounts;
mod desk;
mod flow;
mod github;
mod oidc;
mod token;

use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;
use store::{Conn, identities as table};
use wire::{
    IdentityId, Micros, UserId,
    audit::AuditAction,
    identities::{IdentitiesView, Identity, IdentityProvider, LinkIdentity, LinkStart, SignInProvider},
};

pub use desk::{GithubProvider, IdentityDesk, IdentityWeb, OidcProvider, WebAnswer, WebError, WebRequest, no_identities};
pub use flow::{Begin, Callback, Landing, begin, finish};

use crate::{Ctx, Error, Result, audit};

/// From a confirmed password to the way to the provider, in seconds.
const PASS_S: i64 = 600;

/// The providers that can be signed in with, for everybody who looks at the login page.
pub fn providers(ctx: &Ctx) -> Vec<SignInProvider> {
    ctx.services().identities.offered()
}

/// Who the caller's account is elsewhere, the oldest first.
pub async fn list(ctx: &Ctx) -> Result<Vec<Identity>> {
    let user = ctx.require_session()?.id;
    let rows = table::of_user(&mut ctx.services().db.read().await?, user).await?;
    Ok(rows.into_iter().map(|row| into_identity(ctx, row)).collect())
}

/// As [`list`], with what can be linked, and whether [`begin_link`] asks for a password.
pub async fn view(ctx: &Ctx) -> Result<IdentitiesView> {
    let identities = list(ctx).await?;
    let row = store::users::by_id(&mut ctx.services().db.read().await?, ctx.require_session()?.id).await?.ok_or(Error::NotSignedIn)?;
    Ok(IdentitiesView { identities, offers: providers(ctx), has_password: !row.password_hash.is_empty() })
}

/// Where linking another identity begins, for the caller's session alone. It gives a way into the account that stays, so the password
/// is asked for first.
pub async fn begin_link(ctx: &Ctx, request: LinkIdentity) -> Result<LinkStart> {
    let user = ctx.require_session()?;
    let provider = request.provider;
    if ctx.services().identities.issuer_of(provider).is_none() {
        return Err(Error::invalid("provider", "This provider is not set up here. Choose another one."));
    }
    crate::accounts::confirm(ctx, user, Some(&request.password), "password").await?;
    Ok(LinkStart { href: format!("{}?link={}", provider.path(), link_pass(ctx, provider)?) })
}

/// Takes an identity off the caller's account, unless that would leave no way in.
pub async fn unlink(ctx: &Ctx, id: IdentityId) -> Result<()> {
    let user = ctx.require_session()?.clone();
    let mut tx = ctx.services().db.begin().await?;
    // Two that go at once must not both find the other one still there.
    store::users::lock_installation(&mut tx).await?;
    let rows = table::of_user(&mut tx, user.id).await?;
    let row = rows.iter().find(|row| row.id == id).ok_or(Error::NotFound("identity"))?.clone();
    let others = rows.iter().any(|other| other.id != id && ctx.services().identities.is_usable(other.provider.0, &other.issuer));
    if !others && !has_another_way_in(&mut tx, user.id).await? {
        return Err(Error::conflict("This is the only way into your account. Set a password or add a passkey first; nothing was changed."));
    }
    table::remove(&mut tx, user.id, id).await?;
    let facts = audit::Facts::about("identity", id, &row.name).with(json!({ "provider": row.provider.0.word(), "issuer": row.issuer }));
    audit::record(ctx, &mut tx, AuditAction::IdentityUnlinked, facts);
    ctx.commit(tx).await
}

/// A password or a passkey.
async fn has_another_way_in(conn: &mut Conn, user: UserId) -> Result<bool> {
    let row = store::users::by_id(conn, user).await?.ok_or(Error::NotFound("user"))?;
    Ok(!row.password_hash.is_empty() || !store::passkeys::list(conn, user).await?.is_empty())
}

fn into_identity(ctx: &Ctx, row: table::IdentityRow) -> Identity {
    let desk = &ctx.services().identities;
    let usable = desk.is_usable(row.provider.0, &row.issuer);
    let provider_name = if usable { desk.name_of(row.provider.0) } else { row.issuer.clone() };
    Identity {
        id: row.id,
        provider: row.provider.0,
        provider_name,
        name: row.name,
        email: row.email,
        usable,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
    }
}

/// Proves that this session confirmed its password a moment ago, since what goes to the provider is a plain link.
fn link_pass(ctx: &Ctx, provider: IdentityProvider) -> Result<String> {
    let until = ctx.now().plus_seconds(PASS_S);
    Ok(format!("{}-{}", until.0, hex::encode(link_mac(ctx, provider, until)?.finalize().into_bytes())))
}

fn is_link_pass(ctx: &Ctx, provider: IdentityProvider, pass: &str) -> Result<bool> {
    let Some((until, given)) = pass.split_once('-') else { return Ok(false) };
    let (Ok(until), Ok(given)) = (until.parse().map(Micros), hex::decode(given)) else { return Ok(false) };
    Ok(until > ctx.now() && link_mac(ctx, provider, until)?.verify_slice(&given).is_ok())
}

fn link_mac(ctx: &Ctx, provider: IdentityProvider, until: Micros) -> Result<Hmac<Sha256>> {
    ctx.require_session()?;
    let session = ctx.session_id().ok_or(Error::NotSignedIn)?;
    let mut mac = keyed(ctx)?;
    mac.update(format!("link an identity\0{}\0{session}\0{}", provider.word(), until.0).as_bytes());
    Ok(mac)
}

fn keyed(ctx: &Ctx) -> Result<Hmac<Sha256>> {
    Hmac::new_from_slice(&ctx.services().settings.jwt_secret.0).map_err(Error::internal)
}
