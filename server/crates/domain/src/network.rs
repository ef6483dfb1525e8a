//! What the runs of a project may reach, and what they tried to.

use std::collections::BTreeSet;

use serde_json::json;
use store::network as table;
use uuid::Uuid;
use wire::{
    FieldError, ProjectId, RunId,
    audit::AuditAction,
    event::{EventKind, Stream},
    network::{EgressEntry, HostRule, LOG_MAX, NetworkPolicy, RULES_MAX, UpdateNetwork},
    projects::ProjectRole,
};

use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    projects, settings,
};

/// Lines of the log that are kept of one project.
pub(crate) const LOG_KEPT: i64 = 2000;
/// Lines that one run may fill: one that scans the world must not push out what others did.
const LOG_OF_RUN: i64 = 500;
const LOG_IS_FULL: &str = "It asked for so many hosts that no more of them are listed.";
/// The longest name that DNS knows.
const HOST_MAX: usize = 253;
const REASON_MAX: usize = 400;

pub async fn policy(ctx: &Ctx, project: ProjectId) -> Result<NetworkPolicy> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let available = settings::load(&mut conn).await?.egress;
    let allow = table::rules(&mut conn, project).await?;
    let waiting = table::waiting(&mut conn, project).await?;
    let log = table::log(&mut conn, project, LOG_MAX).await?;
    let unavailable = why_unavailable(ctx, &available);
    Ok(NetworkPolicy { allow, waiting, available, unavailable, log })
}

/// Why runs get no proxy on this server; `None` where they do.
pub(crate) async fn why_closed(ctx: &Ctx) -> Result<Option<String>> {
    let available = settings::load(&mut ctx.services().db.read().await?).await?.egress;
    Ok(why_unavailable(ctx, &available))
}

fn why_unavailable(ctx: &Ctx, available: &[HostRule]) -> Option<String> {
    if let Some(reason) = &ctx.services().settings.no_network {
        return Some(reason.clone());
    }
    let closed = "The administrator has not opened any host to runs on this server, so none can reach the network.";
    available.is_empty().then(|| closed.to_owned())
}

/// Replaces the project's list. Only people decide this: the agent can't, whoever it acts for.
pub async fn update(ctx: &Ctx, project: ProjectId, request: UpdateNetwork) -> Result<NetworkPolicy> {
    let user = ctx.require_user()?;
    let mut tx = ctx.services().db.begin().await?;
    let role = projects::require(ctx, &mut tx, project, ProjectRole::Viewer).await?;
    if ctx.agent_turn().is_some() || (role < ProjectRole::Owner && ctx.require_admin().is_err()) {
        return Err(Error::Forbidden("Only the project's owner or an administrator can change what its runs may reach.".to_owned()));
    }
    let available = settings::load(&mut tx).await?.egress;
    let rules = check(request.allow, &available)?;
    table::set_rules(&mut tx, project, &rules).await?;
    let hosts: Vec<&str> = rules.iter().map(|rule| rule.0.as_str()).collect();
    let facts = Facts::about("network_rules", project, "").in_project(project).with(json!({ "allow": hosts }));
    audit::record(ctx, &mut tx, AuditAction::NetworkRulesChanged, facts);
    store::events::append(&mut tx, Stream::Project(project), ctx.now(), vec![EventKind::ProjectChanged {}]).await?;
    ctx.commit(tx).await?;
    tracing::info!(project.id = %project, by = %user.id, rules = rules.len(), "what runs of a project may reach was changed");
    policy(ctx, project).await
}

/// The rules in their plain form, each once, or everything that is wrong with them.
fn check(asked: Vec<HostRule>, available: &[HostRule]) -> Result<Vec<HostRule>> {
    if asked.len() > RULES_MAX {
        return Err(Error::invalid("allow", format!("At most {RULES_MAX} rules can be kept.")));
    }
    let mut rules: Vec<HostRule> = Vec::new();
    let mut fields = Vec::new();
    for rule in asked {
        let rule = HostRule(rule.0.trim().to_ascii_lowercase());
        let shown: String = rule.0.chars().take(HOST_MAX).collect();
        if let Err(reason) = rule.parse() {
            fields.push(FieldError::new("allow", format!("{shown:?}: {reason}")));
        } else if !available.iter().any(|open| open.includes(&rule)) {
            fields.push(FieldError::new("allow", format!("{shown} is not open to projects here. {}", list_available(available))));
        } else if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    if fields.is_empty() { Ok(rules) } else { Err(Error::Invalid(fields)) }
}

fn list_available(available: &[HostRule]) -> String {
    if available.is_empty() {
        return "The administrator has not opened any host.".to_owned();
    }
    let shown: Vec<&str> = available.iter().take(10).map(|rule| rule.0.as_str()).collect();
    let more = if available.len() > shown.len() { format!(" and {} more", available.len() - shown.len()) } else { String::new() };
    format!("The administrator allows {}{more}.", shown.join(", "))
}

/// What a run of the project may reach now: its rules, as far as the administrator still allows them.
pub async fn rules(ctx: &Ctx, project: ProjectId) -> Result<Vec<HostRule>> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let available = settings::load(&mut conn).await?.egress;
    let rules = table::rules(&mut conn, project).await?;
    Ok(rules.into_iter().filter(|rule| available.iter().any(|open| open.includes(rule))).collect())
}

/// Writes down what a run asked the proxy for, up to a limit. The same question in one batch is written once.
pub async fn record(ctx: &Ctx, run: RunId, entries: Vec<EgressEntry>) -> Result<()> {
    let mut seen = BTreeSet::new();
    let mut batch = Vec::new();
    for mut entry in entries {
        entry.run_id = run;
        truncate(&mut entry.host, HOST_MAX);
        truncate(&mut entry.reason, REASON_MAX);
        if seen.insert((entry.host.clone(), entry.port, entry.allowed)) {
            batch.push(entry);
        }
    }
    if batch.is_empty() {
        return Ok(());
    }
    let mut tx = ctx.services().db.begin().await?;
    let project = store::runs::get(&mut tx, run).await?.ok_or(Error::NotFound("run"))?.project_id;
    let room = usize::try_from(LOG_OF_RUN - table::count_log(&mut tx, project, run).await?).unwrap_or(0);
    if room == 0 {
        return Ok(());
    }
    let is_full = batch.len() >= room;
    batch.truncate(room);
    for entry in &batch {
        table::insert_log(&mut tx, ctx.new_id::<Uuid>(), project, entry).await?;
    }
    table::prune_log(&mut tx, project, LOG_KEPT).await?;
    let told =
        |entry: EgressEntry| EventKind::EgressAsked { host: entry.host, port: entry.port, allowed: entry.allowed, reason: entry.reason };
    let mut events: Vec<EventKind> = batch.into_iter().map(told).collect();
    if is_full {
        events.push(EventKind::RunNoted { text: LOG_IS_FULL.to_owned() });
    }
    store::events::append(&mut tx, Stream::Run(run), ctx.now(), events).await?;
    ctx.commit(tx).await
}

fn truncate(text: &mut String, most: usize) {
    text.truncate(text.floor_char_boundary(most));
}
