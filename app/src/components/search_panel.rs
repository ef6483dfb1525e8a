//! Search through the project, as a view of the side area: fields, what was found, and replacing it by way of a review.

use leptos::{ev, html, prelude::*};

use super::{
    commands::Command,
    ide::{Ide, use_ide},
    search_list::SearchList,
    search_state::{first_reason, found_words},
};
use crate::ui::{Button, ButtonKind, ButtonSize, Empty, Icon, IconButton, format};

/// The search panel. Its state is `ide.search`, so that it survives being hidden.
#[component]
pub fn SearchPanel() -> impl IntoView {
    let ide = use_ide();
    let search = ide.search;
    // Whatever is asked for is searched a moment after the last change.
    Effect::new(move |before: Option<()>| {
        let query = search.query();
        if before.is_some() || !query.q.is_empty() {
            search.start_soon(ide);
        }
    });
    on_cleanup(super::search_stream::stop);
    let again = Signal::derive(move || search.q.with(String::is_empty));
    view! {
        <div class="phead">
            <h2>"Search"</h2>
            <Show
                when=move || search.running.get()
                fallback=move || {
                    view! { <IconButton icon="rotate-cw" label="Search again" small=true disabled=again on_click=move |_| search.start(ide) /> }
                }
            >
                <IconButton icon="square" label="Stop the search" small=true on_click=move |_| search.stop() />
            </Show>
            <IconButton
                icon="pencil"
                label="Replace"
                key=Command::ReplaceInProject.shown_keys(ide)
                small=true
                pressed=Signal::derive(move || search.replacing.get())
                on_click=move |_| search.replacing.update(|on| *on = !*on)
            />
            <IconButton
                icon="list-filter"
                label="Choose files by patterns, and lines of context"
                small=true
                pressed=Signal::derive(move || search.filtering.get())
                on_click=move |_| search.filtering.update(|on| *on = !*on)
            />
        </div>
        <Fields ide=ide />
        <Outcome ide=ide />
        <SearchList ide=ide />
    }
}

#[component]
fn Fields(ide: Ide) -> impl IntoView {
    let search = ide.search;
    let node = NodeRef::<html::Input>::new();
    Effect::new(move |_| {
        if search.focus.get() == 0 {
            return;
        }
        // The side area may just be opening.
        request_animation_frame(move || {
            if let Some(input) = node.try_get_untracked().flatten() {
                let _ = input.focus();
                input.select();
            }
        });
    });
    let error_of = move |name: &'static str| {
        move || {
            search
                .failure
                .with(|problem| problem.as_ref()?.fields.iter().find(|field| field.field == name).map(|field| field.message.clone()))
        }
    };
    let wrong = error_of("q");
    let on_keydown = move |event: ev::KeyboardEvent| {
        match event.key().as_str() {
            "Enter" => search.start(ide),
            "ArrowDown" => super::search_list::enter(ide),
            "Escape" if search.running.get_untracked() => search.stop(),
            _ => return,
        }
        event.prevent_default();
    };
    view! {
        <div class="sr-fields" role="search" aria-label="Search through the project">
            <div class="sr-field">
                <input
                    class="input input--s"
                    type="search"
                    aria-label="Search"
                    placeholder="Search"
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck="false"
                    node_ref=node
                    prop:value=move || search.q.get()
                    aria-invalid=move || wrong().is_some().then_some("true")
                    aria-describedby="sr-wrong"
                    on:input:target=move |ev| search.q.set(ev.target().value())
                    on:keydown=on_keydown
                />
                <span class="sr-switches">
                    <Switch label="Upper and lower case matter" text="Aa" on=search.case />
                    <Switch label="Whole words only" text="ab" on=search.word />
                    <Switch label="Regular expression" text=".*" on=search.regex />
                </span>
            </div>
            <FieldError id="sr-wrong" text=Signal::derive(error_of("q")) />
            <Show when=move || search.replacing.get()>
                <input
                    class="input input--s"
                    aria-label="Replace by"
                    placeholder="Replace by"
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck="false"
                    prop:value=move || search.replacement.get()
                    on:input:target=move |ev| search.replacement.set(ev.target().value())
                />
                <FieldError id="sr-wrong-replacement" text=Signal::derive(error_of("replacement")) />
            </Show>
            <Show when=move || search.filtering.get()>
                <Pattern label="Only in" hint="*.rs, src" bind=search.include />
                <FieldError id="sr-wrong-include" text=Signal::derive(error_of("include")) />
                <Pattern label="Not in" hint="target, *.lock" bind=search.exclude />
                <FieldError id="sr-wrong-exclude" text=Signal::derive(error_of("exclude")) />
                <label class="sr-context">
                    <span>"Lines of context"</span>
                    <select
                        class="input input--s"
                        prop:value=move || search.context.get().to_string()
                        on:change:target=move |ev| search.context.set(ev.target().value().parse().unwrap_or_default())
                    >
                        {[0, 1, 2, 5].map(|count| view! { <option value=count.to_string()>{count.to_string()}</option> }).collect_view()}
                    </select>
                </label>
            </Show>
        </div>
    }
}

#[component]
fn Switch(label: &'static str, text: &'static str, on: RwSignal<bool>) -> impl IntoView {
    view! {
        <button
            type="button"
            class="ib ib--s"
            aria-label=label
            title=label
            aria-pressed=move || if on.get() { "true" } else { "false" }
            on:click=move |_| on.update(|on| *on = !*on)
        >
            {text}
        </button>
    }
}

#[component]
fn Pattern(label: &'static str, hint: &'static str, bind: RwSignal<String>) -> impl IntoView {
    view! {
        <label class="sr-pattern">
            <span>{label}</span>
            <input
                class="input input--s"
                placeholder=hint
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
                prop:value=move || bind.get()
                on:input:target=move |ev| bind.set(ev.target().value())
            />
        </label>
    }
}

#[component]
fn FieldError(id: &'static str, text: Signal<Option<String>>) -> impl IntoView {
    view! {
        <div id=id>
            {move || {
                text.get()
                    .map(|text| {
                        view! {
                            <p class="err" role="alert">
                                <Icon name="circle-alert" small=true />
                                <span>{text}</span>
                            </p>
                        }
                    })
            }}
        </div>
    }
}

/// How much was found, what was not looked into, and the way to the review.
#[component]
fn Outcome(ide: Ide) -> impl IntoView {
    let search = ide.search;
    let asked = move || search.results.with(|results| results.query.is_some());
    let counts = Memo::new(move |_| search.left_out.with(|left_out| search.results.with(|results| results.counts(left_out))));
    let words = move || {
        let (lines, files) = counts.get();
        let searched = search.results.with(|results| results.summary.as_ref().map_or(results.searched, |done| done.searched));
        let looked = format::counted(searched as i64, "file", "files");
        match (search.running.get(), lines) {
            (true, 0) => format!("Searching, {looked} so far"),
            (true, _) => format!("{} so far", found_words(lines, files)),
            (false, 0) => format!("No match in {looked}"),
            (false, _) => found_words(lines, files),
        }
    };
    let notes = move || search.results.with(|results| results.summary.as_ref().map(|done| done.notes.clone()).unwrap_or_default());
    let other_failure = move || {
        let known = ["q", "include", "exclude", "replacement"];
        search.failure.with(|problem| {
            problem.as_ref().filter(|p| !p.fields.iter().any(|field| known.contains(&field.field.as_str()))).map(first_reason)
        })
    };
    let nothing = Signal::derive(move || counts.get().0 == 0 || search.running.get() || !ide.can_edit());
    view! {
        {move || {
            other_failure()
                .map(|text| {
                    view! {
                        <p class="err sr-note" role="alert">
                            <Icon name="circle-alert" small=true />
                            <span>{text}</span>
                        </p>
                    }
                })
        }}
        <Show when=asked>
            <p class="sr-count" role="status">
                {words}
            </p>
            {move || {
                notes()
                    .into_iter()
                    .map(|note| {
                        view! {
                            <p class="sr-note">
                                <Icon name="triangle-alert" small=true />
                                <span>{note}</span>
                            </p>
                        }
                    })
                    .collect_view()
            }}
            {move || {
                let left = search.left_out.with(std::collections::BTreeSet::len) as i64;
                (left > 0)
                    .then(|| {
                        view! {
                            <p class="sr-note">
                                <span>{format!("{} left out", format::counted(left, "file", "files"))}</span>
                                <button type="button" class="link" on:click=move |_| search.left_out.update(std::collections::BTreeSet::clear)>
                                    "Show again"
                                </button>
                            </p>
                        }
                    })
            }}
        </Show>
        <Show when=move || search.replacing.get() && asked()>
            <div class="sr-acts">
                <Button
                    kind=ButtonKind::Primary
                    size=ButtonSize::Small
                    busy=search.sending
                    disabled=nothing
                    title=Signal::derive(move || {
                        (!ide.can_edit()).then(|| "Your role in this project may not propose changes".to_owned())
                    })
                    on_click=move |_| search.review(ide)
                >
                    {move || format!("Review replacements in {}", format::counted(counts.get().1, "file", "files"))}
                </Button>
            </div>
        </Show>
        <Show when=move || !asked() && search.failure.with(Option::is_none)>
            <div class="inset">
                <Empty
                    title="Search every file"
                    text="Type a text or a regular expression. Nothing is changed by a search, and replacements are reviewed before they are written."
                />
            </div>
        </Show>
    }
}
