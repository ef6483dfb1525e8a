//! What only the server's own command line may: it is used by whoever has the machine, when nobody can sign in any more.

use serde_json::json;
use wire::{
    UserId,
    audit::AuditAction,
    event::{EventKind, Stream},
    tokens::{CreateToken, CreatedToken},
    users::{User, UserState},
};

use crate::{
    Ctx, Error, Result, accounts,
    audit::{self, Facts},
    auth, password, tokens,
};

/// An account by its user name or e-mail address.
pub async fn find_user(ctx: &Ctx, who: &str) -> Result<User> {
    ctx.require_operator()?;
    let found = auth::find(&mut ctx.services().db.read().await?, who.trim()).await?;
    Ok(found.ok_or(Error::NotFound("user"))?.into_user())
}

/// Gives an account another password. It is signed out everywhere, its tokens are revoked, and links to set one stop working.
pub async fn set_password(ctx: &Ctx, id: UserId, password: String) -> Result<User> {
    ctx.require_operator()?;
    let mut conn = ctx.services().db.read().await?;
    let user = store::users::by_id(&mut conn, id).await?.ok_or(Error::NotFound("user"))?.into_user();
    drop(conn);
    let own = [user.username.as_str(), user.email.as_str(), user.full_name.as_deref().unwrap_or_default()];
    if let Some(field) = accounts::refuse_password("password", &password, &own) {
        return Err(Error::Invalid(vec![field]));
    }
    let hash = password::hash(ctx.services(), password).await?;
    let mut tx = ctx.services().db.begin().await?;
    store::users::update_password_hash(&mut tx, id, &hash).await?;
    store::links::remove_resets(&mut tx, id).await?;
    store::sessions::revoke_all(&mut tx, id, ctx.now()).await?;
    let tokens = store::tokens::revoke_all(&mut tx, id, ctx.now()).await?;
    store::events::append(&mut tx, Stream::User(id), ctx.now(), vec![EventKind::SessionEnded {}]).await?;
    audit::record(
        ctx,
        &mut tx,
        AuditAction::PasswordReset,
        Facts::user(&user).with(json!({ "by": "command line", "tokens_revoked": tokens })),
    );
    ctx.commit(tx).await?;
    Ok(user)
}

/// Makes a token for an account. Its secret is told this once.
pub async fn create_token(ctx: &Ctx, id: UserId, request: CreateToken) -> Result<CreatedToken> {
    ctx.require_operator()?;
    let user = store::users::by_id(&mut ctx.services().db.read().await?, id).await?.ok_or(Error::NotFound("user"))?.into_user();
    if user.state != UserState::Active {
        return Err(Error::conflict("This account is disabled. Enable it first."));
    }
    let owner = ctx.on_behalf_of(&user);
    tokens::make(ctx, &owner, &user, request).await
}
