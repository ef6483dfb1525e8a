//! Rules of what the agent may do: who makes them, what an approval leaves behind, and what a dry run tells.

mod support;

use domain::{Ctx, Error, chat, context::Situation, files, members, permissions};
use support::Home;
use wire::{
    ProjectId, TurnId,
    chat::{Approval, CreateConversation, DecideApproval, MessageBody, Mode, StartTurn, TokenUsage, ToolCall, ToolFacts},
    event::{EventKind, Stream},
    files::{Base, SaveText},
    members::Invite,
    permissions::{CallOutcome, Decision, NewPermissionRule, PermissionEffect, RememberRule, TryPermissions},
    projects::ProjectRole,
};

on_both!(
    editors_make_rules_and_the_agent_never_does,
    an_approval_leaves_only_a_rule_that_covers_what_was_asked,
    a_dry_run_tells_what_rules_would_have_done,
    a_dry_run_looks_into_the_folders_of_then,
    a_turn_under_way_knows_of_a_rule_at_once,
    what_is_denied_is_not_on_the_map
);

fn command(effect: PermissionEffect, pattern: &str) -> NewPermissionRule {
    NewPermissionRule { effect, tool: Some("run_command".to_owned()), command_pattern: Some(pattern.to_owned()), path_pattern: None }
}

fn path(effect: PermissionEffect, pattern: &str) -> NewPermissionRule {
    NewPermissionRule { effect, tool: None, command_pattern: None, path_pattern: Some(pattern.to_owned()) }
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
}

async fn write(ctx: &Ctx, project: ProjectId, paths: &[&str]) {
    for path in paths {
        let request = SaveText { path: (*path).to_owned(), base: Base::New, text: "text\n".to_owned(), format: Default::default() };
        files::save_text(ctx, project, request).await.unwrap();
    }
}

async fn start_turn(ctx: &Ctx, project: ProjectId, mode: Mode) -> TurnId {
    let conversation = chat::create_conversation(ctx, project, CreateConversation::default()).await.unwrap().id;
    let request = StartTurn { prompt: "Do it".to_owned(), mode, ..StartTurn::default() };
    chat::start_turn(ctx, conversation, request).await.unwrap().turn_id
}

async fn asked(ctx: &Ctx, turn: TurnId, calls: &[ToolCall]) {
    let (text, reasoning, usage) = (String::new(), String::new(), TokenUsage::default());
    let body = MessageBody::Assistant { text, reasoning, tool_calls: calls.to_vec(), usage };
    chat::append_message(&ctx.as_agent(turn), turn, body).await.unwrap();
    chat::ask_approval(&ctx.as_agent(turn), turn, calls).await.unwrap();
}

fn approve(remember: Option<RememberRule>) -> DecideApproval {
    DecideApproval { decision: Approval::Approve, reason: None, remember }
}

async fn editors_make_rules_and_the_agent_never_does(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    let rule = permissions::add(&ada, project, command(PermissionEffect::Allow, " cargo test * ")).await.unwrap();
    assert_eq!(rule.command_pattern.as_deref(), Some("cargo test *"));
    let again = permissions::add(&ada, project, command(PermissionEffect::Allow, "cargo test *")).await.unwrap();
    assert_eq!(again.id, rule.id, "the same rule is kept once");
    assert!(permissions::add(&ada, project, command(PermissionEffect::Allow, "")).await.is_ok(), "a tool alone is a rule");
    let nothing = NewPermissionRule { tool: None, command_pattern: None, ..command(PermissionEffect::Deny, "") };
    assert!(matches!(permissions::add(&ada, project, nothing).await, Err(Error::Invalid(_))));

    assert!(matches!(permissions::list(&ben, project).await, Err(Error::NotFound(_))));
    members::invite(&ada, project, Invite { who: "ben".to_owned(), role: ProjectRole::Reviewer }).await.unwrap();
    assert!(!permissions::list(&ben, project).await.unwrap().may_change);
    assert!(matches!(permissions::add(&ben, project, command(PermissionEffect::Allow, "x")).await, Err(Error::Forbidden(_))));
    assert!(matches!(permissions::revoke(&ben, project, rule.id).await, Err(Error::Forbidden(_))));

    let turn = start_turn(&ada, project, Mode::Auto).await;
    let agent = ada.as_agent(turn);
    assert!(matches!(permissions::add(&agent, project, command(PermissionEffect::Allow, "x")).await, Err(Error::Forbidden(_))));
    assert!(matches!(permissions::revoke(&agent, project, rule.id).await, Err(Error::Forbidden(_))));
    assert_eq!(permissions::rules(&agent, project).await.unwrap().len(), 2);

    permissions::revoke(&ada, project, rule.id).await.unwrap();
    assert!(matches!(permissions::revoke(&ada, project, rule.id).await, Err(Error::NotFound(_))));
    let events = store::events::after(&mut home.services.db.read().await.unwrap(), Stream::Project(project), 0, 100).await.unwrap();
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::PermissionAdded { rule_id, .. } if *rule_id == rule.id => Some("added"),
            EventKind::PermissionRevoked { rule_id, .. } if *rule_id == rule.id => Some("revoked"),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["added", "revoked"]);
}

async fn an_approval_leaves_only_a_rule_that_covers_what_was_asked(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    members::invite(&ada, project, Invite { who: "ben".to_owned(), role: ProjectRole::Reviewer }).await.unwrap();
    let turn = start_turn(&ada, project, Mode::Ask).await;
    let test = call("c1", "run_command", r#"{"command":"cargo test -p wire"}"#);
    let edit = call("c2", "edit_file", r#"{"path":"AGENTS.md","old_text":"a","new_text":"b"}"#);
    asked(&ada, turn, &[test, edit]).await;

    for wrong in [
        RememberRule::CommandPattern("npm *".to_owned()),
        RememberRule::CommandPattern("cargo test".to_owned()),
        RememberRule::CommandPattern(String::new()),
        RememberRule::PathPattern("**".to_owned()),
        RememberRule::Tool("edit_file".to_owned()),
    ] {
        let refused = chat::decide_approval(&ada, turn, "c1", approve(Some(wrong.clone()))).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{wrong:?}: {refused:?}");
    }
    let declined = DecideApproval { decision: Approval::Reject, ..approve(Some(RememberRule::CommandPattern("cargo test *".to_owned()))) };
    assert!(matches!(chat::decide_approval(&ada, turn, "c1", declined).await, Err(Error::Invalid(_))));
    let always = approve(Some(RememberRule::CommandPattern("cargo test *".to_owned())));
    assert!(matches!(chat::decide_approval(&ben, turn, "c1", always.clone()).await, Err(Error::Forbidden(_))));
    let protected = approve(Some(RememberRule::PathPattern("AGENTS.md".to_owned())));
    assert!(
        matches!(chat::decide_approval(&ada, turn, "c2", protected).await, Err(Error::Invalid(_))),
        "what always asks is not remembered"
    );
    assert!(permissions::rules(&ada, project).await.unwrap().is_empty(), "a refused answer leaves nothing");

    chat::decide_approval(&ada, turn, "c1", always).await.unwrap();
    let rules = permissions::rules(&ada, project).await.unwrap();
    assert_eq!(rules.iter().map(|rule| rule.label()).collect::<Vec<_>>(), ["run_command: cargo test *"]);
    chat::decide_approval(&ben, turn, "c2", approve(None)).await.unwrap();
}

async fn a_dry_run_tells_what_rules_would_have_done(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    write(&ada, project, &["docs/AGENTS.md", "conf/prod/key.env"]).await;
    let turn = start_turn(&ada, project, Mode::Ask).await;
    let agent = ada.as_agent(turn);
    let body = MessageBody::Assistant {
        text: "Working.".to_owned(),
        reasoning: String::new(),
        tool_calls: vec![call("r", "read_file", r#"{"path":"a"}"#), call("p", "propose_plan", r#"{"steps":["x"]}"#)],
        usage: TokenUsage::default(),
    };
    chat::append_message(&agent, turn, body).await.unwrap();
    for id in ["r", "p"] {
        let body = MessageBody::Tool {
            call_id: id.to_owned(),
            name: String::new(),
            ok: true,
            content: "fine".to_owned(),
            facts: ToolFacts::default(),
        };
        chat::append_message(&agent, turn, body).await.unwrap();
    }
    asked(&ada, turn, &[call("t", "run_command", r#"{"command":"cargo test"}"#), call("x", "run_command", r#"{"command":"rm -rf ."}"#)])
        .await;
    chat::decide_approval(&ada, turn, "t", approve(None)).await.unwrap();
    let no = DecideApproval { decision: Approval::Reject, ..approve(None) };
    chat::decide_approval(&ada, turn, "x", no).await.unwrap();

    let tried = permissions::try_out(&ada, project, TryPermissions::default()).await.unwrap();
    assert_eq!((tried.turns, tried.allowed, tried.asked, tried.denied), (1, 2, 2, 0));
    let told: Vec<_> = tried.calls.iter().map(|call| (call.subject.as_str(), call.happened)).collect();
    assert_eq!(
        told,
        [("rm -rf .", CallOutcome::Declined), ("cargo test", CallOutcome::Approved), ("", CallOutcome::Ran), ("a", CallOutcome::Ran)]
    );
    permissions::add(&ada, project, command(PermissionEffect::Allow, "cargo test *")).await.unwrap();
    let request = TryPermissions { add: vec![command(PermissionEffect::Deny, "rm *")], ..TryPermissions::default() };
    let tried = permissions::try_out(&ada, project, request).await.unwrap();
    assert_eq!((tried.allowed, tried.asked, tried.denied), (3, 0, 1));
    assert!(matches!(tried.calls[0].would, Decision::Deny { rule: Some(_), .. }));
    assert_eq!(permissions::rules(&ada, project).await.unwrap().len(), 1, "nothing was written");
    let auto = TryPermissions { mode: Some(Mode::Auto), ..TryPermissions::default() };
    let tried = permissions::try_out(&ada, project, auto.clone()).await.unwrap();
    assert_eq!((tried.allowed, tried.asked, tried.denied), (3, 1, 0), "all of the project has the agent's instructions in it");
    assert!(matches!(&tried.calls[0].would, Decision::Ask { why } if why.contains("what the agent is told")), "{:?}", tried.calls[0]);
    let closed = TryPermissions { add: vec![path(PermissionEffect::Deny, "conf/prod/**")], ..auto };
    let tried = permissions::try_out(&ada, project, closed).await.unwrap();
    assert_eq!((tried.allowed, tried.asked, tried.denied), (3, 0, 1), "and what nobody may touch");
    let plan = TryPermissions { mode: Some(Mode::Plan), ..TryPermissions::default() };
    assert_eq!(permissions::try_out(&ada, project, plan).await.unwrap().denied, 2);
    let wrong = TryPermissions { add: vec![command(PermissionEffect::Deny, "a\nb")], ..TryPermissions::default() };
    assert!(matches!(permissions::try_out(&ada, project, wrong).await, Err(Error::Invalid(_))));
}

async fn a_dry_run_looks_into_the_folders_of_then(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    write(&ada, project, &["docs/deep/AGENTS.md", "conf/prod/key.env", "src/main.rs"]).await;
    let turn = start_turn(&ada, project, Mode::Auto).await;
    let calls = [
        call("1", "move_file", r#"{"from":"docs","to":"papers"}"#),
        call("2", "run_command", r#"{"command":"mv docs papers"}"#),
        call("3", "move_file", r#"{"from":"conf","to":"settings"}"#),
        call("4", "run_command", r#"{"command":"rm -rf conf"}"#),
        call("5", "search", r#"{"query":"x"}"#),
        call("6", "move_file", r#"{"from":"src","to":"lib"}"#),
    ];
    let body =
        MessageBody::Assistant { text: String::new(), reasoning: String::new(), tool_calls: calls.to_vec(), usage: TokenUsage::default() };
    chat::append_message(&ada.as_agent(turn), turn, body).await.unwrap();
    // What came after the turn's files is none of its business.
    write(&ada, project, &["src/AGENTS.md"]).await;

    let judged = async |add: Vec<NewPermissionRule>| {
        let request = TryPermissions { add, ..TryPermissions::default() };
        let tried = permissions::try_out(&ada, project, request).await.unwrap();
        let word = |decision: &Decision| match decision {
            Decision::Allow { .. } => "allow",
            Decision::Ask { .. } => "ask",
            Decision::Deny { .. } => "deny",
        };
        tried.calls.iter().rev().map(|call| word(&call.would)).collect::<Vec<_>>()
    };
    assert_eq!(judged(Vec::new()).await, ["ask", "ask", "allow", "allow", "allow", "allow"], "a folder that holds AGENTS.md asks");
    let denied = judged(vec![path(PermissionEffect::Deny, "conf/prod/**")]).await;
    assert_eq!(denied, ["ask", "ask", "deny", "deny", "allow", "allow"], "a search leaves out what is denied");
    let asked = judged(vec![path(PermissionEffect::Ask, "conf/prod/**")]).await;
    assert_eq!(asked, ["ask", "ask", "ask", "ask", "ask", "allow"]);
}

async fn a_turn_under_way_knows_of_a_rule_at_once(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    let project = home.project(&ada).await.id;
    members::invite(&ada, project, Invite { who: "ben".to_owned(), role: ProjectRole::Editor }).await.unwrap();
    let turn = start_turn(&ada, project, Mode::Auto).await;
    let agent = ada.as_agent(turn);
    assert!(permissions::rules(&agent, project).await.unwrap().is_empty());
    let rule = permissions::add(&ben, project, path(PermissionEffect::Deny, "conf/**")).await.unwrap();
    assert_eq!(permissions::rules(&agent, project).await.unwrap().iter().map(|known| known.id).collect::<Vec<_>>(), [rule.id]);
    permissions::revoke(&ben, project, rule.id).await.unwrap();
    assert!(permissions::rules(&agent, project).await.unwrap().is_empty());
}

async fn what_is_denied_is_not_on_the_map(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let files = [
        ("src/main.rs", "fn main() {}\n"),
        ("conf/keys.rs", "fn unlock_everything() {}\n"),
        ("conf/AGENTS.md", "The door's number is 1234.\n"),
        ("AGENTS.md", "Be short.\n"),
    ];
    for (path, text) in files {
        let request = SaveText { path: path.to_owned(), base: Base::New, text: text.to_owned(), format: Default::default() };
        files::save_text(&ada, project, request).await.unwrap();
    }
    let mut turn = chat::get_turn(&ada, start_turn(&ada, project, Mode::Auto).await).await.unwrap();
    turn.prompt = "Look at conf/keys.rs".to_owned();
    let revision = files::manifest(&ada, project).await.unwrap().revision;
    let ground = async || Situation::of_turn(&ada, &turn, &[], revision, &turn.model, 32_000).await.unwrap().ground;
    assert_eq!(ground().await.instructions.len(), 2);
    assert!(ground().await.map.contains("keys.rs") && ground().await.map.contains("unlock_everything"));
    for pattern in ["conf/**", "AGENTS.md"] {
        permissions::add(&ada, project, path(PermissionEffect::Deny, pattern)).await.unwrap();
    }
    let now = ground().await;
    assert!(!now.map.contains("keys.rs") && !now.map.contains("unlock_everything") && now.map.contains("main.rs"), "{}", now.map);
    let paths: Vec<&str> = now.instructions.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["AGENTS.md"], "who may not touch its instructions still follows them; a closed folder's stay closed");
}
