//! What else administrators take with them as tables.

use futures::{Stream, StreamExt, TryStreamExt, stream};
use wire::{
    audit::{AuditEntry, AuditOutcome, AuditQuery},
    budgets::{Budget, BudgetScope, Period, UsageGroup, UsageQuery},
    models::{Audience, ManagedModel},
};

use super::csv::{self, Bytes, Cell};
use crate::{Ctx, Result, audit, budgets, models, usage};

/// What everybody used, as [`usage::of_all`] sums it up.
pub async fn usage_csv(ctx: &Ctx, query: UsageQuery) -> Result<Bytes> {
    let report = usage::of_all(ctx, query).await?;
    let by = match report.group_by {
        UsageGroup::Day => "day",
        UsageGroup::Model => "model",
        UsageGroup::User => "user",
        UsageGroup::Project => "project",
        UsageGroup::Conversation => "conversation",
        UsageGroup::Turn => "turn",
        UsageGroup::Message => "message",
    };
    let mut out = csv::head(&[by, "name", "calls", "failed", "tokens_in", "cached", "tokens_out", "billed_usd", "estimated_usd"]);
    for row in &report.rows {
        let sums = row.sums;
        out.extend(csv::line(&[
            Cell::Text(&row.key),
            Cell::Text(&row.label),
            Cell::Number(sums.calls),
            Cell::Number(sums.failed),
            Cell::Number(sums.input),
            Cell::Number(sums.cached),
            Cell::Number(sums.output),
            Cell::Usd(sums.billed_micros),
            Cell::Usd(sums.estimated_micros),
        ]));
    }
    Ok(out)
}

/// All budgets that administrators set.
pub async fn budgets_csv(ctx: &Ctx) -> Result<Bytes> {
    let names = [
        "scope",
        "subject_id",
        "subject",
        "period",
        "limit_usd",
        "limit_tokens",
        "spent_usd",
        "reserved_usd",
        "spent_tokens",
        "percent",
        "updated_at",
    ];
    let mut out = csv::head(&names);
    for budget in budgets::list(ctx).await? {
        out.extend(budget_line(&budget));
    }
    Ok(out)
}

fn budget_line(budget: &Budget) -> Bytes {
    let scope = match budget.scope {
        BudgetScope::Instance => "instance",
        BudgetScope::UserDefault => "user_default",
        BudgetScope::User => "user",
        BudgetScope::Project => "project",
        BudgetScope::ProjectOwn => "project_own",
        BudgetScope::Conversation => "conversation",
        BudgetScope::Turn => "turn",
    };
    let none = Cell::Text("");
    csv::line(&[
        Cell::Text(scope),
        Cell::Text(&budget.subject.map(|id| id.to_string()).unwrap_or_default()),
        Cell::Text(&budget.subject_name),
        Cell::Text(if budget.period == Period::Month { "month" } else { "total" }),
        budget.usd_micros.map_or(none, Cell::Usd),
        budget.tokens.map_or(none, Cell::Number),
        Cell::Usd(budget.used.spent_micros),
        Cell::Usd(budget.used.reserved_micros),
        Cell::Number(budget.used.spent_tokens),
        Cell::Number(budget.percent),
        Cell::At(Some(budget.updated_at)),
    ])
}

/// All models with the prices of a million tokens and what was measured over the last 30 days.
pub async fn models_csv(ctx: &Ctx) -> Result<Bytes> {
    let names = [
        "id",
        "name",
        "provider",
        "remote_name",
        "version",
        "active",
        "administrators_only",
        "context_tokens",
        "max_output",
        "input_usd",
        "output_usd",
        "cached_usd",
        "cache_write_usd",
        "calls",
        "first_token_ms",
        "tokens_per_second",
        "success_percent",
        "accepted_percent",
    ];
    let mut out = csv::head(&names);
    for model in models::admin_view(ctx).await?.models {
        out.extend(model_line(&model));
    }
    Ok(out)
}

fn model_line(model: &ManagedModel) -> Bytes {
    let (settings, metrics) = (&model.current.settings, model.current.metrics);
    let decimal = |value: Option<f64>, times: f64| value.map(|value| format!("{:.1}", value * times)).unwrap_or_default();
    csv::line(&[
        Cell::Text(&model.id.to_string()),
        Cell::Text(&model.name),
        Cell::Text(&model.provider),
        Cell::Text(&settings.remote_name),
        Cell::Number(model.current.number),
        Cell::Yes(model.active),
        Cell::Yes(model.audience == Audience::Administrators),
        Cell::Number(settings.context_tokens),
        Cell::Number(settings.max_output),
        Cell::Usd(settings.prices.input),
        Cell::Usd(settings.prices.output),
        Cell::Usd(settings.prices.cached),
        Cell::Usd(settings.prices.of_cache_writes()),
        Cell::Number(metrics.calls),
        metrics.first_token_ms.map_or(Cell::Text(""), Cell::Number),
        Cell::Text(&decimal(metrics.tokens_per_second, 1.0)),
        Cell::Text(&decimal(metrics.success_rate, 100.0)),
        Cell::Text(&decimal(metrics.acceptance_rate, 100.0)),
    ])
}

const AUDIT_COLUMNS: &[&str] = &[
    "seq",
    "at",
    "action",
    "outcome",
    "actor_id",
    "actor",
    "actor_kind",
    "by",
    "address",
    "request_id",
    "target_kind",
    "target_id",
    "target",
    "project_id",
    "details",
    "hash",
];

/// Lines that are sent in one piece, when there are as many.
const LINES_AT_ONCE: usize = 256;

/// The entries that [`audit::export`] gives, as a table.
pub async fn audit_csv(ctx: &Ctx, query: AuditQuery) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
    let entries = audit::export(ctx, query).await?;
    let lines = entries.map_ok(|entry| audit_line(&entry)).ready_chunks(LINES_AT_ONCE).map(|lines| {
        let lines: Result<Vec<Bytes>> = lines.into_iter().collect();
        lines.map(|lines| lines.concat())
    });
    Ok(stream::iter([Ok(csv::head(AUDIT_COLUMNS))]).chain(lines))
}

fn audit_line(entry: &AuditEntry) -> Bytes {
    let kind = serde_json::to_value(entry.actor.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    let target = entry.target.as_ref();
    csv::line(&[
        Cell::Number(entry.seq),
        Cell::At(Some(entry.at)),
        Cell::Text(entry.action.word()),
        Cell::Text(if entry.outcome == AuditOutcome::Done { "done" } else { "refused" }),
        Cell::Text(&entry.actor.id.map(|id| id.to_string()).unwrap_or_default()),
        Cell::Text(&entry.actor.name),
        Cell::Text(&kind),
        Cell::Text(entry.actor.by.as_deref().unwrap_or_default()),
        Cell::Text(entry.address.as_deref().unwrap_or_default()),
        Cell::Text(&entry.request_id),
        Cell::Text(target.map(|t| t.kind.as_str()).unwrap_or_default()),
        Cell::Text(target.map(|t| t.id.as_str()).unwrap_or_default()),
        Cell::Text(target.map(|t| t.name.as_str()).unwrap_or_default()),
        Cell::Text(&entry.project_id.map(|id| id.to_string()).unwrap_or_default()),
        Cell::Text(&entry.details.to_string()),
        Cell::Text(&entry.hash),
    ])
}
