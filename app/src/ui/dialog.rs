use leptos::{ev, html, prelude::*};

use super::{
    Button, ButtonKind,
    button::{Press, handler},
};

/// A modal dialog. Its content exists only while `open`; Esc and the browser's own close end in `open = false`, and the
/// focus goes back to what had it. Mark the safe choice with `autofocus`.
#[component]
pub fn Dialog(
    open: RwSignal<bool>,
    #[prop(into)] title: Signal<String>,
    /// While true the dialog stays open: something it started still runs.
    #[prop(optional, into)]
    locked: Signal<bool>,
    children: ChildrenFn,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = node.get() else { return };
        match (open.get(), dialog.open()) {
            (true, false) => {
                // A document that has gone away refuses; there is nobody to show it to then.
                let _ = dialog.show_modal();
            }
            (false, true) => dialog.close(),
            _ => {}
        }
    });
    let on_cancel = move |event: ev::Event| {
        event.prevent_default();
        if !locked.get_untracked() {
            open.set(false);
        }
    };
    let children = StoredValue::new(children);
    view! {
        <dialog class="modal" node_ref=node on:cancel=on_cancel on:close=move |_| open.set(false) aria-label=move || title.get()>
            <Show when=move || open.get()>
                <div class="dialog">
                    <h2>{move || title.get()}</h2>
                    {children.with_value(|children| children())}
                </div>
            </Show>
        </dialog>
    }
    .into_any()
}

/// The row that ends a dialog: *Cancel*, which closes it, and the verb that it is for. The verb sends the form around it; with `on_click` it
/// answers a question instead, and there *Cancel*, the safe choice, has the focus.
#[component]
pub fn DialogActions(
    open: RwSignal<bool>,
    #[prop(default = ButtonKind::Primary)] kind: ButtonKind,
    /// What the verb started still runs.
    #[prop(optional, into)]
    busy: Signal<bool>,
    /// The verb can't be chosen yet; `title` says why.
    #[prop(optional, into)]
    disabled: Signal<bool>,
    #[prop(optional, into)] title: MaybeProp<String>,
    #[prop(optional, into)] on_click: Option<Press>,
    /// The verb.
    children: Children,
) -> impl IntoView {
    let asks = on_click.is_some();
    let submit = !asks;
    view! {
        <div class="acts end">
            <Button disabled=busy attr:autofocus=asks on_click=move |_| open.set(false)>
                "Cancel"
            </Button>
            <Button kind=kind submit=submit busy=busy disabled=disabled title=title on_click=handler(on_click)>
                {children()}
            </Button>
        </div>
    }
    .into_any()
}

/// The `open` of a dialog that is about something: open from when `target` holds it, which is forgotten when the dialog closes.
pub fn open_about<T: Send + Sync + 'static>(target: RwSignal<Option<T>>) -> RwSignal<bool> {
    let open = RwSignal::new(false);
    Effect::new(move |_| {
        if target.with(Option::is_some) {
            open.set(true);
        }
    });
    Effect::new(move |before: Option<bool>| {
        let is_open = open.get();
        if before == Some(true) && !is_open {
            target.set(None);
        }
        is_open
    });
    open
}
