use sqlx::FromRow;
use uuid::Uuid;
use wire::{
    BudgetId, Micros, UserId,
    budgets::{Budget, BudgetScope, BudgetUse, Period, spent_percent},
    users::UserRef,
};

use crate::{Conn, Result, Word, db::on};

/// A limit as it was set. `subject` is nil where the scope has none.
#[derive(Debug, Clone, FromRow)]
pub struct BudgetRow {
    pub id: BudgetId,
    pub scope: Word<BudgetScope>,
    pub subject: Uuid,
    pub period: Word<Period>,
    pub usd_micros: Option<i64>,
    pub tokens: Option<i64>,
}

/// Whose limits a call has to fit into; nil where it has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subjects {
    pub user: Uuid,
    pub project: Uuid,
    pub conversation: Uuid,
}

/// Every limit that holds for them, in no particular order. A person's own stands in for everybody's of the same period: both are told.
pub async fn applying(c: &mut Conn, of: Subjects) -> Result<Vec<BudgetRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT id, scope, subject, period, usd_micros, tokens FROM budgets
             WHERE scope IN ('instance', 'user_default') OR (scope = 'user' AND subject = $1)
                OR (scope IN ('project', 'project_own') AND subject = $2) OR (scope = 'conversation' AND subject = $3)",
        )
        .bind(of.user).bind(of.project).bind(of.conversation).fetch_all(c).await?
    }))
}

/// What one person, project, conversation or everybody has used.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromRow)]
pub struct Counter {
    pub month: String,
    pub month_micros: i64,
    pub month_estimated: i64,
    pub month_tokens: i64,
    pub total_micros: i64,
    pub total_estimated: i64,
    pub total_tokens: i64,
    pub reserved_micros: i64,
    pub reserved_tokens: i64,
}

impl Counter {
    /// As of `month`: an older one counts nothing for it.
    pub fn used(&self, period: Period, month: &str) -> BudgetUse {
        let is_now = self.month.as_str() >= month;
        let (spent_micros, estimated_micros, spent_tokens) = match period {
            Period::Month if is_now => (self.month_micros, self.month_estimated, self.month_tokens),
            Period::Month => (0, 0, 0),
            Period::Total => (self.total_micros, self.total_estimated, self.total_tokens),
        };
        let (reserved_micros, reserved_tokens) = (self.reserved_micros, self.reserved_tokens);
        BudgetUse { spent_micros, estimated_micros, reserved_micros, spent_tokens, reserved_tokens }
    }
}

#[derive(FromRow)]
struct Held {
    scope: Word<BudgetScope>,
    #[sqlx(flatten)]
    counter: Counter,
}

/// Adds a reservation to each of these counters, of which no two are of one scope, and answers them with it, in their order. The rows stay
/// locked until the transaction ends: everybody names them in the order instance, user, project, conversation.
pub async fn reserve(c: &mut Conn, of: &[(BudgetScope, Uuid)], month: &str, micros: i64, tokens: i64) -> Result<Vec<Counter>> {
    let rows: Vec<String> = (0..of.len()).map(|place| format!("($1, $2, $3, ${}, ${})", 4 + 2 * place, 5 + 2 * place)).collect();
    let text = format!(
        "INSERT INTO budget_counters AS k (month, reserved_micros, reserved_tokens, scope, subject) VALUES {}
         ON CONFLICT (scope, subject) DO UPDATE SET
            month = CASE WHEN k.month < $1 THEN $1 ELSE k.month END,
            month_micros = CASE WHEN k.month < $1 THEN 0 ELSE k.month_micros END,
            month_estimated = CASE WHEN k.month < $1 THEN 0 ELSE k.month_estimated END,
            month_tokens = CASE WHEN k.month < $1 THEN 0 ELSE k.month_tokens END,
            reserved_micros = k.reserved_micros + $2,
            reserved_tokens = k.reserved_tokens + $3
         RETURNING scope, month, month_micros, month_estimated, month_tokens, total_micros, total_estimated, total_tokens,
                   reserved_micros, reserved_tokens",
        rows.join(", ")
    );
    let mut held: Vec<Held> = on!(c, c => {
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(text)).bind(month).bind(micros).bind(tokens);
        for (scope, subject) in of {
            query = query.bind(Word(*scope)).bind(*subject);
        }
        query.fetch_all(c).await?
    });
    held.sort_by_key(|held| of.iter().position(|(scope, _)| *scope == held.scope.0));
    Ok(held.into_iter().map(|held| held.counter).collect())
}

/// What a reservation came to.
#[derive(Debug, Clone, Copy)]
pub struct Booked<'a> {
    /// When it was reserved: it counts in that month, even if it ends in the next.
    pub month: &'a str,
    pub reserved_micros: i64,
    pub reserved_tokens: i64,
    pub micros: i64,
    /// `micros` or 0.
    pub estimated: i64,
    pub tokens: i64,
}

/// Trades a reservation for what was used. Locks as [`reserve`] does.
pub async fn book(c: &mut Conn, scope: BudgetScope, subject: Uuid, booked: &Booked<'_>) -> Result<Counter> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "UPDATE budget_counters SET
                reserved_micros = reserved_micros - $4, reserved_tokens = reserved_tokens - $5,
                total_micros = total_micros + $6, total_estimated = total_estimated + $7, total_tokens = total_tokens + $8,
                month_micros = CASE WHEN month = $3 THEN month_micros + $6 ELSE month_micros END,
                month_estimated = CASE WHEN month = $3 THEN month_estimated + $7 ELSE month_estimated END,
                month_tokens = CASE WHEN month = $3 THEN month_tokens + $8 ELSE month_tokens END
             WHERE scope = $1 AND subject = $2
             RETURNING month, month_micros, month_estimated, month_tokens, total_micros, total_estimated, total_tokens,
                       reserved_micros, reserved_tokens",
        )
        .bind(Word(scope)).bind(subject).bind(booked.month).bind(booked.reserved_micros).bind(booked.reserved_tokens)
        .bind(booked.micros).bind(booked.estimated).bind(booked.tokens).fetch_optional(c).await?.unwrap_or_default()
    }))
}

pub async fn counter(c: &mut Conn, scope: BudgetScope, subject: Uuid) -> Result<Counter> {
    let found: Option<Counter> = on!(c, c => {
        sqlx::query_as(
            "SELECT month, month_micros, month_estimated, month_tokens, total_micros, total_estimated, total_tokens,
                    reserved_micros, reserved_tokens FROM budget_counters WHERE scope = $1 AND subject = $2",
        )
        .bind(Word(scope)).bind(subject).fetch_optional(c).await?
    });
    Ok(found.unwrap_or_default())
}

/// One limit as it is to be.
pub struct NewBudget {
    pub id: BudgetId,
    pub scope: BudgetScope,
    pub subject: Uuid,
    pub period: Period,
    pub usd_micros: Option<i64>,
    pub tokens: Option<i64>,
    pub at: Micros,
    pub by: UserId,
}

/// Sets a limit in place of the one before, if there is one; what was told about that one is forgotten. Answers its id.
///
/// The version of a new one is its time in microseconds, so that one which was taken away and set again is not taken for the first.
pub async fn put(c: &mut Conn, new: &NewBudget) -> Result<BudgetId> {
    Ok(on!(c, c => {
        let id: BudgetId = sqlx::query_scalar(
            "INSERT INTO budgets AS b (id, scope, subject, period, usd_micros, tokens, updated_at, updated_by, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (scope, subject, period) DO UPDATE
             SET usd_micros = $5, tokens = $6, updated_at = $7, updated_by = $8, version = b.version + 1 RETURNING id",
        )
        .bind(new.id).bind(Word(new.scope)).bind(new.subject).bind(Word(new.period)).bind(new.usd_micros).bind(new.tokens)
        .bind(new.at).bind(new.by).bind(new.at.0.max(1)).fetch_one(&mut *c).await?;
        sqlx::query("DELETE FROM budget_notices WHERE budget_id = $1").bind(id).execute(c).await?;
        id
    }))
}

/// As [`put`], as long as the limit still has this version, or there is none where `base` is 0. `None`, and nothing is written, where
/// somebody else was there first.
pub async fn put_over(c: &mut Conn, new: &NewBudget, base: i64) -> Result<Option<BudgetId>> {
    Ok(on!(c, c => {
        let written: Option<BudgetId> = if base == 0 {
            sqlx::query_scalar(
                "INSERT INTO budgets (id, scope, subject, period, usd_micros, tokens, updated_at, updated_by, version)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (scope, subject, period) DO NOTHING RETURNING id",
            )
            .bind(new.id).bind(Word(new.scope)).bind(new.subject).bind(Word(new.period)).bind(new.usd_micros).bind(new.tokens)
            .bind(new.at).bind(new.by).bind(new.at.0.max(1)).fetch_optional(&mut *c).await?
        } else {
            sqlx::query_scalar(
                "UPDATE budgets SET usd_micros = $4, tokens = $5, updated_at = $6, updated_by = $7, version = version + 1
                 WHERE scope = $1 AND subject = $2 AND period = $3 AND version = $8 RETURNING id",
            )
            .bind(Word(new.scope)).bind(new.subject).bind(Word(new.period)).bind(new.usd_micros).bind(new.tokens)
            .bind(new.at).bind(new.by).bind(base).fetch_optional(&mut *c).await?
        };
        if let Some(id) = written {
            sqlx::query("DELETE FROM budget_notices WHERE budget_id = $1").bind(id).execute(c).await?;
        }
        written
    }))
}

/// With `base` only that version of it. False when there was none.
pub async fn remove(c: &mut Conn, scope: BudgetScope, subject: Uuid, period: Period, base: Option<i64>) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("DELETE FROM budgets WHERE scope = $1 AND subject = $2 AND period = $3 AND version = COALESCE($4, version)")
            .bind(Word(scope)).bind(subject).bind(Word(period)).bind(base).execute(c).await?.rows_affected()
    }) == 1)
}

/// True for whoever says it first.
pub async fn note(c: &mut Conn, budget: BudgetId, subject: Uuid, period_key: &str, percent: i64, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "INSERT INTO budget_notices (budget_id, subject, period_key, percent, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (budget_id, subject, period_key, percent) DO NOTHING",
        )
        .bind(budget).bind(subject).bind(period_key).bind(percent).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

#[derive(FromRow)]
struct ListedRow {
    id: BudgetId,
    scope: Word<BudgetScope>,
    subject: Uuid,
    period: Word<Period>,
    usd_micros: Option<i64>,
    tokens: Option<i64>,
    version: i64,
    updated_at: Micros,
    updated_by: Option<UserId>,
    updated_by_name: Option<String>,
    subject_name: Option<String>,
    #[sqlx(flatten)]
    counter: CounterOrNone,
}

/// A counter that is joined to something; there is none before the first call.
#[derive(Debug, FromRow)]
pub(crate) struct CounterOrNone {
    month: Option<String>,
    month_micros: Option<i64>,
    month_estimated: Option<i64>,
    month_tokens: Option<i64>,
    total_micros: Option<i64>,
    total_estimated: Option<i64>,
    total_tokens: Option<i64>,
    reserved_micros: Option<i64>,
    reserved_tokens: Option<i64>,
}

impl From<CounterOrNone> for Counter {
    fn from(row: CounterOrNone) -> Self {
        let or_zero = Option::unwrap_or_default;
        Self {
            month: row.month.unwrap_or_default(),
            month_micros: or_zero(row.month_micros),
            month_estimated: or_zero(row.month_estimated),
            month_tokens: or_zero(row.month_tokens),
            total_micros: or_zero(row.total_micros),
            total_estimated: or_zero(row.total_estimated),
            total_tokens: or_zero(row.total_tokens),
            reserved_micros: or_zero(row.reserved_micros),
            reserved_tokens: or_zero(row.reserved_tokens),
        }
    }
}

impl ListedRow {
    fn into_budget(self, month: &str) -> Budget {
        let used = Counter::from(self.counter).used(self.period.0, month);
        Budget {
            id: self.id,
            scope: self.scope.0,
            subject: Some(self.subject).filter(|subject| !subject.is_nil()),
            subject_name: self.subject_name.unwrap_or_default(),
            period: self.period.0,
            usd_micros: self.usd_micros,
            tokens: self.tokens,
            percent: spent_percent(self.usd_micros, self.tokens, &used),
            used,
            version: self.version,
            updated_at: self.updated_at,
            updated_by: self.updated_by.zip(self.updated_by_name).map(|(id, name)| UserRef { id, name }),
        }
    }
}

/// `project_own` counts in the project's counter, which both limits share. `$counted` says where `user_default` counts.
macro_rules! list {
    ($filter:literal) => {
        list!($filter, "b.subject", "b.scope")
    };
    ($filter:literal, $subject:literal, $counted:literal) => {
        concat!(
            "SELECT b.id, b.scope, b.subject, b.period, b.usd_micros, b.tokens, b.version, b.updated_at, b.updated_by,
                    COALESCE(NULLIF(w.full_name, ''), w.username) AS updated_by_name,
                    COALESCE(u.username, p.name, v.title) AS subject_name,
                    k.month, k.month_micros, k.month_estimated, k.month_tokens, k.total_micros, k.total_estimated, k.total_tokens,
                    k.reserved_micros, k.reserved_tokens
             FROM budgets b
             LEFT JOIN users w ON w.id = b.updated_by
             LEFT JOIN users u ON b.scope = 'user' AND u.id = b.subject
             LEFT JOIN projects p ON b.scope IN ('project', 'project_own') AND p.id = b.subject
             LEFT JOIN conversations v ON b.scope = 'conversation' AND v.id = b.subject
             LEFT JOIN budget_counters k
               ON k.subject = ",
            $subject,
            " AND k.scope = CASE b.scope WHEN 'project_own' THEN 'project' ELSE ",
            $counted,
            " END
             WHERE ",
            $filter,
            " ORDER BY b.scope, subject_name, b.period LIMIT 1000"
        )
    };
}

/// The limit of one scope, subject and period, with what was used of it.
pub async fn one(c: &mut Conn, scope: BudgetScope, subject: Uuid, period: Period, month: &str) -> Result<Option<Budget>> {
    let row: Option<ListedRow> = on!(c, c => {
        sqlx::query_as(list!("b.scope = $1 AND b.subject = $2 AND b.period = $3"))
            .bind(Word(scope)).bind(subject).bind(Word(period)).fetch_optional(c).await?
    });
    Ok(row.map(|row| row.into_budget(month)))
}

/// All that administrators set, with what was used of them in `month` (`2026-11`) or ever.
pub async fn list(c: &mut Conn, month: &str) -> Result<Vec<Budget>> {
    let rows: Vec<ListedRow> = on!(c, c => {
        sqlx::query_as(list!("b.scope IN ('instance', 'user_default', 'user', 'project')")).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|row| row.into_budget(month)).collect())
}

/// Those of one person, project and conversation, and those of everybody. The use of the default is that of the person.
pub async fn list_for(c: &mut Conn, of: Subjects, month: &str) -> Result<Vec<Budget>> {
    let rows: Vec<ListedRow> = on!(c, c => {
        sqlx::query_as(list!(
            "(b.scope IN ('instance', 'user_default') OR (b.scope = 'user' AND b.subject = $1)
              OR (b.scope IN ('project', 'project_own') AND b.subject = $2) OR (b.scope = 'conversation' AND b.subject = $3))",
            "CASE b.scope WHEN 'user_default' THEN $1 ELSE b.subject END",
            "CASE b.scope WHEN 'user_default' THEN 'user' ELSE b.scope END"
        ))
        .bind(of.user).bind(of.project).bind(of.conversation).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|row| row.into_budget(month)).collect())
}
