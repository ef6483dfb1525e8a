use leptos::prelude::*;
use leptos_meta::Title;
use wire::users::User;

use crate::{
    api::{
        ApiError,
        auth::{LogoutFn, UpdateMeFn},
    },
    components::{
        auth_frame::summary,
        budget_settings::MyBudgetCard,
        guard::Guarded,
        own_keys::OwnKeysCard,
        topbar::{Place, Topbar},
        usage_card::{UsageCard, Whose},
    },
    ui::{Button, ButtonKind, ErrorSummary, Icon, RelativeTime, TextField, ThemeChoice},
};

/// The person's own settings.
#[component]
pub fn SettingsPage() -> impl IntoView {
    let load = || async { Ok::<_, ApiError>(()) };
    let render = |user: User, _: Result<(), ApiError>| view! { <Settings user=user /> }.into_any();
    view! {
        <Title text="Settings" />
        <div class="page">
            <Guarded load=load render=render />
        </div>
    }
    .into_any()
}

#[component]
fn Settings(user: User) -> impl IntoView {
    view! {
        <Topbar user=user.clone() place=Place::Settings />
        <main class="wrap" id="main" tabindex="-1">
            <div class="page-head">
                <h1>"Settings"</h1>
            </div>
            <div class="settings">
                <Profile user=user />
                <section class="card">
                    <div class="card-head">
                        <h2>"Appearance"</h2>
                    </div>
                    <div>
                        <div class="row wrap-row">
                            <span class="grow">
                                <b class="medium">"Theme"</b>
                                <p class="hint">"System follows your computer. The choice is kept in this browser."</p>
                            </span>
                            <ThemeChoice />
                        </div>
                    </div>
                </section>
                <OwnKeysCard />
                <div id="usage" class="usage-place">
                    <MyBudgetCard />
                    <UsageCard whose=Whose::Mine />
                </div>
                <SignOut />
            </div>
        </main>
    }
    .into_any()
}

#[component]
fn Profile(user: User) -> impl IntoView {
    let action = ServerAction::<UpdateMeFn>::new();
    let error = Memo::new(move |_| action.value().get().and_then(Result::err));
    let saved = move || action.value().with(|value| matches!(value, Some(Ok(_))));
    let on_top = Signal::derive(move || error.get().map(|error| summary(&error, "Nothing was changed.")));
    let field = Signal::derive(move || error.with(|error| error.as_ref()?.field("full_name")));
    view! {
        <section class="card">
            <div class="card-head">
                <h2>"Profile"</h2>
            </div>
            <div>
                <dl class="kv">
                    <dt>"Username"</dt>
                    <dd>{user.username.clone()}</dd>
                    <dt>"E-mail"</dt>
                    <dd>{user.email.clone()}</dd>
                    <dt>"Role"</dt>
                    <dd>{if user.is_admin() { "Administrator" } else { "Member" }}</dd>
                    <dt>"Joined"</dt>
                    <dd>
                        <RelativeTime at=user.created_at class="nowrap" />
                    </dd>
                </dl>
                <ActionForm action=action attr:class="stack">
                    <ErrorSummary message=on_top />
                    <TextField
                        label="Full name"
                        name="request[full_name]"
                        value=user.full_name.unwrap_or_default()
                        error=field
                        hint="Shown to the people you share projects with."
                        autocomplete="name"
                        optional=true
                    />
                    <div class="acts">
                        <Button kind=ButtonKind::Primary submit=true busy=action.pending()>
                            "Save profile"
                        </Button>
                        <span role="status" class="row c-ok">
                            {move || saved().then(|| view! { <Icon name="check" small=true />"Saved" })}
                        </span>
                    </div>
                </ActionForm>
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn SignOut() -> impl IntoView {
    let action = ServerAction::<LogoutFn>::new();
    view! {
        <section class="card">
            <div class="card-head">
                <h2>"Session"</h2>
            </div>
            <ActionForm action=action>
                <div class="row wrap-row">
                    <span class="grow t2">"Ends this browser's session. Runs and agent turns go on."</span>
                    <Button submit=true icon="log-in" busy=action.pending()>
                        "Sign out"
                    </Button>
                </div>
            </ActionForm>
        </section>
    }
    .into_any()
}
