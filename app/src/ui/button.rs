use leptos::prelude::*;

use super::Icon;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ButtonKind {
    /// The one filled button of a region.
    Primary,
    /// Green, in the review only.
    Accept,
    #[default]
    Default,
    Danger,
    Ghost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ButtonSize {
    /// 24 px, inside rows and cards.
    Small,
    /// 28 px, in bars and panels.
    #[default]
    Medium,
    /// 36 px, in forms on pages.
    Large,
}

/// A button with a verb. Give it `on:click`; while `busy` it shows the spinner in the place of its icon and takes no clicks.
#[component]
pub fn Button(
    #[prop(optional)] kind: ButtonKind,
    #[prop(optional)] size: ButtonSize,
    #[prop(optional)] icon: &'static str,
    #[prop(optional, into)] busy: Signal<bool>,
    #[prop(optional, into)] disabled: Signal<bool>,
    /// Sends the form it stands in.
    #[prop(optional)]
    submit: bool,
    /// As wide as its container.
    #[prop(optional)]
    block: bool,
    /// The tooltip; when disabled it says why.
    #[prop(optional, into)]
    title: MaybeProp<String>,
    children: Children,
) -> impl IntoView {
    let mut class = String::from("btn");
    class.push_str(match kind {
        ButtonKind::Primary => " btn--primary",
        ButtonKind::Accept => " btn--ok",
        ButtonKind::Default => "",
        ButtonKind::Danger => " btn--bad",
        ButtonKind::Ghost => " btn--ghost",
    });
    class.push_str(match size {
        ButtonSize::Small => " btn--s",
        ButtonSize::Medium => "",
        ButtonSize::Large => " btn--l",
    });
    if block {
        class.push_str(" btn--block");
    }
    view! {
        <button
            type=if submit { "submit" } else { "button" }
            class=class
            disabled=move || disabled.get()
            aria-busy=move || busy.get().then_some("true")
            title=move || title.get()
        >
            {move || {
                if busy.get() {
                    Some(view! { <Icon name="loader-circle" small=true class="spin" /> })
                } else {
                    (!icon.is_empty()).then(|| view! { <Icon name=icon small=true /> })
                }
            }}
            {children()}
        </button>
    }
    .into_any()
}

/// A button that shows only an icon; `label` is its name and, with `key`, its tooltip.
#[component]
pub fn IconButton(
    icon: &'static str,
    #[prop(into)] label: Signal<String>,
    /// The key that does the same, such as `Ctrl J`.
    #[prop(optional)]
    key: &'static str,
    #[prop(optional)] small: bool,
    /// For switches: whether it is on.
    #[prop(optional, into)]
    pressed: MaybeProp<bool>,
    #[prop(optional, into)] disabled: Signal<bool>,
    /// More classes, such as `desk`.
    #[prop(optional)]
    class: &'static str,
) -> impl IntoView {
    let title = move || if key.is_empty() { label.get() } else { format!("{} ({key})", label.get()) };
    view! {
        <button
            type="button"
            class=format!("ib{}{}{class}", if small { " ib--s" } else { "" }, if class.is_empty() { "" } else { " " })
            aria-label=move || label.get()
            aria-pressed=move || pressed.get().map(|on| if on { "true" } else { "false" })
            disabled=move || disabled.get()
            title=title
        >
            <Icon name=icon small=small />
        </button>
    }
    .into_any()
}
