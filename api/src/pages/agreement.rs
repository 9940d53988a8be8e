//! An agreement as its superusers see it: its settings, whether it requires two-factor, who has it, and the
//! agreements that it administers.

mod administered;
mod chart;
mod coverage;
pub(super) mod enforcement;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use countersign_domain::agreement::{AgreementKind, Role};
use countersign_domain::ids::AgreementId;
use maud::{Markup, html};
use serde::Deserialize;

use super::account;
use super::frame::Page;
use super::table::table;
use super::visit::Visit;
use crate::app::App;
use crate::problem::Problem;
use crate::rest;
use crate::rest::agreements::AgreementView;
use crate::rest::enforcement::{ActorView, EnforcementView};
use crate::rest::members::{FindMembers, MemberView};
use crate::rest::users::UserView;
use crate::rest::{OneId, Shared, path_id};

/// So many people or agreements are on a page.
const PAGE_ITEMS: u32 = 50;

/// Where the lists of the page go on.
#[derive(Deserialize)]
pub(super) struct Cursors {
    people: Option<String>,
    agreements: Option<String>,
}

/// An agreement with what its page says of others.
struct Shown {
    agreement: AgreementView,
    /// The one that administers it.
    administrator: Option<AgreementView>,
    /// Who switched enforcement, by name.
    switched_by: Option<String>,
}

/// The page.
pub(super) async fn show(
    State(app): Shared,
    visit: Visit,
    Path(id): OneId,
    Query(cursors): Query<Cursors>,
) -> Result<Response, Problem> {
    let id: AgreementId = path_id(&id, "agreement")?;
    let user = app.user_view(visit.user_id()?).await?;
    let shown = app.shown(id).await?;
    let days = coverage::days(&app, &visit, id).await?;
    let asked =
        FindMembers { without_two_factor: Some(true), limit: Some(PAGE_ITEMS), cursor: cursors.people };
    let without = app.members(&visit.request, id, asked).await?;
    let administers = shown.agreement.kind == AgreementKind::Administrator;
    let administered = if administers {
        Some(app.administered(id, cursors.agreements.unwrap_or_default(), PAGE_ITEMS).await?)
    } else {
        None
    };
    let title = shown.agreement.name.clone();
    let body = html! {
        h1 { (title) }
        (settings(&visit, &user, &shown))
        (required(&visit, &shown))
        (coverage::section(&visit, days.as_deref()))
        (without_two_factor(&visit, id, &without))
        @if let Some(administered) = &administered {
            (administered::section(&visit, &shown.agreement, administered))
        }
    };
    Ok(visit.show(&Page::wide(title, account::rail(&visit, &user), body)))
}

impl App {
    async fn shown(&self, id: AgreementId) -> Result<Shown, Problem> {
        let agreement = self.agreement_view(id).await?;
        let administrator = match agreement.administered_by {
            Some(administrator) => Some(self.agreement_view(administrator).await?),
            None => None,
        };
        let switched_by = match &agreement.enforcement.by {
            Some(ActorView { kind, id: Some(id), .. }) if kind == "user" => {
                Some(self.names_of([id.as_str()].into(), [].into()).await?.person(id))
            }
            Some(ActorView { name, .. }) => name.clone(),
            None => None,
        };
        Ok(Shown { agreement, administrator, switched_by })
    }
}

fn settings(visit: &Visit, user: &UserView, shown: &Shown) -> Markup {
    let words = visit.words;
    let Shown { agreement, administrator, .. } = shown;
    let kind = match agreement.kind {
        AgreementKind::Administrator => words.say("kind-administrator"),
        AgreementKind::Standard => words.say("kind-standard"),
    };
    // The page of the other agreement is for its own superusers only.
    let may_look = |id: AgreementId| {
        user.agreements.iter().any(|link| link.agreement_id == id && link.role == Role::Superuser)
    };
    html! {
        dl.facts {
            div { dt { (words.say("agreement-number")) } dd { (agreement.number) } }
            div { dt { (words.say("agreement-kind")) } dd { (kind) } }
            div {
                dt { (words.say("administered-by")) }
                dd {
                    @match administrator {
                        Some(other) if may_look(other.id) => a href=(format!("/agreements/{}", other.id)) { (other.name) },
                        Some(other) => (other.name),
                        None => (words.say("nobody")),
                    }
                }
            }
            @if agreement.kind == AgreementKind::Administrator {
                div { dt { (words.say("administers")) } dd { (administered::count(words, agreement.administers_count)) } }
            }
        }
        @if agreement.closed { p.attention { (words.say("closed")) } }
        p { a href=(format!("/agreements/{}/audit", agreement.id)) { (words.say("audit-of-agreement")) } }
    }
}

/// Whether two-factor is required here, by whom, and the tick that changes it.
fn required(visit: &Visit, shown: &Shown) -> Markup {
    let words = visit.words;
    let Shown { agreement, administrator, switched_by } = shown;
    let inherited = administrator.as_ref().filter(|other| other.enforcement.enforced && !other.closed);
    let enforced = agreement.enforcement.enforced;
    html! {
        section aria-labelledby="required" {
            h2 #required { (words.say("enforcement")) }
            p.status.good[enforced].off[!enforced] {
                @if enforced { (words.say("enforced")) } @else { (words.say("not-enforced")) }
            }
            @if let Some(other) = inherited {
                p.reason { (inherited_reason(visit, other)) }
            }
            (switched(visit, &agreement.enforcement, switched_by.as_deref()))
            @if !agreement.closed {
                form.tick method="get" action=(format!("/agreements/{}/enforcement", agreement.id)) {
                    div.field.tick {
                        input #enforced type="checkbox" name="enforced" value="yes" checked[enforced];
                        label for="enforced" { (words.say("enforce")) }
                    }
                    p.hint { (words.say("enforce-hint")) }
                    button.second type="submit" { (words.say("continue")) }
                }
            }
        }
    }
}

/// That the administrator requires it, and until when it may wait.
fn inherited_reason(visit: &Visit, administrator: &AgreementView) -> String {
    account::reason(visit.words, &administrator.name, true, administrator.enforcement.deadline)
}

fn switched(visit: &Visit, enforcement: &EnforcementView, by: Option<&str>) -> Markup {
    let words = visit.words;
    html! {
        @if let Some(since) = enforcement.since {
            dl.facts {
                div { dt { (words.say("switched-at")) } dd { (words.moment(since)) } }
                @if let Some(by) = by { div { dt { (words.say("switched-by")) } dd { (by) } } }
                @if enforcement.enforced {
                    div {
                        dt { (words.say("deadline")) }
                        dd { @if let Some(deadline) = enforcement.deadline { (words.date(deadline)) } @else { (words.say("no-deadline")) } }
                    }
                }
                @if let Some(reason) = &enforcement.reason { div { dt { (words.say("reason")) } dd { (reason) } } }
            }
        }
    }
}

fn without_two_factor(visit: &Visit, id: AgreementId, page: &rest::Page<MemberView>) -> Markup {
    let words = visit.words;
    let heads = ["name", "email", "required-since", "standing"].map(|head| words.say(head));
    let rows = html! {
        @for member in &page.items {
            tr {
                th scope="row" {
                    a href=(format!("/agreements/{id}/audit?user={}", member.person.user_id)) { (member.person.display_name) }
                }
                td { (member.person.email) }
                td { @if let Some(since) = member.required_since { (words.date(since)) } @else { (words.say("not-required")) } }
                td { @if member.overdue { span.attention { (words.say("overdue")) } } }
            }
        }
    };
    html! {
        section aria-labelledby="without" {
            h2 #without { (words.say("without-title")) }
            @if page.items.is_empty() { p { (words.say("without-nobody")) } }
            @else { (table(&words.say("without-title"), &heads, &rows)) }
            @if let Some(cursor) = &page.next_cursor {
                p { a.button.second href=(format!("/agreements/{id}?people={cursor}#without")) { (words.say("next-page")) } }
            }
        }
    }
}
