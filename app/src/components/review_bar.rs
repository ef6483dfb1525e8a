//! The foot of the review, which counts and applies, and the list of its keys.

use leptos::prelude::*;

use super::{
    review_desk::Desk,
    review_state::{Mark, Standing, Tally},
};
use crate::ui::{Button, ButtonKind, Dialog, Icon, IconButton, format};

#[component]
pub fn SummaryBar(desk: Desk) -> impl IntoView {
    let tally = Memo::new(move |_| desk.tally());
    let marked = Memo::new(move |_| desk.marks.with(|marks| marks.len() as i64));
    let rejects = Memo::new(move |_| desk.marks.with(|marks| marks.values().any(Mark::is_reject)));
    let unsent = Memo::new(move |_| {
        desk.set.with(|set| set.iter().flat_map(|set| &set.comments).filter(|comment| comment.sent_at.is_none()).count() as i64)
    });
    let may_send = move || unsent.get() > 0 && desk.has_conversation();
    let why_not_send = move || (!desk.ide.can_edit()).then(|| "Editors of the project may give the agent work".to_owned());
    let open = move || tally.with(Tally::open) as i64;
    let done = move || tally.with(|tally| tally.total() > 0 && tally.open() == 0) && marked.get() == 0;
    let pips = move || {
        let pip = |standing: &Standing| {
            let class = match standing {
                Standing::Accepted | Standing::Edited => "y",
                Standing::Rejected => "x",
                Standing::Conflict => "q",
                Standing::Open => "",
            };
            view! { <i class=class></i> }
        };
        // More than this many would not fit, and nobody counts them.
        tally.with(|tally| (tally.total() <= 24).then(|| tally.standings.iter().map(pip).collect_view()))
    };
    view! {
        <Show when=move || desk.set.with(Option::is_some)>
            {move || {
                desk.failure
                    .get()
                    .map(|text| {
                        view! {
                            <p class="err rv-failure" role="alert">
                                <Icon name="circle-alert" small=true />
                                <span>{text}</span>
                            </p>
                        }
                    })
            }}
            {move || {
                desk.news
                    .get()
                    .map(|text| {
                        view! {
                            <p class="rv-news">
                                <Icon name="users" small=true />
                                <span>{text}</span>
                                <span class="grow"></span>
                                <IconButton icon="x" label="Dismiss" small=true on_click=move |_| desk.news.set(None) />
                            </p>
                        }
                    })
            }}
            <Show when=move || rejects.get() && desk.has_conversation()>
                <div class="rv-reason">
                    <input
                        class="input input--s"
                        aria-label="Why rejected, told to the agent"
                        placeholder="Why rejected? The agent is told (optional)"
                        prop:value=move || desk.reason.get()
                        on:input:target=move |ev| desk.reason.set(ev.target().value())
                    />
                </div>
            </Show>
            <footer class="sumbar">
                <span class="strong nowrap" role="status">
                    {move || tally.with(|tally| format!("{} of {} decided", tally.decided(), format::counted(tally.total() as i64, "hunk", "hunks")))}
                </span>
                <span class="pips desk" aria-hidden="true">
                    {pips}
                </span>
                <span class="t2 fs12 desk wide clip">
                    {move || match (done(), desk.has_conversation()) {
                        (false, _) => "Nothing is written until you apply.",
                        (true, true) => "All decided; the agent is told with your next message.",
                        (true, false) => "All decided.",
                    }}
                </span>
                <span class="grow"></span>
                <Show when=may_send>
                    <Button
                        icon="messages-square"
                        disabled=Signal::derive(move || desk.busy.get() || !desk.ide.can_edit())
                        title=Signal::derive(why_not_send)
                        on_click=move |_| desk.send_comments()
                    >
                        {move || format!("Send {}", format::counted(unsent.get(), "comment", "comments"))}
                    </Button>
                </Show>
                <Show
                    when=done
                    fallback=move || {
                        view! {
                            <Show when=move || { open() > 0 && desk.ide.can_review() }>
                                <span class="desk row">
                                    <Show when=move || !desk.is_of_agent()>
                                        <Button disabled=desk.busy on_click=move |_| desk.mark_all(None, &Mark::reject())>
                                            {move || format!("Reject the {} open", open())}
                                        </Button>
                                    </Show>
                                    <Button disabled=desk.busy on_click=move |_| desk.mark_all(None, &Mark::Accept)>
                                        {move || format!("Accept the {} open", open())}
                                    </Button>
                                </span>
                            </Show>
                            <Button
                                kind=ButtonKind::Primary
                                busy=desk.busy
                                disabled=Signal::derive(move || marked.get() == 0 || !desk.ide.can_review())
                                title=Signal::derive(move || (marked.get() == 0).then(|| "Accept or reject a hunk first".to_owned()))
                                on_click=move |_| desk.apply()
                            >
                                {move || format!("Apply {}", format::counted(marked.get(), "decision", "decisions"))}
                                <kbd>"Ctrl ⏎"</kbd>
                            </Button>
                        }
                    }
                >
                    <Button kind=ButtonKind::Primary on_click=move |_| desk.ide.close_review()>
                        "Back to the editor"
                    </Button>
                </Show>
            </footer>
        </Show>
    }
}

#[component]
pub fn Help(open: RwSignal<bool>) -> impl IntoView {
    let rows: [(&[&str], &str); 14] = [
        (&["J", "K"], "next and previous hunk"),
        (&["A"], "accept"),
        (&["R"], "reject"),
        (&["W"], "reject and say why"),
        (&["Shift", "A"], "accept the file"),
        (&["Shift", "R"], "reject the file"),
        (&["C"], "comment, for the agent"),
        (&["V"], "the whole file, or hunk by hunk"),
        (&["E"], "edit before accepting"),
        (&["L"], "take or leave single lines"),
        (&["U"], "undo the mark"),
        (&["F7"], "next open hunk"),
        (&["Ctrl", "Enter"], "apply all marks"),
        (&["?"], "this list"),
    ];
    view! {
        <Dialog open=open title=Signal::derive(|| "Keys of the review".to_owned())>
            <dl class="kv">
                {rows
                    .into_iter()
                    .map(|(keys, word)| {
                        view! {
                            <dt>{word}</dt>
                            <dd>
                                <span class="keys">{keys.iter().map(|key| view! { <kbd>{*key}</kbd> }).collect_view()}</span>
                            </dd>
                        }
                    })
                    .collect_view()}
            </dl>
            <div class="acts">
                <button type="button" class="btn" autofocus=true on:click=move |_| open.set(false)>
                    "Close"
                </button>
            </div>
        </Dialog>
    }
}
