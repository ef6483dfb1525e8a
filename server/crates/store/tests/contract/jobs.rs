use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use store::{Db, jobs};
use wire::{
    JobId, Micros, UserId,
    jobs::{JobState, Progress},
};

use crate::world::{at, begin, commit, id, job, read, user, write};

async fn claim(db: &Db, now: Micros, lease_until: Micros, per_user: i64) -> Option<jobs::JobRow> {
    write!(db, tx => jobs::claim(&mut tx, "worker", now, lease_until, per_user))
}

async fn finish(db: &Db, row: &jobs::JobRow) -> bool {
    write!(db, tx => jobs::finish(&mut tx, row.id, row.fence, JobState::Succeeded, None, at(60)))
}

/// Many workers claim until nothing is left; answers what was claimed and how many of one user were seen running at most.
async fn work_off(db: &Db, per_user: i64) -> (Vec<JobId>, HashMap<UserId, i64>) {
    #[derive(Default)]
    struct Seen {
        claimed: Vec<JobId>,
        running: HashMap<UserId, i64>,
        most: HashMap<UserId, i64>,
    }
    let seen = Arc::new(Mutex::new(Seen::default()));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (db, seen) = (db.clone(), seen.clone());
            tokio::spawn(async move {
                loop {
                    let Some(row) = claim(&db, at(10), at(40), per_user).await else {
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
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    *seen.lock().unwrap().running.get_mut(&user).unwrap() -= 1;
                    assert!(finish(&db, &row).await);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let mut seen = seen.lock().unwrap();
    (std::mem::take(&mut seen.claimed), std::mem::take(&mut seen.most))
}

pub async fn each_job_is_claimed_once(db: Db) {
    let mut queued = Vec::new();
    for name in ["ada", "bob", "cyd", "dan"] {
        let user = user(&db, name).await;
        for n in 0..50 {
            queued.push(job(&db, Some(user), at(n % 5)).await);
        }
    }
    let (mut claimed, _) = work_off(&db, 100).await;
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
    let (claimed, most) = work_off(&db, 2).await;
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

pub async fn a_lost_lease_can_no_longer_write(db: Db) {
    let queued = job(&db, None, at(0)).await;
    let mut tx = begin(&db).await;
    jobs::insert(
        &mut tx,
        &jobs::NewJob { id: id(), kind: "late", payload: "{}", user_id: None, project_id: None, max_attempts: 1, at: at(900) },
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
    assert!(finish(&db, &fresh).await);
    assert!(!finish(&db, &fresh).await, "it ends once");
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
    assert_eq!(ids(jobs::abandoned(&mut c, at(10), false).await.unwrap()), []);
    assert_eq!(ids(jobs::abandoned(&mut c, at(11), false).await.unwrap()), [short]);
    assert_eq!(ids(jobs::abandoned(&mut c, at(5), true).await.unwrap()), [short, long]);
    let summary = jobs::summary(&mut c, at(4)).await.unwrap();
    assert_eq!((summary.queued, summary.running, summary.dead, summary.oldest_due), (1, 2, 0, Some(at(3))));
    assert_eq!(jobs::summary(&mut c, at(2)).await.unwrap().oldest_due, None);
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
}
