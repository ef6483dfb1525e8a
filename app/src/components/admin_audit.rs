//! The audit log: found, read, verified, taken along.

use leptos::{prelude::*, task::spawn_local};
use leptos_router::location::Url;
use serde_json::Value;
use wire::{
    Micros, Page,
    audit::{AuditActorKind, AuditEntry, AuditOutcome, AuditQuery, AuditVerdict},
};

use super::admin_list::{ListFilter, ListPager, ListSearch, Place, Remote};
use crate::{
    api,
    ui::{Badge, BadgeKind, Button, Empty, Icon, PanelError, RelativeTime, Skeleton, format},
};

pub const PATH: &str = "/admin/audit";
const DAY_S: i64 = 86_400;

const GROUPS: [(&str, &str); 11] = [
    ("", "Everything"),
    ("signed_in,sign_in_refused,signed_out,session_revoked,all_sessions_revoked,refresh_reused", "Signing in and out"),
    (
        "account_created,account_changed,account_disabled,account_enabled,role_changed,account_deleted,account_exported,invitation_made,invitation_revoked",
        "Accounts",
    ),
    (
        "password_changed,password_reset_asked,password_reset,reset_link_made,second_factor_enabled,second_factor_disabled,second_factor_refused,recovery_codes_made,recovery_code_used,passkey_added,passkey_removed,identity_linked,identity_unlinked",
        "Passwords and second factors",
    ),
    ("token_made,token_revoked", "API tokens"),
    ("access_refused", "Refused"),
    (
        "settings_changed,quota_changed,budget_changed,model_provider_changed,model_changed,model_key_changed,tool_server_changed,job_cancelled,job_requeued",
        "Administration",
    ),
    ("project_opened_by_admin,project_closed_by_admin", "Projects opened by administrators"),
    (
        "project_created,project_deleted,project_restored,project_purged,visibility_changed,members_changed,owner_changed,network_rules_changed,permission_rules_changed",
        "Projects and members",
    ),
    ("run_started,run_limited,tool_called,approval_decided,changes_decided", "Runs and the agent"),
    ("audit_exported", "Exports of this log"),
];

/// What the address asks for.
pub fn query_of(get: impl Fn(&str) -> Option<String>) -> AuditQuery {
    let day = |name: &str| get(name).and_then(|day| Micros::parse_rfc3339(&format!("{day}T00:00:00Z")));
    AuditQuery {
        action: get("action"),
        user: get("user").and_then(|id| id.parse().ok()),
        project: get("project").and_then(|id| id.parse().ok()),
        from: day("from"),
        // The last day counts as well.
        to: day("to").map(|at| at.plus_seconds(DAY_S)),
        search: get("q"),
        cursor: get("cursor"),
        limit: None,
    }
}

/// The same filters for REST.
fn write_filters(query: &AuditQuery) -> String {
    let pairs = [
        ("action", query.action.clone()),
        ("user", query.user.map(|id| id.to_string())),
        ("project", query.project.map(|id| id.to_string())),
        ("from", query.from.map(Micros::to_rfc3339)),
        ("to", query.to.map(Micros::to_rfc3339)),
        ("search", query.search.clone()),
    ];
    let text: Vec<String> = pairs.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", Url::escape(&value?)))).collect();
    if text.is_empty() { String::new() } else { format!("?{}", text.join("&")) }
}

/// `Project opened by admin` of `project_opened_by_admin`.
fn sentence(word: &str) -> String {
    let text = word.replace('_', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[component]
pub fn AuditPanel(first: Option<Page<AuditEntry>>) -> impl IntoView {
    let place = Place::here(PATH);
    let key = Memo::new(move |_| query_of(|name| place.get(name)));
    let list = Remote::follow(first, key, api::audit::list);
    let body = move || {
        match list.shown.get() {
        None => view! { <div class="inset"><Skeleton lines=8 /></div> }.into_any(),
        Some(Err(reason)) => view! {
            <div class="inset">
                <PanelError title="The log can't be shown" text=reason>
                    <Button on_click=move |_| list.retry()>"Try again"</Button>
                    <a class="btn btn--ghost" href=PATH>"Show the whole log"</a>
                </PanelError>
            </div>
        }
        .into_any(),
        Some(Ok(page)) if page.items.is_empty() => view! {
            <div class="inset">
                <Empty title="No entry fits" text="Names, addresses, request ids and details are searched. Take a filter away to see more." />
            </div>
        }
        .into_any(),
        Some(Ok(page)) => view! {
            <ol class="audit" aria-label="Entries, the newest first">
                {page.items.into_iter().map(|entry| view! { <Entry place=place entry=entry /> }).collect_view()}
            </ol>
        }
        .into_any(),
    }
    };
    let of_one = move || key.with(|query| query.user.is_some() || query.project.is_some());
    let export = move |path: &'static str| move || format!("{path}{}", key.with(write_filters));
    let pages = Memo::new(move |_| list.get().map(|page| (page.items.len(), page.next_cursor)));
    view! {
        <VerifyCard />
        <section class="card" aria-labelledby="audit-title">
            <div class="card-head">
                <h2 id="audit-title">"Entries"</h2>
                <span class="grow"></span>
                <ListSearch place=place label="Search the log" />
                <a class="btn btn--s" href=export("/api/admin/audit.csv") download="audit.csv" rel="external">
                    <Icon name="download" small=true />
                    "CSV"
                </a>
                <a class="btn btn--s" href=export("/api/admin/audit/export") download="audit.jsonl" rel="external">
                    <Icon name="download" small=true />
                    "JSON lines"
                </a>
            </div>
            <div class="list-filters">
                <ListFilter place=place name="action" label="Kind of entries" choices=GROUPS.to_vec() />
                <DayField place=place name="from" label="From" />
                <DayField place=place name="to" label="To" />
                <Show when=of_one>
                    <a class="btn btn--s" href=move || place.href(&[("user", None), ("project", None)])>"Show entries of everybody"</a>
                </Show>
            </div>
            {body}
            <ListPager
                place=place
                shown=Signal::derive(move || pages.with(|pages| pages.as_ref().map_or(0, |pages| pages.0)))
                total=Signal::derive(|| None::<i64>)
                previous=Signal::derive(|| None::<String>)
                next=Signal::derive(move || pages.with(|pages| pages.as_ref().and_then(|pages| pages.1.clone())))
            />
            <Show when=move || key.with(|query| query.cursor.is_some())>
                <p class="inset fs12">
                    <a href=move || place.href(&[])>"Back to the newest"</a>
                </p>
            </Show>
        </section>
    }
    .into_any()
}

/// A day in the address.
#[component]
fn DayField(place: Place, name: &'static str, label: &'static str) -> impl IntoView {
    let value = Memo::new(move |_| place.get(name).unwrap_or_default());
    view! {
        <label class="day-field">
            <span class="t2 fs12">{label}</span>
            <input
                class="input input--s"
                type="date"
                value=value.get_untracked()
                prop:value=move || value.get()
                on:change:target=move |event| {
                    let day = event.target().value();
                    place.set(&[(name, (!day.is_empty()).then_some(day))], false);
                }
            />
        </label>
    }
    .into_any()
}

#[component]
fn VerifyCard() -> impl IntoView {
    let busy = RwSignal::new(false);
    let verdict = RwSignal::new(None::<Result<AuditVerdict, String>>);
    let verify = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            let found = api::audit::verify().await.map_err(|error| error.to_string());
            if busy.try_set(false).is_none() {
                verdict.set(Some(found));
            }
        });
    };
    let said = move || {
        verdict.get().map(|verdict| match verdict {
            Err(reason) => view! { <p class="err"><Icon name="circle-alert" small=true /><span>{reason}</span></p> }.into_any(),
            Ok(found) if found.holds => view! {
                <p>
                    <Badge kind=BadgeKind::Ok icon="shield-check">"The chain holds"</Badge>
                    {format!(" {} read, none changed or missing. Note the head elsewhere to prove it later:", format::counted(found.entries, "entry", "entries"))}
                </p>
                <code class="hash">{found.head}</code>
            }
            .into_any(),
            Ok(found) => view! {
                <p>
                    <Badge kind=BadgeKind::Bad icon="shield-x">"The chain is broken"</Badge>
                    {format!(" {}", found.problem.unwrap_or_default())}
                </p>
                <p class="t2">"Somebody changed the database by hand, or it was restored from two backups. Compare with an earlier export."</p>
            }
            .into_any(),
        })
    };
    view! {
        <section class="card" aria-labelledby="verify-title">
            <div class="card-head">
                <h2 id="verify-title">"Is the log complete?"</h2>
                <span class="grow"></span>
                <Button icon="shield-check" busy=busy on_click=verify>"Verify now"</Button>
            </div>
            <div class="inset stack" aria-live="polite">
                <p class="t2">
                    "Entries are only ever added, and each holds the hash of the one before it. Verifying reads them all; " <code>"cloudxdevai admin audit verify"</code> " does the same on the server."
                </p>
                {said}
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn Entry(place: Place, entry: AuditEntry) -> impl IntoView {
    let refused = entry.outcome == AuditOutcome::Refused;
    let who = actor_of(&entry);
    let target = entry.target.as_ref().map(|target| format!("{} {}", target.kind, target.name)).unwrap_or_default();
    let at = entry.at.to_rfc3339();
    let only = move |name: &'static str, id: String| move || place.href(&[(name, Some(id.clone()))]);
    let person = entry.actor.id.map(|id| only("user", id.to_string()));
    let project = entry.project_id.map(|id| only("project", id.to_string()));
    view! {
        <li>
            <details>
                <summary>
                    <span class="audit-what">
                        <span class="medium">{sentence(entry.action.word())}</span>
                        " "
                        <span class="t2">{target}</span>
                    </span>
                    {refused.then(|| view! { <Badge kind=BadgeKind::Bad icon="circle-x">"Refused"</Badge> })}
                    <span class="t2 audit-who">{who.clone()}</span>
                    <RelativeTime at=entry.at />
                </summary>
                <dl class="kv inset">
                    <dt>"Number"</dt>
                    <dd>{entry.seq}</dd>
                    <dt>"Time"</dt>
                    <dd>{format!("{} {} UTC", &at[..10], &at[11..19])}</dd>
                    <dt>"Who"</dt>
                    <dd>
                        {who} " "
                        {person.map(|href| view! { <a class="fs12" href=href>"Only this person"</a> })}
                    </dd>
                    {entry.actor.by.map(|by| view! { <dt>"By"</dt><dd><code>{by}</code></dd> })}
                    <dt>"Address"</dt>
                    <dd>{entry.address.unwrap_or_else(|| "none".to_owned())}</dd>
                    <dt>"Request"</dt>
                    <dd>
                        <code>{entry.request_id}</code>
                    </dd>
                    {entry
                        .target
                        .map(|target| view! { <dt>"About"</dt><dd>{format!("{} {} ", target.kind, target.name)}<code class="t3">{target.id}</code></dd> })}
                    {entry
                        .project_id
                        .zip(project)
                        .map(|(id, href)| {
                            view! {
                                <dt>"Project"</dt>
                                <dd>
                                    <code>{id.to_string()}</code>
                                    " "
                                    <a class="fs12" href=href>"Only this project"</a>
                                </dd>
                            }
                        })}
                    {details_of(&entry.details)
                        .into_iter()
                        .map(|(name, value)| view! { <dt>{sentence(&name)}</dt><dd class="wrap-any">{value}</dd> })
                        .collect_view()}
                    <dt>"Hash"</dt>
                    <dd>
                        <code class="hash">{entry.hash}</code>
                    </dd>
                    <dt>"Hash before"</dt>
                    <dd>
                        <code class="hash t3">{entry.previous}</code>
                    </dd>
                </dl>
            </details>
        </li>
    }
    .into_any()
}

fn actor_of(entry: &AuditEntry) -> String {
    let name = &entry.actor.name;
    match entry.actor.kind {
        AuditActorKind::Person => name.clone(),
        AuditActorKind::Token => format!("{name}, by an API token"),
        AuditActorKind::Agent => format!("the agent for {name}"),
        AuditActorKind::CommandLine => format!("{name} at the command line"),
        AuditActorKind::Server => "the server".to_owned(),
        AuditActorKind::Nobody if name.is_empty() => "nobody signed in".to_owned(),
        AuditActorKind::Nobody => format!("{name}, not signed in"),
    }
}

/// What the entry says besides, as names and texts.
fn details_of(details: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match details {
        Value::Object(fields) => {
            fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), text(value))).collect()
        }
        Value::Null => Vec::new(),
        other => vec![("details".to_owned(), text(other))],
    }
}

#[cfg(test)]
mod tests {
    use wire::audit::AuditAction;

    use super::*;

    #[test]
    fn every_action_is_in_one_group() {
        for action in AuditAction::ALL {
            let groups = GROUPS.iter().filter(|(words, _)| words.split(',').any(|word| word == action.word())).count();
            assert_eq!(groups, 1, "{}", action.word());
        }
        let unknown: Vec<_> = GROUPS
            .iter()
            .flat_map(|(words, _)| words.split(','))
            .filter(|word| !word.is_empty() && !AuditAction::ALL.iter().any(|action| action.word() == *word))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn the_last_day_counts() {
        let query = query_of(|name| (name == "to").then(|| "2026-11-22".to_owned()));
        assert_eq!(query.to.map(Micros::to_rfc3339).as_deref(), Some("2026-11-23T00:00:00Z"));
        assert_eq!(write_filters(&AuditQuery::default()), "");
    }

    #[test]
    fn details_are_read_as_a_list() {
        let details = serde_json::json!({ "from": "user", "count": 3, "nothing": null });
        assert_eq!(details_of(&details), [("count".to_owned(), "3".to_owned()), ("from".to_owned(), "user".to_owned())]);
        assert_eq!(sentence("project_opened_by_admin"), "Project opened by admin");
    }
}
