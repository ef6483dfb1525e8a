//! The socket that answers prompts piece by piece: one at a time, as many as its caller likes. Text frames are `wire::generate`.

use std::time::Duration;

use agent::{Generation, Piece};
use axum::{
    Extension,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
};
use domain::{Ctx, Error};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use wire::generate::{Generate, GenerateControl, GenerateNotice};

use super::{
    AppState,
    ctx::bearer,
    error::{Answer, refuse},
    extract::Caller,
    middleware::{ModelCalls, is_same_origin},
    openapi::signature::get,
    routes::{Access, Routes},
};
use crate::metrics::Counted;

/// A prompt of the greatest length, with every character escaped.
const MESSAGE_MOST: usize = 2 * 1024 * 1024;
const PING_EVERY: Duration = Duration::from_secs(15);
/// A caller that has not even answered a ping for this long is gone.
const SILENCE_MOST: Duration = Duration::from_secs(40);
/// A caller whose connection takes nothing for this long is gone.
const SEND_PATIENCE: Duration = Duration::from_secs(30);
/// How often an open socket asks whether its caller is still signed in.
const RECHECK: Duration = Duration::from_secs(4);

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/ws/generate", Access::SignedIn, get(join))
}

async fn join(
    State(app): State<AppState>,
    Caller(ctx): Caller,
    Extension(calls): Extension<ModelCalls>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer<Response> {
    // A prompt costs: with a cookie alone it must come from our own pages, as every call that changes something.
    if bearer(&headers).is_none() && !is_same_origin(&headers, &app.config) {
        tracing::warn!("a socket from another site was refused");
        return Err(refuse(&ctx)(Error::Forbidden("This socket was opened by another site.".to_owned())));
    }
    let upgrade = upgrade
        .map_err(|rejection| refuse(&ctx)(Error::BadRequest(format!("Prompts are sent by a WebSocket: {}.", rejection.body_text()))))?;
    let upgrade = upgrade.max_message_size(MESSAGE_MOST).max_frame_size(MESSAGE_MOST);
    Ok(upgrade.on_upgrade(move |socket| Asker { app, ctx, calls, socket, heard_at: Instant::now(), answer: None }.serve()).into_response())
}

/// Why a socket ends.
enum End {
    /// The other side is gone.
    Gone,
    Close(u16, &'static str),
}

struct Asker {
    app: AppState,
    ctx: Ctx,
    calls: ModelCalls,
    socket: WebSocket,
    heard_at: Instant,
    /// Dropping it ends it.
    answer: Option<Generation>,
}

impl Asker {
    async fn serve(mut self) {
        let _open = Counted::begin(metrics::gauge!("cloudxdevai_sockets", "kind" => "generate"));
        let shutdown = self.app.shutdown.clone();
        let end = tokio::select! {
            end = self.listen() => end,
            () = shutdown.cancelled() => End::Close(close_code::RESTART, "The server is stopping."),
        };
        self.answer = None;
        if let End::Close(code, reason) = end {
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            let _ = timeout(Duration::from_secs(1), self.socket.send(Message::Close(Some(frame)))).await;
        }
    }

    async fn listen(&mut self) -> End {
        let mut ping = interval(PING_EVERY);
        let mut recheck = interval(RECHECK);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.take(message).await,
                    Some(Err(_)) | None => Err(End::Gone),
                },
                piece = next(&mut self.answer) => self.pass_on(piece).await,
                _ = ping.tick() => self.ping().await,
                _ = recheck.tick() => self.recheck().await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), End> {
        self.heard_at = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(End::Gone),
            Message::Binary(_) => return Err(End::Close(close_code::UNSUPPORTED, "A prompt is a text frame.")),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
        };
        if let Ok(GenerateControl::Stop) = serde_json::from_str(&text) {
            self.answer = None;
            return Ok(());
        }
        let request: Generate = match serde_json::from_str(&text) {
            Ok(request) => request,
            Err(error) => return self.refuse(Error::BadRequest(format!("This is no prompt: {error}."))).await,
        };
        if self.answer.is_some() {
            let detail = "An answer is being written on this socket. Wait for it, or open another socket.";
            return self.refuse(Error::conflict(detail)).await;
        }
        if let Err(retry_after) = self.calls.count().await {
            let detail = format!("There were too many calls of models. Nothing was done; try again in {retry_after} s.");
            return self.refuse(Error::RateLimited { retry_after, detail }).await;
        }
        match agent::generate(&self.ctx, &self.app.models, request, self.app.shutdown.child_token()).await {
            Ok(answer) => {
                self.answer = Some(answer);
                Ok(())
            }
            Err(error) => self.refuse(error).await,
        }
    }

    async fn pass_on(&mut self, piece: Option<Piece>) -> Result<(), End> {
        let notice = match piece {
            Some(Piece::Text(text)) => GenerateNotice::Delta { text },
            Some(Piece::Done { model, instead_of, usage, cut }) => {
                self.answer = None;
                GenerateNotice::Done { model, instead_of, usage, cut }
            }
            Some(Piece::Failed(error)) => {
                self.answer = None;
                return self.refuse(error).await;
            }
            None => {
                self.answer = None;
                let detail = "The answer was stopped. What was written until then is booked.";
                return self.refuse(Error::Unavailable(detail.to_owned())).await;
            }
        };
        self.say(&notice).await
    }

    async fn refuse(&mut self, error: Error) -> Result<(), End> {
        let problem = error.into_problem(&self.ctx);
        self.say(&GenerateNotice::Error { problem }).await
    }

    async fn say(&mut self, notice: &GenerateNotice) -> Result<(), End> {
        let text = serde_json::to_string(notice).map_err(|_| End::Close(close_code::ERROR, ""))?;
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn ping(&mut self) -> Result<(), End> {
        if self.heard_at.elapsed() > SILENCE_MOST {
            return Err(End::Gone);
        }
        self.send(Message::Ping(Default::default())).await
    }

    async fn recheck(&mut self) -> Result<(), End> {
        match domain::auth::still_signed_in(&self.ctx).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(End::Close(close_code::POLICY, "You are not signed in any more.")),
            // A database that does not answer is no reason to cut people off; the next look comes soon.
            Err(error) => {
                tracing::error!(%error, "the caller of a socket could not be checked");
                Ok(())
            }
        }
    }
}

/// Never ready without an answer.
async fn next(answer: &mut Option<Generation>) -> Option<Piece> {
    match answer {
        Some(answer) => answer.next().await,
        None => std::future::pending().await,
    }
}
