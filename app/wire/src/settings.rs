//! What an administrator chooses while the server runs.

mod rates;

pub use rates::{Rate, RateSettings};
use serde::{Deserialize, Serialize};

use crate::{
    FieldError,
    network::HostRule,
    runs::{RunKind, RunLimits},
};

/// How much runs and terminals may use, of what, and in what order they come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RunSettings {
    pub sandbox_exec: RunLimits,
    pub test_runner: RunLimits,
    pub codegen: RunLimits,
    pub terminal: RunLimits,
    /// A terminal in which nobody types is closed after so many seconds.
    pub terminal_idle_s: u32,
    /// Jobs of one user that run at a time.
    pub jobs_per_user: u32,
    /// Jobs of everybody that run at a time, over all workers; 0 for as many as the workers take.
    pub jobs_in_all: u32,
    pub terminals_per_user: u32,
    /// What owners may open for their projects. Empty: no run reaches the network.
    pub egress: Vec<HostRule>,
}

impl Default for RunSettings {
    fn default() -> Self {
        let base = RunLimits::default();
        Self {
            terminal: RunLimits { wall_s: 12 * 3600, output_bytes: 1 << 30, ..base.clone() },
            sandbox_exec: base.clone(),
            test_runner: base.clone(),
            codegen: base,
            terminal_idle_s: 30 * 60,
            jobs_per_user: 2,
            jobs_in_all: 0,
            terminals_per_user: 8,
            egress: Vec::new(),
        }
    }
}

/// Who may make an account. The very first one can always be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    #[default]
    Open,
    /// Whoever has an invitation of an administrator.
    Invite,
    Closed,
}

/// Who has to have a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SecondFactorDuty {
    #[default]
    Nobody,
    Administrators,
    Everybody,
}

/// Who may have an account and how sessions are kept. What nobody chose comes from the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct AccountSettings {
    pub registration: Registration,
    pub require_second_factor: SecondFactorDuty,
    /// Days that a session lasts without use.
    pub session_days: u32,
    /// Whose addresses may sign up, such as `example.org`. Empty: all. Invitations to one address are not bound by it.
    pub allowed_email_domains: Vec<String>,
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self {
            registration: Registration::default(),
            require_second_factor: SecondFactorDuty::default(),
            session_days: 7,
            allowed_email_domains: Vec::new(),
        }
    }
}

impl AccountSettings {
    /// Domains as they are compared: lower-case, without a leading `@`, each once.
    pub fn normalize(&mut self) {
        for domain in &mut self.allowed_email_domains {
            *domain = domain.trim().trim_start_matches('@').to_lowercase();
        }
        self.allowed_email_domains.retain(|domain| !domain.is_empty());
        self.allowed_email_domains.sort_unstable();
        self.allowed_email_domains.dedup();
    }

    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if !(1..=365).contains(&self.session_days) {
            fields.push(FieldError::new("session_days", "Choose 1 to 365."));
        }
        if self.allowed_email_domains.len() > 100 {
            fields.push(FieldError::new("allowed_email_domains", "Name at most 100 domains."));
        }
        let is_domain = |text: &str| {
            let label = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '-');
            text.len() <= 253 && text.split('.').all(label)
        };
        if let Some(wrong) = self.allowed_email_domains.iter().find(|domain| !is_domain(domain)) {
            let wrong: String = wrong.chars().filter(|c| !c.is_control()).take(60).collect();
            fields.push(FieldError::new("allowed_email_domains", format!("{wrong} is no domain. Write it like example.org.")));
        }
        fields
    }

    /// Whether an address may sign up by its domain.
    pub fn allows_email(&self, email: &str) -> bool {
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain).to_lowercase();
        self.allowed_email_domains.is_empty() || self.allowed_email_domains.contains(&domain)
    }
}

const MIB: i64 = 1024 * 1024;

impl RunSettings {
    pub fn limits(&self, kind: RunKind) -> &RunLimits {
        match kind {
            RunKind::SandboxExec => &self.sandbox_exec,
            RunKind::TestRunner => &self.test_runner,
            RunKind::Codegen => &self.codegen,
            RunKind::Terminal => &self.terminal,
        }
    }

    /// Names fields as `<kind>.<limit>`.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        let kinds = [
            ("sandbox_exec", &self.sandbox_exec),
            ("test_runner", &self.test_runner),
            ("codegen", &self.codegen),
            ("terminal", &self.terminal),
        ];
        for (kind, limits) in kinds {
            let mut check = |name: &str, value: i64, least: i64, most: i64, what: &str| {
                if !(least..=most).contains(&value) {
                    fields.push(FieldError::new(format!("{kind}.{name}"), format!("Choose {what}.")));
                }
            };
            check("wall_s", i64::from(limits.wall_s), 1, 7 * 24 * 3600, "1 second to 7 days");
            check("cpu_percent", i64::from(limits.cpu_percent), 5, 102_400, "5 to 102400 percent of one processor");
            check("memory_bytes", limits.memory_bytes, 32 * MIB, 4096 * 1024 * MIB, "32 MiB to 4 TiB");
            check("pids", i64::from(limits.pids), 4, 100_000, "4 to 100000 processes");
            check("open_files", i64::from(limits.open_files), 64, 1_000_000, "64 to 1000000 open files");
            check("file_bytes", limits.file_bytes, MIB, 4096 * 1024 * MIB, "1 MiB to 4 TiB");
            check("project_bytes", limits.project_bytes, 16 * MIB, 4096 * 1024 * MIB, "16 MiB to 4 TiB");
            check("project_files", limits.project_files, 100, 100_000_000, "100 to 100 million files");
            check("tmp_bytes", limits.tmp_bytes, MIB, 1024 * 1024 * MIB, "1 MiB to 1 TiB");
            check("output_bytes", limits.output_bytes, 64 * 1024, 1024 * 1024 * MIB, "64 KiB to 1 TiB");
        }
        let mut check = |name: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                fields.push(FieldError::new(name, format!("Choose {least} to {most}.")));
            }
        };
        check("terminal_idle_s", self.terminal_idle_s, 60, 7 * 24 * 3600);
        check("jobs_per_user", self.jobs_per_user, 1, 1000);
        check("jobs_in_all", self.jobs_in_all, 0, 10_000);
        check("terminals_per_user", self.terminals_per_user, 1, 100);
        for rule in &self.egress {
            if let Err(reason) = rule.parse() {
                fields.push(FieldError::new("egress", format!("{}: {reason}", rule.0)));
            }
        }
        fields
    }
}
