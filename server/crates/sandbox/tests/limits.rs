//! Every limit ends a run with its own exit kind, and never the server or a neighbour.
#![allow(clippy::print_stdout)]

mod support;

use sandbox::{ExitKind, Limits, RunDir, Spec, Tier, TierChoice};
use std::time::{Duration, Instant};
use support::{Bed, bed, tiers};
use uuid::Uuid;

fn limited(bed: &Bed, command: &str, change: impl FnOnce(&mut Limits)) -> Spec {
    let mut spec = bed.spec(command);
    change(&mut spec.limits);
    spec
}

#[tokio::test]
async fn fork_bombs_of_two_users_stop_at_the_process_limit() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let neighbour = Uuid::now_v7();
        bed.checkout(neighbour, &[("x", "x")]).await;
        let bomb = ":(){ :|:& :; }; :";
        let one = limited(&bed, bomb, |l| l.pids = 40);
        let mut two = limited(&bed, bomb, |l| l.pids = 40);
        two.dir = RunDir::Checkout(neighbour);
        let start = Instant::now();
        let (one, two, calm) = tokio::join!(bed.run_spec(one), bed.run_spec(two), bed.run("sleep 0.5; (true); echo fine"));
        println!("{tier:?}: {} / {} after {:?}", one.finished.exit.sentence, two.finished.exit.sentence, start.elapsed());
        assert_eq!(calm.out, "fine\n");
        for ended in [one, two] {
            assert_eq!(ended.finished.exit.kind, ExitKind::PidsLimit, "{:?} {}", ended.finished, ended.err);
        }
    }
}

#[tokio::test]
async fn memory_hogs_are_stopped() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let hog = "x = bytearray()\nwhile True: x += b'x' * (1 << 20)";
        let mut spec = limited(&bed, "", |l| l.memory_bytes = 100 << 20);
        spec.argv = vec!["/usr/bin/python3".into(), "-c".into(), hog.into()];
        let ran = bed.run_spec(spec).await;
        assert_eq!(ran.finished.exit.kind, ExitKind::OutOfMemory, "{:?}", ran.finished);
        if ran.finished.tier == Tier::S2 {
            continue;
        }
        // Memory that belongs to no process's heap counts as well.
        for store in ["cat /dev/zero > /dev/shm/x; sleep 9", "cat /dev/zero > /tmp/x; sleep 9"] {
            let spec = limited(&bed, store, |l| {
                l.memory_bytes = 60 << 20;
                l.shm_bytes = 500 << 20;
                l.tmp_bytes = 500 << 20;
            });
            let ran = bed.run_spec(spec).await;
            assert_eq!(ran.finished.exit.kind, ExitKind::OutOfMemory, "{store}: {:?}", ran.finished);
            assert!(ran.finished.usage.peak_memory_bytes > 40 << 20);
        }
    }
}

#[tokio::test]
async fn time_output_and_files_are_limited() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let start = Instant::now();
        let ran = bed.run_spec(limited(&bed, "sleep 60", |l| l.wall = Duration::from_millis(700))).await;
        assert_eq!(ran.finished.exit.kind, ExitKind::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        for flood in ["yes", "tr '\\0' x < /dev/zero", "yes >&2"] {
            let ran = bed.run_spec(limited(&bed, flood, |l| l.output_bytes = 1 << 20)).await;
            assert_eq!(ran.finished.exit.kind, ExitKind::OutputLimit, "{flood}: {:?}", ran.finished);
            assert_eq!(ran.out.len() + ran.err.len(), 1 << 20);
            assert_eq!(ran.finished.usage.output_bytes, 1 << 20);
        }
        let ran = bed.run_spec(limited(&bed, "exec cat /dev/zero > big", |l| l.file_bytes = 1 << 20)).await;
        assert_eq!(ran.finished.exit.kind, ExitKind::DiskLimit, "{:?}", ran.finished);
        let ran = bed.run_spec(limited(&bed, "for i in $(seq 400); do : > many$i; done; sleep 15", |l| l.disk_files = 300)).await;
        assert_eq!(ran.finished.exit.kind, ExitKind::DiskLimit, "{:?}", ran.finished);
        let ran = bed.run_spec(limited(&bed, "head -c 9M /dev/zero > /tmp/x; ulimit -n; ulimit -c", |l| l.tmp_bytes = 4 << 20)).await;
        assert!(ran.err.contains("No space left"), "{}", ran.err);
        assert_eq!(ran.out, "1024\n0\n");
    }
}

#[tokio::test]
async fn exits_are_told_apart() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let ran = bed.run("echo out; echo err >&2; echo both > /dev/stderr; exit 3").await;
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("out\n", "err\nboth\n"));
        assert_eq!((ran.finished.exit.kind, ran.finished.exit.code), (ExitKind::Exited, Some(3)));
        let ran = bed.run("kill -SEGV $$").await;
        assert_eq!((ran.finished.exit.kind, ran.finished.exit.signal), (ExitKind::Signalled, Some(11)));
        let mut spec = bed.spec("");
        spec.argv = vec!["no-such-program".into()];
        let ran = bed.run_spec(spec).await;
        assert_eq!((ran.finished.exit.kind, ran.finished.exit.code), (ExitKind::Exited, Some(127)));
        assert!(ran.finished.exit.sentence.contains("could not be started"), "{}", ran.finished.exit.sentence);
        let mut spec = bed.spec("pwd");
        spec.cwd = "src".into();
        assert_eq!(bed.run_spec(spec).await.out, "/w/src\n");
        let mut spec = bed.spec("true");
        spec.dir = RunDir::Checkout(Uuid::now_v7());
        assert!(bed.sandbox.start(spec).await.is_err(), "no checkout");
    }
}

#[tokio::test]
async fn a_second_processor_is_not_used() {
    if !support::is_root() {
        println!("SKIPPED: needs control groups");
        return;
    }
    let Some(bed) = bed(TierChoice::S3r).await else {
        return;
    };
    let busy = "for i in 1 2 3; do timeout 2 sh -c 'while :; do :; done' & done; wait";
    let ran = bed.run_spec(limited(&bed, busy, |l| l.cpus = 0.5)).await;
    let usage = ran.finished.usage;
    println!("{usage:?}");
    assert!(usage.cpu_ms < usage.wall_ms * 7 / 10 && usage.cpu_ms > 300, "{usage:?}");
}

#[tokio::test]
async fn a_slow_reader_slows_the_job_and_not_the_server() {
    let Some(bed) = bed(TierChoice::Auto).await else {
        return;
    };
    let mut running = bed.sandbox.start(limited(&bed, "yes", |l| l.output_bytes = 1 << 40)).await.unwrap();
    running.output.recv().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    running.stop(sandbox::StopGrace::Kill).await;
    let finished = running.wait().await;
    assert!(finished.usage.output_bytes < 3 << 20, "{:?}", finished.usage);
    assert_eq!(finished.exit.kind, ExitKind::Cancelled);
}
