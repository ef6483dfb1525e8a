//! What of the looks a browser keeps for itself, beside the theme: motion, density and sizes. It lives in a cookie, so that the
//! server renders the first page in it and nothing flashes.

use leptos::prelude::*;
use wasm_bindgen::JsValue;
use wire::preferences::{Appearance, Density, Motion};

const COOKIE: &str = "look";
const YEAR_S: u32 = 31_536_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub motion: Motion,
    pub density: Density,
    /// Pixels.
    pub editor_font_size: u8,
    /// Pixels.
    pub terminal_font_size: u8,
}

impl Default for Look {
    fn default() -> Self {
        Self::from(&Appearance::default())
    }
}

impl From<&Appearance> for Look {
    fn from(all: &Appearance) -> Self {
        Self {
            motion: all.motion,
            density: all.density,
            editor_font_size: all.editor_font_size,
            terminal_font_size: all.terminal_font_size,
        }
    }
}

impl Look {
    /// The value of `data-motion` on `<html>`; the system's choice has none.
    pub fn motion_attribute(self) -> Option<&'static str> {
        (self.motion == Motion::Reduced).then_some("reduced")
    }

    /// The value of `data-density` on `<html>`.
    pub fn density_attribute(self) -> Option<&'static str> {
        (self.density == Density::Compact).then_some("compact")
    }

    fn to_cookie(self) -> String {
        let motion = self.motion_attribute().unwrap_or("system");
        let density = self.density_attribute().unwrap_or("comfortable");
        format!("{motion}.{density}.{}.{}", self.editor_font_size, self.terminal_font_size)
    }

    fn parse(text: &str) -> Self {
        let mut parts = text.split('.');
        let motion = if parts.next() == Some("reduced") { Motion::Reduced } else { Motion::System };
        let density = if parts.next() == Some("compact") { Density::Compact } else { Density::Comfortable };
        let mut size = |first: u8| parts.next().and_then(|size| size.parse().ok()).filter(|size| (8..=32).contains(size)).unwrap_or(first);
        let first = Self::default();
        Self { motion, density, editor_font_size: size(first.editor_font_size), terminal_font_size: size(first.terminal_font_size) }
    }

    /// The looks in a `Cookie` header.
    pub fn from_cookies(header: &str) -> Self {
        cookie_in(header, COOKIE).map_or_else(Self::default, Self::parse)
    }

    /// Of this browser: from the request that is being answered, or from the document.
    pub fn of_browser() -> Self {
        #[cfg(feature = "ssr")]
        let cookies = cookies_of_request();
        #[cfg(not(feature = "ssr"))]
        let cookies = js_sys::Reflect::get(&document(), &JsValue::from_str("cookie")).ok().and_then(|text| text.as_string());
        cookies.map_or_else(Self::default, |header| Self::from_cookies(&header))
    }

    /// Remembers it in this browser. Only in event handlers.
    pub fn keep_in_browser(self) {
        write_cookie(COOKIE, &self.to_cookie());
    }

    /// Puts it on the document. Only in effects.
    pub fn show(self) {
        let Some(root) = document().document_element() else { return };
        for (name, value) in [("data-motion", self.motion_attribute()), ("data-density", self.density_attribute())] {
            let _ = match value {
                Some(value) => root.set_attribute(name, value),
                None => root.remove_attribute(name),
            };
        }
    }
}

/// The value of one cookie of a `Cookie` header.
pub(super) fn cookie_in<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.split(';').filter_map(|pair| pair.trim().split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
}

#[cfg(feature = "ssr")]
pub(super) fn cookies_of_request() -> Option<String> {
    use_context::<http::request::Parts>().and_then(|parts| parts.headers.get(http::header::COOKIE)?.to_str().ok().map(str::to_owned))
}

pub(super) fn write_cookie(name: &str, value: &str) {
    let cookie = format!("{name}={value}; Path=/; Max-Age={YEAR_S}; SameSite=Lax");
    let _ = js_sys::Reflect::set(&document(), &JsValue::from_str("cookie"), &JsValue::from_str(&cookie));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_as_it_was_written() {
        let look = Look { motion: Motion::Reduced, density: Density::Compact, editor_font_size: 16, terminal_font_size: 11 };
        assert_eq!(Look::from_cookies(&format!("session=a; look={}; theme=dark", look.to_cookie())), look);
        assert_eq!(Look::from_cookies("look=\"><script>"), Look::default());
        assert_eq!(Look::from_cookies("look=reduced.compact.99.x").editor_font_size, Look::default().editor_font_size);
        assert_eq!(Look::from_cookies(""), Look::default());
    }
}
