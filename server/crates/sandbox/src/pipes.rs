//! The pipes, or the terminal, between the server and a run.

use crate::net::JailNet;
use crate::output::Source;
use crate::spec::Spec;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

/// Our ends of a run's pipes; `theirs` until the launcher has them.
pub(crate) struct Pipes {
    pub control: pipe::Sender,
    pub status: pipe::Receiver,
    pub info: pipe::Receiver,
    pub block: pipe::Sender,
    pub stdout: Option<pipe::Receiver>,
    pub stderr: Option<pipe::Receiver>,
    pub pty_master: Option<Arc<AsyncFd<OwnedFd>>>,
    pub net: Option<JailNet>,
    pub theirs: Option<Ends>,
}

pub(crate) struct Ends {
    pub control: OwnedFd,
    pub status: OwnedFd,
    pub info: OwnedFd,
    pub info_keep: OwnedFd,
    pub block: OwnedFd,
    pub net: Option<OwnedFd>,
    pub stdin: Stdio,
    pub stdout: Stdio,
    pub stderr: Stdio,
}

fn pipe_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?)
}

fn reading() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (ours, theirs) = pipe_pair()?;
    Ok((pipe::Receiver::from_owned_fd(ours)?, theirs))
}

fn writing() -> io::Result<(pipe::Sender, OwnedFd)> {
    let (theirs, ours) = pipe_pair()?;
    Ok((pipe::Sender::from_owned_fd(ours)?, theirs))
}

impl Pipes {
    /// `with_network` where the jail has a network namespace to hand sockets out of.
    pub fn open(spec: &Spec, with_network: bool) -> io::Result<Pipes> {
        let (control, control_end) = writing()?;
        let (status, status_end) = reading()?;
        let (info, info_end) = pipe_pair()?;
        let info_keep = info.try_clone()?;
        let info = pipe::Receiver::from_owned_fd(info)?;
        let (block, block_end) = writing()?;
        let (net, net_end) = if with_network { JailNet::open().map(|(ours, theirs)| (Some(ours), Some(theirs)))? } else { (None, None) };
        let (mut stdout, mut stderr, mut pty_master) = (None, None, None);
        let (stdin_end, stdout_end, stderr_end) = match spec.tty {
            None => {
                let (out, out_end) = reading()?;
                let (err, err_end) = reading()?;
                (stdout, stderr) = (Some(out), Some(err));
                (Stdio::null(), Stdio::from(out_end), Stdio::from(err_end))
            }
            Some((columns, rows)) => {
                let (master, slave) = open_pty()?;
                resize(master.as_fd(), columns, rows)?;
                pty_master = Some(Arc::new(watch_fd(master)?));
                (Stdio::from(slave.try_clone()?), Stdio::from(slave.try_clone()?), Stdio::from(slave))
            }
        };
        let theirs = Ends {
            control: control_end,
            status: status_end,
            info: info_end,
            info_keep,
            block: block_end,
            net: net_end,
            stdin: stdin_end,
            stdout: stdout_end,
            stderr: stderr_end,
        };
        Ok(Pipes { control, status, info, block, stdout, stderr, pty_master, net, theirs: Some(theirs) })
    }

    /// The writing side of the terminal, if there is one.
    pub fn keyboard(&self) -> Option<PtyInput> {
        self.pty_master.clone().map(PtyInput)
    }

    /// Hands the reading sides over; works once.
    pub fn source(&mut self) -> io::Result<Source> {
        match (self.stdout.take(), self.stderr.take(), self.pty_master.take()) {
            (Some(stdout), Some(stderr), _) => Ok(Source::Pipes { stdout, stderr }),
            (_, _, Some(master)) => Ok(Source::Pty(master)),
            _ => Err(io::Error::other("no output")),
        }
    }
}

pub(crate) fn watch_fd(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays the same open descriptor for as long as it exists, and it is moved in.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

fn open_pty() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok((master, slave))
}

fn resize(master: impl AsFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = rustix::termios::Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(master, size)?)
}

/// bubblewrap writes `{"child-pid": N, …}` as soon as the process exists.
pub(crate) async fn read_child_pid(info: &mut pipe::Receiver) -> io::Result<i32> {
    let mut text = Vec::new();
    loop {
        let mut piece = [0u8; 512];
        let n = info.read(&mut piece).await?;
        text.extend_from_slice(&piece[..n]);
        if n == 0 || text.contains(&b'}') {
            break;
        }
    }
    let json: serde_json::Value = serde_json::from_slice(&text).map_err(|_| io::Error::other("bubblewrap did not start"))?;
    let pid = json.get("child-pid").and_then(|p| p.as_i64()).unwrap_or(0);
    if pid > 1 { Ok(pid as i32) } else { Err(io::Error::other("bubblewrap named no process")) }
}

/// The writing side of a run's terminal.
#[derive(Clone)]
pub struct PtyInput(Arc<AsyncFd<OwnedFd>>);

impl PtyInput {
    /// Types `data`; waits while the terminal's buffer is full.
    pub async fn write(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let n = self.0.async_io(tokio::io::Interest::WRITABLE, |fd| rustix::io::write(fd, data).map_err(io::Error::from)).await?;
            data = &data[n..];
        }
        Ok(())
    }

    /// Tells the job's programs about a new size.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        resize(self.0.get_ref(), columns, rows)
    }
}
