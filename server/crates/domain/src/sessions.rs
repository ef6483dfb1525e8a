//! Where somebody is signed in, and ending that.

use serde_json::json;
use store::sessions as table;
use wire::{
    SessionId,
    audit::AuditAction,
    event::{EventKind, Stream},
    sessions::{Session, SessionKind, SessionsEnded},
};

use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
};

/// The caller's sessions, the one seen last first.
pub async fn list(ctx: &Ctx) -> Result<Vec<Session>> {
    let user = ctx.require_session()?.id;
    let rows = table::list(&mut ctx.services().db.read().await?, user, ctx.now()).await?;
    let current = ctx.session_id();
    let session = |row: table::ListedSession| Session {
        id: row.id,
        created_at: row.created_at,
        last_seen_at: row.last_seen_at,
        expires_at: row.expires_at,
        address: row.address,
        device: describe(row.user_agent.as_deref().unwrap_or_default()),
        current: current == Some(row.id),
        kind: if row.cookie_hash.is_some() { SessionKind::Browser } else { SessionKind::Client },
    };
    Ok(rows.into_iter().map(session).collect())
}

/// Ends one of the caller's sessions. Its next request is refused; what it has open ends within seconds.
pub async fn revoke(ctx: &Ctx, id: SessionId) -> Result<()> {
    let user = ctx.require_session()?;
    let mut tx = ctx.services().db.begin().await?;
    let address = table::revoke_of(&mut tx, user.id, id, ctx.now()).await?.ok_or(Error::NotFound("session"))?;
    store::events::append(&mut tx, Stream::User(user.id), ctx.now(), vec![EventKind::SessionsChanged {}]).await?;
    let facts = Facts::about("session", id, user.username.clone()).with(json!({ "address": address }));
    audit::record(ctx, &mut tx, AuditAction::SessionRevoked, facts);
    ctx.commit(tx).await
}

/// Ends all sessions of the caller but this one.
pub async fn revoke_others(ctx: &Ctx) -> Result<SessionsEnded> {
    let user = ctx.require_session()?;
    let mut tx = ctx.services().db.begin().await?;
    let ended = table::revoke_others(&mut tx, user.id, ctx.session_id(), ctx.now()).await?;
    store::events::append(&mut tx, Stream::User(user.id), ctx.now(), vec![EventKind::SessionsChanged {}]).await?;
    audit::record(ctx, &mut tx, AuditAction::AllSessionsRevoked, Facts::user(user).with(json!({ "sessions": ended, "kept": "this one" })));
    ctx.commit(tx).await?;
    Ok(SessionsEnded { ended: u32::try_from(ended).unwrap_or(u32::MAX) })
}

/// Browser and system in words, as far as a user agent tells. Others are shown by the name they begin with.
fn describe(agent: &str) -> String {
    // Whoever pretends to be another comes first: Edge and Opera say Chrome, Chrome says Safari.
    const BROWSERS: &[(&str, &str)] = &[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Vivaldi/", "Vivaldi"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("FxiOS/", "Firefox"),
        ("Firefox/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("HeadlessChrome/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Chromium/", "Chromium"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: &[(&str, &str)] = &[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("CrOS", "ChromeOS"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Macintosh", "macOS"),
        ("Linux", "Linux"),
        ("FreeBSD", "FreeBSD"),
    ];
    let find = |known: &[(&str, &'static str)]| known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, word)| *word);
    match (find(BROWSERS).filter(|_| agent.starts_with("Mozilla/")), find(SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, system) => {
            let name: String =
                agent.split(['/', ' ', '(']).next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(40).collect();
            match (name.as_str(), system) {
                ("" | "Mozilla", Some(system)) => format!("A browser on {system}"),
                ("" | "Mozilla", None) => "Unknown device".to_owned(),
                (name, Some(system)) => format!("{name} on {system}"),
                (name, None) => name.to_owned(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn devices_are_told_by_browser_and_system() {
        let cases = [
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Windows"),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18 Mobile Safari/604.1", "Safari on iPhone"),
            ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605 Version/18 Safari/605", "Safari on macOS"),
            ("curl/8.5.0", "curl"),
            ("python-requests/2.32 (Linux)", "python-requests on Linux"),
            ("", "Unknown device"),
            ("\u{7}\u{1b}[31m/1", "[31m"),
        ];
        for (agent, words) in cases {
            assert_eq!(describe(agent), words, "{agent}");
        }
    }
}
