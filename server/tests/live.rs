//! Event streams: replay then follow, no gap, nothing twice, and an end where the thing ends.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::json;
use wire::event::{Event, EventKind, Stream};

use crate::support::{TestApp, fixture};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_replays_and_then_follows() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "a.txt", "1").await;
    fixture::file(&ada, &id, "b.txt", "2").await;
    let mut events = ada.follow(&format!("/api/live/project:{id}")).await.unwrap();
    assert_eq!(events.headers["content-type"], "text/event-stream");
    assert_eq!(events.headers["x-accel-buffering"], "no");
    assert!(events.headers.get("content-encoding").is_none());
    let (first, second) = (events.next().await.unwrap(), events.next().await.unwrap());
    assert_eq!((first.event.seq, first.id.as_str(), second.event.seq), (1, "1", 2));
    fixture::file(&ada, &id, "c.txt", "3").await;
    // Between the two it is told that somebody is there.
    let (one, other) = (events.next().await.unwrap().event, events.next().await.unwrap().event);
    assert_eq!((one.seq, other.seq), (3, 4));
    let is_file = |kind: &EventKind| matches!(kind, EventKind::FileChanged { path, .. } if path == "c.txt");
    let is_presence = |kind: &EventKind| matches!(kind, EventKind::PresenceChanged { people } if people.len() == 1);
    let kinds = [&one.kind, &other.kind];
    assert!(kinds.iter().any(|kind| is_file(kind)) && kinds.iter().any(|kind| is_presence(kind)), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_browser_saw_last_counts_more_than_the_address() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    for name in ["a", "b", "c"] {
        fixture::file(&ada, &id, name, name).await;
    }
    let mut events = ada.follow(&format!("/api/live/project:{id}?after=1")).await.unwrap();
    assert_eq!(events.next().await.unwrap().event.seq, 2);
    let resumed = ada.request(Method::GET, &format!("/api/live/project:{id}?after=1")).header("last-event-id", "2");
    assert_eq!(ada.follow_with(resumed).await.unwrap().next().await.unwrap().event.seq, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_under_writes_miss_nothing_and_see_nothing_twice() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    const WRITES: i64 = 40;
    let readers = (0..6).map(|n| {
        let (ada, id) = (ada.clone(), id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(n * 7)).await;
            let mut events = ada.follow(&format!("/api/live/project:{id}")).await.unwrap();
            for expected in 1..=WRITES {
                assert_eq!(events.next().await.unwrap().event.seq, expected);
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for n in 0..WRITES {
        fixture::file(&ada, &id, &format!("f{n}"), "x").await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_several_streams_and_resumes_each() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let (one, two) = (fixture::project(&ada, "One").await, fixture::project(&ada, "Two").await);
    fixture::file(&ada, &one, "a", "1").await;
    fixture::file(&ada, &two, "a", "1").await;
    fixture::file(&ada, &two, "b", "2").await;
    let address = format!("/api/live?s=project:{one}@0&s=project:{two}@1&s=user:me@0");
    let mut events = ada.follow(&address).await.unwrap();
    let (first, second) = (events.next().await.unwrap(), events.next().await.unwrap());
    let seen: HashMap<_, _> = [&first, &second].map(|f| (f.event.stream, f.event.seq)).into();
    assert_eq!(seen[&Stream::Project(one.parse().unwrap())], 1);
    assert_eq!(seen[&Stream::Project(two.parse().unwrap())], 2);

    fixture::file(&ada, &one, "b", "2").await;
    let resumed = ada.request(Method::GET, &address).header("last-event-id", &second.id);
    let mut resumed = ada.follow_with(resumed).await.unwrap();
    let is_told = |event: &Event| matches!(event.kind, EventKind::FileChanged { .. });
    let next = resumed.until(is_told).await;
    assert_eq!(next.stream, Stream::Project(one.parse().unwrap()));
    assert!(next.seq >= 2, "what was seen does not come again");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_others_do_not_exist() {
    let app = TestApp::start().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let id = fixture::project(&ada, "P").await;
    let own = ada.user.as_ref().unwrap().id;
    for name in
        [format!("project:{id}"), format!("user:{own}"), "run:0190a5c8-0000-7000-8000-000000000000".to_owned(), "nonsense".to_owned()]
    {
        let refused = ben.follow(&format!("/api/live/{name}")).await.err().unwrap();
        refused.expect(404).problem();
        ben.follow(&format!("/api/live?s={name}@0")).await.err().unwrap().expect(404).problem();
    }
    ben.follow("/api/live/admin").await.err().unwrap().expect(403).problem();
    app.nobody().follow("/api/live/user:me").await.err().unwrap().expect(401).problem();
    ada.follow("/api/live").await.err().unwrap().expect(400).problem();
    ada.follow("/api/live?s=user:me@soon").await.err().unwrap().expect(400).problem();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_ends_with_the_session() {
    let app = TestApp::start().await;
    let (admin, ben) = (app.user("ada").await, app.user("ben").await);
    let id = fixture::project(&ben, "P").await;
    let mut events = ben.follow(&format!("/api/live/project:{id}")).await.unwrap();
    let ben_id = ben.user.as_ref().unwrap().id;
    admin.patch(&format!("/api/admin/users/{ben_id}"), &json!({ "state": "disabled" })).await.expect(200);
    events.until(|event| event.kind == EventKind::SessionEnded {}).await;
    assert!(events.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_ends_its_streams() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let mut events = ada.follow("/api/live/user:me").await.unwrap();
    app.stop().await;
    assert!(events.next().await.is_none());
}
