//! Finds the piece of a file that comes closest to a text that is not in it.

use std::{cmp::Reverse, collections::HashMap};

use super::{Line, Nearest};

/// Windows that are compared in full, after a cheap first look at all of them.
const COMPARED: usize = 12;
const CHARS_MAX: usize = 4000;
const CONTEXT: usize = 2;
const LIKE_ENOUGH: f32 = 0.45;

/// The closest window of lines, with a little around it; `None` when nothing is like it.
pub fn find(lines: &[Line<'_>], wanted: &[&str]) -> Option<Nearest> {
    if lines.is_empty() || wanted.is_empty() {
        return None;
    }
    let height = wanted.len().min(lines.len());
    let want: String = clip(&wanted.iter().map(|l| l.trim()).collect::<Vec<_>>().join("\n"));
    let mut words: HashMap<&str, i32> = HashMap::new();
    for word in wanted.iter().flat_map(|l| words_of(l)) {
        words.insert(word, 1);
    }
    let line_scores: Vec<i32> = lines.iter().map(|l| words_of(l.text).filter_map(|w| words.get(w)).sum()).collect();
    let mut windows: Vec<(i32, usize)> = Vec::with_capacity(lines.len());
    let mut sum: i32 = line_scores[..height].iter().sum();
    for start in 0..=lines.len() - height {
        if start > 0 {
            sum += line_scores[start + height - 1] - line_scores[start - 1];
        }
        windows.push((sum, start));
    }
    windows.sort_by_key(|(score, start)| (Reverse(*score), *start));
    let best = windows
        .iter()
        .take(COMPARED)
        .map(|(_, start)| {
            let have = clip(&lines[*start..start + height].iter().map(|l| l.text.trim()).collect::<Vec<_>>().join("\n"));
            (similar::TextDiff::from_chars(want.as_str(), have.as_str()).ratio(), *start)
        })
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
    (best.0 >= LIKE_ENOUGH).then(|| {
        let first = best.1.saturating_sub(CONTEXT);
        let last = (best.1 + height + CONTEXT).min(lines.len());
        let text = lines[first..last].iter().map(|l| l.text).collect::<Vec<_>>().join("\n");
        Nearest { line: first + 1, text: clip(&text) }
    })
}

fn clip(text: &str) -> String {
    text.chars().take(CHARS_MAX).collect()
}

fn words_of(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// Every line begins with a number and a tab, as `read_file` shows them.
pub fn looks_numbered(text: &str) -> bool {
    let is_numbered = |line: &str| {
        line.trim_start().split_once('\t').is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    text.lines().any(|l| !l.trim().is_empty()) && text.lines().filter(|l| !l.trim().is_empty()).all(is_numbered)
}
