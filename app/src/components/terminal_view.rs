//! One terminal: what it prints, what is typed, and how its connection stands.

use std::time::Duration;

use leptos::{ev, html, leptos_dom::helpers::IntervalHandle, prelude::*, task::spawn_local};
use wire::{
    Micros, RunId,
    terminals::{TerminalNotice, TerminalState},
};

use super::{
    ide::{Ide, use_ide},
    terminal_link::{Link, Told},
    terminal_state::{self, LinkState},
};
use crate::{
    editor::terminal::{self, Terminal},
    ui::{Button, ButtonSize, Icon, format, use_dark},
};

/// The keys that a touch keyboard lacks: name, label and what is shown.
const TOUCH_KEYS: [(&str, &str, &str); 6] = [
    ("Escape", "Escape", "Esc"),
    ("Tab", "Tab", "Tab"),
    ("ArrowLeft", "Left", "←"),
    ("ArrowUp", "Up", "↑"),
    ("ArrowDown", "Down", "↓"),
    ("ArrowRight", "Right", "→"),
];

/// How long an announced end may be overdue before it was not meant any more.
const PAST_IDLE_MS: i64 = 5_000;

/// What the parts of one view share.
#[derive(Clone, Copy)]
struct Session {
    ide: Ide,
    id: RunId,
    term: StoredValue<Option<Terminal>>,
    link: StoredValue<Option<Link>>,
    /// When it closes unless somebody types.
    closes_at: RwSignal<Option<Micros>>,
    /// The next character is typed with Ctrl.
    ctrl: RwSignal<bool>,
    /// What the program's window is known to be; columns and rows.
    size: StoredValue<(u16, u16)>,
}

impl Session {
    fn new(ide: Ide, id: RunId) -> Self {
        Self {
            ide,
            id,
            term: StoredValue::new(None),
            link: StoredValue::new(None),
            closes_at: RwSignal::new(None),
            ctrl: RwSignal::new(false),
            size: StoredValue::new((0, 0)),
        }
    }

    fn terminal(self) -> Option<Terminal> {
        self.term.try_get_value().flatten()
    }

    fn connection(self) -> Option<Link> {
        self.link.try_get_value().flatten()
    }

    /// Shows it in `element` and connects.
    fn begin(self, element: &leptos::web_sys::HtmlElement, label: &str) {
        let may_type = untrack(|| self.ide.can_edit());
        let fitted = may_type.then_some(move |cols, rows| self.fitted(cols, rows));
        let Some(term) = Terminal::create(element, label, move |text| self.typed(text), fitted) else { return };
        term.set_input(false);
        term.set_screen_reader_mode(self.ide.terminals.screen_reader.get_untracked());
        self.term.set_value(Some(term));
        self.ide.terminals.set_link(self.id, LinkState::Connecting);
        self.link.set_value(Some(Link::open(self.id, move |told| self.told(told))));
    }

    fn told(self, told: Told) {
        if self.ide.is_gone() {
            return;
        }
        match told {
            Told::Opened { fresh, cols, rows } => self.opened(fresh, cols, rows),
            Told::Bytes { bytes, receipt } => {
                let link = self.connection();
                let taken = move || {
                    if let Some(link) = link {
                        link.taken(receipt);
                    }
                };
                match self.terminal() {
                    Some(term) => term.write(&bytes, taken),
                    None => taken(),
                }
            }
            Told::Notice(notice) => self.noticed(notice),
            Told::Lost { doubtful } => {
                self.ide.terminals.set_link(self.id, LinkState::Lost);
                self.set_input(false);
                if doubtful {
                    terminal_state::load(self.ide);
                }
            }
        }
    }

    fn opened(self, fresh: bool, cols: u16, rows: u16) {
        let Some(term) = self.terminal() else { return };
        if fresh {
            term.clear();
        }
        self.size.set_value((cols, rows));
        self.ide.terminals.set_link(self.id, LinkState::Open);
        let may_type = untrack(|| self.ide.can_edit());
        self.set_input(may_type);
        if may_type && document().has_focus().unwrap_or(false) {
            if let Some((cols, rows)) = term.fit() {
                self.fitted(u16::try_from(cols).unwrap_or(u16::MAX), u16::try_from(rows).unwrap_or(u16::MAX));
            }
        } else {
            term.resize(cols, rows);
        }
    }

    fn noticed(self, notice: TerminalNotice) {
        match notice {
            TerminalNotice::Hello { .. } => {}
            TerminalNotice::Dropped { bytes } => {
                let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
                self.mark(&format!("{} of output were left out: it came faster than it could be shown", format::bytes(bytes)));
            }
            TerminalNotice::Resized { cols, rows } => {
                if self.size.try_get_value() != Some((cols, rows)) {
                    self.size.set_value((cols, rows));
                    if let Some(term) = self.terminal() {
                        term.resize(cols, rows);
                    }
                }
            }
            TerminalNotice::Idle { closes_in_s } => {
                self.closes_at.set((closes_in_s > 0).then(|| format::now().plus_seconds(i64::from(closes_in_s))));
            }
            TerminalNotice::Notice { text } => self.ide.toast(text),
            TerminalNotice::Closed { sentence } => {
                self.closes_at.set(None);
                self.set_input(false);
                self.mark(&sentence);
                self.ide.announcement.set(sentence);
                terminal_state::ended(self.ide, self.id);
            }
        }
    }

    /// A dim line of the page's own; not part of what the program printed.
    fn mark(self, text: &str) {
        if let Some(term) = self.terminal() {
            // Nothing that came from elsewhere may act as a control sequence here.
            let text: String = text.chars().filter(|c| !c.is_control()).collect();
            term.write(format!("\r\n\u{1b}[0;2m── {text} ──\u{1b}[0m\r\n").as_bytes(), || {});
        }
    }

    fn set_input(self, on: bool) {
        if let Some(term) = self.terminal() {
            term.set_input(on);
        }
    }

    fn typed(self, text: String) {
        let text = if self.ctrl.try_get_untracked() == Some(true) {
            self.ctrl.set(false);
            with_ctrl(&text)
        } else {
            text
        };
        if self.connection().is_some_and(|link| link.send(&text)) && self.closes_at.try_get_untracked().flatten().is_some() {
            self.closes_at.set(None);
        }
    }

    fn fitted(self, cols: u16, rows: u16) {
        self.ide.terminals.remember_size(cols, rows);
        if self.size.try_get_value() == Some((cols, rows)) || cols < 2 || rows < 1 {
            return;
        }
        if let Some(link) = self.connection() {
            self.size.set_value((cols, rows));
            link.resize(cols, rows);
        }
    }

    fn end(self) {
        if let Some(link) = self.link.try_update_value(Option::take).flatten() {
            link.close();
        }
        if let Some(term) = self.term.try_update_value(Option::take).flatten() {
            term.dispose();
        }
    }
}

/// What Ctrl makes of one typed character; anything else stays.
fn with_ctrl(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c @ ('@'..='_' | 'a'..='z')), None) => char::from((c.to_ascii_uppercase() as u8) & 0x1f).to_string(),
        (Some(' '), None) => "\0".to_owned(),
        _ => text.to_owned(),
    }
}

/// One terminal. It stays connected while it is not `shown`.
#[component]
pub fn TerminalView(id: RunId, #[prop(into)] shown: Signal<bool>) -> impl IntoView {
    let ide = use_ide();
    let dark = use_dark();
    let node = NodeRef::<html::Div>::new();
    let failure = RwSignal::new(None::<String>);
    let session = Session::new(ide, id);
    let begun = StoredValue::new(false);
    Effect::new(move |_| {
        if node.get().is_none() || begun.get_value() {
            return;
        }
        begun.set_value(true);
        let label = untrack(|| ide.terminals.get(id)).map(|t| t.title).unwrap_or_default();
        spawn_local(async move {
            let loaded = terminal::load().await;
            let Some(Some(element)) = node.try_get_untracked() else { return };
            if let Err(sentence) = loaded {
                failure.set(Some(sentence));
                return;
            }
            let Some(dark) = dark.try_get_untracked() else { return };
            terminal::set_theme(dark);
            session.begin(&element, &label);
            take_focus(session, shown);
        });
    });
    Effect::new(move |_| terminal::set_theme(dark.get()));
    Effect::new(move |_| {
        let on = ide.terminals.screen_reader.get();
        if let Some(term) = session.terminal() {
            term.set_screen_reader_mode(on);
        }
    });
    Effect::new(move |_| {
        ide.terminals.focus_requests.track();
        shown.track();
        request_animation_frame(move || take_focus(session, shown));
    });
    // A list that says closed ends the tries of a connection that can't come back.
    let closed = Memo::new(move |_| ide.terminals.get(id).is_none_or(|t| t.state == TerminalState::Closed));
    Effect::new(move |_| {
        let lost = ide.terminals.links.with(|links| links.get(&id) == Some(&LinkState::Lost));
        if closed.get() && lost {
            if let Some(link) = session.link.try_update_value(Option::take).flatten() {
                link.close();
            }
            ide.terminals.set_link(id, LinkState::Ended);
        }
    });
    watch_network(session);
    on_cleanup(move || session.end());
    view! {
        <div class="tm-view">
            <IdleBar session=session />
            {move || failure.get().map(|text| view! { <p class="run-note err" role="alert">{text}</p> })}
            <div class="tm-host" node_ref=node></div>
            <Show when=move || ide.can_edit() && !closed.get()>
                <TouchKeys session=session />
            </Show>
        </div>
    }
    .into_any()
}

/// Takes the keyboard if the person asked for it since the last time.
fn take_focus(session: Session, shown: Signal<bool>) {
    let wanted = session.ide.terminals.focus_requests;
    if shown.try_get_untracked() == Some(true)
        && wanted.try_get_untracked().is_some_and(|count| count > 0)
        && let Some(term) = session.terminal()
    {
        wanted.set(0);
        term.focus();
    }
}

/// A lost network is known before the connection notices, and so is its return.
fn watch_network(session: Session) {
    Effect::new(move |_| {
        let gone = window_event_listener(ev::offline, move |_| {
            if let Some(link) = session.connection() {
                link.interrupt();
            }
        });
        let back = window_event_listener(ev::online, move |_| {
            if let Some(link) = session.connection() {
                link.retry();
            }
        });
        on_cleanup(move || {
            gone.remove();
            back.remove();
        });
    });
}

/// Says that the terminal closes soon because nobody types.
#[component]
fn IdleBar(session: Session) -> impl IntoView {
    let now = RwSignal::new(format::now());
    let clock = StoredValue::new(None::<IntervalHandle>);
    let stop = move || {
        if let Some(clock) = clock.try_update_value(Option::take).flatten() {
            clock.clear();
        }
    };
    let waits = Memo::new(move |_| session.closes_at.with(Option::is_some));
    Effect::new(move |_| {
        stop();
        if waits.get() {
            now.set(format::now());
            let tick = move || {
                now.set(format::now());
                // Another person may have typed: then nothing was closed.
                if session.closes_at.get_untracked().is_some_and(|at| now.get_untracked().millis_since(at) > PAST_IDLE_MS) {
                    session.closes_at.set(None);
                }
            };
            clock.set_value(set_interval_with_handle(tick, Duration::from_secs(1)).ok());
        }
    });
    on_cleanup(stop);
    let left = move || session.closes_at.get().map(|at| at.millis_since(now.get()).max(0) / 1000);
    let text = move || {
        left().map(|left| format!("Nobody has typed here for long. It closes in {}:{:02}.", left / 60, left % 60)).unwrap_or_default()
    };
    let keep = move |_| {
        if let Some(link) = session.connection() {
            link.keep_open();
        }
        session.closes_at.set(None);
        terminal_state::request_focus(session.ide);
    };
    Effect::new(move |_| {
        if waits.get() {
            session.ide.announcement.set("A terminal closes soon because nobody types in it.".to_owned());
        }
    });
    view! {
        <Show when=move || waits.get()>
            <div class="run-note tm-note">
                <Icon name="clock" small=true />
                <span class="grow">{text}</span>
                <Show when=move || session.ide.can_edit()>
                    <Button size=ButtonSize::Small on_click=keep>"Keep open"</Button>
                </Show>
            </div>
        </Show>
    }
    .into_any()
}

/// A row of keys for phones. Pressing one leaves the focus, and so the keyboard, where it is.
#[component]
fn TouchKeys(session: Session) -> impl IntoView {
    let stay = move |event: ev::PointerEvent| event.prevent_default();
    let press = move |key: &'static str| {
        if let Some(term) = session.terminal() {
            term.press(key);
        }
    };
    view! {
        <div class="tm-keys phone-only" role="group" aria-label="Keys">
            <button
                type="button"
                class="btn btn--s"
                aria-pressed=move || if session.ctrl.get() { "true" } else { "false" }
                on:pointerdown=stay
                on:click=move |_| session.ctrl.update(|on| *on = !*on)
            >
                "Ctrl"
            </button>
            {TOUCH_KEYS
                .into_iter()
                .map(|(key, label, shown)| {
                    view! {
                        <button type="button" class="btn btn--s" aria-label=label on:pointerdown=stay on:click=move |_| press(key)>
                            {shown}
                        </button>
                    }
                })
                .collect_view()}
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::with_ctrl;

    #[test]
    fn ctrl_makes_control_characters_of_letters_only() {
        assert_eq!((with_ctrl("c"), with_ctrl("C"), with_ctrl("[")), ("\u{3}".into(), "\u{3}".into(), "\u{1b}".into()));
        assert_eq!((with_ctrl("é"), with_ctrl("ls"), with_ctrl("1")), ("é".into(), "ls".into(), "1".into()));
    }
}
