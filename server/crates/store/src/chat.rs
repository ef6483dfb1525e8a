use sqlx::FromRow;
use wire::{
    ChangeSetId, ConversationId, JobId, MessageId, Micros, ProjectId, TurnId, UserId,
    chat::{Approval, Conversation, Message, MessageBody, Mode, TokenUsage, Turn, TurnReason, TurnState},
};

use crate::{Conn, Doc, Result, Word, db::on};

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
        }
    }
}

macro_rules! select_conversation {
    ($filter:literal) => {
        concat!(
            "SELECT c.id, c.project_id, c.user_id, c.title, c.last_message, c.created_at, c.updated_at,
                    (SELECT t.id FROM turns t WHERE t.conversation_id = c.id AND t.state <> 'finished') AS active_turn
             FROM conversations c WHERE c.deleted_at IS NULL AND ",
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
    Ok(on!(c, c => sqlx::query_as(select_conversation!("c.id = $1")).bind(id).fetch_optional(c).await?))
}

pub async fn conversations(c: &mut Conn, project: ProjectId) -> Result<Vec<ConversationRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select_conversation!("c.project_id = $1 ORDER BY c.updated_at DESC, c.id DESC LIMIT 500")).bind(project).fetch_all(c).await?
    }))
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
        sqlx::query("INSERT INTO messages (id, conversation_id, turn_id, seq, body, created_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(id).bind(conversation).bind(turn).bind(seq).bind(Doc(body)).bind(at).execute(c).await?;
        seq
    }))
}

#[derive(FromRow)]
struct MessageRow {
    id: MessageId,
    turn_id: Option<TurnId>,
    seq: i64,
    body: Doc<MessageBody>,
    created_at: Micros,
}

pub async fn messages(c: &mut Conn, conversation: ConversationId) -> Result<Vec<Message>> {
    let rows: Vec<MessageRow> = on!(c, c => {
        sqlx::query_as("SELECT id, turn_id, seq, body, created_at FROM messages WHERE conversation_id = $1 ORDER BY seq")
            .bind(conversation).fetch_all(c).await?
    });
    Ok(rows
        .into_iter()
        .map(|row| Message { id: row.id, turn_id: row.turn_id, seq: row.seq, body: row.body.0, created_at: row.created_at })
        .collect())
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
    pub usage_input: i64,
    pub usage_output: i64,
    pub usage_cached: i64,
    pub stop_requested: bool,
    pub change_set_id: Option<ChangeSetId>,
    pub created_at: Micros,
    pub started_at: Option<Micros>,
    pub finished_at: Option<Micros>,
}

impl TurnRow {
    pub fn into_turn(self) -> Turn {
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
    pub at: Micros,
}

/// `Taken` when the conversation has an unfinished turn.
pub async fn insert_turn(c: &mut Conn, turn: &NewTurn<'_>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO turns (id, conversation_id, project_id, user_id, job_id, prompt, mode, model, state, base_revision, budget_tokens,
                                budget_steps, usage_input, usage_output, usage_cached, stop_requested, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, $10, $11, 0, 0, 0, $12, $13)",
        )
        .bind(turn.id).bind(turn.conversation_id).bind(turn.project_id).bind(turn.user_id).bind(turn.job_id).bind(turn.prompt)
        .bind(Word(turn.mode)).bind(turn.model).bind(turn.base_revision).bind(turn.budget_tokens).bind(turn.budget_steps).bind(false).bind(turn.at)
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
    Ok(on!(c, c => {
        sqlx::query_as("SELECT * FROM turns WHERE conversation_id = $1 ORDER BY created_at, id").bind(conversation).fetch_all(c).await?
    }))
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
