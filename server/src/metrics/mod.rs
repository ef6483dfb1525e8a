//! Figures for Prometheus, on a listener of their own: whoever may reach it may read it, so it is no part of the site.
//!
//! What is counted is counted where it happens, by the macros of the crate `metrics`, which cost next to nothing while nobody listens.
//! What is a state rather than an event is looked at when somebody asks.

mod names;
mod process;
mod state;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use domain::Services;
use metrics::Gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use names::{Kind, METRICS, Metric};

use crate::{config::MetricsConfig, serve};

/// How often what was measured is sorted into its buckets, so that it takes no room until somebody asks.
const SORT_EVERY: Duration = Duration::from_secs(5);
/// From a query of an index to a run of an hour.
const SECONDS: [f64; 17] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0];

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Answers `GET /metrics` until `stop`. An address that can't be had is told in the log, and everything else goes on.
pub async fn start(config: &MetricsConfig, services: &Arc<Services>, stop: &CancellationToken) {
    if !config.enabled {
        return;
    }
    let address = SocketAddr::new(config.host, config.port);
    match open(address, services, stop).await {
        Ok(address) => tracing::info!(%address, "metrics are served"),
        Err(error) => tracing::warn!(
            %address, %error,
            "metrics are not served: their address can't be had. Choose another with METRICS_HOST and METRICS_PORT, or set PROMETHEUS_ENABLED to false"
        ),
    }
}

async fn open(address: SocketAddr, services: &Arc<Services>, stop: &CancellationToken) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let recorder = install().ok_or_else(|| io::Error::other("something else records metrics in this process"))?;
    let state = Arc::new(state::State::new(services.clone()));
    let router = Router::new()
        .route("/metrics", get(render))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(Page { recorder: recorder.clone(), state });
    tokio::spawn(serve::listen(listener, router, stop.clone()));
    let stop = stop.clone();
    tokio::spawn(async move {
        while tokio::time::timeout(SORT_EVERY, stop.cancelled()).await.is_err() {
            recorder.run_upkeep();
        }
    });
    Ok(address)
}

/// One recorder in a process; `None` where another kind was installed before.
fn install() -> Option<PrometheusHandle> {
    if let Some(recorder) = RECORDER.get() {
        return Some(recorder.clone());
    }
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS).ok()?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    names::describe_all();
    metrics::gauge!("cloudxdevai_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Some(RECORDER.get_or_init(|| handle).clone())
}

#[derive(Clone)]
struct Page {
    recorder: PrometheusHandle,
    state: Arc<state::State>,
}

async fn render(State(page): State<Page>) -> impl IntoResponse {
    process::look();
    page.state.look().await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.recorder.render())
}

/// Something that is counted while it lasts.
pub struct Counted(Gauge);

impl Counted {
    pub fn begin(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
