//! The symbols of a source file, found by a tolerant parser: what is half written still has an outline.

use std::{
    ops::ControlFlow,
    sync::LazyLock,
    time::{Duration, Instant},
};

use tree_sitter::{Language, ParseOptions, Parser, Query, QueryCursor, StreamingIterator};
use wire::{
    ProjectId,
    search::{Outline, OutlineOf, Symbol, SymbolKind},
};

use crate::{Ctx, Error, Result, files};

/// Larger files have no outline.
const TEXT_MAX: usize = 1 << 20;
const TIME_MAX: Duration = Duration::from_millis(500);
const SYMBOLS_MAX: usize = 5000;
const NAME_MAX_CHARS: usize = 120;

struct Grammar {
    language: Language,
    query: Query,
}

impl Grammar {
    fn new(language: Language, queries: &[&str]) -> Option<Self> {
        let query = Query::new(&language, &queries.concat()).ok()?;
        Some(Self { language, query })
    }
}

const RUST: &str = r#"
(mod_item name: (identifier) @name) @module
(struct_item name: (type_identifier) @name) @struct
(union_item name: (type_identifier) @name) @struct
(enum_item name: (type_identifier) @name) @enum
(trait_item name: (type_identifier) @name) @interface
(impl_item trait: (_)? @trait type: (_) @name) @class
(type_item name: (type_identifier) @name) @type
(function_item name: (identifier) @name) @function
(function_signature_item name: (identifier) @name) @function
(const_item name: (identifier) @name) @constant
(static_item name: (identifier) @name) @constant
(macro_definition name: (identifier) @name) @macro
"#;

const PYTHON: &str = r#"
(class_definition name: (identifier) @name) @class
(function_definition name: (identifier) @name) @function
(module (expression_statement (assignment left: (identifier) @name) @constant))
"#;

const JAVASCRIPT: &str = r#"
(function_declaration name: (identifier) @name) @function
(generator_function_declaration name: (identifier) @name) @function
(class_declaration name: (_) @name) @class
(method_definition name: (_) @name) @method
(program (lexical_declaration (variable_declarator name: (identifier) @name) @constant))
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name) @constant)))
(lexical_declaration (variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)]) @function)
"#;

const TYPESCRIPT: &str = r#"
(abstract_class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @interface
(type_alias_declaration name: (_) @name) @type
(enum_declaration name: (_) @name) @enum
(internal_module name: (_) @name) @module
(module name: (_) @name) @module
(function_signature name: (identifier) @name) @function
(method_signature name: (_) @name) @method
(abstract_method_signature name: (_) @name) @method
"#;

const GO: &str = r#"
(function_declaration name: (identifier) @name) @function
(method_declaration name: (field_identifier) @name) @method
(type_spec name: (type_identifier) @name type: (struct_type)) @struct
(type_spec name: (type_identifier) @name type: (interface_type)) @interface
(type_spec name: (type_identifier) @name) @type
(type_alias name: (type_identifier) @name) @type
(source_file (const_declaration (const_spec name: (identifier) @name) @constant))
(source_file (var_declaration (var_spec name: (identifier) @name) @constant))
"#;

static GRAMMARS: LazyLock<[Option<Grammar>; 6]> = LazyLock::new(|| {
    [
        Grammar::new(tree_sitter_rust::LANGUAGE.into(), &[RUST]),
        Grammar::new(tree_sitter_python::LANGUAGE.into(), &[PYTHON]),
        Grammar::new(tree_sitter_javascript::LANGUAGE.into(), &[JAVASCRIPT]),
        Grammar::new(tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(), &[JAVASCRIPT, TYPESCRIPT]),
        Grammar::new(tree_sitter_typescript::LANGUAGE_TSX.into(), &[JAVASCRIPT, TYPESCRIPT]),
        Grammar::new(tree_sitter_go::LANGUAGE.into(), &[GO]),
    ]
});

fn grammar_of(path: &str) -> Option<&'static Grammar> {
    let name = path.rsplit('/').next()?;
    let at = match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "rs" => 0,
        "py" | "pyi" | "pyw" => 1,
        "js" | "jsx" | "mjs" | "cjs" => 2,
        "ts" | "mts" | "cts" => 3,
        "tsx" => 4,
        "go" => 5,
        _ => return None,
    };
    GRAMMARS[at].as_ref()
}

/// The symbols of a file, as it is stored or of the text that is sent along.
pub async fn outline(ctx: &Ctx, project: ProjectId, of: OutlineOf) -> Result<Outline> {
    // Reading it asks whether the caller may, also when the text is sent along.
    let entry = files::entry(ctx, project, &of.path).await;
    if let Err(error) = entry
        && !(of.text.is_some() && matches!(error, Error::NotFound("file")))
    {
        return Err(error);
    }
    if grammar_of(&of.path).is_none() {
        return Ok(note("There is no outline for this kind of file: Rust, Python, JavaScript, TypeScript and Go have one."));
    }
    let text = match of.text {
        Some(text) => Some(text),
        None => files::open_text(ctx, project, &of.path, None).await?.text,
    };
    let Some(text) = text.filter(|text| text.len() <= TEXT_MAX) else {
        return Ok(note("This file is too large for an outline, or no text."));
    };
    let path = of.path;
    tokio::task::spawn_blocking(move || outline_of(&path, &text)).await.map_err(Error::internal)
}

fn note(text: &str) -> Outline {
    Outline { symbols: Vec::new(), note: Some(text.to_owned()) }
}

pub(crate) fn outline_of(path: &str, text: &str) -> Outline {
    let Some(grammar) = grammar_of(path) else { return Outline::default() };
    let Some(tree) = parse(grammar, text) else { return note("This file took too long to be read for an outline.") };
    let mut found = symbols(grammar, &tree, text);
    found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    // The same thing found by two patterns is told once, by the one that came first.
    found.dedup_by(|next, kept| next.0 == kept.0);
    let full = found.len() > SYMBOLS_MAX;
    found.truncate(SYMBOLS_MAX);
    let mut above: Vec<(usize, SymbolKind)> = Vec::new();
    let symbols = found
        .into_iter()
        .map(|(range, mut symbol)| {
            while above.last().is_some_and(|(end, _)| *end <= range.start) {
                above.pop();
            }
            symbol.level = above.len() as u32;
            let inside = above.last().map(|(_, kind)| *kind);
            if symbol.kind == SymbolKind::Function && matches!(inside, Some(SymbolKind::Class | SymbolKind::Interface)) {
                symbol.kind = SymbolKind::Method;
            }
            above.push((range.end, symbol.kind));
            symbol
        })
        .collect();
    Outline { symbols, note: full.then(|| format!("Only the first {SYMBOLS_MAX} symbols are shown.")) }
}

fn parse(grammar: &Grammar, text: &str) -> Option<tree_sitter::Tree> {
    let mut parser = Parser::new();
    parser.set_language(&grammar.language).ok()?;
    let until = Instant::now() + TIME_MAX;
    let mut watch = |_: &tree_sitter::ParseState| if Instant::now() < until { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let options = ParseOptions::new().progress_callback(&mut watch);
    let bytes = text.as_bytes();
    parser.parse_with_options(&mut |at, _| bytes.get(at..).unwrap_or_default(), None, Some(options))
}

fn symbols(grammar: &Grammar, tree: &tree_sitter::Tree, text: &str) -> Vec<(std::ops::Range<usize>, Symbol)> {
    let names = grammar.query.capture_names();
    let mut cursor = QueryCursor::new();
    cursor.set_match_limit(10_000);
    let mut matches = cursor.matches(&grammar.query, tree.root_node(), text.as_bytes());
    let mut found: Vec<(usize, std::ops::Range<usize>, Symbol)> = Vec::new();
    while let Some(hit) = matches.next() {
        let (mut whole, mut name, mut of_trait) = (None, "", None);
        for capture in hit.captures() {
            match names[capture.index as usize] {
                "name" => name = text.get(capture.node.byte_range()).unwrap_or_default(),
                "trait" => of_trait = text.get(capture.node.byte_range()),
                kind => whole = kind_of(kind).map(|kind| (capture.node, kind)),
            }
        }
        let Some((node, kind)) = whole else { continue };
        let name = of_trait.map_or_else(|| name.to_owned(), |of| format!("{of} for {name}"));
        let symbol = Symbol {
            name: name.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(NAME_MAX_CHARS).collect(),
            kind,
            line: node.start_position().row as u32 + 1,
            end_line: node.end_position().row as u32 + 1,
            level: 0,
        };
        found.push((hit.pattern_index, node.byte_range(), symbol));
    }
    // A more telling pattern of the same place wins: a function that is assigned over the constant that holds it.
    found.sort_by_key(|(pattern, range, symbol)| (range.start, range.end, symbol.kind == SymbolKind::Constant, *pattern));
    found.into_iter().map(|(_, range, symbol)| (range, symbol)).collect()
}

fn kind_of(word: &str) -> Option<SymbolKind> {
    Some(match word {
        "module" => SymbolKind::Module,
        "class" => SymbolKind::Class,
        "struct" => SymbolKind::Struct,
        "enum" => SymbolKind::Enum,
        "interface" => SymbolKind::Interface,
        "type" => SymbolKind::Type,
        "function" => SymbolKind::Function,
        "method" => SymbolKind::Method,
        "constant" => SymbolKind::Constant,
        "macro" => SymbolKind::Macro,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, text: &str) -> Vec<String> {
        let outline = outline_of(path, text);
        let line = |s: Symbol| format!("{}{} {} {}-{}", "  ".repeat(s.level as usize), s.kind.word(), s.name, s.line, s.end_line);
        outline.symbols.into_iter().map(line).collect()
    }

    #[test]
    fn every_grammar_and_query_loads() {
        assert!(GRAMMARS.iter().all(Option::is_some));
        assert!(wire::search::OUTLINED.iter().all(|ending| grammar_of(&format!("a/b.{ending}")).is_some()));
    }

    #[test]
    fn rust() {
        let text = "mod a {\n  pub struct S;\n}\nimpl<T> Iterator for\n  S<T> {\n  fn next(&mut self) {}\n}\nfn free() {\n  fn inner() {}\n}\nconst N: u8 = 1;\nmacro_rules! m { () => {} }\n";
        assert_eq!(
            told("x.rs", text),
            [
                "module a 1-3",
                "  struct S 2-2",
                "class Iterator for S<T> 4-7",
                "  method next 6-6",
                "function free 8-10",
                "  function inner 9-9",
                "constant N 11-11",
                "macro m 12-12"
            ]
        );
    }

    #[test]
    fn python() {
        let text = "LIMIT = 3\nclass A:\n    def f(self):\n        x = 1\n\ndef g(:\n    pass\n";
        let found = told("a.py", text);
        assert_eq!(&found[..3], ["constant LIMIT 1-1", "class A 2-4", "  method f 3-4"], "{found:?}");
    }

    #[test]
    fn javascript_and_typescript() {
        let text = "export const add = (a) => a;\nconst N = 1;\nclass C { m() {} get x() { return 1 } }\nfunction f() { const inner = () => 1; }\n";
        assert_eq!(
            told("a.mjs", text),
            [
                "function add 1-1",
                "constant N 2-2",
                "class C 3-3",
                "  method m 3-3",
                "  method x 3-3",
                "function f 4-4",
                "  function inner 4-4"
            ]
        );
        let text = "interface I { m(): void }\ntype T = string;\nenum E { A }\nnamespace N { export class C<X> {} }\nabstract class D { abstract go(): void }\n";
        assert_eq!(
            told("a.ts", text),
            [
                "interface I 1-1",
                "  method m 1-1",
                "type T 2-2",
                "enum E 3-3",
                "module N 4-4",
                "  class C 4-4",
                "class D 5-5",
                "  method go 5-5"
            ]
        );
        assert_eq!(told("a.tsx", "const A = () => <b>x</b>;\n"), ["function A 1-1"]);
    }

    #[test]
    fn go() {
        let text =
            "package p\ntype S struct{}\ntype R interface{ Read() }\ntype N int\nfunc (s *S) M() {}\nfunc F() {}\nconst A, B = 1, 2\n";
        assert_eq!(
            told("a.go", text),
            ["struct S 2-2", "interface R 3-3", "type N 4-4", "method M 5-5", "function F 6-6", "constant A 7-7"]
        );
    }
}
