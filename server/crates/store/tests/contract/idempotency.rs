use store::{
    Db,
    idempotency::{self, Key, Outcome},
};
use uuid::Uuid;

use crate::world::{at, begin, commit, read, user};

macro_rules! inside {
    ($db:expr, $tx:ident => $body:expr) => {{
        let mut $tx = begin($db).await;
        let done = $body.await.unwrap();
        let _committed = commit($tx).await;
        done
    }};
}

pub async fn a_key_is_held_by_one_attempt_at_a_time(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let of = Key { user: ada, key: "k", route: "POST /a" };
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    assert!(inside!(&db, tx => idempotency::claim(&mut tx, of, first, Some("f"), at(10), at(20))));
    assert!(!inside!(&db, tx => idempotency::claim(&mut tx, of, second, Some("g"), at(19), at(30))), "it goes on");
    for other in [Key { user: bob, ..of }, Key { key: "l", ..of }, Key { route: "POST /b", ..of }] {
        assert!(inside!(&db, tx => idempotency::claim(&mut tx, other, second, None, at(10), at(20))));
        inside!(&db, tx => idempotency::release(&mut tx, other, first));
        assert!(idempotency::get(&mut read(&db).await, other).await.unwrap().is_some(), "another attempt gives nothing back");
        inside!(&db, tx => idempotency::release(&mut tx, other, second));
        assert_eq!(idempotency::get(&mut read(&db).await, other).await.unwrap(), None);
    }
    let row = idempotency::get(&mut read(&db).await, of).await.unwrap().unwrap();
    assert_eq!((row.fingerprint.as_deref(), row.status, row.answer), (Some("f"), None, None));

    assert!(inside!(&db, tx => idempotency::claim(&mut tx, of, second, Some("g"), at(20), at(30))), "its time is over");
    let outcome = Outcome { fingerprint: "g", status: 201, answer: Some(b"sealed"), until: at(99) };
    inside!(&db, tx => idempotency::finish(&mut tx, of, first, Outcome { fingerprint: "f", ..outcome }));
    inside!(&db, tx => idempotency::finish(&mut tx, of, second, outcome));
    inside!(&db, tx => idempotency::release(&mut tx, of, second));
    let row = idempotency::get(&mut read(&db).await, of).await.unwrap().unwrap();
    assert_eq!((row.fingerprint.as_deref(), row.status, row.answer.as_deref()), (Some("g"), Some(201), Some(b"sealed".as_slice())));
    assert_eq!(row.until, at(99), "what was done is not given back");
    assert_eq!(inside!(&db, tx => idempotency::remove_expired(&mut tx, at(98))), 0);
    assert_eq!(inside!(&db, tx => idempotency::remove_expired(&mut tx, at(99))), 1);
}

pub async fn an_attempt_at_work_goes_on_holding_its_key(db: Db) {
    let ada = user(&db, "ada").await;
    let of = Key { user: ada, key: "k", route: "POST /a" };
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    assert!(!inside!(&db, tx => idempotency::renew(&mut tx, of, first, at(20))), "there is nothing to hold");
    assert!(inside!(&db, tx => idempotency::claim(&mut tx, of, first, Some("f"), at(10), at(20))));
    assert!(inside!(&db, tx => idempotency::renew(&mut tx, of, first, at(30))));
    assert!(!inside!(&db, tx => idempotency::claim(&mut tx, of, second, Some("f"), at(29), at(40))), "it goes on");
    assert!(inside!(&db, tx => idempotency::claim(&mut tx, of, second, Some("f"), at(30), at(40))), "it went silent");
    assert!(!inside!(&db, tx => idempotency::renew(&mut tx, of, first, at(50))), "another one has it now");
    let outcome = Outcome { fingerprint: "f", status: 201, answer: None, until: at(99) };
    inside!(&db, tx => idempotency::finish(&mut tx, of, second, outcome));
    assert!(!inside!(&db, tx => idempotency::renew(&mut tx, of, second, at(50))), "it is done");
    assert_eq!(idempotency::get(&mut read(&db).await, of).await.unwrap().unwrap().until, at(99));
}

pub async fn the_oldest_answers_make_room_for_newer_ones(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let keys = ["a", "b", "c"];
    for (who, answer) in [(ada, [7_u8; 10]), (bob, [8; 10])] {
        for (n, key) in (0..).zip(keys) {
            let (of, attempt) = (Key { user: who, key, route: "POST /a" }, Uuid::from_u128(n + 1));
            assert!(inside!(&db, tx => idempotency::claim(&mut tx, of, attempt, Some("f"), at(10), at(20))));
            let until = at(100 + i64::try_from(n).unwrap());
            let outcome = Outcome { fingerprint: "f", status: 201, answer: Some(&answer), until };
            inside!(&db, tx => idempotency::finish(&mut tx, of, attempt, outcome));
        }
    }
    assert_eq!(inside!(&db, tx => idempotency::forget_oldest_answers(&mut tx, ada, 30)), 0);
    assert_eq!(inside!(&db, tx => idempotency::forget_oldest_answers(&mut tx, ada, 25)), 1);
    for (who, kept) in [(ada, [false, true, true]), (bob, [true; 3])] {
        for (key, is_kept) in keys.into_iter().zip(kept) {
            let row = idempotency::get(&mut read(&db).await, Key { user: who, key, route: "POST /a" }).await.unwrap().unwrap();
            assert_eq!((row.status, row.answer.is_some()), (Some(201), is_kept), "{key}");
        }
    }
}
