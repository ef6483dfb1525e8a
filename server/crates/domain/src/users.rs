//! One's own account.

mod export;
mod removal;

use serde_json::json;
use wire::{
    FieldError,
    audit::AuditAction,
    auth::{self as rules, ChangePassword},
    event::{EventKind, Stream},
    users::{UpdateMe, User},
};

pub use export::{AccountExport, export};
pub use removal::delete_me;

use crate::{
    Ctx, Error, Result, accounts,
    audit::{self, Facts},
    auth::key_of,
    mail::{self, Letter},
    password, settings,
};

/// What the pages for signing in and up need to know before anybody is signed in.
pub struct Entrance {
    /// `false` on a new installation: the first account to sign up becomes the administrator.
    pub has_users: bool,
    pub registration: wire::settings::Registration,
    /// Links to set a new password are sent by mail.
    pub sends_mail: bool,
}

/// Everybody may ask: the sign-up page says that the first account administers.
pub async fn entrance(ctx: &Ctx) -> Result<Entrance> {
    let (has_users, accounts) = match ctx.arrival() {
        Some(arrival) => (true, arrival.accounts.clone()),
        None => store::users::entrance(&mut ctx.services().db.read().await?).await?,
    };
    let registration = settings::read_accounts(ctx.services(), accounts.as_deref()).registration;
    Ok(Entrance { has_users, registration, sends_mail: mail::is_set_up(ctx.services()) })
}

pub async fn me(ctx: &Ctx) -> Result<User> {
    ctx.require_user().cloned()
}

/// Changes one's names and address. Another address takes the password, since a new password could be sent there.
pub async fn update_me(ctx: &Ctx, request: UpdateMe) -> Result<User> {
    let user = ctx.require_user()?.clone();
    let trimmed = |text: &Option<String>| text.as_deref().map(|text| text.trim().to_owned());
    let (full_name, username, email) = (trimmed(&request.full_name), trimmed(&request.username), trimmed(&request.email));
    let refused = [
        full_name.as_deref().and_then(rules::refuse_full_name),
        username.as_deref().and_then(rules::refuse_username),
        email.as_deref().and_then(rules::refuse_email),
    ];
    let fields: Vec<FieldError> = refused.into_iter().flatten().collect();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut after = user.clone();
    after.full_name = full_name.map_or(after.full_name, |name| Some(name).filter(|name| !name.is_empty()));
    after.username = username.unwrap_or(after.username);
    after.email = email.unwrap_or(after.email);
    let changes = [
        ("full_name", after.full_name != user.full_name),
        ("username", after.username != user.username),
        ("email", after.email != user.email),
    ];
    let changed: Vec<&str> = changes.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    if changed.is_empty() {
        return Ok(user);
    }
    if changed != ["full_name"] {
        ctx.require_session()?;
    }
    if after.email != user.email {
        accounts::confirm(ctx, &user, request.password.as_deref(), "password").await?;
    }
    save(ctx, &user, &after, &changed).await?;
    if after.email != user.email {
        let text = format!(
            "The address of the account {} at cloudxdevai was changed to another one. If it was not you, tell an administrator.\n",
            after.username
        );
        mail::send_soon(ctx, Letter { to: user.email, subject: "The address of your account was changed", text });
    }
    Ok(after)
}

async fn save(ctx: &Ctx, before: &User, after: &User, changed: &[&str]) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    if after.username != before.username || after.email != before.email {
        store::users::lock_installation(&mut tx).await?;
        if after.email != before.email && !before.is_admin() {
            accounts::refuse_domain(&settings::accounts_in(ctx, &mut tx).await?, &after.email)?;
        }
        let taken = accounts::find_taken(&mut tx, Some(before.id), &after.username, &after.email).await?;
        if !taken.is_empty() {
            return Err(Error::Invalid(taken));
        }
        let (username_key, email_key) = (key_of(&after.username), key_of(&after.email));
        let names =
            store::users::Names { username: &after.username, username_key: &username_key, email: &after.email, email_key: &email_key };
        store::users::update_names(&mut tx, before.id, &names).await?;
        if after.email != before.email {
            // What was sent to the old address must not work any more.
            store::links::remove_resets(&mut tx, before.id).await?;
        }
    }
    store::users::update_full_name(&mut tx, before.id, after.full_name.as_deref()).await?;
    audit::record(ctx, &mut tx, AuditAction::AccountChanged, Facts::user(before).with(json!({ "changed": changed })));
    ctx.commit(tx).await
}

/// Sets a new password. Every other session of the account ends.
pub async fn change_password(ctx: &Ctx, request: ChangePassword) -> Result<()> {
    let user = ctx.require_session()?;
    let own = [user.username.as_str(), user.email.as_str(), user.full_name.as_deref().unwrap_or_default()];
    let mut fields: Vec<FieldError> = accounts::refuse_password("new_password", &request.new_password, &own).into_iter().collect();
    if request.current_password.as_deref() == Some(&request.new_password) {
        fields.push(FieldError::new("new_password", "This is the password that you have. Choose another one."));
    }
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    accounts::confirm(ctx, user, request.current_password.as_deref(), "current_password").await?;
    let hash = password::hash(ctx.services(), request.new_password.clone()).await?;
    let mut tx = ctx.services().db.begin().await?;
    store::users::update_password_hash(&mut tx, user.id, &hash).await?;
    store::links::remove_resets(&mut tx, user.id).await?;
    let ended = store::sessions::revoke_others(&mut tx, user.id, ctx.session_id(), ctx.now()).await?;
    store::events::append(&mut tx, Stream::User(user.id), ctx.now(), vec![EventKind::SessionsChanged {}]).await?;
    audit::record(ctx, &mut tx, AuditAction::PasswordChanged, Facts::user(user).with(json!({ "sessions_ended": ended })));
    ctx.commit(tx).await?;
    let text =
        format!("The password of the account {} at cloudxdevai was changed. If it was not you, tell an administrator.\n", user.username);
    mail::send_soon(ctx, Letter { to: user.email.clone(), subject: "Your password was changed", text });
    Ok(())
}
