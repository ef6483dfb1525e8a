//! Terminals that run in another process than the one that answers browsers, through a real Redis.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use wire::terminals::{Terminal, TerminalControl, TerminalNotice};

use crate::support::{
    Caller, PASSWORD, data_folder, fixture,
    program::{Program, free_port},
    redis_server::Redis,
    terminal::{self, Reader},
};

/// A server without a worker, a worker, and a terminal in it.
struct Apart {
    redis: Redis,
    server: Program,
    worker: Program,
    port: u16,
    ada: Caller,
    project: String,
    terminal: Terminal,
    data: TempDir,
}

fn settings(redis: &Redis) -> [(&'static str, String); 1] {
    [("REDIS_URL", redis.url())]
}

fn spawn(data: &TempDir, redis: &Redis, port: u16, arguments: &[&str]) -> Program {
    let settings = settings(redis);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Program::spawn(data.path(), port, arguments, &settings)
}

/// `None`, said out loud, where it can't be tested.
async fn apart() -> Option<Apart> {
    llm::install_crypto();
    let redis = Redis::start()?;
    let (data, port) = (data_folder(), free_port());
    let server = spawn(&data, &redis, port, &["serve", "--no-worker"]);
    server.ready().await;
    let worker = spawn(&data, &redis, 0, &["worker"]);
    let body = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    server.caller().post("/api/auth/register", &body).await.expect(201);
    let ada = server.caller().sign_in("ada", PASSWORD).await;
    let project = fixture::project(&ada, "P").await;
    let tried = fixture::run(&ada, &project, "true").await;
    if tried.tier.is_none_or(|tier| tier == "S0") {
        fixture::skip("no sandbox on this machine");
        return None;
    }
    let terminal = terminal::open(&ada, &project).await;
    Some(Apart { redis, server, worker, port, ada, project, terminal, data })
}

async fn ended(reader: &mut Reader) -> Option<u16> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while reader.end.is_none() {
        assert!(Instant::now() < deadline, "it goes on");
        reader.step(Duration::from_secs(1)).await;
    }
    reader.end.clone().flatten().map(|frame| u16::from(frame.code))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_of_another_process_is_as_near_as_ones_own() {
    let Some(mut apart) = apart().await else { return };
    let (ada, id) = (&apart.ada, apart.terminal.id);
    let mut one = Reader::join(ada, id, None).await.unwrap();
    let mut two = Reader::join(ada, id, None).await.unwrap();
    one.run("echo $((40 + 2))", "42\r\n").await;
    two.until("42\r\n").await;
    one.control(&TerminalControl::Resize { cols: 100, rows: 30 }).await;
    two.until_notice(|notice| *notice == TerminalNotice::Resized { cols: 100, rows: 30 }).await;
    one.run("stty size", "30 100\r\n").await;
    let mut times: Vec<_> = Vec::new();
    for _ in 0..40 {
        let (seen, started) = (one.output.len(), Instant::now());
        one.type_in("a").await;
        while one.output.len() == seen {
            one.step(Duration::from_secs(5)).await;
        }
        times.push(started.elapsed());
        one.drain(Duration::from_millis(40)).await;
    }
    times.sort_unstable();
    eprintln!("echo through Redis: median {:?}, most {:?}", times[20], times[39]);
    assert!(times[20] < Duration::from_millis(25), "{:?}", times[20]);
    one.type_in("\u{3}").await;
    one.until("$ ").await;
    one.run("seq 1 200000; echo fin''ished; here=$((6 * 7))", "finished\r\n").await;
    two.until("finished\r\n").await;
    let offset = one.offset() + one.dropped();

    // Without Redis for a moment: the socket says that the way is broken, the shell goes on, and who comes back finds all of it.
    apart.redis.kill();
    assert_eq!(ended(&mut one).await, Some(1013));
    apart.redis.come_back();
    let deadline = Instant::now() + Duration::from_secs(15);
    let mut back = loop {
        let joined = tokio::time::timeout(Duration::from_secs(5), Reader::join(&apart.ada, id, Some(offset))).await;
        match joined {
            Ok(Ok(reader)) if reader.end.is_none() => break reader,
            _ => assert!(Instant::now() < deadline, "the way is not found again"),
        }
    };
    assert!(!back.fresh && back.first == offset);
    back.run("echo he''re-$here", "here-42\r\n").await;
    let closed: Terminal = apart.ada.delete(&format!("/api/terminals/{id}")).await.expect(200).json();
    assert_eq!(closed.exit.unwrap().sentence, "Closed.");
    assert_eq!(back.closed().await, "Closed.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_outlives_the_server_but_not_its_worker() {
    let Some(apart) = apart().await else { return };
    let id = apart.terminal.id;
    let mut reader = Reader::join(&apart.ada, id, None).await.unwrap();
    reader.run("here=$((6 * 7)); echo r''eady", "ready\r\n").await;
    reader.drain(Duration::from_millis(300)).await;
    let offset = reader.offset();
    drop(apart.server);
    let server = spawn(&apart.data, &apart.redis, apart.port, &["serve", "--no-worker"]);
    server.ready().await;
    let ada = server.caller().sign_in("ada", PASSWORD).await;
    let mut back = Reader::join(&ada, id, Some(offset)).await.unwrap();
    assert_eq!((back.first, back.fresh), (offset, false));
    back.run("echo still-$here", "still-42\r\n").await;

    drop(apart.worker);
    assert_eq!(ended(&mut back).await, Some(1013));
    let _worker = spawn(&apart.data, &apart.redis, 0, &["worker"]);
    let sentence = Reader::join(&ada, id, Some(offset)).await.unwrap().closed().await;
    assert!(sentence.contains("did not survive the restart of the server"), "{sentence}");
    let again = terminal::open(&ada, &apart.project).await;
    Reader::join(&ada, again.id, None).await.unwrap().run("echo $((1 + 1))", "2\r\n").await;
}
