use std::time::Duration;

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_navigate;
use wire::{
    ProjectId, UserId,
    projects::{Project, ProjectRole, Visibility},
    quotas::UserQuota,
    users::User,
};

use crate::{
    api::{self, ApiError},
    components::{
        export_panel::ExportDialog,
        guard::{Guarded, PageFailed},
        new_project::{NewProjectDialog, Start},
        project_dialogs::{DeleteProjectDialog, EditProjectDialog},
        quota_meters::MyQuota,
        share_desk::{role_label, visibility_label},
        topbar::{Place, Topbar},
    },
    live::Live,
    ui::{
        Badge, BadgeKind, Button, ButtonKind, ButtonSize, Count, Empty, Icon, MenuButton, MenuItem, MenuSeparator, RelativeTime,
        SearchField, SortHeader, SortOrder, format,
    },
};

/// How often the list is read again while something runs, and while nothing does.
const REFRESH: Duration = Duration::from_secs(10);

/// The projects that the person is in, public ones of others, and the person's storage.
type Loaded = (Vec<Project>, Vec<Project>, UserQuota);

async fn load() -> Result<Loaded, ApiError> {
    Ok((api::projects::list().await?, api::projects::list_public().await?, api::quotas::mine().await?))
}

/// The person's projects.
#[component]
pub fn DashboardPage() -> impl IntoView {
    Live::provide();
    let render = |user: User, loaded: Result<Loaded, ApiError>| match loaded {
        Ok(loaded) => view! { <Dashboard user=user loaded=loaded /> }.into_any(),
        Err(error) => view! { <Topbar user=user place=Place::Projects /><PageFailed error=error /> }.into_any(),
    };
    view! {
        <Title text="Projects" />
        <div class="page">
            <Guarded load=load render=render />
        </div>
    }
    .into_any()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Activity,
    Size,
}

/// Which of the projects are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Mine,
    SharedWithMe,
    Public,
}

impl Scope {
    const ALL: [Self; 4] = [Self::All, Self::Mine, Self::SharedWithMe, Self::Public];

    fn label(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Mine => "Mine",
            Self::SharedWithMe => "Shared with me",
            Self::Public => "Public",
        }
    }

    fn empty(self) -> (&'static str, &'static str) {
        match self {
            Self::All => ("You are in no project yet", "Make one, or look at what others have made public."),
            Self::Mine => ("You own no project yet", "What you make or import is listed here."),
            Self::SharedWithMe => ("Nobody shares a project with you", "Owners invite people by user name or e-mail address."),
            Self::Public => ("No public project of others", "Owners can make a project public; everybody here may read it then."),
        }
    }
}

/// Everything that is listed.
#[derive(Clone, Copy)]
struct Lists {
    me: UserId,
    projects: RwSignal<Vec<Project>>,
    public: RwSignal<Vec<Project>>,
    quota: RwSignal<UserQuota>,
}

impl Lists {
    fn of(self, scope: Scope) -> Vec<Project> {
        let is_mine = |project: &Project| project.owner.id == self.me || project.role == ProjectRole::Owner;
        match scope {
            Scope::All => self.projects.get(),
            Scope::Mine => self.projects.with(|list| list.iter().filter(|project| is_mine(project)).cloned().collect()),
            Scope::SharedWithMe => self.projects.with(|list| list.iter().filter(|project| !is_mine(project)).cloned().collect()),
            Scope::Public => {
                let own =
                    self.projects.with(|list| list.iter().filter(|p| p.visibility == Visibility::Public).cloned().collect::<Vec<_>>());
                own.into_iter().chain(self.public.get()).collect()
            }
        }
    }
}

/// What the rows of the list share.
#[derive(Clone, Copy)]
struct Shared {
    editing: RwSignal<Option<Project>>,
    deleting: RwSignal<Option<Project>>,
    exporting: RwSignal<Option<(ProjectId, String)>>,
}

#[component]
fn Dashboard(user: User, loaded: Loaded) -> impl IntoView {
    let (projects, public, quota) = loaded;
    let me = user.id;
    let first_name = user.display_name().split_whitespace().next().unwrap_or_default().to_owned();
    let projects = RwSignal::new(projects);
    let lists = Lists { me, projects, public: RwSignal::new(public), quota: RwSignal::new(quota) };
    let dialog = RwSignal::new(false);
    let start = RwSignal::new(Start::Empty);
    let shared = Shared { editing: RwSignal::new(None), deleting: RwSignal::new(None), exporting: RwSignal::new(None) };
    let begin = Callback::new(move |with: Start| {
        start.set(with);
        dialog.set(true);
    });
    keep_fresh(lists);
    let on_saved = Callback::new(move |saved: Project| {
        projects.update(|list| {
            if let Some(row) = list.iter_mut().find(|row| row.id == saved.id) {
                *row = saved;
            }
        });
    });
    let on_deleted = Callback::new(move |gone: Project| projects.update(|list| list.retain(|row| row.id != gone.id)));
    let has_projects = Memo::new(move |_| projects.with(|list| !list.is_empty()) || lists.public.with(|list| !list.is_empty()));
    view! {
        <Topbar user=user place=Place::Projects />
        <main class="wrap" id="main" tabindex="-1">
            {move || {
                if has_projects.get() {
                    view! { <ProjectList lists=lists shared=shared begin=begin /> }.into_any()
                } else {
                    view! { <FirstVisit name=first_name.clone() begin=begin /> }.into_any()
                }
            }}
        </main>
        <NewProjectDialog open=dialog start=start />
        <EditProjectDialog target=shared.editing on_saved=on_saved />
        <DeleteProjectDialog target=shared.deleting on_deleted=on_deleted />
        <ExportDialog target=shared.exporting />
    }
    .into_any()
}

/// Takes over what was read, unless nothing is different or the page is gone.
fn put<T: PartialEq + Send + Sync + 'static>(shown: RwSignal<T>, read: T) {
    if shown.try_with_untracked(|shown| *shown != read) == Some(true) {
        shown.set(read);
    }
}

/// Reads the lists again now and then, while the page is visible; a failure leaves what is shown.
fn keep_fresh(lists: Lists) {
    Effect::new(move |_| {
        let timer = set_interval_with_handle(
            move || {
                if document().hidden() {
                    return;
                }
                leptos::task::spawn_local(async move {
                    if let Ok((projects, public, quota)) = load().await {
                        put(lists.projects, projects);
                        put(lists.public, public);
                        put(lists.quota, quota);
                    }
                });
            },
            REFRESH,
        );
        on_cleanup(move || {
            if let Ok(timer) = timer {
                timer.clear();
            }
        });
    });
}

#[component]
fn ProjectList(lists: Lists, shared: Shared, begin: Callback<Start>) -> impl IntoView {
    let projects = lists.projects;
    let scope = RwSignal::new(if projects.with_untracked(Vec::is_empty) { Scope::Public } else { Scope::All });
    let query = RwSignal::new(String::new());
    let sort = RwSignal::new((Column::Activity, SortOrder::Descending));
    let shown = Memo::new(move |_| {
        let wanted = query.get().trim().to_lowercase();
        let mut list = lists.of(scope.get());
        list.retain(|p| wanted.is_empty() || p.name.to_lowercase().contains(&wanted) || p.description.to_lowercase().contains(&wanted));
        let (column, order) = sort.get();
        list.sort_by(|a, b| match column {
            Column::Name => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
            Column::Activity => a.updated_at.cmp(&b.updated_at),
            Column::Size => a.size_bytes.cmp(&b.size_bytes),
        });
        if order == SortOrder::Descending {
            list.reverse();
        }
        list
    });
    let order = move |column: Column| Signal::derive(move || (sort.get().0 == column).then(|| sort.get().1));
    let turn = move |column: Column, first: SortOrder| {
        Callback::from(move || {
            sort.update(|sort| {
                *sort = match *sort {
                    (now, SortOrder::Ascending) if now == column => (column, SortOrder::Descending),
                    (now, SortOrder::Descending) if now == column => (column, SortOrder::Ascending),
                    _ => (column, first),
                };
            });
        })
    };
    let total = move || format::counted(i64::try_from(shown.with(Vec::len)).unwrap_or(i64::MAX), "project", "projects");
    let nothing_found = move || shown.with(Vec::is_empty);
    let choice = move |which: Scope| {
        let count = Signal::derive(move || i64::try_from(lists.of(which).len()).unwrap_or(i64::MAX));
        view! {
            <button
                type="button"
                aria-pressed=move || if scope.get() == which { "true" } else { "false" }
                on:click=move |_| scope.set(which)
            >
                {which.label()}
                " "
                <span class="t3 num">{move || format::count(count.get())}</span>
            </button>
        }
    };
    view! {
        <div class="page-head">
            <h1>"Projects"</h1>
            <span class="desk">
                <Button icon="file-archive" on:click=move |_| begin.run(Start::Archive)>
                    "Import archive"
                </Button>
            </span>
            <Button kind=ButtonKind::Primary icon="plus" on:click=move |_| begin.run(Start::Empty)>
                "New project"
            </Button>
        </div>
        <div class="cols">
            <div>
                <div class="filters">
                    <SearchField label="Search projects" bind=query />
                    <span class="seg scopes" role="group" aria-label="Which projects">
                        {Scope::ALL.into_iter().map(choice).collect_view()}
                    </span>
                    <span class="grow"></span>
                    <span class="t3 fs12 desk" aria-live="polite">{total}</span>
                </div>
                <table class="tbl proj tbl--stack" hidden=nothing_found>
                    <thead>
                        <tr>
                            <SortHeader
                                label="Project"
                                order=order(Column::Name)
                                on_sort=turn(Column::Name, SortOrder::Ascending)
                                class="proj-col"
                            />
                            <th class="desk">"Your role"</th>
                            <SortHeader
                                label="Last activity"
                                order=order(Column::Activity)
                                on_sort=turn(Column::Activity, SortOrder::Descending)
                            />
                            <th>"Now"</th>
                            <SortHeader
                                label="Size"
                                order=order(Column::Size)
                                on_sort=turn(Column::Size, SortOrder::Descending)
                                class="r desk wide"
                            />
                            <th class="desk">
                                <span class="sr">"Actions"</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        <For each=move || shown.get() key=row_key let:project>
                            <ProjectRow project=project shared=shared />
                        </For>
                    </tbody>
                </table>
                <Show when=nothing_found>
                    {move || {
                        if query.with(|query| query.trim().is_empty()) {
                            let (title, text) = scope.get().empty();
                            view! {
                                <Empty title=title text=text>
                                    <Button icon="plus" on:click=move |_| begin.run(Start::Empty)>
                                        "New project"
                                    </Button>
                                </Empty>
                            }
                                .into_any()
                        } else {
                            view! {
                                <Empty title="No project matches" text="Names and descriptions are searched.">
                                    <Button on:click=move |_| query.set(String::new())>"Show all projects"</Button>
                                </Empty>
                            }
                                .into_any()
                        }
                    }}
                </Show>
            </div>
            <div class="dash-aside">
                <Aside projects=projects />
                <MyQuota quota=lists.quota />
            </div>
        </div>
    }
    .into_any()
}

/// A row is drawn anew when anything it shows has changed.
fn row_key(project: &Project) -> (wire::ProjectId, i64, i64, i64, String, String, ProjectRole, Visibility) {
    let (name, description) = (project.name.clone(), project.description.clone());
    let work = (project.active_runs, project.pending_reviews);
    (project.id, project.updated_at.0, work.0, work.1, name, description, project.role, project.visibility)
}

#[component]
fn ProjectRow(project: Project, shared: Shared) -> impl IntoView {
    let href = format!("/projects/{}", project.id);
    let role = role_label(project.role);
    let visibility = visibility_label(project.visibility);
    let settings = format!("/projects/{}/settings", project.id);
    let navigate = use_navigate();
    let open_settings = Callback::new(move |()| navigate(&settings, leptos_router::NavigateOptions::default()));
    let menu_label = format!("Actions for {}", project.name);
    let (may_edit, may_delete) = (project.role >= ProjectRole::Owner, project.role >= ProjectRole::Owner);
    let row = StoredValue::new(project.clone());
    view! {
        <tr>
            <td class="proj-col">
                <a class="proj-name" href=href>{project.name}</a>
                <div class="t2 fs12 clip proj-about">{project.description}</div>
                <div class="t3 fs12 narrow">{format!("{role} · {visibility}")}</div>
            </td>
            <td class="fs12 t2 desk">
                <span class="nowrap">{role}</span>
                <div class="t3 nowrap">
                    {if project.role == ProjectRole::Owner { visibility.to_owned() } else { format!("of {}", project.owner.name) }}
                </div>
            </td>
            <td class="fs12 t2">
                <RelativeTime at=project.updated_at class="nowrap" />
            </td>
            <td>
                <span class="row g-2 wrap-row">
                    {(project.active_runs > 0)
                        .then(|| {
                            view! {
                                <Badge kind=BadgeKind::Running icon="loader-circle">
                                    {format!("{} running", project.active_runs)}
                                </Badge>
                            }
                        })}
                    {(project.pending_reviews > 0)
                        .then(|| {
                            view! {
                                <Badge kind=BadgeKind::Agent icon="sparkles">
                                    {format!("{} to review", project.pending_reviews)}
                                </Badge>
                            }
                        })}
                </span>
            </td>
            <td class="r t2 fs12 nowrap desk wide">
                {format::bytes(project.size_bytes)}
                <div class="t3">{format::counted(project.file_count, "file", "files")}</div>
            </td>
            <td class="r desk actions-col">
                <MenuButton label=menu_label small=true>
                    <MenuItem icon="users" on_choose=open_settings>
                        "Sharing and settings"
                    </MenuItem>
                    <MenuItem
                        icon="pencil"
                        disabled=!may_edit
                        title=(!may_edit).then(|| "Only the owner may change these".to_owned())
                        on_choose=move || shared.editing.set(Some(row.get_value()))
                    >
                        "Name and description"
                    </MenuItem>
                    <MenuItem
                        icon="download"
                        on_choose=move || row.with_value(|row| shared.exporting.set(Some((row.id, row.name.clone()))))
                    >
                        "Export"
                    </MenuItem>
                    <MenuSeparator />
                    <MenuItem
                        icon="trash-2"
                        danger=true
                        disabled=!may_delete
                        title=(!may_delete).then(|| "Only the owner may delete the project".to_owned())
                        on_choose=move || shared.deleting.set(Some(row.get_value()))
                    >
                        "Delete project"
                    </MenuItem>
                </MenuButton>
            </td>
        </tr>
    }
    .into_any()
}

/// What waits for the person, and what runs.
#[component]
fn Aside(projects: RwSignal<Vec<Project>>) -> impl IntoView {
    let waiting = Memo::new(move |_| with_positive(projects, |p| p.pending_reviews));
    let running = Memo::new(move |_| with_positive(projects, |p| p.active_runs));
    let sum = |rows: &[(Project, i64)]| rows.iter().map(|(_, n)| *n).sum::<i64>();
    view! {
        <div>
            <Show when=move || waiting.with(|rows| !rows.is_empty())>
                <section class="side-sec">
                    <h2>
                        "Waiting for you " <Count value=Signal::derive(move || waiting.with(|rows| sum(rows))) kind=BadgeKind::Agent />
                    </h2>
                    <ul class="items">
                        {move || {
                            waiting
                                .get()
                                .into_iter()
                                .map(|(project, open)| {
                                    view! {
                                        <li>
                                            <span class="c-agent mark-icon"><Icon name="git-compare" /></span>
                                            <a class="clip" href=format!("/projects/{}", project.id)>{project.name}</a>
                                            <span class="fs12 t3">{format!("{open} to review")}</span>
                                            <span class="sub">"Changes the agent proposes"</span>
                                        </li>
                                    }
                                })
                                .collect_view()
                        }}
                    </ul>
                </section>
            </Show>
            <Show when=move || running.with(|rows| !rows.is_empty())>
                <section class="side-sec">
                    <h2>"Running now " <Count value=Signal::derive(move || running.with(|rows| sum(rows))) /></h2>
                    <ul class="items">
                        {move || {
                            running
                                .get()
                                .into_iter()
                                .map(|(project, runs)| {
                                    view! {
                                        <li>
                                            <span class="c-run mark-icon"><Icon name="loader-circle" class="spin" /></span>
                                            <a class="clip" href=format!("/projects/{}", project.id)>{project.name}</a>
                                            <span class="fs12 t3">{format::counted(runs, "run", "runs")}</span>
                                        </li>
                                    }
                                })
                                .collect_view()
                        }}
                    </ul>
                </section>
            </Show>
        </div>
    }
    .into_any()
}

fn with_positive(projects: RwSignal<Vec<Project>>, number: fn(&Project) -> i64) -> Vec<(Project, i64)> {
    projects.with(|list| list.iter().map(|p| (p.clone(), number(p))).filter(|(_, n)| *n > 0).collect())
}

/// No project yet: what this is and how to begin.
#[component]
fn FirstVisit(name: String, begin: Callback<Start>) -> impl IntoView {
    view! {
        <div class="welcome">
            <h1>{format!("Welcome, {name}")}</h1>
            <p class="t2 fs14">"There is nothing here yet. Bring your own code as an archive, or begin with an empty project."</p>
            <div class="acts welcome-acts">
                <Button kind=ButtonKind::Primary size=ButtonSize::Large icon="file-plus" on:click=move |_| begin.run(Start::Empty)>
                    "New project"
                </Button>
                <Button size=ButtonSize::Large icon="file-archive" on:click=move |_| begin.run(Start::Archive)>
                    "Import zip or tar.gz"
                </Button>
            </div>
            <h2 class="sr">"How it works"</h2>
            <div class="steps">
                <div>
                    <h3><Icon name="sparkles" />"Ask"</h3>
                    <p>"Say what you want. The agent reads the project and works on a branch of its own."</p>
                </div>
                <div>
                    <h3><Icon name="git-compare" />"Review"</h3>
                    <p>"Accept, reject or edit each change. Rejected lines never touch your files."</p>
                </div>
                <div>
                    <h3><Icon name="terminal" />"Run"</h3>
                    <p>"Commands run in a sandbox without network. Their changes come back as versions you can see."</p>
                </div>
            </div>
        </div>
    }
    .into_any()
}
