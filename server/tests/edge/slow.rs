use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, http::Request, routing::get};
use server::{seats::Bounds, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Barrier,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wire::admin::{CheckState, Health};

use crate::support::{PATIENCE, TestApp, fixture};

/// A site of one page, within bounds.
async fn site(bounds: Bounds) -> (SocketAddr, CancellationToken) {
    let router = Router::new().route("/", get(|| async { "here" }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    tokio::spawn(serve::listen_within(listener, router, bounds, stop.clone()));
    (address, stop)
}

pub async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("the connection ends");
    String::from_utf8_lossy(&text).into_owned()
}

async fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    read_all(&mut stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_ends_a_request_is_cut_off_and_holds_nobody_up() {
    let (address, stop) = site(Bounds { head: Duration::from_millis(600), ..Bounds::default() }).await;
    let begun = Instant::now();
    let begins = Arc::new(Barrier::new(51));
    let dripping = (0..50).map(|_| begins.clone()).map(|begins| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        begins.wait().await;
        for piece in b"GET / HTTP/1.1\r\nx-slow: ".iter().chain(std::iter::repeat_n(&b'a', 200)) {
            if stream.write_all(&[*piece]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        read_all(&mut stream).await
    });
    let dripping = tokio::spawn(futures::future::join_all(dripping));
    begins.wait().await;
    let asked = Instant::now();
    assert!(ask(address).await.ends_with("here"));
    assert!(asked.elapsed() < Duration::from_millis(500), "others are served meanwhile");
    let answers = timeout(PATIENCE, dripping).await.unwrap().unwrap();
    assert!(answers.iter().all(|answer| !answer.contains("here")));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // A connection that is kept open without a request ends as well.
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (answer, begun) = (read_all(&mut idle).await, Instant::now());
    assert!(answer.ends_with("here") && begun.elapsed() < Duration::from_secs(5));
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bounds_are_told_so() {
    let (address, stop) = site(Bounds { in_all: 3, ..Bounds::default() }).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        open.push(stream);
    }
    let mut refused = TcpStream::connect(address).await.unwrap();
    let answer = read_all(&mut refused).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
    drop(open);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !ask(address).await.ends_with("here") {
        assert!(Instant::now() < deadline, "places are given back");
        sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_ends_well_while_the_server_stops() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    let address = app.base.strip_prefix("http://").unwrap().to_owned();
    let token = ada.request(reqwest::Method::GET, "/").build().unwrap().headers()["authorization"].to_str().unwrap().to_owned();

    let mut upload = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "PUT /api/projects/{project}/files/slow.txt HTTP/1.1\r\nhost: {address}\r\nauthorization: {token}\r\nif-none-match: *\r\n\
         expect: 100-continue\r\ncontent-length: 10\r\n\r\n"
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    let mut begun = [0; 25];
    upload.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100 Continue\r\n\r\n", "the handler reads");
    upload.write_all(b"half ").await.unwrap();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!("GET /api/live/project:{project} HTTP/1.1\r\nhost: {address}\r\nauthorization: {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut events = String::new();
    while !events.contains("following") {
        let mut piece = [0; 4096];
        let read = timeout(PATIENCE, stream.read(&mut piece)).await.expect("the stream begins").unwrap();
        events.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    let ready = async || {
        let request = Request::builder().uri("/readyz").body(Body::empty()).unwrap();
        let response = app.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice::<Health>(&body).unwrap())
    };
    assert_eq!(ready().await.0, 200);

    app.begin_to_stop();
    let (status, health) = ready().await;
    assert_eq!((status, health.state), (503, CheckState::Failed));
    assert!(health.checks[0].reason.contains("stopping"), "{health:?}");
    events.push_str(&read_all(&mut stream).await);
    assert!(TcpStream::connect(&address).await.is_err(), "no new connections are taken");
    assert!(events.contains("retry: 1000") && events.contains("retry: 2000") && events.contains("connect again"), "{events}");

    upload.write_all(b"full\n").await.unwrap();
    let answer = read_all(&mut upload).await;
    assert!(answer.starts_with("HTTP/1.1 201") && answer.to_lowercase().contains("connection: close"), "{answer}");
    let project = project.parse().unwrap();
    let saved = store::files::latest(&mut app.services.db.read().await.unwrap(), project, "slow.txt").await.unwrap().unwrap();
    assert_eq!(saved.size, 10);
}

/// Its window stays shut, so that nothing more can be sent; the listener gives it up after a while.
#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_of_an_answer_is_cut_off() {
    let router = Router::new().route("/", get(|| async { Body::from(vec![b'x'; 64 << 20]) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let bounds = Bounds { in_all: 1, ..Bounds::default() };
    tokio::spawn(serve::listen_within(listener, router, bounds, stop.clone()));
    let mut stuck = TcpStream::connect(address).await.unwrap();
    stuck.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    stuck.read_exact(&mut head).await.unwrap();
    assert!(ask_for_head(address).await.starts_with("HTTP/1.1 503"), "it holds the only place");
    let begun = Instant::now();
    while !ask_for_head(address).await.starts_with("HTTP/1.1 200") {
        assert!(begun.elapsed() < PATIENCE, "it still holds the only place");
        sleep(Duration::from_millis(200)).await;
    }
    drop(stuck);
    stop.cancel();
}

/// The beginning of an answer; the rest is not waited for.
async fn ask_for_head(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let mut head = [0; 12];
    let _ = timeout(PATIENCE, stream.read_exact(&mut head)).await.expect("an answer");
    String::from_utf8_lossy(&head).into_owned()
}
