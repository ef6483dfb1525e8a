use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use wire::links::LinkKind;

use crate::{
    api::{
        ApiError,
        auth::{self, ResetFn},
    },
    components::auth_frame::{AuthFrame, AuthNote, summary},
    ui::{Button, ButtonKind, ButtonSize, ErrorSummary, TextField},
};

/// Sets a new password by a link that works once. The form works without a script.
#[component]
pub fn ResetPage() -> impl IntoView {
    let token = use_query_map().with_untracked(|query| query.get("token")).unwrap_or_default();
    let looked = Resource::new(
        {
            let token = token.clone();
            move || token.clone()
        },
        |token| auth::look_at_link(LinkKind::Reset, token),
    );
    view! {
        <Title text="New password" />
        <Suspense>
            {move || {
                let token = token.clone();
                Suspend::new(async move {
                    match looked.await {
                        Ok(link) => view! { <ResetForm token=token name=link.name.unwrap_or_default() /> }.into_any(),
                        Err(error) => view! { <Refused error=error /> }.into_any(),
                    }
                })
            }}
        </Suspense>
    }
    .into_any()
}

#[component]
fn ResetForm(token: String, name: String) -> impl IntoView {
    let action = ServerAction::<ResetFn>::new();
    let error = Memo::new(move |_| action.value().get().and_then(Result::err));
    let field = Signal::derive(move || error.with(|error| error.as_ref()?.field("new_password")));
    let on_top = Signal::derive(move || {
        let error = error.get()?;
        Some(error.field("token").unwrap_or_else(|| summary(&error, "The password stays as it was.")))
    });
    view! {
        <AuthFrame title="New password" lead=Signal::from(format!("for the account {name}"))>
            <ActionForm action=action attr:novalidate=true>
                <ErrorSummary message=on_top />
                <input type="hidden" name="token" value=token />
                <input type="hidden" autocomplete="username" value=name />
                <TextField
                    label="New password"
                    name="new_password"
                    kind="password"
                    error=field
                    hint="8 characters or more. A few words are easier to remember than signs."
                    autocomplete="new-password"
                    autofocus=true
                />
                <Button kind=ButtonKind::Primary size=ButtonSize::Large block=true submit=true busy=action.pending()>
                    "Set password"
                </Button>
            </ActionForm>
            <p class="t2 gap-above">"You are signed out everywhere by this, and sign in with the new password."</p>
        </AuthFrame>
    }
    .into_any()
}

#[component]
fn Refused(error: ApiError) -> impl IntoView {
    let text = if error.code() == wire::ErrorCode::NotFound {
        "This link was used, has ended or was taken back. Each works once.".to_owned()
    } else {
        error.to_string()
    };
    view! {
        <AuthFrame title="New password" lead=Signal::from("The password stays as it is.".to_owned())>
            <AuthNote>{text}</AuthNote>
            <p class="t2 gap-above"><a href="/forgot">"Ask for a new link"</a></p>
        </AuthFrame>
    }
    .into_any()
}
