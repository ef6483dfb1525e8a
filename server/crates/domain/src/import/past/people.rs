use std::collections::HashMap;

use store::{
    Conn,
    archive::{By, Maker},
};
use wire::{UserId, limits::EMAIL_MAX};

use super::store_error;
use crate::jobs::JobError;

/// Characters of a name that is shown as it stands in an archive.
const NAME_MAX: usize = 120;
/// Names that are remembered at a time: an archive may have any number.
const KNOWN_MAX: usize = 10_000;

/// Finds the accounts that an archive names. A name that no account has stays as text.
#[derive(Default)]
pub struct People {
    known: HashMap<String, Option<UserId>>,
}

impl People {
    pub async fn find(&mut self, conn: &mut Conn, by: &By) -> Result<Maker, JobError> {
        let id = match &by.username {
            Some(username) => self.account(conn, username).await?,
            None => None,
        };
        let shown = by.author.as_ref().or(by.username.as_ref()).filter(|_| id.is_none());
        let author = shown.map(|name| name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect());
        Ok(Maker { id, author })
    }

    async fn account(&mut self, conn: &mut Conn, username: &str) -> Result<Option<UserId>, JobError> {
        if let Some(found) = self.known.get(username) {
            return Ok(*found);
        }
        if username.len() > EMAIL_MAX {
            return Ok(None);
        }
        let key = username.to_lowercase();
        // Keys are addresses as well, and nobody is to be found by theirs.
        let found = store::users::by_key(conn, &key).await.map_err(store_error)?.filter(|row| row.username.to_lowercase() == key);
        let id = found.map(|row| row.id);
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(username.to_owned(), id);
        Ok(id)
    }
}
