//! What a run uses over time, as two small charts.

use leptos::prelude::*;
use wire::Micros;

use crate::ui::format;

/// More samples are thinned out: a chart this small shows no more.
const SAMPLES_MAX: usize = 480;
/// The coordinates of a chart; it is stretched to its place.
const WIDTH: f64 = 100.0;
const HEIGHT: f64 = 24.0;

/// One measurement: processor time since the start, and memory held at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    pub at: Micros,
    pub cpu_ms: i64,
    pub memory_bytes: i64,
}

/// The measurements of one run, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    began: Option<Micros>,
    kept: Vec<Sample>,
    peak_memory: i64,
}

impl Samples {
    /// The run started: nothing was used before.
    pub fn begin(&mut self, at: Micros) {
        self.began = Some(at);
        self.kept.clear();
        self.peak_memory = 0;
    }

    pub fn push(&mut self, sample: Sample) {
        self.peak_memory = self.peak_memory.max(sample.memory_bytes);
        if self.began.is_none() {
            self.began = Some(sample.at);
        }
        if self.kept.last().is_some_and(|last| last.at >= sample.at) {
            return;
        }
        self.kept.push(sample);
        if self.kept.len() > SAMPLES_MAX {
            self.thin();
        }
    }

    /// Every second one goes. Processor time counts from the start, so nothing of it is lost; of memory the higher value stays.
    fn thin(&mut self) {
        let pairs = self.kept.chunks(2).map(|pair| {
            let last = pair[pair.len() - 1];
            Sample { memory_bytes: pair.iter().map(|sample| sample.memory_bytes).max().unwrap_or(0), ..last }
        });
        self.kept = pairs.collect();
    }

    pub fn last(&self) -> Option<Sample> {
        self.kept.last().copied()
    }

    pub fn peak_memory(&self) -> Option<i64> {
        (!self.kept.is_empty()).then_some(self.peak_memory)
    }

    /// Two points make a line.
    pub fn is_drawable(&self) -> bool {
        self.kept.len() >= 2
    }

    /// Seconds since the start and percent of one processor.
    pub fn cpu(&self) -> Vec<(f64, f64)> {
        let Some(began) = self.began else { return Vec::new() };
        let mut before = (began, 0);
        let mut points = Vec::with_capacity(self.kept.len());
        for sample in &self.kept {
            let wall_us = sample.at.0 - before.0.0;
            if wall_us > 0 {
                let used_us = (sample.cpu_ms - before.1).max(0) * 1000;
                points.push((seconds(sample.at, began), used_us as f64 * 100.0 / wall_us as f64));
            }
            before = (sample.at, sample.cpu_ms);
        }
        points
    }

    /// Seconds since the start and bytes.
    pub fn memory(&self) -> Vec<(f64, f64)> {
        let Some(began) = self.began else { return Vec::new() };
        self.kept.iter().map(|sample| (seconds(sample.at, began), sample.memory_bytes as f64)).collect()
    }
}

fn seconds(at: Micros, began: Micros) -> f64 {
    (at.0 - began.0) as f64 / Micros::SECOND as f64
}

/// A line as SVG path data, from the left edge to the right one; `top` is the value at the upper edge. Until the first measurement it is
/// drawn at that.
fn line(points: &[(f64, f64)], top: f64) -> String {
    let end = points.last().map_or(1.0, |(x, _)| *x).max(f64::MIN_POSITIVE);
    let mut path = String::with_capacity(points.len() * 12);
    for (i, (x, y)) in points.iter().enumerate() {
        let (x, y) = (x / end * WIDTH, HEIGHT - (y / top).clamp(0.0, 1.0) * (HEIGHT - 1.0));
        if i == 0 {
            path.push_str(&format!("M0 {y:.2}"));
        }
        path.push_str(&format!("L{x:.2} {y:.2}"));
    }
    path
}

fn highest(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|(_, y)| *y).fold(0.0, f64::max)
}

fn percent(value: f64) -> String {
    format!("{value:.0} %")
}

fn size(value: f64) -> String {
    format::bytes(value.round() as i64)
}

/// Processor and memory of a run. `memory_limit` is in bytes.
#[component]
pub fn RunChart(samples: RwSignal<Samples>, #[prop(into)] memory_limit: Signal<i64>, #[prop(into)] running: Signal<bool>) -> impl IntoView {
    let cpu = Memo::new(move |_| samples.with(Samples::cpu));
    let memory = Memo::new(move |_| samples.with(Samples::memory));
    // One processor is the least that fills the height, so that a lazy run looks lazy.
    let cpu_top = Signal::derive(move || cpu.with(|points| highest(points)).max(100.0));
    let memory_top = Signal::derive(move || {
        let (high, limit) = (memory.with(|points| highest(points)), memory_limit.get() as f64);
        if high * 2.0 > limit && limit > 0.0 { limit.max(high) } else { (high * 1.25).max(1.0) }
    });
    let limit = Signal::derive(move || Some(memory_limit.get() as f64).filter(|limit| *limit > 0.0 && *limit <= memory_top.get()));
    view! {
        <Show when=move || samples.with(Samples::is_drawable)>
            <div class="run-charts">
                <Spark name="CPU" unit="percent of one processor" class="c1" points=cpu top=cpu_top limit=Signal::from(None) running=running say=percent />
                <Spark name="Memory" unit="" class="c2" points=memory top=memory_top limit=limit running=running say=size />
            </div>
        </Show>
    }
}

#[component]
fn Spark(
    name: &'static str,
    unit: &'static str,
    class: &'static str,
    points: Memo<Vec<(f64, f64)>>,
    top: Signal<f64>,
    limit: Signal<Option<f64>>,
    running: Signal<bool>,
    say: fn(f64) -> String,
) -> impl IntoView {
    let last = move || points.with(|points| points.last().map_or(0.0, |(_, y)| *y));
    let peak = move || points.with(|points| highest(points));
    let sentence = move || {
        let over = points.with(|points| points.last().map_or(0.0, |(x, _)| *x));
        let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
        let now = if running.get() { format!("now {}, ", say(last())) } else { String::new() };
        format!("{name}{unit}: {now}highest {}, over {over:.0} s", say(peak()))
    };
    let path = Memo::new(move |_| points.with(|points| line(points, top.get())));
    let area = move || path.with(|path| if path.is_empty() { String::new() } else { format!("{path}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z") });
    let limit_y = move || limit.get().map(|limit| format!("{:.2}", HEIGHT - (limit / top.get()).min(1.0) * (HEIGHT - 1.0)));
    view! {
        <figure class="spark">
            <figcaption>
                {name}
                <Show when=move || running.get()>
                    <b>{move || say(last())}</b>
                </Show>
                <span>{move || format!("peak {}", say(peak()))}</span>
            </figcaption>
            <svg class="spark-line" viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label=sentence>
                <path class=format!("spark-area {class}") d=area></path>
                <path class=format!("spark-stroke {class}") d=move || path.get()></path>
                {move || limit_y().map(|y| view! { <line class="spark-limit" x1="0" x2=WIDTH.to_string() y1=y.clone() y2=y></line> })}
            </svg>
        </figure>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(second: i64, cpu_ms: i64, memory_bytes: i64) -> Sample {
        Sample { at: Micros(second * Micros::SECOND), cpu_ms, memory_bytes }
    }

    #[test]
    fn processor_time_becomes_percent() {
        let mut samples = Samples::default();
        samples.begin(Micros(0));
        samples.push(sample(1, 500, 10));
        samples.push(sample(3, 4500, 30));
        samples.push(sample(4, 4500, 20));
        assert_eq!(samples.cpu(), [(1.0, 50.0), (3.0, 200.0), (4.0, 0.0)]);
        assert_eq!(samples.memory(), [(1.0, 10.0), (3.0, 30.0), (4.0, 20.0)]);
        assert_eq!(samples.peak_memory(), Some(30));
    }

    #[test]
    fn a_repeated_moment_is_taken_once() {
        let mut samples = Samples::default();
        samples.push(sample(1, 0, 1));
        samples.push(sample(1, 50, 1));
        samples.push(sample(2, 100, 1));
        assert_eq!(samples.cpu(), [(1.0, 10.0)]);
    }

    #[test]
    fn long_runs_are_thinned_without_losing_the_sum_or_the_peak() {
        let mut samples = Samples::default();
        samples.begin(Micros(0));
        for second in 1..=5000 {
            samples.push(sample(second, second * 250, if second == 1234 { 999 } else { 1 }));
        }
        let cpu = samples.cpu();
        assert!(cpu.len() <= SAMPLES_MAX && cpu.iter().all(|(_, percent)| (percent - 25.0).abs() < 0.001));
        assert!(samples.memory().iter().any(|(_, bytes)| *bytes == 999.0));
        assert_eq!(samples.peak_memory(), Some(999));
    }

    #[test]
    fn a_line_spans_the_width_and_stays_inside() {
        assert_eq!(line(&[(1.0, 0.0), (2.0, 50.0), (4.0, 500.0)], 100.0), "M0 24.00L25.00 24.00L50.00 12.50L100.00 1.00");
    }
}
