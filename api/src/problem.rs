//! What callers are told when something does not go as they asked: problem details (RFC 9457).
//!
//! Every failure has a stable code and a sentence that a person can act on. What operators need
//! to know beside it is logged once, here, and never sent.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use countersign_domain::Timestamp;
use countersign_domain::user::throttle::{FAILURES_PER_LOCK, LOCK};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::throttle::{ATTEMPTS_PER_PAIR, WINDOW};

pub mod refusals;

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:ident, $title:literal;)+) => {
        /// The stable code of a problem. Programs may rely on it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[expect(missing_docs, reason = "each code has a title that says what it means")]
        pub enum ProblemCode {
            $($(#[$doc])* $variant,)+
        }

        impl ProblemCode {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code as it is sent.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// What it means, the same each time.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

problem_codes! {
    MalformedJson = "malformed-json", BAD_REQUEST, "The body is not JSON";
    MalformedRequest = "malformed-request", BAD_REQUEST, "The request cannot be read";
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "Nobody is signed in";
    WrongCredentials = "wrong-credentials", UNAUTHORIZED, "The e-mail address or the password is wrong";
    WrongCode = "wrong-code", UNAUTHORIZED, "That code was not accepted";
    WrongConfirmationCode = "wrong-code", UNPROCESSABLE_ENTITY, "That is not the code the app shows";
    Forbidden = "forbidden", FORBIDDEN, "This is not allowed";
    StaleForm = "stale-form", FORBIDDEN, "The form is not of this page";
    StepUpRequired = "step-up-required", FORBIDDEN, "Prove that it is you";
    PassRequired = "pass-required", FORBIDDEN, "The operator's pass is needed";
    NotFound = "not-found", NOT_FOUND, "There is no such thing";
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "This cannot be done here";
    EmailTaken = "email-taken", CONFLICT, "The e-mail address is in use";
    NumberTaken = "number-taken", CONFLICT, "The agreement number is in use";
    TwoFactorNotEnabled = "two-factor-not-enabled", CONFLICT, "Two-factor authentication is not on";
    TwoFactorRequired = "two-factor-required", CONFLICT, "Two-factor authentication is required";
    TooManyAuthenticators = "too-many-authenticators", CONFLICT, "There are too many authenticators";
    AgreementClosed = "agreement-closed", CONFLICT, "The agreement is closed";
    NotAnAdministrator = "not-an-administrator", CONFLICT, "That agreement cannot administer others";
    AdministratorCannotBeAdministered = "administrator-cannot-be-administered", CONFLICT,
        "There is one level of administration only";
    StillAdministers = "still-administers", CONFLICT, "The agreement administers others";
    LastSuperuser = "last-superuser", CONFLICT, "The last superuser cannot go";
    TooManySuperusers = "too-many-superusers", CONFLICT, "There are too many superusers";
    TooManyWebhooks = "too-many-webhooks", CONFLICT, "There are too many webhooks";
    ChallengeExpired = "challenge-expired", GONE, "The login challenge has ended";
    EnrolmentExpired = "enrolment-expired", GONE, "The enrolment has ended";
    PayloadTooLarge = "payload-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
    InvalidBody = "invalid-body", UNPROCESSABLE_ENTITY, "The body has the wrong shape";
    InvalidField = "invalid-field", UNPROCESSABLE_ENTITY, "A field cannot have this value";
    TooManyRows = "too-many-rows", UNPROCESSABLE_ENTITY, "The report would be too long";
    Throttled = "throttled", TOO_MANY_REQUESTS, "Too many wrong passwords";
    Locked = "locked", TOO_MANY_REQUESTS, "The second factor is locked";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong here";
    Busy = "busy", SERVICE_UNAVAILABLE, "Too much is going on";
    Timeout = "timeout", SERVICE_UNAVAILABLE, "This took too long";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The database does not answer";
}

impl ProblemCode {
    /// The limit that was reached, as the `RateLimit` fields name it: its name, quota and window.
    fn rate_limit(self) -> Option<(&'static str, i64, TimeDelta)> {
        if self == Self::Throttled {
            Some(("password", ATTEMPTS_PER_PAIR, WINDOW))
        } else if self == Self::Locked {
            Some(("second-factor", i64::from(FAILURES_PER_LOCK), LOCK))
        } else {
            None
        }
    }
}

/// What went wrong, for the caller and (apart) for the log. Boxed: most results are no problem.
#[derive(Clone, Debug)]
pub struct Problem(Box<Particulars>);

#[derive(Clone, Debug)]
struct Particulars {
    code: ProblemCode,
    detail: String,
    retry_after_s: Option<i64>,
    until: Option<Timestamp>,
    members: Map<String, Value>,
    /// Where the failed attempt stands in the record.
    written: Option<String>,
    /// For the operator's log only.
    internal: Option<String>,
}

/// A problem as it is sent: RFC 9457, with the code and the request's id beside.
#[derive(Serialize, ToSchema)]
pub struct ProblemDetails {
    /// `urn:countersign:problem:` and the code.
    #[serde(rename = "type")]
    problem_type: String,
    /// What this code means, the same each time.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened and what to do, in a sentence.
    detail: String,
    /// The stable code.
    code: String,
    /// Names this request in the log.
    request_id: String,
    /// What else some codes tell, such as `required_by` with `two-factor-required`.
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
}

impl Problem {
    /// A problem with a sentence that its reader can act on.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Particulars {
            code,
            detail: detail.into(),
            retry_after_s: None,
            until: None,
            members: Map::new(),
            written: None,
            internal: None,
        }))
    }

    /// Something that is our fault: logged in full, told in general.
    #[must_use]
    pub fn internal(reason: impl Into<String>) -> Self {
        let detail = "Nothing was changed. Try again; if it goes on, name the request id.";
        Self::new(ProblemCode::Internal, detail).because(reason)
    }

    /// What is not there, or is another's: told alike.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemCode::NotFound, format!("There is no such {what}."))
    }

    /// A field that cannot have the value it has.
    #[must_use]
    pub fn invalid_field(field: &str, detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::InvalidField, detail).with_member("field", field.into())
    }

    /// Adds what else this problem tells.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.0.members.insert(name.to_owned(), value);
        self
    }

    /// Says when to try again, in whole seconds and at least one.
    #[must_use]
    pub fn retry_after(mut self, wait: TimeDelta) -> Self {
        let whole_seconds = wait.num_milliseconds().max(0).saturating_add(999) / 1000;
        self.0.retry_after_s = Some(whole_seconds.max(1));
        self
    }

    /// Says until when it lasts.
    #[must_use]
    pub fn until(mut self, until: Option<Timestamp>) -> Self {
        self.0.until = until;
        match until {
            Some(until) => self.with_member("locked_until", until.to_rfc3339().into()),
            None => self,
        }
    }

    /// Says when to try again, for what lasts until some moment.
    #[must_use]
    pub fn counted_from(self, now: Timestamp) -> Self {
        match self.0.until {
            Some(until) => self.retry_after(until - now),
            None => self,
        }
    }

    /// Says where the failed attempt stands in the record.
    #[must_use]
    pub fn recorded_as(mut self, written: &str) -> Self {
        self.0.written = Some(written.to_owned());
        self
    }

    /// Adds what only the log tells.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.0.internal = Some(reason.into());
        self
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> ProblemCode {
        self.0.code
    }

    /// Whether it is the program's or the database's, and not of what was asked.
    pub(crate) fn is_passing(&self) -> bool {
        self.0.code.status().is_server_error()
    }

    /// What else it tells under this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        self.0.members.get(name)
    }

    /// After how many seconds to try again.
    pub(crate) const fn retry_after_s(&self) -> Option<i64> {
        self.0.retry_after_s
    }

    /// What an operator on the command line is told: the reason too.
    #[must_use]
    pub fn for_operator(&self) -> String {
        match &self.0.internal {
            Some(internal) => format!("{} ({internal})", self.0.detail),
            None => self.0.detail.clone(),
        }
    }

    /// The response, once the request's id is known.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let status = self.0.code.status();
        if let Some(internal) = &self.0.internal {
            tracing::error!(request_id, code = self.0.code.name(), reason = internal, "request failed");
        }
        let body = ProblemDetails {
            problem_type: format!("urn:countersign:problem:{}", self.0.code.name()),
            title: self.0.code.title().to_owned(),
            status: status.as_u16(),
            detail: self.0.detail,
            code: self.0.code.name().to_owned(),
            request_id: request_id.to_owned(),
            members: self.0.members,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(written) = self.0.written.and_then(|written| HeaderValue::from_str(&written).ok()) {
            headers.insert("countersign-write", written);
        }
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            if let Some((name, quota, window)) = self.0.code.rate_limit() {
                let policy = format!("\"{name}\";q={quota};w={}", window.num_seconds());
                let limit = format!("\"{name}\";r=0;t={seconds}");
                for (header, value) in [("ratelimit-policy", policy), ("ratelimit", limit)] {
                    headers.extend(
                        HeaderValue::from_str(&value).map(|value| (HeaderName::from_static(header), value)),
                    );
                }
            }
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// What an HTTP status from below our handlers means.
    pub(crate) fn from_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found("address; see /openapi.json for those there are"),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(ProblemCode::MethodNotAllowed, "This address knows other methods; see /openapi.json.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(ProblemCode::PayloadTooLarge, "A body may have 64 KiB at most.")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(ProblemCode::UnsupportedMediaType, "Send the body as application/json.")
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => Self::new(
                ProblemCode::Timeout,
                "The request was given up after 10 seconds. Look whether it took effect before you repeat it.",
            )
            .retry_after(TimeDelta::seconds(1)),
            status if status.is_client_error() => {
                Self::new(ProblemCode::MalformedRequest, "The request cannot be read; see /openapi.json.")
            }
            status => Self::internal(format!("a response with status {status} and no problem")),
        }
    }
}

impl IntoResponse for Problem {
    /// Leaves the body to the layer that knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.0.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<crate::entropy::NoEntropy> for Problem {
    fn from(error: crate::entropy::NoEntropy) -> Self {
        Self::internal(error.to_string())
    }
}
