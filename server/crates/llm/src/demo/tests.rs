use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use futures::StreamExt;

use super::*;
use crate::ToolSpec;
use crate::sample::SAMPLE_FILES;

type Files = BTreeMap<String, String>;

fn sample() -> Files {
    SAMPLE_FILES.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect()
}

fn edited(wanted: &[usize]) -> Files {
    let mut files = sample();
    for at in wanted {
        let edit = &DEMO_EDITS[*at];
        let file = files.get_mut(edit.path).unwrap();
        *file = file.replacen(edit.old, edit.new, 1);
    }
    files
}

/// Really runs the sample's tests; the last line of what they say.
fn run_python(files: &Files, root: &Path) -> String {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let output = Command::new("python3")
        .args(["-B", "-m", "unittest", "-v"])
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .expect("the sample needs python3");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn judged(files: &Files) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let said = run_python(files, folder.path());
    match judge_run(&said) {
        Run::Passed(line) => (true, line.to_owned()),
        Run::Failed(line) => (false, line.to_owned()),
        other => panic!("{other:?}: {said}"),
    }
}

#[test]
fn the_edits_fit_the_sample_exactly_once() {
    for edit in DEMO_EDITS {
        let (_, text) = SAMPLE_FILES.iter().find(|(path, _)| *path == edit.path).unwrap();
        assert_eq!(text.matches(edit.old).count(), 1, "{}", edit.title);
        assert!(!text.contains(edit.new));
    }
}

#[test]
fn the_sample_fails_one_test_and_each_decision_shows_in_the_tests() {
    assert_eq!(judged(&sample()), (false, "FAILED (failures=1)".into()));
    assert!(judged(&edited(&[0])).0);
    assert!(judged(&edited(&[0, 1, 2])).0);
    assert!(!judged(&edited(&[0, 2])).0, "the new test must catch the rejected hunk");
    assert!(!judged(&edited(&[1, 2])).0);
}

fn tools(names: &[&str]) -> Vec<ToolSpec> {
    names.iter().map(|name| ToolSpec { name: (*name).to_owned().into(), description: "".into(), schema: json!({}).into() }).collect()
}

const ALL: &[&str] = &["list_files", "read_file", "edit_file", "run_command", "propose_plan"];

/// Plays a turn: answers each call from `files`, runs nothing, gives `run_result` to the command.
async fn play(req: &mut ModelRequest, files: &mut Files, prompt: &str, run_result: &str) -> String {
    let model = DemoModel::with_pace(Duration::ZERO);
    req.messages.push(Message::user(prompt));
    for _ in 0..8 {
        let events: Vec<_> = model.stream(req.clone()).await.unwrap().map(Result::unwrap).collect().await;
        let mut said = String::new();
        let mut calls = Vec::new();
        for event in &events {
            match event {
                ModelEvent::Text(piece) => said.push_str(piece),
                ModelEvent::ToolCall(call) => calls.push(call.clone()),
                _ => {}
            }
        }
        req.messages.push(Message::Assistant { text: said.clone(), reasoning: None, tool_calls: calls.clone() });
        if calls.is_empty() {
            assert_eq!(events.last(), Some(&ModelEvent::Finished(FinishReason::Stop)));
            return said;
        }
        assert_eq!(events.last(), Some(&ModelEvent::Finished(FinishReason::ToolCalls)));
        for call in calls {
            let content = answer(&call, files, run_result);
            req.messages.push(Message::Tool { call_id: call.id, content });
        }
    }
    panic!("the script does not end");
}

fn answer(call: &ToolCall, files: &mut Files, run_result: &str) -> String {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
    let path = arguments["path"].as_str().unwrap_or_default();
    match call.name.as_str() {
        "list_files" => files.keys().cloned().collect::<Vec<_>>().join("\n"),
        "read_file" => match files.get(path) {
            Some(text) => text.lines().enumerate().map(|(n, line)| format!("{:>4}\t{line}\n", n + 1)).collect(),
            None => format!("error: there is no file {path}"),
        },
        "edit_file" => {
            let file = files.get_mut(path).unwrap();
            let old = arguments["old_text"].as_str().unwrap();
            assert_eq!(file.matches(old).count(), 1);
            *file = file.replacen(old, arguments["new_text"].as_str().unwrap(), 1);
            "1 place changed".into()
        }
        "run_command" => {
            assert_eq!(arguments["command"], TEST_COMMAND);
            run_result.into()
        }
        _ => "noted".into(),
    }
}

fn called(req: &ModelRequest) -> Vec<&str> {
    calls_in(&req.messages).map(|call| call.name.as_str()).collect()
}

#[tokio::test]
async fn walks_through_the_review_and_proves_what_it_was_told() {
    let mut req = ModelRequest { tools: tools(ALL), ..ModelRequest::default() };
    let mut files = sample();
    let said = play(&mut req, &mut files, "fix the report", "Ran 11 tests in 0.001s\n\nOK\nexit 0").await;
    assert_eq!(called(&req), ["list_files", "read_file", "read_file", "edit_file", "edit_file", "edit_file", "run_command"]);
    assert!(matches!(&req.messages[1], Message::Assistant { text, .. } if text.contains("not an AI")));
    assert!(said.contains("The tests pass"), "{said}");
    assert_eq!(files, edited(&[0, 1, 2]));

    let note = format!("{REVIEW_NOTE}\n- tally/report.py hunk 1: accepted\n- tally/report.py hunk 2: rejected\n- tests: edited");
    req.messages.push(Message::user(note));
    let said = play(&mut req, &mut edited(&[0]), "what do you know?", "").await;
    let quote = req.messages.iter().rev().find_map(|m| match m {
        Message::Assistant { text, .. } if text.contains('>') => Some(text),
        _ => None,
    });
    assert!(quote.unwrap().contains("> - tally/report.py hunk 2: rejected"));
    assert!(said.contains("comes first: not there"), "{said}");
    assert!(said.contains("keep their sign: as I proposed it"), "{said}");

    let mut files = edited(&[0]);
    play(&mut req, &mut files, "fix it again", "FAILED (failures=1)").await;
    assert_eq!(files, edited(&[0, 1, 2]));
}

#[tokio::test]
async fn says_plainly_what_did_not_happen() {
    let declined = |result| async move {
        let mut req = ModelRequest { tools: tools(ALL), ..ModelRequest::default() };
        play(&mut req, &mut sample(), "go", result).await
    };
    assert!(declined("The user declined this command.").await.contains("declined the command"));
    assert!(declined("FAILED (failures=2)").await.contains("FAILED (failures=2)"));
    assert!(declined("python3: not found").await.contains("python3: not found"));
}

#[tokio::test]
async fn knows_only_the_sample_and_keeps_to_the_tools_it_has() {
    let mut req = ModelRequest { tools: tools(ALL), ..ModelRequest::default() };
    let said = play(&mut req, &mut Files::new(), "hello", "").await;
    assert!(said.contains("OPENAI_BASE_URL") && said.contains("without changing anything"));

    let mut req = ModelRequest { tools: tools(&["list_files", "read_file", "propose_plan"]), ..ModelRequest::default() };
    let mut files = sample();
    play(&mut req, &mut files, "plan it", "").await;
    assert!(called(&req).contains(&"propose_plan"));
    assert_eq!(files, sample());
}

#[tokio::test]
async fn ids_are_never_used_twice_and_a_note_within_a_turn_is_not_a_prompt() {
    let mut req = ModelRequest { tools: tools(ALL), ..ModelRequest::default() };
    play(&mut req, &mut sample(), "one", "OK").await;
    play(&mut req, &mut sample(), "fix it again", "OK").await;
    let mut ids: Vec<_> = calls_in(&req.messages).map(|call| call.id.clone()).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);

    let tool = Message::Tool { call_id: "x".into(), content: String::new() };
    let user = |text: &str| Message::user(text);
    assert_eq!(find_prompt(&[user("a"), tool, user(REVIEW_NOTE)]), 0);
    assert_eq!(find_prompt(&[user("a"), user(REVIEW_NOTE)]), 0);
    assert_eq!(find_prompt(&[user(REVIEW_NOTE), user("b")]), 1);
}
