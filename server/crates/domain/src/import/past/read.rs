use std::{collections::VecDeque, marker::PhantomData};

use blobs::{Blobs, Reader};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    sync::watch,
};

use super::{BATCH, damaged};
use crate::{Error, export::format::LINE_MAX, jobs::JobError};

/// Bytes of lines that are held at a time.
const HELD: usize = 8 * 1024 * 1024;

/// The lines of one kind, batch by batch.
pub struct Lines<'a, T> {
    blobs: &'a dyn Blobs,
    parts: VecDeque<(&'a str, u64)>,
    progress: &'a watch::Sender<(u64, u64)>,
    open: Option<BufReader<Reader>>,
    kind: PhantomData<T>,
}

impl<'a, T> Lines<'a, T> {
    /// `parts` are the checksums of the parts and their sizes, in order. What is opened counts as done.
    pub fn new(blobs: &'a dyn Blobs, parts: VecDeque<(&'a str, u64)>, progress: &'a watch::Sender<(u64, u64)>) -> Self {
        Self { blobs, parts, progress, open: None, kind: PhantomData }
    }
}

impl<T: DeserializeOwned> Lines<'_, T> {
    /// The next lines, few enough for one transaction; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, JobError> {
        let (mut batch, mut held) = (Vec::new(), 0);
        while batch.len() < BATCH && held < HELD {
            let Some(line) = self.line().await? else { break };
            held += line.len();
            batch.push(serde_json::from_slice(&line).map_err(|_| damaged("a line in it can't be read"))?);
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    async fn line(&mut self) -> Result<Option<Vec<u8>>, JobError> {
        loop {
            let reader = match &mut self.open {
                Some(reader) => reader,
                None => {
                    let Some((part, size)) = self.parts.pop_front() else { return Ok(None) };
                    self.progress.send_modify(|(done, _)| *done += size);
                    let content = self.blobs.open(part).await.map_err(|error| JobError::from(Error::from(error)))?;
                    self.open.insert(BufReader::new(content))
                }
            };
            let mut line = Vec::new();
            let read = reader.take(LINE_MAX).read_until(b'\n', &mut line).await;
            match read.map_err(|error| JobError::from(Error::internal(error)))? {
                0 => self.open = None,
                LINE_LIMIT => return Err(damaged("a line in it is too long")),
                _ => return Ok(Some(line)),
            }
        }
    }
}

const LINE_LIMIT: usize = LINE_MAX as usize;
