//! Whether an ID token is what it says. Everything in it is untrusted until its signature and every claim have been looked at.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde_json::{Map, Value};

/// Nothing with a shared secret, and never `none`.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// How far apart clocks may be, in seconds.
const SKEW_S: i64 = 60;
/// A token is fetched right after it was made.
const AGE_S: i64 = 600;
const SUBJECT_MAX: usize = 255;

/// Why a token was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is no token of three parts in JSON")]
    Malformed,
    #[error("its algorithm is not RS256, ES256 or EdDSA")]
    Algorithm,
    /// Perhaps the keys have been exchanged.
    #[error("no known key has signed it")]
    Signature,
    #[error("it names another issuer")]
    Issuer,
    #[error("it is for another application ({0})")]
    Audience(&'static str),
    #[error("it is of another sign-in")]
    Nonce,
    #[error("its times do not fit this server's clock ({0})")]
    Clock(&'static str),
}

/// What a token has to say.
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    /// Seconds since the epoch.
    pub now: i64,
}

/// The public keys of a document that can sign tokens; what can't be read is left out.
pub fn read_keys(document: &Value) -> Vec<Jwk> {
    let keys = document["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    keys.iter().filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok()).filter(|key| algorithm_of(key).is_some()).collect()
}

/// The one algorithm that a key is for. Curve and algorithm belong together, so that no key is used for what it was not made for.
fn algorithm_of(key: &Jwk) -> Option<Algorithm> {
    if !matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let (algorithm, word) = match &key.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => (Algorithm::ES256, KeyAlgorithm::ES256),
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => (Algorithm::EdDSA, KeyAlgorithm::EdDSA),
        _ => return None,
    };
    key.common.key_algorithm.is_none_or(|stated| stated == word).then_some(algorithm)
}

/// The claims of a token that is signed by one of `keys` and meant for this sign-in.
pub fn verify(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Map<String, Value>, TokenError> {
    let claims = check_signature(token, keys)?;
    check_claims(&claims, expected)?;
    Ok(claims)
}

fn check_signature(token: &str, keys: &[Jwk]) -> Result<Map<String, Value>, TokenError> {
    let head = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).ok_or(TokenError::Malformed)?;
    let head: Map<String, Value> = serde_json::from_slice(&head).map_err(|_| TokenError::Malformed)?;
    // Whatever is critical there is nothing that we know.
    if head.contains_key("crit") {
        return Err(TokenError::Malformed);
    }
    let word = head.get("alg").and_then(Value::as_str).unwrap_or_default();
    let algorithm = ALGORITHMS.into_iter().find(|known| format!("{known:?}") == word).ok_or(TokenError::Algorithm)?;
    let kid = head.get("kid").and_then(Value::as_str);
    let fits = |key: &&Jwk| algorithm_of(key) == Some(algorithm) && (kid.is_none() || key.common.key_id.as_deref() == kid);
    for key in keys.iter().filter(fits) {
        let Ok(key) = DecodingKey::from_jwk(key) else { continue };
        match jsonwebtoken::decode::<Map<String, Value>>(token, &key, &signature_only(algorithm)) {
            Ok(data) => return Ok(data.claims),
            Err(error)
                if matches!(error.kind(), ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_)) =>
            {
                return Err(TokenError::Malformed);
            }
            Err(_) => {}
        }
    }
    Err(TokenError::Signature)
}

/// The claims are looked at below, with our own clock and with words for each refusal.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

fn check_claims(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), TokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(TokenError::Issuer);
    }
    check_audience(claims, expected.client_id)?;
    if text("nonce") != Some(expected.nonce) {
        return Err(TokenError::Nonce);
    }
    if !text("sub").is_some_and(|sub| !sub.is_empty() && sub.len() <= SUBJECT_MAX) {
        return Err(TokenError::Malformed);
    }
    let second = |name: &str| claims.get(name).and_then(|value| value.as_i64().or_else(|| value.as_f64().map(|value| value as i64)));
    let (Some(ends), Some(made)) = (second("exp"), second("iat")) else { return Err(TokenError::Malformed) };
    if ends <= expected.now.saturating_sub(SKEW_S) {
        return Err(TokenError::Clock("exp is past"));
    }
    if made > expected.now.saturating_add(SKEW_S) {
        return Err(TokenError::Clock("iat is to come"));
    }
    if made < expected.now.saturating_sub(AGE_S) {
        return Err(TokenError::Clock("iat is long past"));
    }
    if second("nbf").is_some_and(|begins| begins > expected.now.saturating_add(SKEW_S)) {
        return Err(TokenError::Clock("nbf is to come"));
    }
    Ok(())
}

/// For us; and where others are named as well, given to us.
fn check_audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), TokenError> {
    let audience: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().map(|one| one.as_str().unwrap_or_default()).collect(),
        _ => return Err(TokenError::Audience("no aud")),
    };
    if !audience.contains(&client_id) {
        return Err(TokenError::Audience("aud"));
    }
    match claims.get("azp") {
        None if audience.len() == 1 => Ok(()),
        Some(Value::String(party)) if party == client_id => Ok(()),
        _ => Err(TokenError::Audience("azp")),
    }
}

#[cfg(test)]
mod tests;
