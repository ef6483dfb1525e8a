//! What the list of projects and what stands beside it say in words.

use wire::{
    Micros, UserId,
    budgets::{Budget, BudgetScope, Period},
    chat::{TurnReason, TurnState},
    dashboard::{RecentConversation, Work, WorkKind},
    files::Origin,
    languages::{self, Languages},
    projects::LastChange,
};

use crate::ui::format;

/// Languages that are told apart in the bar; the rest is one piece.
const PIECES: usize = 3;

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// `You`, `Agent, accepted by you`, `Run, by Tomas Okafor`.
pub fn changed_by(change: &LastChange, me: UserId) -> String {
    let name = match &change.by {
        Some(by) if by.id == me => "you",
        Some(by) => &by.name,
        None => "someone",
    };
    match change.origin {
        Origin::Person if name == "you" => "You".to_owned(),
        Origin::Person if name == "someone" => "Someone".to_owned(),
        Origin::Person => name.to_owned(),
        Origin::Agent => format!("Agent, accepted by {name}"),
        Origin::Run => format!("Run, by {name}"),
        Origin::Terminal => format!("Terminal, by {name}"),
        Origin::Import => format!("Imported by {name}"),
        Origin::Restore => format!("Restored by {name}"),
        Origin::Git => format!("Git, by {name}"),
        Origin::Sample => "As the sample was".to_owned(),
    }
}

/// How a conversation stands, after the name of its project.
pub fn state_of(conversation: &RecentConversation) -> String {
    let state = match (conversation.turn_state, conversation.turn_reason) {
        (None, _) => "nothing was asked yet",
        (Some(TurnState::Waiting), _) => "waits for your approval",
        (Some(TurnState::Queued), _) => "waits for a worker",
        (Some(TurnState::Running), _) => "the agent works",
        (Some(TurnState::Finished), Some(TurnReason::Stopped)) => "stopped",
        (Some(TurnState::Finished), Some(TurnReason::Failed)) => "failed",
        (Some(TurnState::Finished), Some(TurnReason::Budget)) => "stopped, the budget was used up",
        (Some(TurnState::Finished), Some(TurnReason::Limit)) => "stopped at a limit",
        (Some(TurnState::Finished), Some(TurnReason::Lost)) => "lost with its worker",
        (Some(TurnState::Finished), Some(TurnReason::Done) | None) => "answered",
    };
    match (conversation.turn_state, conversation.has_changes) {
        (Some(TurnState::Finished), true) => format!("{state}, changes to review"),
        (Some(TurnState::Finished), false) if state == "answered" => "answered, no changes wait".to_owned(),
        _ => state.to_owned(),
    }
}

/// `Python 88%, TypeScript 8%, other 4%`.
pub fn languages_in_words(languages: &Languages) -> String {
    let shares = languages::shares(languages);
    let rest: i64 = shares.iter().skip(PIECES).map(|(_, percent)| percent).sum();
    let named = shares.iter().take(PIECES).map(|(language, percent)| format!("{language} {percent}%"));
    named.chain((rest > 0).then(|| format!("other {rest}%"))).collect::<Vec<_>>().join(", ")
}

/// The pieces of the bar: class and width in percent, each class once.
pub fn pieces(languages: &Languages) -> Vec<(&'static str, i64)> {
    let mut pieces: Vec<(&'static str, i64)> = Vec::new();
    for (at, (language, percent)) in languages::shares(languages).into_iter().enumerate() {
        let class = if at < PIECES { class_of(language) } else { "o" };
        match pieces.iter_mut().find(|(known, _)| *known == class) {
            Some((_, sum)) => *sum += percent,
            None => pieces.push((class, percent)),
        }
    }
    pieces
}

/// A language looks the same in every row; there are four colours, and one for all others.
fn class_of(language: &str) -> &'static str {
    match language {
        "Python" | "Jupyter" => "py",
        "Rust" => "rs",
        "TypeScript" | "JavaScript" => "ts",
        "CSS" | "HTML" => "css",
        _ => "o",
    }
}

/// What something that goes on is called.
pub fn title_of(work: &Work) -> String {
    match work.kind {
        WorkKind::Terminal => "Terminal".to_owned(),
        WorkKind::Import => "Import".to_owned(),
        WorkKind::Review if work.title.is_empty() => "Proposed changes".to_owned(),
        _ if work.title.is_empty() => "Without a title".to_owned(),
        _ => work.title.clone(),
    }
}

/// What stands below it.
pub fn note_of(work: &Work) -> String {
    let project = &work.project_name;
    match work.kind {
        WorkKind::Approval => match work.detail.as_deref() {
            Some("run_command" | "run_tests") => format!("Wants to run a command in {project}"),
            Some("ask_user") => format!("Asks you something in {project}"),
            Some("propose_plan") => format!("Proposes a plan in {project}"),
            Some(tool) => format!("Wants to use {tool} in {project}"),
            None => format!("Waits for your answer in {project}"),
        },
        WorkKind::Review => format!("Changes in {project}"),
        WorkKind::Turn if work.is_mine => format!("The agent, asked by you, in {project}"),
        WorkKind::Turn => format!("The agent in {project}"),
        WorkKind::Run | WorkKind::Terminal | WorkKind::Import => project.clone(),
    }
}

/// `64%` of an import, once it is known of how much.
pub fn progress_of(work: &Work) -> Option<String> {
    (work.kind == WorkKind::Import && work.total > 0).then(|| format!("{}%", (work.done.clamp(0, work.total) * 100) / work.total))
}

/// `November` of `2026-11`.
pub fn month_name(month: &str) -> &'static str {
    let number = month.get(5..7).and_then(|number| number.parse::<usize>().ok());
    number.and_then(|number| MONTHS.get(number.checked_sub(1)?)).copied().unwrap_or("This month")
}

/// What was spent, and what of, in the unit of the budget that ends first.
pub fn spent(budget: &Budget) -> Option<(String, String)> {
    let whole = match (budget.scope, budget.period) {
        (BudgetScope::Instance, Period::Month) => " of the installation",
        (BudgetScope::Instance, Period::Total) => " of the installation, in all",
        (_, Period::Total) => " in all",
        _ => "",
    };
    match (budget.usd_micros, budget.tokens) {
        (Some(limit), _) => Some((format::money(budget.used.spent_micros), format!("of {}{whole}", format::money(limit)))),
        (None, Some(limit)) => {
            let of = format::counted(limit, "token", "tokens");
            Some((format::count(budget.used.spent_tokens), format!("of {of}{whole}")))
        }
        (None, None) => None,
    }
}

/// How long a budget of this month lasts if it is spent as it was so far.
pub fn lasts(until: Micros, month: &str) -> String {
    let day = until.to_rfc3339();
    match day.get(8..10).filter(|_| day.starts_with(month)) {
        Some(number) => format!("At this pace it lasts until {} {}.", number.trim_start_matches('0'), month_name(month)),
        None => "At this pace it lasts to the end of the month.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use wire::users::UserRef;

    use super::*;

    fn id(number: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(number)
    }

    #[test]
    fn who_changed_a_project_is_told_from_the_readers_side() {
        let (me, tomas) = (UserId(id(1)), UserRef { id: UserId(id(2)), name: "Tomas Okafor".to_owned() });
        let mine = |origin| changed_by(&LastChange { origin, by: Some(UserRef { id: me, name: "Mara".to_owned() }) }, me);
        assert_eq!((mine(Origin::Person).as_str(), mine(Origin::Agent).as_str()), ("You", "Agent, accepted by you"));
        let by = Some(tomas);
        assert_eq!(changed_by(&LastChange { origin: Origin::Person, by: by.clone() }, me), "Tomas Okafor");
        assert_eq!(changed_by(&LastChange { origin: Origin::Run, by }, me), "Run, by Tomas Okafor");
        assert_eq!(changed_by(&LastChange { origin: Origin::Person, by: None }, me), "Someone");
    }

    #[test]
    fn languages_of_one_colour_are_one_piece() {
        let sizes = [("TypeScript", 50), ("CSS", 20), ("JavaScript", 15), ("Go", 10), ("Python", 5)];
        let languages: Languages = sizes.iter().map(|(language, bytes)| ((*language).to_owned(), *bytes)).collect();
        assert_eq!(pieces(&languages), [("ts", 65), ("css", 20), ("o", 15)]);
        assert_eq!(languages_in_words(&languages), "TypeScript 50%, CSS 20%, JavaScript 15%, other 15%");
        assert!(pieces(&Languages::new()).is_empty());
    }

    #[test]
    fn a_pace_ends_within_the_month_or_after_it() {
        let at = |text: &str| Micros::parse_rfc3339(text).unwrap();
        assert_eq!(lasts(at("2026-11-09T12:00:00Z"), "2026-11"), "At this pace it lasts until 9 November.");
        assert_eq!(lasts(at("2026-12-01T00:00:00Z"), "2026-11"), "At this pace it lasts to the end of the month.");
        assert_eq!((month_name("2026-01"), month_name("?")), ("January", "This month"));
    }

    #[test]
    fn a_conversation_says_how_it_stands() {
        let conversation = |turn_state, turn_reason, has_changes| RecentConversation {
            id: id(3).into(),
            project_id: id(4).into(),
            project_name: "parcel-rates".to_owned(),
            title: "Retries".to_owned(),
            updated_at: Micros(0),
            turn_state,
            turn_reason,
            has_changes,
        };
        let say = |state, reason, has_changes| state_of(&conversation(state, reason, has_changes));
        assert_eq!(say(Some(TurnState::Waiting), None, false), "waits for your approval");
        assert_eq!(say(Some(TurnState::Finished), Some(TurnReason::Done), false), "answered, no changes wait");
        assert_eq!(say(Some(TurnState::Finished), Some(TurnReason::Limit), true), "stopped at a limit, changes to review");
        assert_eq!(say(None, None, false), "nothing was asked yet");
    }
}
