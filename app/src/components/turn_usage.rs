//! What the calls of a turn used, as bars and numbers: for the turn as a whole, or for one of its answers.

use leptos::{prelude::*, task::spawn_local};
use wire::{
    MessageId, TurnId,
    budgets::{CallUsage, TurnUsage, UsageSums, format_usd},
    chat::{Message, MessageBody},
};

use super::{chat_session::Chat, message_limits};
use crate::{
    api,
    ui::{Button, ButtonSize, Dialog, Empty, PanelError, Skeleton, format},
};

/// What is asked about: a turn, and the answer in it whose last message has that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    pub turn: TurnId,
    pub answer: Option<i64>,
}

/// The dialog for what is in `chat.measured`.
#[component]
pub fn TurnUsageDialog(chat: Chat) -> impl IntoView {
    let open = RwSignal::new(false);
    Effect::new(move |_| {
        if chat.measured.with(Option::is_some) {
            open.set(true);
        }
    });
    Effect::new(move |_| {
        if !open.get() {
            chat.measured.set(None);
        }
    });
    view! {
        <Dialog open=open title="Tokens and cost">
            <div class="stack">
                {move || chat.measured.get().map(|of| view! { <Calls chat=chat of=of /> })}
                <div class="acts">
                    <Button on_click=move |_| open.set(false)>"Close"</Button>
                </div>
            </div>
        </Dialog>
    }
    .into_any()
}

#[component]
fn Calls(chat: Chat, of: Measured) -> impl IntoView {
    let found = RwSignal::new(None::<Result<TurnUsage, String>>);
    let load = move || {
        found.set(None);
        spawn_local(async move {
            let answer = api::usage::of_turn(of.turn).await.map_err(|error| error.to_string());
            found.try_set(Some(answer));
        });
    };
    Effect::new(move |_| load());
    let chosen = chat.view.with_untracked(|view| view.as_ref().map(|view| messages_of_answer(&view.messages, of)).unwrap_or_default());
    let budget = chat.view.with_untracked(|view| view.as_ref()?.turns.iter().find(|turn| turn.id == of.turn)?.budget);
    move || match found.get() {
        None => view! { <Skeleton lines=4 /> }.into_any(),
        Some(Err(reason)) => view! {
            <PanelError title="The usage can't be shown" text=reason>
                <Button size=ButtonSize::Small on_click=move |_| load()>
                    "Try again"
                </Button>
            </PanelError>
        }
        .into_any(),
        Some(Ok(usage)) if usage.calls.is_empty() => view! {
            <Empty
                title="No calls of a model"
                text="Nothing is in the books for this turn. What a fork took over was paid in the conversation that it was forked from."
            />
        }
        .into_any(),
        Some(Ok(usage)) => view! {
            {budget.map(|budget| view! { <p class="t2">{format!("Its message set limits: {}.", message_limits::say(&budget))}</p> })}
            {table(&usage, &chosen)}
        }
        .into_any(),
    }
}

/// The messages that an answer on screen is made of: one without words goes on with the one before it.
fn messages_of_answer(messages: &[Message], of: Measured) -> Vec<MessageId> {
    let Some(seq) = of.answer else { return Vec::new() };
    let mut ids = Vec::new();
    for message in messages.iter().filter(|message| message.turn_id == Some(of.turn) && message.seq <= seq) {
        if let MessageBody::Assistant { text, reasoning, .. } = &message.body {
            if !text.is_empty() || !reasoning.is_empty() {
                ids.clear();
            }
            ids.push(message.id);
        }
    }
    ids
}

fn sums_of(call: &CallUsage) -> UsageSums {
    let (billed_micros, estimated_micros) = if call.estimated { (0, call.cost_micros) } else { (call.cost_micros, 0) };
    UsageSums { calls: 1, input: call.input, output: call.output, cached: call.cached, billed_micros, estimated_micros, failed: 0 }
}

/// `1 200 tokens in, 800 of them from the cache, 40 out, $0.02`.
fn describe(sums: &UsageSums) -> String {
    let mut text = format!("{} in", format::counted(sums.input, "token", "tokens"));
    if sums.cached > 0 {
        text.push_str(&format!(", {} of them from the cache", format::count(sums.cached)));
    }
    let about = if sums.estimated_micros > 0 { "about " } else { "" };
    format!("{text}, {} out, {about}{}", format::count(sums.output), format_usd(sums.cost_micros()))
}

fn name_of(call: &CallUsage, answers: &mut usize) -> String {
    match call.outcome.as_str() {
        _ if call.message_id.is_some() => {
            *answers += 1;
            format!("Answer {answers}")
        }
        "open" => "At work".to_owned(),
        "failed" => "Failed".to_owned(),
        "stopped" => "Stopped".to_owned(),
        "lost" => "Lost".to_owned(),
        // Summaries of older messages become none.
        _ => "Other call".to_owned(),
    }
}

fn table(usage: &TurnUsage, chosen: &[MessageId]) -> AnyView {
    let is_chosen = |call: &CallUsage| call.message_id.is_some_and(|id| chosen.contains(&id));
    let mut answer = UsageSums::default();
    for call in usage.calls.iter().filter(|call| is_chosen(call)) {
        answer.add(&sums_of(call));
    }
    let most = usage.calls.iter().map(|call| call.input + call.output).max().unwrap_or(0).max(1);
    let first_model = usage.calls.first().map(|call| call.model.clone()).unwrap_or_default();
    let mut answers = 0;
    let rows = usage
        .calls
        .iter()
        .map(|call| {
            let name = name_of(call, &mut answers);
            let model = (call.model != first_model).then(|| view! { <span class="usage-note">{call.model.clone()}</span> });
            let marked = is_chosen(call);
            let part = |class: &'static str, tokens: i64| {
                let width = format!("{:.1}%", tokens.max(0) as f64 * 100.0 / most as f64);
                view! { <i class=class style:width=width></i> }
            };
            let time = call.duration_ms.map(format::duration_ms).unwrap_or_default();
            view! {
                <tr class:call-chosen=marked aria-current=marked.then_some("true")>
                    <th scope="row" class="usage-name">
                        {name}
                        {model}
                        <span class="call-bar" aria-hidden="true">
                            {part("k1", call.input - call.cached)}
                            {part("k2", call.cached)}
                            {part("k3", call.output)}
                        </span>
                    </th>
                    <td class="r num">
                        {format::count(call.input)}
                        {(call.cached > 0)
                            .then(|| view! { <span class="usage-note">{format!("{} cached", format::count(call.cached))}</span> })}
                    </td>
                    <td class="r num">{format::count(call.output)}</td>
                    <td class="r num nowrap">
                        {format_usd(call.cost_micros)}
                        {(call.estimated && call.cost_micros > 0).then(|| view! { <span class="usage-note">"estimated"</span> })}
                    </td>
                    <td class="r num nowrap desk">{time}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        {(answer.calls > 0).then(|| view! { <p>{format!("This answer: {}.", describe(&answer))}</p> })}
        <p>{format!("The whole turn: {}.", describe(&usage.total))}</p>
        <div class="usage-chart">
            <span class="legend" aria-hidden="true">
                <span>
                    <i class="k1"></i>
                    "Tokens in"
                </span>
                <span>
                    <i class="k2"></i>
                    "From the cache"
                </span>
                <span>
                    <i class="k3"></i>
                    "Tokens out"
                </span>
            </span>
            <div class="over" tabindex="0" role="group" aria-label="Usage by call">
                <table class="tbl tbl--bare calls">
                    <thead>
                        <tr>
                            <th>"Call"</th>
                            <th class="r">"In"</th>
                            <th class="r">"Out"</th>
                            <th class="r">"Cost"</th>
                            <th class="r desk">"Time"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Micros, chat::TokenUsage};

    fn message(seq: i64, turn: TurnId, text: Option<&str>) -> Message {
        let body = match text {
            Some(text) => {
                let (text, reasoning, usage) = (text.to_owned(), String::new(), TokenUsage::default());
                MessageBody::Assistant { text, reasoning, tool_calls: Vec::new(), usage }
            }
            None => MessageBody::Note { text: "a fact".to_owned() },
        };
        Message { id: uuid::Uuid::from_u128(seq as u128).into(), turn_id: Some(turn), seq, body, created_at: Micros(0) }
    }

    #[test]
    fn an_answer_on_screen_is_made_of_what_follows_its_words() {
        let (turn, other) = (uuid::Uuid::from_u128(1).into(), uuid::Uuid::from_u128(2).into());
        let texts = [None, Some("Look."), None, Some(""), None, Some("Done."), Some("")];
        let mut messages: Vec<Message> = texts.iter().zip(1..).map(|(text, seq)| message(seq, turn, *text)).collect();
        messages.push(message(8, other, Some("Elsewhere")));
        let at = |answer| messages_of_answer(&messages, Measured { turn, answer }).iter().map(|id| id.0.as_u128()).collect::<Vec<_>>();
        assert_eq!(at(Some(5)), [2, 4]);
        assert_eq!(at(Some(7)), [6, 7]);
        assert_eq!((at(Some(1)).len(), at(None).len()), (0, 0));
    }

    #[test]
    fn sums_are_a_sentence() {
        let sums = UsageSums { input: 1200, cached: 800, output: 1, billed_micros: 20_000, ..UsageSums::default() };
        assert_eq!(describe(&sums), format!("{} tokens in, 800 of them from the cache, 1 out, $0.02", format::count(1200)));
        let guessed = UsageSums { input: 1, estimated_micros: 10_000, ..UsageSums::default() };
        assert_eq!(describe(&guessed), "1 token in, 0 out, about $0.01");
    }
}
