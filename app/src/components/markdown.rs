//! The agent's words as HTML. What a model writes is not trusted: no raw HTML, no images, links to http(s) only.

use leptos::{ev, prelude::*, wasm_bindgen::JsCast, web_sys};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::clipboard;

/// Splits Markdown into its top-level blocks and renders each to safe HTML, so that a growing text changes only its last block.
pub fn render_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut pending: Vec<Event<'_>> = Vec::new();
    let mut depth = 0usize;
    let mut safe = Safe::default();
    for event in Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS) {
        match &event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        safe.push(event, &mut pending);
        if depth == 0 && !pending.is_empty() {
            let mut out = String::new();
            html::push_html(&mut out, pending.drain(..));
            blocks.push(out);
        }
    }
    blocks
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
                let language = match &kind {
                    CodeBlockKind::Fenced(info) => info.split([' ', ',']).next().unwrap_or_default(),
                    CodeBlockKind::Indented => "",
                };
                out.push(Event::InlineHtml(code_bar(language).into()));
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

fn code_bar(language: &str) -> String {
    format!(
        concat!(
            r#"<div class="code"><div class="code-bar"><span class="grow">{}</span>"#,
            r#"<button type="button" class="ib ib--s" data-act="copy" aria-label="Copy code" title="Copy code">"#,
            r##"<svg class="icon icon-s" aria-hidden="true"><use href="#i-clipboard"></use></svg></button></div>"##,
        ),
        escape(language)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// Rendered Markdown that may still grow; code blocks have a copy button.
#[component]
pub fn Markdown(
    #[prop(into)] text: Signal<String>,
    /// Shows a caret at the end.
    #[prop(optional, into)]
    streaming: Signal<bool>,
) -> impl IntoView {
    let blocks = Memo::new(move |_| text.with(|text| render_blocks(text)));
    let toasts = crate::ui::use_toasts();
    let on_click = move |event: ev::MouseEvent| {
        if let Some(code) = copied_code(&event) {
            clipboard::copy(code, "code", toasts);
        }
    };
    view! {
        <div class="md" class:md--live=move || streaming.get() on:click=on_click>
            <For each=move || 0..blocks.with(Vec::len) key=|i| *i let:i>
                {
                    let block = Memo::new(move |_| blocks.with(|blocks| blocks.get(i).cloned().unwrap_or_default()));
                    view! { <div class="md-b" inner_html=move || block.get()></div> }
                }
            </For>
        </div>
    }
}

/// The text of the code block whose copy button was clicked.
fn copied_code(event: &ev::MouseEvent) -> Option<String> {
    let target = event.target()?.dyn_into::<web_sys::Element>().ok()?;
    let block = target.closest("[data-act=copy]").ok()??.closest(".code").ok()??;
    block.query_selector("pre").ok()??.text_content()
}

#[cfg(test)]
mod tests {
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
    fn code_blocks_can_be_copied_and_their_language_is_escaped() {
        let out = render("```\"><i>x\nlet a = 1 < 2;\n```");
        assert!(out.contains("data-act=\"copy\"") && out.contains("1 &lt; 2"), "{out}");
        assert!(!out.contains("<i>"), "{out}");
    }

    #[test]
    fn growing_text_keeps_its_finished_blocks() {
        let before = render_blocks("One.\n\n- a\n- b\n\nTw");
        let after = render_blocks("One.\n\n- a\n- b\n\nTwo.\n\n```rs\nx");
        assert_eq!(before.len(), 3);
        assert_eq!(after.len(), 4);
        assert_eq!(before[..2], after[..2]);
    }

    #[test]
    fn tables_carry_no_style() {
        let out = render("|a|b|\n|:-:|--:|\n|1|2|");
        assert!(out.contains("<table>") && !out.contains("style="), "{out}");
    }
}
