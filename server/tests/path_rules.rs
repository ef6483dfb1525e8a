//! Rules about paths bind the agent wherever a path hides: in a list, in a folder, in a command. And they do so from the moment they are made.

use serde_json::{Value, json};
use wire::{
    Page, TurnId,
    chat::{Message, MessageBody, Turn, TurnReason, TurnStarted},
    event::EventKind,
};

use crate::support::{
    Caller, Events, Options, TestApp, fixture,
    model_server::{ModelServer, Step},
};

const SECRET: &str = "canary-4711";

struct World {
    _app: TestApp,
    model: ModelServer,
    ada: Caller,
    project: String,
}

async fn world() -> World {
    let model = ModelServer::start().await;
    let app = TestApp::with(Options { worker: true, model: Some(model.base_url()), ..Options::default() }).await;
    let ada = app.user("ada").await;
    let project = fixture::project(&ada, "P").await;
    for (path, text) in [
        ("README.md", "a canary is a bird\n"),
        ("conf/app.toml", "name = 'canary'\n"),
        ("conf/prod/launch-codes", SECRET),
        ("docs/AGENTS.md", "Write short sentences.\n"),
        ("src/main.rs", "fn main() {}\n"),
    ] {
        fixture::file(&ada, &project, path, text).await;
    }
    World { _app: app, model, ada, project }
}

impl World {
    async fn rule(&self, effect: &str, pattern: &str) {
        let rule = json!({ "effect": effect, "path_pattern": pattern });
        self.ada.post(&format!("/api/projects/{}/permissions", self.project), &rule).await.expect(201);
    }

    async fn begin(&self, mode: &str, steps: Vec<Step>) -> TurnId {
        self.model.script(steps);
        let conversation = self.ada.post(&format!("/api/projects/{}/conversations", self.project), &json!({})).await.expect(201).id();
        let body = json!({ "prompt": "Go", "mode": mode });
        let reply = self.ada.post(&format!("/api/conversations/{conversation}/turns"), &body).await;
        reply.expect(202).json::<TurnStarted>().turn_id
    }

    async fn follow(&self, turn: TurnId) -> Events {
        self.ada.follow(&format!("/api/live/turn:{turn}")).await.unwrap()
    }

    /// Waits for the turn's end; answers it with success and content of each result.
    async fn outcome(&self, turn: TurnId) -> (Turn, Vec<(bool, String)>) {
        self.follow(turn).await.rest().await;
        let turn: Turn = self.ada.get(&format!("/api/turns/{turn}")).await.expect(200).json();
        assert_eq!(turn.reason, Some(TurnReason::Done), "{:?}", turn.detail);
        let page: Page<Message> = self.ada.get(&format!("/api/conversations/{}/messages", turn.conversation_id)).await.expect(200).json();
        let results = page.items.into_iter().filter_map(|message| match message.body {
            MessageBody::Tool { ok, content, .. } => Some((ok, content)),
            _ => None,
        });
        (turn, results.collect())
    }

    /// Runs a turn that makes one call until it asks, answers that, and says what became of the call.
    async fn answer(&self, mode: &str, call: Step, decision: &str) -> (Turn, (bool, String)) {
        let id = self.begin(mode, vec![call, Step::text("Done.")]).await;
        let is_next = |kind: &EventKind| {
            matches!(kind, EventKind::ApprovalAsked { .. } | EventKind::ToolFinished { .. } | EventKind::TurnFinished { .. })
        };
        let asked = self.follow(id).await.until(|e| is_next(&e.kind)).await;
        let EventKind::ApprovalAsked { call_id, .. } = asked.kind else { panic!("it was not asked about: {asked:?}") };
        self.ada.post(&format!("/api/turns/{id}/approvals/{call_id}"), &json!({ "decision": decision })).await.expect(204);
        let (turn, mut results) = self.outcome(id).await;
        assert_eq!(results.len(), 1, "{results:?}");
        (turn, results.remove(0))
    }

    fn told(&self) -> String {
        self.model.requests().iter().map(|request| request.body.to_string()).collect()
    }
}

fn list(arguments: Value) -> Step {
    Step::call("list_files", arguments)
}

fn search(arguments: Value) -> Step {
    Step::call("search", arguments)
}

fn step(from: &str, to: &str) -> Step {
    Step::call("move_file", json!({ "from": from, "to": to }))
}

fn run(command: &str) -> Step {
    Step::call("run_command", json!({ "command": command }))
}

fn write(path: &str) -> Step {
    Step::call("write_file", json!({ "path": path, "content": "x\n" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_searches_leave_out_what_is_denied() {
    let world = world().await;
    world.rule("deny", "conf/prod/**").await;
    let steps = vec![
        list(json!({})),
        list(json!({ "path": "conf" })),
        search(json!({ "query": "canary" })),
        search(json!({ "query": "canary", "path": "conf/p*/*" })),
        search(json!({ "query": "canary", "path": "README.md" })),
        list(json!({ "path": "conf/prod" })),
        Step::text("Done."),
    ];
    let turn = world.begin("auto", steps).await;
    let (_, results) = world.outcome(turn).await;
    let note = "[1 entry is hidden by a rule of this project]";
    assert!(results[0].1.contains("README.md") && results[0].1.contains(note), "{results:?}");
    assert!(results[1].1.contains("conf/app.toml") && results[1].1.contains(note), "{results:?}");
    assert!(
        results[2].1.contains("README.md:1:") && results[2].1.contains("conf/app.toml:1:") && results[2].1.contains(note),
        "{results:?}"
    );
    assert!(results[3].1.starts_with("No match.") && results[3].1.contains(note), "{results:?}");
    assert!(results[4].1.contains("README.md:1:") && !results[4].1.contains("hidden"), "{results:?}");
    assert!(!results[5].0 && results[5].1.contains("forbid it"), "{results:?}");
    let told = world.told();
    assert!(!told.contains("launch-codes") && !told.contains(SECRET), "neither the tools nor the map tell the model: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_searches_ask_for_what_they_would_show() {
    let world = world().await;
    world.rule("ask", "conf/prod/**").await;
    let (_, (ok, content)) = world.answer("auto", search(json!({ "query": "canary" })), "reject").await;
    assert!(!ok && content.contains("declined"), "{content}");
    assert!(!world.told().contains(SECRET));
    let (_, (ok, content)) = world.answer("auto", search(json!({ "query": "canary" })), "approve").await;
    assert!(ok && content.contains(SECRET), "a person said yes: {content}");
    // Where nothing of it lies nobody is asked.
    let turn =
        world.begin("ask", vec![list(json!({ "path": "src" })), search(json!({ "query": "canary", "path": "*.md" })), Step::text("Done.")]);
    let (_, results) = world.outcome(turn.await).await;
    assert!(results.iter().all(|(ok, _)| *ok), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_moved_only_if_all_that_it_holds_may_be() {
    let world = world().await;
    world.rule("deny", "conf/prod/**").await;
    world.rule("deny", "public/*.rs").await;
    let turn = world.begin("auto", vec![step("conf", "settings"), step("src", "public"), Step::text("Done.")]).await;
    let (turn, results) = world.outcome(turn).await;
    assert!(results.iter().all(|(ok, content)| !ok && content.contains("forbid it")), "source and destination: {results:?}");
    assert!(turn.change_set_id.is_none());

    // It takes the agent's own instructions along.
    let (turn, (ok, content)) = world.answer("auto", step("docs", "papers"), "reject").await;
    assert!(!ok && content.contains("declined") && turn.change_set_id.is_none(), "{content}");

    let turn = world.begin("auto", vec![step("src", "lib"), Step::text("Done.")]).await;
    let (turn, results) = world.outcome(turn).await;
    assert!(results[0].0 && turn.change_set_id.is_some(), "{results:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_can_not_be_read_asks() {
    let world = world().await;
    let rule = json!({ "effect": "allow", "tool": "run_command", "command_pattern": "*" });
    world.ada.post(&format!("/api/projects/{}/permissions", world.project), &rule).await.expect(201);
    for command in ["echo 'open", "echo $(rm -rf src)", "cat <<EOF\nx\nEOF", "echo cm0gLXJmIHNyYw== | base64 -d | sh", "eval rm -rf src"] {
        let (turn, (ok, content)) = world.answer("ask", run(command), "reject").await;
        assert!(!ok && content.contains("declined") && turn.change_set_id.is_none(), "{command}: {content}");
    }
    // What a rule keeps is not got at by hiding its name, in the mode that runs all.
    world.rule("deny", "conf/prod/**").await;
    let turn =
        world.begin("auto", vec![run("cat conf/prod/launch-codes"), run("cp -r conf out"), run("grep -rn 4711 ."), Step::text("Done.")]);
    let (_, results) = world.outcome(turn.await).await;
    assert!(results.len() == 3 && results.iter().all(|(ok, content)| !ok && content.contains("forbid it")), "{results:?}");
    let (_, (ok, content)) = world.answer("auto", run("cat conf/$(echo prod)/launch-codes"), "reject").await;
    assert!(!ok && content.contains("declined"), "{content}");
    assert!(!world.told().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_made_meanwhile_holds_at_the_next_call() {
    let world = world().await;
    let held = Step { held: true, ..write("src/b.txt") };
    let turn = world.begin("auto", vec![write("src/a.txt"), held, list(json!({ "path": "conf" })), Step::text("Done.")]).await;
    world.model.wait_for(|counts| counts.requests == 2).await;
    world.rule("deny", "src/**").await;
    world.rule("deny", "conf/prod/**").await;
    world.model.release();
    let (_, results) = world.outcome(turn).await;
    assert!(results[0].0, "{results:?}");
    assert!(!results[1].0 && results[1].1.contains("forbid it"), "{results:?}");
    assert!(results[2].0 && results[2].1.contains("[1 entry is hidden"), "{results:?}");
}
