//! Checkpoints over HTTP: what a client that is not the page relies on.

mod support;

use serde_json::json;
use support::{TestApp, fixture};

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_listed_restored_and_forked() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    let at = format!("/api/projects/{project}/checkpoints");
    let etag = fixture::file(&ada, &project, "a.txt", "first").await;
    let kept = ada.post(&at, &json!({ "name": "Works" })).await.expect(201);
    let (id, revision) = (kept.id(), kept.field("revision").as_i64().unwrap());
    assert_eq!((kept.field("kind"), kept.field("files")), (json!("named"), json!(1)));
    ada.post(&at, &json!({ "name": "  " })).await.expect(422);

    ada.put(&format!("/api/projects/{project}/files/a.txt"), Some(("if-match", &etag)), "second").await.expect(200);
    let plan = ada.get(&format!("{at}/{id}/diff")).await.expect(200);
    assert_eq!(plan.field("items")[0]["effect"], json!("goes_back"));
    let now = plan.field("revision").as_i64().unwrap();
    assert_eq!(now, revision + 1);

    // Too late: somebody wrote after the plan that the client knows.
    let late = ada.post(&format!("{at}/{id}/restore"), &json!({ "expected_revision": revision })).await.expect(409);
    assert_eq!(late.field("current")["paths"][0]["path"], json!("a.txt"));
    let done = ada.post(&format!("{at}/{id}/restore"), &json!({ "expected_revision": now })).await.expect(200);
    assert_eq!((done.field("outcome"), done.field("paths")), (json!("restored"), json!(["a.txt"])));
    // Without a revision: as the files are now.
    let etag = ada.get(&format!("/api/projects/{project}/files/a.txt")).await.expect(200).header("etag").unwrap().to_owned();
    ada.put(&format!("/api/projects/{project}/files/a.txt"), Some(("if-match", &etag)), "third").await.expect(200);
    let done = ada.post(&format!("{at}/{id}/restore"), &json!({ "paths": ["a.txt"] })).await.expect(200);
    assert_eq!(done.field("paths"), json!(["a.txt"]));
    let timeline = ada.get(&at).await.expect(200);
    let kinds: Vec<_> = timeline.field("items").as_array().unwrap().iter().map(|item| item["kind"].clone()).collect();
    assert_eq!(kinds, ["restore", "restore", "named"]);
    assert!(timeline.field("excluded")[0]["patterns"].as_array().unwrap().contains(&json!("node_modules/")));

    let fork = ada.post(&format!("/api/projects/{project}/fork"), &json!({ "name": "Mine", "checkpoint_id": id })).await.expect(201);
    assert_eq!(fork.field("file_count"), json!(1));
    ada.patch(&format!("{at}/{id}"), &json!({ "name": "Still works" })).await.expect(200);
    ada.delete(&format!("{at}/{id}")).await.expect(204);
    ada.get(&format!("{at}/{id}/diff")).await.expect(404);
}
