use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};

use super::Icon;

/// What can be chosen. `id` comes back in `on_choose`.
#[derive(Debug, Clone, PartialEq)]
pub struct PaletteEntry {
    pub id: String,
    pub icon: &'static str,
    pub label: String,
    /// The keys that do the same.
    pub keys: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PaletteGroup {
    pub title: &'static str,
    pub entries: Vec<PaletteEntry>,
}

/// Files, commands, then *Ask the agent*, or symbols. The owner filters: `groups` follows `query`. The first row is selected.
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
    let list = NodeRef::<html::Ul>::new();
    // The selected row stays in view, without moving a list that shows it already.
    let reveal = move || {
        let Some(list) = list.try_get_untracked().flatten() else { return };
        let Some(row) = list.query_selector("[aria-selected=true]").ok().flatten() else { return };
        let (row, view) = (row.get_bounding_client_rect(), list.get_bounding_client_rect());
        let beyond = (row.bottom() - view.bottom()).max(0.0) + (row.top() - view.top()).min(0.0);
        if beyond != 0.0 {
            list.set_scroll_top(list.scroll_top() + beyond.round() as i32);
        }
    };
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
        request_animation_frame(reveal);
    };
    let rows = move || {
        let mut index = 0;
        let text = query.get_untracked();
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
                        view! {
                            <li
                                id=format!("palette-{place}")
                                role="option"
                                aria-selected=move || if at.get() == place { "true" } else { "false" }
                            >
                                <Icon name=entry.icon />
                                <span class="clip">{marked(&entry.label, &text)}</span>
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
            <ul
                id="palette-list"
                class="scroll"
                role="listbox"
                aria-label="Results"
                node_ref=list
                on:pointermove=move |event| {
                    if let Some(place) = place_of(&event).filter(|place| at.get_untracked() != *place) {
                        at.set(place);
                    }
                }
                on:click=move |event| {
                    if let Some(id) = place_of(&event).and_then(|place| ids.with_untracked(|ids| ids.get(place).cloned())) {
                        choose(id);
                    }
                }
            >
                {rows}
            </ul>
            <Show when=move || ids.with(Vec::is_empty)>
                <p class="palette-none">"Nothing is called that."</p>
            </Show>
            <div class="palette-foot" aria-hidden="true">
                <span>
                    <span class="keys">
                        <kbd>"↑"</kbd>
                        <kbd>"↓"</kbd>
                    </span>
                    "choose"
                </span>
                <span>
                    <kbd>"⏎"</kbd>
                    "open"
                </span>
                <span class="desk">
                    <kbd>">"</kbd>
                    "commands"
                </span>
                <span class="desk">
                    <kbd>"@"</kbd>
                    "symbols"
                </span>
                <span class="desk">
                    <kbd>":"</kbd>
                    "line"
                </span>
            </div>
        </dialog>
    }
    .into_any()
}

/// Which row an event is about. The list listens for all of its rows, which are made anew with every key.
fn place_of(event: &ev::Event) -> Option<usize> {
    let row = event.target()?.dyn_into::<web_sys::Element>().ok()?.closest("[role=option]").ok()??;
    row.id().strip_prefix("palette-")?.parse().ok()
}

/// The label with the letters of the query in bold: together where they stand together, else one by one.
fn marked(label: &str, query: &str) -> impl IntoView + use<> {
    let piece = |(hit, text): (bool, String)| if hit { view! { <b>{text}</b> }.into_any() } else { text.into_any() };
    split_hits(label, query.trim_start_matches(['>', '@']).trim()).into_iter().map(piece).collect_view()
}

fn split_hits(label: &str, query: &str) -> Vec<(bool, String)> {
    let fold = |c: char| c.to_lowercase().next().unwrap_or(c);
    let letters: Vec<char> = label.chars().collect();
    let wanted: Vec<char> = query.chars().filter(|c| !c.is_whitespace()).map(fold).collect();
    let mut hits = vec![false; letters.len()];
    let together = (!wanted.is_empty())
        .then(|| letters.windows(wanted.len()).rposition(|window| window.iter().zip(&wanted).all(|(a, b)| fold(*a) == *b)))
        .flatten();
    if let Some(start) = together {
        hits[start..start + wanted.len()].fill(true);
    } else {
        let mut rest = wanted.iter().rev().peekable();
        for (at, letter) in letters.iter().enumerate().rev() {
            if rest.next_if(|wanted| **wanted == fold(*letter)).is_some() {
                hits[at] = true;
            }
        }
        if rest.peek().is_some() {
            hits.fill(false);
        }
    }
    let mut pieces: Vec<(bool, String)> = Vec::new();
    for (letter, hit) in letters.into_iter().zip(hits) {
        match pieces.last_mut() {
            Some((last, text)) if *last == hit => text.push(letter),
            _ => pieces.push((hit, letter.to_string())),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::split_hits;

    fn bold(label: &str, query: &str) -> String {
        split_hits(label, query).into_iter().map(|(hit, text)| if hit { format!("[{text}]") } else { text }).collect()
    }

    #[test]
    fn letters_of_the_query_are_marked() {
        assert_eq!(bold("tests/test_Retry.py", "retry"), "tests/test_[Retry].py");
        assert_eq!(bold("src/retry.py", "rtr"), "src/[r]e[tr]y.py");
        assert_eq!(bold("src/retry.py", ""), "src/retry.py");
        assert_eq!(bold("a.py", "zz"), "a.py");
    }
}
