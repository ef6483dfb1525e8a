//! Real processes of the built program, killed as `kill -9` does and started again.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use store::Db;
use tempfile::TempDir;

use crate::support::{SECRET, TestDatabase, data_folder};

/// What all processes of one installation share, and the folders that they do not.
pub struct Installation {
    folder: TempDir,
    database: TestDatabase,
    redis: Option<String>,
    settings: Vec<(&'static str, &'static str)>,
}

impl Installation {
    /// With a database of its own. `None`, said out loud, without a PostgreSQL.
    pub async fn new(redis: Option<String>, settings: Vec<(&'static str, &'static str)>) -> Option<Self> {
        llm::install_crypto();
        let database = TestDatabase::create().await?;
        Some(Self { folder: data_folder(), database, redis, settings })
    }

    pub async fn database(&self) -> Db {
        Db::connect(&self.database.url, 2).await.unwrap()
    }

    pub fn server(&self, name: &'static str) -> Process {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        self.process(name, &["serve", "--no-worker"], port)
    }

    pub fn worker(&self, name: &'static str) -> Process {
        self.process(name, &["worker"], 0)
    }

    /// A worker on the disk of another, whose place it takes.
    pub fn worker_on_disk_of(&self, other: &Process, name: &'static str) -> Process {
        self.process_on(&other.disk, name, &["worker"], 0)
    }

    fn process(&self, name: &'static str, arguments: &[&'static str], port: u16) -> Process {
        self.process_on(&self.folder.path().join(name), name, arguments, port)
    }

    fn process_on(&self, disk: &Path, name: &'static str, arguments: &[&'static str], port: u16) -> Process {
        let own = self.folder.path().join(name);
        std::fs::create_dir(&own).unwrap();
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        let mut settings = vec![
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("DATABASE_URL", self.database.url.clone()),
            ("DB_POOL_SIZE", "8".to_owned()),
            ("STORAGE_LOCAL_PATH", path(self.folder.path().join("blobs"))),
            ("DATA_DIR", path(disk.join("data"))),
            ("WORK_DIR", path(disk.join("work"))),
            ("JWT_SECRET_KEY", SECRET.to_owned()),
            ("LOG_LEVEL", "info,server::http=warn".to_owned()),
            ("LOG_FORMAT", "text".to_owned()),
            ("APP_PORT", port.to_string()),
        ];
        settings.extend(self.redis.iter().map(|url| ("REDIS_URL", url.clone())));
        settings.extend(self.settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let base = format!("http://127.0.0.1:{port}");
        let mut process =
            Process { name, base, folder: own, disk: disk.to_owned(), arguments: arguments.to_vec(), settings, running: None };
        process.start();
        process
    }
}

pub struct Process {
    pub name: &'static str,
    /// Where a server answers.
    pub base: String,
    folder: PathBuf,
    /// Where its data and its checkouts are.
    disk: PathBuf,
    arguments: Vec<&'static str>,
    settings: Vec<(&'static str, String)>,
    running: Option<Child>,
}

impl Process {
    pub fn start(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudxdevai"));
        command.args(&self.arguments).current_dir(&self.folder).env_clear().envs(self.settings.iter().map(|(k, v)| (k, v)));
        self.running = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Without a warning, as the kernel does when memory runs out.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// As an operator does, and waits for it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            child.wait().unwrap();
        }
    }

    /// Stands still, as on a machine that is moved, until it is woken.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub fn wake(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let child = self.running.as_ref().expect("it runs");
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Until a server answers.
    pub async fn ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        while client.get(format!("{}/healthz", self.base)).send().await.is_err() {
            assert!(Instant::now() < deadline, "{} did not start:\n{}", self.name, self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Everything it has said, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- the last of {} ---", self.name);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
        self.kill();
    }
}

/// Processes whose command line holds a text that only ours do.
pub fn alive_with(marker: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let read = |folder: &Path| std::fs::read(folder.join("cmdline")).ok().map(|line| String::from_utf8_lossy(&line).into_owned());
    entries.filter_map(|entry| read(&entry.path())).filter(|line| line.contains(marker)).collect()
}
