//! A model at the other end of HTTP, whatever it speaks.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::answer::Answer;
use crate::assemble::Assembler;
use crate::client::Client;
use crate::dialects::write_request;
use crate::memory::Memory;
use crate::retry::{Refusal, wait_before_retry};
use crate::{Message, Model, ModelError, ModelInfo, ModelRequest, ModelStream, Spec};

pub(crate) struct HttpModel {
    client: Client,
    memory: Memory,
}

impl HttpModel {
    pub(crate) fn new(spec: Spec) -> Result<Self, ModelError> {
        Ok(Self { client: Client::new(&spec)?, memory: Memory::default() })
    }

    /// One attempt, up to the first thing that the model says.
    async fn attempt(&self, req: &ModelRequest, body: &Bytes) -> Result<Answer, Refusal> {
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

    async fn stream(&self, mut req: ModelRequest) -> Result<ModelStream, ModelError> {
        if req.model.is_empty() {
            req.model.clone_from(&self.client.spec.model);
        }
        if !self.client.spec.images {
            leave_out_images(&mut req.messages);
        }
        let body = write_request(self.client.dialect.as_ref(), &req, &self.client.spec, &self.memory);
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
