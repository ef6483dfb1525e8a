//! How lists are cut into pages: by where the last item stands, never by counting, so that nothing is left out or shown twice while
//! others add and remove.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use wire::{FieldError, Page, PageQuery};

use crate::{Error, Result};

/// Items of a page at most.
pub const MOST: i64 = 200;
const CURSOR_MAX: usize = 8192;

/// Items of the page that is asked for; refuses what is out of bounds.
pub fn limit_of(asked: &PageQuery, default: i64) -> Result<i64> {
    check_limit(asked.limit, default)
}

/// Where the page before this one of `list` ended.
pub fn after<T: DeserializeOwned>(asked: &PageQuery, list: &str) -> Result<Option<T>> {
    asked.cursor.as_deref().map(|cursor| read_cursor(list, cursor)).transpose()
}

pub fn check_limit(asked: Option<i64>, default: i64) -> Result<i64> {
    match asked.unwrap_or(default) {
        limit @ 1..=MOST => Ok(limit),
        _ => Err(Error::invalid("limit", format!("Ask for 1 to {MOST} items."))),
    }
}

/// What was read of a query that is refused as a whole: what is wrong with this part of it joins `fields`.
pub fn note<T>(fields: &mut Vec<FieldError>, read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Error::Invalid(wrong)) => {
            fields.extend(wrong);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// Only `list` understands it again.
pub fn write_cursor<T: Serialize>(list: &str, position: &T) -> String {
    // Positions are numbers and words, which can always be written.
    let text = serde_json::to_vec(&(list, position)).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(text)
}

pub fn read_cursor<T: DeserializeOwned>(list: &str, cursor: &str) -> Result<T> {
    let bytes = Some(cursor).filter(|text| text.len() <= CURSOR_MAX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let read = bytes.and_then(|bytes| serde_json::from_slice::<(String, T)>(&bytes).ok());
    match read {
        Some((own, position)) if own == list => Ok(position),
        _ => Err(not_of_this_list()),
    }
}

/// What is said of a cursor that was not written for this list.
pub fn foreign_cursor() -> FieldError {
    FieldError::new("cursor", "This cursor is not one of this list, or what it stands at is gone. Begin without one.")
}

fn not_of_this_list() -> Error {
    Error::Invalid(vec![foreign_cursor()])
}

/// `rows` are one more than `limit` where there is another page. `position` says where a row stands.
pub fn cut<R, P: Serialize>(mut rows: Vec<R>, limit: i64, list: &str, position: impl Fn(&R) -> P) -> Page<R> {
    let limit = usize::try_from(limit).unwrap_or(1);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| has_more).map(|row| write_cursor(list, &position(row)));
    Page { items: rows, next_cursor }
}

/// Items of a page as something else.
pub fn map<R, T>(page: Page<R>, into: impl FnMut(R) -> T) -> Page<T> {
    Page { items: page.items.into_iter().map(into).collect(), next_cursor: page.next_cursor }
}

/// A page of a list that is short by its nature, in whatever order it has. Going on from an item that is gone is refused.
pub fn of_short<T>(items: Vec<T>, asked: &PageQuery, list: &str, id: impl Fn(&T) -> String) -> Result<Page<T>> {
    let limit = limit_of(asked, MOST)?;
    let last: Option<String> = after(asked, list)?;
    let begin = match last {
        None => 0,
        Some(last) => 1 + items.iter().position(|item| id(item) == last).ok_or_else(not_of_this_list)?,
    };
    Ok(cut(items.into_iter().skip(begin).collect(), limit, list, id))
}

/// A page of a list that is sorted by descending position.
pub fn cut_short<R, P: Serialize + DeserializeOwned + Ord>(
    rows: Vec<R>,
    asked: &PageQuery,
    default: i64,
    list: &str,
    position: impl Fn(&R) -> P,
) -> Result<Page<R>> {
    let limit = limit_of(asked, default)?;
    let last: Option<P> = after(asked, list)?;
    let rest = rows.into_iter().filter(|row| last.as_ref().is_none_or(|last| position(row) < *last));
    Ok(cut(rest.take(limit as usize + 1).collect(), limit, list, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_on_exactly_one_page() {
        for (count, limit) in [(0, 3), (3, 3), (4, 3), (9, 3), (10, 3), (7, 1)] {
            let all: Vec<i64> = (0..count).rev().collect();
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let asked = PageQuery { limit: Some(limit), cursor };
                let page = cut_short(all.clone(), &asked, 50, "numbers", |n| *n).unwrap();
                assert!(page.items.len() as i64 <= limit);
                seen.extend(page.items);
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, all);
        }
    }

    #[test]
    fn what_goes_away_between_pages_moves_nothing() {
        let asked = |cursor| PageQuery { limit: Some(2), cursor };
        let first = cut_short(vec![9, 7, 5, 3], &asked(None), 50, "numbers", |n| *n).unwrap();
        assert_eq!(first.items, [9, 7]);
        let second = cut_short(vec![11, 9, 5, 3], &asked(first.next_cursor), 50, "numbers", |n| *n).unwrap();
        assert_eq!((second.items, second.next_cursor), (vec![5, 3], None));
    }

    #[test]
    fn bounds_and_foreign_cursors_are_refused_by_name() {
        let named = |error: Error| match error {
            Error::Invalid(fields) => fields[0].field.clone(),
            other => panic!("{other}"),
        };
        for limit in [i64::MIN, -1, 0, MOST + 1, i64::MAX] {
            assert_eq!(named(check_limit(Some(limit), 50).unwrap_err()), "limit");
        }
        assert_eq!(check_limit(None, 50).unwrap(), 50);
        let own = write_cursor("runs", &(5_i64, "x"));
        assert_eq!(read_cursor::<(i64, String)>("runs", &own).unwrap(), (5, "x".to_owned()));
        for (list, cursor) in
            [("trash", own.as_str()), ("runs", ""), ("runs", "%%%"), ("runs", "bnVsbA"), ("runs", &"A".repeat(CURSOR_MAX + 1))]
        {
            assert_eq!(named(read_cursor::<(i64, String)>(list, cursor).unwrap_err()), "cursor", "{cursor}");
        }
    }
}
