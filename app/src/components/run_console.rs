//! Commands and what became of them.

use std::{collections::BTreeMap, time::Duration};

use leptos::{ev, html, leptos_dom::helpers::IntervalHandle, prelude::*, task::spawn_local};
use wire::{RunId, limits};

use super::{ide::use_ide, run_block::RunBlock};
use crate::{
    api,
    ui::{Button, ButtonKind, ButtonSize, Icon, IconButton, format, storage},
};

const HISTORY_MAX: usize = 50;

/// Commands typed here, oldest first, each once.
fn remember(history: &mut Vec<String>, command: &str) {
    history.retain(|known| known != command);
    history.push(command.to_owned());
    if history.len() > HISTORY_MAX {
        history.remove(0);
    }
}

/// The run console: a line for a command, and the runs, newest first.
#[component]
pub fn RunConsole() -> impl IntoView {
    let ide = use_ide();
    let now = RwSignal::new(format::now());
    let busy = Memo::new(move |_| ide.runs.with(|runs| runs.iter().any(|run| !run.state.is_finished())));
    let clock = StoredValue::new(None::<IntervalHandle>);
    let stop_clock = move || {
        if let Some(clock) = clock.try_update_value(Option::take).flatten() {
            clock.clear();
        }
    };
    Effect::new(move |_| {
        stop_clock();
        if busy.get() {
            now.set(format::now());
            clock.set_value(set_interval_with_handle(move || now.set(format::now()), Duration::from_secs(1)).ok());
        }
    });
    on_cleanup(stop_clock);

    // What a person folded or unfolded; else the chosen run and those under way are open.
    let chosen = RwSignal::new(BTreeMap::<RunId, bool>::new());
    Effect::new(move |before: Option<Option<RunId>>| {
        let selected = ide.selected_run.get();
        if let Some(id) = selected
            && before.is_some_and(|before| before != selected)
        {
            chosen.update(|chosen| {
                chosen.insert(id, true);
            });
        }
        selected
    });
    let ids = Memo::new(move |_| ide.runs.with(|runs| runs.iter().map(|run| run.id).collect::<Vec<_>>()));
    let stop_newest = move || {
        let selected = ide.selected_run.get_untracked();
        let id = ide.runs.with_untracked(|runs| {
            let mut active = runs.iter().filter(|run| !run.state.is_finished());
            active.clone().find(|run| Some(run.id) == selected).or_else(|| active.next()).map(|run| run.id)
        });
        if let Some(id) = id {
            spawn_local(async move {
                match api::runs::cancel(id).await {
                    Ok(run) => ide.put_run(run),
                    Err(error) => ide.error(&error.0),
                }
            });
        }
    };
    let on_keydown = move |event: ev::KeyboardEvent| {
        if (event.ctrl_key() || event.meta_key()) && event.key() == "." {
            event.prevent_default();
            event.stop_propagation();
            stop_newest();
        }
    };
    view! {
        <section class="console" aria-label="Run console" on:keydown=on_keydown>
            <div class="ptabs">
                <h2 class="ptab ptab--on">
                    "Runs"
                </h2>
                <span class="grow"></span>
                <IconButton
                    icon="x"
                    label="Close panel"
                    key="Ctrl J"
                    small=true
                    class="desk"
                    on:click=move |_| ide.console_open.set(false)
                />
            </div>
            <CommandLine />
            <div class="scroll runs" tabindex="0" role="group" aria-label="Runs">
                <For each=move || ids.get() key=|id| *id let:id>
                    {
                        let running = Memo::new(move |_| {
                            ide.runs.with(|runs| runs.iter().any(|run| run.id == id && !run.state.is_finished()))
                        });
                        let open = Memo::new(move |_| {
                            let newest = ids.with(|ids| ids.first() == Some(&id));
                            chosen
                                .with(|chosen| chosen.get(&id).copied())
                                .unwrap_or_else(|| running.get() || newest || ide.selected_run.get() == Some(id))
                        });
                        let toggle = Callback::new(move |()| {
                            let was = open.get_untracked();
                            chosen
                                .update(|chosen| {
                                    chosen.insert(id, !was);
                                });
                        });
                        view! { <RunBlock id=id now=now open=open on_toggle=toggle /> }
                    }
                </For>
                <Show when=move || ids.with(Vec::is_empty)>
                    <div class="empty">
                        <b>"No runs yet"</b>
                        <p>"Run a command and its output stays here, also after a reload."</p>
                    </div>
                </Show>
            </div>
        </section>
    }
}

/// The line for a command. Enter or Ctrl+Enter runs it, the arrows walk through earlier ones.
#[component]
fn CommandLine() -> impl IntoView {
    let ide = use_ide();
    let field = NodeRef::<html::Input>::new();
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
                runs.iter().rev().filter(|run| run.turn_id.is_none()).for_each(|run| remember(&mut known, &run.command));
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
            "Enter" if !event.is_composing() => start(),
            "ArrowUp" => walk(true),
            "ArrowDown" => walk(false),
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
            <input
                class="run-input"
                node_ref=field
                aria-label="Command to run"
                placeholder="Command, runs in the sandbox without network"
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
            />
            <Button size=ButtonSize::Small kind=ButtonKind::Primary icon="play" disabled=disabled title=Signal::derive(why) on:click=move |_| start()>
                "Run"
            </Button>
        </div>
    }
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
