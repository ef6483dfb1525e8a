//! Searching and replacing over REST: one JSON object a line, wrong expressions named with their place, replacements as change sets.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use wire::{ErrorCode, changes::ChangeSet, search::Replaced};

use crate::support::{PATIENCE, TestApp, fixture};

fn lines(body: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(body).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_answers_line_by_line() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "src/a.py", "import os\nprint(os.name)\n").await;
    fixture::file(&ada, &id, "b.md", "OS\n").await;
    let found = ada.get(&format!("/api/projects/{id}/search?q=os&include=*.py,*.md")).await.expect(200);
    assert_eq!(found.header("content-type"), Some("application/x-ndjson"));
    let items = lines(&found.body);
    let matches: Vec<_> = items.iter().filter(|item| item["type"] == "match").collect();
    assert_eq!(matches.len(), 3);
    assert_eq!((matches[2]["path"].as_str(), matches[2]["line"].as_u64()), (Some("src/a.py"), Some(2)));
    assert_eq!((&matches[2]["ranges"], matches[2]["column"].as_u64()), (&json!([[6, 8]]), Some(7)));
    let done = items.last().unwrap();
    assert_eq!((done["type"].as_str(), done["files"].as_u64(), &done["notes"]), (Some("done"), Some(2), &json!([])));

    let case = ada.get(&format!("/api/projects/{id}/search?q=OS&case=1&word=true&context=1")).await.expect(200);
    assert_eq!(lines(&case.body)[0]["path"], "b.md");
    let wrong = ada.get(&format!("/api/projects/{id}/search?q=a(&regex=1")).await.expect(422).problem();
    assert_eq!((wrong.code, wrong.fields[0].field.as_str()), (ErrorCode::Invalid, "q"));
    assert!(wrong.fields[0].message.contains("at character 2"), "{}", wrong.fields[0].message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_is_a_change_set() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    fixture::file(&ada, &id, "a.txt", "one\n").await;
    let request = json!({ "q": "(o)ne", "regex": true, "replacement": "$1ther" });
    let made: Replaced = ada.post(&format!("/api/projects/{id}/replace"), &request).await.expect(200).json();
    assert_eq!((made.change_set.turn_id, made.change_set.open_hunks()), (None, 1));
    let set = made.change_set.change_set_id;
    let read: ChangeSet = ada.get(&format!("/api/change-sets/{set}")).await.expect(200).json();
    assert_eq!(read, made.change_set);
    let hunk = read.files[0].hunks[0].id;
    ada.post(&format!("/api/change-sets/{set}/decisions"), &json!({ "accept": [hunk] })).await.expect(200);
    assert_eq!(&ada.get(&format!("/api/projects/{id}/files/a.txt")).await.body[..], b"other\n");
    let outline = ada.post(&format!("/api/projects/{id}/outline"), &json!({ "path": "x.rs", "text": "fn f() {}" })).await.expect(200);
    assert_eq!(outline.json::<Value>()["symbols"][0]["name"], "f");
}

/// Nobody goes on looking for somebody who has gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_ends_when_the_client_goes() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let id = fixture::project(&ada, "P").await;
    // Beyond the first page, which is answered at once, lies far more than is read within this test.
    for n in 0..128 {
        fixture::file(&ada, &id, &format!("a/{n:03}.txt"), "needle\n").await;
    }
    fixture::file(&ada, &id, "b/000.txt", &"hay and straw\n".repeat(600_000)).await;
    for n in 1..150 {
        let copy = json!({ "from": "b/000.txt", "to": format!("b/{n:03}.txt") });
        ada.post(&format!("/api/projects/{id}/files:copy"), &copy).await.expect(204);
    }
    let query = format!("/api/projects/{id}/search?q=n[e]{{2}}dle&regex=1");
    let mut answer = ada.request(Method::GET, &query).send().await.unwrap();
    let first = answer.chunk().await.unwrap().expect("a first match");
    assert!(String::from_utf8_lossy(&first).contains("a/000.txt"));
    let asked = Instant::now();
    while domain::search::at_work() == 0 {
        assert!(asked.elapsed() < PATIENCE, "it goes on behind the first matches");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(answer);
    let gone = Instant::now();
    while domain::search::at_work() > 0 {
        assert!(gone.elapsed() < Duration::from_secs(4), "it goes on for nobody");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // It has not come to its end by itself: as long a time later the same search, taken whole, is not done.
    let whole = tokio::time::timeout(gone.elapsed().min(Duration::from_millis(300)), ada.get(&query)).await;
    assert!(whole.is_err(), "the search is too short to show anything");
}
