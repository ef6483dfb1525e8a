//! Reads one answer: bytes to events of the wire, events of the wire to ours.

use std::pin::Pin;
use std::time::Duration;

use eventsource_stream::{EventStream, EventStreamError};
use futures::stream::{Stream, StreamExt, once, unfold};
use reqwest::Response;
use tokio::time::{Instant, timeout, timeout_at};

use crate::assemble::Assembler;
use crate::client::is_document;
use crate::dialects::{Dialect, Framing, Reader, Taken};
use crate::sse::{guard, guard_document, guard_lines, split_lines};
use crate::{ModelError, ModelEvent, ModelStream};

/// Signs of life alone are enough for so many times the longest silence, after the last word of the model.
const PINGS_FOR: u32 = 5;
/// How long to wait for usage once the provider has said the answer is complete.
const GRACE: Duration = Duration::from_secs(5);

/// The data of each event, or of the one document.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<String, ModelError>> + Send>>;

pub(crate) struct Answer {
    pieces: Pieces,
    reader: Box<dyn Reader>,
    /// None once the answer has ended, well or not.
    assembler: Option<Assembler>,
    ready: std::collections::VecDeque<ModelEvent>,
    failed: Option<ModelError>,
    grace: Duration,
    /// The next event has to be there by then, whatever keeps the connection open.
    event_by: Instant,
    patience: Duration,
}

impl Answer {
    pub(crate) fn new(response: Response, dialect: &dyn Dialect, assembler: Assembler, first_byte_by: Instant, stall: Duration) -> Self {
        Self {
            pieces: read_pieces(response, dialect.framing(), first_byte_by, stall),
            reader: dialect.reader(),
            assembler: Some(assembler),
            ready: Default::default(),
            failed: None,
            grace: GRACE.min(stall),
            event_by: first_byte_by.max(Instant::now()) + stall * PINGS_FOR,
            patience: stall * PINGS_FOR,
        }
    }

    /// Waits until the model has said something, so that a refusal within the stream is known before anybody saw a token.
    pub(crate) async fn begin(&mut self) -> Result<(), ModelError> {
        while self.ready.is_empty() && self.assembler.is_some() {
            self.advance().await?;
        }
        Ok(())
    }

    pub(crate) fn into_stream(self) -> ModelStream {
        unfold(self, |mut answer| async { answer.next().await.map(|item| (item, answer)) }).boxed()
    }

    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            self.assembler.as_ref()?;
            if let Err(error) = self.advance().await {
                self.assembler = None;
                self.failed = Some(error);
            }
        }
    }

    /// Reads one event of the wire and queues what it means.
    async fn advance(&mut self) -> Result<(), ModelError> {
        let Some(assembler) = self.assembler.as_mut() else {
            return Ok(());
        };
        let next = if assembler.is_finished() {
            // All of the answer is here: neither silence nor a broken connection can spoil it.
            match timeout(self.grace, self.pieces.next()).await {
                Ok(Some(Ok(data))) => Some(data),
                _ => None,
            }
        } else {
            timeout_at(self.event_by, self.pieces.next()).await.map_err(|_| ModelError::Stalled)?.transpose()?
        };
        let Some(data) = next else {
            return self.end(false);
        };
        let taken = self.reader.take(&data, assembler);
        self.ready.extend(assembler.ready());
        match taken? {
            Taken::Ping => Ok(()),
            Taken::More => {
                self.event_by = Instant::now() + self.patience;
                Ok(())
            }
            Taken::Last => self.end(true),
        }
    }

    fn end(&mut self, said_done: bool) -> Result<(), ModelError> {
        if let Some(assembler) = self.assembler.take() {
            self.ready.extend(assembler.finish(said_done)?);
        }
        Ok(())
    }
}

pub(crate) fn read_pieces(response: Response, framing: Framing, first_byte_by: Instant, stall: Duration) -> Pieces {
    let is_document = is_document(&response);
    let body = response.bytes_stream();
    match framing {
        // Some servers ignore `stream` and answer with one document; it is read as if it were one event.
        Framing::Events if is_document => {
            let pieces = guard_document(body, first_byte_by, stall);
            once(async move {
                let mut pieces = std::pin::pin!(pieces);
                let mut data = String::new();
                while let Some(piece) = pieces.next().await {
                    data.push_str(&piece?);
                }
                Ok(data)
            })
            .boxed()
        }
        Framing::Events => EventStream::new(guard(body, first_byte_by, stall).boxed())
            .map(|event| match event {
                Ok(event) => Ok(event.data),
                Err(EventStreamError::Transport(error)) => Err(error),
                Err(_) => Err(ModelError::Malformed { detail: "it is not a stream of events".into() }),
            })
            .boxed(),
        Framing::Lines => split_lines(guard_lines(body, first_byte_by, stall)).boxed(),
    }
}
