//! How accounts come to be: by signing up, by an invitation, by an administrator.

use serde_json::json;
use store::{Conn, Tx, users::NewUser};
use wire::{
    FieldError, UserId,
    audit::AuditAction,
    auth::{self as rules, Register},
    links::{LinkKind, OneTimeLink},
    settings::{AccountSettings, Registration},
    users::{CreateUser, User, UserRole},
};

use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    auth::{find, hash, key_of},
    links, password, projects, settings, throttle,
};

/// Under which wrong passwords of people who are signed in are counted.
const THROTTLE: &str = "confirm";
/// How long a sign-in stands for a password where the account has none.
const FRESH_S: i64 = 600;
const SIGN_IN_AGAIN: &str = "Your account has no password to confirm this with. Sign in again, then try once more.";

/// What an account begins with.
pub(crate) struct NewAccount<'a> {
    pub email: &'a str,
    pub username: &'a str,
    pub full_name: Option<&'a str>,
    /// Empty for an account that is entered without a password.
    pub password_hash: &'a str,
    pub role: UserRole,
    /// The address is known to be the person's, and not only typed.
    pub proves_email: bool,
}

/// Makes an account. The very first one becomes administrator, and finds the sample project if there is one. Whether others may sign up,
/// an administrator decides.
pub async fn register(ctx: &Ctx, request: Register) -> Result<User> {
    let services = ctx.services();
    let typed = json!({ "email": request.email, "username": request.username, "full_name": request.full_name });
    let refuse = |fields| Error::InvalidForm { fields, typed: typed.clone() };
    let mut fields = request.validate();
    let own = [request.username.trim(), request.email.trim(), request.full_name.as_deref().unwrap_or_default()];
    if fields.iter().all(|field| field.field != "password") {
        fields.extend(password::refuse_guessable("password", &request.password, &own));
    }
    if !fields.is_empty() {
        return Err(refuse(fields));
    }
    let email = request.email.trim();
    let username = request.username.trim();
    let full_name = request.full_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let invite = request.invite.as_deref().map(str::trim).filter(|secret| !secret.is_empty()).map(hash);
    // Before the work of hashing, and once more when nobody else can change it.
    admit(ctx, &mut services.db.read().await?, email, invite.as_deref()).await.map_err(|error| with_typed(error, &typed))?;
    let password_hash = password::hash(services, request.password.clone()).await?;

    let mut tx = services.db.begin().await?;
    store::users::lock_installation(&mut tx).await?;
    let Admitted { role, is_first, proves_email } =
        admit(ctx, &mut tx, email, invite.as_deref()).await.map_err(|error| with_typed(error, &typed))?;
    if let Some(invite) = &invite {
        store::links::take(&mut tx, LinkKind::Invitation, invite, ctx.now()).await?.ok_or_else(invitation_is_gone)?;
    }
    let taken = find_taken(&mut tx, None, username, email).await?;
    if !taken.is_empty() {
        return Err(refuse(taken));
    }
    let new = NewAccount { email, username, full_name, password_hash: &password_hash, role, proves_email };
    let user = insert(ctx, &mut tx, &new, if invite.is_some() { "invitation" } else { "sign-up" }).await?;
    ctx.commit(tx).await?;
    if is_first && let Err(error) = projects::lay_out_sample(ctx, &user).await {
        // The account exists; a missing sample must not keep its owner out.
        tracing::warn!(%error, "the sample project could not be laid out");
    }
    Ok(user)
}

/// Makes an account for somebody. Without a password it is entered by a link of [`crate::links::make_reset`].
pub async fn create(ctx: &Ctx, request: CreateUser) -> Result<User> {
    let (tx, user) = create_in(ctx, request).await?;
    ctx.commit(tx).await?;
    Ok(user)
}

/// As [`create`], and where the account has no password, with the link to set one: both are there, or neither.
pub async fn create_with_link(ctx: &Ctx, request: CreateUser) -> Result<(User, Option<OneTimeLink>)> {
    let has_password = request.password.is_some();
    let (mut tx, user) = create_in(ctx, request).await?;
    let link = if has_password { None } else { Some(links::make_reset_in(ctx, &mut tx, &user).await?) };
    ctx.commit(tx).await?;
    Ok((user, link))
}

async fn create_in(ctx: &Ctx, request: CreateUser) -> Result<(Tx, User)> {
    ctx.require_administration()?;
    if request.role == Some(UserRole::Admin) {
        ctx.require_administrator_in_person()?;
    }
    let (email, username) = (request.email.trim(), request.username.trim());
    let full_name = request.full_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let refused = [rules::refuse_email(email), rules::refuse_username(username), full_name.and_then(rules::refuse_full_name)];
    let mut fields: Vec<FieldError> = refused.into_iter().flatten().collect();
    if let Some(password) = &request.password {
        fields.extend(refuse_password("password", password, &[username, email, full_name.unwrap_or_default()]));
    }
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let password_hash = match request.password.clone() {
        Some(password) => password::hash(ctx.services(), password).await?,
        None => String::new(),
    };
    let mut tx = ctx.services().db.begin().await?;
    store::users::lock_installation(&mut tx).await?;
    let taken = find_taken(&mut tx, None, username, email).await?;
    if !taken.is_empty() {
        return Err(Error::Invalid(taken));
    }
    let role = request.role.unwrap_or(UserRole::User);
    let new = NewAccount { email, username, full_name, password_hash: &password_hash, role, proves_email: true };
    let user = insert(ctx, &mut tx, &new, "administrator").await?;
    Ok((tx, user))
}

/// Writes the rows of a new account. The caller holds the lock of the installation and has found the names free.
pub(crate) async fn insert(ctx: &Ctx, tx: &mut Tx, new: &NewAccount<'_>, way: &str) -> Result<User> {
    let (email_key, username_key) = (key_of(new.email), key_of(new.username));
    let row = NewUser {
        id: ctx.new_id(),
        email: new.email,
        email_key: &email_key,
        username: new.username,
        username_key: &username_key,
        full_name: new.full_name,
        password_hash: new.password_hash,
        role: new.role,
        at: ctx.now(),
    };
    store::users::insert(tx, &row).await?;
    let user = store::users::by_id(tx, row.id).await?.ok_or(Error::NotFound("user"))?.into_user();
    if new.proves_email {
        crate::members::take_up(ctx, tx, &user).await?;
    } else {
        crate::members::announce(ctx, tx, &user).await?;
    }
    audit::record(ctx, tx, AuditAction::AccountCreated, Facts::user(&user).with(json!({ "role": user.role, "by": way })));
    tracing::info!(user.id = %user.id, user.role = ?user.role, way, "an account is made");
    Ok(user)
}

/// What is wrong with a name and an address because somebody else has them. `own` is whose they may already be.
pub(crate) async fn find_taken(conn: &mut Conn, own: Option<UserId>, username: &str, email: &str) -> Result<Vec<FieldError>> {
    let mut taken = Vec::new();
    if find(conn, username).await?.is_some_and(|found| Some(found.id) != own) {
        taken.push(FieldError::new("username", format!("This name is taken. Try {username}-2.")));
    }
    if find(conn, email).await?.is_some_and(|found| Some(found.id) != own) {
        let hint =
            if own.is_some() { "Another account has this address." } else { "There is an account with this address. Sign in instead." };
        taken.push(FieldError::new("email", hint));
    }
    Ok(taken)
}

pub(crate) struct Admitted {
    pub role: UserRole,
    pub is_first: bool,
    /// The invitation was made for the address.
    pub proves_email: bool,
}

/// Whether an address may sign up now, and as what. `invite` is the hash of an invitation's secret.
pub(crate) async fn admit(ctx: &Ctx, conn: &mut Conn, email: &str, invite: Option<&str>) -> Result<Admitted> {
    if !store::users::any_exist(conn).await? {
        return Ok(Admitted { role: UserRole::Admin, is_first: true, proves_email: false });
    }
    let accounts = settings::accounts_in(ctx, conn).await?;
    if accounts.registration == Registration::Closed {
        return Err(Error::Forbidden("Sign-up is closed here. Ask an administrator for an account.".to_owned()));
    }
    let Some(invite) = invite else {
        if accounts.registration == Registration::Invite {
            return Err(Error::Forbidden("Sign-up needs an invitation here. Ask an administrator for one.".to_owned()));
        }
        refuse_domain(&accounts, email)?;
        return Ok(Admitted { role: UserRole::User, is_first: false, proves_email: false });
    };
    let link = store::links::live(conn, LinkKind::Invitation, invite, ctx.now()).await?.ok_or_else(invitation_is_gone)?;
    match &link.email_key {
        Some(invited) if *invited != key_of(email) => return Err(Error::invalid("email", "This invitation is for another address.")),
        Some(_) => {}
        None => refuse_domain(&accounts, email)?,
    }
    let role = link.role.map_or(UserRole::User, |role| role.0);
    Ok(Admitted { role, is_first: false, proves_email: link.email_key.is_some() })
}

pub(crate) fn invitation_is_gone() -> Error {
    Error::invalid("invite", "This invitation was used, has ended or was taken back. Ask for a new one.")
}

/// Refuses an address whose domain is not among those that may have accounts.
pub(crate) fn refuse_domain(accounts: &AccountSettings, email: &str) -> Result<()> {
    if accounts.allows_email(email) {
        return Ok(());
    }
    let domains = accounts.allowed_email_domains.join(", ");
    Err(Error::invalid("email", format!("Accounts here need an address of one of these domains: {domains}.")))
}

/// A form gets back what was typed, whichever rule refused it.
fn with_typed(error: Error, typed: &serde_json::Value) -> Error {
    match error {
        Error::Invalid(fields) => Error::InvalidForm { fields, typed: typed.clone() },
        other => other,
    }
}

/// Everything that speaks against a new password.
pub(crate) fn refuse_password(field: &str, password: &str, own: &[&str]) -> Option<FieldError> {
    rules::refuse_password(field, password).or_else(|| password::refuse_guessable(field, password, own))
}

/// Asks somebody who is signed in for their password once more, before what must not happen at an unlocked screen. Where an account has
/// none, the session has to be a new one. `field` is its name in the request.
pub(crate) async fn confirm(ctx: &Ctx, user: &User, given: Option<&str>, field: &str) -> Result<()> {
    let mut conn = ctx.services().db.read().await?;
    let row = store::users::by_id(&mut conn, user.id).await?.ok_or(Error::NotSignedIn)?;
    if row.password_hash.is_empty() {
        let session = ctx.session_id().ok_or(Error::NotSignedIn)?;
        let began_at = store::sessions::began_at(&mut conn, session).await?.ok_or(Error::NotSignedIn)?;
        return if ctx.now() <= began_at.plus_seconds(FRESH_S) { Ok(()) } else { Err(Error::Forbidden(SIGN_IN_AGAIN.to_owned())) };
    }
    drop(conn);
    let given = given.filter(|text| !text.is_empty()).ok_or_else(|| Error::invalid(field, "Enter your current password."))?;
    let account = user.id.to_string();
    throttle::check(ctx, THROTTLE, &account)?;
    let is_plausible = given.len() <= wire::limits::PASSWORD_MAX;
    let turn = password::wait_for_turn().await?;
    throttle::check(ctx, THROTTLE, &account)?;
    let given = if is_plausible { given.to_owned() } else { String::new() };
    if !(password::verify(turn, given, Some(row.password_hash)).await? && is_plausible) {
        throttle::failed(ctx, THROTTLE, &account);
        let facts = Facts::user(user).by(user).refused().with(json!({ "of": "password" }));
        audit::record_alone(ctx, AuditAction::SecondFactorRefused, facts).await;
        return Err(Error::invalid(field, "This is not your current password."));
    }
    throttle::succeeded(ctx, THROTTLE, &account);
    Ok(())
}
