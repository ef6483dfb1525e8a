use leptos::prelude::*;

use super::Icon;

/// A notice under the topbar that pushes the content down, such as a lost connection. Buttons go in as children.
#[component]
pub fn Banner(
    #[prop(default = "triangle-alert")] icon: &'static str,
    #[prop(into)] title: Signal<String>,
    #[prop(optional, into)] text: Signal<String>,
    /// It is read aloud from elsewhere.
    #[prop(optional)]
    quiet: bool,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="note" role=(!quiet).then_some("status")>
            <Icon name=icon />
            <span class="grow">
                <b>{move || title.get()}</b>
                " "
                <span class="t2">{move || text.get()}</span>
            </span>
            {children.map(|children| children())}
        </div>
    }
    .into_any()
}

/// What was refused, on top of a form. It takes the focus when it appears.
#[component]
pub fn ErrorSummary(#[prop(into)] message: Signal<Option<String>>) -> impl IntoView {
    let node = NodeRef::<leptos::html::Div>::new();
    Effect::new(move |before: Option<bool>| {
        let shown = message.with(Option::is_some);
        if shown
            && before == Some(false)
            && let Some(node) = node.get()
        {
            let _ = node.focus();
        }
        shown
    });
    view! {
        <div class="errsum" role="alert" tabindex="-1" node_ref=node hidden=move || message.with(Option::is_none)>
            <Icon name="circle-alert" />
            <span>{move || message.get()}</span>
        </div>
    }
    .into_any()
}
