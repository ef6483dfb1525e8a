//! One call of a model: the request is put together, its worst case reserved, the answer streamed, what it came to booked.

use std::sync::Arc;

use domain::{
    Ctx, Error,
    budgets::{self, CallPlan, Reserved},
    context::{self as parts, Situation},
    models::{self, ResolvedModel},
};
use futures::FutureExt;
use llm::{Model, ModelRequest};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use wire::{
    UserId,
    chat::{Message, MessageBody, TokenUsage, Turn},
};

use super::{Chosen, Driver};
use crate::{
    ask::{ask, model_span},
    compaction::compact,
    context::{self, Prompted},
    fsm::{Event, ModelCall},
    tools,
};

/// An answer with less room than this is not worth asking for.
const ANSWER_MIN: i64 = 256;
const NOTHING_TO_SUM_UP: &str = "There is too little of them for a summary to save room.";
const NO_TOKENS_TO_SUM_UP: &str = "What is left of this turn's token budget does not allow it.";

impl Driver {
    pub(super) async fn call_model(&mut self, call: &ModelCall) -> Result<(), Error> {
        if let Some(sentence) = self.choose_model().await? {
            let usage = TokenUsage::default();
            let may_switch = self.unusable.is_some();
            let (text, reasoning) = (String::new(), String::new());
            self.events.push_back(Event::ModelFailed { sentence, text, reasoning, usage, may_switch });
            return Ok(());
        }
        let Some(chosen) = self.model.take() else { return Err(Error::internal("a model was chosen and is not there")) };
        let Prompted { mut request, raw_input, answer_max, .. } = self.prompt(call, &chosen).await?;
        // The worst case must fit before anything is sent.
        let (bound, window) = (chosen.client.most_input(&request), chosen.model.context_tokens);
        let is_short = |left: &i64| window <= 0 || *left < window;
        let most = call.tokens_left.filter(is_short).map_or(answer_max, |left| answer_max.min(left - budgets::signed(bound)));
        if most < ANSWER_MIN {
            self.events.push_back(Event::BudgetTooSmall);
            self.model = Some(chosen);
            return Ok(());
        }
        // What the message allows may be less than is worth asking for otherwise: that is its writer's to say.
        let most = self.answer_max.map_or(most, |allowed| most.min(allowed));
        request.max_tokens = u32::try_from(most).unwrap_or(u32::MAX);
        request.temperature = self.temperature.unwrap_or(request.temperature);
        let asked = Asked {
            ctx: self.ctx.clone(),
            turn: self.turn.clone(),
            user: self.user,
            model: chosen.model.clone(),
            client: chosen.client.clone(),
            request,
            input_tokens: budgets::most_input(&chosen.model, bound, most),
            raw_input,
            output_max: most,
            cancel: self.work.clone(),
        };
        self.model = Some(chosen);
        self.answer = Some(asked.run().boxed());
        Ok(())
    }

    /// Finds the turn's model when it is first needed. Answers a sentence for people where it can't be used.
    async fn choose_model(&mut self) -> Result<Option<String>, Error> {
        if self.model.is_some() {
            return Ok(None);
        }
        let resolved = match self.resolved.take() {
            Some(resolved) => resolved,
            None => models::resolve(&self.ctx, Some(answering(&self.turn, &self.transcript))).await,
        };
        let model = match resolved {
            Ok(model) => model,
            Err(Error::Invalid(fields)) => return Ok(fields.into_iter().next().map(|field| field.message)),
            Err(Error::Unavailable(sentence) | Error::Forbidden(sentence)) => return Ok(Some(sentence)),
            Err(error) => return Err(error),
        };
        Ok(match self.connect(model).await? {
            Ok(chosen) => {
                self.model = Some(chosen);
                None
            }
            Err(sentence) => Some(sentence),
        })
    }

    /// The inner error is a sentence for people.
    async fn connect(&mut self, model: ResolvedModel) -> Result<Result<Chosen, String>, Error> {
        match self.deps.models.connect(&model) {
            Ok(client) => self.situate(model, client).await.map(Ok),
            Err(error) => {
                self.unusable = Some(model);
                Ok(Err(error.sentence()))
            }
        }
    }

    /// What all requests of this turn to a model have in common.
    pub(super) async fn situate(&mut self, model: ResolvedModel, client: Arc<dyn Model>) -> Result<Chosen, Error> {
        let (name, window) = (&model.name, model.context_tokens);
        let situation = Situation::of_turn(&self.ctx, &self.turn, &self.transcript, self.base_revision, name, window).await?;
        Ok(Chosen { model, client, situation })
    }

    /// The next request; where it gets too long, the older part of the conversation is summed up first.
    async fn prompt(&mut self, call: &ModelCall, chosen: &Chosen) -> Result<Prompted, Error> {
        let Chosen { model, client, situation } = chosen;
        loop {
            let specs = tools::specs(&call.tools, self.foreign.as_deref());
            let prompted = context::build(&self.ctx, &self.turn, situation, &self.transcript, model, specs).await?;
            let Some(plan) = prompted.compact.as_ref().filter(|_| self.compacts) else {
                if self.compacts && self.tell_no_summary(situation, NOTHING_TO_SUM_UP).await? {
                    continue;
                }
                return Ok(prompted);
            };
            // A summary costs as any answer does.
            if call.tokens_left.is_some_and(|left| left <= plan.tokens_before) {
                if self.tell_no_summary(situation, NO_TOKENS_TO_SUM_UP).await? {
                    continue;
                }
                return Ok(prompted);
            }
            match compact(&self.ctx, &self.turn, situation, plan, &self.transcript, client, model, &self.cancel).await? {
                Ok(message) => self.transcript.push(message),
                Err(reason) => {
                    self.tell_no_summary(situation, &reason).await?;
                    self.compacts = false;
                }
            }
        }
    }

    /// Whoever asked for a summary hears once why there is none. True when something was written.
    async fn tell_no_summary(&mut self, situation: &Situation, reason: &str) -> Result<bool, Error> {
        if self.told_no_summary || !situation.owes_summary(&self.transcript) {
            return Ok(false);
        }
        self.told_no_summary = true;
        let text = format!("The older messages were not summed up as asked, and are sent as they are. {reason}");
        self.append(MessageBody::Note { text }).await?;
        Ok(true)
    }
}

/// The name of the model that answers in a turn. One that took over keeps it, also when the turn is taken up again: the one that failed
/// is not gone back to before the turn's end.
pub(super) fn answering<'a>(turn: &'a Turn, transcript: &'a [Message]) -> &'a str {
    let taken_over = transcript.iter().rev().filter(|message| message.turn_id == Some(turn.id)).find_map(|message| match &message.body {
        MessageBody::Switched { to, .. } => Some(to.as_str()),
        _ => None,
    });
    taken_over.unwrap_or(&turn.model)
}

struct Asked {
    ctx: Ctx,
    turn: Turn,
    user: UserId,
    model: ResolvedModel,
    client: Arc<dyn Model>,
    request: ModelRequest,
    input_tokens: i64,
    raw_input: i64,
    output_max: i64,
    cancel: CancellationToken,
}

impl Asked {
    /// Whatever becomes of the answer, the reservation is settled; one whose worker died is settled by whoever takes the turn up.
    async fn run(self) -> Result<Event, Error> {
        let plan = CallPlan {
            user: self.user,
            project: Some(self.turn.project_id),
            conversation: Some(self.turn.conversation_id),
            turn: Some(self.turn.id),
            model: &self.model,
            input_tokens: self.input_tokens,
            output_max: self.output_max,
        };
        let reservation = match Box::pin(budgets::reserve(&self.ctx, plan)).await? {
            Reserved::Granted(reservation) => reservation,
            Reserved::Refused { sentence, .. } => return Ok(Event::BudgetRefused { sentence }),
        };
        let span = model_span(&self.model.name);
        let asked = ask(&self.ctx, self.turn.id, self.client, self.request, &self.cancel).instrument(span.clone()).await?;
        span.record("outcome", asked.end.outcome.word());
        drop(span);
        let counted = asked.end.usage.filter(|_| !self.model.is_demo);
        Box::pin(budgets::settle(&self.ctx, reservation, asked.end)).await?;
        if let Some(usage) = counted {
            Box::pin(parts::learn_ratio(&self.ctx, &self.model.name, self.raw_input, usage.input)).await?;
        }
        Ok(asked.event)
    }
}
