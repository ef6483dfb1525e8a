//! What it means here that somebody was recognised elsewhere: whose account that is, whether there may be a new one, and who administers.

use serde_json::json;
use store::{Conn, Tx, Word, identities as table};
use wire::{
    audit::AuditAction,
    auth::is_email,
    identities::{IdentityProvider, SignInTrouble},
    limits,
    links::LinkKind,
    users::{User, UserRole, UserState},
};

use super::{flow::Stop, oidc::fail};
use crate::{
    Ctx, Error, Result,
    accounts::{self, NewAccount, admit},
    audit, auth,
    mail::{self, Letter},
    projects,
};

/// Identities of one account.
const IDENTITIES_MAX: usize = 20;
/// Names with a number behind that are tried before chance has to help.
const NUMBERED_NAMES: usize = 50;

/// Who came, as a provider says.
#[derive(Debug, Clone)]
pub struct Person {
    pub issuer: String,
    /// What the provider knows the person by, for good.
    pub subject: String,
    pub name: String,
    /// What they would like to be called here.
    pub username: Option<String>,
    pub full_name: Option<String>,
    pub email: Option<String>,
    pub verified_email: Option<String>,
    /// What the mapping of roles says; `None` without one.
    pub is_admin: Option<bool>,
    /// They have shown two factors there already.
    pub used_two_factors: bool,
}

/// The account that has this identity, with the last use noted.
pub async fn find(ctx: &Ctx, person: &Person) -> Result<Option<User>> {
    let mut tx = ctx.services().db.begin().await?;
    let Some(row) = table::by_subject(&mut tx, &person.issuer, &person.subject).await? else { return Ok(None) };
    table::touch(&mut tx, row.id, &person.name, person.email.as_deref(), ctx.now()).await?;
    let user = store::users::by_id(&mut tx, row.user_id).await?.ok_or(Error::NotFound("user"))?.into_user();
    ctx.commit(tx).await?;
    Ok(Some(user))
}

/// Gives the caller's account another identity.
pub async fn link(ctx: &Ctx, provider: IdentityProvider, person: &Person) -> Result<(), Stop> {
    let user = ctx.require_session()?.clone();
    let mut tx = ctx.services().db.begin().await?;
    if let Some(row) = table::by_subject(&mut tx, &person.issuer, &person.subject).await? {
        let is_own = row.user_id == user.id;
        return if is_own { Ok(()) } else { Err(fail(SignInTrouble::Taken, "another account has this identity").into()) };
    }
    if table::of_user(&mut tx, user.id).await?.len() >= IDENTITIES_MAX {
        return Err(fail(SignInTrouble::TooMany, "the account has as many identities as it may").into());
    }
    insert(ctx, &mut tx, &user, provider, person).await?;
    ctx.commit(tx).await?;
    let text = format!(
        "{} at {} was linked to the account {} at cloudxdevai, and can sign in to it from now on. If it was not you, unlink it under \
         Settings, Security, set a new password, and tell an administrator.\n",
        person.name,
        ctx.services().identities.name_of(provider),
        user.username
    );
    mail::send_soon(ctx, Letter { to: user.email, subject: "Another way to sign in to your account", text });
    Ok(())
}

async fn insert(ctx: &Ctx, tx: &mut Tx, user: &User, provider: IdentityProvider, person: &Person) -> Result<()> {
    let row = table::IdentityRow {
        id: ctx.new_id(),
        user_id: user.id,
        provider: Word(provider),
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        name: person.name.clone(),
        email: person.email.clone(),
        created_at: ctx.now(),
        last_used_at: None,
    };
    table::insert(tx, &row).await?;
    let details = json!({ "provider": provider.word(), "issuer": person.issuer, "username": user.username });
    audit::record(ctx, tx, AuditAction::IdentityLinked, audit::Facts::about("identity", row.id, &row.name).by(user).with(details));
    Ok(())
}

/// Makes an account for somebody who has none here, if that is allowed. It has no password. An address that is known here is never
/// enough to get into its account: whoever owns that signs in and links.
pub async fn create(ctx: &Ctx, provider: IdentityProvider, person: &Person, invitation: Option<&str>) -> Result<User, Stop> {
    let unverified = || fail(SignInTrouble::UnverifiedEmail, "it confirms no e-mail address");
    let email = person.verified_email.as_deref().filter(|email| is_email(email)).ok_or_else(unverified)?;
    let mut tx = ctx.services().db.begin().await?;
    store::users::lock_installation(&mut tx).await?;
    if auth::find(&mut tx, email).await?.is_some() {
        return Err(fail(SignInTrouble::LinkFirst, "an account has this address and is not linked").into());
    }
    if !ctx.services().identities.allows_signup(provider) && invitation.is_none() {
        return Err(fail(SignInTrouble::SignupClosed, "no accounts are made for new people from there").into());
    }
    let invite = invitation.map(auth::hash);
    let admitted = admit(ctx, &mut tx, email, invite.as_deref()).await.map_err(|error| explain_refusal(error, invite.is_some()))?;
    if let Some(invite) = &invite {
        let taken = store::links::take(&mut tx, LinkKind::Invitation, invite, ctx.now()).await?;
        taken.ok_or_else(|| explain_refusal(accounts::invitation_is_gone(), true))?;
    }
    let username = free_name(ctx, &mut tx, person.username.as_deref().unwrap_or(email)).await?;
    let full_name = person.full_name.as_deref().map(|name| cut(name, limits::FULL_NAME_MAX)).filter(|name| !name.is_empty());
    let new = NewAccount { email, username: &username, full_name, password_hash: "", role: admitted.role, proves_email: true };
    let user = accounts::insert(ctx, &mut tx, &new, provider.word()).await?;
    insert(ctx, &mut tx, &user, provider, person).await?;
    ctx.commit(tx).await?;
    if admitted.is_first
        && let Err(error) = projects::lay_out_sample(ctx, &user).await
    {
        // The account exists; a missing sample must not keep its owner out.
        tracing::warn!(%error, "the sample project could not be laid out");
    }
    Ok(user)
}

fn explain_refusal(error: Error, is_invited: bool) -> Stop {
    match error {
        Error::Forbidden(reason) => fail(SignInTrouble::SignupClosed, reason).into(),
        Error::Invalid(_) if is_invited => fail(SignInTrouble::InvitationRefused, "the invitation is over or for another address").into(),
        Error::Invalid(_) => fail(SignInTrouble::DomainRefused, "the domain of the address is not among those that may sign up").into(),
        other => other.into(),
    }
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim()
}

/// A name that nobody has, as near as possible to the one that was wished for.
async fn free_name(ctx: &Ctx, conn: &mut Conn, wished: &str) -> Result<String> {
    let wished = wished.split('@').next().unwrap_or_default();
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain: String = wished.chars().filter(allowed).collect();
    let plain = plain.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let plain = if plain.is_empty() { "user" } else { plain };
    // Room for a number behind it.
    let stem = &plain[..plain.len().min(limits::USERNAME_MAX - 9)];
    for number in 1..=NUMBERED_NAMES {
        let name = if number == 1 { stem.to_owned() } else { format!("{stem}-{number}") };
        if auth::find(conn, &name).await?.is_none() {
            return Ok(name);
        }
    }
    let mut random = [0; 4];
    ctx.services().ids.fill(&mut random);
    Ok(format!("{stem}-{}", hex::encode(random)))
}

/// Makes or unmakes an administrator as the mapping of roles says. The last active one stays.
pub async fn apply_role(ctx: &Ctx, user: User, provider: IdentityProvider, is_admin: Option<bool>) -> Result<User> {
    let Some(wanted) = is_admin else { return Ok(user) };
    let mut tx = ctx.services().db.begin().await?;
    store::users::lock_installation(&mut tx).await?;
    let mut user = store::users::by_id(&mut tx, user.id).await?.ok_or(Error::NotFound("user"))?.into_user();
    if user.is_admin() == wanted {
        return Ok(user);
    }
    let is_last = user.state == UserState::Active && store::users::count_active_admins(&mut tx).await? <= 1;
    if !wanted && is_last {
        tracing::warn!(user.id = %user.id, "the sign-in provider names no administrator role, but this is the last administrator");
        return Ok(user);
    }
    let before = user.role;
    user.role = if wanted { UserRole::Admin } else { UserRole::User };
    store::users::update_access(&mut tx, user.id, user.role, user.state).await?;
    if !wanted {
        store::links::remove_made_by(&mut tx, user.id).await?;
        store::admin::access::close_all(&mut tx, user.id, ctx.now()).await?;
    }
    let details = json!({ "from": before, "to": user.role, "provider": provider.word() });
    audit::record(ctx, &mut tx, AuditAction::RoleChanged, audit::Facts::user(&user).by(&user).with(details));
    ctx.commit(tx).await?;
    Ok(user)
}
