//! A plan that the agent proposes, and going on with it.

use leptos::{prelude::*, task::spawn_local};
use serde_json::Value;
use wire::chat::Mode;

use super::{chat_session::Chat, chat_state::Tool};
use crate::ui::{Button, ButtonKind, ButtonSize, Icon, format};

/// What the agent is told when a person agrees.
const GO_ON: &str = "Go on with this plan.";

/// The steps as the model wrote them.
pub fn steps(arguments: &str) -> Vec<String> {
    let fields = serde_json::from_str::<Value>(arguments).unwrap_or_default();
    let steps = fields.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    steps.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `is_last`: nothing came after the turn of this plan.
#[component]
pub fn PlanCard(tool: Memo<Option<Tool>>, #[prop(into)] is_last: Signal<bool>) -> impl IntoView {
    let chat = Chat::expect();
    let busy = RwSignal::new(false);
    let shown = Memo::new(move |_| tool.with(|tool| tool.as_ref().map(|tool| steps(&tool.arguments)).unwrap_or_default()));
    let count = move || shown.with(|steps| format::counted(steps.len() as i64, "step", "steps"));
    let can_go_on = move || is_last.get() && chat.active.with(Option::is_none) && chat.ide.can_edit();
    let go_on = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            chat.send(GO_ON.to_owned(), Mode::Ask, chat.last_model(), Vec::new()).await;
            busy.try_set(false);
        });
    };
    view! {
        <section class="plan" aria-label="Plan">
            <div class="plan-head">
                <Icon name="list-checks" small=true />
                <b class="grow">"Plan"</b>
                <span class="num t3">{count}</span>
            </div>
            <ol>{move || shown.get().into_iter().map(|step| view! { <li>{step}</li> }).collect_view()}</ol>
            <Show when=can_go_on>
                <div class="acts">
                    <Button kind=ButtonKind::Primary size=ButtonSize::Small busy=busy on_click=go_on>
                        "Go on with this plan"
                    </Button>
                    <Button
                        size=ButtonSize::Small
                        kind=ButtonKind::Ghost
                        on_click=move |_| chat.ide.ask_agent("Change the plan: ")
                    >
                        "Change it"
                    </Button>
                </div>
            </Show>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_from_its_arguments() {
        assert_eq!(steps(r#"{"steps":["Read","Change",3]}"#), ["Read", "Change"]);
        assert!(steps("{").is_empty());
    }
}
