use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::components::Redirect;

use crate::{
    api::auth::{self, RegisterFn},
    components::auth_frame::{AuthFrame, summary, typed},
    ui::{Button, ButtonKind, ButtonSize, ErrorSummary, TextField},
};

/// Create an account; the first one becomes the administrator. The form works before and without the browser half.
#[component]
pub fn SignupPage() -> impl IntoView {
    let viewer = Resource::new(|| (), |()| auth::viewer());
    view! {
        <Title text="Create an account" />
        <Suspense>
            {move || Suspend::new(async move {
                match viewer.await {
                    Ok(viewer) if viewer.user.is_some() => view! { <Redirect path="/" /> }.into_any(),
                    Ok(viewer) => view! { <SignupForm has_users=viewer.has_users /> }.into_any(),
                    Err(_) => view! { <SignupForm has_users=true /> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn SignupForm(has_users: bool) -> impl IntoView {
    let action = ServerAction::<RegisterFn>::new();
    let pending = action.pending();
    let error = Memo::new(move |_| action.value().get().and_then(Result::err));
    let kept = move |name: &'static str| error.with_untracked(|error| typed(error.as_ref(), name));
    let field = move |name: &'static str| Signal::derive(move || error.with(|error| error.as_ref()?.field(name)));
    let on_top = Signal::derive(move || error.get().map(|error| summary(&error, "No account was made.")));
    let lead = if has_users {
        "You see your own projects, and those that are shared with you."
    } else {
        "This is the first account here. It becomes the administrator."
    };
    view! {
        <AuthFrame title="Create an account" lead=Signal::from(lead.to_owned())>
            <ActionForm action=action attr:novalidate=true>
                <ErrorSummary message=on_top />
                <TextField
                    label="E-mail"
                    name="email"
                    kind="email"
                    value=kept("email")
                    error=field("email")
                    autocomplete="email"
                    autofocus=true
                />
                <TextField
                    label="Username"
                    name="username"
                    value=kept("username")
                    error=field("username")
                    autocomplete="username"
                />
                <TextField
                    label="Password"
                    name="password"
                    kind="password"
                    error=field("password")
                    hint="8 characters or more. A few words are easier to remember than signs."
                    autocomplete="new-password"
                />
                <TextField
                    label="Full name"
                    name="full_name"
                    value=kept("full_name")
                    error=field("full_name")
                    autocomplete="name"
                    optional=true
                />
                <Button kind=ButtonKind::Primary size=ButtonSize::Large block=true submit=true busy=pending>
                    "Create account"
                </Button>
            </ActionForm>
            {has_users.then(|| view! { <p class="t2 gap-above">"Have an account? " <a href="/login">"Sign in"</a></p> })}
        </AuthFrame>
    }
    .into_any()
}
