use async_trait::async_trait;
use domain::{Ctx, Error, jobs::JobKind};
use serde_json::Value;

use super::{
    Work,
    jobs::{AgentTurn, Import, SandboxExec},
    task::{Outcome, Task},
};

/// One kind of slow work.
#[async_trait]
pub trait Job: Send + Sync {
    fn kind(&self) -> JobKind;

    /// Does the work. Everything it needs to go on after a crash is in the database.
    async fn run(&self, work: &Work, task: &Task) -> Result<Outcome, Error>;

    /// Tells the end of what the job stood for, when the job ended without doing it.
    async fn tell_lost(&self, work: &Work, system: &Ctx, payload: &Value) -> Result<(), Error>;
}

/// Every kind there is.
const JOBS: [&dyn Job; 3] = [&AgentTurn, &SandboxExec, &Import];

pub fn find(kind: JobKind) -> &'static dyn Job {
    match JOBS.iter().find(|job| job.kind() == kind) {
        Some(job) => *job,
        None => unreachable!("every kind is in the list"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_job() {
        for kind in [JobKind::AgentTurn, JobKind::SandboxExec, JobKind::Import] {
            assert_eq!(find(kind).kind(), kind);
        }
    }
}
