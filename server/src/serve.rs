//! The life of the process: listen, work, and stop without dropping what runs.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{
    config::Config,
    http::{self, AppState, Lingering, PeerAddress},
    wiring::{self, Role, WiringError},
    worker::{Ended, Work, Worker},
};

/// A client has this long to send a request's head, also on a connection that is kept open.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// What is sent to a client has to be acknowledged within this, in milliseconds.
const UNHEARD_MS: u32 = 12_000;
/// Requests in flight have this long to end once the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(10);

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

/// Serves the site, and works off jobs unless told not to, until SIGINT or SIGTERM.
pub async fn serve(config: Arc<Config>, with_worker: bool) -> Result<(), ServeError> {
    let stop = stop_on_signal()?;
    let address = SocketAddr::new(config.http.host, config.http.port);
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
    let role = if with_worker { Role::Worker } else { Role::Server };
    let app = wiring::wire(config.clone(), role).await?;
    let state = AppState {
        services: app.services.clone(),
        config: Arc::new(config.http.clone()),
        models: app.models,
        terminals: app.terminals,
        previews: app.previews,
        shutdown: stop.clone(),
    };
    let (router, _) = http::router(state);
    let worker = app.work.map(|work| {
        // The site is in the same process, which is not to be replaced.
        tokio::spawn(Worker::new(Work { max_jobs: None, ..work }).run(stop.clone()))
    });
    tracing::info!(address = %listener.local_addr().unwrap_or(address), worker = with_worker, "serving");
    listen(listener, router, stop).await;
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

/// Answers connections until `stop`, then lets requests in flight end.
pub async fn listen(listener: TcpListener, router: Router, stop: CancellationToken) {
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => answer(stream, peer, &router, &open, &stop),
            Err(error) => {
                // Out of file descriptors, most likely: give connections time to end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(DRAIN_TIME, open.wait()).await.is_err() {
        tracing::warn!("some requests did not end in time and were cut off");
    }
}

fn answer(stream: TcpStream, peer: SocketAddr, router: &Router, open: &TaskTracker, stop: &CancellationToken) {
    // Events are small and must not wait for more; where it can't be set, they are only slower.
    let _ = stream.set_nodelay(true);
    // Who has lost the network does not say so: what is sent to them must come to an end by itself.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNHEARD_MS);
    let router = router.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        router.clone().oneshot(request.map(|body| Body::new(Lingering::new(Body::new(body)))))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let stop = stop.clone();
    open.spawn(async move {
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
