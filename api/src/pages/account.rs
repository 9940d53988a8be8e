//! A person's own account: two-factor, authenticators, sessions, and what happened lately.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use countersign_domain::Timestamp;
use countersign_domain::agreement::Role;
use countersign_domain::ids::{AuthenticatorId, SessionId};
use maud::{Markup, html};
use serde::Deserialize;

use super::cookies::{self, Kept};
use super::fault::Fault;
use super::form::{self, Form, Query};
use super::frame::{Page, Rail};
use super::proof::{Needed, Shown};
use super::visit::Visit;
use super::words::Words;
use super::{address, emergency};
use crate::app::App;
use crate::problem::{Problem, ProblemCode};
use crate::rest::audit::EntryFilter;
use crate::rest::audit::entry::EntryView;
use crate::rest::sessions::SessionDetails;
use crate::rest::users::{AuthenticatorView, RequirementView, UserView};
use crate::rest::{OneId, Shared, path_id};

/// So much of what happened lately is shown.
const RECENT_MAX: u32 = 10;

/// Where the person came from.
#[derive(Deserialize)]
pub(super) struct From {
    return_to: Option<String>,
}

/// The account.
pub(super) async fn show(
    State(app): Shared,
    visit: Visit,
    Query(from): Query<From>,
) -> Result<Response, Problem> {
    let user_id = visit.user_id()?;
    let user = app.user_view(user_id).await?;
    let sessions = app.live_sessions(&visit.request, user_id).await?;
    let own = EntryFilter { user: Some(user_id), limit: Some(RECENT_MAX), ..EntryFilter::default() };
    let recent = app.audit_entries(&visit.request, own).await?.items;
    let back = from.return_to.as_deref().and_then(|to| address::allowed(&app, to));
    let keep = back.and_then(|to| cookies::keep(Kept::ReturnTo, to));
    let words = visit.words;
    let title = words.say("account-title");
    let body = html! {
        h1 { (title) }
        p.who { (user.display_name) " · " (user.email) }
        @if let Some(back) = back.or_else(|| visit.return_to(&app)) {
            @if back != "/account" { p { a href=(back) { (words.say("go-back")) } } }
        }
        (two_factor(&visit, &user))
        (sessions_list(&visit, &sessions))
        (recent_list(&visit, &recent))
    };
    let mut response = visit.show(&Page::wide(title, rail(&visit, &user), body));
    cookies::add(response.headers_mut(), [keep]);
    Ok(response)
}

impl Visit {
    /// The way to the other pages of whoever looks at this one.
    pub(super) async fn rail(&self, app: &App) -> Result<Rail, Problem> {
        Ok(rail(self, &app.user_view(self.user_id()?).await?))
    }
}

/// The pages that somebody has: their account, the agreements they are superuser of, and what they may see of
/// the audit trail.
pub(super) fn rail(visit: &Visit, user: &UserView) -> Rail {
    let path = visit.address.split('?').next().unwrap_or_default();
    let own = ("/account".to_owned(), visit.words.say("account-title"));
    let superuser = user.agreements.iter().filter(|agreement| agreement.role == Role::Superuser);
    let agreements = superuser
        .map(|agreement| (format!("/agreements/{}", agreement.agreement_id), agreement.name.clone()));
    let trail = ("/audit".to_owned(), visit.words.say("audit-title"));
    let links = [own].into_iter().chain(agreements).chain([trail]);
    let links = links.map(|(address, name)| {
        let here = path == address || path.starts_with(&format!("{address}/"));
        (address, name, here)
    });
    Rail::of(links.collect())
}

fn two_factor(visit: &Visit, user: &UserView) -> Markup {
    let words = visit.words;
    let two_factor = &user.two_factor;
    html! {
        section aria-labelledby="two-factor" {
            h2 #two-factor { (words.say("two-factor")) }
            @match (two_factor.enabled, two_factor.enabled_at) {
                (true, since) => {
                    p.status.good { (words.say("two-factor-on")) @if let Some(since) = since { " " (words.say("since")) " " (words.date(since)) } }
                    (reasons(visit, &user.required_by))
                    (authenticators(visit, &two_factor.authenticators))
                    h3 { (words.say("emergency-code")) }
                    @if two_factor.recovery_code_saved { p { (words.say("emergency-code-stored")) } }
                    @else { p.attention { (words.say("emergency-code-not-stored")) } }
                    p { a.button.second href="/account/two-factor/emergency-code" { (words.say("renew-code")) } }
                    h3 { (words.say("turn-off-title")) }
                    @if user.required_by.is_empty() {
                        p { a href="/account/two-factor/disable" { (words.say("turn-off")) } }
                    } @else {
                        p { (words.say("cannot-turn-off")) }
                    }
                }
                (false, _) => {
                    p.status.off { (words.say("two-factor-off")) }
                    (reasons(visit, &user.required_by))
                    p { (words.say("two-factor-why")) }
                    p { a.button href="/account/two-factor/new" { (words.say("enable")) } }
                }
            }
        }
    }
}

/// Who requires two-factor of this person: the agreement whose tick it is, and whom it reaches.
pub(super) fn reasons(visit: &Visit, required_by: &[RequirementView]) -> Markup {
    let words = visit.words;
    html! {
        @for requirement in required_by {
            p.reason { (reason(words, &requirement.name, requirement.via.is_some(), requirement.deadline)) }
        }
    }
}

/// Why two-factor is required: by an agreement itself, or by the one that administers it.
pub(super) fn reason(
    words: Words,
    name: &str,
    by_administrator: bool,
    deadline: Option<Timestamp>,
) -> String {
    let name = ("name", name.into());
    match (by_administrator, deadline.map(|deadline| ("day", words.day(deadline).into()))) {
        (true, None) => words.say_with("reason-administrator", [name]),
        (true, Some(day)) => words.say_with("reason-administrator-by", [name, day]),
        (false, None) => words.say_with("reason-own", [name]),
        (false, Some(day)) => words.say_with("reason-own-by", [name, day]),
    }
}

fn authenticators(visit: &Visit, all: &[AuthenticatorView]) -> Markup {
    let words = visit.words;
    html! {
        h3 { (words.say("authenticators")) }
        ul.rows {
            @for authenticator in all {
                li {
                    div {
                        strong { (authenticator.label) }
                        span.detail {
                            (words.say("added")) " " (words.date(authenticator.added_at))
                            @if let Some(used) = authenticator.last_used_at { " · " (words.say("last-used")) " " (words.moment(used)) }
                        }
                        @if authenticator.disabled { span.attention { (words.say("authenticator-disabled")) } }
                    }
                    a href=(format!("/account/two-factor/authenticators/{}/remove", authenticator.id))
                        aria-label=(words.say_with("remove-named", [("label", authenticator.label.as_str().into())])) {
                        (words.say("remove"))
                    }
                }
            }
        }
        p.ways {
            a.button.second href="/account/two-factor/new" { (words.say("add-authenticator")) }
            a.button.second href="/account/two-factor/new?replace=true" { (words.say("replace-authenticators")) }
        }
    }
}

fn sessions_list(visit: &Visit, sessions: &[SessionDetails]) -> Markup {
    let words = visit.words;
    html! {
        section aria-labelledby="sessions" {
            h2 #sessions { (words.say("sessions")) }
            ul.rows {
                @for session in sessions {
                    li {
                        div {
                            strong { @if session.current { (words.say("this-session")) } @else { (words.say("another-session")) } }
                            span.detail {
                                (words.say("signed-in-at")) " " (words.moment(session.started_at))
                                " · " (words.say("last-used")) " " (words.moment(session.last_used_at))
                            }
                        }
                        @if !session.current {
                            form method="post" action=(format!("/account/sessions/{}/end", session.id)) {
                                (form::token(visit))
                                button.plain type="submit" { (words.say("sign-out-session")) }
                            }
                        }
                    }
                }
            }
            form method="post" action="/account/sessions/end" {
                (form::token(visit))
                button.second type="submit" { (words.say("sign-out-everywhere")) }
            }
        }
    }
}

fn recent_list(visit: &Visit, recent: &[EntryView]) -> Markup {
    let words = visit.words;
    html! {
        section aria-labelledby="recent" {
            h2 #recent { (words.say("recent-activity")) }
            @if recent.is_empty() { p { (words.say("nothing-yet")) } }
            ul.rows {
                @for entry in recent {
                    li { div { span lang="en" { (entry.summary) } span.detail { (words.moment(entry.recorded_at)) } } }
                }
            }
        }
    }
}

/// The page that says that two-factor is on.
pub(super) async fn done(State(app): Shared, visit: Visit) -> Result<Response, Problem> {
    let words = visit.words;
    let title = words.say("done-title");
    let back = visit.return_to(&app).filter(|back| *back != "/account");
    let body = html! {
        h1 { (title) }
        p { (words.say("done-text")) }
        @if let Some(back) = back { p { a.button href=(back) { (words.say("go-back")) } } }
        p { a.button.second[back.is_some()] href="/account" { (words.say("to-account")) } }
    };
    Ok(visit.show(&Page::step(title, body)))
}

/// The page that asks whether to turn two-factor off.
pub(super) async fn show_disable(State(app): Shared, visit: Visit) -> Result<Response, Problem> {
    let user = app.user_view(visit.user_id()?).await?;
    if !user.two_factor.enabled {
        return Ok(Redirect::to("/account").into_response());
    }
    if !user.required_by.is_empty() {
        return Ok(visit.show(&required_page(&visit, &user.required_by)));
    }
    let needed = Needed::of(&app, &visit).await?;
    Ok(visit.show(&disable_page(&visit, needed, None)))
}

fn required_page(visit: &Visit, required_by: &[RequirementView]) -> Page {
    let words = visit.words;
    let title = words.say("two-factor-required-title");
    let body = html! {
        h1 { (title) }
        (reasons(visit, required_by))
        p { (words.say("two-factor-required-text")) }
        p { a.button href="/account" { (words.say("to-account")) } }
    };
    Page::step(title, body)
}

/// The same as an answer to a form: it may have become required since the form was loaded.
async fn still_required(app: &App, visit: &Visit, problem: Problem) -> Result<Response, Problem> {
    let user = app.user_view(visit.user_id()?).await?;
    Ok(visit.answer_to(problem, |_| visit.render(&required_page(visit, &user.required_by))))
}

fn disable_page(visit: &Visit, needed: Needed, fault: Option<&Fault>) -> Page {
    let words = visit.words;
    let title = words.say("disable-title");
    let body = html! {
        (form::summary(words, fault))
        h1 { (title) }
        p { (words.say("disable-text")) }
        form method="post" action="/account/two-factor/disable" {
            (form::token(visit))
            (needed.fields(visit, fault))
            button.danger type="submit" { (words.say("turn-off")) }
        }
        p.other { a href="/account" { (words.say("cancel")) } }
    };
    Page::step(title, body)
}

/// Turns two-factor off.
pub(super) async fn disable(
    State(app): Shared,
    visit: Visit,
    Form(sent): Form<Shown>,
) -> Result<Response, Problem> {
    let user_id = visit.user_id()?;
    match app.disable_two_factor(&visit.request, user_id, &sent.body()).await {
        Ok(_) => Ok(Redirect::to("/account").into_response()),
        Err(problem) if problem.code() == ProblemCode::TwoFactorRequired => {
            still_required(&app, &visit, problem).await
        }
        Err(problem) => {
            let again = |needed, fault: &Fault| disable_page(&visit, needed, Some(fault));
            emergency::refused(&app, &visit, problem, again).await
        }
    }
}

/// The page that asks whether to remove an authenticator.
pub(super) async fn show_remove(
    State(app): Shared,
    visit: Visit,
    Path(id): OneId,
) -> Result<Response, Problem> {
    let (id, label) = app.own_authenticator(&visit, &id).await?;
    let needed = Needed::of(&app, &visit).await?;
    Ok(visit.show(&remove_page(&visit, (id, &label), needed, None)))
}

fn remove_page(
    visit: &Visit,
    (id, label): (AuthenticatorId, &str),
    needed: Needed,
    fault: Option<&Fault>,
) -> Page {
    let words = visit.words;
    let title = words.say_with("remove-title", [("label", label.into())]);
    let body = html! {
        (form::summary(words, fault))
        h1 { (title) }
        p { (words.say("remove-text")) }
        form method="post" action=(format!("/account/two-factor/authenticators/{id}/remove")) {
            (form::token(visit))
            (needed.fields(visit, fault))
            button.danger type="submit" { (words.say("remove")) }
        }
        p.other { a href="/account" { (words.say("cancel")) } }
    };
    Page::step(title, body)
}

/// Removes an authenticator.
pub(super) async fn remove(
    State(app): Shared,
    visit: Visit,
    Path(id): OneId,
    Form(sent): Form<Shown>,
) -> Result<Response, Problem> {
    let user_id = visit.user_id()?;
    let (id, label) = app.own_authenticator(&visit, &id).await?;
    match app.remove_authenticator(&visit.request, user_id, id, &sent.body()).await {
        Ok(proven) => Ok(match proven.recovery_code {
            Some(code) => visit.show(&emergency::page(&visit, &code, None)),
            None => Redirect::to("/account").into_response(),
        }),
        Err(problem) if problem.code() == ProblemCode::TwoFactorRequired => {
            still_required(&app, &visit, problem).await
        }
        Err(problem) => {
            let again = |needed, fault: &Fault| remove_page(&visit, (id, &label), needed, Some(fault));
            emergency::refused(&app, &visit, problem, again).await
        }
    }
}

impl App {
    async fn own_authenticator(&self, visit: &Visit, id: &str) -> Result<(AuthenticatorId, String), Problem> {
        let id: AuthenticatorId = path_id(id, "authenticator")?;
        let user = self.user_view(visit.user_id()?).await?;
        let found = user.two_factor.authenticators.into_iter().find(|authenticator| authenticator.id == id);
        found.map(|found| (found.id, found.label)).ok_or_else(|| Problem::not_found("authenticator"))
    }
}

/// Ends one session.
pub(super) async fn end_session(
    State(app): Shared,
    visit: Visit,
    Path(id): OneId,
) -> Result<Response, Problem> {
    let id: SessionId = path_id(&id, "session")?;
    app.end_sessions(&visit.request, visit.user_id()?, Some(id)).await?;
    Ok(Redirect::to("/account").into_response())
}

/// Ends them all, this one too.
pub(super) async fn end_sessions(State(app): Shared, visit: Visit) -> Result<Response, Problem> {
    app.end_sessions(&visit.request, visit.user_id()?, None).await?;
    let mut response = Redirect::to("/login").into_response();
    cookies::add(response.headers_mut(), [cookies::forget(Kept::Session)]);
    Ok(response)
}
