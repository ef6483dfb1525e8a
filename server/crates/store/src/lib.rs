//! Everything that is remembered, on SQLite and PostgreSQL alike.
//!
//! One SQL text serves both databases: queries use `$1` placeholders and native types, and the [`on!`] macro expands a body once per
//! connection type. What truly differs stands side by side in one file. One file per resource; to add a query: write it in the
//! resource's file, add a case to `tests/contract.rs`, which runs on both databases.
//!
//! Functions take a [`Conn`], so that the domain composes them into one transaction. "Not found" is `Ok(None)` here.

pub mod admin;
pub mod archive;
pub mod audit;
pub mod blobs;
pub mod budgets;
mod bus;
mod bus_link;
mod bus_mail;
mod bus_poll;
mod bus_post;
mod bus_redis;
mod bus_signals;
pub mod changes;
pub mod chat;
pub mod checkpoints;
pub mod codegen;
pub mod context;
pub mod dashboard;
mod db;
pub mod events;
pub mod exports;
pub mod files;
pub mod files_bulk;
pub mod forgotten;
pub mod idempotency;
pub mod identities;
pub mod imports;
pub mod jobs;
pub mod ledger;
pub mod links;
pub mod mcp;
pub mod members;
pub mod models;
pub mod network;
pub mod passkeys;
pub mod permissions;
pub mod preferences;
pub mod presence;
pub mod projects;
pub mod prompts;
pub mod purge;
pub mod quotas;
mod rates;
pub mod removed;
pub mod rewinds;
pub mod runs;
pub mod search;
pub mod second_factor;
pub mod sessions;
pub mod settings;
pub mod terminals;
pub mod test_reports;
pub mod tokens;
pub mod uploads;
pub mod usage;
pub mod users;
mod word;

pub use bus::{InProcessBus, LiveBus, Signal, Subscription};
pub use bus_link::LinkStatus;
pub use bus_mail::{RedisMail, To};
pub use bus_poll::watch_log;
pub use bus_redis::RedisBus;
pub use bus_signals::{JobSignal, RedisSignals, SignalsLink};
pub use db::{Committed, Conn, Db, Migrations, PgHandle, PoolUse, SqliteHandle, Tx};
pub use rates::{RateVerdict, RedisRates};
pub use redis::RedisError;
pub use sqlx::Error as SqlxError;
pub use word::{Doc, Word};

/// What the database could not do. A unique key that is taken is told apart, since callers act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a unique key is taken: {0}")]
    Taken(String),
    #[error("database: {0}")]
    Database(#[source] sqlx::Error),
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(found) if found.is_unique_violation() => Self::Taken(found.message().to_owned()),
            _ => Self::Database(error),
        }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
