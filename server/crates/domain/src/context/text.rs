//! Shortens text for a model without hiding that it was shortened.

/// Keeps the beginning and the end of `text` within `max` bytes and says how much was left out between them.
pub fn cut_middle(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let head = floor_boundary(text, max / 2);
    let tail = ceil_boundary(text, text.len() - (max - max / 2));
    // Whole lines read better, where they do not cost much.
    let head = text[..head].rfind('\n').map(|n| n + 1).filter(|n| head - n < max / 8).unwrap_or(head);
    let tail = text[tail..].find('\n').map(|n| tail + n + 1).filter(|n| n - tail < max / 8).unwrap_or(tail);
    let lines = text[head..tail].matches('\n').count();
    format!("{}\n[… {} bytes, {lines} line breaks, left out here …]\n{}", &text[..head], tail - head, &text[tail..])
}

/// The first `max` bytes at most, with a mark where something follows.
pub fn cut_end(text: &str, max: usize) -> String {
    if text.len() <= max { text.to_owned() } else { format!("{}…", &text[..floor_boundary(text, max)]) }
}

/// A line of backticks that no line of `content` contains.
pub fn fence_for(content: &str) -> String {
    let longest = content.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// The beginning of a text in one line, for lists.
pub(super) fn one_line(text: &str, chars: usize) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = words.char_indices().nth(chars) {
        words.truncate(at);
        words.push('…');
    }
    words
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn says_how_much_was_left_out() {
        let text: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        let cut = cut_middle(&text, 400);
        assert!(cut.starts_with("line 0\n") && cut.ends_with("line 999\n"));
        let (_, note) = cut.split_once("[… ").unwrap();
        let left_out: usize = note.split_once(" bytes").unwrap().0.parse().unwrap();
        let kept = cut.len() - (cut.find("]\n").unwrap() + 2) + cut.find("\n[…").unwrap();
        assert_eq!(left_out + kept, text.len());
        assert_eq!(cut_middle("short", 400), "short");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_the_content() {
        assert_eq!(fence_for("plain"), "```");
        assert_eq!(fence_for("````md\n```\n"), "`````");
    }

    proptest! {
        #[test]
        fn cuts_never_split_a_character(text in "\\PC{0,200}", max in 0..100usize) {
            cut_middle(&text, max);
            cut_end(&text, max);
            one_line(&text, max);
        }
    }
}
