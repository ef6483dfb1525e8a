//! Going back to before a turn: what it would do, and doing it.

use std::collections::BTreeSet;

use leptos::{prelude::*, task::spawn_local};
use wire::{
    TurnId,
    chat::{RewindConversation, RewindPreview},
    checkpoints::{PlannedFile, RestorePlan},
};

use super::{chat_session::Chat, checkpoint_state::tick, checkpoint_words as words};
use crate::{
    api,
    ui::{Badge, BadgeKind, Button, ButtonKind, ButtonSize, Dialog, Icon, Skeleton, format},
};

/// Files that are listed at once; what is not shown goes back all the same if it is ticked.
const ROWS: usize = 200;

/// What goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Both,
    Chat,
    Files,
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::Both => "The conversation and the files",
            Self::Chat => "Only the conversation",
            Self::Files => "Only the files",
        }
    }

    fn has_files(self) -> bool {
        self != Self::Chat
    }
}

/// The paths to name: none where exactly those go back that nobody else has changed, which the server works out itself.
fn paths_of(items: &[PlannedFile], ticked: &BTreeSet<String>) -> Option<Vec<String>> {
    (tick(items, None) != *ticked).then(|| ticked.iter().cloned().collect())
}

fn button_words(scope: Scope, ticked: usize) -> String {
    let files = format::counted(ticked as i64, "file", "files");
    match scope {
        Scope::Both => format!("Rewind with {files}"),
        Scope::Chat => "Rewind".to_owned(),
        Scope::Files => format!("Rewind {files}"),
    }
}

/// The dialog for the turn in `chat.rewinding`.
#[component]
pub fn RewindDialog(chat: Chat) -> impl IntoView {
    let open = RwSignal::new(false);
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        if chat.rewinding.with(Option::is_some) {
            open.set(true);
        }
    });
    Effect::new(move |_| {
        if !open.get() {
            chat.rewinding.set(None);
        }
    });
    view! {
        <Dialog open=open title="Rewind to before this turn" locked=busy>
            {move || chat.rewinding.get().map(|turn| view! { <Choose chat=chat turn=turn open=open busy=busy /> })}
        </Dialog>
    }
}

#[component]
fn Choose(chat: Chat, turn: TurnId, open: RwSignal<bool>, busy: RwSignal<bool>) -> impl IntoView {
    let preview = RwSignal::new(None::<RewindPreview>);
    let failure = RwSignal::new(None::<String>);
    let scope = RwSignal::new(Scope::Both);
    let ticked = RwSignal::new(BTreeSet::<String>::new());
    let load = move || {
        // Also asked for behind an answer: the panel may be gone.
        let Some(id) = chat.current.try_get_untracked().flatten() else { return };
        spawn_local(async move {
            match api::chat::preview_rewind(id, turn).await {
                Ok(found) => {
                    let items = found.files.as_ref().map(|plan| plan.items.as_slice()).unwrap_or_default();
                    if items.is_empty() {
                        scope.try_set(Scope::Chat);
                    }
                    // What was chosen stays, unless somebody else has changed the file since.
                    let again = preview.try_with_untracked(|before| {
                        let before = before.as_ref().and_then(|before| before.files.as_ref());
                        ticked.with_untracked(|ticked| tick(items, before.map(|plan| (plan.items.as_slice(), ticked))))
                    });
                    if let Some(again) = again {
                        ticked.set(again);
                        preview.set(Some(found));
                    }
                }
                Err(error) => {
                    failure.try_set(Some(error.to_string()));
                }
            }
        });
    };
    Effect::new(move |_| load());
    let rewind = move || {
        let Some(found) = preview.get_untracked() else { return };
        let scope = scope.get_untracked();
        let plan = found.files.as_ref().filter(|_| scope.has_files());
        let request = RewindConversation {
            turn_id: turn,
            chat: scope != Scope::Files,
            files: scope.has_files(),
            expected_revision: plan.map(|plan| plan.revision),
            paths: plan.and_then(|plan| ticked.with_untracked(|ticked| paths_of(&plan.items, ticked))),
        };
        busy.set(true);
        failure.set(None);
        spawn_local(async move {
            let done = chat.rewind(request).await;
            busy.try_set(false);
            match done {
                Ok(()) => {
                    open.try_set(false);
                }
                Err(text) => {
                    failure.try_set(Some(text));
                    load();
                }
            }
        });
    };
    let count = Memo::new(move |_| ticked.with(BTreeSet::len));
    let is_empty_choice = move || scope.get().has_files() && count.get() == 0;
    let nothing = move || {
        is_empty_choice() || preview.with(|found| found.as_ref().is_none_or(|found| scope.get().has_files() && found.files.is_none()))
    };
    let why =
        move || (preview.with(Option::is_some) && is_empty_choice()).then(|| "Tick a file, or choose only the conversation".to_owned());
    let viewer = chat.ide.viewer.with_value(|viewer| viewer.id);
    view! {
        <div class="rewind">
            {move || match preview.get() {
                Some(found) => view! { <Preview found=found scope=scope ticked=ticked viewer=viewer /> }.into_any(),
                None if failure.with(Option::is_some) => ().into_any(),
                None => view! { <Skeleton lines=5 /> }.into_any(),
            }}
            {move || failure.get().map(|text| view! { <p class="err" role="alert"><Icon name="circle-alert" small=true /><span>{text}</span></p> })}
            <p class="fs12 t2">
                <Icon name="shield-check" small=true />
                " Messages stay readable in a fold and a checkpoint is made first: this can be undone."
            </p>
            <div class="acts">
                <Button disabled=busy attr:autofocus=true on_click=move |_| open.set(false)>"Cancel"</Button>
                <Button
                    kind=ButtonKind::Primary
                    icon="undo-2"
                    busy=busy
                    disabled=Signal::derive(nothing)
                    title=Signal::derive(why)
                    on_click=move |_| rewind()
                >
                    {move || button_words(scope.get(), count.get())}
                </Button>
            </div>
        </div>
    }
}

#[component]
fn Preview(found: RewindPreview, scope: RwSignal<Scope>, ticked: RwSignal<BTreeSet<String>>, viewer: wire::UserId) -> impl IntoView {
    let messages = format!(
        "{} of {} go into a fold; the model no longer sees them.",
        format::counted(found.messages, "message", "messages"),
        format::counted(found.turns, "turn", "turns"),
    );
    let has_plan = found.files.is_some();
    let has_files = found.files.as_ref().is_some_and(|plan| !plan.items.is_empty());
    let choice = move |this: Scope, enabled: bool| {
        view! {
            <label class="radio">
                <input
                    type="radio"
                    name="rewind-scope"
                    prop:checked=move || scope.get() == this
                    disabled=!enabled
                    on:change=move |_| scope.set(this)
                />
                <span>{this.word()}</span>
            </label>
        }
    };
    let plan = StoredValue::new(found.files);
    view! {
        <fieldset class="rewind-scope">
            <legend class="sr">"What goes back"</legend>
            {choice(Scope::Both, has_files)}
            {choice(Scope::Chat, true)}
            {choice(Scope::Files, has_files)}
        </fieldset>
        <Show when=move || scope.get() != Scope::Files>
            <p>{messages.clone()}</p>
        </Show>
        {(!has_files)
            .then(|| {
                let text = if has_plan {
                    "The files are as they were before this turn."
                } else {
                    "The checkpoint before this turn is no longer kept, so its files can't be put back from here."
                };
                view! { <p class="t2">{text}</p> }
            })}
        <Show when=move || has_files && scope.get().has_files()>
            <FileList plan=plan ticked=ticked viewer=viewer />
        </Show>
    }
}

/// What would happen to each file, and which of them go back. What others have changed since is not ticked by itself.
#[component]
fn FileList(plan: StoredValue<Option<RestorePlan>>, ticked: RwSignal<BTreeSet<String>>, viewer: wire::UserId) -> impl IntoView {
    let shown = RwSignal::new(ROWS);
    let total = plan.with_value(|plan| plan.as_ref().map_or(0, |plan| plan.items.len()));
    let all = move |_| {
        ticked.set(plan.with_value(|plan| plan.iter().flat_map(|plan| &plan.items).map(|item| item.path.clone()).collect()));
    };
    let count =
        move || format!("Files that go back: {} of {}", format::count(ticked.with(BTreeSet::len) as i64), format::count(total as i64));
    let items = move || plan.with_value(|plan| plan.iter().flat_map(|plan| &plan.items).take(shown.get()).cloned().collect::<Vec<_>>());
    view! {
        <div class="rewind-pick">
            <div class="rewind-all">
                <span class="grow fs12 t2" role="status">
                    {count}
                </span>
                <Button size=ButtonSize::Small kind=ButtonKind::Ghost title="Every file goes back" on_click=all>
                    "All"
                </Button>
                <Button size=ButtonSize::Small kind=ButtonKind::Ghost title="No file goes back" on_click=move |_| ticked.set(BTreeSet::new())>
                    "None"
                </Button>
            </div>
            <ul class="rewind-files" aria-label="Files that would change">
                <For each=items key=|item| item.path.clone() let:item>
                    <FileRow item=item ticked=ticked viewer=viewer />
                </For>
            </ul>
            <Show when=move || { total > shown.get() }>
                <Button size=ButtonSize::Small on_click=move |_| shown.update(|shown| *shown += ROWS)>
                    {format!("Show more of {}", format::count(total as i64))}
                </Button>
            </Show>
        </div>
    }
}

#[component]
fn FileRow(item: PlannedFile, ticked: RwSignal<BTreeSet<String>>, viewer: wire::UserId) -> impl IntoView {
    let (name, tip) = (item.path.clone(), item.path.clone());
    let item = StoredValue::new(item);
    let is_ticked = Memo::new(move |_| ticked.with(|ticked| item.with_value(|item| ticked.contains(&item.path))));
    let switch = move |on: bool| {
        let path = item.with_value(|item| item.path.clone());
        ticked.update(|ticked| {
            if on {
                ticked.insert(path);
            } else {
                ticked.remove(&path);
            }
        });
    };
    view! {
        <li>
            <label class="rewind-tick">
                <input type="checkbox" prop:checked=move || is_ticked.get() on:change:target=move |ev| switch(ev.target().checked()) />
                <bdi class="clip mono fs12" title=tip>
                    {name}
                </bdi>
            </label>
            {move || {
                let (kind, icon, word) = item.with_value(|item| effect(item, is_ticked.get()));
                view! {
                    <Badge kind=kind icon=icon>
                        {word}
                    </Badge>
                }
            }}
            <span class="sub t3 fs12">{move || item.with_value(|item| note(item, is_ticked.get(), viewer))}</span>
        </li>
    }
}

fn effect(item: &PlannedFile, is_ticked: bool) -> (BadgeKind, &'static str, &'static str) {
    if !is_ticked && item.others.is_empty() { (BadgeKind::Neutral, "", "Stays") } else { words::effect(item, is_ticked) }
}

fn note(item: &PlannedFile, is_ticked: bool, viewer: wire::UserId) -> String {
    if !is_ticked && item.others.is_empty() { "Stays as it is now".to_owned() } else { words::note(item, is_ticked, viewer) }
}

#[cfg(test)]
mod tests {
    use wire::{
        Micros,
        checkpoints::{ChangeNote, RestoreEffect},
        files::{FileAction, Origin},
    };

    use super::*;

    fn item(path: &str, by_others: bool) -> PlannedFile {
        let note = ChangeNote { at: Micros(1), by: None, origin: Origin::Person, action: FileAction::Modified };
        PlannedFile {
            path: path.to_owned(),
            effect: RestoreEffect::GoesBack,
            then: None,
            now: None,
            last: note.clone(),
            others: by_others.then_some(note).into_iter().collect(),
        }
    }

    #[test]
    fn only_a_choice_of_ones_own_names_the_paths() {
        let items = [item("a", false), item("b", false), item("c", true)];
        let set = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(paths_of(&items, &set(&["a", "b"])), None);
        assert_eq!(paths_of(&items, &set(&["b"])), Some(vec!["b".to_owned()]));
        assert_eq!(paths_of(&items, &set(&["a", "b", "c"])).map(|paths| paths.len()), Some(3));
    }

    #[test]
    fn the_button_and_each_row_say_what_happens() {
        assert_eq!(button_words(Scope::Both, 2), "Rewind with 2 files");
        assert_eq!(button_words(Scope::Files, 1), "Rewind 1 file");
        assert_eq!(button_words(Scope::Chat, 2), "Rewind");
        let word = |by_others, is_ticked| effect(&item("a", by_others), is_ticked).2;
        assert_eq!(
            [word(false, true), word(false, false), word(true, false), word(true, true)],
            ["Goes back", "Stays", "Left alone", "Goes back"]
        );
    }
}
