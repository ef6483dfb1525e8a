//! One question to a model, without project, tools or conversation: who may ask it, how often, and what it may cost. The model itself is
//! asked elsewhere, between [`begin`] and [`end`].

use wire::{
    FieldError, UserId,
    chat::TokenUsage,
    context::REQUEST_FRAME_MAX,
    generate::{Generate, GenerateUsage},
};

use crate::{
    Ctx, Error, Result,
    budgets::{self, CallEnd, CallPlan, Pace, Reservation, Reserved},
    models::{self, ResolvedModel},
};

/// Answers of one person at a time, and in a minute.
pub const AT_ONCE: i64 = 4;
pub const PER_MINUTE: i64 = 60;
/// What an answer may have where the request names nothing.
const TOKENS_DEFAULT: i64 = 4096;
/// Tokens around the prompt itself.
const FRAME: i64 = 16;

/// A question that may be asked now; whoever asks it ends it, whatever becomes of the answer.
#[derive(Debug)]
pub struct Begun {
    pub model: ResolvedModel,
    pub prompt: String,
    pub max_tokens: i64,
    pub temperature: f32,
    /// As the request named it.
    asked_temperature: Option<f32>,
    /// What the prompt is thought to be, in tokens.
    pub input_tokens: i64,
    pub reservation: Reservation,
}

/// Looks at everything that can be wrong and reserves the worst case. Errors: `Invalid` by field, `RateLimited`, `Forbidden` where a budget
/// does not reach, `Unavailable` without a model.
pub async fn begin(ctx: &Ctx, request: Generate) -> Result<Begun> {
    let user = ctx.require_user()?.id;
    if ctx.agent_turn().is_some() {
        return Err(Error::Forbidden("The agent asks models by its turn only.".to_owned()));
    }
    let mut fields = request.validate();
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let model = models::resolve(ctx, request.model.as_deref()).await?;
    // Three bytes a token, as everywhere it is shown.
    let input_tokens = i64::try_from(request.prompt.len().div_ceil(3)).unwrap_or(i64::MAX).saturating_add(FRAME);
    let max_tokens = request.max_tokens.unwrap_or(TOKENS_DEFAULT.min(model.max_output).min(model.context_tokens / 2).max(1));
    if let Some(field) = too_long(&model, max_tokens) {
        fields.push(field);
    } else if input_tokens.saturating_add(max_tokens) > model.context_tokens {
        let text = format!("The prompt and its answer do not fit into the {} tokens of {}.", model.context_tokens, model.name);
        fields.push(FieldError::new("prompt", text));
    }
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let pace = Pace { at_once: AT_ONCE, per_minute: PER_MINUTE };
    let reservation = granted(budgets::reserve_at(ctx, plan(user, &model, &request.prompt, max_tokens), pace).await?)?;
    let (asked_temperature, temperature) = (request.temperature, request.temperature.unwrap_or(model.temperature));
    Ok(Begun { model, prompt: request.prompt, max_tokens, temperature, asked_temperature, input_tokens, reservation })
}

fn too_long(model: &ResolvedModel, max_tokens: i64) -> Option<FieldError> {
    (max_tokens > model.max_output)
        .then(|| FieldError::new("max_tokens", format!("{} writes at most {} tokens.", model.name, model.max_output)))
}

/// The same bound for the answers of a turn. Errors: `Invalid`.
pub(crate) fn check_length(model: &ResolvedModel, max_tokens: Option<i64>) -> Result<()> {
    match max_tokens.and_then(|tokens| too_long(model, tokens)) {
        Some(field) => Err(Error::Invalid(vec![field])),
        None => Ok(()),
    }
}

/// The same question for the backup of a model that failed before its first token; `None` where it does not fit into that one. The call
/// that failed is booked already, and its turn in the caller's pace counts for both. Errors: `Forbidden` where a budget does not reach.
pub async fn begin_again(ctx: &Ctx, failed: Begun, model: ResolvedModel) -> Result<Option<Begun>> {
    let user = ctx.require_user()?.id;
    let max_tokens = failed.max_tokens.min(model.max_output);
    if failed.input_tokens.saturating_add(max_tokens) > model.context_tokens {
        return Ok(None);
    }
    let reservation = granted(budgets::reserve(ctx, plan(user, &model, &failed.prompt, max_tokens)).await?)?;
    let temperature = failed.asked_temperature.unwrap_or(model.temperature);
    Ok(Some(Begun { model, max_tokens, temperature, reservation, ..failed }))
}

/// No text is more tokens than bytes.
fn plan<'a>(user: UserId, model: &'a ResolvedModel, prompt: &str, output_max: i64) -> CallPlan<'a> {
    let input_tokens = budgets::most_input(model, prompt.len() as u64 + REQUEST_FRAME_MAX as u64, output_max);
    CallPlan { user, project: None, conversation: None, turn: None, model, input_tokens, output_max }
}

fn granted(reserved: Reserved) -> Result<Reservation> {
    match reserved {
        Reserved::Granted(reservation) => Ok(reservation),
        Reserved::Refused { sentence, .. } => Err(Error::Forbidden(sentence)),
    }
}

/// Books what the answer came to, and answers it.
pub async fn end(ctx: &Ctx, reservation: Reservation, end: CallEnd) -> Result<GenerateUsage> {
    let TokenUsage { input, output, cached } = end.usage.or(end.estimate).unwrap_or_default();
    let cost = budgets::settle(ctx, reservation, end).await?;
    Ok(GenerateUsage { input, output, cached, cost_micros: cost.micros_usd, estimated: cost.estimated })
}
