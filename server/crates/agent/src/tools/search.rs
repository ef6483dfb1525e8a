use std::fmt::Write as _;

use globset::{GlobBuilder, GlobMatcher};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, sinks::Lossy};
use sandbox::EntryKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Output, Tool, ToolCtx, ToolError, args, describe_hidden};
use crate::text::{count_of, cut_end};

const MATCHES_MAX: usize = 200;
const PER_FILE_MAX: usize = 40;
const LINE_MAX: usize = 300;
const BYTES_MAX: usize = 32 * 1024;
/// Larger files are not source that somebody reads.
const FILE_MAX: u64 = 2 * 1024 * 1024;

pub const TOOL: Tool = Tool {
    name: "search",
    description: "Finds lines in the project's text files. The query is plain text, or a regular expression with regex set; lower-case queries match \
                  any case. Shows path, line number and line, at most 200 matches.",
    schema,
    mutates: false,
    asks: false,
};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to find within one line."},
            "path": {"type": "string", "description": "Only in this file, below this directory, or in files matching this glob such as **/*.rs."},
            "regex": {"type": "boolean", "description": "Take the query as a regular expression."}
        },
        "required": ["query"],
        "additionalProperties": false
    })
}

#[derive(Debug, Deserialize)]
pub struct Args {
    pub query: String,
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default, deserialize_with = "args::switch")]
    pub regex: bool,
}

enum Scope {
    All,
    Below(String),
    Glob(GlobMatcher),
}

impl Scope {
    fn read(path: Option<&str>) -> Result<Self, ToolError> {
        let path = path.unwrap_or_default().trim_start_matches("./").trim_end_matches('/');
        if path.is_empty() || path == "." {
            return Ok(Self::All);
        }
        if path.contains(['*', '?', '[', '{']) {
            let glob = GlobBuilder::new(path).literal_separator(true).build();
            return match glob {
                Ok(glob) => Ok(Self::Glob(glob.compile_matcher())),
                Err(error) => Err(ToolError::refused(format!("Not a usable glob: {error}."), "Not a usable glob")),
            };
        }
        super::check_path(path)?;
        Ok(Self::Below(path.to_owned()))
    }

    fn prefix(&self) -> &str {
        match self {
            Self::Below(dir) => dir,
            Self::All | Self::Glob(_) => "",
        }
    }

    fn holds(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Below(dir) => path.strip_prefix(dir.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Glob(glob) => glob.is_match(path),
        }
    }
}

fn matcher(query: &str, is_regex: bool) -> Result<RegexMatcher, ToolError> {
    if query.is_empty() {
        return Err(ToolError::refused("No query: give the text to find.", "The query is empty"));
    }
    if !is_regex && query.contains('\n') {
        return Err(ToolError::refused("Not searched: a match lies within one line; search for one of the lines.", "More than one line"));
    }
    let built = RegexMatcherBuilder::new()
        .fixed_strings(!is_regex)
        .case_smart(true)
        .line_terminator(Some(b'\n'))
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .build(query);
    built.map_err(|error| ToolError::refused(format!("Not a usable regular expression: {error}."), "Not a usable expression"))
}

#[derive(Default)]
struct Found {
    out: String,
    matches: usize,
    files: usize,
    full: bool,
}

pub async fn execute(ctx: &ToolCtx, args: Args) -> Result<Output, ToolError> {
    let matcher = matcher(&args.query, args.regex)?;
    let scope = Scope::read(args.path.as_deref())?;
    let mut found = Found::default();
    let mut searcher = SearcherBuilder::new().binary_detection(BinaryDetection::quit(0)).line_number(true).build();
    let (mut any_in_scope, mut hidden) = (false, 0);
    for file in ctx.branch.list(scope.prefix()).await? {
        if ctx.cancel.is_cancelled() {
            return Err(ToolError::refused("Not finished: the search was stopped.", "Stopped"));
        }
        if !scope.holds(&file.path) {
            continue;
        }
        any_in_scope = true;
        if ctx.branch.hides(&file.path) {
            hidden += 1;
            continue;
        }
        if found.full {
            continue;
        }
        if file.kind == EntryKind::Symlink || file.size > FILE_MAX {
            continue;
        }
        // A file that can't be read, or is gone by now, has no matches.
        let Ok(Some(bytes)) = ctx.branch.bytes(&file.path, FILE_MAX).await else { continue };
        found.look_into(&mut searcher, &matcher, &file.path, &bytes);
    }
    let hidden = describe_hidden(hidden);
    if found.matches == 0 {
        let place = args.path.unwrap_or_default();
        let hint = if any_in_scope { String::new() } else { format!(" There is no file at {place:?}.") };
        let aside = if hidden.is_empty() { String::new() } else { format!("\n{hidden}") };
        return Ok(Output::new(format!("No match.{hint}{aside}"), "No match"));
    }
    if found.full {
        found.out.push_str("[there are more matches; narrow the query or the path]\n");
    }
    found.out.push_str(&hidden);
    let more = if found.full { "at least " } else { "" };
    let summary = match (found.matches, found.files) {
        (1, _) => "1 match".to_owned(),
        (matches, files) => format!("{more}{matches} matches in {}", count_of(files, "file")),
    };
    Ok(Output::new(found.out, summary))
}

impl Found {
    fn look_into(&mut self, searcher: &mut Searcher, matcher: &RegexMatcher, path: &str, bytes: &[u8]) {
        let mut here = 0;
        // The sink never fails, and a file that can't be searched is one without matches.
        let _ = searcher.search_slice(
            matcher,
            bytes,
            Lossy(|number, line| {
                if self.matches == MATCHES_MAX || self.out.len() > BYTES_MAX {
                    self.full = true;
                    return Ok(false);
                }
                if here == PER_FILE_MAX {
                    let _ = writeln!(self.out, "{path}: [more matches in this file are not shown]");
                    return Ok(false);
                }
                here += 1;
                self.matches += 1;
                let _ = writeln!(self.out, "{path}:{number}: {}", cut_end(line.trim_end_matches(['\r', '\n']), LINE_MAX));
                Ok(true)
            }),
        );
        self.files += usize::from(here > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testkit::branch;

    fn find(query: &str, path: Option<&str>, regex: bool) -> Args {
        Args { query: query.into(), path: path.map(Into::into), regex }
    }

    #[tokio::test]
    async fn finds_text_and_expressions() {
        let kit = branch(&[("a.rs", "fn one() {}\r\nfn two(x: u8) {}\n"), ("src/b.rs", "One(\n"), ("bin", "\0one")]).await;
        let got = |args| async { execute(&kit.ctx(), args).await.unwrap() };
        assert_eq!(got(find("one(", None, false)).await.content, "a.rs:1: fn one() {}\nsrc/b.rs:1: One(\n");
        assert_eq!(got(find("One(", None, false)).await.content, "src/b.rs:1: One(\n");
        assert_eq!(got(find(r"fn \w+\(\w", None, true)).await.content, "a.rs:2: fn two(x: u8) {}\n");
        assert_eq!(got(find("one", Some("src"), false)).await.summary, "1 match");
        assert_eq!(got(find("one", Some("**/*.rs"), false)).await.summary, "2 matches in 2 files");
        assert_eq!(got(find("one", Some("*.rs"), false)).await.summary, "1 match");
        assert!(got(find("one", Some("nothing"), false)).await.content.contains("no file at \"nothing\""));
    }

    #[tokio::test]
    async fn what_a_rule_denies_has_no_matches() {
        let kit = branch(&[("a.rs", "one\n"), ("conf/prod/key", "one\n"), ("conf/x.rs", "one\n")]).await;
        let ctx = ToolCtx { branch: kit.hiding("search", "conf/prod/**"), ..kit.ctx() };
        let got = |args| async { execute(&ctx, args).await.unwrap() };
        let all = got(find("one", None, false)).await;
        assert_eq!(all.content, "a.rs:1: one\nconf/x.rs:1: one\n[1 entry is hidden by a rule of this project]\n");
        assert_eq!(all.summary, "2 matches in 2 files");
        assert_eq!(got(find("one", Some("**/*.rs"), false)).await.content, "a.rs:1: one\nconf/x.rs:1: one\n");
        for place in ["conf/p*/*", "**/key", "conf/prod", "{conf,x}/prod/*"] {
            let none = got(find("one", Some(place), false)).await;
            assert_eq!(none.content, "No match.\n[1 entry is hidden by a rule of this project]\n", "{place}");
        }
        // Who may not read a file does not see its lines this way either.
        let ctx = ToolCtx { branch: kit.hiding("read_file", "conf/prod/**"), ..kit.ctx() };
        assert!(!execute(&ctx, find("one", None, false)).await.unwrap().content.contains("key"));
    }

    #[tokio::test]
    async fn says_what_is_wrong_and_stays_in_its_limits() {
        let many = "x\n".repeat(500);
        let names: Vec<String> = (0..20).map(|n| format!("f{n}")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), many.as_str())).collect();
        let kit = branch(&files).await;
        let ctx = kit.ctx();
        let out = execute(&ctx, find("x", None, false)).await.unwrap();
        assert!(
            out.content.ends_with("narrow the query or the path]\n") && out.summary.starts_with("at least 200 matches"),
            "{}",
            out.summary
        );
        assert!(execute(&ctx, find("(", None, true)).await.unwrap_err().to_string().contains("regular expression"));
        assert!(execute(&ctx, find("", None, false)).await.is_err());
        assert!(execute(&ctx, find("x", Some("../.."), false)).await.is_err());
        ctx.cancel.cancel();
        assert!(execute(&ctx, find("x", None, false)).await.unwrap_err().to_string().contains("stopped"));
    }
}
