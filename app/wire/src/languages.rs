//! Which language a file is written in, as far as its name tells, and how much of a project is in each.

use std::collections::BTreeMap;

/// Bytes by the name of the language. Data, prose and what no name tells are not counted.
pub type Languages = BTreeMap<String, i64>;

/// Each language with the endings of its files. The migration that counted the projects of before knows the same ones; whoever adds to
/// them counts again.
const LANGUAGES: &[(&str, &[&str])] = &[
    ("C", &["c", "h"]),
    ("C#", &["cs"]),
    ("C++", &["cc", "cpp", "cxx", "hh", "hpp"]),
    ("CSS", &["css", "less", "sass", "scss"]),
    ("Clojure", &["clj", "cljs"]),
    ("Dart", &["dart"]),
    ("Elixir", &["ex", "exs"]),
    ("Erlang", &["erl"]),
    ("Go", &["go"]),
    ("HTML", &["htm", "html"]),
    ("Haskell", &["hs"]),
    ("Java", &["java"]),
    ("JavaScript", &["cjs", "js", "jsx", "mjs"]),
    ("Julia", &["jl"]),
    ("Jupyter", &["ipynb"]),
    ("Kotlin", &["kt", "kts"]),
    ("Lua", &["lua"]),
    ("Nim", &["nim"]),
    ("OCaml", &["ml", "mli"]),
    ("PHP", &["php"]),
    ("Perl", &["pl", "pm"]),
    ("Python", &["py", "pyi", "pyw"]),
    ("R", &["r"]),
    ("Ruby", &["rb"]),
    ("Rust", &["rs"]),
    ("SQL", &["sql"]),
    ("Scala", &["scala"]),
    ("Shell", &["bash", "sh", "zsh"]),
    ("Svelte", &["svelte"]),
    ("Swift", &["swift"]),
    ("TypeScript", &["cts", "mts", "ts", "tsx"]),
    ("Vue", &["vue"]),
    ("Zig", &["zig"]),
];

/// The language of a file by the ending of its path.
pub fn language_of(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.')?.1;
    let is_so = |endings: &[&str]| endings.iter().any(|known| known.eq_ignore_ascii_case(ending));
    LANGUAGES.iter().find(|(_, endings)| is_so(endings)).map(|(language, _)| *language)
}

/// Adds bytes that came and takes away those that went; what is left with none is not named any more.
pub fn add(languages: &mut Languages, changes: &BTreeMap<&'static str, i64>) {
    for (language, bytes) in changes.iter().filter(|(_, bytes)| **bytes != 0) {
        let sum = languages.entry((*language).to_owned()).or_default();
        *sum = sum.saturating_add(*bytes);
    }
    languages.retain(|_, bytes| *bytes > 0);
}

/// The languages with their shares in whole percent, the largest first. The rounded shares may not add up to 100.
pub fn shares(languages: &Languages) -> Vec<(&str, i64)> {
    let all: i128 = languages.values().map(|bytes| i128::from(*bytes)).sum();
    let mut sorted: Vec<(&str, i64)> = languages.iter().map(|(language, bytes)| (language.as_str(), *bytes)).collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let percent = |bytes: i64| i64::try_from((i128::from(bytes) * 200 + all) / (all.max(1) * 2)).unwrap_or(100);
    sorted.into_iter().map(|(language, bytes)| (language, percent(bytes))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_language_is_told_by_the_last_ending() {
        assert_eq!(language_of("src/deep.er/app.test.TSX"), Some("TypeScript"));
        assert_eq!(language_of("a.py/README"), None);
        assert_eq!(language_of("notes.md"), None);
        assert_eq!(language_of("Makefile"), None);
        assert_eq!(language_of("end."), None);
    }

    #[test]
    fn no_ending_belongs_to_two() {
        let endings: Vec<&str> = LANGUAGES.iter().flat_map(|(_, endings)| endings.iter().copied()).collect();
        assert_eq!(endings.iter().collect::<BTreeSet<_>>().len(), endings.len());
    }

    #[test]
    fn what_goes_is_named_no_more() {
        let mut languages = Languages::from([("Rust".to_owned(), 90), ("CSS".to_owned(), 5)]);
        add(&mut languages, &BTreeMap::from([("CSS", -5), ("Go", 10), ("Lua", 0)]));
        assert_eq!(shares(&languages), [("Rust", 90), ("Go", 10)]);
        add(&mut languages, &BTreeMap::from([("Rust", -100), ("Go", -10)]));
        assert!(languages.is_empty() && shares(&languages).is_empty());
    }
}
