//! An agreement as its superusers see it: its settings, whether it requires two-factor, who has it, and the
//! agreements that it administers.

mod administered;
mod chart;
mod coverage;
pub(super) mod enforcement;

use axum::extract::{Path, State};
use axum::response::Response;
use countersign_domain::agreement::{AgreementKind, Role};
use countersign_domain::ids::AgreementId;
use countersign_domain::instance::Scope;
use maud::{Markup, html};
use serde::Deserialize;

use super::account;
use super::form::Query;
use super::frame::{Page, Rail};
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
    let known = coverage::Known::of(&app, &visit, &shown).await?;
    let asked =
        FindMembers { without_two_factor: Some(true), limit: Some(PAGE_ITEMS), cursor: cursors.people };
    let without = app.members(&visit.request, id, asked).await?;
    let administers = shown.agreement.kind == AgreementKind::Administrator;
    let after = cursors.agreements.map(|after| path_id(&after, "agreement")).transpose()?;
    let administered = if administers { Some(app.administered(id, after, PAGE_ITEMS).await?) } else { None };
    let title = shown.agreement.name.clone();
    let body = html! {
        h1 { (title) }
        (company(&visit, &user, &shown))
        (coverage::section(&visit, &shown, &known))
        @if !shown.agreement.closed || visit.request.caller.has_the_scopes() {
            (without_two_factor(&visit, &user, &shown.agreement, &without))
        }
        @if let Some(administered) = &administered {
            (administered::section(&visit, &shown.agreement, administered))
        }
    };
    Ok(visit.show(&Page::wide(title, rail(&visit, &user, &shown.agreement), body)))
}

/// The way to other pages, from those of an agreement.
pub(super) fn rail(visit: &Visit, user: &UserView, agreement: &AgreementView) -> Rail {
    let rail = account::rail(visit, user);
    match agreement.kind {
        AgreementKind::Standard => rail,
        // Guides name both of these as they stand here.
        AgreementKind::Administrator => {
            let address = format!("/agreements/{}", agreement.id);
            let here = visit.address.split('?').next() == Some(address.as_str());
            rail.with(
                visit.words.say("administrator"),
                vec![(address, visit.words.say("basic-information"), here)],
            )
        }
    }
}

/// Whether somebody may see a page that is for the superusers of an agreement, for those of the agreement that
/// administers it, and for whoever has this scope by a role.
pub(super) fn may_see(visit: &Visit, user: &UserView, agreement: &AgreementView, scope: Scope) -> bool {
    let is_superuser = user.agreements.iter().any(|link| {
        let is_here =
            link.agreement_id == agreement.id || Some(link.agreement_id) == agreement.administered_by;
        is_here && link.role == Role::Superuser
    });
    let by_role = visit.request.caller.has_the_scopes();
    is_superuser || by_role && user.roles.iter().any(|role| role.scopes().contains(&scope))
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

/// The settings: what the agreement is, and under "Edit" the tick that requires two-factor.
fn company(visit: &Visit, user: &UserView, shown: &Shown) -> Markup {
    let words = visit.words;
    let agreement = &shown.agreement;
    html! {
        section aria-labelledby="company" {
            h2 #company { (words.say("company")) }
            (facts(visit, user, shown))
            @if agreement.closed { p.attention { (words.say("closed")) } }
            h3 { (words.say("enforcement")) }
            (required(visit, shown))
            @if may_see(visit, user, agreement, Scope::AuditRead) {
                p { a href=(format!("/agreements/{}/audit", agreement.id)) { (words.say("audit-of-agreement")) } }
            }
        }
    }
}

fn facts(visit: &Visit, user: &UserView, shown: &Shown) -> Markup {
    let words = visit.words;
    let Shown { agreement, administrator, .. } = shown;
    let kind = match agreement.kind {
        AgreementKind::Administrator => words.say("kind-administrator"),
        AgreementKind::Standard => words.say("kind-standard"),
    };
    let may_look = |other: &AgreementView| may_see(visit, user, other, Scope::AgreementsRead);
    html! {
        dl.facts {
            div { dt { (words.say("agreement-number")) } dd { (agreement.number) } }
            div { dt { (words.say("agreement-kind")) } dd { (kind) } }
            div {
                dt { (words.say("administered-by")) }
                dd {
                    @match administrator {
                        Some(other) if may_look(other) => a href=(format!("/agreements/{}", other.id)) { (other.name) },
                        Some(other) => (other.name),
                        None => (words.say("nobody")),
                    }
                }
            }
            @if agreement.kind == AgreementKind::Administrator {
                div { dt { (words.say("administers")) } dd { (administered::count(words, agreement.administers_count)) } }
            }
        }
    }
}

/// Whether two-factor is required here, by whom, and the tick that changes it.
fn required(visit: &Visit, shown: &Shown) -> Markup {
    let words = visit.words;
    let Shown { agreement, administrator, switched_by } = shown;
    let inherited = administrator.as_ref().filter(|other| other.enforcement.enforced && !other.closed);
    let enforced = agreement.enforcement.enforced;
    html! {
        p.status.good[enforced].off[!enforced] {
            @if enforced { (words.say("enforced")) } @else { (words.say("not-enforced")) }
        }
        @if let Some(other) = inherited {
            p.reason { (inherited_reason(visit, other)) }
        }
        (switched(visit, &agreement.enforcement, switched_by.as_deref()))
        @if !agreement.closed {
            details.edit {
                summary { (words.say("edit")) }
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

fn without_two_factor(
    visit: &Visit,
    user: &UserView,
    agreement: &AgreementView,
    page: &rest::Page<MemberView>,
) -> Markup {
    let (words, id) = (visit.words, agreement.id);
    let may_see_trail = may_see(visit, user, agreement, Scope::AuditRead);
    let is_administrator = agreement.kind == AgreementKind::Administrator;
    let heads = ["name", "email", "required-since", "standing"].map(|head| words.say(head));
    let rows = html! {
        @for member in &page.items {
            tr {
                th scope="row" {
                    @if may_see_trail {
                        a href=(format!("/agreements/{id}/audit?user={}", member.person.user_id)) { (member.person.display_name) }
                    } @else { (member.person.display_name) }
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
            @if is_administrator { p.hint { (words.say("without-alone")) } }
            @if page.items.is_empty() { p { (words.say("without-nobody")) } }
            @else { (table(&words.say("without-title"), &heads, &rows)) }
            @if let Some(cursor) = &page.next_cursor {
                p { a.button.second href=(format!("/agreements/{id}?people={cursor}#without")) { (words.say("next-page")) } }
            }
        }
    }
}
