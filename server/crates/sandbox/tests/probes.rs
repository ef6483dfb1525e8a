//! What the probe chooses on machines that lack something, each made for real: a tool that is missing or old, a kernel that
//! refuses namespaces, a masked /proc, control groups that can't be written.
#![allow(clippy::print_stdout)]

mod support;

use sandbox::{Config, Probe, RefusedKind, Sandbox, Tier, TierChoice};
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use support::{Copy, NOBODY, bed, config, is_root, work_dir};

async fn probe(change: impl FnOnce(&mut Config)) -> (Probe, tempfile::TempDir) {
    let dir = work_dir();
    let mut config = config(dir.path().to_path_buf(), TierChoice::Auto);
    change(&mut config);
    let sandbox = Sandbox::probe(config).await;
    let probe = sandbox.probe_result().clone();
    println!("{}: {} → {:?}", probe.tier, probe.reason, probe.next);
    assert_eq!(probe.tier == Tier::S0, sandbox_refuses(&sandbox).await);
    (probe, dir)
}

async fn sandbox_refuses(sandbox: &Sandbox) -> bool {
    let spec = sandbox::Spec {
        id: uuid::Uuid::now_v7(),
        kind: sandbox::Kind::SandboxExec,
        argv: vec!["true".into()],
        dir: sandbox::RunDir::Checkout(uuid::Uuid::now_v7()),
        cwd: String::new(),
        env: Vec::new(),
        limits: sandbox::Limits::default(),
        network: sandbox::Network::None,
        tty: None,
    };
    matches!(sandbox.start(spec).await, Err(e) if e.kind == RefusedKind::NoSandbox && e.reason.contains("cannot be run"))
}

fn finding<'a>(probe: &'a Probe, name: &str) -> &'a sandbox::Finding {
    probe.findings.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("{name} in {:#?}", probe.findings))
}

fn script(dir: &Path, text: &str) -> std::path::PathBuf {
    let path = dir.join("bwrap");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn this_machine_says_what_it_has_and_what_would_be_better() {
    let (probe, _dir) = probe(|_| ()).await;
    let strongest = if is_root() { Tier::S3r } else { Tier::S3 };
    assert_eq!(probe.next.is_none(), probe.tier == strongest, "{probe:?}");
    let tier = finding(&probe, "tier");
    assert_eq!(tier.ok, probe.next.is_none());
    assert!(tier.detail.starts_with(&format!("{}: ", probe.tier)), "{}", tier.detail);
    assert_eq!(tier.advice, probe.next);
    if is_root() {
        assert_eq!(probe.tier, Tier::S3r, "root with control groups gets the strongest");
        let (weaker, _dir) = self::probe(|c| c.tier = TierChoice::S2).await;
        assert!(weaker.tier == Tier::S2 && weaker.next.unwrap().contains("SANDBOX_TIER=auto"));
    }
}

#[tokio::test]
async fn without_bubblewrap_or_with_an_old_one_only_the_weak_tier_is_left_and_has_to_be_allowed() {
    let tools = work_dir();
    let old = script(tools.path(), "#!/bin/sh\necho '--unshare-user --bind --ro-bind'\n");
    let missing = tools.path().join("nothing");
    for (path, says) in [(missing, "bubblewrap is not installed"), (old, "bubblewrap is too old")] {
        let (refused, _dir) = probe(|c| (c.bwrap, c.allow_weak) = (Some(path.clone()), false)).await;
        assert_eq!(refused.tier, Tier::S0);
        assert!(refused.reason.contains(says) && refused.reason.contains("SANDBOX_ALLOW_WEAK"), "{}", refused.reason);
        assert!(refused.next.as_ref().is_some_and(|n| n.contains("Install bubblewrap")), "{:?}", refused.next);
        assert!(!finding(&refused, "bubblewrap").ok && finding(&refused, "bubblewrap").advice.is_some());
        let (weak, _dir) = probe(|c| (c.bwrap, c.allow_weak) = (Some(path.clone()), true)).await;
        assert_eq!(weak.tier, Tier::S1, "{}", weak.reason);
        assert!(weak.reason.contains("by the administrator's choice") && weak.reason.contains(says), "{}", weak.reason);
        let (chosen, _dir) = probe(|c| (c.bwrap, c.tier) = (Some(path), TierChoice::S2)).await;
        assert_eq!(chosen.tier, Tier::S0, "a tier that was asked for by name is not silently replaced");
    }
}

#[tokio::test]
async fn a_sandbox_that_starts_and_does_nothing_is_not_believed() {
    let tools = work_dir();
    let liar = script(tools.path(), "#!/bin/sh\ncase \"$1\" in --help) echo '--disable-userns --bind-fd';; *) exit 0;; esac\n");
    let (probe, _dir) = probe(|c| (c.bwrap, c.allow_weak) = (Some(liar), false)).await;
    assert_eq!(probe.tier, Tier::S0, "{}", probe.reason);
    assert!(!finding(&probe, "namespaces").ok);
}

#[tokio::test]
async fn unusable_settings_are_refused_with_their_reason() {
    let (taken, dir) = probe(|_| ()).await;
    assert_ne!(taken.tier, Tier::S0);
    let (probe_of_file, _dir) = probe(|c| {
        let file = c.work_dir.join("file");
        std::fs::write(&file, "").unwrap();
        c.work_dir = file;
    })
    .await;
    assert!(probe_of_file.tier == Tier::S0 && probe_of_file.reason.contains("work directory"), "{}", probe_of_file.reason);
    let (paths, _dir) = probe(|c| c.extra_paths = ["/etc", "/tmp", "/no/such", "/usr/share"].map(Into::into).to_vec()).await;
    assert_eq!(paths.findings.iter().filter(|f| f.name == "extra path").count(), 3, "{:#?}", paths.findings);
    let wrong = if is_root() { TierChoice::S3 } else { TierChoice::S3r };
    let (wrong, _dir) = probe(|c| c.tier = wrong).await;
    assert!(wrong.tier == Tier::S0 && wrong.reason.contains("root"), "{}", wrong.reason);
    drop(dir);
}

/// Not a test of its own: prints what the probe finds where it is started.
#[tokio::test]
#[ignore = "started by the tests below, inside a machine that lacks something"]
async fn what_is_found_here() {
    let (strict, _dir) = probe(|c| c.allow_weak = false).await;
    let (weak, _dir) = probe(|_| ()).await;
    for (name, probe) in [("strict", strict), ("weak", weak)] {
        println!("{name} {}", serde_json::to_string(&probe).unwrap());
    }
}

/// Probes twice, without and with the weak tier allowed, after `prepare` has made the machine poorer.
fn poorer(unshare: &[&str], prepare: &str) -> [serde_json::Value; 2] {
    let copy = Copy::make();
    std::fs::set_permissions(copy.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // What was kept to prepare the machine is given up before the server starts.
    let script = format!("{prepare} && exec /usr/bin/setpriv --ambient-caps -all --inh-caps -all \"$@\"");
    let mut launcher = vec!["/usr/bin/unshare"];
    launcher.extend(unshare);
    launcher.extend(["/bin/sh", "-c", &script, "sh"]);
    let text = copy.run(&launcher, &["what_is_found_here", "--exact", "--ignored"]);
    println!("{text}");
    ["strict ", "weak "].map(|name| {
        let line = text.lines().find_map(|l| l.strip_prefix(name)).expect("a probe");
        serde_json::from_str(line).unwrap()
    })
}

/// A user namespace in which we are an ordinary user without privileges.
const ORDINARY: [&str; 7] = ["--user", "--map-user", NOBODY, "--map-group", NOBODY, "--mount", "--keep-caps"];

fn needs_root() -> bool {
    if !is_root() {
        println!("SKIPPED: making a poorer machine needs root");
    }
    !is_root()
}

#[test]
fn where_namespaces_are_refused_there_is_a_reason_and_a_next_step() {
    if needs_root() {
        return;
    }
    let [strict, weak] = poorer(&ORDINARY, "echo 0 > /proc/sys/user/max_user_namespaces");
    assert_eq!((strict["tier"].as_str(), weak["tier"].as_str()), (Some("S0"), Some("S1")), "{strict:#}");
    assert!(strict["next"].as_str().unwrap().contains("user namespaces"), "{strict:#}");
    assert!(weak["next"].as_str().unwrap().contains("user namespaces"), "{weak:#}");
}

#[test]
fn where_proc_is_masked_there_is_a_reason_and_a_next_step() {
    if needs_root() {
        return;
    }
    // As container engines do it: parts of /proc are covered, and the kernel then refuses a fresh one.
    let [strict, weak] = poorer(&ORDINARY, "mount --bind /dev/null /proc/keys && mount -t tmpfs none /proc/bus");
    assert_eq!((strict["tier"].as_str(), weak["tier"].as_str()), (Some("S0"), Some("S1")), "{strict:#}");
    assert!(strict["next"].as_str().unwrap().contains("unmasked /proc"), "{strict:#}");
    let namespaces = strict["findings"].as_array().unwrap().iter().find(|f| f["name"] == "namespaces").unwrap();
    assert!(namespaces["detail"].as_str().unwrap().contains("proc"), "{namespaces}");
}

#[test]
fn where_control_groups_are_read_only_the_memory_limit_is_best_effort_and_says_so() {
    if needs_root() {
        return;
    }
    let read_only =
        "for d in $(awk '$5 ~ /^.sys.fs.cgroup/ {print $5}' /proc/self/mountinfo | sort -r); do mount -o remount,bind,ro $d; done";
    let [strict, _] = poorer(&["--mount"], read_only);
    assert_eq!((strict["tier"].as_str(), strict["cgroup"].as_str()), (Some("S2"), Some("none")), "{strict:#}");
    assert!(strict["next"].as_str().unwrap().contains("control group"), "{strict:#}");
    let groups = strict["findings"].as_array().unwrap().iter().find(|f| f["name"] == "control groups").unwrap();
    assert_eq!(groups["ok"], false, "{groups}");
}

#[tokio::test]
async fn where_no_command_starts_in_a_control_group_namespaces_alone_are_tried() {
    if needs_root() {
        return;
    }
    let tools = work_dir();
    // Refuses as long as the run has a control group of its own, below the one that belongs to this work directory.
    let without_groups = |c: &mut Config| {
        let name = hex::encode(Sha256::digest(c.work_dir.canonicalize().unwrap().as_os_str().as_encoded_bytes()));
        let groups = format!("/usr/bin/find /sys/fs/cgroup -path '*/cloudxdevai-{}/*-*' 2>/dev/null", &name[..12]);
        let text =
            format!("#!/bin/sh\nif [ -n \"$({groups})\" ]; then echo 'no group for me' >&2; exit 1; fi\nexec /usr/bin/bwrap \"$@\"\n");
        c.bwrap = Some(script(tools.path(), &text));
    };
    let (probe, _dir) = self::probe(|c| {
        without_groups(c);
        c.allow_weak = false;
    })
    .await;
    assert_eq!((probe.tier, probe.cgroup), (Tier::S2, sandbox::CgroupBackend::None), "{probe:#?}");
    assert!(probe.reason.contains("S3r does not") && probe.reason.contains("no group for me"), "{}", probe.reason);
    let groups = finding(&probe, "control groups");
    assert!(!groups.ok && groups.advice.is_some() && groups.detail.contains("no group for me"), "{groups:?}");
    assert!(finding(&probe, "namespaces").ok && probe.findings.iter().filter(|f| f.name == "namespaces").count() == 1);
    assert!(probe.next.as_ref().is_some_and(|next| next.contains("control group")), "{:?}", probe.next);
    let (chosen, _dir) = self::probe(|c| {
        without_groups(c);
        c.tier = TierChoice::S3r;
    })
    .await;
    assert_eq!(chosen.tier, Tier::S0, "a tier that was asked for by name is not silently replaced");
}

#[test]
fn an_ordinary_server_reaches_s2_and_is_told_about_s3() {
    if needs_root() {
        return;
    }
    let text = Copy::make().run_unprivileged(&["what_is_found_here", "--exact", "--ignored"]);
    let line = text.lines().find_map(|l| l.strip_prefix("strict ")).unwrap();
    let probe: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(probe["tier"], "S2", "{probe:#}");
    assert!(probe["next"].as_str().unwrap().contains("Delegate=yes"), "{probe:#}");
}

/// The control for all of these: the same program, in a namespace of its own, with nothing taken away.
#[test]
fn where_nothing_is_missing_the_strongest_tier_is_found() {
    if needs_root() {
        return;
    }
    let [strict, _] = poorer(&["--mount"], "true");
    assert_eq!(strict["tier"], "S3r", "{strict:#}");
    let [strict, _] = poorer(&ORDINARY, "true");
    assert_eq!(strict["tier"], "S2", "{strict:#}");
}

#[tokio::test]
async fn each_run_says_its_tier() {
    for tier in support::tiers() {
        let Some(bed) = bed(tier).await else { continue };
        assert_eq!(bed.run("true").await.finished.tier, bed.sandbox.probe_result().tier);
    }
}
