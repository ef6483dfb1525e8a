//! The few numbers that say how the installation is.

use leptos::prelude::*;
use wire::{
    admin::{HealthReport, Overview},
    jobs::Job,
};

use super::{admin_list::Remote, health_card::HealthCard, jobs_table::StateBadge};
use crate::{
    api,
    ui::{Button, Empty, PanelError, RelativeTime, Skeleton, format},
};

const REFRESH: std::time::Duration = std::time::Duration::from_secs(10);

#[component]
pub fn OverviewPanel(first: Option<Overview>) -> impl IntoView {
    let key = Memo::new(|_| ());
    let overview = Remote::follow(first, key, |()| api::admin::overview());
    // Checks take their time where something does not answer; the page does not wait for them.
    let health = Remote::follow(None::<HealthReport>, key, |()| api::admin::health());
    overview.every(REFRESH);
    health.every(REFRESH);
    let body = move || match overview.shown.get() {
        None => view! { <Skeleton lines=6 /> }.into_any(),
        Some(Err(reason)) => view! {
            <PanelError title="The numbers can't be shown" text=reason>
                <Button on_click=move |_| overview.retry()>"Try again"</Button>
            </PanelError>
        }
        .into_any(),
        Some(Ok(found)) => view! { <Numbers found=found /> }.into_any(),
    };
    view! {
        {body}
        <HealthCard report=health />
    }
    .into_any()
}

#[component]
fn Tile(href: &'static str, label: &'static str, value: String, note: String) -> impl IntoView {
    view! {
        <a class="tile card" href=href>
            <span class="t2 fs12">{label}</span>
            <span class="usage-big num">{value}</span>
            <span class="t3 fs12">{note}</span>
        </a>
    }
    .into_any()
}

#[component]
fn Numbers(found: Overview) -> impl IntoView {
    let queue = found.queue;
    let open = found.open_accesses;
    view! {
        <div class="tiles">
            <Tile
                href="/admin/users"
                label="Users"
                value=format::count(found.users)
                note=format!(
                    "{} seen in 30 days, {}",
                    format::count(found.active_users),
                    format::counted(found.administrators, "administrator", "administrators"),
                )
            />
            <Tile
                href="/admin/users?second_factor=false&state=active"
                label="Without a second factor"
                value=format::count(found.without_second_factor)
                note=format!("{} disabled", format::count(found.disabled))
            />
            <Tile
                href="/admin/projects"
                label="Projects"
                value=format::count(found.projects)
                note=format!("{}, {} deleted", format::bytes(found.storage_bytes), format::count(found.deleted_projects))
            />
            <Tile href="/admin/usage" label="Models this month" value=format::money(found.cost_micros) note="of everybody".to_owned() />
        </div>
        {(open > 0)
            .then(|| {
                view! {
                    <p class="note-line">
                        {format!("{} open to an administrator now.", format::counted(open, "project is", "projects are"))} " "
                        <a href="/admin/audit?action=project_opened_by_admin">"See who and why"</a>
                    </p>
                }
            })}
        <div class="g2">
            <section class="card" aria-labelledby="queue-title">
                <div class="card-head">
                    <h2 id="queue-title">"Queue"</h2>
                    <span class="grow"></span>
                    <a class="fs12" href="/admin/jobs">"All jobs"</a>
                </div>
                <dl class="kv inset">
                    <dt>"Waiting"</dt>
                    <dd>{format::count(queue.queued)}</dd>
                    <dt>"Running"</dt>
                    <dd>{format::count(queue.running)}</dd>
                    <dt>"Given up, wait for you"</dt>
                    <dd>{format::count(queue.dead)}</dd>
                </dl>
            </section>
            <section class="card" aria-labelledby="failed-title">
                <div class="card-head">
                    <h2 id="failed-title">"Last failures"</h2>
                    <span class="grow"></span>
                    <a class="fs12" href="/admin/jobs?state=dead">"Given up"</a>
                </div>
                <Failures jobs=found.failed_jobs />
            </section>
        </div>
    }
    .into_any()
}

#[component]
fn Failures(jobs: Vec<Job>) -> impl IntoView {
    if jobs.is_empty() {
        return view! {
            <div class="inset">
                <Empty title="Nothing failed" text="Jobs that fail or are given up are shown here with their reason." />
            </div>
        }
        .into_any();
    }
    view! {
        <ul class="failures">
            {jobs
                .into_iter()
                .map(|job| {
                    let href = format!("/admin/jobs?q={}", job.id);
                    view! {
                        <li>
                            <StateBadge job=job.clone() />
                            <a class="plain" href=href>
                                <code class="fs12">{job.kind.clone()}</code>
                            </a>
                            <span class="clip t2 grow">{job.error.clone().unwrap_or_default()}</span>
                            <RelativeTime at=job.created_at />
                        </li>
                    }
                })
                .collect_view()}
        </ul>
    }
    .into_any()
}
