//! Several servers and workers on one PostgreSQL and one Redis: real processes, killed without a warning.

mod load;
mod processes;
mod turns;

use std::time::{Duration, Instant};

use load::{Load, Person, Tally, check_all, check_numbers, command, events_of};
use processes::{Installation, Process, alive_with};
use rand::Rng;
use serde_json::json;
use tokio::time::sleep;
use wire::runs::{ExitKind, RunState};

use crate::support::{Caller, PASSWORD, redis_server::Redis};

/// The two servers and two workers that every test here has.
struct Cluster {
    servers: [Process; 2],
    workers: [Process; 2],
    people: [Person; 2],
    installation: Installation,
}

impl Cluster {
    /// `None`, said out loud, where it can't be tested.
    async fn start(redis: Option<String>) -> Option<Self> {
        let installation = Installation::new(redis, vec![("WORKER_CONCURRENCY", "2")]).await?;
        let servers = [installation.server("server-1"), installation.server("server-2")];
        let workers = [installation.worker("worker-1"), installation.worker("worker-2")];
        for server in &servers {
            server.ready().await;
        }
        let people = [sign_up(&servers[0], "ada").await, sign_up(&servers[1], "bob").await];
        let cluster = Self { servers, workers, people, installation };
        cluster.can_run().await.then_some(cluster)
    }

    async fn can_run(&self) -> bool {
        let person = &self.people[0];
        let run = person.start_run(&self.servers[0].base, "true").await.unwrap();
        person.follow(&self.servers[1].base, run.id).await;
        let exit = person.get_run(&self.servers[1].base, run.id).await.unwrap().exit.unwrap();
        if exit.kind == ExitKind::Refused {
            eprintln!("*** several processes not tested: no sandbox on this machine: {} ***", exit.sentence);
        }
        exit.kind != ExitKind::Refused
    }

    fn bases(&self) -> [String; 2] {
        self.servers.each_ref().map(|server| server.base.clone())
    }

    fn load(&self, marker: &str) -> [Load; 2] {
        self.people.each_ref().map(|person| Load::start(person.clone(), self.bases(), command(marker)))
    }

    /// Waits for the end of everything and holds it against what was promised.
    async fn settle(&mut self, load: [Load; 2], marker: &str) -> Tally {
        let mut followed = Vec::new();
        for one in load {
            followed.extend(one.end().await);
        }
        let db = self.installation.database().await;
        let tally = check_all(&db, marker).await;
        eprintln!("{} followed; {tally:?}", followed.len());
        for (run, events) in &followed {
            check_numbers(*run, events);
            assert_eq!(*events, events_of(&db, *run).await, "a reader saw something else than what happened");
        }
        for process in self.servers.iter_mut().chain(&mut self.workers) {
            assert!(process.is_running(), "{} ended by itself", process.name);
        }
        assert_eq!(alive_with(marker), Vec::<String>::new(), "something outlived its run");
        self.check_slots(marker).await;
        tally
    }

    /// Every place that there was is still there: as many runs as fit begin together.
    async fn check_slots(&self, marker: &str) {
        let base = &self.servers[0].base;
        let mut runs = Vec::new();
        for person in [&self.people[0], &self.people[0], &self.people[1], &self.people[1]] {
            runs.push((person, person.start_run(base, &format!("echo here {marker}; sleep 60")).await.unwrap()));
        }
        for (person, run) in &runs {
            let begun = tokio::time::timeout(Duration::from_secs(10), person.wait_for_output(base, run.id));
            assert!(begun.await.is_ok(), "a place is taken by nobody");
        }
        for (person, run) in runs {
            assert_eq!(person.cancel(base, run.id).await.state, RunState::Cancelled);
        }
        assert_eq!(alive_with(marker), Vec::<String>::new());
    }
}

async fn sign_up(server: &Process, name: &str) -> Person {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let nobody = Caller::new(&server.base, client);
    let body = json!({ "email": format!("{name}@example.org"), "username": name, "password": PASSWORD });
    nobody.post("/api/auth/register", &body).await.expect(201);
    let tokens: wire::auth::Tokens = nobody.login(name, PASSWORD).await.expect(200).json();
    let project = nobody.with_bearer(&tokens.access_token).post("/api/projects", &json!({ "name": name })).await.expect(201).id();
    Person::new(tokens.access_token, project)
}

/// A text that no other test's processes have.
fn marker() -> String {
    format!("marker-{}", uuid::Uuid::now_v7().simple())
}

/// Starts a run through the first server that the second one cancels; answers how long that took.
async fn cancel_elsewhere(cluster: &Cluster) -> Duration {
    let [ada, _] = &cluster.people;
    let [first, second] = cluster.bases();
    let run = ada.start_run(&first, "trap '' INT TERM; echo ready; sleep 60").await.unwrap();
    ada.wait_for_output(&first, run.id).await;
    let asked = Instant::now();
    let cancelled = ada.cancel(&second, run.id).await;
    let took = asked.elapsed();
    let exit = cancelled.exit.unwrap_or_else(|| panic!("it goes on after {took:?}"));
    assert_eq!((cancelled.state, exit.kind, exit.left_alive), (RunState::Cancelled, ExitKind::Cancelled, 0));
    eprintln!("a cancel from another server took {took:?}");
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_processes_and_redis_are_killed() {
    let Some(mut redis) = Redis::start() else { return };
    let Some(mut cluster) = Cluster::start(Some(redis.url())).await else { return };
    cluster.workers[1].stop();
    let took = cancel_elsewhere(&cluster).await;
    assert!(took <= Duration::from_secs(2), "a cancel from another server took {took:?}");
    cluster.workers[1].start();

    let marker = marker();
    let load = cluster.load(&marker);
    sleep(Duration::from_secs(4)).await;
    cluster.servers[0].kill();
    cluster.workers[0].kill();
    sleep(Duration::from_secs(1)).await;
    cluster.servers[0].start();
    cluster.workers[0].start();
    sleep(Duration::from_secs(4)).await;

    redis.kill();
    sleep(Duration::from_secs(5)).await;
    let health: wire::admin::Health = reqwest::get(format!("{}/readyz", cluster.servers[1].base)).await.unwrap().json().await.unwrap();
    let check = health.checks.iter().find(|check| check.name == "redis").expect("Redis is named");
    assert!(check.state == wire::admin::CheckState::Warning && check.reason.contains("Not connected"), "{check:?}");
    let took = cancel_elsewhere(&cluster).await;
    assert!(took <= Duration::from_secs(4), "without Redis a cancel from another server took {took:?}");
    sleep(Duration::from_secs(5)).await;
    redis.come_back();
    sleep(Duration::from_secs(4)).await;

    let tally = cluster.settle(load, &marker).await;
    assert!(tally.succeeded >= 20 && tally.lost <= 4, "{tally:?}");
    let health: wire::admin::Health = reqwest::get(format!("{}/readyz", cluster.servers[1].base)).await.unwrap().json().await.unwrap();
    let check = health.checks.iter().find(|check| check.name == "redis").unwrap();
    assert_eq!(check.state, wire::admin::CheckState::Ok, "{check:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_at_random_moments_leave_nothing_behind() {
    let Some(redis) = Redis::start() else { return };
    let Some(mut cluster) = Cluster::start(Some(redis.url())).await else { return };
    let marker = marker();
    let load = cluster.load(&marker);
    for _ in 0..50 {
        let (which, pause, away) = {
            let mut random = rand::rng();
            (random.random_range(0..4), random.random_range(100..1400), random.random_range(0..150))
        };
        sleep(Duration::from_millis(pause)).await;
        let process = if which < 2 { &mut cluster.servers[which] } else { &mut cluster.workers[which - 2] };
        process.kill();
        sleep(Duration::from_millis(away)).await;
        process.start();
    }
    for server in &cluster.servers {
        server.ready().await;
    }
    // So that not everything is killed in the end.
    sleep(Duration::from_secs(4)).await;
    let tally = cluster.settle(load, &marker).await;
    assert!(tally.succeeded > 0 && tally.lost > 0, "the kills hit something, and something went well between them: {tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_everything_works_a_little_later() {
    let Some(mut cluster) = Cluster::start(None).await else { return };
    let took = cancel_elsewhere(&cluster).await;
    assert!(took <= Duration::from_secs(4), "a cancel from another server took {took:?}");
    let marker = marker();
    let load = cluster.load(&marker);
    sleep(Duration::from_secs(5)).await;
    let tally = cluster.settle(load, &marker).await;
    assert!(tally.succeeded > 0 && tally.lost == 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_has_done_its_jobs_replaces_itself() {
    let settings = vec![("WORKER_CONCURRENCY", "2"), ("WORKER_MAX_JOBS", "2"), ("WORKER_LOG_LEVEL", "server=info")];
    let Some(installation) = Installation::new(None, settings).await else { return };
    let (server, mut worker) = (installation.server("server"), installation.worker("worker"));
    server.ready().await;
    let ada = sign_up(&server, "ada").await;
    for _ in 0..5 {
        let run = ada.start_run(&server.base, "echo done").await.unwrap();
        let events = ada.follow(&server.base, run.id).await;
        check_numbers(run.id, &events);
    }
    let replaced = || worker.log().matches("makes room for a new one").count();
    let deadline = Instant::now() + Duration::from_secs(20);
    while replaced() < 2 {
        assert!(Instant::now() < deadline, "it was not replaced:\n{}", worker.log());
        sleep(Duration::from_millis(50)).await;
    }
    assert!(worker.is_running(), "the new one has the old one's number");
    assert!(!worker.log().contains("sandbox: "), "it logs at a level of its own");
}
