//! The conversations of a project: found by their words, renamed, exported, removed.

use std::time::Duration;

use leptos::{ev, html, leptos_dom::helpers::TimeoutHandle, prelude::*};
use wire::{ConversationId, chat::FoundConversation};

use super::{chat_removed::Removed, chat_session::Chat};
use crate::ui::{
    Button, ButtonKind, ButtonSize, Dialog, Icon, MenuButton, MenuItem, MenuSeparator, RelativeTime, SearchField, TextField,
    focus::{self, Axis},
};

/// Typing rests this long before the list is read.
const REST: Duration = Duration::from_millis(250);
const ROWS: &str = ".conv-open";

/// The list that takes the place of the transcript while another conversation is chosen.
#[component]
pub fn Conversations(chat: Chat, listing: RwSignal<bool>, renaming: RwSignal<Option<ConversationId>>) -> impl IntoView {
    let list = NodeRef::<html::Ul>::new();
    let timer = StoredValue::new(None::<TimeoutHandle>);
    let stop = move || {
        if let Some(timer) = timer.try_update_value(Option::take).flatten() {
            timer.clear();
        }
    };
    Effect::new(move |before: Option<String>| {
        let words = chat.search.get();
        if before.is_some_and(|before| before != words) {
            stop();
            timer.set_value(set_timeout_with_handle(move || chat.refresh_list(), REST).ok());
        }
        words
    });
    on_cleanup(stop);
    let on_keydown = move |event: ev::KeyboardEvent| {
        if let Some(list) = list.get_untracked() {
            focus::rove(&event, &list, ROWS, Axis::Vertical);
        }
    };
    let is_searching = move || chat.search.with(|words| !words.trim().is_empty());
    view! {
        <div class="conv-search">
            <SearchField label="Search conversations" bind=chat.search />
        </div>
        <div class="scroll">
            <ul class="rlist convs" aria-label="Conversations" node_ref=list on:keydown=on_keydown>
                <For
                    each=move || chat.conversations.get()
                    key=|found| {
                        let known = &found.conversation;
                        (known.id, known.updated_at, known.title.clone(), known.active_turn, found.excerpt.clone())
                    }
                    let:found
                >
                    <Row chat=chat found=found listing=listing renaming=renaming />
                </For>
            </ul>
            <Show when=move || chat.more.with(Option::is_some)>
                <div class="older">
                    <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| chat.list_more()>
                        "Show more"
                    </Button>
                </div>
            </Show>
            <Show when=move || chat.conversations.with(Vec::is_empty)>
                <p class="chat-empty t2">
                    {move || {
                        if is_searching() {
                            "No conversation has these words in its name or messages."
                        } else {
                            "No conversations yet. Write a message to begin one."
                        }
                    }}
                </p>
            </Show>
            {chat.ide.can_edit().then(|| view! { <Removed chat=chat /> })}
        </div>
    }
}

#[component]
fn Row(chat: Chat, found: FoundConversation, listing: RwSignal<bool>, renaming: RwSignal<Option<ConversationId>>) -> impl IntoView {
    let known = found.conversation;
    let id = known.id;
    let title = if known.title.is_empty() { "Untitled".to_owned() } else { known.title.clone() };
    let label = format!("More about the conversation {title}");
    let working = known.active_turn.is_some();
    let below = found.excerpt.or(known.last_prompt).filter(|text| *text != title);
    let on_keydown = move |event: ev::KeyboardEvent| {
        if event.key() == "F2" && chat.ide.can_edit() {
            event.prevent_default();
            renaming.set(Some(id));
        }
    };
    view! {
        <li class="conv">
            <button
                type="button"
                class="conv-open"
                aria-current=move || (chat.current.get() == Some(id)).then_some("true")
                on:keydown=on_keydown
                on:click=move |_| {
                    listing.set(false);
                    chat.open(id);
                }
            >
                <Icon
                    name=if working { "loader-circle" } else if known.parent.is_some() { "git-branch" } else { "messages-square" }
                    small=true
                    class=if working { "spin" } else { "" }
                />
                <span class="conv-text">
                    <span class="clip">{title}</span>
                    {below.map(|text| view! { <span class="clip t3 fs12">{text}</span> })}
                </span>
                <RelativeTime at=known.updated_at class="t3 fs12 nowrap" />
            </button>
            <ConversationMenu chat=chat id=id label=label renaming=renaming />
        </li>
    }
}

/// What can be done with a conversation as a whole.
#[component]
pub fn ConversationMenu(
    chat: Chat,
    id: ConversationId,
    #[prop(into)] label: String,
    renaming: RwSignal<Option<ConversationId>>,
) -> impl IntoView {
    let locked = Signal::derive(move || !chat.ide.can_edit());
    let at_work = move || {
        let listed = chat.conversations.with(|list| list.iter().any(|f| f.conversation.id == id && f.conversation.active_turn.is_some()));
        if chat.current.get() == Some(id) { chat.active.with(Option::is_some) } else { listed }
    };
    let no_delete = Signal::derive(move || locked.get() || at_work());
    let why = Signal::derive(move || at_work().then(|| "The agent is at work in it; stop it first".to_owned()));
    let export = move |format: &'static str| format!("/api/conversations/{id}/export?format={format}");
    view! {
        <MenuButton label=label small=true>
            <MenuItem icon="pencil" key="F2" disabled=locked on_choose=move || renaming.set(Some(id))>
                "Rename"
            </MenuItem>
            <a role="menuitem" tabindex="-1" class="menu-link" href=export("markdown") download rel="external">
                <Icon name="download" small=true />
                "Export as Markdown"
            </a>
            <a role="menuitem" tabindex="-1" class="menu-link" href=export("json") download rel="external">
                <Icon name="download" small=true />
                "Export as JSON"
            </a>
            <MenuSeparator />
            <MenuItem icon="trash-2" danger=true disabled=no_delete title=why on_choose=move || chat.delete(id)>
                "Remove"
            </MenuItem>
        </MenuButton>
    }
}

/// Asks for another name.
#[component]
pub fn RenameDialog(chat: Chat, renaming: RwSignal<Option<ConversationId>>) -> impl IntoView {
    let open = RwSignal::new(false);
    let title = RwSignal::new(String::new());
    Effect::new(move |_| {
        let Some(id) = renaming.get() else { return };
        let listed = chat
            .conversations
            .with_untracked(|list| list.iter().find(|found| found.conversation.id == id).map(|found| found.conversation.title.clone()));
        let shown = chat
            .view
            .with_untracked(|view| view.as_ref().filter(|view| view.conversation.id == id).map(|view| view.conversation.title.clone()));
        title.set(shown.or(listed).unwrap_or_default());
        open.set(true);
    });
    Effect::new(move |_| {
        if !open.get() {
            renaming.set(None);
        }
    });
    let rename = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(id) = renaming.get_untracked() else { return };
        let wanted = title.get_untracked().trim().to_owned();
        if wanted.is_empty() {
            return;
        }
        open.set(false);
        chat.rename(id, wanted);
    };
    view! {
        <Dialog open=open title="Rename the conversation">
            <form on:submit=rename>
                <TextField label="Name" name="conversation-name" bind=title autofocus=true />
                <div class="acts">
                    <Button on_click=move |_| open.set(false)>"Cancel"</Button>
                    <Button
                        kind=ButtonKind::Primary
                        submit=true
                        disabled=Signal::derive(move || title.with(|title| title.trim().is_empty()))
                    >
                        "Rename"
                    </Button>
                </div>
            </form>
        </Dialog>
    }
}
