//! Conversations that were removed, for as long as they can be brought back.

use leptos::{prelude::*, task::spawn_local};
use wire::chat::RemovedConversation;

use super::chat_session::Chat;
use crate::{
    api,
    ui::{Button, ButtonKind, ButtonSize, PanelError, Skeleton, format},
};

/// Below the list of conversations, closed until somebody looks for one.
#[component]
pub fn Removed(chat: Chat) -> impl IntoView {
    let open = RwSignal::new(false);
    let found = RwSignal::new(None::<Result<Vec<RemovedConversation>, String>>);
    let read = move || {
        spawn_local(async move {
            let answer = api::chat::removed(chat.ide.project_id).await;
            found.try_set(Some(answer.map(|page| page.items).map_err(|error| error.to_string())));
        });
    };
    Effect::new(move |_| {
        chat.ide.conversations_changed.track();
        if open.get() {
            read();
        }
    });
    view! {
        <div class="conv-removed">
            <Button
                size=ButtonSize::Small
                kind=ButtonKind::Ghost
                icon="trash-2"
                expanded=open
                on_click=move |_| open.update(|open| *open = !*open)
            >
                "Removed conversations"
            </Button>
            <Show when=move || open.get()>
                {move || match found.get() {
                    None => view! { <Skeleton lines=2 /> }.into_any(),
                    Some(Err(reason)) => {
                        view! {
                            <PanelError title="The removed conversations did not load" text=reason>
                                <Button size=ButtonSize::Small on_click=move |_| read()>
                                    "Try again"
                                </Button>
                            </PanelError>
                        }
                            .into_any()
                    }
                    Some(Ok(list)) if list.is_empty() => {
                        view! { <p class="t2 fs12">"None. What is removed can be brought back from here for 7 days."</p> }.into_any()
                    }
                    Some(Ok(list)) => {
                        view! {
                            <ul aria-label="Can be brought back">
                                {list.into_iter().map(|removed| view! { <Row chat=chat removed=removed /> }).collect_view()}
                            </ul>
                        }
                            .into_any()
                    }
                }}
            </Show>
        </div>
    }
    .into_any()
}

#[component]
fn Row(chat: Chat, removed: RemovedConversation) -> impl IntoView {
    let (id, until) = (removed.conversation.id, removed.until);
    let title = if removed.conversation.title.is_empty() { "Untitled".to_owned() } else { removed.conversation.title };
    let label = format!("Bring back {title}");
    let last = format!("Gone for good after {}, {}", format::day(until, format::now()), format::clock(until));
    view! {
        <li>
            <span class="conv-text grow">
                <span class="clip">{title}</span>
                <span class="t3 fs12">{last}</span>
            </span>
            <Button size=ButtonSize::Small attr:aria-label=label on_click=move |_| chat.bring_back(id, false)>
                "Bring back"
            </Button>
        </li>
    }
}
