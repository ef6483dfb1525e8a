//! The only way out of a jail that has one: an HTTP proxy, run by the server, on a listener inside the jail's network
//! namespace. It lets a run reach the hosts on its project's list and nothing else, and tells about every attempt.
//!
//! A name is checked against the list before it is looked up, looked up once, and connected to at exactly the address
//! that was checked, so a name that changes its address in between gains nothing.

mod address;
mod head;
mod tunnel;

pub use address::{Cidr, why_closed};

use head::{BadHead, Request};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use wire::network::HostRule;

/// Where the proxy listens inside the jail.
pub(crate) const PORT: u16 = 3128;
/// Decisions that wait to be taken; refusals use the first half only, so that a flood of them hides no allowed one.
pub(crate) const DECISIONS_IN_FLIGHT: usize = 256;
const MAX_CONNECTIONS: usize = 64;
const MAX_HEAD: usize = 16 * 1024;
const HEAD_TIME: Duration = Duration::from_secs(10);
const LOOKUP_TIME: Duration = Duration::from_secs(10);
const CONNECT_TIME: Duration = Duration::from_secs(10);
const IDLE_TIME: Duration = Duration::from_secs(180);
/// One refusal of the same host and port is told this often.
const REPEAT_AFTER: Duration = Duration::from_secs(1);

/// What a run may reach through the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressPolicy {
    pub rules: Vec<HostRule>,
    /// Addresses outside the public internet that the administrator opened, a mirror in the company's network for example.
    #[serde(default)]
    pub open_addresses: Vec<Cidr>,
}

/// One attempt of a run to reach something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressDecision {
    /// In lower case, without a final dot.
    pub host: String,
    pub port: u16,
    pub allowed: bool,
    /// For people: why it was refused, or why an allowed one did not work. Else empty.
    pub reason: String,
}

/// Looks a name up; a table in tests.
#[derive(Clone)]
enum Resolver {
    System,
    #[cfg(test)]
    Table(Arc<std::sync::Mutex<std::collections::HashMap<String, Vec<Vec<IpAddr>>>>>),
}

impl Resolver {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
        match self {
            Resolver::System => Ok(tokio::net::lookup_host((host, port)).await?.map(|a| a.ip()).collect()),
            #[cfg(test)]
            Resolver::Table(table) => {
                // Every further look-up gives the next answer, as a hostile name server would.
                let mut table = table.lock().unwrap();
                let answers = table.get_mut(host).filter(|a| !a.is_empty()).ok_or(io::ErrorKind::NotFound)?;
                Ok(answers.remove(0))
            }
        }
    }
}

/// One proxy, serving one run.
pub(crate) struct Proxy {
    /// May change while the run lives; open tunnels stay.
    rules: watch::Receiver<Vec<HostRule>>,
    open_addresses: Vec<Cidr>,
    decisions: mpsc::Sender<EgressDecision>,
    /// Bytes carried, both ways.
    bytes: Arc<AtomicU64>,
    resolver: Resolver,
    told: std::sync::Mutex<Vec<(String, u16, Instant)>>,
}

impl Proxy {
    pub fn new(
        rules: watch::Receiver<Vec<HostRule>>,
        open_addresses: Vec<Cidr>,
        decisions: mpsc::Sender<EgressDecision>,
        bytes: Arc<AtomicU64>,
    ) -> Proxy {
        Proxy { rules, open_addresses, decisions, bytes, resolver: Resolver::System, told: Default::default() }
    }

    /// Serves until it is dropped, and with it every connection.
    pub async fn serve(self, listener: TcpListener) {
        let proxy = Arc::new(self);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((client, _)) => {
                    let proxy = proxy.clone();
                    connections.spawn(async move {
                        if let Err(e) = proxy.handle(client).await {
                            tracing::debug!(error = %e, "an egress connection ended");
                        }
                        drop(place);
                    });
                }
                // Out of descriptors: the ones in use will come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn handle(&self, mut client: TcpStream) -> io::Result<()> {
        let _ = client.set_nodelay(true);
        let (head, rest) = match tokio::time::timeout(HEAD_TIME, read_head(&mut client)).await {
            Ok(Ok(Some(head))) => head,
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(e)) if e.kind() == io::ErrorKind::InvalidData => return refuse(&mut client, 431, "The request is too large.").await,
            Ok(Err(e)) => return Err(e),
            Err(_) => return refuse(&mut client, 408, "The request did not arrive in time.").await,
        };
        let request = match head::parse(&head) {
            Ok(request) => request,
            Err(BadHead { status, sentence, target }) => {
                if let Some((host, port)) = target {
                    self.deny(&host, port, &sentence);
                }
                return refuse(&mut client, status, &sentence).await;
            }
        };
        let server = match self.open(&request).await {
            Ok(server) => server,
            Err((status, sentence)) => return refuse(&mut client, status, &sentence).await,
        };
        match request {
            Request::Connect { .. } => {
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                tunnel::both_ways(client, server, &rest, &self.bytes, IDLE_TIME).await
            }
            Request::Forward { head, body, .. } => tunnel::one_request(client, server, &head, &rest, body, &self.bytes, IDLE_TIME).await,
        }
    }

    /// Checks, looks up, checks again and connects. The error is a status and a sentence.
    async fn open(&self, request: &Request) -> Result<TcpStream, (u16, String)> {
        let (host, port) = request.target();
        if !self.rules.borrow().iter().any(|rule| rule.covers(host, port)) {
            let sentence = format!("{host}:{port} is not on this project's list.");
            self.deny(host, port, &sentence);
            return Err((403, sentence));
        }
        let found = tokio::time::timeout(LOOKUP_TIME, self.resolver.look_up(host, port)).await;
        let Ok(Ok(found)) = found else {
            let sentence = format!("{host} is allowed, but no address was found for it.");
            self.allow(host, port, &sentence);
            return Err((502, sentence));
        };
        let usable: Vec<IpAddr> = found.iter().copied().filter(|ip| why_closed(*ip, &self.open_addresses).is_none()).collect();
        if usable.is_empty() {
            let sentence = match found.first() {
                Some(ip) => {
                    format!(
                        "{host} leads to {}, {}, which runs may not reach.",
                        ip.to_canonical(),
                        why_closed(*ip, &self.open_addresses).unwrap_or("closed")
                    )
                }
                None => format!("No address was found for {host}."),
            };
            self.deny(host, port, &sentence);
            return Err((403, sentence));
        }
        self.allow(host, port, "");
        connect(&usable, port).await.map_err(|e| (502, format!("{host}:{port} is allowed, but could not be reached: {e}.")))
    }

    fn allow(&self, host: &str, port: u16, reason: &str) {
        let decision = EgressDecision { host: host.into(), port, allowed: true, reason: reason.into() };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.decisions.try_send(decision) {
            tracing::warn!(host, port, "an allowed connection could not be listed: nobody takes the decisions");
        }
    }

    fn deny(&self, host: &str, port: u16, reason: &str) {
        {
            let mut told = self.told.lock().unwrap_or_else(|e| e.into_inner());
            told.retain(|(_, _, at)| at.elapsed() < REPEAT_AFTER);
            if told.len() > DECISIONS_IN_FLIGHT || told.iter().any(|(h, p, _)| h == host && *p == port) {
                return;
            }
            told.push((host.to_owned(), port, Instant::now()));
        }
        if self.decisions.capacity() > DECISIONS_IN_FLIGHT / 2 {
            let decision = EgressDecision { host: host.into(), port, allowed: false, reason: reason.into() };
            let _ = self.decisions.try_send(decision);
        }
    }
}

/// The addresses in turn, one time limit for all.
async fn connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let attempt = async {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for ip in addresses.iter().take(4) {
            match TcpStream::connect(SocketAddr::new(*ip, port)).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    };
    tokio::time::timeout(CONNECT_TIME, attempt).await.unwrap_or_else(|_| Err(io::Error::other("it did not answer in time")))
}

/// The head without its blank line, and what came after it. None when the client went away first.
async fn read_head(client: &mut TcpStream) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut got = Vec::with_capacity(1024);
    loop {
        let searched = got.len().saturating_sub(3);
        let mut piece = [0u8; 2048];
        let n = client.read(&mut piece).await?;
        if n == 0 {
            return Ok(None);
        }
        got.extend_from_slice(&piece[..n]);
        if let Some(at) = got[searched..].windows(4).position(|w| w == b"\r\n\r\n") {
            let at = searched + at;
            if at > MAX_HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let rest = got.split_off(at + 4);
            got.truncate(at);
            return Ok(Some((got, rest)));
        }
        if got.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// The sentence goes into the status line as well: that is what most clients show.
async fn refuse(client: &mut TcpStream, status: u16, sentence: &str) -> io::Result<()> {
    let line: String = sentence.chars().filter(|c| !c.is_control()).collect();
    let text = format!(
        "HTTP/1.1 {status} {line}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{line}\n",
        line.len() + 1
    );
    let answer = async {
        client.write_all(text.as_bytes()).await?;
        client.shutdown().await?;
        // Closing on unread bytes would reset the connection and lose the answer.
        let mut rest = [0u8; 2048];
        for _ in 0..32 {
            if client.read(&mut rest).await? == 0 {
                break;
            }
        }
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(2), answer).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests;
