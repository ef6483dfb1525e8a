//! The real program, to be killed hard and started again.

use std::{
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use super::{Caller, SECRET};

pub struct Program {
    process: Child,
    pub base: String,
}

impl Program {
    /// Serves from `data`, with its worker, and waits until it answers.
    pub async fn start(data: &Path, port: u16) -> Self {
        let program = Self::spawn(data, port, &["serve"], &[]);
        program.ready().await;
        program
    }

    /// Starts it with other arguments, and settings besides.
    pub fn spawn(data: &Path, port: u16, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudxdevai"));
        command.args(arguments).current_dir(data).env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("APP_PORT", port.to_string()).env("DATA_DIR", data.join("data")).env("JWT_SECRET_KEY", SECRET).env("LOG_LEVEL", "warn");
        let process = command.envs(settings.iter().copied()).spawn().unwrap();
        Self { process, base: format!("http://127.0.0.1:{port}") }
    }

    pub async fn ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while reqwest::get(format!("{}/healthz", self.base)).await.is_err() {
            assert!(Instant::now() < deadline, "the program did not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn caller(&self) -> Caller {
        Caller::new(&self.base, reqwest::Client::new())
    }

    /// As SIGTERM would, and waits for the end.
    pub fn terminate(mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
