use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{components::Redirect, hooks::use_query_map};
use wire::settings::Registration;

use crate::{
    api::auth::{self, RegisterFn},
    components::auth_frame::{AuthFrame, AuthNote, summary, typed},
    components::identity_buttons::IdentityButtons,
    ui::{Button, ButtonKind, ButtonSize, ErrorSummary, TextField},
};

/// Create an account; the first one becomes the administrator. The form works before and without the browser half.
#[component]
pub fn SignupPage() -> impl IntoView {
    let viewer = Resource::new(|| (), |()| auth::viewer());
    let is_invited = use_query_map().with_untracked(|query| query.get("invite").is_some_and(|secret| !secret.is_empty()));
    view! {
        <Title text="Create an account" />
        <Suspense>
            {move || Suspend::new(async move {
                match viewer.await {
                    Ok(viewer) if viewer.user.is_some() => view! { <Redirect path="/" /> }.into_any(),
                    Ok(viewer) if viewer.has_users && viewer.registration == Registration::Closed => {
                        view! { <NoSignup text="Sign-up is closed here. Ask an administrator for an account." /> }.into_any()
                    }
                    Ok(viewer) if viewer.has_users && viewer.registration == Registration::Invite && !is_invited => {
                        view! { <NoSignup text="Sign-up needs an invitation here. Ask an administrator for one." /> }.into_any()
                    }
                    Ok(viewer) => view! { <SignupForm has_users=viewer.has_users /> }.into_any(),
                    Err(_) => view! { <SignupForm has_users=true /> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

/// Instead of the form, where it would be refused.
#[component]
fn NoSignup(text: &'static str) -> impl IntoView {
    view! {
        <AuthFrame title="Create an account" lead=Signal::from("Accounts here are given by administrators.".to_owned())>
            <AuthNote>{text}</AuthNote>
            <p class="t2 gap-above">"Have an account? "<a href="/login">"Sign in"</a></p>
        </AuthFrame>
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
    let on_top = Signal::derive(move || {
        let error = error.get()?;
        Some(error.field("invite").unwrap_or_else(|| summary(&error, "No account was made.")))
    });
    let invite = use_query_map().with_untracked(|query| query.get("invite")).filter(|secret| !secret.is_empty());
    let lead = if invite.is_some() {
        "You are invited. The invitation is good for one account."
    } else if has_users {
        "You see your own projects, and those that are shared with you."
    } else {
        "This is the first account here. It becomes the administrator."
    };
    view! {
        <AuthFrame title="Create an account" lead=Signal::from(lead.to_owned())>
            <ActionForm action=action attr:novalidate=true>
                <ErrorSummary message=on_top />
                {invite.map(|secret| view! { <input type="hidden" name="invite" value=secret /> })}
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
            <IdentityButtons />
            {has_users.then(|| view! { <p class="t2 gap-above">"Have an account? " <a href="/login">"Sign in"</a></p> })}
        </AuthFrame>
    }
    .into_any()
}
