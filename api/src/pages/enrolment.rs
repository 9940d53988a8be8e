//! Setting up an authenticator: the password, the QR code or the typed key, the first code.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use countersign_domain::Timestamp;
use countersign_domain::ids::EnrolmentId;
use maud::{Markup, html};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::cookies::{self, Kept};
use super::fault::Fault;
use super::form::{self, Field, Form, Kind, Query};
use super::frame::Page;
use super::login::code_field;
use super::proof::{Needed, Shown};
use super::visit::Visit;
use super::{account, emergency};
use crate::app::App;
use crate::problem::{Problem, ProblemCode};
use crate::request::Caller;
use crate::rest::two_factor::{EnrolmentView, NewEnrolment};
use crate::rest::users::UserView;
use crate::rest::{OneId, Shared, path_id};

/// The page at sign-in that says who requires two-factor, and by when.
pub(super) fn required_page(visit: &Visit, user: &UserView, now: Timestamp) -> Page {
    required(visit, user, now, None)
}

fn required(visit: &Visit, user: &UserView, now: Timestamp, fault: Option<&Fault>) -> Page {
    let words = visit.words;
    let deadline = user.required_by.iter().filter_map(|requirement| requirement.deadline).min();
    let may_wait = user.required_by.iter().all(|by| by.deadline.is_some_and(|deadline| deadline > now));
    let title = words.say("required-title");
    let body = html! {
        (form::summary(words, fault))
        h1 { (title) }
        p.who { (user.display_name) " · " (user.email) }
        (account::reasons(visit, &user.required_by))
        @if let Some(deadline) = deadline.filter(|_| may_wait) {
            p { (words.say_with("required-by-day", [("day", words.day(deadline).into())])) }
        }
        p { (words.say("required-text")) }
        form method="post" action="/login/two-factor" {
            (form::token(visit))
            @if is_about_the_pass(fault) { (pass_field(visit, fault)) }
            button type="submit" { (words.say("set-up-now")) }
        }
        @if may_wait {
            form method="post" action="/login/two-factor/later" {
                (form::token(visit))
                button.second type="submit" { (words.say("remind-me-later")) }
            }
        }
        @if !visit.is_signed_in() {
            form.other method="post" action="/logout" {
                (form::token(visit))
                button.plain type="submit" { (words.say("not-you")) }
            }
        }
    };
    Page::step(title, body)
}

/// Whether a pass is needed and was not given: only whoever was reset is asked for one.
fn is_about_the_pass(fault: Option<&Fault>) -> bool {
    fault.is_some_and(|fault| fault.field == Some("pass"))
}

fn pass_field(visit: &Visit, fault: Option<&Fault>) -> Markup {
    let (label, hint) = (visit.words.say("pass"), Some(visit.words.say("pass-hint")));
    Field { name: "pass", label, hint, kind: Kind::Text, value: "", fault }.markup()
}

/// What was typed as the pass, without the blanks that come along when it is pasted.
fn typed_pass(pass: Option<Zeroizing<String>>) -> Option<Zeroizing<String>> {
    form::typed(pass).map(|pass| Zeroizing::new(pass.trim().to_owned()))
}

/// The pass that an operator handed over, where one is needed.
#[derive(Deserialize)]
pub(super) struct Pass {
    pass: Option<Zeroizing<String>>,
}

/// Begins what was required, without a proof: the sign-in was one.
pub(super) async fn begin_required(
    State(app): Shared,
    visit: Visit,
    Form(sent): Form<Pass>,
) -> Result<Response, Problem> {
    // The sign-in is too long ago to be a proof; its session needs the password, which this page has no field for.
    if visit.is_signed_in() {
        return Ok(Redirect::to("/account/two-factor/new").into_response());
    }
    let user_id = visit.user_id()?;
    let body = NewEnrolment { pass: typed_pass(sent.pass), ..NewEnrolment::default() };
    match app.start_enrolment(&visit.request, user_id, body).await {
        Ok(begun) => Ok(to_pending(begun.answer.enrolment_id)),
        Err(problem) => {
            let user = app.user_view(user_id).await?;
            let now = app.clock.now();
            Ok(visit.again(problem, |fault| visit.render(&required(&visit, &user, now, Some(fault)))))
        }
    }
}

/// Goes on to the QR code of an enrolment.
pub(super) fn to_pending(id: EnrolmentId) -> Response {
    Redirect::to(&format!("/account/two-factor/{id}")).into_response()
}

/// Whether the other authenticators are to give way.
#[derive(Deserialize)]
pub(super) struct Replacing {
    #[serde(default)]
    replace: bool,
}

/// The page that begins it.
pub(super) async fn show_new(
    State(app): Shared,
    visit: Visit,
    Query(asked): Query<Replacing>,
) -> Result<Response, Problem> {
    let needed = Needed::of(&app, &visit).await?;
    let about = About { replace: asked.replace, pass_was_typed: false };
    Ok(visit.show(&new_page(&visit, needed, about, None)))
}

/// What the page that begins it is about, beside the proof.
#[derive(Clone, Copy)]
struct About {
    replace: bool,
    /// Then its field stays, whatever else was wrong.
    pass_was_typed: bool,
}

fn new_page(visit: &Visit, needed: Needed, about: About, fault: Option<&Fault>) -> Page {
    let words = visit.words;
    let About { replace, pass_was_typed } = about;
    let title = if replace { words.say("replace-title") } else { words.say("enable-title") };
    let body = html! {
        (form::summary(words, fault))
        h1 { (title) }
        p { (words.say("enable-text")) }
        @if replace { p { (words.say("replace-text")) } }
        form method="post" action="/account/two-factor/new" {
            (form::token(visit))
            input type="hidden" name="replace" value=(replace);
            (needed.fields(visit, fault))
            @if pass_was_typed || is_about_the_pass(fault) { (pass_field(visit, fault)) }
            (Field {
                name: "label",
                label: words.say("label"),
                hint: Some(words.say("label-hint")),
                kind: Kind::Text,
                value: "",
                fault,
            }.markup())
            button type="submit" { (words.say("continue")) }
        }
        p.other { a href="/account" { (words.say("cancel")) } }
    };
    Page::step(title, body)
}

/// A new authenticator, as it is sent.
#[derive(Deserialize)]
pub(super) struct New {
    #[serde(default)]
    replace: bool,
    label: Option<String>,
    pass: Option<Zeroizing<String>>,
    #[serde(flatten)]
    shown: Shown,
}

/// Begins it.
pub(super) async fn begin(
    State(app): Shared,
    visit: Visit,
    Form(sent): Form<New>,
) -> Result<Response, Problem> {
    let pass = typed_pass(sent.pass);
    let about = About { replace: sent.replace, pass_was_typed: pass.is_some() };
    let proof = sent.shown.body();
    let body = NewEnrolment {
        password: proof.password,
        code: proof.code,
        recovery_code: proof.recovery_code,
        label: sent.label.filter(|label| !label.trim().is_empty()),
        replace: about.replace,
        pass,
    };
    match app.start_enrolment(&visit.request, visit.user_id()?, body).await {
        Ok(begun) => {
            let id = begun.answer.enrolment_id;
            let mut response = match begun.answer.recovery_code {
                // The code that was the proof is spent: the new one is stored first, and then the app connected.
                Some(code) => visit.show(&emergency::page(&visit, &code, Some(id))),
                None => to_pending(id),
            };
            // What the sign-in offered is taken up here: the enrolment is this session's.
            cookies::add(response.headers_mut(), [cookies::forget(Kept::Step)]);
            Ok(response)
        }
        Err(problem) => {
            let again = |needed, fault: &Fault| new_page(&visit, needed, about, Some(fault));
            emergency::refused(&app, &visit, problem, again).await
        }
    }
}

/// The page with the QR code and the key.
pub(super) async fn show(
    State(app): Shared,
    visit: Visit,
    Path(enrolment_id): OneId,
) -> Result<Response, Problem> {
    let id = path_id(&enrolment_id, "enrolment")?;
    match app.pending_enrolment(&visit.request, visit.user_id()?, id).await {
        Ok(pending) => Ok(visit.show(&scan_page(&visit, &pending, None))),
        Err(problem) => ended(&app, &visit, problem).await,
    }
}

/// What becomes of somebody who comes back to an enrolment that has ended: it may have ended well, and with it the
/// page that showed the emergency code.
async fn ended(app: &App, visit: &Visit, problem: Problem) -> Result<Response, Problem> {
    if problem.code() != ProblemCode::EnrolmentExpired {
        return Err(problem);
    }
    emergency::lost_sight_of(app, visit).await?.ok_or(problem)
}

fn scan_page(visit: &Visit, pending: &EnrolmentView, fault: Option<&Fault>) -> Page {
    let words = visit.words;
    let title = words.say("scan-title");
    let body = html! {
        (form::summary(words, fault))
        h1 { (title) }
        ol.steps {
            li { (words.say("scan-download")) }
            li {
                p { (words.say("scan-qr")) }
                img.qr src=(pending.qr_png) alt=(words.say("qr-alt")) width="240" height="240";
                p { (words.say("scan-key")) }
                (key(&pending.secret))
            }
            li { (words.say("scan-code")) }
        }
        form method="post" action=(format!("/account/two-factor/{}", pending.enrolment_id)) {
            (form::token(visit))
            (code_field(visit, fault))
            button type="submit" { (words.say("continue")) }
        }
        p.hint { (words.say("scan-until")) " " (words.moment(pending.expires_at)) }
    };
    Page::step(title, body)
}

/// The key in groups of four; the groups are apart to the eye only, so that what is copied is the key.
fn key(secret: &str) -> Markup {
    let characters: Vec<char> = secret.chars().collect();
    html! {
        p.key { @for group in characters.chunks(4) { span { (group.iter().collect::<String>()) } } }
    }
}

/// The first code, as it is sent.
#[derive(Deserialize)]
pub(super) struct First {
    code: Zeroizing<String>,
}

/// Confirms it; with the first authenticator, two-factor goes on.
pub(super) async fn confirm(
    State(app): Shared,
    visit: Visit,
    Path(enrolment_id): OneId,
    Form(sent): Form<First>,
) -> Result<Response, Problem> {
    let (user_id, id) = (visit.user_id()?, path_id(&enrolment_id, "enrolment")?);
    let confirmed = match app.confirm_enrolment(&visit.request, user_id, id, &form::digits(&sent.code)).await
    {
        Ok(written) => written.answer,
        Err(problem) if problem.code() == ProblemCode::EnrolmentExpired => {
            return ended(&app, &visit, problem).await;
        }
        Err(problem) => {
            let pending = app.pending_enrolment(&visit.request, user_id, id).await?;
            return Ok(visit.again(problem, |fault| visit.render(&scan_page(&visit, &pending, Some(fault)))));
        }
    };
    let began = confirmed.session.map(|session| session.token);
    let next = began.as_deref().map_or_else(|| visit.clone(), |token| visit.in_session(token));
    let mut response = match confirmed.recovery_code {
        Some(code) => next.show(&emergency::page(&next, &code, None)),
        None => Redirect::to("/account/two-factor/done").into_response(),
    };
    // At sign-in the enrolment is what the session follows from; it has served its turn.
    let step = matches!(visit.request.caller, Caller::Enrolment { .. }).then(|| cookies::forget(Kept::Step));
    let session = began.map(|token| cookies::keep(Kept::Session, &token));
    cookies::add(response.headers_mut(), [step.flatten(), session.flatten()]);
    Ok(response)
}
