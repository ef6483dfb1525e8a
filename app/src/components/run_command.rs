//! The line for a command.

use leptos::{ev, html, prelude::*};
use wire::limits;

use super::{ide::use_ide, test_desk};
use crate::ui::{Button, ButtonKind, ButtonSize, Icon, IconButton, storage};

const HISTORY_MAX: usize = 50;

/// Commands typed here, oldest first, each once.
fn remember(history: &mut Vec<String>, command: &str) {
    history.retain(|known| known != command);
    history.push(command.to_owned());
    if history.len() > HISTORY_MAX {
        history.remove(0);
    }
}

/// More lines than this scroll.
const ROWS_MAX: usize = 6;

/// The line for a command. Enter or Ctrl+Enter runs it, Shift+Enter begins another line, the arrows walk through earlier commands from the
/// first and the last line.
#[component]
pub fn CommandLine() -> impl IntoView {
    let ide = use_ide();
    let field = NodeRef::<html::Textarea>::new();
    let text = RwSignal::new(String::new());
    let history = StoredValue::new(Vec::<String>::new());
    // Steps back from the end of the history; 0 is what is being typed.
    let back = StoredValue::new(0_usize);
    let typed = StoredValue::new(String::new());
    let key = ide.storage_key("commands");
    let stored_key = StoredValue::new(key);
    Effect::new(move |_| {
        let stored = stored_key.with_value(|key| storage::read(key)).and_then(|json| serde_json::from_str::<Vec<String>>(&json).ok());
        let known = stored.unwrap_or_else(|| {
            let mut known = Vec::new();
            ide.runs.with_untracked(|runs| {
                runs.iter()
                    .rev()
                    .filter(|run| run.turn_id.is_none() && !run.is_prompt() && !run.command.is_empty())
                    .for_each(|run| remember(&mut known, &run.command));
            });
            known
        });
        history.set_value(known);
    });
    let start = move || {
        let command = text.get_untracked();
        if command.trim().is_empty() || command.len() > limits::COMMAND_MAX || !untrack(|| ide.can_edit()) {
            return;
        }
        history.update_value(|history| {
            remember(history, command.trim());
            if let Ok(json) = serde_json::to_string(history) {
                stored_key.with_value(|key| storage::write(key, &json));
            }
        });
        back.set_value(0);
        text.set(String::new());
        ide.run(command.trim());
    };
    let walk = move |older: bool| {
        let known = history.with_value(Vec::len);
        let at = back.get_value();
        let next = if older { (at + 1).min(known) } else { at.saturating_sub(1) };
        if next == at {
            return;
        }
        if at == 0 {
            typed.set_value(text.get_untracked());
        }
        back.set_value(next);
        text.set(if next == 0 { typed.get_value() } else { history.with_value(|history| history[known - next].clone()) });
    };
    let on_keydown = move |event: ev::KeyboardEvent| {
        match event.key().as_str() {
            "Enter" if !event.is_composing() && !event.shift_key() => start(),
            "ArrowUp" if is_at_edge(field, true) => walk(true),
            "ArrowDown" if is_at_edge(field, false) => walk(false),
            _ => return,
        }
        event.prevent_default();
    };
    let disabled = Signal::derive(move || !ide.can_edit() || text.with(|text| text.trim().is_empty() || text.len() > limits::COMMAND_MAX));
    let why = move || {
        if !ide.can_edit() {
            Some("Only editors of the project may run commands".to_owned())
        } else if text.with(|text| text.len() > limits::COMMAND_MAX) {
            Some("The command is longer than 32 KiB; put it into a script file and run that".to_owned())
        } else {
            None
        }
    };
    view! {
        <div class="run-bar">
            <Icon name="terminal" small=true />
            <textarea
                class="run-input"
                node_ref=field
                rows=move || text.with(|text| text.split('\n').count().min(ROWS_MAX).to_string())
                aria-label="Command to run"
                placeholder="Command, runs in the sandbox"
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
                prop:value=move || text.get()
                disabled=move || !ide.can_edit()
                on:input:target=move |ev| {
                    back.set_value(0);
                    text.set(ev.target().value());
                }
                on:keydown=on_keydown
            ></textarea>
            <Button size=ButtonSize::Small kind=ButtonKind::Primary icon="play" disabled=disabled title=Signal::derive(why) on_click=move |_| start()>
                "Run"
            </Button>
            <Button
                size=ButtonSize::Small
                icon="flask-conical"
                disabled=Signal::derive(move || !ide.can_edit())
                title="Run the tests of the project"
                on_click=move |_| test_desk::start(ide, Vec::new())
            >
                "Test"
            </Button>
            <IconButton
                icon="sparkles"
                small=true
                label="Generate changes from a prompt"
                disabled=Signal::derive(move || !ide.can_edit())
                on_click=move |_| ide.generating.begin(ide, None)
            />
        </div>
    }
}

/// Whether the caret is in the first or the last line, from where an arrow leaves the text.
fn is_at_edge(field: NodeRef<html::Textarea>, first: bool) -> bool {
    let Some(field) = field.get_untracked() else { return true };
    let units: Vec<u16> = field.value().encode_utf16().collect();
    let caret = field.selection_start().ok().flatten().map_or(0, |at| at as usize).min(units.len());
    let beyond = if first { &units[..caret] } else { &units[caret..] };
    !beyond.contains(&u16::from(b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_keeps_each_command_once_and_the_newest_last() {
        let mut history = Vec::new();
        for command in ["a", "b", "a"] {
            remember(&mut history, command);
        }
        assert_eq!(history, ["b", "a"]);
        for i in 0..60 {
            remember(&mut history, &i.to_string());
        }
        assert_eq!((history.len(), history.last().map(String::as_str)), (HISTORY_MAX, Some("59")));
    }
}
