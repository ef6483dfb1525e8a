//! Conversations: made, listed, searched, renamed, deleted, brought back, and read a window at a time.

use std::collections::BTreeSet;

use store::{chat as table, events, prompts, rewinds};
use wire::{
    ConversationId, Micros, Page, PageQuery, ProjectId, TurnId,
    chat::{
        Conversation, ConversationQuery, ConversationView, CreateConversation, FoundConversation, LiveFrom, Message, MessageBody,
        RemovedConversation, TurnState, UpdateConversation, WINDOW_DEFAULT, WINDOW_MAX, Window,
    },
    event::Stream,
    projects::ProjectRole,
};

use super::{announce, conversation, lock_conversation};
use crate::{Ctx, Error, Result, page, projects};

/// Conversations of one page.
const PAGE: i64 = 50;
const LIST: &str = "conversations";
const MESSAGES: &str = "messages";
const REMOVED: &str = "conversations/removed";
const SEARCH_MAX_CHARS: usize = 200;
/// Characters before and behind the words that were searched for.
const EXCERPT_AROUND: usize = 60;
/// Bytes of a window's messages; more come when they are asked for.
const WINDOW_BYTES: usize = 1024 * 1024;
/// From this many events on, those who open a turn that goes on begin with its messages.
const LONG_TURN: i64 = 2000;
/// Deleted conversations can be brought back for this long, in seconds.
pub(super) const KEPT_DELETED: i64 = 7 * 86_400;
/// Turns outside of a window's time that its messages belong to.
const STRAY_TURNS: usize = 20;

/// The conversations of a project, last used first.
pub async fn list_conversations(ctx: &Ctx, project: ProjectId) -> Result<Vec<Conversation>> {
    let query = ConversationQuery { limit: Some(page::MOST), ..ConversationQuery::default() };
    let page = search_conversations(ctx, project, query).await?;
    Ok(page.items.into_iter().map(|found| found.conversation).collect())
}

/// The conversations of a project, last used first; those that have the words of the search in the title or in what was said.
pub async fn search_conversations(ctx: &Ctx, project: ProjectId, query: ConversationQuery) -> Result<Page<FoundConversation>> {
    let words = query.search.as_deref().map(|words| words.trim().to_lowercase()).filter(|words| !words.is_empty());
    if words.as_ref().is_some_and(|words| words.chars().count() > SEARCH_MAX_CHARS) {
        return Err(Error::invalid("search", "Search for at most 200 characters."));
    }
    let after = query.cursor.as_deref().map(|cursor| page::read_cursor(LIST, cursor)).transpose()?;
    let after = after.map(|(at, id)| table::After { updated_at: Micros(at), id });
    let limit = page::check_limit(query.limit, PAGE)?;
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let mut rows = table::conversations(&mut conn, project, words.as_deref(), after, limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|last| page::write_cursor(LIST, &(last.updated_at.0, last.id)));
    let mut items = Vec::new();
    for row in rows {
        let excerpt = match &words {
            Some(words) if !row.title.to_lowercase().contains(words) => {
                table::message_with(&mut conn, row.id, words).await?.and_then(|message| excerpt(&message.body, words))
            }
            _ => None,
        };
        items.push(FoundConversation { conversation: row.into_conversation(), excerpt });
    }
    Ok(Page { items, next_cursor })
}

/// What was removed from a project and can be brought back, the last first, for those who may do that.
pub async fn removed_conversations(ctx: &Ctx, project: ProjectId) -> Result<Page<RemovedConversation>> {
    removed_page(ctx, project, &PageQuery { limit: Some(page::MOST), cursor: None }).await
}

/// The same, page by page.
pub async fn removed_page(ctx: &Ctx, project: ProjectId, asked: &PageQuery) -> Result<Page<RemovedConversation>> {
    let limit = page::limit_of(asked, PAGE)?;
    let after: Option<(i64, ConversationId)> = page::after(asked, REMOVED)?;
    let after = after.map(|(at, id)| table::After { updated_at: Micros(at), id });
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Editor).await?;
    let since = ctx.now().plus_seconds(-KEPT_DELETED);
    let rows = table::removed_conversations(&mut conn, project, since, after, limit + 1).await?;
    let rows = page::cut(rows, limit, REMOVED, |row| (row.deleted_at.map_or(0, |at| at.0), row.id));
    let shown = |row: table::ConversationRow| {
        let removed_at = row.deleted_at?;
        Some(RemovedConversation { conversation: row.into_conversation(), removed_at, until: removed_at.plus_seconds(KEPT_DELETED) })
    };
    Ok(Page { items: rows.items.into_iter().filter_map(shown).collect(), next_cursor: rows.next_cursor })
}

/// The words with what stands around them, on one line. `words` are in lower case.
fn excerpt(body: &MessageBody, words: &str) -> Option<String> {
    let (MessageBody::User { text, .. } | MessageBody::Assistant { text, .. }) = body else { return None };
    let line: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    // One character at a time, since lower case may be longer.
    let lower: Vec<char> = line.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect();
    let wanted: Vec<char> = words.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    let at = lower.windows(wanted.len().max(1)).position(|window| window == wanted).unwrap_or(0);
    let (from, upto) = (at.saturating_sub(EXCERPT_AROUND), (at + wanted.len() + EXCERPT_AROUND).min(line.len()));
    let mut found: String = line[from..upto].iter().collect();
    if from > 0 {
        found.insert(0, '…');
    }
    if upto < line.len() {
        found.push('…');
    }
    Some(found)
}

pub async fn create_conversation(ctx: &Ctx, project: ProjectId, request: CreateConversation) -> Result<Conversation> {
    let user = ctx.require_user()?;
    let title = request.title.unwrap_or_default();
    check_title(&title)?;
    let id: ConversationId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    table::insert_conversation(&mut tx, id, project, user.id, title.trim(), ctx.now()).await?;
    announce(ctx, &mut tx, project, id).await?;
    let row = table::conversation(&mut tx, id).await?.ok_or(Error::NotFound("conversation"))?;
    ctx.commit(tx).await?;
    Ok(row.into_conversation())
}

pub(super) fn check_title(title: &str) -> Result<()> {
    if title.chars().count() > 120 || title.chars().any(char::is_control) {
        return Err(Error::invalid("title", "Use at most 120 characters and no control characters."));
    }
    Ok(())
}

pub async fn get_conversation(ctx: &Ctx, id: ConversationId) -> Result<Conversation> {
    let mut conn = ctx.services().db.read().await?;
    Ok(conversation(ctx, &mut conn, id, ProjectRole::Viewer).await?.into_conversation())
}

pub async fn rename_conversation(ctx: &Ctx, id: ConversationId, request: UpdateConversation) -> Result<Conversation> {
    check_title(&request.title)?;
    if request.title.trim().is_empty() {
        return Err(Error::invalid("title", "Give the conversation a name."));
    }
    let mut tx = ctx.services().db.begin().await?;
    let row = conversation(ctx, &mut tx, id, ProjectRole::Editor).await?;
    table::rename_conversation(&mut tx, id, request.title.trim(), ctx.now()).await?;
    announce(ctx, &mut tx, row.project_id, id).await?;
    ctx.commit(tx).await?;
    get_conversation(ctx, id).await
}

/// Takes a conversation out of the list. It can be brought back for a week.
pub async fn delete_conversation(ctx: &Ctx, id: ConversationId) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    let row = lock_conversation(ctx, &mut tx, id, ProjectRole::Editor).await?;
    if row.active_turn.is_some() {
        return Err(Error::conflict("The agent is at work in this conversation. Stop it first."));
    }
    table::mark_conversation_deleted(&mut tx, id, ctx.now()).await?;
    announce(ctx, &mut tx, row.project_id, id).await?;
    ctx.commit(tx).await
}

/// Brings a deleted conversation back as it was.
pub async fn restore_conversation(ctx: &Ctx, id: ConversationId) -> Result<Conversation> {
    let mut tx = ctx.services().db.begin().await?;
    let row = table::any_conversation(&mut tx, id).await?.ok_or(Error::NotFound("conversation"))?;
    projects::require(ctx, &mut tx, row.project_id, ProjectRole::Editor).await.map_err(super::hide_as("conversation"))?;
    if !table::restore_conversation(&mut tx, id, ctx.now().plus_seconds(-KEPT_DELETED)).await? {
        return match table::conversation(&mut tx, id).await? {
            Some(row) => Ok(row.into_conversation()),
            None => Err(Error::conflict("This conversation was deleted more than a week ago and can't be brought back.")),
        };
    }
    announce(ctx, &mut tx, row.project_id, id).await?;
    ctx.commit(tx).await?;
    get_conversation(ctx, id).await
}

/// Part of a conversation: its latest messages, or those before a number, in whole turns where they fit, with what belongs to them.
pub async fn view(ctx: &Ctx, id: ConversationId, window: Window) -> Result<ConversationView> {
    let limit = window.limit.unwrap_or(WINDOW_DEFAULT).clamp(1, WINDOW_MAX);
    let mut conn = ctx.services().db.read().await?;
    let row = conversation(ctx, &mut conn, id, ProjectRole::Viewer).await?;
    // First: what happens from here on is followed.
    let events = events::last_seq(&mut conn, Stream::Conversation(id)).await?;
    let (placed, before) = read_window(&mut conn, id, window.before.unwrap_or(i64::MAX), limit).await?;
    let turns = turns_of(&mut conn, id, &placed, window.before.is_none()).await?;
    let active = turns.iter().find(|turn| turn.state.0 != TurnState::Finished).map(|turn| turn.id);
    let live = active.and_then(|active| {
        let last = placed.iter().rev().filter(|placed| placed.message.turn_id == Some(active));
        let said = last.filter(|placed| matches!(placed.message.body, MessageBody::Assistant { .. }));
        let event = said.filter_map(|placed| placed.turn_event).next().filter(|event| *event > LONG_TURN)?;
        Some(LiveFrom { turn_id: active, event })
    });
    let queue = prompts::list(&mut conn, id).await?.into_iter().map(prompts::PromptRow::into_prompt).collect::<Vec<_>>();
    let queue_waits = row.queue_waits.clone().filter(|_| !queue.is_empty() && active.is_none());
    let rewinds = rewinds::list(&mut conn, id).await?.into_iter().map(rewinds::RewindRow::into_rewind).collect();
    Ok(ConversationView {
        conversation: row.into_conversation(),
        turns: turns.into_iter().map(table::TurnRow::into_turn).collect(),
        messages: placed.into_iter().map(|placed| placed.message).collect(),
        before,
        queue,
        queue_waits,
        rewinds,
        events,
        live,
    })
}

/// The messages of a conversation, each page in their order, the latest ones on the first.
pub async fn messages_page(ctx: &Ctx, id: ConversationId, asked: &PageQuery) -> Result<Page<Message>> {
    let limit = page::limit_of(asked, WINDOW_DEFAULT)?;
    let before: Option<i64> = page::after(asked, MESSAGES)?;
    let mut conn = ctx.services().db.read().await?;
    conversation(ctx, &mut conn, id, ProjectRole::Viewer).await?;
    let mut placed = table::messages_before(&mut conn, id, before.unwrap_or(i64::MAX), limit).await?;
    cut_to_bytes(&mut placed);
    placed.reverse();
    let oldest = placed.first().map(|oldest| oldest.message.seq).filter(|seq| *seq > 1);
    let next_cursor = oldest.map(|seq| page::write_cursor(MESSAGES, &seq));
    Ok(Page { items: placed.into_iter().map(|placed| placed.message).collect(), next_cursor })
}

/// Messages before a number in order, and where older ones begin. A turn is not cut in two unless it alone is larger than a window may be.
async fn read_window(conn: &mut store::Conn, id: ConversationId, before: i64, limit: i64) -> Result<(Vec<table::Placed>, Option<i64>)> {
    let mut placed = table::messages_before(conn, id, before, limit).await?;
    cut_to_bytes(&mut placed);
    if let Some(oldest) = placed.last()
        && let Some(turn) = oldest.message.turn_id
        && let Some(first) = table::first_message_of(conn, id, turn).await?
    {
        let from = oldest.message.seq;
        if first < from {
            let mut rest = table::messages_before(conn, id, from, (from - first).min(WINDOW_MAX)).await?;
            cut_to_bytes(&mut rest);
            placed.extend(rest);
        }
    }
    placed.reverse();
    let before = placed.first().map(|oldest| oldest.message.seq).filter(|seq| *seq > 1);
    Ok((placed, before))
}

fn cut_to_bytes(placed: &mut Vec<table::Placed>) {
    let mut bytes = 0;
    let keep = placed.iter().position(|placed| {
        let full = bytes > WINDOW_BYTES;
        bytes += size_of(&placed.message.body);
        full
    });
    placed.truncate(keep.unwrap_or(placed.len()));
}

fn size_of(body: &MessageBody) -> usize {
    match body {
        MessageBody::User { text, attachments } => {
            text.len() + attachments.iter().map(|attachment| attachment.content.len()).sum::<usize>()
        }
        MessageBody::Assistant { text, reasoning, tool_calls, .. } => {
            text.len() + reasoning.len() + tool_calls.iter().map(|call| call.arguments.len()).sum::<usize>()
        }
        MessageBody::Tool { content, .. } => content.len(),
        MessageBody::Decision { hunks, .. } => hunks.iter().map(|hunk| hunk.diff.len()).sum(),
        MessageBody::Note { text } => text.len(),
        MessageBody::Switched { reason, .. } => reason.len(),
        MessageBody::Compacted { summary, .. } => summary.len(),
    }
}

/// The turns that the messages belong to, and one that is not finished.
async fn turns_of(conn: &mut store::Conn, id: ConversationId, placed: &[table::Placed], is_latest: bool) -> Result<Vec<table::TurnRow>> {
    let wanted: BTreeSet<TurnId> = placed.iter().filter_map(|placed| placed.message.turn_id).collect();
    let from = placed.first().map_or(Micros(i64::MIN), |oldest| oldest.message.created_at);
    let upto = placed.last().filter(|_| !is_latest).map_or(Micros(i64::MAX), |newest| newest.message.created_at);
    let mut turns = table::turns_between(conn, id, from, upto).await?;
    if !is_latest {
        turns.retain(|turn| wanted.contains(&turn.id));
    }
    let known: BTreeSet<TurnId> = turns.iter().map(|turn| turn.id).collect();
    // Those that began before the oldest message, and those whose changes were decided on much later.
    for turn in wanted.difference(&known).take(STRAY_TURNS) {
        turns.extend(table::turn(conn, *turn).await?);
    }
    turns.sort_by_key(|turn| (turn.created_at, turn.id));
    Ok(turns)
}

/// The whole transcript, in order.
pub async fn messages(ctx: &Ctx, id: ConversationId) -> Result<Vec<Message>> {
    let mut conn = ctx.services().db.read().await?;
    conversation(ctx, &mut conn, id, ProjectRole::Viewer).await?;
    Ok(table::messages(&mut conn, id).await?)
}
