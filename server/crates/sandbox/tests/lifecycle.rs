//! Nothing survives: not a stop at any moment, not the end of the command, not the end of the server.
#![allow(clippy::print_stdout)]

mod support;

use sandbox::{ExitKind, Sandbox, StopGrace, TierChoice};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{alive, bed, config, is_root, marker, tiers, until_gone, work_dir};

#[tokio::test]
async fn a_job_that_ignores_every_polite_signal_is_gone_within_a_second() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let m = marker();
        let mut running =
            bed.sandbox.start(bed.spec(&format!("trap '' INT TERM HUP; echo up; while :; do sleep {m}; done"))).await.unwrap();
        running.output.recv().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!alive(&m).is_empty(), "control: it runs");
        let start = Instant::now();
        running.stop(StopGrace::Polite).await;
        println!("{tier:?}: stopped after {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_millis(1050), "{:?}", start.elapsed());
        assert!(alive(&m).is_empty());
        let finished = running.wait().await;
        assert_eq!((finished.exit.kind, finished.left_alive), (ExitKind::Cancelled, 0));
        let mut running = bed.sandbox.start(bed.spec("trap 'echo bye; exit 5' INT; echo up; sleep 60 & wait")).await.unwrap();
        running.output.recv().await.unwrap();
        let stopper = running.stopper();
        stopper.stop(StopGrace::Polite).await;
        let said = running.output.recv().await.unwrap();
        assert_eq!(&said.data[..], b"bye\n", "a polite job has its last word");
        assert_eq!(running.wait().await.exit.code, Some(5));
    }
}

#[tokio::test]
async fn a_daemon_that_keeps_the_output_open_ends_with_its_command() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let m = marker();
        let start = Instant::now();
        let ran = bed.run(&format!("(setsid sh -c 'trap \"\" TERM HUP; sleep {m}; sleep {m}' &) ; sleep 0.1; echo done")).await;
        assert_eq!(ran.out, "done\n");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert!(alive(&m).is_empty());
    }
}

#[tokio::test]
async fn a_kill_at_any_moment_of_the_start_leaves_nothing() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let m = marker();
        for round in 0..80u64 {
            let starting = bed.sandbox.start(bed.spec(&format!("sleep {m}")));
            // Half of them are dropped in the middle of the start, the others killed right after it.
            if round % 2 == 0 {
                let _ = tokio::time::timeout(Duration::from_micros(round * 150), starting).await;
            } else {
                let running = starting.await.unwrap();
                tokio::time::sleep(Duration::from_micros(round * 300)).await;
                running.stop(StopGrace::Kill).await;
                assert_eq!(running.wait().await.left_alive, 0);
            }
        }
        let left = until_gone(&m, Duration::from_secs(2)).await;
        assert!(left.is_empty(), "{tier:?}: {left:?}");
        // Neither the jail nor anything that was to build it: bubblewrap names the directory in its arguments.
        let path = bed.dir.path().display().to_string();
        let left = until_gone(&path, Duration::from_secs(3)).await;
        assert!(left.is_empty(), "{tier:?}: {left:?}");
        let records = std::fs::read_dir(bed.dir.path().join("run/records")).unwrap().count();
        assert_eq!(records, 0, "no record is left");
    }
}

#[tokio::test]
async fn killing_what_started_the_jail_ends_the_jail() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let m = marker();
        let spec = bed.spec(&format!("echo up; sleep {m}"));
        let record = bed.dir.path().join(format!("run/records/{}.json", spec.id));
        let mut running = bed.sandbox.start(spec).await.unwrap();
        running.output.recv().await.unwrap();
        let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
        let outer = record["processes"][1]["pid"].as_i64().unwrap() as i32;
        unsafe { libc::kill(outer, libc::SIGKILL) };
        let running = tokio::time::timeout(Duration::from_secs(3), running.wait()).await;
        let finished = running.expect("the run ends by itself");
        println!("{tier:?}: {:?}", finished.exit);
        assert_eq!(finished.exit.kind, ExitKind::Lost);
        assert!(alive(&m).is_empty());
    }
}

/// Not a test of its own: the server that the next test kills.
#[tokio::test]
#[ignore = "started by a_killed_server_takes_its_jobs_along"]
async fn server_to_be_killed() {
    let (Ok(dir), Ok(m)) = (std::env::var("KILL_TEST_DIR"), std::env::var("KILL_TEST_MARKER")) else {
        return;
    };
    let sandbox = Sandbox::probe(config(dir.clone().into(), TierChoice::Auto)).await;
    let bed = support::Bed { sandbox, dir: tempfile::tempdir_in(&dir).unwrap(), project: uuid::Uuid::now_v7() };
    bed.checkout(bed.project, &[("x", "x")]).await;
    let mut running = bed.sandbox.start(bed.spec(&format!("(setsid sleep {m} &); echo up; sleep {m}"))).await.unwrap();
    running.output.recv().await.unwrap();
    std::fs::write(Path::new(&dir).join("ready"), "").unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_killed_server_takes_its_jobs_along_and_the_next_one_sweeps() {
    let (dir, m) = (work_dir(), marker());
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["server_to_be_killed", "--exact", "--ignored", "--nocapture"])
        .env("KILL_TEST_DIR", dir.path())
        .env("KILL_TEST_MARKER", &m)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !dir.path().join("ready").exists() {
        assert!(start.elapsed() < Duration::from_secs(30), "the server did not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(alive(&m).len() >= 2, "control: the jobs run");
    server.kill().unwrap();
    server.wait().unwrap();
    let left = until_gone(&m, Duration::from_secs(2)).await;
    assert!(left.is_empty(), "the jobs outlived the server: {left:?}");
    let records = || std::fs::read_dir(dir.path().join("run/records")).unwrap().count();
    assert_eq!(records(), 1);
    std::fs::write(
        dir.path()
            .join(
                std::fs::read_dir(dir.path())
                    .unwrap()
                    .flatten()
                    .map(|e| e.file_name().to_string_lossy().into_owned())
                    .find(|n| uuid::Uuid::parse_str(n).is_ok())
                    .unwrap(),
            )
            .join("tmp/half-written"),
        "x",
    )
    .unwrap();
    let next = Sandbox::probe(config(dir.path().to_path_buf(), TierChoice::Auto)).await;
    let report = next.sweep().await;
    println!("{report:?}");
    assert_eq!((report.runs, report.leftovers_removed), (1, 1));
    if is_root() {
        assert_eq!(report.groups_removed, 1);
    }
    assert_eq!(records(), 0);
    let second = Sandbox::probe(config(dir.path().to_path_buf(), TierChoice::Auto)).await;
    assert_eq!(second.probe_result().tier, sandbox::Tier::S0, "one server per work directory");
}

/// Not a test of its own: starts runs without a pause until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by fifty_kills_at_any_moment_leave_nothing"]
async fn busy_server_to_be_killed() {
    let (Ok(dir), Ok(m)) = (std::env::var("KILL_TEST_DIR"), std::env::var("KILL_TEST_MARKER")) else {
        return;
    };
    let sandbox = Sandbox::probe(config(dir.clone().into(), TierChoice::Auto)).await;
    let swept = sandbox.sweep().await;
    std::fs::write(Path::new(&dir).join("swept"), serde_json::to_string(&swept).unwrap()).unwrap();
    let bed = support::Bed { sandbox, dir: tempfile::tempdir_in(&dir).unwrap(), project: uuid::Uuid::now_v7() };
    bed.checkout(bed.project, &[("x", "x")]).await;
    let work = |command: String| {
        let bed = &bed;
        async move {
            loop {
                if let Ok(running) = bed.sandbox.start(bed.spec(&command)).await {
                    let _ = tokio::time::timeout(Duration::from_millis(60), running.wait()).await;
                }
            }
        }
    };
    std::fs::write(Path::new(&dir).join("ready"), "").unwrap();
    let daemon = format!("(setsid sh -c 'trap \"\" TERM HUP INT; sleep {m}' &); trap '' TERM; sleep {m}");
    tokio::join!(work(format!("sleep {m}")), work(daemon), work(format!("sleep {m} | sleep {m} & true")));
}

#[tokio::test]
async fn fifty_kills_at_any_moment_leave_nothing() {
    let start = Instant::now();
    let (mut lanes, mut seen) = (Vec::new(), 0);
    for lane in 0..2u64 {
        lanes.push(tokio::task::spawn_blocking(move || kill_again_and_again(lane, 25)));
    }
    for lane in lanes {
        seen += lane.await.unwrap();
    }
    println!("50 kills in {:?}; {seen} of them found runs alive, and nothing of them lived on", start.elapsed());
    // How many there are depends on how busy the machine is.
    assert!(seen >= 10, "control: servers are killed while something runs");
}

/// How many times something ran at the moment of the kill.
fn kill_again_and_again(lane: u64, times: u64) -> u32 {
    let (dir, m) = (work_dir(), marker());
    let path = dir.path().display().to_string();
    let mut found_alive = 0;
    for round in 0..times {
        let _ = std::fs::remove_file(dir.path().join("ready"));
        let mut server = Command::new(std::env::current_exe().unwrap())
            .args(["busy_server_to_be_killed", "--exact", "--ignored", "--nocapture"])
            .env("KILL_TEST_DIR", dir.path())
            .env("KILL_TEST_MARKER", &m)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        // Some die in the middle of their probe or sweep already, the others at any moment of their work.
        let random = uuid::Uuid::now_v7().as_u128() as u64 % 211;
        if round % 5 != lane {
            while !dir.path().join("ready").exists() && since.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(2));
            }
            assert!(server.try_wait().unwrap().is_none(), "the server works");
        }
        std::thread::sleep(Duration::from_millis(random));
        found_alive += u32::from(!alive(&m).is_empty());
        server.kill().unwrap();
        server.wait().unwrap();
        let killed = Instant::now();
        let own = std::process::id() as i32;
        loop {
            let left: Vec<i32> = alive(&m).into_iter().chain(alive(&path)).filter(|pid| *pid != own).collect();
            if left.is_empty() {
                break;
            }
            assert!(killed.elapsed() < Duration::from_secs(2), "round {round}: {left:?} outlived the server");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let next = Sandbox::probe(config(dir.path().to_path_buf(), TierChoice::Auto)).await;
        let report = next.sweep().await;
        assert_eq!(report.processes_killed, 0, "{report:?}: nothing was left to kill");
        let report = next.sweep().await;
        assert_eq!(report, sandbox::SweepReport::default(), "the second sweep finds nothing at all");
        assert_eq!(std::fs::read_dir(dir.path().join("run/records")).unwrap().count(), 0);
    });
    found_alive
}

#[tokio::test]
async fn sweeping_leaves_own_runs_alone() {
    let Some(bed) = bed(TierChoice::Auto).await else {
        return;
    };
    let m = marker();
    let mut running = bed.sandbox.start(bed.spec(&format!("echo up; sleep {m}"))).await.unwrap();
    running.output.recv().await.unwrap();
    assert_eq!(bed.sandbox.sweep().await.processes_killed, 0);
    assert!(!alive(&m).is_empty());
    drop(running);
    assert!(until_gone(&m, Duration::from_secs(2)).await.is_empty(), "dropping a run ends it");
    let records = || std::fs::read_dir(bed.dir.path().join("run/records")).unwrap().count();
    while records() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_weak_tier_runs_confines_and_cleans_up() {
    let Some(bed) = bed(TierChoice::S1).await else {
        return;
    };
    let m = marker();
    let ran = bed
        .run(&format!("(setsid sleep {m} &); cat readme.md; cat /etc/shadow; ls /root; echo x > new; echo x > /dev/tcp/127.0.0.1/22"))
        .await;
    assert_eq!(ran.out, "hello\n", "{}", ran.err);
    assert!(ran.err.contains("Permission denied"), "{}", ran.err);
    assert!(alive(&m).is_empty());
    let other = work_dir();
    let mut refused = config(other.path().to_path_buf(), TierChoice::S1);
    refused.allow_weak = false;
    let sandbox = Sandbox::probe(refused).await;
    assert_eq!(sandbox.probe_result().tier, sandbox::Tier::S0, "{}", sandbox.probe_result().reason);
    assert!(sandbox.start(bed.spec("true")).await.is_err());
}

#[test]
fn an_unprivileged_server_leaves_nothing_either() {
    if !is_root() {
        println!("SKIPPED: this server is unprivileged already");
        return;
    }
    let tests = ["a_kill_at_any_moment", "killing_what_started", "a_job_that_ignores", "a_killed_server", "fifty_kills"];
    let text = support::Copy::make().run_unprivileged(&tests);
    assert!(text.contains("got S2") && text.contains("5 passed"), "{text}");
    println!("{text}");
}
