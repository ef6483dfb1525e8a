//! A project from files that come batch by batch. Archives and repositories are in `import`.

use axum::{
    Json,
    extract::{DefaultBodyLimit, Multipart, multipart::MultipartRejection},
    http::{Method, StatusCode},
};
use domain::{
    Ctx, Error,
    files::Received,
    import::staged::{self, StageFile},
};
use wire::{
    Page, PageQuery, ProjectId,
    imports::{StageItem, StageOutcome, StagedFile, StagedImport, StartImport},
    limits,
    projects::ImportStarted,
};

use super::uploads::{expect_end, next_file, read_items, store};
use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller, refuse_form},
    openapi::signature::{delete, get, post},
    routes::{Access, Routes},
};

const IMPORT: &str = "/api/imports/{id}";
const FILES: &str = "/api/imports/{id}/files";

pub fn declare(routes: Routes) -> Routes {
    let batch = post(stage).layer(DefaultBodyLimit::max(limits::PROJECT_BYTES_MAX as usize));
    routes
        .add(Method::POST, "/api/imports", Access::SignedIn, post(start))
        .add(Method::GET, IMPORT, Access::SignedIn, get(show))
        .add(Method::DELETE, IMPORT, Access::SignedIn, delete(cancel))
        .add(Method::GET, FILES, Access::SignedIn, get(list))
        .add(Method::POST, FILES, Access::SignedIn, batch)
        .add(Method::POST, "/api/imports/{id}/finish", Access::SignedIn, post(finish))
}

async fn start(Caller(ctx): Caller, Body(request): Body<StartImport>) -> Answer<(StatusCode, Json<StagedImport>)> {
    let begun = staged::start(&ctx, request).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::CREATED, Json(begun)))
}

async fn show(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<Json<StagedImport>> {
    staged::get(&ctx, id).await.map(Json).map_err(refuse(&ctx))
}

async fn cancel(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<StatusCode> {
    staged::cancel(&ctx, id).await.map(|()| StatusCode::NO_CONTENT).map_err(refuse(&ctx))
}

async fn list(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(page): Asked<PageQuery>) -> Answer<Json<Page<StagedFile>>> {
    staged::files(&ctx, id, &page).await.map(Json).map_err(refuse(&ctx))
}

async fn stage(Caller(ctx): Caller, At(id): At<ProjectId>, form: Result<Multipart, MultipartRejection>) -> Answer<Json<Vec<StageOutcome>>> {
    // Whoever may not know of it hears nothing about forms.
    staged::get(&ctx, id).await.map_err(refuse(&ctx))?;
    let form = form.map_err(|_| refuse_form(&ctx))?;
    let files = receive(&ctx, id, form).await.map_err(refuse(&ctx))?;
    staged::stage(&ctx, id, files).await.map(Json).map_err(refuse(&ctx))
}

/// First the manifest, then the files in its order; each goes straight to storage, unless its path is refused anyway.
async fn receive(ctx: &Ctx, id: ProjectId, mut form: Multipart) -> Result<Vec<StageFile>, Error> {
    let items: Vec<StageItem> = read_items(&mut form, "the path of each file").await?;
    let mut files = Vec::with_capacity(items.len());
    for StageItem { path, executable } in items {
        let field = next_file(&mut form).await?;
        let bytes = match staged::refuse_path(&path) {
            Some(reason) => Received::Refused(reason),
            None => store(field, |body| staged::receive(ctx, id, body)).await?,
        };
        files.push(StageFile { path, executable, bytes });
    }
    expect_end(&mut form).await?;
    Ok(files)
}

async fn finish(Caller(ctx): Caller, At(id): At<ProjectId>) -> Answer<(StatusCode, Json<ImportStarted>)> {
    let started = staged::finish(&ctx, id).await.map_err(refuse(&ctx))?;
    Ok((StatusCode::ACCEPTED, Json(started)))
}
