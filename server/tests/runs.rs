//! Commands in the real sandbox, over REST.

mod support;

use std::time::Duration;

use serde_json::json;
use support::{PASSWORD, SECRET, TestApp, caller::Caller, data_folder, fixture};
use wire::{
    event::EventKind,
    runs::{ExitKind, Run, RunState},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_prints_ends_and_saves_what_it_changed() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "in.txt", "41\n").await;
    let run = fixture::run(&ada, &id, "echo out; echo err >&2; echo $(( $(cat in.txt) + 1 )) > answer.txt; exit 3").await;
    let exit = run.exit.clone().unwrap();
    assert_eq!((run.state, exit.kind, exit.code, exit.left_alive), (RunState::Failed, ExitKind::Exited, Some(3), 0), "{exit:?}");
    let output = fixture::output(&ada, &run).await;
    assert!(output.contains("out\n") && output.contains("err\n"), "{output}");
    assert_eq!(run.changes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["answer.txt"]);
    assert_eq!(&ada.get(&format!("/api/projects/{id}/files/answer.txt")).await.expect(200).body[..], b"42\n");
    assert!(run.usage.is_some_and(|u| u.output_bytes == 8) && run.tier.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_sees_what_was_edited_in_between() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let etag = fixture::file(&ada, &id, "a.txt", "one").await;
    let first = fixture::run(&ada, &id, "cat a.txt").await;
    assert_eq!(fixture::output(&ada, &first).await, "one");
    ada.put(&format!("/api/projects/{id}/files/a.txt"), Some(("if-match", &etag)), "two").await.expect(200);
    let second = fixture::run(&ada, &id, "cat a.txt").await;
    assert_eq!((fixture::output(&ada, &second).await.as_str(), second.state), ("two", RunState::Succeeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_answers_when_nothing_is_left_alive() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let run = fixture::start_run(&ada, &id, "trap '' TERM INT; (setsid sleep 300 &) ; echo ready; sleep 300").await;
    let mut events = ada.follow(&format!("/api/live/run:{}", run.id)).await.unwrap();
    events.until(|e| matches!(e.kind, EventKind::Output { .. })).await;
    let cancelled: Run = ada.post(&format!("/api/runs/{}/cancel", run.id), &json!({})).await.expect(200).json();
    let exit = cancelled.exit.unwrap();
    assert_eq!((cancelled.state, exit.kind, exit.left_alive), (RunState::Cancelled, ExitKind::Cancelled, 0));
    let rest = events.rest().await;
    assert!(matches!(rest.last().unwrap().kind, EventKind::RunFinished { state: RunState::Cancelled, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_run_is_cancelled_without_a_worker() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let run = fixture::start_run(&ada, &id, "true").await;
    assert_eq!(run.state, RunState::Queued);
    let cancelled: Run = ada.post(&format!("/api/runs/{}/cancel", run.id), &json!({})).await.expect(200).json();
    assert_eq!(cancelled.state, RunState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_is_ended() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let body = json!({ "kind": "sandbox_exec", "command": "sleep 60", "timeout_s": 1 });
    let run: Run = ada.post(&format!("/api/projects/{id}/runs"), &body).await.expect(202).json();
    let run = fixture::finished(&ada, &run).await;
    assert_eq!((run.state, run.exit.unwrap().kind), (RunState::TimedOut, ExitKind::TimedOut));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_sees_neither_the_server_nor_its_settings() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let database = app.data.path().join("data/cloudxdevai.db");
    let control = std::fs::metadata(&database).is_ok() || std::env::var("TEST_DATABASE_URL").is_ok();
    assert!(control, "the file that must not be seen is there");
    let command = format!("env; cat {} && echo LEAKED; ls /proc | grep -c '^[0-9]'", database.display());
    let run = fixture::run(&ada, &id, &command).await;
    let output = fixture::output(&ada, &run).await;
    assert!(!output.contains("LEAKED") && !output.contains("JWT") && !output.contains(SECRET), "{output}");
    assert!(!output.contains("CARGO_"), "the server's environment is not passed on: {output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_is_refused_by_field() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let body = json!({ "kind": "sandbox_exec", "command": " ", "cwd": "../x", "timeout_s": 0 });
    let problem = ada.post(&format!("/api/projects/{id}/runs"), &body).await.expect(422).problem();
    let fields: Vec<_> = problem.fields.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["command", "cwd", "timeout_s"]);
}

/// The real program, killed hard in the middle of a run and started again.
struct Program {
    process: std::process::Child,
    base: String,
}

impl Program {
    async fn start(data: &std::path::Path, port: u16) -> Self {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cloudxdevai"));
        command.arg("serve").current_dir(data).env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("APP_PORT", port.to_string()).env("DATA_DIR", data.join("data")).env("JWT_SECRET_KEY", SECRET).env("LOG_LEVEL", "warn");
        let process = command.spawn().unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while reqwest::get(format!("{base}/healthz")).await.is_err() {
            assert!(std::time::Instant::now() < deadline, "the program did not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { process, base }
    }

    fn caller(&self) -> Caller {
        Caller::new(&self.base, reqwest::Client::new())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_tells_the_run_as_lost_and_loses_no_event() {
    llm::install_crypto();
    let data = data_folder();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let first = Program::start(data.path(), port).await;
    let body = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    first.caller().post("/api/auth/register", &body).await.expect(201);
    let ada = first.caller().sign_in("ada", PASSWORD).await;
    let id = fixture::project(&ada, "P").await;
    let run = fixture::start_run(&ada, &id, "echo before; sleep 300").await;
    let mut events = ada.follow(&format!("/api/live/run:{}", run.id)).await.unwrap();
    let reached = events.until(|e| matches!(e.kind, EventKind::Output { .. } | EventKind::RunFinished { .. })).await;
    if matches!(reached.kind, EventKind::RunFinished { .. }) {
        eprintln!("skipped: no sandbox on this machine");
        return;
    }
    drop(first);

    let second = Program::start(data.path(), port).await;
    let ada = second.caller().sign_in("ada", PASSWORD).await;
    let events = ada.follow(&format!("/api/live/run:{}?after=0", run.id)).await.unwrap().rest().await;
    let sequence: Vec<_> = events.iter().map(|e| e.seq).collect();
    assert_eq!(sequence, (1..=events.len() as i64).collect::<Vec<_>>(), "nothing lost, nothing twice");
    let run: Run = ada.get(&format!("/api/runs/{}", run.id)).await.expect(200).json();
    assert_eq!((run.state, run.exit.unwrap().kind), (RunState::Lost, ExitKind::Lost));
    assert_eq!(fixture::output(&ada, &fixture::run(&ada, &id, "echo again").await).await, "again\n");
}
