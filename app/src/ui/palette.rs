use leptos::{ev, html, prelude::*};

use super::Icon;

/// What can be chosen. `id` comes back in `on_choose`.
#[derive(Debug, Clone, PartialEq)]
pub struct PaletteEntry {
    pub id: String,
    pub icon: &'static str,
    pub label: String,
    /// The keys that do the same.
    pub keys: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PaletteGroup {
    pub title: &'static str,
    pub entries: Vec<PaletteEntry>,
}

/// Files, commands, then *Ask the agent*. The owner filters: `groups` follows `query`. The first row is selected.
#[component]
pub fn Palette(
    open: RwSignal<bool>,
    query: RwSignal<String>,
    #[prop(into)] groups: Signal<Vec<PaletteGroup>>,
    #[prop(into)] on_choose: Callback<String>,
    #[prop(default = "Go to a file or run a command")] label: &'static str,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    let input = NodeRef::<html::Input>::new();
    let at = RwSignal::new(0_usize);
    Effect::new(move |_| {
        let Some(dialog) = node.get() else { return };
        match (open.get(), dialog.open()) {
            (true, false) => {
                at.set(0);
                let _ = dialog.show_modal();
                if let Some(input) = input.get_untracked() {
                    let _ = input.focus();
                    input.select();
                }
            }
            (false, true) => dialog.close(),
            _ => {}
        }
    });
    let ids = Memo::new(move |_| {
        groups.with(|groups| groups.iter().flat_map(|group| group.entries.iter().map(|entry| entry.id.clone())).collect::<Vec<_>>())
    });
    let choose = move |id: String| {
        open.set(false);
        on_choose.run(id);
    };
    let on_keydown = move |event: ev::KeyboardEvent| {
        let count = ids.with_untracked(Vec::len);
        match event.key().as_str() {
            "ArrowDown" if count > 0 => at.update(|at| *at = (*at + 1) % count),
            "ArrowUp" if count > 0 => at.update(|at| *at = (*at + count - 1) % count),
            "Enter" => {
                if let Some(id) = ids.with_untracked(|ids| ids.get(at.get_untracked()).cloned()) {
                    choose(id);
                }
            }
            _ => return,
        }
        event.prevent_default();
    };
    let rows = move || {
        let mut index = 0;
        groups
            .get()
            .into_iter()
            .filter(|group| !group.entries.is_empty())
            .map(|group| {
                let entries = group
                    .entries
                    .into_iter()
                    .map(|entry| {
                        let place = index;
                        index += 1;
                        let id = entry.id.clone();
                        view! {
                            <li
                                id=format!("palette-{place}")
                                role="option"
                                aria-selected=move || if at.get() == place { "true" } else { "false" }
                                on:pointermove=move |_| at.set(place)
                                on:click=move |_| choose(id.clone())
                            >
                                <Icon name=entry.icon />
                                <span class="clip">{entry.label}</span>
                                <span class="keys">
                                    {entry.keys.into_iter().map(|key| view! { <kbd>{key}</kbd> }).collect_view()}
                                </span>
                            </li>
                        }
                    })
                    .collect_view();
                view! {
                    <li role="presentation" class="grp">
                        {group.title}
                    </li>
                    {entries}
                }
            })
            .collect_view()
    };
    view! {
        <dialog
            class="palette"
            aria-label="Command palette"
            node_ref=node
            on:close=move |_| open.set(false)
            on:cancel=move |_: ev::Event| open.set(false)
        >
            <div class="palette-in">
                <Icon name="search" />
                <input
                    role="combobox"
                    aria-expanded="true"
                    aria-controls="palette-list"
                    aria-label=label
                    aria-activedescendant=move || format!("palette-{}", at.get())
                    placeholder=label
                    autocomplete="off"
                    spellcheck="false"
                    node_ref=input
                    prop:value=move || query.get()
                    on:input:target=move |ev| {
                        query.set(ev.target().value());
                        at.set(0);
                    }
                    on:keydown=on_keydown
                />
                <kbd>"Esc"</kbd>
            </div>
            <ul id="palette-list" class="scroll" role="listbox" aria-label="Results">
                {rows}
            </ul>
        </dialog>
    }
    .into_any()
}
