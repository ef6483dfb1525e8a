//! Secrets at rest. They are sealed with a key that is derived from `SECRET_KEY`, which is never in the database, and each is bound to
//! what it is for: a row that is copied over another one, or a key whose host was changed underneath it, does not open.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{Ids, Secret};

const FORMAT: u8 = 1;
const MARK: usize = 4;
const NONCE: usize = 24;
const HEAD: usize = 1 + MARK + NONCE;

/// Why something sealed does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("it was sealed with another SECRET_KEY")]
    OtherSecret,
    /// Changed, cut off, or sealed for something else.
    #[error("it was changed or is not for this")]
    Damaged,
}

/// Seals and opens with one secret.
#[derive(Clone)]
pub struct Vault {
    cipher: XChaCha20Poly1305,
    /// Tells what this secret sealed from what another one did.
    mark: [u8; MARK],
}

impl Vault {
    pub fn new(secret: &Secret) -> Self {
        let key = derive(&secret.0, b"cloudxdevai vault 1");
        let mut mark = [0; MARK];
        mark.copy_from_slice(&derive(&key, b"mark")[..MARK]);
        Self { cipher: XChaCha20Poly1305::new((&key).into()), mark }
    }

    /// `bound_to` says what the secret is for; it is needed to open it, and is not kept.
    pub fn seal(&self, ids: &dyn Ids, secret: &Secret, bound_to: &str) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        ids.fill(&mut nonce);
        let mut sealed = Vec::with_capacity(HEAD + secret.0.len() + 16);
        sealed.push(FORMAT);
        sealed.extend(self.mark);
        sealed.extend(nonce);
        let payload = Payload { msg: &secret.0, aad: bound_to.as_bytes() };
        let text = self.cipher.encrypt((&nonce).into(), payload).expect("only texts of 256 GiB can't be sealed");
        sealed.extend(text);
        sealed
    }

    pub fn open(&self, sealed: &[u8], bound_to: &str) -> Result<Secret, VaultError> {
        if sealed.len() < HEAD || sealed[0] != FORMAT {
            return Err(VaultError::Damaged);
        }
        if sealed[1..=MARK] != self.mark {
            return Err(VaultError::OtherSecret);
        }
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&sealed[1 + MARK..HEAD]);
        let payload = Payload { msg: &sealed[HEAD..], aad: bound_to.as_bytes() };
        self.cipher.decrypt((&nonce).into(), payload).map(Secret).map_err(|_| VaultError::Damaged)
    }
}

fn derive(secret: &[u8], purpose: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("a key of any length is fine");
    mac.update(purpose);
    mac.finalize().into_bytes().into()
}

/// The last characters of a key behind dots, as far as that gives nothing away.
pub fn hint(key: &str) -> String {
    let chars: Vec<char> = key.chars().collect();
    let shown = if chars.len() >= 16 { 4 } else { 0 };
    format!("••••{}", chars[chars.len() - shown..].iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemIds;

    fn vault(secret: &str) -> Vault {
        Vault::new(&Secret(secret.as_bytes().to_vec()))
    }

    #[test]
    fn what_was_sealed_opens_for_the_same_use_only() {
        let vault = vault("one");
        let key = Secret(b"sk-abc".to_vec());
        let sealed = vault.seal(&SystemIds, &key, "provider:1:api.example.org");
        assert_eq!(vault.open(&sealed, "provider:1:api.example.org").unwrap().0, key.0);
        for other in ["provider:2:api.example.org", "provider:1:evil.example.org", ""] {
            assert_eq!(vault.open(&sealed, other).err(), Some(VaultError::Damaged));
        }
        assert!(!sealed.windows(key.0.len()).any(|part| part == key.0), "it is not readable");
        assert_ne!(sealed, vault.seal(&SystemIds, &key, "provider:1:api.example.org"), "no two are alike");
    }

    #[test]
    fn another_secret_is_told_from_damage() {
        let sealed = vault("one").seal(&SystemIds, &Secret(b"sk".to_vec()), "x");
        assert_eq!(vault("two").open(&sealed, "x").err(), Some(VaultError::OtherSecret));
        for at in [0, HEAD - 1, HEAD, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(vault("one").open(&changed, "x").err(), Some(VaultError::Damaged), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(vault("one").open(&sealed[..length], "x").is_err());
        }
    }

    #[test]
    fn hints_do_not_give_short_keys_away() {
        assert_eq!((hint("sk-abcdefghijklmnop").as_str(), hint("short").as_str()), ("••••mnop", "••••"));
    }
}
