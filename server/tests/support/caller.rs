//! Somebody who sends requests, and what came back.

use std::{collections::VecDeque, fmt::Debug};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use wire::{Problem, event::Event};

use super::PATIENCE;

#[derive(Clone)]
enum Auth {
    Nobody,
    Bearer(String),
    Cookie(String),
}

#[derive(Clone)]
pub struct Caller {
    base: String,
    client: reqwest::Client,
    auth: Auth,
    pub refresh_token: Option<String>,
    pub user: Option<wire::users::User>,
}

impl Caller {
    pub fn new(base: &str, client: reqwest::Client) -> Self {
        Self { base: base.to_owned(), client, auth: Auth::Nobody, refresh_token: None, user: None }
    }

    pub async fn sign_in(&self, name: &str, password: &str) -> Self {
        let tokens: wire::auth::Tokens = self.login(name, password).await.expect(200).json();
        self.with_tokens(tokens)
    }

    pub fn with_tokens(&self, tokens: wire::auth::Tokens) -> Self {
        let auth = Auth::Bearer(tokens.access_token);
        Self { auth, refresh_token: Some(tokens.refresh_token), user: Some(tokens.user), ..self.clone() }
    }

    pub fn with_bearer(&self, token: &str) -> Self {
        Self { auth: Auth::Bearer(token.to_owned()), ..self.clone() }
    }

    pub async fn login(&self, name: &str, password: &str) -> Reply {
        self.form("/api/auth/login", &[("username", name), ("password", password)]).await
    }

    /// Signs in as the login page does, and keeps the cookie.
    pub async fn sign_in_browser(&self, name: &str, password: &str) -> Self {
        let reply = self.form("/fn/auth/login", &[("username", name), ("password", password)]).await;
        let cookie = reply.set_cookie().unwrap_or_else(|| panic!("no session cookie: {reply:?}"));
        let pair = cookie.split(';').next().unwrap().to_owned();
        Self { auth: Auth::Cookie(pair), ..self.clone() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.auth {
            Auth::Nobody => request,
            Auth::Bearer(token) => request.bearer_auth(token),
            Auth::Cookie(cookie) => request.header("cookie", cookie),
        }
    }

    /// The handshake of a socket, with `headers` besides.
    pub fn socket_request(&self, path: &str, headers: &[(&'static str, &str)]) -> http::Request<()> {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest;
        let mut request = format!("{}{path}", self.base.replacen("http", "ws", 1)).into_client_request().unwrap();
        let (bearer, cookie);
        let own = match &self.auth {
            Auth::Nobody => None,
            Auth::Bearer(token) => {
                bearer = format!("Bearer {token}");
                Some(("authorization", bearer.as_str()))
            }
            Auth::Cookie(pair) => {
                cookie = pair.clone();
                Some(("cookie", cookie.as_str()))
            }
        };
        for (name, value) in own.into_iter().chain(headers.iter().copied()) {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    }

    pub async fn send(&self, request: RequestBuilder) -> Reply {
        Reply::read(tokio::time::timeout(PATIENCE, request.send()).await.expect("no answer in time").unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) -> Reply {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &impl Serialize) -> Reply {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// `precondition` is a header such as `("if-none-match", "*")`.
    pub async fn put(&self, path: &str, precondition: Option<(&str, &str)>, body: impl Into<reqwest::Body>) -> Reply {
        let mut request = self.request(Method::PUT, path).body(body);
        if let Some((name, value)) = precondition {
            request = request.header(name, value);
        }
        self.send(request).await
    }

    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded").body(body);
        self.send(request).await
    }

    /// Uploads an archive as the import page does.
    pub async fn upload(&self, filename: &str, archive: Vec<u8>) -> Reply {
        let boundary = "x-boundary-of-the-form";
        let mut body = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"archive\"; filename=\"{filename}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend(archive);
        body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
        let request = self.request(Method::POST, "/api/projects/import");
        self.send(request.header("content-type", format!("multipart/form-data; boundary={boundary}")).body(body)).await
    }

    /// Opens an event stream; a refusal is the error.
    pub async fn follow(&self, path: &str) -> Result<Events, Reply> {
        self.follow_with(self.request(Method::GET, path)).await
    }

    pub async fn follow_with(&self, request: RequestBuilder) -> Result<Events, Reply> {
        Events::of(tokio::time::timeout(PATIENCE, request.send()).await.expect("no answer in time").unwrap()).await
    }
}

pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Reply {
    async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap() }
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The problem of a refusal, whose form is checked on the way.
    #[track_caller]
    pub fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status);
        assert_eq!(problem.request_id.as_deref(), self.header("x-request-id"), "a problem names its request");
        problem
    }

    #[track_caller]
    pub fn field(&self, name: &str) -> Value {
        self.json::<Value>()[name].clone()
    }

    /// The id in the answer.
    #[track_caller]
    pub fn id(&self) -> String {
        self.field("id").as_str().unwrap_or_else(|| panic!("no id: {self:?}")).to_owned()
    }

    /// The ids of a list; none where it is none.
    pub fn listed_ids(&self) -> Vec<String> {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let items = body["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    pub fn set_cookie(&self) -> Option<String> {
        self.header("set-cookie").map(str::to_owned)
    }
}

/// An open event stream.
pub struct Events {
    pub headers: HeaderMap,
    bytes: std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    buffer: String,
    frames: VecDeque<Frame>,
}

#[derive(Debug, Clone)]
pub struct Frame {
    pub id: String,
    pub event: Event,
}

impl Events {
    pub async fn of(response: reqwest::Response) -> Result<Self, Reply> {
        if response.status() != 200 {
            return Err(Reply::read(response).await);
        }
        let headers = response.headers().clone();
        Ok(Self { headers, bytes: Box::pin(response.bytes_stream()), buffer: String::new(), frames: VecDeque::new() })
    }

    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            match tokio::time::timeout(PATIENCE, self.bytes.next()).await.expect("no event in time") {
                Some(Ok(bytes)) => self.take(&String::from_utf8_lossy(&bytes)),
                _ => return None,
            }
        }
    }

    fn take(&mut self, text: &str) {
        self.buffer.push_str(text);
        while let Some(end) = self.buffer.find("\n\n") {
            let frame: String = self.buffer.drain(..end + 2).collect();
            let line = |name: &str| frame.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim_start().to_owned());
            if let Some(data) = line("data:") {
                let event = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
                self.frames.push_back(Frame { id: line("id:").unwrap_or_default(), event });
            }
        }
    }

    /// Everything up to the end of the stream.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(frame) = self.next().await {
            events.push(frame.event);
        }
        events
    }

    /// Reads until an event fits.
    pub async fn until(&mut self, mut fits: impl FnMut(&Event) -> bool) -> Event {
        loop {
            let frame = self.next().await.expect("the stream ended too early");
            if fits(&frame.event) {
                return frame.event;
            }
        }
    }
}
