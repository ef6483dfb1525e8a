use sqlx::FromRow;
use wire::{
    Micros,
    event::{Event, EventKind, Stream},
};

use crate::{Conn, Doc, Result, Tx, db::on};

#[derive(FromRow)]
struct EventRow {
    seq: i64,
    at: Micros,
    body: Doc<EventKind>,
}

/// Appends to a stream's log. Sequence numbers are given out under the stream's row lock, so they have no gaps and become
/// visible in order.
pub async fn append(tx: &mut Tx, stream: Stream, at: Micros, kinds: Vec<EventKind>) -> Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    let name = stream.to_string();
    let last: i64 = on!(&mut **tx, c => {
        sqlx::query_scalar(
            "INSERT INTO event_streams (stream, last_seq) VALUES ($1, $2)
             ON CONFLICT (stream) DO UPDATE SET last_seq = event_streams.last_seq + $2 RETURNING last_seq",
        )
        .bind(&name).bind(kinds.len() as i64).fetch_one(c).await?
    });
    let first = last - kinds.len() as i64 + 1;
    for (seq, kind) in (first..).zip(kinds) {
        let body = Doc(kind);
        on!(&mut **tx, c => {
            sqlx::query("INSERT INTO events (stream, seq, at, body) VALUES ($1, $2, $3, $4)")
                .bind(&name).bind(seq).bind(at).bind(&body).execute(c).await?;
        });
        tx.events.push(Event { stream, seq, at, kind: body.0 });
    }
    Ok(())
}

/// What follows `after` on a stream, in order, at most `limit` events.
pub async fn after(c: &mut Conn, stream: Stream, after: i64, limit: i64) -> Result<Vec<Event>> {
    let rows: Vec<EventRow> = on!(c, c => {
        sqlx::query_as("SELECT seq, at, body FROM events WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3")
            .bind(stream.to_string()).bind(after).bind(limit).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|row| Event { stream, seq: row.seq, at: row.at, kind: row.body.0 }).collect())
}

/// The last sequence number of a stream, 0 when nothing has happened on it.
pub async fn last_seq(c: &mut Conn, stream: Stream) -> Result<i64> {
    let found: Option<i64> = on!(c, c => {
        sqlx::query_scalar("SELECT last_seq FROM event_streams WHERE stream = $1").bind(stream.to_string()).fetch_optional(c).await?
    });
    Ok(found.unwrap_or(0))
}
