//! Projects from git repositories, cloned in the real sandbox from a real server over the real proxy.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;
use wire::{
    files::{EntryKind, FileVersion, Origin, Tree},
    jobs::{Job, JobState},
    projects::{ImportStarted, Project},
};

use crate::support::{Caller, PASSWORD, SECRET, data_folder, fixture, program};

const HOST: &str = "git.example.test";

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]);
    let done = command.args(["-c", "protocol.file.allow=always"]).args(arguments).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A repository with what a hostile one would try: a hook, a filter, a submodule, a link that leads out.
fn repository(folder: &Path) {
    let work = folder.join("work");
    std::fs::create_dir_all(work.join("src")).unwrap();
    git(&work, &["init", "-q"]);
    std::fs::write(work.join("README.md"), "# tool\n").unwrap();
    std::fs::write(work.join("src/main.py"), "print(1)\n").unwrap();
    std::fs::write(work.join(".gitignore"), "*.log\n").unwrap();
    std::fs::write(work.join("kept.log"), "ignored, and tracked all the same\n").unwrap();
    std::fs::write(work.join(".gitattributes"), "*.py filter=evil\n").unwrap();
    std::fs::write(work.join("run.sh"), "#!/bin/sh\n").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", work.join("link")).unwrap();
    std::fs::create_dir(work.join(".hooks")).unwrap();
    std::fs::write(work.join(".hooks/post-checkout"), "#!/bin/sh\ntouch /w/repo/hooked\n").unwrap();
    git(&work, &["add", "-Af", "."]);
    git(&work, &["update-index", "--chmod=+x", "run.sh"]);
    git(&work, &["commit", "-qm", "all of it"]);
    git(&work, &["submodule", "--quiet", "add", "--force", "./", "part"]);
    git(&work, &["commit", "-qm", "a part"]);
    git(&work, &["branch", "other"]);
    let served = folder.join("served/team");
    std::fs::create_dir_all(&served).unwrap();
    git(&served, &["clone", "-q", "--bare", work.to_str().unwrap(), "tool.git"]);
}

fn serve(folder: &Path) -> (Ended, u16) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../end2end/support/git-server.py");
    let mut command = Command::new("python3");
    let mut child = command.arg(script).arg(folder.join("served")).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Ended(child), line.trim().parse().unwrap())
}

/// The program in a mount namespace where the host's name leads to this machine.
async fn start(folder: &Path) -> (Ended, Caller) {
    let hosts = folder.join("hosts");
    std::fs::write(&hosts, format!("127.0.0.1 localhost {HOST}\n")).unwrap();
    let port = program::free_port();
    let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "/bin/sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_cloudxdevai"), "serve"]).current_dir(folder);
    command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default()).env("APP_PORT", port.to_string());
    command.env("DATA_DIR", folder.join("data")).env("JWT_SECRET_KEY", SECRET).env("LOG_LEVEL", "warn");
    let server = Ended(command.env("SANDBOX_OPEN_ADDRESSES", "127.0.0.1").spawn().unwrap());
    let base = format!("http://127.0.0.1:{port}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..600 {
        if client.get(format!("{base}/healthz")).send().await.is_ok() {
            return (server, Caller::new(&base, client));
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the program did not start");
}

async fn import(ada: &Caller, body: serde_json::Value) -> (ImportStarted, Job) {
    let started: ImportStarted = ada.post("/api/projects/import", &body).await.expect(202).json();
    let job = fixture::finished_job(ada, &started.job_id.to_string()).await;
    (started, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_becomes_a_project_and_none_of_it_is_executed() {
    llm::install_crypto();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: names of one's own need a mount namespace, which needs root");
        return;
    }
    let folder = data_folder();
    repository(folder.path());
    let (_git, port) = serve(folder.path());
    let (_server, nobody) = start(folder.path()).await;
    let account = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    nobody.post("/api/auth/register", &account).await.expect(201);
    let ada = nobody.sign_in("ada", PASSWORD).await;
    let url = format!("http://{HOST}:{port}/team/tool.git");

    // Closed until the administrator opens it, and then the sentence names what to open.
    let problem = ada.post("/api/projects/import", &json!({ "git_url": url })).await.expect(422).problem();
    assert!(problem.fields[0].message.contains(&format!("add {HOST}:{port} to the hosts")), "{problem:?}");
    let rules = json!({ "egress": [format!("{HOST}:{port}")] });
    ada.send(ada.request(reqwest::Method::PUT, "/api/admin/settings/runs").json(&rules)).await.expect(200);

    let (started, job) = import(&ada, json!({ "url": url, "name": "Tool" })).await;
    if job.error.as_deref().is_some_and(|error| error.contains("Commands cannot be run") || error.contains("network")) {
        eprintln!("skipped: no sandbox with a network on this machine: {job:?}");
        return;
    }
    assert_eq!((job.state, job.error.as_deref()), (JobState::Succeeded, None));
    let project: Project = ada.get(&format!("/api/projects/{}", started.project_id)).await.expect(200).json();
    assert_eq!(project.name, "Tool");
    let tree: Tree = ada.get(&format!("/api/projects/{}/tree", started.project_id)).await.json();
    let listed: Vec<_> = tree.items.iter().filter(|e| e.kind != EntryKind::Directory).map(|e| (e.path.as_str(), e.kind, e.mode)).collect();
    let file = |path| (path, EntryKind::File, 0o644);
    assert_eq!(
        listed,
        [
            file(".gitattributes"),
            file(".gitignore"),
            file(".gitmodules"),
            (".hooks/post-checkout", EntryKind::File, 0o644),
            file("README.md"),
            file("kept.log"),
            ("link", EntryKind::Symlink, 0o644),
            ("run.sh", EntryKind::File, 0o755),
            file("src/main.py"),
        ]
    );
    let history: wire::Page<FileVersion> = ada.get(&format!("/api/projects/{}/history?path=README.md", started.project_id)).await.json();
    assert_eq!(history.items[0].origin, Origin::Git);
    let link = ada.get(&format!("/api/projects/{}/files/link", started.project_id)).await;
    assert!(!String::from_utf8_lossy(&link.body).contains("root:"), "nobody follows it");

    for (body, part) in [
        (json!({ "url": url, "branch": "nowhere" }), "nowhere"),
        (json!({ "url": format!("http://{HOST}:{port}/team/none.git") }), "Git could not clone it"),
    ] {
        let (started, job) = import(&ada, body).await;
        assert_eq!(job.state, JobState::Failed);
        let error = job.error.unwrap();
        assert!(error.contains(part) && error.ends_with("Nothing was imported."), "{error}");
        ada.get(&format!("/api/projects/{}", started.project_id)).await.expect(404);
    }
    let (_, job) = import(&ada, json!({ "url": url, "branch": "other" })).await;
    assert_eq!(job.state, JobState::Succeeded, "{job:?}");
}
