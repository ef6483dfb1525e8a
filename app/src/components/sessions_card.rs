//! Where the person is signed in, and ending that.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    SessionId,
    sessions::{Session, SessionKind},
};

use crate::{
    api::{
        self, ApiError,
        auth::{LogoutEverywhereFn, LogoutFn},
    },
    ui::{
        Badge, BadgeKind, Button, ButtonKind, ButtonSize, Count, Dialog, DialogActions, Icon, PanelError, RelativeTime, Skeleton,
        focus::RowFocus, format, use_toasts,
    },
};

#[component]
pub fn SessionsCard() -> impl IntoView {
    let first = Resource::new(|| (), |()| api::sessions::list());
    view! {
        <Suspense fallback=|| view! { <section class="card"><div><Skeleton lines=4 /></div></section> }>
            {move || Suspend::new(async move { view! { <Sessions first=first.await /> } })}
        </Suspense>
        <SignOut />
    }
    .into_any()
}

#[component]
fn Sessions(first: Result<Vec<Session>, ApiError>) -> impl IntoView {
    let toasts = use_toasts();
    let (list, problem) = match first {
        Ok(list) => (list, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let list = RwSignal::new(list);
    let problem = RwSignal::new(problem);
    let asking = RwSignal::new(false);
    let busy = RwSignal::new(false);
    let rows = RowFocus::new("#sessions", move || list.track());
    let others = Memo::new(move |_| list.with(|list| list.iter().filter(|session| !session.current).count()));
    let read = move || {
        spawn_local(async move {
            match api::sessions::list().await {
                Ok(found) => {
                    list.try_set(found);
                    problem.try_set(None);
                }
                Err(error) => {
                    problem.try_set(Some(error.to_string()));
                }
            }
        });
    };
    let revoke = Callback::new(move |session: Session| {
        spawn_local(async move {
            match api::sessions::revoke(session.id).await {
                Ok(()) => {
                    list.try_update(|list| list.retain(|row| row.id != session.id));
                    problem.try_set(None);
                    toasts.show(format!("Signed out: {}", session.device));
                }
                Err(error) => {
                    problem.try_set(Some(error.to_string()));
                    read();
                }
            }
        });
    });
    let revoke_others = move |_| {
        busy.set(true);
        spawn_local(async move {
            let done = api::sessions::revoke_others().await;
            busy.try_set(false);
            asking.try_set(false);
            match done {
                Ok(done) => {
                    toasts.show(format!("Signed out everywhere else: {}", format::counted(i64::from(done.ended), "session", "sessions")))
                }
                Err(error) => {
                    problem.try_set(Some(error.to_string()));
                }
            }
            read();
        });
    };
    view! {
        <section class="card" id="sessions" aria-labelledby="sessions-title">
            <div class="card-head">
                <h2 id="sessions-title">"Where you are signed in"</h2>
                <Count value=Signal::derive(move || i64::try_from(list.with(Vec::len)).unwrap_or(i64::MAX)) />
                <span class="grow"></span>
                <Show when=move || { others.get() > 0 }>
                    <Button size=ButtonSize::Small on_click=move |_| asking.set(true)>
                        "Sign out everywhere else"
                    </Button>
                </Show>
            </div>
            <Show when=move || problem.with(Option::is_some)>
                <div class="inset">
                    <PanelError title="This did not work" text=problem.get().unwrap_or_default()>
                        <Button on_click=move |_| read()>"Read the list again"</Button>
                    </PanelError>
                </div>
            </Show>
            <ul class="row-list" aria-label="Sessions" on:focusin=move |event| rows.note(&event)>
                <For each=move || list.get() key=|session| (session.id, session.last_seen_at) let:session>
                    <SessionRow session=session revoke=revoke />
                </For>
            </ul>
        </section>
        <Dialog open=asking title="Sign out everywhere else" locked=busy>
            <p class="t2">
                {move || {
                    format!(
                        "{} will have to sign in again. This one stays. Runs and agent turns go on.",
                        format::counted(i64::try_from(others.get()).unwrap_or(i64::MAX), "other session", "other sessions"),
                    )
                }}
            </p>
            <DialogActions open=asking kind=ButtonKind::Danger busy=busy on_click=revoke_others>
                "Sign out the others"
            </DialogActions>
        </Dialog>
    }
    .into_any()
}

#[component]
fn SessionRow(session: Session, revoke: Callback<Session>) -> impl IntoView {
    let (icon, kind) = match session.kind {
        SessionKind::Browser => ("layout-dashboard", ""),
        SessionKind::Client => ("terminal", "Program, by an access token"),
    };
    let id: SessionId = session.id;
    let row = StoredValue::new(session.clone());
    let address = session.address.clone().unwrap_or_else(|| "Unknown address".to_owned());
    view! {
        <li data-session=id.to_string()>
            <Icon name=icon />
            <span class="grow stack-tight">
                <span class="row wrap-row">
                    <b class="medium">{session.device.clone()}</b>
                    {session.current.then(|| view! { <Badge kind=BadgeKind::Ok icon="check">"This one"</Badge> })}
                    {(!kind.is_empty()).then(|| view! { <Badge>{kind}</Badge> })}
                </span>
                <span class="t3 fs12">
                    <span class="mono">{address}</span>
                    ", signed in "
                    <RelativeTime at=session.created_at />
                    ", last seen "
                    <RelativeTime at=session.last_seen_at />
                </span>
            </span>
            {(!session.current)
                .then(|| {
                    view! {
                        <Button
                            size=ButtonSize::Small
                            attr:aria-label=format!("Sign out {}", session.device)
                            on_click=move |_| revoke.run(row.get_value())
                        >
                            "Sign out"
                        </Button>
                    }
                })}
        </li>
    }
    .into_any()
}

#[component]
fn SignOut() -> impl IntoView {
    let action = ServerAction::<LogoutFn>::new();
    let everywhere = ServerAction::<LogoutEverywhereFn>::new();
    let asking = RwSignal::new(false);
    let busy = everywhere.pending();
    let refused = Memo::new(move |_| everywhere.value().get().and_then(Result::err).map(|error| error.to_string()));
    view! {
        <section class="card" aria-labelledby="session-title">
            <div class="card-head">
                <h2 id="session-title">"This browser"</h2>
                <span class="grow"></span>
                <Button size=ButtonSize::Small on_click=move |_| asking.set(true)>
                    "Sign out everywhere"
                </Button>
            </div>
            <ActionForm action=action>
                <div class="row wrap-row">
                    <span class="grow t2">"Ends this browser's session. Runs and agent turns go on."</span>
                    <Button submit=true icon="log-out" busy=action.pending()>
                        "Sign out"
                    </Button>
                </div>
            </ActionForm>
        </section>
        <Dialog open=asking title="Sign out everywhere" locked=busy>
            <p class="t2">
                "Every session ends, this one too, and you go to the sign-in page. Runs and agent turns go on, and so do API tokens: revoke those under Tokens."
            </p>
            <Show when=move || refused.with(Option::is_some)>
                <p class="t2" role="alert">{move || refused.get().unwrap_or_default()}</p>
            </Show>
            <DialogActions
                open=asking
                kind=ButtonKind::Danger
                busy=busy
                on_click=move |_| {
                    everywhere.dispatch(LogoutEverywhereFn {});
                }
            >
                "Sign out everywhere"
            </DialogActions>
        </Dialog>
    }
    .into_any()
}
