//! Figures for the metrics that more than one use-case counts. What is counted has few different words by itself: nothing that people
//! type, no path and no id.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;
use wire::{
    budgets::BudgetScope,
    chat::TokenUsage,
    runs::{Exit, ExitKind, RunUsage},
};

use crate::budgets::Cost;

/// Models with figures of their own in one process.
const MODEL_LABELS: usize = 100;

/// An enum's word, as in JSON.
pub(crate) fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(crate) fn run_ended(row: &store::runs::RunRow, exit: &Exit, usage: &RunUsage) {
    let (kind, outcome) = (word(&row.kind.0), word(&exit.kind));
    let tier = row.tier.clone().unwrap_or_else(|| "none".to_owned());
    metrics::counter!("cloudxdevai_runs_total", "kind" => kind.clone(), "outcome" => outcome.clone(), "tier" => tier).increment(1);
    if is_limit(exit.kind) {
        metrics::counter!("cloudxdevai_run_limits_total", "kind" => kind.clone(), "limit" => outcome).increment(1);
    }
    if usage.wall_ms > 0 {
        metrics::histogram!("cloudxdevai_run_duration_seconds", "kind" => kind).record(usage.wall_ms as f64 / 1000.0);
    }
}

/// Whether a run was ended because it reached a limit.
pub(crate) fn is_limit(kind: ExitKind) -> bool {
    matches!(kind, ExitKind::TimedOut | ExitKind::OutOfMemory | ExitKind::OutputLimit | ExitKind::DiskLimit | ExitKind::PidsLimit)
}

/// A call of a model as it was booked.
pub(crate) struct BookedCall<'a> {
    pub model: &'a str,
    pub outcome: &'a str,
    pub usage: TokenUsage,
    pub cost: Cost,
    pub first_token_ms: Option<i64>,
    pub duration_ms: Option<i64>,
}

pub(crate) fn model_called(call: &BookedCall<'_>) {
    let model = label_of(call.model);
    metrics::counter!("cloudxdevai_model_requests_total", "model" => model.clone(), "outcome" => call.outcome.to_owned()).increment(1);
    for (kind, tokens) in [("input", call.usage.input), ("output", call.usage.output), ("cached", call.usage.cached)] {
        let counter = metrics::counter!("cloudxdevai_model_tokens_total", "model" => model.clone(), "kind" => kind);
        counter.increment(u64::try_from(tokens).unwrap_or_default());
    }
    let micros = u64::try_from(call.cost.micros_usd).unwrap_or_default();
    metrics::counter!("cloudxdevai_model_cost_micro_usd_total", "model" => model.clone()).increment(micros);
    if let Some(ms) = call.first_token_ms {
        metrics::histogram!("cloudxdevai_model_first_token_seconds", "model" => model.clone()).record(ms as f64 / 1000.0);
    }
    if let Some(ms) = call.duration_ms {
        metrics::histogram!("cloudxdevai_model_duration_seconds", "model" => model).record(ms as f64 / 1000.0);
    }
}

/// The model's name, or `other` once there have been too many of them: administrators may rename as often as they like.
fn label_of(model: &str) -> String {
    static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.contains(model) || known.len() < MODEL_LABELS {
        known.insert(model.to_owned());
        return model.to_owned();
    }
    "other".to_owned()
}

pub(crate) fn budget_refused(scope: BudgetScope) {
    metrics::counter!("cloudxdevai_budget_refusals_total", "scope" => word(&scope)).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models_beyond_some_number_share_one_label() {
        let labels: BTreeSet<String> = (0..500).map(|n| label_of(&format!("model-{n}"))).collect();
        assert_eq!(labels.len(), MODEL_LABELS + 1);
        assert_eq!((label_of("model-0"), label_of("model-499")), ("model-0".to_owned(), "other".to_owned()));
    }
}
