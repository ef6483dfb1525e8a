//! Single files of a checkout or a branch, ignored ones too: what a command left there to be read once, such as the report of
//! its tests. Regular files only, never through a link, never blocking.

use super::owner::AsOwner;
use super::{Result, Workspaces, beneath};
use rustix::fs::FileType;
use std::fs::File;
use std::io::{self, Read};
use uuid::Uuid;

impl Workspaces {
    /// Opens a regular file of the checkout for reading.
    pub fn open_file(&self, project: Uuid, path: &str) -> io::Result<File> {
        let owner = self.owner(project)?;
        let top = beneath::open_top(&self.project_dir(project).join("tree"))?;
        let _as_owner = AsOwner::enter(owner)?;
        beneath::open_file(&top, path)
    }

    /// The target of a symbolic link of the checkout, as it is written; it is not followed.
    pub fn read_link(&self, project: Uuid, path: &str) -> io::Result<Vec<u8>> {
        let owner = self.owner(project)?;
        let top = beneath::open_top(&self.project_dir(project).join("tree"))?;
        let _as_owner = AsOwner::enter(owner)?;
        beneath::check_path(path)?;
        let (parent, name) = beneath::split(path);
        beneath::read_link(beneath::open_dir(&top, parent)?, name)
    }

    /// All of a regular file of the checkout; None if there is none at this path, or it is larger than `max` bytes.
    pub async fn read_capped(&self, project: Uuid, path: &str, max: u64) -> Option<Vec<u8>> {
        let (workspaces, path) = (self.clone(), path.to_owned());
        let read = self.blocking(move || Ok(read_whole(workspaces.open_file(project, &path)?, max)?)).await;
        read.ok().flatten()
    }

    /// Removes a file, a link or a whole directory from the checkout. Nothing there is fine.
    pub async fn remove_path(&self, project: Uuid, path: &str) -> Result<()> {
        let owner = self.owner(project)?;
        let (tree, path) = (self.project_dir(project).join("tree"), path.to_owned());
        self.blocking(move || {
            beneath::check_path(&path)?;
            let top = beneath::open_top(&tree)?;
            let _as_owner = AsOwner::enter(owner)?;
            let (parent, name) = beneath::split(&path);
            match beneath::open_dir(&top, parent) {
                Err(error) if beneath::is_absent(&error) => Ok(()),
                dir => Ok(beneath::remove(dir?, name)?),
            }
        })
        .await
    }

    /// As [`Workspaces::read_capped`], of what a branch shows. To remove it there, use [`Workspaces::branch_remove`].
    pub async fn branch_read_capped(&self, project: Uuid, branch: Uuid, path: &str, max: u64) -> Option<Vec<u8>> {
        let path = path.to_owned();
        let read = self
            .on_branch(project, branch, move |layers| {
                beneath::check_path(&path)?;
                let (parent, name) = beneath::split(&path);
                let Some(pair) = layers.dir(parent)? else {
                    return Ok(None);
                };
                match pair.look(name)? {
                    Some((layer, stat)) if beneath::kind(&stat) == FileType::RegularFile => {
                        Ok(read_whole(beneath::open_file(pair.side(layer)?, name)?, max)?)
                    }
                    _ => Ok(None),
                }
            })
            .await;
        read.ok().flatten()
    }
}

fn read_whole(file: File, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}
