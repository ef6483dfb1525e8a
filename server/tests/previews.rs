//! What listens inside a run, seen from outside: real programs in the real sandbox, over real sockets.

use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::{Client, RequestBuilder, redirect::Policy};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wire::{
    event::EventKind,
    previews::{PreviewAddress, RunPort},
    runs::Run,
};

use crate::support::{Caller, Options, PATIENCE, TestApp, fixture};

const PROGRAM: &str = include_str!("programs/preview.py");
const BIG: usize = 64 * 1024 * 1024;

/// Ports of this test process alone.
fn own_ports() -> String {
    let first = 20_000 + (std::process::id() % 500) * 20;
    format!("{first}-{}", first + 19)
}

/// `None`, said out loud, where runs have no network of their own.
async fn start(settings: &[(&str, &str)]) -> Option<TestApp> {
    let ports = own_ports();
    let mut all = vec![("PREVIEW_PORTS", ports.as_str())];
    all.extend(settings);
    let app = TestApp::with(Options { worker: true, settings: all, ..Options::default() }).await;
    let python = std::path::Path::new("/usr/bin/python3").exists();
    if !fixture::can_run(&app).await || app.services.settings.no_network.is_some() || !python {
        eprintln!("skipped: no network of their own for runs on this machine, or no Python");
        return None;
    }
    Some(app)
}

fn client() -> Client {
    Client::builder().redirect(Policy::none()).no_proxy().build().unwrap()
}

async fn send(request: RequestBuilder) -> reqwest::Response {
    tokio::time::timeout(PATIENCE, request.send()).await.expect("no answer in time").unwrap()
}

/// Starts a command and waits until as many ports of it are open.
async fn listen(owner: &Caller, project: &str, command: &str, ports: usize) -> (Run, Vec<RunPort>) {
    let run = fixture::start_run(owner, project, command).await;
    let mut events = owner.follow(&format!("/api/live/run:{}", run.id)).await.unwrap();
    let event = events
        .until(|event| match &event.kind {
            EventKind::PortsChanged { ports: open } => open.len() == ports,
            EventKind::RunFinished { exit, .. } => panic!("it ended: {exit:?}"),
            _ => false,
        })
        .await;
    let EventKind::PortsChanged { ports } = event.kind else { unreachable!() };
    (run, ports)
}

async fn with_program(owner: &Caller, name: &str) -> String {
    let project = fixture::project(owner, name).await;
    fixture::file(owner, &project, "preview.py", PROGRAM).await;
    project
}

async fn address(caller: &Caller, run: &Run, port: u16) -> String {
    let path = format!("/api/runs/{}/previews/{port}", run.id);
    caller.post(&path, &json!({})).await.expect(200).json::<PreviewAddress>().url
}

/// A browser that came in with a pass.
struct Visitor {
    origin: String,
    /// `name=value` of the preview's cookie.
    cookie: String,
    client: Client,
}

impl Visitor {
    async fn enter(url: &str) -> Self {
        let client = client();
        let reply = send(client.get(url)).await;
        assert_eq!(reply.status(), 303, "{url}");
        assert_eq!(reply.headers()["location"], "/");
        assert_eq!(reply.headers()["cache-control"], "no-store");
        let cookie = reply.headers()["set-cookie"].to_str().unwrap().to_owned();
        for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Lax"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(cookie.starts_with("cxd_preview") && !cookie.contains("Domain"), "{cookie}");
        let (origin, _) = url.split_once("/__cloudxdevai/").unwrap();
        Self { origin: origin.to_owned(), cookie: cookie.split(';').next().unwrap().to_owned(), client }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.origin)).header("cookie", &self.cookie)
    }

    async fn text(&self, path: &str) -> String {
        let reply = send(self.get(path)).await;
        assert_eq!(reply.status(), 200, "{path}");
        reply.text().await.unwrap()
    }

    fn authority(&self) -> &str {
        self.origin.trim_start_matches("http://")
    }
}

/// A WebSocket spoken by hand.
struct Socket(TcpStream);

impl Socket {
    /// The head of the answer, and the socket after it. `headers` end with a line break each.
    async fn open(connect: &str, host: &str, headers: &str) -> (String, Self) {
        let mut stream = TcpStream::connect(connect).await.unwrap();
        let head = format!(
            "GET /ws HTTP/1.1\r\nhost: {host}\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("no answer in time").unwrap());
        }
        (String::from_utf8(answer).unwrap().to_ascii_lowercase(), Self(stream))
    }

    async fn echo(&mut self, text: &str) -> String {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap()];
        frame.extend(mask);
        frame.extend(text.bytes().enumerate().map(|(i, byte)| byte ^ mask[i % 4]));
        self.0.write_all(&frame).await.unwrap();
        let mut back = vec![0; 2 + text.len()];
        tokio::time::timeout(PATIENCE, self.0.read_exact(&mut back)).await.expect("no echo in time").unwrap();
        String::from_utf8(back.split_off(2)).unwrap()
    }

    /// Waits until the other side has gone.
    async fn ended(mut self) {
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, self.0.read(&mut byte)).await.expect("it is still open");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

async fn is_refused(authority: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(authority).await.is_ok() {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_the_project_see_what_listens_and_nobody_else() {
    let Some(app) = start(&[]).await else { return };
    let (ada, eve) = (app.user("ada").await, app.user("eve").await);
    let project = with_program(&ada, "P").await;
    let (run, ports) = listen(&ada, &project, "exec python3 preview.py one 8080", 1).await;
    let [RunPort { port: 8080, public_port: Some(public) }] = ports[..] else { panic!("{ports:?}") };
    let shown: Run = ada.get(&format!("/api/runs/{}", run.id)).await.expect(200).json();
    assert_eq!(shown.ports, ports);

    let url = address(&ada, &run, 8080).await;
    assert!(url.starts_with(&format!("http://127.0.0.1:{public}/__cloudxdevai/open?pass=")), "{url}");
    let visitor = Visitor::enter(&url).await;
    assert_eq!(visitor.text("/").await, "hello from one");

    // As the page asks.
    let asked = ada.post("/fn/previews/address", &json!({ "run": run.id, "port": 8080 })).await.expect(200).json::<PreviewAddress>().url;
    assert_eq!(Visitor::enter(&asked).await.origin, visitor.origin);

    // A stranger learns nothing from us, nor from the port itself.
    let path = |port: u16| format!("/api/runs/{}/previews/{port}", run.id);
    eve.post(&path(8080), &json!({})).await.expect(404);
    ada.post(&path(8081), &json!({})).await.expect(409);
    let origin = &visitor.origin;
    let direct = send(client().get(origin.as_str())).await;
    assert_eq!(direct.status(), 401);
    assert!(direct.text().await.unwrap().contains("Open this preview from its project"));
    let name = visitor.cookie.split('=').next().unwrap();
    let pass = url.split_once("pass=").unwrap().1;
    let mut forged = visitor.cookie.clone().into_bytes();
    let middle = name.len() + 40;
    forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
    for cookie in [format!("{name}="), format!("{name}={pass}"), String::from_utf8(forged).unwrap(), "cxd_preview=x".to_owned()] {
        assert_eq!(send(client().get(origin.as_str()).header("cookie", &cookie)).await.status(), 401, "{cookie}");
    }
    let ticket = visitor.cookie.split_once('=').unwrap().1;
    for pass in ["", "x", ticket] {
        assert_eq!(send(client().get(format!("{origin}/__cloudxdevai/open?pass={pass}"))).await.status(), 401);
    }
    assert_eq!(send(visitor.get("/__cloudxdevai/other")).await.status(), 404);
    let worker = send(visitor.get("/sw.js").header("service-worker", "script")).await;
    assert_eq!(worker.status(), 403, "a service worker would answer for the next preview on this port");

    // Whoever signs out is out here too.
    ada.post("/api/auth/logout", &json!({})).await;
    let deadline = Instant::now() + PATIENCE;
    while send(visitor.get("/")).await.status() != 401 {
        assert!(Instant::now() < deadline, "still let in");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_is_out_of_previews_too() {
    let Some(app) = start(&[]).await else { return };
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let project = with_program(&ben, "P").await;
    fixture::member(&app, &project, &ada, wire::projects::ProjectRole::Viewer).await;
    let (run, _) = listen(&ben, &project, "exec python3 preview.py one 8080", 1).await;
    let visitor = Visitor::enter(&address(&ben, &run, 8080).await).await;
    let other = Visitor::enter(&address(&ada, &run, 8080).await).await;
    let headers = format!("cookie: {}\r\n", visitor.cookie);
    let (_, mut socket) = Socket::open(visitor.authority(), visitor.authority(), &headers).await;
    assert_eq!(socket.echo("x").await, "x");
    // Whatever was looked up last was so just now.
    assert_eq!(visitor.text("/").await, "hello from one");

    let id = ben.user.as_ref().unwrap().id;
    let began = Instant::now();
    ada.patch(&format!("/api/admin/users/{id}"), &json!({ "state": "disabled" })).await.expect(200);
    socket.ended().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(send(visitor.get("/")).await.status(), 401);
    assert_eq!(other.text("/").await, "hello from one", "others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_goes_in_and_nothing_against_us_comes_out() {
    let Some(app) = start(&[]).await else { return };
    let ada = app.user("ada").await;
    let project = with_program(&ada, "P").await;
    let (run, _) = listen(&ada, &project, "exec python3 preview.py one 8080", 1).await;
    let url = address(&ada, &run, 8080).await;
    let visitor = Visitor::enter(&url).await;

    let cookies = format!("a=1; cxd_session=secret; {}; __Host-cxd_session=secret; b=2", visitor.cookie);
    let request = visitor.client.get(format!("{}/headers", visitor.origin)).header("cookie", cookies);
    let request = request.header("x-forwarded-for", "1.2.3.4").header("x-custom", "kept");
    let seen: Vec<(String, String)> = send(request).await.json().await.unwrap();
    let value = |name: &str| seen.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
    assert_eq!(value("cookie"), ["a=1; b=2"]);
    assert_eq!(value("host"), ["localhost:8080"]);
    assert_eq!(value("x-forwarded-host"), [visitor.authority()]);
    assert_eq!((value("x-forwarded-for"), value("x-forwarded-proto"), value("x-custom")), (vec!["127.0.0.1"], vec!["http"], vec!["kept"]));
    assert!(!format!("{seen:?}").contains("cxd_"), "{seen:?}");

    let reply = send(visitor.get("/cookies")).await;
    let set: Vec<_> = reply.headers().get_all("set-cookie").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
    assert_eq!(set, ["app=1; Path=/"]);
    for gone in ["strict-transport-security", "clear-site-data", "content-security-policy"] {
        assert!(reply.headers().get(gone).is_none(), "{gone}");
    }
    let reply = send(visitor.get("/away")).await;
    assert_eq!((reply.status().as_u16(), reply.headers()["location"].to_str().unwrap()), (302, "/headers"));

    // Both ways as streams.
    let mut pieces = send(visitor.get("/big")).await.bytes_stream();
    let (mut length, mut digest) = (0, Sha256::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.unwrap();
        length += piece.len();
        digest.update(&piece);
    }
    let block: Vec<u8> = (0..=255).collect();
    let mut expected = Sha256::new();
    (0..BIG / 256).for_each(|_| expected.update(&block));
    assert_eq!((length, digest.finalize()), (BIG, expected.finalize()));
    let upload = vec![7_u8; 8 * 1024 * 1024];
    let request = visitor.client.post(format!("{}/", visitor.origin)).header("cookie", &visitor.cookie).body(upload.clone());
    assert_eq!(send(request).await.text().await.unwrap(), hex::encode(Sha256::digest(&upload)));

    // A socket, which a page of another origin can't open without the cookie.
    let host = visitor.authority();
    let (head, _) = Socket::open(host, host, "").await;
    assert!(head.starts_with("http/1.1 401"), "{head}");
    let headers = format!("cookie: cxd_session=secret; {}\r\norigin: {}\r\n", visitor.cookie, visitor.origin);
    let (head, mut socket) = Socket::open(host, host, &headers).await;
    assert!(head.starts_with("http/1.1 101") && head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    assert!(head.contains("x-origin: http://localhost:8080"), "{head}");
    for text in ["one", "two"] {
        assert_eq!(socket.echo(text).await, text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_preview_is_an_origin_of_its_own_and_ends_with_its_run() {
    let Some(app) = start(&[]).await else { return };
    let ada = app.user("ada").await;
    let project = with_program(&ada, "P").await;
    let other = with_program(&ada, "Q").await;
    let (first, _) = listen(&ada, &project, "exec python3 -m http.server 8080", 1).await;
    let (second, ports) = listen(&ada, &other, "python3 preview.py two 8080 & exec python3 preview.py three 9000", 2).await;
    let publics: Vec<_> = ports.iter().filter_map(|port| port.public_port).collect();
    assert!(publics.len() == 2 && publics[0] != publics[1], "{ports:?}");

    let one = Visitor::enter(&address(&ada, &first, 8080).await).await;
    let two = Visitor::enter(&address(&ada, &second, 8080).await).await;
    let three = Visitor::enter(&address(&ada, &second, 9000).await).await;
    assert_eq!([two.text("/").await, three.text("/").await], ["hello from two", "hello from three"]);
    assert_eq!(one.text("/preview.py").await, PROGRAM);
    let head = send(one.client.head(format!("{}/preview.py", one.origin)).header("cookie", &one.cookie)).await;
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, PROGRAM.len().to_string().as_str()));

    // A browser sends the cookies of all ports of a host everywhere; each opens its own preview only.
    let ticket = |visitor: &Visitor| visitor.cookie.split_once('=').unwrap().1.to_owned();
    let name = |visitor: &Visitor| visitor.cookie.split_once('=').unwrap().0.to_owned();
    let swapped = format!("{}={}; {}; {}", name(&two), ticket(&one), one.cookie, three.cookie);
    assert_eq!(send(client().get(&two.origin).header("cookie", swapped)).await.status(), 401);
    let pass = address(&ada, &first, 8080).await;
    let (_, pass) = pass.split_once("pass=").unwrap();
    assert_eq!(send(client().get(format!("{}/__cloudxdevai/open?pass={pass}", two.origin))).await.status(), 401);

    // Stopped: nothing answers, and what was open is cut.
    let headers = format!("cookie: {}\r\n", two.cookie);
    let (_, mut socket) = Socket::open(two.authority(), two.authority(), &headers).await;
    assert_eq!(socket.echo("x").await, "x");
    let endless = send(two.get("/big")).await;
    ada.post(&format!("/api/runs/{}/cancel", second.id), &json!({})).await.expect(200);
    socket.ended().await;
    drop(endless);
    assert!(is_refused(two.authority()).await && is_refused(three.authority()).await);
    let ended: Run = ada.get(&format!("/api/runs/{}", second.id)).await.expect(200).json();
    assert!(ended.ports.is_empty(), "{:?}", ended.ports);
    ada.post(&format!("/api/runs/{}/previews/8080", second.id), &json!({})).await.expect(409);
    assert!(one.text("/").await.contains("preview.py"), "the other run's preview goes on");

    // The port is given to a run again: the old ticket opens nothing.
    let (third, ports) = listen(&ada, &other, "exec python3 preview.py four 8080", 1).await;
    let public = ports[0].public_port.unwrap();
    assert!(publics.contains(&public), "a project gets its port again: {public} of {publics:?}");
    let origin = format!("http://127.0.0.1:{public}");
    assert_eq!(send(client().get(&origin).header("cookie", format!("{}; {}", two.cookie, three.cookie))).await.status(), 401);
    let url = address(&ada, &third, 8080).await;
    let again = Visitor::enter(&url).await;
    assert_eq!(again.text("/").await, "hello from four");

    // What another project stored in the browser under this origin goes first; what this one stored stays.
    let cleared = async |cookie: String| send(client().get(&url).header("cookie", cookie)).await.headers().get("clear-site-data").cloned();
    assert_eq!(cleared(again.cookie.clone()).await, None);
    assert_eq!(cleared(format!("{}={}", name(&again), ticket(&one))).await.unwrap(), "\"cache\", \"storage\"");
    assert_eq!(cleared(String::new()).await.unwrap(), "\"cache\", \"storage\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_restarts_keeps_its_address() {
    let Some(app) = start(&[]).await else { return };
    let ada = app.user("ada").await;
    let project = with_program(&ada, "P").await;
    let command = "python3 preview.py switch 9000 & python3 preview.py one 8080; wait; exec python3 preview.py two 8080";
    let (run, _) = listen(&ada, &project, command, 2).await;
    let visitor = Visitor::enter(&address(&ada, &run, 8080).await).await;
    let switch = Visitor::enter(&address(&ada, &run, 9000).await).await;
    assert_eq!(visitor.text("/").await, "hello from one");

    let mut events = ada.follow(&format!("/api/live/run:{}", run.id)).await.unwrap();
    assert_eq!(visitor.text("/quit").await, "bye");
    events.until(|event| matches!(&event.kind, EventKind::PortsChanged { ports } if ports.len() == 1)).await;
    let down = send(visitor.get("/")).await;
    assert_eq!((down.status().as_u16(), down.headers()["retry-after"].to_str().unwrap()), (502, "2"));
    assert!(down.text().await.unwrap().contains("does not answer on port 8080"));
    assert_eq!(switch.text("/quit").await, "bye");
    let back = |ports: &[RunPort]| ports.len() == 1 && ports[0].port == 8080;
    events.until(|event| matches!(&event.kind, EventKind::PortsChanged { ports } if back(ports))).await;
    assert_eq!(visitor.text("/").await, "hello from two");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_domain_previews_have_names() {
    let settings = [("PREVIEW_DOMAIN", "preview.test"), ("ALLOWED_HOSTS", "127.0.0.1")];
    let Some(app) = start(&settings).await else { return };
    let (ada, eve) = (app.user("ada").await, app.user("eve").await);
    let project = with_program(&ada, "P").await;
    let command = "python3 preview.py one 8080 & exec python3 preview.py two 9000";
    let (run, ports) = listen(&ada, &project, command, 2).await;
    assert!(ports.iter().all(|port| port.public_port.is_none()), "no port is opened: {ports:?}");
    eve.post(&format!("/api/runs/{}/previews/8080", run.id), &json!({})).await.expect(404);

    let site: std::net::SocketAddr = app.base.trim_start_matches("http://").parse().unwrap();
    let url = address(&ada, &run, 8080).await;
    let name = url.trim_start_matches("http://").split(':').next().unwrap().to_owned();
    assert!(name.starts_with("p-") && name.ends_with(".preview.test") && name.len() == "p-.preview.test".len() + 32, "{url}");
    assert!(url.contains(&format!(":{}/", site.port())), "{url}");
    let two = address(&ada, &run, 9000).await;
    assert!(!two.contains(&name), "each port has a name of its own");

    // What a wildcard in DNS would do.
    let client = Client::builder().redirect(Policy::none()).no_proxy().resolve(&name, site).resolve("p-0.preview.test", site);
    let client = client.resolve("other.test", site).resolve("preview.test", site).build().unwrap();
    let origin = format!("http://{name}:{}", site.port());
    let opened = send(client.get(&url)).await;
    assert_eq!(opened.status(), 303);
    let cookie = opened.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("cxd_preview="), "{cookie}");
    let page = send(client.get(&origin).header("cookie", &cookie)).await;
    assert!(page.headers().get("content-security-policy").is_none(), "our own headers are not for a program's pages");
    assert_eq!(page.text().await.unwrap(), "hello from one");
    assert_eq!(send(client.get(&origin)).await.status(), 401);
    assert_eq!(send(client.get(format!("{origin}/api/projects"))).await.status(), 401, "nothing of the site is there");
    let unknown = send(client.get(format!("http://p-0.preview.test:{}/", site.port())).header("cookie", &cookie)).await;
    assert_eq!(unknown.status(), 404);
    for stranger in ["other.test", "preview.test"] {
        assert_eq!(send(client.get(format!("http://{stranger}:{}/", site.port()))).await.status(), 400, "{stranger}");
    }
    let authority = site.to_string();
    let host = format!("{name}:{}", site.port());
    let (head, mut socket) = Socket::open(&authority, &host, &format!("cookie: {cookie}\r\n")).await;
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert_eq!(socket.echo("hi").await, "hi");

    ada.post(&format!("/api/runs/{}/cancel", run.id), &json!({})).await.expect(200);
    socket.ended().await;
    assert_eq!(send(client.get(&origin).header("cookie", &cookie)).await.status(), 404, "closed with the run");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_previews_are_off_ports_are_shown_and_closed() {
    let Some(app) = start(&[("PREVIEW_PORTS", "off")]).await else { return };
    let ada = app.user("ada").await;
    let project = with_program(&ada, "P").await;
    let (run, ports) = listen(&ada, &project, "exec python3 preview.py one 8080", 1).await;
    assert_eq!(ports, [RunPort { port: 8080, public_port: None }]);
    let problem = ada.post(&format!("/api/runs/{}/previews/8080", run.id), &json!({})).await.expect(503).problem();
    assert!(problem.detail.contains("PREVIEW_PORTS"), "{problem:?}");
}
