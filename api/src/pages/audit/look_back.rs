//! A person or an agreement as they were at the end of a day.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use chrono::{NaiveTime, TimeDelta};
use countersign_domain::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use crate::pages::account::reasons;
use crate::pages::fault::Fault;
use crate::pages::form::{self, Field, Kind};
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
    let found = async {
        let as_of = asked.moment(app.clock.now())?;
        let as_of = || Params(AsOf { as_of });
        if let Some(id) = form::given(asked.user.as_deref()) {
            let was =
                compliance::user(State(app.clone()), visit.request.clone(), Path(id.to_owned()), as_of())
                    .await;
            return was.map(|was| user(&visit, &was.0));
        }
        if let Some(id) = form::given(asked.agreement.as_deref()) {
            let was = compliance::agreement(
                State(app.clone()),
                visit.request.clone(),
                Path(id.to_owned()),
                as_of(),
            )
            .await;
            return was.map(|was| agreement(&visit, &was.0));
        }
        Ok(html! {})
    };
    Ok(match found.await {
        Ok(found) => visit.show(&page(&found, None)),
        Err(problem) if problem.code() == ProblemCode::NotFound => {
            let field = if form::given(asked.user.as_deref()).is_some() { "user" } else { "agreement" };
            let fault = Fault::of(field, visit.words.say("not-there-then"));
            visit.answer_to(problem, |_| visit.render(&page(&html! {}, Some(&fault))))
        }
        Err(problem) => visit.again(problem, |fault| visit.render(&page(&html! {}, Some(fault)))),
    })
}

impl Asked {
    /// The last moment of the day; now, where that is still to come.
    fn moment(&self, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(day) = form::day("on", self.on.as_deref())? else { return Ok(None) };
        let next = day.succ_opt().filter(|_| day <= now.date_naive());
        let next = next.ok_or_else(|| Problem::invalid_field("on", "It must be a day that has come."))?;
        Ok(Some((next.and_time(NaiveTime::MIN).and_utc() - TimeDelta::microseconds(1)).min(now)))
    }

    fn form(&self, visit: &Visit, fault: Option<&Fault>) -> Markup {
        let field = |name, label: &str, kind, value: &Option<String>| {
            let value = value.as_deref().unwrap_or_default();
            Field { name, label: visit.words.say(label), hint: None, kind, value, fault }.markup()
        };
        html! {
            form method="get" action="/audit/look-back" {
                (field("user", "user-id", Kind::Text, &self.user))
                (field("agreement", "agreement-id", Kind::Text, &self.agreement))
                (field("on", "look-back-day", Kind::Date, &self.on))
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
                        @for agreement in &user.agreements { div { (agreement.name) " (" (agreement.role.name()) ")" } }
                    }
                }
            }
            (reasons(visit, &user.required_by))
        }
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
