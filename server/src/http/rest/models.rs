use axum::{
    Json,
    http::{Method, StatusCode},
};
use domain::page;
use wire::{
    ModelId, Page, PageQuery, ProviderId,
    models::{
        CreateModel, CreateProvider, ManagedModel, ModelAdmin, ModelChoices, ModelVersion, Models, OwnKey, Provider, ProviderTest,
        SetOwnKey, UpdateModel, UpdateProvider,
    },
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{delete, get, patch, post, put},
    routes::{Access, Routes},
};

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/models", Access::SignedIn, get(list))
        .add(Method::GET, "/api/users/me/model-keys", Access::SignedIn, get(own_keys))
        .add(Method::PUT, "/api/users/me/model-keys/{id}", Access::SignedIn, put(set_own_key))
        .add(Method::DELETE, "/api/users/me/model-keys/{id}", Access::SignedIn, delete(remove_own_key))
        .add(Method::GET, "/api/admin/models", Access::Admin, get(admin_view))
        .add(Method::POST, "/api/admin/models", Access::Admin, post(create_model))
        .add(Method::PUT, "/api/admin/models/choices", Access::Admin, put(set_choices))
        .add(Method::PATCH, "/api/admin/models/{id}", Access::Admin, patch(update_model))
        .add(Method::DELETE, "/api/admin/models/{id}", Access::Admin, delete(remove_model))
        .add(Method::GET, "/api/admin/models/{id}/versions", Access::Admin, get(versions))
        .add(Method::POST, "/api/admin/model-providers", Access::Admin, post(create_provider))
        .add(Method::PATCH, "/api/admin/model-providers/{id}", Access::Admin, patch(update_provider))
        .add(Method::DELETE, "/api/admin/model-providers/{id}", Access::Admin, delete(remove_provider))
        .add(Method::POST, "/api/admin/model-providers/{id}/test", Access::Admin, post(test_provider))
}

async fn list(Caller(ctx): Caller) -> Answer<Json<Models>> {
    domain::models::list(&ctx).await.map(Json).map_err(refuse(&ctx))
}

async fn own_keys(Caller(ctx): Caller, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<OwnKey>>> {
    let items = domain::models::own_keys(&ctx).await.map_err(refuse(&ctx))?;
    page::of_short(items, &page, "model-keys", |item| item.provider_id.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn set_own_key(Caller(ctx): Caller, At(id): At<ProviderId>, Body(request): Body<SetOwnKey>) -> Answer<Json<Page<OwnKey>>> {
    domain::models::set_own_key(&ctx, id, request).await.map(|items| Json(Page::last(items))).map_err(refuse(&ctx))
}

async fn remove_own_key(Caller(ctx): Caller, At(id): At<ProviderId>) -> Answer<StatusCode> {
    domain::models::remove_own_key(&ctx, id).await.map(|_| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn admin_view(Caller(ctx): Caller, Asked(page): Asked<PageQuery>) -> Answer<Json<ModelAdmin>> {
    let mut view = domain::models::admin_view(&ctx).await.map_err(refuse(&ctx))?;
    let models = std::mem::take(&mut view.models);
    let part = page::of_short(models, &page, "models", |item| item.id.to_string()).map_err(refuse(&ctx))?;
    Ok(Json(ModelAdmin { models: part.items, next_cursor: part.next_cursor, ..view }))
}

async fn set_choices(Caller(ctx): Caller, Body(request): Body<ModelChoices>) -> Answer<Json<ModelAdmin>> {
    domain::models::set_choices(&ctx, request).await.map(Json).map_err(refuse(&ctx))
}

async fn create_model(Caller(ctx): Caller, Body(request): Body<CreateModel>) -> Answer<(StatusCode, Json<ManagedModel>)> {
    let model = domain::models::create_model(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(model)))
}

async fn update_model(Caller(ctx): Caller, At(id): At<ModelId>, Body(request): Body<UpdateModel>) -> Answer<Json<ManagedModel>> {
    domain::models::update_model(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn remove_model(Caller(ctx): Caller, At(id): At<ModelId>) -> Answer<StatusCode> {
    domain::models::remove_model(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn versions(Caller(ctx): Caller, At(id): At<ModelId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<ModelVersion>>> {
    let items = domain::models::versions(&ctx, id).await.map_err(refuse(&ctx))?;
    page::of_short(items, &page, "model-versions", |item| item.id.to_string()).map(Json).map_err(refuse(&ctx))
}

async fn create_provider(Caller(ctx): Caller, Body(request): Body<CreateProvider>) -> Answer<(StatusCode, Json<Provider>)> {
    let provider = domain::models::create_provider(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(provider)))
}

async fn update_provider(Caller(ctx): Caller, At(id): At<ProviderId>, Body(request): Body<UpdateProvider>) -> Answer<Json<Provider>> {
    domain::models::update_provider(&ctx, id, request).await.map(Json).map_err(refuse(&ctx))
}

async fn remove_provider(Caller(ctx): Caller, At(id): At<ProviderId>) -> Answer<StatusCode> {
    domain::models::remove_provider(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn test_provider(Caller(ctx): Caller, At(id): At<ProviderId>) -> Answer<Json<ProviderTest>> {
    domain::models::test_provider(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}
