//! Comma-separated values by RFC 4180, in a form that spreadsheets do not execute.

use futures::{Stream, stream};
use wire::{Micros, admin::Listed};

use crate::Result;

/// Bytes of a sheet, as they come.
pub type Bytes = Vec<u8>;

#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    /// What people wrote: never a formula.
    Text(&'a str),
    Number(i64),
    /// Micro-US-dollars, as dollars.
    Usd(i64),
    At(Option<Micros>),
    Yes(bool),
}

/// One line with its end.
pub(super) fn line(cells: &[Cell<'_>]) -> Bytes {
    let mut out = String::new();
    for (n, cell) in cells.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        match *cell {
            Cell::Text(text) => push_text(&mut out, text),
            Cell::Number(number) => out.push_str(&number.to_string()),
            Cell::Usd(micros) => {
                let sign = if micros < 0 { "-" } else { "" };
                let micros = micros.unsigned_abs();
                out.push_str(&format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000));
            }
            Cell::At(at) => out.push_str(&at.map(Micros::to_rfc3339).unwrap_or_default()),
            Cell::Yes(yes) => out.push_str(if yes { "yes" } else { "no" }),
        }
    }
    out.push_str("\r\n");
    out.into_bytes()
}

/// Spreadsheets take a cell that begins like this for a formula, also behind blanks; an apostrophe in front makes it text.
fn is_formula(text: &str) -> bool {
    let first = text.trim_start_matches([' ', '\u{a0}', '\u{feff}']).chars().next();
    matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '|' | '%' | '＝' | '＋' | '－' | '＠'))
}

fn push_text(out: &mut String, text: &str) {
    let guard = if is_formula(text) { "'" } else { "" };
    let is_plain = !text.contains(['"', ',', '\r', '\n']) && text.trim() == text && guard.is_empty();
    if is_plain {
        return out.push_str(text);
    }
    out.push('"');
    out.push_str(guard);
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

pub(super) fn head(names: &[&str]) -> Bytes {
    line(&names.iter().map(|name| Cell::Text(name)).collect::<Vec<_>>())
}

enum Next<T> {
    Page(Listed<T>),
    Cursor(String),
}

/// A whole list, a page in memory at a time. `first` was read already, so that a refusal comes before the first byte.
pub(super) fn of_pages<T, F, Fut>(
    names: &'static [&'static str],
    first: Listed<T>,
    write: fn(&T) -> Bytes,
    read: F,
) -> impl Stream<Item = Result<Bytes>> + Send + use<T, F, Fut>
where
    T: Send + 'static,
    F: Fn(String) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Listed<T>>> + Send,
{
    stream::try_unfold((Some(Next::Page(first)), read, true), move |(next, read, begins)| async move {
        let page = match next {
            None => return Ok(None),
            Some(Next::Page(page)) => page,
            Some(Next::Cursor(cursor)) => read(cursor).await?,
        };
        let mut out = if begins { head(names) } else { Vec::new() };
        for item in &page.items {
            out.extend(write(item));
        }
        Ok(Some((out, (page.next_cursor.map(Next::Cursor), read, false))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cells: &[Cell<'_>]) -> String {
        String::from_utf8(line(cells)).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let cells = [Cell::Text("a"), Cell::Text("b, \"c\""), Cell::Text("two\r\nlines"), Cell::Number(-3), Cell::Usd(1_238_000)];
        assert_eq!(text(&cells), "a,\"b, \"\"c\"\"\",\"two\r\nlines\",-3,1.238000\r\n");
        assert_eq!(text(&[Cell::Text(" a"), Cell::At(None), Cell::Yes(true)]), "\" a\",,yes\r\n");
        assert_eq!(text(&[Cell::Usd(-20_000), Cell::At(Some(Micros(0)))]), "-0.020000,1970-01-01T00:00:00Z\r\n");
    }

    #[test]
    fn nothing_that_people_wrote_is_a_formula() {
        for wicked in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =cmd|' /C calc'!A0", "＝1", "|x", "%x", "\n=1"] {
            let line = text(&[Cell::Text(wicked)]);
            assert!(line.starts_with("\"'"), "{wicked:?} became {line:?}");
        }
        assert_eq!(text(&[Cell::Text("a=b"), Cell::Text("")]), "a=b,\r\n");
    }
}
