use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use store::{
    Tx,
    archive::{self as table, ChangeFileLine, CheckpointLine, CommentLine, HunkLine, OutputLine, RunLine, VersionLine},
};
use uuid::Uuid;
use wire::{
    ConversationId, HunkId, Micros, RunId, TurnId, UserId,
    changes::{ChangeOrigin, REMARK_MAX_CHARS},
    event::EventKind,
    files::{EntryKind, FileAction, check_path},
    runs::{RunKind, RunState},
};

use super::{Filling, UnpackLimits, damaged, people::People, store_error};
use crate::{
    export::format::{Part, ROWS_MAX},
    files::{NameBook, content_type_of},
    jobs::JobError,
};

/// What has been inserted so far, by the ids that it has here.
pub struct Rows<'a> {
    pub(super) filling: &'a Filling<'a>,
    pub(super) people: People,
    /// Who imports: rows that need an account, and whose own is not here, are this one's.
    pub(super) importer: UserId,
    /// With the number of their last message.
    pub(super) conversations: HashMap<ConversationId, i64>,
    /// With the conversation that each is of.
    pub(super) turns: HashMap<TurnId, ConversationId>,
    /// Checksums.
    pub(super) pictures: HashSet<String>,
    sets: HashSet<Uuid>,
    /// With the set that each is of.
    hunks: HashMap<HunkId, Uuid>,
    pub(super) runs: HashMap<RunId, Progress>,
}

/// How far a run's events are.
#[derive(Default, Clone, Copy)]
pub(super) struct Progress {
    next_seq: i64,
    offset: i64,
    ended: bool,
    pub kind: Option<RunKind>,
}

impl<'a> Rows<'a> {
    pub fn new(filling: &'a Filling<'a>, people: People) -> Self {
        let importer = filling.ctx.user_id().unwrap_or(UserId(Uuid::nil()));
        Self {
            filling,
            people,
            importer,
            conversations: HashMap::new(),
            turns: HashMap::new(),
            pictures: HashSet::new(),
            sets: HashSet::new(),
            hunks: HashMap::new(),
            runs: HashMap::new(),
        }
    }

    pub(super) fn id<T: From<Uuid>>(&self, old: Uuid) -> T {
        self.filling.id(old).into()
    }

    pub(super) fn turn(&self, old: Option<TurnId>) -> Option<TurnId> {
        old.map(|old| self.id(old.0)).filter(|turn| self.turns.contains_key(turn))
    }

    /// A turn that a line can't be without.
    pub(super) fn known_turn(&self, old: TurnId) -> Result<TurnId, JobError> {
        self.turn(Some(old)).ok_or_else(|| damaged("it speaks of a turn that is not in it"))
    }

    /// What was proposed, and what people decided about it.
    pub async fn change_sets(&mut self) -> Result<(), JobError> {
        let project = self.filling.project;
        let mut lines = self.filling.lines::<table::ChangeSetLine>(Part::ChangeSets);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                line.turn_id = self.turn(line.turn_id);
                self.check_revision(line.base_revision)?;
                if line.turn_id.is_none() && line.origin.0 == ChangeOrigin::Agent {
                    return Err(damaged("a change of the agent is of no turn"));
                }
                let by = self.people.find(&mut tx, &line.by).await?.id;
                table::insert_change_set(&mut tx, project, &line, by).await.map_err(store_error)?;
                self.sets.insert(line.id.0);
            }
            self.filling.commit(tx).await?;
            check_count(self.sets.len())?;
        }
        self.change_files().await?;
        self.hunks().await?;
        self.comments().await
    }

    async fn change_files(&mut self) -> Result<(), JobError> {
        let mut lines = self.filling.lines::<ChangeFileLine>(Part::ChangeFiles);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            let named: Vec<&str> =
                batch.iter().flat_map(|line| [&line.old_checksum, &line.new_checksum]).flatten().map(String::as_str).collect();
            self.filling.keep(&mut tx, &named).await?;
            for mut line in batch {
                line.change_set_id = self.id(line.change_set_id.0);
                if !self.sets.contains(&line.change_set_id.0) {
                    return Err(damaged("a changed file is of no change"));
                }
                for path in std::iter::once(&line.path).chain(&line.old_path) {
                    check_path(path).map_err(damaged)?;
                }
                for checksum in line.old_checksum.iter() {
                    self.filling.check_content(checksum, None)?;
                }
                if let Some(checksum) = &line.new_checksum {
                    self.filling.check_content(checksum, Some(line.new_size))?;
                }
                line.old_mode = line.old_mode.map(plain_mode);
                line.new_mode = line.new_mode.map(plain_mode);
                table::insert_change_file(&mut tx, &line).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    async fn hunks(&mut self) -> Result<(), JobError> {
        let mut lines = self.filling.lines::<HunkLine>(Part::ChangeHunks);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                line.change_set_id = self.id(line.change_set_id.0);
                let numbers = [line.old_start, line.old_lines, line.new_start, line.new_lines];
                if !self.sets.contains(&line.change_set_id.0) || numbers.iter().any(|n| i32::try_from(*n).is_err()) {
                    return Err(damaged("a part of a change is of no change"));
                }
                let by = self.people.find(&mut tx, &line.by).await?.or_made_up(self.filling, &line.by);
                table::insert_hunk(&mut tx, &line, &by).await.map_err(store_error)?;
                self.hunks.insert(line.id, line.change_set_id.0);
            }
            self.filling.commit(tx).await?;
            check_count(self.hunks.len())?;
        }
        Ok(())
    }

    /// What people said about hunks.
    async fn comments(&mut self) -> Result<(), JobError> {
        let mut count = 0;
        let mut lines = self.filling.lines::<CommentLine>(Part::Comments);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            count += batch.len();
            check_count(count)?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                line.hunk_id = self.id(line.hunk_id.0);
                line.change_set_id = self.id(line.change_set_id.0);
                if self.hunks.get(&line.hunk_id) != Some(&line.change_set_id.0) {
                    return Err(damaged("a comment is about no part of a change"));
                }
                if line.text.trim().is_empty() || line.text.chars().count() > REMARK_MAX_CHARS {
                    return Err(damaged("a comment in it is empty or too long"));
                }
                let by = self.people.find(&mut tx, &line.by).await?.or_made_up(self.filling, &line.by);
                table::insert_comment(&mut tx, &line, &by).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    /// Runs that have ended, what they printed and what their tests found.
    pub async fn runs(&mut self) -> Result<(), JobError> {
        let project = self.filling.project;
        let mut lines = self.filling.lines::<RunLine>(Part::Runs);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                line.turn_id = self.turn(line.turn_id);
                if line.kind == RunKind::Terminal || matches!(line.state, RunState::Queued | RunState::Running) {
                    return Err(damaged("a run in it has not ended"));
                }
                let by = self.people.find(&mut tx, &line.by).await?;
                let user = by.id.unwrap_or(self.importer);
                table::insert_run(&mut tx, project, &line, user, by.author.as_deref()).await.map_err(store_error)?;
                self.runs.insert(line.id, Progress { next_seq: 1, kind: Some(line.kind), ..Progress::default() });
            }
            self.filling.commit(tx).await?;
            check_count(self.runs.len())?;
        }
        self.output().await?;
        self.reports().await?;
        self.codegen().await
    }

    async fn output(&mut self) -> Result<(), JobError> {
        let mut lines = self.filling.lines::<OutputLine>(Part::Output);
        while let Some(batch) = lines.next().await? {
            let mut by_run: BTreeMap<RunId, Vec<(Micros, EventKind)>> = BTreeMap::new();
            for line in batch {
                let run: RunId = self.id(line.run_id.0);
                let progress = self.runs.get_mut(&run).ok_or_else(|| damaged("output is of no run"))?;
                if let Some(kind) = check_event(line.event, progress)? {
                    by_run.entry(run).or_default().push((line.at, kind));
                }
            }
            let mut tx = self.filling.begin().await?;
            for (run, events) in by_run {
                let Some(progress) = self.runs.get_mut(&run) else { continue };
                let first = progress.next_seq;
                progress.next_seq += events.len() as i64;
                table::insert_events(&mut tx, run, first, events).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    async fn reports(&mut self) -> Result<(), JobError> {
        let mut lines = self.filling.lines::<table::ReportLine>(Part::Reports);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.run_id = self.id(line.run_id.0);
                if !self.runs.contains_key(&line.run_id) {
                    return Err(damaged("a report is of no run"));
                }
                table::insert_report(&mut tx, &line).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    pub async fn checkpoints(&mut self) -> Result<(), JobError> {
        let mut lines = self.filling.lines::<CheckpointLine>(Part::Checkpoints);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                line.turn_id = self.turn(line.turn_id);
                self.check_revision(line.revision)?;
                let name_fits = line.name.as_ref().is_none_or(|name| wire::checkpoints::validate_name(name).is_none());
                if !name_fits || line.file_count < 0 || line.size_bytes < 0 {
                    return Err(damaged("a checkpoint in it can't be"));
                }
                let by = self.people.find(&mut tx, &line.by).await?.or_made_up(self.filling, &line.by);
                table::insert_checkpoint(&mut tx, self.filling.project, &line, &by).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    /// Every version; answers the tree that they make.
    pub async fn versions(&mut self) -> Result<Tree, JobError> {
        let mut tree = Tree::default();
        let mut before: Option<VersionLine> = None;
        let mut lines = self.filling.lines::<VersionLine>(Part::Versions);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            let named: Vec<&str> = batch.iter().filter_map(|line| line.checksum.as_deref()).collect();
            self.filling.keep(&mut tx, &named).await?;
            for line in batch {
                let line = self.check_version(line)?;
                follows(before.as_ref(), &line)?;
                tree.take(&line);
                tree.check_names(&self.filling.limits)?;
                self.insert_version(&mut tx, &line).await?;
                before = Some(line);
            }
            self.filling.commit(tx).await?;
        }
        if before.is_some_and(|last| last.superseded.is_some()) {
            return Err(damaged("a path in it has no newest version"));
        }
        Ok(tree)
    }

    async fn insert_version(&mut self, tx: &mut Tx, line: &VersionLine) -> Result<(), JobError> {
        let by = self.people.find(tx, &line.by).await?.or_made_up(self.filling, &line.by);
        table::insert_version(tx, self.filling.project, line, &by).await.map_err(store_error)
    }

    /// The line as it may be inserted. What a browser is told of the content is worked out here, never believed.
    fn check_version(&self, mut line: VersionLine) -> Result<VersionLine, JobError> {
        check_path(&line.path).map_err(damaged)?;
        for path in [&line.moved_from, &line.deleted_as].into_iter().flatten() {
            check_path(path).map_err(damaged)?;
        }
        if line.version < 1 || line.revision < 1 || line.version == i64::MAX {
            return Err(damaged("a version in it has no number"));
        }
        self.check_revision(line.revision)?;
        if let Some(end) = line.superseded {
            self.check_revision(end)?;
        }
        let holds_bytes = line.action.0 != FileAction::Deleted && line.kind.0 != EntryKind::Directory;
        match &line.checksum {
            Some(checksum) if holds_bytes => self.filling.check_content(checksum, Some(line.size))?,
            None if !holds_bytes && line.size == 0 => {}
            _ => return Err(damaged("a version in it has the wrong content")),
        }
        if line.deleted_as.is_some() && line.action.0 != FileAction::Deleted {
            return Err(damaged("something that exists counts as deleted"));
        }
        line.content_type = content_type_of(&line.path, line.kind.0).to_owned();
        line.mode = plain_mode(line.mode);
        line.cause = line.cause.map(|cause| self.filling.id(cause));
        Ok(line)
    }

    pub(super) fn check_revision(&self, revision: i64) -> Result<(), JobError> {
        if (0..=self.filling.revision).contains(&revision) { Ok(()) } else { Err(damaged("a revision in it is newer than itself")) }
    }
}

pub(super) fn check_count(rows: usize) -> Result<(), JobError> {
    if rows > ROWS_MAX { Err(damaged("it holds more than a project can")) } else { Ok(()) }
}

fn plain_mode(mode: i64) -> i64 {
    if mode & 0o111 != 0 { 0o755 } else { 0o644 }
}

/// Versions of one path stand together and reach each other; what is missing between them was thinned out.
fn follows(before: Option<&VersionLine>, line: &VersionLine) -> Result<(), JobError> {
    let wrong = || damaged("the versions of a path in it do not follow each other");
    if line.superseded.is_some_and(|end| end <= line.revision) {
        return Err(wrong());
    }
    let Some(before) = before else { return Ok(()) };
    let fits = if before.path == line.path {
        line.version > before.version && before.superseded.is_some_and(|end| end <= line.revision)
    } else {
        before.superseded.is_none()
    };
    if fits { Ok(()) } else { Err(wrong()) }
}

/// The event as it may be inserted; `None` for those that only mattered while the run went on.
fn check_event(event: EventKind, progress: &mut Progress) -> Result<Option<EventKind>, JobError> {
    if progress.ended {
        return Err(damaged("a run in it goes on after its end"));
    }
    match &event {
        EventKind::Output { offset, data, .. } => {
            let bytes = STANDARD.decode(data).map_err(|_| damaged("output in it can't be read"))?;
            if *offset != progress.offset {
                return Err(damaged("output in it has a gap"));
            }
            progress.offset += bytes.len() as i64;
        }
        EventKind::RunFinished { .. } => progress.ended = true,
        EventKind::RunQueued {} | EventKind::RunStarted { .. } | EventKind::RunSampled { .. } | EventKind::RunNoted { .. } => {}
        EventKind::EgressAsked { .. } => {}
        // Addresses of another server.
        EventKind::PortsChanged { .. } => return Ok(None),
        _ => return Err(damaged("a run in it holds what no run does")),
    }
    Ok(Some(event))
}

/// What exists at the archive's revision.
#[derive(Default)]
pub struct Tree {
    files: BTreeSet<String>,
    directories: BTreeSet<String>,
    bytes: i64,
    name_bytes: u64,
}

impl Tree {
    fn take(&mut self, line: &VersionLine) {
        if line.superseded.is_some() || line.action.0 == FileAction::Deleted {
            return;
        }
        self.name_bytes += line.path.len() as u64;
        match line.kind.0 {
            EntryKind::Directory => drop(self.directories.insert(line.path.clone())),
            EntryKind::File | EntryKind::Symlink => {
                self.bytes = self.bytes.saturating_add(line.size);
                self.files.insert(line.path.clone());
            }
        }
    }

    /// Names are held in memory, so there are no more of them than the archive itself may have.
    fn check_names(&self, limits: &UnpackLimits) -> Result<(), JobError> {
        let names = (self.files.len() + self.directories.len()) as u64;
        let fits = names <= limits.files.saturating_mul(4) && self.name_bytes <= limits.name_bytes();
        if fits { Ok(()) } else { Err(damaged("it shows more files than a project can have")) }
    }

    /// Whether a file or a link is at that path.
    pub fn has_file(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    /// Whether a project can hold it; files and bytes of it.
    pub fn check(&self) -> Result<(i64, i64), JobError> {
        let mut names = NameBook::default();
        for path in self.files.iter().chain(&self.directories) {
            if path.match_indices('/').any(|(at, _)| self.files.contains(&path[..at])) {
                return Err(damaged("something lies below a file in it"));
            }
            names.add(path).map_err(damaged)?;
        }
        Ok((self.files.len() as i64, self.bytes))
    }
}

/// A name without an account is told from others by an id that nobody has.
pub(super) trait OrMadeUp {
    fn or_made_up(self, filling: &Filling<'_>, by: &table::By) -> Self;
}

impl OrMadeUp for table::Maker {
    fn or_made_up(mut self, filling: &Filling<'_>, by: &table::By) -> Self {
        if self.id.is_none()
            && let Some(author) = &self.author
        {
            let name = by.username.as_deref().unwrap_or(author);
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&<sha2::Sha256 as sha2::Digest>::digest(name.as_bytes())[..16]);
            self.id = Some(filling.id(Uuid::from_bytes(bytes)).into());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use wire::event::OutputChannel;

    use super::*;

    #[test]
    fn output_has_no_gaps_and_an_end() {
        let mut progress = Progress::default();
        let piece = |offset| EventKind::Output { channel: OutputChannel::Stdout, offset, data: STANDARD.encode("abc") };
        assert!(check_event(piece(0), &mut progress).unwrap().is_some());
        assert!(check_event(piece(0), &mut progress).is_err());
        assert!(check_event(piece(3), &mut progress).unwrap().is_some());
        assert!(check_event(EventKind::PortsChanged { ports: Vec::new() }, &mut progress).unwrap().is_none());
        assert!(check_event(EventKind::SessionEnded {}, &mut progress).is_err());
    }

    #[test]
    fn a_tree_is_one_that_a_project_can_have() {
        let tree = |files: &[&str], directories: &[&str]| Tree {
            files: files.iter().map(|path| (*path).to_owned()).collect(),
            directories: directories.iter().map(|path| (*path).to_owned()).collect(),
            bytes: 1,
            name_bytes: 0,
        };
        assert_eq!(tree(&["a", "b/c"], &["b", "d"]).check().unwrap(), (2, 1));
        assert!(tree(&["a", "a/b"], &[]).check().is_err());
        assert!(tree(&["a"], &["a/b"]).check().is_err());
        assert!(tree(&["a", "A"], &[]).check().is_err());
    }
}
