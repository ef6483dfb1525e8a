//! What a handler takes and gives, read off its types: the document can't say anything else than the code does.

use std::{convert::Infallible, future::Future};

use axum::{
    Extension, Form, Json,
    body::Body,
    extract::{Multipart, Request, State, WebSocketUpgrade},
    handler::Handler,
    http::{HeaderMap, HeaderName, StatusCode},
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use tower::{Layer, Service};

use crate::http::{
    AppState,
    extract::{Asked, At, Body as JsonBody, Caller, Filled},
};

/// A type that describes itself, and reads a text as itself.
#[derive(Clone, Copy)]
pub struct Shape {
    /// A reference to the type, or the type itself where it has no name.
    pub named: fn(&mut SchemaGenerator) -> Schema,
    /// Never a reference.
    pub plain: fn(&mut SchemaGenerator) -> Schema,
    pub read: fn(&str) -> Result<(), serde_json::Error>,
}

impl Shape {
    fn of<T: JsonSchema + DeserializeOwned>() -> Self {
        Self {
            named: |schemas| schemas.subschema_for::<T>(),
            plain: |schemas| T::json_schema(schemas),
            read: |text| serde_json::from_str::<T>(text).map(drop),
        }
    }
}

#[derive(Clone, Copy)]
pub enum Input {
    /// Of the request, but nothing that its sender writes down.
    Nothing,
    Path(Shape),
    Query(Shape),
    Json(Shape),
    Form(Shape),
    /// Whatever the body is.
    Bytes,
    Multipart,
    Socket,
}

#[derive(Clone, Copy)]
pub enum Output {
    Json(Shape),
    Empty,
    /// The types do not say; the table of operations does.
    Other,
}

pub struct Signature {
    /// The path of the function, such as `server::http::rest::projects::list`.
    pub function: &'static str,
    pub inputs: Vec<Input>,
    pub output: Output,
}

/// What a handler takes from a request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` says nothing to the document of the API",
    note = "types in `wire` derive `schemars::JsonSchema` behind the feature `openapi`; a new extractor needs an `impl Takes` in `http/openapi/signature.rs`"
)]
pub trait Takes {
    fn input() -> Input;
}

/// What a handler answers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` says nothing to the document of the API",
    note = "types in `wire` derive `schemars::JsonSchema` behind the feature `openapi`; a new answer needs an `impl Gives` in `http/openapi/signature.rs`"
)]
pub trait Gives {
    fn output() -> Output;
}

impl Takes for Caller {
    fn input() -> Input {
        Input::Nothing
    }
}

impl Takes for State<AppState> {
    fn input() -> Input {
        Input::Nothing
    }
}

impl<T> Takes for Extension<T> {
    fn input() -> Input {
        Input::Nothing
    }
}

impl Takes for HeaderMap {
    fn input() -> Input {
        Input::Nothing
    }
}

impl<T: JsonSchema + DeserializeOwned> Takes for At<T> {
    fn input() -> Input {
        Input::Path(Shape::of::<T>())
    }
}

impl<T: JsonSchema + DeserializeOwned> Takes for Asked<T> {
    fn input() -> Input {
        Input::Query(Shape::of::<T>())
    }
}

impl<T: JsonSchema + DeserializeOwned> Takes for JsonBody<T> {
    fn input() -> Input {
        Input::Json(Shape::of::<T>())
    }
}

impl<T: JsonSchema + DeserializeOwned> Takes for Form<T> {
    fn input() -> Input {
        Input::Form(Shape::of::<T>())
    }
}

impl<T: JsonSchema + DeserializeOwned> Takes for Filled<T> {
    fn input() -> Input {
        Input::Form(Shape::of::<T>())
    }
}

impl Takes for Request {
    fn input() -> Input {
        Input::Bytes
    }
}

impl Takes for Multipart {
    fn input() -> Input {
        Input::Multipart
    }
}

impl Takes for WebSocketUpgrade {
    fn input() -> Input {
        Input::Socket
    }
}

impl<T: Takes, R> Takes for Result<T, R> {
    fn input() -> Input {
        T::input()
    }
}

impl<T: JsonSchema + DeserializeOwned> Gives for Json<T> {
    fn output() -> Output {
        Output::Json(Shape::of::<T>())
    }
}

impl Gives for StatusCode {
    fn output() -> Output {
        Output::Empty
    }
}

impl Gives for Response {
    fn output() -> Output {
        Output::Other
    }
}

impl<T: Gives> Gives for (StatusCode, T) {
    fn output() -> Output {
        T::output()
    }
}

impl Gives for Body {
    fn output() -> Output {
        Output::Other
    }
}

impl<V, const N: usize> Gives for [(HeaderName, V); N] {
    fn output() -> Output {
        Output::Empty
    }
}

impl<T: Gives, V, const N: usize> Gives for ([(HeaderName, V); N], T) {
    fn output() -> Output {
        T::output()
    }
}

impl<T: Gives, V, const N: usize> Gives for (StatusCode, [(HeaderName, V); N], T) {
    fn output() -> Output {
        T::output()
    }
}

impl<T: Gives, R> Gives for Result<T, R> {
    fn output() -> Output {
        T::output()
    }
}

/// A function whose types say all that the document tells of it. `T` is what axum calls its arguments.
pub trait Signed<T> {
    fn signature() -> Signature;
}

macro_rules! signed {
    ($($input:ident),*) => {
        impl<F, Out, Via, $($input,)*> Signed<(Via, $($input,)*)> for F
        where
            F: FnOnce($($input,)*) -> Out,
            Out: Future,
            Out::Output: Gives,
            $($input: Takes,)*
        {
            fn signature() -> Signature {
                let function = std::any::type_name::<F>();
                Signature { function, inputs: vec![$($input::input()),*], output: Out::Output::output() }
            }
        }
    };
}

signed!(A);
signed!(A, B);
signed!(A, B, C);
signed!(A, B, C, D);
signed!(A, B, C, D, E);
signed!(A, B, C, D, E, G);
signed!(A, B, C, D, E, G, H);

impl<F, Out> Signed<((),)> for F
where
    F: FnOnce() -> Out,
    Out: Future,
    Out::Output: Gives,
{
    fn signature() -> Signature {
        Signature { function: std::any::type_name::<F>(), inputs: Vec::new(), output: Out::Output::output() }
    }
}

/// A handler, and what the document says of it.
pub struct Endpoint {
    pub handler: MethodRouter<AppState>,
    pub signature: Option<fn() -> Signature>,
}

impl Endpoint {
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<routing::Route<Infallible>> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self { handler: self.handler.layer(layer), ..self }
    }
}

/// Of what is no part of the document, such as server functions.
impl From<MethodRouter<AppState>> for Endpoint {
    fn from(handler: MethodRouter<AppState>) -> Self {
        Self { handler, signature: None }
    }
}

macro_rules! methods {
    ($($method:ident),+) => {$(
        pub fn $method<H, T>(handler: H) -> Endpoint
        where
            H: Handler<T, AppState> + Signed<T>,
            T: 'static,
        {
            Endpoint { handler: routing::$method(handler), signature: Some(<H as Signed<T>>::signature) }
        }
    )+};
}

methods!(get, post, put, patch, delete);
