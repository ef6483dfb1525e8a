use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, advance, timeout};
use wire::{RunId, terminals::TerminalNotice};

use super::{Seat, Shown, TerminalHub, TerminalRelay};

fn id() -> RunId {
    RunId(uuid::Uuid::from_u128(7))
}

async fn next(seat: &mut Box<dyn Seat>) -> Shown {
    timeout(Duration::from_secs(60), seat.next()).await.expect("nothing came")
}

async fn hello(seat: &mut Box<dyn Seat>) -> (u64, bool) {
    match next(seat).await {
        Shown::Notice(TerminalNotice::Hello { offset, fresh, .. }) => (offset, fresh),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_goes_on_where_it_was() {
    let hub = TerminalHub::new(true);
    let (session, _keyboard) = hub.open(id(), (80, 24));
    session.print(b"one two");
    let mut seat = hub.attach(id(), Some(4), Duration::ZERO).await.unwrap();
    assert_eq!(hello(&mut seat).await, (4, false));
    assert_eq!(next(&mut seat).await, Shown::Bytes(Bytes::from_static(b"two")));
    session.print(b"!");
    assert_eq!(next(&mut seat).await, Shown::Bytes(Bytes::from_static(b"!")));
    let mut other = hub.attach(id(), Some(99), Duration::ZERO).await.unwrap();
    assert_eq!(hello(&mut other).await, (0, true), "an offset that never was");
    session.end("Closed.");
    assert_eq!(next(&mut seat).await, Shown::Closed("Closed.".to_owned()));
    assert_eq!(next(&mut other).await, Shown::Bytes(Bytes::from_static(b"one two!")));
    assert_eq!(next(&mut other).await, Shown::Closed("Closed.".to_owned()));
    drop(session);
    let mut late = hub.attach(id(), Some(8), Duration::ZERO).await.expect("kept for a moment");
    assert_eq!(hello(&mut late).await, (8, false));
}

#[tokio::test(start_paused = true)]
async fn who_comes_before_the_terminal_waits_for_it() {
    let hub = TerminalHub::new(true);
    assert!(hub.attach(id(), None, Duration::from_millis(20)).await.is_none());
    let (opened, mut seat) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            hub.open(id(), (80, 24))
        },
        async { hub.attach(id(), None, Duration::from_secs(1)).await.unwrap() }
    );
    assert_eq!(hello(&mut seat).await, (0, true));
    drop(opened);
}

#[tokio::test(start_paused = true)]
async fn one_reader_is_sent_a_megabyte_a_second_and_told_what_it_missed() {
    let hub = TerminalHub::new(true);
    let (session, _keyboard) = hub.open(id(), (80, 24));
    let mut seat = hub.attach(id(), None, Duration::ZERO).await.unwrap();
    hello(&mut seat).await;
    let line = [b"x".repeat(99), b"\n".to_vec()].concat();
    let (started, mut shown, mut dropped, mut frames) = (Instant::now(), 0_u64, 0_u64, 0);
    let mut printed = 0;
    while started.elapsed() < Duration::from_secs(10) {
        for _ in 0..2000 {
            session.print(&line);
            printed += 100;
        }
        while let Ok(what) = timeout(Duration::from_millis(10), seat.next()).await {
            match what {
                Shown::Bytes(data) => {
                    if dropped > 0 && shown > 0 {
                        assert!(data.len() <= 64 * 1024);
                    }
                    shown += data.len() as u64;
                    frames += 1;
                    seat.take_in(data.len() as u64);
                }
                Shown::Notice(TerminalNotice::Dropped { bytes }) => dropped += bytes,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!((5_000_000..=11_500_000).contains(&shown), "{shown} bytes in 10 s");
    assert!(frames <= 60 + 301, "{frames} frames in 10 s");
    assert!(dropped > 100_000_000 / 10, "{dropped} of {printed} were dropped, and it was said");
    // In the end it is where the output is.
    loop {
        match timeout(Duration::from_secs(5), seat.next()).await {
            Ok(Shown::Bytes(data)) => {
                shown += data.len() as u64;
                seat.take_in(data.len() as u64);
            }
            Ok(Shown::Notice(TerminalNotice::Dropped { bytes })) => dropped += bytes,
            Ok(other) => panic!("{other:?}"),
            Err(_) => break,
        }
    }
    assert_eq!(shown + dropped, printed, "every byte is either shown or said to be missing");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_in_is_sent_no_more() {
    let hub = TerminalHub::new(true);
    let (session, _keyboard) = hub.open(id(), (80, 24));
    let mut seat = hub.attach(id(), None, Duration::ZERO).await.unwrap();
    hello(&mut seat).await;
    for _ in 0..10 {
        session.print(&[b'x'; 100_000]);
    }
    let mut shown = 0;
    while let Ok(Shown::Bytes(data)) = timeout(Duration::from_secs(30), seat.next()).await {
        shown += data.len();
    }
    assert_eq!(shown, 512 * 1024);
    seat.take_in(100);
    match next(&mut seat).await {
        Shown::Bytes(data) => assert_eq!(data.len(), 100),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn readers_are_told_of_each_others_sizes_and_of_silence() {
    let hub = TerminalHub::new(true);
    let (session, _keyboard) = hub.open(id(), (80, 24));
    let mut one = hub.attach(id(), None, Duration::ZERO).await.unwrap();
    let mut two = hub.attach(id(), None, Duration::ZERO).await.unwrap();
    hello(&mut one).await;
    hello(&mut two).await;
    one.resize(0, 5000);
    assert_eq!(next(&mut two).await, Shown::Notice(TerminalNotice::Resized { cols: 1, rows: 1000 }));
    session.warn_idle(Duration::from_secs(60));
    assert_eq!(next(&mut one).await, Shown::Notice(TerminalNotice::Idle { closes_in_s: 60 }));
    advance(Duration::from_secs(10)).await;
    let mut late = hub.attach(id(), None, Duration::ZERO).await.unwrap();
    hello(&mut late).await;
    assert_eq!(next(&mut late).await, Shown::Notice(TerminalNotice::Idle { closes_in_s: 50 }));
    late.type_in(Bytes::from_static(b"x"));
    let mut later = hub.attach(id(), None, Duration::ZERO).await.unwrap();
    hello(&mut later).await;
    session.print(b"x");
    assert_eq!(next(&mut later).await, Shown::Bytes(Bytes::from_static(b"x")), "somebody typed, so nothing is said any more");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_reads_is_not_remembered_for_ever() {
    let hub = TerminalHub::new(true);
    let (_session, _keyboard) = hub.open(id(), (80, 24));
    let mut seat = hub.attach(id(), None, Duration::ZERO).await.unwrap();
    hello(&mut seat).await;
    for _ in 0..4 {
        seat.type_in(Bytes::from(vec![b'x'; 64 * 1024]));
    }
    assert!(timeout(Duration::from_secs(1), seat.next()).await.is_err(), "so much is kept");
    seat.type_in(Bytes::from_static(b"y"));
    assert!(matches!(next(&mut seat).await, Shown::Notice(TerminalNotice::Notice { .. })));
}

#[tokio::test(start_paused = true)]
async fn keys_wait_for_the_prompt_itself() {
    let hub = TerminalHub::new(true);
    let (session, mut keyboard) = hub.open(id(), (80, 24));
    let short = Duration::from_secs(3);
    // A shell writes this before it takes interrupts.
    session.print(b"\x1b[?2004h");
    assert!(timeout(short, keyboard.until_prompt()).await.is_err(), "that is no prompt");
    session.print(b"\x1b[1;34m~\x1b[0m $");
    assert!(timeout(short, keyboard.until_prompt()).await.is_err(), "half of one");
    session.print(b" ");
    assert!(timeout(Duration::from_millis(10), keyboard.until_prompt()).await.is_err(), "nobody listens yet");
    timeout(short, keyboard.until_prompt()).await.expect("the prompt is there");
    session.print(b"typed\r\n");
    timeout(short, keyboard.until_prompt()).await.expect("once is enough");

    let (_silent, mut keyboard) = hub.open(RunId(uuid::Uuid::from_u128(8)), (80, 24));
    let began = Instant::now();
    timeout(Duration::from_secs(60), keyboard.until_prompt()).await.expect("a shell without a prompt is typed into as well");
    assert!(began.elapsed() > short);
}
