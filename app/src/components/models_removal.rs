use leptos::prelude::*;

use super::models_state::{ModelsDesk, Removal};
use crate::{
    api,
    ui::{Button, ButtonKind, Dialog, open_about},
};

/// Asks before a model or a provider is removed. Turning it off can be taken back; this can't.
#[component]
pub fn RemovalDialog(desk: ModelsDesk) -> impl IntoView {
    let open = open_about(desk.removal);
    let name = move || {
        desk.removal.with(|removal| match removal {
            Some(Removal::Model(model)) => model.name.clone(),
            Some(Removal::Provider(provider)) => provider.name.clone(),
            None => String::new(),
        })
    };
    let text = move || {
        desk.removal.with(|removal| match removal {
            Some(Removal::Provider(_)) => "Its models go with it, and so do its key and the keys that people set for it. What was measured and billed \
                                           stays. To keep the keys, turn it off instead."
                .to_owned(),
            _ => "Nobody can pick it any more. Conversations that used it stay, and what was measured and billed stays. A model of this name that \
                  is added later begins with nothing measured; turned off, it would keep that."
                .to_owned(),
        })
    };
    let remove = move |_| {
        match desk.removal.get_untracked() {
            Some(Removal::Model(model)) => desk.change(format!("{} was removed", model.name), api::models::remove_model(model.id)),
            Some(Removal::Provider(provider)) => {
                desk.change(format!("{} and its keys were removed", provider.name), api::models::remove_provider(provider.id));
            }
            None => {}
        }
        open.set(false);
    };
    view! {
        <Dialog open=open title=Signal::derive(move || format!("Remove {}", name()))>
            <p class="t2">{text}</p>
            <div class="acts end">
                <Button on_click=move |_| open.set(false) attr:autofocus=true>
                    "Keep"
                </Button>
                <Button kind=ButtonKind::Danger on_click=remove>
                    "Remove"
                </Button>
            </div>
        </Dialog>
    }
    .into_any()
}
