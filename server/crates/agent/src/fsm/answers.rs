//! The sentences: what the model is told in place of a result, and what a person reads at the end.

use wire::chat::{Approval, TurnReason};

use super::guards::{REPEATS_MAX, UNDONE_MAX};

pub const INTERRUPTED: &str = "interrupted by a restart of the server; its effect is not known, look before you repeat it";
pub const PLAN_ONLY: &str = "Not available: this turn is in plan mode, in which nothing is changed and nothing is run. \
     Read what you need, then describe what you would do.";
pub const CUT_NOTE: &str = "Your last answer reached the length limit and was cut off there; a tool call that was cut through was not run. \
     Go on from where it stops, in smaller steps. Write a long file in several parts: the beginning with write_file, the rest with edit_file.";
pub const TOO_LONG: &str = "The model's answers reached the length limit several times in a row. Ask for a smaller part of the work.";
pub const EMPTY_ANSWER: &str = "The model gave an empty answer. Send the message again, or pick another model.";
pub const FILTERED: &str = "The provider's content filter ended the answer. Put the request in other words, or pick another model.";
pub const ANSWER_LOST: &str = "The answer was abandoned before it was complete. Send the message again to go on.";

/// On the card of a call that only reads and is run a second time.
pub const AGAIN: &str = "Run again after a restart of the server.";
pub const TIME_UP: &str = "The turn has worked as long as a turn may. Send a message to go on.";
/// Behind this the workspace speaks, not the tool.
pub const ASIDE: &str = "\n\n[Workspace: ";

pub fn unknown_tool(name: &str, offered: &[String]) -> String {
    format!("There is no tool named {name:?}. The tools are: {}.", offered.join(", "))
}

pub fn declined(reason: Option<&str>) -> String {
    match reason.map(str::trim).filter(|r| !r.is_empty()) {
        Some(reason) => format!("Not run: the person declined it and said: {reason}"),
        None => "Not run: the person declined it and gave no reason. Go on without it, or say why it is needed.".to_owned(),
    }
}

pub fn denied(why: &str) -> String {
    format!("Not run: the rules of this project forbid it. {why} Do not try it another way; go on without it, or say why it is needed.")
}

/// The result of a question that a person answered.
pub fn answered(decision: Approval, words: Option<&str>) -> String {
    match (decision, words.map(str::trim).filter(|words| !words.is_empty())) {
        (Approval::Approve, Some(words)) => format!("The person answered: {words}"),
        (Approval::Approve, None) => "The person agreed and added nothing.".to_owned(),
        (Approval::Reject, Some(words)) => format!("The person did not want to answer and said: {words}"),
        (Approval::Reject, None) => {
            "The person did not want to answer. Go on as you think best, and say in your summary what you assumed.".to_owned()
        }
    }
}

pub fn repeated(times: u32) -> String {
    format!(
        "{ASIDE}you have now made this same call {times} times in a row. Its result will not change by itself: do something else. \
         At {REPEATS_MAX} the turn ends.]"
    )
}

pub fn repeated_too_often(name: &str) -> String {
    format!(
        "The model called {name} {REPEATS_MAX} times in a row with the same arguments and was going in circles. Say more exactly what is \
         missing, or pick another model."
    )
}

pub fn undone(path: &str, times: u32) -> String {
    format!(
        "{ASIDE}this puts {path} back to what it was before an earlier change of yours ({times} of {UNDONE_MAX} times). Decide which of the \
         two is right and leave it at that; at {UNDONE_MAX} the turn ends.]"
    )
}

pub fn undone_too_often(path: &str) -> String {
    format!(
        "The model changed {path} back and forth {UNDONE_MAX} times and was going in circles. Look at what is kept for review, say which of the \
         two is wanted, or pick another model."
    )
}

pub fn stalling(steps: u32) -> String {
    format!(
        "The last {steps} steps brought nothing new: the same calls with the same results, and no change to a file. Do something else, or \
         finish and say what is in the way."
    )
}

pub fn stalled(steps: u32) -> String {
    format!(
        "The last {steps} steps brought nothing new: the same calls with the same results, and no change to a file. Say more exactly what is \
         missing, or pick another model."
    )
}

pub fn too_many_steps(max: u32, of_message: bool) -> String {
    let steps = if max == 1 { "1 step".to_owned() } else { format!("{max} steps") };
    if of_message {
        format!("The turn reached the limit of {steps} that its message set. Send a message with a higher limit, or with none, to go on.")
    } else {
        format!("The turn reached its limit of {steps}. Send a message to go on.")
    }
}

pub fn budget_used(used: i64, budget: i64) -> String {
    format!(
        "The token budget of this turn does not allow another step: {used} of {budget} tokens are used. Send a message with a larger \
         budget to go on."
    )
}

pub fn stopped(left_alive: u32) -> String {
    match left_alive {
        1 => "Stopped; 1 process left.".to_owned(),
        n => format!("Stopped; {n} processes left."),
    }
}

pub fn left_running(count: u32) -> String {
    match count {
        1 => "1 process could not be ended.".to_owned(),
        n => format!("{n} processes could not be ended."),
    }
}

/// What the next turn's model is told about the end of this one.
pub fn end_note(reason: TurnReason, detail: &str) -> String {
    match reason {
        TurnReason::Stopped => {
            "The person stopped the turn here. Whatever was not finished has no effect beyond what the results above show.".to_owned()
        }
        _ => format!("The turn ended here. {detail}"),
    }
}

/// Content for the model and summary for the card of a call that is given up because the turn ends.
pub fn not_run(reason: Option<TurnReason>) -> (String, &'static str) {
    match reason {
        Some(TurnReason::Stopped) => ("Not run: the person stopped the turn.".to_owned(), "Not run, the turn was stopped"),
        _ => ("Not run: the turn ends here.".to_owned(), "Not run, the turn ended"),
    }
}
