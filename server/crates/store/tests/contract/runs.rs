use store::{Db, archive, chat, codegen, events, network, runs, test_reports};
use wire::{
    event::{EventKind, Stream},
    files::FileAction,
    network::HostRule,
    previews::RunPort,
    runs::{Exit, ExitKind, RunChange, RunNetwork, RunState, RunUsage},
    test_reports::{CaseState, Framework, TestCase, TestReport},
};

use crate::world::{at, id, project, read, run, turn, user, write};

pub async fn a_run_starts_and_ends_once(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let new = run(&db, project, ada, None, None, at(1)).await;
    let queued = runs::get(&mut read(&db).await, new).await.unwrap().unwrap();
    assert_eq!(queued.env.0.get("LANG").map(String::as_str), Some("C.UTF-8"));
    assert!(runs::get(&mut read(&db).await, id()).await.unwrap().is_none());

    let ports = [RunPort { port: 3000, public_port: Some(7001) }];
    assert!(!write!(&db, tx => runs::set_ports(&mut tx, new, &ports)), "nothing listens before the start");

    assert!(write!(&db, tx => runs::mark_started(&mut tx, new, "S3", at(2))));
    assert!(write!(&db, tx => runs::set_ports(&mut tx, new, &ports)));
    let running = runs::get(&mut read(&db).await, new).await.unwrap().unwrap().into_run();
    assert_eq!(
        (running.network, running.only.as_slice(), running.env_names.as_slice()),
        (RunNetwork::AllowList, &["a::b".to_owned()][..], &["LANG".to_owned()][..])
    );
    assert_eq!((running.ports.as_slice(), running.tests), (&ports[..], None));
    assert_eq!(runs::state(&mut read(&db).await, new).await.unwrap(), Some(RunState::Running));
    assert!(!write!(&db, tx => runs::mark_started(&mut tx, new, "S1", at(3))));
    let exit = Exit { kind: ExitKind::Exited, code: Some(2), signal: None, sentence: "It ended with 2.".to_owned(), left_alive: 0 };
    let usage = RunUsage { wall_ms: 10, cpu_ms: 5, peak_memory_bytes: Some(1 << 40), output_bytes: 3 };
    let changes = [RunChange { path: "out".to_owned(), action: FileAction::Added }];
    assert!(write!(&db, tx => runs::mark_finished(&mut tx, new, RunState::Failed, &exit, &usage, &changes, at(4))));
    assert!(!write!(&db, tx => runs::mark_finished(&mut tx, new, RunState::Lost, &exit, &usage, &[], at(5))));

    let shown = runs::get(&mut read(&db).await, new).await.unwrap().unwrap().into_run();
    assert_eq!(
        (shown.state, shown.tier.as_deref(), shown.started_at, shown.finished_at),
        (RunState::Failed, Some("S3"), Some(at(2)), Some(at(4)))
    );
    assert_eq!((shown.exit, shown.usage, shown.changes.as_slice()), (Some(exit), Some(usage), &changes[..]));
    assert_eq!((shown.command.as_str(), shown.cwd.as_str(), shown.limits.pids, shown.started_by.name.as_str()), ("make", "src", 64, "ada"));
    assert_eq!(shown.ports, [], "nothing listens after the end");
}

pub async fn a_finished_run_is_taken_away_with_its_output(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let (kept, gone) = (run(&db, project, ada, None, None, at(1)).await, run(&db, project, ada, None, None, at(2)).await);
    for id in [kept, gone] {
        write!(&db, tx => events::append(&mut tx, Stream::Run(id), at(1), vec![EventKind::RunQueued {}]));
    }
    assert!(!write!(&db, tx => runs::delete(&mut tx, gone)), "it has not ended");
    let exit = Exit { kind: ExitKind::Exited, code: Some(0), signal: None, sentence: String::new(), left_alive: 0 };
    write!(&db, tx => runs::mark_finished(&mut tx, gone, RunState::Succeeded, &exit, &RunUsage::default(), &[], at(3)));
    assert!(write!(&db, tx => runs::delete(&mut tx, gone)));
    let mut c = read(&db).await;
    assert!(runs::get(&mut c, gone).await.unwrap().is_none() && runs::get(&mut c, kept).await.unwrap().is_some());
    assert_eq!(events::last_seq(&mut c, Stream::Run(gone)).await.unwrap(), 0);
    assert_eq!(events::after(&mut c, Stream::Run(kept), 0, 9).await.unwrap().len(), 1);
    assert!(events::after(&mut c, Stream::Run(gone), 0, 9).await.unwrap().is_empty());
}

pub async fn runs_are_listed_newest_first(db: Db) {
    let ada = user(&db, "ada").await;
    let (project, other) = (project(&db, ada).await, project(&db, ada).await);
    let (turn, job) = (turn(&db, project, ada).await, id());
    let first = run(&db, project, ada, Some(turn), None, at(1)).await;
    let second = run(&db, project, ada, Some(turn), Some(job), at(2)).await;
    let third = run(&db, project, ada, None, None, at(3)).await;
    run(&db, other, ada, None, None, at(4)).await;

    let mut c = read(&db).await;
    let ids = |rows: Vec<runs::RunRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(runs::list(&mut c, project, None, 10).await.unwrap()), [third, second, first]);
    let page = runs::list(&mut c, project, None, 2).await.unwrap();
    let end = runs::Position { created_at: page[1].created_at, id: page[1].id };
    assert_eq!(ids(page), [third, second]);
    assert_eq!(ids(runs::list(&mut c, project, Some(end), 2).await.unwrap()), [first]);
    assert_eq!(runs::by_job(&mut c, job).await.unwrap().unwrap().id, second);
    assert!(runs::by_job(&mut c, id()).await.unwrap().is_none());
    drop(c);

    let exit = Exit { kind: ExitKind::Lost, code: None, signal: None, sentence: "Lost.".to_owned(), left_alive: 0 };
    write!(&db, tx => runs::mark_finished(&mut tx, first, RunState::Lost, &exit, &RunUsage::default(), &[], at(5)));
    assert_eq!(ids(runs::unfinished_of_turn(&mut read(&db).await, turn).await.unwrap()), [second]);
}

pub async fn a_run_stands_for_its_turn(db: Db) {
    let ada = user(&db, "ada").await;
    let (here, there) = (project(&db, ada).await, project(&db, ada).await);
    let (asked, silent, elsewhere) = (turn(&db, here, ada).await, turn(&db, here, ada).await, turn(&db, there, ada).await);
    let (first, second) = (run(&db, here, ada, None, None, at(1)).await, run(&db, here, ada, None, None, at(5)).await);
    let third = run(&db, there, ada, None, None, at(1)).await;
    for (run, turn) in [(first, asked), (second, silent), (third, elsewhere)] {
        write!(&db, tx => codegen::insert(&mut tx, run, turn));
    }
    let set = id();
    write!(&db, tx => chat::set_change_set(&mut tx, asked, set));

    let mut c = read(&db).await;
    assert_eq!((codegen::run_of(&mut c, asked).await.unwrap(), codegen::run_of(&mut c, id()).await.unwrap()), (Some(first), None));
    assert_eq!(codegen::turn_of(&mut c, first).await.unwrap(), Some((asked, Some(set))));
    assert_eq!(codegen::turn_of(&mut c, second).await.unwrap(), Some((silent, None)));
    assert_eq!(codegen::turn_of(&mut c, id()).await.unwrap(), None);
    assert_eq!(codegen::turns_between(&mut c, here, at(1), at(4)).await.unwrap(), [(first, asked, Some(set))]);
    assert_eq!(codegen::turns_between(&mut c, here, at(2), at(5)).await.unwrap(), [(second, silent, None)]);
    assert_eq!(codegen::turns_between(&mut c, there, at(0), at(9)).await.unwrap(), [(third, elsewhere, None)]);
    drop(c);

    let exit = Exit { kind: ExitKind::Exited, code: Some(0), signal: None, sentence: String::new(), left_alive: 0 };
    write!(&db, tx => runs::mark_finished(&mut tx, second, RunState::Succeeded, &exit, &RunUsage::default(), &[], at(6)));
    let told = archive::codegen(&mut read(&db).await, here).await.unwrap();
    assert_eq!(told, [archive::CodegenLine { run_id: second, turn_id: silent }], "an archive holds what has ended");
}

pub async fn a_report_is_kept_with_its_run_and_replaced(db: Db) {
    let ada = user(&db, "ada").await;
    let project = project(&db, ada).await;
    let (tested, other) = (run(&db, project, ada, None, None, at(1)).await, run(&db, project, ada, None, None, at(2)).await);
    let case = TestCase {
        id: "a::b".to_owned(),
        path: vec!["a".to_owned()],
        name: "b".to_owned(),
        state: CaseState::Failed,
        duration_ms: Some(5),
        message: "left is not right".to_owned(),
        file: Some("a.rs".to_owned()),
        line: Some(3),
    };
    let first = TestReport { framework: Framework::Cargo, passed: 1, failed: 2, skipped: 3, cases: vec![case], truncated: true };
    write!(&db, tx => test_reports::put(&mut tx, tested, &first));
    assert_eq!(runs::report(&mut read(&db).await, tested).await.unwrap().as_ref(), Some(&first));
    assert_eq!(runs::report(&mut read(&db).await, other).await.unwrap(), None);
    let listed = runs::get(&mut read(&db).await, tested).await.unwrap().unwrap().into_run();
    assert_eq!(listed.tests, Some(TestReport { cases: Vec::new(), ..first }), "without the cases");

    let second = TestReport { framework: Framework::Tap, passed: 4, failed: 0, skipped: 0, cases: Vec::new(), truncated: false };
    write!(&db, tx => test_reports::put(&mut tx, tested, &second));
    assert_eq!(runs::report(&mut read(&db).await, tested).await.unwrap().as_ref(), Some(&second));
    assert_eq!(runs::get(&mut read(&db).await, tested).await.unwrap().unwrap().into_run().tests, Some(second));
}

pub async fn how_a_project_is_tested_is_chosen_beside_what_it_may_reach(db: Db) {
    let ada = user(&db, "ada").await;
    let (one, other) = (project(&db, ada).await, project(&db, ada).await);
    let settings = async |project| test_reports::settings(&mut read(&db).await, project).await.unwrap();
    assert_eq!(settings(one).await, (None, None));
    let hosts = [HostRule("pypi.org".to_owned())];
    write!(&db, tx => network::set_rules(&mut tx, one, &hosts));
    write!(&db, tx => test_reports::set_settings(&mut tx, one, Some("make test"), Some("out/junit.xml")));
    assert_eq!(settings(one).await, (Some("make test".to_owned()), Some("out/junit.xml".to_owned())));
    write!(&db, tx => test_reports::set_settings(&mut tx, one, Some("make check"), None));
    write!(&db, tx => network::set_rules(&mut tx, one, &hosts));
    assert_eq!((settings(one).await, settings(other).await), ((Some("make check".to_owned()), None), (None, None)));
    assert_eq!(network::rules(&mut read(&db).await, one).await.unwrap(), hosts);
}
