use std::{
    fs::File,
    io::{BufReader, ErrorKind},
};

use zip::{
    read::{Config, ZipFileEntry, ZipReadOptions},
    result::ZipError,
    unstable::read::ZipIterable,
};

use super::{
    Contents, UnpackError, damaged,
    keep::{Keeper, Kind, Place},
    quoted, refuse,
};

const AGAIN: &str = "make it again with the usual settings and import it once more";

/// Reads a zip archive by its directory, one entry at a time; entries that carry one name twice are all seen.
pub fn read(file: File, mut keeper: Keeper) -> Result<Contents, UnpackError> {
    let mut archive = ZipIterable::try_new(BufReader::new(file), Config::default()).map_err(|error| explain(&keeper, error, ""))?;
    let entries = archive.files().map_err(|error| explain(&keeper, error, ""))?;
    let mut packed_done = 0u64;
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(|error| explain(&keeper, error, ""))?;
        let (path, is_link) = match keeper.place(entry.name_raw(), judge(&entry))? {
            Place::Keep(path) => (path, false),
            Place::Link(path) => (path, true),
            Place::Skip => continue,
        };
        if entry.encrypted() {
            return Err(refuse(
                format!("The file {} in the archive is encrypted.", quoted(&path)),
                "make the archive again without a password and import it once more",
            ));
        }
        let (declared, packed) = (entry.size(), entry.compressed_size());
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0 && entry.system() == zip::System::Unix);
        let mut body = entry.with_reader(entries.reader_mut(), ZipReadOptions::new()).map_err(|error| explain(&keeper, error, &path))?;
        let explain = |keeper: &Keeper, error| keeper.explain(error);
        let size = match is_link {
            true => keeper.keep_link(path, &mut body, &explain)?,
            false => keeper.keep(path, executable, &mut body, &explain)?,
        };
        if size != declared {
            return Err(damaged());
        }
        packed_done = packed_done.saturating_add(packed);
        keeper.report(packed_done);
    }
    keeper.finish()
}

fn judge(entry: &ZipFileEntry<'_>) -> Kind {
    // The bits are judged for every system: what made the archive is a claim too.
    match (entry.external_attributes() >> 16) & 0o170_000 {
        0o120_000 => Kind::Link,
        0o060_000 | 0o020_000 => Kind::Unwanted("a device"),
        0o010_000 => Kind::Unwanted("a named pipe"),
        0o140_000 => Kind::Unwanted("a socket"),
        0o040_000 => Kind::Directory,
        _ => Kind::File,
    }
}

fn explain(keeper: &Keeper, error: ZipError, path: &str) -> UnpackError {
    match error {
        ZipError::Io(error) if error.kind() != ErrorKind::UnexpectedEof => keeper.explain(error),
        ZipError::UnsupportedArchive(_) if path.is_empty() => {
            refuse("The archive uses a feature of zip that can't be read, such as being split into parts.", AGAIN)
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            refuse(format!("The file {} in the archive is compressed in a way that can't be read.", quoted(path)), AGAIN)
        }
        _ => damaged(),
    }
}
