//! The connection of one terminal: bytes in both directions, taken up again after a loss from the byte where it stopped.

use wire::terminals::TerminalNotice;

pub use half::Link;

/// What a connection tells.
#[derive(Debug)]
pub enum Told {
    /// It carries bytes; with `fresh` what is shown so far has to go.
    Opened { fresh: bool, cols: u16, rows: u16 },
    /// Call `Link::taken` with the receipt once they are on screen.
    Bytes { bytes: Vec<u8>, receipt: Receipt },
    /// Anything but the greeting.
    Notice(TerminalNotice),
    /// It was lost and is tried again. `doubtful` when that has failed so often that the terminal may be gone.
    Lost { doubtful: bool },
}

/// Which bytes, of which connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    connection: u32,
    bytes: u64,
}

/// The part that decides. Only browsers connect; the tests run everywhere.
#[cfg(any(target_arch = "wasm32", test))]
mod progress {
    use std::time::Duration;

    use super::Receipt;

    pub const FIRST_RETRY: Duration = Duration::from_millis(200);
    const LAST_RETRY: Duration = Duration::from_secs(5);
    /// The server sends on when so much of what it sent was taken in.
    const ACK_EVERY: u64 = 64 * 1024;

    /// How far the output was read, over all connections.
    #[derive(Debug, Default)]
    pub struct Progress {
        /// Counts connections; what an earlier one had sent is not acknowledged on a later one.
        pub connection: u32,
        pub offset: u64,
        pub unacknowledged: u64,
        pub failures: u32,
    }

    impl Progress {
        pub fn begin(&mut self) -> u32 {
            self.connection += 1;
            self.unacknowledged = 0;
            self.connection
        }

        pub fn greeted(&mut self, offset: u64) {
            self.offset = offset;
            self.failures = 0;
        }

        pub fn received(&mut self, bytes: usize) -> Receipt {
            self.offset += bytes as u64;
            Receipt { connection: self.connection, bytes: bytes as u64 }
        }

        /// How many bytes to acknowledge now, if any.
        pub fn taken(&mut self, receipt: Receipt) -> Option<u64> {
            if receipt.connection != self.connection {
                return None;
            }
            self.unacknowledged += receipt.bytes;
            (self.unacknowledged >= ACK_EVERY).then(|| std::mem::take(&mut self.unacknowledged))
        }

        /// How long to wait before the next try.
        pub fn failed(&mut self) -> Duration {
            let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(6)).min(LAST_RETRY);
            self.failures += 1;
            wait
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod half {
    use wire::RunId;

    use super::{Receipt, Told};

    /// The connection of a terminal; on the server there is none.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Link(());

    impl Link {
        /// Connects, and stays connected until it is closed or the terminal ends.
        pub fn open(_id: RunId, _told: impl Fn(Told) + 'static) -> Self {
            Self(())
        }

        /// Sends what was typed. False while there is no connection: nothing was sent then.
        pub fn send(self, _text: &str) -> bool {
            false
        }

        pub fn resize(self, _cols: u16, _rows: u16) {}

        /// What came was shown.
        pub fn taken(self, _receipt: Receipt) {}

        /// Says that a person is still there.
        pub fn keep_open(self) {}

        /// Tries again now, if it waits to.
        pub fn retry(self) {}

        /// Takes the connection for lost; for when the network is known to be gone.
        pub fn interrupt(self) {}

        pub fn close(self) {}
    }
}

#[cfg(target_arch = "wasm32")]
mod half {
    use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

    use leptos::{
        leptos_dom::helpers::TimeoutHandle,
        prelude::{set_timeout_with_handle, window},
        web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket},
    };
    use wasm_bindgen::{JsCast, JsValue, closure::Closure};
    use wire::{
        RunId,
        terminals::{TerminalControl, TerminalNotice},
    };

    use super::{Receipt, Told, progress::Progress};

    /// Bytes of one frame of what is typed or pasted.
    const FRAME_MAX: usize = 32 * 1024;
    /// From here on the terminal may be gone rather than the connection.
    const DOUBTFUL: u32 = 2;

    struct Socket {
        socket: WebSocket,
        greeted: bool,
        _on_message: Closure<dyn FnMut(MessageEvent)>,
        _on_close: Closure<dyn FnMut(CloseEvent)>,
    }

    impl Socket {
        fn hang_up(&self) {
            self.socket.set_onmessage(None);
            self.socket.set_onclose(None);
            let _ = self.socket.close();
        }
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            self.hang_up();
        }
    }

    struct Line {
        id: RunId,
        progress: Progress,
        socket: Option<Socket>,
        timer: Option<TimeoutHandle>,
        told: Rc<dyn Fn(Told)>,
        /// The terminal has ended: nothing is tried any more.
        ended: bool,
    }

    thread_local! {
        static LINES: RefCell<BTreeMap<u64, Line>> = const { RefCell::new(BTreeMap::new()) };
        static NEXT: RefCell<u64> = const { RefCell::new(1) };
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Link(u64);

    impl Link {
        pub fn open(id: RunId, told: impl Fn(Told) + 'static) -> Self {
            let link = Self(NEXT.with_borrow_mut(|next| std::mem::replace(next, *next + 1)));
            let line = Line { id, progress: Progress::default(), socket: None, timer: None, told: Rc::new(told), ended: false };
            LINES.with_borrow_mut(|lines| lines.insert(link.0, line));
            link.connect();
            link
        }

        pub fn send(self, text: &str) -> bool {
            self.with_socket(|socket| text.as_bytes().chunks(FRAME_MAX).all(|frame| socket.send_with_u8_array(frame).is_ok()))
                .unwrap_or(false)
        }

        pub fn resize(self, cols: u16, rows: u16) {
            self.control(&TerminalControl::Resize { cols, rows });
        }

        pub fn taken(self, receipt: Receipt) {
            let acknowledge = self.with(|line| line.progress.taken(receipt)).flatten();
            if let Some(bytes) = acknowledge {
                self.control(&TerminalControl::Ack { bytes });
            }
        }

        pub fn keep_open(self) {
            // No bytes, but from a person: the shell sees nothing of it.
            let _ = self.with_socket(|socket| socket.send_with_u8_array(&[]));
        }

        pub fn retry(self) {
            let waits = self.with(|line| line.timer.take()).flatten();
            if let Some(timer) = waits {
                timer.clear();
                self.connect();
            }
        }

        pub fn interrupt(self) {
            if self.with(|line| line.socket.is_some()).unwrap_or(false) {
                self.lost();
            }
        }

        pub fn close(self) {
            // What the closure owns may close or open links in turn, so it is dropped outside the borrow.
            let line = LINES.with_borrow_mut(|lines| lines.remove(&self.0));
            if let Some(timer) = line.as_ref().and_then(|line| line.timer) {
                timer.clear();
            }
            drop(line);
        }

        fn with<T>(self, act: impl FnOnce(&mut Line) -> T) -> Option<T> {
            LINES.with_borrow_mut(|lines| lines.get_mut(&self.0).map(act))
        }

        /// Only once the server has greeted: before that the size and the place in the output are not agreed on.
        fn with_socket<T>(self, act: impl FnOnce(&WebSocket) -> T) -> Option<T> {
            let socket = self.with(|line| line.socket.as_ref().filter(|s| s.greeted).map(|s| s.socket.clone())).flatten()?;
            (socket.ready_state() == WebSocket::OPEN).then(|| act(&socket))
        }

        fn control(self, control: &TerminalControl) {
            if let Ok(json) = serde_json::to_string(control) {
                let _ = self.with_socket(|socket| socket.send_with_str(&json));
            }
        }

        fn tell(self, told: Told) {
            if let Some(call) = self.with(|line| Rc::clone(&line.told)) {
                call(told);
            }
        }

        fn connect(self) {
            let Some((id, after, connection)) = self.with(|line| (line.id, line.progress.offset, line.progress.begin())) else { return };
            let Some(socket) = address(id, after).and_then(|address| WebSocket::new(&address).ok()) else {
                self.lost();
                return;
            };
            socket.set_binary_type(BinaryType::Arraybuffer);
            let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| self.take(connection, &event.data()));
            let on_close = Closure::<dyn FnMut(CloseEvent)>::new(move |_| {
                if self.is_current(connection) {
                    self.lost();
                }
            });
            socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
            socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
            let made = Socket { socket, greeted: false, _on_message: on_message, _on_close: on_close };
            let before = self.with(|line| line.socket.replace(made));
            drop(before);
        }

        fn is_current(self, connection: u32) -> bool {
            self.with(|line| line.progress.connection == connection && line.socket.is_some()).unwrap_or(false)
        }

        fn take(self, connection: u32, data: &JsValue) {
            if !self.is_current(connection) {
                return;
            }
            if let Some(buffer) = data.dyn_ref::<js_sys::ArrayBuffer>() {
                let bytes = js_sys::Uint8Array::new(buffer).to_vec();
                let Some(receipt) = self.with(|line| line.progress.received(bytes.len())) else { return };
                self.tell(Told::Bytes { bytes, receipt });
                return;
            }
            let Some(notice) = data.as_string().and_then(|json| serde_json::from_str::<TerminalNotice>(&json).ok()) else { return };
            match notice {
                TerminalNotice::Hello { offset, fresh, cols, rows } => {
                    self.with(|line| {
                        line.progress.greeted(offset);
                        if let Some(socket) = &mut line.socket {
                            socket.greeted = true;
                        }
                    });
                    self.tell(Told::Opened { fresh, cols, rows });
                }
                TerminalNotice::Closed { .. } => {
                    let socket = self.with(|line| {
                        line.ended = true;
                        line.socket.take()
                    });
                    // Its own closure runs now: it may only go after this call.
                    let _ = set_timeout_with_handle(move || drop(socket), Duration::ZERO);
                    self.tell(Told::Notice(notice));
                }
                TerminalNotice::Dropped { bytes } => {
                    self.with(|line| line.progress.offset += bytes);
                    self.tell(Told::Notice(notice));
                }
                other => self.tell(Told::Notice(other)),
            }
        }

        fn lost(self) {
            let Some(Some((socket, wait, failures))) = self.with(|line| {
                (!line.ended).then(|| {
                    let wait = line.progress.failed();
                    (line.socket.take(), wait, line.progress.failures)
                })
            }) else {
                return;
            };
            if let Some(socket) = &socket {
                socket.hang_up();
            }
            let timer = set_timeout_with_handle(
                move || {
                    // Only here: its own closure may be what runs now.
                    drop(socket);
                    if self.with(|line| line.timer.take()).is_some() {
                        self.connect();
                    }
                },
                wait,
            );
            self.with(|line| line.timer = timer.ok());
            self.tell(Told::Lost { doubtful: failures > DOUBTFUL });
        }
    }

    fn address(id: RunId, after: u64) -> Option<String> {
        let location = window().location();
        let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
        Some(format!("{scheme}://{}/api/terminals/{id}/ws?after={after}", location.host().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Receipt,
        progress::{FIRST_RETRY, Progress},
    };

    #[test]
    fn output_is_taken_up_where_it_stopped() {
        let mut progress = Progress::default();
        progress.begin();
        progress.greeted(100);
        let early = progress.received(50);
        assert_eq!(progress.offset, 150);
        progress.failed();
        progress.begin();
        assert_eq!(progress.taken(early), None, "the new connection never sent these");
        progress.greeted(150);
        assert_eq!((progress.offset, progress.unacknowledged), (150, 0));
    }

    #[test]
    fn acknowledgements_are_gathered() {
        let mut progress = Progress::default();
        progress.begin();
        progress.greeted(0);
        let half = progress.received(40 * 1024);
        assert_eq!(progress.taken(half), None);
        let rest = progress.received(40 * 1024);
        assert_eq!(progress.taken(rest), Some(80 * 1024));
        assert_eq!(progress.taken(Receipt { connection: 1, bytes: 1 }), None);
    }

    #[test]
    fn retries_slow_down_and_a_greeting_begins_anew() {
        let mut progress = Progress::default();
        let waits: Vec<u128> = (0..7).map(|_| progress.failed().as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000]);
        progress.greeted(0);
        assert_eq!(progress.failed(), FIRST_RETRY);
    }
}
