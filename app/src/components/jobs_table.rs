use std::{sync::Arc, time::Duration};

use leptos::{prelude::*, task::spawn_local};
use wire::{
    admin::{JobQuery, Listed},
    jobs::{Job, JobState},
};

use super::{
    admin_confirm::{Ask, ConfirmDialog},
    admin_list::{CsvLink, ListError, ListFilter, ListSearch, Place, Remote, no_rows, pager_of},
};
use crate::{
    api,
    ui::{Badge, BadgeKind, Button, ButtonSize, Count, RelativeTime, focus::RowFocus, format, use_toasts},
};

pub const PATH: &str = "/admin/jobs";
const REFRESH: Duration = Duration::from_secs(3);

const KINDS: [(&str, &str); 12] = [
    ("", "All kinds"),
    ("agent_turn", "Agent turns"),
    ("codegen", "Code generation"),
    ("sandbox_exec", "Commands"),
    ("test_runner", "Tests"),
    ("terminal", "Terminals"),
    ("import", "Imports"),
    ("git_import", "Imports from git"),
    ("export", "Exports"),
    ("move_storage", "Moves of storage"),
    ("cleanup", "Cleanup"),
    ("usage_rollup", "Sums of usage"),
];

const STATES: [(&str, &str); 8] = [
    ("", "All states"),
    ("live", "Waiting or running"),
    ("queued", "Waiting"),
    ("running", "Running"),
    ("succeeded", "Done"),
    ("failed", "Failed"),
    ("dead", "Given up"),
    ("cancelled", "Stopped"),
];

/// What the address asks for.
pub fn query_of(get: impl Fn(&str) -> Option<String>) -> JobQuery {
    let state = get("state");
    JobQuery {
        search: get("q"),
        state: match state.as_deref() {
            Some("queued") => Some(JobState::Queued),
            Some("running") => Some(JobState::Running),
            Some("succeeded") => Some(JobState::Succeeded),
            Some("failed") => Some(JobState::Failed),
            Some("dead") => Some(JobState::Dead),
            Some("cancelled") => Some(JobState::Cancelled),
            _ => None,
        },
        live: (state.as_deref() == Some("live")).then_some(true),
        kind: get("kind").filter(|kind| KINDS.iter().any(|(known, _)| known == kind)),
        user: get("user").and_then(|id| id.parse().ok()),
        project: get("project").and_then(|id| id.parse().ok()),
        cursor: get("cursor"),
        limit: None,
    }
}

/// Jobs, newest first: those that wait and run, and those that ended. Waiting and running ones can be stopped, dead ones tried again.
#[component]
pub fn JobsTable(first: Option<Listed<Job>>) -> impl IntoView {
    let place = Place::here(PATH);
    let key = Memo::new(move |_| query_of(|name| place.get(name)));
    let list = Remote::follow(first, key, api::admin::jobs);
    list.every(REFRESH);
    let error = RwSignal::new(None::<String>);
    let ask = RwSignal::new(None::<Ask>);
    let toasts = use_toasts();
    let requeue = Callback::new(move |()| {
        error.set(None);
        spawn_local(async move {
            match api::admin::requeue_dead().await {
                Ok(done) => {
                    let jobs = i64::try_from(done.jobs.len()).unwrap_or(i64::MAX);
                    toasts.show(format!("{} in the queue again", format::counted(jobs, "job is", "jobs are")));
                    list.reload();
                }
                Err(refused) => drop(error.try_set(Some(refused.to_string()))),
            }
        });
    });
    let ask_requeue = move |_| {
        ask.set(Some(Ask {
            title: "Try all jobs again that were given up?".to_owned(),
            text: "Each gets fresh attempts and goes to the end of its owner's queue. Look at their errors first: what failed for good fails again."
                .to_owned(),
            verb: "Try all again",
            run: Arc::new(move || requeue.run(())),
        }));
    };
    // A job that is stopped loses its button.
    let rows = RowFocus::new("#jobs", move || list.shown.track());
    let of_one = move || key.with(|query| query.user.is_some() || query.project.is_some());
    view! {
        <section class="card" id="jobs" aria-labelledby="jobs-title">
            <div class="card-head">
                <h2 id="jobs-title">"Jobs"</h2>
                <Count value=Signal::derive(move || list.total()) />
                <span class="grow"></span>
                <ListSearch place=place label="Search jobs" />
                <CsvLink query=key path="/api/admin/jobs.csv" name="jobs.csv" />
                <Button icon="rotate-cw" on_click=ask_requeue>"Try all given up again"</Button>
            </div>
            <div class="list-filters">
                <ListFilter place=place name="state" label="State of the jobs" choices=STATES.to_vec() />
                <ListFilter place=place name="kind" label="Kind of the jobs" choices=KINDS.to_vec() />
                <Show when=of_one>
                    <a class="btn btn--s" href=move || place.href(&[("user", None), ("project", None)])>"Show jobs of everybody"</a>
                </Show>
            </div>
            <ListError error=error />
            <Show
                when=move || list.has_items()
                fallback=move || no_rows(list, place, "No jobs here", "Runs, agent turns and imports appear when somebody starts them.")
            >
                <div
                    class="over"
                    tabindex="0"
                    role="group"
                    aria-label="Jobs table"
                    aria-busy=move || list.busy.get().then_some("true")
                    on:focusin=move |event| rows.note(&event)
                >
                    <table class="tbl tbl--bare tbl--cards" role="table">
                        <thead role="rowgroup">
                            <tr role="row">
                                <th scope="col" role="columnheader">"Kind"</th>
                                <th scope="col" role="columnheader">"State"</th>
                                <th scope="col" role="columnheader">"For"</th>
                                <th scope="col" role="columnheader" class="r">"Try"</th>
                                <th scope="col" role="columnheader">"Asked"</th>
                                <th scope="col" role="columnheader" class="r">"Took"</th>
                                <th scope="col" role="columnheader">"Reason"</th>
                                <th scope="col" role="columnheader">
                                    <span class="sr">"Actions"</span>
                                </th>
                            </tr>
                        </thead>
                        <tbody role="rowgroup">
                            <For
                                each=move || list.items()
                                key=|job| job.id
                                let:job
                            >
                                <JobRow place=place first=job list=list ask=ask />
                            </For>
                        </tbody>
                    </table>
                </div>
            </Show>
            {pager_of(list, place)}
        </section>
        <ConfirmDialog ask=ask />
    }
    .into_any()
}

#[component]
fn JobRow(place: Place, first: Job, list: Remote<Listed<Job>>, ask: RwSignal<Option<Ask>>) -> impl IntoView {
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let error = RwSignal::new(None::<String>);
    let (id, kind, created, user) = (first.id, first.kind.clone(), first.created_at, first.user.clone());
    let job = list.row(first, move |row| row.id == id);
    let state = Memo::new(move |_| job.with(|job| job.state));
    let act = move |requeue: bool| {
        // By the answer to a question, the row may be on another page.
        let _ = busy.try_set(true);
        let _ = error.try_set(None);
        spawn_local(async move {
            let answer = if requeue { api::admin::requeue_job(id).await } else { api::admin::cancel_job(id).await };
            let _ = busy.try_set(false);
            match answer {
                Ok(changed) => {
                    toasts.show(if requeue { "The job is in the queue again" } else { "The job was stopped" });
                    list.put(|row| row.id == id, move |row| *row = changed);
                }
                Err(refused) => {
                    if error.try_set(Some(refused.to_string())).is_some() {
                        toasts.show(refused.to_string());
                    }
                }
            }
        });
    };
    let ask_stop = move |_| {
        let text = job.with_untracked(|job| match (job.state, &job.user) {
            (JobState::Queued, Some(user)) => format!("It leaves the queue without having begun. {} can ask for it again.", user.name),
            (_, Some(user)) => {
                format!(
                    "It ends within seconds and can't go on from where it was. {} sees that it was stopped and can ask for it again.",
                    user.name
                )
            }
            (_, None) => "It ends within seconds and can't go on from where it was.".to_owned(),
        });
        let title = job.with_untracked(|job| match &job.user {
            Some(user) => format!("Stop this job of {}?", user.name),
            None => "Stop this job of the server?".to_owned(),
        });
        ask.set(Some(Ask { title, text, verb: "Stop the job", run: Arc::new(move || act(false)) }));
    };
    let took = move || {
        job.with(|job| job.started_at.map(|start| format::duration_ms(job.finished_at.unwrap_or_else(format::now).millis_since(start))))
    };
    let whose = match user {
        Some(user) => {
            let id = user.id.to_string();
            let href = move || place.href(&[("user", Some(id.clone()))]);
            view! { <a class="plain" href=href>{user.name}</a> }.into_any()
        }
        None => "System".into_any(),
    };
    let buttons = move || match state.get() {
        JobState::Queued | JobState::Running => {
            view! { <Button size=ButtonSize::Small busy=busy on_click=ask_stop>"Stop"</Button> }.into_any()
        }
        JobState::Dead => view! { <Button size=ButtonSize::Small busy=busy on_click=move |_| act(true)>"Try again"</Button> }.into_any(),
        _ => ().into_any(),
    };
    view! {
        <tr role="row">
            <td role="cell">
                <code class="fs12" title=id.to_string()>{kind}</code>
            </td>
            <td role="cell" data-label="State">{move || view! { <StateBadge job=job.get() /> }}</td>
            <td role="cell" class="nowrap" data-label="For">{whose}</td>
            <td role="cell" class="r t2 nowrap" data-label="Try">{move || job.with(|job| format!("{} of {}", job.attempts, job.max_attempts))}</td>
            <td role="cell" data-label="Asked">
                <RelativeTime at=created class="t2 nowrap" />
            </td>
            <td role="cell" class="r t2 nowrap" data-label="Took">{took}</td>
            <td role="cell" class="t2 reason-col" data-label="Reason">
                {move || match error.get() {
                    Some(error) => view! { <span class="c-bad" role="alert">{error}</span> }.into_any(),
                    None => job.with(|job| job.error.clone().unwrap_or_else(|| "–".to_owned())).into_any(),
                }}
            </td>
            <td role="cell" class="r actions-col">{buttons}</td>
        </tr>
    }
    .into_any()
}

#[component]
pub fn StateBadge(job: Job) -> impl IntoView {
    let percent = (job.progress.total > 0).then(|| format!(" {}%", job.progress.done * 100 / job.progress.total));
    let (kind, icon, word) = match job.state {
        JobState::Queued => (BadgeKind::Neutral, "clock", "Waiting"),
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
