use leptos::{ev, prelude::*};

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

/// What a click does. A property of its own: a handler that is spread onto a component stays the first one when the view around it is
/// made anew in the same place, and then acts on what stood there before, or on nothing.
pub struct Press(Box<dyn FnMut(ev::MouseEvent)>);

impl<F: FnMut(ev::MouseEvent) + 'static> From<F> for Press {
    fn from(press: F) -> Self {
        Self(Box::new(press))
    }
}

pub(super) fn handler(mut press: Option<Press>) -> impl FnMut(ev::MouseEvent) {
    move |event| {
        if let Some(Press(press)) = &mut press {
            press(event);
        }
    }
}

/// What `aria-expanded` and `aria-pressed` say. Properties of the buttons for the same reason as [`Press`]: what is spread onto a component
/// and changes stays what it was when the view around it is made anew.
fn word(on: bool) -> &'static str {
    if on { "true" } else { "false" }
}

/// A button with a verb; while `busy` it shows the spinner in the place of its icon and takes no clicks.
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
    /// Where it unfolds something: whether that is shown.
    #[prop(optional, into)]
    expanded: MaybeProp<bool>,
    #[prop(optional, into)] on_click: Option<Press>,
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
            aria-expanded=move || expanded.get().map(word)
            title=move || title.get()
            on:click:capture=move |event: ev::MouseEvent| {
                // What a button sends or starts must not begin a second time; before all handlers, and the form's own way, too.
                if busy.get_untracked() {
                    event.prevent_default();
                    event.stop_immediate_propagation();
                }
            }
            on:click=handler(on_click)
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
    #[prop(optional, into)]
    key: Signal<String>,
    #[prop(optional)] small: bool,
    /// For switches: whether it is on.
    #[prop(optional, into)]
    pressed: MaybeProp<bool>,
    /// Opens a menu, which is open or not.
    #[prop(optional, into)]
    menu_open: MaybeProp<bool>,
    #[prop(optional, into)] disabled: Signal<bool>,
    /// More classes, such as `desk`.
    #[prop(optional)]
    class: &'static str,
    #[prop(optional, into)] on_click: Option<Press>,
) -> impl IntoView {
    let title = move || match key.get() {
        key if key.is_empty() => label.get(),
        key => format!("{} ({key})", label.get()),
    };
    view! {
        <button
            type="button"
            class=format!("ib{}{}{class}", if small { " ib--s" } else { "" }, if class.is_empty() { "" } else { " " })
            aria-label=move || label.get()
            aria-pressed=move || pressed.get().map(word)
            aria-haspopup=move || menu_open.get().map(|_| "menu")
            aria-expanded=move || menu_open.get().map(word)
            disabled=move || disabled.get()
            title=title
            on:click=handler(on_click)
        >
            <Icon name=icon small=small />
        </button>
    }
    .into_any()
}
