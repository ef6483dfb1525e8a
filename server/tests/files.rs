//! Files over REST: bytes in, bytes out, and nothing lost between two writers.

use reqwest::Method;
use serde_json::json;
use wire::{
    ErrorCode, Page,
    files::{Base, Entry, FileVersion, Tree},
};

use crate::support::{Options, TestApp, fixture};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_made_changed_and_read() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let path = format!("/api/projects/{id}/files/src/main.py");
    let made = ada.put(&path, Some(("if-none-match", "*")), "print(1)\n").await.expect(201);
    assert_eq!(made.header("x-file-version"), Some("1"));
    let etag = made.header("etag").unwrap().to_owned();
    assert_eq!(etag, format!("\"{}\"", made.json::<Entry>().checksum));

    let changed = ada.put(&path, Some(("if-match", &etag)), "print(2)\n").await.expect(200);
    let read = ada.get(&path).await.expect(200);
    assert_eq!(&read.body[..], b"print(2)\n");
    assert_eq!(read.header("etag"), changed.header("etag"));
    let first = ada.get(&format!("{path}?version=1")).await.expect(200);
    assert_eq!(&first.body[..], b"print(1)\n");
    let tree: Tree = ada.get(&format!("/api/projects/{id}/tree")).await.expect(200).json();
    let paths: Vec<_> = tree.items.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["src", "src/main.py"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_says_what_it_is_based_on_or_is_refused() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let etag = fixture::file(&ada, &id, "a.txt", "one").await;
    let path = format!("/api/projects/{id}/files/a.txt");
    assert_eq!(ada.put(&path, None, "blind").await.expect(428).problem().code, ErrorCode::PreconditionRequired);
    let exists = ada.put(&path, Some(("if-none-match", "*")), "again").await.expect(412).problem();
    assert_eq!(exists.current.unwrap()["version"], 1);
    ada.put(&path, Some(("if-match", &etag)), "two").await.expect(200);
    let stale = ada.put(&path, Some(("if-match", &etag)), "three").await.expect(412).problem();
    assert_eq!((stale.code, stale.current.unwrap()["version"].as_i64()), (ErrorCode::PreconditionFailed, Some(2)));
    ada.put(&path, Some(("if-match", "unquoted")), "x").await.expect(400);
    assert_eq!(&ada.get(&path).await.body[..], b"two");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_at_once_exactly_one_wins() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let etag = fixture::file(&ada, &id, "a.txt", "start").await;
    let path = format!("/api/projects/{id}/files/a.txt");
    let writers = (0..8).map(|n| {
        let (ada, path, etag) = (ada.clone(), path.clone(), etag.clone());
        async move { (n, ada.put(&path, Some(("if-match", &etag)), format!("writer {n}")).await.status) }
    });
    let outcomes = futures::future::join_all(writers).await;
    let winners: Vec<_> = outcomes.iter().filter(|(_, status)| *status == 200).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|(_, status)| [200, 412].contains(status)), "{outcomes:?}");
    assert_eq!(ada.get(&path).await.body, format!("writer {}", winners[0].0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_etags_save_bytes() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let etag = fixture::file(&ada, &id, "a.txt", "0123456789").await;
    let path = format!("/api/projects/{id}/files/a.txt");
    let with = |name: &str, value: &str| ada.request(Method::GET, &path).header(name, value);
    let part = ada.send(with("range", "bytes=2-4")).await.expect(206);
    assert_eq!((&part.body[..], part.header("content-range")), (&b"234"[..], Some("bytes 2-4/10")));
    assert_eq!(&ada.send(with("range", "bytes=-3")).await.expect(206).body[..], b"789");
    let beyond = ada.send(with("range", "bytes=10-")).await.expect(416);
    assert_eq!(beyond.header("content-range"), Some("bytes */10"));
    assert!(ada.send(with("if-none-match", &etag)).await.expect(304).body.is_empty());
    let other = with("range", "bytes=0-1").header("if-range", "\"other\"");
    assert_eq!(&ada.send(other).await.expect(200).body[..], b"0123456789");
    let head = ada.send(ada.request(Method::HEAD, &path)).await.expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some("10"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_page_is_never_ours() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    for name in ["evil.html", "evil.svg"] {
        fixture::file(&ada, &id, name, "<script>alert(1)</script>").await;
        let reply = ada.get(&format!("/api/projects/{id}/files/{name}")).await.expect(200);
        assert!(reply.header("content-disposition").unwrap().starts_with("attachment"));
        assert!(reply.header("content-security-policy").unwrap().contains("sandbox"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_can_not_leave_the_project() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    // Encoded, since a client would tidy plain dots away before sending.
    for bad in ["..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "a%2f..%2fb", "a%5cb", "a%0ab", ".git%2fconfig", "x%00y"] {
        let reply = ada.put(&format!("/api/projects/{id}/files/{bad}"), Some(("if-none-match", "*")), "x").await;
        assert!([400, 404, 422].contains(&reply.status), "{bad}: {reply:?}");
    }
    let tree: Tree = ada.get(&format!("/api/projects/{id}/tree")).await.json();
    assert!(tree.items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_is_refused_announced_or_not() {
    let app = TestApp::with(Options { settings: vec![("STORAGE_FILE_SIZE_LIMIT", "64KB")], ..Options::default() }).await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let path = format!("/api/projects/{id}/files/big.bin");
    ada.put(&path, Some(("if-none-match", "*")), vec![0; 65 * 1024]).await.expect(413).problem();
    let pieces = futures::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![1_u8; 4096])));
    let streamed = ada.put(&path, Some(("if-none-match", "*")), reqwest::Body::wrap_stream(pieces)).await;
    assert_eq!(streamed.expect(413).problem().code, ErrorCode::TooLarge);
    ada.get(&path).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_moved_or_deleted_can_be_followed_and_restored() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    let base = format!("/api/projects/{id}");
    let etag = fixture::file(&ada, &id, "old/a.txt", "content").await;
    let seen = fixture::revision(&ada, &id).await;
    // Nothing is taken away or put anywhere without saying what it is based on.
    let unsaid = json!({ "from": "old", "to": "new" });
    let refused = ada.post(&format!("{base}/files:move"), &unsaid).await.expect(428).problem();
    assert_eq!(refused.code, ErrorCode::PreconditionRequired);
    ada.post(&format!("{base}/files:restore"), &json!({ "path": "old/a.txt", "version": 1 })).await.expect(428).problem();
    for path in ["old", "old/a.txt"] {
        ada.delete(&format!("{base}/files/{path}")).await.expect(428).problem();
        for wrong in ["version=1&revision=1", "version=x"] {
            assert!([400, 422].contains(&ada.delete(&format!("{base}/files/{path}?{wrong}")).await.status), "{wrong}");
        }
        // Of what exists nobody can say that it does not.
        for (name, value) in [("if-none-match", "*"), ("if-none-match", etag.as_str()), ("if-match", "*")] {
            ada.send(ada.request(Method::DELETE, &format!("{base}/files/{path}")).header(name, value)).await.expect(400).problem();
        }
    }
    fixture::file(&ada, &id, "old/b.txt", "of somebody else").await;
    ada.delete(&format!("{base}/files/old?revision={seen}")).await.expect(412).problem();
    ada.delete(&format!("{base}/files/old/b.txt?version=2")).await.expect(412).problem();
    ada.delete(&format!("{base}/files/old/b.txt?version=1")).await.expect(204);
    let now = fixture::revision(&ada, &id).await;
    let moving = json!({ "from": "old", "to": "new", "base": Base::Revision(now) });
    ada.post(&format!("{base}/files:move"), &moving).await.expect(204);
    ada.get(&format!("{base}/files/old/a.txt")).await.expect(404);
    assert_eq!(&ada.get(&format!("{base}/files/new/a.txt")).await.expect(200).body[..], b"content");
    ada.send(ada.request(Method::DELETE, &format!("{base}/files/new/a.txt")).header("if-match", "\"other\"")).await.expect(412);
    ada.send(ada.request(Method::DELETE, &format!("{base}/files/new/a.txt")).header("if-match", &etag)).await.expect(204);
    ada.get(&format!("{base}/files/new/a.txt")).await.expect(404);
    ada.post(&format!("{base}/files:restore"), &json!({ "path": "new/a.txt", "base": "new" })).await.expect(204);
    assert_eq!(&ada.get(&format!("{base}/files/new/a.txt")).await.expect(200).body[..], b"content");
    let history: Page<FileVersion> = ada.get(&format!("{base}/history?path=new/a.txt")).await.expect(200).json();
    assert_eq!(history.items.iter().map(|v| v.version).collect::<Vec<_>>(), [3, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_sent_as_zip() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    for (path, text) in [("src/a.txt", "first"), ("src/deep/ü.txt", "second"), ("other.txt", "third")] {
        fixture::file(&ada, &id, path, text).await;
    }
    let reply = ada.get(&format!("/api/projects/{id}/archive?path=src")).await.expect(200);
    assert!(reply.header("content-disposition").is_some_and(|header| header.starts_with("attachment; filename=\"src.zip\"")));
    assert!(reply.header("content-security-policy").is_some_and(|policy| policy.contains("sandbox")));
    let entries = |zip: &[u8]| {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip.to_vec())).unwrap();
        let mut read = |n: usize| {
            let mut entry = archive.by_index(n).unwrap();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            (entry.name().unwrap().into_owned(), text)
        };
        let count = zip::ZipArchive::new(std::io::Cursor::new(zip.to_vec())).unwrap().len();
        let mut found: Vec<(String, String)> = (0..count).map(&mut read).collect();
        found.sort();
        found
    };
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(entries(&reply.body), [pair("src/a.txt", "first"), pair("src/deep/", ""), pair("src/deep/ü.txt", "second")]);
    let whole = ada.get(&format!("/api/projects/{id}/archive")).await.expect(200);
    assert!(entries(&whole.body).contains(&pair("P/other.txt", "third")));
    let some = ada.get(&format!("/api/projects/{id}/archive?path=src/deep&path=other.txt&path=other.txt")).await.expect(200);
    assert!(some.header("content-disposition").is_some_and(|header| header.starts_with("attachment; filename=\"P.zip\"")));
    assert_eq!(entries(&some.body), [pair("P/other.txt", "third"), pair("P/src/deep/", ""), pair("P/src/deep/ü.txt", "second")]);
    let beside = ada.get(&format!("/api/projects/{id}/archive?path=src/a.txt&path=src/deep/%C3%BC.txt")).await.expect(200);
    assert_eq!(entries(&beside.body), [pair("src/a.txt", "first"), pair("src/deep/ü.txt", "second")]);
    ada.get(&format!("/api/projects/{id}/archive?path=src&path=nowhere")).await.expect(404);
    ada.get(&format!("/api/projects/{id}/archive?path=src&path=../x")).await.expect(422);
    ada.get(&format!("/api/projects/{id}/archive?path=nowhere")).await.expect(404);
    ada.get(&format!("/api/projects/{id}/archive?path=../x")).await.expect(422);
}
