//! Settings by the names that operators know: defaults, then `cloudxdevai.toml`, then `.env`, then the environment.
//! Every wrong value is reported at once, by name. Secrets never appear in what is printed.

mod edge;
mod identities;
mod models;
mod observability;
mod parse;
mod previews;
mod secrets;
mod source;
mod storage;
mod trial;

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{
    Registration,
    mail::{MailRefusal, MailSettings},
};
pub use edge::EdgeConfig;
pub use identities::IdentityConfig;
pub use models::ModelConfig;
pub use observability::{MetricsConfig, SentryDsn, TelemetryConfig};
use parse::Reader;
pub use parse::{Cidr, Wrong};
use sandbox::TierChoice;
pub use source::Sources;
pub use storage::StorageConfig;
use url::Url;

use crate::preview::PreviewConfig;

/// A value that must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppEnv {
    Development,
    Production,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Text,
}

#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A filter as `tracing` understands it: `info`, or `info,server=debug`.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone)]
pub struct HttpConfig {
    pub host: IpAddr,
    pub port: u16,
    pub public_url: Option<Url>,
    /// Host names that are answered; empty means all.
    pub allowed_hosts: Vec<String>,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    pub edge: EdgeConfig,
}

impl HttpConfig {
    /// Browsers reach the site over TLS: cookies are `Secure` and HSTS is sent.
    pub fn is_secure(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }
}

#[derive(Debug, Clone)]
pub struct AuthConfig {
    pub jwt_secret: Secret,
    /// Seals what is secret in the database.
    pub seal_secret: Secret,
    pub access_minutes: i64,
    pub refresh_days: i64,
    pub registration: Registration,
    /// Where mail is handed over; `None` where none is sent.
    pub mail: Option<MailSettings>,
}

/// Where other processes are reached. Addresses hold passwords.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Carries live events.
    pub events: Option<Secret>,
    /// Carries wake-ups and cancels.
    pub signals: Option<Secret>,
}

#[derive(Debug, Clone)]
pub struct WorkerConfig {
    pub concurrency: usize,
    /// How long a job without limits of its own may go without progress.
    pub timeout: Duration,
    /// Bytes of checkouts that stay for the next run.
    pub work_dir_size: u64,
    /// After so many jobs a worker process replaces itself.
    pub max_jobs: Option<u64>,
    /// What a worker process logs, where that differs.
    pub log_filter: Option<String>,
    /// Where it was told to keep checkouts.
    pub work_dir: Option<PathBuf>,
    pub sandbox_tier: TierChoice,
    pub sandbox_paths: Vec<PathBuf>,
    /// Address blocks outside the public internet that runs may reach where a host is allowed.
    pub sandbox_open_addresses: Vec<String>,
    pub sandbox_allow_weak: bool,
    /// The program that plays launcher and jail helper; this one unless a test runs inside another.
    pub sandbox_helper: Option<PathBuf>,
}

/// Everything the process was told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub env: AppEnv,
    pub data_dir: PathBuf,
    pub database_url: Secret,
    pub db_pool_size: u32,
    pub redis: RedisConfig,
    pub storage: StorageConfig,
    pub file_size_limit: u64,
    /// Earlier versions and deleted files are kept for so long, unless an administrator chooses otherwise.
    pub retention_days: u32,
    pub http: HttpConfig,
    pub previews: PreviewConfig,
    pub auth: AuthConfig,
    pub identities: IdentityConfig,
    pub models: ModelConfig,
    pub worker: WorkerConfig,
    pub log: LogConfig,
    pub metrics: MetricsConfig,
    pub telemetry: TelemetryConfig,
    /// Queries that take longer are logged.
    pub slow_query: Duration,
    pub dev_seed_data: bool,
    shown: Vec<parse::Shown>,
    unread: Vec<parse::Unread>,
}

/// All that is wrong with the configuration, one line each.
#[derive(Debug, thiserror::Error)]
#[error("The configuration is not usable; nothing was started.\n{}", lines(.0))]
pub struct ConfigError(pub Vec<Wrong>);

fn lines(wrong: &[Wrong]) -> String {
    wrong.iter().map(|w| format!("  {}: {}", w.name, w.message)).collect::<Vec<_>>().join("\n")
}

impl Config {
    /// Reads all sources of this process, below the working directory.
    pub fn load() -> Result<Self, ConfigError> {
        Self::from_sources(Sources::of_process()?)
    }

    /// Checks what the sources say. Makes the data folder's secrets in development, where they are missing.
    pub fn from_sources(sources: Sources) -> Result<Self, ConfigError> {
        let mut read = Reader::new(sources);
        let env = read.one_of("APP_ENV", &[("development", AppEnv::Development), ("production", AppEnv::Production)]);
        let production = env == AppEnv::Production;
        let data_dir = read.path("DATA_DIR");
        let database_url = Secret::new(read_database(&mut read, &data_dir));
        let redis = read_redis(&mut read);
        let storage = storage::read(&mut read, &data_dir);
        let http = read_http(&mut read, production, &redis);
        let previews = previews::read(&mut read, &http);
        let auth = read_auth(&mut read, production, &data_dir, &http);
        let identities = identities::read(&mut read);
        let models = models::read(&mut read);
        let worker = read_worker(&mut read);
        let log = read_log(&mut read);
        let metrics = observability::read_metrics(&mut read, &http);
        let telemetry = observability::read_telemetry(&mut read);
        let slow_query = Duration::from_millis(u64::from(read.number("SLOW_QUERY_MS", 0, 600_000)));
        let db_pool_size = read.number("DB_POOL_SIZE", 1, 200);
        let file_size_limit = read.size("STORAGE_FILE_SIZE_LIMIT", 1024, 5 << 30);
        let retention_days = read.number("STORAGE_RETENTION_DAYS", 1, wire::quotas::RETENTION_DAYS_MAX);
        let dev_seed_data = read.switch("DEV_SEED_DATA");
        if production && dev_seed_data {
            read.refuse("DEV_SEED_DATA", "must be off in production: it offers a scripted demonstration and a sample project");
        }
        let (shown, unread) = read.finish().map_err(ConfigError)?;
        Ok(Self {
            env,
            data_dir,
            database_url,
            db_pool_size,
            redis,
            storage,
            file_size_limit,
            retention_days,
            http,
            previews,
            auth,
            identities,
            models,
            worker,
            log,
            metrics,
            telemetry,
            slow_query,
            dev_seed_data,
            shown,
            unread,
        })
    }

    /// Name, value and source of every setting; secrets are masked. Below them what is set under names that nothing reads.
    pub fn describe(&self) -> String {
        let width = self.shown.iter().map(|s| s.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for line in &self.shown {
            text.push_str(&format!("{:<width$}  {}  ({})\n", line.name, line.value, line.source));
        }
        if !self.unread.is_empty() {
            text.push_str("\nSet but read by nothing:\n");
        }
        for line in &self.unread {
            text.push_str(&format!("{:<width$}  {}  ({})\n", line.name, line.note, line.source));
        }
        text
    }

    /// Where checkouts and branches live.
    pub fn work_dir(&self) -> PathBuf {
        if let Some(chosen) = &self.worker.work_dir {
            return chosen.clone();
        }
        let own = self.data_dir.join("work");
        if !rustix::process::geteuid().is_root() || sandbox::is_open_to_others(&self.data_dir) {
            return own;
        }
        // Under root each project has a uid of its own, which must reach its files. The data folder holds secrets and stays
        // closed, so the checkouts, which can be made again from it at any time, live beside it.
        let data_dir = self.data_dir.canonicalize().unwrap_or_else(|_| self.data_dir.clone());
        let mut hash = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(&data_dir, &mut hash);
        Path::new("/var/lib/cloudxdevai").join(format!("work-{:016x}", std::hash::Hasher::finish(&hash)))
    }
}

fn read_database(read: &mut Reader, data_dir: &std::path::Path) -> String {
    match read.optional("DATABASE_URL") {
        None => format!("sqlite://{}", data_dir.join("cloudxdevai.db").display()),
        Some(url) if ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) => url,
        Some(_) => {
            read.refuse("DATABASE_URL", "must begin with sqlite:, postgres:// or postgresql://");
            String::new()
        }
    }
}

/// Redis is named once, or twice where signals take another way.
fn read_redis(read: &mut Reader) -> RedisConfig {
    let mut address = |name: &str| {
        let url = read.optional(name)?;
        if Url::parse(&url).is_ok_and(|parsed| parsed.scheme() == "redis" && parsed.host().is_some()) {
            return Some(Secret::new(url));
        }
        read.refuse(name, "must be an address such as redis://name:password@host:6379/0; TLS (rediss://) is not built in");
        None
    };
    let (events, signals) = (address("REDIS_URL"), address("RQ_REDIS_URL"));
    RedisConfig { signals: signals.or_else(|| events.clone()), events }
}

fn read_http(read: &mut Reader, production: bool, redis: &RedisConfig) -> HttpConfig {
    let fallback: IpAddr = if production { [0, 0, 0, 0].into() } else { [127, 0, 0, 1].into() };
    let host = match read.optional("APP_HOST").as_deref() {
        None => fallback,
        Some("localhost") => [127, 0, 0, 1].into(),
        Some(text) => text.parse().unwrap_or_else(|_| {
            read.refuse("APP_HOST", "must be an IP address to listen on, such as 127.0.0.1 or 0.0.0.0");
            fallback
        }),
    };
    HttpConfig {
        host,
        port: read.number("APP_PORT", 0, 65_535) as u16,
        public_url: read.http_url("APP_PUBLIC_URL"),
        allowed_hosts: read.list("ALLOWED_HOSTS").into_iter().map(|h| h.to_ascii_lowercase()).collect(),
        trusted_proxies: read.cidrs("TRUSTED_PROXIES"),
        edge: edge::read(read, redis.events.as_ref()),
    }
}

fn read_auth(read: &mut Reader, production: bool, data_dir: &std::path::Path, http: &HttpConfig) -> AuthConfig {
    let jwt_secret = secrets::resolve(read, "JWT_SECRET_KEY", production, data_dir);
    AuthConfig {
        seal_secret: secrets::resolve_seal(read, &jwt_secret, production, data_dir),
        jwt_secret,
        access_minutes: i64::from(read.number("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", 1, 24 * 60)),
        refresh_days: i64::from(read.number("JWT_REFRESH_TOKEN_EXPIRE_DAYS", 1, 365)),
        registration: read
            .one_of("REGISTRATION", &[("open", Registration::Open), ("invite", Registration::Invite), ("closed", Registration::Closed)]),
        mail: read_mail(read, http),
    }
}

/// Mail holds links to this site, so that it needs to know how the site is reached.
fn read_mail(read: &mut Reader, http: &HttpConfig) -> Option<MailSettings> {
    let url = read.optional("SMTP_URL")?;
    let from = read.text("MAIL_FROM");
    if http.public_url.is_none() {
        read.refuse("APP_PUBLIC_URL", "must be set where SMTP_URL is: links in mail begin with it");
    }
    match MailSettings::new(&url, &from) {
        Ok(mail) => Some(mail),
        Err(MailRefusal::Url) => {
            read.refuse(
                "SMTP_URL",
                "must be an address such as smtps://name:password@mail.example.org or smtp://mail.example.org:587?tls=required",
            );
            None
        }
        Err(MailRefusal::From) => {
            read.refuse("MAIL_FROM", "must be an address such as cloudxdevai <no-reply@example.org>; it is needed where SMTP_URL is set");
            None
        }
    }
}

fn read_worker(read: &mut Reader) -> WorkerConfig {
    use TierChoice::{Auto, S1, S2, S3, S3r};
    WorkerConfig {
        concurrency: read.number("WORKER_CONCURRENCY", 1, 1024) as usize,
        timeout: Duration::from_secs(u64::from(read.number("WORKER_TIMEOUT", 1, 24 * 3600))),
        max_jobs: Some(u64::from(read.number("WORKER_MAX_JOBS", 0, 1_000_000_000))).filter(|most| *most > 0),
        log_filter: read.optional("WORKER_LOG_LEVEL").map(|_| read_filter(read, "WORKER_LOG_LEVEL")),
        work_dir: read.optional("WORK_DIR").map(PathBuf::from),
        work_dir_size: read.size("WORK_DIR_SIZE", 1 << 20, 1 << 50),
        sandbox_tier: read.one_of("SANDBOX_TIER", &[("auto", Auto), ("S3", S3), ("S3r", S3r), ("S2", S2), ("S1", S1)]),
        sandbox_paths: read.list("SANDBOX_PATHS").into_iter().map(PathBuf::from).collect(),
        sandbox_open_addresses: read_open_addresses(read),
        sandbox_allow_weak: read.switch("SANDBOX_ALLOW_WEAK"),
        sandbox_helper: None,
    }
}

fn read_open_addresses(read: &mut Reader) -> Vec<String> {
    let blocks = read.list("SANDBOX_OPEN_ADDRESSES");
    if let Some(Err(reason)) = blocks.iter().map(|block| block.parse::<sandbox::Cidr>()).find(Result::is_err) {
        read.refuse("SANDBOX_OPEN_ADDRESSES", reason);
    }
    blocks
}

fn read_log(read: &mut Reader) -> LogConfig {
    let filter = read_filter(read, "LOG_LEVEL");
    let format = read.one_of("LOG_FORMAT", &[("json", LogFormat::Json), ("text", LogFormat::Text)]);
    LogConfig { filter, format }
}

fn read_filter(read: &mut Reader, name: &str) -> String {
    let level = read.text(name);
    // The names that operators of Python services are used to.
    let filter = match level.to_ascii_lowercase().as_str() {
        "warning" => "warn".to_owned(),
        "critical" => "error".to_owned(),
        other => other.to_owned(),
    };
    if tracing_subscriber::EnvFilter::builder().parse(&filter).is_err() {
        read.refuse(name, "must be trace, debug, info, warn or error, or a filter such as info,server=debug");
    }
    filter
}

#[cfg(test)]
mod tests;
