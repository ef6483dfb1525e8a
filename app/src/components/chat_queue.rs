//! What was written while the agent works, and what to do with it.

use leptos::{ev, html, prelude::*};
use wire::chat::QueuedPrompt;

use super::chat_session::Chat;
use crate::ui::{Button, ButtonKind, ButtonSize, Icon, IconButton};

/// The prompts that wait, above the composer.
#[component]
pub fn Queue(chat: Chat) -> impl IntoView {
    let queue = Memo::new(move |_| chat.view.with(|view| view.as_ref().map(|view| view.queue.clone()).unwrap_or_default()));
    let held = Memo::new(move |_| chat.view.with(|view| view.as_ref().and_then(|view| view.queue_waits.clone())));
    let first = move || queue.with(|queue| queue.first().map(|prompt| prompt.id));
    view! {
        <Show when=move || queue.with(|queue| !queue.is_empty())>
            <section class="queue" aria-label="Messages that wait">
                {move || {
                    held.get()
                        .map(|reason| {
                            view! {
                                <p class="queue-held fs12">
                                    <Icon name="circle-pause" small=true />
                                    <span class="grow">{reason}</span>
                                </p>
                            }
                        })
                }}
                <ul>
                    <For each=move || queue.get() key=|prompt| (prompt.id, prompt.request.prompt.clone()) let:prompt>
                        {
                            let id = prompt.id;
                            let is_first = Memo::new(move |_| first() == Some(id));
                            view! { <Waiting chat=chat prompt=prompt is_first=is_first /> }
                        }
                    </For>
                </ul>
            </section>
        </Show>
    }
}

#[component]
fn Waiting(chat: Chat, prompt: QueuedPrompt, is_first: Memo<bool>) -> impl IntoView {
    let id = prompt.id;
    let editing = RwSignal::new(false);
    let text = StoredValue::new(prompt.request.prompt);
    let may = move || chat.ide.can_edit();
    let at_work = move || chat.active.with(Option::is_some);
    view! {
        <li class="queued">
            <Show
                when=move || editing.get()
                fallback=move || {
                    view! {
                        <Icon name="clock" small=true />
                        <span class="clip grow" title=text.get_value()>
                            {text.get_value()}
                        </span>
                        <Show when=may>
                            <Button
                                size=ButtonSize::Small
                                kind=ButtonKind::Ghost
                                busy=Signal::derive(move || chat.stopping.get() && is_first.get())
                                title=Signal::derive(move || {
                                    at_work().then(|| "Stops the agent, keeps what it changed for review, and sends this".to_owned())
                                })
                                on:click=move |_| chat.send_queued(id)
                            >
                                {move || if at_work() { "Interrupt" } else { "Send now" }}
                            </Button>
                            <IconButton icon="pencil" label="Edit this message" small=true on:click=move |_| editing.set(true) />
                            <IconButton icon="x" label="Remove this message" small=true on:click=move |_| chat.remove_queued(id) />
                        </Show>
                    }
                }
            >
                <EditQueued chat=chat id=id text=text editing=editing />
            </Show>
        </li>
    }
}

#[component]
fn EditQueued(chat: Chat, id: wire::QueuedPromptId, text: StoredValue<String>, editing: RwSignal<bool>) -> impl IntoView {
    let field = NodeRef::<html::Textarea>::new();
    let draft = RwSignal::new(text.get_value());
    Effect::new(move |_| {
        if let Some(field) = field.get() {
            let _ = field.focus();
        }
    });
    let save = move || {
        if draft.with_untracked(|text| text.trim().is_empty()) {
            return;
        }
        editing.set(false);
        chat.update_queued(id, draft.get_untracked());
    };
    let on_keydown = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" {
            event.stop_propagation();
            editing.set(false);
        } else if (event.ctrl_key() || event.meta_key()) && event.key() == "Enter" && !event.is_composing() {
            event.prevent_default();
            event.stop_propagation();
            save();
        }
    };
    view! {
        <div class="queued-edit">
            <textarea
                class="input"
                rows="3"
                node_ref=field
                aria-label="The message that waits"
                prop:value=move || draft.get()
                on:input:target=move |ev| draft.set(ev.target().value())
                on:keydown=on_keydown
            ></textarea>
            <div class="acts">
                <Button size=ButtonSize::Small on:click=move |_| editing.set(false)>"Cancel"</Button>
                <Button
                    size=ButtonSize::Small
                    kind=ButtonKind::Primary
                    disabled=Signal::derive(move || draft.with(|text| text.trim().is_empty()))
                    on:click=move |_| save()
                >
                    "Save"
                </Button>
            </div>
        </div>
    }
}
