use store::{Db, settings};

use crate::world::{at, id, read, write};

pub async fn the_last_choice_under_a_name_counts(db: Db) {
    assert_eq!(settings::get(&mut read(&db).await, "runs").await.unwrap(), None);
    write!(&db, tx => settings::put(&mut tx, "runs", "{}", at(1), Some(id())));
    write!(&db, tx => settings::put(&mut tx, "other", "[]", at(1), None));
    write!(&db, tx => settings::put(&mut tx, "runs", r#"{"jobs_per_user":3}"#, at(2), None));
    assert_eq!(settings::get(&mut read(&db).await, "runs").await.unwrap().as_deref(), Some(r#"{"jobs_per_user":3}"#));

    let mut tx = db.begin().await.unwrap();
    assert!(!settings::replace(&mut tx, "runs", Some("{}"), "late", at(3), None).await.unwrap(), "based on what is gone");
    assert!(!settings::replace(&mut tx, "runs", None, "late", at(3), None).await.unwrap(), "based on nothing");
    assert!(settings::replace(&mut tx, "runs", Some(r#"{"jobs_per_user":3}"#), "{}", at(3), None).await.unwrap());
    assert!(settings::replace(&mut tx, "new", None, "{}", at(3), None).await.unwrap());
    assert_eq!(settings::get(&mut tx, "runs").await.unwrap().as_deref(), Some("{}"));
    drop(tx);
}
