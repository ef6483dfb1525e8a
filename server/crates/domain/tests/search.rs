//! A search finds what is there now and says what it left out; a replacement writes nothing but a change set.

mod support;

use domain::{Ctx, Error, changes, files, search};
use futures::StreamExt;
use support::Home;
use wire::{
    ProjectId,
    changes::{ChangeOrigin, ChangeSetState, Decide, HunkState, ReviewKey},
    files::{Base, Origin, SaveText},
    search::{LeftOut, OutlineOf, Replace, SearchItem, SearchMatch, SearchQuery, SearchSummary},
};

on_both!(
    finds_lines_in_the_order_of_paths,
    caps_are_told,
    dropping_a_search_ends_it,
    wrong_searches_are_refused_with_their_place,
    replacing_is_a_review,
    what_cannot_be_replaced_is_told,
    outlines_follow_the_file_or_the_text
);

async fn put(ctx: &Ctx, project: ProjectId, path: &str, text: &str) {
    let base = files::entry(ctx, project, path).await.map_or(Base::New, |entry| Base::Version(entry.version));
    let save = SaveText { path: path.to_owned(), base, text: text.to_owned(), format: Default::default() };
    let saved = files::save_text(ctx, project, save).await.unwrap();
    assert!(matches!(saved, wire::files::SaveOutcome::Saved { .. }));
}

async fn put_bytes(ctx: &Ctx, project: ProjectId, path: &str, bytes: Vec<u8>) {
    let body: blobs::Reader = Box::pin(std::io::Cursor::new(bytes));
    files::put(ctx, project, path, files::Precondition::New, body, None).await.unwrap();
}

async fn text(ctx: &Ctx, project: ProjectId, path: &str) -> String {
    files::open_text(ctx, project, path, None).await.unwrap().text.unwrap()
}

fn query(q: &str) -> SearchQuery {
    SearchQuery { q: q.to_owned(), ..SearchQuery::default() }
}

async fn find(ctx: &Ctx, project: ProjectId, query: SearchQuery) -> (Vec<SearchMatch>, SearchSummary) {
    let items: Vec<SearchItem> = search::search(ctx, project, query).await.unwrap().collect().await;
    let mut matches = Vec::new();
    let mut summary = None;
    for item in items {
        assert!(summary.is_none(), "nothing follows the end");
        match item {
            SearchItem::Match(found) => matches.push(found),
            SearchItem::Progress { .. } => {}
            SearchItem::Done(done) => summary = Some(done),
            SearchItem::Failed { problem } => panic!("{problem}"),
        }
    }
    (matches, summary.unwrap())
}

fn places(matches: &[SearchMatch]) -> Vec<(&str, u32)> {
    matches.iter().map(|found| (found.path.as_str(), found.line)).collect()
}

async fn finds_lines_in_the_order_of_paths(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    put(&ctx, project, "src/b.rs", "one\r\nTwo words\r\nthree\r\n").await;
    put(&ctx, project, "a.txt", "two\n\ntwofold").await;
    put(&ctx, project, "gone.txt", "two\n").await;
    files::delete(&ctx, project, "gone.txt", support::AS_IT_IS).await.unwrap();
    put_bytes(&ctx, project, "z.bin", b"two\0two".to_vec()).await;
    let utf16: Vec<u8> = "\u{feff}ein two\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    put_bytes(&ctx, project, "wide.txt", utf16).await;
    put_bytes(&ctx, project, "latin.txt", b"caf\xe9 two".to_vec()).await;

    let (found, done) = find(&ctx, project, query("two")).await;
    assert_eq!(places(&found), [("a.txt", 1), ("a.txt", 3), ("latin.txt", 1), ("src/b.rs", 2), ("wide.txt", 1)]);
    assert_eq!((found[3].text.as_str(), found[3].ranges.as_slice(), found[3].column), ("Two words", [(0, 3)].as_slice(), 1));
    assert_eq!((found[2].text.as_str(), found[2].column), ("caf\u{fffd} two", 6));
    assert_eq!((done.files, done.lines, done.searched, done.notes.len()), (4, 5, 5, 0));

    let case = SearchQuery { case: true, word: true, ..query("two") };
    assert_eq!(places(&find(&ctx, project, case).await.0), [("a.txt", 1), ("latin.txt", 1), ("wide.txt", 1)]);
    let regex = SearchQuery { regex: true, include: "src, *.md".into(), context: 1, ..query(r"^t\w+ words$") };
    let (found, done) = find(&ctx, project, regex).await;
    assert_eq!((found[0].before.as_slice(), found[0].after.as_slice()), (["one".to_owned()].as_slice(), ["three".to_owned()].as_slice()));
    assert_eq!(done.searched, 1);
    let preview = SearchQuery { regex: true, replacement: Some("<$1>".into()), exclude: "src".into(), ..query("(t)wo") };
    let (found, _) = find(&ctx, project, preview).await;
    assert!(found.iter().all(|line| line.replaced == ["<t>"]) && found.len() == 4, "{found:?}");

    let stranger = home.person("bob").await;
    assert!(matches!(search::search(&stranger, project, query("two")).await.err(), Some(Error::NotFound(_))));
}

async fn caps_are_told(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    put(&ctx, project, "many.txt", &"x\n".repeat(1500)).await;
    put(&ctx, project, "other.txt", "x\n").await;
    let (found, done) = find(&ctx, project, query("x")).await;
    assert_eq!((found.len(), done.lines), (1001, 1001));
    assert_eq!(done.notes, ["Of 1 file only the first 1\u{2009}000 lines are shown."]);

    for n in 0..11 {
        put(&ctx, project, &format!("m{n}.txt"), &"x\n".repeat(1000)).await;
    }
    let (found, done) = find(&ctx, project, query("x")).await;
    assert_eq!((found.len(), done.lines), (10_000, 10_000));
    assert!(done.notes[0].starts_with("Only the first 10\u{2009}000 lines are shown."), "{:?}", done.notes);
}

/// Many more pages than are worked on at once: whoever goes early must not leave work behind.
async fn dropping_a_search_ends_it(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    for n in 0..300 {
        put(&ctx, project, &format!("f{n:03}.txt"), "needle\n").await;
    }
    for _ in 0..20 {
        let mut stream = Box::pin(search::search(&ctx, project, query("needle")).await.unwrap());
        let first = stream.next().await.unwrap();
        assert!(matches!(first, SearchItem::Match(found) if found.path == "f000.txt"));
    }
    // The threads are all free again.
    let (found, done) = find(&ctx, project, query("needle")).await;
    assert_eq!((found.len(), done.searched), (300, 300));
    assert!(found.is_sorted_by_key(|found| found.path.clone()));
}

async fn wrong_searches_are_refused_with_their_place(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    let refused = async |query: SearchQuery| match search::search(&ctx, project, query).await.err() {
        Some(Error::Invalid(fields)) => (fields[0].field.clone(), fields[0].message.clone()),
        other => panic!("{other:?}"),
    };
    let (field, message) = refused(SearchQuery { regex: true, ..query("ab[") }).await;
    assert!(field == "q" && message.contains("at character 3: unclosed character class"), "{message}");
    assert_eq!(refused(SearchQuery { include: "{".into(), ..query("a") }).await.0, "include");
    assert_eq!(refused(query("")).await.0, "q");
}

async fn replacing_is_a_review(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    put(&ctx, project, "a.txt", "old\nkeep\r\nold old\n").await;
    put(&ctx, project, "b/c.txt", "an old one").await;
    put(&ctx, project, "left.txt", "old\n").await;
    let request = Replace { search: SearchQuery { replacement: Some("new".into()), ..query("old") }, leave_out: vec!["left.txt".into()] };
    let made = search::replace(&ctx, project, request.clone()).await.unwrap();
    let set = made.change_set;
    assert_eq!((set.turn_id, set.origin, set.title.as_str()), (None, ChangeOrigin::Replace, "Replace “old” by “new”"));
    assert_eq!(set.review_key(), ReviewKey::Set(set.change_set_id));
    assert_eq!(set.created_by.as_ref().map(|by| by.id), ctx.user_id());
    assert_eq!(set.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a.txt", "b/c.txt"]);
    assert!(made.left_out.is_empty());
    assert_eq!(text(&ctx, project, "a.txt").await, "old\nkeep\r\nold old\n", "nothing is written before it is decided");
    assert_eq!(domain::projects::get(&ctx, project).await.unwrap().pending_reviews, 1);

    // Somebody changes one of the files meanwhile: what no longer fits is told, the rest is written.
    put(&ctx, project, "b/c.txt", "an odd one").await;
    let all: Vec<_> = set.files.iter().flat_map(|file| &file.hunks).map(|hunk| hunk.id).collect();
    let decided = changes::decide(&ctx, set.change_set_id, Decide { accept: all, ..Decide::default() }).await.unwrap();
    assert_eq!(decided.written, ["a.txt"]);
    assert_eq!(decided.change_set.files[1].hunks[0].state, HunkState::Conflict);
    assert_eq!(text(&ctx, project, "a.txt").await, "new\nkeep\r\nnew new\n");
    assert_eq!(text(&ctx, project, "b/c.txt").await, "an odd one");
    let history = files::history(&ctx, project, "a.txt", None).await.unwrap();
    assert_eq!(history.items[0].origin, Origin::Person, "a person replaced, not the agent");

    let rest = vec![decided.change_set.files[1].hunks[0].id];
    let decided = changes::decide(&ctx, set.change_set_id, Decide { reject: rest, ..Decide::default() }).await.unwrap();
    assert_eq!(decided.change_set.state, ChangeSetState::Decided);

    let again = search::replace(&ctx, project, request).await;
    assert!(matches!(again, Err(Error::Invalid(fields)) if fields[0].message.starts_with("Nothing in the project would change")));
    let stranger = home.person("bob").await;
    let theirs = Replace { search: SearchQuery { replacement: Some("x".into()), ..query("old") }, leave_out: vec![] };
    assert!(matches!(search::replace(&stranger, project, theirs).await, Err(Error::NotFound(_))));
    assert!(matches!(changes::get(&stranger, set.change_set_id).await, Err(Error::NotFound(_))));
}

async fn what_cannot_be_replaced_is_told(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    put(&ctx, project, "a.txt", "old\n").await;
    put_bytes(&ctx, project, "latin.txt", b"caf\xe9 old".to_vec()).await;
    put_bytes(&ctx, project, "bin", b"old\0".to_vec()).await;
    let request = |q: &str| Replace { search: SearchQuery { replacement: Some(String::new()), ..query(q) }, leave_out: vec![] };
    let made = search::replace(&ctx, project, request("old")).await.unwrap();
    assert_eq!(made.left_out, [LeftOut { path: "latin.txt".into(), reason: "is not UTF-8 text".into() }]);
    assert_eq!((made.change_set.files.len(), made.change_set.title.as_str()), (1, "Remove “old”"));
    let only = search::replace(&ctx, project, request("caf")).await;
    assert!(matches!(only, Err(Error::Invalid(fields)) if fields[0].message == "Nothing can be replaced: latin.txt is not UTF-8 text."));
    for n in 0..6 {
        put(&ctx, project, &format!("many{n}.txt"), &"x ".repeat(1000)).await;
    }
    let many = search::replace(&ctx, project, request("x")).await;
    assert!(matches!(many, Err(Error::Invalid(fields)) if fields[0].message.contains("More than 5\u{2009}000 matches")));
    let without = Replace { search: query("old"), leave_out: vec![] };
    assert!(matches!(search::replace(&ctx, project, without).await, Err(Error::Invalid(fields)) if fields[0].field == "replacement"));
}

async fn outlines_follow_the_file_or_the_text(home: Home) {
    let ctx = home.person("ada").await;
    let project = home.project(&ctx).await.id;
    put(&ctx, project, "a.py", "class A:\n    def f(self): pass\n").await;
    let of = |path: &str, text: Option<&str>| OutlineOf { path: path.to_owned(), text: text.map(str::to_owned) };
    let names = |outline: wire::search::Outline| outline.symbols.into_iter().map(|s| (s.name, s.level)).collect::<Vec<_>>();
    let stored = search::outline(&ctx, project, of("a.py", None)).await.unwrap();
    assert_eq!(names(stored), [("A".to_owned(), 0), ("f".to_owned(), 1)]);
    let typed = search::outline(&ctx, project, of("a.py", Some("def g(): pass"))).await.unwrap();
    assert_eq!(names(typed), [("g".to_owned(), 0)]);
    assert!(search::outline(&ctx, project, of("new.rs", Some("fn f() {}"))).await.unwrap().symbols.len() == 1, "not saved yet");
    assert!(search::outline(&ctx, project, of("notes.md", Some("x"))).await.unwrap().note.is_some());
    assert!(matches!(search::outline(&ctx, project, of("new.rs", None)).await, Err(Error::NotFound(_))));
    let stranger = home.person("bob").await;
    assert!(matches!(search::outline(&stranger, project, of("a.py", Some("x"))).await, Err(Error::NotFound("project"))));
}
