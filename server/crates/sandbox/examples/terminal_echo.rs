//! How long a key takes until it is echoed: through the socket of a terminal in the sandbox, next to a shell on a bare PTY.
//!
//! `cargo run -p sandbox --example terminal_echo -- [program]` starts the given program, or the one beside the example, with a data
//! folder of its own. The bar: the median through the socket is at most 5 ms above the bare one. Both are measured in turn, at the pace
//! of fast typing.

use std::{
    io::{Read, Write},
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

const ROUNDS: usize = 200;
const PAUSE: Duration = Duration::from_millis(40);
const BAR: Duration = Duration::from_millis(5);
const PASSWORD: &str = "correct horse battery staple";

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(measure()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("could not be measured: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<bool, Failure> {
    let server = Server::start().await?;
    let mut socket = open_terminal(&server.base).await?;
    let mut bare = BarePty::start()?;
    let (mut through, mut direct) = (Vec::new(), Vec::new());
    settle(&mut socket).await;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        socket.send(Message::Binary(b"a".to_vec().into())).await?;
        wait_for_output(&mut socket).await?;
        through.push(started.elapsed());
        direct.push(tokio::task::block_in_place(|| bare.echo())?);
        settle(&mut socket).await;
    }
    let (through, direct) = (Percentiles::of(through), Percentiles::of(direct));
    let above = through.median.saturating_sub(direct.median);
    say(&format!("through the socket {through}"));
    say(&format!("on a bare PTY      {direct}"));
    say(&format!("median above: {:.2} ms, the bar is {} ms", millis(above), BAR.as_millis()));
    Ok(above <= BAR)
}

/// Takes what still comes, for as long as a fast typist pauses.
async fn settle(socket: &mut Socket) {
    let until = tokio::time::Instant::now() + PAUSE;
    while let Ok(Some(Ok(message))) = tokio::time::timeout_at(until, socket.next()).await {
        acknowledge(socket, &message).await;
    }
}

async fn wait_for_output(socket: &mut Socket) -> Result<(), Failure> {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(10), socket.next()).await?.ok_or("the socket ended")??;
        match &message {
            Message::Binary(_) => {
                acknowledge(socket, &message).await;
                return Ok(());
            }
            Message::Text(text) if text.contains("\"closed\"") => return Err(text.as_str().into()),
            _ => {}
        }
    }
}

async fn acknowledge(socket: &mut Socket, message: &Message) {
    if let Message::Binary(data) = message {
        let ack = json!({ "type": "ack", "bytes": data.len() }).to_string();
        let _ = socket.send(Message::Text(ack.into())).await;
    }
}

async fn open_terminal(base: &str) -> Result<Socket, Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let account = json!({ "email": "bench@example.org", "username": "bench", "password": PASSWORD });
    client.post(format!("{base}/api/auth/register")).json(&account).send().await?.error_for_status()?;
    let form = format!("username=bench&password={}", PASSWORD.replace(' ', "+"));
    let login = client.post(format!("{base}/api/auth/login")).header("content-type", "application/x-www-form-urlencoded").body(form);
    let tokens: Value = login.send().await?.error_for_status()?.json().await?;
    let token = tokens["access_token"].as_str().ok_or("no token")?.to_owned();
    let post = async |path: String, body: Value| -> Result<String, Failure> {
        let reply: Value =
            client.post(format!("{base}{path}")).bearer_auth(&token).json(&body).send().await?.error_for_status()?.json().await?;
        Ok(reply["id"].as_str().ok_or("no id")?.to_owned())
    };
    let project = post("/api/projects".to_owned(), json!({ "name": "Bench" })).await?;
    let terminal = post(format!("/api/projects/{project}/terminals"), json!({ "cols": 80, "rows": 24 })).await?;
    let mut request = format!("{}/api/terminals/{terminal}/ws", base.replacen("http", "ws", 1)).into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let (mut socket, _) = connect_async(request).await?;
    // The prompt.
    wait_for_output(&mut socket).await?;
    Ok(socket)
}

/// A server with its worker and a data folder that goes away with it.
struct Server {
    process: Child,
    base: String,
    _data: tempfile::TempDir,
}

impl Server {
    async fn start() -> Result<Self, Failure> {
        let program = match std::env::args_os().nth(1) {
            Some(program) => PathBuf::from(program),
            None => std::env::current_exe()?.parent().and_then(|dir| dir.parent()).ok_or("no folder")?.join("cloudxdevai"),
        };
        let data = tempfile::tempdir()?;
        std::fs::set_permissions(data.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(program);
        command.arg("serve").current_dir(data.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("APP_PORT", port.to_string()).env("DATA_DIR", data.path().join("data")).env("LOG_LEVEL", "warn");
        let process = command.spawn()?;
        let server = Self { process, base: format!("http://127.0.0.1:{port}"), _data: data };
        let deadline = Instant::now() + Duration::from_secs(30);
        while reqwest::get(format!("{}/healthz", server.base)).await.is_err() {
            if Instant::now() > deadline {
                return Err("the server did not start".into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The same shell on a PTY of this process.
struct BarePty {
    shell: Child,
    master: std::fs::File,
}

impl BarePty {
    fn start() -> Result<Self, Failure> {
        use rustix::{
            fs::{Mode, OFlags, open},
            pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
        };
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave: OwnedFd = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut command = Command::new("/usr/bin/bash");
        command.args(["--noprofile", "--norc", "-i"]).env_clear().env("PS1", "$ ").env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
        command.stdin(Stdio::from(slave.try_clone()?)).stdout(Stdio::from(slave.try_clone()?)).stderr(Stdio::from(slave));
        // SAFETY: both calls are allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            })
        };
        let shell = command.spawn()?;
        let mut bare = Self { shell, master: std::fs::File::from(master) };
        bare.wait_for_output()?;
        std::thread::sleep(Duration::from_millis(200));
        Ok(bare)
    }

    fn echo(&mut self) -> Result<Duration, Failure> {
        let started = Instant::now();
        self.master.write_all(b"a")?;
        self.wait_for_output()?;
        Ok(started.elapsed())
    }

    fn wait_for_output(&mut self) -> Result<(), Failure> {
        match self.master.read(&mut [0; 1024])? {
            0 => Err("the shell ended".into()),
            _ => Ok(()),
        }
    }
}

impl Drop for BarePty {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

struct Percentiles {
    median: Duration,
    p95: Duration,
    most: Duration,
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        Self { median: at(0.5), p95: at(0.95), most: at(1.0) }
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "median {:.2} ms, 95 % {:.2} ms, most {:.2} ms", millis(self.median), millis(self.p95), millis(self.most))
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
