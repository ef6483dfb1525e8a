//! A process that gives its place to a fresh one of the same program.

use std::{
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

/// Starts over with the same number and arguments; returns only when that fails. A program that was put in this one's place
/// meanwhile, as an upgrade does, is the one that starts.
pub fn replace_process() -> io::Error {
    const SELF: &str = "/proc/self/exe";
    let replace = |program: &Path| Command::new(program).args(std::env::args_os().skip(1)).exec();
    let named = std::fs::read_link(SELF).ok().map(|path| {
        let name = path.as_os_str().as_bytes();
        PathBuf::from(OsStr::from_bytes(name.strip_suffix(b" (deleted)").unwrap_or(name)))
    });
    match named.filter(|program| program.exists()) {
        Some(program) => replace(&program),
        None => replace(Path::new(SELF)),
    }
}
