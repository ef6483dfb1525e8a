use std::sync::LazyLock;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::{Error, Result, Services};

/// Each hash takes 19 MiB: fifty sign-ins at once must not take a gigabyte.
static HASHING: Semaphore = Semaphore::const_new(2);

/// Compared with when there is no such user, so that the answer takes as long as for one who exists.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now(b"nobody has this password", &[7; 16]).unwrap_or_default());

fn hasher() -> Argon2<'static> {
    // OWASP's minimum for Argon2id: 19 MiB, two passes, one lane.
    Params::new(19_456, 2, 1, None).map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params)).unwrap_or_default()
}

fn hash_now(password: &[u8], salt: &[u8]) -> Result<String> {
    Ok(hasher().hash_password_with_salt(password, salt).map_err(|error| Error::internal(error.to_string()))?.to_string())
}

/// A PHC string.
pub async fn hash(services: &Services, password: String) -> Result<String> {
    let mut salt = [0; 16];
    services.ids.fill(&mut salt);
    let _permit = HASHING.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(move || hash_now(password.as_bytes(), &salt)).await.map_err(Error::internal)?
}

/// Whether the password belongs to the hash; takes the same time for no hash at all.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    let _permit = HASHING.acquire().await.map_err(Error::internal)?;
    let check = move || {
        let known = hash.is_some();
        let text = hash.unwrap_or_else(|| NOBODY.clone());
        let matches = PasswordHash::new(&text).is_ok_and(|parsed| hasher().verify_password(password.as_bytes(), &parsed).is_ok());
        matches && known
    };
    tokio::task::spawn_blocking(check).await.map_err(Error::internal)
}
