//! What the program tells operators about itself: metrics, logs, readiness, traces and errors. The real program, from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value as AnyValue,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use serde_json::{Value, json};
use server::{
    config::{AppEnv, Config, SentryDsn, Sources, TelemetryConfig},
    metrics::{Kind, METRICS},
    telemetry,
};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{
    self, PASSWORD, PATIENCE, data_folder,
    program::{Program, free_port},
    read,
};

/// Dashboards and alarms are built on these. A new one is added here; none is renamed or taken away.
const NAMES: &str = "
cloudxdevai_audit_entries_total counter action outcome
cloudxdevai_budget_refusals_total counter scope
cloudxdevai_build_info gauge version
cloudxdevai_db_connections gauge pool state
cloudxdevai_db_query_seconds histogram
cloudxdevai_db_wait_seconds histogram
cloudxdevai_http_request_duration_seconds histogram method route
cloudxdevai_http_requests_in_flight gauge
cloudxdevai_http_requests_total counter method route status
cloudxdevai_job_duration_seconds histogram kind
cloudxdevai_job_oldest_due_seconds gauge
cloudxdevai_job_wait_seconds histogram kind
cloudxdevai_jobs gauge kind state
cloudxdevai_jobs_total counter kind outcome
cloudxdevai_live_streams gauge
cloudxdevai_model_cost_micro_usd_total counter model
cloudxdevai_model_duration_seconds histogram model
cloudxdevai_model_first_token_seconds histogram model
cloudxdevai_model_requests_total counter model outcome
cloudxdevai_model_tokens_total counter kind model
cloudxdevai_rate_limited_total counter route
cloudxdevai_run_duration_seconds histogram kind
cloudxdevai_run_limits_total counter kind limit
cloudxdevai_runs_total counter kind outcome tier
cloudxdevai_sandbox_refusals_total counter reason
cloudxdevai_sign_ins_total counter outcome
cloudxdevai_sockets gauge kind
cloudxdevai_stored_bytes gauge backend
cloudxdevai_telemetry_dropped_total counter what
cloudxdevai_terminals gauge
process_cpu_seconds_total counter
process_max_fds gauge
process_open_fds gauge
process_resident_memory_bytes gauge
process_start_time_seconds gauge
process_threads gauge
";

/// A program that serves, with its log in a file.
struct Place {
    folder: TempDir,
    program: Program,
    metrics: String,
}

impl Place {
    async fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        llm::install_crypto();
        let folder = data_folder();
        let metrics_port = free_port().to_string();
        let own =
            [("METRICS_PORT", metrics_port.as_str()), ("LOG_LEVEL", "info"), ("RATE_LIMIT_ENABLED", "false"), ("DEV_SEED_DATA", "true")];
        let all: Vec<_> = own.iter().chain(settings).copied().collect();
        let program = Program::spawn_logged(folder.path(), free_port(), arguments, &all, &folder.path().join("log"));
        let place = Self { folder, program, metrics: format!("http://127.0.0.1:{metrics_port}/metrics") };
        if arguments[0] == "serve" {
            place.program.ready().await;
        }
        place
    }

    fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }

    /// Lines of the log as JSON.
    fn lines(&self) -> Vec<Value> {
        let text = self.log();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    async fn scrape(&self) -> Scraped {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match reqwest::get(&self.metrics).await {
                Ok(response) => return Scraped::read(&response.error_for_status().unwrap().text().await.unwrap()),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Series by name and labels, as Prometheus reads them.
struct Scraped(BTreeMap<String, f64>);

impl Scraped {
    fn read(text: &str) -> Self {
        let series = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let split = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        };
        Self(series.map(split).collect())
    }

    #[track_caller]
    fn get(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("{series} is not there: {:#?}", self.0.keys().collect::<Vec<_>>()))
    }

    /// Names without what histograms add, each with its labels.
    fn names(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for series in self.0.keys() {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let labels =
                labels.trim_end_matches('}').split("\",").filter_map(|pair| pair.split_once('=')).map(|(label, _)| label.to_owned());
            found.entry(base.to_owned()).or_default().extend(labels.filter(|label| label != "le"));
        }
        found
    }

    /// Series of the program's own metrics.
    fn own(&self) -> BTreeSet<&str> {
        self.0
            .keys()
            .map(String::as_str)
            .filter(|name| name.starts_with("cloudxdevai_http") || name.starts_with("cloudxdevai_runs"))
            .collect()
    }
}

#[test]
fn names_are_those_that_dashboards_know() {
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let mut lines: Vec<String> = METRICS
        .iter()
        .map(|metric| {
            let mut labels = metric.labels.to_vec();
            labels.sort_unstable();
            format!("{} {} {}", metric.name, kind(metric.kind), labels.join(" ")).trim_end().to_owned()
        })
        .collect();
    lines.sort();
    assert_eq!(lines.join("\n"), NAMES.trim());
    let guide = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md"));
    for metric in METRICS {
        assert!(guide.contains(&format!("`{}`", metric.name)), "{} is not in docs/operations.md", metric.name);
    }
}

#[tokio::test]
async fn metrics_count_what_happens_and_a_thousand_paths_are_one_label() {
    let place = Place::start(&["serve"], &[]).await;
    let first = place.scrape().await;
    assert!(first.get("process_resident_memory_bytes") > 1e6 && first.get("process_threads") >= 1.0);
    assert!(first.get("process_open_fds") > 3.0 && first.get("process_start_time_seconds") > 1.7e9);

    let nobody = place.program.caller();
    let body = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    nobody.post("/api/auth/register", &body).await.expect(201);
    assert_eq!(nobody.login("ada", "wrong password here").await.status, 401);
    let ada = nobody.sign_in("ada", PASSWORD).await;
    let project = ada.post("/api/projects", &json!({ "name": "X" })).await.expect(201).id();
    let get = |path: String| {
        let ada = ada.clone();
        async move { ada.get(&path).await.status }
    };
    assert_eq!(get(format!("/api/projects/{project}/files/first")).await, 404);
    ada.send(ada.request("BREW".parse().unwrap(), "/api/projects")).await;
    nobody.get("/nothing/here").await;
    // A command, and an answer of the demonstration.
    let run =
        ada.post(&format!("/api/projects/{project}/runs"), &json!({ "kind": "sandbox_exec", "command": "true" })).await.expect(202).id();
    let deadline = Instant::now() + PATIENCE;
    while !["succeeded", "failed"].contains(&ada.get(&format!("/api/runs/{run}")).await.field("state").as_str().unwrap_or_default()) {
        assert!(Instant::now() < deadline, "the run does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ada.post("/api/v1/generate", &json!({ "prompt": "Say something" })).await.expect(200);
    let events = ada.follow("/api/live/user:me?after=0").await.unwrap();

    let before = place.scrape().await;
    for (name, labels) in before.names() {
        let metric = METRICS.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name} has no line in the list"));
        let known: BTreeSet<String> = metric.labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(labels, known, "labels of {name}");
    }
    let count = |scraped: &Scraped| {
        scraped.get("cloudxdevai_http_requests_total{method=\"GET\",route=\"/api/projects/{id}/files/{*path}\",status=\"4xx\"}")
    };
    assert_eq!(before.get("cloudxdevai_sign_ins_total{outcome=\"done\"}"), 1.0);
    assert_eq!(before.get("cloudxdevai_sign_ins_total{outcome=\"refused\"}"), 1.0);
    assert_eq!(before.get("cloudxdevai_live_streams"), 1.0);
    assert!(before.get("cloudxdevai_db_query_seconds_count") > 20.0 && before.get("cloudxdevai_db_wait_seconds_count") > 20.0);
    assert!(before.get("cloudxdevai_db_connections{pool=\"write\",state=\"most\"}") >= 1.0);
    assert_eq!(before.get("cloudxdevai_jobs_total{kind=\"sandbox_exec\",outcome=\"done\"}"), 1.0);
    assert_eq!(before.get("cloudxdevai_job_wait_seconds_count{kind=\"sandbox_exec\"}"), 1.0);
    assert!(before.0.keys().any(|name| name.starts_with("cloudxdevai_runs_total{kind=\"sandbox_exec\"")));
    assert!(before.0.keys().any(|name| name.starts_with("cloudxdevai_model_requests_total") && name.contains("outcome=\"ok\"")));
    assert!(before.0.keys().any(|name| name.contains("method=\"other\"")), "made-up methods share a label");
    assert!(!before.0.keys().any(|name| name.contains(&project) || name.contains("ada")), "no ids and no names");

    let mut all = Vec::new();
    for number in 0..1000 {
        all.push(get(format!("/api/projects/{project}/files/folder-{number}/file-{number}.txt")));
        all.push(get(format!("/nothing/{number}")));
        if all.len() >= 50 {
            futures::future::join_all(all.drain(..)).await;
        }
    }
    futures::future::join_all(all).await;
    drop(events);
    let after = place.scrape().await;
    assert_eq!(after.own().difference(&before.own()).collect::<Vec<_>>(), Vec::<&&str>::new(), "labels do not grow with what is asked for");
    assert_eq!(count(&after) - count(&before), 1000.0);
    let deadline = Instant::now() + PATIENCE;
    while place.scrape().await.get("cloudxdevai_live_streams") > 0.0 {
        assert!(Instant::now() < deadline, "a stream that nobody reads is still counted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(place.scrape().await.get("cloudxdevai_http_requests_in_flight") < 1.0);
}

#[tokio::test]
async fn a_worker_serves_metrics_and_a_taken_port_is_no_reason_to_stop() {
    let worker = Place::start(&["worker"], &[]).await;
    assert!(worker.scrape().await.get("process_cpu_seconds_total") >= 0.0);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let place = Place::start(&["serve", "--no-worker"], &[("METRICS_PORT", &port)]).await;
    place.program.caller().get("/healthz").await.expect(200);
    let warning =
        place.lines().into_iter().find(|line| line["message"].as_str().is_some_and(|text| text.starts_with("metrics are not served")));
    let warning = warning.expect("it is told in the log");
    assert!(warning["level"] == "WARN" && warning["error"].as_str().unwrap().contains("in use"), "{warning}");
    assert!(warning["message"].as_str().unwrap().contains("METRICS_PORT"));
}

#[tokio::test]
async fn the_log_says_whose_request_it_was_and_never_a_secret() {
    let settings = [("LOG_LEVEL", "debug"), ("LOG_FORMAT", "json"), ("PROMETHEUS_ENABLED", "false"), ("AI_ALLOWED_HOSTS", "*")];
    let place = Place::start(&["serve", "--no-worker"], &settings).await;
    let nobody = place.program.caller();
    let mut secrets = vec![PASSWORD.to_owned(), support::SECRET.to_owned()];
    let body = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    let id = nobody.post("/api/auth/register", &body).await.expect(201).id();
    nobody.login("ada", "another wrong password").await;
    secrets.push("another wrong password".to_owned());
    let tokens = nobody.login("ada", PASSWORD).await.expect(200);
    for field in ["access_token", "refresh_token"] {
        secrets.push(tokens.field(field).as_str().unwrap().to_owned());
    }
    let ada = nobody.with_tokens(tokens.json());
    let again = nobody.post("/api/auth/refresh", &json!({ "refresh_token": ada.refresh_token })).await.expect(200);
    secrets.push(again.field("refresh_token").as_str().unwrap().to_owned());
    let browser = nobody.form("/fn/auth/login", &[("username", "ada"), ("password", PASSWORD)]).await;
    secrets.push(browser.set_cookie().unwrap().split(['=', ';']).nth(1).unwrap().to_owned());

    let made = ada.post("/api/users/me/tokens", &json!({ "name": "ci", "scopes": ["read"] })).await.expect(201);
    let token = made.field("secret").as_str().unwrap().to_owned();
    nobody.with_bearer(&token).get("/api/projects").await.expect(200);
    nobody.with_bearer(&format!("{token}x")).get("/api/projects").await.expect(401);
    let key = "sk-kept-under-seal-0123456789abcdef";
    let provider = json!({ "name": "Other", "kind": "openai_chat", "base_url": "https://api.openai.com/v1", "key": key });
    ada.post("/api/admin/model-providers", &provider).await.expect(201);
    let body = json!({ "email": "ben@example.org", "username": "ben", "password": PASSWORD });
    let ben = nobody.post("/api/auth/register", &body).await.expect(201).id();
    let link = ada.post(&format!("/api/admin/users/{ben}/reset-link"), &json!({})).await;
    let path = link.field("url_path").as_str().unwrap_or_else(|| panic!("{link:?}")).to_owned();
    let reset = path.split_once("token=").unwrap().1.to_owned();
    nobody.get(&path).await;
    nobody.post("/api/auth/reset", &json!({ "token": reset, "new_password": "a lantern by the mill" })).await.expect(204);
    secrets.extend([token, key.to_owned(), reset, "a lantern by the mill".to_owned()]);

    let project = ada.post("/api/projects", &json!({ "name": "X" })).await.expect(201).id();
    let written =
        ada.put(&format!("/api/projects/{project}/files/private-name.txt"), Some(("if-none-match", "*")), "private content").await;
    let request_id = written.expect(201).header("x-request-id").unwrap().to_owned();
    let deadline = Instant::now() + PATIENCE;
    let answered = loop {
        let found =
            place.lines().into_iter().find(|line| line["request_id"] == request_id.as_str() && line["message"] == "request answered");
        if let Some(line) = found {
            break line;
        }
        assert!(Instant::now() < deadline, "no line about the request");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((&answered["http.method"], &answered["status"]), (&json!("PUT"), &json!(201)));
    assert_eq!(answered["http.route"], "/api/projects/{id}/files/{*path}", "the pattern, which holds no file name");
    assert_eq!((answered["user.id"].as_str(), answered["project.id"].as_str()), (Some(id.as_str()), Some(project.as_str())));
    assert!(answered["duration_ms"].as_f64().unwrap() > 0.0 && answered["timestamp"].as_str().unwrap().ends_with('Z'));
    let log = place.log();
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{secret:?} is in the log");
    }
    assert!(!log.contains("private content") && !log.contains("private-name"), "nor what people keep here");
}

#[tokio::test]
async fn slow_queries_are_told_with_their_text_and_their_request() {
    let settings = [("SLOW_QUERY_MS", "0"), ("LOG_LEVEL", "warn"), ("PROMETHEUS_ENABLED", "false")];
    let place = Place::start(&["serve", "--no-worker"], &settings).await;
    let nobody = place.program.caller();
    let body = json!({ "email": "slow@example.org", "username": "slowly", "password": PASSWORD });
    let reply = nobody.post("/api/auth/register", &body).await.expect(201);
    let request_id = reply.header("x-request-id").unwrap();
    let lines = place.lines();
    let statement = |line: &Value| line["db.statement"].as_str().unwrap_or_default().to_owned();
    let slow = lines.iter().find(|line| line["request_id"] == request_id && statement(line).contains("INSERT INTO users"));
    let slow = slow.expect("the statement is told with the request that it was for");
    assert!(slow["message"].as_str().unwrap().contains("slow") && statement(slow).contains("$1"), "{slow}");
    assert!(slow["elapsed_secs"].as_f64().is_some() && slow["http.route"] == "/api/auth/register", "{slow}");
    assert!(!place.log().contains("slow@example.org") && !place.log().contains("slowly"), "values are not told");
}

#[tokio::test]
async fn readiness_names_each_part_and_says_why_one_fails() {
    let place = Place::start(&["serve"], &[("PROMETHEUS_ENABLED", "false")]).await;
    let nobody = place.program.caller();
    let health = nobody.get("/readyz").await.expect(200).json::<Value>();
    let checks = health["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    for part in ["database", "migrations", "file storage", "job queue", "redis", "sandbox", "disk"] {
        assert!(names.contains(&part), "{part} is not named: {names:?}");
    }
    assert!(checks.iter().all(|check| !check["reason"].as_str().unwrap().is_empty()), "{health}");
    let blobs = place.folder.path().join("data/blobs");
    std::fs::rename(&blobs, place.folder.path().join("away")).unwrap();
    std::fs::write(&blobs, "in the way").unwrap();
    // An answer is shared for a second.
    let deadline = Instant::now() + PATIENCE;
    let until = async |status: u16| loop {
        let reply = nobody.get("/readyz").await;
        if reply.status == status {
            return reply;
        }
        assert!(Instant::now() < deadline, "still {}", reply.status);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let health = until(503).await.json::<Value>();
    let storage = health["checks"].as_array().unwrap().iter().find(|check| check["name"] == "file storage").unwrap().clone();
    assert!(storage["state"] == "failed" && storage["advice"].is_string(), "{storage}");
    nobody.get("/healthz").await.expect(200);
    std::fs::remove_file(&blobs).unwrap();
    std::fs::rename(place.folder.path().join("away"), &blobs).unwrap();
    until(200).await;
}

/// Takes what programs report, and remembers it.
#[derive(Clone, Default)]
struct Collector {
    got: Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>,
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let take = |path: &'static str| {
            post(move |State(collector): State<Collector>, headers: HeaderMap, body: Bytes| async move {
                collector.got.lock().unwrap().push((path.to_owned(), headers, body));
                "{}"
            })
        };
        let router =
            Router::new().route("/v1/traces", take("traces")).route("/api/42/envelope/", take("errors")).with_state(collector.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let of_traces = got.iter().filter(|(path, ..)| path == "traces");
        let decoded = of_traces.map(|(_, headers, body)| {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            ExportTraceServiceRequest::decode(body.clone()).expect("a well-formed request")
        });
        let resources = decoded.flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// The events of the envelopes.
    fn errors(&self) -> Vec<Value> {
        let got = self.got.lock().unwrap();
        let of_errors = got.iter().filter(|(path, ..)| path == "errors");
        let read = |body: &Bytes| {
            let text = std::str::from_utf8(body).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let item: Value = serde_json::from_str(lines[1]).unwrap();
            assert_eq!((&item["type"], item["length"].as_u64()), (&json!("event"), Some(lines[2].len() as u64)));
            let event: Value = serde_json::from_str(lines[2]).unwrap();
            assert_eq!(serde_json::from_str::<Value>(lines[0]).unwrap()["event_id"], event["event_id"]);
            event
        };
        let events = of_errors.map(|(_, headers, body)| {
            assert!(headers["x-sentry-auth"].to_str().unwrap().contains("sentry_key=abc"));
            read(body)
        });
        events.collect()
    }

    async fn until<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "it never arrived");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?.value?;
    Some(match value {
        AnyValue::StringValue(text) => text,
        AnyValue::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

#[tokio::test]
async fn traces_and_errors_arrive_well_formed_and_without_people() {
    let (collector, address) = Collector::start().await;
    let (dsn, endpoint) = (format!("http://abc@{address}/42"), format!("http://{address}"));
    let settings = [("SENTRY_DSN", dsn.as_str()), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("LOG_LEVEL", "error")];
    let place = Place::start(&["serve"], &settings).await;
    let nobody = place.program.caller();
    let body = json!({ "email": "ada@example.org", "username": "ada-lovelace", "password": PASSWORD });
    nobody.post("/api/auth/register", &body).await.expect(201);
    let ada = nobody.sign_in("ada-lovelace", PASSWORD).await;
    let project = ada.post("/api/projects", &json!({ "name": "X" })).await.expect(201).id();
    ada.post("/api/v1/generate", &json!({ "prompt": "Say something" })).await.expect(200);
    ada.post(&format!("/api/projects/{project}/exports"), &json!({})).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    ada.send(ada.request(reqwest::Method::GET, &format!("/api/projects/{project}")).header("traceparent", parent)).await.expect(200);

    let request = collector
        .until(|c| c.spans().into_iter().find(|span| span.parent_span_id == [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]))
        .await;
    assert_eq!(request.name, "GET /api/projects/{id}");
    assert_eq!(request.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes(), "another service's trace goes on");
    assert!(request.kind == SpanKind::Server as i32 && request.end_time_unix_nano > request.start_time_unix_nano);
    assert_eq!(attribute(&request, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(attribute(&request, "project.id"), Some(project.clone()));
    let model = collector.until(|c| c.spans().into_iter().find(|span| span.name.starts_with("chat "))).await;
    assert_eq!((model.kind, attribute(&model, "outcome").as_deref()), (SpanKind::Client as i32, Some("ok")));
    let job = collector.until(|c| c.spans().into_iter().find(|span| span.name == "job export")).await;
    assert_eq!((job.kind, attribute(&job, "job.outcome").as_deref()), (SpanKind::Consumer as i32, Some("done")));
    for span in collector.spans() {
        assert!(span.trace_id.len() == 16 && span.span_id.len() == 8 && span.trace_id.iter().any(|byte| *byte != 0));
        assert!(span.attributes.iter().all(|attribute| !format!("{attribute:?}").contains("lovelace")), "{span:?}");
    }

    // Something breaks.
    let url = format!("sqlite:{}", place.folder.path().join("data/cloudxdevai.db").display());
    let database = sqlx::SqlitePool::connect(&url).await.unwrap();
    sqlx::query("ALTER TABLE permission_rules RENAME TO gone").execute(&database).await.unwrap();
    database.close().await;
    let refused = ada.get(&format!("/api/projects/{project}/permissions")).await.expect(500);
    let request_id = refused.header("x-request-id").unwrap().to_owned();
    let error = collector.until(|c| c.errors().into_iter().find(|error| error["tags"]["request_id"] == request_id.as_str())).await;
    assert_eq!((&error["message"], &error["level"]), (&json!("a request failed"), &json!("error")));
    assert!(error["extra"]["error"].as_str().unwrap().contains("no such table"), "{error}");
    assert_eq!(error["tags"]["http.route"], "/api/projects/{id}/permissions");
    assert!(error["release"].as_str().unwrap().starts_with("cloudxdevai@") && error["platform"] == "native");
    for report in collector.errors() {
        let text = report.to_string();
        let user = ada.user.as_ref().unwrap().id.to_string();
        for person in ["lovelace", "example.org", "127.0.0.1", user.as_str(), project.as_str()] {
            assert!(!text.contains(person), "{person} is in {text}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_reported_without_what_it_says_of_people() {
    llm::install_crypto();
    let (collector, address) = Collector::start().await;
    let dsn = format!("http://abc@{address}/42");
    let folder = data_folder();
    let data = folder.path().to_str().unwrap().to_owned();
    let config = Config::from_sources(Sources::of_values([("DATA_DIR", data.as_str()), ("SENTRY_DSN", &dsn)])).unwrap();
    let sentry: SentryDsn = config.telemetry.sentry.unwrap();
    let (_listeners, running) = telemetry::start(&TelemetryConfig { sentry: Some(sentry), traces: None }, AppEnv::Development);
    let panicked = std::thread::spawn(|| panic!("no entry for ada@example.org at /home/ada/secret")).join();
    assert!(panicked.is_err());
    tokio::task::spawn_blocking(|| running.finish()).await.unwrap();
    let report = collector.errors().remove(0);
    let exception = &report["exception"]["values"][0];
    assert_eq!((&exception["type"], &exception["value"]), (&json!("panic"), &json!("no entry for … at …")));
    assert!(exception["stacktrace"]["frames"][0]["lineno"].as_u64().unwrap() > 0, "{report}");
}

#[tokio::test]
async fn a_dead_collector_slows_nothing_down() {
    // It takes connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let held = Arc::new(Mutex::new(Vec::new()));
    let holding = held.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            holding.lock().unwrap().push(stream);
        }
    });
    let (dsn, endpoint) = (format!("http://abc@{address}/42"), format!("http://{address}"));
    let settings = [("SENTRY_DSN", dsn.as_str()), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let place = Place::start(&["serve", "--no-worker"], &settings).await;
    let nobody = place.program.caller();
    let deadline = Instant::now() + PATIENCE;
    while held.lock().unwrap().is_empty() {
        nobody.get("/").await;
        assert!(Instant::now() < deadline, "nothing was sent to the collector");
    }
    let began = Instant::now();
    for _ in 0..6000 / 50 {
        futures::future::join_all((0..50).map(|_| nobody.get("/healthz"))).await;
    }
    // One that waited for the collector would take far longer, however busy the machine is.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let dropped = place.scrape().await.0.get("cloudxdevai_telemetry_dropped_total{what=\"span\"}").copied().unwrap_or_default();
    assert!(dropped > 0.0, "what does not fit is counted");
    let began = Instant::now();
    place.program.terminate();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
