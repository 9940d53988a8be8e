//! The agreements that an agreement administers, and what two-factor is required of each.

use maud::{Markup, html};

use super::table;
use crate::pages::visit::Visit;
use crate::pages::words::Words;
use crate::rest;
use crate::rest::administered::Administered;
use crate::rest::agreements::AgreementView;

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
    let heads = ["name", "agreement-number", "members", "with-two-factor", "enforcement"];
    let heads = heads.map(|head| words.say(head));
    let counted = |figure: Option<i64>| figure.map(|figure| words.number(figure)).unwrap_or_default();
    let rows = html! {
        @for agreement in &page.items {
            tr {
                th scope="row" { a href=(format!("/agreements/{}", agreement.id)) { (agreement.name) } }
                td { (agreement.number) }
                td.number { (counted(agreement.members)) }
                td.number { (counted(agreement.with_two_factor)) }
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
