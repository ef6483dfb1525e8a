//! The card on which the agent asks a person something.

use leptos::{ev, html, prelude::*};
use serde_json::Value;
use wire::chat::Approval;

use super::{
    approval::{Answering, Asked, behind_badge},
    ide::use_ide,
};
use crate::ui::{Button, ButtonKind, Icon};

/// A question and the answers it offers, as the model wrote them.
fn read(arguments: &str) -> (String, Vec<String>) {
    let fields = serde_json::from_str::<Value>(arguments).unwrap_or_default();
    let question = fields.get("question").and_then(Value::as_str).unwrap_or_default().to_owned();
    let options = fields.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    (question, options.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The question, its options, and room for an answer in one's own words.
#[component]
pub fn QuestionCard(asked: Asked, behind: Signal<usize>) -> impl IntoView {
    let ide = use_ide();
    let field = NodeRef::<html::Textarea>::new();
    let (question, options) = read(&asked.tool.arguments);
    let words = RwSignal::new(String::new());
    let answering = Answering::new(&asked);
    let (busy, failure) = (answering.busy, answering.failure);
    let may = move || ide.can_review();
    let is_blank = move || words.with(|words| words.trim().is_empty());
    let send = move || {
        if may() && !words.with_untracked(|words| words.trim().is_empty()) {
            answering.send(Approval::Approve, &words.get_untracked(), None);
        }
    };
    let on_keydown = move |event: ev::KeyboardEvent| {
        if event.key() == "Enter" && !event.shift_key() && !event.is_composing() {
            event.prevent_default();
            send();
        }
    };
    let option = move |text: String| {
        let said = text.clone();
        let pick = move |_| {
            if may() {
                answering.send(Approval::Approve, &said, None);
            }
        };
        view! {
            <li>
                <button type="button" class="btn ask-rule" disabled=move || busy.get() || !may() on:click=pick>
                    <span class="ask-option">{text}</span>
                </button>
            </li>
        }
    };
    view! {
        <section class="ask" aria-label="Question of the agent" tabindex="-1">
            <div class="ask-head">
                <Icon name="messages-square" />
                <span class="grow">"The agent asks you"</span>
                {behind_badge(behind)}
            </div>
            <div class="ask-body">
                <p class="ask-question" tabindex="0">{question}</p>
                {(!options.is_empty())
                    .then(|| {
                        view! {
                            <ul class="ask-options" aria-label="Answers to choose from">
                                {options.into_iter().map(option).collect_view()}
                            </ul>
                        }
                    })}
                <textarea
                    class="input ask-words"
                    rows="2"
                    node_ref=field
                    aria-label="Your answer"
                    placeholder="Your own answer"
                    prop:value=move || words.get()
                    on:input:target=move |ev| words.set(ev.target().value())
                    on:keydown=on_keydown
                ></textarea>
                {move || failure.get().map(|text| view! { <p class="err" role="alert"><Icon name="circle-alert" small=true /><span>{text}</span></p> })}
                <div class="acts">
                    <Button
                        kind=ButtonKind::Primary
                        busy=busy
                        disabled=Signal::derive(move || !may() || is_blank())
                        title=Signal::derive(move || (!may()).then(|| "Reviewers and editors of the project may answer".to_owned()))
                        on_click=move |_| send()
                    >
                        "Answer"
                    </Button>
                    <Button
                        disabled=Signal::derive(move || busy.get() || !may())
                        on_click=move |_| answering.send(Approval::Reject, &words.get_untracked(), None)
                    >
                        "Let the agent decide"
                    </Button>
                </div>
            </div>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_with_its_options() {
        assert_eq!(read(r#"{"question":"Which?","options":["a","b"]}"#), ("Which?".to_owned(), vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read("no json"), (String::new(), Vec::new()));
    }
}
