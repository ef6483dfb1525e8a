//! Archives that are made while they are sent, of a directory or of a project: nothing of them is stored.

use std::{collections::BTreeSet, io};

use blobs::Reader;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::sync::oneshot;
use tokio_util::io::{ReaderStream, StreamReader};
use wire::{
    FieldError, ProjectId,
    files::{Entry, EntryKind, check_path},
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

/// A directory, or with an empty path the project.
async fn open_folder(ctx: &Ctx, project: ProjectId, path: &str) -> Result<FolderArchive> {
    let entries = files::tree_below(ctx, project, Some(path), None).await?.items;
    send_below(ctx, project, path, entries).await
}

/// Several files and directories as they are now, each below the name of the directory that they have in common. A single path is a
/// directory, and none is the project. Whoever may read it may.
pub async fn open_paths(ctx: &Ctx, project: ProjectId, paths: &[String]) -> Result<FolderArchive> {
    let chosen: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    if chosen.len() < 2 {
        return open_folder(ctx, project, chosen.first().copied().unwrap_or_default()).await;
    }
    for path in &chosen {
        check_path(path).map_err(|reason| Error::Invalid(vec![FieldError::new("path", reason)]))?;
    }
    let directory = common_directory(&chosen);
    let mut entries = files::tree_below(ctx, project, Some(directory), None).await?.items;
    // A path is listed once.
    let found = entries.iter().filter(|entry| chosen.contains(entry.path.as_str())).count();
    if found < chosen.len() {
        return Err(Error::NotFound("file"));
    }
    entries.retain(|entry| is_chosen(&chosen, &entry.path));
    send_below(ctx, project, directory, entries).await
}

/// The deepest directory that all paths lie in; the project is the empty text.
fn common_directory<'a>(paths: &BTreeSet<&'a str>) -> &'a str {
    let parent = |path: &'a str| path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let holds = |directory: &str, path: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
    let mut common = paths.first().copied().map_or("", parent);
    while !common.is_empty() && !paths.iter().all(|path| holds(common, path)) {
        common = parent(common);
    }
    common
}

/// Whether a path is among the chosen ones, or lies below one of them.
fn is_chosen(chosen: &BTreeSet<&str>, path: &str) -> bool {
    chosen.contains(path) || path.match_indices('/').any(|(at, _)| chosen.contains(&path[..at]))
}

/// `entries`, which lie below `directory`, under its name.
async fn send_below(ctx: &Ctx, project: ProjectId, directory: &str, entries: Vec<Entry>) -> Result<FolderArchive> {
    let name = match directory.rsplit('/').next().unwrap_or_default() {
        "" => plain_name(&projects::get(ctx, project).await?.name),
        name => name.to_owned(),
    };
    let (ctx, prefix, root) = (ctx.clone(), directory.len() + usize::from(!directory.is_empty()), name.clone());
    let bytes = send_while_made(move |packer| async move { write(&ctx, project, packer, entries, prefix, &root).await });
    Ok(FolderArchive { filename: format!("{name}.zip"), bytes })
}

/// A project, with its past or without: the archive that [`super::start`] has a job make. Whoever may read the project may.
pub async fn open_project(ctx: &Ctx, project: ProjectId, history: bool) -> Result<FolderArchive> {
    let found = projects::get(ctx, project).await?;
    let filename = super::filename(&found, history, ctx);
    let ctx = ctx.clone();
    let bytes = send_while_made(move |packer| async move {
        let hold = history.then(|| ctx.new_id());
        let written = past::write(&ctx, project, hold, packer).await;
        super::release(&ctx, hold).await;
        written
    });
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
                packer.file(name, entry.mode & 0o111 != 0, entry.updated_at, entry.size.max(0) as u64, content).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_lies_in_one_directory() {
        let common = |paths: &[&'static str]| common_directory(&paths.iter().copied().collect());
        assert_eq!(common(&["src/a", "src/deep/b"]), "src");
        assert_eq!(common(&["src/a", "src-old/b"]), "");
        assert_eq!(common(&["src/deep/a", "src/deep/b", "src/deeper"]), "src");
        assert_eq!(common(&["src", "src/a"]), "", "a directory itself is chosen");
        let chosen = BTreeSet::from(["src/a", "docs"]);
        assert!(is_chosen(&chosen, "docs/guide/one.md") && is_chosen(&chosen, "src/a"));
        assert!(!is_chosen(&chosen, "src/ab") && !is_chosen(&chosen, "src") && !is_chosen(&chosen, "docs-old/x"));
    }
}
