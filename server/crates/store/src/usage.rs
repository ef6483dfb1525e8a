//! The ledger added up: by day, model, person, project, conversation, turn and answer. Days that are over are kept as sums. Calls that came
//! with an archive count in what their project and conversations cost, and nowhere else.

use sqlx::FromRow;
use uuid::Uuid;
use wire::{ConversationId, Micros, ProjectId, UserId, budgets::UsageSums};

use crate::{Conn, Result, db::on};

/// Rows of a report that are not days.
pub const ROWS_MAX: i64 = 500;
const DAY: i64 = 86_400 * Micros::SECOND;

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

/// Calls that ended, from `$1` up to, not with, `$2` (times), of `$3`. No day is summed up for those that came with an archive: of a project
/// they are read from `whole`, which is where the report begins.
macro_rules! from_ledger {
    ($c:expr, $of:expr, $whole:expr, $from:expr, $until:expr, $key:literal, $join:literal, $group:literal) => {{
        let (whole, from, until) = (Micros($whole), Micros($from), Micros($until));
        macro_rules! text {
            ($filter:literal) => {
                concat!(
                    "SELECT ", $key, sums!(), " FROM ledger l ", $join,
                    " WHERE l.started_at >= $1 AND l.started_at < $2 AND l.outcome <> 'open' AND ", $filter, " ", $group
                )
            };
        }
        on!($c, c => match $of {
            Of::All => sqlx::query_as(text!("NOT l.imported")).bind(from).bind(until).fetch_all(c).await?,
            Of::User(id) => sqlx::query_as(text!("l.user_id = $3 AND NOT l.imported")).bind(from).bind(until).bind(id).fetch_all(c).await?,
            Of::Project(id) => {
                sqlx::query_as(text!("l.project_id = $3 AND (l.imported OR l.started_at >= $4)")).bind(whole).bind(until).bind(id).bind(from)
                    .fetch_all(c).await?
            }
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
        days.from * DAY,
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
    let more: Vec<ModelSums> = from_ledger!(c, of, days.from * DAY, new.from * DAY, new.until * DAY, "l.model, ", "", "GROUP BY l.model");
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
                whole.0,
                from,
                until,
                "l.user_id AS key, COALESCE(u.username, l.author) AS label, CAST(NULL AS UUID) AS project_id, ",
                "LEFT JOIN users u ON u.id = l.user_id",
                "GROUP BY l.user_id, COALESCE(u.username, l.author)"
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
                whole.0,
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
        sqlx::query_scalar("SELECT MIN(started_at) / 86400000000 FROM ledger WHERE started_at >= $1 AND NOT imported").bind(Micros(until * DAY)).fetch_one(c).await?
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
            " FROM ledger l WHERE l.started_at >= $1 AND l.started_at < $2 AND NOT l.imported GROUP BY l.user_id, COALESCE(l.project_id, $4), l.model"
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
