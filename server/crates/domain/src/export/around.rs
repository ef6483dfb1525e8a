//! What belongs to a project as a whole, as lines of an archive.

use store::archive as table;

use super::{
    format::Part,
    pack::Packer,
    past::{PAGE, Past, Rows},
};
use crate::{Result, network};

impl Past<'_> {
    /// Rules, settings and what runs asked the network for; for those who are told, also budgets and what was paid.
    pub(super) async fn around(&self, packer: &mut Packer) -> Result<()> {
        let project = self.project.id;
        let mut conn = self.ctx.services().db.read().await?;
        let rules = table::rules(&mut conn, project).await?;
        let settings: Vec<_> = table::settings(&mut conn, project).await?.into_iter().collect();
        let egress = table::egress(&mut conn, project, network::LOG_KEPT).await?;
        let budgets = if self.edits { table::budgets(&mut conn, project).await? } else { Vec::new() };
        drop(conn);
        self.part(packer, Part::Rules, &rules).await?;
        self.part(packer, Part::Settings, &settings).await?;
        self.part(packer, Part::Egress, &egress).await?;
        self.part(packer, Part::Budgets, &budgets).await?;
        if self.edits { self.calls(packer).await } else { Ok(()) }
    }

    async fn calls(&self, packer: &mut Packer) -> Result<()> {
        let mut rows = Rows::new(self, Part::Calls);
        let mut after = None;
        loop {
            let mut conn = self.ctx.services().db.read().await?;
            let page = table::calls(&mut conn, self.project.id, after, PAGE).await?;
            drop(conn);
            let Some(last) = page.last() else { break };
            after = Some((last.started_at, last.id));
            rows.all(packer, &page).await?;
        }
        rows.finish(packer).await
    }
}
