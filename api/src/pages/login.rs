//! Signing in: e-mail address and password, then the code, or another way.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;
use countersign_domain::Timestamp;
use countersign_domain::ids::UserId;
use countersign_domain::user::User;
use countersign_domain::user::event::Factor;
use countersign_projections::login_check::{Method, usable_methods};
use maud::{Markup, html};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::cookies::{self, Kept};
use super::fault::Fault;
use super::form::{self, Field, Form, Kind, Query};
use super::frame::Page;
use super::visit::Visit;
use super::{address, emergency, enrolment};
use crate::app::App;
use crate::problem::{Problem, ProblemCode};
use crate::request::Caller;
use crate::rest::Shared;
use crate::rest::logins::{Login, LoginStatus, SecondFactor};
use crate::token::TokenKind;

/// Where to go back to afterwards.
#[derive(Deserialize)]
pub(super) struct From {
    return_to: Option<String>,
}

/// The page that asks for the e-mail address and the password.
pub(super) async fn show(State(app): Shared, visit: Visit, Query(from): Query<From>) -> Response {
    let back = from.return_to.as_deref().and_then(|to| address::allowed(&app, to));
    let keep = back.and_then(|to| cookies::keep(Kept::ReturnTo, to));
    let mut response = if visit.is_signed_in() {
        Redirect::to(back.unwrap_or("/account")).into_response()
    } else {
        visit.show(&password_page(&visit, "", None))
    };
    cookies::add(response.headers_mut(), [keep]);
    response
}

fn password_page(visit: &Visit, email: &str, fault: Option<&Fault>) -> Page {
    let words = visit.words;
    let title = words.say_with("sign-in-title", [("service", visit.service.as_str().into())]);
    let body = html! {
        (form::summary(words, fault))
        h1 { (title) }
        form method="post" action="/login" {
            (form::token(visit))
            (Field {
                name: "email",
                label: words.say("email"),
                hint: None,
                kind: Kind::Email,
                value: email,
                fault,
            }.markup())
            (password_field(visit, fault))
            button type="submit" { (words.say("sign-in")) }
        }
    };
    Page::step(title, body)
}

pub(super) fn password_field(visit: &Visit, fault: Option<&Fault>) -> Markup {
    let label = visit.words.say("password");
    Field { name: "password", label, hint: None, kind: Kind::Password, value: "", fault }.markup()
}

pub(super) fn code_field(visit: &Visit, fault: Option<&Fault>) -> Markup {
    let (label, hint) = (visit.words.say("code"), Some(visit.words.say("code-hint")));
    Field { name: "code", label, hint, kind: Kind::Code, value: "", fault }.markup()
}

/// An e-mail address and a password, as they are sent.
#[derive(Deserialize)]
pub(super) struct Credentials {
    email: String,
    password: Zeroizing<String>,
}

/// Judges them, and goes on to the next step.
pub(super) async fn sign_in(
    State(app): Shared,
    visit: Visit,
    Form(sent): Form<Credentials>,
) -> Result<Response, Problem> {
    let login = Login { email: sent.email.clone(), password: sent.password, agreement_id: None };
    let status = match app.sign_in(&visit.as_sign_in_page(), login).await {
        Ok(signed_in) => signed_in.answer.1.0,
        Err(problem) => {
            let again = |fault: &Fault| visit.render(&password_page(&visit, &sent.email, Some(fault)));
            return Ok(visit.again(problem, again));
        }
    };
    Ok(match status {
        LoginStatus::Challenge { challenge_id, .. } => step("/login/code", &challenge_id),
        LoginStatus::EnrolmentRequired { enrolment_token, .. } => {
            let mut response = step("/login/two-factor", &enrolment_token);
            // Whoever was signed in here before gives way to whoever signs in now.
            cookies::add(response.headers_mut(), [cookies::forget(Kept::Session)]);
            response
        }
        LoginStatus::Complete { session, enrolment, .. } => {
            let session =
                session.ok_or_else(|| Problem::internal("a sign-in on the page began no session"))?;
            let session = cookies::keep(Kept::Session, &session.token);
            let (mut response, left_behind) = match enrolment {
                Some(offer) => (step("/login/two-factor", &offer.token), None),
                // Somebody else may have left a sign-in of theirs in this browser.
                None => (visit.back(&app), cookies::forget(Kept::Step)),
            };
            cookies::add(response.headers_mut(), [session, left_behind]);
            response
        }
    })
}

/// Goes to the next step of a sign-in, which this token opens.
fn step(to: &str, token: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    cookies::add(response.headers_mut(), [cookies::keep(Kept::Step, token)]);
    response
}

/// The page that asks for the code, unless codes are locked.
pub(super) async fn show_code(State(app): Shared, visit: Visit) -> Result<Response, Problem> {
    let Some(open) = Challenged::of(&app, &visit).await? else { return Ok(start_over()) };
    Ok(visit.show(&match open.codes {
        Codes::Taken => code_page(&visit, None),
        Codes::NotTaken(until) => locked_page(&visit, until.map(|until| until - app.clock.now())),
    }))
}

/// The page that asks for the emergency code.
pub(super) async fn show_emergency(State(app): Shared, visit: Visit) -> Result<Response, Problem> {
    let Some(_) = Challenged::of(&app, &visit).await? else { return Ok(start_over()) };
    Ok(visit.show(&emergency_page(&visit, None)))
}

fn start_over() -> Response {
    let mut response = Redirect::to("/login").into_response();
    cookies::add(response.headers_mut(), [cookies::forget(Kept::Step)]);
    response
}

/// A challenge that is open in this browser.
struct Challenged {
    codes: Codes,
}

/// Whether codes from an app are judged.
enum Codes {
    Taken,
    /// They are locked until then, or no authenticator is left that counts.
    NotTaken(Option<Timestamp>),
}

impl Challenged {
    async fn of(app: &App, visit: &Visit) -> Result<Option<Self>, Problem> {
        let Some(token) = visit.cookies.token(Kept::Step, TokenKind::Challenge) else { return Ok(None) };
        let now = app.clock.now();
        let loaded = app.store.load::<User>(UserId::from_uuid(token.owner), None).await?;
        let open = loaded.state.open_challenge(&token.digest, now).is_some();
        let codes = if usable_methods(&loaded.state, now).contains(&Method::Totp) {
            Codes::Taken
        } else {
            Codes::NotTaken(loaded.state.two_factor().failures(Factor::Totp).locked_at(now))
        };
        Ok(open.then_some(Self { codes }))
    }
}

fn code_page(visit: &Visit, fault: Option<&Fault>) -> Page {
    let words = visit.words;
    let title = words.say("code-title");
    let body = html! {
        (form::summary(words, fault))
        h1 { (title) }
        p { (words.say("code-text")) }
        form method="post" action="/login/code" data-send-at="6" {
            (form::token(visit))
            (code_field(visit, fault))
            button type="submit" { (words.say("sign-in")) }
        }
        p.hint { (words.say("sign-in-time")) }
        (another_way(visit))
    };
    Page::step(title, body)
}

fn another_way(visit: &Visit) -> Markup {
    let words = visit.words;
    html! {
        details.other {
            summary { (words.say("another-way")) }
            p { (words.say("another-way-text")) }
            p { a href="/login/emergency-code" { (words.say("use-emergency-code")) } }
            p { (words.say("another-way-lost")) }
        }
    }
}

fn locked_page(visit: &Visit, wait: Option<TimeDelta>) -> Page {
    let words = visit.words;
    let (title, text) = match wait {
        Some(wait) => {
            let wait = [("wait", words.span(wait).into())];
            (words.say("codes-locked-title"), words.say_with("codes-locked-for", wait))
        }
        None => (words.say("codes-disabled-title"), words.say("codes-disabled-text")),
    };
    let body = html! {
        h1 { (title) }
        p { (text) }
        p { a.button href="/login/emergency-code" { (words.say("use-emergency-code")) } }
    };
    Page::step(title, body)
}

fn emergency_page(visit: &Visit, fault: Option<&Fault>) -> Page {
    let words = visit.words;
    let title = words.say("emergency-title");
    // What is wrong with it is named after the code that apps show; here there is one field.
    let fault = fault.map(|fault| Fault::of("recovery_code", fault.text.clone()));
    let body = html! {
        (form::summary(words, fault.as_ref()))
        h1 { (title) }
        p { (words.say("emergency-text")) }
        form method="post" action="/login/emergency-code" {
            (form::token(visit))
            (Field {
                name: "recovery_code",
                label: words.say("emergency-code"),
                hint: Some(words.say("emergency-hint")),
                kind: Kind::EmergencyCode,
                value: "",
                fault: fault.as_ref(),
            }.markup())
            button type="submit" { (words.say("sign-in")) }
        }
        p.hint { (words.say("sign-in-time")) }
        p.other { a href="/login/code" { (words.say("back-to-code")) } }
    };
    Page::step(title, body)
}

/// A code, as it is sent.
#[derive(Deserialize)]
pub(super) struct Code {
    code: Zeroizing<String>,
}

/// Judges the code.
pub(super) async fn verify_code(
    State(app): Shared,
    visit: Visit,
    Form(sent): Form<Code>,
) -> Result<Response, Problem> {
    let shown = SecondFactor { code: Some(form::digits(&sent.code)), recovery_code: None };
    let status = match verify(&app, &visit, &shown).await {
        Ok(status) => status,
        Err(problem) => {
            return Ok(visit.again(problem, |fault| visit.render(&code_page(&visit, Some(fault)))));
        }
    };
    let mut response = visit.back(&app);
    cookies::add(response.headers_mut(), signed_in(&status)?);
    Ok(response)
}

/// An emergency code, as it is sent.
#[derive(Deserialize)]
pub(super) struct EmergencyCode {
    recovery_code: Zeroizing<String>,
}

/// Judges the emergency code, and shows the one that takes its place.
pub(super) async fn verify_emergency(
    State(app): Shared,
    visit: Visit,
    Form(sent): Form<EmergencyCode>,
) -> Result<Response, Problem> {
    let shown = SecondFactor { code: None, recovery_code: Some(sent.recovery_code) };
    let status = match verify(&app, &visit, &shown).await {
        Ok(status) => status,
        Err(problem) => {
            return Ok(visit.again(problem, |fault| visit.render(&emergency_page(&visit, Some(fault)))));
        }
    };
    let LoginStatus::Complete { recovery_code: Some(fresh), session: Some(session), .. } = &status else {
        return Err(Problem::internal("an emergency code was used and none took its place"));
    };
    let next = visit.in_session(&session.token);
    let mut response = next.show(&emergency::after_sign_in(&next, fresh, None));
    cookies::add(response.headers_mut(), signed_in(&status)?);
    Ok(response)
}

async fn verify(app: &App, visit: &Visit, shown: &SecondFactor) -> Result<LoginStatus, Problem> {
    let challenge = visit.cookies.text(Kept::Step).unwrap_or_default();
    Ok(app.verify_second_factor(&visit.as_sign_in_page(), challenge, shown).await?.answer)
}

/// The cookies of a session that began.
fn signed_in(status: &LoginStatus) -> Result<[Option<axum::http::HeaderValue>; 2], Problem> {
    let LoginStatus::Complete { session: Some(session), .. } = status else {
        return Err(Problem::internal("a second factor passed and no session began"));
    };
    Ok([cookies::keep(Kept::Session, &session.token), cookies::forget(Kept::Step)])
}

/// The page that says who requires two-factor, and by when.
pub(super) async fn show_required(State(app): Shared, visit: Visit) -> Result<Response, Problem> {
    let user = app.user_view(visit.user_id()?).await?;
    if user.two_factor.enabled {
        return Ok(visit.back(&app));
    }
    let now = app.clock.now();
    Ok(visit.show(&enrolment::required_page(&visit, &user, now)))
}

/// Leaves two-factor for later, where that is allowed: the session has begun.
pub(super) async fn later(State(app): Shared, visit: Visit) -> Response {
    let mut response = match visit.cookies.token(Kept::Session, TokenKind::Session) {
        Some(_) => visit.back(&app),
        None => Redirect::to("/login").into_response(),
    };
    cookies::add(response.headers_mut(), [cookies::forget(Kept::Step)]);
    response
}

/// Signs out.
pub(super) async fn sign_out(State(app): Shared, visit: Visit) -> Result<Response, Problem> {
    // Nobody is told that they have signed out while their session may go on.
    if let Some(problem) = visit.not_looked_up {
        return Err(problem);
    }
    if let Caller::Session { user_id, session_id, .. } = visit.request.caller {
        match app.end_sessions(&visit.request, user_id, Some(session_id)).await {
            Err(problem) if problem.code() != ProblemCode::NotFound => return Err(problem),
            Ok(_) | Err(_) => {}
        }
    }
    let mut response = Redirect::to("/login").into_response();
    let forgotten = [Kept::Session, Kept::Step, Kept::ReturnTo].map(cookies::forget);
    cookies::add(response.headers_mut(), forgotten);
    Ok(response)
}
