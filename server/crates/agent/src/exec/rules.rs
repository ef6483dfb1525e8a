//! What a run may reach follows its project while it goes on: a host that is allowed now needs no new start, one that was taken back is
//! closed at once.

use std::{convert::Infallible, time::Duration};

use domain::{Ctx, Error, network};
use tokio::{sync::watch, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use wire::{ProjectId, event::Stream, network::HostRule};

/// What an administrator opens or closes for everybody is no event of the project.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_millis(300);

/// Keeps the proxy of a live run at the project's list, until it is dropped. `None` for a run without a proxy.
pub(crate) fn keep_rules(
    ctx: &Ctx,
    project: ProjectId,
    rules: Option<watch::Sender<Vec<HostRule>>>,
) -> Option<AbortOnDropHandle<Infallible>> {
    let ctx = ctx.clone();
    rules.map(|rules| AbortOnDropHandle::new(tokio::spawn(async move { follow(&ctx, project, rules).await })))
}

async fn follow(ctx: &Ctx, project: ProjectId, rules: watch::Sender<Vec<HostRule>>) -> Infallible {
    let mut events = ctx.services().bus.subscribe(&[Stream::Project(project)]).await;
    loop {
        // Whatever happened in the project: the list is short to read, and is not read more often than this.
        if let Ok(None) = timeout(LOOK_EVERY, events.next()).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(SETTLE).await;
        while let Ok(Some(_)) = timeout(Duration::ZERO, events.next()).await {}
        let now = match network::rules(ctx, project).await {
            Ok(now) => now,
            Err(Error::NotFound(_) | Error::Forbidden(_) | Error::NotSignedIn) => Vec::new(),
            Err(error) => {
                tracing::warn!(project.id = %project, %error, "what a project allows could not be read; its runs keep what they had");
                continue;
            }
        };
        rules.send_if_modified(|before| {
            let is_new = *before != now;
            *before = now;
            is_new
        });
    }
}
