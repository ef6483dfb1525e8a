//! Turns whose worker is killed or stopped, and that go on at another one: on a disk of its own, or on the same disk.

use std::time::{Duration, Instant};

use serde_json::json;
use store::Db;
use tokio::time::sleep;
use wire::{
    TurnId,
    changes::ChangeSet,
    chat::{ConversationView, MessageBody, Turn, TurnReason, TurnStarted},
    event::{Event, EventKind},
    runs::{ExitKind, Run, RunState},
};

use super::{
    marker,
    processes::{Installation, Process, alive_with},
};
use crate::support::{
    Caller, Events, PASSWORD, fixture,
    model_server::{ModelServer, Step},
    redis_server::Redis,
};

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(25);

/// A server, somebody with a project, and a first worker.
struct Desk {
    ada: Caller,
    project: String,
    conversation: String,
    model: ModelServer,
    first: Process,
    _server: Process,
    installation: Installation,
    _redis: Redis,
}

impl Desk {
    /// `None`, said out loud, where it can't be tested.
    async fn start() -> Option<Self> {
        let redis = Redis::start()?;
        let model = ModelServer::start().await;
        let address: &'static str = model.base_url().leak();
        let settings = vec![
            ("OPENAI_BASE_URL", address),
            ("OPENAI_API_KEY", "sk-test"),
            ("AI_DEFAULT_MODEL", "scripted"),
            ("WORKER_CONCURRENCY", "2"),
        ];
        let installation = Installation::new(Some(redis.url()), settings).await?;
        let server = installation.server("server");
        server.ready().await;
        let first = installation.worker("worker-a");
        let nobody = Caller::new(&server.base, reqwest::Client::builder().no_proxy().build().unwrap());
        let account = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
        nobody.post("/api/auth/register", &account).await.expect(201);
        let ada = nobody.sign_in("ada", PASSWORD).await;
        let project = fixture::project(&ada, "Moved").await;
        fixture::file(&ada, &project, "there.txt", "there\n").await;
        let conversation = ada.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
        let tried = fixture::run(&ada, &project, "true").await;
        let exit = tried.exit.as_ref().expect("it has ended");
        if exit.kind == ExitKind::Refused {
            eprintln!("*** moved turns not tested: no sandbox on this machine: {} ***", exit.sentence);
            return None;
        }
        Some(Self { ada, project, conversation, model, first, _server: server, installation, _redis: redis })
    }

    async fn begin(&self, mode: &str, steps: Vec<Step>) -> Watch {
        self.model.script(steps);
        let body = json!({ "prompt": "Go", "mode": mode });
        let started = self.ada.post(&format!("/api/conversations/{}/turns", self.conversation), &body).await.expect(202);
        let turn = started.json::<TurnStarted>().turn_id;
        let events = self.ada.follow(&format!("/api/live/turn:{turn}")).await.unwrap();
        Watch { turn, events, seen: Vec::new() }
    }

    async fn approve(&self, turn: TurnId, call: &str) {
        let answer = json!({ "decision": "approve" });
        self.ada.post(&format!("/api/turns/{turn}/approvals/{call}"), &answer).await.expect(204);
    }

    /// As if the half minute were over for which a worker that says nothing keeps its jobs.
    async fn let_leases_run_out(&self) {
        let db = self.installation.database().await;
        let Db::Postgres(pool) = &db else { unreachable!("several processes share a PostgreSQL") };
        let expired = sqlx::query("UPDATE jobs SET lease_until = 0 WHERE state = 'running'").execute(pool).await.unwrap();
        assert_eq!(expired.rows_affected(), 1, "the turn's job is the only one");
    }

    /// As if the worker had died right after it had asked, before it could say that its job is done.
    async fn forget_the_end_of_the_job(&self) {
        let db = self.installation.database().await;
        let Db::Postgres(pool) = &db else { unreachable!("several processes share a PostgreSQL") };
        let sql = "UPDATE jobs SET state = 'running', finished_at = NULL, lease_owner = 'gone', lease_until = 0 WHERE kind = 'agent_turn'";
        assert_eq!(sqlx::query(sql).execute(pool).await.unwrap().rows_affected(), 1);
    }

    /// Holds the end of a turn against what holds for every turn, however often it moved.
    async fn check(&self, watch: Watch) -> Ended {
        let turn = watch.turn;
        let seen = watch.rest().await;
        let found: Turn = self.ada.get(&format!("/api/turns/{turn}")).await.expect(200).json();
        assert_eq!(found.reason, Some(TurnReason::Done), "{found:?}");
        self.check_log(turn, &seen).await;
        let view: ConversationView = self.ada.get(&format!("/api/conversations/{}?limit=1000", self.conversation)).await.expect(200).json();
        let bodies: Vec<MessageBody> = view.messages.into_iter().map(|message| message.body).collect();
        check_text(&seen, &bodies);
        check_calls(&seen, &bodies);
        let changed = match found.change_set_id {
            Some(_) => {
                let set: ChangeSet = self.ada.get(&format!("/api/turns/{turn}/changes")).await.expect(200).json();
                set.files.into_iter().map(|file| file.path).collect()
            }
            None => Vec::new(),
        };
        let is_lost = |body: &MessageBody| match body {
            MessageBody::Note { text } if text.contains("was lost with the worker") => Some(text.clone()),
            _ => None,
        };
        let lost: Vec<String> = bodies.iter().filter_map(is_lost).collect();
        let told = self.model.requests().last().unwrap().body.to_string();
        for note in &lost {
            assert!(told.contains(note), "the model was not told: {note}");
        }
        let resumed = seen.iter().filter(|event| matches!(event.kind, EventKind::TurnResumed { .. })).count();
        Ended { changed, lost, resumed, bodies }
    }

    /// Every event once and in order, as it is written down.
    async fn check_log(&self, turn: TurnId, seen: &[Event]) {
        let db = self.installation.database().await;
        let Db::Postgres(pool) = &db else { unreachable!("several processes share a PostgreSQL") };
        let log: Vec<(i64, String)> = sqlx::query_as("SELECT seq, body FROM events WHERE stream = $1 ORDER BY seq")
            .bind(format!("turn:{turn}"))
            .fetch_all(pool)
            .await
            .unwrap();
        assert_eq!(log.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=log.len() as i64).collect::<Vec<_>>());
        let stored: Vec<(i64, EventKind)> = log.iter().map(|(seq, body)| (*seq, serde_json::from_str(body).unwrap())).collect();
        assert_eq!(seen.iter().map(|event| (event.seq, event.kind.clone())).collect::<Vec<_>>(), stored);
    }
}

/// What became of a turn.
struct Ended {
    changed: Vec<String>,
    /// The notes on branches that were lost.
    lost: Vec<String>,
    resumed: usize,
    bodies: Vec<MessageBody>,
}

impl Ended {
    /// Whether each call of a tool went well, and what the model was told.
    fn results(&self, tool: &str) -> Vec<(bool, &str)> {
        let result = |body| match body {
            &MessageBody::Tool { ref name, ok, ref content, .. } if name == tool => Some((ok, content.as_str())),
            _ => None,
        };
        self.bodies.iter().filter_map(result).collect()
    }
}

/// Somebody who looks at a turn all the time.
struct Watch {
    turn: TurnId,
    events: Events,
    seen: Vec<Event>,
}

impl Watch {
    async fn until(&mut self, what: &str, mut fits: impl FnMut(&EventKind) -> bool) -> EventKind {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "{what} did not come: {:#?}", self.seen);
            let event = self.events.next().await.unwrap_or_else(|| panic!("the turn ended before {what}: {:#?}", self.seen)).event;
            self.seen.push(event.clone());
            if fits(&event.kind) {
                return event.kind;
            }
        }
    }

    /// Until the model speaks after a tool has been used.
    async fn until_mid_stream(&mut self) {
        self.until("the result of a tool", |kind| matches!(kind, EventKind::ToolFinished { .. })).await;
        self.until("words", |kind| matches!(kind, EventKind::TextDelta { .. })).await;
    }

    async fn until_asked(&mut self) -> String {
        let asked = self.until("a question", |kind| matches!(kind, EventKind::ApprovalAsked { .. })).await;
        let EventKind::ApprovalAsked { call_id, .. } = asked else { unreachable!() };
        call_id
    }

    async fn until_resumed(&mut self) {
        self.until("another worker", |kind| matches!(kind, EventKind::TurnResumed { .. })).await;
    }

    async fn rest(mut self) -> Vec<Event> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(frame) = self.events.next().await {
            assert!(Instant::now() < deadline, "the turn does not end: {:#?}", self.seen);
            self.seen.push(frame.event);
        }
        self.seen
    }
}

/// What people saw of each answer, without what a restart made void, is what the transcript holds.
fn check_text(seen: &[Event], bodies: &[MessageBody]) {
    let (mut whole, mut open) = (Vec::new(), String::new());
    for event in seen {
        match &event.kind {
            EventKind::TextDelta { text } => open.push_str(text),
            EventKind::Usage { .. } => whole.push(std::mem::take(&mut open)),
            EventKind::TurnResumed { .. } => open.clear(),
            _ => {}
        }
    }
    let said: Vec<&str> = bodies
        .iter()
        .filter_map(|body| match body {
            MessageBody::Assistant { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(whole, said);
}

/// Each call is told to have begun once and to have ended once, and has one result.
fn check_calls(seen: &[Event], bodies: &[MessageBody]) {
    let calls = bodies.iter().flat_map(|body| match body {
        MessageBody::Assistant { tool_calls, .. } => tool_calls.as_slice(),
        _ => &[],
    });
    for call in calls {
        let is_told = |begun: bool| {
            let fits = |kind: &EventKind| match kind {
                EventKind::ToolCalled { call_id, .. } => begun && *call_id == call.id,
                EventKind::ToolFinished { call_id, .. } => !begun && *call_id == call.id,
                _ => false,
            };
            seen.iter().filter(|event| fits(&event.kind)).count()
        };
        let results = bodies.iter().filter(|body| matches!(body, MessageBody::Tool { call_id, .. } if *call_id == call.id)).count();
        assert_eq!((is_told(true), is_told(false), results), (1, 1, 1), "{call:?}");
    }
}

fn writes(path: &str) -> Step {
    Step { usage: usage(), ..Step::text(format!("Writing {path}.")) }.and_call("write_file", json!({ "path": path, "content": "x\n" }))
}

fn runs(command: &str) -> Step {
    Step { usage: usage(), ..Step::text("Running it.") }.and_call("run_command", json!({ "command": command }))
}

/// An answer that takes seconds.
fn talks() -> Step {
    Step { pace_ms: 25, chunk_chars: Some(8), usage: usage(), ..Step::text("Words that go on for a while. ".repeat(60)) }
}

fn says(text: &str) -> Step {
    Step { usage: usage(), ..Step::text(text) }
}

fn usage() -> Option<serde_json::Value> {
    Some(json!({ "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_cut_off_in_mid_stream_goes_on_at_another_disk_and_says_what_is_gone() {
    let Some(mut desk) = Desk::start().await else { return };
    let mut watch = desk.begin("auto", vec![writes("first.txt"), talks(), writes("second.txt"), says("Done.")]).await;
    watch.until_mid_stream().await;
    let _second = desk.installation.worker("worker-b");
    desk.first.kill();
    desk.let_leases_run_out().await;
    let ended = desk.check(watch).await;
    assert_eq!((ended.resumed, ended.changed.as_slice()), (1, ["second.txt".to_owned()].as_slice()));
    assert!(ended.lost.len() == 1 && ended.lost[0].contains("this is gone: the edits of first.txt."), "{:?}", ended.lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_up_after_its_turn_was_taken_writes_nothing_more() {
    let Some(mut desk) = Desk::start().await else { return };
    let goes_on = talks().and_call("write_file", json!({ "path": "second.txt", "content": "x\n" }));
    let mut watch = desk.begin("auto", vec![writes("first.txt"), talks(), goes_on, says("Done.")]).await;
    watch.until_mid_stream().await;
    let _second = desk.installation.worker("worker-b");
    desk.first.freeze();
    desk.let_leases_run_out().await;
    watch.until_resumed().await;
    watch.until("words of the other", |kind| matches!(kind, EventKind::TextDelta { .. })).await;
    // Its model has said a lot meanwhile, which waits in its socket.
    desk.first.wake();
    sleep(Duration::from_millis(500)).await;
    assert!(desk.first.is_running());
    let ended = desk.check(watch).await;
    assert_eq!((ended.resumed, ended.changed.as_slice()), (1, ["second.txt".to_owned()].as_slice()));
    assert_eq!(ended.lost.len(), 1, "{:?}", ended.lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_cut_off_by_the_end_of_its_worker_is_told_and_not_run_again() {
    let Some(mut desk) = Desk::start().await else { return };
    let marker = marker();
    let command = format!("echo {marker}; sleep 60; echo late > late.txt");
    let mut watch = desk.begin("auto", vec![writes("first.txt"), runs(&command), says("Done.")]).await;
    let told = watch.until("the run", |kind| matches!(kind, EventKind::ToolOutput { run_id: Some(_), .. })).await;
    let EventKind::ToolOutput { run_id: Some(run), .. } = told else { unreachable!() };
    while alive_with(&marker).is_empty() {
        sleep(Duration::from_millis(20)).await;
    }
    let _second = desk.installation.worker("worker-b");
    desk.first.kill();
    desk.let_leases_run_out().await;
    let ended = desk.check(watch).await;
    assert_eq!(alive_with(&marker), Vec::<String>::new(), "nothing outlives its worker");
    assert!(ended.changed.is_empty(), "{:?}", ended.changed);
    let gone = "this is gone: the edits of first.txt, what 1 interrupted call had done so far.";
    assert!(ended.lost.len() == 1 && ended.lost[0].contains(gone), "{:?}", ended.lost);
    let results = ended.results("run_command");
    assert!(results.len() == 1 && !results[0].0 && results[0].1.contains("interrupted by a restart"), "{results:?}");
    assert!(desk.model.requests().last().unwrap().body.to_string().contains("interrupted by a restart"));
    let run: Run = desk.ada.get(&format!("/api/runs/{run}")).await.expect(200).json();
    assert_eq!(run.state, RunState::Lost);
    let listed: wire::Page<Run> = desk.ada.get(&format!("/api/projects/{}/runs", desk.project)).await.expect(200).json();
    assert_eq!(listed.items.iter().filter(|run| run.command.contains(&marker)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_carried_out_elsewhere_and_an_old_branch_is_never_taken_for_the_new_one() {
    let Some(mut desk) = Desk::start().await else { return };
    let steps = vec![writes("first.txt"), runs("cat first.txt; echo x > second.txt"), runs("ls; echo x > third.txt"), says("Done.")];
    let mut watch = desk.begin("ask", steps).await;
    let asked = watch.until_asked().await;
    desk.first.kill();
    desk.forget_the_end_of_the_job().await;
    desk.approve(watch.turn, &asked).await;
    let mut second = desk.installation.worker("worker-b");
    let asked = watch.until_asked().await;
    second.kill();
    desk.approve(watch.turn, &asked).await;
    // The first one's disk still has the turn's first branch.
    desk.first.start();
    let ended = desk.check(watch).await;
    assert_eq!((ended.resumed, ended.changed.as_slice()), (2, ["third.txt".to_owned()].as_slice()));
    assert_eq!(ended.lost.len(), 2, "{:?}", ended.lost);
    assert!(ended.lost[0].contains("this is gone: the edits of first.txt.") && ended.lost[1].contains("gone: what 1 command wrote."));
    let results = ended.results("run_command");
    assert!(results.len() == 2 && results.iter().all(|(ok, _)| *ok), "{results:?}");
    assert!(results[0].1.contains("No such file"), "{results:?}");
    assert!(results[1].1.contains("there.txt") && !results[1].1.contains("first.txt"), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_same_disk_a_turn_goes_on_with_all_it_had() {
    let Some(mut desk) = Desk::start().await else { return };
    let steps = vec![writes("first.txt"), talks(), runs("cat first.txt; echo x > second.txt"), says("Done.")];
    let mut watch = desk.begin("ask", steps).await;
    watch.until_mid_stream().await;
    desk.first.kill();
    // It goes by the same name, so nothing has to run out.
    let mut second = desk.installation.worker_on_disk_of(&desk.first, "worker-b");
    watch.until_resumed().await;
    let asked = watch.until_asked().await;
    second.kill();
    desk.forget_the_end_of_the_job().await;
    desk.approve(watch.turn, &asked).await;
    let third = desk.installation.worker_on_disk_of(&desk.first, "worker-c");
    let ended = desk.check(watch).await;
    assert_eq!((ended.resumed, &ended.lost), (2, &Vec::new()));
    assert_eq!(ended.changed, ["first.txt", "second.txt"]);
    assert!(matches!(ended.results("run_command").as_slice(), [(true, said)] if said.contains('x')));

    let mut late = desk.installation.worker_on_disk_of(&third, "worker-d");
    let deadline = Instant::now() + PATIENCE;
    while late.is_running() {
        assert!(Instant::now() < deadline, "it works in a folder that belongs to another");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(late.log().contains("WORK_DIR"), "{}", late.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_hands_its_turn_over_at_once() {
    let Some(mut desk) = Desk::start().await else { return };
    let mut watch = desk.begin("auto", vec![writes("first.txt"), talks(), writes("second.txt"), says("Done.")]).await;
    watch.until("the beginning", |kind| matches!(kind, EventKind::TurnStarted { .. })).await;
    let second = desk.installation.worker("worker-b");
    watch.until_mid_stream().await;
    let deadline = Instant::now() + PATIENCE;
    while !second.log().contains("what an earlier server left behind") {
        assert!(Instant::now() < deadline, "the second worker does not begin:\n{}", second.log());
        sleep(Duration::from_millis(20)).await;
    }
    let began = Instant::now();
    let stopping = tokio::task::spawn_blocking(move || {
        desk.first.stop();
        desk
    });
    watch.until_resumed().await;
    let took = began.elapsed();
    let desk = stopping.await.unwrap();
    eprintln!("handed over in {took:?}");
    assert!(took <= Duration::from_secs(4), "handed over in {took:?}");
    let ended = desk.check(watch).await;
    assert_eq!((ended.resumed, ended.changed.as_slice()), (1, ["second.txt".to_owned()].as_slice()));
    assert!(ended.lost.len() == 1 && ended.lost[0].contains("this is gone: the edits of first.txt."), "{:?}", ended.lost);
    let db = desk.installation.database().await;
    let Db::Postgres(pool) = &db else { unreachable!("several processes share a PostgreSQL") };
    let attempts: i64 = sqlx::query_scalar("SELECT attempts FROM jobs WHERE kind = 'agent_turn'").fetch_one(pool).await.unwrap();
    assert_eq!(attempts, 1, "an attempt that ends by a stop of the worker does not count");
}
