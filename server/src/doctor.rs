use std::{fmt::Write, sync::Arc};

use sandbox::Probe;
use wire::admin::{CheckState, Health};

use crate::{config::Config, wiring};

/// What was found: every check of the health page, and what the sandbox's tier was chosen by.
pub struct Report {
    pub health: Health,
    pub sandbox: Option<Probe>,
}

/// Builds everything that `serve` would build, without opening a port, and asks each part how it is.
pub async fn examine(config: Arc<Config>) -> Result<Report, wiring::WiringError> {
    let app = wiring::wire(config, wiring::Role::Doctor).await?;
    let sandbox = app.work.map(|work| work.sandbox.probe_result().clone());
    Ok(Report { health: domain::health::check(&app.services).await, sandbox })
}

/// One line a check, with advice below it where something can be done.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    for check in &report.health.checks {
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
    if let Some(probe) = &report.sandbox {
        let overlay = if probe.overlay { "overlays" } else { "copies, as overlays are refused here" };
        let _ =
            writeln!(text, "\nSandbox tier {}, control groups {:?}, branches are {overlay}: {}", probe.tier, probe.cgroup, probe.reason);
        for finding in &probe.findings {
            let mark = if finding.ok { "ok     " } else { "missing" };
            let _ = writeln!(text, "{mark}  {:<16} {}", finding.name, finding.detail);
            if let Some(advice) = &finding.advice {
                let _ = writeln!(text, "         {:<16} → {advice}", "");
            }
        }
    }
    text
}

/// The checks as the health page has them, for programs.
pub fn render_json(report: &Report) -> String {
    format!("{}\n", serde_json::to_string(&report.health).unwrap_or_default())
}
