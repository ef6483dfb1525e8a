use sqlx::FromRow;
use wire::{
    JobId, Micros, ProjectId, RunId, UserId,
    runs::{Exit, RunState},
    terminals::{Terminal, TerminalState},
    users::UserRef,
};

use crate::{Conn, Doc, Result, Word, db::on, users::user_ref};

/// A terminal with what is shown of its run.
#[derive(Debug, Clone, FromRow)]
pub struct TerminalRow {
    pub id: RunId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub job_id: Option<JobId>,
    pub title: String,
    pub cols: i64,
    pub rows: i64,
    pub state: Word<RunState>,
    pub exit_json: Option<Doc<Exit>>,
    pub tier: Option<String>,
    pub created_at: Micros,
    pub finished_at: Option<Micros>,
    pub username: Option<String>,
    pub full_name: Option<String>,
}

impl TerminalRow {
    pub fn state(&self) -> TerminalState {
        match self.state.0 {
            RunState::Queued => TerminalState::Starting,
            RunState::Running => TerminalState::Open,
            _ => TerminalState::Closed,
        }
    }

    /// Columns and rows it was opened with.
    pub fn size(&self) -> (u16, u16) {
        let cells = |n: i64| u16::try_from(n).unwrap_or(u16::MAX).max(1);
        (cells(self.cols), cells(self.rows))
    }

    pub fn into_terminal(self) -> Terminal {
        let state = self.state();
        let opened_by = user_ref(Some(self.user_id), self.username, self.full_name);
        Terminal {
            id: self.id,
            project_id: self.project_id,
            title: self.title,
            state,
            exit: self.exit_json.map(|doc| doc.0),
            tier: self.tier,
            opened_by: opened_by.unwrap_or(UserRef { id: self.user_id, name: String::new() }),
            created_at: self.created_at,
            finished_at: self.finished_at,
        }
    }
}

macro_rules! select {
    ($filter:literal) => {
        concat!(
            "SELECT r.id, r.project_id, r.user_id, r.job_id, t.title, t.cols, t.rows, r.state, r.exit_json, r.tier, r.created_at,
                    r.finished_at, u.username, u.full_name
             FROM terminals t JOIN runs r ON r.id = t.run_id LEFT JOIN users u ON u.id = r.user_id WHERE ",
            $filter
        )
    };
}

/// What only terminals have; their run is inserted before.
pub async fn insert(c: &mut Conn, run: RunId, title: &str, cols: u16, rows: u16) -> Result<()> {
    on!(c, c => {
        sqlx::query("INSERT INTO terminals (run_id, title, cols, rows) VALUES ($1, $2, $3, $4)")
            .bind(run).bind(title).bind(i64::from(cols)).bind(i64::from(rows)).execute(c).await?;
    });
    Ok(())
}

pub async fn get(c: &mut Conn, id: RunId) -> Result<Option<TerminalRow>> {
    Ok(on!(c, c => sqlx::query_as(select!("t.run_id = $1")).bind(id).fetch_optional(c).await?))
}

/// The oldest first: those that are not closed, and those closed after `closed_since`.
pub async fn list(c: &mut Conn, project: ProjectId, closed_since: Micros) -> Result<Vec<TerminalRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(select!("r.project_id = $1 AND (r.finished_at IS NULL OR r.finished_at > $2) ORDER BY r.created_at, r.id"))
            .bind(project).bind(closed_since).fetch_all(c).await?
    }))
}

/// How many terminals of a user are not closed, over all projects.
pub async fn open_of_user(c: &mut Conn, user: UserId) -> Result<i64> {
    Ok(on!(c, c => {
        sqlx::query_scalar("SELECT COUNT(*) FROM terminals t JOIN runs r ON r.id = t.run_id WHERE r.user_id = $1 AND r.finished_at IS NULL")
            .bind(user).fetch_one(c).await?
    }))
}

pub async fn set_title(c: &mut Conn, id: RunId, title: &str) -> Result<()> {
    on!(c, c => { sqlx::query("UPDATE terminals SET title = $2 WHERE run_id = $1").bind(id).bind(title).execute(c).await?; });
    Ok(())
}
