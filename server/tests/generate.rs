//! One question to a model over REST and over a socket: bounds, pace, budgets, and that whoever goes ends the answer. And codegen: a prompt
//! in, a change set out. All against a model server that speaks the real wire format.

mod hundred;
mod message_limits;

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::Message};
use wire::{
    ErrorCode, Page,
    budgets::{Budget, BudgetScope, UsageReport},
    changes::ChangeSet,
    generate::{GenerateNotice, Generated},
    models::ModelAdmin,
    runs::{ExitKind, Run, RunState},
};

use crate::support::{
    self, Caller, Options, PATIENCE, TestApp, fixture,
    model_server::{ModelServer, Step},
};

struct Place {
    app: TestApp,
    model: ModelServer,
    ada: Caller,
    ben: Caller,
}

async fn place(worker: bool) -> Place {
    place_with(worker, Vec::new()).await
}

/// With a second model that answers in place of the first.
async fn place_with_spare(worker: bool) -> Place {
    place_with(worker, vec![("AI_BACKUP_MODEL", "spare")]).await
}

async fn place_with(worker: bool, settings: Vec<(&'static str, &'static str)>) -> Place {
    let model = ModelServer::start().await;
    let app = TestApp::with(Options { worker, model: Some(model.base_url()), settings }).await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    Place { app, model, ada, ben }
}

/// Two dollars a million tokens in, ten out.
async fn set_price(admin: &Caller) {
    let view: ModelAdmin = admin.get("/api/admin/models").await.expect(200).json();
    let model = view.models.iter().find(|model| model.name == "scripted").unwrap();
    let mut settings = model.current.settings.clone();
    settings.prices = wire::models::Prices { input: 2_000_000, output: 10_000_000, cached: 200_000, cache_write: None };
    settings.max_output = 1000;
    let change = json!({ "revision": model.revision, "settings": settings });
    admin.patch(&format!("/api/admin/models/{}", model.id), &change).await.expect(200);
}

async fn put(caller: &Caller, path: &str, body: Value) -> support::Reply {
    caller.send(caller.request(Method::PUT, path).json(&body)).await
}

fn answer(text: &str, input: i64, output: i64) -> Step {
    Step { usage: Some(json!({ "prompt_tokens": input, "completion_tokens": output })), ..Step::text(text) }
}

fn endless() -> Step {
    Step { pace_ms: 30, ..Step::text("word ".repeat(4000)) }
}

async fn usage_of(caller: &Caller) -> UsageReport {
    caller.get("/api/usage?group_by=model").await.expect(200).json()
}

/// Waits until nothing of the caller is reserved any more.
async fn settled(place: &Place, calls: i64) -> UsageReport {
    let look = async {
        loop {
            let report = usage_of(&place.ben).await;
            if report.total.calls >= calls {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the call was never booked")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_answered_with_what_it_cost() {
    let place = place(false).await;
    set_price(&place.ada).await;
    place.model.script([answer("Vier", 20, 5), Step::text("no usage told")]);
    let asked = json!({ "prompt": "What is two and two?", "max_tokens": 100, "temperature": 0.5 });
    let got: Generated = place.ben.post("/api/v1/generate", &asked).await.expect(200).json();
    assert_eq!((got.text.as_str(), got.model.as_str(), got.cut), ("Vier", "scripted", false));
    assert_eq!((got.usage.input, got.usage.output, got.usage.cost_micros, got.usage.estimated), (20, 5, 40 + 50, false));
    let sent = &place.model.requests()[0].body;
    assert_eq!(
        (sent["max_tokens"].as_i64().or(sent["max_completion_tokens"].as_i64()), sent["messages"][0]["content"].as_str()),
        (Some(100), Some("What is two and two?"))
    );
    let guessed: Generated = place.ben.post("/api/v1/generate", &asked).await.expect(200).json();
    assert!(guessed.usage.estimated && guessed.usage.cost_micros > 0, "{:?}", guessed.usage);
    let report = usage_of(&place.ben).await;
    assert_eq!((report.total.calls, report.total.billed_micros), (2, 90));
    assert_eq!(report.total.estimated_micros, guessed.usage.cost_micros);
    assert_eq!(usage_of(&place.ada).await.total.calls, 0, "each sees their own");
}

fn asked_models(place: &Place) -> Vec<String> {
    place.model.requests().iter().map(|request| request.body["model"].as_str().unwrap_or_default().to_owned()).collect()
}

fn down() -> impl Iterator<Item = Step> {
    (0..3).map(|_| Step::status(503))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_answers_for_a_model_that_fails_before_its_first_token() {
    let place = place_with_spare(false).await;
    place.model.script(down().chain([answer("Here I am.", 20, 5)]));
    let asked = json!({ "prompt": "Hi" });
    let got: Generated = place.ben.post("/api/v1/generate", &asked).await.expect(200).json();
    assert_eq!((got.text.as_str(), got.model.as_str(), got.instead_of.as_deref()), ("Here I am.", "spare", Some("scripted")));
    assert_eq!(asked_models(&place), ["scripted", "scripted", "scripted", "spare"]);
    let report = usage_of(&place.ben).await;
    assert_eq!((report.total.calls, report.total.failed, report.total.tokens()), (2, 1, 25), "both calls are in the books");

    // Piece by piece, on a socket.
    place.model.script(down().chain([answer("On the socket too", 1, 1)]));
    let mut socket = socket(&place.ben).await;
    say(&mut socket, asked.clone()).await;
    let mut text = String::new();
    let (model, instead_of) = loop {
        match hear(&mut socket).await {
            GenerateNotice::Delta { text: piece } => text.push_str(&piece),
            GenerateNotice::Done { model, instead_of, .. } => break (model, instead_of),
            GenerateNotice::Error { problem } => panic!("{problem:?}"),
        }
    };
    assert_eq!((text.as_str(), model.as_str(), instead_of.as_deref()), ("On the socket too", "spare", Some("scripted")));

    // When that fails too, its sentence is the end; and a request that is wrong is wrong for both.
    place.model.script(down().chain(down()));
    let problem = place.ben.post("/api/v1/generate", &asked).await.expect(503).problem();
    assert!(problem.detail.contains("503"), "{}", problem.detail);
    assert_eq!(asked_models(&place)[8..].iter().filter(|name| *name == "spare").count(), 3);
    place.model.script([Step::status(400)]);
    place.ben.post("/api/v1/generate", &asked).await.expect(503);
    assert_eq!(asked_models(&place).len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_token_no_backup_answers() {
    let place = place_with_spare(false).await;
    place.model.script([Step { cut_after_chars: Some(9), ..Step::text("Half of an answer that breaks off here.") }]);
    place.ben.post("/api/v1/generate", &json!({ "prompt": "Hi" })).await.expect(503);
    assert_eq!(asked_models(&place), ["scripted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codegen_run_goes_on_with_the_backup() {
    let place = place_with_spare(true).await;
    if !fixture::can_run(&place.app).await {
        return;
    }
    let project = fixture::project(&place.ben, "P").await;
    let write = Step::call("write_file", json!({ "path": "hello.txt", "content": "hello\n" }));
    place.model.script(down().chain([write, Step::text("It is there.")]));
    let body = json!({ "kind": "codegen", "command": "Greet" });
    let started: Run = place.ben.post(&format!("/api/projects/{project}/runs"), &body).await.expect(202).json();
    let run = fixture::finished(&place.ben, &started).await;
    assert_eq!(run.state, RunState::Succeeded, "{:?}", run.exit);
    assert_eq!(asked_models(&place), ["scripted", "scripted", "scripted", "spare", "spare"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_refused_by_field_and_cost_nothing() {
    let place = place(false).await;
    set_price(&place.ada).await;
    for (field, body) in [
        ("prompt", json!({ "prompt": "" })),
        ("prompt", json!({ "prompt": "x".repeat(100_001) })),
        ("temperature", json!({ "prompt": "x", "temperature": 2.1 })),
        ("temperature", json!({ "prompt": "x", "temperature": -0.1 })),
        ("max_tokens", json!({ "prompt": "x", "max_tokens": 0 })),
        ("max_tokens", json!({ "prompt": "x", "max_tokens": 1001 })),
        ("model", json!({ "prompt": "x", "model": "nobody" })),
    ] {
        let problem = place.ben.post("/api/v1/generate", &body).await.expect(422).problem();
        assert_eq!(problem.fields[0].field, field, "{problem:?}");
    }
    place.app.nobody().post("/api/v1/generate", &json!({ "prompt": "x" })).await.expect(401);
    assert_eq!((place.model.requests().len(), usage_of(&place.ben).await.total.calls), (0, 0));
    place.model.script([Step::status(400)]);
    let problem = place.ben.post("/api/v1/generate", &json!({ "prompt": "x" })).await.expect(503).problem();
    assert_eq!(problem.code, ErrorCode::Unavailable);
    let report = settled(&place, 1).await;
    assert_eq!((report.total.failed, report.total.cost_micros()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_stops_prompts_and_raising_it_lets_them_go_on() {
    let place = place(false).await;
    set_price(&place.ada).await;
    place.model.script([answer("one", 10, 10), answer("two", 10, 10)]);
    let limit = |micros: Option<i64>| json!({ "scope": "user_default", "usd_micros": micros });
    put(&place.ada, "/api/admin/budgets", limit(Some(500))).await.expect(200);
    let asked = json!({ "prompt": "Hi", "max_tokens": 1000 });
    let problem = place.ben.post("/api/v1/generate", &asked).await.expect(403).problem();
    assert!(
        problem.detail.contains("budget of your account does not cover") && problem.detail.contains("administrator"),
        "{}",
        problem.detail
    );
    assert_eq!(place.model.requests().len(), 0, "nothing was asked");
    let mut told = place.ben.follow(&format!("/api/live/user:{}", place.ben.user.as_ref().unwrap().id)).await.unwrap();
    told.until(|event| matches!(&event.kind, wire::event::EventKind::BudgetNotice { scope: BudgetScope::UserDefault, percent: 100, .. }))
        .await;

    put(&place.ada, "/api/admin/budgets", limit(Some(20_000))).await.expect(200);
    place.ben.post("/api/v1/generate", &asked).await.expect(200);
    let budgets: Page<Budget> = place.ben.get("/api/budgets").await.expect(200).json();
    assert_eq!((budgets.items.len(), budgets.items[0].used.spent_micros, budgets.items[0].used.reserved_micros), (1, 120, 0));
}

/// What a prompt may be at worst: every byte of it a token. Two people ask four times at once each, until nothing more is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_a_byte_never_spends_more_than_the_budget() {
    let place = place(false).await;
    set_price(&place.ada).await;
    let limit = 40_000;
    put(&place.ada, "/api/admin/budgets", json!({ "scope": "instance", "usd_micros": limit })).await.expect(200);
    let prompt = "東京🌊".repeat(600);
    let bytes = prompt.len() as i64;
    place.model.script((0..40).map(|_| Step { first_byte_ms: 60, ..answer("Done.", bytes + 20, 100) }));
    let asked = json!({ "prompt": prompt, "max_tokens": 100 });
    let (mut done, mut refused) = (0, 0);
    while refused == 0 {
        let many = (0..8).map(|n| if n % 2 == 0 { &place.ada } else { &place.ben }).map(|caller| caller.post("/api/v1/generate", &asked));
        let replies = futures::future::join_all(many).await;
        done += replies.iter().filter(|reply| reply.status == 200).count() as i64;
        let stopped: Vec<_> = replies.into_iter().filter(|reply| reply.status == 403).collect();
        refused += stopped.len();
        let used = put(&place.ada, "/api/admin/budgets", json!({ "scope": "instance", "usd_micros": limit })).await;
        let used = used.expect(200).json::<Page<Budget>>().items[0].used;
        assert_eq!((used.spent_micros, used.reserved_micros), (done * ((bytes + 20) * 2 + 1000), 0));
        assert!(used.spent_micros <= limit, "{used:?}");
        for reply in stopped {
            let problem = reply.problem();
            assert!(
                problem.detail.contains("does not cover the worst case") && problem.detail.contains("needs less"),
                "{}",
                problem.detail
            );
        }
    }
    assert!(done > 0, "a budget of two and a half worst cases is enough for one");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_few_answers_at_a_time() {
    let place = place(false).await;
    place.model.script((0..8).map(|_| Step { first_byte_ms: 3000, ..Step::text("late") }));
    let asked = json!({ "prompt": "Hi" });
    let many = (0..8).map(|_| place.ben.post("/api/v1/generate", &asked));
    let replies = futures::future::join_all(many).await;
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert_eq!((replies.iter().filter(|reply| reply.status == 200).count(), refused.len()), (4, 4));
    assert_eq!(refused[0].header("retry-after"), Some("5"));
    assert_eq!(place.model.requests().len(), 4);
    // Somebody else is not held up, and a place that was given back can be used.
    place.model.script([Step::text("soon"), Step::text("soon")]);
    place.ada.post("/api/v1/generate", &asked).await.expect(200);
    place.ben.post("/api/v1/generate", &asked).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_ends_the_answer() {
    let place = place(false).await;
    set_price(&place.ada).await;
    place.model.script([endless()]);
    let request = place.ben.request(Method::POST, "/api/v1/generate").json(&json!({ "prompt": "Talk" }));
    let gone = tokio::time::timeout(Duration::from_millis(800), request.send()).await;
    assert!(gone.is_err(), "the answer takes longer than that");
    let counts = place.model.wait_for(|counts| counts.abandoned == 1).await;
    assert_eq!(counts.open, 0);
    let report = settled(&place, 1).await;
    assert!(report.total.estimated_micros > 0 && report.total.failed == 0, "what was written is booked: {:?}", report.total);
    let budgets = put(&place.ada, "/api/admin/budgets", json!({ "scope": "instance", "usd_micros": 1_000_000 })).await;
    let budgets: Page<Budget> = budgets.expect(200).json();
    assert_eq!(budgets.items[0].used.reserved_micros, 0, "nothing stays reserved");
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn socket(caller: &Caller) -> Socket {
    connect_async(caller.socket_request("/ws/generate", &[])).await.unwrap().0
}

async fn say(socket: &mut Socket, value: Value) {
    socket.send(Message::text(value.to_string())).await.unwrap();
}

async fn hear(socket: &mut Socket) -> GenerateNotice {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("no word in time").unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_answers_piece_by_piece() {
    let place = place(false).await;
    set_price(&place.ada).await;
    place
        .model
        .script([answer("Grüße an alle, die zuhören 🎉", 7, 9), Step { finish_reason: Some("length".to_owned()), ..answer("cut", 1, 1) }]);
    let mut socket = socket(&place.ben).await;
    say(&mut socket, json!({ "prompt": "Hi", "temperature": 9 })).await;
    assert!(matches!(hear(&mut socket).await, GenerateNotice::Error { problem } if problem.fields[0].field == "temperature"));
    say(&mut socket, json!({ "wrong": true })).await;
    assert!(matches!(hear(&mut socket).await, GenerateNotice::Error { problem } if problem.code == ErrorCode::BadRequest));
    say(&mut socket, json!({ "prompt": "Hi" })).await;
    let (mut text, mut pieces) = (String::new(), 0);
    let usage = loop {
        match hear(&mut socket).await {
            GenerateNotice::Delta { text: piece } => {
                text.push_str(&piece);
                pieces += 1;
            }
            GenerateNotice::Done { usage, cut, model, instead_of } => {
                assert!(!cut && model == "scripted" && instead_of.is_none());
                break usage;
            }
            GenerateNotice::Error { problem } => panic!("{problem:?}"),
        }
    };
    assert_eq!((text.as_str(), usage.input, usage.output, usage.cost_micros), ("Grüße an alle, die zuhören 🎉", 7, 9, 14 + 90));
    assert!(pieces > 1);
    // The same socket takes the next prompt.
    say(&mut socket, json!({ "prompt": "More" })).await;
    assert!(matches!(hear(&mut socket).await, GenerateNotice::Delta { .. }));
    assert!(matches!(hear(&mut socket).await, GenerateNotice::Done { cut: true, .. }));
    place.app.nobody().get("/ws/generate").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_closes_or_says_stop_ends_the_answer() {
    let place = place(false).await;
    set_price(&place.ada).await;
    place.model.script([endless(), endless(), Step::text("third")]);
    let mut socket = socket(&place.ben).await;
    say(&mut socket, json!({ "prompt": "Talk" })).await;
    assert!(matches!(hear(&mut socket).await, GenerateNotice::Delta { .. }));
    say(&mut socket, json!({ "prompt": "Again" })).await;
    loop {
        match hear(&mut socket).await {
            GenerateNotice::Delta { .. } => {}
            GenerateNotice::Error { problem } => break assert_eq!(problem.code, ErrorCode::Conflict),
            other => panic!("{other:?}"),
        }
    }
    say(&mut socket, json!({ "type": "stop" })).await;
    place.model.wait_for(|counts| counts.abandoned == 1).await;
    say(&mut socket, json!({ "prompt": "Talk" })).await;
    place.model.wait_for(|counts| counts.open == 1).await;
    drop(socket);
    let counts = place.model.wait_for(|counts| counts.abandoned == 2).await;
    assert_eq!(counts.open, 0);
    let report = settled(&place, 2).await;
    assert!(report.total.failed == 0 && report.total.estimated_micros > 0, "{:?}", report.total);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_opens_no_socket() {
    let place = place(false).await;
    place.app.register("cleo").await;
    let browser = place.app.nobody().sign_in_browser("cleo", support::PASSWORD).await;
    let foreign = browser.socket_request("/ws/generate", &[("origin", "https://elsewhere.example")]);
    match connect_async(foreign).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => assert_eq!(response.status(), 403),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codegen_takes_a_prompt_and_leaves_a_change_set() {
    let place = place(true).await;
    if !fixture::can_run(&place.app).await {
        return;
    }
    let project = fixture::project(&place.ben, "P").await;
    fixture::file(&place.ben, &project, "greet.py", "print('hello')\n").await;
    let edit = Step::call("edit_file", json!({ "path": "greet.py", "old_text": "'hello'", "new_text": "'good day'" }));
    // Continuous integration always asks; here nobody can be asked.
    let asks = Step::call("write_file", json!({ "path": ".github/workflows/ci.yml", "content": "on: push\n" }));
    place.model.script([edit, asks, Step::text("It is polite now.")]);
    let body = json!({ "kind": "codegen", "command": "Be polite" });
    let started: Run = place.ben.post(&format!("/api/projects/{project}/runs"), &body).await.expect(202).json();
    let run = fixture::finished(&place.ben, &started).await;
    let run: Run = place.ben.get(&format!("/api/runs/{}", run.id)).await.expect(200).json();
    assert_eq!((run.state, run.exit.as_ref().unwrap().kind), (RunState::Succeeded, ExitKind::Exited), "{:?}", run.exit);
    assert_eq!(fixture::output(&place.ben, &run).await, "It is polite now.");
    let set: ChangeSet = place.ben.get(&format!("/api/change-sets/{}", run.change_set_id.unwrap())).await.expect(200).json();
    assert_eq!(set.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["greet.py"], "what asks was declined");
    let list: Value = place.ben.get(&format!("/api/projects/{project}/conversations")).await.expect(200).json();
    assert_eq!(list["items"], json!([]), "no conversation to look at");
    let listed: Page<Run> = place.ben.get(&format!("/api/projects/{project}/runs")).await.expect(200).json();
    assert_eq!((listed.items[0].change_set_id, listed.items[0].codegen_turn), (run.change_set_id, set.turn_id), "lists lead to the review");
    assert_eq!(set.run_id, Some(run.id));
    let comment = json!({ "hunk_id": set.files[0].hunks[0].id, "text": "Why?" });
    place.ben.post(&format!("/api/change-sets/{}/comments", set.change_set_id), &comment).await.expect(201);
    let problem = place.ben.post(&format!("/api/change-sets/{}/comments/send", set.change_set_id), &json!({})).await.expect(422).problem();
    assert!(problem.fields[0].message.contains("no conversation to go on in"), "{problem:?}");
    for (field, body) in [
        ("command", json!({ "kind": "codegen", "command": " " })),
        ("command", json!({ "kind": "codegen", "command": "x".repeat(100_001) })),
        ("env", json!({ "kind": "codegen", "command": "x", "env": { "A": "1" } })),
        ("temperature", json!({ "kind": "codegen", "command": "x", "temperature": 2.1 })),
        ("max_tokens", json!({ "kind": "codegen", "command": "x", "max_tokens": 100_000_000 })),
        ("budget.steps", json!({ "kind": "codegen", "command": "x", "budget": { "steps": 0 } })),
    ] {
        let problem = place.ben.post(&format!("/api/projects/{project}/runs"), &body).await.expect(422).problem();
        assert_eq!(problem.fields[0].field, field);
    }

    // A stop ends the turn behind it.
    place.model.script([endless()]);
    let body = json!({ "kind": "codegen", "command": "Go on for ever" });
    let started: Run = place.ben.post(&format!("/api/projects/{project}/runs"), &body).await.expect(202).json();
    place.model.wait_for(|counts| counts.open == 1).await;
    let stopped: Run = place.ben.post(&format!("/api/runs/{}/cancel", started.id), &json!({})).await.expect(200).json();
    assert_eq!(stopped.state, RunState::Cancelled, "{stopped:?}");
    place.model.wait_for(|counts| counts.open == 0).await;
}
