//! Passkeys: keys in a person's devices. Each use of one has verified the person, by a finger, a face or a PIN, so that it is both
//! factors at once; it signs in alone, or in the place of a code after the password.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use store::{passkeys as table, passkeys::PasskeyRow, second_factor as challenges};
use url::{Host, Url};
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, Passkey as Credential, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Webauthn, WebauthnBuilder, WebauthnError,
};
use wire::{
    PasskeyId, UserId,
    audit::AuditAction,
    auth::Tokens,
    passkeys::{AddPasskey, AddedPasskey, Ceremony, PASSKEYS_MAX, Passkey, PasskeyAnswer, Passkeys, RenamePasskey, read_name},
    second_factor::ConfirmWithPassword,
    users::{User, UserState},
};

use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    auth::{self, Proved, SignInMethod, SignedIn},
    second_factor,
};

const CEREMONY_S: i64 = 300;
const ADD: &str = "passkey_add";
const SIGN_IN: &str = "passkey_sign_in";
const STEP: &str = "passkey_step";

/// The caller's, the oldest first, and whether more can be added at the address they came by.
pub async fn list(ctx: &Ctx) -> Result<Passkeys> {
    let user = ctx.require_account()?;
    let rows = table::list(&mut ctx.services().db.read().await?, user.id).await?;
    Ok(Passkeys { items: rows.into_iter().map(PasskeyRow::into_passkey).collect(), unavailable: site(ctx).err() })
}

/// Begins adding one; the device is asked with the options.
pub async fn begin_add(ctx: &Ctx, request: ConfirmWithPassword) -> Result<Ceremony> {
    let user = ctx.require_account()?;
    let site = require_site(ctx)?;
    second_factor::confirm_password(ctx, user, request.password).await?;
    let known = credentials_of(ctx, user.id).await?;
    if known.len() >= PASSKEYS_MAX {
        return Err(too_many());
    }
    let exclude = known.iter().map(|credential| credential.cred_id().clone()).collect();
    let (options, state) =
        site.start_passkey_registration(user.id.0, &user.username, user.display_name(), Some(exclude)).map_err(Error::internal)?;
    let mut begun = begin(ctx, ADD, Some(user.id), &state, &options).await?;
    // The device keeps whom the key is for, so that it can sign in without a name.
    let selection = &mut begun.options["publicKey"]["authenticatorSelection"];
    selection["residentKey"] = json!("required");
    selection["requireResidentKey"] = json!(true);
    Ok(begun)
}

/// Keeps what the device made. The first factor of an account comes with recovery codes, told this once.
pub async fn add(ctx: &Ctx, request: AddPasskey) -> Result<AddedPasskey> {
    let user = ctx.require_account()?;
    let site = require_site(ctx)?;
    let name = read_name(&request.name).map_err(|field| Error::Invalid(vec![field]))?;
    let answer: RegisterPublicKeyCredential = read_answer(request.credential)?;
    let (owner, state) = finish::<PasskeyRegistration>(ctx, ADD, &request.ceremony).await?;
    if owner != Some(user.id) {
        return Err(took_too_long());
    }
    let credential = site.finish_passkey_registration(&answer, &state).map_err(|error| {
        tracing::info!(user.id = %user.id, %error, "a new passkey was not accepted");
        Error::invalid("credential", "The answer of your device was not accepted. Nothing was added; try again on the site's own address.")
    })?;
    let row = PasskeyRow {
        id: ctx.new_id(),
        user_id: user.id,
        name,
        credential_id: URL_SAFE_NO_PAD.encode(credential.cred_id()),
        credential: serde_json::to_string(&credential).map_err(Error::internal)?,
        created_at: ctx.now(),
        last_used_at: None,
    };
    let mut tx = ctx.services().db.begin().await?;
    if table::list(&mut tx, user.id).await?.len() >= PASSKEYS_MAX {
        return Err(too_many());
    }
    match table::insert(&mut tx, &row).await {
        Err(store::Error::Taken(_)) => return Err(Error::conflict("This passkey is known already.")),
        other => other?,
    }
    audit::record(ctx, &mut tx, AuditAction::PasskeyAdded, Facts::about("passkey", row.id, row.name.clone()).by(user));
    let codes = second_factor::make_missing_codes(ctx, &mut tx, user).await?;
    ctx.commit(tx).await?;
    tracing::info!(user.id = %user.id, "a passkey was added");
    Ok(AddedPasskey { passkey: row.into_passkey(), recovery_codes: codes.map(|made| made.codes).unwrap_or_default() })
}

pub async fn rename(ctx: &Ctx, id: PasskeyId, request: RenamePasskey) -> Result<Passkey> {
    let user = ctx.require_session()?;
    let name = read_name(&request.name).map_err(|field| Error::Invalid(vec![field]))?;
    let mut tx = ctx.services().db.begin().await?;
    if !table::rename(&mut tx, user.id, id, &name).await? {
        return Err(Error::NotFound("passkey"));
    }
    let found = table::list(&mut tx, user.id).await?.into_iter().find(|row| row.id == id).ok_or(Error::NotFound("passkey"))?;
    ctx.commit(tx).await?;
    Ok(found.into_passkey())
}

/// It is not accepted any more from now on. The last factor stays where one is required.
pub async fn remove(ctx: &Ctx, id: PasskeyId, request: ConfirmWithPassword) -> Result<()> {
    let user = ctx.require_session()?;
    second_factor::confirm_password(ctx, user, request.password).await?;
    let mut tx = ctx.services().db.begin().await?;
    let row = table::remove(&mut tx, user.id, id).await?.ok_or(Error::NotFound("passkey"))?;
    second_factor::leave_factor(ctx, &mut tx, user).await?;
    audit::record(ctx, &mut tx, AuditAction::PasskeyRemoved, Facts::about("passkey", id, row.name));
    ctx.commit(tx).await
}

/// Begins signing in without a name or a password: the device knows whom it has keys of.
pub async fn begin_sign_in(ctx: &Ctx) -> Result<Ceremony> {
    let (options, state) = require_site(ctx)?.start_discoverable_authentication().map_err(Error::internal)?;
    begin(ctx, SIGN_IN, None, &state, &options).await
}

pub async fn sign_in_browser(ctx: &Ctx, answer: PasskeyAnswer) -> Result<SignedIn> {
    let user = check_sign_in(ctx, answer).await?;
    auth::finish_browser(ctx, Proved::by(user, SignInMethod::Passkey)).await
}

/// Signs a client in that is not a browser.
pub async fn sign_in(ctx: &Ctx, answer: PasskeyAnswer) -> Result<Tokens> {
    let user = check_sign_in(ctx, answer).await?;
    auth::finish_client(ctx, Proved::by(user, SignInMethod::Passkey)).await
}

/// Begins the second step of a sign-in whose password was right. `tickets` are as in [`second_factor::finish_step`].
pub async fn begin_step(ctx: &Ctx, tickets: &[&str]) -> Result<Ceremony> {
    let user = second_factor::find_step(ctx, tickets).await?.proved.user;
    let known = credentials_of(ctx, user.id).await?;
    if known.is_empty() {
        return Err(Error::conflict("This account has no passkey. Enter a code instead."));
    }
    let (options, state) = require_site(ctx)?.start_passkey_authentication(&known).map_err(Error::internal)?;
    begin(ctx, STEP, Some(user.id), &state, &options).await
}

pub async fn finish_step(ctx: &Ctx, tickets: &[&str], answer: PasskeyAnswer) -> Result<SignedIn> {
    let step = second_factor::find_step(ctx, tickets).await?;
    if let Err(error) = check_step(ctx, &step.proved.user, answer).await {
        return Err(second_factor::stay_at_step(ctx, &step.proved.user, error).await?);
    }
    let mut tx = ctx.services().db.begin().await?;
    second_factor::use_step(ctx, &mut tx, &step).await?;
    ctx.commit(tx).await?;
    auth::finish_browser(ctx, step.proved).await
}

async fn check_step(ctx: &Ctx, user: &User, answer: PasskeyAnswer) -> Result<()> {
    let given: PublicKeyCredential = read_answer(answer.credential)?;
    let (owner, state) = finish::<PasskeyAuthentication>(ctx, STEP, &answer.ceremony).await?;
    if owner != Some(user.id) {
        return Err(took_too_long());
    }
    let row = row_of(ctx, given.get_credential_id()).await?.filter(|row| row.user_id == user.id);
    let Some(row) = row else { return Err(refuse(ctx, Some(user), "unknown to the account").await) };
    let checked = require_site(ctx)?.finish_passkey_authentication(&given, &state);
    note_use(ctx, user, row, checked).await
}

async fn check_sign_in(ctx: &Ctx, answer: PasskeyAnswer) -> Result<User> {
    let site = require_site(ctx)?;
    let given: PublicKeyCredential = read_answer(answer.credential)?;
    let (_, state) = finish::<DiscoverableAuthentication>(ctx, SIGN_IN, &answer.ceremony).await?;
    let Ok((handle, credential_id)) = site.identify_discoverable_authentication(&given) else {
        return Err(refuse(ctx, None, "names nobody").await);
    };
    let row = row_of(ctx, credential_id).await?.filter(|row| row.user_id.0 == handle);
    let Some(row) = row else { return Err(refuse(ctx, None, "unknown here").await) };
    let user = store::users::by_id(&mut ctx.services().db.read().await?, row.user_id).await?.ok_or(Error::NotSignedIn)?.into_user();
    if user.state != UserState::Active {
        return Err(refuse(ctx, Some(&user), "the account is disabled").await);
    }
    let checked = site.finish_discoverable_authentication_v2(&given, state, &read_credential(&row)?);
    note_use(ctx, &user, row, checked).await?;
    Ok(user)
}

/// Keeps the counter and the time of an accepted use. A counter that went back is how a copied key shows: it is refused.
async fn note_use(ctx: &Ctx, user: &User, row: PasskeyRow, checked: Result<AuthenticationResult, WebauthnError>) -> Result<()> {
    let used = match checked {
        Ok(used) if used.user_verified() => used,
        Ok(_) => return Err(refuse(ctx, Some(user), "the person was not verified").await),
        Err(error) => return Err(refuse(ctx, Some(user), &error.to_string()).await),
    };
    let mut credential = read_credential(&row)?;
    credential.update_credential(&used);
    let after = serde_json::to_string(&credential).map_err(Error::internal)?;
    let mut tx = ctx.services().db.begin().await?;
    if !table::update_used(&mut tx, row.id, &row.credential, &after, ctx.now()).await? {
        return Err(refuse(ctx, Some(user), "used or removed at the same moment").await);
    }
    ctx.commit(tx).await
}

/// One answer for whatever was wrong; the audit log says what.
async fn refuse(ctx: &Ctx, user: Option<&User>, reason: &str) -> Error {
    let facts = user.map_or_else(Facts::none, Facts::user).refused().with(json!({ "method": "passkey", "reason": reason }));
    audit::record_alone(ctx, AuditAction::SignInRefused, facts).await;
    let message = "This passkey was not accepted. Try again, or sign in with your password.";
    Error::WrongPassword { fields: vec![wire::FieldError::new("credential", message)], typed: json!({}) }
}

async fn begin(ctx: &Ctx, purpose: &str, user: Option<UserId>, state: &impl Serialize, options: &impl Serialize) -> Result<Ceremony> {
    let ceremony = auth::random_token(ctx);
    let state = serde_json::to_string(state).map_err(Error::internal)?;
    let new = challenges::NewChallenge {
        hash: &auth::hash(&ceremony),
        purpose,
        user_id: user,
        state: &state,
        expires_at: ctx.now().plus_seconds(CEREMONY_S),
    };
    let mut tx = ctx.services().db.begin().await?;
    challenges::insert_challenge(&mut tx, &new, ctx.now()).await?;
    ctx.commit(tx).await?;
    let options = serde_json::to_value(options).map_err(Error::internal)?;
    Ok(Ceremony { ceremony, options: json!({ "publicKey": options.get("publicKey") }) })
}

/// What [`begin`] kept, for the one who comes first.
async fn finish<T: DeserializeOwned>(ctx: &Ctx, purpose: &str, ceremony: &str) -> Result<(Option<UserId>, T)> {
    let mut tx = ctx.services().db.begin().await?;
    let row = challenges::take_challenge(&mut tx, &auth::hash(ceremony), purpose, ctx.now()).await?;
    ctx.commit(tx).await?;
    let row = row.ok_or_else(took_too_long)?;
    Ok((row.user_id, serde_json::from_str(&row.state).map_err(Error::internal)?))
}

fn took_too_long() -> Error {
    Error::invalid("ceremony", "This took longer than five minutes, or was used already. Begin again.")
}

fn too_many() -> Error {
    Error::conflict(format!("You have {PASSKEYS_MAX} passkeys, which is the most. Remove one that is not used any more."))
}

fn read_answer<T: DeserializeOwned>(credential: Value) -> Result<T> {
    serde_json::from_value(credential)
        .map_err(|error| Error::invalid("credential", format!("The answer of the device can't be read: {error}.")))
}

fn read_credential(row: &PasskeyRow) -> Result<Credential> {
    serde_json::from_str(&row.credential).map_err(Error::internal)
}

async fn credentials_of(ctx: &Ctx, user: UserId) -> Result<Vec<Credential>> {
    table::list(&mut ctx.services().db.read().await?, user).await?.iter().map(read_credential).collect()
}

async fn row_of(ctx: &Ctx, credential_id: &[u8]) -> Result<Option<PasskeyRow>> {
    let id = URL_SAFE_NO_PAD.encode(credential_id);
    Ok(table::by_credential(&mut ctx.services().db.read().await?, &id).await?)
}

fn require_site(ctx: &Ctx) -> Result<Webauthn> {
    site(ctx).map_err(Error::conflict)
}

/// Whether devices use passkeys at the address that the caller came by.
pub fn are_possible(ctx: &Ctx) -> bool {
    site(ctx).is_ok()
}

/// The site as devices know it: by the name of its host. The error is a sentence that says why there can be no passkeys.
fn site(ctx: &Ctx) -> Result<Webauthn, String> {
    let unknown = || "This address can't be read, so passkeys can't be bound to it. An administrator can set APP_PUBLIC_URL.".to_owned();
    let origin = ctx.client().origin.as_deref().ok_or_else(unknown)?;
    let url = Url::parse(origin).map_err(|_| unknown())?;
    let Some(Host::Domain(host)) = url.host() else {
        return Err(
            "Passkeys need a site with a name, and this address is a number. On your own computer, open it as localhost.".to_owned()
        );
    };
    let is_local = host == "localhost" || host.ends_with(".localhost");
    if url.scheme() != "https" && !is_local {
        return Err("Passkeys need https; plain http is enough only for localhost.".to_owned());
    }
    let host = host.to_owned();
    let builder = WebauthnBuilder::new(&host, &url).map_err(|_| unknown())?;
    builder.rp_name("cloudxdevai").timeout(std::time::Duration::from_secs(CEREMONY_S as u64)).build().map_err(|_| unknown())
}
