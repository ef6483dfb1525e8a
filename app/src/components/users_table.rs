use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    UserId,
    admin::{AdminUser, Direction, Listed, UpdateUser, UserQuery, UserSort},
    users::{User, UserRole, UserState},
};

use super::{
    admin_confirm::{Ask, ConfirmDialog},
    admin_invite::{InviteDialog, LinkDialog, LinksCard, ShownLink},
    admin_list::{CsvLink, ListError, ListFilter, ListOrder, ListSearch, Order, Place, Remote, SortLink, no_rows, pager_of},
    quota_dialog::{QuotaDialog, Whose},
};
use crate::{
    api::{self, ApiError},
    ui::{Badge, BadgeKind, Button, ButtonKind, Count, MenuButton, MenuItem, MenuSeparator, RelativeTime, Toasts, format, use_toasts},
};

pub const PATH: &str = "/admin/users";
const DEFAULT: &str = "joined";
const ORDERS: [Order; 6] = [
    ("joined", "Joined", Direction::Desc),
    ("name", "Name", Direction::Asc),
    ("projects", "Projects", Direction::Desc),
    ("storage", "Storage", Direction::Desc),
    ("cost", "This month", Direction::Desc),
    ("last_seen", "Last seen", Direction::Desc),
];

/// What the address asks for.
pub fn query_of(get: impl Fn(&str) -> Option<String>) -> UserQuery {
    let word = |name: &str| get(name);
    UserQuery {
        search: word("q"),
        role: match word("role").as_deref() {
            Some("admin") => Some(UserRole::Admin),
            Some("user") => Some(UserRole::User),
            _ => None,
        },
        state: match word("state").as_deref() {
            Some("active") => Some(UserState::Active),
            Some("disabled") => Some(UserState::Disabled),
            _ => None,
        },
        second_factor: match word("second_factor").as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        },
        sort: UserSort::ALL.into_iter().find(|sort| word("sort").as_deref() == Some(sort.word())).unwrap_or_default(),
        direction: if word("direction").as_deref() == Some("asc") { Direction::Asc } else { Direction::Desc },
        cursor: word("cursor"),
        limit: None,
    }
}

/// What can be done with an account, from the table and from its own page.
#[derive(Clone, Copy)]
pub struct UserActs {
    me: UserId,
    pub error: RwSignal<Option<String>>,
    pub ask: RwSignal<Option<Ask>>,
    pub link: RwSignal<Option<ShownLink>>,
    pub storage_of: RwSignal<Option<Whose>>,
    toasts: Toasts,
    changed: Callback<User>,
    /// Reads again what an answer does not tell.
    reread: Callback<()>,
}

/// A change of one account, with the sentence that says it was made and the change that takes it back.
type Change = (UserId, UpdateUser, String, UpdateUser);

impl UserActs {
    /// `changed` gets the account as it is after a change; `reread` is for changes of what is beside it.
    pub fn new(me: UserId, changed: Callback<User>, reread: Callback<()>) -> Self {
        Self {
            me,
            error: RwSignal::new(None),
            ask: RwSignal::new(None),
            link: RwSignal::new(None),
            storage_of: RwSignal::new(None),
            toasts: use_toasts(),
            changed,
            reread,
        }
    }

    /// Sends one change and hands on what became of it. True when it was made.
    async fn send(self, id: UserId, request: UpdateUser) -> bool {
        match api::admin::update_user(id, request).await {
            Ok(user) => {
                // The list may be gone by now: the menu's answer takes a while, and *Undo* outlives the page.
                self.changed.try_run(user);
                true
            }
            Err(refused) => {
                self.refused(&refused);
                false
            }
        }
    }

    /// Says what was refused above the list, or where every page shows it once the list is gone.
    fn refused(self, refused: &ApiError) {
        if self.error.try_set(Some(refused.to_string())).is_some() {
            self.toasts.show(refused.to_string());
        }
    }

    fn begin(self) {
        let _ = self.error.try_set(None);
    }

    /// Sends a change and offers to undo it.
    fn change(self, (id, request, said, back): Change) {
        let toasts = self.toasts;
        self.begin();
        spawn_local(async move {
            if self.send(id, request).await {
                let undo = move || {
                    let back = back.clone();
                    self.begin();
                    spawn_local(async move {
                        self.send(id, back).await;
                    });
                };
                toasts.show_with_action(said, "Undo", undo);
            }
        });
    }

    fn turn_role(self, user: &User) {
        let name = user.display_name();
        let (now, next, said) = if user.is_admin() {
            (UserRole::Admin, UserRole::User, format!("{name} is no longer an administrator"))
        } else {
            (UserRole::User, UserRole::Admin, format!("{name} is an administrator now"))
        };
        let to = |role: UserRole| UpdateUser { role: Some(role), ..UpdateUser::default() };
        self.change((user.id, to(next), said, to(now)));
    }

    fn turn_state(self, user: &User) {
        let name = user.display_name();
        let (now, next, said) = if user.state == UserState::Disabled {
            (UserState::Disabled, UserState::Active, format!("{name} may sign in again"))
        } else {
            (UserState::Active, UserState::Disabled, format!("{name} is disabled and signed out everywhere"))
        };
        let to = |state: UserState| UpdateUser { state: Some(state), ..UpdateUser::default() };
        let change = (user.id, to(next), said, to(now));
        if next == UserState::Active {
            return self.change(change);
        }
        self.ask.set(Some(Ask {
            title: format!("Disable the account of {name}?"),
            text: "All sessions end within seconds and API tokens are refused. What waits in the queue does not start, and what runs is stopped within seconds. Projects stay, and the account can be enabled again."
                .to_owned(),
            verb: "Disable account",
            run: Arc::new(move || self.change(change.clone())),
        }));
    }

    fn sign_out(self, user: &User) {
        let (id, name) = (user.id, user.display_name().to_owned());
        let toasts = self.toasts;
        let said = format!("{name} is signed out everywhere");
        let run = Arc::new(move || {
            let said = said.clone();
            self.begin();
            spawn_local(async move {
                match api::admin::sign_out_user(id).await {
                    Ok(()) => toasts.show(said),
                    Err(refused) => self.refused(&refused),
                }
            });
        });
        let own = if id == self.me { " That includes this browser." } else { "" };
        self.ask.set(Some(Ask {
            title: format!("Sign {name} out everywhere?"),
            text: format!(
                "All sessions end within seconds; unsaved text in open editors stays in the browser. Signing in again works. Their API tokens are revoked too: programs need new ones.{own}"
            ),
            verb: "Sign out everywhere",
            run,
        }));
    }

    fn reset_second_factor(self, user: &User) {
        let (id, name) = (user.id, user.display_name().to_owned());
        let toasts = self.toasts;
        let said = format!("{name} signs in with the password alone");
        let run = Arc::new(move || {
            let said = said.clone();
            self.begin();
            spawn_local(async move {
                match api::admin::reset_second_factor(id).await {
                    Ok(()) => {
                        toasts.show(said);
                        self.reread.try_run(());
                    }
                    Err(refused) => self.refused(&refused),
                }
            });
        });
        self.ask.set(Some(Ask {
            title: format!("Take the second factor of {name} away?"),
            text: "The authenticator app, all passkeys and recovery codes stop working; the password is enough then. Be sure that it is this person who asks."
                .to_owned(),
            verb: "Take it away",
            run,
        }));
    }

    fn make_reset_link(self, user: &User) {
        let (id, name) = (user.id, user.display_name().to_owned());
        let run = Arc::new(move || {
            let title = format!("Link for {name} to set a password");
            self.begin();
            spawn_local(async move {
                match api::links::make_reset(id).await {
                    Ok(link) => {
                        let _ = self.link.try_set(Some(ShownLink { title, link }));
                        self.reread.try_run(());
                    }
                    Err(refused) => self.refused(&refused),
                }
            });
        });
        self.ask.set(Some(Ask {
            title: format!("Make a link to reset the password of {}?", user.display_name()),
            text: "Whoever has the link can set a new password once and sign in. Hand it over on a way that only this person reads."
                .to_owned(),
            verb: "Make the link",
            run,
        }));
    }
}

/// The menu of an account.
#[component]
pub fn UserMenuButton(item: Signal<AdminUser>, acts: UserActs) -> impl IntoView {
    let user = move || item.with(|item| item.user.clone());
    let untracked = move || item.with_untracked(|item| item.user.clone());
    let is_admin = Memo::new(move |_| item.with(|item| item.user.is_admin()));
    let disabled = Memo::new(move |_| item.with(|item| item.user.state == UserState::Disabled));
    let bare = Memo::new(move |_| item.with(|item| !item.second_factor));
    let myself = item.with_untracked(|item| item.user.id == acts.me);
    let own = move || myself.then(|| "Another administrator has to do this for you".to_owned());
    let no_link = MaybeProp::derive(move || disabled.get().then(|| "The account is disabled. Enable it first".to_owned()));
    let no_factor = MaybeProp::derive(move || bare.get().then(|| "This account has none".to_owned()));
    view! {
        <MenuButton label=Signal::derive(move || format!("Actions for {}", user().display_name())) small=true>
            <MenuItem icon="files" on_choose=move || acts.storage_of.set(Some(Whose::Person(untracked())))>
                "Storage limits"
            </MenuItem>
            <MenuItem icon="key-round" disabled=disabled title=no_link on_choose=move || acts.make_reset_link(&untracked())>
                "Link to reset the password"
            </MenuItem>
            <MenuItem icon="fingerprint" disabled=bare title=no_factor on_choose=move || acts.reset_second_factor(&untracked())>
                "Take the second factor away"
            </MenuItem>
            <MenuItem icon="log-out" on_choose=move || acts.sign_out(&untracked())>
                "Sign out everywhere"
            </MenuItem>
            <MenuSeparator />
            <MenuItem icon="shield-check" disabled=myself title=own() on_choose=move || acts.turn_role(&untracked())>
                {move || if is_admin.get() { "Take the administrator role away" } else { "Make administrator" }}
            </MenuItem>
            {move || {
                let disabled = disabled.get();
                view! {
                    <MenuItem
                        icon=if disabled { "circle-check" } else { "circle-x" }
                        danger=!disabled
                        disabled=myself
                        title=own()
                        on_choose=move || acts.turn_state(&untracked())
                    >
                        {if disabled { "Enable account" } else { "Disable account" }}
                    </MenuItem>
                }
            }}
        </MenuButton>
    }
    .into_any()
}

/// The dialogs that [`UserMenuButton`] opens.
#[component]
pub fn UserDialogs(acts: UserActs) -> impl IntoView {
    view! {
        <ConfirmDialog ask=acts.ask />
        <LinkDialog link=acts.link />
        <QuotaDialog target=acts.storage_of />
    }
    .into_any()
}

/// The accounts. A role is turned without a question, as it can be taken back at once; what ends somebody's work asks first.
#[component]
pub fn UsersTable(first: Option<Listed<AdminUser>>, me: UserId) -> impl IntoView {
    let place = Place::here(PATH);
    let key = Memo::new(move |_| query_of(|name| place.get(name)));
    let list = Remote::follow(first, key, api::admin::users);
    let inviting = RwSignal::new(false);
    let links = RwSignal::new(0_u32);
    let acts = UserActs::new(
        me,
        Callback::new(move |user: User| {
            let id = user.id;
            list.put(move |row| row.user.id == id, move |row| row.user = user);
        }),
        Callback::new(move |()| {
            list.reload();
            links.update(|n| *n += 1);
        }),
    );
    view! {
        <section class="card" aria-labelledby="users-title">
            <div class="card-head">
                <h2 id="users-title">"Users"</h2>
                <Count value=Signal::derive(move || list.total()) />
                <span class="grow"></span>
                <ListSearch place=place label="Search users" />
                <CsvLink query=key path="/api/admin/users.csv" name="users.csv" />
                <Button kind=ButtonKind::Primary icon="user-plus" on_click=move |_| inviting.set(true)>
                    "Invite"
                </Button>
            </div>
            <div class="list-filters">
                <ListFilter place=place name="role" label="Role" choices=vec![("", "All roles"), ("admin", "Administrators"), ("user", "Members")] />
                <ListFilter place=place name="state" label="State" choices=vec![("", "All states"), ("active", "Active"), ("disabled", "Disabled")] />
                <ListFilter
                    place=place
                    name="second_factor"
                    label="Second factor"
                    choices=vec![("", "Any sign-in"), ("false", "Without a second factor"), ("true", "With a second factor")]
                />
                <ListOrder place=place default=DEFAULT orders=ORDERS.to_vec() />
            </div>
            <ListError error=acts.error />
            <Show
                when=move || list.has_items()
                fallback=move || no_rows(list, place, "No user matches", "Names, usernames and e-mail addresses are searched.")
            >
                <Table place=place list=list acts=acts />
            </Show>
            {pager_of(list, place)}
        </section>
        <LinksCard again=links />
        <InviteDialog open=inviting shown=acts.link made=Callback::new(move |()| links.update(|n| *n += 1)) />
        <UserDialogs acts=acts />
    }
    .into_any()
}

#[component]
fn Table(place: Place, list: Remote<Listed<AdminUser>>, acts: UserActs) -> impl IntoView {
    view! {
        <div class="over" tabindex="0" role="group" aria-label="Users table" aria-busy=move || list.busy.get().then_some("true")>
            <table class="tbl tbl--bare tbl--cards" role="table">
                <thead role="rowgroup">
                    <tr role="row">
                        <SortLink place=place label="Name" sort="name" default=DEFAULT first=Direction::Asc />
                        <th scope="col" role="columnheader">"E-mail"</th>
                        <th scope="col" role="columnheader">"Role"</th>
                        <th scope="col" role="columnheader">"State"</th>
                        <th scope="col" role="columnheader">"Second factor"</th>
                        <SortLink place=place label="Projects" sort="projects" default=DEFAULT class="r" />
                        <SortLink place=place label="Storage" sort="storage" default=DEFAULT class="r" />
                        <SortLink place=place label="This month" sort="cost" default=DEFAULT class="r" />
                        <SortLink place=place label="Joined" sort="joined" default=DEFAULT />
                        <SortLink place=place label="Last seen" sort="last_seen" default=DEFAULT />
                        <th scope="col" role="columnheader">
                            <span class="sr">"Actions"</span>
                        </th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    <For
                        each=move || list.items()
                        key=|item| item.user.id
                        let:item
                    >
                        <Row place=place item=row_of(list, item) acts=acts />
                    </For>
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row_of(list: Remote<Listed<AdminUser>>, item: AdminUser) -> Signal<AdminUser> {
    let id = item.user.id;
    list.row(item, move |row| row.user.id == id).into()
}

#[component]
fn Row(place: Place, item: Signal<AdminUser>, acts: UserActs) -> impl IntoView {
    let id = item.with_untracked(|item| item.user.id.to_string());
    let href = move || place.href(&[("user", Some(id.clone()))]);
    let name = Memo::new(move |_| item.with(|item| item.user.display_name().to_owned()));
    let username = move || item.with(|item| (item.user.username != item.user.display_name()).then(|| item.user.username.clone()));
    let state = Memo::new(move |_| item.with(|item| item.user.state));
    let second_factor = Memo::new(move |_| item.with(|item| item.second_factor));
    let joined = item.with_untracked(|item| item.user.created_at);
    let seen = Memo::new(move |_| item.with(|item| item.user.last_seen_at));
    view! {
        <tr role="row">
            <td role="cell">
                <span class="row">
                    <span class="avatar" aria-hidden="true">{move || format::initials(&name.get())}</span>
                    <span class="clip">
                        <a class="medium plain" href=href>{move || name.get()}</a>
                        " "
                        {move || username().map(|username| view! { <span class="t3 fs12">{username}</span> })}
                    </span>
                </span>
            </td>
            <td role="cell" class="t2" data-label="E-mail">{move || item.with(|item| item.user.email.clone())}</td>
            <td role="cell" data-label="Role">{move || item.with(|item| if item.user.is_admin() { "Administrator" } else { "Member" })}</td>
            <td role="cell" data-label="State">{move || view! { <StateBadge state=state.get() /> }}</td>
            <td role="cell" data-label="Second factor">{move || view! { <SecondFactor on=second_factor.get() /> }}</td>
            <td role="cell" class="r num" data-label="Projects">{move || item.with(|item| format::count(item.projects))}</td>
            <td role="cell" class="r num nowrap" data-label="Storage">{move || item.with(|item| format::bytes(item.storage_bytes))}</td>
            <td role="cell" class="r num nowrap" data-label="This month">{move || item.with(|item| format::money(item.cost_micros))}</td>
            <td role="cell" data-label="Joined">
                <RelativeTime at=joined class="t2 nowrap" />
            </td>
            <td role="cell" data-label="Last seen">
                {move || match seen.get() {
                    Some(at) => view! { <RelativeTime at=at class="t2 nowrap" /> }.into_any(),
                    None => view! { <span class="t3">"never"</span> }.into_any(),
                }}
            </td>
            <td role="cell" class="r actions-col">
                <UserMenuButton item=item acts=acts />
            </td>
        </tr>
    }
    .into_any()
}

#[component]
pub fn StateBadge(state: UserState) -> impl IntoView {
    if state == UserState::Disabled {
        view! { <Badge kind=BadgeKind::Bad icon="circle-x">"Disabled"</Badge> }.into_any()
    } else {
        view! { <Badge kind=BadgeKind::Ok icon="check">"Active"</Badge> }.into_any()
    }
}

#[component]
pub fn SecondFactor(on: bool) -> impl IntoView {
    if on { view! { <span>"On"</span> }.into_any() } else { view! { <span class="c-warn">"Off"</span> }.into_any() }
}
