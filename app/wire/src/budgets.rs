//! What models may cost and have cost. Money is whole micro-US-dollars everywhere.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{BudgetId, FieldError, Micros, users::UserRef};

/// One US dollar.
pub const USD: i64 = 1_000_000;
/// The most that a budget or a price can say: a million dollars.
pub const MICROS_USD_MAX: i64 = 1_000_000 * USD;
pub const BUDGET_TOKENS_MAX: i64 = 1_000_000_000_000;
/// At these shares of a budget, in percent, people are told: once each in a period.
pub const NOTICES: [i64; 3] = [80, 90, 100];

/// What a budget is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BudgetScope {
    /// Everybody together.
    Instance,
    /// Each person who has none of their own.
    UserDefault,
    User,
    /// A project, as an administrator limits it.
    Project,
    /// A project, as its owner limits it within that.
    ProjectOwn,
    Conversation,
    /// One turn; part of the turn itself, never of a list.
    Turn,
}

impl BudgetScope {
    /// What is limited, in the middle of a sentence.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Instance => "the installation",
            Self::UserDefault | Self::User => "your account",
            Self::Project | Self::ProjectOwn => "this project",
            Self::Conversation => "this conversation",
            Self::Turn => "this turn",
        }
    }

    /// Who can give more.
    pub fn who_raises(self) -> &'static str {
        match self {
            Self::Instance | Self::UserDefault | Self::User | Self::Project => "An administrator can raise it.",
            Self::ProjectOwn => "An owner of the project can raise it.",
            Self::Conversation => "You can raise it in the chat's budget.",
            Self::Turn => "Send the prompt again with a larger budget.",
        }
    }
}

/// For how long a budget lasts before it begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A calendar month in UTC.
    #[default]
    Month,
    /// It never begins again.
    Total,
}

/// Sets one budget, or takes it away where both limits are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SetBudget {
    pub scope: BudgetScope,
    /// The person's or the project's id where the scope has one.
    #[serde(default)]
    pub subject: Option<Uuid>,
    #[serde(default)]
    pub period: Period,
    #[serde(default)]
    pub usd_micros: Option<i64>,
    #[serde(default)]
    pub tokens: Option<i64>,
    /// The [`Budget::version`] that this is based on, 0 for there being none: anything else is a conflict. Absent, whatever is there is
    /// replaced.
    #[serde(default)]
    pub version: Option<i64>,
}

impl SetBudget {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if self.usd_micros.is_some_and(|micros| !(0..=MICROS_USD_MAX).contains(&micros)) {
            fields.push(FieldError::new("usd_micros", "Choose 0 to 1 million US dollars, or leave it empty."));
        }
        if self.tokens.is_some_and(|tokens| !(0..=BUDGET_TOKENS_MAX).contains(&tokens)) {
            fields.push(FieldError::new("tokens", "Choose 0 to 10¹² tokens, or leave it empty."));
        }
        fields
    }
}

/// The limits of a project or conversation; absent ones do not limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BudgetLimits {
    #[serde(default)]
    pub period: Period,
    #[serde(default)]
    pub usd_micros: Option<i64>,
    #[serde(default)]
    pub tokens: Option<i64>,
    /// As [`SetBudget::version`].
    #[serde(default)]
    pub version: Option<i64>,
}

/// What was used of a budget in its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BudgetUse {
    /// Of calls that ended, billed and estimated together.
    pub spent_micros: i64,
    /// The part of it that the provider did not count itself.
    pub estimated_micros: i64,
    /// The worst case of calls that go on now.
    pub reserved_micros: i64,
    pub spent_tokens: i64,
    pub reserved_tokens: i64,
}

/// A budget with what was used of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Budget {
    pub id: BudgetId,
    pub scope: BudgetScope,
    pub subject: Option<Uuid>,
    /// The person's or project's name; empty where the scope says all.
    pub subject_name: String,
    pub period: Period,
    pub usd_micros: Option<i64>,
    pub tokens: Option<i64>,
    /// All zero for the default of everybody, which nobody uses as such.
    pub used: BudgetUse,
    /// The larger share of its limits that was spent; may be above 100. Running calls do not count. Where the caller may not know the
    /// amounts, it is all that is told.
    pub percent: i64,
    /// Another number after each change, and never one that it had before.
    #[serde(default)]
    pub version: i64,
    pub updated_at: Micros,
    pub updated_by: Option<UserRef>,
}

/// The larger share, in percent, of the limits that was spent.
pub fn spent_percent(usd_micros: Option<i64>, tokens: Option<i64>, used: &BudgetUse) -> i64 {
    let money = usd_micros.map(|limit| share(used.spent_micros, limit));
    let tokens = tokens.map(|limit| share(used.spent_tokens, limit));
    money.into_iter().chain(tokens).max().unwrap_or(0)
}

/// Whole percent, rounded down, so that 100 means that nothing is left.
pub fn share(used: i64, limit: i64) -> i64 {
    if limit <= 0 {
        return 100;
    }
    i64::try_from(i128::from(used.max(0)) * 100 / i128::from(limit)).unwrap_or(i64::MAX)
}

/// By what usage is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UsageGroup {
    #[default]
    Day,
    Model,
    User,
    Project,
    Conversation,
    Turn,
    /// One answer of a model.
    Message,
}

/// Sums of model calls that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UsageSums {
    pub calls: i64,
    /// Those that gave no answer.
    pub failed: i64,
    pub input: i64,
    pub output: i64,
    /// Part of `input`.
    pub cached: i64,
    /// As providers counted.
    pub billed_micros: i64,
    /// Where they did not.
    pub estimated_micros: i64,
}

impl UsageSums {
    pub fn cost_micros(&self) -> i64 {
        self.billed_micros + self.estimated_micros
    }

    pub fn tokens(&self) -> i64 {
        self.input + self.output
    }

    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.input += other.input;
        self.output += other.output;
        self.cached += other.cached;
        self.billed_micros += other.billed_micros;
        self.estimated_micros += other.estimated_micros;
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UsageRow {
    /// The day (`2026-11-22`) or the id; empty for calls that belong to none.
    pub key: String,
    /// For people.
    pub label: String,
    #[serde(flatten)]
    pub sums: UsageSums,
}

/// Days in UTC, both included; no group means days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UsageReport {
    pub from: String,
    pub to: String,
    pub group_by: UsageGroup,
    /// Days in order, without gaps; anything else by cost, the dearest first, at most 500.
    pub rows: Vec<UsageRow>,
    pub total: UsageSums,
}

/// One call of a model within a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CallUsage {
    pub id: crate::ReservationId,
    /// The answer that it became; `None` for one that gave none, and for summaries.
    #[serde(default)]
    pub message_id: Option<crate::MessageId>,
    pub model: String,
    pub input: i64,
    /// Part of `input`.
    pub cached: i64,
    pub output: i64,
    pub cost_micros: i64,
    /// The provider did not count; we did.
    pub estimated: bool,
    /// `open` while it goes on, then `ok`, `failed`, `stopped` or `lost`.
    pub outcome: String,
    #[serde(default)]
    pub first_token_ms: Option<i64>,
    #[serde(default)]
    pub duration_ms: Option<i64>,
    pub started_at: Micros,
}

/// What one turn used: its first 500 calls in their order, and the sums of those that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TurnUsage {
    pub turn_id: crate::TurnId,
    pub calls: Vec<CallUsage>,
    pub total: UsageSums,
}

/// The budgets that hold for somebody, and where news of them are told after event `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BudgetWatch {
    pub budgets: Vec<Budget>,
    pub stream: crate::event::Stream,
    pub seq: i64,
}

/// Which usage is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UsageQuery {
    /// `2026-11-01`, or a time in RFC 3339; thirty days ago where absent.
    #[serde(default)]
    pub from: Option<String>,
    /// Today where absent.
    #[serde(default)]
    pub to: Option<String>,
    #[serde(default)]
    pub group_by: UsageGroup,
    /// Only of one conversation.
    #[serde(default)]
    pub conversation: Option<crate::ConversationId>,
    /// Only of one person; for administrators.
    #[serde(default)]
    pub user: Option<crate::UserId>,
    /// Only of one project; for administrators.
    #[serde(default)]
    pub project: Option<crate::ProjectId>,
}

/// `$0.0042`, `$12.34`: two digits from a cent on, else as many as show something.
pub fn format_usd(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    if micros == 0 || micros >= 10_000 {
        let cents = (micros + 5_000) / 10_000;
        return format!("{sign}${}.{:02}", cents / 100, cents % 100);
    }
    let digits = format!("{micros:06}");
    let kept = digits.trim_end_matches('0');
    // Two that tell something.
    let first = kept.bytes().position(|b| b != b'0').unwrap_or(0);
    format!("{sign}$0.{}", &kept[..kept.len().min(first + 2)])
}

/// `12.50`, `$12.5` or `12,50` as micro-dollars. `None` for what is no amount, or has more than six decimals.
pub fn parse_usd(text: &str) -> Option<i64> {
    let text = text.trim().trim_start_matches('$').trim().replace(',', ".");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    if (whole.is_empty() && part.is_empty()) || part.len() > 6 || !whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: i64 = if part.is_empty() { 0 } else { format!("{part:0<6}").parse().ok()? };
    whole.checked_mul(USD)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_told_so_that_small_amounts_show() {
        let shown = [0, 5, 120, 4_200, 9_999, 10_000, 1_234_567, 12_000_000].map(format_usd);
        assert_eq!(shown, ["$0.00", "$0.000005", "$0.00012", "$0.0042", "$0.0099", "$0.01", "$1.23", "$12.00"]);
    }

    #[test]
    fn money_is_read_as_people_write_it() {
        assert_eq!(["12.50", "$3", ".05", "0,000001"].map(parse_usd), [Some(12_500_000), Some(3_000_000), Some(50_000), Some(1)]);
        assert_eq!(["", "x", "1.2.3", "-1", "0.0000001", "."].map(parse_usd), [None; 6]);
    }

    #[test]
    fn a_hundred_percent_is_never_said_too_early() {
        assert_eq!([share(999, 1000), share(1000, 1000), share(5, 0), share(0, 10)], [99, 100, 100, 0]);
    }
}
