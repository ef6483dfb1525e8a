//! Usage per day as bars, and the same as a table.

use leptos::{html, prelude::*};
use wire::budgets::{UsageReport, UsageRow, format_usd};

use crate::ui::{Button, ButtonKind, ButtonSize, format};

/// The width until the container was measured; text keeps its size whatever it is.
const WIDTH: f64 = 720.0;
const LEFT: f64 = 56.0;
/// Right of the last bar, for half of its day's name.
const MARGIN: f64 = 18.0;
const TOP: f64 = 16.0;
const BASE: f64 = 160.0;
const GRID_LINES: i64 = 4;

/// What bars are as high as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    Cost,
    Tokens,
}

impl Measure {
    /// The part that providers counted, and the part that is estimated.
    fn of(self, row: &UsageRow) -> (i64, i64) {
        match self {
            Self::Cost => (row.sums.billed_micros, row.sums.estimated_micros),
            Self::Tokens => (row.sums.tokens(), 0),
        }
    }

    pub fn say(self, value: i64) -> String {
        match self {
            Self::Cost => format_usd(value),
            Self::Tokens => format::count(value),
        }
    }

    /// What the scale reaches at least: a cent a line, as smaller amounts are longer than there is room for beside it.
    fn least_top(self) -> i64 {
        match self {
            Self::Cost => 10_000 * GRID_LINES,
            Self::Tokens => 1,
        }
    }

    /// Beside a grid line, where there is little room.
    fn say_short(self, value: i64) -> String {
        match self {
            Self::Cost if value > 0 && value % 1_000_000 == 0 => format!("${}", value / 1_000_000),
            Self::Cost => format_usd(value),
            Self::Tokens if value >= 1_000_000 => format!("{:.1}M", value as f64 / 1e6),
            Self::Tokens if value >= 1000 => format!("{:.0}k", value as f64 / 1e3),
            Self::Tokens => value.to_string(),
        }
    }
}

/// The lowest round number that four equal steps reach `most` with.
fn top_of(most: i64) -> i64 {
    let mut step = 1;
    loop {
        for factor in [1, 2, 5] {
            let top = step * factor * GRID_LINES;
            if top >= most {
                return top;
            }
        }
        step *= 10;
    }
}

/// `22 Nov` of `2026-11-22`.
fn short_day(day: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = day.split('-').skip(1).filter_map(|part| part.parse::<usize>().ok());
    match (parts.next(), parts.next()) {
        (Some(month @ 1..=12), Some(date)) => format!("{date} {}", MONTHS[month - 1]),
        _ => day.to_owned(),
    }
}

/// One sentence for those who don't see the bars.
fn summary(report: &UsageReport, measure: Measure) -> String {
    let values: Vec<i64> = report.rows.iter().map(|row| measure.of(row)).map(|(counted, estimated)| counted + estimated).collect();
    let total: i64 = values.iter().sum();
    let what = if measure == Measure::Cost { "Cost" } else { "Tokens" };
    let dearest = report.rows.iter().zip(&values).max_by_key(|(_, value)| **value).filter(|(_, value)| **value > 0);
    let most = dearest.map(|(row, value)| format!(", most on {}: {}", short_day(&row.key), measure.say(*value))).unwrap_or_default();
    format!("{what} per day from {} to {}: {} in all{most}.", short_day(&report.from), short_day(&report.to), measure.say(total))
}

/// A bar a day with the estimated part hatched above what was billed. The last day is paler where it is not over.
#[component]
pub fn UsageChart(report: UsageReport, measure: Measure, as_table: RwSignal<bool>, today: String) -> impl IntoView {
    let label = summary(&report, measure);
    let kept = StoredValue::new(report);
    let node = NodeRef::<html::Div>::new();
    let width = RwSignal::new(WIDTH);
    let measure_width = move || {
        if let Some(found) = node.get_untracked().map(|node| f64::from(node.client_width())).filter(|found| *found > 0.0) {
            width.set(found);
        }
    };
    Effect::new(move |_| {
        node.track();
        measure_width();
    });
    Effect::new(move |_| {
        let listener = window_event_listener(leptos::ev::resize, move |_| measure_width());
        on_cleanup(move || listener.remove());
    });
    view! {
        <div class="usage-chart" node_ref=node>
            <div class="row">
                <span class="legend grow">
                    {(measure == Measure::Cost)
                        .then(|| {
                            view! {
                                <span>
                                    <i class="k1"></i>
                                    "Billed"
                                </span>
                                <span>
                                    <i class="k1 est"></i>
                                    "Estimated"
                                </span>
                            }
                        })}
                </span>
                <Button kind=ButtonKind::Ghost size=ButtonSize::Small on_click=move |_| as_table.update(|on| *on = !*on)>
                    {move || if as_table.get() { "Show as chart" } else { "Show as table" }}
                </Button>
            </div>
            {move || {
                if as_table.get() {
                    kept.with_value(|report| view! { <UsageTable rows=report.rows.iter().rev().cloned().collect() first="Day" share=false /> }.into_any())
                } else {
                    kept.with_value(|report| draw(report, measure, &today, &label, width.get()))
                }
            }}
        </div>
    }
    .into_any()
}

fn draw(report: &UsageReport, measure: Measure, today: &str, label: &str, whole: f64) -> AnyView {
    let right = whole - MARGIN;
    let values: Vec<(i64, i64)> = report.rows.iter().map(|row| measure.of(row)).collect();
    let top = top_of(values.iter().map(|(counted, estimated)| counted + estimated).max().unwrap_or(0).max(measure.least_top()));
    let y = |value: i64| BASE - (BASE - TOP) * value as f64 / top as f64;
    let slot = (right - LEFT) / values.len().max(1) as f64;
    let width = (slot * 0.75).min(28.0);
    let lines = (0..=GRID_LINES)
        .map(|n| {
            let value = top / GRID_LINES * n;
            let at = format!("{:.1}", y(value));
            let text_at = format!("{:.1}", y(value) + 4.0);
            view! {
                <line class="grid" x1=LEFT.to_string() x2=right.to_string() y1=at.clone() y2=at></line>
                <text x=(LEFT - 6.0).to_string() y=text_at text-anchor="end">
                    {measure.say_short(value)}
                </text>
            }
        })
        .collect_view();
    let bars = report
        .rows
        .iter()
        .zip(&values)
        .enumerate()
        .filter(|(_, (_, (counted, estimated)))| counted + estimated > 0)
        .map(|(n, (row, (counted, estimated)))| {
            let x = format!("{:.1}", LEFT + slot * (n as f64 + 0.5) - width / 2.0);
            let unfinished = row.key == today;
            let part = |class: &str, from: i64, upto: i64| {
                let (high, low) = (y(upto), y(from));
                let class = if unfinished { format!("{class} part") } else { class.to_owned() };
                let height = format!("{:.1}", (low - high).max(0.5));
                view! { <rect class=class x=x.clone() y=format!("{high:.1}") width=format!("{width:.1}") height=height></rect> }
            };
            let said = format!("{}: {}", short_day(&row.key), measure.say(counted + estimated));
            view! {
                <g>
                    <title>{said}</title>
                    {(*counted > 0).then(|| part("c1", 0, *counted))}
                    {(*estimated > 0).then(|| part("c1e", *counted, counted + estimated))}
                </g>
            }
        })
        .collect_view();
    // As many days are named as there is room for, the last one always.
    let named = ((right - LEFT) / 60.0).clamp(2.0, 7.0) as usize;
    let every = report.rows.len().div_ceil(named).max(1);
    let last = report.rows.len().saturating_sub(1);
    let days = report
        .rows
        .iter()
        .enumerate()
        .filter(|(n, _)| (last - n).is_multiple_of(every))
        .map(|(n, row)| {
            let x = format!("{:.1}", LEFT + slot * (n as f64 + 0.5));
            view! {
                <text x=x y="178" text-anchor="middle">
                    {short_day(&row.key)}
                </text>
            }
        })
        .collect_view();
    view! {
        <svg class="chart" viewBox=format!("0 0 {whole} 184") role="img" aria-label=label.to_owned()>
            <defs>
                <pattern id="usage-hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
                    <line class="hatch" x1="0" x2="0" y1="0" y2="4"></line>
                </pattern>
            </defs>
            {lines}
            {bars}
            {days}
        </svg>
    }
    .into_any()
}

/// Rows with their sums. With `share` each has a bar of its part of the whole.
#[component]
pub fn UsageTable(
    rows: Vec<UsageRow>,
    first: &'static str,
    share: bool,
    /// Shows one row alone.
    #[prop(optional_no_strip)]
    pick: Option<Callback<UsageRow>>,
) -> impl IntoView {
    let most = rows.iter().map(|row| row.sums.cost_micros()).max().unwrap_or(0);
    let most_tokens = rows.iter().map(|row| row.sums.tokens()).max().unwrap_or(0);
    let line = move |row: UsageRow| {
        let sums = row.sums;
        let part = if most > 0 {
            sums.cost_micros() as f64 * 100.0 / most as f64
        } else {
            sums.tokens() as f64 * 100.0 / most_tokens.max(1) as f64
        };
        let label = row.label.clone();
        let name = match pick.filter(|_| !row.key.is_empty()) {
            Some(pick) => {
                let (title, row) = (format!("Show only {label}"), row.clone());
                view! {
                    <button type="button" class="link clip" title=title on:click=move |_| pick.run(row.clone())>
                        {label}
                    </button>
                }
                .into_any()
            }
            None => view! { <span class="clip" title=label.clone()>{label.clone()}</span> }.into_any(),
        };
        let estimated = (sums.estimated_micros > 0).then(|| format!("{} estimated", format_usd(sums.estimated_micros)));
        view! {
            <tr>
                <th scope="row" class="usage-name">
                    {name}
                </th>
                {share
                    .then(|| {
                        view! {
                            <td class="desk usage-part">
                                <span class="meter" aria-hidden="true">
                                    <i style:width=format!("{part:.1}%")></i>
                                </span>
                            </td>
                        }
                    })}
                <td class="r num nowrap">
                    {format_usd(sums.cost_micros())}
                    {estimated.map(|text| view! { <span class="usage-note">{text}</span> })}
                </td>
                <td class="r num desk">{format::count(sums.input)}</td>
                <td class="r num desk">{format::count(sums.cached)}</td>
                <td class="r num desk">{format::count(sums.output)}</td>
                <td class="r num nowrap">
                    {format::count(sums.calls)}
                    {(sums.failed > 0)
                        .then(|| view! { <span class="usage-note">{format!("{} failed", format::count(sums.failed))}</span> })}
                </td>
            </tr>
        }
    };
    view! {
        <div class="over" tabindex="0" role="group" aria-label=format!("Usage by {}", first.to_lowercase())>
            <table class="tbl tbl--bare">
                <thead>
                    <tr>
                        <th>{first}</th>
                        {share
                            .then(|| {
                                view! {
                                    <th class="desk">
                                        <span class="sr">"Share"</span>
                                    </th>
                                }
                            })}
                        <th class="r">"Cost"</th>
                        <th class="r desk">"Tokens in"</th>
                        <th class="r desk">"Cached"</th>
                        <th class="r desk">"Tokens out"</th>
                        <th class="r">"Calls"</th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(line).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::budgets::{UsageGroup, UsageSums};

    #[test]
    fn the_scale_ends_at_a_round_number() {
        assert_eq!(["$0.04", "4"], [Measure::Cost, Measure::Tokens].map(|measure| measure.say_short(top_of(measure.least_top()))));
        assert_eq!([1, 4, 5, 8, 9, 20, 21, 6_000_000].map(top_of), [4, 4, 8, 8, 20, 20, 40, 8_000_000]);
    }

    #[test]
    fn the_summary_is_a_sentence() {
        let row = |key: &str, billed_micros| UsageRow {
            key: key.to_owned(),
            label: key.to_owned(),
            sums: UsageSums { billed_micros, ..UsageSums::default() },
        };
        let report = UsageReport {
            from: "2026-11-21".to_owned(),
            to: "2026-11-22".to_owned(),
            group_by: UsageGroup::Day,
            rows: vec![row("2026-11-21", 250_000), row("2026-11-22", 1_000_000)],
            total: UsageSums::default(),
        };
        assert_eq!(summary(&report, Measure::Cost), "Cost per day from 21 Nov to 22 Nov: $1.25 in all, most on 22 Nov: $1.00.");
        assert_eq!(summary(&report, Measure::Tokens), "Tokens per day from 21 Nov to 22 Nov: 0 in all.");
    }

    #[test]
    fn lines_are_named_briefly() {
        let say = |value| Measure::Cost.say_short(value);
        assert_eq!([say(0), say(2_000_000), say(500_000), say(20)], ["$0.00", "$2", "$0.50", "$0.00002"]);
        assert_eq!(Measure::Tokens.say_short(2_500_000), "2.5M");
    }
}
