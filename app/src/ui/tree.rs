use leptos::{attr::custom::custom_attribute, prelude::*};

use super::Icon;

/// One row of a tree. Give it `on:click`, `on:dblclick`, `on:contextmenu` and `on:keydown`; what stands at its end (one badge) goes
/// in as children.
#[component]
pub fn TreeRow(
    #[prop(into)] name: String,
    icon: &'static str,
    /// Counts from 1.
    level: usize,
    /// `None` for what has no children.
    #[prop(into)]
    expanded: MaybeProp<bool>,
    #[prop(into)] selected: Signal<bool>,
    /// The one row of the tree that Tab reaches.
    #[prop(into)]
    current: Signal<bool>,
    /// In virtual lists: place among its siblings, from 1, and how many there are.
    #[prop(optional)]
    place: Option<(usize, usize)>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let title = name.clone();
    view! {
        <li
            role="treeitem"
            {..custom_attribute("aria-level", level.to_string())}
            aria-expanded=move || expanded.get().map(|open| if open { "true" } else { "false" })
            aria-selected=move || if selected.get() { "true" } else { "false" }
            aria-posinset=place.map(|(at, _)| at.to_string())
            aria-setsize=place.map(|(_, of)| of.to_string())
            tabindex=move || if current.get() { "0" } else { "-1" }
            style:--d=level.saturating_sub(1).to_string()
        >
            {move || match expanded.get() {
                Some(true) => view! { <Icon name="chevron-down" class="tw" /> }.into_any(),
                Some(false) => view! { <Icon name="chevron-right" class="tw" /> }.into_any(),
                None => view! { <span class="pad"></span> }.into_any(),
            }}
            {move || {
                let icon = if icon == "folder" && expanded.get() == Some(true) { "folder-open" } else { icon };
                view! { <Icon name=icon /> }
            }}
            <span class="clip" title=title>{name}</span>
            {children.map(|children| children())}
        </li>
    }
    .into_any()
}
