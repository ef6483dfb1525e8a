//! The output of a run: a terminal fed from the run's own stream, and the text that can be copied or asked about.

use base64::{Engine, engine::general_purpose::STANDARD};
use leptos::{html, prelude::*, task::spawn_local};
use wire::{
    RunId,
    event::{Event, EventKind, Stream},
};

use super::{ide::use_ide, run_feed::RunFeed};
use crate::{
    editor::terminal::{self, Terminal, TerminalEvent},
    live::Follow,
    ui::{Icon, format, use_dark},
};

const TAIL_MAX: usize = 8 * 1024;
/// Pixels, less than a row.
const SLACK: f64 = 4.0;
const ROWS_MIN: u32 = 2;
const ROWS_MAX: u32 = 18;
/// Height before the terminal is there to be asked, in pixels.
const HEIGHT_AT_FIRST: f64 = 36.0;

/// What `.run-term` adds above the text and leaves below it, in pixels.
const PADDING: f64 = 10.0;

/// The last bytes that a run printed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tail(StoredValue<Vec<u8>>);

impl Tail {
    fn push(self, bytes: &[u8]) {
        self.0.update_value(|tail| {
            tail.extend_from_slice(bytes);
            if tail.len() > 2 * TAIL_MAX {
                tail.drain(..tail.len() - TAIL_MAX);
            }
        });
    }

    /// The last lines as plain text.
    pub fn text(self, lines: usize) -> String {
        self.0.with_value(|tail| {
            let plain = plain_text(&String::from_utf8_lossy(tail));
            let all: Vec<&str> = plain.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        })
    }
}

/// The terminal of one output, and what it reports.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub term: RwSignal<Option<Terminal>>,
    /// Scrolled up, away from what comes.
    pub away: RwSignal<bool>,
    /// What the last search found: the place on screen, from 0 or -1, and how many there are.
    pub results: RwSignal<Option<(i32, u32)>>,
}

impl Default for Screen {
    fn default() -> Self {
        Self { term: RwSignal::new(None), away: RwSignal::new(false), results: RwSignal::new(None) }
    }
}

/// Output as a person reads it: without escape sequences, and with what a lone carriage return wrote over gone.
pub fn plain_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line_start = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\r' if chars.peek() != Some(&'\n') => out.truncate(line_start),
            '\n' => {
                out.push('\n');
                line_start = out.len();
            }
            '\u{8}' => {
                if out.len() > line_start {
                    out.pop();
                }
            }
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        // Control sequences end with a letter or one of a few signs.
        Some('[') => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
        // Operating system commands end with BEL or ESC \.
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    break;
                }
            }
        }
        Some('(' | ')') => {
            chars.next();
        }
        _ => {}
    }
}

/// Shows what a run prints, from its beginning, and tells `feed` of the rest. The terminal is loaded with the first one that is opened;
/// it is in `screen` while it is there.
#[component]
pub fn RunOutput(id: RunId, label: String, tail: Tail, feed: RunFeed, screen: Screen) -> impl IntoView {
    let ide = use_ide();
    let dark = use_dark();
    let node = NodeRef::<html::Div>::new();
    let failure = RwSignal::new(None::<String>);
    let height = RwSignal::new(HEIGHT_AT_FIRST);
    let Screen { term, away, results } = screen;
    let follow = StoredValue::new(None::<Follow>);
    let label = StoredValue::new(label);
    let shown = move || term.try_get_untracked().flatten();

    // The terminal knows how far a text reached after wrapping; it has to be as wide as it will be when it is asked.
    let fit = move || {
        let Some(term) = shown() else { return };
        term.fit();
        let wanted = term.content_height(ROWS_MIN, ROWS_MAX);
        // A row's height is known to a fraction of a pixel only: without slack two sizes could follow each other for ever.
        if let Some(wanted) = wanted.filter(|wanted| height.try_get_untracked().is_some_and(|shown| (shown - wanted).abs() >= SLACK)) {
            height.set(wanted);
        }
    };
    let print = move |bytes: &[u8]| {
        if let Some(term) = shown() {
            term.write(bytes, fit);
        }
    };
    let told = move |event: &Event| {
        feed.take(event);
        match &event.kind {
            EventKind::Output { data, .. } => {
                let Ok(bytes) = STANDARD.decode(data) else { return };
                tail.push(&bytes);
                print(&bytes);
            }
            EventKind::OutputDropped { bytes } => print(gap(*bytes).as_bytes()),
            _ => {}
        }
    };
    Effect::new(move |_| {
        if node.get().is_none() {
            return;
        }
        spawn_local(async move {
            let loaded = terminal::load().await;
            let Some(Some(element)) = node.try_get_untracked() else { return };
            tail.0.set_value(Vec::new());
            feed.clear();
            match loaded {
                Ok(()) => {
                    terminal::set_theme(dark.get_untracked());
                    let made = label.with_value(|label| Terminal::create_output(&element, label));
                    if let Some(made) = made {
                        made.watch(move |event| match event {
                            TerminalEvent::Scrolled { away: now } => {
                                away.try_set(now);
                            }
                            TerminalEvent::Results { index, count } => {
                                results.try_set(Some((index, count)));
                            }
                        });
                    }
                    term.set(made);
                }
                Err(sentence) => failure.set(Some(sentence)),
            }
            follow.set_value(Some(ide.live.follow(Stream::Run(id), 0, told)));
        });
    });
    Effect::new(move |_| terminal::set_theme(dark.get()));
    Effect::new(move |_| {
        height.track();
        request_animation_frame(fit);
    });
    let resized = StoredValue::new(None::<WindowListenerHandle>);
    Effect::new(move |_| {
        ide.console_open.track();
        ide.console_tab.track();
        ide.console_max.track();
        ide.chat_open.track();
        ide.side_open.track();
        ide.phone_pane.track();
        request_animation_frame(fit);
    });
    Effect::new(move |_| resized.set_value(Some(window_event_listener(leptos::ev::resize, move |_| fit()))));
    on_cleanup(move || {
        if let Some(listener) = resized.try_update_value(Option::take).flatten() {
            listener.remove();
        }
        drop(follow.try_update_value(Option::take));
        if let Some(made) = shown() {
            term.try_set(None);
            away.try_set(false);
            made.dispose();
        }
    });
    view! {
        {move || failure.get().map(|text| view! { <p class="run-note err" role="alert">{text}</p> })}
        <div class="run-screen">
            <div class="run-term" node_ref=node style:height=move || format!("{}px", height.get() + PADDING)></div>
            <Show when=move || away.get()>
                <button
                    type="button"
                    class="btn btn--s run-latest"
                    on:click=move |_| {
                        if let Some(term) = shown() {
                            term.to_end();
                        }
                    }
                >
                    <Icon name="arrow-down" small=true />
                    "Jump to latest"
                </button>
            </Show>
        </div>
    }
}

/// The line in the place of output that this page was not sent.
fn gap(bytes: i64) -> String {
    format!("\r\n\u{1b}[0;2m── {} not shown; download all of it ──\u{1b}[0m\r\n", format::bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_go() {
        assert_eq!(plain_text("\u{1b}[31mred\u{1b}[0m and \u{1b}]0;title\u{7}on\u{1b}(B"), "red and on");
        assert_eq!(plain_text("\u{1b}]8;;https://x\u{1b}\\link\u{1b}]8;;\u{1b}\\"), "link");
    }

    #[test]
    fn what_was_written_over_goes() {
        assert_eq!(plain_text("a\r\n10%\r55%\r100%\nab\u{8}c"), "a\n100%\nac");
        assert_eq!(plain_text("\u{1b}["), "");
    }
}
