//! Projects of everybody, from outside. To look into one that is not theirs, administrators say why.

use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    ProjectId,
    admin::{AdminProject, Direction, GiveProject, Listed, ProjectQuery, ProjectSort},
    projects::Visibility,
};

use super::{
    admin_confirm::{Ask, ConfirmDialog},
    admin_list::{CsvLink, ListError, ListFilter, ListOrder, ListSearch, Order, Place, Remote, SortLink, no_rows, pager_of},
    admin_project_dialogs::{GiveDialog, OpenDialog},
    quota_dialog::{QuotaDialog, Whose},
    share_desk::visibility_label,
};
use crate::{
    api,
    ui::{Badge, BadgeKind, Count, Icon, MenuButton, MenuItem, MenuSeparator, RelativeTime, Toasts, format, use_toasts},
};

pub const PATH: &str = "/admin/projects";
const DEFAULT: &str = "activity";
const ORDERS: [Order; 6] = [
    ("activity", "Last activity", Direction::Desc),
    ("name", "Name", Direction::Asc),
    ("owner", "Owner", Direction::Asc),
    ("files", "Files", Direction::Desc),
    ("size", "Size", Direction::Desc),
    ("created", "Made", Direction::Desc),
];
const GONE: &str = "The project is deleted. Restore it first";

/// What the address asks for.
pub fn query_of(get: impl Fn(&str) -> Option<String>) -> ProjectQuery {
    ProjectQuery {
        search: get("q"),
        visibility: match get("visibility").as_deref() {
            Some("private") => Some(Visibility::Private),
            Some("shared") => Some(Visibility::Shared),
            Some("public") => Some(Visibility::Public),
            _ => None,
        },
        deleted: match get("deleted").as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        },
        owner: get("owner").and_then(|id| id.parse().ok()),
        sort: ProjectSort::ALL.into_iter().find(|sort| get("sort").as_deref() == Some(sort.word())).unwrap_or_default(),
        direction: if get("direction").as_deref() == Some("asc") { Direction::Asc } else { Direction::Desc },
        cursor: get("cursor"),
        limit: None,
    }
}

/// What the rows share.
#[derive(Clone, Copy)]
struct Acts {
    list: Remote<Listed<AdminProject>>,
    error: RwSignal<Option<String>>,
    ask: RwSignal<Option<Ask>>,
    opening: RwSignal<Option<AdminProject>>,
    giving: RwSignal<Option<AdminProject>>,
    quota_of: RwSignal<Option<Whose>>,
    toasts: Toasts,
}

impl Acts {
    /// Says what was refused above the list, or where every page shows it once the list is gone.
    fn refused(self, refused: &api::ApiError) {
        if self.error.try_set(Some(refused.to_string())).is_some() {
            self.toasts.show(refused.to_string());
        }
    }

    fn begin(self) {
        let _ = self.error.try_set(None);
    }

    fn restore(self, id: ProjectId, name: String) {
        self.begin();
        spawn_local(async move {
            match api::admin::restore_project(id).await {
                Ok(()) => {
                    self.toasts.show(format!("{name} is back with its people"));
                    self.list.reload();
                }
                Err(refused) => self.refused(&refused),
            }
        });
    }

    fn delete(self, project: &AdminProject) {
        let (id, name) = (project.id, project.name.clone());
        let run = Arc::new(move || {
            let name = name.clone();
            self.begin();
            spawn_local(async move {
                match api::admin::delete_project(id).await {
                    Ok(()) => {
                        self.list.reload();
                        let undo = {
                            let name = name.clone();
                            move || self.restore(id, name.clone())
                        };
                        self.toasts.show_with_action(format!("Deleted {name}"), "Undo", undo);
                    }
                    Err(refused) => self.refused(&refused),
                }
            });
        });
        let files = format::counted(project.file_count, "file", "files");
        self.ask.set(Some(Ask {
            title: format!("Delete {} for everyone?", project.name),
            text: format!(
                "{files} of {}, with all runs and conversations, are out of reach for everyone. An administrator can restore them until they go for good; the list says when.",
                project.owner.name
            ),
            verb: "Delete project",
            run,
        }));
    }

    fn close(self, id: ProjectId, name: String) {
        self.begin();
        spawn_local(async move {
            match api::admin::close_project(id).await {
                Ok(()) => {
                    self.toasts.show(format!("{name} is closed to you again"));
                    self.list.reload();
                }
                Err(refused) => self.refused(&refused),
            }
        });
    }

    fn give(self, project: &AdminProject, to: wire::UserId, to_name: String) {
        let (id, before, name) = (project.id, project.owner.id, project.name.clone());
        self.begin();
        spawn_local(async move {
            match api::admin::give_project(id, GiveProject { to }).await {
                Ok(()) => {
                    self.list.reload();
                    let undo = move || {
                        self.begin();
                        spawn_local(async move {
                            match api::admin::give_project(id, GiveProject { to: before }).await {
                                Ok(()) => self.list.reload(),
                                Err(refused) => self.refused(&refused),
                            }
                        });
                    };
                    self.toasts.show_with_action(format!("{to_name} owns {name} now"), "Undo", undo);
                }
                Err(refused) => self.refused(&refused),
            }
        });
    }

    fn show_own_quota(self, project: AdminProject) {
        self.begin();
        self.quota_of.set(Some(Whose::Project(project.id, project.name)));
    }

    /// The dialog of limits takes an account.
    fn show_quota(self, project: &AdminProject) {
        let owner = project.owner.id;
        self.begin();
        spawn_local(async move {
            match api::admin::user(owner).await {
                Ok(detail) => drop(self.quota_of.try_set(Some(Whose::Person(detail.user.user)))),
                Err(refused) => self.refused(&refused),
            }
        });
    }
}

/// The projects, a page of them.
#[component]
pub fn ProjectsTable(first: Option<Listed<AdminProject>>) -> impl IntoView {
    let place = Place::here(PATH);
    let key = Memo::new(move |_| query_of(|name| place.get(name)));
    let list = Remote::follow(first, key, api::admin::projects);
    let acts = Acts {
        list,
        error: RwSignal::new(None),
        ask: RwSignal::new(None),
        opening: RwSignal::new(None),
        giving: RwSignal::new(None),
        quota_of: RwSignal::new(None),
        toasts: use_toasts(),
    };
    let of_one = move || key.with(|query| query.owner.is_some());
    view! {
        <section class="card" aria-labelledby="projects-title">
            <div class="card-head">
                <h2 id="projects-title">"Projects"</h2>
                <Count value=Signal::derive(move || list.total()) />
                <span class="grow"></span>
                <ListSearch place=place label="Search projects" />
                <CsvLink query=key path="/api/admin/projects.csv" name="projects.csv" />
            </div>
            <div class="list-filters">
                <ListFilter
                    place=place
                    name="visibility"
                    label="Visibility"
                    choices=vec![("", "Any visibility"), ("private", "Private"), ("shared", "Shared"), ("public", "Public")]
                />
                <ListFilter
                    place=place
                    name="deleted"
                    label="Deleted or not"
                    choices=vec![("", "Deleted ones too"), ("false", "Not deleted"), ("true", "Deleted")]
                />
                <ListOrder place=place default=DEFAULT orders=ORDERS.to_vec() />
                <Show when=of_one>
                    <a class="btn btn--s" href=move || place.href(&[("owner", None)])>"Show projects of everybody"</a>
                </Show>
            </div>
            <ListError error=acts.error />
            <Show
                when=move || list.has_items()
                fallback=move || no_rows(list, place, "No project matches", "Names of projects and of their owners are searched.")
            >
                <Table place=place acts=acts />
            </Show>
            {pager_of(list, place)}
        </section>
        <p class="hint">
            "What is in a project stays its people's. Who opens one to read it says why; its owners are told, and it is in the audit log."
        </p>
        <OpenDialog target=acts.opening />
        <GiveDialog target=acts.giving on_choose=Callback::new(move |(project, to, name)| acts.give(&project, to, name)) />
        <QuotaDialog target=acts.quota_of />
        <ConfirmDialog ask=acts.ask />
    }
    .into_any()
}

#[component]
fn Table(place: Place, acts: Acts) -> impl IntoView {
    let list = acts.list;
    view! {
        <div class="over" tabindex="0" role="group" aria-label="Projects table" aria-busy=move || list.busy.get().then_some("true")>
            <table class="tbl tbl--bare tbl--cards" role="table">
                <thead role="rowgroup">
                    <tr role="row">
                        <SortLink place=place label="Name" sort="name" default=DEFAULT first=Direction::Asc />
                        <SortLink place=place label="Owner" sort="owner" default=DEFAULT first=Direction::Asc />
                        <th scope="col" role="columnheader">"Visibility"</th>
                        <th scope="col" role="columnheader" class="r">"Members"</th>
                        <SortLink place=place label="Files" sort="files" default=DEFAULT class="r" />
                        <SortLink place=place label="Size" sort="size" default=DEFAULT class="r" />
                        <th scope="col" role="columnheader">"Stored"</th>
                        <SortLink place=place label="Last activity" sort="activity" default=DEFAULT />
                        <SortLink place=place label="Made" sort="created" default=DEFAULT />
                        <th scope="col" role="columnheader">
                            <span class="sr">"Actions"</span>
                        </th>
                    </tr>
                </thead>
                <tbody role="rowgroup">
                    <For
                        each=move || list.items()
                        key=|item| item.id
                        let:item
                    >
                        <Row item=row_of(list, item) acts=acts />
                    </For>
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row_of(list: Remote<Listed<AdminProject>>, item: AdminProject) -> Memo<AdminProject> {
    let id = item.id;
    list.row(item, move |row| row.id == id)
}

#[component]
fn Row(item: Memo<AdminProject>, acts: Acts) -> impl IntoView {
    let (id, created) = item.with_untracked(|item| (item.id, item.created_at));
    let name = Memo::new(move |_| item.with(|item| item.name.clone()));
    let deleted = Memo::new(move |_| item.with(|item| item.deleted_at.is_some()));
    let restorable = Memo::new(move |_| item.with(|item| item.restorable_until));
    let open = Memo::new(move |_| item.with(|item| item.open_until));
    let owner = Memo::new(move |_| item.with(|item| item.owner.id));
    let active = Memo::new(move |_| item.with(|item| item.updated_at));
    let clock = format::use_clock();
    view! {
        <tr role="row">
            <th scope="row" role="rowheader">
                <span class="medium">{move || name.get()}</span>
                " "
                {move || deleted.get().then(|| view! { <Badge kind=BadgeKind::Bad icon="trash-2">"Deleted"</Badge> })}
                {move || {
                    restorable
                        .get()
                        .map(|until| view! { <div class="hint">{move || format!("Can be restored until {}", clock.tell(until))}</div> })
                }}
                {move || {
                    open.get()
                        .map(|until| {
                            view! {
                                <a class="badge badge--warn" href=format!("/projects/{id}")>
                                    <Icon name="eye" />
                                    {move || format!("Open to you until {}", clock.tell(until))}
                                </a>
                            }
                        })
                }}
            </th>
            <td role="cell" data-label="Owner">
                <a class="plain" href=move || format!("/admin/users?user={}", owner.get())>
                    {move || item.with(|item| item.owner.name.clone())}
                </a>
            </td>
            <td role="cell" data-label="Visibility">{move || visibility_label(item.with(|item| item.visibility))}</td>
            <td role="cell" class="r num" data-label="Members">{move || item.with(|item| format::count(item.members))}</td>
            <td role="cell" class="r num" data-label="Files">{move || item.with(|item| format::count(item.file_count))}</td>
            <td role="cell" class="r num nowrap" data-label="Size">{move || item.with(|item| format::bytes(item.size_bytes))}</td>
            <td role="cell" data-label="Stored">{move || item.with(|item| if item.storage_backend == "s3" { "S3" } else { "Disk" })}</td>
            <td role="cell" data-label="Last activity">{move || view! { <RelativeTime at=active.get() class="t2 nowrap" /> }}</td>
            <td role="cell" data-label="Made">
                <RelativeTime at=created class="t2 nowrap" />
            </td>
            <td role="cell" class="r actions-col">
                <RowMenu item=item acts=acts />
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn RowMenu(item: Memo<AdminProject>, acts: Acts) -> impl IntoView {
    let deleted = Memo::new(move |_| item.with(|item| item.deleted_at.is_some()));
    let open = Memo::new(move |_| item.with(|item| item.open_until.is_some()));
    let gone = MaybeProp::derive(move || deleted.get().then(|| GONE.to_owned()));
    let row = move || item.get_untracked();
    let opening = move || {
        if open.get() {
            let close = move || {
                let item = row();
                acts.close(item.id, item.name);
            };
            view! { <MenuItem icon="eye-off" on_choose=close>"Close it to me"</MenuItem> }.into_any()
        } else {
            view! {
                <MenuItem icon="eye" disabled=deleted title=gone on_choose=move || acts.opening.set(Some(row()))>
                    "Open with a reason"
                </MenuItem>
            }
            .into_any()
        }
    };
    let ending = move || {
        if deleted.get() {
            let restore = move || {
                let item = row();
                acts.restore(item.id, item.name);
            };
            view! { <MenuItem icon="undo-2" on_choose=restore>"Restore project"</MenuItem> }.into_any()
        } else {
            view! {
                <MenuItem icon="trash-2" danger=true on_choose=move || acts.delete(&row())>
                    "Delete project"
                </MenuItem>
            }
            .into_any()
        }
    };
    view! {
        <MenuButton label=Signal::derive(move || item.with(|item| format!("Actions for {}", item.name))) small=true>
            {opening}
            <MenuItem icon="user" disabled=deleted title=gone on_choose=move || acts.giving.set(Some(row()))>
                "Give to somebody else"
            </MenuItem>
            <MenuItem icon="files" on_choose=move || acts.show_own_quota(row())>
                "Storage limits"
            </MenuItem>
            <MenuItem icon="files" on_choose=move || acts.show_quota(&row())>
                "Storage limits of its owner"
            </MenuItem>
            <MenuSeparator />
            {ending}
        </MenuButton>
    }
    .into_any()
}
