//! Text that a person wants to review as a change before it is written.

use wire::{
    ProjectId,
    changes::{ChangeOrigin, ChangeSet},
    files::{EntryKind, FileAction, check_path},
    projects::ProjectRole,
    proposals::ProposeText,
};

use crate::{
    Ctx, Error, Result,
    changes::{self, ProposedFile},
    files::encode,
    projects, storage,
};

/// Mode of a file that does not exist yet.
const NEW_MODE: i32 = 0o644;

/// Makes a change set that gives one file another text. Nothing is written to the project.
pub async fn propose(ctx: &Ctx, project: ProjectId, request: ProposeText) -> Result<ChangeSet> {
    let ProposeText { path, text, format } = request;
    check_path(&path).map_err(|reason| Error::invalid("path", reason))?;
    if text.len() as u64 > changes::TEXT_MAX {
        return Err(Error::TooLarge("A text above 2 MiB can't be reviewed as a change. Save it as a file instead.".to_owned()));
    }
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await?;
    let base_revision = store::projects::revision(&mut conn, project).await?.ok_or(Error::NotFound("project"))?;
    let now = store::files::latest(&mut conn, project, &path).await?.filter(|row| row.action.0 != FileAction::Deleted);
    drop(conn);
    let old = match now {
        Some(row) if row.kind.0 != EntryKind::File => {
            return Err(Error::invalid("path", format!("{path} is not a file.")));
        }
        Some(row) => row.checksum.map(|checksum| (checksum, row.mode as i32)),
        None => None,
    };
    let stored = storage::open(ctx, project).await?.put_bytes(encode(&text, &format)?).await?;
    if old.as_ref().is_some_and(|(checksum, _)| *checksum == stored.sha256) {
        return Err(Error::invalid("text", format!("{path} already has this text, so there is nothing to review.")));
    }
    let mode = old.as_ref().map_or(NEW_MODE, |(_, mode)| *mode);
    let title = format!("From the conversation: {path}");
    let file =
        ProposedFile { path, kind: EntryKind::File, is_retyped: false, old, new: Some((stored.sha256, mode)), new_size: stored.size };
    changes::create_by_hand(ctx, project, base_revision, (ChangeOrigin::Conversation, title), vec![file]).await
}
