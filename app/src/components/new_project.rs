//! The dialog that makes a project: empty, or from an archive, a folder or a git repository.

use std::cell::RefCell;

use leptos::{ev, html, prelude::*, task::spawn_local, web_sys};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wire::{
    FieldError, Problem, ProjectId,
    imports::{ImportGit, StartImport, parse_git_url},
    projects::{CreateProject, validate_description, validate_name},
};

use super::{
    import_folder::{Chosen, FolderField, LeftOutList, chosen_files},
    import_state::{Import, Stage},
    storage_card::StorageChoice,
};
use crate::{
    api,
    live::use_live,
    ui::{Button, ButtonKind, ButtonSize, Dialog, DialogActions, ErrorSummary, Progress, TextArea, TextField, use_toasts},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Empty,
    Archive,
    Folder,
    Git,
}

impl Start {
    fn verb(self) -> &'static str {
        match self {
            Self::Empty => "Create project",
            Self::Archive => "Import archive",
            Self::Folder => "Import files",
            Self::Git => "Import repository",
        }
    }
}

thread_local! {
    /// The archive that was chosen, as the browser gave it.
    static ARCHIVE: RefCell<Option<web_sys::File>> = const { RefCell::new(None) };
}

/// What is typed and chosen.
#[derive(Clone, Copy)]
struct Form {
    name: RwSignal<String>,
    /// The name that was made from what was chosen; what the person typed instead is their own.
    made: RwSignal<String>,
    description: RwSignal<String>,
    /// Bytes of the archive that was chosen.
    archive: RwSignal<Option<f64>>,
    chosen: RwSignal<Chosen>,
    url: RwSignal<String>,
    branch: RwSignal<String>,
    /// Empty: where the server puts new projects.
    storage: RwSignal<String>,
}

impl Form {
    fn new() -> Self {
        Self {
            name: RwSignal::new(String::new()),
            made: RwSignal::new(String::new()),
            description: RwSignal::new(String::new()),
            archive: RwSignal::new(None),
            chosen: RwSignal::new(Chosen::default()),
            url: RwSignal::new(String::new()),
            branch: RwSignal::new(String::new()),
            storage: RwSignal::new(String::new()),
        }
    }

    fn clear(self) {
        for text in [self.name, self.made, self.description, self.url, self.branch, self.storage] {
            text.set(String::new());
        }
        self.archive.set(None);
        self.chosen.set(Chosen::default());
    }

    /// Names the project after what was chosen, unless somebody gave it a name.
    fn suggest(self, name: String) {
        let is_free = self.name.with_untracked(|now| now.trim().is_empty() || self.made.with_untracked(|made| now == made));
        if is_free && self.name.with_untracked(|now| *now != name) {
            self.name.set(name.clone());
        }
        self.made.set(name);
    }

    fn check(self, start: Start) -> Vec<FieldError> {
        let mut fields: Vec<_> = self.name.with_untracked(|name| validate_name(name)).into_iter().collect();
        match start {
            Start::Empty => fields.extend(self.description.with_untracked(|text| validate_description(text))),
            Start::Archive => fields.extend(refuse_archive(self.archive.get_untracked())),
            Start::Folder => fields.extend(self.chosen.with_untracked(refuse_files)),
            Start::Git => fields.extend(self.git().validate().into_iter().filter(|field| field.field != "name")),
        }
        fields
    }

    fn git(self) -> ImportGit {
        ImportGit {
            url: self.url.get_untracked().trim().to_owned(),
            branch: self.branch.get_untracked().trim().to_owned(),
            name: self.name.get_untracked(),
            storage_backend: self.storage.get_untracked(),
        }
    }

    fn create(self) -> CreateProject {
        let (name, description, storage) = (self.name.get_untracked(), self.description.get_untracked(), self.storage.get_untracked());
        CreateProject { name, description, storage_backend: Some(storage).filter(|name| !name.is_empty()) }
    }

    fn folder(self) -> StartImport {
        let (files, bytes) = self.chosen.with_untracked(|chosen| (chosen.count as i64, chosen.bytes as i64));
        StartImport { name: self.name.get_untracked(), storage_backend: self.storage.get_untracked(), files, bytes }
    }
}

fn refuse_archive(size: Option<f64>) -> Option<FieldError> {
    size.is_none().then(|| FieldError::new("archive", "Choose an archive."))
}

fn refuse_files(chosen: &Chosen) -> Option<FieldError> {
    (chosen.count == 0).then(|| FieldError::new("files", "Choose a folder or some files."))
}

/// `parcel-rates-main.tar.gz` becomes `parcel-rates-main`.
fn name_from_archive(file: &str) -> String {
    let lower = file.to_ascii_lowercase();
    let end = [".tar.gz", ".tgz", ".zip"].iter().find(|end| lower.ends_with(**end)).map_or(0, |end| end.len());
    file[..file.len() - end].to_owned()
}

/// Opens while `open` is true, at the way to start that `start` says. What is typed stays until a project was made.
#[component]
pub fn NewProjectDialog(open: RwSignal<bool>, start: RwSignal<Start>) -> impl IntoView {
    let form = Form::new();
    let navigate = use_navigate();
    let opened = Callback::new(move |id: ProjectId| {
        open.set(false);
        form.clear();
        navigate(&format!("/projects/{id}"), NavigateOptions::default());
    });
    let import = Import::new(use_live(), use_toasts(), opened);
    let busy = import.busy;
    Effect::new(move |_| {
        if let Some(folder) = form.chosen.with(|chosen| chosen.folder.clone()) {
            form.suggest(folder);
        }
    });
    Effect::new(move |_| {
        if let Ok(address) = form.url.with(|url| parse_git_url(url)) {
            form.suggest(address.project_name());
        }
    });
    Effect::new(move |_| {
        let leaving = window_event_listener(ev::beforeunload, move |event| {
            if import.is_sending() {
                event.prevent_default();
            }
        });
        let hiding = window_event_listener(ev::Custom::<web_sys::Event>::new("pagehide"), move |_| import.leave());
        on_cleanup(move || {
            leaving.remove();
            hiding.remove();
        });
    });
    let locked = Signal::derive(move || busy.get() || import.made.with(Option::is_some));
    let on_submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if !busy.get_untracked() {
            submit(form, import, start.get_untracked());
        }
    };
    let choice = move |value: Start, label: &'static str| {
        view! {
            <button
                type="button"
                aria-pressed=move || if start.get() == value { "true" } else { "false" }
                disabled=move || busy.get()
                on:click=move |_| {
                    start.set(value);
                    import.problem.set(None);
                    import.left_out.set(Vec::new());
                }
            >
                {label}
            </button>
        }
    };
    view! {
        <Dialog open=open title="New project" locked=locked>
            <Show when=move || import.made.with(Option::is_none) fallback=move || view! { <MadeWithout import=import /> }>
                <span class="seg seg--l" role="group" aria-label="Start with">
                    {choice(Start::Empty, "Empty")}
                    {choice(Start::Archive, "Archive")}
                    {choice(Start::Folder, "Folder")}
                    {choice(Start::Git, "Git")}
                </span>
                <form novalidate=true on:submit=on_submit>
                    <Fields form=form import=import start=start />
                    <LeftOutList files=import.left_out />
                    <ImportProgress import=import />
                    <DialogActions open=open busy=busy>
                        {move || start.get().verb()}
                    </DialogActions>
                </form>
            </Show>
        </Dialog>
    }
    .into_any()
}

fn submit(form: Form, import: Import, start: Start) {
    let fields = form.check(start);
    if !fields.is_empty() {
        import.problem.set(Some(Problem::invalid(fields)));
        return;
    }
    import.problem.set(None);
    match start {
        Start::Empty => {
            let request = form.create();
            import.busy.set(true);
            spawn_local(async move {
                let made = api::projects::create(request).await;
                import.busy.set(false);
                match made {
                    Ok(project) => {
                        import.opened.try_run(project.id);
                    }
                    Err(error) => import.problem.set(Some(error.0)),
                }
            });
        }
        Start::Archive => {
            if let Some(file) = ARCHIVE.with_borrow(Clone::clone) {
                import.archive(&form.name.get_untracked(), &form.storage.get_untracked(), &file);
            }
        }
        Start::Folder => import.folder(form.folder(), chosen_files()),
        Start::Git => import.git(form.git()),
    }
}

#[component]
fn Fields(form: Form, import: Import, start: RwSignal<Start>) -> impl IntoView {
    let (problem, busy) = (import.problem, import.busy);
    let field = move |wanted: &'static str| Signal::derive(move || problem.with(|p| p.as_ref()?.field(wanted).map(str::to_owned)));
    let on_top = Signal::derive(move || problem.with(|p| p.as_ref().filter(|p| p.fields.is_empty()).map(ToString::to_string)));
    let is = move |wanted: Start| move || start.get() == wanted;
    view! {
        <ErrorSummary message=on_top />
        <Show when=is(Start::Archive)>
            <ArchiveField form=form error=field("archive") busy=busy />
        </Show>
        <Show when=is(Start::Folder)>
            <FolderField chosen=form.chosen error=field("files") disabled=busy />
        </Show>
        <Show when=is(Start::Git)>
            <TextField
                label="Address"
                name="url"
                bind=form.url
                error=field("url")
                hint="https, for a repository that anybody may read. The files at its tip are imported, without submodules."
                autocomplete="off"
                autofocus=true
            />
            <TextField label="Branch or tag" name="branch" bind=form.branch error=field("branch") autocomplete="off" optional=true />
        </Show>
        <TextField label="Name" name="name" bind=form.name error=field("name") autocomplete="off" autofocus=true />
        <Show when=is(Start::Empty)>
            <TextArea label="Description" name="description" bind=form.description error=field("description") optional=true />
        </Show>
        <StorageChoice bind=form.storage disabled=busy />
    }
    .into_any()
}

#[component]
fn ArchiveField(form: Form, #[prop(into)] error: Signal<Option<String>>, busy: RwSignal<bool>) -> impl IntoView {
    let input = NodeRef::<html::Input>::new();
    let on_file = move |_| {
        let chosen = input.get_untracked().and_then(|input| input.files()?.get(0));
        if let Some(chosen) = &chosen {
            form.suggest(name_from_archive(&chosen.name()));
        }
        form.archive.set(chosen.as_ref().map(|file| file.size()));
        ARCHIVE.set(chosen);
    };
    let note = move || error.get().unwrap_or_else(|| "zip or tar.gz. An export with history comes back with it.".to_owned());
    view! {
        <div class="field">
            <label for="f-archive">"Archive"</label>
            <input
                id="f-archive"
                type="file"
                accept=".zip,.tar.gz,.tgz,application/zip,application/gzip"
                node_ref=input
                disabled=move || busy.get()
                aria-invalid=move || error.with(Option::is_some).then_some("true")
                aria-describedby="f-archive-note"
                on:change=on_file
            />
            <p class=move || if error.with(Option::is_some) { "err" } else { "hint" } id="f-archive-note">
                {note}
            </p>
        </div>
    }
    .into_any()
}

/// The end of an import that left files out.
#[component]
fn MadeWithout(import: Import) -> impl IntoView {
    view! {
        <p>"The project was made, but not with all files."</p>
        <LeftOutList files=import.left_out />
        <div class="acts end">
            <Button kind=ButtonKind::Primary on_click=move |_| import.open_made()>
                "Open project"
            </Button>
        </div>
    }
    .into_any()
}

#[component]
fn ImportProgress(import: Import) -> impl IntoView {
    let (stage, connected) = (import.stage, import.is_connected());
    view! {
        <Show when=move || stage.get() != Stage::Idle>
            <Progress
                label="Import"
                text=Signal::derive(move || stage.get().text(connected.get()))
                percent=Signal::derive(move || stage.get().percent())
            >
                <Button size=ButtonSize::Small disabled=import.is_stopping() on_click=move |_| import.stop()>
                    "Stop"
                </Button>
            </Progress>
        </Show>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_names_its_project() {
        assert_eq!(name_from_archive("parcel-rates-main.tar.gz"), "parcel-rates-main");
        assert_eq!(name_from_archive("Größe.ZIP"), "Größe");
        assert_eq!(name_from_archive("plain"), "plain");
    }
}
