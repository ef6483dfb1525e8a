//! What a person chose about the looks and the handling, kept with the account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{FieldError, keys};

/// Bytes of one person's preferences as JSON.
pub const PREFERENCES_MAX_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ThemeChoice {
    /// As the computer has it.
    #[default]
    System,
    Light,
    Dark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Motion {
    /// As the computer has it.
    #[default]
    System,
    Reduced,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Density {
    #[default]
    Comfortable,
    Compact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LineNumbers {
    #[default]
    On,
    /// Counted from the line of the cursor.
    Relative,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Whitespace {
    None,
    /// Where text is selected.
    #[default]
    Selection,
    /// All but single blanks between words.
    Boundary,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AutosaveChoice {
    #[default]
    Off,
    /// After a second of rest.
    Delay,
    /// When the keyboard leaves the editor.
    Focus,
}

/// A part of the preferences, and the same with every field optional, for changing some of them.
macro_rules! section {
    (
        $(#[$doc:meta])* $name:ident,
        $(#[$patch_doc:meta])* $patch:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty = $first:expr),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        #[serde(default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $first,)+ }
            }
        }

        $(#[$patch_doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        #[serde(default, deny_unknown_fields)]
        pub struct $patch {
            $(
                $(#[$field_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$kind>,
            )+
        }

        impl $patch {
            fn apply(&self, to: &mut $name) {
                $(if let Some(value) = &self.$field {
                    to.$field = value.clone();
                })+
            }

            fn add(&mut self, later: Self) {
                $(if later.$field.is_some() {
                    self.$field = later.$field;
                })+
            }
        }
    };
}

section! {
    /// How the pages look.
    Appearance,
    /// The fields of the looks that are to change.
    UpdateAppearance {
        /// In every browser where the person signs in; else each browser keeps its own.
        everywhere: bool = false,
        theme: ThemeChoice = ThemeChoice::System,
        motion: Motion = Motion::System,
        density: Density = Density::Comfortable,
        /// Pixels.
        editor_font_size: u8 = 13,
        /// Pixels.
        terminal_font_size: u8 = 12,
    }
}

section! {
    /// How the editor behaves. What a project's `.editorconfig` says goes before all of it.
    EditorPreferences,
    /// The fields of the editor that are to change.
    UpdateEditorPreferences {
        /// Columns.
        tab_size: u8 = 4,
        insert_spaces: bool = true,
        /// A text that is indented already goes on as it is.
        detect_indentation: bool = true,
        word_wrap: bool = false,
        minimap: bool = false,
        line_numbers: LineNumbers = LineNumbers::On,
        render_whitespace: Whitespace = Whitespace::Selection,
        font_ligatures: bool = false,
        /// What is pasted is indented as its new place is.
        format_on_paste: bool = false,
        autosave: AutosaveChoice = AutosaveChoice::Off,
    }
}

/// Everything that a person chose. What nobody chose is as in a new account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Preferences {
    /// Counts up with every change; 0 while nothing was chosen.
    pub revision: i64,
    pub appearance: Appearance,
    pub editor: EditorPreferences,
    /// Keys by command, where they are not those that there are at first. Empty: none.
    pub keys: BTreeMap<String, String>,
}

/// What is to change; what it does not name stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdatePreferences {
    /// The revision that this is based on; another one is a conflict.
    pub revision: i64,
    #[serde(default)]
    pub appearance: UpdateAppearance,
    #[serde(default)]
    pub editor: UpdateEditorPreferences,
    /// Keys by command: a combination such as `ctrl+shift+p`, an empty text for none, `null` for the one it has at first.
    #[serde(default)]
    pub keys: BTreeMap<String, Option<String>>,
}

impl UpdatePreferences {
    /// Changes `to`, but for its revision.
    pub fn apply(&self, to: &mut Preferences) {
        self.appearance.apply(&mut to.appearance);
        self.editor.apply(&mut to.editor);
        for (command, key) in &self.keys {
            match key {
                Some(key) => to.keys.insert(command.clone(), key.clone()),
                None => to.keys.remove(command),
            };
        }
    }

    /// Takes up what is to change after it.
    pub fn add(&mut self, later: Self) {
        self.appearance.add(later.appearance);
        self.editor.add(later.editor);
        self.keys.extend(later.keys);
    }
}

impl Preferences {
    /// Names fields as `<section>.<field>`.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        let mut check = |name: &str, value: u8, least: u8, most: u8| {
            if !(least..=most).contains(&value) {
                fields.push(FieldError::new(name, format!("Choose {least} to {most}.")));
            }
        };
        check("appearance.editor_font_size", self.appearance.editor_font_size, 8, 32);
        check("appearance.terminal_font_size", self.appearance.terminal_font_size, 8, 32);
        check("editor.tab_size", self.editor.tab_size, 1, 16);
        fields
    }

    /// What is wrong with the keys; apart, since what there is at first may change under a choice that was fine.
    pub fn validate_keys(&self) -> Vec<FieldError> {
        keys::check(&self.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let mut kept = Preferences::default();
        kept.keys.insert("save".to_owned(), "f9".to_owned());
        let update = r#"{"revision":0,"editor":{"tab_size":2},"keys":{"save":null,"find":""}}"#;
        let update: UpdatePreferences = serde_json::from_str(update).unwrap();
        update.apply(&mut kept);
        assert_eq!(kept.editor, EditorPreferences { tab_size: 2, ..EditorPreferences::default() });
        assert_eq!(kept.keys.iter().collect::<Vec<_>>(), [(&"find".to_owned(), &String::new())]);
    }

    #[test]
    fn fields_that_nobody_knows_are_refused_in_changes_and_left_out_of_what_was_kept() {
        assert!(serde_json::from_str::<UpdatePreferences>(r#"{"revision":0,"editor":{"colour":"red"}}"#).is_err());
        assert!(serde_json::from_str::<UpdatePreferences>(r#"{"revision":0,"more":1}"#).is_err());
        let kept: Preferences = serde_json::from_str(r#"{"editor":{"tab_size":3,"colour":"red"},"more":1}"#).unwrap();
        assert_eq!(kept.editor.tab_size, 3);
    }

    #[test]
    fn changes_are_put_together_the_later_one_first() {
        let mut first: UpdatePreferences = serde_json::from_str(r#"{"revision":1,"editor":{"tab_size":2,"minimap":true}}"#).unwrap();
        first.add(serde_json::from_str(r#"{"revision":9,"editor":{"tab_size":8},"keys":{"save":"f9"}}"#).unwrap());
        assert_eq!((first.revision, first.editor.tab_size, first.editor.minimap), (1, Some(8), Some(true)));
        assert_eq!(first.keys.len(), 1);
    }

    #[test]
    fn sizes_have_bounds() {
        let mut kept = Preferences::default();
        assert!(kept.validate().is_empty());
        kept.editor.tab_size = 0;
        kept.appearance.editor_font_size = 99;
        let fields: Vec<String> = kept.validate().into_iter().map(|field| field.field).collect();
        assert_eq!(fields, ["appearance.editor_font_size", "editor.tab_size"]);
    }
}
