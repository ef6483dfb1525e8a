use std::{
    cell::Cell,
    io::{self, Seek, Write},
    rc::Rc,
    sync::Arc,
};

use blobs::{BlobError, Blobs, Reader, Stored};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, DuplexStream},
    sync::{mpsc, watch},
    task::spawn_blocking,
};
use tokio_util::io::SyncIoBridge;
use wire::Micros;
use zip::{DateTime, ZipWriter, result::ZipError, write::SimpleFileOptions};

use crate::{Error, Result};

const CHUNK: usize = 64 * 1024;
/// Pieces on their way to the packing thread.
const QUEUE: usize = 8;
/// Packed bytes on their way to storage.
const PIPE: usize = 256 * 1024;
/// An entry of more than 4 GiB, packed or not, says so in front. What does not pack gets a little longer.
const LARGE: u64 = 4_000_000_000;

enum Piece {
    File { name: String, executable: bool, at: Micros, is_large: bool },
    Link { name: String, target: String, at: Micros },
    Directory { name: String },
    Bytes(Bytes),
    End,
}

/// Writes one zip archive, entry by entry. Packing goes on in a thread of its own and holds the writer up when it is behind.
pub struct Packer {
    pieces: mpsc::Sender<Piece>,
    progress: watch::Sender<(u64, u64)>,
    done: u64,
    total: u64,
    /// Bytes of entries that were in memory.
    lines: u64,
    /// Entries with old content.
    old: u64,
}

/// Begins an archive. The future stores it, and has to be driven along with the packer; it fails if the packer is dropped before
/// [`Packer::finish`].
pub fn begin(blobs: Arc<dyn Blobs>, progress: watch::Sender<(u64, u64)>) -> (Packer, impl Future<Output = Result<Stored>>) {
    let (pieces, received) = mpsc::channel(QUEUE);
    let stored = async move {
        let (reader, writer) = tokio::io::duplex(PIPE);
        let writer = SyncIoBridge::new(writer);
        let packing = spawn_blocking(move || pack(received, writer));
        let stored = blobs.put(Box::pin(reader), u64::MAX).await;
        let packed = packing.await.map_err(Error::internal)?;
        // Storage that fails breaks the pipe, so its own reason comes first.
        let stored = stored?;
        packed.map_err(Error::internal)?;
        Ok(stored)
    };
    (Packer { pieces, progress, done: 0, total: 0, lines: 0, old: 0 }, stored)
}

/// Begins an archive that is read while it is made. The future ends with the packing; only when it went well the archive is whole.
pub fn begin_stream() -> (Packer, DuplexStream, impl Future<Output = Result<()>>) {
    let (pieces, received) = mpsc::channel(QUEUE);
    let (reader, writer) = tokio::io::duplex(PIPE);
    let writer = SyncIoBridge::new(writer);
    let packing = spawn_blocking(move || pack(received, writer));
    let packed = async move { packing.await.map_err(Error::internal)?.map_err(Error::internal) };
    (Packer { pieces, progress: watch::channel((0, 0)).0, done: 0, total: 0, lines: 0, old: 0 }, reader, packed)
}

impl Packer {
    /// Bytes that the files of the archive have together, for the progress.
    pub fn expect(&mut self, total: u64) {
        self.total = total;
        self.progress.send_replace((0, total));
    }

    pub async fn directory(&mut self, name: String) -> Result<()> {
        self.send(Piece::Directory { name }).await
    }

    /// `size` in bytes says in which form the entry is written; what comes decides how long it is.
    pub async fn file(&mut self, name: String, executable: bool, at: Micros, size: u64, mut content: Reader) -> Result<()> {
        self.send(Piece::File { name, executable, at, is_large: size >= LARGE }).await?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = content.read(&mut buffer).await.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => Error::from(BlobError::Corrupt("of a file".to_owned())),
                _ => Error::from(BlobError::Io(error)),
            })?;
            if read == 0 {
                return Ok(());
            }
            self.send(Piece::Bytes(Bytes::copy_from_slice(&buffer[..read]))).await?;
            self.done += read as u64;
            self.progress.send_replace((self.done.min(self.total), self.total));
        }
    }

    pub async fn link(&mut self, name: String, target: String, at: Micros) -> Result<()> {
        self.send(Piece::Link { name, target, at }).await
    }

    /// An entry that is in memory and counts for no progress.
    pub async fn bytes(&mut self, name: String, at: Micros, content: Vec<u8>) -> Result<()> {
        self.lines += content.len() as u64;
        self.send(Piece::File { name, executable: false, at, is_large: false }).await?;
        self.send(Piece::Bytes(content.into())).await?;
        // A sign of life: a past may be many of these.
        self.progress.send_modify(|_| {});
        Ok(())
    }

    /// Counts an entry with old content; answers how many there are with it.
    pub fn count_old(&mut self) -> u64 {
        self.old += 1;
        self.old
    }

    /// Bytes of the files so far.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Bytes of the entries so far that were in memory.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The archive is complete.
    pub async fn finish(self) -> Result<()> {
        self.send(Piece::End).await
    }

    async fn send(&self, piece: Piece) -> Result<()> {
        // Whoever drives the other end knows why it is gone.
        self.pieces.send(piece).await.map_err(|_| Error::internal("the archive could not be written"))
    }
}

fn pack(mut received: mpsc::Receiver<Piece>, out: impl Write) -> Result<(), ZipError> {
    let given_up = Rc::new(Cell::new(false));
    let mut zip = ZipWriter::new_stream(Out { inner: out, given_up: given_up.clone() });
    let packed = pack_all(&mut received, &mut zip);
    given_up.set(packed.is_err());
    packed?;
    Ok(zip.finish()?.flush()?)
}

/// What is dropped half done puts an end to the archive: that must not go out, nor complain that it can't.
struct Out<W> {
    inner: W,
    given_up: Rc<Cell<bool>>,
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.given_up.get() { Ok(bytes.len()) } else { self.inner.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.given_up.get() { Ok(()) } else { self.inner.flush() }
    }
}

fn pack_all<W: Write + Seek>(received: &mut mpsc::Receiver<Piece>, zip: &mut ZipWriter<W>) -> Result<(), ZipError> {
    loop {
        match received.blocking_recv() {
            Some(Piece::File { name, executable, at, is_large }) => {
                let mode = if executable { 0o755 } else { 0o644 };
                zip.start_file(name, options(at).unix_permissions(mode).large_file(is_large))?;
            }
            Some(Piece::Link { name, target, at }) => zip.add_symlink(name, target, options(at))?,
            Some(Piece::Directory { name }) => zip.add_directory(name, SimpleFileOptions::default())?,
            Some(Piece::Bytes(bytes)) => zip.write_all(&bytes)?,
            Some(Piece::End) => return Ok(()),
            None => return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
        }
    }
}

fn options(at: Micros) -> SimpleFileOptions {
    SimpleFileOptions::default().last_modified_time(zip_time(at).unwrap_or_default())
}

/// Zip knows the years from 1980 to 2107.
fn zip_time(at: Micros) -> Option<DateTime> {
    let text = at.to_rfc3339();
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u16>().ok();
    let small = |from: usize, to: usize| number(from, to).and_then(|n| u8::try_from(n).ok());
    DateTime::from_date_and_time(number(0, 4)?, small(5, 7)?, small(8, 10)?, small(11, 13)?, small(14, 16)?, small(17, 19)?).ok()
}

#[cfg(test)]
mod tests {
    use blobs::MemoryBlobs;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn entries_stand_in_the_archive_as_they_were_given() {
        let blobs = Arc::new(MemoryBlobs::new());
        let (progress, seen) = watch::channel((0, 0));
        let (mut packer, stored) = begin(blobs.clone(), progress);
        let write = async move {
            packer.expect(200_000);
            let at = Micros(1_800_000_000_000_000);
            packer.bytes("a.json".to_owned(), at, b"{}".to_vec()).await?;
            packer.file("b/run.sh".to_owned(), true, at, 5 << 30, Box::pin(io::Cursor::new(vec![7; 200_000]))).await?;
            packer.link("b/link".to_owned(), "../a.json".to_owned(), at).await?;
            packer.directory("empty".to_owned()).await?;
            packer.finish().await
        };
        let (written, stored) = tokio::join!(write, stored);
        written.unwrap();
        assert_eq!(*seen.borrow(), (200_000, 200_000));
        let bytes = blobs.read_all(&stored.unwrap().sha256, 1 << 20).await.unwrap();
        let mut archive = zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
        let listed: Vec<_> = (0..archive.len())
            .map(|n| {
                let entry = archive.by_index(n).unwrap();
                (entry.name().unwrap().into_owned(), entry.size(), entry.unix_mode().unwrap(), entry.last_modified().unwrap().year())
            })
            .collect();
        let listed: Vec<_> = listed.iter().map(|(name, size, mode, year)| (name.as_str(), *size, mode & 0o777, *year)).collect();
        assert_eq!(listed[..2], [("a.json", 2, 0o644, 2027), ("b/run.sh", 200_000, 0o755, 2027)]);
        assert_eq!((listed[2].0, listed[2].1), ("b/link", 9));
        assert_eq!(listed[3].0, "empty/");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_archive_that_broke_off_is_none() {
        let (mut packer, stored) = begin(Arc::new(MemoryBlobs::new()), watch::channel((0, 0)).0);
        let write = async move { packer.bytes("a".to_owned(), Micros(0), b"half".to_vec()).await };
        let (written, stored) = tokio::join!(write, stored);
        written.unwrap();
        assert!(stored.is_err());
    }
}
