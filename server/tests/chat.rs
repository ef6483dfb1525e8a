//! The agent over REST, against a scripted model that speaks the real wire format.

use serde_json::{Value, json};
use wire::{
    ErrorCode, Page, TurnId,
    changes::{ChangeSet, Decided, HunkState},
    chat::{Message, MessageBody, Models, Turn, TurnReason, TurnStarted, TurnState},
    event::EventKind,
};

use crate::support::{
    Caller, Options, TestApp, fixture,
    model_server::{ModelServer, Step},
};

struct Chat {
    app: TestApp,
    model: ModelServer,
    ada: Caller,
    project: String,
    conversation: String,
}

async fn chat() -> Chat {
    let model = ModelServer::start().await;
    let app = TestApp::with(Options { worker: true, model: Some(model.base_url()), ..Options::default() }).await;
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    fixture::file(&ada, &project, "greet.py", "def greet():\n    return 'hello'\n").await;
    let conversation = ada.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    Chat { app, model, ada, project, conversation }
}

impl Chat {
    async fn send(&self, prompt: &str, mode: &str) -> TurnId {
        let body = json!({ "prompt": prompt, "mode": mode });
        let reply = self.ada.post(&format!("/api/conversations/{}/turns", self.conversation), &body).await;
        reply.expect(202).json::<TurnStarted>().turn_id
    }

    /// Everything the turn's stream says until it ends.
    async fn events(&self, turn: TurnId) -> Vec<EventKind> {
        let events = self.ada.follow(&format!("/api/live/turn:{turn}")).await.unwrap().rest().await;
        events.into_iter().map(|e| e.kind).collect()
    }

    async fn turn(&self, turn: TurnId) -> Turn {
        self.ada.get(&format!("/api/turns/{turn}")).await.expect(200).json()
    }

    async fn messages(&self) -> Vec<Message> {
        self.ada.get(&format!("/api/conversations/{}/messages", self.conversation)).await.expect(200).json::<Page<Message>>().items
    }

    async fn changes(&self, turn: TurnId) -> ChangeSet {
        self.ada.get(&format!("/api/turns/{turn}/changes")).await.expect(200).json()
    }

    async fn text(&self, path: &str) -> String {
        let reply = self.ada.get(&format!("/api/projects/{}/files/{path}", self.project)).await.expect(200);
        String::from_utf8(reply.body.to_vec()).unwrap()
    }
}

fn edit() -> Step {
    Step::call("edit_file", json!({ "path": "greet.py", "old_text": "'hello'", "new_text": "'good day'" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_streams_and_is_kept() {
    let chat = chat().await;
    chat.model
        .script([Step {
            usage: Some(json!({ "prompt_tokens": 11, "completion_tokens": 7 })), ..Step::text("Grüße aus dem Modell 🎉")
        }]);
    let turn = chat.send("Say hello", "ask").await;
    let events = chat.events(turn).await;
    let streamed: String =
        events.iter().filter_map(|e| if let EventKind::TextDelta { text } = e { Some(text.as_str()) } else { None }).collect();
    assert_eq!(streamed, "Grüße aus dem Modell 🎉");
    assert!(matches!(events.last(), Some(EventKind::TurnFinished { reason: TurnReason::Done, .. })), "{events:?}");
    let finished = chat.turn(turn).await;
    assert_eq!((finished.state, finished.usage.input, finished.usage.output), (TurnState::Finished, 11, 7));
    let messages = chat.messages().await;
    assert!(matches!(&messages[0].body, MessageBody::User { text, .. } if text == "Say hello"));
    assert!(matches!(&messages[1].body, MessageBody::Assistant { text, .. } if *text == streamed));
    assert_eq!(chat.model.requests().len(), 1);
    let again = chat.events(turn).await;
    assert_eq!(again, events, "a reload sees the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_reach_the_project_only_when_accepted() {
    let chat = chat().await;
    chat.model.script([edit(), Step::call("write_file", json!({ "path": "new.txt", "content": "n\n" })), Step::text("Done.")]);
    let turn = chat.send("Be polite", "ask").await;
    chat.events(turn).await;
    assert!(chat.text("greet.py").await.contains("'hello'"), "nothing is written before review");

    let set = chat.changes(turn).await;
    let file = |path: &str| set.files.iter().find(|f| f.path == path).unwrap_or_else(|| panic!("{path} in {set:?}"));
    let (accept, reject) = (file("greet.py").hunks[0].id, file("new.txt").hunks[0].id);
    let address = format!("/api/change-sets/{}/decisions", set.change_set_id);
    let decided: Decided = chat.ada.post(&address, &json!({ "accept": [accept], "reject": [reject] })).await.expect(200).json();
    assert_eq!(decided.written, ["greet.py"]);
    assert_eq!(decided.change_set.open_hunks(), 0);
    assert!(chat.text("greet.py").await.contains("'good day'"));
    chat.ada.get(&format!("/api/projects/{}/files/new.txt", chat.project)).await.expect(404);

    chat.model.script([Step::text("Understood.")]);
    let next = chat.send("Go on", "ask").await;
    chat.events(next).await;
    let told = chat.model.requests().last().unwrap().body.to_string();
    assert!(told.contains("greet.py") && told.contains("new.txt"), "the model is told what was decided: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_longer_fits_is_reported_and_not_forced() {
    let chat = chat().await;
    chat.model.script([edit(), Step::text("Done.")]);
    let turn = chat.send("Be polite", "ask").await;
    chat.events(turn).await;
    let path = format!("/api/projects/{}/files/greet.py", chat.project);
    let etag = chat.ada.get(&path).await.header("etag").unwrap().to_owned();
    chat.ada.put(&path, Some(("if-match", &etag)), "def greet():\n    return 'mine'\n").await.expect(200);

    let set = chat.changes(turn).await;
    let hunk = set.files[0].hunks[0].id;
    let address = format!("/api/change-sets/{}/decisions", set.change_set_id);
    let decided: Decided = chat.ada.post(&address, &json!({ "accept": [hunk] })).await.expect(200).json();
    assert_eq!((decided.conflicts.as_slice(), decided.written.len()), (&[hunk][..], 0));
    assert_eq!(decided.change_set.files[0].hunks[0].state, HunkState::Conflict);
    assert!(chat.text("greet.py").await.contains("'mine'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_approval_and_a_rejection_reaches_the_model() {
    let chat = chat().await;
    chat.model.script([Step::call("run_command", json!({ "command": "touch ran" })), Step::text("As you wish.")]);
    let turn = chat.send("Run it", "ask").await;
    let mut events = chat.ada.follow(&format!("/api/live/turn:{turn}")).await.unwrap();
    let asked = events.until(|e| matches!(e.kind, EventKind::ApprovalAsked { .. })).await;
    let EventKind::ApprovalAsked { call_id, name, .. } = asked.kind else { unreachable!() };
    assert_eq!(name, "run_command");
    let body = json!({ "decision": "reject", "reason": "not on my machine" });
    let address = |call: &str| format!("/api/turns/{turn}/approvals/{call}");
    chat.ada.post(&address("invented"), &body).await.expect(404);
    chat.ada.post(&address(&call_id), &body).await.expect(204);
    events.until(|e| matches!(e.kind, EventKind::TurnFinished { reason: TurnReason::Done, .. })).await;
    chat.ada.post(&address(&call_id), &body).await.expect(409);
    let told = chat.model.requests().last().unwrap().body.to_string();
    assert!(told.contains("not on my machine"), "{told}");
    let runs: Value = chat.ada.get(&format!("/api/projects/{}/runs", chat.project)).await.json();
    assert_eq!(runs["items"].as_array().unwrap().len(), 0, "nothing was run");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_command_runs_on_the_branch_and_its_result_is_told() {
    let chat = chat().await;
    if !fixture::can_run(&chat.app).await {
        return;
    }
    let command = json!({ "command": "echo made > made.txt && echo seen-$((40+2))" });
    chat.model.script([Step::call("run_command", command), Step::text("It ran.")]);
    let turn = chat.send("Run it", "auto").await;
    let events = chat.events(turn).await;
    assert!(matches!(events.last(), Some(EventKind::TurnFinished { reason: TurnReason::Done, .. })), "{events:?}");
    assert!(chat.model.requests().last().unwrap().body.to_string().contains("seen-42"));
    chat.ada.get(&format!("/api/projects/{}/files/made.txt", chat.project)).await.expect(404);
    assert_eq!(chat.changes(turn).await.files[0].path, "made.txt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_turn_and_leaves_the_provider() {
    let chat = chat().await;
    chat.model.script([Step { pace_ms: 50, ..Step::text("word ".repeat(500)) }]);
    let turn = chat.send("Talk", "ask").await;
    let mut events = chat.ada.follow(&format!("/api/live/turn:{turn}")).await.unwrap();
    events.until(|e| matches!(e.kind, EventKind::TextDelta { .. })).await;
    let stopped: Turn = chat.ada.post(&format!("/api/turns/{turn}/stop"), &json!({})).await.expect(200).json();
    assert_eq!((stopped.state, stopped.reason), (TurnState::Finished, Some(TurnReason::Stopped)));
    chat.model.wait_for(|counts| counts.abandoned == 1 && counts.open == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_refuses_is_explained() {
    let chat = chat().await;
    chat.model.script([Step::status(401)]);
    let turn = chat.send("Hello", "ask").await;
    chat.events(turn).await;
    let turn = chat.turn(turn).await;
    assert_eq!(turn.reason, Some(TurnReason::Failed));
    assert!(turn.detail.unwrap().contains("OPENAI_API_KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_has_one_turn_at_a_time() {
    let chat = chat().await;
    chat.model.script([Step { first_byte_ms: 20_000, ..Step::text("late") }]);
    let turn = chat.send("First", "ask").await;
    let body = json!({ "prompt": "Second" });
    let refused = chat.ada.post(&format!("/api/conversations/{}/turns", chat.conversation), &body).await.expect(409);
    assert_eq!(refused.problem().code, ErrorCode::Conflict);
    chat.ada.post(&format!("/api/turns/{turn}/stop"), &json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_the_rest_works_and_a_hint_says_how_to_connect_one() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let models: Models = ada.get("/api/models").await.expect(200).json();
    assert!(models.items.is_empty() && models.default.is_none() && models.hint.contains("OPENAI_BASE_URL"));
    let project = fixture::project(&ada, "P").await;
    let conversation = ada.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    let refused = ada.post(&format!("/api/conversations/{conversation}/turns"), &json!({ "prompt": "Hi" })).await;
    assert!([409, 422, 503].contains(&refused.status), "{refused:?}");
    assert!(refused.problem().detail.len() > 20);
}
