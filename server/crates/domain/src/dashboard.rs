//! What the first page tells: projects, and what stands beside them.

use wire::{
    Micros,
    budgets::{Budget, Period},
    dashboard::{Dashboard, FirstPage, MonthUse, Sample},
};

use crate::{Ctx, Result, budgets, projects, quotas, settings};

/// Conversations that are told of.
const CONVERSATIONS: i64 = 6;
/// Things that wait or go on; beyond it the newest are told.
const WORK: i64 = 60;
/// What was spent in less time says nothing about a pace.
const LEAST_PACE_S: i64 = 86_400;

/// The projects that are open to the caller and the room theirs take, what waits and goes on in them, what the caller talked about last,
/// and what this month has cost.
pub async fn mine(ctx: &Ctx) -> Result<FirstPage> {
    let user = ctx.require_user()?;
    // It is about all of the person's projects, or about none.
    ctx.require_all_projects()?;
    let month = budgets::month_of(ctx.now());
    let mut conn = ctx.services().db.read().await?;
    let (projects, public) = projects::list_open(ctx, &mut conn).await?;
    let account = store::dashboard::account_of(&mut conn, user.id).await?;
    let budgets = budgets::of_person(&mut conn, user, &month).await?;
    let activity = store::dashboard::activity_of(&mut conn, user.id, CONVERSATIONS, WORK).await?;
    let lasts_until = lasts_until(&budgets, &month, ctx.now());
    let month = MonthUse { used: account.counter.used(Period::Month, &month), month, budgets, lasts_until };
    let limits = settings::read_storage(account.storage.as_deref());
    let quota = quotas::quota_of_person(account.totals, account.checkpoints, account.own, &limits);
    let board = Dashboard { conversations: activity.conversations, work: activity.work, month, sample: sample(ctx) };
    Ok(FirstPage { projects, public, quota, board })
}

fn sample(ctx: &Ctx) -> Sample {
    let settings = &ctx.services().settings;
    let tests: usize = settings.sample.iter().map(|(_, text)| text.matches("def test_").count()).sum();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    Sample { files: count(settings.sample.len()), tests: count(tests), is_scripted: settings.demonstrates }
}

/// When the first of the month's budgets in money is used up, if people go on as they did since the month began.
fn lasts_until(budgets: &[Budget], month: &str, now: Micros) -> Option<Micros> {
    let began = Micros::parse_rfc3339(&format!("{month}-01T00:00:00Z"))?;
    let passed = (now.millis_since(began) / 1000).max(LEAST_PACE_S);
    let end = |budget: &Budget| {
        let limit = budget.usd_micros.filter(|_| budget.period == Period::Month && budget.used.spent_micros > 0)?;
        let left = i128::from((limit - budget.used.spent_micros - budget.used.reserved_micros).max(0));
        let seconds = left * i128::from(passed) / i128::from(budget.used.spent_micros);
        // Far beyond any month, and within what a time can say.
        Some(now.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX).min(366 * 86_400)))
    };
    budgets.iter().filter_map(end).min()
}

#[cfg(test)]
mod tests {
    use wire::budgets::{BudgetScope, BudgetUse, USD};

    use super::*;

    fn budget(period: Period, limit: i64, spent: i64) -> Budget {
        Budget {
            id: uuid::Uuid::nil().into(),
            scope: BudgetScope::User,
            subject: None,
            subject_name: String::new(),
            period,
            usd_micros: Some(limit),
            tokens: None,
            used: BudgetUse { spent_micros: spent, ..BudgetUse::default() },
            percent: 0,
            version: 1,
            updated_at: Micros(0),
            updated_by: None,
        }
    }

    #[test]
    fn the_budget_that_ends_first_says_how_long_it_lasts() {
        let now = Micros::parse_rfc3339("2026-11-11T00:00:00Z").unwrap();
        let day = |text: &str| Micros::parse_rfc3339(&format!("{text}T00:00:00Z"));
        // Ten days for 20 of 30 dollars: the rest lasts five.
        let budgets = [budget(Period::Month, 30 * USD, 20 * USD), budget(Period::Month, 400 * USD, 20 * USD)];
        assert_eq!(lasts_until(&budgets, "2026-11", now), day("2026-11-16"));
        assert_eq!(lasts_until(&budgets[1..], "2026-11", now), day("2027-05-20"));
        assert_eq!(lasts_until(&[budget(Period::Total, 30 * USD, 20 * USD), budget(Period::Month, 5, 0)], "2026-11", now), None);
        assert_eq!(lasts_until(&[budget(Period::Month, 20 * USD, 20 * USD)], "2026-11", now), Some(now));
        // On the first morning the day counts whole.
        let morning = Micros::parse_rfc3339("2026-11-01T06:00:00Z").unwrap();
        let spent = [budget(Period::Month, 2 * USD, USD)];
        assert_eq!(lasts_until(&spent, "2026-11", morning), Some(morning.plus_seconds(86_400)));
    }
}
