//! A prompt that is answered without a conversation: whether its dialog is open, and which run it shows.

use leptos::prelude::*;
use wire::RunId;

use super::ide::Ide;

/// Shared by the dialog and by what opens it.
#[derive(Debug, Clone, Copy)]
pub struct Generating {
    pub open: RwSignal<bool>,
    /// What is typed; it stays until it was answered.
    pub prompt: RwSignal<String>,
    /// The run that goes on, or that has ended without anything to review; `None` while a prompt is written.
    pub run: RwSignal<Option<RunId>>,
}

impl Default for Generating {
    fn default() -> Self {
        Self { open: RwSignal::new(false), prompt: RwSignal::new(String::new()), run: RwSignal::new(None) }
    }
}

impl Generating {
    /// Opens the dialog: on the run that goes on, where one does, else to write a prompt, with `prompt` to begin with.
    pub fn begin(self, ide: Ide, prompt: Option<&str>) {
        if !untrack(|| ide.can_edit()) {
            return ide.toast("Only editors of the project may start the agent");
        }
        if !self.goes_on(ide) {
            self.run.set(None);
            if let Some(prompt) = prompt {
                self.prompt.set(prompt.to_owned());
            }
        }
        self.open.set(true);
    }

    fn goes_on(self, ide: Ide) -> bool {
        let Some(id) = self.run.get_untracked() else { return false };
        ide.runs.with_untracked(|runs| runs.iter().any(|run| run.id == id && !run.state.is_finished()))
    }
}
