//! A person or an agreement as they were at the end of a day.

use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{NaiveTime, TimeDelta};
use countersign_domain::Timestamp;
use countersign_domain::agreement::Role;
use maud::{Markup, html};
use serde::Deserialize;

use crate::pages::account::reasons;
use crate::pages::fault::Fault;
use crate::pages::form::{self, Field, Kind, Query};
use crate::pages::frame::Page;
use crate::pages::visit::Visit;
use crate::problem::{Problem, ProblemCode};
use crate::rest::compliance::{self, AgreementAsOf, AsOf, UserAsOf};
use crate::rest::enforcement::EnforcementView;
use crate::rest::{Params, Shared};

/// Of whom or of what, and when.
#[derive(Default, Deserialize)]
pub(in crate::pages) struct Asked {
    user: Option<String>,
    agreement: Option<String>,
    on: Option<String>,
}

/// The page.
pub(in crate::pages) async fn show(
    State(app): Shared,
    visit: Visit,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let rail = visit.rail(&app).await?;
    let title = visit.words.say("look-back-title");
    let page = |found: &Markup, fault: Option<&Fault>| {
        let body = html! {
            (form::summary(visit.words, fault))
            h1 { (title) }
            p { (visit.words.say("look-back-text")) }
            (asked.form(&visit, fault))
            (found)
            p { a href="/audit" { (visit.words.say("back-to-trail")) } }
        };
        Page::wide(title.clone(), rail, body)
    };
    let (whom, what) = (form::given(asked.user.as_deref()), form::given(asked.agreement.as_deref()));
    if whom.is_some() && what.is_some() {
        let fault = Fault::of("agreement", visit.words.say("not-both"));
        let problem = Problem::invalid_field("agreement", "Name a person or an agreement, not both.");
        return Ok(visit.answer_to(problem, |_| visit.render(&page(&html! {}, Some(&fault)))));
    }
    let found = async {
        let as_of = Params(AsOf { as_of: end_of_day(asked.on.as_deref(), app.clock.now())? });
        let request = visit.request.clone();
        if let Some(whom) = whom {
            let id = Path(app.user_meant(&request, whom).await?.to_string());
            let was = compliance::user(State(app.clone()), request, id, as_of).await;
            return was.map(|was| user(&visit, &was.0));
        }
        if let Some(what) = what {
            let id = Path(app.agreement_meant(&request, what).await?.to_string());
            let was = compliance::agreement(State(app.clone()), request, id, as_of).await;
            return was.map(|was| agreement(&visit, &was.0));
        }
        Ok(html! {})
    };
    Ok(match found.await {
        Ok(found) => visit.show(&page(&found, None)),
        Err(problem) if problem.code() == ProblemCode::NotFound => {
            let field = if whom.is_some() { "user" } else { "agreement" };
            let fault = Fault::of(field, visit.words.say("not-there-then"));
            visit.answer_to(problem, |_| visit.render(&page(&html! {}, Some(&fault))))
        }
        Err(problem) => visit.again(problem, |fault| visit.render(&page(&html! {}, Some(fault)))),
    })
}

/// The last moment of the day; now, where that is still to come.
pub(super) fn end_of_day(on: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let Some(day) = form::day("on", on)? else { return Ok(None) };
    let next = day.succ_opt().filter(|_| day <= now.date_naive());
    let next = next.ok_or_else(|| Problem::invalid_field("on", "It must be a day that has come."))?;
    Ok(Some((next.and_time(NaiveTime::MIN).and_utc() - TimeDelta::microseconds(1)).min(now)))
}

impl Asked {
    fn form(&self, visit: &Visit, fault: Option<&Fault>) -> Markup {
        let words = visit.words;
        let field = |name, label: &str, hint: Option<&str>, kind, value: &Option<String>| {
            let value = value.as_deref().unwrap_or_default();
            let hint = hint.map(|hint| words.say(hint));
            Field { name, label: words.say(label), hint, kind, value, fault }.markup()
        };
        html! {
            form.narrow method="get" action="/audit/look-back" {
                (field("user", "which-person", Some("which-person-hint"), Kind::Text, &self.user))
                (field("agreement", "which-agreement", Some("which-agreement-hint"), Kind::Text, &self.agreement))
                (field("on", "look-back-day", None, Kind::Date, &self.on))
                button type="submit" { (visit.words.say("look-back")) }
            }
        }
    }
}

fn user(visit: &Visit, was: &UserAsOf) -> Markup {
    let words = visit.words;
    let UserAsOf { folded, user, sessions } = was;
    let two_factor = &user.two_factor;
    html! {
        section aria-labelledby="was" {
            h2 #was { (user.display_name) }
            (ground(visit, folded.as_of, folded.position))
            dl.facts {
                div {
                    dt { (words.say("email")) } dd { (user.email) }
                }
                div {
                    dt { (words.say("two-factor")) }
                    dd {
                        @match two_factor.enabled_at {
                            Some(since) => { (words.say("two-factor-on")) " " (words.say("since")) " " (words.moment(since)) },
                            None => { (words.say("two-factor-off")) },
                        }
                    }
                }
                div {
                    dt { (words.say("authenticators")) }
                    dd {
                        @if two_factor.authenticators.is_empty() { (words.say("none")) }
                        @for authenticator in &two_factor.authenticators {
                            div { (authenticator.label) ", " (words.say("added")) " " (words.date(authenticator.added_at)) }
                        }
                    }
                }
                div {
                    dt { (words.say("emergency-code")) }
                    dd { (words.number(two_factor.recovery_codes_left)) }
                }
                div {
                    dt { (words.say("sessions-then")) } dd { (words.number(sessions.len())) }
                }
                div {
                    dt { (words.say("linked-to")) }
                    dd {
                        @if user.agreements.is_empty() { (words.say("none")) }
                        @for agreement in &user.agreements { div { (agreement.name) " (" (role(visit, agreement.role)) ")" } }
                    }
                }
            }
            (reasons(visit, &user.required_by))
        }
    }
}

fn role(visit: &Visit, role: Role) -> String {
    match role {
        Role::Superuser => visit.words.say("role-superuser"),
        Role::User => visit.words.say("role-user"),
    }
}

fn agreement(visit: &Visit, was: &AgreementAsOf) -> Markup {
    let words = visit.words;
    html! {
        section aria-labelledby="was" {
            h2 #was { (was.agreement.name) }
            (ground(visit, was.folded.as_of, was.folded.position))
            dl.facts {
                div {
                    dt { (words.say("agreement-number")) } dd { (was.agreement.number) }
                }
                div {
                    dt { (words.say("members")) } dd { (words.number(was.members_count)) }
                }
                div {
                    dt { (words.say("superusers-then")) } dd { (words.number(was.superusers.len())) }
                }
                div {
                    dt { (words.say("enforcement-then")) } dd { (enforcement(visit, &was.agreement.enforcement)) }
                }
                @if let Some(administrator) = &was.administrator {
                    div {
                        dt { (words.say_with("enforcement-through", [("name", administrator.name.as_str().into())])) }
                        dd { (enforcement(visit, &administrator.enforcement)) }
                    }
                }
            }
        }
    }
}

fn enforcement(visit: &Visit, EnforcementView { enforced, since, .. }: &EnforcementView) -> Markup {
    let words = visit.words;
    html! {
        @if *enforced { (words.say("two-factor-on")) } @else { (words.say("two-factor-off")) }
        @if let Some(since) = since { " " (words.say("since")) " " (words.moment(*since)) }
    }
}

/// What the answer rests on.
fn ground(visit: &Visit, as_of: Timestamp, position: u64) -> Markup {
    let entries = visit.words.number(position);
    html! {
        p.hint {
            (visit.words.moment(as_of)) ". "
            (visit.words.say_with("look-back-ground", [("entries", entries.into())]))
        }
    }
}
