//! Looking into the files of one page, on a blocking thread.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

use blobs::Blobs;
use futures::{StreamExt, stream};
use grep_searcher::{Searcher, Sink, SinkContext, SinkContextKind, SinkFinish, SinkMatch};
use sha2::{Digest, Sha256};
use store::search::SearchRow;
use tokio::runtime::Handle;
use tokio_util::io::SyncIoBridge;
use wire::search::{MATCHES_MAX, SearchMatch};

use super::{
    Stop,
    query::{Finder, without_end},
};

/// Matching lines of one file.
pub(super) const PER_FILE_MAX: usize = 1000;
/// Larger files are not searched.
pub(super) const FILE_MAX: i64 = 128_000_000;
/// Files up to this size are read as a whole.
const WHOLE_MAX: i64 = 1 << 20;
/// Bytes of a line that are shown, and of those before its first match.
const LINE_MAX: usize = 400;
const LEAD_MAX: usize = 120;
/// What is not on this machine is fetched ahead, this many files at once and this many bytes in all; the rest while it is searched.
const FETCH_AT_ONCE: usize = 16;
const FETCH_MAX: i64 = 32 << 20;

/// A file to look into, and where it lies if it lies on this machine.
pub(super) struct PageFile {
    pub row: SearchRow,
    path: Option<PathBuf>,
}

/// Files to look into, with the bytes of those that do not lie on this machine. Lives on a blocking thread.
pub(super) struct Page {
    pub files: Vec<PageFile>,
    blobs: Arc<dyn Blobs>,
    fetched: HashMap<String, Vec<u8>>,
    buffer: Vec<u8>,
}

impl Page {
    pub fn open(blobs: Arc<dyn Blobs>, rows: Vec<SearchRow>) -> Self {
        let files: Vec<PageFile> = rows.into_iter().map(|row| PageFile { path: blobs.local_path(&row.checksum), row }).collect();
        let mut room = FETCH_MAX;
        let small = files.iter().filter(|file| file.path.is_none() && file.row.size <= WHOLE_MAX);
        let far: Vec<String> = small
            .take_while(|file| {
                room -= file.row.size;
                room >= 0
            })
            .map(|file| file.row.checksum.clone())
            .collect();
        let fetched = if far.is_empty() { HashMap::new() } else { Handle::current().block_on(fetch(&blobs, far)) };
        Self { files, blobs, fetched, buffer: Vec::new() }
    }

    /// A small file as a whole. What is gone or can't be read is an error.
    pub fn whole(&mut self, file: &PageFile) -> io::Result<&[u8]> {
        if let Some(bytes) = self.fetched.get(&file.row.checksum) {
            return Ok(bytes);
        }
        self.buffer.resize(file.row.size as usize, 0);
        match &file.path {
            Some(path) => {
                File::open(path)?.read_exact(&mut self.buffer)?;
                // By its path no reader looks at the bytes.
                if hex::encode(Sha256::digest(&self.buffer)) != file.row.checksum {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the stored bytes are damaged"));
                }
            }
            None => drop(self.read(file)?.read_exact(&mut self.buffer)?),
        }
        Ok(&self.buffer)
    }

    /// The bytes in order.
    fn read(&self, file: &PageFile) -> io::Result<Box<dyn Read>> {
        let reader = Handle::current().block_on(self.blobs.open(&file.row.checksum)).map_err(io::Error::other)?;
        Ok(Box::new(SyncIoBridge::new(reader)))
    }

    /// Searches one file with any sink.
    pub fn search<S: Sink<Error = io::Error>>(
        &mut self,
        searcher: &mut Searcher,
        finder: &Finder,
        file: &PageFile,
        stop: &Stop,
        sink: S,
    ) -> io::Result<()> {
        if file.row.size <= WHOLE_MAX {
            searcher.search_slice(&finder.matcher, self.whole(file)?, sink)
        } else {
            let reader = Watched { inner: self.read(file)?, stop };
            searcher.search_reader(&finder.matcher, reader, sink)
        }
    }
}

async fn fetch(blobs: &Arc<dyn Blobs>, checksums: Vec<String>) -> HashMap<String, Vec<u8>> {
    let one = |checksum: String| async move {
        let bytes = blobs.read_all(&checksum, WHOLE_MAX as u64).await.ok()?;
        Some((checksum, bytes))
    };
    stream::iter(checksums).map(one).buffer_unordered(FETCH_AT_ONCE).filter_map(std::future::ready).collect().await
}

/// Ends with an error when the search is over.
struct Watched<'a> {
    inner: Box<dyn Read>,
    stop: &'a Stop,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_set() || self.stop.is_late() {
            return Err(io::Error::other("the search is over"));
        }
        self.inner.read(buffer)
    }
}

/// What a page holds.
#[derive(Default)]
pub(super) struct Found {
    pub matches: Vec<SearchMatch>,
    pub searched: u64,
    /// Files with matches.
    pub files: u64,
    /// Files with more matches than are shown, too large to be searched, and that could not be read.
    pub capped: u64,
    pub large: u64,
    pub unread: u64,
    /// There are more matches than any search shows.
    pub full: bool,
}

pub(super) fn in_page(finder: &Finder, mut page: Page, stop: &Stop) -> Found {
    let mut found = Found::default();
    let mut searcher = finder.searcher();
    for file in std::mem::take(&mut page.files) {
        if stop.is_set() || stop.is_late() {
            break;
        }
        if found.matches.len() > MATCHES_MAX {
            found.full = true;
            break;
        }
        if file.row.size > FILE_MAX {
            found.large += 1;
            continue;
        }
        found.searched += 1;
        let before = found.matches.len();
        let mut lines =
            Lines { finder, path: &file.row.path, out: &mut found.matches, first: before, before: Vec::new(), more: false, stop };
        let searched = page.search(&mut searcher, finder, &file, stop, &mut lines);
        found.capped += u64::from(lines.more);
        if searched.is_err() && !stop.is_set() && !stop.is_late() {
            found.unread += 1;
            // Lines of damaged bytes are no lines of the file.
            found.matches.truncate(before);
        }
        found.files += u64::from(found.matches.len() > before);
    }
    found
}

/// Gathers the lines of one file.
struct Lines<'a> {
    finder: &'a Finder,
    path: &'a str,
    out: &'a mut Vec<SearchMatch>,
    /// Where those of this file begin.
    first: usize,
    /// Context that waits for its match.
    before: Vec<String>,
    more: bool,
    stop: &'a Stop,
}

impl Sink for Lines<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        if self.out.len() - self.first == PER_FILE_MAX {
            self.more = true;
            return Ok(false);
        }
        let number = found.line_number().unwrap_or_default();
        let mut shown = show_line(self.finder, without_end(found.bytes()));
        shown.path = self.path.to_owned();
        shown.line = u32::try_from(number).unwrap_or(u32::MAX);
        shown.before = std::mem::take(&mut self.before);
        self.out.push(shown);
        Ok(!self.stop.is_set())
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        let line = show_part(without_end(context.bytes()));
        match context.kind() {
            SinkContextKind::Before => self.before.push(line),
            SinkContextKind::After => {
                if let Some(last) = self.out.get_mut(self.first..).and_then(<[_]>::last_mut) {
                    last.after.push(line);
                }
            }
            SinkContextKind::Other => {}
        }
        Ok(true)
    }

    /// A file that turns out to be binary further down is none with lines.
    fn finish(&mut self, _: &Searcher, finish: &SinkFinish) -> io::Result<()> {
        if finish.binary_byte_offset().is_some() {
            self.out.truncate(self.first);
            self.more = false;
        }
        Ok(())
    }
}

/// The beginning of a line of context.
fn show_part(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..cut_at(line, LINE_MAX)]).into_owned()
}

/// The last place up to `at` where a character begins.
fn cut_at(line: &[u8], at: usize) -> usize {
    if at >= line.len() {
        return line.len();
    }
    // A character has at most four bytes; what is longer is no UTF-8 and may be cut anywhere.
    (at.saturating_sub(3)..=at).rev().find(|at| line[*at] & 0xc0 != 0x80).unwrap_or(at)
}

/// A matching line, cut around its first match when it is long. Offsets are of the text that is shown, whatever the bytes were.
fn show_line(finder: &Finder, line: &[u8]) -> SearchMatch {
    let mut shown = SearchMatch {
        path: String::new(),
        line: 0,
        column: 1,
        text: String::new(),
        ranges: Vec::new(),
        cut: false,
        before: Vec::new(),
        after: Vec::new(),
        replaced: Vec::new(),
    };
    let (mut at, mut end) = (0, line.len());
    finder.each(line, |found, text| {
        if shown.ranges.is_empty() {
            shown.column = String::from_utf8_lossy(&line[..found.start()]).encode_utf16().count() as u32 + 1;
            if line.len() > LINE_MAX {
                at = cut_at(line, found.start().saturating_sub(LEAD_MAX));
                end = cut_at(line, (at + LINE_MAX).max(found.end().min(found.start() + LINE_MAX)));
                shown.cut = true;
            }
        }
        if found.start() >= at && found.start() <= end && found.start() < end.max(1) + usize::from(found.is_empty()) {
            shown.text.push_str(&String::from_utf8_lossy(&line[at..found.start()]));
            let start = shown.text.len() as u32;
            at = found.end().min(end);
            shown.text.push_str(&String::from_utf8_lossy(&line[found.start()..at]));
            shown.ranges.push((start, shown.text.len() as u32));
            if let Some(text) = text {
                shown.replaced.push(show_part(text));
            }
        }
    });
    shown.text.push_str(&String::from_utf8_lossy(&line[at.min(end)..end]));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::search::SearchQuery;

    fn shown(q: &str, line: &[u8]) -> SearchMatch {
        show_line(&Finder::new(&SearchQuery { q: q.to_owned(), ..SearchQuery::default() }).unwrap(), line)
    }

    fn hits(found: &SearchMatch) -> Vec<&str> {
        found.ranges.iter().map(|(from, to)| &found.text[*from as usize..*to as usize]).collect()
    }

    #[test]
    fn columns_count_as_editors_do() {
        let found = shown("x", "a\u{1f600}x ä x".as_bytes());
        assert_eq!((found.column, hits(&found)), (4, vec!["x", "x"]));
        let broken = shown("x", b"\xff\xfex\xffx");
        assert_eq!((hits(&broken), broken.text.as_str()), (vec!["x", "x"], "\u{fffd}\u{fffd}x\u{fffd}x"));
    }

    #[test]
    fn long_lines_are_cut_around_the_first_match() {
        let line = format!("{}needle{}needle", "ä".repeat(5000), "ö".repeat(5000));
        let found = shown("needle", line.as_bytes());
        assert_eq!((found.column, found.cut, hits(&found)), (5001, true, vec!["needle"]));
        assert!(found.text.len() <= LINE_MAX && found.text.starts_with('ä') && found.text.ends_with('ö'));
        let all = shown(&"n".repeat(900), "n".repeat(2000).as_bytes());
        assert_eq!(hits(&all).concat(), all.text);
    }
}
