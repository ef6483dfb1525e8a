use std::{fmt, sync::Arc};

use async_trait::async_trait;
use blobs::Storage;
use store::{Db, LiveBus, Tx};
use uuid::Uuid;
pub use wire::settings::Registration;
use wire::{Micros, admin::Check};

use crate::{
    Result, context::Toolbox, identities::IdentityDesk, jobs::JobSignals, mail::MailSettings, mcp::RemoteTools, models::ModelDesk,
    presence::Presence, previews::PreviewSettings, throttle::Throttle, vault::Vault,
};

/// What the time is. Replaced in tests.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Micros;
}

/// Where ids and secrets come from. Replaced in tests that need to know them.
pub trait Ids: Send + Sync + 'static {
    fn new_uuid(&self) -> Uuid;
    fn fill(&self, bytes: &mut [u8]);
}

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Micros(since.as_micros() as i64)
    }
}

pub struct SystemIds;

impl Ids for SystemIds {
    fn new_uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn fill(&self, bytes: &mut [u8]) {
        rand::RngCore::fill_bytes(&mut rand::rng(), bytes);
    }
}

/// Bytes that must not reach a log.
#[derive(Clone)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// Signs access tokens and derives the successors of refresh tokens.
    pub jwt_secret: Secret,
    pub access_minutes: i64,
    pub refresh_days: i64,
    /// Unless an administrator chose otherwise.
    pub registration: Registration,
    /// How the site is reached from outside, without a slash at the end, for links in mail.
    pub site_url: Option<String>,
    pub mail: Option<MailSettings>,
    /// The site is reached by TLS: cookies are `Secure` and carry the `__Host-` prefix.
    pub secure_cookies: bool,
    /// Bytes of one file.
    pub file_size_limit: u64,
    /// Earlier versions and deleted files are kept for so long, unless an administrator chose otherwise.
    pub retention_days: u32,
    /// Path and text of the files of the sample project. Empty: there is none.
    pub sample: &'static [(&'static str, &'static str)],
    /// The first account finds a sample project, and there is the demonstration model to work on it.
    pub demonstrates: bool,
    pub previews: PreviewSettings,
    /// Address blocks outside the public internet that runs may reach where a host is allowed, as `10.1.0.0/16`.
    pub egress_open_addresses: Vec<String>,
    /// Why runs can't be given a network on this machine, for people; `None` where they can, or where other processes run them.
    pub no_network: Option<String>,
}

/// One line of the health page.
#[async_trait]
pub trait HealthProbe: Send + Sync + 'static {
    /// What the line is called, also where the check does not come to an end.
    fn name(&self) -> &'static str;

    async fn check(&self) -> Check;
}

/// What the use-cases work with: one per process.
pub struct Services {
    pub db: Db,
    /// Where the bytes of files are. A project's own is found by `storage::blobs_of`.
    pub storage: Storage,
    pub bus: Arc<dyn LiveBus>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub settings: Settings,
    /// What the environment says about models, and the way to their providers.
    pub models: ModelDesk,
    /// The way to servers with tools for the agent.
    pub tools: Arc<dyn RemoteTools>,
    /// Seals what is secret in the database.
    pub vault: Vault,
    /// What the agent can do, for showing what a model is sent.
    pub toolbox: Arc<dyn Toolbox>,
    /// What only the process that put everything together can look at.
    pub probes: Vec<Arc<dyn HealthProbe>>,
    /// What the checks of health found lately.
    pub looked: crate::health::Looked,
    pub signals: JobSignals,
    /// Whom this process serves live events of which projects.
    pub presence: Presence,
    /// The trees that pages were told lately.
    pub listings: crate::files::Listings,
    /// The providers that people can sign in with.
    pub identities: Arc<IdentityDesk>,
    /// Who tried to sign in here and failed.
    pub throttle: Throttle,
}

impl Services {
    /// Commits, then tells everyone who waits: readers of the events, and workers when a job was queued.
    pub(crate) async fn commit(&self, tx: Tx) -> Result<()> {
        let committed = tx.commit().await?;
        if !committed.events.is_empty() {
            self.bus.publish(committed.events).await;
        }
        if committed.wakes_workers {
            self.signals.wake();
        }
        Ok(())
    }
}
