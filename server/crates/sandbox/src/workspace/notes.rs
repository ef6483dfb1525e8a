//! Texts that the server keeps beside a branch for as long as the branch exists. Commands on the branch neither see nor reach them.

use super::{Result, WorkspaceError, Workspaces, owner};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use uuid::Uuid;

const DIR: &str = "notes";

impl Workspaces {
    /// Keeps bytes under a name of letters, digits and `-`. An earlier note of that name is replaced.
    pub async fn branch_note(&self, project: Uuid, branch: Uuid, name: &str, bytes: Vec<u8>) -> Result<()> {
        let (dir, file) = self.note_path(project, branch, name)?;
        self.blocking(move || {
            if !dir.parent().is_some_and(|branch| branch.is_dir()) {
                return Err(WorkspaceError::NoBranch);
            }
            owner::make_dir(&dir, 0o700, None)?;
            let making = dir.join(format!("making-{}", Uuid::now_v7()));
            File::create_new(&making)?.write_all(&bytes)?;
            Ok(std::fs::rename(&making, file)?)
        })
        .await
    }

    /// A note's bytes, at most `limit` of them; None if there is none of that name.
    pub async fn branch_noted(&self, project: Uuid, branch: Uuid, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let (_, file) = self.note_path(project, branch, name)?;
        self.blocking(move || match File::open(file) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(limit).read_to_end(&mut bytes)?;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        })
        .await
    }

    fn note_path(&self, project: Uuid, branch: Uuid, name: &str) -> Result<(PathBuf, PathBuf)> {
        let is_plain = (1..=100).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_plain {
            return Err(WorkspaceError::NotFound { path: name.to_owned() });
        }
        let dir = self.project_dir(project).join("branches").join(branch.to_string()).join(DIR);
        let file = dir.join(name);
        Ok((dir, file))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bed;
    use super::*;
    use crate::workspace::Changes;

    #[tokio::test]
    async fn notes_live_as_long_as_their_branch_and_are_no_files_of_it() {
        for overlay in [true, false] {
            let bed = Bed::new(overlay);
            let (ws, project, branch) = (&bed.workspaces, bed.project, Uuid::now_v7());
            let note = async |name: &str| ws.branch_noted(project, branch, name, 100).await;
            assert!(matches!(ws.branch_note(project, branch, "a", vec![1]).await, Err(WorkspaceError::NoBranch)));
            bed.sync(1, Changes::Full(Vec::new())).await.unwrap();
            ws.create_branch(project, branch).await.unwrap();
            ws.branch_note(project, branch, "out-1", b"old".to_vec()).await.unwrap();
            ws.branch_note(project, branch, "out-1", b"one\ntwo".to_vec()).await.unwrap();
            assert_eq!(note("out-1").await.unwrap().as_deref(), Some(b"one\ntwo".as_slice()));
            assert_eq!(ws.branch_noted(project, branch, "out-1", 3).await.unwrap().as_deref(), Some(b"one".as_slice()));
            assert_eq!(note("out-2").await.unwrap(), None);
            for name in ["", "..", "../upper/x", "a/b", &"x".repeat(101)] {
                assert!(matches!(note(name).await, Err(WorkspaceError::NotFound { .. })), "{name}");
            }
            assert!(ws.branch_changes(project, branch).await.unwrap().is_empty());
            assert!(ws.branch_list(project, branch, "").await.unwrap().is_empty());
            ws.drop_branch(project, branch).await.unwrap();
            assert_eq!(note("out-1").await.unwrap(), None);
        }
    }
}
