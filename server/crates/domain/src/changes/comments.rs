//! Remarks on hunks: everybody who reviews sees them, and together they become the agent's next prompt.

use std::fmt::Write as _;

use store::changes as table;
use wire::{
    ChangeSetId, ReviewCommentId,
    changes::{AddComment, ChangeSet, HunkState, ReviewComment, subject},
    chat::{Queued, StartTurn},
    limits,
    projects::ProjectRole,
};

use super::{announce, load, require};
use crate::{Ctx, Error, Result, chat, models};

/// What the prompt made of comments begins with.
pub(crate) const COMMENTS_NOTE: &str = "Comments on the changes you proposed.";
/// Characters quoted of each hunk; less where that would be too much for a prompt.
const QUOTED: [usize; 4] = [6000, 1500, 300, 0];
/// Unsent comments of one change set.
const WAITING_MAX: usize = 500;

/// Says something about a hunk. Nothing of it reaches the agent before it is sent.
pub async fn comment(ctx: &Ctx, id: ChangeSetId, request: AddComment) -> Result<ReviewComment> {
    let user = ctx.require_user()?.id;
    let fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let mut tx = ctx.services().db.begin().await?;
    let set = table::set(&mut tx, id).await?.ok_or(Error::NotFound("change set"))?;
    require(ctx, &mut tx, set.project_id, ProjectRole::Reviewer, "change set").await?;
    if !table::hunks(&mut tx, id).await?.iter().any(|hunk| hunk.id == request.hunk_id) {
        return Err(Error::NotFound("hunk"));
    }
    if table::comments(&mut tx, id).await?.iter().filter(|known| known.sent_at.is_none()).count() >= WAITING_MAX {
        return Err(Error::invalid("text", format!("{WAITING_MAX} comments wait already. Send them first.")));
    }
    let comment: ReviewCommentId = ctx.new_id();
    table::insert_comment(&mut tx, comment, id, request.hunk_id, request.text.trim(), user, ctx.now()).await?;
    let row = table::comment(&mut tx, comment).await?.ok_or(Error::NotFound("comment"))?;
    tell(ctx, &mut tx, &set).await?;
    ctx.commit(tx).await?;
    Ok(row.into_comment())
}

/// Takes a comment back that is not sent yet: one's own, or as an owner of the project anybody's.
pub async fn remove_comment(ctx: &Ctx, id: ReviewCommentId) -> Result<()> {
    let user = ctx.require_user()?.id;
    let mut tx = ctx.services().db.begin().await?;
    let row = table::comment(&mut tx, id).await?.ok_or(Error::NotFound("comment"))?;
    let set = table::set(&mut tx, row.change_set_id).await?.ok_or(Error::NotFound("comment"))?;
    let role = if row.created_by == Some(user) { ProjectRole::Reviewer } else { ProjectRole::Owner };
    require(ctx, &mut tx, set.project_id, role, "comment").await?;
    if !table::delete_unsent_comment(&mut tx, id).await? {
        return Err(Error::conflict("This comment was sent to the agent already."));
    }
    tell(ctx, &mut tx, &set).await?;
    ctx.commit(tx).await
}

/// Makes all comments that wait the next prompt of the conversation, or, while the agent is at work there, one of its queue. They count as
/// sent with the prompt and not before: where it is refused they wait on. A prompt in the queue holds their text, for all to see.
pub async fn send_comments(ctx: &Ctx, id: ChangeSetId) -> Result<Queued> {
    ctx.require_user()?;
    let mut conn = ctx.services().db.read().await?;
    let set = table::set(&mut conn, id).await?.ok_or(Error::NotFound("change set"))?;
    require(ctx, &mut conn, set.project_id, ProjectRole::Editor, "change set").await?;
    let Some(turn) = set.turn_id else {
        return Err(Error::invalid("change_set", "This was not proposed by the agent, so there is nobody to send comments to."));
    };
    if store::codegen::run_of(&mut conn, turn).await?.is_some() {
        let text = "A codegen run proposed this, which has no conversation to go on in. Ask for the change in a conversation instead.";
        return Err(Error::invalid("change_set", text));
    }
    let turn = store::chat::turn(&mut conn, turn).await?.ok_or(Error::NotFound("turn"))?;
    drop(conn);
    // By the model that proposed, unless it is gone.
    let model = models::resolve(ctx, Some(&turn.model)).await.is_ok().then(|| turn.model.clone());
    let mut request = StartTurn { mode: turn.mode.0, model, ..StartTurn::default() };
    let prepared = chat::prepare(ctx, set.project_id, &request).await?;
    let at = ctx.now();
    let mut tx = ctx.services().db.begin().await?;
    // Claimed first, so that of two people who send at once only one does.
    if table::claim_comments(&mut tx, id, at).await? == 0 {
        return Err(Error::conflict("No comment waits to be sent."));
    }
    let set = table::set(&mut tx, id).await?.ok_or(Error::NotFound("change set"))?;
    let shown = load(&mut tx, set.clone()).await?;
    let Some(prompt) = to_prompt(&shown, |comment| comment.sent_at == Some(at)) else {
        return Err(Error::invalid("comments", "These comments are too long for one prompt. Take some back and send them later."));
    };
    request.prompt = prompt;
    let queued = chat::hand_over(ctx, &mut tx, turn.conversation_id, &request, prepared).await?;
    // Last: a conversation's rows are taken before the project's stream.
    tell(ctx, &mut tx, &set).await?;
    ctx.commit(tx).await?;
    Ok(queued)
}

async fn tell(ctx: &Ctx, tx: &mut store::Tx, set: &table::ChangeSetRow) -> Result<()> {
    let open = table::hunks(tx, set.id).await?.iter().filter(|hunk| hunk.state.0.is_open()).count();
    announce(ctx, tx, set, set.state.0, open as i64).await
}

/// The chosen comments as a prompt, each with the hunk it is about; `None` when they are too long for one.
fn to_prompt(set: &ChangeSet, wanted: impl Fn(&ReviewComment) -> bool) -> Option<String> {
    let chosen: Vec<&ReviewComment> = set.comments.iter().filter(|comment| wanted(comment)).collect();
    QUOTED.into_iter().map(|quoted| write_prompt(set, &chosen, quoted)).find(|prompt| prompt.chars().count() <= limits::PROMPT_MAX_CHARS)
}

fn write_prompt(set: &ChangeSet, chosen: &[&ReviewComment], quoted: usize) -> String {
    let mut out = format!("{COMMENTS_NOTE} Go through them one by one.\n");
    let mut number = 0;
    for file in &set.files {
        for hunk in &file.hunks {
            let said: Vec<_> = chosen.iter().filter(|comment| comment.hunk_id == hunk.id).collect();
            if said.is_empty() {
                continue;
            }
            number += 1;
            let about = subject(&file.path, file.old_path.as_deref(), Some(file.action), !hunk.diff.is_empty(), hunk.old_start);
            let _ = writeln!(out, "\n{number}. {about} ({}):", standing(hunk.state));
            if !hunk.diff.is_empty() && quoted > 0 {
                let text = cut(&hunk.diff, quoted);
                let fence = fence_for(&text);
                let _ = writeln!(out, "{fence}diff\n{}\n{fence}", text.trim_end_matches('\n'));
            }
            for comment in said {
                let by = comment.created_by.as_ref().map_or("someone", |by| by.name.as_str());
                let _ = writeln!(out, "{by}: {}", comment.text);
            }
        }
    }
    out
}

fn standing(state: HunkState) -> &'static str {
    match state {
        HunkState::Open => "not decided yet; it is not in the project",
        HunkState::Accepted => "accepted; it is in the project",
        HunkState::Edited => "edited by a person; their text is in the project",
        HunkState::Rejected => "rejected; it is not in the project",
        HunkState::Conflict => "no longer fits; it is not in the project",
    }
}

/// The first characters of a text, cut at the end of a line.
fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}\n…", text[..at].rsplit_once('\n').map_or("", |(whole, _)| whole)),
    }
}

/// A fence that no run of backticks in the text ends.
fn fence_for(text: &str) -> String {
    let mut longest = 2;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(longest + 1)
}

#[cfg(test)]
mod tests {
    use wire::{
        HunkId, Micros,
        changes::{ChangeAction, ChangeOrigin, ChangeSetState, ChangedFile, Hunk},
    };

    use super::*;

    fn set(diff: &str, texts: &[&str]) -> ChangeSet {
        let id = |n: u128| uuid::Uuid::from_u128(n);
        let hunk = Hunk {
            id: HunkId(id(1)),
            old_start: 7,
            old_lines: 1,
            new_start: 7,
            new_lines: 1,
            diff: diff.into(),
            state: HunkState::Open,
            edited_text: None,
            reason: None,
            decided_by: None,
            now: None,
        };
        let comment = |text: &&str| ReviewComment {
            id: ReviewCommentId(id(9)),
            hunk_id: HunkId(id(1)),
            text: (*text).to_owned(),
            created_by: None,
            created_at: Micros(1),
            sent_at: None,
        };
        ChangeSet {
            change_set_id: ChangeSetId(id(2)),
            turn_id: None,
            origin: ChangeOrigin::Agent,
            title: String::new(),
            created_by: None,
            run_id: None,
            state: ChangeSetState::Open,
            base_revision: 1,
            created_at: Micros(0),
            files: vec![ChangedFile {
                path: "a.py".into(),
                old_path: None,
                action: ChangeAction::Modify,
                binary: false,
                link: false,
                directory: false,
                added_lines: 1,
                removed_lines: 1,
                old_mode: None,
                new_mode: None,
                hunks: vec![hunk],
            }],
            comments: texts.iter().map(comment).collect(),
        }
    }

    #[test]
    fn a_prompt_quotes_what_is_commented() {
        let prompt = to_prompt(&set("-old ```\n+new\n", &["use a constant", "and name it"]), |_| true).unwrap();
        assert!(prompt.contains("1. a.py, line 7 (not decided yet; it is not in the project):\n````diff\n-old ```\n+new\n````\nsomeone: use a constant\nsomeone: and name it\n"), "{prompt}");
    }

    #[test]
    fn what_is_too_long_is_quoted_less() {
        let long = format!("+{}\n", "x".repeat(90)).repeat(2000);
        let texts: Vec<String> = (0..24).map(|n| format!("{n} {}", "y".repeat(3900))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let prompt = to_prompt(&set(&long, &texts), |_| true).unwrap();
        assert!(prompt.chars().count() <= limits::PROMPT_MAX_CHARS);
        assert!(prompt.contains("23 yyy") && prompt.contains("\n…\n```"));
        let more = [texts.clone(), texts].concat();
        assert_eq!(to_prompt(&set(&long, &more), |_| true), None);
    }
}
