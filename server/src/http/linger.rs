use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures::StreamExt;
use hyper::body::{Frame, SizeHint};

/// What is still read of a body after its request was answered: enough for one that is somewhat larger than any route takes in one piece.
const LINGER_BYTES: usize = 16 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// A request body that is read on for a moment when a handler answers early. Closing at once would reset the connection, and a
/// client that is still sending would never see why it was refused.
pub struct Lingering(Body);

impl Lingering {
    pub fn new(body: Body) -> Self {
        Self(body)
    }
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.0.is_end_stream() {
            return;
        }
        let body = std::mem::take(&mut self.0);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(LINGER_TIME, discard(body)));
        }
    }
}

async fn discard(body: Body) {
    let mut seen = 0;
    let mut pieces = body.into_data_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        seen += piece.len();
        if seen > LINGER_BYTES {
            return;
        }
    }
}
