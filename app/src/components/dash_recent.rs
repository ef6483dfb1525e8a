//! The conversations that a person had last, in all projects.

use leptos::prelude::*;
use wire::{
    ConversationId, ProjectId,
    dashboard::{Dashboard, RecentConversation},
};

use super::dash_words as words;
use crate::ui::{Icon, RelativeTime, storage};

/// Lets the chat of a project begin with a conversation: the one that this browser remembers is opened.
pub fn remember(project: ProjectId, conversation: ConversationId) {
    storage::write(&format!("conversation:{project}"), &conversation.to_string());
}

/// Below the list of projects.
#[component]
pub fn RecentConversations(board: RwSignal<Dashboard>) -> impl IntoView {
    let list = Memo::new(move |_| board.with(|board| board.conversations.clone()));
    view! {
        <section class="side-sec recent" aria-labelledby="dash-recent">
            <h2 id="dash-recent">"Recent conversations"</h2>
            <Show
                when=move || list.with(|list| !list.is_empty())
                fallback=|| {
                    view! { <p class="t2">"None yet. What you ask the agent in a project is listed here."</p> }
                }
            >
                <ul class="items">
                    <For each=move || list.get() key=line_key let:conversation>
                        <Line conversation=conversation />
                    </For>
                </ul>
            </Show>
        </section>
    }
    .into_any()
}

/// A line is drawn anew when anything it shows has changed.
fn line_key(line: &RecentConversation) -> (ConversationId, i64, String, String) {
    (line.id, line.updated_at.0, line.title.clone(), words::state_of(line))
}

#[component]
fn Line(conversation: RecentConversation) -> impl IntoView {
    let note = format!("{}, {}", conversation.project_name, words::state_of(&conversation));
    let RecentConversation { id, project_id, title, updated_at, .. } = conversation;
    let title = if title.is_empty() { "Without a title".to_owned() } else { title };
    let tooltip = title.clone();
    view! {
        <li>
            <span class="t3 mark-icon">
                <Icon name="messages-square" />
            </span>
            <a class="clip" href=format!("/projects/{project_id}") title=tooltip on:click=move |_| remember(project_id, id)>
                {title}
            </a>
            <RelativeTime at=updated_at class="t3 fs12 nowrap" />
            <span class="sub">{note}</span>
        </li>
    }
    .into_any()
}
