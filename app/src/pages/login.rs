use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{components::Redirect, hooks::use_query_map};

use crate::{
    api::auth::{self, LoginFn},
    components::auth_frame::{AuthFrame, summary, typed},
    ui::{Button, ButtonKind, ButtonSize, ErrorSummary, TextField},
};

/// Sign in. The form works before and without the browser half: it posts, and comes back with what was typed.
#[component]
pub fn LoginPage() -> impl IntoView {
    let viewer = Resource::new(|| (), |()| auth::viewer());
    view! {
        <Title text="Sign in" />
        <Suspense>
            {move || Suspend::new(async move {
                match viewer.await {
                    Ok(viewer) if !viewer.has_users => view! { <Redirect path="/signup" /> }.into_any(),
                    Ok(viewer) if viewer.user.is_some() => view! { <Redirect path="/" /> }.into_any(),
                    _ => ().into_any(),
                }
            })}
        </Suspense>
        <LoginForm />
    }
    .into_any()
}

#[component]
fn LoginForm() -> impl IntoView {
    let action = ServerAction::<LoginFn>::new();
    let pending = action.pending();
    let error = Memo::new(move |_| action.value().get().and_then(Result::err));
    let username = error.with_untracked(|error| typed(error.as_ref(), "username"));
    let next = use_query_map().with_untracked(|query| query.get("next"));
    let field = move |name: &'static str| Signal::derive(move || error.with(|error| error.as_ref()?.field(name)));
    let on_top = Signal::derive(move || error.get().map(|error| summary(&error, "You are not signed in.")));
    view! {
        <AuthFrame title="Sign in" lead=Signal::from("to write, run and review code with your team".to_owned())>
            <ActionForm action=action>
                <ErrorSummary message=on_top />
                <TextField
                    label="Username or e-mail"
                    name="username"
                    value=username
                    error=field("username")
                    autocomplete="username"
                    autofocus=true
                />
                <TextField
                    label="Password"
                    name="password"
                    kind="password"
                    error=field("password")
                    autocomplete="current-password"
                />
                {next.map(|next| view! { <input type="hidden" name="next" value=next /> })}
                <Button kind=ButtonKind::Primary size=ButtonSize::Large block=true submit=true busy=pending>
                    "Sign in"
                </Button>
            </ActionForm>
            <p class="t2 gap-above">"New here? " <a href="/signup">"Create an account"</a></p>
        </AuthFrame>
    }
    .into_any()
}
