//! Who an account is elsewhere: what is linked, linking more, and taking one off.

use leptos::{ev, prelude::*, task::spawn_local};
use leptos_router::hooks::use_query_map;
use wire::{
    Problem,
    identities::{IdentitiesView, Identity, IdentityProvider, LinkIdentity, SignInProvider},
};

use super::{
    identity_buttons::read_trouble,
    second_factor_card::{clear_when_closed, field, on_top},
};
use crate::{
    api,
    ui::{
        Badge, BadgeKind, Button, ButtonKind, Dialog, DialogActions, ErrorSummary, Icon, PanelError, RelativeTime, Skeleton, TextField,
        focus::RowFocus, open_about, use_toasts,
    },
};

/// For the section about security. Without the browser half it shows what there is.
#[component]
pub fn IdentitiesCard() -> impl IntoView {
    let loaded = Resource::new(|| (), |()| api::identities::mine());
    view! {
        <section class="card" id="identities" aria-labelledby="identities-title">
            <div class="card-head">
                <h2 id="identities-title">"Sign-in providers"</h2>
            </div>
            <div>
                <Suspense fallback=|| view! { <Skeleton lines=2 /> }>
                    {move || Suspend::new(async move {
                        match loaded.await {
                            Ok(view) => view! { <Identities view=view /> }.into_any(),
                            Err(error) => {
                                view! {
                                    <PanelError title="This can't be shown" text=error.to_string()>
                                        <Button on_click=move |_| loaded.refetch()>"Try again"</Button>
                                    </PanelError>
                                }
                                    .into_any()
                            }
                        }
                    })}
                </Suspense>
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn Identities(view: IdentitiesView) -> impl IntoView {
    let IdentitiesView { identities, offers, has_password } = view;
    let failure = RwSignal::new(None::<String>);
    let removal = RwSignal::new(None::<Identity>);
    let linking = RwSignal::new(None::<SignInProvider>);
    let is_empty_page = identities.is_empty() && offers.is_empty();
    let (trouble, linked) = use_query_map().with_untracked(|query| {
        let linked = query.get("linked").and_then(|word| IdentityProvider::of_word(&word));
        let linked = linked.and_then(|linked| offers.iter().find(|offered| offered.provider == linked)).map(|offered| offered.name.clone());
        (read_trouble(query, &offers), linked)
    });
    let identities = RwSignal::new(identities);
    let rows = RowFocus::new("#identities", move || identities.track());
    view! {
        {trouble
            .map(|sentence| {
                view! {
                    <div class="errsum" role="alert">
                        <Icon name="circle-alert" />
                        <span>{sentence}</span>
                    </div>
                }
            })}
        {linked.map(|name| view! { <p class="hint" role="status">{format!("{name} is linked. You can sign in with it from now on.")}</p> })}
        <Show when=move || failure.with(Option::is_some)>
            <p class="err" role="alert">
                <Icon name="circle-alert" small=true />
                <span>{move || failure.get()}</span>
            </p>
        </Show>
        {if is_empty_page {
            view! {
                <p class="t2">
                    "People sign in here with a password or a passkey. An administrator can set up GitHub or a single sign-on besides."
                </p>
            }
                .into_any()
        } else {
            view! { <p class="hint">"Who is signed in there gets into this account without its password. Link only what you alone use."</p> }.into_any()
        }}
        <ul class="identity-list" on:focusin=move |event| rows.note(&event)>
            <For each=move || identities.get() key=|identity| identity.id let:identity>
                <IdentityRow identity=identity removal=removal />
            </For>
        </ul>
        <Offers offers=offers linking=linking />
        <LinkDialog linking=linking has_password=has_password />
        <UnlinkDialog removal=removal identities=identities failure=failure />
    }
    .into_any()
}

#[component]
fn IdentityRow(identity: Identity, removal: RwSignal<Option<Identity>>) -> impl IntoView {
    let label = format!("Unlink {} at {}", identity.name, identity.provider_name);
    let row = StoredValue::new(identity.clone());
    let email = identity.email.clone().filter(|email| *email != identity.name);
    view! {
        <li>
            <span class="grow stack-tight">
                <span class="row wrap-row">
                    <b class="medium">{identity.provider_name.clone()}</b>
                    {(!identity.usable).then(|| view! { <Badge kind=BadgeKind::Warning>"not set up any more"</Badge> })}
                </span>
                <span class="t2">
                    {identity.name.clone()} {email.map(|email| format!(" · {email}"))}
                </span>
                <span class="t3 fs12">
                    "linked " <RelativeTime at=identity.created_at />
                    {match identity.last_used_at {
                        Some(at) => view! { <span>", last used "<RelativeTime at=at /></span> }.into_any(),
                        None => ", never used".into_any(),
                    }}
                </span>
            </span>
            <Button kind=ButtonKind::Danger attr:aria-label=label on_click=move |_| removal.set(Some(row.get_value()))>
                "Unlink"
            </Button>
        </li>
    }
    .into_any()
}

#[component]
fn Offers(offers: Vec<SignInProvider>, linking: RwSignal<Option<SignInProvider>>) -> impl IntoView {
    let buttons = offers
        .into_iter()
        .map(|offer| {
            let label = format!("Link {}", offer.name);
            view! {
                <Button icon="link" on_click=move |_| linking.set(Some(offer.clone()))>
                    {label}
                </Button>
            }
        })
        .collect_view();
    view! { <div class="acts">{buttons}</div> }.into_any()
}

/// Linking gives a way into the account that stays, so it asks for the password where there is one.
#[component]
fn LinkDialog(linking: RwSignal<Option<SignInProvider>>, has_password: bool) -> impl IntoView {
    let open = open_about(linking);
    let password = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    clear_when_closed(open, problem, vec![password]);
    let link = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(offer) = linking.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        let request = LinkIdentity { provider: offer.provider, password: password.get_untracked() };
        spawn_local(async move {
            let begun = api::identities::begin_link(request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match begun {
                Ok(start) if go_to(&start.href) => open.set(false),
                Ok(_) => problem.set(Some(Problem::new(wire::ErrorCode::Internal, "The provider's page can't be opened. Try again."))),
                // Without the field there is no other place to tell it.
                Err(error) => problem.set(Some(if has_password { error.0 } else { without_fields(error.0) })),
            }
        });
    };
    let title = Signal::derive(move || linking.with(|offer| format!("Link {}", offer.as_ref().map_or("", |offer| &offer.name))));
    view! {
        <Dialog open=open title=title locked=busy>
            <form novalidate=true on:submit=link>
                <ErrorSummary message=on_top(problem) />
                <p class="t2">"You go there to sign in, and come back here. From then on it opens this account too."</p>
                {has_password
                    .then(|| {
                        view! {
                            <TextField
                                label="Your password"
                                name="link_password"
                                kind="password"
                                bind=password
                                error=field(problem, "password")
                                autocomplete="current-password"
                                autofocus=true
                            />
                        }
                    })}
                <DialogActions open=open busy=busy>
                    "Continue"
                </DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

fn without_fields(mut problem: Problem) -> Problem {
    if let Some(field) = problem.fields.pop() {
        problem.detail = field.message;
    }
    problem.fields.clear();
    problem
}

/// Leaves the app for an address of this site that is no page of it.
fn go_to(href: &str) -> bool {
    window().location().assign(href).is_ok()
}

#[component]
fn UnlinkDialog(
    removal: RwSignal<Option<Identity>>,
    identities: RwSignal<Vec<Identity>>,
    failure: RwSignal<Option<String>>,
) -> impl IntoView {
    let toasts = use_toasts();
    let open = open_about(removal);
    let busy = RwSignal::new(false);
    let unlink = move |_| {
        let Some(identity) = removal.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        failure.set(None);
        spawn_local(async move {
            let left = api::identities::unlink(identity.id).await;
            if busy.try_set(false).is_some() {
                return;
            }
            open.set(false);
            match left {
                Ok(view) => {
                    identities.set(view.identities);
                    toasts.show(format!("{} was unlinked", identity.provider_name));
                }
                Err(error) => failure.set(Some(error.to_string())),
            }
        });
    };
    let question = move || {
        removal.with(|identity| {
            let name = identity.as_ref().map(|identity| format!("{} at {}", identity.name, identity.provider_name)).unwrap_or_default();
            format!("Signing in as {name} no longer gets into this account. You can link it again later.")
        })
    };
    view! {
        <Dialog open=open title="Unlink this identity" locked=busy>
            <p class="t2">{question}</p>
            <DialogActions open=open kind=ButtonKind::Danger busy=busy on_click=unlink>
                "Unlink"
            </DialogActions>
        </Dialog>
    }
    .into_any()
}
