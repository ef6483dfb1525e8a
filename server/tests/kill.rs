//! `kill -9` in the middle of an upload, an import, a restore and a move, again and again: the project is as it was before or as it is
//! after, never between, and no content that it names is missing.

mod support;

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    time::{Duration, Instant},
};

use blobs::{Blobs, LocalBlobs};
use rand::Rng;
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::{Connection, SqliteConnection};
use support::{Caller, PASSWORD, archives, data_folder, program};
use tokio::time::sleep;
use wire::{
    Page,
    files::{EntryKind, Tree},
    jobs::Job,
    projects::Project,
};

const KILLS: usize = 30;
/// Files of the folder that is moved and restored, of an upload and of an archive.
const FILES: usize = 150;

type State = BTreeMap<String, String>;

/// The program, killed and started again on the same folder.
struct Victim {
    folder: tempfile::TempDir,
    port: u16,
    running: Option<program::Program>,
}

impl Victim {
    async fn start() -> Self {
        llm::install_crypto();
        let mut victim = Self { folder: data_folder(), port: program::free_port(), running: None };
        victim.launch().await;
        victim
    }

    async fn launch(&mut self) {
        let database = format!("sqlite:{}", self.database().display());
        let blobs = self.blobs();
        let settings = [("DATABASE_URL", database.as_str()), ("STORAGE_LOCAL_PATH", blobs.to_str().unwrap()), ("LOG_LEVEL", "error")];
        let running = program::Program::spawn(self.folder.path(), self.port, &["serve"], &settings);
        running.ready().await;
        self.running = Some(running);
    }

    /// As the kernel does when memory runs out.
    async fn kill(&mut self) {
        drop(self.running.take());
        self.launch().await;
    }

    fn caller(&self) -> Caller {
        self.running.as_ref().unwrap().caller()
    }

    fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("kill.db")
    }

    fn blobs(&self) -> std::path::PathBuf {
        self.folder.path().join("blobs")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Upload,
    Import,
    RestoreFolder,
    RestoreCheckpoint,
    Move,
}

const STEPS: [Step; 5] = [Step::Upload, Step::Import, Step::Move, Step::RestoreFolder, Step::RestoreCheckpoint];

/// The person, their project, and what is known about it.
struct World {
    ada: Caller,
    project: String,
    round: usize,
}

fn content(round: usize, n: usize) -> Vec<u8> {
    format!("{round} {n} {}\n", "x".repeat(n * 37 % 900)).into_bytes()
}

fn sha(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl World {
    fn path(&self, rest: &str) -> String {
        format!("/api/projects/{}/{rest}", self.project)
    }

    async fn state(&self, project: &str) -> State {
        let tree: Tree = self.ada.get(&format!("/api/projects/{project}/tree")).await.expect(200).json();
        tree.items.into_iter().filter(|entry| entry.kind != EntryKind::Directory).map(|entry| (entry.path, entry.checksum)).collect()
    }

    async fn revision(&self) -> i64 {
        self.ada.get(&self.path("tree")).await.expect(200).json::<Tree>().revision
    }

    /// Brings the project to where the step can be taken; answers the request for it.
    async fn prepare(&self, step: Step) -> reqwest::RequestBuilder {
        let post = |path: &str, body: serde_json::Value| self.ada.request(Method::POST, &self.path(path)).json(&body);
        match step {
            Step::Upload => self.batch(&format!("up{}", self.round)),
            Step::Import => self.import(),
            Step::Move => post("files:move", json!({ "from": "folder", "to": "moved" })),
            Step::RestoreFolder => {
                self.ada.delete(&self.path("files/folder")).await.expect(204);
                post("files:restore", json!({ "path": "folder" }))
            }
            Step::RestoreCheckpoint => {
                let name = format!("before {}", self.round);
                let kept = self.ada.post(&self.path("checkpoints"), &json!({ "name": name })).await.expect(201).id();
                self.ada.delete(&self.path("files/folder")).await.expect(204);
                let revision = self.revision().await;
                post(&format!("checkpoints/{kept}/restore"), json!({ "expected_revision": revision }))
            }
        }
    }

    /// Many files as one revision.
    fn batch(&self, folder: &str) -> reqwest::RequestBuilder {
        let manifest: Vec<_> = (0..FILES).map(|n| json!({ "path": format!("{folder}/{n}.txt"), "base": "new" })).collect();
        let mut body = part("manifest", serde_json::to_vec(&manifest).unwrap().as_slice());
        for n in 0..FILES {
            body.extend(part("file\"; filename=\"f", &content(self.round, n)));
        }
        body.extend(b"--edge--\r\n");
        self.form(&self.path("files:batch"), body)
    }

    fn import(&self) -> reqwest::RequestBuilder {
        let files: Vec<(String, Vec<u8>)> = (0..FILES).map(|n| (format!("{n}.txt"), content(self.round, n))).collect();
        let entries: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        let mut body = part("name", format!("import {}", self.round).as_bytes());
        body.extend(part("archive\"; filename=\"a.zip", &archives::zip(&entries)));
        body.extend(b"--edge--\r\n");
        self.form("/api/projects/import", body)
    }

    fn form(&self, path: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
        self.ada.request(Method::POST, path).header("content-type", "multipart/form-data; boundary=edge").body(body)
    }

    /// What the project holds once the step is done.
    fn after(&self, step: Step, before: &State, whole: &State) -> State {
        let mut after = before.clone();
        match step {
            Step::Upload => after.extend((0..FILES).map(|n| (format!("up{}/{n}.txt", self.round), sha(&content(self.round, n))))),
            Step::Import => {}
            Step::Move => after = before.iter().map(|(path, sum)| (path.replacen("folder/", "moved/", 1), sum.clone())).collect(),
            Step::RestoreFolder | Step::RestoreCheckpoint => after = whole.clone(),
        }
        after
    }

    /// Waits for the end of every import that still goes on.
    async fn settle(&self, database: &Path) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut conn = open(database).await;
            let open: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM jobs WHERE kind = 'import' AND state IN ('queued', 'running')")
                .fetch_all(&mut conn)
                .await
                .unwrap();
            if open.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "an import did not end: {:?}",
                self.ada.get(&format!("/api/jobs/{}", open[0])).await.json::<Job>()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Imports are there as a whole or not at all.
    async fn check_imports(&self) -> usize {
        let listed: Page<Project> = self.ada.get("/api/projects").await.expect(200).json();
        let imports: Vec<_> = listed.items.iter().filter(|project| project.name.starts_with("import ")).collect();
        for project in &imports {
            let round: usize = project.name["import ".len()..].parse().unwrap();
            let expected: State = (0..FILES).map(|n| (format!("{n}.txt"), sha(&content(round, n)))).collect();
            assert_eq!(self.state(&project.id.to_string()).await, expected, "{}", project.name);
            assert_eq!(project.file_count, FILES as i64);
        }
        imports.len()
    }
}

fn part(name: &str, content: &[u8]) -> Vec<u8> {
    let mut part = format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n").into_bytes();
    part.extend(content);
    part.extend(b"\r\n");
    part
}

async fn open(database: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}?mode=ro", database.display())).await.unwrap()
}

/// Everything that any row names is stored, whole.
async fn check_blobs(database: &Path, blobs: &LocalBlobs, verified: &mut HashSet<String>) {
    const NAMED: &str = "SELECT checksum FROM file_versions WHERE checksum IS NOT NULL UNION SELECT checksum FROM imports
                         UNION SELECT checksum FROM upload_pieces";
    let named: Vec<String> = sqlx::query_scalar(NAMED).fetch_all(&mut open(database).await).await.unwrap();
    for checksum in named {
        assert!(blobs.exists(&checksum).await.unwrap(), "{checksum} is named and missing");
        if !verified.contains(&checksum) {
            blobs.read_all(&checksum, 1 << 24).await.unwrap_or_else(|error| panic!("{checksum}: {error}"));
            verified.insert(checksum);
        }
    }
}

/// What the project's row says is what its files are.
async fn check_totals(database: &Path, project: &str) {
    const TOTALS: &str =
        "SELECT p.file_count, p.size_bytes, COUNT(f.path), COALESCE(SUM(f.size), 0), COALESCE(MAX(f.revision), 0), p.revision
                          FROM projects p LEFT JOIN file_versions f ON f.project_id = p.id AND f.superseded IS NULL
                               AND f.action <> 'deleted' AND f.kind <> 'directory' WHERE p.id = $1 GROUP BY p.id";
    let id: uuid::Uuid = project.parse().unwrap();
    let row: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(TOTALS).bind(id).fetch_one(&mut open(database).await).await.unwrap();
    assert_eq!((row.0, row.1), (row.2, row.3), "the totals are those of the files");
    assert!(row.4 <= row.5, "no version is newer than the project");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_the_state_before_or_after() {
    let mut victim = Victim::start().await;
    let account = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    victim.caller().post("/api/auth/register", &account).await.expect(201);
    let ada = victim.caller().sign_in("ada", PASSWORD).await;
    let project = support::fixture::project(&ada, "Victim").await;
    let mut world = World { ada, project, round: 0 };
    world.ada.send(world.batch("folder")).await.expect(200);
    let blobs = LocalBlobs::open(&victim.blobs()).await.unwrap();
    let (mut verified, mut outcomes) = (HashSet::new(), BTreeMap::<Step, [usize; 2]>::new());
    let took = measure(&mut world, &victim.database()).await;

    for kill in 0..KILLS {
        let step = STEPS[kill % STEPS.len()];
        world.round = kill + 1;
        let whole = world.state(&world.project).await;
        let request = world.prepare(step).await;
        let before = world.state(&world.project).await;
        // From before its first byte to a little after its usual end, each time a part further on.
        let part = (kill / STEPS.len()) as f64 + rand::rng().random_range(0.0..1.0);
        let moment = took[&step].mul_f64(part * STEPS.len() as f64 / KILLS as f64 * 1.3);
        let asked = tokio::spawn(async move { request.send().await.is_ok_and(|answer| answer.status().is_success()) });
        sleep(moment).await;
        victim.kill().await;
        let told = asked.await.unwrap();
        eprintln!("kill {kill}: {step:?}, {} after {moment:?}", if told { "answered" } else { "cut off" });

        if step == Step::Import {
            world.settle(&victim.database()).await;
        }
        let now = world.state(&world.project).await;
        let after = world.after(step, &before, &whole);
        if step == Step::Import {
            assert_eq!(now, before);
        } else {
            assert!(
                now == before || now == after,
                "{step:?} left the project between: {} of {} and {} files",
                now.len(),
                before.len(),
                after.len()
            );
            assert!(!told || now == after, "{step:?} was answered and is gone");
            outcomes.entry(step).or_default()[usize::from(now == after)] += 1;
        }
        check_totals(&victim.database(), &world.project).await;
        check_blobs(&victim.database(), &blobs, &mut verified).await;
        mend(&world, &now).await;
    }
    let imported = world.check_imports().await;
    eprintln!(
        "before and after: {outcomes:?}; {imported} of {} imports came to be; {} blobs verified",
        KILLS / STEPS.len() + 2,
        verified.len()
    );
    let later: usize = outcomes.values().map(|[_, after]| after).sum::<usize>() + imported;
    assert!(later > 0 && later < KILLS, "every kill came too early or too late to show anything: {outcomes:?}");
}

/// How long each step takes when nobody is killed.
async fn measure(world: &mut World, database: &Path) -> BTreeMap<Step, Duration> {
    let mut took = BTreeMap::new();
    // The first time is slower than those that follow.
    for (n, step) in STEPS.into_iter().chain(STEPS).enumerate() {
        world.round = 1000 + n;
        let request = world.prepare(step).await;
        let began = Instant::now();
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{step:?}: {answer:?}");
        world.settle(database).await;
        took.insert(step, began.elapsed());
        mend(world, &world.state(&world.project).await).await;
    }
    took
}

/// Brings the folder back to where the next round expects it.
async fn mend(world: &World, now: &State) {
    if now.keys().any(|path| path.starts_with("moved/")) {
        world.ada.post(&world.path("files:move"), &json!({ "from": "moved", "to": "folder" })).await.expect(204);
    } else if !now.keys().any(|path| path.starts_with("folder/")) {
        world.ada.post(&world.path("files:restore"), &json!({ "path": "folder" })).await.expect(204);
    }
}
