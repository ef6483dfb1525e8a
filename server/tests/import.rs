//! Projects from archives, and archives that want something else.

use reqwest::Method;
use serde_json::{Value, json};
use wire::{
    Page,
    exports::Export,
    files::{EntryKind, Tree},
    imports::{StageOutcome, StagedFile, StagedImport},
    jobs::{Job, JobState},
    projects::{ImportStarted, Project},
};

use crate::support::{Caller, Reply, TestApp, archives, fixture};

async fn import(owner: &Caller, filename: &str, archive: Vec<u8>) -> (ImportStarted, Job) {
    let started: ImportStarted = owner.upload(filename, archive).await.expect(202).json();
    let job = fixture::finished_job(owner, &started.job_id.to_string()).await;
    (started, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_and_a_tarball_become_projects() {
    let app = TestApp::with_worker().await;
    let ada = app.user("ada").await;
    let entries: &[(&str, &[u8])] = &[("README.md", b"# hi\n"), ("src/main.py", b"print(1)\n")];
    for (filename, archive) in [("tally-1.0.zip", archives::zip(entries)), ("tally-1.0.tar.gz", archives::tar_gz(entries))] {
        let (started, job) = import(&ada, filename, archive).await;
        assert_eq!((job.state, job.error.as_deref()), (JobState::Succeeded, None), "{filename}");
        let project: Project = ada.get(&format!("/api/projects/{}", started.project_id)).await.expect(200).json();
        assert_eq!((project.name.as_str(), project.file_count), ("tally-1.0", 2));
        let file = ada.get(&format!("/api/projects/{}/files/src/main.py", started.project_id)).await.expect(200);
        assert_eq!(&file.body[..], b"print(1)\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_archives_are_refused_whole_and_say_why() {
    let app = TestApp::with_worker().await;
    let ada = app.user("ada").await;
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("slip.zip", archives::zip(&[("ok.txt", b"ok"), ("../../evil.txt", b"x")])),
        ("absolute.zip", archives::zip(&[("/etc/evil", b"x")])),
        // Version control is left out, and nothing else is in it.
        ("git.zip", archives::zip(&[(".git/config", b"[core] fsmonitor = evil")])),
        ("bomb.zip", archives::zip_bomb(200 << 20)),
        ("slip.tar.gz", archives::tar_gz(&[("../evil.txt", b"x")])),
        ("hard.tar.gz", archives::tar_gz_with_link("link", "/etc/passwd", tar::EntryType::Link)),
        ("fifo.tar.gz", archives::tar_gz_with_link("pipe", "x", tar::EntryType::Fifo)),
        ("noise.zip", b"PK\x03\x04 this is no archive".to_vec()),
        ("cut.tar.gz", archives::tar_gz(&[("a", &[7; 4096])])[..40].to_vec()),
    ];
    for (filename, archive) in bad {
        let (started, job) = import(&ada, filename, archive).await;
        assert_eq!(job.state, JobState::Failed, "{filename}");
        let error = job.error.unwrap_or_default();
        assert!(error.ends_with('.') && error.len() > 20, "{filename} says why: {error}");
        assert!(filename != "git.zip" || error.starts_with("The archive holds no files."), "{error}");
        ada.get(&format!("/api/projects/{}", started.project_id)).await.expect(404);
    }
    let left: Page<Project> = ada.get("/api/projects").await.json();
    assert!(left.items.is_empty(), "{left:?}");
    assert!(!app.data.path().join("evil.txt").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn version_control_in_an_archive_is_left_out() {
    let app = TestApp::with_worker().await;
    let ada = app.user("ada").await;
    let archive = archives::zip(&[(".git/config", b"[core] fsmonitor = evil"), ("a.txt", b"a"), ("sub/.git/hooks/post-checkout", b"x")]);
    let (started, job) = import(&ada, "kept.zip", archive).await;
    assert_eq!((job.state, job.error.as_deref()), (JobState::Succeeded, None));
    let tree: Tree = ada.get(&format!("/api/projects/{}/tree", started.project_id)).await.json();
    assert_eq!(tree.items.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["a.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_an_archive_is_an_entry_that_nobody_follows() {
    let app = TestApp::with_worker().await;
    let ada = app.user("ada").await;
    let archives = [
        ("link.zip", archives::zip_with_symlink("link", "/etc/passwd")),
        ("link.tar.gz", archives::tar_gz_with_link("link", "/etc/passwd", tar::EntryType::Symlink)),
    ];
    for (filename, archive) in archives {
        let (started, job) = import(&ada, filename, archive).await;
        assert_eq!((job.state, job.error.as_deref()), (JobState::Succeeded, None), "{filename}");
        let tree: Tree = ada.get(&format!("/api/projects/{}/tree", started.project_id)).await.json();
        assert_eq!(tree.items.iter().map(|e| (e.path.as_str(), e.kind)).collect::<Vec<_>>(), [("link", EntryKind::Symlink)]);
        for path in ["files/link", "files/link/x"] {
            let reply = ada.get(&format!("/api/projects/{}/{path}", started.project_id)).await;
            assert!(!String::from_utf8_lossy(&reply.body).contains("root:"), "{reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_an_attachment_for_its_owner_and_comes_back_whole() {
    let app = TestApp::with_worker().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let project = fixture::project(&ada, "Tally (sample)").await;
    fixture::file(&ada, &project, "src/main.py", "print(1)\n").await;
    let started: Export =
        ada.post(&format!("/api/projects/{project}/exports"), &serde_json::json!({ "history": true })).await.expect(202).json();
    ben.post(&format!("/api/projects/{project}/exports"), &serde_json::json!({})).await.expect(404);
    assert_eq!(fixture::finished_job(&ada, &started.job_id.to_string()).await.state, JobState::Succeeded);
    let archive = ada.get(&format!("/api/exports/{}/archive", started.id)).await.expect(200);
    assert!(archive.header("content-disposition").unwrap().starts_with("attachment; filename=\"Tally--sample-history-"), "{archive:?}");
    assert_eq!(archive.header("content-type"), Some("application/zip"));
    assert_eq!(archive.header("x-content-type-options"), Some("nosniff"));
    let part = ada.request(reqwest::Method::GET, &format!("/api/exports/{}/archive", started.id)).header("range", "bytes=0-3");
    assert_eq!(&ada.send(part).await.expect(206).body[..], b"PK\x03\x04");
    for path in [format!("/api/exports/{}", started.id), format!("/api/exports/{}/archive", started.id)] {
        ben.get(&path).await.expect(404);
    }
    let (copy, job) = import(&ada, "copy.zip", archive.body.to_vec()).await;
    assert_eq!((job.state, job.error.as_deref()), (JobState::Succeeded, None));
    let file = ada.get(&format!("/api/projects/{}/files/src/main.py", copy.project_id)).await.expect(200);
    assert_eq!(&file.body[..], b"print(1)\n");
    ada.delete(&format!("/api/exports/{}", started.id)).await.expect(204);
    ada.get(&format!("/api/exports/{}/archive", started.id)).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_an_archive_or_an_account_is_refused() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    ada.post("/api/projects/import", &serde_json::json!({})).await.expect(422).problem();
    let plain = ada.request(reqwest::Method::POST, "/api/projects/import").header("content-type", "text/plain").body("x");
    ada.send(plain).await.expect(415).problem();
    let empty = ada
        .request(reqwest::Method::POST, "/api/projects/import")
        .header("content-type", "multipart/form-data; boundary=b")
        .body("--b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nx\r\n--b--\r\n");
    let problem = ada.send(empty).await.expect(422).problem();
    assert_eq!(problem.fields[0].field, "archive");
    // What is said of a part before its content is held in memory.
    let mut endless = b"--b\r\ncontent-disposition: form-data; name=\"".to_vec();
    endless.resize(8 << 20, b'x');
    let request = ada.request(reqwest::Method::POST, "/api/projects/import").header("content-type", "multipart/form-data; boundary=b");
    match request.body(endless).send().await {
        Ok(answer) => assert_eq!(answer.status(), 413),
        // The answer came while it was sent, and the connection ended.
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    app.nobody().upload("a.zip", archives::zip(&[("a", b"a")])).await.expect(401).problem();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_waiting_for_its_job_is_not_a_project_yet() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let started: ImportStarted = ada.upload("a.zip", archives::zip(&[("a", b"a")])).await.expect(202).json();
    ada.get(&format!("/api/projects/{}", started.project_id)).await.expect(404);
    let job: Job = ada.get(&format!("/api/jobs/{}", started.job_id)).await.expect(200).json();
    assert_eq!((job.state, job.kind.as_str()), (JobState::Queued, "import"));
    app.user("ben").await.get(&format!("/api/jobs/{}", started.job_id)).await.expect(404);
}

/// Sends one batch of an import.
async fn send(caller: &Caller, import: &str, manifest: Value, parts: &[&[u8]]) -> Reply {
    let mut form = format!("--cut\r\ncontent-disposition: form-data; name=\"manifest\"\r\n\r\n{manifest}\r\n").into_bytes();
    for part in parts {
        form.extend_from_slice(b"--cut\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n");
        form.extend_from_slice(part);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--cut--\r\n");
    let request = caller.request(Method::POST, &format!("/api/imports/{import}/files"));
    caller.send(request.header("content-type", "multipart/form-data; boundary=cut").body(form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_batches_become_a_project_and_refusals_are_told() {
    let app = TestApp::with_worker().await;
    let ada = app.user("ada").await;
    let begun: StagedImport = ada.post("/api/imports", &json!({ "name": "Folder", "files": 3, "bytes": 28 })).await.expect(201).json();
    let import = begun.id.to_string();
    let manifest = json!([{ "path": "src/main.py" }, { "path": "../evil" }, { "path": "run.sh", "executable": true }]);
    let parts: [&[u8]; 3] = [b"print(1)\n", b"evil", b"#!/bin/sh\n"];
    // The same batch again, as after an answer that got lost.
    for _ in 0..2 {
        let outcomes: Vec<StageOutcome> = send(&ada, &import, manifest.clone(), &parts).await.expect(200).json();
        assert!(matches!(&outcomes[0], StageOutcome::Staged { path } if path == "src/main.py"), "{outcomes:?}");
        assert!(
            matches!(&outcomes[1], StageOutcome::Refused { path, reason } if path == "../evil" && reason.ends_with('.')),
            "{outcomes:?}"
        );
        assert!(matches!(outcomes[2], StageOutcome::Staged { .. }), "{outcomes:?}");
    }
    for (manifest, parts) in [(json!([{ "path": "a" }]), 2), (json!([{ "path": "a" }, { "path": "b" }]), 1), (json!({ "path": "a" }), 1)] {
        let parts = vec![b"x".as_slice(); parts];
        assert_eq!(send(&ada, &import, manifest, &parts).await.expect(422).problem().fields[0].field, "manifest");
    }
    ada.post(&format!("/api/imports/{import}/files"), &json!({})).await.expect(415);
    let shown: StagedImport = ada.get(&format!("/api/imports/{import}")).await.expect(200).json();
    assert_eq!((shown.files, shown.bytes, shown.job_id), (2, 19, None));
    let listed: Page<StagedFile> = ada.get(&format!("/api/imports/{import}/files")).await.expect(200).json();
    assert_eq!(
        listed.items.iter().map(|file| (file.path.as_str(), file.executable)).collect::<Vec<_>>(),
        [("run.sh", true), ("src/main.py", false)]
    );
    ada.get(&format!("/api/projects/{import}")).await.expect(404);
    let ben = app.user("ben").await;
    send(&ben, &import, manifest.clone(), &parts).await.expect(404);
    ben.delete(&format!("/api/imports/{import}")).await.expect(404);

    let started: ImportStarted = ada.post(&format!("/api/imports/{import}/finish"), &json!({})).await.expect(202).json();
    let job = fixture::finished_job(&ada, &started.job_id.to_string()).await;
    assert_eq!((job.state, job.kind.as_str(), job.error.as_deref()), (JobState::Succeeded, "import", None));
    let tree: Tree = ada.get(&format!("/api/projects/{import}/tree")).await.expect(200).json();
    let files: Vec<_> =
        tree.items.iter().filter(|entry| entry.kind == EntryKind::File).map(|entry| (entry.path.as_str(), entry.mode)).collect();
    assert_eq!(files, [("run.sh", 0o755), ("src/main.py", 0o644)]);
    ada.get(&format!("/api/imports/{import}")).await.expect(404);

    let given_up = ada.post("/api/imports", &json!({ "name": "Given up" })).await.expect(201).id();
    send(&ada, &given_up, json!([{ "path": "a" }]), &[b"a"]).await.expect(200);
    ada.delete(&format!("/api/imports/{given_up}")).await.expect(204);
    ada.delete(&format!("/api/imports/{given_up}")).await.expect(404);
    ada.post(&format!("/api/imports/{given_up}/finish"), &json!({})).await.expect(404);
    assert_eq!(ada.get("/api/projects").await.listed_ids(), [import]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_can_be_had_while_it_is_made() {
    let app = TestApp::with_worker().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let project = fixture::project(&ada, "Tally").await;
    let etag = fixture::file(&ada, &project, "src/main.py", "print(1)\n").await;
    ada.put(&format!("/api/projects/{project}/files/src/main.py"), Some(("if-match", &etag)), "print(2)\n".to_owned()).await.expect(200);
    let export = format!("/api/projects/{project}/export");
    for (query, versions) in [("", 1), ("?format=zip", 1), ("?format=zip&history=true", 2)] {
        let archive = ada.get(&format!("{export}{query}")).await.expect(200);
        assert_eq!(archive.header("content-type"), Some("application/zip"));
        assert!(archive.header("content-disposition").unwrap().starts_with("attachment; filename=\"Tally-"), "{archive:?}");
        let (copy, job) = import(&ada, "copy.zip", archive.body.to_vec()).await;
        assert_eq!((job.state, job.error.as_deref()), (JobState::Succeeded, None), "{query}");
        let file = ada.get(&format!("/api/projects/{}/files/src/main.py", copy.project_id)).await.expect(200);
        assert_eq!(&file.body[..], b"print(2)\n");
        let history = ada.get(&format!("/api/projects/{}/history?path=src/main.py", copy.project_id)).await.expect(200);
        assert_eq!(history.field("items").as_array().unwrap().len(), versions, "{query}");
    }
    let kept: Page<Export> = ada.get(&format!("/api/projects/{project}/exports")).await.expect(200).json();
    assert!(kept.items.is_empty(), "looking leaves nothing: {kept:?}");
    assert_eq!(ada.get(&format!("{export}?format=tar")).await.expect(422).problem().fields[0].field, "format");
    ben.get(&export).await.expect(404);
}
