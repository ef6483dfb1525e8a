use std::time::Duration;

use leptos::prelude::*;
use leptos_meta::Title;
use wire::{dashboard::FirstPage, projects::Project, users::User};

use crate::{
    api::{self, ApiError},
    components::{
        dash_first::{FirstVisit, TrySample},
        dash_list::{ListHead, Lists, ProjectList, Shared},
        dash_recent::RecentConversations,
        dash_side::{Month, Running, Waiting},
        export_panel::ExportDialog,
        guard::{Guarded, PageFailed},
        new_project::{NewProjectDialog, Start},
        project_dialogs::{DeleteProjectDialog, EditProjectDialog},
        quota_meters::MyQuota,
        topbar::{Place, Topbar},
    },
    live::Live,
};

/// How often everything is read again while the page is visible.
const REFRESH: Duration = Duration::from_secs(10);

/// The person's projects.
#[component]
pub fn DashboardPage() -> impl IntoView {
    Live::provide();
    let render = |user: User, loaded: Result<FirstPage, ApiError>| match loaded {
        Ok(loaded) => view! { <Dashboard user=user loaded=loaded /> }.into_any(),
        Err(error) => view! { <Topbar user=user place=Place::Projects /><PageFailed error=error /> }.into_any(),
    };
    view! {
        <Title text="Projects" />
        <div class="page">
            <Guarded load=api::dashboard::mine render=render />
        </div>
    }
    .into_any()
}

#[component]
fn Dashboard(user: User, loaded: FirstPage) -> impl IntoView {
    let FirstPage { projects, public, quota, board } = loaded;
    let first_name = user.display_name().split_whitespace().next().unwrap_or_default().to_owned();
    let sample = TrySample::new(board.sample);
    let projects = RwSignal::new(projects);
    let (public, quota, board) = (RwSignal::new(public), RwSignal::new(quota), RwSignal::new(board));
    let lists = Lists { me: user.id, projects, public, quota, board };
    let dialog = RwSignal::new(false);
    let start = RwSignal::new(Start::Empty);
    let shared = Shared { editing: RwSignal::new(None), deleting: RwSignal::new(None), exporting: RwSignal::new(None) };
    let begin = Callback::new(move |with: Start| {
        start.set(with);
        dialog.set(true);
    });
    keep_fresh(lists);
    let changed = Callback::new(move |()| read_again(lists));
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
                    view! {
                        <ListHead begin=begin sample=sample />
                        <div class="cols">
                            <div class="dash-main">
                                <ProjectList lists=lists shared=shared begin=begin sample=sample />
                                <RecentConversations board=board />
                            </div>
                            <div class="dash-aside">
                                <Waiting board=board />
                                <Running board=board changed=changed />
                                <Month board=board />
                                <MyQuota quota=quota />
                            </div>
                        </div>
                    }
                        .into_any()
                } else {
                    view! { <FirstVisit name=first_name.clone() begin=begin sample=sample /> }.into_any()
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

/// Reads everything again; a failure leaves what is shown.
fn read_again(lists: Lists) {
    leptos::task::spawn_local(async move {
        if let Ok(FirstPage { projects, public, quota, board }) = api::dashboard::mine().await {
            put(lists.projects, projects);
            put(lists.public, public);
            put(lists.quota, quota);
            put(lists.board, board);
        }
    });
}

/// Reads again now and then, while the page is visible.
fn keep_fresh(lists: Lists) {
    Effect::new(move |_| {
        let timer = set_interval_with_handle(
            move || {
                if !document().hidden() {
                    read_again(lists);
                }
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
