//! Limits as people write them: sizes and times with their units, each under the name that the server knows it by.

use std::collections::BTreeMap;

use serde_json::Value;
use wire::{FieldError, network::HostRule, settings::RunSettings};

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Time,
    Size,
    Percent,
    Number,
}

/// One limit of a kind of run.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub name: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub unit: Unit,
}

const fn limit(name: &'static str, label: &'static str, unit: Unit, hint: &'static str) -> Limit {
    Limit { name, label, hint, unit }
}

pub const LIMITS: [Limit; 10] = [
    limit("wall_s", "Time", Unit::Time, "From the start to the end"),
    limit("cpu_percent", "Processors", Unit::Percent, "100 % is one"),
    limit("memory_bytes", "Memory", Unit::Size, "With files held in memory"),
    limit("pids", "Processes", Unit::Number, "And threads, at a time"),
    limit("open_files", "Open files", Unit::Number, "Of one process"),
    limit("file_bytes", "Largest file", Unit::Size, ""),
    limit("project_bytes", "Project on disk", Unit::Size, "With what was installed"),
    limit("project_files", "Files in the project", Unit::Number, ""),
    limit("tmp_bytes", "Temporary files", Unit::Size, "In /tmp"),
    limit("output_bytes", "Output", Unit::Size, ""),
];

pub const KINDS: [(&str, &str); 4] =
    [("sandbox_exec", "Commands"), ("test_runner", "Tests"), ("codegen", "Agent"), ("terminal", "Terminals")];

/// Numbers that hold for the whole server.
pub const SHARED: [Limit; 4] = [
    limit("jobs_per_user", "Jobs of one person", Unit::Number, "That run at a time; more wait their turn."),
    limit("jobs_in_all", "Jobs of everybody", Unit::Number, "That run at a time, over all workers; 0 for as many as the workers take."),
    limit("terminals_per_user", "Terminals of one person", Unit::Number, "Open at a time."),
    limit("terminal_idle_s", "Idle terminals close after", Unit::Time, "Without anybody typing; the last minutes are announced."),
];

/// A group of hosts that belong together.
pub const PRESETS: [(&str, &[&str]); 5] = [
    ("PyPI", &["pypi.org", "files.pythonhosted.org"]),
    ("npm", &["registry.npmjs.org"]),
    ("crates.io", &["crates.io", "index.crates.io", "static.crates.io"]),
    ("Debian", &["deb.debian.org", "security.debian.org"]),
    ("GitHub", &["github.com", "api.github.com", "codeload.github.com", "objects.githubusercontent.com", "raw.githubusercontent.com"]),
];

/// The texts of all fields, by `<kind>.<limit>` or the name alone.
pub type Texts = BTreeMap<String, String>;

pub fn field_name(kind: &str, limit: &str) -> String {
    format!("{kind}.{limit}")
}

/// Every field with its unit.
fn fields() -> impl Iterator<Item = (String, Unit)> {
    let of_kinds = KINDS.into_iter().flat_map(|(kind, _)| LIMITS.into_iter().map(move |l| (field_name(kind, l.name), l.unit)));
    of_kinds.chain(SHARED.into_iter().map(|l| (l.name.to_owned(), l.unit)))
}

fn pointer(field: &str) -> String {
    format!("/{}", field.replace('.', "/"))
}

pub fn write_all(settings: &RunSettings) -> Texts {
    let json = serde_json::to_value(settings).unwrap_or_default();
    fields()
        .map(|(field, unit)| (field.clone(), write(unit, json.pointer(&pointer(&field)).and_then(Value::as_i64).unwrap_or(0))))
        .collect()
}

/// The settings that the texts mean, or what is wrong with them. `hosts` holds one rule a line.
pub fn read_all(texts: &Texts, hosts: &str) -> Result<RunSettings, Vec<FieldError>> {
    let mut json = serde_json::to_value(RunSettings::default()).unwrap_or_default();
    let mut wrong = Vec::new();
    for (field, unit) in fields() {
        match read(unit, texts.get(&field).map(String::as_str).unwrap_or_default()) {
            Ok(value) => {
                if let Some(place) = json.pointer_mut(&pointer(&field)) {
                    *place = Value::from(value);
                }
            }
            Err(reason) => wrong.push(FieldError::new(field, reason)),
        }
    }
    if !wrong.is_empty() {
        // What can be read is checked too, so that everything wrong shows at once.
        let rest = RunSettings { egress: read_hosts(hosts), ..RunSettings::default() };
        wrong.extend(rest.validate());
        return Err(wrong);
    }
    let mut settings: RunSettings =
        serde_json::from_value(json).map_err(|_| vec![FieldError::new("", "One of the numbers is far too large.")])?;
    settings.egress = read_hosts(hosts);
    let wrong = settings.validate();
    if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
}

/// One rule a line, in lower case and each once; empty lines do not count.
pub fn read_hosts(text: &str) -> Vec<HostRule> {
    let mut rules = Vec::new();
    for line in text.lines().map(|line| line.trim().to_ascii_lowercase()).filter(|line| !line.is_empty()) {
        let rule = HostRule(line);
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

pub fn write_hosts(rules: &[HostRule]) -> String {
    rules.iter().map(|rule| rule.0.as_str()).collect::<Vec<_>>().join("\n")
}

const SIZES: [(&str, i64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const TIMES: [(&str, i64); 4] = [("days", 86_400), ("h", 3600), ("min", 60), ("s", 1)];

/// In the largest unit that leaves a whole number.
pub fn write(unit: Unit, value: i64) -> String {
    let units: &[(&str, i64)] = match unit {
        Unit::Size => &SIZES,
        Unit::Time => &TIMES,
        Unit::Percent => return format!("{value} %"),
        Unit::Number => return value.to_string(),
    };
    let (word, factor) = units.iter().find(|(_, factor)| value != 0 && value % factor == 0).copied().unwrap_or(units[units.len() - 1]);
    format!("{} {word}", value / factor)
}

/// The number that a text means.
pub fn read(unit: Unit, text: &str) -> Result<i64, &'static str> {
    let text = text.trim();
    let at = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ' ' | '\u{2009}' | '\u{202f}'))).unwrap_or(text.len());
    let (number, word) = text.split_at(at);
    let number: String = number.chars().filter(|c| !c.is_whitespace()).collect();
    let (number, word) = (number.parse::<f64>().ok(), word.trim().to_ascii_lowercase());
    let (factor, wrong) = match unit {
        Unit::Size => (size_factor(&word), "Write a size with its unit, such as 512 MiB or 2 GiB."),
        Unit::Time => (time_factor(&word), "Write a time with its unit, such as 90 s, 10 min or 12 h."),
        Unit::Percent => (matches!(word.as_str(), "" | "%").then_some(1), "Write a percentage, such as 100 %."),
        Unit::Number => (word.is_empty().then_some(1), "Write a whole number."),
    };
    let (Some(number), Some(factor)) = (number, factor) else { return Err(wrong) };
    let value = number * factor as f64;
    if unit == Unit::Number && number.fract() != 0.0 {
        return Err(wrong);
    }
    // Beyond this a number is not exact any more, and no limit is that high.
    if value > 9e15 { Err("This is far too large.") } else { Ok(value.round() as i64) }
}

/// People mean powers of two, whichever way they write it.
fn size_factor(word: &str) -> Option<i64> {
    let power = match word {
        "b" | "byte" | "bytes" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    Some(1024_i64.pow(power))
}

fn time_factor(word: &str) -> Option<i64> {
    match word {
        "s" | "sec" | "second" | "seconds" => Some(1),
        "m" | "min" | "minute" | "minutes" => Some(60),
        "h" | "hour" | "hours" => Some(3600),
        "d" | "day" | "days" => Some(86_400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let settings = RunSettings { egress: vec![HostRule("pypi.org".into())], ..RunSettings::default() };
        let texts = write_all(&settings);
        assert_eq!(texts["sandbox_exec.memory_bytes"], "2 GiB");
        assert_eq!((texts["terminal.wall_s"].as_str(), texts["terminal_idle_s"].as_str()), ("12 h", "30 min"));
        assert_eq!(read_all(&texts, "PyPI.org\n\n pypi.org "), Ok(settings));
    }

    #[test]
    fn units_are_needed_and_understood() {
        assert_eq!(read(Unit::Size, "1.5 GiB"), Ok(1610612736));
        assert_eq!((read(Unit::Size, "64mb"), read(Unit::Time, "90 s"), read(Unit::Time, "2 h")), (Ok(64 << 20), Ok(90), Ok(7200)));
        assert_eq!((read(Unit::Percent, "150 %"), read(Unit::Percent, "50"), read(Unit::Number, "1 000")), (Ok(150), Ok(50), Ok(1000)));
        for (unit, wrong) in [
            (Unit::Size, "64"),
            (Unit::Size, ""),
            (Unit::Time, "10"),
            (Unit::Number, "1.5"),
            (Unit::Number, "-1"),
            (Unit::Size, "9999999 TiB"),
        ] {
            assert!(read(unit, wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            (write(Unit::Size, 1536 << 20), write(Unit::Size, 1000), write(Unit::Time, 90)),
            ("1536 MiB".into(), "1000 B".into(), "90 s".into())
        );
    }

    #[test]
    fn errors_stand_at_their_fields() {
        let mut texts = write_all(&RunSettings::default());
        texts.insert("codegen.pids".into(), "many".into());
        let wrong = read_all(&texts, "").unwrap_err();
        assert_eq!(wrong.iter().map(|field| field.field.as_str()).collect::<Vec<_>>(), ["codegen.pids"]);
        assert_eq!(read_all(&texts, "127.0.0.1").unwrap_err().len(), 2);
        texts.insert("codegen.pids".into(), "1".into());
        assert_eq!(
            read_all(&texts, "127.0.0.1").unwrap_err().iter().map(|f| f.field.as_str()).collect::<Vec<_>>(),
            ["codegen.pids", "egress"]
        );
    }
}
