//! Lists come in pages that fit together, and say by name what they do not understand.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wire::chat::MessageBody;

use crate::support::{Caller, Options, Reply, TestApp, fixture};

fn items(reply: &Reply) -> Vec<Value> {
    reply.field("items").as_array().cloned().unwrap_or_else(|| panic!("no list: {reply:?}"))
}

/// Goes through a list to its end. `base` may have a query.
async fn walk(caller: &Caller, base: &str, limit: usize) -> Vec<Value> {
    let joint = if base.contains('?') { '&' } else { '?' };
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..100 {
        let reply = caller.get(&format!("{base}{joint}limit={limit}{cursor}")).await.expect(200);
        let page = items(&reply);
        assert!(page.len() <= limit, "{base}");
        seen.extend(page);
        match reply.field("next_cursor").as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
    panic!("{base} has no end");
}

fn differ(items: &[Value], by: &str) -> bool {
    items.iter().map(|item| item[by].to_string()).collect::<BTreeSet<_>>().len() == items.len()
}

/// A project with some of everything that is listed.
async fn busy_project(ada: &Caller) -> String {
    let project = fixture::project(ada, "Busy").await;
    let base = format!("/api/projects/{project}");
    for n in 0..5 {
        fixture::file(ada, &project, &format!("gone/{n}.txt"), "x").await;
        ada.delete(&format!("{base}/files/gone/{n}.txt?version=1")).await.expect(204);
        ada.post(&format!("{base}/checkpoints"), &json!({ "name": format!("c{n}") })).await.expect(201);
        ada.post(&format!("{base}/proposals"), &json!({ "path": format!("p{n}.txt"), "text": "proposed" })).await.expect(201);
        fixture::start_run(ada, &project, "true").await;
        let conversation = ada.post(&format!("{base}/conversations"), &json!({})).await.expect(201).id();
        let removed = ada.post(&format!("{base}/conversations"), &json!({})).await.expect(201).id();
        ada.delete(&format!("/api/conversations/{removed}")).await.expect(204);
        let _ = conversation;
    }
    let mut etag = fixture::file(ada, &project, "often.txt", "0").await;
    for n in 1..6 {
        let saved = ada.put(&format!("{base}/files/often.txt"), Some(("if-match", &etag)), n.to_string()).await.expect(200);
        etag = saved.header("etag").unwrap().to_owned();
    }
    project
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_together_are_the_list() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let project = busy_project(&ada).await;
    for n in 0..6 {
        fixture::project(&ada, &format!("P{n}")).await;
    }
    let base = format!("/api/projects/{project}");
    for (list, count, by) in [
        ("/api/projects".to_owned(), 7, "id"),
        (format!("{base}/runs"), 5, "id"),
        (format!("{base}/conversations"), 5, "id"),
        (format!("{base}/conversations/removed"), 5, "id"),
        (format!("{base}/checkpoints"), 5, "id"),
        (format!("{base}/trash"), 5, "path"),
        (format!("{base}/history?path=often.txt"), 6, "version"),
        (format!("{base}/change-sets"), 5, "change_set_id"),
    ] {
        let whole = items(&ada.get(&list).await.expect(200));
        assert_eq!(whole.len(), count, "{list}");
        assert!(differ(&whole, by), "{list}");
        for limit in [1, 2, count, 200] {
            assert_eq!(walk(&ada, &list, limit).await, whole, "{list} by {limit}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_between_two_pages_is_neither_left_out_nor_shown_twice() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let mut made = Vec::new();
    for n in 0..8 {
        made.push(fixture::project(&ada, &format!("P{n}")).await);
    }
    let first = ada.get("/api/projects?limit=3").await.expect(200);
    let cursor = first.field("next_cursor").as_str().unwrap().to_owned();
    // One more comes, one that was shown goes, and so does one that was not.
    fixture::project(&ada, "New").await;
    ada.delete(&format!("/api/projects/{}", first.listed_ids()[0])).await.expect(204);
    ada.delete(&format!("/api/projects/{}", made[0])).await.expect(204);
    let second = ada.get(&format!("/api/projects?limit=200&cursor={cursor}")).await.expect(200);
    let expected: Vec<String> = made[1..5].iter().rev().cloned().collect();
    assert_eq!((second.listed_ids(), second.field("next_cursor")), (expected, Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_list_does_not_understand_is_refused_by_name() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let project = busy_project(&ada).await;
    let base = format!("/api/projects/{project}");
    let runs = ada.get(&format!("{base}/runs?limit=1")).await.field("next_cursor").as_str().unwrap().to_owned();
    let lists = [
        "/api/projects".to_owned(),
        "/api/projects?visibility=public".to_owned(),
        "/api/users/me/tokens".to_owned(),
        "/api/users/me/model-keys".to_owned(),
        "/api/budgets".to_owned(),
        "/api/admin/budgets".to_owned(),
        "/api/admin/mcp-servers".to_owned(),
        "/api/admin/models".to_owned(),
        format!("{base}/runs"),
        format!("{base}/conversations"),
        format!("{base}/conversations/removed"),
        format!("{base}/checkpoints"),
        format!("{base}/trash"),
        format!("{base}/history?path=often.txt"),
        format!("{base}/change-sets"),
        format!("{base}/exports"),
        format!("{base}/terminals"),
        format!("{base}/presence"),
        format!("{base}/budgets"),
    ];
    for list in lists {
        let joint = if list.contains('?') { '&' } else { '?' };
        ada.get(&format!("{list}{joint}limit=200")).await.expect(200);
        for limit in ["0", "-1", "201", "99999999999999999999", "ten", "1.5", ""] {
            let reply = ada.get(&format!("{list}{joint}limit={limit}")).await;
            assert_eq!(reply.status, 422, "{list} with limit={limit}: {reply:?}");
            assert!(reply.problem().field("limit").is_some(), "{list} with limit={limit}: {reply:?}");
        }
        let foreign = if list.ends_with("/runs") { "bm9uZQ" } else { runs.as_str() };
        for cursor in ["nonsense", "%00", foreign, &"A".repeat(9000)] {
            let reply = ada.get(&format!("{list}{joint}cursor={cursor}")).await;
            assert!(reply.status == 422 && reply.problem().field("cursor").is_some(), "{list} with cursor={cursor:.20}: {reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_latest_first_each_page_in_order() {
    let app = TestApp::with(Options { model: Some("http://127.0.0.1:9/v1".to_owned()), ..Options::default() }).await;
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    let conversation = ada.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let started = ada.post(&format!("/api/conversations/{conversation}/turns"), &json!({ "prompt": "1" })).await.expect(202);
    let turn: wire::TurnId = started.field("turn_id").as_str().unwrap().parse().unwrap();
    let job = wire::JobId(uuid::Uuid::now_v7());
    let agent = domain::Ctx::for_job(&app.services, ada.user.clone().unwrap(), job).as_agent(turn);
    for n in 2..=7 {
        let body = MessageBody::User { text: n.to_string(), attachments: Vec::new() };
        domain::chat::append_message(&agent, turn, body).await.unwrap();
    }
    let list = format!("/api/conversations/{conversation}/messages");
    let seqs = |reply: &Reply| items(reply).iter().map(|item| item["seq"].as_i64().unwrap()).collect::<Vec<_>>();
    let first = ada.get(&format!("{list}?limit=3")).await.expect(200);
    assert_eq!(seqs(&first), [5, 6, 7]);
    let second = ada.get(&format!("{list}?limit=3&cursor={}", first.field("next_cursor").as_str().unwrap())).await.expect(200);
    assert_eq!(seqs(&second), [2, 3, 4]);
    let last = ada.get(&format!("{list}?limit=3&cursor={}", second.field("next_cursor").as_str().unwrap())).await.expect(200);
    assert_eq!((seqs(&last), last.field("next_cursor")), (vec![1], Value::Null));
    for wrong in ["limit=201", "limit=0", "cursor=5", "cursor=bnVsbA"] {
        ada.get(&format!("{list}?{wrong}")).await.expect(422);
    }
}
