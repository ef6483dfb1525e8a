//! The first visit: what this is, a sample to try, and every way to begin with something of one's own.

use leptos::{prelude::*, task::spawn_local};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wire::{ProjectId, dashboard::Sample};

use super::new_project::Start;
use crate::{
    api,
    ui::{Button, ButtonKind, ButtonSize, ErrorSummary, Icon, format},
};

/// Makes a copy of the sample project and goes there.
#[derive(Clone, Copy)]
pub struct TrySample {
    pub sample: Sample,
    pub busy: RwSignal<bool>,
    pub failure: RwSignal<Option<String>>,
    opened: Callback<ProjectId>,
}

impl TrySample {
    /// Only while a page is made: it takes the router along.
    pub fn new(sample: Sample) -> Self {
        let navigate = use_navigate();
        let opened = Callback::new(move |id: ProjectId| navigate(&format!("/projects/{id}"), NavigateOptions::default()));
        Self { sample, busy: RwSignal::new(false), failure: RwSignal::new(None), opened }
    }

    pub fn is_there(self) -> bool {
        self.sample.files > 0
    }

    pub fn start(self) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.failure.set(None);
        spawn_local(async move {
            match api::projects::create_sample().await {
                // Busy until the page is gone, so that there is one copy.
                Ok(project) => {
                    self.opened.try_run(project.id);
                }
                Err(error) => {
                    let _ = self.busy.try_set(false);
                    let _ = self.failure.try_set(Some(error.to_string()));
                }
            }
        });
    }
}

/// No project yet.
#[component]
pub fn FirstVisit(name: String, begin: Callback<Start>, sample: TrySample) -> impl IntoView {
    let start = move |start: Start, icon: &'static str, title: &'static str, text: &'static str| {
        view! {
            <button type="button" on:click=move |_| begin.run(start)>
                <Icon name=icon />
                <b>{title}</b>
                " "
                <span class="t2 fs12">{text}</span>
            </button>
        }
    };
    let invitation = if sample.is_there() {
        "There is nothing here yet. Try the sample project to see how a change is proposed, reviewed and run, or bring your own code."
    } else {
        "There is nothing here yet. Bring your own code, or begin with an empty project."
    };
    view! {
        <div class="welcome">
            <h1>{format!("Welcome, {name}")}</h1>
            <p class="t2 fs14">{invitation}</p>
            <ErrorSummary message=sample.failure />
            {sample.is_there().then(|| view! { <SampleCard sample=sample /> })}
            <h2 class="starts-title">{if sample.is_there() { "Or start with your own" } else { "Start with" }}</h2>
            <div class="starts">
                {start(Start::Empty, "file-plus", "Empty", "A blank project")}
                {start(Start::Git, "folder-git-2", "From git", "A public address, from hosts that an administrator opened")}
                {start(Start::Archive, "file-archive", "Archive", "zip or tar.gz")}
                {start(Start::Folder, "folder-up", "Folder", "From this computer")}
            </div>
            <h2 class="sr">"How it works"</h2>
            <div class="steps">
                <div>
                    <h3><Icon name="sparkles" />"Ask"</h3>
                    <p>"Say what you want. The agent reads the project and works on a branch of its own."</p>
                </div>
                <div>
                    <h3><Icon name="git-compare" />"Review"</h3>
                    <p>"Accept, reject or edit each change. Rejected lines never touch your files."</p>
                </div>
                <div>
                    <h3><Icon name="history" />"Go back"</h3>
                    <p>"A checkpoint is made before every turn, and a restore can itself be undone."</p>
                </div>
            </div>
        </div>
    }
    .into_any()
}

#[component]
fn SampleCard(sample: TrySample) -> impl IntoView {
    let Sample { files, tests, is_scripted } = sample.sample;
    let files = format::counted(files, "file", "files");
    let what =
        format!("Python, {files}, {tests} tests, one of them failing on purpose. Ask the agent to fix it and review what it proposes.");
    let scripted = " No model key is needed: a scripted model plays the agent, and says so.";
    view! {
        <section class="card sample" aria-labelledby="sample-title">
            <div>
                <h2 id="sample-title">"Sample: a small expense report"</h2>
                <p class="t2">{what} {is_scripted.then_some(scripted)}</p>
                <div class="acts">
                    <Button
                        kind=ButtonKind::Primary
                        size=ButtonSize::Large
                        icon="play"
                        busy=sample.busy
                        on_click=move |_| sample.start()
                    >
                        "Open the sample"
                    </Button>
                    <span class="t3 fs12">"A project of your own"</span>
                </div>
            </div>
            <div class="peek">
                <div class="facts">
                    <span class="c-bad">
                        <Icon name="circle-x" small=true />
                        <b class="c-bad">"1 failed"</b>
                    </span>
                    <span>{format!("{} passed", format::count((tests - 1).max(0)))}</span>
                </div>
                <div class="out">
                    "python3 -m unittest\n"
                    <span class="a-g">"....."</span>
                    <span class="a-r">"F"</span>
                    <span class="a-g">"...."</span>
                    "\n\n"
                    <span class="a-r">"FAIL: test_refund_keeps_its_sign"</span>
                    "\nself.assertEqual(format_cents(-650), \"-6.50\")\n"
                    <span class="a-r">"AssertionError: '-7.50' != '-6.50'"</span>
                    "\n"
                    <span class="a-d">"tests/test_report.py, line 17"</span>
                </div>
            </div>
        </section>
    }
    .into_any()
}
