//! The files of a project. Every write names what it was based on; a mismatch shows what is there now and changes nothing.

mod bulk;
mod editorconfig;
mod encoding;
mod listing;
mod names;
mod put;
mod read;
mod steps;
mod sync;
mod uploads;
mod write;

pub use bulk::{BATCH_MAX, BatchFile, Received, receive, require_writer, save_batch};
pub(crate) use encoding::encode;
pub use listing::{Listings, packed_tree};
pub(crate) use listing::{packed_at, top_at};
pub use names::NameBook;
pub use put::{Precondition, Put, create_directory, put, save_text};
pub(crate) use read::text_of;
pub use read::{Located, entry, history, history_page, locate, open_text, trash, trash_page, tree, tree_below};
pub use steps::{change, copy_path, delete, move_path, restore};
pub use sync::{
    Committed, Maker, Manifest, ManifestDelta, ManifestEntry, WorkChange, changes_since, commit_changes, manifest, manifest_at,
};
pub use uploads::{Appended, append_upload, discard_upload, get_upload, start_upload};
pub(crate) use write::{Content, WriteBatch, insert_all};

use wire::{
    FieldError,
    files::{EntryKind, check_path},
};

use crate::{Error, Result};

fn require_path(path: &str) -> Result<()> {
    check_path(path).map_err(|reason| Error::Invalid(vec![FieldError::new("path", reason)]))
}

/// The type that a browser is told; by name alone, since contents are never shown on our origin anyway.
pub(crate) fn content_type_of(path: &str, kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Directory => return "inode/directory",
        EntryKind::Symlink => return "inode/symlink",
        EntryKind::File => {}
    }
    mime_guess::from_path(path).first_raw().unwrap_or("application/octet-stream")
}
