//! The way into a jail, for previews, and the only way out, the proxy.
#![allow(clippy::print_stdout)]

mod support;

use sandbox::{EgressDecision, EgressPolicy, ExitKind, Network, Spec, StopGrace, Tier, TierChoice};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{Bed, Copy, Outcome, bed, is_root, tiers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::network::HostRule;

fn proxied(mut spec: Spec, rules: &[&str], open: &[&str]) -> Spec {
    spec.network = Network::Proxy(EgressPolicy {
        rules: rules.iter().map(|r| HostRule(r.to_string())).collect(),
        open_addresses: open.iter().map(|c| c.parse().unwrap()).collect(),
    });
    spec
}

/// Runs to the end and collects what the proxy decided.
async fn run(bed: &Bed, spec: Spec) -> (Outcome, Vec<EgressDecision>) {
    let mut running = bed.sandbox.start(spec).await.unwrap();
    let (mut out, mut decisions) = (Vec::new(), Vec::new());
    while let Some(chunk) = running.output.recv().await {
        out.extend_from_slice(&chunk.data);
    }
    while let Some(decision) = running.egress.recv().await {
        decisions.push(decision);
    }
    let finished = running.wait().await;
    assert_eq!(finished.left_alive, 0);
    (Outcome { finished, out: String::from_utf8_lossy(&out).into_owned(), err: String::new() }, decisions)
}

const TWO_LISTENERS: &str = "
import socket, threading, time
def serve(family, address):
    s = socket.socket(family); s.bind(address); s.listen(8)
    def loop():
        while True:
            c, _ = s.accept()
            c.sendall(b'you said ' + c.recv(100)); c.close()
    threading.Thread(target=loop, daemon=True).start()
serve(socket.AF_INET, ('127.0.0.1', 8100))
serve(socket.AF_INET6, ('::1', 8106))
full = socket.socket(); full.bind(('127.0.0.1', 8107)); full.listen(0)
kept = []
for _ in range(4):
    c = socket.socket(); c.setblocking(False); c.connect_ex(('127.0.0.1', 8107)); kept.append(c)
print('up', flush=True)
time.sleep(60)
";

#[tokio::test]
async fn what_listens_inside_is_seen_and_can_be_connected_to() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let mut running = bed.sandbox.start(bed.python_spec(TWO_LISTENERS)).await.unwrap();
        let net = running.net.clone().expect("a network namespace");
        running.output.recv().await.unwrap();
        let start = Instant::now();
        let seen = tokio::time::timeout(Duration::from_secs(3), running.ports.wait_for(|p| p.len() == 3)).await;
        assert_eq!(*seen.expect("seen in time").unwrap(), [8100, 8106, 8107]);
        println!("{tier:?}: seen after {:?}", start.elapsed());
        for port in [8100, 8106, 8100] {
            let mut stream = net.connect(port).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "you said hello", "{port}");
        }
        let refused = net.connect(8999).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(std::net::TcpStream::connect(("127.0.0.1", 8100)).is_err(), "control: it is not a port of the machine");
        // A listener that takes nobody holds up whoever asks for it, for three seconds, and nobody else.
        let (slow, start) = (net.clone(), Instant::now());
        let slow = tokio::spawn(async move { slow.connect(8107).await.map(|_| ()) });
        tokio::time::sleep(Duration::from_millis(100)).await;
        net.connect(8100).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(slow.await.unwrap().unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_millis(3500), "{:?}", start.elapsed());
        net.connect(8100).await.expect("a question whose asker gave up does not confuse the next one");
        running.stop(StopGrace::Kill).await;
        assert!(net.connect(8100).await.is_err(), "the run is over");
        assert!(running.ports.changed().await.is_err(), "nothing more to come");
        running.wait().await;
    }
}

#[tokio::test]
async fn what_a_run_uses_is_told_while_it_runs() {
    for tier in tiers() {
        let Some(bed) = bed(tier).await else { continue };
        let busy = "x = bytearray(b'x' * (60 << 20))\nprint('up', flush=True)\nwhile True: pass";
        let mut running = bed.sandbox.start(bed.python_spec(busy)).await.unwrap();
        running.output.recv().await.unwrap();
        let used = |s: &sandbox::UsageSample| s.cpu_ms > 300 && s.memory_bytes > 60 << 20 && s.memory_bytes < 200 << 20;
        let seen = tokio::time::timeout(Duration::from_secs(6), running.samples.wait_for(used)).await;
        println!("{tier:?}: {:?}", seen.expect("seen in time").unwrap());
        running.stop(StopGrace::Kill).await;
        running.wait().await;
    }
}

#[tokio::test]
async fn a_run_without_a_network_has_no_proxy_and_the_weak_tier_never_has() {
    let Some(bed) = bed(TierChoice::Auto).await else { return };
    let mut running = bed.sandbox.start(bed.spec("env | grep -ci proxy; true")).await.unwrap();
    assert!(running.egress.recv().await.is_none() && running.rules.is_none());
    assert_eq!(&running.output.recv().await.unwrap().data[..], b"0\n");
    running.wait().await;
    let Some(weak) = support::bed(TierChoice::S1).await else { return };
    let refused = weak.sandbox.start(proxied(weak.spec("true"), &["pypi.org"], &[])).await.err().expect("refused");
    assert!(refused.reason.contains("S1"), "{}", refused.reason);
    let running = weak.sandbox.start(weak.spec("sleep 1")).await.unwrap();
    assert!(running.net.is_none() && running.ports.borrow().is_empty());
    running.wait().await;
}

/// A host that answers plain requests and says back what comes through a tunnel.
fn mirror() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

fn answer(mut stream: std::net::TcpStream) {
    let mut got = [0u8; 4096];
    let n = stream.read(&mut got).unwrap_or(0);
    let text = String::from_utf8_lossy(&got[..n]).into_owned();
    let body = if text.starts_with("GET /") {
        let host = text.lines().find(|l| l.starts_with("Host:")).unwrap_or_default();
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nmirror {host}")
    } else {
        format!("echo {text}")
    };
    let _ = stream.write_all(body.as_bytes());
}

/// Runs in a mount namespace with a hosts file of its own; started by the test below it.
#[tokio::test]
#[ignore = "started by the_proxy_reaches_what_is_allowed_and_nothing_inside"]
async fn proxy_with_own_names() {
    use std::net::ToSocketAddrs;
    let port = mirror();
    let meant: Vec<_> = ("private.example.test", 80).to_socket_addrs().unwrap().map(|a| a.ip().to_string()).collect();
    assert_eq!(meant, ["10.1.2.3"], "control: the names are in use");
    assert!(std::net::TcpStream::connect(("127.0.0.2", port)).is_ok(), "control");
    for tier in tiers() {
        let bed = bed(tier).await.expect("the tier works");
        let code = format!(
            "
import errno, http.client, os, socket, urllib.request, urllib.error
print(os.environ['HTTPS_PROXY'], os.environ['NO_PROXY'])
print(urllib.request.urlopen('http://mirror.example.test:{port}/x').read().decode())
c = http.client.HTTPConnection('127.0.0.1', 3128); c.set_tunnel('mirror.example.test', {port}); c.connect()
c.sock.sendall(b'through'); print(c.sock.recv(100).decode())
for name in ('inside', 'private', 'meta', 'mapped', 'other'):
    for url in ('http://%s.example.test/', 'https://%s.example.test/'):
        try: urllib.request.urlopen(url % name); print('REACHED', name)
        except urllib.error.HTTPError as e: print(name, e.code)
        except OSError as e: print(name, '403' if '403' in str(e) else e)
for address in (('127.0.0.2', {port}), ('203.0.113.80', 443), ('10.1.2.3', 80)):
    try: socket.create_connection(address, 2); print('REACHED', address)
    except OSError as e: print(address[0], errno.errorcode[e.errno])
try: socket.getaddrinfo('mirror.example.test', 80); print('REACHED dns')
except OSError as e: print('no names')
s = socket.socket()
try: s.bind(('127.0.0.1', 3128)); print('BOUND')
except OSError as e: print(errno.errorcode[e.errno])
"
        );
        let mirror_rule = format!("mirror.example.test:{port}");
        let rules = [&mirror_rule, "inside.example.test", "private.example.test", "meta.example.test", "mapped.example.test"];
        let (ran, decisions) = run(&bed, proxied(bed.python_spec(&code), &rules, &["127.0.0.2/32"])).await;
        let mut wanted = format!("http://127.0.0.1:3128 localhost,127.0.0.1,::1\nmirror Host: mirror.example.test:{port}\necho through\n");
        for name in ["inside", "private", "meta", "mapped", "other"] {
            wanted.push_str(&format!("{name} 403\n{name} 403\n"));
        }
        wanted.push_str("127.0.0.2 ECONNREFUSED\n203.0.113.80 ENETUNREACH\n10.1.2.3 ENETUNREACH\nno names\nEADDRINUSE\n");
        assert_eq!(ran.out, wanted);
        let allowed = decisions.iter().filter(|d| d.allowed).count();
        assert_eq!((allowed, decisions.len()), (2, 12), "{decisions:#?}");
        assert!(decisions.iter().any(|d| d.reason.contains("leads to 169.254.169.254")), "{decisions:#?}");
        assert!(decisions.iter().any(|d| d.reason == "other.example.test:443 is not on this project's list."));
        assert!(ran.finished.usage.network_bytes > 50, "{:?}", ran.finished.usage);
        rules_change_while_it_runs(&bed, port).await;
    }
}

/// A terminal lives for hours; what its project allows is taken up without opening it again.
async fn rules_change_while_it_runs(bed: &Bed, port: u16) {
    let code = format!(
        "
import http.client, time
def status():
    c = http.client.HTTPConnection('127.0.0.1', 3128); c.request('GET', 'http://mirror.example.test:{port}/'); return c.getresponse().status
print(status(), flush=True)
while status() != 200: time.sleep(0.05)
print('now', flush=True)
time.sleep(60)
"
    );
    let mut running = bed.sandbox.start(proxied(bed.python_spec(&code), &[], &["127.0.0.2"])).await.unwrap();
    assert_eq!(&running.output.recv().await.unwrap().data[..], b"403\n");
    running.rules.as_ref().unwrap().send(vec![HostRule(format!("mirror.example.test:{port}"))]).unwrap();
    let said = tokio::time::timeout(Duration::from_secs(5), running.output.recv()).await.expect("allowed now").unwrap();
    assert_eq!(&said.data[..], b"now\n");
    assert!(!running.ports.borrow().contains(&3128), "the proxy is not one of the run's ports");
    running.stop(StopGrace::Kill).await;
    assert_eq!(running.wait().await.exit.kind, ExitKind::Cancelled);
}

#[test]
fn the_proxy_reaches_what_is_allowed_and_nothing_inside() {
    if !is_root() {
        println!("SKIPPED: names of one's own need a mount namespace, which needs root");
        return;
    }
    let copy = Copy::make();
    let hosts = "127.0.0.1 localhost inside.example.test\n127.0.0.2 mirror.example.test\n10.1.2.3 private.example.test\n\
                 169.254.169.254 meta.example.test\n::ffff:127.0.0.1 mapped.example.test\n203.0.113.9 other.example.test\n";
    std::fs::write(copy.dir.path().join("hosts"), hosts).unwrap();
    let script = format!("mount --bind {}/hosts /etc/hosts && exec \"$@\"", copy.dir.path().display());
    let launcher = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", &script, "sh"];
    println!("{}", copy.run(&launcher, &["proxy_with_own_names", "--exact", "--ignored"]));
}

#[test]
fn an_unprivileged_server_sees_ports_and_connects_as_well() {
    if !is_root() {
        println!("SKIPPED: this server is unprivileged already");
        return;
    }
    let tests = ["what_listens_inside_is_seen_and_can_be_connected_to", "what_a_run_uses_is_told_while_it_runs", "--exact"];
    let text = Copy::make().run_unprivileged(&tests);
    assert!(text.contains("got S2") && text.contains("2 passed"), "{text}");
    println!("{text}");
}

/// Whether this machine can reach a registry at all, by the address its name has here.
fn is_reachable(host: &str) -> bool {
    use std::net::ToSocketAddrs;
    let mut addresses = (host, 443).to_socket_addrs().into_iter().flatten();
    let reached = addresses.any(|a| std::net::TcpStream::connect_timeout(&a, Duration::from_secs(5)).is_ok());
    if !reached {
        println!("SKIPPED: {host} cannot be reached from this machine");
    }
    reached
}

/// Where the machine keeps certificates that its registries need, if it says so.
fn certificates() -> Vec<(String, String)> {
    let names = ["PIP_CERT", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"];
    names
        .iter()
        .filter_map(|n| std::env::var(n).ok().map(|v| (n.to_string(), v)))
        .filter(|(_, v)| v.starts_with("/etc/ssl/certs/"))
        .collect()
}

/// A registry that lives at a documentation or private address here is a mirror that an administrator would open.
fn mirrors(hosts: &[&str]) -> Vec<String> {
    use std::net::ToSocketAddrs;
    hosts.iter().flat_map(|h| (*h, 443).to_socket_addrs().into_iter().flatten()).map(|a| a.ip().to_string()).collect()
}

async fn install(bed: &Bed, command: &str, hosts: &[&str]) -> (Outcome, Vec<EgressDecision>) {
    let open = mirrors(hosts);
    let open: Vec<&str> = open.iter().map(String::as_str).collect();
    let mut spec = proxied(bed.spec(&format!("({command}) 2>&1")), hosts, &open);
    spec.limits.wall = Duration::from_secs(120);
    spec.limits.cpus = 2.0;
    spec.env = certificates();
    let (ran, decisions) = run(bed, spec).await;
    println!("{command}: {}", ran.finished.exit.sentence);
    assert_eq!(ran.finished.exit.code, Some(0), "{}\n{decisions:?}", ran.out);
    assert!(decisions.iter().all(|d| d.allowed || !hosts.contains(&d.host.as_str())), "{decisions:?}");
    (ran, decisions)
}

#[tokio::test]
async fn pip_installs_through_the_proxy_and_another_host_is_denied() {
    if !is_reachable("pypi.org") {
        return;
    }
    let Some(bed) = bed(TierChoice::Auto).await else { return };
    let pip = "python3 -m pip download --no-deps --no-cache-dir --disable-pip-version-check -d wheels six && ls wheels";
    let (ran, decisions) = install(&bed, pip, &["pypi.org", "files.pythonhosted.org"]).await;
    assert!(ran.out.lines().last().is_some_and(|l| l.starts_with("six-")), "{}", ran.out);
    assert!(decisions.iter().any(|d| d.host == "pypi.org" && d.port == 443 && d.allowed), "{decisions:?}");
    assert!(ran.finished.usage.network_bytes > 10_000, "{:?}", ran.finished.usage);
    let (ran, decisions) = run(&bed, proxied(bed.spec(&format!("{pip} 2>&1; echo code $?")), &["example.org"], &[])).await;
    assert!(ran.out.ends_with("code 1\n"), "{}", ran.out);
    assert!(!decisions.is_empty() && decisions.iter().all(|d| !d.allowed && d.host == "pypi.org"), "{decisions:?}");
    assert_eq!(decisions[0].reason, "pypi.org:443 is not on this project's list.");
}

#[tokio::test]
async fn npm_installs_through_the_proxy() {
    if !Path::new("/usr/bin/npm").exists() {
        println!("SKIPPED: npm is not installed in /usr");
        return;
    }
    if !is_reachable("registry.npmjs.org") {
        return;
    }
    let Some(bed) = bed(TierChoice::Auto).await else { return };
    let npm = "npm install --no-audit --no-fund --no-update-notifier isarray@2.0.5 && rm -rf node_modules && npm ci --no-audit --no-fund && ls node_modules";
    let (ran, _) = install(&bed, npm, &["registry.npmjs.org"]).await;
    assert!(ran.out.lines().last() == Some("isarray"), "{}", ran.out);
}

#[tokio::test]
async fn cargo_fetches_through_the_proxy() {
    if !is_reachable("index.crates.io") {
        return;
    }
    let tools = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir_in("/var/tmp").unwrap();
    let dir = support::work_dir();
    let mut config = support::config(dir.path().to_path_buf(), TierChoice::Auto);
    config.extra_paths = vec![copy_toolchain(tools.path())];
    let sandbox = sandbox::Sandbox::probe(config).await;
    assert_ne!(sandbox.probe_result().tier, Tier::S0, "{:?}", sandbox.probe_result());
    let bed = Bed { sandbox, dir, project: uuid::Uuid::now_v7() };
    let manifest = "[package]\nname = \"probe\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\nitoa = \"1\"\n";
    bed.checkout(bed.project, &[("Cargo.toml", manifest), ("src/lib.rs", "")]).await;
    let fetch = "cargo fetch && grep -A1 'name = \"itoa\"' Cargo.lock";
    let (ran, decisions) = install(&bed, fetch, &["index.crates.io", "static.crates.io"]).await;
    assert!(ran.out.contains("Downloaded") && ran.out.contains("itoa"), "{}", ran.out);
    assert!(decisions.iter().any(|d| d.host == "index.crates.io" && d.allowed), "{decisions:?}");
}

/// What `cargo fetch` needs, somewhere the projects' users can read: toolchains often lie in a home they can't enter.
fn copy_toolchain(to: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO")).ancestors().nth(2).unwrap();
    let root = to.join("toolchain");
    let copy = |from: &Path, to: &Path| {
        if std::fs::hard_link(from, to).is_err() {
            std::fs::copy(from, to).unwrap();
        }
    };
    for dir in ["bin", "lib"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    for name in ["cargo", "rustc"] {
        copy(&from.join("bin").join(name), &root.join("bin").join(name));
    }
    for entry in std::fs::read_dir(from.join("lib")).unwrap().flatten() {
        if entry.file_type().unwrap().is_file() {
            copy(&entry.path(), &root.join("lib").join(entry.file_name()));
        }
    }
    root
}
