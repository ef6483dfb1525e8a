use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::{components::Redirect, hooks::use_query_map};
use wire::ErrorCode;

use crate::{
    api::{
        auth::{self, LoginFn},
        second_factor,
    },
    components::auth_frame::{AuthFrame, AuthNote, summary, typed},
    components::identity_buttons::{IdentityButtons, IdentityTrouble},
    components::login_second_step::{LoginSecondStep, PasskeySignIn, SecondStepState, use_second_step},
    ui::{Button, ButtonKind, ButtonSize, ErrorSummary, TextField},
};

/// Sign in. The form works before and without the browser half: it posts, and comes back with what was typed.
#[component]
pub fn LoginPage() -> impl IntoView {
    let viewer = Resource::new(|| (), |()| auth::viewer());
    let action = ServerAction::<LoginFn>::new();
    let step = use_second_step(action);
    // From a provider of identities one comes back with the first factor proved.
    let came_back = use_query_map().with_untracked(|query| query.get("step").is_some()) || step.came_refused();
    let ticket = Resource::new(|| (), move |()| async move { if came_back { second_factor::step_ways().await } else { Ok(None) } });
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
        <Suspense>
            {move || Suspend::new(async move {
                let (ticket, viewer) = (ticket.into_future(), viewer.into_future());
                let ways = ticket.await.unwrap_or_default();
                let passkeys = viewer.await.is_ok_and(|viewer| viewer.passkeys);
                if !step.came_with(ways) {
                    return ().into_any();
                }
                view! {
                    <Show when=move || step.is_due() fallback=move || view! { <LoginForm action=action step=step passkeys=passkeys /> }>
                        <LoginSecondStep step=step />
                    </Show>
                }
                .into_any()
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn LoginForm(action: ServerAction<LoginFn>, step: SecondStepState, passkeys: bool) -> impl IntoView {
    let pending = action.pending();
    let error = Memo::new(move |_| {
        let refused = action.value().get().and_then(Result::err).filter(|error| error.code() != ErrorCode::SecondFactorRequired);
        refused.or_else(|| step.ended())
    });
    let username = error.with_untracked(|error| typed(error.as_ref(), "username"));
    let (next, was_reset) = use_query_map().with_untracked(|query| (query.get("next"), query.get("reset").is_some()));
    let next_by_passkey = next.clone();
    let field = move |name: &'static str| Signal::derive(move || error.with(|error| error.as_ref()?.field(name)));
    let on_top = Signal::derive(move || error.get().map(|error| summary(&error, "You are not signed in.")));
    view! {
        <AuthFrame title="Sign in" lead=Signal::from("to write, run and review code with your team".to_owned())>
            {was_reset.then(|| view! { <AuthNote>"The new password is set. Sign in with it."</AuthNote> })}
            <IdentityTrouble />
            <ActionForm action=action>
                <ErrorSummary message=on_top />
                <TextField
                    label="Username or e-mail"
                    name="username"
                    value=username
                    error=field("username")
                    autocomplete="username webauthn"
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
            {passkeys
                .then(|| {
                    let error = Signal::derive(move || step.passkey_error());
                    view! { <PasskeySignIn step=false next=next_by_passkey error=error /> }
                })}
            <IdentityButtons />
            <p class="t2 gap-above"><a href="/forgot">"Forgot the password?"</a></p>
            <p class="t2">"New here? "<a href="/signup">"Create an account"</a></p>
        </AuthFrame>
    }
    .into_any()
}
