//! What models were used for: one's own in the settings, a project's in its settings, everybody's in the administration.

use leptos::prelude::*;
use wire::{
    Micros, ProjectId, UserId,
    budgets::{UsageGroup, UsageQuery, UsageReport, UsageRow, format_usd},
};

use super::{
    admin_list::{ListFilter, Place, Remote},
    usage_chart::{Measure, UsageChart, UsageTable},
};
use crate::{
    api::{self, ApiError},
    ui::{Button, ButtonSize, Empty, Icon, PanelError, Skeleton, focus, format},
};

const DAYS: i64 = 30;

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

/// What a group is called in the address and in that of the file.
fn word_of(group: UsageGroup) -> &'static str {
    match group {
        UsageGroup::Day => "day",
        UsageGroup::Model => "model",
        UsageGroup::User => "user",
        UsageGroup::Project => "project",
        UsageGroup::Conversation => "conversation",
        UsageGroup::Turn => "turn",
        UsageGroup::Message => "message",
    }
}

/// The day of a moment in UTC.
fn day_of(at: Micros) -> String {
    at.to_rfc3339().chars().take(10).collect()
}

/// What the address asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    days: i64,
    group: UsageGroup,
    /// Alone; administrators choose them in the table.
    user: Option<UserId>,
    project: Option<ProjectId>,
}

impl Asked {
    fn read(whose: Whose, get: impl Fn(&str) -> Option<String>) -> Self {
        let of_all = |name: &str| get(name).filter(|_| whose == Whose::Everybody);
        Self {
            days: get("days").and_then(|days| days.parse().ok()).filter(|days| [7, 90].contains(days)).unwrap_or(DAYS),
            group: whose.groups().iter().copied().find(|group| get("by").as_deref() == Some(word_of(*group))).unwrap_or(UsageGroup::Model),
            user: of_all("user").and_then(|id| id.parse().ok()),
            project: of_all("project").and_then(|id| id.parse().ok()),
        }
    }

    /// Both included.
    fn days(self) -> (String, String) {
        let now = format::now();
        (day_of(now.plus_seconds(-86_400 * (self.days - 1))), day_of(now))
    }

    fn query(self, group_by: UsageGroup) -> UsageQuery {
        let (from, to) = self.days();
        UsageQuery { from: Some(from), to: Some(to), group_by, conversation: None, user: self.user, project: self.project }
    }

    /// What the table shows, as a file; for administrators.
    fn sheet(self) -> String {
        let (from, to) = self.days();
        let user = self.user.map(|id| format!("&user={id}")).unwrap_or_default();
        let project = self.project.map(|id| format!("&project={id}")).unwrap_or_default();
        format!("/api/admin/usage.csv?from={from}&to={to}&group_by={}{user}{project}", word_of(self.group))
    }

    /// Who alone is shown.
    fn only(self) -> Option<(UsageGroup, String)> {
        let user = self.user.map(|id| (UsageGroup::User, id.to_string()));
        user.or_else(|| self.project.map(|id| (UsageGroup::Project, id.to_string())))
    }
}

/// The days that are shown, the bars and the sums by something. All that is chosen is in the address.
#[component]
pub fn UsageCard(whose: Whose) -> impl IntoView {
    let place = Place::of_page();
    let asked = Memo::new(move |_| Asked::read(whose, |name| place.get(name)));
    let measure = Memo::new(move |_| if place.get("measure").as_deref() == Some("tokens") { Measure::Tokens } else { Measure::Cost });
    let as_table = RwSignal::new(false);
    let of_days = Memo::new(move |_| Asked { group: UsageGroup::Day, ..asked.get() });
    let by_day = Remote::follow(None, of_days, move |asked| whose.load(asked.query(UsageGroup::Day)));
    let by_thing = Remote::follow(None, asked, move |asked| whose.load(asked.query(asked.group)));
    let only = Memo::new(move |_| asked.get().only());
    let name = name_only(whose, asked, only);
    let everybody = move |_| place.set(&[("user", None), ("project", None)], false);
    Effect::new(move |before: Option<bool>| {
        let is_one = only.with(Option::is_some);
        if before.is_some_and(|before| before != is_one) {
            focus::recover(&["#usage-title"]);
        }
        is_one
    });
    // Its button goes with the table it stands in.
    let was_picked = StoredValue::new(false);
    Effect::new(move |_| {
        by_thing.shown.track();
        if was_picked.try_update_value(std::mem::take) == Some(true) {
            focus::recover(&["#usage-everybody", "#usage-title"]);
        }
    });
    let pick_one = Callback::new(move |(group, row): (UsageGroup, UsageRow)| {
        let (user, project) = if group == UsageGroup::User { (Some(row.key), None) } else { (None, Some(row.key)) };
        was_picked.set_value(true);
        place.set(&[("user", user), ("project", project)], false);
    });
    let nothing_used =
        Memo::new(move |_| matches!(&*by_day.shown.read(), Some(Ok(report)) if report.total.calls == 0) && only.with(Option::is_none));
    let cost = move || by_day.shown.with(|report| report.as_ref()?.as_ref().ok().map(|report| report.total));
    let chart = move || {
        let measure = measure.get();
        by_day.shown.get().map(|report| match report {
            Ok(report) => view! { <UsageChart report=report measure=measure as_table=as_table today=day_of(format::now()) /> }.into_any(),
            Err(reason) => failed(reason, by_day),
        })
    };
    let table = move || {
        by_thing.shown.get().map(|report| match report {
            Ok(report) => {
                let group = report.group_by;
                let can_pick = whose == Whose::Everybody && matches!(group, UsageGroup::User | UsageGroup::Project);
                let pick = can_pick.then(|| Callback::new(move |row: UsageRow| pick_one.run((group, row))));
                view! { <UsageTable rows=report.rows first=name_of(group) share=true pick=pick /> }.into_any()
            }
            Err(reason) => failed(reason, by_thing),
        })
    };
    let groups: Vec<_> =
        whose.groups().iter().map(|group| (if *group == UsageGroup::Model { "" } else { word_of(*group) }, name_of(*group))).collect();
    view! {
        <section class="card usage" aria-labelledby="usage-title">
            <div class="card-head">
                <h2 id="usage-title">"Usage of models"</h2>
                <span class="grow"></span>
                <ListFilter
                    place=place
                    name="days"
                    label="Days"
                    choices=vec![("7", "Last 7 days"), ("", "Last 30 days"), ("90", "Last 90 days")]
                />
                <ListFilter place=place name="measure" label="Measure" choices=vec![("", "Cost"), ("tokens", "Tokens")] />
            </div>
            <Show
                when=move || !nothing_used.get()
                fallback=|| {
                    view! {
                        <Empty
                            title="No model was asked in these days"
                            text="What the agent's models cost shows here by day, model and project, from the first message on."
                        />
                    }
                }
            >
                <div class="inset usage-days">
                    {move || {
                        only.with(Option::is_some)
                            .then(|| {
                                view! {
                                    <p class="row wrap-row" role="status">
                                        <span>{move || format!("Only {}", name.get())}</span>
                                        <Button size=ButtonSize::Small attr:id="usage-everybody" on_click=everybody>
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
                    <Show when=move || by_day.shown.with(Option::is_some) fallback=|| view! { <Skeleton lines=6 /> }>
                        {chart}
                    </Show>
                </div>
                <div class="inset row usage-by">
                    <Icon name="list-filter" small=true />
                    <label for="usage-by">"Summed up by"</label>
                    <ListFilter place=place name="by" label="Summed up by" choices=groups.clone() id="usage-by" />
                    <span class="grow"></span>
                    {(whose == Whose::Everybody)
                        .then(|| {
                            view! {
                                <a class="btn btn--s" href=move || asked.get().sheet() download="usage.csv" rel="external">
                                    <Icon name="download" small=true />
                                    "CSV"
                                </a>
                            }
                        })}
                </div>
                <Show when=move || by_thing.shown.with(Option::is_some) fallback=|| view! { <Skeleton lines=3 /> }>
                    {table}
                </Show>
            </Show>
        </section>
    }
    .into_any()
}

/// What to call who alone is shown: the address knows only the id.
fn name_only(whose: Whose, asked: Memo<Asked>, only: Memo<Option<(UsageGroup, String)>>) -> Signal<String> {
    let found = Remote::follow(None::<Option<String>>, only, move |only| {
        let query = only.map(|(group, _)| asked.get_untracked().query(group));
        async move {
            let Some(query) = query else { return Ok(None) };
            Ok(whose.load(query).await?.rows.into_iter().next().map(|row| row.label))
        }
    });
    Signal::derive(move || {
        let unnamed = if only.with(|only| matches!(only, Some((UsageGroup::Project, _)))) { "one project" } else { "one person" };
        found.get().flatten().unwrap_or_else(|| unnamed.to_owned())
    })
}

fn failed(reason: String, remote: Remote<UsageReport>) -> AnyView {
    view! {
        <PanelError title="The usage can't be shown" text=reason>
            <Button size=ButtonSize::Small on_click=move |_| remote.retry()>
                "Try again"
            </Button>
        </PanelError>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_the_address_asks_for() {
        let user = UserId(uuid::Uuid::from_u128(7));
        let id = user.to_string();
        let pairs = [("days", "90"), ("by", "user"), ("user", id.as_str())];
        let get = |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
        let asked = Asked::read(Whose::Everybody, get);
        assert_eq!(asked, Asked { days: 90, group: UsageGroup::User, user: Some(user), project: None });
        assert!(asked.sheet().ends_with(&format!("&group_by=user&user={id}")), "{}", asked.sheet());
        let own = Asked { days: 90, group: UsageGroup::Model, user: None, project: None };
        assert_eq!(Asked::read(Whose::Mine, get), own, "what only administrators choose is nothing here");
        let wrong = |name: &str| Some(format!("{name}?"));
        assert_eq!(Asked::read(Whose::Everybody, wrong), Asked { days: DAYS, ..own });
    }
}
