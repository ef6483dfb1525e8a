//! A long list of which only the rows in view are on the page; the others are two empty rows as high as they would be.

use leptos::{ev, html, prelude::*};

/// Height before a row could be measured.
const ROW: f64 = 24.0;
/// Rows kept beyond each edge of the view.
const OVERSCAN: usize = 12;

/// The `ul` of a list, how far it is scrolled and how high its rows are.
#[derive(Clone, Copy)]
pub struct Rows {
    pub node: NodeRef<html::Ul>,
    height: RwSignal<f64>,
    /// How far it is scrolled, and how much of it is seen, in pixels.
    scroll: RwSignal<(f64, f64)>,
}

/// Places `first..last` of `count` rows are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub first: usize,
    pub last: usize,
    count: usize,
}

impl Window {
    fn new(top: f64, seen: f64, height: f64, count: usize) -> Self {
        let first = ((top / height) as usize).saturating_sub(OVERSCAN).min(count);
        let last = ((top + seen) / height) as usize + OVERSCAN;
        Self { first, last: last.min(count), count }
    }

    pub fn of<T>(self, rows: &[T]) -> &[T] {
        rows.get(self.first..self.last.min(rows.len())).unwrap_or_default()
    }

    pub fn has(self, at: usize) -> bool {
        (self.first..self.last).contains(&at)
    }
}

impl Rows {
    /// `seen` is how much is drawn before the list could be measured, in pixels.
    pub fn new(seen: f64) -> Self {
        Self { node: NodeRef::new(), height: RwSignal::new(ROW), scroll: RwSignal::new((0.0, seen)) }
    }

    /// To be called when the list is scrolled.
    pub fn measure(self) {
        let Some(list) = self.node.try_get_untracked().flatten() else { return };
        self.scroll.set((f64::from(list.scroll_top()), f64::from(list.client_height())));
        let row = list.query_selector("[role=treeitem]").ok().flatten();
        if let Some(height) = row.map(|row| row.get_bounding_client_rect().height()).filter(|height| *height >= 16.0) {
            self.height.set(height);
        }
    }

    /// Measures once drawn, when what `changed` reads changes, and when the window is sized anew.
    pub fn measure_when(self, changed: impl Fn() + 'static) {
        Effect::new(move |_| {
            changed();
            request_animation_frame(move || self.measure());
        });
        let resized = StoredValue::new(None::<WindowListenerHandle>);
        Effect::new(move |_| resized.set_value(Some(window_event_listener(ev::resize, move |_| self.measure()))));
        on_cleanup(move || {
            if let Some(listener) = resized.try_update_value(Option::take).flatten() {
                listener.remove();
            }
        });
    }

    /// What is drawn of `rows`.
    pub fn window<T: Send + Sync + 'static>(self, rows: Memo<Vec<T>>) -> Memo<Window> {
        Memo::new(move |_| {
            let (top, seen) = self.scroll.get();
            Window::new(top, seen, self.height.get(), rows.with(Vec::len))
        })
    }

    /// Height of the empty rows above and below, as CSS.
    pub fn pads(self, window: Memo<Window>) -> (Signal<String>, Signal<String>) {
        let pixels = move |rows: usize| format!("{}px", rows as f64 * self.height.get());
        let above = Signal::derive(move || pixels(window.get().first));
        let below = Signal::derive(move || {
            let Window { last, count, .. } = window.get();
            pixels(count - last)
        });
        (above, below)
    }

    pub fn scroll_to(self, at: usize) {
        let Some(list) = self.node.try_get_untracked().flatten() else { return };
        let height = self.height.get_untracked();
        let (top, seen) = (f64::from(list.scroll_top()), f64::from(list.client_height()));
        let place = at as f64 * height;
        if place < top {
            list.set_scroll_top(place as i32);
        } else if place + height > top + seen {
            list.set_scroll_top((place + height - seen).ceil() as i32);
        }
        self.scroll.set((f64::from(list.scroll_top()), seen));
    }

    /// Rows that fit into the view, for the keys that page.
    pub fn page(self) -> usize {
        ((self.scroll.get_untracked().1 / self.height.get_untracked()) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_the_view_is_drawn() {
        let window = Window::new(2400.0, 480.0, 24.0, 50_000);
        assert_eq!((window.first, window.last), (88, 132));
        assert!(window.has(88) && !window.has(132));
        assert_eq!(Window::new(0.0, 480.0, 24.0, 5).last, 5);
        let beyond = Window::new(100_000.0, 480.0, 24.0, 5);
        assert_eq!((beyond.first, beyond.last), (5, 5));
        // The rows may have become fewer since.
        assert_eq!(window.of(&[1, 2, 3]), &[] as &[i32]);
    }
}
