//! Errors and panics, in Sentry's envelopes. They say what failed and where in the program, and nothing of who was there: of what the
//! log knows only a few fields go along, and in them whatever could be a name, an address, a path or a key is taken out.

use std::{
    net::{IpAddr, SocketAddr},
    panic::PanicHookInfo,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Event, Subscriber, span};
use tracing_subscriber::{Layer, Registry, layer::Context, registry::LookupSpan};
use wire::Micros;

use super::count_dropped;
use crate::{
    config::{AppEnv, SentryDsn},
    logging::Fields,
};

/// A program that fails in a circle must not fill somebody's quota.
const PER_MINUTE: u32 = 60;
const TEXT_MAX: usize = 500;
/// What of an event goes along; its message always does.
const FIELDS: [&str; 4] = ["error", "source", "reason", "backend"];
const TAGS: [&str; 4] = ["request_id", "http.method", "http.route", "job.kind"];

/// Queues reports.
#[derive(Clone)]
pub struct Reporter {
    sender: mpsc::Sender<Value>,
    environment: &'static str,
    /// When this minute began, and reports since.
    pace: Arc<Mutex<(Instant, u32)>>,
}

impl Reporter {
    pub fn new(sender: mpsc::Sender<Value>, env: AppEnv) -> Self {
        let environment = if env == AppEnv::Production { "production" } else { "development" };
        Self { sender, environment, pace: Arc::new(Mutex::new((Instant::now(), 0))) }
    }

    fn report(&self, mut event: Map<String, Value>) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        event.insert("event_id".to_owned(), uuid::Uuid::now_v7().simple().to_string().into());
        event.insert("timestamp".to_owned(), Micros(since.as_micros() as i64).to_rfc3339().into());
        event.insert("platform".to_owned(), "native".into());
        event.insert("environment".to_owned(), self.environment.into());
        event.insert("release".to_owned(), concat!("cloudxdevai@", env!("CARGO_PKG_VERSION")).into());
        if !self.keeps_pace() || self.sender.try_send(Value::Object(event)).is_err() {
            count_dropped("error", 1);
        }
    }

    fn keeps_pace(&self) -> bool {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.0.elapsed() > Duration::from_secs(60) {
            *pace = (Instant::now(), 0);
        }
        pace.1 += 1;
        pace.1 <= PER_MINUTE
    }
}

/// Reports panics besides what was done about them before.
pub fn report_panics(reporter: Reporter) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        reporter.report(describe_panic(info));
        before(info);
    }));
}

/// By which the panic of a request is told from others.
fn current_tags() -> Map<String, Value> {
    let mut tags = Map::new();
    tracing::Span::current().with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>().and_then(|registry| registry.span(id));
        for span in span.iter().flat_map(|span| span.scope().from_root()) {
            if let Some(Tags(known)) = span.extensions().get::<Tags>() {
                tags.extend(known.clone());
            }
        }
    });
    tags
}

fn describe_panic(info: &PanicHookInfo<'_>) -> Map<String, Value> {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    let mut exception = json!({
        "type": "panic",
        "value": scrub(text.unwrap_or("of an unknown kind")),
        "mechanism": { "type": "panic", "handled": false },
    });
    if let Some(at) = info.location() {
        // Of this program's own sources, as they were when it was built.
        let file = at.file().rsplit_once("/src/").map_or(at.file(), |(_, file)| file);
        exception["stacktrace"] = json!({ "frames": [{ "filename": file, "lineno": at.line(), "in_app": true }] });
    }
    let mut event = Map::new();
    event.insert("tags".to_owned(), Value::Object(current_tags()));
    event.insert("level".to_owned(), "fatal".into());
    event.insert("exception".to_owned(), json!({ "values": [exception] }));
    event
}

/// Hears of errors in the log.
pub struct Errors {
    reporter: Reporter,
}

impl Errors {
    pub fn new(reporter: Reporter) -> Self {
        Self { reporter }
    }
}

/// The fields of a span that may go along.
struct Tags(Map<String, Value>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Errors {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = Map::new();
        attributes.record(&mut Fields(&mut fields));
        fields.retain(|name, _| TAGS.contains(&name.as_str()));
        span.extensions_mut().insert(Tags(fields));
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = Map::new();
        event.record(&mut Fields(&mut fields));
        let message = fields.remove("message").and_then(|text| text.as_str().map(scrub)).unwrap_or_default();
        // Reported when it happened.
        if fields.contains_key("panic") {
            return;
        }
        fields.retain(|name, _| FIELDS.contains(&name.as_str()));
        let told =
            fields.into_iter().map(|(name, value)| (name, scrub(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)).into()));
        let mut tags = Map::new();
        if let Some(scope) = ctx.event_scope(event) {
            for span in scope.from_root() {
                if let Some(Tags(known)) = span.extensions().get::<Tags>() {
                    tags.extend(known.clone());
                }
            }
        }
        let mut report = Map::new();
        report.insert("level".to_owned(), "error".into());
        report.insert("logger".to_owned(), event.metadata().target().into());
        report.insert("message".to_owned(), message.into());
        report.insert("tags".to_owned(), Value::Object(tags));
        report.insert("extra".to_owned(), Value::Object(told.collect()));
        self.reporter.report(report);
    }
}

/// Takes out what could be somebody's: what stands in quotes, addresses, paths, and words that look like ids or keys.
pub fn scrub(text: &str) -> String {
    let mut kept = String::new();
    let mut quote: Option<char> = None;
    let mut before = ' ';
    let mut unquoted = String::new();
    for c in text.chars() {
        match quote {
            Some(open) if c == open => {
                quote = None;
                unquoted.push('…');
                unquoted.push(c);
            }
            Some(_) => {}
            // An apostrophe stands within a word.
            None if c == '"' || c == '`' || (c == '\'' && !before.is_alphanumeric()) => {
                quote = Some(c);
                unquoted.push(c);
            }
            None => unquoted.push(c),
        }
        before = c;
    }
    for (place, word) in unquoted.split(' ').enumerate() {
        if place > 0 {
            kept.push(' ');
        }
        kept.push_str(if is_telling(word) { "…" } else { word });
        if kept.len() > TEXT_MAX {
            kept.truncate(kept.floor_char_boundary(TEXT_MAX));
            break;
        }
    }
    kept
}

fn is_telling(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/' && c != ':');
    let is_address = bare.trim_matches(':').parse::<IpAddr>().is_ok() || bare.parse::<SocketAddr>().is_ok();
    let is_key = bare.len() >= 16 && bare.bytes().any(|b| b.is_ascii_digit()) && !bare.contains("::");
    is_address || is_key || bare.contains(['@', '/', '\\']) || bare.contains("cxd_") || bare.contains("cxr_") || bare.starts_with("sk-")
}

pub struct Exporter {
    pub dsn: SentryDsn,
    pub reports: mpsc::Receiver<Value>,
}

impl Exporter {
    pub async fn run(mut self, client: &reqwest::Client, stop: &CancellationToken) {
        let mut told_failure = false;
        loop {
            let report = tokio::select! {
                biased;
                report = self.reports.recv() => report,
                () = stop.cancelled() => None,
            };
            let Some(report) = report else { return };
            let failure = self.send(client, &report).await.err();
            if let Some(error) = &failure {
                count_dropped("error", 1);
                if !told_failure {
                    // As a warning: an error would be reported in turn.
                    tracing::warn!(%error, "errors are not taken by the address of SENTRY_DSN; they are dropped until it answers");
                }
            }
            told_failure = failure.is_some();
        }
    }

    async fn send(&self, client: &reqwest::Client, report: &Value) -> Result<(), String> {
        let payload = report.to_string();
        let head = json!({ "event_id": report["event_id"], "sent_at": report["timestamp"] });
        let item = json!({ "type": "event", "content_type": "application/json", "length": payload.len() });
        let client_name = concat!("cloudxdevai/", env!("CARGO_PKG_VERSION"));
        let auth = format!("Sentry sentry_version=7, sentry_client={client_name}, sentry_key={}", self.dsn.key.expose());
        let request = client
            .post(self.dsn.address.clone())
            .header("content-type", "application/x-sentry-envelope")
            .header("x-sentry-auth", auth)
            .body(format!("{head}\n{item}\n{payload}\n"));
        let response = request.send().await.map_err(|error| error.without_url().to_string())?;
        if response.status().is_success() { Ok(()) } else { Err(format!("it answered {}", response.status())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_somebodys_is_taken_out() {
        for (text, kept) in [
            ("the database does not answer", "the database does not answer"),
            ("can't open it, don't ask", "can't open it, don't ask"),
            ("no user \"ada lovelace\" here", "no user \"…\" here"),
            ("mail to ada@example.org failed", "mail to … failed"),
            ("at /home/ada/x: no such file", "at … no such file"),
            ("from 203.0.113.9:51000 and [2001:db8::1]", "from … and …"),
            ("token cxd_abc is wrong", "token … is wrong"),
            ("key (01a20329-d174-7548-8be8-41c8fc622153) is taken", "key … is taken"),
            ("in sqlx_core::pool::inner2::acquire", "in sqlx_core::pool::inner2::acquire"),
        ] {
            assert_eq!(scrub(text), kept);
        }
        assert!(scrub(&"word ".repeat(1000)).len() <= TEXT_MAX);
    }

    #[test]
    fn a_circle_of_errors_is_cut_short() {
        let (sender, mut reports) = mpsc::channel(1000);
        let reporter = Reporter::new(sender, AppEnv::Development);
        for _ in 0..500 {
            reporter.report(Map::new());
        }
        let mut count = 0;
        while reports.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, PER_MINUTE);
    }
}
