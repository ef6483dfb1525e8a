//! The conversation with the agent.

use std::time::Duration;

use leptos::{ev, html, prelude::*, web_sys};
use wasm_bindgen::{JsCast, closure::Closure};

use super::{approval::ApprovalCard, chat_message::ChatItem, chat_session::Chat, composer::Composer};
use crate::ui::{Button, ButtonSize, Icon, IconButton, PanelError, RelativeTime, Skeleton};

/// Pixels from the end that still count as being there.
const AT_END: i32 = 48;

/// The chat panel: conversations, transcript, approvals and the composer.
#[component]
pub fn AiChat() -> impl IntoView {
    let chat = Chat::provide();
    let listing = RwSignal::new(false);
    Effect::new(move |_| chat.start());
    Effect::new(move |before: Option<u64>| {
        let changes = chat.ide.conversations_changed.get();
        if before.is_some_and(|before| before != changes) {
            chat.refresh_list();
        }
        changes
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        if (event.ctrl_key() || event.meta_key()) && event.key() == "." {
            event.prevent_default();
            event.stop_propagation();
            chat.stop();
        } else if event.key() == "Escape" && listing.get_untracked() {
            event.stop_propagation();
            listing.set(false);
        }
    };
    view! {
        <section class="chat" role="complementary" aria-label="Conversation with the agent" on:keydown=on_keydown>
            <Head chat=chat listing=listing />
            <Show when=move || !listing.get() fallback=move || view! { <Conversations chat=chat listing=listing /> }>
                <Log chat=chat />
            </Show>
            {move || chat.asked.get().map(|asked| view! { <ApprovalCard asked=asked /> })}
            {move || {
                chat.failure
                    .get()
                    .map(|text| {
                        view! {
                            <p class="err compose-err" role="alert">
                                <Icon name="circle-alert" small=true />
                                <span>{text}</span>
                            </p>
                        }
                    })
            }}
            <Composer />
        </section>
    }
}

#[component]
fn Head(chat: Chat, listing: RwSignal<bool>) -> impl IntoView {
    let title = move || {
        let id = chat.current.get();
        let known = chat.conversations.with(|list| list.iter().find(|known| Some(known.id) == id).map(|known| known.title.clone()));
        known.filter(|title| !title.is_empty()).unwrap_or_else(|| "New conversation".to_owned())
    };
    view! {
        <div class="phead">
            <h2 class="clip" title=title>
                {title}
            </h2>
            <IconButton
                icon="plus"
                label="New conversation"
                small=true
                on:click=move |_| {
                    listing.set(false);
                    chat.open_new();
                }
            />
            <IconButton
                icon="messages-square"
                label="Earlier conversations"
                small=true
                pressed=Signal::derive(move || Some(listing.get()))
                on:click=move |_| {
                    listing.update(|listing| *listing = !*listing);
                    if listing.get_untracked() {
                        chat.refresh_list();
                    }
                }
            />
        </div>
    }
}

/// The list that takes the place of the transcript while another conversation is chosen.
#[component]
fn Conversations(chat: Chat, listing: RwSignal<bool>) -> impl IntoView {
    let row = move |known: wire::chat::Conversation| {
        let id = known.id;
        let title = if known.title.is_empty() { "Untitled".to_owned() } else { known.title.clone() };
        let label = format!("Remove the conversation {title}");
        let working = known.active_turn.is_some();
        view! {
            <li class="conv">
                <button
                    type="button"
                    aria-current=move || (chat.current.get() == Some(id)).then_some("true")
                    on:click=move |_| {
                        listing.set(false);
                        chat.open(id);
                    }
                >
                    <Icon
                        name=if working { "loader-circle" } else { "messages-square" }
                        small=true
                        class=if working { "spin" } else { "" }
                    />
                    <span class="clip">{title}</span>
                    <RelativeTime at=known.updated_at class="t3 fs12 nowrap" />
                </button>
                {(!working && chat.ide.can_edit())
                    .then(|| view! { <IconButton icon="trash-2" label=label small=true on:click=move |_| chat.delete(id) /> })}
            </li>
        }
    };
    view! {
        <div class="scroll">
            <ul class="rlist convs" aria-label="Conversations">
                <For each=move || chat.conversations.get() key=|known| (known.id, known.updated_at, known.title.clone()) let:known>
                    {row(known)}
                </For>
            </ul>
            <Show when=move || chat.conversations.with(Vec::is_empty)>
                <p class="chat-empty t2">"No conversations yet. Write a message to begin one."</p>
            </Show>
        </div>
    }
}

#[component]
fn Log(chat: Chat) -> impl IntoView {
    let scroller = NodeRef::<html::Div>::new();
    let at_end = RwSignal::new(true);
    let to_end = move || {
        if let Some(scroller) = scroller.get_untracked() {
            scroller.set_scroll_top(scroller.scroll_height());
        }
    };
    Effect::new(move |_| {
        chat.items.track();
        chat.asked.track();
        if at_end.get_untracked() {
            // After the parts have put the new content in.
            request_animation_frame(to_end);
        }
    });
    Effect::new(move |_| {
        chat.current.track();
        at_end.set(true);
        set_timeout(to_end, Duration::from_millis(50));
    });
    follow_size(scroller, move || {
        if at_end.try_get_untracked() == Some(true) {
            to_end();
        }
    });
    let on_scroll = move |_| {
        if let Some(el) = scroller.get_untracked() {
            let now = el.scroll_height() - el.scroll_top() - el.client_height() < AT_END;
            if at_end.get_untracked() != now {
                at_end.set(now);
            }
        }
    };
    let keys = Memo::new(move |_| chat.items.with(|items| items.iter().map(|item| item.key).collect::<Vec<_>>()));
    let is_empty = move || keys.with(Vec::is_empty);
    view! {
        <div class="log-frame">
            <div class="scroll" tabindex="0" role="log" aria-label="Messages" aria-live="off" node_ref=scroller on:scroll=on_scroll>
                <Show when=is_empty>
                    <Beginning chat=chat />
                </Show>
                <div class="log" hidden=is_empty>
                    <For each=move || keys.get() key=|key| *key let:key>
                        {
                            let item = Memo::new(move |_| chat.items.with(|items| items.iter().find(|item| item.key == key).cloned()));
                            view! { <ChatItem item=item /> }
                        }
                    </For>
                </div>
            </div>
            <Show when=move || !at_end.get()>
                <span class="to-latest">
                    <Button
                        size=ButtonSize::Small
                        icon="arrow-down"
                        on:click=move |_| {
                            at_end.set(true);
                            to_end();
                        }
                    >
                        "Jump to latest"
                    </Button>
                </span>
            </Show>
        </div>
    }
}

/// Calls `f` when the element gets another size: another width breaks lines anew, and what was hidden begins at its top.
fn follow_size(node: NodeRef<html::Div>, f: impl Fn() + Copy + 'static) {
    // What is bound to one thread must not be made on the server, which cleans up on another.
    if cfg!(not(target_arch = "wasm32")) {
        return;
    }
    let kept = StoredValue::new_local(None::<(web_sys::ResizeObserver, Closure<dyn FnMut()>)>);
    let stop = move || {
        if let Some((observer, _)) = kept.try_update_value(Option::take).flatten() {
            observer.disconnect();
        }
    };
    Effect::new(move |_| {
        let Some(element) = node.get() else { return };
        stop();
        let told = Closure::<dyn FnMut()>::new(f);
        if let Ok(observer) = web_sys::ResizeObserver::new(told.as_ref().unchecked_ref()) {
            observer.observe(&element);
            kept.set_value(Some((observer, told)));
        }
    });
    on_cleanup(stop);
}

/// What stands in an empty transcript: loading, failed, no model, or how to begin.
#[component]
fn Beginning(chat: Chat) -> impl IntoView {
    let hint =
        move || chat.models.with(|models| models.as_ref().filter(|models| models.items.is_empty()).map(|models| models.hint.clone()));
    let loading = move || !chat.ready.get() || (chat.current.get().is_some() && chat.view.with(Option::is_none));
    move || {
        if let Some(problem) = chat.broken.get() {
            let retry = move |_| {
                chat.broken.set(None);
                if chat.current.get_untracked().is_some() { chat.read() } else { chat.start() }
            };
            return view! {
                <div class="chat-empty">
                    <PanelError title="The conversation did not load" text=problem.to_string()>
                        <Button on:click=retry>"Try again"</Button>
                    </PanelError>
                </div>
            }
            .into_any();
        }
        if loading() {
            return view! { <div class="chat-empty"><Skeleton lines=6 /></div> }.into_any();
        }
        if let Some(hint) = hint() {
            return view! {
                <div class="chat-empty empty">
                    <b>"No model is connected"</b>
                    <p>{hint}</p>
                    <p>"Editing, running and reviewing work without one."</p>
                </div>
            }
            .into_any();
        }
        view! {
            <div class="chat-empty empty">
                <b>"Ask the agent"</b>
                <p>"It reads the project, edits on a branch of its own and runs commands without network. Nothing reaches your files until you accept it."</p>
            </div>
        }
        .into_any()
    }
}
