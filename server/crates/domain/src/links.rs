//! Links that work once. Only a hash of their secret is kept.

use serde_json::json;
use store::{Tx, links as table};
use wire::{
    LinkId, UserId,
    audit::AuditAction,
    auth::{ForgotPassword, ResetPassword},
    event::{EventKind, Stream},
    limits,
    links::{AccountLink, InviteUser, LinkKind, LinkView, OneTimeLink},
    settings::Registration,
    users::{User, UserRole, UserState},
};

use crate::{
    Ctx, Error, Result, accounts,
    audit::{self, Facts},
    auth::{find, hash, key_of, random_token},
    mail::{self, Letter},
    password, settings, throttle,
};

/// Under which requests for a link are counted.
const THROTTLE: &str = "forgot";
/// A link that was asked for by mail.
const BY_MAIL_S: i64 = 3600;
/// A link that an administrator hands over.
const BY_ADMIN_S: i64 = 24 * 3600;
/// Links by mail that work at the same time.
const AT_ONCE: i64 = 3;
const LISTED: i64 = 1000;
const GONE: &str = "This link was used, has ended or was taken back. Ask for a new one.";

/// A link with which somebody sets a new password, for an administrator to hand over. Earlier ones stop working.
pub async fn make_reset(ctx: &Ctx, user: UserId) -> Result<OneTimeLink> {
    ctx.require_administrator_in_person()?;
    if ctx.user_id() == Some(user) {
        return Err(Error::conflict("This is your own account. Change your password under Settings, Security."));
    }
    let mut tx = ctx.services().db.begin().await?;
    let user = store::users::by_id(&mut tx, user).await?.ok_or(Error::NotFound("user"))?.into_user();
    if user.state != UserState::Active {
        return Err(Error::conflict("This account is disabled. Enable it first."));
    }
    table::remove_resets(&mut tx, user.id).await?;
    let link = make_reset_in(ctx, &mut tx, &user).await?;
    ctx.commit(tx).await?;
    Ok(link)
}

/// The caller has checked that this is an administrator's to do.
pub(crate) async fn make_reset_in(ctx: &Ctx, tx: &mut Tx, user: &User) -> Result<OneTimeLink> {
    let link = insert_reset(ctx, tx, user, BY_ADMIN_S).await?;
    audit::record(ctx, tx, AuditAction::ResetLinkMade, Facts::user(user).with(json!({ "link": link.id })));
    Ok(link)
}

async fn insert_reset(ctx: &Ctx, tx: &mut Tx, user: &User, seconds: i64) -> Result<OneTimeLink> {
    let row = table::LinkRow {
        id: ctx.new_id(),
        kind: store::Word(LinkKind::Reset),
        user_id: Some(user.id),
        email: None,
        email_key: None,
        role: None,
        created_by: ctx.user_id(),
        created_at: ctx.now(),
        expires_at: ctx.now().plus_seconds(seconds),
    };
    insert(ctx, tx, row, "/reset?token=").await
}

async fn insert(ctx: &Ctx, tx: &mut Tx, row: table::LinkRow, path: &str) -> Result<OneTimeLink> {
    let secret = format!("cxl_{}", random_token(ctx));
    table::insert(tx, &row, &hash(&secret)).await?;
    Ok(OneTimeLink { id: row.id, url_path: format!("{path}{secret}"), expires_at: row.expires_at, mailed: false })
}

/// A link with which one account is made. Where it is for one address and mail is configured, it is sent there.
pub async fn invite(ctx: &Ctx, request: InviteUser) -> Result<OneTimeLink> {
    ctx.require_administration()?;
    if request.role == UserRole::Admin {
        ctx.require_administrator_in_person()?;
    }
    let fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let email = request.email.as_deref().map(str::trim).filter(|email| !email.is_empty());
    let mut tx = ctx.services().db.begin().await?;
    if settings::accounts_in(ctx, &mut tx).await?.registration == Registration::Closed {
        return Err(Error::conflict("Sign-up is closed. Open it to invitations in the settings of accounts first."));
    }
    if let Some(email) = email
        && find(&mut tx, email).await?.is_some()
    {
        return Err(Error::invalid("email", "There is an account with this address."));
    }
    let row = table::LinkRow {
        id: ctx.new_id(),
        kind: store::Word(LinkKind::Invitation),
        user_id: None,
        email: email.map(str::to_owned),
        email_key: email.map(key_of),
        role: Some(store::Word(request.role)),
        created_by: ctx.user_id(),
        created_at: ctx.now(),
        expires_at: ctx.now().plus_seconds(i64::from(request.days) * 86_400),
    };
    let mut link = insert(ctx, &mut tx, row, "/signup?invite=").await?;
    let facts = Facts::about("invitation", link.id, email.unwrap_or("anybody"));
    audit::record(ctx, &mut tx, AuditAction::InvitationMade, facts.with(json!({ "role": request.role, "days": request.days })));
    ctx.commit(tx).await?;
    if let (Some(email), Some(address)) = (email, mail::address_of(ctx.services(), &link.url_path)) {
        let text = format!(
            "You are invited to cloudxdevai. Make your account here, within {} days:\n\n{address}\n\nThe link works once.\n",
            request.days
        );
        link.mailed = mail::send_soon(ctx, Letter { to: email.to_owned(), subject: "Your invitation to cloudxdevai", text });
    }
    Ok(link)
}

/// Links that still work, without their secrets.
pub async fn list(ctx: &Ctx) -> Result<Vec<AccountLink>> {
    ctx.require_administration()?;
    Ok(table::list(&mut ctx.services().db.read().await?, ctx.now(), LISTED).await?)
}

/// Takes a link back before it is used.
pub async fn revoke(ctx: &Ctx, id: LinkId) -> Result<()> {
    ctx.require_administration()?;
    let mut tx = ctx.services().db.begin().await?;
    let row = table::remove(&mut tx, id).await?.ok_or(Error::NotFound("link"))?;
    let facts = Facts::about(row.kind.0.word(), id, row.email.unwrap_or_default()).with(json!({ "user": row.user_id }));
    audit::record(ctx, &mut tx, AuditAction::InvitationRevoked, facts);
    ctx.commit(tx).await
}

/// What a link is for, for whoever holds it.
pub async fn look(ctx: &Ctx, kind: LinkKind, secret: &str) -> Result<LinkView> {
    let mut conn = ctx.services().db.read().await?;
    let row = table::live(&mut conn, kind, &hash(secret.trim()), ctx.now()).await?.ok_or(Error::NotFound("link"))?;
    let name = match row.user_id {
        Some(id) => Some(store::users::by_id(&mut conn, id).await?.ok_or(Error::NotFound("link"))?.username),
        None => row.email,
    };
    Ok(LinkView { kind, name, expires_at: row.expires_at })
}

/// Sends a link to set a new password to the address of an account, if there is one. The answer is the same either way, and comes as
/// fast: what there is to do is done beside it.
pub async fn forgot(ctx: &Ctx, request: ForgotPassword) -> Result<()> {
    let who = request.who.trim().to_owned();
    if who.is_empty() {
        return Err(Error::invalid("who", "Enter your user name or e-mail address."));
    }
    if who.len() > limits::EMAIL_MAX {
        return Err(Error::invalid("who", "This is longer than any name or address here."));
    }
    if !mail::is_set_up(ctx.services()) {
        return Err(Error::conflict("This server sends no mail. Ask an administrator for a link to set a new password."));
    }
    let key = key_of(&who);
    throttle::check(ctx, THROTTLE, &key)?;
    throttle::failed(ctx, THROTTLE, &key);
    let ctx = ctx.clone();
    tokio::spawn(async move {
        if let Err(error) = send_reset(&ctx, &who).await {
            tracing::error!(request_id = ctx.trace(), %error, "a link to set a new password could not be sent");
        }
    });
    Ok(())
}

async fn send_reset(ctx: &Ctx, who: &str) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    let Some(user) = find(&mut tx, who).await?.map(store::users::UserRow::into_user) else { return Ok(()) };
    // Who asks again and again neither fills somebody's mailbox nor voids what is on its way.
    if user.state != UserState::Active || table::count_resets(&mut tx, user.id, ctx.now()).await? >= AT_ONCE {
        return Ok(());
    }
    let link = insert_reset(ctx, &mut tx, &user, BY_MAIL_S).await?;
    audit::record(ctx, &mut tx, AuditAction::PasswordResetAsked, Facts::user(&user));
    ctx.commit(tx).await?;
    let Some(address) = mail::address_of(ctx.services(), &link.url_path) else { return Ok(()) };
    let text = format!(
        "Somebody, hopefully you, asked to set a new password for the account {} at cloudxdevai. Within the hour it can be set here:\n\n\
         {address}\n\nThe link works once. If it was not you, there is nothing to do: the password stays as it is.\n",
        user.username
    );
    mail::send_soon(ctx, Letter { to: user.email, subject: "Set a new password for cloudxdevai", text });
    Ok(())
}

/// Sets a new password by a link, which is used up by it. Every session of the account ends and its tokens are revoked: whoever lost the
/// password may have lost those too.
pub async fn reset(ctx: &Ctx, request: ResetPassword) -> Result<()> {
    let link_hash = hash(request.token.trim());
    let gone = || Error::invalid("token", GONE);
    let mut conn = ctx.services().db.read().await?;
    let row = table::live(&mut conn, LinkKind::Reset, &link_hash, ctx.now()).await?.ok_or_else(gone)?;
    let id = row.user_id.ok_or_else(gone)?;
    let user = store::users::by_id(&mut conn, id).await?.ok_or_else(gone)?.into_user();
    drop(conn);
    let own = [user.username.as_str(), user.email.as_str(), user.full_name.as_deref().unwrap_or_default()];
    if let Some(refused) = accounts::refuse_password("new_password", &request.new_password, &own) {
        return Err(Error::Invalid(vec![refused]));
    }
    let password_hash = password::hash(ctx.services(), request.new_password.clone()).await?;
    let mut tx = ctx.services().db.begin().await?;
    table::take(&mut tx, LinkKind::Reset, &link_hash, ctx.now()).await?.ok_or_else(gone)?;
    store::users::update_password_hash(&mut tx, user.id, &password_hash).await?;
    table::remove_resets(&mut tx, user.id).await?;
    let ended = store::sessions::revoke_others(&mut tx, user.id, None, ctx.now()).await?;
    let tokens = store::tokens::revoke_all(&mut tx, user.id, ctx.now()).await?;
    let passkeys = store::passkeys::list(&mut tx, user.id).await?.len();
    let identities = store::identities::of_user(&mut tx, user.id).await?.len();
    store::events::append(&mut tx, Stream::User(user.id), ctx.now(), vec![EventKind::SessionEnded {}]).await?;
    audit::record(
        ctx,
        &mut tx,
        AuditAction::PasswordReset,
        Facts::user(&user).by(&user).with(json!({ "sessions_ended": ended, "tokens_revoked": tokens })),
    );
    ctx.commit(tx).await?;
    tracing::info!(user.id = %user.id, "a password was set by a link");
    mail::send_soon(ctx, what_is_left(user, passkeys, identities));
    Ok(())
}

/// Tells the owner what the new password did not take away from whoever was in the account before.
fn what_is_left(user: User, passkeys: usize, identities: usize) -> Letter {
    let left = match (passkeys, identities) {
        (0, 0) => "There is no other way into it.".to_owned(),
        _ => format!(
            "It can still be entered with its passkeys ({passkeys}) and with accounts elsewhere that are linked to it ({identities}). Look \
             under Settings, Security whether all of them are yours."
        ),
    };
    let text = format!(
        "A new password was set by a link for the account {} at cloudxdevai. Its sessions have ended and its tokens are revoked. {left}\n\n\
         If it was not you, tell an administrator.\n",
        user.username
    );
    Letter { to: user.email, subject: "A new password was set", text }
}
