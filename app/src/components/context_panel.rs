//! What exactly would be sent for the message at hand: each part with its tokens and, on demand, its text; any part that may be left out
//! has a switch. Below the composer the model's window is a meter.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leptos::{ev, html, prelude::*, task::spawn_local};
use wire::{
    ConversationId,
    context::{ContextView, Part, PartKind, PreviewContext, estimate_tokens},
};

use super::{
    composer_draft::Draft,
    context_compact::CompactBar,
    context_edit::{self, EditPart},
    model_picker::tokens_short,
};
use crate::{
    api,
    ui::{Button, ButtonSize, Icon, IconButton, Meter, PanelError, Skeleton, format},
};

/// How long nothing may be typed before the server is asked again.
const PAUSE: Duration = Duration::from_millis(500);
const PANEL_ID: &str = "context-panel";

#[derive(Clone, Copy)]
pub struct ContextState {
    pub open: RwSignal<bool>,
    view: RwSignal<Option<ContextView>>,
    failure: RwSignal<Option<String>>,
    /// The conversation that `view` is of.
    of: RwSignal<Option<ConversationId>>,
    /// Bytes of the prompt that `view` was made for.
    of_bytes: RwSignal<usize>,
    /// Keys of the parts whose text is shown.
    unfolded: RwSignal<BTreeSet<String>>,
    loading: RwSignal<bool>,
    generation: StoredValue<u64>,
}

impl ContextState {
    pub fn of(draft: Draft) -> Self {
        let state = Self {
            open: RwSignal::new(false),
            view: RwSignal::new(None),
            failure: RwSignal::new(None),
            of: RwSignal::new(None),
            of_bytes: RwSignal::new(0),
            unfolded: RwSignal::new(BTreeSet::new()),
            loading: RwSignal::new(false),
            generation: StoredValue::new(0),
        };
        state.follow(draft);
        state
    }

    /// Asks again when what would be sent has changed: for the meter only when more than words did.
    fn follow(self, draft: Draft) {
        let chat = draft.chat;
        // What the answer depends on besides the words: they count by their length until the next answer.
        let asked = Memo::new(move |_| {
            let mut turn = draft.request();
            if !self.open.get() {
                turn.prompt = String::new();
            }
            let seen = chat.view.with(|view| view.as_ref().map(|view| (view.conversation.id, view.conversation.messages, view.events)));
            let ready = chat.ready.get() && chat.models.with(|models| models.as_ref().is_some_and(|models| !models.items.is_empty()));
            let texts: Vec<String> = if self.open.get() { self.unfolded.get().into_iter().collect() } else { Vec::new() };
            (ready, chat.current.get(), seen, turn, texts)
        });
        Effect::new(move |_| {
            let (ready, ..) = asked.get();
            if !ready || draft.sending.get() || chat.active.with(Option::is_some) && !self.open.get() {
                return;
            }
            self.generation.update_value(|generation| *generation += 1);
            let generation = self.generation.get_value();
            set_timeout(
                move || {
                    if self.generation.try_get_value() == Some(generation) {
                        self.ask(draft, generation);
                    }
                },
                PAUSE,
            );
        });
    }

    fn ask(self, draft: Draft, generation: u64) {
        let turn = untrack(|| draft.request());
        let bytes = turn.prompt.len();
        let texts = if self.open.get_untracked() { self.unfolded.get_untracked().into_iter().collect() } else { Vec::new() };
        let conversation = draft.chat.current.get_untracked();
        let request = PreviewContext { conversation, turn, texts };
        self.loading.set(true);
        spawn_local(async move {
            let answer = api::context::preview(draft.chat.ide.project_id, request).await;
            if self.generation.try_get_value() != Some(generation) {
                return;
            }
            self.loading.set(false);
            match answer {
                Ok(view) => {
                    self.failure.set(None);
                    self.of.set(conversation);
                    self.of_bytes.set(bytes);
                    self.view.set(Some(view));
                }
                Err(error) => self.failure.set(Some(error.to_string())),
            }
        });
    }

    fn again(self, draft: Draft) {
        self.generation.update_value(|generation| *generation += 1);
        self.ask(draft, self.generation.get_value());
    }

    /// Tokens of older messages that a summary could take the place of. The outer `None`: not known yet.
    pub fn compactable(self, draft: Draft) -> Option<Option<i64>> {
        let is_current = self.of.get() == draft.chat.current.get();
        self.view.with(|view| view.as_ref().filter(|_| is_current).map(|view| view.compactable))
    }

    /// Tokens of everything, with the words that were typed since the last answer.
    fn used(self, draft: Draft) -> Option<(i64, i64, i64)> {
        let typed = draft.text.with(String::len);
        let before = self.of_bytes.get();
        self.view.with(|view| {
            let view = view.as_ref()?;
            let more = (estimate_tokens(typed) - estimate_tokens(before)) * view.ratio_percent / 100;
            Some(((view.used + more).max(0), view.window, view.compact_at))
        })
    }
}

/// The meter below the composer; it opens the list.
#[component]
pub fn ContextUse(draft: Draft, state: ContextState) -> impl IntoView {
    let used = Memo::new(move |_| state.used(draft));
    let percent = Signal::derive(move || used.get().map_or(0.0, |(used, window, _)| used as f64 * 100.0 / window.max(1) as f64));
    let warn = Signal::derive(move || used.get().is_some_and(|(used, _, compact_at)| used > compact_at));
    let words = move || match used.get() {
        Some((used, window, _)) => format!("{} of {} tokens", tokens_tenth(used), tokens_short(window)),
        None => "Context".to_owned(),
    };
    let title = move || {
        if warn.get() { "What is sent; the older part is summed up before the next answer" } else { "What is sent to the model" }
    };
    view! {
        <button
            type="button"
            class="ctx-use"
            aria-expanded=move || if state.open.get() { "true" } else { "false" }
            aria-controls=PANEL_ID
            title=title
            on:click=move |_| state.open.update(|open| *open = !*open)
        >
            <Meter label="Part of the model's window that is used" percent=percent warn=warn />
            <span>{words}</span>
        </button>
    }
    .into_any()
}

/// `18.4k`, `920`.
fn tokens_tenth(tokens: i64) -> String {
    if tokens >= 1000 { format!("{:.1}k", tokens as f64 / 1000.0) } else { tokens.to_string() }
}

fn icon_of(kind: PartKind) -> &'static str {
    match kind {
        PartKind::Situation => "settings",
        PartKind::Instructions => "scroll-text",
        PartKind::ProjectMap => "folder-git-2",
        PartKind::Tools => "terminal",
        PartKind::Summary => "list-filter",
        PartKind::User => "user",
        PartKind::Attachment => "paperclip",
        PartKind::Image => "image",
        PartKind::Assistant => "sparkles",
        PartKind::ToolCall => "chevron-right",
        PartKind::ToolResult => "file-text",
        PartKind::Review => "git-merge",
        PartKind::Note => "circle-dot",
    }
}

fn group_of(kind: PartKind) -> &'static str {
    match kind {
        PartKind::Situation => "Always sent",
        PartKind::Tools => "Tools",
        PartKind::Instructions => "Instructions of the project",
        PartKind::ProjectMap => "Project",
        _ => "Conversation",
    }
}

/// The list itself, above the composer.
#[component]
pub fn ContextPanel(draft: Draft, state: ContextState) -> impl IntoView {
    let root = NodeRef::<html::Section>::new();
    let close = move || {
        state.open.set(false);
        if let Ok(Some(opener)) = document().query_selector(".ctx-use")
            && let Ok(opener) = leptos::wasm_bindgen::JsCast::dyn_into::<leptos::web_sys::HtmlElement>(opener)
        {
            let _ = opener.focus();
        }
    };
    Effect::new(move |_| {
        if state.open.get()
            && let Some(root) = root.get()
        {
            let _ = root.focus();
        }
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" {
            event.stop_propagation();
            close();
        }
    };
    let restore = move |_| draft.without.set(Vec::new());
    let left_out = move || draft.without.with(Vec::len);
    let any_left_out = move || left_out() > 0;
    view! {
        <Show when=move || state.open.get()>
            <section id=PANEL_ID class="ctx" aria-label="What is sent" tabindex="-1" node_ref=root on:keydown=on_keydown>
                <div class="ctx-head">
                    <h3 class="grow">"What is sent"</h3>
                    <Show when=any_left_out>
                        <Button size=ButtonSize::Small on_click=restore>
                            {move || format!("Send all again ({} left out)", left_out())}
                        </Button>
                    </Show>
                    <IconButton icon="x" small=true label="Close (Esc)" on_click=move |_| close() />
                </div>
                <Facts draft=draft state=state />
                <CompactBar draft=draft state=state />
                <div class="ctx-body scroll" tabindex="0" role="group" aria-label="Parts" aria-busy=move || if state.loading.get() { "true" } else { "false" }>
                    <Body draft=draft state=state />
                </div>
            </section>
        </Show>
    }
    .into_any()
}

#[component]
fn Facts(draft: Draft, state: ContextState) -> impl IntoView {
    let words = move || {
        let (used, window, compact_at) = state.used(draft)?;
        let (answer, ratio, model) =
            state.view.with(|view| view.as_ref().map(|view| (view.answer, view.ratio_percent, view.model.clone())))?;
        let measured = match ratio {
            100 => "estimated by length".to_owned(),
            ratio => format!("estimated, and corrected to {ratio} % as {model} has counted before"),
        };
        let soon = if used > compact_at {
            " The older part is summed up before the next answer.".to_owned()
        } else {
            format!(" Above {} the older part is summed up.", format::count(compact_at))
        };
        Some(format!(
            "{} of {} tokens for {model}, {measured}; {} are kept for the answer.{soon}",
            format::count(used),
            format::count(window),
            format::count(answer)
        ))
    };
    view! { <p class="ctx-facts t2 fs12">{words}</p> }.into_any()
}

/// What stands in the list, from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Line {
    /// The name of a group, and the key of the part below it.
    Group(&'static str, String),
    /// The number tells parts with the same key apart.
    Part(String, PartKind, usize),
}

fn lines_of(parts: &[Part]) -> Vec<Line> {
    let mut lines = Vec::with_capacity(parts.len() + 8);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut group = "";
    for part in parts {
        let next = group_of(part.kind);
        if next != group {
            lines.push(Line::Group(next, part.key.clone()));
            group = next;
        }
        let count = seen.entry(part.key.as_str()).or_default();
        lines.push(Line::Part(part.key.clone(), part.kind, *count));
        *count += 1;
    }
    lines
}

#[component]
fn Body(draft: Draft, state: ContextState) -> impl IntoView {
    // An answer comes after every change and mostly names the same parts. Those stay as they are drawn: something may be typed or under
    // way in them, and a button that is pressed must still be there when it is let go.
    let failure = Memo::new(move |_| state.failure.get());
    let lines = Memo::new(move |_| state.view.with(|view| view.as_ref().map(|view| lines_of(&view.parts))));
    let is_known = Memo::new(move |_| lines.with(Option::is_some));
    let draw = move |line: Line| match line {
        Line::Group(name, _) => view! { <h4 class="ctx-group">{name}</h4> }.into_any(),
        Line::Part(key, ..) => view! { <Row draft=draft state=state part_key=key /> }.into_any(),
    };
    view! {
        {move || {
            if let Some(reason) = failure.get() {
                return view! {
                    <PanelError title="The list did not load" text=reason>
                        <Button on_click=move |_| state.again(draft)>"Try again"</Button>
                    </PanelError>
                }
                    .into_any();
            }
            if !is_known.get() {
                return view! { <Skeleton lines=6 /> }.into_any();
            }
            view! {
                <For each=move || lines.get().unwrap_or_default() key=Clone::clone let:line>
                    {draw(line)}
                </For>
            }
                .into_any()
        }}
    }
    .into_any()
}

#[component]
fn Row(draft: Draft, state: ContextState, part_key: String) -> impl IntoView {
    let key = StoredValue::new(part_key);
    let part = Memo::new(move |_| {
        state
            .view
            .with(|view| key.with_value(|key| view.as_ref().and_then(|view| view.parts.iter().find(|part| &part.key == key).cloned())))
    });
    let of = move |read: fn(&Part) -> String| part.with(|part| part.as_ref().map(read).unwrap_or_default());
    let kind = part.with_untracked(|part| part.as_ref().map_or(PartKind::Note, |part| part.kind));
    let left_out = Memo::new(move |_| {
        let chosen = key.with_value(|key| draft.without.with(|without| without.contains(key)));
        chosen || part.with(|part| part.as_ref().is_some_and(|part| part.left_out && !part.removable))
    });
    let removable = move || part.with(|part| part.as_ref().is_some_and(|part| part.removable));
    let unfolded = move || key.with_value(|key| state.unfolded.with(|open| open.contains(key)));
    let switch = move |_| {
        let key = key.get_value();
        draft.without.update(|without| {
            if let Some(at) = without.iter().position(|known| known == &key) {
                without.remove(at);
            } else {
                without.push(key);
            }
        });
    };
    let unfold = move |_| {
        let key = key.get_value();
        state.unfolded.update(|open| {
            if !open.remove(&key) {
                open.insert(key);
            }
        });
    };
    let text = move || part.with(|part| part.as_ref().and_then(|part| part.text.clone()));
    let has_text = kind != PartKind::Image;
    // Only of the message at hand: what was sent stays as it was sent.
    let place = Memo::new(move |_| {
        let is_of_draft = || {
            state.view.with(|view| {
                key.with_value(|key| view.as_ref().and_then(|view| context_edit::draft_label(&view.parts, key).map(str::to_owned)))
            })
        };
        let label = (kind == PartKind::Attachment).then(is_of_draft).flatten()?;
        let request = draft.request();
        draft.picked.with(|picked| context_edit::place_of(&label, &request.attachments, picked))
    });
    view! {
        <div class="ctx-row" class:ctx-row--out=move || left_out.get()>
            <input
                type="checkbox"
                class="ctx-check"
                aria-label=move || format!("Send {}", of(|part| part.label.clone()))
                prop:checked=move || !left_out.get()
                disabled=move || !removable()
                title=move || (!removable()).then_some("This part is always sent")
                on:change=switch
            />
            <button
                type="button"
                class="ctx-name"
                disabled=!has_text
                aria-expanded=move || has_text.then(|| if unfolded() { "true" } else { "false" })
                title=move || of(|part| part.label.clone())
                on:click=unfold
            >
                <Icon name=icon_of(kind) small=true />
                <span class="clip">{move || of(|part| part.label.clone())}</span>
            </button>
            <span class="num fs12 t2">{move || of(|part| format::count(part.tokens))}</span>
        </div>
        <Show when=move || has_text && unfolded()>
            <pre class="ctx-text" tabindex="0" aria-label="Text of the part">
                {move || match text() {
                    Some(text) if text.is_empty() => "Nothing of it is sent.".to_owned(),
                    Some(text) => text,
                    None => "Loading".to_owned(),
                }}
            </pre>
            {move || {
                place.get().map(|place| view! { <EditPart draft=draft place=place part_key=key.get_value() unfolded=state.unfolded /> })
            }}
        </Show>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_are_short() {
        assert_eq!([920, 18_420, 128_000].map(tokens_tenth), ["920", "18.4k", "128.0k"]);
    }

    #[test]
    fn each_line_of_the_list_has_a_key_of_its_own() {
        let part = |key: &str, kind| Part {
            key: key.to_owned(),
            kind,
            label: String::new(),
            tokens: 1,
            removable: true,
            left_out: false,
            text: None,
        };
        let mut parts = vec![
            part("situation", PartKind::Situation),
            part("m1", PartKind::User),
            part("m1.a:a.rs", PartKind::Attachment),
            part("m1.a:a.rs", PartKind::Attachment),
        ];
        let lines = lines_of(&parts);
        assert_eq!(lines.iter().collect::<HashSet<_>>().len(), 6);
        assert_eq!(lines[2], Line::Group("Conversation", "m1".to_owned()));
        parts.push(part("m1.a:b.rs", PartKind::Attachment));
        assert_eq!(lines_of(&parts)[..6], lines, "what was there is not drawn anew");
    }
}
