use std::fmt::Write as _;

use wire::changes::{HunkDecision, HunkState};

use super::text::fence_for;

/// What the message about a review begins with; the model is told to look for it.
pub const REVIEW_NOTE: &str = "Review of your changes";

/// What the person decided about the agent's changes, hunk by hunk and word for word. Begins with [`REVIEW_NOTE`].
pub fn describe_review(hunks: &[HunkDecision]) -> String {
    let count = |state| hunks.iter().filter(|h| h.state == state).count();
    let mut out = format!(
        "{REVIEW_NOTE} by the person: {} accepted, {} edited, {} rejected",
        count(HunkState::Accepted),
        count(HunkState::Edited),
        count(HunkState::Rejected),
    );
    match count(HunkState::Conflict) {
        0 => out.push_str(".\n"),
        n => {
            let _ = writeln!(out, ", {n} accepted but no longer fitting.");
        }
    }
    for (n, hunk) in in_order(hunks).into_iter().enumerate() {
        let _ = write!(out, "\n{}. {}: {}.", n + 1, hunk.subject(), verdict(hunk.state));
        if let Some(reason) = hunk.reason.as_deref().filter(|r| !r.trim().is_empty()) {
            let _ = write!(out, " Reason given: {reason}");
        }
        out.push('\n');
        if !hunk.diff.is_empty() {
            let fence = fence_for(&hunk.diff);
            let _ = writeln!(out, "You proposed:\n{fence}diff\n{}\n{fence}", hunk.diff.trim_end_matches('\n'));
        }
        if let Some(text) = &hunk.edited_text {
            let fence = fence_for(text);
            let _ = writeln!(out, "The person wrote instead:\n{fence}\n{}\n{fence}", text.trim_end_matches('\n'));
        }
    }
    out
}

/// A review without the texts: one line a hunk.
pub(super) fn outline_review(hunks: &[HunkDecision]) -> String {
    let mut out = String::new();
    for hunk in in_order(hunks) {
        let _ = write!(out, "- {}: {}", hunk.subject(), verdict(hunk.state));
        if let Some(reason) = hunk.reason.as_deref().filter(|r| !r.trim().is_empty()) {
            let _ = write!(out, "; reason given: {}", super::text::one_line(reason, 200));
        }
        out.push('\n');
    }
    out
}

fn in_order(hunks: &[HunkDecision]) -> Vec<&HunkDecision> {
    let mut in_order: Vec<&HunkDecision> = hunks.iter().collect();
    in_order.sort_by(|a, b| (&a.path, a.old_start).cmp(&(&b.path, b.old_start)));
    in_order
}

fn verdict(state: HunkState) -> &'static str {
    match state {
        HunkState::Accepted => "accepted as proposed; it is in the project now",
        HunkState::Edited => "edited; the person's text is in the project now, yours is not",
        HunkState::Rejected => "rejected; it is not in the project",
        HunkState::Conflict => "accepted, but the file has changed meanwhile and it no longer fits; nothing of it was written",
        HunkState::Open => "not decided yet; it is not in the project",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_is_told_word_for_word() {
        let hunk = |state, edited: Option<&str>, reason: Option<&str>| HunkDecision {
            path: "a.py".into(),
            action: None,
            old_path: None,
            old_start: 3,
            state,
            diff: " x\n-old\n+new\n".into(),
            edited_text: edited.map(Into::into),
            reason: reason.map(Into::into),
        };
        let hunks = vec![
            hunk(HunkState::Accepted, None, None),
            hunk(HunkState::Edited, Some("x\nmine ```\n"), None),
            hunk(HunkState::Rejected, None, Some("breaks the API")),
            hunk(HunkState::Conflict, None, None),
        ];
        let text = describe_review(&hunks);
        assert!(
            text.starts_with("Review of your changes by the person: 1 accepted, 1 edited, 1 rejected, 1 accepted but no longer fitting.")
        );
        assert!(text.contains("1. a.py, line 3: accepted as proposed"));
        assert!(text.contains("The person wrote instead:\n````\nx\nmine ```\n````"));
        assert!(text.contains("3. a.py, line 3: rejected; it is not in the project. Reason given: breaks the API"));
        assert!(text.contains("```diff\n x\n-old\n+new\n```"));
        let short = outline_review(&hunks);
        assert!(
            short.lines().count() == 4 && short.contains("rejected; it is not in the project; reason given: breaks the API"),
            "{short}"
        );
    }
}
