//! Patterns of `.editorconfig`: `*`, `**`, `?`, `[…]`, `{a,b}` and `{1..9}`. Matching costs at most pattern times path.

/// Spellings that the braces of one pattern stand for.
const ALTERNATIVES_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Glob {
    tokens: Vec<Token>,
    /// Without a slash it is about names, wherever they are.
    is_name: bool,
}

#[derive(Debug, PartialEq)]
enum Token {
    Is(char),
    /// Any character of one name.
    Any,
    /// Any characters of one name.
    Star,
    /// Any characters.
    Stars,
    /// `**/`: any directories, or none.
    Directories,
    OneOf {
        ranges: Vec<(char, char)>,
        is_not: bool,
    },
    Number(i64, i64),
}

/// A pattern with too many alternatives matches nothing.
pub(super) fn compile(pattern: &str) -> Vec<Glob> {
    expand(pattern).iter().map(|flat| Glob::new(flat)).collect()
}

fn expand(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![(String::new(), pattern.to_owned())];
    while let Some((head, tail)) = open.pop() {
        if done.len() + open.len() > ALTERNATIVES_MAX {
            return Vec::new();
        }
        match find_choice(&tail) {
            None => done.push(head + &tail),
            Some((start, end, parts)) => {
                open.extend(parts.iter().map(|part| (format!("{head}{}", &tail[..start]), format!("{part}{}", &tail[end..]))));
            }
        }
    }
    done
}

/// The first braces with a comma of their own: where they begin and end, and what stands between the commas.
fn find_choice(pattern: &str) -> Option<(usize, usize, Vec<&str>)> {
    let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut first: Option<(usize, usize, Vec<usize>)> = None;
    let mut is_escaped = false;
    for (at, c) in pattern.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '{' => open.push((at, Vec::new())),
            ',' => {
                if let Some((_, commas)) = open.last_mut() {
                    commas.push(at);
                }
            }
            '}' => {
                if let Some((start, commas)) = open.pop()
                    && !commas.is_empty()
                {
                    first = Some((start, at, commas));
                    // Outer braces come first, if they close with commas.
                    if open.iter().all(|(_, commas)| commas.is_empty()) {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    let (start, end, commas) = first?;
    let starts = [start].into_iter().chain(commas.iter().copied());
    let ends = commas.iter().copied().chain([end]);
    Some((start, end + 1, starts.zip(ends).map(|(from, to)| &pattern[from + 1..to]).collect()))
}

impl Glob {
    fn new(flat: &str) -> Self {
        let is_name = !flat.contains('/');
        let chars: Vec<char> = flat.strip_prefix('/').unwrap_or(flat).chars().collect();
        let (mut tokens, mut at) = (Vec::new(), 0);
        while at < chars.len() {
            let (token, length) = read_token(&chars[at..], tokens.is_empty() || tokens.last() == Some(&Token::Is('/')));
            tokens.push(token);
            at += length;
        }
        Self { tokens, is_name }
    }

    pub fn cost(&self) -> usize {
        self.tokens.len()
    }

    /// `path` is relative to the directory of the pattern's file.
    pub fn matches(&self, path: &str) -> bool {
        let text = if self.is_name { path.rsplit('/').next().unwrap_or(path) } else { path };
        let text: Vec<char> = text.chars().collect();
        // Which beginnings of the text the tokens so far can have matched.
        let mut reached = vec![false; text.len() + 1];
        reached[0] = true;
        for token in &self.tokens {
            reached = token.step(&text, &reached);
            if !reached.contains(&true) {
                return false;
            }
        }
        reached[text.len()]
    }
}

fn read_token(rest: &[char], begins_name: bool) -> (Token, usize) {
    match rest {
        ['\\', c, ..] => (Token::Is(*c), 2),
        ['*', '*', '/', ..] if begins_name => (Token::Directories, 3),
        ['*', '*', ..] => (Token::Stars, 2),
        ['*', ..] => (Token::Star, 1),
        ['?', ..] => (Token::Any, 1),
        ['[', ..] => read_class(rest).unwrap_or((Token::Is('['), 1)),
        ['{', ..] => read_number(rest).unwrap_or((Token::Is('{'), 1)),
        _ => (Token::Is(rest[0]), 1),
    }
}

fn read_class(rest: &[char]) -> Option<(Token, usize)> {
    let end = rest.iter().skip(2).position(|c| *c == ']')? + 2;
    let inner = &rest[1..end];
    if inner.contains(&'/') {
        return None;
    }
    let is_not = matches!(inner[0], '!' | '^');
    let inner = if is_not { &inner[1..] } else { inner };
    let (mut ranges, mut at) = (Vec::new(), 0);
    while at < inner.len() {
        if let [from, '-', to, ..] = inner[at..] {
            ranges.push((from, to));
            at += 3;
        } else {
            ranges.push((inner[at], inner[at]));
            at += 1;
        }
    }
    Some((Token::OneOf { ranges, is_not }, end + 1))
}

fn read_number(rest: &[char]) -> Option<(Token, usize)> {
    let end = rest.iter().position(|c| *c == '}')?;
    let inner: String = rest[1..end].iter().collect();
    let (low, high) = inner.split_once("..")?;
    let (low, high): (i64, i64) = (low.parse().ok()?, high.parse().ok()?);
    Some((Token::Number(low.min(high), low.max(high)), end + 1))
}

impl Token {
    fn step(&self, text: &[char], reached: &[bool]) -> Vec<bool> {
        let mut next = vec![false; reached.len()];
        match self {
            Self::Star | Self::Stars => {
                next.copy_from_slice(reached);
                for at in 0..text.len() {
                    next[at + 1] |= next[at] && (*self == Self::Stars || text[at] != '/');
                }
            }
            Self::Directories => {
                next.copy_from_slice(reached);
                let mut begun = false;
                for at in 0..text.len() {
                    begun |= reached[at];
                    next[at + 1] |= begun && text[at] == '/';
                }
            }
            Self::Number(low, high) => {
                for at in (0..text.len()).filter(|at| reached[*at]) {
                    for end in number_ends(text, at) {
                        let number: String = text[at..end].iter().collect();
                        next[end] |= number.parse::<i64>().is_ok_and(|number| (*low..=*high).contains(&number));
                    }
                }
            }
            _ => {
                for at in (0..text.len()).filter(|at| reached[*at]) {
                    next[at + 1] = self.is_one(text[at]);
                }
            }
        }
        next
    }

    fn is_one(&self, c: char) -> bool {
        match self {
            Self::Is(own) => *own == c,
            Self::Any => c != '/',
            Self::OneOf { ranges, is_not } => c != '/' && ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *is_not,
            _ => false,
        }
    }
}

/// Where a number that begins at `at` can end.
fn number_ends(text: &[char], at: usize) -> impl Iterator<Item = usize> {
    let digits = at + usize::from(matches!(text.get(at), Some('-' | '+')));
    let count = text[digits.min(text.len())..].iter().take(18).take_while(|c| c.is_ascii_digit()).count();
    (1..=count).map(move |length| digits + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_their_specification_says() {
        let matches = |pattern: &str, path: &str| compile(pattern).iter().any(|glob| glob.matches(path));
        for (pattern, path) in [
            ("*", "a/b.c"),
            ("*.py", "deep/down/x.py"),
            ("/*.py", "x.py"),
            ("src/*.py", "src/x.py"),
            ("src/**.py", "src/a/b.py"),
            ("**/x.py", "x.py"),
            ("a/**/x", "a/x"),
            ("a/**/x", "a/b/c/x"),
            ("{a,b{c,d}}.js", "bd.js"),
            ("*.{js,py}", "x.py"),
            ("{single}", "{single}"),
            ("file{1..12}", "file7"),
            ("file{-3..3}", "file-2"),
            ("[abc]x", "bx"),
            ("[a-c]x", "cx"),
            ("[!abc]x", "dx"),
            ("\\*", "*"),
            ("a?c", "a\u{e9}c"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/*.py", "a/x.py"),
            ("src/*.py", "src/a/b.py"),
            ("*.{js,py}", "x.rs"),
            ("file{1..12}", "file13"),
            ("[!abc]x", "ax"),
            ("\\*", "a"),
            ("a?c", "a/c"),
            ("Makefile", "Makefile.am"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_hostile_pattern_costs_little() {
        let began = std::time::Instant::now();
        assert!(compile(&"{a,b}".repeat(40)).is_empty());
        let stars = compile(&"**a".repeat(300));
        assert!(!stars.iter().any(|glob| glob.matches(&"a/".repeat(2000))));
        assert!(!compile("{{{{,}").iter().any(|glob| glob.matches("x")));
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
