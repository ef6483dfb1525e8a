//! The document around the app. The server's script tags are written here and not by Leptos' own `HydrationScripts`, whose nonce
//! ends up in the wrong attribute.

use std::collections::BTreeMap;

use leptos::{
    nonce::{Nonce, use_nonce},
    prelude::*,
};
use leptos_meta::MetaTags;
use serde::{Deserialize, Serialize};

use crate::{
    App,
    components::preferences::Kept,
    ui::{Look, Theme, icon::SPRITE},
};

/// Where the built files are served, as read from the build's `asset-manifest.json`. The server provides it as a context. Without it
/// (or with an empty `js`) pages are rendered but do not come alive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assets {
    pub js: String,
    pub wasm: String,
    /// What the first view of a project does without. Empty where `wasm` is the whole program.
    pub late: String,
    pub style: String,
    pub editor: String,
    pub editor_css: String,
    pub terminal: String,
    pub terminal_css: String,
    /// Keeps large unsaved texts.
    pub drafts: String,
    /// Asks a person's devices for passkeys.
    pub passkeys: String,
    /// Draws documents, in a frame of its own.
    pub pdf: String,
    /// Script addresses of the editor's workers, by the name of their language.
    pub workers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default)]
pub struct ShellOptions {
    pub assets: Assets,
    pub theme: Theme,
    pub look: Look,
    /// What the person who is signed in chose; the page takes it over.
    pub preferences: Option<Kept>,
    pub nonce: Option<Nonce>,
    /// The page carries scripts. Those for signing in are plain forms and need none, so they are there at once on any line.
    pub has_scripts: bool,
    /// The page is a project's, whose first view has what it needs in the first half of the program.
    pub opens_fast: bool,
    /// Somebody can sign in here with a passkey, which only a script can ask for: the one of passkeys, and no other.
    pub asks_for_passkeys: bool,
}

/// Pages that are complete without a script.
#[cfg(feature = "ssr")]
const PLAIN_PAGES: &[&str] = &["/login", "/signup", "/forgot", "/reset"];

impl ShellOptions {
    /// What the contexts of this request say.
    pub fn of_request() -> Self {
        #[cfg(feature = "ssr")]
        let has_scripts = use_context::<http::request::Parts>().is_none_or(|request| !PLAIN_PAGES.contains(&request.uri.path()));
        #[cfg(not(feature = "ssr"))]
        let has_scripts = true;
        #[cfg(feature = "ssr")]
        let opens_fast = use_context::<http::request::Parts>().is_some_and(|request| is_project(request.uri.path()));
        #[cfg(not(feature = "ssr"))]
        let opens_fast = false;
        #[cfg(feature = "ssr")]
        let asks_for_passkeys = use_context::<http::request::Parts>().is_some_and(|request| request.uri.path() == "/login")
            && use_context::<domain::Ctx>().is_some_and(|ctx| domain::passkeys::are_possible(&ctx));
        #[cfg(not(feature = "ssr"))]
        let asks_for_passkeys = false;
        let preferences = use_context::<Kept>();
        Self {
            assets: use_context::<Assets>().unwrap_or_default(),
            theme: Theme::of_request(),
            look: preferences.as_ref().map_or_else(Look::of_browser, Kept::look),
            preferences,
            nonce: use_nonce(),
            has_scripts,
            opens_fast,
            asks_for_passkeys,
        }
    }
}

/// `/projects/…` and nothing below it.
#[cfg(feature = "ssr")]
fn is_project(path: &str) -> bool {
    path.strip_prefix("/projects/").is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// The whole document.
pub fn shell(options: ShellOptions) -> impl IntoView {
    let ShellOptions { assets, theme, look, preferences, nonce, has_scripts, opens_fast, asks_for_passkeys } = options;
    let passkeys = (asks_for_passkeys && !assets.passkeys.is_empty()).then(|| (assets.passkeys.clone(), nonce.clone()));
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme.attribute() data-motion=look.motion_attribute() data-density=look.density_attribute()>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content=theme.color_scheme() />
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                {(!assets.style.is_empty()).then(|| view! { <link rel="stylesheet" href=assets.style.clone() /> })}
                {preferences
                    .map(|kept| {
                        view! {
                            <script type="application/json" id="preferences" nonce=nonce.clone()>
                                {close_safe(&kept.to_json())}
                            </script>
                        }
                    })}
                {passkeys.map(|(src, nonce)| view! { <script type="module" data-alone="" src=src nonce=nonce></script> })}
                {has_scripts.then(|| scripts(&assets, opens_fast, nonce))}
                <MetaTags />
            </head>
            <body>
                <App />
                <div class="sprite" inner_html=SPRITE></div>
            </body>
        </html>
    }
}

fn scripts(assets: &Assets, opens_fast: bool, nonce: Option<Nonce>) -> Option<impl IntoView + use<>> {
    if assets.js.is_empty() || assets.wasm.is_empty() {
        return None;
    }
    let early: Vec<String> =
        [&assets.wasm, &assets.late].into_iter().take(if opens_fast { 1 } else { 2 }).filter(|url| !url.is_empty()).cloned().collect();
    let start = start_script(assets, opens_fast);
    Some(view! {
        <script type="application/json" id="assets" nonce=nonce.clone()>
            {manifest_json(assets)}
        </script>
        <link rel="modulepreload" href=assets.js.clone() />
        {early
            .into_iter()
            .map(|url| view! { <link rel="preload" href=url r#as="fetch" type="application/wasm" crossorigin="anonymous" /> })
            .collect_view()}
        <script type="module" nonce=nonce>
            {start}
        </script>
    })
}

/// `start` is what a build in two halves adds to the script, see `frontend/js/late.js`.
fn start_script(assets: &Assets, opens_fast: bool) -> String {
    let [js, wasm, late] = [&assets.js, &assets.wasm, &assets.late].map(|url| script_text(url));
    if assets.late.is_empty() {
        format!("import init,{{hydrate}} from {js};init({{module_or_path:{wasm}}}).then(()=>hydrate())")
    } else {
        format!("import {{start}} from {js};start({wasm},{late},{opens_fast})")
    }
}

fn manifest_json(assets: &Assets) -> String {
    close_safe(&serde_json::to_string(assets).unwrap_or_else(|_| "{}".to_owned()))
}

fn script_text(value: &str) -> String {
    close_safe(&serde_json::to_string(value).unwrap_or_else(|_| "\"\"".to_owned()))
}

/// Nothing in the text can end the script element around it.
fn close_safe(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_may_lack_files() {
        let assets: Assets = serde_json::from_str(r#"{"js":"/pkg/a.js","wasm":"/pkg/a.wasm"}"#).unwrap();
        assert_eq!(assets.js, "/pkg/a.js");
        assert!(assets.workers.is_empty());
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn a_project_opens_fast_and_its_settings_do_not() {
        assert!(is_project("/projects/0190"));
        for path in ["/", "/projects/", "/projects/0190/settings", "/admin"] {
            assert!(!is_project(path), "{path}");
        }
    }

    #[test]
    fn a_program_in_one_piece_is_started_as_such() {
        let mut assets = Assets { js: "/pkg/a.js".to_owned(), wasm: "/pkg/a.wasm".to_owned(), ..Assets::default() };
        assert!(start_script(&assets, true).ends_with(r#"init({module_or_path:"/pkg/a.wasm"}).then(()=>hydrate())"#));
        assets.late = "/pkg/b.wasm".to_owned();
        assert_eq!(start_script(&assets, true), r#"import {start} from "/pkg/a.js";start("/pkg/a.wasm","/pkg/b.wasm",true)"#);
    }

    #[test]
    fn the_manifest_cannot_leave_its_script() {
        let assets = Assets { js: "</script><script>".to_owned(), ..Assets::default() };
        assert!(!manifest_json(&assets).contains('<'));
    }
}
