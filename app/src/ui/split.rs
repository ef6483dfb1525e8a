//! Areas that the person sizes. An area's size is a CSS length on the container (`--sidebar-w` and the like); the sash that
//! changes it stands inside the area, on the edge that moves.

use leptos::{ev, prelude::*, wasm_bindgen::JsCast, web_sys};

use super::storage;

/// Pixels per arrow key.
const STEP: f64 = 16.0;
/// Dragging this far below the minimum closes the area.
const COLLAPSE_SLACK: f64 = 48.0;

/// Size and state of one area, remembered under its key. `px` is `None` until the person chose a size: then the token decides.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    pub px: RwSignal<Option<f64>>,
    pub open: RwSignal<bool>,
    min: f64,
    max: f64,
    key: StoredValue<String>,
}

/// An area that is remembered in this browser under `panel:{key}`. `min` and `max` are pixels. The stored size is read after the
/// page came alive, so that the server's markup and the first rendering in the browser agree.
pub fn use_panel(key: impl Into<String>, min: f64, max: f64, open: bool) -> Panel {
    let panel =
        Panel { px: RwSignal::new(None), open: RwSignal::new(open), min, max, key: StoredValue::new(format!("panel:{}", key.into())) };
    Effect::new(move |_| {
        let Some(stored) = storage::read(&panel.key.get_value()) else { return };
        let (px, open) = stored.split_once(',').unwrap_or((&stored, "1"));
        panel.px.set(px.parse().ok().map(|px: f64| px.clamp(min, max)));
        panel.open.set(open != "0");
    });
    panel
}

impl Panel {
    /// The value for the CSS variable; `None` leaves the token in force.
    pub fn css(self) -> Option<String> {
        self.px.get().map(|px| format!("{px:.0}px"))
    }

    pub fn set_open(self, open: bool) {
        self.open.set(open);
        self.remember();
    }

    pub fn toggle(self) {
        self.set_open(!self.open.get_untracked());
    }

    /// Takes a size as dragged: clamped, or closed when it is far below the minimum.
    fn resize(self, px: f64) {
        if px < self.min - COLLAPSE_SLACK {
            self.open.set(false);
        } else {
            self.open.set(true);
            self.px.set(Some(px.clamp(self.min, self.max)));
        }
    }

    fn reset(self) {
        self.px.set(None);
        self.remember();
    }

    fn remember(self) {
        let px = self.px.get_untracked().map(|px| format!("{px:.0}")).unwrap_or_default();
        let open = if self.open.get_untracked() { "1" } else { "0" };
        storage::write(&self.key.get_value(), &format!("{px},{open}"));
    }
}

/// The edge of its area on which a sash stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SashEdge {
    /// Right edge (in left-to-right text): the area grows to the right.
    InlineEnd,
    /// Left edge: the area grows to the left.
    InlineStart,
    /// Top edge: the area grows upwards.
    BlockStart,
}

impl SashEdge {
    fn is_vertical_line(self) -> bool {
        self != Self::BlockStart
    }

    /// How much the area grows when the pointer moves by (dx, dy).
    fn growth(self, dx: f64, dy: f64) -> f64 {
        match self {
            Self::InlineEnd => dx,
            Self::InlineStart => -dx,
            Self::BlockStart => -dy,
        }
    }
}

/// The line to drag. Put it inside the area (which is its offset parent), last. Arrows move it by 16 px, Home and End go to the
/// bounds, Enter and a double click give the first size back, and dragging far below the minimum closes the area.
#[component]
pub fn Sash(
    panel: Panel,
    edge: SashEdge,
    /// What it changes, such as `Width of the side panel`.
    label: &'static str,
) -> impl IntoView {
    // Pointer position and size at the start of a drag.
    let grabbed = RwSignal::new(None::<(f64, f64, f64)>);
    let on_pointerdown = move |event: ev::PointerEvent| {
        let Some(sash) = event.current_target().and_then(|t| t.dyn_into::<web_sys::HtmlElement>().ok()) else { return };
        event.prevent_default();
        let _ = sash.focus();
        let _ = sash.set_pointer_capture(event.pointer_id());
        grabbed.set(Some((f64::from(event.client_x()), f64::from(event.client_y()), extent(&sash, edge))));
    };
    let on_pointermove = move |event: ev::PointerEvent| {
        if let Some((x, y, size)) = grabbed.get_untracked() {
            panel.resize(size + edge.growth(f64::from(event.client_x()) - x, f64::from(event.client_y()) - y));
        }
    };
    let release = move |_: ev::PointerEvent| {
        if grabbed.get_untracked().is_some() {
            grabbed.set(None);
            panel.remember();
        }
    };
    let on_keydown = move |event: ev::KeyboardEvent| {
        let Some(sash) = event.current_target().and_then(|t| t.dyn_into::<web_sys::HtmlElement>().ok()) else { return };
        let size = extent(&sash, edge);
        let moved = match (event.key().as_str(), edge.is_vertical_line()) {
            ("ArrowLeft", true) => size + edge.growth(-STEP, 0.0),
            ("ArrowRight", true) => size + edge.growth(STEP, 0.0),
            ("ArrowUp", false) => size + edge.growth(0.0, -STEP),
            ("ArrowDown", false) => size + edge.growth(0.0, STEP),
            ("Home", _) => panel.min,
            ("End", _) => panel.max,
            ("Enter", _) => {
                event.prevent_default();
                panel.reset();
                return;
            }
            _ => return,
        };
        event.prevent_default();
        panel.px.set(Some(moved.clamp(panel.min, panel.max)));
        panel.remember();
    };
    let place = match edge {
        SashEdge::InlineEnd => "sash sash--x sash--end",
        SashEdge::InlineStart => "sash sash--x sash--start",
        SashEdge::BlockStart => "sash sash--y",
    };
    view! {
        <div
            class=place
            role="separator"
            tabindex="0"
            aria-label=label
            aria-orientation=if edge.is_vertical_line() { "vertical" } else { "horizontal" }
            aria-valuemin=panel.min.to_string()
            aria-valuemax=panel.max.to_string()
            aria-valuenow=move || panel.px.get().unwrap_or(panel.min).round().to_string()
            data-dragging=move || grabbed.with(Option::is_some).then_some("true")
            on:pointerdown=on_pointerdown
            on:pointermove=on_pointermove
            on:pointerup=release
            on:pointercancel=release
            on:dblclick=move |_| panel.reset()
            on:keydown=on_keydown
        ></div>
    }
    .into_any()
}

/// The present size of the area around the sash.
fn extent(sash: &web_sys::HtmlElement, edge: SashEdge) -> f64 {
    sash.parent_element().map_or(0.0, |area| {
        let place = area.get_bounding_client_rect();
        if edge.is_vertical_line() { place.width() } else { place.height() }
    })
}
