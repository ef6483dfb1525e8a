//! Keys of the project page: how a combination is written, which commands can have one, and what they have.
//!
//! A combination is text such as `ctrl+shift+p`, `f7` or ``ctrl+` ``. `ctrl` stands for Ctrl or Cmd. The sign is the one without Shift.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::FieldError;

/// Every command of the project page that can have a key, with the one it has at first; an empty text is none.
pub const COMMANDS: &[(&str, &str)] = &[
    ("go-to-file", "ctrl+p"),
    ("go-to-symbol", "ctrl+shift+o"),
    ("search-project", "ctrl+shift+f"),
    ("replace-in-project", "ctrl+shift+h"),
    ("next-found", "f4"),
    ("previous-found", "shift+f4"),
    ("show-commands", "ctrl+shift+p"),
    ("save", "ctrl+s"),
    ("save-all", ""),
    ("close-file", ""),
    ("go-to-line", "ctrl+g"),
    ("find", "ctrl+f"),
    ("replace", "ctrl+h"),
    ("split-editor", "ctrl+\\"),
    ("move-across", ""),
    ("join-editors", ""),
    ("compare-saved", ""),
    ("compare-version", ""),
    ("show-in-files", ""),
    ("file-history", ""),
    ("show-trash", ""),
    ("undo-files", ""),
    ("new-file", ""),
    ("new-folder", ""),
    ("upload-files", ""),
    ("upload-folder", ""),
    ("rename-entry", ""),
    ("move-entry", ""),
    ("copy-entry", ""),
    ("delete-entry", ""),
    ("copy-path", "alt+shift+c"),
    ("download-entry", ""),
    ("filter-files", ""),
    ("fold-folders", ""),
    ("mark-seen", ""),
    ("autosave-off", ""),
    ("autosave-delay", ""),
    ("autosave-focus", ""),
    ("run-again", "ctrl+enter"),
    ("stop-run", "ctrl+."),
    ("run-tests", ""),
    ("run-failed-tests", ""),
    ("set-up-tests", ""),
    ("open-review", "f7"),
    ("show-checkpoints", "f8"),
    ("new-checkpoint", ""),
    ("fork-project", ""),
    ("toggle-side", "ctrl+b"),
    ("toggle-console", "ctrl+j"),
    ("maximise-console", ""),
    ("show-output", ""),
    ("show-tests", ""),
    ("show-terminal", "ctrl+`"),
    ("new-terminal", "ctrl+shift+`"),
    ("show-ports", ""),
    ("project-settings", ""),
    ("toggle-chat", "ctrl+l"),
    ("ask-agent", ""),
    ("generate", ""),
    ("add-selection", ""),
    ("new-conversation", ""),
    ("stop-agent", ""),
    ("change-model", ""),
    ("mode-plan", ""),
    ("mode-ask", ""),
    ("mode-auto", ""),
    ("export-markdown", ""),
    ("export-json", ""),
    ("next-area", "f6"),
    ("previous-area", "shift+f6"),
    ("focus-editor", ""),
];

const NAMED: &[&str] = &[
    "enter",
    "escape",
    "tab",
    "space",
    "backspace",
    "delete",
    "insert",
    "home",
    "end",
    "pageup",
    "pagedown",
    "arrowup",
    "arrowdown",
    "arrowleft",
    "arrowright",
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "f6",
    "f7",
    "f8",
    "f9",
    "f10",
    "f11",
    "f12",
];

/// Signs by the place of their key on a US keyboard, for where Shift or the layout makes another sign of it.
const PLACES: &[(&str, &str)] = &[
    ("Backquote", "`"),
    ("Minus", "-"),
    ("Equal", "="),
    ("BracketLeft", "["),
    ("BracketRight", "]"),
    ("Backslash", "\\"),
    ("Semicolon", ";"),
    ("Quote", "'"),
    ("Comma", ","),
    ("Period", "."),
    ("Slash", "/"),
];

/// Keys that are pressed together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Combo {
    pub ctrl: bool,
    pub alt: bool,
    pub shift: bool,
    /// A sign in lower case, or a name such as `enter`.
    pub key: String,
}

/// What was pressed, as a browser tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Press<'a> {
    /// The sign or the name.
    pub key: &'a str,
    /// The place on the keyboard.
    pub code: &'a str,
    /// Ctrl or Cmd.
    pub ctrl: bool,
    pub alt: bool,
    pub shift: bool,
}

impl FromStr for Combo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const UNREADABLE: &str = "Write it like ctrl+shift+p.";
        if text.len() > 40 {
            return Err(UNREADABLE);
        }
        let mut combo = Self { ctrl: false, alt: false, shift: false, key: String::new() };
        let mut parts = text.split('+').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                part.clone_into(&mut combo.key);
                break;
            }
            let held = match part {
                "ctrl" => &mut combo.ctrl,
                "alt" => &mut combo.alt,
                "shift" => &mut combo.shift,
                _ => return Err(UNREADABLE),
            };
            if std::mem::replace(held, true) {
                return Err(UNREADABLE);
            }
        }
        let mut signs = combo.key.chars();
        let is_sign = matches!((signs.next(), signs.next()), (Some(sign), None) if is_sign(sign));
        if is_sign || NAMED.contains(&combo.key.as_str()) { Ok(combo) } else { Err(UNREADABLE) }
    }
}

fn is_sign(sign: char) -> bool {
    (sign.is_alphanumeric() && sign.to_lowercase().eq([sign])) || (sign.is_ascii_punctuation() && sign != '+')
}

impl fmt::Display for Combo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, word) in [(self.ctrl, "ctrl+"), (self.alt, "alt+"), (self.shift, "shift+")] {
            if held {
                f.write_str(word)?;
            }
        }
        f.write_str(&self.key)
    }
}

impl Combo {
    /// What a press can stand for, the likeliest first; nothing while only Shift and the like are held.
    pub fn readings(press: Press<'_>) -> Vec<Self> {
        let Press { key, code, ctrl, alt, shift } = press;
        let with = |key: &str| Self { ctrl, alt, shift, key: key.to_owned() };
        let name = if key == " " { "space".to_owned() } else { key.to_ascii_lowercase() };
        if NAMED.contains(&name.as_str()) {
            return vec![with(&name)];
        }
        let mut signs = key.chars();
        let sign = match (signs.next(), signs.next()) {
            (Some(sign), None) => Some(sign),
            _ => None,
        };
        let mut found = Vec::new();
        // With Shift or Alt a key is another sign, and which one depends on the keyboard; letters are the same but for Alt.
        if let Some(sign) = sign.filter(|sign| !alt && (!shift || sign.is_alphabetic())) {
            let small: String = sign.to_lowercase().collect();
            found.extend(small.chars().all(is_sign).then(|| with(&small)));
        }
        let is_latin = !alt && sign.is_some_and(|sign| sign.is_ascii_graphic() && (!shift || sign.is_ascii_alphabetic()));
        if !is_latin {
            let letter = code.strip_prefix("Key").or_else(|| code.strip_prefix("Digit")).map(str::to_ascii_lowercase);
            let place = || PLACES.iter().find(|(place, _)| *place == code).map(|(_, sign)| (*sign).to_owned());
            let by_place = letter.filter(|letter| letter.len() == 1).or_else(place);
            found.extend(by_place.map(|key| with(&key)).filter(|combo| !found.contains(combo)));
        }
        found
    }

    /// Why no command can have it; `None` where one can.
    pub fn refusal(&self) -> Option<&'static str> {
        let key = self.key.as_str();
        let is_function = key.starts_with('f') && key.len() > 1 && key[1..].chars().all(|c| c.is_ascii_digit());
        if self.ctrl && self.alt {
            return Some("Ctrl and Alt together type signs on many keyboards.");
        }
        if !self.ctrl && !self.alt && !is_function {
            return Some("By itself this key types or moves. Hold Ctrl or Alt with it, or take a function key.");
        }
        match (self.ctrl, self.alt, self.shift, key) {
            (true, _, _, "n" | "t" | "w") => Some("The browser opens and closes windows and tabs with it, and lets no page have it."),
            (true, _, _, "tab" | "pageup" | "pagedown") => Some("The browser changes tabs with it."),
            (true, _, false, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9") => Some("The browser goes to one of its tabs with it."),
            (true, _, _, "r") | (_, _, _, "f5") => Some("The browser loads the page anew with it."),
            (true, _, true, "i" | "j" | "c") | (_, _, _, "f12") => Some("The browser opens its tools for developers with it."),
            (true, _, _, "q") | (_, true, _, "f4") => Some("It closes the browser or its window."),
            (_, _, _, "f11") => Some("The browser fills the screen with it."),
            (_, _, _, "f10") => Some("It opens the menu of the browser or of the system."),
            (true, _, false, "0" | "-" | "=") | (true, _, true, "=" | "-") => Some("It makes the page larger or smaller."),
            (true, _, false, "c" | "v" | "x" | "a" | "z" | "y") | (true, _, true, "v" | "z") => {
                Some("It copies, pastes, selects or undoes.")
            }
            (true, _, false, "m") => Some("In a terminal it lets Tab leave, and back."),
            (_, true, _, "arrowleft" | "arrowright" | "home") => Some("The browser goes back, forward or home with it."),
            (_, true, _, "tab" | "escape" | "space") | (true, _, _, "escape") => Some("The system changes windows with it."),
            (true, _, _, "arrowup" | "arrowdown" | "arrowleft" | "arrowright" | "home" | "end" | "backspace" | "delete" | "insert") => {
                Some("It moves or deletes in a text.")
            }
            _ => None,
        }
    }

    /// As people read them: `Ctrl`, `Shift`, `P`.
    pub fn labels(&self) -> Vec<String> {
        let held = [(self.ctrl, "Ctrl"), (self.alt, "Alt"), (self.shift, "Shift")];
        let mut labels: Vec<String> = held.into_iter().filter(|(held, _)| *held).map(|(_, word)| word.to_owned()).collect();
        labels.push(match self.key.as_str() {
            "enter" => "⏎".to_owned(),
            "arrowup" => "↑".to_owned(),
            "arrowdown" => "↓".to_owned(),
            "arrowleft" => "←".to_owned(),
            "arrowright" => "→".to_owned(),
            "pageup" => "Page up".to_owned(),
            "pagedown" => "Page down".to_owned(),
            key => key.chars().take(1).flat_map(char::to_uppercase).chain(key.chars().skip(1)).collect(),
        });
        labels
    }
}

/// Which key each command has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keymap {
    /// In the order of [`COMMANDS`]; with whether the person chose it.
    bindings: Vec<(&'static str, Option<Combo>, bool)>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self::new(&BTreeMap::new())
    }
}

impl Keymap {
    /// What a person chose over what there is at first. A choice that can't be read counts as none.
    pub fn new(chosen: &BTreeMap<String, String>) -> Self {
        let binding = |(id, first): &(&'static str, &'static str)| match chosen.get(*id) {
            Some(text) => (*id, text.parse().ok(), true),
            None => (*id, first.parse().ok(), false),
        };
        Self { bindings: COMMANDS.iter().map(binding).collect() }
    }

    pub fn key_of(&self, command: &str) -> Option<&Combo> {
        self.bindings.iter().find(|(id, ..)| *id == command)?.1.as_ref()
    }

    /// Whether the person chose its key, or that it has none.
    pub fn is_chosen(&self, command: &str) -> bool {
        self.bindings.iter().any(|(id, _, chosen)| *id == command && *chosen)
    }

    /// The command that has it; what a person chose goes before what there is at first.
    pub fn command_of(&self, combo: &Combo) -> Option<&'static str> {
        let holds =
            |chosen: bool| move |(_, held, own): &&(&'static str, Option<Combo>, bool)| *own == chosen && held.as_ref() == Some(combo);
        self.bindings.iter().find(holds(true)).or_else(|| self.bindings.iter().find(holds(false))).map(|(id, ..)| *id)
    }

    pub fn bindings(&self) -> impl Iterator<Item = (&'static str, Option<&Combo>)> {
        self.bindings.iter().map(|(id, combo, _)| (*id, combo.as_ref()))
    }
}

/// The key that a command has at first.
pub fn first_key(command: &str) -> Option<Combo> {
    COMMANDS.iter().find(|(id, _)| *id == command)?.1.parse().ok()
}

/// What is wrong with a person's choice. Names fields as `keys.<command>`.
pub fn check(chosen: &BTreeMap<String, String>) -> Vec<FieldError> {
    let mut fields = Vec::new();
    for (command, text) in chosen {
        if !COMMANDS.iter().any(|(id, _)| id == command) {
            let shown: String = command.chars().filter(|c| !c.is_control()).take(40).collect();
            fields.push(FieldError::new("keys", format!("There is no command {shown:?}.")));
        } else if !text.is_empty() {
            let wrong = text.parse::<Combo>().map_or_else(Some, |combo| combo.refusal());
            fields.extend(wrong.map(|wrong| FieldError::new(format!("keys.{command}"), wrong)));
        }
    }
    let keymap = Keymap::new(chosen);
    let mut seen: BTreeMap<&Combo, &str> = BTreeMap::new();
    for (command, combo) in keymap.bindings() {
        let Some(combo) = combo else { continue };
        if let Some(other) = seen.insert(combo, command) {
            let field = if keymap.is_chosen(command) { command } else { other };
            let holder = if field == command { other } else { command };
            fields.push(FieldError::new(format!("keys.{field}"), format!("{combo} belongs to {holder}. Take it from there first.")));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combo(text: &str) -> Combo {
        text.parse().unwrap()
    }

    fn press<'a>(key: &'a str, code: &'a str, held: &str) -> Vec<String> {
        let press = Press { key, code, ctrl: held.contains('c'), alt: held.contains('a'), shift: held.contains('s') };
        Combo::readings(press).iter().map(ToString::to_string).collect()
    }

    fn chosen(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(command, key)| ((*command).to_owned(), (*key).to_owned())).collect()
    }

    #[test]
    fn combinations_are_written_as_they_are_read() {
        for text in ["ctrl+shift+p", "f7", "ctrl+`", "ctrl+\\", "alt+enter", "ctrl+ö", "shift+f4"] {
            assert_eq!(combo(text).to_string(), text);
        }
        for text in ["", "ctrl", "ctrl+", "ctrl++", "ctrl+ctrl+a", "hyper+a", "ctrl+P", "ctrl+pp", "f13", "ctrl+shift", "ctrl+\n"] {
            assert!(text.parse::<Combo>().is_err(), "{text}");
        }
        assert_eq!(combo("ctrl+shift+enter").labels(), ["Ctrl", "Shift", "⏎"]);
        assert_eq!(combo("f7").labels(), ["F7"]);
    }

    #[test]
    fn presses_are_read_on_any_keyboard() {
        assert_eq!(press("P", "KeyP", "cs"), ["ctrl+shift+p"]);
        assert_eq!(press("~", "Backquote", "cs"), ["ctrl+shift+`"]);
        assert_eq!(press("Dead", "Backquote", "c"), ["ctrl+`"], "a dead key");
        assert_eq!(press("з", "KeyP", "c"), ["ctrl+з", "ctrl+p"], "another alphabet");
        assert_eq!(press("p", "KeyR", "c"), ["ctrl+p"], "another arrangement: the sign counts");
        assert_eq!(press("/", "Digit7", "cs"), ["ctrl+shift+7"]);
        assert_eq!(press("π", "KeyP", "a"), ["alt+p"]);
        assert_eq!(press("Ç", "KeyC", "as"), ["alt+shift+c"]);
        assert_eq!(press("Enter", "Enter", "c"), ["ctrl+enter"]);
        assert_eq!(press(" ", "Space", "c"), ["ctrl+space"]);
        assert!(press("Shift", "ShiftLeft", "s").is_empty());
        assert!(press("Unidentified", "", "c").is_empty());
    }

    #[test]
    fn what_the_browser_needs_is_refused_with_the_reason() {
        for text in [
            "ctrl+w",
            "ctrl+shift+t",
            "ctrl+tab",
            "ctrl+3",
            "f5",
            "f12",
            "ctrl+c",
            "alt+f4",
            "alt+arrowleft",
            "p",
            "shift+p",
            "enter",
            "ctrl+alt+k",
        ] {
            assert!(combo(text).refusal().is_some(), "{text}");
        }
        for (command, text) in COMMANDS.iter().filter(|(_, text)| !text.is_empty()) {
            assert_eq!(combo(text).refusal(), None, "{command} has {text} at first");
        }
        for text in ["ctrl+shift+1", "f9", "alt+p", "ctrl+u", "ctrl+shift+enter"] {
            assert_eq!(combo(text).refusal(), None, "{text}");
        }
    }

    #[test]
    fn no_two_commands_have_one_key() {
        assert_eq!(check(&BTreeMap::new()), [], "what there is at first");
        let found = check(&chosen(&[("run-tests", "ctrl+b")]));
        assert_eq!(found[0].field, "keys.run-tests");
        assert!(found[0].message.contains("toggle-side"), "{found:?}");
        assert_eq!(check(&chosen(&[("run-tests", "ctrl+b"), ("toggle-side", "")])), []);
        assert_eq!(check(&chosen(&[("run-tests", "ctrl+b"), ("toggle-side", "ctrl+u")])), []);
        assert_eq!(check(&chosen(&[("nothing", "f9")]))[0].field, "keys");
        assert_eq!(check(&chosen(&[("save", "ctrl+w")]))[0].field, "keys.save");
        assert_eq!(check(&chosen(&[("save", "what")]))[0].field, "keys.save");
    }

    #[test]
    fn a_choice_goes_before_what_there_is_at_first() {
        let keymap = Keymap::new(&chosen(&[("run-tests", "ctrl+b"), ("save", "")]));
        assert_eq!(keymap.command_of(&combo("ctrl+b")), Some("run-tests"));
        assert_eq!(keymap.command_of(&combo("ctrl+s")), None);
        assert_eq!(keymap.key_of("toggle-chat"), Some(&combo("ctrl+l")));
        assert!(keymap.is_chosen("save") && !keymap.is_chosen("find"));
    }
}
