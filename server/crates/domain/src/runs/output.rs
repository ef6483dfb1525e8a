//! What is told while a run goes on, and what it printed.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use store::{events, runs as table};
use wire::{
    RunId,
    event::{EventKind, OutputChannel, Stream},
    previews::RunPort,
    projects::ProjectRole,
    runs::RunState,
};

use super::row;
use crate::{Ctx, Error, Result, live};

/// Pieces of output read at a time.
const PAGE: i64 = 32;

/// A piece of what a run printed; `offset` counts bytes of the whole run.
#[derive(Debug, Clone)]
pub struct OutputChunk {
    pub channel: OutputChannel,
    pub offset: i64,
    pub data: Bytes,
}

/// Writes output to the run's log. The caller waits, and so does the process that prints: that is the back-pressure. `Conflict` when the
/// run has ended meanwhile, which says that somebody else speaks for it now.
pub async fn append_output(ctx: &Ctx, id: RunId, chunks: Vec<OutputChunk>) -> Result<()> {
    let kinds = chunks
        .into_iter()
        .map(|chunk| EventKind::Output { channel: chunk.channel, offset: chunk.offset, data: STANDARD.encode(&chunk.data) })
        .collect();
    tell(ctx, id, kinds).await
}

/// What it has used since its start, and holds now.
pub async fn sampled(ctx: &Ctx, id: RunId, cpu_ms: i64, memory_bytes: i64) -> Result<()> {
    tell(ctx, id, vec![EventKind::RunSampled { cpu_ms, memory_bytes }]).await
}

/// Something its people should know while it goes on, in a sentence.
pub async fn noted(ctx: &Ctx, id: RunId, text: String) -> Result<()> {
    tell(ctx, id, vec![EventKind::RunNoted { text }]).await
}

/// What listens inside it now.
pub async fn ports_changed(ctx: &Ctx, id: RunId, ports: Vec<RunPort>) -> Result<()> {
    let mut tx = ctx.services().db.begin().await?;
    if table::set_ports(&mut tx, id, &ports).await? {
        events::append(&mut tx, Stream::Run(id), ctx.now(), vec![EventKind::PortsChanged { ports }]).await?;
        ctx.commit(tx).await?;
    }
    Ok(())
}

async fn tell(ctx: &Ctx, id: RunId, kinds: Vec<EventKind>) -> Result<()> {
    let services = ctx.services();
    let mut tx = services.db.begin().await?;
    events::append(&mut tx, Stream::Run(id), ctx.now(), kinds).await?;
    // Looked at once the stream is locked: whoever ends the run takes the same lock.
    if table::state(&mut tx, id).await? != Some(RunState::Running) {
        return Err(Error::conflict("This run has ended."));
    }
    let committed = tx.commit().await?;
    services.bus.publish(committed.events.into_iter().map(live::thin).collect()).await;
    Ok(())
}

/// The byte at which the stored output, or its last `tail` bytes, begins.
pub async fn output_start(ctx: &Ctx, id: RunId, tail: Option<i64>) -> Result<i64> {
    row(ctx, id, ProjectRole::Viewer).await?;
    let Some(tail) = tail else { return Ok(0) };
    let mut conn = ctx.services().db.read().await?;
    let last = events::last_output(&mut conn, Stream::Run(id), i64::MAX, i64::MAX).await?;
    Ok(last.map_or(0, |mark| mark.output_end - tail.clamp(0, mark.output_end)))
}

/// One page of the stored output from byte `offset` on, all channels in the order in which they came; empty at the end.
pub async fn output_page(ctx: &Ctx, id: RunId, offset: i64) -> Result<Vec<u8>> {
    row(ctx, id, ProjectRole::Viewer).await?;
    let pieces = events::output_from(&mut ctx.services().db.read().await?, Stream::Run(id), offset, PAGE).await?;
    let mut bytes = Vec::new();
    for piece in pieces {
        if let EventKind::Output { offset: start, data, .. } = piece.kind {
            let data = STANDARD.decode(data).map_err(Error::internal)?;
            let known = usize::try_from(offset - start).unwrap_or(0).min(data.len());
            bytes.extend_from_slice(&data[known..]);
        }
    }
    Ok(bytes)
}

/// The last `most` bytes of the stored output.
pub async fn stored_output(ctx: &Ctx, id: RunId, most: i64) -> Result<Vec<u8>> {
    let start = output_start(ctx, id, Some(most)).await?;
    let mut bytes = Vec::new();
    loop {
        let page = output_page(ctx, id, start + bytes.len() as i64).await?;
        if page.is_empty() {
            return Ok(bytes);
        }
        bytes.extend(page);
    }
}
