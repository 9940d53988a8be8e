//! What a replay found.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Unreadable;
use super::model::Model;
use crate::ledger::tree::Hash;

/// So many differences are named; all are counted.
pub const DIFFERENCES_NAMED_MAX: usize = 100;

/// What comparing the read models with a replay found.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayReport {
    /// How many entries the ledger had.
    pub size: u64,
    /// How many of them have an event that was folded.
    pub events: u64,
    /// Each read model that was compared.
    pub models: Vec<ModelReport>,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// The first events that could not be folded.
    #[serde(serialize_with = "as_text")]
    pub unreadable: Vec<Unreadable>,
    /// How many could not be folded.
    pub unreadable_total: u64,
    /// Events that neither have a place in the ledger nor wait for one.
    pub unplaced: u64,
    /// The entry that keeps coverage from being replayed.
    pub coverage_stops_before: Option<u64>,
}

/// One read model, compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ModelReport {
    /// Which one.
    pub model: Model,
    /// How many rows a replay gives it.
    pub rows: u64,
    /// The digest of those rows.
    pub replayed: Hash,
    /// The digest of the rows that are stored.
    pub stored: Hash,
    /// How many rows differ.
    pub differences: u64,
}

/// One row that is not as a replay gives it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    /// Of which read model.
    pub model: Model,
    /// In which table.
    pub table: &'static str,
    /// Which row.
    pub key: String,
    /// What is the matter. What is stored is never shown: it may be personal, or sealed.
    #[serde(flatten)]
    pub kind: Kind,
}

/// How a row differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Kind {
    /// A replay gives such a row, and none is stored.
    Missing,
    /// Such a row is stored, and a replay gives none.
    Extra,
    /// It is stored with something else in these columns.
    Altered {
        /// Which columns.
        columns: Vec<&'static str>,
    },
}

impl ReplayReport {
    /// Whether every read model is what a replay of every entry gives.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.events == self.size
            && self.unreadable_total == 0
            && self.unplaced == 0
            && self.coverage_stops_before.is_none()
            && self.models.iter().all(|model| model.differences == 0 && model.replayed == model.stored)
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds() { "equal" } else { "NOT EQUAL" };
        writeln!(formatter, "{verdict}: {} of {} entries folded", self.events, self.size)?;
        for ModelReport { model, rows, replayed, stored, differences } in &self.models {
            let model = model.name();
            if *differences == 0 && replayed == stored {
                writeln!(formatter, "  {model:<12} {rows:>10} rows  sha256 {replayed}")?;
            } else {
                writeln!(formatter, "  {model:<12} {rows:>10} rows  {differences} differ")?;
            }
        }
        if self.unplaced > 0 {
            let unplaced = self.unplaced;
            writeln!(formatter, "{unplaced} events neither have a place in the ledger nor wait for one")?;
        }
        if let Some(position) = self.coverage_stops_before {
            writeln!(formatter, "  coverage     cannot be replayed: entry {position} cannot be taken")?;
        }
        for difference in &self.differences {
            writeln!(formatter, "{difference}")?;
        }
        for unreadable in &self.unreadable {
            writeln!(formatter, "{unreadable}")?;
        }
        let told = u64::try_from(self.differences.len() + self.unreadable.len()).unwrap_or(u64::MAX);
        let all = self.models.iter().map(|model| model.differences).sum::<u64>() + self.unreadable_total;
        if all > told {
            writeln!(formatter, "and {} more", all - told)?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, table, key, kind } = self;
        write!(formatter, "{}: {table} {key} ", model.name())?;
        match kind {
            Kind::Missing => write!(formatter, "is missing"),
            Kind::Extra => write!(formatter, "should not be there"),
            Kind::Altered { columns } => write!(formatter, "has another {}", columns.join(", ")),
        }
    }
}

fn as_text<S: Serializer>(all: &[Unreadable], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(ToString::to_string))
}
