//! The talk with the agent as lines of an archive: what was said, what was asked and taken back, what waits, and the pictures.

use std::collections::{HashMap, HashSet};

use store::archive::{self as table, ConversationLine};
use wire::{
    ConversationId, TurnId,
    chat::{AttachmentKind, MessageBody},
};

use super::{
    format::Part,
    pack::Packer,
    past::{PAGE, Past, Rows},
};
use crate::Result;

/// What messages were seen to have.
#[derive(Default)]
struct Said {
    pictures: HashSet<String>,
    last: HashMap<ConversationId, i64>,
}

impl Past<'_> {
    /// `held` is content that is in the archive already. Answers the turns that are in it now.
    pub(super) async fn talk(&self, packer: &mut Packer, held: HashSet<String>) -> Result<HashSet<TurnId>> {
        let mut conn = self.ctx.services().db.read().await?;
        let conversations = table::conversations(&mut conn, self.project.id, self.edits).await?;
        drop(conn);
        self.part(packer, Part::Conversations, &conversations).await?;
        let known = self.turns(packer, &conversations).await?;
        let mut said = Said::default();
        let mut messages = Rows::new(self, Part::Messages);
        for conversation in &conversations {
            self.messages(packer, &mut messages, conversation.id, &mut said).await?;
        }
        messages.finish(packer).await?;
        self.beside(packer, &conversations, &known, &mut said).await?;
        self.pictures(packer, &said.pictures, held).await?;
        Ok(known)
    }

    async fn turns(&self, packer: &mut Packer, conversations: &[ConversationLine]) -> Result<HashSet<TurnId>> {
        let mut known = HashSet::new();
        let mut turns = Rows::new(self, Part::Turns);
        for conversation in conversations {
            let mut conn = self.ctx.services().db.read().await?;
            let lines = table::turns(&mut conn, conversation.id).await?;
            drop(conn);
            known.extend(lines.iter().map(|line| line.id));
            turns.all(packer, &lines).await?;
        }
        turns.finish(packer).await?;
        Ok(known)
    }

    async fn messages(&self, packer: &mut Packer, rows: &mut Rows, of: ConversationId, said: &mut Said) -> Result<()> {
        let mut after = 0;
        loop {
            let mut conn = self.ctx.services().db.read().await?;
            let page = table::messages(&mut conn, of, after, PAGE / 10).await?;
            drop(conn);
            let Some(last) = page.last() else { return Ok(()) };
            after = last.seq;
            said.last.insert(of, after);
            for line in &page {
                if let MessageBody::User { attachments, .. } = &line.body.0 {
                    let pictures = attachments.iter().filter(|attached| attached.kind == AttachmentKind::Image);
                    said.pictures.extend(pictures.filter_map(|attached| attached.checksum.clone()));
                }
            }
            rows.all(packer, &page).await?;
        }
    }

    /// What belongs to conversations and is not said in them. What came up since turns and messages were read is left out.
    async fn beside(
        &self,
        packer: &mut Packer,
        conversations: &[ConversationLine],
        turns: &HashSet<TurnId>,
        said: &mut Said,
    ) -> Result<()> {
        let mut approvals = Rows::new(self, Part::Approvals);
        let mut rewinds = Rows::new(self, Part::Rewinds);
        let mut queued = Rows::new(self, Part::Queued);
        let mut undone = Rows::new(self, Part::Undone);
        for ConversationLine { id, .. } in conversations {
            let mut conn = self.ctx.services().db.read().await?;
            let last = said.last.get(id).copied().unwrap_or_default();
            let mut asked = table::approvals(&mut conn, *id).await?;
            let mut taken_back = table::rewinds(&mut conn, *id).await?;
            let waiting = table::queued(&mut conn, *id).await?;
            let mut summaries = table::undone(&mut conn, *id).await?;
            drop(conn);
            asked.retain(|line| turns.contains(&line.turn_id));
            taken_back.retain(|line| turns.contains(&line.turn_id) && line.upto_seq <= last);
            summaries.retain(|line| line.seq <= last);
            said.pictures.extend(waiting.iter().flat_map(|line| &line.request.0.images).map(|image| image.checksum.clone()));
            approvals.all(packer, &asked).await?;
            rewinds.all(packer, &taken_back).await?;
            queued.all(packer, &waiting).await?;
            undone.all(packer, &summaries).await?;
        }
        approvals.finish(packer).await?;
        rewinds.finish(packer).await?;
        queued.finish(packer).await?;
        undone.finish(packer).await
    }

    /// Pictures that a message of the archive has: not those of drafts, and not those of what is left out.
    async fn pictures(&self, packer: &mut Packer, named: &HashSet<String>, mut held: HashSet<String>) -> Result<()> {
        let mut conn = self.ctx.services().db.read().await?;
        let mut pictures = table::pictures(&mut conn, self.project.id).await?;
        drop(conn);
        pictures.retain(|picture| named.contains(&picture.checksum));
        self.part(packer, Part::Pictures, &pictures).await?;
        for picture in pictures {
            if held.insert(picture.checksum.clone()) {
                self.content(packer, &picture.checksum, picture.size_bytes.max(0) as u64).await?;
            }
        }
        Ok(())
    }
}
