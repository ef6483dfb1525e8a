//! The card over the composer that asks before a tool runs.

use leptos::{ev, html, prelude::*, task::spawn_local};
use serde_json::Value;
use wire::{
    TurnId,
    chat::{Approval, DecideApproval},
};

use super::{chat_state::Tool, ide::use_ide};
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
    place: String,
    allow: &'static str,
    /// A person's words are the answer, not a yes or no.
    wants_words: bool,
}

fn question(tool: &Tool) -> Question {
    let fields = serde_json::from_str::<Value>(&tool.arguments).unwrap_or_default();
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
    let place = |cwd: &str| {
        let seconds = fields.get("timeout_s").and_then(Value::as_i64).map(|s| format!(", at most {s} s")).unwrap_or_default();
        let folder = if matches!(cwd, "" | "." | "/") { "the project's folder".to_owned() } else { cwd.to_owned() };
        format!("In {folder}, on the agent's branch{seconds}. File changes wait for your review.")
    };
    match tool.name.as_str() {
        "run_command" => Question {
            title: "Run this command?",
            what: text("command").to_owned(),
            place: place(text("cwd")),
            allow: "Run once",
            wants_words: false,
        },
        "run_tests" => Question {
            title: "Run the tests?",
            what: if text("filter").is_empty() { "All tests".to_owned() } else { text("filter").to_owned() },
            place: place(""),
            allow: "Run once",
            wants_words: false,
        },
        "ask_user" => {
            let options = fields.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let options: String = options.iter().filter_map(Value::as_str).map(|option| format!("\n• {option}")).collect();
            Question {
                title: "The agent asks you",
                what: format!("{}{options}", text("question")),
                place: "Your answer goes to the agent.".to_owned(),
                allow: "Answer",
                wants_words: true,
            }
        }
        "propose_plan" => Question {
            title: "Go on with this plan?",
            what: super::tool_card::read_arguments(&tool.name, &tool.arguments).detail,
            place: "Nothing has been changed yet.".to_owned(),
            allow: "Go on",
            wants_words: false,
        },
        name => Question {
            title: "Allow this tool call?",
            what: format!("{name} {}", tool.arguments),
            place: "On the agent's branch.".to_owned(),
            allow: "Allow once",
            wants_words: false,
        },
    }
}

/// Asks for one call. Y and N answer while the card has the focus.
#[component]
pub fn ApprovalCard(asked: Asked) -> impl IntoView {
    let ide = use_ide();
    let card = NodeRef::<html::Section>::new();
    let field = NodeRef::<html::Input>::new();
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<String>);
    let question = question(&asked.tool);
    let wants_words = question.wants_words;
    let giving_reason = RwSignal::new(false);
    let reason = RwSignal::new(String::new());
    let turn = asked.turn;
    let call_id = StoredValue::new(asked.tool.call_id);
    let may = move || ide.can_review();

    let answer = move |decision: Approval| {
        if busy.get_untracked() || !may() {
            return;
        }
        busy.set(true);
        failure.set(None);
        let reason = Some(reason.get_untracked().trim().to_owned()).filter(|reason| !reason.is_empty());
        spawn_local(async move {
            let request = DecideApproval { decision, reason };
            let answered = api::chat::decide_approval(turn, call_id.get_value(), request).await;
            busy.try_set(false);
            if let Err(error) = answered {
                failure.try_set(Some(error.to_string()));
            }
        });
    };
    let decline = move || {
        if giving_reason.get_untracked() || wants_words {
            answer(Approval::Reject);
        } else {
            giving_reason.set(true);
        }
    };
    Effect::new(move |_| {
        if giving_reason.get()
            && let Some(field) = field.get()
        {
            let _ = field.focus();
        }
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        if focus::is_typing() {
            if event.key() == "Escape" && !wants_words {
                event.stop_propagation();
                giving_reason.set(false);
                if let Some(card) = card.get_untracked() {
                    let _ = card.focus();
                }
            }
            return;
        }
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        match event.key().as_str() {
            "y" | "Y" if !wants_words => answer(Approval::Approve),
            "n" | "N" if !wants_words => answer(Approval::Reject),
            _ => return,
        }
        event.prevent_default();
    };
    let send_words = move |event: ev::KeyboardEvent| {
        if event.key() == "Enter" && !event.is_composing() {
            event.prevent_default();
            answer(if wants_words { Approval::Approve } else { Approval::Reject });
        }
    };
    view! {
        <section class="ask" aria-label="Approval" tabindex="-1" node_ref=card on:keydown=on_keydown>
            <div class="ask-head">
                <Icon name="hand" />
                <span class="grow">{question.title}</span>
                {(asked.behind > 0).then(|| view! { <span class="badge">{format!("{} more after this", asked.behind)}</span> })}
                {(!wants_words)
                    .then(|| {
                        view! {
                            <span class="badge">
                                <Icon name="shield-check" />
                                "No network"
                            </span>
                        }
                    })}
            </div>
            <div class="ask-body">
                <div class="cmd ask-what" tabindex="0" role="group" aria-label="What would run">
                    {question.what}
                </div>
                <p class="fs12 t2">{question.place}</p>
                <Show when=move || giving_reason.get() || wants_words>
                    <input
                        class="input input--s"
                        node_ref=field
                        aria-label=if wants_words { "Your answer" } else { "Why not, told to the agent" }
                        placeholder=if wants_words { "Your answer" } else { "Why not? The agent is told (optional)" }
                        prop:value=move || reason.get()
                        on:input:target=move |ev| reason.set(ev.target().value())
                        on:keydown=send_words
                    />
                </Show>
                {move || failure.get().map(|text| view! { <p class="err" role="alert"><Icon name="circle-alert" small=true /><span>{text}</span></p> })}
                <div class="acts">
                    <Button
                        kind=ButtonKind::Primary
                        busy=busy
                        disabled=Signal::derive(move || !may() || (wants_words && reason.with(|text| text.trim().is_empty())))
                        title=Signal::derive(move || (!may()).then(|| "Reviewers and editors of the project may answer".to_owned()))
                        on:click=move |_| answer(Approval::Approve)
                    >
                        {question.allow}
                        {(!wants_words).then(|| view! { <kbd>"Y"</kbd> })}
                    </Button>
                    <Button disabled=Signal::derive(move || busy.get() || !may()) on:click=move |_| decline()>
                        {move || if giving_reason.get() { "Decline and tell" } else { "Decline" }}
                        {(!wants_words).then(|| view! { <kbd>"N"</kbd> })}
                    </Button>
                </div>
            </div>
        </section>
    }
}
