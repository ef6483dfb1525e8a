//! Logs to stderr: one JSON object a line, or text for people.

use std::{fmt, time::SystemTime};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{JsonFields, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};
use wire::Micros;

use crate::config::{LogConfig, LogFormat};

/// Sends what happens to somebody besides the log.
pub type Listener = Box<dyn Layer<Registry> + Send + Sync>;

/// Writes the log. A second installation (tests in one process) keeps the first.
pub fn install(config: &LogConfig) {
    install_with(config, Vec::new());
}

/// As [`install`], with others who listen. What they hear does not depend on the level of the log.
pub fn install_with(config: &LogConfig, mut listeners: Vec<Listener>) {
    let filter = EnvFilter::new(&config.filter);
    let lines: Listener = match config.format {
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().event_format(JsonLine).fmt_fields(JsonFields::new());
            layer.with_writer(std::io::stderr).with_filter(filter).boxed()
        }
        LogFormat::Text => tracing_subscriber::fmt::layer().compact().with_writer(std::io::stderr).with_filter(filter).boxed(),
    };
    listeners.push(lines);
    let _ = tracing_subscriber::registry().with(listeners).try_init();
}

/// One object a line: what the event says, beside what its spans say (the request, its caller, the job), the inner ones first.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), now().into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("target".to_owned(), metadata.target().into());
        if let Some(scope) = ctx.event_scope() {
            for span in scope.from_root() {
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<N>>().map(|fields| fields.fields.as_str()).unwrap_or_default();
                if let Ok(fields) = serde_json::from_str::<Map<String, Value>>(fields) {
                    line.extend(fields);
                }
            }
        }
        event.record(&mut Fields(&mut line));
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Micros(since.as_micros() as i64).to_rfc3339()
}

/// Fields of an event as JSON.
pub struct Fields<'a>(pub &'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}
