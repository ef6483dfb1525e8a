//! What a project's runs may reach: its rules, what the administrator offers, and what was tried.

use std::{collections::BTreeMap, time::Duration};

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    ErrorCode, ProjectId, RunId,
    network::{EgressEntry, HostRule, NetworkPolicy, UpdateNetwork},
};

use crate::{
    api::{self, ApiError},
    ui::{Badge, BadgeKind, Button, ButtonSize, Count, Empty, Icon, IconButton, Pager, RelativeTime, TextField, use_toasts},
};

const REFRESH: Duration = Duration::from_secs(5);
const PAGE: usize = 25;

/// The rule that opens one connection that was asked for.
pub fn rule_for(host: &str, port: u16) -> HostRule {
    HostRule(if matches!(port, 80 | 443) { host.to_owned() } else { format!("{host}:{port}") })
}

/// Adds a host to the project's list, whatever else is on it now.
pub async fn allow(project: ProjectId, rule: HostRule) -> Result<NetworkPolicy, ApiError> {
    let mut rules = api::network::policy(project).await?.allow;
    if !rules.iter().any(|known| known.includes(&rule)) {
        rules.push(rule);
    }
    api::network::update(project, UpdateNetwork { allow: rules }).await
}

/// What the cards share.
#[derive(Clone, Copy)]
pub struct Desk {
    project: ProjectId,
    policy: RwSignal<NetworkPolicy>,
    may_change: bool,
    busy: RwSignal<bool>,
    problem: RwSignal<Option<String>>,
    toasts: crate::ui::Toasts,
}

impl Desk {
    pub fn new(project: ProjectId, policy: NetworkPolicy, may_change: bool) -> Self {
        Self {
            project,
            policy: RwSignal::new(policy),
            may_change,
            busy: RwSignal::new(false),
            problem: RwSignal::new(None),
            toasts: use_toasts(),
        }
    }

    /// Replaces the list; `said` is the sentence, and what was there before can be had back. A field that was used is emptied.
    fn save(self, rules: Vec<HostRule>, said: String, clears: Option<RwSignal<String>>) {
        // Undo works after the page was left as well.
        if self.busy.try_get_untracked() == Some(true) {
            return;
        }
        let _ = self.busy.try_set(true);
        let _ = self.problem.try_set(None);
        let before = self.policy.try_with_untracked(|policy| policy.allow.clone()).unwrap_or_default();
        spawn_local(async move {
            let saved = api::network::update(self.project, UpdateNetwork { allow: rules }).await;
            if self.busy.try_set(false).is_some() {
                if let Err(error) = saved {
                    self.toasts.show(explain(&error));
                }
                return;
            }
            match saved {
                Ok(policy) => {
                    self.policy.set(policy);
                    if let Some(field) = clears {
                        field.set(String::new());
                    }
                    let undo = move || self.save(before.clone(), "The list is as it was".to_owned(), None);
                    self.toasts.show_with_action(said, "Undo", undo);
                }
                Err(error) => self.problem.set(Some(explain(&error))),
            }
        });
    }

    fn add(self, rule: HostRule, clears: Option<RwSignal<String>>) {
        let mut rules = self.policy.with_untracked(|policy| policy.allow.clone());
        let said = format!("Runs may reach {} now", rule.0);
        rules.push(rule);
        self.save(rules, said, clears);
    }

    fn remove(self, rule: &HostRule) {
        let rules = self.policy.with_untracked(|policy| policy.allow.iter().filter(|known| *known != rule).cloned().collect());
        self.save(rules, format!("Runs may not reach {} any more", rule.0), None);
    }

    fn is_allowed(self, rule: &HostRule) -> bool {
        self.policy.with(|policy| policy.allow.iter().any(|known| known.includes(rule)))
    }

    fn is_offered(self, rule: &HostRule) -> bool {
        self.policy.with(|policy| policy.available.iter().any(|open| open.includes(rule)))
    }
}

/// The field's own message where there is one.
fn explain(error: &ApiError) -> String {
    if error.code() == ErrorCode::Invalid
        && let Some(text) = error.field("allow")
    {
        return text;
    }
    error.to_string()
}

/// The rules of the project.
#[component]
pub fn NetworkCard(desk: Desk) -> impl IntoView {
    let policy = desk.policy;
    let rules = Memo::new(move |_| policy.with(|policy| policy.allow.clone()));
    let unavailable = Memo::new(move |_| policy.with(|policy| policy.unavailable.clone()));
    view! {
        <section class="card" aria-labelledby="network-title">
            <div class="card-head">
                <h2 id="network-title">"Network access"</h2>
                <Count value=Signal::derive(move || i64::try_from(rules.with(Vec::len)).unwrap_or(i64::MAX)) />
            </div>
            <div class="stack net-body">
                <p class="t2">
                    "Runs and terminals reach the hosts on this list and nothing else. They go through a proxy that writes down every request; addresses inside your own network stay closed. The agent can fetch pages from the same hosts."
                </p>
                {move || {
                    unavailable
                        .get()
                        .map(|text| {
                            view! {
                                <p class="row net-note" role="status">
                                    <span class="c-warn mark-icon">
                                        <Icon name="triangle-alert" small=true />
                                    </span>
                                    <span>{text}</span>
                                </p>
                            }
                        })
                }}
                <Show
                    when=move || rules.with(|rules| !rules.is_empty())
                    fallback=|| view! { <p class="strong">"No host is allowed: runs have no network."</p> }
                >
                    <ul class="net-rules" aria-label="Allowed hosts">
                        <For each=move || rules.get() key=|rule| rule.0.clone() let:rule>
                            <RuleRow desk=desk rule=rule />
                        </For>
                    </ul>
                </Show>
                <Waiting desk=desk />
                {if desk.may_change {
                    view! {
                        <AddRule desk=desk />
                        <Offers desk=desk />
                    }
                        .into_any()
                } else {
                    view! { <p class="hint">"Only the project's owner or an administrator can change this list."</p> }.into_any()
                }}
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn RuleRow(desk: Desk, rule: HostRule) -> impl IntoView {
    let meaning = match rule.parse() {
        Ok((host, port)) => {
            let ports = port.map_or("ports 443 and 80".to_owned(), |port| format!("port {port}"));
            if host.starts_with("*.") { format!("every host below it, {ports}") } else { ports }
        }
        Err(_) => String::new(),
    };
    let label = format!("Remove {}", rule.0);
    let known = StoredValue::new(rule.clone());
    let withdrawn = move || known.with_value(|rule| !desk.is_offered(rule));
    view! {
        <li>
            <code class="clip">{rule.0}</code>
            <span class="grow">
                <span class="t3 fs12">{meaning}</span>
                <Show when=withdrawn>
                    <span title="The administrator does not offer this host any more, so it has no effect">
                        <Badge kind=BadgeKind::Warning icon="triangle-alert">"Not offered any more"</Badge>
                    </span>
                </Show>
            </span>
            {desk
                .may_change
                .then(|| {
                    view! {
                        <IconButton
                            icon="trash-2"
                            label=label
                            small=true
                            disabled=desk.busy
                            on_click=move |_| known.with_value(|rule| desk.remove(rule))
                        />
                    }
                })}
        </li>
    }
    .into_any()
}

#[component]
fn AddRule(desk: Desk) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let on_submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let rule = HostRule(text.get_untracked().trim().to_ascii_lowercase());
        if let Err(reason) = rule.parse() {
            desk.problem.set(Some(reason.to_owned()));
            return;
        }
        if untrack(|| desk.is_allowed(&rule)) {
            desk.problem.set(Some(format!("{} is allowed already.", rule.0)));
            return;
        }
        desk.add(rule, Some(text));
    };
    view! {
        <form class="net-add" novalidate=true on:submit=on_submit>
            <TextField
                label="Host"
                name="host"
                bind=text
                error=desk.problem
                hint="Such as pypi.org, *.example.org or example.org:8443."
                autocomplete="off"
            />
            <Button submit=true icon="plus" busy=desk.busy>
                "Allow host"
            </Button>
        </form>
    }
    .into_any()
}

/// Hosts that came with the archive of the project, and stay closed until somebody allows them.
#[component]
fn Waiting(desk: Desk) -> impl IntoView {
    let waiting = Memo::new(move |_| {
        let names = desk.policy.with(|policy| policy.waiting.clone());
        names.into_iter().filter(|rule| !desk.is_allowed(rule)).map(|rule| rule.0).collect::<Vec<_>>()
    });
    view! {
        <Show when=move || waiting.with(|names| !names.is_empty())>
            <p class="hint">
                "Open where the archive of this project was made, and closed here: " <code>{move || waiting.with(|names| names.join(", "))}</code>
            </p>
        </Show>
    }
    .into_any()
}

/// One click for each host that the administrator offers and the project has not.
#[component]
fn Offers(desk: Desk) -> impl IntoView {
    let offers = Memo::new(move |_| {
        let available = desk.policy.with(|policy| policy.available.clone());
        available.into_iter().filter(|rule| !desk.is_allowed(rule)).collect::<Vec<_>>()
    });
    view! {
        <Show when=move || offers.with(|offers| !offers.is_empty())>
            <div class="stack">
                <span class="medium" id="net-offers">"Offered by the administrator"</span>
                <div class="row wrap-row" role="group" aria-labelledby="net-offers">
                    <For each=move || offers.get() key=|rule| rule.0.clone() let:rule>
                        {
                            let label = format!("Allow {}", rule.0);
                            let shown = rule.0.clone();
                            view! {
                                <Button
                                    size=ButtonSize::Small
                                    icon="plus"
                                    disabled=desk.busy
                                    attr:aria-label=label
                                    on_click=move |_| desk.add(rule.clone(), None)
                                >
                                    <span class="mono">{shown}</span>
                                </Button>
                            }
                        }
                    </For>
                </div>
            </div>
        </Show>
    }
    .into_any()
}

/// What was asked for, newest first. `names` are the commands and titles of known runs and terminals.
#[component]
pub fn NetworkLog(desk: Desk, names: BTreeMap<RunId, String>) -> impl IntoView {
    let refused_only = RwSignal::new(false);
    let page = RwSignal::new(0_usize);
    let names = StoredValue::new(names);
    keep_fresh(desk);
    let found = Memo::new(move |_| {
        let only = refused_only.get();
        desk.policy.with(|policy| policy.log.iter().filter(|entry| !(only && entry.allowed)).cloned().collect::<Vec<_>>())
    });
    Effect::new(move |_| {
        refused_only.track();
        page.set(0);
    });
    let rows = move || found.get().into_iter().skip(page.get() * PAGE).take(PAGE).collect::<Vec<_>>();
    view! {
        <section class="card" aria-labelledby="netlog-title">
            <div class="card-head">
                <h2 id="netlog-title">"What runs asked for"</h2>
                <span class="grow"></span>
                <label class="check fs12">
                    <input type="checkbox" prop:checked=move || refused_only.get() on:change=move |_| refused_only.update(|on| *on = !*on) />
                    "Refused only"
                </label>
            </div>
            <Show
                when=move || found.with(|found| !found.is_empty())
                fallback=move || {
                    let (title, text) = if refused_only.get() {
                        ("Nothing was refused", "Every host that runs asked for was allowed.")
                    } else {
                        ("Nothing was asked for", "When a run wants to reach a host, allowed or not, it is written down here.")
                    };
                    view! {
                        <div class="inset">
                            <Empty title=title text=text />
                        </div>
                    }
                }
            >
                <div class="over" tabindex="0" role="group" aria-label="Network log">
                    <table class="tbl tbl--bare tbl--stack">
                        <thead>
                            <tr>
                                <th>"Host"</th>
                                <th>"Result"</th>
                                <th>"Asked by"</th>
                                <th>"When"</th>
                                <th>
                                    <span class="sr">"Actions"</span>
                                </th>
                            </tr>
                        </thead>
                        <tbody>
                            <For
                                each=rows
                                key=|entry| (entry.run_id, entry.host.clone(), entry.port, entry.at, entry.allowed)
                                let:entry
                            >
                                {
                                    let name = names.with_value(|names| names.get(&entry.run_id).cloned());
                                    view! { <LogRow desk=desk entry=entry name=name /> }
                                }
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

#[component]
fn LogRow(desk: Desk, entry: EgressEntry, name: Option<String>) -> impl IntoView {
    let EgressEntry { host, port, allowed, reason, at, .. } = entry;
    let rule = StoredValue::new(rule_for(&host, port));
    let label = format!("Allow {}", rule.with_value(|rule| rule.0.clone()));
    let may_allow = move || {
        rule.with_value(|rule| !allowed && desk.may_change && rule.parse().is_ok() && !desk.is_allowed(rule) && desk.is_offered(rule))
    };
    view! {
        <tr>
            <td>
                <code class="net-host">{format!("{host}:{port}")}</code>
            </td>
            <td>
                {if allowed {
                    view! { <Badge kind=BadgeKind::Ok icon="check">"Allowed"</Badge> }
                } else {
                    view! { <Badge kind=BadgeKind::Bad icon="shield-x">"Refused"</Badge> }
                }}
                {(!allowed && !reason.is_empty()).then(|| view! { <div class="t2 fs12">{reason}</div> })}
            </td>
            <td class="net-by">
                {match name {
                    Some(name) => view! { <code class="clip fs12">{name}</code> }.into_any(),
                    None => view! { <span class="t3">"An earlier run"</span> }.into_any(),
                }}
            </td>
            <td>
                <RelativeTime at=at class="t2 nowrap" />
            </td>
            <td class="r">
                <Show when=may_allow>
                    <Button
                        size=ButtonSize::Small
                        disabled=desk.busy
                        attr:aria-label=label.clone()
                        on_click=move |_| desk.add(rule.get_value(), None)
                    >
                        "Allow"
                    </Button>
                </Show>
            </td>
        </tr>
    }
    .into_any()
}

/// The log is read again while the page is visible; a failure leaves what is shown.
fn keep_fresh(desk: Desk) {
    Effect::new(move |_| {
        let timer = set_interval_with_handle(
            move || {
                if document().hidden() || desk.busy.try_get_untracked() != Some(false) {
                    return;
                }
                spawn_local(async move {
                    if let Ok(read) = api::network::policy(desk.project).await
                        && desk.busy.try_get_untracked() == Some(false)
                        && desk.policy.try_with_untracked(|shown| *shown != read) == Some(true)
                    {
                        desk.policy.set(read);
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

#[cfg(test)]
mod tests {
    use super::rule_for;

    #[test]
    fn a_rule_names_the_port_only_where_it_is_unusual() {
        assert_eq!((rule_for("a.org", 443).0, rule_for("a.org", 8443).0), ("a.org".to_owned(), "a.org:8443".to_owned()));
    }
}
