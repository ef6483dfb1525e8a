use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ConversationId, ProjectId,
    budgets::{Budget, BudgetLimits, BudgetWatch, SetBudget},
};

use super::ApiError;

/// The budgets that hold for what the caller asks models, in a project and a conversation where these are named, and where news of them
/// are told.
#[server(name = MyBudgetsFn, prefix = "/fn", endpoint = "budgets/mine", input = Json)]
pub async fn mine(project: Option<ProjectId>, conversation: Option<ConversationId>) -> Result<BudgetWatch, ApiError> {
    let ctx = super::ctx::current()?;
    domain::budgets::watched(&ctx, project, conversation).await.map_err(super::ctx::refuse)
}

/// A project's budgets, the administrator's and its owner's own.
#[server(name = ProjectBudgetsFn, prefix = "/fn", endpoint = "budgets/of_project", input = Json)]
pub async fn of_project(project: ProjectId) -> Result<Vec<Budget>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::budgets::of_project(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Sets the owner's own budget of a project, or takes it away. With a version only that one, else it is refused with what stands now.
#[server(name = SetProjectBudgetFn, prefix = "/fn", endpoint = "budgets/set_of_project", input = Json)]
pub async fn set_of_project(project: ProjectId, limits: BudgetLimits) -> Result<Vec<Budget>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::budgets::set_of_project(&ctx, project, limits).await.map_err(super::ctx::refuse)
}

/// Sets what one conversation may cost over all its turns; versions as for [`set_of_project`].
#[server(name = SetConversationBudgetFn, prefix = "/fn", endpoint = "budgets/set_of_conversation", input = Json)]
pub async fn set_of_conversation(conversation: ConversationId, limits: BudgetLimits) -> Result<Vec<Budget>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::budgets::set_of_conversation(&ctx, conversation, limits).await.map_err(super::ctx::refuse)
}

/// All that administrators set; for administrators.
#[server(name = AdminBudgetsFn, prefix = "/fn", endpoint = "admin/budgets", input = Json)]
pub async fn all() -> Result<Vec<Budget>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::budgets::list(&ctx).await.map_err(super::ctx::refuse)
}

/// Sets one of [`all`], or takes it away; for administrators. Versions as for [`set_of_project`].
#[server(name = SetBudgetFn, prefix = "/fn", endpoint = "admin/set_budget", input = Json)]
pub async fn set(request: SetBudget) -> Result<Vec<Budget>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::budgets::set(&ctx, request).await.map_err(super::ctx::refuse)
}
