use leptos::prelude::*;
use wire::admin::{Check, CheckState, Health};

use crate::ui::{Badge, BadgeKind, Icon};

/// Every part of the installation: icon, name, what was found and what to do, and the word.
#[component]
pub fn HealthCard(#[prop(into)] health: Signal<Health>) -> impl IntoView {
    let number = move |state: CheckState| health.with(|h| h.checks.iter().filter(|c| c.state == state).count());
    view! {
        <section class="card">
            <div class="card-head">
                <h2>"Health"</h2>
                {move || {
                    let failed = number(CheckState::Failed);
                    (failed > 0).then(|| view! { <Badge kind=BadgeKind::Bad icon="circle-x">{format!("{failed} failing")}</Badge> })
                }}
                {move || {
                    let warned = number(CheckState::Warning);
                    (warned > 0)
                        .then(|| view! { <Badge kind=BadgeKind::Warning icon="triangle-alert">{format!("{warned} to look at")}</Badge> })
                }}
                {move || {
                    (number(CheckState::Ok) == health.with(|h| h.checks.len()))
                        .then(|| view! { <Badge kind=BadgeKind::Ok icon="circle-check">"All healthy"</Badge> })
                }}
            </div>
            <ul class="health">
                {move || health.get().checks.into_iter().map(|check| view! { <Line check=check /> }).collect_view()}
            </ul>
        </section>
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
