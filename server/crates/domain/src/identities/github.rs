//! GitHub's OAuth, which has no ID tokens: who came is asked for with the access token, which is then forgotten.

use serde_json::Value;
use url::Url;
use wire::identities::SignInTrouble;

use super::{
    accounts::Person,
    desk::{GithubProvider, IdentityDesk, WebRequest},
    oidc::{Failure, Trade, error_word, fail},
};
use crate::Secret;

const SCOPES: &str = "read:user user:email";

fn at(provider: &GithubProvider, path: &str) -> Result<Url, Failure> {
    Url::parse(&format!("{}{path}", provider.url)).map_err(|_| fail(SignInTrouble::NotSetUp, "GITHUB_URL can't be read"))
}

/// github.com has a host of its own for programs; a server of one's own has a path.
fn api(provider: &GithubProvider, path: &str) -> Result<Url, Failure> {
    if provider.url == "https://github.com" {
        return Url::parse(&format!("https://api.github.com{path}")).map_err(|_| fail(SignInTrouble::NotSetUp, "GITHUB_URL can't be read"));
    }
    at(provider, &format!("/api/v3{path}"))
}

/// Where the browser goes to sign in.
pub fn authorize(provider: &GithubProvider, redirect_uri: &str, state: &str, challenge: &str) -> Result<Url, Failure> {
    let mut url = at(provider, "/login/oauth/authorize")?;
    url.query_pairs_mut().extend_pairs([
        ("client_id", provider.client_id.as_str()),
        ("redirect_uri", redirect_uri),
        ("scope", SCOPES),
        ("state", state),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ]);
    Ok(url)
}

/// Trades the code for who came.
pub async fn identify(desk: &IdentityDesk, provider: &GithubProvider, trade: &Trade<'_>) -> Result<Person, Failure> {
    let form = vec![
        ("client_id", provider.client_id.clone()),
        ("client_secret", String::from_utf8_lossy(&provider.client_secret.0).into_owned()),
        ("code", trade.code.to_owned()),
        ("redirect_uri", trade.redirect_uri.to_owned()),
        ("code_verifier", trade.verifier.to_owned()),
    ];
    let tokens = send(desk, at(provider, "/login/oauth/access_token")?, Some(form), None).await?;
    // It refuses with 200.
    let access = tokens["access_token"].as_str().filter(|token| !token.is_empty());
    let access = access.ok_or_else(|| fail(SignInTrouble::ProviderRefused, format!("no access token ({})", error_word(&tokens))))?;
    let bearer = || Some(Secret(format!("Bearer {access}").into_bytes()));
    let user = send(desk, api(provider, "/user")?, None, bearer()).await?;
    let emails = send(desk, api(provider, "/user/emails")?, None, bearer()).await?;
    read_person(provider, &user, &emails)
}

fn read_person(provider: &GithubProvider, user: &Value, emails: &Value) -> Result<Person, Failure> {
    let (Some(id), Some(login)) = (user["id"].as_u64(), user["login"].as_str()) else {
        return Err(fail(SignInTrouble::Unreachable, "it did not say who it is"));
    };
    let is_usable = |entry: &&Value| entry["primary"] == Value::Bool(true) && entry["verified"] == Value::Bool(true);
    let email = emails.as_array().and_then(|list| list.iter().find(is_usable)).and_then(|entry| entry["email"].as_str());
    let email = email.map(str::to_owned);
    Ok(Person {
        issuer: provider.url.clone(),
        subject: id.to_string(),
        name: login.to_owned(),
        username: Some(login.to_owned()),
        full_name: user["name"].as_str().map(|name| name.chars().filter(|c| !c.is_control()).take(120).collect()),
        verified_email: email.clone(),
        email,
        is_admin: None,
        used_two_factors: false,
    })
}

async fn send(
    desk: &IdentityDesk,
    url: Url,
    form: Option<Vec<(&'static str, String)>>,
    authorization: Option<Secret>,
) -> Result<Value, Failure> {
    let path = url.path().to_owned();
    let answer = desk.web.send(WebRequest { url, form, authorization, may_be_private: true }).await;
    let answer = answer.map_err(|error| fail(SignInTrouble::Unreachable, error.0))?;
    match answer.status {
        200 => {
            serde_json::from_slice(&answer.body).map_err(|_| fail(SignInTrouble::Unreachable, format!("{path} did not answer with JSON")))
        }
        status if status >= 500 => Err(fail(SignInTrouble::Unreachable, format!("{path} answered with {status}"))),
        status => Err(fail(SignInTrouble::ProviderRefused, format!("{path} answered with {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_primary_and_verified_address_counts() {
        let provider = GithubProvider {
            url: "https://github.com".to_owned(),
            client_id: "us".to_owned(),
            client_secret: Secret(Vec::new()),
            allow_signup: true,
        };
        let user = json!({ "id": 7, "login": "ada", "name": null, "email": "public@example.org" });
        let email = |emails: Value| read_person(&provider, &user, &emails).unwrap().verified_email;
        let entry = |email: &str, primary: bool, verified: bool| json!({ "email": email, "primary": primary, "verified": verified });
        assert_eq!(email(json!([entry("a@x.org", false, true), entry("b@x.org", true, true)])).as_deref(), Some("b@x.org"));
        assert_eq!(email(json!([entry("a@x.org", false, true), entry("b@x.org", true, false)])), None);
        assert_eq!(email(json!({ "message": "Not Found" })), None);
        assert!(read_person(&provider, &json!({ "login": "ada" }), &json!([])).is_err());
        assert_eq!(api(&provider, "/user").unwrap().as_str(), "https://api.github.com/user");
        let own = GithubProvider { url: "https://git.example.org".to_owned(), ..provider };
        assert_eq!(api(&own, "/user").unwrap().as_str(), "https://git.example.org/api/v3/user");
    }
}
