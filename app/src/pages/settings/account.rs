use leptos::prelude::*;
use wire::users::User;

use crate::components::account_card::{DeleteAccountCard, ExportAccountCard};

#[component]
pub fn Account(user: User) -> impl IntoView {
    view! {
        <ExportAccountCard />
        <DeleteAccountCard user=user />
    }
}
