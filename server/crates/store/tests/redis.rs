//! The bus and the signals between processes, on a Redis of our own that is killed and comes back.

#[path = "support/redis_server.rs"]
mod redis_server;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use redis_server::Redis;
use store::{JobSignal, LinkStatus, LiveBus, RedisBus, RedisSignals, Signal, SignalsLink, Subscription};
use uuid::Uuid;
use wire::{
    Micros, RunId,
    event::{Event, EventKind, OutputChannel, Stream},
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn bus(redis: &Redis) -> RedisBus {
    let bus = RedisBus::start(&redis.url(), "test").unwrap();
    wait_for("it connects", || bus.status() == LinkStatus::Up).await;
    bus
}

fn run() -> Stream {
    Stream::Run(RunId::from(Uuid::now_v7()))
}

fn event(stream: Stream, seq: i64) -> Event {
    sized(stream, seq, 10)
}

fn sized(stream: Stream, seq: i64, bytes: usize) -> Event {
    let kind = EventKind::Output { channel: OutputChannel::Stdout, offset: 0, data: "A".repeat(bytes) };
    Event { stream, seq, at: Micros(0), kind }
}

async fn next(reader: &mut Subscription) -> Signal {
    tokio::time::timeout(PATIENCE, reader.next()).await.expect("no signal in time").unwrap()
}

/// Everything up to an event; answers whether the reader was sent to the log on the way, and the numbers that came.
async fn until(reader: &mut Subscription, last: i64) -> (bool, Vec<i64>) {
    let (mut lagged, mut seqs) = (false, Vec::new());
    while seqs.last() != Some(&last) {
        match next(reader).await {
            Signal::Event(event) => seqs.push(event.seq),
            Signal::Lagged => lagged = true,
        }
    }
    (lagged, seqs)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_readers_of_every_process_once_and_in_order() {
    let Some(redis) = Redis::start() else { return };
    let (here, there) = (bus(&redis).await, bus(&redis).await);
    let stream = run();
    let (mut near, mut far) = (here.subscribe(&[stream]).await, there.subscribe(&[stream]).await);
    for seq in 1..=200 {
        here.publish(vec![event(stream, seq)]).await;
    }
    let all: Vec<_> = (1..=200).collect();
    assert_eq!(until(&mut near, 200).await, (false, all.clone()));
    assert_eq!(until(&mut far, 200).await, (false, all));
    there.publish(vec![event(stream, 201)]).await;
    assert_eq!(until(&mut near, 201).await, (false, vec![201]), "and nothing of its own comes back");
    assert_eq!(until(&mut far, 201).await, (false, vec![201]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_event_sends_the_readers_of_its_stream_to_the_log() {
    let Some(redis) = Redis::start() else { return };
    let (here, there) = (bus(&redis).await, bus(&redis).await);
    let (large, other) = (run(), run());
    let (mut reader, mut bystander) = (there.subscribe(&[large]).await, there.subscribe(&[other]).await);
    here.publish(vec![sized(large, 1, 60_000)]).await;
    assert!(matches!(next(&mut reader).await, Signal::Lagged));
    here.publish(vec![event(other, 1)]).await;
    assert_eq!(until(&mut bystander, 1).await, (false, vec![1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_nothing_waits_and_afterwards_everybody_catches_up() {
    let Some(mut redis) = Redis::start() else { return };
    let (here, there) = (bus(&redis).await, bus(&redis).await);
    let stream = run();
    let (mut near, mut far) = (here.subscribe(&[stream]).await, there.subscribe(&[stream]).await);
    here.publish(vec![event(stream, 1)]).await;
    assert_eq!(until(&mut far, 1).await, (false, vec![1]));
    assert_eq!(until(&mut near, 1).await, (false, vec![1]));

    redis.kill();
    assert!(matches!(next(&mut far).await, Signal::Lagged), "who reads is told at once");
    wait_for("the health page says so", || matches!(here.status(), LinkStatus::Down { .. })).await;
    let began = Instant::now();
    for seq in 2..=5000 {
        here.publish(vec![event(stream, seq)]).await;
    }
    assert!(began.elapsed() < Duration::from_secs(2), "publishing waited for Redis: {:?}", began.elapsed());
    assert!(matches!(next(&mut near).await, Signal::Event(_) | Signal::Lagged), "readers of the same process go on");

    redis.come_back();
    wait_for("both connect again", || here.status() == LinkStatus::Up && there.status() == LinkStatus::Up).await;
    // Told on connecting, and again by the writer that had to drop what it was given.
    assert!(matches!(next(&mut far).await, Signal::Lagged));
    let deadline = Instant::now() + PATIENCE;
    let mut seq = 5000;
    let arrived = loop {
        assert!(Instant::now() < deadline, "live events do not come again");
        seq += 1;
        here.publish(vec![event(stream, seq)]).await;
        match tokio::time::timeout(Duration::from_millis(200), far.next()).await {
            Ok(Some(Signal::Event(event))) => break event.seq,
            Ok(Some(Signal::Lagged)) | Err(_) => {}
            Ok(None) => panic!("the bus ended"),
        }
    };
    here.publish(vec![event(stream, seq + 1)]).await;
    let (_, seqs) = until(&mut far, seq + 1).await;
    assert!(seqs.iter().copied().eq(arrived + 1..=seq + 1), "live and in order again: {seqs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_has_thrown_away_is_noticed() {
    let Some(redis) = Redis::start() else { return };
    let (here, there) = (bus(&redis).await, bus(&redis).await);
    let stream = run();
    let mut far = there.subscribe(&[stream]).await;
    here.publish(vec![event(stream, 1)]).await;
    assert_eq!(until(&mut far, 1).await, (false, vec![1]));
    // As if the reader had been too slow for what the stream keeps: a number of the writer is left out.
    let mut connection = redis::Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let newest: redis::streams::StreamRangeReply =
        redis::cmd("XREVRANGE").arg("test:events").arg("+").arg("-").arg("COUNT").arg(1).query_async(&mut connection).await.unwrap();
    let from: String = newest.ids[0].get("from").unwrap();
    let text = serde_json::to_string(&event(stream, 3)).unwrap();
    let mut add = redis::cmd("XADD");
    add.arg("test:events").arg("*").arg("from").arg(from).arg("n").arg(3).arg("event").arg(text);
    add.query_async::<String>(&mut connection).await.unwrap();
    assert!(matches!(next(&mut far).await, Signal::Lagged));
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_reach_the_other_processes_and_not_their_sender() {
    let Some(mut redis) = Redis::start() else { return };
    type Heard = Arc<Mutex<Vec<JobSignal>>>;
    let (here_heard, there_heard) = (Heard::default(), Heard::default());
    let start = |heard: &Heard| {
        let heard = heard.clone();
        RedisSignals::start(&redis.url(), "test", move |signal| heard.lock().unwrap().push(signal)).unwrap()
    };
    let (here, there) = (start(&here_heard), start(&there_heard));
    wait_for("both connect", || here.status() == LinkStatus::Up && there.status() == LinkStatus::Up).await;
    assert_eq!(*there_heard.lock().unwrap(), [JobSignal::Wake], "for what was missed until then");
    let id = Uuid::now_v7();
    here.send(JobSignal::Cancel(id));
    wait_for("the cancel arrives", || there_heard.lock().unwrap().contains(&JobSignal::Cancel(id))).await;
    for _ in 0..100 {
        here.send(JobSignal::Wake);
    }
    wait_for("the wake-up arrives", || there_heard.lock().unwrap().iter().filter(|s| **s == JobSignal::Wake).count() >= 2).await;
    assert_eq!(*here_heard.lock().unwrap(), [JobSignal::Wake]);

    redis.kill();
    wait_for("it is noticed", || here.status() != LinkStatus::Up && there.status() != LinkStatus::Up).await;
    here.send(JobSignal::Wake);
    redis.come_back();
    wait_for("both connect again", || here.status() == LinkStatus::Up && there.status() == LinkStatus::Up).await;
    let again = Uuid::now_v7();
    here.send(JobSignal::Cancel(again));
    wait_for("a cancel arrives again", || there_heard.lock().unwrap().contains(&JobSignal::Cancel(again))).await;
}

#[test]
fn an_address_that_is_none_is_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    assert!(RedisBus::start("somewhere", "test").is_err());
}
