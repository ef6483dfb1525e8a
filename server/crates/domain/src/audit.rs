//! What somebody may have to answer for: written in the transaction of the fact, chained when that commits, never changed again.

use std::sync::Arc;

use futures::{Stream, TryStreamExt, stream};
use serde_json::{Value, json};
use store::{Tx, audit as table};
use wire::{
    FieldError, Page, ProjectId,
    audit::{AuditAction, AuditActor, AuditActorKind, AuditEntry, AuditOutcome, AuditQuery, AuditTarget, AuditVerdict},
    users::User,
};

use crate::{Ctx, Error, Result, Services, page};

const LIST: &str = "audit";
const PAGE: i64 = 50;
/// Entries read at a time by who reads them all.
const BATCH: i64 = 500;
/// Characters of what people search for.
const SEARCH_MAX: usize = 200;
/// Bytes of details; what is longer is named instead of kept.
const DETAILS_MAX: usize = 4096;
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What an entry says besides who, when and from where.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    target: Option<AuditTarget>,
    project: Option<ProjectId>,
    details: Value,
    refused: bool,
    actor: Option<User>,
}

impl Facts {
    pub fn none() -> Self {
        Self::default()
    }

    /// `kind` is a noun such as `user`; `name` is what it was called at that time.
    pub fn about(kind: &str, id: impl std::fmt::Display, name: impl Into<String>) -> Self {
        let target = AuditTarget { kind: kind.to_owned(), id: id.to_string(), name: name.into() };
        Self { target: Some(target), ..Self::default() }
    }

    pub fn user(user: &User) -> Self {
        Self::about("user", user.id, user.username.clone())
    }

    pub fn in_project(self, project: ProjectId) -> Self {
        Self { project: Some(project), ..self }
    }

    /// Ids, names and counts; never a secret and never what a file holds.
    pub fn with(self, details: Value) -> Self {
        Self { details, ..self }
    }

    pub fn refused(self) -> Self {
        Self { refused: true, ..self }
    }

    pub fn refused_if(self, refused: bool) -> Self {
        Self { refused, ..self }
    }

    /// Where the context does not know yet who it is, as while somebody signs in.
    pub fn by(self, user: &User) -> Self {
        Self { actor: Some(user.clone()), ..self }
    }
}

/// Adds an entry to a transaction. It is kept if and only if the transaction commits.
pub fn record(ctx: &Ctx, tx: &mut Tx, action: AuditAction, facts: Facts) {
    let actor = match &facts.actor {
        Some(user) => AuditActor { kind: AuditActorKind::Person, id: Some(user.id), name: user.username.clone(), by: None },
        None => ctx.audit_actor(),
    };
    let mut details = if facts.details.is_null() { "{}".to_owned() } else { facts.details.to_string() };
    if details.len() > DETAILS_MAX {
        details = json!({ "left_out": details.len() }).to_string();
    }
    let entry = table::NewEntry {
        at: ctx.now(),
        action,
        outcome: if facts.refused { AuditOutcome::Refused } else { AuditOutcome::Done },
        actor,
        address: ctx.client().address.clone(),
        request_id: ctx.trace().to_owned(),
        target: facts.target,
        project_id: facts.project,
        details,
    };
    count(&entry);
    table::append(tx, entry);
}

fn count(entry: &table::NewEntry) {
    let outcome = if entry.outcome == AuditOutcome::Refused { "refused" } else { "done" };
    metrics::counter!("cloudxdevai_audit_entries_total", "action" => entry.action.word(), "outcome" => outcome).increment(1);
    let sign_in = match entry.action {
        AuditAction::SignedIn => "done",
        AuditAction::SignInRefused => "refused",
        AuditAction::SecondFactorRefused => "second_factor_refused",
        _ => return,
    };
    metrics::counter!("cloudxdevai_sign_ins_total", "outcome" => sign_in).increment(1);
}

/// An entry without a transaction of its own, as for refusals. What keeps it from being written is logged; the caller goes on.
pub async fn record_alone(ctx: &Ctx, action: AuditAction, facts: Facts) {
    let written = async {
        let mut tx = ctx.services().db.begin().await?;
        record(ctx, &mut tx, action, facts);
        ctx.commit(tx).await
    };
    if let Err(error) = written.await {
        tracing::error!(%error, action = action.word(), "an entry of the audit log could not be written");
    }
}

/// The newest first.
pub async fn list(ctx: &Ctx, query: AuditQuery) -> Result<Page<AuditEntry>> {
    ctx.require_administration()?;
    let (filter, before, limit) = read_query(&query)?;
    let mut conn = ctx.services().db.read().await?;
    let rows = table::list(&mut conn, &filter, before, limit + 1).await?;
    Ok(page::map(page::cut(rows, limit, LIST, |row| row.seq), table::AuditRow::into_entry))
}

/// All entries that fit, the newest first, read as the reader takes them. That it was exported is an entry too.
pub async fn export(ctx: &Ctx, query: AuditQuery) -> Result<impl Stream<Item = Result<AuditEntry>> + Send + use<>> {
    ctx.require_administration()?;
    let (filter, before, _) = read_query(&query)?;
    record_alone(ctx, AuditAction::AuditExported, Facts::none().with(json!({ "action": query.action, "search": query.search }))).await;
    let services = ctx.services().clone();
    let pages = stream::try_unfold((services, filter, Some(before)), |(services, filter, before)| async move {
        let Some(before) = before else { return Ok::<_, Error>(None) };
        let rows = table::list(&mut services.db.read().await?, &filter, before, BATCH).await?;
        let next = rows.last().filter(|_| rows.len() as i64 == BATCH).map(|row| row.seq);
        let entries = stream::iter(rows.into_iter().map(|row| Ok(row.into_entry())));
        Ok(Some((entries, (services, filter, next))))
    });
    Ok(pages.try_flatten())
}

fn read_query(query: &AuditQuery) -> Result<(table::Filter, i64, i64)> {
    let mut fields = Vec::new();
    let limit = page::note(&mut fields, page::check_limit(query.limit.map(i64::from), PAGE))?;
    let before = query.cursor.as_deref().map(|cursor| page::read_cursor(LIST, cursor)).transpose();
    let before = page::note(&mut fields, before)?.flatten();
    let words: Vec<&str> = query.action.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if let Some(unknown) = words.iter().find(|word| !AuditAction::ALL.iter().any(|action| action.word() == **word)) {
        fields.push(FieldError::new("action", format!("There is no action {unknown:?}.")));
    }
    let search = query.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
    if search.is_some_and(|text| text.chars().count() > SEARCH_MAX || text.contains('\0')) {
        fields.push(FieldError::new("search", "Use at most 200 characters."));
    }
    if !fields.is_empty() {
        return Err(Error::Invalid(fields));
    }
    let filter = table::Filter {
        actions: (!words.is_empty()).then(|| format!(",{},", words.join(","))),
        actor: query.user,
        project: query.project,
        from: query.from,
        to: query.to,
        search: search.map(str::to_lowercase),
    };
    Ok((filter, before.unwrap_or(i64::MAX), limit.unwrap_or(PAGE)))
}

/// Whether every entry is there, unchanged and in its place.
pub async fn verify(ctx: &Ctx) -> Result<AuditVerdict> {
    ctx.require_administration()?;
    check_chain(ctx.services()).await
}

/// Whether an entry has this hash, such as a head that was noted earlier.
pub async fn has_hash(ctx: &Ctx, hash: &str) -> Result<bool> {
    ctx.require_administration()?;
    Ok(hash == BEGINNING || table::has_hash(&mut ctx.services().db.read().await?, hash).await?)
}

async fn check_chain(services: &Arc<Services>) -> Result<AuditVerdict> {
    let head = table::head(&mut services.db.read().await?).await?;
    let (mut seq, mut previous) = (0, BEGINNING.to_owned());
    let broken = |entries: i64, previous: &str, problem: String| AuditVerdict {
        holds: false,
        entries,
        head: previous.to_owned(),
        problem: Some(problem),
    };
    // What is added meanwhile is left for the next time.
    while seq < head.seq {
        let rows = table::after(&mut services.db.read().await?, seq, BATCH.min(head.seq - seq)).await?;
        if rows.is_empty() {
            return Ok(broken(seq, &previous, format!("Entries after {seq} are missing, up to {}.", head.seq)));
        }
        for row in rows {
            if row.seq != seq + 1 {
                return Ok(broken(seq, &previous, format!("Entry {} is missing.", seq + 1)));
            }
            if row.previous != previous || row.compute_hash() != row.hash {
                return Ok(broken(seq, &previous, format!("Entry {} was changed after it was written.", row.seq)));
            }
            (seq, previous) = (row.seq, row.hash);
        }
    }
    if previous != head.hash {
        return Ok(broken(seq, &previous, format!("The end of the chain does not belong to entry {seq}.")));
    }
    // What was added properly since has moved the head along with it.
    let mut conn = services.db.read().await?;
    let next = table::after(&mut conn, head.seq, 1).await?;
    if let Some(row) = next.first()
        && table::head(&mut conn).await?.seq < row.seq
    {
        return Ok(broken(seq, &previous, format!("Entry {} was put behind the end of the chain.", row.seq)));
    }
    Ok(AuditVerdict { holds: true, entries: seq, head: previous, problem: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_checked_as_a_whole() {
        let query =
            AuditQuery { search: Some(" Größe ".to_owned()), action: Some("token_made, signed_in".to_owned()), ..AuditQuery::default() };
        let (filter, before, limit) = read_query(&query).unwrap();
        assert_eq!(filter.search.as_deref(), Some("größe"));
        assert_eq!((filter.actions.as_deref(), before, limit), (Some(",token_made,signed_in,"), i64::MAX, 50));
        let wrong =
            AuditQuery { action: Some("nothing".to_owned()), cursor: Some("x".to_owned()), limit: Some(0), ..AuditQuery::default() };
        assert!(matches!(read_query(&wrong), Err(Error::Invalid(fields)) if fields.len() == 3));
    }
}
