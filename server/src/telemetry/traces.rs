//! Requests, jobs and calls of models as spans, in OTLP over HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{self as proto, ResourceSpans, ScopeSpans, Status, span::SpanKind, status::StatusCode},
};
use prost::Message;
use rand::Rng;
use serde_json::{Map, Value};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{
    Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    filter::{FilterFn, filter_fn},
    layer::Context,
    registry::LookupSpan,
};
use url::Url;

use super::count_dropped;
use crate::logging::Fields;

/// Spans of one message.
const BATCH: usize = 512;
const SEND_EVERY: Duration = Duration::from_secs(2);
/// Characters of one attribute.
const TEXT_MAX: usize = 256;

/// The spans that are told, by their names in the code.
const TOLD: [&str; 3] = ["request", "job", "model"];

pub fn filter() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata: &Metadata<'_>| metadata.is_span() && TOLD.contains(&metadata.name()))
}

/// Hears of spans and queues those that have ended.
pub struct Traces {
    sender: mpsc::Sender<Span>,
}

pub struct Span {
    trace: [u8; 16],
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    name: &'static str,
    /// Nanoseconds since 1970.
    began: u64,
    ended: u64,
    fields: Map<String, Value>,
}

impl Traces {
    pub fn new(sender: mpsc::Sender<Span>) -> Self {
        Self { sender }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = Map::new();
        attributes.record(&mut Fields(&mut fields));
        let parent = span.parent().and_then(|parent| parent.extensions().get::<Span>().map(|known| (known.trace, known.id)));
        let (trace, parent) = parent.map_or_else(|| (rand::rng().random(), None), |(trace, id)| (trace, Some(id)));
        let new = Span { trace, id: rand::rng().random(), parent, name: attributes.metadata().name(), began: now(), ended: 0, fields };
        span.extensions_mut().insert(new);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(known) = extensions.get_mut::<Span>() else { return };
        values.record(&mut Fields(&mut known.fields));
        // Another service's trace goes on here.
        if let Some(Value::String(parent)) = known.fields.remove("traceparent")
            && let Some((trace, id)) = read_parent(&parent)
        {
            (known.trace, known.parent) = (trace, Some(id));
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let Some(mut ended) = span.extensions_mut().remove::<Span>() else { return };
        ended.ended = now();
        if self.sender.try_send(ended).is_err() {
            count_dropped("span", 1);
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn read_parent(text: &str) -> Option<([u8; 16], [u8; 8])> {
    let mut parts = text.split('-').skip(1);
    let trace: [u8; 16] = hex::decode(parts.next()?).ok()?.try_into().ok()?;
    let span: [u8; 8] = hex::decode(parts.next()?).ok()?.try_into().ok()?;
    (trace != [0; 16] && span != [0; 8]).then_some((trace, span))
}

pub struct Exporter {
    pub address: Url,
    pub spans: mpsc::Receiver<Span>,
}

impl Exporter {
    pub async fn run(mut self, client: &reqwest::Client, stop: &CancellationToken) {
        let mut told_failure = false;
        loop {
            let (batch, is_last) = self.gather(stop).await;
            if !batch.is_empty() {
                let count = batch.len() as u64;
                let failure = self.send(client, batch).await.err();
                if let Some(error) = &failure {
                    count_dropped("span", count);
                    // Said once, until it works again.
                    if !told_failure {
                        tracing::warn!(%error, "traces are not taken by the collector; they are dropped until it answers");
                    }
                }
                told_failure = failure.is_some();
            }
            if is_last || (stop.is_cancelled() && self.spans.is_empty()) {
                return;
            }
        }
    }

    /// What ends within a while, or as much as one message takes. And whether nothing more can come.
    async fn gather(&mut self, stop: &CancellationToken) -> (Vec<Span>, bool) {
        let deadline = Instant::now() + SEND_EVERY;
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            tokio::select! {
                biased;
                received = timeout_at(deadline, self.spans.recv()) => match received {
                    Ok(Some(span)) => batch.push(span),
                    Ok(None) => return (batch, true),
                    Err(_) => break,
                },
                () = stop.cancelled() => break,
            }
        }
        (batch, false)
    }

    async fn send(&self, client: &reqwest::Client, batch: Vec<Span>) -> Result<(), String> {
        let request =
            client.post(self.address.clone()).header("content-type", "application/x-protobuf").body(request_of(batch).encode_to_vec());
        let response = request.send().await.map_err(|error| error.without_url().to_string())?;
        if response.status().is_success() { Ok(()) } else { Err(format!("it answered {}", response.status())) }
    }
}

/// What is sent for a batch, and who sends it.
fn request_of(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let version = env!("CARGO_PKG_VERSION");
    let about = [("service.name", "cloudxdevai".into()), ("service.version", version.into()), ("process.pid", std::process::id().into())];
    let resource = Resource { attributes: about.iter().map(|(name, value)| attribute(name, value)).collect(), ..Resource::default() };
    let scope = InstrumentationScope { name: "cloudxdevai".to_owned(), version: version.to_owned(), ..InstrumentationScope::default() };
    let of_scope = ScopeSpans { scope: Some(scope), spans: spans.into_iter().map(Span::into_message).collect(), ..ScopeSpans::default() };
    let of_resource = ResourceSpans { resource: Some(resource), scope_spans: vec![of_scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }
}

impl Span {
    fn into_message(self) -> proto::Span {
        let (name, kind) = match self.name {
            "request" => (format!("{} {}", self.word("http.method"), self.word("http.route")), SpanKind::Server),
            "model" => (format!("chat {}", self.word("model")), SpanKind::Client),
            _ => (format!("job {}", self.word("job.kind")), SpanKind::Consumer),
        };
        let failed = self.has_failed().then(|| Status { code: StatusCode::Error.into(), ..Status::default() });
        proto::Span {
            trace_id: self.trace.to_vec(),
            span_id: self.id.to_vec(),
            parent_span_id: self.parent.map(|id| id.to_vec()).unwrap_or_default(),
            name,
            kind: kind.into(),
            start_time_unix_nano: self.began,
            end_time_unix_nano: self.ended,
            attributes: self.fields.iter().map(|(name, value)| attribute(known_as(name), value)).collect(),
            status: failed,
            ..proto::Span::default()
        }
    }

    fn word(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn has_failed(&self) -> bool {
        let status = self.fields.get("status").and_then(Value::as_u64);
        status.is_some_and(|status| status >= 500) || self.word("job.outcome") == "failed" || self.word("outcome") == "failed"
    }
}

/// Names that dashboards know.
fn known_as(name: &str) -> &str {
    match name {
        "http.method" => "http.request.method",
        "status" => "http.response.status_code",
        "request_id" => "request.id",
        "model" => "gen_ai.request.model",
        other => other,
    }
}

fn attribute(name: &str, value: &Value) -> KeyValue {
    let short = |text: &str| any_value::Value::StringValue(text.chars().take(TEXT_MAX).collect());
    let value = match value {
        Value::Bool(on) => any_value::Value::BoolValue(*on),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => any_value::Value::IntValue(whole),
            (None, Some(part)) => any_value::Value::DoubleValue(part),
            (None, None) => short(&number.to_string()),
        },
        Value::String(text) => short(text),
        other => short(&other.to_string()),
    };
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn with_nobody_left_to_tell_of_spans_it_ends() {
        llm::install_crypto();
        let (sender, spans) = mpsc::channel(1);
        drop(sender);
        let exporter = Exporter { address: "http://127.0.0.1:9".parse().unwrap(), spans };
        let (client, stop) = (reqwest::Client::new(), CancellationToken::new());
        tokio::time::timeout(Duration::from_secs(10), exporter.run(&client, &stop)).await.expect("it ends by itself");
    }
}
