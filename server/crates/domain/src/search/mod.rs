//! Finding lines across a project with the libraries of ripgrep, replacing what was found as a change set, and the symbols of a file.
//!
//! Rows are read a page at a time in the order of their paths, and each page is searched on a blocking thread, a few pages at once, so
//! that the first hit does not wait for the last row. Nothing is held but the pages at hand.

mod find;
mod outline;
mod query;
mod replace;

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use blobs::Blobs;
use futures::{Stream, StreamExt, stream};
use store::search::SearchRow;
use tokio::{sync::Semaphore, task::JoinHandle};
use wire::{
    ProjectId,
    projects::ProjectRole,
    search::{MATCHES_MAX, SearchItem, SearchQuery, SearchSummary},
};

pub use outline::outline;
pub(crate) use outline::outline_of;
pub use replace::replace;

use self::{
    find::{Found, Page},
    query::Finder,
};
use crate::{Ctx, Error, Result, projects, storage};

/// A search that takes longer ends with a note.
const TIME_MAX: Duration = Duration::from_secs(30);
/// The first pages are small, for an early first hit; each is larger than the one before, up to the last number.
const PAGE_FIRST: i64 = 128;
const PAGE_MAX: i64 = 2048;
/// Pages of one search that are worked on at once.
const AT_ONCE: usize = 4;
/// Pages that all searches of this process work on at once, so that they do not take the threads from everything else.
static THREADS: Semaphore = Semaphore::const_new(THREADS_MAX);
const THREADS_MAX: usize = 4;

/// Pages that searches of this process look into at the moment.
pub fn at_work() -> usize {
    THREADS_MAX - THREADS.available_permits()
}

/// Told to the threads of a search when nobody waits for it any more, or its time is up.
#[derive(Clone)]
struct Stop {
    stopped: Arc<AtomicBool>,
    until: Instant,
}

impl Stop {
    fn new() -> Self {
        Self { stopped: Arc::default(), until: Instant::now() + TIME_MAX }
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }

    fn is_set(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Stops the threads when the stream is dropped.
struct Guard(Stop);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

/// Work that ends with whoever waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(Error::internal)
    }
}

/// Finds lines, in the order of the paths. Dropping the stream ends the work. The last item is `Done` or `Failed`.
pub async fn search(ctx: &Ctx, project: ProjectId, query: SearchQuery) -> Result<impl Stream<Item = SearchItem> + Send + use<>> {
    let (finder, blobs) = begin(ctx, project, ProjectRole::Viewer, &query).await?;
    let stop = Stop::new();
    let found = in_pages(ctx.clone(), project, &finder).map({
        let stop = stop.clone();
        move |page| look_into(finder.clone(), blobs.clone(), page, stop.clone())
    });
    let reading = Reading {
        found: found.buffered(AT_ONCE).boxed(),
        waiting: VecDeque::new(),
        tally: Tally { summary: SearchSummary::default(), capped_files: 0, large: 0, unread: 0, full: false, late: false },
        ended: false,
        began: Instant::now(),
        guard: Guard(stop),
        ctx: ctx.clone(),
    };
    Ok(stream::unfold(reading, |mut reading| async move { reading.next().await.map(|item| (item, reading)) }))
}

/// Whether the caller may, and what both kinds of search need.
async fn begin(ctx: &Ctx, project: ProjectId, role: ProjectRole, query: &SearchQuery) -> Result<(Arc<Finder>, Arc<dyn Blobs>)> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, role).await?;
    let fields = query.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let blobs = storage::blobs_of(ctx, &mut conn, project).await?;
    Ok((Arc::new(Finder::new(query)?), blobs))
}

/// The files that are in the scope of a search, a page at a time.
fn in_pages(ctx: Ctx, project: ProjectId, finder: &Arc<Finder>) -> impl Stream<Item = Result<Vec<SearchRow>>> + Send + use<> {
    let finder = finder.clone();
    stream::try_unfold(Some((String::new(), PAGE_FIRST)), move |at| {
        let (ctx, finder) = (ctx.clone(), finder.clone());
        async move {
            let Some((after, size)) = at else { return Ok(None) };
            let mut conn = ctx.services().db.read().await?;
            let mut rows = store::search::files_after(&mut conn, project, &after, size).await?;
            let next = rows.last().filter(|_| rows.len() as i64 == size).map(|row| (row.path.clone(), (size * 4).min(PAGE_MAX)));
            rows.retain(|row| finder.holds(&row.path));
            Ok(Some((rows, next)))
        }
    })
}

/// Searches a page on a thread of its own, once one is free.
async fn look_into(finder: Arc<Finder>, blobs: Arc<dyn Blobs>, rows: Result<Vec<SearchRow>>, stop: Stop) -> Result<Found> {
    let rows = rows?;
    if rows.is_empty() || stop.is_set() {
        return Ok(Found::default());
    }
    on_thread(blobs, rows, move |page| find::in_page(&finder, page, &stop)).await
}

/// Runs work over a page on a blocking thread. The place among the threads is waited for by a task, which goes on also while nobody
/// reads the answers of its search: else one slow reader could keep a place without using it.
async fn on_thread<T: Send + 'static>(
    blobs: Arc<dyn Blobs>,
    rows: Vec<SearchRow>,
    work: impl FnOnce(Page) -> T + Send + 'static,
) -> Result<T> {
    let task = tokio::spawn(async move {
        let place = THREADS.acquire().await.map_err(Error::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work(Page::open(blobs, rows));
            drop(place);
            done
        });
        done.await.map_err(Error::internal)
    });
    Task(task).await?
}

/// What was left out so far.
struct Tally {
    summary: SearchSummary,
    capped_files: u64,
    large: u64,
    unread: u64,
    full: bool,
    late: bool,
}

impl Tally {
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let files = |count: u64| if count == 1 { "1 file".to_owned() } else { format!("{} files", grouped(count)) };
        if self.full {
            notes.push(format!("Only the first {} lines are shown. Narrow the search to see the others.", grouped(MATCHES_MAX as u64)));
        }
        if self.late {
            let seconds = TIME_MAX.as_secs();
            notes.push(format!("Stopped after {seconds} s; the files further down were not searched. Narrow them by a pattern."));
        }
        if self.capped_files > 0 {
            notes.push(format!("Of {} only the first {} lines are shown.", files(self.capped_files), grouped(find::PER_FILE_MAX as u64)));
        }
        if self.large > 0 {
            notes.push(format!("{} larger than {} MB not searched.", files(self.large), find::FILE_MAX / 1_000_000));
        }
        if self.unread > 0 {
            notes.push(format!("{} could not be read.", files(self.unread)));
        }
        notes
    }
}

/// A number as people read it, with a thin space between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

/// A search as its reader sees it.
struct Reading {
    found: Pin<Box<dyn Stream<Item = Result<Found>> + Send>>,
    waiting: VecDeque<SearchItem>,
    tally: Tally,
    ended: bool,
    began: Instant,
    guard: Guard,
    ctx: Ctx,
}

impl Reading {
    async fn next(&mut self) -> Option<SearchItem> {
        loop {
            if let Some(item) = self.waiting.pop_front() {
                return Some(item);
            }
            if self.ended {
                return None;
            }
            match self.found.next().await {
                Some(Ok(found)) => self.take(found),
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(SearchItem::Failed { problem: error.into_problem(&self.ctx) });
                }
                None => self.end(),
            }
        }
    }

    fn take(&mut self, found: Found) {
        let summary = &mut self.tally.summary;
        let room = MATCHES_MAX - summary.lines as usize;
        self.tally.full = found.matches.len() > room || found.full;
        summary.searched += found.searched;
        summary.files += found.files;
        summary.lines += found.matches.len().min(room) as u64;
        self.tally.capped_files += found.capped;
        self.tally.large += found.large;
        self.tally.unread += found.unread;
        self.tally.late = self.guard.0.is_late();
        self.waiting.extend(found.matches.into_iter().take(room).map(SearchItem::Match));
        if found.searched > 0 {
            self.waiting.push_back(SearchItem::Progress { searched: summary.searched });
        }
        if self.tally.full || self.tally.late {
            self.end();
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.guard.0.stopped.store(true, Ordering::Relaxed);
        let mut summary = std::mem::take(&mut self.tally.summary);
        summary.notes = self.tally.notes();
        summary.elapsed_ms = self.began.elapsed().as_millis() as u64;
        self.waiting.push_back(SearchItem::Done(summary));
    }
}
