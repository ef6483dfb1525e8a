//! A git repository, cloned inside the sandbox. What the repository says about itself is executed by nobody: no hooks, no filters that
//! are not git's own, no submodules, no names or passwords, no protocol but HTTP. What comes out is an archive of the files, which is
//! judged like any other.

use std::{io, time::Duration};

use bytes::Bytes;
use domain::{
    Ctx, Error,
    jobs::JobError,
    projects::{self, GitJob, Packed},
    storage,
};
use futures::stream;
use sandbox::{Channel, EgressPolicy, ExitKind, Finished, Kind, Limits, Network, Refused, RunDir, Running, Sandbox, Spec, StopGrace};
use tokio::sync::{mpsc, watch};
use tokio_util::{io::StreamReader, sync::CancellationToken};
use uuid::Uuid;
use wire::{files::Origin, limits, network::HostRule};

use crate::text::cut_end;

const CLONE_TIME: Duration = Duration::from_secs(300);
const MIB: u64 = 1024 * 1024;
/// Characters of what git said last that are told.
const SAID: usize = 400;

/// Clones into an empty checkout, fills the project that nobody sees yet, and shows it. `progress` counts percent until the files are
/// unpacked.
pub async fn clone_repository(
    ctx: &Ctx,
    sandbox: &Sandbox,
    job: &GitJob,
    progress: watch::Sender<(u64, u64)>,
    cancel: CancellationToken,
) -> Result<(), JobError> {
    let workspaces = sandbox.workspaces();
    let project = job.project_id.0;
    let outcome = async {
        let rules = projects::git_rules(ctx, &job.url).await.map_err(JobError::from)?.map_err(JobError::Final)?;
        // An attempt that was killed may have left half a clone.
        workspaces.drop_project(project).await.map_err(internal)?;
        workspaces.make_empty(project).map_err(internal)?;
        let _in_use = workspaces.in_use(project);
        let cloning = Cloning { ctx, sandbox, job, rules, cancel: &cancel };
        cloning.fetch(&progress).await?;
        cloning.fill(progress).await
    }
    .await;
    if let Err(error) = workspaces.drop_project(project).await {
        tracing::warn!(project.id = %project, %error, "the directory of a clone could not be removed");
    }
    projects::end_import(ctx, job.project_id, outcome).await
}

fn internal(error: sandbox::WorkspaceError) -> JobError {
    JobError::from(Error::internal(error))
}

struct Cloning<'a> {
    ctx: &'a Ctx,
    sandbox: &'a Sandbox,
    job: &'a GitJob,
    rules: Vec<HostRule>,
    cancel: &'a CancellationToken,
}

impl Cloning<'_> {
    async fn fetch(&self, progress: &watch::Sender<(u64, u64)>) -> Result<(), JobError> {
        let open = &self.ctx.services().settings.egress_open_addresses;
        let open_addresses = open.iter().filter_map(|block| block.parse().ok()).collect();
        let network = Network::Proxy(EgressPolicy { rules: self.rules.clone(), open_addresses });
        let mut running = self.start(git_arguments(self.job), network, CLONE_TIME).await?;
        let (mut said, mut refused) = (Vec::new(), None);
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return Err(self.give_up(&running).await),
                chunk = running.output.recv() => {
                    let Some(chunk) = chunk else { break };
                    said.extend_from_slice(&chunk.data);
                    let spare = said.len().saturating_sub(4096);
                    said.drain(..spare);
                    if let Some(percent) = percent_of(&said) {
                        progress.send_replace((percent, 100));
                    }
                }
                Some(decision) = running.egress.recv() => {
                    if !decision.allowed {
                        refused = Some(decision.host);
                    }
                }
            }
        }
        let finished = running.wait().await;
        if finished.exit.kind == ExitKind::Exited && finished.exit.code == Some(0) {
            return Ok(());
        }
        Err(JobError::Final(why_not_cloned(&finished, &String::from_utf8_lossy(&said), refused.as_deref())))
    }

    /// Packs the files inside the sandbox and takes in what comes out.
    async fn fill(&self, progress: watch::Sender<(u64, u64)>) -> Result<(), JobError> {
        let argv = ["tar", "-C", "repo", "--exclude=./.git", "-czf", "-", "."].map(str::to_owned).to_vec();
        let mut running = self.start(argv, Network::None, CLONE_TIME).await?;
        let blobs = storage::open(self.ctx, self.job.project_id).await.map_err(JobError::from)?;
        let (chunks, mut received) = mpsc::channel::<io::Result<Bytes>>(4);
        let body = StreamReader::new(stream::poll_fn(move |cx| received.poll_recv(cx)));
        let storing = blobs.put(Box::pin(body), limits::PROJECT_BYTES_MAX as u64);
        let pumping = async {
            while let Some(chunk) = running.output.recv().await {
                let wanted = chunk.channel == Channel::Stdout && !self.cancel.is_cancelled();
                if wanted && chunks.send(Ok(chunk.data)).await.is_err() {
                    break;
                }
            }
            drop(chunks);
            running
        };
        let (stored, running) = tokio::join!(storing, pumping);
        if self.cancel.is_cancelled() {
            return Err(self.give_up(&running).await);
        }
        let finished = running.wait().await;
        let stored = match stored {
            Ok(stored) if finished.exit.kind == ExitKind::Exited && finished.exit.code == Some(0) => stored,
            Err(blobs_error) => return Err(JobError::from(Error::from(blobs_error))),
            Ok(_) => return Err(JobError::Final(format!("The clone could not be read. {} Nothing was kept.", finished.exit.sentence))),
        };
        let name = self.job.url.as_str();
        let packed = Packed { sha256: &stored.sha256, size: stored.size, filename: name, strip: false, origin: Origin::Git };
        projects::fill_import(self.ctx, self.job.project_id, &packed, progress, self.cancel.clone()).await
    }

    async fn start(&self, argv: Vec<String>, network: Network, wall: Duration) -> Result<Running, JobError> {
        let spec = Spec {
            id: Uuid::now_v7(),
            kind: Kind::Git,
            argv,
            dir: RunDir::Checkout(self.job.project_id.0),
            cwd: String::new(),
            env: environment(),
            limits: Limits {
                wall,
                disk_bytes: limits::PROJECT_BYTES_MAX as u64 * 2,
                disk_files: limits::PROJECT_FILES_MAX as u64 * 2,
                output_bytes: limits::PROJECT_BYTES_MAX as u64 + 64 * MIB,
                ..Limits::for_kind(Kind::Git)
            },
            network,
            tty: None,
        };
        self.sandbox.start(spec).await.map_err(|Refused { reason, .. }| {
            JobError::Final(format!("The repository could not be cloned. {reason} Nothing was imported."))
        })
    }

    async fn give_up(&self, running: &Running) -> JobError {
        running.stop(StopGrace::Kill).await;
        JobError::Cancelled
    }
}

fn git_arguments(job: &GitJob) -> Vec<String> {
    let mut argv: Vec<String> = [
        "git",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "credential.helper=",
        "clone",
        "--template=",
        "--depth=1",
        "--single-branch",
        "--no-tags",
        "--no-recurse-submodules",
        "--progress",
    ]
    .map(str::to_owned)
    .to_vec();
    if !job.branch.is_empty() {
        argv.push(format!("--branch={}", job.branch));
    }
    argv.extend(["--".to_owned(), job.url.clone(), "repo".to_owned()]);
    argv
}

fn environment() -> Vec<(String, String)> {
    [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ASKPASS", "/bin/false"),
        ("GIT_ALLOW_PROTOCOL", "http:https"),
        ("GIT_LFS_SKIP_SMUDGE", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// How much of the objects has come, as git last said.
fn percent_of(said: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(said);
    let line = text.rsplit(['\r', '\n']).find(|line| line.contains("Receiving objects:"))?;
    let after = line.split("Receiving objects:").nth(1)?;
    after.trim_start().split('%').next()?.parse().ok().filter(|percent| *percent <= 100)
}

fn why_not_cloned(finished: &Finished, said: &str, refused: Option<&str>) -> String {
    let sentence = match (finished.exit.kind, finished.exit.code, refused) {
        (ExitKind::Exited, Some(127), _) => "Git is not installed on this server.".to_owned(),
        (_, _, Some(host)) => {
            format!(
                "The repository led to the host {host}, which is not open on this server. An administrator can open it under Administration, Runs."
            )
        }
        (ExitKind::TimedOut, ..) => format!("The clone took longer than {} minutes.", CLONE_TIME.as_secs() / 60),
        (ExitKind::DiskLimit, ..) => "The repository is larger than a project can be.".to_owned(),
        (ExitKind::Exited, ..) => format!("Git could not clone it: {}", last_words(said)),
        _ => format!("The clone ended early. {}", finished.exit.sentence),
    };
    format!("{sentence} Nothing was imported.")
}

/// The lines by which git says what is wrong.
fn last_words(said: &str) -> String {
    let lines: Vec<&str> =
        said.split(['\r', '\n']).map(str::trim).filter(|line| line.starts_with("fatal:") || line.starts_with("error:")).collect();
    let text = if lines.is_empty() { "it did not say why.".to_owned() } else { lines.join(" ") };
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    let shown = cut_end(&clean, SAID);
    if shown.ends_with('.') { shown } else { format!("{shown}.") }
}

#[cfg(test)]
mod tests {
    use wire::ProjectId;

    use super::*;

    #[test]
    fn progress_is_what_git_said_last() {
        let said = b"Cloning into 'repo'...\nremote: Counting objects: 100% (9/9)\rReceiving objects:  12% (1/9)\rReceiving objects:  45% (4/9), 1 MiB\r";
        assert_eq!(percent_of(said), Some(45));
        assert_eq!(percent_of(b"Cloning into 'repo'..."), None);
    }

    #[test]
    fn an_address_is_never_an_option() {
        let job = GitJob { project_id: ProjectId(Uuid::nil()), url: "https://example.org/x".to_owned(), branch: "main".to_owned() };
        let argv = git_arguments(&job);
        assert_eq!(argv[argv.len() - 4..], ["--branch=main", "--", "https://example.org/x", "repo"]);
    }

    #[test]
    fn the_reason_is_gits_own() {
        assert_eq!(last_words("Cloning\nfatal: repository 'x' not found\n"), "fatal: repository 'x' not found.");
        assert_eq!(last_words("\u{1b}[31m"), "it did not say why.");
    }
}
