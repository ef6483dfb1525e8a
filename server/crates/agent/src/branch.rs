//! The files of one turn's branch, as the file tools see them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use sandbox::{EntryKind, ListEntry, WorkspaceError, Workspaces};
use uuid::Uuid;
use wire::{ProjectId, TurnId, permissions::Hidden};

/// Larger files than this are not compared with what takes their place.
const COUNTED_MAX: u64 = 8 * 1024 * 1024;

/// One branch. Cheap to clone.
#[derive(Clone)]
pub struct Branch {
    workspaces: Workspaces,
    project: Uuid,
    id: Uuid,
    changed: Option<Arc<AtomicU64>>,
    hidden: Arc<Hidden>,
}

/// A file of the branch, or the target of a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub bytes: Bytes,
    /// 0o644 or 0o755.
    pub mode: u32,
    pub is_link: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Nothing,
    /// A file or a link.
    File,
    Directory,
}

impl Branch {
    pub fn new(workspaces: Workspaces, project: ProjectId, turn: TurnId) -> Self {
        Self { workspaces, project: project.0, id: turn.0, changed: None, hidden: Arc::default() }
    }

    /// The same branch, which counts the bytes that are changed through it.
    pub fn counting(&self) -> Self {
        Self { changed: Some(Arc::default()), ..self.clone() }
    }

    /// The same branch, of which these paths are not shown.
    pub fn hiding(&self, hidden: Hidden) -> Self {
        Self { hidden: Arc::new(hidden), ..self.clone() }
    }

    /// Bytes that were changed through this one; `None` where nothing was, or nobody counts.
    pub fn changed(&self) -> Option<u64> {
        self.changed.as_ref().map(|changed| changed.load(Ordering::Relaxed)).filter(|changed| *changed > 0)
    }

    async fn count_change(&self, path: &str, after: &[u8]) {
        let Some(changed) = &self.changed else { return };
        // What can't be read for this is written all the same.
        let before = self.bytes(path, COUNTED_MAX).await.ok().flatten().unwrap_or_default();
        changed.fetch_add(changed_bytes(&before, after), Ordering::Relaxed);
    }

    /// Whether it is there; a worker that lost its disk has none.
    pub async fn exists(&self) -> Result<bool, WorkspaceError> {
        match self.standing("a").await {
            Ok(_) => Ok(true),
            Err(WorkspaceError::NoBranch) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Every file and link at or below `prefix` ("" for all), in path order, without ignored ones.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ListEntry>, WorkspaceError> {
        self.workspaces.branch_list(self.project, self.id, prefix).await
    }

    /// As [`Branch::list`], without what is hidden, and how many those are.
    pub async fn list_shown(&self, prefix: &str) -> Result<(Vec<ListEntry>, usize), WorkspaceError> {
        let mut found = self.list(prefix).await?;
        let all = found.len();
        found.retain(|entry| !self.hides(&entry.path));
        let hidden = all - found.len();
        Ok((found, hidden))
    }

    /// As [`Branch::list`], with ignored ones.
    pub async fn list_whole(&self, prefix: &str) -> Result<Vec<ListEntry>, WorkspaceError> {
        self.workspaces.branch_list_whole(self.project, self.id, prefix).await
    }

    /// Whether a path is kept from whoever has this one.
    pub fn hides(&self, path: &str) -> bool {
        self.hidden.holds(path)
    }

    pub async fn standing(&self, path: &str) -> Result<Standing, WorkspaceError> {
        match self.bytes(path, 0).await {
            Ok(None) => Ok(Standing::Nothing),
            Ok(Some(_)) | Err(WorkspaceError::TooLarge { .. }) => Ok(Standing::File),
            Err(WorkspaceError::InTheWay { .. }) => Ok(Standing::Directory),
            Err(error) => Err(error),
        }
    }

    /// A whole file or a link's target; `None` if nothing is there.
    pub async fn bytes(&self, path: &str, limit: u64) -> Result<Option<Bytes>, WorkspaceError> {
        self.workspaces.branch_read(self.project, self.id, path, limit).await
    }

    /// Like [`Branch::bytes`], with what is known about the file.
    pub async fn read(&self, path: &str, limit: u64) -> Result<Option<Content>, WorkspaceError> {
        let Some(bytes) = self.bytes(path, limit).await? else { return Ok(None) };
        // An ignored file can be read but is not listed.
        let entry = self.list(path).await?.into_iter().find(|e| e.path == path);
        let is_link = entry.as_ref().is_some_and(|e| e.kind == EntryKind::Symlink);
        Ok(Some(Content { bytes, mode: entry.map_or(0o644, |e| e.mode), is_link }))
    }

    pub async fn write(&self, path: &str, bytes: impl Into<Bytes>, mode: u32) -> Result<(), WorkspaceError> {
        let bytes = bytes.into();
        self.count_change(path, &bytes).await;
        self.workspaces.branch_write(self.project, self.id, path, bytes, mode).await
    }

    /// Moves a file or a directory; the new path must be free.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), WorkspaceError> {
        self.workspaces.branch_rename(self.project, self.id, from, to).await
    }

    /// Keeps a text beside the branch, out of reach of commands, for as long as the branch exists. `name`: letters, digits and `-`.
    pub async fn keep_note(&self, name: &str, text: &str) -> Result<(), WorkspaceError> {
        self.workspaces.branch_note(self.project, self.id, name, text.as_bytes().to_vec()).await
    }

    /// A text that was kept; `None` when there is none of that name.
    pub async fn note(&self, name: &str, limit: u64) -> Result<Option<String>, WorkspaceError> {
        match self.workspaces.branch_noted(self.project, self.id, name, limit).await {
            Ok(bytes) => Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
            Err(WorkspaceError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a file of the branch for reading; the same bytes as [`Branch::bytes`], without a limit.
    pub async fn open(&self, path: &str) -> Result<std::fs::File, WorkspaceError> {
        self.workspaces.branch_open(self.project, self.id, path).await
    }

    pub async fn remove(&self, path: &str) -> Result<(), WorkspaceError> {
        self.count_change(path, &[]).await;
        self.workspaces.branch_remove(self.project, self.id, path).await
    }
}

/// The longer side of what differs between the common beginning and the common end.
fn changed_bytes(before: &[u8], after: &[u8]) -> u64 {
    let begin = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[begin..], &after[begin..]);
    let end = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    (before.len().max(after.len()) - end) as u64
}

#[cfg(test)]
mod tests {
    use super::changed_bytes;

    #[test]
    fn only_what_differs_counts() {
        let cases = [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abcd", "abXcd", 1), ("aXc", "aYYc", 2), ("aa", "aaa", 1)];
        for (before, after, count) in cases {
            assert_eq!(changed_bytes(before.as_bytes(), after.as_bytes()), count, "{before} {after}");
        }
    }
}
