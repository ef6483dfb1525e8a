//! Places in files that the text of a failure names.

/// Where the project lies inside the sandbox.
const ROOT: &str = "/w/";

/// A part of a message: text, or a place in a file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Place { label: String, path: String, line: u32 },
}

/// Splits a message at the places it names. `exists` says whether a path is a file of the project; `near` is a file of the project whose
/// directory the names may be relative to.
pub fn split(message: &str, near: Option<&str>, exists: impl Fn(&str) -> bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = message;
    while !rest.is_empty() {
        let (length, place) = take(rest, near, &exists);
        let (now, later) = rest.split_at(length);
        match place {
            Some((start, end, path, line)) => {
                text.push_str(&now[..start]);
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Place { label: now[start..end].to_owned(), path, line });
                text.push_str(&now[end..]);
            }
            None => text.push_str(now),
        }
        rest = later;
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}

type Found = Option<(usize, usize, String, u32)>;

/// The next word or the blanks before it: its length, and the place it is, as the bytes from … to, the path and the line.
fn take(rest: &str, near: Option<&str>, exists: &impl Fn(&str) -> bool) -> (usize, Found) {
    if let Some(found) = python_place(rest, near, exists) {
        return found;
    }
    let separates =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | ',' | ';' | '│');
    let Some(first) = rest.chars().next() else { return (0, None) };
    if separates(first) {
        return (first.len_utf8(), None);
    }
    let end = rest.find(separates).unwrap_or(rest.len());
    (end, place_in_word(&rest[..end], near, exists))
}

/// `File "path", line 12`.
fn python_place(rest: &str, near: Option<&str>, exists: &impl Fn(&str) -> bool) -> Option<(usize, Found)> {
    let inside = rest.strip_prefix("File \"")?;
    let (name, after) = inside.split_once('"')?;
    let digits: String = after.strip_prefix(", line ")?.chars().take_while(char::is_ascii_digit).collect();
    let line = digits.parse().ok()?;
    let length = "File \"".len() + name.len() + "\", line ".len() + digits.len();
    Some((length, resolve(name, near, exists).map(|path| (0, length, path, line))))
}

/// `path:12` or `path:12:5`, with whatever follows.
fn place_in_word(word: &str, near: Option<&str>, exists: &impl Fn(&str) -> bool) -> Found {
    let skipped = if word.starts_with("file://") { "file://".len() } else { 0 };
    for (colon, _) in word.match_indices(':').filter(|(at, _)| *at > skipped) {
        let digits = word[colon + 1..].bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            continue;
        }
        let line = word[colon + 1..colon + 1 + digits].parse().ok()?;
        let path = resolve(&word[skipped..colon], near, exists)?;
        return Some((skipped, colon + 1 + digits, path, line));
    }
    None
}

/// The file of the project that a tool meant.
fn resolve(name: &str, near: Option<&str>, exists: &impl Fn(&str) -> bool) -> Option<String> {
    let name = name.strip_prefix(ROOT).unwrap_or(name);
    let name = name.strip_prefix("./").unwrap_or(name);
    if name.is_empty() || name.starts_with('/') {
        return None;
    }
    if exists(name) {
        return Some(name.to_owned());
    }
    let directory = near?.rsplit_once('/')?.0;
    let beside = format!("{directory}/{name}");
    exists(&beside).then_some(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 4] = ["src/retry.py", "tests/test_retry.py", "src/lib.rs", "pkg/sum_test.go"];

    fn places(message: &str, near: Option<&str>) -> Vec<(String, String, u32)> {
        let pieces = split(message, near, |path| FILES.contains(&path));
        let whole: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Place { label, .. } => label.as_str(),
            })
            .collect();
        assert_eq!(whole, message, "nothing is lost");
        pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Place { label, path, line } => Some((label, path, line)),
                Piece::Text(_) => None,
            })
            .collect()
    }

    #[test]
    fn places_of_the_known_frameworks_are_found() {
        let one = |message: &str, near: Option<&str>| {
            let found = places(message, near);
            assert_eq!(found.len(), 1, "{message}");
            (found[0].1.clone(), found[0].2)
        };
        assert_eq!(one("  File \"/w/src/retry.py\", line 19, in retry_after", None), ("src/retry.py".into(), 19));
        assert_eq!(one("E   TypeError\nsrc/retry.py:19: TypeError", None), ("src/retry.py".into(), 19));
        assert_eq!(one("thread 'x' panicked at src/lib.rs:4:9:\nleft: 1", None), ("src/lib.rs".into(), 4));
        assert_eq!(one("    sum_test.go:12: got 3", Some("pkg/sum_test.go")), ("pkg/sum_test.go".into(), 12));
        assert_eq!(one("at Context.<anonymous> (file:///w/src/lib.rs:7:11)", None), ("src/lib.rs".into(), 7));
    }

    #[test]
    fn what_is_not_of_the_project_stays_text() {
        for message in
            ["/usr/lib/python3/unittest/case.py:5", "at 12:30:01", "http://x.org:80/", "nothing.py:3", "a:99999999999", "größe:1 „ü“:2"]
        {
            assert_eq!(places(message, Some("src/retry.py")), [], "{message}");
        }
    }
}
