use store::{
    Db, Doc,
    uploads::{self, OpenUploads, PieceRow, UploadRow},
};
use wire::files::Base;

use crate::world::{at, begin, commit, id, project, read, user, write};

fn piece(start: i64, size: i64) -> PieceRow {
    PieceRow { start, size, checksum: format!("{start}+{size}") }
}

pub async fn pieces_follow_each_other(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let row = UploadRow {
        id: id(),
        project_id: project,
        user_id: ada,
        path: "a".to_owned(),
        size: 10,
        received: 0,
        base: Doc(Base::Version(3)),
        created_at: at(1),
        expires_at: at(10),
    };
    write!(&db, tx => uploads::insert(&mut tx, &row));
    for (piece, is_taken) in
        [(piece(1, 3), false), (piece(0, 4), true), (piece(0, 4), false), (piece(4, 7), false), (piece(4, 6), true), (piece(10, 1), false)]
    {
        let taken = write!(&db, tx => uploads::append(&mut tx, row.id, &piece, at(20)));
        assert_eq!(taken, is_taken, "{piece:?}");
    }
    let mut c = read(&db).await;
    let found = uploads::get(&mut c, row.id, at(19)).await.unwrap().unwrap();
    assert_eq!((found.received, found.base.0, found.expires_at, found.path.as_str()), (10, Base::Version(3), at(20), "a"));
    assert_eq!(uploads::pieces(&mut c, row.id).await.unwrap(), [piece(0, 4), piece(4, 6)]);
    assert_eq!(uploads::open_of(&mut c, ada, at(19)).await.unwrap(), OpenUploads { uploads: 1, bytes: 10 });
    assert_eq!(uploads::open_of(&mut c, ada, at(20)).await.unwrap(), OpenUploads { uploads: 0, bytes: 0 });
    assert!(uploads::get(&mut c, row.id, at(20)).await.unwrap().is_none(), "expired");
    drop(c);
    assert_eq!(write!(&db, tx => uploads::remove_expired(&mut tx, at(19))), 0);
    assert_eq!(write!(&db, tx => uploads::remove_expired(&mut tx, at(20))), 1);
    assert!(!write!(&db, tx => uploads::remove(&mut tx, row.id)));
    assert!(uploads::pieces(&mut read(&db).await, row.id).await.unwrap().is_empty());
    let mut tx = begin(&db).await;
    uploads::insert(&mut tx, &row).await.unwrap();
    assert!(uploads::remove(&mut tx, row.id).await.unwrap());
    let _committed = commit(tx).await;
}
