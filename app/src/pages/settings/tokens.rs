use leptos::prelude::*;
use wire::users::User;

use crate::components::token_card::TokenCard;

#[component]
pub fn Tokens(user: User) -> impl IntoView {
    view! { <TokenCard is_admin=user.is_admin() /> }
}
