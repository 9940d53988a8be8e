//! The audit trail as a page: what happened, day by day, the newest first. Who may see what of it is decided
//! where every reader of the trail is judged.

pub(super) mod auditor;
pub(super) mod entry;
mod filter;
pub(super) mod look_back;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use countersign_domain::ids::{AgreementId, UserId};
use countersign_domain::instance::{InstanceEventKind, Scope};
use maud::{Markup, html};

use super::agreement;
use super::fault::Fault;
use super::form::{self, Query};
use super::frame::{Page, Rail};
use super::visit::Visit;
use crate::app::App;
use crate::problem::Problem;
use crate::rest::audit::entry::EntryView;
use crate::rest::{self, OneId, Shared, path_id};
use filter::Asked;

/// The header of a script that asks whether there is anything newer than this position. The address is the
/// page's own, so whoever must sign in again comes back to the page.
const NEWER_THAN: &str = "countersign-newer-than";

/// What a page of the trail is of.
struct Trail {
    title: String,
    /// Its address, without what is asked for.
    address: String,
    /// The agreement that it is of.
    of: Option<AgreementId>,
    /// Whether the page of that agreement is one that they may see.
    leads_back: bool,
    rail: Rail,
}

/// Everything that somebody may see.
pub(super) async fn show(
    State(app): Shared,
    visit: Visit,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let rail = visit.rail(&app).await?;
    let title = visit.words.say("audit-title");
    let trail = Trail { title, address: "/audit".to_owned(), of: None, leads_back: false, rail };
    trail.answer(&app, &visit, &asked, &headers).await
}

/// What is about one agreement.
pub(super) async fn show_of_agreement(
    State(app): Shared,
    visit: Visit,
    Path(id): OneId,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id: AgreementId = path_id(&id, "agreement")?;
    let agreement = app.agreement_view(id).await?;
    let user = app.user_view(visit.user_id()?).await?;
    let trail = Trail {
        title: visit.words.say_with("audit-title-of", [("name", agreement.name.as_str().into())]),
        address: format!("/agreements/{id}/audit"),
        of: Some(id),
        leads_back: agreement::may_see(&visit, &user, &agreement, Scope::AgreementsRead),
        rail: agreement::rail(&visit, &user, &agreement),
    };
    trail.answer(&app, &visit, &asked, &headers).await
}

impl Trail {
    async fn answer(
        self,
        app: &App,
        visit: &Visit,
        asked: &Asked,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let filter = match asked.with_ids(app, visit).await.and_then(|asked| asked.filter(self.of)) {
            Ok(filter) => filter,
            Err(problem) => {
                return Ok(visit.again(problem, |fault| {
                    let form = asked.form(visit, &self.address, self.of, Some(fault));
                    visit.render(&self.page(visit, asked, (&form, Some(fault)), &html! {}))
                }));
            }
        };
        if let Some(position) = headers.get(NEWER_THAN) {
            let known = position.to_str().ok().and_then(|known| known.parse::<i64>().ok());
            let me = visit.user_id()?;
            let newest = app.audit_entries(&visit.request, filter).await?.items;
            let is_newer = newest
                .iter()
                .any(|entry| known.is_none_or(|known| entry.position > known) && !is_own_look(entry, me));
            return Ok(if is_newer { StatusCode::OK } else { StatusCode::NO_CONTENT }.into_response());
        }
        let page = app.audit_entries(&visit.request, filter).await?;
        let signed = app.ledger.checkpoint().await?.1.size;
        let list = html! {
            @if asked.is_newest() { (self.newer(visit, asked, &page.items)) }
            @if page.items.is_empty() { p { (visit.words.say("audit-empty")) } }
            (days(visit, &page.items, signed))
            (self.next(visit, asked, &page))
        };
        let form = asked.form(visit, &self.address, self.of, None);
        Ok(visit.show(&self.page(visit, asked, (&form, None), &list)))
    }

    fn page(
        self,
        visit: &Visit,
        asked: &Asked,
        (form, fault): (&Markup, Option<&Fault>),
        list: &Markup,
    ) -> Page {
        let words = visit.words;
        let body = html! {
            (form::summary(words, fault))
            h1 { (self.title) }
            @if let Some(id) = self.of.filter(|_| self.leads_back) {
                p { a href=(format!("/agreements/{id}")) { (words.say("back-to-agreement")) } }
            }
            p.hint { (words.say("audit-text")) }
            (auditor::ways(visit, self.of, asked))
            (form)
            (list)
        };
        Page::wide(self.title, self.rail, body)
    }

    /// What the script shows once there is more.
    fn newer(&self, visit: &Visit, asked: &Asked, entries: &[EntryView]) -> Markup {
        let newest = entries.first().map_or_else(String::new, |entry| entry.position.to_string());
        html! {
            div role="status" {
                p hidden data-newer-than=(newest) {
                    a.button.second href=(asked.address(&self.address, None)) { (visit.words.say("show-new")) }
                }
                p.hint hidden data-stopped-looking { (visit.words.say("stopped-looking")) }
            }
        }
    }

    fn next(&self, visit: &Visit, asked: &Asked, page: &rest::Page<EntryView>) -> Markup {
        html! {
            @if let Some(cursor) = &page.next_cursor {
                p { a.button.second href=(asked.address(&self.address, Some(cursor))) { (visit.words.say("older-entries")) } }
            }
        }
    }
}

/// Whether an entry only says that this person looked at the trail, which the page's own look brings about.
fn is_own_look(entry: &EntryView, me: UserId) -> bool {
    let looked: &str = InstanceEventKind::AuditRead.into();
    entry.event_type == looked && entry.actor.id.as_deref() == Some(me.to_string().as_str())
}

/// Entries under a heading for each day, in UTC as they are recorded.
fn days(visit: &Visit, entries: &[EntryView], signed: u64) -> Markup {
    let days = entries.chunk_by(|one, next| one.recorded_at.date_naive() == next.recorded_at.date_naive());
    html! {
        @for day in days {
            @if let Some(first) = day.first() {
                section.day {
                    h2 { (visit.words.day(first.recorded_at)) }
                    ol.trail { @for entry in day { li { (entry::row(visit, entry, signed)) } } }
                }
            }
        }
    }
}
