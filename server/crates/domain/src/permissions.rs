//! What the agent may do in a project without asking. People make the rules; the agent only ever reads them.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;
use store::{Tx, permissions as table};
use wire::{
    FieldError, PermissionRuleId, ProjectId,
    audit::AuditAction,
    chat::{Approval, MessageBody, Mode, ToolCall},
    event::{EventKind, Stream},
    permissions::{
        BUILT_IN, BuiltIn, CallFacts, CallOutcome, CallSubject, Decision, LOOKED_AT_MAX, NewPermissionRule, PermissionRule, Permissions,
        RULES_MAX, Reach, RememberRule, TRY_TURNS, TRY_TURNS_MAX, ToolTraits, TriedCall, TriedPermissions, TryPermissions, UNKNOWN, decide,
        tool_traits,
    },
    projects::ProjectRole,
    users::UserRef,
};

use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    projects,
};

/// Calls that a dry run lists; its counts are of all.
const TRIED_LISTED: usize = 300;
const SUBJECT_CHARS: usize = 200;

/// The rules with what holds without any.
pub async fn list(ctx: &Ctx, project: ProjectId) -> Result<Permissions> {
    let mut conn = ctx.services().db.read().await?;
    let role = projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    Ok(Permissions {
        rules: table::rules(&mut conn, project).await?,
        waiting: table::waiting(&mut conn, project).await?,
        built_in: BUILT_IN.into_iter().map(BuiltIn::to_rule).collect(),
        may_change: role >= ProjectRole::Editor && ctx.agent_turn().is_none(),
    })
}

/// What `wire::permissions::decide` is given.
pub async fn rules(ctx: &Ctx, project: ProjectId) -> Result<Vec<PermissionRule>> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    Ok(table::rules(&mut conn, project).await?)
}

/// Adds a rule. One that says the same already is answered instead.
pub async fn add(ctx: &Ctx, project: ProjectId, request: NewPermissionRule) -> Result<PermissionRule> {
    let by = require_person(ctx)?;
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    let rule = insert(ctx, &mut tx, project, by, request).await?;
    ctx.commit(tx).await?;
    Ok(rule)
}

/// Takes a rule back, or one that waits off the list. Turns under way read the rules before each call, so it ends for them as well.
pub async fn revoke(ctx: &Ctx, project: ProjectId, id: PermissionRuleId) -> Result<()> {
    let by = require_person(ctx)?;
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    if !table::delete_rule(&mut tx, project, id).await? {
        return Err(Error::NotFound("rule"));
    }
    tracing::info!(project.id = %project, rule.id = %id, by = %by.id, "a rule of the agent was revoked");
    let facts = Facts::about("permission_rule", id, "").in_project(project).with(json!({ "what": "revoked" }));
    audit::record(ctx, &mut tx, AuditAction::PermissionRulesChanged, facts);
    let event = EventKind::PermissionRevoked { rule_id: id, by };
    store::events::append(&mut tx, Stream::Project(project), ctx.now(), vec![event]).await?;
    ctx.commit(tx).await
}

/// Keeps what was said along with an approval, in its transaction. Approving takes a reviewer, a rule for the future an editor.
pub(crate) async fn remember(ctx: &Ctx, tx: &mut Tx, project: ProjectId, call: &ToolCall, rule: &RememberRule) -> Result<()> {
    let by = require_person(ctx)?;
    projects::require(ctx, tx, project, ProjectRole::Editor).await?;
    let new = rule.for_tool(&call.name);
    // Without its pattern the rule would be about the tool as a whole.
    let (RememberRule::CommandPattern(text) | RememberRule::PathPattern(text) | RememberRule::Tool(text)) = rule;
    if text.trim().is_empty() {
        return Err(Error::invalid("remember", "Say what is to be allowed from now on."));
    }
    if let RememberRule::Tool(name) = rule
        && name != &call.name
    {
        return Err(Error::invalid("remember", format!("The question was about {}, so only that can be allowed with it.", call.name)));
    }
    let fields: Vec<FieldError> = new.validate().into_iter().map(|field| FieldError::new("remember", field.message)).collect();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let tried = new.as_rule(ctx.new_id(), project, None, ctx.now());
    let traits = ToolTraits { mutates: true, asks: true };
    let decision = CallSubject::read(&call.name, &call.arguments)
        .with_facts(&call.name, traits, |facts| decide(std::slice::from_ref(&tried), Mode::Ask, facts));
    if !matches!(decision, Decision::Allow { rule: Some(_) }) {
        return Err(Error::invalid("remember", "This rule would not allow the call that was asked about. Allow it once instead."));
    }
    insert(ctx, tx, project, by, new).await?;
    Ok(())
}

fn require_person(ctx: &Ctx) -> Result<UserRef> {
    if ctx.agent_turn().is_some() {
        return Err(Error::Forbidden("Only people decide what the agent may do.".to_owned()));
    }
    ctx.user_ref().ok_or(Error::NotSignedIn)
}

async fn insert(ctx: &Ctx, tx: &mut Tx, project: ProjectId, by: UserRef, request: NewPermissionRule) -> Result<PermissionRule> {
    let new = request.normalise();
    let fields = new.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    // The row lock keeps the count and the comparison true until the rule is in.
    table::lock(tx, project).await?;
    let known = table::rules(tx, project).await?;
    let says_same = |rule: &&PermissionRule| {
        rule.effect == new.effect
            && rule.tool == new.tool
            && rule.command_pattern == new.command_pattern
            && rule.path_pattern == new.path_pattern
    };
    if let Some(same) = known.iter().find(says_same) {
        return Ok(same.clone());
    }
    for waiting in table::waiting(tx, project).await?.iter().filter(says_same) {
        table::delete_rule(tx, project, waiting.id).await?;
    }
    if known.len() >= RULES_MAX {
        return Err(Error::conflict(format!("The project has {RULES_MAX} rules, which is the most. Revoke some that are not needed.")));
    }
    let rule = new.as_rule(ctx.new_id(), project, Some(by.clone()), ctx.now());
    table::insert_rule(tx, &rule).await?;
    let details = json!({
        "what": "added", "effect": rule.effect, "tool": rule.tool, "command_pattern": rule.command_pattern, "path_pattern": rule.path_pattern,
    });
    let facts = Facts::about("permission_rule", rule.id, "").in_project(project).with(details);
    audit::record(ctx, tx, AuditAction::PermissionRulesChanged, facts);
    tracing::info!(project.id = %project, rule.id = %rule.id, by = %by.id, "a rule of the agent was added");
    let event = EventKind::PermissionAdded { rule_id: rule.id, by };
    store::events::append(tx, Stream::Project(project), ctx.now(), vec![event]).await?;
    Ok(rule)
}

/// What the rules, and those in `request`, would have decided over the last turns' calls, as each turn found the files. Changes nothing.
pub async fn try_out(ctx: &Ctx, project: ProjectId, request: TryPermissions) -> Result<TriedPermissions> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let mut rules = table::rules(&mut conn, project).await?;
    for draft in request.add.into_iter().take(RULES_MAX) {
        let draft = draft.normalise();
        let fields = draft.validate();
        if !fields.is_empty() {
            return Err(Error::Invalid(fields));
        }
        rules.push(draft.as_rule(ctx.new_id(), project, None, ctx.now()));
    }
    drop(conn);
    // As a turn would know them; asking a server may take a while.
    let foreign = ctx.services().toolbox.foreign_traits(ctx, project).await?;
    let mut conn = ctx.services().db.read().await?;
    let limit = request.turns.unwrap_or(TRY_TURNS).min(TRY_TURNS_MAX);
    let turns = table::past_turns(&mut conn, project, i64::from(limit)).await?;
    drop(conn);
    let mut tried =
        TriedPermissions { turns: i64::try_from(turns.len()).unwrap_or(i64::MAX), allowed: 0, asked: 0, denied: 0, calls: Vec::new() };
    let mut ground = Ground::default();
    for turn in &turns {
        let mut conn = ctx.services().db.read().await?;
        let messages = table::past_messages(&mut conn, turn).await?;
        let outcomes = outcomes(&mut conn, turn, &messages).await?;
        let mut calls = Vec::new();
        for (body, at) in &messages {
            let MessageBody::Assistant { tool_calls, .. } = body else { continue };
            calls.extend(tool_calls.iter().map(|call| (call, *at, reaches(&rules, call))));
        }
        if calls.iter().any(|(_, _, reaches)| !reaches.is_empty()) {
            ground.read(&mut conn, project, turn.base_revision).await?;
        }
        // Looking through a large project takes a while.
        drop(conn);
        let mut of_turn = Vec::new();
        for (call, at, reaches) in calls {
            let mode = request.mode.unwrap_or(turn.mode.0);
            let subject = CallSubject::read(&call.name, &call.arguments);
            let traits = foreign.get(&call.name).copied().unwrap_or_else(|| tool_traits(&call.name));
            let held = ground.held(&rules, &call.name, &reaches);
            let held: Vec<&str> = held.iter().map(String::as_str).collect();
            let would = subject.with_facts(&call.name, traits, |facts| decide(&rules, mode, &CallFacts { held: &held, ..*facts }));
            match &would {
                Decision::Allow { .. } => tried.allowed += 1,
                Decision::Ask { .. } => tried.asked += 1,
                Decision::Deny { .. } => tried.denied += 1,
            }
            of_turn.push(TriedCall {
                turn_id: turn.id,
                conversation_id: turn.conversation_id,
                mode: turn.mode.0,
                tool: call.name.clone(),
                subject: subject.label().chars().take(SUBJECT_CHARS).collect(),
                at,
                happened: outcomes.get(&call.id).copied().unwrap_or(CallOutcome::NotRun),
                would,
            });
            tokio::task::yield_now().await;
        }
        let room = TRIED_LISTED.saturating_sub(tried.calls.len());
        tried.calls.extend(of_turn.into_iter().rev().take(room));
    }
    Ok(tried)
}

/// Where a call reaches below the paths that it names, as far as anything there can matter to its judgement.
fn reaches(rules: &[PermissionRule], call: &ToolCall) -> Vec<Reach> {
    let is_limited = Reach::is_limited(rules, &call.name);
    let matters = |reach: &Reach| reach.is_place() && (reach.changes || is_limited);
    Reach::read(&call.name, &call.arguments).into_iter().filter(matters).collect()
}

/// The files that a turn began with. A turn under way looks into its branch instead, which also has what version control ignores and what
/// earlier calls changed; neither is kept.
#[derive(Default)]
struct Ground {
    /// Whose files these are: turns that follow each other often begin with the same.
    base: Option<i64>,
    paths: Vec<String>,
}

impl Ground {
    /// Where the versions of then are gone in part, the files of now are the best that is known.
    async fn read(&mut self, conn: &mut store::Conn, project: ProjectId, base: i64) -> Result<()> {
        if self.base == Some(base) {
            return Ok(());
        }
        let revision = if store::files::is_kept_at(conn, project, base).await? { base } else { i64::MAX };
        self.paths = store::files::paths_at(conn, project, revision).await?;
        self.base = Some(base);
        Ok(())
    }

    /// What lies there and a rule is about, or always asks.
    fn held(&self, rules: &[PermissionRule], tool: &str, reaches: &[Reach]) -> BTreeSet<String> {
        let is_limited = Reach::is_limited(rules, tool);
        let mut found = BTreeSet::new();
        let mut looked_at = 0;
        for reach in reaches {
            let below: Vec<&str> = self.paths.iter().map(String::as_str).filter(|path| reach.is_above(path)).collect();
            looked_at += below.len();
            if looked_at > LOOKED_AT_MAX {
                return BTreeSet::from([UNKNOWN.to_owned()]);
            }
            found.extend(reach.held_built_in(below.iter().copied()));
            if is_limited {
                found.extend(reach.held(rules, tool, below));
            }
        }
        found
    }
}

/// By call id. A call that was refused before anybody was asked has an answer that begins with "Not".
async fn outcomes(
    conn: &mut store::Conn,
    turn: &table::PastTurn,
    messages: &[(MessageBody, wire::Micros)],
) -> Result<HashMap<String, CallOutcome>> {
    let mut found = HashMap::new();
    for (body, _) in messages {
        if let MessageBody::Tool { call_id, ok, content, .. } = body {
            let is_refused = !ok && (content.starts_with("Not run:") || content.starts_with("Not available:"));
            found.insert(call_id.clone(), if is_refused { CallOutcome::NotRun } else { CallOutcome::Ran });
        }
    }
    for approval in store::chat::approvals(conn, turn.id).await? {
        let outcome = match approval.decision.map(|word| word.0) {
            Some(Approval::Approve) => CallOutcome::Approved,
            Some(Approval::Reject) => CallOutcome::Declined,
            None => CallOutcome::Unanswered,
        };
        found.insert(approval.call_id, outcome);
    }
    Ok(found)
}
