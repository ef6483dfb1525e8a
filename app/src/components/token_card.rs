//! The person's API tokens: what there are, a new one, and ending one.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    Micros, TokenId,
    projects::Project,
    tokens::{ApiToken, CreatedToken},
};

use super::{clipboard, token_form::TokenForm};
use crate::{
    api::{self, ApiError},
    ui::{
        Badge, BadgeKind, Button, ButtonKind, ButtonSize, Count, Dialog, DialogActions, Empty, Icon, PanelError, RelativeTime, Skeleton,
        focus::RowFocus, format, open_about, use_toasts,
    },
};

/// What the parts share.
#[derive(Clone, Copy)]
pub struct TokenDesk {
    pub tokens: RwSignal<Vec<ApiToken>>,
    pub projects: RwSignal<Vec<Project>>,
    pub is_admin: bool,
    /// The form for a new one is open.
    pub making: RwSignal<bool>,
    /// The secret of the one that was just made; told this once.
    pub made: RwSignal<Option<CreatedToken>>,
    problem: RwSignal<Option<String>>,
    revoking: RwSignal<Option<ApiToken>>,
}

#[component]
pub fn TokenCard(is_admin: bool) -> impl IntoView {
    // Two, each with one call: on the server a second call of one resource can find the request over, since pages are rendered in
    // several passes, and the browser would get its refusal in the place of what it shows.
    let tokens = Resource::new(|| (), |()| api::tokens::list());
    let projects = Resource::new(|| (), |()| api::projects::list());
    view! {
        <Suspense fallback=|| view! { <section class="card"><div><Skeleton lines=4 /></div></section> }>
            {move || Suspend::new(async move { view! { <Tokens first=tokens.await projects=projects.await is_admin=is_admin /> } })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn Tokens(first: Result<Vec<ApiToken>, ApiError>, projects: Result<Vec<Project>, ApiError>, is_admin: bool) -> impl IntoView {
    let (tokens, problem) = match first {
        Ok(tokens) => (tokens, projects.as_ref().err().map(ToString::to_string)),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let desk = TokenDesk {
        tokens: RwSignal::new(tokens),
        projects: RwSignal::new(projects.unwrap_or_default()),
        is_admin,
        making: RwSignal::new(false),
        made: RwSignal::new(None),
        problem: RwSignal::new(problem),
        revoking: RwSignal::new(None),
    };
    let none = move || desk.tokens.with(Vec::is_empty) && desk.problem.with(Option::is_none);
    let rows = RowFocus::new("#tokens", move || desk.tokens.track());
    view! {
        <section class="card" id="tokens" aria-labelledby="tokens-title">
            <div class="card-head">
                <h2 id="tokens-title">"API tokens"</h2>
                <Count value=Signal::derive(move || i64::try_from(desk.tokens.with(Vec::len)).unwrap_or(i64::MAX)) />
                <span class="grow"></span>
                <Button size=ButtonSize::Small icon="plus" on_click=move |_| desk.making.set(true)>
                    "New token"
                </Button>
            </div>
            <Show when=move || desk.problem.with(Option::is_some)>
                <div class="inset">
                    <PanelError title="This did not work" text=desk.problem.get().unwrap_or_default()>
                        <Button on_click=move |_| read_again(desk)>"Read the list again"</Button>
                    </PanelError>
                </div>
            </Show>
            <Show when=none>
                <NoTokens />
            </Show>
            <ul class="row-list" aria-label="Tokens" on:focusin=move |event| rows.note(&event)>
                <For each=move || desk.tokens.get() key=|token| (token.id, token.last_used_at) let:token>
                    <TokenRow desk=desk token=token />
                </For>
            </ul>
        </section>
        <TokenForm desk=desk />
        <Made desk=desk />
        <Revoke desk=desk />
    }
    .into_any()
}

fn read_again(desk: TokenDesk) {
    spawn_local(async move {
        let found = async { Ok::<_, ApiError>((api::projects::list().await?, api::tokens::list().await?)) }.await;
        match found {
            Ok((projects, tokens)) if desk.problem.try_set(None).is_none() => {
                desk.projects.set(projects);
                desk.tokens.set(tokens);
            }
            Ok(_) => {}
            Err(error) => drop(desk.problem.try_set(Some(error.to_string()))),
        }
    });
}

/// What programs send, with the address of this installation once the page knows it.
fn example(secret: &str, origin: &str) -> String {
    format!("curl -H \"Authorization: Bearer {secret}\" {origin}/api/projects")
}

fn use_origin() -> RwSignal<String> {
    let origin = RwSignal::new("https://this-server".to_owned());
    Effect::new(move |_| {
        if let Ok(own) = window().location().origin() {
            origin.set(own);
        }
    });
    origin
}

#[component]
fn NoTokens() -> impl IntoView {
    let origin = use_origin();
    view! {
        <div class="inset">
            <Empty
                title="No tokens yet"
                text="A token lets a program of yours work with this installation: a script, a build, an editor. It can do what you may, as far as you let it, and nothing about your account itself."
            />
            <pre class="code-line" tabindex="0" role="group" aria-label="Example">
                <code>{move || example("cxd_…", &origin.get())}</code>
            </pre>
            <p class="hint">
                "Every call is described in the " <a href="/api/docs" rel="external">"documentation of the API"</a> "."
            </p>
        </div>
    }
    .into_any()
}

/// Names of the projects that a token reaches; those that are gone are counted.
fn reach(token: &ApiToken, projects: &[Project]) -> String {
    let Some(ids) = &token.projects else { return "All projects".to_owned() };
    let names: Vec<&str> = projects.iter().filter(|project| ids.contains(&project.id)).map(|project| project.name.as_str()).collect();
    let gone = ids.len() - names.len();
    match (names.is_empty(), gone) {
        (false, 0) => names.join(", "),
        (true, _) => "Projects that you can't reach any more".to_owned(),
        (false, gone) => format!("{}, and {gone} that you can't reach any more", names.join(", ")),
    }
}

/// When it ends, with a warning where that is soon or never.
fn ending(token: &ApiToken, now: Micros) -> AnyView {
    match token.expires_at {
        None => view! { <Badge kind=BadgeKind::Warning icon="triangle-alert">"Never ends"</Badge> }.into_any(),
        Some(end) if end <= now => view! { <Badge kind=BadgeKind::Bad icon="timer-off">"Ended"</Badge> }.into_any(),
        Some(end) => {
            view! { <Badge icon="clock">{format!("Until {}", end.to_rfc3339().chars().take(10).collect::<String>())}</Badge> }.into_any()
        }
    }
}

#[component]
fn TokenRow(desk: TokenDesk, token: ApiToken) -> impl IntoView {
    let row = StoredValue::new(token.clone());
    let reaches = {
        let token = token.clone();
        move || desk.projects.with(|projects| reach(&token, projects))
    };
    let used = match (token.last_used_at, token.last_used_from.clone()) {
        (None, _) => view! { "never used" }.into_any(),
        (Some(at), None) => view! { "last used " <RelativeTime at=at /> }.into_any(),
        (Some(at), Some(from)) => view! { "last used " <RelativeTime at=at /> " from " <span class="mono">{from}</span> }.into_any(),
    };
    view! {
        <li data-token=token.id.to_string()>
            <Icon name="key-round" />
            <span class="grow stack-tight">
                <span class="row wrap-row">
                    <b class="medium">{token.name.clone()}</b>
                    <code class="fs12">{format!("{}…", token.prefix)}</code>
                    {ending(&token, format::now())}
                </span>
                <span class="row wrap-row">
                    {token.scopes.iter().copied().map(|scope| view! { <Badge>{scope.word()}</Badge> }).collect_view()}
                    <span class="t2 fs12">{reaches}</span>
                </span>
                <span class="t3 fs12">"Made " <RelativeTime at=token.created_at /> ", " {used}</span>
            </span>
            <Button
                size=ButtonSize::Small
                kind=ButtonKind::Danger
                attr:aria-label=format!("Revoke {}", token.name)
                on_click=move |_| desk.revoking.set(Some(row.get_value()))
            >
                "Revoke"
            </Button>
        </li>
    }
    .into_any()
}

/// The secret, once.
#[component]
fn Made(desk: TokenDesk) -> impl IntoView {
    let toasts = use_toasts();
    let open = open_about(desk.made);
    let origin = use_origin();
    let secret = Memo::new(move |_| desk.made.with(|made| made.as_ref().map(|made| made.secret.clone()).unwrap_or_default()));
    let title =
        Signal::derive(move || desk.made.with(|made| made.as_ref().map(|made| format!("Token {}", made.token.name)).unwrap_or_default()));
    view! {
        <Dialog open=open title=title>
            <p class="t2">"Copy it now. It is kept as a checksum only, so nobody can show it again."</p>
            <div class="secret">
                <input class="input mono" readonly=true aria-label="Secret of the token" prop:value=move || secret.get() />
                <Button icon="clipboard" attr:autofocus=true on_click=move |_| clipboard::copy(secret.get_untracked(), "token", toasts)>
                    "Copy"
                </Button>
            </div>
            <p class="hint">"Programs send it with every call:"</p>
            <pre class="code-line" tabindex="0" role="group" aria-label="Example">
                <code>{move || example("$TOKEN", &origin.get())}</code>
            </pre>
            <div class="acts end">
                <Button kind=ButtonKind::Primary on_click=move |_| open.set(false)>
                    "I have kept it"
                </Button>
            </div>
        </Dialog>
    }
    .into_any()
}

#[component]
fn Revoke(desk: TokenDesk) -> impl IntoView {
    let toasts = use_toasts();
    let open = open_about(desk.revoking);
    let busy = RwSignal::new(false);
    let go = move |_| {
        let Some(token) = desk.revoking.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        busy.set(true);
        spawn_local(async move {
            let done = api::tokens::revoke(token.id).await;
            if busy.try_set(false).is_some() {
                return;
            }
            open.set(false);
            match done {
                Ok(()) => {
                    forget(desk, token.id);
                    toasts.show(format!("The token {} was revoked", token.name));
                }
                Err(error) => desk.problem.set(Some(error.to_string())),
            }
        });
    };
    let title = Signal::derive(move || {
        desk.revoking.with(|token| token.as_ref().map(|token| format!("Revoke {}", token.name)).unwrap_or_default())
    });
    view! {
        <Dialog open=open title=title locked=busy>
            <p class="t2">"Whatever uses it is refused from its next call on, and what it has open ends within seconds. It can't be brought back."</p>
            <DialogActions open=open kind=ButtonKind::Danger busy=busy on_click=go>
                "Revoke the token"
            </DialogActions>
        </Dialog>
    }
    .into_any()
}

fn forget(desk: TokenDesk, id: TokenId) {
    desk.problem.set(None);
    desk.tokens.update(|tokens| tokens.retain(|token| token.id != id));
}
