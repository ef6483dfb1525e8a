//! Where a message to the agent is written: mode, model, what goes along with it, Send and Stop.

use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};
use wire::{chat::Mode, limits};

use super::{
    chat_actions::ChatOrder,
    chat_session::Chat,
    composer_chips::Chips,
    composer_draft::{Draft, mode_word, read_mode},
    context_panel::{ContextPanel, ContextState, ContextUse},
    mention_popup::{LIST_ID, MentionList, Mentions},
    message_limits::LimitLine,
    model_picker::ModelPicker,
};
use crate::ui::{Button, ButtonKind, ButtonSize, IconButton, storage};

/// The field and its bar. Ctrl+Enter sends, Ctrl+. stops, @ names things.
#[component]
pub fn Composer() -> impl IntoView {
    let chat = Chat::expect();
    let ide = chat.ide;
    let draft = Draft::of(chat);
    let mentions = Mentions::of(draft);
    let context = ContextState::of(draft);
    let field = NodeRef::<html::Textarea>::new();
    let over = RwSignal::new(false);
    take_what_is_handed_over(draft, field);
    let too_long = move || draft.text.with(|text| text.len() > limits::PROMPT_MAX_CHARS && text.chars().count() > limits::PROMPT_MAX_CHARS);
    let on_paste = move |event: ev::ClipboardEvent| {
        if let Some(data) = event.clipboard_data()
            && draft.take_pictures(data.files())
        {
            event.prevent_default();
        }
    };
    let on_drop = move |event: ev::DragEvent| {
        over.set(false);
        let data = event.data_transfer();
        if draft.take_pictures(data.as_ref().and_then(|data| data.files())) {
            event.prevent_default();
        }
    };
    view! {
        <ContextPanel draft=draft state=context />
        <div
            class="compose"
            class:compose--over=move || over.get()
            on:paste=on_paste
            on:drop=on_drop
            on:dragover=move |event| {
                if holds_files(&event) {
                    event.prevent_default();
                    over.set(true);
                }
            }
            on:dragleave=move |_| over.set(false)
        >
            <Chips draft=draft />
            <Field draft=draft mentions=mentions field=field />
            <LimitLine limits=draft.limits open=draft.limiting />
            <Bar draft=draft mentions=mentions field=field too_long=Signal::derive(too_long) />
        </div>
        <div class="chat-foot">
            <ContextUse draft=draft state=context />
            <Show when=move || draft.model_name().is_some_and(|name| chat.is_demo(&name))>
                <span class="badge" title="Its answers are written in advance. Connect a model to work with a real one.">
                    "Demonstration: scripted, not an AI"
                </span>
            </Show>
            <span class="grow"></span>
            <span class="clip">
                {move || {
                    if too_long() { "At most 100 000 characters; attach long text as a file".to_owned() } else { chat.usage_line() }
                }}
            </span>
        </div>
        <div class="sr" aria-live="polite">
            {move || (draft.uploading.get() > 0 && ide.can_edit()).then_some("Uploading a picture")}
        </div>
    }
}

fn holds_files(event: &ev::DragEvent) -> bool {
    event.data_transfer().is_some_and(|data| data.types().includes(&"Files".into(), 0))
}

/// Texts and selections that other parts of the page put into the message.
fn take_what_is_handed_over(draft: Draft, field: NodeRef<html::Textarea>) {
    let ide = draft.chat.ide;
    let focus = move || {
        if let Some(field) = field.get_untracked() {
            let _ = field.focus();
        }
    };
    Effect::new(move |_| {
        let handed = ide.chat_draft.get();
        if handed.is_empty() {
            return;
        }
        ide.chat_draft.set(String::new());
        let before = draft.text.get_untracked();
        draft.text.set(if before.trim().is_empty() { handed } else { format!("{}\n\n{handed}", before.trim_end()) });
        focus();
    });
    Effect::new(move |_| {
        if let Some(picked) = ide.chat_mention.get() {
            ide.chat_mention.set(None);
            draft.pick(picked);
            focus();
        }
    });
    Effect::new(move |_| {
        let Some(order) = ide.chat_order.get() else { return };
        ide.chat_order.set(None);
        match order {
            ChatOrder::Mode(mode) => {
                choose_mode(draft, mode);
                ide.toast(format!("The next message is sent in the mode {}", mode_name(mode)));
            }
            ChatOrder::Export(format) => draft.chat.export(format),
        }
    });
}

#[component]
fn Field(draft: Draft, mentions: Mentions, field: NodeRef<html::Textarea>) -> impl IntoView {
    let chat = draft.chat;
    let active = move || chat.active.with(Option::is_some);
    let placeholder = move || if active() { "Add to the queue, or interrupt" } else { "Message the agent; @ names files" };
    let look = move || {
        if let Some(field) = field.get_untracked() {
            mentions.look(&field.value(), field.selection_start().ok().flatten());
        }
    };
    let choose = move |at: usize| put_mention(draft, mentions, field, at);
    let on_keydown = move |event: ev::KeyboardEvent| {
        if (event.ctrl_key() || event.meta_key()) && event.key() == "Enter" && !event.is_composing() {
            event.prevent_default();
            mentions.close();
            draft.send();
            return;
        }
        if !untrack(|| mentions.is_open()) || event.is_composing() {
            return;
        }
        match event.key().as_str() {
            "ArrowDown" => mentions.step(1),
            "ArrowUp" => mentions.step(-1),
            "Enter" | "Tab" if !event.shift_key() => choose(mentions.active.get_untracked()),
            "Escape" => {
                event.stop_propagation();
                mentions.close();
            }
            _ => return,
        }
        event.prevent_default();
    };
    let on_keyup = move |event: ev::KeyboardEvent| {
        // Moving the caret may leave or reach a mention.
        if matches!(event.key().as_str(), "ArrowLeft" | "ArrowRight" | "Home" | "End") {
            look();
        }
    };
    view! {
        <MentionList mentions=mentions on_choose=Callback::new(choose) />
        <textarea
            node_ref=field
            aria-label="Message to the agent"
            aria-keyshortcuts="Control+Enter"
            aria-autocomplete="list"
            aria-controls=move || mentions.is_open().then_some(LIST_ID)
            aria-activedescendant=move || mentions.is_open().then(|| format!("{LIST_ID}-{}", mentions.active.get()))
            placeholder=placeholder
            prop:value=move || draft.text.get()
            on:input:target=move |ev| {
                draft.text.set(ev.target().value());
                look();
            }
            on:keydown=on_keydown
            on:keyup=on_keyup
            on:click=move |_| look()
            on:blur=move |_| mentions.close()
        ></textarea>
    }
    .into_any()
}

/// Puts a line of the list into the text, with the caret behind it.
fn put_mention(draft: Draft, mentions: Mentions, field: NodeRef<html::Textarea>, at: usize) {
    let Some((text, caret)) = mentions.take(at) else { return };
    draft.text.set(text.clone());
    if let Some(field) = field.get_untracked() {
        field.set_value(&text);
        let _ = field.focus();
        let _ = field.set_selection_range(caret, caret);
    }
}

#[component]
fn Bar(draft: Draft, mentions: Mentions, field: NodeRef<html::Textarea>, too_long: Signal<bool>) -> impl IntoView {
    let chat = draft.chat;
    let ide = chat.ide;
    let active = move || chat.active.with(Option::is_some);
    let begin_mention = move |_| {
        let Some(field) = field.get_untracked() else { return };
        let text = draft.text.get_untracked();
        let gap = if text.is_empty() || text.ends_with(char::is_whitespace) { "" } else { " " };
        let text = format!("{text}{gap}@");
        draft.text.set(text.clone());
        field.set_value(&text);
        let _ = field.focus();
        let end = text.encode_utf16().count() as u32;
        let _ = field.set_selection_range(end, end);
        mentions.look(&text, Some(end));
    };
    let cannot_send =
        Signal::derive(move || draft.text.with(|text| text.trim().is_empty()) || draft.hindrance().is_some() || too_long.get());
    let send_title = Signal::derive(move || {
        let does = if active() { "Send when the agent has finished (Ctrl Enter)" } else { "Send (Ctrl Enter)" };
        Some(draft.hindrance().unwrap_or_else(|| does.to_owned()))
    });
    view! {
        <div class="compose-bar">
            <AttachButton draft=draft />
            <IconButton icon="at-sign" small=true label="Mention a file, a folder, a run or the selection" on_click=begin_mention />
            <ModePicker draft=draft />
            <ModelPicker
                models=chat.models
                chosen=Signal::derive(move || draft.model_name())
                on_choose=Callback::new(move |name: String| {
                    storage::write("model", &name);
                    draft.model.set(Some(name));
                })
            />
            <IconButton
                icon="wallet"
                small=true
                label="Limits of this message"
                pressed=Signal::derive(move || Some(draft.limiting.get() || draft.limits.is_set()))
                on_click=move |_| {
                    if untrack(|| draft.limits.is_set()) {
                        focus_limits();
                    } else {
                        draft.limiting.update(|open| *open = !*open);
                        request_animation_frame(focus_limits);
                    }
                }
            />
            <span class="grow"></span>
            <Show when=move || active() && ide.can_edit()>
                <Button
                    size=ButtonSize::Small
                    icon="square"
                    busy=chat.stopping
                    title=Signal::derive(|| Some("Stop the agent (Ctrl .)".to_owned()))
                    attr:data-act="stop"
                    on_click=move |_| chat.stop()
                >
                    {move || if chat.stopping.get() { "Stopping" } else { "Stop" }}
                </Button>
            </Show>
            <Show when=move || !active() || draft.text.with(|text| !text.trim().is_empty())>
                <Button
                    size=ButtonSize::Small
                    kind=ButtonKind::Primary
                    icon="arrow-up"
                    busy=draft.sending
                    disabled=cannot_send
                    title=send_title
                    on_click=move |_| draft.send()
                >
                    {move || if active() { "Queue" } else { "Send" }}
                </Button>
            </Show>
        </div>
    }
    .into_any()
}

/// Goes to the first field of the message's limits, where they are shown.
fn focus_limits() {
    let field = document().query_selector(".limit-line input").ok().flatten().and_then(|el| el.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(field) = field {
        let _ = field.focus();
    }
}

/// Attaches pictures from the computer where the model takes them, and else the file on top in the editor.
#[component]
fn AttachButton(draft: Draft) -> impl IntoView {
    let ide = draft.chat.ide;
    let input = NodeRef::<html::Input>::new();
    let label = move || {
        if draft.takes_images() {
            return "Attach pictures; files of the project are named in the text as @path".to_owned();
        }
        match ide.active.get() {
            Some(path) => format!("Attach {path}; name other files in the text as @path"),
            None => "Open a file to attach it, or name files in the text as @path".to_owned(),
        }
    };
    let choose = move |_| {
        if untrack(|| draft.takes_images()) {
            if let Some(input) = input.get_untracked() {
                input.click();
            }
        } else if let Some(path) = ide.active.get_untracked() {
            draft.attach(path);
        }
    };
    let chosen = move |event: ev::Event| {
        let target = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlInputElement>().ok());
        if let Some(input) = target {
            draft.take_pictures(input.files());
            // So that the same file can be chosen once more.
            input.set_value("");
        }
    };
    view! {
        <IconButton
            icon="paperclip"
            small=true
            label=Signal::derive(label)
            disabled=Signal::derive(move || !draft.takes_images() && ide.active.with(Option::is_none))
            on_click=choose
        />
        <input node_ref=input type="file" hidden multiple accept="image/png,image/jpeg,image/webp,image/gif" aria-label="Pictures to attach" on:change=chosen />
    }
    .into_any()
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Plan => "Plan",
        Mode::Ask => "Ask first",
        Mode::Auto => "Auto",
    }
}

fn choose_mode(draft: Draft, mode: Mode) {
    storage::write(&draft.chat.ide.storage_key("mode"), mode_word(mode));
    draft.mode.set(mode);
}

#[component]
fn ModePicker(draft: Draft) -> impl IntoView {
    view! {
        <select
            class="select select--s"
            aria-label="How much the agent may do"
            title="Plan reads only. Ask first edits its branch and asks before it runs anything. Auto also runs, still on its branch."
            prop:value=move || mode_word(draft.mode.get())
            on:change:target=move |ev| choose_mode(draft, read_mode(&ev.target().value()))
        >
            <option value="plan">"Plan"</option>
            <option value="ask" selected=true>
                "Ask first"
            </option>
            <option value="auto">"Auto"</option>
        </select>
    }
    .into_any()
}
