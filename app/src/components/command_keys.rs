//! Keys of the project page's commands: which key means which command, and how they are shown.

use leptos::{ev, prelude::*};
use wire::keys::{Combo, Keymap, Press, first_key};

use super::{
    commands::{Command, is_inside},
    ide::Ide,
};
use crate::ui::focus;

impl Command {
    /// The keys it has, as people read them; none where it has none.
    pub fn keys(self, keymap: &Keymap) -> Vec<String> {
        keymap.key_of(self.id()).map(Combo::labels).unwrap_or_default()
    }

    /// The same as one text; empty where it has none.
    pub fn shown_keys(self, ide: Ide) -> Signal<String> {
        Signal::derive(move || ide.keymap.with(|keymap| self.keys(keymap).join(" ")))
    }

    /// What it does with the key it has, for a tooltip: `Files (Ctrl B)`.
    pub fn hint(self, does: &str, keymap: &Keymap) -> String {
        let keys = self.keys(keymap);
        if keys.is_empty() { does.to_owned() } else { format!("{does} ({})", keys.join(" ")) }
    }

    /// Whether its key means it where the focus is; parts of the page have some of these keys themselves.
    fn takes_key(self, ide: Ide, keymap: &Keymap) -> bool {
        match self {
            // The editor has these keys itself, and beyond it they are the browser's.
            Self::Find | Self::Replace => keymap.is_chosen(self.id()) && ide.active.with_untracked(Option::is_some),
            Self::GoToLine => ide.active.with_untracked(Option::is_some),
            // With a review open and the focus nowhere in particular, it applies the decisions.
            Self::RunAgain if untrack(|| ide.takes_main()) && !is_inside(".console") => false,
            Self::RunAgain => !is_inside(".chat, .review, dialog"),
            Self::StopRun => !is_inside(".chat"),
            // On some keyboards its first key types a letter.
            Self::CopyPath => keymap.is_chosen(self.id()) || !focus::is_typing(),
            Self::OpenReview => ide.review.get_untracked().is_none(),
            _ => true,
        }
    }
}

/// The keys of the page. What a part has used already is left alone.
pub fn take_key(ide: Ide, event: &ev::KeyboardEvent) {
    if event.default_prevented() || event.is_composing() || event.get_modifier_state("AltGraph") {
        return;
    }
    if event.key() == "Escape" && !event.ctrl_key() && !event.shift_key() && !event.alt_key() {
        if ide.drawer.get_untracked() {
            event.prevent_default();
            ide.drawer.set(false);
        }
        return;
    }
    let Some(command) = ide.keymap.with_untracked(|keymap| {
        let readings = read_press(event).into_iter();
        let named = readings.filter_map(|combo| keymap.command_of(&combo)).filter_map(Command::of_id);
        named.into_iter().find(|command| command.takes_key(ide, keymap))
    }) else {
        // Also where no command has it: the browser's own would save the page as a file.
        if read_press(event).iter().any(|combo| Some(combo) == first_key(Command::Save.id()).as_ref()) {
            event.prevent_default();
        }
        return;
    };
    event.prevent_default();
    command.run(ide);
}

/// What a key event can stand for.
pub fn read_press(event: &ev::KeyboardEvent) -> Vec<Combo> {
    let (key, code) = (event.key(), event.code());
    let ctrl = event.ctrl_key() || event.meta_key();
    Combo::readings(Press { key: &key, code: &code, ctrl, alt: event.alt_key(), shift: event.shift_key() })
}

#[cfg(test)]
mod tests {
    use wire::keys::COMMANDS;

    use super::*;

    #[test]
    fn every_command_can_have_a_key() {
        let known: Vec<&str> = COMMANDS.iter().map(|(id, _)| *id).collect();
        assert_eq!(known, Command::ALL.map(Command::id));
        assert_eq!(Command::NewTerminal.keys(&Keymap::default()), ["Ctrl", "Shift", "`"]);
        assert_eq!(Command::ToggleSide.hint("Files", &Keymap::default()), "Files (Ctrl B)");
        assert_eq!(Command::FileHistory.hint("History", &Keymap::default()), "History");
    }
}
