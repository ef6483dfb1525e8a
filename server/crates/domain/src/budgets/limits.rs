//! Who may set which budget, and who sees them.

use serde_json::json;
use store::budgets::{self as table, NewBudget, Subjects};
use uuid::Uuid;
use wire::{
    ConversationId, FieldError, ProjectId,
    audit::AuditAction,
    budgets::{Budget, BudgetLimits, BudgetScope, BudgetUse, BudgetWatch, Period, SetBudget},
    event::Stream,
    projects::ProjectRole,
    users::User,
};

use super::{month_of, subjects};
use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    measure, projects,
};

/// All that administrators set, with what was used of them.
pub async fn list(ctx: &Ctx) -> Result<Vec<Budget>> {
    ctx.require_admin()?;
    Ok(table::list(&mut ctx.services().db.read().await?, &month_of(ctx.now())).await?)
}

/// Sets or takes away a budget of everybody, of a person or of a project; answers them all.
pub async fn set(ctx: &Ctx, request: SetBudget) -> Result<Vec<Budget>> {
    let by = ctx.require_admin()?.id;
    check(&request)?;
    let subject = match (request.scope, request.subject) {
        (BudgetScope::Instance | BudgetScope::UserDefault, None) => Uuid::nil(),
        (BudgetScope::User | BudgetScope::Project, Some(id)) => id,
        (BudgetScope::User | BudgetScope::Project, None) => return Err(Error::invalid("subject", "Say whose budget this is.")),
        (BudgetScope::Instance | BudgetScope::UserDefault, Some(_)) => {
            return Err(Error::invalid("subject", "This budget is nobody's in particular."));
        }
        (BudgetScope::ProjectOwn | BudgetScope::Conversation | BudgetScope::Turn, _) => {
            return Err(Error::invalid("scope", "Administrators set budgets of the installation, of people and of projects."));
        }
    };
    let mut tx = ctx.services().db.begin().await?;
    match request.scope {
        BudgetScope::User => drop(store::users::by_id(&mut tx, subject.into()).await?.ok_or(Error::NotFound("user"))?),
        BudgetScope::Project => drop(store::quotas::project(&mut tx, subject.into()).await?.ok_or(Error::NotFound("project"))?),
        _ => {}
    }
    put(ctx, tx, by, &request, subject).await?;
    tracing::info!(%by, scope = ?request.scope, %subject, usd_micros = ?request.usd_micros, tokens = ?request.tokens, "a budget was changed");
    list(ctx).await
}

fn check(request: &SetBudget) -> Result<()> {
    let fields: Vec<FieldError> = request.validate();
    if fields.is_empty() { Ok(()) } else { Err(Error::Invalid(fields)) }
}

/// Sets or takes away one limit and commits. Where it is not what the request is based on, nothing is written.
async fn put(ctx: &Ctx, mut tx: store::Tx, by: wire::UserId, request: &SetBudget, subject: Uuid) -> Result<()> {
    if write(ctx, &mut tx, by, request, subject).await? {
        return ctx.commit(tx).await;
    }
    drop(tx);
    let mut conn = ctx.services().db.read().await?;
    let now = table::one(&mut conn, request.scope, subject, request.period, &month_of(ctx.now())).await?;
    let who = match &now {
        None => "It was taken away meanwhile.".to_owned(),
        Some(Budget { updated_by: Some(user), .. }) if Some(user.id) == ctx.user_id() => "Changed meanwhile by you, elsewhere.".to_owned(),
        Some(Budget { updated_by: Some(user), .. }) => format!("Changed meanwhile by {}.", user.name),
        Some(_) => "Changed meanwhile by somebody who has no account any more.".to_owned(),
    };
    let detail = format!("{who} Nothing was saved, and your entries are kept; look at them again.");
    Err(Error::Conflict { detail, current: Some(json!(now)) })
}

/// False, and nothing but the transaction's own notes is written, where the limit is not what the request is based on.
async fn write(ctx: &Ctx, tx: &mut store::Tx, by: wire::UserId, request: &SetBudget, subject: Uuid) -> Result<bool> {
    let details = json!({ "period": request.period, "usd_micros": request.usd_micros, "tokens": request.tokens });
    let facts = Facts::about("budget", subject, measure::word(&request.scope)).with(details);
    let project = match request.scope {
        BudgetScope::Project | BudgetScope::ProjectOwn => Some(subject.into()),
        BudgetScope::Conversation => store::chat::conversation(tx, subject.into()).await?.map(|row| row.project_id),
        _ => None,
    };
    let facts = match project {
        Some(project) => facts.in_project(project),
        None => facts,
    };
    audit::record(ctx, tx, AuditAction::BudgetChanged, facts);
    if request.usd_micros.is_none() && request.tokens.is_none() {
        let removed = table::remove(tx, request.scope, subject, request.period, request.version).await?;
        // What is gone already is as good as taken away.
        return Ok(removed || table::one(tx, request.scope, subject, request.period, &month_of(ctx.now())).await?.is_none());
    }
    let new = NewBudget {
        id: ctx.new_id(),
        scope: request.scope,
        subject,
        period: request.period,
        usd_micros: request.usd_micros,
        tokens: request.tokens,
        at: ctx.now(),
        by,
    };
    match request.version {
        None => {
            table::put(tx, &new).await?;
            Ok(true)
        }
        Some(base) => Ok(table::put_over(tx, &new, base).await?.is_some()),
    }
}

fn people_only(ctx: &Ctx) -> Result<wire::UserId> {
    if ctx.agent_turn().is_some() {
        return Err(Error::Forbidden("Only people decide what the agent may cost.".to_owned()));
    }
    Ok(ctx.require_user()?.id)
}

/// A project's budgets, the administrator's and its owner's own.
pub async fn of_project(ctx: &Ctx, project: ProjectId) -> Result<Vec<Budget>> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await?;
    let of = Subjects { project: project.0, ..Subjects::default() };
    let all = table::list_for(&mut conn, of, &month_of(ctx.now())).await?;
    Ok(all.into_iter().filter(|b| matches!(b.scope, BudgetScope::Project | BudgetScope::ProjectOwn)).collect())
}

/// Sets the owner's own budget of a project. The administrator's, where there is one, holds besides it.
pub async fn set_of_project(ctx: &Ctx, project: ProjectId, limits: BudgetLimits) -> Result<Vec<Budget>> {
    let by = people_only(ctx)?;
    let request = request(BudgetScope::ProjectOwn, limits);
    check(&request)?;
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Owner).await?;
    let of = Subjects { project: project.0, ..Subjects::default() };
    let given = table::applying(&mut tx, of).await?;
    let within = given.iter().find(|b| b.scope.0 == BudgetScope::Project && b.period.0 == limits.period);
    if let Some(above) = within {
        let mut fields = Vec::new();
        if let (Some(asked), Some(most)) = (limits.usd_micros, above.usd_micros)
            && asked > most
        {
            let most = wire::budgets::format_usd(most);
            fields.push(FieldError::new("usd_micros", format!("An administrator gives this project at most {most}.")));
        }
        if let (Some(asked), Some(most)) = (limits.tokens, above.tokens)
            && asked > most
        {
            fields.push(FieldError::new("tokens", format!("An administrator gives this project at most {most} tokens.")));
        }
        if !fields.is_empty() {
            return Err(Error::Invalid(fields));
        }
    }
    put(ctx, tx, by, &request, project.0).await?;
    of_project(ctx, project).await
}

/// Sets what one conversation may cost, over all its turns.
pub async fn set_of_conversation(ctx: &Ctx, conversation: ConversationId, limits: BudgetLimits) -> Result<Vec<Budget>> {
    let by = people_only(ctx)?;
    let request = request(BudgetScope::Conversation, BudgetLimits { period: Period::Total, ..limits });
    check(&request)?;
    let mut tx = ctx.services().db.begin().await?;
    let project = project_of(ctx, &mut tx, conversation, ProjectRole::Editor).await?;
    put(ctx, tx, by, &request, conversation.0).await?;
    of_caller(ctx, Some(project), Some(conversation)).await
}

fn request(scope: BudgetScope, limits: BudgetLimits) -> SetBudget {
    let BudgetLimits { period, usd_micros, tokens, version } = limits;
    SetBudget { scope, subject: None, period, usd_micros, tokens, version }
}

async fn project_of(ctx: &Ctx, conn: &mut store::Conn, id: ConversationId, needed: ProjectRole) -> Result<ProjectId> {
    let row = store::chat::conversation(conn, id).await?.ok_or(Error::NotFound("conversation"))?;
    projects::require(ctx, conn, row.project_id, needed).await.map_err(|error| match error {
        Error::NotFound(_) => Error::NotFound("conversation"),
        other => other,
    })?;
    Ok(row.project_id)
}

/// The budgets that hold for what the caller asks models, in a project and a conversation where these are named. The installation's
/// own is only told in percent: how much others spend is not everybody's business.
pub async fn of_caller(ctx: &Ctx, project: Option<ProjectId>, conversation: Option<ConversationId>) -> Result<Vec<Budget>> {
    let user = ctx.require_user()?;
    let mut conn = ctx.services().db.read().await?;
    let mut project = project;
    if let Some(id) = conversation {
        project = Some(project_of(ctx, &mut conn, id, ProjectRole::Editor).await?);
    } else if let Some(id) = project {
        projects::require(ctx, &mut conn, id, ProjectRole::Editor).await?;
    }
    let all = table::list_for(&mut conn, subjects(user.id, project, conversation), &month_of(ctx.now())).await?;
    Ok(told_to(user, &all))
}

/// As [`of_caller`], wherever they ask.
pub(crate) async fn of_person(conn: &mut store::Conn, user: &User, month: &str) -> Result<Vec<Budget>> {
    Ok(told_to(user, &table::list_for(conn, subjects(user.id, None, None), month).await?))
}

fn told_to(user: &User, all: &[Budget]) -> Vec<Budget> {
    let has_own = |period| all.iter().any(|b| b.scope == BudgetScope::User && b.period == period);
    let kept = all.iter().filter(|b| b.scope != BudgetScope::UserDefault || !has_own(b.period)).cloned();
    kept.map(|budget| if budget.scope == BudgetScope::Instance && !user.is_admin() { in_percent(budget) } else { budget }).collect()
}

/// As [`of_caller`], with where news of them are told; none where the place is gone: a page may ask before it learns that.
pub async fn watched(ctx: &Ctx, project: Option<ProjectId>, conversation: Option<ConversationId>) -> Result<BudgetWatch> {
    let stream = Stream::User(ctx.require_user()?.id);
    // First: what happens from here on is followed.
    let seq = store::events::last_seq(&mut ctx.services().db.read().await?, stream).await?;
    let budgets = match of_caller(ctx, project, conversation).await {
        Err(Error::NotFound(_)) => Vec::new(),
        answer => answer?,
    };
    Ok(BudgetWatch { budgets, stream, seq })
}

/// Without amounts.
fn in_percent(budget: Budget) -> Budget {
    Budget { usd_micros: None, tokens: None, used: BudgetUse::default(), updated_by: None, ..budget }
}
