use leptos::{ev, html, prelude::*};

use super::{
    BadgeKind, Count,
    focus::{self, Axis},
};

/// One tab of a panel. `count` above 0 is shown beside the label.
#[derive(Debug, Clone)]
pub struct TabItem {
    pub id: &'static str,
    pub label: &'static str,
    pub count: Signal<i64>,
    pub count_kind: BadgeKind,
}

impl TabItem {
    pub fn new(id: &'static str, label: &'static str) -> Self {
        Self { id, label, count: Signal::from(0), count_kind: BadgeKind::Neutral }
    }

    #[must_use]
    pub fn with_count(mut self, count: Signal<i64>, kind: BadgeKind) -> Self {
        self.count = count;
        self.count_kind = kind;
        self
    }
}

/// The tabs of a panel. The panel of tab `x` has the id `{prefix}-x` and `role="tabpanel"`.
#[component]
pub fn Tabs(
    label: &'static str,
    tabs: Vec<TabItem>,
    selected: RwSignal<&'static str>,
    #[prop(default = "panel")] prefix: &'static str,
) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let on_keydown = move |event: ev::KeyboardEvent| {
        if let Some(list) = node.get_untracked() {
            focus::rove(&event, &list, "[role=tab]", Axis::Horizontal);
        }
    };
    view! {
        <div role="tablist" class="row g-1" aria-label=label node_ref=node on:keydown=on_keydown>
            {tabs
                .into_iter()
                .map(|tab| {
                    let is_selected = move || selected.get() == tab.id;
                    view! {
                        <button
                            type="button"
                            class="ptab"
                            role="tab"
                            aria-selected=move || if is_selected() { "true" } else { "false" }
                            aria-controls=format!("{prefix}-{}", tab.id)
                            tabindex=move || if is_selected() { "0" } else { "-1" }
                            on:click=move |_| selected.set(tab.id)
                            on:focus=move |_| selected.set(tab.id)
                        >
                            {tab.label}
                            {move || (tab.count.get() > 0).then(|| view! { <Count value=tab.count kind=tab.count_kind /> })}
                        </button>
                    }
                })
                .collect_view()}
        </div>
    }
    .into_any()
}
