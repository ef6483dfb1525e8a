//! Things that tests need to exist.

use serde_json::json;
use wire::{jobs::Job, runs::Run};

use super::{Caller, TestApp};

/// An empty project's id.
pub async fn project(owner: &Caller, name: &str) -> String {
    owner.post("/api/projects", &json!({ "name": name })).await.expect(201).id()
}

/// Makes somebody a member, as an invitation would.
pub async fn member(app: &TestApp, project: &str, user: &Caller, role: wire::projects::ProjectRole) {
    let (project, user): (wire::ProjectId, _) = (project.parse().unwrap(), user.user.as_ref().unwrap().id);
    let mut tx = app.services.db.begin().await.unwrap();
    store::members::put(&mut tx, project, user, role, wire::Micros(0)).await.unwrap();
    if store::projects::visibility(&mut tx, project).await.unwrap() == Some(wire::projects::Visibility::Private) {
        store::members::set_visibility(&mut tx, project, wire::projects::Visibility::Shared).await.unwrap();
    }
    let _committed = tx.commit().await.unwrap();
}

/// The revision that a project is at.
#[allow(dead_code, reason = "not every test takes steps")]
pub async fn revision(caller: &Caller, project: &str) -> i64 {
    caller.get(&format!("/api/projects/{project}/tree")).await.expect(200).json::<wire::files::Tree>().revision
}

/// A new file; answers its etag.
pub async fn file(owner: &Caller, project: &str, path: &str, text: &str) -> String {
    let reply = owner.put(&format!("/api/projects/{project}/files/{path}"), Some(("if-none-match", "*")), text.to_owned()).await;
    reply.expect(201).header("etag").unwrap().to_owned()
}

pub async fn start_run(owner: &Caller, project: &str, command: &str) -> Run {
    owner.post(&format!("/api/projects/{project}/runs"), &json!({ "kind": "sandbox_exec", "command": command })).await.expect(202).json()
}

/// Waits for the end of a run by its own stream.
pub async fn finished(owner: &Caller, run: &Run) -> Run {
    owner.follow(&format!("/api/live/run:{}", run.id)).await.unwrap().rest().await;
    owner.get(&format!("/api/runs/{}", run.id)).await.expect(200).json()
}

/// Runs a command to its end.
pub async fn run(owner: &Caller, project: &str, command: &str) -> Run {
    let run = start_run(owner, project, command).await;
    finished(owner, &run).await
}

pub async fn output(owner: &Caller, run: &Run) -> String {
    String::from_utf8_lossy(&owner.get(&format!("/api/runs/{}/output", run.id)).await.expect(200).body).into_owned()
}

/// Waits for the end of a job by its own stream.
pub async fn finished_job(owner: &Caller, id: &str) -> Job {
    owner.follow(&format!("/api/live/job:{id}")).await.unwrap().rest().await;
    owner.get(&format!("/api/jobs/{id}")).await.expect(200).json()
}

/// Says what keeps something from being tested on this machine; in CI nothing may.
pub fn skip(missing: &str) {
    assert!(std::env::var("CI").is_err(), "{missing}, and CI must test what needs it");
    eprintln!("skipped: {missing}");
}

/// Whether commands can be run on this machine; tests that need them say so when they can't. In CI they have to be.
pub async fn can_run(app: &TestApp) -> bool {
    let health = domain::health::check(&app.services).await;
    let found = health.checks.iter().find(|c| c.name == "sandbox").map(|c| c.reason.clone()).unwrap_or_default();
    if found.starts_with("Commands are refused") {
        skip(&format!("no sandbox on this machine: {found}"));
        return false;
    }
    true
}
