//! What models were used for and what that cost, from the ledger. Whole days are summed up by a job, so that charts stay fast.

use std::collections::{BTreeMap, HashMap, HashSet};

use store::{
    jobs as queue,
    ledger::{self, TurnCall},
    usage::{self as table, Days, Of, Thing, ThingSums},
};
use uuid::Uuid;
use wire::{
    Micros, ProjectId, TurnId,
    budgets::{CallUsage, TurnUsage, UsageGroup, UsageQuery, UsageReport, UsageRow, UsageSums},
    projects::ProjectRole,
};

use crate::{
    Ctx, Error, Result, budgets, chat,
    jobs::{self, JobKind},
    projects,
};

const DAY: i64 = 86_400 * Micros::SECOND;
const DAYS_DEFAULT: i64 = 30;
/// Ten years, leap days and all.
const DAYS_MAX: i64 = 3653;
/// A day is summed up when it has been over for so long: clocks of several servers differ.
const SETTLES_S: i64 = 600;
const EVERY_S: i64 = 3600;
/// For what is known by no name any more.
const GONE: &str = "Without a name";
/// Days summed up in one go.
const BATCH: usize = 400;

/// What the caller used, in all projects and outside of them.
pub async fn mine(ctx: &Ctx, query: UsageQuery) -> Result<UsageReport> {
    let user = ctx.require_user()?.id;
    ctx.require_all_projects()?;
    refuse_others(&query)?;
    let days = read_days(ctx, &query)?;
    let mut conn = ctx.services().db.read().await?;
    if query.conversation.is_some() {
        return Err(Error::invalid("conversation", "Ask for the usage of its project."));
    }
    // Names of things in projects that the caller has left are not theirs to know.
    let seen: HashSet<Uuid> = store::projects::list_for(&mut conn, user).await?.into_iter().map(|row| row.id.0).collect();
    report(&mut conn, Of::User(user), days, query.group_by, |project| seen.contains(&project)).await
}

/// What a project's people used in it.
pub async fn of_project(ctx: &Ctx, project: ProjectId, query: UsageQuery) -> Result<UsageReport> {
    refuse_others(&query)?;
    let days = read_days(ctx, &query)?;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await?;
    let of = match query.conversation {
        Some(id) => {
            let row = store::chat::conversation(&mut conn, id).await?.filter(|row| row.project_id == project);
            Of::Conversation(row.ok_or(Error::NotFound("conversation"))?.id)
        }
        None => Of::Project(project),
    };
    report(&mut conn, of, days, query.group_by, |_| true).await
}

/// What one turn used, call by call, for whoever may read it.
pub async fn of_turn(ctx: &Ctx, turn: TurnId) -> Result<TurnUsage> {
    chat::get_turn(ctx, turn).await?;
    let rows = ledger::calls_of_turn(&mut ctx.services().db.read().await?, turn).await?;
    let mut total = UsageSums::default();
    for row in rows.iter().filter(|row| row.outcome != "open") {
        let (billed_micros, estimated_micros) = if row.estimated { (0, row.cost_micros) } else { (row.cost_micros, 0) };
        let failed = i64::from(matches!(row.outcome.as_str(), "failed" | "lost"));
        let (input, output, cached) = (row.input, row.output, row.cached);
        total.add(&UsageSums { calls: 1, failed, input, output, cached, billed_micros, estimated_micros });
    }
    Ok(TurnUsage { turn_id: turn, calls: rows.into_iter().map(shown).collect(), total })
}

fn shown(row: TurnCall) -> CallUsage {
    CallUsage {
        id: row.id,
        message_id: row.message_id,
        model: row.model,
        input: row.input,
        cached: row.cached,
        output: row.output,
        cost_micros: row.cost_micros,
        estimated: row.estimated,
        outcome: row.outcome,
        first_token_ms: row.first_token_ms,
        duration_ms: row.duration_ms,
        started_at: row.started_at,
    }
}

/// What everybody used. What they asked for stays theirs: prompts and conversations are not listed.
pub async fn of_all(ctx: &Ctx, query: UsageQuery) -> Result<UsageReport> {
    ctx.require_admin()?;
    let days = read_days(ctx, &query)?;
    if matches!(query.group_by, UsageGroup::Conversation | UsageGroup::Turn | UsageGroup::Message) || query.conversation.is_some() {
        return Err(Error::invalid("group_by", "Choose day, model, user or project; the rest is told to the people of a project."));
    }
    let of = match (query.user, query.project) {
        (None, None) => Of::All,
        (Some(user), None) => Of::User(user),
        (None, Some(project)) => Of::Project(project),
        (Some(_), Some(_)) => return Err(Error::invalid("project", "Choose a person or a project.")),
    };
    let mut conn = ctx.services().db.read().await?;
    report(&mut conn, of, days, query.group_by, |_| true).await
}

fn refuse_others(query: &UsageQuery) -> Result<()> {
    for (field, is_named) in [("user", query.user.is_some()), ("project", query.project.is_some())] {
        if is_named {
            return Err(Error::invalid(field, "Only administrators choose a person or a project here."));
        }
    }
    Ok(())
}

fn day_of(at: Micros) -> i64 {
    at.0.div_euclid(DAY)
}

fn name_of(day: i64) -> String {
    Micros(day * DAY).to_rfc3339().chars().take(10).collect()
}

fn read_days(ctx: &Ctx, query: &UsageQuery) -> Result<Days> {
    let parse = |field: &str, text: &Option<String>, otherwise: i64| match text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(otherwise),
        Some(text) => {
            let time = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
            let wrong = || Error::invalid(field, "Write a day as 2026-11-22.");
            Micros::parse_rfc3339(&time).map(day_of).ok_or_else(wrong)
        }
    };
    let last = parse("to", &query.to, day_of(ctx.now()))?;
    let from = parse("from", &query.from, last - DAYS_DEFAULT + 1)?;
    if from > last {
        return Err(Error::invalid("from", "The first day comes after the last one."));
    }
    if last - from >= DAYS_MAX {
        return Err(Error::invalid("from", "Choose at most ten years."));
    }
    Ok(Days { from, until: last + 1 })
}

async fn report(conn: &mut store::Conn, of: Of, days: Days, group_by: UsageGroup, may_name: impl Fn(Uuid) -> bool) -> Result<UsageReport> {
    let rows = match group_by {
        UsageGroup::Day => day_rows(table::by_day(conn, of, days).await?, days),
        UsageGroup::Model => {
            let mut sums: HashMap<String, UsageSums> = HashMap::new();
            for row in table::by_model(conn, of, days).await? {
                sums.entry(row.model).or_default().add(&row.sums.into());
            }
            dearest(sums.into_iter().map(|(model, sums)| UsageRow { key: model.clone(), label: model, sums }).collect())
        }
        UsageGroup::User => thing_rows(table::by_thing(conn, of, days, Thing::User).await?, "Somebody who is gone", GONE, &may_name),
        UsageGroup::Project => thing_rows(table::by_thing(conn, of, days, Thing::Project).await?, "Outside of projects", GONE, &may_name),
        UsageGroup::Conversation => {
            let found = table::by_thing(conn, of, days, Thing::Conversation).await?;
            thing_rows(found, "Outside of conversations", "A conversation that is gone", &may_name)
        }
        UsageGroup::Turn => {
            let found = table::by_thing(conn, of, days, Thing::Turn).await?;
            thing_rows(found, "Outside of turns", "In a conversation that is gone", &may_name)
        }
        UsageGroup::Message => thing_rows(table::by_thing(conn, of, days, Thing::Message).await?, "No message", GONE, &may_name),
    };
    let mut total = UsageSums::default();
    for row in &rows {
        total.add(&row.sums);
    }
    Ok(UsageReport { from: name_of(days.from), to: name_of(days.until - 1), group_by, rows, total })
}

/// Every day of the range, those without calls too.
fn day_rows(found: Vec<table::DaySums>, days: Days) -> Vec<UsageRow> {
    let mut by_day: BTreeMap<i64, UsageSums> = (days.from..days.until).map(|day| (day, UsageSums::default())).collect();
    for row in found {
        by_day.entry(row.day).or_default().add(&row.sums.into());
    }
    let row = |(day, sums)| UsageRow { key: name_of(day), label: name_of(day), sums };
    by_day.into_iter().map(row).collect()
}

/// `none` stands for calls that belong to nothing, `gone` for those of what is there no more.
fn thing_rows(found: Vec<ThingSums>, none: &str, gone: &str, may_name: &impl Fn(Uuid) -> bool) -> Vec<UsageRow> {
    let mut rows: HashMap<Uuid, UsageRow> = HashMap::new();
    for row in found {
        let label = match row.label {
            _ if row.key.is_nil() => none.to_owned(),
            None => gone.to_owned(),
            Some(label) if label.is_empty() => "Without a name".to_owned(),
            Some(_) if row.project_id.is_some_and(|project| !project.is_nil() && !may_name(project)) => {
                "In a project you are no longer in".to_owned()
            }
            Some(label) => label,
        };
        let key = if row.key.is_nil() { String::new() } else { row.key.to_string() };
        let entry = rows.entry(row.key).or_insert_with(|| UsageRow { key, label, sums: UsageSums::default() });
        entry.sums.add(&row.sums.into());
    }
    dearest(rows.into_values().collect())
}

fn dearest(mut rows: Vec<UsageRow>) -> Vec<UsageRow> {
    rows.sort_by(|a, b| (b.sums.cost_micros(), b.sums.tokens(), &a.label).cmp(&(a.sums.cost_micros(), a.sums.tokens(), &b.label)));
    rows.truncate(table::ROWS_MAX as usize);
    rows
}

/// Queues the next summing up if the last one is an hour old. Any number of workers may ask.
pub async fn schedule(ctx: &Ctx) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    store::users::lock_installation(&mut tx).await?;
    let recent = ctx.now().plus_seconds(-EVERY_S);
    if !queue::any_since(&mut tx, JobKind::UsageRollup.as_str(), recent).await? {
        jobs::enqueue_for_system(ctx, &mut tx, JobKind::UsageRollup, &serde_json::json!({})).await?;
    }
    ctx.commit(tx).await
}

/// The job's body: settles calls that nobody is left to settle, then sums up the days that are over. Answers how many days.
pub async fn roll_up(system: &Ctx) -> Result<usize> {
    let settled = budgets::settle_abandoned(system).await?;
    if settled > 0 {
        tracing::warn!(settled, "model calls that nobody ended were booked at their worst case");
    }
    let today = day_of(system.now().plus_seconds(-SETTLES_S));
    let mut days = 0;
    while days < BATCH {
        let mut tx = system.services().db.begin().await?;
        store::users::lock_installation(&mut tx).await?;
        let more = table::roll_up_next(&mut tx, today).await?;
        system.commit(tx).await?;
        if !more {
            break;
        }
        days += 1;
    }
    let mut tx = system.services().db.begin().await?;
    queue::forget_succeeded(&mut tx, JobKind::UsageRollup.as_str(), system.now().plus_seconds(-EVERY_S * 72)).await?;
    system.commit(tx).await?;
    Ok(days)
}
