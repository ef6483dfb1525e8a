use super::*;
use proptest::prelude::*;

fn ok(text: &str, old: &str, new: &str) -> String {
    edit(text, old, new, false).unwrap_or_else(|e| panic!("{e:?}")).text
}

#[test]
fn replaces_the_exact_text() {
    let done = edit("a\nb\nc\n", "b\n", "B\nBB\n", false).unwrap();
    assert_eq!((done.text.as_str(), done.count, done.first_line, done.matched_loosely), ("a\nB\nBB\nc\n", 1, 2, None));
    assert_eq!(ok("let x = 1; // ä", "x = 1", "y = 2"), "let y = 2; // ä");
    assert_eq!(ok("only", "only", ""), "");
}

#[test]
fn refuses_what_means_nothing() {
    assert_eq!(edit("a", "", "b", false), Err(EditError::EmptyOldText));
    assert_eq!(edit("a", "a", "a", false), Err(EditError::NothingChanges));
    assert_eq!(edit("", "a", "b", false), Err(EditError::NotFound { nearest: None, has_line_numbers: false }));
    assert!(matches!(edit("a\n", "\n\n\n", "b", false), Err(EditError::NotFound { .. })));
}

#[test]
fn asks_for_more_context_unless_all_are_meant() {
    let text = "x = 1\ny\nx = 1\n";
    assert_eq!(edit(text, "x = 1", "x = 2", false), Err(EditError::NotUnique { lines: vec![1, 3], loosely: false }));
    let done = edit(text, "x = 1", "x = 2", true).unwrap();
    assert_eq!((done.text.as_str(), done.count), ("x = 2\ny\nx = 2\n", 2));
    // The new text may hold the old one.
    assert_eq!(edit("a a", "a", "aa", true).unwrap().text, "aa aa");
}

#[test]
fn keeps_windows_line_ends() {
    let text = "one\r\ntwo\r\nthree\r\n";
    assert_eq!(ok(text, "one\ntwo", "1\n2\n2b"), "1\r\n2\r\n2b\r\nthree\r\n");
    assert_eq!(ok(text, "two", "2\n2b"), "one\r\n2\r\n2b\r\nthree\r\n");
    assert_eq!(ok(text, "two\nthree\n", "end\n"), "one\r\nend\r\n");
    assert_eq!(ok(text, "\ntwo", "\n2"), "one\r\n2\r\nthree\r\n");
    // The last line has no end of its own.
    assert_eq!(ok("one\r\ntwo", "two", "2\n3"), "one\r\n2\r\n3");
    // Said with carriage returns, so they are meant.
    assert_eq!(ok(text, "one\r\ntwo\r\n", "one\ntwo\n"), "one\ntwo\nthree\r\n");
}

#[test]
fn keeps_unix_line_ends_when_the_model_writes_others() {
    assert_eq!(ok("one\ntwo\n", "one\r\ntwo", "1\r\n2"), "1\n2\n");
    assert_eq!(ok("one\ntwo\n", "two", "2\r\n3"), "one\n2\n3\n");
}

#[test]
fn mixed_line_ends_follow_their_surroundings() {
    let text = "a\r\nb\nc\r\nd\n";
    assert_eq!(ok(text, "b", "b\nB"), "a\r\nb\nB\nc\r\nd\n");
    assert_eq!(ok(text, "c", "c\nC"), "a\r\nb\nc\r\nC\r\nd\n");
    assert_eq!(ok(text, "a\nb\nc", "x\ny"), "x\r\ny\r\nd\n");
}

#[test]
fn matches_other_white_space_and_carries_the_indentation() {
    let text = "fn f() {\n        if a {\n            b();\n        }\n}\n";
    let done = edit(text, "if a {\n    b();\n}", "if a {\n    b();\n    c();\n}", false).unwrap();
    assert_eq!(done.text, "fn f() {\n        if a {\n            b();\n            c();\n        }\n}\n");
    assert_eq!(done.matched_loosely.as_deref(), Some("        if a {\n            b();\n        }\n"));
    assert_eq!(done.first_line, 2);
}

#[test]
fn takes_away_indentation_that_the_file_does_not_have() {
    let text = "if a:\n  b()\nc()\n";
    assert_eq!(ok(text, "    if a:\n      b()", "    if a:\n      b()\n      d()"), "if a:\n  b()\n  d()\nc()\n");
}

#[test]
fn turns_spaces_into_the_tabs_of_the_file_and_back() {
    assert_eq!(
        ok("\tif a {\n\t\tb()\n\t}\n", "    if a {\n        b()\n    }", "    if a {\n        c()\n    }"),
        "\tif a {\n\t\tc()\n\t}\n"
    );
    assert_eq!(ok("x\n    a\n        b\n", "\ta\n\t\tb", "\ta\n\t\t\tc"), "x\n    a\n            c\n");
}

#[test]
fn ignores_trailing_white_space_and_blank_lines_around() {
    assert_eq!(ok("a  \n  b\t\nc\n", "\na\n  b\n\n", "A\n  B"), "A\n  B\nc\n");
    assert_eq!(ok("a \r\nb \r\nc\r\n", "a\nb", "A\n\nB"), "A\r\n\r\nB\r\nc\r\n");
}

#[test]
fn a_loose_deletion_takes_the_lines_away() {
    assert_eq!(ok("a\n    b\n    c\nd\n", "b\nc", ""), "a\nd\n");
}

#[test]
fn a_loose_match_at_the_end_adds_no_line_end() {
    assert_eq!(ok("a\n  b;\n  last", "b;\nlast", "b;\nend"), "a\n  b;\n  end");
}

#[test]
fn loose_matches_must_be_unique_even_for_all() {
    let text = "  a\nx\n    a\n";
    assert_eq!(edit(text, "\ta", "\tb", true), Err(EditError::NotUnique { lines: vec![1, 3], loosely: true }));
}

#[test]
fn an_indentation_that_does_not_add_up_is_refused_with_what_stands_there() {
    let text = "def f():\n    if a:\n        b()\n";
    let error = edit(text, "def f():\nif a:\nb()", "def f():\nif a:\nc()", false).unwrap_err();
    assert_eq!(error, EditError::IndentationUnclear { line: 1, found: text.to_owned() });
    // Nine spaces are no whole number of levels.
    let error = edit("\ta\n\t\tb\n", "    a\n        b", "         c", false).unwrap_err();
    assert!(matches!(error, EditError::IndentationUnclear { .. }));
}

#[test]
fn a_near_miss_is_shown_and_not_taken() {
    let text = "use a;\n\nfn total(items: &[Item]) -> u32 {\n    items.iter().map(|i| i.price).sum()\n}\n\nfn other() {}\n";
    let error = edit(text, "fn total(items: &[Items]) -> u32 {\n    items.iter().map(|item| item.price).sum()\n}", "x", false).unwrap_err();
    let EditError::NotFound { nearest: Some(nearest), has_line_numbers: false } = error else { panic!("{error:?}") };
    assert_eq!(nearest.line, 1);
    assert!(nearest.text.contains("map(|i| i.price)") && nearest.text.contains("fn other"));
    assert!(matches!(edit(text, "completely unrelated: 12345", "x", false), Err(EditError::NotFound { nearest: None, .. })));
}

#[test]
fn copied_line_numbers_are_recognised() {
    let error = edit("fn a() {}\nfn b() {}\n", "     1\tfn a() {}\n     2\tfn b() {}", "x", false).unwrap_err();
    assert!(matches!(error, EditError::NotFound { has_line_numbers: true, .. }));
}

#[test]
fn large_files_are_searched_quickly() {
    let text: String = (0..50_000).map(|n| format!("    let value_{n} = compute({n});\n")).collect();
    let error = edit(&text, "let value_40000 = computed(40000);\nlet value_40001 = computed(40001);", "x", false).unwrap_err();
    let EditError::NotFound { nearest: Some(nearest), .. } = error else { panic!("{error:?}") };
    assert!(nearest.text.contains("value_40000"));
}

proptest! {
    /// Whatever is edited, the text before and after the edited lines stays as it was.
    #[test]
    fn nothing_else_changes(
        before in "([a-c ]{0,4}\r?\n){0,4}", middle in "[d-f]{1,3}(\r?\n[ \t]{0,3}[d-f]{1,3}){0,2}", after in "(\r?\n[a-c ]{0,4}){0,4}",
        indent in "[ \t]{0,3}", new in "[x-z]{1,3}(\n[ ]{0,3}[x-z]{1,3}){0,2}",
    ) {
        let text = format!("{before}{middle}{after}");
        let old: String = middle.replace("\r\n", "\n").lines().map(|l| format!("{indent}{l}")).collect::<Vec<_>>().join("\n");
        if let Ok(done) = edit(&text, &old, &new, false) {
            prop_assert!(done.text.starts_with(&before));
            prop_assert!(done.text.ends_with(&after) || after.trim_start_matches(['\r', '\n']).is_empty(), "{:?} {:?}", done.text, after);
            let x = |t: &str| t.chars().filter(|c| "xyz".contains(*c)).count();
            prop_assert_eq!(x(&done.text), x(&new));
            prop_assert!(!done.text.contains(['d', 'e', 'f']));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,30}|[ab\\r\\n\\t ]{0,30}", old in "\\PC{0,5}|[ab\\r\\n\\t ]{0,8}", new in "[ab\\r\\n\\t ]{0,8}", all in any::<bool>()) {
        let _ = edit(&text, &old, &new, all);
    }
}
