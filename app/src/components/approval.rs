//! The card over the composer that asks before a tool runs.

use leptos::{ev, html, prelude::*, task::spawn_local};
use serde_json::Value;
use wire::{
    TurnId,
    chat::{Approval, DecideApproval},
    network::NetworkPolicy,
    permissions::{CallSubject, RememberRule, Suggestion, always_asks, suggest, tool_traits},
};

use super::{chat_state::Tool, ide::use_ide, question_card::QuestionCard};
use crate::{
    api,
    ui::{Button, ButtonKind, Icon, focus},
};

/// A call that waits, and how many wait behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub turn: TurnId,
    pub tool: Tool,
    pub behind: usize,
}

/// What would happen, where, and what it could reach.
struct Question {
    title: &'static str,
    what: String,
    /// What would be written, where that says more than the name.
    detail: String,
    place: String,
    allow: &'static str,
    runs: bool,
}

/// What the network of a run is, in the words of the run itself.
fn reach(policy: &NetworkPolicy) -> (&'static str, &'static str) {
    match policy.unavailable {
        Some(_) => ("shield-check", "No network"),
        None if policy.allow.is_empty() => ("shield-check", "No host is allowed"),
        None => ("link", "Allowed hosts only"),
    }
}

fn question(tool: &Tool) -> Question {
    let fields = serde_json::from_str::<Value>(&tool.arguments).unwrap_or_default();
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
    let place = |cwd: &str| {
        let seconds = fields.get("timeout_s").and_then(Value::as_i64).map(|s| format!(", at most {s} s")).unwrap_or_default();
        let folder = if matches!(cwd, "" | "." | "/") { "the project's folder".to_owned() } else { cwd.to_owned() };
        format!("In {folder}, on the agent's branch{seconds}. File changes wait for your review.")
    };
    let read = super::tool_card::read_arguments(&tool.name, &tool.arguments);
    let on_branch = "On the agent's branch; it waits for your review after that.".to_owned();
    let edit = |title, allow| Question {
        title,
        what: read.main.clone(),
        detail: read.detail.clone(),
        place: on_branch.clone(),
        allow,
        runs: false,
    };
    match tool.name.as_str() {
        "run_command" => Question {
            title: "Run this command?",
            what: text("command").to_owned(),
            detail: String::new(),
            place: place(text("cwd")),
            allow: "Run once",
            runs: true,
        },
        "run_tests" => Question {
            title: "Run the tests?",
            what: if text("filter").is_empty() { "All tests".to_owned() } else { text("filter").to_owned() },
            detail: String::new(),
            place: place(""),
            allow: "Run once",
            runs: true,
        },
        "web_fetch" => Question {
            title: "Fetch this page?",
            what: read.main.clone(),
            detail: String::new(),
            place: "The server asks that host for it, without cookies or keys. The host sees the address as it stands here.".to_owned(),
            allow: "Fetch once",
            runs: false,
        },
        "write_file" => edit("Write this file?", "Write it"),
        "edit_file" => edit("Change this file?", "Change it"),
        "move_file" => edit("Move this file?", "Move it"),
        "delete_file" => edit("Delete this file?", "Delete it"),
        name => Question {
            title: "Allow this tool call?",
            what: format!("{name} {}", tool.arguments),
            detail: String::new(),
            place: "It may reach what its server can reach.".to_owned(),
            allow: "Allow once",
            runs: false,
        },
    }
}

/// Why it is asked whatever the rules say, and what could be allowed from now on.
fn standing(tool: &Tool) -> (Option<&'static str>, Vec<Suggestion>) {
    CallSubject::read(&tool.name, &tool.arguments).with_facts(&tool.name, tool_traits(&tool.name), |facts| {
        (always_asks(facts).filter(|_| facts.mutates).map(|built_in| built_in.why), suggest(facts))
    })
}

/// Asks for the call that waits first: for a person's words, or for yes or no. Each question has a card of its own.
#[component]
pub fn Approvals(asked: Memo<Option<Asked>>) -> impl IntoView {
    let behind = Signal::derive(move || asked.with(|asked| asked.as_ref().map_or(0, |asked| asked.behind)));
    view! {
        <For each=move || asked.get() key=|asked| (asked.turn, asked.tool.call_id.clone()) let:asked>
            {if asked.tool.name == "ask_user" {
                view! { <QuestionCard asked=asked behind=behind /> }.into_any()
            } else {
                view! { <PermissionCard asked=asked behind=behind /> }.into_any()
            }}
        </For>
    }
}

/// How many questions wait behind this one.
pub fn behind_badge(behind: Signal<usize>) -> impl IntoView {
    move || {
        let count = behind.get();
        (count > 0).then(|| view! { <span class="badge">{format!("{count} more after this")}</span> })
    }
}

/// An answer on its way, shared by both cards.
#[derive(Clone, Copy)]
pub struct Answering {
    turn: TurnId,
    call_id: StoredValue<String>,
    pub busy: RwSignal<bool>,
    pub failure: RwSignal<Option<String>>,
}

impl Answering {
    pub fn new(asked: &Asked) -> Self {
        Self {
            turn: asked.turn,
            call_id: StoredValue::new(asked.tool.call_id.clone()),
            busy: RwSignal::new(false),
            failure: RwSignal::new(None),
        }
    }

    /// Sends the answer; the card goes when the turn's events say so.
    pub fn send(self, decision: Approval, words: &str, remember: Option<RememberRule>) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.failure.set(None);
        let reason = Some(words.trim().to_owned()).filter(|words| !words.is_empty());
        let call_id = self.call_id.get_value();
        spawn_local(async move {
            let request = DecideApproval { decision, reason, remember };
            let answered = api::chat::decide_approval(self.turn, call_id, request).await;
            // An answer that was taken is on its way back as an event, which takes the card away.
            if let Err(error) = answered {
                self.busy.try_set(false);
                let field = error.field("remember");
                self.failure.try_set(Some(field.unwrap_or_else(|| error.to_string())));
            }
        });
    }
}

/// Asks for one call. Y and N answer while the card has the focus.
#[component]
fn PermissionCard(asked: Asked, behind: Signal<usize>) -> impl IntoView {
    let ide = use_ide();
    let card = NodeRef::<html::Section>::new();
    let field = NodeRef::<html::Input>::new();
    let question = question(&asked.tool);
    let (why, suggestions) = standing(&asked.tool);
    let has_suggestions = !suggestions.is_empty();
    let is_page = asked.tool.name == "web_fetch";
    let giving_reason = RwSignal::new(false);
    let choosing = RwSignal::new(false);
    let reason = RwSignal::new(String::new());
    let answering = Answering::new(&asked);
    let (busy, failure) = (answering.busy, answering.failure);
    let may = move || ide.can_review();
    let answer = move |decision: Approval, remember: Option<RememberRule>| {
        if may() {
            answering.send(decision, &reason.get_untracked(), remember);
        }
    };
    let decline = move || if giving_reason.get_untracked() { answer(Approval::Reject, None) } else { giving_reason.set(true) };
    Effect::new(move |_| {
        if giving_reason.try_get() == Some(true)
            && let Some(field) = field.get()
        {
            let _ = field.focus();
        }
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" && (giving_reason.get_untracked() || choosing.get_untracked()) {
            event.stop_propagation();
            giving_reason.set(false);
            choosing.set(false);
            if let Some(card) = card.get_untracked() {
                let _ = card.focus();
            }
            return;
        }
        if focus::is_typing() || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        match event.key().as_str() {
            "y" | "Y" => answer(Approval::Approve, None),
            "n" | "N" => answer(Approval::Reject, None),
            _ => return,
        }
        event.prevent_default();
    };
    let send_reason = move |event: ev::KeyboardEvent| {
        if event.key() == "Enter" && !event.is_composing() {
            event.prevent_default();
            answer(Approval::Reject, None);
        }
    };
    let always = move || {
        view! {
            <Always suggestions=suggestions.clone() is_page=is_page busy=busy pick=Callback::new(move |rule| answer(Approval::Approve, Some(rule))) />
        }
    };
    // As it is when the question is seen; a run starts with what holds then.
    let network = RwSignal::new(None::<NetworkPolicy>);
    if question.runs {
        Effect::new(move |_| {
            spawn_local(async move {
                if let Ok(policy) = api::network::policy(ide.project_id).await {
                    network.try_set(Some(policy));
                }
            });
        });
    }
    let detail = question.detail;
    view! {
        <section class="ask" aria-label="Approval" tabindex="-1" node_ref=card on:keydown=on_keydown>
            <div class="ask-head">
                <Icon name="hand" />
                <span class="grow">{question.title}</span>
                {behind_badge(behind)}
                {question.runs
                    .then(|| {
                        view! {
                            {move || {
                                network
                                    .get()
                                    .map(|policy| {
                                        let (icon, text) = reach(&policy);
                                        view! {
                                            <span class="badge" title=policy.unavailable>
                                                <Icon name=icon />
                                                {text}
                                            </span>
                                        }
                                    })
                            }}
                        }
                    })}
            </div>
            <div class="ask-body">
                <div class="cmd ask-what" tabindex="0" role="group" aria-label="What it asks for">
                    {question.what}
                    {(!detail.is_empty()).then(|| view! { <div class="ask-detail">{detail}</div> })}
                </div>
                {why.map(|why| view! { <p class="fs12 ask-why"><Icon name="shield-check" small=true /><span>{why}</span></p> })}
                <p class="fs12 t2">{question.place}</p>
                <Show when=move || giving_reason.get()>
                    <input
                        class="input input--s"
                        node_ref=field
                        aria-label="Why not, told to the agent"
                        placeholder="Why not? The agent is told (optional)"
                        prop:value=move || reason.get()
                        on:input:target=move |ev| reason.set(ev.target().value())
                        on:keydown=send_reason
                    />
                </Show>
                {move || failure.get().map(|text| view! { <p class="err" role="alert"><Icon name="circle-alert" small=true /><span>{text}</span></p> })}
                <div class="acts">
                    <Button
                        kind=ButtonKind::Primary
                        busy=busy
                        disabled=Signal::derive(move || !may())
                        title=Signal::derive(move || (!may()).then(|| "Reviewers and editors of the project may answer".to_owned()))
                        on_click=move |_| answer(Approval::Approve, None)
                    >
                        {question.allow}
                        <kbd>"Y"</kbd>
                    </Button>
                    <Button disabled=Signal::derive(move || busy.get() || !may()) on_click=move |_| decline()>
                        {move || if giving_reason.get() { "Decline and tell" } else { "Decline" }}
                        <kbd>"N"</kbd>
                    </Button>
                    <span class="grow desk"></span>
                    <Show when=move || has_suggestions && ide.can_edit()>
                        <button
                            type="button"
                            class="btn btn--ghost"
                            aria-expanded=move || if choosing.get() { "true" } else { "false" }
                            disabled=move || busy.get()
                            on:click=move |_| choosing.update(|choosing| *choosing = !*choosing)
                        >
                            "Always allow…"
                        </button>
                    </Show>
                </div>
                <Show when=move || choosing.get()>{always.clone()}</Show>
            </div>
        </section>
    }
}

/// What can be allowed from now on, the narrowest first. Choosing one answers the question too.
#[component]
fn Always(
    suggestions: Vec<Suggestion>,
    /// Paths are hosts.
    is_page: bool,
    busy: RwSignal<bool>,
    pick: Callback<RememberRule>,
) -> impl IntoView {
    let row = move |found: Suggestion| {
        let rule = found.rule.clone();
        let what = match &found.rule {
            RememberRule::CommandPattern(pattern) if pattern.ends_with(" *") => "with any further words",
            RememberRule::CommandPattern(_) => "exactly this",
            RememberRule::PathPattern(_) if is_page => "any page of this host",
            RememberRule::PathPattern(pattern) if pattern.ends_with("/**") => "and all below",
            RememberRule::PathPattern(_) => "this file",
            RememberRule::Tool(_) => "with any arguments",
        };
        view! {
            <li>
                <button type="button" class="btn ask-rule" disabled=move || busy.get() on:click=move |_| pick.run(rule.clone())>
                    <code>{found.label}</code>
                    <span class="t2">{what}</span>
                </button>
            </li>
        }
    };
    view! {
        <div class="ask-always" role="group" aria-label="Always allow">
            <p class="fs12 t2">"Allow it now, and from now on in this project without asking:"</p>
            <ul>{suggestions.into_iter().map(row).collect_view()}</ul>
            <p class="fs12 t3">"Rules can be revoked in the project's settings."</p>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, arguments: &str) -> Tool {
        Tool::new("call", name, arguments)
    }

    #[test]
    fn a_card_says_what_would_happen() {
        let asked = question(&tool("run_command", r#"{"command":"cargo test","cwd":"a","timeout_s":9}"#));
        assert_eq!((asked.title, asked.what.as_str(), asked.runs), ("Run this command?", "cargo test", true));
        assert!(asked.place.starts_with("In a, on the agent's branch, at most 9 s."));
        let page = question(&tool("web_fetch", r#"{"url":"https://docs.rs/serde?q=a b"}"#));
        assert_eq!((page.title, page.what.as_str(), page.runs), ("Fetch this page?", "https://docs.rs/serde?q=a b", false));
        let edit = question(&tool("edit_file", r#"{"path":"AGENTS.md","old_text":"a","new_text":"b"}"#));
        assert_eq!((edit.what.as_str(), edit.detail.as_str(), edit.runs), ("AGENTS.md", "- a\n+ b\n", false));
    }

    #[test]
    fn what_always_asks_offers_no_rule() {
        let (why, rules) = standing(&tool("edit_file", r#"{"path":"AGENTS.md"}"#));
        assert!(why.is_some() && rules.is_empty());
        let (why, rules) = standing(&tool("run_command", r#"{"command":"cargo test -q"}"#));
        assert!(why.is_none());
        assert_eq!(rules.len(), 2);
    }
}
