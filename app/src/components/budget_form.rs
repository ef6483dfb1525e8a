//! The amounts of one budget, as fields and as what they mean.

use leptos::prelude::*;
use wire::{
    ErrorCode, FieldError, Problem,
    budgets::{Budget, Period, format_usd, parse_usd},
};

use crate::ui::{Button, TextField, focus, format};

/// What is typed. Empty limits nothing.
#[derive(Clone, Copy)]
pub struct Amounts {
    pub usd: RwSignal<String>,
    pub tokens: RwSignal<String>,
    pub period: RwSignal<Period>,
    pub problem: RwSignal<Option<Problem>>,
    /// What somebody else made of it meanwhile, after they were there first; within it `None` where they took it away.
    pub stands: RwSignal<Option<Option<Budget>>>,
}

impl Default for Amounts {
    fn default() -> Self {
        Self {
            usd: RwSignal::new(String::new()),
            tokens: RwSignal::new(String::new()),
            period: RwSignal::new(Period::Month),
            problem: RwSignal::new(None),
            stands: RwSignal::new(None),
        }
    }
}

impl Amounts {
    pub fn fill(self, usd_micros: Option<i64>, tokens: Option<i64>, period: Period) {
        self.usd.set(usd_micros.map(|micros| format_usd(micros).trim_start_matches('$').to_owned()).unwrap_or_default());
        self.tokens.set(tokens.map(|tokens| tokens.to_string()).unwrap_or_default());
        self.period.set(period);
        self.problem.set(None);
        self.stands.set(None);
    }

    /// Shows why it was refused; what is typed stays. Answers what stands now where somebody else was there first.
    pub fn refuse(self, problem: Problem) -> Option<Option<Budget>> {
        let stands = standing(&problem);
        self.stands.set(stands.clone());
        self.problem.set(Some(problem));
        stands
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

fn standing(problem: &Problem) -> Option<Option<Budget>> {
    (problem.code == ErrorCode::Conflict).then(|| problem.current.clone().and_then(|now| serde_json::from_value(now).ok()))
}

/// The version of a budget in a list, 0 where it holds none: what a change of it is based on.
pub fn version_of(list: &[Budget], is_it: impl Fn(&Budget) -> bool) -> i64 {
    list.iter().find(|budget| is_it(budget)).map_or(0, |budget| budget.version)
}

/// Puts what stands now into a list, in the place of what it held.
pub fn put_standing(list: &mut Vec<Budget>, is_it: impl Fn(&Budget) -> bool, now: Option<Budget>) {
    match (list.iter().position(is_it), now) {
        (Some(at), Some(now)) => list[at] = now,
        (Some(at), None) => drop(list.remove(at)),
        (None, now) => list.extend(now),
    }
}

/// Where somebody else was there first: what they saved, to be looked at in the place of what was typed.
#[component]
pub fn Standing(amounts: Amounts) -> impl IntoView {
    move || {
        amounts.stands.get().map(|now| {
            let (usd_micros, tokens) = now.map_or((None, None), |now| (now.usd_micros, now.tokens));
            let show = move |_| {
                amounts.fill(usd_micros, tokens, amounts.period.get_untracked());
                focus::recover(&["[name='usd_micros']"]);
            };
            view! {
                <div class="acts">
                    <Button icon="eye" on_click=show>
                        "Show what is saved now"
                    </Button>
                    <span class="hint">{format!("It is {} now. Saving replaces it with your entries.", say(usd_micros, tokens))}</span>
                </div>
            }
        })
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

    fn budget(version: i64, period: Period) -> Budget {
        let id = "00000000-0000-0000-0000-000000000000";
        serde_json::from_value(serde_json::json!({
            "id": id, "scope": "project_own", "subject": id, "subject_name": "", "period": period, "usd_micros": 5, "tokens": null,
            "used": { "spent_micros": 0, "estimated_micros": 0, "reserved_micros": 0, "spent_tokens": 0, "reserved_tokens": 0 },
            "percent": 0, "version": version, "updated_at": "2026-11-22T12:00:00Z", "updated_by": null,
        }))
        .unwrap()
    }

    #[test]
    fn what_stands_takes_the_place_of_what_was_known() {
        let mut list = vec![budget(1, Period::Month), budget(4, Period::Total)];
        let monthly = |budget: &Budget| budget.period == Period::Month;
        assert_eq!((version_of(&list, monthly), version_of(&[], monthly)), (1, 0));
        put_standing(&mut list, monthly, Some(budget(2, Period::Month)));
        assert_eq!((version_of(&list, monthly), list.len()), (2, 2));
        put_standing(&mut list, monthly, None);
        assert_eq!((version_of(&list, monthly), list.len()), (0, 1));
        put_standing(&mut list, monthly, Some(budget(7, Period::Month)));
        assert_eq!(version_of(&list, monthly), 7);

        let conflict = |current| Problem { current, ..Problem::new(ErrorCode::Conflict, "Changed meanwhile.") };
        assert_eq!(standing(&conflict(serde_json::to_value(&list[0]).ok())), Some(Some(list[0].clone())));
        assert_eq!(standing(&conflict(None)), Some(None), "it was taken away");
        assert_eq!(standing(&Problem::invalid(Vec::new())), None);
    }

    #[test]
    fn amounts_are_read_as_people_write_them() {
        assert_eq!(read("$2.50", "200 000"), Ok((Some(2_500_000), Some(200_000))));
        assert_eq!(read("", " "), Ok((None, None)));
        let names: Vec<_> = read("lots", "many").unwrap_err().into_iter().map(|field| field.field).collect();
        assert_eq!(names, ["usd_micros", "tokens"]);
    }
}
