//! HTML as text to read: headings, lists, tables and code in the manner of Markdown, links with their addresses. Works on tokens in one
//! pass, so that no page costs more than its length.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};
use llm::http::Url;

/// Bytes of text: addresses of links are longer than what names them.
const TEXT_MAX: usize = 2 * 1024 * 1024;
const LINK_MAX: usize = 500;
const LIST_DEPTH_MAX: usize = 6;
/// What is in them is not for reading.
const SKIPPED: [&str; 9] = ["script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "title"];
const LINES: [&str; 14] =
    ["div", "section", "article", "header", "footer", "main", "aside", "nav", "form", "dt", "dd", "figcaption", "summary", "option"];
const PARAGRAPHS: [&str; 9] = ["p", "table", "blockquote", "dl", "figure", "details", "fieldset", "address", "body"];

/// The text of a page. `address` is where it was found: links are told relative to nothing.
pub(super) fn to_text(page: &str, address: &Url) -> String {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut writer = Writer { base: address.clone(), ..Writer::new(address) };
    for token in Tokenizer::new_with_emitter(page, emitter) {
        match token {
            Ok(Token::StartTag(tag)) => writer.start(&tag),
            Ok(Token::EndTag(tag)) => writer.end(&String::from_utf8_lossy(&tag.name)),
            Ok(Token::String(text)) => writer.text(&String::from_utf8_lossy(&text)),
            Ok(_) => {}
            Err(never) => match never {},
        }
        if writer.out.len() > TEXT_MAX {
            break;
        }
    }
    writer.finish()
}

struct Writer {
    out: String,
    base: Url,
    title: String,
    /// The element whose content is left out, and how many of its name are open.
    skipped: Option<(String, usize)>,
    /// Line ends to write before the next visible character, at most 2.
    breaks: usize,
    /// To write after them.
    prefix: String,
    /// White space was read.
    space: bool,
    is_preformatted: bool,
    /// The next number of each open list; `None` for one without numbers.
    lists: Vec<Option<u32>>,
    /// Cells of the row so far.
    cells: usize,
    /// Where the link's text begins, and where it leads.
    link: Option<(usize, String)>,
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    tag.attributes.get(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned())
}

impl Writer {
    fn new(base: &Url) -> Self {
        Self {
            out: String::new(),
            base: base.clone(),
            title: String::new(),
            skipped: None,
            breaks: 0,
            prefix: String::new(),
            space: false,
            is_preformatted: false,
            lists: Vec::new(),
            cells: 0,
            link: None,
        }
    }

    fn start(&mut self, tag: &StartTag<()>) {
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        if let Some((skipped, depth)) = &mut self.skipped {
            *depth += usize::from(*skipped == name && !tag.self_closing);
            return;
        }
        if SKIPPED.contains(&name.as_str()) {
            self.skipped = (!tag.self_closing).then_some((name, 1));
            return;
        }
        if self.is_preformatted {
            if name == "br" {
                self.out.push('\n');
            }
            return;
        }
        match name.as_str() {
            "br" => self.line(1),
            "hr" => self.rule(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let level = name[1..].parse().unwrap_or(1);
                self.begin_block(2, format!("{} ", "#".repeat(level)));
            }
            "ul" | "ol" => {
                self.line(if self.lists.is_empty() { 2 } else { 1 });
                self.lists.push((name == "ol").then_some(1));
            }
            "li" => self.item(),
            "tr" => {
                self.line(1);
                self.cells = 0;
            }
            "td" | "th" => self.cell(),
            "pre" => {
                self.line(2);
                self.begin();
                self.out.push_str("```\n");
                self.is_preformatted = true;
            }
            "a" => {
                self.end_link();
                let leads = attribute(tag, "href").and_then(|href| self.resolve(&href));
                self.link = leads.map(|leads| (self.out.len(), leads));
            }
            "base" => {
                if let Some(base) = attribute(tag, "href").and_then(|href| self.base.join(&href).ok()) {
                    self.base = base;
                }
            }
            "img" => {
                if let Some(alt) = attribute(tag, "alt").filter(|alt| !alt.trim().is_empty()) {
                    self.words(&format!("[image: {}]", alt.trim()));
                }
            }
            _ => self.block(&name),
        }
    }

    fn end(&mut self, name: &str) {
        if let Some((skipped, depth)) = &mut self.skipped {
            if skipped == name {
                *depth -= 1;
                if *depth == 0 {
                    self.skipped = None;
                }
            }
            return;
        }
        match name {
            "pre" if self.is_preformatted => {
                self.is_preformatted = false;
                if !self.out.ends_with('\n') {
                    self.out.push('\n');
                }
                self.out.push_str("```");
                self.line(2);
            }
            _ if self.is_preformatted => {}
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.line(2),
            "ul" | "ol" => {
                self.lists.pop();
                self.line(if self.lists.is_empty() { 2 } else { 1 });
            }
            "li" | "tr" => self.line(1),
            "a" => self.end_link(),
            _ => self.block(name),
        }
    }

    fn text(&mut self, text: &str) {
        match &self.skipped {
            Some((name, _)) if name == "title" => self.title.push_str(text),
            Some(_) => {}
            None if self.is_preformatted => self.out.push_str(text),
            None => self.words(text),
        }
    }

    /// Text as it flows: white space is one space.
    fn words(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_whitespace() {
                self.space = true;
            } else if !c.is_control() {
                self.begin();
                self.out.push(c);
            }
        }
    }

    /// Writes what was put off until there is something to see.
    fn begin(&mut self) {
        if self.breaks > 0 && !self.out.is_empty() {
            self.out.extend(std::iter::repeat_n('\n', self.breaks));
        } else if self.space && self.breaks == 0 && !self.out.is_empty() {
            self.out.push(' ');
        }
        self.out.push_str(&self.prefix);
        self.prefix.clear();
        self.breaks = 0;
        self.space = false;
    }

    fn line(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
    }

    fn block(&mut self, name: &str) {
        if PARAGRAPHS.contains(&name) {
            self.line(if self.lists.is_empty() { 2 } else { 1 });
        } else if LINES.contains(&name) {
            self.line(1);
        }
    }

    fn begin_block(&mut self, breaks: usize, prefix: String) {
        self.line(breaks);
        self.prefix = prefix;
    }

    fn rule(&mut self) {
        self.line(2);
        self.begin();
        self.out.push_str("---");
        self.line(2);
    }

    fn item(&mut self) {
        let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(LIST_DEPTH_MAX));
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number = number.saturating_add(1);
                format!("{}. ", *number - 1)
            }
            _ => "- ".to_owned(),
        };
        self.begin_block(1, format!("{indent}{mark}"));
    }

    fn cell(&mut self) {
        if self.cells > 0 && self.breaks == 0 {
            self.out.push_str(" |");
            self.space = true;
        }
        self.cells += 1;
    }

    /// Where a link leads; `None` where that says nothing.
    fn resolve(&self, href: &str) -> Option<String> {
        let href = href.trim();
        if href.is_empty() || href.starts_with('#') || href.len() > LINK_MAX {
            return None;
        }
        let url = self.base.join(href).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        Some(url.to_string()).filter(|url| url.len() <= LINK_MAX)
    }

    fn end_link(&mut self) {
        let Some((from, leads)) = self.link.take() else { return };
        let named = self.out.get(from..).unwrap_or_default().trim();
        if !named.is_empty() && named != leads {
            self.out.push_str(&format!(" ({leads})"));
        }
    }

    fn finish(mut self) -> String {
        self.end_link();
        if self.is_preformatted {
            self.out.push_str("\n```");
        }
        let title = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = self.out.trim_end();
        if title.is_empty() { text.to_owned() } else { format!("Title: {title}\n\n{text}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &str) -> String {
        to_text(page, &"https://docs.example.org/guide/".parse().unwrap())
    }

    #[test]
    fn a_page_reads_like_a_text() {
        let page = "<!doctype html><html><head><title>The  guide</title><style>p{}</style><script>if (a < b) { '<p>no</p>' }</script></head>\n\
             <body><h1>Guide</h1><p>One &amp; <b>two</b>\n three.<br>Next <a href='../api'>the API</a>, <a href='#x'>here</a>.</p>\n\
             <ul><li><p>first</p></li><li>second<ol><li>a</li><li>b</ol></ul>\n\
             <table><tr><th>Name</th><th>Value</th></tr><tr><td>x</td><td>1</td></tr></table>\n\
             <pre><code>fn main() {\n    a &lt; b;\n}</code></pre><img src=x alt='a cat'><!-- hidden --><hr><p>End</p></body></html>";
        assert_eq!(
            text(page),
            "Title: The guide\n\n# Guide\n\nOne & two three.\nNext the API (https://docs.example.org/api), here.\n\n- first\n- second\n  1. a\n  2. b\n\n\
             Name | Value\nx | 1\n\n```\nfn main() {\n    a < b;\n}\n```\n\n[image: a cat]\n\n---\n\nEnd"
        );
    }

    #[test]
    fn broken_pages_end_as_well() {
        assert_eq!(text(""), "");
        assert_eq!(text("plain"), "plain");
        assert_eq!(text("<p>a<p>b</div></li></ol>c"), "a\n\nb\n\nc");
        assert_eq!(text("<pre>x"), "```\nx\n```");
        assert_eq!(text("<svg><svg></svg>in</svg>out"), "out");
        assert_eq!(
            text("<a href='javascript:alert(1)'>x</a> <a href='/p'></a>y <a href='https://e.org/'>https://e.org/</a>"),
            "x y https://e.org/"
        );
    }

    #[test]
    fn what_multiplies_stays_bounded() {
        let long = format!("/{}", "a".repeat(400));
        let page = format!("<base href='{long}/'>{}", "<a href=b>c</a>".repeat(100_000));
        assert!(text(&page).len() < TEXT_MAX + 2 * LINK_MAX);
        let deep = "<ul><li>x".repeat(100_000);
        assert!(text(&deep).len() < deep.len() * 3);
        assert!(text(&"<div><table><svg>".repeat(100_000)).is_empty());
    }
}
