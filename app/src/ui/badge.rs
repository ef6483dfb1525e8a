use leptos::prelude::*;

use super::Icon;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadgeKind {
    #[default]
    Neutral,
    Running,
    Ok,
    Bad,
    Warning,
    /// Proposed by the agent, not yet anyone's. Nothing else is violet.
    Agent,
}

/// A state: icon and word, never colour alone.
#[component]
pub fn Badge(#[prop(optional)] kind: BadgeKind, #[prop(optional)] icon: &'static str, children: Children) -> impl IntoView {
    let class = match kind {
        BadgeKind::Neutral => "badge",
        BadgeKind::Running => "badge badge--run",
        BadgeKind::Ok => "badge badge--ok",
        BadgeKind::Bad => "badge badge--bad",
        BadgeKind::Warning => "badge badge--warn",
        BadgeKind::Agent => "badge badge--agent",
    };
    let spin = if icon == "loader-circle" { "spin" } else { "" };
    view! {
        <span class=class>
            {(!icon.is_empty()).then(|| view! { <Icon name=icon class=spin /> })}
            {children()}
        </span>
    }
    .into_any()
}

/// A number in a pill, beside a title or on a rail icon.
#[component]
pub fn Count(#[prop(into)] value: Signal<i64>, #[prop(optional)] kind: BadgeKind) -> impl IntoView {
    let class = match kind {
        BadgeKind::Agent => "count count--agent",
        BadgeKind::Bad => "count count--bad",
        _ => "count",
    };
    view! { <span class=class>{move || super::format::count(value.get())}</span> }.into_any()
}
