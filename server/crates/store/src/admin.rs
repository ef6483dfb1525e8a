//! Lists for administrators: any order, any filter, turned a page at a time in both directions.

pub mod access;
pub mod jobs;
pub mod overview;
pub mod projects;
pub mod users;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;

/// Where a row stands in its list. A list is sorted by one of the first two; the other is the same in all rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct Position {
    #[sqlx(rename = "sort_number")]
    pub number: i64,
    #[sqlx(rename = "sort_text")]
    pub text: String,
    #[sqlx(rename = "sort_id")]
    pub id: Uuid,
}

/// A part of a list.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// A word of the list's own.
    pub sort: &'a str,
    pub ascending: bool,
    /// Rows after this one in that direction.
    pub after: Option<&'a Position>,
    pub limit: i64,
}

/// What is looked for as a pattern for LIKE with `\` as its escape; lower-case, as the columns are compared.
pub fn pattern(text: &str) -> String {
    let literal = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{literal}%")
}
