//! What works, what does not, why, and what to do.

use std::time::{Duration, Instant};

use blobs::{Backend, BlobError, Blobs};
use futures::{FutureExt, future::join_all};
use tokio::sync::Mutex;
use wire::admin::{Check, CheckState, Health};

use crate::{Result, Services, mail::MailSettings};

/// A part that does not answer within this time counts as failed.
const PATIENCE: Duration = Duration::from_secs(2);

const MAIL_EVERY: Duration = Duration::from_secs(60);

/// What was found earlier and still counts.
#[derive(Default)]
pub struct Looked {
    mail: Mutex<Option<(Instant, Check)>>,
}

/// Every check, all at once, told in a fixed order. No context: load balancers ask this too.
pub async fn check(services: &Services) -> Health {
    let mut checks = vec![timed("database", database(services)).boxed(), timed("migrations", migrations(services)).boxed()];
    for (backend, blobs) in services.storage.all() {
        checks.push(timed(storage_name(backend), storage(backend, &**blobs)).boxed());
    }
    checks.push(timed("job queue", queue(services)).boxed());
    if let Some(mail) = &services.settings.mail {
        checks.push(timed("mail", mail_server(mail, &services.looked)).boxed());
    }
    checks.extend(services.probes.iter().map(|probe| timed(probe.name(), probe.check()).boxed()));
    Health::from_checks(join_all(checks).await)
}

async fn timed(name: &str, check: impl Future<Output = Check>) -> Check {
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(check) => check,
        Err(_) => failed(name, "No answer within two seconds.".to_owned(), "Look at the server's log, and at the load of the machine."),
    }
}

fn failed(name: &str, reason: String, advice: &str) -> Check {
    Check { name: name.to_owned(), state: CheckState::Failed, reason, advice: Some(advice.to_owned()) }
}

async fn database(services: &Services) -> Check {
    match services.db.ping().await {
        Ok(()) => {
            Check { name: "database".to_owned(), state: CheckState::Ok, reason: format!("{} answers.", services.db.name()), advice: None }
        }
        Err(error) => {
            tracing::error!(%error, "the database does not answer");
            failed("database", "The database does not answer.".to_owned(), "Check that it runs and that DATABASE_URL is right.")
        }
    }
}

async fn migrations(services: &Services) -> Check {
    let check =
        |state, reason, advice: Option<&str>| Check { name: "migrations".to_owned(), state, reason, advice: advice.map(str::to_owned) };
    let Ok(found) = services.db.migrations().await else {
        return failed("migrations", "The database does not say how far its schema is.".to_owned(), "See the database's own line.");
    };
    let numbers = |list: &[(i64, String)]| list.iter().map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(", ");
    if !found.pending.is_empty() {
        let reason = format!("The schema lacks {} of this version's steps: {}.", found.pending.len(), numbers(&found.pending));
        return check(CheckState::Failed, reason, Some("Restart the server, which brings it up to date, or run: cloudxdevai migrate"));
    }
    let last = found.applied.last().map_or(0, |(number, _)| *number);
    if found.unknown.is_empty() {
        return check(CheckState::Ok, format!("The schema is at step {last}, which is this version's."), None);
    }
    let reason = format!("The schema has steps of a newer version: {}.", numbers(&found.unknown));
    check(CheckState::Warning, reason, Some("Bring every server and worker to the newer version."))
}

/// Looked at now and then: servers of mail dislike those who connect all the time and say nothing.
async fn mail_server(mail: &MailSettings, looked: &Looked) -> Check {
    let mut looked = looked.mail.lock().await;
    if let Some((at, check)) = &*looked
        && at.elapsed() < MAIL_EVERY
    {
        return check.clone();
    }
    let check = match mail.reach().await {
        Ok(()) => Check { name: "mail".to_owned(), state: CheckState::Ok, reason: "The server of mail answers.".to_owned(), advice: None },
        Err(reason) => {
            tracing::warn!(reason, "the server of mail can't be reached");
            let advice = "Check SMTP_URL. Until it works, hand over links to set a password yourself, under Users.";
            let reason = "The server of mail can't be reached: letters are not sent. The log has the details.".to_owned();
            Check { name: "mail".to_owned(), state: CheckState::Warning, reason, advice: Some(advice.to_owned()) }
        }
    };
    *looked = Some((Instant::now(), check.clone()));
    check
}

/// What the metrics show of the installation as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Kind, state and count.
    pub jobs: Vec<(String, String, i64)>,
    pub oldest_due_s: f64,
    /// Storage and bytes.
    pub stored: Vec<(String, i64)>,
}

/// No context: they are about nobody.
pub async fn figures(services: &Services) -> Result<Figures> {
    let now = services.clock.now();
    let mut conn = services.db.read().await?;
    let jobs = store::jobs::by_kind(&mut conn).await?;
    let summary = store::jobs::summary(&mut conn, now).await?;
    let stored = store::quotas::bytes_by_backend(&mut conn).await?;
    let jobs = jobs.into_iter().map(|(kind, state, count)| {
        // A newer version's kinds are not labels of this one.
        let kind = crate::jobs::JobKind::parse(&kind).map_or("unknown", crate::jobs::JobKind::as_str);
        (kind.to_owned(), crate::measure::word(&state), count)
    });
    let oldest_due_s = summary.oldest_due.map_or(0.0, |due| now.millis_since(due).max(0) as f64 / 1000.0);
    Ok(Figures { jobs: jobs.collect(), oldest_due_s, stored })
}

fn storage_name(backend: Backend) -> &'static str {
    match backend {
        Backend::Local => "file storage",
        Backend::S3 => "file storage on S3",
    }
}

async fn storage(backend: Backend, blobs: &dyn Blobs) -> Check {
    let name = storage_name(backend);
    let reason = match blobs.check().await {
        Ok(()) => return Check { name: name.to_owned(), state: CheckState::Ok, reason: "Files can be written.".to_owned(), advice: None },
        Err(BlobError::Unavailable(reason)) => reason,
        Err(BlobError::Io(error)) => blobs::explain_io(&error).to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::error!(reason, backend = backend.as_str(), "file storage can't be used");
    let advice = match backend {
        Backend::Local => "Check the disk's free space and who owns the data folder.",
        Backend::S3 => "Check that the storage runs, and AWS_S3_BUCKET, AWS_S3_ENDPOINT_URL and the access key.",
    };
    failed(name, format!("Files can't be written: {reason}."), advice)
}

async fn queue(services: &Services) -> Check {
    let now = services.clock.now();
    let summary = match services.db.read().await {
        Ok(mut conn) => store::jobs::summary(&mut conn, now).await,
        Err(error) => Err(error),
    };
    let Ok(summary) = summary else {
        return failed("job queue", "The queue can't be read.".to_owned(), "It lives in the database: see there.");
    };
    let waited_s = summary.oldest_due.map_or(0, |due| now.millis_since(due) / 1000);
    let given_up = if summary.dead > 0 { format!(", {} given up", summary.dead) } else { String::new() };
    let reason = format!("{} running, {} waiting{given_up}.", summary.running, summary.queued);
    if waited_s > 60 {
        let advice = format!("A job has waited for {waited_s} s. Check that a worker runs, or raise WORKER_CONCURRENCY.");
        return Check { name: "job queue".to_owned(), state: CheckState::Warning, reason, advice: Some(advice) };
    }
    let (state, advice) = match summary.dead {
        0 => (CheckState::Ok, None),
        _ => (CheckState::Warning, Some("Jobs that failed again and again are not tried any more. Look at them under Jobs, and put them back when the cause is gone.".to_owned())),
    };
    Check { name: "job queue".to_owned(), state, reason, advice }
}
