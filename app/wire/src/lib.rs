//! Every type that crosses the network, shared by the server, the browser and the tests.
//!
//! Pure serde: no IO, no async, nothing that would drag the server into the browser. One file per resource, under the
//! same name that the resource has in every other layer.

pub mod address;
pub mod admin;
pub mod auth;
pub mod budgets;
pub mod changes;
pub mod chat;
pub mod checkpoints;
pub mod context;
pub mod error;
pub mod event;
pub mod exports;
pub mod files;
pub mod generate;
pub mod id;
pub mod imports;
pub mod jobs;
pub mod limits;
pub mod mcp;
pub mod members;
pub mod models;
pub mod network;
pub mod packed_tree;
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
pub mod time;
pub mod users;

pub use error::{ErrorCode, FieldError, Problem};
pub use id::*;
pub use time::Micros;

use serde::{Deserialize, Serialize};

/// One page of a list. `next_cursor` is opaque; `None` means that this was the last page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    pub fn last(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}
