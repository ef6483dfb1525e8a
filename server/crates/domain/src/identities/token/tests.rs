use jsonwebtoken::{EncodingKey, Header, jwk::Jwk};
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

/// PKCS #8 around a secret of 32 bytes.
fn ed25519(secret: [u8; 32]) -> EncodingKey {
    EncodingKey::from_ed_der(&[&hex::decode("302e020100300506032b657004220420").unwrap()[..], &secret].concat())
}

fn p256(secret: [u8; 32]) -> EncodingKey {
    let head = hex::decode("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420").unwrap();
    EncodingKey::from_ec_der(&[&head[..], &secret].concat())
}

fn public(key: &EncodingKey, algorithm: Algorithm, kid: &str) -> Jwk {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    jwk
}

fn sign(claims: &Value, key: &EncodingKey, algorithm: Algorithm, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

fn claims() -> Value {
    json!({ "iss": "https://id.example.org", "sub": "1", "aud": "us", "exp": NOW + 300, "iat": NOW, "nonce": "n" })
}

fn expected() -> Expected<'static> {
    Expected { issuer: "https://id.example.org", client_id: "us", nonce: "n", now: NOW }
}

fn check(token: &str, keys: &[Jwk]) -> Result<(), TokenError> {
    verify(token, keys, &expected()).map(|_| ())
}

#[test]
fn tokens_of_known_keys_are_accepted_with_or_without_the_name_of_the_key() {
    let (ec, ed) = (p256([7; 32]), ed25519([8; 32]));
    let keys = [public(&ec, Algorithm::ES256, "a"), public(&ed, Algorithm::EdDSA, "b"), public(&p256([9; 32]), Algorithm::ES256, "c")];
    assert_eq!(check(&sign(&claims(), &ec, Algorithm::ES256, Some("a")), &keys), Ok(()));
    assert_eq!(check(&sign(&claims(), &ed, Algorithm::EdDSA, Some("b")), &keys), Ok(()));
    assert_eq!(check(&sign(&claims(), &p256([9; 32]), Algorithm::ES256, None), &keys), Ok(()));
    let many = json!({ "aud": ["them", "us"], "azp": "us" });
    let mut shared = claims();
    shared.as_object_mut().unwrap().extend(many.as_object().unwrap().clone());
    assert_eq!(check(&sign(&shared, &ec, Algorithm::ES256, Some("a")), &keys), Ok(()));
}

#[test]
fn a_token_has_to_be_signed_by_a_key_that_is_for_it() {
    let (ec, ed) = (p256([7; 32]), ed25519([8; 32]));
    let keys = [public(&ec, Algorithm::ES256, "a"), public(&ed, Algorithm::EdDSA, "b")];
    let good = sign(&claims(), &ec, Algorithm::ES256, Some("a"));
    for (token, why) in [
        (sign(&claims(), &p256([1; 32]), Algorithm::ES256, Some("a")), "another key under the same name"),
        (sign(&claims(), &ec, Algorithm::ES256, Some("z")), "an unknown name"),
        (sign(&claims(), &ec, Algorithm::ES256, Some("b")), "the name of a key of another kind"),
        (format!("{}A{}", &good[..good.len() - 2], &good[good.len() - 1..]), "a changed signature"),
    ] {
        assert_eq!(check(&token, &keys), Err(TokenError::Signature), "{why}");
    }
    let parts: Vec<&str> = good.split('.').collect();
    let forged = URL_SAFE_NO_PAD.encode(claims().to_string().replace("\"1\"", "\"2\""));
    assert_eq!(check(&format!("{}.{forged}.{}", parts[0], parts[2]), &keys), Err(TokenError::Signature));
}

#[test]
fn no_signature_and_shared_secrets_are_never_enough() {
    let ec = p256([7; 32]);
    let keys = [public(&ec, Algorithm::ES256, "a")];
    let payload = URL_SAFE_NO_PAD.encode(claims().to_string());
    for alg in ["none", "None", "HS256", "HS512", "RS512", "PS256", "ES384", ""] {
        let head = URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "kid": "a" }).to_string());
        assert_eq!(check(&format!("{head}.{payload}."), &keys), Err(TokenError::Algorithm), "{alg}");
    }
    // The public key taken for the secret of a MAC.
    let secret = serde_json::to_vec(&keys[0]).unwrap();
    let confused = sign(&claims(), &EncodingKey::from_secret(&secret), Algorithm::HS256, Some("a"));
    assert_eq!(check(&confused, &keys), Err(TokenError::Algorithm));
    let critical = URL_SAFE_NO_PAD.encode(json!({ "alg": "ES256", "kid": "a", "crit": ["b64"] }).to_string());
    for broken in ["", ".", "a.b.c", &format!("{critical}.{payload}.AA")] {
        assert_eq!(check(broken, &keys), Err(TokenError::Malformed), "{broken}");
    }
}

#[test]
fn every_claim_is_looked_at() {
    let key = p256([7; 32]);
    let keys = [public(&key, Algorithm::ES256, "a")];
    let with = |changes: Value| {
        let mut changed = claims();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(changed.as_object_mut().unwrap().remove(name)),
                value => changed[name] = value.clone(),
            }
        }
        check(&sign(&changed, &key, Algorithm::ES256, Some("a")), &keys)
    };
    for (changes, error) in [
        (json!({ "iss": "https://id.example.org/" }), TokenError::Issuer),
        (json!({ "iss": null }), TokenError::Issuer),
        (json!({ "aud": "them" }), TokenError::Audience("aud")),
        (json!({ "aud": null }), TokenError::Audience("no aud")),
        (json!({ "aud": [] }), TokenError::Audience("aud")),
        (json!({ "aud": ["us", "them"] }), TokenError::Audience("azp")),
        (json!({ "azp": "them" }), TokenError::Audience("azp")),
        (json!({ "aud": ["us", "them"], "azp": "them" }), TokenError::Audience("azp")),
        (json!({ "nonce": "m" }), TokenError::Nonce),
        (json!({ "nonce": null }), TokenError::Nonce),
        (json!({ "sub": "" }), TokenError::Malformed),
        (json!({ "sub": 7 }), TokenError::Malformed),
        (json!({ "exp": null }), TokenError::Malformed),
        (json!({ "iat": null }), TokenError::Malformed),
        (json!({ "exp": NOW - SKEW_S }), TokenError::Clock("exp is past")),
        (json!({ "iat": NOW + SKEW_S + 1 }), TokenError::Clock("iat is to come")),
        (json!({ "iat": NOW - AGE_S - 1 }), TokenError::Clock("iat is long past")),
        (json!({ "nbf": NOW + SKEW_S + 1 }), TokenError::Clock("nbf is to come")),
    ] {
        assert_eq!(with(changes.clone()), Err(error), "{changes}");
    }
    assert_eq!(with(json!({ "exp": NOW - SKEW_S + 1, "nbf": NOW + SKEW_S })), Ok(()), "clocks may differ a little");
}

#[test]
fn only_keys_for_signatures_are_read() {
    let good = serde_json::to_value(public(&p256([7; 32]), Algorithm::ES256, "a")).unwrap();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let keys = json!({ "keys": [
        with("use", json!("sig")), with("use", json!("enc")), with("alg", json!("ES384")), with("crv", json!("P-384")),
        { "kty": "oct", "k": "c2VjcmV0", "kid": "a" }, { "kty": "new", "kid": "a" }, 7,
    ] });
    assert_eq!(read_keys(&keys).len(), 1);
    assert!(read_keys(&json!({})).is_empty() && read_keys(&json!([])).is_empty());
}
