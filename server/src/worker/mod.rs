//! Works off jobs: claims, leases, heartbeats, retries, and the end of those whose worker is gone.

mod jobs;
mod name;
mod registry;
mod runner;
mod task;

use std::{sync::Arc, time::Duration};

use domain::Services;
use sandbox::Sandbox;

pub use name::WorkerName;
pub use runner::{Ended, Worker};

/// What jobs work with.
pub struct Work {
    pub services: Arc<Services>,
    pub sandbox: Arc<Sandbox>,
    pub models: Arc<agent::Pool>,
    /// Keeps checkouts and projects in step while commands run.
    pub keeper: agent::Keeper,
    /// The terminals that are open here.
    pub terminals: Arc<agent::TerminalHub>,
    /// Gives what listens inside runs an address outside.
    pub ports: Arc<dyn agent::PortForward>,
    /// Jobs at a time that are no terminals.
    pub concurrency: usize,
    /// A job without limits of its own is stopped and tried again after so long without progress.
    pub timeout: Duration,
    /// Bytes of checkouts that stay for the next run.
    pub work_dir_size: u64,
    /// After so many jobs the worker asks to be replaced.
    pub max_jobs: Option<u64>,
    /// No other process can be working on this database's jobs.
    pub owns_all_jobs: bool,
    /// Names this worker in leases.
    pub name: WorkerName,
}
