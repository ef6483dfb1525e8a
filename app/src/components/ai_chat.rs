//! The conversation with the agent.

use std::time::Duration;

use leptos::{ev, html, prelude::*, web_sys};
use wasm_bindgen::{JsCast, closure::Closure};
use wire::ConversationId;

use super::{
    approval::Approvals,
    budget_meter::BudgetNotice,
    chat_entry::{Entry, EntryMenu, Picked},
    chat_list::{ConversationMenu, Conversations, RenameDialog},
    chat_queue::Queue,
    chat_rewind::RewindDialog,
    chat_session::Chat,
    chat_state::ItemKey,
    composer::Composer,
    turn_usage::TurnUsageDialog,
};
use crate::ui::{Button, ButtonKind, ButtonSize, Icon, IconButton, MenuState, PanelError, Skeleton};

/// Pixels from the end that still count as being there.
const AT_END: i32 = 48;
/// Pixels from the beginning from which on older messages are read.
const NEAR_BEGINNING: i32 = 400;

/// The chat panel: conversations, transcript, approvals and the composer.
#[component]
pub fn AiChat() -> impl IntoView {
    let chat = Chat::provide();
    let listing = RwSignal::new(false);
    let renaming = RwSignal::new(None);
    let budgeting = RwSignal::new(false);
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
            <Head chat=chat listing=listing renaming=renaming budgeting=budgeting />
            <Show
                when=move || !listing.get()
                fallback=move || view! { <Conversations chat=chat listing=listing renaming=renaming /> }
            >
                <Log chat=chat />
            </Show>
            {chat
                .ide
                .can_edit()
                .then(|| {
                    view! {
                        <BudgetNotice
                            project=chat.ide.project_id
                            conversation=chat.current
                            changed=chat.ide.conversations_changed
                            setting=budgeting
                        />
                    }
                })}
            <Approvals asked=chat.asked />
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
            <Queue chat=chat />
            <Composer />
            <RenameDialog chat=chat renaming=renaming />
            <RewindDialog chat=chat />
            <TurnUsageDialog chat=chat />
        </section>
    }
}

#[component]
fn Head(chat: Chat, listing: RwSignal<bool>, renaming: RwSignal<Option<ConversationId>>, budgeting: RwSignal<bool>) -> impl IntoView {
    let about = Memo::new(move |_| {
        let id = chat.current.get()?;
        let shown = chat.view.with(|view| view.as_ref().map(|view| view.conversation.clone())).filter(|shown| shown.id == id);
        shown.or_else(|| {
            chat.conversations.with(|list| list.iter().find(|found| found.conversation.id == id).map(|found| found.conversation.clone()))
        })
    });
    let title = move || {
        let known = about.with(|about| about.as_ref().map(|about| about.title.clone()));
        known.filter(|title| !title.is_empty()).unwrap_or_else(|| "New conversation".to_owned())
    };
    let parent = Memo::new(move |_| about.with(|about| about.as_ref().and_then(|about| about.parent.clone())));
    view! {
        <div class="phead">
            <h2 class="clip" title=title>
                {title}
            </h2>
            <IconButton
                icon="plus"
                label="New conversation"
                small=true
                on_click=move |_| {
                    listing.set(false);
                    chat.open_new();
                }
            />
            {chat
                .ide
                .can_edit()
                .then(|| {
                    view! { <IconButton icon="wallet" label="Budgets of this conversation" small=true on_click=move |_| budgeting.set(true) /> }
                })}
            <IconButton
                icon="messages-square"
                label="Earlier conversations"
                small=true
                pressed=Signal::derive(move || Some(listing.get()))
                on_click=move |_| {
                    listing.update(|listing| *listing = !*listing);
                    if listing.get_untracked() {
                        chat.refresh_list();
                    }
                }
            />
            {move || {
                about
                    .with(|about| about.as_ref().map(|about| about.id))
                    .map(|id| view! { <ConversationMenu chat=chat id=id label="More about this conversation" renaming=renaming /> })
            }}
        </div>
        {move || {
            parent
                .get()
                .map(|parent| {
                    let (id, gone) = (parent.id, parent.title.is_none());
                    let title = parent.title.filter(|title| !title.is_empty()).unwrap_or_else(|| "a conversation".to_owned());
                    view! {
                        <p class="chat-parent t2 fs12">
                            <Icon name="git-branch" small=true />
                            <span>"Forked from"</span>
                            {if gone {
                                view! { <span>"a conversation that was removed"</span> }.into_any()
                            } else {
                                view! {
                                    <button type="button" class="link clip" on:click=move |_| chat.open(id)>
                                        {title}
                                    </button>
                                }
                                    .into_any()
                            }}
                        </p>
                    }
                })
        }}
    }
}

#[component]
fn Log(chat: Chat) -> impl IntoView {
    let scroller = NodeRef::<html::Div>::new();
    let at_end = RwSignal::new(true);
    // Height and place before older messages were asked for.
    let kept = StoredValue::new(None::<(i32, i32)>);
    // Called a moment later, when the list of conversations may be in its place.
    let to_end = move || {
        if let Some(scroller) = scroller.try_get_untracked().flatten() {
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
    let has_older = Memo::new(move |_| chat.view.with(|view| view.as_ref().is_some_and(|view| view.before.is_some())));
    let load_older = move || {
        if let Some(el) = scroller.get_untracked() {
            kept.set_value(Some((el.scroll_height(), el.scroll_top())));
            chat.load_older();
        }
    };
    let on_scroll = move |_| {
        if let Some(el) = scroller.get_untracked() {
            if el.scroll_top() < NEAR_BEGINNING
                && has_older.get_untracked()
                && !chat.loading_older.get_untracked()
                && !at_end.get_untracked()
            {
                load_older();
            }
            let now = el.scroll_height() - el.scroll_top() - el.client_height() < AT_END;
            if at_end.get_untracked() != now {
                at_end.set(now);
            }
        }
    };
    let first = Memo::new(move |_| chat.items.with(|items| items.first().map(|item| item.key)));
    Effect::new(move |before: Option<Option<ItemKey>>| {
        let now = first.get();
        // What is read stays where it is while older messages come above it.
        if before.flatten().is_some_and(|before| Some(before) != now)
            && let Some((height, top)) = kept.try_update_value(Option::take).flatten()
        {
            request_animation_frame(move || {
                if let Some(el) = scroller.try_get_untracked().flatten() {
                    el.set_scroll_top(el.scroll_height() - height + top);
                }
            });
        }
        now
    });
    let picked = RwSignal::new(None::<Picked>);
    let menu = MenuState::new();
    let keys = Memo::new(move |_| chat.items.with(|items| items.iter().map(|item| item.key).collect::<Vec<_>>()));
    let is_empty = move || keys.with(Vec::is_empty);
    view! {
        <div class="log-frame">
            <div class="scroll" tabindex="0" role="log" aria-label="Messages" aria-live="off" node_ref=scroller on:scroll=on_scroll>
                <Show when=is_empty>
                    <Beginning chat=chat />
                </Show>
                <div class="log" hidden=is_empty>
                    <Show when=move || has_older.get()>
                        <div class="older">
                            <Button size=ButtonSize::Small kind=ButtonKind::Ghost busy=chat.loading_older on_click=move |_| load_older()>
                                "Earlier messages"
                            </Button>
                        </div>
                    </Show>
                    <For each=move || keys.get() key=|key| *key let:key>
                        {
                            let item = Memo::new(move |_| chat.items.with(|items| items.iter().find(|item| item.key == key).cloned()));
                            view! { <Entry chat=chat item=item picked=picked menu=menu /> }
                        }
                    </For>
                </div>
                <EntryMenu chat=chat picked=picked menu=menu />
            </div>
            <Show when=move || !at_end.get()>
                <span class="to-latest">
                    <Button
                        size=ButtonSize::Small
                        icon="arrow-down"
                        on_click=move |_| {
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
                        <Button on_click=retry>"Try again"</Button>
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
