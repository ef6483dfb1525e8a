use axum::{
    Json,
    http::{Method, StatusCode},
};
use domain::page;
use wire::{IdentityId, Page, PageQuery, identities::Identity};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Caller},
    openapi::signature::{delete, get},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/api/users/me/identities", Access::SignedIn, get(list)).add(
        Method::DELETE,
        "/api/users/me/identities/{id}",
        Access::SignedIn,
        delete(unlink),
    )
}

async fn list(Caller(ctx): Caller, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<Identity>>> {
    let items = domain::identities::list(&ctx).await.map_err(refuse(&ctx))?;
    page::of_short(items, &page, "identities", |item| item.id.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn unlink(Caller(ctx): Caller, At(id): At<IdentityId>) -> Answer<StatusCode> {
    domain::identities::unlink(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}
