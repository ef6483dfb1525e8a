use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    InvitationId, ProjectId, UserId,
    members::{ChangeMember, Invite, Invited, Member, Members, TransferProject},
    users::UserRef,
};

use super::ApiError;

/// Everybody who is in the project; owners also see who is invited.
#[server(name = ListFn, prefix = "/fn", endpoint = "members/list", input = Json)]
pub async fn list(project: ProjectId) -> Result<Members, ApiError> {
    let ctx = super::ctx::current()?;
    domain::members::list(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Lets somebody in by user name or e-mail address; for owners.
#[server(name = InviteFn, prefix = "/fn", endpoint = "members/invite", input = Json)]
pub async fn invite(project: ProjectId, request: Invite) -> Result<Invited, ApiError> {
    let ctx = super::ctx::current()?;
    domain::members::invite(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// Gives a member another role; for owners.
#[server(name = ChangeFn, prefix = "/fn", endpoint = "members/change", input = Json)]
pub async fn change(project: ProjectId, user: UserId, request: ChangeMember) -> Result<Member, ApiError> {
    let ctx = super::ctx::current()?;
    domain::members::change(&ctx, project, user, request).await.map_err(super::ctx::refuse)
}

/// Takes a member out: owners anybody, everybody themselves.
#[server(name = RemoveFn, prefix = "/fn", endpoint = "members/remove", input = Json)]
pub async fn remove(project: ProjectId, user: UserId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::members::remove(&ctx, project, user).await.map_err(super::ctx::refuse)
}

/// Takes an invitation back; for owners.
#[server(name = WithdrawFn, prefix = "/fn", endpoint = "members/withdraw", input = Json)]
pub async fn withdraw(project: ProjectId, invitation: InvitationId) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::members::withdraw(&ctx, project, invitation).await.map_err(super::ctx::refuse)
}

/// Hands the project to another member; for owners.
#[server(name = TransferFn, prefix = "/fn", endpoint = "members/transfer", input = Json)]
pub async fn transfer(project: ProjectId, request: TransferProject) -> Result<Members, ApiError> {
    let ctx = super::ctx::current()?;
    domain::members::transfer(&ctx, project, request).await.map_err(super::ctx::refuse)
}

/// Who has the project open now.
#[server(name = PresentFn, prefix = "/fn", endpoint = "members/present", input = Json)]
pub async fn present(project: ProjectId) -> Result<Vec<UserRef>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::presence::present(&ctx, project).await.map_err(super::ctx::refuse)
}
