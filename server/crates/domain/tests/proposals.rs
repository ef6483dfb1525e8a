//! Text that is reviewed before it is written.

mod support;

use domain::{Error, changes, files, projects, proposals};
use support::Home;
use wire::{
    changes::{ChangeAction, ChangeOrigin, ChangeSetState, Decide, ReviewKey},
    files::{Base, Origin, SaveText, TextFormat},
    proposals::ProposeText,
};

on_both!(a_text_becomes_a_change_and_is_not_written, an_accepted_text_is_written_as_the_person_s);

fn text(path: &str, text: &str) -> ProposeText {
    ProposeText { path: path.to_owned(), text: text.to_owned(), format: TextFormat::default() }
}

async fn a_text_becomes_a_change_and_is_not_written(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let save = SaveText { path: "a.txt".to_owned(), base: Base::New, text: "one\ntwo\n".to_owned(), format: TextFormat::default() };
    files::save_text(&ada, project, save).await.unwrap();

    let set = proposals::propose(&ada, project, text("a.txt", "one\n2\n")).await.unwrap();
    assert_eq!((set.files[0].action, set.files[0].hunks.len()), (ChangeAction::Modify, 1));
    assert_eq!((set.origin, set.title.as_str()), (ChangeOrigin::Conversation, "From the conversation: a.txt"));
    assert_eq!(set.created_by.as_ref().map(|by| by.id), ada.user_id());
    assert_eq!((set.turn_id, set.run_id), (None, None), "no turn made it");
    assert_eq!(set.review_key(), ReviewKey::Set(set.change_set_id));
    let new = proposals::propose(&ada, project, text("docs/b.txt", "new\n")).await.unwrap();
    assert_eq!(new.files[0].action, ChangeAction::Add);
    let opened = files::open_text(&ada, project, "a.txt", None).await.unwrap();
    assert_eq!(opened.text.as_deref(), Some("one\ntwo\n"));
    assert_eq!(projects::get(&ada, project).await.unwrap().pending_reviews, 2);

    assert!(matches!(proposals::propose(&ada, project, text("a.txt", "one\ntwo\n")).await, Err(Error::Invalid(_))));
    assert!(matches!(proposals::propose(&ada, project, text("../x", "y")).await, Err(Error::Invalid(_))));
    let ben = home.person("ben").await;
    assert!(matches!(proposals::propose(&ben, project, text("a.txt", "y")).await, Err(Error::NotFound(_))));
}

async fn an_accepted_text_is_written_as_the_person_s(home: Home) {
    let ada = home.person("ada").await;
    let project = home.project(&ada).await.id;
    let set = proposals::propose(&ada, project, text("docs/b.txt", "new\n")).await.unwrap();
    let accept = set.files[0].hunks.iter().map(|hunk| hunk.id).collect();
    let decided = changes::decide(&ada, set.change_set_id, Decide { accept, ..Decide::default() }).await.unwrap();
    assert_eq!((decided.change_set.state, decided.written), (ChangeSetState::Decided, vec!["docs/b.txt".to_owned()]));
    let opened = files::open_text(&ada, project, "docs/b.txt", None).await.unwrap();
    assert_eq!(opened.text.as_deref(), Some("new\n"));
    let history = files::history(&ada, project, "docs/b.txt", None).await.unwrap();
    assert_eq!(history.items[0].origin, Origin::Person, "no agent wrote it");
    assert_eq!(projects::get(&ada, project).await.unwrap().pending_reviews, 0);
}
