//! Lines of the health page that only the process that put everything together can fill.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::HealthProbe;
use sandbox::{DiskRoom, Sandbox, Tier};
use store::{Db, LinkStatus};
use wire::{
    admin::{Check, CheckState, Health},
    models::ProviderKind,
};

use super::{Line, Role};
use crate::{config::Config, preview::PreviewConfig};

const CONNECT_TIME: Duration = Duration::from_millis(500);

pub fn all(config: &Config, role: Role, sandbox: Option<&Arc<Sandbox>>, db: &Db, redis: Vec<Line>) -> Vec<Arc<dyn HealthProbe>> {
    vec![
        Arc::new(RedisProbe { lines: redis }),
        Arc::new(SandboxProbe { sandbox: sandbox.cloned() }),
        Arc::new(PreviewsProbe { config: config.previews.clone(), role }),
        Arc::new(DiskProbe { data: config.data_dir.clone(), work: sandbox.map(|_| config.work_dir()) }),
        Arc::new(ModelsProbe { db: db.clone() }),
    ]
}

fn check(name: &str, state: CheckState, reason: impl Into<String>, advice: Option<String>) -> Check {
    Check { name: name.to_owned(), state, reason: reason.into(), advice }
}

struct SandboxProbe {
    sandbox: Option<Arc<Sandbox>>,
}

#[async_trait]
impl HealthProbe for SandboxProbe {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    async fn check(&self) -> Check {
        let Some(sandbox) = &self.sandbox else {
            return check("sandbox", CheckState::Ok, "Runs are left to worker processes.", None);
        };
        let probe = sandbox.probe_result();
        let reason = match probe.tier {
            Tier::S3 | Tier::S3r => {
                let users = if probe.tier == Tier::S3r { ", each project under a user of its own" } else { "" };
                format!(
                    "Commands run cut off from the server and from each other{users}, and their limits of memory, processor and processes \
                     are enforced. This is tier {}, the strongest for this server.",
                    probe.tier
                )
            }
            Tier::S2 => "Commands run cut off from the server and from each other. Their memory is watched rather than held, and the \
                         processor limit does not hold. This is tier S2."
                .to_owned(),
            Tier::S1 => "Commands can reach few files and system calls, but people are not kept apart well. This is tier S1, which \
                         SANDBOX_ALLOW_WEAK allows."
                .to_owned(),
            Tier::S0 => format!("Commands are refused, and everything else works: {}.", probe.reason.trim_end_matches('.')),
        };
        // Without a sandbox runs are refused and everything else works, so it is no reason to take the server out.
        let state = match probe.tier {
            Tier::S0 | Tier::S1 => CheckState::Warning,
            Tier::S2 | Tier::S3 | Tier::S3r => CheckState::Ok,
        };
        let missing = probe.findings.iter().filter(|finding| !finding.ok && finding.name != "tier");
        let lacks: Vec<_> = missing.map(|finding| format!("{}: {}", finding.name, finding.detail)).collect();
        let advice = probe.next.as_ref().map(|next| match lacks.is_empty() {
            true => next.clone(),
            false => format!("{next} Missing now: {}.", lacks.join("; ")),
        });
        check("sandbox", state, reason, advice)
    }
}

struct RedisProbe {
    lines: Vec<Line>,
}

#[async_trait]
impl HealthProbe for RedisProbe {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn check(&self) -> Check {
        if self.lines.is_empty() {
            return check("redis", CheckState::Ok, "Not used: events stay within this process, and others look into the database.", None);
        }
        // A process that has just started, such as the doctor, is given a moment to connect.
        let deadline = Instant::now() + CONNECT_TIME;
        let is_new = |line: &Line| matches!((line.status)(), LinkStatus::Down { seconds: 0, .. });
        while self.lines.iter().any(is_new) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let tell = |line: &Line| match (line.status)() {
            LinkStatus::Up => None,
            LinkStatus::Down { seconds, reason } => Some(format!("{} for {seconds} s: {reason}", line.carries)),
        };
        let down: Vec<String> = self.lines.iter().filter_map(tell).collect();
        if down.is_empty() {
            let carried: Vec<_> = self.lines.iter().map(|line| line.carries).collect();
            return check("redis", CheckState::Ok, format!("Carries {}.", carried.join(", ")), None);
        }
        let reason = format!("Not connected ({}). Everything goes on, a second or two later.", down.join("; "));
        let advice = "Check that Redis runs and that REDIS_URL is right. The server connects by itself once it is back.";
        check("redis", CheckState::Warning, reason, Some(advice.to_owned()))
    }
}

struct PreviewsProbe {
    config: PreviewConfig,
    role: Role,
}

#[async_trait]
impl HealthProbe for PreviewsProbe {
    fn name(&self) -> &'static str {
        "previews"
    }

    async fn check(&self) -> Check {
        let PreviewConfig { host, ports, domain } = &self.config;
        match (domain, ports) {
            (Some(domain), _) if self.role == Role::Server => {
                let reason = format!("Names below {domain} lead to this process, but runs are worked off in others: they can't be shown.");
                let advice = "Start the server without --no-worker, or leave PREVIEW_DOMAIN empty so that workers open ports of their own.";
                check("previews", CheckState::Warning, reason, Some(advice.to_owned()))
            }
            (Some(domain), _) => check("previews", CheckState::Ok, format!("Shown under names below {domain}."), None),
            (None, None) => check("previews", CheckState::Ok, "Turned off: PREVIEW_PORTS is off and PREVIEW_DOMAIN is not set.", None),
            (None, Some(ports)) => {
                let reason =
                    format!("Shown on ports {} to {} of {host}, by the process that works off the run.", ports.start(), ports.end());
                let advice =
                    "Ports of one host share its cookies. To keep previews fully apart, set PREVIEW_DOMAIN to a domain of their own.";
                check("previews", CheckState::Ok, reason, (!host.is_loopback()).then(|| advice.to_owned()))
            }
        }
    }
}

struct DiskProbe {
    data: PathBuf,
    /// Where checkouts are; `None` where runs are left to other processes.
    work: Option<PathBuf>,
}

#[async_trait]
impl HealthProbe for DiskProbe {
    fn name(&self) -> &'static str {
        "disk"
    }

    async fn check(&self) -> Check {
        let (data, work) = (self.data.clone(), self.work.clone());
        // A disk that hangs holds up a thread for that, and not the others of the server.
        let looked = tokio::task::spawn_blocking(move || look_at_disks(&data, work.as_deref())).await;
        looked.unwrap_or_else(|error| check("disk", CheckState::Failed, format!("The disk can't be looked at: {error}."), None))
    }
}

/// Everything that is kept is in the data folder; whether a run starts is decided by the disk of the work folder, which may be another.
fn look_at_disks(data: &Path, work: Option<&Path>) -> Check {
    // A work folder that is not made yet will be on the disk of the folder above it.
    let work = work.and_then(|work| std::path::absolute(work).ok()?.ancestors().find(|folder| folder.exists()).map(Path::to_path_buf));
    let disk_of = |folder: &Path| folder.metadata().ok().map(|found| found.dev());
    match work {
        None => look_at_disk(data, "DATA_DIR", CheckState::Failed, "Soon nothing can be saved."),
        Some(work) if disk_of(&work) == disk_of(data) => look_at_disk(data, "DATA_DIR", CheckState::Failed, "New runs are refused."),
        Some(work) => {
            let kept = look_at_disk(data, "DATA_DIR", CheckState::Failed, "Soon nothing can be saved.");
            // Everything but runs works, so it is no reason to take the server out.
            let runs = look_at_disk(&work, "WORK_DIR", CheckState::Warning, "New runs are refused.");
            let reason = format!("{} {}", kept.reason, runs.reason);
            let advice: Vec<String> = [kept.advice, runs.advice].into_iter().flatten().collect();
            let state = Health::from_checks(vec![check("disk", kept.state, "", None), check("disk", runs.state, "", None)]).state;
            check("disk", state, reason, (!advice.is_empty()).then(|| advice.join(" ")))
        }
    }
}

/// `low` is what it means where too little is free, and `so` what then happens. Anybody may read it, so it names no folder.
fn look_at_disk(folder: &Path, setting: &str, low: CheckState, so: &str) -> Check {
    let room = match DiskRoom::of(folder) {
        Ok(Some(room)) => room,
        Ok(None) => return check("disk", CheckState::Ok, format!("The file system of {setting} does not tell its size."), None),
        Err(error) => {
            let advice = Some(format!("Check that {setting} exists and is mounted."));
            return check("disk", low, format!("{setting} can't be looked at: {error}."), advice);
        }
    };
    let gib = room.free as f64 / f64::from(1 << 30);
    let reason = format!("{gib:.1} GiB free ({:.0} %) in {setting}.", room.free as f64 / room.total as f64 * 100.0);
    let advice = || Some(format!("Free space in {setting} or give it a larger disk."));
    if room.is_low() {
        check("disk", low, format!("{reason} {so}"), advice())
    } else if room.is_short() {
        check("disk", CheckState::Warning, reason, advice())
    } else {
        check("disk", CheckState::Ok, reason, None)
    }
}

struct ModelsProbe {
    db: Db,
}

impl ModelsProbe {
    /// Name of each active model, and whether it is the demonstration.
    async fn active(&self) -> Result<Vec<(String, bool)>, store::Error> {
        let mut conn = self.db.read().await?;
        let providers = store::models::providers(&mut conn).await?;
        let is_active = |id| providers.iter().any(|row| row.id == id && row.active);
        let models = store::models::models(&mut conn).await?.into_iter();
        let active = models.filter(|row| row.model.active && is_active(row.model.provider_id));
        Ok(active.map(|row| (row.model.name, row.version.kind.0 == ProviderKind::Demo)).collect())
    }
}

#[async_trait]
impl HealthProbe for ModelsProbe {
    fn name(&self) -> &'static str {
        "models"
    }

    async fn check(&self) -> Check {
        let advice = || {
            let add = "Add one under Administration, Models, or set OPENAI_BASE_URL, OPENAI_API_KEY and AI_DEFAULT_MODEL and restart.";
            Some(add.to_owned())
        };
        // The database has a line of its own.
        let Ok(names) = self.active().await else {
            return check("models", CheckState::Warning, "The database does not say which models there are.", None);
        };
        let real: Vec<_> = names.iter().filter(|(_, is_demo)| !is_demo).map(|(name, _)| name.as_str()).collect();
        match (real.is_empty(), names.is_empty()) {
            (false, _) => check("models", CheckState::Ok, format!("Configured: {}.", real.join(", ")), None),
            (true, false) => check("models", CheckState::Warning, "Only the demonstration is there, which is not an AI.", advice()),
            (true, true) => check("models", CheckState::Warning, "No model is configured; the agent can't answer.", advice()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_runs_is_told_beside_the_one_of_the_data_where_it_is_another() {
        let data = tempfile::tempdir().unwrap();
        let missing = data.path().join("work/not/there/yet");
        let one = look_at_disks(data.path(), Some(&missing));
        assert_eq!(one.reason.matches("GiB free").count(), 1, "{}", one.reason);
        assert!(one.reason.contains("in DATA_DIR") && !one.reason.contains(&data.path().display().to_string()), "{}", one.reason);
        // Its size is not told, which is how it is known to have been looked at.
        let two = look_at_disks(data.path(), Some(Path::new("/proc/self")));
        assert!(two.reason.contains("GiB free") && two.reason.contains("WORK_DIR does not tell its size"), "{}", two.reason);
        let gone = look_at_disks(&data.path().join("gone"), None);
        assert!(gone.state == CheckState::Failed && gone.advice.unwrap().contains("DATA_DIR"), "{}", gone.reason);
    }
}
