//! Shortens text for a model without hiding that it was shortened.

pub use domain::context::text::{cut_end, cut_middle, fence_for};
pub use wire::context::estimate_tokens;

/// `1 line`, `2 lines`.
pub fn count_of(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// What stands before the first full stop that a space follows, with the stop.
pub fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| &text[..=first.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_with_its_stop() {
        assert_eq!(first_sentence("It is overloaded (503). Nothing was lost. Wait."), "It is overloaded (503).");
        assert_eq!(first_sentence("Größe 1.5 ist zu viel."), "Größe 1.5 ist zu viel.");
        assert_eq!(first_sentence(""), "");
    }
}
