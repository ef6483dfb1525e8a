use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use server_fn::codec::Json;
use wire::{
    auth::{ChangePassword, DeleteMe},
    links::{LinkKind, LinkView},
    settings::Registration,
    users::{UpdateMe, User},
};

use super::ApiError;

/// What every page needs to know first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Viewer {
    pub user: Option<User>,
    /// `false` on a new installation: the first account to sign up becomes the administrator.
    pub has_users: bool,
    pub registration: Registration,
    /// Links to set a new password are sent by mail; without it an administrator hands them over.
    pub sends_mail: bool,
    /// The user has to set up a second factor before anything else.
    #[serde(default)]
    pub must_set_up: bool,
    /// Devices use passkeys at the address that the page has.
    #[serde(default)]
    pub passkeys: bool,
}

/// Who is looking at the page.
#[server(name = ViewerFn, prefix = "/fn", endpoint = "auth/viewer")]
pub async fn viewer() -> Result<Viewer, ApiError> {
    let ctx = super::ctx::current()?;
    let domain::users::Entrance { has_users, registration, sends_mail } =
        domain::users::entrance(&ctx).await.map_err(super::ctx::refuse)?;
    Ok(Viewer {
        user: ctx.account().cloned(),
        has_users,
        registration,
        sends_mail,
        must_set_up: ctx.is_setting_up(),
        passkeys: domain::passkeys::are_possible(&ctx),
    })
}

/// Signs in and goes to `next` (a path of this site). Works as a plain form. A refusal's `current` holds `{"username"}` as typed.
#[server(name = LoginFn, prefix = "/fn", endpoint = "auth/login")]
pub async fn login(username: String, password: String, otp: Option<String>, next: Option<String>) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    let signed_in = domain::auth::login_browser(&ctx, wire::auth::Login { username, password, otp }).await.map_err(super::ctx::refuse)?;
    super::ctx::set_session_cookie(&signed_in.cookie);
    leptos_axum::redirect(&domain::auth::safe_next(next.as_deref()));
    Ok(())
}

/// Makes an account, signs in and goes to the dashboard. Works as a plain form. A refusal's `current` holds what was typed, without
/// the password.
#[server(name = RegisterFn, prefix = "/fn", endpoint = "auth/register")]
pub async fn register(
    email: String,
    username: String,
    password: String,
    full_name: Option<String>,
    invite: Option<String>,
) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    let request = wire::auth::Register { email, username, password, full_name, invite };
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

/// Ends all of the caller's sessions and goes to the login page.
#[server(name = LogoutEverywhereFn, prefix = "/fn", endpoint = "auth/logout_everywhere")]
pub async fn logout_everywhere() -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    let cookie = domain::auth::logout_everywhere(&ctx).await.map_err(super::ctx::refuse)?;
    super::ctx::set_session_cookie(&cookie);
    leptos_axum::redirect("/login");
    Ok(())
}

/// Sends a link to set a new password with, if there is an account of that name or address. Works as a plain form.
#[server(name = ForgotFn, prefix = "/fn", endpoint = "auth/forgot")]
pub async fn forgot(who: String) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::links::forgot(&ctx, wire::auth::ForgotPassword { who }).await.map_err(super::ctx::refuse)?;
    leptos_axum::redirect("/forgot?sent=1");
    Ok(())
}

/// What a link is for; refused where it does not work any more.
#[server(name = LookAtLinkFn, prefix = "/fn", endpoint = "auth/link", input = Json)]
pub async fn look_at_link(kind: LinkKind, secret: String) -> Result<LinkView, ApiError> {
    let ctx = super::ctx::current()?;
    domain::links::look(&ctx, kind, &secret).await.map_err(super::ctx::refuse)
}

/// Sets a new password by a link and goes to the login page. Works as a plain form.
#[server(name = ResetFn, prefix = "/fn", endpoint = "auth/reset")]
pub async fn reset(token: String, new_password: String) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::links::reset(&ctx, wire::auth::ResetPassword { token, new_password }).await.map_err(super::ctx::refuse)?;
    leptos_axum::redirect("/login?reset=1");
    Ok(())
}

/// Sets a new password; every other session of the account ends.
#[server(name = ChangePasswordFn, prefix = "/fn", endpoint = "users/change_password")]
pub async fn change_password(request: ChangePassword) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    domain::users::change_password(&ctx, request).await.map_err(super::ctx::refuse)
}

/// Ends the caller's account for good and goes to the login page. A conflict's `current` lists `{"projects": [{id, name}]}` that need
/// another owner first.
#[server(name = DeleteMeFn, prefix = "/fn", endpoint = "users/delete_me")]
pub async fn delete_me(request: DeleteMe) -> Result<(), ApiError> {
    let ctx = super::ctx::current()?;
    let cookie = domain::users::delete_me(&ctx, request).await.map_err(super::ctx::refuse)?;
    super::ctx::set_session_cookie(&cookie);
    leptos_axum::redirect("/login");
    Ok(())
}

#[server(name = UpdateMeFn, prefix = "/fn", endpoint = "users/update_me")]
pub async fn update_me(request: UpdateMe) -> Result<User, ApiError> {
    let ctx = super::ctx::current()?;
    domain::users::update_me(&ctx, request).await.map_err(super::ctx::refuse)
}
