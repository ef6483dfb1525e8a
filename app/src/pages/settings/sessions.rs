use leptos::prelude::*;

use crate::components::sessions_card::SessionsCard;

#[component]
pub fn Sessions() -> impl IntoView {
    view! { <SessionsCard /> }
}
