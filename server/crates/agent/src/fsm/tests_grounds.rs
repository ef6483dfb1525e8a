//! Rules that change while a turn works, and what lies below the paths of its calls.

use serde_json::json;
use wire::permissions::{NewPermissionRule, PermissionEffect, UNKNOWN};

use super::{
    tests::{answer, call, fresh, result, rules, started, tool_messages},
    *,
};

fn path_rule(effect: PermissionEffect, pattern: &str) -> PermissionRule {
    let new = NewPermissionRule { effect, tool: None, command_pattern: None, path_pattern: Some(pattern.into()) };
    let nobody = uuid::Uuid::nil();
    new.as_rule(nobody.into(), nobody.into(), None, wire::Micros(0))
}

fn asks(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::AskApproval(_)))
}

/// In a machine that waits for its model's answer.
fn calling(mode: Mode) -> Machine {
    let mut rules = rules(mode);
    let known = rules.rule("edit_file").unwrap().clone();
    rules.tools.push(ToolRule { name: "move_file".into(), ..known });
    let mut machine = Machine::resume(rules, History::default());
    machine.handle(Event::Begin);
    machine
}

fn held(call: &ToolCall, paths: &[&str]) -> Held {
    Held { tool: call.name.clone(), arguments: call.arguments.clone(), paths: paths.iter().map(|path| (*path).to_owned()).collect() }
}

#[test]
fn a_rule_that_is_added_holds_for_the_next_call_of_the_same_answer() {
    let edit = |id: &str, path: &str| call(id, "edit_file", &json!({ "path": path, "old_text": "a", "new_text": "b" }).to_string());
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    let out = m.handle(answer("", vec![edit("a", "src/a"), edit("b", "src/b"), edit("c", "doc")]));
    assert_eq!(started(&out), ["a"]);
    m.renew(vec![path_rule(PermissionEffect::Deny, "src/**")], Vec::new());
    let out = m.handle(result("a", "done"));
    assert!(tool_messages(&out).iter().any(|(id, ok, text)| *id == "b" && !ok && text.contains("forbid it")), "{out:?}");
    assert_eq!(started(&out), ["c"]);
    // And one that is taken back holds no more.
    m.renew(Vec::new(), Vec::new());
    m.handle(result("c", "done"));
    assert_eq!(started(&m.handle(answer("", vec![edit("d", "src/b")]))), ["d"]);
}

#[test]
fn a_person_who_approved_does_not_outweigh_a_rule_that_came_later() {
    let run = call("a", "run_command", &json!({ "command": "cat conf/key" }).to_string());
    let mut m = fresh(Mode::Ask);
    m.handle(Event::Begin);
    assert!(asks(&m.handle(answer("", vec![run]))));
    m.renew(vec![path_rule(PermissionEffect::Deny, "conf/**")], Vec::new());
    let out = m.handle(Event::ApprovalDecided { call_id: "a".into(), decision: Approval::Approve, reason: None });
    assert!(started(&out).is_empty() && tool_messages(&out)[0].2.contains("forbid it"), "{out:?}");
}

#[test]
fn what_a_folder_holds_is_judged_with_it() {
    let step = call("a", "move_file", &json!({ "from": "conf", "to": "settings" }).to_string());
    let look = call("b", "search", &json!({ "query": "x" }).to_string());
    for (effect, call, paths, expected) in [
        (PermissionEffect::Deny, &step, vec!["conf/prod/key"], "deny"),
        (PermissionEffect::Ask, &step, vec!["conf/prod/key"], "ask"),
        (PermissionEffect::Deny, &step, vec![], "run"),
        (PermissionEffect::Allow, &step, vec!["conf/AGENTS.md"], "ask"),
        (PermissionEffect::Allow, &step, vec![UNKNOWN], "ask"),
        (PermissionEffect::Ask, &look, vec!["conf/prod/key"], "ask"),
        (PermissionEffect::Deny, &look, vec!["conf/prod/key"], "run"),
    ] {
        let mut m = calling(Mode::Auto);
        m.renew(vec![path_rule(effect, "conf/prod/**")], vec![held(call, &paths)]);
        let out = m.handle(answer("", vec![call.clone()]));
        let became = match () {
            () if asks(&out) => "ask",
            () if !started(&out).is_empty() => "run",
            () => "deny",
        };
        assert_eq!(became, expected, "{effect:?} {} {paths:?}: {out:?}", call.name);
    }
}

#[test]
fn whoever_drives_learns_which_calls_are_next() {
    let names = |m: &Machine, event: &Event| m.calls_before(event).iter().map(|call| call.id.clone()).collect::<Vec<_>>();
    let mut m = fresh(Mode::Auto);
    assert!(names(&m, &Event::Begin).is_empty());
    m.handle(Event::Begin);
    let made = answer("", vec![call("a", "edit_file", "{}"), call("b", "search", "{}")]);
    assert_eq!(names(&m, &made), ["a", "b"]);
    m.handle(made);
    assert_eq!(names(&m, &result("a", "done")), ["b"]);
    assert!(names(&m, &Event::StopRequested).is_empty() && names(&m, &Event::TimeUp).is_empty());
}
