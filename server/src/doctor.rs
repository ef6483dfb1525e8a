use std::{fmt::Write, sync::Arc};

use wire::admin::{CheckState, Health};

use crate::{config::Config, wiring};

/// Builds everything that `serve` would build, without opening a port, and asks each part how it is.
pub async fn examine(config: Arc<Config>) -> Result<Health, wiring::WiringError> {
    let app = wiring::wire(config, wiring::Role::Doctor).await?;
    Ok(domain::health::check(&app.services).await)
}

/// One line a check, with advice below it where something can be done.
pub fn render(health: &Health) -> String {
    let mut text = String::new();
    for check in &health.checks {
        let mark = match check.state {
            CheckState::Ok => "ok     ",
            CheckState::Warning => "warning",
            CheckState::Failed => "FAILED ",
        };
        let _ = writeln!(text, "{mark}  {:<12} {}", check.name, check.reason);
        if let Some(advice) = &check.advice {
            let _ = writeln!(text, "         {:<12} → {advice}", "");
        }
    }
    text
}
