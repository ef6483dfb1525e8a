//! Conversations of an archive, with all that belongs to them.

use std::collections::HashMap;

use store::{
    Doc, Word,
    archive::{self as table, ApprovalLine, ConversationLine, MessageLine, PictureLine, QueuedLine, RewindLine, TurnLine, UndoneLine},
};
use uuid::Uuid;
use wire::{
    ConversationId,
    budgets::{BUDGET_TOKENS_MAX, MICROS_USD_MAX},
    chat::{AttachmentKind, LAST_PROMPT_CHARS, MessageBody, TurnReason},
    context::{ContextChoice, IMAGE_MAX_BYTES, Mention, image_type},
};

use super::{
    damaged,
    rows::{OrMadeUp, Rows, check_count},
    store_error,
};
use crate::{
    Error,
    chat::{HELD_FROM_ARCHIVE, QUEUE_MAX},
    context::PICTURES_MAX,
    export::format::Part,
    jobs::JobError,
};

const STILL_GOING_ON: &str = "It was still going on when the project was exported.";
/// Characters of a sentence that says why a queue waits.
const WAITS_MAX: usize = 400;

impl Rows<'_> {
    /// Pictures of messages. What each is, is told by its bytes.
    pub async fn pictures(&mut self) -> Result<(), JobError> {
        let mut bytes = 0;
        let mut lines = self.filling.lines::<PictureLine>(Part::Pictures);
        while let Some(batch) = lines.next().await? {
            for line in &batch {
                self.filling.check_content(&line.checksum, Some(line.size_bytes))?;
                bytes += line.size_bytes;
                if line.size_bytes > IMAGE_MAX_BYTES as i64 || bytes > PICTURES_MAX {
                    return Err(damaged("its pictures are larger than pictures may be"));
                }
            }
            let mut found = Vec::with_capacity(batch.len());
            for mut line in batch {
                let read = self.filling.blobs.read_all(&line.checksum, IMAGE_MAX_BYTES as u64).await;
                let content = read.map_err(|error| JobError::from(Error::from(error)))?;
                line.media_type = image_type(&content).ok_or_else(|| damaged("a picture in it is none"))?.to_owned();
                found.push(line);
            }
            let mut tx = self.filling.begin().await?;
            let named: Vec<&str> = found.iter().map(|line| line.checksum.as_str()).collect();
            self.filling.keep(&mut tx, &named).await?;
            for line in &found {
                let user = self.people.find(&mut tx, &line.by).await?.id.unwrap_or(self.importer);
                table::insert_picture(&mut tx, self.filling.project, line, user).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
            self.pictures.extend(found.into_iter().map(|line| line.checksum));
        }
        Ok(())
    }

    /// Conversations, their turns and messages, and what belongs to these.
    pub async fn talk(&mut self) -> Result<(), JobError> {
        let (project, now) = (self.filling.project, self.filling.ctx.now());
        let mut lines = self.filling.lines::<ConversationLine>(Part::Conversations);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                // One that is gone is not found under its new id either.
                line.parent_id = line.parent_id.map(|parent| self.id(parent.0));
                line.last_prompt = line.last_prompt.map(|text| plain(&text, LAST_PROMPT_CHARS));
                line.queue_waits = line.queue_waits.map(|text| plain(&text, WAITS_MAX));
                line.deleted_at = line.deleted_at.map(|at| at.min(now));
                line.last_message = 0;
                let user = self.people.find(&mut tx, &line.by).await?.id.unwrap_or(self.importer);
                table::insert_conversation(&mut tx, project, &line, user).await.map_err(store_error)?;
                self.conversations.insert(line.id, 0);
            }
            self.filling.commit(tx).await?;
            check_count(self.conversations.len())?;
        }
        self.turn_lines().await?;
        self.messages().await?;
        self.approvals().await?;
        self.rewinds().await?;
        self.undone().await?;
        self.queued().await
    }

    async fn turn_lines(&mut self) -> Result<(), JobError> {
        let project = self.filling.project;
        let mut lines = self.filling.lines::<TurnLine>(Part::Turns);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                line.conversation_id = self.id(line.conversation_id.0);
                if !self.conversations.contains_key(&line.conversation_id) {
                    return Err(damaged("a turn is of no conversation"));
                }
                check_amounts(&line)?;
                // Where its change set is not in the archive, nothing is found under the id, as for one that was deleted.
                line.change_set_id = line.change_set_id.map(|set| self.id(set.0));
                line.copied_from = line.copied_from.map(|turn| self.id(turn.0));
                if let Some(Doc(choice)) = &mut line.choice {
                    self.check_choice(choice)?;
                }
                if line.reason.is_none() {
                    line.reason = Some(Word(TurnReason::Lost));
                    line.detail = Some(STILL_GOING_ON.to_owned());
                    line.finished_at = line.finished_at.or(Some(line.created_at));
                }
                let user = self.people.find(&mut tx, &line.by).await?.id.unwrap_or(self.importer);
                table::insert_turn(&mut tx, project, &line, user).await.map_err(store_error)?;
                self.turns.insert(line.id, line.conversation_id);
            }
            self.filling.commit(tx).await?;
            check_count(self.turns.len())?;
        }
        Ok(())
    }

    /// Gives the things that a choice names the ids that they have here.
    fn check_choice(&self, choice: &mut ContextChoice) -> Result<(), JobError> {
        if !choice.validate().is_empty() {
            return Err(damaged("a message in it was sent with what none can be"));
        }
        for mention in &mut choice.mentions {
            if let Mention::Run { run_id } = mention {
                *run_id = self.id(run_id.0);
            }
        }
        for key in &mut choice.without {
            // Such as `m4.a:` and the id of a run.
            if let Some((kind, name)) = key.rsplit_once(':')
                && let Ok(old) = name.parse::<Uuid>()
            {
                *key = format!("{kind}:{}", self.filling.id(old));
            }
        }
        Ok(())
    }

    async fn messages(&mut self) -> Result<(), JobError> {
        let mut lines = self.filling.lines::<MessageLine>(Part::Messages);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            let mut last: HashMap<ConversationId, i64> = HashMap::new();
            for mut line in batch {
                line.id = self.id(line.id.0);
                line.conversation_id = self.id(line.conversation_id.0);
                line.turn_id = self.turn(line.turn_id);
                let before = self.conversations.get(&line.conversation_id).copied();
                if before.is_none_or(|before| line.seq != before + 1) {
                    return Err(damaged("a message is out of its order"));
                }
                self.conversations.insert(line.conversation_id, line.seq);
                last.insert(line.conversation_id, line.seq);
                self.check_body(&mut line.body.0, line.seq)?;
                table::insert_message(&mut tx, &line).await.map_err(store_error)?;
            }
            for (conversation, seq) in &last {
                table::set_last_message(&mut tx, *conversation, *seq).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    /// Gives what a message names the ids that it has here. A picture that is not in the archive is one that is not stored any more.
    fn check_body(&self, body: &mut MessageBody, seq: i64) -> Result<(), JobError> {
        match body {
            MessageBody::Decision { change_set_id, .. } => *change_set_id = self.id(change_set_id.0),
            MessageBody::Tool { facts, .. } => facts.run_id = facts.run_id.map(|run| self.id(run.0)),
            MessageBody::Compacted { upto_seq, .. } if !(0..seq).contains(upto_seq) => {
                return Err(damaged("a summary in it stands for what comes after it"));
            }
            MessageBody::User { attachments, .. } => {
                for attached in attachments {
                    match attached.kind {
                        AttachmentKind::Image => attached.checksum = attached.checksum.take().filter(|sum| self.pictures.contains(sum)),
                        AttachmentKind::Run => {
                            if let Ok(run) = attached.path.parse::<Uuid>() {
                                attached.path = self.filling.id(run).to_string();
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn approvals(&mut self) -> Result<(), JobError> {
        let mut count = 0;
        let mut lines = self.filling.lines::<ApprovalLine>(Part::Approvals);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            count += batch.len();
            check_count(count)?;
            for mut line in batch {
                line.turn_id = self.known_turn(line.turn_id)?;
                let by = self.people.find(&mut tx, &line.by).await?.or_made_up(self.filling, &line.by);
                table::insert_approval(&mut tx, &line, &by).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    async fn rewinds(&mut self) -> Result<(), JobError> {
        let mut count = 0;
        let mut lines = self.filling.lines::<RewindLine>(Part::Rewinds);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            count += batch.len();
            check_count(count)?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                line.conversation_id = self.id(line.conversation_id.0);
                line.turn_id = self.known_turn(line.turn_id)?;
                // A checkpoint may have been thinned out since; then the files can't be brought back in one step, here as there.
                line.checkpoint_id = line.checkpoint_id.map(|checkpoint| self.id(checkpoint.0));
                let last = self.conversations.get(&line.conversation_id).copied().unwrap_or_default();
                let is_of_it = self.turns.get(&line.turn_id) == Some(&line.conversation_id);
                if !is_of_it || line.from_seq < 1 || line.upto_seq < line.from_seq || line.upto_seq > last {
                    return Err(damaged("something that was taken back is not in it"));
                }
                for revision in line.revision.iter() {
                    self.check_revision(*revision)?;
                }
                let by = self.people.find(&mut tx, &line.by).await?;
                let undone_by = match line.undone_by.take() {
                    Some(username) => self.people.find(&mut tx, &table::By { username: Some(username), author: None }).await?.id,
                    None => None,
                };
                let user = by.id.unwrap_or(self.importer);
                table::insert_rewind(&mut tx, &line, user, by.author.as_deref(), undone_by).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    async fn undone(&mut self) -> Result<(), JobError> {
        let mut lines = self.filling.lines::<UndoneLine>(Part::Undone);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.conversation_id = self.id(line.conversation_id.0);
                let last = self.conversations.get(&line.conversation_id).copied().unwrap_or_default();
                if !(1..=last).contains(&line.seq) {
                    return Err(damaged("a summary that was taken back is not in it"));
                }
                let user = self.people.find(&mut tx, &line.by).await?.id.unwrap_or(self.importer);
                table::insert_undone(&mut tx, &line, user).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    /// Messages that wait. They are the importer's, who would pay for them, and a person has to send them.
    async fn queued(&mut self) -> Result<(), JobError> {
        let mut waiting: HashMap<ConversationId, usize> = HashMap::new();
        let mut lines = self.filling.lines::<QueuedLine>(Part::Queued);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                line.conversation_id = self.id(line.conversation_id.0);
                if !self.conversations.contains_key(&line.conversation_id) {
                    return Err(damaged("a message waits in no conversation"));
                }
                let count = waiting.entry(line.conversation_id).or_default();
                *count += 1;
                if *count > QUEUE_MAX || !line.request.0.validate().is_empty() {
                    return Err(damaged("a message that waits in it could not be sent"));
                }
                if *count == 1 {
                    table::hold_queue(&mut tx, line.conversation_id, HELD_FROM_ARCHIVE).await.map_err(store_error)?;
                }
                self.check_choice(&mut line.request.0.context)?;
                table::insert_queued(&mut tx, &line, self.importer).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }
}

fn check_amounts(line: &TurnLine) -> Result<(), JobError> {
    let tokens = [line.usage_input, line.usage_output, line.usage_cached];
    let money = [line.cost_micros, line.budget_usd_micros.unwrap_or_default()];
    let fits = tokens.iter().all(|n| (0..=BUDGET_TOKENS_MAX).contains(n)) && money.iter().all(|n| (0..=MICROS_USD_MAX).contains(n));
    let fits = fits
        && line.max_tokens.is_none_or(|n| (1..=BUDGET_TOKENS_MAX).contains(&n))
        && line.temperature.is_none_or(|thousandths| (0..=2000).contains(&thousandths));
    if fits { Ok(()) } else { Err(damaged("a turn in it used more than one can")) }
}

/// One line of at most so many characters.
fn plain(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}
