use std::{collections::BTreeMap, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use super::{
    ConfigError,
    parse::{Unread, Wrong},
};

/// Every setting there is: name, default ("" where there is none), what it is for. `.env.example` lists the same.
pub const SETTINGS: &[(&str, &str, &str)] = &[
    ("APP_ENV", "development", "development or production"),
    ("APP_HOST", "", "address to listen on; 127.0.0.1 in development, 0.0.0.0 in production"),
    ("APP_PORT", "8000", "port to listen on"),
    ("APP_PUBLIC_URL", "", "address that people type; https:// turns on secure cookies and HSTS"),
    ("ALLOWED_HOSTS", "", "host names that are answered, separated by commas; empty for all"),
    ("TRUSTED_PROXIES", "", "addresses or networks whose X-Forwarded-For is believed"),
    ("CORS_ORIGINS", "", "origins of other sites whose scripts may use the API with a token, such as https://app.example.org"),
    ("ALLOWED_ORIGINS", "", "another name of CORS_ORIGINS"),
    ("RATE_LIMIT_ENABLED", "true", "limits how many requests one caller may send; an administrator chooses how many"),
    ("HTTP_MAX_CONNECTIONS", "8192", "connections that are open at a time"),
    ("HTTP_MAX_CONNECTIONS_PER_ADDRESS", "1024", "the same from one address; those of TRUSTED_PROXIES are not counted"),
    ("SHUTDOWN_TIMEOUT", "10", "seconds that requests have to end when the server stops"),
    ("PREVIEW_PORTS", "8100-8131", "ports on which what listens in runs is shown, one for each; off for none"),
    ("PREVIEW_DOMAIN", "", "domain below which previews have names instead, such as preview.example.org; empty for ports"),
    ("DATA_DIR", "./data", "folder for the database, file content and checkouts"),
    ("DATABASE_URL", "", "sqlite:… or postgresql://…; empty for a SQLite file in the data folder"),
    ("DB_POOL_SIZE", "10", "database connections"),
    ("REDIS_URL", "", "redis://host:port/number; carries live events, wake-ups and cancels between processes; empty within one process"),
    ("RQ_REDIS_URL", "", "another Redis for wake-ups and cancels alone; empty for the one of REDIS_URL"),
    ("STORAGE_BACKEND", "local", "where the files of new projects go: local or s3; the other is offered too if it is set up"),
    ("STORAGE_LOCAL_PATH", "", "folder for file content, which all processes share; empty for DATA_DIR/blobs"),
    ("AWS_S3_BUCKET", "", "bucket for file content; empty for no S3 storage"),
    ("AWS_S3_REGION", "us-east-1", "region of the bucket"),
    ("AWS_S3_ENDPOINT_URL", "", "address of an S3 server other than Amazon's, such as http://minio:9000"),
    ("AWS_ACCESS_KEY_ID", "", "access key for the bucket; empty for the role of the machine"),
    ("AWS_SECRET_ACCESS_KEY", "", "secret of the access key"),
    ("STORAGE_CACHE_SIZE", "2GB", "copies of S3 content on this machine's disk, in DATA_DIR/s3-cache, that make reading fast"),
    ("STORAGE_FILE_SIZE_LIMIT", "100MB", "largest single file"),
    (
        "STORAGE_RETENTION_DAYS",
        "90",
        "days that earlier versions, deleted files and deleted projects are kept, unless an administrator chooses otherwise",
    ),
    ("JWT_SECRET_KEY", "", "signs access tokens; required in production, 32 characters or more"),
    ("SECRET_KEY", "", "seals model keys at rest; required in production, 32 characters or more; with another one they are void"),
    ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "15", "life of an access token"),
    ("JWT_REFRESH_TOKEN_EXPIRE_DAYS", "7", "life of a session without use"),
    ("REGISTRATION", "open", "open, invite or closed, unless an administrator chooses otherwise; the first account can always be made"),
    ("OIDC_ISSUER", "", "address of an OpenID Connect issuer to sign in at, to the letter as it writes it; empty for none"),
    ("OIDC_CLIENT_ID", "", "what this site is called there; its redirect address is APP_PUBLIC_URL/auth/oidc/callback"),
    ("OIDC_CLIENT_SECRET", "", "the secret that goes with it; empty for a public client"),
    ("OIDC_NAME", "", "what the button calls it; empty for the issuer's host"),
    ("OIDC_SCOPES", "openid profile email", "what is asked of it about people"),
    ("OIDC_ROLE_CLAIM", "", "claim that says what somebody is there, such as groups or realm_access.roles; empty for no mapping of roles"),
    ("OIDC_ADMIN_VALUES", "", "values of that claim that make an administrator, separated by commas"),
    ("OIDC_ALLOW_SIGNUP", "true", "whether accounts are made for new people who come from there, as far as REGISTRATION allows"),
    ("OIDC_TRUST_MFA", "false", "whether a second factor that it says it saw (mfa in the claim amr) is enough here too"),
    ("GITHUB_CLIENT_ID", "", "OAuth application for signing in with GitHub; its redirect address is APP_PUBLIC_URL/auth/github/callback"),
    ("GITHUB_CLIENT_SECRET", "", "the secret that goes with it"),
    ("GITHUB_URL", "https://github.com", "address of GitHub, or of a server of GitHub Enterprise"),
    ("GITHUB_ALLOW_SIGNUP", "true", "whether accounts are made for new people who come from there, as far as REGISTRATION allows"),
    (
        "SMTP_URL",
        "",
        "server for mail, such as smtps://name:password@mail.example.org; empty for no mail; APP_PUBLIC_URL is needed with it",
    ),
    ("MAIL_FROM", "", "sender of mail, such as cloudxdevai <no-reply@example.org>"),
    ("OPENAI_API_KEY", "", "key of the model provider"),
    ("OPENAI_BASE_URL", "", "any server that speaks the OpenAI format; empty with a key for api.openai.com"),
    ("ANTHROPIC_API_KEY", "", "key for api.anthropic.com"),
    ("GEMINI_API_KEY", "", "key for generativelanguage.googleapis.com"),
    ("OLLAMA_BASE_URL", "", "address of an Ollama server, such as http://localhost:11434"),
    ("AI_DEFAULT_MODEL", "", "model to use when nobody picks one; anthropic:, gemini:, ollama: or openai: before it says whose it is"),
    ("AI_BACKUP_MODEL", "", "model that answers when another one fails before its first token; named as above"),
    ("AI_REQUEST_TIMEOUT", "30", "seconds to the first byte of an answer"),
    ("AI_MAX_TOKENS", "4000", "tokens of one answer of the models named above; an administrator can change it for each"),
    ("AI_TEMPERATURE", "0.2", "temperature of the models named above, 0 to 2; an administrator can change it for each"),
    (
        "AI_ALLOWED_HOSTS",
        "",
        "more hosts for models: host, host:port, *.domain, or * for all public ones; named in full, they may be private",
    ),
    ("WORK_DIR", "", "folder for checkouts, of one worker process alone; empty for one that belongs to DATA_DIR"),
    ("WORK_DIR_SIZE", "20GB", "checkouts that are kept for the next run, in all; those unused for longest go first"),
    ("WORKER_CONCURRENCY", "4", "jobs worked on at once; terminals have places of their own"),
    ("WORKER_TIMEOUT", "300", "seconds without progress after which an import is stopped and tried again; runs have limits of their own"),
    ("WORKER_MAX_JOBS", "1000", "jobs after which a worker process replaces itself, once no terminal is open in it; 0 for never"),
    ("WORKER_LOG_LEVEL", "", "as LOG_LEVEL, for worker processes; empty for the same"),
    ("SANDBOX_TIER", "auto", "auto, S3, S3r, S2 or S1"),
    ("SANDBOX_PATHS", "", "more directories that runs may read, such as /opt/toolchains"),
    ("SANDBOX_OPEN_ADDRESSES", "", "private addresses that runs may reach by an allowed name, such as 10.1.0.0/16 for a mirror"),
    ("SANDBOX_ALLOW_WEAK", "false", "lets more than one person run code in a tier below S2"),
    ("PROMETHEUS_ENABLED", "true", "serves metrics for Prometheus, on an address of their own"),
    ("METRICS_HOST", "127.0.0.1", "address that metrics are served on; whoever reaches it may read them"),
    ("METRICS_PORT", "9090", "port that metrics are served on; one that is taken is told in the log"),
    ("SENTRY_DSN", "", "address that errors and panics are reported to, without personal data"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "", "address of an OpenTelemetry collector (OTLP over HTTP) for traces, such as http://localhost:4318"),
    ("SLOW_QUERY_MS", "200", "queries that take longer are logged, without their values; 0 for all of them"),
    ("LOG_LEVEL", "info", "trace, debug, info, warn, error, or a filter"),
    ("LOG_FORMAT", "json", "json or text"),
    ("DEV_SEED_DATA", "false", "a sample project for the first account and the demonstration model"),
];

/// Names that operators of such systems are used to, and that nothing here reads; what there is instead.
pub const UNREAD: &[(&str, &str)] = &[
    ("DB_MAX_OVERFLOW", "DB_POOL_SIZE is all connections that there ever are"),
    ("DB_POOL_RECYCLE", "connections are tested before they are used"),
    ("REDIS_CACHE_URL", "nothing is cached in Redis; REDIS_URL carries events"),
    ("APP_DEBUG", "LOG_LEVEL says how much is logged"),
    ("APP_BASE_PATH", "the site is served at the root of its host"),
    ("APP_WORKERS", "one process uses all processors; WORKER_CONCURRENCY says how many jobs it works on"),
    ("SLACK_WEBHOOK_URL", "nothing is sent to Slack; SMTP_URL sends mail"),
    ("ENABLE_ANALYTICS", "nothing is collected about people"),
    ("ENABLE_TELEMETRY", "traces go to OTEL_EXPORTER_OTLP_ENDPOINT, and nowhere else"),
    ("DEV_AUTO_RELOAD", "`make run` builds what changed and serves it"),
];

/// What a name that is set and no setting most likely was to be; `None` for what has nothing to do with this program.
fn what_for(name: &str) -> Option<String> {
    if let Some((_, instead)) = UNREAD.iter().find(|(known, _)| *known == name) {
        return Some((*instead).to_owned());
    }
    let meant = SETTINGS.iter().map(|(known, ..)| *known).find(|known| is_slip_of(known, name))?;
    Some(format!("{meant} is a setting; was that meant?"))
}

/// Whether `name` is `known` with one sign too many, too few or wrong, or two changed places. Short names have too many neighbours.
pub(super) fn is_slip_of(known: &str, name: &str) -> bool {
    let (known, name) = (known.as_bytes(), name.to_ascii_uppercase().into_bytes());
    if known.len() < 7 || known.len().abs_diff(name.len()) > 1 {
        return false;
    }
    let front = known.iter().zip(&name).take_while(|(a, b)| a == b).count();
    let (known, name) = (&known[front..], &name[front..]);
    let back = known.iter().rev().zip(name.iter().rev()).take_while(|(a, b)| a == b).count();
    let (known, name) = (&known[..known.len() - back], &name[..name.len() - back]);
    match (known, name) {
        ([a, b], [c, d]) => a == d && b == c,
        (known, name) => known.len().max(name.len()) <= 1,
    }
}

/// Settings whose value is never printed.
pub const SECRETS: &[&str] = &[
    "OIDC_CLIENT_SECRET",
    "GITHUB_CLIENT_SECRET",
    "JWT_SECRET_KEY",
    "SECRET_KEY",
    "SMTP_URL",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GEMINI_API_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "SENTRY_DSN",
];

/// The layers merged, each value with the name of the layer that won.
pub struct Sources {
    layers: Figment,
    unread: Vec<Unread>,
}

/// Values exactly as written. figment's own environment reader would turn a secret of digits into a number.
struct Raw {
    name: &'static str,
    values: BTreeMap<String, String>,
}

impl Provider for Raw {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict = self.values.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
        Ok(Profile::Default.collect(dict))
    }
}

impl Sources {
    /// The working directory's files and the process's environment.
    pub fn of_process() -> Result<Self, ConfigError> {
        let mut wrong = Vec::new();
        let dot_env = match dotenvy::from_path_iter(".env") {
            Ok(lines) => lines.filter_map(|line| line.map_err(|e| wrong.push(Wrong::new(".env", e.to_string()))).ok()).collect(),
            Err(dotenvy::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                wrong.push(Wrong::new(".env", error.to_string()));
                Vec::new()
            }
        };
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        if wrong.is_empty() { Self::layer(Path::new("cloudxdevai.toml"), dot_env, environment) } else { Err(ConfigError(wrong)) }
    }

    /// Only these values over the defaults.
    pub fn of_values<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values: BTreeMap<String, String> = values.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let unread = unread_of("given", values.iter());
        Self { layers: Figment::from(defaults()).merge(Raw { name: "given", values }), unread }
    }

    fn layer(
        toml: &Path,
        dot_env: Vec<(String, String)>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let file = read_toml(toml).map_err(ConfigError)?;
        // An empty variable means "not set", as compose files write it.
        let is_set = |(_, value): &(String, String)| !value.is_empty();
        let dot_env: BTreeMap<String, String> = dot_env.into_iter().filter(is_set).collect();
        let environment: BTreeMap<String, String> = environment.filter(is_set).collect();
        let mut unread = unread_of(".env", dot_env.iter());
        unread.extend(unread_of("environment", environment.iter()));
        let known = |values: BTreeMap<String, String>| -> BTreeMap<String, String> {
            values.into_iter().filter(|(name, _)| is_known(name)).collect()
        };
        let layers = Figment::from(defaults())
            .merge(Raw { name: "cloudxdevai.toml", values: file })
            .merge(Raw { name: ".env", values: known(dot_env) })
            .merge(Raw { name: "environment", values: known(environment) });
        Ok(Self { layers, unread })
    }

    /// What is set under names that look like settings and are none.
    pub(super) fn unread(&self) -> &[Unread] {
        &self.unread
    }

    /// The text of a setting and where it came from; `None` when it is empty.
    pub(super) fn find(&self, name: &str) -> (Option<String>, String) {
        let value = self.layers.find_value(name).ok().and_then(Value::into_string).filter(|v| !v.is_empty());
        let source = self.layers.find_metadata(name).map_or("default".to_owned(), |m| m.name.to_string());
        (value, source)
    }
}

fn defaults() -> Raw {
    Raw { name: "default", values: SETTINGS.iter().map(|(name, value, _)| ((*name).to_owned(), (*value).to_owned())).collect() }
}

fn unread_of<'a>(source: &'static str, values: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<Unread> {
    let names = values.map(|(name, _)| name).filter(|name| !is_known(name));
    names.filter_map(|name| Some(Unread { note: what_for(name)?, name: name.clone(), source })).collect()
}

fn is_known(name: &str) -> bool {
    SETTINGS.iter().any(|(known, ..)| *known == name)
}

/// Names may be written in lower case; a name that is no setting is most likely a typing mistake, so it is refused.
fn read_toml(path: &Path) -> Result<BTreeMap<String, String>, Vec<Wrong>> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let dict: Dict = Figment::from(Toml::file_exact(path)).extract().map_err(|e| vec![Wrong::new("cloudxdevai.toml", e.to_string())])?;
    let mut values = BTreeMap::new();
    let mut wrong = Vec::new();
    for (name, value) in dict {
        let name = name.to_ascii_uppercase();
        match (is_known(&name), plain_text(&value)) {
            (false, _) => wrong.push(Wrong::new(name, "is not a setting (in cloudxdevai.toml)")),
            (true, None) => wrong.push(Wrong::new(name, "must be a text, a number, true, false or a list of texts")),
            (true, Some(text)) => drop(values.insert(name, text)),
        }
    }
    if wrong.is_empty() { Ok(values) } else { Err(wrong) }
}

fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, on) => Some(on.to_string()),
        Value::Num(_, number) => number.to_i128().map(|n| n.to_string()).or_else(|| number.to_f64().map(|n| n.to_string())),
        Value::Array(_, items) => items.iter().map(plain_text).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        _ => None,
    }
}
