//! Where a project's people see that an administrator opened it, and why.

use std::time::Duration;

use leptos::prelude::*;
use wire::{
    Micros, ProjectId,
    admin::AdminAccess,
    event::{EventKind, Stream},
};

use super::{admin_list::Remote, ide::use_ide};
use crate::{
    api,
    ui::{Badge, BadgeKind, Banner, Button, PanelError, Skeleton, format},
};

/// The notice in the open project, for as long as somebody looks.
#[component]
pub fn AdminAccessNotice() -> impl IntoView {
    let ide = use_ide();
    let (id, changed) = (ide.project_id, RwSignal::new(0_u32));
    let key = Memo::new(move |_| changed.get());
    let accesses = Remote::follow(None::<Vec<AdminAccess>>, key, move |_| api::admin::accesses(id));
    let now = use_minutes();
    Effect::new(move |_| {
        let after = ide.tree.with_untracked(|tree| tree.seq);
        let follow = ide.live.follow(Stream::Project(id), after, move |event| {
            if matches!(event.kind, EventKind::AdminAccessChanged {} | EventKind::StartOver {}) {
                changed.update(|n| *n += 1);
            }
        });
        follow.until_cleanup();
    });
    let open = move || {
        let now = now.get();
        let all = accesses.get().unwrap_or_default();
        all.into_iter().filter(|access| access.is_open(now)).collect::<Vec<_>>()
    };
    let notice = |access: AdminAccess| {
        let title = format!("An administrator, {}, opened this project until {}.", access.by.name, format::clock(access.until));
        let text = format!("They can read it and change nothing. Reason: {}", access.reason);
        view! { <Banner icon="eye" title=title text=text /> }
    };
    view! {
        <For each=open key=|access| (access.by.id, access.opened_at) let:access>
            {notice(access)}
        </For>
    }
    .into_any()
}

/// The time, once a minute: time alone ends an access too.
fn use_minutes() -> RwSignal<Micros> {
    let now = RwSignal::new(format::now());
    Effect::new(move |_| {
        let timer = set_interval_with_handle(
            move || {
                let _ = now.try_set(format::now());
            },
            Duration::from_secs(60),
        );
        on_cleanup(move || {
            if let Ok(timer) = timer {
                timer.clear();
            }
        });
    });
    now
}

/// Who opened the project, in its settings.
#[component]
pub fn AdminAccessCard(project: ProjectId) -> impl IntoView {
    let key = Memo::new(move |_| project);
    let accesses = Remote::follow(None::<Vec<AdminAccess>>, key, api::admin::accesses);
    let now = use_minutes();
    let row = move |access: AdminAccess| {
        let began = access.opened_at.to_rfc3339();
        let end = access.closed_at.unwrap_or(access.until);
        let is_open = {
            let access = access.clone();
            Memo::new(move |_| access.is_open(now.get()))
        };
        view! {
            <tr role="row">
                <td role="cell" class="nowrap">{format!("{} {} UTC", &began[..10], &began[11..16])}</td>
                <td role="cell" data-label="Who">{access.by.name}</td>
                <td role="cell" data-label="Reason" class="wrap-any">{access.reason}</td>
                <td role="cell" data-label="Until" class="nowrap">
                    {move || {
                        if is_open.get() {
                            view! { <Badge kind=BadgeKind::Warning icon="eye">"Open now"</Badge> }.into_any()
                        } else {
                            format!("{} UTC", end.to_rfc3339().get(11..16).unwrap_or_default()).into_any()
                        }
                    }}
                </td>
            </tr>
        }
    };
    let body = move || {
        match accesses.shown.get() {
        None => view! { <div class="inset"><Skeleton lines=2 /></div> }.into_any(),
        Some(Err(reason)) => view! {
            <div class="inset">
                <PanelError title="This can't be shown" text=reason>
                    <Button on_click=move |_| accesses.retry()>"Try again"</Button>
                </PanelError>
            </div>
        }
        .into_any(),
        Some(Ok(list)) if list.is_empty() => view! {
            <p class="inset t2">
                "No administrator has opened this project. Where they have to read one that is not theirs, they say why, it ends after an hour, and it is listed here."
            </p>
        }
        .into_any(),
        Some(Ok(list)) => view! {
            <div class="over" tabindex="0" role="group" aria-label="Opened by administrators">
                <table class="tbl tbl--bare tbl--cards" role="table">
                    <thead role="rowgroup">
                        <tr role="row">
                            <th scope="col" role="columnheader">"When"</th>
                            <th scope="col" role="columnheader">"Who"</th>
                            <th scope="col" role="columnheader">"Reason"</th>
                            <th scope="col" role="columnheader">"Until"</th>
                        </tr>
                    </thead>
                    <tbody role="rowgroup">{list.into_iter().map(row).collect_view()}</tbody>
                </table>
            </div>
        }
        .into_any(),
    }
    };
    view! {
        <section class="card" aria-labelledby="admin-access-title">
            <div class="card-head">
                <h2 id="admin-access-title">"Opened by administrators"</h2>
            </div>
            {body}
        </section>
    }
    .into_any()
}
