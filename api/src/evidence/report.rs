//! The shape of every report, and how it is handed out.

use chrono::{DateTime, Utc};
use countersign_projections::ledger::checkpoint::Verifier;
use countersign_projections::ledger::tree::Hash;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::page::Page;
use crate::problem::{Problem, ProblemCode};
use crate::rest::users::RequirementView;

/// A report has so many rows at most; it is never cut short.
pub const ROWS_MAX: usize = 10_000;

/// A report with its signature.
#[derive(serde::Serialize, ToSchema)]
pub struct Evidence {
    /// What is told, for programs.
    pub report: Report,
    /// The same, signed: a C2SP signed note. Its text is the report as one line of JSON; its signature is by the
    /// key that signs the ledger's checkpoints. It is never a checkpoint: its first line begins with `{`.
    pub note: String,
}

/// What is told, and what it rests on.
#[derive(serde::Serialize, ToSchema)]
pub struct Report {
    /// The report's name.
    pub report: &'static str,
    /// What it tells, as a heading.
    pub title: &'static str,
    /// The ledger's name.
    pub origin: String,
    /// When it was made.
    pub generated_at: DateTime<Utc>,
    /// It rests on so many entries of the ledger, from the first on.
    pub position: u64,
    /// The root of the tree of these entries, in base64.
    pub root: String,
    /// What was asked for.
    pub parameters: Parameters,
    /// What it comes to, in a sentence.
    pub summary: String,
    /// Whether it is as it should be; null where nothing can be wrong.
    pub holds: Option<bool>,
    /// What was proved, a sentence each, where something was checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proved: Vec<String>,
    /// What cannot be proved this way, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_proved: Vec<String>,
    /// What a table of the rows shows, in order.
    pub columns: &'static [Column],
    /// The rows: objects whose fields are named by the columns, and some more. A field without a value is absent.
    /// `position` is the entry of the ledger from which a row comes.
    #[schema(value_type = Vec<Object>)]
    pub rows: Vec<Row>,
}

/// What was asked for, as it was used.
#[derive(serde::Serialize, ToSchema)]
pub struct Parameters {
    /// About this agreement, or people linked to it.
    pub agreement: Option<String>,
    /// What it is called.
    pub agreement_name: Option<String>,
    /// The moment.
    pub as_of: Option<DateTime<Utc>>,
    /// Recorded at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Recorded before this time.
    pub to: Option<DateTime<Utc>>,
}

/// A column of the table.
#[derive(Clone, Copy, serde::Serialize, ToSchema)]
pub struct Column {
    /// The field of the rows.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
}

/// A column of this name with this heading.
pub(super) const fn column(name: &'static str, title: &'static str) -> Column {
    Column { name, title }
}

/// One value of a row.
#[derive(Clone, serde::Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// A place in the ledger.
    Position(u64),
    /// How many.
    Number(u64),
    /// Whether it is so.
    Flag(bool),
    /// A moment.
    Time(DateTime<Utc>),
    /// A sentence or a word.
    Text(String),
    /// A hash, an id or a type, to be copied rather than read.
    Code(String),
    /// A person or an agreement.
    Named(Named),
    /// Who acted.
    Actor(Actor),
    /// Who requires two-factor.
    Requirements(Vec<RequiredBy>),
    /// What else an event says.
    Data(Value),
}

/// An agreement that requires two-factor, and through which one.
#[derive(Clone, serde::Serialize)]
pub struct RequiredBy {
    #[serde(flatten)]
    pub(super) requirement: RequirementView,
    /// What the linked agreement is called through which it reaches the person.
    pub(super) via_name: Option<String>,
}

/// Somebody or something with an id.
#[derive(Clone, serde::Serialize)]
pub struct Named {
    /// The id.
    pub id: String,
    /// What they are called; `[erased]` once they were erased.
    pub name: String,
}

/// Who acted.
#[derive(Clone, serde::Serialize)]
pub struct Actor {
    /// `user`, `api_key`, `operator` or `sign_in_page`.
    pub kind: String,
    /// The user's or the API key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The person's or the API key's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// One row: its fields in order.
#[derive(Clone, Default)]
pub struct Row(Vec<(&'static str, Cell)>);

impl Row {
    /// The same with one more field.
    pub(super) fn with(mut self, name: &'static str, cell: Cell) -> Self {
        self.0.push((name, cell));
        self
    }

    /// The same with one more field, if it has a value.
    pub(super) fn with_any(self, name: &'static str, cell: Option<Cell>) -> Self {
        match cell {
            Some(cell) => self.with(name, cell),
            None => self,
        }
    }

    /// The fields of both.
    pub(super) fn followed_by(mut self, Self(more): Self) -> Self {
        self.0.extend(more);
        self
    }

    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&Cell> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, cell)| cell)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, cell) in &self.0 {
            map.serialize_entry(name, cell)?;
        }
        map.end()
    }
}

/// Rows up to the bound.
#[derive(Default)]
pub(super) struct Rows(Vec<Row>);

impl Rows {
    /// Adds one more.
    ///
    /// # Errors
    /// `too-many-rows` beyond the bound.
    pub(super) fn push(&mut self, row: Row) -> Result<(), Problem> {
        if self.0.len() >= ROWS_MAX {
            let detail = format!(
                "The report would have more than {ROWS_MAX} rows, and is not cut short. Narrow the period, or name an agreement."
            );
            return Err(Problem::new(ProblemCode::TooManyRows, detail));
        }
        self.0.push(row);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.0.iter()
    }

    pub(super) fn into_vec(self) -> Vec<Row> {
        self.0
    }
}

/// What a report found, before it is signed.
pub(super) struct Findings {
    pub(super) summary: String,
    pub(super) holds: Option<bool>,
    pub(super) proved: Vec<String>,
    pub(super) not_proved: Vec<String>,
    pub(super) columns: &'static [Column],
    pub(super) rows: Rows,
    /// The tree, where looking at it was the report.
    pub(super) tree: Option<(u64, Hash)>,
}

impl Findings {
    /// Rows, and a sentence about them.
    pub(super) const fn new(columns: &'static [Column], rows: Rows, summary: String) -> Self {
        Self { summary, holds: None, proved: Vec::new(), not_proved: Vec::new(), columns, rows, tree: None }
    }
}

impl Evidence {
    /// A page for people, to read and to print.
    #[must_use]
    pub fn to_html(&self, verifier: &Verifier) -> String {
        Page { evidence: self, verifier }.render()
    }

    /// Both parts as JSON.
    ///
    /// # Errors
    /// `internal` if they do not write.
    pub fn to_json(&self) -> Result<String, Problem> {
        serde_json::to_string(self)
            .map_err(|error| Problem::internal(format!("a report does not write: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_refused_rather_than_cut_short() {
        let mut rows = Rows::default();
        for position in 0..ROWS_MAX {
            rows.push(Row::default().with("position", Cell::Position(position as u64))).unwrap();
        }
        let refused = rows.push(Row::default()).unwrap_err();
        assert_eq!(refused.code(), ProblemCode::TooManyRows);
        assert_eq!(rows.len(), ROWS_MAX);
    }

    #[test]
    fn a_row_writes_its_fields_in_order_and_none_without_a_value() {
        let row = Row::default()
            .with("position", Cell::Position(17))
            .with_any("reason", None)
            .with("actor", Cell::Actor(Actor { kind: "operator".to_owned(), id: None, name: None }));
        assert_eq!(serde_json::to_string(&row).unwrap(), r#"{"position":17,"actor":{"kind":"operator"}}"#);
    }
}
