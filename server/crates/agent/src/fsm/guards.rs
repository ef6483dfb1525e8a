//! Notices when a turn goes in circles. All of it is read from calls and results, so that a turn that is taken up again from its transcript
//! counts on where it was.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::Value;
use wire::chat::ToolCall;

use super::answers::ASIDE;

/// From this many identical calls in a row on, the model is told.
pub(super) const REPEATS_TOLD: u32 = 3;
/// At this many identical calls in a row the turn ends.
pub(super) const REPEATS_MAX: u32 = 5;
/// Changes that put one file back to where it was before; the model is told of each, and at this many the turn ends.
pub(super) const UNDONE_MAX: u32 = 3;
/// Steps in a row that bring nothing new: at this many the model is told,
pub(super) const IDLE_TOLD: u32 = 4;
/// and at this many the turn ends.
pub(super) const IDLE_MAX: u32 = 8;

#[derive(Debug, Default)]
pub(super) struct Guards {
    last_call: Option<u64>,
    repeats: u32,
    files: HashMap<String, Past>,
    seen: HashSet<u64>,
    idle: u32,
    /// Whether the step that is going on has brought something new; `None` between steps.
    step: Option<bool>,
}

/// What was done to one file.
#[derive(Debug, Default)]
struct Past {
    /// Texts that it was given whole, in order; 0 for its removal.
    wholes: Vec<u64>,
    /// Pairs of texts, the first replaced by the second; for a move, the paths.
    swaps: HashSet<(u64, u64)>,
    undone: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Undone {
    pub path: String,
    /// How often this file was put back in this turn.
    pub times: u32,
}

/// How a step went, with the number of steps in a row that brought nothing new.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Fine,
    Slow(u32),
    Stalled(u32),
}

impl Guards {
    pub fn open_step(&mut self) {
        self.close_step();
        self.step = Some(false);
    }

    /// Ends the step that is going on, if one is.
    pub fn close_step(&mut self) -> Pace {
        match self.step.take() {
            None => return Pace::Fine,
            Some(true) => self.idle = 0,
            Some(false) => self.idle += 1,
        }
        match self.idle {
            IDLE_TOLD => Pace::Slow(IDLE_TOLD),
            n if n >= IDLE_MAX => Pace::Stalled(n),
            _ => Pace::Fine,
        }
    }

    /// How many times in a row this same call was made, this time included.
    pub fn note_call(&mut self, call: &ToolCall) -> u32 {
        let key = hash(&(&call.name, normalise(&call.arguments)));
        if self.last_call == Some(key) {
            self.repeats += 1;
        } else {
            self.last_call = Some(key);
            self.repeats = 1;
        }
        self.repeats
    }

    /// Takes in a result, as it is in the transcript or before something was added to it.
    pub fn note_result(&mut self, call: &ToolCall, ok: bool, content: &str) -> Option<Undone> {
        let undone = if ok { self.note_change(call) } else { None };
        let content = content.split(ASIDE).next().unwrap_or_default();
        // What failed in the same way with other arguments tells nothing that was not known.
        let arguments = if ok { normalise(&call.arguments) } else { String::new() };
        let is_new = self.seen.insert(hash(&(&call.name, ok, arguments, without_durations(content))));
        if let Some(step) = &mut self.step {
            *step |= is_new && undone.is_none();
        }
        undone
    }

    /// Whether a change of a file takes an earlier one back.
    fn note_change(&mut self, call: &ToolCall) -> Option<Undone> {
        let fields: Value = serde_json::from_str(&call.arguments).ok()?;
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        let path = text("path").or_else(|| text("from"))?;
        let is_undone = match call.name.as_str() {
            "write_file" => self.past(path).set_whole(hash(text("content")?)),
            "delete_file" => self.past(path).set_whole(0),
            "edit_file" => self.past(path).swap(hash(text("old_text")?), hash(text("new_text")?)),
            // Both directions are counted at one of the two names.
            "move_file" => {
                let to = text("to")?;
                self.past(path.min(to)).swap(hash(path), hash(to))
            }
            _ => false,
        };
        if !is_undone {
            return None;
        }
        let path = if call.name == "move_file" { path.min(text("to")?) } else { path };
        let past = self.past(path);
        past.undone += 1;
        Some(Undone { path: path.to_owned(), times: past.undone })
    }

    fn past(&mut self, path: &str) -> &mut Past {
        self.files.entry(path.trim_start_matches("./").to_owned()).or_default()
    }
}

impl Past {
    fn set_whole(&mut self, text: u64) -> bool {
        let is_back = self.wholes.last() != Some(&text) && self.wholes.contains(&text);
        if self.wholes.last() != Some(&text) {
            self.wholes.push(text);
        }
        is_back
    }

    fn swap(&mut self, old: u64, new: u64) -> bool {
        self.swaps.insert((old, new));
        old != new && self.swaps.contains(&(new, old))
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    // 0 stands for a file that is gone.
    hasher.finish().max(1)
}

/// The same arguments in another spacing or order are the same arguments.
fn normalise(arguments: &str) -> String {
    serde_json::from_str::<Value>(arguments).map_or_else(|_| arguments.to_owned(), |value| value.to_string())
}

/// How long something took differs each time and says nothing: `12.3 s`, `4ms`, `0.02s`.
fn without_durations(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let digits = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let unit = number[digits..].strip_prefix(' ').unwrap_or(&number[digits..]);
        let length = ["seconds", "ms", "µs", "us", "s"]
            .iter()
            .find(|word| unit.strip_prefix(**word).is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric())))
            .map(|word| word.len());
        out.push_str(before);
        match length {
            Some(length) => rest = &unit[length..],
            None => {
                out.push_str(&number[..digits]);
                rest = &number[digits..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_left_out_and_other_numbers_kept() {
        assert_eq!(without_durations("Exit code 1 after 1.2 s. 3 failed in 0.05s, 17 ms."), "Exit code 1 after . 3 failed in , .");
        assert_eq!(without_durations("5 steps, 3sheep, v1.2"), "5 steps, 3sheep, v1.2");
        assert_eq!(without_durations("42"), "42");
    }
}
