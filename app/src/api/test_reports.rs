use leptos::prelude::*;
use server_fn::codec::Json;
use wire::{
    ProjectId, RunId,
    test_reports::{TestReport, TestSettings},
};

use super::ApiError;

/// What a test run found, with its cases; `None` while it goes on.
#[server(name = OfRunFn, prefix = "/fn", endpoint = "test_reports/of_run", input = Json)]
pub async fn of_run(run: RunId) -> Result<Option<TestReport>, ApiError> {
    let ctx = super::ctx::current()?;
    domain::test_reports::of_run(&ctx, run).await.map_err(super::ctx::refuse)
}

/// The project's own test command, and what was recognised.
#[server(name = SettingsFn, prefix = "/fn", endpoint = "test_reports/settings", input = Json)]
pub async fn settings(project: ProjectId) -> Result<TestSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::test_reports::settings(&ctx, project).await.map_err(super::ctx::refuse)
}

/// Sets the project's own test command; empty goes back to what is recognised.
#[server(name = UpdateSettingsFn, prefix = "/fn", endpoint = "test_reports/update_settings", input = Json)]
pub async fn update_settings(project: ProjectId, request: TestSettings) -> Result<TestSettings, ApiError> {
    let ctx = super::ctx::current()?;
    domain::test_reports::update_settings(&ctx, project, request).await.map_err(super::ctx::refuse)
}
