//! Who was required to have two-factor at a moment, through what, and who had it.

use countersign_domain::requirement::Standing;
use countersign_projections::replay::required::{RequiredPerson, TwoFactorTold, required_at};
use countersign_projections::replay::streams::Moment;

use super::question::Question;
use super::report::{Cell, Column, Findings, Named, ROWS_MAX, RequiredBy, Row, Rows, column};
use super::words::{counted, in_full};
use crate::app::App;
use crate::problem::Problem;
use crate::rest::audit::names::Names;
use crate::rest::users::RequirementView;

const COLUMNS: &[Column] = &[
    column("person", "Person"),
    column("required_by", "Required by"),
    column("required_since", "Required since"),
    column("due", "Due"),
    column("deadline", "Deadline"),
    column("two_factor", "Had two-factor"),
    column("two_factor_at", "Last changed"),
    column("position", "Entry"),
];

/// So many names are looked up together.
const PAGE: usize = 500;

impl App {
    /// A row for each person who was required to have two-factor.
    pub(super) async fn who_was_required(
        &self,
        question: &Question,
        moment: Moment,
    ) -> Result<Findings, Problem> {
        let people = required_at(&self.database, moment, question.asked.agreement, ROWS_MAX).await?;
        let without = people.iter().filter(|person| !person.has_two_factor());
        let overdue = without.clone().filter(|person| person.standing == Standing::Due).count();
        let (required, without) = (people.len(), without.count());
        let mut rows = Rows::default();
        for page in people.chunks(PAGE) {
            let names = self.names_for(page.iter()).await?;
            for person in page {
                rows.push(row_of(person, &names))?;
            }
        }
        let summary = format!(
            "On {}, two-factor was required of {}; {} had none, and for {} of them it was due.",
            in_full(moment.at),
            counted(required, ["nobody", "person", "people"]),
            without,
            overdue,
        );
        Ok(Findings::new(COLUMNS, rows, summary))
    }

    /// The names of these people, and of the agreements through which something is required of them.
    pub(super) async fn names_for(
        &self,
        people: impl Iterator<Item = &RequiredPerson> + Clone,
    ) -> Result<Names, Problem> {
        let ids: Vec<String> = people.clone().map(|person| person.user_id.to_string()).collect();
        let via = people.flat_map(|person| &person.required_by).filter_map(|requirement| requirement.via);
        let via: Vec<String> = via.map(|id| id.to_string()).collect();
        self.names_of(ids.iter().map(String::as_str).collect(), via.iter().map(String::as_str).collect())
            .await
    }
}

fn row_of(person: &RequiredPerson, names: &Names) -> Row {
    let told = person.two_factor;
    person_required(person, names)
        .with("two_factor", Cell::Flag(person.has_two_factor()))
        .with_any("two_factor_at", told.map(|told| Cell::Time(told.at)))
        .with_any("position", told.map(|TwoFactorTold { position, .. }| Cell::Position(position)))
}

/// Who, by whom, since when, and whether it was due.
pub(super) fn person_required(person: &RequiredPerson, names: &Names) -> Row {
    let id = person.user_id.to_string();
    let name = names.person(&id);
    let (due, deadline) = match person.standing {
        Standing::Due => (true, None),
        Standing::RequiredBy(deadline) => (false, Some(deadline)),
        Standing::NotRequired => (false, None),
    };
    let required_by = person.required_by.iter().map(|requirement| RequiredBy {
        via_name: requirement.via.map(|id| names.agreement(&id.to_string())),
        requirement: RequirementView::from(requirement.clone()),
    });
    Row::default()
        .with("person", Cell::Named(Named { id, name }))
        .with("required_by", Cell::Requirements(required_by.collect()))
        .with_any("required_since", person.since.map(Cell::Time))
        .with("due", Cell::Flag(due))
        .with_any("deadline", deadline.map(Cell::Time))
}
