//! The files of a project. Every write names what it was based on; a mismatch shows what is there now and changes nothing.

mod read;
mod sync;
mod write;

pub(crate) use read::text_of;
pub use read::{entry, history, open_text, read, read_range, tree, tree_below};
pub use sync::{Committed, Manifest, ManifestDelta, ManifestEntry, WorkChange, changes_since, commit_changes, manifest, manifest_at};
pub(crate) use write::{Content, WriteBatch, insert_all};
pub use write::{Precondition, Put, create_directory, delete, move_path, put, restore, save_text};

use wire::{FieldError, files::check_path};

use crate::{Error, Result};

fn require_path(path: &str) -> Result<()> {
    check_path(path).map_err(|reason| Error::Invalid(vec![FieldError::new("path", reason)]))
}

/// The type that a browser is told; by name alone, since contents are never shown on our origin anyway.
pub(crate) fn content_type_of(path: &str) -> &'static str {
    mime_guess::from_path(path).first_raw().unwrap_or("application/octet-stream")
}
