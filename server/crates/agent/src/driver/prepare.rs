//! What a turn needs before it begins or goes on: its branch, its machine.

use std::{collections::HashSet, sync::Arc};

use domain::{
    Ctx, Error,
    chat::{self, TurnWork},
};
use tokio_util::sync::CancellationToken;
use wire::{
    chat::{Message, MessageBody},
    limits,
    permissions::PermissionRule,
};

use super::{
    Deps,
    journal::{self, Journal},
};
use crate::{
    branch::Branch,
    fsm::{ApprovalRecord, History, Machine, Rules},
    mcp,
    tools::{self, Foreign},
    workspace::{self, SyncError},
};

pub(super) struct Prepared {
    /// What the branch is compared with.
    pub base_revision: i64,
    /// `None` where there is no branch.
    pub journal: Option<Journal>,
    /// What was told, where edits of this turn are gone.
    pub lost: Option<Message>,
}

/// A branch that exists and has seen all of the turn is left as it is: bringing the checkout below it further would mix other people's
/// changes into it. One that was left behind here when the turn went on elsewhere is thrown away.
pub(super) async fn prepare_branch(ctx: &Ctx, deps: &Deps, branch: &Branch, work: &TurnWork) -> Result<Prepared, SyncError> {
    let (project, turn) = (work.turn.project_id, work.turn.id);
    let own = own_messages(work);
    if work.resumed && branch.exists().await? {
        let found = Journal::read(branch).await?;
        if found.as_ref().is_none_or(|journal| journal.is_current(&own)) {
            let journal = found.unwrap_or_else(|| Journal::new(work.base_revision, &work.messages));
            if journal.base_revision != work.base_revision {
                // Another worker meant to begin anew and did not get that far.
                chat::set_base_revision(ctx, turn, journal.base_revision).await?;
            }
            journal.keep(branch).await?;
            return Ok(Prepared { base_revision: journal.base_revision, journal: Some(journal), lost: None });
        }
        tracing::info!(turn.id = %turn, "a branch that the turn has gone on without is thrown away");
        deps.workspaces.drop_branch(project.0, turn.0).await?;
    }
    let revision = workspace::ensure_checkout(ctx, &deps.workspaces, project).await?;
    // Told before there is another branch: whoever finds one need not ask what became of the first.
    let lost = match journal::describe_lost(&own, &work.started_calls) {
        Some(text) => Some(chat::append_message(ctx, turn, MessageBody::Note { text }).await?),
        None => None,
    };
    if revision != work.base_revision {
        chat::set_base_revision(ctx, turn, revision).await?;
    }
    deps.workspaces.create_branch(project.0, turn.0).await?;
    let journal = Journal::new(revision, lost.as_ref().map_or(&work.messages[..], std::slice::from_ref));
    journal.keep(branch).await?;
    Ok(Prepared { base_revision: revision, journal: Some(journal), lost })
}

/// The messages of this turn alone.
pub(super) fn own_messages(work: &TurnWork) -> Vec<&Message> {
    work.messages.iter().filter(|message| message.turn_id == Some(work.turn.id)).collect()
}

/// The tools of the servers that an administrator added, and what is to be told of those that are not there: at the beginning of a
/// turn, not again each time it goes on.
pub(super) async fn connect_servers(
    ctx: &Ctx,
    deps: &Deps,
    work: &TurnWork,
    cancel: &CancellationToken,
) -> Result<(Option<Arc<dyn Foreign>>, Option<String>), Error> {
    let place = mcp::Place { sandbox: deps.sandbox.clone(), project: work.turn.project_id };
    let mut tools = tokio::select! {
        tools = mcp::connect_all(ctx, &place) => tools?,
        () = cancel.cancelled() => return Ok((None, None)),
    };
    let problems = std::mem::take(&mut tools.problems);
    let told = (!work.resumed && !problems.is_empty()).then(|| problems.join(" "));
    if tools.tools().is_empty() {
        return Ok((None, told));
    }
    Ok((Some(Arc::new(tools)), told))
}

/// `web`: there is a host to fetch from.
pub(super) fn build_machine(work: &TurnWork, permissions: Vec<PermissionRule>, foreign: Option<&Arc<dyn Foreign>>, web: bool) -> Machine {
    let approvals = work.approvals.iter().map(|a| (a.call_id.clone(), ApprovalRecord { decision: a.decision, reason: a.reason.clone() }));
    let history = History {
        messages: own_messages(work).into_iter().map(|message| &message.body).collect(),
        approvals: approvals.collect(),
        started: work.started_calls.iter().cloned().collect::<HashSet<_>>(),
        steps: 0,
    };
    let rules = Rules {
        mode: work.turn.mode,
        tools: tools::rules(foreign.map(|foreign| &**foreign), web),
        max_steps: work.budget.steps.unwrap_or(limits::TURN_STEPS_DEFAULT),
        steps_of_message: work.budget.steps.is_some(),
        max_tokens: work.budget.tokens,
        permissions,
    };
    Machine::resume(rules, history)
}
