//! Checkpoints over HTTP: what a client that is not the page relies on.

use serde_json::json;

use crate::support::{TestApp, fixture};

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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_checkpoint_holds_is_read_page_by_page() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let project = fixture::project(&ada, "P").await;
    let at = format!("/api/projects/{project}/checkpoints");
    let etag = fixture::file(&ada, &project, "b.txt", "then").await;
    fixture::file(&ada, &project, "a/deep.txt", "12345").await;
    fixture::file(&ada, &project, "c.txt", "").await;
    let id = ada.post(&at, &json!({ "name": "Kept" })).await.expect(201).id();
    ada.put(&format!("/api/projects/{project}/files/b.txt"), Some(("if-match", &etag)), "later").await.expect(200);
    ada.delete(&format!("/api/projects/{project}/files/c.txt?version=1")).await.expect(204);
    fixture::file(&ada, &project, "new.txt", "x").await;

    let files = format!("{at}/{id}/files");
    let whole = ada.get(&files).await.expect(200);
    let items = whole.field("items").as_array().unwrap().clone();
    let told: Vec<_> = items.iter().map(|item| (item["path"].as_str().unwrap(), item["size"].as_i64().unwrap())).collect();
    assert_eq!(told, [("a/deep.txt", 5), ("b.txt", 4), ("c.txt", 0)]);
    assert_eq!((&items[1]["kind"], &items[1]["version"], &items[1]["mode"]), (&json!("file"), &json!(1), &json!(0o644)));
    assert_eq!(items[1]["checksum"].as_str().unwrap().len(), 64);
    assert_eq!(whole.field("next_cursor"), json!(null));

    let first = ada.get(&format!("{files}?limit=2")).await.expect(200);
    let cursor = first.field("next_cursor").as_str().unwrap().to_owned();
    let second = ada.get(&format!("{files}?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!((first.field("items"), second.field("items")), (json!(items[..2]), json!(items[2..])));
    assert_eq!(second.field("next_cursor"), json!(null));
    ada.get(&format!("{files}?limit=0")).await.expect(422);
    ada.get(&format!("{files}?cursor=nonsense")).await.expect(422);
    ben.get(&files).await.expect(404);
    ada.delete(&format!("{at}/{id}")).await.expect(204);
    ada.get(&files).await.expect(404);
}
