//! What the product does and who may do it. One file per resource; every public use-case takes the caller's [`Ctx`] first,
//! decides whether the caller may, and leaves nothing half done. HTTP, the worker and the agent are doors to this room.

pub mod admin;
pub mod auth;
pub mod budgets;
pub mod changes;
pub mod chat;
pub mod checkpoints;
pub mod context;
mod ctx;
mod error;
pub mod export;
pub mod files;
pub mod generate;
pub mod health;
mod import;
pub mod jobs;
pub mod live;
pub mod mcp;
pub mod members;
pub mod models;
pub mod network;
mod password;
pub mod permissions;
pub mod presence;
pub mod previews;
pub mod projects;
pub mod proposals;
pub mod quotas;
pub mod runs;
pub mod search;
mod services;
pub mod settings;
pub mod storage;
pub mod terminals;
pub mod test_reports;
pub mod usage;
pub mod users;
pub mod vault;

pub use ctx::{Client, Ctx};
pub use error::{Error, Result};
pub use jobs::JobSignals;
pub use services::{Clock, HealthProbe, Ids, Registration, Secret, Services, Settings, SystemClock, SystemIds};
