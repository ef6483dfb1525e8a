use wire::{ProjectId, RunId, test_reports::TestReport};

use crate::{Conn, Doc, Result, Word, db::on};

/// The project's own test command and where it leaves its report.
pub async fn settings(c: &mut Conn, project: ProjectId) -> Result<(Option<String>, Option<String>)> {
    let found: Option<(Option<String>, Option<String>)> = on!(c, c => {
        sqlx::query_as("SELECT test_command, test_report FROM project_run_settings WHERE project_id = $1")
            .bind(project).fetch_optional(c).await?
    });
    Ok(found.unwrap_or_default())
}

pub async fn set_settings(c: &mut Conn, project: ProjectId, command: Option<&str>, report: Option<&str>) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO project_run_settings (project_id, test_command, test_report) VALUES ($1, $2, $3)
             ON CONFLICT (project_id) DO UPDATE SET test_command = $2, test_report = $3",
        )
        .bind(project).bind(command).bind(report).execute(c).await?;
    });
    Ok(())
}

/// Keeps the report of a run, in place of an earlier one.
pub async fn put(c: &mut Conn, run: RunId, report: &TestReport) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO test_reports (run_id, passed, failed, skipped, report, framework, truncated) VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (run_id) DO UPDATE SET passed = $2, failed = $3, skipped = $4, report = $5, framework = $6, truncated = $7",
        )
        .bind(run).bind(report.passed).bind(report.failed).bind(report.skipped).bind(Doc(report)).bind(Word(report.framework))
        .bind(report.truncated).execute(c).await?;
    });
    Ok(())
}
