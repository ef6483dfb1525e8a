//! What people decide is what the project holds, to the byte, and what the model is told.

mod support;

use domain::{Ctx, Error, changes, chat, files};
use support::Home;
use wire::{
    ProjectId, TurnId,
    changes::{ChangeSet, Decide, HunkState},
    chat::{CreateConversation, MessageBody, StartTurn, TurnReason},
    files::{Base, EntryKind, SaveText},
};

on_both!(
    accept_reject_edit_leaves_exactly_that,
    what_moved_on_is_a_conflict_and_the_rest_applies,
    a_conflict_is_edited_to_fit,
    two_reviewers_never_decide_twice,
    random_decisions_leave_the_expected_bytes,
    added_deleted_and_binary_files,
    links_are_decided_as_a_whole,
    directories_are_decided_as_a_whole,
);

async fn put(ctx: &Ctx, project: ProjectId, path: &str, text: &str) {
    let base = files::entry(ctx, project, path).await.map_or(Base::New, |entry| Base::Version(entry.version));
    let saved = files::save_text(ctx, project, SaveText { path: path.to_owned(), base, text: text.to_owned(), format: Default::default() })
        .await
        .unwrap();
    assert!(matches!(saved, wire::files::SaveOutcome::Saved { .. }));
}

async fn bytes(ctx: &Ctx, project: ProjectId, path: &str) -> Option<Vec<u8>> {
    let entry = files::entry(ctx, project, path).await.ok()?;
    Some(ctx.services().storage.local.read_all(&entry.checksum, 1 << 24).await.unwrap())
}

async fn turn(ctx: &Ctx, project: ProjectId) -> TurnId {
    let conversation = chat::create_conversation(ctx, project, CreateConversation::default()).await.unwrap();
    let request = StartTurn { prompt: "change it".into(), mode: Default::default(), ..Default::default() };
    chat::start_turn(ctx, conversation.id, request).await.unwrap().turn_id
}

/// Makes a change set out of what files are and shall become; `None` is a file that is not there.
async fn propose(ctx: &Ctx, project: ProjectId, files_: &[(&str, Option<&[u8]>)]) -> (TurnId, ChangeSet) {
    let turn = turn(ctx, project).await;
    let mut proposed = Vec::new();
    for (path, new) in files_ {
        let old = files::entry(ctx, project, path).await.ok().map(|entry| (entry.checksum, entry.mode));
        let mut new_size = 0;
        let new = match new {
            Some(bytes) => {
                let stored = ctx.services().storage.local.put_bytes(bytes.to_vec()).await.unwrap();
                new_size = stored.size;
                Some((stored.sha256, 0o644))
            }
            None => None,
        };
        proposed.push(changes::ProposedFile { path: (*path).to_owned(), kind: EntryKind::File, is_retyped: false, old, new, new_size });
    }
    let revision = domain::projects::get(ctx, project).await.unwrap().revision;
    let set = changes::create(ctx, turn, revision, proposed).await.unwrap().unwrap();
    chat::finish_turn(ctx, turn, TurnReason::Done, "").await.unwrap();
    (turn, set)
}

fn numbered() -> String {
    (1..=60).map(|n| format!("line {n}\n")).collect()
}

async fn accept_reject_edit_leaves_exactly_that(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let old = numbered();
    put(&ctx, project, "a.txt", &old).await;
    let new = old.replace("line 5\n", "five\n").replace("line 30\n", "thirty\n").replace("line 55\n", "fifty-five\n");
    let (turn, set) = propose(&ctx, project, &[("a.txt", Some(new.as_bytes()))]).await;
    assert_eq!(set.files[0].hunks.len(), 3);
    let [first, second, third] = [&set.files[0].hunks[0], &set.files[0].hunks[1], &set.files[0].hunks[2]];
    let edited = third.new_text().replace("fifty-five\n", "55, as I want it\n");
    let request = Decide {
        accept: vec![first.id],
        reject: vec![second.id],
        edits: [(third.id, edited.clone())].into(),
        reason: Some("thirty stays".into()),
        ..Decide::default()
    };
    assert_eq!(bytes(&ctx, project, "a.txt").await.unwrap(), old.as_bytes(), "nothing is written before the decision");
    let decided = changes::decide(&ctx, set.change_set_id, request.clone()).await.unwrap();
    assert_eq!(decided.conflicts, []);
    let expected = old.replace("line 5\n", "five\n").replace("line 55\n", "55, as I want it\n");
    assert_eq!(String::from_utf8(bytes(&ctx, project, "a.txt").await.unwrap()).unwrap(), expected);
    let states: Vec<_> = decided.change_set.files[0].hunks.iter().map(|hunk| hunk.state).collect();
    assert_eq!(states, [HunkState::Accepted, HunkState::Rejected, HunkState::Edited]);

    let conversation = chat::get_turn(&ctx, turn).await.unwrap().conversation_id;
    let messages = chat::messages(&ctx, conversation).await.unwrap();
    let Some(MessageBody::Decision { hunks, .. }) = messages.last().map(|message| &message.body) else {
        panic!("no decision in the transcript")
    };
    let told: Vec<_> = hunks.iter().map(|hunk| (hunk.state, hunk.edited_text.as_deref(), hunk.reason.as_deref())).collect();
    assert!(told.contains(&(HunkState::Accepted, None, None)));
    assert!(told.contains(&(HunkState::Rejected, None, Some("thirty stays"))));
    assert!(told.contains(&(HunkState::Edited, Some(&*edited), None)));

    assert!(matches!(changes::decide(&ctx, set.change_set_id, request).await, Err(Error::Conflict { .. })), "a decision is made once");
    let stranger = home.person("mallory").await;
    assert!(matches!(changes::get(&stranger, set.change_set_id).await, Err(Error::NotFound(_))));
}

async fn what_moved_on_is_a_conflict_and_the_rest_applies(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let old = numbered();
    put(&ctx, project, "a.txt", &old).await;
    let new = old.replace("line 5\n", "five\n").replace("line 30\n", "thirty\n");
    let (_, set) = propose(&ctx, project, &[("a.txt", Some(new.as_bytes()))]).await;
    let theirs = old.replace("line 5\n", "somebody else's five\n").replace("line 50\n", "fifty\n");
    put(&ctx, project, "a.txt", &theirs).await;
    let all: Vec<_> = set.files[0].hunks.iter().map(|hunk| hunk.id).collect();
    let decided = changes::decide(&ctx, set.change_set_id, Decide { accept: all.clone(), ..Decide::default() }).await.unwrap();
    assert_eq!(decided.conflicts, [all[0]]);
    let expected = theirs.replace("line 30\n", "thirty\n");
    assert_eq!(bytes(&ctx, project, "a.txt").await.unwrap(), expected.as_bytes());
    let edit = Decide { reject: vec![all[0]], ..Decide::default() };
    let decided = changes::decide(&ctx, set.change_set_id, edit).await.unwrap();
    assert_eq!(decided.change_set.state, wire::changes::ChangeSetState::Decided);
}

async fn a_conflict_is_edited_to_fit(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let old = numbered();
    put(&ctx, project, "a.txt", &old).await;
    let new = old.replace("line 5\n", "five\nand a half\n").replace("line 30\n", "thirty\n").replace("line 55\n", "fifty-five\n");
    let (_, set) = propose(&ctx, project, &[("a.txt", Some(new.as_bytes())), ("b.txt", Some(b"ours\n".as_slice()))]).await;
    let id = set.change_set_id;
    let hunks: Vec<_> = set.files[0].hunks.iter().map(|hunk| hunk.id).collect();
    let added = set.files[1].hunks[0].id;
    let theirs = format!("first\n{old}").replace("line 30\n", "somebody else's thirty\n");
    put(&ctx, project, "a.txt", &theirs).await;
    put(&ctx, project, "b.txt", "theirs\n").await;
    let accept = vec![hunks[0], hunks[1], added];
    let decided = changes::decide(&ctx, id, Decide { accept, ..Decide::default() }).await.unwrap();
    assert_eq!(decided.conflicts, [hunks[1], added]);
    assert!(decided.change_set.files[0].hunks.iter().all(|hunk| hunk.now.is_some() == (hunk.state == HunkState::Conflict)));
    let hunk = decided.change_set.files[0].hunks[1].clone();
    let gap = hunk.now.clone().unwrap();
    // One line came above by somebody else, one by the hunk that was applied in the same go.
    assert_eq!((gap.path.as_str(), gap.first_line), ("a.txt", 29));
    assert_eq!(gap.text, hunk.old_text().replace("line 30\n", "somebody else's thirty\n"));

    // Without what was seen, and with what is no longer there, nothing is written.
    let edited = hunk.new_text().replace("thirty\n", "thirty, ours and theirs\n");
    let edit = Decide { edits: [(hunk.id, edited.clone())].into(), ..Decide::default() };
    let decided = changes::decide(&ctx, id, edit.clone()).await.unwrap();
    assert_eq!((decided.conflicts, decided.written), (vec![hunk.id], vec![]));
    let before = theirs.replace("line 5\n", "five\nand a half\n");
    let later = before.replace("somebody else's thirty\n", "somebody else's thirty\nand one more\n");
    put(&ctx, project, "a.txt", &later).await;
    let fit = Decide { seen: [(hunk.id, gap.text.clone())].into(), ..edit };
    let decided = changes::decide(&ctx, id, fit.clone()).await.unwrap();
    assert_eq!((decided.conflicts, decided.written), (vec![hunk.id], vec![]));
    assert_eq!(bytes(&ctx, project, "a.txt").await.unwrap(), later.as_bytes());
    let found = &decided.change_set.files[0].hunks[1];
    assert_eq!(found.edited_text.as_deref(), Some(&*edited), "what was wanted is kept");
    let gap = found.now.clone().unwrap();
    assert_eq!(gap.text, hunk.old_text().replace("line 30\n", "somebody else's thirty\nand one more\n"));

    // What is seen is replaced by exactly the text, beside a hunk that fits. A file that somebody else made is replaced whole.
    let edits = [(hunk.id, edited.clone()), (added, "both\n".to_owned())].into();
    let seen = [(hunk.id, gap.text.clone()), (added, "theirs\n".to_owned())].into();
    let decided = changes::decide(&ctx, id, Decide { accept: vec![hunks[2]], edits, seen, ..Decide::default() }).await.unwrap();
    assert_eq!(decided.conflicts, []);
    assert_eq!(decided.change_set.state, wire::changes::ChangeSetState::Decided);
    let expected = later.replace(&gap.text, &edited).replace("line 55\n", "fifty-five\n");
    assert_eq!(String::from_utf8(bytes(&ctx, project, "a.txt").await.unwrap()).unwrap(), expected);
    assert_eq!(bytes(&ctx, project, "b.txt").await.unwrap(), b"both\n");
    let states: Vec<_> = decided.change_set.files[0].hunks.iter().map(|hunk| (hunk.state, hunk.now.is_some())).collect();
    assert_eq!(states, [(HunkState::Accepted, false), (HunkState::Edited, false), (HunkState::Accepted, false)]);
    let stray = Decide { edits: Default::default(), ..fit };
    assert!(matches!(changes::decide(&ctx, id, stray).await, Err(Error::Invalid(_))));
}

/// Everybody decides every hunk at once: each is decided by exactly one of them.
async fn two_reviewers_never_decide_twice(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let old: String = (1..=200).map(|n| format!("line {n}\n")).collect();
    put(&ctx, project, "a.txt", &old).await;
    let new: String = (1..=200).map(|n| if n % 20 == 0 { format!("changed {n}\n") } else { format!("line {n}\n") }).collect();
    let (_, set) = propose(&ctx, project, &[("a.txt", Some(new.as_bytes()))]).await;
    let hunks: Vec<_> = set.files[0].hunks.iter().map(|hunk| hunk.id).collect();
    assert_eq!(hunks.len(), 10);
    let reviewers = (0..4).map(|reviewer| {
        let (ctx, hunks, id) = (ctx.clone(), hunks.clone(), set.change_set_id);
        tokio::spawn(async move {
            let mut own = 0;
            for hunk in hunks {
                let request = if reviewer % 2 == 0 {
                    Decide { accept: vec![hunk], ..Decide::default() }
                } else {
                    Decide { reject: vec![hunk], ..Decide::default() }
                };
                match changes::decide(&ctx, id, request).await {
                    Ok(decided) => {
                        assert_eq!(decided.conflicts, []);
                        own += 1;
                    }
                    Err(Error::Conflict { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            own
        })
    });
    let counts: Vec<usize> = futures::future::join_all(reviewers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(counts.iter().sum::<usize>(), 10, "{counts:?}");
    let set = changes::get(&ctx, set.change_set_id).await.unwrap();
    let mut expected = old;
    for (n, hunk) in set.files[0].hunks.iter().enumerate() {
        if hunk.state == HunkState::Accepted {
            let line = (n + 1) * 20;
            expected = expected.replace(&format!("line {line}\n"), &format!("changed {line}\n"));
        }
    }
    assert_eq!(bytes(&ctx, project, "a.txt").await.unwrap(), expected.as_bytes());
}

/// Random files, random changes, random decisions in random rounds: the bytes are those of the accepted and edited hunks.
async fn random_decisions_leave_the_expected_bytes(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for round in 0..25 {
        let path = format!("{round}.txt");
        let ending = if next(2) == 0 { "\n" } else { "\r\n" };
        let old: Vec<String> = (0..next(80)).map(|_| format!("{}{ending}", ["alpha", "beta", "", "gamma ü"][next(4) as usize])).collect();
        let mut new = old.clone();
        for _ in 0..=next(6) {
            let at = next(new.len() as u64 + 1) as usize;
            match next(3) {
                0 => new.insert(at, format!("inserted {}{ending}", next(100))),
                1 if at < new.len() => drop(new.remove(at)),
                _ if at < new.len() => new[at] = format!("replaced {}{ending}", next(100)),
                _ => {}
            }
        }
        if old == new || old.is_empty() {
            continue;
        }
        put(&ctx, project, &path, &old.concat()).await;
        let (_, set) = propose(&ctx, project, &[(&path, Some(new.concat().as_bytes()))]).await;
        // What stands where each hunk's old side stood; built here from line numbers, not by the code under test.
        let mut expected = old.clone();
        let mut rounds: Vec<Decide> = Vec::new();
        for hunk in set.files[0].hunks.iter().rev() {
            let mut request = Decide::default();
            let lines = hunk.new_text();
            let replacement = match next(3) {
                0 => {
                    request.reject.push(hunk.id);
                    None
                }
                1 => {
                    request.accept.push(hunk.id);
                    Some(lines)
                }
                _ => {
                    let text = format!("{lines}edited{ending}");
                    request.edits.insert(hunk.id, text.clone());
                    Some(text)
                }
            };
            if let Some(text) = replacement {
                let start = if hunk.old_lines == 0 { hunk.old_start } else { hunk.old_start - 1 } as usize;
                expected.splice(start..start + hunk.old_lines as usize, text.split_inclusive('\n').map(str::to_owned));
            }
            let at = next(rounds.len() as u64 + 1) as usize;
            rounds.insert(at, request);
        }
        for request in rounds {
            let decided = changes::decide(&ctx, set.change_set_id, request).await.unwrap();
            assert_eq!(decided.conflicts, [], "in round {round}");
        }
        let found = String::from_utf8(bytes(&ctx, project, &path).await.unwrap()).unwrap();
        assert_eq!(found, expected.concat(), "in round {round}");
    }
}

async fn added_deleted_and_binary_files(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    put(&ctx, project, "gone.txt", "bye\n").await;
    put(&ctx, project, "kept.txt", "stay\n").await;
    let proposal: [(&str, Option<&[u8]>); 5] = [
        ("new.txt", Some(b"hello\nworld")),
        ("gone.txt", None),
        ("kept.txt", None),
        ("image.bin", Some(&[0, 1, 2, 255])),
        ("empty", Some(b"")),
    ];
    let (_, set) = propose(&ctx, project, &proposal).await;
    let hunk = |path: &str| set.files.iter().find(|file| file.path == path).unwrap().hunks[0].id;
    // Somebody changes a file that shall be deleted: it stays.
    put(&ctx, project, "kept.txt", "stay, please\n").await;
    let accept = vec![hunk("new.txt"), hunk("gone.txt"), hunk("kept.txt"), hunk("image.bin"), hunk("empty")];
    let kept = hunk("kept.txt");
    let decided = changes::decide(&ctx, set.change_set_id, Decide { accept, ..Decide::default() }).await.unwrap();
    assert_eq!(decided.conflicts, [kept]);
    assert_eq!(bytes(&ctx, project, "new.txt").await.unwrap(), b"hello\nworld");
    assert_eq!(bytes(&ctx, project, "gone.txt").await, None);
    assert_eq!(bytes(&ctx, project, "kept.txt").await.unwrap(), b"stay, please\n");
    assert_eq!(bytes(&ctx, project, "image.bin").await.unwrap(), [0, 1, 2, 255]);
    assert_eq!(bytes(&ctx, project, "empty").await.unwrap(), b"");
    let totals = domain::projects::get(&ctx, project).await.unwrap();
    assert_eq!((totals.file_count, totals.size_bytes), (4, 11 + 13 + 4));
}

async fn links_are_decided_as_a_whole(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    put(&ctx, project, "a.txt", "one\n").await;
    let link = async |path: &str, old: Option<(String, i32)>, to: &str, is_retyped: bool| {
        let stored = ctx.services().storage.local.put_bytes(to.as_bytes().to_vec()).await.unwrap();
        let new = Some((stored.sha256, 0o644));
        changes::ProposedFile { path: path.to_owned(), kind: EntryKind::Symlink, is_retyped, old, new, new_size: stored.size }
    };
    let open = async |proposed: Vec<changes::ProposedFile>| {
        let turn = turn(&ctx, project).await;
        let revision = domain::projects::get(&ctx, project).await.unwrap().revision;
        let set = changes::create(&ctx, turn, revision, proposed).await.unwrap().unwrap();
        chat::finish_turn(&ctx, turn, TurnReason::Done, "").await.unwrap();
        set
    };
    let accept = async |set: &ChangeSet| {
        let accept = set.files.iter().flat_map(|file| &file.hunks).map(|hunk| hunk.id).collect();
        changes::decide(&ctx, set.change_set_id, Decide { accept, ..Decide::default() }).await.unwrap()
    };
    let kind = async |path: &str| files::entry(&ctx, project, path).await.unwrap().kind;

    let was = files::entry(&ctx, project, "a.txt").await.unwrap();
    let set =
        open(vec![link("a.txt", Some((was.checksum, was.mode)), "b.txt", true).await, link("out", None, "/etc/passwd", false).await]).await;
    let out = set.files.iter().find(|file| file.path == "out").unwrap();
    assert!(out.link && out.hunks.len() == 1 && out.hunks[0].diff.contains("+/etc/passwd"), "{out:?}");
    let edits = [(out.hunks[0].id, "elsewhere\n".to_owned())].into();
    let edited = changes::decide(&ctx, set.change_set_id, Decide { edits, ..Decide::default() }).await;
    assert!(matches!(edited, Err(Error::Invalid(_))), "{edited:?}");
    assert_eq!(accept(&set).await.conflicts, []);
    assert_eq!((kind("a.txt").await, kind("out").await), (EntryKind::Symlink, EntryKind::Symlink));
    assert_eq!(bytes(&ctx, project, "a.txt").await.unwrap(), b"b.txt");

    // It leads elsewhere; then it is gone.
    let was = files::entry(&ctx, project, "out").await.unwrap();
    let set = open(vec![link("out", Some((was.checksum, was.mode)), "a.txt", false).await]).await;
    assert_eq!(accept(&set).await.conflicts, []);
    assert_eq!((kind("out").await, bytes(&ctx, project, "out").await.unwrap()), (EntryKind::Symlink, b"a.txt".to_vec()));
    let was = files::entry(&ctx, project, "out").await.unwrap();
    let gone = changes::ProposedFile { new: None, new_size: 0, ..link("out", Some((was.checksum, was.mode)), "x", false).await };
    let set = open(vec![gone]).await;
    assert_eq!(accept(&set).await.conflicts, []);
    assert!(bytes(&ctx, project, "out").await.is_none());
}

async fn directories_are_decided_as_a_whole(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    files::create_directory(&ctx, project, "old").await.unwrap();
    put(&ctx, project, "file", "x").await;
    let directory = |path: &str, is_deletion: bool| changes::ProposedFile::directory(path.to_owned(), is_deletion);
    let turn = turn(&ctx, project).await;
    let revision = domain::projects::get(&ctx, project).await.unwrap().revision;
    let proposed = vec![directory("new/empty", false), directory("old", true), directory("refused", false), directory("taken", false)];
    let set = changes::create(&ctx, turn, revision, proposed).await.unwrap().unwrap();
    chat::finish_turn(&ctx, turn, TurnReason::Done, "").await.unwrap();
    assert!(set.files.iter().all(|file| file.directory && !file.binary && file.hunks.len() == 1), "{set:?}");
    let hunk = |path: &str| set.files.iter().find(|file| file.path == path).unwrap().hunks[0].id;
    // Somebody else puts a file where one of them was to be.
    put(&ctx, project, "taken", "theirs").await;
    let accept = ["new/empty", "old", "taken"].map(hunk).to_vec();
    let reject = vec![hunk("refused")];
    let decided = changes::decide(&ctx, set.change_set_id, Decide { accept, reject, ..Decide::default() }).await.unwrap();
    assert_eq!(decided.conflicts, [hunk("taken")]);
    let tree = files::tree(&ctx, project).await.unwrap().items;
    let there: Vec<_> = tree.into_iter().map(|entry| (entry.path, entry.kind)).collect();
    let expected =
        [("file", EntryKind::File), ("new", EntryKind::Directory), ("new/empty", EntryKind::Directory), ("taken", EntryKind::File)];
    assert_eq!(there, expected.map(|(path, kind)| (path.to_owned(), kind)));
}
