//! Works off jobs: claims, leases, heartbeats, retries, and the end of those whose worker is gone.

mod jobs;
mod registry;
mod runner;
mod task;

use std::sync::Arc;

use domain::Services;
use sandbox::Sandbox;

pub use runner::Worker;

/// What jobs work with.
pub struct Work {
    pub services: Arc<Services>,
    pub sandbox: Arc<Sandbox>,
    pub models: Arc<llm::Models>,
    /// Jobs at a time.
    pub concurrency: usize,
    /// No other process can be working on this database's jobs.
    pub owns_all_jobs: bool,
    /// Names this worker in leases.
    pub name: String,
}
