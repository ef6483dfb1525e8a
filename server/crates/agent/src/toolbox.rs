use std::collections::HashMap;

use async_trait::async_trait;
use domain::{Ctx, Error, context::ToolList};
use wire::{ProjectId, chat::Mode, permissions::ToolTraits};

use crate::{
    context::text_of,
    mcp::known,
    tools::{self, Foreign},
};

/// What the page is told of the tools that a turn would have: the agent's own, and those of servers as far as they are known.
pub struct Toolbox;

#[async_trait]
impl domain::context::Toolbox for Toolbox {
    async fn tools(&self, ctx: &Ctx, project: ProjectId, mode: Mode) -> Result<ToolList, Error> {
        let (servers, _) = domain::mcp::offered(ctx).await?;
        let mut foreign = known::list(&servers, project).await;
        let later = std::mem::take(&mut foreign.later);
        let web = tools::web_fetch::is_open(ctx, project).await?;
        let rules = tools::rules(Some(&foreign), web);
        let names: Vec<String> = rules.into_iter().filter(|rule| !(mode == Mode::Plan && rule.mutates)).map(|rule| rule.name).collect();
        Ok(ToolList { tools: tools::specs(&names, Some(&foreign)).iter().map(text_of).collect(), later })
    }

    async fn foreign_traits(&self, ctx: &Ctx, project: ProjectId) -> Result<HashMap<String, ToolTraits>, Error> {
        let (servers, _) = domain::mcp::offered(ctx).await?;
        let known = known::list(&servers, project).await;
        Ok(known.tools().iter().map(|tool| (tool.name.clone(), ToolTraits { mutates: tool.mutates, asks: tool.asks })).collect())
    }
}
