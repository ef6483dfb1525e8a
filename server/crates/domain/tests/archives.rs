//! What leaves as an archive comes back equal: a real package's source with a history, on the same server and on another.

#[path = "archives/equal.rs"]
mod equal;
mod support;

use std::{
    collections::{BTreeMap, HashMap},
    io::{Cursor, Read},
    time::Duration,
};

use bytes::Bytes;
use domain::{
    Ctx, changes, chat, checkpoints, export, files,
    jobs::{self, JobError, JobKind},
    projects,
    runs::{self, OutputChunk},
};
use equal::{
    a_project_with_everything_comes_back_equal, an_archive_says_no_more_than_its_maker_is_told, archives_of_the_first_version_are_read,
    every_part_of_a_past_is_checked,
};
use serde_json::Value;
use support::Home;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::{
    ProjectId,
    changes::Decide,
    chat::{CreateConversation, MessageBody, StartTurn, TurnReason},
    checkpoints::CreateCheckpoint,
    event::OutputChannel,
    exports::StartExport,
    files::{Base, EntryKind, MovePath, RestorePath, SaveText},
    imports::ImportGit,
    runs::{Exit, ExitKind, RunState, RunUsage, StartRun},
};

on_both!(
    a_real_package_comes_back_with_its_past,
    a_plain_archive_holds_the_files_alone,
    links_modes_and_long_paths_come_back,
    a_stopped_export_leaves_nothing,
    archives_with_a_false_past_are_refused_whole,
    what_is_thinned_meanwhile_is_in_the_archive,
    a_repository_of_a_closed_host_is_refused_with_its_name,
    a_project_with_everything_comes_back_equal,
    every_part_of_a_past_is_checked,
    archives_of_the_first_version_are_read,
    an_archive_says_no_more_than_its_maker_is_told,
);

/// The source of a package that this product is built from.
fn package() -> (String, Vec<u8>) {
    let home = std::env::var_os("CARGO_HOME").map(Into::into).unwrap_or_else(|| std::env::home_dir().unwrap().join(".cargo"));
    let caches = std::fs::read_dir(home.join("registry/cache")).expect("cargo keeps the packages it fetched");
    let mut found: Vec<_> =
        caches.flatten().flat_map(|cache| std::fs::read_dir(cache.path()).unwrap().flatten()).map(|e| e.path()).collect();
    found.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("similar-"));
    found.sort();
    let path = found.pop().expect("a dependency of ours is in the cache");
    (path.file_name().unwrap().to_string_lossy().replace(".crate", ".tar.gz"), std::fs::read(path).unwrap())
}

/// Path, mode and bytes of every file in a tarball, without the directory that all of them share.
fn untar(archive: &[u8]) -> BTreeMap<String, (i32, Vec<u8>)> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().split_once('/').unwrap().1.to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let mode = if entry.header().mode().unwrap() & 0o111 == 0 { 0o644 } else { 0o755 };
        files.insert(path, (mode, bytes));
    }
    files
}

/// Does the next job as a worker would.
async fn work(ctx: &Ctx) -> Result<(), JobError> {
    let services = ctx.services();
    let job = loop {
        // Turns that were only begun for their change sets wait in the queue as well.
        let job = jobs::claim(services, "worker", jobs::WORK_LANE, Duration::from_secs(60)).await.unwrap().expect("a job waits");
        if matches!(job.kind, JobKind::Import | JobKind::Export) {
            break job;
        }
        jobs::complete(services, &job).await.unwrap();
    };
    let own = Ctx::for_job(services, job.user.clone().unwrap(), job.id);
    let (progress, stop) = (watch::channel((0, 0)).0, CancellationToken::new());
    let ended = match job.kind {
        JobKind::Import => projects::run_import(&own, &job.payload().unwrap(), progress, stop).await,
        _ => export::run(&own, &job.payload().unwrap(), progress, stop).await,
    };
    match &ended {
        Ok(()) => drop(jobs::complete(services, &job).await.unwrap()),
        Err(error) => drop(jobs::fail(services, &job, &format!("{error:?}"), false).await.unwrap()),
    }
    ended
}

async fn import(ctx: &Ctx, filename: &str, archive: Vec<u8>) -> Result<ProjectId, JobError> {
    let stored = ctx.services().storage.local.put_bytes(archive).await.unwrap();
    let upload = projects::Upload { name: String::new(), filename: filename.to_owned(), storage_backend: None, archive: stored };
    let project = projects::start_import(ctx, upload).await.unwrap().project_id;
    assert!(projects::get(ctx, project).await.is_err(), "not seen before it is filled");
    work(ctx).await.map(|()| project)
}

async fn export(ctx: &Ctx, project: ProjectId, history: bool) -> Vec<u8> {
    let started = export::start(ctx, project, StartExport { history }).await.unwrap();
    assert!(export::archive(ctx, started.id).await.is_err(), "nothing to download before it is made");
    work(ctx).await.unwrap();
    let listed = export::list(ctx, project).await.unwrap();
    assert!(listed[0].can_be_downloaded() && listed[0].history == history);
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut export::open(ctx, started.id, None).await.unwrap(), &mut bytes).await.unwrap();
    assert_eq!(listed[0].size, Some(bytes.len() as i64));
    bytes
}

async fn bytes(ctx: &Ctx, checksum: &str) -> Vec<u8> {
    ctx.services().storage.local.read_all(checksum, 1 << 24).await.unwrap()
}

/// Everything that a project held at a revision: kind, mode and bytes by path.
async fn tree(ctx: &Ctx, project: ProjectId, revision: i64) -> BTreeMap<String, (EntryKind, i32, Vec<u8>)> {
    let mut tree = BTreeMap::new();
    for entry in files::manifest_at(ctx, project, revision).await.unwrap().entries {
        let content = if entry.kind == EntryKind::Directory { Vec::new() } else { bytes(ctx, &entry.checksum).await };
        tree.insert(entry.path, (entry.kind, entry.mode, content));
    }
    tree
}

/// Every line of every part, with ids in the order in which they come, so that two servers say the same.
fn lines(archive: &[u8]) -> BTreeMap<String, Vec<Value>> {
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut ids = HashMap::new();
    let mut parts = BTreeMap::new();
    let mut names: Vec<String> = (0..zip.len()).map(|n| zip.by_index(n).unwrap().name().unwrap().into_owned()).collect();
    names.retain(|name| name.ends_with(".jsonl"));
    for name in names {
        let mut text = String::new();
        zip.by_name(&name).unwrap().read_to_string(&mut text).unwrap();
        let mut values: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        values.iter_mut().for_each(|value| number_ids(value, &mut ids));
        parts.insert(name, values);
    }
    parts
}

fn number_ids(value: &mut Value, ids: &mut HashMap<String, usize>) {
    match value {
        Value::String(text) if text.parse::<uuid::Uuid>().is_ok() => {
            let next = ids.len();
            *text = format!("id {}", ids.entry(text.clone()).or_insert(next));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| number_ids(item, ids)),
        Value::Object(fields) => fields.values_mut().for_each(|field| number_ids(field, ids)),
        _ => {}
    }
}

async fn save(ctx: &Ctx, project: ProjectId, path: &str, text: &str) {
    let base = files::entry(ctx, project, path).await.map_or(Base::New, |entry| Base::Version(entry.version));
    let request = SaveText { path: path.to_owned(), base, text: text.to_owned(), format: Default::default() };
    assert!(matches!(files::save_text(ctx, project, request).await.unwrap(), wire::files::SaveOutcome::Saved { .. }));
}

/// Edits, moves, deletions and restores, a checkpoint, a decided change of the agent, a run with its output.
async fn live_a_little(ctx: &Ctx, project: ProjectId) {
    save(ctx, project, "README.md", "# Another\r\nnot the one that came\n").await;
    save(ctx, project, "notes/größe.txt", "zwölf\n").await;
    files::create_directory(ctx, project, "empty/inside").await.unwrap();
    checkpoints::create(ctx, project, CreateCheckpoint { name: "Before the move".to_owned() }).await.unwrap();
    files::move_path(ctx, project, MovePath { from: "src".into(), to: "source".into(), base: support::AS_IT_IS }).await.unwrap();
    files::delete(ctx, project, "notes", support::AS_IT_IS).await.unwrap();
    files::restore(ctx, project, RestorePath { path: "README.md".into(), version: Some(1), base: support::AS_IT_IS }).await.unwrap();
    let body: blobs::Reader = Box::pin(Cursor::new(b"#!/bin/sh\n".to_vec()));
    files::put(ctx, project, "run.sh", files::Precondition::New, body, Some(0o755)).await.unwrap();
    propose(ctx, project).await;
    run(ctx, project).await;
}

async fn propose(ctx: &Ctx, project: ProjectId) {
    let conversation = chat::create_conversation(ctx, project, CreateConversation::default()).await.unwrap();
    let request = StartTurn { prompt: "Change it".into(), mode: Default::default(), ..Default::default() };
    let turn = chat::start_turn(ctx, conversation.id, request).await.unwrap().turn_id;
    let old = files::entry(ctx, project, "run.sh").await.unwrap();
    let stored = ctx.services().storage.local.put_bytes(b"#!/bin/sh\necho\n".to_vec()).await.unwrap();
    let lost = ctx.services().storage.local.put_bytes(b"never accepted\n".to_vec()).await.unwrap();
    let file = |path: &str, old: Option<(String, i32)>, new: blobs::Stored| changes::ProposedFile {
        path: path.to_owned(),
        kind: EntryKind::File,
        is_retyped: false,
        old,
        new: Some((new.sha256, 0o755)),
        new_size: new.size,
    };
    let proposed = vec![file("run.sh", Some((old.checksum, old.mode)), stored), file("no.txt", None, lost)];
    let revision = projects::get(ctx, project).await.unwrap().revision;
    let set = changes::create(ctx, turn, revision, proposed).await.unwrap().unwrap();
    let text = "Done, in café style".to_owned();
    let said = MessageBody::Assistant { text, reasoning: String::new(), tool_calls: vec![], usage: Default::default() };
    chat::append_message(ctx, turn, said).await.unwrap();
    chat::finish_turn(ctx, turn, TurnReason::Done, "").await.unwrap();
    let hunk = |path: &str| set.files.iter().find(|file| file.path == path).unwrap().hunks[0].id;
    let request = Decide { accept: vec![hunk("run.sh")], reject: vec![hunk("no.txt")], ..Decide::default() };
    changes::decide(ctx, set.change_set_id, request).await.unwrap();
}

async fn run(ctx: &Ctx, project: ProjectId) {
    let request = StartRun { env: [("TOKEN".to_owned(), "a secret value".to_owned())].into(), ..StartRun::command("make") };
    let run = runs::start(ctx, project, request).await.unwrap();
    runs::begin(ctx, run.id, "s2").await.unwrap();
    let chunk = |offset, data: &'static [u8]| OutputChunk { channel: OutputChannel::Stdout, offset, data: Bytes::from_static(data) };
    runs::append_output(ctx, run.id, vec![chunk(0, b"one\n"), chunk(4, b"\xff\x00two\n")]).await.unwrap();
    let exit = Exit { kind: ExitKind::Exited, code: Some(0), signal: None, sentence: "It ended well.".to_owned(), left_alive: 0 };
    runs::finish(ctx, run.id, RunState::Succeeded, exit, RunUsage::default(), Vec::new()).await.unwrap();
}

async fn a_real_package_comes_back_with_its_past(home: Home) {
    let ada = home.person("ada").await;
    let (filename, package) = package();
    let expected = untar(&package);
    let project = import(&ada, &filename, package).await.unwrap();
    let first = tree(&ada, project, 1).await;
    let listed: BTreeMap<_, _> = first.iter().map(|(path, (_, mode, content))| (path.clone(), (*mode, content.clone()))).collect();
    assert_eq!(listed, expected, "what was imported is what the archive held");

    live_a_little(&ada, project).await;
    let archive = export(&ada, project, true).await;
    assert!(!archive.windows(14).any(|part| part == b"a secret value"));

    let copy = import(&ada, "copy.zip", archive.clone()).await.unwrap();
    assert_equal((&ada, project), (&ada, copy)).await;
    let again = export(&ada, copy, true).await;
    assert_eq!(lines(&again), lines(&archive), "a second journey says the same as the first");

    // On a server where nobody is called ada her name stays, as text.
    let elsewhere = Home::sqlite().await;
    let bob = elsewhere.person("bob").await;
    let there = import(&bob, "copy.zip", archive).await.unwrap();
    assert_equal((&ada, project), (&bob, there)).await;
    let history = files::history(&bob, there, "README.md", None).await.unwrap().items;
    assert!(history.len() >= 3 && history.iter().all(|version| version.created_by.as_ref().unwrap().name == "ada"), "{history:?}");
    assert_eq!(runs::list(&bob, there).await.unwrap()[0].started_by.name, "ada");
    assert_eq!(checkpoints::list(&bob, there).await.unwrap().items.last().unwrap().created_by.as_ref().unwrap().name, "ada");
    // It is a project like any other.
    save(&bob, there, "README.md", "mine now\n").await;
    let restored = RestorePath { path: "notes".into(), version: None, base: support::AS_IT_IS };
    files::restore(&bob, there, restored).await.unwrap();
    assert!(files::entry(&bob, there, "notes/größe.txt").await.is_ok());
}

async fn assert_equal(old: (&Ctx, ProjectId), new: (&Ctx, ProjectId)) {
    let (ours, theirs) = (projects::get(old.0, old.1).await.unwrap(), projects::get(new.0, new.1).await.unwrap());
    assert_eq!((ours.revision, ours.file_count, ours.size_bytes), (theirs.revision, theirs.file_count, theirs.size_bytes));
    for revision in 0..=ours.revision {
        assert_eq!(tree(old.0, old.1, revision).await, tree(new.0, new.1, revision).await, "at revision {revision}");
    }
    let ours = chat::list_conversations(old.0, old.1).await.unwrap();
    let theirs = chat::list_conversations(new.0, new.1).await.unwrap();
    assert_eq!((ours.len(), ours[0].title.as_str()), (theirs.len(), theirs[0].title.as_str()));
    let (ours, theirs) = (chat::messages(old.0, ours[0].id).await.unwrap(), chat::messages(new.0, theirs[0].id).await.unwrap());
    assert!(ours.len() >= 3);
    assert_eq!(ours.len(), theirs.len());
    let (ours, theirs) = (runs::list(old.0, old.1).await.unwrap(), runs::list(new.0, new.1).await.unwrap());
    assert_eq!((ours.len(), &ours[0].command, &ours[0].env_names), (theirs.len(), &theirs[0].command, &theirs[0].env_names));
    let output = runs::stored_output(new.0, theirs[0].id, 1 << 20).await.unwrap();
    assert_eq!(output, b"one\n\xff\x00two\n");
    let (ours, theirs) = (files::trash(old.0, old.1).await.unwrap(), files::trash(new.0, new.1).await.unwrap());
    assert_eq!(ours.iter().map(|item| &item.path).collect::<Vec<_>>(), theirs.iter().map(|item| &item.path).collect::<Vec<_>>());
}

async fn a_plain_archive_holds_the_files_alone(home: Home) {
    let ada = home.person("ada").await;
    let (filename, package) = package();
    let project = import(&ada, &filename, package).await.unwrap();
    live_a_little(&ada, project).await;
    let archive = export(&ada, project, false).await;
    let copy = import(&ada, "copy.zip", archive).await.unwrap();
    let mut expected = tree(&ada, project, projects::get(&ada, project).await.unwrap().revision).await;
    expected.retain(|_, (kind, ..)| *kind != EntryKind::Directory);
    assert_eq!(tree(&ada, copy, 1).await, expected);
    assert!(chat::list_conversations(&ada, copy).await.unwrap().is_empty());
    assert_eq!(projects::get(&ada, copy).await.unwrap().revision, 1);

    let (ben, id) = (home.person("ben").await, export::list(&ada, project).await.unwrap()[0].id);
    assert!(export::start(&ben, project, StartExport::default()).await.is_err(), "who may not read it may not take it along");
    assert!(export::open(&ben, id, None).await.is_err());
    export::delete(&ada, id).await.unwrap();
    assert!(export::get(&ada, id).await.is_err() && export::list(&ada, project).await.unwrap().is_empty());
}

async fn links_modes_and_long_paths_come_back(home: Home) {
    let ada = home.person("ada").await;
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, mode, text) in [("a.txt", 0o644, "a"), ("bin/run", 0o755, "run")] {
        zip.start_file(name, options.unix_permissions(mode)).unwrap();
        std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
    }
    zip.add_symlink("bin/up", "../a.txt", options).unwrap();
    zip.add_symlink("out", "/etc/passwd", options).unwrap();
    let project = import(&ada, "links.zip", zip.finish().unwrap().into_inner()).await.unwrap();
    // As deep as a path may be, which is deeper than what an archive holds below a directory of its own.
    let deep = format!("{}deep.txt", "d/".repeat(63));
    save(&ada, project, &deep, "deep\n").await;
    save(&ada, project, &format!("long/{}", "n".repeat(250)), "long\n").await;
    let revision = projects::get(&ada, project).await.unwrap().revision;
    let whole = tree(&ada, project, revision).await;
    assert_eq!(whole["out"], (EntryKind::Symlink, 0o644, b"/etc/passwd".to_vec()));
    let archive = export(&ada, project, true).await;
    let copy = import(&ada, "copy.zip", archive).await.unwrap();
    assert_eq!(tree(&ada, copy, revision).await, whole);
    files::delete(&ada, project, "d", support::AS_IT_IS).await.unwrap();
    let plain = export(&ada, project, false).await;
    let copy = import(&ada, "plain.zip", plain).await.unwrap();
    let mut left = whole;
    left.remove(&deep);
    assert_eq!(tree(&ada, copy, 1).await, left);
}

/// Bytes that no packer makes smaller.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Others save while an archive is half way, so often that versions are thinned at once: what it shows stays until it is made.
async fn what_is_thinned_meanwhile_is_in_the_archive(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let limits = wire::quotas::StorageSettings { versions_per_file: 3, ..Default::default() };
    domain::settings::update_storage(&ada, limits).await.unwrap();
    for text in ["one\n", "two\n", "three\n"] {
        save(&ada, project, "a.txt", text).await;
    }
    save(&ada, project, "gone.txt", "gone\n").await;
    files::delete(&ada, project, "gone.txt", support::AS_IT_IS).await.unwrap();
    // More than is on its way while nobody reads, so that what comes after it in the archive is not read yet.
    for n in 0..4 {
        let body: blobs::Reader = Box::pin(Cursor::new(noise(n, 1_000_000)));
        files::put(&ada, project, &format!("b{n}.bin"), files::Precondition::New, body, None).await.unwrap();
    }
    let revision = projects::get(&ada, project).await.unwrap().revision;
    let shown = tree(&ada, project, revision).await;
    let versions = async || -> Vec<i64> {
        let history = files::history(&ada, project, "a.txt", None).await.unwrap();
        history.items.into_iter().map(|version| version.version).collect()
    };

    let mut sent = export::open_project(&ada, project, true).await.unwrap().bytes;
    let mut archive = vec![0; 64];
    tokio::io::AsyncReadExt::read_exact(&mut sent, &mut archive).await.unwrap();
    for n in 0..10 {
        save(&ada, project, "a.txt", &format!("{n}\n")).await;
        save(&ada, project, "gone.txt", &format!("{n}\n")).await;
    }
    assert_eq!(versions().await, [13, 12, 11, 10, 9, 8, 3], "the newest, and what the archive shows");
    tokio::io::AsyncReadExt::read_to_end(&mut sent, &mut archive).await.unwrap();
    save(&ada, project, "a.txt", "last\n").await;
    assert_eq!(versions().await, [14, 13, 12, 11, 10, 9], "the archive is made");

    let copy = import(&ada, "copy.zip", archive.clone()).await.unwrap();
    assert_eq!(tree(&ada, copy, revision).await, shown);
    assert_eq!(projects::get(&ada, copy).await.unwrap().revision, revision);
    assert_eq!(files::entry(&ada, copy, "a.txt").await.unwrap().version, 3);

    // An archive that lost a version is refused, and not the file left out.
    let lost = forge(&archive, "history/versions/00001.jsonl", |text| {
        text.lines().filter(|line| !line.contains("\"path\":\"a.txt\"")).map(|line| format!("{line}\n")).collect()
    });
    match import(&ada, "lost.zip", lost).await {
        Err(JobError::Final(sentence)) => assert!(sentence.contains("a.txt") && sentence.contains("Nothing was kept"), "{sentence}"),
        other => panic!("{other:?}"),
    }
}

async fn a_stopped_export_leaves_nothing(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    save(&ada, project, "a.txt", "a").await;
    let waiting = export::start(&ada, project, StartExport { history: true }).await.unwrap();
    assert!(export::start(&ada, project, StartExport::default()).await.is_err(), "one at a time");
    jobs::cancel(&ada, waiting.job_id).await.unwrap();
    assert!(export::list(&ada, project).await.unwrap().is_empty());
    let waiting = export::start(&ada, project, StartExport::default()).await.unwrap();
    export::delete(&ada, waiting.id).await.unwrap();
    assert!(jobs::get(&ada, waiting.job_id).await.unwrap().state.is_finished());
}

/// The archive with one part put through `change`; every other entry stays.
fn forge(archive: &[u8], entry: &str, change: impl Fn(String) -> String) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut forged = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut met = false;
    for at in 0..zip.len() {
        let mut file = zip.by_index(at).unwrap();
        let name = file.name().unwrap().into_owned();
        if file.is_dir() {
            continue;
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        if name == entry {
            let changed = change(String::from_utf8(content.clone()).unwrap());
            met = changed.as_bytes() != content;
            content = changed.into_bytes();
        }
        forged.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        forged.write_all(&content).unwrap();
    }
    assert!(met, "{entry} was changed");
    forged.finish().unwrap().into_inner()
}

async fn archives_with_a_false_past_are_refused_whole(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    for (path, text) in [("a.txt", "first\n"), ("b/c.txt", "other\n"), ("a.txt", "second\n")] {
        save(&ada, project, path, text).await;
    }
    propose_and_run(&ada, project).await;
    let archive = export(&ada, project, true).await;
    let versions = "history/versions/00001.jsonl";
    type Change = fn(String) -> String;
    let forgeries: Vec<(&str, Change)> = vec![
        (versions, |text| text.replace("\"path\":\"b/c.txt\"", "\"path\":\"../c.txt\"")),
        (versions, |text| text.replace("\"path\":\"b/c.txt\"", "\"path\":\".git/config\"")),
        (versions, |text| text.replace("\"path\":\"b/c.txt\"", "\"path\":\"a.txt/c.txt\"")),
        (versions, |text| text.replace("\"path\":\"b/c.txt\"", "\"path\":\"A.txt\"")),
        (versions, |text| text.replace("\"size\":6", "\"size\":7")),
        (versions, |text| text.replacen("\"checksum\":\"", "\"checksum\":\"0", 1)),
        (versions, |text| text.replace("\"revision\":3", "\"revision\":99999")),
        (versions, |text| text.replace("\"superseded\":3", "\"superseded\":null")),
        (versions, |text| format!("{text}{text}")),
        (versions, |text| text.replace("\"action\":\"added\"", "\"action\":\"conjured\"")),
        (versions, |text| text.replace("\"version\":2", "\"version\":1")),
        ("cloudxdevai.json", |text| text.replace("\"version\": 2", "\"version\": 3")),
        ("history/output/00001.jsonl", |text| text.replace("\"offset\":4", "\"offset\":9")),
        ("history/output/00001.jsonl", |text| text.replace("\"kind\":\"run_started\"", "\"kind\":\"session_ended\"")),
        ("history/messages/00001.jsonl", |text| text.replace("\"seq\":1", "\"seq\":7")),
    ];
    for (entry, change) in forgeries {
        let refused = import(&ada, "false.zip", forge(&archive, entry, change)).await;
        match refused {
            Err(JobError::Final(sentence)) => assert!(sentence.contains("Nothing was kept"), "{sentence}"),
            other => panic!("{entry}: {other:?}"),
        }
        let left = projects::list(&ada).await.unwrap();
        assert_eq!(left.len(), 1, "nothing is left of it");
    }
    // What only looks like one is files.
    let plain = forge(&archive, "cloudxdevai.json", |_| "{}".to_owned());
    let copy = import(&ada, "plain.zip", plain).await.unwrap();
    assert!(files::entry(&ada, copy, "history/versions/00001.jsonl").await.is_ok());
}

async fn propose_and_run(ctx: &Ctx, project: ProjectId) {
    let body: blobs::Reader = Box::pin(Cursor::new(b"#!/bin/sh\n".to_vec()));
    files::put(ctx, project, "run.sh", files::Precondition::New, body, Some(0o755)).await.unwrap();
    propose(ctx, project).await;
    run(ctx, project).await;
}

async fn a_repository_of_a_closed_host_is_refused_with_its_name(home: Home) {
    let ada = home.person("ada").await;
    let ask = |url: &str| projects::start_git(&ada, ImportGit { url: url.to_owned(), ..ImportGit::default() });
    let sentence = |error: domain::Error| match error {
        domain::Error::Invalid(fields) => fields[0].message.clone(),
        other => panic!("{other:?}"),
    };
    let refused = sentence(ask("https://git.example.org:8443/team/tool.git").await.unwrap_err());
    assert!(refused.contains("add git.example.org:8443 to the hosts") && refused.contains("Nothing was imported"), "{refused}");
    let refused = sentence(ask("https://ada:secret@git.example.org/tool.git").await.unwrap_err());
    assert!(refused.contains("Leave the name and the password out") && !refused.contains("secret"), "{refused}");
    let open = wire::settings::RunSettings { egress: vec![wire::network::HostRule("git.example.org".to_owned())], ..Default::default() };
    domain::settings::update_runs(&ada, open).await.unwrap();
    let started = ask("https://git.example.org/team/tool.git").await.unwrap();
    jobs::cancel(&ada, started.job_id).await.unwrap();
    assert!(projects::list(&ada).await.unwrap().is_empty());
}
