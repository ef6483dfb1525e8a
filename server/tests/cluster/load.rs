//! People who start runs through one server and follow them through another, while processes come and go.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::StreamExt;
use serde_json::json;
use sqlx::Row;
use store::Db;
use tokio::task::JoinHandle;
use wire::{
    RunId,
    event::{Event, EventKind, Stream},
    runs::Run,
};

/// Runs of one person that are not over.
const AT_ONCE: usize = 4;
/// Nobody waits longer for the end of a run, whatever happens.
const PATIENCE: Duration = Duration::from_secs(45);
/// A server that says nothing for so long hangs.
const ANSWER: Duration = Duration::from_secs(10);
const LINES: usize = 15;

/// Prints who it is, fifteen lines and an end; takes about a second.
pub fn command(marker: &str) -> String {
    format!(
        "echo token $(cat /proc/sys/kernel/random/uuid) {marker}; i=1; while [ $i -le {LINES} ]; do echo line $i; sleep 0.05; i=$((i+1)); done; echo end"
    )
}

#[derive(Clone)]
pub struct Person {
    pub token: String,
    pub project: String,
    client: reqwest::Client,
}

impl Person {
    pub fn new(token: String, project: String) -> Self {
        let client = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(2)).build().unwrap();
        Self { token, project, client }
    }

    /// `None` when the server could not answer: the run may exist or not.
    pub async fn start_run(&self, base: &str, command: &str) -> Option<Run> {
        let url = format!("{base}/api/projects/{}/runs", self.project);
        let request = self.client.post(url).bearer_auth(&self.token).json(&json!({ "kind": "sandbox_exec", "command": command }));
        let response = request.timeout(ANSWER).send().await.ok()?;
        if response.status() != 202 {
            assert!(response.status().is_server_error(), "{}: {:?}", response.status(), response.text().await);
            return None;
        }
        response.json().await.ok()
    }

    pub async fn get_run(&self, base: &str, run: RunId) -> Option<Run> {
        let response = self.client.get(format!("{base}/api/runs/{run}")).bearer_auth(&self.token).timeout(ANSWER).send().await.ok()?;
        response.json().await.ok()
    }

    pub async fn cancel(&self, base: &str, run: RunId) -> Run {
        let request = self.client.post(format!("{base}/api/runs/{run}/cancel")).bearer_auth(&self.token).timeout(ANSWER);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    /// Follows a run to its end, as a browser does: from the last number on, to the same server again when the connection breaks.
    pub async fn follow(&self, base: &str, run: RunId) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while !events.last().is_some_and(|event| event.kind.is_terminal()) {
            assert!(Instant::now() < deadline, "run {run} did not end for its reader, who saw {events:#?}");
            let after = events.last().map_or(0, |event| event.seq);
            let request = self.client.get(format!("{base}/api/live/run:{run}?after={after}")).bearer_auth(&self.token).send();
            match tokio::time::timeout(ANSWER, request).await.unwrap_or_else(|_| panic!("{base} accepts and says nothing")) {
                Ok(response) if response.status() == 200 => read_events(response, deadline, &mut events).await,
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        events
    }

    /// The first output of a run.
    pub async fn wait_for_output(&self, base: &str, run: RunId) {
        let response = self.client.get(format!("{base}/api/live/run:{run}")).bearer_auth(&self.token).send().await.unwrap();
        let mut bytes = response.bytes_stream();
        let mut seen = String::new();
        while !seen.contains("\"output\"") {
            let chunk = tokio::time::timeout(PATIENCE, bytes.next()).await.expect("no output in time").expect("it goes on").unwrap();
            seen.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

/// Takes what comes until the connection breaks, the run has ended or the time is up.
async fn read_events(response: reqwest::Response, deadline: Instant, events: &mut Vec<Event>) {
    let mut bytes = response.bytes_stream();
    let mut buffer = Vec::new();
    while let Ok(Some(Ok(chunk))) = tokio::time::timeout(deadline.saturating_duration_since(Instant::now()), bytes.next()).await {
        buffer.extend_from_slice(&chunk);
        while let Some(end) = buffer.windows(2).position(|two| two == b"\n\n") {
            let frame: Vec<u8> = buffer.drain(..end + 2).collect();
            let frame = String::from_utf8(frame).unwrap();
            if let Some(data) = frame.lines().find_map(|line| line.strip_prefix("data:")) {
                events.push(serde_json::from_str(data.trim_start()).unwrap_or_else(|error| panic!("{error}: {data}")));
            }
        }
        if events.last().is_some_and(|event| event.kind.is_terminal()) {
            return;
        }
    }
}

/// What a follower saw of a run, to its end.
pub type Followed = (RunId, Vec<Event>);

/// Somebody at work: keeps a few runs going until told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    followed: Arc<Mutex<Vec<Followed>>>,
    task: JoinHandle<()>,
}

impl Load {
    /// Starts runs through `bases` in turn, and follows each through the next one.
    pub fn start(person: Person, bases: [String; 2], command: String) -> Self {
        let (stop, followed) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default());
        let (stopped, seen) = (stop.clone(), followed.clone());
        let task = tokio::spawn(async move {
            let mut followers = tokio::task::JoinSet::new();
            for turn in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                if followers.len() >= AT_ONCE {
                    followers.join_next().await.unwrap().unwrap();
                    continue;
                }
                let (through, other) = (&bases[turn % 2], bases[(turn + 1) % 2].clone());
                let Some(run) = person.start_run(through, &command).await else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let (person, seen) = (person.clone(), seen.clone());
                followers.spawn(async move {
                    let events = person.follow(&other, run.id).await;
                    seen.lock().unwrap().push((run.id, events));
                });
            }
            while let Some(ended) = followers.join_next().await {
                ended.unwrap();
            }
        });
        Self { stop, followed, task }
    }

    /// Starts nothing more; answers what each follower saw once all of them have seen the end.
    pub async fn end(self) -> Vec<Followed> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        std::mem::take(&mut *self.followed.lock().unwrap())
    }
}

/// How many runs ended how.
#[derive(Debug, Default)]
pub struct Tally {
    pub succeeded: usize,
    pub lost: usize,
}

/// Holds every run there ever was against what was promised: it began once or never, ended once, and said each byte once.
pub async fn check_all(db: &Db, marker: &str) -> Tally {
    let Db::Postgres(pool) = db else { unreachable!("several processes share a PostgreSQL") };
    let count = async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while let open @ 1.. = count("SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running')").await {
        assert!(Instant::now() < deadline, "{open} jobs never end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(count("SELECT COUNT(*) FROM runs WHERE state IN ('queued', 'running')").await, 0, "a run outlived its job");
    let again = count("SELECT COUNT(*) FROM jobs WHERE attempts > 1 OR state NOT IN ('succeeded', 'failed', 'cancelled')").await;
    assert_eq!(again, 0, "no command is tried twice");
    let mut tally = Tally::default();
    for row in sqlx::query("SELECT id, state, command FROM runs").fetch_all(pool).await.unwrap() {
        let (id, state, command): (uuid::Uuid, String, String) = (row.get(0), row.get(1), row.get(2));
        let events = events_of(db, RunId::from(id)).await;
        if command.contains(marker) {
            check_run(RunId::from(id), &state, &events);
            match state.as_str() {
                "succeeded" => tally.succeeded += 1,
                "lost" => tally.lost += 1,
                other => panic!("run {id} is {other}: {events:#?}"),
            }
        }
    }
    tally
}

/// A run's log.
pub async fn events_of(db: &Db, run: RunId) -> Vec<Event> {
    store::events::after(&mut db.read().await.unwrap(), Stream::Run(run), 0, i64::MAX).await.unwrap()
}

fn check_run(id: RunId, state: &str, events: &[Event]) {
    check_numbers(id, events);
    let how_many = |fits: fn(&EventKind) -> bool| events.iter().filter(|event| fits(&event.kind)).count();
    assert_eq!(how_many(|kind| matches!(kind, EventKind::RunQueued {})), 1, "run {id} was queued once");
    assert!(how_many(|kind| matches!(kind, EventKind::RunStarted { .. })) <= 1, "run {id} began twice: {events:#?}");
    assert_eq!(how_many(|kind| matches!(kind, EventKind::RunFinished { .. })), 1, "run {id} ended once: {events:#?}");
    assert!(events.last().unwrap().kind.is_terminal(), "run {id} went on after its end: {events:#?}");
    let text = output(id, events);
    let lines: Vec<&str> = text.lines().collect();
    let is_whole = state == "succeeded";
    for (n, line) in lines.iter().enumerate() {
        let is_last_and_cut = n + 1 == lines.len() && !is_whole;
        let fits = match n {
            0 => line.starts_with("token "),
            n if n <= LINES => *line == format!("line {n}"),
            _ => *line == "end",
        };
        assert!(fits || is_last_and_cut, "run {id} said {line:?} in line {n} of {text:?}");
    }
    assert!(lines.len() <= LINES + 2, "run {id} said too much: {text:?}");
    assert!(!is_whole || lines.len() == LINES + 2, "run {id} lost output: {text:?}");
}

/// What a run printed, whose pieces follow each other byte by byte.
fn output(id: RunId, events: &[Event]) -> String {
    let mut bytes = Vec::new();
    for event in events {
        if let EventKind::Output { offset, data, .. } = &event.kind {
            assert_eq!(*offset, bytes.len() as i64, "run {id}: output is doubled or lost: {events:#?}");
            bytes.extend(STANDARD.decode(data).unwrap());
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// What a reader saw of a run counts 1, 2, 3 up to the end.
pub fn check_numbers(id: RunId, events: &[Event]) {
    let seqs: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as i64), "run {id}: {seqs:?}");
}
