//! What the `.editorconfig` files of a project say about one file. They are data to us: hostile ones cost bounded time and say nothing.

mod glob;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use blobs::Blobs;
use store::{Conn, files as table};
use wire::{
    ProjectId,
    files::{EditorStyle, EntryKind, TextFormat},
};

use self::glob::Glob;
use crate::Result;

const NAME: &str = ".editorconfig";
const FILE_MAX: u64 = 64 * 1024;
/// Directories above a file that are looked at.
const LEVELS_MAX: usize = 64;
/// What all patterns of one file may cost together.
const TOKENS_MAX: usize = 8192;
const CACHED_MAX: usize = 512;

/// By the checksum of the file, so that entries never grow old.
static PARSED: LazyLock<Mutex<HashMap<String, Arc<Config>>>> = LazyLock::new(Mutex::default);

#[derive(Debug, Default)]
struct Config {
    is_root: bool,
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    globs: Vec<Glob>,
    pairs: Vec<(String, String)>,
}

/// The style of a file, and the format that a new one gets.
pub(super) async fn style_of(c: &mut Conn, blobs: &dyn Blobs, project: ProjectId, path: &str) -> Result<(EditorStyle, TextFormat)> {
    let mut found: Vec<(usize, Arc<Config>)> = Vec::new();
    let starts = path.match_indices('/').map(|(at, _)| at + 1).rev().chain([0]);
    for start in starts.take(LEVELS_MAX) {
        let row = table::latest(c, project, &format!("{}{NAME}", &path[..start])).await?;
        let row = row.filter(|row| !row.is_deleted() && row.kind.0 == EntryKind::File && row.size as u64 <= FILE_MAX);
        let Some(checksum) = row.and_then(|row| row.checksum) else { continue };
        let config = parsed(blobs, &checksum).await?;
        let is_root = config.is_root;
        found.push((start, config));
        if is_root {
            break;
        }
    }
    let mut pairs = BTreeMap::new();
    // The nearest file has the last word.
    for (start, config) in found.iter().rev() {
        config.apply(&path[*start..], &mut pairs);
    }
    Ok((read_style(&pairs), read_format(&pairs)))
}

async fn parsed(blobs: &dyn Blobs, checksum: &str) -> Result<Arc<Config>> {
    let cached = || PARSED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(config) = cached().get(checksum) {
        return Ok(config.clone());
    }
    let bytes = blobs.read_all(checksum, FILE_MAX).await?;
    let config = Arc::new(parse(&String::from_utf8_lossy(&bytes)));
    let mut cache = cached();
    if cache.len() >= CACHED_MAX {
        cache.clear();
    }
    cache.insert(checksum.to_owned(), config.clone());
    Ok(config)
}

fn parse(text: &str) -> Config {
    let mut config = Config::default();
    let mut tokens = 0;
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(pattern) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let globs = glob::compile(pattern);
            tokens += globs.iter().map(Glob::cost).sum::<usize>();
            let globs = if tokens > TOKENS_MAX { Vec::new() } else { globs };
            config.sections.push(Section { globs, pairs: Vec::new() });
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase());
        match config.sections.last_mut() {
            Some(section) => section.pairs.push((key, value)),
            None if key == "root" => config.is_root = value == "true",
            None => {}
        }
    }
    config
}

impl Config {
    /// `path` is relative to the directory of the file.
    fn apply(&self, path: &str, pairs: &mut BTreeMap<String, String>) {
        for section in self.sections.iter().filter(|section| section.globs.iter().any(|glob| glob.matches(path))) {
            pairs.extend(section.pairs.iter().cloned());
        }
    }
}

fn read_style(pairs: &BTreeMap<String, String>) -> EditorStyle {
    let get = |key: &str| pairs.get(key).map(String::as_str).filter(|value| *value != "unset");
    let width = |key: &str| get(key).and_then(|value| value.parse::<u8>().ok()).filter(|width| (1..=64).contains(width));
    let flag = |key: &str| match get(key) {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    let insert_spaces = match get("indent_style") {
        Some("space") => Some(true),
        Some("tab") => Some(false),
        _ => None,
    };
    let is_tab_wide = get("indent_size") == Some("tab") || (insert_spaces == Some(false) && get("indent_size").is_none());
    let indent_size = width("indent_size").or(if is_tab_wide { width("tab_width") } else { None });
    let end_of_line = match get("end_of_line") {
        Some("lf") => Some("\n"),
        Some("crlf") => Some("\r\n"),
        Some("cr") => Some("\r"),
        _ => None,
    };
    EditorStyle {
        insert_spaces,
        indent_size,
        tab_width: width("tab_width").or(indent_size),
        end_of_line: end_of_line.map(str::to_owned),
        trim_trailing_whitespace: flag("trim_trailing_whitespace"),
        insert_final_newline: flag("insert_final_newline"),
        max_line_length: get("max_line_length").and_then(|value| value.parse().ok()).filter(|length| *length > 0),
    }
}

fn read_format(pairs: &BTreeMap<String, String>) -> TextFormat {
    let (encoding, bom) = match pairs.get("charset").map(String::as_str) {
        Some("latin1") => ("windows-1252", false),
        Some("utf-8-bom") => ("utf-8", true),
        Some("utf-16le") => ("utf-16le", true),
        Some("utf-16be") => ("utf-16be", true),
        _ => return TextFormat::default(),
    };
    TextFormat { encoding: encoding.to_owned(), bom }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str, path: &str) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        parse(text).apply(path, &mut pairs);
        pairs
    }

    #[test]
    fn later_sections_overrule_earlier_ones() {
        let text = "root = true\n# c\n[*]\nindent_style = space\nindent_size = 4\nend_of_line = lf\n\n[*.{js,ts}]\nindent_size=2\n[Makefile]\nindent_style = TAB\ntab_width = 8\nindent_size = unset\n";
        assert!(parse(text).is_root);
        let js = read_style(&pairs(text, "src/a.js"));
        assert_eq!((js.insert_spaces, js.indent_size, js.end_of_line.as_deref()), (Some(true), Some(2), Some("\n")));
        let make = read_style(&pairs(text, "Makefile"));
        assert_eq!((make.insert_spaces, make.tab_width), (Some(false), Some(8)));
        assert_eq!(read_style(&pairs("[*]\nindent_style=tab\ntab_width=3", "x")).indent_size, Some(3));
        assert_eq!(
            read_style(&pairs("nonsense\n[*\nindent_size=9\n[*]\nindent_size=900\nmax_line_length=off", "x")),
            EditorStyle::default()
        );
        assert_eq!(read_format(&pairs("[*]\ncharset = latin1", "x")).encoding, "windows-1252");
    }
}
