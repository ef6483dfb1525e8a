//! What belongs to a project as a whole. Nothing of it may act by itself: whoever wrote the archive is not who is trusted here.

use std::collections::HashSet;

use store::{
    Word,
    archive::{self as table, BudgetLine, CallLine, CodegenLine, EgressLine, RuleLine, SettingsLine},
};
use wire::{
    budgets::{BUDGET_TOKENS_MAX, BudgetScope, MICROS_USD_MAX, Period, SetBudget},
    files::check_path,
    limits, network as hosts,
    permissions::{self, NewPermissionRule, PermissionEffect},
    runs::RunKind,
};

use super::{
    damaged,
    rows::{OrMadeUp, Rows, check_count},
    store_error,
};
use crate::{export::format::Part, jobs::JobError, network::LOG_KEPT};

/// Characters of a model's name, and of the word that says why a call failed.
const NAME_MAX: usize = 200;
/// Milliseconds of a call, a day.
const CALL_MS_MAX: i64 = 86_400_000;

impl Rows<'_> {
    pub async fn around(&mut self) -> Result<(), JobError> {
        self.rules().await?;
        self.settings().await?;
        self.egress().await?;
        self.budgets().await?;
        self.calls().await
    }

    /// Rules for the agent. One that allows something waits until somebody makes it here.
    async fn rules(&mut self) -> Result<(), JobError> {
        let (mut held, mut waiting) = (0, 0);
        let mut lines = self.filling.lines::<RuleLine>(Part::Rules);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                let RuleLine { tool, command_pattern, path_pattern, .. } = line.clone();
                let rule = NewPermissionRule { effect: line.effect.0, tool, command_pattern, path_pattern };
                if !rule.validate().is_empty() {
                    return Err(damaged("a rule in it can't be"));
                }
                line.waits |= rule.effect == PermissionEffect::Allow;
                let count = if line.waits { &mut waiting } else { &mut held };
                *count += 1;
                if held > permissions::RULES_MAX {
                    return Err(damaged("it has more rules than a project can"));
                }
                // What waits holds nothing, so the rest of too many is no loss.
                if line.waits && waiting > permissions::RULES_MAX {
                    continue;
                }
                let by = self.people.find(&mut tx, &line.by).await?;
                table::insert_rule(&mut tx, self.filling.project, &line, &by).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    /// How it is tested, and the hosts that were open: these wait as well.
    async fn settings(&mut self) -> Result<(), JobError> {
        let mut lines = self.filling.lines::<SettingsLine>(Part::Settings);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                let fits = line.test_command.as_ref().is_none_or(|command| command.len() <= limits::COMMAND_MAX && !command.contains('\0'))
                    && line.test_report.as_ref().is_none_or(|path| check_path(path).is_ok());
                let mut waiting = std::mem::take(&mut line.hosts.0);
                waiting.append(&mut line.hosts_waiting.0);
                let mut seen = HashSet::new();
                waiting.retain(|rule| seen.insert(rule.clone()));
                if !fits || waiting.len() > 2 * hosts::RULES_MAX || waiting.iter().any(|rule| rule.parse().is_err()) {
                    return Err(damaged("its settings can't be"));
                }
                waiting.truncate(hosts::RULES_MAX);
                line.hosts_waiting.0 = waiting;
                table::put_settings(&mut tx, self.filling.project, &line).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    /// Which turn a run stands for.
    pub(super) async fn codegen(&mut self) -> Result<(), JobError> {
        let mut lines = self.filling.lines::<CodegenLine>(Part::Codegen);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for line in batch {
                let run = self.id(line.run_id.0);
                if self.runs.get(&run).is_none_or(|found| found.kind != Some(RunKind::Codegen)) {
                    return Err(damaged("a turn is that of no run"));
                }
                let turn = self.known_turn(line.turn_id)?;
                store::codegen::insert(&mut tx, run, turn).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    async fn egress(&mut self) -> Result<(), JobError> {
        let mut count = 0;
        let mut lines = self.filling.lines::<EgressLine>(Part::Egress);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            count += batch.len() as i64;
            for mut line in batch {
                line.id = self.filling.id(line.id);
                line.run_id = self.id(line.run_id.0);
                let lengths = [(&line.host, 253), (&line.reason, 400)];
                if count > LOG_KEPT || u16::try_from(line.port).is_err() || lengths.iter().any(|(text, most)| text.len() > *most) {
                    return Err(damaged("what its runs asked the network for can't be"));
                }
                table::insert_egress(&mut tx, self.filling.project, &line).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    /// Limits of the project and of conversations. What was used of them elsewhere is not counted here.
    async fn budgets(&mut self) -> Result<(), JobError> {
        let mut lines = self.filling.lines::<BudgetLine>(Part::Budgets);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                line.subject = match (line.scope.0, line.period.0) {
                    (BudgetScope::ProjectOwn, _) => self.filling.project.0,
                    (BudgetScope::Conversation, Period::Total) => self.filling.id(line.subject),
                    _ => return Err(damaged("a budget in it is not a project's")),
                };
                let is_known = line.scope == Word(BudgetScope::ProjectOwn) || self.conversations.contains_key(&line.subject.into());
                let (usd_micros, tokens) = (line.usd_micros, line.tokens);
                let limits = SetBudget { scope: line.scope.0, subject: None, period: line.period.0, usd_micros, tokens, version: None };
                if !is_known || (usd_micros.is_none() && tokens.is_none()) || !limits.validate().is_empty() {
                    return Err(damaged("a budget in it can't be"));
                }
                let by = self.people.find(&mut tx, &line.by).await?.id;
                table::insert_budget(&mut tx, &line, by).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }

    /// What model calls used and cost, where they were made.
    async fn calls(&mut self) -> Result<(), JobError> {
        let mut count = 0;
        let mut lines = self.filling.lines::<CallLine>(Part::Calls);
        while let Some(batch) = lines.next().await? {
            let mut tx = self.filling.begin().await?;
            count += batch.len();
            check_count(count)?;
            for mut line in batch {
                line.id = self.id(line.id.0);
                // Of what is gone nothing is found under the new id either.
                line.conversation_id = line.conversation_id.map(|id| self.id(id.0));
                line.turn_id = line.turn_id.map(|id| self.id(id.0));
                line.message_id = line.message_id.map(|id| self.id(id.0));
                check_call(&line)?;
                let by = self.people.find(&mut tx, &line.by).await?.or_made_up(self.filling, &line.by);
                table::insert_call(&mut tx, self.filling.project, &line, &by).await.map_err(store_error)?;
            }
            self.filling.commit(tx).await?;
        }
        Ok(())
    }
}

/// So that no sum over all calls that an archive may have is too large for a number.
fn check_call(line: &CallLine) -> Result<(), JobError> {
    let money = [line.cost_micros, line.price_input, line.price_output, line.price_cached, line.price_cache_write.unwrap_or_default()];
    let times = [line.first_token_ms.unwrap_or_default(), line.duration_ms.unwrap_or_default()];
    let fits = [line.input, line.output, line.cached, line.cache_write].iter().all(|n| (0..=BUDGET_TOKENS_MAX).contains(n))
        && money.iter().all(|n| (0..=MICROS_USD_MAX).contains(n))
        && times.iter().all(|n| (0..=CALL_MS_MAX).contains(n))
        && line.model.len() <= NAME_MAX
        && line.code.as_ref().is_none_or(|code| code.len() <= NAME_MAX)
        && matches!(line.outcome.as_str(), "ok" | "failed" | "stopped" | "lost");
    if fits { Ok(()) } else { Err(damaged("a model call in it can't be")) }
}
