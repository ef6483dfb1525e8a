//! Where a message to the agent is written: mode, model, attachments, Send and Stop.

use leptos::{ev, html, prelude::*, task::spawn_local};
use wire::{chat::Mode, files::EntryKind, limits};

use super::chat_session::Chat;
use crate::ui::{Button, ButtonKind, ButtonSize, Icon, IconButton, storage};

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Plan => "plan",
        Mode::Ask => "ask",
        Mode::Auto => "auto",
    }
}

fn read_mode(word: &str) -> Mode {
    match word {
        "plan" => Mode::Plan,
        "auto" => Mode::Auto,
        _ => Mode::Ask,
    }
}

/// Files of the project that the text names as `@path`, in the order they appear.
pub fn mentions(text: &str, is_file: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in text.split_whitespace().filter_map(|word| word.strip_prefix('@')) {
        let trimmed = word.trim_end_matches([',', '.', ';', ':', ')', '?']);
        let path = if is_file(word) { word } else { trimmed };
        if !path.is_empty() && is_file(path) && !found.iter().any(|known| known == path) {
            found.push(path.to_owned());
        }
    }
    found
}

/// What is written but not sent.
#[derive(Clone, Copy)]
struct Draft {
    chat: Chat,
    text: RwSignal<String>,
    attachments: RwSignal<Vec<String>>,
    mode: RwSignal<Mode>,
    /// `None` is the installation's default.
    model: RwSignal<Option<String>>,
    sending: RwSignal<bool>,
}

impl Draft {
    fn key(&self) -> String {
        self.chat.ide.storage_key("draft")
    }

    fn write(&self, text: String) {
        if text.is_empty() {
            storage::remove(&self.key());
        } else {
            storage::write(&self.key(), &text);
        }
        self.text.set(text);
    }

    fn attach(&self, path: String) {
        self.attachments.update(|all| {
            if !all.contains(&path) {
                all.push(path);
            }
        });
    }

    /// The model that the next turn uses, as far as known.
    fn model_name(&self) -> Option<String> {
        let models = self.chat.models.get()?;
        let offered = |name: &String| models.items.iter().any(|model| &model.name == name);
        self.model.get().filter(offered).or(models.default.clone()).or(models.items.first().map(|model| model.name.clone()))
    }

    /// Why nothing can be sent now.
    fn hindrance(&self) -> Option<String> {
        if !self.chat.ide.can_edit() {
            Some("Only editors of the project may start the agent".to_owned())
        } else if self.chat.models.with(|models| models.as_ref().is_some_and(|models| models.items.is_empty())) {
            Some("No model is connected yet".to_owned())
        } else if self.chat.active.with(Option::is_some) {
            Some("The agent still works; stop it or wait until it has finished".to_owned())
        } else {
            None
        }
    }

    fn send(self) {
        if self.sending.get_untracked() || self.text.with_untracked(|text| text.trim().is_empty()) {
            return;
        }
        if let Some(reason) = untrack(|| self.hindrance()) {
            self.chat.failure.set(Some(format!("{reason}.")));
            return;
        }
        let prompt = self.text.get_untracked();
        let mut attachments = self.attachments.get_untracked();
        let named = self.chat.ide.tree.with_untracked(|tree| {
            mentions(&prompt, |path| tree.items.iter().any(|entry| entry.path == path && entry.kind == EntryKind::File))
        });
        attachments.extend(named.into_iter().filter(|path| !attachments.contains(path)).collect::<Vec<_>>());
        let mode = self.mode.get_untracked();
        let model = untrack(|| self.model_name());
        self.sending.set(true);
        spawn_local(async move {
            let taken = self.chat.send(prompt.clone(), mode, model, attachments).await;
            if self.sending.try_set(false).is_some() {
                return;
            }
            // What was typed meanwhile stays.
            if taken {
                self.attachments.set(Vec::new());
                let rest = self.text.with_untracked(|now| now.strip_prefix(prompt.as_str()).unwrap_or(now).trim_start().to_owned());
                self.write(rest);
            }
        });
    }
}

/// The field and its bar. Ctrl+Enter sends, Ctrl+. stops.
#[component]
pub fn Composer() -> impl IntoView {
    let chat = Chat::expect();
    let ide = chat.ide;
    let draft = Draft {
        chat,
        text: RwSignal::new(String::new()),
        attachments: RwSignal::new(Vec::new()),
        mode: RwSignal::new(Mode::Ask),
        model: RwSignal::new(None),
        sending: RwSignal::new(false),
    };
    let field = NodeRef::<html::Textarea>::new();
    Effect::new(move |_| {
        if let Some(text) = storage::read(&draft.key()) {
            draft.text.set(text);
        }
        if let Some(mode) = storage::read(&ide.storage_key("mode")) {
            draft.mode.set(read_mode(&mode));
        }
        draft.model.set(storage::read("model"));
    });
    Effect::new(move |_| {
        let handed = ide.chat_draft.get();
        if handed.is_empty() {
            return;
        }
        ide.chat_draft.set(String::new());
        let before = draft.text.get_untracked();
        draft.write(if before.trim().is_empty() { handed } else { format!("{}\n\n{handed}", before.trim_end()) });
        if let Some(field) = field.get_untracked() {
            let _ = field.focus();
        }
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        if (event.ctrl_key() || event.meta_key()) && event.key() == "Enter" && !event.is_composing() {
            event.prevent_default();
            draft.send();
        }
    };
    let active = move || chat.active.with(Option::is_some);
    let placeholder = move || if active() { "Write ahead; send it when the agent has finished" } else { "Message the agent" };
    let too_long = move || draft.text.with(|text| text.len() > limits::PROMPT_MAX_CHARS && text.chars().count() > limits::PROMPT_MAX_CHARS);
    view! {
        <div class="compose">
            <Show when=move || draft.attachments.with(|all| !all.is_empty())>
                <Attachments draft=draft />
            </Show>
            <textarea
                node_ref=field
                aria-label="Message to the agent"
                aria-keyshortcuts="Control+Enter"
                placeholder=placeholder
                prop:value=move || draft.text.get()
                on:input:target=move |ev| draft.write(ev.target().value())
                on:keydown=on_keydown
            ></textarea>
            <div class="compose-bar">
                <AttachButton draft=draft />
                <ModePicker draft=draft />
                <ModelPicker draft=draft />
                <span class="grow"></span>
                <Show
                    when=move || active() && ide.can_edit()
                    fallback=move || {
                        view! {
                            <Button
                                size=ButtonSize::Small
                                kind=ButtonKind::Primary
                                icon="arrow-up"
                                busy=draft.sending
                                disabled=Signal::derive(move || {
                                    draft.text.with(|text| text.trim().is_empty()) || draft.hindrance().is_some() || too_long()
                                })
                                title=Signal::derive(move || Some(draft.hindrance().unwrap_or_else(|| "Send (Ctrl Enter)".to_owned())))
                                on:click=move |_| draft.send()
                            >
                                "Send"
                            </Button>
                        }
                    }
                >
                    <Button
                        size=ButtonSize::Small
                        icon="square"
                        busy=chat.stopping
                        title=Signal::derive(|| Some("Stop the agent (Ctrl .)".to_owned()))
                        on:click=move |_| chat.stop()
                    >
                        {move || if chat.stopping.get() { "Stopping" } else { "Stop" }}
                    </Button>
                </Show>
            </div>
        </div>
        <div class="chat-foot">
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
    }
}

#[component]
fn Attachments(draft: Draft) -> impl IntoView {
    view! {
        <div class="chips compose-chips">
            <For each=move || draft.attachments.get() key=String::clone let:path>
                {
                    let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
                    let label = format!("Do not attach {path}");
                    let title = path.clone();
                    view! {
                        <span class="chip" title=title>
                            <Icon name="file-code" />
                            {name}
                            <button
                                type="button"
                                class="chip-x"
                                aria-label=label
                                on:click=move |_| draft.attachments.update(|all| all.retain(|known| known != &path))
                            >
                                <Icon name="x" />
                            </button>
                        </span>
                    }
                }
            </For>
        </div>
    }
}

/// Attaches the file on top in the editor; other files are named in the text as @path.
#[component]
fn AttachButton(draft: Draft) -> impl IntoView {
    let ide = draft.chat.ide;
    let label = move || match ide.active.get() {
        Some(path) => format!("Attach {path}; name other files in the text as @path"),
        None => "Open a file to attach it, or name files in the text as @path".to_owned(),
    };
    view! {
        <IconButton
            icon="paperclip"
            small=true
            label=Signal::derive(label)
            disabled=Signal::derive(move || ide.active.with(Option::is_none))
            on:click=move |_| {
                if let Some(path) = ide.active.get_untracked() {
                    draft.attach(path);
                }
            }
        />
    }
}

#[component]
fn ModePicker(draft: Draft) -> impl IntoView {
    let key = draft.chat.ide.storage_key("mode");
    let choose = move |word: String| {
        storage::write(&key, &word);
        draft.mode.set(read_mode(&word));
    };
    view! {
        <select
            class="select select--s"
            aria-label="How much the agent may do"
            title="Plan reads only. Ask first edits its branch and asks before it runs anything. Auto also runs, still on its branch."
            prop:value=move || mode_word(draft.mode.get())
            on:change:target=move |ev| choose(ev.target().value())
        >
            <option value="plan">"Plan"</option>
            <option value="ask" selected=true>
                "Ask first"
            </option>
            <option value="auto">"Auto"</option>
        </select>
    }
}

#[component]
fn ModelPicker(draft: Draft) -> impl IntoView {
    let names = Memo::new(move |_| {
        let models = draft.chat.models.get();
        models.map(|models| models.items.into_iter().map(|model| model.name).collect::<Vec<_>>()).unwrap_or_default()
    });
    let choose = move |name: String| {
        storage::write("model", &name);
        draft.model.set(Some(name));
    };
    let option = move |name: String| {
        let chosen = {
            let name = name.clone();
            move || draft.model_name().as_deref() == Some(name.as_str())
        };
        let value = name.clone();
        view! { <option value=value prop:selected=chosen>{name}</option> }
    };
    view! {
        <Show when=move || names.with(|names| !names.is_empty())>
            <select class="select select--s clip compose-model" aria-label="Model" on:change:target=move |ev| choose(ev.target().value())>
                <For each=move || names.get() key=String::clone let:name>
                    {option(name)}
                </For>
            </select>
        </Show>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_mentioned_by_their_path() {
        let is_file = |path: &str| matches!(path, "src/a.rs" | "b" | "odd.");
        assert_eq!(mentions("see @src/a.rs, and @b. @b @missing mail@b (@odd.", is_file), ["src/a.rs", "b"]);
        assert_eq!(mentions("@odd.", is_file), ["odd."]);
    }
}
