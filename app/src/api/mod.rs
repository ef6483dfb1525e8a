//! Server functions: the browser's door to the domain. Each one finds the caller's context, makes one domain call and maps the
//! answer; rules, permissions and SQL live behind that call.

pub mod admin;
pub mod auth;
pub mod budgets;
pub mod changes;
pub mod chat;
pub mod checkpoints;
pub mod context;
#[cfg(feature = "ssr")]
pub mod ctx;
mod error;
pub mod exports;
pub mod files;
pub mod imports;
pub mod jobs;
pub mod mcp;
pub mod members;
pub mod models;
pub mod network;
pub mod permissions;
pub mod previews;
pub mod projects;
pub mod proposals;
pub mod quotas;
pub mod runs;
pub mod search;
pub mod settings;
pub mod storage;
pub mod terminals;
pub mod test_reports;
pub mod usage;

pub use error::ApiError;
