//! Server functions: the browser's door to the domain. Each one finds the caller's context, makes one domain call and maps the
//! answer; rules, permissions and SQL live behind that call.

pub mod admin;
pub mod audit;
pub mod auth;
pub mod budgets;
pub mod changes;
pub mod chat;
pub mod checkpoints;
pub mod context;
#[cfg(feature = "ssr")]
pub mod ctx;
pub mod dashboard;
mod error;
pub mod exports;
pub mod files;
pub mod identities;
pub mod imports;
pub mod jobs;
pub mod links;
pub mod mcp;
pub mod members;
pub mod models;
pub mod network;
pub mod passkeys;
pub mod permissions;
pub mod preferences;
pub mod previews;
pub mod projects;
pub mod proposals;
pub mod quotas;
pub mod runs;
pub mod search;
pub mod second_factor;
pub mod sessions;
pub mod settings;
pub mod storage;
pub mod terminals;
pub mod test_reports;
pub mod tokens;
pub mod usage;

pub use error::ApiError;
