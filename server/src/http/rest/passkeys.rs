use axum::{
    Json,
    http::{Method, StatusCode},
};
use wire::{
    PasskeyId,
    auth::Tokens,
    passkeys::{AddPasskey, AddedPasskey, Ceremony, Passkey, PasskeyAnswer, Passkeys, RenamePasskey},
    second_factor::ConfirmWithPassword,
};

use crate::http::{
    error::{Answer, refuse},
    extract::{At, Body, Caller},
    openapi::signature::{delete, get, patch, post},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::POST, "/api/auth/passkey", Access::Public, post(begin_sign_in))
        .add(Method::POST, "/api/auth/passkey/confirm", Access::Public, post(sign_in))
        .add(Method::GET, "/api/users/me/passkeys", Access::SignedIn, get(list))
        .add(Method::POST, "/api/users/me/passkeys", Access::SignedIn, post(begin_add))
        .add(Method::POST, "/api/users/me/passkeys/confirm", Access::SignedIn, post(add))
        .add(Method::PATCH, "/api/users/me/passkeys/{id}", Access::SignedIn, patch(rename))
        .add(Method::DELETE, "/api/users/me/passkeys/{id}", Access::SignedIn, delete(remove))
}

async fn begin_sign_in(Caller(ctx): Caller) -> Answer<Json<Ceremony>> {
    domain::passkeys::begin_sign_in(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn sign_in(Caller(ctx): Caller, Body(answer): Body<PasskeyAnswer>) -> Answer<Json<Tokens>> {
    domain::passkeys::sign_in(&ctx, answer).await.map(Json).map_err(refuse(&ctx))
}

async fn list(Caller(ctx): Caller) -> Answer<Json<Passkeys>> {
    domain::passkeys::list(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn begin_add(Caller(ctx): Caller, Body(request): Body<ConfirmWithPassword>) -> Answer<Json<Ceremony>> {
    domain::passkeys::begin_add(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn add(Caller(ctx): Caller, Body(request): Body<AddPasskey>) -> Answer<(StatusCode, Json<AddedPasskey>)> {
    domain::passkeys::add(&ctx, request).await.map(|added| (StatusCode::CREATED, Json(added))).map_err(refuse(&ctx))
}

async fn rename(Caller(ctx): Caller, At(id): At<PasskeyId>, Body(request): Body<RenamePasskey>) -> Answer<Json<Passkey>> {
    domain::passkeys::rename(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn remove(Caller(ctx): Caller, At(id): At<PasskeyId>, Body(request): Body<ConfirmWithPassword>) -> Answer<StatusCode> {
    domain::passkeys::remove(&ctx, id, request).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}
