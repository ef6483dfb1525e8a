//! The agent's loop over REST: its own tools, the model that takes over, what is kept at the end.

use serde_json::json;
use wire::{
    Page, TurnId,
    budgets::{CallUsage, TurnUsage},
    chat::{Message, MessageBody, Turn, TurnReason, TurnStarted},
    event::EventKind,
    runs::{Run, RunKind},
};

use crate::support::{
    Caller, Options, TestApp, fixture,
    model_server::{ModelServer, Step},
};

struct World {
    app: TestApp,
    model: ModelServer,
    ada: Caller,
    conversation: String,
}

async fn world() -> World {
    world_with(vec![("AI_BACKUP_MODEL", "spare")]).await
}

async fn world_with(settings: Vec<(&'static str, &'static str)>) -> World {
    let model = ModelServer::start().await;
    let app = TestApp::with(Options { worker: true, model: Some(model.base_url()), settings }).await;
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    let conversation = ada.post(&format!("/api/projects/{project}/conversations"), &json!({})).await.expect(201).id();
    World { app, model, ada, conversation }
}

impl World {
    async fn begin(&self, mode: &str) -> TurnId {
        let body = json!({ "prompt": "Go", "mode": mode });
        let reply = self.ada.post(&format!("/api/conversations/{}/turns", self.conversation), &body).await;
        reply.expect(202).json::<TurnStarted>().turn_id
    }

    /// What the calls of a turn were booked with.
    async fn calls(&self, turn: TurnId) -> Vec<CallUsage> {
        self.ada.get(&format!("/api/turns/{turn}/usage")).await.expect(200).json::<TurnUsage>().calls
    }

    /// Runs a turn to its end; answers it with its events.
    async fn turn(&self, mode: &str, steps: Vec<Step>) -> (Turn, Vec<EventKind>) {
        self.model.script(steps);
        let id = self.begin(mode).await;
        let events = self.ada.follow(&format!("/api/live/turn:{id}")).await.unwrap().rest().await;
        let turn = self.ada.get(&format!("/api/turns/{id}")).await.expect(200).json();
        (turn, events.into_iter().map(|event| event.kind).collect())
    }

    async fn messages(&self) -> Vec<MessageBody> {
        let address = format!("/api/conversations/{}/messages", self.conversation);
        let page: Page<Message> = self.ada.get(&address).await.expect(200).json();
        page.items.into_iter().map(|message| message.body).collect()
    }

    async fn results(&self) -> Vec<(bool, String)> {
        let tool = |body| if let MessageBody::Tool { ok, content, .. } = body { Some((ok, content)) } else { None };
        self.messages().await.into_iter().filter_map(tool).collect()
    }

    fn asked_models(&self) -> Vec<String> {
        self.model.requests().iter().map(|request| request.body["model"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_takes_over_before_the_first_token_and_it_is_said() {
    let world = world().await;
    let (turn, events) = world.turn("ask", vec![Step::status(503), Step::status(503), Step::status(503), Step::text("Here I am.")]).await;
    assert_eq!(turn.reason, Some(TurnReason::Done), "{:?}", turn.detail);
    assert_eq!(world.asked_models(), ["scripted", "scripted", "scripted", "spare"]);
    let switched = events
        .iter()
        .find_map(|e| if let EventKind::ModelSwitched { from, model, reason } = e { Some((from, model, reason)) } else { None });
    let (from, model, reason) = switched.expect("the page is told");
    assert!(from == "scripted" && model == "spare" && reason.contains("503"), "{from}, {model}: {reason}");
    let messages = world.messages().await;
    let is_kept = |body: &MessageBody| matches!(body, MessageBody::Switched { from, to, reason: kept } if from == "scripted" && to == "spare" && kept == reason);
    assert!(messages.iter().any(is_kept), "{messages:?}");
    let last = world.model.requests().pop().unwrap().body.to_string();
    assert!(last.contains("From here on spare answers instead of scripted"), "{last}");
    let export = world.ada.get(&format!("/api/conversations/{}/export?format=markdown", world.conversation)).await.expect(200);
    assert!(String::from_utf8_lossy(&export.body).contains("> Switched from scripted to spare: "));

    // The next turn begins with the model that was picked.
    world.turn("ask", vec![Step::text("Hello again.")]).await;
    assert_eq!(world.asked_models().last().unwrap(), "scripted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_takes_over_where_waiting_does_not_help() {
    let world = world().await;
    let empty = json!({ "error": { "message": "You exceeded your quota.", "code": "insufficient_quota" } });
    for refusal in [Step::status(402), Step::status(404), Step { body: Some(empty.to_string()), ..Step::status(429) }] {
        let (turn, _) = world.turn("ask", vec![refusal, Step::text("Here I am.")]).await;
        assert_eq!(turn.reason, Some(TurnReason::Done), "{:?}", turn.detail);
    }
    assert_eq!(world.asked_models(), ["scripted", "spare", "scripted", "spare", "scripted", "spare"]);
    // What is wrong with the request is wrong for another model too.
    let (turn, _) = world.turn("ask", vec![Step::status(400)]).await;
    assert_eq!((turn.reason, world.asked_models().len()), (Some(TurnReason::Failed), 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_token_nobody_takes_over_and_what_came_is_kept() {
    let world = world().await;
    let cut = Step { cut_after_chars: Some(9), ..Step::text("Half of an answer that breaks off here.") };
    let (turn, events) = world.turn("ask", vec![cut]).await;
    assert_eq!(turn.reason, Some(TurnReason::Failed));
    assert!(turn.detail.unwrap().contains("changed no file"));
    assert_eq!(world.asked_models(), ["scripted"]);
    assert!(!events.iter().any(|e| matches!(e, EventKind::ModelSwitched { .. })));
    let messages = world.messages().await;
    assert!(messages.iter().any(|body| matches!(body, MessageBody::Assistant { text, .. } if text.starts_with("Half"))), "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_thought_is_kept_for_people_and_not_sent_again() {
    let world = world().await;
    let thinking = |reasoning: &str, step: Step| Step { reasoning: Some(reasoning.to_owned()), ..step };
    let steps = vec![
        thinking("Pondering the plan first.", Step::call("propose_plan", json!({ "steps": ["Read it."] }))),
        thinking("Pondering the answer then.", Step::text("That is the plan.")),
    ];
    let (turn, events) = world.turn("plan", steps).await;
    assert_eq!(turn.reason, Some(TurnReason::Done), "{:?}", turn.detail);
    let streamed = |event: &EventKind| if let EventKind::ReasoningDelta { text } = event { Some(text.clone()) } else { None };
    let streamed: String = events.iter().filter_map(streamed).collect();
    // Cut off before its first word: what it thought is all there is.
    let cut = thinking("Pondering in vain.", Step { cut_after_chars: Some(0), cut_clean: true, ..Step::default() });
    let (turn, _) = world.turn("plan", vec![cut]).await;
    assert_eq!(turn.reason, Some(TurnReason::Failed));
    world.turn("plan", vec![Step::text("Here I am.")]).await;

    let thought = |body| if let MessageBody::Assistant { text, reasoning, .. } = body { Some((text, reasoning)) } else { None };
    let kept: Vec<(String, String)> = world.messages().await.into_iter().filter_map(thought).collect();
    let kept: Vec<(&str, &str)> = kept.iter().map(|(text, reasoning)| (text.as_str(), reasoning.as_str())).collect();
    let expected = [
        ("", "Pondering the plan first."),
        ("That is the plan.", "Pondering the answer then."),
        ("", "Pondering in vain."),
        ("Here I am.", ""),
    ];
    assert_eq!(kept, expected);
    assert_eq!(streamed, "Pondering the plan first.Pondering the answer then.");
    for request in world.model.requests() {
        assert!(!request.body.to_string().contains("Pondering"), "{}", request.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_keeps_the_turn_when_it_is_taken_up_again() {
    let world = world().await;
    let command = Step::call("run_command", json!({ "command": "touch ran" }));
    world.model.script([Step::status(503), Step::status(503), Step::status(503), command, Step::text("As you wish.")]);
    let id = world.begin("ask").await;
    let mut events = world.ada.follow(&format!("/api/live/turn:{id}")).await.unwrap();
    let asked = events.until(|e| matches!(e.kind, EventKind::ApprovalAsked { .. })).await;
    let EventKind::ApprovalAsked { call_id, .. } = asked.kind else { unreachable!() };
    // The question has ended the job; the answer begins another one, which knows no more than what is written down.
    world.ada.post(&format!("/api/turns/{id}/approvals/{call_id}"), &json!({ "decision": "reject" })).await.expect(204);
    let ended = events.until(|e| matches!(e.kind, EventKind::TurnFinished { .. })).await;
    assert!(matches!(ended.kind, EventKind::TurnFinished { reason: TurnReason::Done, .. }), "{ended:?}");
    assert_eq!(world.asked_models(), ["scripted", "scripted", "scripted", "spare", "spare"]);
    let export = world.ada.get(&format!("/api/conversations/{}/export?format=markdown", world.conversation)).await.expect(200);
    let export = String::from_utf8_lossy(&export.body).into_owned();
    assert!(export.matches("## Agent (spare)").count() == 2 && !export.contains("## Agent (scripted)"), "{export}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_is_booked_as_far_as_it_came() {
    let world = world_with(vec![("AI_BACKUP_MODEL", "spare"), ("AI_REQUEST_TIMEOUT", "3")]).await;
    // In the middle of the arguments of a call, which nobody counts.
    let call = json!({ "index": 0, "id": "c1", "function": { "name": "write_file", "arguments": format!("{{\"content\":\"{}", "x".repeat(588)) } });
    let raw = format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [call] } }] }));
    let (turn, _) = world.turn("ask", vec![Step { raw: Some(raw), ..Step::default() }]).await;
    assert_eq!(turn.reason, Some(TurnReason::Failed));
    let cut = world.calls(turn.id).await.remove(0);
    assert_eq!((cut.outcome.as_str(), cut.estimated, cut.output), ("failed", true, 204), "{cut:?}");
    let sent = cut.input;
    assert!(sent > 500, "the tools alone are that long: {cut:?}");

    // No first byte in time: the request was worked on all the same.
    let late = Step { first_byte_ms: 20_000, ..Step::text("late") };
    let (turn, _) = world.turn("ask", vec![late, Step::text("Here I am.")]).await;
    let calls = world.calls(turn.id).await;
    assert_eq!((calls[0].model.as_str(), calls[0].outcome.as_str(), calls[0].output), ("scripted", "failed", 0), "{calls:?}");
    assert!(calls[0].estimated && calls[0].input > sent && calls[0].input < 2 * sent, "{calls:?}");
    assert_eq!((calls[1].model.as_str(), calls[1].outcome.as_str()), ("spare", "ok"), "{calls:?}");

    // A stop in the middle of a text.
    world.model.script([Step { pace_ms: 50, ..Step::text("word ".repeat(500)) }]);
    let id = world.begin("ask").await;
    let mut events = world.ada.follow(&format!("/api/live/turn:{id}")).await.unwrap();
    events.until(|e| matches!(e.kind, EventKind::TextDelta { .. })).await;
    world.ada.post(&format!("/api/turns/{id}/stop"), &json!({})).await.expect(200);
    let stopped = world.calls(id).await.remove(0);
    assert_eq!((stopped.outcome.as_str(), stopped.estimated), ("stopped", true), "{stopped:?}");
    assert!(stopped.input > sent && stopped.output > 0 && stopped.output < 800, "neither nothing nor all that was reserved: {stopped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_backup_fails_too_the_turn_ends_with_its_sentence() {
    let world = world().await;
    let (turn, _) = world.turn("ask", (0..6).map(|_| Step::status(503)).collect()).await;
    assert_eq!(turn.reason, Some(TurnReason::Failed));
    assert_eq!(world.asked_models().iter().filter(|name| *name == "spare").count(), 3);
    assert!(turn.detail.unwrap().contains("503"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_of_the_branch_are_run_and_their_failures_told() {
    let world = world().await;
    if !fixture::can_run(&world.app).await {
        return;
    }
    // Nothing of this is in the project: it is recognised on the branch.
    let test = "import unittest\n\nclass Sums(unittest.TestCase):\n    def test_good(self):\n        self.assertEqual(1 + 1, 2)\n\n    \
                def test_bad(self):\n        self.assertEqual(1 + 1, 3)\n";
    let steps = vec![
        Step::call("run_tests", json!({})),
        Step::call("write_file", json!({ "path": "test_sums.py", "content": test })),
        Step::call("run_tests", json!({})),
        Step::call("run_tests", json!({ "filter": "good" })),
        Step::call("run_tests", json!({ "filter": "--help" })),
        Step::call("run_tests", json!({ "filter": 3 })),
        Step::text("Done."),
    ];
    let (turn, events) = world.turn("auto", steps).await;
    assert_eq!(turn.reason, Some(TurnReason::Done), "{:?}", turn.detail);
    let results = world.results().await;
    assert!(!results[0].0 && results[0].1.contains("No tests were recognised"), "{results:?}");
    assert!(!results[2].0 && results[2].1.contains("1 passed, 1 failed."), "{results:?}");
    assert!(results[2].1.contains("test_bad") && results[2].1.contains("2 != 3"), "{results:?}");
    assert!(results[3].0 && results[3].1.contains("1 passed, 0 failed."), "{results:?}");
    assert!(!results[4].0 && results[4].1.contains("without a dash"), "{results:?}");
    assert!(!results[5].0 && results[5].1.contains("filter must be text, not 3"), "{results:?}");
    let run = events.iter().find_map(|e| if let EventKind::ToolOutput { run_id, .. } = e { *run_id } else { None }).unwrap();
    let run: Run = world.ada.get(&format!("/api/runs/{run}")).await.expect(200).json();
    assert_eq!((run.kind, run.turn_id), (RunKind::TestRunner, Some(turn.id)));
    assert_eq!(run.tests.map(|report| (report.passed, report.failed)), Some((1, 1)), "people see the same report");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_middle_of_a_long_output_can_be_read_by_its_turn_alone() {
    let world = world().await;
    if !fixture::can_run(&world.app).await {
        return;
    }
    world.turn("auto", vec![Step::call("run_command", json!({ "command": "seq 1 20000" })), Step::text("Long.")]).await;
    let results = world.results().await;
    assert!(results[0].1.contains("bytes left out here") && !results[0].1.contains("\n10000\n"));
    let handle = results[0].1.rsplit_once("read_output with handle \"").expect("a handle").1.trim_end_matches("\"]").to_owned();

    let read = |handle: &str| Step::call("read_output", json!({ "handle": handle, "start_line": 10_000, "end_line": 10_001 }));
    world.turn("auto", vec![read(&handle), Step::text("Gone.")]).await;
    let results = world.results().await;
    assert!(!results[1].0 && results[1].1.starts_with("Not found"), "another turn: {}", results[1].1);

    // What follows needs the handle of a run that is yet to be made: the run of this turn is looked up as soon as it is there.
    let first = Step::call("run_command", json!({ "command": "seq 1 20000" }));
    let wait = Step { first_byte_ms: 1500, ..Step::call("list_files", json!({})) };
    world.model.script([first, wait]);
    let body = json!({ "prompt": "Go", "mode": "auto" });
    let reply = world.ada.post(&format!("/api/conversations/{}/turns", world.conversation), &body).await;
    let id: TurnId = reply.expect(202).json::<TurnStarted>().turn_id;
    let mut events = world.ada.follow(&format!("/api/live/turn:{id}")).await.unwrap();
    let told = events.until(|e| matches!(e.kind, EventKind::ToolOutput { run_id: Some(_), .. })).await;
    let EventKind::ToolOutput { run_id: Some(run), .. } = told.kind else { unreachable!() };
    world.model.script([read(&format!("run-{run}")), Step::text("Done.")]);
    events.until(|e| matches!(e.kind, EventKind::TurnFinished { .. })).await;
    let results = world.results().await;
    assert_eq!(results.last().unwrap().1, " 10000\t10000\n 10001\t10001\n[lines 10000 to 10001 of 20000]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_shown_and_nobody_waits() {
    let world = world().await;
    let steps = vec![
        Step::call("propose_plan", json!({ "steps": [] })),
        Step::call("propose_plan", json!({ "steps": ["Read it.", "Change it."] })),
        Step::text("That is the plan."),
    ];
    let (turn, events) = world.turn("plan", steps).await;
    assert_eq!(turn.reason, Some(TurnReason::Done));
    let results = world.results().await;
    assert!(!results[0].0 && results[1].0 && results[1].1.starts_with("Shown."), "{results:?}");
    assert!(!events.iter().any(|e| matches!(e, EventKind::ApprovalAsked { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_that_a_command_makes_and_empties_are_reviewed() {
    let world = world().await;
    if !fixture::can_run(&world.app).await {
        return;
    }
    let conversation: serde_json::Value = world.ada.get(&format!("/api/conversations/{}", world.conversation)).await.expect(200).json();
    let project: wire::ProjectId = conversation["conversation"]["project_id"].as_str().unwrap().parse().unwrap();
    let as_ada = domain::Ctx::for_job(&world.app.services, world.ada.user.clone().unwrap(), uuid::Uuid::now_v7().into());
    domain::files::create_directory(&as_ada, project, "held").await.unwrap();
    for path in ["only/file.txt", "swap"] {
        fixture::file(&world.ada, &project.to_string(), path, "x").await;
    }
    let command = "mkdir -p made/deep && rmdir held && rm only/file.txt && rm swap && mkdir swap";
    let (turn, _) = world.turn("auto", vec![Step::call("run_command", json!({ "command": command })), Step::text("Done.")]).await;
    let set: wire::changes::ChangeSet = world.ada.get(&format!("/api/turns/{}/changes", turn.id)).await.expect(200).json();
    let shown: Vec<_> = set.files.iter().map(|file| (file.path.as_str(), file.directory)).collect();
    // What stands in the place of the file can't be decided with it.
    assert_eq!(shown, [("held", true), ("made/deep", true), ("only", true), ("only/file.txt", false), ("swap", false)]);
    let accept: Vec<_> = set.files.iter().flat_map(|file| &file.hunks).map(|hunk| hunk.id).collect();
    let at = format!("/api/change-sets/{}/decisions", set.change_set_id);
    world.ada.post(&at, &json!({ "accept": accept })).await.expect(200);
    let tree = domain::files::tree(&as_ada, project).await.unwrap();
    let left: Vec<_> = tree.items.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(left, ["made", "made/deep", "only"]);
}
