//! Who the person is to others.

use leptos::prelude::*;
use wire::users::User;

use super::auth_frame::summary;
use crate::{
    api::auth::UpdateMeFn,
    ui::{Button, ButtonKind, ErrorSummary, Icon, RelativeTime, TextField, format::initials},
};

/// Names and address. The form posts without a script, too.
#[component]
pub fn ProfileCard(user: User) -> impl IntoView {
    let action = ServerAction::<UpdateMeFn>::new();
    let error = Memo::new(move |_| action.value().get().and_then(Result::err));
    let saved = Memo::new(move |_| action.value().with(|value| matches!(value, Some(Ok(_)))));
    let before = StoredValue::new(user.clone());
    let now = Memo::new(move |_| action.value().with(|value| value.as_ref()?.as_ref().ok().cloned()).unwrap_or_else(|| before.get_value()));
    let on_top = Signal::derive(move || error.get().map(|error| summary(&error, "Nothing was changed.")));
    let field = move |name: &'static str| Signal::derive(move || error.with(|error| error.as_ref()?.field(name)));
    view! {
        <section class="card" aria-labelledby="profile-title">
            <div class="card-head">
                <h2 id="profile-title">"About you"</h2>
            </div>
            <div>
                <div class="who">
                    <span class="avatar avatar--l" aria-hidden="true">{move || now.with(|user| initials(user.display_name()))}</span>
                    <dl class="kv grow">
                        <dt>"Shown as"</dt>
                        <dd class="clip">{move || now.with(|user| user.display_name().to_owned())}</dd>
                        <dt>"Role"</dt>
                        <dd>{if user.is_admin() { "Administrator" } else { "Member" }}</dd>
                        <dt>"Joined"</dt>
                        <dd>
                            <RelativeTime at=user.created_at class="nowrap" />
                        </dd>
                    </dl>
                </div>
                <ActionForm action=action attr:class="stack">
                    <ErrorSummary message=on_top />
                    <TextField
                        label="Full name"
                        name="request[full_name]"
                        value=user.full_name.clone().unwrap_or_default()
                        error=field("full_name")
                        hint="Shown to the people you share projects with. The initials are made of it."
                        autocomplete="name"
                        optional=true
                    />
                    <TextField
                        label="Username"
                        name="request[username]"
                        value=user.username.clone()
                        error=field("username")
                        hint="You sign in with it, and others invite you by it."
                        autocomplete="username"
                    />
                    <TextField label="E-mail" name="request[email]" kind="email" value=user.email.clone() error=field("email") autocomplete="email" />
                    <TextField
                        label="Current password"
                        name="request[password]"
                        kind="password"
                        error=field("password")
                        hint="Only needed for another e-mail address."
                        autocomplete="current-password"
                        optional=true
                    />
                    <div class="acts">
                        <Button kind=ButtonKind::Primary submit=true busy=action.pending()>
                            "Save profile"
                        </Button>
                        <span role="status" class="row c-ok">
                            {move || saved.get().then(|| view! { <Icon name="check" small=true />"Saved" })}
                        </span>
                    </div>
                </ActionForm>
            </div>
        </section>
    }
    .into_any()
}
