//! Somebody in front of a terminal, over a real socket.

use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, protocol::CloseFrame},
};
use wire::terminals::{Terminal, TerminalControl, TerminalNotice};

use super::{Caller, PATIENCE};

/// A terminal of 80 columns and 24 rows.
pub async fn open(caller: &Caller, project: &str) -> Terminal {
    caller.post(&format!("/api/projects/{project}/terminals"), &json!({ "cols": 80, "rows": 24 })).await.expect(202).json()
}

pub struct Reader {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Where the output began that this reader was sent.
    pub first: u64,
    pub fresh: bool,
    pub size: (u16, u16),
    /// Everything that was sent, as long as nothing was dropped.
    pub output: Vec<u8>,
    pub notices: Vec<TerminalNotice>,
    /// Whether it says what it has taken in, as a browser does.
    pub acks: bool,
    pub end: Option<Option<CloseFrame>>,
    searched: usize,
}

impl Reader {
    /// Joins a terminal and waits for the greeting; a refusal is its status.
    pub async fn join(caller: &Caller, id: impl std::fmt::Display, after: Option<u64>) -> Result<Self, u16> {
        let after = after.map_or_else(String::new, |after| format!("?after={after}"));
        Self::join_with(caller, &format!("/api/terminals/{id}/ws{after}"), &[]).await
    }

    pub async fn join_with(caller: &Caller, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let request = caller.socket_request(path, headers);
        let socket = match tokio::time::timeout(PATIENCE, connect_async(request)).await.expect("no answer in time") {
            Ok((socket, _)) => socket,
            Err(Error::Http(response)) => return Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        };
        let mut reader = Self {
            socket,
            first: 0,
            fresh: false,
            size: (0, 0),
            output: Vec::new(),
            notices: Vec::new(),
            acks: true,
            end: None,
            searched: 0,
        };
        while reader.notices.is_empty() && reader.end.is_none() {
            reader.step(PATIENCE).await;
        }
        if let Some(TerminalNotice::Hello { offset, fresh, cols, rows }) = reader.notices.first() {
            (reader.first, reader.fresh, reader.size) = (*offset, *fresh, (*cols, *rows));
        } else if reader.end.is_none() {
            panic!("a greeting comes first: {:?}", reader.notices);
        }
        Ok(reader)
    }

    /// Takes one message; `false` when none came in time or the socket has ended.
    pub async fn step(&mut self, patience: Duration) -> bool {
        if self.end.is_some() {
            return false;
        }
        let Ok(message) = tokio::time::timeout(patience, self.socket.next()).await else { return false };
        match message {
            Some(Ok(Message::Binary(data))) => {
                self.output.extend_from_slice(&data);
                if self.acks {
                    self.control(&TerminalControl::Ack { bytes: data.len() as u64 }).await;
                }
            }
            Some(Ok(Message::Text(text))) => self.notices.push(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(frame))) => self.end = Some(frame),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.end = Some(None),
        }
        true
    }

    /// The offset up to which this reader has everything.
    pub fn offset(&self) -> u64 {
        self.first + self.output.len() as u64
    }

    pub async fn control(&mut self, control: &TerminalControl) {
        let _ = self.socket.send(Message::Text(serde_json::to_string(control).unwrap().into())).await;
    }

    pub async fn type_in(&mut self, text: &str) {
        self.socket.send(Message::Binary(text.as_bytes().to_vec().into())).await.unwrap();
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Reads until `needle` stands in the output after what was waited for before.
    pub async fn until(&mut self, needle: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rest = &self.output[self.searched..];
            if let Some(at) = rest.windows(needle.len()).position(|window| window == needle.as_bytes()) {
                self.searched += at + needle.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(self.step(left).await, "no {needle:?} in {:?}, notices {:?}", self.text(), self.notices);
        }
    }

    /// Runs a command and waits for what it prints.
    pub async fn run(&mut self, command: &str, answer: &str) {
        self.type_in(&format!("{command}\r")).await;
        self.until(answer).await;
    }

    pub async fn until_notice(&mut self, fits: impl Fn(&TerminalNotice) -> bool) -> TerminalNotice {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.notices.iter().find(|notice| fits(notice)) {
                return found.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(self.step(left).await, "not told; notices {:?}, end {:?}", self.notices, self.end);
        }
    }

    /// Reads to the end and answers the sentence that says why it is over.
    pub async fn closed(&mut self) -> String {
        match self.until_notice(|notice| matches!(notice, TerminalNotice::Closed { .. })).await {
            TerminalNotice::Closed { sentence } => sentence,
            other => panic!("{other:?}"),
        }
    }

    /// Takes what is there until nothing comes for a moment.
    pub async fn drain(&mut self, silence: Duration) {
        while self.step(silence).await {}
    }

    pub fn dropped(&self) -> u64 {
        self.notices.iter().map(|notice| if let TerminalNotice::Dropped { bytes } = notice { *bytes } else { 0 }).sum()
    }
}
