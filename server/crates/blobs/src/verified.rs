use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, ReadBuf};

/// Hashes what passes and refuses the end if the bytes are not the ones that were stored.
pub(crate) struct Verified<R> {
    inner: R,
    hash: Sha256,
    name: String,
    damaged: Option<Box<dyn FnOnce() + Send>>,
}

impl<R> Verified<R> {
    pub fn new(inner: R, sha256: &str) -> Self {
        Self { inner, hash: Sha256::new(), name: sha256.to_owned(), damaged: None }
    }

    /// What to do besides refusing.
    pub fn if_damaged(self, act: impl FnOnce() + Send + 'static) -> Self {
        Self { damaged: Some(Box::new(act)), ..self }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Verified<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        if read.is_empty() {
            let found = hex::encode(std::mem::take(&mut self.hash).finalize());
            if found != self.name {
                if let Some(act) = self.damaged.take() {
                    act();
                }
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the stored bytes are damaged")));
            }
            // A reader may be asked again after its end.
            self.name = hex::encode(Sha256::new().finalize());
        } else {
            self.hash.update(read);
        }
        Poll::Ready(Ok(()))
    }
}
