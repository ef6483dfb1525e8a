use leptos::prelude::*;

use super::{Button, ButtonSize, Icon};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortOrder {
    Ascending,
    Descending,
}

/// A column header that sorts. `order` is `None` while another column decides. Give it `on_sort` to turn.
#[component]
pub fn SortHeader(
    label: &'static str,
    #[prop(into)] order: Signal<Option<SortOrder>>,
    #[prop(into)] on_sort: Callback<()>,
    #[prop(optional)] class: &'static str,
) -> impl IntoView {
    let sorted = move || {
        order.get().map(|order| match order {
            SortOrder::Ascending => "ascending",
            SortOrder::Descending => "descending",
        })
    };
    view! {
        <th class=class aria-sort=sorted>
            <button type="button" on:click=move |_| on_sort.run(())>
                {label}
                {move || {
                    order
                        .get()
                        .map(|order| match order {
                            SortOrder::Ascending => view! { <Icon name="arrow-up" small=true /> },
                            SortOrder::Descending => view! { <Icon name="arrow-down" small=true /> },
                        })
                }}
            </button>
        </th>
    }
    .into_any()
}

/// Below a long table: which rows these are, and the pages before and after. `page` counts from 0.
#[component]
pub fn Pager(page: RwSignal<usize>, page_size: usize, #[prop(into)] total: Signal<usize>) -> impl IntoView {
    let from = move || (page.get() * page_size + 1).min(total.get());
    let to = move || ((page.get() + 1) * page_size).min(total.get());
    let number = |value: usize| super::format::count(i64::try_from(value).unwrap_or(i64::MAX));
    view! {
        <div class="pager" hidden=move || total.get() <= page_size>
            <span>{move || format!("{}–{} of {}", number(from()), number(to()), number(total.get()))}</span>
            <span class="grow"></span>
            <Button
                size=ButtonSize::Small
                disabled=Signal::derive(move || page.get() == 0)
                on:click=move |_| page.update(|page| *page = page.saturating_sub(1))
            >
                "Earlier"
            </Button>
            <Button
                size=ButtonSize::Small
                disabled=Signal::derive(move || (page.get() + 1) * page_size >= total.get())
                on:click=move |_| page.update(|page| *page += 1)
            >
                "Later"
            </Button>
        </div>
    }
    .into_any()
}
