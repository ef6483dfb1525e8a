use leptos::prelude::*;
use wire::users::User;

use crate::components::profile_card::ProfileCard;

#[component]
pub fn Profile(user: User) -> impl IntoView {
    view! { <ProfileCard user=user /> }
}
