use leptos::prelude::*;
use wire::{
    UserId,
    admin::UpdateUser,
    users::{User, UserRole, UserState},
};

use super::quota_dialog::UserQuotaDialog;
use crate::{
    api,
    ui::{Badge, BadgeKind, Count, Empty, Icon, MenuButton, MenuItem, Pager, RelativeTime, SearchField, format, use_toasts},
};

const PAGE: usize = 25;

/// The accounts. Disabling and roles can be taken back, so they ask nothing and offer *Undo*.
#[component]
pub fn UsersTable(users: RwSignal<Vec<User>>, me: UserId) -> impl IntoView {
    let query = RwSignal::new(String::new());
    let page = RwSignal::new(0_usize);
    let error = RwSignal::new(None::<String>);
    let storage_of = RwSignal::new(None::<User>);
    let found = Memo::new(move |_| {
        let wanted = query.get().trim().to_lowercase();
        users.with(|users| users.iter().filter(|user| wanted.is_empty() || matches(user, &wanted)).cloned().collect::<Vec<_>>())
    });
    Effect::new(move |_| {
        query.track();
        page.set(0);
    });
    let rows = move || found.get().into_iter().skip(page.get() * PAGE).take(PAGE).collect::<Vec<_>>();
    let change = use_change(users, error);
    view! {
        <section class="card">
            <div class="card-head">
                <h2>"Users"</h2>
                <Count value=Signal::derive(move || i64::try_from(users.with(Vec::len)).unwrap_or(i64::MAX)) />
                <span class="grow"></span>
                <span class="head-search">
                    <SearchField label="Search users" bind=query />
                </span>
            </div>
            <Show when=move || error.with(Option::is_some)>
                <p class="err inset" role="alert">
                    <Icon name="circle-alert" small=true />
                    <span>{move || error.get()}</span>
                </p>
            </Show>
            <Show
                when=move || found.with(|found| !found.is_empty())
                fallback=|| {
                    view! {
                        <div class="inset">
                            <Empty title="No user matches" text="Names, user names and e-mail addresses are searched." />
                        </div>
                    }
                }
            >
                <div class="over" tabindex="0" role="group" aria-label="Users table">
                    <table class="tbl tbl--bare">
                        <thead>
                            <tr>
                                <th>"Name"</th>
                                <th>"E-mail"</th>
                                <th>"Role"</th>
                                <th>"State"</th>
                                <th>"Joined"</th>
                                <th>"Last seen"</th>
                                <th>
                                    <span class="sr">"Actions"</span>
                                </th>
                            </tr>
                        </thead>
                        <tbody>
                            <For
                                each=rows
                                key=|user| (user.id, user.role as u8, user.state as u8, user.last_seen_at)
                                let:user
                            >
                                <UserRow user=user me=me change=change storage_of=storage_of />
                            </For>
                        </tbody>
                    </table>
                </div>
            </Show>
            <Pager page=page page_size=PAGE total=Signal::derive(move || found.with(Vec::len)) />
        </section>
        <UserQuotaDialog target=storage_of />
    }
    .into_any()
}

fn matches(user: &User, wanted: &str) -> bool {
    [user.display_name(), &user.username, &user.email].iter().any(|text| text.to_lowercase().contains(wanted))
}

/// A change of one account, with the sentence that says it was made and the change that takes it back.
type Change = (UserId, UpdateUser, String, UpdateUser);

/// Sends a change and offers to undo it.
fn use_change(users: RwSignal<Vec<User>>, error: RwSignal<Option<String>>) -> Callback<Change> {
    let toasts = use_toasts();
    Callback::new(move |(id, request, said, back): Change| {
        error.set(None);
        leptos::task::spawn_local(async move {
            if send(users, error, id, request).await {
                let undo = Callback::new(move |()| {
                    let back = back.clone();
                    leptos::task::spawn_local(async move {
                        send(users, error, id, back).await;
                    });
                });
                toasts.show_with_action(said, "Undo", undo);
            }
        });
    })
}

/// Sends one change and shows its result in the table, if that is still there. True when it was made.
async fn send(users: RwSignal<Vec<User>>, error: RwSignal<Option<String>>, id: UserId, request: UpdateUser) -> bool {
    match api::admin::update_user(id, request).await {
        Ok(changed) => {
            let _ = users.try_update(|users| {
                if let Some(row) = users.iter_mut().find(|row| row.id == id) {
                    *row = changed;
                }
            });
            true
        }
        Err(refused) => {
            let _ = error.try_set(Some(refused.to_string()));
            false
        }
    }
}

#[component]
fn UserRow(user: User, me: UserId, change: Callback<Change>, storage_of: RwSignal<Option<User>>) -> impl IntoView {
    let row = StoredValue::new(user.clone());
    let name = user.display_name().to_owned();
    let id = user.id;
    let (is_admin, disabled, myself) = (user.is_admin(), user.state == UserState::Disabled, id == me);
    let state_to = |state: UserState| UpdateUser { state: Some(state), ..UpdateUser::default() };
    let role_to = |role: UserRole| UpdateUser { role: Some(role), ..UpdateUser::default() };
    let (role_now, role_next) = if is_admin { (UserRole::Admin, UserRole::User) } else { (UserRole::User, UserRole::Admin) };
    let (state_now, state_next) =
        if disabled { (UserState::Disabled, UserState::Active) } else { (UserState::Active, UserState::Disabled) };
    let said = StoredValue::new(name.clone());
    let turn_role = move || {
        let said = said.with_value(|name| {
            if is_admin { format!("{name} is no longer an administrator") } else { format!("{name} is an administrator now") }
        });
        change.run((id, role_to(role_next), said, role_to(role_now)));
    };
    let turn_state = move || {
        let said = said.with_value(|name| {
            if disabled { format!("{name} may sign in again") } else { format!("{name} is disabled and signed out everywhere") }
        });
        change.run((id, state_to(state_next), said, state_to(state_now)));
    };
    let own = move || myself.then(|| "Another administrator has to do this for you".to_owned());
    view! {
        <tr>
            <td>
                <span class="row">
                    <span class="avatar" aria-hidden="true">{format::initials(&name)}</span>
                    <span class="clip">
                        <b class="medium">{name.clone()}</b>
                        " "
                        {(user.username != name).then(|| view! { <span class="t3 fs12">{user.username}</span> })}
                    </span>
                </span>
            </td>
            <td class="t2">{user.email}</td>
            <td>{if is_admin { "Administrator" } else { "Member" }}</td>
            <td>
                {if disabled {
                    view! { <Badge kind=BadgeKind::Bad icon="circle-x">"Disabled"</Badge> }
                } else {
                    view! { <Badge kind=BadgeKind::Ok icon="check">"Active"</Badge> }
                }}
            </td>
            <td>
                <RelativeTime at=user.created_at class="t2 nowrap" />
            </td>
            <td>
                {match user.last_seen_at {
                    Some(at) => view! { <RelativeTime at=at class="t2 nowrap" /> }.into_any(),
                    None => view! { <span class="t3">"never"</span> }.into_any(),
                }}
            </td>
            <td class="r actions-col">
                <MenuButton label=format!("Actions for {name}") small=true>
                    <MenuItem icon="files" on_choose=move || storage_of.set(Some(row.get_value()))>
                        "Storage limits"
                    </MenuItem>
                    <MenuItem icon="shield-check" disabled=myself title=own() on_choose=turn_role>
                        {if is_admin { "Take the administrator role away" } else { "Make administrator" }}
                    </MenuItem>
                    <MenuItem
                        icon=if disabled { "circle-check" } else { "circle-x" }
                        danger=!disabled
                        disabled=myself
                        title=own()
                        on_choose=turn_state
                    >
                        {if disabled { "Enable account" } else { "Disable account" }}
                    </MenuItem>
                </MenuButton>
            </td>
        </tr>
    }
    .into_any()
}
