//! Carries the indentation of a file over to lines that were written with another one.

/// How the indentation written by the model turns into the file's.
enum Rule<'a> {
    Same,
    /// The file has this in front of what was written.
    Add(&'a str),
    /// What was written has this in front of the file's.
    Strip(&'a str),
    /// So many written spaces are one tab in the file.
    SpacesToTabs(usize),
    /// One written tab is so many spaces in the file.
    TabsToSpaces(usize),
    /// So many written spaces are so many in the file.
    Spaces(usize, usize),
}

fn indent_of(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Re-indents `new`, given lines as written and as they stand in the file. `None` when no rule explains every pair and fits the new lines,
/// or when several do that come to different results.
pub fn carry(pairs: &[(&str, &str)], new: &[&str]) -> Option<Vec<String>> {
    let indents: Vec<(&str, &str)> = pairs.iter().map(|(written, file)| (indent_of(written), indent_of(file))).collect();
    let explains = |rule: &Rule<'_>| indents.iter().all(|(written, file)| apply(rule, written).as_deref() == Some(*file));
    let results =
        candidates(&indents).into_iter().filter(explains).filter_map(|rule| new.iter().map(|line| reindent(&rule, line)).collect());
    let mut results: Vec<Vec<String>> = results.collect();
    results.sort_unstable();
    results.dedup();
    if results.len() == 1 || new.iter().all(|line| line.trim().is_empty()) {
        return results.pop().or_else(|| Some(vec![String::new(); new.len()]));
    }
    None
}

fn candidates<'a>(indents: &[(&'a str, &'a str)]) -> Vec<Rule<'a>> {
    let mut rules = vec![Rule::Same];
    if let Some((written, file)) = indents.first() {
        if let Some(prefix) = file.strip_suffix(written) {
            rules.push(Rule::Add(prefix));
        }
        if let Some(prefix) = written.strip_suffix(file) {
            rules.push(Rule::Strip(prefix));
        }
    }
    if let Some((written, file)) = indents.iter().find(|(written, file)| !written.is_empty() && !file.is_empty()) {
        let (w, f) = (written.len(), file.len());
        if is_all(written, ' ') && is_all(file, '\t') && w % f == 0 {
            rules.push(Rule::SpacesToTabs(w / f));
        }
        if is_all(written, '\t') && is_all(file, ' ') && f % w == 0 {
            rules.push(Rule::TabsToSpaces(f / w));
        }
        if is_all(written, ' ') && is_all(file, ' ') && w != f {
            rules.push(Rule::Spaces(w, f));
        }
    }
    rules
}

fn is_all(text: &str, c: char) -> bool {
    text.chars().all(|x| x == c)
}

fn apply(rule: &Rule<'_>, indent: &str) -> Option<String> {
    match rule {
        Rule::Same => Some(indent.to_owned()),
        Rule::Add(prefix) => Some(format!("{prefix}{indent}")),
        Rule::Strip(prefix) => indent.strip_prefix(prefix).map(str::to_owned),
        Rule::SpacesToTabs(n) => (is_all(indent, ' ') && indent.len().is_multiple_of(*n)).then(|| "\t".repeat(indent.len() / n)),
        Rule::Spaces(from, to) => {
            let scaled = indent.len() * to;
            (is_all(indent, ' ') && scaled.is_multiple_of(*from)).then(|| " ".repeat(scaled / from))
        }
        Rule::TabsToSpaces(n) => is_all(indent, '\t').then(|| " ".repeat(indent.len() * n)),
    }
}

fn reindent(rule: &Rule<'_>, line: &str) -> Option<String> {
    if line.trim().is_empty() {
        return Some(String::new());
    }
    let indent = indent_of(line);
    Some(format!("{}{}", apply(rule, indent)?, &line[indent.len()..]))
}
