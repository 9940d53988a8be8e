//! Who looks at a page, in which language, and whether a form that comes back is one of ours: decided before any
//! handler runs, and what goes wrong is told as a page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use countersign_domain::ids::UserId;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::cookies::{self, Cookies, Kept};
use super::words::{Language, Words};
use super::{PageAccess, address, fault};
use crate::app::App;
use crate::auth::{self, RequestId};
use crate::entropy;
use crate::problem::{Problem, ProblemCode};
use crate::request::{Caller, Request};
use crate::rest::health::OwnBody;
use crate::router::{BODY_BYTES_MAX, EnrolmentAccess};
use crate::token::{TokenKind, hex};

/// The field that says which browser, in which session, a form was made for.
pub(super) const FORM_TOKEN: &str = "form_token";

const FORMS_BYTES: usize = 32;

/// One look at a page.
#[derive(Clone)]
pub(super) struct Visit {
    /// Who asks, as every handler knows it.
    pub(super) request: Request,
    /// Why it is not known whether somebody is signed in, where that could not be looked up and the page is there
    /// all the same.
    pub(super) not_looked_up: Option<Problem>,
    /// In which words to answer.
    pub(super) words: Words,
    /// What every form of the page must send back.
    pub(super) form_token: String,
    /// The page's own address, within this host.
    pub(super) address: String,
    /// How the service is called.
    pub(super) service: String,
    pub(super) cookies: Cookies,
    /// What the browser's forms are bound to.
    forms: String,
}

/// A page's route, as its layer knows it.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) app: Arc<App>,
    pub(super) access: PageAccess,
}

/// Lets a request pass to its page.
pub(super) async fn admit(
    State(Gate { app, access }): State<Gate>,
    params: RawPathParams,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let cookies = Cookies::of(&parts.headers);
    let drawn = match cookies.text(Kept::Forms) {
        Some(_) => None,
        None => entropy::bytes::<FORMS_BYTES>().ok().map(|bytes| hex(&bytes)),
    };
    let mut visit = Visit::new(&app, &parts, cookies, drawn.as_deref());
    // The whole body first: whoever sends it slowly must not act on a right that was lost meanwhile.
    let answer = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Err(error) => auth::body_problem(&error).into_response(),
        Ok(body) => match visit.enter(&app, access, &params, &parts, &body).await {
            Err(problem) => problem.into_response(),
            Ok(()) => {
                parts.extensions.insert(visit.clone());
                next.run(axum::extract::Request::from_parts(parts, Body::from(body))).await
            }
        },
    };
    let mut answer = visit.told(answer);
    let headers = answer.headers_mut();
    if let Some(drawn) = drawn {
        cookies::add(headers, [cookies::keep(Kept::Forms, &drawn)]);
    }
    protect(headers, &app.config.return_to);
    answer.extensions_mut().insert(OwnBody);
    answer
}

/// What there is at an address where nothing is: a page for people, a problem for programs.
pub(super) async fn nowhere(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response {
    let (parts, _) = request.into_parts();
    let accepted = parts.headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    if !accepted.is_some_and(|accepted| accepted.contains("text/html")) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let visit = Visit::new(&app, &parts, Cookies::of(&parts.headers), None);
    let mut answer = visit.told(Problem::from_status(StatusCode::NOT_FOUND).into_response());
    protect(answer.headers_mut(), &[]);
    answer.extensions_mut().insert(OwnBody);
    answer
}

impl Visit {
    fn new(app: &App, parts: &Parts, cookies: Cookies, drawn: Option<&str>) -> Self {
        let id = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let chosen = cookies.text(Kept::Language).and_then(Language::of_code);
        let forms = drawn.or_else(|| cookies.text(Kept::Forms)).unwrap_or_default();
        let session = cookies.text(Kept::Session).unwrap_or_default();
        let forms = forms.to_owned();
        let address = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        Self {
            form_token: form_token(&forms, session),
            forms,
            request: Request { id, caller: Caller::Nobody, address: None, user_agent: None },
            not_looked_up: None,
            words: Words(chosen.unwrap_or_else(|| Language::accepted(&parts.headers))),
            address: address.to_owned(),
            service: app.config.issuer.clone(),
            cookies,
        }
    }

    /// Finds out who asks, and whether they may.
    async fn enter(
        &mut self,
        app: &App,
        access: PageAccess,
        params: &RawPathParams,
        parts: &Parts,
        body: &[u8],
    ) -> Result<(), Problem> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            self.is_own_form(&parts.headers, body)?;
        }
        let params = params.iter().collect();
        let session = self.cookies.token(Kept::Session, TokenKind::Session);
        let step = self.cookies.token(Kept::Step, TokenKind::Enrolment);
        self.request.caller = match (access, session, step) {
            (PageAccess::Anybody, None, _) => Caller::SignInPage,
            (PageAccess::Anybody, Some(token), _) => {
                match auth::session(app, &token, access.of_sessions(), &params).await {
                    Ok(session) => session,
                    Err(problem) => {
                        self.not_looked_up = Some(problem).filter(Problem::is_passing);
                        Caller::SignInPage
                    }
                }
            }
            (PageAccess::Enrolling, Some(session), Some(step)) => {
                let enrolling = auth::enrolment_of(app, &step, EnrolmentAccess::LiveOrSpent).await;
                let session = auth::session(app, &session, access.of_sessions(), &params).await;
                match (enrolling, session) {
                    // Somebody else has signed in since: what was left behind in the browser is not theirs.
                    (Ok(enrolling), Ok(session)) if enrolling.user_id() != session.user_id() => session,
                    // Nobody knows who is signed in while that cannot be looked up.
                    (Ok(_), Err(problem)) if problem.is_passing() => return Err(problem),
                    (Ok(enrolling), _) => enrolling,
                    // What was begun at a sign-in before is over; whoever is signed in needs none of it.
                    (Err(_), session) => session?,
                }
            }
            (PageAccess::Enrolling, None, Some(step)) => {
                auth::enrolment_of(app, &step, EnrolmentAccess::LiveOrSpent).await?
            }
            (PageAccess::Enrolling | PageAccess::SignedIn(_), Some(token), _) => {
                auth::session(app, &token, access.of_sessions(), &params).await?
            }
            (PageAccess::Enrolling | PageAccess::SignedIn(_), None, _) => {
                return Err(Problem::new(ProblemCode::Unauthenticated, "Sign in first."));
            }
        };
        let peer = auth::peer(parts);
        let (address, user_agent) = auth::origin(app, &self.request.caller, peer, &parts.headers)?;
        (self.request.address, self.request.user_agent) = (address, user_agent);
        Ok(())
    }

    /// A form of another site, or one from before somebody signed in or out, changes nothing.
    fn is_own_form(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
        let stale =
            || Problem::new(ProblemCode::StaleForm, "Load the page again and send its form once more.");
        let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
        if site.is_some_and(|site| site != "same-origin" && site != "none") {
            return Err(stale());
        }
        let fields: Vec<(String, String)> = serde_html_form::from_bytes(body).unwrap_or_default();
        let sent = fields.iter().find(|(name, _)| name == FORM_TOKEN).map(|(_, value)| value.as_bytes());
        let own: bool = sent.is_some_and(|sent| sent.ct_eq(self.form_token.as_bytes()).into());
        if own { Ok(()) } else { Err(stale()) }
    }

    /// The person who is signed in, or setting up two-factor.
    pub(super) fn user_id(&self) -> Result<UserId, Problem> {
        let signed_in = self.request.caller.user_id();
        signed_in.ok_or_else(|| Problem::new(ProblemCode::Unauthenticated, "Sign in first."))
    }

    /// The same visitor in the session that has just begun.
    pub(super) fn in_session(&self, token: &str) -> Self {
        Self { form_token: form_token(&self.forms, token), ..self.clone() }
    }

    /// The same request, of whoever says to be the person: nobody is signed in by it yet.
    pub(super) fn as_sign_in_page(&self) -> Request {
        Request { caller: Caller::SignInPage, ..self.request.clone() }
    }

    pub(super) const fn is_signed_in(&self) -> bool {
        matches!(self.request.caller, Caller::Session { .. })
    }

    /// What went wrong, as a page; who is not signed in is asked to.
    fn told(&self, mut answer: Response) -> Response {
        let Some(problem) = answer.extensions_mut().remove::<Problem>() else { return answer };
        if problem.code() == ProblemCode::Unauthenticated {
            let mut to_login = Redirect::to("/login").into_response();
            // Whom an application sent, and who is in the middle of signing in, still goes back there.
            let sent = self.cookies.text(Kept::Step).and(self.cookies.text(Kept::ReturnTo));
            let back = if sent.is_some() { None } else { address::here(&self.address) };
            let back = back.and_then(|back| cookies::keep(Kept::ReturnTo, back));
            cookies::add(to_login.headers_mut(), [back, cookies::forget(Kept::Session)]);
            return to_login;
        }
        self.answer_to(problem, |problem| fault::page(self, problem))
    }

    /// A page that tells of a problem, with its status and what the status asks for.
    pub(super) fn answer_to(
        &self,
        problem: Problem,
        page: impl FnOnce(&Problem) -> maud::Markup,
    ) -> Response {
        let page = page(&problem).into_string();
        let (mut parts, _) = problem.render(&self.request.id).into_parts();
        parts.headers.remove(header::WWW_AUTHENTICATE);
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        Response::from_parts(parts, Body::from(page))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let visit = parts.extensions.get::<Self>().cloned();
        visit.ok_or_else(|| Problem::internal("a page was made without its visitor being known"))
    }
}

/// Who does not know both cookies cannot make it up, and neither can be read out of it.
fn form_token(forms: &str, session: &str) -> String {
    hex(&Sha256::digest(format!("forms of {forms} in {session}")))
}

/// What a browser may do with a page: show it, load what is beside it, and send its forms here. A form may also
/// lead to where people go back to: browsers ask for that too.
fn protect(headers: &mut HeaderMap, return_to: &[String]) {
    let origins = return_to.iter().fold(String::new(), |origins, origin| origins + " " + origin);
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'{origins}; base-uri 'none'; frame-ancestors 'none'"
    );
    let fixed = [
        ("strict-transport-security", "max-age=31536000"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ];
    headers
        .extend(fixed.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    }
}
