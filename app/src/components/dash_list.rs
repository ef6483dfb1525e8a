//! The list of projects: which of them, in which order, and a row for each. What is chosen is in the address.

use leptos::{ev, prelude::*};
use leptos_router::hooks::use_navigate;
use wire::{
    ProjectId, UserId,
    admin::Direction,
    dashboard::{Dashboard, WorkKind},
    languages::{self, Languages},
    projects::{Project, ProjectRole, Visibility},
    quotas::UserQuota,
};

use super::{
    admin_list::{ListOrder, ListSearch, Order, Place, SortLink, direction_of},
    dash_first::TrySample,
    dash_words as words,
    new_project::Start,
    share_desk::{role_label, visibility_label},
};
use crate::ui::{
    Badge, BadgeKind, Button, ButtonKind, Empty, ErrorSummary, Icon, Menu, MenuButton, MenuItem, MenuSeparator, MenuState, RelativeTime,
    format, menu::open_from,
};

/// The order without a word in the address.
const DEFAULT_ORDER: &str = "activity";
const ORDERS: [Order; 3] =
    [(DEFAULT_ORDER, "Last activity", Direction::Desc), ("name", "Name", Direction::Asc), ("size", "Size", Direction::Desc)];

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

    /// In the address, as `of`.
    fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mine => "mine",
            Self::SharedWithMe => "shared",
            Self::Public => "public",
        }
    }

    /// What the address asks for; without that, public projects where there are no others.
    fn read(word: Option<&str>, is_in_none: bool) -> Self {
        let first = if is_in_none { Self::Public } else { Self::All };
        Self::ALL.into_iter().find(|scope| Some(scope.word()) == word).unwrap_or(first)
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

/// Everything that the page shows.
#[derive(Clone, Copy)]
pub struct Lists {
    pub me: UserId,
    pub projects: RwSignal<Vec<Project>>,
    /// Public ones of others.
    pub public: RwSignal<Vec<Project>>,
    pub quota: RwSignal<UserQuota>,
    pub board: RwSignal<Dashboard>,
}

impl Lists {
    fn of(self, scope: Scope) -> Vec<Project> {
        let is_mine = |project: &Project| project.owner.id == self.me || project.role == ProjectRole::Owner;
        match scope {
            Scope::All => self.projects.get(),
            Scope::Mine => self.projects.with(|list| list.iter().filter(|project| is_mine(project)).cloned().collect()),
            Scope::SharedWithMe => self.projects.with(|list| list.iter().filter(|project| !is_mine(project)).cloned().collect()),
            Scope::Public => {
                let is_public = |project: &&Project| project.visibility == Visibility::Public;
                let own: Vec<Project> = self.projects.with(|list| list.iter().filter(is_public).cloned().collect());
                own.into_iter().chain(self.public.get()).collect()
            }
        }
    }

    /// Runs of a project and turns of the agent in it that go on now.
    fn running(self, project: &Project) -> i64 {
        let turns = self.board.with(|board| {
            let in_it = |kind: WorkKind| matches!(kind, WorkKind::Turn | WorkKind::Approval);
            board.work.iter().filter(|work| work.project_id == project.id && in_it(work.kind)).count()
        });
        project.active_runs.saturating_add(i64::try_from(turns).unwrap_or(i64::MAX))
    }
}

/// The dialogs that the rows of the list open.
#[derive(Clone, Copy)]
pub struct Shared {
    pub editing: RwSignal<Option<Project>>,
    pub deleting: RwSignal<Option<Project>>,
    pub exporting: RwSignal<Option<(ProjectId, String)>>,
}

/// The heading with every way to start a project.
#[component]
pub fn ListHead(begin: Callback<Start>, sample: TrySample) -> impl IntoView {
    let state = MenuState::new();
    view! {
        <div class="page-head">
            <h1>"Projects"</h1>
            <span class="btn-pair">
                <Button kind=ButtonKind::Primary icon="plus" on_click=move |_| begin.run(Start::Empty)>
                    "New project"
                </Button>
                <button
                    type="button"
                    class="btn btn--primary"
                    aria-label="Other ways to start"
                    title="Other ways to start"
                    aria-haspopup="menu"
                    aria-expanded=move || if state.is_open() { "true" } else { "false" }
                    on:click=move |event: ev::MouseEvent| open_from(state, &event)
                >
                    <Icon name="chevron-down" small=true />
                </button>
            </span>
            <Menu state=state label="Other ways to start">
                <MenuItem icon="file-archive" on_choose=move || begin.run(Start::Archive)>
                    "Import archive"
                </MenuItem>
                <MenuItem icon="folder-git-2" on_choose=move || begin.run(Start::Git)>
                    "Import from git"
                </MenuItem>
                <MenuItem icon="folder-up" on_choose=move || begin.run(Start::Folder)>
                    "Import a folder"
                </MenuItem>
                {sample
                    .is_there()
                    .then(|| {
                        view! {
                            <MenuSeparator />
                            <MenuItem icon="play" on_choose=move || sample.start()>
                                "Open the sample"
                            </MenuItem>
                        }
                    })}
            </Menu>
        </div>
        <ErrorSummary message=sample.failure />
    }
    .into_any()
}

#[component]
pub fn ProjectList(lists: Lists, shared: Shared, begin: Callback<Start>, sample: TrySample) -> impl IntoView {
    let place = Place::here("/");
    let is_in_none = move || lists.projects.with(Vec::is_empty);
    let scope = Memo::new(move |_| Scope::read(place.get("of").as_deref(), is_in_none()));
    let query = Memo::new(move |_| place.get("q").unwrap_or_default().trim().to_lowercase());
    let order = Memo::new(move |_| {
        let known = ORDERS.into_iter().find_map(|(sort, _, first)| Some((sort, direction_of(place, sort, DEFAULT_ORDER, first)?)));
        known.unwrap_or((DEFAULT_ORDER, Direction::Desc))
    });
    let shown = Memo::new(move |_| {
        let (list, order) = (lists.of(scope.get()), order.get());
        query.with(|query| arrange(list, query, order))
    });
    let total = move || format::counted(i64::try_from(shown.with(Vec::len)).unwrap_or(i64::MAX), "project", "projects");
    let nothing_found = move || shown.with(Vec::is_empty);
    let choice = move |which: Scope| {
        let count = Memo::new(move |_| i64::try_from(lists.of(which).len()).unwrap_or(i64::MAX));
        // What is listed without a word in the address needs none.
        let href = move || {
            let is_first = Scope::read(None, is_in_none()) == which;
            place.href(&[("of", (!is_first).then(|| which.word().to_owned()))])
        };
        view! {
            <a href=href aria-current=move || (scope.get() == which).then_some("true") data-noscroll="">
                {which.label()}
                " "
                <span class="t3 num">{move || format::count(count.get())}</span>
            </a>
        }
    };
    view! {
        <div class="filters">
            <ListSearch place=place label="Search projects" />
            <span class="seg scopes" role="group" aria-label="Which projects">
                {Scope::ALL.into_iter().map(choice).collect_view()}
            </span>
            <ListOrder place=place default=DEFAULT_ORDER orders=ORDERS.to_vec() />
            <span class="grow"></span>
            <span class="t3 fs12 desk" aria-live="polite">{total}</span>
        </div>
        <table class="tbl proj tbl--stack" hidden=nothing_found>
            <thead>
                <tr>
                    <SortLink place=place label="Project" sort="name" default=DEFAULT_ORDER first=Direction::Asc class="proj-col" />
                    <th class="desk">"Language"</th>
                    <th class="desk wide">"Your role"</th>
                    <SortLink place=place label="Last activity" sort="activity" default=DEFAULT_ORDER />
                    <th>"Now"</th>
                    <SortLink place=place label="Size" sort="size" default=DEFAULT_ORDER class="r desk wide" />
                    <th class="desk">
                        <span class="sr">"Actions"</span>
                    </th>
                </tr>
            </thead>
            <tbody>
                <For each=move || shown.get() key=row_key let:project>
                    <ProjectRow project=project lists=lists shared=shared />
                </For>
            </tbody>
        </table>
        <Show when=nothing_found>
            {move || {
                if query.with(String::is_empty) {
                    let (title, text) = scope.get().empty();
                    view! {
                        <Empty title=title text=text>
                            {if is_in_none() && sample.is_there() {
                                view! {
                                    <Button icon="play" busy=sample.busy on_click=move |_| sample.start()>
                                        "Open the sample"
                                    </Button>
                                }
                                    .into_any()
                            } else {
                                view! {
                                    <Button icon="plus" on_click=move |_| begin.run(Start::Empty)>
                                        "New project"
                                    </Button>
                                }
                                    .into_any()
                            }}
                        </Empty>
                    }
                        .into_any()
                } else {
                    view! {
                        <Empty title="No project matches" text="Names, descriptions and languages are searched.">
                            <Button on_click=move |_| place.set(&[("q", None)], false)>"Show all projects"</Button>
                        </Empty>
                    }
                        .into_any()
                }
            }}
        </Show>
    }
    .into_any()
}

/// Those that have `wanted`, in lower case, in an order.
fn arrange(mut list: Vec<Project>, wanted: &str, (sort, direction): (&str, Direction)) -> Vec<Project> {
    let has = |text: &str| text.to_lowercase().contains(wanted);
    list.retain(|p| wanted.is_empty() || has(&p.name) || has(&p.description) || p.languages.keys().any(|language| has(language)));
    list.sort_by(|a, b| match sort {
        "name" => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
        "size" => a.size_bytes.cmp(&b.size_bytes),
        _ => a.updated_at.cmp(&b.updated_at),
    });
    if direction == Direction::Desc {
        list.reverse();
    }
    list
}

/// A row is drawn anew when anything of its project has changed.
fn row_key(project: &Project) -> (ProjectId, String) {
    (project.id, format!("{project:?}"))
}

#[component]
fn ProjectRow(project: Project, lists: Lists, shared: Shared) -> impl IntoView {
    let href = format!("/projects/{}", project.id);
    let role = role_label(project.role);
    let visibility = visibility_label(project.visibility);
    let main_language = languages::shares(&project.languages).first().map(|(language, _)| (*language).to_owned());
    let facts = [Some(role.to_owned()), Some(visibility.to_owned()), main_language].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let changed_by = project.last_change.as_ref().map(|change| words::changed_by(change, lists.me));
    let row = StoredValue::new(project.clone());
    view! {
        <tr>
            <td class="proj-col">
                <a class="proj-name" href=href>
                    {project.name}
                </a>
                <div class="t2 fs12 clip proj-about">{project.description}</div>
                <div class="t3 fs12 narrow">{facts}</div>
            </td>
            <td class="desk">
                <LanguageBar languages=project.languages />
            </td>
            <td class="fs12 t2 desk wide">
                <span class="nowrap">{role}</span>
                <div class="t3 nowrap">
                    {if project.role == ProjectRole::Owner { visibility.to_owned() } else { format!("of {}", project.owner.name) }}
                </div>
            </td>
            <td class="fs12 t2 proj-when">
                {changed_by.map(|who| view! { <div class="clip proj-who desk" title=who.clone()>{who.clone()}</div> })}
                <RelativeTime at=project.updated_at class="t3 nowrap" />
            </td>
            <td class="proj-now">
                <span class="row g-2 wrap-row">
                    {move || {
                        let running = row.with_value(|row| lists.running(row));
                        (running > 0)
                            .then(|| {
                                view! {
                                    <Badge kind=BadgeKind::Running icon="loader-circle">
                                        {format!("{} running", format::count(running))}
                                    </Badge>
                                }
                            })
                    }}
                    {(project.pending_reviews > 0)
                        .then(|| {
                            view! {
                                <Badge kind=BadgeKind::Agent icon="sparkles">
                                    {format!("{} to review", format::count(project.pending_reviews))}
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
                <RowMenu row=row shared=shared />
            </td>
        </tr>
    }
    .into_any()
}

/// How much of a project is in which language: a bar to look at, the largest by name, all of them in the tooltip.
#[component]
fn LanguageBar(languages: Languages) -> impl IntoView {
    let largest = languages::shares(&languages).first().map(|(language, _)| (*language).to_owned());
    let (in_words, tooltip) = (words::languages_in_words(&languages), words::languages_in_words(&languages));
    match largest {
        None => view! { <span class="fs12 t3">"No code yet"</span> }.into_any(),
        Some(largest) => {
            let piece = |(class, percent): (&'static str, i64)| view! { <i class=class style:width=format!("{percent}%")></i> };
            view! {
                <div title=tooltip>
                    <div class="langs" aria-hidden="true">
                        {words::pieces(&languages).into_iter().map(piece).collect_view()}
                    </div>
                    <span class="fs12 t2" aria-hidden="true">
                        {largest}
                    </span>
                    <span class="sr">{in_words}</span>
                </div>
            }
            .into_any()
        }
    }
}

#[component]
fn RowMenu(row: StoredValue<Project>, shared: Shared) -> impl IntoView {
    let (label, settings, is_owner) = row
        .with_value(|row| (format!("Actions for {}", row.name), format!("/projects/{}/settings", row.id), row.role >= ProjectRole::Owner));
    let navigate = use_navigate();
    let open_settings = Callback::new(move |()| navigate(&settings, leptos_router::NavigateOptions::default()));
    view! {
        <MenuButton label=label small=true>
            <MenuItem icon="users" on_choose=open_settings>
                "Sharing and settings"
            </MenuItem>
            <MenuItem
                icon="pencil"
                disabled=!is_owner
                title=(!is_owner).then(|| "Only the owner may change these".to_owned())
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
                disabled=!is_owner
                title=(!is_owner).then(|| "Only the owner may delete the project".to_owned())
                on_choose=move || shared.deleting.set(Some(row.get_value()))
            >
                "Delete project"
            </MenuItem>
        </MenuButton>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use wire::{Micros, users::UserRef};

    use super::*;

    fn project(name: &str, language: &str, size: i64, at: i64) -> Project {
        Project {
            id: uuid::Uuid::from_u128(u128::try_from(at).unwrap()).into(),
            name: name.to_owned(),
            description: String::new(),
            visibility: Visibility::Private,
            storage_backend: "local".to_owned(),
            role: ProjectRole::Owner,
            owner: UserRef { id: uuid::Uuid::nil().into(), name: "ada".to_owned() },
            revision: 1,
            file_count: 1,
            size_bytes: size,
            active_runs: 0,
            pending_reviews: 0,
            languages: Languages::from([(language.to_owned(), size)]),
            last_change: None,
            created_at: Micros(0),
            updated_at: Micros(at),
        }
    }

    #[test]
    fn a_list_is_searched_and_turned_both_ways() {
        let all = || vec![project("beta", "Rust", 10, 3), project("Alpha", "Python", 30, 1), project("gamma", "Rust", 20, 2)];
        let names = |query: &str, order| arrange(all(), query, order).into_iter().map(|p| p.name).collect::<Vec<_>>().join(" ");
        assert_eq!(names("", ("name", Direction::Asc)), "Alpha beta gamma");
        assert_eq!(names("", (DEFAULT_ORDER, Direction::Desc)), "beta gamma Alpha");
        assert_eq!(names("rust", ("size", Direction::Desc)), "gamma beta");
        assert_eq!(names("alph", ("size", Direction::Asc)), "Alpha");
        assert_eq!(names("none of them", ("size", Direction::Asc)), "");
    }

    #[test]
    fn the_address_says_whose_projects_are_listed() {
        assert_eq!((Scope::read(None, false), Scope::read(None, true)), (Scope::All, Scope::Public));
        assert_eq!((Scope::read(Some("all"), true), Scope::read(Some("shared"), false)), (Scope::All, Scope::SharedWithMe));
        assert_eq!(Scope::read(Some("nobody's"), false), Scope::All);
    }
}
