//! A new password.

use leptos::{html, prelude::*};

use super::auth_frame::summary;
use crate::{
    api::auth::ChangePasswordFn,
    ui::{Button, ButtonKind, ErrorSummary, Icon, TextField},
};

/// The form posts without a script, too.
#[component]
pub fn PasswordCard(username: String) -> impl IntoView {
    let action = ServerAction::<ChangePasswordFn>::new();
    let error = Memo::new(move |_| action.value().get().and_then(Result::err));
    let saved = Memo::new(move |_| action.value().with(|value| matches!(value, Some(Ok(())))));
    let on_top = Signal::derive(move || error.get().map(|error| summary(&error, "Your password is as it was.")));
    let field = move |name: &'static str| Signal::derive(move || error.with(|error| error.as_ref()?.field(name)));
    let node = NodeRef::<html::Div>::new();
    // What was typed is of no use any more, and should not stand on an unlocked screen.
    Effect::new(move |_| {
        let Some(fields) = node.get().filter(|_| saved.get()) else { return };
        let form = fields.closest("form").ok().flatten();
        if let Some(form) = form.and_then(|form| leptos::wasm_bindgen::JsCast::dyn_into::<leptos::web_sys::HtmlFormElement>(form).ok()) {
            form.reset();
        }
    });
    view! {
        <section class="card" aria-labelledby="password-title">
            <div class="card-head">
                <h2 id="password-title">"Password"</h2>
            </div>
            <ActionForm action=action attr:class="stack">
                <ErrorSummary message=on_top />
                // Password managers keep the new password under the right name by it.
                <input type="hidden" autocomplete="username" value=username />
                <div class="stack" node_ref=node>
                    <TextField
                        label="Current password"
                        name="request[current_password]"
                        kind="password"
                        error=field("current_password")
                        hint="Leave it empty if your account has no password yet."
                        autocomplete="current-password"
                    />
                    <TextField
                        label="New password"
                        name="request[new_password]"
                        kind="password"
                        error=field("new_password")
                        hint="8 characters or more. Your other sessions end when it changes."
                        autocomplete="new-password"
                    />
                </div>
                <div class="acts">
                    <Button kind=ButtonKind::Primary submit=true busy=action.pending()>
                        "Change password"
                    </Button>
                    <span role="status" class="row c-ok">
                        {move || saved.get().then(|| view! { <Icon name="check" small=true />"Changed. Your other sessions have ended." })}
                    </span>
                </div>
            </ActionForm>
        </section>
    }
    .into_any()
}
