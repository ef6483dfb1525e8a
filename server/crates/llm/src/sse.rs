//! Bytes of a response to text, with the guards `eventsource-stream` lacks: time limits, a size limit, and a byte
//! order mark (on which its slicing would panic).

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt, unfold};
use tokio::time::{Instant, timeout_at};

use crate::ModelError;

/// More than any real chunk; protects memory against an endless event.
const MAX_EVENT_BYTES: usize = 1 << 20;

struct Guard {
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    first_byte_by: Option<Instant>,
    stall: Duration,
    /// The bytes of a character whose end has not arrived.
    carry: Vec<u8>,
    event_bytes: usize,
    after_newline: bool,
    started: bool,
    limit: usize,
    /// Whether each line is a piece of its own.
    by_line: bool,
}

/// Turns a response body into valid UTF-8 pieces. `first_byte_by` bounds the first piece, `stall`
/// the wait for each later one. Ends after the first error.
pub(crate) fn guard(
    body: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
    first_byte_by: Instant,
    stall: Duration,
) -> impl Stream<Item = Result<String, ModelError>> + Send {
    guard_with_limit(body, first_byte_by, stall, MAX_EVENT_BYTES, false)
}

/// The same for an answer that is one JSON document instead of a stream of events.
pub(crate) fn guard_document(
    body: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
    first_byte_by: Instant,
    stall: Duration,
) -> impl Stream<Item = Result<String, ModelError>> + Send {
    guard_with_limit(body, first_byte_by, stall, 8 * MAX_EVENT_BYTES, false)
}

/// The same for an answer of one JSON value a line.
pub(crate) fn guard_lines(
    body: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
    first_byte_by: Instant,
    stall: Duration,
) -> impl Stream<Item = Result<String, ModelError>> + Send {
    guard_with_limit(body, first_byte_by, stall, MAX_EVENT_BYTES, true)
}

/// Joins pieces to lines. Empty lines are left out; a last line needs no end.
pub(crate) fn split_lines(
    pieces: impl Stream<Item = Result<String, ModelError>> + Send + 'static,
) -> impl Stream<Item = Result<String, ModelError>> + Send {
    let state = (pieces.boxed(), String::new(), false);
    unfold(state, |(mut pieces, mut buffer, mut ended)| async move {
        loop {
            let line = match buffer.find('\n') {
                Some(at) => {
                    let rest = buffer.split_off(at + 1);
                    std::mem::replace(&mut buffer, rest)
                }
                None if ended && buffer.is_empty() => return None,
                None if ended => std::mem::take(&mut buffer),
                None => {
                    match pieces.next().await {
                        Some(Ok(piece)) => buffer.push_str(&piece),
                        Some(Err(error)) => return Some((Err(error), (pieces, String::new(), true))),
                        None => ended = true,
                    }
                    continue;
                }
            };
            if !line.trim().is_empty() {
                return Some((Ok(line.trim().to_owned()), (pieces, buffer, ended)));
            }
        }
    })
}

fn guard_with_limit(
    body: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
    first_byte_by: Instant,
    stall: Duration,
    limit: usize,
    by_line: bool,
) -> impl Stream<Item = Result<String, ModelError>> + Send {
    let guard = Guard {
        body: body.boxed(),
        first_byte_by: Some(first_byte_by),
        stall,
        carry: Vec::new(),
        event_bytes: 0,
        after_newline: false,
        started: false,
        limit,
        by_line,
    };
    unfold(Some(guard), |guard| async {
        let mut guard = guard?;
        match guard.next_piece().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(guard))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

impl Guard {
    async fn next_piece(&mut self) -> Result<Option<String>, ModelError> {
        loop {
            let deadline = self.first_byte_by.unwrap_or_else(|| Instant::now() + self.stall);
            let chunk = match timeout_at(deadline, self.body.next()).await {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(_))) => return Err(ModelError::CutOff),
                Ok(None) => return Ok(None),
                Err(_) if self.first_byte_by.is_some() => return Err(ModelError::FirstByteTimeout),
                Err(_) => return Err(ModelError::Stalled),
            };
            if chunk.is_empty() {
                continue;
            }
            self.first_byte_by = None;
            self.count(&chunk)?;
            let piece = self.decode(&chunk)?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    fn count(&mut self, chunk: &[u8]) -> Result<(), ModelError> {
        for byte in chunk {
            match byte {
                b'\n' if self.after_newline || self.by_line => self.event_bytes = 0,
                b'\n' => self.after_newline = true,
                b'\r' => {}
                _ => self.after_newline = false,
            }
            self.event_bytes += 1;
        }
        if self.event_bytes > self.limit {
            return Err(ModelError::Malformed { detail: "one piece of it was far too large".into() });
        }
        Ok(())
    }

    fn decode(&mut self, chunk: &[u8]) -> Result<String, ModelError> {
        self.carry.extend_from_slice(chunk);
        let valid = match std::str::from_utf8(&self.carry) {
            Ok(_) => self.carry.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => {
                return Err(ModelError::Malformed { detail: "it is not UTF-8 text".into() });
            }
        };
        let rest = self.carry.split_off(valid);
        let bytes = std::mem::replace(&mut self.carry, rest);
        let mut piece = String::from_utf8(bytes).map_err(|_| ModelError::Malformed { detail: "it is not UTF-8 text".into() })?;
        if !self.started && !piece.is_empty() {
            self.started = true;
            if piece.starts_with('\u{feff}') {
                piece.remove(0);
            }
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use eventsource_stream::EventStream;
    use futures::stream;

    use super::*;

    async fn events(chunks: Vec<Vec<u8>>) -> Vec<Result<String, ModelError>> {
        let body = stream::iter(chunks.into_iter().map(|c| Ok(Bytes::from(c))));
        let soon = Instant::now() + Duration::from_secs(5);
        EventStream::new(guard(body, soon, Duration::from_secs(5)).boxed())
            .map(|event| {
                event.map(|e| e.data).map_err(|e| match e {
                    eventsource_stream::EventStreamError::Transport(e) => e,
                    other => ModelError::Malformed { detail: other.to_string() },
                })
            })
            .collect()
            .await
    }

    #[tokio::test]
    async fn every_cut_of_the_bytes_gives_the_same_events() {
        let text = "\u{feff}: hello\r\n\r\ndata: {\"ü\": \"🌊\"}\r\n\r\ndata: a\rdata: b\r\r: ping\n\ndata: [DONE]\n\n";
        let whole = text.as_bytes().to_vec();
        let expected = vec![Ok("{\"ü\": \"🌊\"}".to_owned()), Ok("a\nb".into()), Ok("[DONE]".into())];
        for at in 0..=whole.len() {
            let parts = vec![whole[..at].to_vec(), whole[at..].to_vec()];
            assert_eq!(events(parts).await, expected, "cut at byte {at}");
        }
        assert_eq!(events(whole.iter().map(|b| vec![*b]).collect()).await, expected);
    }

    #[tokio::test]
    async fn every_cut_of_the_bytes_gives_the_same_lines() {
        let whole = "{\"ü\": \"🌊\"}\r\n\n{\"b\": 1}".as_bytes().to_vec();
        for at in 0..=whole.len() {
            let body = stream::iter([whole[..at].to_vec(), whole[at..].to_vec()].map(|c| Ok(Bytes::from(c))));
            let soon = Instant::now() + Duration::from_secs(5);
            let lines: Vec<_> = split_lines(guard_lines(body, soon, Duration::from_secs(5))).collect().await;
            assert_eq!(lines, [Ok("{\"ü\": \"🌊\"}".to_owned()), Ok("{\"b\": 1}".into())], "cut at byte {at}");
        }
    }

    #[tokio::test]
    async fn refuses_what_is_not_text_and_what_never_ends() {
        let broken = events(vec![b"data: \xff\xfe\n\n".to_vec()]).await;
        assert!(matches!(&broken[..], [Err(ModelError::Malformed { .. })]));
        let endless = events((0..40).map(|_| vec![b'x'; 64 * 1024]).collect()).await;
        assert!(matches!(&endless[..], [Err(ModelError::Malformed { .. })]));
    }
}
