//! What others are told, where the operator asked for it: traces for an OpenTelemetry collector, errors for Sentry.
//!
//! Nobody waits for them: what happened goes into a queue of fixed length, and a thread of its own sends it. What does not fit while a
//! collector is slow or away is dropped and counted.

mod errors;
mod traces;

use std::{sync::mpsc as sync_mpsc, thread, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::Layer;

use crate::{
    config::{AppEnv, TelemetryConfig},
    logging::Listener,
};

/// Spans that wait, and errors.
const SPANS_WAITING: usize = 4096;
const ERRORS_WAITING: usize = 64;
/// A collector that does not answer by then has not taken it.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// What still waits when the process ends gets so long.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The thread that sends. Dropping it lets what waits be lost; [`Telemetry::finish`] does not.
pub struct Telemetry {
    stop: CancellationToken,
    ended: Option<sync_mpsc::Receiver<()>>,
}

/// Starts what is configured. The listeners belong into the log's subscriber.
pub fn start(config: &TelemetryConfig, env: AppEnv) -> (Vec<Listener>, Telemetry) {
    let stop = CancellationToken::new();
    let mut listeners: Vec<Listener> = Vec::new();
    if config.traces.is_none() && config.sentry.is_none() {
        return (listeners, Telemetry { stop, ended: None });
    }
    let traces = config.traces.clone().map(|address| {
        let (sender, spans) = mpsc::channel(SPANS_WAITING);
        listeners.push(traces::Traces::new(sender).with_filter(traces::filter()).boxed());
        traces::Exporter { address, spans }
    });
    let errors = config.sentry.clone().map(|dsn| {
        let (sender, reports) = mpsc::channel(ERRORS_WAITING);
        let reporter = errors::Reporter::new(sender, env);
        errors::report_panics(reporter.clone());
        listeners.push(errors::Errors::new(reporter).with_filter(tracing_subscriber::filter::LevelFilter::ERROR).boxed());
        errors::Exporter { dsn, reports }
    });
    let (tell, ended) = sync_mpsc::channel();
    let stopping = stop.clone();
    let started = thread::Builder::new().name("telemetry".to_owned()).spawn(move || {
        if let Err(error) = send(traces, errors, stopping) {
            tracing::warn!(%error, "traces and errors can't be sent from this process");
        }
        let _ = tell.send(());
    });
    if let Err(error) = started {
        tracing::warn!(%error, "traces and errors can't be sent from this process");
    }
    (listeners, Telemetry { stop, ended: Some(ended) })
}

/// Until `stop`, and then what still waits.
fn send(
    traces: Option<traces::Exporter>,
    errors: Option<errors::Exporter>,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = reqwest::Client::builder().timeout(ANSWER_TIME).redirect(reqwest::redirect::Policy::none()).build()?;
    runtime.block_on(async {
        let traces = async {
            if let Some(exporter) = traces {
                exporter.run(&client, &stop).await;
            }
        };
        let errors = async {
            if let Some(exporter) = errors {
                exporter.run(&client, &stop).await;
            }
        };
        tokio::join!(traces, errors);
    });
    Ok(())
}

impl Telemetry {
    /// Sends what waits, for a few seconds at most.
    pub fn finish(self) {
        self.stop.cancel();
        if let Some(ended) = &self.ended {
            let _ = ended.recv_timeout(LAST_WORDS);
        }
    }
}

fn count_dropped(what: &'static str, count: u64) {
    metrics::counter!("cloudxdevai_telemetry_dropped_total", "what" => what).increment(count);
}
