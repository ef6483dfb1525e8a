use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use grep_searcher::{BinaryDetection, SearcherBuilder, sinks::Bytes};
use store::search::SearchRow;
use wire::{
    ProjectId,
    changes::ChangeOrigin,
    files::EntryKind,
    projects::ProjectRole,
    search::{LeftOut, REPLACE_MAX, Replace, Replaced, SearchQuery},
};

use super::{
    AT_ONCE, Stop, begin,
    find::{Page, PageFile},
    grouped, in_pages, on_thread,
    query::Finder,
};
use crate::{
    Ctx, Error, Result,
    changes::{self, ProposedFile},
};

/// Text in a title that is longer is cut.
const TITLE_PART_MAX: usize = 40;

/// What a page becomes.
#[derive(Default)]
struct Work {
    files: Vec<(SearchRow, Vec<u8>)>,
    matches: usize,
    left_out: Vec<LeftOut>,
}

/// Replaces what a search finds, in the files as they are now, as a change set for review. Nothing is written to the project.
pub async fn replace(ctx: &Ctx, project: ProjectId, request: Replace) -> Result<Replaced> {
    let Replace { search, mut leave_out } = request;
    let Some(replacement) = search.replacement.clone() else {
        return Err(Error::invalid("replacement", "Say what to put in place of the matches."));
    };
    let (finder, blobs) = begin(ctx, project, ProjectRole::Editor, &search).await?;
    let base_revision =
        store::projects::revision(&mut ctx.services().db.read().await?, project).await?.ok_or(Error::NotFound("project"))?;
    leave_out.sort_unstable();
    let leave_out = Arc::new(leave_out);
    let stop = Stop::new();
    let worked = in_pages(ctx.clone(), project, &finder).map(|rows| {
        let (finder, blobs, leave_out, stop) = (finder.clone(), blobs.clone(), leave_out.clone(), stop.clone());
        async move { on_thread(blobs, rows?, move |page| work_out(&finder, page, &leave_out, &stop)).await }
    });
    let mut worked = worked.buffered(AT_ONCE).boxed();
    let (mut proposed, mut left_out, mut matches) = (Vec::new(), Vec::new(), 0);
    while let Some(work) = worked.try_next().await? {
        matches += work.matches;
        if matches > REPLACE_MAX {
            let most = grouped(REPLACE_MAX as u64);
            let many = format!("More than {most} matches are too many for one review. Narrow the search and replace in steps.");
            return Err(Error::invalid("q", many));
        }
        if stop.is_late() {
            return Err(Error::invalid("q", "The search took too long. Narrow the files by a pattern and replace in steps."));
        }
        left_out.extend(work.left_out);
        for (row, bytes) in work.files {
            let stored = blobs.put_bytes(bytes).await?;
            let mode = row.mode as i32;
            proposed.push(ProposedFile {
                path: row.path,
                kind: EntryKind::File,
                is_retyped: false,
                old: Some((row.checksum, mode)),
                new: Some((stored.sha256, mode)),
                new_size: stored.size,
            });
        }
    }
    if proposed.is_empty() {
        let reason = match left_out.first() {
            Some(first) => format!("Nothing can be replaced: {} {}.", first.path, first.reason),
            None => "Nothing in the project would change by this.".to_owned(),
        };
        return Err(Error::invalid("q", reason));
    }
    let title = title(&search, &replacement);
    let change_set = changes::create_by_hand(ctx, project, base_revision, (ChangeOrigin::Replace, title), proposed).await?;
    Ok(Replaced { change_set, left_out })
}

fn title(search: &SearchQuery, replacement: &str) -> String {
    let part = |text: &str| {
        let cut: String = text.chars().take(TITLE_PART_MAX).collect();
        if cut.len() < text.len() { format!("{cut}…") } else { cut }
    };
    if replacement.is_empty() {
        format!("Remove “{}”", part(&search.q))
    } else {
        format!("Replace “{}” by “{}”", part(&search.q), part(replacement))
    }
}

fn work_out(finder: &Finder, mut page: Page, leave_out: &[String], stop: &Stop) -> Work {
    let mut work = Work::default();
    for file in std::mem::take(&mut page.files) {
        if stop.is_set() || stop.is_late() || work.matches > REPLACE_MAX {
            break;
        }
        if leave_out.binary_search(&file.row.path).is_ok() {
            continue;
        }
        let fits = file.row.size as u64 <= changes::TEXT_MAX;
        let is_text = |bytes: &[u8]| !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
        let text = if fits { page.whole(&file).ok().filter(|bytes| is_text(bytes)) } else { None };
        // Within the text: what it becomes, if anything changes.
        let replaced = text.map(|bytes| finder.replace(bytes).filter(|(new, _)| new != bytes));
        match replaced {
            Some(Some((new, count))) => {
                work.matches += count;
                work.files.push((file.row, new));
            }
            Some(None) => {}
            None if matches(finder, &mut page, &file, stop) => {
                let reason = if fits { "is not UTF-8 text" } else { "is too large to be reviewed by lines" };
                work.left_out.push(LeftOut { path: file.row.path, reason: reason.to_owned() });
            }
            None => {}
        }
    }
    work
}

/// Whether a file that is not plain text would be shown by the search.
fn matches(finder: &Finder, page: &mut Page, file: &PageFile, stop: &Stop) -> bool {
    let mut searcher = SearcherBuilder::new()
        .binary_detection(BinaryDetection::quit(0))
        .line_terminator(grep_matcher::LineTerminator::crlf())
        .line_number(true)
        .build();
    let mut found = false;
    let sink = Bytes(|_, _| {
        found = true;
        Ok(false)
    });
    let _ = page.search(&mut searcher, finder, file, stop, sink);
    found
}
