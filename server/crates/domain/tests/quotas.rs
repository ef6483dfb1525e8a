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
    checkpoints::CreateCheckpoint,
    files::{Base, SaveOutcome, SaveText},
    members::{Invite, TransferProject},
    projects::ProjectRole,
    quotas::{QuotaOverride, StorageSettings},
};

on_both!(
    eight_writers_never_get_above_the_last_bytes,
    eight_projects_of_one_owner_never_get_above_together,
    limits_are_told_before_and_refuse_only_growth,
    a_project_is_handed_over_only_where_it_fits,
    retention_keeps_what_is_needed,
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
    quotas::set_of_user(&admin, id, QuotaOverride { bytes: Some(MIB), files: None }).await.unwrap();
    let piece = 47_000;
    let kept = fill(writers.clone(), piece).await;
    let mine = quotas::mine(&ben).await.unwrap();
    assert_eq!((kept, mine.bytes.used, mine.projects), (MIB as usize / piece, (kept * piece) as i64, 8));
    assert!(mine.bytes.used <= mine.bytes.limit);
    assert_eq!(quotas::of_user(&admin, id).await.unwrap(), mine);
    assert!(quotas::of_user(&ben, id).await.is_err() && quotas::set_of_user(&ben, id, QuotaOverride::default()).await.is_err());
    // Without a limit of their own there is room again; what is deleted makes room too.
    quotas::set_of_user(&admin, id, QuotaOverride::default()).await.unwrap();
    save(&ben, writers[0].1, "again.txt", Base::New, &"x".repeat(piece)).await.unwrap();
    domain::projects::delete(&ben, writers[0].1).await.unwrap();
    assert_eq!(quotas::mine(&ben).await.unwrap().projects, 7);
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
    files::delete(&ada, project, "1.txt", None).await.unwrap();
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
    quotas::set_of_user(&admin, id, QuotaOverride { bytes: Some(MIB), files: None }).await.unwrap();
    let refused = members::transfer(&admin, project, TransferProject { to: id }).await.err().unwrap().into_problem(&admin);
    assert_eq!(refused.code, ErrorCode::TooLarge);
    assert_eq!(domain::projects::get(&ben, project).await.unwrap().role, ProjectRole::Editor, "nothing was changed");
    quotas::set_of_user(&admin, id, QuotaOverride { bytes: Some(2 * MIB), files: None }).await.unwrap();
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
    files::delete(&ada, project, "gone.txt", None).await.unwrap();
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
