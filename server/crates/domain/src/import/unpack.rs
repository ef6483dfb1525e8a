//! Turns an uploaded archive into blobs. The archive is hostile until its last byte was read: no declared size is believed, nothing is
//! extracted to a directory, and memory use does not depend on what it claims. Either all of it is accepted or nothing is.

mod keep;
mod read_tar;
mod read_zip;
#[cfg(test)]
mod tests;

use std::{
    error::Error,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use blobs::{BlobError, Blobs, Reader};
use tokio::{io::AsyncReadExt, sync::watch, task::spawn_blocking};
use tokio_util::{io::SyncIoBridge, sync::CancellationToken};
use wire::{
    files::EntryKind,
    limits,
    quotas::{HISTORY_TIMES, QuotaOverride, StorageSettings},
};

use keep::Keeper;
pub(super) use keep::{SMALLER, megabytes};

use crate::export::format::{LINES_MAX, OLD_CONTENT_MAX, PARTS_MAX, UNVERSIONED_MAX, is_checksum, names_max};

const ACCEPTED: &str = "upload a .zip, .tar.gz or .tgz file";
const CHUNK: usize = 64 * 1024;
/// What was exported here comes back, however much it repeats itself, up to so many bytes. More of such a kind is not a project but an attempt
/// to fill the disk.
const DENSE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// A part of a past with the longest line at its end; see `export::format`.
const PART_MAX: u64 = 24 * 1024 * 1024;

/// One file of an archive; its bytes are stored as the blob `checksum`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    pub path: String,
    /// A file, or a symbolic link, whose bytes are its target as it stands in the archive.
    pub kind: EntryKind,
    /// SHA-256 in lower-case hex.
    pub checksum: String,
    pub size: u64,
    /// 0o644 or 0o755.
    pub mode: i32,
}

/// What an archive holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Sorted by path.
    pub files: Vec<Unpacked>,
    /// The directory that all entries shared and that is left out of the paths.
    pub stripped: Option<String>,
    /// Checksums and sizes of what only a project's past needs, sorted. There may be many of these, so they are without names.
    pub old: Vec<([u8; 32], u64)>,
}

impl Contents {
    /// The size of content of the past.
    pub(super) fn old_size(&self, checksum: &str) -> Option<u64> {
        let wanted = digest_of(checksum)?;
        self.old.binary_search_by(|(known, _)| known.cmp(&wanted)).ok().map(|at| self.old[at].1)
    }
}

/// The bytes of a checksum; `None` for what is none.
fn digest_of(checksum: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    (is_checksum(checksum) && hex::decode_to_slice(checksum, &mut digest).is_ok()).then_some(digest)
}

/// What an archive may hold at most. Sizes are bytes after unpacking.
#[derive(Debug, Clone, Copy)]
pub struct UnpackLimits {
    pub files: u64,
    pub bytes: u64,
    /// What comes to `bytes` where the archive holds a project with its past.
    pub past_bytes: u64,
    pub file_bytes: u64,
    /// Parts of one path.
    pub depth: usize,
    /// Unpacked bytes per packed byte, beyond the first 10 MB.
    pub ratio: u64,
    /// So many bytes may be packed as densely as deflate can.
    pub dense_bytes: u64,
    /// Leave a directory that all entries share out of the paths.
    pub strip: bool,
    /// The first entry may say that it is a project with its past; otherwise all entries are files, whatever they are called.
    pub past: bool,
}

impl UnpackLimits {
    /// What may come here at most: what the project, or its owner, may hold by the limits of everybody and their own. Whether there is room
    /// left for it is asked when it is known what it is.
    pub(super) fn of(everybody: &StorageSettings, owner: QuotaOverride, own: QuotaOverride, file_bytes: u64) -> Self {
        let whole = |number: i64| number.max(0) as u64;
        let person = whole(owner.bytes.unwrap_or(everybody.user_bytes));
        let person_files = whole(owner.files.unwrap_or(everybody.user_files));
        let past = whole(everybody.project_history_bytes).min(person).saturating_mul(HISTORY_TIMES as u64);
        Self {
            files: whole(own.files.unwrap_or(everybody.project_files)).min(person_files),
            bytes: whole(own.bytes.unwrap_or(everybody.project_bytes)).min(person),
            past_bytes: past.saturating_add(LINES_MAX + UNVERSIONED_MAX),
            file_bytes,
            ..Self::default()
        }
    }

    /// For an archive whose first entry says that it holds a project with its past: the lines of its parts are files too, and the content
    /// of old versions comes on top, as far as it goes by [`OLD_CONTENT_MAX`].
    pub(super) fn for_history(self) -> Self {
        Self {
            files: self.files.saturating_add(PARTS_MAX),
            bytes: self.bytes.saturating_add(self.past_bytes),
            file_bytes: self.file_bytes.max(PART_MAX),
            depth: self.depth + 4,
            dense_bytes: DENSE_BYTES,
            ..self
        }
    }

    /// Bytes of all names together.
    pub(super) fn name_bytes(&self) -> u64 {
        names_max(self.files)
    }

    /// The largest archive that can hold so much: nothing in it packed, and what zip adds to each entry.
    pub(super) fn packed(&self) -> u64 {
        let whole = self.for_history();
        let entries = whole.files.saturating_mul(2).saturating_add(OLD_CONTENT_MAX);
        let around = entries.saturating_mul(512).saturating_add(whole.name_bytes().saturating_mul(2));
        whole.bytes.saturating_add(around)
    }
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            files: limits::PROJECT_FILES_MAX as u64,
            bytes: limits::PROJECT_BYTES_MAX as u64,
            past_bytes: HISTORY_TIMES as u64 * 5 * limits::PROJECT_BYTES_MAX as u64,
            file_bytes: limits::FILE_MAX,
            depth: limits::PATH_DEPTH_MAX,
            ratio: limits::ARCHIVE_RATIO_MAX,
            dense_bytes: 0,
            strip: true,
            past: true,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// What was found, that nothing was kept, and what to do, for the person who uploaded it.
    #[error("{0}")]
    Refused(String),
    #[error("cancelled")]
    Cancelled,
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Internal(Box<dyn Error + Send + Sync>),
}

impl UnpackError {
    fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }
}

fn refuse(found: impl std::fmt::Display, advice: &str) -> UnpackError {
    UnpackError::Refused(format!("{found} Nothing was kept; {advice}."))
}

fn damaged() -> UnpackError {
    refuse("The archive is damaged or was not uploaded completely.", "make it again and upload it once more")
}

/// Stores every file of the archive in blob `archive_sha256` (`archive_size` bytes) and lists them, sorted by path. A directory that all
/// entries share is left out of the paths; `.git` is skipped; symbolic links are kept as what they are and followed by nobody.
///
/// `filename` only appears in refusals: zip and tar.gz are told apart by their first bytes. `progress` gets packed bytes done and in
/// total. Blobs that were stored before a refusal or a cancellation stay behind unnamed.
pub async fn unpack(
    blobs: Arc<dyn Blobs>,
    archive_sha256: &str,
    archive_size: u64,
    filename: &str,
    limits: UnpackLimits,
    progress: watch::Sender<(u64, u64)>,
    cancelled: CancellationToken,
) -> Result<Contents, UnpackError> {
    // The decoding thread outlives this future if that is dropped; the guard then stops it.
    let stop = cancelled.child_token();
    let _stopped_when_dropped = stop.clone().drop_guard();
    let format = detect(&*blobs, archive_sha256, filename).await?;
    progress.send_replace((0, archive_size));
    let keeper = Keeper::new(blobs.clone(), limits, archive_size, progress, stop.clone());
    let archive = blobs.open(archive_sha256).await?;
    let decoding = match format {
        Format::Zip => {
            let file = copy_to_disk(archive, archive_sha256, blobs.scratch(), &stop).await?;
            spawn_blocking(move || read_zip::read(file, keeper))
        }
        Format::TarGz => {
            let name = archive_sha256.to_owned();
            let source = SyncIoBridge::new(archive);
            spawn_blocking(move || read_tar::read(source, name, keeper))
        }
    };
    decoding.await.map_err(UnpackError::internal)?
}

enum Format {
    Zip,
    TarGz,
}

/// Formats that people try, by their first bytes, to name them in the refusal.
const KNOWN: [(&[u8], &str); 6] = [
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard"),
    (b"<!", "a web page"),
];

async fn detect(blobs: &dyn Blobs, sha256: &str, filename: &str) -> Result<Format, UnpackError> {
    let mut head = Vec::new();
    blobs.open_range(sha256, 0..512).await?.read_to_end(&mut head).await.map_err(BlobError::Io)?;
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Format::Zip);
    }
    if head.starts_with(b"\x1f\x8b") {
        return Ok(Format::TarGz);
    }
    let name = quoted(filename);
    let found = match KNOWN.iter().find(|(magic, _)| head.starts_with(magic)) {
        _ if head.is_empty() => format!("The file {name} is empty."),
        Some((_, what)) => format!("The file {name} is {what}, which can't be imported."),
        None if head.get(257..262) == Some(b"ustar") => {
            format!("The file {name} is a tar archive without compression, which can't be imported.")
        }
        None => format!("The file {name} is not an archive that can be imported."),
    };
    Err(refuse(found, ACCEPTED))
}

/// Zip keeps its directory at the end, so reading one means seeking. The file has no name and goes away with its handle. It lies where
/// storage has its own: what a system has for temporary files may be memory.
async fn copy_to_disk(mut archive: Reader, sha256: &str, scratch: Option<PathBuf>, stop: &CancellationToken) -> Result<File, UnpackError> {
    let create = move || scratch.map_or_else(tempfile::tempfile, tempfile::tempfile_in);
    let mut file = spawn_blocking(create).await.map_err(UnpackError::internal)?.map_err(UnpackError::internal)?;
    let mut buffer = vec![0; CHUNK * 4];
    loop {
        let read = tokio::select! {
            read = archive.read(&mut buffer) => read.map_err(|error| unreadable(sha256, error))?,
            () = stop.cancelled() => return Err(UnpackError::Cancelled),
        };
        if read == 0 {
            return Ok(file);
        }
        (file, buffer) = spawn_blocking(move || file.write_all(&buffer[..read]).map(|()| (file, buffer)))
            .await
            .map_err(UnpackError::internal)?
            .map_err(UnpackError::internal)?;
    }
}

fn unreadable(sha256: &str, error: io::Error) -> UnpackError {
    let damaged = error.kind() == io::ErrorKind::InvalidData;
    UnpackError::Blob(if damaged { BlobError::Corrupt(sha256.to_owned()) } else { BlobError::Io(error) })
}

/// A name from outside, short and without anything that could change how the sentence around it looks.
fn quoted(name: &str) -> String {
    let mut short: String = name.chars().take(120).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    format!("{short:?}")
}
