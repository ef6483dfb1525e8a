use std::{
    ops::{Deref, DerefMut},
    path::Path,
    str::FromStr,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::Migrator,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use wire::event::Event;

use crate::Result;

/// What takes longer is logged, unless another limit is given.
const SLOW_STATEMENT: Duration = Duration::from_millis(200);

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../../../migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../../../migrations/postgres");

/// Steps of the schema by number and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    pub applied: Vec<(i64, String)>,
    /// This program has them, and the database does not.
    pub pending: Vec<(i64, String)>,
    /// The database has them from a newer program.
    pub unknown: Vec<(i64, String)>,
}

/// Connections of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolUse {
    /// `read`, `write`, or `all` where one pool does both.
    pub name: &'static str,
    pub used: u32,
    pub idle: u32,
    pub most: u32,
}

/// Measures how long somebody waits for a connection, whether they get one or not.
struct Waited(Instant);

impl Drop for Waited {
    fn drop(&mut self) {
        metrics::histogram!("cloudxdevai_db_wait_seconds").record(self.0.elapsed());
    }
}

/// The database: two native pools rather than sqlx's `Any`, which lacks uuid and bool.
#[derive(Clone)]
pub enum Db {
    /// One writer, since SQLite has only one anyway and waiting for a pool is fairer than `SQLITE_BUSY`; several readers.
    Sqlite {
        read: SqlitePool,
        write: SqlitePool,
    },
    Postgres(PgPool),
}

/// A connection of either kind, in or outside a transaction.
pub enum Conn {
    Sqlite(SqliteHandle),
    Postgres(PgHandle),
}

pub enum SqliteHandle {
    Pooled(PoolConnection<Sqlite>),
    Tx(Transaction<'static, Sqlite>),
}

pub enum PgHandle {
    Pooled(PoolConnection<Postgres>),
    Tx(Transaction<'static, Postgres>),
}

impl SqliteHandle {
    pub fn get(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Pooled(conn) => conn,
            Self::Tx(tx) => tx,
        }
    }
}

impl PgHandle {
    pub fn get(&mut self) -> &mut PgConnection {
        match self {
            Self::Pooled(conn) => conn,
            Self::Tx(tx) => tx,
        }
    }
}

/// Measures one piece of work on a connection, from its first statement to the last row read.
pub(crate) struct Timed(Instant);

impl Timed {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        metrics::histogram!("cloudxdevai_db_query_seconds").record(self.0.elapsed());
    }
}

/// Expands a body once per kind of connection, so that each query is written once.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::Conn::Sqlite(handle) => {
                let _timed = $crate::db::Timed::start();
                let $c = handle.get();
                $body
            }
            $crate::Conn::Postgres(handle) => {
                let _timed = $crate::db::Timed::start();
                let $c = handle.get();
                $body
            }
        }
    };
}
pub(crate) use on;

/// A transaction that writes. Dropping it undoes everything; events appended to it are published by whoever commits it.
pub struct Tx {
    conn: Conn,
    pub(crate) events: Vec<Event>,
    pub(crate) wakes_workers: bool,
    /// Written by the commit.
    pub(crate) audit: Vec<crate::audit::NewEntry>,
}

impl Deref for Tx {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

/// What became true with a commit.
#[must_use = "events are only seen by others once they are published"]
pub struct Committed {
    pub events: Vec<Event>,
    /// A job was queued.
    pub wakes_workers: bool,
}

impl Tx {
    /// Says that this transaction gives workers something to do.
    pub fn wake_workers(&mut self) {
        self.wakes_workers = true;
    }

    pub async fn commit(mut self) -> Result<Committed> {
        let entries = std::mem::take(&mut self.audit);
        if !entries.is_empty() {
            crate::audit::chain(&mut self.conn, entries).await?;
        }
        match self.conn {
            Conn::Sqlite(SqliteHandle::Tx(tx)) => tx.commit().await?,
            Conn::Postgres(PgHandle::Tx(tx)) => tx.commit().await?,
            Conn::Sqlite(SqliteHandle::Pooled(_)) | Conn::Postgres(PgHandle::Pooled(_)) => {}
        }
        Ok(Committed { events: self.events, wakes_workers: self.wakes_workers })
    }
}

impl Db {
    /// Opens `sqlite:` (a file, made if missing) or `postgresql:` addresses and brings the schema up to date.
    pub async fn connect(url: &str, pool_size: u32) -> Result<Self> {
        let db = Self::open(url, pool_size, SLOW_STATEMENT).await?;
        db.migrate().await?;
        Ok(db)
    }

    /// As [`Db::connect`], but leaves the schema alone. Statements that take longer than `slow` are logged, without their values.
    pub async fn open(url: &str, pool_size: u32, slow: Duration) -> Result<Self> {
        if url.starts_with("postgres") { Self::postgres(url, pool_size, slow).await } else { Self::sqlite(url, pool_size, slow).await }
    }

    async fn postgres(url: &str, pool_size: u32, slow: Duration) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)?.log_slow_statements(log::LevelFilter::Warn, slow);
        let pool = PgPoolOptions::new().max_connections(pool_size.max(2)).acquire_timeout(Duration::from_secs(10));
        let pool = pool.connect_with(options).await?;
        Ok(Self::Postgres(pool))
    }

    async fn sqlite(url: &str, pool_size: u32, slow: Duration) -> Result<Self> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true)
            .log_slow_statements(log::LevelFilter::Warn, slow);
        if let Some(parent) = options.get_filename().parent().filter(|p| *p != Path::new("")) {
            std::fs::create_dir_all(parent).map_err(sqlx::Error::Io)?;
        }
        // A file's connection can't have been cut meanwhile, and asking it costs two changes of thread.
        let pool = || SqlitePoolOptions::new().test_before_acquire(false);
        let write = pool().max_connections(1).acquire_timeout(Duration::from_secs(30)).connect_with(options.clone()).await?;
        let read =
            pool().max_connections(pool_size.max(2)).acquire_timeout(Duration::from_secs(10)).connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { read, write })
    }

    /// Brings the schema to this version's.
    pub async fn migrate(&self) -> Result<()> {
        match self {
            Self::Sqlite { write, .. } => SQLITE_MIGRATIONS.run(write).await?,
            Self::Postgres(pool) => POSTGRES_MIGRATIONS.run(pool).await?,
        }
        Ok(())
    }

    /// How far a schema is that nothing was ever done to. `None` where the address is of a database that is there, or may be.
    pub fn missing(url: &str) -> Result<Option<Migrations>> {
        if url.starts_with("postgres") {
            return Ok(None);
        }
        let options = SqliteConnectOptions::from_str(url)?;
        let file = options.get_filename();
        if file.exists() || file == Path::new(":memory:") || url.contains("mode=memory") {
            return Ok(None);
        }
        let pending = SQLITE_MIGRATIONS.iter().map(|one| (one.version, one.description.to_string())).collect();
        Ok(Some(Migrations { applied: Vec::new(), pending, unknown: Vec::new() }))
    }

    /// How far the schema is. Changes nothing.
    pub async fn migrations(&self) -> Result<Migrations> {
        let known = match self {
            Self::Sqlite { .. } => &SQLITE_MIGRATIONS,
            Self::Postgres(_) => &POSTGRES_MIGRATIONS,
        };
        let known: Vec<(i64, String)> = known.iter().map(|one| (one.version, one.description.to_string())).collect();
        let mut conn = self.read().await?;
        let rows: Result<Vec<(i64, String)>, sqlx::Error> = on!(&mut conn, c => {
            sqlx::query_as("SELECT version, description FROM _sqlx_migrations WHERE success = $1 ORDER BY version").bind(true).fetch_all(c).await
        });
        let applied = match rows {
            Ok(rows) => rows,
            // A database that nothing was ever written to has no such table.
            Err(sqlx::Error::Database(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let is_applied = |version| applied.iter().any(|(done, _)| *done == version);
        Ok(Migrations {
            pending: known.iter().filter(|(version, _)| !is_applied(*version)).cloned().collect(),
            unknown: applied.iter().filter(|(version, _)| !known.iter().any(|(own, _)| own == version)).cloned().collect(),
            applied,
        })
    }

    /// Connections of each pool.
    pub fn pools(&self) -> Vec<PoolUse> {
        let of = |name, open: u32, idle: usize, most: u32| {
            let idle = u32::try_from(idle).unwrap_or(open).min(open);
            PoolUse { name, used: open - idle, idle, most }
        };
        match self {
            Self::Sqlite { read, write } => vec![
                of("read", read.size(), read.num_idle(), read.options().get_max_connections()),
                of("write", write.size(), write.num_idle(), write.options().get_max_connections()),
            ],
            Self::Postgres(pool) => vec![of("all", pool.size(), pool.num_idle(), pool.options().get_max_connections())],
        }
    }

    /// A connection for reading.
    pub async fn read(&self) -> Result<Conn> {
        let _waited = Waited(Instant::now());
        Ok(match self {
            Self::Sqlite { read, .. } => Conn::Sqlite(SqliteHandle::Pooled(read.acquire().await?)),
            Self::Postgres(pool) => Conn::Postgres(PgHandle::Pooled(pool.acquire().await?)),
        })
    }

    /// A transaction for writing. On SQLite it takes the write lock at once: a deferred upgrade would fail instead of waiting.
    pub async fn begin(&self) -> Result<Tx> {
        let _waited = Waited(Instant::now());
        let conn = match self {
            Self::Sqlite { write, .. } => Conn::Sqlite(SqliteHandle::Tx(write.begin_with("BEGIN IMMEDIATE").await?)),
            Self::Postgres(pool) => Conn::Postgres(PgHandle::Tx(pool.begin().await?)),
        };
        Ok(Tx { conn, events: Vec::new(), wakes_workers: false, audit: Vec::new() })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        let mut conn = self.read().await?;
        on!(&mut conn, c => { sqlx::query("SELECT 1").execute(c).await?; });
        Ok(())
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// All processes that use this database run on this machine.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
