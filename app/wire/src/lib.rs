//! Every type that crosses the network, shared by the server, the browser and the tests.
//!
//! Pure serde: no IO, no async, nothing that would drag the server into the browser. One file per resource, under the
//! same name that the resource has in every other layer.

pub mod address;
pub mod admin;
pub mod audit;
pub mod auth;
pub mod budgets;
pub mod changes;
pub mod chat;
pub mod checkpoints;
pub mod context;
pub mod dashboard;
pub mod error;
pub mod event;
pub mod exports;
pub mod files;
pub mod generate;
pub mod id;
pub mod identities;
pub mod imports;
pub mod jobs;
pub mod keys;
pub mod languages;
pub mod limits;
pub mod links;
pub mod mcp;
pub mod members;
pub mod models;
pub mod network;
pub mod packed_tree;
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
pub mod time;
pub mod tokens;
pub mod users;

pub use error::{ErrorCode, FieldError, Problem};
pub use id::*;
pub use time::Micros;

use serde::{Deserialize, Serialize};

/// One page of a list. `next_cursor` is opaque; `None` means that this was the last page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "PageOf{T}"))]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

/// What is asked for of a list that comes in pages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PageQuery {
    /// Items of the page.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = 200)))]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before; without one the list begins.
    pub cursor: Option<String>,
}

impl<T> Page<T> {
    pub fn last(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}
