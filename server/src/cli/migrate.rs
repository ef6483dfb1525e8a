use std::process::ExitCode;

use serde_json::json;
use store::{Db, Migrations};

use super::{AMISS, Output};
use crate::{
    config::Config,
    wiring::{self, WiringError},
};

/// Brings the schema to this version's, or only says how far it is.
pub async fn migrate(config: &Config, only_status: bool, json: bool) -> Result<ExitCode, WiringError> {
    let mut output = Output::new(json);
    if !only_status {
        let schema = wiring::open_database(config).await?.migrations().await?;
        output.say(&describe(&schema), || "The database is at this version's schema.".to_owned());
        return Ok(ExitCode::SUCCESS);
    }
    // Looking makes no database.
    let schema = match Db::missing(config.database_url.expose())? {
        Some(schema) => schema,
        None => wiring::connect(config).await?.migrations().await?,
    };
    output.say(&describe(&schema), || render(&schema));
    Ok(if schema.pending.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(AMISS) })
}

fn describe(schema: &Migrations) -> serde_json::Value {
    let steps = |list: &[(i64, String)]| list.iter().map(|(number, name)| json!({ "number": number, "name": name })).collect::<Vec<_>>();
    json!({ "applied": steps(&schema.applied), "pending": steps(&schema.pending), "unknown": steps(&schema.unknown) })
}

fn render(schema: &Migrations) -> String {
    let line = |state: &str, (number, name): &(i64, String)| format!("{state}  {number:04}  {name}");
    let applied = schema.applied.iter().map(|step| line("applied", step));
    let pending = schema.pending.iter().map(|step| line("PENDING", step));
    let mut lines: Vec<String> = applied.chain(pending).collect();
    if !schema.pending.is_empty() {
        lines.push("The database is behind this version. Bring it there with: cloudxdevai migrate".to_owned());
    }
    if !schema.unknown.is_empty() {
        lines.push(format!("{} of the applied steps are of a newer version than this program.", schema.unknown.len()));
    }
    lines.join("\n")
}
