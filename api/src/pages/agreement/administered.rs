//! The agreements that an agreement administers, and what two-factor is required of each.

use countersign_domain::Timestamp;
use countersign_domain::ids::AgreementId;
use maud::{Markup, html};

use super::table;
use crate::app::App;
use crate::pages::visit::Visit;
use crate::pages::words::Words;
use crate::problem::Problem;
use crate::rest::agreements::AgreementView;
use crate::rest::{self, next_cursor};

/// An open agreement that another one administers.
pub(super) struct Administered {
    id: String,
    number: String,
    name: String,
    enforced: bool,
    deadline: Option<Timestamp>,
}

const ADMINISTERED: &str = "SELECT agreement_id, number, name, enforced, deadline FROM login_check_agreements \
     WHERE administered_by = $1 AND NOT closed AND agreement_id > $2 ORDER BY agreement_id LIMIT $3";

impl App {
    /// A page of the open agreements that this one administers, in the order of their ids.
    pub(super) async fn administered(
        &self,
        id: AgreementId,
        after: String,
        limit: u32,
    ) -> Result<rest::Page<Administered>, Problem> {
        let limit = i64::from(limit);
        let rows = self
            .database
            .scan(ADMINISTERED, &[id.to_string().into(), after.into(), (limit + 1).into()])
            .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(Administered {
                id: row.get("agreement_id")?,
                number: row.get("number")?,
                name: row.get("name")?,
                enforced: row.get("enforced")?,
                deadline: row.get("deadline")?,
            });
        }
        let next_cursor = next_cursor(&mut items, limit, |agreement| agreement.id.clone());
        Ok(rest::Page { items, next_cursor })
    }
}

/// "3 agreements".
pub(super) fn count(words: Words, count: i64) -> String {
    words.say_with("agreements", [("count", count.into()), ("number", words.number(count).into())])
}

/// The list, each with what its people must have and why.
pub(super) fn section(
    visit: &Visit,
    administrator: &AgreementView,
    page: &rest::Page<Administered>,
) -> Markup {
    let words = visit.words;
    let heads = ["name", "agreement-number", "enforcement"].map(|head| words.say(head));
    let rows = html! {
        @for agreement in &page.items {
            tr {
                th scope="row" { a href=(format!("/agreements/{}", agreement.id)) { (agreement.name) } }
                td { (agreement.number) }
                td { (required_of(words, administrator, agreement)) }
            }
        }
    };
    html! {
        section aria-labelledby="administered" {
            h2 #administered { (words.say("administered-title")) }
            @if page.items.is_empty() { p { (words.say("administers-none")) } }
            @else { (table(&words.say("administered-title"), &heads, &rows)) }
            @if let Some(cursor) = &page.next_cursor {
                p {
                    a.button.second href=(format!("/agreements/{}?agreements={cursor}#administered", administrator.id)) {
                        (words.say("next-page"))
                    }
                }
            }
        }
    }
}

/// What is required of an agreement's people: by itself, by its administrator, by both, or not at all.
fn required_of(words: Words, administrator: &AgreementView, agreement: &Administered) -> Markup {
    let by_administrator = administrator.enforcement.enforced && !administrator.closed;
    let inherited = || words.say_with("inherited", [("name", administrator.name.as_str().into())]);
    html! {
        @match (by_administrator, agreement.enforced) {
            (false, false) => (words.say("not-required")),
            (true, false) => (inherited()),
            (false, true) => (words.say("own-tick")),
            (true, true) => { (inherited()) " · " (words.say("own-tick")) },
        }
        @if let Some(deadline) = agreement.deadline.filter(|_| agreement.enforced) {
            " · " (words.say("deadline")) " " (words.date(deadline))
        }
    }
}
