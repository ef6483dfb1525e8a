use leptos::prelude::*;

use super::{Button, ButtonSize};

/// Below a long table: which rows these are, and the pages before and after. `page` counts from 0.
#[component]
pub fn Pager(page: RwSignal<usize>, page_size: usize, #[prop(into)] total: Signal<usize>) -> impl IntoView {
    let from = move || (page.get() * page_size + 1).min(total.get());
    let to = move || ((page.get() + 1) * page_size).min(total.get());
    // A list that became shorter shows its last page.
    Effect::new(move |_| {
        let (total, shown) = (total.get(), page.get_untracked());
        if total > 0 && shown * page_size >= total {
            page.set((total - 1) / page_size);
        }
    });
    let number = |value: usize| super::format::count(i64::try_from(value).unwrap_or(i64::MAX));
    view! {
        <div class="pager" hidden=move || total.get() <= page_size>
            <span>{move || format!("{}–{} of {}", number(from()), number(to()), number(total.get()))}</span>
            <span class="grow"></span>
            <Button
                size=ButtonSize::Small
                disabled=Signal::derive(move || page.get() == 0)
                on_click=move |_| page.update(|page| *page = page.saturating_sub(1))
            >
                "Earlier"
            </Button>
            <Button
                size=ButtonSize::Small
                disabled=Signal::derive(move || (page.get() + 1) * page_size >= total.get())
                on_click=move |_| page.update(|page| *page += 1)
            >
                "Later"
            </Button>
        </div>
    }
    .into_any()
}
