//! Passkeys, with a device written here that makes real keys, attestations and signatures.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use reqwest::Method;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wire::{
    auth::Tokens,
    passkeys::{AddedPasskey, Ceremony, Passkeys},
};

use crate::support::{Caller, Options, PASSWORD, Reply, TestApp};

const SITE: &str = "https://code.example.org";

/// A key in a device, as the Web Authentication standard has it.
struct Device {
    key: EcdsaKeyPair,
    random: SystemRandom,
    id: Vec<u8>,
    /// Whom the key is for, as the device was told.
    handle: String,
    counter: u32,
    verifies: bool,
    origin: &'static str,
    site: &'static str,
}

impl Device {
    fn new() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random).unwrap();
        let id = uuid::Uuid::now_v7().as_bytes().repeat(2);
        Self { key, random, id, handle: String::new(), counter: 0, verifies: true, origin: SITE, site: "code.example.org" }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        json!({ "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false }).to_string().into_bytes()
    }

    fn data(&self, attests: bool) -> Vec<u8> {
        let mut data = Sha256::digest(self.site.as_bytes()).to_vec();
        data.push(1 | if self.verifies { 4 } else { 0 } | if attests { 0x40 } else { 0 });
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// Attestation `none`: authenticator data in CBOR, with the key as COSE.
    fn make(&mut self, begun: &Ceremony) -> Value {
        let options = &begun.options["publicKey"];
        self.handle = options["user"]["id"].as_str().unwrap().to_owned();
        let mut data = self.data(true);
        data.extend([0; 16]);
        data.extend((self.id.len() as u16).to_be_bytes());
        data.extend(&self.id);
        let point = self.key.public_key().as_ref();
        // {1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y}
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..65]);
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt\x64none\x67attStmt\xa0\x68authData\x58");
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        let client_data = self.client_data("webauthn.create", options);
        let response =
            json!({ "clientDataJSON": BASE64.encode(client_data), "attestationObject": BASE64.encode(object), "transports": ["internal"] });
        self.credential(response)
    }

    fn sign(&mut self, begun: &Ceremony) -> Value {
        self.counter += 1;
        let data = self.data(false);
        let client_data = self.client_data("webauthn.get", &begun.options["publicKey"]);
        let signed = [data.as_slice(), &Sha256::digest(&client_data)].concat();
        let signature = self.key.sign(&self.random, &signed).unwrap();
        let response = json!({
            "clientDataJSON": BASE64.encode(client_data), "authenticatorData": BASE64.encode(data),
            "signature": BASE64.encode(signature), "userHandle": self.handle,
        });
        self.credential(response)
    }

    fn credential(&self, response: Value) -> Value {
        let id = BASE64.encode(&self.id);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {} })
    }
}

async fn site() -> TestApp {
    TestApp::with(Options { settings: vec![("APP_PUBLIC_URL", SITE)], ..Options::default() }).await
}

async fn begin_add(person: &Caller) -> Ceremony {
    person.post("/api/users/me/passkeys", &json!({ "password": PASSWORD })).await.expect(200).json()
}

async fn finish_add(person: &Caller, begun: &Ceremony, credential: &Value) -> Reply {
    let request = json!({ "ceremony": begun.ceremony, "name": "Laptop", "credential": credential });
    person.post("/api/users/me/passkeys/confirm", &request).await
}

async fn add(person: &Caller) -> (Device, AddedPasskey) {
    let mut device = Device::new();
    let begun = begin_add(person).await;
    let made = device.make(&begun);
    (device, finish_add(person, &begun, &made).await.expect(201).json())
}

async fn begin_sign_in(app: &TestApp) -> Ceremony {
    app.nobody().post("/api/auth/passkey", &json!({})).await.expect(200).json()
}

async fn finish_sign_in(app: &TestApp, begun: &Ceremony, credential: &Value) -> Reply {
    app.nobody().post("/api/auth/passkey/confirm", &json!({ "ceremony": begun.ceremony, "credential": credential })).await
}

async fn sign_in(app: &TestApp, device: &mut Device) -> Reply {
    let begun = begin_sign_in(app).await;
    let signed = device.sign(&begun);
    finish_sign_in(app, &begun, &signed).await
}

async fn listed(person: &Caller) -> Passkeys {
    person.get("/api/users/me/passkeys").await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_added_named_used_and_removed() {
    let app = site().await;
    let ada = app.user("ada").await;
    ada.post("/api/users/me/passkeys", &json!({ "password": "wrong" })).await.expect(422);
    let begun = begin_add(&ada).await;
    let options = &begun.options["publicKey"];
    assert_eq!(options["rp"], json!({ "id": "code.example.org", "name": "cloudxdevai" }));
    assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(options["attestation"], "none");

    let (mut device, added) = add(&ada).await;
    assert_eq!((added.passkey.name.as_str(), added.passkey.last_used_at), ("Laptop", None));
    assert_eq!(added.recovery_codes.len(), 10, "the first factor brings recovery codes");
    let (_, second) = add(&ada).await;
    assert!(second.recovery_codes.is_empty(), "which are told once");

    let tokens: Tokens = sign_in(&app, &mut device).await.expect(200).json();
    assert_eq!(tokens.user.username, "ada");
    app.nobody().with_tokens(tokens).get("/api/users/me").await.expect(200);
    let list = listed(&ada).await;
    assert_eq!((list.items.len(), list.items[0].last_used_at.is_some(), list.items[1].last_used_at), (2, true, None));

    let place = format!("/api/users/me/passkeys/{}", added.passkey.id);
    assert_eq!(ada.patch(&place, &json!({ "name": " Phone " })).await.expect(200).field("name"), "Phone");
    ada.patch(&place, &json!({ "name": " " })).await.expect(422);
    let remove = |password: &str| ada.send(ada.request(Method::DELETE, &place).json(&json!({ "password": password })));
    remove("wrong").await.expect(422);
    remove(PASSWORD).await.expect(204);
    remove(PASSWORD).await.expect(404);
    sign_in(&app, &mut device).await.expect(401);
    assert_eq!(listed(&ada).await.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_alone_is_not_enough_beside_a_passkey() {
    let app = site().await;
    let ada = app.user("ada").await;
    let (_, added) = add(&ada).await;
    let asked = app.nobody().login("ada", PASSWORD).await.expect(401).problem();
    assert_eq!(asked.current, Some(json!({ "totp": false, "recovery_code": true, "passkey": true })));
    let otp = added.recovery_codes[0].as_str();
    let done = app.nobody().form("/api/auth/login", &[("username", "ada"), ("password", PASSWORD), ("otp", otp)]).await;
    done.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_answers_wrongly_is_not_added() {
    let app = site().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let refused = async |change: fn(&mut Device)| {
        let mut device = Device::new();
        change(&mut device);
        let begun = begin_add(&ada).await;
        let made = device.make(&begun);
        let reply = finish_add(&ada, &begun, &made).await.expect(422).problem();
        assert_eq!(reply.fields[0].field, "credential");
    };
    refused(|device| device.origin = "https://evil.example.org").await;
    refused(|device| device.origin = "http://code.example.org").await;
    refused(|device| device.site = "evil.example.org").await;
    refused(|device| device.verifies = false).await;

    let begun = begin_add(&ada).await;
    let other = begin_add(&ada).await;
    let mut device = Device::new();
    let made = device.make(&other);
    finish_add(&ada, &begun, &made).await.expect(422);
    finish_add(&ben, &other, &made).await.expect(422);
    finish_add(&ada, &other, &made).await.expect(422);
    assert!(listed(&ada).await.items.is_empty() && listed(&ben).await.items.is_empty(), "a challenge is for one answer of one person");

    let begun = begin_add(&ada).await;
    let made = device.make(&begun);
    finish_add(&ada, &begun, &made).await.expect(201);
    finish_add(&ada, &begun, &made).await.expect(422);
    let begun = begin_add(&ben).await;
    let made = device.make(&begun);
    finish_add(&ben, &begun, &made).await.expect(409);
    finish_add(&ben, &begin_add(&ben).await, &json!({ "id": 1 })).await.expect(422);
    finish_add(&ben, &begin_add(&ben).await, &Value::Null).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_answers_wrongly_signs_nobody_in() {
    let app = site().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let (mut adas, _) = add(&ada).await;
    let (mut bens, _) = add(&ben).await;
    let refused = |reply: Reply| assert_eq!(reply.expect(401).problem().code, wire::ErrorCode::NotSignedIn);

    let begun = begin_sign_in(&app).await;
    let signed = adas.sign(&begun);
    finish_sign_in(&app, &begun, &signed).await.expect(200);
    finish_sign_in(&app, &begun, &signed).await.expect(422);
    let fresh = begin_sign_in(&app).await;
    refused(finish_sign_in(&app, &fresh, &signed).await);

    adas.origin = "https://evil.example.org";
    refused(sign_in(&app, &mut adas).await);
    adas.origin = SITE;
    adas.site = "evil.example.org";
    refused(sign_in(&app, &mut adas).await);
    adas.site = "code.example.org";
    adas.verifies = false;
    refused(sign_in(&app, &mut adas).await);
    adas.verifies = true;
    let counter = adas.counter;
    adas.counter = 0;
    refused(sign_in(&app, &mut adas).await);
    adas.counter = counter;
    sign_in(&app, &mut adas).await.expect(200);

    let own = std::mem::replace(&mut bens.handle, adas.handle.clone());
    refused(sign_in(&app, &mut bens).await);
    bens.handle = own;
    let (id, handle) = (bens.id.clone(), bens.handle.clone());
    (bens.id, bens.handle) = (adas.id.clone(), adas.handle.clone());
    refused(sign_in(&app, &mut bens).await);
    (bens.id, bens.handle) = (id, handle);
    refused(sign_in(&app, &mut Device::new()).await);
    sign_in(&app, &mut bens).await.expect(200);

    let id = ben.user.as_ref().unwrap().id;
    ada.patch(&format!("/api/admin/users/{id}"), &json!({ "state": "disabled" })).await.expect(200);
    refused(sign_in(&app, &mut bens).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_takes_the_second_step_of_a_browser() {
    let app = site().await;
    let (ada, ben) = (app.user("ada").await, app.user("ben").await);
    let (mut adas, _) = add(&ada).await;
    let (mut bens, _) = add(&ben).await;
    let asked = app.nobody().form("/fn/auth/login", &[("username", "ada"), ("password", PASSWORD)]).await.expect(401);
    let ticket = asked.set_cookie().unwrap();
    assert!(ticket.starts_with("__Host-cxd_step=") && ticket.contains("Secure"), "{ticket}");
    let ticket = ticket.split(';').next().unwrap().to_owned();
    let begin = async |cookie: &str| {
        let request = app.nobody().request(Method::POST, "/fn/auth/begin_passkey").header("cookie", cookie);
        app.nobody().send(request.json(&json!({ "step": true }))).await
    };
    let finish = async |begun: &Ceremony, credential: Value| {
        let (step, credential) = ("1", credential.to_string());
        let fields = [("ceremony", begun.ceremony.as_str()), ("credential", &credential), ("step", step), ("next", "/settings")];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = app.nobody().request(Method::POST, "/fn/auth/passkey").header("cookie", &ticket);
        app.nobody().send(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    };
    begin("").await.expect(401);
    let begun: Ceremony = begin(&ticket).await.expect(200).json();
    let allowed = begun.options["publicKey"]["allowCredentials"].as_array().unwrap();
    assert_eq!((allowed.len(), allowed[0]["id"].as_str()), (1, Some(BASE64.encode(&adas.id).as_str())));

    let signed = bens.sign(&begun);
    let refused = finish(&begun, signed).await.expect(401);
    assert_eq!(refused.field("code"), "second_factor_required", "the page stays at this step");
    let begun: Ceremony = begin(&ticket).await.expect(200).json();
    let alone: Ceremony = begin_sign_in(&app).await;
    let signed = adas.sign(&alone);
    finish(&alone, signed).await.expect(401);
    let signed = adas.sign(&begun);
    let done = finish(&begun, signed).await;
    assert_eq!(done.header("location"), Some("/settings"), "{done:?}");
    let session = done.set_cookie().unwrap();
    assert!(session.starts_with("__Host-cxd_session="), "{session}");
    begin(&ticket).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn passkeys_need_a_name_and_a_safe_line() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let why = listed(&ada).await.unavailable.unwrap();
    assert!(why.contains("localhost"), "{why}");
    ada.post("/api/users/me/passkeys", &json!({ "password": PASSWORD })).await.expect(409);
    app.nobody().post("/api/auth/passkey", &json!({})).await.expect(409);
    let by_host = |host: &'static str| ada.send(ada.request(Method::GET, "/api/users/me/passkeys").header("host", host));
    assert_eq!(by_host("localhost:8000").await.expect(200).field("unavailable"), Value::Null);
    assert!(by_host("code.example.org").await.expect(200).field("unavailable").as_str().unwrap().contains("https"));
}
