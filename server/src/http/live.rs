//! Event streams: replay from `after`, then follow. One connection carries one stream, or several.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use domain::{Ctx, Error};
use futures::{StreamExt, stream};
use serde::Deserialize;
use wire::event::{Event, Stream};

use super::{
    AppState,
    error::{Answer, refuse},
    extract::{Asked, At, Caller},
    openapi::signature::get,
    routes::{Access, Routes},
};
use crate::metrics::Counted;

const HEARTBEAT: Duration = Duration::from_secs(10);
/// When readers of a server that stops come back: its successor, or another one, is there by then.
const COME_BACK: Duration = Duration::from_secs(2);
/// Streams on one connection.
const MOST: usize = 32;

type Position = (Stream, i64);

pub fn declare(routes: Routes) -> Routes {
    routes.add(Method::GET, "/api/live/{stream}", Access::Member, get(follow_one)).add(
        Method::GET,
        "/api/live",
        Access::Member,
        get(follow_many),
    )
}

#[derive(Deserialize, schemars::JsonSchema)]
struct After {
    after: Option<i64>,
}

/// `id:` is `seq`; `Last-Event-ID` counts more than `after`, since it is what the browser saw last.
async fn follow_one(
    State(app): State<AppState>,
    Caller(ctx): Caller,
    At(name): At<String>,
    Asked(query): Asked<After>,
    headers: HeaderMap,
) -> Answer<Response> {
    let stream = read_stream(&ctx, &name).map_err(refuse(&ctx))?;
    let seen = last_event_id(&headers).and_then(|id| id.parse().ok());
    let after = seen.or(query.after).unwrap_or(0);
    respond(app, ctx, vec![(stream, after)], false).await
}

/// `?s=<stream>@<after>&s=…`; `id:` lists every position, so that a reconnection resumes each stream.
async fn follow_many(
    State(app): State<AppState>,
    Caller(ctx): Caller,
    Asked(query): Asked<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Answer<Response> {
    let asked = query.iter().filter(|(name, _)| name == "s").map(|(_, value)| value.as_str());
    let mut positions = read_positions(&ctx, asked).map_err(refuse(&ctx))?;
    if let Some(seen) = last_event_id(&headers) {
        let seen = read_positions(&ctx, seen.split(' ')).map_err(refuse(&ctx))?;
        for position in &mut positions {
            position.1 = seen.iter().find(|(stream, _)| *stream == position.0).map_or(position.1, |found| found.1);
        }
    }
    respond(app, ctx, positions, true).await
}

fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok().filter(|id| !id.is_empty())
}

fn read_positions<'a>(ctx: &Ctx, texts: impl Iterator<Item = &'a str>) -> Result<Vec<Position>, Error> {
    let mut positions: Vec<Position> = Vec::new();
    for text in texts {
        let (name, after) = text.split_once('@').unwrap_or((text, "0"));
        let after = after.parse().map_err(|_| Error::BadRequest("Write each stream as name@sequence-number.".to_owned()))?;
        let stream = read_stream(ctx, name)?;
        if !positions.iter().any(|(known, _)| *known == stream) {
            positions.push((stream, after));
        }
    }
    if positions.is_empty() || positions.len() > MOST {
        return Err(Error::BadRequest(format!("Name 1 to {MOST} streams with s=<stream>@<after>.")));
    }
    Ok(positions)
}

/// `user:me` is the caller's own stream.
fn read_stream(ctx: &Ctx, name: &str) -> Result<Stream, Error> {
    match name {
        "user:me" => Ok(Stream::User(ctx.require_user()?.id)),
        _ => name.parse().map_err(|_| Error::NotFound("stream")),
    }
}

async fn respond(app: AppState, ctx: Ctx, positions: Vec<Position>, many: bool) -> Answer<Response> {
    let events = domain::live::follow(&ctx, positions.clone()).await.map_err(refuse(&ctx))?;
    let open = Counted::begin(metrics::gauge!("cloudxdevai_live_streams"));
    let frames = frame(ctx, events, positions, many).take_until(app.shutdown.clone().cancelled_owned()).inspect(move |_| {
        let _ = &open;
    });
    // The first frame opens the connection for real, also through proxies that wait for a byte.
    let hello = stream::once(async { Ok::<_, Infallible>(SseEvent::default().retry(Duration::from_secs(1)).comment("following")) });
    let stopping = stream::once(std::future::ready(app.shutdown)).filter_map(|shutdown| {
        let goodbye = SseEvent::default().retry(COME_BACK).comment("the server is stopping; connect again");
        std::future::ready(shutdown.is_cancelled().then_some(Ok(goodbye)))
    });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("alive");
    let mut response = Sse::new(hello.chain(frames).chain(stopping)).keep_alive(keep_alive).into_response();
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn frame(
    ctx: Ctx,
    events: impl futures::Stream<Item = Result<Event, Error>> + Send,
    positions: Vec<Position>,
    many: bool,
) -> impl futures::Stream<Item = Result<SseEvent, Infallible>> + Send {
    let first = (positions, false);
    events.scan(first, move |(positions, ended), event| {
        let frame = match event {
            _ if *ended => None,
            Ok(event) => Some(write_event(&event, positions, many)),
            Err(error) => {
                *ended = true;
                SseEvent::default().event("problem").json_data(error.into_problem(&ctx)).ok()
            }
        };
        std::future::ready(frame.map(Ok))
    })
}

fn write_event(event: &Event, positions: &mut [Position], many: bool) -> SseEvent {
    // What is not in the log has no number to go on from.
    if let Some(position) = positions.iter_mut().find(|(stream, _)| *stream == event.stream && event.seq > 0) {
        position.1 = event.seq;
    }
    let id = if many {
        positions.iter().map(|(stream, seq)| format!("{stream}@{seq}")).collect::<Vec<_>>().join(" ")
    } else {
        event.seq.to_string()
    };
    let frame = SseEvent::default().id(id);
    frame.json_data(event).unwrap_or_else(|_| SseEvent::default().comment("unwritable"))
}
