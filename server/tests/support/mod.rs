//! The product as a whole, on a real listener: real router, real database and files in a folder that goes away, callers that say who they are.
#![allow(dead_code, unused_imports)]

pub mod archives;
pub mod caller;
#[path = "../../crates/store/tests/support/database.rs"]
pub mod database;
pub mod fixture;
pub mod mail_server;
pub mod mcp_server;
pub mod model_server;
pub mod oidc_browser;
pub mod oidc_server;
pub mod program;
#[path = "../../crates/store/tests/support/redis_server.rs"]
pub mod redis_server;
#[path = "../../crates/blobs/tests/support/s3_server.rs"]
pub mod s3_server;
pub mod terminal;
pub mod web;

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use domain::Services;
use server::{
    config::{Config, Sources},
    http::{self, AppState, routes::Route},
    seats::Bounds,
    serve,
    wiring::{self, Role},
    worker::Worker,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use caller::{Caller, Events, Reply};
pub use database::TestDatabase;

pub const PASSWORD: &str = "correct horse battery staple";
pub const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// Longer than anything should take; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct TestApp {
    pub base: String,
    pub services: Arc<Services>,
    /// What answers behind the listener.
    pub router: axum::Router,
    pub routes: Vec<Route>,
    pub data: TempDir,
    client: reqwest::Client,
    stop: CancellationToken,
    worker: Option<JoinHandle<()>>,
    database: Option<TestDatabase>,
}

#[derive(Default)]
pub struct Options<'a> {
    /// Works off jobs in this process, in the real sandbox.
    pub worker: bool,
    /// Base address of a model server.
    pub model: Option<String>,
    /// More settings by name.
    pub settings: Vec<(&'a str, &'a str)>,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with_worker() -> Self {
        Self::with(Options { worker: true, ..Options::default() }).await
    }

    pub async fn with(options: Options<'_>) -> Self {
        llm::install_crypto();
        let data = data_folder();
        let database = TestDatabase::create().await;
        let folder = data.path().join("data");
        let mut settings =
            vec![("DATA_DIR", folder.to_str().unwrap()), ("JWT_SECRET_KEY", SECRET), ("LOG_LEVEL", "warn"), ("LOG_FORMAT", "text")];
        // Everybody in a test comes from one address, in a hurry.
        settings.push(("RATE_LIMIT_ENABLED", "false"));
        // Within what is removed at the end, also under root.
        let work = data.path().join("work");
        settings.push(("WORK_DIR", work.to_str().unwrap()));
        if let Some(database) = &database {
            settings.push(("DATABASE_URL", &database.url));
        }
        if let Some(model) = &options.model {
            settings.extend([("OPENAI_BASE_URL", model.as_str()), ("AI_DEFAULT_MODEL", "scripted")]);
        }
        settings.extend(options.settings.iter().copied());
        let mut config = Config::from_sources(Sources::of_values(settings)).unwrap();
        config.worker.sandbox_helper = Some(env!("CARGO_BIN_EXE_cloudxdevai").into());
        server::logging::install(&config.log);
        let mut app = Self::serve(Arc::new(config), options.worker, data).await;
        app.database = database;
        app
    }

    async fn serve(config: Arc<Config>, with_worker: bool, data: TempDir) -> Self {
        let stop = CancellationToken::new();
        let role = if with_worker { Role::Worker } else { Role::Server };
        let app = wiring::wire(config.clone(), role).await.unwrap();
        let state = AppState {
            services: app.services.clone(),
            config: Arc::new(config.http.clone()),
            models: app.models,
            terminals: app.terminals,
            previews: app.previews,
            limits: app.limits,
            shutdown: stop.clone(),
        };
        let (router, routes) = http::router(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve::listen_within(listener, router.clone(), Bounds::of(&config.http), stop.clone()));
        let worker = app.work.map(|work| {
            let working = Worker::new(work).run(stop.clone());
            tokio::spawn(async {
                working.await;
            })
        });
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { base, services: app.services, router, routes, data, client, stop, worker, database: None }
    }

    pub fn nobody(&self) -> Caller {
        Caller::new(&self.base, self.client.clone())
    }

    /// Makes an account and signs in with a token. The first one administers.
    pub async fn user(&self, name: &str) -> Caller {
        self.register(name).await;
        self.nobody().sign_in(name, PASSWORD).await
    }

    pub async fn register(&self, name: &str) -> wire::users::User {
        let body = serde_json::json!({ "email": format!("{name}@example.org"), "username": name, "password": PASSWORD });
        self.nobody().post("/api/auth/register", &body).await.expect(201).json()
    }

    /// Begins to stop as SIGTERM would.
    pub fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops as SIGTERM would, and waits for it.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(worker) = self.worker.take() {
            tokio::time::timeout(PATIENCE, worker).await.expect("the worker did not stop").unwrap();
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Enterable by the sandbox's own users.
pub fn data_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
