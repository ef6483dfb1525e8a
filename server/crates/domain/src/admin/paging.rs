//! Lists that are turned in both directions: cursors, limits and what people search for.

use serde::{Deserialize, Serialize};
use store::admin::{Part, Position};
use wire::admin::{Direction, Listed, PAGE};

use crate::{Error, Result, page};

/// Characters of what people search for.
const SEARCH_MAX: usize = 200;

#[derive(Serialize, Deserialize)]
struct Cursor {
    /// Towards the beginning of the list.
    back: bool,
    at: Position,
}

/// The page that is asked for.
pub(super) struct Turn {
    list: &'static str,
    cursor: Option<Cursor>,
    ascending: bool,
    limit: i64,
}

impl Turn {
    pub(super) fn read(list: &'static str, cursor: Option<&str>, limit: Option<u32>, direction: Direction) -> Result<Self> {
        let mut fields = Vec::new();
        let limit = page::note(&mut fields, page::check_limit(limit.map(i64::from), i64::from(PAGE)))?;
        let cursor = cursor.filter(|text| !text.is_empty()).map(|text| page::read_cursor::<Cursor>(list, text)).transpose();
        let cursor = page::note(&mut fields, cursor)?.flatten();
        if cursor.as_ref().is_some_and(|cursor| cursor.at.text.contains('\0')) {
            fields.push(page::foreign_cursor());
        }
        match limit {
            Some(limit) if fields.is_empty() => Ok(Self { list, cursor, ascending: direction == Direction::Asc, limit }),
            _ => Err(Error::Invalid(fields)),
        }
    }

    fn is_back(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.back)
    }

    /// One row more than is shown, to know whether there are more.
    pub(super) fn part<'a>(&'a self, sort: &'a str) -> Part<'a> {
        let after = self.cursor.as_ref().map(|cursor| &cursor.at);
        Part { sort, ascending: self.ascending != self.is_back(), after, limit: self.limit + 1 }
    }

    pub(super) fn page<R, T>(&self, mut rows: Vec<R>, total: i64, at: impl Fn(&R) -> Position, show: impl FnMut(R) -> T) -> Listed<T> {
        let has_more = rows.len() as i64 > self.limit;
        rows.truncate(self.limit as usize);
        let back = self.is_back();
        if back {
            rows.reverse();
        }
        let (before, after) = if back { (has_more, true) } else { (self.cursor.is_some(), has_more) };
        let previous_cursor = rows.first().filter(|_| before).map(|row| self.write(true, at(row)));
        let next_cursor = rows.last().filter(|_| after).map(|row| self.write(false, at(row)));
        Listed { items: rows.into_iter().map(show).collect(), next_cursor, previous_cursor, total }
    }

    fn write(&self, back: bool, at: Position) -> String {
        page::write_cursor(self.list, &Cursor { back, at })
    }
}

/// What is searched for, without the blanks around it; `None` is everything.
pub(super) fn read_search(text: Option<&str>) -> Result<Option<&str>> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    if text.is_some_and(|text| text.chars().count() > SEARCH_MAX || text.contains('\0')) {
        return Err(Error::invalid("search", "Use at most 200 characters."));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: &i64) -> Position {
        Position { number: *number, text: String::new(), id: uuid::Uuid::nil() }
    }

    #[test]
    fn a_list_is_turned_forth_and_back() {
        let all: Vec<i64> = (1..=7).collect();
        let read = |cursor: Option<&str>| {
            let turn = Turn::read("numbers", cursor, Some(3), Direction::Asc).unwrap();
            let part = turn.part("x");
            let (up, limit) = (part.ascending, part.limit as usize);
            let after = part.after.map(|at| at.number);
            let fits = |n: &&i64| after.is_none_or(|after| if up { **n > after } else { **n < after });
            let rows: Vec<i64> = if up {
                all.iter().filter(fits).take(limit).copied().collect()
            } else {
                all.iter().rev().filter(fits).take(limit).copied().collect()
            };
            turn.page(rows, 7, at, |n| n)
        };
        let first = read(None);
        assert_eq!((first.items.clone(), first.previous_cursor.clone()), (vec![1, 2, 3], None));
        let second = read(first.next_cursor.as_deref());
        assert_eq!(second.items, [4, 5, 6]);
        let last = read(second.next_cursor.as_deref());
        assert_eq!((last.items.clone(), last.next_cursor.clone()), (vec![7], None));
        let back = read(last.previous_cursor.as_deref());
        assert_eq!(back.items, [4, 5, 6]);
        let begin = read(back.previous_cursor.as_deref());
        assert_eq!((begin.items.clone(), begin.previous_cursor.clone()), (vec![1, 2, 3], None));
        assert_eq!(read(begin.next_cursor.as_deref()).items, [4, 5, 6]);
    }

    #[test]
    fn wrong_cursors_and_limits_are_named() {
        let wrong = |list, cursor: &str, limit| match Turn::read(list, Some(cursor), limit, Direction::Desc) {
            Err(Error::Invalid(fields)) => fields.into_iter().map(|field| field.field).collect::<Vec<_>>(),
            Err(other) => panic!("{other}"),
            Ok(_) => Vec::new(),
        };
        assert_eq!(wrong("numbers", "x y", Some(0)), ["limit", "cursor"]);
        assert!(wrong("numbers", "", None).is_empty());
        let own = |text: &str| page::write_cursor("numbers", &Cursor { back: false, at: Position { text: text.to_owned(), ..at(&1) } });
        assert!(wrong("numbers", &own("a"), None).is_empty());
        assert_eq!(
            (wrong("numbers", &own("a\0b"), None), wrong("letters", &own("a"), None)),
            (vec!["cursor".to_owned()], vec!["cursor".to_owned()])
        );
        assert!(read_search(Some("a\0b")).is_err() && read_search(Some("  ")).unwrap().is_none());
    }
}
