use leptos::prelude::*;
use wire::users::User;

use crate::components::{
    guard::must_set_up, identities_card::IdentitiesCard, passkeys_card::PasskeysCard, password_card::PasswordCard,
    second_factor_card::SecondFactorCard,
};

/// How one signs in.
#[component]
pub fn Security(user: User) -> impl IntoView {
    let all = !must_set_up();
    view! {
        {all.then(|| view! { <PasswordCard username=user.username /> })}
        <SecondFactorCard />
        <PasskeysCard />
        {all.then(|| view! { <IdentitiesCard /> })}
    }
}
