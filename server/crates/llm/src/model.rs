//! A model at the other end of HTTP, whatever it speaks.

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use wire::{context::REQUEST_FRAME_MAX, models::ProviderKind};

use crate::answer::Answer;
use crate::assemble::Assembler;
use crate::client::Client;
use crate::dialects::{Body, ToolTexts, write_request};
use crate::memory::Memory;
use crate::retry::{Refusal, wait_before_retry};
use crate::{Message, Model, ModelError, ModelInfo, ModelRequest, ModelStream, Spec};

pub(crate) struct HttpModel {
    client: Client,
    memory: Memory,
    tools: ToolTexts,
}

impl HttpModel {
    pub(crate) fn new(spec: Spec) -> Result<Self, ModelError> {
        Ok(Self { client: Client::new(&spec)?, memory: Memory::default(), tools: ToolTexts::default() })
    }

    /// One attempt, up to the first thing that the model says.
    async fn attempt(&self, req: &ModelRequest, body: &Body) -> Result<Answer, Refusal> {
        let spec = &self.client.spec;
        let first_byte_by = Instant::now() + spec.first_byte;
        let response = self.client.send(&req.model, body, first_byte_by).await?;
        let assembler = Assembler::new(&req.messages, self.client.key().map(str::to_owned), self.memory.clone());
        let mut answer = Answer::new(response, self.client.dialect.as_ref(), assembler, first_byte_by, spec.stall);
        answer.begin().await?;
        Ok(answer)
    }
}

#[async_trait]
impl Model for HttpModel {
    fn name(&self) -> &str {
        &self.client.spec.shown
    }

    fn describe(&self) -> ModelInfo {
        let spec = &self.client.spec;
        ModelInfo { name: spec.shown.clone(), provider: self.client.host.clone(), is_demo: false, context_tokens: spec.context_tokens }
    }

    fn most_input(&self, req: &ModelRequest) -> u64 {
        let mut req = req.clone();
        let mut pictures = 0;
        for message in &mut req.messages {
            if let Message::User { text, images } = message
                && !images.is_empty()
            {
                pictures += images.len();
                // The sentence that stands for them where the model takes none is no longer than this.
                text.push_str(&" ".repeat(100));
                images.clear();
            }
        }
        let spec = &self.client.spec;
        let body = write_request(self.client.dialect.as_ref(), &req, spec, &self.memory, &self.tools);
        let bytes: usize = body.iter().map(bytes::Bytes::len).sum();
        let pictures = if spec.images { pictures as u64 * picture_max(spec.kind) } else { 0 };
        bytes as u64 + pictures + REQUEST_FRAME_MAX as u64
    }

    async fn stream(&self, mut req: ModelRequest) -> Result<ModelStream, ModelError> {
        if req.model.is_empty() {
            req.model.clone_from(&self.client.spec.model);
        }
        if !self.client.spec.images {
            leave_out_images(&mut req.messages);
        }
        let body = write_request(self.client.dialect.as_ref(), &req, &self.client.spec, &self.memory, &self.tools);
        // A model may think for long before it says anything; what was written need not wait beside its text.
        (req.system, req.tools) = Default::default();
        keep_call_ids(&mut req.messages);
        let mut attempt = 1;
        loop {
            let refusal = match self.attempt(&req, &body).await {
                Ok(answer) => return Ok(answer.into_stream()),
                Err(refusal) => refusal,
            };
            let Some(wait) = wait_before_retry(&refusal, attempt) else {
                return Err(refusal.error);
            };
            let (code, wait_ms) = (refusal.error.code(), wait.as_millis() as u64);
            tracing::info!(host = %self.client.host, code, attempt, wait_ms, "model request is tried again");
            sleep(wait).await;
            attempt += 1;
        }
    }
}

/// Forgets all of a conversation but the ids of its calls, which those of the answer must differ from.
fn keep_call_ids(messages: &mut Vec<Message>) {
    messages.retain_mut(|message| {
        let Message::Assistant { text, reasoning, tool_calls } = message else { return false };
        (*text, *reasoning) = Default::default();
        for call in tool_calls.iter_mut() {
            (call.name, call.arguments) = Default::default();
        }
        !tool_calls.is_empty()
    });
    messages.shrink_to_fit();
}

/// The most that a provider counts for one picture, in tokens, above what each documents for any of its models.
fn picture_max(kind: ProviderKind) -> u64 {
    match kind {
        // Small models of OpenAI count 48 169 for the largest picture.
        ProviderKind::OpenaiChat | ProviderKind::OpenaiResponses | ProviderKind::Demo => 50_000,
        ProviderKind::Anthropic => 5_000,
        ProviderKind::Gemini => 10_000,
        ProviderKind::Ollama => 17_000,
    }
}

fn leave_out_images(messages: &mut [Message]) {
    for message in messages {
        if let Message::User { text, images } = message
            && !images.is_empty()
        {
            let count = images.len();
            images.clear();
            text.push_str(&format!("\n\n[{count} attached image(s) left out: this model takes text only.]"));
        }
    }
}
