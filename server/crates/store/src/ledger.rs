use sqlx::FromRow;
use uuid::Uuid;
use wire::{
    ConversationId, MessageId, Micros, ModelVersionId, ProjectId, ReservationId, TurnId, UserId,
    budgets::UsageSums,
    models::{ModelMetrics, Prices},
};

use crate::{Conn, Result, db::on};

/// The newest calls of a version that its medians are taken from.
const MEASURED: i64 = 500;
/// Rows of a report that are not days.
pub const ROWS_MAX: i64 = 500;
const DAY: i64 = 86_400 * Micros::SECOND;

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
                                 price_cached, reserved_input, reserved_output, reserved_micros, estimated, outcome, started_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'open', $15)",
        )
        .bind(call.id).bind(call.user).bind(call.project).bind(call.conversation).bind(call.turn).bind(call.version).bind(call.model)
        .bind(call.prices.input).bind(call.prices.output).bind(call.prices.cached).bind(call.input).bind(call.output).bind(call.micros)
        .bind(false).bind(call.at).execute(c).await?;
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
    pub price_input: i64,
    pub price_output: i64,
    pub price_cached: i64,
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
        Prices { input: self.price_input, output: self.price_output, cached: self.price_cached }
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
                               outcome = $9, code = $10, ended_at = $11
             WHERE id = $1 AND outcome = 'open'",
        )
        .bind(id).bind(end.input).bind(end.output).bind(end.cached).bind(end.micros).bind(end.estimated).bind(end.first_token_ms)
        .bind(end.duration_ms).bind(end.outcome).bind(end.code).bind(end.at).execute(c).await?;
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
             FROM ledger WHERE user_id = $1 AND started_at >= $3 AND turn_id IS NULL",
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

/// Whose calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    All,
    User(UserId),
    Project(ProjectId),
    Conversation(ConversationId),
}

/// By what calls are added up that belong to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    User,
    Project,
    Conversation,
    Turn,
    Message,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct SumsRow {
    pub calls: i64,
    pub failed: i64,
    pub input: i64,
    pub output: i64,
    pub cached: i64,
    pub billed_micros: i64,
    pub estimated_micros: i64,
}

impl From<SumsRow> for UsageSums {
    fn from(row: SumsRow) -> Self {
        let SumsRow { calls, failed, input, output, cached, billed_micros, estimated_micros } = row;
        Self { calls, failed, input, output, cached, billed_micros, estimated_micros }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DaySums {
    pub day: i64,
    #[sqlx(flatten)]
    pub sums: SumsRow,
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ModelSums {
    pub model: String,
    #[sqlx(flatten)]
    pub sums: SumsRow,
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ThingSums {
    /// Nil for calls that belong to none.
    pub key: Uuid,
    pub label: Option<String>,
    /// Where the label is of something in a project.
    pub project_id: Option<Uuid>,
    #[sqlx(flatten)]
    pub sums: SumsRow,
}

macro_rules! sums {
    () => {
        "CAST(COUNT(*) AS BIGINT) AS calls,
         CAST(COALESCE(SUM(CASE WHEN l.outcome IN ('failed', 'lost') THEN 1 ELSE 0 END), 0) AS BIGINT) AS failed,
         CAST(COALESCE(SUM(l.input), 0) AS BIGINT) AS input, CAST(COALESCE(SUM(l.output), 0) AS BIGINT) AS output,
         CAST(COALESCE(SUM(l.cached), 0) AS BIGINT) AS cached,
         CAST(COALESCE(SUM(CASE WHEN l.estimated THEN 0 ELSE l.cost_micros END), 0) AS BIGINT) AS billed_micros,
         CAST(COALESCE(SUM(CASE WHEN l.estimated THEN l.cost_micros ELSE 0 END), 0) AS BIGINT) AS estimated_micros"
    };
}

macro_rules! daily_sums {
    () => {
        "CAST(SUM(d.calls) AS BIGINT) AS calls, CAST(SUM(d.failed) AS BIGINT) AS failed, CAST(SUM(d.input) AS BIGINT) AS input,
         CAST(SUM(d.output) AS BIGINT) AS output, CAST(SUM(d.cached) AS BIGINT) AS cached,
         CAST(SUM(d.billed_micros) AS BIGINT) AS billed_micros, CAST(SUM(d.estimated_micros) AS BIGINT) AS estimated_micros"
    };
}

/// Calls that ended, from `$1` up to, not with, `$2` (times), of `$3`.
macro_rules! from_ledger {
    ($c:expr, $of:expr, $from:expr, $until:expr, $key:literal, $join:literal, $group:literal) => {{
        let (from, until) = (Micros($from), Micros($until));
        macro_rules! text {
            ($filter:literal) => {
                concat!(
                    "SELECT ", $key, sums!(), " FROM ledger l ", $join,
                    " WHERE l.started_at >= $1 AND l.started_at < $2 AND l.outcome <> 'open' AND ", $filter, " ", $group
                )
            };
        }
        on!($c, c => match $of {
            Of::All => sqlx::query_as(text!("l.started_at IS NOT NULL")).bind(from).bind(until).fetch_all(c).await?,
            Of::User(id) => sqlx::query_as(text!("l.user_id = $3")).bind(from).bind(until).bind(id).fetch_all(c).await?,
            Of::Project(id) => sqlx::query_as(text!("l.project_id = $3")).bind(from).bind(until).bind(id).fetch_all(c).await?,
            Of::Conversation(id) => sqlx::query_as(text!("l.conversation_id = $3")).bind(from).bind(until).bind(id).fetch_all(c).await?,
        })
    }};
}

/// The same of days that are summed up, from `$1` up to, not with, `$2` (days). No conversation is told apart there.
macro_rules! from_daily {
    ($c:expr, $of:expr, $from:expr, $until:expr, $key:literal, $join:literal, $group:literal) => {{
        macro_rules! text {
            ($filter:literal) => {
                concat!("SELECT ", $key, daily_sums!(), " FROM usage_daily d ", $join, " WHERE d.day >= $1 AND d.day < $2 AND ", $filter, " ", $group)
            };
        }
        on!($c, c => match $of {
            Of::All => sqlx::query_as(text!("d.day IS NOT NULL")).bind($from).bind($until).fetch_all(c).await?,
            Of::User(id) => sqlx::query_as(text!("d.user_id = $3")).bind($from).bind($until).bind(id).fetch_all(c).await?,
            Of::Project(id) => sqlx::query_as(text!("d.project_id = $3")).bind($from).bind($until).bind(id).fetch_all(c).await?,
            Of::Conversation(_) => Vec::new(),
        })
    }};
}

/// Days of a report: both are numbers of days since 1970-01-01, `until` is not included. What is summed up already comes from the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    pub from: i64,
    pub until: i64,
}

impl Days {
    /// The part that is summed up, and the part that has to be read from the book.
    fn split(self, of: Of, summed: i64) -> (Self, Self) {
        let edge = if matches!(of, Of::Conversation(_)) { self.from } else { summed.clamp(self.from, self.until.max(self.from)) };
        (Self { from: self.from, until: edge }, Self { from: edge, until: self.until })
    }
}

/// The first day that is not summed up.
pub async fn summed_until(c: &mut Conn) -> Result<i64> {
    Ok(on!(c, c => sqlx::query_scalar("SELECT until FROM usage_rollup WHERE one = 1").fetch_one(c).await?))
}

/// In no particular order; a day may come twice.
pub async fn by_day(c: &mut Conn, of: Of, days: Days) -> Result<Vec<DaySums>> {
    let (old, new) = days.split(of, summed_until(c).await?);
    let mut rows: Vec<DaySums> = from_daily!(c, of, old.from, old.until, "d.day, ", "", "GROUP BY d.day");
    let more: Vec<DaySums> = from_ledger!(
        c,
        of,
        new.from * DAY,
        new.until * DAY,
        "l.started_at / 86400000000 AS day, ",
        "",
        "GROUP BY l.started_at / 86400000000"
    );
    rows.extend(more);
    Ok(rows)
}

/// In no particular order; a model may come twice.
pub async fn by_model(c: &mut Conn, of: Of, days: Days) -> Result<Vec<ModelSums>> {
    let (old, new) = days.split(of, summed_until(c).await?);
    let mut rows: Vec<ModelSums> = from_daily!(c, of, old.from, old.until, "d.model, ", "", "GROUP BY d.model");
    let more: Vec<ModelSums> = from_ledger!(c, of, new.from * DAY, new.until * DAY, "l.model, ", "", "GROUP BY l.model");
    rows.extend(more);
    Ok(rows)
}

/// In no particular order; a thing may come twice. Of conversations, turns and messages the dearest [`ROWS_MAX`].
pub async fn by_thing(c: &mut Conn, of: Of, days: Days, thing: Thing) -> Result<Vec<ThingSums>> {
    const NIL: Uuid = Uuid::nil();
    let (old, new) = days.split(of, summed_until(c).await?);
    let (from, until) = (new.from * DAY, new.until * DAY);
    let whole = (days.from * DAY, days.until * DAY);
    // Rows without the thing have no key.
    #[derive(FromRow)]
    struct Row {
        key: Option<Uuid>,
        label: Option<String>,
        project_id: Option<Uuid>,
        #[sqlx(flatten)]
        sums: SumsRow,
    }
    let rows: Vec<Row> = match thing {
        Thing::User => {
            let mut rows: Vec<Row> = from_daily!(
                c,
                of,
                old.from,
                old.until,
                "d.user_id AS key, u.username AS label, CAST(NULL AS UUID) AS project_id, ",
                "LEFT JOIN users u ON u.id = d.user_id",
                "GROUP BY d.user_id, u.username"
            );
            let more: Vec<Row> = from_ledger!(
                c,
                of,
                from,
                until,
                "l.user_id AS key, u.username AS label, CAST(NULL AS UUID) AS project_id, ",
                "LEFT JOIN users u ON u.id = l.user_id",
                "GROUP BY l.user_id, u.username"
            );
            rows.extend(more);
            rows
        }
        Thing::Project => {
            let mut rows: Vec<Row> = from_daily!(
                c,
                of,
                old.from,
                old.until,
                "d.project_id AS key, p.name AS label, d.project_id, ",
                "LEFT JOIN projects p ON p.id = d.project_id",
                "GROUP BY d.project_id, p.name"
            );
            let more: Vec<Row> = from_ledger!(
                c,
                of,
                from,
                until,
                "l.project_id AS key, p.name AS label, l.project_id, ",
                "LEFT JOIN projects p ON p.id = l.project_id",
                "GROUP BY l.project_id, p.name"
            );
            rows.extend(more);
            rows
        }
        Thing::Conversation => from_ledger!(
            c,
            of,
            whole.0,
            whole.1,
            "l.conversation_id AS key, v.title AS label, l.project_id, ",
            "LEFT JOIN conversations v ON v.id = l.conversation_id",
            "GROUP BY l.conversation_id, v.title, l.project_id ORDER BY SUM(l.cost_micros) DESC, SUM(l.input + l.output) DESC LIMIT 500"
        ),
        Thing::Turn => from_ledger!(
            c,
            of,
            whole.0,
            whole.1,
            "l.turn_id AS key, substr(t.prompt, 1, 80) AS label, l.project_id, ",
            "LEFT JOIN turns t ON t.id = l.turn_id",
            "GROUP BY l.turn_id, substr(t.prompt, 1, 80), l.project_id ORDER BY SUM(l.cost_micros) DESC, SUM(l.input + l.output) DESC LIMIT 500"
        ),
        Thing::Message => from_ledger!(
            c,
            of,
            whole.0,
            whole.1,
            "l.message_id AS key, l.model AS label, l.project_id, ",
            "",
            "GROUP BY l.message_id, l.model, l.project_id ORDER BY SUM(l.cost_micros) DESC, SUM(l.input + l.output) DESC LIMIT 500"
        ),
    };
    Ok(rows
        .into_iter()
        .map(|row| ThingSums { key: row.key.unwrap_or(NIL), label: row.label, project_id: row.project_id, sums: row.sums })
        .collect())
}

/// Sums up the next whole day, unless a call of it is not settled yet. False when there is none to do before `today`. A day without
/// calls is passed over with all that are like it.
pub async fn roll_up_next(c: &mut Conn, today: i64) -> Result<bool> {
    let until = summed_until(c).await?;
    let first: Option<i64> = on!(c, c => {
        sqlx::query_scalar("SELECT MIN(started_at) / 86400000000 FROM ledger WHERE started_at >= $1").bind(Micros(until * DAY)).fetch_one(c).await?
    });
    let day = first.unwrap_or(today).min(today);
    if day >= today {
        if until < today {
            set_summed_until(c, today).await?;
        }
        return Ok(false);
    }
    let (from, to) = (Micros(day * DAY), Micros((day + 1) * DAY));
    let open: i64 = on!(c, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM ledger WHERE outcome = 'open' AND started_at >= $1 AND started_at < $2")
            .bind(from).bind(to).fetch_one(c).await?
    });
    if open > 0 {
        set_summed_until(c, day).await?;
        return Ok(false);
    }
    on!(c, c => {
        sqlx::query(concat!(
            "INSERT INTO usage_daily (day, user_id, project_id, model, calls, failed, input, output, cached, billed_micros, estimated_micros)
             SELECT CAST($3 AS BIGINT), l.user_id, COALESCE(l.project_id, $4), l.model, ", sums!(),
            " FROM ledger l WHERE l.started_at >= $1 AND l.started_at < $2 GROUP BY l.user_id, COALESCE(l.project_id, $4), l.model"
        ))
        .bind(from).bind(to).bind(day).bind(Uuid::nil()).execute(c).await?;
    });
    set_summed_until(c, day + 1).await?;
    Ok(true)
}

async fn set_summed_until(c: &mut Conn, day: i64) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE usage_rollup SET until = $1 WHERE one = 1").bind(day).execute(c).await?; });
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
             FROM ledger WHERE started_at >= $1 AND outcome <> 'open' GROUP BY model_version_id",
        )
        .bind(since).fetch_all(c).await?
    });
    let measured: Vec<Measured> = on!(c, c => {
        sqlx::query_as(
            "SELECT model_version_id, outcome, first_token_ms, duration_ms, output FROM (
                SELECT model_version_id, outcome, first_token_ms, duration_ms, output,
                       ROW_NUMBER() OVER (PARTITION BY model_version_id ORDER BY started_at DESC) AS place
                FROM ledger WHERE started_at >= $1 AND outcome IN ('ok', 'stopped') AND first_token_ms IS NOT NULL
             ) AS newest WHERE place <= $2",
        )
        .bind(since).bind(MEASURED).fetch_all(c).await?
    });
    let accepted: Vec<Accepted> = on!(c, c => {
        sqlx::query_as(
            "SELECT l.model_version_id, COUNT(*) AS decided,
                    CAST(SUM(CASE WHEN h.state IN ('accepted', 'edited') THEN 1 ELSE 0 END) AS BIGINT) AS accepted
             FROM change_hunks h JOIN change_sets s ON s.id = h.change_set_id
             JOIN (SELECT DISTINCT turn_id, model_version_id FROM ledger WHERE started_at >= $1 AND turn_id IS NOT NULL) l ON l.turn_id = s.turn_id
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
