use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{FieldError, changes::ChangeSet, error::Problem};

pub const QUERY_MAX_CHARS: usize = 1000;
pub const GLOBS_MAX_CHARS: usize = 2000;
pub const REPLACEMENT_MAX_CHARS: usize = 10_000;
/// Lines of context on each side of a match.
pub const CONTEXT_MAX: u8 = 5;
/// Matching lines of one search.
pub const MATCHES_MAX: usize = 10_000;
/// Matches that one replacement may change.
pub const REPLACE_MAX: usize = 5000;

/// What to find. A match lies within one line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SearchQuery {
    pub q: String,
    /// `q` is a regular expression in the syntax of ripgrep.
    #[serde(deserialize_with = "switch")]
    pub regex: bool,
    /// Upper and lower case are told apart.
    #[serde(deserialize_with = "switch")]
    pub case: bool,
    /// Only whole words.
    #[serde(deserialize_with = "switch")]
    pub word: bool,
    /// Globs separated by commas; empty means every file. One without a slash holds at any depth, and a directory means all below it.
    pub include: String,
    pub exclude: String,
    /// Lines to show before and after each match, up to [`CONTEXT_MAX`].
    pub context: u8,
    /// Each match then says what its line would become. In a regular expression `$1` and `${name}` stand for its groups, and `$$` for
    /// a dollar sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
}

/// Takes a switch as JSON writes it and as an address does.
fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Switch;
    impl de::Visitor<'_> for Switch {
        type Value = bool;

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("true or false")
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<bool, E> {
            match value {
                "true" | "1" | "on" => Ok(true),
                "false" | "0" | "off" | "" => Ok(false),
                other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
            }
        }
    }
    deserializer.deserialize_any(Switch)
}

impl SearchQuery {
    pub fn validate(&self) -> Vec<FieldError> {
        let mut fields = Vec::new();
        if self.q.is_empty() {
            fields.push(FieldError::new("q", "Say what to find."));
        } else if self.q.chars().count() > QUERY_MAX_CHARS {
            fields.push(FieldError::new("q", format!("A search has at most {QUERY_MAX_CHARS} characters.")));
        } else if self.q.contains(['\n', '\r', '\0']) {
            fields.push(FieldError::new("q", "A match lies within one line; search for one of the lines."));
        }
        for (field, globs) in [("include", &self.include), ("exclude", &self.exclude)] {
            if globs.chars().count() > GLOBS_MAX_CHARS {
                fields.push(FieldError::new(field, format!("The patterns have at most {GLOBS_MAX_CHARS} characters together.")));
            }
        }
        let replacement = self.replacement.as_deref().unwrap_or_default();
        if replacement.chars().count() > REPLACEMENT_MAX_CHARS || replacement.contains('\0') {
            fields.push(FieldError::new("replacement", format!("A replacement has at most {REPLACEMENT_MAX_CHARS} characters.")));
        }
        fields
    }
}

/// A line that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SearchMatch {
    pub path: String,
    /// From 1.
    pub line: u32,
    /// Where the first match begins, from 1, counted in UTF-16 units as editors do.
    pub column: u32,
    /// The line without its end; of a long line the part around its first match.
    pub text: String,
    /// The matches as byte offsets into `text`, begin and end, in order.
    pub ranges: Vec<(u32, u32)>,
    /// `text` is a part of the line only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Lines of context, cut like `text`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What stands in place of each of `ranges` after the replacement that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
}

/// One line of the answer. The last one is `done` or `failed`; without either the answer was cut off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum SearchItem {
    Match(SearchMatch),
    /// How many files were looked into so far.
    Progress {
        searched: u64,
    },
    Done(SearchSummary),
    /// The search could not be finished; what came before holds.
    Failed {
        problem: Problem,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SearchSummary {
    /// Files that were looked into.
    pub searched: u64,
    /// Files with matches, and matching lines.
    pub files: u64,
    pub lines: u64,
    /// Why something that may match is not shown, in sentences. Empty: the answer is whole.
    pub notes: Vec<String>,
    pub elapsed_ms: u64,
}

/// Replaces what a search finds, as a change set to be reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Replace {
    /// With a `replacement`.
    #[serde(flatten)]
    pub search: SearchQuery,
    /// Files that stay as they are.
    #[serde(default)]
    pub leave_out: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Replaced {
    #[serde(flatten)]
    pub change_set: ChangeSet,
    /// Files with matches that are not part of it, and why.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LeftOut {
    pub path: String,
    pub reason: String,
}

/// The symbols of a file: as it is stored, or of `text`, which somebody has open and has not saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OutlineOf {
    pub path: String,
    #[serde(default)]
    pub text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SymbolKind {
    Module,
    Class,
    Struct,
    Enum,
    Interface,
    Type,
    Function,
    Method,
    Constant,
    Macro,
}

impl SymbolKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Class => "class",
            Self::Struct => "struct",
            Self::Enum => "enum",
            Self::Interface => "interface",
            Self::Type => "type",
            Self::Function => "function",
            Self::Method => "method",
            Self::Constant => "constant",
            Self::Macro => "macro",
        }
    }
}

/// Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Symbol {
    pub name: String,
    pub kind: SymbolKind,
    pub line: u32,
    pub end_line: u32,
    /// 0 at the top; symbols follow the one that holds them.
    pub level: u32,
}

/// Endings of the files that have an outline.
pub const OUTLINED: [&str; 13] = ["rs", "py", "pyi", "pyw", "js", "jsx", "mjs", "cjs", "ts", "mts", "cts", "tsx", "go"];

/// Whether a file has an outline, by its name.
pub fn has_outline(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').is_some_and(|(_, ending)| OUTLINED.contains(&ending.to_ascii_lowercase().as_str()))
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Outline {
    pub symbols: Vec<Symbol>,
    /// Why there are none, or not all, in a sentence.
    pub note: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_read_from_json_and_from_addresses() {
        let query: SearchQuery = serde_json::from_str(r#"{"q":"a","regex":true,"case":"1","word":""}"#).unwrap();
        assert_eq!((query.regex, query.case, query.word), (true, true, false));
        assert!(serde_json::from_str::<SearchQuery>(r#"{"q":"a","regex":"perhaps"}"#).is_err());
    }

    #[test]
    fn replacements_carry_their_search() {
        let request: Replace = serde_json::from_str(r#"{"q":"a","replacement":"b","leave_out":["x"]}"#).unwrap();
        assert_eq!((request.search.q.as_str(), request.search.replacement.as_deref()), ("a", Some("b")));
        assert!(request.search.validate().is_empty());
        assert!(!SearchQuery { q: "a\nb".into(), ..Default::default() }.validate().is_empty());
    }
}
