use std::{collections::BTreeMap, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use super::{ConfigError, parse::Wrong};

/// Every setting there is: name, default ("" where there is none), what it is for. `.env.example` lists the same.
pub const SETTINGS: &[(&str, &str, &str)] = &[
    ("APP_ENV", "development", "development or production"),
    ("APP_HOST", "", "address to listen on; 127.0.0.1 in development, 0.0.0.0 in production"),
    ("APP_PORT", "8000", "port to listen on"),
    ("APP_PUBLIC_URL", "", "address that people type; https:// turns on secure cookies and HSTS"),
    ("ALLOWED_HOSTS", "", "host names that are answered, separated by commas; empty for all"),
    ("TRUSTED_PROXIES", "", "addresses or networks whose X-Forwarded-For is believed"),
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
    ("STORAGE_RETENTION_DAYS", "90", "days that earlier versions and deleted files are kept, unless an administrator chooses otherwise"),
    ("JWT_SECRET_KEY", "", "signs access tokens; required in production, 32 characters or more"),
    ("SECRET_KEY", "", "seals model keys at rest; required in production, 32 characters or more; with another one they are void"),
    ("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "15", "life of an access token"),
    ("JWT_REFRESH_TOKEN_EXPIRE_DAYS", "7", "life of a session without use"),
    ("REGISTRATION", "open", "open or closed; the first account can always be made"),
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
    ("LOG_LEVEL", "info", "trace, debug, info, warn, error, or a filter"),
    ("LOG_FORMAT", "json", "json or text"),
    ("DEV_SEED_DATA", "false", "a sample project for the first account and the demonstration model"),
];

/// Settings whose value is never printed.
pub const SECRETS: &[&str] =
    &["JWT_SECRET_KEY", "SECRET_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AWS_SECRET_ACCESS_KEY"];

/// The layers merged, each value with the name of the layer that won.
pub struct Sources(Figment);

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
        let values = values.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Self(Figment::from(defaults()).merge(Raw { name: "given", values }))
    }

    fn layer(
        toml: &Path,
        dot_env: Vec<(String, String)>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let file = read_toml(toml).map_err(ConfigError)?;
        // An empty variable means "not set", as compose files write it.
        let known = |(name, value): &(String, String)| is_known(name) && !value.is_empty();
        Ok(Self(
            Figment::from(defaults())
                .merge(Raw { name: "cloudxdevai.toml", values: file })
                .merge(Raw { name: ".env", values: dot_env.into_iter().filter(known).collect() })
                .merge(Raw { name: "environment", values: environment.filter(known).collect() }),
        ))
    }

    /// The text of a setting and where it came from; `None` when it is empty.
    pub(super) fn find(&self, name: &str) -> (Option<String>, String) {
        let value = self.0.find_value(name).ok().and_then(Value::into_string).filter(|v| !v.is_empty());
        let source = self.0.find_metadata(name).map_or("default".to_owned(), |m| m.name.to_string());
        (value, source)
    }
}

fn defaults() -> Raw {
    Raw { name: "default", values: SETTINGS.iter().map(|(name, value, _)| ((*name).to_owned(), (*value).to_owned())).collect() }
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
