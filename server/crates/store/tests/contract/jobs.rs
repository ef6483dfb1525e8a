use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use store::{Db, jobs, users};
use wire::{
    JobId, Micros, UserId,
    jobs::{JobState, Progress},
    users::{UserRole, UserState},
};

use crate::world::{at, begin, commit, id, job, job_in, read, user, write};

async fn claim(db: &Db, now: Micros, lease_until: Micros, per_user: i64) -> Option<jobs::JobRow> {
    claim_in(db, "work", now, lease_until, per_user, 0).await
}

async fn claim_in(db: &Db, lane: &str, now: Micros, lease_until: Micros, per_user: i64, in_all: i64) -> Option<jobs::JobRow> {
    let claim = jobs::Claim { worker: "worker", lane, now, lease_until, per_user, in_all };
    write!(db, tx => jobs::claim(&mut tx, &claim))
}

async fn finish(db: &Db, row: &jobs::JobRow) -> bool {
    write!(db, tx => jobs::finish(&mut tx, row.id, row.fence, JobState::Succeeded, None, at(60)))
}

/// Many workers claim until nothing is left; answers what was claimed, and how many were seen running at most: of one user, in all.
async fn work_off(db: &Db, per_user: i64, in_all: i64) -> (Vec<JobId>, HashMap<UserId, i64>, i64) {
    #[derive(Default)]
    struct Seen {
        claimed: Vec<JobId>,
        running: HashMap<UserId, i64>,
        most: HashMap<UserId, i64>,
        running_in_all: i64,
        most_in_all: i64,
    }
    let seen = Arc::new(Mutex::new(Seen::default()));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (db, seen) = (db.clone(), seen.clone());
            tokio::spawn(async move {
                loop {
                    let Some(row) = claim_in(&db, "work", at(10), at(40), per_user, in_all).await else {
                        if jobs::summary(&mut read(&db).await, at(10)).await.unwrap().queued == 0 {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        continue;
                    };
                    let user = row.user_id.unwrap();
                    {
                        let mut seen = seen.lock().unwrap();
                        seen.claimed.push(row.id);
                        let running = seen.running.entry(user).or_default();
                        *running += 1;
                        let running = *running;
                        let most = seen.most.entry(user).or_default();
                        *most = running.max(*most);
                        seen.running_in_all += 1;
                        seen.most_in_all = seen.most_in_all.max(seen.running_in_all);
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    {
                        let mut seen = seen.lock().unwrap();
                        *seen.running.get_mut(&user).unwrap() -= 1;
                        seen.running_in_all -= 1;
                    }
                    assert!(finish(&db, &row).await);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let mut seen = seen.lock().unwrap();
    (std::mem::take(&mut seen.claimed), std::mem::take(&mut seen.most), seen.most_in_all)
}

pub async fn each_job_is_claimed_once(db: Db) {
    let mut queued = Vec::new();
    for name in ["ada", "bob", "cyd", "dan"] {
        let user = user(&db, name).await;
        for n in 0..50 {
            queued.push(job(&db, Some(user), at(n % 5)).await);
        }
    }
    let (mut claimed, ..) = work_off(&db, 100, 0).await;
    claimed.sort_unstable();
    queued.sort_unstable();
    assert_eq!(claimed, queued);
    let done = jobs::list(&mut read(&db).await, 1000).await.unwrap();
    assert!(done.iter().all(|row| row.job.state.0 == JobState::Succeeded && row.job.attempts == 1 && row.job.fence == 1));
    assert_eq!(done.len(), 200);
}

pub async fn a_user_has_at_most_the_agreed_number_running(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    for _ in 0..40 {
        job(&db, Some(ada), at(0)).await;
        job(&db, Some(bob), at(0)).await;
    }
    let (claimed, most, _) = work_off(&db, 2, 0).await;
    assert_eq!(claimed.len(), 80);
    assert!(most.values().all(|most| *most <= 2), "{most:?}");

    // Jobs of nobody have no such limit.
    for _ in 0..3 {
        job(&db, None, at(0)).await;
    }
    for _ in 0..3 {
        assert!(claim(&db, at(1), at(40), 1).await.is_some());
    }
}

pub async fn all_users_together_have_at_most_the_agreed_number_running(db: Db) {
    for name in ["ada", "bob", "cyd"] {
        let user = user(&db, name).await;
        for _ in 0..20 {
            job(&db, Some(user), at(0)).await;
        }
    }
    let (claimed, _, most) = work_off(&db, 100, 3).await;
    assert_eq!(claimed.len(), 60);
    // How many were at once seen side by side depends on the machine.
    assert!((2..=3).contains(&most), "{most} at once");
}

pub async fn many_jobs_of_one_user_do_not_starve_another(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    for _ in 0..100 {
        job(&db, Some(ada), at(0)).await;
    }
    let single = job(&db, Some(bob), at(5)).await;
    let later = job(&db, Some(bob), at(500)).await;
    let first = claim(&db, at(10), at(40), 100).await.unwrap();
    assert_eq!(first.user_id, Some(ada), "who has waited longest");
    assert_eq!(claim(&db, at(10), at(40), 100).await.unwrap().id, single, "who has least");
    assert_eq!(claim(&db, at(10), at(40), 100).await.unwrap().user_id, Some(ada), "{later} is not due");
}

/// One place only, so that nobody ever has fewer running than another: turns alone decide.
pub async fn one_slot_serves_users_in_turn(db: Db) {
    let (ada, bob, cyd) = (user(&db, "ada").await, user(&db, "bob").await, user(&db, "cyd").await);
    for _ in 0..100 {
        job(&db, Some(ada), at(0)).await;
    }
    let mut now = 10;
    let mut next = async |count: usize| {
        let mut served = Vec::new();
        for _ in 0..count {
            now += 1;
            let row = claim_in(&db, "work", at(now), at(now + 30), 2, 1).await.unwrap();
            assert!(claim_in(&db, "work", at(now), at(now + 30), 2, 1).await.is_none(), "the only place is taken");
            served.push(row.user_id.unwrap());
            assert!(finish(&db, &row).await);
        }
        served
    };
    assert_eq!(next(3).await, [ada, ada, ada]);
    job(&db, Some(bob), at(5)).await;
    assert_eq!(next(2).await, [bob, ada], "the one does not wait for the hundred");
    for _ in 0..3 {
        job(&db, Some(bob), at(6)).await;
        job(&db, Some(cyd), at(7)).await;
    }
    assert_eq!(next(7).await, [cyd, bob, ada, cyd, bob, ada, cyd]);
    assert_eq!(next(4).await, [bob, ada, ada, ada]);
}

pub async fn priorities_decide_between_the_jobs_of_one_user_only(db: Db) {
    let (ada, bob) = (user(&db, "ada").await, user(&db, "bob").await);
    let low = job_in(&db, Some(ada), at(0), "work", 0).await;
    let old = job_in(&db, Some(ada), at(1), "work", 10).await;
    let young = job_in(&db, Some(ada), at(2), "work", 10).await;
    let first = claim(&db, at(10), at(40), 9).await.unwrap();
    assert_eq!(first.id, old);
    let humble = job_in(&db, Some(bob), at(3), "work", -5).await;
    assert_eq!(claim(&db, at(11), at(40), 9).await.unwrap().id, humble, "nobody gets ahead of another by asking for important things");
    assert_eq!(claim(&db, at(12), at(40), 9).await.unwrap().id, young);
    assert_eq!(claim(&db, at(13), at(40), 9).await.unwrap().id, low);
}

pub async fn lanes_do_not_wait_for_each_other(db: Db) {
    let ada = user(&db, "ada").await;
    let (work, terminal) = (job(&db, Some(ada), at(0)).await, job_in(&db, Some(ada), at(0), "terminal", 0).await);
    job_in(&db, Some(ada), at(0), "terminal", 0).await;
    assert!(jobs::is_due(&mut read(&db).await, "terminal", at(1)).await.unwrap());
    assert!(!jobs::is_due(&mut read(&db).await, "other", at(1)).await.unwrap());
    let row = claim_in(&db, "terminal", at(1), at(40), 1, 1).await.unwrap();
    assert_eq!((row.id, row.lane.as_str()), (terminal, "terminal"));
    assert!(claim_in(&db, "terminal", at(1), at(40), 1, 0).await.is_none(), "one terminal each");
    assert_eq!(claim_in(&db, "work", at(1), at(40), 1, 1).await.unwrap().id, work, "which takes no place from work");
    assert!(!jobs::is_due(&mut read(&db).await, "work", at(1)).await.unwrap());
}

pub async fn a_lost_lease_can_no_longer_write(db: Db) {
    let queued = job(&db, None, at(0)).await;
    let mut tx = begin(&db).await;
    jobs::insert(
        &mut tx,
        &jobs::NewJob {
            id: id(),
            kind: "late",
            lane: "work",
            priority: 0,
            payload: "{}",
            user_id: None,
            project_id: None,
            max_attempts: 1,
            at: at(900),
        },
    )
    .await
    .unwrap();
    assert!(commit(tx).await.wakes_workers);

    let stale = claim(&db, at(1), at(10), 1).await.unwrap();
    assert_eq!((stale.id, stale.fence, stale.attempts, stale.lease_owner.as_deref()), (queued, 1, 1, Some("worker")));
    assert_eq!((stale.lease_until, stale.started_at, stale.state.0), (Some(at(10)), Some(at(1)), JobState::Running));
    assert!(claim(&db, at(1), at(10), 1).await.is_none());
    assert!(write!(&db, tx => jobs::retry(&mut tx, stale.id, stale.fence, "the worker is gone", at(20))));
    assert!(claim(&db, at(19), at(30), 1).await.is_none(), "not before its time");
    let fresh = claim(&db, at(20), at(30), 1).await.unwrap();
    assert_eq!((fresh.id, fresh.fence, fresh.attempts, fresh.started_at), (queued, 2, 2, Some(at(1))));

    assert!(!finish(&db, &stale).await);
    assert!(!write!(&db, tx => jobs::retry(&mut tx, stale.id, stale.fence, "again", at(99))));
    assert_eq!(write!(&db, tx => jobs::renew(&mut tx, stale.id, stale.fence, at(99), None)), None);
    assert_eq!(write!(&db, tx => jobs::renew(&mut tx, fresh.id, fresh.fence, at(50), Some(Progress { done: 3, total: 9 }))), Some(false));
    assert_eq!(write!(&db, tx => jobs::renew(&mut tx, fresh.id, fresh.fence, at(60), None)), Some(false));
    let row = jobs::get(&mut read(&db).await, queued).await.unwrap().unwrap();
    assert_eq!((row.job.lease_until, row.job.progress_done, row.job.progress_total), (Some(at(60)), 3, 9));
    assert!(!write!(&db, tx => jobs::hand_back(&mut tx, stale.id, stale.fence, "it stops", at(60))));
    assert!(write!(&db, tx => jobs::hand_back(&mut tx, fresh.id, fresh.fence, "it stops", at(60))));
    let fresh = claim(&db, at(60), at(60), 1).await.unwrap();
    assert_eq!((fresh.id, fresh.fence, fresh.attempts), (queued, 3, 2), "at once, and the attempt does not count");
    let mut c = read(&db).await;
    assert!(jobs::is_held(&mut c, fresh.id, fresh.fence).await.unwrap() && !jobs::is_held(&mut c, fresh.id, stale.fence).await.unwrap());
    drop(c);
    assert!(finish(&db, &fresh).await);
    assert!(!finish(&db, &fresh).await, "it ends once");
    assert!(!jobs::is_held(&mut read(&db).await, fresh.id, fresh.fence).await.unwrap());
    let shown = jobs::get(&mut read(&db).await, queued).await.unwrap().unwrap().into_job();
    assert_eq!((shown.state, shown.attempts, shown.finished_at, shown.error), (JobState::Succeeded, 2, Some(at(60)), None));
    assert!(jobs::get(&mut read(&db).await, id()).await.unwrap().is_none());
}

pub async fn expired_leases_are_found(db: Db) {
    let (short, long) = (job(&db, None, at(0)).await, job(&db, None, at(1)).await);
    assert_eq!(claim(&db, at(2), at(10), 1).await.unwrap().id, short);
    assert_eq!(claim(&db, at(2), at(20), 1).await.unwrap().id, long);
    job(&db, None, at(3)).await;
    let ids = |rows: Vec<jobs::JobRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    let mut c = read(&db).await;
    assert_eq!(ids(jobs::abandoned(&mut c, at(10), None, false).await.unwrap()), []);
    assert_eq!(ids(jobs::abandoned(&mut c, at(11), None, false).await.unwrap()), [short]);
    assert_eq!(ids(jobs::abandoned(&mut c, at(5), None, true).await.unwrap()), [short, long]);
    assert_eq!(ids(jobs::abandoned(&mut c, at(5), Some("worker"), false).await.unwrap()), [short, long]);
    assert_eq!(ids(jobs::abandoned(&mut c, at(5), Some("another"), false).await.unwrap()), []);
    let summary = jobs::summary(&mut c, at(4)).await.unwrap();
    assert_eq!((summary.queued, summary.running, summary.dead, summary.oldest_due), (1, 2, 0, Some(at(3))));
    assert_eq!(jobs::summary(&mut c, at(2)).await.unwrap().oldest_due, None);
}

pub async fn one_of_many_reapers_gets_a_lost_job(db: Db) {
    let queued = job(&db, None, at(0)).await;
    let row = claim(&db, at(1), at(10), 1).await.unwrap();
    let reapers: Vec<_> = (0..8)
        .map(|n| {
            let (db, fence) = (db.clone(), row.fence);
            tokio::spawn(async move { write!(&db, tx => jobs::take_over(&mut tx, queued, fence, &format!("reaper {n}"), at(50))) })
        })
        .collect();
    let mut taken = Vec::new();
    for reaper in reapers {
        taken.extend(reaper.await.unwrap());
    }
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].fence, taken[0].lease_until, taken[0].attempts), (2, Some(at(50)), 1));
    assert!(!finish(&db, &row).await, "the worker that came back has nothing to say");
    assert!(finish(&db, &taken[0]).await);
}

pub async fn a_worker_asks_for_all_its_cancels_at_once(db: Db) {
    let (one, two, three) = (job(&db, None, at(0)).await, job(&db, None, at(1)).await, job(&db, None, at(2)).await);
    for expected in [one, two] {
        assert_eq!(claim(&db, at(3), at(30), 1).await.unwrap().id, expected);
    }
    write!(&db, tx => jobs::request_cancel(&mut tx, two, at(4)));
    write!(&db, tx => jobs::ask_to_stop(&mut tx, one));
    write!(&db, tx => jobs::ask_to_stop(&mut tx, three));
    let mut cancelled = jobs::cancelled_of(&mut read(&db).await, "worker").await.unwrap();
    cancelled.sort_unstable();
    assert_eq!(cancelled, [one, two]);
    assert!(jobs::cancelled_of(&mut read(&db).await, "another").await.unwrap().is_empty());
    assert_eq!(claim(&db, at(5), at(30), 1).await.unwrap().id, three, "asking to stop leaves the queue alone");
}

pub async fn cancelling_and_dead_letters(db: Db) {
    let ada = user(&db, "ada").await;
    let (running, queued) = (job(&db, Some(ada), at(0)).await, job(&db, Some(ada), at(1)).await);
    let row = claim(&db, at(2), at(10), 1).await.unwrap();
    assert_eq!(row.id, running);
    assert_eq!(write!(&db, tx => jobs::request_cancel(&mut tx, queued, at(3))), Some(JobState::Cancelled));
    assert_eq!(write!(&db, tx => jobs::request_cancel(&mut tx, running, at(3))), Some(JobState::Running));
    assert_eq!(write!(&db, tx => jobs::request_cancel(&mut tx, id(), at(3))), None);
    assert_eq!(write!(&db, tx => jobs::renew(&mut tx, running, row.fence, at(20), None)), Some(true));

    assert!(!write!(&db, tx => jobs::requeue_dead(&mut tx, running, at(4))));
    assert!(write!(&db, tx => jobs::finish(&mut tx, running, row.fence, JobState::Dead, Some("It failed."), at(5))));
    assert_eq!(jobs::summary(&mut read(&db).await, at(9)).await.unwrap().dead, 1);
    let mut tx = begin(&db).await;
    assert!(jobs::requeue_dead(&mut tx, running, at(6)).await.unwrap());
    assert!(commit(tx).await.wakes_workers);
    let again = claim(&db, at(6), at(20), 1).await.unwrap();
    assert_eq!((again.id, again.attempts, again.fence, again.cancel_requested), (running, 1, 2, false));

    let listed = jobs::list(&mut read(&db).await, 10).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.job.id).collect::<Vec<_>>(), [queued, running], "the newest first");
    assert_eq!(jobs::list(&mut read(&db).await, 1).await.unwrap().len(), 1);
    let shown = listed.into_iter().next().unwrap().into_job();
    assert_eq!((shown.state, shown.finished_at, shown.user.map(|by| by.name)), (JobState::Cancelled, Some(at(3)), Some("ada".to_owned())));

    let eve = user(&db, "eve").await;
    let hers = job(&db, Some(eve), at(7)).await;
    let claimed = claim(&db, at(8), at(20), 1).await.unwrap();
    assert_eq!((claimed.id, write!(&db, tx => jobs::renew(&mut tx, hers, claimed.fence, at(20), None))), (hers, Some(false)));
    write!(&db, tx => users::update_access(&mut tx, eve, UserRole::User, UserState::Disabled));
    assert_eq!(write!(&db, tx => jobs::renew(&mut tx, hers, claimed.fence, at(20), None)), Some(true), "her work stops with her account");
    assert!(write!(&db, tx => jobs::finish(&mut tx, hers, claimed.fence, JobState::Cancelled, None, at(4))));
}

pub async fn a_kind_of_work_is_made_now_and_then_and_forgotten(db: Db) {
    let ada = user(&db, "ada").await;
    let project = crate::world::project(&db, ada).await;
    let made = async |when: i64| {
        let new = crate::world::id();
        write!(&db, tx => jobs::insert(&mut tx, &jobs::NewJob {
            id: new, kind: "cleanup", lane: "work", priority: 0, payload: "{}", user_id: None, project_id: Some(project), max_attempts: 1,
            at: at(when),
        }));
        new
    };
    assert!(!jobs::any_since(&mut read(&db).await, "cleanup", at(0)).await.unwrap());
    let first = made(10).await;
    assert!(jobs::any_since(&mut read(&db).await, "cleanup", at(1000)).await.unwrap(), "it waits");
    let claim = jobs::Claim { worker: "w", lane: "work", now: at(20), lease_until: at(50), per_user: 1, in_all: 0 };
    let claimed = write!(&db, tx => jobs::claim(&mut tx, &claim)).unwrap();
    assert_eq!((claimed.id, claimed.user_id), (first, None));
    assert!(write!(&db, tx => jobs::finish(&mut tx, first, claimed.fence, JobState::Succeeded, None, at(30))));
    assert!(!jobs::any_since(&mut read(&db).await, "cleanup", at(10)).await.unwrap());
    assert!(jobs::any_since(&mut read(&db).await, "cleanup", at(9)).await.unwrap());
    let second = made(40).await;
    assert_eq!(jobs::last_of(&mut read(&db).await, project, "cleanup").await.unwrap().unwrap().job.id, second);
    assert!(jobs::last_of(&mut read(&db).await, project, "other").await.unwrap().is_none());
    for (before, is_left) in [(30, true), (31, false)] {
        write!(&db, tx => jobs::forget_succeeded(&mut tx, "cleanup", at(before)));
        assert_eq!(jobs::get(&mut read(&db).await, first).await.unwrap().is_some(), is_left);
    }
    assert!(jobs::get(&mut read(&db).await, second).await.unwrap().is_some(), "only what went well is forgotten");
}

pub async fn jobs_are_counted_by_kind_and_state(db: Db) {
    let ada = user(&db, "ada").await;
    assert!(jobs::by_kind(&mut read(&db).await).await.unwrap().is_empty());
    for _ in 0..2 {
        job(&db, Some(ada), at(0)).await;
    }
    let claimed = claim(&db, at(10), at(40), 5).await.unwrap();
    let counted = jobs::by_kind(&mut read(&db).await).await.unwrap();
    assert_eq!(counted, [(claimed.kind.clone(), JobState::Queued, 1), (claimed.kind.clone(), JobState::Running, 1)]);
    assert!(finish(&db, &claimed).await);
    assert_eq!(jobs::by_kind(&mut read(&db).await).await.unwrap(), [(claimed.kind, JobState::Queued, 1)], "what went well is no figure");
}
