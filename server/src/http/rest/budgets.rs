use axum::{Json, http::Method};
use serde::Deserialize;
use wire::{
    ConversationId, Page, PageQuery, ProjectId,
    budgets::{Budget, BudgetLimits, SetBudget},
};

use crate::http::{
    error::{Answer, refuse},
    extract::{Asked, At, Body, Caller},
    openapi::signature::{get, put},
    routes::{Access, Routes},
};

type Budgets = Answer<Json<Page<Budget>>>;

pub fn declare(routes: Routes) -> Routes {
    routes
        .add(Method::GET, "/api/budgets", Access::SignedIn, get(mine))
        .add(Method::GET, "/api/projects/{id}/budgets", Access::Member, get(of_project))
        .add(Method::PUT, "/api/projects/{id}/budgets", Access::Member, put(set_of_project))
        .add(Method::PUT, "/api/conversations/{id}/budget", Access::Member, put(set_of_conversation))
        .add(Method::GET, "/api/admin/budgets", Access::Admin, get(all))
        .add(Method::PUT, "/api/admin/budgets", Access::Admin, put(set))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Where {
    project: Option<ProjectId>,
    conversation: Option<ConversationId>,
}

async fn mine(Caller(ctx): Caller, Asked(at): Asked<Where>, Asked(page): Asked<PageQuery>) -> Budgets {
    let items = domain::budgets::of_caller(&ctx, at.project, at.conversation).await.map_err(refuse(&ctx))?;
    part(items, &page).map_err(refuse(&ctx))
}

async fn of_project(Caller(ctx): Caller, At(id): At<ProjectId>, Asked(page): Asked<PageQuery>) -> Budgets {
    part(domain::budgets::of_project(&ctx, id).await.map_err(refuse(&ctx))?, &page).map_err(refuse(&ctx))
}

async fn set_of_project(Caller(ctx): Caller, At(id): At<ProjectId>, Body(limits): Body<BudgetLimits>) -> Budgets {
    domain::budgets::set_of_project(&ctx, id, limits).await.map(list).map_err(refuse(&ctx))
}

async fn set_of_conversation(Caller(ctx): Caller, At(id): At<ConversationId>, Body(limits): Body<BudgetLimits>) -> Budgets {
    domain::budgets::set_of_conversation(&ctx, id, limits).await.map(list).map_err(refuse(&ctx))
}

async fn all(Caller(ctx): Caller, Asked(page): Asked<PageQuery>) -> Budgets {
    part(domain::budgets::list(&ctx).await.map_err(refuse(&ctx))?, &page).map_err(refuse(&ctx))
}

async fn set(Caller(ctx): Caller, Body(request): Body<SetBudget>) -> Budgets {
    domain::budgets::set(&ctx, request).await.map(list).map_err(refuse(&ctx))
}

fn part(items: Vec<Budget>, asked: &PageQuery) -> domain::Result<Json<Page<Budget>>> {
    domain::page::of_short(items, asked, "budgets", |item| item.id.to_string()).map(Json)
}

fn list(items: Vec<Budget>) -> Json<Page<Budget>> {
    Json(Page::last(items))
}
