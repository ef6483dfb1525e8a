//! What people decide is what the project then holds, to the byte, and the model is told every decision with what was proposed.

mod random;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use domain::{Ctx, Error, changes, chat, context::describe_review, files, members};
use random::random_decisions_of_two_people;
use support::Home;
use wire::{
    ChangeSetId, HunkId, ProjectId, TurnId,
    changes::{ChangeSet, ChangeSetState, Decide, HunkState},
    chat::{CreateConversation, MessageBody, Queued, StartTurn, TurnReason},
    files::EntryKind,
    members::Invite,
    projects::ProjectRole,
};

on_both!(
    random_decisions_of_two_people,
    moves_are_decided_as_one,
    lines_of_one_hunk,
    what_can_not_have_its_name_is_a_conflict,
    comments_become_a_prompt,
    comments_wait_for_a_turn_at_work,
    open_sets_are_listed
);

/// A file before and after the turn.
struct Case {
    path: String,
    old_path: Option<String>,
    old: Option<(Vec<u8>, i32)>,
    new: Option<(Vec<u8>, i32)>,
}

async fn put(ctx: &Ctx, project: ProjectId, path: &str, bytes: &[u8]) {
    let body = Box::pin(std::io::Cursor::new(bytes.to_vec()));
    let base = files::entry(ctx, project, path).await.map_or(files::Precondition::New, |entry| files::Precondition::Version(entry.version));
    files::put(ctx, project, path, base, body, Some(0o644)).await.unwrap();
}

async fn found(ctx: &Ctx, project: ProjectId, path: &str) -> Option<(Vec<u8>, i32)> {
    let entry = files::entry(ctx, project, path).await.ok()?;
    Some((ctx.services().storage.local.read_all(&entry.checksum, 1 << 24).await.unwrap(), entry.mode))
}

/// Bytes and mode.
type Side = Option<(Vec<u8>, i32)>;

/// A change set as a turn would leave it: a move is a deletion and an addition to it.
async fn propose(ctx: &Ctx, project: ProjectId, cases: &[Case]) -> (TurnId, ChangeSet) {
    let conversation = chat::create_conversation(ctx, project, CreateConversation::default()).await.unwrap();
    let turn =
        chat::start_turn(ctx, conversation.id, StartTurn { prompt: "change it".into(), ..StartTurn::default() }).await.unwrap().turn_id;
    let mut sides: BTreeMap<String, (Side, Side)> = BTreeMap::new();
    for case in cases {
        sides.entry(case.old_path.clone().unwrap_or_else(|| case.path.clone())).or_default().0 = case.old.clone();
        sides.entry(case.path.clone()).or_default().1 = case.new.clone();
    }
    let mut proposed = Vec::new();
    for (path, (old, new)) in sides {
        let mut new_size = 0;
        let mut stored = Vec::new();
        for side in [old, new] {
            stored.push(match side {
                Some((bytes, mode)) => {
                    let kept = ctx.services().storage.local.put_bytes(bytes).await.unwrap();
                    new_size = kept.size;
                    Some((kept.sha256, mode))
                }
                None => None,
            });
        }
        let (new, old) = (stored.pop().unwrap(), stored.pop().unwrap());
        proposed.push(changes::ProposedFile { path, kind: EntryKind::File, is_retyped: false, old, new, new_size });
    }
    let revision = domain::projects::get(ctx, project).await.unwrap().revision;
    let set = changes::create(ctx, turn, revision, proposed).await.unwrap().unwrap();
    chat::finish_turn(ctx, turn, TurnReason::Done, "").await.unwrap();
    (turn, set)
}

/// The parts of what the model's next request says about the decisions of a turn, one a hunk.
async fn told_about(ctx: &Ctx, turn: TurnId) -> Vec<String> {
    let conversation = chat::get_turn(ctx, turn).await.unwrap().conversation_id;
    let mut parts = Vec::new();
    for message in chat::messages(ctx, conversation).await.unwrap() {
        if let MessageBody::Decision { hunks, .. } = message.body {
            let text = describe_review(&hunks);
            let mut starts: Vec<usize> = (1..=hunks.len()).map(|n| text.find(&format!("\n{n}. ")).unwrap()).collect();
            starts.push(text.len());
            parts.extend(starts.windows(2).map(|ends| text[ends[0]..ends[1]].to_owned()));
        }
    }
    parts
}

fn numbered(prefix: &str) -> String {
    (1..=40).map(|n| format!("{prefix} {n}\n")).collect()
}

fn moved(from: &str, to: &str, old: &str, new: &str) -> Case {
    let side = |text: &str| Some((text.as_bytes().to_vec(), 0o644));
    Case { path: to.into(), old_path: Some(from.into()), old: side(old), new: side(new) }
}

async fn moves_are_decided_as_one(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let (one, two, three) = (numbered("one"), numbered("two"), numbered("three"));
    for (path, text) in [("one.txt", &one), ("two.txt", &two), ("Three.txt", &three)] {
        put(&ctx, project, path, text.as_bytes()).await;
    }
    let changed = two.replace("two 5\n", "two five\n").replace("two 30\n", "two thirty\n");
    let cases = [
        moved("one.txt", "lib/one.txt", &one, &one),
        moved("two.txt", "lib/zwei.txt", &two, &changed),
        moved("Three.txt", "three.txt", &three, &three),
    ];
    let (turn, set) = propose(&ctx, project, &cases).await;
    let hunks = |path: &str| set.files.iter().find(|file| file.path == path).unwrap().hunks.iter().map(|hunk| hunk.id).collect::<Vec<_>>();
    let (one_move, two_hunks, three_move) = (hunks("lib/one.txt"), hunks("lib/zwei.txt"), hunks("three.txt"));
    assert_eq!((set.files.len(), one_move.len(), two_hunks.len()), (3, 1, 3));
    let decide = |accept: Vec<HunkId>| changes::decide(&ctx, set.change_set_id, Decide { accept, ..Decide::default() });
    // A change of the text may be taken before the move: it goes to where the file is.
    let decided = decide(vec![two_hunks[1]]).await.unwrap();
    assert_eq!((decided.written, decided.conflicts), (vec!["two.txt".to_owned()], vec![]));
    assert_eq!(found(&ctx, project, "two.txt").await.unwrap().0, two.replace("two 5\n", "two five\n").as_bytes());
    // Somebody writes into a file that shall move: what they wrote moves along.
    put(&ctx, project, "one.txt", format!("{one}more\n").as_bytes()).await;
    let decided = decide(vec![one_move[0], two_hunks[0], three_move[0]]).await.unwrap();
    assert_eq!((decided.written.len(), decided.conflicts.len()), (3, 0));
    assert_eq!(found(&ctx, project, "lib/one.txt").await.unwrap().0, format!("{one}more\n").as_bytes());
    assert!(found(&ctx, project, "one.txt").await.is_none() && found(&ctx, project, "Three.txt").await.is_none());
    assert_eq!(
        found(&ctx, project, "three.txt").await.unwrap().0,
        three.as_bytes(),
        "a name may differ only in case from the one it leaves"
    );
    decide(vec![two_hunks[2]]).await.unwrap();
    assert_eq!(found(&ctx, project, "lib/zwei.txt").await.unwrap().0, changed.as_bytes());
    let told = told_about(&ctx, turn).await.concat();
    assert!(told.contains("lib/one.txt, moving it from one.txt: accepted as proposed"), "{told}");
    assert!(told.contains("lib/zwei.txt (from two.txt), line 2: accepted as proposed"), "{told}");

    // Where the new name is taken meanwhile, the move does not fit and nothing is lost.
    let (_, set) = propose(&ctx, project, &[moved("lib/one.txt", "eins.txt", &format!("{one}more\n"), &format!("{one}more\n"))]).await;
    put(&ctx, project, "eins.txt", b"mine\n").await;
    let id = set.files[0].hunks[0].id;
    let decided = changes::decide(&ctx, set.change_set_id, Decide { accept: vec![id], ..Decide::default() }).await.unwrap();
    assert_eq!((decided.written, decided.conflicts), (vec![], vec![id]));
    assert_eq!(found(&ctx, project, "eins.txt").await.unwrap().0, b"mine\n");
    assert!(found(&ctx, project, "lib/one.txt").await.is_some());
}

async fn lines_of_one_hunk(home: Home) {
    let ada = home.person("ada").await;
    let ben = home.person("ben").await;
    let project = home.project(&ada).await.id;
    members::invite(&ada, project, Invite { who: "ben".to_owned(), role: ProjectRole::Reviewer }).await.unwrap();
    let old = "a\r\nb\r\nc\r\n";
    put(&ada, project, "a.txt", old.as_bytes()).await;
    let side = |text: &str| Some((text.as_bytes().to_vec(), 0o644));
    let case = |new: &str| [Case { path: "a.txt".into(), old_path: None, old: side(old), new: side(new) }];
    let (turn, set) = propose(&ada, project, &case("a\r\nB\r\nnew\r\nc\r\nd")).await;
    let hunk = &set.files[0].hunks[0];
    // " a", "-b", "+B", "+new", " c", "+d".
    assert_eq!(hunk.changed_lines(), BTreeSet::from([1, 2, 3, 5]));
    let lines = |lines: Vec<u32>| Decide { lines: [(hunk.id, lines)].into(), ..Decide::default() };
    for wrong in [vec![0], vec![4], vec![1, 9]] {
        assert!(matches!(changes::decide(&ada, set.change_set_id, lines(wrong)).await, Err(Error::Invalid(_))));
    }
    // A reviewer writes nothing of their own by leaving lines out.
    let decided = changes::decide(&ben, set.change_set_id, lines(vec![3, 5])).await.unwrap();
    let hunk = &decided.change_set.files[0].hunks[0];
    assert_eq!((hunk.state, hunk.edited_text.as_deref()), (HunkState::Edited, Some("a\r\nb\r\nnew\r\nc\r\nd")));
    assert_eq!(found(&ada, project, "a.txt").await.unwrap().0, b"a\r\nb\r\nnew\r\nc\r\nd");
    let told = told_about(&ada, turn).await;
    assert!(told[0].contains("edited;") && told[0].contains("The person wrote instead:\n```\na\r\nb\r\nnew"), "{told:?}");
    // All lines are plain acceptance, none a rejection.
    for (taken, state) in [(vec![], HunkState::Rejected), (vec![0, 1], HunkState::Accepted)] {
        put(&ada, project, "b.txt", b"x\n").await;
        let (_, set) = propose(&ada, project, &[Case { path: "b.txt".into(), old_path: None, old: side("x\n"), new: side("y\n") }]).await;
        let id = set.files[0].hunks[0].id;
        let decided = changes::decide(&ada, set.change_set_id, Decide { lines: [(id, taken)].into(), ..Decide::default() }).await.unwrap();
        assert_eq!(decided.change_set.files[0].hunks[0].state, state);
    }
}

/// A name that others took in another spelling: that file is a conflict, the rest is applied.
async fn what_can_not_have_its_name_is_a_conflict(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let side = |text: &str| Some((text.as_bytes().to_vec(), 0o644));
    let add = |path: &str| Case { path: path.into(), old_path: None, old: None, new: side(&format!("of {path}\n")) };
    let (_, set) = propose(&ctx, project, &[add("docs/readme.md"), add("a.txt"), add("src/deep/b.txt")]).await;
    put(&ctx, project, "docs/README.md", b"theirs\n").await;
    put(&ctx, project, "src/deep", b"a file where a directory would be\n").await;
    let accept: Vec<HunkId> = set.files.iter().flat_map(|file| &file.hunks).map(|hunk| hunk.id).collect();
    let decided = changes::decide(&ctx, set.change_set_id, Decide { accept, ..Decide::default() }).await.unwrap();
    assert_eq!(decided.written, ["a.txt"]);
    let states: BTreeMap<&str, HunkState> = decided.change_set.files.iter().map(|file| (file.path.as_str(), file.hunks[0].state)).collect();
    assert_eq!(
        states,
        BTreeMap::from([("a.txt", HunkState::Accepted), ("docs/readme.md", HunkState::Conflict), ("src/deep/b.txt", HunkState::Conflict)])
    );
    assert_eq!(decided.change_set.state, ChangeSetState::Open);
}

async fn comments_become_a_prompt(home: Home) {
    let ada = home.person("ada").await;
    let ben = home.person("ben").await;
    let project = home.project(&ada).await.id;
    members::invite(&ada, project, Invite { who: "ben".to_owned(), role: ProjectRole::Reviewer }).await.unwrap();
    let old = numbered("line");
    put(&ada, project, "a.txt", old.as_bytes()).await;
    let side = |text: &str| Some((text.as_bytes().to_vec(), 0o644));
    let new = old.replace("line 5\n", "five\n").replace("line 30\n", "thirty\n");
    let (turn, set) = propose(&ada, project, &[Case { path: "a.txt".into(), old_path: None, old: side(&old), new: side(&new) }]).await;
    let [first, second] = [set.files[0].hunks[0].id, set.files[0].hunks[1].id];
    let say = |hunk_id, text: &str| wire::changes::AddComment { hunk_id, text: text.to_owned() };
    assert!(matches!(changes::comment(&ben, set.change_set_id, say(first, "  ")).await, Err(Error::Invalid(_))));
    assert!(matches!(changes::comment(&ben, set.change_set_id, say(HunkId(set.change_set_id.0), "x")).await, Err(Error::NotFound(_))));
    changes::comment(&ben, set.change_set_id, say(second, "why thirty?")).await.unwrap();
    changes::comment(&ada, set.change_set_id, say(first, "spell it 5")).await.unwrap();
    let stray = changes::comment(&ada, set.change_set_id, say(first, "never mind")).await.unwrap();
    assert!(matches!(changes::remove_comment(&ben, stray.id).await, Err(Error::Forbidden(_) | Error::NotFound(_))), "not one's own");
    changes::remove_comment(&ada, stray.id).await.unwrap();
    assert_eq!(changes::get(&ben, set.change_set_id).await.unwrap().comments.len(), 2);
    assert!(changes::send_comments(&ben, set.change_set_id).await.is_err(), "a reviewer gives the agent no work");
    let Queued::Started { turn_id } = changes::send_comments(&ada, set.change_set_id).await.unwrap() else { panic!("it waits") };
    let next = chat::get_turn(&ada, turn_id).await.unwrap();
    assert_eq!(next.conversation_id, chat::get_turn(&ada, turn).await.unwrap().conversation_id);
    let messages = chat::messages(&ada, next.conversation_id).await.unwrap();
    let Some(MessageBody::User { text, .. }) = messages.last().map(|message| &message.body) else { panic!("no prompt") };
    for wanted in ["a.txt, line 2 (not decided yet", "+five", "ada: spell it 5", "+thirty", "ben: why thirty?"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(text.find("spell it 5") < text.find("why thirty?") && !text.contains("never mind"));
    assert!(matches!(changes::send_comments(&ada, set.change_set_id).await, Err(Error::Conflict { .. })), "sent once");
}

async fn comments_wait_for_a_turn_at_work(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let side = Some((b"x\n".to_vec(), 0o644));
    let (turn, set) = propose(&ada, project, &[Case { path: "a.txt".into(), old_path: None, old: None, new: side }]).await;
    let (id, hunk_id) = (set.change_set_id, set.files[0].hunks[0].id);
    let proposed = chat::get_turn(&ada, turn).await.unwrap();
    let ask = |prompt: String| StartTurn { prompt, ..StartTurn::default() };
    let working = chat::start_turn(&ada, proposed.conversation_id, ask("meanwhile".to_owned())).await.unwrap().turn_id;
    let say = |text: &str| wire::changes::AddComment { hunk_id, text: text.to_owned() };
    changes::comment(&ada, id, say("name it")).await.unwrap();
    let (one, other) = tokio::join!(changes::send_comments(&ada, id), changes::send_comments(&ada, id));
    let (sent, refused): (Vec<_>, Vec<_>) = [one, other].into_iter().partition(Result::is_ok);
    assert!(matches!(refused[..], [Err(Error::Conflict { .. })]), "sent once");
    let [Ok(Queued::Waiting { prompt: waiting })] = &sent[..] else { panic!("it began") };
    assert_eq!((waiting.conversation_id, waiting.request.mode), (proposed.conversation_id, proposed.mode));
    assert_eq!(waiting.request.model.as_deref(), Some(proposed.model.as_str()));
    assert!(waiting.request.prompt.contains("ada: name it"), "what waits shows what was said");
    assert!(unsent(&ada, id).await.is_empty());
    // It begins when the turn ends, and the queue takes the next ones until it is full.
    chat::finish_turn(&ada, working, TurnReason::Done, "").await.unwrap();
    let messages = chat::messages(&ada, proposed.conversation_id).await.unwrap();
    let Some(MessageBody::User { text, .. }) = messages.last().map(|message| &message.body) else { panic!("no prompt") };
    assert_eq!(*text, waiting.request.prompt);
    let mut queued = Vec::new();
    for n in 1..=20 {
        match chat::enqueue(&ada, proposed.conversation_id, ask(n.to_string())).await.unwrap() {
            Queued::Waiting { prompt } => queued.push(prompt.id),
            Queued::Started { .. } => panic!("it began"),
        }
    }
    changes::comment(&ada, id, say("and another")).await.unwrap();
    assert!(matches!(changes::send_comments(&ada, id).await, Err(Error::Conflict { .. })), "no more than can wait");
    assert_eq!(unsent(&ada, id).await, ["and another"], "what was not queued is not sent");
    chat::remove_queued(&ada, queued[0], None).await.unwrap();
    let Queued::Waiting { prompt } = changes::send_comments(&ada, id).await.unwrap() else { panic!("it began") };
    assert!(prompt.request.prompt.contains("ada: and another") && !prompt.request.prompt.contains("name it"));
    assert!(unsent(&ada, id).await.is_empty());
}

/// The comments that are not sent yet.
async fn unsent(ctx: &Ctx, id: ChangeSetId) -> Vec<String> {
    let comments = changes::get(ctx, id).await.unwrap().comments;
    comments.into_iter().filter(|comment| comment.sent_at.is_none()).map(|comment| comment.text).collect()
}

async fn open_sets_are_listed(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    assert!(changes::open(&ctx, project).await.unwrap().is_empty());
    let side = |text: &str| Some((text.as_bytes().to_vec(), 0o644));
    let add = |path: &str| Case { path: path.into(), old_path: None, old: None, new: side("x\n") };
    let (turn, set) = propose(&ctx, project, &[add("a"), add("b")]).await;
    let listed = changes::open(&ctx, project).await.unwrap();
    assert_eq!(listed.iter().map(|set| (set.turn_id, set.files, set.open_hunks)).collect::<Vec<_>>(), [(Some(turn), 2, 2)]);
    let sides = changes::sides(&ctx, set.change_set_id, "a").await.unwrap();
    assert_eq!((sides.old.as_deref(), sides.new.as_deref()), (Some(""), Some("x\n")));
    assert!(matches!(changes::sides(&ctx, set.change_set_id, "c").await, Err(Error::NotFound(_))));
    let reject: Vec<HunkId> = set.files.iter().flat_map(|file| &file.hunks).map(|hunk| hunk.id).collect();
    changes::decide(&ctx, set.change_set_id, Decide { reject, ..Decide::default() }).await.unwrap();
    assert!(changes::open(&ctx, project).await.unwrap().is_empty());
    let stranger = home.person("mallory").await;
    assert!(matches!(changes::open(&stranger, project).await, Err(Error::NotFound(_))));
    assert!(matches!(changes::sides(&stranger, set.change_set_id, "a").await, Err(Error::NotFound(_))));
}
