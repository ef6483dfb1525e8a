//! What becomes of one call: it is answered, asked about, or run.

use wire::{
    chat::{Approval, Mode, ToolCall},
    permissions::{CallSubject, Decision, QUESTIONS, ToolTraits, decide},
};

use super::{Machine, ToolRule, answers};
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

fn refuse(content: impl Into<String>, summary: &'static str) -> Verdict {
    Verdict::Answer { ok: false, content: content.into(), summary }
}

impl Machine {
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
        CallSubject::read(&call.name, &call.arguments)
            .with_facts(&call.name, traits, |facts| decide(&self.rules.permissions, self.rules.mode, facts))
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
