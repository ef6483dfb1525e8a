//! Budgets in words: what is left, of what, and how urgent that is.

use wire::budgets::{Budget, BudgetScope, Period, format_usd};

use crate::ui::format;

/// From this share on people are told.
pub const NEAR: i64 = 80;

/// `Installation`, `Each person`, `ada`, `this project`.
pub fn whose(budget: &Budget) -> String {
    match budget.scope {
        BudgetScope::Instance => "Installation".to_owned(),
        BudgetScope::UserDefault => "Each person".to_owned(),
        BudgetScope::User | BudgetScope::Project if !budget.subject_name.is_empty() => budget.subject_name.clone(),
        BudgetScope::User => "A person who is gone".to_owned(),
        BudgetScope::Project => "A project that is gone".to_owned(),
        BudgetScope::ProjectOwn => "Set by the owner".to_owned(),
        BudgetScope::Conversation => "This conversation".to_owned(),
        BudgetScope::Turn => "This turn".to_owned(),
    }
}

pub fn period(period: Period) -> &'static str {
    match period {
        Period::Month => "each month",
        Period::Total => "in all",
    }
}

/// `$5.00 and 100 000 tokens`.
pub fn limits(budget: &Budget) -> String {
    let money = budget.usd_micros.map(format_usd);
    let tokens = budget.tokens.map(|tokens| format::counted(tokens, "token", "tokens"));
    money.into_iter().chain(tokens).collect::<Vec<_>>().join(" and ")
}

/// `$18.60 left`, `1 200 tokens left`, or `62 % used` where amounts are not told.
pub fn left(budget: &Budget) -> String {
    let used = &budget.used;
    if let Some(limit) = budget.usd_micros {
        return format!("{} left", format_usd((limit - used.spent_micros - used.reserved_micros).max(0)));
    }
    match budget.tokens {
        Some(limit) => format!("{} left", format::counted((limit - used.spent_tokens - used.reserved_tokens).max(0), "token", "tokens")),
        None => format!("{}\u{a0}% used", budget.percent),
    }
}

/// What was used of it: `$1.24 of $5.00, $0.20 reserved`.
pub fn used(budget: &Budget) -> String {
    let used = &budget.used;
    let mut parts = Vec::new();
    if let Some(limit) = budget.usd_micros {
        parts.push(format!("{} of {}", format_usd(used.spent_micros), format_usd(limit)));
        if used.estimated_micros > 0 {
            parts.push(format!("{} of it estimated", format_usd(used.estimated_micros)));
        }
        if used.reserved_micros > 0 {
            parts.push(format!("{} reserved", format_usd(used.reserved_micros)));
        }
    }
    if let Some(limit) = budget.tokens {
        parts.push(format!("{} of {}", format::count(used.spent_tokens), format::counted(limit, "token", "tokens")));
    }
    if parts.is_empty() { format!("{}\u{a0}% used", budget.percent) } else { parts.join(", ") }
}

/// The share of the tighter limit that running calls hold, in percent.
pub fn reserved_percent(budget: &Budget) -> f64 {
    let of = |part: i64, limit: Option<i64>| limit.filter(|limit| *limit > 0).map(|limit| part as f64 * 100.0 / limit as f64);
    let (money, tokens) = (of(budget.used.reserved_micros, budget.usd_micros), of(budget.used.reserved_tokens, budget.tokens));
    money.into_iter().chain(tokens).fold(0.0, f64::max)
}

/// The one that ends first.
pub fn tightest(budgets: &[Budget]) -> Option<&Budget> {
    budgets.iter().max_by_key(|budget| budget.percent)
}

/// A sentence for a budget that is nearly or wholly used.
pub fn warning(budget: &Budget) -> Option<String> {
    let which = match budget.period {
        Period::Month => format!("This month's budget of {}", budget.scope.noun()),
        Period::Total => format!("The budget of {}", budget.scope.noun()),
    };
    let raise = budget.scope.who_raises();
    match budget.percent {
        ..NEAR => None,
        percent @ NEAR..100 => Some(format!("{which} is {percent}\u{a0}% used: {}. {raise}", left(budget))),
        _ => Some(format!("{which} is used up. {raise}")),
    }
}

#[cfg(test)]
mod tests {
    use wire::{
        Micros,
        budgets::{BudgetUse, USD},
    };

    use super::*;

    fn budget(percent: i64, spent_micros: i64) -> Budget {
        Budget {
            id: "00000000-0000-0000-0000-000000000000".parse().unwrap(),
            scope: BudgetScope::ProjectOwn,
            subject: None,
            subject_name: String::new(),
            period: Period::Month,
            usd_micros: Some(5 * USD),
            tokens: None,
            used: BudgetUse { spent_micros, reserved_micros: 250_000, ..BudgetUse::default() },
            percent,
            version: 1,
            updated_at: Micros(0),
            updated_by: None,
        }
    }

    #[test]
    fn what_is_left_takes_running_calls_into_account() {
        let near = budget(90, 4_500_000);
        assert_eq!((left(&near).as_str(), used(&near).as_str()), ("$0.25 left", "$4.50 of $5.00, $0.25 reserved"));
        assert_eq!(reserved_percent(&near), 5.0);
    }

    #[test]
    fn a_warning_says_which_what_is_left_and_who_can_help() {
        assert_eq!(warning(&budget(79, 0)), None);
        let text = warning(&budget(92, 4_600_000)).unwrap();
        assert_eq!(text, "This month's budget of this project is 92\u{a0}% used: $0.15 left. An owner of the project can raise it.");
        assert!(warning(&budget(100, 5_000_000)).unwrap().starts_with("This month's budget of this project is used up."));
    }

    #[test]
    fn without_amounts_only_the_share_is_told() {
        let hidden = Budget { usd_micros: None, used: BudgetUse::default(), ..budget(62, 0) };
        assert_eq!((left(&hidden).as_str(), used(&hidden).as_str()), ("62\u{a0}% used", "62\u{a0}% used"));
    }
}
