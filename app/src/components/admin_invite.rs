//! Links that work once: invitations and new passwords, made and taken back.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    LinkId, Problem,
    links::{AccountLink, InviteUser, LinkKind, OneTimeLink},
    users::UserRole,
};

use super::{
    admin_list::{ListError, Remote},
    auth_frame::summary_of,
    clipboard,
};
use crate::{
    api,
    ui::{
        Button, ButtonKind, ButtonSize, Count, Dialog, DialogActions, Empty, ErrorSummary, Pager, PanelError, RelativeTime, SearchField,
        TextField, focus::RowFocus, open_about, use_toasts,
    },
};

const PAGE: usize = 25;

/// A link that was just made; it is told this once.
#[derive(Debug, Clone)]
pub struct ShownLink {
    pub title: String,
    pub link: OneTimeLink,
}

/// Shows `link` to be copied; open while there is one.
#[component]
pub fn LinkDialog(link: RwSignal<Option<ShownLink>>) -> impl IntoView {
    let toasts = use_toasts();
    let open = open_about(link);
    let title = Signal::derive(move || link.with(|link| link.as_ref().map(|link| link.title.clone()).unwrap_or_default()));
    let address = move || {
        let path = link.with(|link| link.as_ref().map(|link| link.link.url_path.clone()).unwrap_or_default());
        let origin = if cfg!(target_arch = "wasm32") { window().location().origin().unwrap_or_default() } else { String::new() };
        format!("{origin}{path}")
    };
    let note = move || {
        link.with(|link| {
            link.as_ref().map(|link| {
                let until = link.link.expires_at.to_rfc3339();
                let mailed = if link.link.mailed { "It is on its way by mail as well. " } else { "" };
                format!("{mailed}It works once, until {} {} UTC, and is shown only now.", &until[..10], &until[11..16])
            })
        })
    };
    view! {
        <Dialog open=open title=title>
            <p class="t2">{note}</p>
            <div class="field">
                <label for="f-one-time-link">"Link"</label>
                <input id="f-one-time-link" class="input mono" readonly=true prop:value=address />
            </div>
            <div class="acts end">
                <Button on_click=move |_| open.set(false)>"Close"</Button>
                <Button kind=ButtonKind::Primary icon="clipboard" on_click=move |_| clipboard::copy(untrack(address), "link", toasts)>
                    "Copy the link"
                </Button>
            </div>
        </Dialog>
    }
    .into_any()
}

/// Asks whom an invitation is for, and shows its link.
#[component]
pub fn InviteDialog(open: RwSignal<bool>, shown: RwSignal<Option<ShownLink>>, made: Callback<()>) -> impl IntoView {
    let busy = RwSignal::new(false);
    let email = RwSignal::new(String::new());
    let days = RwSignal::new("7".to_owned());
    let admin = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    Effect::new(move |_| {
        if open.get() {
            email.set(String::new());
            days.set("7".to_owned());
            admin.set(false);
            problem.set(None);
        }
    });
    let send = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let address = email.with_untracked(|email| email.trim().to_owned());
        let request = InviteUser {
            email: (!address.is_empty()).then(|| address.clone()),
            role: if admin.get_untracked() { UserRole::Admin } else { UserRole::User },
            days: days.with_untracked(|days| days.trim().parse().unwrap_or(0)),
        };
        busy.set(true);
        spawn_local(async move {
            let answer = api::links::invite(request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(link) => {
                    open.set(false);
                    made.run(());
                    let title = if address.is_empty() { "Invitation".to_owned() } else { format!("Invitation for {address}") };
                    shown.set(Some(ShownLink { title, link }));
                }
                Err(refused) => problem.set(Some(refused.0)),
            }
        });
    };
    let field = move |wanted: &'static str| Signal::derive(move || problem.with(|p| p.as_ref()?.field(wanted).map(str::to_owned)));
    let on_top = Signal::derive(move || problem.with(|p| p.as_ref().map(|p| summary_of(p, "No link was made."))));
    view! {
        <Dialog open=open title="Invite somebody" locked=busy>
            <form novalidate=true on:submit=send>
                <ErrorSummary message=on_top />
                <TextField
                    label="E-mail address"
                    name="invite-email"
                    kind="email"
                    bind=email
                    error=field("email")
                    hint="Only this address can use the link, and gets it where mail is set up. Empty: whoever has the link."
                    autocomplete="off"
                    optional=true
                    autofocus=true
                />
                <TextField label="Days that it lasts" name="invite-days" bind=days error=field("days") hint="1 to 90." autocomplete="off" />
                <label class="check">
                    <input type="checkbox" prop:checked=move || admin.get() on:change:target=move |ev| admin.set(ev.target().checked()) />
                    "The account administers this installation"
                </label>
                <DialogActions open=open busy=busy>"Make the link"</DialogActions>
            </form>
        </Dialog>
    }
    .into_any()
}

/// Links that still work. Nothing is shown while there are none.
#[component]
pub fn LinksCard(again: RwSignal<u32>) -> impl IntoView {
    let toasts = use_toasts();
    let key = Memo::new(move |_| again.get());
    let links = Remote::follow(None::<Vec<AccountLink>>, key, |_| api::links::list());
    let error = RwSignal::new(None::<String>);
    let going = RwSignal::new(None::<LinkId>);
    let revoke = move |id: LinkId| {
        error.set(None);
        going.set(Some(id));
        spawn_local(async move {
            let done = api::links::revoke(id).await;
            if going.try_set(None).is_some() {
                return;
            }
            match done {
                Ok(()) => toasts.show("The link works no more"),
                Err(refused) => error.set(Some(refused.to_string())),
            }
            // Used or taken back elsewhere, it is gone as well.
            links.reload();
        });
    };
    let rows = RowFocus::or_beyond("#links", "#users-title", move || links.shown.track());
    let search = RwSignal::new(String::new());
    let page = RwSignal::new(0_usize);
    let items = move || links.get().unwrap_or_default();
    let found = Memo::new(move |_| {
        let wanted = search.with(|text| text.trim().to_lowercase());
        items()
            .into_iter()
            .filter(|link| format!("{} {}", what_of(link), whom_of(link)).to_lowercase().contains(&wanted))
            .collect::<Vec<_>>()
    });
    let shown = move || found.with(|found| found.iter().skip(page.get() * PAGE).take(PAGE).cloned().collect::<Vec<_>>());
    let row = move |link: AccountLink| {
        let id = link.id;
        let (what, whom) = (what_of(&link), whom_of(&link));
        let role = link.role.map(|role| if role == UserRole::Admin { "Administrator" } else { "Member" });
        let label = format!("Take back the link for {whom}");
        view! {
            <tr role="row">
                <td role="cell">{what}</td>
                <td role="cell" data-label="For">{whom}</td>
                <td role="cell" data-label="Becomes">{role.unwrap_or("–")}</td>
                <td role="cell" data-label="Made by">{link.created_by.map(|user| user.name)}</td>
                <td role="cell" data-label="Made">
                    <RelativeTime at=link.created_at class="t2 nowrap" />
                </td>
                <td role="cell" data-label="Works until" class="t2 nowrap">{link.expires_at.to_rfc3339().chars().take(10).collect::<String>()}</td>
                <td role="cell" class="r actions-col">
                    <Button
                        size=ButtonSize::Small
                        title=label.clone()
                        busy=Signal::derive(move || going.get() == Some(id))
                        attr:aria-label=label
                        on_click=move |_| revoke(id)
                    >
                        "Take back"
                    </Button>
                </td>
            </tr>
        }
    };
    let failed = Memo::new(move |_| links.shown.with(|shown| shown.as_ref().and_then(|shown| shown.as_ref().err().cloned())));
    let failure = move || {
        failed.get().map(|reason| {
            view! {
                <section class="card inset" aria-label="Open invitations and links">
                    <PanelError title="Open invitations and links can't be shown" text=reason>
                        <Button on_click=move |_| links.retry()>"Try again"</Button>
                    </PanelError>
                </section>
            }
        })
    };
    view! {
        {failure}
        <Show when=move || links.shown.with(|shown| matches!(shown, Some(Ok(list)) if !list.is_empty()))>
            <section class="card" id="links" aria-labelledby="links-title">
                <div class="card-head">
                    <h2 id="links-title">"Open invitations and links"</h2>
                    <Count value=Signal::derive(move || format_len(items().len())) />
                    <span class="grow"></span>
                    <span class="head-search">
                        <SearchField label="Search links" bind=search />
                    </span>
                </div>
                <ListError error=error />
                <div
                    class="over"
                    tabindex="0"
                    role="group"
                    aria-label="Open invitations and links"
                    on:focusin=move |event| rows.note(&event)
                >
                    <table class="tbl tbl--bare tbl--cards" role="table">
                        <thead role="rowgroup">
                            <tr role="row">
                                <th scope="col" role="columnheader">"What"</th>
                                <th scope="col" role="columnheader">"For"</th>
                                <th scope="col" role="columnheader">"Becomes"</th>
                                <th scope="col" role="columnheader">"Made by"</th>
                                <th scope="col" role="columnheader">"Made"</th>
                                <th scope="col" role="columnheader">"Works until"</th>
                                <th scope="col" role="columnheader">
                                    <span class="sr">"Actions"</span>
                                </th>
                            </tr>
                        </thead>
                        <tbody role="rowgroup">
                            <For each=shown key=|link| link.id let:link>
                                {row(link)}
                            </For>
                        </tbody>
                    </table>
                </div>
                <Show when=move || found.with(Vec::is_empty)>
                    <div class="inset">
                        <Empty title="No link matches" text="What a link is for and whom it is for are searched." />
                    </div>
                </Show>
                <Pager page=page page_size=PAGE total=Signal::derive(move || found.with(Vec::len)) />
            </section>
        </Show>
    }
    .into_any()
}

fn what_of(link: &AccountLink) -> &'static str {
    match link.kind {
        LinkKind::Invitation => "Invitation",
        LinkKind::Reset => "New password",
    }
}

fn whom_of(link: &AccountLink) -> String {
    link.user.as_ref().map(|user| user.name.clone()).or_else(|| link.email.clone()).unwrap_or_else(|| "Whoever has it".to_owned())
}

fn format_len(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
