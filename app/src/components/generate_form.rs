//! The prompt of a codegen run, with what says how it is answered.

use leptos::{ev, prelude::*, task::spawn_local};
use wire::{
    FieldError, Problem,
    models::{ModelInfo, Models},
    runs::StartRun,
};

use super::{ide::Ide, message_limits::MessageLimits};
use crate::{
    api,
    ui::{Button, ButtonKind, ErrorSummary, TextArea, TextField, storage},
};

/// Fields that the form has; what is said of others stands on top.
const FIELDS: [&str; 6] = ["command", "model", "max_tokens", "temperature", "budget.usd_micros", "budget.steps"];

/// What is typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Typed {
    prompt: String,
    max_tokens: String,
    temperature: String,
}

/// The request, or what is wrong with it by field. `model`: the one that answers, as far as it is known.
fn read(typed: &Typed, model: Option<&ModelInfo>) -> Result<StartRun, Vec<FieldError>> {
    let mut wrong = Vec::new();
    let max_tokens = match typed.max_tokens.trim() {
        "" => None,
        text => {
            let digits: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, ',' | '_' | '\'')).collect();
            digits.parse::<i64>().ok().or_else(|| {
                wrong.push(FieldError::new("max_tokens", "Write a number of tokens such as 4000, or leave it empty."));
                None
            })
        }
    };
    let temperature = match typed.temperature.trim() {
        "" => None,
        text => text.replace(',', ".").parse::<f32>().ok().or_else(|| {
            wrong.push(FieldError::new("temperature", "Choose 0 to 2."));
            None
        }),
    };
    let name = model.map(|model| model.name.clone());
    let request = StartRun { model: name, max_tokens, temperature, ..StartRun::prompt(typed.prompt.trim()) };
    wrong.extend(request.validate_prompt());
    if let (Some(model), Some(tokens)) = (model, max_tokens)
        && let Some(most) = model.max_output.filter(|most| tokens > *most)
    {
        wrong.push(FieldError::new("max_tokens", format!("{} writes at most {most} tokens.", model.name)));
    }
    if wrong.is_empty() { Ok(request) } else { Err(wrong) }
}

/// Starts a run and hands the dialog over to it.
#[component]
pub fn GenerateForm(ide: Ide) -> impl IntoView {
    let state = ide.generating;
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<Problem>);
    let models = RwSignal::new(None::<Models>);
    let chosen = RwSignal::new(None::<String>);
    let (max_tokens, temperature) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let limits = MessageLimits::default();
    Effect::new(move |_| {
        chosen.set(storage::read("model"));
        spawn_local(async move {
            match api::models::list().await {
                Ok(found) => drop(models.try_set(Some(found))),
                Err(error) => drop(problem.try_set(Some(error.0))),
            }
        });
    });
    let model = move || {
        models.with(|models| {
            let models = models.as_ref()?;
            let named = |name: &String| models.items.iter().find(|model| &model.name == name);
            chosen.with(|name| name.as_ref().and_then(named)).or(models.default.as_ref().and_then(named)).or(models.items.first()).cloned()
        })
    };
    let hint = move || models.with(|models| models.as_ref().filter(|models| models.items.is_empty()).map(|models| models.hint.clone()));
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let typed = Typed {
            prompt: state.prompt.get_untracked(),
            max_tokens: max_tokens.get_untracked(),
            temperature: temperature.get_untracked(),
        };
        let (request, budget) = untrack(|| (read(&typed, model().as_ref()), limits.read()));
        let request = match (request, budget) {
            (Ok(request), Ok(budget)) => StartRun { budget, ..request },
            (request, budget) => {
                let wrong = request.err().into_iter().chain(budget.err()).flatten().collect();
                problem.set(Some(Problem::invalid(wrong)));
                return;
            }
        };
        busy.set(true);
        problem.set(None);
        spawn_local(async move {
            let answer = api::runs::start(ide.project_id, request).await;
            if ide.is_gone() {
                return;
            }
            busy.try_set(false);
            match answer {
                Ok(run) => {
                    let id = run.id;
                    ide.put_run(run);
                    ide.selected_run.set(Some(id));
                    state.run.set(Some(id));
                }
                // Closed meanwhile, the form is gone.
                Err(error) => {
                    if problem.try_set(Some(error.0.clone())).is_some() {
                        ide.error(&error.0);
                    }
                }
            }
        });
    };
    let field = move |wanted: &'static str| Signal::derive(move || problem.with(|p| p.as_ref()?.field(wanted).map(str::to_owned)));
    let on_top = Signal::derive(move || {
        problem.with(|problem| {
            let problem = problem.as_ref()?;
            let is_shown = problem.fields.iter().any(|field| FIELDS.contains(&field.field.as_str()));
            (!is_shown).then(|| problem.to_string())
        })
    });
    view! {
        <form novalidate=true on:submit=submit class="stack">
            <p class="t2">
                "The agent works on a branch of its own, without a conversation and without asking. What it proposes opens as a review; your files stay as they are until you accept it."
            </p>
            <ErrorSummary message=on_top />
            {move || hint().map(|text| view! { <p class="err">{text}</p> })}
            <TextArea label="Prompt" name="generate-prompt" bind=state.prompt error=field("command") rows=6 />
            <div class="field">
                <label for="f-generate-model">"Model"</label>
                <select id="f-generate-model" class="select" on:change:target=move |event| chosen.set(Some(event.target().value()))>
                    {move || {
                        let now = model().map(|model| model.name);
                        let items = models.with(|models| models.as_ref().map(|models| models.items.clone()).unwrap_or_default());
                        items
                            .into_iter()
                            .map(|item| {
                                let is_chosen = Some(&item.name) == now.as_ref();
                                let label = if item.is_demo { format!("{} (scripted, not an AI)", item.name) } else { item.name.clone() };
                                view! { <option value=item.name selected=is_chosen>{label}</option> }
                            })
                            .collect_view()
                    }}
                </select>
                {move || field("model").get().map(|text| view! { <p class="err">{text}</p> })}
            </div>
            <div class="budget-fields">
                <TextField
                    label="Tokens of each answer"
                    name="generate-tokens"
                    bind=max_tokens
                    error=field("max_tokens")
                    hint="Empty: as many as the model writes."
                    autocomplete="off"
                />
                <TextField
                    label="Temperature"
                    name="generate-temperature"
                    bind=temperature
                    error=field("temperature")
                    hint="0 to 2. Empty: the model's own."
                    autocomplete="off"
                />
                <TextField
                    label="US dollars at most"
                    name="generate-usd"
                    bind=limits.usd
                    error=field("budget.usd_micros")
                    hint="Empty: no limit of its own."
                    autocomplete="off"
                />
                <TextField
                    label="Steps at most"
                    name="generate-steps"
                    bind=limits.steps
                    error=field("budget.steps")
                    hint="Empty: 40."
                    autocomplete="off"
                />
            </div>
            <div class="acts end">
                <Button on_click=move |_| state.open.set(false)>"Cancel"</Button>
                <Button kind=ButtonKind::Primary icon="sparkles" submit=true busy=busy>
                    "Generate"
                </Button>
            </div>
        </form>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(prompt: &str, max_tokens: &str, temperature: &str) -> Typed {
        Typed { prompt: prompt.to_owned(), max_tokens: max_tokens.to_owned(), temperature: temperature.to_owned() }
    }

    fn names(typed: &Typed) -> Vec<String> {
        read(typed, None).unwrap_err().into_iter().map(|field| field.field).collect()
    }

    #[test]
    fn what_is_typed_is_a_request_or_wrong_by_field() {
        let request = read(&typed(" Write it ", "4 000", "0,5"), None).unwrap();
        assert_eq!((request.command.as_str(), request.max_tokens, request.temperature), ("Write it", Some(4000), Some(0.5)));
        let plain = read(&typed("Write it", "", " "), None).unwrap();
        assert_eq!((plain.max_tokens, plain.temperature, plain.model), (None, None, None));
        assert_eq!(names(&typed(" ", "many", "2.5")), ["max_tokens", "command", "temperature"]);
        assert_eq!(names(&typed(&"x".repeat(100_001), "0", "")), ["command", "max_tokens"]);
    }
}
