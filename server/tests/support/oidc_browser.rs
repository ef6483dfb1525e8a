//! A browser that signs in at a provider, one step at a time.

use std::collections::BTreeMap;

use serde_json::Value;
use wire::{
    Page,
    identities::{Identity, SignInTrouble},
    users::User,
};

use super::{PASSWORD, PATIENCE, TestApp};

/// Keeps cookies and goes where it is sent, one step at a time.
pub struct Browser {
    base: String,
    client: reqwest::Client,
    pub cookies: BTreeMap<String, String>,
}

pub struct Seen {
    pub status: u16,
    pub location: Option<String>,
    pub text: String,
}

impl Browser {
    pub fn new(app: &TestApp) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { base: app.base.clone(), client, cookies: BTreeMap::new() }
    }

    pub async fn signed_in(app: &TestApp, name: &str) -> Self {
        let mut browser = Self::new(app);
        let body = format!("username={name}&password={}", PASSWORD.replace(' ', "+"));
        browser.take(browser.ask("POST", "/fn/auth/login").header("content-type", "application/x-www-form-urlencoded").body(body)).await;
        assert!(browser.has_session(), "{name} signs in");
        browser
    }

    pub fn ask(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = self.client.request(method.parse().unwrap(), &url).header("accept", "text/html");
        if url.starts_with(&self.base) && !cookies.is_empty() { request.header("cookie", cookies) } else { request }
    }

    pub async fn take(&mut self, request: reqwest::RequestBuilder) -> Seen {
        let response = tokio::time::timeout(PATIENCE, request.send()).await.expect("no answer in time").unwrap();
        for line in response.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax"), "{line}");
            match line.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        let location = response.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        Seen { status: response.status().as_u16(), location, text: response.text().await.unwrap() }
    }

    pub async fn get(&mut self, path: &str) -> Seen {
        self.take(self.ask("GET", path)).await
    }

    /// Where a step leads.
    pub async fn follow(&mut self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, 303, "{path}: {}", page.text);
        page.location.unwrap()
    }

    /// To the provider, which sends back here.
    pub async fn leave(&mut self, path: &str) -> String {
        let there = self.follow(path).await;
        if !there.starts_with("http") {
            return there;
        }
        let page = self.get(&there).await;
        assert_eq!(page.status, 303, "the provider refuses: {}", page.text);
        page.location.unwrap()
    }

    /// There and back again; answers where that ends.
    pub async fn go(&mut self, path: &str) -> String {
        let back = self.leave(path).await;
        if back.starts_with("http") { self.follow(&back).await } else { back }
    }

    /// The sentence's word where signing in came to nothing.
    pub async fn trouble(&mut self, path: &str) -> SignInTrouble {
        let end = self.go(path).await;
        read_trouble(&end)
    }

    pub fn has_session(&self) -> bool {
        self.cookies.contains_key("cxd_session")
    }

    pub async fn me(&mut self) -> Option<User> {
        let page = self.get("/api/users/me").await;
        (page.status == 200).then(|| serde_json::from_str(&page.text).unwrap())
    }

    pub async fn identities(&mut self) -> Vec<Identity> {
        let page = self.get("/api/users/me/identities").await;
        assert_eq!(page.status, 200, "{}", page.text);
        serde_json::from_str::<Page<Identity>>(&page.text).unwrap().items
    }

    pub async fn unlink(&mut self, identity: &Identity) -> u16 {
        self.take(self.ask("DELETE", &format!("/api/users/me/identities/{}", identity.id))).await.status
    }

    /// Where linking begins, for whoever confirms the password.
    pub async fn link_path(&mut self, provider: &str) -> String {
        let page = self.begin_link(provider, PASSWORD).await;
        assert_eq!(page.status, 200, "{}", page.text);
        serde_json::from_str::<Value>(&page.text).unwrap()["href"].as_str().unwrap().to_owned()
    }

    pub async fn begin_link(&mut self, provider: &str, password: &str) -> Seen {
        let body = serde_json::json!({ "request": { "provider": provider, "password": password } });
        let headers = [("accept", "application/json"), ("content-type", "application/json")];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into_iter().collect();
        // In the place of what a page asks for.
        self.take(self.ask("POST", "/fn/identities/begin_link").headers(headers).body(body.to_string())).await
    }
}

pub fn read_trouble(location: &str) -> SignInTrouble {
    let url = url::Url::parse("http://here").unwrap().join(location).unwrap();
    let word = url.query_pairs().find(|(name, _)| name == "trouble").unwrap_or_else(|| panic!("no trouble: {location}")).1.into_owned();
    SignInTrouble::of_word(&word).unwrap()
}
