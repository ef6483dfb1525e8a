//! The amounts of one budget, as fields and as what they mean.

use leptos::prelude::*;
use wire::{
    FieldError, Problem,
    budgets::{Period, format_usd, parse_usd},
};

use crate::ui::{TextField, format};

/// What is typed. Empty limits nothing.
#[derive(Clone, Copy)]
pub struct Amounts {
    pub usd: RwSignal<String>,
    pub tokens: RwSignal<String>,
    pub period: RwSignal<Period>,
    pub problem: RwSignal<Option<Problem>>,
}

impl Default for Amounts {
    fn default() -> Self {
        Self {
            usd: RwSignal::new(String::new()),
            tokens: RwSignal::new(String::new()),
            period: RwSignal::new(Period::Month),
            problem: RwSignal::new(None),
        }
    }
}

impl Amounts {
    pub fn fill(self, usd_micros: Option<i64>, tokens: Option<i64>, period: Period) {
        self.usd.set(usd_micros.map(|micros| format_usd(micros).trim_start_matches('$').to_owned()).unwrap_or_default());
        self.tokens.set(tokens.map(|tokens| tokens.to_string()).unwrap_or_default());
        self.period.set(period);
        self.problem.set(None);
    }

    /// Micro-dollars and tokens; what can't be read is told in the fields.
    pub fn read(self) -> Option<(Option<i64>, Option<i64>)> {
        match read(&self.usd.get_untracked(), &self.tokens.get_untracked()) {
            Ok(read) => Some(read),
            Err(fields) => {
                self.problem.set(Some(Problem::invalid(fields)));
                None
            }
        }
    }
}

fn read(usd: &str, tokens: &str) -> Result<(Option<i64>, Option<i64>), Vec<FieldError>> {
    let mut wrong = Vec::new();
    let money = match usd.trim() {
        "" => None,
        text => parse_usd(text).or_else(|| {
            wrong.push(FieldError::new("usd_micros", "Write an amount such as 25 or 0.50, or leave it empty."));
            None
        }),
    };
    let tokens = match tokens.trim() {
        "" => None,
        text => {
            let digits: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, ',' | '.' | '_' | '\'')).collect();
            digits.parse().ok().or_else(|| {
                wrong.push(FieldError::new("tokens", "Write a number such as 200000, or leave it empty."));
                None
            })
        }
    };
    if wrong.is_empty() { Ok((money, tokens)) } else { Err(wrong) }
}

/// The fields. `with_period` lets the month or the whole be chosen.
#[component]
pub fn AmountFields(amounts: Amounts, #[prop(optional)] with_period: bool) -> impl IntoView {
    let field = move |wanted: &'static str| Signal::derive(move || amounts.problem.with(|p| p.as_ref()?.field(wanted).map(str::to_owned)));
    view! {
        <div class="budget-fields">
            <TextField
                label="US dollars"
                name="usd_micros"
                bind=amounts.usd
                error=field("usd_micros")
                hint="Such as 25 or 0.50. Empty: no limit."
                autocomplete="off"
            />
            <TextField
                label="Tokens"
                name="tokens"
                bind=amounts.tokens
                error=field("tokens")
                hint="In and out together. Empty: no limit."
                autocomplete="off"
            />
            {with_period
                .then(|| {
                    view! {
                        <div class="field">
                            <label for="f-period">"Begins again"</label>
                            <select
                                id="f-period"
                                class="select"
                                on:change:target=move |event| {
                                    amounts.period.set(if event.target().value() == "total" { Period::Total } else { Period::Month })
                                }
                            >
                                <option value="month" selected=move || amounts.period.get() == Period::Month>
                                    "Each month (UTC)"
                                </option>
                                <option value="total" selected=move || amounts.period.get() == Period::Total>
                                    "Never"
                                </option>
                            </select>
                        </div>
                    }
                })}
        </div>
    }
    .into_any()
}

/// What was typed, said back: `$25.00 and 200 000 tokens`.
pub fn say(usd_micros: Option<i64>, tokens: Option<i64>) -> String {
    let money = usd_micros.map(format_usd);
    let tokens = tokens.map(|tokens| format::counted(tokens, "token", "tokens"));
    let parts: Vec<_> = money.into_iter().chain(tokens).collect();
    if parts.is_empty() { "no limit".to_owned() } else { parts.join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        assert_eq!(read("$2.50", "200 000"), Ok((Some(2_500_000), Some(200_000))));
        assert_eq!(read("", " "), Ok((None, None)));
        let names: Vec<_> = read("lots", "many").unwrap_err().into_iter().map(|field| field.field).collect();
        assert_eq!(names, ["usd_micros", "tokens"]);
    }
}
