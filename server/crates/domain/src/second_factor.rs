//! What an account asks for beside its password: codes of an authenticator app, recovery codes for when that is lost, and passkeys,
//! which have a file of their own. An administrator can require one.

mod codes;
mod step;

use serde_json::json;
use store::{Conn, Tx, second_factor as table, second_factor::Factors};
use wire::{
    UserId,
    audit::AuditAction,
    second_factor::{ConfirmWithCode, ConfirmWithPassword, RecoveryCodes, SecondFactor, SecondStep, TotpSetup},
    settings::{AccountSettings, SecondFactorDuty},
    users::{User, UserRole},
};

use crate::{
    Ctx, Error, Result, Secret, accounts,
    audit::{self, Facts},
    settings,
    vault::VaultError,
};

pub use step::{clear_step_cookie, demand, finish_step, step_cookie_name, step_ways};
pub(crate) use step::{find_step, stay_at_step, use_step};

const CODE_IS_WRONG: &str = "This code is not right, or was used already. Enter the one that the app shows now.";

/// What the caller's account has.
pub async fn status(ctx: &Ctx) -> Result<SecondFactor> {
    let user = ctx.require_account()?;
    let mut conn = ctx.services().db.read().await?;
    let factors = table::factors(&mut conn, user.id).await?;
    let required = is_required(user.role, &settings::accounts_in(ctx, &mut conn).await?);
    let row = store::users::by_id(&mut conn, user.id).await?.ok_or(Error::NotSignedIn)?;
    Ok(SecondFactor {
        totp: factors.totp > 0,
        recovery_codes_left: factors.codes_left as u32,
        passkeys: factors.passkeys as u32,
        required,
        has_password: !row.password_hash.is_empty(),
    })
}

/// A new secret for an authenticator app. It counts once a code of it was confirmed; until then each call makes another one.
pub async fn begin_totp(ctx: &Ctx) -> Result<TotpSetup> {
    let user = ctx.require_account()?;
    let services = ctx.services();
    let mut secret = vec![0; codes::SECRET_BYTES];
    services.ids.fill(&mut secret);
    let sealed = services.vault.seal(&*services.ids, &Secret(secret.clone()), &bound_to(user.id));
    let mut tx = services.db.begin().await?;
    if !table::begin_totp(&mut tx, user.id, &sealed, ctx.now()).await? {
        return Err(Error::conflict("An authenticator app is set up already. Turn it off first, then set up the other one."));
    }
    ctx.commit(tx).await?;
    codes::setup(secret, &user.username)
}

/// Turns the app on that the last [`begin_totp`] was for. The recovery codes replace all earlier ones.
pub async fn confirm_totp(ctx: &Ctx, request: ConfirmWithCode) -> Result<RecoveryCodes> {
    let user = ctx.require_account()?;
    require_code(&request.code)?;
    confirm_password(ctx, user, request.password).await?;
    let mut tx = ctx.services().db.begin().await?;
    let tries = begin_try(ctx, &mut tx, user).await?;
    let pending = table::totp(&mut tx, user.id).await?.filter(|row| row.confirmed_at.is_none());
    let Some(row) = pending else { return Err(Error::conflict("Nothing waits to be confirmed. Begin with setting up the app.")) };
    let secret = open_secret(ctx, user.id, &row.secret_sealed)?;
    let Some(step) = codes::step_of(secret, &request.code, ctx.now()) else {
        note_failure(ctx, tx, user, tries).await?;
        return Err(Error::invalid(
            "code",
            "This code is not right. Enter the one that the app shows now; the app's clock has to be right.",
        ));
    };
    if !table::confirm_totp(&mut tx, user.id, &row.secret_sealed, step, ctx.now()).await? {
        return Err(Error::conflict("The app was set up in another window meanwhile."));
    }
    reset_tries(&mut tx, user).await?;
    let made = make_codes_in(ctx, &mut tx, user).await?;
    audit::record(ctx, &mut tx, AuditAction::SecondFactorEnabled, Facts::user(user).by(user).with(json!({ "kind": "totp" })));
    ctx.commit(tx).await?;
    tracing::info!(user.id = %user.id, "an authenticator app was turned on");
    Ok(made)
}

/// Turns the app off. `code` is one of the app or a recovery code.
pub async fn disable_totp(ctx: &Ctx, request: ConfirmWithCode) -> Result<()> {
    let user = ctx.require_session()?;
    require_code(&request.code)?;
    confirm_password(ctx, user, request.password).await?;
    let Some(mut tx) = prove(ctx, user, &request.code).await? else { return Err(Error::invalid("code", CODE_IS_WRONG)) };
    if table::factors(&mut tx, user.id).await?.totp == 0 {
        return Err(Error::conflict("No authenticator app is set up."));
    }
    table::remove_totp(&mut tx, user.id).await?;
    leave_factor(ctx, &mut tx, user).await?;
    audit::record(ctx, &mut tx, AuditAction::SecondFactorDisabled, Facts::user(user).with(json!({ "kind": "totp" })));
    ctx.commit(tx).await?;
    tracing::info!(user.id = %user.id, "an authenticator app was turned off");
    Ok(())
}

/// New recovery codes in the place of all earlier ones.
pub async fn make_recovery_codes(ctx: &Ctx, request: ConfirmWithPassword) -> Result<RecoveryCodes> {
    let user = ctx.require_session()?;
    confirm_password(ctx, user, request.password).await?;
    let mut tx = ctx.services().db.begin().await?;
    if !has_any(table::factors(&mut tx, user.id).await?) {
        return Err(Error::conflict("Recovery codes go with a second factor. Set up an authenticator app or a passkey first."));
    }
    let made = make_codes_in(ctx, &mut tx, user).await?;
    ctx.commit(tx).await?;
    Ok(made)
}

/// Takes everything away that another account has, for somebody who lost the app and the codes. They sign in by password alone, and
/// where one is required set up another one first.
pub async fn reset(ctx: &Ctx, id: UserId) -> Result<()> {
    ctx.require_administrator_in_person()?;
    if ctx.user_id() == Some(id) {
        return Err(Error::conflict("This is your own account. Change its second factor under Settings, Security."));
    }
    let mut tx = ctx.services().db.begin().await?;
    let user = store::users::by_id(&mut tx, id).await?.ok_or(Error::NotFound("user"))?.into_user();
    table::remove_totp(&mut tx, id).await?;
    table::remove_codes(&mut tx, id).await?;
    let passkeys = store::passkeys::list(&mut tx, id).await?;
    for passkey in &passkeys {
        store::passkeys::remove(&mut tx, id, passkey.id).await?;
    }
    let facts = Facts::user(&user).with(json!({ "kind": "all", "passkeys": passkeys.len() }));
    audit::record(ctx, &mut tx, AuditAction::SecondFactorDisabled, facts);
    ctx.commit(tx).await?;
    tracing::info!(user.id = %id, by = ?ctx.user_id(), "the second factor of an account was taken away");
    Ok(())
}

/// Whether the account has to have a second factor and has none, so that all it may do is set one up.
pub(crate) fn must_set_up(role: UserRole, has_factor: bool, accounts: &AccountSettings) -> bool {
    !has_factor && is_required(role, accounts)
}

/// Whether the account has any; for authentication, inside of its connection.
pub(crate) async fn has_factor(conn: &mut Conn, user: UserId) -> Result<bool> {
    Ok(has_any(table::factors(conn, user).await?))
}

fn is_required(role: UserRole, accounts: &AccountSettings) -> bool {
    match accounts.require_second_factor {
        SecondFactorDuty::Nobody => false,
        SecondFactorDuty::Administrators => role == UserRole::Admin,
        SecondFactorDuty::Everybody => true,
    }
}

fn has_any(factors: Factors) -> bool {
    factors.totp > 0 || factors.passkeys > 0
}

fn as_step(factors: Factors) -> SecondStep {
    SecondStep { totp: factors.totp > 0, recovery_code: factors.codes_left > 0, passkey: factors.passkeys > 0 }
}

/// After one factor was taken away: recovery codes stay as long as there is another. The last one stays where one is required.
pub(crate) async fn leave_factor(ctx: &Ctx, tx: &mut Tx, user: &User) -> Result<()> {
    if has_factor(tx, user.id).await? {
        return Ok(());
    }
    if is_required(user.role, &settings::accounts_in(ctx, tx).await?) {
        return Err(Error::conflict("A second factor is required here, and this is your only one. Add another one first."));
    }
    Ok(table::remove_codes(tx, user.id).await?)
}

/// The first ones where there are none that could still be used, such as when the first passkey is added.
pub(crate) async fn make_missing_codes(ctx: &Ctx, tx: &mut Tx, user: &User) -> Result<Option<RecoveryCodes>> {
    if table::factors(tx, user.id).await?.codes_left > 0 {
        return Ok(None);
    }
    make_codes_in(ctx, tx, user).await.map(Some)
}

async fn make_codes_in(ctx: &Ctx, tx: &mut Tx, user: &User) -> Result<RecoveryCodes> {
    let made = codes::make_recovery_codes(&*ctx.services().ids);
    let hashes: Vec<_> = made.iter().map(|code| codes::hash_recovery_code(user.id, code)).collect();
    table::replace_codes(tx, user.id, &hashes, ctx.now()).await?;
    audit::record(ctx, tx, AuditAction::RecoveryCodesMade, Facts::user(user).by(user).with(json!({ "count": made.len() })));
    Ok(RecoveryCodes { codes: made })
}

/// Asks for the password of somebody who is signed in, before what could keep them out later. Wrong ones are counted apart from wrong
/// codes, which a second step of somebody else's must not wait for.
pub(crate) async fn confirm_password(ctx: &Ctx, user: &User, given: String) -> Result<()> {
    accounts::confirm(ctx, user, Some(&given), "password").await
}

/// Nothing is no try.
fn require_code(code: &str) -> Result<()> {
    if code.trim().is_empty() { Err(Error::invalid("code", "Enter a code.")) } else { Ok(()) }
}

/// Uses a code up. The transaction is open for what the code was asked for; `None` where the code was wrong, which is counted.
async fn prove(ctx: &Ctx, user: &User, code: &str) -> Result<Option<Tx>> {
    let mut tx = ctx.services().db.begin().await?;
    // Before anybody has to wait: nobody guesses one of these, and wrong codes from elsewhere must not keep their owner out.
    if table::use_code(&mut tx, user.id, &codes::hash_recovery_code(user.id, code), ctx.now()).await? {
        reset_tries(&mut tx, user).await?;
        let left = table::factors(&mut tx, user.id).await?.codes_left;
        audit::record(ctx, &mut tx, AuditAction::RecoveryCodeUsed, Facts::user(user).by(user).with(json!({ "left": left })));
        return Ok(Some(tx));
    }
    let tries = begin_try(ctx, &mut tx, user).await?;
    if use_totp(ctx, &mut tx, user.id, code).await? {
        reset_tries(&mut tx, user).await?;
        return Ok(Some(tx));
    }
    note_failure(ctx, tx, user, tries).await?;
    Ok(None)
}

async fn use_totp(ctx: &Ctx, tx: &mut Tx, user: UserId, code: &str) -> Result<bool> {
    let Some(row) = table::totp(tx, user).await?.filter(|row| row.confirmed_at.is_some()) else { return Ok(false) };
    let secret = open_secret(ctx, user, &row.secret_sealed)?;
    match codes::step_of(secret, code, ctx.now()) {
        Some(step) => Ok(table::use_step(tx, user, step).await?),
        None => Ok(false),
    }
}

/// Refuses whoever comes too early after wrong tries, before anything is compared.
async fn begin_try(ctx: &Ctx, tx: &mut Tx, user: &User) -> Result<table::Tries> {
    let tries = table::lock_tries(tx, user.id).await?;
    let until = tries.last_at.plus_seconds(codes::delay_s(tries.failures));
    let left = until.0 - ctx.now().0;
    if left > 0 {
        let retry_after = (left as u64).div_ceil(1_000_000) as u32;
        let detail = format!("That was wrong several times. Wait {retry_after} seconds, then try again. Your account is not locked.");
        return Err(Error::RateLimited { retry_after, detail });
    }
    Ok(tries)
}

async fn reset_tries(tx: &mut Tx, user: &User) -> Result<()> {
    Ok(table::set_tries(tx, user.id, table::Tries { failures: 0, last_at: wire::Micros(0) }).await?)
}

async fn note_failure(ctx: &Ctx, mut tx: Tx, user: &User, tries: table::Tries) -> Result<()> {
    let failures = tries.failures + 1;
    table::set_tries(&mut tx, user.id, table::Tries { failures, last_at: ctx.now() }).await?;
    record_refusal(ctx, &mut tx, user, failures);
    ctx.commit(tx).await
}

fn record_refusal(ctx: &Ctx, tx: &mut Tx, user: &User, in_a_row: i64) {
    let facts = Facts::user(user).by(user).refused().with(json!({ "in_a_row": in_a_row }));
    audit::record(ctx, tx, AuditAction::SecondFactorRefused, facts);
}

fn bound_to(user: UserId) -> String {
    format!("totp:{user}")
}

fn open_secret(ctx: &Ctx, user: UserId, sealed: &[u8]) -> Result<Vec<u8>> {
    match ctx.services().vault.open(sealed, &bound_to(user)) {
        Ok(secret) => Ok(secret.0),
        Err(VaultError::OtherSecret) => Err(Error::Unavailable(
            "Codes can't be checked, since the server's SECRET_KEY was changed. Use a recovery code or a passkey, or ask an administrator."
                .to_owned(),
        )),
        Err(error) => Err(Error::internal(error)),
    }
}
