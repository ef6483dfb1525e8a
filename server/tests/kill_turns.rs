//! `kill -9` in the middle of a turn, twenty times on each database: while the model speaks, between its answer and a tool, while a command
//! runs, at the end. Whoever follows the turn sees every event once and in order, the transcript is whole, and no command has run twice
//! unless the log says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rand::Rng;
use serde_json::json;
use sqlx::{Connection, PgConnection, SqliteConnection};
use tokio::{task::JoinHandle, time::sleep};
use wire::{
    Page, TurnId,
    changes::ChangeSet,
    chat::{ConversationView, Message, MessageBody, Turn, TurnReason, TurnStarted, TurnState},
    event::{Event, EventKind},
};

use crate::support::{
    Caller, Events, PASSWORD, TestDatabase, data_folder, fixture,
    model_server::{ModelServer, Step},
    program,
};

/// On each database.
const KILLS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(90);

struct Victim {
    folder: tempfile::TempDir,
    /// Address of the database, which outlives every kill.
    database: String,
    port: u16,
    model: String,
    running: Option<program::Program>,
}

impl Victim {
    /// On a SQLite file of its own where no PostgreSQL is given.
    async fn start(model: &ModelServer, postgres: Option<String>) -> Self {
        llm::install_crypto();
        let folder = data_folder();
        let database = postgres.unwrap_or_else(|| format!("sqlite:{}", folder.path().join("kill.db").display()));
        let mut victim = Self { folder, database, port: program::free_port(), model: model.base_url(), running: None };
        victim.launch().await;
        victim
    }

    async fn launch(&mut self) {
        let settings = [
            ("DATABASE_URL", self.database.as_str()),
            ("OPENAI_BASE_URL", self.model.as_str()),
            ("OPENAI_API_KEY", "sk-test"),
            ("AI_DEFAULT_MODEL", "scripted"),
            ("LOG_LEVEL", "error"),
        ];
        let running = program::Program::spawn(self.folder.path(), self.port, &["serve"], &settings);
        running.ready().await;
        self.running = Some(running);
    }

    async fn kill(&mut self) {
        drop(self.running.take());
        self.launch().await;
    }

    fn caller(&self) -> Caller {
        self.running.as_ref().unwrap().caller()
    }

    /// The events of a turn as they are written down.
    async fn log(&self, turn: TurnId) -> Vec<(i64, String)> {
        const LOG: &str = "SELECT seq, body FROM events WHERE stream = $1 ORDER BY seq";
        let stream = format!("turn:{turn}");
        if self.database.starts_with("sqlite:") {
            let mut conn = SqliteConnection::connect(&format!("{}?mode=ro", self.database)).await.unwrap();
            return sqlx::query_as(LOG).bind(stream).fetch_all(&mut conn).await.unwrap();
        }
        let mut conn = PgConnection::connect(&self.database).await.unwrap();
        sqlx::query_as(LOG).bind(stream).fetch_all(&mut conn).await.unwrap()
    }
}

/// Each command of a round leaves its name once for each time that it runs.
fn script(round: usize, can_run: bool) -> Vec<Step> {
    let slow = |text: String| Step { pace_ms: 4, chunk_chars: Some(6), ..Step::text(text) };
    let call = |n: usize| {
        let arguments = json!({ "command": format!("echo round-{round}-{n} >> ran.txt; sleep 0.2") });
        let step = slow(format!("Round {round}, step {n}. {}", "Words that stream for a while. ".repeat(12)));
        if can_run { step.and_call("run_command", arguments) } else { step.and_call("list_files", json!({ "path": "." })) }
    };
    let last = || slow(format!("Done with round {round}. {}", "The end streams too. ".repeat(10)));
    vec![call(1), call(2), last(), last(), last(), last()]
}

/// Follows a turn over every restart from where it was, as a browser does.
fn follow(ada: Caller, turn: TurnId) -> JoinHandle<Vec<Event>> {
    tokio::spawn(async move {
        let deadline = Instant::now() + PATIENCE;
        let mut seen: Vec<Event> = Vec::new();
        while !seen.last().is_some_and(|event| event.kind.is_terminal()) {
            assert!(Instant::now() < deadline, "the turn's stream did not end: {:?}", seen.last());
            let after = seen.last().map_or(0, |event| event.seq);
            let request = ada.request(reqwest::Method::GET, &format!("/api/live/turn:{turn}?after={after}"));
            // The server may be gone before it answers, and while it answers.
            let Ok(answer) = request.send().await else {
                sleep(Duration::from_millis(30)).await;
                continue;
            };
            let Ok(mut events) = Events::of(answer).await else { continue };
            while let Some(frame) = events.next().await {
                seen.push(frame.event);
            }
        }
        seen
    })
}

async fn finished(ada: &Caller, turn: TurnId) -> Turn {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found: Turn = ada.get(&format!("/api/turns/{turn}")).await.expect(200).json();
        if found.state == TurnState::Finished {
            return found;
        }
        assert!(Instant::now() < deadline, "the turn did not end: {found:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// How often each command has run, by what it left.
async fn runs_of(ada: &Caller, turn: &Turn) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    if turn.change_set_id.is_none() {
        return counts;
    }
    let set: ChangeSet = ada.get(&format!("/api/turns/{}/changes", turn.id)).await.expect(200).json();
    for hunk in set.files.iter().filter(|file| file.path == "ran.txt").flat_map(|file| &file.hunks) {
        for line in hunk.diff.lines().filter_map(|line| line.strip_prefix('+')) {
            *counts.entry(line.trim().to_owned()).or_default() += 1;
        }
    }
    counts
}

fn check_events(seen: &[Event], log: &[(i64, String)]) {
    let numbers: Vec<i64> = seen.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=log.len() as i64).collect::<Vec<_>>(), "every event once and in order");
    for (event, (seq, body)) in seen.iter().zip(log) {
        let stored: EventKind = serde_json::from_str(body).unwrap();
        assert_eq!((event.seq, &event.kind), (*seq, &stored));
    }
}

/// The text that people saw, what was void taken out, is what the transcript holds.
fn check_text(seen: &[Event], said: &[&str]) {
    let (mut whole, mut open) = (Vec::new(), String::new());
    for event in seen {
        match &event.kind {
            EventKind::TextDelta { text } => open.push_str(text),
            EventKind::Usage { input, output, .. } if input + output > 0 => whole.push(std::mem::take(&mut open)),
            EventKind::TurnResumed { .. } => open.clear(),
            _ => {}
        }
    }
    for text in &whole {
        assert!(said.contains(&text.as_str()), "seen and not kept: {text}");
    }
    // An answer that was written down right before the kill has no event of its usage.
    assert!(whole.len() + 1 >= said.len(), "{} of {} answers were seen whole", whole.len(), said.len());
}

/// What a call did is told: it ran once, or the log has it as often as it ran, and each has exactly one result.
fn check_calls(seen: &[Event], messages: &[Message], runs: &BTreeMap<String, usize>) -> usize {
    let mut called: BTreeMap<&str, usize> = BTreeMap::new();
    for event in seen {
        if let EventKind::ToolCalled { call_id, .. } = &event.kind {
            *called.entry(call_id.as_str()).or_default() += 1;
        }
    }
    let mut interrupted = 0;
    for body in messages.iter().map(|message| &message.body) {
        let MessageBody::Assistant { tool_calls, .. } = body else { continue };
        for call in tool_calls {
            let results: Vec<_> = messages
                .iter()
                .filter_map(|message| match &message.body {
                    MessageBody::Tool { call_id, ok, content, .. } if *call_id == call.id => Some((*ok, content)),
                    _ => None,
                })
                .collect();
            assert_eq!(results.len(), 1, "a call has one result: {call:?}");
            interrupted += usize::from(!results[0].0);
            let marker = call.arguments.split("echo ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
            let ran = runs.get(marker).copied().unwrap_or_default();
            let told = called.get(call.id.as_str()).copied().unwrap_or_default();
            assert!(ran <= told.max(1), "{marker} ran {ran} times and the log tells of {told}");
            assert!(ran <= 1 || told > 1, "{marker} ran twice in silence");
            assert!(!results[0].0 || ran == 1 || marker.is_empty(), "{marker} is said to have run: {:?}", results[0].1);
        }
    }
    interrupted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_turn_goes_on_and_nothing_is_lost_or_done_twice() {
    kill_again_and_again(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_turn_goes_on_and_nothing_is_lost_or_done_twice_on_postgresql() {
    let Some(database) = TestDatabase::create().await else { return };
    kill_again_and_again(Some(database.url.clone())).await;
}

async fn kill_again_and_again(postgres: Option<String>) {
    let model = ModelServer::start().await;
    let mut victim = Victim::start(&model, postgres).await;
    let account = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    victim.caller().post("/api/auth/register", &account).await.expect(201);
    let ada = victim.caller().sign_in("ada", PASSWORD).await;
    let project = fixture::project(&ada, "Victim").await;
    fixture::file(&ada, &project, "a.txt", "a\n").await;
    let can_run = can_run(&ada, &project).await;
    let (mut resumed, mut interrupted, mut ran) = (0, 0, 0);
    let took = measure(&ada, &project, &model, can_run).await;

    for round in 0..KILLS {
        let (conversation, turn) = begin(&ada, &project, &model, round, can_run).await;
        let watching = follow(ada.clone(), turn);
        // Each time a part further on, from before the first word to near the usual end.
        let part = (round as f64 + rand::rng().random_range(0.0..1.0)) / KILLS as f64;
        sleep(took.mul_f64(part * 0.9)).await;
        victim.kill().await;

        let ended = finished(&ada, turn).await;
        assert_eq!(ended.reason, Some(TurnReason::Done), "{ended:?}");
        let seen = watching.await.unwrap();
        check_events(&seen, &victim.log(turn).await);
        let view: ConversationView = ada.get(&format!("/api/conversations/{conversation}?limit=1000")).await.expect(200).json();
        let numbers: Vec<i64> = view.messages.iter().map(|message| message.seq).collect();
        assert_eq!(numbers, (1..=view.conversation.messages).collect::<Vec<_>>(), "messages are whole and in order");
        let said: Vec<&str> = view
            .messages
            .iter()
            .filter_map(|message| match &message.body {
                MessageBody::Assistant { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(said.iter().copied().collect::<BTreeSet<_>>().len(), said.len(), "no answer is there twice");
        check_text(&seen, &said);
        let runs = if can_run { runs_of(&ada, &ended).await } else { BTreeMap::new() };
        if can_run {
            interrupted += check_calls(&seen, &view.messages, &runs);
        }
        ran += runs.values().sum::<usize>();
        resumed += usize::from(seen.iter().any(|event| matches!(event.kind, EventKind::TurnResumed { .. })));
        eprintln!("kill {round}: {} events, {} messages, commands {runs:?}", seen.len(), view.messages.len());
    }
    eprintln!("{resumed} of {KILLS} turns were taken up again; {ran} commands ran, {interrupted} were told as interrupted");
    assert!(resumed >= KILLS * 3 / 5, "most kills came too early or too late: {resumed}");
}

async fn begin(ada: &Caller, project: &str, model: &ModelServer, round: usize, can_run: bool) -> (String, TurnId) {
    model.script_when(format!("Round {round}."), script(round, can_run));
    let conversation = ada.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let body = json!({ "prompt": format!("Round {round}."), "mode": "auto" });
    let started = ada.post(&format!("/api/conversations/{conversation}/turns"), &body).await.expect(202);
    (conversation, started.json::<TurnStarted>().turn_id)
}

/// How long a turn takes that nobody kills; the first one takes longer than those that follow.
async fn measure(ada: &Caller, project: &str, model: &ModelServer, can_run: bool) -> Duration {
    let mut took = Duration::ZERO;
    for round in [1001, 1002] {
        let began = Instant::now();
        let (_, turn) = begin(ada, project, model, round, can_run).await;
        finished(ada, turn).await;
        took = began.elapsed();
    }
    took
}

async fn can_run(ada: &Caller, project: &str) -> bool {
    let run = fixture::run(ada, project, "true").await;
    let works = run.exit.as_ref().is_some_and(|exit| exit.code == Some(0));
    if !works {
        eprintln!("no sandbox on this machine: turns read files instead of running commands ({run:?})");
    }
    works
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_waits_survives_a_kill_and_begins_once() {
    kill_while_one_waits(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_waits_survives_a_kill_and_begins_once_on_postgresql() {
    let Some(database) = TestDatabase::create().await else { return };
    kill_while_one_waits(Some(database.url.clone())).await;
}

async fn kill_while_one_waits(postgres: Option<String>) {
    let model = ModelServer::start().await;
    let mut victim = Victim::start(&model, postgres).await;
    let account = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    victim.caller().post("/api/auth/register", &account).await.expect(201);
    let ada = victim.caller().sign_in("ada", PASSWORD).await;
    let project = fixture::project(&ada, "Victim").await;
    let conversation = ada.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let slow = Step { pace_ms: 10, ..Step::text("one ".repeat(120)) };
    model.script_when("First", [slow.clone(), slow.clone(), slow]);
    model.script_when("Second", [Step::text("two"), Step::text("two"), Step::text("two")]);
    let address = format!("/api/conversations/{conversation}/queue");
    ada.post(&address, &json!({ "prompt": "First" })).await.expect(202);
    let waiting = ada.post(&address, &json!({ "prompt": "Second" })).await.expect(202);
    assert_eq!(waiting.field("outcome"), "waiting");
    sleep(Duration::from_millis(400)).await;
    victim.kill().await;

    let deadline = Instant::now() + PATIENCE;
    let view = loop {
        let view: ConversationView = ada.get(&format!("/api/conversations/{conversation}")).await.expect(200).json();
        if view.turns.len() == 2 && view.turns.iter().all(|turn| turn.state == TurnState::Finished) {
            break view;
        }
        assert!(Instant::now() < deadline, "{view:?}");
        sleep(Duration::from_millis(50)).await;
    };
    assert!(view.queue.is_empty() && view.queue_waits.is_none());
    let asked: Vec<_> = view
        .messages
        .iter()
        .filter_map(|message| match &message.body {
            MessageBody::User { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(asked, ["First", "Second"]);
    let listed: Page<serde_json::Value> = ada.get(&format!("/api/projects/{project}/conversations")).await.expect(200).json();
    assert_eq!(listed.items[0]["last_prompt"], "Second");
}
