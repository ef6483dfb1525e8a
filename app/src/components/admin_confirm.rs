//! One question before something that can't simply be taken back.

use std::sync::Arc;

use leptos::prelude::*;

use crate::ui::{ButtonKind, Dialog, DialogActions, open_about};

#[derive(Clone)]
pub struct Ask {
    pub title: String,
    /// What happens, and what stays.
    pub text: String,
    /// The verb on the button.
    pub verb: &'static str,
    /// No `Callback`: what asks is often a menu, and is gone by the time of the answer.
    pub run: Arc<dyn Fn() + Send + Sync>,
}

/// Asks what is in `ask`; open while there is something.
#[component]
pub fn ConfirmDialog(ask: RwSignal<Option<Ask>>) -> impl IntoView {
    let open = open_about(ask);
    let title = Signal::derive(move || ask.with(|ask| ask.as_ref().map(|ask| ask.title.clone()).unwrap_or_default()));
    let go = move |_| {
        let run = ask.with_untracked(|ask| ask.as_ref().map(|ask| ask.run.clone()));
        open.set(false);
        if let Some(run) = run {
            run();
        }
    };
    view! {
        <Dialog open=open title=title>
            <p class="t2">{move || ask.with(|ask| ask.as_ref().map(|ask| ask.text.clone()))}</p>
            <DialogActions open=open kind=ButtonKind::Danger on_click=go>
                {move || ask.with(|ask| ask.as_ref().map(|ask| ask.verb))}
            </DialogActions>
        </Dialog>
    }
    .into_any()
}
