use std::{sync::Arc, time::Duration};

use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*};

use super::{Button, ButtonSize, IconButton};

const STAY: Duration = Duration::from_secs(8);
/// More at once would cover the page; the oldest goes.
const MOST: usize = 3;

/// No `Callback`: toasts outlive the page, the menu and the row that raised them.
type Action = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone)]
struct Toast {
    id: u64,
    text: String,
    action: Option<(String, Action)>,
}

/// The results on screen. Never for errors that need action: those stand where they happened.
#[derive(Debug, Clone, Copy)]
pub struct Toasts {
    items: RwSignal<Vec<Toast>>,
    next: StoredValue<u64>,
}

impl Toasts {
    /// Says a result.
    pub fn show(self, text: impl Into<String>) {
        self.push(text.into(), None);
    }

    /// Says a result that can be taken back, or followed; `action` has to work after the page was left as well.
    pub fn show_with_action(self, text: impl Into<String>, label: impl Into<String>, action: impl Fn() + Send + Sync + 'static) {
        self.push(text.into(), Some((label.into(), Arc::new(action))));
    }

    fn push(self, text: String, action: Option<(String, Action)>) {
        let id = self.next.get_value();
        self.next.set_value(id + 1);
        self.items.update(|items| {
            if items.len() == MOST {
                items.remove(0);
            }
            items.push(Toast { id, text, action });
        });
    }

    fn dismiss(self, id: u64) {
        self.items.update(|items| items.retain(|toast| toast.id != id));
    }
}

/// Makes toasts available to everything below; once, in `App`, which also renders the `ToastHost`.
pub fn provide_toasts() -> Toasts {
    let toasts = Toasts { items: RwSignal::new(Vec::new()), next: StoredValue::new(0) };
    provide_context(toasts);
    toasts
}

/// # Panics
/// Outside `App`.
pub fn use_toasts() -> Toasts {
    expect_context::<Toasts>()
}

/// Where toasts appear.
#[component]
pub fn ToastHost() -> impl IntoView {
    let toasts = use_toasts();
    view! {
        <div class="toasts" role="status" aria-live="polite">
            <For each=move || toasts.items.get() key=|toast| toast.id let:toast>
                <ToastView toasts=toasts toast=toast />
            </For>
        </div>
    }
    .into_any()
}

#[component]
fn ToastView(toasts: Toasts, toast: Toast) -> impl IntoView {
    let Toast { id, text, action } = toast;
    let timer = StoredValue::new(None::<TimeoutHandle>);
    let hold = move || {
        if let Some(timer) = timer.get_value() {
            timer.clear();
        }
    };
    let start = move || {
        hold();
        timer.set_value(set_timeout_with_handle(move || toasts.dismiss(id), STAY).ok());
    };
    Effect::new(move |_| start());
    on_cleanup(move || {
        if let Some(timer) = timer.try_get_value().flatten() {
            timer.clear();
        }
    });
    view! {
        <div
            class="toast"
            on:mouseenter=move |_| hold()
            on:mouseleave=move |_| start()
            on:focusin=move |_| hold()
            on:focusout=move |_| start()
        >
            <span>{text}</span>
            {action
                .map(|(label, action)| {
                    view! {
                        <Button
                            size=ButtonSize::Small
                            on_click=move |_| {
                                toasts.dismiss(id);
                                action();
                            }
                        >
                            {label}
                        </Button>
                    }
                })}
            <IconButton icon="x" label="Dismiss" small=true on_click=move |_| toasts.dismiss(id) />
        </div>
    }
    .into_any()
}
