//! Terminals in the real sandbox, over real sockets.

use std::time::{Duration, Instant};

use serde_json::json;
use wire::{
    Page,
    event::EventKind,
    projects::ProjectRole,
    runs::{ExitKind, Run},
    terminals::{Terminal, TerminalControl, TerminalNotice, TerminalState},
};

use crate::support::{
    self, Caller, PASSWORD, TestApp, data_folder, fixture,
    program::{Program, free_port},
    terminal::{self, Reader},
};

/// A server with its worker, somebody with a project, and a terminal there; nothing where commands can't be run.
async fn desk() -> Option<(TestApp, Caller, String, Terminal)> {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return None;
    }
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    let terminal = terminal::open(&ada, &project).await;
    Some((app, ada, project, terminal))
}

async fn shown(caller: &Caller, terminal: &Terminal) -> Terminal {
    let page: Page<Terminal> = caller.get(&format!("/api/projects/{}/terminals", terminal.project_id)).await.expect(200).json();
    page.items.into_iter().find(|item| item.id == terminal.id).expect("it is listed")
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * rustix::param::page_size() as u64
}

fn running(what: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .into_iter()
        .any(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(what)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_echoes_and_takes_its_size() {
    let Some((_app, ada, _, terminal)) = desk().await else { return };
    assert_eq!((terminal.title.as_str(), terminal.state), ("Terminal 1", TerminalState::Starting));
    let mut reader = Reader::join(&ada, terminal.id, None).await.unwrap();
    assert_eq!((reader.first, reader.size), (0, (80, 24)));
    reader.run("echo $((40 + 2))", "42\r\n").await;
    reader.run("stty size", "24 80\r\n").await;
    reader.control(&TerminalControl::Resize { cols: 132, rows: 43 }).await;
    reader.run("stty size", "43 132\r\n").await;
    reader.run("echo $TERM $LANG [$HISTFILE] $-", "xterm-256color C.UTF-8 [] ").await;
    let open = shown(&ada, &terminal).await;
    assert!(open.state == TerminalState::Open && open.tier.is_some(), "{open:?}");
    reader.type_in("exit\r").await;
    assert_eq!(reader.closed().await, "The shell ended.");
    assert_eq!(shown(&ada, &terminal).await.exit.unwrap().sentence, "The shell ended.");
}

/// A key that comes before the shell is ready waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_at_once_waits_for_the_prompt() {
    let Some((_app, ada, project, terminal)) = desk().await else { return };
    let mut reader = Reader::join(&ada, terminal.id, None).await.unwrap();
    reader.run("echo $((6 * 7))", "42\r\n").await;
    assert_eq!(reader.text().matches("echo").count(), 1, "{}", reader.text());
    drop(reader);
    // The moment between a shell's first byte and its prompt is short, and not the same each time.
    for _ in 0..5 {
        let again = terminal::open(&ada, &project).await;
        let mut reader = Reader::join(&ada, again.id, None).await.unwrap();
        reader.type_in("\u{3}").await;
        reader.until("^C").await;
        // A shell that was interrupted right before it listened shows its prompt at the next key, in any terminal. Before it, it may
        // throw keys away.
        reader.type_in("\r").await;
        reader.until("$ ").await;
        reader.run("echo al''ive", "alive\r\n").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_controlled_from_the_keyboard() {
    let Some((_app, ada, _, terminal)) = desk().await else { return };
    let mut reader = Reader::join(&ada, terminal.id, None).await.unwrap();
    // The shell itself must not be what is interrupted.
    let sleeping = "sh -c 'echo as''leep; exec sleep 300'";
    reader.run(sleeping, "asleep\r\n").await;
    reader.type_in("\u{3}").await;
    reader.until("$ ").await;
    reader.run("echo ended-$?", "ended-130").await;
    reader.run(sleeping, "asleep\r\n").await;
    reader.type_in("\u{1a}").await;
    reader.until("Stopped").await;
    reader.until("$ ").await;
    reader.run("fg", "fg\r\n").await;
    reader.until("exec sleep 300'\r\n").await;
    reader.type_in("\u{3}").await;
    reader.until("$ ").await;
    reader.run("echo again-$?", "again-130").await;
    reader.run("sh -c 'echo op''en; exec cat'", "open\r\n").await;
    reader.type_in("\u{4}").await;
    reader.until("$ ").await;
    reader.run("echo eof-$?", "eof-0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_goes_on_byte_by_byte() {
    let Some((_app, ada, _, terminal)) = desk().await else { return };
    let mut whole = Reader::join(&ada, terminal.id, None).await.unwrap();
    let mut part = Reader::join(&ada, terminal.id, None).await.unwrap();
    whole.type_in("for i in $(seq 1 3000); do printf '%05d \\xe2\\x82\\xac \\e[31mred\\e[0m\\n' $i; done; echo en''d\r").await;
    part.until("00100 ").await;
    let (before, offset) = (part.output.clone(), part.offset());
    drop(part);
    whole.until("end\r\n").await;
    let started = Instant::now();
    let mut back = Reader::join(&ada, terminal.id, Some(offset)).await.unwrap();
    let joined = started.elapsed();
    assert!(joined < Duration::from_secs(1), "{joined:?}");
    assert_eq!((back.first, back.fresh), (offset, false));
    back.until("end\r\n").await;
    whole.drain(Duration::from_millis(300)).await;
    back.drain(Duration::from_millis(300)).await;
    assert!([before, back.output.clone()].concat() == whole.output, "every byte once");
    let late = Reader::join(&ada, terminal.id, Some(whole.offset() + 1)).await.unwrap();
    assert!(late.fresh && late.first == 0, "an offset that never was");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_work_in_one_terminal_and_one_only_watches() {
    let Some((app, ada, project, terminal)) = desk().await else { return };
    let (ben, cleo) = (app.user("ben").await, app.user("cleo").await);
    fixture::member(&app, &project, &ben, ProjectRole::Editor).await;
    fixture::member(&app, &project, &cleo, ProjectRole::Viewer).await;
    let mut one = Reader::join(&ada, terminal.id, None).await.unwrap();
    let mut two = Reader::join(&ben, terminal.id, None).await.unwrap();
    let mut watcher = Reader::join(&cleo, terminal.id, None).await.unwrap();
    one.run("x=$((6 * 7))", "\r\n").await;
    two.run("echo x-$x", "x-42\r\n").await;
    one.until("x-42\r\n").await;
    watcher.until("x-42\r\n").await;
    two.control(&TerminalControl::Resize { cols: 100, rows: 30 }).await;
    one.until_notice(|notice| *notice == TerminalNotice::Resized { cols: 100, rows: 30 }).await;
    watcher.type_in("echo intru$((1))der\r").await;
    watcher.control(&TerminalControl::Resize { cols: 20, rows: 5 }).await;
    watcher.until_notice(|notice| matches!(notice, TerminalNotice::Notice { text } if text.contains("editor"))).await;
    one.run("stty size", "30 100\r\n").await;
    assert!(!one.text().contains("intru"), "{}", one.text());
    cleo.delete(&format!("/api/terminals/{}", terminal.id)).await.expect(403).problem();
    cleo.post(&format!("/api/projects/{project}/terminals"), &json!({ "cols": 80, "rows": 24 })).await.expect(403).problem();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_told_what_it_missed_while_another_stays_live() {
    let Some((_app, ada, _, terminal)) = desk().await else { return };
    let mut slow = Reader::join(&ada, terminal.id, None).await.unwrap();
    slow.acks = false;
    let mut live = Reader::join(&ada, terminal.id, None).await.unwrap();
    live.type_in("seq 1 2500000; echo en''d\r").await;
    live.until("\r\nend\r\n").await;
    let started = Instant::now();
    live.run("echo he''re", "here\r\n").await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(live.dropped() > 5_000_000, "a megabyte a second is sent, and what is left out is said: {}", live.dropped());
    slow.drain(Duration::from_millis(500)).await;
    assert!(slow.output.len() <= 512 * 1024, "{}", slow.output.len());
    slow.control(&TerminalControl::Ack { bytes: slow.output.len() as u64 }).await;
    slow.acks = true;
    slow.until("here\r\n").await;
    assert!(slow.dropped() > 15_000_000, "{}", slow.dropped());
    let total = |reader: &Reader| reader.offset() + reader.dropped();
    live.drain(Duration::from_millis(500)).await;
    slow.drain(Duration::from_millis(500)).await;
    assert_eq!(total(&slow), total(&live), "both end at the same byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_leave_the_memory_flat() {
    let Some((_app, ada, _, terminal)) = desk().await else { return };
    let mut reader = Reader::join(&ada, terminal.id, None).await.unwrap();
    reader.run("echo warm; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo war''med", "warmed\r\n").await;
    reader.output = Vec::new();
    reader.first = 0;
    drop(reader);
    let mut reader = Reader::join(&ada, terminal.id, None).await.unwrap();
    reader.drain(Duration::from_millis(300)).await;
    let before = resident();
    let offset = reader.offset() + reader.dropped();
    reader.type_in("head -c 100000000 /dev/zero | tr '\\0' y; echo; echo fin''ished\r").await;
    reader.until("finished\r\n").await;
    let (sent, grown) = (reader.output.len() as u64, resident().saturating_sub(before));
    let printed = reader.offset() + reader.dropped() - offset;
    assert!(printed > 100_000_000, "{printed}");
    let allowed = 2 * sent + (24 << 20);
    assert!(grown < allowed, "grew by {grown} bytes, of which the test itself holds {sent}");
    eprintln!("printed {printed} bytes, sent {sent}, memory grew by {grown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_in_which_nobody_types_closes_after_a_warning() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    // Shorter than an administrator may choose, for the test's sake.
    let mut tx = app.services.db.begin().await.unwrap();
    store::settings::put(&mut tx, "runs", r#"{ "terminal_idle_s": 4 }"#, app.services.clock.now(), None).await.unwrap();
    drop(tx.commit().await.unwrap());
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    let terminal = terminal::open(&ada, &project).await;
    let mut reader = Reader::join(&ada, terminal.id, None).await.unwrap();
    reader.run("echo r''eady; (sleep 100; true)", "ready\r\n").await;
    let started = Instant::now();
    reader.until_notice(|notice| matches!(notice, TerminalNotice::Idle { closes_in_s: 1..=2 })).await;
    reader.type_in("x").await;
    reader.notices.clear();
    reader.until_notice(|notice| matches!(notice, TerminalNotice::Idle { .. })).await;
    assert!(started.elapsed() > Duration::from_secs(3), "what is typed counts: {:?}", started.elapsed());
    assert_eq!(reader.closed().await, "Closed, because nobody typed for 4 seconds.");
    let closed = shown(&ada, &terminal).await;
    assert_eq!((closed.state, closed.exit.map(|exit| exit.kind)), (TerminalState::Closed, Some(ExitKind::TimedOut)));
}

#[tokio::test(flavor = "multi_thread")]
async fn close_answers_when_nothing_is_left_alive() {
    let Some((_app, ada, project, terminal)) = desk().await else { return };
    let mut reader = Reader::join(&ada, terminal.id, None).await.unwrap();
    let mut events = ada.follow(&format!("/api/live/run:{}", terminal.id)).await.unwrap();
    reader.run("trap '' TERM INT HUP; (setsid sleep 4242 &); echo r''eady", "ready\r\n").await;
    let begun = Instant::now();
    while !running("sleep\u{0}4242") {
        assert!(begun.elapsed() < Duration::from_secs(5), "it goes on in the background");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let started = Instant::now();
    let closed: Terminal = ada.delete(&format!("/api/terminals/{}", terminal.id)).await.expect(200).json();
    let took = started.elapsed();
    assert!(!running("sleep\u{0}4242"));
    let exit = closed.exit.unwrap();
    assert_eq!(
        (closed.state, exit.kind, exit.left_alive, exit.sentence.as_str()),
        (TerminalState::Closed, ExitKind::Cancelled, 0, "Closed.")
    );
    assert!(took < Duration::from_millis(2500), "{took:?}");
    assert_eq!(reader.closed().await, "Closed.");
    let kinds: Vec<_> = events_until_end(&mut events).await;
    assert!(
        matches!(kinds.first(), Some(EventKind::RunQueued {})) && matches!(kinds.last(), Some(EventKind::RunFinished { .. })),
        "{kinds:?}"
    );
    // A reload shows what stood there, and says why it ends.
    let mut late = Reader::join(&ada, terminal.id, None).await.unwrap();
    late.until("ready\r\n").await;
    assert_eq!(late.closed().await, "Closed.");
    let runs: Page<Run> = ada.get(&format!("/api/projects/{project}/runs")).await.expect(200).json();
    assert!(runs.items.is_empty(), "terminals are listed as terminals");
}

/// How a terminal stood, by the project's stream.
async fn events_until(caller: &Caller, project: &str, id: wire::RunId) -> Vec<TerminalState> {
    let mut events = caller.follow(&format!("/api/live/project:{project}")).await.unwrap();
    let last = events.until(|event| matches!(event.kind, EventKind::TerminalChanged { run_id, .. } if run_id == id)).await;
    if let EventKind::TerminalChanged { state, .. } = last.kind { vec![state] } else { Vec::new() }
}

async fn events_until_end(events: &mut support::Events) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    while let Some(frame) = events.next().await {
        kinds.push(frame.event.kind);
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_terminal_writes_is_saved_as_versions() {
    let Some((_app, ada, project, terminal)) = desk().await else { return };
    let mut reader = Reader::join(&ada, terminal.id, None).await.unwrap();
    reader.run("echo made > made.txt; echo do''ne", "done\r\n").await;
    let file = format!("/api/projects/{project}/files/made.txt");
    let deadline = Instant::now() + Duration::from_secs(5);
    while ada.get(&file).await.status != 200 {
        assert!(Instant::now() < deadline, "it is saved while the terminal goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let etag = fixture::file(&ada, &project, "edited.txt", "one\n").await;
    reader.run("until [ -e edited.txt ]; do sleep 0.1; done; cat edited.txt", "one\r\n").await;
    ada.put(&format!("/api/projects/{project}/files/edited.txt"), Some(("if-match", &etag)), "two\n").await.expect(200);
    reader.run("until grep two edited.txt; do sleep 0.1; done", "two\r\n").await;
    reader.run("echo la''st > last.txt; echo do''ne", "done\r\n").await;
    ada.delete(&format!("/api/terminals/{}", terminal.id)).await.expect(200);
    assert_eq!(&ada.get(&format!("/api/projects/{project}/files/last.txt")).await.expect(200).body[..], b"last\n");
    assert_eq!(&ada.get(&format!("/api/projects/{project}/files/made.txt")).await.expect(200).body[..], b"made\n");
    let history = ada.get(&format!("/api/projects/{project}/history?path=made.txt")).await.expect(200);
    assert!(String::from_utf8_lossy(&history.body).contains("\"terminal\""), "{history:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_for_the_projects_people_and_our_own_pages() {
    let Some((app, ada, _, terminal)) = desk().await else { return };
    let path = format!("/api/terminals/{}/ws", terminal.id);
    let stranger = app.user("eve").await;
    assert_eq!(Reader::join(&stranger, terminal.id, None).await.err(), Some(404));
    assert_eq!(Reader::join(&app.nobody(), terminal.id, None).await.err(), Some(401));
    assert_eq!(Reader::join(&ada, "0190a5c8-0000-7000-8000-000000000000", None).await.err(), Some(404));
    let browser = app.nobody().sign_in_browser("ada", PASSWORD).await;
    let foreign = [("origin", "https://evil.example")];
    assert_eq!(Reader::join_with(&browser, &path, &foreign).await.err(), Some(403));
    assert_eq!(Reader::join_with(&browser, &path, &[("sec-fetch-site", "cross-site")]).await.err(), Some(403));
    Reader::join_with(&browser, &path, &[("origin", &app.base)]).await.expect("our own page");
    Reader::join_with(&ada, &path, &foreign).await.expect("a token is no browser that was talked into it");
    ada.get(&path).await.expect(400).problem();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_with_its_session_and_its_rights() {
    let Some((app, ada, project, terminal)) = desk().await else { return };
    let ben = app.user("ben").await;
    fixture::member(&app, &project, &ben, ProjectRole::Editor).await;
    let mut reader = Reader::join(&ben, terminal.id, None).await.unwrap();
    reader.run("echo h''i", "hi\r\n").await;
    let id = ben.user.as_ref().unwrap().id;
    ada.patch(&format!("/api/admin/users/{id}"), &json!({ "state": "disabled" })).await.expect(200);
    let deadline = Instant::now() + Duration::from_secs(10);
    while reader.end.is_none() {
        assert!(Instant::now() < deadline, "still there");
        reader.step(Duration::from_secs(1)).await;
    }
    assert_eq!(reader.end.flatten().map(|frame| u16::from(frame.code)), Some(1008));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused_and_change_nothing() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    let path = format!("/api/projects/{project}/terminals");
    let problem = ada.post(&path, &json!({ "cols": 0, "rows": 1001, "title": "x" })).await.expect(422).problem();
    assert_eq!(problem.fields.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["cols", "rows"]);
    ada.post(&path, &json!({ "cols": 80, "rows": 24, "title": "a\u{7}" })).await.expect(422).problem();
    assert!(ada.get(&path).await.expect(200).listed_ids().is_empty());
    for n in 1..=8 {
        let opened: Terminal = ada.post(&path, &json!({ "cols": 80, "rows": 24 })).await.expect(202).json();
        assert_eq!(opened.title, format!("Terminal {n}"));
    }
    let full = ada.post(&path, &json!({ "cols": 80, "rows": 24 })).await.expect(409).problem();
    assert!(full.detail.contains("8 terminals"), "{}", full.detail);
    let ids = ada.get(&path).await.listed_ids();
    assert_eq!(Reader::join(&ada, &ids[0], None).await.err(), Some(503), "no worker here, and it is said");
    let closed: Terminal = ada.delete(&format!("/api/terminals/{}", ids[2])).await.expect(200).json();
    assert_eq!((closed.state, closed.exit.unwrap().sentence.as_str()), (TerminalState::Closed, "Closed before it started."));
    // As a run it can be stopped too.
    ada.post(&format!("/api/runs/{}/cancel", ids[3]), &json!({})).await.expect(200);
    assert_eq!(ada.get(&path).await.json::<Page<Terminal>>().items[3].state, TerminalState::Closed);
    let renamed: Terminal = ada.patch(&format!("/api/terminals/{}", ids[0]), &json!({ "title": " logs " })).await.expect(200).json();
    assert_eq!(renamed.title, "logs");
    let next: Terminal = ada.post(&path, &json!({ "cols": 80, "rows": 24 })).await.expect(202).json();
    assert_eq!(next.title, "Terminal 1", "the lowest free number");
    let events = events_until(&ada, &project, next.id).await;
    assert_eq!(events, [TerminalState::Starting], "the project's people are told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_says_plainly_that_it_did_not_survive_the_server() {
    llm::install_crypto();
    let data = data_folder();
    let port = free_port();
    let first = Program::start(data.path(), port).await;
    let body = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    first.caller().post("/api/auth/register", &body).await.expect(201);
    let ada = first.caller().sign_in("ada", PASSWORD).await;
    let project = fixture::project(&ada, "P").await;
    let (killed, stopped) = (terminal::open(&ada, &project).await, terminal::open(&ada, &project).await);
    let mut reader = Reader::join(&ada, killed.id, None).await.unwrap();
    if reader.end.is_some() || !reader.output.is_empty() && reader.text().contains("not") {
        fixture::skip("no sandbox on this machine");
        return;
    }
    reader.run("echo kept > kept.txt; sleep 4343 & echo r''eady", "ready\r\n").await;
    let mut other = Reader::join(&ada, stopped.id, None).await.unwrap();
    other.run("echo r''eady", "ready\r\n").await;
    drop(first);
    drop((reader, other));

    let second = Program::start(data.path(), port).await;
    let ada = second.caller().sign_in("ada", PASSWORD).await;
    let mut back = Reader::join(&ada, killed.id, Some(5)).await.unwrap();
    let sentence = back.closed().await;
    assert!(sentence.contains("did not survive the restart of the server"), "{sentence}");
    assert!(!running("sleep\u{0}4343"), "nothing of it is left");
    assert_eq!(&ada.get(&format!("/api/projects/{project}/files/kept.txt")).await.expect(200).body[..], b"kept\n");
    let again = terminal::open(&ada, &project).await;
    let mut reader = Reader::join(&ada, again.id, None).await.unwrap();
    reader.run("cat kept.txt", "kept\r\n").await;
    // Also where the server stops as it should.
    second.terminate();
    reader.drain(Duration::from_secs(1)).await;
    let third = Program::start(data.path(), port).await;
    let ada = third.caller().sign_in("ada", PASSWORD).await;
    let sentence = Reader::join(&ada, again.id, None).await.unwrap().closed().await;
    assert!(sentence.contains("did not survive the restart of the server"), "{sentence}");
}
