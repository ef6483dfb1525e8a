//! Saving without being asked: off, after a moment of rest, or when the keyboard leaves the editor. Never over a conflict.

use leptos::{ev, prelude::*};
use wire::preferences::{AutosaveChoice, UpdateEditorPreferences};

use crate::{
    components::{
        documents,
        ide::{Ide, Tab},
    },
    editor::monaco,
    ui::storage,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Autosave {
    #[default]
    Off,
    AfterDelay,
    OnFocusChange,
}

impl Autosave {
    pub const ALL: [Self; 3] = [Self::Off, Self::AfterDelay, Self::OnFocusChange];

    pub fn label(self) -> &'static str {
        match self {
            Self::Off => "Off",
            Self::AfterDelay => "After a second of rest",
            Self::OnFocusChange => "When the keyboard leaves",
        }
    }

    /// For the status bar.
    pub fn short(self) -> &'static str {
        match self {
            Self::Off => "Autosave off",
            Self::AfterDelay => "Autosave",
            Self::OnFocusChange => "Autosave on leaving",
        }
    }
}

impl From<AutosaveChoice> for Autosave {
    fn from(choice: AutosaveChoice) -> Self {
        match choice {
            AutosaveChoice::Off => Self::Off,
            AutosaveChoice::Delay => Self::AfterDelay,
            AutosaveChoice::Focus => Self::OnFocusChange,
        }
    }
}

impl From<Autosave> for AutosaveChoice {
    fn from(mode: Autosave) -> Self {
        match mode {
            Autosave::Off => Self::Off,
            Autosave::AfterDelay => Self::Delay,
            Autosave::OnFocusChange => Self::Focus,
        }
    }
}

/// Where a browser remembered the choice before it was kept with the account.
fn former_key(ide: Ide) -> String {
    ide.viewer.with_value(|user| format!("autosave:{}", user.id))
}

/// Saves when the whole window is left. What only this browser remembered goes to the account.
pub fn begin(ide: Ide) {
    Effect::new(move |_| {
        let key = former_key(ide);
        let Some(word) = storage::read(&key) else { return };
        storage::remove(&key);
        let mode = match word.as_str() {
            "delay" => Autosave::AfterDelay,
            "focus" => Autosave::OnFocusChange,
            _ => return,
        };
        if ide.autosave.get_untracked() == Autosave::Off {
            keep(ide, mode);
        }
    });
    let left = window_event_listener(ev::blur, move |_| {
        let dirty: Vec<String> = ide
            .tabs
            .try_with_untracked(|tabs| tabs.iter().filter(|tab| tab.dirty).map(|tab| tab.path.clone()).collect())
            .unwrap_or_default();
        for path in dirty {
            save_left(ide, &path);
        }
    });
    on_cleanup(move || left.remove());
}

pub fn choose(ide: Ide, mode: Autosave) {
    keep(ide, mode);
    ide.announcement.set(format!("Autosave: {}.", mode.label().to_lowercase()));
}

fn keep(ide: Ide, mode: Autosave) {
    ide.preferences.change_editor(UpdateEditorPreferences { autosave: Some(mode.into()), ..UpdateEditorPreferences::default() });
}

/// Whether nothing has to be decided before this tab is saved. What was refused once is not sent again until it changes.
fn may_save(ide: Ide, tab: &Tab) -> bool {
    let settled = tab.conflict.is_none() && tab.draft.is_none() && tab.deleted_by.is_none();
    let refused = tab.refused_at.is_some() && tab.refused_at == monaco::model_version(&tab.path);
    let merging = ide.beside.with_untracked(|beside| beside.as_ref().is_some_and(|beside| beside.path == tab.path && beside.is_merge()));
    tab.dirty && !tab.saving && tab.version > 0 && settled && !refused && !merging
}

/// `typing`: the cursor may still be where something is being typed.
fn save(ide: Ide, path: &str, typing: bool) {
    if ide.tab(path).is_some_and(|tab| may_save(ide, &tab)) && untrack(|| ide.can_edit()) {
        documents::tidy(ide, path, typing);
        documents::save_as_is(ide, path);
    }
}

/// These texts did not change for a second.
pub fn save_resting(ide: Ide, paths: &[String]) {
    if ide.autosave.try_get_untracked() == Some(Autosave::AfterDelay) {
        for path in paths {
            save(ide, path, true);
        }
    }
}

/// The keyboard left the editor of this text.
pub fn save_left(ide: Ide, path: &str) {
    if ide.autosave.try_get_untracked() == Some(Autosave::OnFocusChange) {
        save(ide, path, false);
    }
}
