//! A message with what can be done with it, and the markers of what was taken back.

use std::sync::Arc;

use leptos::{ev, prelude::*, wasm_bindgen::JsCast, web_sys};
use wire::TurnId;

use super::{
    chat_message::ChatItem,
    chat_session::Chat,
    chat_state::{Item, ItemBody, TakenBack},
    clipboard,
    turn_usage::Measured,
};
use crate::ui::{Button, ButtonKind, ButtonSize, Icon, Menu, MenuItem, MenuSeparator, MenuState, format};

/// The message whose menu is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    text: Arc<str>,
    seq: Option<i64>,
    turn: Option<TurnId>,
    is_past: bool,
    is_mine: bool,
}

fn pick(item: &Item) -> Option<Picked> {
    let is_mine = matches!(item.body, ItemBody::Mine { .. });
    let text: Arc<str> = match &item.body {
        ItemBody::Mine { text, .. } => text.clone(),
        ItemBody::Step { step, streaming: false } => step.text.as_str().into(),
        _ => return None,
    };
    Some(Picked { text, seq: item.seq, turn: item.key.turn(), is_past: item.is_past, is_mine })
}

/// One item of the log.
#[component]
pub fn Entry(chat: Chat, item: Memo<Option<Item>>, picked: RwSignal<Option<Picked>>, menu: MenuState) -> impl IntoView {
    let body = item.with_untracked(|item| item.as_ref().map(|item| item.body.clone()));
    if matches!(body, Some(ItemBody::Rewound(_))) {
        return view! { <Rewound chat=chat item=item /> }.into_any();
    }
    let is_mine = matches!(body, Some(ItemBody::Mine { .. }));
    let has_menu = Memo::new(move |_| item.with(|item| item.as_ref().and_then(pick).is_some()));
    let is_past = Memo::new(move |_| item.with(|item| item.as_ref().is_some_and(|item| item.is_past)));
    let open = move |event: ev::MouseEvent| {
        picked.set(item.with_untracked(|item| item.as_ref().and_then(pick)));
        if let Some(button) = event.current_target().and_then(|target| target.dyn_into::<web_sys::Element>().ok()) {
            menu.open_below(&button);
        }
    };
    view! {
        <div class="entry" class:entry--mine=is_mine class:entry--past=move || is_past.get()>
            <ChatItem item=item />
            <Show when=move || has_menu.get()>
                <button
                    type="button"
                    class="ib ib--s entry-more"
                    aria-haspopup="menu"
                    aria-label=if is_mine { "More about your message" } else { "More about this answer" }
                    on:click=open
                >
                    <Icon name="ellipsis" small=true />
                </button>
            </Show>
        </div>
    }
    .into_any()
}

/// One menu for all messages.
#[component]
pub fn EntryMenu(chat: Chat, picked: RwSignal<Option<Picked>>, menu: MenuState) -> impl IntoView {
    let ide = chat.ide;
    let seq = move || picked.with(|picked| picked.as_ref().and_then(|picked| picked.seq));
    let turn = move || picked.with(|picked| picked.as_ref().and_then(|picked| picked.turn));
    let is_past = move || picked.with(|picked| picked.as_ref().is_some_and(|picked| picked.is_past));
    // A prompt stands for its turn, an answer for itself.
    let measured = move || {
        picked.with(|picked| {
            let picked = picked.as_ref()?;
            Some(Measured { turn: picked.turn?, answer: picked.seq.filter(|_| !picked.is_mine) })
        })
    };
    let no_fork = Signal::derive(move || seq().is_none() || !ide.can_edit());
    let no_rewind = Signal::derive(move || turn().is_none() || is_past() || !ide.can_edit() || chat.active.with(Option::is_some));
    let why = Signal::derive(move || {
        if !ide.can_edit() {
            Some("Only editors of the project may go back".to_owned())
        } else if chat.active.with(Option::is_some) {
            Some("The agent is at work; stop it first".to_owned())
        } else {
            is_past().then(|| "This was taken back already".to_owned())
        }
    });
    view! {
        <Menu state=menu label="This message">
            <MenuItem
                icon="clipboard"
                on_choose=move || {
                    if let Some(text) = picked.with_untracked(|picked| picked.as_ref().map(|picked| picked.text.to_string())) {
                        clipboard::copy(text, "text", ide.toasts);
                    }
                }
            >
                "Copy the text"
            </MenuItem>
            <MenuItem
                icon="git-branch"
                disabled=no_fork
                on_choose=move || {
                    if let Some(seq) = untrack(seq) {
                        chat.fork_at(seq);
                    }
                }
            >
                "Fork from here"
            </MenuItem>
            <MenuItem icon="chart-column" disabled=Signal::derive(move || turn().is_none()) on_choose=move || chat.measured.set(untrack(measured))>
                "Tokens and cost"
            </MenuItem>
            <MenuSeparator />
            <MenuItem icon="undo-2" disabled=no_rewind title=why on_choose=move || chat.rewinding.set(untrack(turn))>
                "Rewind to before this…"
            </MenuItem>
        </Menu>
    }
}

/// Stands for what was taken back.
#[component]
fn Rewound(chat: Chat, item: Memo<Option<Item>>) -> impl IntoView {
    let taken = Memo::new(move |_| {
        item.with(|item| match item.as_ref().map(|item| &item.body) {
            Some(ItemBody::Rewound(taken)) => Some(taken.clone()),
            _ => None,
        })
    });
    let viewer = chat.ide.viewer.with_value(|viewer| viewer.id);
    let words = move |taken: &TakenBack| {
        let by = if taken.rewind.by.id == viewer { "You" } else { taken.rewind.by.name.as_str() };
        let messages = format::counted(taken.messages, "message", "messages");
        match (taken.rewind.chat, taken.rewind.files) {
            (true, true) => format!("{by} took {messages} back, with files"),
            (true, false) => format!("{by} took {messages} back"),
            (false, _) => format!("{by} put files back to before an earlier turn"),
        }
    };
    view! {
        {move || {
            taken
                .get()
                .map(|taken| {
                    let (id, is_open) = (taken.rewind.id, taken.is_open);
                    let busy = move || chat.active.with(Option::is_some);
                    view! {
                        <div class="rewound" role="note">
                            <Icon name="undo-2" small=true />
                            <span class="grow">{words(&taken)}</span>
                            {taken
                                .rewind
                                .chat
                                .then(|| {
                                    view! {
                                        <Button
                                            size=ButtonSize::Small
                                            kind=ButtonKind::Ghost
                                            attr:aria-expanded=if is_open { "true" } else { "false" }
                                            on_click=move |_| {
                                                chat.unfolded
                                                    .update(|open| {
                                                        if !open.remove(&id) {
                                                            open.insert(id);
                                                        }
                                                    });
                                            }
                                        >
                                            {if is_open { "Hide" } else { "Show" }}
                                        </Button>
                                    }
                                })}
                            <Button
                                size=ButtonSize::Small
                                disabled=Signal::derive(move || busy() || !chat.ide.can_edit())
                                on_click=move |_| chat.undo_rewind(id)
                            >
                                "Undo"
                            </Button>
                        </div>
                    }
                })
        }}
    }
}
