//! Files on S3 as the product serves them: uploads, downloads, an outage, and a move there and back.

use serde_json::json;
use wire::{
    admin::{CheckState, Health},
    jobs::JobState,
    projects::Project,
    storage::{ProjectStorage, StorageChoices},
};

use crate::support::{Caller, Options, TestApp, fixture, s3_server, s3_server::S3Server};

/// A server that can reach the bucket.
async fn app(s3: &S3Server, more: &[(&str, &str)], worker: bool) -> TestApp {
    let endpoint = s3.endpoint();
    let mut settings = vec![
        ("AWS_S3_BUCKET", s3_server::BUCKET),
        ("AWS_S3_ENDPOINT_URL", &*endpoint),
        ("AWS_ACCESS_KEY_ID", "test-key"),
        ("AWS_SECRET_ACCESS_KEY", "test-secret"),
    ];
    settings.extend(more.iter().copied());
    TestApp::with(Options { worker, settings, ..Options::default() }).await
}

async fn health_of_s3(app: &TestApp) -> (CheckState, String) {
    let health: Health = domain::health::check(&app.services).await;
    let check = health.checks.into_iter().find(|check| check.name == "file storage on S3").unwrap();
    (check.state, check.reason)
}

async fn text(caller: &Caller, project: &str, path: &str) -> String {
    let reply = caller.get(&format!("/api/projects/{project}/files/{path}")).await.expect(200);
    String::from_utf8(reply.body.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_outage_is_503_with_its_reason_and_nothing_is_half_written() {
    let s3 = S3Server::start().await;
    // Without copies on the disk every read asks the bucket.
    let app = app(&s3, &[("STORAGE_BACKEND", "s3"), ("STORAGE_CACHE_SIZE", "0")], false).await;
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "Bucket").await;
    let shown: Project = ada.get(&format!("/api/projects/{project}")).await.expect(200).json();
    assert_eq!(shown.storage_backend, "s3");
    let etag = fixture::file(&ada, &project, "a.txt", "kept").await;
    assert_eq!(text(&ada, &project, "a.txt").await, "kept");
    let large = vec![b'x'; 20 << 20];
    let sent = ada.put(&format!("/api/projects/{project}/files/large.bin"), Some(("if-none-match", "*")), large.clone()).await;
    sent.expect(201);
    let part = ada.request(reqwest::Method::GET, &format!("/api/projects/{project}/files/large.bin")).header("range", "bytes=0-9");
    assert_eq!(ada.send(part).await.expect(206).body.as_ref(), &large[..10]);
    assert_eq!(health_of_s3(&app).await.0, CheckState::Ok);
    let before = ada.get(&format!("/api/projects/{project}/tree")).await.expect(200).body;

    s3.switch(false);
    let saved = ada.put(&format!("/api/projects/{project}/files/a.txt"), Some(("if-match", &etag)), "lost").await.expect(503);
    assert!(saved.problem().detail.contains("S3 storage does not answer"), "{}", saved.problem().detail);
    let sent = ada.put(&format!("/api/projects/{project}/files/other.bin"), Some(("if-none-match", "*")), vec![b'y'; 20 << 20]).await;
    assert!(sent.expect(503).problem().detail.contains("Nothing was changed"));
    ada.get(&format!("/api/projects/{project}/files/a.txt")).await.expect(503);
    let after = ada.get(&format!("/api/projects/{project}/tree")).await.expect(200).body;
    assert_eq!(after, before, "the tree is as it was, and can be read");
    // The last answer is believed for a while, and a write that fails ends that.
    let (state, reason) = health_of_s3(&app).await;
    assert!(state == CheckState::Failed && reason.contains("does not answer"), "{reason}");
    let spool = std::fs::read_dir(app.data.path().join("data/s3-cache/spool")).unwrap().count();
    assert_eq!(spool, 0, "what was received is gone");

    s3.switch(true);
    assert_eq!(text(&ada, &project, "a.txt").await, "kept");
    ada.put(&format!("/api/projects/{project}/files/a.txt"), Some(("if-match", &etag)), "saved").await.expect(200);
    assert_eq!(text(&ada, &project, "a.txt").await, "saved");
    assert_eq!(health_of_s3(&app).await.0, CheckState::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_project_is_made_where_one_says_and_moves_by_a_job() {
    let s3 = S3Server::start().await;
    let app = app(&s3, &[], true).await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let choices: StorageChoices = ada.get("/api/storage").await.expect(200).json();
    assert_eq!((choices.backends, choices.default.as_str()), (vec!["local".to_owned(), "s3".to_owned()], "local"));
    let there = ada.post("/api/projects", &json!({ "name": "There", "storage_backend": "s3" })).await.expect(201);
    assert_eq!(there.field("storage_backend"), "s3");
    ada.post("/api/projects", &json!({ "name": "Nowhere", "storage_backend": "tape" })).await.expect(422);

    let project = fixture::project(&ada, "Here").await;
    for n in 0..30 {
        fixture::file(&ada, &project, &format!("dir/{n}.txt"), &format!("text {n}")).await;
    }
    let address = format!("/api/projects/{project}/storage");
    let here: ProjectStorage = ada.get(&address).await.expect(200).json();
    assert_eq!((here.backend.as_str(), here.move_to), ("local", None));
    ada.post(&address, &json!({ "to": "local" })).await.expect(409);
    ben.post(&address, &json!({ "to": "s3" })).await.expect(404);
    fixture::member(&app, &project, &ben, wire::projects::ProjectRole::Editor).await;
    ben.post(&address, &json!({ "to": "s3" })).await.expect(403);

    for to in ["s3", "local"] {
        let moving: ProjectStorage = ada.post(&address, &json!({ "to": to })).await.expect(202).json();
        let job = fixture::finished_job(&ada, &moving.move_job.unwrap().id.to_string()).await;
        assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
        let now: ProjectStorage = ben.get(&address).await.expect(200).json();
        assert_eq!((now.backend.as_str(), now.move_to), (to, None));
        for n in 0..30 {
            assert_eq!(text(&ben, &project, &format!("dir/{n}.txt")).await, format!("text {n}"));
        }
    }

    // The bucket is gone: the move is tried again and again, can be cancelled, and the project stays where it is.
    s3.switch(false);
    let moving: ProjectStorage = ada.post(&address, &json!({ "to": "s3" })).await.expect(202).json();
    let job = moving.move_job.unwrap().id;
    ada.post(&format!("/api/jobs/{job}/cancel"), &json!({})).await.expect(200);
    let job = fixture::finished_job(&ada, &job.to_string()).await;
    assert_eq!(job.state, JobState::Cancelled, "{:?}", job.error);
    let now: ProjectStorage = ada.get(&address).await.expect(200).json();
    assert_eq!((now.backend.as_str(), now.move_to), ("local", None));
    assert_eq!(text(&ada, &project, "dir/3.txt").await, "text 3");
    app.stop().await;
}
