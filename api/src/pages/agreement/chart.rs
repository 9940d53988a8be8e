//! The figures of a month as lines. The words beside the axes are text of the page, so they keep their size
//! however wide the chart is; the same figures stand in a table beneath.

use chrono::{NaiveDate, NaiveTime};
use countersign_domain::Timestamp;
use maud::{Markup, html};

use crate::pages::visit::Visit;
use crate::rest::compliance::CoverageDayView;

/// The chart's own units, which are stretched to its place on the page.
const WIDTH: i64 = 1000;
const HEIGHT: i64 = 400;

/// One line: the message that names it, which is its class too, and its figure of a day.
type Line = (&'static str, fn(&CoverageDayView) -> i64);

const LINES: [Line; 3] = [
    ("members", |day| day.members),
    ("with-two-factor", |day| day.with_two_factor),
    ("overdue", |day| day.overdue),
];

/// The chart of these days.
pub(super) fn of(visit: &Visit, days: &[CoverageDayView]) -> Markup {
    let words = visit.words;
    let top = top(days.iter().map(|day| day.members).max().unwrap_or_default());
    let (Some(first), Some(middle), Some(last)) = (days.first(), days.get(days.len() / 2), days.last())
    else {
        return html! {};
    };
    let mut marks = vec![first.date, middle.date, last.date];
    marks.dedup();
    html! {
        figure.chart {
            figcaption {
                span.axis { (words.say("chart-people")) }
                ul.legend {
                    @for (name, _) in LINES {
                        li {
                            svg class="sample" viewBox="0 0 32 8" width="32" height="8" aria-hidden="true" {
                                line class=(name) x1="0" y1="4" x2="32" y2="4";
                            }
                            (words.say(name))
                        }
                    }
                }
            }
            div.plot {
                div.up aria-hidden="true" {
                    @for mark in [top, top / 2, 0] { span { (words.number(mark)) } }
                }
                svg role="img" aria-label=(words.say("chart-told")) viewBox=(format!("0 0 {WIDTH} {HEIGHT}"))
                    preserveAspectRatio="none" {
                    @for y in [0, HEIGHT / 2, HEIGHT] {
                        line.grid x1="0" x2=(WIDTH) y1=(y) y2=(y);
                    }
                    @for (name, figure) in LINES {
                        polyline class=(name) points=(points(days, figure, top)) fill="none";
                    }
                }
                div.along aria-hidden="true" {
                    @for mark in marks { span { (words.day(midnight(mark))) } }
                }
            }
        }
    }
}

/// The beginning of a day.
pub(super) fn midnight(day: NaiveDate) -> Timestamp {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The next even number with one digit that is not zero, so that half of it is a whole number.
fn top(most: i64) -> i64 {
    let digits = u32::try_from(most.max(1).to_string().len()).unwrap_or(1);
    let step = 10_i64.saturating_pow(digits.saturating_sub(1)).saturating_mul(2);
    most.max(1).saturating_add(step - 1) / step * step
}

fn points(days: &[CoverageDayView], figure: fn(&CoverageDayView) -> i64, top: i64) -> String {
    let steps = i64::try_from(days.len()).unwrap_or(i64::MAX).saturating_sub(1).max(1);
    let height = |day| HEIGHT - figure(day).saturating_mul(HEIGHT) / top;
    let points = (0_i64..).zip(days).map(|(index, day)| format!("{},{}", index * WIDTH / steps, height(day)));
    // A single day is a line too.
    let whole_width = days.first().filter(|_| days.len() == 1).map(|day| format!("{WIDTH},{}", height(day)));
    points.chain(whole_width).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(members: &[i64]) -> Vec<CoverageDayView> {
        let day = |(index, members): (u64, &i64)| CoverageDayView {
            date: NaiveDate::from_ymd_opt(2027, 3, 1).unwrap() + chrono::Days::new(index),
            members: *members,
            with_two_factor: 0,
            superusers: 0,
            superusers_with_two_factor: 0,
            required: 0,
            overdue: 0,
        };
        (0..).zip(members).map(day).collect()
    }

    #[test]
    fn the_axis_ends_at_a_number_that_can_be_halved() {
        let tops = [0, 1, 2, 3, 9, 14, 20, 21, 340, 1000, 99_999].map(top);
        assert_eq!(tops, [2, 2, 2, 4, 10, 20, 20, 40, 400, 2000, 100_000]);
    }

    #[test]
    fn lines_go_from_edge_to_edge() {
        let members = |day: &CoverageDayView| day.members;
        assert_eq!(points(&days(&[0, 10, 20]), members, 20), "0,400 500,200 1000,0");
        assert_eq!(points(&days(&[5]), members, 10), "0,200 1000,200");
    }
}
