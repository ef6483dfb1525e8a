//! What "always allow here" can mean for a call.

use super::{CallFacts, PATTERN_MAX, RememberRule, always_asks, command, command::Reading, paths, subject};

/// Programs whose first argument says what they do, as in `cargo test`.
const WITH_SUBCOMMAND: &[&str] = &[
    "bun", "bundle", "cargo", "composer", "deno", "dotnet", "flutter", "go", "gradle", "just", "make", "mix", "mvn", "npm", "pip", "pnpm",
    "poetry", "rake", "rustup", "swift", "task", "uv", "yarn",
];
/// Programs that do harm or anything at all with other arguments: only their exact text is offered.
const EXACT_ONLY: &[&str] =
    &["chmod", "chown", "curl", "dd", "docker", "git", "kill", "ln", "mv", "nc", "npx", "rm", "rmdir", "rsync", "scp", "wget"];
/// Subcommands that go on to name a script.
const SCRIPTED: &[&str] = &["run", "exec", "task"];

/// A rule that could be kept, and how a person is told what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    pub rule: RememberRule,
    pub label: String,
}

/// From the narrowest to the widest. Empty where nothing may be remembered.
pub fn suggest(call: &CallFacts) -> Vec<Suggestion> {
    if super::QUESTIONS.contains(&call.tool) || always_asks(call).is_some() {
        return Vec::new();
    }
    match call.command {
        Some(text) => for_command(text),
        None if call.tool == subject::WEB_FETCH => {
            let hosts = for_paths(call).into_iter();
            hosts.chain([whole_tool(call)]).collect()
        }
        None if subject::is_file_tool(call.tool) && call.mutates => for_paths(call),
        None => vec![whole_tool(call)],
    }
}

fn whole_tool(call: &CallFacts) -> Suggestion {
    Suggestion { rule: RememberRule::Tool(call.tool.to_owned()), label: format!("Every call of {}", call.tool) }
}

fn for_command(text: &str) -> Vec<Suggestion> {
    let text = text.trim();
    // A pattern is one line, and a star at its end would mean more than the command did.
    if text.is_empty() || text.len() > PATTERN_MAX || text.chars().any(char::is_control) || text.ends_with('*') {
        return Vec::new();
    }
    let keep = |pattern: String| Suggestion { label: pattern.clone(), rule: RememberRule::CommandPattern(pattern) };
    let mut found = vec![keep(text.to_owned())];
    let reading = Reading::of(text);
    let Some(words) = reading.is_plain() else { return found };
    for count in prefixes(words) {
        let Some(first) = words.get(..count) else { continue };
        let pattern = format!("{} *", first.join(" "));
        // Words that needed quotes do not come back from a plain pattern.
        if command::fits(&pattern, words) && pattern.len() <= PATTERN_MAX {
            found.push(keep(pattern));
        }
    }
    found
}

/// How many words in front may stay fixed.
fn prefixes(words: &[String]) -> Vec<usize> {
    let Some(first) = words.first().map(|word| word.rsplit('/').next().unwrap_or(word)) else { return Vec::new() };
    if EXACT_ONLY.contains(&first) {
        return Vec::new();
    }
    let is_word = |at: usize| {
        words.get(at).is_some_and(|word| !word.starts_with('-') && word.chars().all(|c| c.is_alphanumeric() || "-_:.".contains(c)))
    };
    if !WITH_SUBCOMMAND.contains(&first) {
        return vec![1];
    }
    if !is_word(1) {
        return Vec::new();
    }
    if words.get(1).is_some_and(|word| SCRIPTED.contains(&word.as_str())) {
        return if is_word(2) { vec![3] } else { Vec::new() };
    }
    vec![2]
}

fn for_paths(call: &CallFacts) -> Vec<Suggestion> {
    let [path] = call.paths else { return Vec::new() };
    if paths::is_unclear(path) || path.contains(['*', '?']) {
        return Vec::new();
    }
    let keep = |pattern: String, label: String| Suggestion { rule: RememberRule::PathPattern(pattern), label };
    let mut found = vec![keep((*path).to_owned(), (*path).to_owned())];
    if let Some((folder, _)) = path.rsplit_once('/') {
        found.push(keep(format!("{folder}/**"), format!("Everything in {folder}")));
    }
    found
}
