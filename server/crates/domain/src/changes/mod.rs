//! The review gate: what the agent, or a person who replaces across files, proposes, cut into hunks, and what people decide about each.
//! Nothing of a proposal is in the project until somebody accepts it; the transcript of a turn then says exactly what was accepted, edited
//! and rejected.

mod comments;
mod decide;
mod plan;
mod renames;
pub mod text;

use std::collections::HashMap;

use blobs::{BlobError, Blobs};
use store::{Conn, changes as table};
use wire::{
    ChangeSetId, HunkId, Micros, Page, PageQuery, ProjectId, TurnId,
    changes::{ChangeAction, ChangeOrigin, ChangeSet, ChangeSetState, ChangedFile, FileSides, Hunk, HunkState, OpenChangeSet},
    event::{EventKind, Stream},
    files::EntryKind,
    projects::ProjectRole,
    users::UserRef,
};

pub(crate) use comments::COMMENTS_NOTE;
pub use comments::{comment, remove_comment, send_comments};
pub use decide::decide;

use crate::{Ctx, Error, Result, files, page, projects, storage};

/// Larger files are judged as a whole.
pub(crate) const TEXT_MAX: u64 = 2 * 1024 * 1024;
/// Open change sets that are listed.
const OPEN_LISTED: i64 = 200;
/// The same, of a page.
const OPEN_PAGE: i64 = 50;
const OPEN: &str = "change-sets";

/// A file as the agent's branch left it. `old` and `new` are checksum and mode; the bytes are stored already.
#[derive(Debug, Clone)]
pub struct ProposedFile {
    pub path: String,
    /// A link is decided as a whole: its content is where it leads.
    pub kind: EntryKind,
    /// What it stands in place of is of another kind.
    pub is_retyped: bool,
    pub old: Option<(String, i32)>,
    pub new: Option<(String, i32)>,
    /// Bytes of the new content, 0 for a deletion.
    pub new_size: u64,
}

impl ProposedFile {
    /// A directory that is empty, or that is not to be held any more; decided as a whole.
    pub fn directory(path: String, is_deletion: bool) -> Self {
        let side = Some((String::new(), 0o755));
        let (old, new) = if is_deletion { (side, None) } else { (None, side) };
        Self { path, kind: EntryKind::Directory, is_retyped: false, old, new, new_size: 0 }
    }
}

struct Draft {
    file: table::ChangeFileRow,
    hunks: Vec<Hunk>,
}

/// Keeps what a turn proposes. `None` when it proposes nothing. A turn has one change set; making it again answers the first.
pub async fn create(ctx: &Ctx, turn: TurnId, base_revision: i64, proposed: Vec<ProposedFile>) -> Result<Option<ChangeSet>> {
    if let Some(existing) = of_turn(ctx, turn).await? {
        return Ok(Some(existing));
    }
    let id: ChangeSetId = ctx.new_id();
    let project = store::chat::turn(&mut ctx.services().db.read().await?, turn).await?.ok_or(Error::NotFound("turn"))?.project_id;
    let drafts = drafts(ctx, project, id, proposed).await?;
    if drafts.is_empty() {
        return Ok(None);
    }
    let mut tx = ctx.services().db.begin().await?;
    let turn_row = store::chat::lock_turn(&mut tx, turn).await?.ok_or(Error::NotFound("turn"))?;
    projects::require(ctx, &mut tx, turn_row.project_id, ProjectRole::Editor).await?;
    let set = table::ChangeSetRow {
        id,
        project_id: turn_row.project_id,
        turn_id: Some(turn),
        origin: store::Word(ChangeOrigin::Agent),
        title: String::new(),
        state: store::Word(ChangeSetState::Open),
        base_revision,
        version: 0,
        created_at: ctx.now(),
        created_by: None,
    };
    let hunks = insert(ctx, &mut tx, &set, &drafts).await?;
    store::chat::set_change_set(&mut tx, turn, id).await?;
    let ready = EventKind::ChangeSetReady { change_set_id: id, files: drafts.len() as i64, hunks };
    store::events::append(&mut tx, Stream::Turn(turn), ctx.now(), vec![ready]).await?;
    ctx.commit(tx).await?;
    of_turn(ctx, turn).await
}

/// Keeps what a person proposes, with where it came from and a few words that say what it is.
pub(crate) async fn create_by_hand(
    ctx: &Ctx,
    project: ProjectId,
    base_revision: i64,
    (origin, title): (ChangeOrigin, String),
    proposed: Vec<ProposedFile>,
) -> Result<ChangeSet> {
    let user = ctx.require_user()?.id;
    let id: ChangeSetId = ctx.new_id();
    let drafts = drafts(ctx, project, id, proposed).await?;
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    let set = table::ChangeSetRow {
        id,
        project_id: project,
        turn_id: None,
        origin: store::Word(origin),
        title,
        state: store::Word(ChangeSetState::Open),
        base_revision,
        version: 0,
        created_at: ctx.now(),
        created_by: Some(user),
    };
    insert(ctx, &mut tx, &set, &drafts).await?;
    ctx.commit(tx).await?;
    get(ctx, id).await
}

async fn drafts(ctx: &Ctx, project: ProjectId, set: ChangeSetId, proposed: Vec<ProposedFile>) -> Result<Vec<Draft>> {
    let blobs = storage::open(ctx, project).await?;
    let mut drafts = Vec::new();
    for (file, old_path) in renames::join(&*blobs, proposed).await? {
        drafts.extend(draft(ctx, &*blobs, set, drafts.len() as i64, file, old_path).await?);
    }
    Ok(drafts)
}

/// Inserts a set with all that belongs to it and tells the project. Answers how many hunks it has.
async fn insert(ctx: &Ctx, tx: &mut store::Tx, set: &table::ChangeSetRow, drafts: &[Draft]) -> Result<i64> {
    let named = drafts.iter().flat_map(|draft| [&draft.file.old_checksum, &draft.file.new_checksum]).flatten();
    storage::keep(ctx, tx, set.project_id, &named.map(String::as_str).collect::<Vec<_>>()).await?;
    table::insert_set(tx, set).await?;
    let mut hunks = 0;
    for draft in drafts {
        table::insert_file(tx, &draft.file).await?;
        for (ord, hunk) in (0..).zip(&draft.hunks) {
            table::insert_hunk(tx, set.id, draft.file.ord, ord, hunk).await?;
            hunks += 1;
        }
    }
    announce(ctx, tx, set, ChangeSetState::Open, hunks).await?;
    Ok(hunks)
}

async fn announce(ctx: &Ctx, tx: &mut store::Tx, set: &table::ChangeSetRow, state: ChangeSetState, open_hunks: i64) -> Result<()> {
    let event = EventKind::ChangeSetChanged { change_set_id: set.id, turn_id: set.turn_id, state, open_hunks };
    Ok(store::events::append(tx, Stream::Project(set.project_id), ctx.now(), vec![event]).await?)
}

async fn draft(
    ctx: &Ctx,
    blobs: &dyn Blobs,
    set: ChangeSetId,
    ord: i64,
    file: ProposedFile,
    old_path: Option<String>,
) -> Result<Option<Draft>> {
    let action = match (&file.old, &file.new) {
        (Some(_), Some(_)) if old_path.is_some() => ChangeAction::Rename,
        (None, Some(_)) => ChangeAction::Add,
        (Some(_), None) => ChangeAction::Delete,
        (Some((old, old_mode)), Some((new, new_mode))) if old == new && old_mode != new_mode => ChangeAction::Mode,
        (Some(old), Some(new)) if old != new => ChangeAction::Modify,
        _ => return Ok(None),
    };
    let texts = match action {
        _ if file.is_retyped => None,
        _ if file.kind == EntryKind::Directory => Some(Default::default()),
        ChangeAction::Mode => None,
        _ => both_texts(blobs, &file).await?,
    };
    let mut hunks = Vec::new();
    let mut is_binary = false;
    match (&texts, action) {
        (Some((old, new)), ChangeAction::Add | ChangeAction::Modify) if file.kind == EntryKind::Symlink => {
            let diff = text::diff_hunks(old, new).into_iter().map(|draft| draft.diff).collect::<String>();
            hunks.push(whole(ctx, diff, text::lines(old).len() as i32, text::lines(new).len() as i32));
        }
        (Some((old, new)), ChangeAction::Add | ChangeAction::Modify) if !(old.is_empty() && new.is_empty()) => {
            let mode_changes = action == ChangeAction::Modify && file.old.as_ref().map(|o| o.1) != file.new.as_ref().map(|n| n.1);
            if mode_changes {
                hunks.push(whole(ctx, String::new(), 0, 0));
            }
            hunks.extend(text::diff_hunks(old, new).into_iter().map(|draft| hunk_of(ctx, draft)));
        }
        (texts, ChangeAction::Rename) => {
            hunks.push(whole(ctx, String::new(), 0, 0));
            is_binary = texts.is_none();
            let (old, new) = texts.as_ref().map_or(("", ""), |(old, new)| (old, new));
            hunks.extend(text::diff_hunks(old, new).into_iter().map(|draft| hunk_of(ctx, draft)));
        }
        (Some((old, _)), ChangeAction::Delete) => {
            let diff = text::diff_hunks(old, "").into_iter().map(|draft| draft.diff).collect::<String>();
            hunks.push(whole(ctx, diff, text::lines(old).len() as i32, 0));
        }
        (None, ChangeAction::Add | ChangeAction::Modify | ChangeAction::Delete) => {
            is_binary = true;
            hunks.push(whole(ctx, String::new(), 0, 0));
        }
        _ => hunks.push(whole(ctx, String::new(), 0, 0)),
    }
    let (added, removed) = hunks.iter().map(|hunk| text::count(&hunk.diff)).fold((0, 0), |sum, n| (sum.0 + n.0, sum.1 + n.1));
    // A directory has no bytes.
    let side = |(checksum, mode): (String, i32)| (Some(checksum).filter(|checksum| !checksum.is_empty()), Some(i64::from(mode)));
    let (old_checksum, old_mode) = file.old.map_or((None, None), side);
    let (new_checksum, new_mode) = file.new.map_or((None, None), side);
    let file = table::ChangeFileRow {
        change_set_id: set,
        ord,
        path: file.path,
        old_path,
        action: store::Word(action),
        is_binary,
        kind: store::Word(file.kind),
        added_lines: added as i64,
        removed_lines: removed as i64,
        old_checksum,
        old_mode,
        new_checksum,
        new_mode,
        new_size: file.new_size as i64,
    };
    Ok(Some(Draft { file, hunks }))
}

/// Old and new as text, `None` when either is not text or too large to be judged line by line.
async fn both_texts(blobs: &dyn Blobs, file: &ProposedFile) -> Result<Option<(String, String)>> {
    let old = side(blobs, file.old.as_ref()).await?;
    let new = side(blobs, file.new.as_ref()).await?;
    Ok(old.zip(new))
}

async fn side(blobs: &dyn Blobs, side: Option<&(String, i32)>) -> Result<Option<String>> {
    match side {
        None => Ok(Some(String::new())),
        Some((checksum, _)) => blob_text(blobs, checksum).await,
    }
}

async fn blob_text(blobs: &dyn Blobs, checksum: &str) -> Result<Option<String>> {
    match blobs.read_all(checksum, TEXT_MAX).await {
        Ok(bytes) => Ok(files::text_of(bytes)),
        Err(BlobError::TooLarge { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

fn hunk_of(ctx: &Ctx, draft: text::HunkDraft) -> Hunk {
    Hunk {
        id: ctx.new_id::<HunkId>(),
        old_start: draft.old_start as i32,
        old_lines: draft.old_lines as i32,
        new_start: draft.new_start as i32,
        new_lines: draft.new_lines as i32,
        diff: draft.diff,
        state: HunkState::Open,
        edited_text: None,
        reason: None,
        decided_by: None,
        now: None,
    }
}

/// A hunk that is taken or left as a whole.
fn whole(ctx: &Ctx, diff: String, old_lines: i32, new_lines: i32) -> Hunk {
    let start = |lines| i32::from(lines > 0);
    hunk_of(
        ctx,
        text::HunkDraft {
            old_start: start(old_lines) as usize,
            old_lines: old_lines as usize,
            new_start: start(new_lines) as usize,
            new_lines: new_lines as usize,
            diff,
        },
    )
}

/// What a turn proposes; `None` when it changed nothing or has not ended.
pub async fn of_turn(ctx: &Ctx, turn: TurnId) -> Result<Option<ChangeSet>> {
    let mut conn = ctx.services().db.read().await?;
    let row = store::chat::turn(&mut conn, turn).await?.ok_or(Error::NotFound("turn"))?;
    require(ctx, &mut conn, row.project_id, ProjectRole::Viewer, "turn").await?;
    match table::set_of_turn(&mut conn, turn).await? {
        Some(set) => Ok(Some(load_with_gaps(ctx, conn, set).await?)),
        None => Ok(None),
    }
}

pub async fn get(ctx: &Ctx, id: ChangeSetId) -> Result<ChangeSet> {
    let mut conn = ctx.services().db.read().await?;
    let set = table::set(&mut conn, id).await?.ok_or(Error::NotFound("change set"))?;
    require(ctx, &mut conn, set.project_id, ProjectRole::Viewer, "change set").await?;
    load_with_gaps(ctx, conn, set).await
}

/// The change sets of a project that wait for decisions, newest first.
pub async fn open(ctx: &Ctx, project: ProjectId) -> Result<Vec<OpenChangeSet>> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    Ok(table::open_sets(&mut conn, project, None, OPEN_LISTED).await?)
}

/// The same in pages.
pub async fn open_page(ctx: &Ctx, project: ProjectId, asked: &PageQuery) -> Result<Page<OpenChangeSet>> {
    let limit = page::limit_of(asked, OPEN_PAGE)?;
    let after: Option<(i64, ChangeSetId)> = page::after(asked, OPEN)?;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let rows = table::open_sets(&mut conn, project, after.map(|(at, id)| (Micros(at), id)), limit + 1).await?;
    Ok(page::cut(rows, limit, OPEN, |set| (set.created_at.0, set.change_set_id)))
}

/// One file of a change set as it was and as it is proposed, whole.
pub async fn sides(ctx: &Ctx, id: ChangeSetId, path: &str) -> Result<FileSides> {
    let mut conn = ctx.services().db.read().await?;
    let set = table::set(&mut conn, id).await?.ok_or(Error::NotFound("change set"))?;
    require(ctx, &mut conn, set.project_id, ProjectRole::Viewer, "change set").await?;
    let file = table::files(&mut conn, id).await?.into_iter().find(|file| file.path == path).ok_or(Error::NotFound("file"))?;
    let blobs = storage::blobs_of(ctx, &mut conn, set.project_id).await?;
    drop(conn);
    let read = async |checksum: Option<&String>| match checksum {
        Some(checksum) => blob_text(&*blobs, checksum).await,
        None => Ok(Some(String::new())),
    };
    Ok(FileSides { old: read(file.old_checksum.as_ref()).await?, new: read(file.new_checksum.as_ref()).await? })
}

async fn require(ctx: &Ctx, conn: &mut Conn, project: ProjectId, role: ProjectRole, noun: &'static str) -> Result<()> {
    match projects::require(ctx, conn, project, role).await {
        Ok(_) => Ok(()),
        Err(Error::NotFound(_)) => Err(Error::NotFound(noun)),
        Err(other) => Err(other),
    }
}

async fn load(conn: &mut Conn, set: table::ChangeSetRow) -> Result<ChangeSet> {
    let files = table::files(conn, set.id).await?;
    let mut hunks: HashMap<i64, Vec<Hunk>> = HashMap::new();
    for row in table::hunks(conn, set.id).await? {
        hunks.entry(row.file_ord).or_default().push(row.into_hunk());
    }
    let files = files
        .into_iter()
        .map(|file| ChangedFile {
            hunks: hunks.remove(&file.ord).unwrap_or_default(),
            path: file.path,
            old_path: file.old_path,
            action: file.action.0,
            binary: file.is_binary,
            link: file.kind.0 == EntryKind::Symlink,
            directory: file.kind.0 == EntryKind::Directory,
            added_lines: file.added_lines as i32,
            removed_lines: file.removed_lines as i32,
            old_mode: file.old_mode.map(|mode| mode as i32),
            new_mode: file.new_mode.map(|mode| mode as i32),
        })
        .collect();
    let created_by = match set.created_by {
        Some(id) => store::users::by_id(conn, id).await?.map(|row| UserRef { id, name: row.into_user().display_name().to_owned() }),
        None => None,
    };
    let comments = table::comments(conn, set.id).await?.into_iter().map(table::CommentRow::into_comment).collect();
    let run_id = match set.turn_id {
        Some(turn) => store::codegen::run_of(conn, turn).await?,
        None => None,
    };
    Ok(ChangeSet {
        change_set_id: set.id,
        turn_id: set.turn_id,
        origin: set.origin.0,
        title: set.title,
        created_by,
        run_id,
        state: set.state.0,
        base_revision: set.base_revision,
        created_at: set.created_at,
        files,
        comments,
    })
}

/// With what the project has in place of the hunks that are in conflict.
async fn load_with_gaps(ctx: &Ctx, mut conn: Conn, set: table::ChangeSetRow) -> Result<ChangeSet> {
    let (id, project) = (set.id, set.project_id);
    let mut loaded = load(&mut conn, set).await?;
    if !loaded.files.iter().flat_map(|file| &file.hunks).any(|hunk| hunk.state == HunkState::Conflict) {
        return Ok(loaded);
    }
    let files = table::files(&mut conn, id).await?;
    let mut rows: HashMap<i64, Vec<table::HunkRow>> = HashMap::new();
    for row in table::hunks(&mut conn, id).await? {
        rows.entry(row.file_ord).or_default().push(row);
    }
    // Texts are read without a connection.
    drop(conn);
    let mut gaps = HashMap::new();
    for file in files {
        let hunks = rows.remove(&file.ord).unwrap_or_default();
        // Help for who decides; without it the rest is still told.
        match plan::find_gaps(ctx, project, &file, &hunks).await {
            Ok(found) => gaps.extend(found),
            Err(error) => tracing::warn!(%error, "what others wrote in place of a hunk can't be read"),
        }
    }
    for hunk in loaded.files.iter_mut().flat_map(|file| &mut file.hunks) {
        hunk.now = gaps.remove(&hunk.id);
    }
    Ok(loaded)
}
