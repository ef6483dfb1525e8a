use leptos::prelude::*;

use crate::components::{
    budget_settings::MyBudgetCard,
    usage_card::{UsageCard, Whose},
};

#[component]
pub fn Usage() -> impl IntoView {
    view! {
        <div id="usage" class="usage-place">
            <MyBudgetCard />
            <UsageCard whose=Whose::Mine />
        </div>
    }
}
