//! The user interface, compiled twice: natively to render pages on the server, and for the browser to take them over.

// The views of whole pages are deep types.
#![recursion_limit = "512"]

use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{Route, Router, Routes},
    path,
};

pub mod api;
pub mod components;
pub mod editor;
pub mod live;
pub mod pages;
pub mod passkeys_browser;
#[cfg(feature = "ssr")]
pub mod shell;
pub mod ui;

/// Everything inside `<body>`. Pages wait for their data on the server, so that they are whole without the browser half.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    ui::provide_theme();
    ui::provide_toasts();
    components::preferences::provide_preferences();
    view! {
        <Title formatter=|text: String| if text.is_empty() { "cloudxdevai".to_owned() } else { format!("{text} · cloudxdevai") } />
        <Router>
            <Routes fallback=pages::not_found::NotFound>
                <Route path=path!("/") view=pages::dashboard::DashboardPage ssr=SsrMode::Async />
                <Route path=path!("/login") view=pages::login::LoginPage ssr=SsrMode::Async />
                <Route path=path!("/forgot") view=pages::forgot::ForgotPage ssr=SsrMode::Async />
                <Route path=path!("/reset") view=pages::reset::ResetPage ssr=SsrMode::Async />
                <Route path=path!("/signup") view=pages::signup::SignupPage ssr=SsrMode::Async />
                <Route path=path!("/projects/:id") view=pages::project::ProjectPage ssr=SsrMode::Async />
                <Route path=path!("/projects/:id/settings") view=pages::project_settings::ProjectSettingsPage ssr=SsrMode::Async />
                <Route path=path!("/admin/:section?") view=pages::admin::AdminPage ssr=SsrMode::Async />
                <Route path=path!("/settings/:section?") view=pages::settings::SettingsPage ssr=SsrMode::Async />
            </Routes>
        </Router>
        <ui::ToastHost />
    }
}
