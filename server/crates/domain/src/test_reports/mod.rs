//! Tests of a project: what runs them, and what a run of them found.

mod parse;
mod recognise;

use std::collections::HashMap;

use store::{Conn, test_reports as table};
use tokio::io::AsyncReadExt;
use wire::{
    FieldError, ProjectId, RunId,
    files::EntryKind,
    limits,
    projects::ProjectRole,
    test_reports::{Recognised, TestReport, TestSettings},
};

pub use self::{
    parse::parse,
    recognise::{TELLING, TestPlan},
};
use crate::{Ctx, Error, Result, projects, storage};

/// Files that tell the framework are short; more than this is not read.
const TELLING_MAX: u64 = 256 * 1024;

/// The report of a test run; `None` while it goes on, and for runs of other kinds.
pub async fn of_run(ctx: &Ctx, run: RunId) -> Result<Option<TestReport>> {
    let mut conn = ctx.services().db.read().await?;
    let row = store::runs::get(&mut conn, run).await?.ok_or(Error::NotFound("run"))?;
    projects::require(ctx, &mut conn, row.project_id, ProjectRole::Viewer).await.map_err(|error| match error {
        Error::NotFound(_) => Error::NotFound("run"),
        other => other,
    })?;
    Ok(store::runs::report(&mut conn, run).await?)
}

pub async fn settings(ctx: &Ctx, project: ProjectId) -> Result<TestSettings> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let (command, report) = table::settings(&mut conn, project).await?;
    Ok(TestSettings { command, report, recognised: recognise_in(ctx, &mut conn, project).await? })
}

/// Sets the project's own command; both empty go back to what is recognised.
pub async fn update_settings(ctx: &Ctx, project: ProjectId, request: TestSettings) -> Result<TestSettings> {
    let tidy = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let (command, report) = (tidy(request.command), tidy(request.report));
    let mut fields = Vec::new();
    if command.as_ref().is_some_and(|command| command.len() > limits::COMMAND_MAX || command.contains('\0')) {
        fields.push(FieldError::new("command", "The command is longer than 32 KiB; put it into a script file and run that."));
    }
    if command.is_none() && report.is_some() {
        fields.push(FieldError::new("command", "Type the command that leaves this report."));
    }
    if let Some(Err(reason)) = report.as_deref().map(wire::files::check_path) {
        fields.push(FieldError::new("report", reason));
    }
    let mut tx = ctx.services().db.begin().await?;
    projects::require(ctx, &mut tx, project, ProjectRole::Editor).await?;
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    table::set_settings(&mut tx, project, command.as_deref(), report.as_deref()).await?;
    ctx.commit(tx).await?;
    settings(ctx, project).await
}

/// How a test run goes about it: what was typed, or else the project's own command, or else what its files are recognised by. `only`
/// are cases of an earlier report. Nothing of all that: `Invalid`.
pub async fn plan(ctx: &Ctx, project: ProjectId, command: &str, only: &[String]) -> Result<TestPlan> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let (own, report) = table::settings(&mut conn, project).await?;
    if !command.trim().is_empty() {
        let report = report.filter(|_| own.as_deref() == Some(command.trim()));
        return Ok(recognise::plan_own(command, report.as_deref()));
    }
    if let Some(own) = own {
        return Ok(recognise::plan_own(&own, report.as_deref()));
    }
    match recognise_in(ctx, &mut conn, project).await? {
        Some(found) => Ok(recognise::plan_for(found.framework, only)),
        None => Err(Error::invalid(
            "command",
            "No tests were recognised in this project. Type the command that runs them, or set one for the project.",
        )),
    }
}

/// How the tests of a tree go about it that is not the project's own yet, such as a branch: by the project's own command, or else by what
/// `paths` and the texts of [`TELLING`] show. `filter` names some of the cases. Nothing of all that: `Invalid`.
pub async fn plan_for_tree(
    ctx: &Ctx,
    project: ProjectId,
    paths: &[&str],
    texts: &HashMap<&str, String>,
    filter: Option<&str>,
) -> Result<TestPlan> {
    let mut conn = ctx.services().db.read().await?;
    projects::require(ctx, &mut conn, project, ProjectRole::Viewer).await?;
    let (own, report) = table::settings(&mut conn, project).await?;
    match (own, filter) {
        (Some(own), None) => return Ok(recognise::plan_own(&own, report.as_deref())),
        (Some(own), Some(_)) => {
            let text =
                format!("This project's tests are run by a command of its own, {own:?}, which takes no filter. Leave the filter out.");
            return Err(Error::invalid("filter", text));
        }
        (None, _) => {}
    }
    if filter.is_some_and(|filter| filter.starts_with('-') || filter.len() > limits::COMMAND_MAX / 4 || filter.contains(['\0', '\n'])) {
        return Err(Error::invalid("filter", "Give a part of the names of the cases on one line, without a dash in front."));
    }
    let found = recognise::recognise(paths, |name| texts.get(name).map(String::as_str))
        .ok_or_else(|| Error::invalid("filter", "No tests were recognised in this project. Run them with run_command."))?;
    Ok(match filter {
        Some(filter) => recognise::plan_matching(found.framework, filter),
        None => recognise::plan_for(found.framework, &[]),
    })
}

async fn recognise_in(ctx: &Ctx, conn: &mut Conn, project: ProjectId) -> Result<Option<Recognised>> {
    let rows: Vec<_> = store::files::current(conn, project).await?.into_iter().filter(|row| row.kind.0 == EntryKind::File).collect();
    let blobs = storage::blobs_of(ctx, conn, project).await?;
    let mut texts = HashMap::new();
    for row in rows.iter().filter(|row| recognise::TELLING.contains(&row.path.as_str()) && row.size as u64 <= TELLING_MAX) {
        let Some(checksum) = &row.checksum else { continue };
        let mut bytes = Vec::new();
        blobs.open(checksum).await?.read_to_end(&mut bytes).await.map_err(Error::internal)?;
        texts.insert(row.path.as_str(), String::from_utf8_lossy(&bytes).into_owned());
    }
    let paths: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
    Ok(recognise::recognise(&paths, |name| texts.get(name).map(String::as_str)))
}

/// Keeps what a run found. Files that the framework names only in part are looked up in the project.
pub async fn save(ctx: &Ctx, run: RunId, mut report: TestReport) -> Result<()> {
    let services = ctx.services();
    let row = {
        let mut conn = services.db.read().await?;
        let row = store::runs::get(&mut conn, run).await?.ok_or(Error::NotFound("run"))?;
        projects::require(ctx, &mut conn, row.project_id, ProjectRole::Editor).await?;
        let paths: Vec<String> = store::files::current(&mut conn, row.project_id).await?.into_iter().map(|row| row.path).collect();
        resolve_files(&mut report, &paths, &row.cwd);
        row
    };
    let mut tx = services.db.begin().await?;
    table::put(&mut tx, row.id, &report).await?;
    ctx.commit(tx).await
}

/// A file is named from the project's top, from the command's directory, or by its last part alone.
fn resolve_files(report: &mut TestReport, paths: &[String], cwd: &str) {
    let known: std::collections::HashSet<&str> = paths.iter().map(String::as_str).collect();
    let mut by_name = HashMap::<&str, Option<&str>>::new();
    for path in paths {
        let name = path.rsplit('/').next().unwrap_or(path);
        by_name.entry(name).and_modify(|only| *only = None).or_insert(Some(path));
    }
    for case in &mut report.cases {
        let Some(file) = &case.file else { continue };
        let below = format!("{cwd}/{file}");
        case.file = if known.contains(file.as_str()) {
            continue;
        } else if known.contains(below.as_str()) {
            Some(below)
        } else {
            let name = file.rsplit('/').next().unwrap_or(file);
            by_name.get(name).copied().flatten().filter(|path| path.ends_with(file.as_str())).map(str::to_owned)
        };
        case.line = case.line.filter(|_| case.file.is_some());
    }
}

#[cfg(test)]
mod tests {
    use wire::test_reports::Framework;

    use super::*;

    #[test]
    fn files_are_found_from_the_directory_of_the_command_and_by_name() {
        let output = "--- FAIL: TestA (0.00s)\nFAIL\texample.org/x\t0.1s\n";
        let mut report = parse(Framework::Go, output.as_bytes(), None);
        let mut case = report.cases.remove(0);
        case.line = Some(3);
        let with = |file: &str| wire::test_reports::TestCase { file: Some(file.to_owned()), ..case.clone() };
        report.cases = vec![with("a_test.go"), with("b.py"), with("two.py"), with("gone.py")];
        let paths = ["pkg/a_test.go", "sub/b.py", "x/two.py", "y/two.py"].map(str::to_owned);
        resolve_files(&mut report, &paths, "sub");
        let files: Vec<_> = report.cases.iter().map(|case| (case.file.as_deref(), case.line)).collect();
        assert_eq!(files, [(Some("pkg/a_test.go"), Some(3)), (Some("sub/b.py"), Some(3)), (None, None), (None, None)]);
    }
}
