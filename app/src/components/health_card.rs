use leptos::prelude::*;
use wire::admin::{Check, CheckState, Health, HealthReport};

use super::admin_list::Remote;
use crate::ui::{Badge, BadgeKind, Button, ButtonSize, Icon, PanelError, RelativeTime, Skeleton, format};

/// Every part of the installation: icon, name, what was found and what to do, and the word.
#[component]
pub fn HealthCard(report: Remote<HealthReport>) -> impl IntoView {
    let body = move || match report.shown.get() {
        None => view! { <div class="inset"><Skeleton lines=6 /></div> }.into_any(),
        Some(Err(reason)) => view! {
            <div class="inset">
                <PanelError title="The checks did not answer" text=reason>
                    <Button on_click=move |_| report.retry()>"Try again"</Button>
                </PanelError>
            </div>
        }
        .into_any(),
        Some(Ok(found)) => view! {
            <ul class="health">
                {found.health.checks.into_iter().map(|check| view! { <Line check=check /> }).collect_view()}
            </ul>
        }
        .into_any(),
    };
    view! {
        <section class="card" aria-labelledby="health-title">
            <div class="card-head">
                <h2 id="health-title">"Health"</h2>
                {move || report.get().map(|report| view! { <Summary health=report.health /> })}
                <span class="grow"></span>
                <Button size=ButtonSize::Small icon="rotate-cw" on_click=move |_| report.reload()>"Check again"</Button>
            </div>
            {body}
        </section>
    }
    .into_any()
}

#[component]
fn Summary(health: Health) -> impl IntoView {
    let number = |state: CheckState| health.checks.iter().filter(|check| check.state == state).count();
    let (failed, warned) = (number(CheckState::Failed), number(CheckState::Warning));
    view! {
        {(failed > 0).then(|| view! { <Badge kind=BadgeKind::Bad icon="circle-x">{format!("{failed} failing")}</Badge> })}
        {(warned > 0).then(|| view! { <Badge kind=BadgeKind::Warning icon="triangle-alert">{format!("{warned} to look at")}</Badge> })}
        {(failed + warned == 0).then(|| view! { <Badge kind=BadgeKind::Ok icon="circle-check">"All healthy"</Badge> })}
    }
    .into_any()
}

#[component]
fn Line(check: Check) -> impl IntoView {
    let (icon, colour, word) = match check.state {
        CheckState::Ok => ("circle-check", "c-ok", "Healthy"),
        CheckState::Warning => ("triangle-alert", "c-warn", "Attention"),
        CheckState::Failed => ("circle-x", "c-bad", "Failing"),
    };
    let why = match check.advice {
        Some(advice) => format!("{} {advice}", end_sentence(&check.reason)),
        None => check.reason,
    };
    view! {
        <li>
            <span class=format!("{colour} mark-icon")>
                <Icon name=icon />
            </span>
            <b class="medium">{check.name}</b>
            <span class="why">{why}</span>
            <span class=format!("{colour} fs12 medium")>{word}</span>
        </li>
    }
    .into_any()
}

fn end_sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '?', ':']) { text.to_owned() } else { format!("{text}.") }
}

/// What operators are asked for first when something is wrong.
#[component]
pub fn ServerFacts(report: Remote<HealthReport>) -> impl IntoView {
    let body = move || {
        report.get().map(|found| {
            let queue = found.queue;
            let size = found.database_bytes.map(|bytes| format!(", {}", format::bytes(bytes))).unwrap_or_default();
            view! {
                <dl class="kv inset">
                    <dt>"Version"</dt>
                    <dd>{found.version}</dd>
                    <dt>"This process runs for"</dt>
                    <dd>{found.uptime_s.map_or_else(|| "not known".to_owned(), uptime)}</dd>
                    <dt>"Database"</dt>
                    <dd>{format!("{}{size}", found.database)}</dd>
                    <dt>"Queue"</dt>
                    <dd>
                        {format!(
                            "{} waiting, {} running, {} given up",
                            format::count(queue.queued),
                            format::count(queue.running),
                            format::count(queue.dead),
                        )}
                    </dd>
                    <dt>"Checked"</dt>
                    <dd>
                        <RelativeTime at=found.checked_at class="" />
                    </dd>
                </dl>
                <p class="hint inset">
                    "On the server, " <code>"cloudxdevai doctor"</code> " looks at the same and at the configuration, also while the server does not start."
                </p>
            }
        })
    };
    view! {
        <section class="card" aria-labelledby="server-title">
            <div class="card-head">
                <h2 id="server-title">"Server"</h2>
            </div>
            {body}
        </section>
    }
    .into_any()
}

/// `3 days 4 h`, `2 h 5 min`, `40 s`.
fn uptime(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (1.., ..) => format!("{} {hours} h", format::counted(days, "day", "days")),
        (0, 1.., _) => format!("{hours} h {minutes} min"),
        (0, 0, 1..) => format!("{minutes} min"),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptimes_are_told_in_two_units() {
        assert_eq!([40, 61, 7500, 90_000, 200_000].map(uptime), ["40 s", "1 min", "2 h 5 min", "1 day 1 h", "2 days 7 h"]);
    }
}
