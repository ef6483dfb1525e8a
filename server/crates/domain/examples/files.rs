//! How long a tree of 50 000 files takes: to read, to pack, to move as a folder. Prints one line for each; `files [count]`.

#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use blobs::{MemoryBlobs, Storage};
use domain::{Client, Ctx, JobSignals, Registration, Secret, Services, Settings, SystemClock, SystemIds, files};
use store::{Db, InProcessBus};
use wire::{
    ProjectId,
    auth::{Login, Register},
    chat::Models,
    files::{Base, ChangeFiles, EntryKind, FileAction, FileStep, Origin},
    packed_tree::PackedTree,
    projects::CreateProject,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let count = std::env::args().nth(1).map_or(Ok(50_000), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let url = std::env::var("TEST_DATABASE_URL").unwrap_or_else(|_| format!("sqlite:{}", dir.path().join("files.db").display()));
    let ctx = sign_up(Db::connect(&url, 4).await?).await?;
    let project =
        domain::projects::create(&ctx, CreateProject { name: "Large".into(), description: String::new(), storage_backend: None }).await?.id;
    fill(&ctx, project, count).await?;
    measure(&ctx, project).await?;
    Ok(())
}

async fn sign_up(db: Db) -> Outcome<Ctx> {
    let settings = Settings {
        jwt_secret: Secret(b"for a measurement only".to_vec()),
        access_minutes: 15,
        refresh_days: 7,
        registration: Registration::Open,
        secure_cookies: false,
        file_size_limit: 1 << 20,
        retention_days: 90,
        sample: &[],
        previews: domain::previews::PreviewSettings::default(),
        egress_open_addresses: Vec::new(),
        no_network: None,
    };
    let services = Services {
        db,
        storage: Storage::only_local(Arc::new(MemoryBlobs::new())),
        bus: Arc::new(InProcessBus::new()),
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
        settings,
        models: Models { items: Vec::new(), default: None, hint: String::new() },
        probes: Vec::new(),
        signals: JobSignals::default(),
        presence: domain::presence::Presence::default(),
    };
    let nobody = Ctx::nobody(&Arc::new(services), "files", Client::default());
    let name = format!("u{}", &uuid::Uuid::now_v7().simple().to_string()[20..]);
    let (email, password) = (format!("{name}@example.org"), "correct horse".to_owned());
    domain::auth::register(&nobody, Register { email, username: name.clone(), password: password.clone(), full_name: None }).await?;
    let tokens = domain::auth::login(&nobody, Login { username: name, password }).await?;
    Ok(domain::auth::authenticate_bearer(&nobody, &tokens.access_token).await?)
}

/// Files of a made-up source tree, twenty in a directory.
async fn fill(ctx: &Ctx, project: ProjectId, count: usize) -> Outcome<()> {
    let began = Instant::now();
    let mut tx = ctx.services().db.begin().await?;
    let revision = store::projects::next_revision(&mut tx, project, ctx.now()).await?.ok_or("no project")?.revision;
    for n in 0..count {
        let path = format!("packages/package-{:03}/src/module_{:04}/component_{n:05}.ts", n / 400, n / 20);
        let checksum = format!("{:064x}", (n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834));
        let new = store::files::NewVersion {
            project_id: project,
            path: &path,
            version: 1,
            revision,
            action: FileAction::Added,
            kind: EntryKind::File,
            size: 1000,
            content_type: "video/mp2t",
            checksum: Some(&checksum),
            mode: 0o644,
            origin: Origin::Import,
            at: ctx.now(),
            by: ctx.user_id(),
            moved_from: None,
            cause: None,
            deleted_as: None,
        };
        store::files::insert_version(&mut tx, &new).await?;
    }
    store::projects::add_totals(&mut tx, project, count as i64, count as i64 * 1000).await?;
    let _committed = tx.commit().await?;
    println!("{count} files inserted in {}", ms(began.elapsed()));
    Ok(())
}

async fn measure(ctx: &Ctx, project: ProjectId) -> Outcome<()> {
    for _ in 0..3 {
        let began = Instant::now();
        let tree = files::tree(ctx, project).await?;
        let read = began.elapsed();
        let plain = serde_json::to_string(&tree)?.len();
        let began = Instant::now();
        let json = serde_json::to_string(&PackedTree::from(tree))?;
        let packed = began.elapsed();
        let began = Instant::now();
        let back = serde_json::from_str::<PackedTree>(&json)?.unpack();
        let unpacked = began.elapsed();
        println!(
            "tree of {} entries: read {}, packed {}, unpacked {}; {} KB, {} KB as objects",
            back.items.len(),
            ms(read),
            ms(packed),
            ms(unpacked),
            json.len() / 1000,
            plain / 1000
        );
    }
    for (from, to) in [("packages", "moved"), ("moved", "packages")] {
        let base = Base::Revision(files::tree(ctx, project).await?.revision);
        let began = Instant::now();
        let steps = vec![FileStep::Move { from: from.into(), to: to.into(), base }];
        files::change(ctx, project, ChangeFiles { steps }).await?;
        println!("folder of all files moved in {}", ms(began.elapsed()));
    }
    let began = Instant::now();
    files::tree_below(ctx, project, Some("packages/package-001"), Some(1)).await?;
    println!("one directory read in {}", ms(began.elapsed()));
    Ok(())
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
