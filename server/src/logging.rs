use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogConfig, LogFormat};

/// Sends logs to stderr: one JSON object a line, or text for people.
pub fn install(config: &LogConfig) {
    let registry = tracing_subscriber::registry().with(EnvFilter::new(&config.filter));
    match config.format {
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            // A second installation (tests in one process) keeps the first.
            let _ = registry.with(layer).try_init();
        }
        LogFormat::Text => {
            let _ = registry.with(fmt::layer().compact().with_writer(std::io::stderr)).try_init();
        }
    }
}
