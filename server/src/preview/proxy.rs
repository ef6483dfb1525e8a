//! Passes requests on to the program in the run, and what it answers back.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    http::{StatusCode, Uri},
    response::Response,
};
use bytes::Bytes;
use domain::previews::Ticket;
use futures::future::BoxFuture;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    client::conn::http1,
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Hub, Offer, empty,
    headers::{self, Outside},
    page,
};
use crate::http::PeerAddress;

const CONNECT_TIME: Duration = Duration::from_secs(5);

pub async fn forward(hub: &Arc<Hub>, offer: &Arc<Offer>, ticket: Ticket, mut request: Request) -> Response {
    let Ok(place) = offer.requests.clone().try_acquire_owned() else { return page::busy() };
    let visit = Visit { hub: hub.clone(), offer: offer.clone(), ticket, _place: place };
    let port = offer.preview.port;
    let upgrade = headers::wanted_upgrade(request.headers()).cloned();
    let browser = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let peer = request.extensions().get::<PeerAddress>().map(|peer| peer.0.ip().to_canonical().to_string());
    let outside = Outside { peer, secure: hub.is_secure(), port, upgrade: upgrade.as_ref() };
    let request = readdress(request, &outside);
    let mut answer = match ask(offer, request).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(run.id = %offer.preview.run, port, %error, "a preview did not answer");
            return page::unanswered(port);
        }
    };
    let headers = headers::to_outside(answer.headers(), port);
    match (answer.status(), browser) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(browser)) => {
            let inside = hyper::upgrade::on(&mut answer);
            tokio::spawn(tunnel(visit, browser, inside));
            let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
            *response.headers_mut() = headers;
            for name in ["connection", "upgrade"] {
                if let Some(value) = answer.headers().get(name) {
                    response.headers_mut().insert(name, value.clone());
                }
            }
            response
        }
        // Nobody asked for another protocol.
        (StatusCode::SWITCHING_PROTOCOLS, None) => page::unanswered(port),
        (status, _) => {
            let mut response = Response::new(Body::new(Watched::new(answer.into_body(), visit)));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
    }
}

/// The same request, as the program inside expects it.
fn readdress(request: Request, outside: &Outside) -> axum::http::Request<Body> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
    let mut request = axum::http::Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers::to_inside(&parts.headers, outside);
    request
}

#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("no connection in time")]
    TooSlow,
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

/// One connection for one request: both ends are on this machine. It is cut when the preview is closed.
async fn ask(offer: &Offer, request: axum::http::Request<Body>) -> Result<hyper::Response<Incoming>, Unanswered> {
    let connecting = tokio::time::timeout(CONNECT_TIME, offer.inside.connect(offer.preview.port));
    let stream = connecting.await.map_err(|_| Unanswered::TooSlow)??;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let closed = offer.closed.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = closed.cancelled() => {}
            ended = connection.with_upgrades() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a program in a run broke its connection off");
                }
            }
        }
    });
    Ok(sender.send_request(request).await?)
}

/// Someone who looks at a preview, for as long as one request lasts.
struct Visit {
    hub: Arc<Hub>,
    offer: Arc<Offer>,
    ticket: Ticket,
    _place: OwnedSemaphorePermit,
}

/// Carries bytes both ways until one side ends, the preview is closed or the visitor may not see it any more.
async fn tunnel(visit: Visit, browser: OnUpgrade, inside: OnUpgrade) {
    let both = async {
        let (browser, inside) = futures::future::try_join(browser, inside).await?;
        let (mut browser, mut inside) = (TokioIo::new(browser), TokioIo::new(inside));
        // However it ends, the page sees that its socket was closed.
        let _ = tokio::io::copy_bidirectional(&mut browser, &mut inside).await;
        Ok::<_, hyper::Error>(())
    };
    tokio::select! {
        () = visit.offer.closed.cancelled() => {}
        () = visit.hub.access.revoked(&visit.ticket) => {}
        ended = both => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a preview's socket could not be opened");
            }
        }
    }
}

/// A body that breaks off when its visitor may not see the preview any more.
struct Watched {
    body: Incoming,
    revoked: BoxFuture<'static, ()>,
}

impl Watched {
    fn new(body: Incoming, visit: Visit) -> Self {
        let revoked = Box::pin(async move { visit.hub.access.revoked(&visit.ticket).await });
        Self { body, revoked }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if self.revoked.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err("this preview may not be seen any more".into())));
        }
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
