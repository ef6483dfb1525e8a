//! What one message may cost and how many steps it may take: as it is typed, and in words.

use leptos::prelude::*;
use wire::{
    FieldError,
    budgets::{format_usd, parse_usd},
    chat::TurnBudget,
};

use crate::ui::{IconButton, format};

/// What is typed. Empty limits nothing.
#[derive(Debug, Clone, Copy)]
pub struct MessageLimits {
    pub usd: RwSignal<String>,
    pub tokens: RwSignal<String>,
    pub steps: RwSignal<String>,
}

impl Default for MessageLimits {
    fn default() -> Self {
        let empty = || RwSignal::new(String::new());
        Self { usd: empty(), tokens: empty(), steps: empty() }
    }
}

impl MessageLimits {
    /// Whether anything is typed. Tracks it.
    pub fn is_set(&self) -> bool {
        // Each is read, so that all are tracked.
        [self.usd, self.tokens, self.steps].map(|typed| typed.with(|text| !text.trim().is_empty())).contains(&true)
    }

    /// `None` where nothing is limited. Errors: by field. Tracks what is typed.
    pub fn read(&self) -> Result<Option<TurnBudget>, Vec<FieldError>> {
        read(&self.usd.read(), &self.tokens.read(), &self.steps.read())
    }

    pub fn clear(&self) {
        for typed in [self.usd, self.tokens, self.steps] {
            typed.set(String::new());
        }
    }
}

fn read(usd: &str, tokens: &str, steps: &str) -> Result<Option<TurnBudget>, Vec<FieldError>> {
    let mut wrong = Vec::new();
    let usd_micros = match usd.trim() {
        "" => None,
        text => parse_usd(text).or_else(|| {
            wrong.push(FieldError::new("budget.usd_micros", "Write an amount such as 0.50, or leave it empty."));
            None
        }),
    };
    let tokens = match tokens.trim() {
        "" => None,
        text => text.replace([' ', ',', '\u{202f}'], "").parse().ok().or_else(|| {
            wrong.push(FieldError::new("budget.tokens", "Write a number of tokens such as 20000, or leave it empty."));
            None
        }),
    };
    let steps = match steps.trim() {
        "" => None,
        text => text.parse().ok().or_else(|| {
            wrong.push(FieldError::new("budget.steps", "Write a number of steps such as 10, or leave it empty."));
            None
        }),
    };
    let budget = TurnBudget { usd_micros, steps, tokens };
    wrong.extend(budget.validate());
    if wrong.is_empty() { Ok(budget.some()) } else { Err(wrong) }
}

/// `$0.50 and 5 steps`.
pub fn say(budget: &TurnBudget) -> String {
    let money = budget.usd_micros.map(format_usd);
    let tokens = budget.tokens.map(|tokens| format::counted(tokens, "token", "tokens"));
    let steps = budget.steps.map(|steps| format::counted(i64::from(steps), "step", "steps"));
    let parts: Vec<_> = money.into_iter().chain(tokens).chain(steps).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(" and ") }
}

/// The fields in one line, for the composer. `open` is also set while they hold something.
#[component]
pub fn LimitLine(limits: MessageLimits, open: RwSignal<bool>) -> impl IntoView {
    let wrong = Memo::new(move |_| limits.read().err().unwrap_or_default());
    let is_wrong = move |name: &'static str| wrong.with(|wrong| wrong.iter().any(|field| field.field == name));
    let sentence = move || wrong.with(|wrong| wrong.first().map(|field| field.message.clone()));
    let field = move |name: &'static str, label: &'static str, word: &'static str, bind: RwSignal<String>| {
        view! {
            <label class="row g-1">
                <span class="t2 nowrap">{word}</span>
                <input
                    class="input input--s limit-in"
                    type="text"
                    inputmode="decimal"
                    autocomplete="off"
                    aria-label=label
                    aria-invalid=move || is_wrong(name).then_some("true")
                    prop:value=move || bind.get()
                    on:input:target=move |event| bind.set(event.target().value())
                />
            </label>
        }
    };
    view! {
        <Show when=move || open.get() || limits.is_set()>
            <div class="limit-line fs12" role="group" aria-label="Limits of this message">
                {field("budget.usd_micros", "US dollars that this message may cost", "At most $", limits.usd)}
                {field("budget.tokens", "Tokens that this message may use", "Tokens", limits.tokens)}
                {field("budget.steps", "Steps that this message may take", "Steps", limits.steps)}
                <span class="grow"></span>
                <IconButton
                    icon="x"
                    small=true
                    label="No limits for this message"
                    on_click=move |_| {
                        limits.clear();
                        open.set(false);
                    }
                />
                {move || sentence().map(|text| view! { <span class="err limit-err" role="alert">{text}</span> })}
            </div>
        </Show>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_said() {
        let budget = read(" $0.50", "", "5 ").unwrap().unwrap();
        assert_eq!((budget.usd_micros, budget.steps, budget.tokens), (Some(500_000), Some(5), None));
        assert_eq!(read("", "20 000", "").unwrap().unwrap().tokens, Some(20_000));
        assert_eq!(say(&budget), "$0.50 and 5 steps");
        assert_eq!(say(&TurnBudget { steps: Some(1), ..TurnBudget::default() }), "1 step");
        assert_eq!(read("", "", " "), Ok(None));
        let names = |usd: &str, steps: &str| read(usd, "many", steps).unwrap_err().into_iter().map(|field| field.field).collect::<Vec<_>>();
        assert_eq!(names("lots", "many"), ["budget.usd_micros", "budget.tokens", "budget.steps"]);
        assert_eq!(names("", "0"), ["budget.tokens", "budget.steps"]);
        assert_eq!(names("2000000", "501"), ["budget.tokens", "budget.steps", "budget.usd_micros"]);
    }
}
