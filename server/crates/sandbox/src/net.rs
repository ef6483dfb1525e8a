//! The server's side of the network channel into a jail: see `jail::net` for the other end.

use crate::jail::net::{ANSWER_SIZE, CONNECT_V4, CONNECT_V6, LISTENER, decode_answer, encode_request};
use crate::pipes::watch_fd;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType, recvmsg, send, socketpair,
};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

const CONNECT_TIME: Duration = Duration::from_secs(3);

/// Connects to what listens inside a run's network namespace. Cheap to clone; useless once the run has ended.
#[derive(Clone)]
pub struct JailNet(Arc<Channel>);

struct Channel {
    socket: AsyncFd<OwnedFd>,
    /// The number of the last request; held for one question and its answer.
    turn: Mutex<u32>,
}

impl JailNet {
    /// Our end and the helper's.
    pub(crate) fn open() -> io::Result<(JailNet, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok((JailNet(Arc::new(Channel { socket: watch_fd(ours)?, turn: Mutex::new(LISTENER) })), theirs))
    }

    /// Connects to `port` on the jail's 127.0.0.1, or on its ::1 if nobody listens there. Gives up after 3 s.
    pub async fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let attempt = async {
            match self.dial(CONNECT_V4, port).await {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                    self.dial(CONNECT_V6, port).await.map_err(|_| refused)
                }
                other => other,
            }
        };
        tokio::time::timeout(CONNECT_TIME, attempt).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The listener that the helper made before the command existed.
    pub(crate) async fn take_listener(&self) -> io::Result<TcpListener> {
        let _turn = self.0.turn.lock().await;
        let socket = self.0.answer(LISTENER).await?;
        TcpListener::from_std(std::net::TcpListener::from(socket))
    }

    async fn dial(&self, how: u8, port: u16) -> io::Result<TcpStream> {
        let socket = {
            let mut turn = self.0.turn.lock().await;
            *turn = turn.wrapping_add(1).max(LISTENER + 1);
            let request = encode_request(how, *turn, port);
            let ask = |fd: &OwnedFd| send(fd, &request, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map_err(io::Error::from);
            self.0.socket.async_io(Interest::WRITABLE, ask).await?;
            self.0.answer(*turn).await?
        };
        let stream = TcpStream::from_std(std::net::TcpStream::from(socket))?;
        stream.writable().await?;
        match stream.take_error()? {
            Some(e) => Err(e),
            None => {
                let _ = stream.set_nodelay(true);
                Ok(stream)
            }
        }
    }
}

impl Channel {
    /// Waits for the answer with this number. An earlier one, whose asker gave up, is dropped with its socket.
    async fn answer(&self, number: u32) -> io::Result<OwnedFd> {
        loop {
            let (found, errno, socket) = self.socket.async_io(Interest::READABLE, receive).await?;
            if found != number {
                continue;
            }
            return match socket {
                Some(socket) if errno == 0 => Ok(socket),
                _ if errno != 0 => Err(io::Error::from_raw_os_error(errno)),
                _ => Err(io::Error::other("the jail sent no socket")),
            };
        }
    }
}

fn receive(fd: &OwnedFd) -> io::Result<(u32, i32, Option<OwnedFd>)> {
    let mut bytes = [0u8; ANSWER_SIZE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut extra = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(fd, &mut [IoSliceMut::new(&mut bytes)], &mut extra, RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes != ANSWER_SIZE {
        return Err(io::Error::new(io::ErrorKind::NotConnected, "the run has ended"));
    }
    let mut socket = None;
    for message in extra.drain() {
        if let RecvAncillaryMessage::ScmRights(sockets) = message {
            socket = sockets.into_iter().last();
        }
    }
    let (number, errno) = decode_answer(bytes);
    Ok((number, errno, socket))
}
