//! What goes into an archive, read page by page: a project may hold more than fits in memory.

use std::{collections::HashSet, sync::Arc};

use blobs::Blobs;
use serde::Serialize;
use store::{
    archive as table,
    files::{self, FileRow},
};
use wire::{
    ExportId, Micros, ProjectId, RunId, TurnId,
    event::Stream,
    exports::KEPT_S,
    files::EntryKind,
    limits,
    projects::{Project, ProjectRole},
};

use super::{
    format::{
        BLOBS, FILES, FORMAT, HEADER, Header, LINE_MAX, LINES_MAX, OLD_CONTENT_MAX, PARTS_MAX, Part, ProjectFacts, ROWS_MAX,
        UNVERSIONED_MAX, VERSION, names_max, plain_name,
    },
    pack::Packer,
};
use crate::{Ctx, Error, Result, projects, quotas, storage};

/// Rows read at a time.
pub(super) const PAGE: i64 = 500;
/// Bytes of one part, so that none comes near what a file of an archive may have.
const PART_BYTES: usize = 4 * 1024 * 1024;
/// The longest target of a link.
const LINK_MAX: u64 = 4095;

/// Writes the project into the archive; with its past where there is a `hold`. What the archive shows is held by that id from being
/// thinned, since it is read page by page while others save; whoever made the id releases it.
pub async fn write(ctx: &Ctx, project: ProjectId, hold: Option<ExportId>, mut packer: Packer) -> Result<()> {
    let mut project = projects::get(ctx, project).await?;
    if let Some(hold) = hold {
        let mut tx = ctx.services().db.begin().await?;
        let held = store::exports::hold(&mut tx, hold, project.id, ctx.now().plus_seconds(KEPT_S)).await?;
        project.revision = held.ok_or(Error::NotFound("project"))?;
        ctx.commit(tx).await?;
    }
    let blobs = storage::open(ctx, project.id).await?;
    let mut conn = ctx.services().db.read().await?;
    let tree = files::at_revision(&mut conn, project.id, project.revision).await?;
    // An archive says no more than its maker is told.
    let edits = projects::require(ctx, &mut conn, project.id, ProjectRole::Editor).await.is_ok();
    drop(conn);
    let writer = Past { ctx, project: &project, blobs, at: ctx.now(), edits };
    if hold.is_some() {
        writer.check_names(&tree).await?;
        writer.with_history(&mut packer, &tree).await?;
        writer.check_content(&packer, &tree).await?;
    } else {
        packer.expect(bytes_of(&tree));
        writer.tree(&mut packer, &format!("{}/", plain_name(&project.name)), &tree).await?;
    }
    packer.finish().await
}

fn bytes_of(tree: &[FileRow]) -> u64 {
    tree.iter().map(|row| row.size.max(0) as u64).sum()
}

/// The sentence for what an archive with its past can't hold, because no server would read it again.
fn beyond(what: impl std::fmt::Display) -> Error {
    Error::TooLarge(format!(
        "{what}, and an archive with history that holds more could not be imported again. No archive was made; delete conversations and \
         checkpoints that are not needed any more, and export again in some days, or export the files alone."
    ))
}

pub(super) struct Past<'a> {
    pub ctx: &'a Ctx,
    pub project: &'a Project,
    pub blobs: Arc<dyn Blobs>,
    pub at: Micros,
    /// Whoever asked for it may edit the project, and so see what was removed and what was paid.
    pub edits: bool,
}

impl Past<'_> {
    /// Files, links and directories below a prefix; answers the content that is in the archive now.
    async fn tree(&self, packer: &mut Packer, prefix: &str, tree: &[FileRow]) -> Result<HashSet<String>> {
        let mut held = HashSet::new();
        for row in tree {
            let name = format!("{prefix}{}", row.path);
            // Such a path could not be read again from here; its version has it, and its content goes with the old ones.
            if prefix == FILES && (name.len() > limits::PATH_MAX || name.matches('/').count() >= limits::PATH_DEPTH_MAX) {
                continue;
            }
            let checksum = row.checksum.clone().unwrap_or_default();
            match row.kind.0 {
                EntryKind::Directory => {
                    packer.directory(name).await?;
                    continue;
                }
                EntryKind::Symlink => {
                    let target = self.blobs.read_all(&checksum, LINK_MAX).await?;
                    let Ok(target) = String::from_utf8(target) else { continue };
                    packer.link(name, target, row.created_at).await?;
                }
                EntryKind::File => {
                    let content = self.blobs.open(&checksum).await?;
                    packer.file(name, row.mode & 0o111 != 0, row.created_at, row.size.max(0) as u64, content).await?;
                }
            }
            held.insert(checksum);
        }
        Ok(held)
    }

    async fn with_history(&self, packer: &mut Packer, tree: &[FileRow]) -> Result<()> {
        let here: HashSet<&str> = tree.iter().filter_map(|row| row.checksum.as_deref()).collect();
        packer.expect(bytes_of(tree) + self.bytes_of_past(&here).await?);
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            exported_at: self.at,
            project: ProjectFacts {
                name: self.project.name.clone(),
                description: self.project.description.clone(),
                revision: self.project.revision,
            },
        };
        packer.bytes(HEADER.to_owned(), self.at, serde_json::to_vec_pretty(&header).map_err(Error::internal)?).await?;
        let mut held = self.tree(packer, FILES, tree).await?;
        self.old_content(packer, &mut held).await?;
        self.versions(packer).await?;
        let turns = self.talk(packer, held).await?;
        self.change_sets(packer, &turns).await?;
        self.runs(packer, &turns).await?;
        self.around(packer).await
    }

    /// Whether a reader takes the names of so many files, beside those of the parts.
    async fn check_names(&self, tree: &[FileRow]) -> Result<()> {
        let limits = quotas::limits_of(&mut self.ctx.services().db.read().await?, self.project.id).await?;
        let most = names_max(limits.project_files.max(0) as u64);
        let names: u64 = tree.iter().map(|row| (FILES.len() + row.path.len()) as u64).sum();
        if names + PARTS_MAX * 32 > most {
            return Err(beyond(format!("The names of all files together are longer than {} MiB", most >> 20)));
        }
        Ok(())
    }

    /// Whether a reader takes the content that is in the archive. What the project's limits count is left to them.
    async fn check_content(&self, packer: &Packer, tree: &[FileRow]) -> Result<()> {
        let past = store::quotas::history_bytes(&mut self.ctx.services().db.read().await?, self.project.id).await?;
        let counted = bytes_of(tree).saturating_add(past.max(0) as u64);
        if packer.done().saturating_sub(counted) > UNVERSIONED_MAX {
            return Err(beyond(format!("What was proposed in this project holds more than {} GiB", UNVERSIONED_MAX >> 30)));
        }
        Ok(())
    }

    async fn page_of_blobs(&self, after: &str) -> Result<Vec<table::BlobLine>> {
        let mut conn = self.ctx.services().db.read().await?;
        Ok(table::blobs(&mut conn, self.project.id, self.project.revision, self.edits, after, PAGE).await?)
    }

    async fn bytes_of_past(&self, here: &HashSet<&str>) -> Result<u64> {
        let (mut bytes, mut after) = (0, String::new());
        loop {
            let page = self.page_of_blobs(&after).await?;
            let Some(last) = page.last() else { return Ok(bytes) };
            bytes += page.iter().filter(|blob| !here.contains(blob.checksum.as_str())).map(|blob| blob.size.max(0) as u64).sum::<u64>();
            after = last.checksum.clone();
        }
    }

    async fn old_content(&self, packer: &mut Packer, held: &mut HashSet<String>) -> Result<()> {
        let mut after = String::new();
        loop {
            let page = self.page_of_blobs(&after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.checksum.clone();
            for blob in page.iter().filter(|blob| !held.contains(&blob.checksum)) {
                self.content(packer, &blob.checksum, blob.size.max(0) as u64).await?;
            }
            held.extend(page.into_iter().map(|blob| blob.checksum));
        }
    }

    /// Content under its checksum.
    pub(super) async fn content(&self, packer: &mut Packer, checksum: &str, size: u64) -> Result<()> {
        if packer.count_old() > OLD_CONTENT_MAX {
            return Err(beyond(format!("Earlier versions and deleted files are more than {OLD_CONTENT_MAX} different contents")));
        }
        let content = self.blobs.open(checksum).await?;
        packer.file(format!("{BLOBS}{checksum}"), false, self.at, size, content).await
    }

    async fn versions(&self, packer: &mut Packer) -> Result<()> {
        let (id, revision) = (self.project.id, self.project.revision);
        let mut rows = Rows::new(self, Part::Versions);
        let mut after: Option<(String, i64)> = None;
        loop {
            let mut conn = self.ctx.services().db.read().await?;
            let after_row = after.as_ref().map(|(path, version)| (path.as_str(), *version));
            let page = table::versions(&mut conn, id, revision, after_row, PAGE).await?;
            drop(conn);
            let Some(last) = page.last() else { break };
            after = Some((last.path.clone(), last.version));
            rows.all(packer, &page).await?;
        }
        rows.finish(packer).await?;
        let mut conn = self.ctx.services().db.read().await?;
        let checkpoints = table::checkpoints(&mut conn, id, revision).await?;
        drop(conn);
        self.part(packer, Part::Checkpoints, &checkpoints).await
    }

    async fn change_sets(&self, packer: &mut Packer, turns: &HashSet<TurnId>) -> Result<()> {
        let mut conn = self.ctx.services().db.read().await?;
        let mut sets = table::change_sets(&mut conn, self.project.id).await?;
        drop(conn);
        // Those of turns that are left out, or that came up since the turns were read.
        sets.retain(|set| set.turn_id.is_none_or(|turn| turns.contains(&turn)));
        self.part(packer, Part::ChangeSets, &sets).await?;
        let mut files = Rows::new(self, Part::ChangeFiles);
        for set in &sets {
            let mut conn = self.ctx.services().db.read().await?;
            let lines = table::change_files(&mut conn, set.id).await?;
            drop(conn);
            files.all(packer, &lines).await?;
        }
        files.finish(packer).await?;
        let mut hunks = Rows::new(self, Part::ChangeHunks);
        for set in &sets {
            let mut conn = self.ctx.services().db.read().await?;
            let lines = table::hunks(&mut conn, set.id).await?;
            drop(conn);
            hunks.all(packer, &lines).await?;
        }
        hunks.finish(packer).await?;
        let mut comments = Rows::new(self, Part::Comments);
        for set in &sets {
            let mut conn = self.ctx.services().db.read().await?;
            let lines = table::comments(&mut conn, set.id).await?;
            drop(conn);
            comments.all(packer, &lines).await?;
        }
        comments.finish(packer).await
    }

    async fn runs(&self, packer: &mut Packer, turns: &HashSet<TurnId>) -> Result<()> {
        let mut rows = Rows::new(self, Part::Runs);
        let mut known = Vec::new();
        loop {
            let mut conn = self.ctx.services().db.read().await?;
            let page = table::runs(&mut conn, self.project.id, known.last().copied(), PAGE).await?;
            drop(conn);
            if page.is_empty() {
                break;
            }
            known.extend(page.iter().map(|run| (run.created_at, run.id)));
            rows.all(packer, &page).await?;
        }
        rows.finish(packer).await?;
        let mut output = Rows::new(self, Part::Output);
        for (_, run) in &known {
            self.output(packer, &mut output, *run).await?;
        }
        output.finish(packer).await?;
        let mut conn = self.ctx.services().db.read().await?;
        let runs: HashSet<RunId> = known.iter().map(|(_, run)| *run).collect();
        let mut reports = table::reports(&mut conn, self.project.id).await?;
        // One may have ended since the runs were read.
        reports.retain(|line| runs.contains(&line.run_id));
        let mut codegen = table::codegen(&mut conn, self.project.id).await?;
        codegen.retain(|line| runs.contains(&line.run_id) && turns.contains(&line.turn_id));
        drop(conn);
        self.part(packer, Part::Reports, &reports).await?;
        self.part(packer, Part::Codegen, &codegen).await
    }

    async fn output(&self, packer: &mut Packer, rows: &mut Rows, run: RunId) -> Result<()> {
        let mut after = 0;
        loop {
            let mut conn = self.ctx.services().db.read().await?;
            let page = store::events::after(&mut conn, Stream::Run(run), after, PAGE / 10).await?;
            drop(conn);
            let Some(last) = page.last() else { return Ok(()) };
            after = last.seq;
            let lines: Vec<_> = page.into_iter().map(|event| table::OutputLine { run_id: run, at: event.at, event: event.kind }).collect();
            rows.all(packer, &lines).await?;
        }
    }

    pub(super) async fn part<T: Serialize>(&self, packer: &mut Packer, part: Part, lines: &[T]) -> Result<()> {
        let mut rows = Rows::new(self, part);
        rows.all(packer, lines).await?;
        rows.finish(packer).await
    }
}

/// Lines of one kind, cut into parts.
pub(super) struct Rows {
    part: Part,
    at: Micros,
    number: u32,
    count: usize,
    buffer: Vec<u8>,
}

impl Rows {
    pub fn new(past: &Past<'_>, part: Part) -> Self {
        Self { part, at: past.at, number: 0, count: 0, buffer: Vec::new() }
    }

    pub async fn all<T: Serialize>(&mut self, packer: &mut Packer, lines: &[T]) -> Result<()> {
        self.count += lines.len();
        if self.part.is_remembered() && self.count > ROWS_MAX {
            return Err(beyond(format!("The history has more than {ROWS_MAX} entries of one kind")));
        }
        for line in lines {
            let before = self.buffer.len();
            serde_json::to_writer(&mut self.buffer, line).map_err(Error::internal)?;
            self.buffer.push(b'\n');
            if (self.buffer.len() - before) as u64 >= LINE_MAX {
                return Err(beyond(format!("An entry of the history is longer than {} MiB", LINE_MAX >> 20)));
            }
            if self.buffer.len() >= PART_BYTES {
                self.flush(packer).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self, packer: &mut Packer) -> Result<()> {
        self.number += 1;
        packer.bytes(self.part.entry(self.number), self.at, std::mem::take(&mut self.buffer)).await?;
        if packer.lines() > LINES_MAX {
            return Err(beyond(format!("What was said and run in this project is more than {} GiB of history", LINES_MAX >> 30)));
        }
        Ok(())
    }

    pub async fn finish(mut self, packer: &mut Packer) -> Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.flush(packer).await }
    }
}
