use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{
    Error, Services,
    previews::{self, Ticket},
};
use tokio::time::Instant;
use wire::{ProjectId, SessionId};

/// How long an answer of the database is believed: long enough for the pictures of one page.
const BELIEVED: Duration = Duration::from_secs(1);
/// How often what is open is looked at again. What ends it has to have ended it within 5 s.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const KEPT: usize = 4096;

/// Asks whether a ticket still opens its preview, but not for every picture of a page.
pub struct Access {
    services: Arc<Services>,
    confirmed: Mutex<HashMap<(SessionId, ProjectId), Instant>>,
}

impl Access {
    pub fn new(services: Arc<Services>) -> Self {
        Self { services, confirmed: Mutex::default() }
    }

    pub async fn check(&self, ticket: &Ticket) -> Result<(), Error> {
        if ticket.expires_at <= self.services.clock.now() {
            return Err(Error::NotSignedIn);
        }
        let key = (ticket.session, ticket.project);
        let now = Instant::now();
        let is_fresh = |at: &Instant| now.duration_since(*at) < BELIEVED;
        if self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).get(&key).is_some_and(is_fresh) {
            return Ok(());
        }
        previews::check(&self.services, ticket).await?;
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        if confirmed.len() >= KEPT {
            confirmed.retain(|_, at| is_fresh(at));
        }
        confirmed.insert(key, now);
        Ok(())
    }

    /// Returns when the ticket opens nothing any more.
    pub async fn revoked(&self, ticket: &Ticket) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // A database that does not answer for a moment ends no connection.
            if let Err(Error::NotSignedIn) = self.check(ticket).await {
                return;
            }
        }
    }
}
