use async_trait::async_trait;
use domain::{Ctx, Error, jobs::JobKind};
use serde_json::Value;

use super::{
    Work,
    jobs::{AgentTurn, Cleanup, Codegen, Export, GitImport, Import, MoveStorage, SandboxExec, Terminal, UsageRollup},
    task::{Outcome, Task},
};

/// One kind of slow work.
#[async_trait]
pub trait Job: Send + Sync {
    /// Does the work. Everything it needs to go on after a crash is in the database.
    async fn run(&self, work: &Work, task: &Task) -> Result<Outcome, Error>;

    /// Tells the end of what the job stood for, when the job ended without doing it.
    async fn tell_lost(&self, work: &Work, system: &Ctx, payload: &Value) -> Result<(), Error>;
}

/// What does the work of each kind: one line a kind.
const JOBS: &[(JobKind, &dyn Job)] = &[
    (JobKind::AgentTurn, &AgentTurn),
    (JobKind::SandboxExec, &SandboxExec),
    (JobKind::TestRunner, &SandboxExec),
    (JobKind::Codegen, &Codegen),
    (JobKind::Terminal, &Terminal),
    (JobKind::Import, &Import),
    (JobKind::GitImport, &GitImport),
    (JobKind::Export, &Export),
    (JobKind::MoveStorage, &MoveStorage),
    (JobKind::Cleanup, &Cleanup),
    (JobKind::UsageRollup, &UsageRollup),
];

/// `Unavailable` for a kind that this program has no body for; the runner turns that into a failed job.
pub fn find(kind: JobKind) -> Result<&'static dyn Job, Error> {
    let found = JOBS.iter().find(|(known, _)| *known == kind);
    found.map(|(_, job)| *job).ok_or_else(|| Error::Unavailable(format!("This server can't do jobs of the kind {}.", kind.as_str())))
}
