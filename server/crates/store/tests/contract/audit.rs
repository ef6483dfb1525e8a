use std::collections::BTreeSet;

use store::{
    Db,
    audit::{self, Filter, NewEntry},
};
use wire::{
    UserId,
    audit::{AuditAction, AuditActor, AuditActorKind, AuditOutcome, AuditTarget},
};

use crate::world::{at, begin, commit, id, read};

fn entry(action: AuditAction, actor: UserId, details: &str) -> NewEntry {
    NewEntry {
        at: at(1),
        action,
        outcome: AuditOutcome::Done,
        actor: AuditActor { kind: AuditActorKind::Person, id: Some(actor), name: "ada".to_owned(), by: Some("session:1".to_owned()) },
        address: Some("192.0.2.7".to_owned()),
        request_id: "request".to_owned(),
        target: Some(AuditTarget { kind: "token".to_owned(), id: "7".to_owned(), name: "GRÖßE 100%".to_owned() }),
        project_id: None,
        details: details.to_owned(),
    }
}

async fn add(db: &Db, entries: Vec<NewEntry>) {
    let mut tx = begin(db).await;
    for entry in entries {
        audit::append(&mut tx, entry);
    }
    let _committed = commit(tx).await;
}

pub async fn the_audit_log_is_one_chain(db: Db) {
    let (ada, ben) = (id(), id());
    add(&db, vec![entry(AuditAction::TokenMade, ada, "{}"), entry(AuditAction::TokenRevoked, ada, r#"{"a":1}"#)]).await;
    let mut tx = begin(&db).await;
    audit::append(&mut tx, entry(AuditAction::SignedIn, ben, "{}"));
    drop(tx);
    add(&db, vec![entry(AuditAction::SignedIn, ben, "{}")]).await;

    let rows = audit::after(&mut read(&db).await, 0, 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 2, 3], "what is undone leaves no gap");
    assert!(rows.windows(2).all(|pair| pair[1].previous == pair[0].hash));
    assert!(rows.iter().all(|row| row.hash == row.compute_hash()));
    let head = audit::head(&mut read(&db).await).await.unwrap();
    assert_eq!((head.seq, head.hash), (3, rows[2].hash.clone()));
    assert!(audit::has_hash(&mut read(&db).await, &rows[0].hash).await.unwrap());
    assert!(!audit::has_hash(&mut read(&db).await, "0123").await.unwrap());

    let list = async |filter: Filter| -> Vec<i64> {
        let rows = audit::list(&mut read(&db).await, &filter, i64::MAX, 10).await.unwrap();
        rows.into_iter().map(|row| row.seq).collect()
    };
    assert_eq!(list(Filter::default()).await, [3, 2, 1]);
    assert_eq!(list(Filter { actions: Some(",token_revoked,signed_in,".to_owned()), ..Filter::default() }).await, [3, 2]);
    assert_eq!(list(Filter { actor: Some(ada), ..Filter::default() }).await, [2, 1]);
    assert_eq!(list(Filter { search: Some("100%".to_owned()), ..Filter::default() }).await, [3, 2, 1]);
    assert_eq!(list(Filter { search: Some("10%".to_owned()), ..Filter::default() }).await, Vec::<i64>::new());
    assert_eq!(list(Filter { search: Some("größe 1".to_owned()), ..Filter::default() }).await, [3, 2, 1], "whatever their case");
    assert_eq!(list(Filter { search: Some("grüße 1".to_owned()), ..Filter::default() }).await, Vec::<i64>::new());
    assert_eq!(list(Filter { search: Some("gr_".to_owned()), ..Filter::default() }).await, Vec::<i64>::new(), "it is meant literally");
    assert_eq!(list(Filter { from: Some(at(2)), ..Filter::default() }).await, Vec::<i64>::new());
    assert_eq!(list(Filter { to: Some(at(2)), project: Some(id()), ..Filter::default() }).await, Vec::<i64>::new());
    let page = audit::list(&mut read(&db).await, &Filter::default(), 3, 1).await.unwrap();
    assert_eq!(page.iter().map(|row| row.seq).collect::<Vec<_>>(), [2]);
}

pub async fn many_writers_make_one_chain(db: Db) {
    let writers = (0..8).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                add(&db, vec![entry(AuditAction::ToolCalled, id(), "{}"), entry(AuditAction::RunStarted, id(), "{}")]).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let rows = audit::after(&mut read(&db).await, 0, 1000).await.unwrap();
    assert_eq!(rows.len(), 160);
    assert_eq!(rows.iter().map(|row| row.seq).collect::<BTreeSet<_>>(), (1..=160).collect());
    assert!(rows.windows(2).all(|pair| pair[1].previous == pair[0].hash && pair[1].compute_hash() == pair[1].hash));
}
