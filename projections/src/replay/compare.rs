//! Comparing rows that a replay gives with rows that are stored.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::ReplayError;
use super::model::{Model, StreamTable};
use super::report::{DIFFERENCES_NAMED_MAX, Difference, Kind, ModelReport};
use crate::catch_up::{self, Projection};
use crate::database::Database;
use crate::ledger::store::LedgerStore;
use crate::ledger::tree::Hash;
use crate::table::{Column, Value};

/// Rows of one table by their keys.
pub(super) type Rows = BTreeMap<String, Vec<Value>>;

/// What was found of one read model so far.
pub(super) struct Tally {
    model: Model,
    rows: u64,
    replayed: Sha256,
    stored: Sha256,
    differences: u64,
}

impl Tally {
    pub(super) fn of(model: Model) -> Self {
        Self { model, rows: 0, replayed: Sha256::new(), stored: Sha256::new(), differences: 0 }
    }

    pub(super) const fn model(&self) -> Model {
        self.model
    }

    pub(super) const fn differences(&self) -> u64 {
        self.differences
    }

    /// Takes in a part of a table, both as it is replayed and as it is stored.
    pub(super) fn take_in(
        &mut self,
        table: (&'static str, &'static [Column]),
        replayed: &Rows,
        stored: &Rows,
        named: &mut Vec<Difference>,
    ) {
        self.rows += u64::try_from(replayed.len()).unwrap_or(u64::MAX);
        for row in replayed.values() {
            digest(&mut self.replayed, row);
        }
        for row in stored.values() {
            digest(&mut self.stored, row);
        }
        let both = replayed.iter().map(|(key, row)| (key, Some(row), stored.get(key)));
        let extra = stored.iter().filter(|(key, _)| !replayed.contains_key(*key));
        for (key, replayed, stored) in both.chain(extra.map(|(key, row)| (key, None, Some(row)))) {
            let kind = match (replayed, stored) {
                (Some(replayed), Some(stored)) if replayed == stored => continue,
                (Some(replayed), Some(stored)) => {
                    Kind::Altered { columns: altered(table.1, replayed, stored) }
                }
                (Some(_), None) => Kind::Missing,
                (None, _) => Kind::Extra,
            };
            self.differences += 1;
            if named.len() < DIFFERENCES_NAMED_MAX {
                named.push(Difference { model: self.model, table: table.0, key: key.clone(), kind });
            }
        }
    }

    /// Takes in how far a read model says it is: no less than it must be, and no more than there is.
    pub(super) async fn take_in_checkpoint<P: Projection>(
        &mut self,
        database: &Database,
        size: u64,
        named: &mut Vec<Difference>,
    ) -> Result<(), ReplayError> {
        let position = catch_up::position::<P>(database).await?;
        let state = LedgerStore::new(database.clone()).state().await?.ok_or(ReplayError::NotThere)?;
        if (size..=state.size()).contains(&position) {
            return Ok(());
        }
        self.differences += 1;
        let (table, key) = ("projection_checkpoints", self.model.name().to_owned());
        named.push(Difference {
            model: self.model,
            table,
            key,
            kind: Kind::Altered { columns: vec!["position"] },
        });
        Ok(())
    }

    pub(super) fn report(self) -> ModelReport {
        ModelReport {
            model: self.model,
            rows: self.rows,
            replayed: finish(self.replayed),
            stored: finish(self.stored),
            differences: self.differences,
        }
    }
}

/// The streams of one table in which something differs.
pub(super) fn differing_streams(table: &StreamTable, replayed: &Rows, stored: &Rows) -> Vec<String> {
    let altered = replayed.iter().filter(|(key, row)| stored.get(*key) != Some(row));
    let extra = stored.iter().filter(|(key, _)| !replayed.contains_key(*key));
    let mut streams: Vec<String> =
        altered.chain(extra).map(|(_, row)| table.stream_of(row).to_owned()).collect();
    streams.sort_unstable();
    streams.dedup();
    streams
}

fn altered(columns: &[Column], replayed: &[Value], stored: &[Value]) -> Vec<&'static str> {
    let differing = columns.iter().zip(replayed.iter().zip(stored)).filter(|(_, (one, other))| one != other);
    differing.map(|(column, _)| column.name).collect()
}

/// Every value as text with its length before it, and nothing told apart from empty text.
pub(super) fn digest(hasher: &mut Sha256, row: &[Value]) {
    for value in row {
        match value.to_text() {
            None => hasher.update([0]),
            Some(text) => {
                hasher.update([1]);
                hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
                hasher.update(text.as_bytes());
            }
        }
    }
}

pub(super) fn finish(hasher: Sha256) -> Hash {
    Hash::from_bytes(hasher.finalize().into())
}
