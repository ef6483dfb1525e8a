//! What the agent may do in a project without asking: the rules, what always asks, and a new rule.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    ErrorCode, ProjectId,
    permissions::{NewPermissionRule, PermissionEffect, PermissionRule, Permissions},
};

use crate::{
    api::{self, ApiError},
    ui::{Badge, BadgeKind, Button, Count, Icon, IconButton, RelativeTime, TextField, Toasts, use_toasts},
};

/// What a rule of the form is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Command,
    Path,
    Host,
    Tool,
}

/// The tools that a rule about paths can be kept to: those that name files.
const PATH_TOOLS: [&str; 7] = ["read_file", "write_file", "edit_file", "move_file", "delete_file", "list_files", "search"];
const FETCH_TOOL: &str = "web_fetch";

impl About {
    fn read(word: &str) -> Self {
        match word {
            "path" => Self::Path,
            "host" => Self::Host,
            "tool" => Self::Tool,
            _ => Self::Command,
        }
    }
}

/// What the cards share.
#[derive(Clone, Copy)]
pub struct PermissionDesk {
    pub project: ProjectId,
    list: RwSignal<Permissions>,
    /// The rule in the form, tried together with the others.
    pub draft: RwSignal<Option<NewPermissionRule>>,
    /// Counts up with every change of the rules.
    pub changes: RwSignal<u32>,
    busy: RwSignal<bool>,
    problem: RwSignal<Option<String>>,
    toasts: Toasts,
}

impl PermissionDesk {
    pub fn new(project: ProjectId, list: Permissions) -> Self {
        Self {
            project,
            list: RwSignal::new(list),
            draft: RwSignal::new(None),
            changes: RwSignal::new(0),
            busy: RwSignal::new(false),
            problem: RwSignal::new(None),
            toasts: use_toasts(),
        }
    }

    /// The rule of that id, in words. Tracks the rules.
    pub fn label_of(self, id: wire::PermissionRuleId) -> Option<String> {
        self.list.with(|list| list.rules.iter().find(|rule| rule.id == id).map(PermissionRule::label))
    }

    fn add(self, rule: NewPermissionRule, clears: Option<RwSignal<String>>) {
        self.change(async move {
            let added = api::permissions::add(self.project, rule).await?;
            if let Some(field) = clears {
                field.try_set(String::new());
            }
            Ok((format!("Added the rule {}", added.label()), None))
        });
    }

    fn revoke(self, rule: PermissionRule) {
        self.change(async move {
            api::permissions::revoke(self.project, rule.id).await?;
            let PermissionRule { effect, tool, command_pattern, path_pattern, .. } = rule.clone();
            let again = NewPermissionRule { effect, tool, command_pattern, path_pattern };
            Ok((format!("Revoked the rule {}", rule.label()), Some(again)))
        });
    }

    /// Takes a rule that came with an archive off the list. It held nothing, so there is nothing to have back.
    fn dismiss(self, rule: PermissionRule) {
        self.change(async move {
            api::permissions::revoke(self.project, rule.id).await?;
            Ok((format!("Took {} off the list", rule.label()), None))
        });
    }

    /// Does one change, reads the rules again, and says the sentence; what was revoked can be had back.
    fn change(self, work: impl Future<Output = Result<(String, Option<NewPermissionRule>), ApiError>> + 'static) {
        // Undo works after the page was left as well.
        if self.busy.try_get_untracked() == Some(true) {
            return;
        }
        let _ = self.busy.try_set(true);
        let _ = self.problem.try_set(None);
        spawn_local(async move {
            let done = work.await;
            let read = api::permissions::list(self.project).await;
            if self.busy.try_set(false).is_some() {
                if let Err(error) = done {
                    self.toasts.show(explain(&error));
                }
                return;
            }
            if let Ok(list) = read {
                self.list.set(list);
                self.changes.update(|changes| *changes += 1);
            }
            match done {
                Ok((said, Some(again))) => {
                    self.toasts.show_with_action(said, "Undo", move || self.add(again.clone(), None));
                }
                Ok((said, None)) => self.toasts.show(said),
                Err(error) => self.problem.set(Some(explain(&error))),
            }
        });
    }
}

/// The field's own message where there is one.
pub fn explain(error: &ApiError) -> String {
    let fields = ["command_pattern", "path_pattern", "tool"].iter().find_map(|field| error.field(field));
    fields.filter(|_| error.code() == ErrorCode::Invalid).unwrap_or_else(|| error.to_string())
}

fn effect_badge(effect: PermissionEffect) -> AnyView {
    match effect {
        PermissionEffect::Allow => view! { <Badge kind=BadgeKind::Ok icon="check">"Allow"</Badge> }.into_any(),
        PermissionEffect::Ask => view! { <Badge kind=BadgeKind::Warning icon="hand">"Ask"</Badge> }.into_any(),
        PermissionEffect::Deny => view! { <Badge kind=BadgeKind::Bad icon="shield-x">"Deny"</Badge> }.into_any(),
    }
}

/// The rules of the project.
#[component]
pub fn PermissionCard(desk: PermissionDesk) -> impl IntoView {
    let rules = Memo::new(move |_| desk.list.with(|list| list.rules.clone()));
    let may_change = desk.list.with_untracked(|list| list.may_change);
    view! {
        <section class="card" aria-labelledby="permissions-title">
            <div class="card-head">
                <h2 id="permissions-title">"What the agent may do"</h2>
                <Count value=Signal::derive(move || i64::try_from(rules.with(Vec::len)).unwrap_or(i64::MAX)) />
            </div>
            <div class="stack net-body">
                <p class="t2">
                    "In “Ask first” the agent waits for you before it runs a command. Rules spare the question, or forbid what nobody should be asked about. They hold for everybody who works with the agent in this project; of the rules that match, the strictest wins."
                </p>
                <Show
                    when=move || rules.with(|rules| !rules.is_empty())
                    fallback=|| {
                        view! {
                            <p class="strong">
                                "No rules yet. Choose “Always allow…” when the agent asks, or add one here."
                            </p>
                        }
                    }
                >
                    <ul class="net-rules perm-rules" aria-label="Rules">
                        <For each=move || rules.get() key=|rule| rule.id let:rule>
                            <RuleRow desk=desk rule=rule may_change=may_change />
                        </For>
                    </ul>
                </Show>
                <WaitingRules desk=desk may_change=may_change />
                {if may_change {
                    view! { <AddRule desk=desk /> }.into_any()
                } else {
                    view! { <p class="hint">"Editors of the project can change these rules."</p> }.into_any()
                }}
                <BuiltIn desk=desk />
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn RuleRow(desk: PermissionDesk, rule: PermissionRule, may_change: bool) -> impl IntoView {
    let label = format!("Revoke {}", rule.label());
    let by = rule.created_by.as_ref().map(|by| by.name.clone()).unwrap_or_else(|| "Somebody who is gone".to_owned());
    let what = match (&rule.command_pattern, &rule.path_pattern) {
        (Some(_), _) => "command",
        (None, Some(_)) if rule.tool.as_deref() == Some(FETCH_TOOL) => "host",
        (None, Some(_)) => "path",
        (None, None) => "tool",
    };
    let shown = rule.command_pattern.clone().or(rule.path_pattern.clone()).or(rule.tool.clone()).unwrap_or_default();
    let tool = rule.tool.clone().filter(|tool| *tool != shown && tool != "run_command");
    let (effect, at) = (rule.effect, rule.created_at);
    let kept = StoredValue::new(rule);
    view! {
        <li>
            {effect_badge(effect)}
            <span class="perm-what">
                <code>{shown}</code>
                <span class="t3 fs12">{what} {tool.map(|tool| format!(", {tool} only"))}</span>
            </span>
            <span class="grow t3 fs12 perm-by">{by} ", " <RelativeTime at=at /></span>
            {may_change
                .then(|| {
                    view! { <IconButton icon="trash-2" label=label small=true disabled=desk.busy on_click=move |_| desk.revoke(kept.get_value()) /> }
                })}
        </li>
    }
    .into_any()
}

/// Rules that came with the archive of the project and allow something: they hold once somebody here adds them.
#[component]
fn WaitingRules(desk: PermissionDesk, may_change: bool) -> impl IntoView {
    let waiting = Memo::new(move |_| desk.list.with(|list| list.waiting.clone()));
    view! {
        <Show when=move || waiting.with(|rules| !rules.is_empty())>
            <div class="stack">
                <span class="medium" id="permissions-waiting">
                    "Came with the archive and not in force"
                </span>
                <ul class="net-rules perm-rules" aria-labelledby="permissions-waiting">
                    <For each=move || waiting.get() key=|rule| rule.id let:rule>
                        <WaitingRow desk=desk rule=rule may_change=may_change />
                    </For>
                </ul>
            </div>
        </Show>
    }
    .into_any()
}

#[component]
fn WaitingRow(desk: PermissionDesk, rule: PermissionRule, may_change: bool) -> impl IntoView {
    let shown = rule.label();
    let (add_label, drop_label) = (format!("Add the rule {shown}"), format!("Take {shown} off the list"));
    let effect = rule.effect;
    let kept = StoredValue::new(rule);
    let add = move |_| {
        let PermissionRule { effect, tool, command_pattern, path_pattern, .. } = kept.get_value();
        desk.add(NewPermissionRule { effect, tool, command_pattern, path_pattern }, None);
    };
    view! {
        <li>
            {effect_badge(effect)}
            <span class="perm-what grow">
                <code>{shown}</code>
            </span>
            {may_change
                .then(|| {
                    view! {
                        <IconButton icon="plus" label=add_label small=true disabled=desk.busy on_click=add />
                        <IconButton icon="x" label=drop_label small=true disabled=desk.busy on_click=move |_| desk.dismiss(kept.get_value()) />
                    }
                })}
        </li>
    }
    .into_any()
}

#[component]
fn AddRule(desk: PermissionDesk) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let effect = RwSignal::new(PermissionEffect::Allow);
    let about = RwSignal::new(About::Command);
    // Empty for any.
    let tool = RwSignal::new(String::new());
    let rule = Memo::new(move |_| {
        // Without its pattern the rule would be about the tool as a whole.
        let pattern = Some(text.get()).filter(|text| !text.trim().is_empty());
        let kept_to = |tool: String| pattern.is_some().then_some(tool);
        let none = NewPermissionRule { effect: effect.get(), tool: None, command_pattern: None, path_pattern: None };
        match about.get() {
            About::Command => NewPermissionRule { command_pattern: pattern, ..none },
            About::Path => NewPermissionRule { tool: kept_to(tool.get()), path_pattern: pattern, ..none },
            // Hosts are judged in lower case.
            About::Host => {
                NewPermissionRule { tool: kept_to(FETCH_TOOL.to_owned()), path_pattern: pattern.map(|host| host.to_lowercase()), ..none }
            }
            About::Tool => NewPermissionRule { tool: pattern, ..none },
        }
        .normalise()
    });
    Effect::new(move |_| desk.draft.set(Some(rule.get()).filter(|rule| rule.validate().is_empty())));
    let on_submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let rule = rule.get_untracked();
        match rule.validate().into_iter().next() {
            Some(wrong) => desk.problem.set(Some(wrong.message)),
            None => desk.add(rule, Some(text)),
        }
    };
    let hint = move || match about.get() {
        About::Command => "Such as cargo test, or cargo test * for any further words. Each part of a command with && or | needs a rule.",
        About::Path => "Such as docs/** or **/*.md, for the tools that read and write files, or only for the one that you choose.",
        About::Host => "Such as docs.example.org, or *.example.org for all that end so: the pages that web_fetch may fetch.",
        About::Tool => "Such as edit_file, or the beginning of a name and *.",
    };
    view! {
        <form class="perm-add" class:perm-add--tool=move || about.get() == About::Path novalidate=true on:submit=on_submit>
            <select
                class="select"
                aria-label="What the rule does"
                on:change:target=move |ev| effect.set(match ev.target().value().as_str() {
                    "ask" => PermissionEffect::Ask,
                    "deny" => PermissionEffect::Deny,
                    _ => PermissionEffect::Allow,
                })
            >
                <option value="allow">"Allow"</option>
                <option value="ask">"Ask"</option>
                <option value="deny">"Deny"</option>
            </select>
            <select class="select" aria-label="What the rule is about" on:change:target=move |ev| about.set(About::read(&ev.target().value()))>
                <option value="command">"Command"</option>
                <option value="path">"Path"</option>
                <option value="host">"Host"</option>
                <option value="tool">"Tool"</option>
            </select>
            <select
                class="select"
                aria-label="Which tool the path is for"
                hidden=move || about.get() != About::Path
                on:change:target=move |ev| tool.set(ev.target().value())
            >
                <option value="">"Any tool"</option>
                {PATH_TOOLS.into_iter().map(|name| view! { <option value=name>{name}</option> }).collect_view()}
            </select>
            <TextField label="Pattern" name="pattern" bind=text error=desk.problem autocomplete="off" />
            <Button submit=true icon="plus" busy=desk.busy>
                "Add rule"
            </Button>
        </form>
        <p class="hint">{hint}</p>
    }
    .into_any()
}

/// What no rule and no mode can open.
#[component]
fn BuiltIn(desk: PermissionDesk) -> impl IntoView {
    let groups = desk.list.with_untracked(|list| list.built_in.clone());
    let group = |group: wire::permissions::BuiltInRule| {
        view! {
            <dt>{group.title}</dt>
            <dd>
                <code>{group.patterns.join("  ")}</code>
            </dd>
        }
    };
    view! {
        <details class="perm-fixed">
            <summary>
                <Icon name="shield-check" small=true />
                "Changes here always ask, in every mode"
            </summary>
            <dl>{groups.into_iter().map(group).collect_view()}</dl>
        </details>
    }
    .into_any()
}
