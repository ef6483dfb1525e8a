//! The end of a turn: what it made is kept, its branch forgotten.

use domain::{Ctx, Error, chat};
use sandbox::WorkspaceError;
use wire::{
    TurnId,
    chat::{MessageBody, TurnReason},
};

use super::{Driver, Outcome, journal};
use crate::{
    text::count_of,
    workspace::{self, SyncError},
};

/// Of a turn that has no branch at its end, and had changed something.
const LOST: &str = "What it had changed is lost with the worker that held it; the project is as it was before.";

pub(super) async fn end(ctx: &Ctx, turn: TurnId, reason: TurnReason, detail: String) -> Result<Outcome, Error> {
    chat::finish_turn(ctx, turn, reason, &detail).await?;
    Ok(Outcome::Finished { reason, detail })
}

impl Driver {
    /// Nothing of the turn is running any more: keeps what it made, forgets the branch, ends.
    pub(super) async fn finish(&mut self, reason: TurnReason, mut detail: String) -> Result<Outcome, Error> {
        self.close_servers().await;
        let (project, turn) = (self.turn.project_id, self.turn.id);
        let mut note = None;
        match workspace::branch_to_change_set(&self.ctx, &self.deps.workspaces, &self.turn, self.base_revision).await {
            Ok(collected) => {
                if reason != TurnReason::Done {
                    let files = collected.change_set.as_ref().map_or(0, |set| set.files.len());
                    detail = format!("{detail} {}", describe_kept(files));
                }
                if !collected.left_out.is_empty() {
                    let text = describe_left_out(&collected.left_out);
                    detail = format!("{detail} {text}");
                    note = Some(MessageBody::Note { text });
                }
            }
            // Stopped before there was one here.
            Err(SyncError::Workspace(WorkspaceError::NoBranch)) => {
                let own: Vec<_> = self.transcript.iter().filter(|message| message.turn_id == Some(turn)).collect();
                let lost = journal::describe_lost(&own, &self.started_calls);
                detail = format!("{detail} {}", lost.map_or_else(|| describe_kept(0), |_| LOST.to_owned()));
            }
            Err(SyncError::Domain(error)) => return Err(error),
            Err(SyncError::Workspace(error)) => {
                tracing::error!(turn.id = %turn, %error, "a turn's changes could not be collected");
                detail = format!("{detail} Its changes could not be collected ({error}); the project is as it was before.");
            }
        }
        if let Err(error) = self.deps.workspaces.drop_branch(project.0, turn.0).await {
            tracing::warn!(turn.id = %turn, %error, "a branch that is no longer needed could not be removed");
        }
        let outcome = end(&self.ctx, turn, reason, detail).await?;
        // Behind the end: a note before it would tell a rebuilt machine that the turn is to go on.
        if let Some(note) = note {
            self.append(note).await?;
        }
        Ok(outcome)
    }
}

fn describe_kept(files: usize) -> String {
    match files {
        0 => "It had changed no file.".to_owned(),
        1 => "1 changed file is kept for review.".to_owned(),
        n => format!("{} are kept for review.", count_of(n, "changed file")),
    }
}

fn describe_left_out(left_out: &[(String, &'static str)]) -> String {
    let shown: Vec<String> = left_out.iter().take(5).map(|(path, why)| format!("{path} ({why})")).collect();
    let more = if left_out.len() > shown.len() { format!(" and {} more", left_out.len() - shown.len()) } else { String::new() };
    format!("Not part of the proposal: {}{more}.", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_said() {
        assert_eq!(
            [0, 1, 2].map(describe_kept),
            ["It had changed no file.", "1 changed file is kept for review.", "2 changed files are kept for review."]
        );
    }
}
