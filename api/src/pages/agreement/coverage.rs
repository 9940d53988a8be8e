//! How many people of an agreement have two-factor, today and over the last month.

use countersign_domain::ids::AgreementId;
use maud::{Markup, html};

use super::{chart, table};
use crate::app::App;
use crate::pages::visit::Visit;
use crate::problem::{Problem, ProblemCode};
use crate::rest::compliance::{CoverageDayView, Period};

/// The last thirty days; none while they are still being counted.
pub(super) async fn days(
    app: &App,
    visit: &Visit,
    id: AgreementId,
) -> Result<Option<Vec<CoverageDayView>>, Problem> {
    match app.coverage_of(&visit.request, id, Period::default()).await {
        Ok(view) => Ok(Some(view.items)),
        Err(problem) if problem.code() == ProblemCode::Busy => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// What the page says of them.
pub(super) fn section(visit: &Visit, days: Option<&[CoverageDayView]>) -> Markup {
    let words = visit.words;
    html! {
        section aria-labelledby="coverage" {
            h2 #coverage { (words.say("coverage")) }
            @match days {
                None => p { (words.say("coverage-later")) },
                Some(days) => {
                    @match days.last() {
                        None => p { (words.say("nothing-yet")) },
                        Some(today) => {
                            (figures(visit, today))
                            (chart::of(visit, days))
                            details {
                                summary { (words.say("coverage-table")) }
                                (by_day(visit, days))
                            }
                        },
                    }
                },
            }
        }
    }
}

fn figures(visit: &Visit, today: &CoverageDayView) -> Markup {
    let words = visit.words;
    let figures = [
        ("members", today.members),
        ("with-two-factor", today.with_two_factor),
        ("required-of", today.required),
        ("overdue", today.overdue),
    ];
    html! {
        dl.figures {
            @for (name, figure) in figures {
                div {
                    dt { (words.say(name)) }
                    dd.attention[name == "overdue" && figure > 0] { (words.number(figure)) }
                }
            }
        }
    }
}

fn by_day(visit: &Visit, days: &[CoverageDayView]) -> Markup {
    let words = visit.words;
    let heads = ["day", "members", "with-two-factor", "required-of", "overdue"].map(|head| words.say(head));
    let rows = html! {
        @for day in days.iter().rev() {
            tr {
                th scope="row" { (words.day(chart::midnight(day.date))) }
                @for figure in [day.members, day.with_two_factor, day.required, day.overdue] {
                    td.number { (words.number(figure)) }
                }
            }
        }
    };
    table(&words.say("coverage-table"), &heads, &rows)
}
