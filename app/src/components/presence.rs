//! Who else has the project open, and the end of one's own access.

use std::time::Duration;

use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*, task::spawn_local};
use wire::{
    ErrorCode,
    event::{EventKind, Stream},
    users::UserRef,
};

use super::{
    ide::{Ide, use_ide},
    share_desk::{ShareDesk, role_label},
    share_panel::SharePanel,
};
use crate::{
    api,
    ui::{Badge, Dialog, Icon, format},
};

/// Who is here, and what the page knows of who may be.
#[derive(Clone, Copy, Default)]
pub struct Sharing {
    /// Everybody who has the project open, oneself included.
    pub people: RwSignal<Vec<UserRef>>,
    /// Counts up when members, roles or visibility changed.
    pub members_changed: RwSignal<u64>,
    /// The person may not be here any more.
    pub access_ended: RwSignal<bool>,
    pub share_open: RwSignal<bool>,
}

/// People who come in a row end in one request.
const GATHER: Duration = Duration::from_millis(200);
/// Discs shown; the rest is a number.
const DISCS: usize = 4;

/// Keeps the list of people in step with the project. Only in the browser.
pub fn follow_people(ide: Ide) {
    let timer = StoredValue::new(None::<TimeoutHandle>);
    let read_soon = move || {
        if timer.with_value(Option::is_none) {
            timer.set_value(
                set_timeout_with_handle(
                    move || {
                        let _ = timer.try_update_value(|timer| *timer = None);
                        read_people(ide);
                    },
                    GATHER,
                )
                .ok(),
            );
        }
    };
    Effect::new(move |_| {
        read_people(ide);
        let after = ide.tree.with_untracked(|tree| tree.seq);
        let follow = ide.live.follow(Stream::Project(ide.project_id), after, move |event| match event.kind {
            EventKind::AccessEnded {} => ide.sharing.access_ended.set(true),
            EventKind::PresenceChanged { .. } => read_soon(),
            EventKind::MembersChanged {} => ide.sharing.members_changed.update(|count| *count += 1),
            EventKind::StartOver {} => {
                read_soon();
                ide.sharing.members_changed.update(|count| *count += 1);
            }
            _ => {}
        });
        follow.until_cleanup();
    });
    // Whoever was away while it happened is refused with the next connection, which a browser does not tell apart from a loss.
    let connected = ide.live.connected();
    Effect::new(move |_| {
        if !connected.get() {
            spawn_local(async move {
                let gone = api::projects::get(ide.project_id).await.is_err_and(|error| error.code() == ErrorCode::NotFound);
                if gone && !ide.is_gone() {
                    ide.sharing.access_ended.set(true);
                }
            });
        }
    });
    on_cleanup(move || {
        if let Some(timer) = timer.try_get_value().flatten() {
            timer.clear();
        }
    });
}

fn read_people(ide: Ide) {
    if ide.is_gone() {
        return;
    }
    spawn_local(async move {
        // A failure leaves who was there; the next event asks again.
        if let Ok(people) = api::members::present(ide.project_id).await
            && !ide.is_gone()
        {
            ide.sharing.people.set(people);
        }
    });
}

/// Everybody but the person at this screen.
fn others(ide: Ide) -> Vec<UserRef> {
    let me = ide.viewer.with_value(|viewer| viewer.id);
    ide.sharing.people.with(|people| people.iter().filter(|person| person.id != me).cloned().collect())
}

/// The discs of who is here too, and the way to the share dialog.
#[component]
pub fn People() -> impl IntoView {
    let ide = use_ide();
    let here = Memo::new(move |_| others(ide));
    let label = move || {
        here.with(|here| match here.as_slice() {
            [] => "Share: nobody else is here".to_owned(),
            people => {
                let names: Vec<&str> = people.iter().map(|person| person.name.as_str()).collect();
                format!("Share: {} {} here too", names.join(", "), if names.len() == 1 { "is" } else { "are" })
            }
        })
    };
    let disc = |person: UserRef| {
        let said = format!("{} is here", person.name);
        view! {
            <span class="avatar" title=said.clone() role="img" aria-label=said>
                {format::initials(&person.name)}
            </span>
        }
    };
    let more = move || here.with(Vec::len).saturating_sub(DISCS);
    view! {
        <Show when=move || here.with(|here| !here.is_empty())>
            <span class="avatars wide people">
                <For each=move || here.get().into_iter().take(DISCS) key=|person| (person.id, person.name.clone()) let:person>
                    {disc(person)}
                </For>
                <Show when=move || more() != 0>
                    <span class="avatar" title=move || format!("{} more", more())>
                        {move || format!("+{}", more())}
                    </span>
                </Show>
            </span>
        </Show>
        <button
            type="button"
            class="ib share-open"
            title=label
            aria-label=label
            aria-haspopup="dialog"
            on:click=move |_| ide.sharing.share_open.set(true)
        >
            <Icon name="user-plus" />
            <Show when=move || here.with(|here| !here.is_empty())>
                <span class="count narrow" aria-hidden="true">{move || here.with(Vec::len)}</span>
            </Show>
        </button>
    }
}

/// The role, where it keeps the person from something.
#[component]
pub fn RoleBadge() -> impl IntoView {
    let ide = use_ide();
    let role = Memo::new(move |_| ide.project.with(|project| project.role));
    view! {
        <Show when=move || !ide.can_edit()>
            <span class="role-badge" title=move || ide.read_only_reason()>
                <Badge icon="eye">{move || role_label(role.get())}</Badge>
            </span>
        </Show>
    }
}

/// The share dialog, and what is said when one's own access ends.
#[component]
pub fn ShareDialog() -> impl IntoView {
    let ide = use_ide();
    let me = ide.viewer.with_value(|viewer| viewer.id);
    let title = Signal::derive(move || format!("Share {}", ide.project.with(|project| project.name.clone())));
    let desk = ShareDesk::new(ide.project, me);
    Effect::new(move |_| {
        if ide.sharing.members_changed.get() > 0 && ide.sharing.share_open.get_untracked() {
            desk.load();
        }
    });
    view! {
        <Dialog open=ide.sharing.share_open title=title locked=desk.busy>
            <HereNow ide=ide />
            <SharePanel desk=desk />
            <div class="acts end">
                <button type="button" class="btn" autofocus=true on:click=move |_| ide.sharing.share_open.set(false)>
                    "Close"
                </button>
            </div>
        </Dialog>
        <Dialog open=ide.sharing.access_ended title="You have no access to this project any more" locked=true>
            <p class="t2">
                "An owner has taken you out, made the project private or deleted it. What you had saved is kept in the project; what was not saved stays in this browser."
            </p>
            <div class="acts end">
                <a class="btn btn--primary" href="/" rel="external">
                    "All projects"
                </a>
            </div>
        </Dialog>
    }
}

#[component]
fn HereNow(ide: Ide) -> impl IntoView {
    let here = Memo::new(move |_| others(ide));
    view! {
        <p class="t2 fs12 row" aria-live="polite">
            <i class="dot" class:dot--ok=move || here.with(|here| !here.is_empty())></i>
            {move || {
                here.with(|here| match here.as_slice() {
                    [] => "Nobody else is here now".to_owned(),
                    people => format!("Here now: {}", people.iter().map(|person| person.name.as_str()).collect::<Vec<_>>().join(", ")),
                })
            }}
        </p>
    }
}
