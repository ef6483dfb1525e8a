use sqlx::FromRow;
use wire::{
    ChangeSetId, CheckpointId, ConversationId, JobId, MessageId, Micros, ProjectId, TurnId, UserId,
    chat::{Approval, Conversation, ConversationParent, Message, MessageBody, Mode, TokenUsage, Turn, TurnBudget, TurnReason, TurnState},
    event::{EventKind, Stream},
};

use crate::{Conn, Doc, Result, Word, db::on};

/// Characters of a message that are searched.
const WORDS_MAX: usize = 20_000;

#[derive(Debug, Clone, FromRow)]
pub struct ConversationRow {
    pub id: ConversationId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub title: String,
    pub last_message: i64,
    pub created_at: Micros,
    pub updated_at: Micros,
    pub active_turn: Option<TurnId>,
    pub parent_id: Option<ConversationId>,
    pub parent_title: Option<String>,
    pub parent_seq: Option<i64>,
    pub last_prompt: Option<String>,
    pub queue_waits: Option<String>,
    pub deleted_at: Option<Micros>,
}

impl ConversationRow {
    pub fn into_conversation(self) -> Conversation {
        Conversation {
            id: self.id,
            project_id: self.project_id,
            title: self.title,
            created_at: self.created_at,
            updated_at: self.updated_at,
            active_turn: self.active_turn,
            parent: self.parent_id.map(|id| ConversationParent { id, title: self.parent_title, seq: self.parent_seq.unwrap_or_default() }),
            last_prompt: self.last_prompt,
            messages: self.last_message,
        }
    }
}

macro_rules! select_conversation {
    ($filter:literal) => {
        select_conversation!("", $filter)
    };
    ($more:literal, $filter:literal) => {
        concat!(
            "SELECT c.id, c.project_id, c.user_id, c.title, c.last_message, c.created_at, c.updated_at,
                    c.parent_id, c.parent_seq, c.last_prompt, c.queue_waits, c.deleted_at,
                    (SELECT p.title FROM conversations p WHERE p.id = c.parent_id AND p.deleted_at IS NULL) AS parent_title,
                    (SELECT t.id FROM turns t WHERE t.conversation_id = c.id AND t.state <> 'finished') AS active_turn",
            $more,
            " FROM conversations c WHERE ",
            $filter
        )
    };
}

pub async fn insert_conversation(
    c: &mut Conn,
    id: ConversationId,
    project: ProjectId,
    user: UserId,
    title: &str,
    at: Micros,
) -> Result<()> {
    on!(c, c => {
        sqlx::query("INSERT INTO conversations (id, project_id, user_id, title, last_message, created_at, updated_at) VALUES ($1, $2, $3, $4, 0, $5, $5)")
            .bind(id).bind(project).bind(user).bind(title).bind(at).execute(c).await?;
    });
    Ok(())
}

pub async fn conversation(c: &mut Conn, id: ConversationId) -> Result<Option<ConversationRow>> {
    Ok(on!(c, c => sqlx::query_as(select_conversation!("c.deleted_at IS NULL AND c.id = $1")).bind(id).fetch_optional(c).await?))
}

/// As [`conversation`], also one that was deleted.
pub async fn any_conversation(c: &mut Conn, id: ConversationId) -> Result<Option<ConversationRow>> {
    Ok(on!(c, c => sqlx::query_as(select_conversation!("c.id = $1")).bind(id).fetch_optional(c).await?))
}

/// Where a list of conversations goes on: behind this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    pub updated_at: Micros,
    pub id: ConversationId,
}

/// Last used first, at most `limit`. With `words`, in lower case, only those that have them in the title or in what was said.
pub async fn conversations(
    c: &mut Conn,
    project: ProjectId,
    words: Option<&str>,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<ConversationRow>> {
    let Some(words) = words else { return page_of(c, project, after, limit).await };
    let (mut found, mut after) = (Vec::new(), after);
    loop {
        let page = searched(c, project, words, after).await?;
        after = page.last().map(|row| After { updated_at: row.conversation.updated_at, id: row.conversation.id });
        let is_last = page.len() < SEARCHED;
        let fits = |row: &Searched| row.was_said || row.conversation.title.to_lowercase().contains(words);
        found.extend(page.into_iter().filter(fits).map(|row| row.conversation).take(usize::try_from(limit).unwrap_or(0) - found.len()));
        if is_last || found.len() as i64 >= limit {
            return Ok(found);
        }
    }
}

/// Conversations that are looked at in one go.
const SEARCHED: usize = 500;

#[derive(FromRow)]
struct Searched {
    #[sqlx(flatten)]
    conversation: ConversationRow,
    was_said: bool,
}

/// Titles are compared by the caller: SQLite knows lower case of ASCII alone.
async fn searched(c: &mut Conn, project: ProjectId, words: &str, after: Option<After>) -> Result<Vec<Searched>> {
    let pattern = format!("%{}%", escape_like(words));
    let (at, id) = after.map_or((Micros(i64::MAX), ConversationId(uuid::Uuid::max())), |after| (after.updated_at, after.id));
    Ok(on!(c, c => {
        sqlx::query_as(select_conversation!(
            ", EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = c.id AND m.words LIKE $4 ESCAPE '\\') AS was_said",
            "c.project_id = $1 AND c.deleted_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM codegen_runs g JOIN turns t ON t.id = g.turn_id WHERE t.conversation_id = c.id)
             AND (c.updated_at < $2 OR (c.updated_at = $2 AND c.id < $3))
             ORDER BY c.updated_at DESC, c.id DESC LIMIT $5"
        ))
        .bind(project).bind(at).bind(id).bind(pattern).bind(SEARCHED as i64).fetch_all(c).await?
    }))
}

async fn page_of(c: &mut Conn, project: ProjectId, after: Option<After>, limit: i64) -> Result<Vec<ConversationRow>> {
    let (at, id) = after.map_or((Micros(i64::MAX), ConversationId(uuid::Uuid::max())), |after| (after.updated_at, after.id));
    Ok(on!(c, c => {
        sqlx::query_as(select_conversation!(
            "c.project_id = $1 AND c.deleted_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM codegen_runs g JOIN turns t ON t.id = g.turn_id WHERE t.conversation_id = c.id)
             AND (c.updated_at < $2 OR (c.updated_at = $2 AND c.id < $3))
             ORDER BY c.updated_at DESC, c.id DESC LIMIT $4"
        ))
        .bind(project).bind(at).bind(id).bind(limit).fetch_all(c).await?
    }))
}

/// Those of a project that were deleted at `since` or after it, the last one first, at most `limit`. `after` holds the time of deletion.
pub async fn removed_conversations(
    c: &mut Conn,
    project: ProjectId,
    since: Micros,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<ConversationRow>> {
    let (at, id) = after.map_or((Micros(i64::MAX), ConversationId(uuid::Uuid::max())), |after| (after.updated_at, after.id));
    Ok(on!(c, c => {
        sqlx::query_as(select_conversation!(
            "c.project_id = $1 AND c.deleted_at >= $2
             AND NOT EXISTS (SELECT 1 FROM codegen_runs g JOIN turns t ON t.id = g.turn_id WHERE t.conversation_id = c.id)
             AND (c.deleted_at < $3 OR (c.deleted_at = $3 AND c.id < $4))
             ORDER BY c.deleted_at DESC, c.id DESC LIMIT $5"
        ))
        .bind(project).bind(since).bind(at).bind(id).bind(limit).fetch_all(c).await?
    }))
}

/// The newest message of a conversation that has `words`, in lower case.
pub async fn message_with(c: &mut Conn, conversation: ConversationId, words: &str) -> Result<Option<Message>> {
    let pattern = format!("%{}%", escape_like(words));
    let row: Option<MessageRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT id, turn_id, seq, body, created_at, turn_event FROM messages
             WHERE conversation_id = $1 AND words LIKE $2 ESCAPE '\\' ORDER BY seq DESC LIMIT 1",
        )
        .bind(conversation).bind(pattern).fetch_optional(c).await?
    });
    Ok(row.map(MessageRow::into_message))
}

fn escape_like(words: &str) -> String {
    words.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Holds the row until the transaction ends. `false` when there is no such conversation, or it was deleted.
pub async fn lock_conversation(c: &mut Conn, id: ConversationId) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE conversations SET updated_at = updated_at WHERE id = $1 AND deleted_at IS NULL")
            .bind(id).execute(c).await?.rows_affected()
    }) == 1)
}

/// What a new turn leaves on its conversation: what was asked, and that nothing waits any more.
pub async fn note_prompt(c: &mut Conn, id: ConversationId, prompt: &str) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE conversations SET last_prompt = $2, queue_waits = NULL WHERE id = $1").bind(id).bind(prompt).execute(c).await?;
    });
    Ok(())
}

pub async fn set_queue_waits(c: &mut Conn, id: ConversationId, reason: Option<&str>) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE conversations SET queue_waits = $2 WHERE id = $1").bind(id).bind(reason).execute(c).await?;
    });
    Ok(())
}

pub async fn set_parent(c: &mut Conn, id: ConversationId, parent: ConversationId, seq: i64) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE conversations SET parent_id = $2, parent_seq = $3 WHERE id = $1").bind(id).bind(parent).bind(seq).execute(c).await?;
    });
    Ok(())
}

pub async fn rename_conversation(c: &mut Conn, id: ConversationId, title: &str, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE conversations SET title = $2, updated_at = $3 WHERE id = $1").bind(id).bind(title).bind(at).execute(c).await?;
    });
    Ok(())
}

pub async fn mark_conversation_deleted(c: &mut Conn, id: ConversationId, at: Micros) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE conversations SET deleted_at = $2 WHERE id = $1").bind(id).bind(at).execute(c).await?; });
    Ok(())
}

/// `false` when it was not deleted, or before `since`.
pub async fn restore_conversation(c: &mut Conn, id: ConversationId, since: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE conversations SET deleted_at = NULL WHERE id = $1 AND deleted_at >= $2").bind(id).bind(since).execute(c).await?.rows_affected()
    }) == 1)
}

/// Appends to the transcript and answers the message's number. The row lock keeps numbers without gaps.
pub async fn insert_message(
    c: &mut Conn,
    id: MessageId,
    conversation: ConversationId,
    turn: Option<TurnId>,
    body: &MessageBody,
    at: Micros,
) -> Result<i64> {
    Ok(on!(c, c => {
        let seq: i64 = sqlx::query_scalar("UPDATE conversations SET last_message = last_message + 1, updated_at = $2 WHERE id = $1 RETURNING last_message")
            .bind(conversation).bind(at).fetch_one(&mut *c).await?;
        // How far the turn's events had come: what is followed from there on is not in the transcript yet.
        sqlx::query(
            "INSERT INTO messages (id, conversation_id, turn_id, seq, body, created_at, words, turn_event)
             VALUES ($1, $2, $3, $4, $5, $6, $7, (SELECT last_seq FROM event_streams WHERE stream = $8))",
        )
        .bind(id).bind(conversation).bind(turn).bind(seq).bind(Doc(body)).bind(at).bind(words_of(body))
        .bind(turn.map(|turn| Stream::Turn(turn).to_string())).execute(c).await?;
        seq
    }))
}

/// What of a message is searched.
pub(crate) fn words_of(body: &MessageBody) -> Option<String> {
    match body {
        MessageBody::User { text, .. } | MessageBody::Assistant { text, .. } if !text.is_empty() => {
            Some(text.chars().take(WORDS_MAX).collect::<String>().to_lowercase())
        }
        _ => None,
    }
}

#[derive(FromRow)]
struct MessageRow {
    id: MessageId,
    turn_id: Option<TurnId>,
    seq: i64,
    body: Doc<MessageBody>,
    created_at: Micros,
    turn_event: Option<i64>,
}

impl MessageRow {
    fn into_message(self) -> Message {
        Message { id: self.id, turn_id: self.turn_id, seq: self.seq, body: self.body.0, created_at: self.created_at }
    }
}

pub async fn messages(c: &mut Conn, conversation: ConversationId) -> Result<Vec<Message>> {
    messages_between(c, conversation, 1, i64::MAX, i64::MAX).await
}

/// Those numbered `from` to `upto`, at most `limit`, in order.
pub async fn messages_between(c: &mut Conn, conversation: ConversationId, from: i64, upto: i64, limit: i64) -> Result<Vec<Message>> {
    let rows: Vec<MessageRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT id, turn_id, seq, body, created_at, turn_event FROM messages
             WHERE conversation_id = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq LIMIT $4",
        )
        .bind(conversation).bind(from).bind(upto).bind(limit).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(MessageRow::into_message).collect())
}

/// A message with the number that the events of its turn had reached when it was written down.
pub struct Placed {
    pub message: Message,
    pub turn_event: Option<i64>,
}

/// Those before number `before`, the newest first, at most `limit`.
pub async fn messages_before(c: &mut Conn, conversation: ConversationId, before: i64, limit: i64) -> Result<Vec<Placed>> {
    let rows: Vec<MessageRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT id, turn_id, seq, body, created_at, turn_event FROM messages
             WHERE conversation_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
        )
        .bind(conversation).bind(before).bind(limit).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|row| Placed { turn_event: row.turn_event, message: row.into_message() }).collect())
}

pub async fn message(c: &mut Conn, conversation: ConversationId, seq: i64) -> Result<Option<Message>> {
    Ok(messages_between(c, conversation, seq, seq, 1).await?.pop())
}

/// The number of a turn's first message; `None` when it has none.
pub async fn first_message_of(c: &mut Conn, conversation: ConversationId, turn: TurnId) -> Result<Option<i64>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT MIN(seq) FROM messages WHERE conversation_id = $1 AND turn_id = $2").bind(conversation).bind(turn).fetch_one(c).await?
    }))
}

/// The number of a turn's last message; `None` when it has none.
pub async fn last_message_of(c: &mut Conn, conversation: ConversationId, turn: TurnId) -> Result<Option<i64>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT MAX(seq) FROM messages WHERE conversation_id = $1 AND turn_id = $2").bind(conversation).bind(turn).fetch_one(c).await?
    }))
}

#[derive(Debug, Clone, FromRow)]
pub struct TurnRow {
    pub id: TurnId,
    pub conversation_id: ConversationId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub job_id: Option<JobId>,
    pub prompt: String,
    pub mode: Word<Mode>,
    pub model: String,
    pub state: Word<TurnState>,
    pub reason: Option<Word<TurnReason>>,
    pub detail: Option<String>,
    pub base_revision: i64,
    pub budget_tokens: Option<i64>,
    pub budget_steps: Option<i64>,
    pub budget_usd_micros: Option<i64>,
    /// Of each answer.
    pub max_tokens: Option<i64>,
    /// In thousandths.
    pub temperature: Option<i64>,
    pub usage_input: i64,
    pub usage_output: i64,
    pub usage_cached: i64,
    pub cost_micros: i64,
    pub cost_estimated: bool,
    /// In a fork: the turn that this is a copy of.
    pub copied_from: Option<TurnId>,
    pub stop_requested: bool,
    pub change_set_id: Option<ChangeSetId>,
    pub created_at: Micros,
    pub started_at: Option<Micros>,
    pub finished_at: Option<Micros>,
}

impl TurnRow {
    /// The limits that its message set.
    pub fn budget(&self) -> TurnBudget {
        let steps = self.budget_steps.and_then(|steps| u32::try_from(steps).ok());
        TurnBudget { tokens: self.budget_tokens, steps, usd_micros: self.budget_usd_micros }
    }

    /// 0 to 2, where its message asked for one.
    pub fn temperature(&self) -> Option<f32> {
        self.temperature.map(|thousandths| thousandths as f32 / 1000.0)
    }

    pub fn into_turn(self) -> Turn {
        let budget = self.budget().some();
        Turn {
            id: self.id,
            conversation_id: self.conversation_id,
            project_id: self.project_id,
            prompt: self.prompt,
            mode: self.mode.0,
            model: self.model,
            state: self.state.0,
            reason: self.reason.map(|word| word.0),
            detail: self.detail,
            usage: TokenUsage { input: self.usage_input, output: self.usage_output, cached: self.usage_cached },
            cost_micros: self.cost_micros,
            estimated: self.cost_estimated,
            budget,
            change_set_id: self.change_set_id,
            created_at: self.created_at,
            finished_at: self.finished_at,
        }
    }
}

pub struct NewTurn<'a> {
    pub id: TurnId,
    pub conversation_id: ConversationId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub job_id: JobId,
    pub prompt: &'a str,
    pub mode: Mode,
    pub model: &'a str,
    pub base_revision: i64,
    pub budget_tokens: Option<i64>,
    pub budget_steps: Option<i64>,
    pub budget_usd_micros: Option<i64>,
    pub max_tokens: Option<i64>,
    pub temperature: Option<f32>,
    pub at: Micros,
}

/// `Taken` when the conversation has an unfinished turn.
pub async fn insert_turn(c: &mut Conn, turn: &NewTurn<'_>) -> Result<()> {
    let temperature = turn.temperature.map(|value| (f64::from(value) * 1000.0).round() as i64);
    on!(c, c => {
        sqlx::query(
            "INSERT INTO turns (id, conversation_id, project_id, user_id, job_id, prompt, mode, model, state, base_revision, budget_tokens,
                                budget_steps, usage_input, usage_output, usage_cached, stop_requested, created_at, budget_usd_micros,
                                max_tokens, temperature)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, $10, $11, 0, 0, 0, $12, $13, $14, $15, $16)",
        )
        .bind(turn.id).bind(turn.conversation_id).bind(turn.project_id).bind(turn.user_id).bind(turn.job_id).bind(turn.prompt)
        .bind(Word(turn.mode)).bind(turn.model).bind(turn.base_revision).bind(turn.budget_tokens).bind(turn.budget_steps).bind(false).bind(turn.at)
        .bind(turn.budget_usd_micros).bind(turn.max_tokens).bind(temperature)
        .execute(c).await?;
    });
    Ok(())
}

pub async fn turn(c: &mut Conn, id: TurnId) -> Result<Option<TurnRow>> {
    Ok(on!(c, c => sqlx::query_as("SELECT * FROM turns WHERE id = $1").bind(id).fetch_optional(c).await?))
}

/// The turn with its row locked until the transaction ends.
pub async fn lock_turn(c: &mut Conn, id: TurnId) -> Result<Option<TurnRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("UPDATE turns SET stop_requested = stop_requested WHERE id = $1 RETURNING *").bind(id).fetch_optional(c).await?
    }))
}

pub async fn turns(c: &mut Conn, conversation: ConversationId) -> Result<Vec<TurnRow>> {
    turns_between(c, conversation, Micros(i64::MIN), Micros(i64::MAX)).await
}

/// Turns that were asked for within these times, and one that is not finished; the oldest first.
pub async fn turns_between(c: &mut Conn, conversation: ConversationId, from: Micros, upto: Micros) -> Result<Vec<TurnRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT * FROM turns WHERE conversation_id = $1 AND ((created_at >= $2 AND created_at <= $3) OR state <> 'finished')
             ORDER BY created_at, id",
        )
        .bind(conversation).bind(from).bind(upto).fetch_all(c).await?
    }))
}

/// Turns of a conversation that were asked for from `from` on.
pub async fn count_turns_since(c: &mut Conn, conversation: ConversationId, from: Micros) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM turns WHERE conversation_id = $1 AND created_at >= $2").bind(conversation).bind(from).fetch_one(c).await?
    }))
}

/// Notes which turn a forked conversation's turn is a copy of.
pub async fn set_copied_from(c: &mut Conn, id: TurnId, from: TurnId) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE turns SET copied_from = $2 WHERE id = $1").bind(id).bind(from).execute(c).await?; });
    Ok(())
}

/// The checkpoint that was made before a turn, if it is still kept.
pub async fn checkpoint_before(c: &mut Conn, project: ProjectId, turn: TurnId) -> Result<Option<CheckpointId>> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT id FROM checkpoints WHERE project_id = $1 AND turn_id = $2 ORDER BY created_at LIMIT 1")
            .bind(project).bind(turn).fetch_optional(c).await?
    }))
}

/// Calls of a turn whose execution had begun, in the order of their events.
pub async fn called_tools(c: &mut Conn, turn: TurnId) -> Result<Vec<EventKind>> {
    let rows: Vec<(Doc<EventKind>,)> = on!(c, c => {
        sqlx::query_as(r#"SELECT body FROM events WHERE stream = $1 AND body LIKE '{"kind":"tool_called"%' ORDER BY seq"#)
            .bind(Stream::Turn(turn).to_string()).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|(Doc(kind),)| kind).collect())
}

pub async fn set_turn_state(c: &mut Conn, id: TurnId, state: TurnState, job: Option<JobId>, at: Micros) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE turns SET state = $2, job_id = COALESCE($3, job_id), started_at = COALESCE(started_at, $4) WHERE id = $1 AND state <> 'finished'")
            .bind(id).bind(Word(state)).bind(job).bind(at).execute(c).await?;
    });
    Ok(())
}

/// `false` when it had ended already.
pub async fn finish_turn(c: &mut Conn, id: TurnId, reason: TurnReason, detail: &str, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query("UPDATE turns SET state = 'finished', reason = $2, detail = $3, finished_at = $4 WHERE id = $1 AND state <> 'finished'")
            .bind(id).bind(Word(reason)).bind(detail).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

pub async fn request_stop(c: &mut Conn, id: TurnId) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE turns SET stop_requested = $2 WHERE id = $1").bind(id).bind(true).execute(c).await?; });
    Ok(())
}

pub async fn add_usage(c: &mut Conn, id: TurnId, usage: TokenUsage) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE turns SET usage_input = usage_input + $2, usage_output = usage_output + $3, usage_cached = usage_cached + $4 WHERE id = $1")
            .bind(id).bind(usage.input).bind(usage.output).bind(usage.cached).execute(c).await?;
    });
    Ok(())
}

/// Adds what a model call cost, in micro-US-dollars; once part of it is estimated, the sum is.
pub async fn add_cost(c: &mut Conn, id: TurnId, micros: i64, estimated: bool) -> Result<()> {
    on!(c, c => {
        sqlx::query("UPDATE turns SET cost_micros = cost_micros + $2, cost_estimated = (cost_estimated OR $3) WHERE id = $1")
            .bind(id).bind(micros).bind(estimated).execute(c).await?;
    });
    Ok(())
}

/// What the turn's branch is compared with; known for certain once the branch is made.
pub async fn set_base_revision(c: &mut Conn, id: TurnId, revision: i64) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE turns SET base_revision = $2 WHERE id = $1").bind(id).bind(revision).execute(c).await?; });
    Ok(())
}

pub async fn set_change_set(c: &mut Conn, id: TurnId, change_set: ChangeSetId) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE turns SET change_set_id = $2 WHERE id = $1").bind(id).bind(change_set).execute(c).await?; });
    Ok(())
}

#[derive(Debug, Clone, FromRow)]
pub struct ApprovalRow {
    pub call_id: String,
    pub name: String,
    pub arguments: String,
    pub decision: Option<Word<Approval>>,
    pub reason: Option<String>,
}

/// Asking twice for the same call changes nothing.
pub async fn insert_approval(c: &mut Conn, turn: TurnId, call_id: &str, name: &str, arguments: &str, at: Micros) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "INSERT INTO approvals (turn_id, call_id, name, arguments, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (turn_id, call_id) DO NOTHING",
        )
        .bind(turn).bind(call_id).bind(name).bind(arguments).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

pub async fn approvals(c: &mut Conn, turn: TurnId) -> Result<Vec<ApprovalRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT call_id, name, arguments, decision, reason FROM approvals WHERE turn_id = $1 ORDER BY created_at, call_id")
            .bind(turn).fetch_all(c).await?
    }))
}

/// `false` when it was answered already, or never asked.
pub async fn answer_approval(
    c: &mut Conn,
    turn: TurnId,
    call_id: &str,
    decision: Approval,
    reason: Option<&str>,
    by: UserId,
    at: Micros,
) -> Result<bool> {
    Ok(on!(c, c => {
        sqlx::query(
            "UPDATE approvals SET decision = $3, reason = $4, decided_by = $5, decided_at = $6
             WHERE turn_id = $1 AND call_id = $2 AND decision IS NULL",
        )
        .bind(turn).bind(call_id).bind(Word(decision)).bind(reason).bind(by).bind(at).execute(c).await?.rows_affected()
    }) == 1)
}

/// Who answered a question about a call, and how; `None` while nobody has, or where nobody was asked.
pub async fn decider(c: &mut Conn, turn: TurnId, call_id: &str) -> Result<Option<(Approval, UserId, String)>> {
    let row: Option<(Word<Approval>, UserId, String)> = on!(c, c => {
        sqlx::query_as(
            "SELECT a.decision, u.id, u.username FROM approvals a JOIN users u ON u.id = a.decided_by
             WHERE a.turn_id = $1 AND a.call_id = $2 AND a.decision IS NOT NULL",
        )
        .bind(turn).bind(call_id).fetch_optional(c).await?
    });
    Ok(row.map(|(decision, user, name)| (decision.0, user, name)))
}
