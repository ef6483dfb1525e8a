use std::io::Write;

use domain::Error;
use serde::Serialize;
use serde_json::{Value, json};
use wire::FieldError;

use super::CliError;

/// Where a command's answer goes: results to stdout, what went wrong to stderr; as text, or as JSON.
pub struct Output {
    json: bool,
}

/// A closed pipe on the other side is nobody's error.
pub fn tell(to: &mut dyn Write, text: &str) {
    let _ = to.write_all(text.as_bytes());
    let _ = to.flush();
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// One answer, in whichever form was asked for.
    pub fn say(&mut self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let line = match self.json {
            true => serde_json::to_string(value).unwrap_or_default(),
            false => text(),
        };
        tell(&mut std::io::stdout(), &format!("{}\n", line.trim_end()));
    }

    pub fn fail(&self, error: &CliError) {
        let text = match self.json {
            true => json!({ "error": describe(error), "fields": fields_of(error) }).to_string(),
            false => {
                let lines = fields_of(error).into_iter().map(|field| format!("  {}: {}", field.field, field.message));
                std::iter::once(describe(error)).chain(lines).collect::<Vec<_>>().join("\n")
            }
        };
        tell(&mut std::io::stderr(), &format!("{text}\n"));
    }
}

fn describe(error: &CliError) -> String {
    match error {
        CliError::Refused(Error::NotFound(noun)) => format!("There is no such {noun}. Nothing was changed."),
        CliError::Refused(Error::Invalid(_)) => "Nothing was changed: something that was given can't be used.".to_owned(),
        CliError::Refused(Error::Internal(source)) => format!("It failed: {source}"),
        other => other.to_string(),
    }
}

fn fields_of(error: &CliError) -> Vec<FieldError> {
    match error {
        CliError::Refused(Error::Invalid(fields)) => fields.clone(),
        _ => Vec::new(),
    }
}

/// Rows as text, each column as wide as its widest cell.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = line(head);
    for row in rows {
        text.push('\n');
        text.push_str(&line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    text
}

/// A value for `--json` alone.
pub fn done(what: &str, of: &impl Serialize) -> Value {
    json!({ "done": what, "user": of })
}
