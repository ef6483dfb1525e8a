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
    ui::{Theme, icon::SPRITE},
};

/// Where the built files are served, as read from the build's `asset-manifest.json`. The server provides it as a context. Without it
/// (or with an empty `js`) pages are rendered but do not come alive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assets {
    pub js: String,
    pub wasm: String,
    pub style: String,
    pub editor: String,
    pub editor_css: String,
    pub terminal: String,
    pub terminal_css: String,
    /// Keeps large unsaved texts.
    pub drafts: String,
    /// Draws documents, in a frame of its own.
    pub pdf: String,
    /// Script addresses of the editor's workers, by the name of their language.
    pub workers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default)]
pub struct ShellOptions {
    pub assets: Assets,
    pub theme: Theme,
    pub nonce: Option<Nonce>,
    /// The page carries scripts. Those for signing in are plain forms and need none, so they are there at once on any line.
    pub has_scripts: bool,
}

/// Pages that are complete without a script.
#[cfg(feature = "ssr")]
const PLAIN_PAGES: &[&str] = &["/login", "/signup"];

impl ShellOptions {
    /// What the contexts of this request say.
    pub fn of_request() -> Self {
        #[cfg(feature = "ssr")]
        let has_scripts = use_context::<http::request::Parts>().is_none_or(|request| !PLAIN_PAGES.contains(&request.uri.path()));
        #[cfg(not(feature = "ssr"))]
        let has_scripts = true;
        Self { assets: use_context::<Assets>().unwrap_or_default(), theme: Theme::of_request(), nonce: use_nonce(), has_scripts }
    }
}

/// The whole document.
pub fn shell(options: ShellOptions) -> impl IntoView {
    let ShellOptions { assets, theme, nonce, has_scripts } = options;
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme.attribute()>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                {(!assets.style.is_empty()).then(|| view! { <link rel="stylesheet" href=assets.style.clone() /> })}
                {has_scripts.then(|| scripts(&assets, nonce))}
                <MetaTags />
            </head>
            <body>
                <App />
                <div class="sprite" inner_html=SPRITE></div>
            </body>
        </html>
    }
}

fn scripts(assets: &Assets, nonce: Option<Nonce>) -> Option<impl IntoView + use<>> {
    if assets.js.is_empty() || assets.wasm.is_empty() {
        return None;
    }
    let start = format!(
        "import init,{{hydrate}} from {};init({{module_or_path:{}}}).then(()=>hydrate())",
        script_text(&assets.js),
        script_text(&assets.wasm)
    );
    Some(view! {
        <script type="application/json" id="assets" nonce=nonce.clone()>
            {manifest_json(assets)}
        </script>
        <link rel="modulepreload" href=assets.js.clone() />
        <link rel="preload" href=assets.wasm.clone() r#as="fetch" type="application/wasm" crossorigin="anonymous" />
        <script type="module" nonce=nonce>
            {start}
        </script>
    })
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

    #[test]
    fn the_manifest_cannot_leave_its_script() {
        let assets = Assets { js: "</script><script>".to_owned(), ..Assets::default() };
        assert!(!manifest_json(&assets).contains('<'));
    }
}
