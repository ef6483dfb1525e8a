use store::{Db, network};
use wire::{
    ProjectId, RunId,
    network::{EgressEntry, HostRule},
};

use crate::world::{at, id, project, read, user, write};

pub async fn rules_belong_to_one_project(db: Db) {
    let ada = user(&db, "ada").await;
    let (one, other) = (project(&db, ada).await, project(&db, ada).await);
    assert!(network::rules(&mut read(&db).await, one).await.unwrap().is_empty());
    let first = [HostRule("pypi.org".to_owned()), HostRule("*.example.org:8443".to_owned())];
    write!(&db, tx => network::set_rules(&mut tx, one, &first));
    assert_eq!(network::rules(&mut read(&db).await, one).await.unwrap(), first);
    assert!(network::rules(&mut read(&db).await, other).await.unwrap().is_empty());
    write!(&db, tx => network::set_rules(&mut tx, one, &first[..1]));
    assert_eq!(network::rules(&mut read(&db).await, one).await.unwrap(), first[..1]);
}

pub async fn the_egress_log_is_newest_first_and_pruned_by_project(db: Db) {
    let ada = user(&db, "ada").await;
    let (one, other) = (project(&db, ada).await, project(&db, ada).await);
    let run: RunId = id();
    let entry = |second: i64, allowed: bool| EgressEntry {
        run_id: run,
        host: format!("h{second}.example.org"),
        port: 65_535,
        allowed,
        reason: if allowed { String::new() } else { "Not on the list.".to_owned() },
        at: at(second),
    };
    let insert = async |project: ProjectId, second: i64| {
        write!(&db, tx => network::insert_log(&mut tx, id(), project, &entry(second, second % 2 == 0)));
    };
    for second in 1..=5 {
        insert(one, second).await;
    }
    insert(other, 1).await;
    let log = async |project: ProjectId, limit: i64| network::log(&mut read(&db).await, project, limit).await.unwrap();
    assert_eq!(log(one, 2).await, [entry(5, false), entry(4, true)]);

    assert_eq!(network::count_log(&mut read(&db).await, one, run).await.unwrap(), 5);
    assert_eq!(network::count_log(&mut read(&db).await, one, id()).await.unwrap(), 0);

    // Fewer than there may be: nothing goes.
    write!(&db, tx => network::prune_log(&mut tx, one, 6));
    assert_eq!(log(one, 10).await.len(), 5);
    write!(&db, tx => network::prune_log(&mut tx, one, 3));
    let left: Vec<_> = log(one, 10).await.into_iter().map(|entry| entry.at).collect();
    assert_eq!(left, [at(5), at(4), at(3)]);
    assert_eq!(log(other, 10).await.len(), 1);
}
