use axum::{
    Json,
    http::{Method, StatusCode},
};
use domain::page;
use wire::{
    InvitationId, Page, PageQuery, ProjectId, UserId,
    members::{ChangeMember, Invite, Invited, Member, Members, TransferProject},
    users::UserRef,
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, post, put},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/projects/{id}/members", Access::Member, get(list))
        .add(Method::POST, "/api/projects/{id}/members", Access::Member, post(invite))
        .add(Method::PUT, "/api/projects/{id}/members/{user_id}", Access::Member, put(change))
        .add(Method::DELETE, "/api/projects/{id}/members/{user_id}", Access::Member, delete(remove))
        .add(Method::DELETE, "/api/projects/{id}/invitations/{invitation_id}", Access::Member, delete(withdraw))
        .add(Method::POST, "/api/projects/{id}/transfer", Access::Member, post(transfer))
        .add(Method::GET, "/api/projects/{id}/presence", Access::Member, get(present))
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<Members>> {
    domain::members::list(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn invite(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<Invite>) -> Answer<(StatusCode, Json<Invited>)> {
    let invited = domain::members::invite(&ctx, id, request).await.map_err(refuse(&ctx))?;
    let status = if matches!(invited, Invited::Joined { .. }) { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    Ok((status, Json(invited)))
}

async fn change(Caller(ctx): Caller, At((id, user)): At<(ProjectId, UserId)>, Body(request): Body<ChangeMember>) -> Answer<Json<Member>> {
    domain::members::change(&ctx, id, user, request).await.map(Json).map_err(refuse(&ctx))
}

async fn remove(Caller(ctx): Caller, At((id, user)): At<(ProjectId, UserId)>) -> Answer<StatusCode> {
    domain::members::remove(&ctx, id, user).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn withdraw(Caller(ctx): Caller, At((id, invitation)): At<(ProjectId, InvitationId)>) -> Answer<StatusCode> {
    domain::members::withdraw(&ctx, id, invitation).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn transfer(Caller(ctx): Caller, At(id): At<ProjectId>, Body(request): Body<TransferProject>) -> Answer<Json<Members>> {
    domain::members::transfer(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn present(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<UserRef>>> {
    let items = domain::presence::present(&ctx, id).await.map_err(refuse(&ctx))?;
    page::of_short(items, &page, "presence", |item| item.id.to_string()).map(Json).map_err(refuse(&ctx))
}
