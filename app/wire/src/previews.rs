//! What listens inside a run can be opened in the browser, on an origin of its own.

use serde::{Deserialize, Serialize};

/// A port of a run on which something listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RunPort {
    pub port: u16,
    /// The port of this server's host that leads to it; `None` where previews are reached by host name, or can't be.
    #[serde(default)]
    pub public_port: Option<u16>,
}

/// Where to go, once: the address carries a pass that is traded for a cookie of the preview's own origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PreviewAddress {
    pub url: String,
}
