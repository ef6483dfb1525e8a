use super::*;

fn render(text: &str) -> String {
    render_blocks(text).concat()
}

#[test]
fn html_is_shown_not_used() {
    let out = render("a <b onclick=x>b</b>\n\n<script>alert(1)</script>\n\n<img src=x onerror=y>");
    assert!(!out.contains("<script") && !out.contains("<b ") && !out.contains("<img"), "{out}");
    assert!(out.contains("&lt;script&gt;"), "{out}");
}

#[test]
fn images_become_links_and_only_the_web_is_linked() {
    let out =
        render("![a cat](https://example.org/cat.png) [x](javascript:alert(1)) [y](JaVaScript:z) [f](src/main.rs) <data:text/html,x>");
    assert!(!out.contains("<img") && !out.to_lowercase().contains("href=\"java") && !out.contains("href=\"data"), "{out}");
    assert!(out.contains(r#"<a href="https://example.org/cat.png" target="_blank" rel="noreferrer noopener">a cat</a>"#), "{out}");
    assert!(out.contains(" f") && !out.contains("src/main.rs"), "{out}");
}

#[test]
fn a_link_cannot_leave_its_attribute() {
    let out = render("[x](<https://example.org/\" onmouseover=\"y>)");
    assert!(!out.contains("onmouseover=\"y"), "{out}");
}

#[test]
fn code_blocks_have_their_buttons_and_what_is_behind_the_fence_is_escaped() {
    let out = render("```\"><i>x\nlet a = 1 < 2;\n```");
    assert!(["copy", "insert", "open"].iter().all(|act| out.contains(&format!("data-act=\"{act}\""))), "{out}");
    assert!(out.contains("1 &lt; 2") && !out.contains("<i>"), "{out}");
    let named = render("```rust src/\"x\"/a.rs\nx\n```");
    assert!(!named.contains("src/\"x"), "{named}");
}

#[test]
fn tables_carry_no_style() {
    let out = render("|a|b|\n|:-:|--:|\n|1|2|");
    assert!(out.contains("<table>") && !out.contains("style="), "{out}");
}

#[test]
fn a_fence_can_name_its_file() {
    for (info, path) in [
        ("rust", None),
        ("", None),
        ("rust src/main.rs", Some("src/main.rs")),
        ("rust:src/main.rs", Some("src/main.rs")),
        ("src/main.rs", Some("src/main.rs")),
        ("./a/Makefile", Some("a/Makefile")),
        ("js title=\"web/app.js\"", Some("web/app.js")),
        ("c++", None),
        ("text/plain/../x", None),
        ("/etc/passwd", None),
        ("../a.rs", None),
        ("objective-c", None),
        ("python hello.py {1,3}", Some("hello.py")),
    ] {
        assert_eq!(fence_path(info).as_deref(), path, "{info}");
    }
}

/// What a page would show after these steps, as text of its blocks.
#[derive(Default)]
struct Page {
    done: Vec<String>,
    tail: Vec<String>,
    code: Option<String>,
    /// The element of the open list, its finished items and the others.
    list: Option<(String, Vec<String>, Vec<String>)>,
    /// The finished parts of the open paragraph, and the others.
    paragraph: Option<(Vec<String>, Vec<String>)>,
    plain: String,
    rendered: usize,
    /// Bytes of HTML and of plain text that the last steps put on the page.
    put: usize,
}

impl Page {
    fn apply(&mut self, steps: Vec<Step>) {
        self.put = 0;
        for step in steps {
            self.put += match &step {
                Step::Blocks { html, .. } | Step::Items { html, .. } | Step::Parts { html, .. } => html.iter().map(String::len).sum(),
                Step::Code(text) | Step::Plain(text) => text.len(),
                _ => 0,
            };
            match step {
                Step::Clear => *self = Self { put: self.put, ..Self::default() },
                Step::OpenParagraph { .. } => {
                    assert!(self.tail.is_empty(), "a paragraph begins after the finished blocks");
                    self.paragraph = Some((Vec::new(), Vec::new()));
                }
                Step::Parts { mut html, finished } => {
                    let (done, tail) = self.paragraph.as_mut().unwrap();
                    *tail = html.split_off(finished);
                    done.extend(html);
                }
                Step::CloseParagraph => {
                    let (done, tail) = self.paragraph.take().unwrap();
                    self.done.push(format!("<p>{}{}</p>", done.concat(), tail.concat()));
                    self.tail.clear();
                }
                Step::DropParagraph => self.paragraph = None,
                Step::Plain(text) => self.plain.push_str(&text),
                Step::ClosePlain => self.plain.clear(),
                Step::Blocks { mut html, finished } => {
                    self.rendered += html.len();
                    self.tail = html.split_off(finished);
                    self.done.extend(html);
                }
                Step::OpenList { html } => {
                    assert!(self.tail.is_empty(), "a list begins after the finished blocks");
                    self.list = Some((html, Vec::new(), Vec::new()));
                }
                Step::Items { mut html, finished } => {
                    self.rendered += html.len();
                    let (_, done, tail) = self.list.as_mut().unwrap();
                    *tail = html.split_off(finished);
                    done.extend(html);
                }
                Step::CloseList => {
                    let list = self.list.take().unwrap();
                    self.done.push(list_html(&list));
                    self.tail.clear();
                }
                Step::OpenCode { frame } => {
                    assert!(self.tail.is_empty(), "code begins after the finished blocks");
                    self.done.push(frame);
                    self.code = Some(String::new());
                }
                Step::Code(text) => self.code.as_mut().unwrap().push_str(&text),
                Step::CloseCode => {
                    let code = escape_text(&self.code.take().unwrap());
                    let frame = self.done.pop().unwrap();
                    self.done.push(frame.replace("</code>", &format!("{code}</code>")));
                }
            }
        }
    }

    fn html(&self) -> String {
        let mut all = self.done.concat();
        if let Some(list) = &self.list {
            all.push_str(&list_html(list));
        }
        if let Some((done, tail)) = &self.paragraph {
            all.push_str(&format!("<p>{}{}</p>", done.concat(), tail.concat()));
        }
        assert!(self.plain.is_empty(), "no plain text is left at the end");
        if let Some(code) = &self.code {
            all = all.replace("<pre><code></code>", &format!("<pre><code>{}</code>", escape_text(code)));
        }
        normalise(&(all + &self.tail.concat()))
    }
}

fn list_html((element, done, tail): &(String, Vec<String>, Vec<String>)) -> String {
    let inside = ["</tbody>", "</ul>", "</ol>"].iter().find_map(|end| element.rfind(end)).unwrap();
    let (before, after) = element.split_at(inside);
    format!("{before}{}{}{after}", done.concat(), tail.concat())
}

fn escape_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Without what looks the same: whether the items of a list hold paragraphs depends on those that follow.
fn normalise(html: &str) -> String {
    parts::without_parts(html).replace("&quot;", "\"").replace("<p>", "").replace("</p>", "").replace(' ', "")
}

const SAMPLE: &str = "# Title\n\nSome *text* with `code`\nover lines.\n\n- one\n- two\n  - nested\n\n- loose\n\n1. a\n\n2. b\n\n> quote\nlazy\n\n```rust src/a.rs\nfn main() {\n    let x = \"``\";\n}\n``\n  ```  \n\n| a | b |\n|---|---|\n| 1 | <b> |\n\nSetext\n======\n\n~~~\ntilde ``` inside\n~~~\nafter at once\n#\n***\n*em* end\n\n````md\n```\ninner\n```\n````\n\n    indented\n\nLast é ✓ line";

#[test]
fn any_cut_of_a_growing_text_ends_as_the_whole_would() {
    for size in [1, 2, 3, 7, 20, 64] {
        let (mut growing, mut page, mut text) = (Growing::default(), Page::default(), String::new());
        let chars: Vec<char> = SAMPLE.chars().collect();
        for piece in chars.chunks(size) {
            text.extend(piece);
            page.apply(growing.take(&text, false));
        }
        page.apply(growing.take(&text, true));
        assert_eq!(page.html(), normalise(&render(SAMPLE)), "in pieces of {size}");
    }
}

#[test]
fn a_text_at_once_is_the_whole_too() {
    let mut page = Page::default();
    page.apply(Growing::default().take(SAMPLE, true));
    assert_eq!(page.html(), normalise(&render(SAMPLE)));
}

#[test]
fn finished_blocks_are_rendered_once() {
    let paragraph = "A sentence of some words.\n\n";
    let (mut growing, mut page, mut text) = (Growing::default(), Page::default(), String::new());
    for _ in 0..500 {
        text.push_str(paragraph);
        page.apply(growing.take(&text, false));
    }
    assert_eq!(page.done.len() + page.tail.len(), 500);
    assert!(page.rendered <= 1100, "{} blocks rendered for 500", page.rendered);
}

#[test]
fn finished_items_are_rendered_once() {
    let (mut growing, mut page, mut text) = (Growing::default(), Page::default(), "Items:\n\n".to_owned());
    for n in 0..500 {
        text.push_str(&format!("- item {n}\n  with another line\n"));
        page.apply(growing.take(&text, false));
    }
    assert!(page.rendered <= 1600, "{} parts rendered for 500 items", page.rendered);
    text.push_str("\nThe end.\n\n1. one\n1. two\n1. three\n");
    page.apply(growing.take(&text, false));
    page.apply(growing.take(&text, true));
    assert_eq!(page.html(), normalise(&render(&text)));
}

#[test]
fn finished_rows_are_rendered_once() {
    let (mut growing, mut page, mut text) = (Growing::default(), Page::default(), "| n | words |\n|--:|---|\n".to_owned());
    for n in 0..500 {
        text.push_str(&format!("| {n} | some <tr> `<tr>` words |\n"));
        page.apply(growing.take(&text, false));
    }
    assert!(page.rendered <= 1600, "{} parts rendered for 500 rows", page.rendered);
    text.push_str("lazy\n\n| a |\n|---|\n| b |\nThe end\n\n| x |\n|---|\n");
    page.apply(growing.take(&text, false));
    page.apply(growing.take(&text, true));
    assert_eq!(page.html(), normalise(&render(&text)));
}

#[test]
fn an_open_code_block_takes_only_what_is_new() {
    let mut growing = Growing::default();
    let mut text = "Look:\n\n```rs\nlet a = 1;\n".to_owned();
    let steps = growing.take(&text, false);
    assert!(
        matches!(&steps[..], [Step::Blocks { finished: 1, .. }, Step::OpenCode { .. }, Step::Code(code)] if code == "let a = 1;\n"),
        "{steps:?}"
    );
    text.push_str("let b");
    assert_eq!(growing.take(&text, false), [Step::Code("let b".to_owned())]);
    text.push_str(" = 2;\n``");
    assert_eq!(growing.take(&text, false), [Step::Code(" = 2;\n".to_owned())]);
    text.push_str("`\nDone");
    let steps = growing.take(&text, false);
    assert!(matches!(&steps[..], [Step::CloseCode, Step::Blocks { finished: 0, .. }]), "{steps:?}");
}

#[test]
fn links_whose_target_comes_later_work_in_the_end() {
    let (mut growing, mut page) = (Growing::default(), Page::default());
    let text = "See [this][1].\n\nMore.\n\nAnd more.\n\n[1]: https://example.org/a\n";
    page.apply(growing.take("See [this][1].\n\nMore.\n\nAnd more.\n\n", false));
    page.apply(growing.take(text, false));
    page.apply(growing.take(text, true));
    assert!(page.html().contains("href=\"https://example.org/a\""), "{}", page.html());
}

#[test]
fn another_text_starts_anew() {
    let (mut growing, mut page) = (Growing::default(), Page::default());
    page.apply(growing.take("One.\n\nTwo.\n\nThree", false));
    page.apply(growing.take("Four.\n\nFive", false));
    assert_eq!(page.html(), normalise("<p>Four.</p>\n<p>Five</p>\n"));
}

#[test]
fn a_stopped_answer_shows_what_looked_like_a_fence() {
    let (mut growing, mut page) = (Growing::default(), Page::default());
    page.apply(growing.take("```\na\n``", false));
    assert!(!page.html().contains("``"));
    page.apply(growing.take("```\na\n``", true));
    assert!(page.html().contains("``"), "{}", page.html());
}

/// Numbers that look like chance, and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const INLINE: &[&str] = &[
    "word ",
    "words and more of them ",
    "*",
    "**",
    "_",
    "`",
    "``",
    "~~",
    "[",
    "]",
    "](https://example.org/a) ",
    "[a link](https://example.org/b) ",
    "`code with  blanks` ",
    "*soft* ",
    "**strong words in it** ",
    "snake_case ",
    "5 * 3 ",
    "a<b ",
    "<b class=\"x y\">",
    "</b> ",
    "&amp; ",
    "\\* ",
    "\\",
    "é✓ ",
    "語語語語",
    "\n",
    "  \n",
    "12 ",
    "- ",
    "# ",
    "1. ",
    "| ",
    "<https://example.org> ",
    "![picture](https://example.org/c) ",
    "  ",
    "averyverylongwordwithoutanyblankinitthatgoesonandonandonandonandonandonandonandonandonandonandonandonandonandonandonandonandonandonand",
];

fn paragraph(chance: &mut Chance) -> String {
    let mut text = "Begin ".to_owned();
    for _ in 0..chance.below(120) {
        // Much of a text is words.
        text.push_str(if chance.below(2) == 0 { "some words " } else { chance.pick(INLINE) });
    }
    // A line that is blank, or has marks alone, may be another block; such a text is none.
    text.lines().map(str::trim_start).filter(|line| line.chars().any(char::is_alphabetic)).collect::<Vec<_>>().join("\n")
}

#[test]
fn texts_of_chance_in_pieces_of_chance_end_as_the_whole_would() {
    for seed in 0..1500 {
        let mut chance = Chance(seed);
        let mut whole = String::new();
        for _ in 0..=chance.below(4) {
            whole.push_str(&match chance.below(6) {
                0 => "## Heading\n\n".to_owned(),
                1 => format!("```rs\n{}```\n\n", "let a = *b;\n".repeat(chance.below(30))),
                2 => format!("| a | b |\n|---|---|\n{}\n", "| some *words* | `x` |\n".repeat(chance.below(30))),
                3 => format!("> {}\n\n", paragraph(&mut chance).replace('\n', " ")),
                _ => paragraph(&mut chance) + if chance.below(8) == 0 { "\n---\n\n" } else { "\n\n" },
            });
        }
        let chars: Vec<char> = whole.chars().collect();
        let (mut growing, mut page, mut text, mut at) = (Growing::default(), Page::default(), String::new(), 0);
        while at < chars.len() {
            let end = (at + 1 + chance.below(40)).min(chars.len());
            text.extend(&chars[at..end]);
            at = end;
            page.apply(growing.take(&text, false));
        }
        page.apply(growing.take(&text, true));
        assert_eq!(page.html(), normalise(&render(&whole)), "seed {seed}: {whole:?}");
        page.apply(growing.take(&text, true));
        assert_eq!(page.html(), normalise(&render(&whole)), "seed {seed}, taken once more");
    }
}

/// The most that any piece of a text puts on the page before the text is whole.
fn most_put(begin: &str, piece: &str) -> usize {
    let (mut growing, mut page, mut text) = (Growing::default(), Page::default(), begin.to_owned());
    let mut most = 0;
    for _ in 0..600 {
        text.push_str(piece);
        page.apply(growing.take(&text, false));
        most = most.max(page.put);
    }
    page.apply(growing.take(&text, true));
    assert_eq!(page.html(), normalise(&render(&text)), "{begin}{piece}");
    most
}

#[test]
fn what_a_piece_costs_does_not_grow_with_the_text() {
    for (begin, piece) in [
        ("Words: ", "some **strong** words and `code`, see [this](https://example.org/a) "),
        ("An * opener that *never ends: ", "words and words "),
        ("A bracket [ that never ends, and a ` too: ", "words and words "),
        ("Lines:\n", "a line of words\n"),
        ("Word: ", "word"),
        ("Marks: ", "12 + 3 "),
        ("語", "語語語"),
        ("**", "all of it is strong "),
        ("- ", "words in one item "),
        ("- one\n", "- another item\n"),
        ("> ", "words of a quote "),
        ("> a quote\n", "> of many lines\n"),
        ("| a | b |\n|---|---|\n| ", "words in a cell "),
        ("| a | b |\n|---|---|\n", "| words | in rows |\n"),
        ("```rs\n", "let a = 1; "),
        ("```rs\n", "let a = 1;\n"),
        ("# ", "words of a heading "),
        ("    ", "words of indented code "),
    ] {
        let most = most_put(begin, piece);
        assert!(most <= 24 * PART_BYTES, "{most} bytes at once for {begin:?} and {piece:?}");
    }
}
