use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    Services,
    health::{self, Figures},
};
use metrics::gauge;
use tokio::sync::Mutex;

/// The database is asked at most this often, however many ask for metrics.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// What does not answer by then keeps the figures it had.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is looked at when somebody asks.
pub struct State {
    services: Arc<Services>,
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    at: Option<Instant>,
    /// Labels that had a figure: they get a 0 once there is none.
    jobs: BTreeSet<(String, String)>,
    stored: BTreeSet<String>,
}

impl State {
    pub fn new(services: Arc<Services>) -> Self {
        Self { services, asked: Mutex::default() }
    }

    pub async fn look(&self) {
        for pool in self.services.db.pools() {
            for (state, count) in [("used", pool.used), ("idle", pool.idle), ("most", pool.most)] {
                gauge!("cloudxdevai_db_connections", "pool" => pool.name, "state" => state).set(f64::from(count));
            }
        }
        let Ok(mut asked) = self.asked.try_lock() else { return };
        if asked.at.is_some_and(|at| at.elapsed() < ASK_EVERY) {
            return;
        }
        asked.at = Some(Instant::now());
        match tokio::time::timeout(PATIENCE, health::figures(&self.services)).await {
            Ok(Ok(figures)) => asked.show(figures),
            Ok(Err(error)) => tracing::warn!(%error, "the figures of the queue could not be read for the metrics"),
            Err(_) => tracing::warn!("the database did not answer in time for the metrics"),
        }
    }
}

impl Asked {
    fn show(&mut self, figures: Figures) {
        let mut now: BTreeSet<(String, String)> = BTreeSet::new();
        for (kind, state, count) in figures.jobs {
            gauge!("cloudxdevai_jobs", "kind" => kind.clone(), "state" => state.clone()).set(count as f64);
            now.insert((kind, state));
        }
        for (kind, state) in self.jobs.difference(&now) {
            gauge!("cloudxdevai_jobs", "kind" => kind.clone(), "state" => state.clone()).set(0.0);
        }
        self.jobs.extend(now);
        gauge!("cloudxdevai_job_oldest_due_seconds").set(figures.oldest_due_s);
        for backend in self.stored.iter().filter(|known| figures.stored.iter().all(|(backend, _)| backend != *known)) {
            gauge!("cloudxdevai_stored_bytes", "backend" => backend.clone()).set(0.0);
        }
        for (backend, bytes) in figures.stored {
            self.stored.insert(backend.clone());
            gauge!("cloudxdevai_stored_bytes", "backend" => backend).set(bytes as f64);
        }
    }
}
