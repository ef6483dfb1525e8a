//! An HTTP server that answers with what was written down beforehand, and remembers what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures::StreamExt;
use serde_json::Value;
use tokio::sync::watch;

/// One answer. By default a good one without a body.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// Each is a write of its own.
    pub pieces: Vec<Vec<u8>>,
    pub before_headers: Duration,
    /// Between two pieces.
    pub pace: Duration,
    /// Silence after the pieces, before the body ends.
    pub hold: Duration,
}

impl Reply {
    pub fn of(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status: 200, headers, pieces: vec![body.into()], before_headers: Duration::ZERO, pace: Duration::ZERO, hold: Duration::ZERO }
    }

    pub fn status(status: u16, body: &str) -> Self {
        Self { status, ..Self::of("application/json", body) }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[derive(Default)]
struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Asked>>,
    open: watch::Sender<usize>,
}

pub struct Replay {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Replay {
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { replies: Mutex::new(replies.into_iter().collect()), ..Shared::default() });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn add(&self, reply: Reply) {
        self.shared.replies.lock().unwrap().push_back(reply);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits until as many answers are being written as wanted.
    pub async fn wait_open(&self, wanted: usize) {
        let mut open = self.shared.open.subscribe();
        let reached = tokio::time::timeout(Duration::from_secs(10), open.wait_for(|now| *now == wanted)).await;
        assert!(reached.is_ok(), "{} answers are open, not {wanted}", *self.shared.open.borrow());
    }
}

struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 24).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    shared.asked.lock().unwrap().push(Asked { path: parts.uri.to_string(), headers: parts.headers, body });
    let reply = shared.replies.lock().unwrap().pop_front().unwrap_or_else(|| Reply::status(418, "{\"error\":\"nothing left to say\"}"));
    tokio::time::sleep(reply.before_headers).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    shared.open.send_modify(|open| *open += 1);
    let open = Open(shared.clone());
    let pace = reply.pace;
    let pieces = futures::stream::iter(reply.pieces.into_iter().enumerate()).then(move |(n, piece)| async move {
        if n > 0 && !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        Ok::<_, Infallible>(Bytes::from(piece))
    });
    let rest = futures::stream::once(async move {
        let _open = open;
        tokio::time::sleep(reply.hold).await;
        Ok(Bytes::new())
    });
    response.body(Body::from_stream(pieces.chain(rest))).unwrap()
}
