//! The socket of a terminal. Binary frames are bytes, both ways; text frames are the notices and controls of `wire::terminals`.

use std::time::Duration;

use agent::{Bucket, Seat, Shown};
use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
};
use domain::{
    Ctx, Error,
    terminals::{self, Attendance},
};
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use wire::{
    RunId,
    terminals::{TerminalControl, TerminalNotice, TerminalState},
};

use super::{
    AppState,
    ctx::bearer,
    error::{Answer, refuse},
    extract::{Asked, At, Caller},
    middleware::is_same_origin,
    openapi::signature::get,
    routes::{Access, Routes},
};
use crate::metrics::Counted;

/// One message from a reader.
const MESSAGE_MOST: usize = 64 * 1024;
/// Typing and pasting beyond this is read more slowly.
const INPUT_BURST: f64 = 1024.0 * 1024.0;
const INPUT_PER_S: f64 = 512.0 * 1024.0;
/// A message costs at least this much, so that tiny ones have a limit too.
const MESSAGE_COST: usize = 64;
const PING_EVERY: Duration = Duration::from_secs(15);
/// A reader that has not even answered a ping for this long is gone.
const SILENCE_MOST: Duration = Duration::from_secs(40);
/// A reader whose connection takes nothing for this long is gone.
const SEND_PATIENCE: Duration = Duration::from_secs(30);
/// How often an open socket asks whether its reader may still be there.
const RECHECK: Duration = Duration::from_secs(4);
/// One look for the terminal; between looks its row is asked whether there is anything to wait for.
const LOOK: Duration = Duration::from_secs(1);
/// A terminal that is open, but not found for this long, runs where it can't be reached.
const LOOKS_WHILE_OPEN: u32 = 5;

const READ_ONLY: &str = "You are watching. Typing here needs the role editor in this project.";
const OUT_OF_REACH: &str = "This terminal runs in a process of the server that can't be reached from here.";
const AWAY: &str = "The way to this terminal was interrupted. Join it again from where you are.";

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/api/terminals/{id}/ws", Access::Member, get(join))
}

#[derive(Deserialize, schemars::JsonSchema)]
struct After {
    after: Option<u64>,
}

async fn join(
    State(app): State<AppState>,
    Caller(ctx): Caller,
    At(id): At<RunId>,
    Asked(After { after }): Asked<After>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer<Response> {
    // A socket types: with a cookie alone it must come from our own pages, as every call that changes something.
    if bearer(&headers).is_none() && !is_same_origin(&headers, &app.config) {
        tracing::warn!("a socket from another site was refused");
        let detail = "This socket was opened by another site. Open the terminal on its own page.";
        return Err(refuse(&ctx)(Error::Forbidden(detail.to_owned())));
    }
    let attendance = terminals::attend(&ctx, id).await.map_err(refuse(&ctx))?;
    if let Some(reason) = app.terminals.refusal() {
        return Err(refuse(&ctx)(Error::Unavailable(reason.to_owned())));
    }
    let upgrade = upgrade
        .map_err(|rejection| refuse(&ctx)(Error::BadRequest(format!("A terminal is joined by a WebSocket: {}.", rejection.body_text()))))?;
    let upgrade = upgrade.max_message_size(MESSAGE_MOST).max_frame_size(MESSAGE_MOST);
    Ok(upgrade.on_upgrade(move |socket| Watcher::new(app, ctx, attendance, socket).serve(after)).into_response())
}

/// Why a socket ends.
enum End {
    /// The other side is gone.
    Gone,
    Close(u16, &'static str),
}

type Step<T = ()> = Result<T, End>;

/// One reader with their socket.
struct Watcher {
    app: AppState,
    ctx: Ctx,
    id: RunId,
    may_type: bool,
    /// What was asked for before there was a terminal.
    early_size: Option<(u16, u16)>,
    told_read_only: bool,
    socket: WebSocket,
    input: Bucket,
    heard_at: Instant,
}

impl Watcher {
    fn new(app: AppState, ctx: Ctx, attendance: Attendance, socket: WebSocket) -> Self {
        Self {
            app,
            ctx,
            id: attendance.terminal.id,
            may_type: attendance.may_type,
            early_size: None,
            told_read_only: false,
            socket,
            input: Bucket::new(INPUT_BURST, INPUT_PER_S),
            heard_at: Instant::now(),
        }
    }

    async fn serve(mut self, after: Option<u64>) {
        let _open = Counted::begin(metrics::gauge!("cloudxdevai_sockets", "kind" => "terminal"));
        let shutdown = self.app.shutdown.clone();
        let end = tokio::select! {
            end = self.watch(after) => end,
            () = shutdown.cancelled() => Err(End::Close(close_code::RESTART, "The server is stopping.")),
        };
        let (code, reason) = match end {
            Ok(()) => (close_code::NORMAL, ""),
            Err(End::Close(code, reason)) => (code, reason),
            Err(End::Gone) => return,
        };
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let _ = timeout(Duration::from_secs(1), self.socket.send(Message::Close(Some(frame)))).await;
    }

    async fn watch(&mut self, after: Option<u64>) -> Step {
        let Some(mut seat) = self.find_seat(after).await? else { return Ok(()) };
        if let Some((cols, rows)) = self.early_size.take() {
            seat.resize(cols, rows);
        }
        let mut ping = interval(PING_EVERY);
        let mut recheck = interval(RECHECK);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                shown = seat.next() => match shown {
                    Shown::Bytes(data) => self.send(Message::Binary(data)).await?,
                    Shown::Notice(notice) => self.notify(&notice).await?,
                    Shown::Away => return Err(End::Close(close_code::AGAIN, AWAY)),
                    Shown::Closed(sentence) => return self.say_closed(sentence).await,
                },
                message = self.socket.recv() => self.take(message, Some(seat.as_mut())).await?,
                _ = ping.tick() => self.ping().await?,
                _ = recheck.tick() => self.recheck().await?,
            }
        }
    }

    /// Waits for the terminal to be open. `None` when it is closed, which has been said then.
    async fn find_seat(&mut self, after: Option<u64>) -> Step<Option<Box<dyn Seat>>> {
        let mut looks_while_open = 0;
        let mut patience = Duration::ZERO;
        loop {
            let (relay, id) = (self.app.terminals.clone(), self.id);
            let look = relay.attach(id, after, patience);
            tokio::pin!(look);
            let found = loop {
                tokio::select! {
                    found = &mut look => break found,
                    message = self.socket.recv() => self.take(message, None).await?,
                }
            };
            if found.is_some() {
                return Ok(found);
            }
            patience = LOOK;
            self.ping_when_due().await?;
            match terminals::still_attending(&self.ctx, self.id).await {
                Ok(Some(Attendance { terminal, .. })) => match terminal.state {
                    TerminalState::Starting => {}
                    TerminalState::Open => looks_while_open += 1,
                    TerminalState::Closed => {
                        let hello = TerminalNotice::Hello { offset: after.unwrap_or(0), fresh: false, cols: 80, rows: 24 };
                        self.notify(&hello).await?;
                        self.say_closed(terminal.exit.map(|exit| exit.sentence).unwrap_or_default()).await?;
                        return Ok(None);
                    }
                },
                Ok(None) => return Err(End::Close(close_code::POLICY, "You are not signed in any more, or have no access.")),
                Err(error) => tracing::error!(%error, "a terminal could not be looked up"),
            }
            if looks_while_open > LOOKS_WHILE_OPEN {
                return Err(End::Close(close_code::AGAIN, OUT_OF_REACH));
            }
        }
    }

    async fn say_closed(&mut self, sentence: String) -> Step {
        let mut sentence = sentence;
        // Its job went away without a word: the row may need a moment until it says why.
        for _ in 0..20 {
            if !sentence.is_empty() {
                break;
            }
            match terminals::get(&self.ctx, self.id).await {
                Ok(terminal) if terminal.state == TerminalState::Closed => {
                    sentence = terminal.exit.map_or_else(|| "The terminal is closed.".to_owned(), |exit| exit.sentence);
                }
                Ok(_) => sleep(Duration::from_millis(250)).await,
                Err(_) => break,
            }
        }
        if sentence.is_empty() {
            sentence = terminals::LOST.to_owned();
        }
        self.notify(&TerminalNotice::Closed { sentence }).await
    }

    async fn send(&mut self, message: Message) -> Step {
        match timeout(SEND_PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn notify(&mut self, notice: &TerminalNotice) -> Step {
        let text = serde_json::to_string(notice).map_err(|_| End::Close(close_code::ERROR, ""))?;
        self.send(Message::Text(text.into())).await
    }

    async fn ping(&mut self) -> Step {
        if self.heard_at.elapsed() > SILENCE_MOST {
            return Err(End::Gone);
        }
        self.send(Message::Ping(Default::default())).await
    }

    async fn ping_when_due(&mut self) -> Step {
        if self.heard_at.elapsed() > PING_EVERY { self.ping().await } else { Ok(()) }
    }

    async fn recheck(&mut self) -> Step {
        match terminals::still_attending(&self.ctx, self.id).await {
            Ok(Some(attendance)) => {
                self.may_type = attendance.may_type;
                Ok(())
            }
            Ok(None) => Err(End::Close(close_code::POLICY, "You are not signed in any more, or have no access.")),
            // A database that does not answer is no reason to cut people off; the next look comes soon.
            Err(error) => {
                tracing::error!(%error, "the reader of a terminal could not be checked");
                Ok(())
            }
        }
    }

    /// Without a seat there is nothing to type into yet, and what is typed is dropped.
    async fn take(&mut self, message: Option<Result<Message, axum::Error>>, seat: Option<&mut (dyn Seat + 'static)>) -> Step {
        let Some(Ok(message)) = message else { return Err(End::Gone) };
        self.heard_at = Instant::now();
        self.slow_down(&message).await;
        match (message, seat) {
            (Message::Close(_), _) => Err(End::Gone),
            (Message::Binary(data), Some(seat)) if self.may_type => {
                seat.type_in(data);
                Ok(())
            }
            (Message::Binary(_), Some(_)) => self.refuse_typing().await,
            (Message::Text(text), seat) => match serde_json::from_str(&text) {
                Ok(control) => {
                    self.obey(control, seat);
                    Ok(())
                }
                Err(_) => Err(End::Close(close_code::INVALID, "A text frame is one of the controls that terminals know.")),
            },
            _ => Ok(()),
        }
    }

    fn obey(&mut self, control: TerminalControl, seat: Option<&mut (dyn Seat + 'static)>) {
        match (control, seat) {
            (TerminalControl::Ack { bytes }, Some(seat)) => seat.take_in(bytes),
            // Who only watches does not decide how wide it is for those who work.
            (TerminalControl::Resize { .. }, _) if !self.may_type => {}
            (TerminalControl::Resize { cols, rows }, Some(seat)) => seat.resize(cols, rows),
            (TerminalControl::Resize { cols, rows }, None) => self.early_size = Some((cols, rows)),
            (TerminalControl::Ack { .. }, None) => {}
        }
    }

    async fn slow_down(&mut self, message: &Message) {
        let size = match message {
            Message::Binary(data) => data.len(),
            Message::Text(text) => text.len(),
            _ => 0,
        };
        self.input.take(size.max(MESSAGE_COST) as f64);
        let wait = self.input.wait_for(0.0);
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    async fn refuse_typing(&mut self) -> Step {
        if std::mem::replace(&mut self.told_read_only, true) {
            return Ok(());
        }
        self.notify(&TerminalNotice::Notice { text: READ_ONLY.to_owned() }).await
    }
}
