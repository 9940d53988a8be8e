//! How what waited becomes entries. The database moves the rows itself: a leaf that came with its event does not
//! travel back to it.

use serde_json::json;

use super::leaves::Entry;
use crate::database::{Database, Step};
use crate::ledger::store::{LedgerError, number};
use crate::table::{LEDGER_ENTRIES, Value};

/// A hash in base64.
const HASH_CHARACTERS: u8 = 44;

/// Stores these entries, and takes the rows that are done with out of the queue.
pub(super) fn steps(database: &Database, entries: &[Entry], done: &[i64]) -> Result<Vec<Step>, LedgerError> {
    let mut steps = Vec::new();
    for run in entries.chunk_by(|one, next| one.made.is_some() == next.made.is_some()) {
        steps.push(store(database, run)?);
    }
    let waited = Waited::rows(database, done, 1);
    let sql = format!("DELETE FROM ledger_pending WHERE {}", waited.condition);
    steps.push(Step::new(sql, waited.params).changing(count(done.len())));
    Ok(steps)
}

/// Entries whose leaves are all in the queue, or were all made here.
fn store(database: &Database, run: &[Entry]) -> Result<Step, LedgerError> {
    match run {
        [first, ..] if first.made.is_none() => move_rows(database, first.position, run),
        made => Ok(Step::insert(&LEDGER_ENTRIES, made.iter().map(row).collect::<Result<_, _>>()?)),
    }
}

fn move_rows(database: &Database, position: u64, run: &[Entry]) -> Result<Step, LedgerError> {
    let ids: Vec<i64> = run.iter().map(|entry| entry.pending_id).collect();
    let hashes: String = run.iter().map(|entry| entry.leaf_hash.to_base64()).collect();
    let Waited { condition, place, params } = Waited::rows(database, &ids, 3);
    let sql = format!(
        "INSERT INTO ledger_entries ({}) \
         SELECT $1 + place, aggregate_type, aggregate_id, sequence, leaf, {} \
         FROM (SELECT *, {place} AS place FROM ledger_pending WHERE {condition}) AS waited ORDER BY pending_id",
        LEDGER_ENTRIES.column_names(),
        database.piece(2, HASH_CHARACTERS, "place"),
    );
    let params = [number(position)?, hashes.into()].into_iter().chain(params).collect();
    Ok(Step::new(sql, params).changing(count(run.len())))
}

/// Rows of the queue, which come in order.
struct Waited {
    /// Which they are.
    condition: String,
    /// The place of each among them, from zero.
    place: String,
    /// What the condition needs, from the parameter on that it was made for.
    params: Vec<Value>,
}

impl Waited {
    /// Where no number is left out nothing else can lie between them, and they are read and counted in one go.
    fn rows(database: &Database, ids: &[i64], parameter: u8) -> Self {
        let follows = |(id, next): (&i64, &i64)| id.checked_add(1) == Some(*next);
        if let [first, .., last] = ids
            && ids.iter().zip(ids.iter().skip(1)).all(follows)
        {
            return Self {
                condition: format!("pending_id BETWEEN ${parameter} AND ${}", parameter + 1),
                place: format!("pending_id - ${parameter}"),
                params: vec![(*first).into(), (*last).into()],
            };
        }
        Self {
            condition: database.any_of("pending_id", parameter),
            place: "row_number() OVER (ORDER BY pending_id) - 1".to_owned(),
            params: vec![json!(ids).to_string().into()],
        }
    }
}

fn row(entry: &Entry) -> Result<Vec<Value>, LedgerError> {
    let (stream_type, stream_id) = entry.stream.clone();
    Ok(vec![
        number(entry.position)?,
        stream_type.into(),
        stream_id.into(),
        number(entry.sequence)?,
        entry.made.clone().into(),
        entry.leaf_hash.to_base64().into(),
    ])
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
