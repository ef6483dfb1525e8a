use leptos::{ev, html, prelude::*, wasm_bindgen::JsCast, web_sys};

use super::{
    Icon, IconButton,
    focus::{self, Axis},
};

/// Marks the element that gets the focus back when the menu closes.
const OPENER: &str = "data-menu-opener";
const ITEMS: &str = "[role^=menuitem]:not([aria-disabled=true])";

/// Where a menu is open: the window coordinates of its corner. `None` while it is closed.
#[derive(Debug, Clone, Copy)]
pub struct MenuState(RwSignal<Option<(f64, f64)>>);

impl MenuState {
    pub fn new() -> Self {
        Self(RwSignal::new(None))
    }

    pub fn is_open(self) -> bool {
        self.0.with(Option::is_some)
    }

    /// Opens under `element`; for a menu of a button.
    pub fn open_below(self, element: &web_sys::Element) {
        let place = element.get_bounding_client_rect();
        self.open(place.left(), place.bottom() + 4.0);
    }

    /// Opens at the pointer; for the context menu of a row.
    pub fn open_at(self, event: &ev::MouseEvent) {
        event.prevent_default();
        self.open(f64::from(event.client_x()), f64::from(event.client_y()));
    }

    fn open(self, x: f64, y: f64) {
        if let Some(active) = document().active_element() {
            let _ = active.set_attribute(OPENER, "");
        }
        self.0.set(Some((x, y)));
    }

    /// Closes, and gives the focus back to what opened it.
    pub fn close(self) {
        if self.0.get_untracked().is_none() {
            return;
        }
        self.0.set(None);
        if let Ok(Some(opener)) = document().query_selector(&format!("[{OPENER}]")) {
            let _ = opener.remove_attribute(OPENER);
            if let Some(opener) = opener.dyn_ref::<web_sys::HtmlElement>() {
                let _ = opener.focus();
            }
        }
    }

    /// Closes and leaves the focus where it went.
    fn close_without_focus(self) {
        if self.0.get_untracked().is_none() {
            return;
        }
        self.0.set(None);
        if let Ok(Some(opener)) = document().query_selector(&format!("[{OPENER}]")) {
            let _ = opener.remove_attribute(OPENER);
        }
    }
}

impl Default for MenuState {
    fn default() -> Self {
        Self::new()
    }
}

/// A menu of `MenuItem`s. It is fixed to the window and stays inside it; arrows, Home, End and Esc work.
#[component]
pub fn Menu(state: MenuState, #[prop(into)] label: Signal<String>, children: ChildrenFn) -> impl IntoView {
    let children = StoredValue::new(children);
    view! {
        <Show when=move || state.is_open()>
            <OpenMenu state=state label=label>
                {children.with_value(|children| children())}
            </OpenMenu>
        </Show>
    }
    .into_any()
}

#[component]
fn OpenMenu(state: MenuState, label: Signal<String>, children: Children) -> impl IntoView {
    // Here and not in `Menu`, which shares its owner with other menus of the same part: the last of them would be everyone's.
    provide_context(state);
    let node = NodeRef::<html::Div>::new();
    let place = RwSignal::new(state.0.get_untracked().unwrap_or_default());
    Effect::new(move |_| {
        let Some(menu) = node.get() else { return };
        let size = menu.get_bounding_client_rect();
        let inside = |at: f64, size: f64, room: Option<f64>| at.min(room.unwrap_or(at + size) - size - 8.0).max(8.0);
        let extent = |value: Result<leptos::wasm_bindgen::JsValue, _>| value.ok().and_then(|v| v.as_f64());
        place.update(|(x, y)| {
            *x = inside(*x, size.width(), extent(window().inner_width()));
            *y = inside(*y, size.height(), extent(window().inner_height()));
        });
        if let Some(first) = focus::elements(&menu, ITEMS).first() {
            let _ = first.focus();
        }
    });
    let outside = window_event_listener(ev::pointerdown, move |event| {
        let within = node
            .get_untracked()
            .zip(event.target())
            .is_some_and(|(menu, target)| target.dyn_ref::<web_sys::Node>().is_some_and(|target| menu.contains(Some(target))));
        if !within {
            state.close_without_focus();
        }
    });
    on_cleanup(move || outside.remove());
    let on_keydown = move |event: ev::KeyboardEvent| {
        let Some(menu) = node.get_untracked() else { return };
        if focus::rove(&event, &menu, ITEMS, Axis::Vertical) {
            event.stop_propagation();
        } else if event.key() == "Escape" || event.key() == "Tab" {
            event.prevent_default();
            event.stop_propagation();
            state.close();
        }
    };
    view! {
        <div
            class="menu menu--open"
            role="menu"
            tabindex="-1"
            aria-label=move || label.get()
            node_ref=node
            style:left=move || format!("{}px", place.get().0)
            style:top=move || format!("{}px", place.get().1)
            on:keydown=on_keydown
        >
            {children()}
        </div>
    }
    .into_any()
}

/// One command of a menu. Choosing it closes the menu first, then runs `on_choose`.
#[component]
pub fn MenuItem(
    #[prop(optional)] icon: &'static str,
    #[prop(into)] on_choose: Callback<()>,
    /// The key that does the same.
    #[prop(optional, into)]
    key: Signal<String>,
    #[prop(optional, into)] disabled: Signal<bool>,
    /// When disabled: why.
    #[prop(optional, into)]
    title: MaybeProp<String>,
    #[prop(optional)] danger: bool,
    children: Children,
) -> impl IntoView {
    let state = use_context::<MenuState>();
    let choose = move |_| {
        if disabled.get_untracked() {
            return;
        }
        if let Some(state) = state {
            state.close();
        }
        on_choose.run(());
    };
    view! {
        <button
            type="button"
            role="menuitem"
            tabindex="-1"
            class=danger.then_some("danger")
            aria-disabled=move || disabled.get().then_some("true")
            title=move || title.get()
            on:click=choose
        >
            {(!icon.is_empty()).then(|| view! { <Icon name=icon small=true /> })}
            {children()}
            {move || {
                Some(key.get())
                    .filter(|key| !key.is_empty())
                    .map(|key| {
                        view! {
                            <span class="keys">
                                <kbd>{key}</kbd>
                            </span>
                        }
                    })
            }}
        </button>
    }
    .into_any()
}

#[component]
pub fn MenuSeparator() -> impl IntoView {
    view! { <div role="separator"></div> }.into_any()
}

/// The three dots (or another icon) with a menu below it.
#[component]
pub fn MenuButton(
    #[prop(into)] label: Signal<String>,
    #[prop(default = "ellipsis")] icon: &'static str,
    #[prop(optional)] small: bool,
    children: ChildrenFn,
) -> impl IntoView {
    let state = MenuState::new();
    view! {
        <IconButton
            icon=icon
            label=label
            small=small
            menu_open=Signal::derive(move || state.is_open())
            on_click=move |event: ev::MouseEvent| open_from(state, &event)
        />
        <Menu state=state label=label children=children />
    }
    .into_any()
}

/// Opens `state` under the button that was clicked.
pub fn open_from(state: MenuState, event: &ev::MouseEvent) {
    if let Some(button) = event.current_target().and_then(|target| target.dyn_into::<web_sys::HtmlElement>().ok()) {
        // Safari does not focus a button on click; without it there is nothing to return to.
        let _ = button.focus();
        state.open_below(&button);
    }
}
