//! Carries bytes between a client and a host. Each direction reads only when the other side has taken what was read
//! before, so neither end can make the server hold more than one buffer.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

const BUFFER: usize = 16 * 1024;

/// Both directions until both are at their end, one fails, or nothing moves for `idle`. `early` came with the request.
pub(super) async fn both_ways(
    mut client: TcpStream,
    mut server: TcpStream,
    early: &[u8],
    bytes: &AtomicU64,
    idle: Duration,
) -> io::Result<()> {
    server.write_all(early).await?;
    bytes.fetch_add(early.len() as u64, Ordering::Relaxed);
    let moved = AtomicU64::new(0);
    let counters = [bytes, &moved];
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let both = async {
        tokio::try_join!(
            carry(&mut from_client, &mut to_server, u64::MAX, &counters),
            carry(&mut from_server, &mut to_client, u64::MAX, &counters)
        )
    };
    tokio::select! {
        done = both => done.map(|_| ()),
        () = until_idle(&moved, idle) => Ok(()),
    }
}

/// One request with a body of exactly `body` bytes, then the answer to its end. What the client says after the body
/// is not passed on.
pub(super) async fn one_request(
    mut client: TcpStream,
    mut server: TcpStream,
    head: &[u8],
    early: &[u8],
    body: u64,
    bytes: &AtomicU64,
    idle: Duration,
) -> io::Result<()> {
    let early = &early[..early.len().min(usize::try_from(body).unwrap_or(usize::MAX))];
    server.write_all(head).await?;
    server.write_all(early).await?;
    bytes.fetch_add((head.len() + early.len()) as u64, Ordering::Relaxed);
    let moved = AtomicU64::new(0);
    let counters = [bytes, &moved];
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let asking = async {
        let left = body - early.len() as u64;
        let sent = pass(&mut from_client, &mut to_server, left, &counters).await?;
        if sent < left {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        // Left unread, it would reset the connection at the end and the client could lose the answer.
        drain(&mut from_client).await;
        std::future::pending::<()>().await;
        Ok(())
    };
    tokio::select! {
        answered = carry(&mut from_server, &mut to_client, u64::MAX, &counters) => answered.map(|_| ()),
        failed = asking => failed,
        () = until_idle(&moved, idle) => Ok(()),
    }
}

/// Everything up to the end or `limit`, then the end itself.
async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    limit: u64,
    counters: &[&AtomicU64],
) -> io::Result<u64> {
    let moved = pass(from, to, limit, counters).await?;
    to.shutdown().await?;
    Ok(moved)
}

async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    limit: u64,
    counters: &[&AtomicU64],
) -> io::Result<u64> {
    let mut buffer = vec![0u8; BUFFER];
    let mut moved = 0;
    while moved < limit {
        let room = usize::try_from(limit - moved).unwrap_or(usize::MAX).min(BUFFER);
        let n = from.read(&mut buffer[..room]).await?;
        if n == 0 {
            break;
        }
        to.write_all(&buffer[..n]).await?;
        moved += n as u64;
        for counter in counters {
            counter.fetch_add(n as u64, Ordering::Relaxed);
        }
    }
    Ok(moved)
}

/// Reads and drops, up to a bound.
async fn drain(from: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = [0u8; 1024];
    for _ in 0..64 {
        if !matches!(from.read(&mut buffer).await, Ok(n) if n > 0) {
            return;
        }
    }
}

async fn until_idle(moved: &AtomicU64, idle: Duration) {
    let mut before = moved.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(idle).await;
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}
