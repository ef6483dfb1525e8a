//! One question to a model, answered piece by piece. Whoever drops the answer ends it: the connection to the provider closes, and what was
//! written until then is booked.

use std::{sync::Arc, time::Duration};

use domain::{
    Ctx, Error,
    budgets::{CallEnd, CallOutcome},
    generate::{self, Begun},
};
use futures::StreamExt;
use llm::{FinishReason, Message, Model, ModelError, ModelEvent, ModelRequest};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;
use wire::{
    chat::TokenUsage,
    generate::{Generate, GenerateUsage, Generated},
};

use crate::{
    ask::{may_switch, model_span},
    models::Pool,
    text::estimate_tokens,
};

/// No answer takes longer.
const LONGEST: Duration = Duration::from_secs(600);
/// Pieces on their way to a reader; the model waits for a slow one.
const AHEAD: usize = 64;

/// A piece of an answer. The last one is `Done` or `Failed`.
#[derive(Debug)]
pub enum Piece {
    Text(String),
    Done {
        model: String,
        /// The model that was asked first and failed before its first token.
        instead_of: Option<String>,
        usage: GenerateUsage,
        cut: bool,
    },
    Failed(Error),
}

/// An answer that is being written.
pub struct Generation {
    pieces: mpsc::Receiver<Piece>,
    _stop: DropGuard,
}

impl Generation {
    /// `None` after the last piece, or when the server stops.
    pub async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }

    /// Waits for all of it.
    pub async fn whole(mut self) -> Result<Generated, Error> {
        let mut text = String::new();
        while let Some(piece) = self.next().await {
            match piece {
                Piece::Text(more) => text.push_str(&more),
                Piece::Done { model, instead_of, usage, cut } => return Ok(Generated { text, model, instead_of, usage, cut }),
                Piece::Failed(error) => return Err(error),
            }
        }
        Err(Error::Unavailable("The answer was stopped. What was written until then is booked.".to_owned()))
    }
}

/// Asks, if the caller may; where the model fails before its first token, its backup. Ends early when the answer is dropped or `stop` is
/// cancelled.
pub async fn generate(ctx: &Ctx, pool: &Arc<Pool>, request: Generate, stop: CancellationToken) -> Result<Generation, Error> {
    let begun = generate::begin(ctx, request).await?;
    let client = pool.connect(&begun.model);
    let (sender, pieces) = mpsc::channel(AHEAD);
    // Its own task, so that it is booked also when nobody waits any more.
    tokio::spawn(write(ctx.clone(), pool.clone(), begun, client, sender, stop.clone()));
    Ok(Generation { pieces, _stop: stop.drop_guard() })
}

type Client = Result<Arc<dyn Model>, ModelError>;

async fn write(ctx: Ctx, pool: Arc<Pool>, begun: Begun, client: Client, sender: mpsc::Sender<Piece>, stop: CancellationToken) {
    let last = match answer(ctx, &pool, begun, client, &sender, &stop).await {
        Ok(Some(piece)) => piece,
        Ok(None) => return,
        Err(error) => Piece::Failed(error),
    };
    // Nobody may be left to read it.
    let _ = sender.send(last).await;
}

/// The last piece; `None` where it was stopped.
async fn answer(
    ctx: Ctx,
    pool: &Pool,
    mut begun: Begun,
    mut client: Client,
    sender: &mpsc::Sender<Piece>,
    stop: &CancellationToken,
) -> Result<Option<Piece>, Error> {
    let mut instead_of = None;
    loop {
        let mut answer = Answer::new(ctx.clone(), begun);
        let span = model_span(&answer.begun.model.name);
        let end = answer.ask(client, sender, stop).instrument(span.clone()).await;
        span.record("outcome", end.word());
        drop(span);
        let usage = answer.book(&end).await?;
        let error = match end {
            End::Complete { cut } => return Ok(Some(Piece::Done { model: answer.begun.model.name, instead_of, usage, cut })),
            End::Stopped => return Ok(None),
            End::Failed(error) => error,
        };
        let failed = Piece::Failed(Error::Unavailable(error.sentence()));
        if instead_of.is_some() || !may_switch(&error, answer.has_begun()) {
            return Ok(Some(failed));
        }
        let Some((model, other)) = pool.backup(&ctx, &answer.begun.model).await? else { return Ok(Some(failed)) };
        let name = answer.begun.model.name.clone();
        let Some(again) = generate::begin_again(&ctx, answer.begun, model).await? else { return Ok(Some(failed)) };
        tracing::info!(from = name, to = again.model.name, "a prompt is answered by the backup model");
        (begun, client, instead_of) = (again, Ok(other), Some(name));
    }
}

struct Answer {
    ctx: Ctx,
    begun: Begun,
    began: Instant,
    first_token: Option<Duration>,
    written: usize,
    usage: Option<TokenUsage>,
    cache_written: i64,
}

/// How the stream ended.
enum End {
    Complete { cut: bool },
    Stopped,
    Failed(ModelError),
}

impl End {
    fn word(&self) -> &'static str {
        match self {
            Self::Complete { .. } => "ok",
            Self::Stopped => "stopped",
            Self::Failed(_) => "failed",
        }
    }
}

impl Answer {
    fn new(ctx: Ctx, begun: Begun) -> Self {
        Self { ctx, begun, began: Instant::now(), first_token: None, written: 0, usage: None, cache_written: 0 }
    }

    fn has_begun(&self) -> bool {
        self.first_token.is_some() || self.usage.is_some()
    }

    async fn ask(&mut self, client: Client, sender: &mpsc::Sender<Piece>, stop: &CancellationToken) -> End {
        let client = match client {
            Ok(client) => client,
            Err(error) => return End::Failed(error),
        };
        tokio::select! {
            end = self.read(client, sender) => end,
            () = stop.cancelled() => End::Stopped,
            () = sender.closed() => End::Stopped,
            () = sleep(LONGEST) => End::Failed(ModelError::Stalled),
        }
    }

    async fn read(&mut self, client: Arc<dyn Model>, sender: &mpsc::Sender<Piece>) -> End {
        let request = ModelRequest {
            messages: vec![Message::User { text: self.begun.prompt.clone(), images: Vec::new() }],
            max_tokens: u32::try_from(self.begun.max_tokens).unwrap_or(u32::MAX),
            temperature: self.begun.temperature,
            reasoning: self.begun.model.reasoning.clone(),
            ..ModelRequest::default()
        };
        let mut stream = match client.stream(request).await {
            Ok(stream) => stream,
            Err(error) => return End::Failed(error),
        };
        loop {
            match stream.next().await {
                Some(Ok(ModelEvent::Text(text))) => {
                    self.note(text.len());
                    if sender.send(Piece::Text(text)).await.is_err() {
                        return End::Stopped;
                    }
                }
                Some(Ok(ModelEvent::Reasoning(text))) => self.note(text.len()),
                Some(Ok(ModelEvent::Arguments(bytes))) => self.note(bytes),
                Some(Ok(ModelEvent::Usage(usage))) => {
                    let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
                    self.usage =
                        Some(TokenUsage { input: signed(usage.input), output: signed(usage.output), cached: signed(usage.cached) });
                    self.cache_written = signed(usage.cache_write);
                }
                Some(Ok(ModelEvent::Finished(reason))) => return End::Complete { cut: reason == FinishReason::Length },
                Some(Ok(_)) => {}
                Some(Err(error)) => return End::Failed(error),
                None => return End::Failed(ModelError::CutOff),
            }
        }
    }

    fn note(&mut self, bytes: usize) {
        self.first_token.get_or_insert_with(|| self.began.elapsed());
        self.written += bytes;
    }

    async fn book(&self, end: &End) -> Result<GenerateUsage, Error> {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let outcome = match end {
            End::Complete { .. } => CallOutcome::Ok,
            End::Stopped => CallOutcome::Stopped,
            End::Failed(error) => CallOutcome::Failed(error.code().to_owned()),
        };
        // What was refused cost nothing.
        let refused = self.written == 0 && matches!(end, End::Failed(error) if !error.may_cost());
        let counted = TokenUsage { input: self.begun.input_tokens, output: estimate_tokens(self.written), cached: 0 };
        let estimate = if refused || self.begun.model.is_demo { TokenUsage::default() } else { counted };
        let end = CallEnd {
            usage: self.usage,
            cache_written: self.cache_written,
            estimate: Some(estimate),
            first_token_ms: self.first_token.map(millis),
            duration_ms: millis(self.began.elapsed()),
            outcome,
        };
        generate::end(&self.ctx, self.begun.reservation.clone(), end).await
    }
}
