//! Prints how long a search through 50 000 files takes until its first line and until its end, beside ripgrep (or grep) over the same
//! files in the same run. With a directory as second argument the files stay there, for other measurements.
#![allow(clippy::print_stdout)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use blobs::{Blobs, LocalBlobs, Storage};
use domain::{Client, Ctx, JobSignals, Registration, Secret, Services, Settings, SystemClock, SystemIds, search};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use store::{Db, InProcessBus};
use wire::{
    Micros, ProjectId,
    auth::{Login, Register},
    chat::Models,
    files::{EntryKind, FileAction, Origin},
    projects::CreateProject,
    search::{SearchItem, SearchQuery},
};

const FIRST_BAR: Duration = Duration::from_millis(200);
/// Of the time that ripgrep takes.
const WHOLE_BAR: f64 = 2.0;
const ROUNDS: usize = 5;

fn main() {
    let files = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(50_000);
    let kept = std::env::args().nth(2).map(PathBuf::from);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(files, kept));
}

/// Sources of a few KiB in folders of forty. One word in a thousand lines, and one that is only in the last file.
fn sources(count: usize) -> impl Iterator<Item = (String, String)> {
    let endings = ["rs", "py", "ts", "go", "md"];
    (0..count).map(move |n| {
        let path = format!("src/area{:02}/part{:03}/module_{n:05}.{}", n % 50, n / 40 % 625, endings[n % endings.len()]);
        let mut text = String::with_capacity(4096);
        for line in 0..40 + n % 60 {
            let word = if (n * 100 + line) % 1000 == 7 { "transmogrify" } else { "compute" };
            text.push_str(&format!("    let value_{line} = {word}(input_{}, {}) + offset; // of {n}\n", line % 7, n * 31 + line));
        }
        if n + 1 == count {
            text.push_str("the only quixotic line\n");
        }
        (path, text)
    })
}

async fn services(data: &Path) -> (Arc<Services>, Arc<dyn Blobs>) {
    let db = Db::connect(&format!("sqlite:{}", data.join("bench.db").display()), 4).await.expect("a database");
    let blobs: Arc<dyn Blobs> = Arc::new(LocalBlobs::open(data.join("blobs")).await.expect("blobs"));
    let services = Services {
        db,
        storage: Storage::only_local(blobs.clone()),
        bus: Arc::new(InProcessBus::new()),
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
        settings: Settings {
            jwt_secret: Secret(b"a secret for benchmarks only".to_vec()),
            access_minutes: 60,
            refresh_days: 1,
            registration: Registration::Open,
            secure_cookies: false,
            file_size_limit: 1 << 20,
            retention_days: 90,
            sample: &[],
            previews: domain::previews::PreviewSettings::default(),
            egress_open_addresses: Vec::new(),
            no_network: None,
        },
        models: Models { items: Vec::new(), default: None, hint: String::new() },
        probes: Vec::new(),
        signals: JobSignals::default(),
        presence: domain::presence::Presence::default(),
    };
    (Arc::new(services), blobs)
}

async fn owner(services: &Arc<Services>) -> Ctx {
    let nobody = Ctx::nobody(services, "bench", Client::default());
    let (username, password) = ("bench".to_owned(), "correct horse".to_owned());
    let register =
        Register { email: "bench@example.org".to_owned(), username: username.clone(), password: password.clone(), full_name: None };
    domain::auth::register(&nobody, register).await.expect("an account");
    let tokens = domain::auth::login(&nobody, Login { username, password }).await.expect("a session");
    domain::auth::authenticate_bearer(&nobody, &tokens.access_token).await.expect("a caller")
}

/// Lays the files out twice: as blobs with their rows, and as plain files. Without waiting for the disk, since nothing has to outlive
/// the run.
async fn lay_out(ctx: &Ctx, project: ProjectId, blobs: &Path, plain: &Path, count: usize) {
    let mut tx = ctx.services().db.begin().await.expect("a transaction");
    let revision = store::projects::next_revision(&mut tx, project, Micros(0)).await.expect("a revision").expect("the project").revision;
    for (path, text) in sources(count) {
        let checksum = hex::encode(Sha256::digest(text.as_bytes()));
        write(&blobs.join(&checksum[..2]).join(&checksum[2..4]).join(&checksum), &text);
        write(&plain.join(&path), &text);
        let new = store::files::NewVersion {
            project_id: project,
            path: &path,
            version: 1,
            revision,
            action: FileAction::Added,
            kind: EntryKind::File,
            size: text.len() as i64,
            content_type: "text/plain",
            checksum: Some(&checksum),
            mode: 0o644,
            origin: Origin::Import,
            at: ctx.now(),
            by: ctx.user_id(),
            moved_from: None,
            cause: None,
            deleted_as: None,
        };
        store::files::insert_version(&mut tx, &new).await.expect("a row");
    }
    let _committed = tx.commit().await.expect("the rows");
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(path, text).expect("a file");
}

/// Until the first line, until the end, and how many lines there were.
async fn search_once(ctx: &Ctx, project: ProjectId, query: &SearchQuery) -> (Duration, Duration, u64) {
    let began = Instant::now();
    let mut items = std::pin::pin!(search::search(ctx, project, query.clone()).await.expect("a search"));
    let (mut first, mut lines) = (None, 0);
    while let Some(item) = items.next().await {
        match item {
            SearchItem::Match(_) => first = first.or(Some(began.elapsed())),
            SearchItem::Done(done) => lines = done.lines,
            SearchItem::Progress { .. } => {}
            SearchItem::Failed { problem } => panic!("{problem}"),
        }
    }
    (first.unwrap_or_default(), began.elapsed(), lines)
}

/// The whole time of the other searcher, and its lines.
fn other_once(plain: &Path, query: &SearchQuery, tool: &str) -> (Duration, u64) {
    let began = Instant::now();
    let mut command = Command::new(tool);
    match tool {
        "rg" => command.args(["--no-config", "--no-ignore", "--hidden", "-n", "-i"]),
        _ => command.args(["-r", "-n", "-i", "-I"]),
    };
    match (query.regex, tool) {
        (false, _) => command.arg("-F"),
        (true, "grep") => command.arg("-E"),
        (true, _) => &mut command,
    };
    let output = command.arg("-e").arg(&query.q).arg(plain).stderr(Stdio::null()).output().expect("the other searcher");
    (began.elapsed(), output.stdout.iter().filter(|byte| **byte == b'\n').count() as u64)
}

async fn measure(count: usize, kept: Option<PathBuf>) {
    let passing = tempfile::tempdir().expect("a directory");
    let data = kept.unwrap_or_else(|| passing.path().to_owned());
    std::fs::create_dir_all(&data).expect("a directory");
    let (services, _blobs) = services(&data).await;
    let ctx = owner(&services).await;
    let request = CreateProject { name: "Bench".to_owned(), description: String::new(), storage_backend: None };
    let project = domain::projects::create(&ctx, request).await.expect("a project").id;
    let plain = data.join("plain");
    let began = Instant::now();
    lay_out(&ctx, project, &data.join("blobs"), &plain, count).await;
    println!("{count} files laid out in {:.1} s", began.elapsed().as_secs_f64());
    let tool = if Command::new("rg").arg("--version").stdout(Stdio::null()).status().is_ok() { "rg" } else { "grep" };
    println!("beside {tool}, the best of {ROUNDS} rounds each");
    for (name, q, regex) in
        [("a common word", "transmogrify", false), ("a word in one file", "quixotic", false), ("an expression", r"quix\w+ic", true)]
    {
        let query = SearchQuery { q: q.to_owned(), regex, ..SearchQuery::default() };
        let (mut first, mut whole, mut other) = (Duration::MAX, Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            let (time, other_lines) = other_once(&plain, &query, tool);
            other = other.min(time);
            let (to_first, to_end, lines) = search_once(&ctx, project, &query).await;
            assert_eq!(lines, other_lines, "both find the same");
            (first, whole) = (first.min(to_first), whole.min(to_end));
        }
        let ratio = whole.as_secs_f64() / other.as_secs_f64();
        println!(
            "{name:<20} first line {:>5.0} ms (bar {})   whole {:>5.0} ms, {tool} {:>5.0} ms: {ratio:.2}x (bar {WHOLE_BAR}x)",
            first.as_secs_f64() * 1e3,
            if name == "a common word" { format!("{} ms", FIRST_BAR.as_millis()) } else { "none, it is in the last file".to_owned() },
            whole.as_secs_f64() * 1e3,
            other.as_secs_f64() * 1e3,
        );
    }
}
