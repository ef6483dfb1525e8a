//! The only place that picks what stands behind each trait.

mod identities;
mod probes;

use std::{
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use agent::{Pool, TerminalHub, TerminalRelay};
use blobs::{BlobError, Blobs, LocalBlobs, S3Blobs, Storage};
use domain::{
    Ctx, JobSignals, Services, Settings, SystemClock, SystemIds,
    models::{EnvironmentProvider, ModelDesk},
    previews::PreviewSettings,
    vault::Vault,
};
use llm::{DemoModel, Model};
use sandbox::{Sandbox, Tier};
use store::{Db, InProcessBus, LinkStatus, LiveBus, RedisBus, RedisRates, RedisSignals};
use url::Url;
use wire::models::{ModelSettings, ProviderKind};

use crate::{
    config::Config,
    limits::Limits,
    preview::PreviewHub,
    relay::RedisRelay,
    worker::{Work, WorkerName},
};

/// Before the names of what we keep in a Redis. Installations that share one use different numbers.
const REDIS_PREFIX: &str = "cloudxdevai";
/// While Redis answers, the log is looked at this rarely: for what a process wrote that is cut off from it.
const LOOK_ANYWAY: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    #[error("the folder {folder} can't be used: {source}. Make it writable for this user, or set DATA_DIR to another.")]
    Folder { folder: String, source: std::io::Error },
    #[error("the database can't be used: {0}. Check DATABASE_URL; nothing was started.")]
    Database(#[from] store::Error),
    #[error("S3 storage can't be used: {0}. Check AWS_S3_BUCKET and AWS_S3_ENDPOINT_URL, and that DATA_DIR is writable.")]
    Storage(#[from] BlobError),
    #[error("Redis can't be used: {0}. Check REDIS_URL and RQ_REDIS_URL.")]
    Redis(#[from] store::RedisError),
    #[error("the models of the environment can't be written down: {0}. Check the database; nothing was started.")]
    Models(#[from] domain::Error),
}

/// What this process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers requests and leaves jobs to others.
    Server,
    /// Works off jobs, whether it answers requests or not. Only one process uses a work folder.
    Worker,
    /// Looks at everything and changes nothing that a running server uses.
    Doctor,
    /// Somebody at the command line, beside a server that may be running.
    Operator,
}

/// Everything put together: what the doors need and what the worker needs.
pub struct App {
    pub services: Arc<Services>,
    /// The clients that models are asked through.
    pub models: Arc<Pool>,
    /// The way to the terminals.
    pub terminals: Arc<dyn TerminalRelay>,
    /// What listens inside runs.
    pub previews: PreviewHub,
    /// How many requests are taken; `None` where it does not matter.
    pub limits: Option<Arc<Limits>>,
    /// Absent where jobs are left to others.
    pub work: Option<Work>,
}

pub async fn wire(config: Arc<Config>, role: Role) -> Result<App, WiringError> {
    make_folder(&config.data_dir)?;
    let db = match role {
        Role::Server | Role::Worker => open_database(&config).await?,
        Role::Doctor | Role::Operator => open_beside(&config).await?,
    };
    let storage = open_storage(&config).await?;
    let models = Arc::new(Pool::new(config.models.first_byte));
    let sandbox = match role {
        Role::Server | Role::Operator => None,
        Role::Worker => Some(Sandbox::probe(sandbox_config(&config, config.work_dir())).await),
        Role::Doctor => Some(examine_sandbox(&config).await?),
    };
    let lines = open_lines(&config, &db, role)?;
    let identities = identities::desk(&config.identities);
    let services = Arc::new(Services {
        db: db.clone(),
        storage,
        bus: lines.bus,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
        settings: settings(&config, sandbox.as_deref()),
        models: model_desk(&config, models.clone()),
        tools: Arc::new(agent::mcp::Prober),
        vault: Vault::new(&domain::Secret(config.auth.seal_secret.expose().as_bytes().to_vec())),
        toolbox: Arc::new(agent::Toolbox),
        probes: [probes::all(&config, role, sandbox.as_ref(), &db, lines.redis), vec![identities::probe(&identities)]].concat(),
        looked: domain::health::Looked::default(),
        identities,
        signals: lines.signals,
        presence: domain::presence::Presence::default(),
        listings: domain::files::Listings::default(),
        throttle: domain::throttle::Throttle::default(),
    });
    if matches!(role, Role::Server | Role::Worker) {
        domain::models::adopt_environment(&Ctx::system(&services)).await?;
    }
    let hub = TerminalHub::new(role == Role::Worker);
    let terminals: Arc<dyn TerminalRelay> = match &config.redis.signals {
        Some(url) => Arc::new(RedisRelay::start(url.expose(), REDIS_PREFIX, hub.clone())?),
        None => hub.clone(),
    };
    let name = match role {
        Role::Worker => name_worker(&config.work_dir()).await,
        Role::Server | Role::Doctor | Role::Operator => WorkerName::new_one(),
    };
    let previews = PreviewHub::new(services.clone(), config.previews.clone());
    let work = sandbox.map(|sandbox| Work {
        services: services.clone(),
        keeper: agent::Keeper::new(services.clone(), sandbox.workspaces().clone()),
        sandbox,
        models: models.clone(),
        terminals: hub,
        ports: Arc::new(previews.clone()),
        concurrency: config.worker.concurrency,
        timeout: config.worker.timeout,
        work_dir_size: config.worker.work_dir_size,
        max_jobs: config.worker.max_jobs,
        // A SQLite file belongs to one machine, and its worker has just started: whatever runs there is nobody's.
        owns_all_jobs: matches!(db, Db::Sqlite { .. }),
        name,
    });
    Ok(App { services, models, terminals, previews, limits: lines.limits, work })
}

/// The ways between processes.
struct Lines {
    bus: Arc<dyn LiveBus>,
    signals: JobSignals,
    limits: Option<Arc<Limits>>,
    /// How each connection to a Redis is. Empty without one.
    redis: Vec<Line>,
}

/// A connection by what it carries.
struct Line {
    carries: &'static str,
    status: Box<dyn Fn() -> LinkStatus + Send + Sync>,
}

/// Nothing waits for Redis here or later: what it does not carry is found in the database.
fn open_lines(config: &Config, db: &Db, role: Role) -> Result<Lines, WiringError> {
    let signals = JobSignals::default();
    let mut redis = Vec::new();
    if let Some(url) = &config.redis.signals {
        let here = signals.within_process();
        let link = Arc::new(RedisSignals::start(url.expose(), REDIS_PREFIX, move |signal| here.receive(signal))?);
        signals.connect(link.clone());
        redis.push(Line { carries: "wake-ups and cancels", status: Box::new(move || link.status()) });
    }
    let bus: Arc<dyn LiveBus> = match &config.redis.events {
        Some(url) => {
            let bus = Arc::new(RedisBus::start(url.expose(), REDIS_PREFIX)?);
            redis.push(Line {
                carries: "live events",
                status: Box::new({
                    let bus = bus.clone();
                    move || bus.status()
                }),
            });
            let (watched, mut looked) = (bus.clone(), Instant::now());
            let is_needed = move || {
                let is_due = looked.elapsed() >= LOOK_ANYWAY || watched.status() != LinkStatus::Up;
                if is_due {
                    looked = Instant::now();
                }
                is_due
            };
            tokio::spawn(store::watch_log(db.clone(), bus.local().clone(), is_needed));
            bus
        }
        None => {
            let bus = InProcessBus::new();
            // A server that works off its jobs itself on a SQLite file knows all there is to know.
            if !db.is_local() || role == Role::Server {
                tokio::spawn(store::watch_log(db.clone(), bus.clone(), || true));
            }
            Arc::new(bus)
        }
    };
    let limits = open_limits(config, role, &mut redis)?;
    Ok(Lines { bus, signals, limits, redis })
}

fn open_limits(config: &Config, role: Role, redis: &mut Vec<Line>) -> Result<Option<Arc<Limits>>, WiringError> {
    let edge = &config.http.edge;
    if !edge.limit_rates || role == Role::Operator {
        return Ok(None);
    }
    let Some(url) = &edge.redis else { return Ok(Some(Arc::new(Limits::new(None)))) };
    let rates = Arc::new(RedisRates::start(url.expose(), REDIS_PREFIX)?);
    let watched = rates.clone();
    redis.push(Line { carries: "rates of requests", status: Box::new(move || watched.status()) });
    Ok(Some(Arc::new(Limits::new(Some(rates)))))
}

/// The work folder's own name, so that this worker knows what the one before it left.
async fn name_worker(work_dir: &Path) -> WorkerName {
    WorkerName::of_folder(work_dir).await.unwrap_or_else(|error| {
        tracing::warn!(%error, folder = %work_dir.display(), "the work folder belongs to another worker, or can't be written");
        WorkerName::new_one()
    })
}

/// In a folder of its own, so that a running server keeps its work folder.
async fn examine_sandbox(config: &Config) -> Result<Arc<Sandbox>, WiringError> {
    let folder = config.work_dir().with_file_name(format!("doctor-{}", std::process::id()));
    let sandbox = Sandbox::probe(sandbox_config(config, folder.clone())).await;
    std::fs::remove_dir_all(&folder).map_err(|source| folder_error(&folder, source))?;
    Ok(sandbox)
}

/// A bucket that does not answer is no reason not to start: the projects elsewhere work, and the health page tells.
async fn open_storage(config: &Config) -> Result<Storage, WiringError> {
    let folder = &config.storage.local_dir;
    let local: Arc<dyn Blobs> = Arc::new(LocalBlobs::open(folder).await.map_err(|source| folder_error(folder, source))?);
    let s3: Option<Arc<dyn Blobs>> = match &config.storage.s3 {
        Some(s3) => Some(Arc::new(S3Blobs::open(s3.clone()).await?)),
        None => None,
    };
    Ok(Storage { local, s3, default: config.storage.default })
}

/// Connects without touching a schema that another process may be using. A database that is new gets one.
async fn open_beside(config: &Config) -> Result<Db, WiringError> {
    let db = connect(config).await?;
    if db.migrations().await?.applied.is_empty() {
        db.migrate().await?;
    }
    Ok(db)
}

/// Connects, and leaves the schema as it is.
pub async fn connect(config: &Config) -> Result<Db, WiringError> {
    Ok(Db::open(config.database_url.expose(), config.db_pool_size, config.slow_query).await?)
}

/// Connects and brings the schema up to date.
pub async fn open_database(config: &Config) -> Result<Db, WiringError> {
    let db = connect(config).await?;
    db.migrate().await?;
    Ok(db)
}

/// The data folder holds secrets and everybody's files: only the server's own user may enter one that is made here.
fn make_folder(folder: &Path) -> Result<(), WiringError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).map_err(|source| folder_error(folder, source))
}

fn folder_error(folder: &Path, source: std::io::Error) -> WiringError {
    WiringError::Folder { folder: folder.display().to_string(), source }
}

fn settings(config: &Config, sandbox: Option<&Sandbox>) -> Settings {
    Settings {
        jwt_secret: domain::Secret(config.auth.jwt_secret.expose().as_bytes().to_vec()),
        access_minutes: config.auth.access_minutes,
        refresh_days: config.auth.refresh_days,
        registration: config.auth.registration,
        site_url: config.http.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
        mail: config.auth.mail.clone(),
        secure_cookies: config.http.is_secure(),
        file_size_limit: config.file_size_limit,
        retention_days: config.retention_days,
        egress_open_addresses: config.worker.sandbox_open_addresses.clone(),
        sample: llm::sample::SAMPLE_FILES,
        demonstrates: config.dev_seed_data,
        previews: PreviewSettings { domain: config.previews.domain.clone(), site: config.http.public_url.as_ref().and_then(authority) },
        no_network: sandbox.and_then(why_no_network),
    }
}

/// Host and port as they stand in an address.
fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Only a run with a network of its own can be let out through the proxy.
fn why_no_network(sandbox: &Sandbox) -> Option<String> {
    let tier = sandbox.probe_result().tier;
    let reason =
        "runs have no network of their own here, so none can be let out. An administrator finds what is missing on the health page.";
    matches!(tier, Tier::S0 | Tier::S1).then(|| format!("The sandbox is at tier {tier}: {reason}"))
}

fn model_desk(config: &Config, pool: Arc<Pool>) -> ModelDesk {
    let mut environment = config.models.providers.clone();
    if config.dev_seed_data {
        environment.push(demonstration());
    }
    let mut desk = ModelDesk::new(pool);
    desk.environment = environment;
    desk.default = config.models.default_model.clone();
    desk.backup = config.models.backup_model.clone();
    desk.hosts = config.models.hosts.clone();
    desk
}

fn demonstration() -> EnvironmentProvider {
    let name = DemoModel::new().name().to_owned();
    let settings = ModelSettings { remote_name: name.clone(), ..ModelSettings::default() };
    EnvironmentProvider {
        env_name: "demo".to_owned(),
        name: "built in".to_owned(),
        kind: ProviderKind::Demo,
        base_url: ProviderKind::Demo.default_base_url().to_owned(),
        key: None,
        models: vec![(name, settings)],
    }
}

fn sandbox_config(config: &Config, work_dir: PathBuf) -> sandbox::Config {
    let worker = &config.worker;
    sandbox::Config {
        tier: worker.sandbox_tier,
        extra_paths: worker.sandbox_paths.clone(),
        allow_weak: worker.sandbox_allow_weak,
        helper: worker.sandbox_helper.clone(),
        // The jail enters it by its full path.
        ..sandbox::Config::new(std::path::absolute(&work_dir).unwrap_or(work_dir))
    }
}
