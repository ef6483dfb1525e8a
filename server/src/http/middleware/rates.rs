use std::{collections::HashMap, sync::Arc};

use app::api::ApiError;
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::Ctx;
use server_fn::error::ServerFnUrlError;
use url::Position;
use wire::{ErrorCode, Problem};

use crate::{
    http::{
        AppState,
        ctx::find_address,
        error::Refusal,
        limits::class_of,
        middleware::find_own_referer,
        routes::{Access, Route},
    },
    limits::{Class, Limits, RateVerdict, Who},
};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// What requests are counted by.
#[derive(Clone)]
pub struct RateGate {
    /// `None` where they are not limited.
    limits: Option<Arc<Limits>>,
    app: AppState,
    access: Arc<HashMap<(Method, &'static str), Access>>,
}

impl RateGate {
    pub fn new(limits: Option<Arc<Limits>>, app: AppState, table: &[Route]) -> Self {
        let access = table.iter().map(|route| ((route.method.clone(), route.path), route.access)).collect();
        Self { limits, app, access: Arc::new(access) }
    }

    fn class_of(&self, request: &Request) -> Class {
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let method = request.method();
        // What answers `GET` answers this too, and does the same work.
        let declared = if *method == Method::HEAD { &Method::GET } else { method };
        class_of(method, path, self.access.get(&(declared.clone(), path)).copied())
    }
}

/// Counts what is asked of models on a connection that was let in once.
#[derive(Clone)]
pub struct ModelCalls {
    limits: Option<Arc<Limits>>,
    who: Vec<Who>,
}

impl ModelCalls {
    /// Counts one call. A refusal says how many seconds to wait.
    pub async fn count(&self) -> Result<(), u32> {
        let Some(limits) = &self.limits else { return Ok(()) };
        match check_all(limits, Class::ModelCalls, &self.who).await {
            Some((verdict, _)) if !verdict.allowed => Err(seconds(verdict.wait).max(1)),
            _ => Ok(()),
        }
    }
}

/// Before it is known who asks: all of an address together, and who signs in.
pub async fn limit_addresses(State(gate): State<RateGate>, request: Request, next: Next) -> Response {
    let (Some(limits), Some(address)) = (&gate.limits, find_address(&gate.app.config, &request)) else { return next.run(request).await };
    limits.refresh(&gate.app.services);
    let who = Who::at(address);
    let classes = [Class::Address].into_iter().chain(Some(Class::SignIn).filter(|class| *class == gate.class_of(&request)));
    let mut told = None;
    for class in classes {
        let (verdict, burst) = limits.check(class, who).await;
        if !verdict.allowed {
            return gate.refuse(class, verdict, burst, &request);
        }
        told = Some((verdict, burst));
    }
    let mut response = next.run(request).await;
    if let Some((verdict, burst)) = told {
        tell(response.headers_mut(), verdict, burst);
    }
    response
}

/// Each person, each of their tokens, and each address that nobody is signed in from, by what the request does. What costs money counts
/// for the person too, whatever token it comes with.
pub async fn limit_callers(State(gate): State<RateGate>, mut request: Request, next: Next) -> Response {
    let class = gate.class_of(&request);
    let who = find_callers(&gate.app, &request);
    request.extensions_mut().insert(ModelCalls { limits: gate.limits.clone(), who: who.clone() });
    let Some(limits) = gate.limits.as_ref().filter(|_| class != Class::SignIn) else { return next.run(request).await };
    let counted = if class == Class::ModelCalls { who.as_slice() } else { &who[..who.len().min(1)] };
    let Some((verdict, burst)) = check_all(limits, class, counted).await else { return next.run(request).await };
    if !verdict.allowed {
        return gate.refuse(class, verdict, burst, &request);
    }
    let mut response = next.run(request).await;
    tell(response.headers_mut(), verdict, burst);
    response
}

/// The nearest first: a token before its owner.
fn find_callers(app: &AppState, request: &Request) -> Vec<Who> {
    let Some(ctx) = request.extensions().get::<Ctx>() else { return Vec::new() };
    let token = ctx.grant().map(|grant| Who::Token(grant.id.0));
    let user = ctx.account().map(|user| Who::User(user.id.0));
    match (token, user) {
        (None, None) => find_address(&app.config, request).map(Who::at).into_iter().collect(),
        known => [known.0, known.1].into_iter().flatten().collect(),
    }
}

/// Counts one request for each of them, until one of them has no more. Answers what is most pressing; nothing for nobody.
async fn check_all(limits: &Limits, class: Class, who: &[Who]) -> Option<(RateVerdict, u32)> {
    let mut tightest: Option<(RateVerdict, u32)> = None;
    for who in who {
        let checked = limits.check(class, *who).await;
        if !checked.0.allowed {
            return Some(checked);
        }
        if tightest.as_ref().is_none_or(|(verdict, _)| checked.0.remaining < verdict.remaining) {
            tightest = Some(checked);
        }
    }
    tightest
}

impl RateGate {
    fn refuse(&self, class: Class, verdict: RateVerdict, burst: u32, request: &Request) -> Response {
        let seconds = seconds(verdict.wait).max(1);
        tracing::warn!(class = class.noun(), "a request was refused: there are too many");
        let detail = format!("There were too many {}. Nothing was done; try again in {seconds} s.", class.noun());
        // Their page would be refused as well.
        let form = if class == Class::Address { None } else { self.go_back(request, &detail) };
        let refused = || Refusal::new(ErrorCode::RateLimited, detail, request.extensions().get()).retry_after(seconds).into_response();
        let mut response = form.unwrap_or_else(refused);
        tell(response.headers_mut(), verdict, burst);
        response
    }

    /// To the page whose form it was, which says what is the matter: forms of accounts are sent by the browser itself.
    fn go_back(&self, request: &Request, detail: &str) -> Option<Response> {
        let (headers, path) = (request.headers(), request.uri().path());
        let is_navigating =
            headers.get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok()).is_some_and(|kinds| kinds.contains("text/html"));
        if *request.method() != Method::POST || !path.starts_with("/fn/auth/") || !is_navigating {
            return None;
        }
        let page = find_own_referer(headers, &self.app.config)?;
        let mut own = page.to_string();
        // What was said about an attempt before this one.
        ServerFnUrlError::<ApiError>::strip_error_info(&mut own);
        let problem = Problem::new(ErrorCode::RateLimited, detail);
        let target = ServerFnUrlError::new(path, ApiError(problem)).to_url(&own).ok()?;
        let place = HeaderValue::from_str(&target[Position::BeforePath..]).ok()?;
        Some((StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response())
    }
}

/// The rate that was looked at last says most: what is there already stays.
fn tell(headers: &mut HeaderMap, verdict: RateVerdict, burst: u32) {
    headers.entry(LIMIT).or_insert(burst.into());
    headers.entry(REMAINING).or_insert(verdict.remaining.into());
    headers.entry(RESET).or_insert(seconds(verdict.reset).into());
}

/// Rounded up: who waits as long as they are told is not told to wait again.
fn seconds(time: std::time::Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}
