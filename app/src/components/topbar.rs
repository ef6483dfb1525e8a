use leptos::prelude::*;
use wire::users::User;

use crate::{
    components::{budget_meter::BudgetMeter, user_menu::UserMenu},
    ui::{Brand, ThemeSwitch},
};

/// The pages of the main navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Projects,
    Admin,
    Settings,
}

/// The bar on top of every page but sign-in and the project page.
#[component]
pub fn Topbar(user: User, place: Place) -> impl IntoView {
    let current = move |at: Place| (place == at).then_some("page");
    let is_admin = user.is_admin();
    view! {
        <a class="skip" href="#main">"Skip to the content"</a>
        <header class="topbar">
            <Brand />
            <nav class="topnav" aria-label="Main">
                <a href="/" aria-current=current(Place::Projects)>"Projects"</a>
                {is_admin.then(|| view! { <a href="/admin" aria-current=current(Place::Admin)>"Admin"</a> })}
                <a href="/settings" aria-current=current(Place::Settings)>"Settings"</a>
            </nav>
            <span class="grow"></span>
            <BudgetMeter />
            <ThemeSwitch />
            <UserMenu user=user />
        </header>
    }
    .into_any()
}
