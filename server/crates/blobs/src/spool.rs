use std::{io, path::Path, time::Duration};

use sha2::{Digest, Sha256};
use tempfile::TempPath;
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt, AsyncWriteExt},
};

use crate::{BlobError, Reader, Stored};

const CHUNK: usize = 128 * 1024;
/// What is older is nobody's any more.
const LEFT_OVER: Duration = Duration::from_secs(24 * 3600);

/// Received bytes that have no name yet. They are gone when this is dropped.
pub(crate) struct Spooled {
    pub file: File,
    pub path: TempPath,
    pub stored: Stored,
}

/// Makes the folder, and removes what an earlier process left in it: that was never named by anyone.
pub(crate) async fn open(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder).await?;
    let mut left = fs::read_dir(folder).await?;
    while let Some(entry) = left.next_entry().await? {
        // Another server may share the folder; only what nobody can still be writing is removed.
        let Ok(meta) = entry.metadata().await else { continue };
        if meta.modified()?.elapsed().unwrap_or_default() > LEFT_OVER {
            let _ = fs::remove_file(entry.path()).await;
        }
    }
    Ok(())
}

pub(crate) fn new_file(folder: &Path) -> io::Result<(File, TempPath)> {
    let (file, path) = tempfile::Builder::new().prefix("in-").tempfile_in(folder)?.into_parts();
    Ok((File::from_std(file), path))
}

/// Takes all that `body` yields, a little at a time. More than `limit` bytes is `TooLarge`.
pub(crate) async fn receive(folder: &Path, mut body: Reader, limit: u64) -> Result<Spooled, BlobError> {
    let (mut file, path) = new_file(folder)?;
    let mut hash = Sha256::new();
    let mut size = 0u64;
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = body.read(&mut buffer).await.map_err(BlobError::Source)?;
        if read == 0 {
            break;
        }
        size += read as u64;
        if size > limit {
            return Err(BlobError::TooLarge { limit });
        }
        hash.update(&buffer[..read]);
        file.write_all(&buffer[..read]).await?;
    }
    file.flush().await?;
    Ok(Spooled { file, path, stored: Stored { sha256: hex::encode(hash.finalize()), size } })
}
