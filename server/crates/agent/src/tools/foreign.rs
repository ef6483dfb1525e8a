//! Tools that are not built in, such as those of a server that an administrator added.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{Output, ToolError};

/// One tool of somebody else's, as the model sees it.
#[derive(Debug, Clone)]
pub struct ForeignTool {
    /// Unique in the turn; letters, digits, `_` and `-`.
    pub name: String,
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub schema: Arc<Value>,
    /// It may change something; when in doubt, true.
    pub mutates: bool,
    /// In *ask* mode it waits for a person.
    pub asks: bool,
}

/// Who offers tools for one turn. What they answer is data, as every tool result is.
#[async_trait]
pub trait Foreign: Send + Sync {
    /// All tools on offer; the same for as long as this lives.
    fn tools(&self) -> &[ForeignTool];

    /// Runs one of [`Foreign::tools`] until it answers, or `cancel` ends it. What goes wrong is told to the model as `Refused`.
    async fn call(&self, name: &str, arguments: Map<String, Value>, cancel: &CancellationToken) -> Result<Output, ToolError>;

    /// Ends whatever was started here. Returns when nothing of it is alive.
    async fn close(&self) {}
}
