//! Limits hold under concurrency, and retention removes only what nothing needs.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use domain::{Clock, Ctx, Error, SystemClock, files, members, quotas, settings};
use support::Home;
use wire::{
    ErrorCode, Micros, ProjectId,
    checkpoints::{CreateCheckpoint, RestoreCheckpoint},
    files::{Base, ChangeFiles, EntryKind, FileStep, FilesChanged, Origin, SaveOutcome, SaveText},
    members::{Invite, TransferProject},
    projects::{CreateProject, ProjectRole},
    quotas::{QuotaOverride, StorageSettings},
};

on_both!(
    eight_writers_never_get_above_the_last_bytes,
    eight_projects_of_one_owner_never_get_above_together,
    eight_who_name_checkpoints_never_get_above_the_last_one,
    eight_projects_of_one_owner_never_keep_more_versions_than_twice_the_limit,
    eight_projects_of_one_owner_never_keep_more_checkpoints_than_the_limit,
    eight_who_make_projects_never_get_above_the_last_one,
    the_past_has_an_end_too,
    versions_of_a_file_have_an_end_at_once,
    empty_directories_have_an_end,
    a_person_and_a_project_have_limits_of_their_own,
    limits_are_told_before_and_refuse_only_growth,
    a_project_is_handed_over_only_where_it_fits,
    retention_keeps_what_is_needed,
    a_thinned_folder_comes_back_as_far_as_it_is_kept,
);

const MIB: i64 = 1 << 20;

async fn save(ctx: &Ctx, project: ProjectId, path: &str, base: Base, text: &str) -> Result<SaveOutcome, Error> {
    files::save_text(ctx, project, SaveText { path: path.to_owned(), base, text: text.to_owned(), format: Default::default() }).await
}

async fn limit(admin: &Ctx, settings: StorageSettings) {
    settings::update_storage(admin, settings).await.unwrap();
}

/// Eight write until each is refused; every round looks at the totals.
async fn fill(writers: Vec<(Ctx, ProjectId)>, piece: usize) -> usize {
    let tasks = writers.into_iter().enumerate().map(|(writer, (ctx, project))| {
        tokio::spawn(async move {
            let mut kept = 0;
            for n in 0..200 {
                match save(&ctx, project, &format!("w{writer}/{n}.txt"), Base::New, &"x".repeat(piece)).await {
                    Ok(SaveOutcome::Saved { .. }) => kept += 1,
                    Ok(SaveOutcome::Conflict { .. }) => panic!("nobody else writes this path"),
                    Err(error) => {
                        assert_eq!(error.into_problem(&ctx).code, ErrorCode::TooLarge);
                        return kept;
                    }
                }
            }
            panic!("never refused");
        })
    });
    let kept: Vec<usize> = futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    kept.into_iter().sum()
}

async fn eight_writers_never_get_above_the_last_bytes(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let piece = 47_000;
    limit(&ada, StorageSettings { project_bytes: MIB, ..StorageSettings::default() }).await;
    let kept = fill(vec![(ada.clone(), project); 8], piece).await;
    let quota = quotas::of_project(&ada, project).await.unwrap();
    assert_eq!(kept, MIB as usize / piece, "all that fits, and no more");
    assert_eq!((quota.bytes.used, quota.files.used), ((kept * piece) as i64, kept as i64));
    assert!(quota.bytes.is_near() && quota.bytes.used <= quota.bytes.limit);
    // The last bytes are still for whoever fits into them.
    let rest = (quota.bytes.limit - quota.bytes.used) as usize;
    save(&ada, project, "rest.txt", Base::New, &"y".repeat(rest)).await.unwrap();
    assert!(save(&ada, project, "more.txt", Base::New, "z").await.is_err());
    assert!(quotas::of_project(&ada, project).await.unwrap().bytes.is_full());
}

async fn eight_projects_of_one_owner_never_get_above_together(home: Home) {
    let (admin, ben) = (home.person("admin").await, home.person("ben").await);
    let mut writers = Vec::new();
    for _ in 0..8 {
        writers.push((ben.clone(), home.project(&ben).await.id));
    }
    let id = ben.user_id().unwrap();
    quotas::set_of_user(&admin, id, QuotaOverride { bytes: Some(MIB), ..QuotaOverride::default() }).await.unwrap();
    let piece = 47_000;
    let kept = fill(writers.clone(), piece).await;
    let mine = quotas::mine(&ben).await.unwrap();
    assert_eq!((kept, mine.bytes.used, mine.projects), (MIB as usize / piece, (kept * piece) as i64, 8));
    assert!(mine.bytes.used <= mine.bytes.limit);
    assert_eq!(quotas::of_user(&admin, id).await.unwrap(), mine);
    assert!(quotas::of_user(&ben, id).await.is_err() && quotas::set_of_user(&ben, id, QuotaOverride::default()).await.is_err());
    // Without a limit of their own there is room again; what is deleted takes its room until it is gone for good.
    quotas::set_of_user(&admin, id, QuotaOverride::default()).await.unwrap();
    save(&ben, writers[0].1, "again.txt", Base::New, &"x".repeat(piece)).await.unwrap();
    let before = quotas::mine(&ben).await.unwrap();
    domain::projects::delete(&ben, writers[0].1).await.unwrap();
    let after = quotas::mine(&ben).await.unwrap();
    assert_eq!((after.projects, after.bytes, after.files), (7, before.bytes, before.files));
}

async fn eight_who_name_checkpoints_never_get_above_the_last_one(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    limit(&ada, StorageSettings { checkpoints: 10, ..StorageSettings::default() }).await;
    let tasks = (0..8).map(|person| {
        let ada = ada.clone();
        tokio::spawn(async move {
            let mut kept = 0;
            loop {
                match domain::checkpoints::create(&ada, project, CreateCheckpoint { name: format!("{person}/{kept}") }).await {
                    Ok(_) => kept += 1,
                    Err(error) => {
                        assert_eq!(error.into_problem(&ada).code, ErrorCode::TooLarge);
                        return kept;
                    }
                }
            }
        })
    });
    let kept: Vec<i64> = futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    let quota = quotas::of_project(&ada, project).await.unwrap().checkpoints;
    assert_eq!((kept.into_iter().sum::<i64>(), quota.used, quota.limit), (10, 10, 10));
}

/// Each makes room in its own project, or is refused where that has none to give; the cleanup takes from those that have most.
async fn eight_projects_of_one_owner_never_keep_more_versions_than_twice_the_limit(mut home: Home) {
    let later = Arc::new(Later(AtomicI64::new(0)));
    Arc::get_mut(&mut home.services).expect("nobody has it yet").clock = later.clone();
    let (admin, ben) = (home.person("admin").await, home.person("ben").await);
    limit(&admin, StorageSettings { user_versions: 10, ..StorageSettings::default() }).await;
    let mut projects = Vec::new();
    for _ in 0..8 {
        projects.push(home.project(&ben).await.id);
    }
    let writers = projects.iter().copied().map(|project| {
        let ben = ben.clone();
        tokio::spawn(async move {
            let (mut base, mut kept) = (Base::New, 0);
            for n in 0..12 {
                match save(&ben, project, "a.txt", base, &format!("text {n}")).await {
                    Ok(SaveOutcome::Saved { entry }) => {
                        kept += 1;
                        base = Base::Version(entry.version);
                    }
                    Ok(SaveOutcome::Conflict { .. }) => panic!("nobody else writes it"),
                    Err(error) => {
                        let problem = error.into_problem(&ben);
                        let is_told = problem.detail.contains("All projects of ben together keep at most 20 earlier versions");
                        assert!(problem.code == ErrorCode::TooLarge && is_told, "{}", problem.detail);
                    }
                }
                let used = quotas::mine(&ben).await.unwrap().versions;
                assert!(used.limit == 10 && used.used <= 20, "{used:?}");
            }
            kept
        })
    });
    let kept: Vec<i64> = futures::future::join_all(writers).await.into_iter().map(Result::unwrap).collect();
    assert!(kept.iter().all(|kept| *kept > 0) && kept.iter().sum::<i64>() >= 28, "what makes room goes on: {kept:?}");
    assert_eq!(quotas::mine(&ben).await.unwrap().versions.used, 20);
    let mut counted = 0;
    for project in &projects {
        counted += files::history(&ben, *project, "a.txt", None).await.unwrap().items.len() as i64 - 1;
    }
    assert_eq!(counted, 20, "what is booked is what there is");
    // What is deleted is never refused, and stays in the trash.
    files::delete(&ben, projects[0], "a.txt", support::AS_IT_IS).await.unwrap();
    assert_eq!(files::trash(&ben, projects[0]).await.unwrap().len(), 1);
    later.0.store(7200, Ordering::SeqCst);
    quotas::thin(&Ctx::system(&home.services)).await.unwrap();
    let used = quotas::mine(&ben).await.unwrap().versions;
    assert!(used.used <= 10 && used.used > 0, "{used:?}");
    for project in &projects[1..] {
        let version = files::entry(&ben, *project, "a.txt").await.unwrap().version;
        save(&ben, *project, "a.txt", Base::Version(version), "there is room again").await.unwrap();
    }
    // Somebody's own limit is in place of everybody's.
    let own = QuotaOverride { all_versions: Some(5000), ..QuotaOverride::default() };
    quotas::set_of_user(&admin, ben.user_id().unwrap(), own).await.unwrap();
    assert_eq!(quotas::of_project(&ben, projects[0]).await.unwrap().owner.versions.limit, 5000);
    assert!(matches!(quotas::set_of_project(&admin, projects[0], own).await, Err(Error::Invalid(_))), "a project has no such limit");
}

async fn eight_projects_of_one_owner_never_keep_more_checkpoints_than_the_limit(home: Home) {
    let (admin, ben) = (home.person("admin").await, home.person("ben").await);
    limit(&admin, StorageSettings { user_checkpoints: 10, ..StorageSettings::default() }).await;
    let mut projects = Vec::new();
    for _ in 0..8 {
        projects.push(home.project(&ben).await.id);
    }
    let first = projects[0];
    save(&ben, first, "a.txt", Base::New, "first").await.unwrap();
    let point = domain::checkpoints::create(&ben, first, CreateCheckpoint { name: "First".into() }).await.unwrap();
    let tasks = projects.into_iter().map(|project| {
        let ben = ben.clone();
        tokio::spawn(async move {
            let mut kept = 0;
            loop {
                match domain::checkpoints::create(&ben, project, CreateCheckpoint { name: format!("{kept}") }).await {
                    Ok(_) => kept += 1,
                    Err(error) => {
                        let problem = error.into_problem(&ben);
                        let is_told = problem.detail.contains("at most 10 checkpoints");
                        assert!(problem.code == ErrorCode::TooLarge && is_told, "{}", problem.detail);
                        return kept;
                    }
                }
            }
        })
    });
    let kept: Vec<i64> = futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    let used = async || quotas::mine(&ben).await.unwrap().checkpoints;
    assert_eq!((kept.into_iter().sum::<i64>() + 1, used().await), (10, wire::quotas::Used { used: 10, limit: 10 }));
    // One without a name replaces the oldest of these; the only one of a project stays, so that what was restored can be taken back.
    for n in 0..3 {
        let version = files::entry(&ben, first, "a.txt").await.unwrap().version;
        save(&ben, first, "a.txt", Base::Version(version), &format!("text {n}")).await.unwrap();
        let request = RestoreCheckpoint { paths: Some(vec!["a.txt".into()]), expected_revision: None };
        domain::checkpoints::restore(&ben, first, point.id, request).await.unwrap();
        assert_eq!(used().await.used, 11);
    }
    let fork = wire::checkpoints::ForkProject { name: "Fork".into(), checkpoint_id: None };
    let refused = domain::checkpoints::fork(&ben, first, fork).await.err().unwrap().into_problem(&ben);
    assert_eq!(refused.code, ErrorCode::TooLarge, "a fork has one too");
    domain::checkpoints::delete(&ben, first, point.id).await.unwrap();
    let refused = domain::checkpoints::create(&ben, first, CreateCheckpoint { name: "More".into() }).await.err().unwrap();
    assert_eq!(refused.into_problem(&ben).code, ErrorCode::TooLarge, "there are ten still");
    let own = QuotaOverride { all_checkpoints: Some(11), ..QuotaOverride::default() };
    quotas::set_of_user(&admin, ben.user_id().unwrap(), own).await.unwrap();
    domain::checkpoints::create(&ben, first, CreateCheckpoint { name: "More".into() }).await.unwrap();
    assert!(used().await.is_full());
}

async fn eight_who_make_projects_never_get_above_the_last_one(home: Home) {
    let (admin, ben) = (home.person("admin").await, home.person("ben").await);
    let id = ben.user_id().unwrap();
    let of_admin = home.project(&admin).await.id;
    members::invite(&admin, of_admin, Invite { who: "ben".into(), role: ProjectRole::Editor }).await.unwrap();
    quotas::set_of_user(&admin, id, QuotaOverride { projects: Some(3), ..QuotaOverride::default() }).await.unwrap();
    let request = || CreateProject { name: "Test".into(), description: String::new(), storage_backend: None };
    let tasks = (0..8).map(|_| {
        let (ben, request) = (ben.clone(), request());
        tokio::spawn(async move {
            match domain::projects::create(&ben, request).await {
                Ok(project) => Some(project.id),
                Err(error) => {
                    let problem = error.into_problem(&ben);
                    assert!(problem.code == ErrorCode::TooLarge && problem.detail.contains("at most 3 projects"), "{}", problem.detail);
                    None
                }
            }
        })
    });
    let made: Vec<ProjectId> = futures::future::join_all(tasks).await.into_iter().filter_map(Result::unwrap).collect();
    let mine = quotas::mine(&ben).await.unwrap();
    assert_eq!((made.len(), mine.projects, mine.all_projects), (3, 3, wire::quotas::Used { used: 3, limit: 3 }));
    // Deleted ones count until they are gone for good, whichever door a project comes by.
    domain::projects::delete(&ben, made[0]).await.unwrap();
    assert!(domain::projects::create(&ben, request()).await.is_err());
    let fork = wire::checkpoints::ForkProject { name: "Fork".into(), checkpoint_id: None };
    assert!(domain::checkpoints::fork(&ben, made[1], fork).await.is_err());
    assert!(members::transfer(&admin, of_admin, TransferProject { to: id }).await.is_err());
    quotas::set_of_user(&admin, id, QuotaOverride { projects: Some(4), ..QuotaOverride::default() }).await.unwrap();
    members::transfer(&admin, of_admin, TransferProject { to: id }).await.unwrap();
    let mine = quotas::mine(&ben).await.unwrap();
    assert_eq!((mine.projects, mine.all_projects.used), (3, 4));
}

/// What can't be thinned yet is bounded too: saving one file again and again ends in a refusal, in one project or in several.
async fn the_past_has_an_end_too(home: Home) {
    let (admin, ben) = (home.person("admin").await, home.person("ben").await);
    let mut projects = Vec::new();
    for _ in 0..3 {
        projects.push(home.project(&ben).await.id);
    }
    limit(&admin, StorageSettings { project_history_bytes: MIB, ..StorageSettings::default() }).await;
    let text = |n: usize| format!("{:08}", n).repeat(25_000);
    // Answers how often it was saved until it was refused.
    let loop_in = async |project: ProjectId, from: usize| {
        let mut base = Base::New;
        for n in 0..60 {
            match save(&ben, project, "a.txt", base, &text(from + n)).await {
                Ok(SaveOutcome::Saved { entry }) => base = Base::Version(entry.version),
                Ok(SaveOutcome::Conflict { .. }) => panic!("nobody else writes it"),
                Err(error) => {
                    let problem = error.into_problem(&ben);
                    assert!(problem.code == ErrorCode::TooLarge && problem.detail.contains("Earlier versions"), "{}", problem.detail);
                    return (n, problem.detail);
                }
            }
        }
        panic!("never refused");
    };
    let (kept, detail) = loop_in(projects[0], 0).await;
    assert!(kept == 11 && detail.contains("of a project hold at most 2 MiB"), "{kept} {detail}");
    // What only takes away goes on, and what comes back is no new content.
    let now = files::entry(&ben, projects[0], "a.txt").await.unwrap().version;
    files::delete(&ben, projects[0], "a.txt", Some(Base::Version(now))).await.unwrap();
    let back = wire::files::RestorePath { path: "a.txt".into(), version: None, base: Some(Base::New) };
    files::restore(&ben, projects[0], back).await.unwrap();
    // The same content again and again holds its bytes once.
    let mut base = Base::New;
    for n in 0..30 {
        match save(&ben, projects[1], "b.txt", base, &text(900 + n % 2)).await.unwrap() {
            SaveOutcome::Saved { entry } => base = Base::Version(entry.version),
            SaveOutcome::Conflict { .. } => panic!("nobody else writes it"),
        }
    }
    // All projects together: another one does not get round it.
    let id = ben.user_id().unwrap();
    quotas::set_of_user(&admin, id, QuotaOverride { bytes: Some(MIB + MIB / 2), ..QuotaOverride::default() }).await.unwrap();
    let (kept, detail) = loop_in(projects[2], 2000).await;
    assert!(kept < 11 && detail.contains("all projects of ben together"), "{kept} {detail}");
}

/// Eight save one file again and again; what is kept of it never grows beyond twice its limit, and nobody is refused.
async fn versions_of_a_file_have_an_end_at_once(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    limit(&ada, StorageSettings { versions_per_file: 3, ..StorageSettings::default() }).await;
    save(&ada, project, "a.txt", Base::New, "first").await.unwrap();
    domain::checkpoints::create(&ada, project, CreateCheckpoint { name: "Needs it".into() }).await.unwrap();
    let writers = (0..8).map(|writer| {
        let ada = ada.clone();
        tokio::spawn(async move {
            let mut saved = 0;
            while saved < 5 {
                let version = files::entry(&ada, project, "a.txt").await.unwrap().version;
                match save(&ada, project, "a.txt", Base::Version(version), &format!("{writer} {saved}")).await.unwrap() {
                    SaveOutcome::Saved { .. } => saved += 1,
                    SaveOutcome::Conflict { .. } => tokio::task::yield_now().await,
                }
                let quota = quotas::of_project(&ada, project).await.unwrap().versions;
                assert!(quota.limit == 3 && quota.used <= 7, "twice the limit, and what the checkpoint needs: {quota:?}");
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    let kept: Vec<i64> = files::history(&ada, project, "a.txt", None).await.unwrap().items.into_iter().map(|item| item.version).collect();
    assert_eq!(kept, [41, 40, 39, 38, 37, 36, 1], "the newest, and what the checkpoint needs");
    assert_eq!(quotas::of_project(&ada, project).await.unwrap().versions, wire::quotas::Used { used: 7, limit: 3 });
}

/// They hold no bytes and are no files, so they are counted for themselves, whichever door they come by.
async fn empty_directories_have_an_end(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    limit(&ada, StorageSettings { project_files: 10, ..StorageSettings::default() }).await;
    for n in 0..10 {
        files::create_directory(&ada, project, &format!("d{n}")).await.unwrap();
    }
    let refused = files::create_directory(&ada, project, "more").await.err().unwrap().into_problem(&ada);
    assert!(refused.code == ErrorCode::TooLarge && refused.detail.contains("at most 10 directories"), "{}", refused.detail);
    let made = |path: &str| files::WorkChange {
        path: path.to_owned(),
        kind: EntryKind::Directory,
        checksum: Some(String::new()),
        size: 0,
        mode: 0o755,
    };
    let here = files::tree(&ada, project).await.unwrap().revision;
    assert!(files::commit_changes(&ada, project, here, Origin::Run.into(), vec![made("by/command")]).await.is_err());
    save(&ada, project, "file.txt", Base::New, "x").await.unwrap();
    files::delete(&ada, project, "d0", support::AS_IT_IS).await.unwrap();
    files::create_directory(&ada, project, "more").await.unwrap();
    // Also where a directory is copied as a whole.
    limit(&ada, StorageSettings { project_files: 300, ..StorageSettings::default() }).await;
    let here = files::tree(&ada, project).await.unwrap().revision;
    let many = (0..210).map(|n| made(&format!("many/{n}"))).collect();
    let here = files::commit_changes(&ada, project, here, Origin::Run.into(), many).await.unwrap().revision;
    let copy = FileStep::Copy { from: "many".into(), to: "again".into(), base: Base::Revision(here) };
    let refused = files::change(&ada, project, ChangeFiles { steps: vec![copy] }).await.err().unwrap().into_problem(&ada);
    assert!(refused.code == ErrorCode::TooLarge && refused.detail.contains("at most 300 directories"), "{}", refused.detail);
}

async fn a_person_and_a_project_have_limits_of_their_own(mut home: Home) {
    let later = Arc::new(Later(AtomicI64::new(0)));
    Arc::get_mut(&mut home.services).expect("nobody has it yet").clock = later.clone();
    let (admin, ben) = (home.person("admin").await, home.person("ben").await);
    let (one, other) = (home.project(&ben).await.id, home.project(&ben).await.id);
    let id = ben.user_id().unwrap();
    assert!(quotas::set_of_project(&ben, one, QuotaOverride::default()).await.is_err() && quotas::of_any_project(&ben, one).await.is_err());
    let own = QuotaOverride { versions: Some(4), checkpoints: Some(11), ..QuotaOverride::default() };
    quotas::set_of_user(&admin, id, own).await.unwrap();
    let narrow = QuotaOverride { files: Some(10), versions: Some(2), checkpoints: Some(10), ..QuotaOverride::default() };
    let quota = quotas::set_of_project(&admin, one, narrow).await.unwrap();
    assert_eq!((quota.own, quota.files.limit, quota.versions_per_file, quota.checkpoints.limit), (narrow, 10, 2, 10));
    let quota = quotas::of_project(&ben, other).await.unwrap();
    assert_eq!((quota.own, quota.versions_per_file, quota.checkpoints.limit), (QuotaOverride::default(), 4, 11));
    for (project, most) in [(one, 10), (other, 11)] {
        for n in 0..most {
            domain::checkpoints::create(&ben, project, CreateCheckpoint { name: format!("C{n}") }).await.unwrap();
        }
        let refused = domain::checkpoints::create(&ben, project, CreateCheckpoint { name: "More".into() }).await.err().unwrap();
        assert_eq!(refused.into_problem(&ben).code, ErrorCode::TooLarge);
        for n in 0..6 {
            let base = if n == 0 { Base::New } else { Base::Version(n) };
            save(&ben, project, "a.txt", base, &format!("text {n}")).await.unwrap();
        }
    }
    later.0.store(7200, Ordering::SeqCst);
    quotas::thin(&Ctx::system(&home.services)).await.unwrap();
    for (project, kept) in [(one, 2), (other, 4)] {
        assert_eq!(files::history(&ben, project, "a.txt", None).await.unwrap().items.len(), kept);
    }
    for n in 0..9 {
        save(&ben, one, &format!("{n}.txt"), Base::New, "x").await.unwrap();
    }
    assert!(save(&ben, one, "more.txt", Base::New, "x").await.is_err());
    save(&ben, other, "more.txt", Base::New, "x").await.unwrap();
}

async fn limits_are_told_before_and_refuse_only_growth(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    for n in 0..12 {
        save(&ada, project, &format!("{n}.txt"), Base::New, "0123456789").await.unwrap();
    }
    limit(&ada, StorageSettings { project_files: 10, ..StorageSettings::default() }).await;
    let refused = save(&ada, project, "new.txt", Base::New, "x").await.err().unwrap().into_problem(&ada);
    assert!(refused.code == ErrorCode::TooLarge && refused.detail.contains("at most 10 files"), "{}", refused.detail);
    save(&ada, project, "0.txt", Base::Version(1), "01234567890123456789").await.unwrap();
    files::delete(&ada, project, "1.txt", support::AS_IT_IS).await.unwrap();
    let quota = quotas::of_project(&ada, project).await.unwrap();
    assert_eq!((quota.files.used, quota.files.limit), (11, 10));
    assert!(quota.files.is_full());
    let wrong = StorageSettings { versions_per_file: 0, ..StorageSettings::default() };
    assert!(matches!(settings::update_storage(&ada, wrong).await, Err(Error::Invalid(_))));
    let ben = home.person("ben").await;
    assert!(settings::storage(&ben).await.is_err() && settings::update_storage(&ben, StorageSettings::default()).await.is_err());
}

async fn a_project_is_handed_over_only_where_it_fits(home: Home) {
    let (admin, ben) = (home.person("admin").await, home.person("ben").await);
    let project = home.project(&admin).await.id;
    for n in 0..3 {
        save(&admin, project, &format!("{n}.txt"), Base::New, &"x".repeat(400_000)).await.unwrap();
    }
    members::invite(&admin, project, Invite { who: "ben".into(), role: ProjectRole::Editor }).await.unwrap();
    let id = ben.user_id().unwrap();
    quotas::set_of_user(&admin, id, QuotaOverride { bytes: Some(MIB), ..QuotaOverride::default() }).await.unwrap();
    let refused = members::transfer(&admin, project, TransferProject { to: id }).await.err().unwrap().into_problem(&admin);
    assert_eq!(refused.code, ErrorCode::TooLarge);
    assert_eq!(domain::projects::get(&ben, project).await.unwrap().role, ProjectRole::Editor, "nothing was changed");
    quotas::set_of_user(&admin, id, QuotaOverride { bytes: Some(2 * MIB), ..QuotaOverride::default() }).await.unwrap();
    members::transfer(&admin, project, TransferProject { to: id }).await.unwrap();
    assert_eq!(quotas::mine(&ben).await.unwrap().bytes.used, 1_200_000);
    assert_eq!(quotas::mine(&admin).await.unwrap().bytes.used, 0);
}

/// The time, and what is added to it.
struct Later(AtomicI64);

impl Clock for Later {
    fn now(&self) -> Micros {
        SystemClock.now().plus_seconds(self.0.load(Ordering::SeqCst))
    }
}

async fn retention_keeps_what_is_needed(mut home: Home) {
    let later = Arc::new(Later(AtomicI64::new(0)));
    Arc::get_mut(&mut home.services).expect("nobody has it yet").clock = later.clone();
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let system = Ctx::system(&home.services);
    assert!(quotas::thin(&ada).await.is_err(), "people can't ask for it");
    for n in 1..=6 {
        let base = if n == 1 { Base::New } else { Base::Version(n - 1) };
        save(&ada, project, "a.txt", base, &format!("text {n}")).await.unwrap();
        if n == 2 {
            domain::checkpoints::create(&ada, project, CreateCheckpoint { name: "Second".into() }).await.unwrap();
        }
    }
    save(&ada, project, "gone.txt", Base::New, "gone").await.unwrap();
    files::delete(&ada, project, "gone.txt", support::AS_IT_IS).await.unwrap();
    limit(&ada, StorageSettings { versions_per_file: 3, retention_days: Some(30), ..StorageSettings::default() }).await;
    let versions = async || {
        let page = files::history(&ada, project, "a.txt", None).await.unwrap();
        page.items.into_iter().map(|version| version.version).collect::<Vec<_>>()
    };
    assert_eq!(quotas::thin(&system).await.unwrap(), 0, "what was replaced only now waits");
    later.0.store(7200, Ordering::SeqCst);
    assert_eq!(quotas::thin(&system).await.unwrap(), 2);
    assert_eq!(versions().await, [6, 5, 4, 2], "the newest three, and what the checkpoint needs");
    later.0.store(31 * 86_400, Ordering::SeqCst);
    quotas::thin(&system).await.unwrap();
    assert_eq!(versions().await, [6, 2]);
    // The number goes on where it was, also at a path whose versions are gone.
    assert!(files::trash(&ada, project).await.unwrap().is_empty(), "what can't be restored is not offered");
    save(&ada, project, "gone.txt", Base::New, "back").await.unwrap();
    assert_eq!(files::entry(&ada, project, "gone.txt").await.unwrap().version, 3);
    assert_eq!(files::open_text(&ada, project, "a.txt", None).await.unwrap().text.as_deref(), Some("text 6"));

    // Beyond the bytes of the past the oldest go first.
    let blob = |n: usize| format!("{n}").repeat(300_000);
    save(&ada, project, "big.txt", Base::New, &blob(1)).await.unwrap();
    for n in 2..=6 {
        save(&ada, project, "big.txt", Base::Version(n as i64 - 1), &blob(n)).await.unwrap();
    }
    limit(&ada, StorageSettings { project_history_bytes: MIB, ..StorageSettings::default() }).await;
    assert!(quotas::of_project(&ada, project).await.unwrap().history_bytes.is_full());
    later.0.store(31 * 86_400 + 7200, Ordering::SeqCst);
    quotas::thin(&system).await.unwrap();
    let history = quotas::of_project(&ada, project).await.unwrap().history_bytes;
    assert!(history.used <= history.limit, "{history:?}");
    assert_eq!(versions().await, [6, 2]);
}

async fn a_thinned_folder_comes_back_as_far_as_it_is_kept(mut home: Home) {
    let later = Arc::new(Later(AtomicI64::new(0)));
    Arc::get_mut(&mut home.services).expect("nobody has it yet").clock = later.clone();
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let system = Ctx::system(&home.services);
    limit(&ada, StorageSettings { retention_days: Some(30), ..StorageSettings::default() }).await;
    for path in ["d/kept.txt", "d/deep/kept.txt"] {
        save(&ada, project, path, Base::New, "kept").await.unwrap();
    }
    domain::checkpoints::create(&ada, project, CreateCheckpoint { name: "Needs them".into() }).await.unwrap();
    for path in ["d/lost.txt", "d/deep/lost.txt", "gone/lost.txt"] {
        save(&ada, project, path, Base::New, "lost").await.unwrap();
    }
    for path in ["d", "gone"] {
        files::delete(&ada, project, path, support::AS_IT_IS).await.unwrap();
    }
    let listed = async || {
        let items = files::trash(&ada, project).await.unwrap();
        items.into_iter().map(|item| (item.path, item.kind, item.files, item.lost, item.size)).collect::<Vec<_>>()
    };
    let whole = |path: &str, files: i64| (path.to_owned(), EntryKind::Directory, files, 0, 4 * files);
    assert_eq!(listed().await, [whole("gone", 1), whole("d", 4)]);
    later.0.store(31 * 86_400, Ordering::SeqCst);
    assert_eq!(quotas::thin(&system).await.unwrap(), 3);
    assert_eq!(listed().await, [("d".to_owned(), EntryKind::Directory, 2, 2, 8)], "with what it can't give back");

    let step = |path: &str| ChangeFiles { steps: vec![FileStep::Restore { path: path.to_owned(), version: None, base: Base::New }] };
    let nothing = files::change(&ada, project, step("gone")).await.unwrap();
    assert!(matches!(&nothing, FilesChanged::Conflict { paths } if paths[0].reason.contains("not in the trash any more")), "{nothing:?}");
    let FilesChanged::Changed { undo, left_out, .. } = files::change(&ada, project, step("d")).await.unwrap() else {
        panic!("nothing is in the way");
    };
    assert_eq!(left_out, 2);
    let there = async || {
        let items = files::tree(&ada, project).await.unwrap().items;
        items.into_iter().filter(|entry| entry.kind == EntryKind::File).map(|entry| entry.path).collect::<Vec<_>>()
    };
    assert_eq!(there().await, ["d/deep/kept.txt", "d/kept.txt"]);
    assert_eq!(files::open_text(&ada, project, "d/kept.txt", None).await.unwrap().text.as_deref(), Some("kept"));
    assert!(listed().await.is_empty(), "what is lost alone is not offered");
    files::change(&ada, project, ChangeFiles { steps: undo }).await.unwrap();
    assert!(there().await.is_empty());
    assert_eq!(listed().await, [whole("d", 2)], "it went without what was lost before");
}
