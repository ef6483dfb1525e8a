//! Walks a directory, or two as an overlay would show them: an upper one with whiteouts and opaque marks over a lower.

use super::beneath::{self, kind};
use super::ignores::{Ignores, MAX_IGNORE_FILE, depth};
use rustix::fs::{Dir, FileType, Stat};
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Directories nested deeper are left out: no project is like that on purpose.
pub(super) const DEEPEST: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Upper,
    Lower,
}

/// A file or symbolic link that shows, or, with `gone`, one of the lower layer that no longer does; where asked for, a directory that
/// shows nothing.
pub(super) struct Seen<'a> {
    pub path: &'a str,
    pub name: &'a str,
    pub dir: BorrowedFd<'a>,
    pub layer: Layer,
    pub stat: Stat,
    pub gone: bool,
}

pub(super) struct Options {
    /// Leave out what is not versioned.
    pub ignores: bool,
    /// Only what the upper layer holds or hides; directories it does not have are not entered.
    pub only_upper: bool,
    /// Visit directories that show nothing as well.
    pub bare: bool,
}

type Visit<'v> = dyn FnMut(Seen) -> io::Result<()> + 'v;

/// Visits every file and link, and what else is asked for. Answers what is in the upper layer and could not be visited: names that are
/// not UTF-8, written as well as they can be, and directories that are nested too deep.
pub(super) fn walk(
    start: &str,
    upper: Option<OwnedFd>,
    lower: Option<OwnedFd>,
    options: Options,
    visit: &mut Visit,
) -> io::Result<Vec<String>> {
    let mut walker = Walker { ignores: Ignores::default(), options, visit, unnameable: Vec::new() };
    walker.dir(start, upper, lower)?;
    Ok(walker.unnameable)
}

/// A deletion mark: a character device numbered 0/0.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether a directory of the upper layer hides the one below entirely.
pub(super) fn is_opaque(dir: impl AsFd) -> bool {
    let mut value = [0u8; 4];
    matches!(rustix::fs::fgetxattr(dir, c"user.overlay.opaque", &mut value), Ok(n) if n > 0 && value[0] == b'y')
}

pub(super) fn set_opaque(dir: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(dir, c"user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())?)
}

pub(super) fn is_content(stat: &Stat) -> bool {
    matches!(kind(stat), FileType::RegularFile | FileType::Symlink)
}

/// Whether nothing is in a directory, or in the merged view of two.
pub(super) fn shows_nothing(upper: Option<&OwnedFd>, lower: Option<&OwnedFd>) -> io::Result<bool> {
    let mut hidden = HashSet::new();
    if let Some(upper) = upper {
        let (found, unreadable) = read(upper)?;
        if !unreadable.is_empty() || found.iter().any(|(_, stat)| !is_whiteout(stat)) {
            return Ok(false);
        }
        if is_opaque(upper) {
            return Ok(true);
        }
        hidden.extend(found.into_iter().map(|(name, _)| name));
    }
    let Some(lower) = lower else { return Ok(true) };
    let (found, unreadable) = read(lower)?;
    Ok(unreadable.is_empty() && found.iter().all(|(name, stat)| hidden.contains(name) || is_whiteout(stat)))
}

fn is_dir(stat: &Stat) -> bool {
    kind(stat) == FileType::Directory
}

pub(super) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

struct Walker<'v, 'f> {
    ignores: Ignores,
    options: Options,
    visit: &'v mut Visit<'f>,
    unnameable: Vec<String>,
}

#[derive(Default)]
struct Slot {
    upper: Option<Stat>,
    lower: Option<Stat>,
}

impl Walker<'_, '_> {
    fn dir(&mut self, path: &str, upper: Option<OwnedFd>, lower: Option<OwnedFd>) -> io::Result<()> {
        if depth(path) > DEEPEST {
            if upper.is_some() {
                self.unnameable.push(path.to_owned());
            }
            return Ok(());
        }
        let opaque = upper.as_ref().is_some_and(is_opaque);
        let shown_lower = if opaque { None } else { lower.as_ref() };
        if self.options.ignores {
            self.read_ignores(path, upper.as_ref(), shown_lower)?;
        }
        let slots = self.slots(path, upper.as_ref(), lower.as_ref(), opaque)?;
        for (name, slot) in slots {
            self.entry(&join(path, &name), &name, slot, upper.as_ref(), lower.as_ref(), opaque)?;
        }
        if self.options.ignores {
            self.ignores.truncate(depth(path));
        }
        Ok(())
    }

    fn slots(&mut self, path: &str, upper: Option<&OwnedFd>, lower: Option<&OwnedFd>, opaque: bool) -> io::Result<BTreeMap<String, Slot>> {
        let mut slots: BTreeMap<String, Slot> = BTreeMap::new();
        if let Some(upper) = upper {
            let (found, unreadable) = read(upper)?;
            for name in unreadable {
                let path = join(path, &name);
                if !(self.options.ignores && self.ignores.matches(&path, false)) {
                    self.unnameable.push(path);
                }
            }
            for (name, stat) in found {
                slots.entry(name).or_default().upper = Some(stat);
            }
        }
        let Some(lower) = lower else { return Ok(slots) };
        if self.options.only_upper && !opaque {
            for (name, slot) in &mut slots {
                slot.lower = beneath::stat_name(lower, name)?;
            }
        } else if self.options.only_upper || !opaque {
            for (name, stat) in read(lower)?.0 {
                slots.entry(name).or_default().lower = Some(stat);
            }
        }
        Ok(slots)
    }

    fn entry(
        &mut self,
        path: &str,
        name: &str,
        slot: Slot,
        upper: Option<&OwnedFd>,
        lower: Option<&OwnedFd>,
        opaque: bool,
    ) -> io::Result<()> {
        let shown = match (&slot.upper, &slot.lower) {
            (Some(up), _) => (!is_whiteout(up)).then_some((Layer::Upper, *up)),
            (None, Some(low)) if !opaque && !is_whiteout(low) => Some((Layer::Lower, *low)),
            _ => None,
        };
        if let (Some(low), Some(lower_dir), true) = (&slot.lower, lower, self.options.only_upper) {
            // Files replaced by files are changes, not deletions; directories merge unless marked opaque.
            let kept = shown.as_ref().is_some_and(|(_, now)| (is_content(now) && is_content(low)) || (is_dir(now) && is_dir(low)));
            if !kept {
                self.gone(path, name, low, lower_dir.as_fd())?;
            }
        }
        let Some((layer, stat)) = shown else {
            return Ok(());
        };
        if self.options.ignores && self.ignores.matches(path, is_dir(&stat)) {
            return Ok(());
        }
        let here = if layer == Layer::Upper { upper } else { lower };
        let Some(here) = here else { return Ok(()) };
        if is_dir(&stat) {
            let open = |dir: Option<&OwnedFd>, there: Option<&Stat>| match (dir, there) {
                (Some(dir), Some(stat)) if is_dir(stat) => beneath::open_even_if_closed(dir.as_fd(), name).map(Some),
                _ => Ok(None),
            };
            let below_upper = open(upper, slot.upper.as_ref())?;
            // Below an opaque directory everything lower is gone, but still has to be named as such.
            let below_lower = if opaque && !self.options.only_upper { None } else { open(lower, slot.lower.as_ref())? };
            if self.options.bare && shows_nothing(below_upper.as_ref(), below_lower.as_ref().filter(|_| !opaque))? {
                (self.visit)(Seen { path, name, dir: here.as_fd(), layer, stat, gone: false })?;
            }
            if opaque && let Some(low) = below_lower {
                self.dir(path, below_upper, None)?;
                return self.gone_dir(path, low);
            }
            return self.dir(path, below_upper, below_lower);
        }
        if is_content(&stat) {
            (self.visit)(Seen { path, name, dir: here.as_fd(), layer, stat, gone: false })?;
        }
        Ok(())
    }

    fn gone(&mut self, path: &str, name: &str, low: &Stat, dir: BorrowedFd) -> io::Result<()> {
        if self.options.ignores && self.ignores.matches(path, is_dir(low)) {
            return Ok(());
        }
        if is_dir(low) {
            let below = beneath::open_even_if_closed(dir, name)?;
            return self.gone_dir(path, below);
        }
        if is_content(low) {
            (self.visit)(Seen { path, name, dir, layer: Layer::Lower, stat: *low, gone: true })?;
        }
        Ok(())
    }

    fn gone_dir(&mut self, path: &str, dir: OwnedFd) -> io::Result<()> {
        if depth(path) > DEEPEST {
            return Ok(());
        }
        for (name, stat) in read(&dir)?.0 {
            self.gone(&join(path, &name), &name, &stat, dir.as_fd())?;
        }
        Ok(())
    }

    fn read_ignores(&mut self, path: &str, upper: Option<&OwnedFd>, lower: Option<&OwnedFd>) -> io::Result<()> {
        let name = ".gitignore";
        for dir in [upper, lower].into_iter().flatten() {
            match beneath::stat_name(dir, name)? {
                None => continue,
                Some(stat) if kind(&stat) == FileType::RegularFile => {
                    let mut text = Vec::new();
                    if let Ok(file) = beneath::open_file(dir, name) {
                        file.take(MAX_IGNORE_FILE).read_to_end(&mut text)?;
                    }
                    self.ignores.push(path, &String::from_utf8_lossy(&text));
                    return Ok(());
                }
                Some(_) => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Names and stats of a directory, and the names that are not UTF-8 as well as they can be written.
type Names = (Vec<(String, Stat)>, Vec<String>);

fn read(dir: &OwnedFd) -> io::Result<Names> {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            unreadable.push(entry.file_name().to_string_lossy().into_owned());
            continue;
        };
        if name == "." || name == ".." {
            continue;
        }
        if let Some(stat) = beneath::stat_name(dir, name)? {
            found.push((name.to_owned(), stat));
        }
    }
    Ok((found, unreadable))
}
