use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    api::auth::{self, ForgotFn},
    components::auth_frame::{AuthFrame, AuthNote, summary},
    ui::{Button, ButtonKind, ButtonSize, ErrorSummary, TextField},
};

/// Asks for a link to set a new password with. Where no mail is sent, says whom to ask instead. The form works without a script.
#[component]
pub fn ForgotPage() -> impl IntoView {
    let viewer = Resource::new(|| (), |()| auth::viewer());
    let was_sent = use_query_map().with_untracked(|query| query.get("sent").is_some());
    view! {
        <Title text="New password" />
        <Suspense>
            {move || Suspend::new(async move {
                match viewer.await {
                    _ if was_sent => view! { <Sent /> }.into_any(),
                    Ok(viewer) if !viewer.sends_mail => view! { <AskSomebody /> }.into_any(),
                    _ => view! { <ForgotForm /> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn ForgotForm() -> impl IntoView {
    let action = ServerAction::<ForgotFn>::new();
    let error = Memo::new(move |_| action.value().get().and_then(Result::err));
    let field = Signal::derive(move || error.with(|error| error.as_ref()?.field("who")));
    let on_top = Signal::derive(move || error.get().map(|error| summary(&error, "No mail was sent.")));
    view! {
        <AuthFrame title="New password" lead=Signal::from("A link to set it comes by mail.".to_owned())>
            <ActionForm action=action attr:novalidate=true>
                <ErrorSummary message=on_top />
                <TextField label="Username or e-mail" name="who" error=field autocomplete="username" autofocus=true />
                <Button kind=ButtonKind::Primary size=ButtonSize::Large block=true submit=true busy=action.pending()>
                    "Send the link"
                </Button>
            </ActionForm>
            <BackToSignIn />
        </AuthFrame>
    }
    .into_any()
}

#[component]
fn Sent() -> impl IntoView {
    view! {
        <AuthFrame title="Look into your mail" lead=Signal::from("The link works once, within the hour.".to_owned())>
            <AuthNote>"If there is an account with this name or address, a link to set a new password is on its way."</AuthNote>
            <p class="t2 gap-above">"Nothing came? "<a href="/forgot">"Ask again"</a>", or ask an administrator."</p>
            <BackToSignIn />
        </AuthFrame>
    }
    .into_any()
}

#[component]
fn AskSomebody() -> impl IntoView {
    view! {
        <AuthFrame title="New password" lead=Signal::from("This server sends no mail.".to_owned())>
            <AuthNote>"Ask an administrator for a link to set a new password. It works once, for a day."</AuthNote>
            <BackToSignIn />
        </AuthFrame>
    }
    .into_any()
}

#[component]
fn BackToSignIn() -> impl IntoView {
    view! { <p class="t2 gap-above"><a href="/login">"Back to sign-in"</a></p> }.into_any()
}
