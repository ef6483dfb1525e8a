//! What was written while the agent works, and what to do with it.

use leptos::{ev, html, prelude::*, task::spawn_local};
use wire::{QueuedPromptId, chat::QueuedPrompt};

use super::{chat_session::Chat, message_limits};
use crate::ui::{Button, ButtonKind, ButtonSize, Icon, IconButton};

/// The prompts that wait, above the composer.
#[component]
pub fn Queue(chat: Chat) -> impl IntoView {
    let queue = Memo::new(move |_| chat.view.with(|view| view.as_ref().map(|view| view.queue.clone()).unwrap_or_default()));
    let held = Memo::new(move |_| chat.view.with(|view| view.as_ref().and_then(|view| view.queue_waits.clone())));
    let ids = Memo::new(move |_| queue.with(|queue| queue.iter().map(|prompt| prompt.id).collect::<Vec<_>>()));
    view! {
        <Show when=move || ids.with(|ids| !ids.is_empty())>
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
                    <For each=move || ids.get() key=|id| *id let:id>
                        {
                            let now = Memo::new(move |_| queue.with(|queue| queue.iter().find(|prompt| prompt.id == id).cloned()));
                            let is_first = Memo::new(move |_| ids.with(|ids| ids.first() == Some(&id)));
                            view! { <Waiting chat=chat id=id now=now is_first=is_first /> }
                        }
                    </For>
                </ul>
            </section>
        </Show>
    }
}

/// A message that waits, while it is written anew.
#[derive(Clone, Copy)]
struct Edit {
    open: RwSignal<bool>,
    draft: RwSignal<String>,
    /// What it said when the draft began, and the version that said it.
    before: RwSignal<String>,
    base: RwSignal<i64>,
    busy: RwSignal<bool>,
}

impl Edit {
    fn new() -> Self {
        Self {
            open: RwSignal::new(false),
            draft: RwSignal::new(String::new()),
            before: RwSignal::new(String::new()),
            base: RwSignal::new(0),
            busy: RwSignal::new(false),
        }
    }

    /// Begins with what it says now.
    fn begin(self, now: &QueuedPrompt) {
        self.draft.set(now.request.prompt.clone());
        self.before.set(now.request.prompt.clone());
        self.base.set(now.version);
    }

    /// What was typed and is saved nowhere.
    fn unsaved(self) -> Option<String> {
        let is_open = self.open.try_get_untracked() == Some(true);
        let draft = self.draft.try_get_untracked().filter(|_| is_open)?;
        (Some(&draft) != self.before.try_get_untracked().as_ref()).then_some(draft)
    }
}

/// Who still writes at a message that began, or that somebody removed, goes on in the message field.
fn keep_unsaved(chat: Chat, id: QueuedPromptId, edit: Edit) {
    let is_gone = chat.view.try_with_untracked(|view| view.as_ref().is_some_and(|view| view.queue.iter().all(|prompt| prompt.id != id)));
    if let Some(text) = edit.unsaved().filter(|_| is_gone == Some(true)) {
        chat.ide.chat_draft.set(text);
        chat.ide.toast("The message has begun or was removed. What you typed is in the field below");
    }
}

#[component]
fn Waiting(chat: Chat, id: QueuedPromptId, now: Memo<Option<QueuedPrompt>>, is_first: Memo<bool>) -> impl IntoView {
    let edit = Edit::new();
    on_cleanup(move || keep_unsaved(chat, id, edit));
    let text = move || now.with(|now| now.as_ref().map(|now| now.request.prompt.clone()).unwrap_or_default());
    let limits = move || now.with(|now| now.as_ref()?.request.budget.as_ref().map(message_limits::say));
    let version = move || now.with_untracked(|now| now.as_ref().map(|now| now.version));
    let may = move || chat.ide.can_edit();
    let at_work = move || chat.active.with(Option::is_some);
    let begin = move |_| {
        if let Some(now) = now.get_untracked() {
            edit.begin(&now);
            edit.open.set(true);
        }
    };
    view! {
        <li class="queued">
            <Show
                when=move || edit.open.get()
                fallback=move || {
                    view! {
                        <Icon name="clock" small=true />
                        <span class="clip grow" title=text>
                            {text}
                        </span>
                        {move || {
                            limits().map(|limits| view! { <span class="badge nowrap" title="The limits of this message">{limits}</span> })
                        }}
                        <Show when=may>
                            <Button
                                size=ButtonSize::Small
                                kind=ButtonKind::Ghost
                                busy=Signal::derive(move || chat.stopping.get() && is_first.get())
                                title=Signal::derive(move || {
                                    at_work().then(|| "Stops the agent, keeps what it changed for review, and sends this".to_owned())
                                })
                                on_click=move |_| chat.send_queued(id)
                            >
                                {move || if at_work() { "Interrupt" } else { "Send now" }}
                            </Button>
                            <IconButton icon="pencil" label="Edit this message" small=true on_click=begin />
                            <IconButton
                                icon="x"
                                label="Remove this message"
                                small=true
                                on_click=move |_| chat.remove_queued(id, version())
                            />
                        </Show>
                    }
                }
            >
                <EditQueued chat=chat id=id now=now edit=edit />
            </Show>
        </li>
    }
}

#[component]
fn EditQueued(chat: Chat, id: QueuedPromptId, now: Memo<Option<QueuedPrompt>>, edit: Edit) -> impl IntoView {
    let field = NodeRef::<html::Textarea>::new();
    Effect::new(move |_| {
        if let Some(field) = field.get() {
            let _ = field.focus();
        }
    });
    let newer = Memo::new(move |_| now.get().filter(|now| now.version != edit.base.get() && !edit.busy.get()));
    Effect::new(move |_| {
        // Only its place among the others is another one.
        if let Some(newer) = newer.get().filter(|newer| edit.before.with_untracked(|before| *before == newer.request.prompt)) {
            edit.base.set(newer.version);
        }
    });
    let save = move |base: i64| {
        let text = edit.draft.get_untracked();
        if text.trim().is_empty() || edit.busy.get_untracked() {
            return;
        }
        edit.busy.set(true);
        spawn_local(async move {
            let saved = chat.update_queued(id, base, text).await;
            if edit.busy.try_set(false).is_none() && saved {
                edit.open.set(false);
            }
        });
    };
    let on_keydown = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" {
            event.stop_propagation();
            edit.open.set(false);
        } else if (event.ctrl_key() || event.meta_key()) && event.key() == "Enter" && !event.is_composing() {
            event.prevent_default();
            event.stop_propagation();
            // With another text in its place, somebody chooses by a button.
            if newer.with_untracked(Option::is_none) {
                save(edit.base.get_untracked());
            }
        }
    };
    let cannot_save = Signal::derive(move || edit.draft.with(|text| text.trim().is_empty()));
    view! {
        <div class="queued-edit">
            <textarea
                class="input"
                rows="3"
                node_ref=field
                aria-label="The message that waits"
                prop:value=move || edit.draft.get()
                on:input:target=move |ev| edit.draft.set(ev.target().value())
                on:keydown=on_keydown
            ></textarea>
            <div role="status">
                {move || {
                    newer
                        .get()
                        .map(|newer| {
                            view! {
                                <p class="queue-held fs12">
                                    <Icon name="triangle-alert" small=true />
                                    <span class="grow">{format!("Changed elsewhere. It says now: {}", newer.request.prompt)}</span>
                                </p>
                            }
                        })
                }}
            </div>
            <div class="acts">
                <Button size=ButtonSize::Small on_click=move |_| edit.open.set(false)>"Cancel"</Button>
                {move || match newer.get() {
                    None => {
                        view! {
                            <Button
                                size=ButtonSize::Small
                                kind=ButtonKind::Primary
                                busy=edit.busy
                                disabled=cannot_save
                                on_click=move |_| save(edit.base.get_untracked())
                            >
                                "Save"
                            </Button>
                        }
                            .into_any()
                    }
                    Some(newer) => {
                        let version = newer.version;
                        view! {
                            <Button size=ButtonSize::Small on_click=move |_| edit.begin(&newer)>"Take that"</Button>
                            <Button
                                size=ButtonSize::Small
                                kind=ButtonKind::Primary
                                busy=edit.busy
                                disabled=cannot_save
                                on_click=move |_| save(version)
                            >
                                "Replace it with mine"
                            </Button>
                        }
                            .into_any()
                    }
                }}
            </div>
        </div>
    }
}
