use serde_json::{Value, json};
use wire::users::User;

use crate::support::{
    Options, PASSWORD, PATIENCE, Reply, TestApp, data_folder,
    mail_server::MailServer,
    oidc_browser::Browser,
    oidc_server::{CLIENT_ID, CLIENT_SECRET, OidcServer},
    program::{Program, free_port},
    read,
};

const SITE: &str = "http://code.example.org";

#[tokio::test(flavor = "multi_thread")]
async fn links_reach_whom_they_are_for_and_work() {
    let mail = MailServer::start().await;
    let app = TestApp::with(Options { settings: mail.settings(), ..Options::default() }).await;
    let ada = app.user("ada").await;
    let link = ada.post("/api/admin/invitations", &json!({ "email": "ben@example.org" })).await.expect(201);
    assert_eq!(link.field("mailed"), json!(true));
    let invitation = mail.after(0).await;
    assert_eq!(
        (invitation.to.as_slice(), invitation.header("subject")),
        (&["ben@example.org".to_owned()][..], "Your invitation to cloudxdevai")
    );
    assert!(invitation.header("from").contains("no-reply@example.org"), "{invitation:?}");
    let secret = invitation.secret(&format!("{SITE}/signup?invite="));
    let account = json!({ "email": "ben@example.org", "username": "ben", "password": PASSWORD, "invite": secret });
    app.nobody().post("/api/auth/register", &account).await.expect(201);

    app.nobody().post("/api/auth/forgot", &json!({ "who": "ben" })).await.expect(202);
    let reset = mail.after(1).await;
    assert_eq!((reset.to.as_slice(), reset.header("subject")), (&["ben@example.org".to_owned()][..], "Set a new password for cloudxdevai"));
    let secret = reset.secret(&format!("{SITE}/reset?token="));
    let new = json!({ "token": secret, "new_password": "a whole new password" });
    app.nobody().post("/api/auth/reset", &new).await.expect(204);
    app.nobody().login("ben", "a whole new password").await.expect(200);
    let told = mail.after(2).await;
    assert_eq!((told.to.as_slice(), told.header("subject")), (&["ben@example.org".to_owned()][..], "A new password was set"));
    assert!(told.text.contains("no other way into it"), "{told:?}");
    for letter in [invitation, reset, told] {
        assert!(!letter.text.contains(PASSWORD) && !letter.text.contains("a whole new password"), "{letter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_sign_in_from_elsewhere_now_is_told_to_the_owner() {
    let (mail, provider) = (MailServer::start().await, OidcServer::start().await);
    let own = vec![
        ("OIDC_ISSUER", provider.url.as_str()),
        ("OIDC_CLIENT_ID", CLIENT_ID),
        ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
        ("OIDC_NAME", "Acme"),
    ];
    let app = TestApp::with(Options { settings: [mail.settings(), own].concat(), ..Options::default() }).await;
    app.register("ada").await;
    provider.is("1", "somebody");
    let mut ada = Browser::signed_in(&app, "ada").await;
    let link = ada.link_path("oidc").await;
    let back = ada.leave(&link).await;
    // It sends back to where the site is said to be.
    assert_eq!(ada.follow(back.strip_prefix(SITE).unwrap()).await, "/settings/security?linked=oidc#identities");
    let letter = mail.after(0).await;
    assert_eq!(
        (letter.to.as_slice(), letter.header("subject")),
        (&["ada@example.org".to_owned()][..], "Another way to sign in to your account")
    );
    assert!(letter.text.contains("somebody at Acme was linked to the account ada"), "{letter:?}");
    assert_eq!(mail.count(), 1);
}

/// As operators run it, with its log in a file.
struct Place {
    folder: tempfile::TempDir,
    program: Program,
}

impl Place {
    async fn start(settings: &[(&str, &str)]) -> Self {
        llm::install_crypto();
        let folder = data_folder();
        let own = [("PROMETHEUS_ENABLED", "false"), ("RATE_LIMIT_ENABLED", "false")];
        let settings: Vec<_> = own.iter().chain(settings).copied().collect();
        let program = Program::spawn_logged(folder.path(), free_port(), &["serve", "--no-worker"], &settings, &folder.path().join("log"));
        program.ready().await;
        Self { folder, program }
    }

    /// Lines of the log that say this.
    fn lines(&self, text: &str) -> Vec<Value> {
        let log = read(&self.folder.path().join("log"));
        log.lines().filter(|line| line.contains(text)).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn until(&self, text: &str, count: usize) -> Vec<Value> {
        let look = async {
            loop {
                let lines = self.lines(text);
                if lines.len() >= count {
                    return lines;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("the log does not say {text:?} {count} times"))
    }
}

#[tokio::test]
async fn with_no_server_for_mail_answers_are_as_ever_and_the_log_says_so() {
    let smtp = format!("smtp://mailer:hidden-word@127.0.0.1:{}", free_port());
    let settings = [("SMTP_URL", smtp.as_str()), ("MAIL_FROM", "no-reply@example.org"), ("APP_PUBLIC_URL", SITE)];
    let place = Place::start(&settings).await;
    let nobody = place.program.caller();
    let body = json!({ "email": "ada@example.org", "username": "ada", "password": PASSWORD });
    nobody.post("/api/auth/register", &body).await.expect(201).json::<User>();
    let ada = nobody.sign_in("ada", PASSWORD).await;

    let forgot = async |who: &str| nobody.post("/api/auth/forgot", &json!({ "who": who })).await.expect(202);
    let (known, unknown): (Reply, Reply) = (forgot("ada").await, forgot("nobody").await);
    let shown = |reply: &Reply| {
        let mut headers: Vec<_> = reply.headers.keys().map(|name| name.to_string()).collect();
        headers.sort();
        (reply.body.clone(), headers)
    };
    assert_eq!(shown(&known), shown(&unknown), "nobody can tell which of them is there");
    let link = ada.post("/api/admin/invitations", &json!({ "email": "ben@example.org" })).await.expect(201);
    assert!(link.field("url_path").as_str().unwrap().starts_with("/signup?invite="), "it can be handed over");
    let change = json!({ "current_password": PASSWORD, "new_password": "a whole new password" });
    ada.post("/api/users/me/password", &change).await.expect(204);
    nobody.login("ada", "a whole new password").await.expect(200);

    let lines = place.until("mail could not be sent", 3).await;
    let of_reset = lines.iter().find(|line| line["request_id"] == known.header("x-request-id").unwrap());
    assert_eq!(of_reset.expect("it names its request")["subject"], "Set a new password for cloudxdevai");
    assert!(lines.iter().all(|line| line["request_id"] != unknown.header("x-request-id").unwrap()));
    for secret in ["hidden-word", "cxl_", "ada@example.org", "ben@example.org", PASSWORD] {
        assert!(place.lines(secret).is_empty(), "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_believed_is_told_once() {
    const SAID: &str = "TRUSTED_PROXIES";
    let ask = async |place: &Place| {
        let nobody = place.program.caller();
        for _ in 0..3 {
            let request = nobody.request(reqwest::Method::GET, "/api/users/me").header("x-forwarded-for", "203.0.113.9");
            nobody.send(request).await.expect(401);
        }
    };
    let place = Place::start(&[]).await;
    place.program.caller().get("/api/users/me").await.expect(401);
    assert!(place.lines(SAID).is_empty(), "there is nothing to say yet");
    ask(&place).await;
    let lines = place.until(SAID, 1).await;
    assert_eq!((lines.len(), &lines[0]["level"], &lines[0]["peer"]), (1, &json!("WARN"), &json!("127.0.0.1")), "{lines:?}");
    let believing = Place::start(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    ask(&believing).await;
    assert!(believing.lines(SAID).is_empty());
}
