//! `kill -9` in the middle of an upload, an import, a restore and a move, again and again: the project is as it was before or as it is
//! after, never between, and no content that it names is missing.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use blobs::{Blobs, LocalBlobs};
use futures::StreamExt;
use rand::Rng;
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, SqliteConnection};
use tokio::time::sleep;
use wire::{
    Page,
    files::{EntryKind, Tree, Upload},
    jobs::Job,
    projects::Project,
};

use crate::support::{self, Caller, PASSWORD, TestDatabase, archives, data_folder, program, s3_server, s3_server::S3Server};

/// Kills of each step.
const ROUNDS: usize = 5;
/// The same on another database or another storage.
const ROUNDS_ELSEWHERE: usize = 2;
/// Bytes that are sent a little at a time, so that a kill finds them on their way.
const STREAMED: usize = 1_200_000;
const CHUNK: usize = 60_000;
const CHUNK_PAUSE: Duration = Duration::from_millis(5);
/// What an upload in pieces has received before the piece that is killed.
const FIRST_PIECE: usize = 400_000;
/// Files of the folder that is moved and restored, of an upload and of an archive.
const FILES: usize = 150;

type State = BTreeMap<String, String>;

/// What the program writes to, looked at from outside.
enum Database {
    Sqlite(PathBuf),
    Postgres(String),
}

/// Runs `$body` with a connection `$conn` of its own.
macro_rules! look_into {
    ($database:expr, $conn:ident => $body:expr) => {
        match $database {
            Database::Sqlite(path) => {
                let mut $conn = SqliteConnection::connect(&format!("sqlite:{}?mode=ro", path.display())).await.unwrap();
                $body
            }
            Database::Postgres(url) => {
                let mut $conn = PgConnection::connect(url).await.unwrap();
                $body
            }
        }
    };
}

impl Database {
    fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(url) => url.clone(),
        }
    }

    async fn open_imports(&self) -> Vec<uuid::Uuid> {
        const OPEN: &str = "SELECT id FROM jobs WHERE kind = 'import' AND state IN ('queued', 'running')";
        look_into!(self, conn => sqlx::query_scalar(OPEN).fetch_all(&mut conn).await.unwrap())
    }

    /// Every blob that any row names.
    async fn named(&self) -> Vec<String> {
        const NAMED: &str = "SELECT checksum FROM file_versions WHERE checksum IS NOT NULL UNION SELECT checksum FROM imports
                             UNION SELECT checksum FROM upload_pieces";
        look_into!(self, conn => sqlx::query_scalar(NAMED).fetch_all(&mut conn).await.unwrap())
    }

    /// What the project's row says, and what its files are: files, files, bytes, bytes, newest version, revision.
    async fn totals(&self, project: &str) -> (i64, i64, i64, i64, i64, i64) {
        const TOTALS: &str = "SELECT p.file_count, COUNT(f.path), p.size_bytes, CAST(COALESCE(SUM(f.size), 0) AS BIGINT),
                                     COALESCE(MAX(f.revision), 0), p.revision
                              FROM projects p LEFT JOIN file_versions f ON f.project_id = p.id AND f.superseded IS NULL
                                   AND f.action <> 'deleted' AND f.kind <> 'directory' WHERE p.id = $1 GROUP BY p.id";
        let id: uuid::Uuid = project.parse().unwrap();
        look_into!(self, conn => sqlx::query_as(TOTALS).bind(id).fetch_one(&mut conn).await.unwrap())
    }
}

/// The program, killed and started again on the same folder.
struct Victim {
    folder: tempfile::TempDir,
    database: Database,
    blobs: Arc<dyn Blobs>,
    /// Outlives every kill.
    s3: Option<S3Server>,
    port: u16,
    running: Option<program::Program>,
}

impl Victim {
    async fn start(postgres: Option<String>, s3: Option<S3Server>) -> Self {
        llm::install_crypto();
        let folder = data_folder();
        let database = postgres.map_or_else(|| Database::Sqlite(folder.path().join("kill.db")), Database::Postgres);
        // Without a cache, so that it is the bucket that is looked at.
        let blobs: Arc<dyn Blobs> = match &s3 {
            Some(s3) => Arc::new(s3.blobs(folder.path().join("looked-at"), 0).await),
            None => Arc::new(LocalBlobs::open(folder.path().join("blobs")).await.unwrap()),
        };
        let mut victim = Self { folder, database, blobs, s3, port: program::free_port(), running: None };
        victim.launch().await;
        victim
    }

    async fn launch(&mut self) {
        let (database, blobs) = (self.database.url(), self.folder.path().join("blobs"));
        let endpoint = self.s3.as_ref().map(S3Server::endpoint).unwrap_or_default();
        let mut settings =
            vec![("DATABASE_URL", database.as_str()), ("STORAGE_LOCAL_PATH", blobs.to_str().unwrap()), ("LOG_LEVEL", "error")];
        if self.s3.is_some() {
            settings.extend([
                ("STORAGE_BACKEND", "s3"),
                ("STORAGE_CACHE_SIZE", "0"),
                ("AWS_S3_BUCKET", s3_server::BUCKET),
                ("AWS_S3_ENDPOINT_URL", &endpoint),
                ("AWS_ACCESS_KEY_ID", "test-key"),
                ("AWS_SECRET_ACCESS_KEY", "test-secret"),
            ]);
        }
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Upload,
    /// One file as a stream, over the one of before.
    Put,
    /// The last piece of an upload, as a stream.
    Piece,
    Import,
    RestoreFolder,
    RestoreCheckpoint,
    Move,
}

const STEPS: [Step; 7] = [Step::Upload, Step::Import, Step::Put, Step::Move, Step::Piece, Step::RestoreFolder, Step::RestoreCheckpoint];

/// The person, their project, and what is known about it.
struct World {
    ada: Caller,
    project: String,
    round: usize,
    /// The upload whose last piece is on its way.
    upload: String,
}

/// A large content that differs from round to round.
fn streamed(round: usize) -> Vec<u8> {
    (0..STREAMED).map(|n| (n * 31 + n / 251 + round * 7) as u8).collect()
}

/// The bytes as a body that takes its time.
fn slowly(bytes: &[u8]) -> reqwest::Body {
    let chunks: Vec<Vec<u8>> = bytes.chunks(CHUNK).map(<[u8]>::to_vec).collect();
    reqwest::Body::wrap_stream(futures::stream::iter(chunks).then(|chunk| async move {
        sleep(CHUNK_PAUSE).await;
        Ok::<_, std::io::Error>(chunk)
    }))
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

    async fn delete_folder(&self) {
        let revision = self.revision().await;
        self.ada.delete(&self.path(&format!("files/folder?revision={revision}"))).await.expect(204);
    }

    async fn revision(&self) -> i64 {
        self.ada.get(&self.path("tree")).await.expect(200).json::<Tree>().revision
    }

    /// Brings the project to where the step can be taken; answers the request for it.
    async fn prepare(&mut self, step: Step) -> reqwest::RequestBuilder {
        let post = |path: &str, body: serde_json::Value| self.ada.request(Method::POST, &self.path(path)).json(&body);
        match step {
            Step::Piece => self.last_piece().await,
            Step::Upload => self.batch(&format!("up{}", self.round)),
            Step::Put => {
                let request = self.ada.request(Method::PUT, &self.path("files/put.bin")).body(slowly(&streamed(self.round)));
                match self.state(&self.project).await.get("put.bin") {
                    Some(checksum) => request.header("if-match", format!("\"{checksum}\"")),
                    None => request.header("if-none-match", "*"),
                }
            }
            Step::Import => self.import(),
            Step::Move => {
                let revision = self.revision().await;
                post("files:move", json!({ "from": "folder", "to": "moved", "base": { "revision": revision } }))
            }
            Step::RestoreFolder => {
                self.delete_folder().await;
                post("files:restore", json!({ "path": "folder", "base": "new" }))
            }
            Step::RestoreCheckpoint => {
                let name = format!("before {}", self.round);
                let kept = self.ada.post(&self.path("checkpoints"), &json!({ "name": name })).await.expect(201).id();
                self.delete_folder().await;
                let revision = self.revision().await;
                post(&format!("checkpoints/{kept}/restore"), json!({ "expected_revision": revision }))
            }
        }
    }

    /// Begins an upload of which the first piece arrives; answers the request for the rest.
    async fn last_piece(&mut self) -> reqwest::RequestBuilder {
        let whole = streamed(self.round);
        let begin = json!({ "path": format!("piece{}.bin", self.round), "size": whole.len(), "base": "new" });
        self.upload = self.ada.post(&self.path("uploads"), &begin).await.expect(201).id();
        let piece =
            |offset: usize| self.ada.request(Method::PATCH, &format!("/api/uploads/{}", self.upload)).header("upload-offset", offset);
        self.ada.send(piece(0).body(whole[..FIRST_PIECE].to_vec())).await.expect(202);
        piece(FIRST_PIECE).body(slowly(&whole[FIRST_PIECE..]))
    }

    /// An upload whose last piece was cut off is where it was before that piece or has all of it, and goes on from there. With all of it
    /// an empty piece asks for the file.
    async fn go_on(&self) {
        let address = format!("/api/uploads/{}", self.upload);
        let received = self.ada.get(&address).await.expect(200).json::<Upload>().received as usize;
        assert!([FIRST_PIECE, STREAMED].contains(&received), "a piece counts as a whole or not at all, and {received} bytes are there");
        let whole = streamed(self.round);
        let rest = self.ada.request(Method::PATCH, &address).header("upload-offset", received).body(whole[received..].to_vec());
        self.ada.send(rest).await.expect(201);
        assert_eq!(self.state(&self.project).await.get(&format!("piece{}.bin", self.round)), Some(&sha(&whole)));
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
            Step::Put => drop(after.insert("put.bin".to_owned(), sha(&streamed(self.round)))),
            Step::Piece => drop(after.insert(format!("piece{}.bin", self.round), sha(&streamed(self.round)))),
            Step::Import => {}
            Step::Move => after = before.iter().map(|(path, sum)| (path.replacen("folder/", "moved/", 1), sum.clone())).collect(),
            Step::RestoreFolder | Step::RestoreCheckpoint => after = whole.clone(),
        }
        after
    }

    /// Waits for the end of every import that still goes on.
    async fn settle(&self, database: &Database) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let open = database.open_imports().await;
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

/// Everything that any row names is stored, whole.
async fn check_blobs(victim: &Victim, verified: &mut HashSet<String>) {
    for checksum in victim.database.named().await {
        assert!(victim.blobs.exists(&checksum).await.unwrap(), "{checksum} is named and missing");
        if !verified.contains(&checksum) {
            victim.blobs.read_all(&checksum, 1 << 24).await.unwrap_or_else(|error| panic!("{checksum}: {error}"));
            verified.insert(checksum);
        }
    }
}

/// What the project's row says is what its files are.
async fn check_totals(database: &Database, project: &str) {
    let (told, files, told_bytes, bytes, newest, revision) = database.totals(project).await;
    assert_eq!((told, told_bytes), (files, bytes), "the totals are those of the files");
    assert!(newest <= revision, "no version is newer than the project");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_the_state_before_or_after() {
    let later = kill_again_and_again(Victim::start(None, None).await, ROUNDS).await;
    assert!(later > 0 && later < ROUNDS * STEPS.len(), "every kill came too early or too late to show anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_the_state_before_or_after_on_postgresql() {
    let Some(database) = TestDatabase::create().await else { return };
    kill_again_and_again(Victim::start(Some(database.url.clone()), None).await, ROUNDS_ELSEWHERE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_the_state_before_or_after_with_files_on_s3() {
    let s3 = S3Server::start().await;
    kill_again_and_again(Victim::start(None, Some(s3)).await, ROUNDS_ELSEWHERE).await;
}

/// Kills every step `rounds` times, and answers how often the state was the one after.
async fn kill_again_and_again(mut victim: Victim, rounds: usize) -> usize {
    let account = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    victim.caller().post("/api/auth/register", &account).await.expect(201);
    let ada = victim.caller().sign_in("ada", PASSWORD).await;
    let project = support::fixture::project(&ada, "Victim").await;
    let mut world = World { ada, project, round: 0, upload: String::new() };
    world.ada.send(world.batch("folder")).await.expect(200);
    let (mut verified, mut outcomes) = (HashSet::new(), BTreeMap::<Step, [usize; 2]>::new());
    let took = measure(&mut world, &victim.database).await;

    for kill in 0..rounds * STEPS.len() {
        let step = STEPS[kill % STEPS.len()];
        world.round = kill + 1;
        let whole = world.state(&world.project).await;
        let request = world.prepare(step).await;
        let before = world.state(&world.project).await;
        // From before its first byte to a little after its usual end, each time a part further on.
        let part = (kill / STEPS.len()) as f64 + rand::rng().random_range(0.0..1.0);
        let moment = took[&step].mul_f64(part / rounds as f64 * 1.3);
        let asked = tokio::spawn(async move { request.send().await.is_ok_and(|answer| answer.status().is_success()) });
        sleep(moment).await;
        victim.kill().await;
        let told = asked.await.unwrap();
        eprintln!("kill {kill}: {step:?}, {} after {moment:?}", if told { "answered" } else { "cut off" });

        if step == Step::Import {
            world.settle(&victim.database).await;
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
        check_totals(&victim.database, &world.project).await;
        check_blobs(&victim, &mut verified).await;
        if step == Step::Piece && now != after {
            world.go_on().await;
        }
        mend(&world, &now).await;
    }
    let imported = world.check_imports().await;
    eprintln!("before and after: {outcomes:?}; {imported} of {} imports came to be; {} blobs verified", rounds + 2, verified.len());
    outcomes.values().map(|[_, after]| after).sum::<usize>() + imported
}

/// How long each step takes when nobody is killed.
async fn measure(world: &mut World, database: &Database) -> BTreeMap<Step, Duration> {
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
        let revision = world.revision().await;
        let back = json!({ "from": "moved", "to": "folder", "base": { "revision": revision } });
        world.ada.post(&world.path("files:move"), &back).await.expect(204);
    } else if !now.keys().any(|path| path.starts_with("folder/")) {
        world.ada.post(&world.path("files:restore"), &json!({ "path": "folder", "base": "new" })).await.expect(204);
    }
}
