//! Commands in the real sandbox, over REST.

use std::time::Duration;

use serde_json::json;
use wire::{
    event::EventKind,
    runs::{ExitKind, Run, RunState},
};

use crate::support::{PASSWORD, SECRET, TestApp, caller::Caller, data_folder, fixture};

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

/// The fields that a refusal names.
async fn refused(caller: &Caller, project: &str, body: &serde_json::Value) -> Vec<(String, String)> {
    let problem = caller.post(&format!("/api/projects/{project}/runs"), body).await.expect(422).problem();
    problem.fields.into_iter().map(|f| (f.field, f.message)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_is_refused_by_field() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "src/a.txt", "a").await;
    let body = json!({ "kind": "sandbox_exec", "command": " ", "cwd": "../x", "timeout_s": 0 });
    let fields = refused(&ada, &id, &body).await;
    assert_eq!(fields.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), ["command", "cwd", "timeout_s"]);
    for (field, says, body) in [
        ("kind", "Choose sandbox_exec, test_runner, codegen", json!({ "kind": "shell", "command": "true" })),
        ("kind", "terminals", json!({ "kind": "terminal", "command": "true" })),
        ("command", "what the agent should do", json!({ "kind": "codegen" })),
        ("command", "32 KiB", json!({ "command": "x".repeat(1 << 20) })),
        ("cwd", "no directory nowhere", json!({ "command": "true", "cwd": "nowhere" })),
        ("cwd", "not a directory", json!({ "command": "true", "cwd": "src/a.txt" })),
        ("env", "BAD NAME", json!({ "command": "true", "env": { "BAD NAME": "1" } })),
        ("timeout_s", "600 seconds", json!({ "command": "true", "timeout_s": 601 })),
        ("timeout_s", "u32", json!({ "command": "true", "timeout_s": "soon" })),
        ("network", "administrator", json!({ "command": "true", "network": "allow_list" })),
        ("network", "allow_list", json!({ "command": "true", "network": "all" })),
    ] {
        let fields = refused(&ada, &id, &body).await;
        assert!(fields.len() == 1 && fields[0].0 == field && fields[0].1.contains(says), "{says}: {fields:?}");
    }
    let huge = json!({ "command": "x".repeat(10 << 20) });
    ada.post(&format!("/api/projects/{id}/runs"), &huge).await.expect(413).problem();
    let runs: wire::Page<Run> = ada.get(&format!("/api/projects/{id}/runs")).await.expect(200).json();
    assert!(runs.items.is_empty() && runs.next_cursor.is_none(), "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrators_limits_hold() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let address = "/api/admin/settings/runs";
    let mut settings: serde_json::Value = ada.get(address).await.expect(200).json();
    settings["sandbox_exec"]["wall_s"] = json!(1);
    settings["test_runner"]["output_bytes"] = json!(65536);
    settings["sandbox_exec"]["memory_bytes"] = json!(1);
    let problem = ada.send(ada.request(reqwest::Method::PUT, address).json(&settings)).await.expect(422).problem();
    assert_eq!(problem.fields[0].field, "sandbox_exec.memory_bytes");
    settings["sandbox_exec"]["memory_bytes"] = json!(64 << 20);
    ada.send(ada.request(reqwest::Method::PUT, address).json(&settings)).await.expect(200);
    ben.get(address).await.expect(403);

    let id = fixture::project(&ben, "P").await;
    let slow = fixture::run(&ben, &id, "sleep 60").await;
    assert_eq!((slow.state, slow.exit.unwrap().kind), (RunState::TimedOut, ExitKind::TimedOut));
    // Kinds have limits of their own, and the sentence reaches row and event.
    let body = json!({ "kind": "test_runner", "command": "sleep 1.2; yes" });
    let started: Run = ben.post(&format!("/api/projects/{id}/runs"), &body).await.expect(202).json();
    let mut events = ben.follow(&format!("/api/live/run:{}", started.id)).await.unwrap();
    let end = events.until(|e| matches!(e.kind, EventKind::RunFinished { .. })).await;
    let run: Run = ben.get(&format!("/api/runs/{}", started.id)).await.expect(200).json();
    let exit = run.exit.unwrap();
    assert!(exit.kind == ExitKind::OutputLimit && exit.sentence.contains("64 KiB"), "{exit:?}");
    assert!(matches!(end.kind, EventKind::RunFinished { exit: told, .. } if told == exit));
    assert_eq!(fixture::output(&ben, &fixture::finished(&ben, &started).await).await.len(), 65536);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_tells_what_it_uses_and_what_listens_in_it() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let serve = "import http.server; http.server.HTTPServer(('127.0.0.1', 8123), http.server.SimpleHTTPRequestHandler).serve_forever()";
    let body = json!({ "command": format!("python3 -c \"{serve}\""), "env": { "TOKEN": "hidden" } });
    let run: Run = ada.post(&format!("/api/projects/{id}/runs"), &body).await.expect(202).json();
    assert_eq!(run.env_names, ["TOKEN"]);
    let mut events = ada.follow(&format!("/api/live/run:{}", run.id)).await.unwrap();
    let mut sampled = false;
    let listening = events.until(|e| {
        sampled |= matches!(e.kind, EventKind::RunSampled { memory_bytes, .. } if memory_bytes > 0);
        matches!(&e.kind, EventKind::PortsChanged { ports } if !ports.is_empty())
    });
    assert!(matches!(&listening.await.kind, EventKind::PortsChanged { ports } if ports[0].port == 8123));
    if !sampled {
        events.until(|e| matches!(e.kind, EventKind::RunSampled { memory_bytes, .. } if memory_bytes > 0)).await;
    }
    let shown: Run = ada.get(&format!("/api/runs/{}", run.id)).await.expect(200).json();
    assert_eq!(shown.ports.iter().map(|p| p.port).collect::<Vec<_>>(), [8123]);
    let text = ada.get(&format!("/api/runs/{}", run.id)).await;
    assert!(!String::from_utf8_lossy(&text.body).contains("hidden"));
    ada.post(&format!("/api/runs/{}/cancel", run.id), &json!({})).await.expect(200);
    let ended: Run = ada.get(&format!("/api/runs/{}", run.id)).await.expect(200).json();
    assert!(ended.ports.is_empty(), "nothing listens after the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_quick_and_may_come_twice() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let run = fixture::start_run(&ada, &id, "trap '' TERM INT; echo ready; while :; do sleep 0.1; done").await;
    let mut events = ada.follow(&format!("/api/live/run:{}", run.id)).await.unwrap();
    events.until(|e| matches!(e.kind, EventKind::Output { .. })).await;
    let address = format!("/api/runs/{}/cancel", run.id);
    let (began, nothing) = (std::time::Instant::now(), json!({}));
    let (first, second) = tokio::join!(ada.post(&address, &nothing), ada.post(&address, &nothing));
    let took = began.elapsed();
    for reply in [first, second] {
        let stopped: Run = reply.expect(200).json();
        assert_eq!((stopped.state, stopped.exit.unwrap().left_alive), (RunState::Cancelled, 0));
    }
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_paged_and_finished_ones_can_go() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let mut started = Vec::new();
    for _ in 0..3 {
        started.insert(0, fixture::start_run(&ada, &id, "true").await);
    }
    let first: wire::Page<Run> = ada.get(&format!("/api/projects/{id}/runs?limit=2")).await.expect(200).json();
    let cursor = first.next_cursor.unwrap();
    let second: wire::Page<Run> = ada.get(&format!("/api/projects/{id}/runs?limit=2&cursor={cursor}")).await.expect(200).json();
    let ids: Vec<_> = first.items.iter().chain(&second.items).map(|run| run.id).collect();
    assert_eq!((ids, second.next_cursor), (started.iter().map(|run| run.id).collect(), None));
    let address = format!("/api/runs/{}", started[0].id);
    ada.delete(&address).await.expect(409).problem();
    ada.post(&format!("{address}/cancel"), &json!({})).await.expect(200);
    ada.delete(&address).await.expect(204);
    ada.get(&address).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_run_brings_a_report() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let body = json!({ "kind": "test_runner" });
    assert_eq!(refused(&ada, &id, &body).await[0].0, "command", "nothing to test");
    let code = "import unittest\n\nclass Sums(unittest.TestCase):\n    def test_good(self):\n        self.assertEqual(1 + 1, 2)\n\n    \
                def test_bad(self):\n        self.assertEqual(1 + 1, 3)\n";
    fixture::file(&ada, &id, "test_sums.py", code).await;
    let run: Run = ada.post(&format!("/api/projects/{id}/runs"), &body).await.expect(202).json();
    let run = fixture::finished(&ada, &run).await;
    let output = fixture::output(&ada, &run).await;
    let report = run.tests.unwrap_or_else(|| panic!("no report: {output}"));
    assert_eq!((run.state, report.passed, report.failed, report.cases.len()), (RunState::Failed, 1, 1, 2), "{:?} {output}", run.exit);
    let listed: wire::Page<Run> = ada.get(&format!("/api/projects/{id}/runs")).await.expect(200).json();
    let listed = listed.items[0].tests.clone().unwrap();
    assert_eq!((listed.passed, listed.failed, listed.cases.len()), (1, 1, 0), "lists come without cases");
    let bad = report.cases.iter().find(|case| case.name.contains("test_bad")).unwrap();
    let again = json!({ "kind": "test_runner", "only": [bad.id] });
    let run: Run = ada.post(&format!("/api/projects/{id}/runs"), &again).await.expect(202).json();
    let report = fixture::finished(&ada, &run).await.tests.unwrap();
    assert_eq!((report.passed, report.failed), (0, 1), "only what had failed");
}

/// Memory of this process.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_never_read_hold_nothing_up() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let other = fixture::project(&ada, "Other").await;
    fixture::run(&ada, &id, "true").await;
    let command = "sleep 0.5; head -c 60000000 /dev/zero | tr '\\0' 'x'; echo the end";
    let run = fixture::start_run(&ada, &id, command).await;
    let address = format!("/api/live/run:{}", run.id);
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(ada.follow(&address).await.unwrap());
    }
    let before = resident();
    let mut most = before;
    let (mut slowest, mut slowest_save) = (Duration::ZERO, Duration::ZERO);
    let began = std::time::Instant::now();
    loop {
        let asked = std::time::Instant::now();
        let shown: Run = ada.get(&format!("/api/runs/{}", run.id)).await.expect(200).json();
        slowest = slowest.max(asked.elapsed());
        let asked = std::time::Instant::now();
        fixture::file(&ada, &other, &format!("{}.txt", began.elapsed().as_nanos()), "x").await;
        slowest_save = slowest_save.max(asked.elapsed());
        most = most.max(resident());
        if shown.state.is_finished() {
            assert_eq!((shown.state, shown.usage.unwrap().output_bytes), (RunState::Succeeded, 60_000_008));
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the job is held up");
        // Held up, they would wait until the job ends or is given up.
        assert!(slowest.max(slowest_save) < Duration::from_secs(10), "others are held up: {slowest:?}, {slowest_save:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let grown = most.saturating_sub(before) >> 20;
    eprintln!(
        "60 MB of output in {:?}, memory grew by {grown} MiB, slowest other request {slowest:?}, save {slowest_save:?}",
        began.elapsed()
    );
    assert!(grown < 64, "memory grew by {grown} MiB");
    // A late reader, and one who comes to read at last, get the end of it.
    for reader in [ada.follow(&address).await.unwrap(), idle.pop().unwrap()] {
        let mut events = reader.rest().await;
        let mut connections = 1;
        // A connection that takes nothing for long is given up; its reader comes back, as a browser does.
        while !events.last().is_some_and(|event| event.kind.is_terminal()) {
            assert!(connections < 3, "cut off again and again: {:?}", events.last());
            let after = events.last().map_or(0, |event| event.seq);
            events.extend(ada.follow(&format!("{address}?after={after}")).await.unwrap().rest().await);
            connections += 1;
        }
        assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
        let (mut sent, mut dropped) = (0, 0);
        for event in &events {
            match &event.kind {
                EventKind::OutputDropped { bytes } => dropped += bytes,
                kind => sent += kind.output_range().map_or(0, |range| range.end - range.start),
            }
        }
        assert_eq!(sent + dropped, 60_000_008);
        // What was on its way before the reader fell behind, and the end.
        let most = 2_000_000 * connections + (began.elapsed().as_secs_f64() * 1_000_000.0) as i64 + (1 << 20);
        assert!(dropped > 0 && sent <= most, "{sent} of at most {most}");
    }
    let tail = ada.get(&format!("/api/runs/{}/output?tail=10", run.id)).await.expect(200).body;
    assert_eq!(&tail[..], b"xxthe end\n");
    assert_eq!(ada.get(&format!("/api/runs/{}/output", run.id)).await.expect(200).body.len(), 60_000_008);
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
        fixture::skip("no sandbox on this machine");
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
