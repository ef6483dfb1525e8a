use super::*;
use proptest::prelude::*;

/// Name, whether it mutates, whether it asks.
const TOOLS: [(&str, bool, bool); 5] = [
    ("read_file", false, false),
    ("search", false, false),
    ("edit_file", true, false),
    ("run_command", true, true),
    ("ask_user", false, true),
];

pub(super) fn rules(mode: Mode) -> Rules {
    let schema = Arc::new(serde_json::json!({}));
    let tool = |(name, mutates, asks): (&str, bool, bool)| ToolRule {
        name: name.to_owned(),
        mutates,
        asks,
        by_person: name == "ask_user",
        schema: schema.clone(),
    };
    Rules { mode, tools: TOOLS.map(tool).to_vec(), max_steps: 40, steps_of_message: false, max_tokens: None, permissions: Vec::new() }
}

pub(super) fn fresh(mode: Mode) -> Machine {
    Machine::resume(rules(mode), History::default())
}

pub(super) fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
}

pub(super) fn answer(text: &str, tool_calls: Vec<ToolCall>) -> Event {
    let usage = TokenUsage { input: 100, output: 10, cached: 0 };
    Event::ModelAnswered(Answer { text: text.into(), reasoning: String::new(), tool_calls, usage, end: AnswerEnd::Complete })
}

pub(super) fn told(summary: &str) -> ToolFacts {
    ToolFacts { summary: summary.into(), ..ToolFacts::default() }
}

pub(super) fn result(id: &str, content: &str) -> Event {
    Event::ToolFinished(ToolResult { call_id: id.into(), ok: true, content: content.into(), facts: told("ok"), left_alive: 0 })
}

pub(super) fn started(effects: &[Effect]) -> Vec<&str> {
    effects.iter().filter_map(|e| if let Effect::RunTool(c) = e { Some(c.id.as_str()) } else { None }).collect()
}

pub(super) fn tool_messages(effects: &[Effect]) -> Vec<(&str, bool, &str)> {
    effects
        .iter()
        .filter_map(|e| match e {
            Effect::AppendMessage(MessageBody::Tool { call_id, ok, content, .. }) => Some((call_id.as_str(), *ok, content.as_str())),
            _ => None,
        })
        .collect()
}

pub(super) fn end(effects: &[Effect]) -> Option<(TurnReason, &str)> {
    effects.iter().find_map(|e| if let Effect::Finish { reason, detail } = e { Some((*reason, detail.as_str())) } else { None })
}

pub(super) fn calls_model(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::CallModel(_)))
}

#[test]
fn an_answer_without_calls_ends_the_turn() {
    let mut m = fresh(Mode::Auto);
    assert!(calls_model(&m.handle(Event::Begin)));
    let out = m.handle(answer("Hello", vec![]));
    assert!(matches!(&out[0], Effect::AppendMessage(MessageBody::Assistant { text, .. }) if text == "Hello"));
    assert!(matches!(out[1], Effect::BookUsage(TokenUsage { input: 100, .. })));
    assert_eq!(end(&out), Some((TurnReason::Done, "Done.")));
    assert!(m.handle(Event::StopRequested).is_empty());
}

#[test]
fn reads_run_together_and_changes_one_after_the_other() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    let out = m.handle(answer(
        "",
        vec![
            call("a", "read_file", "{}"),
            call("b", "search", "{}"),
            call("c", "edit_file", "{\"n\":1}"),
            call("d", "edit_file", "{\"n\":2}"),
            call("e", "read_file", "{}"),
        ],
    ));
    assert_eq!(started(&out), ["a", "b"]);
    assert!(started(&m.handle(result("b", ""))).is_empty());
    assert_eq!(started(&m.handle(result("a", ""))), ["c"]);
    assert_eq!(started(&m.handle(result("c", ""))), ["d"]);
    assert_eq!(started(&m.handle(result("d", ""))), ["e"]);
    assert!(calls_model(&m.handle(result("e", ""))));
}

#[test]
fn unknown_tools_and_bad_arguments_are_answered_and_not_fatal() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    let out = m.handle(answer("", vec![call("a", "fly", "{}"), call("b", "read_file", "{\"path\""), call("c", "read_file", "[1]")]));
    let told = tool_messages(&out);
    assert!(told[0].2.contains("no tool named \"fly\"") && told[0].2.contains("edit_file"));
    assert!(told[1].2.contains("not valid JSON"));
    assert!(told[2].2.contains("must be a JSON object"));
    assert!(told.iter().all(|t| !t.1));
    assert!(calls_model(&out));
}

#[test]
fn plan_mode_offers_and_runs_nothing_that_changes() {
    let mut m = fresh(Mode::Plan);
    let out = m.handle(Event::Begin);
    assert!(out.iter().any(|e| matches!(e, Effect::CallModel(c) if c.tools == ["read_file", "search", "ask_user"])));
    let out = m.handle(answer("", vec![call("a", "edit_file", "{}"), call("b", "run_command", "{}")]));
    assert!(started(&out).is_empty());
    assert!(tool_messages(&out).iter().all(|t| t.2.contains("plan mode")));
    assert!(calls_model(&out));
}

#[test]
fn ask_mode_edits_freely_and_asks_before_it_runs() {
    let mut m = fresh(Mode::Ask);
    m.handle(Event::Begin);
    let calls = vec![call("a", "edit_file", "{}"), call("b", "run_command", "{\"n\":1}"), call("c", "run_command", "{\"n\":2}")];
    assert_eq!(started(&m.handle(answer("", calls))), ["a"]);
    let out = m.handle(result("a", "edited"));
    assert!(out.iter().any(|e| matches!(e, Effect::AskApproval(c) if c.len() == 2)));
    assert_eq!(m.state(), State::Waiting);
    let decide =
        |id: &str, decision, reason: Option<&str>| Event::ApprovalDecided { call_id: id.into(), decision, reason: reason.map(Into::into) };
    assert!(m.handle(decide("b", Approval::Reject, Some("not now"))).is_empty());
    let out = m.handle(decide("c", Approval::Approve, None));
    assert_eq!(tool_messages(&out), [("b", false, "Not run: the person declined it and said: not now")]);
    assert_eq!(started(&out), ["c"]);
}

#[test]
fn stopping_waits_for_what_runs_and_counts_what_is_left() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    m.handle(answer("", vec![call("a", "run_command", "{}"), call("b", "edit_file", "{}")]));
    let out = m.handle(Event::StopRequested);
    assert_eq!(out[0], Effect::CancelAll);
    assert_eq!(tool_messages(&out), [("b", false, "Not run: the person stopped the turn.")]);
    assert_eq!(end(&out), None);
    assert!(m.handle(Event::StopRequested).is_empty());
    let out = m.handle(result("a", "cancelled"));
    assert_eq!(end(&out), Some((TurnReason::Stopped, "Stopped; 0 processes left.")));
    assert!(out.iter().any(|e| matches!(e, Effect::AppendMessage(MessageBody::Note { .. }))));
}

#[test]
fn stopping_keeps_what_the_model_had_said() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    assert_eq!(m.handle(Event::StopRequested), [Effect::CancelAll]);
    let out = m.handle(Event::ModelStopped { text: "half a".into(), reasoning: String::new(), usage: TokenUsage::default() });
    assert!(matches!(&out[0], Effect::AppendMessage(MessageBody::Assistant { text, .. }) if text == "half a"));
    assert_eq!(end(&out).unwrap().0, TurnReason::Stopped);
}

#[test]
fn stopping_while_waiting_or_before_the_beginning_ends_at_once() {
    let mut m = fresh(Mode::Ask);
    m.handle(Event::Begin);
    m.handle(answer("", vec![call("a", "run_command", "{}")]));
    let out = m.handle(Event::StopRequested);
    assert_eq!(tool_messages(&out).len(), 1);
    assert_eq!(end(&out).unwrap().0, TurnReason::Stopped);

    assert_eq!(end(&fresh(Mode::Ask).handle(Event::StopRequested)).unwrap().0, TurnReason::Stopped);
}

#[test]
fn the_step_limit_ends_the_turn_with_a_sentence() {
    let mut m = Machine::resume(Rules { max_steps: 2, ..rules(Mode::Auto) }, History::default());
    m.handle(Event::Begin);
    m.handle(answer("", vec![call("a", "read_file", "{\"n\":1}")]));
    m.handle(result("a", ""));
    m.handle(answer("", vec![call("b", "read_file", "{\"n\":2}")]));
    let out = m.handle(result("b", ""));
    let (reason, detail) = end(&out).unwrap();
    assert_eq!(reason, TurnReason::Limit);
    assert!(detail.contains("limit of 2 steps"));

    // One that the message set is named as such.
    let mut m = Machine::resume(Rules { max_steps: 1, steps_of_message: true, ..rules(Mode::Auto) }, History::default());
    m.handle(Event::Begin);
    m.handle(answer("", vec![call("a", "read_file", "{\"n\":1}")]));
    let out = m.handle(result("a", ""));
    let (reason, detail) = end(&out).unwrap();
    assert_eq!(reason, TurnReason::Limit);
    assert!(detail.contains("the limit of 1 step that its message set"), "{detail}");
}

#[test]
fn the_token_budget_ends_the_turn_before_the_next_call() {
    let mut m = Machine::resume(Rules { max_tokens: Some(150), ..rules(Mode::Auto) }, History::default());
    let out = m.handle(Event::Begin);
    assert!(out.iter().any(|e| matches!(e, Effect::CallModel(c) if c.tokens_left == Some(150))));
    m.handle(answer("", vec![call("a", "read_file", "{\"n\":1}")]));
    let out = m.handle(result("a", ""));
    assert!(out.iter().any(|e| matches!(e, Effect::CallModel(c) if c.tokens_left == Some(40))));
    let out = m.handle(Event::BudgetTooSmall);
    let (reason, detail) = end(&out).unwrap();
    assert_eq!(reason, TurnReason::Budget);
    assert!(detail.contains("110 of 150"));
}

#[test]
fn a_repeated_call_is_pointed_out_and_then_ends_the_turn() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    for n in 1..=5 {
        let id = format!("c{n}");
        // Spacing does not make it another call.
        let arguments = if n % 2 == 0 { "{\"a\":1}" } else { "{ \"a\": 1 }" };
        let out = m.handle(answer("", vec![call(&id, "read_file", arguments)]));
        if n == 5 {
            assert_eq!(tool_messages(&out).len(), 1);
            let (reason, detail) = end(&out).unwrap();
            assert_eq!(reason, TurnReason::Limit);
            assert!(detail.contains("read_file 5 times"));
        } else {
            let out = m.handle(result(&id, "same"));
            assert_eq!(tool_messages(&out)[0].2.contains("times in a row"), n >= 3, "call {n}");
        }
    }
}

#[test]
fn another_call_in_between_is_not_a_repetition() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    for n in 0..8 {
        let name = if n % 2 == 0 { "read_file" } else { "search" };
        m.handle(answer("", vec![call(&format!("c{n}"), name, "{}")]));
        let out = m.handle(result(&format!("c{n}"), "x"));
        assert_eq!(tool_messages(&out)[0].2, "x");
    }
}

#[test]
fn an_answer_cut_at_the_length_limit_goes_on_twice_and_then_ends() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    let cut = || {
        let (text, reasoning, usage) = ("long".into(), String::new(), TokenUsage::default());
        Event::ModelAnswered(Answer { text, reasoning, tool_calls: vec![], usage, end: AnswerEnd::Length })
    };
    for _ in 0..2 {
        let out = m.handle(cut());
        assert!(calls_model(&out));
        assert!(out.iter().any(|e| matches!(e, Effect::AppendMessage(MessageBody::Note { .. }))));
    }
    assert_eq!(end(&m.handle(cut())).unwrap().0, TurnReason::Limit);
}

fn broken(text: &str, reasoning: &str) -> Event {
    Event::ModelFailed {
        sentence: "It broke.".into(),
        text: text.into(),
        reasoning: reasoning.into(),
        usage: TokenUsage::default(),
        may_switch: false,
    }
}

#[test]
fn reasoning_is_kept_with_its_answer_and_answers_nothing_by_itself() {
    let thought = |text: &str| {
        let (text, reasoning, usage) = (text.into(), "Hm.".into(), TokenUsage::default());
        Event::ModelAnswered(Answer { text, reasoning, tool_calls: vec![], usage, end: AnswerEnd::Complete })
    };
    let keeps = |effect: &Effect| matches!(effect, Effect::AppendMessage(MessageBody::Assistant { reasoning, .. }) if reasoning == "Hm.");
    let cases = [(thought("Hello"), TurnReason::Done), (thought(""), TurnReason::Failed), (broken("", "Hm."), TurnReason::Failed)];
    for (event, reason) in cases {
        let mut m = fresh(Mode::Auto);
        m.handle(Event::Begin);
        let out = m.handle(event);
        assert!(keeps(&out[0]), "{out:?}");
        assert_eq!(end(&out).unwrap().0, reason);
    }
    let alone = MessageBody::Assistant { text: String::new(), reasoning: "Hm.".into(), tool_calls: vec![], usage: TokenUsage::default() };
    let mut m = Machine::resume(rules(Mode::Auto), History { messages: vec![&alone], ..History::default() });
    assert!(calls_model(&m.handle(Event::Begin)), "after a crash it is asked again");
}

#[test]
fn a_failed_or_empty_answer_ends_with_its_sentence() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    let out = m.handle(broken("part", ""));
    assert!(matches!(&out[0], Effect::AppendMessage(MessageBody::Assistant { text, .. }) if text == "part"));
    assert_eq!(end(&out), Some((TurnReason::Failed, "It broke.")));

    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    assert_eq!(end(&m.handle(answer("  ", vec![]))).unwrap().0, TurnReason::Failed);
}

#[test]
fn after_a_crash_a_change_is_not_made_twice_and_a_read_is_repeated() {
    let assistant = MessageBody::Assistant {
        text: String::new(),
        reasoning: String::new(),
        tool_calls: vec![
            call("a", "edit_file", "{}"),
            call("b", "run_command", "{}"),
            call("c", "read_file", "{}"),
            call("d", "edit_file", "{\"n\":2}"),
        ],
        usage: TokenUsage { input: 5, output: 5, cached: 0 },
    };
    let done =
        MessageBody::Tool { call_id: "a".into(), name: "edit_file".into(), ok: true, content: "ok".into(), facts: ToolFacts::default() };
    let history = || History { messages: vec![&assistant, &done], started: ["a", "b", "c"].map(String::from).into(), ..History::default() };
    let mut m = Machine::resume(rules(Mode::Auto), history());
    let out = m.handle(Event::Begin);
    assert_eq!(tool_messages(&out), [("b", false, answers::INTERRUPTED)]);
    assert_eq!(started(&out), ["c"]);
    // It is on the page already; that it is run again is said.
    let again = |k: &EventKind| matches!(k, EventKind::ToolOutput { call_id, text, .. } if call_id == "c" && text == answers::AGAIN);
    assert!(out.iter().any(|e| matches!(e, Effect::Emit(k) if k.iter().any(again))));
    assert!(!out.iter().any(|e| matches!(e, Effect::Emit(k) if matches!(&k[0], EventKind::ToolCalled { call_id, .. } if call_id == "c"))));
    assert_eq!(started(&m.handle(result("c", ""))), ["d"]);

    let mut m = Machine::resume(rules(Mode::Auto), history());
    let out = m.handle(Event::StopRequested);
    assert_eq!(tool_messages(&out)[0], ("b", false, answers::INTERRUPTED));
    assert_eq!(tool_messages(&out).len(), 3);
}

#[test]
fn a_crash_after_the_last_answer_only_ends_the_turn() {
    let last = MessageBody::Assistant { text: "bye".into(), reasoning: String::new(), tool_calls: vec![], usage: TokenUsage::default() };
    let mut m = Machine::resume(rules(Mode::Auto), History { messages: vec![&last], ..History::default() });
    assert_eq!(end(&m.handle(Event::Begin)).unwrap().0, TurnReason::Done);
}

#[test]
fn decided_approvals_are_followed_after_the_wait() {
    let assistant = MessageBody::Assistant {
        text: String::new(),
        reasoning: String::new(),
        tool_calls: vec![call("a", "run_command", "{\"n\":1}"), call("b", "run_command", "{\"n\":2}")],
        usage: TokenUsage::default(),
    };
    let record = |decision| ApprovalRecord { decision, reason: None };
    let approvals = |second| HashMap::from([("a".to_owned(), record(Some(Approval::Approve))), ("b".to_owned(), record(second))]);
    let mut m = Machine::resume(
        rules(Mode::Ask),
        History { messages: vec![&assistant], approvals: approvals(Some(Approval::Reject)), ..History::default() },
    );
    let out = m.handle(Event::Begin);
    assert_eq!(started(&out), ["a"]);
    assert!(tool_messages(&out)[0].2.contains("gave no reason"));
    assert!(calls_model(&m.handle(result("a", ""))));

    let mut m = Machine::resume(rules(Mode::Ask), History { messages: vec![&assistant], approvals: approvals(None), ..History::default() });
    assert_eq!(started(&m.handle(Event::Begin)), ["a"]);
    let out = m.handle(result("a", ""));
    assert!(out.iter().any(|e| matches!(e, Effect::AskApproval(c) if c.len() == 1 && c[0].call.id == "b")));
}

#[test]
fn ids_that_a_provider_repeats_are_told_apart() {
    let mut m = fresh(Mode::Auto);
    m.handle(Event::Begin);
    let out =
        m.handle(answer("", vec![call("x", "read_file", "{\"n\":1}"), call("x", "read_file", "{\"n\":2}"), call("", "search", "{}")]));
    assert_eq!(started(&out), ["x", "x-2", "-2"]);
}

/// Drives a machine the way the driver does, with every choice taken from a list of bytes.
struct World {
    mode: Mode,
    machine: Machine,
    transcript: Vec<MessageBody>,
    started: HashSet<String>,
    executed: Vec<ToolCall>,
    approvals: HashMap<String, ApprovalRecord>,
    calling: bool,
    switching: bool,
    running: Vec<ToolCall>,
    waiting: Vec<ToolCall>,
    ended: Option<(TurnReason, String)>,
    calls_made: usize,
}

impl World {
    fn new(mode: Mode) -> Self {
        Self {
            mode,
            machine: fresh(mode),
            transcript: Vec::new(),
            started: HashSet::new(),
            executed: Vec::new(),
            approvals: HashMap::new(),
            calling: false,
            switching: false,
            running: Vec::new(),
            waiting: Vec::new(),
            ended: None,
            calls_made: 0,
        }
    }

    fn mutates(name: &str) -> bool {
        TOOLS.iter().any(|t| t.0 == name && t.1)
    }

    fn feed(&mut self, event: Event) {
        for effect in self.machine.handle(event) {
            assert!(self.ended.is_none(), "an effect after the end: {effect:?}");
            match effect {
                Effect::CallModel(_) => {
                    assert!(!self.calling && self.running.is_empty());
                    self.calling = true;
                }
                Effect::SwitchModel { reason } => {
                    assert!(!self.calling && self.running.is_empty() && !reason.is_empty());
                    self.switching = true;
                }
                Effect::RunTool(call) => self.run(call),
                Effect::AskApproval(questions) => {
                    assert!(self.running.is_empty() && !questions.is_empty());
                    for question in &questions {
                        assert!(!question.why.is_empty());
                        self.approvals.entry(question.call.id.clone()).or_default();
                    }
                    self.waiting = questions.into_iter().map(|question| question.call).collect();
                }
                Effect::AppendMessage(body) => self.transcript.push(body),
                Effect::Emit(kinds) => {
                    for kind in kinds {
                        if let EventKind::ToolCalled { call_id, .. } = kind {
                            self.started.insert(call_id);
                        }
                    }
                }
                Effect::BookUsage(_) | Effect::CancelAll => {}
                Effect::Finish { reason, detail } => {
                    assert!(!detail.is_empty());
                    self.ended = Some((reason, detail));
                }
            }
        }
    }

    fn run(&mut self, call: ToolCall) {
        assert!(self.started.contains(&call.id), "a call ran before it was recorded");
        assert_ne!(call.name, "ask_user", "a question ran");
        if Self::mutates(&call.name) {
            assert!(self.mode != Mode::Plan);
            assert!(self.running.is_empty(), "a change ran beside another call");
            assert!(!self.executed.iter().any(|c| c.id == call.id), "a change ran twice");
        } else {
            assert!(self.running.iter().all(|c| !Self::mutates(&c.name)));
        }
        if self.mode == Mode::Ask && call.name == "run_command" {
            assert_eq!(self.approvals[&call.id].decision, Some(Approval::Approve));
        }
        self.executed.push(call.clone());
        self.running.push(call);
    }

    fn crash(&mut self) {
        (self.calling, self.switching, self.running, self.waiting) = (false, false, Vec::new(), Vec::new());
        self.machine = Machine::resume(
            rules(self.mode),
            History {
                messages: self.transcript.iter().collect(),
                approvals: self.approvals.clone(),
                started: self.started.clone(),
                steps: 0,
            },
        );
        self.feed(Event::Begin);
    }

    fn make_calls(&mut self, byte: u8) -> Vec<ToolCall> {
        (0..byte % 4)
            .map(|n| {
                self.calls_made += 1;
                let name = ["read_file", "search", "edit_file", "run_command", "no_such", "ask_user"][usize::from(byte / 4 + n) % 6];
                let arguments = ["{\"question\":\"?\"}", "{}", "{\"bad", "{\"n\":2}"][usize::from(byte / 16 + n) % 4];
                call(&format!("c{}", self.calls_made), name, arguments)
            })
            .collect()
    }

    fn step(&mut self, choice: u8, detail: u8) {
        match choice {
            0..=9 => return self.crash(),
            10..=12 => return self.feed(Event::StopRequested),
            13 => return self.feed(Event::TimeUp),
            14..=16 => return self.feed(answer("unasked", vec![])),
            17..=19 => return self.feed(result("nobody", "")),
            _ => {}
        }
        if self.switching {
            self.switching = false;
            let event = if detail < 128 { Event::ModelSwitched { from: "a".into(), to: "b".into() } } else { Event::NoOtherModel };
            self.feed(event);
        } else if self.calling {
            self.calling = false;
            let event = match choice {
                20..=24 => Event::ModelFailed {
                    sentence: "It broke.".into(),
                    text: "x".into(),
                    reasoning: String::new(),
                    usage: TokenUsage::default(),
                    may_switch: detail.is_multiple_of(2),
                },
                25..=34 => Event::ModelAnswered(Answer {
                    text: "t".into(),
                    reasoning: String::new(),
                    tool_calls: vec![],
                    usage: TokenUsage::default(),
                    end: AnswerEnd::Length,
                }),
                _ => answer("text", self.make_calls(detail)),
            };
            let stopping = self.machine.state() == State::Stopping;
            self.feed(if stopping && detail < 128 {
                Event::ModelStopped { text: "t".into(), reasoning: String::new(), usage: TokenUsage::default() }
            } else {
                event
            });
        } else if !self.running.is_empty() {
            let call = self.running.swap_remove(usize::from(detail) % self.running.len());
            self.feed(result(&call.id, "done"));
        } else if !self.waiting.is_empty() {
            let call = self.waiting.swap_remove(usize::from(detail) % self.waiting.len());
            let decision = if choice.is_multiple_of(2) { Approval::Approve } else { Approval::Reject };
            self.approvals.insert(call.id.clone(), ApprovalRecord { decision: Some(decision), reason: None });
            self.feed(Event::ApprovalDecided { call_id: call.id, decision, reason: None });
        } else {
            panic!("nothing is going on and the turn has not ended: {:?}", self.machine.state());
        }
    }

    fn check_every_call_is_answered_once(&self) {
        let mut open: Vec<&str> = Vec::new();
        let mut seen = HashSet::new();
        for body in &self.transcript {
            match body {
                MessageBody::Assistant { tool_calls, .. } => {
                    assert!(open.is_empty(), "the model was asked with unanswered calls: {open:?}");
                    for call in tool_calls {
                        assert!(seen.insert(&call.id));
                        open.push(&call.id);
                    }
                }
                MessageBody::Tool { call_id, .. } => {
                    let at = open.iter().position(|id| id == call_id).expect("an answer to no open call");
                    open.remove(at);
                }
                _ => {}
            }
        }
        assert!(open.is_empty(), "never answered: {open:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_order_of_events_ends_with_each_call_answered_once(mode in 0..3usize, script in prop::collection::vec(any::<(u8, u8)>(), 0..200)) {
        let mut world = World::new([Mode::Plan, Mode::Ask, Mode::Auto][mode]);
        world.feed(Event::Begin);
        for (choice, detail) in script {
            if world.ended.is_some() {
                break;
            }
            world.step(choice, detail);
        }
        // Whatever is left is answered plainly; a turn has at most 40 steps of at most three calls.
        let mut left = 400;
        while world.ended.is_none() {
            left -= 1;
            prop_assert!(left > 0, "the turn does not end");
            world.step(200, 255);
        }
        world.check_every_call_is_answered_once();
    }

    #[test]
    fn events_out_of_nowhere_never_panic(events in prop::collection::vec(0..12u8, 0..60)) {
        let mut machine = fresh(Mode::Ask);
        for event in events {
            machine.handle(match event {
                0 => Event::Begin,
                1 => answer("t", vec![call("a", "run_command", "{}"), call("b", "read_file", "{}")]),
                2 => Event::ModelFailed {
                    sentence: "s.".into(),
                    text: String::new(),
                    reasoning: String::new(),
                    usage: TokenUsage::default(),
                    may_switch: true,
                },
                3 => Event::ModelStopped { text: String::new(), reasoning: String::new(), usage: TokenUsage::default() },
                4 => Event::BudgetTooSmall,
                7 => Event::BudgetRefused { sentence: "No.".into() },
                8 => Event::ModelSwitched { from: "a".into(), to: "b".into() },
                9 => Event::NoOtherModel,
                10 => Event::TimeUp,
                5 => result("b", "x"),
                6 => Event::ApprovalDecided { call_id: "a".into(), decision: Approval::Approve, reason: None },
                _ => Event::StopRequested,
            });
        }
    }
}
