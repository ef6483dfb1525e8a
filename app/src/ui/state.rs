use leptos::prelude::*;

use super::Icon;

/// Lines in the shape of what is coming. They show after 300 ms: what answers sooner should not flicker.
#[component]
pub fn Skeleton(#[prop(default = 5)] lines: usize) -> impl IntoView {
    view! {
        <div class="late" role="status" aria-label="Loading">
            {(0..lines).map(|_| view! { <span class="skel"></span> }).collect_view()}
        </div>
    }
    .into_any()
}

/// Nothing here yet: what this is, how to begin, and one button (as children).
#[component]
pub fn Empty(#[prop(into)] title: String, #[prop(into)] text: String, #[prop(optional)] children: Option<Children>) -> impl IntoView {
    view! {
        <div class="empty">
            <b>{title}</b>
            <p>{text}</p>
            {children.map(|children| children())}
        </div>
    }
    .into_any()
}

/// A part that failed, in its own place: what happened, what is safe, and what can be done (as children).
#[component]
pub fn PanelError(#[prop(into)] title: String, #[prop(into)] text: String, #[prop(optional)] children: Option<Children>) -> impl IntoView {
    view! {
        <div class="empty" role="alert">
            <b class="row">
                <span class="c-bad mark-icon">
                    <Icon name="circle-x" />
                </span>
                {title}
            </b>
            <p>{text}</p>
            {children.map(|children| view! { <div class="acts">{children()}</div> })}
        </div>
    }
    .into_any()
}
