use leptos::{ev, html, prelude::*};

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
