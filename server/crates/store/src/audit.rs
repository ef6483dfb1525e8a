//! The audit log: entries are added as the last thing of a transaction, each with the hash of the one before.

use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use wire::{
    Micros, ProjectId, UserId,
    audit::{AuditAction, AuditActor, AuditActorKind, AuditEntry, AuditOutcome, AuditTarget},
};

use crate::{Conn, Result, Tx, Word, db::on};

/// Entries that are looked through at a time where the database can't find them by itself.
const BATCH: i64 = 500;

/// An entry that has no place in the chain yet.
#[derive(Debug, Clone)]
pub struct NewEntry {
    pub at: Micros,
    pub action: AuditAction,
    pub outcome: AuditOutcome,
    pub actor: AuditActor,
    pub address: Option<String>,
    pub request_id: String,
    pub target: Option<AuditTarget>,
    pub project_id: Option<ProjectId>,
    /// JSON.
    pub details: String,
}

#[derive(Debug, Clone, FromRow)]
pub struct AuditRow {
    pub seq: i64,
    pub at: Micros,
    pub action: Word<AuditAction>,
    pub outcome: Word<AuditOutcome>,
    pub actor_kind: Word<AuditActorKind>,
    pub actor_id: Option<UserId>,
    pub actor_name: String,
    pub actor_by: Option<String>,
    pub address: Option<String>,
    pub request_id: String,
    pub target_kind: Option<String>,
    pub target_id: Option<String>,
    pub target_name: Option<String>,
    pub project_id: Option<ProjectId>,
    pub details: String,
    pub previous: String,
    pub hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Head {
    pub seq: i64,
    pub hash: String,
}

/// What the hash is over, in this order, as JSON.
#[derive(Serialize)]
struct Chained<'a> {
    seq: i64,
    at: i64,
    action: &'a str,
    outcome: AuditOutcome,
    actor_kind: AuditActorKind,
    actor_id: Option<UserId>,
    actor_name: &'a str,
    actor_by: Option<&'a str>,
    address: Option<&'a str>,
    request_id: &'a str,
    target_kind: Option<&'a str>,
    target_id: Option<&'a str>,
    target_name: Option<&'a str>,
    project_id: Option<ProjectId>,
    details: &'a str,
    previous: &'a str,
}

impl AuditRow {
    /// What `hash` has to be.
    pub fn compute_hash(&self) -> String {
        let chained = Chained {
            seq: self.seq,
            at: self.at.0,
            action: self.action.0.word(),
            outcome: self.outcome.0,
            actor_kind: self.actor_kind.0,
            actor_id: self.actor_id,
            actor_name: &self.actor_name,
            actor_by: self.actor_by.as_deref(),
            address: self.address.as_deref(),
            request_id: &self.request_id,
            target_kind: self.target_kind.as_deref(),
            target_id: self.target_id.as_deref(),
            target_name: self.target_name.as_deref(),
            project_id: self.project_id,
            details: &self.details,
            previous: &self.previous,
        };
        hex::encode(Sha256::digest(serde_json::to_vec(&chained).unwrap_or_default()))
    }

    pub fn into_entry(self) -> AuditEntry {
        let target = self.target_kind.map(|kind| AuditTarget {
            kind,
            id: self.target_id.unwrap_or_default(),
            name: self.target_name.unwrap_or_default(),
        });
        AuditEntry {
            seq: self.seq,
            at: self.at,
            action: self.action.0,
            outcome: self.outcome.0,
            actor: AuditActor { kind: self.actor_kind.0, id: self.actor_id, name: self.actor_name, by: self.actor_by },
            address: self.address,
            request_id: self.request_id,
            target,
            project_id: self.project_id,
            details: serde_json::from_str(&self.details).unwrap_or_default(),
            previous: self.previous,
            hash: self.hash,
        }
    }
}

/// Remembers an entry; the commit writes it. Its lock is thereby the last one taken, whatever the transaction does before.
pub fn append(tx: &mut Tx, entry: NewEntry) {
    tx.audit.push(entry);
}

/// Writes entries to the end of the chain, which stays locked until the transaction ends.
pub(crate) async fn chain(c: &mut Conn, entries: Vec<NewEntry>) -> Result<()> {
    let count = entries.len() as i64;
    let head: Head = on!(c, c => {
        sqlx::query_as("UPDATE audit_head SET seq = seq + $1 WHERE one = 1 RETURNING seq, hash").bind(count).fetch_one(c).await?
    });
    let mut previous = head.hash;
    for (seq, entry) in (head.seq - count + 1..).zip(entries) {
        let (kind, id, name) = entry.target.map_or((None, None, None), |t| (Some(t.kind), Some(t.id), Some(t.name)));
        let mut row = AuditRow {
            seq,
            at: entry.at,
            action: Word(entry.action),
            outcome: Word(entry.outcome),
            actor_kind: Word(entry.actor.kind),
            actor_id: entry.actor.id,
            actor_name: entry.actor.name,
            actor_by: entry.actor.by,
            address: entry.address,
            request_id: entry.request_id,
            target_kind: kind,
            target_id: id,
            target_name: name,
            project_id: entry.project_id,
            details: entry.details,
            previous,
            hash: String::new(),
        };
        row.hash = row.compute_hash();
        insert(c, &row).await?;
        previous = row.hash;
    }
    on!(c, c => { sqlx::query("UPDATE audit_head SET hash = $1 WHERE one = 1").bind(&previous).execute(c).await?; });
    Ok(())
}

async fn insert(c: &mut Conn, row: &AuditRow) -> Result<()> {
    on!(c, c => {
        sqlx::query(
            "INSERT INTO audit_entries (seq, at, action, outcome, actor_kind, actor_id, actor_name, actor_by, address, request_id,
                                        target_kind, target_id, target_name, project_id, details, previous, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind(row.seq).bind(row.at).bind(row.action).bind(row.outcome).bind(row.actor_kind).bind(row.actor_id).bind(&row.actor_name)
        .bind(&row.actor_by).bind(&row.address).bind(&row.request_id).bind(&row.target_kind).bind(&row.target_id).bind(&row.target_name)
        .bind(row.project_id).bind(&row.details).bind(&row.previous).bind(&row.hash)
        .execute(c).await?;
    });
    Ok(())
}

pub async fn head(c: &mut Conn) -> Result<Head> {
    Ok(on!(c, c => sqlx::query_as("SELECT seq, hash FROM audit_head WHERE one = 1").fetch_one(c).await?))
}

/// Whether there is an entry with this hash.
pub async fn has_hash(c: &mut Conn, hash: &str) -> Result<bool> {
    let found: Option<i64> =
        on!(c, c => sqlx::query_scalar("SELECT seq FROM audit_entries WHERE hash = $1 LIMIT 1").bind(hash).fetch_optional(c).await?);
    Ok(found.is_some())
}

/// Entries after `after` in their order, for who reads them all.
pub async fn after(c: &mut Conn, after: i64, limit: i64) -> Result<Vec<AuditRow>> {
    Ok(on!(c, c => {
        sqlx::query_as("SELECT * FROM audit_entries WHERE seq > $1 ORDER BY seq LIMIT $2").bind(after).bind(limit).fetch_all(c).await?
    }))
}

/// What a list is narrowed to; `None` and an empty text are no limit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Words between commas, with one before and one after them all.
    pub actions: Option<String>,
    pub actor: Option<UserId>,
    pub project: Option<ProjectId>,
    pub from: Option<Micros>,
    pub to: Option<Micros>,
    /// A text in lower case that an entry has somewhere.
    pub search: Option<String>,
}

impl Filter {
    /// The pattern that the database can hold against an entry; of a text beyond ASCII less than all of it, since SQLite knows upper and
    /// lower case of ASCII alone.
    fn pattern(&self) -> Option<String> {
        let mut pattern = "%".to_owned();
        for c in self.search.as_ref()?.chars() {
            match c {
                '\\' | '%' | '_' => pattern.extend(['\\', c]),
                c if c.is_ascii() => pattern.push(c),
                _ => pattern.push('%'),
            }
        }
        Some(pattern + "%")
    }

    /// Whether an entry that fits the pattern has the text indeed.
    fn fits(&self, row: &AuditRow) -> bool {
        let Some(search) = self.search.as_ref().filter(|search| !search.is_ascii()) else { return true };
        let (address, id, name) = (row.address.as_deref(), row.target_id.as_deref(), row.target_name.as_deref());
        let parts =
            [&row.actor_name, address.unwrap_or_default(), &row.request_id, id.unwrap_or_default(), name.unwrap_or_default(), &row.details];
        parts.join(" ").to_lowercase().contains(search)
    }
}

/// Entries before `before`, the newest first.
pub async fn list(c: &mut Conn, filter: &Filter, mut before: i64, limit: i64) -> Result<Vec<AuditRow>> {
    let most = usize::try_from(limit).unwrap_or(0);
    let is_exact = filter.search.as_ref().is_none_or(|search| search.is_ascii());
    let batch = if is_exact { limit } else { limit.max(BATCH) };
    let mut found = Vec::new();
    loop {
        let rows = list_likely(c, filter, before, batch).await?;
        let is_last = (rows.len() as i64) < batch;
        before = rows.last().map_or(before, |row| row.seq);
        found.extend(rows.into_iter().filter(|row| filter.fits(row)));
        if is_last || found.len() >= most {
            found.truncate(most);
            return Ok(found);
        }
    }
}

async fn list_likely(c: &mut Conn, filter: &Filter, before: i64, limit: i64) -> Result<Vec<AuditRow>> {
    Ok(on!(c, c => {
        sqlx::query_as(
            "SELECT * FROM audit_entries
             WHERE seq < $1
               AND ($2 IS NULL OR $2 LIKE '%,' || action || ',%')
               AND ($3 IS NULL OR actor_id = $3)
               AND ($4 IS NULL OR project_id = $4)
               AND ($5 IS NULL OR at >= $5)
               AND ($6 IS NULL OR at < $6)
               AND ($7 IS NULL OR LOWER(actor_name || ' ' || COALESCE(address, '') || ' ' || request_id || ' ' || COALESCE(target_id, '') || ' '
                    || COALESCE(target_name, '') || ' ' || details) LIKE $7 ESCAPE '\\')
             ORDER BY seq DESC LIMIT $8",
        )
        .bind(before).bind(&filter.actions).bind(filter.actor).bind(filter.project).bind(filter.from).bind(filter.to).bind(filter.pattern())
        .bind(limit).fetch_all(c).await?
    }))
}
