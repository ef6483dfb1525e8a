//! The sentences: what the model is told in place of a result, and what a person reads at the end.

use wire::chat::TurnReason;

pub const INTERRUPTED: &str = "interrupted by a restart of the server; its effect is not known, look before you repeat it";
pub const PLAN_ONLY: &str = "Not available: this turn is in plan mode, in which nothing is changed and nothing is run. \
     Read what you need, then describe what you would do.";
pub const CUT_NOTE: &str = "Your last answer reached the length limit and was cut off there; a tool call that was cut through was not run. \
     Go on from where it stops, in smaller steps. Write a long file in several parts: the beginning with write_file, the rest with edit_file.";
pub const TOO_LONG: &str = "The model's answers reached the length limit several times in a row. What it has done so far is ready \
     for review. Ask for a smaller part of the work.";
pub const EMPTY_ANSWER: &str = "The model gave an empty answer. Nothing was changed. Send the message again, or pick another model.";
pub const FILTERED: &str = "The provider's content filter ended the answer. What was done before it is ready for review. \
     Put the request in other words, or pick another model.";
pub const ANSWER_LOST: &str = "The answer was abandoned before it was complete. What was done before it is ready for review. \
     Send the message again to go on.";

pub fn unknown_tool(name: &str, offered: &[&str]) -> String {
    format!("There is no tool named {name:?}. The tools are: {}.", offered.join(", "))
}

pub fn declined(reason: Option<&str>) -> String {
    match reason.map(str::trim).filter(|r| !r.is_empty()) {
        Some(reason) => format!("Not run: the person declined it and said: {reason}"),
        None => "Not run: the person declined it and gave no reason. Go on without it, or say why it is needed.".to_owned(),
    }
}

pub fn repeated(times: u32) -> String {
    format!(
        "\n\n[You have now made this same call {times} times in a row. Its result will not change by itself: do something else. \
         At {} the turn ends.]",
        super::REPEATS_MAX
    )
}

pub fn repeated_too_often(name: &str) -> String {
    format!(
        "The model called {name} {} times in a row with the same arguments and was going in circles. What it has done so far is \
         ready for review; say more exactly what is missing, or pick another model.",
        super::REPEATS_MAX
    )
}

pub fn too_many_steps(max: u32) -> String {
    format!("The turn reached its limit of {max} steps. What it has done so far is ready for review; send a message to go on.")
}

pub fn budget_used(used: i64, budget: i64) -> String {
    format!(
        "The token budget of this turn does not allow another step: {used} of {budget} tokens are used. What it has done so far is \
         ready for review; send a message with a larger budget to go on."
    )
}

pub fn stopped(left_alive: u32) -> String {
    match left_alive {
        1 => "Stopped; 1 process left.".to_owned(),
        n => format!("Stopped; {n} processes left."),
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

/// The arguments of a call must be a JSON object; blank counts as `{}`.
pub fn check_arguments(arguments: &str) -> Result<(), String> {
    if arguments.trim().is_empty() {
        return Ok(());
    }
    match serde_json::from_str::<serde_json::Value>(arguments) {
        Ok(serde_json::Value::Object(_)) => Ok(()),
        Ok(_) => Err("Not run: the arguments must be a JSON object. Make the call again with an object.".to_owned()),
        Err(error) => Err(format!("Not run: the arguments are not valid JSON ({error}). Make the call again with valid JSON.")),
    }
}
