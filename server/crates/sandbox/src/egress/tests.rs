use super::*;
use std::collections::HashMap;

struct Bench {
    proxy: SocketAddr,
    decisions: mpsc::Receiver<EgressDecision>,
    rules: watch::Sender<Vec<HostRule>>,
    bytes: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

/// A proxy on a port of this machine. `names` gives each name its answers, in the order they are asked for.
async fn bench(rules: &[&str], open: &[&str], names: &[(&str, &[&[&str]])]) -> Bench {
    let rules = rules.iter().map(|r| HostRule(r.to_string())).collect();
    let (rules, current) = watch::channel(rules);
    let (sink, decisions) = mpsc::channel(DECISIONS_IN_FLIGHT);
    let bytes = Arc::new(AtomicU64::new(0));
    let mut table = HashMap::new();
    for (name, answers) in names {
        let answers = answers.iter().map(|a| a.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        table.insert(name.to_string(), answers);
    }
    let open = open.iter().map(|c| c.parse().unwrap()).collect();
    let mut proxy = Proxy::new(current, open, sink, bytes.clone());
    proxy.resolver = Resolver::Table(Arc::new(std::sync::Mutex::new(table)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(proxy.serve(listener));
    Bench { proxy: address, decisions, rules, bytes, task }
}

async fn ask(proxy: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.expect("an answer").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A host that says back whatever it is sent.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn what_is_not_on_the_list_is_refused_without_a_look_up() {
    let mut bench = bench(&["pypi.org"], &[], &[]).await;
    let answer = ask(bench.proxy, "CONNECT example.net:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 example.net:443 is not on this project's list.\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nexample.net:443 is not on this project's list.\n"), "{answer}");
    let told = bench.decisions.recv().await.unwrap();
    assert_eq!((told.host.as_str(), told.port, told.allowed), ("example.net", 443, false));
    assert!(ask(bench.proxy, "CONNECT pypi.org:22 HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 403 "), "another port");
    assert!(ask(bench.proxy, "CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n").await.contains("only names can be allowed"));
    assert!(ask(bench.proxy, "GET http://example.net/ HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 403 "));
    let hosts: Vec<_> = std::iter::from_fn(|| bench.decisions.try_recv().ok()).map(|d| (d.host, d.port)).collect();
    assert_eq!(hosts, [("pypi.org".into(), 22), ("127.0.0.1".into(), 443), ("example.net".into(), 80)]);
    bench.rules.send(vec![HostRule("example.net".into())]).unwrap();
    let answer = ask(bench.proxy, "CONNECT example.net:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.contains("no address was found"), "rules may change while it runs: {answer}");
}

#[tokio::test]
async fn names_that_lead_inside_are_refused() {
    let names: &[(&str, &[&[&str]])] = &[
        ("a.test.org", &[&["127.0.0.1"]]),
        ("b.test.org", &[&["10.1.2.3", "::1"]]),
        ("c.test.org", &[&["169.254.169.254"]]),
        ("d.test.org", &[&["::ffff:192.168.0.1"]]),
        ("e.test.org", &[&["64:ff9b::a9fe:a9fe"]]),
        ("f.test.org", &[&["203.0.113.9"]]),
        ("g.test.org", &[&[]]),
    ];
    let mut bench = bench(&["*.test.org"], &["198.51.100.0/24"], names).await;
    for (name, answers) in names {
        let answer = ask(bench.proxy, &format!("CONNECT {name}:443 HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{name} {answers:?}: {answer}");
        let told = bench.decisions.recv().await.unwrap();
        assert!(!told.allowed && told.host == *name && !told.reason.is_empty(), "{told:?}");
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_the_checked_address_is_used() {
    let port = echo().await;
    let rule = format!("rebind.test.org:{port}");
    // The second answer would be another address; nobody must ask for it.
    let names: &[(&str, &[&[&str]])] = &[("rebind.test.org", &[&["10.0.0.1", "127.0.0.1"], &["127.0.0.2"]])];
    let mut bench = bench(&[&rule], &["127.0.0.1"], names).await;
    let mut stream = TcpStream::connect(bench.proxy).await.unwrap();
    stream.write_all(format!("CONNECT {rule} HTTP/1.1\r\n\r\nearly").as_bytes()).await.unwrap();
    let wanted = b"HTTP/1.1 200 Connection established\r\n\r\nearly";
    let mut got = vec![0; wanted.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, wanted);
    assert_eq!(bench.decisions.recv().await.map(|d| d.allowed), Some(true));
    let answer = ask(bench.proxy, &format!("CONNECT {rule} HTTP/1.1\r\n\r\n")).await;
    assert!(answer.contains("leads to 127.0.0.2"), "the next connection asks again: {answer}");
    stream.write_all(b"late").await.unwrap();
    let mut got = [0; 4];
    stream.read_exact(&mut got).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut got).await.unwrap(), 0, "the end is carried as well");
    assert_eq!(bench.bytes.load(std::sync::atomic::Ordering::Relaxed), 2 * ("early".len() + "late".len()) as u64);
    bench.task.abort();
    let _ = bench.task.await;
    assert!(TcpStream::connect(bench.proxy).await.is_err(), "closed with its run");
}

#[tokio::test]
async fn a_plain_request_reaches_the_host_it_names_and_nothing_follows_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = vec![0; 4096];
        let mut text = String::new();
        while !text.ends_with("body!") {
            let n = stream.read(&mut got).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&got[..n]));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfine").await.unwrap();
        // Whatever else comes would be a smuggled request.
        let more = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut got)).await;
        assert!(matches!(more, Err(_) | Ok(Ok(0)) | Ok(Err(_))), "{more:?}");
        text
    });
    let rule = format!("host.test.org:{port}");
    let bench = bench(&[&rule], &["127.0.0.0/8"], &[("host.test.org", &[&["127.0.0.1"]])]).await;
    let request = format!(
        "POST http://{rule}/p?q HTTP/1.1\r\nHost: evil.net\r\nProxy-Connection: keep-alive\r\nX: y\r\nContent-Length: 5\r\n\r\n\
         body!GET http://evil.net/ HTTP/1.1\r\n\r\n"
    );
    let answer = ask(bench.proxy, &request).await;
    assert!(answer.ends_with("\r\n\r\nfine"), "{answer}");
    let wanted = format!("POST /p?q HTTP/1.1\r\nHost: host.test.org:{port}\r\nX: y\r\nContent-Length: 5\r\nConnection: close\r\n\r\nbody!");
    assert_eq!(seen.await.unwrap(), wanted);
}

#[tokio::test]
async fn a_reader_that_stops_stops_the_host_and_not_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let piece = vec![b'x'; 64 * 1024];
        while stream.write_all(&piece).await.is_ok() {
            counted.fetch_add(piece.len() as u64, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let rule = format!("flood.test.org:{port}");
    let bench = bench(&[&rule], &["127.0.0.1"], &[("flood.test.org", &[&["127.0.0.1"]])]).await;
    let mut stream = TcpStream::connect(bench.proxy).await.unwrap();
    stream.write_all(format!("CONNECT {rule} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    let held = || sent.load(std::sync::atomic::Ordering::Relaxed);
    let mut before = u64::MAX;
    // Sockets on both sides have their buffers; once they are full nothing moves.
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if held() > 0 && held() == before {
            break;
        }
        before = held();
    }
    assert_eq!(held(), before, "still moving after five seconds");
    let mut taken = vec![0; 1 << 20];
    stream.read_exact(&mut taken).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(held() > 0);
}

#[tokio::test]
async fn heads_without_an_end_are_given_up() {
    let bench = bench(&["a.test.org"], &[], &[]).await;
    let long = format!("GET http://a.test.org/ HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD));
    assert!(ask(bench.proxy, &long).await.starts_with("HTTP/1.1 431 "));
    assert!(ask(bench.proxy, "\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_flood_of_refusals_hides_no_allowed_one() {
    let port = echo().await;
    let rule = format!("good.test.org:{port}");
    let mut bench = bench(&[&rule], &["127.0.0.1"], &[("good.test.org", &[&["127.0.0.1"]])]).await;
    for n in 0..DECISIONS_IN_FLIGHT {
        ask(bench.proxy, &format!("CONNECT n{n}.evil.net:443 HTTP/1.1\r\n\r\n")).await;
    }
    let mut stream = TcpStream::connect(bench.proxy).await.unwrap();
    stream.write_all(format!("CONNECT {rule} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    let mut got = [0; 12];
    stream.read_exact(&mut got).await.unwrap();
    let told: Vec<_> = std::iter::from_fn(|| bench.decisions.try_recv().ok()).collect();
    assert!(told.len() <= DECISIONS_IN_FLIGHT && told.last().is_some_and(|d| d.allowed), "{}", told.len());
}
