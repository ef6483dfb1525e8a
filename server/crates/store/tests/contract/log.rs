use store::{Db, Error, InProcessBus, LiveBus, Signal, events, users, watch_log};
use wire::{
    UserId,
    event::{EventKind, OutputChannel, Stream},
    users::UserRole,
};

use crate::world::{at, begin, commit, id, job, read, user, write};

fn delta(text: impl ToString) -> EventKind {
    EventKind::TextDelta { text: text.to_string() }
}

pub async fn appended_events_have_no_gaps(db: Db) {
    let stream = Stream::Turn(id());
    assert_eq!(events::last_seq(&mut read(&db).await, stream).await.unwrap(), 0);
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let db = db.clone();
            tokio::spawn(async move {
                for round in 0..5 {
                    let mut undone = begin(&db).await;
                    events::append(&mut undone, stream, at(0), vec![delta("undone")]).await.unwrap();
                    drop(undone);
                    let mut tx = begin(&db).await;
                    let kinds = (0..3).map(|n| delta(format!("{writer}/{round}/{n}"))).collect();
                    events::append(&mut tx, stream, at(round), kinds).await.unwrap();
                    let committed = commit(tx).await;
                    let seqs: Vec<_> = committed.events.iter().map(|event| event.seq).collect();
                    assert_eq!(seqs, [seqs[0], seqs[0] + 1, seqs[0] + 2], "what is appended together stays together");
                }
            })
        })
        .collect();
    // Whoever follows the log by its numbers misses nothing that becomes visible later.
    let (mut seen, total) = (Vec::new(), 16 * 5 * 3);
    while seen.len() < total {
        let after = seen.last().map_or(0, |event: &wire::event::Event| event.seq);
        seen.extend(events::after(&mut read(&db).await, stream, after, 7).await.unwrap());
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=total as i64).collect::<Vec<_>>());
    assert!(seen.iter().all(|event| event.stream == stream && event.kind != delta("undone")));
    assert_eq!(events::last_seq(&mut read(&db).await, stream).await.unwrap(), total as i64);
    assert_eq!(events::after(&mut read(&db).await, Stream::Admin, 0, 10).await.unwrap(), []);
}

pub async fn other_processes_events_are_found_in_the_log(db: Db) {
    let (followed, quiet, new): (Stream, Stream, Stream) = (Stream::Turn(id()), Stream::Turn(id()), Stream::Turn(id()));
    let append = async |stream, text: &str| {
        let mut tx = begin(&db).await;
        events::append(&mut tx, stream, at(0), vec![delta(text)]).await.unwrap();
        commit(tx).await.events
    };
    append(quiet, "old").await;
    append(followed, "old").await;
    let mut found = events::last_seqs(&mut read(&db).await, &[followed, quiet, new]).await.unwrap();
    found.sort_unstable();
    assert_eq!(
        found,
        {
            let mut both = [(followed, 1), (quiet, 1)];
            both.sort_unstable();
            both
        },
        "and nothing of what never happened"
    );

    let bus = InProcessBus::new();
    let mut reader = bus.subscribe(&[followed]).await;
    let mut reader_of_quiet = bus.subscribe(&[quiet]).await;
    let watching = tokio::spawn(watch_log(db.clone(), bus.clone(), || true));
    // What was there before the first look may be new to its reader.
    assert!(matches!(reader.next().await, Some(Signal::Lagged)));
    assert!(matches!(reader_of_quiet.next().await, Some(Signal::Lagged)));
    append(followed, "by another process").await;
    assert!(matches!(reader.next().await, Some(Signal::Lagged)));
    bus.publish(append(followed, "by this one").await).await;
    assert!(matches!(reader.next().await, Some(Signal::Event(event)) if event.seq == 3));
    append(followed, "by another process again").await;
    assert!(matches!(reader.next().await, Some(Signal::Lagged)), "only now");
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(50), reader_of_quiet.next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    watching.abort();
}

pub async fn a_dropped_transaction_leaves_nothing(db: Db) {
    let mut tx = begin(&db).await;
    let new: UserId = id();
    let row = users::NewUser {
        id: new,
        email: "a@b.c",
        email_key: "a@b.c",
        username: "a",
        username_key: "a",
        full_name: None,
        password_hash: "",
        role: UserRole::User,
        at: at(0),
    };
    users::insert(&mut tx, &row).await.unwrap();
    events::append(&mut tx, Stream::Admin, at(0), vec![]).await.unwrap();
    events::append(&mut tx, Stream::Admin, at(0), vec![EventKind::ProjectChanged {}]).await.unwrap();
    assert!(users::by_id(&mut tx, new).await.unwrap().is_some());
    assert!(users::by_id(&mut read(&db).await, new).await.unwrap().is_none(), "not seen before the commit");
    drop(tx);
    let mut tx = begin(&db).await;
    assert!(users::by_id(&mut tx, new).await.unwrap().is_none());
    assert_eq!(events::last_seq(&mut tx, Stream::Admin).await.unwrap(), 0);
    users::insert(&mut tx, &row).await.unwrap();
    events::append(&mut tx, Stream::Admin, at(1), vec![EventKind::ProjectChanged {}]).await.unwrap();
    let committed = commit(tx).await;
    assert_eq!((committed.events[0].seq, committed.wakes_workers), (1, false));
    assert_eq!(events::after(&mut read(&db).await, Stream::Admin, 0, 10).await.unwrap(), committed.events);

    let mut c = read(&db).await;
    if db.is_local() {
        assert!(matches!(users::touch(&mut c, new, at(9)).await, Err(Error::Database(_))), "a connection for reading does not write");
    }
}

pub async fn the_schema_is_brought_up_to_date_once(db: Db) {
    db.ping().await.unwrap();
    let ada = user(&db, "ada").await;
    job(&db, None, at(0)).await;
    let url = match &db {
        Db::Sqlite { write, .. } => format!("sqlite:{}", write.connect_options().get_filename().display()),
        Db::Postgres(pool) => {
            let options = pool.connect_options();
            crate::database::with_database(&std::env::var("TEST_DATABASE_URL").unwrap(), options.get_database().unwrap())
        }
    };
    assert_eq!(db.name(), if db.is_local() { "SQLite" } else { "PostgreSQL" });
    let schema = db.migrations().await.unwrap();
    assert!(!schema.applied.is_empty() && schema.pending.is_empty() && schema.unknown.is_empty(), "{schema:?}");
    assert!(db.pools().iter().all(|pool| pool.used + pool.idle <= pool.most));
    let again = Db::connect(&url, 2).await.unwrap();
    assert!(users::by_id(&mut read(&again).await, ada).await.unwrap().is_some());
    again.close().await;
    assert!(matches!(again.ping().await, Err(Error::Database(_))));
}

pub async fn output_is_found_by_its_bytes(db: Db) {
    let stream = Stream::Run(id());
    let piece = |offset, data: &str| EventKind::Output { channel: OutputChannel::Stdout, offset, data: data.to_owned() };
    // "hello", " you", then something else, then "!".
    let kinds = vec![
        EventKind::RunQueued {},
        piece(0, "aGVsbG8="),
        piece(5, "IHlvdQ=="),
        EventKind::RunNoted { text: "x".to_owned() },
        piece(9, "IQ=="),
    ];
    write!(&db, tx => events::append(&mut tx, stream, at(0), kinds));
    let mut c = read(&db).await;
    let seqs = |events: Vec<wire::event::Event>| events.iter().map(|event| event.seq).collect::<Vec<_>>();
    let mark = |seq, output_end| Some(events::OutputMark { seq, output_end });
    assert_eq!(events::last_output(&mut c, stream, i64::MAX, i64::MAX).await.unwrap(), mark(5, 10));
    assert_eq!(events::last_output(&mut c, stream, 4, i64::MAX).await.unwrap(), mark(3, 9));
    assert_eq!(events::last_output(&mut c, stream, i64::MAX, 8).await.unwrap(), mark(2, 5));
    assert_eq!(events::last_output(&mut c, stream, 1, i64::MAX).await.unwrap(), None);
    assert_eq!(events::first_output_beyond(&mut c, stream, 5).await.unwrap(), mark(3, 9));
    assert_eq!(events::first_output_beyond(&mut c, stream, 10).await.unwrap(), None);
    assert_eq!(seqs(events::output_from(&mut c, stream, 4, 9).await.unwrap()), [2, 3, 5]);
    assert_eq!(seqs(events::output_from(&mut c, stream, 0, 1).await.unwrap()), [2]);
    assert_eq!(seqs(events::other_than_output(&mut c, stream, 0, 4, 9).await.unwrap()), [1, 4]);
    assert_eq!(seqs(events::other_than_output(&mut c, stream, 1, 3, 9).await.unwrap()), [0; 0]);
    assert_eq!(seqs(events::between(&mut c, stream, 1, 3, 9).await.unwrap()), [2, 3]);
}
