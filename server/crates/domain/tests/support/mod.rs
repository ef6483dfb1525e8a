//! A domain of its own for each test: SQLite in a temporary folder or a fresh PostgreSQL database, and blobs in memory. The measurements in
//! `examples/` use it too.

#[path = "../../../store/tests/support/database.rs"]
mod database;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use blobs::{Backend, LocalBlobs, MemoryBlobs, Storage};
use database::TestDatabase;
use domain::{
    Client, Ctx, JobSignals, Registration, Secret, Services, Settings, SystemClock, SystemIds,
    models::{EnvironmentProvider, ModelDesk, ProviderAddress, RemoteModels, hosts::HostList},
    vault::Vault,
};
use store::{Db, InProcessBus};
use wire::{
    ProjectId,
    auth::{Login, Register},
    files::{EntryKind, FileAction, Origin},
    models::{ModelSettings, ProviderKind},
    projects::{CreateProject, Project},
};

/// The base of a step that takes what is there, whatever it is.
#[allow(dead_code, reason = "not every test takes steps")]
pub const AS_IT_IS: Option<wire::files::Base> = Some(wire::files::Base::Revision(i64::MAX));

/// What somebody may have a copy of.
pub const SAMPLE: &[(&str, &str)] = &[("README.md", "# Sample\n"), ("count.py", "def test_count():\n    assert 1 == 2\n")];

pub struct Home {
    pub services: Arc<Services>,
    _dir: Option<tempfile::TempDir>,
    _database: Option<TestDatabase>,
}

impl Home {
    pub async fn sqlite() -> Self {
        Self::with_storage(in_memory()).await
    }

    /// The database and the folder `blobs` in `dir`, so that both can be measured.
    #[allow(dead_code, reason = "for measurements")]
    pub async fn on_disk(dir: &Path) -> Self {
        let db = Db::connect(&format!("sqlite:{}", dir.join("bench.db").display()), 4).await.unwrap();
        let blobs = LocalBlobs::open(dir.join("blobs")).await.unwrap();
        Self::on(db, Storage::only_local(Arc::new(blobs)), None).await
    }

    /// SQLite, with blobs of the caller's choice.
    pub async fn with_storage(storage: Storage) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = database::sqlite_in(dir.path()).await;
        Self::on(Db::connect(&url, 4).await.unwrap(), storage, Some(dir)).await
    }

    /// `None`, said out loud, where no PostgreSQL is given.
    pub async fn postgres() -> Option<Self> {
        let database = TestDatabase::create().await?;
        let home = Self::on(Db::connect(&database.url, 12).await.unwrap(), in_memory(), None).await;
        Some(Self { _database: Some(database), ..home })
    }

    async fn on(db: Db, storage: Storage, dir: Option<tempfile::TempDir>) -> Self {
        let services = Services {
            db,
            storage,
            bus: Arc::new(InProcessBus::new()),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            settings: Settings {
                jwt_secret: Secret(b"a secret for tests only".to_vec()),
                access_minutes: 15,
                refresh_days: 7,
                registration: Registration::Open,
                site_url: None,
                mail: None,
                secure_cookies: false,
                file_size_limit: 1 << 20,
                retention_days: 90,
                sample: SAMPLE,
                demonstrates: false,
                previews: domain::previews::PreviewSettings::default(),
                egress_open_addresses: Vec::new(),
                no_network: None,
            },
            models: desk(),
            tools: domain::mcp::no_remote_tools(),
            vault: Vault::new(&Secret(b"a seal for tests only".to_vec())),
            toolbox: Arc::new(domain::context::NoTools),
            probes: Vec::new(),
            looked: domain::health::Looked::default(),
            identities: domain::identities::no_identities(),
            signals: JobSignals::default(),
            presence: domain::presence::Presence::default(),
            listings: domain::files::Listings::default(),
            throttle: domain::throttle::Throttle::default(),
        };
        let services = Arc::new(services);
        domain::models::adopt_environment(&Ctx::system(&services)).await.unwrap();
        Self { services, _dir: dir, _database: None }
    }

    pub fn nobody(&self) -> Ctx {
        Ctx::nobody(&self.services, "test", Client::default())
    }

    /// A person with an account, signed in.
    pub async fn person(&self, name: &str) -> Ctx {
        let nobody = self.nobody();
        let register = Register {
            email: format!("{name}@example.org"),
            username: name.to_owned(),
            password: "correct horse".to_owned(),
            full_name: None,
            invite: None,
        };
        domain::accounts::register(&nobody, register).await.unwrap();
        let login = Login { username: name.to_owned(), password: "correct horse".to_owned(), otp: None };
        let tokens = domain::auth::login(&nobody, login).await.unwrap();
        domain::auth::authenticate_bearer(&nobody, &tokens.access_token).await.unwrap()
    }

    #[allow(dead_code, reason = "not every test has one")]
    pub async fn project(&self, ctx: &Ctx) -> Project {
        domain::projects::create(ctx, CreateProject { name: "Test".to_owned(), description: String::new(), storage_backend: None })
            .await
            .unwrap()
    }
}

/// The model `scripted` of the environment, where nobody answers.
fn desk() -> ModelDesk {
    let settings = ModelSettings { remote_name: "scripted".to_owned(), ..ModelSettings::default() };
    let environment = EnvironmentProvider {
        env_name: "openai".to_owned(),
        name: "test".to_owned(),
        kind: ProviderKind::OpenaiChat,
        base_url: "http://127.0.0.1:9/v1".to_owned(),
        key: Some(Secret(b"sk-environment".to_vec())),
        models: vec![("scripted".to_owned(), settings)],
    };
    let hosts = HostList::parse(&["models.test:8443".to_owned(), "other.test".to_owned()]).unwrap();
    let mut desk = ModelDesk::new(Arc::new(Offers));
    desk.environment = vec![environment];
    desk.default = Some("scripted".to_owned());
    desk.hosts = hosts;
    desk
}

/// Says what it was asked with.
struct Offers;

#[async_trait]
impl RemoteModels for Offers {
    async fn list(&self, at: ProviderAddress) -> Result<Vec<String>, String> {
        let key = at.key.map(|key| String::from_utf8(key.0).unwrap());
        Ok(vec![format!("{} {} {}", at.base_url, key.as_deref().unwrap_or("no key"), at.trusted_host)])
    }
}

fn in_memory() -> Storage {
    Storage { local: Arc::new(MemoryBlobs::new()), s3: Some(Arc::new(MemoryBlobs::new())), default: Backend::Local }
}

/// Files of (path, checksum, size) as an import leaves their rows. Their bytes are the caller's.
#[allow(dead_code, reason = "for measurements")]
pub async fn insert_files(ctx: &Ctx, project: ProjectId, files: impl Iterator<Item = (String, String, i64)>) {
    let mut tx = ctx.services().db.begin().await.unwrap();
    let revision = store::projects::next_revision(&mut tx, project, ctx.now()).await.unwrap().unwrap().revision;
    let (mut count, mut bytes) = (0, 0);
    for (path, checksum, size) in files {
        let new = store::files::NewVersion {
            project_id: project,
            path: &path,
            version: 1,
            revision,
            action: FileAction::Added,
            kind: EntryKind::File,
            size,
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
        store::files::insert_version(&mut tx, &new).await.unwrap();
        count += 1;
        bytes += size;
    }
    store::projects::add_totals(&mut tx, project, count, bytes).await.unwrap();
    let _committed = tx.commit().await.unwrap();
}

/// Runs a test body on every database there is.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::support::Home::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(home) = $crate::support::Home::postgres().await {
                    super::$name(home).await;
                }
            }
        }
    )+};
}
