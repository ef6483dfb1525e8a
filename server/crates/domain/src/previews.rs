//! Who may look at what listens inside a run.
//!
//! A preview lives on another origin, where the session's cookie must not be used. So the site hands out a pass, good for a minute;
//! the preview's origin trades it for a ticket of its own, kept in a cookie. Both name run, port and session, and carry a signature.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;
use wire::{Micros, ProjectId, RunId, SessionId, previews::PreviewAddress, projects::ProjectRole, runs::RunState};

use crate::{Ctx, Error, Result, Services, auth, projects, runs};

/// Where a preview's own origin takes passes. Everything below the first part of it is ours on every preview.
pub const OPEN_PATH: &str = "/__cloudxdevai/open";
const PASS_S: i64 = 60;
/// Seconds that a ticket is good for.
pub const TICKET_S: i64 = 12 * 3600;
/// Before a preview's label in its host name.
pub const HOST_PREFIX: &str = "p-";

/// How previews are reached by name.
#[derive(Debug, Clone, Default)]
pub struct PreviewSettings {
    /// `p-<label>.<domain>` leads to this server. `None`: previews have ports of their own.
    pub domain: Option<String>,
    /// Host and port that people type, where the operator said so.
    pub site: Option<String>,
}

/// What is shown on one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Preview {
    pub run: RunId,
    pub project: ProjectId,
    pub port: u16,
}

/// What a signature vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub run: RunId,
    pub project: ProjectId,
    pub port: u16,
    pub session: SessionId,
    pub expires_at: Micros,
}

#[derive(Clone, Copy)]
enum Use {
    Pass,
    Ticket,
}

impl Use {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Pass => b"preview pass\0",
            Self::Ticket => b"preview ticket\0",
        }
    }
}

/// Where to go to see what listens on `port` of a run. `origin_host` is the host, with its port, under which the caller reached us.
pub async fn address(ctx: &Ctx, run: RunId, port: u16, origin_host: &str) -> Result<PreviewAddress> {
    let run = runs::get(ctx, run).await?;
    let session = ctx.session_id().ok_or(Error::NotSignedIn)?;
    let found = run.ports.iter().find(|open| open.port == port).copied();
    let Some(open) = found.filter(|_| run.state == RunState::Running) else {
        return Err(Error::conflict(format!("Nothing listens on port {port} of this run now.")));
    };
    let services = ctx.services();
    let origin = origin_of(services, run.id, port, open.public_port, origin_host)?;
    let expires_at = ctx.now().plus_seconds(PASS_S);
    let pass = Ticket { run: run.id, project: run.project_id, port, session, expires_at };
    let pass = sign(services, Use::Pass, &pass)?;
    Ok(PreviewAddress { url: format!("{origin}{OPEN_PATH}?pass={pass}") })
}

fn origin_of(services: &Services, run: RunId, port: u16, public_port: Option<u16>, origin_host: &str) -> Result<String> {
    let settings = &services.settings;
    let scheme = if settings.secure_cookies { "https" } else { "http" };
    let (host, site_port) = split_host(settings.previews.site.as_deref().unwrap_or(origin_host))?;
    if let Some(domain) = &settings.previews.domain {
        let label = label(services, run, port)?;
        return Ok(format!("{scheme}://{HOST_PREFIX}{label}.{domain}{site_port}"));
    }
    let Some(public_port) = public_port else {
        let reason = "This port can't be opened: previews are turned off on this server, or all their ports are taken. An administrator \
                      can change PREVIEW_PORTS or set PREVIEW_DOMAIN.";
        return Err(Error::Unavailable(reason.to_owned()));
    };
    Ok(format!("{scheme}://{host}:{public_port}"))
}

/// The host, and the port with its colon if there is one.
fn split_host(text: &str) -> Result<(&str, &str)> {
    let bracket = text.rfind(']').map_or(0, |at| at + 1);
    let at = text[bracket..].find(':').map_or(text.len(), |colon| bracket + colon);
    let (host, port) = text.split_at(at);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let is_port = port.is_empty() || port[1..].parse::<u16>().is_ok();
    if host.is_empty() || !host.chars().all(plain) || !is_port {
        return Err(Error::BadRequest("The request's Host header is not a host name.".to_owned()));
    }
    Ok((host, port))
}

/// The name of a preview below the domain: nobody can guess it, and it never comes again for another run or port.
pub fn label(services: &Services, run: RunId, port: u16) -> Result<String> {
    let mut mac = mac(services, b"preview label\0")?;
    mac.update(run.0.as_bytes());
    mac.update(&port.to_be_bytes());
    Ok(hex::encode(&mac.finalize().into_bytes()[..16]))
}

/// Trades a pass for the ticket that the preview's cookie holds. `NotSignedIn` when the pass is not for this preview, too old or
/// forged, and when its session may not see the project any more.
pub async fn authorise_pass(services: &Arc<Services>, pass: &str, preview: Preview) -> Result<String> {
    let pass = read(services, Use::Pass, pass).filter(|pass| pass.opens(preview) && pass.expires_at > services.clock.now());
    let pass = pass.ok_or(Error::NotSignedIn)?;
    check(services, &pass).await?;
    let ticket = Ticket { expires_at: services.clock.now().plus_seconds(TICKET_S), ..pass };
    sign(services, Use::Ticket, &ticket)
}

/// The ticket that a cookie holds, if we made it; it may have expired, or be for another preview.
pub fn read_ticket(services: &Services, cookie: &str) -> Option<Ticket> {
    read(services, Use::Ticket, cookie)
}

impl Ticket {
    pub fn opens(&self, preview: Preview) -> bool {
        (self.run, self.project, self.port) == (preview.run, preview.project, preview.port)
    }
}

/// Whether the ticket's session still holds, its account is active and may see the project. `NotSignedIn` where not.
pub async fn check(services: &Arc<Services>, ticket: &Ticket) -> Result<()> {
    let now = services.clock.now();
    if ticket.expires_at <= now {
        return Err(Error::NotSignedIn);
    }
    let mut conn = services.db.read().await?;
    let session = store::sessions::live_by_id(&mut conn, ticket.session, now).await?.ok_or(Error::NotSignedIn)?;
    if auth::must_set_up(services, &session.user, session.has_factor, session.accounts.as_deref()) {
        return Err(Error::NotSignedIn);
    }
    let ctx = Ctx::for_visitor(services, session.user.into_user(), session.session_id);
    match projects::require(&ctx, &mut conn, ticket.project, ProjectRole::Viewer).await {
        Ok(_) => Ok(()),
        Err(Error::NotFound(_) | Error::Forbidden(_)) => Err(Error::NotSignedIn),
        Err(error) => Err(error),
    }
}

const PAYLOAD: usize = 16 + 16 + 2 + 16 + 8;
const SIGNATURE: usize = 32;

fn mac(services: &Services, purpose: &[u8]) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&services.settings.jwt_secret.0).map_err(Error::internal)?;
    mac.update(purpose);
    Ok(mac)
}

fn sign(services: &Services, purpose: Use, ticket: &Ticket) -> Result<String> {
    let mut bytes = Vec::with_capacity(PAYLOAD + SIGNATURE);
    bytes.extend_from_slice(ticket.run.0.as_bytes());
    bytes.extend_from_slice(ticket.project.0.as_bytes());
    bytes.extend_from_slice(&ticket.port.to_be_bytes());
    bytes.extend_from_slice(ticket.session.0.as_bytes());
    bytes.extend_from_slice(&ticket.expires_at.0.to_be_bytes());
    let mut mac = mac(services, purpose.word())?;
    mac.update(&bytes);
    bytes.extend_from_slice(&mac.finalize().into_bytes());
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn read(services: &Services, purpose: Use, text: &str) -> Option<Ticket> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == PAYLOAD + SIGNATURE)?;
    let (payload, signature) = bytes.split_at(PAYLOAD);
    let mut mac = mac(services, purpose.word()).ok()?;
    mac.update(payload);
    mac.verify_slice(signature).ok()?;
    let id = |at: usize| Uuid::from_slice(&payload[at..at + 16]).ok();
    let port = u16::from_be_bytes(payload[32..34].try_into().ok()?);
    let expires_at = i64::from_be_bytes(payload[50..58].try_into().ok()?);
    Some(Ticket { run: RunId(id(0)?), project: ProjectId(id(16)?), port, session: SessionId(id(34)?), expires_at: Micros(expires_at) })
}

#[cfg(test)]
mod tests {
    use super::split_host;

    #[test]
    fn hosts_are_split_from_their_ports() {
        assert_eq!(split_host("127.0.0.1:8000").unwrap(), ("127.0.0.1", ":8000"));
        assert_eq!(split_host("[::1]:8000").unwrap(), ("[::1]", ":8000"));
        assert_eq!(split_host("[::1]").unwrap(), ("[::1]", ""));
        assert_eq!(split_host("code.example.org").unwrap(), ("code.example.org", ""));
        for bad in ["", ":80", "a b", "a/b", "a@b", "a:b", "a:99999", "é.org", "a?b"] {
            assert!(split_host(bad).is_err(), "{bad}");
        }
    }
}
