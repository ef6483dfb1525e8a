//! What one message sets for itself: its dollars, tokens and steps end its turn in time, and what can't be read is refused by its name.

use reqwest::Method;
use serde_json::{Value, json};
use wire::{
    ErrorCode,
    chat::{ConversationView, Queued, Turn, TurnReason},
    event::EventKind,
    runs::{Run, RunState},
};

use super::{
    Place, answer,
    hundred::{priced, worst_case},
    place, set_price,
};
use crate::support::{Caller, fixture, model_server::Step};

/// The end of a turn.
async fn end_of(caller: &Caller, turn: &str) -> (TurnReason, String) {
    let end = caller.follow(&format!("/api/live/turn:{turn}")).await.unwrap().rest().await.pop().unwrap();
    match end.kind {
        EventKind::TurnFinished { reason, detail } => (reason, detail),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_limits_of_its_own() {
    let place = place(true).await;
    if !fixture::can_run(&place.app).await {
        return;
    }
    set_price(&place.ada).await;
    let project = fixture::project(&place.ben, "P").await;
    fixture::file(&place.ben, &project, "greet.py", "print('hello')\n").await;
    let conversation = place.ben.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let turns = format!("/api/conversations/{conversation}/turns");
    let start = async |body: Value| {
        let started = place.ben.post(&turns, &body).await.expect(202);
        started.field("turn_id").as_str().unwrap().to_owned()
    };

    // Two answers, and no third one.
    place.model.script((0..2).map(|n| {
        let args = json!({ "path": "greet.py", "start_line": 1, "end_line": n + 1 });
        Step { usage: Some(json!({ "prompt_tokens": 100, "completion_tokens": 10 })), ..Step::call("read_file", args) }
    }));
    let turn = start(json!({ "prompt": "Look", "mode": "plan", "budget": { "steps": 2 }, "max_tokens": 120, "temperature": 1.5 })).await;
    let (reason, detail) = end_of(&place.ben, &turn).await;
    assert_eq!(reason, TurnReason::Limit);
    assert!(detail.contains("the limit of 2 steps that its message set"), "{detail}");
    let sent = place.model.requests();
    assert_eq!(sent.len(), 2);
    let body = &sent[0].body;
    assert_eq!(body["max_tokens"].as_i64().or(body["max_completion_tokens"].as_i64()), Some(120));
    assert_eq!(body["temperature"].as_f64(), Some(1.5));

    // Less money than the worst case of one answer: the model is not asked.
    let turn = start(json!({ "prompt": "Go on", "mode": "plan", "budget": { "usd_micros": 50 } })).await;
    let (reason, detail) = end_of(&place.ben, &turn).await;
    assert_eq!(reason, TurnReason::Budget);
    assert!(detail.contains("The budget of this turn does not cover the worst case of the next answer: $0.0"), "{detail}");
    assert_eq!(place.model.requests().len(), 2);
    let told: Turn = place.ben.get(&format!("/api/turns/{turn}")).await.expect(200).json();
    assert_eq!((told.budget.and_then(|budget| budget.usd_micros), told.cost_micros), (Some(50), 0));

    // The next message has none.
    place.model.script([answer("Done.", 100, 10)]);
    let turn = start(json!({ "prompt": "Without a limit", "mode": "plan" })).await;
    assert_eq!(end_of(&place.ben, &turn).await.0, TurnReason::Done);

    // A codegen run ends at its own limits as well, and says so.
    place.model.script([Step::call("read_file", json!({ "path": "greet.py" }))]);
    let body = json!({ "kind": "codegen", "command": "Look around", "budget": { "steps": 1 } });
    let started: Run = place.ben.post(&format!("/api/projects/{project}/runs"), &body).await.expect(202).json();
    let run = fixture::finished(&place.ben, &started).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.exit.as_ref().unwrap().sentence.contains("the limit of 1 step that its message set"), "{:?}", run.exit);
}

fn dollars(micros: i64) -> f64 {
    micros as f64 / 1e6
}

async fn conversation(place: &Place, project: &str) -> String {
    place.ben.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id()
}

async fn start(place: &Place, conversation: &str, prompt: &str, budget: Value) -> String {
    let body = json!({ "prompt": prompt, "mode": "plan", "budget": budget });
    let started = place.ben.post(&format!("/api/conversations/{conversation}/turns"), &body).await.expect(202);
    started.field("turn_id").as_str().unwrap().to_owned()
}

async fn read(place: &Place, turn: &str) -> Turn {
    place.ben.get(&format!("/api/turns/{turn}")).await.expect(200).json()
}

async fn view(place: &Place, conversation: &str) -> ConversationView {
    place.ben.get(&format!("/api/conversations/{conversation}")).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn dollars_of_a_message_are_never_passed() {
    let place = place(true).await;
    if !fixture::can_run(&place.app).await {
        return;
    }
    set_price(&place.ada).await;
    let project = fixture::project(&place.ben, "P").await;
    let worst = worst_case(&place, &project, 10_000).await;
    assert_eq!(place.model.requests().len(), 1);

    // Too little for one answer: nothing is asked.
    let small = worst / 2;
    let talk = conversation(&place, &project).await;
    let turn = start(&place, &talk, "Say 001", json!({ "usd": dollars(small) })).await;
    let (reason, detail) = end_of(&place.ben, &turn).await;
    assert_eq!(reason, TurnReason::Budget);
    assert!(detail.contains("The budget of this turn does not cover the worst case of the next answer: $0."), "{detail}");
    assert!(detail.contains("Send the prompt again with a larger budget."), "{detail}");
    let told = read(&place, &turn).await;
    assert_eq!((told.budget.and_then(|budget| budget.usd_micros), told.cost_micros), (Some(small), 0));
    assert_eq!(place.model.requests().len(), 1, "nothing was asked");

    // Room for one answer: a second one could cost more than what is left by then.
    let cost = worst * 80 / 100 / 2 * 2;
    let limit = worst + cost / 2;
    place.model.script([priced(Step::call("search", json!({ "query": "nowhere" })), cost)]);
    let talk = conversation(&place, &project).await;
    let turn = start(&place, &talk, "Say 002", json!({ "usd": dollars(limit), "tokens": 1_000_000_000 })).await;
    let (reason, detail) = end_of(&place.ben, &turn).await;
    assert_eq!(reason, TurnReason::Budget);
    assert!(detail.contains("The budget of this turn does not cover"), "{detail}");
    assert_eq!((read(&place, &turn).await.cost_micros, place.model.requests().len()), (cost, 2));

    // With more than enough money, tokens are what ends it.
    let talk = conversation(&place, &project).await;
    let turn = start(&place, &talk, "Say 003", json!({ "usd": 1000, "tokens": 1 })).await;
    let (reason, detail) = end_of(&place.ben, &turn).await;
    assert_eq!(reason, TurnReason::Budget);
    assert!(detail.contains("The token budget of this turn does not allow another step"), "{detail}");
    assert_eq!((read(&place, &turn).await.cost_micros, place.model.requests().len()), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_keeps_its_dollars() {
    let place = place(true).await;
    if !fixture::can_run(&place.app).await {
        return;
    }
    set_price(&place.ada).await;
    let project = fixture::project(&place.ben, "P").await;
    let talk = conversation(&place, &project).await;
    let queue = format!("/api/conversations/{talk}/queue");
    place.model.script([Step { held: true, ..answer("Done.", 100, 10) }]);
    let first = start(&place, &talk, "Begin", json!(null)).await;
    place.model.wait_for(|counts| counts.requests == 1).await;
    let waits = json!({ "prompt": "Then go on", "mode": "plan", "budget": { "usd": 0.0005 } });
    let Queued::Waiting { prompt } = place.ben.post(&queue, &waits).await.expect(202).json() else { panic!("it began") };
    assert_eq!(prompt.request.budget.and_then(|budget| budget.usd_micros), Some(500));
    place.ben.patch(&format!("/api/queue/{}", prompt.id), &json!({ "prompt": "Then go on, please" })).await.expect(200);
    place.model.release();
    assert_eq!(end_of(&place.ben, &first).await.0, TurnReason::Done);
    let second = view(&place, &talk).await.turns.pop().unwrap();
    assert_eq!((second.prompt.as_str(), second.budget.and_then(|budget| budget.usd_micros)), ("Then go on, please", Some(500)));
    assert_eq!(end_of(&place.ben, &second.id.to_string()).await.0, TurnReason::Budget);

    // What needs not wait begins with them as well.
    let Queued::Started { turn_id } = place.ben.post(&queue, &waits).await.expect(202).json() else { panic!("it waits") };
    assert_eq!(end_of(&place.ben, &turn_id.to_string()).await.0, TurnReason::Budget);
    assert_eq!(place.model.requests().len(), 1, "only the first was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_can_not_be_read_are_refused_by_their_names() {
    let place = place(false).await;
    let project = fixture::project(&place.ben, "P").await;
    let talk = conversation(&place, &project).await;
    let doors =
        [format!("/api/conversations/{talk}/turns"), format!("/api/conversations/{talk}/queue"), format!("/api/projects/{project}/runs")];
    let body = |budget: &Value| json!({ "kind": "codegen", "prompt": "x", "command": "x", "budget": budget });
    for (field, budget) in [
        ("budget.usd", json!({ "usd": -0.01 })),
        ("budget.usd", json!({ "usd": 1_000_000.01 })),
        ("budget.usd", json!({ "usd": 1e300 })),
        ("budget.usd", json!({ "usd": 0.000_000_1 })),
        ("budget.usd", json!({ "usd": "NaN" })),
        ("budget.usd", json!({ "usd": "0.25", "steps": 1 })),
        ("budget.usd", json!({ "usd": true })),
        ("budget.usd", json!({ "usd": [1] })),
        ("budget.dollars", json!({ "dollars": 1 })),
        // What is no name of ours is quoted as it was sent.
        ("max-usd", json!({ "usd": 1, "tokens": 1, "max-usd": 1 })),
        ("budget.usd_micros", json!({ "usd_micros": -1 })),
        ("budget.tokens", json!({ "usd": 1, "tokens": 0 })),
        ("budget.tokens", json!({ "tokens": 1.5 })),
        ("budget.steps", json!({ "steps": -1 })),
        ("budget.steps", json!({ "steps": 501 })),
        ("budget", json!({ "usd": 1, "usd_micros": 1_000_000 })),
        ("budget", json!([1])),
        ("budget", json!("1 dollar")),
    ] {
        for door in &doors {
            let problem = place.ben.post(door, &body(&budget)).await.expect(422).problem();
            let names: Vec<_> = problem.fields.iter().map(|known| known.field.as_str()).collect();
            assert_eq!(names, [field], "{budget} at {door}: {problem:?}");
        }
    }
    let problem = place.ben.post(&doors[0], &body(&json!({ "dollars": 1 }))).await.problem();
    assert_eq!(problem.detail, r#"There is no field "dollars" here. The fields are usd, tokens, steps, usd_micros."#);

    // What is no JSON, or more than a number holds.
    for usd in ["NaN", "1e999"] {
        let request = place.ben.request(Method::POST, &doors[0]).header("content-type", "application/json");
        let sent = request.body(format!(r#"{{"prompt":"x","budget":{{"usd":{usd}}}}}"#));
        let problem = place.ben.send(sent).await.expect(400).problem();
        assert_eq!(problem.code, ErrorCode::BadRequest);
        assert!(problem.detail.contains("budget.usd"), "{problem:?}");
    }
    let view = view(&place, &talk).await;
    assert!(view.turns.is_empty() && view.queue.is_empty(), "nothing began");
    assert_eq!(place.model.requests().len(), 0);

    // Both names of money, and the ends of what may be said.
    for (budget, micros) in [
        (json!({ "usd": 0.25 }), Some(250_000)),
        (json!({ "usd": 1_000_000 }), Some(1_000_000_000_000)),
        (json!({ "usd": 0 }), Some(0)),
        (json!({ "usd_micros": 250_000, "usd": null }), Some(250_000)),
        (json!({ "tokens": 5, "steps": 500 }), None),
    ] {
        let talk = conversation(&place, &project).await;
        let turn = start(&place, &talk, "x", budget).await;
        assert_eq!(read(&place, &turn).await.budget.and_then(|budget| budget.usd_micros), micros);
    }
}
