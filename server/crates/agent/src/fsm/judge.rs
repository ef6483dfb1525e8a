//! What becomes of one call: it is answered, asked about, or run.

use wire::{
    chat::{Approval, Mode, ToolCall},
    permissions::{CallFacts, CallSubject, Decision, PermissionRule, QUESTIONS, ToolTraits, decide},
};

use super::{Event, Machine, State, ToolRule, answers};
use crate::tools::{args, ask_user};

pub(super) enum Verdict {
    Run {
        mutates: bool,
    },
    /// Why, for people.
    Ask(String),
    /// It is not run: `content` for the model, `summary` for the card.
    Answer {
        ok: bool,
        content: String,
        summary: &'static str,
    },
}

/// A call that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub call: ToolCall,
    /// For people: why it is not simply run.
    pub why: String,
}

/// What one call would reach of the files as they are, as far as rules are about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub tool: String,
    pub arguments: String,
    pub paths: Vec<String>,
}

fn refuse(content: impl Into<String>, summary: &'static str) -> Verdict {
    Verdict::Answer { ok: false, content: content.into(), summary }
}

impl Machine {
    /// The calls that the event may let begin: they are to be judged by rules and files as they are now.
    pub fn calls_before<'a>(&'a self, event: &'a Event) -> Vec<&'a ToolCall> {
        let made: &[ToolCall] = match event {
            Event::ModelAnswered(answer) if self.state == State::Calling => &answer.tool_calls,
            Event::Begin | Event::ToolFinished(_) | Event::ApprovalDecided { .. } => &[],
            _ => return Vec::new(),
        };
        self.queue.iter().map(|pending| &pending.call).chain(made).collect()
    }

    /// Goes on by these rules. What was known of an earlier one's reach is forgotten.
    pub fn renew(&mut self, permissions: Vec<PermissionRule>, held: Vec<Held>) {
        self.rules.permissions = permissions;
        self.held = held;
    }

    pub fn permissions(&self) -> &[PermissionRule] {
        &self.rules.permissions
    }

    pub(super) fn judge(&self, call: &ToolCall) -> Verdict {
        if self.was_interrupted(call) {
            return refuse(answers::INTERRUPTED, "Interrupted by a restart");
        }
        let Some(rule) = self.rules.rule(&call.name) else {
            return refuse(answers::unknown_tool(&call.name, &self.rules.offered()), "No such tool");
        };
        if rule.mutates && self.rules.mode == Mode::Plan {
            return refuse(answers::PLAN_ONLY, "Not available in plan mode");
        }
        if let Err(reason) = args::check(&rule.schema, &call.arguments) {
            return refuse(reason, "The arguments do not fit");
        }
        if rule.by_person
            && let Err(reason) = ask_user::check(&call.arguments)
        {
            return refuse(reason, "Not asked");
        }
        let asked = self.approvals.get(&call.id).map(|a| (a.decision, a.reason.as_deref()));
        if rule.by_person {
            return match asked {
                Some((Some(decision), words)) => Verdict::Answer {
                    ok: true,
                    content: answers::answered(decision, words),
                    summary: if decision == Approval::Approve { "Answered" } else { "Not answered" },
                },
                _ => Verdict::Ask("The agent asks you something.".to_owned()),
            };
        }
        if let Some((Some(Approval::Reject), words)) = asked {
            return refuse(answers::declined(words), "Declined");
        }
        match self.decide(rule, call) {
            Decision::Deny { why, .. } => refuse(answers::denied(&why), "Denied by a rule of the project"),
            Decision::Ask { why } if !matches!(asked, Some((Some(Approval::Approve), _))) => Verdict::Ask(why),
            Decision::Ask { .. } | Decision::Allow { .. } => Verdict::Run { mutates: rule.mutates },
        }
    }

    fn decide(&self, rule: &ToolRule, call: &ToolCall) -> Decision {
        // What only shows something asks nobody.
        if QUESTIONS.contains(&rule.name.as_str()) {
            return Decision::Allow { rule: None };
        }
        let traits = ToolTraits { mutates: rule.mutates, asks: rule.asks };
        let held = self.held.iter().find(|held| held.tool == call.name && held.arguments == call.arguments);
        let held: Vec<&str> = held.iter().flat_map(|held| &held.paths).map(String::as_str).collect();
        CallSubject::read(&call.name, &call.arguments)
            .with_facts(&call.name, traits, |facts| decide(&self.rules.permissions, self.rules.mode, &CallFacts { held: &held, ..*facts }))
    }

    /// It had begun when the server went away, and nobody knows how far it came.
    pub(super) fn was_interrupted(&self, call: &ToolCall) -> bool {
        // A server whose tool it was may be gone since.
        self.started.contains(&call.id) && self.rules.rule(&call.name).is_none_or(|r| r.mutates)
    }

    pub(super) fn undecided(&self) -> Vec<Question> {
        let ask = |call: &ToolCall| match self.judge(call) {
            Verdict::Ask(why) => Some(Question { call: call.clone(), why }),
            Verdict::Run { .. } | Verdict::Answer { .. } => None,
        };
        self.queue.iter().filter_map(|pending| ask(&pending.call)).collect()
    }
}
