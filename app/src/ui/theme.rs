//! Light and dark: the system decides, the person's choice overrides it. The choice lives in a cookie, so that the server renders
//! the first page in it and nothing flashes.

use leptos::{prelude::*, web_sys};
use wasm_bindgen::{JsCast, closure::Closure};
use wire::preferences;

use super::{IconButton, look};

const COOKIE: &str = "theme";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    pub fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// What the browser paints a page in before its styles are there: the value of the `color-scheme` meta tag.
    pub fn color_scheme(self) -> &'static str {
        match self {
            Self::System => "light dark",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The value of `data-theme` on `<html>`; the system's choice has none.
    pub fn attribute(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::Light => Some("light"),
            Self::Dark => Some("dark"),
        }
    }

    fn parse(value: &str) -> Self {
        match value {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }

    /// The theme in a `Cookie` header.
    pub fn from_cookies(header: &str) -> Self {
        look::cookie_in(header, COOKIE).map_or(Self::System, Self::parse)
    }

    /// The theme of the request that is being answered: the person's own for all browsers, else that of this browser.
    #[cfg(feature = "ssr")]
    pub fn of_request() -> Self {
        let everywhere = use_context::<preferences::Appearance>().filter(|appearance| appearance.everywhere);
        everywhere
            .map_or_else(|| look::cookies_of_request().map_or(Self::System, |header| Self::from_cookies(&header)), |all| all.theme.into())
    }
}

impl From<preferences::ThemeChoice> for Theme {
    fn from(choice: preferences::ThemeChoice) -> Self {
        match choice {
            preferences::ThemeChoice::System => Self::System,
            preferences::ThemeChoice::Light => Self::Light,
            preferences::ThemeChoice::Dark => Self::Dark,
        }
    }
}

impl From<Theme> for preferences::ThemeChoice {
    fn from(theme: Theme) -> Self {
        match theme {
            Theme::System => Self::System,
            Theme::Light => Self::Light,
            Theme::Dark => Self::Dark,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct ThemeSignal {
    chosen: RwSignal<Theme>,
    system_dark: RwSignal<bool>,
}

/// Makes the theme known to everything below; once, in `App`.
pub fn provide_theme() {
    #[cfg(feature = "ssr")]
    let theme = Theme::of_request();
    #[cfg(not(feature = "ssr"))]
    let theme =
        document().document_element().and_then(|root| root.get_attribute("data-theme")).map_or(Theme::System, |value| Theme::parse(&value));
    let signal = ThemeSignal { chosen: RwSignal::new(theme), system_dark: RwSignal::new(prefers_dark()) };
    provide_context(signal);
    Effect::new(move |_| follow_system(signal.system_dark));
}

/// What the system prefers now, known before an editor or a terminal is made: it would be light for a moment otherwise. False on the server.
fn prefers_dark() -> bool {
    #[cfg(feature = "ssr")]
    return false;
    #[cfg(not(feature = "ssr"))]
    return system_query().is_some_and(|query| query.matches());
}

fn system_query() -> Option<web_sys::MediaQueryList> {
    window().match_media("(prefers-color-scheme: dark)").ok().flatten()
}

/// Keeps the signal at what the system prefers, also when that changes while the page is open.
fn follow_system(dark: RwSignal<bool>) {
    let Some(query) = system_query() else { return };
    dark.set(query.matches());
    let asked = query.clone();
    let changed = Closure::<dyn FnMut()>::new(move || {
        dark.try_set(asked.matches());
    });
    // Lives as long as the page.
    let _ = query.add_event_listener_with_callback("change", changed.as_ref().unchecked_ref());
    changed.forget();
}

/// The person's choice.
pub fn use_theme() -> RwSignal<Theme> {
    use_context::<ThemeSignal>().map_or_else(|| RwSignal::new(Theme::System), |theme| theme.chosen)
}

/// Whether the page shows dark now; the editor and the terminal follow it. False on the server, which does not know the system.
pub fn use_dark() -> Signal<bool> {
    let theme = use_context::<ThemeSignal>();
    Signal::derive(move || {
        theme.is_some_and(|theme| match theme.chosen.get() {
            Theme::Dark => true,
            Theme::Light => false,
            Theme::System => theme.system_dark.get(),
        })
    })
}

/// Shows the theme and remembers it in this browser. Only in effects and event handlers.
pub fn choose(signal: RwSignal<Theme>, theme: Theme) {
    if let Some(root) = document().document_element() {
        let _ = match theme.attribute() {
            Some(value) => root.set_attribute("data-theme", value),
            None => root.remove_attribute("data-theme"),
        };
    }
    keep_in_browser(theme);
    signal.set(theme);
}

/// Remembers it in this browser. Only in effects and event handlers.
pub fn keep_in_browser(theme: Theme) {
    look::write_cookie(COOKIE, theme.attribute().unwrap_or("system"));
}

/// The button in the topbar: system, light, dark, and round again.
#[component]
pub fn ThemeSwitch(#[prop(optional)] class: &'static str) -> impl IntoView {
    let theme = use_theme();
    let label = Signal::derive(move || {
        let now = theme.get();
        format!("Theme: {}. Switch to {}", now.label().to_lowercase(), now.next().label().to_lowercase())
    });
    view! {
        <IconButton
            icon="sun-moon"
            label=label
            class=class
            on_click=move |_| choose(theme, theme.get_untracked().next())
        />
    }
    .into_any()
}

/// All three beside each other, for the settings page.
#[component]
pub fn ThemeChoice() -> impl IntoView {
    let theme = use_theme();
    view! {
        <span class="seg seg--l" role="group" aria-label="Theme">
            {Theme::ALL
                .into_iter()
                .map(|choice| {
                    view! {
                        <button
                            type="button"
                            aria-pressed=move || if theme.get() == choice { "true" } else { "false" }
                            on:click=move |_| choose(theme, choice)
                        >
                            {choice.label()}
                        </button>
                    }
                })
                .collect_view()}
        </span>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(Theme::from_cookies("session=abc; theme=dark"), Theme::Dark);
        assert_eq!(Theme::from_cookies("my-theme=dark"), Theme::System);
        assert_eq!(Theme::from_cookies("theme=\"><script>"), Theme::System);
    }
}
