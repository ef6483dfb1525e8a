//! What an operator does from the server's own machine, also while the server runs: it is the same database. Whoever may run this program
//! with its configuration has the data anyway; what they do is in the audit log as the command line's.

mod audit;
mod migrate;
mod output;
mod tokens;
mod users;

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use domain::{Ctx, Error};

use crate::{
    config::Config,
    wiring::{self, Role, WiringError},
};

pub use migrate::migrate;
pub use output::{Output, tell};

/// Ended well.
pub const DONE: u8 = 0;
/// Refused, or failed.
pub const FAILED: u8 = 1;
/// What was looked at is not as it should be: a schema that is behind, an audit log that does not hold.
pub const AMISS: u8 = 3;

#[derive(Args)]
pub struct Admin {
    #[command(subcommand)]
    what: What,
    /// Writes JSON for programs instead of text for people.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// Accounts.
    User {
        #[command(subcommand)]
        action: users::Action,
    },
    /// API tokens.
    Token {
        #[command(subcommand)]
        action: tokens::Action,
    },
    /// The audit log.
    Audit {
        #[command(subcommand)]
        action: audit::Action,
    },
}

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Wiring(#[from] WiringError),
    #[error("{0}")]
    Refused(#[from] Error),
    #[error("{0}")]
    Usage(String),
    #[error("the output can't be written: {0}")]
    Output(#[from] std::io::Error),
}

/// Does it, and says on which code to end.
pub async fn administer(config: Arc<Config>, admin: Admin) -> ExitCode {
    let mut output = Output::new(admin.json);
    match run(config, admin.what, &mut output).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output.fail(&error);
            ExitCode::from(FAILED)
        }
    }
}

async fn run(config: Arc<Config>, what: What, output: &mut Output) -> Result<u8, CliError> {
    let place = Place::enter(config).await?;
    match what {
        What::User { action } => users::run(&place, action, output).await,
        What::Token { action } => tokens::run(&place, action, output).await,
        What::Audit { action } => audit::run(&place, action, output).await,
    }
}

/// Where commands work.
struct Place {
    ctx: Ctx,
    config: Arc<Config>,
}

impl Place {
    /// Opens the database of the installation. One that another version's server uses is left alone.
    async fn enter(config: Arc<Config>) -> Result<Self, CliError> {
        let app = wiring::wire(config.clone(), Role::Operator).await?;
        let schema = app.services.db.migrations().await.map_err(WiringError::from)?;
        if !schema.pending.is_empty() {
            let sentence =
                "The database is not at this version's schema. Restart the server with this version, or run: cloudxdevai migrate";
            return Err(CliError::Usage(sentence.to_owned()));
        }
        Ok(Self { ctx: Ctx::operator(&app.services, operator_name()), config })
    }

    /// A path of the site as people open it.
    fn address(&self, path: &str) -> String {
        match &self.config.http.public_url {
            Some(url) => format!("{}{path}", url.as_str().trim_end_matches('/')),
            None => path.to_owned(),
        }
    }
}

/// Who is at the machine, as far as it knows.
fn operator_name() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty() && value.len() <= 64);
    let name = named("SUDO_USER").or_else(|| named("USER")).or_else(|| named("LOGNAME"));
    name.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
