//! The life of the process: listen, work, and stop without dropping what runs.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{
    config::Config,
    http::{self, AppState, Lingering, Ongoing, PeerAddress},
    metrics,
    seats::{Bounds, Seat, Seats},
    wiring::{self, Role, WiringError},
    worker::{Ended, Work, Worker},
};

/// What is sent to a client has to be acknowledged within this, in milliseconds.
const UNHEARD_MS: u32 = 12_000;
/// Bytes of a connection that wait to be read or written, its heads of requests among them.
const BUFFER: usize = 128 * 1024;
/// How often it is logged that connections were refused.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// What is said instead of taking a connection.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nretry-after: 5\r\nconnection: close\r\n\
                      content-length: 47\r\n\r\nThere are too many connections. Try again soon.";

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Wiring(#[from] WiringError),
    #[error("could not listen on {address}: {source}. Choose another address with APP_HOST and APP_PORT.")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(
        "the folder {folder} belongs to another worker, or can't be written. Nothing was started: stop that worker first, or set WORK_DIR to another folder."
    )]
    WorkFolder { folder: String },
    #[error("could not watch for signals: {0}")]
    Signals(#[source] io::Error),
}

/// Serves the site, and works off jobs unless told not to, until SIGINT or SIGTERM. `greet` is told the address once everything is ready.
pub async fn serve(config: Arc<Config>, with_worker: bool, greet: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    let stop = stop_on_signal()?;
    let address = SocketAddr::new(config.http.host, config.http.port);
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
    let role = if with_worker { Role::Worker } else { Role::Server };
    let app = wiring::wire(config.clone(), role).await?;
    metrics::start(&config.metrics, &app.services, &stop).await;
    let state = AppState {
        services: app.services.clone(),
        config: Arc::new(config.http.clone()),
        models: app.models,
        terminals: app.terminals,
        previews: app.previews,
        limits: app.limits,
        shutdown: stop.clone(),
    };
    let (router, _) = http::router(state);
    let worker = app.work.map(|work| {
        // The site is in the same process, which is not to be replaced.
        tokio::spawn(Worker::new(Work { max_jobs: None, ..work }).run(stop.clone()))
    });
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, worker = with_worker, "serving");
    greet(address);
    listen_within(listener, router, Bounds::of(&config.http), stop).await;
    if let Some(worker) = worker
        && let Err(error) = worker.await
    {
        tracing::error!(%error, "the worker ended badly");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Works off jobs until SIGINT or SIGTERM, or until it is time for a new process.
pub async fn work(config: Arc<Config>) -> Result<Ended, ServeError> {
    let stop = stop_on_signal()?;
    let app = wiring::wire(config.clone(), Role::Worker).await?;
    metrics::start(&config.metrics, &app.services, &stop).await;
    Ok(match app.work {
        // It would take jobs and fail them all, also once the other has gone.
        Some(work) if !work.name.has_folder() => {
            return Err(ServeError::WorkFolder { folder: config.work_dir().display().to_string() });
        }
        Some(work) => Worker::new(work).run(stop).await,
        None => Ended::Stopped,
    })
}

fn stop_on_signal() -> Result<CancellationToken, ServeError> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: no new work is taken");
        token.cancel();
        // Whoever asks twice does not want to wait.
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(stop)
}

/// As [`listen_within`], with the bounds that apply where none are configured.
pub async fn listen(listener: TcpListener, router: Router, stop: CancellationToken) {
    listen_within(listener, router, Bounds::default(), stop).await;
}

/// Answers connections until `stop`, then lets requests in flight end.
pub async fn listen_within(listener: TcpListener, router: Router, bounds: Bounds, stop: CancellationToken) {
    let open = TaskTracker::new();
    let (drain, head) = (bounds.drain, bounds.head);
    let seats = Seats::new(bounds);
    let mut refusals = Refusals::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = refusals.wait() => {
                refusals.tell();
                continue;
            }
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => match seats.take(peer.ip()) {
                Some(seat) => answer(stream, peer, (seat, head), &router, &open, &stop),
                None => {
                    refuse(stream);
                    refusals.add(peer);
                }
            },
            Err(error) => {
                // Out of file descriptors, most likely: give connections time to end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(drain, open.wait()).await.is_err() {
        tracing::warn!("some requests did not end in time and were cut off");
    }
}

/// Connections that were refused, told at most once a second.
#[derive(Default)]
struct Refusals {
    told_at: Option<Instant>,
    untold: u64,
    last: Option<SocketAddr>,
}

impl Refusals {
    fn add(&mut self, peer: SocketAddr) {
        self.untold += 1;
        self.last = Some(peer);
        if self.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            self.tell();
        }
    }

    /// Until what is left is to be told.
    async fn wait(&self) {
        match self.told_at.filter(|_| self.untold > 0) {
            Some(at) => tokio::time::sleep_until(at + TELL_EVERY).await,
            None => std::future::pending().await,
        }
    }

    fn tell(&mut self) {
        let address = self.last.map(|peer| peer.ip().to_string());
        tracing::warn!(count = self.untold, address, "connections were refused: there are too many");
        (self.told_at, self.untold) = (Some(Instant::now()), 0);
    }
}

/// Costs next to nothing, also when many come.
fn refuse(stream: TcpStream) {
    // It has just been opened, so that this fits into its buffer.
    if let Ok(mut stream) = stream.into_std() {
        let _ = std::io::Write::write(&mut stream, FULL);
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}

fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    (seat, head): (Seat, Duration),
    router: &Router,
    open: &TaskTracker,
    stop: &CancellationToken,
) {
    // Events are small and must not wait for more; where it can't be set, they are only slower.
    let _ = stream.set_nodelay(true);
    // Who has lost the network does not say so: what is sent to them must come to an end by itself.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNHEARD_MS);
    let (router, ongoing) = (router.clone(), Ongoing(open.clone()));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        request.extensions_mut().insert(ongoing.clone());
        router.clone().oneshot(request.map(|body| Body::new(Lingering::new(Body::new(body)))))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let stop = stop.clone();
    open.spawn(async move {
        let _seat = seat;
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refusals_are_told_together_and_none_is_left_out() {
        let mut refusals = Refusals::default();
        let peer = SocketAddr::from(([192, 0, 2, 1], 7));
        refusals.add(peer);
        assert_eq!(refusals.untold, 0, "the first is told at once");
        for _ in 0..50 {
            refusals.add(peer);
        }
        assert!(refusals.untold > 0, "the others wait for each other");
        tokio::time::timeout(TELL_EVERY * 5, refusals.wait()).await.expect("until a second is over");
        refusals.tell();
        assert_eq!(refusals.untold, 0);
    }
}
