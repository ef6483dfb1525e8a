//! What the lists of the administration share: they follow the address, so that reload and back work; they ask for a page at a time,
//! and keep what is shown while they ask.

use std::time::Duration;

use leptos::{leptos_dom::helpers::TimeoutHandle, prelude::*, task::spawn_local};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_query_map},
    location::Url,
    params::ParamsMap,
};
use serde::Serialize;
use serde_json::Value;
use wire::admin::{Direction, Listed};

use crate::{
    api::ApiError,
    ui::{Button, Empty, Icon, PanelError, Skeleton, format},
};

/// Typing pauses that long before the list is asked for.
pub const PAUSE: Duration = Duration::from_millis(250);

/// A page and what its address asks for.
#[derive(Clone, Copy)]
pub struct Place {
    path: Signal<String>,
    query: Memo<ParamsMap>,
    go: Callback<(String, bool)>,
}

impl Place {
    /// `path` is the page's own, without a query.
    pub fn here(path: &'static str) -> Self {
        Self::at(Signal::stored(path.to_owned()))
    }

    /// The page that is open, whichever that is.
    pub fn of_page() -> Self {
        Self::at(use_location().pathname.into())
    }

    fn at(path: Signal<String>) -> Self {
        let navigate = use_navigate();
        let go = Callback::new(move |(to, replace): (String, bool)| {
            navigate(&to, NavigateOptions { replace, scroll: false, ..NavigateOptions::default() });
        });
        Self { path, query: use_query_map(), go }
    }

    /// What the address says under a name; `None` where that is nothing. Reactive.
    pub fn get(self, name: &str) -> Option<String> {
        self.query.with(|query| query.get(name)).filter(|value| !value.is_empty())
    }

    pub fn get_untracked(self, name: &str) -> Option<String> {
        self.query.with_untracked(|query| query.get(name)).filter(|value| !value.is_empty())
    }

    /// The address with some values set or taken out. A list begins anew by that, unless it is about its cursor.
    pub fn href(self, changes: &[(&str, Option<String>)]) -> String {
        let mut pairs: Vec<(String, String)> = self.query.with(|query| {
            query.clone().into_iter().map(|(name, value)| (name.into_owned(), value)).filter(|(name, _)| name != "cursor").collect()
        });
        pairs.retain(|(name, value)| !value.is_empty() && !changes.iter().any(|(changed, _)| changed == name));
        pairs.extend(changes.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?))));
        format!("{}{}", self.path.get(), write_query(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
    }

    /// Goes to [`Self::href`]; `replace` leaves no step to go back to, as for letters that are typed.
    pub fn set(self, changes: &[(&str, Option<String>)], replace: bool) {
        let to = untrack(|| self.href(changes));
        self.go.run((to, replace));
    }
}

fn write_query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let text: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", Url::escape(value))).collect();
    if text.is_empty() { String::new() } else { format!("?{}", text.join("&")) }
}

/// Something that the server is asked for, and asked again when what is asked for changes.
pub struct Remote<T: Send + Sync + 'static> {
    pub shown: RwSignal<Option<Result<T, String>>>,
    /// Something else was asked for and is not there yet.
    pub busy: RwSignal<bool>,
    again: RwSignal<u32>,
    /// The last request has no answer yet.
    waiting: StoredValue<bool>,
}

impl<T: Send + Sync + 'static> Clone for Remote<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Remote<T> {}

impl<T: Clone + PartialEq + Send + Sync + 'static> Remote<T> {
    /// `first` is what the page brought along for what `key` is now. An answer that is late is dropped.
    pub fn follow<K, F>(first: Option<T>, key: Memo<K>, read: impl Fn(K) -> F + 'static) -> Self
    where
        K: Clone + PartialEq + Send + Sync + 'static,
        F: Future<Output = Result<T, ApiError>> + 'static,
    {
        let came = first.is_some();
        let remote = Self {
            shown: RwSignal::new(first.map(Ok)),
            busy: RwSignal::new(false),
            again: RwSignal::new(0),
            waiting: StoredValue::new(false),
        };
        Effect::new(move |before: Option<(K, u32)>| {
            let now = (key.get(), remote.again.get());
            if before.is_none() && came {
                return now;
            }
            if before.as_ref().is_none_or(|before| before.0 != now.0) {
                remote.busy.set(true);
            }
            remote.waiting.set_value(true);
            let (asked, answer) = (now.clone(), read(now.0.clone()));
            spawn_local(async move {
                let found = answer.await.map_err(|error| error.to_string());
                let wanted = key.try_get_untracked().zip(remote.again.try_get_untracked());
                if wanted != Some(asked) {
                    return;
                }
                remote.waiting.set_value(false);
                let was_new = remote.busy.get_untracked();
                remote.busy.set(false);
                let same = remote.shown.with_untracked(|shown| shown.as_ref() == Some(&found));
                // Asked again by itself, a failure leaves what is shown.
                let keeps = found.is_err() && !was_new && remote.shown.with_untracked(|shown| matches!(shown, Some(Ok(_))));
                if !same && !keeps {
                    remote.shown.set(Some(found));
                }
            });
            now
        });
        remote
    }

    /// Asks again and leaves what is shown until the answer comes.
    pub fn reload(self) {
        self.again.try_update(|n| *n += 1);
    }

    /// Asks again after a failure.
    pub fn retry(self) {
        self.shown.set(None);
        self.reload();
    }

    /// Asks again now and then while the page is looked at; never while an answer is under way, which would drop it.
    pub fn every(self, pause: Duration) {
        Effect::new(move |_| {
            let timer = set_interval_with_handle(
                move || {
                    if !document().hidden() && self.waiting.try_get_value() == Some(false) {
                        self.reload();
                    }
                },
                pause,
            );
            on_cleanup(move || {
                if let Ok(timer) = timer {
                    timer.clear();
                }
            });
        });
    }

    /// What is shown, if that is not a failure. Reactive.
    pub fn get(self) -> Option<T> {
        self.shown.with(|shown| shown.as_ref().and_then(|shown| shown.as_ref().ok()).cloned())
    }

    pub fn set(self, value: T) {
        self.shown.set(Some(Ok(value)));
    }
}

impl<T: Clone + PartialEq + Send + Sync + 'static> Remote<Listed<T>> {
    pub fn items(self) -> Vec<T> {
        self.get().map(|list| list.items).unwrap_or_default()
    }

    pub fn has_items(self) -> bool {
        self.shown.with(|shown| matches!(shown, Some(Ok(list)) if !list.items.is_empty()))
    }

    pub fn total(self) -> i64 {
        self.shown.with(|shown| shown.as_ref().and_then(|shown| shown.as_ref().ok()).map_or(0, |list| list.total))
    }

    /// One row of the list as it is now, and as it was last once it is gone; so that a row stays the same element while it changes.
    pub fn row(self, first: T, fits: impl Fn(&T) -> bool + Send + Sync + 'static) -> Memo<T> {
        Memo::new(move |before: Option<&T>| {
            let now = self.shown.with(|shown| match shown {
                Some(Ok(list)) => list.items.iter().find(|row| fits(row)).cloned(),
                _ => None,
            });
            now.or_else(|| before.cloned()).unwrap_or_else(|| first.clone())
        })
    }

    /// Shows a row as it is now. An answer under way is older than that and is asked for again.
    pub fn put(self, fits: impl Fn(&T) -> bool, change: impl FnOnce(&mut T)) {
        let _ = self.shown.try_update(|shown| {
            if let Some(Ok(list)) = shown
                && let Some(row) = list.items.iter_mut().find(|row| fits(row))
            {
                change(row);
            }
        });
        if self.waiting.try_get_value() == Some(true) {
            self.reload();
        }
    }
}

/// In the place of a table without rows: loading, failed, or empty.
pub fn no_rows<T>(remote: Remote<Listed<T>>, place: Place, title: &'static str, text: &'static str) -> AnyView
where
    T: Clone + PartialEq + Send + Sync + 'static,
{
    let body = move || match remote.shown.get() {
        None => view! { <Skeleton lines=5 /> }.into_any(),
        Some(Err(reason)) => view! {
            <PanelError title="This list can't be shown" text=reason>
                <Button on_click=move |_| remote.retry()>"Try again"</Button>
                <a class="btn btn--ghost" href=place.path>"Show the whole list"</a>
            </PanelError>
        }
        .into_any(),
        Some(Ok(_)) => view! { <Empty title=title text=text /> }.into_any(),
    };
    view! { <div class="inset">{body}</div> }.into_any()
}

/// The search box of a list; what is typed goes into the address as `q`.
#[component]
pub fn ListSearch(place: Place, label: &'static str) -> impl IntoView {
    let first = place.get_untracked("q").unwrap_or_default();
    let text = RwSignal::new(first.clone());
    let timer = StoredValue::new(None::<TimeoutHandle>);
    let typed = move |value: String| {
        text.set(value);
        if let Some(timer) = timer.get_value() {
            timer.clear();
        }
        let send = move || {
            timer.set_value(None);
            if let Some(value) = text.try_get_untracked() {
                let value = value.trim().to_owned();
                place.set(&[("q", (!value.is_empty()).then_some(value))], true);
            }
        };
        timer.set_value(set_timeout_with_handle(send, PAUSE).ok());
    };
    // Back and forward show what was searched for then.
    Effect::new(move |_| {
        let asked = place.get("q").unwrap_or_default();
        if timer.with_value(Option::is_none) && text.with_untracked(|text| text.trim() != asked) {
            text.set(asked);
        }
    });
    on_cleanup(move || {
        if let Some(timer) = timer.try_get_value().flatten() {
            timer.clear();
        }
    });
    view! {
        <span class="head-search">
            <span class="with-icon">
                <Icon name="search" small=true />
                <input
                    class="input input--s"
                    type="search"
                    aria-label=label
                    placeholder=label
                    autocomplete="off"
                    maxlength="200"
                    value=first
                    prop:value=move || text.get()
                    on:input:target=move |ev| typed(ev.target().value())
                />
            </span>
        </span>
    }
    .into_any()
}

/// A filter whose value is in the address. The first choice is everything.
#[component]
pub fn ListFilter(
    place: Place,
    /// In the address.
    name: &'static str,
    label: &'static str,
    /// Value and text.
    choices: Vec<(&'static str, &'static str)>,
    /// Where a `label` element names it.
    #[prop(optional)]
    id: &'static str,
) -> impl IntoView {
    let chosen = Memo::new(move |_| place.get(name).unwrap_or_default());
    view! {
        <select
            id=(!id.is_empty()).then_some(id)
            class="select select--s"
            aria-label=id.is_empty().then_some(label)
            prop:value=move || chosen.get()
            on:change:target=move |event| {
                let value = event.target().value();
                place.set(&[(name, (!value.is_empty()).then_some(value))], false);
            }
        >
            {choices
                .into_iter()
                .map(|(value, text)| {
                    view! {
                        <option value=value selected=move || chosen.with(|chosen| chosen == value)>
                            {text}
                        </option>
                    }
                })
                .collect_view()}
        </select>
    }
    .into_any()
}

/// How a list is sorted by its address, where `default` holds without a word in it.
pub fn direction_of(place: Place, sort: &str, default: &str, first: Direction) -> Option<Direction> {
    let now = place.get("sort").unwrap_or_else(|| default.to_owned());
    let turned = match place.get("direction").as_deref() {
        Some("asc") => Direction::Asc,
        Some("desc") => Direction::Desc,
        _ => first,
    };
    (now == sort).then_some(turned)
}

/// A column header that sorts by going to another address.
#[component]
pub fn SortLink(
    place: Place,
    label: &'static str,
    sort: &'static str,
    default: &'static str,
    /// The way that is sorted first.
    #[prop(default = Direction::Desc)]
    first: Direction,
    #[prop(optional)] class: &'static str,
) -> impl IntoView {
    let now = Memo::new(move |_| direction_of(place, sort, default, first));
    let href = move || {
        let next = match now.get() {
            None => first,
            Some(Direction::Asc) => Direction::Desc,
            Some(Direction::Desc) => Direction::Asc,
        };
        place.href(&[("sort", Some(sort.to_owned())), ("direction", Some(direction_word(next).to_owned()))])
    };
    let sorted = move || now.get().map(|way| if way == Direction::Asc { "ascending" } else { "descending" });
    let arrow =
        move || now.get().map(|way| view! { <Icon name=if way == Direction::Asc { "arrow-up" } else { "arrow-down" } small=true /> });
    view! {
        <th scope="col" role="columnheader" class=class aria-sort=sorted>
            <a class="sort" href=href>
                {label}
                {arrow}
            </a>
        </th>
    }
    .into_any()
}

/// Sort, label, and the way that is sorted first.
pub type Order = (&'static str, &'static str, Direction);

/// On the phone, where no column headers are seen: how the list is sorted.
#[component]
pub fn ListOrder(place: Place, default: &'static str, orders: Vec<Order>) -> impl IntoView {
    let known = orders.clone();
    let first = orders.iter().find(|order| order.0 == default).map_or(Direction::Desc, |order| order.2);
    let chosen = Memo::new(move |_| {
        let sort = place.get("sort").unwrap_or_else(|| default.to_owned());
        let way = known.iter().find(|order| order.0 == sort).and_then(|order| direction_of(place, order.0, default, order.2));
        format!("{sort}.{}", direction_word(way.unwrap_or(first)))
    });
    let option = move |(sort, label, way): Order| {
        let other = if way == Direction::Asc { Direction::Desc } else { Direction::Asc };
        [way, other]
            .map(|way| {
                let value = format!("{sort}.{}", direction_word(way));
                let text = format!("{label}, {}", if way == Direction::Asc { "ascending" } else { "descending" });
                let is_chosen = {
                    let value = value.clone();
                    move || chosen.with(|chosen| *chosen == value)
                };
                view! {
                    <option value=value selected=is_chosen>
                        {text}
                    </option>
                }
            })
            .into_iter()
            .collect_view()
    };
    view! {
        <span class="phone-only">
            <select
                class="select select--s"
                aria-label="Order"
                prop:value=move || chosen.get()
                on:change:target=move |event| {
                    if let Some((sort, way)) = event.target().value().split_once('.') {
                        place.set(&[("sort", Some(sort.to_owned())), ("direction", Some(way.to_owned()))], false);
                    }
                }
            >
                {orders.into_iter().map(option).collect_view()}
            </select>
        </span>
    }
    .into_any()
}

fn direction_word(way: Direction) -> &'static str {
    if way == Direction::Asc { "asc" } else { "desc" }
}

/// Below a list: how much of it this is, and the pages before and after.
#[component]
pub fn ListPager(
    place: Place,
    #[prop(into)] shown: Signal<usize>,
    /// `None` where nobody counts.
    #[prop(into)]
    total: Signal<Option<i64>>,
    #[prop(into)] previous: Signal<Option<String>>,
    #[prop(into)] next: Signal<Option<String>>,
) -> impl IntoView {
    let link = move |cursor: Signal<Option<String>>, text: &'static str| {
        move || match cursor.get() {
            Some(cursor) => {
                let href = place.href(&[("cursor", Some(cursor))]);
                view! { <a class="btn btn--s" href=href>{text}</a> }.into_any()
            }
            None => view! { <span class="btn btn--s off" aria-disabled="true">{text}</span> }.into_any(),
        }
    };
    let said = move || {
        let shown = i64::try_from(shown.get()).unwrap_or(i64::MAX);
        match total.get() {
            Some(total) => format!("{} of {}", format::count(shown), format::count(total)),
            None => format!("{} shown", format::count(shown)),
        }
    };
    view! {
        <nav
            class="pager"
            aria-label="Pages of the list"
            hidden=move || previous.with(Option::is_none) && next.with(Option::is_none)
        >
            <span>{said}</span>
            <span class="grow"></span>
            {link(previous, "Back")}
            {link(next, "Next")}
        </nav>
    }
    .into_any()
}

/// Rows shown, rows in all, and the cursors of the pages before and after.
type Pages = (usize, i64, Option<String>, Option<String>);

/// [`ListPager`] of a list that is turned both ways.
pub fn pager_of<T: Clone + PartialEq + Send + Sync + 'static>(remote: Remote<Listed<T>>, place: Place) -> AnyView {
    let list = Memo::new(move |_| remote.get().map(|list| (list.items.len(), list.total, list.previous_cursor, list.next_cursor)));
    let part = move |take: fn(&Pages) -> Option<String>| Signal::derive(move || list.with(|list| list.as_ref().and_then(take)));
    view! {
        <ListPager
            place=place
            shown=Signal::derive(move || list.with(|list| list.as_ref().map_or(0, |list| list.0)))
            total=Signal::derive(move || list.with(|list| list.as_ref().map(|list| list.1)))
            previous=part(|list| list.2.clone())
            next=part(|list| list.3.clone())
        />
    }
    .into_any()
}

/// What a list is asked for, as the query of its route with the `?`; the whole list and not one page of it.
pub fn write_asked(query: &impl Serialize) -> String {
    let pairs = asked_pairs(query);
    write_query(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn asked_pairs(query: &impl Serialize) -> Vec<(String, String)> {
    let Ok(Value::Object(fields)) = serde_json::to_value(query) else { return Vec::new() };
    let text = |value: Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    fields
        .into_iter()
        .filter(|(name, _)| name != "cursor" && name != "limit")
        .filter_map(|(name, value)| Some((name, text(value)?)))
        .collect()
}

/// The same list as a file. `query` is what was understood of the address: what the route does not know never reaches it.
#[component]
pub fn CsvLink<Q: Serialize + Send + Sync + 'static>(query: Memo<Q>, path: &'static str, name: &'static str) -> impl IntoView {
    let href = move || format!("{path}{}", query.with(write_asked));
    view! {
        <a class="btn btn--s" href=href download=name rel="external" title="Download this list as a file">
            <Icon name="download" small=true />
            "CSV"
        </a>
    }
    .into_any()
}

/// What was refused or failed, above a list.
#[component]
pub fn ListError(error: RwSignal<Option<String>>) -> impl IntoView {
    view! {
        <Show when=move || error.with(Option::is_some)>
            <p class="err inset" role="alert">
                <Icon name="circle-alert" small=true />
                <span>{move || error.get()}</span>
            </p>
        </Show>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::{jobs_table, users_table};

    fn address(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned())
    }

    fn sorted(query: &impl Serialize) -> Vec<String> {
        let mut pairs: Vec<String> = asked_pairs(query).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.sort_unstable();
        pairs
    }

    #[test]
    fn a_file_of_a_list_is_asked_for_in_the_words_of_its_route() {
        let jobs = jobs_table::query_of(address(&[("state", "live"), ("q", "a b"), ("cursor", "x")]));
        assert_eq!(sorted(&jobs), ["live=true", "search=a b"]);
        let users = users_table::query_of(address(&[("sort", "x"), ("role", "nobody"), ("second_factor", "false")]));
        assert_eq!(sorted(&users), ["direction=desc", "second_factor=false", "sort=joined"]);
    }
}
