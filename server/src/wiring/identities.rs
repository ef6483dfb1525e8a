//! The way to providers of identities: one request at a time, bounded, without redirects.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    HealthProbe, SystemClock,
    identities::{IdentityDesk, IdentityWeb, WebAnswer, WebError, WebRequest},
};
use llm::{
    HostPolicy,
    http::{HttpResponse, describe_failure, guarded_client},
};
use wire::admin::Check;

use crate::config::IdentityConfig;

const CONNECT_WITHIN: Duration = Duration::from_secs(4);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of one answer.
const ANSWER_MAX: usize = 512 * 1024;

pub fn desk(config: &IdentityConfig) -> Arc<IdentityDesk> {
    Arc::new(IdentityDesk::new(config.oidc.clone(), config.github.clone(), Arc::new(GuardedWeb)))
}

struct GuardedWeb;

#[async_trait]
impl IdentityWeb for GuardedWeb {
    async fn send(&self, request: WebRequest) -> Result<WebAnswer, WebError> {
        match tokio::time::timeout(ANSWER_WITHIN, exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(WebError(format!("no answer within {} s", ANSWER_WITHIN.as_secs()))),
        }
    }
}

async fn exchange(request: WebRequest) -> Result<WebAnswer, WebError> {
    let hosts = HostPolicy { allowed: Vec::new(), private: request.may_be_private };
    let client = guarded_client(&request.url, &hosts, CONNECT_WITHIN).map_err(|error| WebError(error.to_string()))?;
    let mut sending = match &request.form {
        Some(fields) => {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            client.post(request.url).header("content-type", "application/x-www-form-urlencoded").body(body)
        }
        None => client.get(request.url),
    };
    sending = sending.header("accept", "application/json").header("user-agent", "cloudxdevai");
    if let Some(authorization) = &request.authorization {
        sending = sending.header("authorization", authorization.0.as_slice());
    }
    let response = sending.send().await.map_err(|error| WebError(describe_failure(&error)))?;
    let status = response.status().as_u16();
    Ok(WebAnswer { status, body: read_body(response).await? })
}

async fn read_body(mut response: HttpResponse) -> Result<Vec<u8>, WebError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| WebError(describe_failure(&error)))? {
        if body.len() + piece.len() > ANSWER_MAX {
            return Err(WebError("its answer is too long".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The line of the health page.
struct IdentityProbe(Arc<IdentityDesk>);

pub fn probe(desk: &Arc<IdentityDesk>) -> Arc<dyn HealthProbe> {
    Arc::new(IdentityProbe(desk.clone()))
}

#[async_trait]
impl HealthProbe for IdentityProbe {
    fn name(&self) -> &'static str {
        "sign-in provider"
    }

    async fn check(&self) -> Check {
        let now = domain::Clock::now(&SystemClock);
        self.0.check(now).await.unwrap_or_else(|| Check {
            name: "sign-in provider".to_owned(),
            state: wire::admin::CheckState::Ok,
            reason: "None is set up: people sign in with their password or a passkey.".to_owned(),
            advice: None,
        })
    }
}
