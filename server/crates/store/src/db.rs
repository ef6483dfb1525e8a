use std::{
    ops::{Deref, DerefMut},
    path::Path,
    str::FromStr,
    time::Duration,
};

use sqlx::{
    PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction,
    pool::PoolConnection,
    postgres::{PgConnection, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use wire::event::Event;

use crate::Result;

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

/// Expands a body once per kind of connection, so that each query is written once.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::Conn::Sqlite(handle) => {
                let $c = handle.get();
                $body
            }
            $crate::Conn::Postgres(handle) => {
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

    pub async fn commit(self) -> Result<Committed> {
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
        let db = if url.starts_with("postgres") { Self::postgres(url, pool_size).await? } else { Self::sqlite(url, pool_size).await? };
        db.migrate().await?;
        Ok(db)
    }

    async fn postgres(url: &str, pool_size: u32) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(pool_size.max(2)).acquire_timeout(Duration::from_secs(10)).connect(url).await?;
        Ok(Self::Postgres(pool))
    }

    async fn sqlite(url: &str, pool_size: u32) -> Result<Self> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true);
        if let Some(parent) = options.get_filename().parent().filter(|p| *p != Path::new("")) {
            std::fs::create_dir_all(parent).map_err(sqlx::Error::Io)?;
        }
        let write =
            SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(30)).connect_with(options.clone()).await?;
        let read = SqlitePoolOptions::new()
            .max_connections(pool_size.max(2))
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self::Sqlite { read, write })
    }

    async fn migrate(&self) -> Result<()> {
        match self {
            Self::Sqlite { write, .. } => sqlx::migrate!("../../../migrations/sqlite").run(write).await?,
            Self::Postgres(pool) => sqlx::migrate!("../../../migrations/postgres").run(pool).await?,
        }
        Ok(())
    }

    /// A connection for reading.
    pub async fn read(&self) -> Result<Conn> {
        Ok(match self {
            Self::Sqlite { read, .. } => Conn::Sqlite(SqliteHandle::Pooled(read.acquire().await?)),
            Self::Postgres(pool) => Conn::Postgres(PgHandle::Pooled(pool.acquire().await?)),
        })
    }

    /// A transaction for writing. On SQLite it takes the write lock at once: a deferred upgrade would fail instead of waiting.
    pub async fn begin(&self) -> Result<Tx> {
        let conn = match self {
            Self::Sqlite { write, .. } => Conn::Sqlite(SqliteHandle::Tx(write.begin_with("BEGIN IMMEDIATE").await?)),
            Self::Postgres(pool) => Conn::Postgres(PgHandle::Tx(pool.begin().await?)),
        };
        Ok(Tx { conn, events: Vec::new(), wakes_workers: false })
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
