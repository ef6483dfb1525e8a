use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ChangeSetId, ProjectId, ReviewCommentId, TurnId,
    changes::{AddComment, ChangeSet, Decide, Decided, FileSides, OpenChangeSet, ReviewComment},
    chat::Queued,
};

use super::ApiError;

/// What a turn proposes; `None` when it changed nothing.
#[server(name = OfTurnFn, prefix = "/fn", endpoint = "changes/of_turn", input = Json)]
pub async fn of_turn(turn: TurnId) -> Result<Option<ChangeSet>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::of_turn(&ctx, turn).await.map_err(super::ctx::refuse)
}

/// A change set, whoever made it.
#[server(name = GetChangeSetFn, prefix = "/fn", endpoint = "changes/get", input = Json)]
pub async fn get(id: ChangeSetId) -> Result<ChangeSet, ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::get(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Applies decisions by compare-and-swap; what no longer fits is reported, never forced.
#[server(name = DecideFn, prefix = "/fn", endpoint = "changes/decide", input = Json)]
pub async fn decide(id: ChangeSetId, request: Decide) -> Result<Decided, ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::decide(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// The change sets of a project that wait for decisions.
#[server(name = OpenChangeSetsFn, prefix = "/fn", endpoint = "changes/open", input = Json)]
pub async fn open(project: ProjectId) -> Result<Vec<OpenChangeSet>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::open(&ctx, project).await.map_err(super::ctx::refuse)
}

/// One file of a change set as it was and as it is proposed.
#[server(name = ChangeSidesFn, prefix = "/fn", endpoint = "changes/sides", input = Json)]
pub async fn sides(id: ChangeSetId, path: String) -> Result<FileSides, ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::sides(&ctx, id, &path).await.map_err(super::ctx::refuse)
}

/// Says something about a hunk.
#[server(name = CommentFn, prefix = "/fn", endpoint = "changes/comment", input = Json)]
pub async fn comment(id: ChangeSetId, request: AddComment) -> Result<ReviewComment, ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::comment(&ctx, id, request).await.map_err(super::ctx::refuse)
}

/// Takes a comment back that is not sent yet.
#[server(name = RemoveCommentFn, prefix = "/fn", endpoint = "changes/remove_comment", input = Json)]
pub async fn remove_comment(id: ReviewCommentId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::remove_comment(&ctx, id).await.map_err(super::ctx::refuse)
}

/// Makes all comments that wait the agent's next prompt, or one of its queue while it is at work.
#[server(name = SendCommentsFn, prefix = "/fn", endpoint = "changes/send_comments", input = Json)]
pub async fn send_comments(id: ChangeSetId) -> Result<Queued, ApiError> {
    let ctx = super::ctx::current()?;
    domain::changes::send_comments(&ctx, id).await.map_err(super::ctx::refuse)
}
