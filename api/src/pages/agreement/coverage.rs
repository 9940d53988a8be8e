//! How many people of an agreement have two-factor, today and over the last month.

use chrono::TimeDelta;
use countersign_domain::agreement::AgreementKind;
use maud::{Markup, html};

use super::{Shown, chart, enforcement, table};
use crate::app::App;
use crate::pages::visit::Visit;
use crate::problem::{Problem, ProblemCode};
use crate::rest::compliance::{CoverageDayView, Period};

/// So long after a change of enforcement the figures wait until the ledger has it.
const JUST_CHANGED: TimeDelta = TimeDelta::seconds(10);

/// What is known of who has two-factor.
pub(super) struct Known {
    /// The last thirty days; none while they are still being counted.
    days: Option<Vec<CoverageDayView>>,
    /// How many people an administrator's enforcement reaches, and how many of them have no two-factor.
    reach: Option<(i64, i64)>,
}

impl Known {
    /// What is known of an agreement by now; of one that was changed just now, with that change.
    pub(super) async fn of(app: &App, visit: &Visit, shown: &Shown) -> Result<Self, Problem> {
        let agreement = &shown.agreement;
        let administers = agreement.kind == AgreementKind::Administrator && !agreement.closed;
        let reach = if administers { Some(app.reach(agreement.id).await?) } else { None };
        let now = app.clock.now();
        let changes = [Some(agreement), shown.administrator.as_ref()].into_iter().flatten();
        let mut changes = changes.filter_map(|agreement| agreement.enforcement.since);
        let has_just_changed = changes.any(|since| now - since < JUST_CHANGED);
        if has_just_changed && !app.ledger.has_placed_what_was_recorded(now).await? {
            return Ok(Self { days: None, reach });
        }
        match app.coverage_of(&visit.request, agreement.id, Period::default()).await {
            Ok(view) => Ok(Self { days: Some(view.items), reach }),
            Err(problem) if problem.code() == ProblemCode::Busy => Ok(Self { days: None, reach }),
            Err(problem) => Err(problem),
        }
    }
}

/// What the page says of them.
pub(super) fn section(visit: &Visit, shown: &Shown, known: &Known) -> Markup {
    let words = visit.words;
    let reached = known.reach.map(|reach| enforcement::reach(words, &shown.agreement, reach));
    html! {
        section aria-labelledby="coverage" {
            h2 #coverage { (words.say("coverage")) }
            @if let Some(reached) = reached {
                @let said = if shown.agreement.enforcement.enforced { "reached-now" } else { "reached-if" };
                p.reach { (words.say_with(said, [("reach", reached.into())])) }
                h3 { (words.say("coverage-alone")) }
            }
            @match known.days.as_deref() {
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
