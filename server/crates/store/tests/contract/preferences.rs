use store::{Db, preferences};

use crate::world::{at, read, user, write};

pub async fn preferences_are_replaced_by_who_saw_them(db: Db) {
    let (ada, ben) = (user(&db, "ada").await, user(&db, "ben").await);
    assert_eq!(preferences::get(&mut read(&db).await, ada).await.unwrap(), None);
    assert!(write!(&db, tx => preferences::put(&mut tx, ada, 0, "{}", at(1))));
    assert!(!write!(&db, tx => preferences::put(&mut tx, ada, 0, "[]", at(2))), "there is a first one already");
    assert!(!write!(&db, tx => preferences::put(&mut tx, ada, 7, "[]", at(2))), "nobody saw that revision");
    assert!(!write!(&db, tx => preferences::put(&mut tx, ben, 1, "[]", at(2))), "there is nothing to replace");
    assert!(write!(&db, tx => preferences::put(&mut tx, ada, 1, r#"{"a":1}"#, at(3))));
    assert_eq!(preferences::get(&mut read(&db).await, ada).await.unwrap(), Some((2, r#"{"a":1}"#.to_owned())));
    assert_eq!(preferences::get(&mut read(&db).await, ben).await.unwrap(), None);
}
