//! Archives that are made while they are sent, of a directory or of a project: nothing of them is stored.

use std::io;

use blobs::Reader;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::sync::oneshot;
use tokio_util::io::{ReaderStream, StreamReader};
use wire::{
    ProjectId,
    files::{Entry, EntryKind},
    limits,
};

use super::{
    format::plain_name,
    pack::{self, Packer},
    past,
};
use crate::{Ctx, Error, Result, files, projects, storage};

/// The longest target of a link.
const LINK_MAX: u64 = 4095;

/// An archive that is made while it is read.
pub struct FolderArchive {
    /// `src.zip`
    pub filename: String,
    /// Ends with an error when the archive could not be made to its end, so that nobody takes a part for the whole.
    pub bytes: Reader,
}

/// A directory, or with an empty path the project, as it is now. Whoever may read it may.
pub async fn open_folder(ctx: &Ctx, project: ProjectId, path: &str) -> Result<FolderArchive> {
    let entries = files::tree_below(ctx, project, Some(path), None).await?.items;
    let name = match path.rsplit('/').next().unwrap_or_default() {
        "" => plain_name(&projects::get(ctx, project).await?.name),
        name => name.to_owned(),
    };
    let (ctx, prefix, root) = (ctx.clone(), path.len() + usize::from(!path.is_empty()), name.clone());
    let bytes = send_while_made(move |packer| async move { write(&ctx, project, packer, entries, prefix, &root).await });
    Ok(FolderArchive { filename: format!("{name}.zip"), bytes })
}

/// A project, with its past or without: the archive that [`super::start`] has a job make. Whoever may read the project may.
pub async fn open_project(ctx: &Ctx, project: ProjectId, history: bool) -> Result<FolderArchive> {
    let found = projects::get(ctx, project).await?;
    let filename = super::filename(&found, history, ctx);
    let ctx = ctx.clone();
    let bytes = send_while_made(move |packer| async move { past::write(&ctx, project, history, packer).await });
    Ok(FolderArchive { filename, bytes })
}

/// What `write` packs, read while it goes on. Whoever stops reading stops it.
fn send_while_made<F>(write: impl FnOnce(Packer) -> F) -> Reader
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (packer, archive, packed) = pack::begin_stream();
    let (done, outcome) = oneshot::channel();
    let written = write(packer);
    tokio::spawn(async move {
        let (written, packed) = tokio::join!(written, packed);
        // Nobody hears it when the download was given up.
        let _ = done.send(written.and(packed));
    });
    let end = stream::once(async move {
        match outcome.await {
            Ok(Ok(())) => Ok(Bytes::new()),
            Ok(Err(error)) => Err(io::Error::other(error)),
            Err(gone) => Err(io::Error::other(gone)),
        }
    });
    Box::pin(StreamReader::new(ReaderStream::new(archive).chain(end).boxed()))
}

async fn write(ctx: &Ctx, project: ProjectId, mut packer: Packer, entries: Vec<Entry>, prefix: usize, root: &str) -> Result<()> {
    let blobs = storage::open(ctx, project).await?;
    for entry in entries {
        let name = format!("{root}/{}", &entry.path[prefix..]);
        if name.len() > limits::PATH_MAX {
            return Err(Error::TooLarge(format!("{} has a longer path than an archive takes.", entry.path)));
        }
        match entry.kind {
            EntryKind::Directory => packer.directory(name).await?,
            EntryKind::File => {
                let content = blobs.open(&entry.checksum).await?;
                packer.file(name, entry.mode & 0o111 != 0, entry.updated_at, content).await?;
            }
            EntryKind::Symlink => {
                let target = blobs.read_all(&entry.checksum, LINK_MAX).await?;
                let target = String::from_utf8_lossy(&target).into_owned();
                packer.link(name, target, entry.updated_at).await?;
            }
        }
    }
    packer.finish().await
}
