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

impl EventRow {
    fn into_event(self, stream: Stream) -> Event {
        Event { stream, seq: self.seq, at: self.at, kind: self.body.0 }
    }
}

/// Each number of rows is a statement of its own to the database, which keeps what it prepared.
const IN_A_STATEMENT: usize = 8;

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
    let told: Vec<(i64, Doc<EventKind>)> = (first..).zip(kinds.into_iter().map(Doc)).collect();
    for some in told.chunks(IN_A_STATEMENT) {
        let rows: Vec<String> = (1..=some.len()).map(|n| format!("($1, $2, ${}, ${}, ${})", 3 * n, 3 * n + 1, 3 * n + 2)).collect();
        let text = format!("INSERT INTO events (stream, at, seq, body, output_end) VALUES {}", rows.join(", "));
        on!(&mut **tx, c => {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(&name).bind(at);
            for (seq, body) in some {
                query = query.bind(seq).bind(body).bind(body.0.output_range().map(|range| range.end));
            }
            query.execute(c).await?;
        });
    }
    tx.events.extend(told.into_iter().map(|(seq, kind)| Event { stream, seq, at, kind: kind.0 }));
    Ok(())
}

/// What follows `after` on a stream, in order, at most `limit` events.
pub async fn after(c: &mut Conn, stream: Stream, after: i64, limit: i64) -> Result<Vec<Event>> {
    between(c, stream, after, i64::MAX, limit).await
}

/// Events after `after` up to and with `last`, in order, at most `limit`.
pub async fn between(c: &mut Conn, stream: Stream, after: i64, last: i64, limit: i64) -> Result<Vec<Event>> {
    let rows: Vec<EventRow> = on!(c, c => {
        sqlx::query_as("SELECT seq, at, body FROM events WHERE stream = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4")
            .bind(stream.to_string()).bind(after).bind(last).bind(limit).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|row| row.into_event(stream)).collect())
}

/// As [`between`], without output.
pub async fn other_than_output(c: &mut Conn, stream: Stream, after: i64, last: i64, limit: i64) -> Result<Vec<Event>> {
    let rows: Vec<EventRow> = on!(c, c => {
        sqlx::query_as(
            "SELECT seq, at, body FROM events WHERE stream = $1 AND output_end IS NULL AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
        )
        .bind(stream.to_string()).bind(after).bind(last).bind(limit).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|row| row.into_event(stream)).collect())
}

/// Pieces of output that reach beyond byte `offset` of the run, in order, at most `limit`.
pub async fn output_from(c: &mut Conn, stream: Stream, offset: i64, limit: i64) -> Result<Vec<Event>> {
    let rows: Vec<EventRow> = on!(c, c => {
        sqlx::query_as("SELECT seq, at, body FROM events WHERE stream = $1 AND output_end > $2 ORDER BY output_end LIMIT $3")
            .bind(stream.to_string()).bind(offset).bind(limit).fetch_all(c).await?
    });
    Ok(rows.into_iter().map(|row| row.into_event(stream)).collect())
}

/// Where a piece of output stands in its stream, and up to which byte of the run it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct OutputMark {
    pub seq: i64,
    pub output_end: i64,
}

/// The last piece among those up to `last_seq` that end at byte `most` or before it.
pub async fn last_output(c: &mut Conn, stream: Stream, last_seq: i64, most: i64) -> Result<Option<OutputMark>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT seq, output_end FROM events WHERE stream = $1 AND output_end > 0 AND output_end <= $3 AND seq <= $2
             ORDER BY output_end DESC LIMIT 1",
        )
        .bind(stream.to_string()).bind(last_seq).bind(most).fetch_optional(c).await?
    }))
}

/// The first piece that reaches beyond byte `offset`.
pub async fn first_output_beyond(c: &mut Conn, stream: Stream, offset: i64) -> Result<Option<OutputMark>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT seq, output_end FROM events WHERE stream = $1 AND output_end > $2 ORDER BY output_end LIMIT 1")
            .bind(stream.to_string()).bind(offset).fetch_optional(c).await?
    }))
}

/// Forgets the oldest events of a stream, at most `limit`, and with the last of them the stream itself. Answers how many. Only for streams
/// on which nothing happens any more: their numbers would begin again.
pub async fn forget(c: &mut Conn, stream: Stream, limit: i64) -> Result<u64> {
    let name = stream.to_string();
    Ok(on!(c, c => {
        let gone = sqlx::query(
            "DELETE FROM events WHERE stream = $1
             AND seq <= (SELECT MAX(seq) FROM (SELECT seq FROM events WHERE stream = $1 ORDER BY seq LIMIT $2) AS oldest)",
        )
        .bind(&name).bind(limit).execute(&mut *c).await?.rows_affected();
        sqlx::query("DELETE FROM event_streams WHERE stream = $1 AND NOT EXISTS (SELECT 1 FROM events WHERE stream = $1)")
            .bind(&name).execute(c).await?;
        gone
    }))
}

/// Whether [`forget_old`] would find something.
pub async fn has_old(c: &mut Conn, stream: Stream, before: Micros, kept: i64) -> Result<bool> {
    let found: Option<i64> = on!(c, c => {
        sqlx::query_scalar(
            "SELECT o.seq FROM (SELECT seq, at FROM events WHERE stream = $1 ORDER BY seq LIMIT 1) AS o
             JOIN event_streams s ON s.stream = $1
             WHERE o.seq < s.last_seq AND (o.at < $2 OR o.seq <= s.last_seq - $3)",
        )
        .bind(stream.to_string()).bind(before).bind(kept).fetch_optional(c).await?
    });
    Ok(found.is_some())
}

/// Forgets what a stream told before a moment, or before its newest `kept` events, as far as that is among the oldest `limit`. Answers how
/// many went. The last event stays: whoever has not seen what went is known by the gap before what is left. Numbers go on.
pub async fn forget_old(c: &mut Conn, stream: Stream, before: Micros, kept: i64, limit: i64) -> Result<u64> {
    Ok(on!(c, c => {
        sqlx::query(
            "DELETE FROM events WHERE stream = $1 AND seq < (SELECT last_seq FROM event_streams WHERE stream = $1)
             AND seq <= (SELECT MAX(seq) FROM (SELECT seq, at FROM events WHERE stream = $1 ORDER BY seq LIMIT $4) AS oldest
                         WHERE at < $2 OR seq <= (SELECT last_seq FROM event_streams WHERE stream = $1) - $3)",
        )
        .bind(stream.to_string()).bind(before).bind(kept).bind(limit).execute(c).await?.rows_affected()
    }))
}

/// The last sequence number of a stream, 0 when nothing has happened on it.
pub async fn last_seq(c: &mut Conn, stream: Stream) -> Result<i64> {
    let found: Option<i64> = on!(c, c => {
        sqlx::query_scalar("SELECT last_seq FROM event_streams WHERE stream = $1").bind(stream.to_string()).fetch_optional(c).await?
    });
    Ok(found.unwrap_or(0))
}

/// The last sequence numbers of those streams on which something has happened.
pub async fn last_seqs(c: &mut Conn, streams: &[Stream]) -> Result<Vec<(Stream, i64)>> {
    let names: Vec<String> = streams.iter().map(Stream::to_string).collect();
    // Only PostgreSQL takes a list as one parameter.
    let rows: Vec<(String, i64)> = match c {
        Conn::Sqlite(handle) => {
            let names = Doc(names);
            sqlx::query_as("SELECT stream, last_seq FROM event_streams WHERE stream IN (SELECT value FROM json_each($1))")
                .bind(&names)
                .fetch_all(handle.get())
                .await?
        }
        Conn::Postgres(handle) => {
            sqlx::query_as("SELECT stream, last_seq FROM event_streams WHERE stream = ANY($1)").bind(&names).fetch_all(handle.get()).await?
        }
    };
    Ok(rows.into_iter().filter_map(|(name, seq)| Some((name.parse().ok()?, seq))).collect())
}
