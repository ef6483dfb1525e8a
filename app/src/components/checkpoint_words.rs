//! Checkpoints and what a restore does, in words.

use wire::{
    UserId,
    checkpoints::{ChangeNote, Checkpoint, CheckpointKind, PlannedFile, RestoreEffect, Timeline},
    files::{FileAction, Origin},
    users::UserRef,
};

use crate::ui::{BadgeKind, format};

/// `you`, a name, or nobody known.
fn who(by: Option<&UserRef>, viewer: UserId) -> String {
    match by {
        Some(by) if by.id == viewer => "you".to_owned(),
        Some(by) => by.name.clone(),
        None => "the server".to_owned(),
    }
}

fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The line below a checkpoint's title.
pub fn origin_of(checkpoint: &Checkpoint, viewer: UserId) -> String {
    let by = who(checkpoint.created_by.as_ref(), viewer);
    let files = format::counted(checkpoint.files, "file", "files");
    match checkpoint.kind {
        CheckpointKind::Turn => format!("Agent turn, asked by {by}"),
        CheckpointKind::Restore => format!("Before {by} restored, {files}"),
        CheckpointKind::Named => format!("Kept by {by}, {files}"),
    }
}

/// The mark of a checkpoint in the timeline.
pub fn node_class(checkpoint: &Checkpoint) -> &'static str {
    match (checkpoint.name.is_some(), checkpoint.kind) {
        (true, _) => "node pin",
        (false, CheckpointKind::Turn) => "node agent",
        (false, _) => "node",
    }
}

/// How much is kept, in a sentence.
pub fn kept(timeline: &Timeline) -> String {
    let bounds = timeline.bounds;
    format!(
        "The last {} are kept for up to {}, named ones always. They hold {} of at most {}.",
        format::count(bounds.count),
        format::counted(bounds.days, "day", "days"),
        format::bytes(timeline.held_bytes),
        format::bytes(bounds.bytes),
    )
}

/// What becomes of a file, as badge, icon and word.
pub fn effect(file: &PlannedFile, is_ticked: bool) -> (BadgeKind, &'static str, &'static str) {
    if !is_ticked && !file.others.is_empty() {
        return (BadgeKind::Warning, "triangle-alert", "Left alone");
    }
    match file.effect {
        RestoreEffect::GoesBack => (BadgeKind::Neutral, "", "Goes back"),
        RestoreEffect::ComesBack => (BadgeKind::Ok, "undo-2", "Comes back"),
        RestoreEffect::ToTrash => (BadgeKind::Bad, "trash-2", "To trash"),
        RestoreEffect::Mode => (BadgeKind::Neutral, "", "Permissions"),
    }
}

/// Who changed a file since, and what that means for it.
pub fn note(file: &PlannedFile, is_ticked: bool, viewer: UserId) -> String {
    if let Some(newest) = file.others.first() {
        let mut names: Vec<String> = Vec::new();
        for note in &file.others {
            let name = who(note.by.as_ref(), viewer);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let did = upper_first(&format!("{} {} it at {}", listed(&names), verb(newest), format::clock(newest.at)));
        return if is_ticked {
            format!("{did}; that is replaced too.")
        } else {
            format!("{did}. Tick it to replace that too; it can be undone.")
        };
    }
    match file.effect {
        RestoreEffect::ToTrash => "Did not exist then".to_owned(),
        _ => {
            let by = who(file.last.by.as_ref(), viewer);
            upper_first(&format!("{} {}", made_by(&file.last, &by), format::clock(file.last.at)))
        }
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

fn verb(note: &ChangeNote) -> &'static str {
    match note.action {
        FileAction::Deleted => "deleted",
        FileAction::Restored => "restored",
        FileAction::Added | FileAction::Modified => "changed",
    }
}

fn made_by(note: &ChangeNote, by: &str) -> String {
    let verb = verb(note);
    match note.origin {
        Origin::Agent => format!("the agent’s change, accepted by {by},"),
        Origin::Run => format!("{verb} by a run of {by},"),
        Origin::Terminal => format!("{verb} in a terminal of {by},"),
        Origin::Person | Origin::Import | Origin::Restore | Origin::Sample | Origin::Git => format!("{verb} by {by},"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Micros;

    #[test]
    fn people_are_named_in_words() {
        let id = |n: u8| -> UserId { format!("0000000000000000000000000000000{n}").parse().unwrap() };
        let me = id(1);
        let by = |n: u8, name: &str| Some(UserRef { id: id(n), name: name.to_owned() });
        let note_by = |by, origin, action| ChangeNote { at: Micros(0), by, origin, action };
        let mut file = PlannedFile {
            path: "a".to_owned(),
            effect: RestoreEffect::GoesBack,
            then: None,
            now: None,
            last: note_by(by(1, "Ada"), Origin::Agent, FileAction::Modified),
            others: Vec::new(),
        };
        assert!(note(&file, true, me).starts_with("The agent’s change, accepted by you, "), "{}", note(&file, true, me));
        file.others =
            vec![note_by(by(2, "Ben"), Origin::Person, FileAction::Modified), note_by(by(3, "Cleo"), Origin::Person, FileAction::Modified)];
        assert!(note(&file, false, me).starts_with("Ben and Cleo changed it at "));
        assert!(note(&file, true, me).ends_with("; that is replaced too."));
        assert_eq!(effect(&file, false).2, "Left alone");
        assert_eq!(effect(&file, true).2, "Goes back");
    }
}
