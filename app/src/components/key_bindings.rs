//! The keys of the project page's commands: found, changed by pressing them, and given back.

use std::collections::BTreeMap;

use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};
use wire::{
    keys::{Combo, Keymap, first_key},
    preferences::UpdatePreferences,
};

use super::{
    command_keys::read_press,
    commands::Command,
    pref_rows::SavingNote,
    preferences::{Prefs, use_preferences},
};
use crate::ui::{Badge, Button, ButtonKind, ButtonSize, Empty, Icon, SearchField, Toasts, focus, use_toasts};

/// Keys that another command has.
#[derive(Debug, Clone, PartialEq)]
struct Clash {
    combo: Combo,
    holder: Command,
}

/// What the rows share.
#[derive(Clone, Copy)]
struct Desk {
    prefs: Prefs,
    toasts: Toasts,
    /// The command whose keys are being pressed.
    asking: RwSignal<Option<Command>>,
    /// Why what was pressed can't be taken.
    refusal: RwSignal<Option<String>>,
    clash: RwSignal<Option<Clash>>,
    announcement: RwSignal<String>,
}

/// What is to be kept so that a command has `combo`: nothing where it has that at first.
fn choice(command: Command, combo: Option<&Combo>) -> Option<String> {
    let first = first_key(command.id());
    (combo != first.as_ref()).then(|| combo.map(ToString::to_string).unwrap_or_default())
}

/// Who has these keys now, but for the command itself.
fn holder_of(keymap: &Keymap, combo: &Combo, command: Command) -> Option<Command> {
    keymap.command_of(combo).and_then(Command::of_id).filter(|holder| *holder != command)
}

impl Desk {
    fn begin(self, command: Command) {
        self.refusal.set(None);
        self.clash.set(None);
        self.asking.set(Some(command));
    }

    /// Ends the question; the focus goes back to the button that asked.
    fn end(self, command: Command) {
        self.asking.set(None);
        self.refusal.set(None);
        self.clash.set(None);
        Self::focus_row(command);
    }

    fn focus_row(command: Command) {
        request_animation_frame(move || {
            let button = document().get_element_by_id(&format!("key-{}", command.id()));
            if let Some(button) = button.and_then(|button| button.dyn_into::<web_sys::HtmlElement>().ok()) {
                let _ = button.focus();
            }
        });
    }

    fn pressed(self, command: Command, combo: Combo) {
        if let Some(reason) = combo.refusal() {
            self.clash.set(None);
            self.refusal.set(Some(format!("{} can't be used. {reason}", combo.labels().join(" "))));
            return;
        }
        self.refusal.set(None);
        match self.prefs.keymap.with_untracked(|keymap| holder_of(keymap, &combo, command)) {
            Some(holder) => self.clash.set(Some(Clash { combo, holder })),
            None => {
                self.set(&[(command, Some(&combo))]);
                self.say(command, Some(&combo));
                self.end(command);
            }
        }
    }

    fn take(self, command: Command, clash: &Clash) {
        self.set(&[(command, Some(&clash.combo)), (clash.holder, None)]);
        self.say(command, Some(&clash.combo));
        self.end(command);
    }

    /// Gives back the keys that it has at first, unless another command has them by now.
    fn reset(self, command: Command) {
        let first = first_key(command.id());
        let holder = first.as_ref().and_then(|first| self.prefs.keymap.with_untracked(|keymap| holder_of(keymap, first, command)));
        match (first, holder) {
            (Some(combo), Some(holder)) => {
                self.begin(command);
                self.clash.set(Some(Clash { combo, holder }));
            }
            (first, _) => {
                self.set(&[(command, first.as_ref())]);
                self.say(command, first.as_ref());
                Self::focus_row(command);
            }
        }
    }

    fn reset_all(self) {
        let before = self.prefs.shown.with_untracked(|shown| shown.keys.clone());
        self.send(before.keys().map(|id| (id.clone(), None)).collect());
        let undo = move || {
            let back = before.iter().map(|(id, key)| (id.clone(), Some(key.clone()))).collect();
            self.send(back);
        };
        focus::recover(&["#keys-title"]);
        self.toasts.show_with_action("All commands have the keys that they have at first", "Undo", undo);
    }

    fn set(self, keys: &[(Command, Option<&Combo>)]) {
        self.send(keys.iter().map(|(command, combo)| (command.id().to_owned(), choice(*command, *combo))).collect());
    }

    fn send(self, keys: BTreeMap<String, Option<String>>) {
        self.prefs.change(UpdatePreferences { keys, ..UpdatePreferences::default() });
    }

    fn say(self, command: Command, combo: Option<&Combo>) {
        let keys = combo.map_or_else(|| "no keys".to_owned(), |combo| combo.labels().join(" "));
        self.announcement.set(format!("{} has {keys}.", command.label()));
    }
}

/// Every command with its keys.
#[component]
pub fn KeyBindingsCard() -> impl IntoView {
    let desk = Desk {
        prefs: use_preferences(),
        toasts: use_toasts(),
        asking: RwSignal::new(None),
        refusal: RwSignal::new(None),
        clash: RwSignal::new(None),
        announcement: RwSignal::new(String::new()),
    };
    let query = RwSignal::new(String::new());
    let keymap = desk.prefs.keymap;
    let found = Memo::new(move |_| {
        let wanted = query.get().trim().to_lowercase();
        let fits = |command: &Command| {
            let keys = keymap.with(|keymap| command.keys(keymap).join(" ").to_lowercase());
            wanted.split_whitespace().all(|word| command.label().to_lowercase().contains(word) || keys.contains(word))
        };
        Command::ALL.into_iter().filter(fits).collect::<Vec<_>>()
    });
    let none_chosen = Signal::derive(move || desk.prefs.shown.with(|shown| shown.keys.is_empty()));
    view! {
        <section class="card" aria-labelledby="keys-title">
            <div class="card-head">
                <h2 id="keys-title">"Keys of commands"</h2>
                <span class="grow"></span>
                <SavingNote />
                <span class="head-search">
                    <SearchField label="Search commands and keys" bind=query />
                </span>
                <Button
                    size=ButtonSize::Small
                    icon="undo-2"
                    disabled=none_chosen
                    title=MaybeProp::derive(move || none_chosen.get().then(|| "All keys are as they were at first".to_owned()))
                    on_click=move |_| desk.reset_all()
                >
                    "Reset all"
                </Button>
            </div>
            <p class="t2 inset">
                "They work on the page of a project. Ctrl stands for Ctrl or Cmd. Kept with your account. In a terminal most keys belong to the program inside."
            </p>
            <Show
                when=move || found.with(|found| !found.is_empty())
                fallback=|| view! { <div class="inset"><Empty title="No command matches" text="Names of commands and their keys are searched." /></div> }
            >
                <ul class="key-list">
                    <For each=move || found.get() key=|command| *command let:command>
                        <KeyRow desk=desk command=command />
                    </For>
                </ul>
            </Show>
            <p class="sr" aria-live="polite">{move || desk.announcement.get()}</p>
        </section>
    }
    .into_any()
}

#[component]
fn KeyRow(desk: Desk, command: Command) -> impl IntoView {
    let keymap = desk.prefs.keymap;
    let keys = Memo::new(move |_| keymap.with(|keymap| command.keys(keymap)));
    let chosen = Memo::new(move |_| keymap.with(|keymap| keymap.is_chosen(command.id())));
    let asking = Memo::new(move |_| desk.asking.get() == Some(command));
    let name = command.label();
    view! {
        <li class="key-row" data-asking=move || asking.get().then_some("true")>
            <span class="key-name">
                <Icon name=command.icon() small=true />
                <span>{name}</span>
                <Show when=move || chosen.get()>
                    <Badge>"Yours"</Badge>
                </Show>
            </span>
            <span class="keys key-keys">
                {move || {
                    let keys = keys.get();
                    if keys.is_empty() {
                        view! { <span class="t3">"None"</span> }.into_any()
                    } else {
                        keys.into_iter().map(|key| view! { <kbd>{key}</kbd> }).collect_view().into_any()
                    }
                }}
            </span>
            <span class="key-acts">
                <Button
                    size=ButtonSize::Small
                    attr:id=format!("key-{}", command.id())
                    attr:aria-label=format!("Change the keys of: {name}")
                    on_click=move |_| desk.begin(command)
                >
                    "Change"
                </Button>
                <Show when=move || keys.with(|keys| !keys.is_empty())>
                    <Button
                        size=ButtonSize::Small
                        kind=ButtonKind::Ghost
                        attr:aria-label=format!("Take the keys from: {name}")
                        on_click=move |_| {
                            desk.set(&[(command, None)]);
                            desk.say(command, None);
                            Desk::focus_row(command);
                        }
                    >
                        "Remove"
                    </Button>
                </Show>
                <Show when=move || chosen.get()>
                    <Button
                        size=ButtonSize::Small
                        kind=ButtonKind::Ghost
                        attr:aria-label=format!("Reset the keys of: {name}")
                        on_click=move |_| desk.reset(command)
                    >
                        "Reset"
                    </Button>
                </Show>
            </span>
            <Show when=move || asking.get()>
                <Question desk=desk command=command />
            </Show>
        </li>
    }
    .into_any()
}

/// Waits for the keys. Escape ends it, and Tab goes on to the buttons.
#[component]
fn Question(desk: Desk, command: Command) -> impl IntoView {
    let node = NodeRef::<html::Input>::new();
    Effect::new(move |_| {
        if let Some(input) = node.get() {
            let _ = input.focus();
        }
    });
    let on_keydown = move |event: ev::KeyboardEvent| {
        let plain = !event.ctrl_key() && !event.meta_key() && !event.alt_key();
        match event.key().as_str() {
            "Tab" if plain => return,
            "Escape" if plain => desk.end(command),
            _ => {
                if let Some(combo) = read_press(&event).into_iter().next() {
                    desk.pressed(command, combo);
                }
            }
        }
        event.prevent_default();
        event.stop_propagation();
    };
    let shown = move || desk.clash.with(|clash| clash.as_ref().map(|clash| clash.combo.labels().join(" ")).unwrap_or_default());
    view! {
        <div class="key-ask">
            <input
                class="input input--s"
                node_ref=node
                readonly=true
                aria-label=format!("Press the new keys of: {}", command.label())
                placeholder="Press the keys, or Escape"
                prop:value=shown
                on:keydown=on_keydown
            />
            <div role="alert">
                {move || {
                    desk.refusal
                        .get()
                        .map(|reason| view! { <p class="err"><Icon name="circle-alert" small=true /><span>{reason}</span></p> })
                }}
                {move || {
                    desk.clash
                        .get()
                        .map(|clash| {
                            let keys = clash.combo.labels().join(" ");
                            let text = format!("{keys} belongs to “{}”.", clash.holder.label());
                            view! {
                                <p class="row wrap-row">
                                    <Icon name="triangle-alert" small=true class="c-warn" />
                                    <span class="grow">{text}</span>
                                    <Button size=ButtonSize::Small on_click=move |_| desk.take(command, &clash)>
                                        "Take it from there"
                                    </Button>
                                </p>
                            }
                        })
                }}
            </div>
            <Button size=ButtonSize::Small kind=ButtonKind::Ghost on_click=move |_| desk.end(command)>
                "Cancel"
            </Button>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combo(text: &str) -> Combo {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_differs_is_kept() {
        assert_eq!(choice(Command::Save, Some(&combo("ctrl+s"))), None);
        assert_eq!(choice(Command::Save, Some(&combo("f9"))).as_deref(), Some("f9"));
        assert_eq!(choice(Command::Save, None).as_deref(), Some(""));
        assert_eq!(choice(Command::RunTests, None), None, "it has none at first");
    }

    #[test]
    fn a_clash_names_who_has_the_keys() {
        let keymap = Keymap::new(&[("run-tests".to_owned(), "f9".to_owned())].into());
        assert_eq!(holder_of(&keymap, &combo("f9"), Command::Save), Some(Command::RunTests));
        assert_eq!(holder_of(&keymap, &combo("f9"), Command::RunTests), None);
        assert_eq!(holder_of(&keymap, &combo("ctrl+u"), Command::Save), None);
    }
}
