use leptos::prelude::*;
use leptos_router::{components::Redirect, hooks::use_location, location::Url};
use serde::{Serialize, de::DeserializeOwned};
use wire::{ErrorCode, users::User};

use crate::{
    api::{self, ApiError},
    components::preferences::use_preferences,
    ui::{PanelError, Skeleton},
};

type Loaded<T> = Result<(api::auth::Viewer, Option<Result<T, ApiError>>), ApiError>;

/// A page for people who are signed in. Everybody else goes to sign-in (or to sign-up while there is no account at all) and comes
/// back. `load` runs only when somebody is signed in; `render` gets the person and what was loaded, or why it was not.
#[component]
pub fn Guarded<T, L, F, R>(load: L, render: R) -> impl IntoView
where
    T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    L: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<T, ApiError>> + Send + 'static,
    R: Fn(User, Result<T, ApiError>) -> AnyView + Clone + Send + Sync + 'static,
{
    let (path, search) = (use_location().pathname, use_location().search);
    let prefs = use_preferences();
    let loaded = Resource::new(
        || (),
        move |()| {
            let load = load.clone();
            let here = path.get_untracked();
            async move {
                let viewer = api::auth::viewer().await?;
                let open = viewer.user.is_some() && (!viewer.must_set_up || here == SET_UP_PATH);
                let data = if open { Some(load().await) } else { None };
                Loaded::<T>::Ok((viewer, data))
            }
        },
    );
    view! {
        <Suspense fallback=|| view! { <main class="wrap"><Skeleton /></main> }>
            {move || {
                let render = render.clone();
                Suspend::new(async move {
                    match loaded.await {
                        Ok((api::auth::Viewer { user: Some(user), must_set_up, .. }, Some(data))) => {
                            let id = user.id;
                            provide_context(MustSetUp(must_set_up));
                            Effect::new(move |_| prefs.belong_to(id));
                            render(user, data)
                        }
                        Ok((viewer, _)) if viewer.must_set_up => view! { <Redirect path=SET_UP_PATH /> }.into_any(),
                        Ok((viewer, _)) => {
                            let to = if viewer.has_users { sign_in_path(&path.get_untracked(), &search.get_untracked()) } else { "/signup".to_owned() };
                            view! { <Redirect path=to /> }.into_any()
                        }
                        Err(error) => view! { <PageFailed error=error /> }.into_any(),
                    }
                })
            }}
        </Suspense>
    }
    .into_any()
}

/// Whether the page is for setting up a second factor, and nothing else is open to the person yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MustSetUp(pub bool);

pub fn must_set_up() -> bool {
    use_context::<MustSetUp>().is_some_and(|must| must.0)
}

/// Where a second factor is set up: the one page for whom one is required and who has none.
const SET_UP_PATH: &str = "/settings/security";

fn sign_in_path(path: &str, search: &str) -> String {
    match search.trim_start_matches('?') {
        "" if path == "/" => "/login".to_owned(),
        "" => format!("/login?next={path}"),
        query => format!("/login?next={path}{}", Url::escape(&format!("?{query}"))),
    }
}

/// In the place of a page that could not be loaded.
#[component]
pub fn PageFailed(error: ApiError) -> impl IntoView {
    // What is refused stays refused: asking again would not help.
    let refused = error.code() == ErrorCode::Forbidden;
    let title = if refused { "This page is not open to you" } else { "This page did not load" };
    view! {
        <main class="wrap">
            <h1 class="sr">{title}</h1>
            <PanelError title=title text=error.to_string()>
                {(!refused).then(|| view! { <a class="btn" href="" rel="external">"Try again"</a> })}
                <a class=if refused { "btn" } else { "btn btn--ghost" } href="/">"All projects"</a>
            </PanelError>
        </main>
    }
    .into_any()
}
