//! Files while commands run: what they write is saved live, what people save reaches them, and nothing gets lost between the two.

use std::time::{Duration, Instant};

use wire::{
    event::EventKind,
    files::FileAction,
    runs::{Run, RunState},
};

use crate::support::{self, Caller, PATIENCE, TestApp, fixture};

async fn content(user: &Caller, project: &str, path: &str) -> Option<String> {
    let reply = user.get(&format!("/api/projects/{project}/files/{path}")).await;
    (reply.status == 200).then(|| String::from_utf8(reply.body.to_vec()).unwrap())
}

/// Waits until a file of the project has this content; answers how long that took.
async fn appears(user: &Caller, project: &str, path: &str, text: &str) -> Duration {
    let began = Instant::now();
    while content(user, project, path).await.as_deref() != Some(text) {
        assert!(began.elapsed() < PATIENCE, "{path} never became {text:?}: {:?}", content(user, project, path).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

async fn save(user: &Caller, project: &str, path: &str, text: &str) {
    let at = format!("/api/projects/{project}/files/{path}");
    let etag = user.get(&at).await.expect(200).header("etag").unwrap().to_owned();
    user.put(&at, Some(("if-match", &etag)), text.to_owned()).await.expect(200);
}

/// Waits for the output to contain a word.
async fn says(user: &Caller, run: &Run, word: &str) {
    let began = Instant::now();
    while !fixture::output(user, run).await.contains(word) {
        assert!(began.elapsed() < PATIENCE, "it never said {word}: {}", fixture::output(user, run).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn paths(run: &Run) -> Vec<(&str, FileAction)> {
    run.changes.iter().map(|change| (change.path.as_str(), change.action)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_travel_both_ways_while_a_command_runs() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "in.txt", "first").await;
    let wait_for = |file: &str, text: &str| format!("until grep -qs '{text}' {file}; do sleep 0.02; done");
    let command = format!(
        "echo one > live.txt; mkdir -p new/deep; echo ready; {}; date +%s%N > seen; echo seen; echo two > new/deep/file; rm live.txt; {}; \
         mkdir node_modules; echo x > node_modules/x; echo last > last.txt",
        wait_for("in.txt", "second"),
        wait_for("go", "go")
    );
    let run = fixture::start_run(&ada, &id, &command).await;
    says(&ada, &run, "ready").await;
    let took = appears(&ada, &id, "live.txt", "one\n").await;
    assert!(took < Duration::from_secs(3), "saved live after {took:?}");
    let began = Instant::now();
    save(&ada, &id, "in.txt", "second").await;
    says(&ada, &run, "seen").await;
    assert!(began.elapsed() < Duration::from_secs(2), "on the disk after {:?}", began.elapsed());
    appears(&ada, &id, "new/deep/file", "two\n").await;
    let began = Instant::now();
    while content(&ada, &id, "live.txt").await.is_some() {
        assert!(began.elapsed() < PATIENCE, "deletions travel as well");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fixture::file(&ada, &id, "go", "go").await;
    let run = fixture::finished(&ada, &run).await;
    assert_eq!(run.state, RunState::Succeeded, "{:?}", run.exit);
    // The directory was empty for a while, so the project holds it for itself.
    let added = ["last.txt", "new/deep", "new/deep/file", "seen"].map(|path| (path, FileAction::Added));
    assert_eq!(paths(&run), added, "what is left of it in all");
    assert_eq!(content(&ada, &id, "last.txt").await.as_deref(), Some("last\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_changed_is_kept_beside_and_told() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "both.txt", "start").await;
    // Written again and again, so that a save by a person always meets bytes that were not saved yet.
    let command = "echo ready; i=0; while [ ! -e stop ]; do i=$((i+1)); echo mine $i > both.txt; done; echo done";
    let run = fixture::start_run(&ada, &id, command).await;
    says(&ada, &run, "ready").await;
    let at = format!("/api/projects/{id}/files/both.txt");
    let mut collided = Vec::new();
    for round in 0..40 {
        let etag = ada.get(&at).await.expect(200).header("etag").unwrap().to_owned();
        ada.put(&at, Some(("if-match", &etag)), format!("hers {round}")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let tree: serde_json::Value = ada.get(&format!("/api/projects/{id}/tree")).await.expect(200).json();
        let names = tree["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap().to_owned());
        collided = names.filter(|name| name.starts_with("both.conflict-")).collect();
        if !collided.is_empty() {
            break;
        }
    }
    fixture::file(&ada, &id, "stop", "").await;
    let run = fixture::finished(&ada, &run).await;
    assert_eq!(run.state, RunState::Succeeded, "{:?}", run.exit);
    let beside = collided.first().expect("a collision");
    assert!(content(&ada, &id, beside).await.unwrap().starts_with("mine "), "the command's bytes are kept");
    assert!(paths(&run).iter().any(|(path, action)| path == beside && *action == FileAction::Added), "{:?}", paths(&run));
    let events = ada.follow(&format!("/api/live/run:{}", run.id)).await.unwrap();
    let told = events.rest().await.into_iter().any(|e| matches!(e.kind, EventKind::RunNoted { text } if text.contains(beside.as_str())));
    assert!(told, "its people are told");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_share_a_checkout() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let wait = |file: &str| format!("until [ -e {file} ]; do sleep 0.02; done");
    let long = format!("echo a > by-long; echo ready; {}; echo b >> by-long; ln -s /etc link; {}", wait("by-short"), wait("end"));
    let long = fixture::start_run(&ada, &id, &long).await;
    says(&ada, &long, "ready").await;
    let short = fixture::run(&ada, &id, "cat by-long && echo s > by-short && sleep 0.2").await;
    assert_eq!(short.state, RunState::Succeeded, "{}", fixture::output(&ada, &short).await);
    assert!(paths(&short).contains(&("by-short", FileAction::Added)), "{:?}", paths(&short));
    assert_eq!(content(&ada, &id, "by-short").await.as_deref(), Some("s\n"));
    appears(&ada, &id, "by-long", "a\nb\n").await;
    fixture::file(&ada, &id, "end", "").await;
    let long = fixture::finished(&ada, &long).await;
    assert_eq!(long.state, RunState::Succeeded);
    assert!(paths(&long).contains(&("by-long", FileAction::Added)), "{:?}", paths(&long));
    assert_eq!(content(&ada, &id, "link").await.as_deref(), Some("/etc"), "a link is what it says, not what it leads to");
    // An empty directory of the project is there for the next run.
    let as_ada = domain::Ctx::for_job(&app.services, ada.user.clone().unwrap(), uuid::Uuid::now_v7().into());
    domain::files::create_directory(&as_ada, id.parse().unwrap(), "hollow/inner").await.unwrap();
    let third = fixture::run(&ada, &id, "ls -d by-long by-short end hollow/inner && test -L link").await;
    assert_eq!(third.state, RunState::Succeeded, "{}", fixture::output(&ada, &third).await);
    // Those that commands make and remove are the project's as well.
    let fourth = fixture::run(&ada, &id, "rmdir hollow/inner && mkdir -p fresh/empty && rm end && mkdir end").await;
    assert_eq!(fourth.state, RunState::Succeeded, "{}", fixture::output(&ada, &fourth).await);
    let mut there: Vec<String> = domain::files::tree(&as_ada, id.parse().unwrap())
        .await
        .unwrap()
        .items
        .into_iter()
        .filter(|entry| entry.kind == wire::files::EntryKind::Directory)
        .map(|entry| entry.path)
        .collect();
    there.retain(|path| !matches!(path.as_str(), "fresh"));
    assert_eq!(there, ["end", "fresh/empty", "hollow"], "what a command leaves empty stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_of_turns_that_are_over_go() {
    let app = TestApp::start().await;
    let folder = support::data_folder();
    let workspaces = sandbox::Workspaces::open(&folder.path().join("work"), None, true).unwrap();
    let ada = app.user("ada").await;
    let id: wire::ProjectId = fixture::project(&ada, "P").await.parse().unwrap();
    let as_ada = domain::Ctx::for_job(&app.services, ada.user.clone().unwrap(), uuid::Uuid::now_v7().into());
    agent::ensure_checkout(&as_ada, &workspaces, id).await.unwrap();
    workspaces.create_branch(id.0, uuid::Uuid::now_v7()).await.unwrap();
    let system = domain::Ctx::system(&app.services);
    let long = Duration::from_secs(3600);
    let cleaned = agent::clean_workspaces(&system, &workspaces, long, u64::MAX).await.unwrap();
    assert_eq!((cleaned.branches, cleaned.checkouts), (1, 0), "no turn has that branch, and the checkout is young");
    assert_eq!(agent::clean_workspaces(&system, &workspaces, Duration::ZERO, u64::MAX).await.unwrap().checkouts, 1);
    assert!(workspaces.revision(id.0).is_none());
}
