use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::json;
use wire::{
    ConversationId,
    audit::AuditAction,
    budgets::{UsageGroup, UsageQuery},
    models::KeyState,
};

use crate::{
    Ctx, Error, Result,
    audit::{self, Facts},
    chat::{self, ExportFormat},
    identities, models, passkeys, preferences, sessions, tokens, usage,
};

/// Days of usage that are told one by one; what lies before is in the sums by model.
const DAYS: i64 = 3650;

/// Everything about a person as one JSON document, made while it is read.
pub struct AccountExport<S> {
    pub file_name: String,
    pub body: S,
}

type Piece = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// Profile, preferences, sessions, passkeys, accounts elsewhere, API tokens and model keys without their secrets, projects with the role
/// in each, usage, and the conversations that the person began in projects that they may still enter, with every message.
pub async fn export(ctx: &Ctx) -> Result<AccountExport<impl Stream<Item = Result<Bytes>> + Send + use<>>> {
    let user = ctx.require_session()?.clone();
    let mut conn = ctx.services().db.read().await?;
    let conversations = store::users::conversations_of(&mut conn, user.id).await?;
    let memberships = store::members::of_user(&mut conn, user.id).await?;
    drop(conn);
    let projects: Vec<_> = memberships
        .into_iter()
        .map(|m| json!({ "id": m.project_id, "name": m.name, "role": m.role.0, "since": m.since, "counts_towards_quota": m.holds_quota }))
        .collect();
    let model_keys: Vec<_> = models::own_keys(ctx)
        .await?
        .into_iter()
        .filter(|own| own.key != KeyState::Missing)
        .map(|own| json!({ "provider": own.provider, "host": own.host, "set_at": own.set_at }))
        .collect();
    let by = |group_by| UsageQuery { group_by, from: Some(first_day(ctx)), ..UsageQuery::default() };
    let head = [
        ("format", text(&json!({ "name": "cloudxdevai account", "version": 1, "made_at": ctx.now() }))?),
        ("profile", text(&user)?),
        ("preferences", text(&preferences::get(ctx).await?)?),
        ("sessions", text(&sessions::list(ctx).await?)?),
        ("passkeys", text(&passkeys::list(ctx).await?.items)?),
        ("identities", text(&identities::list(ctx).await?)?),
        ("api_tokens", text(&tokens::list(ctx).await?)?),
        ("model_keys", text(&model_keys)?),
        ("projects", text(&projects)?),
        ("usage_by_day", text(&used_days(usage::mine(ctx, by(UsageGroup::Day)).await?))?),
        ("usage_by_model", text(&usage::mine(ctx, by(UsageGroup::Model)).await?)?),
    ];
    let head: Vec<String> = head.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    audit::record_alone(ctx, AuditAction::AccountExported, Facts::user(&user).with(json!({ "conversations": conversations.len() }))).await;
    let begin = Bytes::from(format!("{{{},\n\"conversations\":[", head.join(",\n")));
    let pieces = stream::try_unfold((ctx.clone(), conversations.into_iter(), false), |(ctx, mut ids, any)| async move {
        let Some((id, body)) = next_readable(&ctx, &mut ids).await? else { return Ok::<_, Error>(None) };
        tracing::debug!(conversation.id = %id, "a conversation is exported");
        let comma = stream::iter(any.then(|| Ok(Bytes::from_static(b",\n"))));
        Ok(Some((comma.chain(body), (ctx, ids, true))))
    });
    let end = stream::once(async { Ok(Bytes::from_static(b"]}\n")) });
    let body = stream::once(async move { Ok(begin) }).chain(pieces.try_flatten()).chain(end);
    Ok(AccountExport { file_name: format!("cloudxdevai-{}.json", user.username), body })
}

/// The next conversation that the person may read now. What became another project's secret is not told.
async fn next_readable(ctx: &Ctx, ids: &mut std::vec::IntoIter<ConversationId>) -> Result<Option<(ConversationId, Piece)>> {
    for id in ids.by_ref() {
        match chat::export(ctx, id, ExportFormat::Json).await {
            Ok(export) => return Ok(Some((id, Box::pin(export.body)))),
            Err(Error::NotFound(_) | Error::Forbidden(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn first_day(ctx: &Ctx) -> String {
    ctx.now().plus_seconds(-(DAYS - 1) * 86_400).to_rfc3339().chars().take(10).collect()
}

/// Days on which something was used.
fn used_days(mut report: wire::budgets::UsageReport) -> wire::budgets::UsageReport {
    report.rows.retain(|row| row.sums.calls > 0);
    report
}

fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}
