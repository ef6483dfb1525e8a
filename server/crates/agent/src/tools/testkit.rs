//! A real branch over a checkout in a temporary directory, for the tests of the file tools.

use std::{collections::HashMap, io, pin::Pin, sync::Arc};

use async_trait::async_trait;
use sandbox::{BytesSource, Changes, EntryKind, TreeEntry, Workspaces};
use sha2::{Digest, Sha256};
use tokio::io::AsyncRead;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    Micros, ProjectId, TurnId,
    permissions::{Hidden, NewPermissionRule, PermissionEffect},
};

use super::ToolCtx;
use crate::branch::Branch;

pub struct Kit {
    pub branch: Branch,
    _dir: tempfile::TempDir,
}

struct Memory(HashMap<String, Vec<u8>>);

#[async_trait]
impl BytesSource for Memory {
    async fn open(&self, sha256: &str) -> io::Result<Pin<Box<dyn AsyncRead + Send>>> {
        let bytes = self.0.get(sha256).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::pin(io::Cursor::new(bytes)))
    }
}

/// A branch over a checkout with these files.
pub async fn branch(files: &[(&str, &str)]) -> Kit {
    let dir = tempfile::tempdir().unwrap();
    let workspaces = Workspaces::open(dir.path(), None, true).unwrap();
    let (project, turn) = (ProjectId(Uuid::now_v7()), TurnId(Uuid::now_v7()));
    let mut blobs = HashMap::new();
    let entries = files
        .iter()
        .map(|(path, content)| {
            let sha256 = hex::encode(Sha256::digest(content));
            blobs.insert(sha256.clone(), content.as_bytes().to_vec());
            TreeEntry { path: (*path).to_owned(), kind: EntryKind::File, mode: 0o644, sha256, size: content.len() as u64 }
        })
        .collect();
    workspaces.sync(project.0, 1, Changes::Full(entries), Arc::new(Memory(blobs))).await.unwrap();
    workspaces.create_branch(project.0, turn.0).await.unwrap();
    Kit { branch: Branch::new(workspaces, project, turn), _dir: dir }
}

impl Kit {
    /// The tools' surroundings, without anything to run commands with.
    pub fn ctx(&self) -> ToolCtx {
        ToolCtx { branch: self.branch.clone(), cancel: CancellationToken::new(), runner: None, foreign: None }
    }

    /// The branch as tools that show many files have it while a rule denies these paths to `tool`.
    pub fn hiding(&self, tool: &str, pattern: &str) -> Branch {
        let new = NewPermissionRule {
            effect: PermissionEffect::Deny,
            tool: Some(tool.to_owned()),
            command_pattern: None,
            path_pattern: Some(pattern.to_owned()),
        };
        let rule = new.as_rule(Uuid::nil().into(), Uuid::nil().into(), None, Micros(0));
        self.branch.hiding(Hidden::of(&[rule], &["list_files", "search"]))
    }

    pub async fn text(&self, path: &str) -> String {
        let bytes = self.branch.bytes(path, 1 << 20).await.unwrap().unwrap();
        String::from_utf8(bytes.into()).unwrap()
    }
}
