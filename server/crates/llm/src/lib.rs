//! Language models behind one trait: providers of five dialects, and an offline scripted demonstration. Retries happen here and only before the first token; budgets and
//! fallback to another model belong to the caller.

mod address;
mod answer;
mod assemble;
mod client;
pub mod demo;
mod dialects;
mod error;
pub mod http;
mod memory;
mod model;
mod retry;
pub mod sample;
mod spec;
mod sse;
mod types;

use std::sync::Once;

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use demo::DemoModel;
pub use error::ModelError;
pub use spec::{ApiKey, HostPolicy, Spec, connect, list_models};
pub use types::{FinishReason, Image, Message, ModelEvent, ModelInfo, ModelRequest, Reasoning, ToolCall, ToolSpec, Usage};

/// Events of one answer. Ends after `Finished` or after the first error. Dropping it closes the
/// connection to the provider.
pub type ModelStream = BoxStream<'static, Result<ModelEvent, ModelError>>;

#[async_trait]
pub trait Model: Send + Sync {
    /// The name a person picks this model by.
    fn name(&self) -> &str;

    fn describe(&self) -> ModelInfo;

    /// The most tokens that this request can turn out to be, its pictures included. An upper bound and no estimate: text is never more
    /// tokens than bytes.
    fn most_input(&self, req: &ModelRequest) -> u64;

    /// Asks for one answer. Returns once the model has begun to answer; an empty
    /// `req.model` means this model's own name.
    async fn stream(&self, req: ModelRequest) -> Result<ModelStream, ModelError>;
}

/// Makes *ring* the process's TLS implementation. Does nothing when one is already installed.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing the race against another installer is as good as winning it.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
    });
}
