//! The runs, newest first, under the line for a command.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leptos::{leptos_dom::helpers::IntervalHandle, prelude::*};
use wire::{RunId, runs::RunKind};

use super::{
    ide::{Ide, use_ide},
    run_block::RunBlock,
    run_command::CommandLine,
};
use crate::ui::{format, storage};

/// The present time while something runs, for what shows how long.
pub fn running_clock(ide: Ide) -> RwSignal<wire::Micros> {
    let now = RwSignal::new(format::now());
    let busy = Memo::new(move |_| ide.runs.with(|runs| runs.iter().any(|run| !run.state.is_finished() && run.kind != RunKind::Terminal)));
    let clock = StoredValue::new(None::<IntervalHandle>);
    let stop = move || {
        if let Some(clock) = clock.try_update_value(Option::take).flatten() {
            clock.clear();
        }
    };
    Effect::new(move |_| {
        stop();
        if busy.get() {
            now.set(format::now());
            clock.set_value(set_interval_with_handle(move || now.set(format::now()), Duration::from_secs(1)).ok());
        }
    });
    on_cleanup(stop);
    now
}

/// Finished runs that this browser does not show any more. They are not deleted.
#[derive(Clone, Copy)]
pub struct Hidden {
    ide: Ide,
    ids: RwSignal<BTreeSet<RunId>>,
}

impl Hidden {
    pub fn new(ide: Ide) -> Self {
        let hidden = Self { ide, ids: RwSignal::new(BTreeSet::new()) };
        Effect::new(move |_| {
            let stored = storage::read(&ide.storage_key("hidden-runs"));
            if let Some(ids) = stored.and_then(|text| serde_json::from_str(&text).ok()) {
                hidden.ids.set(ids);
            }
        });
        hidden
    }

    /// Hides everything that has finished.
    pub fn hide_finished(self) {
        // What is not listed any more need not be remembered.
        let ids: BTreeSet<RunId> =
            self.ide.runs.with_untracked(|runs| runs.iter().filter(|run| run.state.is_finished()).map(|run| run.id).collect());
        if ids.is_empty() {
            return self.ide.toast("No run has finished yet");
        }
        let count = format::counted(ids.len() as i64, "run", "runs");
        let before = self.ids.get_untracked();
        self.set(ids);
        self.ide.toast_undo(format!("Hid {count} in this browser"), move || self.set(before.clone()));
    }

    fn set(self, ids: BTreeSet<RunId>) {
        if let Ok(text) = serde_json::to_string(&ids) {
            storage::write(&self.ide.storage_key("hidden-runs"), &text);
        }
        self.ids.set(ids);
    }
}

/// The body of the Output tab.
#[component]
pub fn RunList(now: RwSignal<wire::Micros>, hidden: Hidden) -> impl IntoView {
    let ide = use_ide();
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
    let listed = Memo::new(move |_| {
        ide.runs.with(|runs| runs.iter().filter(|run| run.kind != RunKind::Terminal).map(|run| run.id).collect::<Vec<_>>())
    });
    let ids = Memo::new(move |_| {
        let selected = ide.selected_run.get();
        listed.with(|listed| {
            hidden.ids.with(|hidden| listed.iter().copied().filter(|id| !hidden.contains(id) || Some(*id) == selected).collect::<Vec<_>>())
        })
    });
    let left_out = Memo::new(move |_| listed.with(Vec::len) - ids.with(Vec::len));
    view! {
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
            <Show when=move || listed.with(Vec::is_empty)>
                <div class="empty">
                    <b>"No runs yet"</b>
                    <p>"Run a command and its output stays here, also after a reload."</p>
                </div>
            </Show>
            <Show when=move || left_out.get() != 0>
                <button type="button" class="btn btn--s btn--ghost runs-more" on:click=move |_| hidden.set(BTreeSet::new())>
                    {move || format!("Show {}", format::counted(left_out.get() as i64, "hidden run", "hidden runs"))}
                </button>
            </Show>
        </div>
    }
}
