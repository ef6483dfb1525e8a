//! What the person chose about looks, editor and keys: part of every page, shown at once when it changes, and kept with the account.

use leptos::{ev, prelude::*, task::spawn_local};
use serde::{Deserialize, Serialize};
use wire::{
    ErrorCode, UserId,
    keys::{self, Combo, Keymap},
    preferences::{Preferences, UpdateAppearance, UpdateEditorPreferences, UpdatePreferences},
};

use crate::{
    api,
    editor::{PageKey, monaco, terminal},
    ui::{Look, Theme, storage, theme, use_theme},
};

/// Written after each change, so that other tabs of this browser look again.
const CHANGED: &str = "preferences";
/// How often a change is put onto what another browser changed meanwhile.
const TRIES: usize = 3;
/// Commands that a terminal leaves to the page; all other keys belong to the program inside.
const BEYOND_TERMINALS: [&str; 6] = ["show-commands", "next-area", "previous-area", "open-review", "show-terminal", "new-terminal"];
/// The editor has these itself, with its own widgets or as a letter that is typed; the page takes them only by another key.
const OF_THE_EDITOR: [&str; 4] = ["find", "replace", "go-to-line", "copy-path"];

/// What one person chose, as the page carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub of: UserId,
    pub preferences: Preferences,
}

impl Kept {
    /// For the first page: what goes for all browsers, or what this one keeps.
    pub fn look(&self) -> Look {
        let appearance = &self.preferences.appearance;
        if appearance.everywhere { Look::from(appearance) } else { Look::of_browser() }
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned())
    }

    #[cfg(feature = "ssr")]
    fn of_page() -> Option<Self> {
        use_context()
    }

    #[cfg(not(feature = "ssr"))]
    fn of_page() -> Option<Self> {
        serde_json::from_str(&document().get_element_by_id("preferences")?.text_content()?).ok()
    }
}

/// Whether what is shown is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Saving {
    #[default]
    Nothing,
    Going,
    Saved,
    /// In a sentence; what is shown is what was kept before.
    Failed(String),
}

#[derive(Debug, Default)]
struct Sending {
    /// As the server has it.
    base: Preferences,
    waiting: Option<UpdatePreferences>,
    /// What the server has not answered yet.
    sent: Option<UpdatePreferences>,
}

impl Sending {
    /// What is to be shown, now that the server was heard. An answer to an earlier question can come after that to a later one.
    fn take(&mut self, kept: Preferences) -> Preferences {
        if kept.revision >= self.base.revision {
            self.base = kept;
        }
        let mut shown = self.base.clone();
        for update in self.sent.iter().chain(&self.waiting) {
            update.apply(&mut shown);
        }
        shown
    }
}

/// The preferences of who is signed in; get it with `use_preferences`.
#[derive(Clone, Copy)]
pub struct Prefs {
    of: StoredValue<Option<UserId>>,
    pub shown: RwSignal<Preferences>,
    pub keymap: Memo<Keymap>,
    pub saving: RwSignal<Saving>,
    /// What this browser keeps for itself.
    own_look: RwSignal<Look>,
    sending: StoredValue<Sending>,
}

/// Makes them known to everything below; once, in `App`, after the theme.
pub fn provide_preferences() {
    let kept = Kept::of_page();
    let of = kept.as_ref().map(|kept| kept.of);
    let shown = kept.map(|kept| kept.preferences).unwrap_or_default();
    let sending = Sending { base: shown.clone(), ..Sending::default() };
    let shown = RwSignal::new(shown);
    let prefs = Prefs {
        of: StoredValue::new(of),
        shown,
        keymap: Memo::new(move |_| shown.with(|shown| Keymap::new(&shown.keys))),
        saving: RwSignal::new(Saving::Nothing),
        own_look: RwSignal::new(Look::of_browser()),
        sending: StoredValue::new(sending),
    };
    provide_context(prefs);
    prefs.follow_theme();
    Effect::new(move |_| prefs.look().show());
    Effect::new(move |_| monaco::set_handling(&prefs.of_editor()));
    Effect::new(move |_| {
        let keys = prefs.keymap.with(|keymap| BEYOND_TERMINALS.iter().filter_map(|id| keymap.key_of(id)).map(PageKey::from).collect());
        terminal::set_handling(&terminal::Handling { font_size: prefs.look().terminal_font_size, keys });
    });
    Effect::new(move |_| {
        let changed = window_event_listener(ev::storage, move |event| {
            if event.key().as_deref() == Some(CHANGED) {
                prefs.own_look.set(Look::of_browser());
                prefs.read_again();
            }
        });
        on_cleanup(move || changed.remove());
    });
}

/// # Panics
/// Outside `App`.
pub fn use_preferences() -> Prefs {
    expect_context::<Prefs>()
}

impl Prefs {
    /// The looks that apply here, but for the theme.
    pub fn look(self) -> Look {
        self.shown.with(|shown| shown.appearance.everywhere.then(|| Look::from(&shown.appearance))).unwrap_or_else(|| self.own_look.get())
    }

    /// The page is of this person now, who may have signed in since it was loaded. Only in effects.
    pub fn belong_to(self, user: UserId) {
        if self.of.get_value() != Some(user) {
            self.of.set_value(Some(user));
            self.sending.set_value(Sending::default());
            spawn_local(async move {
                // What is shown changes once, from what the page came with to what this person chose.
                let kept = api::preferences::get().await.unwrap_or_default();
                if self.of.try_get_value().flatten() == Some(user) {
                    self.accept(kept);
                }
            });
        }
    }

    /// Shows a change at once and keeps it.
    pub fn change(self, update: UpdatePreferences) {
        self.shown.update(|shown| update.apply(shown));
        self.sending.update_value(|sending| match &mut sending.waiting {
            Some(waiting) => waiting.add(update),
            None => sending.waiting = Some(update),
        });
        self.saving.set(Saving::Going);
        self.send();
    }

    pub fn change_editor(self, editor: UpdateEditorPreferences) {
        self.change(UpdatePreferences { editor, ..UpdatePreferences::default() });
    }

    /// For all browsers where that was chosen, else for this one.
    pub fn change_look(self, change: impl FnOnce(&mut Look)) {
        let mut look = untrack(|| self.look());
        change(&mut look);
        if self.shown.with_untracked(|shown| shown.appearance.everywhere) {
            self.change_appearance(Self::appearance_of(look));
        } else {
            look.keep_in_browser();
            self.own_look.set(look);
            tell_other_tabs();
            self.saving.set(Saving::Saved);
        }
    }

    /// Whether the looks go for all browsers. They stay as they are here, whichever is chosen.
    pub fn set_everywhere(self, everywhere: bool, theme: Theme) {
        let look = untrack(|| self.look());
        look.keep_in_browser();
        theme::keep_in_browser(theme);
        self.own_look.set(look);
        let appearance = if everywhere {
            UpdateAppearance { everywhere: Some(true), theme: Some(theme.into()), ..Self::appearance_of(look) }
        } else {
            UpdateAppearance { everywhere: Some(false), ..UpdateAppearance::default() }
        };
        self.change_appearance(appearance);
    }

    fn change_appearance(self, appearance: UpdateAppearance) {
        self.change(UpdatePreferences { appearance, ..UpdatePreferences::default() });
    }

    fn appearance_of(look: Look) -> UpdateAppearance {
        UpdateAppearance {
            motion: Some(look.motion),
            density: Some(look.density),
            editor_font_size: Some(look.editor_font_size),
            terminal_font_size: Some(look.terminal_font_size),
            ..UpdateAppearance::default()
        }
    }

    /// The theme has a switch on every page; where the looks go for all browsers, both follow each other.
    fn follow_theme(self) {
        let chosen = use_theme();
        Effect::new(move |before: Option<Theme>| {
            let now = chosen.get();
            let other = self.shown.with_untracked(|shown| shown.appearance.everywhere && Theme::from(shown.appearance.theme) != now);
            if before.is_some_and(|before| before != now) && other {
                self.change_appearance(UpdateAppearance { theme: Some(now.into()), ..UpdateAppearance::default() });
            }
            now
        });
        Effect::new(move |_| {
            let wanted = self.shown.with(|shown| shown.appearance.everywhere.then(|| Theme::from(shown.appearance.theme)));
            if let Some(wanted) = wanted.filter(|wanted| *wanted != chosen.get_untracked()) {
                theme::choose(chosen, wanted);
            }
        });
    }

    fn of_editor(self) -> monaco::Handling {
        let keys = self.keymap.with(page_keys);
        let font_size = self.look().editor_font_size;
        self.shown.with(|shown| {
            let editor = &shown.editor;
            monaco::Handling {
                font_size,
                tab_size: editor.tab_size,
                insert_spaces: editor.insert_spaces,
                detect_indentation: editor.detect_indentation,
                word_wrap: editor.word_wrap,
                minimap: editor.minimap,
                line_numbers: editor.line_numbers,
                render_whitespace: editor.render_whitespace,
                font_ligatures: editor.font_ligatures,
                format_on_paste: editor.format_on_paste,
                keys,
            }
        })
    }

    fn read_again(self) {
        spawn_local(async move {
            if let Ok(kept) = api::preferences::get().await {
                self.accept(kept);
            }
        });
    }

    /// Takes what the server has, unless newer is here, with what is still on its way on top.
    fn accept(self, kept: Preferences) {
        let shown = self.sending.try_update_value(|sending| sending.take(kept));
        if let Some(shown) = shown
            && self.shown.with_untracked(|now| *now != shown)
        {
            self.shown.set(shown);
        }
    }

    /// One change after the other, each on top of the one before.
    fn send(self) {
        let next = self.sending.try_update_value(|sending| {
            let request = if sending.sent.is_some() { None } else { sending.waiting.take() };
            if request.is_some() {
                sending.sent.clone_from(&request);
            }
            request.map(|request| UpdatePreferences { revision: sending.base.revision, ..request })
        });
        let Some(request) = next.flatten() else { return };
        spawn_local(async move {
            let answer = send_until_taken(request).await;
            self.sending.update_value(|sending| sending.sent = None);
            match answer {
                Ok(kept) => {
                    tell_other_tabs();
                    self.accept(kept);
                    self.saving.set(if self.is_waiting() { Saving::Going } else { Saving::Saved });
                }
                Err(reason) => {
                    let base = self.sending.with_value(|sending| sending.base.clone());
                    self.accept(base);
                    self.saving.set(Saving::Failed(reason));
                }
            }
            self.send();
        });
    }

    fn is_waiting(self) -> bool {
        self.sending.with_value(|sending| sending.waiting.is_some())
    }
}

/// Only a value that changes is told.
fn tell_other_tabs() {
    storage::write(CHANGED, &js_sys::Date::now().to_string());
}

/// Each field is the person's own choice, so that what another browser changed meanwhile is kept around it.
async fn send_until_taken(mut request: UpdatePreferences) -> Result<Preferences, String> {
    let mut tries = 0;
    loop {
        let refused = match api::preferences::update(request.clone()).await {
            Ok(kept) => return Ok(kept),
            Err(refused) => refused.0,
        };
        let current = refused.current.clone().and_then(|current| serde_json::from_value::<Preferences>(current).ok());
        tries += 1;
        match current.filter(|_| refused.code == ErrorCode::Conflict && tries < TRIES) {
            Some(current) => request.revision = current.revision,
            None => return Err(refused.to_string()),
        }
    }
}

/// What an editor leaves to the page: every key of a command, and those that a command had before.
fn page_keys(keymap: &Keymap) -> Vec<PageKey> {
    let mut found: Vec<Combo> = Vec::new();
    for (command, combo) in keymap.bindings() {
        let first = keys::first_key(command);
        if OF_THE_EDITOR.contains(&command) && combo == first.as_ref() {
            continue;
        }
        found.extend(combo.cloned().into_iter().chain(first));
    }
    found.sort();
    found.dedup();
    found.iter().map(PageKey::from).collect()
}

#[cfg(test)]
mod tests {
    use wire::preferences::UpdateEditorPreferences as Editor;

    use super::*;

    #[test]
    fn late_answers_take_nothing_back() {
        let size = |tab_size: u8| UpdatePreferences {
            editor: Editor { tab_size: Some(tab_size), ..Editor::default() },
            ..UpdatePreferences::default()
        };
        let kept = |revision: i64, tab_size: u8| {
            let mut kept = Preferences { revision, ..Preferences::default() };
            size(tab_size).apply(&mut kept);
            kept
        };
        let mut sending = Sending { base: kept(3, 4), ..Sending::default() };
        assert_eq!(sending.take(kept(2, 8)), kept(3, 4), "an answer from before");
        sending.sent = Some(size(6));
        assert_eq!(sending.take(kept(4, 8)).editor, kept(4, 6).editor, "what is being sent stays shown");
        sending.waiting = Some(size(7));
        assert_eq!(sending.take(kept(5, 6)).editor, kept(5, 7).editor);
        assert_eq!(sending.base, kept(5, 6));
    }

    #[test]
    fn editors_keep_what_is_theirs_until_it_has_another_key() {
        let key = |text: &str| PageKey::from(&text.parse::<Combo>().unwrap());
        let at_first = page_keys(&Keymap::default());
        assert!(at_first.contains(&key("ctrl+p")) && !at_first.contains(&key("ctrl+f")) && !at_first.contains(&key("alt+shift+c")));
        let chosen = [("find".to_owned(), "ctrl+u".to_owned()), ("save".to_owned(), String::new())].into();
        let changed = page_keys(&Keymap::new(&chosen));
        for text in ["ctrl+u", "ctrl+f", "ctrl+s"] {
            assert!(changed.contains(&key(text)), "{text}");
        }
    }
}
