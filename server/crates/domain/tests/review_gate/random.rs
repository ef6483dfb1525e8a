//! Random change sets, decided by two people at once, by hunk and by line.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Ctx, Error, changes, members};
use wire::{
    ChangeSetId, HunkId, ProjectId,
    changes::{ChangeAction, ChangeSetState, ChangedFile, Decide, Hunk, HunkState},
    members::Invite,
    projects::ProjectRole,
};

use crate::{Case, found, propose, put, support::Home, told_about};

/// Change sets per database.
const ROUNDS: usize = 120;
const SEED: u64 = 0x2545_f491_4f6c_dd1d;
/// Decided hunks that fewer would not show enough with.
const HUNKS_LEAST: usize = 3 * ROUNDS;

/// A small generator, so that a failure can be had again from its round.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

fn words(dice: &mut Dice, tag: &str) -> String {
    let kinds = [
        "alpha",
        "\tbeta",
        "",
        "gamma ü",
        "de\u{301}ja\u{300} vu",
        "déjà vu",
        "  delta  ",
        "}",
        "日本",
        "`````",
        "- minus",
        "+ plus",
        "\\ No newline",
    ];
    match dice.below(kinds.len() + 6) {
        n if n < kinds.len() => kinds[n].to_owned(),
        _ => format!("{tag} {}", dice.below(1000)),
    }
}

/// Lines with their ends. The last one may have none.
fn text(dice: &mut Dice, tag: &str, lines: usize) -> Vec<String> {
    let ending = if dice.one_in(3) { "\r\n" } else { "\n" };
    let mut text: Vec<String> =
        (0..lines).map(|n| format!("{}{ending}", if n % 3 == 0 { format!("{tag} line {n}") } else { words(dice, tag) })).collect();
    if dice.one_in(4)
        && let Some(last) = text.last_mut()
    {
        *last = format!("{}!", last.trim_end());
    }
    text
}

fn change(dice: &mut Dice, tag: &str, old: &[String], times: usize) -> Vec<String> {
    let mut new = old.to_vec();
    let ending = if old.first().is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };
    for _ in 0..times {
        let at = dice.below(new.len() + 1);
        // What comes last keeps the end it has, or a line would run into the next.
        let is_inside = at + 1 < new.len();
        match dice.below(4) {
            0 if is_inside => new.insert(at, format!("{}{ending}", words(dice, tag))),
            1 if is_inside => drop(new.remove(at)),
            2 if is_inside => new[at] = format!("changed {}{ending}", dice.below(100)),
            3 if at + 1 == new.len() => {
                let last = new[at].trim_end_matches(['\r', '\n']).to_owned();
                new[at] = if new[at].ends_with('\n') { format!("{last} end") } else { format!("{last}{ending}") };
            }
            _ => {}
        }
    }
    new
}

fn case(dice: &mut Dice, round: usize, n: usize) -> Case {
    let (tag, path) = (format!("t{round}-{n}"), format!("r{round}/file{n}.txt"));
    let file = |text: &[String]| Some((text.concat().into_bytes(), 0o644));
    let lines = 8 + dice.below(60);
    let old = text(dice, &tag, lines);
    match dice.below(8) {
        0 => Case { path, old_path: None, old: None, new: file(&old) },
        1 => Case { path, old_path: None, old: file(&old), new: None },
        2 => Case { path: format!("r{round}/moved/file{n}.txt"), old_path: Some(path), old: file(&old), new: file(&old) },
        3 => {
            let new = change(dice, &tag, &old, 2);
            let mode = if dice.one_in(3) { 0o755 } else { 0o644 };
            Case {
                path: format!("r{round}/else{n}.rs"),
                old_path: Some(path),
                old: file(&old),
                new: Some((new.concat().into_bytes(), mode)),
            }
        }
        4 => Case { path, old_path: None, old: file(&old), new: Some((old.concat().into_bytes(), 0o755)) },
        5 => {
            let binary = |dice: &mut Dice| Some((vec![0, 255, dice.below(256) as u8, dice.below(256) as u8, n as u8], 0o644));
            Case { path, old_path: None, old: binary(dice), new: binary(dice) }
        }
        _ => {
            let times = 1 + dice.below(9);
            let new = change(dice, &tag, &old, times);
            let mode = if dice.one_in(5) { 0o755 } else { 0o644 };
            Case { path, old_path: None, old: file(&old), new: Some((new.concat().into_bytes(), mode)) }
        }
    }
}

/// What one person means to do with a hunk.
#[derive(Debug, Clone)]
enum Meant {
    Accept,
    Reject(String),
    Edit(String),
    Lines(BTreeSet<u32>),
}

fn choose(dice: &mut Dice, file: &ChangedFile, hunk: &Hunk, n: usize) -> Meant {
    let is_whole = hunk.diff.is_empty() || file.action == ChangeAction::Delete;
    match dice.below(if is_whole { 2 } else { 4 }) {
        0 => Meant::Accept,
        1 => Meant::Reject(format!("reason {n}")),
        2 => Meant::Edit(format!("{}edited {n}{}", lines_end(&hunk.new_text()), if hunk.diff.contains("\r\n") { "\r\n" } else { "\n" })),
        _ => Meant::Lines(hunk.changed_lines().into_iter().filter(|_| dice.one_in(2)).collect()),
    }
}

/// A text to which a line can be added.
fn lines_end(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn request(meant: &[(HunkId, Meant)]) -> Decide {
    let mut decide = Decide::default();
    for (id, meant) in meant {
        match meant.clone() {
            Meant::Accept => decide.accept.push(*id),
            Meant::Reject(reason) => {
                decide.reject.push(*id);
                decide.reasons.insert(*id, reason);
            }
            Meant::Edit(text) => drop(decide.edits.insert(*id, text)),
            Meant::Lines(lines) => drop(decide.lines.insert(*id, lines.into_iter().collect())),
        }
    }
    decide
}

/// One person at work: applies their marks in batches; what others were faster with is dropped, as the page does.
async fn review(ctx: Ctx, set: ChangeSetId, batches: Vec<Vec<(HunkId, Meant)>>) {
    for mut batch in batches {
        loop {
            let now = changes::get(&ctx, set).await.unwrap();
            let open: BTreeSet<HunkId> =
                now.files.iter().flat_map(|file| &file.hunks).filter(|hunk| hunk.state.is_open()).map(|hunk| hunk.id).collect();
            batch.retain(|(id, _)| open.contains(id));
            if batch.is_empty() {
                break;
            }
            match changes::decide(&ctx, set, request(&batch)).await {
                Ok(decided) => {
                    assert_eq!(decided.conflicts, [], "nobody else writes");
                    break;
                }
                Err(Error::Conflict { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// The lines that a hunk leaves, worked out from its diff without the code under test.
fn result_of(hunk: &Hunk, meant: &Meant) -> Option<String> {
    let taken = match meant {
        Meant::Reject(_) => return None,
        Meant::Edit(text) => return Some(text.clone()),
        Meant::Accept => hunk.changed_lines(),
        Meant::Lines(lines) if lines.is_empty() => return None,
        Meant::Lines(lines) => lines.clone(),
    };
    let rows: Vec<&str> = hunk.diff.split_inclusive('\n').collect();
    let mut out: Vec<String> = Vec::new();
    let mut index = 0;
    for (n, row) in rows.iter().enumerate() {
        if row.starts_with('\\') {
            continue;
        }
        let is_bare = rows.get(n + 1).is_some_and(|next| next.starts_with('\\'));
        let kept = match row.chars().next() {
            Some('-') => !taken.contains(&index),
            Some('+') => taken.contains(&index),
            _ => true,
        };
        index += 1;
        if kept {
            let line = &row[1..];
            out.push(if is_bare { line[..line.len() - 1].to_owned() } else { line.to_owned() });
        }
    }
    let ending = if hunk.diff.contains("\r\n") { "\r\n" } else { "\n" };
    let last = out.len().saturating_sub(1);
    Some(
        out.iter()
            .enumerate()
            .map(|(n, line)| if n < last && !line.ends_with('\n') { format!("{line}{ending}") } else { line.clone() })
            .collect(),
    )
}

pub async fn random_decisions_of_two_people(home: Home) {
    let ada = home.person("ada").await;
    let ben = home.person("ben").await;
    let project = home.project(&ada).await.id;
    members::invite(&ada, project, Invite { who: "ben".to_owned(), role: ProjectRole::Editor }).await.unwrap();
    let people = [(ada.clone(), ada.user_id().unwrap()), (ben.clone(), ben.user_id().unwrap())];
    let mut dice = Dice(SEED);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let (mut sets, mut by_person) = (0, [0; 2]);
    for round in 0..ROUNDS {
        let cases: Vec<Case> = (0..2 + dice.below(4))
            .map(|n| case(&mut dice, round, n))
            .filter(|case| case.old_path.is_some() || case.old != case.new)
            .collect();
        if cases.is_empty() {
            continue;
        }
        sets += 1;
        for case in &cases {
            if let Some((bytes, _)) = &case.old {
                put(&ada, project, case.old_path.as_ref().unwrap_or(&case.path), bytes).await;
            }
        }
        let (turn, set) = propose(&ada, project, &cases).await;
        for case in cases.iter().filter(|case| case.old_path.is_some()) {
            let file = set.files.iter().find(|file| file.path == case.path).unwrap();
            assert_eq!((file.action, &file.old_path), (ChangeAction::Rename, &case.old_path), "round {round}: a move is known as one");
        }
        // Both mean to decide about two thirds of the hunks, so that many are wanted by both.
        let mut meant: BTreeMap<(HunkId, usize), Meant> = BTreeMap::new();
        for (n, (file, hunk)) in set.files.iter().flat_map(|file| file.hunks.iter().map(move |hunk| (file, hunk))).enumerate() {
            let skipped = dice.below(3);
            for person in (0..2).filter(|person| *person != skipped) {
                meant.insert((hunk.id, person), choose(&mut dice, file, hunk, n * 2 + person));
            }
        }
        let mut batches: [Vec<Vec<(HunkId, Meant)>>; 2] = Default::default();
        for ((id, person), meant) in &meant {
            let own = &mut batches[*person];
            if own.is_empty() || dice.one_in(3) {
                own.push(Vec::new());
            }
            let at = dice.below(own.len());
            own[at].push((*id, meant.clone()));
        }
        let [first, second] = batches;
        let (one, two) = tokio::join!(
            tokio::spawn(review(ada.clone(), set.change_set_id, first)),
            tokio::spawn(review(ben.clone(), set.change_set_id, second))
        );
        one.unwrap();
        two.unwrap();

        let after = changes::get(&ada, set.change_set_id).await.unwrap();
        assert_eq!(after.state, ChangeSetState::Decided, "round {round}");
        let told = told_about(&ada, turn).await;
        let mut told_hunks = 0;
        for (file, case) in after.files.iter().map(|file| (file, cases.iter().find(|case| case.path == file.path).unwrap())) {
            // Hunk by hunk what the winner meant.
            let won = |hunk: &Hunk| {
                let by = hunk.decided_by.as_ref().unwrap().id;
                meant[&(hunk.id, people.iter().position(|(_, id)| *id == by).unwrap())].clone()
            };
            for hunk in &file.hunks {
                let meant = won(hunk);
                by_person[usize::from(hunk.decided_by.as_ref().unwrap().id == people[1].1)] += 1;
                let (state, verdict) = match (&meant, result_of(hunk, &meant)) {
                    (Meant::Accept, _) => (HunkState::Accepted, "accepted as proposed"),
                    (Meant::Lines(lines), _) if *lines == hunk.changed_lines() && !lines.is_empty() => {
                        (HunkState::Accepted, "accepted as proposed")
                    }
                    (Meant::Reject(_), _) | (_, None) => (HunkState::Rejected, "rejected; it is not in the project"),
                    _ => (HunkState::Edited, "edited; the person's text is in the project now"),
                };
                assert_eq!(hunk.state, state, "round {round}, {} {meant:?}", file.path);
                let place = told
                    .iter()
                    .position(|part| is_about(part, file, hunk, verdict))
                    .unwrap_or_else(|| panic!("round {round}: {} line {} is not told as {verdict}: {told:#?}", file.path, hunk.old_start));
                told_hunks += 1;
                match &meant {
                    Meant::Reject(reason) => assert!(told[place].contains(reason)),
                    Meant::Edit(text) => assert!(told[place].contains(text.trim_end_matches('\n'))),
                    Meant::Lines(_) if state == HunkState::Edited => {
                        assert!(told[place].contains(result_of(hunk, &meant).unwrap().trim_end_matches('\n')));
                    }
                    _ => {}
                }
                *counts.entry(format!("{:?} {:?}", file.action, state)).or_default() += 1;
            }
            check_file(&ada, project, round, file, case, won).await;
        }
        assert_eq!(told.len(), told_hunks, "round {round}: each decision is told once");
    }
    for wanted in [
        "Modify Edited",
        "Modify Rejected",
        "Modify Accepted",
        "Rename Accepted",
        "Rename Rejected",
        "Rename Edited",
        "Add Edited",
        "Delete Accepted",
        "Mode Accepted",
    ] {
        assert!(counts.contains_key(wanted), "{wanted} was tried: {counts:?}");
    }
    let hunks: usize = counts.values().sum();
    assert!(sets * 10 >= ROUNDS * 9 && hunks >= HUNKS_LEAST, "{sets} change sets with {hunks} hunks of {ROUNDS} rounds");
    assert!(by_person.iter().all(|decided| *decided >= hunks / 10), "both decided: {by_person:?}");
    eprintln!("seed {SEED:#x}: {sets} change sets, {hunks} hunks by two people {by_person:?}: {counts:?}");
}

fn is_about(part: &str, file: &ChangedFile, hunk: &Hunk, verdict: &str) -> bool {
    let subject = wire::changes::subject(&file.path, file.old_path.as_deref(), Some(file.action), !hunk.diff.is_empty(), hunk.old_start);
    let named = part.contains(&format!(". {subject}: {verdict}"));
    named && (hunk.diff.is_empty() || part.contains(hunk.diff.trim_end_matches('\n')))
}

async fn check_file(ctx: &Ctx, project: ProjectId, round: usize, file: &ChangedFile, case: &Case, won: impl Fn(&Hunk) -> Meant) {
    let whole = file.hunks.iter().find(|hunk| hunk.diff.is_empty() || file.action == ChangeAction::Delete);
    let takes_whole = whole.is_some_and(|hunk| matches!(won(hunk), Meant::Accept));
    let (mut bytes, mut mode) = case.old.clone().map_or((None, 0o644), |(bytes, mode)| (Some(bytes), mode));
    let mut path = case.old_path.clone().unwrap_or_else(|| case.path.clone());
    let mut left: Option<String> = None;
    if takes_whole {
        match file.action {
            ChangeAction::Delete => bytes = None,
            ChangeAction::Rename => {
                left = Some(std::mem::replace(&mut path, case.path.clone()));
                mode = case.new.as_ref().unwrap().1;
            }
            ChangeAction::Modify | ChangeAction::Mode if !file.binary => mode = case.new.as_ref().unwrap().1,
            _ => bytes = case.new.as_ref().map(|(bytes, _)| bytes.clone()),
        }
    }
    if file.action != ChangeAction::Delete && !file.binary {
        let old = bytes.clone().map(|bytes| String::from_utf8(bytes).unwrap()).unwrap_or_default();
        let mut lines: Vec<String> = old.split_inclusive('\n').map(str::to_owned).collect();
        let mut changed = false;
        for hunk in file.hunks.iter().rev().filter(|hunk| !hunk.diff.is_empty()) {
            if let Some(text) = result_of(hunk, &won(hunk)) {
                let start = if hunk.old_lines == 0 { hunk.old_start } else { hunk.old_start - 1 } as usize;
                lines.splice(start..start + hunk.old_lines as usize, [text]);
                changed = true;
            }
        }
        if changed {
            bytes = Some(lines.concat().into_bytes());
        }
    }
    let shown = |bytes: &Option<(Vec<u8>, i32)>| bytes.as_ref().map(|(bytes, mode)| (String::from_utf8_lossy(bytes).into_owned(), *mode));
    let expected = bytes.map(|bytes| (bytes, mode));
    let is = found(ctx, project, &path).await;
    assert_eq!(shown(&is), shown(&expected), "round {round}, {path}");
    assert_eq!(is, expected, "round {round}, {path}");
    if let Some(left) = left {
        assert_eq!(found(ctx, project, &left).await, None, "round {round}: {left} has moved");
    }
}
