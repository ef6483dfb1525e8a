//! A model's Markdown as safe HTML: no raw HTML, no images, links to the web only. A text that grows is rendered by its blocks: what is
//! finished is rendered once, an open code block takes its lines as plain text, lists, tables and long paragraphs are rendered by their parts, and
//! the end of anything else that is long is shown as it is written until it is finished.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::markdown_parts::{self as parts, Inline, PART_BYTES, Part};

/// An unfinished end that is longer takes what follows as plain text: rendering it anew would take longer with each word.
const TAIL_MAX: usize = 4 * PART_BYTES;

/// What the page has to do, in order, after the text has grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Forget everything: this is another text.
    Clear,
    /// These stand in place of what followed the finished blocks. The first `finished` of them never change again.
    Blocks { html: Vec<String>, finished: usize },
    /// A code block begins after the finished blocks; its frame has an empty `code`.
    OpenCode { frame: String },
    /// Text for the end of the open code block.
    Code(String),
    /// The open code block is finished.
    CloseCode,
    /// A list or a table begins after the finished blocks; its element has no items or rows yet.
    OpenList { html: String },
    /// As `Blocks`, within the open list.
    Items { html: Vec<String>, finished: usize },
    /// The open list is finished.
    CloseList,
    /// A long paragraph begins after the finished blocks; its element is empty.
    OpenParagraph { html: String },
    /// As `Blocks`, within the open paragraph.
    Parts { html: Vec<String>, finished: usize },
    /// The open paragraph is finished.
    CloseParagraph,
    /// The open paragraph was something else: its element goes.
    DropParagraph,
    /// Text behind everything else, as it is written, until `ClosePlain`.
    Plain(String),
    /// The plain text goes; what it says follows.
    ClosePlain,
}

/// How far a growing text is rendered.
#[derive(Debug, Default)]
pub struct Growing {
    seen: String,
    /// Bytes of `seen` that are rendered for good.
    done: usize,
    open: Open,
    paragraph: LongParagraph,
    /// The lines in front of the rows of the open table: what makes them rows. Empty for a list.
    head: String,
    /// The end is shown as plain text.
    is_plain: bool,
}

/// The open paragraph.
#[derive(Debug, Default)]
struct LongParagraph {
    begin: usize,
    /// Its finished parts.
    html: String,
    /// The one that begins there does not come in parts.
    refused: Option<usize>,
}

/// What is not finished and takes more at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Open {
    #[default]
    Nothing,
    Code(Fence),
    List,
    Paragraph,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fence {
    mark: u8,
    length: usize,
}

struct Block {
    html: String,
    range: Range<usize>,
    list: Option<List>,
    /// Of a paragraph.
    parts: Vec<Part>,
}

/// The parts of a list or of a table: its element without items, and of each item or row its HTML and where its first line begins.
struct List {
    element: String,
    items: Vec<(String, usize)>,
}

impl Growing {
    /// Takes the whole text as it is now. `is_last`: nothing will be added to it.
    pub fn take(&mut self, text: &str, is_last: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        // A definition below changes links above, which are rendered already.
        let is_other = !text.starts_with(self.seen.as_str()) || (is_last && self.done > 0 && has_definition(text));
        if is_other {
            *self = Self::default();
            steps.push(Step::Clear);
        }
        let new = text.get(self.seen.len()..).unwrap_or_default();
        self.seen.push_str(new);
        // Nothing long ends within its line.
        if self.is_plain && !is_last && !new.contains('\n') {
            steps.extend((!new.is_empty()).then(|| Step::Plain(new.to_owned())));
            return steps;
        }
        let before = (self.done, self.open);
        let mut ahead = Vec::new();
        self.advance(is_last, &mut ahead);
        if self.is_plain && !is_last && before == (self.done, self.open) {
            steps.extend((!new.is_empty()).then(|| Step::Plain(new.to_owned())));
            return steps;
        }
        steps.extend(self.is_plain.then_some(Step::ClosePlain));
        steps.append(&mut ahead);
        self.is_plain = !is_last && !matches!(self.open, Open::Code(_)) && self.rest().len() > TAIL_MAX;
        steps
    }

    fn advance(&mut self, is_last: bool, steps: &mut Vec<Step>) {
        loop {
            let went_on = match self.open {
                Open::Code(fence) => self.take_code(fence, is_last, steps),
                Open::List => self.take_items(steps),
                Open::Paragraph => self.take_parts(is_last, steps),
                Open::Nothing => self.take_blocks(is_last, steps),
            };
            if !went_on {
                return;
            }
        }
    }

    fn rest(&self) -> &str {
        self.seen.get(self.done..).unwrap_or_default()
    }

    /// Lines of the open code block. True when it was closed and something may follow.
    fn take_code(&mut self, fence: Fence, is_last: bool, steps: &mut Vec<Step>) -> bool {
        let mut code = String::new();
        let mut taken = 0;
        let mut is_closed = false;
        let mut at_start = self.seen.get(..self.done).is_none_or(|before| before.ends_with('\n'));
        for line in self.rest().split_inclusive('\n') {
            let is_whole = line.ends_with('\n');
            if at_start && fence.could_close(line) {
                // It may still become the closing fence, or another line.
                if !is_whole && !is_last {
                    break;
                }
                is_closed = fence.closes(line);
            }
            taken += line.len();
            if is_closed {
                break;
            }
            at_start = is_whole;
            code.extend(line.chars().filter(|c| *c != '\r'));
        }
        self.done += taken;
        if !code.is_empty() {
            steps.push(Step::Code(code));
        }
        if is_closed {
            self.open = Open::Nothing;
            steps.push(Step::CloseCode);
        }
        is_closed
    }

    /// Items of the open list, or rows of the open table. True when it was finished and something follows.
    fn take_items(&mut self, steps: &mut Vec<Step>) -> bool {
        let rest = format!("{}{}", self.head, self.rest());
        let rest = rest.as_str();
        let mut blocks = blocks(rest).into_iter();
        let Some(List { items, .. }) = blocks.next().and_then(|block| block.list) else {
            // The text has come to mean something else; it is rendered again from the start.
            let seen = std::mem::take(&mut self.seen);
            *self = Self { seen, ..Self::default() };
            steps.push(Step::Clear);
            return true;
        };
        let after: Vec<Block> = blocks.collect();
        let follows = after.first().map(|block| block.range.start).filter(|start| is_settled(rest, *start));
        let starts: Vec<usize> = items.iter().map(|(_, start)| *start).collect();
        let finished = if follows.is_some() { items.len() } else { count_finished(rest, &starts) };
        let step = follows.or_else(|| starts.get(finished).copied()).map_or(0, |at| at.saturating_sub(self.head.len()));
        steps.push(Step::Items { html: items.into_iter().map(|(html, _)| html).collect(), finished });
        if follows.is_some() {
            self.open = Open::Nothing;
            steps.push(Step::CloseList);
        } else {
            steps.push(Step::Blocks { html: after.into_iter().map(|block| block.html).collect(), finished: 0 });
        }
        self.done += step;
        follows.is_some()
    }

    /// Parts of the open paragraph. True when it was finished and something follows, or when it turns out to be none.
    fn take_parts(&mut self, is_last: bool, steps: &mut Vec<Step>) -> bool {
        let rest = self.rest();
        let mut blocks = blocks(rest).into_iter();
        let parts = blocks.next().map(|block| block.parts).unwrap_or_default();
        let after: Vec<Block> = blocks.collect();
        let next = after.first().map(|block| block.range.start);
        let follows = next.filter(|start| is_settled(rest, *start));
        let shown: String = parts.iter().map(|part| part.html.as_str()).collect();
        let end = self.done + next.unwrap_or(rest.len());
        let is_over = follows.is_some() || is_last;
        if parts.is_empty() || (is_over && !self.is_as_rendered_whole(&shown, end)) {
            self.open = Open::Nothing;
            self.done = self.paragraph.begin;
            self.paragraph.refused = Some(self.paragraph.begin);
            steps.push(Step::DropParagraph);
            return true;
        }
        let finished = if follows.is_some() { parts.len() } else { count_finished_parts(&parts, next.unwrap_or(rest.len())) };
        let step = follows.or_else(|| parts.get(finished).map(|part| part.begin)).unwrap_or(0);
        self.paragraph.html.extend(parts.iter().take(finished).map(|part| part.html.as_str()));
        steps.push(Step::Parts { html: parts.into_iter().map(|part| part.html).collect(), finished });
        if follows.is_some() {
            self.open = Open::Nothing;
            steps.push(Step::CloseParagraph);
        } else {
            steps.push(Step::Blocks { html: after.into_iter().map(|block| block.html).collect(), finished: 0 });
        }
        self.done += step;
        follows.is_some()
    }

    /// Whether the open paragraph, which ends with `last`, looks as it would had it come at once: what spans parts shows only then.
    fn is_as_rendered_whole(&self, last: &str, end: usize) -> bool {
        let whole = self.seen.get(self.paragraph.begin..end).map(render_blocks).unwrap_or_default();
        let [whole] = whole.as_slice() else { return false };
        let shown = format!("<p>{}{last}</p> ", self.paragraph.html);
        parts::without_parts(whole) == parts::without_parts(&shown)
    }

    /// True when something was opened that takes what is next.
    fn take_blocks(&mut self, is_last: bool, steps: &mut Vec<Step>) -> bool {
        let rest = self.rest();
        let mut blocks = blocks(rest);
        let opened = if is_last { None } else { blocks.last().and_then(|last| Opening::of(rest, last)) };
        let opened = opened.filter(|opening| opening.open != Open::Paragraph || self.paragraph.refused != Some(self.done + opening.begin));
        if let Some(opening) = opened {
            blocks.pop();
            let finished = blocks.len();
            steps.push(Step::Blocks { html: blocks.into_iter().map(|block| block.html).collect(), finished });
            self.done += opening.begin;
            self.open = opening.open;
            self.paragraph = LongParagraph { begin: self.done, ..LongParagraph::default() };
            self.head = opening.head;
            steps.push(opening.step);
            return true;
        }
        let starts: Vec<usize> = blocks.iter().map(|block| block.range.start).collect();
        let finished = count_finished(rest, &starts);
        let step = starts.get(finished).copied().unwrap_or(0);
        steps.push(Step::Blocks { html: blocks.into_iter().map(|block| block.html).collect(), finished });
        self.done += step;
        false
    }
}

/// What something is can be told for sure only once its first line is whole.
fn is_settled(text: &str, start: usize) -> bool {
    text.get(start..).is_some_and(|rest| rest.contains('\n'))
}

/// How many of the parts that begin there are finished: those in front of one that is settled.
fn count_finished(text: &str, starts: &[usize]) -> usize {
    starts.iter().skip(1).take_while(|start| is_settled(text, **start)).count()
}

/// How many parts of a paragraph that ends at `end` are finished. What may begin something that ends later is waited for, but not forever.
fn count_finished_parts(parts: &[Part], end: usize) -> usize {
    let is_long = |next: &Part| end.saturating_sub(next.begin) >= 2 * PART_BYTES;
    parts.windows(2).take_while(|pair| matches!(pair, [part, next] if !part.is_open || is_long(next))).count()
}

/// A block that takes more at its end, and where that begins.
struct Opening {
    open: Open,
    begin: usize,
    head: String,
    step: Step,
}

impl Opening {
    /// For the last block of a text: a code block without an end, a list or table with finished items, or a paragraph with finished parts.
    fn of(text: &str, last: &Block) -> Option<Self> {
        if count_finished_parts(&last.parts, text.len()) > 0 {
            let step = Step::OpenParagraph { html: parts::empty() };
            return Some(Self { open: Open::Paragraph, begin: last.range.start, head: String::new(), step });
        }
        if let Some(list) = &last.list {
            let starts: Vec<usize> = list.items.iter().map(|(_, start)| *start).collect();
            let step = Step::OpenList { html: list.element.clone() };
            if count_finished(text, &starts) == 0 {
                return None;
            }
            let begin = starts.first().copied()?;
            let head = text.get(last.range.start..begin)?.to_owned();
            return Some(Self { open: Open::List, begin, head, step });
        }
        let (first, code) = text.get(last.range.start..)?.split_once('\n')?;
        let (fence, info) = Fence::opening(first)?;
        let is_closed = code.split_inclusive('\n').any(|line| fence.closes(line));
        let frame = format!("{}<pre><code></code></pre></div>", code_bar(info));
        let begin = last.range.start + first.len() + 1;
        (!is_closed).then_some(Self { open: Open::Code(fence), begin, head: String::new(), step: Step::OpenCode { frame } })
    }
}

impl Fence {
    /// The fence that a line without indentation opens, and what is said behind it.
    fn opening(line: &str) -> Option<(Self, &str)> {
        let mark = *line.as_bytes().first().filter(|byte| matches!(byte, b'`' | b'~'))?;
        let length = line.bytes().take_while(|byte| *byte == mark).count();
        let info = line.get(length..)?.trim();
        (length >= 3 && (mark == b'~' || !info.contains('`'))).then_some((Self { mark, length }, info))
    }

    fn closes(self, line: &str) -> bool {
        let inner = line.trim_end();
        let bare = inner.trim_start_matches(' ');
        inner.len() - bare.len() <= 3 && bare.len() >= self.length && bare.bytes().all(|byte| byte == self.mark)
    }

    fn could_close(self, line: &str) -> bool {
        let bare = line.trim_matches([' ', '\t', '\r', '\n']);
        bare.bytes().all(|byte| byte == self.mark)
    }
}

/// Whether a line may be the target of links elsewhere in the text.
fn has_definition(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with('[') && line.contains("]:"))
}

/// The top-level blocks of a text as safe HTML.
pub fn render_blocks(text: &str) -> Vec<String> {
    blocks(text).into_iter().map(|block| block.html).collect()
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut pending: Vec<Event<'_>> = Vec::new();
    // Of each pending event, where it stands and whether it is plain text of a paragraph.
    let mut places: Vec<(Range<usize>, bool)> = Vec::new();
    let mut list: Option<List> = None;
    let mut depth = 0usize;
    let (mut start, mut item_start) = (0, 0);
    // Where the rows of a table begin.
    let mut rows = Vec::new();
    let mut safe = Safe::default();
    // Indentation is part of what a block is.
    let line_start = |at: usize| text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match (&event, depth) {
            (Event::Start(Tag::List(first)), 0) => {
                list = Some(List { element: list_element(*first), items: Vec::new() });
                (start, depth) = (line_start(range.start), 1);
                continue;
            }
            (Event::Start(Tag::Item), 1) if list.is_some() => item_start = line_start(range.start),
            (Event::Start(Tag::TableRow), 1) => rows.push(line_start(range.start)),
            (Event::End(TagEnd::List(_)), 1) => {
                if let Some(list) = list.take() {
                    blocks.push(Block { html: list.to_html(), range: start..range.end, list: Some(list), parts: Vec::new() });
                }
                depth = 0;
                continue;
            }
            (_, 0) => start = line_start(range.start),
            _ => {}
        }
        match &event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_plain = depth == 1 && matches!(event, Event::Text(_) | Event::SoftBreak);
        safe.push(event, &mut pending);
        places.resize(pending.len(), (range.clone(), is_plain));
        let is_whole = depth == usize::from(list.is_some());
        if is_whole && !pending.is_empty() {
            let events = pending.drain(..).zip(places.drain(..));
            match &mut list {
                Some(list) => list.items.push((render(events.map(|(event, _)| event)), item_start)),
                None => blocks.push(block(text, start..range.end, events, std::mem::take(&mut rows))),
            }
        }
    }
    blocks
}

/// A block that is no list, out of its events with their places. `rows` says where those of a table begin.
fn block<'a>(
    text: &'a str,
    range: Range<usize>,
    events: impl ExactSizeIterator<Item = (Event<'a>, (Range<usize>, bool))>,
    rows: Vec<usize>,
) -> Block {
    let inner = events.len().saturating_sub(2);
    let mut events = events.peekable();
    let is_paragraph = matches!(events.peek(), Some((Event::Start(Tag::Paragraph), _)));
    if is_paragraph && range.len() > PART_BYTES {
        let inlines = events.skip(1).take(inner).map(|(event, (range, is_plain))| Inline { event, range, is_plain }).collect();
        let parts = parts::split(text, range.start, inlines);
        return Block { html: parts::join(&parts), range, list: None, parts };
    }
    let html = render(events.map(|(event, _)| event));
    let parts = if is_paragraph { vec![Part::whole(&html, range.start)] } else { Vec::new() };
    let list = if rows.is_empty() { None } else { table(&html, &rows) };
    Block { html, range, list, parts }
}

/// A table in its rows. Whatever its cells say is escaped: no other `<tr>` is in it than its own.
fn table(html: &str, rows: &[usize]) -> Option<List> {
    let begins: Vec<usize> = html.match_indices("<tr>").map(|(at, _)| at).skip(1).collect();
    let end = html.rfind("</tbody>")?;
    let element = format!("{}{}", html.get(..*begins.first()?)?, html.get(end..)?);
    let ends = begins.iter().skip(1).copied().chain([end]);
    let items = begins.iter().zip(ends).zip(rows);
    let items = items.map(|((begin, end), row)| Some((html.get(*begin..end)?.to_owned(), *row))).collect::<Option<Vec<_>>>()?;
    (begins.len() == rows.len()).then_some(List { element, items })
}

fn render<'a>(events: impl Iterator<Item = Event<'a>>) -> String {
    let mut html = String::new();
    html::push_html(&mut html, events);
    html
}

fn list_element(first: Option<u64>) -> String {
    match first {
        Some(1) => "<ol></ol>".to_owned(),
        Some(first) => format!("<ol start=\"{first}\"></ol>"),
        None => "<ul></ul>".to_owned(),
    }
}

impl List {
    fn to_html(&self) -> String {
        let items: String = self.items.iter().map(|(html, _)| html.as_str()).collect();
        self.element.replacen("></", &format!(">\n{items}</"), 1)
    }
}

/// Replaces what must not reach the page.
#[derive(Default)]
struct Safe {
    /// For each open link, whether it was kept.
    links: Vec<bool>,
}

impl Safe {
    fn push<'a>(&mut self, event: Event<'a>, out: &mut Vec<Event<'a>>) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => out.push(Event::Text(html)),
            Event::Start(Tag::HtmlBlock) => out.push(Event::Start(Tag::Paragraph)),
            Event::End(TagEnd::HtmlBlock) => out.push(Event::End(TagEnd::Paragraph)),
            Event::Start(Tag::Heading { level, .. }) => {
                out.push(Event::Start(Tag::Heading { level: lower(level), id: None, classes: Vec::new(), attrs: Vec::new() }));
            }
            Event::End(TagEnd::Heading(level)) => out.push(Event::End(TagEnd::Heading(lower(level)))),
            Event::Start(Tag::Table(columns)) => {
                // Alignment would be written as style attributes, which the page's policy forbids.
                out.push(Event::Start(Tag::Table(vec![pulldown_cmark::Alignment::None; columns.len()])));
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let open = open_link(&dest_url);
                self.links.push(open.is_some());
                out.extend(open.map(|tag| Event::InlineHtml(tag.into())));
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                if self.links.pop() == Some(true) {
                    out.push(Event::InlineHtml(CowStr::Borrowed("</a>")));
                }
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let info = match &kind {
                    CodeBlockKind::Fenced(info) => info,
                    CodeBlockKind::Indented => "",
                };
                out.push(Event::InlineHtml(code_bar(info).into()));
                out.push(Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)));
            }
            Event::End(TagEnd::CodeBlock) => {
                out.push(Event::End(TagEnd::CodeBlock));
                out.push(Event::InlineHtml(CowStr::Borrowed("</div>")));
            }
            other => out.push(other),
        }
    }
}

/// The page has one h1; what the agent writes starts below the panel's own heading.
fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        _ => HeadingLevel::H5,
    }
}

fn open_link(url: &str) -> Option<String> {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("http" | "https")) {
        return None;
    }
    Some(format!(r#"<a href="{}" target="_blank" rel="noreferrer noopener">"#, escape(url)))
}

/// The file that a code block says it is for, in the words behind its fence.
pub fn fence_path(info: &str) -> Option<String> {
    let words =
        info.split(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | '=' | '"' | '{' | '}')).map(|word| word.trim_start_matches("./"));
    let is_path = |word: &&str| {
        let name = word.rsplit('/').next().unwrap_or_default();
        let has_end = name.rsplit_once('.').is_some_and(|(before, end)| !end.is_empty() && (!before.is_empty() || word.contains('/')));
        (has_end || word.contains('/')) && word.chars().any(char::is_alphanumeric) && wire::files::check_path(word).is_ok()
    };
    words.filter(is_path).map(str::to_owned).next()
}

fn code_bar(info: &str) -> String {
    let path = fence_path(info);
    let language = info.split([' ', ',', ':']).next().unwrap_or_default();
    let shown = path.as_deref().unwrap_or(language);
    let button = |act: &str, icon: &str, label: &str| {
        format!(
            r##"<button type="button" class="ib ib--s" data-act="{act}" aria-label="{label}" title="{label}"><svg class="icon icon-s" aria-hidden="true"><use href="#i-{icon}"></use></svg></button>"##
        )
    };
    format!(
        r#"<div class="code" data-path="{}"><div class="code-bar"><span class="grow clip">{}</span>{}{}{}</div>"#,
        escape(path.as_deref().unwrap_or_default()),
        escape(shown),
        button("copy", "clipboard", "Copy code"),
        button("insert", "text-select", "Insert at the cursor"),
        button("open", "git-compare", "Open as a change"),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
