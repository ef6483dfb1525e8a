use leptos::prelude::*;

use crate::components::own_keys::OwnKeysCard;

#[component]
pub fn Models() -> impl IntoView {
    view! { <OwnKeysCard /> }
}
