//! The same letters written otherwise: `é` as one character or as `e` with an accent.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class, is_nfc};

/// A text with its letters composed.
pub fn compose(text: &str) -> String {
    if is_nfc(text) { text.to_owned() } else { text.nfc().collect() }
}

/// Where `old` stands in `text` if only the composition of letters, and perhaps line ends, differ. Empty where nothing could be composed.
pub fn find(text: &str, old: &str) -> Vec<Range<usize>> {
    if old.is_ascii() || (is_nfc(text) && is_nfc(old)) {
        return Vec::new();
    }
    let wanted = compose(&old.replace("\r\n", "\n"));
    let mut flat = String::with_capacity(text.len());
    // Beginnings of letters, here and in `text`: a match has to begin and end at such.
    let mut starts: Vec<(usize, usize)> = Vec::new();
    for letter in letters(text) {
        starts.push((flat.len(), letter.start));
        match &text[letter.clone()] {
            "\r" if text[letter.end..].starts_with('\n') => {}
            part => flat.push_str(&compose(part)),
        }
    }
    starts.push((flat.len(), text.len()));
    // A carriage return that is left out shares its place with the line feed behind it; the match takes it along.
    let to_text = |at: usize| {
        let found = starts.partition_point(|(here, _)| *here < at);
        starts.get(found).filter(|(here, _)| *here == at).map(|(_, there)| *there)
    };
    flat.match_indices(&wanted).filter_map(|(at, m)| Some(to_text(at)?..to_text(at + m.len())?)).collect()
}

/// The pieces of a text that compose among themselves only.
fn letters(text: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for (at, c) in text.char_indices() {
        let goes_on = canonical_combining_class(c) != 0 || ('\u{1160}'..='\u{11ff}').contains(&c);
        match out.last_mut() {
            Some(last) if goes_on => last.end = at + c.len_utf8(),
            _ => out.push(at..at + c.len_utf8()),
        }
    }
    out
}
