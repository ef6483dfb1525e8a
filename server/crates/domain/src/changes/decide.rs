use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;
use store::changes as table;
use wire::{
    ChangeSetId, HunkId,
    audit::AuditAction,
    changes::{ChangeOrigin, ChangeSetState, Decide, Decided, HunkDecision, HunkState},
    chat::MessageBody,
    files::Origin,
    projects::ProjectRole,
};

use super::{
    announce, get,
    plan::{self, Choice, Outcome, Plan, Verdict},
    require,
};
use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    chat,
    files::WriteBatch,
};

/// How often a decision is worked out again because somebody else wrote meanwhile.
const TRIES: usize = 8;

struct Worked {
    set: table::ChangeSetRow,
    plans: Vec<Plan>,
    /// In the order of the files.
    verdicts: Vec<Verdict>,
    open_after: i64,
}

enum Written {
    All,
    /// A file has changed since the plan was made.
    Stale,
    /// A file, by its place in the set, can't have the name that it is to have.
    Refused(i64),
}

/// Applies decisions by compare-and-swap. What no longer fits becomes a conflict and writes nothing; the rest is applied. The
/// transcript gets exactly what was decided, for the next request to the model.
pub async fn decide(ctx: &Ctx, id: ChangeSetId, request: Decide) -> Result<Decided> {
    let user = ctx.require_user()?.id;
    let fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    // Who takes lines writes nothing of their own.
    let role = if request.edits.is_empty() { ProjectRole::Reviewer } else { ProjectRole::Editor };
    let choices = choices_of(&request);
    let mut refused = BTreeSet::new();
    let mut tries = 0;
    while tries < TRIES {
        let worked = work_out(ctx, id, role, &choices, &refused).await?;
        let origin = match worked.set.origin.0 {
            ChangeOrigin::Agent => Origin::Agent,
            ChangeOrigin::Replace | ChangeOrigin::Conversation => Origin::Person,
        };
        let mut batch = WriteBatch::begin(ctx, worked.set.project_id, role, origin).await?.caused_by(worked.set.turn_id.map(|turn| turn.0));
        match write(&mut batch, &worked).await? {
            Written::All => {}
            Written::Stale => {
                tries += 1;
                continue;
            }
            Written::Refused(file) => {
                refused.insert(file);
                continue;
            }
        }
        let locked = table::lock_set(&mut batch.tx, id).await?.ok_or(Error::NotFound("change set"))?;
        if locked.version != worked.set.version + 1 {
            tries += 1;
            continue;
        }
        let mut decisions = Vec::new();
        for verdict in &worked.verdicts {
            let hunk = &verdict.hunk;
            let reason = if verdict.state == HunkState::Rejected { request.reason_of(hunk.id) } else { None };
            table::decide_hunk(&mut batch.tx, hunk.id, verdict.state, verdict.edited.as_deref(), reason, user, ctx.now()).await?;
            decisions.push(HunkDecision {
                path: verdict.path.clone(),
                action: Some(verdict.action),
                old_path: verdict.old_path.clone(),
                old_start: hunk.old_start as i32,
                state: verdict.state,
                diff: hunk.diff.clone(),
                edited_text: verdict.edited.clone(),
                reason: reason.map(str::to_owned),
            });
        }
        let state = if worked.open_after == 0 { ChangeSetState::Decided } else { ChangeSetState::Open };
        table::set_state(&mut batch.tx, id, state).await?;
        if let Some(turn) = worked.set.turn_id {
            let turn = store::chat::turn(&mut batch.tx, turn).await?.ok_or(Error::NotFound("turn"))?;
            let body = MessageBody::Decision { change_set_id: id, hunks: decisions };
            chat::insert_message(ctx, &mut batch.tx, turn.conversation_id, Some(turn.id), &body, Vec::new()).await?;
        }
        // After the conversation's rows: whoever begins a turn takes them before the project's stream too.
        announce(ctx, &mut batch.tx, &worked.set, state, worked.open_after).await?;
        let count = |state| worked.verdicts.iter().filter(|verdict| verdict.state == state).count();
        let counts = json!({
            "turn": worked.set.turn_id,
            "accepted": count(HunkState::Accepted),
            "edited": count(HunkState::Edited),
            "rejected": count(HunkState::Rejected),
            "conflicts": count(HunkState::Conflict),
            "files": worked.plans.len(),
        });
        let facts = Facts::about("change_set", id, worked.set.title.clone()).in_project(worked.set.project_id).with(counts);
        audit::record(ctx, &mut batch.tx, AuditAction::ChangesDecided, facts);
        batch.commit().await?;
        let conflicts =
            worked.verdicts.iter().filter(|verdict| verdict.state == HunkState::Conflict).map(|verdict| verdict.hunk.id).collect();
        let is_result = |plan: &Plan| !matches!(plan.outcome, Outcome::Unchanged | Outcome::MoveAway);
        let written = worked.plans.into_iter().filter(is_result).map(|plan| plan.path).collect();
        return Ok(Decided { change_set: get(ctx, id).await?, written, conflicts });
    }
    Err(Error::conflict("These files are being changed by others at this moment. Nothing was written; apply again."))
}

fn choices_of(request: &Decide) -> HashMap<HunkId, Choice> {
    let accepted = request.accept.iter().map(|id| (*id, Choice::Accept));
    let rejected = request.reject.iter().map(|id| (*id, Choice::Reject));
    let edited = request.edits.iter().map(|(id, text)| (*id, Choice::Edit { text: text.clone(), seen: request.seen.get(id).cloned() }));
    let by_line = request.lines.iter().map(|(id, lines)| (*id, Choice::Lines(lines.iter().copied().collect())));
    accepted.chain(rejected).chain(edited).chain(by_line).collect()
}

async fn write(batch: &mut WriteBatch<'_>, worked: &Worked) -> Result<Written> {
    // What goes away goes first, so that a name freed by it can be taken.
    let frees = |plan: &&Plan| matches!(plan.outcome, Outcome::Delete | Outcome::MoveAway);
    for plan in worked.plans.iter().filter(frees).chain(worked.plans.iter().filter(|plan| !frees(plan))) {
        let latest = batch.latest(&plan.path).await?;
        if latest.as_ref().map_or(0, |row| row.version) != plan.seen_version {
            return Ok(Written::Stale);
        }
        match (&plan.outcome, &latest) {
            (Outcome::Write { content, action, moved_from }, _) => {
                match batch.write(latest.as_ref(), content, *action, moved_from.as_deref()).await {
                    Ok(_) => {}
                    Err(Error::Conflict { .. }) => return Ok(Written::Refused(plan.file)),
                    Err(other) => return Err(other),
                }
            }
            (Outcome::Delete, Some(row)) => batch.delete(row).await?,
            (Outcome::MoveAway, Some(row)) => batch.move_away(row).await?,
            (Outcome::Unchanged | Outcome::Delete | Outcome::MoveAway, _) => {}
        }
    }
    Ok(Written::All)
}

/// Reads everything and works out what each decided file becomes, outside of any transaction. What is in a `refused` file no longer
/// fits.
async fn work_out(
    ctx: &Ctx,
    id: ChangeSetId,
    role: ProjectRole,
    choices: &HashMap<HunkId, Choice>,
    refused: &BTreeSet<i64>,
) -> Result<Worked> {
    let mut conn = ctx.services().db.read().await?;
    let set = table::set(&mut conn, id).await?.ok_or(Error::NotFound("change set"))?;
    require(ctx, &mut conn, set.project_id, role, "change set").await?;
    let files = table::files(&mut conn, id).await?;
    let mut by_file: BTreeMap<i64, Vec<table::HunkRow>> = BTreeMap::new();
    for hunk in table::hunks(&mut conn, id).await? {
        by_file.entry(hunk.file_ord).or_default().push(hunk);
    }
    drop(conn);
    let known: usize = by_file.values().flatten().filter(|hunk| choices.contains_key(&hunk.id)).count();
    if known != choices.len() {
        return Err(Error::NotFound("hunk"));
    }
    if by_file.values().flatten().any(|hunk| choices.contains_key(&hunk.id) && !hunk.state.0.is_open()) {
        let current = serde_json::to_value(get(ctx, id).await?).ok();
        let detail =
            "One of these hunks was decided by someone else meanwhile. Nothing was written; look at the change set again.".to_owned();
        return Err(Error::Conflict { detail, current });
    }
    let open_before = by_file.values().flatten().filter(|hunk| hunk.state.0.is_open()).count() as i64;
    let (mut plans, mut verdicts) = (Vec::new(), Vec::new());
    for file in files {
        let hunks = by_file.remove(&file.ord).unwrap_or_default();
        if hunks.iter().any(|hunk| choices.contains_key(&hunk.id)) {
            let planned = plan::plan_file(ctx, set.project_id, &file, &hunks, choices, refused.contains(&file.ord)).await?;
            plans.extend(planned.plans);
            verdicts.extend(planned.verdicts);
        }
    }
    let settled = verdicts.iter().filter(|verdict| !verdict.state.is_open()).count() as i64;
    Ok(Worked { set, plans, verdicts, open_after: open_before - settled })
}
