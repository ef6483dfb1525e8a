//! What works, what does not, why, and what to do.

use std::time::Duration;

use blobs::{Backend, BlobError, Blobs};
use wire::admin::{Check, CheckState, Health};

use crate::Services;

/// A part that does not answer within this time counts as failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Every check, in a fixed order. No context: load balancers ask this too.
pub async fn check(services: &Services) -> Health {
    let mut checks = vec![timed("database", database(services)).await];
    for (backend, blobs) in services.storage.all() {
        checks.push(timed(storage_name(backend), storage(backend, &**blobs)).await);
    }
    checks.push(timed("job queue", queue(services)).await);
    for probe in &services.probes {
        checks.push(timed("check", probe.check()).await);
    }
    Health::from_checks(checks)
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
