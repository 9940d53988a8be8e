//! Ticking and unticking enforcement: first whom it reaches and what it does, then the button.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, NaiveTime, Utc};
use countersign_domain::Timestamp;
use countersign_domain::ids::AgreementId;
use maud::{Markup, html};
use serde::Deserialize;

use super::{Shown, administered, inherited_reason};
use crate::app::App;
use crate::pages::cookies::{self, Kept};
use crate::pages::emergency;
use crate::pages::fault::Fault;
use crate::pages::form::{self, Field, Form, Kind, Query};
use crate::pages::frame::{Page, Rail};
use crate::pages::proof::{self, Needed};
use crate::pages::table::table;
use crate::pages::visit::Visit;
use crate::pages::words::Words;
use crate::problem::Problem;
use crate::rest::agreements::AgreementView;
use crate::rest::enforcement::{EnforcementChange, Preview, PreviewParams};
use crate::rest::{OneId, Shared, path_id};

/// So many of those whom it reaches are on a page: as a rule all, so that the form beneath is filled in once.
const REACHED_ON_A_PAGE: u32 = 500;

/// What the tick was set to.
#[derive(Deserialize)]
pub(in crate::pages) struct Asked {
    enforced: Option<String>,
    /// Where the list of those whom it reaches goes on.
    people: Option<String>,
}

/// What the form sends.
#[derive(Deserialize)]
pub(in crate::pages) struct Sent {
    enforced: Option<String>,
    deadline: Option<String>,
    reason: Option<String>,
    #[serde(flatten)]
    shown: proof::Shown,
}

/// What was typed into the form so far.
#[derive(Default)]
struct Typed {
    deadline: String,
    reason: String,
}

/// What both pages show.
struct Change {
    shown: Shown,
    preview: Preview,
    /// Where its list begins, if not with the first.
    people: Option<String>,
    rail: Rail,
    enforced: bool,
    typed: Typed,
}

impl Change {
    async fn of(
        app: &App,
        visit: &Visit,
        id: AgreementId,
        (enforced, typed): (bool, Typed),
        people: Option<String>,
    ) -> Result<Self, Problem> {
        let preview = PreviewParams { limit: Some(REACHED_ON_A_PAGE), cursor: people.clone() };
        let user = app.user_view(visit.user_id()?).await?;
        let shown = app.shown(id).await?;
        Ok(Self {
            preview: app.enforcement_preview(id, preview).await?,
            rail: super::rail(visit, &user, &shown.agreement),
            shown,
            people,
            enforced,
            typed,
        })
    }

    fn page(self, visit: &Visit, needed: Needed, fault: Option<&Fault>) -> Page {
        let words = visit.words;
        let name = self.shown.agreement.name.as_str();
        let title = if self.enforced {
            words.say_with("enforce-title", [("name", name.into())])
        } else {
            words.say_with("stop-enforcing-title", [("name", name.into())])
        };
        let address = format!("/agreements/{}", self.shown.agreement.id);
        let body = html! {
            (form::summary(words, fault))
            h1 { (title) }
            @if self.enforced { (reached(visit, &self)) } @else { (only_permits(visit, &self)) }
            form.narrow method="post" action=(format!("{address}/enforcement")) {
                (form::token(visit))
                input type="hidden" name="enforced" value=(if self.enforced { "yes" } else { "no" });
                @if self.enforced { (deadline(words, &self.typed.deadline, fault)) }
                (reason(words, &self.typed.reason, fault))
                (needed.fields(visit, fault))
                @if self.enforced { button type="submit" { (words.say("enforce-now")) } }
                @else { button type="submit" { (words.say("stop-enforcing")) } }
            }
            p.other { a href=(address) { (words.say("cancel")) } }
        };
        Page::wide(title, self.rail, body)
    }
}

fn deadline(words: Words, value: &str, fault: Option<&Fault>) -> Markup {
    let (label, hint) = (words.say("choose-deadline"), Some(words.say("deadline-hint")));
    Field { name: "deadline", label, hint, kind: Kind::Date, value, fault }.markup()
}

fn reason(words: Words, value: &str, fault: Option<&Fault>) -> Markup {
    let (label, hint) = (words.say("reason"), Some(words.say("reason-hint")));
    Field { name: "reason", label, hint, kind: Kind::Text, value, fault }.markup()
}

/// The page that the tick leads to.
pub(in crate::pages) async fn show(
    State(app): Shared,
    visit: Visit,
    Path(id): OneId,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let id: AgreementId = path_id(&id, "agreement")?;
    let enforced = asked.enforced.as_deref() == Some("yes");
    let now = app.agreement_view(id).await?.enforcement;
    if !enforced && !now.enforced {
        return Ok(Redirect::to(&format!("/agreements/{id}")).into_response());
    }
    // Ticking what is ticked moves the date, so it starts from the one there is.
    let deadline = now.deadline.filter(|_| enforced).map(|deadline| deadline.date_naive().to_string());
    let typed = Typed { deadline: deadline.unwrap_or_default(), ..Typed::default() };
    let needed = Needed::of(&app, &visit).await?;
    let change = Change::of(&app, &visit, id, (enforced, typed), asked.people).await?;
    Ok(visit.show(&change.page(&visit, needed, None)))
}

/// Whom it reaches: in one sentence, then by name.
fn reached(visit: &Visit, change: &Change) -> Markup {
    let words = visit.words;
    let Preview { affected_users, without_two_factor, users, next_cursor } = &change.preview;
    let sentence = reach(words, &change.shown.agreement, (*affected_users, *without_two_factor));
    let address = format!("/agreements/{}/enforcement?enforced=yes", change.shown.agreement.id);
    let heads = ["name", "email", "two-factor"].map(|head| words.say(head));
    let rows = html! {
        @for user in users {
            tr {
                th scope="row" { (user.person.display_name) }
                td { (user.person.email) }
                td {
                    @if user.two_factor_enabled { span.good { (words.say("two-factor-on")) } }
                    @else { span.attention { (words.say("two-factor-off")) } }
                }
            }
        }
    };
    html! {
        p.reach { (sentence) }
        @if *affected_users > 0 {
            div.names { (table(&words.say("reach-who"), &heads, &rows)) }
            @if next_cursor.is_some() || change.people.is_some() {
                p.detail { (words.say("reach-part")) }
                p.ways {
                    @if change.people.is_some() { a.button.second href=(address) { (words.say("first-page")) } }
                    @if let Some(cursor) = next_cursor {
                        a.button.second href=(format!("{address}&people={cursor}")) { (words.say("next-page")) }
                    }
                }
            }
        }
        p { (words.say("enforce-text")) }
    }
}

/// Whom it reaches, in one sentence.
pub(super) fn reach(words: Words, agreement: &AgreementView, (affected, without): (i64, i64)) -> String {
    if affected == 0 {
        return words.say("reach-nobody");
    }
    let counted = |id: &str, count: i64| {
        words.say_with(id, [("count", count.into()), ("number", words.number(count).into())])
    };
    let agreements = administered::count(words, agreement.administers_count.saturating_add(1));
    let parts = [
        ("people", counted("people", affected).into()),
        ("agreements", agreements.into()),
        ("without", counted("reach-without", without).into()),
    ];
    words.say_with("reach", parts)
}

/// What unticking does, and what it does not.
fn only_permits(visit: &Visit, change: &Change) -> Markup {
    let words = visit.words;
    let administrator = change.shown.administrator.as_ref();
    let still = administrator.filter(|other| other.enforcement.enforced && !other.closed);
    html! {
        p { (words.say("stop-enforcing-text")) }
        p { (words.say("stop-enforcing-keeps")) }
        @if let Some(other) = still { p.reason { (words.say("stop-enforcing-still")) " " (inherited_reason(visit, other)) } }
    }
}

/// Ticks or unticks it.
pub(in crate::pages) async fn change(
    State(app): Shared,
    visit: Visit,
    Path(id): OneId,
    Form(sent): Form<Sent>,
) -> Result<Response, Problem> {
    let id: AgreementId = path_id(&id, "agreement")?;
    let enforced = sent.enforced.as_deref() == Some("yes");
    let typed =
        Typed { deadline: sent.deadline.unwrap_or_default(), reason: sent.reason.unwrap_or_default() };
    let deadline = if enforced { end_of_day(&typed.deadline, app.clock.now()) } else { Ok(None) };
    let proof = sent.shown.body();
    let changed = match deadline {
        Ok(deadline) => {
            let reason = Some(typed.reason.trim().to_owned()).filter(|reason| !reason.is_empty());
            let (password, code, recovery_code) = (proof.password, proof.code, proof.recovery_code);
            let body = EnforcementChange { enforced, deadline, reason, password, code, recovery_code };
            app.enforce(&visit.request, id, body).await.map(|done| done.answer.recovery_code)
        }
        Err(problem) => Err(problem),
    };
    let new_code = match &changed {
        Ok(code) => code.clone(),
        Err(problem) => problem.member("recovery_code").and_then(|code| code.as_str()).map(ToOwned::to_owned),
    };
    // Whatever came of the change, the code that was the proof is spent, and its owner needs the one after it.
    if let Some(code) = new_code {
        let mut response = visit.show(&emergency::page(&visit, &code, None));
        let back = cookies::keep(Kept::ReturnTo, &format!("/agreements/{id}"));
        cookies::add(response.headers_mut(), [back]);
        return Ok(response);
    }
    match changed {
        Ok(_) => Ok(Redirect::to(&format!("/agreements/{id}")).into_response()),
        Err(problem) => {
            let change = Change::of(&app, &visit, id, (enforced, typed), None).await?;
            let again = |needed, fault: &Fault| change.page(&visit, needed, Some(fault));
            emergency::refused(&app, &visit, problem, again).await
        }
    }
}

/// The last second of a day after today, in UTC; none where no day was chosen.
fn end_of_day(typed: &str, now: Timestamp) -> Result<Option<DateTime<Utc>>, Problem> {
    let Some(day) = form::day("deadline", Some(typed))? else { return Ok(None) };
    match NaiveTime::from_hms_opt(23, 59, 59).filter(|_| day > now.date_naive()) {
        Some(last) => Ok(Some(day.and_time(last).and_utc())),
        None => Err(Problem::invalid_field("deadline", "The deadline must be a day after today.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_the_end_of_a_day_after_today() {
        let now: Timestamp = "2027-03-01T23:00:00Z".parse().unwrap();
        let end = |typed: &str| end_of_day(typed, now).map_err(|problem| problem.code());
        assert_eq!(end("").unwrap(), None);
        assert_eq!(end("2027-03-02").unwrap(), Some("2027-03-02T23:59:59Z".parse().unwrap()));
        for refused in ["2027-03-01", "2020-01-01", "tomorrow", "10000-01-01", "+262000-01-01"] {
            assert!(end(refused).is_err(), "{refused}");
        }
    }
}
