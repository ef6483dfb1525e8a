use leptos::prelude::*;

/// One icon of the sprite, 16 px (14 with `small`). Hidden from assistive technology: what stands around it carries the name.
#[component]
pub fn Icon(
    /// The symbol without its `i-`, such as `file-code`.
    name: &'static str,
    #[prop(optional)] small: bool,
    /// More classes, such as `spin`.
    #[prop(optional)]
    class: &'static str,
) -> impl IntoView {
    let mut classes = String::from(if small { "icon icon-s" } else { "icon" });
    if !class.is_empty() {
        classes.push(' ');
        classes.push_str(class);
    }
    view! {
        <svg class=classes aria-hidden="true">
            <use_ href=format!("#i-{name}")></use_>
        </svg>
    }
}

/// The mark (proposed, gate, yours), with or without the name beside it.
#[component]
pub fn Brand(#[prop(default = "/")] href: &'static str, #[prop(optional)] mark_only: bool) -> impl IntoView {
    view! {
        <a
            class=if mark_only { "brand desk" } else { "brand" }
            href=href
            aria-label=mark_only.then_some("All projects")
        >
            <svg viewBox="0 0 20 20" aria-hidden="true" fill="none" stroke-width="2" stroke-linecap="round">
                <circle class="m-in" cx="4" cy="10" r="2.6" stroke-dasharray="2.2 1.9" stroke-width="1.7"></circle>
                <path class="m-gate" d="M10 2.5v4M10 13.5v4"></path>
                <circle class="m-out" cx="16" cy="10" r="3.2"></circle>
            </svg>
            {(!mark_only).then(|| view! { <span>"cloudxdevai"</span> })}
        </a>
    }
}

/// Every symbol, for the document shell. Icons from lucide-static (ISC).
#[cfg(feature = "ssr")]
pub const SPRITE: &str = include_str!("sprite.svg");
