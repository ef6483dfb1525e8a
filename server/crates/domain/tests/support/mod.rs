//! A domain of its own for each test: SQLite in a temporary folder or a fresh PostgreSQL schema, and blobs in memory.

use std::sync::Arc;

use blobs::{Backend, MemoryBlobs, Storage};
use domain::{Client, Ctx, JobSignals, Registration, Secret, Services, Settings, SystemClock, SystemIds};
use store::{Db, InProcessBus};
use wire::{
    auth::{Login, Register},
    chat::{ModelInfo, Models},
    projects::{CreateProject, Project},
};

pub struct Home {
    pub services: Arc<Services>,
    _dir: tempfile::TempDir,
}

impl Home {
    pub async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("test.db").display());
        Self::on(Db::connect(&url, 4).await.unwrap(), dir)
    }

    /// `None`, said out loud, where no PostgreSQL is given.
    pub async fn postgres() -> Option<Self> {
        let Ok(url) = std::env::var("TEST_DATABASE_URL") else {
            assert!(std::env::var("CI").is_err(), "TEST_DATABASE_URL is not set, and CI must test PostgreSQL");
            eprintln!("PostgreSQL not tested: TEST_DATABASE_URL is not set");
            return None;
        };
        let schema = format!("t{}", uuid::Uuid::now_v7().simple());
        let setup = sqlx_connect(&url, &format!("CREATE SCHEMA {schema}")).await;
        setup.unwrap();
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}options=-c%20search_path%3D{schema}");
        Some(Self::on(Db::connect(&url, 12).await.unwrap(), tempfile::tempdir().unwrap()))
    }

    fn on(db: Db, dir: tempfile::TempDir) -> Self {
        let model = ModelInfo { name: "scripted".to_owned(), provider: "test".to_owned(), is_demo: false };
        let services = Services {
            db,
            storage: Storage { local: Arc::new(MemoryBlobs::new()), s3: Some(Arc::new(MemoryBlobs::new())), default: Backend::Local },
            bus: Arc::new(InProcessBus::new()),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            settings: Settings {
                jwt_secret: Secret(b"a secret for tests only".to_vec()),
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
            },
            models: Models { items: vec![model], default: Some("scripted".to_owned()), hint: String::new() },
            probes: Vec::new(),
            signals: JobSignals::default(),
            presence: domain::presence::Presence::default(),
        };
        Self { services: Arc::new(services), _dir: dir }
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
        };
        domain::auth::register(&nobody, register).await.unwrap();
        let login = Login { username: name.to_owned(), password: "correct horse".to_owned() };
        let tokens = domain::auth::login(&nobody, login).await.unwrap();
        domain::auth::authenticate_bearer(&nobody, &tokens.access_token).await.unwrap()
    }

    pub async fn project(&self, ctx: &Ctx) -> Project {
        domain::projects::create(ctx, CreateProject { name: "Test".to_owned(), description: String::new(), storage_backend: None })
            .await
            .unwrap()
    }
}

async fn sqlx_connect(url: &str, sql: &str) -> Result<(), sqlx::Error> {
    use sqlx::{Connection, Executor};
    let mut conn = sqlx::PgConnection::connect(url).await?;
    conn.execute(sqlx::AssertSqlSafe(sql.to_owned())).await?;
    Ok(())
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
