//! To a provider and back. A flow is a row that is taken away by its one use; what is secret about it (the PKCE verifier, the nonce) is
//! made from a cookie of the browser that began it, so that neither a stolen link nor the database alone is worth anything.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{
    Word,
    identities::{self as table, FlowRow},
};
use url::form_urlencoded;
use wire::{
    audit::AuditAction,
    identities::{IdentityProvider, SignInTrouble},
    users::UserState,
};

use super::{
    accounts::{self, Person},
    github, is_link_pass, keyed,
    oidc::{self, Failure, Trade, fail},
};
use crate::{
    Ctx, Error, Result, audit,
    auth::{self, Proved, SignInMethod, hash, random_token, safe_next},
    second_factor,
};

/// From going there to coming back, in seconds.
const FLOW_S: i64 = 600;
/// Characters of a secret: 32 bytes in base64.
const TOKEN: usize = 43;
const INVITATION_MAX: usize = 200;
const CODE_MAX: usize = 4096;
/// Where the second factor is asked for; the browser has a ticket by then.
const STEP_PAGE: &str = "/login?step=code";

/// What somebody asked for who goes to a provider.
pub struct Begin {
    pub provider: IdentityProvider,
    /// How the browser reaches this site, such as `https://code.example.org`.
    pub site: String,
    pub next: Option<String>,
    /// For linking: the pass that the page of the account gave.
    pub link: Option<String>,
    /// A one-time link's token, for a new account.
    pub invitation: Option<String>,
}

/// What a provider sent the browser back with.
pub struct Callback {
    pub state: Option<String>,
    pub code: Option<String>,
    pub error: Option<String>,
    pub iss: Option<String>,
}

/// Where the browser goes from here, with whole `Set-Cookie` values. Refusals are a page that says so.
pub struct Landing {
    pub location: String,
    pub cookies: Vec<String>,
}

/// Why a flow ends early.
pub enum Stop {
    Failure(Failure),
    Error(Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<store::Error> for Stop {
    fn from(error: store::Error) -> Self {
        Self::Error(error.into())
    }
}

/// Begins a sign-in, or the linking of an identity to the caller's account.
pub async fn begin(ctx: &Ctx, request: Begin) -> Landing {
    let (provider, next, is_linking) = (request.provider, safe_next(request.next.as_deref()), request.link.is_some());
    match start(ctx, request, &next).await {
        Ok(landing) => landing,
        Err(stop) => turn_away(ctx, provider, stop, &next, is_linking).await,
    }
}

async fn start(ctx: &Ctx, request: Begin, next: &str) -> Result<Landing, Stop> {
    let desk = &ctx.services().identities;
    let provider = request.provider;
    let session_id = match &request.link {
        None => None,
        Some(pass) if ctx.require_session().is_ok() && is_link_pass(ctx, provider, pass)? => ctx.session_id(),
        Some(_) => return Err(fail(SignInTrouble::SignedOut, "the link is not of this session").into()),
    };
    let (state, browser) = (random_token(ctx), random_token(ctx));
    let redirect_uri = format!("{}{}/callback", request.site, provider.path());
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(derive(ctx, "verifier", &state, &browser)?));
    let location = match (provider, &desk.oidc, &desk.github) {
        (IdentityProvider::Oidc, Some(oidc), _) => {
            let issuer = oidc::discover(desk, oidc, ctx.now()).await?;
            oidc::authorize(&issuer, oidc, &redirect_uri, &state, &derive(ctx, "nonce", &state, &browser)?, &challenge)
        }
        (IdentityProvider::Github, _, Some(github)) => github::authorize(github, &redirect_uri, &state, &challenge)?,
        _ => return Err(fail(SignInTrouble::NotSetUp, "it is not configured").into()),
    };
    let row = FlowRow {
        state_hash: hash(&state),
        browser_hash: hash(&browser),
        provider: Word(provider),
        redirect_uri,
        next: next.to_owned(),
        session_id,
        expires_at: ctx.now().plus_seconds(FLOW_S),
    };
    let mut tx = ctx.services().db.begin().await?;
    table::forget_flows(&mut tx, ctx.now()).await?;
    table::insert_flow(&mut tx, &row).await?;
    ctx.commit(tx).await?;
    let is_plain =
        |text: &&String| text.len() <= INVITATION_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let value = match request.invitation.as_ref().filter(is_plain) {
        Some(invitation) => format!("{browser}.{invitation}"),
        None => browser,
    };
    Ok(Landing { location: location.into(), cookies: vec![set_cookie(ctx, &flow_cookie(ctx, &state), &value, FLOW_S)] })
}

/// Ends what [`begin`] began. `cookies` are those of the request.
pub async fn finish(ctx: &Ctx, provider: IdentityProvider, callback: Callback, cookies: &[(String, String)]) -> Landing {
    let mut back = Back { next: "/".to_owned(), is_linking: false, invitation: None, cookies: Vec::new() };
    match come_back(ctx, provider, callback, cookies, &mut back).await {
        Ok(mut landing) => {
            landing.cookies.extend(back.cookies);
            landing
        }
        Err(stop) => {
            let mut landing = turn_away(ctx, provider, stop, &back.next, back.is_linking).await;
            landing.cookies.extend(back.cookies);
            landing
        }
    }
}

/// What is known of a flow while it ends.
struct Back {
    next: String,
    is_linking: bool,
    invitation: Option<String>,
    cookies: Vec<String>,
}

async fn come_back(
    ctx: &Ctx,
    provider: IdentityProvider,
    callback: Callback,
    cookies: &[(String, String)],
    back: &mut Back,
) -> Result<Landing, Stop> {
    let (row, state, browser) = take_up(ctx, provider, &callback, cookies, back).await?;
    if let Some(error) = callback.error.filter(|error| !error.is_empty()) {
        let trouble = if error == "access_denied" { SignInTrouble::Denied } else { SignInTrouble::ProviderRefused };
        return Err(fail(trouble, format!("it answered with {}", oidc::error_word(&json!({ "error": error })))).into());
    }
    let desk = &ctx.services().identities;
    if callback.iss.is_some_and(|iss| desk.issuer_of(provider) != Some(iss.as_str())) {
        return Err(fail(SignInTrouble::WrongIssuer, "the browser came back with another issuer").into());
    }
    let code = callback.code.filter(|code| !code.is_empty() && code.len() <= CODE_MAX);
    let code = code.ok_or_else(|| fail(SignInTrouble::ProviderRefused, "the browser came back without a code"))?;
    let (verifier, nonce) = (derive(ctx, "verifier", &state, &browser)?, derive(ctx, "nonce", &state, &browser)?);
    let trade = Trade { code: &code, redirect_uri: &row.redirect_uri, verifier: &verifier, nonce: &nonce, now: ctx.now() };
    let person = match (provider, &desk.oidc, &desk.github) {
        (IdentityProvider::Oidc, Some(oidc), _) => oidc::identify(desk, oidc, &trade).await?,
        (IdentityProvider::Github, _, Some(github)) => github::identify(desk, github, &trade).await?,
        _ => return Err(fail(SignInTrouble::NotSetUp, "it is not configured").into()),
    };
    match row.session_id {
        Some(session) if ctx.session_id() == Some(session) => {
            accounts::link(ctx, provider, &person).await?;
            let location = format!("/settings/security?linked={}#identities", provider.word());
            Ok(Landing { location, cookies: Vec::new() })
        }
        Some(_) => Err(fail(SignInTrouble::SignedOut, "the session that asked for linking is not the browser's").into()),
        None => sign_in(ctx, provider, &person, &row.next, back.invitation.as_deref()).await,
    }
}

/// The flow that the browser began, which nobody gets a second time.
async fn take_up(
    ctx: &Ctx,
    provider: IdentityProvider,
    callback: &Callback,
    cookies: &[(String, String)],
    back: &mut Back,
) -> Result<(FlowRow, String, String), Stop> {
    let expired = || fail(SignInTrouble::Expired, "there is no such sign-in, or it is over");
    let is_token = |text: &&str| text.len() == TOKEN && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let state = callback.state.as_deref().filter(is_token).ok_or_else(expired)?;
    let name = flow_cookie(ctx, state);
    let Some((_, value)) = cookies.iter().find(|(own, _)| *own == name) else {
        return Err(fail(SignInTrouble::OtherBrowser, "the browser has no cookie of this sign-in").into());
    };
    back.cookies.push(set_cookie(ctx, &name, "", 0));
    let (browser, invitation) = value.split_once('.').map_or((value.as_str(), None), |(browser, rest)| (browser, Some(rest)));
    back.invitation = invitation.map(str::to_owned);
    let mut tx = ctx.services().db.begin().await?;
    let row = table::take_flow(&mut tx, &hash(state), &hash(browser)).await?;
    ctx.commit(tx).await?;
    let row = row.ok_or_else(expired)?;
    back.next = row.next.clone();
    back.is_linking = row.session_id.is_some();
    if row.expires_at <= ctx.now() {
        return Err(expired().into());
    }
    if row.provider.0 != provider {
        return Err(fail(SignInTrouble::NotForUs, "the sign-in was begun at another provider").into());
    }
    Ok((row, state.to_owned(), browser.to_owned()))
}

async fn sign_in(ctx: &Ctx, provider: IdentityProvider, person: &Person, next: &str, invitation: Option<&str>) -> Result<Landing, Stop> {
    let user = match accounts::find(ctx, person).await? {
        Some(user) => user,
        None => accounts::create(ctx, provider, person, invitation).await?,
    };
    if user.state != UserState::Active {
        return Err(fail(SignInTrouble::Disabled, "the account is disabled").into());
    }
    // Before the second factor is asked for: administrators may have to have one.
    let user = accounts::apply_role(ctx, user, provider, person.is_admin).await?;
    let proved = Proved::by(user, SignInMethod::Identity);
    if !person.used_two_factors {
        match second_factor::demand(ctx, &proved, None).await {
            Ok(()) => {}
            Err(Error::SecondFactor { cookie: Some(ticket), .. }) => {
                let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
                return Ok(Landing { location: format!("{STEP_PAGE}&{query}"), cookies: vec![ticket] });
            }
            Err(error) => return Err(error.into()),
        }
    }
    let signed_in = auth::finish_browser(ctx, proved).await?;
    Ok(Landing { location: next.to_owned(), cookies: vec![signed_in.cookie] })
}

/// To the page that says why, which is that of the account for whoever is signed in.
async fn turn_away(ctx: &Ctx, provider: IdentityProvider, stop: Stop, next: &str, is_linking: bool) -> Landing {
    let Failure { trouble, reason } = match stop {
        Stop::Failure(failure) => failure,
        Stop::Error(Error::RateLimited { detail, .. }) => fail(SignInTrouble::TooMany, detail),
        Stop::Error(error) => fail(SignInTrouble::Internal, error.into_problem(ctx).detail),
    };
    tracing::warn!(provider = provider.word(), trouble = trouble.word(), reason, "a sign-in at a provider came to nothing");
    let details = json!({ "provider": provider.word(), "trouble": trouble.word(), "linking": is_linking });
    audit::record_alone(ctx, AuditAction::SignInRefused, audit::Facts::none().with(details).refused()).await;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("provider", provider.word()).append_pair("trouble", trouble.word());
    if is_linking || ctx.user().is_some() {
        return Landing { location: format!("/settings/security?{}#identities", query.finish()), cookies: Vec::new() };
    }
    if next != "/" {
        query.append_pair("next", next);
    }
    Landing { location: format!("/login?{}", query.finish()), cookies: Vec::new() }
}

/// A secret of one flow that is written down nowhere.
fn derive(ctx: &Ctx, purpose: &str, state: &str, browser: &str) -> Result<String> {
    let mut mac = keyed(ctx)?;
    mac.update(format!("identity {purpose}\0{state}\0{browser}").as_bytes());
    Ok(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// One for each flow, so that two tabs do not end each other's.
fn flow_cookie(ctx: &Ctx, state: &str) -> String {
    let prefix = if ctx.services().settings.secure_cookies { "__Host-" } else { "" };
    format!("{prefix}cxd_flow_{}", &state[..8])
}

fn set_cookie(ctx: &Ctx, name: &str, value: &str, max_age_s: i64) -> String {
    let flag = if ctx.services().settings.secure_cookies { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{flag}")
}
