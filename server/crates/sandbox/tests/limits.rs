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
            assert_eq!(ended.finished.exit.sentence, "Stopped: needed more than 40 processes and threads at once.");
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
        assert_eq!(ran.finished.exit.sentence, "Stopped: used more than 100 MiB of memory.");
        // No single process is large; together they are.
        let many = "for i in 1 2 3 4 5 6; do python3 -c 'x = bytearray(b\"x\" * (30 << 20)); import time; time.sleep(20)' & done; wait";
        let ran = bed.run_spec(limited(&bed, many, |l| l.memory_bytes = 100 << 20)).await;
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
        assert_eq!(ran.finished.exit.sentence, "Stopped: ran for longer than 700 ms.");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        for flood in ["yes", "tr '\\0' x < /dev/zero", "yes >&2"] {
            let ran = bed.run_spec(limited(&bed, flood, |l| l.output_bytes = 1 << 20)).await;
            assert_eq!(ran.finished.exit.kind, ExitKind::OutputLimit, "{flood}: {:?}", ran.finished);
            assert_eq!(ran.out.len() + ran.err.len(), 1 << 20);
            assert_eq!(ran.finished.usage.output_bytes, 1 << 20);
            assert_eq!(ran.finished.exit.sentence, "Stopped: wrote more than 1 MiB of output.");
        }
        let ran = bed.run_spec(limited(&bed, "exec cat /dev/zero > big", |l| l.file_bytes = 1 << 20)).await;
        assert_eq!(ran.finished.exit.kind, ExitKind::DiskLimit, "{:?}", ran.finished);
        assert_eq!(ran.finished.exit.sentence, "Stopped: wrote a file larger than 1 MiB.");
        let ran = bed.run_spec(limited(&bed, "for i in $(seq 400); do : > many$i; done; sleep 15", |l| l.disk_files = 300)).await;
        assert_eq!(ran.finished.exit.kind, ExitKind::DiskLimit, "{:?}", ran.finished);
        assert_eq!(ran.finished.exit.sentence, "Stopped: the project's directory grew beyond 300 files.");
        // Written faster than the regular look: the shrinking disk is noticed at once.
        let (fill, start) = ("for i in $(seq 9); do head -c 60M /dev/zero > fill$i; done; sleep 15; rm fill*", Instant::now());
        let ran = bed.run_spec(limited(&bed, fill, |l| l.disk_bytes = 200 << 20)).await;
        assert_eq!(ran.finished.exit.kind, ExitKind::DiskLimit, "{:?}", ran.finished);
        assert_eq!(ran.finished.exit.sentence, "Stopped: the project's directory grew beyond 200 MiB.");
        println!("{tier:?}: a full project was noticed after {:?}", start.elapsed());
        bed.run("rm -f fill* many*").await;
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

#[tokio::test]
async fn terminals_have_the_same_limits() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let hog = "python3 -c \"x = bytearray()\nwhile True: x += b'x' * (1 << 20)\"";
        type Case<'a> = (&'a str, fn(&mut Limits), ExitKind);
        let cases: [Case; 4] = [
            ("yes", |l| l.output_bytes = 1 << 20, ExitKind::OutputLimit),
            ("sleep 60", |l| l.wall = Duration::from_millis(600), ExitKind::TimedOut),
            (hog, |l| l.memory_bytes = 80 << 20, ExitKind::OutOfMemory),
            (":(){ :|:& :; }; :", |l| l.pids = 30, ExitKind::PidsLimit),
        ];
        for (command, change, kind) in cases {
            let mut spec = limited(&bed, command, change);
            spec.kind = sandbox::Kind::Terminal;
            spec.tty = Some((80, 24));
            let ran = bed.run_spec(spec).await;
            assert_eq!(ran.finished.exit.kind, kind, "{tier:?} {command}: {:?}", ran.finished);
        }
    }
}

/// One user does everything at once; the other one notices nothing but a slower machine.
#[tokio::test]
async fn one_users_attacks_leave_the_other_ones_run_alone() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let neighbour = Uuid::now_v7();
        bed.checkout(neighbour, &[("x", "x")]).await;
        let hog = "python3 -c \"x = bytearray()\nwhile True: x += b'x' * (1 << 20)\"";
        let bomb = limited(&bed, ":(){ :|:& :; }; :", |l| l.pids = 60);
        let memory = limited(&bed, hog, |l| l.memory_bytes = 150 << 20);
        let disk = limited(&bed, "n=0; while :; do n=$((n + 1)); head -c 40M /dev/zero > f$n; done", |l| l.disk_bytes = 300 << 20);
        let output = limited(&bed, "tr '\\0' x < /dev/zero", |l| l.output_bytes = 32 << 20);
        let mut calm = bed.spec("for i in 1 2 3 4 5; do sleep 0.2; (echo step $i); done; cat x");
        calm.dir = RunDir::Checkout(neighbour);
        let start = Instant::now();
        let other = async {
            let ran = bed.run_spec(calm).await;
            (ran, start.elapsed())
        };
        // What a server does meanwhile: answer at once.
        let mut worst = Duration::ZERO;
        let heartbeat = async {
            for _ in 0..40 {
                let before = Instant::now();
                tokio::time::sleep(Duration::from_millis(25)).await;
                let path = bed.tree().join("readme.md");
                tokio::fs::read(path).await.unwrap();
                worst = worst.max(before.elapsed());
            }
        };
        let (bomb, memory, disk, output, (calm, took), ()) =
            tokio::join!(bed.run_spec(bomb), bed.run_spec(memory), bed.run_spec(disk), bed.run_spec(output), other, heartbeat);
        println!("{tier:?}: the other run took {took:?}, the slowest read {worst:?}, everything {:?}", start.elapsed());
        assert!(calm.out.ends_with("step 5\nx") && calm.finished.exit.code == Some(0), "{:?} {}", calm.finished, calm.err);
        assert!(took < Duration::from_secs(8) && worst < Duration::from_millis(500), "{took:?} {worst:?}");
        let kinds = [bomb, memory, disk, output].map(|r| r.finished.exit.kind);
        assert_eq!(kinds, [ExitKind::PidsLimit, ExitKind::OutOfMemory, ExitKind::DiskLimit, ExitKind::OutputLimit]);
    }
}

#[test]
fn an_unprivileged_server_keeps_the_same_limits() {
    if !support::is_root() {
        println!("SKIPPED: this server is unprivileged already");
        return;
    }
    let tests = ["terminals_have_the_same_limits", "memory_hogs_are_stopped", "fork_bombs_of_two_users_stop_at_the_process_limit"];
    let text = support::Copy::make().run_unprivileged(&tests);
    assert!(text.contains("got S2") && text.contains("3 passed"), "{text}");
}
