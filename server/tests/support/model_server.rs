//! A scripted model server that speaks the real wire formats: `POST /v1/chat/completions`, `/v1/responses`,
//! `/v1/messages`, `/v1beta/models/NAME:streamGenerateContent`, `/api/chat`, and the list of models of each. It
//! records what it was asked and can fail in every way providers do.
//!
//! Scripts come over HTTP (`POST /__script`) or from Rust (`ModelServer::script`): a list of steps, or
//! `{"when": "text in the last user message", "steps": […]}`, or a list mixing both. A request takes the
//! next step of the first matching script, else of the plain list, else gets the text `No script.`
//! `GET /__requests` lists what was asked, `POST /__reset` forgets everything.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

#[path = "model_dialects.rs"]
mod dialects;
use dialects::{Dialect, last_user_text};

/// What the server does with one request. Everything is optional.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    pub text: Option<String>,
    pub reasoning: Option<String>,
    pub tool_calls: Vec<ScriptedCall>,
    /// Sends the pieces of several calls in turn instead of one call after the other.
    pub interleave: bool,
    /// `stop` or `tool_calls` unless said otherwise; an empty text leaves it out.
    pub finish_reason: Option<String>,
    /// Sent as the last chunk; absent means that no usage is sent.
    pub usage: Option<Value>,
    /// Characters a chunk (default 8).
    pub chunk_chars: Option<usize>,
    /// Pause before each chunk.
    pub pace_ms: u64,
    /// Answer with this status instead of a stream.
    pub status: Option<u16>,
    /// Seconds, sent with `status`.
    pub retry_after: Option<f64>,
    /// Body sent with `status` (default: an OpenAI-like error object).
    pub body: Option<String>,
    /// Wait before the response's headers.
    pub first_byte_ms: u64,
    /// Wait before all of it until [`ModelServer::release`]; for scripts from Rust.
    #[serde(skip)]
    pub held: bool,
    /// Silence after the first chunk.
    pub stall_ms: u64,
    /// Break the connection after this much of the text.
    pub cut_after_chars: Option<usize>,
    /// With `cut_after_chars`: end the body properly instead of breaking it.
    pub cut_clean: bool,
    /// Sends a chunk that is not JSON after the first piece.
    pub malformed: bool,
    /// Sends an error object with this message after the text.
    pub error_object: Option<String>,
    /// Cuts every multi-byte character between two writes.
    pub split_bytes: bool,
    /// Comments between the chunks.
    pub pings: bool,
    pub crlf: bool,
    /// Leaves `[DONE]` out.
    pub no_done: bool,
    /// Silence at the end, before the body is closed.
    pub hold_ms: u64,
    /// Sent as it is instead of all of the above, as `content_type` (default an event stream).
    pub raw: Option<String>,
    pub content_type: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptedCall {
    /// Absent: a new id. Empty: no id is sent.
    pub id: Option<String>,
    pub name: String,
    /// An object, or a text sent as it is (which may be invalid JSON).
    pub arguments: Value,
}

impl Step {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    pub fn call(name: impl Into<String>, arguments: Value) -> Self {
        Self::default().and_call(name, arguments)
    }

    pub fn and_call(mut self, name: impl Into<String>, arguments: Value) -> Self {
        self.tool_calls.push(ScriptedCall { id: None, name: name.into(), arguments });
        self
    }

    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Script {
    List(Vec<Script>),
    Matched { when: String, steps: Vec<Step> },
    Plain { steps: Vec<Step> },
    One(Box<Step>),
}

struct Rule {
    when: Option<String>,
    steps: VecDeque<Step>,
}

/// One request as it came in.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    pub path: String,
    pub authorization: Option<String>,
    pub body: Value,
}

#[derive(Default)]
struct Inner {
    rules: Vec<Rule>,
    requests: Vec<Recorded>,
    call_count: u64,
}

struct Shared {
    inner: Mutex<Inner>,
    counts: watch::Sender<Counts>,
    /// How often those that were held have been let go.
    releases: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub requests: usize,
    /// Streams being written right now.
    pub open: usize,
    /// Streams the client left before they were complete.
    pub abandoned: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A running server; it ends when this is dropped.
pub struct ModelServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ModelServer {
    /// On a free port of the loopback address.
    pub async fn start() -> Self {
        Self::start_on(0).await.expect("a loopback port is free")
    }

    pub async fn start_on(port: u16) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { inner: Mutex::default(), counts: watch::Sender::default(), releases: watch::Sender::default() });
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/responses", post(respond))
            .route("/v1/messages", post(message))
            .route("/v1beta/models/{call}", post(generate))
            .route("/api/chat", post(chat))
            .route("/v1/models", get(list_models))
            .route("/v1beta/models", get(list_gemini_models))
            .route("/api/tags", get(list_ollama_models))
            .route("/__script", post(add_script))
            .route("/__requests", get(list_requests))
            .route("/__reset", post(reset))
            .with_state(shared.clone());
        // Small pieces must not wait for the acknowledgement of the one before.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("model server ended: {error}");
            }
        });
        Ok(Self { address, shared, task })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `OPENAI_BASE_URL` is set to.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.url())
    }

    /// Adds steps for any request.
    pub fn script(&self, steps: impl IntoIterator<Item = Step>) {
        self.add_rule(None, steps);
    }

    /// Adds steps for requests whose last user message contains `when`.
    pub fn script_when(&self, when: impl Into<String>, steps: impl IntoIterator<Item = Step>) {
        self.add_rule(Some(when.into()), steps);
    }

    fn add_rule(&self, when: Option<String>, steps: impl IntoIterator<Item = Step>) {
        self.shared.lock().rules.push(Rule { when, steps: steps.into_iter().collect() });
    }

    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.lock().requests.clone()
    }

    /// Lets all requests go on that are held now.
    pub fn release(&self) {
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    pub fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts are as wanted; panics after ten seconds, saying what they were.
    pub async fn wait_for(&self, wanted: impl Fn(&Counts) -> bool) -> Counts {
        let mut counts = self.shared.counts.subscribe();
        let reached = tokio::time::timeout(Duration::from_secs(10), counts.wait_for(|now| wanted(now))).await;
        match reached {
            Ok(Ok(now)) => *now,
            _ => panic!("the model server did not get there: {:?}", self.counts()),
        }
    }

    /// Waits as long as the server runs.
    pub async fn run(mut self) {
        let _ = (&mut self.task).await;
    }
}

async fn list_models() -> Json<Value> {
    Json(json!({"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "tests"}]}))
}

async fn list_gemini_models() -> Json<Value> {
    Json(json!({"models": [{"name": "models/scripted"}]}))
}

async fn list_ollama_models() -> Json<Value> {
    Json(json!({"models": [{"name": "scripted"}]}))
}

async fn list_requests(State(shared): State<Arc<Shared>>) -> Json<Vec<Recorded>> {
    Json(shared.lock().requests.clone())
}

async fn reset(State(shared): State<Arc<Shared>>) -> StatusCode {
    *shared.lock() = Inner::default();
    shared.counts.send_modify(|counts| counts.requests = 0);
    StatusCode::NO_CONTENT
}

async fn add_script(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Script>(&body) {
        Ok(script) => {
            let mut rules = Vec::new();
            flatten(script, &mut rules);
            shared.lock().rules.extend(rules);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, format!("not a script: {error}")).into_response(),
    }
}

fn flatten(script: Script, rules: &mut Vec<Rule>) {
    match script {
        Script::List(list) => list.into_iter().for_each(|script| flatten(script, rules)),
        Script::Matched { when, steps } => rules.push(Rule { when: Some(when), steps: steps.into() }),
        Script::Plain { steps } => rules.push(Rule { when: None, steps: steps.into() }),
        Script::One(step) => rules.push(Rule { when: None, steps: [*step].into() }),
    }
}

type Asked = (State<Arc<Shared>>, Uri, HeaderMap, Json<Value>);

async fn complete((shared, uri, headers, body): Asked) -> Response {
    answer(Dialect::Chat, shared.0, uri, headers, body.0).await
}

async fn respond((shared, uri, headers, body): Asked) -> Response {
    answer(Dialect::Responses, shared.0, uri, headers, body.0).await
}

async fn message((shared, uri, headers, body): Asked) -> Response {
    answer(Dialect::Anthropic, shared.0, uri, headers, body.0).await
}

async fn generate((shared, uri, headers, body): Asked) -> Response {
    answer(Dialect::Gemini, shared.0, uri, headers, body.0).await
}

async fn chat((shared, uri, headers, body): Asked) -> Response {
    answer(Dialect::Ollama, shared.0, uri, headers, body.0).await
}

async fn answer(dialect: Dialect, shared: Arc<Shared>, uri: Uri, headers: HeaderMap, body: Value) -> Response {
    let asked = last_user_text(&body);
    let model = body["model"].as_str().unwrap_or("scripted").to_owned();
    let (mut step, first_call) = {
        let mut inner = shared.lock();
        inner.requests.push(Recorded {
            path: uri.path().to_owned(),
            authorization: ["authorization", "x-api-key", "x-goog-api-key"]
                .iter()
                .find_map(|name| headers.get(*name)?.to_str().ok().map(str::to_owned)),
            body,
        });
        let step = next_step(&mut inner.rules, &asked).unwrap_or_else(|| Step::text("No script."));
        let first_call = inner.call_count;
        inner.call_count += step.tool_calls.len() as u64;
        (step, first_call)
    };
    let mut releases = shared.releases.subscribe();
    let before = *releases.borrow_and_update();
    shared.counts.send_modify(|counts| counts.requests += 1);
    for (n, call) in step.tool_calls.iter_mut().enumerate() {
        call.id.get_or_insert_with(|| format!("call_{}", first_call + n as u64));
    }
    if step.held {
        let _ = releases.wait_for(|releases| *releases > before).await;
    }
    sleep(Duration::from_millis(step.first_byte_ms)).await;
    match step.status {
        Some(status) => refuse(status, &step),
        None => stream(dialect, shared, step, &model),
    }
}

/// Scripts with a condition come first: a plain list is for whatever else is asked.
fn next_step(rules: &mut [Rule], asked: &str) -> Option<Step> {
    let usable = |rule: &Rule| !rule.steps.is_empty();
    let matched = rules
        .iter()
        .position(|rule| usable(rule) && rule.when.as_ref().is_some_and(|when| asked.contains(when.as_str())))
        .or_else(|| rules.iter().position(|rule| usable(rule) && rule.when.is_none()))?;
    rules[matched].steps.pop_front()
}

fn refuse(status: u16, step: &Step) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body =
        step.body.clone().unwrap_or_else(|| json!({"error": {"message": format!("scripted {status}"), "type": "scripted"}}).to_string());
    let mut response = (status, [("content-type", "application/json")], body).into_response();
    if let Some(seconds) = step.retry_after.and_then(|s| s.to_string().parse().ok()) {
        response.headers_mut().insert("retry-after", seconds);
    }
    response
}

/// Counts a stream while it is open, and as abandoned when it is dropped before its end.
struct Open {
    shared: Arc<Shared>,
    complete: bool,
}

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        shared.counts.send_modify(|counts| counts.open += 1);
        Self { shared, complete: false }
    }

    fn complete(mut self) {
        self.complete = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.counts.send_modify(|counts| {
            counts.open -= 1;
            counts.abandoned += usize::from(!self.complete);
        });
    }
}

enum Write {
    Bytes(Vec<u8>),
    Wait(Duration),
    Break,
}

fn stream(dialect: Dialect, shared: Arc<Shared>, step: Step, model: &str) -> Response {
    let content_type = step.content_type.clone().unwrap_or_else(|| dialect.content_type().into());
    let writes = plan_writes(dialect, &step, model);
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(1);
    let open = Open::new(shared);
    tokio::spawn(async move {
        for write in writes {
            let item = match write {
                Write::Bytes(bytes) => Ok(Bytes::from(bytes)),
                Write::Break => Err(io::Error::other("cut by the script")),
                Write::Wait(pause) => {
                    // A pause ends early when nobody listens any more.
                    tokio::select! {
                        () = sleep(pause) => continue,
                        () = sender.closed() => return,
                    }
                }
            };
            if sender.send(item).await.is_err() {
                return;
            }
        }
        open.complete();
    });
    let body = futures::stream::unfold(receiver, |mut receiver| async {
        let item = receiver.recv().await?;
        Some((item, receiver))
    });
    ([("content-type", content_type)], Body::from_stream(body)).into_response()
}

fn plan_writes(dialect: Dialect, step: &Step, model: &str) -> Vec<Write> {
    if let Some(raw) = &step.raw {
        return split(raw, step).into_iter().map(Write::Bytes).collect();
    }
    if dialect != Dialect::Chat {
        return dialects::plan_writes(dialect, step, model);
    }
    let mut plan = Plan { step, model, writes: Vec::new() };
    plan.chunk(json!({"role": "assistant", "content": ""}), None);
    if step.stall_ms > 0 {
        plan.writes.push(Write::Wait(Duration::from_millis(step.stall_ms)));
    }
    for piece in pieces(step.reasoning.as_deref().unwrap_or_default(), step.chunk_chars) {
        plan.chunk(json!({"reasoning_content": piece}), None);
    }
    let text: String = match step.cut_after_chars {
        Some(limit) => step.text.as_deref().unwrap_or_default().chars().take(limit).collect(),
        None => step.text.clone().unwrap_or_default(),
    };
    for (n, piece) in pieces(&text, step.chunk_chars).into_iter().enumerate() {
        plan.chunk(json!({"content": piece}), None);
        if step.malformed && n == 0 {
            plan.event("{\"choices\": [{\"delta\": ");
        }
    }
    if step.cut_after_chars.is_some() {
        if !step.cut_clean {
            plan.writes.push(Write::Break);
        }
        return plan.writes;
    }
    if let Some(message) = &step.error_object {
        plan.event(&json!({"error": {"message": message, "type": "server_error", "code": 500}}).to_string());
        return plan.writes;
    }
    plan.calls();
    plan.end();
    plan.writes
}

struct Plan<'a> {
    step: &'a Step,
    model: &'a str,
    writes: Vec<Write>,
}

impl Plan<'_> {
    fn event(&mut self, data: &str) {
        if self.step.pace_ms > 0 {
            self.writes.push(Write::Wait(Duration::from_millis(self.step.pace_ms)));
        }
        let end = if self.step.crlf { "\r\n" } else { "\n" };
        let ping = if self.step.pings { format!(": ping{end}{end}") } else { String::new() };
        let text = format!("{ping}data: {data}{end}{end}");
        self.writes.extend(split(&text, self.step).into_iter().map(Write::Bytes));
    }

    fn chunk(&mut self, delta: Value, finish: Option<&str>) {
        let chunk = json!({
            "id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0, "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        });
        self.event(&chunk.to_string());
    }

    fn calls(&mut self) {
        let mut waiting: Vec<VecDeque<Value>> =
            self.step.tool_calls.iter().enumerate().map(|(index, call)| call_pieces(index, call, self.step.chunk_chars)).collect();
        if self.step.interleave {
            while waiting.iter().any(|pieces| !pieces.is_empty()) {
                let round: Vec<Value> = waiting.iter_mut().filter_map(VecDeque::pop_front).collect();
                self.chunk(json!({"tool_calls": round}), None);
            }
        }
        for piece in waiting.into_iter().flatten() {
            self.chunk(json!({"tool_calls": [piece]}), None);
        }
    }

    fn end(&mut self) {
        let usual = if self.step.tool_calls.is_empty() { "stop" } else { "tool_calls" };
        let reason = self.step.finish_reason.as_deref().unwrap_or(usual);
        if !reason.is_empty() {
            self.chunk(json!({}), Some(reason));
        }
        if let Some(usage) = &self.step.usage {
            let chunk = json!({"id": "chatcmpl-scripted", "model": self.model, "choices": [], "usage": usage});
            self.event(&chunk.to_string());
        }
        if !self.step.no_done {
            self.event("[DONE]");
        }
        if self.step.hold_ms > 0 {
            self.writes.push(Write::Wait(Duration::from_millis(self.step.hold_ms)));
        }
    }
}

fn call_pieces(index: usize, call: &ScriptedCall, chunk_chars: Option<usize>) -> VecDeque<Value> {
    let arguments = match &call.arguments {
        Value::String(text) => text.clone(),
        Value::Null => "{}".into(),
        other => other.to_string(),
    };
    let mut first = json!({"index": index, "type": "function", "function": {"name": call.name, "arguments": ""}});
    if let Some(id) = call.id.as_deref().filter(|id| !id.is_empty()) {
        first["id"] = json!(id);
    }
    let rest = pieces(&arguments, chunk_chars).into_iter().map(|piece| json!({"index": index, "function": {"arguments": piece}}));
    [first].into_iter().chain(rest).collect()
}

fn pieces(text: &str, chunk_chars: Option<usize>) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(chunk_chars.unwrap_or(8).max(1)).map(|piece| piece.iter().collect()).collect()
}

/// One write, or with `split_bytes` as many as it takes to cut each multi-byte character in two.
fn split(text: &str, step: &Step) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    if !step.split_bytes {
        return vec![bytes.to_vec()];
    }
    let mut writes = Vec::new();
    let mut start = 0;
    for (at, char) in text.char_indices().filter(|(_, char)| char.len_utf8() > 1) {
        let middle = at + char.len_utf8() / 2;
        writes.push(bytes[start..middle].to_vec());
        start = middle;
    }
    writes.push(bytes[start..].to_vec());
    writes
}
