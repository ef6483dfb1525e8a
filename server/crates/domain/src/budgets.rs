//! What models may cost. Before each call its worst case is reserved against every budget that holds for it, in one transaction; after
//! it, the reservation is traded for what it came to. So no number of calls at once can spend more than a budget has.

mod limits;
mod words;

use store::{
    Tx,
    budgets::{self as table, Booked, BudgetRow, Counter, Subjects},
    ledger::{self, Call, CallRow, Ended},
};
use uuid::Uuid;
use wire::{
    ConversationId, Micros, ProjectId, ReservationId, TurnId, UserId,
    budgets::{BudgetScope, NOTICES, Period, spent_percent},
    chat::TokenUsage,
    event::{EventKind, Stream},
    models::{Prices, ProviderKind},
};

pub(crate) use self::limits::of_person;
pub use self::limits::{list, of_caller, of_project, set, set_of_conversation, set_of_project, watched};
use crate::{
    Ctx, Error, Result,
    measure::{self, BookedCall},
    models::ResolvedModel,
};

/// A call that has not ended after this long has nobody any more who would settle it.
const ABANDONED_S: i64 = 2 * 3600;
/// A call outside of turns takes no longer.
const GOES_ON_S: i64 = 660;

/// A model call before it is made.
pub struct CallPlan<'a> {
    /// Who pays.
    pub user: UserId,
    pub project: Option<ProjectId>,
    pub conversation: Option<ConversationId>,
    pub turn: Option<TurnId>,
    pub model: &'a ResolvedModel,
    /// The worst case, in tokens: see [`most_input`].
    pub input_tokens: i64,
    /// What the request limits the answer to, in tokens.
    pub output_max: i64,
}

/// Room that is kept for one call until it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    pub id: ReservationId,
    /// The worst case, in micro-US-dollars.
    pub micros_usd: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    Granted(Reservation),
    /// Nothing was kept. `sentence` says which budget, what is left of it and who can raise it.
    Refused {
        scope: BudgetScope,
        sentence: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    Ok,
    /// No answer or a broken one; a stable word that says why.
    Failed(String),
    /// A person or the server's shutdown ended it.
    Stopped,
    /// Whoever made the call is gone.
    Lost,
}

impl CallOutcome {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(_) => "failed",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEnd {
    /// As the provider counted.
    pub usage: Option<TokenUsage>,
    /// Of the input that was counted, what the provider wrote into its cache, in tokens.
    pub cache_written: i64,
    /// As counted here, for where the provider did not. With neither, the worst case is booked, but for a call that failed: that cost
    /// nothing.
    pub estimate: Option<TokenUsage>,
    pub first_token_ms: Option<i64>,
    pub duration_ms: i64,
    pub outcome: CallOutcome,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    pub micros_usd: i64,
    /// Worked out, since the provider did not count.
    pub estimated: bool,
}

/// The price of a usage in micro-US-dollars, rounded up. Tokens read from the provider's cache and `written` into it are part of the input.
pub fn price(prices: Prices, usage: TokenUsage, written: i64) -> i64 {
    let cached = usage.cached.clamp(0, usage.input.max(0));
    let written = written.clamp(0, usage.input.max(0) - cached);
    let fresh = usage.input.max(0) - cached - written;
    let sum = i128::from(fresh) * i128::from(prices.input)
        + i128::from(cached) * i128::from(prices.cached)
        + i128::from(written) * i128::from(prices.of_cache_writes())
        + i128::from(usage.output.max(0)) * i128::from(prices.output);
    // Prices are of a million tokens.
    i64::try_from((sum + 999_999) / 1_000_000).unwrap_or(i64::MAX)
}

/// A count of tokens or bytes in the books' numbers.
pub fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The most tokens of a request for which `bound` holds, whatever it is written in. A request and its answer share the model's window, so
/// together they are never more than that.
pub fn most_input(model: &ResolvedModel, bound: u64, output_max: i64) -> i64 {
    let bound = signed(bound);
    if model.context_tokens > 0 { bound.min((model.context_tokens - output_max).max(0)) } else { bound }
}

fn worst_case(plan: &CallPlan<'_>) -> (i64, i64) {
    if plan.model.is_demo {
        return (0, 0);
    }
    let prices = plan.model.prices;
    // Only this dialect tells of writes into a cache; where a price is set for them, they are charged.
    let writes = plan.model.kind == ProviderKind::Anthropic || prices.cache_write.is_some();
    let dearest = Prices { input: prices.input.max(prices.cached).max(if writes { prices.of_cache_writes() } else { 0 }), ..prices };
    // Where the window is what limits a request, a shorter answer leaves room for more of it.
    let dearest = Prices { output: dearest.output.max(if plan.model.context_tokens > 0 { dearest.input } else { 0 }), ..dearest };
    let micros = price(dearest, TokenUsage { input: plan.input_tokens, output: plan.output_max, cached: 0 }, 0);
    (micros, plan.input_tokens.max(0).saturating_add(plan.output_max.max(0)))
}

/// The month of a moment, in UTC: `2026-11`.
pub(crate) fn month_of(at: Micros) -> String {
    at.to_rfc3339().chars().take(7).collect()
}

/// The counters that a call is counted in, in the order in which they are locked.
fn counted_in(user: UserId, project: Option<ProjectId>, conversation: Option<ConversationId>) -> Vec<(BudgetScope, Uuid)> {
    let mut places = vec![(BudgetScope::Instance, Uuid::nil()), (BudgetScope::User, user.0)];
    places.extend(project.map(|id| (BudgetScope::Project, id.0)));
    places.extend(conversation.map(|id| (BudgetScope::Conversation, id.0)));
    places
}

fn subjects(user: UserId, project: Option<ProjectId>, conversation: Option<ConversationId>) -> Subjects {
    Subjects { user: user.0, project: project.map_or(Uuid::nil(), |id| id.0), conversation: conversation.map_or(Uuid::nil(), |id| id.0) }
}

/// Of the limits in force those that one counter is held to.
fn held_to(budgets: &[BudgetRow], counter: BudgetScope) -> Vec<&BudgetRow> {
    let has_own = |period| budgets.iter().any(|b| b.scope.0 == BudgetScope::User && b.period.0 == period);
    let applies = |budget: &&BudgetRow| match budget.scope.0 {
        BudgetScope::UserDefault => counter == BudgetScope::User && !has_own(budget.period.0),
        BudgetScope::ProjectOwn => counter == BudgetScope::Project,
        scope => scope == counter,
    };
    budgets.iter().filter(applies).collect()
}

/// How fast one person may make calls that belong to no turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub at_once: i64,
    pub per_minute: i64,
}

/// Keeps room for a call's worst case in every budget that holds for it, or in none.
pub async fn reserve(ctx: &Ctx, plan: CallPlan<'_>) -> Result<Reserved> {
    reserve_within(ctx, plan, None).await
}

/// As [`reserve`], and no faster than `pace`. Errors: `RateLimited`.
pub(crate) async fn reserve_at(ctx: &Ctx, plan: CallPlan<'_>, pace: Pace) -> Result<Reserved> {
    reserve_within(ctx, plan, Some(pace)).await
}

async fn reserve_within(ctx: &Ctx, plan: CallPlan<'_>, pace: Option<Pace>) -> Result<Reserved> {
    let (micros, tokens) = worst_case(&plan);
    let now = ctx.now();
    let month = month_of(now);
    let id: ReservationId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    let budgets = table::applying(&mut tx, subjects(plan.user, plan.project, plan.conversation)).await?;
    let call = Call {
        id,
        user: plan.user,
        project: plan.project,
        conversation: plan.conversation,
        turn: plan.turn,
        version: plan.model.version_id,
        model: &plan.model.name,
        prices: if plan.model.is_demo { Prices::default() } else { plan.model.prices },
        input: if plan.model.is_demo { 0 } else { plan.input_tokens.max(0) },
        output: if plan.model.is_demo { 0 } else { plan.output_max.max(0) },
        micros,
        at: now,
    };
    ledger::insert(&mut tx, &call).await?;
    let places = counted_in(plan.user, plan.project, plan.conversation);
    let counters = table::reserve(&mut tx, &places, &month, micros, tokens).await?;
    for ((scope, subject), counter) in places.into_iter().zip(counters) {
        for budget in held_to(&budgets, scope) {
            let used = counter.used(budget.period.0, &month);
            if let Some(sentence) = words::does_not_fit(budget, &used, micros, tokens) {
                drop(tx);
                measure::budget_refused(budget.scope.0);
                tell_full(ctx, plan.user, plan.project, budget, subject, &month, &sentence).await?;
                return Ok(Reserved::Refused { scope: budget.scope.0, sentence });
            }
        }
    }
    if let Some(pace) = pace {
        keep_pace(&mut tx, plan.user, now, pace).await?;
    }
    // After the conversation's counter, which makes calls of one turn wait for each other.
    if let Some(turn) = plan.turn
        && let Some(sentence) = words::turn_is_full(&ledger::of_turn(&mut tx, turn).await?, micros, tokens)
    {
        measure::budget_refused(BudgetScope::Turn);
        return Ok(Reserved::Refused { scope: BudgetScope::Turn, sentence });
    }
    ctx.commit(tx).await?;
    Ok(Reserved::Granted(Reservation { id, micros_usd: micros }))
}

/// After the person's counter, which makes their calls wait for each other. The call itself is in the book already.
async fn keep_pace(tx: &mut Tx, user: UserId, now: Micros, pace: Pace) -> Result<()> {
    let made = ledger::outside_turns(tx, user, now.plus_seconds(-60), now.plus_seconds(-GOES_ON_S)).await?;
    if made.open > pace.at_once {
        let detail = format!("{} answers are being written for you already. Wait for one, or stop one.", pace.at_once);
        return Err(Error::RateLimited { retry_after: 5, detail });
    }
    if made.recent > pace.per_minute {
        let oldest = made.oldest.unwrap_or(now);
        let wait = 60 - now.millis_since(oldest) / 1000;
        let detail = format!("You have asked {} times within a minute, which is the limit.", pace.per_minute);
        return Err(Error::RateLimited { retry_after: u32::try_from(wait.clamp(1, 60)).unwrap_or(60), detail });
    }
    Ok(())
}

/// Trades a reservation for what the call came to. A second time changes nothing and answers the same.
pub async fn settle(ctx: &Ctx, reservation: Reservation, end: CallEnd) -> Result<Cost> {
    settle_id(ctx, reservation.id, Some(end)).await
}

/// Without `end` the call is lost, and its worst case is booked.
async fn settle_id(ctx: &Ctx, id: ReservationId, end: Option<CallEnd>) -> Result<Cost> {
    let mut tx = ctx.services().db.begin().await?;
    // The turn's row before the book's, as whoever adds a message does.
    if let Some(turn) = ledger::turn_of(&mut tx, id).await? {
        store::chat::lock_turn(&mut tx, turn).await?;
    }
    let row = ledger::lock(&mut tx, id).await?.ok_or(Error::NotFound("reservation"))?;
    if !row.is_open() {
        return Ok(Cost { micros_usd: row.cost_micros, estimated: row.estimated });
    }
    let (usage, estimated) = used_by(&row, end.as_ref());
    let written = end.as_ref().filter(|end| end.usage.is_some()).map_or(0, |end| end.cache_written);
    let cost = Cost { micros_usd: price(row.prices(), usage, written), estimated };
    if cost.micros_usd > row.reserved_micros {
        tracing::warn!(
            model = row.model,
            cost = cost.micros_usd,
            reserved = row.reserved_micros,
            "a model call cost more than its worst case"
        );
    }
    let outcome = end.as_ref().map_or(&CallOutcome::Lost, |end| &end.outcome);
    let ended = Ended {
        input: usage.input,
        output: usage.output,
        cached: usage.cached,
        cache_write: written.max(0),
        micros: cost.micros_usd,
        estimated,
        first_token_ms: end.as_ref().and_then(|end| end.first_token_ms),
        duration_ms: end.as_ref().map(|end| end.duration_ms),
        outcome: outcome.word(),
        code: if let CallOutcome::Failed(code) = outcome { Some(code) } else { None },
        at: ctx.now(),
    };
    ledger::close(&mut tx, id, &ended).await?;
    if let Some(turn) = row.turn_id {
        store::chat::add_cost(&mut tx, turn, cost.micros_usd, estimated && cost.micros_usd > 0).await?;
    }
    let notices = book(ctx, &mut tx, &row, usage, cost).await?;
    if let Some(turn) = row.turn_id.filter(|_| cost.micros_usd > 0) {
        let event = EventKind::Usage { input: 0, output: 0, cached: 0, cost_micros: cost.micros_usd, estimated };
        store::events::append(&mut tx, Stream::Turn(turn), ctx.now(), vec![event]).await?;
    }
    announce(ctx, &mut tx, row.user_id, row.project_id, notices).await?;
    ctx.commit(tx).await?;
    measure::model_called(&BookedCall {
        model: &row.model,
        outcome: ended.outcome,
        usage,
        cost,
        first_token_ms: ended.first_token_ms,
        duration_ms: ended.duration_ms,
    });
    Ok(cost)
}

/// What is booked, and whether nobody but us counted it.
fn used_by(row: &CallRow, end: Option<&CallEnd>) -> (TokenUsage, bool) {
    let worst = TokenUsage { input: row.reserved_input, output: row.reserved_output, cached: 0 };
    match end {
        None => (worst, true),
        Some(CallEnd { usage: Some(usage), .. }) => (*usage, false),
        Some(CallEnd { estimate: Some(usage), .. }) => (*usage, *usage != TokenUsage::default()),
        Some(CallEnd { outcome: CallOutcome::Failed(_), .. }) => (TokenUsage::default(), false),
        Some(_) => (worst, true),
    }
}

async fn book(ctx: &Ctx, tx: &mut Tx, row: &CallRow, usage: TokenUsage, cost: Cost) -> Result<Vec<EventKind>> {
    let month = month_of(row.started_at);
    let booked = Booked {
        month: &month,
        reserved_micros: row.reserved_micros,
        reserved_tokens: row.reserved_input + row.reserved_output,
        micros: cost.micros_usd,
        estimated: if cost.estimated { cost.micros_usd } else { 0 },
        tokens: usage.input + usage.output,
    };
    let mut counters = Vec::new();
    for (scope, subject) in counted_in(row.user_id, row.project_id, row.conversation_id) {
        counters.push((scope, subject, table::book(tx, scope, subject, &booked).await?));
    }
    let mut notices = Vec::new();
    if cost.micros_usd == 0 && booked.tokens == 0 {
        return Ok(notices);
    }
    let budgets = table::applying(tx, subjects(row.user_id, row.project_id, row.conversation_id)).await?;
    for (scope, subject, counter) in &counters {
        for budget in held_to(&budgets, *scope) {
            notices.extend(notice(ctx, tx, budget, *subject, counter, &month).await?);
        }
    }
    Ok(notices)
}

/// The highest share that was reached, unless it was told before in this period.
async fn notice(ctx: &Ctx, tx: &mut Tx, budget: &BudgetRow, subject: Uuid, counter: &Counter, month: &str) -> Result<Option<EventKind>> {
    let used = counter.used(budget.period.0, month);
    let spent = spent_percent(budget.usd_micros, budget.tokens, &used);
    let Some(percent) = NOTICES.into_iter().rfind(|percent| *percent <= spent) else { return Ok(None) };
    if !table::note(tx, budget.id, subject, period_key(budget.period.0, month), percent, ctx.now()).await? {
        return Ok(None);
    }
    let sentence = words::notice(budget, &used, spent);
    Ok(Some(EventKind::BudgetNotice { scope: budget.scope.0, subject: named(subject), period: budget.period.0, percent, sentence }))
}

fn period_key(period: Period, month: &str) -> &str {
    if period == Period::Month { month } else { "total" }
}

fn named(subject: Uuid) -> Option<Uuid> {
    Some(subject).filter(|subject| !subject.is_nil())
}

/// A call was refused: for people the budget is used up, even if a little is left.
async fn tell_full(
    ctx: &Ctx,
    user: UserId,
    project: Option<ProjectId>,
    budget: &BudgetRow,
    subject: Uuid,
    month: &str,
    sentence: &str,
) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    if !table::note(&mut tx, budget.id, subject, period_key(budget.period.0, month), 100, ctx.now()).await? {
        return Ok(());
    }
    let (scope, period, sentence) = (budget.scope.0, budget.period.0, sentence.to_owned());
    let event = EventKind::BudgetNotice { scope, subject: named(subject), period, percent: 100, sentence };
    announce(ctx, &mut tx, user, project, vec![event]).await?;
    ctx.commit(tx).await
}

/// To whoever made the call, to the project's owner where it is the project's budget, and to the administrators.
async fn announce(ctx: &Ctx, tx: &mut Tx, user: UserId, project: Option<ProjectId>, notices: Vec<EventKind>) -> Result<()> {
    if notices.is_empty() {
        return Ok(());
    }
    let is_projects =
        |kind: &EventKind| matches!(kind, EventKind::BudgetNotice { scope: BudgetScope::Project | BudgetScope::ProjectOwn, .. });
    let of_project: Vec<EventKind> = notices.iter().filter(|kind| is_projects(kind)).cloned().collect();
    let mut to = vec![(user, notices.clone())];
    if let Some(id) = project.filter(|_| !of_project.is_empty())
        && let Some(held) = store::quotas::project(tx, id).await?
        && held.owner_id != user
    {
        to.push((held.owner_id, of_project));
    }
    // In one order, as everybody who appends to several streams of people.
    to.sort_by_key(|(person, _)| *person);
    for (person, kinds) in to {
        store::events::append(tx, Stream::User(person), ctx.now(), kinds).await?;
    }
    store::events::append(tx, Stream::Admin, ctx.now(), notices).await?;
    Ok(())
}

/// Books the worst case of calls that a turn's earlier worker never settled. Answers how many there were.
pub async fn settle_lost(ctx: &Ctx, turn: TurnId) -> Result<usize> {
    let open = ledger::open_of_turn(&mut ctx.services().db.read().await?, turn).await?;
    for id in &open {
        settle_id(ctx, *id, None).await?;
    }
    Ok(open.len())
}

/// The same for calls of anybody that are too old to go on still. For the server itself.
pub async fn settle_abandoned(system: &Ctx) -> Result<usize> {
    if !system.is_system() {
        return Err(Error::Forbidden("Only the server itself settles what others left.".to_owned()));
    }
    let before = system.now().plus_seconds(-ABANDONED_S);
    let open = ledger::open_before(&mut system.services().db.read().await?, before).await?;
    for id in &open {
        settle_id(system, *id, None).await?;
    }
    Ok(open.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_of_a_million_tokens_and_rounded_up() {
        let prices = Prices { input: 3_000_000, output: 15_000_000, cached: 300_000, cache_write: None };
        let cost = |input, output, cached| price(prices, TokenUsage { input, output, cached }, 0);
        assert_eq!(cost(1_000_000, 0, 0), 3_000_000);
        assert_eq!(cost(1_000_000, 0, 1_000_000), 300_000);
        assert_eq!(cost(1000, 10, 400), 1800 + 120 + 150);
        let one = TokenUsage { input: 1, output: 0, cached: 0 };
        assert_eq!((cost(0, 0, 0), price(Prices { input: 1, ..Prices::default() }, one, 0)), (0, 1));
        // A provider that says more was cached than was sent.
        assert_eq!(cost(10, 0, 50), 3);
        // Of a thousand, 400 were read from the cache and 500 written into it at a quarter more.
        let usage = TokenUsage { input: 1000, output: 0, cached: 400 };
        assert_eq!(price(prices, usage, 500), 120 + 1875 + 300);
        assert_eq!(price(Prices { cache_write: Some(6_000_000), ..prices }, usage, 9000), 120 + 3600);
    }

    #[test]
    fn months_are_of_utc() {
        assert_eq!(month_of(Micros::parse_rfc3339("2026-11-30T23:59:59.999999Z").unwrap()), "2026-11");
        assert_eq!(month_of(Micros::parse_rfc3339("2026-12-01T00:00:00Z").unwrap()), "2026-12");
    }
}
