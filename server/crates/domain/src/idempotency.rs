//! Asking again does nothing twice: what a caller asks for with a key of their own is done once, and its answer is kept for a day.
//!
//! What was refused did nothing, so its key is free again. Answers are sealed at rest, since some of them hold a secret.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use store::idempotency as table;
use uuid::Uuid;
use wire::UserId;

use crate::{Ctx, Error, Result, Secret};

/// Bytes of an answer's body that are kept.
pub const ANSWER_MAX: usize = 64 * 1024;
const KEY_MAX: usize = 255;
/// How long an answer is kept.
const KEPT_S: i64 = 24 * 3600;
/// How long an attempt is waited for that gives no sign of life: its process has died.
const PATIENCE_S: i64 = 30;
/// How often an attempt says that it goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(8);
/// Bytes of answers that are kept for one person; the oldest make room.
const KEPT_MAX: i64 = 16 * 1024 * 1024;
/// Adding up what is kept is for one answer of so many.
const ADDED_UP_EVERY: u128 = 16;

/// What a request asks for, in a form that does not give it away. Pieces are fed in their order.
#[derive(Clone)]
pub struct Fingerprint(Hmac<Sha256>);

impl Fingerprint {
    /// `ctx` is part of it: what one token asked for is not answered to another one.
    pub fn new(ctx: &Ctx, target: &str) -> Self {
        let secret = &ctx.services().settings.jwt_secret.0;
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("a key of any length is fine");
        mac.update(b"cloudxdevai idempotency 1\0");
        mac.update(ctx.grant().map(|grant| grant.id.to_string()).unwrap_or_default().as_bytes());
        mac.update(&(target.len() as u64).to_le_bytes());
        mac.update(target.as_bytes());
        Self(mac)
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> String {
        hex::encode(self.0.finalize().into_bytes())
    }
}

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct KeptAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    base64: String,
}

impl Answer {
    fn write(&self) -> Result<Vec<u8>> {
        let kept = KeptAnswer { status: self.status, headers: self.headers.clone(), base64: STANDARD.encode(&self.body) };
        serde_json::to_vec(&kept).map_err(Error::internal)
    }

    fn read(text: &[u8]) -> Option<Self> {
        let KeptAnswer { status, headers, base64 } = serde_json::from_slice(text).ok()?;
        Some(Self { status, headers, body: STANDARD.decode(base64).ok()? })
    }
}

/// The right to do something under a key. It ends soon unless [`hold`] is awaited meanwhile. Give it to [`finish`] or [`release`].
#[derive(Clone)]
pub struct Claim {
    user: UserId,
    key: String,
    route: String,
    attempt: Uuid,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("route", &self.route).finish_non_exhaustive()
    }
}

impl Claim {
    fn of(&self) -> table::Key<'_> {
        table::Key { user: self.user, key: &self.key, route: &self.route }
    }

    /// What an answer is sealed for.
    fn bound_to(&self) -> String {
        format!("idempotency:{}:{}:{}", self.user, self.route, self.key)
    }
}

/// What there is under a key.
#[derive(Debug)]
pub enum Begun {
    /// Nothing yet: the caller goes on.
    First(Claim),
    /// The first attempt goes on.
    Running,
    /// It was done. `fingerprint` says what was asked for then; no answer: it was too long to keep.
    Done { fingerprint: String, answer: Option<Answer> },
}

/// Takes `key` for one attempt at `route`. Without a fingerprint the body is streamed, and is only known in the end.
pub async fn begin(ctx: &Ctx, key: &str, route: &str, fingerprint: Option<&str>) -> Result<Begun> {
    if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(Error::invalid("Idempotency-Key", format!("The key has 1 to {KEY_MAX} printable ASCII characters.")));
    }
    let user = ctx.require_user()?.id;
    let claim = Claim { user, key: key.to_owned(), route: route.to_owned(), attempt: ctx.new_id() };
    let db = &ctx.services().db;
    // Most keys that are there were answered long ago: looking first keeps readers off the one writer of SQLite.
    if let Some(begun) = look(ctx, &claim).await? {
        return Ok(begun);
    }
    let mut tx = db.begin().await?;
    let now = ctx.now();
    let is_mine = table::claim(&mut tx, claim.of(), claim.attempt, fingerprint, now, now.plus_seconds(PATIENCE_S)).await?;
    ctx.commit(tx).await?;
    if is_mine {
        return Ok(Begun::First(claim));
    }
    Ok(look(ctx, &claim).await?.unwrap_or(Begun::Running))
}

/// What is done under a key. `None` where nothing is, or it goes on: only claiming says whether that is still so.
async fn look(ctx: &Ctx, claim: &Claim) -> Result<Option<Begun>> {
    let Some(row) = table::get(&mut ctx.services().db.read().await?, claim.of()).await? else { return Ok(None) };
    if row.status.is_none() || row.until <= ctx.now() {
        return Ok(None);
    }
    let opened = row.answer.and_then(|sealed| ctx.services().vault.open(&sealed, &claim.bound_to()).ok());
    let answer = opened.and_then(|text| Answer::read(&text.0));
    Ok(Some(Begun::Done { fingerprint: row.fingerprint.unwrap_or_default(), answer }))
}

/// Goes on holding a claim until it is dropped, or another attempt has taken the key over.
pub async fn hold(ctx: &Ctx, claim: &Claim) {
    loop {
        tokio::time::sleep(SIGN_OF_LIFE).await;
        match renew(ctx, claim).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!("a request was given up for dead while it went on; it may be done twice");
                return;
            }
            Err(error) => tracing::warn!(%error, "a request could not say that it goes on"),
        }
    }
}

async fn renew(ctx: &Ctx, claim: &Claim) -> Result<bool> {
    let mut tx = ctx.services().db.begin().await?;
    let renewed = table::renew(&mut tx, claim.of(), claim.attempt, ctx.now().plus_seconds(PATIENCE_S)).await?;
    ctx.commit(tx).await?;
    Ok(renewed)
}

/// Keeps what was answered. `None`: that it was done, but not the answer.
pub async fn finish(ctx: &Ctx, claim: &Claim, fingerprint: &str, status: u16, answer: Option<&Answer>) -> Result<()> {
    let text = answer.map(Answer::write).transpose()?;
    let services = ctx.services();
    let sealed = text.map(|text| services.vault.seal(services.ids.as_ref(), &Secret(text), &claim.bound_to()));
    let until = ctx.now().plus_seconds(KEPT_S);
    let outcome = table::Outcome { fingerprint, status: i64::from(status), answer: sealed.as_deref(), until };
    let mut tx = services.db.begin().await?;
    table::finish(&mut tx, claim.of(), claim.attempt, outcome).await?;
    if sealed.is_some() && claim.attempt.as_u128().is_multiple_of(ADDED_UP_EVERY) {
        table::forget_oldest_answers(&mut tx, claim.user, KEPT_MAX).await?;
    }
    ctx.commit(tx).await
}

/// Gives the key back: the attempt did nothing.
pub async fn release(ctx: &Ctx, claim: &Claim) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    table::release(&mut tx, claim.of(), claim.attempt).await?;
    ctx.commit(tx).await
}

/// Forgets what is kept no longer, for the hourly cleanup.
pub(crate) async fn sweep(ctx: &Ctx) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    table::remove_expired(&mut tx, ctx.now()).await?;
    ctx.commit(tx).await
}
