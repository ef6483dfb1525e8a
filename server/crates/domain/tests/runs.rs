//! What is refused before a run is queued, and what readers get of what runs print.

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use domain::{
    Ctx, Error, chat, live, network,
    runs::{self, OutputChunk},
    settings,
};
use futures::{Stream as Futures, StreamExt};
use std::pin::Pin;
use support::Home;
use wire::{
    ProjectId, RunId,
    chat::{TurnBudget, TurnReason},
    event::{Event, EventKind, OutputChannel, Stream},
    network::{HostRule, UpdateNetwork},
    runs::{Exit, ExitKind, Run, RunKind, RunLimits, RunNetwork, RunState, RunUsage, StartRun},
    settings::RunSettings,
};

on_both! {
    a_reader_is_sent_no_more_than_it_can_use,
    a_run_that_has_ended_takes_no_more_output,
    a_stop_between_claim_and_start_is_seen,
    codegen_is_refused_by_field_and_named_with_its_turn,
    late_readers_get_the_last_of_a_long_output,
    limits_are_the_administrators,
    networks_are_given_by_the_allow_list,
    runs_come_in_pages,
    wrong_requests_change_nothing,
}

const MIB: i64 = 1024 * 1024;

fn refused(result: Result<Run, Error>) -> Vec<String> {
    match result {
        Err(Error::Invalid(fields)) => fields.into_iter().map(|field| field.field).collect(),
        other => panic!("{other:?}"),
    }
}

async fn count(ctx: &Ctx, project: ProjectId) -> usize {
    runs::list(ctx, project).await.unwrap().len()
}

async fn file(ctx: &Ctx, project: ProjectId, path: &str) {
    let body: blobs::Reader = Box::pin(std::io::Cursor::new(b"x".to_vec()));
    domain::files::put(ctx, project, path, domain::files::Precondition::New, body, None).await.unwrap();
}

async fn wrong_requests_change_nothing(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    file(&ada, project, "src/deep/main.rs").await;
    let start = |request: StartRun| runs::start(&ada, project, request);
    let ok = StartRun::command("true");
    let with_env = |name: &str| StartRun { env: [(name.to_owned(), "1".to_owned())].into(), ..ok.clone() };
    for (field, request) in [
        ("command", StartRun::command("  ")),
        ("command", StartRun::command("x".repeat(10 << 20))),
        ("command", StartRun::command("a\0b")),
        ("command", StartRun::of_kind(RunKind::Codegen)),
        ("command", StartRun::of_kind(RunKind::TestRunner)),
        ("kind", StartRun { kind: RunKind::Terminal, ..ok.clone() }),
        ("cwd", StartRun { cwd: Some("../x".to_owned()), ..ok.clone() }),
        ("cwd", StartRun { cwd: Some("/etc".to_owned()), ..ok.clone() }),
        ("cwd", StartRun { cwd: Some("src/deep/main.rs".to_owned()), ..ok.clone() }),
        ("cwd", StartRun { cwd: Some("srcs".to_owned()), ..ok.clone() }),
        ("env", with_env("A=B")),
        ("env", with_env("1A")),
        ("env", with_env("")),
        ("timeout_s", StartRun { timeout_s: Some(0), ..ok.clone() }),
        ("timeout_s", StartRun { timeout_s: Some(601), ..ok.clone() }),
        ("network", StartRun { network: Some(RunNetwork::AllowList), ..ok.clone() }),
        ("only", StartRun { only: vec!["a".to_owned()], ..ok.clone() }),
        ("temperature", StartRun { temperature: Some(1.0), ..ok.clone() }),
        ("budget", StartRun { budget: Some(TurnBudget::default()), ..ok.clone() }),
    ] {
        assert_eq!(refused(start(request).await), [field]);
    }
    assert_eq!(count(&ada, project).await, 0);
    let both = StartRun { timeout_s: Some(9999), cwd: Some("nowhere".to_owned()), ..StartRun::command("") };
    assert_eq!(refused(start(both).await), ["command", "timeout_s", "cwd"]);
    for cwd in ["src", "src/deep", ".", ""] {
        let run = start(StartRun { cwd: Some(cwd.to_owned()), ..ok.clone() }).await.unwrap();
        assert_eq!(run.cwd, cwd.trim_matches('.'));
    }
    let ben = home.person("ben").await;
    assert!(matches!(runs::start(&ben, project, StartRun::command("")).await, Err(Error::NotFound(_))), "a stranger learns nothing");
}

async fn limits_are_the_administrators(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ben).await.id;
    assert_eq!(settings::runs(&ada).await.unwrap(), RunSettings::default());
    assert!(matches!(settings::runs(&ben).await, Err(Error::Forbidden(_))));
    assert!(matches!(settings::update_runs(&ben, RunSettings::default()).await, Err(Error::Forbidden(_))));
    let mut chosen = RunSettings {
        sandbox_exec: RunLimits { wall_s: 30, memory_bytes: 64 * MIB, ..RunLimits::default() },
        test_runner: RunLimits { wall_s: 7, ..RunLimits::default() },
        egress: vec![HostRule(" PyPI.org".to_owned()), HostRule("pypi.org".to_owned())],
        ..RunSettings::default()
    };
    let wrong = RunSettings { jobs_per_user: 0, terminal: RunLimits { pids: 1, ..RunLimits::default() }, ..chosen.clone() };
    match settings::update_runs(&ada, wrong).await {
        Err(Error::Invalid(fields)) => {
            assert_eq!(fields.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["terminal.pids", "jobs_per_user"]);
        }
        other => panic!("{other:?}"),
    }
    chosen = settings::update_runs(&ada, chosen).await.unwrap();
    assert_eq!(chosen.egress, [HostRule("pypi.org".to_owned())]);
    assert_eq!(settings::runs(&ada).await.unwrap(), chosen);

    let run = runs::start(&ben, project, StartRun { timeout_s: Some(20), ..StartRun::command("true") }).await.unwrap();
    assert_eq!((run.limits.wall_s, run.limits.memory_bytes), (20, 64 * MIB));
    let run = runs::start(&ben, project, StartRun { kind: RunKind::TestRunner, ..StartRun::command("true") }).await.unwrap();
    assert_eq!((run.kind, run.limits.wall_s), (RunKind::TestRunner, 7));
    match runs::start(&ben, project, StartRun { timeout_s: Some(31), ..StartRun::command("true") }).await {
        Err(Error::Invalid(fields)) => assert!(fields[0].field == "timeout_s" && fields[0].message.contains("30 seconds"), "{fields:?}"),
        other => panic!("{other:?}"),
    }
    // What an older or newer server saved never stops this one.
    let mut tx = home.services.db.begin().await.unwrap();
    store::settings::put(&mut tx, "runs", "not JSON", wire::Micros(0), None).await.unwrap();
    drop(tx.commit().await.unwrap());
    assert_eq!(settings::runs(&ada).await.unwrap(), RunSettings::default());
}

async fn networks_are_given_by_the_allow_list(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let network = async |asked| runs::start(&ada, project, StartRun { network: asked, ..StartRun::command("true") }).await;
    assert_eq!(network(None).await.unwrap().network, RunNetwork::None);
    assert_eq!(refused(network(Some(RunNetwork::AllowList)).await), ["network"]);
    let rule = HostRule("pypi.org".to_owned());
    settings::update_runs(&ada, RunSettings { egress: vec![rule.clone()], ..RunSettings::default() }).await.unwrap();
    // The list is empty still: what is asked for in vain can be seen, and allowed.
    assert_eq!(network(None).await.unwrap().network, RunNetwork::AllowList);
    network::update(&ada, project, UpdateNetwork { allow: vec![rule] }).await.unwrap();
    assert_eq!(network(None).await.unwrap().network, RunNetwork::AllowList);
    assert_eq!(network(Some(RunNetwork::AllowList)).await.unwrap().network, RunNetwork::AllowList);
    assert_eq!(network(Some(RunNetwork::None)).await.unwrap().network, RunNetwork::None);
    settings::update_runs(&ada, RunSettings::default()).await.unwrap();
    assert_eq!(network(None).await.unwrap().network, RunNetwork::None, "the administrator took it back");
}

async fn runs_come_in_pages(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let mut started = Vec::new();
    for _ in 0..5 {
        started.insert(0, runs::start(&ada, project, StartRun::command("true")).await.unwrap().id);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = runs::page(&ada, project, Some(2), cursor.as_deref()).await.unwrap();
        seen.extend(page.items.into_iter().map(|run| run.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, started);
    assert!(matches!(runs::page(&ada, project, None, Some("x")).await, Err(Error::Invalid(_))));
    assert!(matches!(runs::page(&ada, project, Some(201), None).await, Err(Error::Invalid(_))));
    assert!(matches!(runs::delete(&ada, started[0]).await, Err(Error::Conflict { .. })));
    runs::cancel(&ada, started[0]).await.unwrap();
    runs::delete(&ada, started[0]).await.unwrap();
    assert!(matches!(runs::get(&ada, started[0]).await, Err(Error::NotFound("run"))));
    assert_eq!(count(&ada, project).await, 4);
}

async fn a_stop_between_claim_and_start_is_seen(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let run = runs::start(&ada, project, StartRun::command("true")).await.unwrap();
    // A worker has claimed the job and has not come to say so.
    let lease = std::time::Duration::from_secs(30);
    domain::jobs::claim(&home.services, "elsewhere", domain::jobs::WORK_LANE, lease).await.unwrap().unwrap();
    let stopping = tokio::spawn({
        let ada = ada.clone();
        async move { runs::cancel(&ada, run.id).await.unwrap() }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(matches!(runs::begin(&ada, run.id, "S3").await, Err(Error::Conflict { .. })));
    let exit = Exit { kind: ExitKind::Cancelled, code: None, signal: None, sentence: String::new(), left_alive: 0 };
    runs::finish(&ada, run.id, RunState::Cancelled, exit, RunUsage::default(), Vec::new()).await.unwrap();
    assert_eq!(stopping.await.unwrap().state, RunState::Cancelled);
    assert_eq!(runs::cancel(&ada, run.id).await.unwrap().state, RunState::Cancelled, "stopping twice is no error");
}

/// A run that is under way.
async fn running(home: &Home) -> (Ctx, RunId) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let run = runs::start(&ada, project, StartRun::command("true")).await.unwrap();
    runs::begin(&ada, run.id, "S3").await.unwrap();
    (ada, run.id)
}

fn byte(offset: i64) -> u8 {
    (offset / 7 % 251) as u8
}

async fn print(ctx: &Ctx, run: RunId, offset: i64, bytes: i64) {
    let data: Bytes = (offset..offset + bytes).map(byte).collect::<Vec<_>>().into();
    runs::append_output(ctx, run, vec![OutputChunk { channel: OutputChannel::Stdout, offset, data }]).await.unwrap();
}

async fn finish(ctx: &Ctx, run: RunId) {
    let exit = Exit { kind: ExitKind::Exited, code: Some(0), signal: None, sentence: String::new(), left_alive: 0 };
    runs::finish(ctx, run, RunState::Succeeded, exit, RunUsage::default(), Vec::new()).await.unwrap();
}

type Reader = Pin<Box<dyn Futures<Item = Result<Event, Error>> + Send>>;

async fn follow(ctx: &Ctx, run: RunId, after: i64) -> Reader {
    Box::pin(live::follow(ctx, vec![(Stream::Run(run), after)]).await.unwrap())
}

/// What a reader saw: every byte is the right one, numbers rise, and what was left out is accounted for.
#[derive(Default)]
struct Seen {
    last_seq: i64,
    reached: i64,
    sent: i64,
    dropped: i64,
    others: Vec<EventKind>,
}

impl Seen {
    fn take(&mut self, event: Event) {
        assert!(event.seq > self.last_seq, "{} after {}", event.seq, self.last_seq);
        self.last_seq = event.seq;
        match event.kind {
            EventKind::Output { offset, data, .. } => {
                let data = STANDARD.decode(data).unwrap();
                assert_eq!(offset, self.reached, "no byte is missing without a word");
                assert!(data.iter().zip(offset..).all(|(found, at)| *found == byte(at)));
                self.reached += data.len() as i64;
                self.sent += data.len() as i64;
            }
            EventKind::OutputDropped { bytes } => {
                self.reached += bytes;
                self.dropped += bytes;
            }
            other => self.others.push(other),
        }
    }

    async fn rest(mut self, mut reader: Reader) -> Self {
        while let Some(event) = reader.next().await {
            self.take(event.unwrap());
        }
        self
    }
}

async fn late_readers_get_the_last_of_a_long_output(home: Home) {
    let (ada, run) = running(&home).await;
    const PIECE: i64 = 50_000;
    for n in 0..60 {
        print(&ada, run, n * PIECE, PIECE).await;
        if n % 7 == 0 {
            runs::sampled(&ada, run, n, 1).await.unwrap();
        }
    }
    finish(&ada, run).await;
    let seen = Seen::default().rest(follow(&ada, run, 0).await).await;
    assert_eq!((seen.reached, seen.sent + seen.dropped), (60 * PIECE, 60 * PIECE));
    assert!(seen.sent <= MIB && seen.sent > MIB - 2 * PIECE, "{}", seen.sent);
    assert_eq!(seen.others.iter().filter(|kind| matches!(kind, EventKind::RunSampled { .. })).count(), 9, "the rest of its story is whole");
    assert!(matches!(seen.others.last(), Some(EventKind::RunFinished { .. })));

    // Whoever goes on from any place behind the gap sees the same.
    let mut reader = follow(&ada, run, 0).await;
    let mut first = Seen::default();
    while first.sent < 3 * PIECE {
        first.take(reader.next().await.unwrap().unwrap());
    }
    drop(reader);
    let after = first.last_seq;
    let resumed = Seen { others: Vec::new(), ..first }.rest(follow(&ada, run, after).await).await;
    assert_eq!((resumed.reached, resumed.sent, resumed.dropped), (60 * PIECE, seen.sent, seen.dropped));

    // What is stored is all of it.
    let tail = runs::stored_output(&ada, run, 10).await.unwrap();
    assert_eq!(tail, (60 * PIECE - 10..60 * PIECE).map(byte).collect::<Vec<_>>());
    let all = runs::stored_output(&ada, run, i64::MAX).await.unwrap();
    assert!(all.len() as i64 == 60 * PIECE && all.iter().zip(0..).all(|(found, at)| *found == byte(at)));
}

async fn a_reader_is_sent_no_more_than_it_can_use(home: Home) {
    let (ada, run) = running(&home).await;
    let (mut busy, idle) = (follow(&ada, run, 0).await, follow(&ada, run, 0).await);
    let began = std::time::Instant::now();
    let reading = tokio::spawn(async move {
        let mut seen = Seen::default();
        while let Some(event) = busy.next().await {
            seen.take(event.unwrap());
        }
        (seen, began.elapsed())
    });
    const PIECE: i64 = 64 * 1024;
    for n in 0..160 {
        print(&ada, run, n * PIECE, PIECE).await;
    }
    // The last words are the ones that count.
    print(&ada, run, 160 * PIECE, 5).await;
    finish(&ada, run).await;
    let (seen, took) = reading.await.unwrap();
    assert_eq!(seen.reached, 160 * PIECE + 5);
    let most = 2_000_000 + (took.as_secs_f64() * 1_000_000.0) as i64 + MIB;
    assert!(seen.sent <= most && seen.dropped > 0, "{} of at most {most}", seen.sent);
    assert!(matches!(seen.others.last(), Some(EventKind::RunFinished { .. })));
    // Whoever reads nothing holds nothing up, and gets the end when they come back.
    let seen = Seen::default().rest(idle).await;
    assert!(seen.reached == 160 * PIECE + 5 && seen.sent <= MIB, "{}", seen.sent);
}

async fn a_run_that_has_ended_takes_no_more_output(home: Home) {
    let (ada, run) = running(&home).await;
    print(&ada, run, 0, 3).await;
    runs::mark_lost(&ada, run, Vec::new()).await.unwrap();
    let chunk = OutputChunk { channel: OutputChannel::Stdout, offset: 3, data: Bytes::from_static(b"late") };
    assert!(matches!(runs::append_output(&ada, run, vec![chunk]).await, Err(Error::Conflict { .. })));
    assert!(runs::noted(&ada, run, "late".to_owned()).await.is_err());
    let seen = Seen::default().rest(follow(&ada, run, 0).await).await;
    assert!(seen.sent == 3 && matches!(seen.others.last(), Some(EventKind::RunFinished { .. })));
}

async fn codegen_is_refused_by_field_and_named_with_its_turn(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let ok = StartRun::prompt("Write it");
    let limited = |budget| StartRun { budget: Some(budget), ..ok.clone() };
    for (field, request) in [
        ("command", StartRun::prompt(" ")),
        ("command", StartRun::prompt("x".repeat(100_001))),
        ("temperature", StartRun { temperature: Some(2.1), ..ok.clone() }),
        ("temperature", StartRun { temperature: Some(-0.1), ..ok.clone() }),
        ("max_tokens", StartRun { max_tokens: Some(0), ..ok.clone() }),
        ("max_tokens", StartRun { max_tokens: Some(1_000_000_000), ..ok.clone() }),
        ("model", StartRun { model: Some("nobody".to_owned()), ..ok.clone() }),
        ("budget.steps", limited(TurnBudget { steps: Some(0), ..TurnBudget::default() })),
        ("budget.usd_micros", limited(TurnBudget { usd_micros: Some(-1), ..TurnBudget::default() })),
        ("cwd", StartRun { cwd: Some("src".to_owned()), ..ok.clone() }),
    ] {
        assert_eq!(refused(runs::start(&ada, project, request).await), [field]);
    }
    assert_eq!(count(&ada, project).await, 0);
    runs::start(&ada, project, StartRun::command("true")).await.unwrap();
    let budget = TurnBudget { steps: Some(2), ..TurnBudget::default() };
    // As many characters as a prompt may have, which is more than a command's bytes.
    let asked = StartRun { max_tokens: Some(64), temperature: Some(0.5), budget: Some(budget), ..StartRun::prompt("x".repeat(100_000)) };
    let run = runs::start(&ada, project, asked).await.unwrap();
    let turn = run.codegen_turn.expect("the turn behind it");
    let listed = runs::list(&ada, project).await.unwrap();
    assert_eq!(listed.iter().map(|run| run.codegen_turn).collect::<Vec<_>>(), [Some(turn), None]);
    let agent = ada.as_agent(turn);
    let work = chat::take_up_turn(&agent, turn).await.unwrap().unwrap();
    assert_eq!((work.budget, work.max_tokens, work.temperature), (budget, Some(64), Some(0.5)));
    chat::begin_codegen_run(&agent, turn).await.unwrap();
    chat::finish_turn(&agent, turn, TurnReason::Limit, "At its limit.").await.unwrap();
    let ended = runs::get(&ada, run.id).await.unwrap();
    assert_eq!((ended.state, ended.exit.unwrap().sentence.as_str()), (RunState::Failed, "At its limit."));
}
