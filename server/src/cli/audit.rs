use std::io::{BufWriter, Write};

use clap::Subcommand;
use futures::TryStreamExt;
use wire::audit::AuditQuery;

use super::{AMISS, CliError, DONE, Output, Place};

#[derive(Subcommand)]
pub enum Action {
    /// Checks that every entry is there, unchanged and in its place. Ends with 3 where one is not.
    Verify {
        /// A head that was noted earlier: the log must still have it.
        #[arg(long)]
        head: Option<String>,
    },
    /// Writes the log to standard output, the newest first: one entry a line, as JSON.
    Export {
        /// Only these actions, separated by commas.
        #[arg(long)]
        action: Option<String>,
    },
}

pub async fn run(place: &Place, action: Action, output: &mut Output) -> Result<u8, CliError> {
    match action {
        Action::Verify { head } => verify(place, head.as_deref(), output).await,
        Action::Export { action } => export(place, action).await,
    }
}

async fn verify(place: &Place, noted: Option<&str>, output: &mut Output) -> Result<u8, CliError> {
    let mut verdict = domain::audit::verify(&place.ctx).await?;
    if let Some(noted) = noted
        && verdict.holds
        && !domain::audit::has_hash(&place.ctx, noted).await?
    {
        verdict.holds = false;
        verdict.problem =
            Some("The head that was noted is not in the log: entries were cut off, or all of it was written anew.".to_owned());
    }
    output.say(&verdict, || match &verdict.problem {
        None => format!(
            "The audit log holds: {} entries. Note its head elsewhere to prove later that nothing was cut off:\n{}",
            verdict.entries, verdict.head
        ),
        Some(problem) => {
            format!("THE AUDIT LOG DOES NOT HOLD. {problem}\n{} entries before that are as they were written.", verdict.entries)
        }
    });
    Ok(if verdict.holds { DONE } else { AMISS })
}

async fn export(place: &Place, action: Option<String>) -> Result<u8, CliError> {
    let entries = domain::audit::export(&place.ctx, AuditQuery { action, ..AuditQuery::default() }).await?;
    let mut entries = std::pin::pin!(entries);
    let mut out = BufWriter::new(std::io::stdout().lock());
    while let Some(entry) = entries.try_next().await? {
        let line = serde_json::to_string(&entry).map_err(domain::Error::internal)?;
        match writeln!(out, "{line}") {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(DONE),
            written => written?,
        }
    }
    out.flush()?;
    Ok(DONE)
}
