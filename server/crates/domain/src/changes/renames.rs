//! Recognises files that moved: what was deleted in one place and appears in another, the same or much alike.

use std::collections::HashMap;

use blobs::Blobs;
use wire::files::EntryKind;

use super::{ProposedFile, blob_text, text};
use crate::Result;

/// Share of the larger side's bytes that must stand on both.
const LIKE_ENOUGH: f64 = 0.6;
/// Of each kind, compared with each other at most so many files.
const COMPARED: usize = 100;
/// Bytes read to compare contents.
const READ_MAX: u64 = 32 * 1024 * 1024;

/// The proposed files in their order, each with the path that it moved from. A deletion that became the beginning of a move is gone.
pub async fn join(blobs: &dyn Blobs, proposed: Vec<ProposedFile>) -> Result<Vec<(ProposedFile, Option<String>)>> {
    let gone: Vec<usize> = indexes(&proposed, |file| file.old.is_some() && file.new.is_none() && file.kind != EntryKind::Directory);
    let came: Vec<usize> = indexes(&proposed, |file| file.old.is_none() && file.new.is_some() && file.new_size > 0);
    if gone.is_empty() || came.is_empty() {
        return Ok(proposed.into_iter().map(|file| (file, None)).collect());
    }
    let mut from_of = pair_same(&proposed, &gone, &came);
    let left = |all: &[usize], taken: &dyn Fn(usize) -> bool| all.iter().copied().filter(|at| !taken(*at)).collect::<Vec<_>>();
    let came = left(&came, &|at| from_of.contains_key(&at));
    let gone = left(&gone, &|at| from_of.values().any(|taken| *taken == at));
    if !came.is_empty() && !gone.is_empty() && came.len() <= COMPARED && gone.len() <= COMPARED {
        from_of.extend(pair_alike(blobs, &proposed, &gone, &came).await?);
    }
    let old_sides: HashMap<usize, (String, Option<(String, i32)>)> =
        from_of.values().map(|from| (*from, (proposed[*from].path.clone(), proposed[*from].old.clone()))).collect();
    let mut joined = Vec::with_capacity(proposed.len());
    for (at, mut file) in proposed.into_iter().enumerate() {
        if old_sides.contains_key(&at) {
            continue;
        }
        let moved = from_of.get(&at).and_then(|from| old_sides.get(from)).cloned();
        let old_path = moved.map(|(path, old)| {
            file.old = old;
            path
        });
        joined.push((file, old_path));
    }
    Ok(joined)
}

fn indexes(proposed: &[ProposedFile], wanted: impl Fn(&ProposedFile) -> bool) -> Vec<usize> {
    proposed.iter().enumerate().filter(|(_, file)| wanted(file)).map(|(at, _)| at).collect()
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Pairs what has the same content, by the name first: the index of what came to that of what is gone.
fn pair_same(proposed: &[ProposedFile], gone: &[usize], came: &[usize]) -> HashMap<usize, usize> {
    let mut pairs = HashMap::new();
    let mut free: Vec<usize> = gone.to_vec();
    for by_name in [true, false] {
        for to in came {
            if pairs.contains_key(to) {
                continue;
            }
            let same = |from: &usize| {
                let (old, new) = (&proposed[*from], &proposed[*to]);
                let is_same = old.old.as_ref().map(|(checksum, _)| checksum) == new.new.as_ref().map(|(checksum, _)| checksum);
                is_same && old.kind == new.kind && (!by_name || name_of(&old.path) == name_of(&new.path))
            };
            if let Some(at) = free.iter().position(same) {
                pairs.insert(*to, free.remove(at));
            }
        }
    }
    pairs
}

/// Pairs what is alike, the closest first.
async fn pair_alike(blobs: &dyn Blobs, proposed: &[ProposedFile], gone: &[usize], came: &[usize]) -> Result<HashMap<usize, usize>> {
    let mut left = READ_MAX;
    let mut texts: HashMap<usize, String> = HashMap::new();
    for (at, checksum) in gone
        .iter()
        .map(|at| (*at, proposed[*at].old.as_ref()))
        .chain(came.iter().map(|at| (*at, proposed[*at].new.as_ref())))
        .filter_map(|(at, side)| side.map(|(checksum, _)| (at, checksum)))
    {
        if left == 0 {
            break;
        }
        if let Some(text) = blob_text(blobs, checksum).await? {
            left = left.saturating_sub(text.len() as u64);
            texts.insert(at, text);
        }
    }
    let mut scores: Vec<(f64, bool, usize, usize)> = Vec::new();
    for to in came {
        for from in gone {
            let (Some(old), Some(new)) = (texts.get(from), texts.get(to)) else { continue };
            // A link that leads elsewhere is another link.
            if [*from, *to].iter().any(|at| proposed[*at].kind != EntryKind::File) {
                continue;
            }
            let score = likeness(old, new);
            if score >= LIKE_ENOUGH {
                scores.push((score, name_of(&proposed[*from].path) == name_of(&proposed[*to].path), *from, *to));
            }
        }
    }
    scores.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then((a.3, a.2).cmp(&(b.3, b.2))));
    let mut pairs: HashMap<usize, usize> = HashMap::new();
    for (_, _, from, to) in scores {
        if !pairs.contains_key(&to) && !pairs.values().any(|taken| *taken == from) {
            pairs.insert(to, from);
        }
    }
    Ok(pairs)
}

/// Bytes of the lines that stand in both, as a share of the larger text: 0 to 1.
pub fn likeness(old: &str, new: &str) -> f64 {
    let (small, large) = (old.len().min(new.len()), old.len().max(new.len()));
    if large == 0 || (small as f64) < LIKE_ENOUGH * large as f64 {
        return 0.0;
    }
    let mut count: HashMap<&str, i64> = HashMap::new();
    for line in text::lines(old) {
        *count.entry(line).or_default() += 1;
    }
    let mut common = 0;
    for line in text::lines(new) {
        if let Some(left) = count.get_mut(line).filter(|left| **left > 0) {
            *left -= 1;
            common += line.len();
        }
    }
    common as f64 / large as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, old: Option<&str>, new: Option<&str>) -> ProposedFile {
        let side = |text: Option<&str>| text.map(|checksum| (checksum.to_owned(), 0o644));
        ProposedFile { path: path.into(), kind: EntryKind::File, is_retyped: false, old: side(old), new: side(new), new_size: 5 }
    }

    #[test]
    fn the_same_content_is_paired_by_name_first() {
        let proposed = [
            file("a/one.txt", Some("x"), None),
            file("a/two.txt", Some("x"), None),
            file("b/two.txt", None, Some("x")),
            file("b/three.txt", None, Some("x")),
            file("b/four.txt", None, Some("x")),
        ];
        let pairs = pair_same(&proposed, &[0, 1], &[2, 3, 4]);
        assert_eq!(pairs, HashMap::from([(2, 1), (3, 0)]));
    }

    #[test]
    fn likeness_is_a_share_of_the_larger_text() {
        let old = "aaaa\nbbbb\ncccc\ndddd\neeee\n";
        assert_eq!(likeness(old, old), 1.0);
        assert_eq!(likeness(old, &old.replace("cccc", "CCCC")), 0.8);
        assert_eq!(likeness(old, &old.replace("aaaa", "AAAA").replace("cccc", "CCCC").replace("eeee", "EEEE")), 0.4);
        assert_eq!(likeness("", ""), 0.0);
        assert_eq!(likeness("x", &"x\n".repeat(100)), 0.0);
    }
}
