use leptos::{ev, prelude::*};
use leptos_router::hooks::use_navigate;
use wire::users::User;

use crate::{
    api::auth::LogoutFn,
    ui::{Menu, MenuItem, MenuSeparator, MenuState, format::initials, menu::open_from},
};

/// The disc at the end of every topbar: who is signed in, settings, and the way out.
#[component]
pub fn UserMenu(user: User) -> impl IntoView {
    let state = MenuState::new();
    let logout = ServerAction::<LogoutFn>::new();
    let name = user.display_name().to_owned();
    let short = initials(&name);
    let label = format!("Account of {name}");
    let is_admin = user.is_admin();
    let who = StoredValue::new((name, user.email));
    view! {
        <button
            type="button"
            class="ib"
            title=label.clone()
            aria-haspopup="menu"
            aria-expanded=move || if state.is_open() { "true" } else { "false" }
            on:click=move |event: ev::MouseEvent| open_from(state, &event)
        >
            <span class="avatar" aria-hidden="true">{short}</span>
            <span class="sr">{label.clone()}</span>
        </button>
        <Menu state=state label=label>
            <div class="menu-note">
                <b>{who.with_value(|(name, _)| name.clone())}</b>
                <div>{who.with_value(|(_, email)| email.clone())}</div>
            </div>
            <MenuSeparator />
            <GoTo icon="settings" to="/settings" label="Settings" />
            {is_admin.then(|| view! { <GoTo icon="users" to="/admin" label="Administration" /> })}
            <MenuSeparator />
            <MenuItem
                icon="log-out"
                on_choose=move || {
                    logout.dispatch(LogoutFn {});
                }
            >
                "Sign out"
            </MenuItem>
        </Menu>
    }
    .into_any()
}

#[component]
fn GoTo(icon: &'static str, to: &'static str, label: &'static str) -> impl IntoView {
    let navigate = use_navigate();
    let go = Callback::new(move |()| navigate(to, leptos_router::NavigateOptions::default()));
    view! {
        <MenuItem icon=icon on_choose=go>
            {label}
        </MenuItem>
    }
    .into_any()
}
