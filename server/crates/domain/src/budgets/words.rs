//! What people are told about budgets.

use store::{budgets::BudgetRow, ledger::TurnUse};
use wire::budgets::{BudgetScope, BudgetUse, Period, format_usd};

const DOES_NOT_COVER: &str = "does not cover the worst case of the next answer";
const NEEDS_LESS: &str = "A shorter prompt or a new conversation needs less.";

/// Why a call does not fit, or `None` where it does. `used` holds the call's own reservation already.
pub fn does_not_fit(budget: &BudgetRow, used: &BudgetUse, micros: i64, tokens: i64) -> Option<String> {
    let which = which(budget.scope.0, budget.period.0);
    let spent = used.spent_micros.saturating_add(used.reserved_micros);
    if let Some(limit) = budget.usd_micros.filter(|limit| micros > 0 && spent > *limit) {
        return Some(money_does_not_fit(&which, limit, spent - micros, micros, budget.scope.0));
    }
    let taken = used.spent_tokens.saturating_add(used.reserved_tokens);
    if let Some(limit) = budget.tokens.filter(|limit| tokens > 0 && taken > *limit) {
        return Some(tokens_do_not_fit(&which, limit, taken - tokens, tokens, budget.scope.0));
    }
    None
}

pub fn turn_is_full(used: &TurnUse, micros: i64, tokens: i64) -> Option<String> {
    let which = "The budget of this turn";
    // The sums hold the call's own reservation already.
    if let Some(limit) = used.limit_micros.filter(|limit| micros > 0 && used.micros > *limit) {
        return Some(money_does_not_fit(which, limit, used.micros - micros, micros, BudgetScope::Turn));
    }
    if let Some(limit) = used.limit_tokens.filter(|limit| tokens > 0 && used.tokens > *limit) {
        return Some(tokens_do_not_fit(which, limit, used.tokens - tokens, tokens, BudgetScope::Turn));
    }
    None
}

fn money_does_not_fit(which: &str, limit: i64, taken: i64, needed: i64, scope: BudgetScope) -> String {
    let (left, limit, needed) = (format_usd((limit - taken).max(0)), format_usd(limit), format_usd(needed));
    format!("{which} {DOES_NOT_COVER}: {left} of {limit} is left, and it may cost up to {needed}. {} {NEEDS_LESS}", scope.who_raises())
}

fn tokens_do_not_fit(which: &str, limit: i64, taken: i64, needed: i64, scope: BudgetScope) -> String {
    let (left, limit, needed) = (grouped((limit - taken).max(0)), grouped(limit), grouped(needed));
    format!(
        "{which} {DOES_NOT_COVER}: {left} of {limit} tokens are left, and it may take up to {needed}. {} {NEEDS_LESS}",
        scope.who_raises()
    )
}

/// That so much of a budget is used.
pub fn notice(budget: &BudgetRow, used: &BudgetUse, percent: i64) -> String {
    let which = which(budget.scope.0, budget.period.0);
    let mut left = Vec::new();
    if let Some(limit) = budget.usd_micros {
        left.push(format!("{} of {}", format_usd((limit - used.spent_micros).max(0)), format_usd(limit)));
    }
    if let Some(limit) = budget.tokens {
        left.push(format!("{} of {} tokens", grouped((limit - used.spent_tokens).max(0)), grouped(limit)));
    }
    let state = if percent >= 100 { "is used up".to_owned() } else { format!("is {percent}\u{a0}% used") };
    format!("{which} {state}: {} left. {}", left.join(" and "), budget.scope.0.who_raises())
}

/// The subject of a sentence.
fn which(scope: BudgetScope, period: Period) -> String {
    match period {
        Period::Month => format!("This month's budget of {}", scope.noun()),
        Period::Total => format!("The budget of {}", scope.noun()),
    }
}

/// `12 345 678`, with narrow spaces.
fn grouped(n: i64) -> String {
    let digits = n.to_string();
    let first = digits.len() % 3;
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 3 == first {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use store::Word;
    use uuid::Uuid;

    use super::*;

    fn budget(scope: BudgetScope, usd_micros: Option<i64>, tokens: Option<i64>) -> BudgetRow {
        BudgetRow { id: Uuid::nil().into(), scope: Word(scope), subject: Uuid::nil(), period: Word(Period::Month), usd_micros, tokens }
    }

    #[test]
    fn a_refusal_says_which_budget_what_is_left_and_who_can_raise_it() {
        let of_project = budget(BudgetScope::ProjectOwn, Some(5_000_000), None);
        let used = BudgetUse { spent_micros: 4_980_000, reserved_micros: 50_000, ..BudgetUse::default() };
        assert_eq!(
            does_not_fit(&of_project, &used, 50_000, 1000).unwrap(),
            "This month's budget of this project does not cover the worst case of the next answer: $0.02 of $5.00 is left, and it may cost up \
             to $0.05. An owner of the project can raise it. A shorter prompt or a new conversation needs less."
        );
        let exact = BudgetUse { spent_micros: 4_950_000, ..used };
        assert_eq!(does_not_fit(&of_project, &exact, 50_000, 1000), None);
    }

    #[test]
    fn what_costs_nothing_always_fits() {
        let nothing = budget(BudgetScope::Instance, Some(0), Some(0));
        assert_eq!(does_not_fit(&nothing, &BudgetUse::default(), 0, 0), None);
        assert!(does_not_fit(&nothing, &BudgetUse { reserved_tokens: 1, ..BudgetUse::default() }, 0, 1).is_some());
    }

    #[test]
    fn large_numbers_can_be_read() {
        assert_eq!([0, 999, 1000, 12_345_678].map(grouped), ["0", "999", "1\u{202f}000", "12\u{202f}345\u{202f}678"]);
    }
}
