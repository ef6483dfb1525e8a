//! Preferences over HTTP, and the pages that are rendered with them.

use serde_json::json;
use wire::preferences::{Density, Preferences, ThemeChoice};

use crate::support::{PASSWORD, Reply, TestApp};

const OWN: &str = "/api/users/me/preferences";

fn html_tag(page: &Reply) -> String {
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    text.split("<html").nth(1).unwrap().split('>').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_are_read_changed_and_refused_with_the_field() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    assert_eq!(ada.get(OWN).await.expect(200).json::<Preferences>(), Preferences::default());
    let change = json!({ "revision": 0, "editor": { "tab_size": 2 }, "keys": { "run-tests": "f9" } });
    let changed: Preferences = ada.patch(OWN, &change).await.expect(200).json();
    assert_eq!((changed.revision, changed.editor.tab_size, changed.keys["run-tests"].as_str()), (1, 2, "f9"));
    let conflict = ada.patch(OWN, &change).await.expect(409).problem();
    assert_eq!(conflict.current.unwrap()["revision"], 1, "the conflict tells what is kept");
    for (wrong, field) in [
        (json!({ "editor": { "tab_size": 99 } }), "editor.tab_size"),
        (json!({ "keys": { "save": "ctrl+w" } }), "keys.save"),
        (json!({ "editor": { "colour": "red" } }), "editor.colour"),
    ] {
        let mut wrong = wrong;
        wrong["revision"] = json!(1);
        let refused = ada.patch(OWN, &wrong).await.expect(422).problem();
        assert!(refused.fields.iter().any(|refusal| refusal.field == field || field.ends_with("colour")), "{refused:?}");
    }
    assert_eq!(ada.get(OWN).await.expect(200).json::<Preferences>(), changed, "nothing of it was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_has_the_looks_that_were_chosen() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let ada = app.nobody().sign_in_browser("ada", PASSWORD).await;
    let everywhere =
        json!({ "revision": 0, "appearance": { "everywhere": true, "theme": "dark", "density": "compact", "motion": "reduced" } });
    let kept: Preferences = ada.patch(OWN, &everywhere).await.expect(200).json();
    assert_eq!((kept.appearance.theme, kept.appearance.density), (ThemeChoice::Dark, Density::Compact));
    let page = ada.get("/settings/appearance").await.expect(200);
    let tag = html_tag(&page);
    for attribute in ["data-theme=\"dark\"", "data-density=\"compact\"", "data-motion=\"reduced\""] {
        assert!(tag.contains(attribute), "{tag}");
    }
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(text.contains("id=\"preferences\""), "the page carries them");
    assert!(!html_tag(&app.nobody().get("/login").await.expect(200)).contains("data-"), "nobody else sees them");

    let here = json!({ "revision": 1, "appearance": { "everywhere": false } });
    ada.patch(OWN, &here).await.expect(200);
    assert!(!html_tag(&ada.get("/").await.expect(200)).contains("data-"), "each browser has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_section_of_the_settings_is_rendered_by_the_server() {
    let app = TestApp::start().await;
    app.register("ada").await;
    let ada = app.nobody().sign_in_browser("ada", PASSWORD).await;
    let sections = [
        ("", "Profile"),
        ("/security", "Security"),
        ("/sessions", "This one"),
        ("/tokens", "No tokens yet"),
        ("/appearance", "Where this applies"),
        ("/editor", "Tab size"),
        ("/keys", "Go to a file"),
        ("/models", "Models"),
        ("/usage", "Usage"),
        ("/account", "Delete my account"),
    ];
    for (path, sign) in sections {
        let page = ada.get(&format!("/settings{path}")).await.expect(200);
        let text = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(text.contains(sign), "/settings{path} has no {sign:?}");
    }
    let request = ada.request(reqwest::Method::GET, "/settings/nothing").header("accept", "text/html");
    ada.send(request).await.expect(404);
}
