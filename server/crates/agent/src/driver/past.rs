//! What an earlier worker did of a turn, read from the log.

use std::time::Duration;

use domain::{Ctx, Error, live};
use wire::{
    TurnId,
    event::{Event, EventKind},
};

const PAGE: i64 = 1000;

/// How long a turn was worked on before it was last taken up. Waiting for people, and for a worker, does not count.
pub(super) async fn worked(ctx: &Ctx, turn: TurnId) -> Result<Duration, Error> {
    let (mut sum, mut last) = (Duration::ZERO, None);
    let mut after = 0;
    loop {
        let events = live::turn_events(ctx, turn, after, PAGE).await?;
        let Some(end) = events.last() else { return Ok(sum) };
        after = end.seq;
        for event in &events {
            sum += since(&mut last, event);
        }
    }
}

/// The time from the event before, unless nobody worked then.
fn since(last: &mut Option<i64>, event: &Event) -> Duration {
    let before = last.replace(event.at.0);
    match (&event.kind, before) {
        (EventKind::TurnResumed { .. } | EventKind::ApprovalAnswered { .. }, _) | (_, None) => Duration::ZERO,
        (_, Some(before)) => Duration::from_micros(u64::try_from(event.at.0 - before).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Micros, chat::Approval, event::Stream, users::UserRef};

    #[test]
    fn only_work_counts() {
        let id = TurnId(uuid::Uuid::nil());
        let by = UserRef { id: uuid::Uuid::nil().into(), name: "ada".into() };
        let asked = EventKind::ApprovalAsked { call_id: "a".into(), name: "n".into(), arguments: "{}".into() };
        let kinds = [
            (10, EventKind::TurnStarted { model: "m".into() }),
            (40, EventKind::TextDelta { text: "x".into() }),
            (50, asked),
            (900, EventKind::ApprovalAnswered { call_id: "a".into(), decision: Approval::Approve, by }),
            (1000, EventKind::TurnResumed { from_message: 1 }),
            (1007, EventKind::TextDelta { text: "y".into() }),
        ];
        let mut last = None;
        let sum: Duration =
            kinds.into_iter().map(|(at, kind)| since(&mut last, &Event { stream: Stream::Turn(id), seq: 1, at: Micros(at), kind })).sum();
        assert_eq!(sum, Duration::from_micros(47));
    }
}
