use leptos::prelude::*;
use leptos_meta::Title;

use crate::ui::{Brand, Empty};

/// Nothing is at this address; the response says so too.
#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(http::StatusCode::NOT_FOUND);
    }
    view! {
        <Title text="Not found" />
        <div class="page">
            <header class="topbar">
                <Brand />
            </header>
            <main class="wrap">
                <div class="page-head">
                    <h1>"Nothing is here"</h1>
                </div>
                <Empty
                    title="This address leads nowhere"
                    text="The page may have been removed, or it belongs to a project you are not a member of."
                >
                    <a class="btn" href="/">"All projects"</a>
                </Empty>
            </main>
        </div>
    }
    .into_any()
}
