use leptos::prelude::*;

use crate::components::key_bindings::KeyBindingsCard;

#[component]
pub fn Keys() -> impl IntoView {
    view! { <KeyBindingsCard /> }
}
