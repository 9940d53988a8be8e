//! What went wrong, in the words of the page: beside a field where it is one, on a page of its own otherwise.

use axum::response::Response;
use chrono::TimeDelta;
use maud::{Markup, html};

use super::cookies::Kept;
use super::frame::Page;
use super::visit::Visit;
use super::words::Words;
use crate::problem::{Problem, ProblemCode};
use crate::token::TokenKind;

/// What is wrong with a form.
pub(super) struct Fault {
    /// The field that it is about; none for the form as a whole.
    pub(super) field: Option<&'static str>,
    /// What happened and what to do.
    pub(super) text: String,
}

impl Fault {
    /// What is wrong with one field.
    pub(super) fn of(field: &'static str, text: String) -> Self {
        Self { field: Some(field), text }
    }
}

impl Visit {
    /// The same form again, saying what was wrong with it; a page of its own for what no field can mend.
    pub(super) fn again(&self, problem: Problem, form: impl FnOnce(&Fault) -> Markup) -> Response {
        match fault(&problem, self.words) {
            Some(fault) => self.answer_to(problem, |_| form(&fault)),
            None => axum::response::IntoResponse::into_response(problem),
        }
    }
}

/// What a form can say of a problem.
fn fault(problem: &Problem, words: Words) -> Option<Fault> {
    let wait = problem.retry_after_s().map(|seconds| words.span(TimeDelta::seconds(seconds)));
    let wait = wait.unwrap_or_default();
    let by_code = [
        (ProblemCode::WrongCredentials, "password", words.say("wrong-credentials")),
        (ProblemCode::WrongConfirmationCode, "code", words.say("wrong-confirmation-code")),
        (ProblemCode::Throttled, "password", words.say_with("throttled", [("wait", wait.as_str().into())])),
        (ProblemCode::Locked, "code", words.say_with("locked", [("wait", wait.as_str().into())])),
        (ProblemCode::PassRequired, "pass", words.say("pass-required")),
        (ProblemCode::StepUpRequired, "password", words.say("step-up-required")),
    ];
    let code = problem.code();
    if let Some((_, field, text)) = by_code.into_iter().find(|(other, ..)| *other == code) {
        return Some(Fault::of(field, text));
    }
    if code == ProblemCode::WrongCode {
        let used = problem.member("reason").is_some_and(|reason| reason == "already_used");
        let text = if used { words.say("code-already-used") } else { words.say("wrong-code") };
        return Some(Fault::of("code", text));
    }
    if code == ProblemCode::InvalidField {
        let field = problem.member("field").and_then(|field| field.as_str())?;
        return field_fault(field, words);
    }
    None
}

/// What each field takes.
fn field_fault(field: &str, words: Words) -> Option<Fault> {
    let known = [
        ("email", "field-email"),
        ("code", "field-code"),
        ("recovery_code", "field-emergency-code"),
        ("label", "field-label"),
        ("reason", "field-reason"),
        ("deadline", "field-deadline"),
        ("user", "field-person"),
        ("agreement", "field-agreement"),
        ("type", "field-type"),
        ("from", "field-day"),
        ("to", "field-day-to"),
        ("on", "field-on"),
    ];
    let (name, id) = known.into_iter().find(|(name, _)| *name == field)?;
    Some(Fault::of(name, words.say(id)))
}

/// A page that says what went wrong and where to go on.
pub(super) fn page(visit: &Visit, problem: &Problem) -> Markup {
    let words = visit.words;
    let code = problem.code();
    let (title, text) = match code {
        ProblemCode::NotFound | ProblemCode::MethodNotAllowed => ("not-found-title", "not-found-text"),
        ProblemCode::Forbidden => ("forbidden-title", "forbidden-text"),
        ProblemCode::StaleForm => ("stale-form-title", "stale-form-text"),
        ProblemCode::ChallengeExpired => ("challenge-expired-title", "challenge-expired-text"),
        ProblemCode::EnrolmentExpired => ("enrolment-expired-title", "enrolment-expired-text"),
        ProblemCode::TwoFactorRequired => ("two-factor-required-title", "two-factor-required-text"),
        ProblemCode::TooManyAuthenticators => {
            ("too-many-authenticators-title", "too-many-authenticators-text")
        }
        ProblemCode::AgreementClosed => ("agreement-closed-title", "agreement-closed-text"),
        ProblemCode::Busy | ProblemCode::Timeout | ProblemCode::Unavailable => ("busy-title", "busy-text"),
        ProblemCode::MalformedRequest => ("unreadable-title", "unreadable-text"),
        ProblemCode::MalformedJson
        | ProblemCode::Unauthenticated
        | ProblemCode::WrongCredentials
        | ProblemCode::WrongCode
        | ProblemCode::WrongConfirmationCode
        | ProblemCode::StepUpRequired
        | ProblemCode::PassRequired
        | ProblemCode::EmailTaken
        | ProblemCode::NumberTaken
        | ProblemCode::TwoFactorNotEnabled
        | ProblemCode::NotAnAdministrator
        | ProblemCode::AdministratorCannotBeAdministered
        | ProblemCode::StillAdministers
        | ProblemCode::LastSuperuser
        | ProblemCode::TooManySuperusers
        | ProblemCode::TooManyWebhooks
        | ProblemCode::PayloadTooLarge
        | ProblemCode::UnsupportedMediaType
        | ProblemCode::InvalidBody
        | ProblemCode::InvalidField
        | ProblemCode::TooManyRows
        | ProblemCode::Throttled
        | ProblemCode::Locked
        | ProblemCode::Internal => ("went-wrong-title", "went-wrong-text"),
    };
    // Who was refused is not known to be signed in any more, but has a session all the same.
    let in_session = visit.cookies.token(Kept::Session, TokenKind::Session).is_some();
    let body = html! {
        h1 { (words.say(title)) }
        p { (words.say(text)) }
        @if title == "went-wrong-title" {
            p { (words.say_with("request-id", [("id", visit.request.id.as_str().into())])) }
        }
        @if in_session {
            p { a.button href="/account" { (words.say("to-account")) } }
        } @else {
            p { a.button href="/login" { (words.say("to-sign-in")) } }
        }
    };
    visit.render(&Page::step(words.say(title), body).in_session(in_session))
}
