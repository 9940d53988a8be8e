//! The REST API. Each file holds some routes: what they take and give, who answers, and how that
//! reads in the OpenAPI document. Who may call them is decided in [`crate::auth`].

#![expect(
    clippy::missing_errors_doc,
    reason = "handlers answer with the problems that the OpenAPI document names for each route"
)]

pub(crate) mod administered;
pub mod agreements;
pub mod audit;
pub mod compliance;
pub mod enforcement;
pub mod evidence;
pub mod health;
pub mod login_checks;
pub mod logins;
pub mod members;
pub mod passwords;
pub mod people;
pub mod proof;
pub mod sessions;
pub mod tiles;
pub mod two_factor;
pub mod users;
pub mod webhooks;

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use crate::app::App;
use crate::problem::{Problem, ProblemCode, ProblemDetails};
use crate::request::Request;

/// Adds the way to authenticate to the OpenAPI document.
pub struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key (csk_…), a session token (css_…) or an enrolment token (cse_…)."))
            .build();
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// What most routes may answer instead: see the codes in [`ProblemCode`].
#[derive(utoipa::IntoResponses)]
pub enum Problems {
    /// The body or the address cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemDetails),
    /// Nobody is signed in, or what was shown is wrong.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemDetails),
    /// The caller may not, or must step up first.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemDetails),
    /// There is no such thing, or it is another tenant's.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemDetails),
    /// As things stand this cannot be done.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(ProblemDetails),
    /// A challenge or an enrolment has ended.
    #[response(status = 410, content_type = "application/problem+json")]
    Gone(ProblemDetails),
    /// The body has the wrong shape, or a field cannot have its value.
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(ProblemDetails),
    /// Throttled or locked; `Retry-After` says for how long.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(ProblemDetails),
    /// Busy, or the database does not answer.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemDetails),
}

impl<S: Send + Sync> FromRequestParts<S> for Request {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let admitted = parts.extensions.get::<Self>().cloned();
        admitted.ok_or_else(|| Problem::internal("a handler ran without its caller being known"))
    }
}

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(is_json);
        if !is_json {
            return Err(Problem::from_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body that may be missing altogether.
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE).map(is_json);
        let bytes = read(request, state).await?;
        match content_type {
            _ if bytes.is_empty() => Ok(Self(T::default())),
            Some(true) => parse(&bytes).map(Self),
            Some(false) | None => Err(Problem::from_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        }
    }
}

fn is_json(content_type: &HeaderValue) -> bool {
    let media_type = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

async fn read<S: Send + Sync>(request: axum::extract::Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| Problem::from_status(rejection.status()))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // First whether it is JSON at all, then whether it has the right shape.
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Problem::new(ProblemCode::MalformedJson, format!("The body is not JSON at {place}."))
    })?;
    if holds_nul(&value) {
        return Err(Problem::new(ProblemCode::MalformedJson, "A text in the body holds a NUL character."));
    }
    if !value.is_object() {
        return Err(Problem::new(
            ProblemCode::InvalidBody,
            "The body must be a JSON object; see /openapi.json.",
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        let detail = format!("{} ({place}); see /openapi.json for its shape.", shape_error(&error));
        Problem::new(ProblemCode::InvalidBody, detail)
    })
}

/// What is wrong with the shape, where serde says it without quoting values.
fn shape_error(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let named = ["missing field", "unknown field", "duplicate field"];
    match message.split(['(', ',']).next() {
        Some(start) if named.iter().any(|name| start.starts_with(name)) => {
            let field: String = start.split(" at line").next().unwrap_or_default().chars().take(80).collect();
            format!("The body has the wrong shape: {field}")
        }
        Some(_) | None => "The body has the wrong shape".to_owned(),
    }
}

fn holds_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(holds_nul),
        serde_json::Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value))
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
    }
}

/// The query of an address.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Unlike axum's own, this reads a parameter that is given several times as a list.
        let query = parts.uri.query().unwrap_or_default();
        let params = serde_html_form::from_str(query).map_err(|_| {
            Problem::new(
                ProblemCode::MalformedRequest,
                "The query of the address cannot be read; see /openapi.json for its parameters.",
            )
        })?;
        Ok(Self(params))
    }
}

/// An id in a path. Text that is no id is the id of nothing.
///
/// # Errors
/// `not-found`.
pub fn path_id<Id: FromStr>(text: &str, what: &str) -> Result<Id, Problem> {
    text.parse().map_err(|_| Problem::not_found(what))
}

/// A list, and where it goes on.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Give this as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// How many items a page has.
///
/// # Errors
/// `malformed-request` for none or more than 500.
pub fn page_size(limit: Option<u32>) -> Result<i64, Problem> {
    match limit.unwrap_or(100) {
        limit @ 1..=500 => Ok(i64::from(limit)),
        _ => Err(Problem::new(ProblemCode::MalformedRequest, "limit must be from 1 to 500.")),
    }
}

/// Cuts the one item that was read beyond a page, and tells where the page ended.
pub fn next_cursor<T>(items: &mut Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or_default();
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    items.last().map(cursor)
}

/// An answer to a write, with the place of its last event in `Countersign-Write`.
pub struct Written<T> {
    /// `<stream>/<sequence>`.
    pub written: String,
    /// The answer.
    pub answer: T,
}

impl Written<StatusCode> {
    /// There is nothing to say but that it is done.
    #[must_use]
    pub fn nothing(written: String) -> Response {
        Self { written, answer: StatusCode::NO_CONTENT }.into_response()
    }
}

impl<T: IntoResponse> IntoResponse for Written<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if let Ok(value) = HeaderValue::from_str(&self.written) {
            response.headers_mut().insert(HeaderName::from_static("countersign-write"), value);
        }
        response
    }
}

/// What handlers share.
pub type Shared = State<Arc<App>>;
/// One id in the path.
pub type OneId = Path<String>;
/// Two ids in the path.
pub type TwoIds = Path<(String, String)>;
