use leptos::prelude::*;

use crate::components::appearance_card::AppearanceCard;

#[component]
pub fn Appearance() -> impl IntoView {
    view! { <AppearanceCard /> }
}
