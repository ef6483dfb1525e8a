use axum::{
    Json,
    http::{Method, StatusCode},
};
use domain::page;
use wire::{
    Page, PageQuery, TokenId,
    tokens::{ApiToken, CreateToken, CreatedToken},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/users/me/tokens", Access::SignedIn, get(list))
        .add(Method::POST, "/api/users/me/tokens", Access::SignedIn, post(create))
        .add(Method::DELETE, "/api/users/me/tokens/{id}", Access::SignedIn, delete(revoke))
}

async fn list(Caller(ctx): Caller, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<ApiToken>>> {
    let items = domain::tokens::list(&ctx).await.map_err(refuse(&ctx))?;
    page::of_short(items, &page, "tokens", |item| item.id.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn create(Caller(ctx): Caller, Body(request): Body<CreateToken>) -> Answer<(StatusCode, Json<CreatedToken>)> {
    let created = domain::tokens::create(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(created)))
}

async fn revoke(Caller(ctx): Caller, At(id): At<TokenId>) -> Answer<StatusCode> {
    domain::tokens::revoke(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}
