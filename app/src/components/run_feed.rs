//! What the stream of one run tells besides the bytes that it prints.

use leptos::prelude::*;
use wire::event::{Event, EventKind};

use super::run_chart::{Sample, Samples};

/// A host that the run asked for, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub host: String,
    pub port: u16,
    pub allowed: bool,
    /// For people, when it was refused.
    pub reason: String,
}

impl Asked {
    /// The rule that would allow it: ports other than those of the web are named.
    pub fn rule(&self) -> String {
        if matches!(self.port, 80 | 443) { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// Filled by whoever follows the run; read by its head and by what stands around its output.
#[derive(Debug, Clone, Copy)]
pub struct RunFeed {
    pub samples: RwSignal<Samples>,
    pub asked: RwSignal<Vec<Asked>>,
    pub notes: RwSignal<Vec<String>>,
    /// Bytes of output that this page was not sent.
    pub dropped: RwSignal<i64>,
}

impl Default for RunFeed {
    fn default() -> Self {
        Self {
            samples: RwSignal::new(Samples::default()),
            asked: RwSignal::new(Vec::new()),
            notes: RwSignal::new(Vec::new()),
            dropped: RwSignal::new(0),
        }
    }
}

impl RunFeed {
    /// Before the stream is read from its beginning.
    pub fn clear(self) {
        self.samples.set(Samples::default());
        self.asked.set(Vec::new());
        self.notes.set(Vec::new());
        self.dropped.set(0);
    }

    /// Takes in one event; output is not its business.
    pub fn take(self, event: &Event) {
        match &event.kind {
            EventKind::RunStarted { .. } => {
                self.samples.try_update(|samples| samples.begin(event.at));
            }
            EventKind::RunSampled { cpu_ms, memory_bytes } => {
                let sample = Sample { at: event.at, cpu_ms: *cpu_ms, memory_bytes: *memory_bytes };
                self.samples.try_update(|samples| samples.push(sample));
            }
            EventKind::EgressAsked { host, port, allowed, reason } => {
                let asked = Asked { host: host.clone(), port: *port, allowed: *allowed, reason: reason.clone() };
                self.asked.try_update(|all| remember(all, asked));
            }
            EventKind::RunNoted { text } => {
                self.notes.try_update(|notes| {
                    if !notes.contains(text) {
                        notes.push(text.clone());
                    }
                });
            }
            EventKind::OutputDropped { bytes } => {
                self.dropped.try_update(|dropped| *dropped += bytes);
            }
            _ => {}
        }
    }
}

/// The last answer for a host counts.
fn remember(all: &mut Vec<Asked>, asked: Asked) {
    match all.iter_mut().find(|known| known.host == asked.host && known.port == asked.port) {
        Some(known) => *known = asked,
        None => all.push(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str, port: u16, allowed: bool) -> Asked {
        Asked { host: host.to_owned(), port, allowed, reason: String::new() }
    }

    #[test]
    fn each_host_is_listed_once_with_the_last_answer() {
        let mut all = Vec::new();
        for item in [asked("a.org", 443, false), asked("a.org", 22, false), asked("a.org", 443, true)] {
            remember(&mut all, item);
        }
        assert_eq!(all, [asked("a.org", 443, true), asked("a.org", 22, false)]);
        assert_eq!((all[0].rule(), all[1].rule()), ("a.org".to_owned(), "a.org:22".to_owned()));
    }
}
