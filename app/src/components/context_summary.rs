//! What can be done about a summary in the conversation: send the messages themselves again, or the summary.

use leptos::{prelude::*, task::spawn_local};
use wire::context::SetCompaction;

use super::chat_session::Chat;
use crate::{
    api,
    ui::{Button, ButtonSize},
};

/// The sentence and the button below a summary; `seq` is the number of its message.
#[component]
pub fn SummaryActions(seq: i64) -> impl IntoView {
    let chat = Chat::expect();
    // `None` until it is known.
    let undone = RwSignal::new(None::<bool>);
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        let Some(conversation) = chat.current.get() else { return };
        spawn_local(async move {
            if let Ok(all) = api::context::compactions(conversation).await
                && let Some(found) = all.iter().find(|found| found.seq == seq)
            {
                undone.try_set(Some(found.undone_at.is_some()));
            }
        });
    });
    let switch = move |_| {
        let (Some(conversation), Some(was)) = (chat.current.get_untracked(), undone.get_untracked()) else { return };
        busy.set(true);
        spawn_local(async move {
            let answer = api::context::set_compaction(conversation, seq, SetCompaction { undone: !was }).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(now) => {
                    undone.set(Some(now.undone_at.is_some()));
                    let told = if now.undone_at.is_some() {
                        "The messages themselves are sent from the next turn on"
                    } else {
                        "The summary is sent from the next turn on"
                    };
                    chat.ide.announcement.set(told.to_owned());
                    chat.read();
                }
                Err(error) => chat.failure.set(Some(error.to_string())),
            }
        });
    };
    let words = move || match undone.get() {
        Some(true) => "Taken back: the messages themselves are sent.",
        _ => "The messages above are kept. The model is sent this in their place.",
    };
    view! {
        <div class="acts sum-acts">
            <span class="t2 fs12 grow">{words}</span>
            <Show when=move || undone.get().is_some() && chat.ide.can_edit()>
                <Button size=ButtonSize::Small icon="undo-2" busy=busy on_click=switch>
                    {move || if undone.get() == Some(true) { "Send the summary" } else { "Send the messages again" }}
                </Button>
            </Show>
        </div>
    }
    .into_any()
}
