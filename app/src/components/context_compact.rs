//! Having the older messages summed up before the window is full: with the next message, as the summary is a call of the turn.

use leptos::prelude::*;

use super::{composer_draft::Draft, context_panel::ContextState};
use crate::ui::{Button, ButtonSize, format};

/// Why nothing is summed up now. `compactable`: tokens of older messages that a summary could take the place of.
fn refusal(at_work: bool, compactable: Option<i64>) -> Option<&'static str> {
    if at_work {
        Some("The agent is at work. Compact the conversation once it has finished.")
    } else if compactable.is_none() {
        Some("There is nothing to compact: the older messages are too short for a summary to save room.")
    } else {
        None
    }
}

fn announced(compactable: Option<i64>) -> String {
    let about = match compactable {
        Some(tokens) => format!("about {} of older messages become", format::counted(tokens, "token", "tokens")),
        None => "older messages become".to_owned(),
    };
    format!("The next message begins with a compaction: {about} a summary, by a call of the model. It can be taken back.")
}

/// The button, and the sentence that says what it leads to or why it does not.
#[component]
pub fn CompactBar(draft: Draft, state: ContextState) -> impl IntoView {
    let chat = draft.chat;
    let refused = RwSignal::new(None::<&'static str>);
    Effect::new(move |_| {
        chat.current.track();
        refused.set(None);
    });
    // What was known when it was pressed may have been of before the last answer.
    Effect::new(move |_| {
        if draft.compact.get() && state.compactable(draft) == Some(None) {
            draft.compact.set(false);
            refused.set(refusal(false, None));
        }
    });
    let shown = move || chat.current.with(Option::is_some) && chat.ide.can_edit() && state.compactable(draft).is_some();
    let press = move |_| {
        if draft.compact.get_untracked() {
            return draft.compact.set(false);
        }
        let at_work = chat.active.with_untracked(Option::is_some);
        let reason = refusal(at_work, untrack(|| state.compactable(draft)).flatten());
        refused.set(reason);
        if reason.is_none() {
            draft.compact.set(true);
        }
    };
    let words = move || {
        if draft.compact.get() { announced(state.compactable(draft).flatten()) } else { refused.get().unwrap_or_default().to_owned() }
    };
    view! {
        <Show when=shown>
            <div class="ctx-compact">
                <span class="t2 fs12 grow" role="status">
                    {words}
                </span>
                <Button size=ButtonSize::Small icon="list-filter" on_click=press>
                    {move || if draft.compact.get() { "Do not compact" } else { "Compact" }}
                </Button>
            </div>
        </Show>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_refused_with_a_sentence_or_announced() {
        assert!(refusal(true, Some(9000)).is_some_and(|reason| reason.contains("at work")));
        assert!(refusal(false, None).is_some_and(|reason| reason.contains("nothing to compact")));
        assert_eq!(refusal(false, Some(9000)), None);
        assert!(announced(Some(1)).contains("about 1 token of older messages become a summary"));
    }
}
