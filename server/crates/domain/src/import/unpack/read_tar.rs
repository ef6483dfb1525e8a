use std::{
    cell::{Cell, RefCell},
    io::{self, BufReader, Read},
    rc::Rc,
};

use flate2::bufread::MultiGzDecoder;
use tar::EntryType;
use tokio_util::sync::CancellationToken;

use super::{
    ACCEPTED, CHUNK, Contents, UnpackError, damaged,
    keep::{Keeper, Kind, Place},
    refuse, unreadable,
};

/// What may lie between two files: headers, long names, extended attributes. The tar reader holds these in memory.
const BETWEEN_MAX: u64 = 1024 * 1024;

/// What the readers below the tar reader know about a failure; errors lose their detail on the way up.
#[derive(Default)]
struct Watch {
    why: RefCell<Option<UnpackError>>,
    packed: Cell<u64>,
    unpacked: Cell<u64>,
    between: Cell<Option<u64>>,
    decoding_failed: Cell<bool>,
}

/// The packed bytes: counts them and stops when asked to.
struct Source<R> {
    inner: R,
    name: String,
    stop: CancellationToken,
    watch: Rc<Watch>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            self.watch.why.replace(Some(UnpackError::Cancelled));
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let read = self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.watch.why.replace(Some(unreadable(&self.name, error)));
            }
            io::Error::from(kind)
        })?;
        self.watch.packed.set(self.watch.packed.get() + read as u64);
        Ok(read)
    }
}

/// The unpacked stream, with everything that is not file content.
struct Unzipped<R> {
    inner: R,
    limit: u64,
    refusal: Option<UnpackError>,
    watch: Rc<Watch>,
}

impl<R: Read> Read for Unzipped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.watch.decoding_failed.set(true);
            }
        })?;
        let unpacked = self.watch.unpacked.get() + read as u64;
        self.watch.unpacked.set(unpacked);
        if unpacked > self.limit {
            self.watch.why.replace(self.refusal.take());
            return Err(io::ErrorKind::InvalidData.into());
        }
        if let Some(left) = self.watch.between.get() {
            let Some(left) = left.checked_sub(read as u64) else {
                self.watch.why.replace(Some(refuse(
                    "The archive holds more than 1 MiB of data that belongs to no file.",
                    "make it again with another tool and import it once more",
                )));
                return Err(io::ErrorKind::InvalidData.into());
            };
            self.watch.between.set(Some(left));
        }
        Ok(read)
    }
}

impl Watch {
    fn explain(&self, keeper: &Keeper, error: io::Error) -> UnpackError {
        self.why.take().unwrap_or_else(|| keeper.explain(error))
    }
}

/// Reads a gzip-compressed tar archive from its first byte to its last. `name` is the blob that `source` reads.
pub fn read(source: impl Read, name: String, mut keeper: Keeper) -> Result<Contents, UnpackError> {
    let watch = Rc::new(Watch::default());
    let source = Source { inner: source, name, stop: keeper.stop(), watch: watch.clone() };
    let unzipped = Unzipped {
        inner: MultiGzDecoder::new(BufReader::with_capacity(CHUNK * 4, source)),
        limit: keeper.ratio_limit(),
        refusal: Some(keeper.ratio_refusal()),
        watch: watch.clone(),
    };
    let mut archive = tar::Archive::new(unzipped);
    let explain = |keeper: &Keeper, error: io::Error| watch.explain(keeper, error);
    let mut entries = archive.entries().map_err(|error| explain(&keeper, error))?;
    let mut first = true;
    loop {
        watch.between.set(Some(BETWEEN_MAX));
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|error| match () {
            // Gzip was fine, tar was not, and nothing came before.
            () if first && !watch.decoding_failed.get() && watch.why.borrow().is_none() => {
                refuse("The file is compressed with gzip but holds no tar archive.", ACCEPTED)
            }
            () => explain(&keeper, error),
        })?;
        watch.between.set(None);
        first = false;
        keep_entry(&mut entry, &mut keeper, &explain)?;
        keeper.report(watch.packed.get());
    }
    read_rest(archive.into_inner()).map_err(|error| explain(&keeper, error))?;
    keeper.finish()
}

fn keep_entry<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    keeper: &mut Keeper,
    explain: &dyn Fn(&Keeper, io::Error) -> UnpackError,
) -> Result<(), UnpackError> {
    let declared = entry.size();
    let name = entry.path_bytes().into_owned();
    let place = match entry.header().entry_type() {
        // Facts about the archive as a whole, such as the commit it was made from.
        EntryType::XGlobalHeader => Place::Skip,
        kind => keeper.place(&name, judge(kind))?,
    };
    let size = match place {
        Place::Skip => keeper.pass(entry, explain)?,
        Place::Link(path) => {
            let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
            keeper.keep_link(path, &mut target.as_slice(), explain)?;
            keeper.pass(entry, explain)?
        }
        Place::Keep(path) => {
            let mode = entry.header().mode().map_err(|_| damaged())?;
            keeper.keep(path, mode & 0o111 != 0, entry, explain)?
        }
    };
    if size == declared { Ok(()) } else { Err(damaged()) }
}

fn judge(kind: EntryType) -> Kind {
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Link,
        EntryType::Link => Kind::Unwanted("a hard link"),
        EntryType::Char | EntryType::Block => Kind::Unwanted("a device"),
        EntryType::Fifo => Kind::Unwanted("a named pipe"),
        _ => Kind::Unwanted("an entry of an unknown kind"),
    }
}

/// The padding after the last entry, because the checksums come after it.
fn read_rest(mut unzipped: impl Read) -> io::Result<()> {
    io::copy(&mut unzipped, &mut io::sink()).map(|_| ())
}
