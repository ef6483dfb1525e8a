//! Choosing one of many people by a part of their name.

use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*};
use wire::{
    UserId,
    admin::{UserQuery, UserSort},
    users::UserState,
};

use super::admin_list::{PAUSE, Remote};
use crate::{
    api,
    ui::{Button, PanelError, SearchField, Skeleton},
};

/// People that are offered at a time.
const OFFERED: u32 = 6;

/// A search box and those who fit; `chosen` is the one that was picked, with the name.
#[component]
pub fn PersonPicker(label: &'static str, chosen: RwSignal<Option<(UserId, String)>>) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let asked = RwSignal::new(String::new());
    let timer = StoredValue::new(None::<TimeoutHandle>);
    let stop = move || {
        if let Some(timer) = timer.try_get_value().flatten() {
            timer.clear();
        }
    };
    Effect::new(move |_| {
        let typed = text.with(|text| text.trim().to_owned());
        stop();
        timer.set_value(set_timeout_with_handle(move || drop(asked.try_set(typed)), PAUSE).ok());
    });
    on_cleanup(stop);
    let key = Memo::new(move |_| asked.get());
    let found = Remote::follow(None, key, |search| async move {
        let query = UserQuery {
            search: (!search.is_empty()).then_some(search),
            state: Some(UserState::Active),
            sort: UserSort::LastSeen,
            limit: Some(OFFERED),
            ..UserQuery::default()
        };
        api::admin::users(query).await
    });
    let choice = move |id: UserId, name: String, note: String| {
        let is_chosen = move || chosen.with(|chosen| chosen.as_ref().is_some_and(|chosen| chosen.0 == id));
        let kept = StoredValue::new(name.clone());
        view! {
            <label class="pick">
                <input
                    type="radio"
                    name="person"
                    prop:checked=is_chosen
                    on:change=move |_| chosen.set(Some((id, kept.get_value())))
                />
                <span class="medium">{name}</span>
                <span class="t3 fs12 clip">{note}</span>
            </label>
        }
    };
    let outcome = Memo::new(move |_| {
        found.shown.with(|shown| shown.as_ref().map(|shown| shown.as_ref().map(|list| list.items.is_empty()).map_err(Clone::clone)))
    });
    let state = move || match outcome.get() {
        None => view! { <Skeleton lines=3 /> }.into_any(),
        Some(Err(reason)) => view! {
            <PanelError title="People can't be shown" text=reason>
                <Button on_click=move |_| found.retry()>"Try again"</Button>
            </PanelError>
        }
        .into_any(),
        Some(Ok(true)) => view! { <p class="hint">"Nobody fits. Names, usernames and e-mail addresses are searched."</p> }.into_any(),
        Some(Ok(false)) => ().into_any(),
    };
    view! {
        <fieldset class="picks" aria-busy=move || found.busy.get().then_some("true")>
            <legend>{label}</legend>
            <SearchField label="Search people" bind=text />
            {state}
            <For each=move || found.items() key=|item| item.user.id let:item>
                {choice(item.user.id, item.user.display_name().to_owned(), item.user.email.clone())}
            </For>
            <p class="hint" role="status">
                {move || chosen.with(|chosen| chosen.as_ref().map(|(_, name)| format!("Chosen: {name}")))}
            </p>
        </fieldset>
    }
    .into_any()
}
