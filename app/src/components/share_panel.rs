//! Members, invitations and visibility, as the share dialog and the project's settings show them.

use leptos::{ev, prelude::*};
use leptos_router::hooks::use_navigate;
use wire::{
    members::{Invitation, Member},
    projects::{ProjectRole, Visibility},
};

use super::share_desk::{Ask, ROLES, ShareDesk, read_role, role_hint, role_label, role_word, visibility_label};
use crate::ui::{
    Badge, Button, ButtonKind, ButtonSize, Count, Icon, MenuButton, MenuItem, RelativeTime, Skeleton, TextField, format::initials,
};

/// All of it. Owners change things; everybody else sees who is in, and may leave.
#[component]
pub fn SharePanel(desk: ShareDesk) -> impl IntoView {
    let navigate = use_navigate();
    Effect::new(move |_| desk.load());
    Effect::new(move |_| {
        if desk.has_left.get() {
            navigate("/", leptos_router::NavigateOptions::default());
        }
    });
    let is_owner = Memo::new(move |_| desk.is_owner());
    view! {
        <div class="stack share">
            {move || {
                desk.problem
                    .get()
                    .map(|text| {
                        view! {
                            <p class="err" role="alert">
                                <Icon name="circle-alert" small=true />
                                <span>{text}</span>
                            </p>
                        }
                    })
            }}
            <Show when=move || is_owner.get()>
                <InviteForm desk=desk />
            </Show>
            <div role="status">
                {move || {
                    desk.said
                        .get()
                        .map(|said| {
                            view! {
                                <p class="share-said">
                                    <Icon name="circle-check" small=true />
                                    <span class="grow">{said.text}</span>
                                    {said
                                        .undo
                                        .map(|undo| {
                                            view! {
                                                <Button size=ButtonSize::Small disabled=desk.busy on_click=move |_| undo()>
                                                    "Undo"
                                                </Button>
                                            }
                                        })}
                                </p>
                            }
                        })
                }}
            </div>
            <MemberList desk=desk is_owner=is_owner />
            <Show when=move || is_owner.get()>
                <Invitations desk=desk />
            </Show>
            <VisibilityChoice desk=desk is_owner=is_owner />
            <Asked desk=desk />
        </div>
    }
    .into_any()
}

#[component]
fn InviteForm(desk: ShareDesk) -> impl IntoView {
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        desk.invite();
    };
    view! {
        <form class="share-invite" novalidate=true on:submit=submit>
            <TextField
                label="User name or e-mail address"
                name="who"
                bind=desk.who
                error=desk.who_error
                hint="An address waits until its owner is here; you let in who says it is theirs."
                autocomplete="off"
            />
            <div class="field">
                <label for="f-share-role">"Role"</label>
                <select
                    id="f-share-role"
                    class="select"
                    aria-describedby="f-share-role-note"
                    on:change:target=move |ev| desk.role.set(read_role(&ev.target().value()))
                >
                    {ROLES
                        .into_iter()
                        .map(|role| {
                            view! {
                                <option value=role_word(role) selected=role == ProjectRole::Editor prop:selected=move || desk.role.get() == role>
                                    {role_label(role)}
                                </option>
                            }
                        })
                        .collect_view()}
                </select>
            </div>
            <Button kind=ButtonKind::Primary icon="user-plus" submit=true busy=desk.busy>
                "Invite"
            </Button>
            <p class="hint share-role-note" id="f-share-role-note">{move || role_hint(desk.role.get())}</p>
        </form>
    }
    .into_any()
}

#[component]
fn MemberList(desk: ShareDesk, is_owner: Memo<bool>) -> impl IntoView {
    let members = Memo::new(move |_| desk.members.with(|all| all.as_ref().map(|all| all.items.clone())));
    let owners = Memo::new(move |_| {
        members.with(|all| all.as_ref().map_or(0, |all| all.iter().filter(|member| member.role == ProjectRole::Owner).count()))
    });
    let rows = move || {
        let (may_change, only_owner) = (is_owner.get(), owners.get() == 1);
        members.get().unwrap_or_default().into_iter().map(|member| (member, may_change, only_owner)).collect::<Vec<_>>()
    };
    let count = Signal::derive(move || i64::try_from(members.with(|all| all.as_ref().map_or(0, Vec::len))).unwrap_or(i64::MAX));
    view! {
        <section class="stack share-list" aria-labelledby="share-members">
            <h3 id="share-members" class="row">
                "Members"
                <Count value=count />
            </h3>
            <Show when=move || members.with(Option::is_some) fallback=|| view! { <Skeleton lines=2 /> }>
                <ul>
                    <For
                        each=rows
                        key=|(member, may_change, only_owner)| (member.user.id, member.role, member.holds_quota, *may_change, *only_owner)
                        let((member, may_change, only_owner))
                    >
                        <MemberRow desk=desk member=member may_change=may_change only_owner=only_owner />
                    </For>
                </ul>
            </Show>
        </section>
    }
    .into_any()
}

#[component]
fn MemberRow(desk: ShareDesk, member: Member, may_change: bool, only_owner: bool) -> impl IntoView {
    let is_me = member.user.id == desk.me;
    let stays_owner = only_owner && member.role == ProjectRole::Owner;
    let name = member.user.name.clone();
    let row = StoredValue::new(member.clone());
    let storage = if is_me { "Counts towards your storage" } else { "Counts towards their storage" };
    let username = (member.username != name).then(|| member.username.clone());
    let notes = username.into_iter().chain(member.holds_quota.then(|| storage.to_owned())).collect::<Vec<_>>().join(" · ");
    let role = if may_change && !stays_owner {
        view! {
            <select
                class="select select--s"
                aria-label=format!("Role of {name}")
                on:change:target=move |ev| desk.change(row.get_value(), read_role(&ev.target().value()))
            >
                {ROLES
                    .into_iter()
                    .map(|role| {
                        view! {
                            <option value=role_word(role) selected=role == member.role>
                                {role_label(role)}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        }
        .into_any()
    } else {
        let why = if stays_owner && may_change { "The last owner stays one" } else { role_hint(member.role) };
        view! { <span class="t2 fs12 share-role" title=why>{role_label(member.role)}</span> }.into_any()
    };
    let actions = (may_change && !is_me).then(|| {
        view! {
            <MenuButton label=format!("Actions for {name}") small=true>
                <MenuItem icon="shield-check" on_choose=move || desk.ask.set(Some(Ask::Transfer(row.get_value())))>
                    "Hand the project over"
                </MenuItem>
                <MenuItem icon="x" danger=true on_choose=move || desk.remove(row.get_value())>
                    "Take out of the project"
                </MenuItem>
            </MenuButton>
        }
    });
    let leave = (is_me && !stays_owner).then(|| {
        view! {
            <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| desk.ask.set(Some(Ask::Leave))>
                "Leave"
            </Button>
        }
    });
    view! {
        <li class="share-row">
            <span class="avatar" aria-hidden="true">{initials(&name)}</span>
            <span class="clip">
                <b class="medium">{name.clone()}</b>
                {is_me.then_some(" (you)")}
                <span class="t3 fs12 share-sub">
                    {notes}
                </span>
            </span>
            {role}
            <span class="share-acts">{actions} {leave}</span>
        </li>
    }
    .into_any()
}

#[component]
fn Invitations(desk: ShareDesk) -> impl IntoView {
    let waiting = Memo::new(move |_| desk.members.with(|all| all.as_ref().map(|all| all.invitations.clone()).unwrap_or_default()));
    let row = move |invitation: Invitation| {
        let gone = StoredValue::new(invitation.clone());
        let let_in = invitation.account.clone().map(|account| {
            let name = account.user.name.clone();
            view! {
                <Button
                    kind=ButtonKind::Primary
                    size=ButtonSize::Small
                    disabled=desk.busy
                    title=format!("Make {name} a member of the project")
                    on_click=move |_| desk.let_in(gone.get_value())
                >
                    {format!("Let {name} in")}
                </Button>
            }
        });
        let claim = invitation.account.as_ref().map(|account| {
            let who = if account.user.name == account.username { account.username.clone() } else { format!("{} ({})", account.user.name, account.username) };
            view! { <span class="t2 fs12 share-sub">{format!("{who} signed up with this address. It is not verified: let them in if you know them.")}</span> }
        });
        view! {
            <li class="share-row">
                <span class="avatar" aria-hidden="true">"@"</span>
                <span class="clip">
                    {invitation.email.clone()}
                    <span class="t3 fs12 share-sub">
                        "Invited " <RelativeTime at=invitation.created_at class="t3" />
                        {invitation.invited_by.map(|by| format!(" by {}", by.name))}
                    </span>
                    {claim}
                </span>
                <span class="t2 fs12 share-role">{role_label(invitation.role)}</span>
                <span class="share-acts">
                    {let_in}
                    <Button
                        size=ButtonSize::Small
                        title=format!("Take the invitation of {} back", invitation.email)
                        on_click=move |_| desk.withdraw(gone.get_value())
                    >
                        "Withdraw"
                    </Button>
                </span>
            </li>
        }
    };
    view! {
        <Show when=move || waiting.with(|list| !list.is_empty())>
            <section class="stack share-list" aria-labelledby="share-waiting">
                <h3 id="share-waiting">"Waiting"</h3>
                <ul>
                    <For each=move || waiting.get() key=|invitation| (invitation.id, invitation.role, invitation.account.clone().map(|account| account.user.id)) let:invitation>
                        {row(invitation)}
                    </For>
                </ul>
            </section>
        </Show>
    }
    .into_any()
}

fn visibility_hint(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Private => "Only owners enter. Members keep their roles for when it is shared again.",
        Visibility::Shared => "The members enter, each with their role.",
        Visibility::Public => "Everybody who signs in here may read it; only members change it.",
    }
}

#[component]
fn VisibilityChoice(desk: ShareDesk, is_owner: Memo<bool>) -> impl IntoView {
    let now = Memo::new(move |_| desk.project.with(|project| project.visibility));
    let choice = move |visibility: Visibility| {
        view! {
            <label class="share-choice">
                <input
                    type="radio"
                    name="visibility"
                    prop:checked=move || now.get() == visibility
                    checked=now.get_untracked() == visibility
                    disabled=move || desk.busy.get()
                    on:change=move |_| desk.set_visibility(visibility)
                />
                <span>
                    <b class="medium">{visibility_label(visibility)}</b>
                    <span class="t2 fs12 share-sub">{visibility_hint(visibility)}</span>
                </span>
            </label>
        }
    };
    view! {
        <Show
            when=move || is_owner.get()
            fallback=move || {
                view! {
                    <p class="t2 fs12">
                        <Badge>{move || visibility_label(now.get())}</Badge>
                        " "
                        {move || visibility_hint(now.get())}
                    </p>
                }
            }
        >
            <fieldset class="share-visibility">
                <legend>"Who may see it"</legend>
                {[Visibility::Private, Visibility::Shared, Visibility::Public].into_iter().map(choice).collect_view()}
            </fieldset>
        </Show>
    }
    .into_any()
}

/// What can't be taken back by the person who does it is said in full before.
#[component]
fn Asked(desk: ShareDesk) -> impl IntoView {
    move || {
        desk.ask.get().map(|ask| {
            let (text, verb) = match &ask {
                Ask::Leave => ("You will have no access any more. Only an owner can let you in again.".to_owned(), "Leave the project"),
                Ask::Transfer(member) => (
                    format!("{} becomes the owner, and the project counts towards their storage. You stay as an editor.", member.user.name),
                    "Hand it over",
                ),
            };
            let go = move |_| match ask.clone() {
                Ask::Leave => desk.leave(),
                Ask::Transfer(member) => desk.transfer(member),
            };
            view! {
                <div class="share-ask" role="alertdialog" aria-label=verb>
                    <p>{text}</p>
                    <div class="acts">
                        <Button kind=ButtonKind::Danger busy=desk.busy on_click=go>
                            {verb}
                        </Button>
                        <Button on_click=move |_| desk.ask.set(None)>"Cancel"</Button>
                    </div>
                </div>
            }
        })
    }
}
