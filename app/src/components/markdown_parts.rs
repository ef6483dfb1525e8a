//! A long paragraph in parts, so that the browser lays out anew only the last of them while it grows. Where it is cut follows from what
//! stands in front of the cut: a text that grows is cut as the whole is.

use std::ops::Range;

use pulldown_cmark::{CowStr, Event, html};

/// A part is this long in the text, and ends with the next word outside of everything that is open there. Tests have many in little text.
pub const PART_BYTES: usize = if cfg!(test) { 64 } else { 4096 };

/// A word that goes on for longer is cut like any text.
const WORD_BYTES: usize = PART_BYTES / 8;

const PARAGRAPH: (&str, &str) = ("<p class=\"md-long\">", "</p>\n");
const PART: (&str, &str) = ("<span class=\"md-part\">", "</span>");

/// An event of a paragraph as it is written to the page.
pub struct Inline<'a> {
    pub event: Event<'a>,
    pub range: Range<usize>,
    /// Text or the end of a line that stands in nothing but the paragraph.
    pub is_plain: bool,
}

pub struct Part {
    /// Its element, and the space to the next one.
    pub html: String,
    /// Where it begins in the text.
    pub begin: usize,
    /// There is something in it that may begin what ends in a later part.
    pub is_open: bool,
}

impl Part {
    /// The one part of a paragraph that is not long.
    pub fn whole(paragraph: &str, begin: usize) -> Self {
        let inner = paragraph.trim_end().trim_end_matches("</p>");
        let inner = inner.strip_prefix("<p>").unwrap_or(inner);
        Self { html: format!("{}{inner}{}", PART.0, PART.1), begin, is_open: true }
    }
}

/// A paragraph of these parts.
pub fn join(parts: &[Part]) -> String {
    if let [part] = parts {
        return format!("<p>{}{}", part.html.replace(PART.0, "").replace(PART.1, ""), PARAGRAPH.1);
    }
    let inner: String = parts.iter().map(|part| part.html.as_str()).collect();
    format!("{}{inner}{}", PARAGRAPH.0, PARAGRAPH.1)
}

/// The element of a paragraph that takes parts.
pub fn empty() -> String {
    PARAGRAPH.0.to_owned() + PARAGRAPH.1
}

/// A paragraph as it would be without parts.
pub fn without_parts(html: &str) -> String {
    html.replace(PARAGRAPH.0, "<p>").replace(PART.0, "").replace(PART.1, "").replace('\n', " ")
}

/// The parts of a paragraph; one alone where it is not cut. `inlines` is what stands between its start and its end.
pub fn split<'a>(text: &'a str, begin: usize, inlines: Vec<Inline<'a>>) -> Vec<Part> {
    let mut cutter = Cutter { text, begin, events: Vec::new(), openers: Openers::default(), parts: Vec::new() };
    for inline in inlines {
        cutter.push(inline);
    }
    cutter.end("");
    cutter.parts
}

struct Cutter<'a> {
    text: &'a str,
    /// Where the part at hand begins.
    begin: usize,
    events: Vec<Event<'a>>,
    openers: Openers,
    parts: Vec<Part>,
}

/// The part ends in front of `end`, the next one begins at `next`.
struct Cut {
    end: usize,
    next: usize,
    gap: &'static str,
}

impl<'a> Cutter<'a> {
    fn push(&mut self, inline: Inline<'a>) {
        match (&inline.event, self.text.get(inline.range.clone())) {
            (Event::Text(said), Some(source)) if inline.is_plain && **said == *source => self.push_text(inline.range),
            (Event::SoftBreak, Some(_)) if inline.is_plain && self.cuts_line(&inline.range) => {
                self.end(" ");
                self.begin = inline.range.end;
            }
            _ => self.events.push(inline.event),
        }
    }

    fn push_text(&mut self, mut range: Range<usize>) {
        while let Some(cut) = self.find_cut(range.clone()) {
            self.push_plain(range.start..cut.end);
            self.end(cut.gap);
            self.begin = cut.next;
            range.start = cut.next;
        }
        self.push_plain(range);
    }

    fn push_plain(&mut self, range: Range<usize>) {
        self.openers.look_at(self.text, range.clone());
        if let Some(text) = self.text.get(range).filter(|text| !text.is_empty()) {
            self.events.push(Event::Text(CowStr::Borrowed(text)));
        }
    }

    /// A line that begins with a letter goes on with the paragraph, whatever stood before it.
    fn cuts_line(&self, line_end: &Range<usize>) -> bool {
        line_end.start >= self.begin + PART_BYTES && self.text.get(line_end.end..).is_some_and(|rest| rest.starts_with(char::is_alphabetic))
    }

    /// The next part begins with a letter, so that it is read as words also where it stands alone.
    fn find_cut(&self, range: Range<usize>) -> Option<Cut> {
        let (mut before, mut word) = (None, range.start);
        for (at, c) in self.text.get(range.clone())?.char_indices() {
            let at = range.start + at;
            if at >= self.begin + PART_BYTES && c.is_alphabetic() {
                if before == Some(' ') {
                    return Some(Cut { end: at - 1, next: at, gap: " " });
                }
                let is_inside = before.is_some_and(char::is_alphabetic) && at - word >= WORD_BYTES;
                if is_inside && at >= self.begin + 2 * PART_BYTES {
                    return Some(Cut { end: at, next: at, gap: "" });
                }
            }
            if c.is_whitespace() {
                word = at;
            }
            before = Some(c);
        }
        None
    }

    fn end(&mut self, gap: &str) {
        let mut html = PART.0.to_owned();
        html::push_html(&mut html, self.events.drain(..));
        html.push_str(PART.1);
        html.push_str(gap);
        self.parts.push(Part { html, begin: self.begin, is_open: self.openers.any() });
    }
}

/// Marks that have no partner so far.
#[derive(Default)]
struct Openers {
    brackets: usize,
    others: bool,
}

impl Openers {
    fn any(&self) -> bool {
        self.others || self.brackets > 0
    }

    fn look_at(&mut self, text: &str, range: Range<usize>) {
        let Some(source) = text.get(range.clone()) else { return };
        for (at, c) in source.char_indices().filter(|(_, c)| c.is_ascii_punctuation()) {
            let at = range.start + at;
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            if before == Some('\\') {
                continue;
            }
            let next = text.get(at + 1..).and_then(|rest| rest.chars().next());
            let is_followed = next.is_none_or(|next| !next.is_whitespace());
            match c {
                '[' => self.brackets += 1,
                ']' => self.brackets = self.brackets.saturating_sub(1),
                '`' => self.others = true,
                '*' | '~' => self.others |= is_followed,
                '_' => self.others |= is_followed && !before.is_some_and(char::is_alphanumeric),
                '<' => self.others |= next.is_none_or(|next| next.is_alphabetic() || matches!(next, '/' | '!' | '?')),
                _ => {}
            }
        }
    }
}
