//! Preferences: changed by who saw them, checked, and each person's own.

mod support;

use domain::{Error, preferences};
use serde_json::{Value, json};
use support::Home;
use wire::preferences::{Density, Preferences, UpdatePreferences};

on_both!(changes_are_based_on_what_was_seen, what_makes_no_sense_is_refused_whole, what_can_not_be_read_is_replaced);

fn change(value: Value) -> UpdatePreferences {
    serde_json::from_value(value).unwrap()
}

async fn changes_are_based_on_what_was_seen(home: Home) {
    let (ada, ben) = (home.person("ada").await, home.person("ben").await);
    assert_eq!(preferences::get(&ada).await.unwrap(), Preferences::default());
    let first = preferences::update(&ada, change(json!({ "revision": 0, "editor": { "tab_size": 2 } }))).await.unwrap();
    assert_eq!((first.revision, first.editor.tab_size), (1, 2));
    let second = change(json!({ "revision": 1, "appearance": { "density": "compact" }, "keys": { "run-tests": "f9" } }));
    let second = preferences::update(&ada, second).await.unwrap();
    assert_eq!((second.revision, second.editor.tab_size, second.appearance.density), (2, 2, Density::Compact));
    assert_eq!(preferences::get(&ada).await.unwrap(), second);

    let late = preferences::update(&ada, change(json!({ "revision": 1, "editor": { "tab_size": 8 } }))).await;
    let Err(Error::Conflict { current: Some(current), .. }) = late else { panic!("{late:?}") };
    assert_eq!(current["editor"]["tab_size"], 2, "the conflict tells what is kept");
    assert_eq!(preferences::get(&ada).await.unwrap(), second);

    let both = json!({ "revision": 2, "editor": { "minimap": true } });
    let both = tokio::join!(preferences::update(&ada, change(both.clone())), preferences::update(&ada, change(both)));
    assert_eq!(i32::from(both.0.is_ok()) + i32::from(both.1.is_ok()), 1, "one of two at once");

    assert_eq!(preferences::get(&ben).await.unwrap(), Preferences::default(), "another person has others");
    assert!(matches!(preferences::get(&home.nobody()).await, Err(Error::NotSignedIn)));
}

async fn what_makes_no_sense_is_refused_whole(home: Home) {
    let ada = home.person("ada").await;
    let refused = [
        (json!({ "editor": { "tab_size": 0 } }), "editor.tab_size"),
        (json!({ "appearance": { "editor_font_size": 200 } }), "appearance.editor_font_size"),
        (json!({ "keys": { "save": "ctrl+w" } }), "keys.save"),
        (json!({ "keys": { "save": "not a key" } }), "keys.save"),
        (json!({ "keys": { "run-tests": "ctrl+b" } }), "keys.run-tests"),
        (json!({ "keys": { "no-such-command": "f9" } }), "keys"),
    ];
    for (mut wrong, field) in refused {
        wrong["revision"] = json!(0);
        wrong["editor"]["minimap"] = json!(true);
        let answer = preferences::update(&ada, change(wrong)).await;
        let Err(Error::Invalid(fields)) = answer else { panic!("{field}: {answer:?}") };
        assert_eq!(fields[0].field, field);
    }
    assert_eq!(preferences::get(&ada).await.unwrap(), Preferences::default(), "nothing of it was kept");
    let many: Value = (0..2000).map(|n| (format!("command-{n}"), json!("f9"))).collect::<serde_json::Map<_, _>>().into();
    assert!(preferences::update(&ada, change(json!({ "revision": 0, "keys": many }))).await.is_err());
}

async fn what_can_not_be_read_is_replaced(home: Home) {
    let ada = home.person("ada").await;
    let mut tx = home.services.db.begin().await.unwrap();
    store::preferences::put(&mut tx, ada.user_id().unwrap(), 0, r#"{"editor":[]}"#, ada.now()).await.unwrap();
    let _committed = tx.commit().await.unwrap();
    let kept = preferences::get(&ada).await.unwrap();
    assert_eq!(kept, Preferences { revision: 1, ..Preferences::default() });
    let changed = preferences::update(&ada, change(json!({ "revision": 1, "editor": { "tab_size": 3 } }))).await.unwrap();
    assert_eq!((changed.revision, changed.editor.tab_size), (2, 3));
}
