//! One account as administrators see it.

use leptos::prelude::*;
use wire::{
    UserId,
    admin::{AdminProject, UserDetail},
    users::User,
};

use super::{
    admin_list::{ListError, Place, Remote},
    quota_meters::{KeptMeters, Measure, QuotaMeter},
    share_desk::visibility_label,
    users_table::{PATH, SecondFactor, StateBadge, UserActs, UserDialogs, UserMenuButton},
};
use crate::{
    api,
    ui::{Badge, BadgeKind, Button, Empty, Icon, PanelError, RelativeTime, Skeleton, format},
};

/// What is known of the account that the address names under `user`.
#[component]
pub fn UserPanel(id: UserId, first: Option<UserDetail>, me: UserId) -> impl IntoView {
    let place = Place::here(PATH);
    let key = Memo::new(move |_| id);
    let detail = Remote::follow(first, key, api::admin::user);
    let acts = UserActs::new(me, Callback::new(move |_: User| detail.reload()), Callback::new(move |()| detail.reload()));
    // The dialog of limits closes by itself; what it changed is read again then.
    Effect::new(move |was_open: Option<bool>| {
        let open = acts.storage_of.with(Option::is_some);
        if was_open == Some(true) && !open {
            detail.reload();
        }
        open
    });
    // The parts stay the same elements while the account changes, so that the focus stays where it is.
    let outcome = Memo::new(move |_| detail.shown.with(|shown| shown.as_ref().map(|shown| shown.as_ref().err().cloned())));
    let body = move || match outcome.get() {
        None => view! { <div class="inset"><Skeleton lines=8 /></div> }.into_any(),
        Some(Some(reason)) => view! {
            <div class="inset">
                <PanelError title="This account can't be shown" text=reason>
                    <Button on_click=move |_| detail.retry()>"Try again"</Button>
                </PanelError>
            </div>
        }
        .into_any(),
        Some(None) => untrack(|| detail.get()).map(|found| view! { <Facts first=found remote=detail acts=acts /> }).into_any(),
    };
    view! {
        <p>
            <a class="row" href=move || place.href(&[("user", None)])>
                <Icon name="undo-2" small=true />
                "All users"
            </a>
        </p>
        <ListError error=acts.error />
        {body}
        <UserDialogs acts=acts />
    }
    .into_any()
}

#[component]
fn Facts(first: UserDetail, remote: Remote<UserDetail>, acts: UserActs) -> impl IntoView {
    let id = first.user.user.id;
    let detail = Memo::new(move |before: Option<&UserDetail>| remote.get().or_else(|| before.cloned()).unwrap_or_else(|| first.clone()));
    let item = Signal::derive(move || detail.with(|detail| detail.user.clone()));
    let name = Memo::new(move |_| detail.with(|detail| detail.user.user.display_name().to_owned()));
    let state = Memo::new(move |_| detail.with(|detail| detail.user.user.state));
    view! {
        <section class="card" aria-labelledby="user-title">
            <div class="card-head">
                <h2 id="user-title">{move || name.get()}</h2>
                {move || view! { <StateBadge state=state.get() /> }}
                <span class="grow"></span>
                <UserMenuButton item=item acts=acts />
            </div>
            {move || view! { <Values detail=detail.get() /> }}
            <p class="inset row wrap-row fs12">
                <a href=format!("/admin/audit?user={id}")>"Audit log of this person"</a>
                <a href=format!("/admin/jobs?user={id}")>"Jobs of this person"</a>
                <a href=format!("/admin/projects?owner={id}")>"Projects of this person"</a>
            </p>
        </section>
        {move || view! { <Owned owned=detail.with(|detail| detail.owned.clone()) /> }}
    }
    .into_any()
}

#[component]
fn Values(detail: UserDetail) -> impl IntoView {
    let UserDetail { user: item, quota, sessions, tokens, .. } = detail;
    let user = item.user;
    let (bytes, files) = (quota.bytes, quota.files);
    view! {
        <dl class="kv inset">
            <dt>"Username"</dt>
            <dd>{user.username.clone()}</dd>
            <dt>"E-mail"</dt>
            <dd>{user.email.clone()}</dd>
            <dt>"Role"</dt>
            <dd>{if user.is_admin() { "Administrator" } else { "Member" }}</dd>
            <dt>"Second factor"</dt>
            <dd>
                <SecondFactor on=item.second_factor />
            </dd>
            <dt>"Signed in"</dt>
            <dd>{format::counted(sessions, "session", "sessions")}</dd>
            <dt>"API tokens"</dt>
            <dd>{format::count(tokens)}</dd>
            <dt>"Joined"</dt>
            <dd>
                <RelativeTime at=user.created_at class="" />
            </dd>
            <dt>"Last seen"</dt>
            <dd>
                {match user.last_seen_at {
                    Some(at) => view! { <RelativeTime at=at class="" /> }.into_any(),
                    None => "never".into_any(),
                }}
            </dd>
            <dt>"Models this month"</dt>
            <dd>{format::money(item.cost_micros)}</dd>
        </dl>
        <div class="inset quotas">
            <QuotaMeter label="Files" used=Signal::derive(move || bytes) measure=Measure::Bytes />
            <QuotaMeter label="Number of files" used=Signal::derive(move || files) measure=Measure::Pieces("files") />
            <KeptMeters used=[quota.versions, quota.checkpoints, quota.all_projects] />
        </div>
    }
    .into_any()
}

#[component]
fn Owned(owned: Vec<AdminProject>) -> impl IntoView {
    view! {
        <section class="card" aria-labelledby="owned-title">
            <div class="card-head">
                <h2 id="owned-title">"Projects that the person owns"</h2>
            </div>
            {if owned.is_empty() {
                view! {
                    <div class="inset">
                        <Empty title="No projects" text="Projects that this person makes or is given are listed here." />
                    </div>
                }
                    .into_any()
            } else {
                view! {
                    <div class="over" tabindex="0" role="group" aria-label="Projects of this person">
                        <table class="tbl tbl--bare">
                            <thead>
                                <tr>
                                    <th scope="col">"Name"</th>
                                    <th scope="col">"Visibility"</th>
                                    <th scope="col" class="r">"Files"</th>
                                    <th scope="col" class="r">"Size"</th>
                                    <th scope="col">"Last activity"</th>
                                </tr>
                            </thead>
                            <tbody>
                                {owned
                                    .into_iter()
                                    .map(|project| {
                                        view! {
                                            <tr>
                                                <th scope="row">
                                                    <a class="plain" href=format!("/admin/projects?q={}", project.id)>{project.name}</a>
                                                    " "
                                                    {project.deleted_at.map(|_| view! { <Badge kind=BadgeKind::Bad icon="trash-2">"Deleted"</Badge> })}
                                                </th>
                                                <td>{visibility_label(project.visibility)}</td>
                                                <td class="r num">{format::count(project.file_count)}</td>
                                                <td class="r num nowrap">{format::bytes(project.size_bytes)}</td>
                                                <td>
                                                    <RelativeTime at=project.updated_at class="t2 nowrap" />
                                                </td>
                                            </tr>
                                        }
                                    })
                                    .collect_view()}
                            </tbody>
                        </table>
                    </div>
                }
                    .into_any()
            }}
        </section>
    }
    .into_any()
}
