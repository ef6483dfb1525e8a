//! A preview's own port.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::{Hub, Offer, gate};
use crate::http::{Lingering, PeerAddress};

const HEAD_TIME: Duration = Duration::from_secs(30);
/// Connections to one preview.
const CONNECTIONS: usize = 512;

pub fn bind(host: IpAddr, port: u16) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind((host, port))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Answers connections until the preview is closed; then the open ones are cut.
pub async fn listen(hub: Arc<Hub>, offer: Arc<Offer>, listener: Arc<TcpListener>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            // First, since the listener may belong to another preview by now.
            biased;
            () = offer.closed.cancelled() => return,
            place = places.clone().acquire_owned() => match place {
                Ok(place) => tokio::select! {
                    biased;
                    () = offer.closed.cancelled() => return,
                    accepted = listener.accept() => accepted.map(|(stream, peer)| (stream, peer, place)),
                },
                Err(_) => return,
            },
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (hub, offer) = (hub.clone(), offer.clone());
                tokio::spawn(async move {
                    answer(hub, offer, stream, PeerAddress(peer)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to a preview could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(hub: Arc<Hub>, offer: Arc<Offer>, stream: TcpStream, peer: PeerAddress) {
    let _ = stream.set_nodelay(true);
    let closed = offer.closed.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let (hub, offer) = (hub.clone(), offer.clone());
        async move {
            let request = request.map(|body| Body::new(Lingering::new(Body::new(body))));
            Ok::<_, std::convert::Infallible>(gate::answer(&hub, &offer, request).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        () = closed.cancelled() => {}
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to a preview broke off");
            }
        }
    }
}
