//! Names that differ only in case or in how their letters are composed are one name to many systems, so a project never holds both.

use std::collections::HashMap;

use store::files::fold;

use crate::{Error, Result};

/// `found` exists at or below some spelling of `path`: it must be this one.
pub(super) fn check_spelling(path: &str, found: &str) -> Result<()> {
    let spelled = cut_to(found, path.matches('/').count());
    if spelled == path { Ok(()) } else { Err(Error::conflict(clash(path, spelled))) }
}

fn clash(path: &str, other: &str) -> String {
    format!(
        "{other} exists, and {path} differs from it only in upper and lower case or in how its letters are composed. Many systems can't tell the two apart; choose another name."
    )
}

/// The first parts of a path, up to the given number of slashes.
fn cut_to(path: &str, slashes: usize) -> &str {
    path.match_indices('/').nth(slashes).map_or(path, |(at, _)| &path[..at])
}

/// The names of a tree that is put together outside of the database, such as an archive's.
#[derive(Default)]
pub struct NameBook {
    spelled: HashMap<String, String>,
}

impl NameBook {
    /// Takes a path with every directory above it. Refuses, with the sentence for people, what differs from an earlier one only in case or
    /// composition.
    pub fn add(&mut self, path: &str) -> Result<(), String> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends.rev() {
            let part = &path[..end];
            match self.spelled.get(&fold(part)) {
                Some(known) if known == part => break,
                Some(known) => return Err(clash(part, known)),
                None => {}
            }
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        self.spelled.extend(ends.map(|end| (fold(&path[..end]), path[..end].to_owned())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_told_apart() {
        assert!(check_spelling("a/b", "a/b/c").is_ok());
        assert!(check_spelling("a", "A/b").is_err());
        let mut book = NameBook::default();
        for path in ["src/main.rs", "src/lib.rs", "README", "caf\u{e9}/x"] {
            book.add(path).unwrap();
        }
        for path in ["src/Main.rs", "SRC/new.rs", "readme", "cafe\u{301}/y"] {
            assert!(book.add(path).is_err(), "{path}");
        }
        book.add("src/main.rs").unwrap();
    }
}
