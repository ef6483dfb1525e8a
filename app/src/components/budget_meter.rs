//! What is left of the budget that ends first, in the bar on top and as a notice in the chat.

use std::time::Duration;

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    ConversationId, ProjectId,
    budgets::{Budget, BudgetLimits, BudgetScope, Period},
    event::{Event, EventKind},
};

use super::{
    budget_form::{AmountFields, Amounts, Standing, say},
    budget_settings::BudgetList,
    budget_words as words,
};
use crate::{
    api,
    live::{Follow, Live},
    ui::{Banner, Button, ButtonKind, ButtonSize, Dialog, ErrorSummary, Meter, Toasts, use_toasts},
};

/// How often an open page asks what is left. Events tell people of their own calls, and of notices at 80, 90 and 100 %; that others spend
/// from the same budget in between, or that an administrator changes it, is told to nobody in particular.
const REFRESH: Duration = Duration::from_secs(20);

/// The budgets that hold in a place, kept in step with what is spent.
#[derive(Clone, Copy)]
struct Watch {
    budgets: RwSignal<Vec<Budget>>,
    place: Signal<(Option<ProjectId>, Option<ConversationId>)>,
    live: Option<Live>,
    /// Notices, from the first answer on.
    follow: StoredValue<Option<Follow>>,
    /// Where notices are said; only one part of a page says them.
    toasts: Option<Toasts>,
}

impl Watch {
    /// Asks now, whenever `changed` does, when a notice comes, and now and then while the page is visible. A failure leaves what is shown.
    fn start(self, changed: Signal<u64>) {
        Effect::new(move |_| {
            self.place.track();
            changed.track();
            self.ask();
        });
        Effect::new(move |_| {
            let timer = set_interval_with_handle(
                move || {
                    if !document().hidden() {
                        self.ask();
                    }
                },
                REFRESH,
            );
            on_cleanup(move || {
                if let Ok(timer) = timer {
                    timer.clear();
                }
            });
        });
    }

    fn ask(self) {
        let Some((project, conversation)) = self.place.try_get_untracked() else { return };
        spawn_local(async move {
            let Ok(found) = api::budgets::mine(project, conversation).await else { return };
            if self.place.try_get_untracked() != Some((project, conversation)) {
                return;
            }
            if self.budgets.try_with_untracked(|shown| *shown != found.budgets) == Some(true) {
                self.budgets.set(found.budgets);
            }
            if let Some(live) = self.live.filter(|_| self.follow.try_with_value(Option::is_none) == Some(true)) {
                self.follow.set_value(Some(live.follow(found.stream, found.seq, move |event| self.told(event))));
            }
        });
    }

    fn told(self, event: &Event) {
        if let EventKind::BudgetNotice { sentence, .. } = &event.kind {
            if let Some(toasts) = self.toasts {
                toasts.show(sentence.clone());
            }
            self.ask();
        }
    }
}

/// In the bar on top: nothing where no budget holds.
#[component]
pub fn BudgetMeter(#[prop(optional)] project: Option<ProjectId>, #[prop(optional, into)] changed: Signal<u64>) -> impl IntoView {
    let budgets = RwSignal::new(Vec::<Budget>::new());
    let place = Signal::derive(move || (project, None));
    let watch = Watch { budgets, place, live: use_context(), follow: StoredValue::new(None), toasts: Some(use_toasts()) };
    watch.start(changed);
    let shown = move || budgets.with(|list| words::tightest(list).cloned());
    move || {
        shown().map(|budget| {
            let (percent, reserved, near) = (budget.percent as f64, words::reserved_percent(&budget), budget.percent >= words::NEAR);
            let (left, used) = (words::left(&budget), words::used(&budget));
            let label = format!("{left} of the budget of {}: {used} {}", budget.scope.noun(), words::period(budget.period));
            view! {
                <a class="budget" class:c-warn=near href="/settings/usage" aria-label=label.clone() title=label>
                    <Meter
                        label="Budget used"
                        percent=Signal::derive(move || percent)
                        reserved=Signal::derive(move || reserved)
                        warn=Signal::derive(move || near)
                    />
                    <span>{left}</span>
                </a>
            }
        })
    }
}

/// In the chat: the sentence of the budget that ends first, once it is nearly used, and the way to the conversation's own.
#[component]
pub fn BudgetNotice(
    project: ProjectId,
    #[prop(into)] conversation: Signal<Option<ConversationId>>,
    #[prop(into)] changed: Signal<u64>,
    /// Opens what sets the conversation's budget.
    setting: RwSignal<bool>,
) -> impl IntoView {
    let budgets = RwSignal::new(Vec::<Budget>::new());
    let place = Signal::derive(move || (Some(project), conversation.get()));
    // The meter on top says notices; here they stay as long as they hold.
    let watch = Watch { budgets, place, live: use_context(), follow: StoredValue::new(None), toasts: None };
    watch.start(changed);
    let warning = Memo::new(move |_| {
        budgets.with(|list| {
            words::tightest(list).and_then(|budget| Some((words::warning(budget)?, budget.scope == BudgetScope::Conversation)))
        })
    });
    view! {
        {move || {
            warning
                .get()
                .map(|(sentence, is_own)| {
                    view! {
                        <div class="chat-budget">
                            <Banner icon="wallet" title="Budget" text=sentence>
                                {is_own
                                    .then(|| {
                                        view! {
                                            <Button size=ButtonSize::Small on_click=move |_| setting.set(true)>
                                                "Change it"
                                            </Button>
                                        }
                                    })}
                            </Banner>
                        </div>
                    }
                })
        }}
        <ConversationBudget open=setting conversation=conversation budgets=budgets />
    }
    .into_any()
}

/// What one conversation may cost over all its turns.
#[component]
fn ConversationBudget(open: RwSignal<bool>, conversation: Signal<Option<ConversationId>>, budgets: RwSignal<Vec<Budget>>) -> impl IntoView {
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let amounts = Amounts::default();
    // The version that the fields began with, 0 for none.
    let base = RwSignal::new(0_i64);
    Effect::new(move |_| {
        if open.get() {
            let own = budgets.with_untracked(|list| list.iter().find(|budget| budget.scope == BudgetScope::Conversation).cloned());
            base.set(own.as_ref().map_or(0, |own| own.version));
            amounts.fill(own.as_ref().and_then(|own| own.usd_micros), own.as_ref().and_then(|own| own.tokens), Period::Total);
        }
    });
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(id) = conversation.get_untracked().filter(|_| !busy.get_untracked()) else { return };
        let Some((usd_micros, tokens)) = amounts.read() else { return };
        busy.set(true);
        spawn_local(async move {
            let limits = BudgetLimits { period: Period::Total, usd_micros, tokens, version: base.try_get_untracked() };
            let saved = api::budgets::set_of_conversation(id, limits).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match saved {
                Ok(list) => {
                    budgets.set(list);
                    open.set(false);
                    toasts.show(format!("The conversation's budget was set to {}", say(usd_micros, tokens)));
                }
                Err(error) => {
                    if let Some(now) = amounts.refuse(error.0) {
                        base.set(now.map_or(0, |now| now.version));
                    }
                }
            }
        });
    };
    let on_top = Signal::derive(move || amounts.problem.with(|p| p.as_ref().filter(|p| p.fields.is_empty()).map(ToString::to_string)));
    let holding = move || budgets.get();
    view! {
        <Dialog open=open title="Budgets of this conversation" locked=busy>
            <form novalidate=true on:submit=save class="stack">
                <ErrorSummary message=on_top />
                <Show
                    when=move || budgets.with(|list| !list.is_empty())
                    fallback=|| view! { <p class="t2">"No budget holds here yet. What models cost shows in your settings."</p> }
                >
                    {move || view! { <BudgetList budgets=holding() /> }}
                </Show>
                <Show
                    when=move || conversation.with(Option::is_some)
                    fallback=|| view! { <p class="t2">"Write a message first; then the conversation can have a budget of its own."</p> }
                >
                    <p class="medium">"This conversation may cost, over all its turns"</p>
                    <Standing amounts=amounts />
                    <AmountFields amounts=amounts />
                </Show>
                <div class="acts">
                    <Show when=move || conversation.with(Option::is_some)>
                        <Button kind=ButtonKind::Primary submit=true busy=busy>
                            "Save the budget"
                        </Button>
                    </Show>
                    <Button on_click=move |_| open.set(false)>"Close"</Button>
                </div>
            </form>
        </Dialog>
    }
    .into_any()
}
