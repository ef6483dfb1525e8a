//! Passwords: hashed with Argon2id, and refused where anybody would guess them.

use std::sync::LazyLock;

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, PasswordHash},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use tokio::sync::{Semaphore, SemaphorePermit};
use unicode_normalization::UnicodeNormalization;
use wire::FieldError;

use crate::{Error, Result, Services};

/// Each hash takes 19 MiB: fifty sign-ins at once must not take a gigabyte.
static HASHING: Semaphore = Semaphore::const_new(2);

/// Compared with when there is no such user, so that the answer takes as long as for one who exists.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now(b"nobody has this password", &[7; 16]).unwrap_or_default());

/// What hashes of today begin with.
const CURRENT: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

const HASH_BYTES: usize = 32;
/// Blocks of 1 KiB: from this size on an allocation is always the system's own. What is not written to takes no memory.
const GIVEN_BACK: usize = 34 * 1024;

/// Passwords that many people have, lower-cased and sorted by bytes, one a line. `password/NOTICE.md` says where from.
const COMMON: &str = include_str!("password/common.txt");

fn hasher() -> Argon2<'static> {
    // OWASP's minimum for Argon2id: 19 MiB, two passes, one lane.
    Params::new(19_456, 2, 1, None).map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params)).unwrap_or_default()
}

/// Works in memory that goes back to the system with the last block: taken in smaller pieces, the allocator keeps it for each thread
/// that ever hashed.
fn derive(hasher: &Argon2<'_>, password: &[u8], salt: &[u8], length: usize) -> argon2::Result<Vec<u8>> {
    let blocks = hasher.params().block_count();
    let mut memory = Vec::with_capacity(blocks.max(GIVEN_BACK));
    memory.resize(blocks, Block::default());
    let mut output = vec![0; length];
    hasher.hash_password_into_with_memory(password, salt, &mut output, memory.as_mut_slice())?;
    Ok(output)
}

fn hash_now(password: &[u8], salt: &[u8]) -> Result<String> {
    let output = derive(&hasher(), password, salt, HASH_BYTES).map_err(|error| Error::internal(error.to_string()))?;
    Ok(format!("{CURRENT}{}${}", STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output)))
}

/// With the parameters that the hash names. None where it is no hash that a password could belong to.
fn matches(password: &[u8], hash: &str) -> Option<bool> {
    let parsed = PasswordHash::new(hash).ok()?;
    let (salt, expected) = (parsed.salt.as_ref()?, parsed.hash.as_ref()?);
    let algorithm = Algorithm::new(parsed.algorithm.as_str()).ok()?;
    let version = parsed.version.map_or(Some(Version::default()), |number| Version::try_from(number).ok())?;
    let hasher = Argon2::new(algorithm, version, Params::try_from(&parsed).ok()?);
    let given = derive(&hasher, password, salt, expected.as_bytes().len()).ok()?;
    // Compares in constant time.
    Output::new(&given).ok().map(|given| given == *expected)
}

/// A place among the few that hash at a time.
pub struct Turn(#[expect(dead_code, reason = "held until the hash is done")] SemaphorePermit<'static>);

pub async fn wait_for_turn() -> Result<Turn> {
    Ok(Turn(HASHING.acquire().await.map_err(Error::internal)?))
}

/// A PHC string.
pub async fn hash(services: &Services, password: String) -> Result<String> {
    let mut salt = [0; 16];
    services.ids.fill(&mut salt);
    let turn = wait_for_turn().await?;
    let hashing = move || {
        let _turn = turn;
        hash_now(password.as_bytes(), &salt)
    };
    tokio::task::spawn_blocking(hashing).await.map_err(Error::internal)?
}

/// Whether the password belongs to the hash; takes the same time for no hash at all, and for one that no password belongs to.
pub async fn verify(turn: Turn, password: String, hash: Option<String>) -> Result<bool> {
    let check = move || {
        let _turn = turn;
        let found = hash.and_then(|hash| matches(password.as_bytes(), &hash));
        found.unwrap_or_else(|| {
            matches(password.as_bytes(), &NOBODY);
            false
        })
    };
    tokio::task::spawn_blocking(check).await.map_err(Error::internal)
}

/// Whether a hash was made with less than what new ones take.
pub fn is_outdated(hash: &str) -> bool {
    !hash.starts_with(CURRENT)
}

/// Why a new password is too easy to guess, if it is; `own` are the names and addresses of its owner. Its length is checked elsewhere.
pub fn refuse_guessable(field: &str, password: &str, own: &[&str]) -> Option<FieldError> {
    let composed: String = password.trim().nfkc().collect();
    let password = composed.to_lowercase();
    if is_common(&password) {
        let message = "This password is among the first that are guessed. Use a few words that have nothing to do with each other.";
        return Some(FieldError::new(field, message));
    }
    is_about(&password, own).then(|| {
        let message = "This password is too close to your name or address. Use a few words that have nothing to do with you.";
        FieldError::new(field, message)
    })
}

fn is_common(password: &str) -> bool {
    // A year or a sign behind a common word is what is guessed next.
    let stem = password.trim_end_matches(|c: char| !c.is_alphabetic());
    is_listed(password) || (stem.len() < password.len() && is_listed(stem)) || is_monotonous(password)
}

/// By halving the list where it is, without an index in memory.
fn is_listed(word: &str) -> bool {
    let bytes = COMMON.as_bytes();
    let (mut low, mut high) = (0, bytes.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = bytes[..middle].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let end = bytes[middle..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| middle + at);
        match COMMON[start..end].cmp(word) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

/// One or two characters over and over, or a run as of the alphabet.
fn is_monotonous(password: &str) -> bool {
    let chars: Vec<char> = password.chars().collect();
    let mut different = chars.clone();
    different.sort_unstable();
    different.dedup();
    let runs = |step: i64| chars.windows(2).all(|pair| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0])) == step);
    different.len() <= 2 || runs(1) || runs(-1)
}

/// Little more than one of the owner's names.
fn is_about(password: &str, own: &[&str]) -> bool {
    let parts = own.iter().flat_map(|name| {
        let name = name.to_lowercase();
        let local = name.split('@').next().unwrap_or_default().to_owned();
        let words: Vec<String> = name.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect();
        words.into_iter().chain([local, name])
    });
    let mut parts = parts.filter(|part| part.chars().count() >= 3);
    parts.any(|part| password.contains(&part) && password.chars().count() <= part.chars().count() + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(password: &str) -> bool {
        refuse_guessable("password", password, &["ada", "Ada Lovelace", "countess@example.org"]).is_some()
    }

    #[test]
    fn the_list_can_be_searched() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() > 5000 && lines.is_sorted() && lines.iter().all(|line| !line.is_empty() && *line == line.to_lowercase()));
        assert!(lines.iter().all(|line| is_listed(line)));
        for absent in ["", "0", "zzzzzzzzzzzzzzzz", "correct horse battery staple", "passwore"] {
            assert!(!is_listed(absent), "{absent}");
        }
    }

    #[test]
    fn what_many_people_have_is_refused() {
        for bad in ["password", "PassWord", "Password2026!", "qwertyuiop", "iloveyou!!", "aaaaaaaa", "abababab", "abcdefghij", "87654321"] {
            assert!(refused(bad), "{bad}");
        }
        for good in ["correct horse battery staple", "x7-Kitchen-Lamp", "пароль из слов", "longer than eight"] {
            assert!(!refused(good), "{good}");
        }
    }

    #[test]
    fn ones_own_name_is_no_password() {
        for bad in ["lovelace", "Lovelace1", "AdaLovelace", "Ada Lovelace!", "countess22", "countess@example.org"] {
            assert!(refused(bad), "{bad}");
        }
        assert!(!refused("lovelace wrote the first program"));
        assert!(!refused("adamant kitchen"));
    }

    #[test]
    fn hashes_of_today_are_not_outdated() {
        let hash = hash_now(b"a password", &[1; 16]).unwrap();
        assert!(!is_outdated(&hash), "{hash}");
        assert!(is_outdated("$argon2id$v=19$m=4096,t=2,p=1$c2FsdHNhbHQ$xxxx"));
    }
}
