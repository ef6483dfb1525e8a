//! The second step of signing in. Between the steps a browser holds a ticket in a cookie, never the password.

use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Tx, second_factor as table};
use wire::{
    FieldError,
    second_factor::SecondStep,
    users::{User, UserState},
};

use super::{CODE_IS_WRONG, as_step, has_any, prove};
use crate::{
    Ctx, Error, Result,
    auth::{self, Proved, SignInMethod, SignedIn},
};

const PURPOSE: &str = "second_step";
const TICKET_S: i64 = 300;

#[derive(Serialize, Deserialize)]
struct Ticket {
    method: SignInMethod,
    /// As [`Proved::password`].
    password: Option<String>,
}

/// Whose first factor is proved, for a short while.
pub(crate) struct Step {
    pub proved: Proved,
    hash: String,
}

/// Asks for the second factor of an account that has one, after the first was proved. `otp` is a code of the app or a recovery code;
/// without it, or with a wrong one, the refusal holds the ticket for the next step. A passkey was both factors.
pub async fn demand(ctx: &Ctx, proved: &Proved, otp: Option<&str>) -> Result<()> {
    if proved.method == SignInMethod::Passkey {
        return Ok(());
    }
    let user = &proved.user;
    let factors = table::factors(&mut ctx.services().db.read().await?, user.id).await?;
    if !has_any(factors) {
        return Ok(());
    }
    let message = match otp.map(str::trim).filter(|code| !code.is_empty()) {
        Some(code) => match prove(ctx, user, code).await? {
            Some(tx) => return ctx.commit(tx).await,
            None => CODE_IS_WRONG,
        },
        None if factors.totp > 0 => "Enter the code that your authenticator app shows, or a recovery code.",
        None => "Use your passkey, or enter a recovery code.",
    };
    let ticket = begin_step(ctx, proved).await?;
    let current = serde_json::to_value(as_step(factors)).map_err(Error::internal)?;
    Err(Error::SecondFactor { fields: vec![FieldError::new("otp", message)], current, cookie: Some(ticket) })
}

/// The value of the `Set-Cookie` header that a browser comes back with.
async fn begin_step(ctx: &Ctx, proved: &Proved) -> Result<String> {
    let secret = auth::random_token(ctx);
    let ticket = Ticket { method: proved.method, password: proved.password.clone() };
    let state = serde_json::to_string(&ticket).map_err(Error::internal)?;
    let mut tx = ctx.services().db.begin().await?;
    let new = table::NewChallenge {
        hash: &auth::hash(&secret),
        purpose: PURPOSE,
        user_id: Some(proved.user.id),
        state: &state,
        expires_at: ctx.now().plus_seconds(TICKET_S),
    };
    table::insert_challenge(&mut tx, &new, ctx.now()).await?;
    ctx.commit(tx).await?;
    Ok(cookie(ctx, &secret, TICKET_S))
}

/// Signs a browser in whose ticket is good, by a code. `tickets` are the cookies of that name; a browser may hold several.
pub async fn finish_step(ctx: &Ctx, tickets: &[&str], code: &str) -> Result<SignedIn> {
    let step = find_step(ctx, tickets).await?;
    let user = &step.proved.user;
    let factors = table::factors(&mut ctx.services().db.read().await?, user.id).await?;
    let refused = |message: &str| {
        let current = serde_json::to_value(as_step(factors)).map_err(Error::internal)?;
        Err(Error::SecondFactor { fields: vec![FieldError::new("otp", message)], current, cookie: None })
    };
    if code.trim().is_empty() {
        return refused("Enter a code.");
    }
    let mut tx = match prove(ctx, user, code).await {
        Ok(Some(tx)) => tx,
        Ok(None) => return refused(CODE_IS_WRONG),
        // Said beside the field, so that the page stays at this step.
        Err(Error::RateLimited { detail, .. }) => return refused(&detail),
        Err(error) => return Err(error),
    };
    use_step(ctx, &mut tx, &step).await?;
    ctx.commit(tx).await?;
    auth::finish_browser(ctx, step.proved).await
}

/// What the second step can be, for a browser with one of these tickets; `None` where none is good any more.
pub async fn step_ways(ctx: &Ctx, tickets: &[&str]) -> Result<Option<SecondStep>> {
    match find_step(ctx, tickets).await {
        Ok(step) => Ok(Some(as_step(table::factors(&mut ctx.services().db.read().await?, step.proved.user.id).await?))),
        Err(Error::WrongPassword { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Who may go on to the second step with these tickets.
pub(crate) async fn find_step(ctx: &Ctx, tickets: &[&str]) -> Result<Step> {
    let mut conn = ctx.services().db.read().await?;
    for ticket in tickets {
        let hash = auth::hash(ticket);
        let Some(row) = table::challenge(&mut conn, &hash, PURPOSE, ctx.now()).await? else { continue };
        let Some(id) = row.user_id else { continue };
        let Some(user) = store::users::by_id(&mut conn, id).await?.map(store::users::UserRow::into_user) else { continue };
        if user.state != UserState::Active {
            continue;
        }
        let ticket: Ticket = serde_json::from_str(&row.state).map_err(Error::internal)?;
        return Ok(Step { proved: Proved { user, method: ticket.method, password: ticket.password }, hash });
    }
    Err(took_too_long())
}

/// Spends the ticket; refused where somebody else was faster.
pub(crate) async fn use_step(ctx: &Ctx, tx: &mut Tx, step: &Step) -> Result<()> {
    match table::take_challenge(tx, &step.hash, PURPOSE, ctx.now()).await? {
        Some(_) => Ok(()),
        None => Err(took_too_long()),
    }
}

/// The refusal of a passkey at the second step: the ticket is still good for another try.
pub(crate) async fn stay_at_step(ctx: &Ctx, user: &User, error: Error) -> Result<Error> {
    let (Error::WrongPassword { fields, .. } | Error::Invalid(fields)) = error else { return Ok(error) };
    let factors = table::factors(&mut ctx.services().db.read().await?, user.id).await?;
    let current = serde_json::to_value(as_step(factors)).map_err(Error::internal)?;
    Ok(Error::SecondFactor { fields, current, cookie: None })
}

fn took_too_long() -> Error {
    let message = "The sign-in took longer than five minutes, or was finished already. Enter your password again.";
    Error::WrongPassword { fields: vec![FieldError::new("password", message)], typed: json!({}) }
}

/// The name of the ticket's cookie; as that of the session's.
pub fn step_cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-cxd_step" } else { "cxd_step" }
}

/// The value of the `Set-Cookie` header that forgets the ticket.
pub fn clear_step_cookie(ctx: &Ctx) -> String {
    cookie(ctx, "", 0)
}

fn cookie(ctx: &Ctx, value: &str, max_age_s: i64) -> String {
    let secure = ctx.services().settings.secure_cookies;
    let flag = if secure { "; Secure" } else { "" };
    format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{flag}", step_cookie_name(secure))
}
