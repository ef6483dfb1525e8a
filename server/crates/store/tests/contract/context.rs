use store::{
    Db, blobs,
    context::{self, ImageRow},
};
use wire::context::{ContextChoice, Mention};

use crate::world::{at, conversation, id, project, read, turn, user, write};

pub async fn a_choice_is_kept_with_its_turn(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let turn = turn(&db, project, ada).await;
    let choice =
        ContextChoice { mentions: vec![Mention::Folder { path: "src".into() }], without: vec!["map".into(), "m3".into()], compact: true };
    write!(&db, tx => context::insert_choice(&mut tx, turn, &choice));
    let mut c = read(&db).await;
    assert_eq!(context::choice(&mut c, turn).await.unwrap(), Some(choice));
    assert_eq!(context::choice(&mut c, id()).await.unwrap(), None);
}

pub async fn pictures_that_nobody_sent_are_forgotten(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let image = |checksum: &str| ImageRow { checksum: checksum.to_owned(), media_type: "image/png".to_owned(), size_bytes: 7 };
    for (checksum, when) in [("old", 1), ("sent", 1), ("new", 50)] {
        write!(&db, tx => context::insert_image(&mut tx, project, ada, &image(checksum), at(when)));
    }
    write!(&db, tx => context::use_image(&mut tx, project, "sent", at(2)));
    let named = blobs::named_by(&mut read(&db).await, project, "", 10).await.unwrap();
    assert_eq!(named, ["new", "old", "sent"], "the sweep has to spare pictures");
    assert_eq!(context::image_bytes(&mut read(&db).await, project).await.unwrap(), 21);
    assert_eq!(write!(&db, tx => context::forget_unused_images(&mut tx, at(10))), 1);
    let mut c = read(&db).await;
    assert_eq!(context::image(&mut c, project, "old").await.unwrap(), None);
    assert_eq!(context::image(&mut c, project, "sent").await.unwrap(), Some(image("sent")));
    assert_eq!(context::image(&mut c, id(), "sent").await.unwrap(), None, "a picture belongs to its project");
    drop(c);
    // The same bytes again count as new.
    write!(&db, tx => context::insert_image(&mut tx, project, ada, &image("new"), at(90)));
    assert_eq!(write!(&db, tx => context::forget_unused_images(&mut tx, at(80))), 0);
}

pub async fn a_summary_is_taken_back_once(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let conversation = conversation(&db, project, ada).await;
    assert!(write!(&db, tx => context::undo_compaction(&mut tx, conversation, 4, ada, at(5))));
    assert!(!write!(&db, tx => context::undo_compaction(&mut tx, conversation, 4, ada, at(6))));
    let undone = context::undone_compactions(&mut read(&db).await, conversation).await.unwrap();
    assert_eq!(undone.into_iter().collect::<Vec<_>>(), [(4, at(5))]);
    assert!(write!(&db, tx => context::redo_compaction(&mut tx, conversation, 4)));
    assert!(!write!(&db, tx => context::redo_compaction(&mut tx, conversation, 4)));
    assert!(context::undone_compactions(&mut read(&db).await, conversation).await.unwrap().is_empty());
}

pub async fn older_counts_weigh_less(db: Db) {
    assert_eq!(context::ratio(&mut read(&db).await, "m").await.unwrap(), None);
    write!(&db, tx => context::learn_ratio(&mut tx, "m", 1000, 800, at(1)));
    write!(&db, tx => context::learn_ratio(&mut tx, "m", 100, 120, at(2)));
    write!(&db, tx => context::learn_ratio(&mut tx, "n", 1, 1, at(2)));
    assert_eq!(context::ratio(&mut read(&db).await, "m").await.unwrap(), Some((600, 520)));
}
