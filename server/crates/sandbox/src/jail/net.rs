//! The helper's side of the network channel: it makes sockets inside the jail's network namespace and hands them to
//! the server, which has no other way in. The command can't reach the channel, and nothing here waits.
//!
//! Wire format, one message each way on a SOCK_SEQPACKET pair. Request: what to do, a number, a port. Answer: the
//! number, an errno, and with errno 0 the socket.

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Begin to connect to 127.0.0.1 or ::1; the server waits for the outcome.
pub(crate) const CONNECT_V4: u8 = b'4';
pub(crate) const CONNECT_V6: u8 = b'6';
pub(crate) const REQUEST_SIZE: usize = 7;
pub(crate) const ANSWER_SIZE: usize = 8;
/// The number of the answer nobody asked for: the listener that exists before the command does.
pub(crate) const LISTENER: u32 = 0;
const BACKLOG: i32 = 128;

pub(crate) fn encode_request(what: u8, number: u32, port: u16) -> [u8; REQUEST_SIZE] {
    let (n, p) = (number.to_le_bytes(), port.to_le_bytes());
    [what, n[0], n[1], n[2], n[3], p[0], p[1]]
}

fn encode_answer(number: u32, errno: i32) -> [u8; ANSWER_SIZE] {
    let (n, e) = (number.to_le_bytes(), errno.to_le_bytes());
    [n[0], n[1], n[2], n[3], e[0], e[1], e[2], e[3]]
}

pub(crate) fn decode_answer(bytes: [u8; ANSWER_SIZE]) -> (u32, i32) {
    let [a, b, c, d, e, f, g, h] = bytes;
    (u32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]))
}

/// Makes the listener for the server's proxy and sends it. To be called before the command exists: it must not be able to
/// take the port first. False when there is none, and then the command must not be started.
pub(super) fn send_listener(channel: BorrowedFd, port: u16) -> bool {
    let made = listen(port);
    let works = made.is_ok();
    answer(channel, LISTENER, made);
    works
}

/// Answers one request. False when the other side is gone.
pub(super) fn serve_one(channel: BorrowedFd) -> bool {
    let mut request = [0u8; REQUEST_SIZE];
    // SAFETY: the buffer is as long as said.
    let n = unsafe { libc::recv(channel.as_raw_fd(), request.as_mut_ptr().cast(), REQUEST_SIZE, libc::MSG_DONTWAIT) };
    match n {
        7 => {
            let [what, a, b, c, d, e, f] = request;
            let (number, port) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]));
            let made = match what {
                CONNECT_V4 => connect(libc::AF_INET, port),
                CONNECT_V6 => connect(libc::AF_INET6, port),
                _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            };
            answer(channel, number, made);
            true
        }
        -1 => matches!(super::last_errno(), libc::EAGAIN | libc::EINTR),
        0 => false,
        _ => true,
    }
}

/// If it can't be sent at once it is dropped: the server counts its own time.
fn answer(channel: BorrowedFd, number: u32, made: io::Result<OwnedFd>) {
    let errno = made.as_ref().err().map_or(0, |e| e.raw_os_error().unwrap_or(libc::EIO));
    let bytes = encode_answer(number, errno);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut extra = SendAncillaryBuffer::new(&mut space);
    let sockets: Vec<BorrowedFd> = made.iter().map(AsFd::as_fd).collect();
    if !sockets.is_empty() {
        extra.push(SendAncillaryMessage::ScmRights(&sockets));
    }
    let _ = sendmsg(channel, &[IoSlice::new(&bytes)], &mut extra, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

fn tcp_socket(family: i32) -> io::Result<OwnedFd> {
    // SAFETY: the new descriptor is nobody else's.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) }
}

fn local_v4(port: u16) -> libc::sockaddr_in {
    let address = libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) };
    libc::sockaddr_in { sin_family: libc::AF_INET as u16, sin_port: port.to_be(), sin_addr: address, sin_zero: [0; 8] }
}

fn listen(port: u16) -> io::Result<OwnedFd> {
    let socket = tcp_socket(libc::AF_INET)?;
    let address = local_v4(port);
    // SAFETY: the address is a whole sockaddr_in.
    unsafe {
        if libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as u32) != 0
            || libc::listen(socket.as_raw_fd(), BACKLOG) != 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(socket)
}

fn connect(family: i32, port: u16) -> io::Result<OwnedFd> {
    let socket = tcp_socket(family)?;
    let fd = socket.as_raw_fd();
    // SAFETY: both addresses are whole.
    let result = unsafe {
        if family == libc::AF_INET {
            let address = local_v4(port);
            libc::connect(fd, (&raw const address).cast(), size_of_val(&address) as u32)
        } else {
            let mut address: libc::sockaddr_in6 = std::mem::zeroed();
            address.sin6_family = libc::AF_INET6 as u16;
            address.sin6_port = port.to_be();
            address.sin6_addr.s6_addr[15] = 1;
            libc::connect(fd, (&raw const address).cast(), size_of_val(&address) as u32)
        }
    };
    if result == 0 || super::last_errno() == libc::EINPROGRESS { Ok(socket) } else { Err(io::Error::last_os_error()) }
}
