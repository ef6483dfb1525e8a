use store::{Db, runs, terminals};
use wire::{
    runs::{Exit, ExitKind, RunState, RunUsage},
    terminals::TerminalState,
};

use crate::world::{at, id, project, read, run, user, write};

pub async fn terminals_are_listed_until_a_while_after_their_end(db: Db) {
    let ada = user(&db, "ada").await;
    let (project, other) = (project(&db, ada).await, project(&db, ada).await);
    let mut opened = Vec::new();
    for (at_s, title) in [(1, "one"), (2, "two"), (3, "three")] {
        let new = run(&db, project, ada, None, None, at(at_s)).await;
        write!(&db, tx => terminals::insert(&mut tx, new, title, 100, 30));
        opened.push(new);
    }
    let elsewhere = run(&db, other, ada, None, None, at(4)).await;
    write!(&db, tx => terminals::insert(&mut tx, elsewhere, "one", 80, 24));
    run(&db, project, ada, None, None, at(5)).await;
    assert_eq!(terminals::open_of_user(&mut read(&db).await, ada).await.unwrap(), 4);

    assert!(write!(&db, tx => runs::mark_started(&mut tx, opened[0], "S3", at(6))));
    let exit = Exit { kind: ExitKind::Lost, code: None, signal: None, sentence: "Lost.".to_owned(), left_alive: 0 };
    for (which, end) in [(1, 10), (2, 20)] {
        let usage = RunUsage::default();
        assert!(write!(&db, tx => runs::mark_finished(&mut tx, opened[which], RunState::Lost, &exit, &usage, &[], at(end))));
    }
    assert_eq!(terminals::open_of_user(&mut read(&db).await, ada).await.unwrap(), 2);
    write!(&db, tx => terminals::set_title(&mut tx, opened[0], "first"));

    let listed = terminals::list(&mut read(&db).await, project, at(15)).await.unwrap();
    let shown: Vec<_> = listed.iter().map(|row| (row.id, row.title.as_str(), row.state())).collect();
    assert_eq!(shown, [(opened[0], "first", TerminalState::Open), (opened[2], "three", TerminalState::Closed)]);
    assert_eq!((listed[0].size(), listed[0].user_id), ((100, 30), ada));
    let closed = terminals::get(&mut read(&db).await, opened[2]).await.unwrap().unwrap().into_terminal();
    assert_eq!((closed.exit, closed.finished_at, closed.opened_by.name.as_str()), (Some(exit), Some(at(20)), "ada"));
    assert!(terminals::get(&mut read(&db).await, id()).await.unwrap().is_none());
}
