use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    io::{self, Read},
    ops::Bound,
    sync::Arc,
};

use blobs::{BlobError, Blobs, Reader, Stored};
use bytes::Bytes;
use futures::stream;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::{io::StreamReader, sync::CancellationToken};
use wire::files::{EntryKind, check_path, is_git};

use super::{CHUNK, Contents, UnpackError, UnpackLimits, Unpacked, damaged, digest_of, quoted, refuse};
use crate::{
    export::format::{HEADER, HISTORY, LINES_MAX, OLD_CONTENT_MAX, is_old_content},
    files::NameBook,
};

/// Blobs written at the same time: storage waits for the disk with each one.
const PARALLEL: usize = 8;
/// Chunks on their way to one blob.
const QUEUE: usize = 4;
/// Unpacked bytes that are fine whatever the archive's size is.
const FREE_BYTES: u64 = 10_000_000;
/// The most bytes that deflate makes of one, rounded up.
const DEFLATE_RATIO_MAX: u64 = 1100;
/// The longest target that a link can have on the systems that projects run on.
const LINK_MAX: u64 = 4095;
pub(in crate::import) const SMALLER: &str =
    "leave out what can be fetched or built again, such as installed packages, and import it once more";
const REPACK: &str = "make the archive again without it and import it once more";

/// What an archive says an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Link,
    /// Holds the noun with its article.
    Unwanted(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    Keep(String),
    /// As [`Self::Keep`], for a symbolic link.
    Link(String),
    /// Carries nothing that the project gets; its content must still be read past.
    Skip,
}

struct Pending {
    path: String,
    kind: EntryKind,
    mode: i32,
    size: u64,
    stored: JoinHandle<Result<Stored, BlobError>>,
}

/// Names that stand first in the paths of all entries.
enum Top {
    Unseen,
    One(String),
    Several,
}

/// Judges entries one by one, on the decoding thread, and stores the files among them.
pub struct Keeper {
    blobs: Arc<dyn Blobs>,
    handle: Handle,
    limits: UnpackLimits,
    packed: u64,
    progress: watch::Sender<(u64, u64)>,
    stop: CancellationToken,
    entries: u64,
    unpacked: u64,
    passed: u64,
    name_bytes: u64,
    /// The archive holds a project with its past: how many contents of old versions it had so far, and bytes of lines.
    past: Option<(u64, u64)>,
    files: BTreeSet<String>,
    directories: HashSet<String>,
    names: NameBook,
    top: Top,
    pending: VecDeque<Pending>,
    kept: Vec<Unpacked>,
    old: Vec<([u8; 32], u64)>,
}

impl Keeper {
    /// `packed` is the size of the archive. Must be called on the runtime.
    pub fn new(
        blobs: Arc<dyn Blobs>,
        limits: UnpackLimits,
        packed: u64,
        progress: watch::Sender<(u64, u64)>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            blobs,
            handle: Handle::current(),
            limits,
            packed,
            progress,
            stop,
            entries: 0,
            unpacked: 0,
            passed: 0,
            name_bytes: 0,
            past: None,
            files: BTreeSet::new(),
            directories: HashSet::new(),
            names: NameBook::default(),
            top: Top::Unseen,
            pending: VecDeque::new(),
            kept: Vec::new(),
            old: Vec::new(),
        }
    }

    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Unpacked bytes above which the archive counts as a bomb.
    pub fn ratio_limit(&self) -> u64 {
        let dense = DEFLATE_RATIO_MAX.saturating_mul(self.packed).min(self.limits.dense_bytes);
        FREE_BYTES.saturating_add(self.limits.ratio.saturating_mul(self.packed)).max(dense)
    }

    pub fn ratio_refusal(&self) -> UnpackError {
        refuse(format!("The archive unpacks to more than {} times its own size.", self.limits.ratio), SMALLER)
    }

    pub fn report(&self, packed_done: u64) {
        self.progress.send_replace((packed_done.min(self.packed), self.packed));
    }

    /// What a failed read of the archive means when nothing more is known about it.
    pub fn explain(&self, error: io::Error) -> UnpackError {
        if self.stop.is_cancelled() {
            UnpackError::Cancelled
        } else if error.raw_os_error().is_some() {
            UnpackError::internal(error)
        } else {
            damaged()
        }
    }

    /// Decides about an entry before any of its content is read.
    pub fn place(&mut self, raw_name: &[u8], kind: Kind) -> Result<Place, UnpackError> {
        if self.stop.is_cancelled() {
            return Err(UnpackError::Cancelled);
        }
        if kind == Kind::File
            && let Some((count, _)) = &mut self.past
            && let Some(name) = std::str::from_utf8(raw_name).ok().filter(|name| is_old_content(name))
        {
            // It is known by its bytes, so no name of these is remembered.
            *count += 1;
            if *count > OLD_CONTENT_MAX {
                return Err(refuse(format!("The archive holds more than {OLD_CONTENT_MAX} contents of old versions."), SMALLER));
            }
            return Ok(Place::Keep(name.to_owned()));
        }
        self.entries += 1;
        // Directories and skipped entries are work too, if less.
        if self.entries > self.limits.files.saturating_mul(4) {
            return Err(self.too_many());
        }
        let Ok(name) = std::str::from_utf8(raw_name) else {
            let name = quoted(&String::from_utf8_lossy(raw_name));
            return Err(refuse(
                format!("The name {name} in the archive is not UTF-8."),
                "rename it, make the archive again and import it once more",
            ));
        };
        let path = name.strip_prefix("./").unwrap_or(name);
        let (path, kind) = match path.strip_suffix('/') {
            Some(directory) if kind == Kind::File || kind == Kind::Directory => (directory, Kind::Directory),
            _ => (path, kind),
        };
        if kind == Kind::Directory && matches!(path, "" | ".") && !name.starts_with('/') {
            return Ok(Place::Skip);
        }
        if self.limits.past && self.entries == 1 && path == HEADER && kind == Kind::File {
            self.limits = self.limits.for_history();
            self.past = Some((0, 0));
        }
        let in_git = self.check(name, path)?;
        self.note_top(path, kind);
        match kind {
            _ if in_git => Ok(Place::Skip),
            Kind::Unwanted(what) => Err(refuse(format!("The archive holds {what}, {}, which a project can't have.", quoted(name)), REPACK)),
            Kind::Directory => self.place_directory(path),
            Kind::File => self.place_file(path).map(Place::Keep),
            Kind::Link => self.place_file(path).map(Place::Link),
        }
    }

    /// Whether the path lies in `.git`; such a path is held to the same rules otherwise.
    fn check(&mut self, name: &str, path: &str) -> Result<bool, UnpackError> {
        self.name_bytes += path.len() as u64;
        if self.name_bytes > self.limits.name_bytes() {
            let most = megabytes(self.limits.name_bytes());
            return Err(refuse(format!("The names in the archive are together longer than {most}."), SMALLER));
        }
        let in_git = path.split('/').any(is_git);
        let checked = if in_git {
            check_path(&path.split('/').map(|part| if is_git(part) { "git" } else { part }).collect::<Vec<_>>().join("/"))
        } else {
            check_path(path)
        };
        if let Err(reason) = checked {
            return Err(refuse(
                format!("The archive holds {}, a path that a project can't have. {reason}", quoted(name)),
                "rename it, make the archive again and import it once more",
            ));
        }
        if path.split('/').count() > self.limits.depth {
            return Err(refuse(format!("The path {} is nested deeper than {} directories.", quoted(name), self.limits.depth), REPACK));
        }
        Ok(in_git)
    }

    fn note_top(&mut self, path: &str, kind: Kind) {
        let (first, is_top_directory) = match path.split_once('/') {
            Some((first, _)) => (first, true),
            None => (path, kind == Kind::Directory && !is_git(path)),
        };
        self.top = match std::mem::replace(&mut self.top, Top::Several) {
            Top::Unseen if is_top_directory && !is_git(first) => Top::One(first.to_owned()),
            Top::One(name) if is_top_directory && name == first => Top::One(name),
            _ => Top::Several,
        };
    }

    fn place_directory(&mut self, path: &str) -> Result<Place, UnpackError> {
        if let Some(file) = self.file_at_or_above(path) {
            return Err(twice(&file));
        }
        self.directories.insert(path.to_owned());
        Ok(Place::Skip)
    }

    fn place_file(&mut self, path: &str) -> Result<String, UnpackError> {
        if let Some(file) = self.file_at_or_above(path) {
            return Err(twice(&file));
        }
        let below = format!("{path}/");
        let next = self.files.range::<str, _>((Bound::Excluded(below.as_str()), Bound::Unbounded)).next();
        if next.is_some_and(|next| next.starts_with(&below)) || self.directories.contains(path) {
            return Err(twice(path));
        }
        if self.files.len() as u64 >= self.limits.files {
            return Err(self.too_many());
        }
        if let Err(reason) = self.names.add(path) {
            return Err(refuse(reason, "rename one of them, make the archive again and import it once more"));
        }
        self.files.insert(path.to_owned());
        Ok(path.to_owned())
    }

    fn too_many(&self) -> UnpackError {
        refuse(format!("The archive holds more than {} files.", self.limits.files), SMALLER)
    }

    fn file_at_or_above(&self, path: &str) -> Option<String> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.map(|end| &path[..end]).find(|prefix| self.files.contains(*prefix)).map(str::to_owned)
    }

    /// Stores the content of a file that [`Self::place`] let in, and answers its size.
    pub fn keep(
        &mut self,
        path: String,
        executable: bool,
        body: &mut dyn Read,
        explain: &dyn Fn(&Self, io::Error) -> UnpackError,
    ) -> Result<u64, UnpackError> {
        while self.pending.len() >= PARALLEL {
            self.settle_oldest()?;
        }
        let (chunks, mut received) = mpsc::channel::<io::Result<Bytes>>(QUEUE);
        let reader: Reader = Box::pin(StreamReader::new(stream::poll_fn(move |cx| received.poll_recv(cx))));
        let (blobs, limit) = (self.blobs.clone(), self.limits.file_bytes);
        let stored = self.handle.spawn(async move { blobs.put(reader, limit).await });
        let copied = self.copy(&path, body, explain, |chunk| chunks.blocking_send(Ok(chunk)).is_ok());
        if copied.is_err() {
            // Without an error the storage would take what it has for the whole file.
            let _ = chunks.try_send(Err(io::ErrorKind::ConnectionAborted.into()));
            stored.abort();
        }
        if let (Ok(Some(size)), Some((_, lines))) = (&copied, &mut self.past)
            && path.starts_with(HISTORY)
            && !is_old_content(&path)
        {
            *lines += size;
            if *lines > LINES_MAX {
                return Err(refuse(format!("The archive holds more than {} of history.", megabytes(LINES_MAX)), SMALLER));
            }
        }
        let Some(size) = copied? else {
            return Err(match self.handle.block_on(stored) {
                Ok(Err(error)) => UnpackError::Blob(error),
                Ok(Ok(_)) => UnpackError::internal("storage did not wait for the end of a file"),
                Err(error) => UnpackError::internal(error),
            });
        };
        self.pending.push_back(Pending { path, kind: EntryKind::File, mode: if executable { 0o755 } else { 0o644 }, size, stored });
        Ok(size)
    }

    /// Stores the target of a symbolic link that [`Self::place`] let in, and answers its length. Where it leads is nobody's business
    /// here: it is only ever followed inside the sandbox.
    pub fn keep_link(
        &mut self,
        path: String,
        body: &mut dyn Read,
        explain: &dyn Fn(&Self, io::Error) -> UnpackError,
    ) -> Result<u64, UnpackError> {
        while self.pending.len() >= PARALLEL {
            self.settle_oldest()?;
        }
        let mut target = Vec::new();
        self.copy(&path, &mut body.take(LINK_MAX + 1), explain, |chunk| {
            target.extend_from_slice(&chunk);
            true
        })?;
        let fits = !target.is_empty() && target.len() as u64 <= LINK_MAX && !target.contains(&0) && std::str::from_utf8(&target).is_ok();
        if !fits {
            return Err(refuse(
                format!("The symbolic link {} in the archive leads to no name that a file can have.", quoted(&path)),
                REPACK,
            ));
        }
        let size = target.len() as u64;
        let blobs = self.blobs.clone();
        let stored = self.handle.spawn(async move { blobs.put_bytes(target).await });
        self.pending.push_back(Pending { path, kind: EntryKind::Symlink, mode: 0o644, size, stored });
        Ok(size)
    }

    /// Reads past content that is not kept. It counts as work, but not towards what the project may hold.
    pub fn pass(&mut self, body: &mut dyn Read, explain: &dyn Fn(&Self, io::Error) -> UnpackError) -> Result<u64, UnpackError> {
        let mut size = 0;
        let mut buffer = vec![0; CHUNK];
        while let Some(read) = self.read_some(body, &mut buffer, explain)? {
            size += read;
            self.passed += read;
            self.check_total(self.passed)?;
        }
        Ok(size)
    }

    /// The size of what was read; `None` once `take` wants no more.
    fn copy(
        &mut self,
        name: &str,
        body: &mut dyn Read,
        explain: &dyn Fn(&Self, io::Error) -> UnpackError,
        mut take: impl FnMut(Bytes) -> bool,
    ) -> Result<Option<u64>, UnpackError> {
        let mut size = 0;
        loop {
            let mut buffer = vec![0; CHUNK];
            let Some(read) = self.read_some(body, &mut buffer, explain)? else { return Ok(Some(size)) };
            size += read;
            self.unpacked += read;
            if size > self.limits.file_bytes {
                let limit = megabytes(self.limits.file_bytes);
                return Err(refuse(format!("The file {} is larger than the limit of {limit}.", quoted(name)), REPACK));
            }
            self.check_total(self.unpacked)?;
            buffer.truncate(read as usize);
            if !take(buffer.into()) {
                return Ok(None);
            }
        }
    }

    /// How much was read, `None` at the end.
    fn read_some(
        &self,
        body: &mut dyn Read,
        buffer: &mut [u8],
        explain: &dyn Fn(&Self, io::Error) -> UnpackError,
    ) -> Result<Option<u64>, UnpackError> {
        loop {
            if self.stop.is_cancelled() {
                return Err(UnpackError::Cancelled);
            }
            match body.read(buffer) {
                Ok(0) => return Ok(None),
                Ok(read) => return Ok(Some(read as u64)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(explain(self, error)),
            }
        }
    }

    fn check_total(&self, bytes: u64) -> Result<(), UnpackError> {
        if self.unpacked + self.passed > self.ratio_limit() {
            return Err(self.ratio_refusal());
        }
        if bytes > self.limits.bytes {
            return Err(refuse(format!("The archive unpacks to more than {}.", megabytes(self.limits.bytes)), SMALLER));
        }
        Ok(())
    }

    fn settle_oldest(&mut self) -> Result<(), UnpackError> {
        let Some(Pending { path, kind, mode, size, stored }) = self.pending.pop_front() else { return Ok(()) };
        let stored = self.handle.block_on(stored).map_err(UnpackError::internal)??;
        if stored.size != size {
            return Err(UnpackError::internal(format!("{} of {size} bytes were stored", stored.size)));
        }
        match digest_of(&stored.sha256).filter(|_| self.past.is_some() && is_old_content(&path)) {
            Some(digest) => self.old.push((digest, size)),
            None => self.kept.push(Unpacked { path, kind, checksum: stored.sha256, size, mode }),
        }
        Ok(())
    }

    /// Waits for what is still being stored and lists all of it.
    pub fn finish(mut self) -> Result<Contents, UnpackError> {
        while !self.pending.is_empty() {
            self.settle_oldest()?;
        }
        if self.stop.is_cancelled() {
            return Err(UnpackError::Cancelled);
        }
        if self.kept.is_empty() {
            return Err(refuse("The archive holds no files.", "make one with the files of the project and import that"));
        }
        let stripped = match std::mem::replace(&mut self.top, Top::Several) {
            Top::One(directory) if self.limits.strip => Some(directory),
            _ => None,
        };
        if let Some(directory) = &stripped {
            for file in &mut self.kept {
                file.path.drain(..=directory.len());
            }
        }
        self.kept.sort_by(|a, b| a.path.cmp(&b.path));
        self.old.sort_unstable();
        self.old.dedup();
        self.report(self.packed);
        Ok(Contents { files: self.kept, stripped, old: self.old })
    }
}

fn twice(path: &str) -> UnpackError {
    refuse(format!("The archive holds {} twice, or as a file and as a directory.", quoted(path)), REPACK)
}

pub(in crate::import) fn megabytes(bytes: u64) -> String {
    if bytes >= 1024 * 1024 { format!("{} MiB", bytes / (1024 * 1024)) } else { format!("{bytes} bytes") }
}
