use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric by the name that dashboards know it by. Names and labels stay; what is new is added.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// Each has few different values: a pattern, a word of ours, a model's name.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn metric(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind, labels, help }
}

use Kind::{Counter, Gauge, Histogram};

/// Every metric there is.
pub const METRICS: &[Metric] = &[
    metric("cloudxdevai_build_info", Gauge, &["version"], "Always 1; the version is its label."),
    metric("cloudxdevai_http_requests_total", Counter, &["method", "route", "status"], "Answers by route (a pattern) and class of status."),
    metric("cloudxdevai_http_request_duration_seconds", Histogram, &["method", "route"], "Time to the head of an answer."),
    metric("cloudxdevai_http_requests_in_flight", Gauge, &[], "Requests that are not answered yet."),
    metric("cloudxdevai_rate_limited_total", Counter, &["route"], "Answers with status 429."),
    metric("cloudxdevai_live_streams", Gauge, &[], "Open event streams."),
    metric("cloudxdevai_sockets", Gauge, &["kind"], "Open sockets: terminal or generate."),
    metric("cloudxdevai_terminals", Gauge, &[], "Terminals that run in this process."),
    metric("cloudxdevai_sign_ins_total", Counter, &["outcome"], "Sign-ins by how they ended: done, refused, second_factor_refused."),
    metric("cloudxdevai_audit_entries_total", Counter, &["action", "outcome"], "Entries given to the audit log."),
    metric("cloudxdevai_db_query_seconds", Histogram, &[], "Time of one query with its rows."),
    metric("cloudxdevai_db_wait_seconds", Histogram, &[], "Time that somebody waited for a connection to the database."),
    metric("cloudxdevai_db_connections", Gauge, &["pool", "state"], "Connections to the database: used, idle, and the most there may be."),
    metric("cloudxdevai_jobs", Gauge, &["kind", "state"], "Jobs of the installation that are queued, running or dead (given up)."),
    metric("cloudxdevai_job_oldest_due_seconds", Gauge, &[], "How long the job that is due for longest has waited."),
    metric("cloudxdevai_jobs_total", Counter, &["kind", "outcome"], "Attempts at jobs that ended in this process."),
    metric("cloudxdevai_job_wait_seconds", Histogram, &["kind"], "Time from when a job was due until it was taken."),
    metric("cloudxdevai_job_duration_seconds", Histogram, &["kind"], "Time of one attempt at a job."),
    metric("cloudxdevai_runs_total", Counter, &["kind", "outcome", "tier"], "Runs by how they ended and the tier of the sandbox."),
    metric("cloudxdevai_run_limits_total", Counter, &["kind", "limit"], "Runs that were ended because they reached a limit."),
    metric("cloudxdevai_run_duration_seconds", Histogram, &["kind"], "Time that runs took."),
    metric("cloudxdevai_sandbox_refusals_total", Counter, &["reason"], "Commands that the sandbox did not start."),
    metric("cloudxdevai_model_requests_total", Counter, &["model", "outcome"], "Calls of models: ok, failed, stopped or lost."),
    metric("cloudxdevai_model_first_token_seconds", Histogram, &["model"], "Time to the first token of an answer."),
    metric("cloudxdevai_model_duration_seconds", Histogram, &["model"], "Time of a call of a model."),
    metric(
        "cloudxdevai_model_tokens_total",
        Counter,
        &["model", "kind"],
        "Tokens: input, output, and cached, which are part of the input.",
    ),
    metric("cloudxdevai_model_cost_micro_usd_total", Counter, &["model"], "What calls of models cost, in millionths of a US dollar."),
    metric("cloudxdevai_budget_refusals_total", Counter, &["scope"], "Calls of models that a budget had no room for."),
    metric("cloudxdevai_stored_bytes", Gauge, &["backend"], "Bytes of the files that projects show now, by where they are kept."),
    metric("cloudxdevai_telemetry_dropped_total", Counter, &["what"], "Spans and errors that a collector did not take in time."),
    metric("process_resident_memory_bytes", Gauge, &[], "Memory of this process."),
    metric("process_cpu_seconds_total", Counter, &[], "Processor time of this process."),
    metric("process_open_fds", Gauge, &[], "Open file descriptors of this process."),
    metric("process_max_fds", Gauge, &[], "The most file descriptors that this process may have."),
    metric("process_threads", Gauge, &[], "Threads of this process."),
    metric("process_start_time_seconds", Gauge, &[], "When this process began, in seconds since 1970."),
];

/// Gives each its line of help.
pub fn describe_all() {
    for metric in METRICS {
        let unit = match metric.name {
            name if name.ends_with("_seconds") || name.ends_with("_seconds_total") => Unit::Seconds,
            name if name.ends_with("_bytes") => Unit::Bytes,
            _ => Unit::Count,
        };
        match metric.kind {
            Counter => describe_counter!(metric.name, unit, metric.help),
            Gauge => describe_gauge!(metric.name, unit, metric.help),
            Histogram => describe_histogram!(metric.name, unit, metric.help),
        }
    }
}
