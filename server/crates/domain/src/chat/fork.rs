use std::collections::HashMap;

use store::{
    archive::{self as copies, By},
    chat as table, rewinds,
};
use wire::{
    ConversationId, MessageId, TurnId,
    chat::{Conversation, ForkConversation, MessageBody, TurnReason},
    event::EventKind,
    projects::ProjectRole,
};

use super::{announce, conversation, sessions, tell};
use crate::{Ctx, Error, Result};

/// A new conversation that begins with the messages of this one up to and with one of them. What was taken back before it stays out. Files
/// stay as they are.
pub async fn fork(ctx: &Ctx, id: ConversationId, request: ForkConversation) -> Result<Conversation> {
    let user = ctx.require_user()?;
    if let Some(title) = &request.title {
        sessions::check_title(title)?;
    }
    let mut conn = ctx.services().db.read().await?;
    conversation(ctx, &mut conn, id, ProjectRole::Editor).await?;
    let chosen = table::message(&mut conn, id, request.seq).await?.ok_or(Error::NotFound("message"))?;
    drop(conn);
    let new_id: ConversationId = ctx.new_id();
    let mut tx = ctx.services().db.begin().await?;
    let row = conversation(ctx, &mut tx, id, ProjectRole::Editor).await?;
    let upto = with_results(&mut tx, id, &chosen).await?;
    let title = request.title.filter(|title| !title.trim().is_empty()).unwrap_or_else(|| fork_title(&row.title));
    table::insert_conversation(&mut tx, new_id, row.project_id, user.id, title.trim(), ctx.now()).await?;
    table::set_parent(&mut tx, new_id, id, request.seq).await?;

    // A message that was taken back can be gone on from: then what hides it does not count.
    let hidden: Vec<_> = rewinds::list(&mut tx, id).await?.into_iter().filter(|rewind| !rewind.hides(request.seq)).collect();
    let messages = table::messages_between(&mut tx, id, 1, upto, i64::MAX).await?;
    let kept: Vec<_> = messages.into_iter().filter(|message| !hidden.iter().any(|rewind| rewind.hides(message.seq))).collect();
    let mut turns: HashMap<TurnId, TurnId> = HashMap::new();
    let mut prompt = None;
    for message in &kept {
        if let MessageBody::User { text, .. } = &message.body {
            prompt = Some(text.clone());
        }
        if let Some(turn) = message.turn_id
            && !turns.contains_key(&turn)
            && let Some(found) = table::turn(&mut tx, turn).await?
        {
            let is_cut = chosen.turn_id == Some(turn) && table::last_message_of(&mut tx, id, turn).await? > Some(upto);
            let copy = copy_turn(ctx, found, new_id, is_cut);
            copies::insert_turn(&mut tx, row.project_id, &copy.0, copy.1).await?;
            turns.insert(turn, copy.0.id);
        }
    }
    // Where a summary reaches is told by numbers, and these are given out anew.
    let renumbered = |seq: i64| kept.iter().filter(|message| message.seq <= seq).count() as i64;
    for (n, message) in kept.iter().enumerate() {
        let mut body = message.body.clone();
        if let MessageBody::Compacted { upto_seq, .. } = &mut body {
            *upto_seq = renumbered(*upto_seq);
        }
        let line = copies::MessageLine {
            id: ctx.new_id::<MessageId>(),
            conversation_id: new_id,
            turn_id: message.turn_id.and_then(|turn| turns.get(&turn).copied()),
            seq: n as i64 + 1,
            body: store::Doc(body),
            created_at: message.created_at,
        };
        copies::insert_message(&mut tx, &line).await?;
    }
    copies::set_last_message(&mut tx, new_id, kept.len() as i64).await?;
    // A summary that was taken back stays so.
    let undone = store::context::undone_compactions(&mut tx, id).await?;
    for seq in kept.iter().map(|message| message.seq).filter(|seq| undone.contains_key(seq)) {
        store::context::undo_compaction(&mut tx, new_id, renumbered(seq), user.id, ctx.now()).await?;
    }
    if let Some(prompt) = prompt {
        table::note_prompt(&mut tx, new_id, &super::turns::first_line(&prompt, wire::chat::LAST_PROMPT_CHARS - 1)).await?;
    }
    tell(ctx, &mut tx, id, vec![EventKind::ConversationForked { into: new_id, seq: request.seq }]).await?;
    announce(ctx, &mut tx, row.project_id, new_id).await?;
    ctx.commit(tx).await?;
    sessions::get_conversation(ctx, new_id).await
}

/// An answer goes with the results of its calls: without them it would say that they never came.
async fn with_results(tx: &mut store::Tx, id: ConversationId, chosen: &wire::chat::Message) -> Result<i64> {
    let MessageBody::Assistant { tool_calls, .. } = &chosen.body else { return Ok(chosen.seq) };
    let behind = table::messages_between(tx, id, chosen.seq + 1, i64::MAX, 2 * tool_calls.len() as i64 + 8).await?;
    let mut answers = behind.into_iter().filter(|message| match &message.body {
        MessageBody::Tool { call_id, .. } => message.turn_id == chosen.turn_id && tool_calls.iter().any(|call| call.id == *call_id),
        _ => false,
    });
    Ok(answers.next_back().map_or(chosen.seq, |message| message.seq))
}

fn fork_title(title: &str) -> String {
    let title: String = title.chars().take(110).collect();
    if title.is_empty() { String::new() } else { format!("{title} (fork)") }
}

/// The copy costs nothing and changes nothing: what it used and proposed stays with the turn that it is a copy of.
fn copy_turn(ctx: &Ctx, row: table::TurnRow, into: ConversationId, is_cut: bool) -> (copies::TurnLine, wire::UserId) {
    let cut = is_cut.then(|| "The fork begins within this turn; the rest of it is in the conversation that it was forked from.".to_owned());
    let reason = if is_cut { Some(store::Word(TurnReason::Stopped)) } else { row.reason.or(Some(store::Word(TurnReason::Stopped))) };
    let line = copies::TurnLine {
        id: ctx.new_id(),
        conversation_id: into,
        prompt: row.prompt,
        mode: row.mode,
        model: row.model,
        reason,
        detail: cut.or(row.detail),
        base_revision: row.base_revision,
        budget_tokens: None,
        budget_steps: None,
        usage_input: 0,
        usage_output: 0,
        usage_cached: 0,
        budget_usd_micros: None,
        max_tokens: None,
        temperature: None,
        cost_micros: 0,
        cost_estimated: false,
        copied_from: Some(row.copied_from.unwrap_or(row.id)),
        choice: None,
        change_set_id: None,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at.or(Some(ctx.now())),
        by: By::default(),
    };
    (line, row.user_id)
}
