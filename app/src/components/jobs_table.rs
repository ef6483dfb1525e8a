use leptos::prelude::*;
use wire::jobs::{Job, JobState};

use crate::{
    api,
    ui::{Badge, BadgeKind, Button, ButtonSize, Count, Empty, Pager, RelativeTime, SearchField, format, use_toasts},
};

const PAGE: usize = 25;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Live,
    Dead,
}

/// Jobs, newest first: those that wait and run, and those that ended. Waiting and running ones can be stopped, dead ones tried again.
#[component]
pub fn JobsTable(jobs: RwSignal<Vec<Job>>) -> impl IntoView {
    let query = RwSignal::new(String::new());
    let which = RwSignal::new(Which::All);
    let page = RwSignal::new(0_usize);
    let found = Memo::new(move |_| {
        let wanted = query.get().trim().to_lowercase();
        let which = which.get();
        jobs.with(|jobs| {
            jobs.iter()
                .filter(|job| match which {
                    Which::All => true,
                    Which::Live => !job.state.is_finished(),
                    Which::Dead => matches!(job.state, JobState::Failed | JobState::Dead),
                })
                .filter(|job| wanted.is_empty() || matches(job, &wanted))
                .cloned()
                .collect::<Vec<_>>()
        })
    });
    Effect::new(move |_| {
        query.track();
        which.track();
        page.set(0);
    });
    let live = Signal::derive(move || jobs.with(|jobs| number_of(jobs, |state| !state.is_finished())));
    let rows = move || found.get().into_iter().skip(page.get() * PAGE).take(PAGE).collect::<Vec<_>>();
    let choice = move |value: Which, label: &'static str| {
        view! {
            <button
                type="button"
                aria-pressed=move || if which.get() == value { "true" } else { "false" }
                on:click=move |_| which.set(value)
            >
                {label}
            </button>
        }
    };
    view! {
        <section class="card">
            <div class="card-head">
                <h2>"Jobs"</h2>
                <Count value=live />
                <span class="t3 fs12 desk">"waiting or running"</span>
                <span class="grow"></span>
                <span class="seg" role="group" aria-label="Which jobs">
                    {choice(Which::All, "All")}
                    {choice(Which::Live, "Live")}
                    {choice(Which::Dead, "Failed")}
                </span>
                <span class="desk head-search">
                    <SearchField label="Search jobs" bind=query />
                </span>
            </div>
            <Show
                when=move || found.with(|found| !found.is_empty())
                fallback=|| {
                    view! {
                        <div class="inset">
                            <Empty
                                title="No jobs here"
                                text="Runs, agent turns and imports appear when somebody starts them."
                            />
                        </div>
                    }
                }
            >
                <div class="over" tabindex="0" role="group" aria-label="Jobs table">
                    <table class="tbl tbl--bare">
                        <thead>
                            <tr>
                                <th>"Kind"</th>
                                <th>"State"</th>
                                <th>"For"</th>
                                <th class="r">"Try"</th>
                                <th>"Asked"</th>
                                <th class="r">"Took"</th>
                                <th>"Reason"</th>
                                <th>
                                    <span class="sr">"Actions"</span>
                                </th>
                            </tr>
                        </thead>
                        <tbody>
                            <For
                                each=rows
                                key=|job| (job.id, job.state as u8, job.attempts, job.progress.done, job.finished_at)
                                let:job
                            >
                                <JobRow job=job jobs=jobs />
                            </For>
                        </tbody>
                    </table>
                </div>
            </Show>
            <Pager page=page page_size=PAGE total=Signal::derive(move || found.with(Vec::len)) />
        </section>
    }
    .into_any()
}

/// How many jobs are in a state that `wanted` accepts.
pub fn number_of(jobs: &[Job], wanted: fn(JobState) -> bool) -> i64 {
    i64::try_from(jobs.iter().filter(|job| wanted(job.state)).count()).unwrap_or(i64::MAX)
}

fn matches(job: &Job, wanted: &str) -> bool {
    job.kind.to_lowercase().contains(wanted)
        || job.user.as_ref().is_some_and(|user| user.name.to_lowercase().contains(wanted))
        || job.error.as_ref().is_some_and(|error| error.to_lowercase().contains(wanted))
}

#[component]
fn JobRow(job: Job, jobs: RwSignal<Vec<Job>>) -> impl IntoView {
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let error = RwSignal::new(None::<String>);
    let (id, state) = (job.id, job.state);
    let took = job.started_at.map(|start| job.finished_at.unwrap_or_else(format::now).millis_since(start));
    let act = move |requeue: bool| {
        busy.set(true);
        leptos::task::spawn_local(async move {
            let answer = if requeue { api::admin::requeue_job(id).await } else { api::admin::cancel_job(id).await };
            let _ = busy.try_set(false);
            match answer {
                Ok(changed) => {
                    toasts.show(if requeue { "The job is in the queue again" } else { "The job was stopped" });
                    jobs.update(|jobs| {
                        if let Some(row) = jobs.iter_mut().find(|row| row.id == id) {
                            *row = changed;
                        }
                    });
                }
                Err(refused) => {
                    let _ = error.try_set(Some(refused.to_string()));
                }
            }
        });
    };
    let reason = job.error.clone().unwrap_or_default();
    view! {
        <tr>
            <td>
                <code class="fs12">{job.kind.clone()}</code>
            </td>
            <td>
                <StateBadge job=job.clone() />
            </td>
            <td class="nowrap">{job.user.map_or_else(|| "System".to_owned(), |user| user.name)}</td>
            <td class="r t2 nowrap">{format!("{} of {}", job.attempts, job.max_attempts)}</td>
            <td>
                <RelativeTime at=job.created_at class="t2 nowrap" />
            </td>
            <td class="r t2 nowrap">{took.map(format::duration_ms)}</td>
            <td class="t2 reason-col">
                {move || match error.get() {
                    Some(error) => view! { <span class="c-bad" role="alert">{error}</span> }.into_any(),
                    None => reason.clone().into_any(),
                }}
            </td>
            <td class="r actions-col">
                {match state {
                    JobState::Queued | JobState::Running => {
                        view! { <Button size=ButtonSize::Small busy=busy on:click=move |_| act(false)>"Stop"</Button> }.into_any()
                    }
                    JobState::Dead => {
                        view! { <Button size=ButtonSize::Small busy=busy on:click=move |_| act(true)>"Try again"</Button> }.into_any()
                    }
                    _ => ().into_any(),
                }}
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn StateBadge(job: Job) -> impl IntoView {
    let percent = (job.progress.total > 0).then(|| format!(" {}%", job.progress.done * 100 / job.progress.total));
    let (kind, icon, word) = match job.state {
        JobState::Queued => (BadgeKind::Neutral, "clock", "Queued"),
        JobState::Running => (BadgeKind::Running, "loader-circle", "Running"),
        JobState::Succeeded => (BadgeKind::Ok, "check", "Done"),
        JobState::Failed => (BadgeKind::Bad, "circle-x", "Failed"),
        JobState::Cancelled => (BadgeKind::Neutral, "square", "Stopped"),
        JobState::Dead => (BadgeKind::Warning, "triangle-alert", "Given up"),
    };
    let word = format!("{word}{}", percent.filter(|_| job.state == JobState::Running).unwrap_or_default());
    view! {
        <Badge kind=kind icon=icon>
            {word}
        </Badge>
    }
    .into_any()
}
