//! What models were used for: one's own in the settings, a project's in its settings, everybody's in the administration.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    Micros, ProjectId,
    budgets::{UsageGroup, UsageQuery, UsageReport, UsageRow, format_usd},
};

use super::usage_chart::{Measure, UsageChart, UsageTable};
use crate::{
    api::{self, ApiError},
    ui::{Button, ButtonSize, Empty, Icon, PanelError, Skeleton, format},
};

/// Whose usage is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Mine,
    Project(ProjectId),
    Everybody,
}

impl Whose {
    async fn load(self, query: UsageQuery) -> Result<UsageReport, ApiError> {
        match self {
            Self::Mine => api::usage::mine(query).await,
            Self::Project(id) => api::usage::of_project(id, query).await,
            Self::Everybody => api::usage::of_all(query).await,
        }
    }

    fn groups(self) -> &'static [UsageGroup] {
        match self {
            Self::Mine => &[UsageGroup::Model, UsageGroup::Project, UsageGroup::Conversation, UsageGroup::Turn],
            Self::Project(_) => &[UsageGroup::Model, UsageGroup::User, UsageGroup::Conversation, UsageGroup::Turn],
            Self::Everybody => &[UsageGroup::Model, UsageGroup::User, UsageGroup::Project],
        }
    }
}

fn name_of(group: UsageGroup) -> &'static str {
    match group {
        UsageGroup::Day => "Day",
        UsageGroup::Model => "Model",
        UsageGroup::User => "Person",
        UsageGroup::Project => "Project",
        UsageGroup::Conversation => "Conversation",
        UsageGroup::Turn => "Turn",
        UsageGroup::Message => "Message",
    }
}

/// The day of a moment in UTC.
fn day_of(at: Micros) -> String {
    at.to_rfc3339().chars().take(10).collect()
}

/// The days that are shown, the bars and the sums by something.
#[component]
pub fn UsageCard(whose: Whose) -> impl IntoView {
    let days = RwSignal::new(30_i64);
    let group = RwSignal::new(UsageGroup::Model);
    let measure = RwSignal::new(Measure::Cost);
    let as_table = RwSignal::new(false);
    let by_day = RwSignal::new(None::<Result<UsageReport, String>>);
    let by_thing = RwSignal::new(None::<Result<UsageReport, String>>);
    let again = RwSignal::new(0_u32);
    // The row of a person or project that alone is shown; administrators choose it in the table.
    let only = RwSignal::new(None::<(UsageGroup, UsageRow)>);
    let ask = move |group_by: UsageGroup, into: RwSignal<Option<Result<UsageReport, String>>>| {
        let now = format::now();
        let from = day_of(now.plus_seconds(-86_400 * (days.get_untracked() - 1)));
        let asked = (days.get_untracked(), group.get_untracked(), only.get_untracked());
        let key_of = |group: UsageGroup| asked.2.as_ref().filter(|(of, _)| *of == group).map(|(_, row)| row.key.clone());
        let query = UsageQuery {
            from: Some(from),
            to: Some(day_of(now)),
            group_by,
            conversation: None,
            user: key_of(UsageGroup::User).and_then(|key| key.parse().ok()),
            project: key_of(UsageGroup::Project).and_then(|key| key.parse().ok()),
        };
        spawn_local(async move {
            let found = whose.load(query).await.map_err(|error| error.to_string());
            // Something else may be asked for by now, or the page be gone.
            let now = days.try_get_untracked().zip(group.try_get_untracked()).zip(only.try_get_untracked());
            if now == Some(((asked.0, asked.1), asked.2)) {
                into.set(Some(found));
            }
        });
    };
    Effect::new(move |_| {
        days.track();
        again.track();
        only.track();
        ask(UsageGroup::Day, by_day);
    });
    Effect::new(move |_| {
        days.track();
        again.track();
        only.track();
        group.track();
        ask(group.get_untracked(), by_thing);
    });
    let nothing_used =
        Memo::new(move |_| matches!(&*by_day.read(), Some(Ok(report)) if report.total.calls == 0) && only.with(Option::is_none));
    let cost = move || by_day.with(|report| report.as_ref()?.as_ref().ok().map(|report| report.total));
    let chart = move || {
        let measure = measure.get();
        by_day.get().map(|report| match report {
            Ok(report) => view! { <UsageChart report=report measure=measure as_table=as_table today=day_of(format::now()) /> }.into_any(),
            Err(reason) => failed(reason, again),
        })
    };
    let table = move || {
        by_thing.get().map(|report| match report {
            Ok(report) => {
                let group = report.group_by;
                let can_pick = whose == Whose::Everybody && matches!(group, UsageGroup::User | UsageGroup::Project);
                let pick = can_pick.then(|| Callback::new(move |row: UsageRow| only.set(Some((group, row)))));
                view! { <UsageTable rows=report.rows first=name_of(group) share=true pick=pick /> }.into_any()
            }
            Err(reason) => failed(reason, again),
        })
    };
    view! {
        <section class="card usage" aria-labelledby="usage-title">
            <div class="card-head">
                <h2 id="usage-title">"Usage of models"</h2>
                <span class="grow"></span>
                <select
                    class="select select--s"
                    aria-label="Days"
                    on:change:target=move |event| days.set(event.target().value().parse().unwrap_or(30))
                >
                    {[(7, "Last 7 days"), (30, "Last 30 days"), (90, "Last 90 days")]
                        .map(|(value, name)| {
                            view! {
                                <option value=value.to_string() selected=value == 30>
                                    {name}
                                </option>
                            }
                        })
                        .into_iter()
                        .collect_view()}
                </select>
                <select
                    class="select select--s"
                    aria-label="Measure"
                    on:change:target=move |event| {
                        measure.set(if event.target().value() == "tokens" { Measure::Tokens } else { Measure::Cost })
                    }
                >
                    <option value="cost">"Cost"</option>
                    <option value="tokens">"Tokens"</option>
                </select>
            </div>
            <Show
                when=move || !nothing_used.get()
                fallback=|| {
                    view! {
                        <Empty
                            title="No model was asked yet"
                            text="What the agent's models cost shows here by day, model and project, from the first message on."
                        />
                    }
                }
            >
                <div class="inset usage-days">
                    {move || {
                        only.get()
                            .map(|(_, row)| {
                                view! {
                                    <p class="row wrap-row" role="status">
                                        <span>{format!("Only {}", row.label)}</span>
                                        <Button size=ButtonSize::Small on:click=move |_| only.set(None)>
                                            "Show everybody"
                                        </Button>
                                    </p>
                                }
                            })
                    }}
                    {move || {
                        cost()
                            .map(|sums| {
                                let estimated = if sums.estimated_micros > 0 {
                                    format!(", {} of it estimated", format_usd(sums.estimated_micros))
                                } else {
                                    String::new()
                                };
                                view! {
                                    <p class="row wrap-row">
                                        <span class="usage-big">{format_usd(sums.cost_micros())}</span>
                                        <span class="t2 fs12">
                                            {format!(
                                                "{} in {}{estimated}",
                                                format::counted(sums.tokens(), "token", "tokens"),
                                                format::counted(sums.calls, "call", "calls"),
                                            )}
                                        </span>
                                    </p>
                                }
                            })
                    }}
                    <Show when=move || by_day.with(Option::is_some) fallback=|| view! { <Skeleton lines=6 /> }>
                        {chart}
                    </Show>
                </div>
                <div class="inset row usage-by">
                    <Icon name="list-filter" small=true />
                    <label for="usage-by">"Summed up by"</label>
                    <select
                        id="usage-by"
                        class="select select--s"
                        on:change:target=move |event| {
                            let chosen = event.target().value();
                            let found = whose.groups().iter().find(|group| name_of(**group) == chosen);
                            by_thing.set(None);
                            group.set(found.copied().unwrap_or(UsageGroup::Model));
                        }
                    >
                        {whose.groups().iter().map(|group| view! { <option value=name_of(*group)>{name_of(*group)}</option> }).collect_view()}
                    </select>
                </div>
                <Show when=move || by_thing.with(Option::is_some) fallback=|| view! { <Skeleton lines=3 /> }>
                    {table}
                </Show>
            </Show>
        </section>
    }
    .into_any()
}

fn failed(reason: String, again: RwSignal<u32>) -> AnyView {
    view! {
        <PanelError title="The usage can't be shown" text=reason>
            <Button size=ButtonSize::Small on:click=move |_| again.update(|n| *n += 1)>
                "Try again"
            </Button>
        </PanelError>
    }
    .into_any()
}
