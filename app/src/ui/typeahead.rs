//! Letters typed in a list lead to the next row whose name begins with them.

use leptos::prelude::*;
use wire::Micros;

use super::format;

/// Letters typed within this belong together.
const TOGETHER_MS: i64 = 700;

/// What was typed of a name, and when the last letter was.
#[derive(Debug, Clone, Copy, Default)]
pub struct TypeAhead(StoredValue<(String, Micros)>);

impl TypeAhead {
    /// Takes a letter, and answers all that belong together, in lower case.
    pub fn push(self, key: &str) -> String {
        let now = format::now();
        let typed = self.0.try_update_value(|(typed, before)| {
            if now.millis_since(*before) > TOGETHER_MS {
                typed.clear();
            }
            *before = now;
            typed.push_str(&key.to_lowercase());
            typed.clone()
        });
        typed.unwrap_or_default()
    }
}

/// The next row whose name begins with what was typed; one letter, also repeated, goes on from row to row. It goes round.
pub fn find_typed<T>(rows: &[T], at: usize, typed: &str, name: impl Fn(&T) -> &str) -> Option<usize> {
    let first = typed.chars().next()?;
    let repeated = typed.chars().all(|letter| letter == first);
    let wanted = if repeated { first.to_string() } else { typed.to_owned() };
    let count = rows.len();
    let from = usize::from(repeated);
    (from..count + from).map(|step| (at + step) % count).find(|i| name(&rows[*i]).to_lowercase().starts_with(&wanted))
}

#[cfg(test)]
mod tests {
    use super::find_typed;

    #[test]
    fn letters_lead_to_the_next_name() {
        let rows = ["alpha", "beta", "Bet", "gamma", "bob"];
        let find = |at, typed| find_typed(&rows, at, typed, |name| name);
        assert_eq!(find(0, "b"), Some(1));
        assert_eq!(find(1, "bb"), Some(2));
        assert_eq!(find(4, "b"), Some(1), "it goes round");
        assert_eq!(find(1, "be"), Some(1), "more letters stay where they fit");
        assert_eq!(find(1, "bo"), Some(4));
        assert_eq!(find(1, "x"), None);
        assert_eq!(find_typed(&[] as &[&str], 0, "x", |name| name), None);
    }
}
