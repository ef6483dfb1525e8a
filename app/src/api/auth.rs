use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use wire::users::{UpdateMe, User};

use super::ApiError;

/// What every page needs to know first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Viewer {
    pub user: Option<User>,
    /// `false` on a new installation: the first account to sign up becomes the administrator.
    pub has_users: bool,
}

/// Who is looking at the page.
#[server(name = ViewerFn, prefix = "/fn", endpoint = "auth/viewer")]
pub async fn viewer() -> Result<Viewer, ApiError> {
    let ctx = super::ctx::current()?;
    let has_users = domain::users::any_exist(&ctx).await.map_err(super::ctx::refuse)?;
    Ok(Viewer { user: ctx.user().cloned(), has_users })
}

/// Signs in and goes to `next` (a path of this site). Works as a plain form. A refusal's `current` holds `{"username"}` as typed.
#[server(name = LoginFn, prefix = "/fn", endpoint = "auth/login")]
pub async fn login(username: String, password: String, next: Option<String>) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    let signed_in = domain::auth::login_browser(&ctx, wire::auth::Login { username, password }).await.map_err(super::ctx::refuse)?;
    super::ctx::set_session_cookie(&signed_in.cookie);
    leptos_axum::redirect(&domain::auth::safe_next(next.as_deref()));
    Ok(())
}

/// Makes an account, signs in and goes to the dashboard. Works as a plain form. A refusal's `current` holds what was typed, without
/// the password.
#[server(name = RegisterFn, prefix = "/fn", endpoint = "auth/register")]
pub async fn register(email: String, username: String, password: String, full_name: Option<String>) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    let request = wire::auth::Register { email, username, password, full_name };
    let signed_in = domain::auth::register_browser(&ctx, request).await.map_err(super::ctx::refuse)?;
    super::ctx::set_session_cookie(&signed_in.cookie);
    leptos_axum::redirect("/");
    Ok(())
}

/// Ends this browser's session and goes to the login page.
#[server(name = LogoutFn, prefix = "/fn", endpoint = "auth/logout")]
pub async fn logout() -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    let cookie = domain::auth::logout(&ctx).await.map_err(super::ctx::refuse)?;
    super::ctx::set_session_cookie(&cookie);
    leptos_axum::redirect("/login");
    Ok(())
}

#[server(name = UpdateMeFn, prefix = "/fn", endpoint = "users/update_me")]
pub async fn update_me(request: UpdateMe) -> Result<User, ApiError> {
    let ctx = super::ctx::current()?;
    domain::users::update_me(&ctx, request).await.map_err(super::ctx::refuse)
}
