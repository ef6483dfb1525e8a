//! The demonstration model: a script, not an AI. It works offline and walks a person through the
//! review gate on the sample project. What it says depends on the conversation alone.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{StreamExt, unfold};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{FinishReason, Message, Model, ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, ToolCall, Usage};

mod reading;

use reading::{Run, calls_in, find_prompt, judge_run, looks_refused, result_of, shows_lines, speaks_of_review};

/// How the message that tells a model about a person's decisions begins. The demonstration quotes it.
pub const REVIEW_NOTE: &str = "Review of your changes";

const REPORT: &str = "tally/report.py";
const TESTS: &str = "tests/test_report.py";
const TEST_COMMAND: &str = "python3 -m unittest -v";
const WHO: &str = "I am a scripted demonstration, not an AI";
const CONNECT: &str = "To work on your own files, connect a real model: set OPENAI_BASE_URL, OPENAI_API_KEY and \
                       AI_DEFAULT_MODEL, then restart the server.";

/// One change the script proposes. `old` occurs exactly once in the sample file.
pub struct DemoEdit {
    pub path: &'static str,
    pub title: &'static str,
    pub old: &'static str,
    pub new: &'static str,
}

/// Two hunks far apart in one file, and a new test in another.
pub const DEMO_EDITS: &[DemoEdit] = &[
    DemoEdit {
        path: REPORT,
        title: "refunds keep their sign",
        old: r#"    return f"{cents // 100}.{cents % 100:02d}"
"#,
        new: r#"    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"
"#,
    },
    DemoEdit {
        path: REPORT,
        title: "the longest bar belongs to the largest category, which comes first",
        old: r#"    scale = next(iter(totals.values()))
    for name, cents in totals.items():
"#,
        new: r#"    scale = max(1, *totals.values())
    for name, cents in sorted(totals.items(), key=lambda item: -item[1]):
"#,
    },
    DemoEdit {
        path: TESTS,
        title: "a test that no bar is wider than it may be",
        old: r#"    def test_ends_with_the_total(self):
"#,
        new: r##"    def test_no_bar_is_too_wide(self):
        report = render([spend("bread", 475), spend("lamp oil", 12220)])
        self.assertEqual(max(line.count("#") for line in report.splitlines()), 24)

    def test_ends_with_the_total(self):
"##,
    },
];

pub struct DemoModel {
    pace: Duration,
}

impl DemoModel {
    pub fn new() -> Self {
        Self::with_pace(Duration::from_millis(15))
    }

    /// `pace` is the pause before each word.
    pub fn with_pace(pace: Duration) -> Self {
        Self { pace }
    }
}

impl Default for DemoModel {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Model for DemoModel {
    fn name(&self) -> &str {
        "demonstration"
    }

    fn describe(&self) -> ModelInfo {
        ModelInfo { name: self.name().to_owned(), provider: "built in".into(), is_demo: true, context_tokens: None }
    }

    fn most_input(&self, _: &ModelRequest) -> u64 {
        0
    }

    async fn stream(&self, req: ModelRequest) -> Result<ModelStream, ModelError> {
        let reply = Scene::read(&req).reply();
        let events = reply.into_events(req.messages.len());
        let pace = self.pace;
        Ok(unfold(events, move |mut events| async move {
            let event = events.pop_front()?;
            if matches!(event, ModelEvent::Text(_)) && !pace.is_zero() {
                sleep(pace).await;
            }
            Some((Ok(event), events))
        })
        .boxed())
    }
}

struct Reply {
    text: String,
    calls: Vec<(&'static str, Value)>,
}

impl Reply {
    fn say(text: impl Into<String>) -> Self {
        Self { text: text.into(), calls: Vec::new() }
    }

    fn call(mut self, name: &'static str, arguments: Value) -> Self {
        self.calls.push((name, arguments));
        self
    }

    fn into_events(self, turn: usize) -> VecDeque<ModelEvent> {
        let mut events: VecDeque<_> = self.text.split_inclusive(' ').map(|word| ModelEvent::Text(word.to_owned())).collect();
        let reason = if self.calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
        for (index, (name, arguments)) in self.calls.into_iter().enumerate() {
            let call = ToolCall { id: format!("demo_{turn}_{index}"), name: name.into(), arguments: arguments.to_string() };
            events.push_back(ModelEvent::ToolCallStarted { index, id: call.id.clone(), name: call.name.clone() });
            events.push_back(ModelEvent::ToolCall(call));
        }
        events.push_back(ModelEvent::Usage(Usage::default()));
        events.push_back(ModelEvent::Finished(reason));
        events
    }
}

/// The request, split at the person's last message.
struct Scene<'a> {
    req: &'a ModelRequest,
    prompt: &'a str,
    before: &'a [Message],
    /// What happened since the person's last message.
    turn: &'a [Message],
}

/// How a file stands towards one of the script's changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Proposed,
    Original,
    Other,
}

impl<'a> Scene<'a> {
    fn read(req: &'a ModelRequest) -> Self {
        let (before, rest) = req.messages.split_at(find_prompt(&req.messages));
        let (prompt, turn) = match rest {
            [Message::User { text, .. }, turn @ ..] => (text.as_str(), turn),
            turn => ("", turn),
        };
        Self { req, prompt, before, turn }
    }

    fn reply(&self) -> Reply {
        if self.was_called("run_command") {
            return self.sum_up();
        }
        if self.was_called("edit_file") {
            return self.run_tests();
        }
        if self.was_called("propose_plan") {
            return Reply::say(
                "That is the plan of this scripted demonstration. Switch to ask mode and send a message to see it carried out.",
            );
        }
        if !self.was_called("read_file") {
            return if calls_in(self.before).any(|call| call.name == "edit_file") { self.quote() } else { self.open() };
        }
        self.act_on_files()
    }

    fn open(&self) -> Reply {
        let text = format!(
            "{WHO}: whatever you write, I follow the same steps on the sample project, so that you can try reviewing \
             without a model. First I look at the files."
        );
        self.read_files(Reply::say(text).call("list_files", json!({})))
    }

    /// The second turn: proof that the person's decisions were heard.
    fn quote(&self) -> Reply {
        let heard = match self.find_note() {
            Some(note) => {
                let quoted: Vec<String> = note.trim().lines().take(60).map(|line| format!("> {line}")).collect();
                format!("About my earlier changes I was told exactly this:\n\n{}\n\n", quoted.join("\n"))
            }
            None => "I was told of no decision about my earlier changes: they have not been reviewed yet.\n\n".into(),
        };
        let text = format!("{WHO}. {heard}Now I read the files to compare.");
        self.read_files(Reply::say(text))
    }

    fn read_files(&self, reply: Reply) -> Reply {
        if !self.has_tool("read_file") {
            return Reply::say(format!("{WHO}, and I cannot read files here, so my script ends. {CONNECT}"));
        }
        reply.call("read_file", json!({"path": REPORT})).call("read_file", json!({"path": TESTS}))
    }

    /// After reading: propose what still fits, or say why there is nothing to do.
    fn act_on_files(&self) -> Reply {
        let standings: Vec<Standing> = DEMO_EDITS.iter().map(|edit| self.standing(edit)).collect();
        let is_return = calls_in(self.before).any(|call| call.name == "edit_file");
        if !is_return && !self.knows_files() {
            return Reply::say(format!(
                "I only know the sample project `tally`, and `{REPORT}` is not here as I expect it. I stop without \
                 changing anything. {CONNECT}"
            ));
        }
        if is_return {
            let wants_more = ["fix", "again", "retry", "rest"].iter().any(|word| self.prompt.to_lowercase().contains(word));
            let mut report = String::from("What I find in the files:\n\n");
            for (number, (edit, standing)) in DEMO_EDITS.iter().zip(&standings).enumerate() {
                let found = match standing {
                    Standing::Proposed => "as I proposed it",
                    Standing::Original => "not there; the file has its earlier text",
                    Standing::Other => "different from what I proposed and from before",
                };
                report.push_str(&format!("{}. `{}`, {}: {found}.\n", number + 1, edit.path, edit.title));
            }
            if !wants_more || !standings.contains(&Standing::Original) {
                report.push_str("\nWrite “fix it again” and I propose once more what is still missing.");
                return Reply::say(report);
            }
            return self.propose(&standings, report + "\n");
        }
        self.propose(&standings, String::new())
    }

    fn propose(&self, standings: &[Standing], mut text: String) -> Reply {
        let edits: Vec<&DemoEdit> =
            DEMO_EDITS.iter().zip(standings).filter(|(_, s)| **s == Standing::Original).map(|(edit, _)| edit).collect();
        if edits.is_empty() {
            text.push_str("My changes are already in these files, so there is nothing for me to propose. ");
            return self.run_tests_after(text);
        }
        if !self.has_tool("edit_file") {
            let steps: Vec<String> = edits.iter().map(|edit| format!("In {}: {}", edit.path, edit.title)).collect();
            if self.has_tool("propose_plan") {
                return Reply::say("In this mode I change nothing; here is what I would do.").call("propose_plan", json!({"steps": steps}));
            }
            return Reply::say(format!("In this mode I change nothing. I would do this:\n\n- {}", steps.join("\n- ")));
        }
        text.push_str(
            "A refund of 6.50 is printed as -7.50, and the bars are measured against whichever category comes first. \
             I write these changes to a branch of their own; none reaches your files before you accept it:\n\n",
        );
        for (number, edit) in edits.iter().enumerate() {
            text.push_str(&format!("{}. `{}`: {}.\n", number + 1, edit.path, edit.title));
        }
        edits.iter().fold(Reply::say(text), |reply, edit| {
            reply.call("edit_file", json!({"path": edit.path, "old_text": edit.old, "new_text": edit.new}))
        })
    }

    fn run_tests(&self) -> Reply {
        self.run_tests_after(String::new())
    }

    fn run_tests_after(&self, mut text: String) -> Reply {
        if !self.has_tool("run_command") {
            text.push_str("I cannot run commands here, so the tests were not run. ");
            text.push_str(&self.closing());
            return Reply::say(text);
        }
        text.push_str("Now I run the tests. In ask mode this waits for your approval.");
        Reply::say(text).call("run_command", json!({"command": TEST_COMMAND}))
    }

    fn sum_up(&self) -> Reply {
        let result = self.results("run_command").last().unwrap_or_default();
        let outcome = match judge_run(result) {
            Run::Passed(line) => format!("The tests pass with my changes: `{line}`."),
            Run::Failed(line) => {
                format!("The tests do not all pass: `{line}`. The output above names which.")
            }
            Run::Declined => "You declined the command, so the tests were not run and nothing was executed.".into(),
            Run::Unclear(line) => {
                format!("The command ended without a test result; its last words were: `{line}`.")
            }
        };
        Reply::say(format!("{outcome} {}", self.closing()))
    }

    fn closing(&self) -> String {
        let refused: Vec<&str> = self.results("edit_file").filter(|result| looks_refused(result)).collect();
        if let Some(first) = refused.first() {
            let why = first.lines().next().unwrap_or_default();
            return format!("{} of my edits did not go through: {why}", refused.len());
        }
        if !self.was_called("edit_file") {
            return String::new();
        }
        "Nothing has reached your files yet. Try the review: accept one change, reject another, edit the third before \
         you accept it. Then write to me again, and I quote what I was told about your decisions."
            .into()
    }

    fn has_tool(&self, name: &str) -> bool {
        self.req.tools.iter().any(|tool| tool.name == name)
    }

    fn was_called(&self, name: &str) -> bool {
        calls_in(self.turn).any(|call| call.name == name)
    }

    /// Results of this turn's calls of one tool, in the order of the calls.
    fn results(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let turn = self.turn;
        calls_in(turn).filter(move |call| call.name == name).filter_map(|call| result_of(turn, &call.id))
    }

    fn file(&self, path: &str) -> Option<&'a str> {
        calls_in(self.turn)
            .filter(|call| call.name == "read_file")
            .filter(|call| serde_json::from_str::<Value>(&call.arguments).is_ok_and(|a| a["path"] == path))
            .find_map(|call| result_of(self.turn, &call.id))
    }

    fn standing(&self, edit: &DemoEdit) -> Standing {
        let shows = |text: &str| self.file(edit.path).is_some_and(|file| shows_lines(file, text));
        if shows(edit.new) {
            Standing::Proposed
        } else if shows(edit.old) {
            Standing::Original
        } else {
            Standing::Other
        }
    }

    fn knows_files(&self) -> bool {
        let marks = [(REPORT, "def format_cents(cents):"), (TESTS, "class FormatCentsTest(unittest.TestCase):")];
        marks.iter().all(|(path, mark)| self.file(path).is_some_and(|file| file.contains(mark)))
    }

    /// The latest message about decisions: one that begins as agreed, else one that speaks of them.
    fn find_note(&self) -> Option<&'a str> {
        let told = || {
            self.req.messages.iter().rev().filter_map(|message| match message {
                Message::User { text, .. } | Message::Tool { content: text, .. } => Some(text.as_str()),
                Message::Assistant { .. } => None,
            })
        };
        let marked = told().chain([self.req.system.as_str()]).find_map(|text| text.find(REVIEW_NOTE).map(|at| &text[at..]));
        marked.or_else(|| {
            self.before.iter().rev().find_map(|message| match message {
                Message::User { text, .. } if speaks_of_review(text) => Some(text.as_str()),
                _ => None,
            })
        })
    }
}

#[cfg(test)]
mod tests;
