//! Projects from archives, and archives that want something else.

mod support;

use support::{Caller, TestApp, archives, fixture};
use wire::{
    Page,
    exports::Export,
    files::{EntryKind, Tree},
    jobs::{Job, JobState},
    projects::{ImportStarted, Project},
};

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
        if filename == "git.zip" && job.state == JobState::Succeeded {
            // Leaving it out is as good as refusing it.
            let tree: Tree = ada.get(&format!("/api/projects/{}/tree", started.project_id)).await.json();
            assert!(tree.items.iter().all(|e| !e.path.starts_with(".git")), "{filename}");
            continue;
        }
        assert_eq!(job.state, JobState::Failed, "{filename}");
        assert!(job.error.is_some_and(|e| e.ends_with('.') && e.len() > 20), "{filename} says why");
        ada.get(&format!("/api/projects/{}", started.project_id)).await.expect(404);
    }
    let left: Page<Project> = ada.get("/api/projects").await.json();
    assert!(left.items.iter().all(|p| p.name == "git"), "{left:?}");
    assert!(!app.data.path().join("evil.txt").exists());
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
    ada.send(plain).await.expect(400).problem();
    let empty = ada
        .request(reqwest::Method::POST, "/api/projects/import")
        .header("content-type", "multipart/form-data; boundary=b")
        .body("--b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nx\r\n--b--\r\n");
    let problem = ada.send(empty).await.expect(422).problem();
    assert_eq!(problem.fields[0].field, "archive");
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
