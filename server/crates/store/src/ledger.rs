use sqlx::FromRow;
use wire::{
    ConversationId, MessageId, Micros, ModelVersionId, ProjectId, ReservationId, TurnId, UserId,
    models::{ModelMetrics, Prices},
};

use crate::{Conn, Result, db::on, usage::ROWS_MAX};

/// The newest calls of a version that its medians are taken from.
const MEASURED: i64 = 500;

/// A call as it is reserved, or as it stands in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    pub id: ReservationId,
    pub user: UserId,
    pub project: Option<ProjectId>,
    pub conversation: Option<ConversationId>,
    pub turn: Option<TurnId>,
    pub version: ModelVersionId,
    pub model: &'a str,
    pub prices: Prices,
    pub input: i64,
    pub output: i64,
    pub micros: i64,
    pub at: Micros,
}

pub async fn insert(c: &mut Conn, call: &Call<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO ledger (id, user_id, project_id, conversation_id, turn_id, model_version_id, model, price_input, price_output,
                                 price_cached, reserved_input, reserved_output, reserved_micros, estimated, outcome, started_at,
                                 price_cache_write)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'open', $15, $16)",
        )
        .bind(call.id).bind(call.user).bind(call.project).bind(call.conversation).bind(call.turn).bind(call.version).bind(call.model)
        .bind(call.prices.input).bind(call.prices.output).bind(call.prices.cached).bind(call.input).bind(call.output).bind(call.micros)
        .bind(false).bind(call.at).bind(call.prices.cache_write).execute(c).await?;
    });
    Ok(())
}

/// A row of the book.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CallRow {
    pub id: ReservationId,
    pub user_id: UserId,
    pub project_id: Option<ProjectId>,
    pub conversation_id: Option<ConversationId>,
    pub turn_id: Option<TurnId>,
    pub model: String,
    pub price_input: i64,
    pub price_output: i64,
    pub price_cached: i64,
    pub price_cache_write: Option<i64>,
    pub reserved_input: i64,
    pub reserved_output: i64,
    pub reserved_micros: i64,
    pub input: i64,
    pub output: i64,
    pub cached: i64,
    pub cost_micros: i64,
    pub estimated: bool,
    pub outcome: String,
    pub started_at: Micros,
}

impl CallRow {
    pub fn prices(&self) -> Prices {
        Prices { input: self.price_input, output: self.price_output, cached: self.price_cached, cache_write: self.price_cache_write }
    }

    pub fn is_open(&self) -> bool {
        self.outcome == "open"
    }
}

/// The turn that a call belongs to.
pub async fn turn_of(c: &mut Conn, id: ReservationId) -> Result<Option<TurnId>> {
    let found: Option<Option<TurnId>> =
        on!(c, c => sqlx::query_scalar("SELECT turn_id FROM ledger WHERE id = $1").bind(id).fetch_optional(c).await?);
    Ok(found.flatten())
}

/// The row, locked until the transaction ends.
pub async fn lock(c: &mut Conn, id: ReservationId) -> Result<Option<CallRow>> {
    Ok(on!(c, c => sqlx::query_as("UPDATE ledger SET outcome = outcome WHERE id = $1 RETURNING *").bind(id).fetch_optional(c).await?))
}

/// What a call came to.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    pub input: i64,
    pub output: i64,
    pub cached: i64,
    pub cache_write: i64,
    pub micros: i64,
    pub estimated: bool,
    pub first_token_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    /// `ok`, `failed`, `stopped` or `lost`.
    pub outcome: &'a str,
    pub code: Option<&'a str>,
    pub at: Micros,
}

pub async fn close(c: &mut Conn, id: ReservationId, end: &Ended<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "UPDATE ledger SET input = $2, output = $3, cached = $4, cost_micros = $5, estimated = $6, first_token_ms = $7, duration_ms = $8,
                               outcome = $9, code = $10, ended_at = $11, cache_write = $12
             WHERE id = $1 AND outcome = 'open'",
        )
        .bind(id).bind(end.input).bind(end.output).bind(end.cached).bind(end.micros).bind(end.estimated).bind(end.first_token_ms)
        .bind(end.duration_ms).bind(end.outcome).bind(end.code).bind(end.at).bind(end.cache_write)
        .execute(c).await?;
    });
    Ok(())
}

/// A call as whoever may see its turn sees it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct TurnCall {
    pub id: ReservationId,
    pub message_id: Option<MessageId>,
    pub model: String,
    pub input: i64,
    pub output: i64,
    pub cached: i64,
    pub cost_micros: i64,
    pub estimated: bool,
    pub outcome: String,
    pub first_token_ms: Option<i64>,
    pub duration_ms: Option<i64>,
    pub started_at: Micros,
}

/// The first [`ROWS_MAX`] calls of a turn in their order, also those that go on.
pub async fn calls_of_turn(c: &mut Conn, turn: TurnId) -> Result<Vec<TurnCall>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT id, message_id, model, input, output, cached, cost_micros, estimated, outcome, first_token_ms, duration_ms, started_at
             FROM ledger WHERE turn_id = $1 ORDER BY started_at, id LIMIT $2",
        )
        .bind(turn).bind(ROWS_MAX).fetch_all(c).await?
    }))
}

/// Model and cost of the answer that the turn's transcript got last.
pub async fn last_answer(c: &mut Conn, turn: TurnId) -> Result<Option<(String, i64)>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT model, cost_micros FROM ledger WHERE turn_id = $1 AND message_id IS NOT NULL ORDER BY started_at DESC, id DESC LIMIT 1",
        )
        .bind(turn).fetch_optional(c).await?
    }))
}

/// Calls of a turn that nobody has settled.
pub async fn open_of_turn(c: &mut Conn, turn: TurnId) -> Result<Vec<ReservationId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT id FROM ledger WHERE turn_id = $1 AND outcome = 'open' ORDER BY started_at, id").bind(turn).fetch_all(c).await?
    }))
}

/// Calls that were reserved before a moment and that nobody has settled, at most 1000, the oldest first.
pub async fn open_before(c: &mut Conn, before: Micros) -> Result<Vec<ReservationId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT id FROM ledger WHERE outcome = 'open' AND started_at < $1 ORDER BY started_at, id LIMIT 1000")
            .bind(before).fetch_all(c).await?
    }))
}

/// What a turn may use and has used or reserved, in micro-dollars and tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct TurnUse {
    pub limit_micros: Option<i64>,
    pub limit_tokens: Option<i64>,
    pub micros: i64,
    pub tokens: i64,
}

pub async fn of_turn(c: &mut Conn, turn: TurnId) -> Result<TurnUse> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT t.budget_usd_micros AS limit_micros, t.budget_tokens AS limit_tokens,
                    CAST(COALESCE(SUM(CASE l.outcome WHEN 'open' THEN l.reserved_micros ELSE l.cost_micros END), 0) AS BIGINT) AS micros,
                    CAST(COALESCE(SUM(CASE l.outcome WHEN 'open' THEN l.reserved_input + l.reserved_output ELSE l.input + l.output END), 0) AS BIGINT) AS tokens
             FROM turns t LEFT JOIN ledger l ON l.turn_id = t.id WHERE t.id = $1 GROUP BY t.id, t.budget_usd_micros, t.budget_tokens",
        )
        .bind(turn).fetch_optional(c).await?.unwrap_or_default()
    }))
}

/// How many calls outside of turns a person has made since a moment, and has going on that began after another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct OutsideTurns {
    pub recent: i64,
    pub open: i64,
    /// When the first of the recent ones began.
    pub oldest: Option<Micros>,
}

pub async fn outside_turns(c: &mut Conn, user: UserId, recent: Micros, open_since: Micros) -> Result<OutsideTurns> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT CAST(COALESCE(SUM(CASE WHEN started_at >= $2 THEN 1 ELSE 0 END), 0) AS BIGINT) AS recent,
                    CAST(COALESCE(SUM(CASE WHEN outcome = 'open' THEN 1 ELSE 0 END), 0) AS BIGINT) AS open,
                    MIN(CASE WHEN started_at >= $2 THEN started_at END) AS oldest
             FROM ledger WHERE user_id = $1 AND started_at >= $3 AND turn_id IS NULL AND NOT imported",
        )
        .bind(user).bind(recent).bind(open_since).fetch_one(c).await?
    }))
}

/// Says which message the turn's last call became, if none is known yet.
pub async fn attach_message(c: &mut Conn, turn: TurnId, message: MessageId) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "UPDATE ledger SET message_id = $2
             WHERE message_id IS NULL AND id = (SELECT id FROM ledger WHERE turn_id = $1 ORDER BY started_at DESC, id DESC LIMIT 1)",
        )
        .bind(turn).bind(message).execute(c).await?;
    });
    Ok(())
}

#[derive(FromRow)]
struct Measured {
    model_version_id: ModelVersionId,
    outcome: String,
    first_token_ms: Option<i64>,
    duration_ms: Option<i64>,
    output: i64,
}

#[derive(FromRow)]
struct Counted {
    model_version_id: ModelVersionId,
    calls: i64,
    ended_well: i64,
    failed: i64,
}

#[derive(FromRow)]
struct Accepted {
    model_version_id: ModelVersionId,
    accepted: i64,
    decided: i64,
}

/// What each version was measured to do since a moment. Calls that are going on or that a person stopped are no failures; medians are of
/// the newest 500 calls.
pub async fn metrics(c: &mut Conn, since: Micros) -> Result<Vec<(ModelVersionId, ModelMetrics)>> {
    let counted: Vec<Counted> = on!(c, c => {
        sqlx::query_as(
            "SELECT model_version_id, COUNT(*) AS calls,
                    CAST(SUM(CASE outcome WHEN 'ok' THEN 1 ELSE 0 END) AS BIGINT) AS ended_well,
                    CAST(SUM(CASE outcome WHEN 'failed' THEN 1 ELSE 0 END) AS BIGINT) AS failed
             FROM ledger WHERE started_at >= $1 AND outcome <> 'open' AND NOT imported GROUP BY model_version_id",
        )
        .bind(since).fetch_all(c).await?
    });
    let measured: Vec<Measured> = on!(c, c => {
        sqlx::query_as(
            "SELECT model_version_id, outcome, first_token_ms, duration_ms, output FROM (
                SELECT model_version_id, outcome, first_token_ms, duration_ms, output,
                       ROW_NUMBER() OVER (PARTITION BY model_version_id ORDER BY started_at DESC) AS place
                FROM ledger WHERE started_at >= $1 AND outcome IN ('ok', 'stopped') AND first_token_ms IS NOT NULL AND NOT imported
             ) AS newest WHERE place <= $2",
        )
        .bind(since).bind(MEASURED).fetch_all(c).await?
    });
    let accepted: Vec<Accepted> = on!(c, c => {
        sqlx::query_as(
            "SELECT l.model_version_id, COUNT(*) AS decided,
                    CAST(SUM(CASE WHEN h.state IN ('accepted', 'edited') THEN 1 ELSE 0 END) AS BIGINT) AS accepted
             FROM change_hunks h JOIN change_sets s ON s.id = h.change_set_id
             JOIN (SELECT DISTINCT turn_id, model_version_id FROM ledger WHERE started_at >= $1 AND turn_id IS NOT NULL AND NOT imported) l ON l.turn_id = s.turn_id
             WHERE h.state IN ('accepted', 'edited', 'rejected') GROUP BY l.model_version_id",
        )
        .bind(since).fetch_all(c).await?
    });
    Ok(counted
        .into_iter()
        .map(|row| {
            let of_it = || measured.iter().filter(|m| m.model_version_id == row.model_version_id);
            let speeds = of_it().filter(|m| m.outcome == "ok").filter_map(speed).collect();
            let judged = accepted.iter().find(|a| a.model_version_id == row.model_version_id);
            let tried = row.ended_well + row.failed;
            let metrics = ModelMetrics {
                calls: row.calls,
                first_token_ms: median(of_it().filter_map(|m| m.first_token_ms).collect(), i64::cmp),
                tokens_per_second: median(speeds, f64::total_cmp),
                success_rate: (tried > 0).then(|| row.ended_well as f64 / tried as f64),
                acceptance_rate: judged.map(|a| a.accepted as f64 / a.decided as f64),
            };
            (row.model_version_id, metrics)
        })
        .collect())
}

/// Tokens a second between the first and the last; `None` where it was too short to say.
fn speed(call: &Measured) -> Option<f64> {
    let writing = call.duration_ms? - call.first_token_ms?;
    (writing >= 50 && call.output >= 8).then(|| call.output as f64 * 1000.0 / writing as f64)
}

fn median<T: Copy>(mut values: Vec<T>, order: impl FnMut(&T, &T) -> std::cmp::Ordering) -> Option<T> {
    values.sort_by(order);
    values.get(values.len().checked_sub(1)? / 2).copied()
}
