//! Uploads in pieces and in bulk over REST, across the end of the server, and the same promises of every route of bytes.

use reqwest::Method;
use serde_json::{Value, json};
use wire::{
    ErrorCode,
    files::{Base, BatchOutcome, Entry, Tree, Upload},
};

use crate::support::{
    self, Caller, Options, Reply, TestApp, data_folder, fixture,
    program::{Program, free_port},
};

async fn begin(caller: &Caller, project: &str, path: &str, size: usize) -> String {
    let request = json!({ "path": path, "size": size, "base": "new" });
    caller.post(&format!("/api/projects/{project}/uploads"), &request).await.expect(201).id()
}

async fn piece(caller: &Caller, id: &str, offset: usize, bytes: Vec<u8>) -> Reply {
    caller.send(caller.request(Method::PATCH, &format!("/api/uploads/{id}")).header("upload-offset", offset).body(bytes)).await
}

fn form_of(manifest: &Value, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut form = format!("--cut\r\ncontent-disposition: form-data; name=\"manifest\"\r\n\r\n{manifest}\r\n").into_bytes();
    for part in parts {
        form.extend_from_slice(b"--cut\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n");
        form.extend_from_slice(part);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--cut--\r\n");
    form
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n * 31 + n / 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_become_a_file() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let whole = pattern(300_000);
    let upload = begin(&ada, &id, "dir/big.bin", whole.len()).await;
    let first = piece(&ada, &upload, 0, whole[..100_000].to_vec()).await.expect(202);
    assert_eq!((first.header("upload-offset"), first.json::<Upload>().received), (Some("100000"), 100_000));
    let elsewhere = piece(&ada, &upload, 7, vec![1]).await.expect(409).problem();
    assert_eq!(elsewhere.current.unwrap()["received"], 100_000);
    assert_eq!(ada.get(&format!("/api/uploads/{upload}")).await.expect(200).header("upload-offset"), Some("100000"));
    ada.send(ada.request(Method::PATCH, &format!("/api/uploads/{upload}")).body("x")).await.expect(400);
    let last = piece(&ada, &upload, 100_000, whole[100_000..].to_vec()).await.expect(201);
    assert_eq!((last.json::<Entry>().size, last.header("x-file-version")), (300_000, Some("1")));
    assert_eq!(ada.get(&format!("/api/projects/{id}/files/dir/big.bin")).await.body, whole);
    ada.get(&format!("/api/uploads/{upload}")).await.expect(404);
    let dropped = begin(&ada, &id, "dropped", 10).await;
    ada.delete(&format!("/api/uploads/{dropped}")).await.expect(204);
    piece(&ada, &dropped, 0, vec![1]).await.expect(404);
}

/// A piece that breaks off in the middle leaves nothing, and the upload goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_breaks_off_counts_for_nothing() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let upload = begin(&ada, &id, "a", 8).await;
    let broken = futures::stream::iter([Ok(b"0123".to_vec()), Err(std::io::Error::other("the line went dead"))]);
    let request = ada.request(Method::PATCH, &format!("/api/uploads/{upload}")).header("upload-offset", 0);
    assert!(request.body(reqwest::Body::wrap_stream(broken)).send().await.is_err());
    assert_eq!(ada.get(&format!("/api/uploads/{upload}")).await.json::<Upload>().received, 0);
    piece(&ada, &upload, 0, b"abcdefgh".to_vec()).await.expect(201);
    assert_eq!(&ada.get(&format!("/api/projects/{id}/files/a")).await.body[..], b"abcdefgh");
}

/// The server dies between two pieces, and another process takes the rest.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_the_server_has_died() {
    llm::install_crypto();
    let data = data_folder();
    let port = free_port();
    let program = Program::start(data.path(), port).await;
    let register = json!({ "email": "ada@example.org", "username": "ada", "password": support::PASSWORD });
    program.caller().post("/api/auth/register", &register).await.expect(201);
    let ada = program.caller().sign_in("ada", support::PASSWORD).await;
    let id = fixture::project(&ada, "P").await;
    let whole = pattern(1_000_000);
    let upload = begin(&ada, &id, "big.bin", whole.len()).await;
    piece(&ada, &upload, 0, whole[..400_000].to_vec()).await.expect(202);
    // Killed, not stopped.
    drop(program);
    let program = Program::start(data.path(), port).await;
    let received = ada.get(&format!("/api/uploads/{upload}")).await.expect(200).json::<Upload>().received as usize;
    assert_eq!(received, 400_000);
    piece(&ada, &upload, received, whole[received..].to_vec()).await.expect(201);
    assert_eq!(ada.get(&format!("/api/projects/{id}/files/big.bin")).await.body, whole);
    program.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_tells_each_file() {
    let app = TestApp::with(Options { settings: vec![("STORAGE_FILE_SIZE_LIMIT", "64KB")], ..Options::default() }).await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "there", "old").await;
    let batch = async |manifest: Value, parts: Vec<Vec<u8>>| {
        let request = ada.request(Method::POST, &format!("/api/projects/{id}/files:batch"));
        ada.send(request.header("content-type", "multipart/form-data; boundary=cut").body(form_of(&manifest, &parts))).await
    };
    let manifest = json!([
        { "path": "a/new", "base": "new" },
        { "path": "there", "base": "new" },
        { "path": "large", "base": "new" },
        { "path": "THERE", "base": "new" },
        { "path": "there", "base": { "version": 1 } },
    ]);
    let before = ada.get(&format!("/api/projects/{id}/tree")).await.json::<Tree>().revision;
    let parts = vec![b"1".to_vec(), b"2".to_vec(), vec![0; 65 * 1024], b"4".to_vec(), b"5".to_vec()];
    let outcomes: Vec<BatchOutcome> = batch(manifest, parts).await.expect(200).json();
    assert!(matches!(&outcomes[0], BatchOutcome::Saved { entry } if entry.path == "a/new"), "{outcomes:?}");
    assert!(matches!(&outcomes[1], BatchOutcome::Conflict { current: Some(entry), .. } if entry.version == 1), "{outcomes:?}");
    assert!(matches!(&outcomes[2], BatchOutcome::Refused { path, .. } if path == "large"), "{outcomes:?}");
    assert!(matches!(&outcomes[3], BatchOutcome::Refused { reason, .. } if reason.contains("there")), "{outcomes:?}");
    assert!(matches!(&outcomes[4], BatchOutcome::Saved { entry } if entry.version == 2), "{outcomes:?}");
    let tree: Tree = ada.get(&format!("/api/projects/{id}/tree")).await.json();
    assert_eq!(tree.revision, before + 1, "one revision");
    for (manifest, parts) in
        [(json!([{ "path": "b", "base": "new" }]), vec![]), (json!([]), vec![b"x".to_vec()]), (json!({ "path": "b" }), vec![b"x".to_vec()])]
    {
        assert_eq!(batch(manifest, parts).await.expect(422).problem().code, ErrorCode::Invalid);
    }
    assert_eq!(ada.get(&format!("/api/projects/{id}/tree")).await.json::<Tree>(), tree);
}

/// Whatever the route and the version, a project's content is a download without type games, scripts or origin.
#[tokio::test(flavor = "multi_thread")]
async fn no_route_of_bytes_shows_them_as_ours() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let script = "<script>alert(1)</script>";
    for name in ["x.html", "x.svg", "x.xhtml", "x.js", "x.pdf", "x.xml", "x", "x.htm\u{a0}", "%22;y.html"] {
        let etag = fixture::file(&ada, &id, name, script).await;
        let path = format!("/api/projects/{id}/files/{name}");
        let ranged = ada.request(Method::GET, &path).header("range", "bytes=0-3");
        let known = ada.request(Method::GET, &path).header("if-none-match", &etag);
        let head = ada.request(Method::HEAD, &path);
        for (reply, status) in [
            (ada.get(&path).await, 200),
            (ada.get(&format!("{path}?version=1")).await, 200),
            (ada.send(ranged).await, 206),
            (ada.send(known).await, 304),
            (ada.send(head).await, 200),
        ] {
            let reply = reply.expect(status);
            assert!(reply.header("content-disposition").unwrap().starts_with("attachment"), "{name}");
            let policy = reply.header("content-security-policy").unwrap();
            assert!(policy.contains("sandbox") && policy.contains("default-src 'none'") && !policy.contains("allow"), "{policy}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            assert!(reply.header("set-cookie").is_none());
        }
    }
    // Every other route that sends what somebody brought.
    let picture =
        ada.request(Method::POST, &format!("/api/projects/{id}/images?name=x.png")).body(b"\x89PNG\r\n\x1a\n and pixels".to_vec());
    let picture = ada.send(picture).await.expect(201).field("checksum");
    let run = fixture::start_run(&ada, &id, "true").await.id;
    let talk = ada.post(&format!("/api/projects/{id}/conversations"), &json!({ "title": script })).await.expect(201).id();
    let routes = [
        format!("/api/runs/{run}/output"),
        format!("/api/conversations/{talk}/export?format=markdown"),
        format!("/api/conversations/{talk}/export?format=json"),
        format!("/api/projects/{id}/images/{}", picture.as_str().unwrap()),
        format!("/api/projects/{id}/archive"),
    ];
    for route in &routes {
        let reply = ada.get(route).await.expect(200);
        assert!(reply.header("content-disposition").unwrap().starts_with("attachment"), "{route}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("sandbox") && policy.contains("default-src 'none'") && !policy.contains("allow"), "{route}: {policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{route}");
        assert!(reply.header("set-cookie").is_none());
    }
}

/// Links lead nowhere on the server, by whatever route they are named.
#[tokio::test(flavor = "multi_thread")]
async fn links_are_never_followed() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "real.txt", "real").await;
    let made = "ln -s /etc/passwd out && ln -s real.txt inside && ln -s .. up && ln -s loop loop && mkdir d && ln -s ../real.txt d/deep && ln -s d dir";
    let run = fixture::run(&ada, &id, made).await;
    assert_eq!(run.changes.len(), 6, "{run:?}");
    let tree: Tree = ada.get(&format!("/api/projects/{id}/tree")).await.json();
    let links: Vec<_> = tree.items.iter().filter(|e| e.kind == wire::files::EntryKind::Symlink).map(|e| e.path.as_str()).collect();
    assert_eq!(links, ["d/deep", "dir", "inside", "loop", "out", "up"]);
    let base = format!("/api/projects/{id}");
    for (path, target) in [("out", "/etc/passwd"), ("inside", "real.txt"), ("up", ".."), ("loop", "loop"), ("d/deep", "../real.txt")] {
        let reply = ada.get(&format!("{base}/files/{path}")).await.expect(200);
        assert_eq!((&reply.body[..], reply.header("content-type")), (target.as_bytes(), Some("inode/symlink")), "{path}");
    }
    for below in ["out/x", "dir/deep", "up/x", "loop/x"] {
        ada.get(&format!("{base}/files/{below}")).await.expect(404);
        ada.put(&format!("{base}/files/{below}"), Some(("if-none-match", "*")), "x").await.expect(409);
        let upload = json!({ "path": below, "size": 1, "base": "new" });
        let upload = ada.post(&format!("{base}/uploads"), &upload).await.expect(201).id();
        piece(&ada, &upload, 0, b"x".to_vec()).await.expect(409);
        let real = json!({ "from": "real.txt", "to": below, "base": { "version": 1 } });
        ada.post(&format!("{base}/files:move"), &real).await.expect(409);
        ada.post(&format!("{base}/files:copy"), &real).await.expect(409);
        let from_below = json!({ "from": below, "to": "got", "base": { "revision": tree.revision } });
        ada.post(&format!("{base}/files:copy"), &from_below).await.expect(404);
        ada.post(&format!("{base}/files:move"), &from_below).await.expect(404);
        ada.delete(&format!("{base}/files/{below}?revision={}", tree.revision)).await.expect(404);
        let history = ada.get(&format!("{base}/history?path={below}")).await;
        assert!(history.status == 404 || history.json::<Value>()["items"] == json!([]), "{history:?}");
        ada.get(&format!("{base}/archive?path={below}")).await.expect(404);
        let outline = ada.post(&format!("{base}/outline"), &json!({ "path": below })).await;
        assert!(outline.status == 404 || outline.json::<Value>()["symbols"] == json!([]), "{outline:?}");
    }
    // Neither a batch nor writing to a link makes a file of it: what is written is where it leads.
    let batch = async |path: &str, version: i64, content: &[u8]| -> BatchOutcome {
        let manifest = json!([{ "path": path, "base": { "version": version } }]);
        let request = ada.request(Method::POST, &format!("{base}/files:batch"));
        let form = form_of(&manifest, &[content.to_vec()]);
        let outcomes: Vec<BatchOutcome> =
            ada.send(request.header("content-type", "multipart/form-data; boundary=cut").body(form)).await.expect(200).json();
        outcomes.into_iter().next().unwrap()
    };
    for lines in [&b"two\nlines"[..], b"", &[b'x'; 5000]] {
        assert!(matches!(batch("loop", 1, lines).await, BatchOutcome::Refused { reason, .. } if reason.contains("symbolic link")));
    }
    let turned = batch("loop", 1, b"elsewhere").await;
    assert!(matches!(&turned, BatchOutcome::Saved { entry } if entry.kind == wire::files::EntryKind::Symlink), "{turned:?}");
    assert!(matches!(batch("dir/deep", 1, b"x").await, BatchOutcome::Conflict { .. }));
    // Targets are text of nobody: searching, outlining and packing the project reads none of them, and packs links as links.
    let found = ada.get(&format!("{base}/search?q=root")).await.expect(200);
    assert!(!String::from_utf8_lossy(&found.body).contains("\"match\""), "{:?}", String::from_utf8_lossy(&found.body));
    for query in ["", "?path=d"] {
        let zip = ada.get(&format!("{base}/archive{query}")).await.expect(200).body;
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip.to_vec())).unwrap();
        let mut links = 0;
        for n in 0..archive.len() {
            let mut entry = archive.by_index(n).unwrap();
            let is_link = entry.unix_mode().is_some_and(|mode| mode & 0o170_000 == 0o120_000);
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            assert!(!text.contains("root:"), "what /etc/passwd holds");
            links += usize::from(is_link);
        }
        assert_eq!(links, if query.is_empty() { 6 } else { 1 }, "packed as links");
    }
    // They are laid out again as links, and what a command reads through them is what the jail shows.
    let checked = fixture::run(&ada, &id, "test -L out && test -L d/deep && cat d/deep && readlink up").await;
    assert_eq!(fixture::output(&ada, &checked).await, "real..\n");
    assert!(checked.changes.is_empty(), "reading changed nothing: {:?}", checked.changes);
    // A copy, a deletion and its undoing keep them links.
    ada.post(&format!("{base}/files:copy"), &json!({ "from": "d", "to": "e" })).await.expect(204);
    ada.delete(&format!("{base}/files/out?version=1")).await.expect(204);
    ada.post(&format!("{base}/files:restore"), &json!({ "path": "out", "base": "new" })).await.expect(204);
    let again = fixture::run(&ada, &id, "readlink e/deep out").await;
    assert_eq!(fixture::output(&ada, &again).await, "../real.txt\n/etc/passwd\n");
    app.stop().await;
}

/// What a command names so that a project can't have it stays in the checkout, and the run says why.
#[tokio::test(flavor = "multi_thread")]
async fn names_from_commands_are_held_to_the_same_rule() {
    let app = TestApp::with_worker().await;
    if !fixture::can_run(&app).await {
        return;
    }
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "README", "x").await;
    let run =
        fixture::run(&ada, &id, "echo a > readme; echo b > 'two\nlines'; echo c > fine; mv README Readme; echo d > $(printf 'caf\\351')")
            .await;
    let tree: Tree = ada.get(&format!("/api/projects/{id}/tree")).await.json();
    let paths: Vec<_> = tree.items.iter().map(|e| e.path.as_str()).collect();
    assert!(paths.contains(&"fine") && !paths.iter().any(|path| path.contains('\n') || path.starts_with("caf")), "{paths:?}");
    let spellings = paths.iter().filter(|path| path.eq_ignore_ascii_case("readme")).count();
    assert_eq!(spellings, 1, "{paths:?}");
    let sentence = serde_json::to_string(&run.exit).unwrap();
    assert!(sentence.contains("two") && sentence.contains("caf\u{fffd}"), "{sentence}");
    app.stop().await;
}

/// Eight people at one file over REST: of those who are based on the same version exactly one wins each time.
#[tokio::test(flavor = "multi_thread")]
async fn eight_people_lose_no_update() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "log", "").await;
    let path = format!("/api/projects/{id}/files/log");
    let writers = (0..8).map(|writer| {
        let (ada, path) = (ada.clone(), path.clone());
        tokio::spawn(async move {
            for n in 0..4 {
                loop {
                    let read = ada.get(&path).await.expect(200);
                    let etag = read.header("etag").unwrap().to_owned();
                    let longer = [&read.body[..], format!("{writer}-{n}\n").as_bytes()].concat();
                    match ada.put(&path, Some(("if-match", &etag)), longer).await.status {
                        200 => break,
                        412 => {}
                        status => panic!("{status}"),
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let read = ada.get(&path).await;
    let mut lines: Vec<_> = std::str::from_utf8(&read.body).unwrap().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines, (0..8).flat_map(|writer| (0..4).map(move |n| format!("{writer}-{n}"))).collect::<Vec<_>>());
    assert_eq!(read.header("x-file-version"), Some("33"));
    let stale = json!({ "from": "log", "to": "moved", "base": Base::Version(3) });
    let refused = ada.post(&format!("/api/projects/{id}/files:move"), &stale).await.expect(412).problem();
    assert_eq!(refused.current.unwrap()["version"], 33);
}
