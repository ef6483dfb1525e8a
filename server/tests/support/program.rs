//! The real program, to be killed hard and started again.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
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
        command.env("RATE_LIMIT_ENABLED", "false");
        let process = command.envs(settings.iter().copied()).spawn().unwrap();
        Self { process, base: format!("http://127.0.0.1:{port}") }
    }

    /// As [`Program::spawn`], with its log in a file.
    pub fn spawn_logged(data: &Path, port: u16, arguments: &[&str], settings: &[(&str, &str)], log: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudxdevai"));
        command.args(arguments).current_dir(data).env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("APP_PORT", port.to_string()).env("DATA_DIR", data.join("data")).env("JWT_SECRET_KEY", SECRET).env("LOG_LEVEL", "warn");
        let file = std::fs::File::create(log).unwrap();
        let process = command.envs(settings.iter().copied()).stderr(file).spawn().unwrap();
        Self { process, base: format!("http://127.0.0.1:{port}") }
    }

    /// Runs a command to its end beside what serves from `data`; answers its code, stdout and stderr.
    pub fn command(data: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
        use std::io::Write;
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudxdevai"));
        command.args(arguments).current_dir(data).env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("DATA_DIR", data.join("data")).env("JWT_SECRET_KEY", SECRET).env("USER", "tester");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        // A command that reads nothing may have ended already.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        let output = process.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
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
