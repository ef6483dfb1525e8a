//! Going in circles, running out of time, models that fail, rules of people, questions to people.

use serde_json::json;
use wire::permissions::{NewPermissionRule, PermissionEffect};

use super::{
    tests::{answer, call, calls_model, end, fresh, result, rules, started, told, tool_messages},
    *,
};

fn failed(id: &str, content: &str) -> Event {
    Event::ToolFinished(ToolResult { call_id: id.into(), ok: false, content: content.into(), facts: told("no"), left_alive: 0 })
}

fn notes(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|e| if let Effect::AppendMessage(MessageBody::Note { text }) = e { Some(text.as_str()) } else { None })
        .collect()
}

/// Makes the calls one after the other, each in a step of its own with a result of its own, until the turn ends.
fn play(machine: &mut Machine, calls: impl IntoIterator<Item = (&'static str, serde_json::Value)>) -> (usize, Vec<Effect>) {
    let mut out = machine.handle(Event::Begin);
    let mut made = 0;
    for (n, (name, arguments)) in calls.into_iter().enumerate() {
        assert!(calls_model(&out), "{out:?}");
        let id = format!("c{n}");
        machine.handle(answer("", vec![call(&id, name, &arguments.to_string())]));
        out = machine.handle(result(&id, &format!("done {n}")));
        made = n + 1;
        if end(&out).is_some() {
            break;
        }
    }
    (made, out)
}

#[test]
fn changing_a_text_back_and_forth_is_pointed_out_and_then_ends_the_turn() {
    let swap = |n: usize| {
        let (old, new) = if n.is_multiple_of(2) { ("a", "b") } else { ("b", "a") };
        ("edit_file", json!({ "path": "x.rs", "old_text": old, "new_text": new }))
    };
    let mut m = fresh(Mode::Auto);
    let (made, out) = play(&mut m, (0..10).map(swap));
    assert_eq!(made, 4, "there, and back three times");
    let (reason, detail) = end(&out).unwrap();
    assert_eq!(reason, TurnReason::Limit);
    assert!(detail.contains("x.rs back and forth"), "{detail}");
    assert!(tool_messages(&out)[0].2.contains("3 of 3 times"));

    // Other files and other places are other changes.
    let mut m = fresh(Mode::Auto);
    let other =
        |n: usize| ("edit_file", json!({ "path": format!("{}.rs", n / 2), "old_text": n.to_string(), "new_text": (n + 1).to_string() }));
    let (made, out) = play(&mut m, (0..10).map(other));
    assert_eq!((made, end(&out)), (10, None));
}

#[test]
fn whole_texts_moves_and_removals_are_undone_too() {
    let write = |text: &str| ("write_file", json!({ "path": "x", "content": text }));
    let rename = |from: &str, to: &str| ("move_file", json!({ "from": from, "to": to }));
    let remove = || ("delete_file", json!({ "path": "x" }));
    let circles: [Vec<_>; 3] = [
        vec![write("1"), write("2"), write("1"), write("2"), write("1"), write("2")],
        vec![write("1"), remove(), write("1"), remove(), write("1"), remove()],
        vec![rename("p", "q"), rename("q", "p"), rename("p", "q"), rename("q", "p"), rename("p", "q")],
    ];
    for calls in circles {
        let mut rules = rules(Mode::Auto);
        for name in ["write_file", "move_file", "delete_file"] {
            let known = rules.rule("edit_file").unwrap().clone();
            rules.tools.push(ToolRule { name: name.into(), ..known });
        }
        let (_, out) = play(&mut Machine::resume(rules, History::default()), calls.clone());
        assert!(
            end(&out).is_some_and(|(reason, text)| reason == TurnReason::Limit && text.contains("back and forth")),
            "{calls:?}: {out:?}"
        );
    }
}

#[test]
fn steps_that_bring_nothing_new_are_pointed_out_and_then_end_the_turn() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    let mut told = 0;
    for n in 0..20 {
        let id = format!("c{n}");
        let name = if n % 2 == 0 { "read_file" } else { "search" };
        m.handle(answer("", vec![call(&id, name, "{\"path\":\"a\"}")]));
        let out = m.handle(result(&id, "the same"));
        told += notes(&out).iter().filter(|text| text.contains("brought nothing new") && !text.contains("turn ended")).count();
        if let Some((reason, detail)) = end(&out) {
            assert_eq!((n, reason, told), (9, TurnReason::Limit, 1), "two steps told something, eight did not");
            assert!(detail.contains("last 8 steps"), "{detail}");
            return;
        }
    }
    panic!("the turn goes on");
}

#[test]
fn the_same_failure_in_other_words_is_nothing_new_and_another_failure_is() {
    let run = |content: fn(usize) -> String| {
        let mut m = fresh(Mode::Auto);
        m.handle(Event::Begin);
        for n in 0..20 {
            let id = format!("c{n}");
            m.handle(answer("", vec![call(&id, "run_command", &json!({ "command": format!("try {n}") }).to_string())]));
            if end(&m.handle(failed(&id, &content(n)))).is_some() {
                return Some(n);
            }
        }
        None
    };
    assert_eq!(run(|n| format!("Exit code 1 after {n}.3 s. It printed:\nno such module")), Some(8));
    assert_eq!(run(|n| format!("Exit code 1 after 0.3 s. It printed:\n{n} tests failed")), None);
}

#[test]
fn unknown_tools_without_end_are_no_progress() {
    let mut m = fresh(Mode::Auto);
    let mut out = m.handle(Event::Begin);
    for n in 0..20 {
        assert!(calls_model(&out));
        out = m.handle(answer("", vec![call(&format!("c{n}"), "fly", &json!({ "n": n }).to_string())]));
        if end(&out).is_some() {
            assert_eq!(n, 8);
            return;
        }
    }
    panic!("the turn goes on");
}

#[test]
fn a_turn_that_is_taken_up_again_counts_on() {
    // What every driver keeps: messages and what has begun.
    let mut transcript = Vec::new();
    let mut begun = HashSet::new();
    let mut keep = |effects: &[Effect]| {
        for effect in effects {
            match effect {
                Effect::AppendMessage(body) => transcript.push(body.clone()),
                Effect::Emit(kinds) => begun.extend(kinds.iter().filter_map(|kind| match kind {
                    EventKind::ToolCalled { call_id, .. } => Some(call_id.clone()),
                    _ => None,
                })),
                _ => {}
            }
        }
        (transcript.clone(), begun.clone())
    };
    let (mut kept, mut started) = (Vec::new(), HashSet::new());
    let mut notes_told = 0;
    for n in 0..20 {
        // A new worker for each step.
        let mut m =
            Machine::resume(rules(Mode::Auto), History { messages: kept.iter().collect(), started: started.clone(), ..History::default() });
        let out = m.handle(Event::Begin);
        notes_told += notes(&out).len();
        keep(&out);
        let id = format!("c{n}");
        let name = if n % 2 == 0 { "read_file" } else { "search" };
        keep(&m.handle(answer("", vec![call(&id, name, "{}")])));
        let out = m.handle(result(&id, "the same"));
        notes_told += notes(&out).len();
        (kept, started) = keep(&out);
        if end(&out).is_some() {
            assert_eq!((n, notes_told), (9, 2), "once a hint, once the end");
            return;
        }
    }
    panic!("the turn goes on");
}

#[test]
fn when_time_is_up_what_runs_is_ended_and_then_the_turn() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    m.handle(answer("", vec![call("a", "run_command", "{}"), call("b", "edit_file", "{}")]));
    let out = m.handle(Event::TimeUp);
    assert_eq!(out[0], Effect::CancelAll);
    assert_eq!(tool_messages(&out), [("b", false, "Not run: the turn ends here.")]);
    let out = m.handle(result("a", "cancelled"));
    assert!(end(&out).is_some_and(|(reason, text)| reason == TurnReason::Limit && text.contains("as long as a turn may")));

    // A person's stop that comes meanwhile counts.
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    assert_eq!(m.handle(Event::TimeUp), [Effect::CancelAll]);
    assert!(m.handle(Event::StopRequested).is_empty());
    let out = m.handle(Event::ModelStopped { text: String::new(), reasoning: String::new(), usage: TokenUsage::default() });
    assert_eq!(end(&out).unwrap().0, TurnReason::Stopped);
}

fn down(may_switch: bool) -> Event {
    Event::ModelFailed {
        sentence: "It is overloaded. Wait a minute.".into(),
        text: String::new(),
        reasoning: String::new(),
        usage: TokenUsage::default(),
        may_switch,
    }
}

#[test]
fn another_model_takes_over_once_and_it_is_said() {
    let mut m = Machine::resume(Rules { max_steps: 1, ..rules(Mode::Auto) }, History::default());
    m.handle(Event::Begin);
    assert_eq!(m.handle(down(true)), [Effect::SwitchModel { reason: "It is overloaded. Wait a minute.".into() }]);
    let out = m.handle(Event::ModelSwitched { from: "large".into(), to: "small".into() });
    let (from, to, reason) = ("large".to_owned(), "small".to_owned(), "It is overloaded.".to_owned());
    let body = MessageBody::Switched { from: from.clone(), to: to.clone(), reason: reason.clone() };
    assert_eq!(out[0], Effect::AppendMessage(body));
    assert_eq!(out[1], Effect::Emit(vec![EventKind::ModelSwitched { from, model: to, reason }]));
    assert!(out.iter().any(|e| matches!(e, Effect::CallModel(c) if c.step == 1)), "the failed call was not a step");
    assert_eq!(end(&m.handle(down(true))), Some((TurnReason::Failed, "It is overloaded. Wait a minute.")));
}

#[test]
fn a_turn_that_is_taken_up_again_knows_that_another_model_took_over() {
    let switched = MessageBody::Switched { from: "large".into(), to: "small".into(), reason: "It is overloaded.".into() };
    let mut m = Machine::resume(rules(Mode::Auto), History { messages: vec![&switched], ..History::default() });
    assert!(calls_model(&m.handle(Event::Begin)));
    assert_eq!(end(&m.handle(down(true))), Some((TurnReason::Failed, "It is overloaded. Wait a minute.")), "there is no third");
}

#[test]
fn without_another_model_or_after_the_first_token_the_failure_ends_the_turn() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    m.handle(down(true));
    assert_eq!(end(&m.handle(Event::NoOtherModel)), Some((TurnReason::Failed, "It is overloaded. Wait a minute.")));

    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    assert_eq!(end(&m.handle(down(false))).unwrap().0, TurnReason::Failed);

    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    m.handle(down(true));
    assert_eq!(end(&m.handle(Event::StopRequested)).unwrap().0, TurnReason::Stopped);
}

#[test]
fn a_budget_that_refuses_ends_the_turn_with_its_sentence() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    let out = m.handle(Event::BudgetRefused { sentence: "This month's budget is used up.".into() });
    assert_eq!(end(&out), Some((TurnReason::Budget, "This month's budget is used up.")));
}

fn with_rule(mode: Mode, effect: PermissionEffect, command: &str) -> Rules {
    let rule = NewPermissionRule { effect, tool: Some("run_command".into()), command_pattern: Some(command.into()), path_pattern: None };
    let nobody = uuid::Uuid::nil();
    Rules { permissions: vec![rule.as_rule(nobody.into(), nobody.into(), None, wire::Micros(0))], ..rules(mode) }
}

fn asked(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .flat_map(|e| if let Effect::AskApproval(questions) = e { questions.as_slice() } else { &[] })
        .map(|question| question.call.id.as_str())
        .collect()
}

#[test]
fn rules_of_the_project_allow_ask_and_deny() {
    let command = |id: &str, text: &str| call(id, "run_command", &json!({ "command": text }).to_string());
    let mut m = Machine::resume(with_rule(Mode::Ask, PermissionEffect::Allow, "cargo test *"), History::default());
    m.handle(Event::Begin);
    let out = m.handle(answer("", vec![command("a", "cargo test -p x"), command("b", "cargo publish")]));
    assert_eq!(started(&out), ["a"]);
    assert_eq!(asked(&m.handle(result("a", ""))), ["b"]);

    let mut m = Machine::resume(with_rule(Mode::Auto, PermissionEffect::Deny, "cargo publish"), History::default());
    m.handle(Event::Begin);
    let out = m.handle(answer("", vec![command("a", "cargo publish"), command("b", "cargo build")]));
    assert!(tool_messages(&out)[0].2.contains("forbid it"), "{out:?}");
    assert_eq!(started(&out), ["b"]);
}

#[test]
fn what_the_agent_must_not_change_alone_asks_in_auto_mode_too() {
    for path in [".github/workflows/ci.yml", ".gitlab-ci.yml", "AGENTS.md", "docs/../AGENTS.md", ".husky/pre-commit"] {
        let mut m = fresh(Mode::Auto);
        m.handle(Event::Begin);
        let edit = json!({ "path": path, "old_text": "a", "new_text": "b" }).to_string();
        let out = m.handle(answer("", vec![call("a", "edit_file", &edit)]));
        assert_eq!((asked(&out), started(&out).len()), (vec!["a"], 0), "{path}");
    }
}

#[test]
fn a_question_waits_in_every_mode_and_the_persons_words_are_its_result() {
    for mode in [Mode::Plan, Mode::Ask, Mode::Auto] {
        let mut m = fresh(mode);
        m.handle(Event::Begin);
        let out = m.handle(answer("", vec![call("q", "ask_user", "{\"question\":\" \"}")]));
        assert!(tool_messages(&out)[0].2.contains("question is empty") && calls_model(&out));
        let out = m.handle(answer("", vec![call("r", "ask_user", "{\"question\":\"Which?\"}")]));
        assert_eq!(asked(&out), ["r"]);
        let words = Some("the second".to_owned());
        let out = m.handle(Event::ApprovalDecided { call_id: "r".into(), decision: Approval::Approve, reason: words });
        assert_eq!(tool_messages(&out), [("r", true, "The person answered: the second")]);
        assert!(calls_model(&out) && started(&out).is_empty());
    }
}
