//! Keys for programs. A token can do what its owner may, as far as its scopes and its projects reach, and nothing about the account itself.

use serde_json::json;
use store::{Doc, tokens as table};
use wire::{
    FieldError, TokenId,
    audit::AuditAction,
    limits,
    projects::ProjectRole,
    tokens::{ApiToken, CreateToken, CreatedToken, Scope},
    users::User,
};

use crate::{
    Ctx, Error, Result, TokenGrant,
    audit::{self, Facts},
    auth, projects,
};

/// What every token begins with, so that scanners for leaked secrets find it.
pub const PREFIX: &str = "cxd_";
/// Characters that are kept to tell tokens apart.
const SHOWN: usize = 10;
/// How stale "last used" may be, so that reading does not mean writing.
const USED_EVERY_S: i64 = 60;

/// The caller's, the newest first.
pub async fn list(ctx: &Ctx) -> Result<Vec<ApiToken>> {
    let user = ctx.require_session()?.id;
    let rows = table::list(&mut ctx.services().db.read().await?, user).await?;
    Ok(rows.into_iter().map(into_token).collect())
}

/// The secret in the answer is told this once.
pub async fn create(ctx: &Ctx, request: CreateToken) -> Result<CreatedToken> {
    let user = ctx.require_session()?;
    make(ctx, ctx, user, request).await
}

/// For whoever the caller was found to be, or acts for: `owner` is the context of `user`.
pub(crate) async fn make(ctx: &Ctx, owner: &Ctx, user: &User, request: CreateToken) -> Result<CreatedToken> {
    let mut fields = request.validate();
    if request.scopes.contains(&Scope::Admin) && !user.is_admin() {
        fields.push(FieldError::new("scopes", "Only administrators can have a token for administration."));
    }
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut scopes = request.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    let secret = format!("{PREFIX}{}", auth::random_token(ctx));
    let mut tx = ctx.services().db.begin().await?;
    let live = table::list(&mut tx, user.id).await?.iter().filter(|row| row.expires_at.is_none_or(|end| end > ctx.now())).count();
    if live as i64 >= limits::TOKENS_MAX {
        return Err(Error::conflict(format!("You have {live} tokens, which is the most. Revoke one that is not used any more.")));
    }
    for project in request.projects.iter().flatten() {
        let unknown = || Error::invalid("projects", format!("There is no project {project}, or you have no access to it."));
        projects::require(owner, &mut tx, *project, ProjectRole::Viewer).await.map_err(|_| unknown())?;
    }
    let row = table::TokenRow {
        id: ctx.new_id(),
        user_id: user.id,
        name: request.name.trim().to_owned(),
        prefix: secret.chars().take(SHOWN).collect(),
        scopes: Doc(scopes),
        projects: request.projects.map(Doc),
        created_at: ctx.now(),
        expires_at: request.expires_in_days.map(|days| ctx.now().plus_seconds(i64::from(days) * 86_400)),
        last_used_at: None,
        last_used_from: None,
    };
    table::insert(&mut tx, &row, &auth::hash(&secret)).await?;
    let words: Vec<_> = row.scopes.0.iter().map(|scope| scope.word()).collect();
    let details = json!({ "of": user.username, "scopes": words, "projects": row.projects.as_ref().map(|list| list.0.len()), "expires_at": row.expires_at });
    let facts = Facts::about("token", row.id, row.name.clone()).with(details);
    audit::record(ctx, &mut tx, AuditAction::TokenMade, facts);
    ctx.commit(tx).await?;
    Ok(CreatedToken { token: into_token(row), secret })
}

/// It is refused from the next request on; what it has open ends within seconds.
pub async fn revoke(ctx: &Ctx, id: TokenId) -> Result<()> {
    let user = ctx.require_session()?.id;
    let mut tx = ctx.services().db.begin().await?;
    let name = table::revoke(&mut tx, user, id, ctx.now()).await?.ok_or(Error::NotFound("token"))?;
    audit::record(ctx, &mut tx, AuditAction::TokenRevoked, Facts::about("token", id, name));
    ctx.commit(tx).await
}

/// The context of a token's owner, narrowed to what the token is for. `SecondFactorSetup` as long as the owner has to have a second
/// factor and has none: an older token is no way around it.
pub async fn authenticate(ctx: &Ctx, secret: &str) -> Result<Ctx> {
    let services = ctx.services();
    let now = ctx.now();
    let mut conn = services.db.read().await?;
    let found = table::live_by_hash(&mut conn, &auth::hash(secret), now).await?.ok_or(Error::NotSignedIn)?;
    drop(conn);
    if auth::must_set_up(services, &found.user, found.has_factor, found.accounts.as_deref()) {
        return Err(Error::SecondFactorSetup);
    }
    if found.token_used_at.is_none_or(|at| now.0 - at.0 > USED_EVERY_S * 1_000_000) {
        let mut tx = services.db.begin().await?;
        table::touch(&mut tx, found.token_id, now, ctx.client().address.as_deref()).await?;
        ctx.commit(tx).await?;
    }
    let grant = TokenGrant {
        id: found.token_id,
        name: found.token_name,
        scopes: found.token_scopes.0,
        projects: found.token_projects.map(|list| list.0),
    };
    Ok(ctx.with_token(found.user.into_user(), grant))
}

fn into_token(row: table::TokenRow) -> ApiToken {
    ApiToken {
        id: row.id,
        name: row.name,
        prefix: row.prefix,
        scopes: row.scopes.0,
        projects: row.projects.map(|list| list.0),
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        last_used_from: row.last_used_from,
    }
}
