//! Databases for tests. Each is a copy of one with the whole schema, which is made once for a server, or a folder of test programs, and a
//! set of migrations: making every table anew takes longer than most tests do.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    str::FromStr,
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use store::Db;
use uuid::Uuid;

/// A database of one test, dropped with it.
pub struct TestDatabase {
    pub url: String,
    name: String,
    server: String,
}

impl TestDatabase {
    /// On the server that `TEST_DATABASE_URL` names. `None`, said out loud, where there is none; in CI there has to be one.
    #[allow(dead_code, reason = "some tests want a collation, the others this")]
    pub async fn create() -> Option<Self> {
        Self::create_with("").await
    }

    /// `collation` is what `CREATE DATABASE` is told beside the encoding, where the server can do it.
    pub async fn create_with(collation: &str) -> Option<Self> {
        let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
            assert!(std::env::var("CI").is_err(), "TEST_DATABASE_URL is not set, and CI must test PostgreSQL");
            eprintln!("*** PostgreSQL not tested: TEST_DATABASE_URL is not set ***");
            return None;
        };
        let mut admin = connect(&server).await.expect("TEST_DATABASE_URL answers");
        let template = ensure_template(&mut admin, &server, collation).await;
        let name = format!("test_{}", Uuid::now_v7().simple());
        run(&mut admin, &format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await.unwrap();
        admin.close().await.unwrap();
        Some(Self { url: with_database(&server, &name), name, server })
    }
}

impl Drop for TestDatabase {
    /// On a thread of its own, since this one may be driving a runtime.
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
            runtime.block_on(async { run(&mut connect(&server).await?, &drop).await }).map_err(|error| error.to_string())
        });
        if let Ok(Err(error)) = dropping.join() {
            eprintln!("{} stays: {error}", self.name);
        }
    }
}

/// The address of a SQLite database in `folder`.
#[allow(dead_code, reason = "not every test wants one")]
pub async fn sqlite_in(folder: &Path) -> String {
    let mut hash = DefaultHasher::new();
    schema("sqlite").hash(&mut hash);
    let programs = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let template = programs.join(format!("schema-{:016x}.db", hash.finish()));
    if !template.exists() {
        // Under another name until it is whole. Where two tests make it at once, the second does it for nothing.
        let making = tempfile::tempdir_in(&programs).unwrap();
        let new = making.path().join("new.db");
        Db::connect(&sqlite_address(&new), 2).await.unwrap().close().await;
        std::fs::rename(new, &template).unwrap();
    }
    let own = folder.join("test.db");
    std::fs::copy(template, &own).unwrap();
    sqlite_address(&own)
}

fn sqlite_address(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect_with(&PgConnectOptions::from_str(url)?).await
}

async fn run(conn: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    conn.execute(AssertSqlSafe(sql.to_owned())).await.map(drop)
}

/// The name of the database to copy from, made under another name so that one which is there is whole.
async fn ensure_template(admin: &mut PgConnection, server: &str, collation: &str) -> String {
    let mut hash = DefaultHasher::new();
    (schema("postgres"), collation).hash(&mut hash);
    let key = hash.finish();
    let name = format!("template_{key:016x}");
    if is_there(admin, &name).await {
        return name;
    }
    sqlx::query("SELECT pg_advisory_lock($1)").bind(key.cast_signed()).execute(&mut *admin).await.unwrap();
    if !is_there(admin, &name).await {
        let making = format!("{name}_making");
        run(admin, &format!("DROP DATABASE IF EXISTS {making}")).await.unwrap();
        let plain = format!("CREATE DATABASE {making} TEMPLATE template0 ENCODING 'UTF8'");
        if run(admin, &format!("{plain} {collation}")).await.is_err() {
            run(admin, &plain).await.unwrap();
        }
        // Once more when all is made, since the first connection after that leaves behind what spares the next ones the catalogue.
        for _ in 0..2 {
            Db::connect(&with_database(server, &making), 2).await.unwrap().close().await;
        }
        // A connection is counted until its process is gone.
        run(admin, &format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{making}'")).await.unwrap();
        run(admin, &format!("ALTER DATABASE {making} RENAME TO {name}")).await.unwrap();
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(key.cast_signed()).execute(&mut *admin).await.unwrap();
    name
}

async fn is_there(admin: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)").bind(name).fetch_one(admin).await.unwrap()
}

/// Every migration of a database, by name and text.
fn schema(database: &str) -> Vec<(PathBuf, String)> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let folder = above.map(|folder| folder.join("migrations").join(database)).find(|folder| folder.is_dir()).expect("migrations");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.map(|file| (file.file_name().unwrap().into(), std::fs::read_to_string(&file).unwrap())).collect();
    files.sort();
    files
}

/// The address of another database on the same server.
pub fn with_database(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').map_or((url, String::new()), |(address, options)| (address, format!("?{options}")));
    let host = address.find("://").map_or(0, |at| at + 3);
    let end = address[host..].find('/').map_or(address.len(), |at| host + at);
    format!("{}/{name}{options}", &address[..end])
}
