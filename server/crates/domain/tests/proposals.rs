//! Text that is reviewed before it is written.

mod support;

use domain::{Error, files, proposals};
use support::Home;
use wire::{
    changes::{ChangeAction, ChangeOrigin},
    files::{Base, SaveText, TextFormat},
    proposals::ProposeText,
};

on_both!(a_text_becomes_a_change_and_is_not_written);

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
    let new = proposals::propose(&ada, project, text("docs/b.txt", "new\n")).await.unwrap();
    assert_eq!(new.files[0].action, ChangeAction::Add);
    let opened = files::open_text(&ada, project, "a.txt", None).await.unwrap();
    assert_eq!(opened.text.as_deref(), Some("one\ntwo\n"));

    assert!(matches!(proposals::propose(&ada, project, text("a.txt", "one\ntwo\n")).await, Err(Error::Invalid(_))));
    assert!(matches!(proposals::propose(&ada, project, text("../x", "y")).await, Err(Error::Invalid(_))));
    let ben = home.person("ben").await;
    assert!(matches!(proposals::propose(&ben, project, text("a.txt", "y")).await, Err(Error::NotFound(_))));
}
