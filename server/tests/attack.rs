//! Two people attack at once, with everything that costs; the server goes on answering, and a third person's work is done.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;
use wire::runs::{ExitKind, RunState};

use crate::support::{TestApp, caller::Caller, fixture};

const FORKS: &str = "f() { f | f & f & }; f; sleep 60";
const MEMORY: &str = "exec python3 -c \"a=[]\nwhile True: a.append(bytearray(16 << 20))\"";
const DISK: &str = "i=0; while true; do head -c 20000000 /dev/zero > fill.$i || exit 9; i=$((i+1)); done";
const OUTPUT: &str = "yes 'all work and no play'";

/// What ends each of them, where control groups hold.
const ENDS: [(&str, &[ExitKind]); 4] = [
    (FORKS, &[ExitKind::PidsLimit, ExitKind::TimedOut]),
    (MEMORY, &[ExitKind::OutOfMemory]),
    (DISK, &[ExitKind::DiskLimit]),
    (OUTPUT, &[ExitKind::OutputLimit]),
];

/// What `attacks` gave, and how long the slowest answer took meanwhile.
async fn watch<T>(reader: &Caller, project: &str, attacks: impl Future<Output = T>) -> (T, Duration) {
    let slowest = Cell::new(Duration::ZERO);
    let asking = async {
        loop {
            for address in ["/readyz".to_owned(), format!("/api/projects/{project}/files/a.txt")] {
                let asked = Instant::now();
                reader.get(&address).await.expect(200);
                slowest.set(slowest.get().max(asked.elapsed()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let done = tokio::select! {
        done = attacks => done,
        never = asking => never,
    };
    (done, slowest.get())
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_of_two_people_hold_nobody_else_up() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let (admin, mallory, trudy, ben) = (app.user("ada").await, app.user("mallory").await, app.user("trudy").await, app.user("ben").await);
    let mut settings: serde_json::Value = admin.get("/api/admin/settings/runs").await.expect(200).json();
    let limits = &mut settings["sandbox_exec"];
    limits["wall_s"] = json!(20);
    limits["memory_bytes"] = json!(256 << 20);
    limits["pids"] = json!(64);
    limits["project_bytes"] = json!(128 << 20);
    limits["output_bytes"] = json!(16 << 20);
    let request = admin.request(Method::PUT, "/api/admin/settings/runs").json(&settings);
    admin.send(request).await.expect(200);

    let quiet = fixture::project(&ben, "Quiet").await;
    fixture::file(&ben, &quiet, "a.txt", "still here").await;
    // The checkout is there before it gets loud.
    fixture::run(&ben, &quiet, "true").await;
    let mut started = Vec::new();
    for attacker in [&mallory, &trudy] {
        for (command, ends) in ENDS {
            let project = fixture::project(attacker, "Loud").await;
            started.push((attacker, fixture::start_run(attacker, &project, command).await, ends));
        }
    }
    let work = async {
        // Theirs came first, and they may have two at a time each.
        let asked = Instant::now();
        let done = fixture::run(&ben, &quiet, "python3 -c 'print(sum(range(1000)))'").await;
        assert_eq!((done.state, fixture::output(&ben, &done).await.trim()), (RunState::Succeeded, "499500"), "{done:?}");
        let waited = asked.elapsed();
        let mut ended = Vec::new();
        for (attacker, run, _) in &started {
            ended.push(fixture::finished(attacker, run).await);
        }
        eprintln!("the quiet person's run took {} ms among eight attacks", waited.as_millis());
        ended
    };
    let (ended, slowest) = watch(&ben, &quiet, work).await;
    eprintln!("the slowest answer took {} ms", slowest.as_millis());
    for (run, (_, _, ends)) in ended.iter().zip(&started) {
        let exit = run.exit.as_ref().unwrap();
        assert!(ends.contains(&exit.kind), "{} ended as {exit:?}", run.command);
        assert_eq!(exit.left_alive, 0, "{}", run.command);
    }
    assert_eq!(&ben.get(&format!("/api/projects/{quiet}/files/a.txt")).await.expect(200).body[..], b"still here");
}
