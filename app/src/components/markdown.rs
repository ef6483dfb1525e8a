//! The agent's words on the page. What has been rendered of a growing text stays; only its end changes.

use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};

use super::{
    clipboard, code_actions,
    ide::Ide,
    markdown_parse::{Growing, Step},
};

/// Lines that stand in one element of a code block: the browser lays out anew only the last of them.
const CODE_CHUNK_LINES: usize = 40;

/// Bytes that stand in one element of plain text.
const PLAIN_CHUNK_BYTES: usize = 2048;

/// Rendered Markdown that may still grow. Code blocks can be copied and, in a project, inserted or opened as a change.
#[component]
pub fn Markdown(
    #[prop(into)] text: Signal<String>,
    /// Shows a caret at the end.
    #[prop(optional, into)]
    streaming: Signal<bool>,
) -> impl IntoView {
    let host = NodeRef::<html::Div>::new();
    let page = StoredValue::new_local(Page::default());
    Effect::new(move |_| {
        let Some(host) = host.get() else { return };
        let is_last = !streaming.get();
        text.with(|text| page.update_value(|page| page.show(&host, text, is_last)));
    });
    let ide = use_context::<Ide>();
    let toasts = crate::ui::use_toasts();
    let on_click = move |event: ev::MouseEvent| {
        let Some(clicked) = clicked_block(&event) else { return };
        match (clicked.act.as_str(), ide) {
            ("copy", _) => clipboard::copy(clicked.code, "code", toasts),
            ("insert", Some(ide)) => code_actions::insert(ide, &clicked.code),
            ("open", Some(ide)) => code_actions::open_as_change(ide, clicked.path, clicked.code),
            _ => {}
        }
    };
    let may_edit = move || ide.is_some_and(|ide| ide.can_edit());
    view! { <div class="md" class:md--live=move || streaming.get() class:md--edit=may_edit node_ref=host on:click=on_click></div> }
}

struct Clicked {
    act: String,
    code: String,
    /// The file that the block says it is for.
    path: Option<String>,
}

fn clicked_block(event: &ev::MouseEvent) -> Option<Clicked> {
    let target = event.target()?.dyn_into::<web_sys::Element>().ok()?;
    let button = target.closest("[data-act]").ok()??;
    let block = button.closest(".code").ok()??;
    let code = block.query_selector("pre").ok()??.text_content()?;
    Some(Clicked { act: button.get_attribute("data-act")?, code, path: block.get_attribute("data-path").filter(|path| !path.is_empty()) })
}

/// What of the text is on the page.
#[derive(Default)]
struct Page {
    growing: Growing,
    /// What follows the finished blocks, with the HTML in it.
    tail: Vec<(web_sys::Element, String)>,
    code: Option<OpenCode>,
    list: Option<OpenList>,
    paragraph: Option<OpenParagraph>,
    plain: Option<OpenPlain>,
}

struct OpenParagraph {
    block: web_sys::Element,
    paragraph: web_sys::Element,
    /// The last node that stays.
    last: Option<web_sys::Node>,
}

struct OpenPlain {
    block: web_sys::Element,
    /// The text that takes more, and how many bytes it has.
    chunk: Option<(web_sys::Text, usize)>,
}

struct OpenList {
    list: web_sys::Element,
    /// The items that may still change.
    tail: Vec<web_sys::Element>,
}

struct OpenCode {
    code: web_sys::Element,
    /// The element that takes more lines, and how many it has.
    chunk: Option<(web_sys::Text, usize)>,
}

impl Page {
    fn show(&mut self, host: &web_sys::Element, text: &str, is_last: bool) {
        for step in self.growing.take(text, is_last) {
            match step {
                Step::Clear => {
                    host.set_text_content(None);
                    (self.tail, self.code, self.list) = (Vec::new(), None, None);
                    (self.paragraph, self.plain) = (None, None);
                }
                Step::Blocks { html, finished } => self.put_blocks(host, html, finished),
                Step::OpenCode { frame } => {
                    self.code = append_block(host, &frame)
                        .and_then(|block| block.query_selector("code").ok().flatten())
                        .map(|code| OpenCode { code, chunk: None });
                }
                Step::Code(text) => {
                    if let Some(open) = &mut self.code {
                        open.push(&text);
                    }
                }
                Step::CloseCode => self.code = None,
                Step::OpenList { html } => {
                    self.list = append_block(host, &html)
                        .and_then(|block| block.query_selector("tbody").ok().flatten().or_else(|| block.first_element_child()))
                        .map(|list| OpenList { list, tail: Vec::new() });
                }
                Step::Items { html, finished } => {
                    if let Some(open) = &mut self.list {
                        open.put_items(&html, finished);
                    }
                }
                Step::CloseList => self.list = None,
                Step::OpenParagraph { html } => {
                    self.paragraph = append_block(host, &html)
                        .and_then(|block| Some(OpenParagraph { paragraph: block.first_element_child()?, block, last: None }));
                }
                Step::Parts { html, finished } => {
                    if let Some(open) = &mut self.paragraph {
                        open.put_parts(&html, finished);
                    }
                }
                Step::CloseParagraph => self.paragraph = None,
                Step::DropParagraph => {
                    if let Some(open) = self.paragraph.take() {
                        open.block.remove();
                    }
                }
                Step::Plain(text) => self.put_plain(host, &text),
                Step::ClosePlain => {
                    if let Some(open) = self.plain.take() {
                        open.block.remove();
                    }
                }
            }
        }
    }

    fn put_plain(&mut self, host: &web_sys::Element, text: &str) {
        if self.plain.is_none()
            && let Some(block) = append_block(host, "")
        {
            block.set_class_name("md-b md-plain");
            self.plain = Some(OpenPlain { block, chunk: None });
        }
        if let Some(open) = &mut self.plain {
            open.push(text);
        }
    }

    fn put_blocks(&mut self, host: &web_sys::Element, blocks: Vec<String>, finished: usize) {
        let mut old = std::mem::take(&mut self.tail).into_iter();
        for (i, html) in blocks.into_iter().enumerate() {
            let element = match old.next() {
                Some((element, shown)) => {
                    if shown != html {
                        element.set_inner_html(&html);
                    }
                    Some(element)
                }
                None => append_block(host, &html),
            };
            if let Some(element) = element.filter(|_| i >= finished) {
                self.tail.push((element, html));
            }
        }
        for (element, _) in old {
            element.remove();
        }
    }
}

impl OpenList {
    fn put_items(&mut self, items: &[String], finished: usize) {
        for old in self.tail.drain(..) {
            old.remove();
        }
        for (i, html) in items.iter().enumerate() {
            if self.list.insert_adjacent_html("beforeend", html).is_ok()
                && i >= finished
                && let Some(item) = self.list.last_element_child()
            {
                self.tail.push(item);
            }
        }
    }
}

impl OpenParagraph {
    fn put_parts(&mut self, parts: &[String], finished: usize) {
        while let Some(node) = self.paragraph.last_child().filter(|node| self.last.as_ref() != Some(node)) {
            if self.paragraph.remove_child(&node).is_err() {
                return;
            }
        }
        for (i, html) in parts.iter().enumerate() {
            if self.paragraph.insert_adjacent_html("beforeend", html).is_ok() && i < finished {
                self.last = self.paragraph.last_child();
            }
        }
    }
}

impl OpenPlain {
    fn push(&mut self, mut text: &str) {
        while !text.is_empty() {
            let room = self.chunk.as_ref().map_or(0, |(_, bytes)| PLAIN_CHUNK_BYTES.saturating_sub(*bytes));
            let (now, later) = text.split_at(text.floor_char_boundary(if room < 4 { PLAIN_CHUNK_BYTES } else { room }));
            match &mut self.chunk {
                Some((chunk, bytes)) if room >= 4 && chunk.append_data(now).is_ok() => *bytes += now.len(),
                _ => self.chunk = append_chunk(&self.block, "md-part", now).map(|chunk| (chunk, now.len())),
            }
            text = later;
        }
    }
}

impl OpenCode {
    fn push(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            let written = match &mut self.chunk {
                Some((chunk, lines)) if *lines < CODE_CHUNK_LINES => chunk.append_data(line).is_ok().then_some(lines),
                _ => None,
            };
            match written {
                Some(lines) => *lines += usize::from(line.ends_with('\n')),
                None => self.begin_chunk(line),
            }
        }
    }

    fn begin_chunk(&mut self, line: &str) {
        if let Some(text) = append_chunk(&self.code, "code-part", line) {
            self.chunk = Some((text, usize::from(line.ends_with('\n'))));
        }
    }
}

/// An element of its own for a piece of a long text. `None` when it could not be made.
fn append_chunk(to: &web_sys::Element, class: &str, text: &str) -> Option<web_sys::Text> {
    let document = document();
    let element = document.create_element("span").ok()?;
    element.set_class_name(class);
    let text = document.create_text_node(text);
    element.append_child(&text).ok()?;
    to.append_child(&element).ok()?;
    Some(text)
}

fn append_block(host: &web_sys::Element, html: &str) -> Option<web_sys::Element> {
    let element = document().create_element("div").ok()?;
    element.set_class_name("md-b");
    element.set_inner_html(html);
    host.append_child(&element).ok()?;
    Some(element)
}
