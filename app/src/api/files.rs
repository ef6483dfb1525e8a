use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    Page, ProjectId,
    files::{
        Base, ChangeFiles, Entry, FileVersion, FilesChanged, MovePath, OpenedFile, RestorePath, SaveOutcome, SaveText, TrashItem, Tree,
    },
    packed_tree::PackedTree,
};

use super::ApiError;

/// Every entry of the project as it travels; the page unpacks it: see [`tree`].
#[server(name = TreeFn, prefix = "/fn", endpoint = "files/tree", input = Json)]
pub async fn packed_tree(project: ProjectId) -> Result<PackedTree, ApiError> {
    let ctx = super::ctx::current()?;
    domain::files::packed_tree(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Every entry of the project, sorted by path, with the revision that the list shows. Without checksums.
pub async fn tree(project: ProjectId) -> Result<Tree, ApiError> {
    packed_tree(project).await.map(Tree::from)
}

/// A file with its text, at `version` or as it is now.
#[server(name = OpenFn, prefix = "/fn", endpoint = "files/open", input = Json)]
pub async fn open(project: ProjectId, path: String, version: Option<i64>) -> Result<OpenedFile, ApiError> {
    let ctx = super::ctx::current()?;
    domain::files::open_text(&ctx, project, &path, version).await.map_err(super::ctx::refuse)
}

/// Saves text by compare-and-swap.
#[server(name = SaveFn, prefix = "/fn", endpoint = "files/save", input = Json)]
pub async fn save(project: ProjectId, request: SaveText) -> Result<SaveOutcome, ApiError> {
    let ctx = super::ctx::current()?;
    domain::files::save_text(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// An empty directory.
#[server(name = CreateDirectoryFn, prefix = "/fn", endpoint = "files/create_directory", input = Json)]
pub async fn create_directory(project: ProjectId, path: String) -> Result<Entry, ApiError> {
    let ctx = super::ctx::current()?;
    domain::files::create_directory(&ctx, project, &path).await.map_err(super::ctx::refuse)
}

/// Moves a file, or a directory with all that lies below it, in one step.
#[server(name = MovePathFn, prefix = "/fn", endpoint = "files/move", input = Json)]
pub async fn move_path(project: ProjectId, request: MovePath) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::files::move_path(&ctx, project, request).await.map(|_| ()).map_err(super::ctx::refuse)
}

/// Deletes a file at `base`, or a directory with all that lies below it. What is deleted can be restored.
#[server(name = DeleteFn, prefix = "/fn", endpoint = "files/delete", input = Json)]
pub async fn delete(project: ProjectId, path: String, base: Option<Base>) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::files::delete(&ctx, project, &path, base).await.map(|_| ()).map_err(super::ctx::refuse)
}

/// Brings a deleted file or directory back, or an earlier version of a file.
#[server(name = RestoreFn, prefix = "/fn", endpoint = "files/restore", input = Json)]
pub async fn restore(project: ProjectId, request: RestorePath) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::files::restore(&ctx, project, request).await.map(|_| ()).map_err(super::ctx::refuse)
}

/// The versions of one path, newest first, 100 at a time; `before`: only older ones than that version.
#[server(name = HistoryFn, prefix = "/fn", endpoint = "files/history", input = Json)]
pub async fn history(project: ProjectId, path: String, before: Option<i64>) -> Result<Page<FileVersion>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::files::history(&ctx, project, &path, before).await.map_err(super::ctx::refuse)
}

/// Several steps as one revision, all of them or none; the answer says how to take them back.
#[server(name = ChangeFn, prefix = "/fn", endpoint = "files/change", input = Json)]
pub async fn change(project: ProjectId, request: ChangeFiles) -> Result<FilesChanged, ApiError> {
    let ctx = super::ctx::current()?;
    domain::files::change(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// What was deleted and can be restored, last deleted first.
#[server(name = TrashFn, prefix = "/fn", endpoint = "files/trash", input = Json)]
pub async fn trash(project: ProjectId) -> Result<Vec<TrashItem>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::files::trash(&ctx, project).await.map_err(super::ctx::refuse)
}
