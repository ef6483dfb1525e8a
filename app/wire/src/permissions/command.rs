//! Reads a shell command as far as that can be done with certainty.

use super::paths::ANYTHING;

/// Stands where a sign means itself, and ends what could be a path.
const PLAIN_SIGN: char = '\u{2}';

/// Programs and words of the shell that run what their arguments or their input say. A version behind the name makes no difference.
const RUNNERS: &[&str] = &[
    "!", ".", "[[", "ash", "bash", "builtin", "busybox", "case", "chroot", "command", "coproc", "csh", "dash", "do", "doas", "elif",
    "else", "env", "eval", "exec", "expect", "fish", "flock", "for", "function", "if", "ionice", "ksh", "lua", "mksh", "nice", "node",
    "nohup", "parallel", "perl", "php", "pwsh", "pypy", "python", "rbash", "ruby", "script", "select", "setsid", "sh", "source", "ssh",
    "stdbuf", "strace", "su", "sudo", "taskset", "tclsh", "tcsh", "then", "time", "timeout", "trap", "unshare", "until", "watch", "while",
    "xargs", "zsh", "{",
];

/// What makes `find` more than a list.
const FIND_ACTS: &[&str] = &["-delete", "-exec", "-execdir", "-fls", "-fprint", "-fprint0", "-fprintf", "-ok", "-okdir"];

/// Programs that change or take along all that a folder holds.
const CHANGE_FOLDERS: &[&str] =
    &["chmod", "chown", "cp", "ln", "mmv", "mv", "rename", "rm", "rmdir", "rsync", "scp", "shred", "trash", "truncate", "unlink"];
/// Programs that show what is in the files of a folder, or pack it.
const READ_FOLDERS: &[&str] = &["7z", "ack", "ag", "cpio", "diff", "egrep", "fgrep", "find", "grep", "rg", "tar", "tree", "zip"];
/// What changes the folder that the next commands run in.
const ENTER: &[&str] = &["cd", "pushd"];
/// Folders that a command is taken to enter, at most.
const ENTERED_MAX: usize = 64;
/// Subcommands of git that do as the programs that change folders.
const GIT_FOLDERS: &[&str] = &["clean", "mv", "rm"];

/// Where the project is in the sandbox.
const SANDBOX_TOP: &str = "w";

/// Subcommands of git that change nothing, with whatever arguments.
const GIT_READS: &[&str] =
    &["blame", "cat-file", "describe", "diff", "grep", "log", "ls-files", "ls-tree", "rev-list", "rev-parse", "shortlog", "show", "status"];

/// A command, and its simple commands where these are certain.
#[derive(Debug)]
pub struct Reading<'a> {
    text: &'a str,
    parts: Option<Vec<Vec<String>>>,
}

impl<'a> Reading<'a> {
    pub fn of(text: &'a str) -> Self {
        let text = text.trim();
        Self { text, parts: split(text) }
    }

    /// The simple commands, each as words without their quotes.
    pub fn parts(&self) -> Option<&[Vec<String>]> {
        self.parts.as_deref().filter(|parts| !parts.is_empty())
    }

    pub fn is_exactly(&self, pattern: &str) -> bool {
        self.text == pattern.trim() && !self.text.ends_with('*')
    }

    /// Whether something may run that these parts do not show.
    pub fn is_unsure(&self) -> bool {
        self.parts().is_none_or(|parts| parts.iter().any(|words| is_runner(bare(words))))
    }

    /// One simple command without a runner or an assignment in front.
    pub fn is_plain(&self) -> Option<&[String]> {
        match self.parts()? {
            [words] if !is_runner(words) && words.first().is_some_and(|word| !word.contains('=')) => Some(words),
            _ => None,
        }
    }

    /// Whether any part of it is what the pattern means; where the parts are uncertain, whether its words occur.
    pub fn may_run(&self, pattern: &str) -> bool {
        if self.text == pattern.trim() {
            return true;
        }
        let by_parts = self.parts().unwrap_or_default().iter().any(|words| {
            let words = bare(words);
            let mut by_name = words.to_vec();
            if let Some(first) = by_name.first_mut() {
                *first = base_name(first).to_owned();
            }
            fits(pattern, words) || fits(pattern, &by_name)
        });
        by_parts || (self.is_unsure() && occurs(pattern, self.text))
    }

    /// Whether a word of it is a path that `is_meant` knows, also as seen from the folder it runs in. What the shell would expand comes
    /// with its signs: see [`super::paths::may_match`].
    pub fn mentions(&self, folders: &[&str], is_meant: impl Fn(&str) -> bool) -> bool {
        let words = words(self.text, self.is_unsure());
        // Here it is no longer known which signs were in quotes.
        let whole = self.parts().unwrap_or_default().iter().flatten().map(String::as_str).filter(|word| !word.contains(['*', '?']));
        let cwd = folders.first().copied().unwrap_or_default();
        let entered = self.entered(cwd);
        let folders: Vec<&str> = folders.iter().copied().chain(entered.iter().map(String::as_str)).collect();
        tokens(self.text).chain(words.iter().map(String::as_str)).chain(whole).any(|token| {
            let token = token.trim_start_matches("./").trim_end_matches('/');
            if token.is_empty() {
                return false;
            }
            let is_plain = is_meant(token) || folders.iter().any(|folder| is_meant(&format!("{}/{token}", folder.trim_end_matches('/'))));
            let has_detours = || token.starts_with('/') || token.split('/').any(|part| matches!(part, "" | "." | ".."));
            let is_detour_to = |folder: &str| places(token, folder).iter().any(|place| is_meant(place));
            is_plain || (has_detours() && (is_detour_to(cwd) || folders.iter().any(|folder| is_detour_to(folder))))
        })
    }

    /// The folders that it goes on in, one after another, as seen from the one it begins in.
    fn entered(&self, cwd: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for words in self.parts().unwrap_or_default().iter().map(|words| bare(words)) {
            let Some((_, rest)) = words.split_first().filter(|(program, _)| ENTER.contains(&program.as_str())) else { continue };
            for word in rest.iter().filter(|word| !word.starts_with('-')).flat_map(|word| expand(word)) {
                // Whether an earlier one was left again is not followed: any of them may be where it stands.
                let from: Vec<String> = std::iter::once(cwd.to_owned()).chain(found.iter().cloned()).collect();
                for place in from.iter().flat_map(|folder| places(&word, folder)) {
                    if !place.is_empty() && found.len() < ENTERED_MAX && !found.contains(&place) {
                        found.push(place);
                    }
                }
            }
        }
        found
    }

    /// The places whose whole content it takes along, changes or shows, as seen from the folder it runs in, with the shell's signs; empty for
    /// the whole project. With whether it may change them. `None` for a command that keeps to the files it names.
    pub fn folders(&self, cwd: &str) -> Option<(bool, Vec<String>)> {
        let is_unsure = self.is_unsure();
        let parts = || self.parts().unwrap_or_default().iter().map(|words| bare(words));
        let names = |programs: &[&str]| {
            let is_one = |word: &str| programs.contains(&base_name(word));
            parts().any(|words| words.first().is_some_and(|word| is_one(word))) || (is_unsure && tokens(self.text).any(is_one))
        };
        let by_git =
            || parts().any(|words| matches!(words, [git, what, ..] if base_name(git) == "git" && GIT_FOLDERS.contains(&what.as_str())));
        let find_acts = || parts().any(|words| words.first().is_some_and(|word| base_name(word) == "find") && acts(words));
        let changes = names(CHANGE_FOLDERS) || by_git() || find_acts();
        if !changes && !names(READ_FOLDERS) && !parts().any(greps_by_git) {
            return None;
        }
        let whole = self.parts().unwrap_or_default().iter().flatten().filter(|word| !word.contains(['*', '?'])).cloned();
        let mut found: Vec<String> = Vec::new();
        if parts().any(searches_here) {
            found.push(cwd.trim_matches('/').to_owned());
        }
        for word in words(self.text, is_unsure).into_iter().chain(whole).filter(|word| !word.starts_with('-')) {
            for place in places(&word, cwd) {
                if !found.contains(&place) {
                    found.push(place);
                }
            }
        }
        Some((changes, found))
    }

    /// Whether it may change what git keeps.
    pub fn may_write_git(&self) -> bool {
        if self.is_unsure() {
            return tokens(self.text).any(|token| base_name(token) == "git");
        }
        self.parts().unwrap_or_default().iter().map(|words| bare(words)).any(|words| {
            let reads = words.get(1).is_some_and(|word| GIT_READS.contains(&word.as_str()));
            words.first().is_some_and(|word| base_name(word) == "git") && !reads
        })
    }
}

/// Whether the pattern means this simple command.
pub fn fits(pattern: &str, words: &[String]) -> bool {
    let pattern = pattern.trim();
    let Some(parts) = split(pattern) else { return false };
    let [wanted] = parts.as_slice() else { return false };
    let Some((last, first)) = wanted.split_last() else { return false };
    let is_open = pattern.ends_with('*') && !pattern.ends_with("\\*");
    if is_open && last == "*" {
        return words.starts_with(first);
    }
    let Some((word, rest)) = words.split_last() else { return false };
    let ends = if is_open { word.starts_with(last.trim_end_matches('*')) } else { word == last };
    ends && rest == first
}

/// Whether an allowing pattern covers this simple command. What a runner runs is not to be seen in its name: such a pattern has to fix more
/// of it than options.
pub fn allows(pattern: &str, words: &[String]) -> bool {
    fits(pattern, words) && (!is_runner(bare(words)) || fixes_what_runs(pattern))
}

fn fixes_what_runs(pattern: &str) -> bool {
    let pattern = pattern.trim();
    let Some(parts) = split(pattern) else { return false };
    let words = parts.first().map(|words| bare(words)).unwrap_or_default();
    let fixed = if pattern.ends_with('*') { words.split_last().map_or(words, |(_, fixed)| fixed) } else { words };
    fixed.iter().skip(1).any(|word| !word.starts_with('-'))
}

pub fn is_runner(words: &[String]) -> bool {
    words.first().is_some_and(|word| {
        let name = base_name(word);
        let unversioned = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let is_known = RUNNERS.contains(&name) || RUNNERS.contains(&unversioned);
        is_known || (name == "find" && acts(words)) || word.contains(['*', '?', '[', '~'])
    })
}

fn acts(words: &[String]) -> bool {
    words.iter().any(|word| FIND_ACTS.contains(&word.as_str()))
}

/// Whether it looks into the folder it runs in, because it names none.
fn searches_here(words: &[String]) -> bool {
    let Some((program, rest)) = words.split_first() else { return false };
    let named = rest.iter().filter(|word| !word.starts_with('-')).count();
    let is_recursive = || rest.iter().any(|word| word == "--recursive" || (is_short(word) && word.contains(['r', 'R'])));
    match base_name(program) {
        "rg" | "ag" | "ack" => named < 2,
        "grep" | "egrep" | "fgrep" => named < 2 && is_recursive(),
        "git" => greps_by_git(words) && named < 3,
        "tree" => named == 0,
        "find" => rest.first().is_none_or(|word| word.starts_with('-')),
        _ => false,
    }
}

/// Git looks into files also where it keeps nothing of them.
fn greps_by_git(words: &[String]) -> bool {
    words.split_first().is_some_and(|(program, rest)| base_name(program) == "git" && rest.iter().any(|word| word == "grep"))
}

fn is_short(word: &str) -> bool {
    word.starts_with('-') && !word.starts_with("--")
}

/// Where a path can lead in the project, as seen from a folder of it: one place, or where nobody can say how it comes back from outside,
/// all that it could be. Empty for the top.
fn places(path: &str, folder: &str) -> Vec<String> {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = if is_absolute { Vec::new() } else { folder.split('/').filter(|part| !matches!(*part, "" | ".")).collect() };
    let mut is_above = false;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => is_above |= parts.pop().is_none(),
            name => parts.push(name),
        }
    }
    match (is_absolute, parts.as_slice()) {
        (false, inside) if !is_above => vec![inside.join("/")],
        (true, [SANDBOX_TOP, inside @ ..]) => vec![inside.join("/")],
        (true, []) => vec![String::new()],
        (_, outside) => {
            let ends = (0..outside.len()).filter_map(|at| outside.get(at..)).map(|end| end.join("/"));
            // From above, the project itself has a name that is not known here.
            ends.chain((!is_absolute).then(String::new)).collect()
        }
    }
}

fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Without the assignments in front.
fn bare(words: &[String]) -> &[String] {
    let is_assignment = |word: &&String| {
        word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    words.get(words.iter().take_while(is_assignment).count()..).unwrap_or_default()
}

/// Anything in the text that could be a word, whatever the shell would make of it.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_of_path(c)).filter(|token| !token.is_empty())
}

fn is_of_path(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '+' | '@')
}

/// Words as the shell puts them together out of the text: without quotes, `?` for each set of letters and [`ANYTHING`] for what is in braces.
/// A sign of a pattern that the shell takes as it stands becomes [`PLAIN_SIGN`], unless `is_unsure`: another shell may read it then.
fn words(text: &str, is_unsure: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let (c, is_plain) = match c {
            '\'' | '"' | '\\' if is_unsure => continue,
            '\'' | '"' if quote == Some(c) => {
                quote = None;
                continue;
            }
            '\'' | '"' if quote.is_none() => {
                quote = Some(c);
                continue;
            }
            '\\' if quote != Some('\'') => match chars.next() {
                Some('\n') | None => continue,
                Some(escaped) => (escaped, true),
            },
            c => (c, quote.is_some() && !is_unsure),
        };
        match c {
            _ if is_of_path(c) => word.push(c),
            '*' | '?' | '[' | ']' | '{' | '}' | ',' | '!' | '^' => word.push(if is_plain { PLAIN_SIGN } else { c }),
            _ => found.extend(expand(&std::mem::take(&mut word))),
        }
    }
    found.extend(expand(&word));
    found
}

/// A word's paths, with sets and braces as signs.
fn expand(word: &str) -> Vec<String> {
    let mut out = String::new();
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let close = match c {
            '[' => rest.find(']').filter(|at| *at > 1),
            '{' => rest.rfind('}').filter(|at| rest[..*at].contains(',') || rest[..*at].contains("..")),
            _ => None,
        };
        match close {
            Some(at) => {
                out.push(if c == '[' { '?' } else { ANYTHING });
                rest = &rest[at + 1..];
            }
            None => {
                out.push(if matches!(c, '[' | ']' | '{' | '}' | ',' | '!' | '^') { PLAIN_SIGN } else { c });
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out.split(PLAIN_SIGN).filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
}

/// Whether the pattern's fixed words stand one after another somewhere in the text.
fn occurs(pattern: &str, text: &str) -> bool {
    let wanted: Vec<&str> = tokens(pattern).collect();
    let found: Vec<&str> = tokens(text).collect();
    let Some((first, rest)) = wanted.split_first() else { return true };
    found
        .windows(wanted.len())
        .any(|window| window.split_first().is_some_and(|(word, others)| (word == first || base_name(word) == *first) && others == rest))
}

/// Splits into simple commands. `None` where the shell would do more than run them with just these words.
fn split(text: &str) -> Option<Vec<Vec<String>>> {
    let mut splitter = Splitter::default();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => splitter.end_word(),
            ';' | '\n' | '&' | '|' => {
                if c == '&' && chars.peek() == Some(&'>') {
                    return None;
                }
                splitter.end_part();
            }
            '\'' => {
                let word = splitter.word();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        inner => word.push(inner),
                    }
                }
            }
            '"' => read_quoted(&mut chars, splitter.word())?,
            '\\' => match chars.next()? {
                '\n' => return None,
                escaped => splitter.word().push(escaped),
            },
            '>' => {
                splitter.drop_descriptor();
                skip_harmless(&mut chars)?;
            }
            '#' if splitter.word.is_none() => return None,
            '$' | '`' | '(' | ')' | '<' => return None,
            c if c.is_control() => return None,
            c => splitter.word().push(c),
        }
    }
    splitter.end_part();
    Some(splitter.parts)
}

fn read_quoted(chars: &mut std::iter::Peekable<std::str::Chars>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '$' | '`' => return None,
            '\\' => match chars.next()? {
                escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                '\n' => return None,
                other => word.extend(['\\', other]),
            },
            inner => word.push(inner),
        }
    }
}

/// A redirection may only join descriptors or throw output away.
fn skip_harmless(chars: &mut std::iter::Peekable<std::str::Chars>) -> Option<()> {
    let mut target = String::new();
    if chars.peek() == Some(&'&') {
        chars.next();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            target.push(digit);
        }
        return (!target.is_empty() && chars.peek().is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | ';' | '|' | '&'))).then_some(());
    }
    while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
    while let Some(c) = chars.next_if(|c| !matches!(c, ' ' | '\t' | '\n' | ';' | '|' | '&')) {
        target.push(c);
    }
    (target == "/dev/null").then_some(())
}

#[derive(Default)]
struct Splitter {
    parts: Vec<Vec<String>>,
    words: Vec<String>,
    word: Option<String>,
}

impl Splitter {
    fn word(&mut self) -> &mut String {
        self.word.get_or_insert_default()
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_part(&mut self) {
        self.end_word();
        if !self.words.is_empty() {
            self.parts.push(std::mem::take(&mut self.words));
        }
    }

    /// The number right in front of a `>` belongs to it.
    fn drop_descriptor(&mut self) {
        if self.word.as_ref().is_some_and(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
    }
}
