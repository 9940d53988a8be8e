//! The emergency code: shown once, large, to be copied, printed or kept as a file, and acknowledged.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::ids::EnrolmentId;
use maud::{Markup, html};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::enrolment::to_pending;
use super::fault::Fault;
use super::form::{self, Form};
use super::frame::Page;
use super::proof::{Needed, Shown};
use super::visit::Visit;
use crate::app::App;
use crate::problem::{Problem, ProblemCode};
use crate::rest::Shared;
use crate::rest::two_factor::NewEnrolment;

/// The page that shows the code when two-factor has just gone on, a new code was asked for, or the one before was
/// spent as a proof. What that began, if it was an enrolment, comes next.
pub(super) fn page(visit: &Visit, code: &str, begun: Option<EnrolmentId>) -> Page {
    keep_page(visit, code, begun, None)
}

fn keep_page(visit: &Visit, code: &str, begun: Option<EnrolmentId>, fault: Option<&Fault>) -> Page {
    let words = visit.words;
    let (title, text) = match begun {
        Some(_) => ("new-code-title", "spent-code-text"),
        None => ("keep-code-title", "keep-code-text"),
    };
    let title = words.say(title);
    let body = html! {
        (form::summary(words, fault))
        h1 { (title) }
        p { (words.say(text)) }
        (shown(visit, code))
        form method="post" action="/account/two-factor/emergency-code/saved" {
            (stored(visit, code, fault))
            @if let Some(id) = begun { input type="hidden" name="enrolment" value=(id); }
            button type="submit" { (words.say("continue")) }
        }
    };
    Page::step(title, body).alone()
}

/// The page after a sign-in with an emergency code: a new code, and whether the authenticator is gone.
pub(super) fn after_sign_in(visit: &Visit, code: &str, fault: Option<&Fault>) -> Page {
    let words = visit.words;
    let title = words.say("new-code-title");
    let body = html! {
        (form::summary(words, fault))
        h1 { (title) }
        p { (words.say("new-code-text")) }
        (shown(visit, code))
        form method="post" action="/login/emergency-code/saved" {
            (stored(visit, code, fault))
            fieldset {
                legend { h2 { (words.say("lost-for-good")) } }
                p.hint { (words.say("lost-for-good-hint")) }
                // First what changes nothing: it is what the enter key presses.
                button type="submit" name="lost" value="no" { (words.say("lost-no")) }
                button.second type="submit" name="lost" value="yes" { (words.say("lost-yes")) }
            }
        }
    };
    Page::step(title, body).alone()
}

/// The code, and the ways to keep it.
fn shown(visit: &Visit, code: &str) -> Markup {
    let words = visit.words;
    let service = visit.service.as_str();
    let file = words.say_with("code-file", [("service", service.into()), ("code", code.into())]);
    let address = format!("data:text/plain;charset=utf-8;base64,{}", STANDARD.encode(file));
    html! {
        div.kept {
            p.emergency #emergency-code { (code) }
            div.ways {
                button.second type="button" data-copy="emergency-code" hidden { (words.say("copy-code")) }
                a.button.second download=(words.say("code-file-name")) href=(address) { (words.say("download-code")) }
                button.second type="button" data-print="" hidden { (words.say("print")) }
            }
            p.said role="status" data-copied=(words.say("copied")) data-not-copied=(words.say("not-copied")) {}
        }
    }
}

/// The tick. The code is sent back with it, so that it can be shown again where the tick is missing.
fn stored(visit: &Visit, code: &str, fault: Option<&Fault>) -> Markup {
    let words = visit.words;
    let fault = fault.filter(|fault| fault.field == Some("stored"));
    html! {
        (form::token(visit))
        input type="hidden" name="shown_code" value=(code);
        div.field.tick.wrong[fault.is_some()] {
            @if let Some(fault) = fault { p.fault #stored-fault { (fault.text) } }
            input #stored type="checkbox" name="stored" value="yes" required
                aria-describedby=[fault.map(|_| "stored-fault")] aria-invalid=[fault.map(|_| "true")];
            label for="stored" { (words.say("i-have-stored-it")) }
        }
    }
}

/// That the code is stored, as it is sent.
#[derive(Deserialize)]
pub(super) struct Stored {
    shown_code: Zeroizing<String>,
    #[serde(rename = "stored")]
    tick: Option<String>,
    lost: Option<String>,
    /// What waits to be confirmed. It is only ever an id: a form must not say where people are sent.
    enrolment: Option<EnrolmentId>,
}

impl Stored {
    fn missing(&self, visit: &Visit) -> Option<Fault> {
        self.tick.is_none().then(|| Fault::of("stored", visit.words.say("tick-first")))
    }
}

/// Records that the code is stored, and says that all is done, or goes on to what is not.
pub(super) async fn saved(
    State(app): Shared,
    visit: Visit,
    Form(sent): Form<Stored>,
) -> Result<Response, Problem> {
    if let Some(fault) = sent.missing(&visit) {
        return Ok(visit.show(&keep_page(&visit, &sent.shown_code, sent.enrolment, Some(&fault))));
    }
    app.save_recovery_code(&visit.request, visit.user_id()?).await?;
    let done = || Redirect::to("/account/two-factor/done").into_response();
    Ok(sent.enrolment.map_or_else(done, to_pending))
}

/// The same after a sign-in with an emergency code; whose authenticator is gone sets up another one.
pub(super) async fn saved_after_sign_in(
    State(app): Shared,
    visit: Visit,
    Form(sent): Form<Stored>,
) -> Result<Response, Problem> {
    if let Some(fault) = sent.missing(&visit) {
        return Ok(visit.show(&after_sign_in(&visit, &sent.shown_code, Some(&fault))));
    }
    let user_id = visit.user_id()?;
    app.save_recovery_code(&visit.request, user_id).await?;
    if sent.lost.as_deref() != Some("yes") {
        return Ok(visit.back(&app));
    }
    let replacing = NewEnrolment { replace: true, ..NewEnrolment::default() };
    match app.start_enrolment(&visit.request, user_id, replacing).await {
        Ok(begun) => Ok(to_pending(begun.answer.enrolment_id)),
        // The second factor was ten minutes ago by now: the page asks for it again.
        Err(problem) if problem.code() == ProblemCode::StepUpRequired => {
            Ok(Redirect::to("/account/two-factor/new?replace=true").into_response())
        }
        Err(problem) => Err(problem),
    }
}

/// The page that offers a new code.
pub(super) async fn show_new(State(app): Shared, visit: Visit) -> Result<Response, Problem> {
    let needed = Needed::of(&app, &visit).await?;
    Ok(visit.show(&new_page(&visit, needed, None)))
}

/// Where to go on from a page that showed a code and is gone: whoever has not said that they stored it gets
/// another one. The code itself is nowhere any more.
pub(super) async fn lost_sight_of(app: &App, visit: &Visit) -> Result<Option<Response>, Problem> {
    let two_factor = app.user_view(visit.user_id()?).await?.two_factor;
    let unsaved = visit.is_signed_in() && two_factor.enabled && !two_factor.recovery_code_saved;
    Ok(unsaved.then(|| Redirect::to("/account/two-factor/emergency-code").into_response()))
}

fn new_page(visit: &Visit, needed: Needed, fault: Option<&Fault>) -> Page {
    let words = visit.words;
    let title = words.say("renew-code-title");
    let body = html! {
        (form::summary(words, fault))
        h1 { (title) }
        p { (words.say("renew-code-text")) }
        form method="post" action="/account/two-factor/emergency-code" {
            (form::token(visit))
            (needed.fields(visit, fault))
            button type="submit" { (words.say("renew-code")) }
        }
        p.other { a href="/account" { (words.say("cancel")) } }
    };
    Page::step(title, body)
}

/// Gives a new code.
pub(super) async fn renew(
    State(app): Shared,
    visit: Visit,
    Form(sent): Form<Shown>,
) -> Result<Response, Problem> {
    match app.new_recovery_code(&visit.request, visit.user_id()?, &sent.body()).await {
        Ok(issued) => Ok(visit.show(&page(&visit, &issued.answer.recovery_code, None))),
        Err(problem) => {
            refused(&app, &visit, problem, |needed, fault| new_page(&visit, needed, Some(fault))).await
        }
    }
}

/// The form again, with what it needs by now.
pub(super) async fn refused(
    app: &App,
    visit: &Visit,
    problem: Problem,
    page: impl FnOnce(Needed, &Fault) -> Page,
) -> Result<Response, Problem> {
    let needed = Needed::of(app, visit).await?;
    Ok(visit.again(problem, |fault| visit.render(&page(needed, fault))))
}
