use std::{process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand};
use server::{
    cli::{self, tell},
    config::{Config, LogConfig, LogFormat},
    doctor, http, logging, replace, serve, telemetry,
    worker::Ended,
};

/// cloudxdevai: projects, an editor, runs in a sandbox and a coding agent, in one program.
#[derive(Parser)]
#[command(name = "cloudxdevai", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the site and works off jobs (the default).
    Serve {
        /// Leaves the jobs to `cloudxdevai worker` processes.
        #[arg(long)]
        no_worker: bool,
        /// For a start at a terminal, as `make run` does it: a first start in development gets the sample project and the
        /// demonstration model, the log is text, and it is said where to look. Settings that say otherwise win.
        #[arg(long)]
        trial: bool,
    },
    /// Works off jobs without serving the site.
    Worker,
    /// Brings the database to this version's schema and ends.
    Migrate {
        /// Only says how far it is. Ends with 3 where it is behind.
        #[arg(long)]
        status: bool,
        /// Writes JSON for programs instead of text for people.
        #[arg(long)]
        json: bool,
    },
    /// Checks every part of the installation and says what to do where something is wrong.
    Doctor {
        /// Writes JSON for programs instead of text for people.
        #[arg(long)]
        json: bool,
    },
    /// Accounts, API tokens and the audit log, also while the server runs.
    Admin(cli::Admin),
    /// Prints the description of the REST interface, in OpenAPI.
    Openapi,
    /// Looks at the configuration.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
}

#[derive(Subcommand)]
enum ConfigAction {
    /// Prints the effective values with secrets masked, or every wrong value by name.
    Check,
}

fn main() -> ExitCode {
    // Before any thread exists: the sandbox starts this same program as its launcher and jail helper.
    sandbox::take_over_if_helper();
    give_large_blocks_back();
    llm::install_crypto();
    let command = Cli::parse().command.unwrap_or(Command::Serve { no_worker: false, trial: false });
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            tell(&mut std::io::stderr(), &format!("{error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// A password's hash takes 19 MiB for a moment. glibc would learn from that to keep blocks of this size, once for every thread
/// that ever hashed one; with fixed thresholds they go back to the system at once.
fn give_large_blocks_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets two numbers of the allocator, before any other thread exists.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 4);
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn run(command: Command) -> Result<ExitCode, Failure> {
    if let Command::Openapi = command {
        tell(&mut std::io::stdout(), &http::openapi::document_text());
        return Ok(ExitCode::SUCCESS);
    }
    let config = Config::load()?;
    if let Command::Config { action: ConfigAction::Check } = command {
        tell(&mut std::io::stdout(), &config.describe());
        return Ok(ExitCode::SUCCESS);
    }
    let config = if let Command::Serve { trial: true, .. } = command { config.for_trial() } else { config };
    let (listeners, telemetry) = match command {
        Command::Serve { .. } | Command::Worker => telemetry::start(&config.telemetry, config.env),
        _ => telemetry::start(&Default::default(), config.env),
    };
    logging::install_with(&log_config(&command, &config), listeners);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(dispatch(command, Arc::new(config)));
    // A stuck blocking task must not keep a stopped server from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    telemetry.finish();
    match outcome? {
        End::Exit(code) => Ok(code),
        End::Replace => Err(replace::replace_process().into()),
    }
}

/// What the process does once it has nothing more to do.
enum End {
    Exit(ExitCode),
    /// Becomes a fresh process of the same program, with the same arguments.
    Replace,
}

fn log_config(command: &Command, config: &Config) -> LogConfig {
    match command {
        Command::Serve { .. } => config.log.clone(),
        Command::Worker => {
            LogConfig { filter: config.worker.log_filter.clone().unwrap_or_else(|| config.log.filter.clone()), ..config.log.clone() }
        }
        // The answer is on stdout; beside it only what somebody at a terminal needs to know.
        _ => LogConfig { filter: "warn".to_owned(), format: LogFormat::Text },
    }
}

async fn dispatch(command: Command, config: Arc<Config>) -> Result<End, Failure> {
    match command {
        Command::Serve { no_worker, trial } => {
            let told = config.clone();
            let greet = move |listening| {
                if trial {
                    tell(&mut std::io::stderr(), &told.greeting(listening));
                }
            };
            serve::serve(config, !no_worker, greet).await?;
        }
        Command::Worker => {
            if serve::work(config).await? == Ended::Replace {
                return Ok(End::Replace);
            }
        }
        Command::Migrate { status, json } => return Ok(End::Exit(cli::migrate(&config, status, json).await?)),
        Command::Admin(admin) => return Ok(End::Exit(cli::administer(config, admin).await)),
        Command::Doctor { json } => {
            let report = doctor::examine(config).await?;
            tell(&mut std::io::stdout(), &if json { doctor::render_json(&report) } else { doctor::render(&report) });
            if report.health.state == wire::admin::CheckState::Failed {
                return Ok(End::Exit(ExitCode::FAILURE));
            }
        }
        Command::Config { .. } | Command::Openapi => {}
    }
    Ok(End::Exit(ExitCode::SUCCESS))
}
