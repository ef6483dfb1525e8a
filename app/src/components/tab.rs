//! An open file: what is stored of it, how it is to be saved, and what stands in the way.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{
    Problem, UserId,
    files::{EditorStyle, Entry, OpenedFile, TextFormat},
    limits,
    users::UserRef,
};

use super::text_lines::{LineEnd, LineEnds, ends_of, with_ends};

/// How many saves without an answer are remembered.
const UNANSWERED_MOST: usize = 4;

/// What a tab shows.
#[derive(Debug, Clone)]
pub enum TabBody {
    Loading,
    /// `stored` is the text of the tab's version; what was typed since is in the editor.
    Text {
        stored: Arc<str>,
        ends: LineEnds,
        /// Large: shown without what looks at the whole text.
        light: bool,
    },
    /// Not text, or too large to edit.
    Plain(Entry),
    Failed(Problem),
}

impl TabBody {
    pub fn text(stored: impl Into<Arc<str>>) -> Self {
        let stored = stored.into();
        Self::Text { ends: ends_of(&stored), light: stored.len() as u64 > limits::EDITOR_LIGHT, stored }
    }
}

/// Who did something; nobody where it is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct By(pub Option<UserRef>);

impl By {
    /// Whether it was this person, whatever others are called.
    pub fn is(&self, user: UserId) -> bool {
        self.0.as_ref().is_some_and(|by| by.id == user)
    }

    /// The subject of a sentence that `me` reads.
    pub fn subject(&self, me: UserId) -> String {
        match &self.0 {
            None => "Someone".to_owned(),
            Some(by) if by.id == me => "You".to_owned(),
            Some(by) => by.name.clone(),
        }
    }
}

/// What a saved text was: the model at some state, or a merge with `theirs` that the model then takes over.
#[derive(Debug, Clone)]
pub enum Sent {
    Model(Option<f64>),
    Merged { theirs: Box<OpenedFile> },
}

/// A text on its way to the server, as it was when it was sent: format and line ends may be chosen anew since.
#[derive(Debug, Clone)]
pub struct Saving {
    pub text: Arc<str>,
    pub format: TextFormat,
    pub line_end: Option<LineEnd>,
    pub sent: Sent,
}

impl Saving {
    /// Whether a file as it is stored is what was sent.
    pub fn is_stored_in(&self, file: &OpenedFile) -> bool {
        file.text.as_deref() == Some(&*self.text) && file.format == self.format
    }

    /// Whether it is an earlier save with more done to it: both as they stand in the editor, or both from a merge. What is in the
    /// editor has nothing of a merge.
    pub fn goes_on_from(&self, earlier: &Self) -> bool {
        matches!(self.sent, Sent::Merged { .. }) == matches!(earlier.sent, Sent::Merged { .. })
    }
}

/// The file moved on while the tab held unsaved text.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// What is stored now; `None` when the file was deleted.
    pub theirs: Option<OpenedFile>,
    /// Who changed it.
    pub by: By,
    /// What both sides began with; `None` when it is not known any more.
    pub base: Option<Arc<str>>,
}

/// Unsaved text that this browser has kept, with the version it was based on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    pub version: i64,
    pub text: String,
    /// The window it was typed in.
    #[serde(default)]
    pub page: String,
    /// When it was kept, in milliseconds since 1970.
    #[serde(default)]
    pub at: f64,
    /// The encoding chosen instead of the stored one.
    #[serde(default)]
    pub format: Option<TextFormat>,
    /// The characters of the line end chosen for the whole file.
    #[serde(default)]
    pub line_end: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Tab {
    pub path: String,
    pub body: TabBody,
    /// The version that the text is based on; 0 while loading and for a file that does not exist (any more).
    pub version: i64,
    /// Of the stored bytes; empty while nothing is stored.
    pub checksum: String,
    /// Something is not saved: what was typed, or another line end or encoding.
    pub dirty: bool,
    /// What the editor says of the text alone.
    pub typed: bool,
    pub saving: bool,
    /// The saves since the tab's version that no answer came to, the last one last: each may have been done or not.
    pub unanswered: Vec<Saving>,
    /// The browser could not keep what is unsaved: it is in this tab only.
    pub unkept: bool,
    /// The state of the text whose save was refused.
    pub refused_at: Option<f64>,
    pub conflict: Option<Conflict>,
    /// Unsaved text from before a reload, which can be taken up again.
    pub draft: Option<Draft>,
    /// The newest version that the live events told of.
    pub latest: i64,
    /// Deleted by someone while the tab had nothing unsaved.
    pub deleted_by: Option<By>,
    /// How the text is to be saved, and how it is stored.
    pub format: TextFormat,
    pub stored_format: TextFormat,
    /// The line end chosen for the whole file; without one each line keeps its own.
    pub line_end: Option<LineEnd>,
    pub style: EditorStyle,
    /// As people call it; empty until the editor has the text.
    pub language: String,
}

impl Tab {
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            body: TabBody::Loading,
            version: 0,
            checksum: String::new(),
            dirty: false,
            typed: false,
            saving: false,
            unanswered: Vec::new(),
            unkept: false,
            refused_at: None,
            conflict: None,
            draft: None,
            latest: 0,
            deleted_by: None,
            format: TextFormat::default(),
            stored_format: TextFormat::default(),
            line_end: None,
            style: EditorStyle::default(),
            language: String::new(),
        }
    }

    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The stored text, where there is one.
    pub fn stored(&self) -> Option<&Arc<str>> {
        match &self.body {
            TabBody::Text { stored, .. } => Some(stored),
            _ => None,
        }
    }

    pub fn is_light(&self) -> bool {
        matches!(self.body, TabBody::Text { light: true, .. })
    }

    pub fn line_ends(&self) -> LineEnds {
        match (&self.body, self.line_end) {
            (_, Some(end)) => LineEnds::All(end),
            (TabBody::Text { ends, .. }, None) => *ends,
            _ => LineEnds::None,
        }
    }

    /// The line end of the first line of a file that has none yet, as far as the project says one.
    pub fn fresh_end(&self) -> Option<LineEnd> {
        self.style.end_of_line.as_deref().and_then(LineEnd::parse)
    }

    /// The text as it goes into the file, made from what the editor holds.
    pub fn text_from(&self, edited: &str) -> String {
        match &self.body {
            TabBody::Text { stored, ends, .. } => with_ends(stored, *ends, self.line_end, self.fresh_end(), edited),
            _ => edited.to_owned(),
        }
    }

    /// Takes over the format that a file is stored in, and forgets what was chosen before.
    pub fn take_format(&mut self, format: TextFormat) {
        self.format = format.clone();
        self.stored_format = format;
        self.line_end = None;
        self.settle();
    }

    /// The save without an answer that a file as it is stored shows to be done.
    pub fn unanswered_as(&self, file: &OpenedFile) -> Option<&Saving> {
        self.unanswered.iter().rev().find(|saving| saving.is_stored_in(file))
    }

    /// Remembers a save without an answer. While the server is away each one holds a text: of many, the first is kept, which is the
    /// likeliest to have arrived, and the last ones.
    pub fn add_unanswered(&mut self, saving: Saving) {
        if self.unanswered.len() == UNANSWERED_MOST {
            self.unanswered.remove(1);
        }
        self.unanswered.push(saving);
    }

    /// Works out whether anything is unsaved.
    pub fn settle(&mut self) {
        let other_ends = match (&self.body, self.line_end) {
            (TabBody::Text { ends, .. }, Some(end)) => *ends != LineEnds::None && *ends != LineEnds::All(end),
            _ => false,
        };
        self.dirty = self.typed || self.format != self.stored_format || other_ends;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tab(stored: &str) -> Tab {
        Tab { body: TabBody::text(stored), ..Tab::new("a.txt") }
    }

    #[test]
    fn another_encoding_or_line_end_is_unsaved_until_it_is_as_stored() {
        let mut tab = tab("a\r\nb\r\n");
        tab.settle();
        assert!(!tab.dirty);
        tab.line_end = Some(LineEnd::Lf);
        tab.settle();
        assert!(tab.dirty);
        assert_eq!(tab.text_from("a\r\nb\r\n"), "a\nb\n");
        tab.line_end = Some(LineEnd::CrLf);
        tab.settle();
        assert!(!tab.dirty, "as it is stored");
        tab.format.bom = true;
        tab.settle();
        assert!(tab.dirty);
        tab.take_format(TextFormat { encoding: "utf-8".to_owned(), bom: true });
        assert!(!tab.dirty);
    }

    #[test]
    fn people_are_told_apart_by_their_ids() {
        let id = |digit: u8| format!("0000000000000000000000000000000{digit}").parse::<UserId>().unwrap();
        let by = |digit: u8| By(Some(UserRef { id: id(digit), name: "Ada".to_owned() }));
        assert_eq!((by(1).subject(id(1)), by(2).subject(id(1))), ("You".to_owned(), "Ada".to_owned()));
        assert!(by(1).is(id(1)) && !by(2).is(id(1)) && !By::default().is(id(1)));
        assert_eq!(By::default().subject(id(1)), "Someone");
    }

    #[test]
    fn what_was_sent_is_known_again_by_its_text_and_its_format() {
        let saving = Saving { text: "new\n".into(), format: TextFormat::default(), line_end: None, sent: Sent::Model(None) };
        let entry = crate::components::tree_model::tests::entry("a.txt", wire::files::EntryKind::File);
        let stored = OpenedFile { entry, text: Some("new\n".to_owned()), format: TextFormat::default(), style: EditorStyle::default() };
        assert!(saving.is_stored_in(&stored));
        assert!(!saving.is_stored_in(&OpenedFile { text: None, ..stored.clone() }), "no text any more");
        let with_bom = TextFormat { bom: true, ..TextFormat::default() };
        assert!(!saving.is_stored_in(&OpenedFile { format: with_bom, ..stored }));
    }

    #[test]
    fn of_many_saves_without_an_answer_the_first_and_the_last_are_known() {
        let saving = |text: &str| Saving { text: text.into(), format: TextFormat::default(), line_end: None, sent: Sent::Model(None) };
        let entry = crate::components::tree_model::tests::entry("a.txt", wire::files::EntryKind::File);
        let stored = |text: &str| OpenedFile {
            entry: entry.clone(),
            text: Some(text.to_owned()),
            format: TextFormat::default(),
            style: EditorStyle::default(),
        };
        let mut tab = tab("");
        for text in ["1", "2", "3", "4", "5"] {
            tab.add_unanswered(saving(text));
        }
        let known = |text: &str| tab.unanswered_as(&stored(text)).is_some();
        assert_eq!(["1", "2", "3", "4", "5"].map(known), [true, false, true, true, true]);
        let merged = Saving { sent: Sent::Merged { theirs: Box::new(stored("theirs")) }, ..saving("6") };
        assert!(saving("6").goes_on_from(&saving("5")) && merged.goes_on_from(&merged));
        assert!(!saving("6").goes_on_from(&merged) && !merged.goes_on_from(&saving("5")));
    }

    #[test]
    fn a_file_without_lines_takes_the_project_s_line_end() {
        let mut tab = tab("");
        tab.style.end_of_line = Some("\r\n".to_owned());
        assert_eq!(tab.text_from("a\nb\n"), "a\r\nb\r\n");
        assert_eq!(tab.line_ends(), LineEnds::None);
    }

    #[test]
    fn large_texts_are_shown_lightly() {
        assert!(!tab("small").is_light());
        assert!(tab(&"x".repeat(limits::EDITOR_LIGHT as usize + 1)).is_light());
    }
}
